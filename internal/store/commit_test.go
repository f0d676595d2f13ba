package store_test

import (
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

// rate is how many calls a second come back: revoke.QuotaBurst in 150 s.
const rate = 20

// many launches a run of n people.
func many(t testing.TB, db *store.DB, id, n int) (revoke.Launch, revoke.Fence) {
	t.Helper()
	l := manyOf(id+1, listed(t, db, previewOf(id, anna), people(n)...))
	return l, launch(t, db, l)
}

func positions(list []revoke.RunTarget) []int {
	out := make([]int, len(list))
	for i, t := range list {
		out[i] = t.Pos
	}
	return out
}

func quota(t testing.TB, db *store.DB) revoke.Quota {
	t.Helper()
	q, err := db.Revoke().Quota(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestTargetsAreBegunInOrderAndGetTheirRowsThen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l, f := many(t, db, 10, 7)
		if r, targets := read(t, db, l.Run.ID); len(targets) != 0 || r.Next != 0 || r.Untouched() != 7 {
			t.Fatalf("launched with %d targets begun, next %d", len(targets), r.Next)
		}
		before := newest(t, db)
		g := commit(t, db, f, wanting(3))
		if got := positions(g.Targets); !slices.Equal(got, []int{0, 1, 2}) || g.Next != 3 || g.Wish != revoke.NoWish {
			t.Errorf("granted %v, next %d, wish %q", got, g.Next, g.Wish)
		}
		if diff := cmp.Diff(revoke.Counts{revoke.Attempting: 3}, g.Counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		r, targets := read(t, db, l.Run.ID)
		if diff := cmp.Diff(g.Targets, targets); diff != "" {
			t.Errorf("stored targets are not the granted ones (-granted +stored):\n%s", diff)
		}
		if first := targets[0]; first.UPN != person(0).UPN || first.Verdict == "" || first.Because == "" || first.Before.IsZero() || first.Reasons == nil {
			t.Errorf("what the list knows of a target is missing: %+v", first)
		}
		if r.Next != 3 || r.Counts[revoke.Attempting] != 3 || newest(t, db) != before+3 {
			t.Errorf("next %d, counts %v, %d events", r.Next, r.Counts, newest(t, db)-before)
		}
		if g = commit(t, db, f, wanting(100)); !slices.Equal(positions(g.Targets), []int{3, 4, 5, 6}) || g.Next != 7 {
			t.Errorf("the rest: %v, next %d", positions(g.Targets), g.Next)
		}
		if g = commit(t, db, f, wanting(1)); len(g.Targets) != 0 || g.Next != 7 {
			t.Errorf("after the last one: %v", positions(g.Targets))
		}
	})
}

func TestTheBucketBoundsWhatIsGranted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open(func(o *store.Options) { o.Now = func() time.Time { return noon } })
		if q := quota(t, db); q.Tokens != revoke.QuotaBurst || q.Rate != rate {
			t.Errorf("the bucket of a new database: %+v", q)
		}
		_, f := many(t, db, 10, 4000)
		at := func(s revoke.Step, after time.Duration) revoke.Step { s.Now = noon.Add(after); return s }
		g := commit(t, db, f, at(wanting(4000), 0))
		if want := revoke.QuotaBurst - revoke.QuotaReserve; len(g.Targets) != want || g.Quota.Tokens != revoke.QuotaReserve {
			t.Errorf("granted %d with %v left, want %d", len(g.Targets), g.Quota.Tokens, want)
		}
		if diff := cmp.Diff(g.Quota, quota(t, db)); diff != "" {
			t.Errorf("the bucket is not what the commit said (-said +is):\n%s", diff)
		}
		if g = commit(t, db, f, at(wanting(5), 0)); len(g.Targets) != 0 {
			t.Errorf("the reserve was granted: %d", len(g.Targets))
		}
		urgent := at(wanting(5), 0)
		urgent.Urgent = true
		if g = commit(t, db, f, urgent); len(g.Targets) != 5 {
			t.Errorf("an urgent step was granted %d of the reserve, want 5", len(g.Targets))
		}
		if g = commit(t, db, f, at(wanting(100), time.Second)); len(g.Targets) != rate-5 {
			t.Errorf("after a second %d came back, want %d", len(g.Targets), rate-5)
		}
		throttled := at(wanting(10), 2*time.Second)
		throttled.Heard = revoke.Heard{Throttled: 2, RetryAfter: 30 * time.Second, Scope: "Tenant_Application", Answers: 9}
		if g = commit(t, db, f, throttled); len(g.Targets) != 0 || !g.Quota.Hold.Equal(noon.Add(32*time.Second)) {
			t.Errorf("the answer to a 429: %d granted, hold until %v", len(g.Targets), g.Quota.Hold)
		}
		heard := at(wanting(0), 3*time.Second)
		heard.Heard = revoke.Heard{Load: 0.9, Answers: 1}
		if g = commit(t, db, f, heard); g.Quota.Load != 0.9 || quota(t, db).Load != 0.9 {
			t.Errorf("what was heard without wanting anything is lost: %+v", g.Quota)
		}
		beat := revoke.Step{Now: noon.Add(3 * time.Second), Lease: lease}
		if g = commit(t, db, f, beat); g.Quota.Load != 0.9 || g.Next == 0 {
			t.Errorf("a beat is answered with %+v", g)
		}
	})
}

