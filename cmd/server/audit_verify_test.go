package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evict/internal/audit"
	"evict/internal/notary"
	"evict/internal/store"
)

func TestAVerifierKeyThatIsEmptyIsNotPassedOver(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	path := filepath.Join(t.TempDir(), "evidence.jsonl")
	l.says(0, []string{"export", "-o", path})
	for _, key := range []string{"", " ", l.file("empty", ""), l.file("blank", "\n \n")} {
		for _, what := range [][]string{nil, {path}} {
			if said := l.says(notVerified, append([]string{"verify", "-key", key}, what...), "no key in it"); strings.Contains(said, "INTACT") {
				t.Errorf("-key %q: %s", key, said)
			}
		}
	}
}

func TestADamagedFirstEventIsNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		damage func(*sql.DB) error
		says   string
	}{
		"a garbage byte": {statements(`drop trigger ledger_event_no_update`,
			`update ledger_event set body = 'x' || substr(body, 2) where seq = 1`), "Event 1 was altered"},
		"deleted": {statements(`drop trigger ledger_event_no_delete`, `delete from ledger_event where seq = 1`), "Event 1 is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			l.tamper(tt.damage)
			l.says(foundProblems, []string{"verify"}, "PROBLEMS", tt.says)
			if said := l.says(0, []string{"checkpoints"}); strings.Count(said, "evict/public/") != 4 {
				t.Errorf("not all checkpoints are printed:\n%s", said)
			}
			l.says(1, []string{"export"}, "the first event", "evict audit verify")
		})
	}
}

