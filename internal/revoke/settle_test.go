package revoke_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/revoke"
)

func TestAnExternalAccountIsNeverConfirmed(t *testing.T) {
	guest := victim
	guest.ID, guest.UPN = "cccccccc-0000-4000-8000-000000000001", "guest_partner.example#EXT#@corp.example"
	guest.Identities = []directory.Identity{{SignInType: "federated", Issuer: "ExternalAzureAD"}}
	each(t, func(w *world) {
		w.graph.add(guest)
		req := revoke.Request{Target: guest.ID, Reason: "phished"}
		_, _, err := w.svc.RevokeOne(t.Context(), actor(helpdesk), req)
		if e, ok := errors.AsType[*fault.Error](err); !ok || e.Field != "external_ok" {
			t.Fatalf("without insisting: %v, want an error beside the box", err)
		}
		if len(w.graph.calls) != 0 || w.kinds() != "" {
			t.Fatalf("without insisting: %d calls, ledger %q, want nothing", len(w.graph.calls), w.kinds())
		}
		req.IncludeExternal = true
		_, target := w.revoke(req) // the fake Graph even moves the stamp
		if target.State != revoke.NotCovered {
			t.Errorf("outcome = %s, want not covered", target.State)
		}
		w.graph.script = []call{w.graph.lost(true)} // so that only the stamp, which moved, could tell
		if _, target = w.revoke(req); target.State != revoke.NotCovered {
			t.Errorf("after a lost answer the outcome = %s, want not covered", target.State)
		}
	})
}

func TestAnAccountThatTurnedExternalSinceIsNotConfirmed(t *testing.T) {
	for name, turn := range map[string]func(u *directory.User){
		"surely": func(u *directory.User) {
			u.Identities[0] = directory.Identity{SignInType: "federated", Issuer: "ExternalAzureAD"}
		},
		"possibly": func(u *directory.User) { u.Identities = nil },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.graph.script = []call{func(oid, token string) (directory.Answer, error) {
					w.graph.mu.Lock()
					u := w.graph.users[oid]
					u.Identities = slices.Clone(u.Identities)
					turn(u)
					w.graph.mu.Unlock()
					return w.graph.works(oid, token)
				}}
				run, target := w.revoke(ask)
				if target.State != revoke.NotCovered || !strings.Contains(target.Message, "home tenant") {
					w.t.Errorf("outcome = %s (%s), want not covered", target.State, target.Message)
				}
				w.checkAttempts(run, target)
			})
		})
	}
}

func TestThrottlingEndsSomewhere(t *testing.T) {
	each(t, func(w *world) {
		for range 200 {
			w.graph.script = append(w.graph.script, answers(429, "TooManyRequests", 0))
		}
		run, target := w.revoke(ask)
		if target.State != revoke.Failed || !strings.Contains(target.Message, "for an hour") || len(w.graph.calls) > 30 {
			t.Errorf("outcome %s (%s) after %d calls, want failed after an hour of growing waits", target.State, target.Message, len(w.graph.calls))
		}
		w.checkAttempts(run, target)
	})
}

func TestAReadBackThatNeverWorksSaysSo(t *testing.T) {
	each(t, func(w *world) {
		w.graph.reads = []func(string) (time.Time, error){func(string) (time.Time, error) {
			return time.Time{}, &directory.CallError{Status: 403, Code: "Authorization_RequestDenied", RequestID: "read-1"}
		}}
		_, target := w.revoke(ask)
		if target.State != revoke.Unconfirmed || !strings.Contains(target.Message, "403") || !strings.Contains(target.Message, "read-1") {
			t.Errorf("outcome %s, cause %q, want unconfirmed with Graph's answer and request id", target.State, target.Message)
		}
	})
}

func TestAFailureOfTheSignInServiceIsNotBlamedOnGraph(t *testing.T) {
	each(t, func(w *world) {
		for range 4 {
			w.graph.script = append(w.graph.script, func(string, string) (directory.Answer, error) {
				return directory.Answer{}, fault.New(fault.Unavailable, "Microsoft refuses the console's own credential.")
			})
		}
		if _, target := w.revoke(ask); !strings.Contains(target.Message, "own credential") {
			t.Errorf("cause = %q, want the token source's words", target.Message)
		}
	})
}

func TestAStampOfALaterRevocationIsNotCreditedToThisOne(t *testing.T) {
	each(t, func(w *world) {
		w.graph.script = []call{w.graph.accepts}
		old, later := w.clock.Now().Add(-time.Hour), w.clock.Now().Add(20*time.Second)
		w.graph.reads = []func(string) (time.Time, error){
			func(string) (time.Time, error) { return old, nil }, func(string) (time.Time, error) { return later, nil },
		}
		if _, target := w.revoke(ask); target.State != revoke.Confirmed || !strings.Contains(target.Settled, "another revocation") {
			t.Errorf("outcome %s, settled %q, want confirmed by another revocation", target.State, target.Settled)
		}
	})
}

func TestTheTimeOfAnAttemptWaitsForGraphsClock(t *testing.T) {
	each(t, func(w *world) {
		w.graph.script = []call{answers(429, "TooManyRequests", time.Minute)}
		id, done, err := w.svc.RevokeOne(t.Context(), actor(helpdesk), ask)
		if err != nil {
			t.Fatal(err)
		}
		<-done
		w.graph.unknown, w.graph.ahead = true, 40*time.Second // another process, which has asked Graph nothing yet
		w.graph.script = []call{func(string, string) (directory.Answer, error) {
			return directory.Answer{Status: 200, Date: w.clock.Now().Add(w.graph.ahead)}, nil
		}}
		w.graph.reads = []func(string) (time.Time, error){func(string) (time.Time, error) {
			w.graph.unknown = false
			return w.clock.Now().Add(w.graph.ahead), nil
		}}
		_, target := w.settle(id)
		if got := target.T0.Sub(target.StartedAt); got != 40*time.Second || target.State != revoke.Confirmed {
			t.Errorf("T0 is %v ahead of our clock, outcome %s, want 40s and confirmed", got, target.State)
		}
	})
}
