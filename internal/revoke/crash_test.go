package revoke_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"evict/internal/directory"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

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
		w.graph.mu.Lock()
		w.graph.reads = nil
		w.graph.mu.Unlock()
		if _, target := w.settle(id); target.State != revoke.Confirmed {
			t.Errorf("another process ended it as %s, want confirmed", target.State)
		}
	})
}