func TestTheBucketIsOfTheSizeThatIsConfigured(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open(func(o *store.Options) { o.Now = func() time.Time { return noon } })
		for range 2 { // at each start
			if err := db.Revoke().SizeQuota(t.Context(), 300); err != nil {
				t.Fatal(err)
			}
		}
		want := revoke.NewQuota(noon).Sized(300)
		if diff := cmp.Diff(want, quota(t, db)); diff != "" {
			t.Errorf("bucket (-want +got):\n%s", diff)
		}
	})
}

func TestALaunchTakesItsCallsFromTheBucketWhateverIsInIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		launch(t, db, launchOf(10, anna, bernd))
		if q := quota(t, db); q.Tokens != revoke.QuotaBurst-1 {
			t.Errorf("%v tokens left, want %d", q.Tokens, revoke.QuotaBurst-1)
		}
		_, f := many(t, db, 20, revoke.QuotaBurst)
		empty := wanting(revoke.QuotaBurst)
		empty.Now, empty.Urgent = noon, true
		commit(t, db, f, empty)
		l := launchOf(30, anna, bernd)
		launch(t, db, l)
		if r, targets := read(t, db, l.Run.ID); len(targets) != 1 || r.Next != 1 || quota(t, db).Tokens >= 1 {
			t.Errorf("from an empty bucket: %d begun, %v tokens", len(targets), quota(t, db).Tokens)
		}
	})
}

func TestTargetsThatWaitForAnotherAttemptComeFirst(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l, f := many(t, db, 10, 6)
		begun := commit(t, db, f, wanting(3)).Targets
		back := revoke.Step{Now: noon, Lease: lease}
		moved(&back, audit.TargetFailed, revoke.Pending, begun...)
		commit(t, db, f, back)
		_, waiting := read(t, db, l.Run.ID)
		if waiting[2].State != revoke.Pending || waiting[2].Attempt != 1 {
			t.Fatalf("waiting: %+v", waiting[2])
		}

		s := wanting(2)
		s.Retry = []revoke.RunTarget{waiting[2], waiting[0], waiting[1]}
		g := commit(t, db, f, s)
		if got := positions(g.Targets); !slices.Equal(got, []int{2, 0}) || g.Next != 3 {
			t.Errorf("granted %v, next %d; want 2 and 0, in that order", got, g.Next)
		}
		if g.Targets[0].Attempt != 2 || g.Counts[revoke.Attempting] != 2 || g.Counts[revoke.Pending] != 1 {
			t.Errorf("attempt %d, counts %v", g.Targets[0].Attempt, g.Counts)
		}
		s = wanting(3)
		s.Retry = []revoke.RunTarget{waiting[1]}
		if got := positions(commit(t, db, f, s).Targets); !slices.Equal(got, []int{1, 3, 4}) {
			t.Errorf("granted %v, want the one that waits, then the next of the list", got)
		}
		s.Retry = []revoke.RunTarget{waiting[0]} // it is under way already
		before := newest(t, db)
		if err := refused(t, db, f, s); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("an attempt of a target that has moved on: %v, want ErrConflict", err)
		}
		if r, targets := read(t, db, l.Run.ID); r.Next != 5 || len(targets) != 5 || newest(t, db) != before {
			t.Errorf("the refused step left next %d, %d targets, %d events", r.Next, len(targets), newest(t, db)-before)
		}
	})
}

