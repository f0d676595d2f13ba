package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/notary"
	"evict/internal/store"
)

const tenantID = "11111111-2222-4333-8444-555555555555"

// ledger is a folder with a database, as a console left it behind.
type ledger struct {
	t       *testing.T
	environ []string
	dir     string
	cloud   string
	secret  string // the key
	public  string
	at      time.Time // of its newest event
}

// newLedger makes a ledger of six events a day over three days: 19 with its key, a checkpoint at the end of each.
func newLedger(t *testing.T) *ledger {
	t.Helper()
	return newLedgerOf(t, "public")
}

func newLedgerOf(t *testing.T, cloud string) *ledger {
	t.Helper()
	l := &ledger{t: t, dir: t.TempDir(), cloud: cloud, at: time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)}
	l.secret = l.keygen()
	l.environ = []string{
		"EVICT_DATA_DIR=" + l.dir, "EVICT_LEDGER_KEY=" + l.secret, "EVICT_CHECKPOINT_FILE=" + l.dir + "/checkpoints", "EVICT_LOG_LEVEL=error",
	}
	if _, _, err := start(t, l.environ, "migrate"); err != nil {
		t.Fatal(err)
	}
	public, _, err := start(t, l.environ, "audit", "key")
	if err != nil {
		t.Fatal(err)
	}
	l.public = strings.TrimSpace(public)
	for range 3 {
		l.work()
	}
	return l
}

func (l *ledger) keygen() string {
	l.t.Helper()
	secret, _, err := start(l.t, nil, "audit", "keygen", "-name", "test")
	if err != nil {
		l.t.Fatal(err)
	}
	return strings.TrimSpace(secret)
}

// work is a day of the console: six events, signed.
func (l *ledger) work() {
	l.t.Helper()
	l.during(func(ctx context.Context, db *store.DB, o notary.Options) {
		n, err := notary.Open(ctx, o)
		if err != nil {
			l.t.Fatal(err)
		}
		for range 6 {
			if err := db.Ledger().Append(ctx, l.event(audit.SignedIn)); err != nil {
				l.t.Fatal(err)
			}
		}
		n.Close()
	})
	l.at = l.at.AddDate(0, 0, 1)
}

func (l *ledger) event(kind audit.Kind) audit.Event {
	l.at = l.at.Add(time.Second)
	return audit.Event{
		ID: uuid.NewString(), Time: audit.FormatTime(l.at), Kind: kind, Cloud: l.cloud, Tenant: tenantID,
		Operator: &audit.Person{OID: "oid-1", UPN: "lena@contoso.com", Name: "Lena \x1b[2J"}, Run: "run-" + l.at.Format(time.DateOnly),
	}
}

// during opens the database and closes it again.
func (l *ledger) during(f func(ctx context.Context, db *store.DB, o notary.Options)) {
	l.t.Helper()
	ctx := l.t.Context()
	db, err := store.Open(ctx, store.Options{DataDir: l.dir})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := db.Ledger().Bind(ctx, l.cloud, tenantID, l.event(audit.LedgerOpened)); err != nil {
		l.t.Fatal(err)
	}
	signer, err := audit.NewSigner(l.secret)
	if err != nil {
		l.t.Fatal(err)
	}
	f(ctx, db, notary.Options{
		Ledger: db.Ledger(), Signer: signer, Cloud: l.cloud, Tenant: tenantID, File: l.dir + "/checkpoints",
		Now: func() time.Time { return l.at }, NewID: uuid.NewString, Logger: slog.New(slog.DiscardHandler),
	})
	if err := db.Close(); err != nil {
		l.t.Fatal(err)
	}
}

// run runs a command and returns all that it said.
func (l *ledger) run(args ...string) (said string, code int) {
	l.t.Helper()
	stdout, stderr, err := start(l.t, l.environ, append([]string{"audit"}, args...)...)
	said = stdout + stderr
	if err != nil {
		said, code = said+err.Error(), exitCode(err)
	}
	if strings.Contains(said, strings.SplitN(l.secret, "+", 5)[4]) {
		l.t.Errorf("%v shows the key:\n%s", args, said)
	}
	return said, code
}

