package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
	"evict/internal/entrasim"
)

// asksForMore fails the test unless the address begins a sign-in that carries Microsoft's claims challenge.
func (b *browser) asksForMore(address string) {
	b.t.Helper()
	to := b.peek(address).header.Get("Location")
	if u, err := url.Parse(to); err != nil || !strings.Contains(u.Query().Get("claims"), "nbf") {
		b.t.Errorf("the sign-in carries no claims: %s (%v)", to, err)
	}
}

func TestAChallengeWhileReadingComesBackToTheForm(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	r := d.reader()
	v := d.cast.Victim
	card := b.get("/users/" + v.ID)
	before := r.length()
	d.Sim.Inject(entrasim.Fault{Method: http.MethodGet, Match: "/v1.0/users/{id}", UserID: v.ID, Kind: entrasim.ClaimsChallenge, Times: 1})
	p := b.submit(card, "/users/"+v.ID+"/revoke", because("challenged")).has(http.StatusUnauthorized)
	p.says("Nothing was called", "Continue to Microsoft")
	if n := d.posts(v); n != 0 {
		t.Errorf("the simulator saw %d calls", n)
	}
	to := p.link("Continue to Microsoft")
	b.asksForMore(to)
	back := b.choose(b.get(to), d.cast.Helpdesk)
	if back.path() != "/users/"+v.ID {
		t.Fatalf("one comes back to %s", back.url)
	}
	back.says("What you typed before you signed in again is back", "challenged")
	if got := back.doc.Find("#ticket").AttrOr("value", ""); got != "INC-7" {
		t.Errorf("the ticket = %q, want what was typed", got)
	}
	if n := d.posts(v); n != 0 {
		t.Errorf("coming back replayed the form: %d calls", n)
	}
	d.tells(t, r, before)
	b.settles(b.submit(back, "/users/"+v.ID+"/revoke", nil).path(), "confirmed")
	if n := d.posts(v); n != 1 {
		t.Errorf("the simulator saw %d calls, want 1", n)
	}
	b.get("/users/"+v.ID).silent("What you typed before", "challenged")
}

func TestAnotherPersonComingBackGetsNoDraftAndNoRun(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	v := d.cast.Victim
	card := b.get("/users/" + v.ID)
	remove := d.Sim.Inject(entrasim.Fault{Method: http.MethodPost, Match: revokeCall, UserID: v.ID, Kind: entrasim.ClaimsChallenge})
	run := b.submit(card, "/users/"+v.ID+"/revoke", because("a run of the first")).path()
	b.eventually(run, "the pause", func(p *page) bool { return strings.Contains(p.text(), "Waits for a sign-in") })
	read := d.Sim.Inject(entrasim.Fault{Method: http.MethodGet, Match: "/v1.0/users/{id}", UserID: v.ID, Kind: entrasim.ClaimsChallenge})
	p := b.submit(card, "/users/"+v.ID+"/revoke", because("private to the first")).has(http.StatusUnauthorized)
	read()
	remove()
	other := d.operator("Other", "Evict.Responder")
	b.get(d.Sim.BrowserURL() + "/" + d.Sim.TenantID() + "/oauth2/v2.0/logout") // so that Microsoft asks who it is
	back := b.choose(b.get(p.link("Continue to Microsoft")), other)
	if back.path() != "/users/"+v.ID {
		t.Fatalf("one comes back to %s", back.url)
	}
	back.says(other.UPN).silent("private to the first", "What you typed before")
	b.post(run+"/resume", nil).has(http.StatusNotFound)
	if n := d.posts(v); n != 1 {
		t.Errorf("the simulator saw %d calls, want the one that was challenged", n)
	}
}

func TestAChallengeOnAPageLeadsThroughSignInAndBack(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	v := d.cast.Victim
	mended := d.Sim.Inject(entrasim.Fault{Method: http.MethodGet, Match: "/v1.0/users/{id}", UserID: v.ID, Kind: entrasim.ClaimsChallenge})
	p := b.get("/users/" + v.ID).has(http.StatusUnauthorized).says("Continue to Microsoft")
	to := p.link("Continue to Microsoft")
	b.asksForMore(to)
	mended()
	if back := b.choose(b.get(to), d.cast.Helpdesk); back.path() != "/users/"+v.ID || back.status != http.StatusOK {
		t.Errorf("one comes back to %s (%d)", back.url, back.status)
	}
}

