package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"evict/internal/audit"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

// write is one of the store's writes, as the table of failures needs it.
type write struct {
	op       string                                               // as Options.Hook names it
	prepare  func(t *testing.T, db *store.DB)                     // what has to be there before
	do       func(ctx context.Context, db *store.DB) error        // the write
	happened func(t *testing.T, db *store.DB) (state, event bool) // what of it can be seen; event as state when it writes none
}

// writes lists every write of the store. The launch that most of them need is launchOf(10, anna, bernd).
func writes() []write {
	l, two := launchOf(10, anna, bernd), launchOf(20, anna, bernd, carla)
	fence := revoke.Fence{Run: l.Run.ID, Owner: "one", Epoch: 1}
	row := session(1, anna)
	p := previewOf(200, anna)
	previewIs := func(t *testing.T, db *store.DB, s revoke.PreviewState) bool {
		got, err := db.Revoke().Preview(t.Context(), p.ID)
		return err == nil && got.State == s
	}
	begun := func(t *testing.T, db *store.DB) { begin(t, db, p) }
	filled := func(t *testing.T, db *store.DB) { begin(t, db, p); add(t, db, p.ID, people(3)...) }
	isProtected := func(t *testing.T, db *store.DB) bool {
		list, err := db.Revoke().Protected(t.Context())
		return err == nil && len(list) == 1
	}
	isSaved := func(t *testing.T, db *store.DB) bool {
		_, err := db.Revoke().SavedScope(t.Context(), id(1))
		return err == nil
	}
	launched := func(t *testing.T, db *store.DB) { launch(t, db, l) }
	signedIn := func(t *testing.T, db *store.DB) { signIn(t, db, row, nil) }
	none := func(*testing.T, *store.DB) {}
	events := func(t *testing.T, db *store.DB, before int64) bool { return newest(t, db) > before }
	runIs := func(t *testing.T, db *store.DB, s revoke.RunState) bool {
		run, err := db.Revoke().Run(t.Context(), l.Run.ID)
		return err == nil && run.State == s
	}
	hasSession := func(t *testing.T, db *store.DB) bool {
		_, err := db.Sessions().Session(t.Context(), row.IDHash)
		return err == nil
	}
	return []write{
		{"bind", none, func(ctx context.Context, db *store.DB) error {
			return db.Ledger().Bind(ctx, cloud, tenant, event(audit.LedgerOpened, 1))
		}, func(t *testing.T, db *store.DB) (bool, bool) { e := events(t, db, 0); return e, e }},
		{"append", none, func(ctx context.Context, db *store.DB) error {
			return db.Ledger().Append(ctx, event(audit.OutsideAction, 1))
		}, func(t *testing.T, db *store.DB) (bool, bool) { e := events(t, db, 0); return e, e }},
		{"checkpoint", none, func(ctx context.Context, db *store.DB) error {
			return db.Ledger().SaveCheckpoint(ctx, audit.Checkpoint{Size: 1, Note: "a note"}, noon)
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			_, s, err := db.Ledger().LastCheckpoint(t.Context(), 1)
			return s && err == nil, s
		}},
		{"remove", func(t *testing.T, db *store.DB) { appended(t, db, 1); sealed(t, db) }, func(ctx context.Context, db *store.DB) error {
			c, _, err := db.Ledger().LastCheckpoint(ctx, 1)
			return errors.Join(err, db.Ledger().Remove(ctx, audit.Removal{Through: 1, Root: c.Root, Events: 1}, event(audit.LedgerRemoved, 2)))
		}, func(t *testing.T, db *store.DB) (bool, bool) { e := events(t, db, 1); return e, e }},
		{"launch", none, func(ctx context.Context, db *store.DB) error {
			_, err := db.Revoke().Launch(ctx, l)
			return err
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			return runIs(t, db, revoke.RunRunning), events(t, db, 0)
		}},
		{"claim", launched, func(ctx context.Context, db *store.DB) error {
			_, _, err := db.Revoke().Claim(ctx, revoke.Slice{Run: l.Run.ID, Epoch: 2}, "two", noon.Add(lease), lease)
			return err
		}, func(t *testing.T, db *store.DB) (bool, bool) { s := len(due(t, db, noon.Add(lease))) == 0; return s, s }},
		{"release", launched, func(ctx context.Context, db *store.DB) error {
			return db.Revoke().Release(ctx, fence, noon)
		}, func(t *testing.T, db *store.DB) (bool, bool) { s := len(due(t, db, noon)) == 1; return s, s }},
		{"commit", launched, func(ctx context.Context, db *store.DB) error {
			step := accept(l)
			step.End = revoke.RunFinished
			_, err := db.Revoke().Commit(ctx, fence, step)
			return err
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			return runIs(t, db, revoke.RunFinished), events(t, db, 1)
		}},
		{"commit", func(t *testing.T, db *store.DB) { launch(t, db, two) }, func(ctx context.Context, db *store.DB) error {
			step := wanting(1)
			step.Now = noon
			_, err := db.Revoke().Commit(ctx, revoke.Fence{Run: two.Run.ID, Owner: "one", Epoch: 1}, step)
			return err
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			run, targets := read(t, db, two.Run.ID)
			taken := quota(t, db).Tokens < revoke.QuotaBurst-1
			if began := run.Next == 2; began != (len(targets) == 2) || began != taken {
				t.Errorf("next %d, %d targets, calls taken %v: the grant parted", run.Next, len(targets), taken)
			}
			return run.Next == 2, events(t, db, 1)
		}},
		{"ask", launched, func(ctx context.Context, db *store.DB) error {
			return db.Revoke().Ask(ctx, l.Run.ID, revoke.WishCancel, []audit.Event{runEvent(audit.RunStopping, 9, l.Run.ID)})
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			run, _ := read(t, db, l.Run.ID)
			return run.Wish == revoke.WishCancel, events(t, db, 1)
		}},
		{"quota", none, func(ctx context.Context, db *store.DB) error {
			return db.Revoke().SizeQuota(ctx, 300)
		}, func(t *testing.T, db *store.DB) (bool, bool) { s := quota(t, db).Burst == 300; return s, s }},
		{"preview", none, func(ctx context.Context, db *store.DB) error {
			return db.Revoke().BeginPreview(ctx, p)
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			s := previewIs(t, db, revoke.PreviewExpanding)
			return s, s
		}},
		{"candidates", begun, func(ctx context.Context, db *store.DB) error {
			_, err := db.Revoke().AddCandidates(ctx, p.ID, people(2), "adding", noon)
			return err
		}, func(t *testing.T, db *store.DB) (bool, bool) { s := preview(t, db, p.ID).Found == 2; return s, s }},
		{"freeze", filled, func(ctx context.Context, db *store.DB) error {
			_, err := db.Revoke().Freeze(ctx, p.ID, revoke.Facts{}, noon, func(revoke.Preview) []audit.Event {
				return []audit.Event{event(audit.PlanPreviewed, 9)}
			})
			return err
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			return previewIs(t, db, revoke.PreviewReady), events(t, db, 0)
		}},
		{"fail-preview", begun, func(ctx context.Context, db *store.DB) error {
			return db.Revoke().FailPreview(ctx, p.ID, "why", noon)
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			s := previewIs(t, db, revoke.PreviewFailed)
			return s, s
		}},
		{"purge", filled, func(ctx context.Context, db *store.DB) error {
			return db.Revoke().PurgePreviews(ctx, noon.Add(time.Hour))
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			_, err := db.Revoke().Preview(t.Context(), p.ID)
			s := errors.Is(err, revoke.ErrNotFound)
			return s, s
		}},
		{"protect", none, func(ctx context.Context, db *store.DB) error {
			return db.Revoke().Protect(ctx, protectedOf(bernd), []audit.Event{event(audit.SettingsChanged, 1)})
		}, func(t *testing.T, db *store.DB) (bool, bool) { return isProtected(t, db), events(t, db, 0) }},
		{"unprotect", func(t *testing.T, db *store.DB) { protect(t, db, bernd) }, func(ctx context.Context, db *store.DB) error {
			return db.Revoke().Unprotect(ctx, bernd, []audit.Event{event(audit.SettingsChanged, 1)})
		}, func(t *testing.T, db *store.DB) (bool, bool) { return !isProtected(t, db), events(t, db, 0) }},
		{"scope", none, func(ctx context.Context, db *store.DB) error {
			_, err := db.Revoke().SaveScope(ctx, scopeOf(1, "", anna))
			return err
		}, func(t *testing.T, db *store.DB) (bool, bool) { s := isSaved(t, db); return s, s }},
		{"delete-scope", func(t *testing.T, db *store.DB) { save(t, db, scopeOf(1, "", anna)) }, func(ctx context.Context, db *store.DB) error {
			return db.Revoke().DeleteScope(ctx, id(1), anna)
		}, func(t *testing.T, db *store.DB) (bool, bool) { s := !isSaved(t, db); return s, s }},
		{"resume", func(t *testing.T, db *store.DB) {
			commit(t, db, launch(t, db, l), revoke.Step{Now: noon, Lease: lease, End: revoke.RunPaused})
		}, func(ctx context.Context, db *store.DB) error {
			_, err := db.Revoke().Resume(ctx, revoke.Resumption{
				Run: l.Run.ID, Operator: l.Run.Operator.OID, Token: []byte("t"), TokenExpires: noon, Now: noon,
				Events: []audit.Event{event(audit.RunResumed, 9)},
			})
			return err
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			return runIs(t, db, revoke.RunRunning), events(t, db, 1)
		}},
		{"sign-in", none, func(ctx context.Context, db *store.DB) error {
			return db.Sessions().SignIn(ctx, row, nil, []audit.Event{event(audit.SignedIn, 1)})
		}, func(t *testing.T, db *store.DB) (bool, bool) { return hasSession(t, db), events(t, db, 0) }},
		{"session", signedIn, func(ctx context.Context, db *store.DB) error {
			changed := row
			changed.LastSeen = noon.Add(time.Minute)
			return db.Sessions().Update(ctx, changed)
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			got, _ := db.Sessions().Session(t.Context(), row.IDHash)
			s := got.LastSeen.After(noon)
			return s, s
		}},
		{"sign-out", signedIn, func(ctx context.Context, db *store.DB) error {
			return db.Sessions().SignOut(ctx, row.IDHash, []audit.Event{event(audit.SignedOut, 1)})
		}, func(t *testing.T, db *store.DB) (bool, bool) { return !hasSession(t, db), events(t, db, 0) }},
		{"expire", signedIn, func(ctx context.Context, db *store.DB) error {
			return db.Sessions().Expire(ctx, noon.Add(24*time.Hour), time.Hour)
		}, func(t *testing.T, db *store.DB) (bool, bool) { s := !hasSession(t, db); return s, s }},
	}
}

