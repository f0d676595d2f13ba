package revoke_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

type call = func(string, string) (directory.Answer, error)

func TestEveryAnswerEndsInOneTrueOutcome(t *testing.T) {
	always := func(c call, n int) (out []call) {
		for range n {
			out = append(out, c)
		}
		return out
	}
	tests := []struct {
		name    string
		script  func(g *graph) []call
		reads   func(g *graph) []func(string) (time.Time, error)
		want    revoke.State
		calls   int
		message string // part of the cause that is shown
		settled bool
	}{
		{name: "accepted and read back", want: revoke.Confirmed, calls: 1},
		{
			name: "refused once, allowed with a newly issued token", want: revoke.Confirmed, calls: 2,
			script: func(g *graph) []call {
				return []call{answers(403, "Authorization_RequestDenied", 0), func(oid, token string) (directory.Answer, error) {
					if token != "fresh" {
						return answers(403, "stale token", 0)(oid, token)
					}
					return g.works(oid, token)
				}}
			},
		},
		{
			name: "refused twice", want: revoke.Refused, calls: 2, message: "Authorization_RequestDenied",
			script: func(*graph) []call { return always(answers(403, "Authorization_RequestDenied", 0), 2) },
		},
		{
			name: "deleted meanwhile", want: revoke.Skipped, calls: 1, message: "no longer in the directory",
			script: func(*graph) []call { return always(answers(404, "Request_ResourceNotFound", 0), 1) },
		},
		{
			name: "throttled three times", want: revoke.Confirmed, calls: 4,
			script: func(*graph) []call { return always(answers(429, "TooManyRequests", 90*time.Second), 3) },
		},
		{
			name: "a bad request is not repeated", want: revoke.Failed, calls: 1, message: "Request_BadRequest",
			script: func(*graph) []call { return always(answers(400, "Request_BadRequest", 0), 1) },
		},
		{
			name: "503 once", want: revoke.Confirmed, calls: 2,
			script: func(*graph) []call { return always(answers(503, "ServiceUnavailable", 0), 1) },
		},
		{
			name: "503 for ever", want: revoke.Failed, calls: 4, message: "answered 503",
			script: func(*graph) []call { return always(answers(503, "ServiceUnavailable", 0), 9) },
		},
		{
			name: "504 although it took effect", want: revoke.Confirmed, calls: 1, settled: true,
			script: func(g *graph) []call {
				return []call{func(oid, token string) (directory.Answer, error) {
					_, _ = g.works(oid, token)
					return answers(504, "GatewayTimeout", 0)(oid, token)
				}}
			},
		},
		{
			name: "answer lost, took effect", want: revoke.Confirmed, calls: 1, settled: true,
			script: func(g *graph) []call { return []call{g.lost(true)} },
		},
		{
			name: "answer lost, no effect", want: revoke.Confirmed, calls: 2,
			script: func(g *graph) []call { return []call{g.lost(false)} },
		},
		{
			name: "every answer lost, no effect", want: revoke.Unconfirmed, calls: 4, message: "answer was lost",
			script: func(g *graph) []call { return always(g.lost(false), 9) },
		},
		{
			name: "time-out", want: revoke.Confirmed, calls: 2,
			script: func(*graph) []call {
				return []call{func(string, string) (directory.Answer, error) {
					return directory.Answer{}, &directory.CallError{Sent: true, Err: context.DeadlineExceeded}
				}}
			},
		},
		{
			name: "never reached Graph", want: revoke.Failed, calls: 4, message: "Nothing was sent",
			script: func(*graph) []call {
				return always(func(string, string) (directory.Answer, error) {
					return directory.Answer{}, &directory.CallError{Err: errors.New("connection refused")}
				}, 9)
			},
		},
		{
			name: "sign-in service out of reach", want: revoke.Failed, calls: 4,
			script: func(*graph) []call {
				return always(func(string, string) (directory.Answer, error) {
					return directory.Answer{}, fault.New(fault.Unavailable, "Entra does not answer")
				}, 9)
			},
		},
		{
			name: "the stamp never moves", want: revoke.Unconfirmed, calls: 2, message: "has not moved",
			script: func(g *graph) []call { return always(g.accepts, 2) },
		},
		{
			name: "the stamp moves late", want: revoke.Confirmed, calls: 1,
			reads: func(g *graph) []func(string) (time.Time, error) {
				t0 := g.w.clock.Now()
				old := func(string) (time.Time, error) { return t0.Add(-time.Hour), nil }
				return []func(string) (time.Time, error){old, old, old, old, old, func(string) (time.Time, error) { return t0, nil }}
			},
		},
		{
			name: "dated in the future", want: revoke.Unconfirmed, calls: 2, message: "future",
			reads: func(g *graph) []func(string) (time.Time, error) {
				return []func(string) (time.Time, error){func(string) (time.Time, error) { return g.w.clock.Now().AddDate(1, 0, 0), nil }}
			},
		},
		{
			name: "reading back fails for a while", want: revoke.Confirmed, calls: 1,
			reads: func(g *graph) []func(string) (time.Time, error) {
				bad := func(string) (time.Time, error) { return time.Time{}, &directory.CallError{Status: 503} }
				now := g.w.clock.Now()
				return []func(string) (time.Time, error){bad, bad, func(string) (time.Time, error) { return now, nil }}
			},
		},
		{
			name: "deleted before it could be read back", want: revoke.Unconfirmed, calls: 1, message: "deleted",
			reads: func(*graph) []func(string) (time.Time, error) {
				return []func(string) (time.Time, error){func(string) (time.Time, error) { return time.Time{}, &directory.CallError{Status: 404} }}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(w *world) {
				if tt.script != nil {
					w.graph.script = tt.script(w.graph)
				}
				if tt.reads != nil {
					w.graph.reads = tt.reads(w.graph)
				}
				run, target := w.revoke(ask)
				if target.State != tt.want || run.State != revoke.RunFinished {
					t.Errorf("outcome = %s in a %s run, want %s in a finished one (%s)", target.State, run.State, tt.want, target.Message)
				}
				if len(w.graph.calls) != tt.calls {
					t.Errorf("%d revocations were called, want %d", len(w.graph.calls), tt.calls)
				}
				if !strings.Contains(target.Message, tt.message) {
					t.Errorf("cause = %q, want it to say %q", target.Message, tt.message)
				}
				if (target.Settled != "") != tt.settled {
					t.Errorf("settled = %q, want it set: %v", target.Settled, tt.settled)
				}
				w.checkAttempts(run, target)
			})
		})
	}
}