func TestATargetMayMoveTwiceInOneStep(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l, f := many(t, db, 10, 3)
		begun := commit(t, db, f, wanting(3)).Targets
		s := revoke.Step{Now: noon, Lease: lease}
		moved(&s, audit.TargetAccepted, revoke.Accepted, begun...)
		moved(&s, audit.TargetConfirmed, revoke.Confirmed, s.Changes[0].Target, s.Changes[2].Target)
		g := commit(t, db, f, s)
		if diff := cmp.Diff(revoke.Counts{revoke.Accepted: 1, revoke.Confirmed: 2}, g.Counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		if _, targets := read(t, db, l.Run.ID); targets[0].State != revoke.Confirmed || targets[1].State != revoke.Accepted {
			t.Errorf("targets are %q and %q", targets[0].State, targets[1].State)
		}
	})
}

func TestWhoIsProtectedSinceThePlanIsLeftAloneAndCostsNoCall(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l, f := many(t, db, 10, 4)
		begun := commit(t, db, f, wanting(1)).Targets
		back := revoke.Step{Now: noon.Add(time.Second), Lease: lease}
		moved(&back, audit.TargetFailed, revoke.Pending, begun...)
		commit(t, db, f, back)
		protect(t, db, begun[0].OID)
		protect(t, db, oidOf(2))
		tokens := quota(t, db).Tokens

		s := wanting(4)
		_, s.Retry = read(t, db, l.Run.ID)
		g := commit(t, db, f, s)
		var got []revoke.State
		for _, target := range g.Targets {
			got = append(got, target.State)
		}
		want := []revoke.State{revoke.Skipped, revoke.Attempting, revoke.Skipped, revoke.Attempting}
		if !slices.Equal(got, want) {
			t.Errorf("granted %v, want %v", got, want)
		}
		if g.Quota.Tokens != tokens-2 {
			t.Errorf("%v tokens were taken, want 2", tokens-g.Quota.Tokens)
		}
		if diff := cmp.Diff(revoke.Counts{revoke.Skipped: 2, revoke.Attempting: 2}, g.Counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		if e := recordAt(t, db, newest(t, db)-1).Event; e.Kind != audit.TargetSkipped || e.Target.OID != oidOf(2) {
			t.Errorf("the last but one event is %q of %v", e.Kind, e.Target)
		}
	})
}

func protect(t testing.TB, db *store.DB, oid string) {
	t.Helper()
	if err := db.Revoke().Protect(t.Context(), protectedOf(oid), nil); err != nil {
		t.Fatal(err)
	}
}

func protectedOf(oid string) revoke.ProtectedAccount {
	return revoke.ProtectedAccount{Person: revoke.Person{OID: oid}, Kind: "break-glass"}
}

func TestAnIntentOfSomethingElseIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l, f := many(t, db, 10, 3)
		for name, change := range map[string]func(*revoke.RunTarget){
			"another person":   func(t *revoke.RunTarget) { t.OID = carla },
			"another position": func(t *revoke.RunTarget) { t.Pos = 2 },
			"accepted":         func(t *revoke.RunTarget) { t.State = revoke.Accepted },
			"pending":          func(t *revoke.RunTarget) { t.State = revoke.Pending },
		} {
			s := wanting(1)
			s.Intend = func(t revoke.RunTarget, protected bool) (revoke.RunTarget, []audit.Event) {
				t, events := intend(t, protected)
				change(&t)
				return t, events
			}
			if err := refused(t, db, f, s); err == nil {
				t.Errorf("%s: stored", name)
			}
		}
		if r, targets := read(t, db, l.Run.ID); r.Next != 0 || len(targets) != 0 {
			t.Errorf("next %d, %d targets", r.Next, len(targets))
		}
	})
}

func asking(t testing.TB, db *store.DB, id revoke.RunID, w revoke.Wish) error {
	return db.Revoke().Ask(t.Context(), id, w, []audit.Event{runEvent(audit.RunStopping, 30, id)})
}

func ask(t testing.TB, db *store.DB, id revoke.RunID, w revoke.Wish) {
	t.Helper()
	if err := asking(t, db, id, w); err != nil {
		t.Fatalf("asking for %q: %v", w, err)
	}
}

