package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/internal/store/storetest"
)

var lead = operator.Operator{
	OID: "aaaaaaaa-0000-4000-8000-000000000002", TID: tenant, UPN: "lead@corp.example", Name: "The Lead",
	Address: "192.0.2.8", Roles: operator.Roles{operator.Lead},
}

var everyone = directory.Scope{Include: []directory.Source{{Kind: directory.TenantSource}}}

// people fills the world with n members, whom a scope then leads to.
func (w *world) people(n int, change ...func(i int, h *directory.Hit)) {
	for i := range n {
		u := victim
		u.ID = fmt.Sprintf("cccccccc-0000-4000-8000-%012d", i)
		u.UPN, u.Name = fmt.Sprintf("p%06d@corp.example", i), fmt.Sprintf("Person %d", i)
		h := directory.Hit{
			User: u, Reason: "the tenant", Privileged: directory.No, Federated: directory.No,
			Prediction: directory.Prediction{Verdict: directory.Allowed},
		}
		for _, c := range change {
			c(i, &h)
		}
		w.graph.add(h.User)
		w.graph.hits = append(w.graph.hits, h)
	}
	w.graph.learned.EnabledInternal = 10 * n
}

// preview expands a scope and waits until the list stands.
func (w *world) preview(scope directory.Scope, o revoke.PlanOptions) revoke.Preview {
	w.t.Helper()
	id, err := w.svc.Preview(w.t.Context(), actor(lead), scope, o, "")
	if err != nil {
		w.t.Fatalf("Preview: %v", err)
	}
	return w.ready(id)
}

func (w *world) ready(id revoke.PreviewID) revoke.Preview {
	w.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		p, err := w.db.Revoke().Preview(w.t.Context(), id)
		if err != nil {
			w.t.Fatalf("reading the preview: %v", err)
		}
		if p.State != revoke.PreviewExpanding {
			return p
		}
	}
	w.t.Fatal("the preview does not get ready")
	return revoke.Preview{}
}

func sure(p revoke.Preview) revoke.Confirmation {
	return revoke.Confirmation{ListDigest: p.ListDigest, Reason: "phishing wave", Ticket: "INC-7", Typed: strconv.Itoa(p.Total)}
}

// begin starts the run of a preview, and leaves it to the sweep.
func (w *world) begin(p revoke.Preview) revoke.RunID {
	w.t.Helper()
	id, err := w.svc.Confirm(w.t.Context(), actor(lead), p.ID, sure(p))
	if err != nil {
		w.t.Fatalf("Confirm: %v", err)
	}
	return id
}

// runMany previews everyone, starts the run and lets it go on until it ends or pauses.
func (w *world) runMany(o revoke.PlanOptions) revoke.Run {
	w.t.Helper()
	run, _ := w.settle(w.begin(w.preview(everyone, o)))
	return run
}

// checkMany is rule 5 for a run of many: the targets stand where the run's counts say, and the ledger has one outcome
// for each attempt, an intent before it, and a closing event that counts them all.
func (w *world) checkMany(run revoke.Run) {
	w.t.Helper()
	counts := revoke.Counts{}
	attempts := 0
	for _, t := range w.targets(run.ID) {
		counts[t.State]++
		attempts += t.Attempt
		if !t.State.Final() && run.State != revoke.RunPaused {
			w.t.Errorf("target %d has no outcome: %s", t.Pos, t.State)
		}
	}
	if fmt.Sprint(counts) != fmt.Sprint(run.Counts) {
		w.t.Errorf("the run counts %v, its targets are %v", run.Counts, counts)
	}
	intents, last := 0, audit.Event{}
	for q := (audit.Query{Run: string(run.ID), Limit: 200}); ; {
		page, err := w.db.Ledger().Search(w.t.Context(), q)
		if err != nil {
			w.t.Fatalf("reading the ledger: %v", err)
		}
		for _, r := range page.Records {
			if last.ID == "" {
				last = r.Event
			}
			if r.Event.Kind == audit.TargetAttempted {
				intents++
			}
			q.Before = r.Event.Seq
		}
		if !page.More {
			break
		}
	}
	if intents != attempts {
		w.t.Errorf("%d intents in the ledger for %d attempts", intents, attempts)
	}
	if run.State == revoke.RunFinished && (last.Kind != audit.RunFinished || last.Detail["events"] != strconv.Itoa(run.Events)) {
		w.t.Errorf("the last event is %s with %v, want the run's end counting %d events", last.Kind, last.Detail, run.Events)
	}
	for oid, n := range w.graph.called {
		i := slices.IndexFunc(w.targets(run.ID), func(t revoke.RunTarget) bool { return t.OID == oid })
		if i < 0 || n > w.targets(run.ID)[i].Attempt {
			w.t.Errorf("%s was called %d times, more than intended", oid, n)
		}
		break // one is enough of a sample; the whole is counted below
	}
	if len(w.graph.calls) > attempts {
		w.t.Errorf("%d calls for %d intents", len(w.graph.calls), attempts)
	}
}