// says runs a command, wants an exit code, and wants it to say each of the words.
func (l *ledger) says(code int, args []string, words ...string) string {
	l.t.Helper()
	said, got := l.run(args...)
	if got != code {
		l.t.Fatalf("%v: exit code %d, want %d:\n%s", args, got, code, said)
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			l.t.Errorf("%v says nothing of %q:\n%s", args, w, said)
		}
	}
	return said
}

func (l *ledger) file(name, content string) string {
	l.t.Helper()
	path := filepath.Join(l.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

func TestTheAuditCommandsAreNamed(t *testing.T) {
	t.Parallel()
	help, _, err := start(t, nil, "audit", "help")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"keygen", "key", "checkpoints", "verify", "export", "rotate", "accept-rollback", "remove"} {
		if !strings.Contains(help, "\n  "+c) {
			t.Errorf("help does not name %s", c)
		}
	}
	for _, args := range [][]string{{"audit"}, {"audit", "forge"}} {
		if _, _, err := start(t, nil, args...); err == nil || !strings.Contains(err.Error(), auditUsage()) {
			t.Errorf("%v: got %v", args, err)
		}
	}
	if _, _, err := start(t, nil, "audit", "keygen", "now"); err == nil || !strings.Contains(err.Error(), `does not understand "now"`) {
		t.Errorf("got %v", err)
	}
}

func TestALedgerKeyIsMadeAndItsVerifierKeyPrinted(t *testing.T) {
	t.Parallel()
	secret, told, err := start(t, nil, "audit", "keygen", "-name", "contoso")
	if err != nil || strings.Count(secret, "\n") != 1 {
		t.Fatalf("standard output is not one line: %v", err)
	}
	signer, err := audit.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(signer.Public(), "contoso+") || !strings.Contains(told, signer.Public()) {
		t.Errorf("the verifier key is not told:\n%s", told)
	}
	if strings.Contains(told, strings.SplitN(strings.TrimSpace(secret), "+", 5)[4]) {
		t.Error("the secret key is on standard error as well")
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _, err := start(t, []string{"EVICT_LEDGER_KEY_FILE=" + path}, "audit", "key"); err != nil || got != signer.Public()+"\n" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, environ := range [][]string{nil, {"EVICT_LEDGER_KEY=PRIVATE+KEY+marked-secret"}} {
		if _, _, err := start(t, environ, "audit", "key"); err == nil || !strings.Contains(err.Error(), "EVICT_LEDGER_KEY") || strings.Contains(err.Error(), "marked") {
			t.Errorf("got %v", err)
		}
	}
	if _, _, err := start(t, nil, "audit", "keygen", "-name", "two words"); err == nil {
		t.Error("a name with a space was taken")
	}
}

func TestCheckpointsArePrintedAsAFileOfThem(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	printed, err := audit.ParseCheckpoints(l.says(0, []string{"checkpoints"}))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(l.dir + "/checkpoints")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := audit.ParseCheckpoints(string(kept))
	if len(printed) != len(want) || len(want) != 4 {
		t.Fatalf("%d are printed, %d kept", len(printed), len(want))
	}
	for i := range want {
		if printed[i] != want[i] {
			t.Errorf("printed %q, kept %q", printed[i].Note, want[i].Note)
		}
	}
}

func TestALiveLedgerIsVerifiedBesideItsConsole(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.during(func(context.Context, *store.DB, notary.Options) { // the console has it open
		l.says(0, []string{"verify"}, "INTACT", "What this covers:", "20 events", "not recorded")
		l.says(0, []string{"verify", "-key", l.public, "-checkpoint", l.dir + "/checkpoints"}, "INTACT", "4 of your own", l.public)
		other, _, err := audit.GenerateKey("other")
		if err != nil {
			t.Fatal(err)
		}
		signer, _ := audit.NewSigner(other)
		l.says(foundProblems, []string{"verify", "-key", l.file("keys", signer.Public()+"\n")}, "PROBLEMS", "not intact")
	})
	before, _ := os.ReadFile(l.dir + "/checkpoints")
	l.says(0, []string{"verify"})
	if after, _ := os.ReadFile(l.dir + "/checkpoints"); string(after) != string(before) {
		t.Error("verifying signed something")
	}
}

func TestWhatCannotBeVerifiedIsNeitherIntactNorAProblem(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	for _, args := range [][]string{
		{"verify", "-key", "no-key"}, {"verify", "-checkpoint", "/nowhere/at/all"}, {"verify", "/nowhere/at/all"},
		{"verify", "-checkpoint", l.file("empty", "")}, {"verify", "a", "-key"}, {"verify", "-unknown"},
	} {
		l.says(notVerified, args)
	}
	l.environ = []string{"EVICT_DATA_DIR=" + t.TempDir()}
	l.says(notVerified, []string{"verify"}, "database")
}

func TestAnExportIsTakenAndVerifiedWithNothingElse(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	path := filepath.Join(t.TempDir(), "evidence.jsonl")
	l.says(0, []string{"export", "-o", path}, "20 events", "not recorded")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	l.says(1, []string{"export", "-o", path}, "exists") // evidence is not written over
	whole, _ := os.ReadFile(path)
	checkpoints := l.file("checkpoints", l.says(0, []string{"checkpoints"}))
	l.environ = nil // on a laptop
	l.says(0, []string{"verify", "-key", l.public, "-checkpoint", checkpoints, path}, "INTACT", "4 of your own")
	l.says(foundProblems, []string{"verify", l.file("cut", string(whole[:len(whole)-200]))}, "PROBLEMS")
	l.says(foundProblems, []string{"verify", l.file("altered", strings.Replace(string(whole), "lena@", "lina@", 1))}, "PROBLEMS", "altered")
}

func TestAnExportIsNarrowedAndItsFormatChosen(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	events := regexp.MustCompile(`(?m)^(\d+) events of a ledger of 20\.`)
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"-run", "run-2026-11-02"}, 6},
		{[]string{"-from", "2026-11-02"}, 12},
		{[]string{"-to", "2026-11-02"}, 14},
		{[]string{"-from", "2026-11-03T00:00:00Z", "-format", "csv"}, 6},
		{[]string{"-format", "ocsf"}, 20},
	} {
		said := l.says(0, append([]string{"export"}, tt.args...))
		if m := events.FindStringSubmatch(said); len(m) < 2 || m[1] != strconv.Itoa(tt.want) {
			t.Errorf("%v: got %v, want %d events", tt.args, m, tt.want)
		}
	}
	for _, args := range [][]string{{"-format", "pdf"}, {"-from", "yesterday"}, {"-o", "/nowhere/at/all"}} {
		l.says(1, append([]string{"export"}, args...))
	}
	path := filepath.Join(t.TempDir(), "evidence.pdf")
	l.says(1, []string{"export", "-format", "pdf", "-o", path})
	if _, err := os.Stat(path); err == nil {
		t.Error("a file that was not finished is left behind")
	}
}

