package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

func signIn(t *testing.T, db *store.DB, row auth.SessionRow, replaces []byte, events ...audit.Event) {
	t.Helper()
	if err := db.Sessions().SignIn(t.Context(), row, replaces, events); err != nil {
		t.Fatalf("signing in: %v", err)
	}
}

func TestASessionComesBackWithEveryField(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		acts, reads := session(1, anna), session(2, bernd)
		reads.Cache = nil
		signIn(t, db, acts, nil, event(audit.SignedIn, 1))
		signIn(t, db, reads, nil)
		for _, want := range []auth.SessionRow{acts, reads} {
			got, err := db.Sessions().Session(t.Context(), want.IDHash)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
		}
		if newest(t, db) != 1 {
			t.Errorf("the ledger has %d events, want 1", newest(t, db))
		}
		if _, err := db.Sessions().Session(t.Context(), []byte("nope")); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("a missing session: %v", err)
		}
	})
}

func TestSigningInReplacesTheFormerSession(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		signIn(t, db, session(1, anna), nil)
		signIn(t, db, session(2, anna), session(1, anna).IDHash)
		if _, err := db.Sessions().Session(t.Context(), session(1, anna).IDHash); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("the former session: %v, want ErrNoSession", err)
		}
		if err := db.Sessions().SignIn(t.Context(), session(2, bernd), nil, []audit.Event{event(audit.SignedIn, 1)}); err == nil {
			t.Error("a session took over another one's id")
		}
		if got, _ := db.Sessions().Session(t.Context(), session(2, "").IDHash); got.OID != anna || newest(t, db) != 0 {
			t.Errorf("the session is %s's, with %d events", got.OID, newest(t, db))
		}
	})
}

func TestALateWriterDoesNotBringASessionBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		row := session(1, anna)
		signIn(t, db, row, nil)
		row.Sealed, row.Cache, row.LastSeen = []byte("new"), nil, noon.Add(time.Minute)
		if err := db.Sessions().Update(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		got, err := db.Sessions().Session(t.Context(), row.IDHash)
		if diff := cmp.Diff(row, got); diff != "" || err != nil {
			t.Errorf("updated session (%v) (-want +got):\n%s", err, diff)
		}
		if err := db.Sessions().SignOut(t.Context(), row.IDHash, []audit.Event{event(audit.SignedOut, 1)}); err != nil {
			t.Fatal(err)
		}
		if err := db.Sessions().Update(t.Context(), row); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("a late update: %v, want ErrNoSession", err)
		}
		if _, err := db.Sessions().Session(t.Context(), row.IDHash); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("the session is back: %v", err)
		}
	})
}

func TestSigningOutTwiceIsRecordedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		signIn(t, db, session(1, anna), nil)
		for i := range 2 {
			if err := db.Sessions().SignOut(t.Context(), session(1, anna).IDHash, []audit.Event{event(audit.SignedOut, i)}); err != nil {
				t.Errorf("signing out: %v", err)
			}
		}
		if got := newest(t, db); got != 1 {
			t.Errorf("the ledger has %d events, want 1", got)
		}
	})
}

func TestExpireEndsSessionsByEitherLimitAndOldRunTokens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		const idle = 30 * time.Minute
		now := noon.Add(2 * time.Hour)
		alive, idled, ended := session(1, anna), session(2, anna), session(3, anna)
		alive.LastSeen, alive.ExpiresAt = now.Add(-idle+time.Millisecond), now.Add(time.Millisecond)
		idled.LastSeen, idled.ExpiresAt = now.Add(-idle), now.Add(time.Hour)
		ended.LastSeen, ended.ExpiresAt = now, now
		for _, row := range []auth.SessionRow{alive, idled, ended} {
			signIn(t, db, row, nil)
		}
		old, young := launchOf(10, anna, bernd), launchOf(20, anna, bernd)
		old.TokenExpires, young.TokenExpires = now, now.Add(time.Millisecond)
		launch(t, db, old)
		launch(t, db, young)
		if err := db.Sessions().Expire(t.Context(), now, idle); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			row  auth.SessionRow
			gone bool
		}{"alive": {alive, false}, "idle": {idled, true}, "ended": {ended, true}} {
			if _, err := db.Sessions().Session(t.Context(), c.row.IDHash); errors.Is(err, auth.ErrNoSession) != c.gone {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, c := range map[string]struct {
			run  revoke.RunID
			gone bool
		}{"old": {old.Run.ID, true}, "young": {young.Run.ID, false}} {
			if _, err := db.Revoke().RunToken(t.Context(), c.run); errors.Is(err, revoke.ErrNotFound) != c.gone {
				t.Errorf("the %s token: %v", name, err)
			}
		}
	})
}