func TestARunOfManyConfirmsEverybody(t *testing.T) {
	each(t, func(w *world) {
		w.people(300)
		run := w.runMany(revoke.PlanOptions{})
		if run.State != revoke.RunFinished || run.Counts[revoke.Confirmed] != 300 {
			w.t.Fatalf("%s with %v, want 300 confirmed", run.State, run.Counts)
		}
		w.checkMany(run)
	})
}

func TestTheFirstTargetsGoAheadUntilOneIsConfirmed(t *testing.T) {
	each(t, func(w *world) {
		w.people(100)
		w.graph.answer = w.graph.accepts // and nothing moves
		p := w.preview(everyone, revoke.PlanOptions{})
		run, _ := w.settle(w.begin(p))
		if run.State != revoke.RunPaused || run.Pause != revoke.PauseCanary || len(w.graph.called) != 20 {
			w.t.Fatalf("%s (%s) after %d people, want paused for the first 20", run.State, run.Pause, len(w.graph.called))
		}
		w.checkMany(run)
		w.graph.answer = nil
		if _, err := w.svc.Resume(t.Context(), actor(lead), run.ID); err != nil {
			w.t.Fatalf("Resume: %v", err)
		}
		if run, _ = w.settle(run.ID); run.State != revoke.RunFinished || run.Counts[revoke.Confirmed] != 80 || run.Counts[revoke.Unconfirmed] != 20 {
			w.t.Errorf("after a click: %s with %v, want the other 80 confirmed", run.State, run.Counts)
		}
	})
}

func TestARoleThatEndsPausesTheRun(t *testing.T) {
	each(t, func(w *world) {
		w.people(800)
		w.graph.answer = func(oid, token string) (directory.Answer, error) {
			if w.graph.people() > 50 {
				return answers(403, "Authorization_RequestDenied", 0)(oid, token)
			}
			return w.graph.works(oid, token)
		}
		run := w.runMany(revoke.PlanOptions{})
		if run.State != revoke.RunPaused || run.Pause != revoke.PauseNeedRole {
			w.t.Fatalf("%s (%s) with %v, want paused for a role", run.State, run.Pause, run.Counts)
		}
		if run.Counts[revoke.Refused] < 20 || run.Next == run.Total {
			w.t.Errorf("%v, %d of %d begun", run.Counts, run.Next, run.Total)
		}
		w.checkMany(run)
	})
}

func TestARefusalThatWasPredictedPausesNothing(t *testing.T) {
	each(t, func(w *world) {
		w.people(60, func(i int, h *directory.Hit) {
			if i >= 20 {
				h.Prediction.Verdict = directory.Refused
			}
		})
		w.graph.answer = func(oid, token string) (directory.Answer, error) {
			if oid >= "cccccccc-0000-4000-8000-000000000020" {
				return answers(403, "Authorization_RequestDenied", 0)(oid, token)
			}
			return w.graph.works(oid, token)
		}
		run := w.runMany(revoke.PlanOptions{})
		if run.State != revoke.RunFinished || run.Counts[revoke.Refused] != 40 {
			w.t.Errorf("%s (%s) with %v, want it finished with 40 refused", run.State, run.Pause, run.Counts)
		}
		w.checkMany(run)
	})
}