func TestAKeyIsRotatedAndAllOfItVerifies(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	next := l.keygen()
	path := l.file("new.key", next+"\n")
	l.says(1, []string{"rotate", "-new", path}, "-reason TEXT")
	l.says(1, []string{"rotate", "-reason", "yearly"}, "-new FILE")
	l.says(1, []string{"rotate", "-new", l.file("broken", "marked-secret"), "-reason", "yearly"}, "keygen")
	said := l.says(0, []string{"rotate", "-new", path, "-reason", "yearly"}, "from event 21 on")
	l.namesTheAccount(audit.LedgerKey)
	old := l.public
	l.says(1, []string{"accept-rollback", "-reason", "x"}, "the ledger names") // with the old key
	l.secret, l.environ[1] = next, "EVICT_LEDGER_KEY="+next
	l.public = strings.TrimSpace(l.says(0, []string{"key"}))
	if !strings.Contains(said, l.public) {
		t.Errorf("the new verifier key is not told:\n%s", said)
	}
	l.work()
	for _, key := range []string{old, l.public} {
		l.says(0, []string{"verify", "-key", key, "-checkpoint", l.dir + "/checkpoints"}, "INTACT")
	}
}

func TestARollbackIsAcceptedByHand(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.says(1, []string{"accept-rollback"}, "-reason TEXT")
	l.says(1, []string{"accept-rollback", "-reason", "to be sure"}, "nothing")
	backup, err := os.ReadFile(l.dir + "/evict.db")
	if err != nil {
		t.Fatal(err)
	}
	l.work()
	kept := l.file("kept", l.says(0, []string{"checkpoints"}))
	if err := os.WriteFile(l.dir+"/evict.db", backup, 0o600); err != nil {
		t.Fatal(err)
	}
	l.during(func(ctx context.Context, _ *store.DB, o notary.Options) {
		if _, err := notary.Open(ctx, o); err == nil {
			t.Error("a console would start")
		}
	})
	seal, _, _ := start(t, nil, "keygen")
	_, _, err = start(t, append(serveEnviron(l.dir, seal, l.secret), l.environ[2]), "serve")
	if want := "\n  " + app.Program(os.Args[0]) + ` audit accept-rollback -reason "..."`; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("serve says\n%v\nwant it to end with%s", err, want)
	}
	l.says(0, []string{"accept-rollback", "-reason", "a failed disk"}, "goes on from the 20 events before it")
	l.namesTheAccount(audit.LedgerRollback)
	l.work()
	const accepted = "A rollback was accepted (event 21): what was recorded before it and cut off is not here.\n"
	if said := l.says(0, []string{"verify"}); !strings.HasPrefix(said, "INTACT AS IT STANDS: nothing is wrong with what was verified. "+accepted) {
		t.Errorf("the headline does not say it:\n%s", said)
	}
	said := l.says(foundProblems, []string{"verify", "-key", l.public, "-checkpoint", kept}, "26 events") // who has the later checkpoint sees it
	if !strings.Contains(said, "PROBLEMS: 1. "+accepted) {
		t.Errorf("the headline does not say it:\n%s", said)
	}
}