// checkAttempts is rule 5: each attempt has its own intent and exactly one outcome, and the run ends with its count.
func (w *world) checkAttempts(run revoke.Run, target revoke.RunTarget) {
	w.t.Helper()
	outcome := map[audit.Kind]bool{
		audit.TargetConfirmed: true, audit.TargetUnconfirmed: true, audit.TargetNotCovered: true,
		audit.TargetRefused: true, audit.TargetFailed: true, audit.TargetSkipped: true,
	}
	intents, outcomes, ofRun := map[int]int{}, map[int]int{}, 0
	var last audit.Event
	for _, e := range w.events() {
		if e.Run == string(run.ID) {
			ofRun++
			last = e
		}
		if e.Kind == audit.TargetAttempted {
			intents[e.Attempt]++
		}
		if outcome[e.Kind] {
			outcomes[e.Attempt]++
		}
	}
	for n := 1; n <= target.Attempt; n++ {
		if intents[n] != 1 || outcomes[n] != 1 {
			w.t.Errorf("attempt %d has %d intents and %d outcomes, want one of each", n, intents[n], outcomes[n])
		}
	}
	if len(w.graph.calls) > target.Attempt {
		w.t.Errorf("%d calls for %d intents", len(w.graph.calls), target.Attempt)
	}
	if last.Kind != audit.RunFinished || last.Detail["events"] != strconv.Itoa(ofRun) || last.Detail[string(target.State)] != "1" {
		w.t.Errorf("the run's last event = %s %v, want run.finished with %d events and one %s", last.Kind, last.Detail, ofRun, target.State)
	}
}

