package app_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/entrasim"
)

// everyMember is a plan of everybody in the tenant who signs in here.
func (b *browser) everyMember() *page {
	b.t.Helper()
	return b.preview(b.add(b.newScope(), "Include", "All members"), nil)
}

// awaitCalls waits until Graph was asked for so many revocations.
func (d *demo) awaitCalls(n int) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); d.Sim.Totals().Posts < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("%d calls, waiting for %d", d.Sim.Totals().Posts, n)
		}
	}
}

// narrow leaves the tenant room for so many writes, and none after them.
func (d *demo) narrow(writes int) {
	d.Sim.SetQuota(entrasim.Quota{Writes: writes, WriteWindow: time.Hour, RetryAfter: time.Minute})
}

func TestARunIsPausedContinuedAndCancelled(t *testing.T) {
	t.Parallel()
	d := crowd(t)
	lead, other, r := d.signedIn(d.cast.Lead), d.signedIn(d.cast.Admin), d.reader()
	before := r.length()
	plan := lead.everyMember()
	total := plan.total()
	d.Sim.SetLatency(150 * time.Millisecond) // so that one can step in
	run := lead.start(plan, "to be paused").path()

	// Any Lead may pause; only the operator goes on.
	d.awaitCalls(1)
	pausing := other.press(other.get(run), "Pause the run", nil).has(http.StatusOK)
	pausing.says("Do not pause")
	paused := lead.stands(run, "paused: by request").says("Stands still")
	called, posts := total-paused.outcomes()["not called yet"], d.Sim.Totals().Posts
	if called == 0 || called >= total || called > posts || d.Sim.Totals().Revocations != paused.outcomes()["confirmed"] {
		t.Errorf("%d of %d were called, in %d calls of which %d took effect: %v", called, total, posts, d.Sim.Totals().Revocations, paused.outcomes())
	}
	if open := paused.outcomes()["accepted, reading back"] + paused.outcomes()["being called"]; open > 0 {
		t.Errorf("%d calls have no outcome in a run that is paused", open)
	}
	other.get(run).says("Only " + d.cast.Lead.UPN + " can continue")
	other.post(run+"/resume", nil).has(http.StatusNotFound)
	lead.get("/").says("What needs you now", "paused: by request")
	other.get("/").silent("paused: by request. Somebody")
	lead.post(run+"/pause", nil).has(http.StatusConflict)
	if n := d.Sim.Totals().Posts; n != posts {
		t.Errorf("%d calls while it was paused", n-posts)
	}

	// It goes on, until Microsoft has no more room; then it is cancelled.
	d.narrow(30)
	lead.press(lead.get(run), "Continue", nil).has(http.StatusOK)
	limited := lead.eventually(run, "the limit", func(p *page) bool { return strings.Contains(p.text(), "Microsoft asked this app to slow down") })
	limited.says("Microsoft asked to wait until")
	done := d.Sim.Totals().Revocations
	other.press(other.get(run), "Cancel the rest", nil).has(http.StatusOK)
	end := lead.stands(run, "cancelled").says("their sessions live on")
	counts := end.outcomes()
	if counts["confirmed"] != done || counts["never called"] == 0 || sum(counts) != total {
		t.Errorf("%v of %d, and %d calls took effect", counts, total, done)
	}
	doc := lead.document(run)
	if len(doc.NeverCalled) != counts["never called"] || doc.Run.NeverCalled != counts["never called"] || doc.Run.State != "cancelled" {
		t.Errorf("report.json names %d who were never called, of %d", len(doc.NeverCalled), doc.Run.NeverCalled)
	}
	report := lead.get(run + "/report")
	if stands := report.doc.Find("section.stands").Text(); !strings.Contains(stands, doc.NeverCalled[0].OID) || !strings.Contains(stands, "never called") {
		t.Error("the report does not open with those who were never called")
	}
	lead.post(run+"/resume", nil).has(http.StatusConflict)
	lead.post(run+"/cancel", nil).has(http.StatusConflict)
	var told []string
	for _, e := range r.after(before) {
		if e.Kind == audit.PlanCreated && (e.Detail["tenant_wide"] != "yes" || e.Detail["check_no_protected_accounts"] != "yes") {
			t.Errorf("the ledger does not say what was acknowledged: %v", e.Detail)
		}
		if strings.HasPrefix(string(e.Kind), "run.") {
			told = append(told, string(e.Kind)+" "+e.Operator.UPN)
		}
	}
	want := []string{
		"run.started " + d.cast.Lead.UPN, "run.stopping " + d.cast.Admin.UPN, "run.paused " + d.cast.Lead.UPN, "run.resumed " + d.cast.Lead.UPN,
		"run.stopping " + d.cast.Admin.UPN, "run.cancelled " + d.cast.Lead.UPN,
	}
	if !slices.Equal(told, want) {
		t.Errorf("the ledger tells %q, want %q", told, want)
	}

	// The others can be planned again.
	rest := lead.ready(lead.press(end, "Plan them again", nil))
	if rest.total() != total-counts["confirmed"] {
		t.Errorf("%d are planned again, want %d", rest.total(), total-counts["confirmed"])
	}
}

