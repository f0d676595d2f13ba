package revoke_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

// at is a Graph that does something at one of its calls, and works otherwise.
func (w *world) at(n int32, do func(oid, token string) (directory.Answer, error)) func(oid, token string) (directory.Answer, error) {
	var calls atomic.Int32
	return func(oid, token string) (directory.Answer, error) {
		if calls.Add(1) == n {
			return do(oid, token)
		}
		return w.graph.works(oid, token)
	}
}

// ask asks something of a run as the Lead.
func (w *world) ask(id revoke.RunID, wish revoke.Wish) {
	if err := w.svc.Ask(context.Background(), actor(lead), id, wish); err != nil {
		w.t.Errorf("asking for %q: %v", wish, err)
	}
}

// answered waits until all calls of a run but one have been answered, and what they said is committed.
func (w *world) answered(id revoke.RunID) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		run, err := w.db.Revoke().Run(context.Background(), id)
		if err == nil && run.Counts[revoke.Attempting] == 1 {
			return
		}
	}
	w.t.Error("the other calls were not answered")
}

func TestACancelOvertakesAPause(t *testing.T) {
	each(t, func(w *world) {
		w.people(100)
		id := w.begin(w.preview(everyone, revoke.PlanOptions{}))
		w.graph.answer = w.at(20, func(oid, token string) (directory.Answer, error) {
			w.ask(id, revoke.WishPause)
			w.answered(id)
			w.ask(id, revoke.WishCancel)
			return w.graph.works(oid, token)
		})
		if run, _ := w.settle(id); run.State != revoke.RunCancelled {
			w.t.Errorf("%s (%s), want cancelled", run.State, run.Pause)
		}
	})
}

func TestACancelIsNotTakenBack(t *testing.T) {
	each(t, func(w *world) {
		w.people(100)
		id := w.begin(w.preview(everyone, revoke.PlanOptions{}))
		w.ask(id, revoke.WishCancel)
		for _, wish := range []revoke.Wish{revoke.WishPause, revoke.NoWish} {
			if err := w.svc.Ask(t.Context(), actor(lead), id, wish); fault.KindOf(err) != fault.Conflict {
				w.t.Errorf("asking for %q after a cancel: %v, want conflict", wish, err)
			}
		}
		if run, _ := w.settle(id); run.State != revoke.RunCancelled || len(w.graph.called) != 0 {
			w.t.Errorf("%s after %d calls, want cancelled before any", run.State, len(w.graph.called))
		}
	})
}

func TestACancelOutlivesANeededSignIn(t *testing.T) {
	each(t, func(w *world) {
		w.people(100)
		id := w.begin(w.preview(everyone, revoke.PlanOptions{}))
		w.graph.answer = w.at(20, func(oid, token string) (directory.Answer, error) {
			w.ask(id, revoke.WishCancel)
			w.answered(id)
			return reauth(oid, token)
		})
		run, _ := w.settle(id)
		if run.State != revoke.RunCancelled || len(w.graph.called) != 20 {
			w.t.Errorf("%s (%s) after %d calls, want cancelled after 20", run.State, run.Pause, len(w.graph.called))
		}
		w.checkMany(run)
	})
}

func TestACancelledRunLeavesNobodyWithoutAnOutcome(t *testing.T) {
	tests := []struct {
		name string
		call func(w *world) func(oid, token string) (directory.Answer, error)
		want revoke.State
	}{
		{"throttled", func(*world) func(string, string) (directory.Answer, error) {
			return answers(429, "TooManyRequests", time.Second)
		}, revoke.Cancelled},
		{"refused once", func(*world) func(string, string) (directory.Answer, error) {
			return answers(403, "Authorization_RequestDenied", 0)
		}, revoke.Refused},
		{"accepted without effect", func(w *world) func(string, string) (directory.Answer, error) { return w.graph.accepts }, revoke.Unconfirmed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(w *world) {
				w.people(10)
				id := w.begin(w.preview(everyone, revoke.PlanOptions{}))
				w.graph.answer = tt.call(w)
				w.graph.script = []call{func(oid, token string) (directory.Answer, error) {
					w.ask(id, revoke.WishCancel)
					w.answered(id)
					return tt.call(w)(oid, token)
				}}
				run, _ := w.settle(id)
				if run.State != revoke.RunCancelled || run.Counts[tt.want] != 10 {
					w.t.Errorf("%s with %v, want 10 %s", run.State, run.Counts, tt.want)
				}
				w.checkMany(run)
			})
		})
	}
}

func TestACancelThatDiesHalfwayIsStillACancel(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		var broken atomic.Bool
		w := newWorld(t, open, func(o *store.Options) {
			o.Hook = func(at string) error {
				if at == "commit:before-commit" && broken.CompareAndSwap(true, false) {
					return errors.New("disk full")
				}
				return nil
			}
		})
		w.people(100)
		w.graph.answer = w.graph.accepts // nobody is confirmed: the run pauses after its first targets
		run, _ := w.settle(w.begin(w.preview(everyone, revoke.PlanOptions{})))
		w.graph.answer = nil
		broken.Store(true)
		if err := w.svc.Ask(t.Context(), actor(lead), run.ID, revoke.WishCancel); err == nil {
			t.Fatal("the database did not fail")
		}
		w.clock.Advance(10 * time.Second)
		if run, _ = w.settle(run.ID); run.State != revoke.RunCancelled || len(w.graph.called) != 20 {
			t.Errorf("%s (%s) after calls for %d people, want cancelled after the first 20", run.State, run.Pause, len(w.graph.called))
		}
	})
}

