package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/fault"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

func TestAPlanComesBackAsItWasFrozen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd, carla)
		launch(t, db, l)
		got, err := db.Revoke().Plan(t.Context(), l.Plan.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l.Plan, got); diff != "" {
			t.Errorf("plan (-want +got):\n%s", diff)
		}
		if frozen := got.Freeze().Digest; frozen != got.Digest || frozen != l.Plan.Digest {
			t.Errorf("digest of what was read back: %s, stored: %s, want %s", frozen, got.Digest, l.Plan.Digest)
		}
		if _, err := db.Revoke().Plan(t.Context(), "nope"); !errors.Is(err, revoke.ErrNotFound) {
			t.Errorf("a missing plan: %v", err)
		}
	})
}

func TestAPlanThatDoesNotFitItsDigestIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		for name, change := range map[string]func(*revoke.Plan){
			"changed after freezing": func(p *revoke.Plan) { p.Targets[0].OID = carla },
			"U+0000 in the reason":   func(p *revoke.Plan) { p.Reason = "a\x00b"; *p = p.Freeze() },
			"invalid UTF-8":          func(p *revoke.Plan) { p.Ticket = "\xff"; *p = p.Freeze() },
		} {
			l := launchOf(10, anna, bernd)
			change(&l.Plan)
			l.Run.Digest = l.Plan.Digest
			if _, err := db.Revoke().Launch(t.Context(), l); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: got %v, want the kind invalid", name, err)
			}
		}
		if got := newest(t, db); got != 0 {
			t.Errorf("the ledger has %d events, want none", got)
		}
	})
}

func TestALaunchComesBackWithEveryField(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd, carla)
		f := launch(t, db, l)
		if want := (revoke.Fence{Run: l.Run.ID, Owner: "one", Epoch: 1}); f != want {
			t.Errorf("fence: got %+v, want %+v", f, want)
		}
		run, targets := read(t, db, l.Run.ID)
		want := l.Run
		want.Events, want.Next, want.Counts = 1, 1, revoke.Counts{revoke.Attempting: 1}
		if diff := cmp.Diff(want, run); diff != "" {
			t.Errorf("run (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(l.Targets, targets); diff != "" { // the other one has not begun
			t.Errorf("targets (-want +got):\n%s", diff)
		}
		token, err := db.Revoke().RunToken(t.Context(), l.Run.ID)
		if err != nil || string(token) != string(l.Token) {
			t.Errorf("token: got %q, %v", token, err)
		}
		if e := recordAt(t, db, 1).Event; e.Kind != audit.RunStarted {
			t.Errorf("event: got %q", e.Kind)
		}
		if _, err := db.Revoke().Run(t.Context(), "nope"); !errors.Is(err, revoke.ErrNotFound) {
			t.Errorf("a missing run: %v", err)
		}
		if _, err := db.Revoke().RunTargets(t.Context(), "nope", revoke.RunTargetQuery{}); !errors.Is(err, revoke.ErrNotFound) {
			t.Errorf("the targets of a missing run: %v", err)
		}
		if _, err := db.Revoke().RunToken(t.Context(), "nope"); !errors.Is(err, revoke.ErrNotFound) {
			t.Errorf("a missing token: %v", err)
		}
	})
}

func TestAPlanRunsOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd)
		launch(t, db, l)
		again := launchOf(10, anna, bernd)
		again.Run.ID = revoke.RunID(id(99))
		again.Targets[0].Run = again.Run.ID
		if _, err := db.Revoke().Launch(t.Context(), again); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("a second run of the plan: %v, want ErrConflict", err)
		}
		sameRun := launchOf(20, anna, bernd)
		sameRun.Run.ID = l.Run.ID
		if _, err := db.Revoke().Launch(t.Context(), sameRun); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("a second run of the same id: %v, want ErrConflict", err)
		}
		if _, err := db.Revoke().Plan(t.Context(), sameRun.Plan.ID); !errors.Is(err, revoke.ErrNotFound) {
			t.Errorf("the plan of a refused launch is there: %v", err)
		}
		if got := newest(t, db); got != 1 {
			t.Errorf("the ledger has %d events, want 1", got)
		}
	})
}

