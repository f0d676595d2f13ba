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

// objects are things of one Lead's that others may ask for.
type objects struct {
	run   string // of one person
	draft string // a scope without a title
	scope string // one with a title
	list  string // a plan that was never started
	plan  string // one that was
	many  string // its run
}

// objects has a Lead make one of each.
func (b *browser) objects() objects {
	b.t.Helper()
	d := b.d
	var o objects
	o.run = b.settles(b.revoke(d.cast.Victim, because("an object")).path(), "confirmed").path()
	o.draft = b.newScope(d.cast.Victim).path()
	scope := b.newScope(d.cast.Synced, d.cast.Victim)
	o.scope = scope.path()
	o.list = b.preview(scope, url.Values{"title": {"An object"}}).path()
	plan := b.preview(b.get(o.scope), nil)
	o.plan = plan.path()
	o.many = b.stands(b.start(plan, "an object of many").path(), "finished").path()
	return o
}

const nowhere = "018f0000-0000-7000-8000-000000000000" // an id that nothing has

// places are addresses that stand for each route's pattern, made from real objects. Those of POST routes that would set
// something going, whatever the form says, lead to what only their maker may use, or to nothing.
func places(d *demo, o objects) map[string]string {
	group, ok := d.Sim.Group("Finance")
	if !ok {
		d.t.Fatal("the simulated tenant has no group Finance")
	}
	return map[string]string{
		"signin": "/signin", "auth.start": "/auth/signin", "auth.callback": "/auth/callback", "auth.signout": "/auth/signout",
		"norole": "/no-role", "home": "/", "me": "/me", "me.revoke": "/me/revoke", "search": "/search?q=lena",
		"user": "/users/" + d.cast.Victim.ID, "user.revoke": "/users/" + d.cast.Victim.ID + "/revoke", "group": "/groups/" + group,
		"role": "/roles/" + helpdeskRole, "runs": "/runs", "run": o.run, "run.resume": o.run + "/resume", "ledger": "/ledger",
		"ledger.event": "/ledger/1", "outside": "/outside", "outside.record": "/outside", "components": "/components",

		"scopes": "/scopes", "scope.new": "/scopes", "scope": o.scope, "scope.add": o.scope + "/add", "scope.remove": o.scope + "/remove",
		"scope.save": o.scope + "/save", "scope.copy": "/scopes/" + nowhere + "/copy", "scope.delete": o.scope + "/delete",
		"scope.preview": o.scope + "/preview",
		"plan":          o.plan, "plan.csv": "/plans/" + nowhere + "/targets.csv", "plan.compare": o.plan + "/compare" + strings.TrimPrefix(o.plan, "/plans"),
		"plan.without": o.plan + "/without", "plan.again": o.list + "/again", "plan.run": o.list + "/run",
		"run.pause": o.many + "/pause", "run.cancel": o.many + "/cancel", "run.again": o.many + "/again",
		"run.latecomers": "/runs/" + nowhere + "/latecomers", "run.report": o.many + "/report", "run.report.json": "/runs/" + nowhere + "/report.json",
		"ledger.run": "/ledger" + o.run, "ledger.person": "/ledger/people/" + d.cast.Victim.ID, "ledger.about": "/ledger/about",
		"ledger.export": "/ledger/export", "ledger.verify": "/ledger/verify", "ledger.verify.start": "/ledger/verify",
		"ledger.checkpoints": "/ledger/checkpoints", "ledger.consistency": "/ledger/consistency",
		"ledger.reconcile": "/ledger/reconcile", "ledger.reconcile.fetch": "/ledger/reconcile/fetch", "ledger.reconcile.upload": "/ledger/reconcile/upload",
		"ledger.reconcile.fetched": "/ledger/reconcile/fetch", "ledger.reconcile.uploaded": "/ledger/reconcile/upload",
		"protected": "/settings/protected", "protected.add": "/settings/protected", "protected.remove": "/settings/protected/remove",
	}
}

const helpdeskRole = "729827e3-9c14-49f7-bb1b-9608f156bbb8" // template id of Helpdesk Administrator

// harmless is a form for each POST route that is refused by its handler, so that reaching the handler changes nothing.
var harmless = map[string]url.Values{
	"user.revoke": {"reason": {""}}, "me.revoke": {"reason": {""}}, "outside.record": {"who": {""}}, "run.resume": {},
	"scope.new": {"kind": {"tenant"}}, "ledger.export": {"format": {"none"}}, "ledger.reconcile.fetch": {"from": {"never"}}, "run.again": {}, "plan.without": {}, "protected.add": {"account": {""}}, "protected.remove": {"id": {"nobody"}},
}

