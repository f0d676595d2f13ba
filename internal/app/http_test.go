package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/entrasim"
)

// small is a demo with few people, for tests that need no crowd.
func small(t *testing.T, change ...func(*app.DemoOptions, *app.Options)) *demo {
	t.Helper()
	few := func(o *app.DemoOptions, _ *app.Options) { o.People = 60 }
	return startDemo(t, append([]func(*app.DemoOptions, *app.Options){few}, change...)...)
}

// clock is a clock that a test sets forward. It runs with the real one, as the console's timers do.
type clock struct {
	mu      sync.Mutex
	ahead   time.Duration
	stopped time.Time // zero while it goes
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped.IsZero() {
		return c.stopped
	}
	return time.Now().Add(c.ahead)
}

// stop makes it stand still.
func (c *clock) stop() {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// use makes the demo run on the clock.
func (c *clock) use(_ *app.DemoOptions, o *app.Options) { o.Now = c.now }

// failing is a store hook that fails at the points that a test names, until it forgives them.
type failing struct {
	mu sync.Mutex
	at map[string]bool
}

func (f *failing) use(_ *app.DemoOptions, o *app.Options) { o.StoreHook = f.hook }

func (f *failing) set(points ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = map[string]bool{}
	for _, p := range points {
		f.at[p] = true
	}
}

func (f *failing) hook(point string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at[point] {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// browser is a person's browser without a screen: cookies, redirects, and the headers that browsers add by themselves.
type browser struct {
	d       *demo
	t       *testing.T
	c       *http.Client
	base    string
	fetched *strings.Builder // all that the console sent to this browser, headers and bodies
}

// page is an answer, read to its end.
type page struct {
	t      *testing.T
	status int
	header http.Header
	url    *url.URL // after redirects
	body   string
	doc    *goquery.Document
}

func (d *demo) browser() *browser {
	d.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	d.t.Cleanup(c.CloseIdleConnections)
	return &browser{d: d, t: d.t, c: c, base: d.BaseURL, fetched: &strings.Builder{}}
}

// as is the same browser reporting to a subtest.
func (b *browser) as(t *testing.T) *browser {
	t.Helper()
	other := *b
	other.t = t
	return &other
}

// send makes a request and follows redirects when asked to. Addresses without a host are the console's.
func (b *browser) send(method, address string, form url.Values, follow bool, change ...func(*http.Request)) *page {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.base + address
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(b.t.Context()), method, address, body)
	if err != nil {
		b.t.Fatalf("making a request: %v", err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, f := range change {
		f(req)
	}
	c := *b.c
	if !follow {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	resp, err := c.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, address, err)
	}
	return b.read(resp)
}

func (b *browser) read(resp *http.Response) *page {
	b.t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatalf("reading %s: %v", resp.Request.URL, err)
	}
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(string(body)))
	if err != nil {
		b.t.Fatalf("parsing %s: %v", resp.Request.URL, err)
	}
	if strings.HasPrefix(resp.Request.URL.String(), b.base+"/") {
		for k, v := range resp.Header {
			if k != "Set-Cookie" && k != "Location" { // cookies are theirs to keep; addresses of Microsoft's hold state
				b.fetched.WriteString(k + ": " + strings.Join(v, "\n") + "\n")
			}
		}
		b.fetched.WriteString(string(body) + "\n")
	}
	return &page{t: b.t, status: resp.StatusCode, header: resp.Header, url: resp.Request.URL, body: string(body), doc: doc}
}

func (b *browser) get(address string) *page {
	b.t.Helper()
	return b.send(http.MethodGet, address, nil, true)
}

// peek is get without following redirects.
func (b *browser) peek(address string) *page {
	b.t.Helper()
	return b.send(http.MethodGet, address, nil, false)
}

func (b *browser) post(address string, form url.Values) *page {
	b.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	return b.send(http.MethodPost, address, form, true)
}

// signIn goes through the front door: the sign-in page, Microsoft's page, and back.
func (b *browser) signIn(p entrasim.Person) *page {
	b.t.Helper()
	return b.choose(b.get("/auth/signin"), p)
}

// choose picks an account on the simulator's page, and follows the way back. If the simulator signed the person in by
// itself, the page is returned as it is.
func (b *browser) choose(at *page, p entrasim.Person) *page {
	b.t.Helper()
	form := at.doc.Find(`button[name="sim_account"]`).First().Closest("form")
	if form.Length() == 0 {
		if strings.HasPrefix(at.url.String(), b.base) {
			return at
		}
		b.t.Fatalf("no account of %s to choose at %s (%d):\n%s", p.UPN, at.url, at.status, at.text())
	}
	action, err := at.url.Parse(form.AttrOr("action", ""))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.post(action.String(), url.Values{"sim_account": {p.ID}})
}

// submit sends a form of the page as a browser would: its values, with those given in place of the page's.
func (b *browser) submit(at *page, action string, values url.Values) *page {
	b.t.Helper()
	form := at.doc.Find(`form[action="` + action + `"]`)
	if form.Length() != 1 {
		b.t.Fatalf("%d forms lead to %s on %s:\n%s", form.Length(), action, at.url, at.text())
	}
	return b.post(action, at.filled(form, values))
}

// press sends the form of the first button with these words, as a browser would.
func (b *browser) press(at *page, words string, values url.Values) *page {
	b.t.Helper()
	button := at.button(words)
	form := button.Closest("form")
	all := at.filled(form, values)
	if name := button.AttrOr("name", ""); name != "" {
		all.Set(name, button.AttrOr("value", ""))
	}
	to, err := at.url.Parse(button.AttrOr("formaction", form.AttrOr("action", "")))
	if err != nil {
		b.t.Fatal(err)
	}
	switch {
	case form.AttrOr("method", "get") != "post":
		to.RawQuery = all.Encode()
		return b.get(to.String())
	case form.AttrOr("enctype", "") == "multipart/form-data":
		return b.upload(to.String(), all)
	default:
		return b.post(to.String(), all)
	}
}

// upload sends a form as its parts. The field "file" goes as a file, empty when nobody chose one.
func (b *browser) upload(address string, form url.Values) *page {
	b.t.Helper()
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	file, err := parts.CreateFormFile("file", "list.csv")
	if err != nil {
		b.t.Fatal(err)
	}
	_, _ = io.WriteString(file, form.Get("file"))
	for name, values := range form {
		for _, v := range values {
			if name != "file" {
				_ = parts.WriteField(name, v)
			}
		}
	}
	_ = parts.Close()
	return b.send(http.MethodPost, address, nil, true, func(r *http.Request) {
		r.Header.Set("Content-Type", parts.FormDataContentType())
		r.Body, r.ContentLength = io.NopCloser(&body), int64(body.Len())
	})
}

// button is the first button with these words.
func (p *page) button(words string) *goquery.Selection {
	p.t.Helper()
	found := p.doc.Find("button").FilterFunction(func(_ int, s *goquery.Selection) bool {
		return strings.HasPrefix(strings.Join(strings.Fields(s.Text()), " "), words)
	})
	if found.Length() == 0 {
		p.t.Fatalf("no button %q on %s (%d):\n%s", words, p.url, p.status, p.text())
	}
	return found.First()
}

// filled is what a form of the page sends: its values, with those given in place of the page's.
func (p *page) filled(form *goquery.Selection, values url.Values) url.Values {
	all := url.Values{}
	fields := form.Find("input[name], textarea[name], select[name]")
	if id := form.AttrOr("id", ""); id != "" {
		fields = fields.AddSelection(p.doc.Find(`[form="` + id + `"]`))
	}
	fields.Each(func(_ int, s *goquery.Selection) {
		name, value := s.AttrOr("name", ""), s.AttrOr("value", "")
		_, checked := s.Attr("checked")
		switch kind := s.AttrOr("type", ""); {
		case kind == "file", (kind == "checkbox" || kind == "radio") && !checked:
			return
		case goquery.NodeName(s) == "textarea":
			value = s.Text()
		case goquery.NodeName(s) == "select":
			options := s.Find("option")
			if chosen := options.Filter("[selected]"); chosen.Length() > 0 {
				options = chosen
			}
			value = options.First().AttrOr("value", "")
		}
		all.Add(name, value)
	})
	for k, v := range values {
		all[k] = v
	}
	return all
}

// revoke opens somebody's card and sends the form.
func (b *browser) revoke(p entrasim.Person, form url.Values) *page {
	b.t.Helper()
	card := b.get("/users/" + p.ID)
	return b.submit(card, "/users/"+p.ID+"/revoke", form)
}

// because is a form with a reason and a ticket.
func because(reason string) url.Values {
	return url.Values{"reason": {reason}, "ticket": {"INC-7"}}
}

// nextSecond waits for the next second to begin: an ID token's time has whole seconds, so a sign-in of the second of a
// cut counts as one from before.
func (d *demo) nextSecond() {
	d.t.Helper()
	for now := time.Now(); time.Now().Unix() == now.Unix(); time.Sleep(10 * time.Millisecond) {
		if d.t.Context().Err() != nil {
			d.t.Fatal("the test is over")
		}
	}
}

// text is what a person reads on the page, in one line.
func (p *page) text() string {
	body := p.doc.Find("body").Clone()
	body.Find("script, style").Remove()
	return strings.Join(strings.Fields(body.Text()), " ")
}

// says fails the test unless the page holds each text, whatever its case.
func (p *page) says(texts ...string) *page {
	p.t.Helper()
	have := strings.ToLower(p.text())
	for _, s := range texts {
		if !strings.Contains(have, strings.ToLower(s)) {
			p.t.Errorf("%s (%d) does not say %q:\n%s", p.url.Path, p.status, s, p.text())
		}
	}
	return p
}

// silent fails the test if the page holds one of the texts.
func (p *page) silent(texts ...string) *page {
	p.t.Helper()
	have := strings.ToLower(p.text())
	for _, s := range texts {
		if strings.Contains(have, strings.ToLower(s)) {
			p.t.Errorf("%s (%d) says %q:\n%s", p.url.Path, p.status, s, p.text())
		}
	}
	return p
}

// has fails the test unless the answer has this status.
func (p *page) has(status int) *page {
	p.t.Helper()
	if p.status != status {
		p.t.Errorf("%s answered %d, want %d:\n%s", p.url, p.status, status, p.text())
	}
	return p
}

// path is where the browser ended.
func (p *page) path() string { return p.url.Path }

// links are the console's own addresses that the page offers, forms included.
func (p *page) links() []string {
	var out []string
	p.doc.Find("a[href], form[action]").Each(func(_ int, s *goquery.Selection) {
		to := s.AttrOr("href", s.AttrOr("action", ""))
		if strings.HasPrefix(to, "/") {
			out = append(out, to)
		}
	})
	return out
}

// link is the address of the first link or button with these words.
func (p *page) link(words string) string {
	p.t.Helper()
	found := p.doc.Find("a[href]").FilterFunction(func(_ int, s *goquery.Selection) bool {
		return strings.HasPrefix(strings.TrimSpace(s.Text()), words)
	})
	if found.Length() == 0 {
		p.t.Fatalf("no link %q on %s:\n%s", words, p.url, p.text())
	}
	return found.First().AttrOr("href", "")
}

// outcome is the state of the one target on a run's page.
func (p *page) outcome() string {
	return strings.TrimSpace(p.doc.Find(`td[data-label="Outcome"] .tag`).First().Text())
}

// patience is how long a test waits for what must come. It is spent only where it does not, so it is long enough for the
// race detector on a slow machine.
const patience = 2 * time.Minute

// eventually opens an address until the page is as wanted.
func (b *browser) eventually(address, what string, wanted func(*page) bool) *page {
	b.t.Helper()
	var p *page
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if p = b.get(address); wanted(p) {
			return p
		}
	}
	b.t.Fatalf("waiting for %s at %s (%d, %s):\n%s", what, address, p.status, p.url, p.text())
	return nil
}

