package app_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"evict/internal/operator"
)

// places are addresses that stand for each route's pattern, made from one real run, event, group and role.
func places(d *demo, run string) map[string]string {
	group, ok := d.Sim.Group("Finance")
	if !ok {
		d.t.Fatal("the simulated tenant has no group Finance")
	}
	return map[string]string{
		"signin": "/signin", "auth.start": "/auth/signin", "auth.callback": "/auth/callback", "auth.signout": "/auth/signout",
		"norole": "/no-role", "home": "/", "me": "/me", "me.revoke": "/me/revoke", "search": "/search?q=lena",
		"user": "/users/" + d.cast.Victim.ID, "user.revoke": "/users/" + d.cast.Victim.ID + "/revoke", "group": "/groups/" + group,
		"role": "/roles/" + helpdeskRole, "runs": "/runs", "run": run, "run.resume": run + "/resume", "ledger": "/ledger",
		"ledger.event": "/ledger/1", "outside": "/outside", "outside.record": "/outside", "components": "/components",
	}
}

const helpdeskRole = "729827e3-9c14-49f7-bb1b-9608f156bbb8" // template id of Helpdesk Administrator

// harmless is a form for each POST route that is refused by its handler, so that reaching the handler changes nothing.
var harmless = map[string]url.Values{
	"user.revoke": {"reason": {""}}, "me.revoke": {"reason": {""}}, "outside.record": {"who": {""}}, "run.resume": {},
}

// admitted is the answer of each route to somebody whom the table admits.
var admitted = map[string]int{
	"signin": 200, "auth.start": 303, "auth.callback": 422, "home": 200, "me": 200, "me.revoke": 422, "search": 200, "user": 200,
	"user.revoke": 422, "group": 200, "role": 200, "runs": 200, "run": 200, "ledger": 200, "ledger.event": 200, "outside": 200,
	"outside.record": 422, "components": 200,
	"run.resume": 404, // of somebody else's run
}

func TestEveryRouteAnswersEveryRoleAsTheTableSays(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	lead := d.browser()
	lead.signIn(d.cast.Lead)
	run := lead.revoke(d.cast.Victim, because("an object for the table")).path()
	where := places(d, run)
	r := d.reader()

	people := map[string][]string{"nobody": nil, "responder and auditor": {"Evict.Responder", "Evict.Auditor"}}
	for _, role := range operator.AllRoles() {
		people[string(role)] = []string{string(role)}
	}
	browsers := map[string]*browser{"stranger": d.browser()}
	for name, roles := range people {
		browsers[name] = d.browser()
		browsers[name].signIn(d.operator("Table", roles...))
		c.forward(time.Minute) // so that the limit on sign-ins does not meddle
	}
	before := r.length()
	for name, b := range browsers {
		t.Run(name, func(t *testing.T) {
			b := b.as(t)
			c.forward(10 * time.Second)
			for _, route := range operator.Routes() {
				if route.Name == "auth.signout" {
					continue // ends the session: checked with the sign-in
				}
				got := b.send(route.Method, where[route.Name], harmless[route.Name], false)
				want := expected(route, name, operator.ParseRoles(people[name]))
				if route.Name == "norole" && len(people[name]) > 0 {
					want = http.StatusSeeOther // there is nothing to ask for
				}
				if route.Name == "run" && name == string(operator.Responder) {
					want = http.StatusNotFound // somebody else's
				}
				if got.status != want {
					t.Errorf("%s %s answered %d, want %d", route.Method, where[route.Name], got.status, want)
				}
			}
		})
	}
	if after := r.length(); after != before {
		t.Errorf("the ledger grew from %d to %d events", before, after)
	}
}

func expected(route operator.Route, name string, roles operator.Roles) int {
	switch {
	case route.Access == operator.Public:
		return admitted[route.Name]
	case name == "stranger" && route.Method == http.MethodGet:
		return http.StatusSeeOther
	case name == "stranger":
		return http.StatusUnauthorized
	case route.Name == "norole":
		return http.StatusForbidden
	case len(roles) == 0:
		return http.StatusSeeOther
	case !route.Admits(roles):
		return http.StatusForbidden
	default:
		return admitted[route.Name]
	}
}