// admitted is the answer of each route to somebody whom the table admits.
var admitted = map[string]int{
	"signin": 200, "auth.start": 303, "auth.callback": 422, "home": 200, "me": 200, "me.revoke": 422, "search": 200, "user": 200,
	"user.revoke": 422, "group": 200, "role": 200, "runs": 200, "run": 200, "ledger": 200, "ledger.event": 200, "outside": 200,
	"outside.record": 422, "components": 200,
	"run.resume": 404, // of somebody else's run

	"scopes": 200, "scope.new": 422, "scope": 200, "scope.copy": 404,
	"scope.add": 403, "scope.remove": 403, "scope.save": 403, "scope.delete": 403, "scope.preview": 403, // somebody else's
	"plan": 200, "plan.csv": 404, "plan.compare": 200, "plan.without": 422,
	"plan.again": 404, "plan.run": 404, // of somebody else's plan, which was never started
	"run.pause": 409, "run.cancel": 409, // it has ended
	"run.again": 422, "run.latecomers": 404, "run.report": 200, "run.report.json": 404,
	"ledger.run": 200, "ledger.person": 200, "ledger.about": 200, "ledger.export": 422, "ledger.verify": 200, "ledger.verify.start": 303,
	"ledger.checkpoints": 200, "ledger.consistency": 422, "ledger.reconcile": 200, "ledger.reconcile.fetch": 422, "ledger.reconcile.upload": 422,
	"ledger.reconcile.fetched": 303, "ledger.reconcile.uploaded": 303,
	"protected": 200, "protected.add": 422, "protected.remove": 303,
}

func TestEveryRouteAnswersEveryRoleAsTheTableSays(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	where := places(d, d.signedIn(d.cast.Lead).objects())
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
				if route.Name == "ledger.verify.start" && route.Admits(operator.ParseRoles(people[name])) {
					continue // is recorded, whatever the form says: checked with its page
				}
				got := b.send(route.Method, where[route.Name], harmless[route.Name], false)
				want := expected(route, name, operator.ParseRoles(people[name]))
				if route.Name == "norole" && len(people[name]) > 0 {
					want = http.StatusSeeOther // there is nothing to ask for
				}
				if strings.HasPrefix(route.Pattern, "/runs/{id}") && route.Method == http.MethodGet && name == string(operator.Responder) {
					want = http.StatusNotFound // somebody else's
				}
				if got.status != want {
					t.Errorf("%s %s answered %d, want %d", route.Method, where[route.Name], got.status, want)
				}
				byTable := strings.Contains(got.text(), "needs one of the console roles")
				if refuses := want == http.StatusForbidden && !route.Admits(operator.ParseRoles(people[name])) && route.Name != "norole"; byTable != refuses {
					t.Errorf("%s %s is refused by role: %v, want %v", route.Method, where[route.Name], byTable, refuses)
				}
			}
		})
	}
	if after := r.length(); after != before {
		t.Errorf("the ledger grew from %d to %d events", before, after)
	}
}