func TestAConfirmedRevocationTellsItsWholeStory(t *testing.T) {
	each(t, func(w *world) {
		w.revoke(ask)
		want := "plan.created run.started target.attempted target.accepted target.confirmed run.finished"
		if got := w.kinds(); got != want {
			t.Fatalf("ledger = %s\nwant     %s", got, want)
		}
		for _, e := range w.events() {
			if e.Reason != ask.Reason || e.Ticket != ask.Ticket || e.Operator.OID != helpdesk.OID || e.Operator.Address != helpdesk.Address {
				t.Errorf("%s names operator %v, reason %q, ticket %q", e.Kind, e.Operator, e.Reason, e.Ticket)
			}
		}
		confirmed := w.events()[4]
		if ev := confirmed.Evidence; ev.T0 == "" || ev.After == "" || ev.RequestID != "graph-1" || ev.Status != 200 || ev.ClientRequestID == "" {
			t.Errorf("evidence = %+v, want all of it", ev)
		}
	})
}

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
	})
}

func TestNothingIsCalledWhenTheIntentCannotBeRecorded(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		w := newWorld(t, open, failing("launch:before-commit", 1))
		_, _, err := w.svc.RevokeOne(t.Context(), actor(helpdesk), ask)
		if _, ok := errors.AsType[*revoke.NotRecordedError](err); !ok {
			t.Fatalf("RevokeOne = %v, want NotRecordedError", err)
		}
		if len(w.graph.calls) != 0 || w.kinds() != "" {
			t.Errorf("%d calls, ledger %q, want nothing", len(w.graph.calls), w.kinds())
		}
	})
}

func TestALaunchWhoseCommitWasAnsweredByAnErrorGoesOnWhenItIsRecorded(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		w := newWorld(t, open, failing("launch:after-commit", 1))
		_, target := w.revoke(ask)
		if target.State != revoke.Confirmed || len(w.graph.calls) != 1 {
			t.Errorf("outcome = %s after %d calls, want confirmed after 1", target.State, len(w.graph.calls))
		}
	})
}

// failing makes the store fail at a point, n times.
func failing(point string, n int) func(*store.Options) {
	return func(o *store.Options) {
		o.Hook = func(at string) error {
			if at != point || n == 0 {
				return nil
			}
			n--
			return errors.New("disk full")
		}
	}
}

func TestADatabaseThatFailsAfterTheCallLosesNothing(t *testing.T) {
	for _, point := range []string{"commit:before-commit", "commit:after-commit"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, open storetest.Opener) {
				w := newWorld(t, open, failing(point, 1))
				run, target := w.revoke(ask)
				if target.State != revoke.Confirmed || len(w.graph.calls) != 1 {
					t.Errorf("outcome = %s after %d calls, want confirmed after 1", target.State, len(w.graph.calls))
				}
				w.checkAttempts(run, target)
			})
		})
	}
}

func TestAProcessThatDiesBetweenIntentAndOutcomeLosesNothing(t *testing.T) {
	for _, effect := range []bool{true, false} {
		t.Run("took effect: "+strconv.FormatBool(effect), func(t *testing.T) {
			each(t, func(w *world) {
				w.graph.script = []call{func(oid, token string) (directory.Answer, error) {
					if effect {
						_, _ = w.graph.works(oid, token)
					}
					w.stop() // the process is gone: nothing that it learns is written any more
					return directory.Answer{}, context.Canceled
				}}
				id, done, err := w.svc.RevokeOne(t.Context(), actor(helpdesk), ask)
				if err != nil {
					t.Fatalf("RevokeOne: %v", err)
				}
				<-done
				if _, target := w.read(id); target.State != revoke.Attempting {
					t.Fatalf("after the crash the target is %s, want attempting", target.State)
				}
				run, target := w.settle(id)
				wantCalls := map[bool]int{true: 1, false: 2}[effect]
				if target.State != revoke.Confirmed || len(w.graph.calls) != wantCalls {
					t.Errorf("outcome = %s after %d calls, want confirmed after %d", target.State, len(w.graph.calls), wantCalls)
				}
				if effect && !strings.Contains(target.Settled, "settled by read-back") {
					t.Errorf("settled = %q, want it to say so", target.Settled)
				}
				w.checkAttempts(run, target)
			})
		})
	}
}

