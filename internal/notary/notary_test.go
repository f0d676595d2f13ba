package notary_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/notary"
)

// stands checks that a notary has signed so many events, that its file ends with that, and that nothing is wrong.
func (d *desk) stands(n *notary.Notary, size int64) {
	d.t.Helper()
	s := n.Standing()
	if len(s.Problems) > 0 || s.Unkept != "" {
		d.t.Fatalf("problems %v, unkept %q", s.Problems, s.Unkept)
	}
	if s.Signed.Size != size {
		d.t.Fatalf("signed are %d events, want %d", s.Signed.Size, size)
	}
	if err := audit.Verify(s.Signed, s.Public); err != nil {
		d.t.Errorf("the checkpoint does not verify: %v", err)
	}
	if root, err := audit.RootAt(size, func(i []int64) ([]audit.Hash, error) { return d.Hashes(d.t.Context(), i) }); err != nil || root != s.Signed.Root {
		d.t.Errorf("the checkpoint's root is not the tree's: %v", err)
	}
	kept := d.kept()
	if len(kept) == 0 || kept[len(kept)-1] != s.Signed {
		d.t.Errorf("the file does not end with the newest checkpoint: it has %d", len(kept))
	}
	stored, ok, _ := d.LastCheckpoint(d.t.Context(), size)
	if !ok || stored.Checkpoint != s.Signed {
		d.t.Errorf("the database does not have the newest checkpoint")
	}
}

func (d *desk) kept() []audit.Checkpoint {
	d.t.Helper()
	body, err := os.ReadFile(d.o.File)
	if err != nil {
		d.t.Fatal(err)
	}
	kept, err := audit.ParseCheckpoints(string(body))
	if err != nil {
		d.t.Fatalf("the file of checkpoints: %v\n%s", err, body)
	}
	return kept
}

func TestAFirstStartNamesItsKeyAndSigns(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.open()
	d.stands(n, 13)
	if got := d.of(t, audit.LedgerKey).Detail["key"]; got != d.o.Signer.Public() {
		t.Errorf("the ledger names %q", got)
	}
	if keys, err := n.Keys(t.Context()); err != nil || len(keys) != 1 || keys.Newest() != d.o.Signer.Public() {
		t.Errorf("keys: got %v, %v", keys, err)
	}
	info, err := os.Stat(d.o.File)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	if !strings.Contains(d.log.String(), `"msg":"checkpoint","events":13,"note":"evict/public/`) {
		t.Errorf("the log does not have the checkpoint:\n%s", d.log)
	}
	d.busy(3)
	d.stands(d.open(), 16) // the key is named once
}

func TestItSignsWhenARunBeginsOrEndsAndEveryFiveMinutes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.open()
	d.time.pass(time.Hour)
	n.Look(t.Context())
	d.stands(n, 13) // nothing is new
	d.busy(1)
	n.Look(t.Context())
	d.stands(n, 14) // and the last signature is an hour old
	d.busy(2)
	d.time.pass(4 * time.Minute)
	n.Look(t.Context())
	n.Look(t.Context())
	d.stands(n, 14)
	d.write(audit.RunStarted, "run-1")
	n.Look(t.Context())
	d.stands(n, 17)
	d.write(audit.TargetAttempted, "run-1")
	n.Look(t.Context())
	d.stands(n, 17)
	d.write(audit.RunFinished, "run-1")
	d.busy(1)
	n.Look(t.Context())
	d.stands(n, 20)
	d.busy(1)
	d.time.pass(5 * time.Minute)
	n.Look(t.Context())
	d.stands(n, 21)
	if got := len(d.kept()); got != 5 {
		t.Errorf("%d checkpoints are kept, want 5", got)
	}
}

func TestWhoTakesEvidenceAwayGetsItSigned(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.open()
	d.busy(5)
	c, err := n.Sign(t.Context())
	if err != nil || c.Size != 18 || !c.At.Equal(d.time.Now()) {
		t.Errorf("got %d at %v, %v", c.Size, c.At, err)
	}
	d.stands(n, 18)
	again, err := n.Sign(t.Context())
	if err != nil || again != c {
		t.Errorf("nothing is new, and it signed again: %v", err)
	}
}

func TestTheLastEventsAreSignedAtTheEnd(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.open()
	d.busy(4)
	n.Close()
	d.stands(n, 17)
}

