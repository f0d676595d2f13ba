package app_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/config"
	"evict/internal/operator"
)

func TestFormsOfOtherSitesChangeNothing(t *testing.T) {
	t.Parallel()
	d := small(t)
	b := d.browser()
	b.signIn(d.cast.Lead)
	o := b.objects()
	where := places(d, o)
	for route, path := range map[string]string{
		"scope.copy": o.scope + "/copy", "plan.without": o.list + "/without", "run.latecomers": o.many + "/latecomers",
	} {
		where[route] = path // the browser's person may
	}
	list := b.get(o.list)
	started := confirmation(list, "forged")
	started.Set("list_digest", list.doc.Find(`input[name="list_digest"]`).AttrOr("value", ""))
	version := url.Values{"version": {b.get(o.scope).doc.Find(`input[name="version"]`).AttrOr("value", "")}}
	posts := d.Sim.Totals().Posts
	r := d.reader()
	before := r.length()
	forms := map[string]url.Values{
		"user.revoke": because("forged"), "me.revoke": because("forged"), "run.resume": {}, "auth.signout": {},
		"scope.new": {}, "scope.add": {"kind": {"tenant"}, "side": {"include"}}, "scope.remove": {"at": {"include.0"}, "version": version["version"]},
		"scope.save": {"settings": {"yes"}, "title": {"forged"}, "version": version["version"]}, "scope.copy": {}, "scope.delete": {},
		"scope.preview": version, "plan.without": {"out": {d.cast.Victim.ID}}, "plan.again": {}, "plan.run": started,
		"run.pause": {}, "run.cancel": {}, "run.again": {"outcome": {"confirmed"}}, "run.latecomers": {},
		"protected.add":    {"account": {d.cast.Victim.ID}, "kind": {"other"}, "note": {"forged"}},
		"protected.remove": {"id": {d.cast.Victim.ID}},
		"outside.record":   {"who": {d.cast.Victim.ID}, "when": {"2026-01-02T03:04"}, "how": {"Graph"}, "reason": {"forged"}},
	}
	header := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Set(pairs[i], pairs[i+1])
			}
		}
	}
	froms := map[string]func(*http.Request){
		"cross-site":              header("Sec-Fetch-Site", "cross-site"),
		"same-site":               header("Sec-Fetch-Site", "same-site"),
		"cross-site, our Origin":  header("Sec-Fetch-Site", "cross-site", "Origin", d.BaseURL),
		"foreign Origin":          header("Origin", "https://evil.example"),
		"opaque Origin":           header("Origin", "null"),
		"Origin of another port":  header("Origin", d.Sim.BrowserURL()),
		"neither header":          header(),
		"nonsense Sec-Fetch-Site": header("Sec-Fetch-Site", "sideways"),
	}
	for name, from := range froms {
		for _, route := range operator.Routes() {
			if route.Method == http.MethodGet {
				continue
			}
			p := b.send(route.Method, where[route.Name], forms[route.Name], false, from)
			if p.status != http.StatusForbidden {
				t.Errorf("%s: %s answered %d, want 403", name, route.Pattern, p.status)
			}
			p.says("not sent by a page of this console").silent("console role does not allow")
		}
	}
	if after := r.length(); after != before {
		t.Errorf("the ledger grew from %d to %d events", before, after)
	}
	if n := d.Sim.Totals().Posts; n != posts {
		t.Errorf("the simulator saw %d forged revocations", n-posts)
	}
	b.get(o.scope).says("An object").silent("forged")
	if n := b.get("/scopes").doc.Find(`a[href^="/scopes/"]`).Length(); n != 2 {
		t.Errorf("%d scopes, want the two that there were", n)
	}
	b.get("/me").has(http.StatusOK) // and the session stands
}