func TestAPauseCanBeTakenBackAndAPausedRunCancelled(t *testing.T) {
	t.Parallel()
	d := small(t)
	lead := d.signedIn(d.cast.Lead)
	plan := lead.everyMember()
	d.Sim.SetLatency(300 * time.Millisecond)
	run := lead.start(plan, "paused by mistake").path()
	d.awaitCalls(1)
	pausing := lead.press(lead.get(run), "Pause the run", nil)
	if pausing.state() != "running: pausing" {
		t.Fatalf("the run is %q", pausing.state())
	}
	lead.press(pausing, "Do not pause", nil).has(http.StatusOK)
	lead.press(lead.stands(run, "running"), "Pause the run", nil)
	lead.press(lead.stands(run, "paused: by request"), "Cancel the rest", nil).has(http.StatusOK)
	end := lead.stands(run, "cancelled")
	if n := end.outcomes()["never called"]; n == 0 || sum(end.outcomes()) != plan.total() {
		t.Errorf("%v of %d", end.outcomes(), plan.total())
	}

	// A pause that comes when everybody has been called holds nothing up.
	d.Sim.SetLatency(0)
	two := lead.preview(lead.newScope(d.cast.Victim, d.cast.Synced), nil)
	d.Sim.SetLatency(300 * time.Millisecond)
	before := d.Sim.Totals().Posts
	run = lead.start(two, "too late to pause").path()
	d.awaitCalls(before + 2)
	lead.press(lead.get(run), "Pause the run", nil)
	lead.stands(run, "finished")
}

func TestSigningOutPausesOnesRunsUnlessOneLeavesThemRunning(t *testing.T) {
	t.Parallel()
	d := small(t)
	lead, other := d.signedIn(d.cast.Lead), d.signedIn(d.cast.Admin)
	for _, leave := range []bool{false, true} {
		d.Sim.SetLatency(0)
		plan := lead.everyMember()
		d.Sim.SetLatency(200 * time.Millisecond)
		run := lead.start(plan, "going home").path()
		d.awaitCalls(1)
		values, ends := url.Values{}, "paused: by request"
		if leave {
			values, ends = url.Values{"leave_runs": {"yes"}}, "finished"
		}
		lead.submit(lead.get("/me"), "/auth/signout", values)
		other.stands(run, ends)
		lead.get(d.Sim.BrowserURL() + "/" + d.Sim.TenantID() + "/oauth2/v2.0/logout")
		lead.signIn(d.cast.Lead).has(http.StatusOK)
		if !leave {
			lead.press(lead.get(run), "Continue", nil)
			lead.stands(run, "finished")
		}
	}
}

func TestARunWhoseOperatorLosesTheirTokensWaitsForThem(t *testing.T) {
	t.Parallel()
	d := crowd(t)
	lead, other, r := d.signedIn(d.cast.Lead), d.signedIn(d.cast.Admin), d.reader()
	before := r.length()
	plan := lead.everyMember()
	d.Sim.SetLatency(100 * time.Millisecond)
	run := lead.start(plan, "the operator is attacked as well").path()
	d.awaitCalls(21) // the first have been confirmed, and the rest is let go
	if err := d.Sim.Revoke(d.cast.Lead.ID); err != nil {
		t.Fatal(err)
	}
	paused := lead.stands(run, "paused: needs sign-in").says("Nobody was skipped")
	if n := paused.outcomes()["not called yet"] + paused.outcomes()["to be tried again"]; n == 0 {
		t.Fatalf("nobody waits: %v", paused.outcomes())
	}
	posts := d.Sim.Totals().Posts
	theirs := other.get(run).says("Only " + d.cast.Lead.UPN + " can continue")
	if theirs.doc.Find(`main a[href^="/auth/"], form[action$="/resume"]`).Length() > 0 {
		t.Error("somebody else is offered to go on")
	}
	other.post(run+"/resume", nil).has(http.StatusNotFound)
	to := paused.link("Sign in again")
	lead.asksForMore(to)
	d.Sim.SetLatency(0)
	lead.press(paused, "Continue", nil) // without a sign-in it comes to nothing
	lead.stands(run, "paused: needs sign-in")
	d.nextSecond()
	back := lead.choose(lead.get(to), d.cast.Lead)
	if back.path() != run || d.Sim.Totals().Posts != posts {
		t.Fatalf("one comes back to %s after %d more calls", back.url, d.Sim.Totals().Posts-posts)
	}
	lead.press(back.says("You have signed in again"), "Continue", nil)
	end := lead.stands(run, "finished")
	if got := d.finals(r, before, run); got["confirmed"] != end.outcomes()["confirmed"] || got["refused"]+got["confirmed"] != plan.total() {
		t.Errorf("outcomes by the ledger %v, by the page %v, of %d", got, end.outcomes(), plan.total())
	}
	for _, x := range lead.document(run).with("confirmed") {
		if n := d.Sim.Tally(x.OID).Revocations; n < 1 {
			t.Errorf("%s is confirmed after %d revocations", x.UPN, n)
		}
	}
}

