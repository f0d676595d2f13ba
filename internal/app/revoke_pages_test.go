package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
	"evict/internal/entrasim"
)

func TestAnInvalidFormComesBackWithItsErrorsAndAllThatWasTyped(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	r := d.reader()
	before := r.length()
	v := d.cast.Victim
	action := "/users/" + v.ID + "/revoke"
	card := b.get("/users/" + v.ID)
	tests := []struct {
		name, reason, ticket, field, says string
	}{
		{"no reason", "", "INC-7", "reason", "Say why"},
		{"spaces only", " \n\t ", "INC-7", "reason", "Say why"},
		{"control characters only", "\x00\x01", "INC-7", "reason", "Say why"},
		{"long reason", strings.Repeat("🤖", 501), "INC-7", "reason", "500"},
		{"long ticket", "phished", strings.Repeat("x", 101), "ticket", "100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := b.as(t)
			p := b.submit(card, action, url.Values{"reason": {tt.reason}, "ticket": {tt.ticket}}).has(http.StatusUnprocessableEntity)
			p.says("mend what is marked")
			if got := p.doc.Find("#" + tt.field + "-error").Text(); !strings.Contains(got, tt.says) {
				t.Errorf("beside the field stands %q, want %q", got, tt.says)
			}
			field := p.doc.Find("#" + tt.field)
			if field.AttrOr("aria-invalid", "") != "true" || !strings.Contains(field.AttrOr("aria-describedby", ""), tt.field+"-error") {
				t.Error("the field is not marked as wrong")
			}
			if p.doc.Find(`.note.no a[href="#`+tt.field+`"]`).Length() != 1 {
				t.Error("the summary does not lead to the field")
			}
			ticket := p.doc.Find("#ticket").AttrOr("value", "")
			if reason := p.doc.Find("#reason").Text(); ticket != tt.ticket || strings.TrimSpace(strings.Trim(tt.reason, "\x00\x01")) != strings.TrimSpace(strings.Trim(reason, "\x00\x01\uFFFD")) {
				t.Errorf("the form holds %.40q and %.40q, want what was typed", reason, ticket)
			}
		})
	}
	if n := d.posts(v); n != 0 {
		t.Errorf("the simulator saw %d calls", n)
	}
	d.tells(t, r, before)
}

func TestALongestReasonInAnyScriptIsKept(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	r := d.reader()
	before := r.length()
	reason := strings.Repeat("𝕬", 500)
	p := b.settles(b.revoke(d.cast.Victim, url.Values{"reason": {reason}, "ticket": {strings.Repeat("é", 100)}}).path(), "confirmed")
	p.says(reason)
	if e := r.after(before)[0]; e.Reason != reason {
		t.Errorf("the ledger holds a reason of %d bytes, want %d", len(e.Reason), len(reason))
	}
}

func TestAnExternalAccountIsNeverConfirmed(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	r := d.reader()
	for _, v := range []entrasim.Person{d.cast.ExternalGuest, d.cast.ExternalMember} {
		before := r.length()
		action := "/users/" + v.ID + "/revoke"
		card := b.get("/users/"+v.ID).says("external", "home tenant keeps the session", "Revoke anyway")
		p := b.submit(card, action, because("a guest")).has(http.StatusUnprocessableEntity)
		if got := p.doc.Find("#external_ok-error").Text(); !strings.Contains(got, "home tenant") {
			t.Errorf("beside the box stands %q", got)
		}
		if n := d.posts(v); n != 0 {
			t.Fatalf("without the tick the simulator saw %d calls", n)
		}
		p = b.submit(p, action, url.Values{"external_ok": {"yes"}}).has(http.StatusOK)
		p = b.settles(p.path(), "not covered")
		p.says("home tenant keeps the session", "kept by your own organisation", "revocation not covered", "a guest").silent("have been cut off", "Entra has recorded that")
		d.tells(t, r, before, audit.PlanCreated, audit.RunStarted, audit.TargetAttempted, audit.TargetAccepted, audit.TargetNotCovered, audit.RunFinished)
		if n := d.posts(v); n != 1 || d.Sim.Revocations(v.ID) != 0 {
			t.Errorf("%d calls, %d of them took effect; want 1 and 0", n, d.Sim.Revocations(v.ID))
		}
		b.get("/users/" + v.ID).says("not covered").silent("confirmed")
	}
	inside := d.cast.InternalGuest // who signs in here, whatever userType says
	card := b.get("/users/"+inside.ID).silent("Revoke anyway", "signs in at another tenant", "signs in elsewhere")
	b.settles(b.submit(card, "/users/"+inside.ID+"/revoke", because("an internal guest")).path(), "confirmed")
}