func TestWhoMayNotBeRevokedHoldsUpNobodyElse(t *testing.T) {
	each(t, func(w *world) {
		w.people(80, func(i int, h *directory.Hit) {
			if i < 30 {
				h.Privileged, h.Prediction.Verdict = directory.Yes, directory.Refused
			}
		})
		w.graph.answer = func(oid, token string) (directory.Answer, error) {
			if oid < "cccccccc-0000-4000-8000-000000000030" {
				return answers(403, "Authorization_RequestDenied", 0)(oid, token)
			}
			return w.graph.works(oid, token)
		}
		run := w.runMany(revoke.PlanOptions{})
		if run.State != revoke.RunFinished || run.Counts[revoke.Refused] != 30 || run.Counts[revoke.Confirmed] != 50 {
			w.t.Errorf("%s (%s) with %v, want it finished with 30 refused", run.State, run.Pause, run.Counts)
		}
		w.checkMany(run)
	})
}

func TestWhoIsLeftOutOfAPlan(t *testing.T) {
	each(t, func(w *world) {
		w.people(10, func(i int, h *directory.Hit) {
			switch i {
			case 0:
				h.User.ID = lead.OID
			case 1:
				h.User.UserType, h.User.Identities = "Guest", []directory.Identity{{SignInType: "federated", Issuer: "ExternalAzureAD"}}
			case 3:
				h.Privileged = directory.Yes
			case 4:
				h.User.Identities = nil // unsure
			}
		})
		out := w.graph.hits[2]
		out.Excluded, out.Reason = true, "group On leave"
		w.graph.hits = append(w.graph.hits, out) // by one source in, by another one out
		if _, err := w.svc.Protect(t.Context(), actor(lead), w.graph.hits[5].User.ID, "break-glass", "sealed envelope"); err != nil {
			w.t.Fatalf("Protect: %v", err)
		}
		p := w.preview(everyone, revoke.PlanOptions{})
		want := map[string]int{"protected": 1, "the operator": 1, "excluded": 1, "external": 2}
		if p.State != revoke.PreviewReady || p.Total != 5 || fmt.Sprint(p.LeftCounts) != fmt.Sprint(want) {
			w.t.Fatalf("%s: %d targets, left out %v, want 5 and %v", p.State, p.Total, p.LeftCounts, want)
		}
		targets, err := w.db.Revoke().Targets(t.Context(), p.ID, revoke.TargetQuery{After: -1, Limit: 100})
		if err != nil || len(targets) != 5 || targets[0].OID != w.graph.hits[3].User.ID {
			w.t.Errorf("%v: %+v, want the privileged account first", err, targets)
		}
	})
}

func TestAnAccountThatWasProtectedSinceIsSkipped(t *testing.T) {
	each(t, func(w *world) {
		w.people(40)
		p := w.preview(everyone, revoke.PlanOptions{})
		late := w.graph.hits[30].User.ID
		if _, err := w.svc.Protect(t.Context(), actor(lead), late, "break-glass", ""); err != nil {
			w.t.Fatalf("Protect: %v", err)
		}
		run, _ := w.settle(w.begin(p))
		if run.Counts[revoke.Skipped] != 1 || run.Counts[revoke.Confirmed] != 39 || w.graph.called[late] != 0 {
			w.t.Errorf("%v, and %d calls for the protected account", run.Counts, w.graph.called[late])
		}
		w.checkMany(run)
	})
}

func TestTheOperatorGoesLastAndIsConfirmedAtTheNextSignIn(t *testing.T) {
	each(t, func(w *world) {
		w.people(40, func(i int, h *directory.Hit) {
			if i == 0 {
				h.User.ID = lead.OID
			}
		})
		w.graph.me = lead.OID
		run := w.runMany(revoke.PlanOptions{IncludeSelf: true})
		if run.State != revoke.RunPaused || run.Pause != revoke.PauseNeedSignIn || w.graph.self != 1 {
			w.t.Fatalf("%s (%s), %d calls of /me, %v", run.State, run.Pause, w.graph.self, run.Counts)
		}
		if last := w.graph.order[len(w.graph.order)-1]; last != lead.OID || run.Counts[revoke.Confirmed] != 39 {
			w.t.Errorf("the last call was for %s, with %v", last, run.Counts)
		}
		if err := w.svc.ConfirmOwn(t.Context(), lead, source{}); err != nil {
			w.t.Fatalf("ConfirmOwn: %v", err)
		}
		w.ended(run.ID)
		if run, _ = w.read(run.ID); run.State != revoke.RunFinished || run.Counts[revoke.Confirmed] != 40 {
			w.t.Errorf("%s with %v, want 40 confirmed", run.State, run.Counts)
		}
		w.checkMany(run)
	})
}

