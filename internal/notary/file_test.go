package notary_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/notary"
)

// content is what the file of checkpoints holds.
func (d *desk) content() string {
	d.t.Helper()
	body, err := os.ReadFile(d.o.File)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(body)
}

func (d *desk) fill(content string) {
	d.t.Helper()
	if err := os.WriteFile(d.o.File, []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func TestACheckpointThatACrashCutOffIsLeftOut(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	whole := d.content()
	d.busy(1)
	d.open()
	next := strings.TrimPrefix(d.content(), whole)
	for cut := range len(next) { // wherever the power went
		d.fill(whole + next[:cut])
		n := d.open()
		d.busy(1)
		if _, err := n.Sign(t.Context()); err != nil {
			t.Fatalf("cut after %d bytes: %v", cut, err)
		}
		d.stands(n, d.tree.Size)
		d.fill(whole)
	}
	if !strings.Contains(d.log.String(), "the last checkpoint in the file is cut off") {
		t.Error("the log does not say so")
	}
	d.fill("evict/publ") // the very first one
	d.stands(d.open(), d.tree.Size)
}

func TestTheLastOfManyCheckpointsIsFound(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	first := d.content()
	d.busy(2)
	d.open()
	last := d.kept()[1]
	d.fill(strings.Repeat(first+"\n", 1000) + last.Note)
	d.on(&ledger{}).refused(notary.ErrRollback, "signed over 15")
	d.stands(d.open(), 15)
}

func TestACheckpointIsAsOldAsTheDatabaseSaysWheneverItsFileWasCopied(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	signed := d.time.Now()
	d.time.pass(2 * time.Hour)
	copied := signed.Add(time.Hour)
	if err := os.Chtimes(d.o.File, copied, copied); err != nil {
		t.Fatal(err)
	}
	if got := d.open().Standing().SignedAt; !got.Equal(signed) {
		t.Errorf("signed at %v, want %v", got, signed)
	}
	d.checkpoints = nil
	if got := d.open().Standing().SignedAt; !got.Equal(copied) {
		t.Errorf("the database does not say when: got %v, want that of the file, %v", got, copied)
	}
	d.on(&ledger{}).refused(notary.ErrRollback, "no later than 2026-11-24 10:00:00")
}

func TestAFileThatIsSomethingElseIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	whole := d.content()
	for name, content := range map[string]string{
		"text": "to do: buy milk\n", "much text": strings.Repeat("to do: buy milk\n", 10_000), "text after a checkpoint": whole + "to do: buy milk\n",
		"a changed root": strings.Replace(whole, "\n13\n", "\n13\n!", 1),
	} {
		d.fill(content)
		if _, err := notary.Open(t.Context(), d.o); err == nil || !strings.Contains(err.Error(), "EVICT_CHECKPOINT_FILE") {
			t.Errorf("%s: got %v", name, err)
		}
		if d.content() != content {
			t.Errorf("%s: it was changed", name)
		}
	}
	d.o.File = t.TempDir() // a folder
	if _, err := notary.Open(t.Context(), d.o); err == nil || !strings.Contains(err.Error(), "EVICT_CHECKPOINT_FILE") {
		t.Errorf("a folder: got %v", err)
	}
}

func TestAForgedCheckpointInTheFileIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	forger, _ := key(t)
	c, err := forger.Sign(audit.Origin(cloud, tenant), d.tree.Size, d.tree.Root())
	if err != nil {
		t.Fatal(err)
	}
	d.fill(c.Note)
	d.refused(notary.ErrRollback, "not signed with a key of this ledger")
}