func TestAMemberWhoOnceWasInvitedIsNotSaidToSignInElsewhere(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	b.get("/users/"+d.cast.ConvertedMember.ID).has(http.StatusOK).silent("It signs in at another tenant", "member · signs in elsewhere")
}

func TestTheCardSaysWhatMattersInAnIncident(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	for _, tt := range []struct {
		who  entrasim.Person
		says []string
	}{
		{d.cast.Disabled, []string{"disabled", "Tokens issued before may still live"}},
		{d.cast.Synced, []string{"synced from AD", "Active Directory is the source"}},
		{d.cast.AgentUser, []string{"agent user", "block the agent identity"}},
		{d.cast.RestrictedMember, []string{"restricted unit", "refuses even a Global Administrator", "expected to be refused"}},
		{d.cast.ExternalGuest, []string{"external", "home tenant"}},
		{d.cast.GlobalAdmin, []string{"privileged", "Global Administrator", "active"}},
		{d.cast.GroupAdmin, []string{"Exchange Administrator", "through"}},
		{d.cast.RoleGroupMember, []string{"a role can be assigned to this group", "expected to be refused"}},
		{d.cast.RoleGroupOwner, []string{"owner"}},
		{d.cast.Victim, []string{"allowed", "covers", "never", "Sessions valid from"}},
	} {
		p := b.get("/users/" + tt.who.ID).has(http.StatusOK)
		p.says(tt.says...).says(tt.who.UPN, tt.who.ID, "Revoke sessions", "cannot be undone", "Last sign-in")
	}
	lead := d.browser() // whose role lets them read the sign-in log and the domains
	lead.signIn(d.cast.Lead)
	lead.get("/users/"+d.cast.Federated.ID).says("federated domain", "sign an attacker straight back in")
	lead.get("/users/"+d.cast.EligibleAdmin.ID).says("Global Administrator", "eligible, not active now")
}

func TestAnEligibleRoleThatCannotBeReadIsUnknown(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	b.get("/users/"+d.cast.EligibleAdmin.ID).has(http.StatusOK).says("eligible", "unknown").silent("No directory role, active or eligible")
}

func TestOnesOwnCardLeadsToOnesOwnPage(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	p := b.get("/users/"+d.cast.Helpdesk.ID).says("This is you", "My sessions")
	if p.doc.Find(`form[action$="/revoke"]`).Length() != 0 {
		t.Error("one's own card offers the form")
	}
	if p.doc.Find(`main a[href="/me"]`).Length() == 0 {
		t.Error("one's own card does not lead to /me")
	}
	b.get("/users/" + strings.ToUpper(d.cast.Victim.ID)).has(http.StatusOK).says(d.cast.Victim.Name) // an id in capitals is the same id
}

