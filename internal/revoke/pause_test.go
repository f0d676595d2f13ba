package revoke_test

import (
	"strings"
	"testing"
	"time"

	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
)

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