func TestARunOfManyIsResumedByALeadOnly(t *testing.T) {
	each(t, func(w *world) {
		w.people(100, func(i int, h *directory.Hit) {
			if i == 0 {
				h.User.ID = lead.OID
			}
		})
		w.graph.me, w.graph.answer = lead.OID, w.graph.accepts
		run := w.runMany(revoke.PlanOptions{IncludeSelf: true})
		for _, role := range []operator.Role{operator.Auditor, operator.Responder} {
			demoted := lead
			demoted.Roles = operator.Roles{role}
			if _, err := w.svc.Resume(t.Context(), actor(demoted), run.ID); fault.KindOf(err) != fault.Forbidden {
				w.t.Errorf("resumed as %s: %v, want forbidden", role, err)
			}
		}
	})
}

func TestWhatStoodStillForHoursWaitsForAClick(t *testing.T) {
	each(t, func(w *world) {
		w.people(10)
		w.graph.answer = answers(429, "TooManyRequests", 40*time.Second)
		id := w.begin(w.preview(everyone, revoke.PlanOptions{}))
		w.sweep()
		calls := len(w.graph.calls)
		w.graph.answer = nil
		w.clock.Advance(3 * time.Hour) // no process was there
		run, _ := w.settle(id)
		if run.State != revoke.RunPaused || run.Pause != revoke.PauseStale || len(w.graph.calls) != calls {
			w.t.Fatalf("%s (%s), %d calls more, want paused without one", run.State, run.Pause, len(w.graph.calls)-calls)
		}
		if _, err := w.svc.Resume(t.Context(), actor(lead), id); err != nil {
			w.t.Fatalf("Resume: %v", err)
		}
		if run, _ = w.settle(id); run.Counts[revoke.Confirmed] != 10 {
			w.t.Errorf("after a click: %s with %v, want 10 confirmed", run.State, run.Counts)
		}
	})
}

func TestAnOutageGivesUpOnNobody(t *testing.T) {
	each(t, func(w *world) {
		w.people(200)
		var until atomic.Pointer[time.Time]
		w.graph.answer = func(oid, token string) (directory.Answer, error) {
			if w.graph.people() > 50 {
				end := w.clock.Now().Add(3 * time.Minute)
				until.CompareAndSwap(nil, &end)
				if w.clock.Now().Before(*until.Load()) {
					return directory.Answer{}, &directory.CallError{Err: errors.New("connection refused")}
				}
			}
			return w.graph.works(oid, token)
		}
		run := w.runMany(revoke.PlanOptions{})
		if run.State != revoke.RunFinished || run.Counts[revoke.Confirmed] != 200 {
			w.t.Errorf("%s with %v, want 200 confirmed", run.State, run.Counts)
		}
		w.checkMany(run)
	})
}

func TestATokenOlderThanARoleIsReplacedForAll(t *testing.T) {
	each(t, func(w *world) {
		w.people(100)
		w.graph.answer = func(oid, token string) (directory.Answer, error) {
			if token != "fresh" {
				return answers(403, "Authorization_RequestDenied", 0)(oid, token)
			}
			return w.graph.works(oid, token)
		}
		run := w.runMany(revoke.PlanOptions{})
		if run.State != revoke.RunFinished || run.Counts[revoke.Confirmed] != 100 {
			w.t.Errorf("%s (%s) with %v, want 100 confirmed", run.State, run.Pause, run.Counts)
		}
	})
}

func TestTheStopForARoleOutlivesItsWorker(t *testing.T) {
	each(t, func(w *world) {
		w.people(800)
		w.graph.answer = func(oid, token string) (directory.Answer, error) {
			switch {
			case oid == "cccccccc-0000-4000-8000-000000000030": // is read back for minutes, and the run given back meanwhile
				return w.graph.accepts(oid, token)
			case w.graph.people() > 50:
				return answers(403, "Authorization_RequestDenied", 0)(oid, token)
			}
			return w.graph.works(oid, token)
		}
		run := w.runMany(revoke.PlanOptions{})
		if run.Pause != revoke.PauseNeedRole || run.Next > 500 {
			w.t.Errorf("%s (%s) after %d of 800, want it paused for a role", run.State, run.Pause, run.Next)
		}
		w.checkMany(run)
	})
}

func TestAnAccountThatIsProtectedBetweenAttemptsKeepsItsOutcome(t *testing.T) {
	each(t, func(w *world) {
		w.people(5)
		w.graph.answer = w.graph.accepts
		id := w.begin(w.preview(everyone, revoke.PlanOptions{}))
		w.sweep()
		late := w.graph.hits[2].User.ID
		if _, err := w.svc.Protect(t.Context(), actor(lead), late, "break-glass", ""); err != nil {
			w.t.Fatalf("Protect: %v", err)
		}
		run, _ := w.settle(id)
		if target := w.targets(id)[2]; target.State != revoke.Unconfirmed || w.graph.called[late] != 1 {
			w.t.Errorf("%s after %d calls, want unconfirmed after one", target.State, w.graph.called[late])
		}
		w.checkMany(run)
	})
}

func TestSigningOutPausesOnesRunsOfMany(t *testing.T) {
	each(t, func(w *world) {
		w.people(100)
		id := w.begin(w.preview(everyone, revoke.PlanOptions{}))
		w.graph.answer = w.at(20, func(oid, token string) (directory.Answer, error) {
			if err := w.svc.PauseOwn(context.Background(), lead); err != nil {
				w.t.Errorf("PauseOwn: %v", err)
			}
			return w.graph.works(oid, token)
		})
		if run, _ := w.settle(id); run.Pause != revoke.PauseOperator || run.Counts[revoke.Confirmed] != 20 {
			w.t.Errorf("%s (%s) with %v, want it paused after the first 20", run.State, run.Pause, run.Counts)
		}
	})
}