func TestTheTextsToPassOnAreTrueAndInert(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	hostile := "<script>alert(1)</script> \u202Egnp.exe\u202C \U0001F916 ' \" & {{.}}\nConfirmed: forged line"
	p := b.settles(b.revoke(d.cast.Victim, url.Values{"reason": {hostile}, "ticket": {"=cmd|' /C calc'!A0"}}).path(), "confirmed")
	if n := p.doc.Find("script:not([src])").Length(); n > 0 || strings.Contains(p.body, "<script>alert") {
		t.Errorf("%d inline scripts on the run's page", n)
	}
	ticket := p.doc.Find("#ticket-text").Text()
	lines := map[string]string{}
	for _, l := range strings.Split(strings.TrimSpace(ticket), "\n") {
		k, v, _ := strings.Cut(l, ": ")
		lines[k] = v
	}
	for k, want := range map[string]string{
		"Person": d.cast.Victim.Name + " <" + d.cast.Victim.UPN + ">", "Object id": d.cast.Victim.ID, "Operator": d.cast.Helpdesk.UPN,
		"Microsoft Entra sign-in sessions": "revocation confirmed", "Confirmed": "",
	} {
		if lines[k] != want {
			t.Errorf("ticket, %s: %q, want %q", k, lines[k], want)
		}
	}
	if !guid.MatchString(lines["Graph request-id"]) || !strings.HasPrefix(lines["REHEARSAL on a simulated tenant"], "nothing was revoked") {
		t.Errorf("the text for the ticket:\n%s", ticket)
	}
	if !strings.Contains(lines["Valid from after"], " UTC") || !strings.Contains(lines["Not stopped"], "a new sign-in") {
		t.Errorf("the text for the ticket:\n%s", ticket)
	}
	caller := p.doc.Find("#caller-text").Text()
	if !strings.Contains(caller, "within about 15 minutes") || !strings.Contains(caller, "UTC") || strings.Contains(caller, "script") {
		t.Errorf("the text for the caller: %s", caller)
	}
	for _, path := range []string{"/", "/runs", p.path()} {
		page := b.get(path)
		if page.doc.Find("script:not([src])").Length() > 0 || !strings.Contains(page.doc.Find("bdi").Text(), "alert(1)") {
			t.Errorf("%s: the reason is not shown inert", path)
		}
	}
	kept := strings.NewReplacer("\u202E", "", "\u202C", "").Replace(hostile) // direction overrides are the one thing taken out
	r := d.reader()
	for _, e := range r.after(0) {
		if e.Kind == audit.TargetConfirmed && e.Reason != kept {
			t.Errorf("the ledger holds the reason %q, want %q", e.Reason, kept)
		}
	}
}

func TestSigningOneselfOutEverywhereIsConfirmedAtTheNextSignIn(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	r := d.reader()
	second := d.browser() // another of the same person's sessions
	second.signIn(d.cast.Helpdesk)
	before := r.length()
	b.submit(b.get("/me"), "/me/revoke", url.Values{"reason": {""}}).has(http.StatusUnprocessableEntity).says("Say why")
	p := b.submit(b.get("/me"), "/me/revoke", because("lost my phone")).has(http.StatusOK)
	if p.path() != "/signin" {
		t.Fatalf("after signing oneself out one lands at %s:\n%s", p.url, p.text())
	}
	p.says("sessions in this console have ended", "sign in again: the run then shows")
	for name, other := range map[string]*browser{"this": b, "the other": second} {
		if p := other.get("/"); p.path() != "/signin" {
			t.Errorf("%s browser's session goes on at %s", name, p.url)
		}
	}
	if n := d.Sim.Revocations(d.cast.Helpdesk.ID); n != 1 {
		t.Errorf("%d revocations, want 1", n)
	}
	d.tells(t, r, before, audit.PlanCreated, audit.RunStarted, audit.TargetAttempted, audit.TargetAccepted, audit.RunPaused)

	d.nextSecond()
	back := b.choose(b.get(p.link("Sign in with Microsoft")), d.cast.Helpdesk)
	if !strings.HasPrefix(back.path(), "/runs/") {
		t.Fatalf("one comes back to %s", back.url)
	}
	b.settles(back.path(), "confirmed")
	if n := d.Sim.Revocations(d.cast.Helpdesk.ID); n != 1 {
		t.Errorf("confirming revoked again: %d", n)
	}
	b.get("/").has(http.StatusOK)
	events := story(r.after(before))
	if diff := cmp.Diff([]audit.Kind{audit.RunResumed, audit.TargetConfirmed, audit.RunFinished}, events[len(events)-3:]); diff != "" {
		t.Errorf("the last events (-want +got):\n%s", diff)
	}
}