// Each write with an error before and after its commit: before, nothing of it is there; after, all of it is, and the
// caller has to look. State and events never part.
func TestAWriteHappensWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	long(t)
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		_ = open // each case has a database of its own
		engine := storetest.SQLite
		if open().Engine() == "PostgreSQL" {
			engine = storetest.Postgres
		}
		for _, w := range writes() {
			for point, want := range map[string]bool{":before-commit": false, ":after-commit": true} {
				full := errors.New("disk full")
				armed := false
				o := engine(t)
				o.Hook = func(at string) error {
					if armed && at == w.op+point {
						return full
					}
					return nil
				}
				db, err := store.Open(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				w.prepare(t, db)
				armed = true
				if err := w.do(t.Context(), db); !errors.Is(err, full) {
					t.Errorf("%s%s: got %v, want the error of the hook", w.op, point, err)
				}
				if state, event := w.happened(t, db); state != want || event != want {
					t.Errorf("%s%s: state changed %v, event there %v, want %v", w.op, point, state, event, want)
				}
				armed = false
				if !want {
					if err := w.do(t.Context(), db); err != nil {
						t.Errorf("%s again: %v", w.op, err)
					}
					if state, event := w.happened(t, db); !state || !event {
						t.Errorf("%s again: state changed %v, event there %v", w.op, state, event)
					}
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// The process dies between two commits and starts anew: what was recorded is there, and the run can be claimed.
func TestAnIntentOutlivesTheProcessThatRecordedIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd)
		stale := launch(t, db, l)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open()
		now := noon // on SQLite at once: nobody else can hold the run
		if db.Engine() == "PostgreSQL" {
			now = noon.Add(lease)
		}
		f, ok := claim(t, db, l.Run.ID, "two", now)
		if !ok {
			t.Fatal("the run cannot be claimed")
		}
		_, targets, err := db.Revoke().Work(t.Context(), f)
		if err != nil || len(targets) != 1 || targets[0].State != revoke.Attempting || targets[0].Attempt != 1 {
			t.Errorf("found %+v (%v), want the intent", targets, err)
		}
		if err := refused(t, db, stale, accept(l)); !errors.Is(err, revoke.ErrFenced) {
			t.Errorf("the dead worker's commit: %v, want ErrFenced", err)
		}
	})
}