func TestAChallengeOnTheCallPausesTheRunUntilItIsResumed(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	r := d.reader()
	before := r.length()
	v := d.cast.Victim
	d.Sim.Inject(entrasim.Fault{Method: http.MethodPost, Match: revokeCall, UserID: v.ID, Kind: entrasim.ClaimsChallenge, Times: 1})
	p := b.revoke(v, because("challenged at the call")).has(http.StatusOK)
	run := p.path()
	p = b.eventually(run, "the pause", func(p *page) bool { return strings.Contains(p.text(), "Waits for a sign-in") })
	p.says("paused", "Sign in again", "Resume").silent("have been cut off")
	b.get("/").says("What needs you now", "needs sign-in", v.Name)
	r.get(run).says("Only they can resume").silent("press Resume")

	to := p.link("Sign in again")
	b.asksForMore(to)
	back := b.choose(b.get(to), d.cast.Helpdesk)
	if back.path() != run {
		t.Fatalf("one comes back to %s, want the run", back.url)
	}
	if n := d.posts(v); n != 1 {
		t.Errorf("coming back went on with the run by itself: %d calls", n)
	}
	b.submit(back, run+"/resume", nil)
	b.settles(run, "confirmed")
	d.tells(t, r, before, audit.PlanCreated, audit.RunStarted, audit.TargetAttempted, audit.TargetFailed, audit.RunPaused, audit.RunResumed,
		audit.TargetAttempted, audit.TargetAccepted, audit.TargetConfirmed, audit.RunFinished)
	b.post(run+"/resume", nil).has(http.StatusConflict).says("not paused")
}

func TestAnOperatorWhoseOwnSessionWasRevokedIsSentToSignIn(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	v := d.cast.Victim
	card := b.get("/users/" + v.ID).has(http.StatusOK)
	if err := d.Sim.Revoke(d.cast.Helpdesk.ID); err != nil {
		t.Fatal(err)
	}
	p := b.submit(card, "/users/"+v.ID+"/revoke", because("revoked meanwhile")).has(http.StatusUnauthorized)
	p.says("Nothing was called")
	if n := d.posts(v); n != 0 {
		t.Errorf("the simulator saw %d calls", n)
	}
	back := b.choose(b.get(p.doc.Find("a.button.primary").AttrOr("href", "")), d.cast.Helpdesk)
	if back.path() != "/users/"+v.ID {
		t.Fatalf("one comes back to %s", back.url)
	}
	back.says("revoked meanwhile")
	b.settles(b.submit(back, "/users/"+v.ID+"/revoke", nil).path(), "confirmed")
}

func TestARefreshTokenThatIsRefusedSaysWhy(t *testing.T) {
	t.Parallel()
	d := small(t)
	b := d.browser()
	d.Sim.Inject(entrasim.Fault{Kind: entrasim.TokenRevoked, UserID: d.cast.Helpdesk.ID})
	b.signIn(d.cast.Helpdesk).has(http.StatusOK)
	v := d.cast.Victim
	for name, p := range map[string]*page{
		"page": b.get("/users/" + v.ID), "form": b.post("/users/"+v.ID+"/revoke", because("kept")), "search": b.get("/search?q=lena"),
	} {
		p.has(http.StatusUnauthorized).says("no longer accepts your sign-in", "AADSTS50173")
		if name == "form" {
			p.says("kept", "INC-7")
		}
	}
	b.get("/").has(http.StatusOK).says("Microsoft asks you to sign in again")
	if n := d.posts(v); n != 0 {
		t.Errorf("the simulator saw %d calls", n)
	}
}

func TestAMissingConsentIsAskedForOnce(t *testing.T) {
	t.Parallel()
	d := small(t)
	b := d.browser()
	d.Sim.SetConsent("User.Read")
	b.signIn(d.cast.Helpdesk).has(http.StatusOK)
	p := b.get("/users/" + d.cast.Victim.ID)
	if p.status != http.StatusUnauthorized {
		t.Errorf("without consent the card answers %d, want 401 with the way on", p.status)
	}
	at := b.get(p.doc.Find("a.button.primary").AttrOr("href", ""))
	if at.status >= 500 {
		t.Errorf("asking for consent that no administrator gave answers %d at %s", at.status, at.url)
	}
	at.says("granted", "administrator")
}

func TestASignInServiceThatFailsIsExplained(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]entrasim.FaultKind{"503": entrasim.Status503, "cut": entrasim.DropConnection, "429": entrasim.Status429} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := small(t)
			b := d.browser()
			r := d.reader()
			before := r.length()
			d.Sim.Inject(entrasim.Fault{Match: "token", Kind: kind})
			p := b.signIn(d.cast.Helpdesk)
			if p.status < 400 || p.status == http.StatusInternalServerError {
				t.Fatalf("a sign-in while the token endpoint fails answers %d at %s:\n%s", p.status, p.url, p.text())
			}
			p.says("Sign-in did not work", "Sign in with Microsoft")
			if diff := cmp.Diff([]audit.Kind{audit.SignInFailed}, kindsOf(r.after(before))); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			d.Sim.ClearFaults()
			b.signIn(d.cast.Helpdesk).has(http.StatusOK)
		})
	}
}

func TestASignInDoesNotNeedGraph(t *testing.T) {
	t.Parallel()
	d := small(t)
	d.Sim.Inject(entrasim.Fault{Kind: entrasim.Status503})
	b := d.browser()
	b.signIn(d.cast.Helpdesk).has(http.StatusOK).says("Your directory roles: unknown")
}