func TestSigningOneselfOutSurvivesALostAnswer(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	d.Sim.Inject(entrasim.Fault{Method: http.MethodPost, Match: "/v1.0/me/revokeSignInSessions", Kind: entrasim.AnswerLost, Times: 1})
	p := b.submit(b.get("/me"), "/me/revoke", because("lost my phone"))
	if strings.HasPrefix(p.path(), "/runs/") { // still under way
		p = b.eventually(p.path(), "the pause", func(p *page) bool {
			return p.path() == "/signin" || strings.Contains(p.text(), "Waits for a sign-in")
		})
	}
	d.nextSecond()
	back := b.choose(b.get(p.link("Sign in")), d.cast.Helpdesk)
	if !strings.HasPrefix(back.path(), "/runs/") {
		t.Fatalf("one comes back to %s", back.url)
	}
	p = b.eventually(back.path(), "an end without another click", func(p *page) bool {
		if form := p.doc.Find(`form[action$="/resume"]`); form.Length() > 0 {
			t.Error("one's own run is not settled by the next sign-in itself")
			p = b.submit(p, form.AttrOr("action", ""), nil)
		}
		return p.outcome() == "confirmed" || p.path() == "/signin"
	})
	if p.path() == "/signin" {
		t.Error("settling it ended the session of the new sign-in")
	}
	if n := d.Sim.Revocations(d.cast.Helpdesk.ID); n != 1 {
		t.Errorf("%d revocations, want 1", n)
	}
}

func TestRevokingOneselfByTheCardIsTheSameAsByOnesOwnPage(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	p := b.post("/users/"+d.cast.Helpdesk.ID+"/revoke", because("by the card"))
	if p.path() == "/me" || p.status >= 400 {
		if n := d.posts(d.cast.Helpdesk); n != 0 {
			t.Errorf("refused, but %d calls were made", n)
		}
		return // sent to one's own page: as good
	}
	d.nextSecond()
	back := b.choose(b.get(p.link("Sign in with Microsoft")), d.cast.Helpdesk).has(http.StatusOK)
	if !strings.HasPrefix(back.path(), "/runs/") {
		t.Fatalf("one comes back to %s", back.url)
	}
	b.settles(back.path(), "confirmed")
}

func TestAnAuditorSignsThemselvesOutToo(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"Evict.Auditor", "Evict.Approver"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			d := small(t)
			b := d.browser()
			person := d.cast.Auditor
			if who == "Evict.Approver" {
				person = d.cast.Approver
			}
			b.signIn(person)
			p := b.submit(b.get("/me"), "/me/revoke", because("mine is compromised"))
			p.has(http.StatusUnauthorized).says("Nothing was called", "Continue to Microsoft")
			back := b.choose(b.get(p.link("Continue to Microsoft")), person)
			if back.path() != "/me" {
				t.Fatalf("one comes back to %s:\n%s", back.url, back.text())
			}
			back.says("What you typed before you signed in again is back")
			if n := d.posts(person); n != 0 {
				t.Errorf("coming back sent the form: %d calls", n)
			}
			p = b.submit(back, "/me/revoke", nil)
			if p.path() != "/signin" {
				t.Fatalf("after signing oneself out one lands at %s (%d):\n%s", p.url, p.status, p.text())
			}
			d.nextSecond()
			back = b.choose(b.get(p.link("Sign in with Microsoft")), person)
			b.settles(back.path(), "confirmed")
			if n := d.Sim.Revocations(person.ID); n != 1 {
				t.Errorf("%d revocations, want 1", n)
			}
		})
	}
}

