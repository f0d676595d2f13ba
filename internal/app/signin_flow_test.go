package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
)

func TestSigningInKeepsTheAddressThatWasAskedFor(t *testing.T) {
	t.Parallel()
	d := small(t)
	b := d.browser()
	deep := "/users/" + d.cast.Victim.ID
	gate := b.get(deep).has(http.StatusOK).says("Sign in with Microsoft")
	if gate.path() != "/signin" {
		t.Fatalf("without a session one lands at %s, want /signin", gate.path())
	}
	card := b.choose(b.get(gate.link("Sign in with Microsoft")), d.cast.Helpdesk)
	if card.path() != deep || card.url.RawQuery != "" {
		t.Errorf("after the sign-in one lands at %s, want %s without a query", card.url, deep)
	}
	card.has(http.StatusOK).says(d.cast.Victim.Name)
}

func TestAHostileReturnAddressLeadsHome(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	for _, to := range []string{
		"https://evil.example/", "//evil.example", `/\evil.example`, "/%2f/evil.example", "/auth/callback", "/auth/signin",
		"/static/evict.css", "/no/such/page", "/users/../ledger", "javascript:alert(1)",
	} {
		b := d.browser()
		gate := b.get("/signin?" + url.Values{"return": {to}}.Encode()).has(http.StatusOK)
		for _, l := range gate.links() {
			if strings.Contains(l, "evil") && !strings.HasPrefix(l, "/auth/signin?return=") {
				t.Errorf("the sign-in page for %q links to %q", to, l)
			}
		}
		p := b.choose(b.get(gate.link("Sign in with Microsoft")), d.cast.Helpdesk)
		if p.url.String() != d.BaseURL+"/" {
			t.Errorf("return=%q leads to %s, want home", to, p.url)
		}
		c.forward(10 * time.Second) // so that the limit on sign-ins does not meddle
	}
}

func TestACallbackThatWasNotAskedForWritesNothing(t *testing.T) {
	t.Parallel()
	d := small(t)
	r := d.reader()
	before := r.length()
	stranger := d.browser()
	begun := d.browser()
	begun.peek("/auth/signin").has(http.StatusSeeOther)
	for name, p := range map[string]*page{
		"no state":              stranger.get("/auth/callback?code=x"),
		"made-up state":         stranger.get("/auth/callback?code=x&state=abc"),
		"error without a state": stranger.get("/auth/callback?error=access_denied&error_description=AADSTS65004"),
		"another's state":       begun.get("/auth/callback?code=x&state=abc"),
		"two states":            begun.get("/auth/callback?code=x&state=abc&state=def"),
	} {
		if p.status < 400 || p.status >= 500 {
			t.Errorf("%s: status %d, want 4xx", name, p.status)
		}
		p.says("Sign-in did not work", "not started in this browser")
	}
	if after := r.length(); after != before {
		t.Errorf("the ledger grew from %d to %d events by strangers' callbacks", before, after)
	}
}

// callback begins a sign-in, chooses a person, and returns the callback's address without opening it.
func callback(b *browser) string {
	b.t.Helper()
	at := b.get("/auth/signin")
	form := at.doc.Find(`button[name="sim_account"]`).First().Closest("form")
	action, err := at.url.Parse(form.AttrOr("action", ""))
	if err != nil {
		b.t.Fatal(err)
	}
	back := b.send(http.MethodPost, action.String(), url.Values{"sim_account": {b.d.cast.Helpdesk.ID}}, false)
	return back.header.Get("Location")
}

func TestACallbackWorksOnce(t *testing.T) {
	t.Parallel()
	d := small(t)
	b := d.browser()
	to := callback(b)
	console, err := url.Parse(d.BaseURL)
	if err != nil {
		t.Fatal(err)
	}
	kept := b.c.Jar.Cookies(console)
	if p := b.get(to); p.path() != "/" || p.status != http.StatusOK {
		t.Fatalf("the callback leads to %s (%d)", p.url, p.status)
	}
	b.get(to).has(http.StatusUnprocessableEntity).says("used already")

	thief := d.browser() // has a copy of the cookie from before the callback
	thief.c.Jar.SetCookies(console, kept)
	if p := thief.get(to); p.status < 400 || p.status >= 500 {
		t.Errorf("a replayed callback with a copied cookie answered %d at %s", p.status, p.url)
	}
	thief.get("/").says("Sign in with Microsoft")
}

func TestARefusedSignInIsRecordedAndExplained(t *testing.T) {
	t.Parallel()
	d := small(t)
	r := d.reader()
	before := r.length()
	b := d.browser()
	to, err := url.Parse(callback(b))
	if err != nil {
		t.Fatal(err)
	}
	q := url.Values{"state": {to.Query().Get("state")}, "error": {"access_denied"},
		"error_description": {"AADSTS50105: The signed in user is not assigned. <script>alert(1)</script>"}}
	to.RawQuery = q.Encode()
	p := b.get(to.String()).has(http.StatusForbidden)
	p.says("not assigned to this console", "AADSTS50105", "Ask an administrator").silent("alert(1)")
	events := r.after(before)
	if diff := cmp.Diff([]audit.Kind{audit.SignInFailed}, kindsOf(events)); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	if e := events[0]; e.Evidence == nil || e.Evidence.Code != "AADSTS50105" {
		t.Errorf("the event's evidence = %+v, want AADSTS50105", e.Evidence)
	}
}