func TestARunTouchesOnlyTheTargetsOfItsPlan(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		other, more, foreign := launchOf(10, anna, bernd), launchOf(20, anna, bernd), launchOf(30, anna, bernd)
		other.Targets[0].OID = carla
		extra := more.Targets[0]
		extra.Pos = 1
		more.Targets = append(more.Targets, extra)
		foreign.Run.Plan = other.Plan.ID
		for name, l := range map[string]revoke.Launch{"another user": other, "one more": more, "another plan": foreign} {
			if _, err := db.Revoke().Launch(t.Context(), l); err == nil {
				t.Errorf("%s: launched", name)
			}
		}
	})
}

func TestTheDatabaseItselfRefusesToChangeAPlan(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		launch(t, db, launchOf(10, anna, bernd))
		raw := past(t, o)
		for _, s := range []string{
			`update plan set reason = 'x'`, `delete from plan`, `update plan_target set oid = 'x'`, `delete from plan_target`,
		} {
			if _, err := raw.ExecContext(t.Context(), s); err == nil {
				t.Errorf("the database did it: %s", s)
			}
		}
	})
}

func TestRunsAreListedNewestFirstAndFiltered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		one, two, own := launchOf(10, anna, bernd, carla), launchOf(20, carla, bernd), launchOf(30, anna, anna)
		own.Run.Parent = one.Run.ID
		fence := launch(t, db, one)
		paused := launch(t, db, two)
		launch(t, db, own)
		commit(t, db, fence, accept(one))
		commit(t, db, paused, revoke.Step{Now: noon, Lease: time.Second, End: revoke.RunPaused, Pause: revoke.PauseNeedRole})
		finished := launchOf(40, anna, carla)
		commit(t, db, launch(t, db, finished), revoke.Step{Now: noon, Lease: time.Second, End: revoke.RunFinished})

		for name, c := range map[string]struct {
			q    revoke.RunQuery
			want []revoke.RunID
		}{
			"all":      {revoke.RunQuery{}, []revoke.RunID{finished.Run.ID, own.Run.ID, two.Run.ID, one.Run.ID}},
			"operator": {revoke.RunQuery{Operator: carla}, []revoke.RunID{two.Run.ID}},
			"target":   {revoke.RunQuery{Target: carla}, []revoke.RunID{finished.Run.ID}}, // the first run has not come to her
			"parent":   {revoke.RunQuery{Parent: one.Run.ID}, []revoke.RunID{own.Run.ID}},
			"until":    {revoke.RunQuery{Until: noon}, nil},
			"since":    {revoke.RunQuery{Until: noon.Add(time.Second), Paused: revoke.PauseNeedRole}, []revoke.RunID{two.Run.ID}},
			"paused":   {revoke.RunQuery{Paused: revoke.PauseNeedRole}, []revoke.RunID{two.Run.ID}},
			"not so":   {revoke.RunQuery{Paused: revoke.PauseNeedSignIn}, nil},
			"open":     {revoke.RunQuery{Open: true}, []revoke.RunID{own.Run.ID, two.Run.ID, one.Run.ID}},
			"self":     {revoke.RunQuery{Self: true}, []revoke.RunID{own.Run.ID}},
			"before":   {revoke.RunQuery{Before: two.Run.ID}, []revoke.RunID{one.Run.ID}},
			"limit":    {revoke.RunQuery{Limit: 1}, []revoke.RunID{finished.Run.ID}},
		} {
			var got []revoke.RunID
			for _, s := range runs(t, db, c.q) {
				got = append(got, s.ID)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, want %v", name, got, c.want)
			}
		}
		s := runs(t, db, revoke.RunQuery{Before: two.Run.ID})[0]
		if diff := cmp.Diff(revoke.Counts{revoke.Accepted: 1}, s.Counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		if s.First.OID != bernd || s.First.State != revoke.Accepted || s.Reason != "phished" {
			t.Errorf("first target %s is %q, reason %q", s.First.OID, s.First.State, s.Reason)
		}
	})
}

func runs(t *testing.T, db *store.DB, q revoke.RunQuery) []revoke.RunSummary {
	t.Helper()
	out, err := db.Revoke().Runs(t.Context(), q)
	if err != nil {
		t.Fatalf("listing %+v: %v", q, err)
	}
	return out
}

