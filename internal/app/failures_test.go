package app_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/entrasim"
)

// desk is a demo with a helpdesk operator signed in.
func desk(t *testing.T, change ...func(*app.DemoOptions, *app.Options)) (*demo, *browser) {
	t.Helper()
	d := small(t, change...)
	b := d.browser()
	b.signIn(d.cast.Helpdesk).has(http.StatusOK)
	return d, b
}

const revokeCall = "/v1.0/users/{id}/revokeSignInSessions"

var guid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// story is the kinds of the events about people and runs.
func story(events []audit.Event) []audit.Kind {
	return slices.DeleteFunc(kindsOf(events), func(k audit.Kind) bool { return strings.HasPrefix(string(k), "session.") })
}

func (d *demo) tells(t *testing.T, r reader, since int64, want ...audit.Kind) []audit.Event {
	t.Helper()
	events := r.after(since)
	if diff := cmp.Diff(want, story(events), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, e := range events {
		if e.Kind == audit.TargetAttempted && e.Evidence.T0 == "" {
			t.Errorf("event %d: an intent without its time on Graph's clock", e.Seq)
		}
	}
	return events
}

func TestNothingIsCalledWhenTheLedgerCannotBeWritten(t *testing.T) {
	t.Parallel()
	broken := &failing{}
	d, b := desk(t, broken.use)
	r := d.reader()
	before := r.length()
	broken.set("launch:before-commit")
	v := d.cast.Victim
	p := b.revoke(v, because("the database is down")).has(http.StatusServiceUnavailable)
	p.says("Nothing was called", "ledger could not be written", "Revoke-MgUserSignInSession -UserId "+v.ID,
		"POST "+d.Sim.GraphURL()+"/users/"+v.ID+"/revokeSignInSessions", "the database is down")
	if got := p.doc.Find("#reason").Text() + p.doc.Find("#ticket").AttrOr("value", ""); got != "the database is downINC-7" {
		t.Errorf("the form holds %q, want what was typed", got)
	}
	if n := d.posts(v); n != 0 {
		t.Errorf("the simulator saw %d calls, want none without a record", n)
	}
	me := b.submit(b.get("/me"), "/me/revoke", because("me too")).has(http.StatusServiceUnavailable)
	me.says("Nothing was called", "POST "+d.Sim.GraphURL()+"/me/revokeSignInSessions")
	if n := d.posts(d.cast.Helpdesk); n != 0 {
		t.Errorf("the simulator saw %d calls of oneself", n)
	}
	d.tells(t, r, before)

	record := b.get(p.link("Record it")).has(http.StatusOK)
	if who := record.doc.Find("#who").AttrOr("value", ""); who != v.ID {
		t.Errorf("the form for outside actions is about %q, want %q", who, v.ID)
	}
	broken.set()
	b.settles(b.submit(p, "/users/"+v.ID+"/revoke", nil).path(), "confirmed")
	if n := d.posts(v); n != 1 {
		t.Errorf("the simulator saw %d calls, want 1", n)
	}
}

func TestALaunchWhoseCommitIsUnclearRunsOnce(t *testing.T) {
	t.Parallel()
	broken := &failing{}
	d, b := desk(t, broken.use)
	broken.set("launch:after-commit")
	p := b.revoke(d.cast.Victim, because("was it written?")).has(http.StatusOK)
	b.settles(p.path(), "confirmed")
	if n := d.posts(d.cast.Victim); n != 1 {
		t.Errorf("the simulator saw %d calls, want 1", n)
	}
}

func TestADatabaseThatFailsAfterTheCallLosesNoOutcome(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"commit:before-commit", "commit:after-commit"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			broken := &failing{}
			d, b := desk(t, broken.use)
			r := d.reader()
			before := r.length()
			broken.set(point)
			p := b.revoke(d.cast.Victim, because("down after the call")).has(http.StatusOK)
			p.silent("could not make sure", "Refused", "Failed")
			run := p.path()
			d.awaitPosts(d.cast.Victim, 1)
			broken.set()
			p = b.settles(run, "confirmed")
			if n := d.posts(d.cast.Victim); n != 1 {
				t.Errorf("the simulator saw %d calls, want 1", n)
			}
			if point == "commit:before-commit" {
				p.says("settled by read-back")
				d.tells(t, r, before, audit.PlanCreated, audit.RunStarted, audit.TargetAttempted, audit.TargetConfirmed, audit.RunFinished)
			}
		})
	}
}