func statements(texts ...string) func(*sql.DB) error {
	return func(db *sql.DB) error {
		var errs []error
		for _, text := range texts {
			_, err := db.Exec(text)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
}

// tamper changes the database as its owner can.
func (l *ledger) tamper(damage func(*sql.DB) error) {
	l.t.Helper()
	db, err := sql.Open("sqlite", l.dir+"/evict.db")
	if err != nil {
		l.t.Fatal(err)
	}
	if err := errors.Join(damage(db), db.Close()); err != nil {
		l.t.Fatal(err)
	}
}

func TestALiveLedgerIsHeldAgainstItsFileAndKey(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	backup, err := os.ReadFile(l.dir + "/evict.db")
	if err != nil {
		t.Fatal(err)
	}
	l.says(0, []string{"verify"}, "INTACT", "held against", "the key "+audit.KeyID(l.public), "the checkpoint of 20 events, the last one in "+l.dir,
		"none of your own, 1 of the console's own", "The console's own checkpoint of 20 events is in the tree")
	l.work()
	if err := os.WriteFile(l.dir+"/evict.db", backup, 0o600); err != nil {
		t.Fatal(err)
	}
	l.says(foundProblems, []string{"verify"}, "PROBLEMS", "26 events", "the last one in "+l.dir)

	kept, _ := os.ReadFile(l.dir + "/checkpoints")
	torn := slices.Concat(kept, []byte("\nevict/pub"))
	if err := os.WriteFile(l.dir+"/checkpoints", torn, 0o600); err != nil {
		t.Fatal(err)
	}
	l.says(foundProblems, []string{"verify"}, "26 events", "cannot be read")
	if err := os.WriteFile(l.dir+"/checkpoints", []byte("no checkpoint"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.says(notVerified, []string{"verify"}, "EVICT_CHECKPOINT_FILE")
	if err := os.Remove(l.dir + "/checkpoints"); err != nil {
		t.Fatal(err)
	}
	l.says(0, []string{"verify"}, "INTACT", "there is no file "+l.dir)
}

func TestALedgerOfAnotherKeyIsNotIntact(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.environ[1] = "EVICT_LEDGER_KEY=" + l.keygen()
	l.says(foundProblems, []string{"verify"}, "PROBLEMS")
}

func TestWhatIsNoExportIsNotCalledTampering(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	files := map[string]string{"empty": l.file("empty", ""), "checkpoints": l.dir + "/checkpoints", "database": l.dir + "/evict.db"}
	for _, format := range []string{"csv", "ocsf"} {
		files[format] = filepath.Join(t.TempDir(), format)
		l.says(0, []string{"export", "-format", format, "-o", files[format]})
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(`{"evict_export":1}`))
	_ = z.Close()
	files["gzip"] = l.file("gzip", zipped.String())
	for name, path := range files {
		if said, code := l.run("verify", path); code != notVerified || !strings.Contains(said, "only JSON Lines can be verified") {
			t.Errorf("%s: exit code %d:\n%s", name, code, said)
		}
	}
}

func TestAKeyFileThatIsNotThereIsSaidToBeMissing(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	const missing, neither = "the file does not exist", "it is neither a verifier key nor a file of them"
	for given, want := range map[string]string{
		"/nofile.key": missing, "auditor.key": missing, "keys/auditor": missing,
		"nokey": neither, l.public[:len(l.public)-5] + "/x.y": neither, l.file("text", "no key"): neither,
		l.dir: "the file cannot be read",
	} {
		l.says(notVerified, []string{"verify", "-key", given}, "-key: "+want)
	}
}

func TestAnExportThatIsOlderThanACheckpointSaysSo(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	path := filepath.Join(t.TempDir(), "evidence.jsonl")
	l.says(0, []string{"export", "-o", path})
	l.work()
	kept := l.file("kept", l.says(0, []string{"checkpoints"}))
	said := l.says(olderExport, []string{"verify", "-key", l.public, "-checkpoint", kept, path}, "a checkpoint of yours is newer")
	want := "INTACT AS FAR AS IT GOES: your checkpoint of 26 events is newer than this export of 20. " +
		"If the export was taken after you kept that checkpoint, newer events were cut off.\n"
	if !strings.HasPrefix(said, want) {
		t.Errorf("got\n%s\nwant it to begin with\n%s", said, want)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	altered := l.file("altered", strings.Replace(string(whole), "lena@", "lina@", 1))
	l.says(foundProblems, []string{"verify", "-checkpoint", kept, altered}, "PROBLEMS")
	again := filepath.Join(t.TempDir(), "evidence.jsonl")
	l.says(0, []string{"export", "-o", again})
	l.says(0, []string{"verify", "-key", l.public, "-checkpoint", kept, again}, "INTACT: ")
}

func TestAPartIsVerifiedTogetherWithProofs(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	kept := l.file("kept", l.says(0, []string{"checkpoints"})) // of 2, 8, 14 and 20 events
	l.work()
	path := filepath.Join(t.TempDir(), "part.jsonl")
	l.says(0, []string{"export", "-from", "2026-11-03", "-o", path})
	verify := []string{"verify", "-key", l.public, "-checkpoint", kept, path}
	l.says(0, verify, "0 of the 4 of your own", "You brought 4 checkpoints, and 4 of them, of 2 to 20 events, could not be compared", "only at the size of its own tree, 26 events")
	proof := l.proof(20, 26)
	l.says(0, append(verify, l.file("proof", proof)), "1 of the 4 of your own", "Your checkpoint of 20 events is in the tree")
	l.says(0, append(verify, l.file("first", l.proof(8, 20)), l.file("second", proof)), "2 of the 4 of your own", "Your checkpoint of 20 events")
	l.says(foundProblems, append(verify, l.file("swapped", strings.Replace(proof, `"from":"evict/public/`, `"from":"evict/usgov/`, 1))), "of another ledger")
	l.says(notVerified, append(verify, path), "after it proofs of consistency: "+path)
	l.says(notVerified, append(verify, "-key"), "flags come before the export")
}

// proof is a proof of consistency between two stored checkpoints, as the console makes it.
func (l *ledger) proof(from, to int64) (text string) {
	l.t.Helper()
	l.during(func(ctx context.Context, db *store.DB, o notary.Options) {
		a, _, errA := db.Ledger().LastCheckpoint(ctx, from)
		b, _, errB := db.Ledger().LastCheckpoint(ctx, to)
		hashes, err := audit.ProveConsistency(from, to, func(indexes []int64) ([]audit.Hash, error) { return db.Ledger().Hashes(ctx, indexes) })
		if err := errors.Join(errA, errB, err); err != nil || a.Size != from || b.Size != to {
			l.t.Fatalf("from %d to %d: %v", a.Size, b.Size, err)
		}
		line, err := json.Marshal(audit.Consistency{Version: 1, Origin: audit.Origin(o.Cloud, o.Tenant), From: a.Note, To: b.Note, Proof: hashes})
		if err != nil {
			l.t.Fatal(err)
		}
		text = string(line)
	})
	return text
}

// full is a disk that is full.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAResultThatCouldNotBeWrittenIsNoSuccess(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	err := run(t.Context(), []string{"audit", "verify"}, l.environ, full{}, &strings.Builder{})
	if err == nil || exitCode(err) != notVerified || !strings.Contains(err.Error(), "could not be written") {
		t.Errorf("got %v", err)
	}
}

func TestAVerificationOfARehearsalSaysSo(t *testing.T) {
	t.Parallel()
	for cloud, want := range map[string]bool{"simulator": true, "public": false} {
		said := newLedgerOf(t, cloud).says(0, []string{"verify"})
		if strings.HasPrefix(said, audit.Rehearsed+"\n") != want {
			t.Errorf("%s: got\n%s", cloud, said)
		}
	}
}

func TestASecretKeyIsNeverShown(t *testing.T) {
	t.Parallel()
	l := newLedger(t) // whose run looks for the secret in all that is said
	for _, args := range [][]string{
		{"verify", "-key", l.secret}, {"verify", "-key=" + l.secret}, {"verify", l.secret}, {"verify", "-checkpoint", l.secret},
	} {
		l.says(notVerified, args, "secret key", "evict audit key")
	}
	l.says(notVerified, []string{"verify", "-key", l.file("secret", l.secret+"\n")}, "this is the secret key: evict audit key prints the other one")
	for _, args := range [][]string{{"rotate", "-new", l.secret, "-reason", "x"}, {"key", l.secret}} {
		l.says(1, args, "secret key")
	}
}

func TestAWrongFlagIsToldOnce(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"audit", "verify", "-unknown"}, {"demo", "-unknown"}, {"keygen", "-unknown"}} {
		_, stderr, err := start(t, nil, args...)
		if err == nil || strings.Count(stderr+err.Error(), "-unknown") != 1 {
			t.Errorf("%v: %v, and on standard error %q", args, err, stderr)
		}
	}
}

func TestNoCommandOfTheLedgerMakesADatabase(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	next := l.file("next", l.keygen())
	missing := filepath.Join(t.TempDir(), "mistyped")
	l.environ[0] = "EVICT_DATA_DIR=" + missing
	for _, args := range [][]string{
		{"verify"}, {"checkpoints"}, {"export"}, {"rotate", "-new", next, "-reason", "x"}, {"accept-rollback", "-reason", "x"},
		{"remove", "-through", "8", "-reason", "x", "-yes"},
	} {
		if said, code := l.run(args...); code == 0 || !strings.Contains(said, "check EVICT_DATA_DIR") {
			t.Errorf("%v: exit code %d:\n%s", args, code, said)
		}
		if _, err := os.Stat(missing); err == nil {
			t.Fatalf("%v made %s", args, missing)
		}
	}
}

func TestACheckpointThatCouldNotLeaveIsNoSuccess(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	unwritable := l.dir + "/link"
	if err := os.Symlink("/nowhere/at/all", unwritable); err != nil {
		t.Fatal(err)
	}
	l.environ[2] = "EVICT_CHECKPOINT_FILE=" + unwritable
	l.says(1, []string{"remove", "-through", "8", "-reason", "x", "-yes"}, "6 events were removed", "no checkpoint that has left the database")
	l.says(1, []string{"rotate", "-new", l.file("next", l.keygen()), "-reason", "x"}, unwritable)
}

func TestADryRunRefusesWhatTheRemovalRefuses(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.during(func(ctx context.Context, db *store.DB, o notary.Options) {
		n, err := notary.Open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Ledger().Append(ctx, l.event(audit.RunStarted)); err != nil {
			t.Fatal(err)
		}
		n.Close()
	})
	for through, want := range map[string]string{
		"0": "either -before DATE or -through N", "-1": "either -before DATE or -through N", "2": "all about the ledger itself", "21": "had not ended at event 21",
	} {
		for _, yes := range []bool{false, true} {
			args := []string{"remove", "-through", through, "-reason", "x"}
			if yes {
				args = append(args, "-yes")
			}
			if said := l.says(1, args, want); strings.Contains(said, "lose their bytes") || strings.Contains(said, "removed.") {
				t.Errorf("%v promises something:\n%s", args, said)
			}
		}
	}
	l.tamper(statements(`drop trigger ledger_event_no_update`, `update ledger_event set body = 'x' || substr(body, 2) where seq = 3`))
	l.says(1, []string{"remove", "-through", "8", "-reason", "x"}, "nothing was removed", "Event 3 was altered")
}

func TestAnExportThatCannotBeIsRefusedInWords(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	there := l.file("there", "kept")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-format", "pdf"}, "choose jsonl, csv or ocsf"},
		{[]string{"-from", "2026-11-03", "-to", "2026-11-02"}, "-from is not before -to"},
		{[]string{"-o", there}, "is not written over: name another file"},
	} {
		l.says(1, append([]string{"export"}, tt.args...), tt.want)
	}
	if body, _ := os.ReadFile(there); string(body) != "kept" {
		t.Errorf("the file is now %q", body)
	}
}

func TestAKeyIsWrittenToAFileOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"keygen"}, {"audit", "keygen"}} {
		path := filepath.Join(t.TempDir(), "key")
		stdout, _, err := start(t, nil, append(args, "-o", path)...)
		if err != nil || stdout != "" {
			t.Fatalf("%v: %v, and on standard output %q", args, err, stdout)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() < 40 {
			t.Errorf("%v: the file is %v, %v", args, info, err)
		}
		before, _ := os.ReadFile(path)
		if _, _, err := start(t, nil, append(args, "-o", path)...); err == nil || !strings.Contains(err.Error(), "is not written over") {
			t.Errorf("%v: a key that is there: %v", args, err)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("%v wrote over a key", args)
		}
	}
}