func TestAPersonWithoutAConsoleRoleIsTurnedAway(t *testing.T) {
	t.Parallel()
	d := small(t)
	r := d.reader()
	before := r.length()
	b := d.browser()
	p := b.signIn(d.cast.Nobody)
	if p.path() != "/no-role" {
		t.Fatalf("lands at %s, want /no-role", p.url)
	}
	p.has(http.StatusForbidden).says("no role here", "Evict.Responder", d.cast.Nobody.UPN, d.cast.Nobody.ID, "Send this")
	if diff := cmp.Diff([]audit.Kind{audit.SignInDenied}, kindsOf(r.after(before))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	b.submit(p, "/auth/signout", nil)
	if p := b.get("/no-role"); p.path() != "/signin" {
		t.Errorf("after signing out /no-role leads to %s", p.url)
	}
}

func TestSigningOutEndsTheSessionAndComesBackFromMicrosoft(t *testing.T) {
	t.Parallel()
	d := small(t)
	r := d.reader()
	b := d.browser()
	b.signIn(d.cast.Helpdesk)
	console, err := url.Parse(d.BaseURL)
	if err != nil {
		t.Fatal(err)
	}
	old := b.c.Jar.Cookies(console)
	before := r.length()

	out := b.post("/auth/signout", nil).has(http.StatusOK).says("You are signed out of this console")
	if out.path() != "/signin" {
		t.Errorf("signing out leads to %s", out.url)
	}
	to := out.link("Sign out at Microsoft too")
	if !strings.HasPrefix(to, d.Sim.BrowserURL()+"/") || !strings.Contains(to, "/logout?") {
		t.Errorf("Microsoft's sign-out is at %q, want the sign-in service's logout", to)
	}
	if p := b.get(to); p.path() != "/signin" || !strings.HasPrefix(p.url.String(), d.BaseURL+"/") {
		t.Errorf("after Microsoft's logout one lands at %s", p.url)
	}
	if p := b.get("/auth/signin"); p.doc.Find(`button[name="sim_account"]`).Length() == 0 {
		t.Errorf("after Microsoft's logout a sign-in asks for no account: %s", p.url)
	}
	if p := b.get("/"); p.path() != "/signin" {
		t.Errorf("after signing out / leads to %s", p.url)
	}
	b.c.Jar.SetCookies(console, old) // a copy of the cookie opens nothing: the row is gone
	if p := b.get("/"); p.path() != "/signin" {
		t.Errorf("with the old cookie / leads to %s", p.url)
	}
	if diff := cmp.Diff([]audit.Kind{audit.SignedOut}, kindsOf(r.after(before))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func sessionCookie(t *testing.T, b *browser) string {
	t.Helper()
	console, err := url.Parse(b.base)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.c.Jar.Cookies(console) {
		if c.Name == "evict-rehearsal" {
			return c.Value
		}
	}
	return ""
}

func TestEachSignInHasASessionOfItsOwn(t *testing.T) {
	t.Parallel()
	d := small(t)
	b := d.browser()
	b.signIn(d.cast.Helpdesk)
	first := sessionCookie(t, b)
	b.signIn(d.cast.Helpdesk)
	second := sessionCookie(t, b)
	if first == "" || second == "" || first == second {
		t.Fatalf("session cookies %q and %q, want two different ones", first, second)
	}
	console, err := url.Parse(d.BaseURL)
	if err != nil {
		t.Fatal(err)
	}
	old := d.browser()
	old.c.Jar.SetCookies(console, []*http.Cookie{{Name: "evict-rehearsal", Value: first, Path: "/"}})
	if p := old.get("/"); p.path() != "/signin" {
		t.Errorf("the session from before the sign-in still opens %s", p.url)
	}
}

func TestASessionEndsWhenNothingHappensAndAtItsLimit(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	b := d.browser()
	b.signIn(d.cast.Helpdesk)

	c.forward(20 * time.Minute)
	b.get("/runs").has(http.StatusOK)
	c.forward(20 * time.Minute) // 40 minutes after the sign-in, 20 after the last request
	if p := b.get("/runs"); p.path() != "/runs" {
		t.Fatalf("a session in use ended: %s", p.url)
	}
	c.forward(31 * time.Minute)
	p := b.get("/ledger")
	if p.path() != "/signin" {
		t.Fatalf("after 31 minutes without use /ledger leads to %s", p.url)
	}
	p.says("30 minutes without use")

	posted := b.post("/users/"+d.cast.Victim.ID+"/revoke", because("typed before lunch"))
	posted.has(http.StatusUnauthorized).says("session", "ended", "typed before lunch", "INC-7", "Nothing was sent")
	if n := d.posts(d.cast.Victim); n != 0 {
		t.Errorf("the simulator saw %d revocations from an expired session", n)
	}
	if to := posted.link("Sign in with Microsoft"); !strings.Contains(to, url.QueryEscape("/users/"+d.cast.Victim.ID)) {
		t.Errorf("the way on is %q, want one that returns to the card", to)
	}

	b.signIn(d.cast.Helpdesk)
	for left := 8 * time.Hour; left > 0; left -= 25 * time.Minute {
		c.forward(25 * time.Minute)
		p = b.get("/runs")
	}
	if p.path() != "/signin" {
		t.Fatalf("after 8 hours /runs leads to %s", p.url)
	}
}

func TestALivePageKeepsNoSessionAlive(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	b := d.browser()
	b.signIn(d.cast.Helpdesk)
	run := b.revoke(d.cast.Victim, because("polling")).path()
	poll := func() *page {
		return b.send(http.MethodGet, run, nil, true, func(r *http.Request) { r.Header.Set("HX-Request", "true") })
	}
	for range 3 {
		c.forward(11 * time.Minute)
		poll()
	}
	poll().has(http.StatusUnauthorized)
	if p := b.get(run); p.path() != "/signin" {
		t.Errorf("33 minutes of polling kept the session: %s", p.url)
	}
}