func TestACancelledContextEndsAWriteWithoutATrace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		ctx, cancel := context.WithCancel(t.Context())
		db := open(func(o *store.Options) {
			o.Hook = func(string) error { cancel(); return nil }
		})
		if err := db.Ledger().Append(ctx, event(audit.SignedIn, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
		if err := db.Ledger().Append(t.Context(), event(audit.SignedIn, 2)); err != nil {
			t.Errorf("the next write: %v", err)
		}
		if got := newest(t, db); got != 1 {
			t.Errorf("the ledger has %d events, want 1", got)
		}
	})
}

// Two writers that met each other are no reason to fail: the one that PostgreSQL gave up on is tried again, whole.
func TestAWriteThatMetAnotherOneIsTriedAgain(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]int64{"40P01": 2, "40001": 2, "23505": 0} { // 23505: unique_violation, an error for good
		o := storetest.Postgres(t)
		failed := false
		o.Hook = func(point string) error {
			if point == "append:before-commit" && !failed {
				failed = true
				return &pgconn.PgError{Code: code}
			}
			return nil
		}
		db, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Ledger().Append(t.Context(), event(audit.SignedIn, 1), event(audit.SignedOut, 2))
		if got := newest(t, db); got != want || (err == nil) != (want > 0) {
			t.Errorf("after %s: %d events, error %v; want %d events", code, got, err, want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
