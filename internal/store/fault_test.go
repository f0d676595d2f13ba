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
	l := launchOf(10, anna, bernd)
	fence := revoke.Fence{Run: l.Run.ID, Owner: "one", Epoch: 1}
	row := session(1, anna)
	launched := func(t *testing.T, db *store.DB) { launch(t, db, l) }
	signedIn := func(t *testing.T, db *store.DB) { signIn(t, db, row, nil) }
	none := func(*testing.T, *store.DB) {}
	events := func(t *testing.T, db *store.DB, before int64) bool { return newest(t, db) > before }
	runIs := func(t *testing.T, db *store.DB, s revoke.RunState) bool {
		run, _, err := db.Revoke().Run(t.Context(), l.Run.ID)
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
		{"launch", none, func(ctx context.Context, db *store.DB) error {
			_, err := db.Revoke().Launch(ctx, l)
			return err
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			return runIs(t, db, revoke.RunRunning), events(t, db, 0)
		}},
		{"claim", launched, func(ctx context.Context, db *store.DB) error {
			_, _, err := db.Revoke().Claim(ctx, l.Run.ID, "two", noon.Add(lease), lease)
			return err
		}, func(t *testing.T, db *store.DB) (bool, bool) { s := len(due(t, db, noon.Add(lease))) == 0; return s, s }},
		{"release", launched, func(ctx context.Context, db *store.DB) error {
			return db.Revoke().Release(ctx, fence, noon)
		}, func(t *testing.T, db *store.DB) (bool, bool) { s := len(due(t, db, noon)) == 1; return s, s }},
		{"commit", launched, func(ctx context.Context, db *store.DB) error {
			step := accept(l)
			step.End = revoke.RunFinished
			return db.Revoke().Commit(ctx, fence, step)
		}, func(t *testing.T, db *store.DB) (bool, bool) {
			return runIs(t, db, revoke.RunFinished), events(t, db, 1)
		}},
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
		if err := db.Revoke().Commit(t.Context(), stale, accept(l)); !errors.Is(err, revoke.ErrFenced) {
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