func TestARoleThatEndsInTheMiddlePausesTheRun(t *testing.T) {
	t.Parallel()
	d := crowd(t)
	who := d.member("Activated")
	if err := d.Sim.SetConsoleRoles(who.ID, "Evict.Lead"); err != nil {
		t.Fatal(err)
	}
	activate := func() {
		if err := d.Sim.ActivateRole(who.ID, entrasim.RolePrivilegedAuthAdministrator, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	activate()
	lead := d.signedIn(who)
	plan := lead.everyMember()
	d.Sim.Inject(entrasim.Fault{Method: http.MethodPost, Match: revokeCall, Kind: entrasim.RoleEnds, After: 19, Times: 1})
	d.Sim.SetLatency(50 * time.Millisecond)
	run := lead.start(plan, "an activation runs out").path()
	paused := lead.stands(run, "paused: needs role").says("A role of yours may have ended", "Activate it again")
	refused := paused.outcomes()["refused"]
	if n := paused.outcomes()["not called yet"]; refused < 20 || n == 0 {
		t.Fatalf("it paused after %d refusals, with %d to go", refused, n)
	}
	activate()
	d.Sim.SetLatency(0)
	lead.press(paused, "Continue", nil)
	end := lead.stands(run, "finished")
	if end.outcomes()["refused"] < refused || end.outcomes()["refused"]+end.outcomes()["confirmed"] != plan.total() {
		t.Errorf("%v of %d", end.outcomes(), plan.total())
	}
	retry := lead.ready(lead.press(end, "Plan them again", nil))
	last := lead.stands(lead.start(retry, "with the role").path(), "finished")
	beyond := 2 // whom this role does not reach: an agent's user, and somebody in a restricted-management unit
	if n := last.outcomes()["refused"]; n != beyond || d.Sim.Totals().Revoked != plan.total()-beyond {
		t.Errorf("%v; %d of %d people were revoked", last.outcomes(), d.Sim.Totals().Revoked, plan.total())
	}
}

func TestNoRunBeginsWithoutItsRecord(t *testing.T) {
	t.Parallel()
	broken := &failing{}
	d := small(t, broken.use)
	lead, r := d.signedIn(d.cast.Lead), d.reader()
	plan := lead.preview(lead.newScope(d.cast.Victim, d.cast.Synced), nil)
	before := r.length()
	broken.set("launch:before-commit")
	p := lead.submit(plan, plan.path()+"/run", confirmation(plan, "the database is down")).has(http.StatusServiceUnavailable)
	p.says("The run was not started", "Nothing was called", "Revoke-MgUserSignInSession", "REHEARSAL")
	if p.doc.Find("#reason").Text() != "the database is down" || d.Sim.Totals().Posts != 0 || r.length() != before {
		t.Errorf("%d calls, %d events; the reason is %q", d.Sim.Totals().Posts, r.length()-before, p.doc.Find("#reason").Text())
	}
	broken.set("launch:after-commit") // it is recorded, and nobody knows
	run := lead.submit(p, plan.path()+"/run", nil).path()
	broken.set()
	lead.stands(run, "finished")
	if n := d.posts(d.cast.Victim); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	d.tells(t, r, before, audit.PlanCreated, audit.RunStarted, audit.TargetAttempted, audit.TargetAttempted, audit.TargetAccepted, audit.TargetAccepted,
		audit.TargetConfirmed, audit.TargetConfirmed, audit.RunFinished)
}

func TestOnePersonDoesNotWaitForARunOfMany(t *testing.T) {
	t.Parallel()
	d := startDemo(t, func(o *app.DemoOptions, _ *app.Options) { o.People, o.Latency = 1700, 50*time.Millisecond })
	lead, desk := d.signedIn(d.cast.Lead), d.signedIn(d.cast.Helpdesk)
	victim := d.Sim.AddUser("Phished", "Just now", "Finance")
	scope := lead.add(lead.newScope(), "Include", "All members")
	scope = lead.press(scope, "Exclude this list", url.Values{"lines": {victim.ID + "\n" + d.cast.Helpdesk.ID}})
	plan := lead.preview(scope, nil)
	if plan.total() < 1500 {
		t.Fatalf("%d people are no crowd", plan.total())
	}
	card := desk.get("/users/" + victim.ID)
	run := lead.start(plan, "a great many").path()
	d.awaitCalls(100)
	one := desk.submit(card, "/users/"+victim.ID+"/revoke", because("one of many")).has(http.StatusOK)
	desk.settles(one.path(), "confirmed")
	if under := lead.get(run); under.state() != "running" || under.outcomes()["not called yet"] == 0 {
		t.Errorf("one person was confirmed only when the run of many was %s: %v", under.state(), under.outcomes())
	}
	if end := lead.stands(run, "finished").outcomes(); sum(end) != plan.total() {
		t.Errorf("%v of %d", end, plan.total())
	}
}

// sum adds up how many stand where.
func sum(counts map[string]int) (n int) {
	for _, of := range counts {
		n += of
	}
	return n
}