// TestEveryRoleTakesAwayWhatItMaySee: the table above leads these routes to nothing, since they record what is taken.
func TestEveryRoleTakesAwayWhatItMaySee(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	o := d.signedIn(d.cast.Lead).objects()
	for _, role := range operator.AllRoles() {
		b := d.browser()
		b.signIn(d.operator("Takes", string(role)))
		c.forward(time.Minute)
		for page, file := range map[string]string{o.plan: "/targets.csv", o.many + "/report": ".json"} {
			route, _ := routeOf(t, http.MethodPost, page+file)
			want := http.StatusOK
			if seen := b.get(page).status; !route.Admits(operator.Roles{role}) {
				want = http.StatusForbidden
			} else if seen != http.StatusOK {
				want = seen // somebody else's
			}
			got := b.post(page+file, nil)
			if taken := strings.Contains(got.header.Get("Content-Disposition"), "attachment"); got.status != want || taken != (want == http.StatusOK) {
				t.Errorf("%s: %s answered %d, a file: %v; want %d", role, page+file, got.status, taken, want)
			}
			if role == operator.Lead && want != http.StatusOK {
				t.Errorf("a Lead may not take %s away", page+file)
			}
		}
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
		"/scopes/none", "/scopes/" + nowhere, "/scopes/" + nowhere + "/", "/plans", "/plans/none", "/plans/" + nowhere,
		"/plans/" + nowhere + "/compare/" + nowhere, "/plans/' or ''='", "/runs/" + nowhere + "/report",
		"/settings", "/settings/protected/" + d.cast.Victim.ID,
	} {
		p := b.peek(path)
		if p.status != http.StatusNotFound {
			t.Errorf("GET %s answered %d, want 404", path, p.status)
		}
	}
	for path, method := range map[string]string{
		"/": "POST", "/ledger": "DELETE", "/auth/signout": "GET", "/me/revoke": "GET", "/runs": "PUT", "/ledger/1": "POST", "/signin": "POST",
		"/scopes": "DELETE", "/scopes/" + nowhere: "POST", "/scopes/" + nowhere + "/add": "GET", "/scopes/" + nowhere + "/preview": "GET",
		"/plans/" + nowhere: "POST", "/plans/" + nowhere + "/run": "GET", "/plans/" + nowhere + "/without": "PUT",
		"/plans/" + nowhere + "/targets.csv": "GET", "/runs/" + nowhere + "/report.json": "GET", "/ledger/export": "PUT",
		"/runs/" + nowhere + "/cancel": "GET", "/runs/" + nowhere + "/report": "POST", "/settings/protected/remove": "GET",
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

func TestHEADIsAnsweredAsGETWithoutABody(t *testing.T) {
	t.Parallel()
	d := small(t)
	b, stranger := d.browser(), d.browser()
	b.signIn(d.cast.Helpdesk)
	tests := []struct {
		name, path string
		from       *browser
		want       int
	}{
		{"a page", "/", b, http.StatusOK},
		{"a user card", "/users/" + d.cast.Victim.ID, b, http.StatusOK},
		{"a public page", "/signin", stranger, http.StatusOK},
		{"a page that needs another role", "/ledger", b, http.StatusForbidden},
		{"a page that needs a session", "/", stranger, http.StatusSeeOther},
		{"no page", "/none", b, http.StatusNotFound},
		{"a form's address", "/me/revoke", b, http.StatusMethodNotAllowed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from := tt.from.as(t)
			get, head := from.peek(tt.path), from.send(http.MethodHead, tt.path, nil, false)
			if get.status != tt.want || head.status != tt.want {
				t.Errorf("GET answered %d, HEAD %d, want %d", get.status, head.status, tt.want)
			}
			if head.body != "" {
				t.Errorf("HEAD has a body of %d bytes", len(head.body))
			}
			for _, name := range []string{"Content-Type", "Cache-Control"} {
				if head.header.Get(name) != get.header.Get(name) {
					t.Errorf("%s of HEAD = %q, of GET = %q", name, head.header.Get(name), get.header.Get(name))
				}
			}
		})
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
	owner := d.signedIn(d.cast.Lead)
	o := owner.objects()
	where := places(d, o)
	less := owner.press(owner.get(o.list), "Take out", url.Values{"out": {d.cast.Synced.ID}})
	child := owner.stands(owner.start(owner.ready(less), "of a list that somebody was taken out of").path(), "finished")
	where["child run"], where["child plan"], where["child report"] = child.path(), less.path(), child.path()+"/report"
	where["left"], where["confirmed"], where["unstarted"] = o.plan+"?left=all", o.many+"?show=confirmed", o.list
	for _, role := range operator.AllRoles() {
		b := d.browser()
		b.signIn(d.operator("Shown", string(role)))
		c.forward(time.Minute)
		b.looksAround(t, role, where)
	}
	owner.looksAround(t, operator.Lead, where)
}

// looksAround opens every page that a role may open, and follows what it offers.
func (b *browser) looksAround(t *testing.T, role operator.Role, where map[string]string) {
	t.Helper()
	followed := map[string]bool{}
	for name, address := range where {
		route, ok := routeOf(t, http.MethodGet, address)
		if !ok || route.Access != operator.ByRole || !route.Admits(operator.Roles{role}) {
			continue
		}
		p := b.get(address)
		if p.status != http.StatusOK {
			continue // somebody else's run, to a Responder
		}
		noDeadEnds(t, string(role), p)
		for _, l := range p.links() {
			own := strings.HasPrefix(l, "/plans/") || strings.HasPrefix(l, "/runs/") || strings.HasPrefix(l, "/scopes/") || strings.HasPrefix(l, "/settings/")
			if !own || followed[l] || p.doc.Find(`form[method="post"][action="`+l+`"]`).Length() > 0 {
				continue
			}
			followed[l] = true
			if to := b.get(l); to.status != http.StatusOK {
				t.Errorf("%s: %s (%s) leads to %s, which answers %d", role, p.url.Path, name, l, to.status)
			}
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