func TestUnknownAddressesAreNotFound(t *testing.T) {
	t.Parallel()
	d := small(t)
	b := d.browser()
	b.signIn(d.cast.Admin)
	for _, path := range []string{
		"/admin", "/users", "/users/", "/users/abc", "/users/" + d.cast.Victim.ID + "/", "/users/" + d.cast.Victim.ID + "/delete",
		"/users/00000000-0000-4000-8000-000000000000", "/groups/x", "/roles/x", "/runs/none", "/ledger/0", "/ledger/-1",
		"/ledger/99999999", "/ledger/abc", "/ledger/1/raw", "/static/", "/static/none.js", "/.git/config", "/static/../go.mod", "/debug/pprof/",
		"/metrics", "/users/%2e%2e/x", "/users/" + d.cast.Victim.UPN,
	} {
		p := b.peek(path)
		if p.status != http.StatusNotFound {
			t.Errorf("GET %s answered %d, want 404", path, p.status)
		}
	}
	for path, method := range map[string]string{
		"/": "POST", "/ledger": "DELETE", "/auth/signout": "GET", "/me/revoke": "GET", "/runs": "PUT", "/ledger/1": "POST", "/signin": "POST",
	} {
		p := b.send(method, path, nil, false)
		if p.status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s answered %d, want 405", method, path, p.status)
		}
		if p.header.Get("Allow") == "" { // RFC 9110, section 15.5.6
			t.Errorf("%s %s answered 405 without saying what is allowed", method, path)
		}
	}
}

// where a link or form may lead: the pattern of a route, filled in.
func routeOf(t *testing.T, method, address string) (operator.Route, bool) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatalf("link %q: %v", address, err)
	}
	have := strings.Split(u.Path, "/")
	for _, r := range operator.Routes() {
		want := strings.Split(r.Pattern, "/")
		if r.Method == method && slices.EqualFunc(want, have, func(w, h string) bool {
			return w == h || strings.HasPrefix(w, "{") && h != ""
		}) {
			return r, true
		}
	}
	return operator.Route{}, false
}

func TestWhatAPersonMayNotDoIsNotShown(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	desk := d.browser()
	desk.signIn(d.cast.Helpdesk)
	run := desk.revoke(d.cast.Victim, because("something to look at")).path()
	for _, role := range operator.AllRoles() {
		b := d.browser()
		b.signIn(d.operator("Shown", string(role)))
		c.forward(time.Minute)
		for _, route := range operator.Routes() {
			if route.Method != http.MethodGet || route.Access != operator.ByRole || !route.Admits(operator.Roles{role}) {
				continue
			}
			p := b.get(places(d, run)[route.Name])
			if p.status != http.StatusOK {
				continue // somebody else's run, to a Responder
			}
			noDeadEnds(t, string(role), p)
		}
	}
}

// noDeadEnds fails the test for each link and form on the page that the role may not use.
func noDeadEnds(t *testing.T, role string, p *page) {
	t.Helper()
	for _, l := range p.links() {
		method := http.MethodGet
		if p.doc.Find(`form[method="post"][action="`+l+`"]`).Length() > 0 {
			method = http.MethodPost
		}
		if strings.HasPrefix(l, "/static/") {
			continue
		}
		route, ok := routeOf(t, method, l)
		switch {
		case !ok:
			t.Errorf("%s: %s offers %s %s, which is no route", role, p.url.Path, method, l)
		case !route.Admits(operator.Roles{operator.Role(role)}):
			t.Errorf("%s: %s offers %s %s, which that role may not use", role, p.url.Path, method, l)
		}
	}
}

func TestAResponderSeesTheirOwnRunsOnly(t *testing.T) {
	t.Parallel()
	d := small(t)
	first, second := d.browser(), d.browser()
	first.signIn(d.cast.Helpdesk)
	second.signIn(d.operator("Second", "Evict.Responder"))
	run := first.revoke(d.cast.Victim, because("not for the second to see")).has(http.StatusOK).path()

	p := second.get(run).has(http.StatusNotFound).silent("not for the second to see", d.cast.Victim.UPN)
	id := p.header.Get("X-Request-Id")
	if !strings.Contains(d.log.String(), "may not be seen") || id == "" || !strings.Contains(d.log.String(), id) {
		t.Error("a miss is not logged with its request id")
	}
	second.post(run+"/resume", nil).has(http.StatusNotFound)
	fragment := second.send(http.MethodGet, run, nil, true, func(r *http.Request) { r.Header.Set("HX-Request", "true") })
	fragment.has(http.StatusNotFound).silent(d.cast.Victim.UPN)
	second.get("/runs").has(http.StatusOK).silent("not for the second to see")
	second.get("/").has(http.StatusOK).silent("not for the second to see")

	made := second.get("/runs/0").status
	if unknown := second.get("/runs/018f0000-0000-7000-8000-000000000000").status; unknown != http.StatusNotFound || made != unknown {
		t.Errorf("a run that is not there answers %d and %d, want the same 404 as one that may not be seen", unknown, made)
	}
	r := d.reader()
	seen := r.get(run).has(http.StatusOK).says("not for the second to see").silent("Resume")
	if n := seen.doc.Find(`a[href^="/users/"]`).Length(); n > 0 {
		t.Errorf("an auditor is led to a user card %d times", n)
	}
	r.get("/runs").says("not for the second to see")
}