func TestWhileSomebodyWishesARunToStopNothingIsGranted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open(func(o *store.Options) { o.Now = func() time.Time { return noon } })
		l, f := many(t, db, 10, 5)
		granted := func(w revoke.Wish, want int) {
			t.Helper()
			tokens := quota(t, db).Tokens
			s := wanting(2)
			s.Now = noon
			if g := commit(t, db, f, s); len(g.Targets) != want || g.Wish != w || g.Quota.Tokens != tokens-float64(want) {
				t.Errorf("with the wish %q: %d granted, wish %q, %v tokens", w, len(g.Targets), g.Wish, g.Quota.Tokens)
			}
		}
		before := newest(t, db)
		ask(t, db, l.Run.ID, revoke.WishPause)
		granted(revoke.WishPause, 0)
		if newest(t, db) != before+1 {
			t.Errorf("asking wrote %d events, want 1", newest(t, db)-before)
		}
		ask(t, db, l.Run.ID, revoke.NoWish)
		granted(revoke.NoWish, 2)
		ask(t, db, l.Run.ID, revoke.WishPause)
		ask(t, db, l.Run.ID, revoke.WishCancel)
		granted(revoke.WishCancel, 0)
	})
}

func TestAWishMakesARunDueAndEndsWhenItHasComeAbout(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open(func(o *store.Options) { o.Now = func() time.Time { return noon } })
		l, f := many(t, db, 10, 5)
		if err := db.Revoke().Release(t.Context(), f, noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		ask(t, db, l.Run.ID, revoke.WishPause)
		if len(due(t, db, noon)) != 1 {
			t.Error("a run that is asked to pause is not due at once")
		}
		f, _ = claim(t, db, l.Run.ID, "two", noon)
		commit(t, db, f, revoke.Step{Now: noon, Lease: lease, End: revoke.RunPaused, Pause: revoke.PauseOperator})
		if r, _ := read(t, db, l.Run.ID); r.Wish != revoke.NoWish || r.Pause != revoke.PauseOperator {
			t.Errorf("paused as %q, and the wish is %q", r.Pause, r.Wish)
		}
		if err := asking(t, db, l.Run.ID, revoke.WishCancel); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("asking a paused run: %v, want ErrConflict", err)
		}
	})
}

// The worker decides how a run ends by what it knew; what somebody wished since then counts.
func TestAPauseThatNobodyWishesAnyMoreIsInConflict(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l, f := many(t, db, 10, 5)
		pause := func(p revoke.Pause) error {
			return refused(t, db, f, revoke.Step{Now: noon, Lease: lease, End: revoke.RunPaused, Pause: p})
		}
		if err := asking(t, db, l.Run.ID, revoke.NoWish); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("taking back a pause that nobody asked for: %v, want ErrConflict", err)
		}
		if err := pause(revoke.PauseOperator); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("a pause that was taken back: %v, want ErrConflict", err)
		}
		ask(t, db, l.Run.ID, revoke.WishCancel)
		for _, p := range []revoke.Pause{revoke.PauseOperator, revoke.PauseNeedSignIn} {
			if err := pause(p); !errors.Is(err, revoke.ErrConflict) {
				t.Errorf("a pause (%q) that a cancel has overtaken: %v, want ErrConflict", p, err)
			}
		}
		for _, w := range []revoke.Wish{revoke.NoWish, revoke.WishPause} {
			if err := asking(t, db, l.Run.ID, w); !errors.Is(err, revoke.ErrConflict) {
				t.Errorf("taking back a cancel by %q: %v, want ErrConflict", w, err)
			}
		}
		commit(t, db, f, revoke.Step{Now: noon, Lease: lease, End: revoke.RunCancelled})
		if r, _ := read(t, db, l.Run.ID); r.State != revoke.RunCancelled || r.Wish != revoke.NoWish {
			t.Errorf("run %q, wish %q", r.State, r.Wish)
		}
	})
}

// Their operator is evicted, so a run pauses although somebody wished it cancelled.
func TestARunThatSomebodyWishedCancelledIsTakenUpOnlyForThat(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l, f := many(t, db, 10, 5)
		ask(t, db, l.Run.ID, revoke.WishCancel)
		s := revoke.Step{Now: noon, Lease: lease, Evict: cuts(anna)}
		commit(t, db, f, s)
		if r, _ := read(t, db, l.Run.ID); r.State != revoke.RunPaused || r.Wish != revoke.WishCancel {
			t.Fatalf("run %q, wish %q", r.State, r.Wish)
		}
		x := revoke.Resumption{Run: l.Run.ID, Operator: anna, Owner: "two", Now: noon, Lease: lease}
		if _, err := db.Revoke().Resume(t.Context(), x); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("resuming it: %v, want ErrConflict", err)
		}
		x.Wish = revoke.WishCancel
		f, err := db.Revoke().Resume(t.Context(), x)
		if err != nil {
			t.Fatal(err)
		}
		if g := commit(t, db, f, wanting(1)); len(g.Targets) != 0 || g.Wish != revoke.WishCancel {
			t.Errorf("taken up to be cancelled, it was granted %d calls, wish %q", len(g.Targets), g.Wish)
		}
	})
}

func TestTheEndOfARunBeginsNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l, f := many(t, db, 10, 5)
		s := wanting(2)
		s.End, s.Pause = revoke.RunPaused, revoke.PauseNeedRole
		if g := commit(t, db, f, s); len(g.Targets) != 0 {
			t.Errorf("a run that ends was granted %d calls", len(g.Targets))
		}
		if r, targets := read(t, db, l.Run.ID); r.State != revoke.RunPaused || len(targets) != 0 {
			t.Errorf("run %q, %d targets", r.State, len(targets))
		}
	})
}

func TestAWorkersProgressIsKept(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l, f := many(t, db, 10, 5)
		s := wanting(2)
		s.Refused, s.Canary, s.Limit = 7, true, revoke.LimitTenant
		commit(t, db, f, s)
		run, _, err := db.Revoke().Work(t.Context(), f)
		want := revoke.Progress{Next: 2, Counts: revoke.Counts{revoke.Attempting: 2}, Refused: 7, Canary: true, Limit: revoke.LimitTenant}
		if diff := cmp.Diff(want, run.Progress); diff != "" || err != nil {
			t.Errorf("progress (%v) (-want +got):\n%s", err, diff)
		}
		s = revoke.Step{Now: noon, Lease: lease, End: revoke.RunPaused, Pause: revoke.PauseNeedRole, Refused: 20}
		commit(t, db, f, s)
		if r, _ := read(t, db, l.Run.ID); r.Refused != 20 || r.Canary || r.Limit != revoke.LimitNone {
			t.Errorf("paused with %+v", r.Progress)
		}
		// A person has looked at it: the rest may go.
		if _, err := db.Revoke().Resume(t.Context(), revoke.Resumption{Run: l.Run.ID, Operator: anna, Now: noon}); err != nil {
			t.Fatal(err)
		}
		if r, _ := read(t, db, l.Run.ID); r.Refused != 0 || !r.Canary || r.Next != 2 {
			t.Errorf("resumed with %+v", r.Progress)
		}
	})
}

func TestAPauseForAnotherCauseKeepsTheProgress(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l, f := many(t, db, 10, 5)
		commit(t, db, f, revoke.Step{Now: noon, Lease: lease, End: revoke.RunPaused, Pause: revoke.PauseNeedSignIn, Refused: 3})
		if _, err := db.Revoke().Resume(t.Context(), revoke.Resumption{Run: l.Run.ID, Operator: anna, Now: noon}); err != nil {
			t.Fatal(err)
		}
		if r, _ := read(t, db, l.Run.ID); r.Refused != 3 || r.Canary {
			t.Errorf("resumed with %+v", r.Progress)
		}
	})
}

func TestARunWithoutAWorkerWaitsForItsFirstSlice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := manyOf(11, listed(t, db, previewOf(10, anna), people(3)...))
		l.Owner = ""
		f := launch(t, db, l)
		if f != (revoke.Fence{Run: l.Run.ID}) {
			t.Errorf("fence %+v, want one without owner in epoch 0", f)
		}
		if err := refused(t, db, f, wanting(1)); !errors.Is(err, revoke.ErrFenced) {
			t.Errorf("a commit by nobody: %v, want ErrFenced", err)
		}
		if diff := cmp.Diff([]revoke.Slice{{Run: l.Run.ID, Epoch: 1}}, due(t, db, noon)); diff != "" {
			t.Errorf("due (-want +got):\n%s", diff)
		}
		for _, epoch := range []int64{0, 2} {
			if _, ok, err := db.Revoke().Claim(t.Context(), revoke.Slice{Run: l.Run.ID, Epoch: epoch}, "one", noon, lease); ok || err != nil {
				t.Errorf("claimed epoch %d: %v, %v", epoch, ok, err)
			}
		}
		first := revoke.Slice{Run: l.Run.ID, Epoch: 1}
		f, ok, err := db.Revoke().Claim(t.Context(), first, "one", noon, lease)
		if !ok || err != nil || f.Epoch != 1 {
			t.Fatalf("claiming: %v, %v, %+v", ok, err, f)
		}
		if err := db.Revoke().Release(t.Context(), f, noon); err != nil {
			t.Fatal(err)
		}
		if _, ok, _ := db.Revoke().Claim(t.Context(), first, "two", noon, lease); ok {
			t.Error("a slice was worked twice")
		}
		if diff := cmp.Diff([]revoke.Slice{{Run: l.Run.ID, Epoch: 2}}, due(t, db, noon)); diff != "" {
			t.Errorf("due next (-want +got):\n%s", diff)
		}
	})
}