func TestWithoutItsFileALedgerMustGoOnFromItsOwnNewestCheckpoint(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	d.busy(1)
	d.open()
	if err := os.Remove(d.o.File); err != nil {
		t.Fatal(err)
	}
	d.stands(d.open(), 15)
	if e := d.of(t, audit.LedgerUnwitnessed); e.Detail["size"] != "14" || e.Detail["checkpoint"] != d.checkpoints[1].Note {
		t.Errorf("recorded is %+v", e)
	}
	if len(d.kept()) != 2 || !strings.Contains(d.log.String(), `"level":"WARN","msg":"the file of checkpoints holds none`) {
		t.Errorf("the file is not written anew, or nothing is said of it:\n%s", d.log)
	}
	if err := os.Remove(d.o.File); err != nil {
		t.Fatal(err)
	}
	leaf := audit.LeafIndex(15)
	d.hashes[leaf][0]++
	d.refused(notary.ErrRollback, "in the database")
	d.hashes[leaf][0]--
	forger, _ := key(t)
	d.checkpoints[2].Checkpoint, _ = forger.Sign(audit.Origin(cloud, tenant), d.tree.Size, d.tree.Root())
	d.stands(d.open(), 16) // what somebody else put there is passed over
	if e := d.of(t, audit.LedgerUnwitnessed); e.Detail["size"] != "14" {
		t.Errorf("it went on from %+v", e)
	}
}

func TestALedgerThatLostAllItsCheckpointsDoesNotStartInSilence(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	d.checkpoints = nil
	if err := os.Remove(d.o.File); err != nil {
		t.Fatal(err)
	}
	d.open()
	if e := d.of(t, audit.LedgerUnwitnessed); e.Detail["size"] != "0" || e.Detail["checkpoint"] != "" {
		t.Errorf("recorded is %+v", e)
	}
}

func TestAFileThatIsTakenAwayUnderARunningConsoleIsWrittenAnew(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.open()
	if err := os.Remove(d.o.File); err != nil {
		t.Fatal(err)
	}
	n.Look(t.Context())
	d.stands(n, 13)
	if !strings.Contains(d.log.String(), "kept outside the database again") {
		t.Errorf("nothing is said of it:\n%s", d.log)
	}
}

func TestAFullDiskIsToldAndDoesNotStopTheSigning(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this machine has no /dev/full")
	}
	d := newDesk(t)
	d.o.File = "/dev/full"
	n := d.open()
	if s := n.Standing(); !strings.Contains(s.Unkept, "no space left") || s.Signed.Size != 13 || len(s.Problems) > 0 {
		t.Errorf("got %+v", s)
	}
	if _, ok, _ := d.LastCheckpoint(t.Context(), 13); !ok {
		t.Error("the database does not have it either")
	}
	if !strings.Contains(d.log.String(), `"level":"ERROR","msg":"keeping a checkpoint outside the database"`) {
		t.Errorf("the log does not say so:\n%s", d.log)
	}
}

func TestAFileThatCanBeWrittenAgainGetsTheNewestCheckpoint(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	folder := filepath.Dir(d.o.File)
	n := d.open()
	if err := os.Rename(folder, folder+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // in its place, so that none can be made
		t.Fatal(err)
	}
	d.busy(1)
	if _, err := n.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := n.Standing(); s.Unkept == "" || s.Signed.Size != 14 {
		t.Fatalf("got %+v", s)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(folder+"-away", folder); err != nil {
		t.Fatal(err)
	}
	n.Look(t.Context())
	d.stands(n, 14)
}

func TestTheKeyIsNowhereToBeSeen(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	signer, secret := key(t)
	d.o.Signer = signer
	n := d.open()
	d.busy(1)
	d.rows[13].Body[5]++
	_, failed := n.Sign(t.Context())
	other, otherSecret := key(t)
	o := d.o
	o.Signer = other
	_, refused := notary.Open(t.Context(), o)
	d.o.File = "/dev/full"
	_, accepted := notary.AcceptRollback(t.Context(), d.o, "test")
	d.o.Logger.Info("options", "signer", d.o.Signer)
	seen := d.log.String()
	for _, err := range []error{failed, refused, accepted} {
		if err == nil {
			t.Fatal("a step of the test did not fail")
		}
		seen += err.Error()
	}
	for _, r := range d.rows {
		seen += string(r.Body)
	}
	for _, s := range []string{secret, otherSecret} {
		if parts := strings.SplitN(s, "+", 5); strings.Contains(seen, parts[4]) {
			t.Errorf("a key is seen in:\n%s", seen)
		}
	}
}
