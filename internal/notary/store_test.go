package notary_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evict/internal/audit"
	"evict/internal/audit/audittest"
	"evict/internal/notary"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

// stored is a desk with a database.
func (d *desk) stored(db *store.DB) notary.Options {
	o := d.o
	o.Ledger = db.Ledger()
	return o
}

// work binds a database, opens a notary, has a run pass by, and signs that.
func (d *desk) work(db *store.DB, o notary.Options) *notary.Notary {
	d.t.Helper()
	ctx := d.t.Context()
	event := func(kind audit.Kind) audit.Event {
		return audit.Event{ID: d.o.NewID(), Time: audit.FormatTime(d.time.Now()), Kind: kind, Cloud: cloud, Tenant: tenant}
	}
	if err := db.Ledger().Bind(ctx, cloud, tenant, event(audit.LedgerOpened)); err != nil {
		d.t.Fatal(err)
	}
	n, err := notary.Open(ctx, o)
	if err != nil {
		d.t.Fatalf("opening: %v", err)
	}
	for range 20 {
		if err := db.Ledger().Append(ctx, event(audit.SignedIn), event(audit.SignedOut)); err != nil {
			d.t.Fatal(err)
		}
	}
	c, err := n.Sign(ctx)
	if head, _ := db.Ledger().Head(ctx); err != nil || c.Size != head.Size || c.Root != head.Root {
		d.t.Fatalf("signed are %d of %d events: %v, %v", c.Size, head.Size, err, n.Standing().Problems)
	}
	return n
}

func TestARealLedgerIsSignedAndRotatedOnBothEngines(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		d := newDesk(t)
		db := open()
		o := d.stored(db)
		d.work(db, o)
		d.work(db, o)
		next, _ := key(t)
		if _, err := notary.Rotate(t.Context(), o, next, "yearly"); err != nil {
			t.Fatal(err)
		}
		o.Signer = next
		n := d.work(db, o)
		kept := d.kept()
		stored, err := db.Ledger().Checkpoints(t.Context(), 0, n.Standing().Signed.Size, 100)
		if err != nil || len(stored) != len(kept) || len(kept) < 5 {
			t.Fatalf("%d are stored and %d kept: %v", len(stored), len(kept), err)
		}
		for i, c := range stored {
			if c.Checkpoint != kept[i] {
				t.Errorf("checkpoint %d is stored as %q and kept as %q", i, c.Note, kept[i].Note)
			}
		}
		if keys, err := n.Keys(t.Context()); err != nil || len(keys) != 2 {
			t.Errorf("keys: %v, %v", keys, err)
		}
	})
}

// takenAway is an export as a console makes it.
func (d *desk) takenAway(db *store.DB, n *notary.Notary, q audit.Query) string {
	d.t.Helper()
	ctx := d.t.Context()
	m, err := n.Manifest(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	m.At, m.Query = audit.FormatTime(d.time.Now()), q
	var out strings.Builder
	if _, err = audit.Export(ctx, db.Ledger(), audit.JSONLines, m, &out); err != nil {
		d.t.Fatal(err)
	}
	return out.String()
}

func TestAVerifierMadeFromTheDocumentAgreesOnRealExports(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		d := newDesk(t)
		d.t = t
		db := open()
		o := d.stored(db)
		first := o.Signer.Public()
		n := d.work(db, o)
		agree := func(when string, n *notary.Notary) {
			for _, q := range []audit.Query{{}, {Kind: audit.SignedIn}, {After: 2, Before: 4}} {
				text := d.takenAway(db, n, q)
				if err := audittest.Verify(text, first); err != nil {
					t.Errorf("%s, %+v: %v", when, q, err)
				}
				r, err := audit.VerifyExport(t.Context(), strings.NewReader(text), audit.Expect{Keys: []string{first}})
				if err != nil || !r.Intact() {
					t.Errorf("%s, %+v: %v, %+v", when, q, err, r.Problems)
				}
			}
		}
		agree("at first", n)
		sealed := n.Standing().Signed
		gone, err := db.Ledger().Removable(t.Context(), sealed.Size)
		if err != nil || gone == 0 {
			t.Fatalf("%d can be removed: %v", gone, err)
		}
		r, err := o.Signer.SignRemoval(sealed.Origin, audit.Removal{Through: sealed.Size, Root: sealed.Root, Events: gone})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Ledger().Remove(t.Context(), r, audit.Event{ID: o.NewID(), Time: audit.FormatTime(d.time.Now()), Cloud: cloud, Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
		agree("after a removal", n)
		next, _ := key(t)
		if _, err := notary.Rotate(t.Context(), o, next, "yearly"); err != nil {
			t.Fatal(err)
		}
		o.Signer = next
		agree("after a change of keys", d.work(db, o))
		live, err := audit.VerifyLive(t.Context(), db.Ledger(), audit.Expect{Keys: []string{first}}, nil)
		if err != nil || !live.Intact() || live.Removed != gone {
			t.Errorf("the ledger itself: %v, %+v", err, live)
		}
	})
}

func TestReplicasSignOneDatabase(t *testing.T) {
	t.Parallel()
	o := storetest.Postgres(t)
	d := newDesk(t)
	var notaries []*notary.Notary
	for range 2 {
		db, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		twin := d.stored(db)
		twin.File = filepath.Join(t.TempDir(), "checkpoints")
		notaries = append(notaries, d.work(db, twin))
	}
	a, err := notaries[0].Sign(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b := notaries[1].Standing().Signed; a.Checkpoint != b {
		t.Errorf("one stands at %d, the other one at %d", a.Size, b.Size)
	}
}

func TestADatabaseFileThatIsPutBackIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	so := storetest.SQLite(t)
	path := filepath.Join(so.DataDir, "evict.db")
	session := func() {
		db, err := store.Open(t.Context(), so)
		if err != nil {
			t.Fatal(err)
		}
		d.work(db, d.stored(db)).Close()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	session()
	backup, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	session()
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), so)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	refused(t, d.stored(db))
	if _, err := notary.AcceptRollback(t.Context(), d.stored(db), "a failed disk"); err != nil {
		t.Fatalf("accepting: %v", err)
	}
	found, err := db.Ledger().Search(t.Context(), audit.Query{Kind: audit.LedgerRollback})
	if err != nil || len(found.Records) != 1 || found.Records[0].Event.Detail["old_size"] != "82" {
		t.Errorf("recorded is %v, %v", found.Records, err)
	}
	d.work(db, d.stored(db)).Close()
}

func TestTheDatabaseOfAnotherConsoleOfTheTenantIsRefused(t *testing.T) {
	t.Parallel()
	one, other := newDesk(t), newDesk(t)
	a, b := storetest.Open(t), storetest.Open(t)
	other.o.Signer = one.o.Signer // not even the key tells them apart
	one.work(a, one.stored(a))
	other.busy(1) // ids of its own
	other.work(b, other.stored(b))
	refused(t, one.stored(b))
	refused(t, other.stored(a))
}

func refused(t *testing.T, o notary.Options) {
	t.Helper()
	if _, err := notary.Open(t.Context(), o); err == nil {
		t.Error("it was opened")
	} else if !errors.Is(err, notary.ErrRollback) {
		t.Errorf("got %v", err)
	}
}