func TestReadingChangesNothing(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	b := d.browser()
	b.signIn(d.cast.Admin)
	o := b.objects()
	where := places(d, o)
	where["a list"], where["run.latecomers"], where["scope.copy"] = o.list, o.many+"/latecomers", o.scope+"/copy"
	list := b.get(o.list)
	form := confirmation(list, "x")
	form.Set("list_digest", list.doc.Find(`input[name="list_digest"]`).AttrOr("value", ""))
	r := d.reader()
	before, posts := r.length(), d.Sim.Totals().Posts
	for name, address := range where {
		for _, extra := range []string{
			"", "?reason=x&ticket=y&external_ok=yes&who=" + d.cast.Victim.ID + "&how=Graph&when=2026-01-02T03:04",
			"?kind=tenant&side=include&account=" + d.cast.Victim.ID + "&id=" + d.cast.Victim.ID + "&out=" + d.cast.Victim.ID + "&" + form.Encode(),
		} {
			if name == "search" && extra != "" {
				continue
			}
			b.peek(address + extra)
			b.send(http.MethodHead, address, nil, false)
			c.forward(5 * time.Second)
		}
	}
	if after := r.length(); after != before {
		t.Errorf("the ledger grew from %d to %d events by reading", before, after)
	}
	if n := d.Sim.Totals().Posts; n != posts {
		t.Errorf("reading revoked: %d, want %d", n, posts)
	}
	b.get("/me").has(http.StatusOK)
}

var nonceForm = regexp.MustCompile(`'nonce-([A-Za-z0-9_-]{22})'`)

const wantPolicy = "default-src 'none'; script-src 'nonce-N'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types htmx"

// wantHeaders are on every answer; what is cached is said apart.
var wantHeaders = map[string]string{
	"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin", "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
	"Strict-Transport-Security": "", "Server": "", "X-Powered-By": "", "Access-Control-Allow-Origin": "",
}

func TestEveryAnswerIsProtectedByItsHeaders(t *testing.T) {
	t.Parallel()
	d := small(t)
	b, stranger := d.browser(), d.browser()
	b.signIn(d.cast.Helpdesk)
	run := b.revoke(d.cast.Victim, because("an object")).path()
	fragment := func(r *http.Request) { r.Header.Set("HX-Request", "true") }
	style := b.get("/").doc.Find(`link[rel="stylesheet"]`).AttrOr("href", "")
	foreign := func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }
	answers := map[string]*page{
		"page": b.get("/"), "card": b.get("/users/" + d.cast.Victim.ID), "fragment of a run": b.send("GET", run, nil, true, fragment),
		"fragment of a search": b.send("GET", "/search?q=lena", nil, true, fragment), "not found": b.get("/none"),
		"wrong method": b.send("PUT", "/", nil, false), "forbidden": b.get("/ledger"), "refused form": b.post("/me/revoke", nil),
		"cross-site": b.send("POST", "/me/revoke", url.Values{}, false, foreign),
		"redirect":   stranger.peek("/"), "fragment without a session": stranger.send("GET", "/", nil, false, fragment),
		"to Microsoft": stranger.peek("/auth/signin"), "callback": stranger.peek("/auth/callback"), "health": stranger.get("/healthz"),
		"readiness": stranger.get("/readyz"), "no static file": stranger.get("/static/none"), "style": stranger.get(style),
	}
	nonces := map[string]string{}
	for name, p := range answers {
		for header, want := range wantHeaders {
			if got := p.header.Get(header); got != want {
				t.Errorf("%s: %s = %q, want %q", name, header, got, want)
			}
		}
		policy := p.header.Get("Content-Security-Policy")
		m := nonceForm.FindStringSubmatch(policy)
		if m == nil || nonceForm.ReplaceAllString(policy, "'nonce-N'") != wantPolicy {
			t.Errorf("%s: policy %q, want %q", name, policy, wantPolicy)
			continue
		}
		if other := nonces[m[1]]; other != "" {
			t.Errorf("%s and %s have the same nonce", name, other)
		}
		nonces[m[1]] = name
		if p.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", name)
		}
		cache := p.header.Get("Cache-Control")
		if name == "style" {
			if !strings.Contains(cache, "immutable") {
				t.Errorf("a static file with its hash in its name has Cache-Control %q", cache)
			}
		} else if cache != "no-store" {
			t.Errorf("%s: Cache-Control %q, want no-store", name, cache)
		}
		p.doc.Find("script").Each(func(_ int, s *goquery.Selection) {
			if s.AttrOr("nonce", "") != m[1] || s.AttrOr("src", "") == "" {
				t.Errorf("%s: a script without the answer's nonce, or inline", name)
			}
		})
		if n := p.doc.Find("[style], style").Length(); n > 0 && !strings.HasPrefix(name, "style") {
			t.Errorf("%s: %d inline styles", name, n)
		}
	}
}

