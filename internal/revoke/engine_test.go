package revoke_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/revoke"
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