// Runs of two workers, on PostgreSQL in two replicas, ask for more than there is, all at once.
func TestWorkersTogetherGetNoMoreThanTheBucketHas(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		handles := []*store.DB{db, db}
		if db.Engine() == "PostgreSQL" {
			handles[1] = open()
		}
		empty := wanting(revoke.QuotaBurst - 200)
		empty.Urgent = true
		_, f := many(t, db, 10, revoke.QuotaBurst)
		commit(t, db, f, empty)
		left := int(quota(t, db).Tokens) - revoke.QuotaReserve
		var fences [4]revoke.Fence
		for i := range fences {
			_, fences[i] = many(t, db, 100*(i+1), 100)
		}
		var granted atomic.Int64
		var wg sync.WaitGroup
		for i := range fences {
			wg.Go(func() {
				for range 12 {
					g, err := handles[i%2].Revoke().Commit(t.Context(), fences[i], wanting(9))
					if err != nil {
						t.Errorf("committing: %v", err)
						return
					}
					granted.Add(int64(len(g.Targets)))
				}
			})
		}
		wg.Wait()
		if granted.Load() != int64(left) {
			t.Errorf("%d calls were granted, the bucket had %d", granted.Load(), left)
		}
		if q := quota(t, db); int(q.Tokens) != revoke.QuotaReserve {
			t.Errorf("%v tokens are left, want the reserve of %d", q.Tokens, revoke.QuotaReserve)
		}
	})
}

func TestAChartIsThinnedEvenlyAndEndsWithItsLastPoint(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l, f := many(t, db, 10, 30)
		for i := range 25 {
			s := wanting(1)
			s.Now, s.Sample = noon.Add(time.Duration(i)*time.Second), true
			if i == 20 {
				_, targets, _ := db.Revoke().Work(t.Context(), f)
				moved(&s, audit.TargetConfirmed, revoke.Confirmed, targets[:5]...)
				moved(&s, audit.TargetRefused, revoke.Refused, targets[5])
			}
			commit(t, db, f, s)
			if i == 24 { // a second point at the same moment takes its place
				s.Changes, s.Events, s.Want = nil, nil, 2
				commit(t, db, f, s)
			}
		}
		all := samples(t, db, l.Run.ID, 100)
		last := revoke.Sample{At: noon.Add(24 * time.Second), Begun: 27, Final: 6, Confirmed: 5}
		if len(all) != 25 || all[0] != (revoke.Sample{At: noon, Begun: 1}) || all[24] != last {
			t.Errorf("%d points, from %+v to %+v", len(all), all[0], all[len(all)-1])
		}
		for _, limit := range []int{1, 2, 7, 12, 24, 25} {
			got := samples(t, db, l.Run.ID, limit)
			if len(got) > limit || len(got) < (limit+1)/2 || got[len(got)-1] != last {
				t.Errorf("of at most %d points there are %d, the last %+v", limit, len(got), got[len(got)-1])
			}
			for i := 2; i < len(got); i++ {
				if got[i].At.Sub(got[i-1].At) != got[1].At.Sub(got[0].At) {
					t.Errorf("at most %d points: not evenly thinned: %v", limit, got)
				}
			}
		}
		if got := samples(t, db, "nope", 5); len(got) != 0 {
			t.Errorf("the chart of no run: %v", got)
		}
	})
}