// settles waits until a run's page shows this outcome.
func (b *browser) settles(run, outcome string) *page {
	b.t.Helper()
	return b.eventually(run, "outcome "+outcome, func(p *page) bool { return p.outcome() == outcome })
}

// reader is a signed-in auditor: the eyes of the tests on the ledger.
type reader struct{ *browser }

func (d *demo) reader() reader {
	d.t.Helper()
	b := d.browser()
	b.signIn(d.cast.Auditor).has(http.StatusOK)
	return reader{b}
}

// length is the number of the ledger's newest event.
func (r reader) length() int64 {
	r.t.Helper()
	p := r.get("/ledger?view=all").has(http.StatusOK)
	n, err := strconv.ParseInt(strings.TrimSpace(p.doc.Find(`td[data-label="No."]`).First().Text()), 10, 64)
	if err != nil {
		r.t.Fatalf("the ledger's newest number: %v", err)
	}
	return n
}

// after lists the events behind a number, oldest first, from their stored bytes.
func (r reader) after(seq int64) []audit.Event {
	r.t.Helper()
	var out []audit.Event
	for n := seq + 1; n <= r.length(); n++ {
		p := r.get("/ledger/" + strconv.FormatInt(n, 10)).has(http.StatusOK)
		var e audit.Event
		if err := json.Unmarshal([]byte(p.doc.Find("#event-json").Text()), &e); err != nil {
			r.t.Fatalf("event %d: %v", n, err)
		}
		out = append(out, e)
	}
	return out
}

// kindsOf lists what happened, in order.
func kindsOf(events []audit.Event) []audit.Kind {
	var out []audit.Kind
	for _, e := range events {
		out = append(out, e.Kind)
	}
	return out
}

// posts are the revoke calls that the simulator saw about a person.
func (d *demo) posts(p entrasim.Person) int {
	n := 0
	for _, r := range d.Sim.Requests() {
		if r.Method == http.MethodPost && strings.Contains(r.Path, "/"+p.ID+"/revokeSignInSessions") {
			n++
		}
	}
	return n
}

// member is a new ordinary member of the tenant.
func (d *demo) member(given string) entrasim.Person {
	d.t.Helper()
	return d.Sim.AddUser(given, "Testperson", "Finance")
}

// operator is a new member with these console roles, who may act in Entra as a Helpdesk Administrator.
func (d *demo) operator(given string, roles ...string) entrasim.Person {
	d.t.Helper()
	p := d.member(given)
	if err := d.Sim.SetConsoleRoles(p.ID, roles...); err != nil {
		d.t.Fatal(err)
	}
	if err := d.Sim.AssignRole(p.ID, entrasim.RoleHelpdeskAdministrator); err != nil {
		d.t.Fatal(err)
	}
	return p
}