func TestAConfirmationIsForTheListThatWasShown(t *testing.T) {
	each(t, func(w *world) {
		w.people(30)
		w.graph.learned.EnabledInternal = 40
		p := w.preview(everyone, revoke.PlanOptions{})
		tests := []struct {
			name   string
			change func(*revoke.Confirmation)
			kind   fault.Kind
			field  string
		}{
			{"another list", func(c *revoke.Confirmation) { c.ListDigest = "00" }, fault.Conflict, ""},
			{"no reason", func(c *revoke.Confirmation) { c.Reason = " " }, fault.Invalid, "reason"},
			{"a wrong number", func(c *revoke.Confirmation) { c.Typed = "31" }, fault.Invalid, "typed"},
			{"nobody protected", func(c *revoke.Confirmation) { c.NoProtected = false }, fault.Invalid, "no_protected"},
		}
		for _, tt := range tests {
			c := sure(p)
			c.NoProtected = true
			tt.change(&c)
			_, err := w.svc.Confirm(t.Context(), actor(lead), p.ID, c)
			e, _ := errors.AsType[*fault.Error](err)
			if fault.KindOf(err) != tt.kind || e == nil || e.Field != tt.field {
				w.t.Errorf("%s: %v, want %v beside %q", tt.name, err, tt.kind, tt.field)
			}
		}
		if _, err := w.svc.Confirm(t.Context(), actor(helpdesk), p.ID, sure(p)); fault.KindOf(err) != fault.NotFound {
			w.t.Errorf("somebody else: %v, want not found", err)
		}
		c := sure(p)
		c.NoProtected = true
		first, err := w.svc.Confirm(t.Context(), actor(lead), p.ID, c)
		if err != nil {
			w.t.Fatalf("Confirm: %v", err)
		}
		if second, err := w.svc.Confirm(t.Context(), actor(lead), p.ID, c); err != nil || second != first {
			w.t.Errorf("a second click: %q, %v, want the same run", second, err)
		}
		w.clock.Advance(revoke.PlanLife)
		late := w.preview(everyone, revoke.PlanOptions{})
		w.clock.Advance(revoke.PlanLife)
		if _, err := w.svc.Confirm(t.Context(), actor(lead), late.ID, sure(late)); fault.KindOf(err) != fault.Conflict {
			w.t.Errorf("an expired plan: %v, want conflict", err)
		}
	})
}

func TestNothingIsCalledWhenTheRunOfManyCannotBeRecorded(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		w := newWorld(t, open, failing("launch:before-commit", 1))
		w.people(30)
		p := w.preview(everyone, revoke.PlanOptions{})
		_, err := w.svc.Confirm(t.Context(), actor(lead), p.ID, sure(p))
		if _, ok := errors.AsType[*revoke.NotRecordedError](err); !ok {
			w.t.Fatalf("Confirm = %v, want NotRecordedError", err)
		}
		w.sweep()
		if len(w.graph.calls) != 0 {
			w.t.Errorf("%d calls", len(w.graph.calls))
		}
	})
}

// asks is a Graph that works, and at the 60th call of which somebody asks something of the run. Until that is said, no
// further call is answered.
func (w *world) asks(id revoke.RunID, wish revoke.Wish) func(oid, token string) (directory.Answer, error) {
	var n atomic.Int32
	var once sync.Once
	return func(oid, token string) (directory.Answer, error) {
		if n.Add(1) >= 60 {
			once.Do(func() {
				if err := w.svc.Ask(context.Background(), actor(lead), id, wish); err != nil {
					w.t.Errorf("Ask: %v", err)
				}
			})
		}
		return w.graph.works(oid, token)
	}
}