func TestAShutdownGivesTheRunBack(t *testing.T) {
	each(t, func(w *world) {
		old := w.clock.Now().Add(-time.Hour)
		w.graph.reads = []func(string) (time.Time, error){
			func(string) (time.Time, error) { go w.svc.Drain(); return old, nil },
			func(string) (time.Time, error) { return old, nil },
		}
		id, done, err := w.svc.RevokeOne(t.Context(), actor(helpdesk), ask)
		if err != nil {
			t.Fatalf("RevokeOne: %v", err)
		}
		<-done
		w.graph.reads = nil
		if _, target := w.settle(id); target.State != revoke.Confirmed {
			t.Errorf("another process ended it as %s, want confirmed", target.State)
		}
	})
}

func TestANeededSignInPausesAndOnlyTheSamePersonResumes(t *testing.T) {
	each(t, func(w *world) {
		w.graph.script = []call{reauth}
		run, target := w.revoke(ask)
		if run.State != revoke.RunPaused || run.Pause != revoke.PauseNeedSignIn || run.Claims == "" || target.State != revoke.Pending {
			t.Fatalf("run is %s (%s), claims %q, target %s, want paused for a sign-in", run.State, run.Pause, run.Claims, target.State)
		}
		w.sweep()
		if len(w.graph.calls) != 1 {
			t.Errorf("a paused run was worked: %d calls", len(w.graph.calls))
		}
		other := helpdesk
		other.OID = "aaaaaaaa-0000-4000-8000-000000000002"
		if _, err := w.svc.Resume(t.Context(), actor(other), run.ID); fault.KindOf(err) != fault.NotFound {
			t.Errorf("somebody else resumes: %v, want not found", err)
		}
		done, err := w.svc.Resume(t.Context(), actor(helpdesk), run.ID)
		if err != nil {
			t.Fatalf("Resume: %v", err)
		}
		<-done
		run, target = w.settle(run.ID)
		if target.State != revoke.Confirmed || run.Claims != "" {
			t.Errorf("after resuming: %s with claims %q, want confirmed with none", target.State, run.Claims)
		}
		w.checkAttempts(run, target)
	})
}

func TestAReadBackThatNeedsASignInWaitsForIt(t *testing.T) {
	each(t, func(w *world) {
		w.graph.reads = []func(string) (time.Time, error){func(string) (time.Time, error) {
			return time.Time{}, &operator.ReauthError{Code: "AADSTS50173"}
		}}
		run, target := w.revoke(ask)
		if run.State != revoke.RunPaused || target.State != revoke.Accepted {
			t.Fatalf("run %s, target %s, want paused and accepted", run.State, target.State)
		}
		w.graph.reads = nil
		if _, err := w.svc.Resume(t.Context(), actor(helpdesk), run.ID); err != nil {
			t.Fatalf("Resume: %v", err)
		}
		if _, target = w.settle(run.ID); target.State != revoke.Confirmed || len(w.graph.calls) != 1 {
			t.Errorf("after resuming: %s after %d calls, want confirmed after 1", target.State, len(w.graph.calls))
		}
	})
}

func TestAChallengeBeforeThePlanLeavesNoTrace(t *testing.T) {
	each(t, func(w *world) {
		w.graph.userFn = func(string) (directory.User, error) {
			return directory.User{}, &operator.ReauthError{Claims: "{}"}
		}
		_, _, err := w.svc.RevokeOne(t.Context(), actor(helpdesk), ask)
		if _, ok := errors.AsType[*operator.ReauthError](err); !ok {
			t.Fatalf("RevokeOne = %v, want ReauthError", err)
		}
		if w.kinds() != "" || len(w.graph.calls) != 0 {
			t.Errorf("ledger %q, %d calls, want nothing", w.kinds(), len(w.graph.calls))
		}
	})
}