func (d *demo) awaitPosts(p entrasim.Person, n int) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if d.posts(p) >= n {
			return
		}
	}
	d.t.Fatalf("the simulator saw %d calls about %s, want %d", d.posts(p), p.UPN, n)
}

// TestEachFaultOfOneCallEndsInOneTrueOutcome is the failure table of the revoke call. Each person has a fault of their own.
func TestEachFaultOfOneCallEndsInOneTrueOutcome(t *testing.T) {
	t.Parallel()
	again := []audit.Kind{audit.TargetAttempted, audit.TargetAccepted, audit.TargetConfirmed, audit.RunFinished}
	tests := []struct {
		name  string
		fault entrasim.Fault
		slow  bool
		posts int
		end   string
		says  []string
		story []audit.Kind
	}{
		{
			name: "time-out", fault: entrasim.Fault{Kind: entrasim.Hang}, slow: true, posts: 2, end: "confirmed",
			says: []string{"attempt 2"}, story: append([]audit.Kind{audit.TargetUnconfirmed}, again...),
		},
		{
			name: "answer lost", fault: entrasim.Fault{Kind: entrasim.AnswerLost}, posts: 1, end: "confirmed",
			says: []string{"settled by read-back"}, story: []audit.Kind{audit.TargetConfirmed, audit.RunFinished},
		},
		{
			name: "504 after it took effect", fault: entrasim.Fault{Kind: entrasim.Status504}, posts: 1, end: "confirmed",
			says: []string{"settled by read-back"}, story: []audit.Kind{audit.TargetConfirmed, audit.RunFinished},
		},
		{
			name: "429", fault: entrasim.Fault{Kind: entrasim.Status429, RetryAfter: 2 * time.Second}, posts: 2, end: "confirmed",
			says: []string{"attempt 2"}, story: append([]audit.Kind{audit.TargetFailed}, again...),
		},
		{
			name: "503", fault: entrasim.Fault{Kind: entrasim.Status503}, posts: 2, end: "confirmed",
			says: []string{"attempt 2"}, story: append([]audit.Kind{audit.TargetFailed}, again...),
		},
		{
			name: "503 of a proxy", fault: entrasim.Fault{Kind: entrasim.Status503HTML}, posts: 2, end: "confirmed",
			says: []string{"attempt 2"}, story: append([]audit.Kind{audit.TargetFailed}, again...),
		},
		{
			name: "500", fault: entrasim.Fault{Kind: entrasim.Status500}, posts: 2, end: "confirmed",
			says: []string{"attempt 2"}, story: append([]audit.Kind{audit.TargetFailed}, again...),
		},
		{
			name: "connection cut", fault: entrasim.Fault{Kind: entrasim.DropConnection}, posts: 2, end: "confirmed",
			says: []string{"attempt 2"}, story: append([]audit.Kind{audit.TargetUnconfirmed}, again...),
		},
		{
			name: "403 by a stale token", fault: entrasim.Fault{Kind: entrasim.Forbidden403}, posts: 2, end: "confirmed",
			says: []string{"attempt 2"}, story: append([]audit.Kind{audit.TargetRefused}, again...),
		},
		{
			name: "slow answer", fault: entrasim.Fault{Kind: entrasim.SlowBody}, posts: 1, end: "confirmed",
			story: []audit.Kind{audit.TargetAccepted, audit.TargetConfirmed, audit.RunFinished},
		},
	}
	// All at once in one demo, so that their waits pass side by side.
	d, b := desk(t)
	r := d.reader()
	before := r.length()
	people := d.ordinary(len(tests))
	runs := map[string]string{}
	for i, tt := range tests {
		if tt.slow && testing.Short() {
			continue
		}
		f := tt.fault
		f.Method, f.Match, f.UserID, f.Times = http.MethodPost, revokeCall, people[i].ID, 1
		d.Sim.Inject(f)
		p := b.revoke(people[i], because(tt.name)).has(http.StatusOK)
		if p.outcome() != tt.end {
			p.silent("have been cut off", "Entra has recorded that")
		}
		runs[tt.name] = p.path()
	}
	for i, tt := range tests {
		if runs[tt.name] == "" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			p := b.as(t).settles(runs[tt.name], tt.end)
			p.says(tt.says...).says("cut off", "REHEARSAL", "Our request id").silent("could not make sure")
			if n := d.posts(people[i]); n != tt.posts {
				t.Errorf("the simulator saw %d calls, want %d", n, tt.posts)
			}
		})
	}
	told := map[string][]audit.Kind{}
	for _, e := range r.after(before) {
		if e.Kind != audit.PlanCreated { // of the plan, before there is a run
			told["/runs/"+e.Run] = append(told["/runs/"+e.Run], e.Kind)
		}
	}
	for _, tt := range tests {
		want := append([]audit.Kind{audit.RunStarted, audit.TargetAttempted}, tt.story...)
		if diff := cmp.Diff(want, told[runs[tt.name]]); runs[tt.name] != "" && diff != "" {
			t.Errorf("%s: events (-want +got):\n%s", tt.name, diff)
		}
	}
}