func TestARolledBackDatabaseIsRefusedUntilThatIsAccepted(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	backup := d.copied()
	d.busy(7)
	d.open() // signs 20
	lost := d.kept()[1]

	old := d.on(backup)
	words := []string{"13 events", "signed over 20", "Events 14 to 20 are missing", "2026-11-24 09:00:00", "audit accept-rollback"}
	old.refused(notary.ErrRollback, words...)
	old.busy(30) // it grew on: now the root tells
	old.refused(notary.ErrRollback, "The first 20 events are not those")

	c, err := notary.AcceptRollback(t.Context(), old.o, "restored after a failed disk")
	if err != nil {
		t.Fatalf("accepting: %v", err)
	}
	e := old.of(t, audit.LedgerRollback)
	if e.Detail["old_size"] != "20" || e.Detail["old_checkpoint"] != lost.Note || e.Detail["size"] != "43" || e.Reason != "restored after a failed disk" {
		t.Errorf("recorded is %+v", e)
	}
	if c.Size != 44 {
		t.Errorf("signed are %d events, want the 43 and the one that says so", c.Size)
	}
	old.busy(1)
	old.stands(old.open(), 45)
	d.refused(notary.ErrRollback) // and the other one is now the one that contradicts
}

func TestNothingIsAcceptedWhereNothingIsWrong(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.open()
	if _, err := notary.AcceptRollback(t.Context(), d.o, "to be sure"); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("got %v", err)
	}
	d.stands(n, 13)
}

func TestAnotherDatabaseOfTheSameTenantIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	other := newDesk(t)
	other.busy(50)
	d.on(other.ledger).refused(notary.ErrRollback, "The first 13 events are not those")
}

func TestAFileOfAnotherLedgerIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	d.o.Tenant = "99999999-2222-4333-8444-555555555555"
	if _, err := notary.Open(t.Context(), d.o); err == nil || !strings.Contains(err.Error(), "a file of its own") {
		t.Errorf("got %v", err)
	}
}

func TestAnotherKeyIsRefusedUntilItIsRotated(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	old := d.o
	next, _ := key(t)
	d.o.Signer = next
	d.refused(notary.ErrKey, audit.KeyID(next.Public()), audit.KeyID(old.Signer.Public()), "evict audit rotate")

	c, err := notary.Rotate(t.Context(), old, next, "yearly")
	if err != nil {
		t.Fatalf("rotating: %v", err)
	}
	if err := audit.Verify(c.Checkpoint, next.Public()); err != nil || c.Size != 14 {
		t.Errorf("after the change %d events are signed: %v", c.Size, err)
	}
	e := d.of(t, audit.LedgerKey)
	if err := audit.VerifyNext(e.Detail["signature"], c.Origin, old.Signer.Public(), next.Public()); err != nil || e.Reason != "yearly" {
		t.Errorf("the old key does not vouch for the new one: %v", err)
	}
	n := d.open()
	d.stands(n, 14)
	keys, err := n.Keys(t.Context())
	if err != nil || !slices.Equal(keys.Names(), []string{old.Signer.Public(), next.Public()}) {
		t.Errorf("keys: %v, %v", keys, err)
	}
	for i, kept := range d.kept() { // each still verifies with the key of its time
		if err := audit.Verify(kept, keys[i].Key); err != nil {
			t.Errorf("checkpoint %d: %v", i, err)
		}
	}
	d.o = old
	d.refused(notary.ErrKey)
}

func TestAKeyThatNobodyVouchedForIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.open()
	forged, _ := key(t)
	word, err := forged.SignNext(audit.Origin(cloud, tenant), forged.Public())
	if err != nil {
		t.Fatal(err)
	}
	err = d.Append(t.Context(), audit.Event{
		ID: "x", Time: audit.FormatTime(d.time.Now()), Kind: audit.LedgerKey, Cloud: cloud, Tenant: tenant,
		Detail: map[string]string{"key": forged.Public(), "old_key": d.o.Signer.Public(), "signature": word},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Sign(t.Context()); !errors.Is(err, notary.ErrProblems) {
		t.Errorf("it signed: %v", err)
	}
	if p := n.Standing().Problems; len(p) != 1 || p[0].Fault != audit.UnknownKey {
		t.Errorf("got %v", p)
	}
	d.refused(notary.ErrKey, "event 14", "without a valid signature of the key before it")
	d.o.Signer = forged
	d.refused(notary.ErrKey)
}

func TestAReplicaStopsSigningWhenTheKeyWasChanged(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.open()
	other := d.o
	other.File = filepath.Join(t.TempDir(), "checkpoints")
	next, _ := key(t)
	if _, err := notary.Rotate(t.Context(), other, next, "yearly"); err != nil {
		t.Fatal(err)
	}
	d.time.pass(time.Hour)
	n.Look(t.Context())
	if p := n.Standing().Problems; len(p) != 1 || p[0].Fault != audit.UnknownKey || !strings.Contains(p[0].Text, audit.KeyID(next.Public())) {
		t.Errorf("got %v", p)
	}
	if n.Standing().Signed.Size != 13 {
		t.Errorf("it signed %d events with the old key", n.Standing().Signed.Size)
	}
}

func TestAnExportThatCannotBeSignedGoesOutBeneathAnOlderCheckpoint(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.open()
	want := func(when string, size, signed int64) {
		t.Helper()
		console, err := n.Manifest(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		reader, err := notary.ManifestOf(t.Context(), d.ledger, cloud, tenant)
		if err != nil || !reflect.DeepEqual(reader, console) {
			t.Errorf("%s: the command line has %+v (%v), the console %+v", when, reader, err, console)
		}
		c, err := audit.ParseCheckpoint(console.Checkpoint)
		if err != nil || c.Size != signed || console.Size != size || console.Root != d.tree.Root() || console.Keys.Newest() != d.o.Signer.Public() {
			t.Errorf("%s: %+v, want %d events beneath a checkpoint of %d: %v", when, console, size, signed, err)
		}
	}
	d.busy(7)
	want("all is well", 20, 20)
	d.busy(1)
	d.rows[20].Body = []byte("{}")
	want("an event was altered", 21, 20)
}

func TestWhatIsWrongWithNewEventsIsNamedAndNotSigned(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tamper func(d *desk)
		want   audit.Problem
	}{
		"an altered event": {
			func(d *desk) {
				d.rows[16].Body = []byte(strings.Replace(string(d.rows[16].Body), "target", "Target", 1))
			},
			audit.Problem{Fault: audit.Altered, From: 17, To: 17, Text: "Event 17 was altered: its bytes are not those whose hash the tree has."},
		},
		"missing events": {
			func(d *desk) { d.rows = append(d.rows[:14:14], d.rows[16:]...) },
			audit.Problem{Fault: audit.Missing, From: 15, To: 16, Text: "Events 15 and 16 are missing."},
		},
		"a missing tail": {
			func(d *desk) { d.rows = d.rows[:19] },
			audit.Problem{Fault: audit.Missing, From: 20, To: 20, Text: "Event 20 is missing."},
		},
		"an event altered with its leaf": {
			func(d *desk) {
				d.rows[16].Body = []byte(strings.Replace(string(d.rows[16].Body), "target", "Target", 1))
				d.rows[16].Leaf = audit.LeafHash(d.rows[16].Body)
			},
			audit.Problem{Fault: audit.TreeDamaged, From: 14, To: 20, Text: "The tree of 20 events does not follow from their bytes: its hashes were changed."},
		},
		"a run that lost an event": {
			func(d *desk) { d.rows[15].Index.Run = "run-2" },
			audit.Problem{Fault: audit.RunGap, From: 14, To: 20, Text: "Run run-1 says that it wrote 7 events, the last with number 20; there are 6, up to number 20."},
		},
		"events before the checkpoint": {
			func(d *desk) { d.hashes[14][0]++ }, // of the first eight
			audit.Problem{Fault: audit.Inconsistent, From: 1, To: 13, Text: "The first 13 events are not those that the checkpoint was signed over."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			n := d.open()
			d.write(audit.RunStarted, "run-1")
			for range 5 {
				d.write(audit.TargetAttempted, "run-1")
			}
			d.write(audit.RunFinished, "run-1")
			sound := d.copied()
			tt.tamper(d)
			n.Look(t.Context())
			s := n.Standing()
			if len(s.Problems) == 0 || s.Problems[0] != tt.want { // a run that misses an event is named as well
				t.Fatalf("got %+v\nwant %+v", s.Problems, tt.want)
			}
			if c, err := n.Sign(t.Context()); !errors.Is(err, notary.ErrProblems) || c.Size != 13 || len(d.kept()) != 1 {
				t.Errorf("it signed %d events: %v", c.Size, err)
			}
			if !strings.Contains(d.log.String(), `"level":"ERROR","msg":"something is wrong with the ledger: nothing is signed"`) {
				t.Errorf("the log says nothing:\n%s", d.log)
			}
			d.rows, d.hashes = sound.rows, sound.hashes
			n.Look(t.Context())
			if n.Standing().Signed.Size != 13 {
				t.Error("it looked again within the minute")
			}
			d.time.pass(time.Minute)
			n.Look(t.Context())
			d.stands(n, 20)
		})
	}
}

func TestALedgerThatIsRolledBackUnderARunningConsoleIsNamed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	backup := d.copied()
	n := d.open()
	d.rows, d.hashes, d.tree = backup.rows, backup.hashes, backup.tree
	n.Look(t.Context())
	if p := n.Standing().Problems; len(p) != 1 || p[0].Fault != audit.UnknownKey {
		t.Errorf("got %v", p) // the event of the key went with it
	}
	d = newDesk(t)
	d.open()
	d.busy(4)
	backup = d.copied()
	d.busy(1)
	n = d.open()
	d.rows, d.hashes, d.tree = backup.rows, backup.hashes, backup.tree
	n.Look(t.Context())
	if p := n.Standing().Problems; len(p) != 1 || p[0].Fault != audit.Shorter || p[0].From != 18 || p[0].To != 18 {
		t.Errorf("got %v", p)
	}
	if m, err := n.Manifest(t.Context()); err != nil || m.Size != 17 || m.Checkpoint != "" {
		t.Errorf("an export is of %d events, beneath %q: %v", m.Size, m.Checkpoint, err)
	}
}

