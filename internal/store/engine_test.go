package store_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

const lease = 5 * time.Second

func commit(t testing.TB, db *store.DB, f revoke.Fence, s revoke.Step) revoke.Granted {
	t.Helper()
	g, err := db.Revoke().Commit(t.Context(), f, s)
	if err != nil {
		t.Fatalf("committing: %v", err)
	}
	return g
}

// refused commits a step that must fail.
func refused(t testing.TB, db *store.DB, f revoke.Fence, s revoke.Step) error {
	t.Helper()
	_, err := db.Revoke().Commit(t.Context(), f, s)
	return err
}

// claim tries to take the run's next slice, whatever its epoch.
func claim(t testing.TB, db *store.DB, run revoke.RunID, owner string, now time.Time) (revoke.Fence, bool) {
	t.Helper()
	next := revoke.Slice{Run: run, Epoch: 1}
	for _, s := range due(t, db, now.Add(1000*time.Hour)) { // by then, no lease holds
		if s.Run == run {
			next = s
		}
	}
	f, ok, err := db.Revoke().Claim(t.Context(), next, owner, now, lease)
	if err != nil {
		t.Fatalf("claiming: %v", err)
	}
	return f, ok
}

func due(t testing.TB, db *store.DB, now time.Time) []revoke.Slice {
	t.Helper()
	slices, err := db.Revoke().Due(t.Context(), now, 10)
	if err != nil {
		t.Fatal(err)
	}
	return slices
}

func TestARunIsDueWhenItsTimeHasComeAndNobodyHoldsIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd)
		launch(t, db, l)
		check := func(what string, now time.Time, want bool) {
			t.Helper()
			got := due(t, db, now)
			if is := len(got) == 1 && got[0].Run == l.Run.ID; is != want || len(got) > 1 {
				t.Errorf("%s: due %v, want %v", what, got, want)
			}
			if f, ok := claim(t, db, l.Run.ID, "probe", now); ok != want {
				t.Errorf("%s: claimed %v, want %v", what, ok, want)
			} else if ok {
				if f != (revoke.Fence{Run: l.Run.ID, Owner: "probe", Epoch: got[0].Epoch}) {
					t.Errorf("%s: the fence is %+v, the slice %+v", what, f, got[0])
				}
				if err := db.Revoke().Release(t.Context(), f, noon); err != nil {
					t.Error(err)
				}
			}
		}
		check("while the lease runs", noon.Add(lease-time.Millisecond), false)
		check("when it has run out", noon.Add(lease), true)
		check("after it was given back", noon, true)

		f, _ := claim(t, db, l.Run.ID, "one", noon)
		if err := db.Revoke().Release(t.Context(), f, noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		check("before its time", noon.Add(time.Minute-time.Millisecond), false)
		check("at its time", noon.Add(time.Minute), true)

		f, _ = claim(t, db, l.Run.ID, "one", noon.Add(time.Minute))
		commit(t, db, f, revoke.Step{Now: noon, Lease: lease, End: revoke.RunPaused, Pause: revoke.PauseNeedRole})
		check("paused", noon.Add(time.Hour), false)
	})
}

func TestClaimMovesTheEpochAndFencesTheFormerWorker(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd)
		first := launch(t, db, l)
		second, ok := claim(t, db, l.Run.ID, "one", noon.Add(lease)) // of the same name, as after a restart
		if !ok || second.Epoch != first.Epoch+1 {
			t.Fatalf("claimed %v with epoch %d, want epoch %d", ok, second.Epoch, first.Epoch+1)
		}
		before := newest(t, db)
		if err := refused(t, db, first, accept(l)); !errors.Is(err, revoke.ErrFenced) {
			t.Errorf("the former worker's commit: %v, want ErrFenced", err)
		}
		if _, _, err := db.Revoke().Work(t.Context(), first); !errors.Is(err, revoke.ErrFenced) {
			t.Errorf("the former worker's read: %v, want ErrFenced", err)
		}
		if err := db.Revoke().Release(t.Context(), first, noon); err != nil {
			t.Errorf("the former worker's release: %v, want no error", err)
		}
		if _, targets := read(t, db, l.Run.ID); targets[0].State != revoke.Attempting || newest(t, db) != before {
			t.Errorf("a fenced commit left %q and %d events", targets[0].State, newest(t, db)-before)
		}
		commit(t, db, second, accept(l))
	})
}