func TestResumeSetsAPausedRunGoingWithANewToken(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd)
		fence := launch(t, db, l)
		later := noon.Add(time.Hour)
		resume := func(run revoke.RunID, operator string) error {
			e := runEvent(audit.RunResumed, 70, run)
			e.Operator.OID = operator
			_, err := db.Revoke().Resume(t.Context(), revoke.Resumption{
				Run: run, Operator: operator, Token: []byte("new"), TokenExpires: later, Owner: "two", Now: later,
				Lease: 5 * time.Second, Events: []audit.Event{e},
			})
			return err
		}
		if err := resume(l.Run.ID, anna); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("resuming a running run: %v, want ErrConflict", err)
		}
		commit(t, db, fence, revoke.Step{Now: noon, Lease: time.Second, End: revoke.RunPaused,
			Pause: revoke.PauseNeedSignIn, Claims: `{"access_token":{}}`})
		if run, _ := read(t, db, l.Run.ID); run.State != revoke.RunPaused ||
			run.Pause != revoke.PauseNeedSignIn || run.Claims != `{"access_token":{}}` {
			t.Errorf("paused: %q, %q, claims %q", run.State, run.Pause, run.Claims)
		}
		if err := resume(l.Run.ID, carla); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("resuming somebody else's run: %v, want ErrConflict", err)
		}
		if err := resume("nope", anna); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("resuming no run: %v, want ErrConflict", err)
		}
		before := newest(t, db)
		if err := resume(l.Run.ID, anna); err != nil {
			t.Fatal(err)
		}
		run, _ := read(t, db, l.Run.ID)
		if run.State != revoke.RunRunning || run.Pause != "" || run.Claims != "" || !run.DueAt.Equal(later) {
			t.Errorf("resumed: %q, pause %q, claims %q, due %v", run.State, run.Pause, run.Claims, run.DueAt)
		}
		if token, _ := db.Revoke().RunToken(t.Context(), l.Run.ID); string(token) != "new" {
			t.Errorf("token: %q", token)
		}
		if got := newest(t, db); got != before+1 {
			t.Errorf("resuming wrote %d events, want 1", got-before)
		}
		if _, ok := claim(t, db, l.Run.ID, "three", later.Add(4*time.Second)); ok {
			t.Error("a resumed run can be claimed while its worker holds it")
		}
		if _, ok := claim(t, db, l.Run.ID, "three", later.Add(5*time.Second)); !ok {
			t.Error("a resumed run cannot be claimed after its lease")
		}
	})
}

func TestAnEndedSessionBeginsNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		row := session(1, anna)
		l := launchOf(10, anna, bernd)
		l.Session = row.IDHash
		if _, err := db.Revoke().Launch(t.Context(), l); !errors.Is(err, revoke.ErrEnded) {
			t.Errorf("launching without the session: %v, want ErrEnded", err)
		}
		if err := db.Sessions().SignIn(t.Context(), row, nil, nil); err != nil {
			t.Fatal(err)
		}
		fence, err := db.Revoke().Launch(t.Context(), l)
		if err != nil {
			t.Fatalf("launching with the session: %v", err)
		}
		commit(t, db, fence, revoke.Step{Now: noon, Lease: time.Second, End: revoke.RunPaused, Pause: revoke.PauseNeedSignIn})
		if err := db.Sessions().SignOut(t.Context(), row.IDHash, nil); err != nil {
			t.Fatal(err)
		}
		_, err = db.Revoke().Resume(t.Context(), revoke.Resumption{Run: l.Run.ID, Operator: anna, Session: row.IDHash, Now: noon})
		if !errors.Is(err, revoke.ErrEnded) {
			t.Errorf("resuming without the session: %v, want ErrEnded", err)
		}
	})
}

func TestASignInFromBeforeTheCutIsRefusedAndOneAfterItLivesOn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd) // T0 is noon
		fence := launch(t, db, l)
		after := session(1, bernd)
		after.IssuedAt = noon
		if err := db.Sessions().SignIn(t.Context(), after, nil, nil); err != nil {
			t.Fatalf("before anything was accepted: %v", err)
		}
		step := accept(l)
		step.Changes[0].Target.Accepts = 1
		step.Evict = cuts(bernd)
		commit(t, db, fence, step)
		if _, err := db.Sessions().Session(t.Context(), after.IDHash); err != nil {
			t.Errorf("the session of a sign-in after the cut: %v, want it alive", err)
		}
		late := session(2, bernd) // its code was redeemed before the cut, its row comes after it
		if err := db.Sessions().SignIn(t.Context(), late, nil, nil); !errors.Is(err, auth.ErrRevoked) {
			t.Errorf("a sign-in from before the cut: %v, want ErrRevoked", err)
		}
	})
}