func TestAPauseLetsWhatWasCalledEndAndARunGoesOn(t *testing.T) {
	each(t, func(w *world) {
		w.people(400)
		p := w.preview(everyone, revoke.PlanOptions{})
		id := w.begin(p)
		w.graph.answer = w.asks(id, revoke.WishPause)
		run, _ := w.settle(id)
		if run.State != revoke.RunPaused || run.Pause != revoke.PauseOperator || run.Next >= 400 {
			w.t.Fatalf("%s (%s) after %d", run.State, run.Pause, run.Next)
		}
		if run.Counts[revoke.Confirmed] != run.Next {
			w.t.Errorf("%v, want all %d that were called confirmed", run.Counts, run.Next)
		}
		w.checkMany(run)
		if _, err := w.svc.Resume(t.Context(), actor(lead), id); err != nil {
			w.t.Fatalf("Resume: %v", err)
		}
		if run, _ = w.settle(id); run.State != revoke.RunFinished || run.Counts[revoke.Confirmed] != 400 {
			w.t.Errorf("%s with %v, want 400 confirmed", run.State, run.Counts)
		}
		w.checkMany(run)
	})
}

func TestACancelledRunSaysWhomItNeverCalled(t *testing.T) {
	each(t, func(w *world) {
		w.people(400)
		id := w.begin(w.preview(everyone, revoke.PlanOptions{}))
		w.graph.answer = w.asks(id, revoke.WishCancel)
		run, _ := w.settle(id)
		if run.State != revoke.RunCancelled || run.Counts[revoke.Confirmed] != run.Next || run.Next >= 400 {
			w.t.Fatalf("%s with %v of %d", run.State, run.Counts, run.Next)
		}
		closing := w.events()
		want := fmt.Sprintf("%d-400", run.Next+1)
		if e := closing[len(closing)-1]; e.Kind != audit.RunCancelled || e.Detail["never_attempted"] != want {
			w.t.Errorf("the closing event is %s with %v, want never_attempted %s", e.Kind, e.Detail, want)
		}
		// A child plan takes up those whose turn never came.
		child, err := w.svc.Again(t.Context(), actor(lead), id, []revoke.State{revoke.Cancelled})
		if err != nil {
			w.t.Fatalf("Again: %v", err)
		}
		if p := w.ready(child); p.Total != 400-run.Next {
			w.t.Errorf("the child has %d targets, want %d", p.Total, 400-run.Next)
		}
	})
}

func TestWhatWasRefusedIsTriedAgainAsAPlanOfItsOwn(t *testing.T) {
	each(t, func(w *world) {
		w.people(50)
		w.graph.answer = func(oid, token string) (directory.Answer, error) {
			if strings.HasSuffix(oid, "7") {
				return answers(403, "Authorization_RequestDenied", 0)(oid, token)
			}
			return w.graph.works(oid, token)
		}
		run := w.runMany(revoke.PlanOptions{})
		if run.Counts[revoke.Refused] != 5 {
			w.t.Fatalf("%v, want 5 refused", run.Counts)
		}
		w.graph.answer = nil
		id, err := w.svc.Again(t.Context(), actor(lead), run.ID, []revoke.State{revoke.Refused})
		if err != nil {
			w.t.Fatalf("Again: %v", err)
		}
		again, _ := w.settle(w.begin(w.ready(id)))
		if again.Counts[revoke.Confirmed] != 5 || again.Total != 5 || again.Parent != run.ID {
			w.t.Errorf("%v of %d, parent %q, want the 5 confirmed", again.Counts, again.Total, again.Parent)
		}
		w.people(3, func(i int, h *directory.Hit) { h.User.ID = fmt.Sprintf("dddddddd-0000-4000-8000-%012d", i) })
		late, err := w.svc.Latecomers(t.Context(), actor(lead), run.ID)
		if err != nil {
			w.t.Fatalf("Latecomers: %v", err)
		}
		if p := w.ready(late); p.Total != 3 {
			w.t.Errorf("%d late-comers, want 3", p.Total)
		}
	})
}

func TestThrottlingSlowsARunAndLosesNobody(t *testing.T) {
	each(t, func(w *world) {
		w.people(150)
		n := 0
		w.graph.answer = func(oid, token string) (directory.Answer, error) {
			w.graph.mu.Lock()
			n++
			throttled := n > 40 && n%5 == 0 && n < 140
			w.graph.mu.Unlock()
			if throttled {
				return answers(429, "TooManyRequests", 5*time.Second)(oid, token)
			}
			return w.graph.works(oid, token)
		}
		run := w.runMany(revoke.PlanOptions{})
		if run.State != revoke.RunFinished || run.Counts[revoke.Confirmed] != 150 {
			w.t.Fatalf("%s with %v, want 150 confirmed", run.State, run.Counts)
		}
		w.checkMany(run)
		q, err := w.db.Revoke().Quota(t.Context())
		if err != nil || q.Throttled.IsZero() {
			w.t.Errorf("the bucket heard of no 429: %+v, %v", q, err)
		}
	})
}