func TestWorkReturnsWhatIsNotFinal(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd, carla, anna)
		f := launch(t, db, l)
		step := accept(l)
		step.Changes[0].Target.State = revoke.Confirmed
		step.Want, step.Intend = 2, intend
		commit(t, db, f, step)
		run, targets, err := db.Revoke().Work(t.Context(), f)
		if err != nil || run.ID != l.Run.ID || run.Events != 4 {
			t.Fatalf("run %s with %d events, %v", run.ID, run.Events, err)
		}
		var got []int
		for _, target := range targets {
			got = append(got, target.Pos)
		}
		if !slices.Equal(got, []int{1, 2}) {
			t.Errorf("positions %v, want 1 and 2", got)
		}
	})
}

func TestEveryFieldOfATargetIsKept(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd)
		f := launch(t, db, l)
		at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
		want := l.Targets[0]
		want.State, want.Attempt, want.Lost, want.Tries, want.Accepts, want.Reads = revoke.Pending, 2, true, 3, 4, 5
		want.DueAt, want.StartedAt, want.ReadFrom, want.T0, want.After, want.Answered = at(1), at(2), at(3), at(4), at(5), at(6)
		want.Status, want.RequestID, want.ClientRequestID, want.Code = 403, "r", "c", "Authorization_RequestDenied"
		want.Message, want.Settled, want.UpdatedAt = "it's \"no\" 🙂", "how", at(7)
		commit(t, db, f, revoke.Step{Now: noon, Lease: lease, Changes: []revoke.Change{
			{WasState: revoke.Attempting, WasAttempt: 1, Target: want}}})
		_, targets := read(t, db, l.Run.ID)
		if diff := cmp.Diff([]revoke.RunTarget{want}, targets); diff != "" {
			t.Errorf("target (-want +got):\n%s", diff)
		}
	})
}

func TestAChangeThatDoesNotMatchRollsEverythingBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd, carla)
		f := launch(t, db, l)
		waiting := commit(t, db, f, wanting(1)).Targets[0]
		step := revoke.Step{Now: noon, Lease: lease}
		moved(&step, audit.TargetFailed, revoke.Pending, waiting)
		commit(t, db, f, step)
		if err := db.Sessions().SignIn(t.Context(), session(1, bernd), nil, nil); err != nil {
			t.Fatal(err)
		}
		for name, bad := range map[string]func(*revoke.Change){
			"state":    func(c *revoke.Change) { c.WasState = revoke.Accepted },
			"attempt":  func(c *revoke.Change) { c.WasAttempt = 2 },
			"position": func(c *revoke.Change) { c.Target.Pos = 9 },
			"user":     func(c *revoke.Change) { c.Target.OID = bernd },
		} {
			second := revoke.Change{WasState: revoke.Pending, WasAttempt: 1, Target: revoke.RunTarget{
				Target: l.Plan.Targets[1], State: revoke.Attempting, Attempt: 2}}
			bad(&second)
			step := accept(l)
			step.Changes = append(step.Changes, second)
			step.Evict, step.End = cuts(bernd), revoke.RunFinished
			if err := refused(t, db, f, step); !errors.Is(err, revoke.ErrConflict) {
				t.Errorf("another %s: %v, want ErrConflict", name, err)
			}
		}
		run, targets := read(t, db, l.Run.ID)
		if run.State != revoke.RunRunning || targets[0].State != revoke.Attempting || run.Events != 3 {
			t.Errorf("run %q, target %q, %d events: not rolled back", run.State, targets[0].State, run.Events)
		}
		if _, err := db.Sessions().Session(t.Context(), session(1, bernd).IDHash); err != nil {
			t.Errorf("the session went although the step did not: %v", err)
		}
		step = accept(l) // the fence still holds, and without the fault the same changes go through
		step.Changes = append(step.Changes, revoke.Change{WasState: revoke.Pending, WasAttempt: 1, Target: revoke.RunTarget{
			Target: l.Plan.Targets[1], State: revoke.Attempting, Attempt: 2}})
		commit(t, db, f, step)
	})
}