func TestARevokedOperatorLosesTheConsoleAtOnce(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	r := d.reader()
	other := d.member("Evicted")
	if err := d.Sim.SetConsoleRoles(other.ID, "Evict.Responder"); err != nil {
		t.Fatal(err)
	}
	theirs := d.browser()
	theirs.signIn(other)
	theirs.get("/").has(http.StatusOK)
	before := r.length()
	run := b.revoke(other, because("their laptop was stolen")).path()
	b.settles(run, "confirmed")
	if p := theirs.get("/"); p.path() != "/signin" {
		t.Errorf("the revoked operator's session goes on at %s", p.url)
	}
	theirs.post("/users/"+d.cast.Victim.ID+"/revoke", because("too late")).has(http.StatusUnauthorized)
	if n := d.posts(d.cast.Victim); n != 0 {
		t.Errorf("the revoked operator revoked %d times", n)
	}
	ended := false
	for _, e := range r.after(before) {
		if e.Kind == audit.SignedOut && e.Target != nil && e.Target.OID == other.ID && e.Detail["console_sessions"] == "1" {
			ended = true
		}
	}
	if !ended {
		t.Error("the ledger does not say that the operator's console session ended")
	}
	b.get("/").has(http.StatusOK)
}

func TestARevokedOperatorsRunsPauseAndResume(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	other := d.operator("Evicted", "Evict.Responder")
	lead := d.browser()
	lead.signIn(d.cast.Admin)
	theirs := d.browser()
	theirs.signIn(other)
	v := d.cast.Victim
	mended := d.Sim.Inject(entrasim.Fault{Method: http.MethodGet, Match: "/v1.0/users/{id}", UserID: v.ID, Kind: entrasim.StaleReplica})
	run := theirs.revoke(v, because("begun before the theft")).path()
	lead.settles(run, "accepted (reading back)")
	b.settles(b.revoke(other, because("stolen")).path(), "confirmed")
	lead.eventually(run, "the pause", func(p *page) bool { return strings.Contains(p.text(), "needs sign-in") })
	mended()

	p := theirs.get(run)
	if p.path() != "/signin" {
		t.Fatalf("the revoked operator still reads %s", p.url)
	}
	d.nextSecond()
	back := theirs.choose(theirs.get(p.link("Sign in with Microsoft")), other)
	if back.path() != run {
		t.Fatalf("one comes back to %s", back.url)
	}
	theirs.submit(back, run+"/resume", nil)
	theirs.settles(run, "confirmed")
	if n := d.posts(v); n != 1 {
		t.Errorf("the simulator saw %d calls, want the one that was accepted", n)
	}
}

func TestHostileNamesFromTheDirectoryAreInert(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	v := d.Sim.AddUser("<img src=x onerror=alert(1)>\u202E", "Evil\nConfirmed: forged\r\nRun: none", "</script><b>")
	r := d.reader()
	run := b.revoke(v, because("hostile names")).path()
	p := b.settles(run, "confirmed")
	for _, p := range []*page{p, b.get("/users/" + v.ID), b.get("/search?q=" + url.QueryEscape(v.UPN)), b.get("/"), b.get("/runs"), r.get("/ledger"), r.get(run)} {
		if p.doc.Find("img, script:not([src]), [onerror]").Length() > 0 {
			t.Errorf("%s: markup in a name is live", p.url.Path)
		}
		p.doc.Find("*").Each(func(_ int, s *goquery.Selection) {
			if own := s.Clone().Children().Remove().End().Text(); strings.Contains(own, "\u202E") && s.Closest("bdi, pre, title, textarea").Length() == 0 {
				t.Errorf("%s: a name with a direction override stands bare in <%s>", p.url.Path, goquery.NodeName(s))
			}
		})
	}
	for _, line := range strings.FieldsFunc(p.doc.Find("#ticket-text").Text(), func(r rune) bool { return r == '\n' || r == '\r' }) {
		if strings.HasPrefix(line, "Confirmed: forged") || strings.HasPrefix(line, "Run: none") {
			t.Errorf("a name forges a line of the text for the ticket: %q", line)
		}
	}
}