func TestHTTPSIsInsistedOnWhereItIsServed(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]bool{"https://evict.example.com": true, "http://localhost:18080": false} {
		a := standalone(t, base)
		for _, path := range []string{"/signin", "/", "/none", "/healthz", "/static/none"} {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			a.ServeHTTP(w, r)
			if got := w.Header().Get("Strict-Transport-Security"); (got != "") != want {
				t.Errorf("%s%s: Strict-Transport-Security %q", base, path, got)
			}
		}
	}
}

func TestCookiesAreOutOfReach(t *testing.T) {
	t.Parallel()
	d := small(t)
	b := d.browser()
	begun := b.peek("/auth/signin")
	check := func(p *page, name string, age int) {
		t.Helper()
		for _, line := range p.header.Values("Set-Cookie") {
			c, err := http.ParseSetCookie(line)
			if err != nil {
				t.Fatalf("cookie %q: %v", line, err)
			}
			if c.Name != name {
				continue
			}
			if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != age || len(line) > 4096 {
				t.Errorf("cookie %s: %q", name, line)
			}
			return
		}
		t.Errorf("no cookie %s", name)
	}
	check(begun, "evict-rehearsal-signin", 600)
	back := b.peek(callback(b))
	check(back, "evict-rehearsal", 0)
	check(back, "evict-rehearsal-signin", 600) // the first of the two sign-ins is still pending
	if p := b.send(http.MethodPost, "/auth/signout", url.Values{}, false); true {
		check(p, "evict-rehearsal", -1)
	}
	w := httptest.NewRecorder()
	standalone(t, "https://evict.example.com").ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/signin", nil))
	if c := w.Result().Cookies(); len(c) != 0 {
		t.Errorf("the sign-in page sets cookies: %v", c)
	}
}

func TestALongFormIsRefusedWhole(t *testing.T) {
	t.Parallel()
	d := small(t)
	b := d.browser()
	b.signIn(d.cast.Helpdesk)
	r := d.reader()
	before := r.length()
	form := because(strings.Repeat("too long ", 9000))
	p := b.post("/users/"+d.cast.Victim.ID+"/revoke", form)
	if p.status != http.StatusUnprocessableEntity && p.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a form of 81 KB answered %d", p.status)
	}
	p.says("too large", "Nothing was done")
	for name, body := range map[string]string{"damaged": "reason=%zz&ticket=a", "semicolons": "reason=a;b"} {
		p := b.send(http.MethodPost, "/users/"+d.cast.Victim.ID+"/revoke", nil, true, func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Body, r.ContentLength = readCloser{strings.NewReader(body)}, int64(len(body))
		})
		if p.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d, want 422", name, p.status)
		}
	}
	if n := d.posts(d.cast.Victim); n != 0 || r.length() != before {
		t.Errorf("the simulator saw %d calls; the ledger grew by %d", n, r.length()-before)
	}
}

func TestHeadersAndIdleConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	d := small(t)
	address := strings.TrimPrefix(d.BaseURL, "http://")
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /signin HTTP/1.1\r\nHost: %s\r\nX-Long: %s\r\n\r\n", address, strings.Repeat("x", 64<<10))
	head := make([]byte, 64)
	n, err := conn.Read(head)
	if err != nil || !bytes.Contains(head[:n], []byte(" 431 ")) {
		t.Errorf("64 KB of headers answered %q (%v), want 431", head[:n], err)
	}

	slow, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if err := slow.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(slow, "GET /signin HTTP/1.1\r\nHost: %s\r\n", address) // and never the end of the headers
	if _, err := slow.Read(head); err == nil || isTimeout(err) {
		t.Errorf("a connection that never ends its headers is kept: %v", err)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // straight from the connection
	return ok && e.Timeout()
}