// ordinary are enabled members without any role whose stamps are old.
func (d *demo) ordinary(n int) []entrasim.Person {
	d.t.Helper()
	var out []entrasim.Person
	for _, p := range d.Sim.People(1000) {
		if p.Enabled && !p.External && p.UserType == "Member" && p.Note == "" && len(p.DirectoryRoles)+len(p.ConsoleRoles) == 0 && len(out) < n &&
			time.Since(p.ValidFrom) > time.Hour {
			out = append(out, p)
		}
	}
	if len(out) < n {
		d.t.Fatalf("the tenant has %d ordinary members, want %d", len(out), n)
	}
	return out
}

func TestARefusalIsPredictedAndExplained(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	r := d.reader()
	before := r.length()
	boss := d.cast.GlobalAdmin
	card := b.get("/users/"+boss.ID).says("expected to be refused", "Way out", "Global Administrator", "A prediction", "Privileged Authentication Administrator")
	p := b.settles(b.submit(card, "/users/"+boss.ID+"/revoke", because("tried all the same")).path(), "refused")
	p.says("Insufficient privileges", "Way out", "Graph request id", "Authorization_RequestDenied", "sessions live on", "I am not allowed to do this")
	p.silent("have been cut off", "Entra has recorded that")
	events := d.tells(t, r, before, audit.PlanCreated, audit.RunStarted, audit.TargetAttempted, audit.TargetRefused,
		audit.TargetAttempted, audit.TargetRefused, audit.RunFinished)
	last := events[len(events)-2]
	if last.Evidence.Status != http.StatusForbidden || !guid.MatchString(last.Evidence.RequestID) || !strings.Contains(p.body, last.Evidence.RequestID) {
		t.Errorf("evidence %+v: want 403 with the request id that the page shows", last.Evidence)
	}
	if ticket := p.doc.Find("#ticket-text").Text(); !strings.Contains(ticket, last.Evidence.RequestID) || !strings.Contains(ticket, "revocation refused") {
		t.Errorf("the text for the ticket:\n%s", ticket)
	}
	if d.Sim.Revocations(boss.ID) != 0 {
		t.Error("the refused revocation took effect")
	}
	b.get("/").says("What needs you now", boss.Name)
}