func TestALedgerThatCannotBeReadIsAProblem(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.open()
	d.busy(1)
	d.time.pass(time.Hour)
	d.reading = errors.New("the disk is gone")
	n.Look(t.Context())
	if p := n.Standing().Problems; len(p) != 1 || p[0].Fault != audit.Unreadable || strings.Contains(p[0].Text, "disk") {
		t.Errorf("got %v", p)
	}
	d.reading = nil
	d.time.pass(time.Minute)
	n.Look(t.Context())
	d.stands(n, 14)
}

func TestAConsoleStartsThoughNewEventsAreWrong(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	d.busy(3)
	d.rows[14].Body[20]++
	n := d.open()
	if s := n.Standing(); len(s.Problems) != 1 || s.Problems[0].Fault != audit.Altered || s.Signed.Size != 13 {
		t.Fatalf("got %+v", s)
	}
	c, err := notary.AcceptRollback(t.Context(), d.o, "known, and investigated") // the one way to sign it
	if err != nil || c.Size != 17 {
		t.Fatalf("got %d, %v", c.Size, err)
	}
	d.stands(d.open(), 17)
}

func TestTwoReplicasSignOneLedger(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	a := d.open()
	twin := *d
	twin.o.File = filepath.Join(t.TempDir(), "checkpoints")
	b := twin.open()
	if e := d.of(t, audit.LedgerUnwitnessed); e.Detail["size"] != "13" {
		t.Errorf("a start without a checkpoint outside the database is recorded as %+v", e)
	}
	twin.stands(b, 14)
	d.busy(2)
	if _, err := a.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.stands(a, 16)
	twin.stands(b, 16)

	d.busy(4)
	if _, err := b.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.rows = slices.DeleteFunc(d.rows, func(r audit.Row) bool { return !strings.HasPrefix(r.Index.Kind, "ledger.") })
	d.removed = 20 // what b signed is removed before a looks
	d.busy(1)
	d.time.pass(time.Hour)
	a.Look(t.Context())
	d.stands(a, 21)
	if got := len(d.kept()); got != 5 {
		t.Errorf("the first one's file has %d checkpoints, want 5: 13, 14, 16, 20, 21", got)
	}
}

func TestARestartDoesNotReadWhatIsSignedAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	d.rows = slices.DeleteFunc(d.rows, func(r audit.Row) bool { return !strings.HasPrefix(r.Index.Kind, "ledger.") })
	d.removed = 13 // by retention
	d.busy(3)
	d.stands(d.open(), 16)
}

func TestAReplicaDoesNotFollowARollbackThatAnotherOneAccepted(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	backup := d.copied()
	d.busy(7)
	n := d.open() // signs 20
	d.rows, d.hashes, d.tree, d.checkpoints = backup.rows, backup.hashes, backup.tree, backup.checkpoints
	d.busy(30)
	other := *d
	other.o.File = filepath.Join(t.TempDir(), "checkpoints")
	other.o.NewID = func() string { return "other" }
	if err := os.MkdirAll(filepath.Dir(other.o.File), 0o700); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(d.o.File)
	if err != nil {
		t.Fatal(err)
	}
	other.fill(string(body))
	if _, err := notary.AcceptRollback(t.Context(), other.o, "a failed disk"); err != nil {
		t.Fatal(err)
	}
	d.time.pass(time.Hour)
	n.Look(t.Context())
	if s := n.Standing(); s.Signed.Size != 20 || len(s.Problems) != 1 || s.Problems[0].Fault != audit.Inconsistent {
		t.Errorf("it went along: %+v", s)
	}
}