func TestTheEndOfARunDeletesItsTokenAndItsLease(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		for i, c := range []struct {
			end       revoke.RunState
			keepsSeal bool
		}{{revoke.RunFinished, false}, {revoke.RunCancelled, false}, {revoke.RunPaused, true}} {
			l := launchOf(10*(i+1), anna, bernd)
			f := launch(t, db, l)
			commit(t, db, f, revoke.Step{Now: noon.Add(time.Second), Lease: lease, End: c.end})
			run, _ := read(t, db, l.Run.ID)
			if run.State != c.end || run.FinishedAt.IsZero() == !c.keepsSeal {
				t.Errorf("%s: the run is %q, finished at %v", c.end, run.State, run.FinishedAt)
			}
			if _, err := db.Revoke().RunToken(t.Context(), l.Run.ID); errors.Is(err, revoke.ErrNotFound) == c.keepsSeal {
				t.Errorf("%s: the token: %v", c.end, err)
			}
			if err := refused(t, db, f, revoke.Step{Now: noon, Lease: lease}); !errors.Is(err, revoke.ErrFenced) {
				t.Errorf("%s: a later commit: %v, want ErrFenced", c.end, err)
			}
		}
		f := launch(t, db, launchOf(90, anna, bernd))
		if err := refused(t, db, f, revoke.Step{Now: noon, Lease: lease, End: "lost"}); err == nil {
			t.Error("a run ended in a state that there is not")
		}
	})
}

func TestARevokedOperatorLosesSessionsTokensAndRunsWithTheStepThatSaysSo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		hers, other := launchOf(10, carla, bernd), launchOf(20, carla, anna)
		hersFence := launch(t, db, hers)
		launch(t, db, other)
		bystander := launchOf(30, bernd, anna)
		bystanderFence := launch(t, db, bystander)
		signedIn := event(audit.SignedIn, 35)
		signedIn.Operator = &audit.Person{OID: carla, UPN: "carla@contoso.example"}
		for n, row := range []auth.SessionRow{session(1, carla), session(2, carla), session(3, bernd)} {
			signedIn.ID = id(36 + n)
			if err := db.Sessions().SignIn(t.Context(), row, nil, []audit.Event{signedIn}); err != nil {
				t.Fatal(err)
			}
		}
		l := launchOf(40, anna, carla)
		f := launch(t, db, l)
		before := newest(t, db)
		step := accept(l)
		step.Evict = cuts(carla, "nobody", carla)
		var footprints []revoke.Footprint
		step.Evicted = func(f revoke.Footprint) []audit.Event {
			footprints = append(footprints, f)
			return []audit.Event{runEvent(audit.SignedOut, 60, l.Run.ID), runEvent(audit.RunPaused, 61, f.Runs[0])}
		}
		commit(t, db, f, step)

		want := []revoke.Footprint{{OID: carla, UPN: "carla@contoso.example", Sessions: 2, Runs: []revoke.RunID{hers.Run.ID, other.Run.ID}}}
		if diff := cmp.Diff(want, footprints); diff != "" {
			t.Errorf("footprints (-want +got):\n%s", diff)
		}
		for n, gone := range map[byte]bool{1: true, 2: true, 3: false} {
			if _, err := db.Sessions().Session(t.Context(), session(n, "").IDHash); errors.Is(err, auth.ErrNoSession) != gone {
				t.Errorf("session %d: %v", n, err)
			}
		}
		for _, run := range []revoke.RunID{hers.Run.ID, other.Run.ID} {
			got, _ := read(t, db, run)
			if got.State != revoke.RunPaused || got.Pause != revoke.PauseNeedSignIn {
				t.Errorf("their run is %q, %q", got.State, got.Pause)
			}
			if _, err := db.Revoke().RunToken(t.Context(), run); !errors.Is(err, revoke.ErrNotFound) {
				t.Errorf("their run's token: %v, want none", err)
			}
		}
		if err := refused(t, db, hersFence, accept(hers)); !errors.Is(err, revoke.ErrFenced) {
			t.Errorf("a worker of their run: %v, want ErrFenced", err)
		}
		commit(t, db, bystanderFence, accept(bystander))
		kinds := []audit.Kind{audit.TargetAccepted, audit.SignedOut, audit.RunPaused}
		for i, k := range kinds {
			if got := recordAt(t, db, before+int64(i)+1).Event.Kind; got != k {
				t.Errorf("event %d is %q, want %q", i, got, k)
			}
		}
	})
}