func TestAnOutsideActionIsRecordedWithTheNameThatEntraGives(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	r := d.reader()
	before := r.length()
	v := d.cast.Victim
	form := b.get("/outside")
	good := url.Values{
		"who": {v.UPN}, "when": {"2026-01-02T03:04"}, "how": {"PowerShell"}, "reason": {"the console was down"}, "ticket": {"INC-9"},
		"name": {"Somebody Else"}, "upn": {"somebody@else.example"}, "target": {d.cast.GlobalAdmin.ID},
	}
	wrong := map[string]url.Values{
		"who":    {"who": {"nobody.at.all@larkfield.example"}},
		"when":   {"when": {"2999-01-01T00:00"}},
		"reason": {"reason": {"  "}},
		"ticket": {"ticket": {strings.Repeat("x", 101)}},
		"how":    {"how": {"magic"}},
	}
	for field, change := range wrong {
		values := url.Values{}
		for k, v := range good {
			values[k] = v
		}
		for k, v := range change {
			values[k] = v
		}
		p := b.submit(form, "/outside", values).has(http.StatusUnprocessableEntity)
		if got := p.doc.Find("#" + field + "-error").Text(); got == "" {
			t.Errorf("nothing stands beside the field %s:\n%s", field, p.text())
		}
		if field != "reason" && p.doc.Find("#reason").Text() != "the console was down" {
			t.Errorf("%s: what was typed is lost", field)
		}
	}
	for _, hostile := range []string{"../me", "x/y", "a' or 1 eq 1", "me", "$count", strings.Repeat("a", 5000) + "@x.example", "\x00"} {
		values := url.Values{}
		for k, v := range good {
			values[k] = v
		}
		values.Set("who", hostile)
		p := b.submit(form, "/outside", values).has(http.StatusUnprocessableEntity)
		if p.doc.Find("#who-error").Text() == "" {
			t.Errorf("who=%.40q: no error beside the field", hostile)
		}
	}
	d.tells(t, r, before)
	p := b.submit(form, "/outside", good).has(http.StatusOK)
	if p.path() != "/users/"+v.ID {
		t.Errorf("after recording one lands at %s", p.url)
	}
	events := d.tells(t, r, before, audit.OutsideAction)
	want := audit.Person{OID: v.ID, UPN: v.UPN, Name: v.Name}
	if diff := cmp.Diff(&want, events[0].Target); diff != "" {
		t.Errorf("the target (-want +got):\n%s", diff)
	}
	if e := events[0]; e.Operator.OID != d.cast.Helpdesk.ID || e.Reason != "the console was down" || e.Ticket != "INC-9" || e.Detail["done_at"] != "2026-01-02T03:04:00.000Z" || e.Detail["how"] != "PowerShell" {
		t.Errorf("the event: %+v", e)
	}
	if n := d.posts(v); n != 0 {
		t.Errorf("recording revoked: %d calls", n)
	}
}

func TestAChallengeKeepsWhatWasTypedAboutAnOutsideAction(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	form := b.get("/outside")
	d.Sim.Inject(entrasim.Fault{Method: http.MethodGet, Match: "/v1.0/users/{id}", UserID: d.cast.Victim.ID, Kind: entrasim.ClaimsChallenge, Times: 1})
	p := b.submit(form, "/outside", url.Values{
		"who": {d.cast.Victim.UPN}, "when": {"2026-01-02T03:04"}, "how": {"PowerShell"}, "reason": {"typed with care"}, "ticket": {"INC-9"},
	}).has(http.StatusUnauthorized)
	p.says("typed with care", "INC-9", d.cast.Victim.UPN)
	if back := b.choose(b.get(p.link("Continue to Microsoft")), d.cast.Helpdesk); back.path() != "/outside" {
		t.Errorf("one comes back to %s", back.url)
	}
}