func TestSignInAttemptsAreLimited(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	b := d.browser()
	stopped := 0
	for n := 1; n <= 40 && stopped == 0; n++ {
		p := b.peek("/auth/signin")
		if p.status == http.StatusTooManyRequests {
			stopped = n
			p.says("Too many requests", "Try again")
			if s := p.header.Get("Retry-After"); s == "" || s == "0" {
				t.Errorf("Retry-After = %q", s)
			}
		}
	}
	if stopped < 15 || stopped > 30 {
		t.Errorf("stopped at attempt %d, want around 20", stopped)
	}
	if p := b.peek("/auth/callback?state=x&code=y"); p.status != http.StatusTooManyRequests {
		t.Errorf("callbacks are not limited: %d", p.status)
	}
	b.get("/signin").has(http.StatusOK)
	c.forward(time.Minute)
	b.peek("/auth/signin").has(http.StatusSeeOther)
}

func TestSearchIsLimitedForEachOperator(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	b, other := d.browser(), d.browser()
	b.signIn(d.cast.Helpdesk)
	other.signIn(d.cast.Lead)
	c.stop() // so that nothing is given back while the searches are made
	var stopped *page
	for n := 0; n < 60 && stopped == nil; n++ {
		if p := b.get("/search?q=lena"); p.status == http.StatusTooManyRequests {
			stopped = p
		}
	}
	if stopped == nil {
		t.Fatal("60 searches in no time are not limited")
	}
	if stopped.header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	stopped.says("Too many requests").silent("console role")
	other.get("/search?q=lena").has(http.StatusOK).says("lena.hartwig")
}

func TestASearchSaysWhyItFindsNothing(t *testing.T) {
	t.Parallel()
	d := small(t)
	b := d.browser()
	b.signIn(d.cast.Helpdesk)
	b.get("/search?q=l").says("at least two characters")
	b.get("/search?q="+url.QueryEscape(strings.Repeat("long ", 60))).has(http.StatusOK).silent("at least two characters", "No user, group or role matches")
	b.get("/search?q=" + url.QueryEscape("a\x00b")).has(http.StatusOK).silent("at least two characters")
	b.get("/search?q=" + url.QueryEscape(`"<script>alert(1)</script>`)).has(http.StatusOK).says("matches").silent("unknown")
	for _, q := range []string{`' or 1=1`, `")`, `%`, `\`, "a&b=c", "a#b", "é", "🤖🤖", "..", "@", "a@b", d.cast.Victim.ID, "$filter"} {
		b.get("/search?q=" + url.QueryEscape(q)).has(http.StatusOK).silent("could not be read")
	}
}

// standalone is a console that nobody has connected to anything: it serves what needs no sign-in service.
func standalone(t *testing.T, base string) http.Handler {
	t.Helper()
	a := consoleAt(t, base)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return a.Handler()
}

// consoleAt is a console with a configuration of the public cloud, as a real one has.
func consoleAt(t *testing.T, base string) *app.App {
	t.Helper()
	keys, err := auth.GenerateSealKey("test")
	if err != nil {
		t.Fatal(err)
	}
	ledgerKey, _, err := audit.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), config.Config{
		BaseURL: base, Cloud: "public", TenantID: "6f0c2a51-9d3e-4b7a-8c21-0f4e5d6b7a98", ClientID: "1b2c3d4e-5f60-4718-892a-3b4c5d6e7f80",
		ClientSecret: "not-used", SealKeys: config.Secret(keys), LedgerKey: config.Secret(ledgerKey), DataDir: t.TempDir(),
	}, app.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("making a console: %v", err)
	}
	return a
}

// readCloser is a request body from a string.
type readCloser struct{ *strings.Reader }

// Close does nothing.
func (readCloser) Close() error { return nil }