func TestATreeThatIsDamagedIsRefusedWithTheWayOut(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	lost := &d.hashes[audit.LeafIndex(13)] // of the right edge
	was := *lost
	*lost = audit.Hash{}
	d.refused(notary.ErrRollback, "damaged", "cannot be compared")
	if _, err := notary.AcceptRollback(t.Context(), d.o, "a failed disk"); err == nil || !strings.Contains(err.Error(), "restore a backup") {
		t.Errorf("got %v", err)
	}
	*lost = was
	d.busy(2)
	d.hashes[audit.LeafIndex(15)][0]++
	n := d.open() // what is new is wrong, and not signed
	if s := n.Standing(); len(s.Problems) == 0 || s.Signed.Size != 13 {
		t.Errorf("got %+v", s)
	}
	if _, err := notary.AcceptRollback(t.Context(), d.o, "a failed disk"); err == nil || !strings.Contains(err.Error(), "keep this database as evidence") {
		t.Errorf("got %v", err)
	}
	if got := d.tree.Size; got != 15 {
		t.Errorf("%d events: a rollback was recorded on a tree that is damaged", got)
	}
}

func TestAFileThatIsBehindIsNoRollback(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	d.busy(3)
	other := *d
	other.o.File = filepath.Join(t.TempDir(), "checkpoints")
	other.open() // signs 17
	d.rows = slices.DeleteFunc(d.rows, func(r audit.Row) bool { return !strings.HasPrefix(r.Index.Kind, "ledger.") })
	d.removed = 16 // what the first one has not read
	if _, err := notary.AcceptRollback(t.Context(), d.o, "in doubt"); err == nil || !strings.Contains(err.Error(), "contradicts nothing") {
		t.Errorf("got %v", err)
	}
}

func TestAnEventThatCannotBeReadIsNamedAndStopsNoConsole(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.open()
	d.busy(1)
	if err := d.Append(t.Context(), audit.Event{
		ID: "x", Time: audit.FormatTime(d.time.Now()), Kind: audit.RunFinished, Cloud: cloud, Tenant: tenant, Run: "r", Detail: map[string]string{},
	}); err != nil {
		t.Fatal(err)
	}
	last := len(d.rows) - 1
	d.rows[last].Body = slices.Clone(d.rows[last].Body)
	d.rows[last].Body[0] = 'x'
	n := d.open()
	if s := n.Standing(); len(s.Problems) != 1 || s.Problems[0].Fault != audit.Altered || s.Problems[0].From != 15 {
		t.Errorf("got %+v", s)
	}
	named := slices.IndexFunc(d.rows, func(r audit.Row) bool { return r.Index.Kind == string(audit.LedgerKey) })
	d.rows[named].Body = slices.Clone(d.rows[named].Body)
	d.rows[named].Body[0] = 'x'
	d.refused(notary.ErrKey, "event 13, which names a key, cannot be read", "restore the database")
}

func TestARemovalThatNoKeySignedIsNotSigned(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.open()
	r := audit.Removal{Through: 5, Root: d.tree.Root(), Events: 5}
	for _, by := range []*audit.Signer{nil, d.o.Signer} {
		if by != nil {
			r, _ = by.SignRemoval(audit.Origin(cloud, tenant), r)
		}
		err := d.Append(t.Context(), audit.Event{
			ID: "x", Time: audit.FormatTime(d.time.Now()), Kind: audit.LedgerRemoved, Cloud: cloud, Tenant: tenant, Detail: r.Detail(),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = n.Sign(t.Context())
		if by == nil {
			if p := n.Standing().Problems; !errors.Is(err, notary.ErrProblems) || len(p) != 1 || p[0].Fault != audit.UnknownKey {
				t.Errorf("got %v, %v", p, err)
			}
			backup := d.copied()
			d.rows, d.hashes = backup.rows[:13], backup.hashes[:audit.StoredFrom(13)]
			d.tree = audit.Tree{}
			for _, row := range d.rows {
				d.tree.Append(row.Body)
			}
		} else if err != nil {
			t.Errorf("one that the key signed: %v", err)
		}
	}
}