func TestEveryFaultAtOnceLosesNobody(t *testing.T) {
	each(t, func(w *world) {
		w.people(200)
		n := 0
		w.graph.answer = func(oid, token string) (directory.Answer, error) {
			w.graph.mu.Lock()
			n++
			k := n
			w.graph.mu.Unlock()
			switch {
			case k%11 == 0:
				return w.graph.lost(true)(oid, token)
			case k%13 == 0:
				return w.graph.lost(false)(oid, token)
			case k%17 == 0:
				return answers(503, "ServiceUnavailable", 0)(oid, token)
			case k%19 == 0:
				return answers(404, "Request_ResourceNotFound", 0)(oid, token)
			default:
				return w.graph.works(oid, token)
			}
		}
		run := w.runMany(revoke.PlanOptions{})
		if run.State != revoke.RunFinished || run.Counts[revoke.Confirmed]+run.Counts[revoke.Skipped] != 200 {
			w.t.Fatalf("%s with %v", run.State, run.Counts)
		}
		w.checkMany(run)
	})
}

func TestANeededSignInPausesARunOfManyAndLosesNobody(t *testing.T) {
	each(t, func(w *world) {
		w.people(120)
		w.graph.answer = func(oid, token string) (directory.Answer, error) {
			if n := w.graph.people(); n > 60 && n < 70 {
				return reauth(oid, token)
			}
			return w.graph.works(oid, token)
		}
		run := w.runMany(revoke.PlanOptions{})
		if run.State != revoke.RunPaused || run.Pause != revoke.PauseNeedSignIn || run.Claims == "" {
			w.t.Fatalf("%s (%s)", run.State, run.Pause)
		}
		w.checkMany(run)
		w.graph.answer = nil
		if _, err := w.svc.Resume(t.Context(), actor(lead), run.ID); err != nil {
			w.t.Fatalf("Resume: %v", err)
		}
		if run, _ = w.settle(run.ID); run.Counts[revoke.Confirmed] != 120 {
			w.t.Errorf("%s with %v, want 120 confirmed", run.State, run.Counts)
		}
		w.checkMany(run)
	})
}

func TestADeadExpansionSaysSo(t *testing.T) {
	each(t, func(w *world) {
		p := revoke.Preview{
			ID: revoke.PreviewID(w.ids.New()), Cloud: "public", Tenant: tenant, Creator: revoke.Person{OID: lead.OID, TID: tenant},
			Scope: everyone, State: revoke.PreviewExpanding, CreatedAt: w.clock.Now(), BeatAt: w.clock.Now(),
		}
		if err := w.db.Revoke().BeginPreview(t.Context(), p); err != nil {
			w.t.Fatalf("BeginPreview: %v", err)
		}
		w.clock.Advance(2 * time.Minute)
		if err := w.svc.Tidy(t.Context()); err != nil {
			w.t.Fatalf("Tidy: %v", err)
		}
		if p = w.ready(p.ID); p.State != revoke.PreviewFailed || p.Failure == "" {
			w.t.Errorf("%s (%q), want failed with a cause", p.State, p.Failure)
		}
	})
}

func TestNobodyMakesManyListsAtTheSameTime(t *testing.T) {
	each(t, func(w *world) {
		w.people(3)
		w.graph.hold = make(chan struct{})
		for range 3 {
			if _, err := w.svc.Preview(t.Context(), actor(lead), everyone, revoke.PlanOptions{}, ""); err != nil {
				w.t.Fatalf("Preview: %v", err)
			}
		}
		if _, err := w.svc.Preview(t.Context(), actor(lead), everyone, revoke.PlanOptions{}, ""); fault.KindOf(err) != fault.Throttled {
			w.t.Errorf("a fourth: %v, want it refused for now", err)
		}
		close(w.graph.hold)
		w.svc.Drain()
	})
}
