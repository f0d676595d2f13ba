package revoke_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"evict/internal/auth"
	"evict/internal/directory"
	"evict/internal/revoke"
)

func session(oid string, n byte) auth.SessionRow {
	now := time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)
	return auth.SessionRow{IDHash: []byte{n}, OID: oid, TID: tenant, Sealed: []byte("s"), Cache: []byte("c"), IssuedAt: now, CreatedAt: now, LastSeen: now, ExpiresAt: now.Add(8 * time.Hour)}
}

func TestAnOperatorWhoIsRevokedLosesTheirConsoleSessions(t *testing.T) {
	each(t, func(w *world) {
		sessions := w.db.Sessions()
		for i, oid := range []string{victim.ID, victim.ID, helpdesk.OID} {
			if err := sessions.SignIn(t.Context(), session(oid, byte(i+1)), nil, nil); err != nil {
				t.Fatalf("SignIn: %v", err)
			}
		}
		if _, target := w.revoke(ask); target.State != revoke.Confirmed {
			t.Fatalf("outcome = %s, want confirmed", target.State)
		}
		for n, want := range map[byte]error{1: auth.ErrNoSession, 2: auth.ErrNoSession, 3: nil} {
			if _, err := sessions.Session(t.Context(), []byte{n}); !errors.Is(err, want) {
				t.Errorf("session %d: %v, want %v", n, err, want)
			}
		}
		if !strings.Contains(w.kinds(), "target.accepted session.signed_out") {
			t.Errorf("ledger = %s, want the sign-out beside the acceptance", w.kinds())
		}
	})
}

func TestOneselfIsConfirmedAtTheNextSignIn(t *testing.T) {
	each(t, func(w *world) {
		me := victim
		me.ID, me.UPN = helpdesk.OID, helpdesk.UPN
		w.graph.add(me)
		if err := w.db.Sessions().SignIn(t.Context(), session(helpdesk.OID, 1), nil, nil); err != nil {
			t.Fatalf("SignIn: %v", err)
		}
		run, target := w.revoke(revoke.Request{Self: true, Reason: "laptop stolen"})
		if run.State != revoke.RunPaused || target.State != revoke.Accepted || w.graph.self != 1 {
			t.Fatalf("run %s, target %s, %d calls of /me, want paused, accepted, 1", run.State, target.State, w.graph.self)
		}
		if _, err := w.db.Sessions().Session(t.Context(), []byte{1}); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("the console session: %v, want it gone", err)
		}
		if err := w.svc.ConfirmOwn(t.Context(), helpdesk, source{}); err != nil {
			t.Fatalf("ConfirmOwn: %v", err)
		}
		w.ended(run.ID)
		if _, target = w.read(run.ID); target.State != revoke.Confirmed || len(w.graph.calls) != 1 {
			t.Errorf("at the next sign-in: %s after %d calls, want confirmed after 1", target.State, len(w.graph.calls))
		}
	})
}

func TestOneselfIsConfirmedThoughTheStampLagsBehindTheSignIn(t *testing.T) {
	each(t, func(w *world) {
		me := victim
		me.ID, me.UPN = helpdesk.OID, helpdesk.UPN
		w.graph.add(me)
		old, now := w.clock.Now().Add(-time.Hour), w.clock.Now()
		before := func(string) (time.Time, error) { return old, nil }
		run, _ := w.revoke(revoke.Request{Target: helpdesk.OID, Reason: "by one's own card"}) // the same as /me
		if !run.Self {
			t.Fatal("revoking oneself by object id goes round /me")
		}
		w.clock.Advance(30 * time.Minute) // the schedule of the first try is long over
		w.graph.mu.Lock()                 // a reading that was given up may still be under way
		w.graph.reads = []func(string) (time.Time, error){
			func(string) (time.Time, error) { return time.Time{}, &directory.CallError{Status: 503} },
			before, before, before, before, before, func(string) (time.Time, error) { return now, nil },
		}
		w.graph.mu.Unlock()
		if err := w.svc.ConfirmOwn(t.Context(), helpdesk, source{}); err != nil {
			t.Fatalf("ConfirmOwn: %v", err)
		}
		w.ended(run.ID)
		if _, target := w.read(run.ID); target.State != revoke.Confirmed {
			t.Errorf("outcome = %s (%s), want confirmed", target.State, target.Message)
		}
	})
}

// patience is how long a test waits for what must come; it is spent only where it does not.
const patience = 2 * time.Minute

// ended waits for the run's own worker to end it.
func (w *world) ended(id revoke.RunID) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if run, _ := w.read(id); run.State != revoke.RunRunning {
			return
		}
	}
	w.t.Fatalf("run %s did not end", id)
}