func TestAReasonThatSaysNothingIsRefused(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	next := l.file("next", l.keygen())
	for _, reason := range []string{"...", " ?! ", "\u202e"} {
		for _, args := range [][]string{{"accept-rollback"}, {"rotate", "-new", next}, {"remove", "-through", "8"}} {
			l.says(1, append(args, "-reason", reason), "gives no reason")
		}
	}
	for _, reason := range []string{"7", "Ж"} {
		l.says(1, []string{"accept-rollback", "-reason", reason}, "contradicts nothing")
	}
}

// namesTheAccount wants the newest event of a kind to say which account of the operating system ran the command.
func (l *ledger) namesTheAccount(kind audit.Kind) {
	l.t.Helper()
	host, err := os.Hostname()
	if err != nil {
		l.t.Fatal(err)
	}
	account, err := user.Current()
	if err != nil {
		l.t.Skip("this account has no name: ", err)
	}
	var by string
	l.during(func(ctx context.Context, db *store.DB, _ notary.Options) {
		head, err := db.Ledger().Head(ctx)
		var r audit.Record
		for seq := head.Size; err == nil && seq > 0 && r.Event.Kind != kind; seq-- {
			r, err = db.Ledger().Event(ctx, seq)
		}
		by = r.Event.Detail["by"]
		if err != nil {
			l.t.Fatal(err)
		}
	})
	if want := account.Username + "@" + host + ", command line"; by != want {
		l.t.Errorf("the newest %s is by %q, want %q", kind, by, want)
	}
}