func TestTheReasonIsRequired(t *testing.T) {
	tests := map[string]struct {
		change func(*revoke.Request)
		field  string
	}{
		"no reason":        {func(r *revoke.Request) { r.Reason = " \n\x00" }, "reason"},
		"too long":         {func(r *revoke.Request) { r.Reason = strings.Repeat("é", revoke.MaxReason+1) }, "reason"},
		"ticket too long":  {func(r *revoke.Request) { r.Ticket = strings.Repeat("x", revoke.MaxTicket+1) }, "ticket"},
		"longest possible": {func(r *revoke.Request) { r.Reason = strings.Repeat("é", revoke.MaxReason) }, ""},
	}
	t.Parallel()
	w := newWorld(t, func(change ...func(*store.Options)) *store.DB { return storetest.Open(t, change...) })
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req := ask
			tt.change(&req)
			_, _, err := w.svc.RevokeOne(t.Context(), actor(helpdesk), req)
			e, _ := errors.AsType[*fault.Error](err)
			switch {
			case tt.field == "" && err != nil:
				t.Errorf("RevokeOne: %v", err)
			case tt.field != "" && (e == nil || e.Kind != fault.Invalid || e.Field != tt.field):
				t.Errorf("RevokeOne = %v, want an error beside %s", err, tt.field)
			}
		})
	}
}

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
		w.graph.reads = []func(string) (time.Time, error){
			func(string) (time.Time, error) { return time.Time{}, &directory.CallError{Status: 503} },
			before, before, before, before, before, func(string) (time.Time, error) { return now, nil },
		}
		if err := w.svc.ConfirmOwn(t.Context(), helpdesk, source{}); err != nil {
			t.Fatalf("ConfirmOwn: %v", err)
		}
		w.ended(run.ID)
		if _, target := w.read(run.ID); target.State != revoke.Confirmed {
			t.Errorf("outcome = %s (%s), want confirmed", target.State, target.Message)
		}
	})
}

// ended waits for the run's own worker to end it.
func (w *world) ended(id revoke.RunID) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if run, _ := w.read(id); run.State != revoke.RunRunning {
			return
		}
	}
	w.t.Fatalf("run %s did not end", id)
}

func TestWhoeverMayNoLongerActResumesNothing(t *testing.T) {
	each(t, func(w *world) {
		w.graph.script = []call{reauth}
		run, _ := w.revoke(ask)
		demoted := helpdesk
		demoted.Roles = operator.Roles{operator.Auditor}
		if _, err := w.svc.Resume(t.Context(), actor(demoted), run.ID); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("Resume = %v, want forbidden", err)
		}
		if len(w.graph.calls) != 1 {
			t.Errorf("%d calls, want 1", len(w.graph.calls))
		}
	})
}

func TestARunThatWaitsForADayIsCancelled(t *testing.T) {
	each(t, func(w *world) {
		w.graph.script = []call{reauth}
		run, _ := w.revoke(ask)
		w.clock.Advance(23 * time.Hour)
		if err := w.svc.CancelStale(t.Context()); err != nil {
			t.Fatal(err)
		}
		if run, _ = w.read(run.ID); run.State != revoke.RunPaused {
			t.Fatalf("after 23 h the run is %s, want paused", run.State)
		}
		w.clock.Advance(2 * time.Hour)
		if _, err := w.svc.Resume(t.Context(), actor(helpdesk), run.ID); fault.KindOf(err) != fault.Conflict {
			t.Errorf("resuming after a day: %v, want a conflict", err)
		}
		if err := w.svc.CancelStale(t.Context()); err != nil {
			t.Fatal(err)
		}
		run, target := w.read(run.ID)
		if run.State != revoke.RunCancelled || target.State != revoke.Cancelled || !strings.HasSuffix(w.kinds(), "run.cancelled") {
			t.Errorf("run %s, target %s, ledger %s, want both cancelled and told", run.State, target.State, w.kinds())
		}
	})
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