func TestWhoRevokesThemselvesPausesThisVeryRun(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, anna)
		f := launch(t, db, l)
		step := accept(l)
		step.Evict = cuts(anna)
		commit(t, db, f, step)
		run, targets := read(t, db, l.Run.ID)
		if run.State != revoke.RunPaused || run.Pause != revoke.PauseNeedSignIn || targets[0].State != revoke.Accepted {
			t.Errorf("run %q, %q, target %q", run.State, run.Pause, targets[0].State)
		}
		if err := refused(t, db, f, revoke.Step{Now: noon, Lease: lease}); !errors.Is(err, revoke.ErrFenced) {
			t.Errorf("the next commit: %v, want ErrFenced", err)
		}
	})
}

func TestARunThatEndsWithTheStepThatEvictsItsOperatorHasEnded(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, anna)
		f := launch(t, db, l)
		step := accept(l)
		step.Evict, step.End = cuts(anna), revoke.RunFinished
		step.Evicted = func(f revoke.Footprint) []audit.Event {
			t.Errorf("there was nothing left to evict: %+v", f)
			return nil
		}
		commit(t, db, f, step)
		if run, _ := read(t, db, l.Run.ID); run.State != revoke.RunFinished {
			t.Errorf("the run is %q, want finished", run.State)
		}
	})
}

func TestOfManyWorkersOneClaims(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		handles := []*store.DB{db}
		if db.Engine() == "PostgreSQL" { // another replica
			handles = append(handles, open())
		}
		l := launchOf(10, anna, bernd)
		stale := launch(t, db, l)
		var won atomic.Int64
		var wg sync.WaitGroup
		fences := make(chan revoke.Fence, 16)
		for i := range 16 {
			wg.Go(func() {
				h := handles[i%len(handles)]
				f, ok, err := h.Revoke().Claim(t.Context(), revoke.Slice{Run: l.Run.ID, Epoch: 2}, "worker", noon.Add(lease), lease)
				if err != nil {
					t.Errorf("claiming: %v", err)
				}
				if ok {
					won.Add(1)
					fences <- f
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d workers claimed, want 1", won.Load())
		}
		if err := refused(t, handles[len(handles)-1], stale, accept(l)); !errors.Is(err, revoke.ErrFenced) {
			t.Errorf("the loser's commit: %v, want ErrFenced", err)
		}
		commit(t, handles[len(handles)-1], <-fences, accept(l))
	})
}

// Two runs whose targets are each other's operators, committed at once: each step changes its own run and the other.
func TestRunsThatEvictEachOthersOperatorsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		for i := range 5 {
			a, b := launchOf(100*i+10, anna, carla), launchOf(100*i+20, carla, anna)
			fa, fb := launch(t, db, a), launch(t, db, b)
			var wg sync.WaitGroup
			for _, c := range []struct {
				f     revoke.Fence
				l     revoke.Launch
				evict string
			}{{fa, a, carla}, {fb, b, anna}} {
				wg.Go(func() {
					step := accept(c.l)
					step.Evict = cuts(c.evict)
					ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond) // PostgreSQL looks for deadlocks after 1 s
					defer cancel()
					_, err := db.Revoke().Commit(ctx, c.f, step)
					if err != nil && !errors.Is(err, revoke.ErrFenced) { // the other one was faster and paused it
						t.Errorf("committing: %v", err)
					}
				})
			}
			wg.Wait()
		}
	})
}