func samples(t testing.TB, db *store.DB, id revoke.RunID, limit int) []revoke.Sample {
	t.Helper()
	out, err := db.Revoke().Samples(t.Context(), id, limit)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheOperatorsAmongHundredsOfTargetsAreEvicted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		hers := launchOf(500, oidOf(200), bernd)
		launch(t, db, hers)
		for i, oid := range []string{oidOf(7), oidOf(255), carla} {
			if err := db.Sessions().SignIn(t.Context(), session(byte(i), oid), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		_, f := many(t, db, 10, 256)
		s := revoke.Step{Now: noon, Lease: lease}
		for _, target := range commit(t, db, f, wanting(256)).Targets {
			s.Evict = append(s.Evict, cuts(target.OID)...)
		}
		var evicted []string
		s.Evicted = func(f revoke.Footprint) []audit.Event { evicted = append(evicted, f.OID); return nil }
		commit(t, db, f, s)
		slices.Sort(evicted)
		want := []string{oidOf(7), oidOf(200), oidOf(255)}
		slices.Sort(want)
		if !slices.Equal(evicted, want) {
			t.Errorf("evicted %v, want %v", evicted, want)
		}
		if _, err := db.Sessions().Session(t.Context(), session(2, carla).IDHash); err != nil {
			t.Errorf("a bystander's session: %v", err)
		}
		if r, _ := read(t, db, hers.Run.ID); r.Pause != revoke.PauseNeedSignIn {
			t.Errorf("the run of an evicted operator is %q", r.State)
		}
	})
}

func TestAStepThatEvictsItsOwnOperatorBeginsNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l, f := many(t, db, 10, 5)
		s := wanting(3)
		s.Evict = cuts(anna)
		if g := commit(t, db, f, s); len(g.Targets) != 0 {
			t.Errorf("%d calls were granted to a run that this very step paused", len(g.Targets))
		}
		if r, targets := read(t, db, l.Run.ID); r.State != revoke.RunPaused || len(targets) != 0 {
			t.Errorf("run %q, %d targets", r.State, len(targets))
		}
	})
}

func TestTheClosingEventComesAfterTheEvictionsOfItsStep(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd)
		f := launch(t, db, l)
		signIn(t, db, session(1, bernd), nil)
		step := accept(l)
		step.Events = append(step.Events, runEvent(audit.RunFinished, 60, l.Run.ID))
		step.Evict, step.End = cuts(bernd), revoke.RunFinished
		step.Evicted = func(revoke.Footprint) []audit.Event { return []audit.Event{runEvent(audit.SignedOut, 61, l.Run.ID)} }
		commit(t, db, f, step)
		last := recordAt(t, db, newest(t, db)).Event
		if last.Kind != audit.RunFinished || last.Detail["events"] != "4" || last.Detail["last_seq"] != "4" {
			t.Errorf("the last event is %q with %v, want the end of the run with 4 events", last.Kind, last.Detail)
		}
	})
}

// Somebody signs in, with a token from before the cut, while the cut is being recorded. Whoever comes second must see
// the other: the sign-in is refused, or its session ends.
func TestASignInDuringTheCutDoesNotOutliveIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		for i, first := range []string{"sign-in", "commit"} {
			inside, leave := make(chan struct{}), make(chan struct{})
			db := open(func(o *store.Options) {
				o.Hook = func(point string) error {
					if point == first+":before-commit" {
						close(inside)
						<-leave
					}
					return nil
				}
			})
			who := oidOf(i)
			l := launchOf(10*(i+1), anna, who)
			f := launch(t, db, l)
			step := accept(l)
			step.Changes[0].Target.Accepts = 1
			step.Evict = cuts(who)
			row := session(1, who)
			one := func() error { return db.Sessions().SignIn(t.Context(), row, nil, nil) }
			other := func() error { return refused(t, db, f, step) }
			if first == "commit" {
				one, other = other, one
			}
			done := make(chan error, 2)
			go func() { done <- one() }()
			<-inside
			go func() { done <- other() }()
			var errs []error
			select {
			case err := <-done: // it did not wait
				errs = append(errs, err)
			case <-time.After(200 * time.Millisecond):
			}
			close(leave)
			for len(errs) < 2 {
				errs = append(errs, <-done)
			}
			if err := errors.Join(errs...); err != nil && !errors.Is(err, auth.ErrRevoked) {
				t.Errorf("the %s was first: %v", first, err)
			}
			if _, err := db.Sessions().Session(t.Context(), row.IDHash); !errors.Is(err, auth.ErrNoSession) {
				t.Errorf("the %s was first: a session from before the cut lives on (%v)", first, err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