func TestAStampThatNeverMovesIsNotCalledASuccess(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	r := d.reader()
	people := d.ordinary(2) // whose stamps are old: a new account's would pass for moved
	for i, tt := range []struct {
		kind  entrasim.FaultKind
		words string
	}{
		{entrasim.StampNeverMoves, "has not moved"}, {entrasim.ForwardDated, "lies in the future: possible tampering"},
	} {
		before, v := r.length(), people[i]
		d.Sim.Inject(entrasim.Fault{Method: http.MethodPost, Match: revokeCall, UserID: v.ID, Kind: tt.kind})
		run := b.revoke(v, because("reads and reads")).path()
		p := b.eventually(run, "the cause", func(p *page) bool { return strings.Contains(p.text(), tt.words) })
		if got := p.outcome(); got != "accepted (reading back)" {
			t.Errorf("%s: the outcome is %q while it is read back", tt.kind, got)
		}
		p.silent("have been cut off", "Entra has recorded that").says("reading back")
		d.tells(t, r, before, audit.PlanCreated, audit.RunStarted, audit.TargetAttempted, audit.TargetAccepted)
		if tt.kind == entrasim.ForwardDated {
			b.get("/users/" + v.ID).says("Dated in the future")
		}
	}
}

func TestEachWriteThatFailsHasATruePage(t *testing.T) {
	t.Parallel()
	broken := &failing{}
	d := small(t, broken.use)
	b := d.browser()
	broken.set("sign-in:before-commit")
	p := b.signIn(d.cast.Helpdesk).has(http.StatusServiceUnavailable).says("cannot reach its database")
	if sessionCookie(t, b) != "" && b.get("/").path() == "/" {
		t.Errorf("a sign-in that was not recorded opens the console: %s", p.url)
	}
	broken.set()
	b.signIn(d.cast.Helpdesk).has(http.StatusOK)

	broken.set("append:before-commit")
	p = b.submit(b.get("/outside?who="+d.cast.Victim.ID), "/outside", url.Values{
		"when": {"2026-01-02T03:04"}, "how": {"PowerShell"}, "reason": {"kept in spite"},
	})
	p.has(http.StatusServiceUnavailable).says("not recorded yet", "kept in spite")
	broken.set("sign-out:before-commit")
	b.post("/auth/signout", nil).has(http.StatusServiceUnavailable).says("signed out")
	broken.set("session:before-commit") // last activity, drafts and caches: a page can be shown all the same
	b.signIn(d.cast.Helpdesk)
	b.get("/users/" + d.cast.Victim.ID).has(http.StatusOK)
}

func TestTheWayByHandIsShownHoweverTheDatabaseFails(t *testing.T) {
	t.Parallel()
	broken := &failing{}
	d := small(t, broken.use)
	b := d.browser()
	back := b.peek(callback(b)) // no page was opened yet, so no token for one was kept
	if back.status != http.StatusSeeOther {
		t.Fatalf("the sign-in answered %d", back.status)
	}
	broken.set("session:before-commit", "launch:before-commit", "append:before-commit", "commit:before-commit")
	v := d.cast.Victim
	p := b.post("/users/"+v.ID+"/revoke", because("nothing can be written")).has(http.StatusServiceUnavailable)
	p.says("Nothing was called", "Revoke-MgUserSignInSession -UserId "+v.ID, "nothing can be written")
	if n := d.posts(v); n != 0 {
		t.Errorf("the simulator saw %d calls", n)
	}
}

func TestMicrosoftOutOfReachIsSaidOnEveryPage(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	b.get("/users/" + d.cast.Victim.ID).has(http.StatusOK)
	if err := d.Sim.Close(); err != nil {
		t.Fatal(err)
	}
	b.get("/").has(http.StatusOK).says("Your directory roles: unknown")
	b.get("/me").has(http.StatusOK)
	b.get("/runs").has(http.StatusOK)
	for _, path := range []string{"/users/" + d.cast.Victim.ID, "/search?q=lena", "/groups/" + d.cast.Victim.ID} {
		b.get(path).has(http.StatusServiceUnavailable).says("Microsoft Graph", "Try again").silent("console role")
	}
	p := b.post("/users/"+d.cast.Victim.ID+"/revoke", because("typed while it was down")).has(http.StatusServiceUnavailable)
	p.says("typed while it was down", "Microsoft Graph").silent("database")
	b.post("/auth/signout", nil).has(http.StatusOK)
}