func TestWhatACheckpointSealsIsRemovedAndTheRestStaysProvable(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	because := []string{"-reason", "kept for long enough"}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"remove", "-before", "2026-11-03"}, "-reason TEXT"},
		{append([]string{"remove"}, because...), "either -before DATE or -through N"},
		{append([]string{"remove", "-through", "3", "-before", "2026-11-03"}, because...), "either -before DATE or -through N"},
		{append([]string{"remove", "-before", "last year"}, because...), "is not a date"},
		{append([]string{"remove", "-before", "2026-11-01"}, because...), "nothing to remove"},
		{append([]string{"remove", "-through", "12"}, because...), "the nearest before seals 8"},
	} {
		l.says(1, tt.args, tt.want)
	}
	plan := append([]string{"remove", "-before", "2026-11-03"}, because...)
	l.says(0, plan, "Of the events 1 to 14", "12 lose their bytes", "Make an export first", "repeat this with -yes")
	l.says(0, []string{"verify"}, "20 events, 0 removed")
	if said := l.says(0, append(plan, "-yes"), "12 events were removed", "recorded and signed"); strings.Contains(said, "repeat") {
		t.Errorf("it asks to be repeated:\n%s", said)
	}
	l.namesTheAccount(audit.LedgerRemoved)
	l.says(1, append(plan, "-yes"), "removed before")
	l.work()
	l.says(0, []string{"verify", "-key", l.public, "-checkpoint", l.dir + "/checkpoints"}, "INTACT", "12 removed by retention")
}

func TestNothingIsRemovedFromALedgerThatIsNotIntact(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.during(func(ctx context.Context, db *store.DB, _ notary.Options) {
		forged := l.event(audit.SignedIn)
		forged.Tenant = "another"
		if err := db.Ledger().Append(ctx, forged); err != nil {
			t.Fatal(err)
		}
	})
	l.says(1, []string{"remove", "-through", "8", "-reason", "x", "-yes"}, "nothing was removed")
	l.says(foundProblems, []string{"verify"}, "0 removed")
}

func TestTheOutputMovesNoCursor(t *testing.T) {
	t.Parallel()
	if got := printable("a\x1b[2Jb\u202ec\r\n"); got != "a\ufffd[2Jb\ufffdc\ufffd\n" {
		t.Errorf("got %q", got)
	}
}

func TestMetricsAreServedToThemselves(t *testing.T) {
	t.Parallel()
	seal, _, err := start(t, nil, "keygen")
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := start(t, nil, "audit", "keygen")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := &serving{cancel: func() {}}
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, nil, append(serveEnviron(t.TempDir(), seal, secret), "EVICT_METRICS_LISTEN=127.0.0.1:0"), log, log)
	}()
	address := regexp.MustCompile(`"msg":"metrics","address":"([^"]+)"`)
	var found []string
	for deadline := time.Now().Add(2 * time.Minute); found == nil; time.Sleep(10 * time.Millisecond) {
		if found = address.FindStringSubmatch(log.String()); found == nil && time.Now().After(deadline) {
			t.Fatalf("no metrics are served:\n%s", log)
		}
	}
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + found[1] + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	_, metrics := get("/metrics")
	for _, want := range []string{
		"evict_ledger_events 2", "evict_ledger_signed_events 2", "evict_ledger_signed_timestamp_seconds 1.", "evict_ledger_problems 0", "evict_ledger_checkpoint_unkept 0",
	} {
		if !strings.Contains(metrics, "\n"+want) {
			t.Errorf("there is no %q in:\n%s", want, metrics)
		}
	}
	if status, _ := get("/ledger"); status != http.StatusNotFound {
		t.Errorf("a page of the console: got %d", status)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("it did not stop in order: %v", err)
	}
}
