package app_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/config"
	"evict/internal/entrasim"
)

// secrets are the strings that must not be found anywhere, by what they are.
type secrets struct {
	mu sync.Mutex
	of map[string]string
}

func (s *secrets) add(what, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(value) >= 12 {
		s.of[value] = what
	}
}

// find reports each secret in a text, by its name.
func (s *secrets) find(t *testing.T, place, text string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for value, what := range s.of {
		for _, form := range []string{value, url.QueryEscape(value), base64.StdEncoding.EncodeToString([]byte(value))} {
			if at := strings.Index(text, form); at >= 0 {
				t.Errorf("%s holds a %s: …%.40q…", place, what, text[max(0, at-60):at])
				break
			}
		}
	}
	if m := jwtForm.FindString(text); m != "" {
		t.Errorf("%s holds what looks like a token: %.24s…", place, m)
	}
}

var jwtForm = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}\.`)

// count tells how many secrets of a kind were gathered.
func (s *secrets) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, w := range s.of {
		if w == what {
			n++
		}
	}
	return n
}

// request notes what a request to Microsoft carries, and gives it its body back.
func (s *secrets) request(r *http.Request) {
	s.add("access token", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if !strings.HasSuffix(r.URL.Path, "/token") {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return
	}
	for _, name := range []string{"code", "refresh_token", "code_verifier", "client_secret", "client_assertion"} {
		s.add(strings.ReplaceAll(name, "_", " "), form.Get(name))
	}
}

// answer notes the tokens that Microsoft issues.
func (s *secrets) answer(resp *http.Response) error {
	if !strings.HasSuffix(resp.Request.URL.Path, "/token") {
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var got map[string]any
	_ = json.Unmarshal(body, &got) // what is no JSON holds no tokens
	for _, name := range []string{"access_token", "refresh_token", "id_token", "client_info"} {
		if v, ok := got[name].(string); ok {
			s.add(strings.ReplaceAll(name, "_", " "), v)
		}
	}
	return nil
}

// cookies notes what a browser keeps for the console.
func (s *secrets) cookies(t *testing.T, b *browser) {
	t.Helper()
	console, err := url.Parse(b.base)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.c.Jar.Cookies(console) {
		s.add("cookie "+c.Name, c.Value)
		if raw, err := base64.RawURLEncoding.DecodeString(c.Value); err == nil && c.Name == "evict-rehearsal" {
			s.add("session id", string(raw[:16]))
			s.add("session key", string(raw[16:]))
		}
	}
}

// overheard is a demo whose conversation with Microsoft passes through a listener that notes every secret in it.
func overheard(t *testing.T, broken *failing, c *clock) (d *demo, s *secrets, folder string) {
	t.Helper()
	s = &secrets{of: map[string]string{}}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://localhost:" + portOf(l)
	sim, err := entrasim.New(entrasim.Options{People: 60, Seed: 7, Now: c.now, App: entrasim.AppRegistration{
		Secret: "canary-client-secret-4711", RedirectURIs: []string{base + "/auth/callback"}, PostLogoutURIs: []string{base + "/signin?ended=signedout"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	// The simulator answers to the port that it was asked on: so the ear listens on the same port of another address.
	if err := sim.Listen("localhost:0", "127.0.0.2:0"); err != nil {
		t.Skipf("no second loopback address: %v", err)
	}
	cloud := listenIn(t, sim, s)
	keys, err := auth.GenerateSealKey("canary")
	if err != nil {
		t.Fatal(err)
	}
	s.add("seal key", strings.Fields(keys)[1])
	ledgerKey, _, err := audit.GenerateKey("canary")
	if err != nil {
		t.Fatal(err)
	}
	s.add("ledger key", strings.SplitN(ledgerKey, "+", 5)[4])
	s.add("client secret", sim.App().Secret)
	folder = t.TempDir()
	buffer := &logBuffer{}
	a, err := app.New(t.Context(), config.Config{
		BaseURL: base, Cloud: auth.SimulatorName, TenantID: sim.TenantID(), ClientID: sim.App().ClientID,
		ClientSecret: config.Secret(sim.App().Secret), SealKeys: config.Secret(keys), LedgerKey: config.Secret(ledgerKey), DataDir: folder,
	}, app.Options{
		Logger: slog.New(slog.NewJSONHandler(buffer, &slog.HandlerOptions{Level: slog.LevelDebug})), Cloud: &cloud, StoreHook: broken.hook, Now: c.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
		if err := sim.Close(); err != nil {
			t.Errorf("closing the simulator: %v", err)
		}
	})
	return &demo{RunningDemo: &app.RunningDemo{App: a, Sim: sim, BaseURL: base}, t: t, cast: sim.Cast(), log: buffer}, s, folder
}

func portOf(l net.Listener) string {
	_, p, _ := net.SplitHostPort(l.Addr().String())
	return p
}

// listenIn stands between the console and the simulator, and returns the cloud that leads through it.
func listenIn(t *testing.T, sim *entrasim.Sim, s *secrets) auth.Cloud {
	t.Helper()
	target, err := url.Parse(sim.TLSURL())
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:"+target.Port())
	if err != nil {
		t.Skipf("the port is taken on the other address: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(sim.CAPEM())
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			s.request(r.Out)
		},
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ServerName: "localhost"},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, "127.0.0.2:"+target.Port())
			},
		},
		ModifyResponse: s.answer,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // cut as it was cut
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	ear := httptest.NewUnstartedServer(proxy)
	_ = ear.Listener.Close() // its own
	ear.Listener = l
	ear.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	ear.StartTLS()
	t.Cleanup(ear.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(ear.Certificate())
	cloud, err := auth.Simulator("https://127.0.0.1:"+target.Port(), trusted)
	if err != nil {
		t.Fatal(err)
	}
	return cloud
}

// TestNoSecretLeavesItsPlace runs marked secrets through success and every failure, and looks for them in logs, ledger,
// pages and the database.
func TestNoSecretLeavesItsPlace(t *testing.T) {
	t.Parallel()
	broken := &failing{}
	c := &clock{}
	d, s, folder := overheard(t, broken, c)
	var browsers []*browser
	open := func(p entrasim.Person) *browser {
		b := d.browser()
		browsers = append(browsers, b)
		b.signIn(p)
		c.forward(10 * time.Second) // so that the limit on sign-ins does not meddle
		s.cookies(t, b)
		return b
	}
	b := open(d.cast.Helpdesk)
	v := d.cast.Victim
	fault := func(method, match string, kind entrasim.FaultKind) {
		d.Sim.Inject(entrasim.Fault{Method: method, Match: match, UserID: v.ID, Kind: kind, Times: 1})
	}
	journey := func() *page { return b.revoke(v, because("canary run")) }
	b.settles(journey().path(), "confirmed")
	fault("POST", revokeCall, entrasim.AnswerLost)
	b.settles(journey().path(), "confirmed")
	fault("POST", revokeCall, entrasim.Forbidden403) // and the second token of a second attempt
	b.settles(journey().path(), "confirmed")
	fault("POST", revokeCall, entrasim.Status429)
	journey()
	fault("POST", revokeCall, entrasim.Status503HTML)
	journey()
	fault("POST", revokeCall, entrasim.DropConnection)
	journey()
	b.settles(b.revoke(d.cast.GlobalAdmin, because("beyond my roles")).path(), "refused")
	broken.set("launch:before-commit")
	journey().has(http.StatusServiceUnavailable)
	broken.set("session:before-commit", "append:before-commit")
	journey()
	b.get("/users/" + v.ID)
	broken.set()
	for _, match := range []string{"/v1.0/users/{id}", revokeCall} {
		method := map[bool]string{true: "POST", false: "GET"}[match == revokeCall]
		remove := d.Sim.Inject(entrasim.Fault{Method: method, Match: match, UserID: v.ID, Kind: entrasim.ClaimsChallenge})
		p := b.post("/users/"+v.ID+"/revoke", because("challenged"))
		s.cookies(t, b)
		remove()
		if to := p.doc.Find("a.button.primary").AttrOr("href", ""); strings.HasPrefix(to, "http") {
			b.choose(b.get(to), d.cast.Helpdesk)
			s.cookies(t, b)
		}
	}
	c.forward(time.Minute)
	signInFailures(t, d, s, &browsers)
	c.forward(time.Minute)
	d.Sim.Inject(entrasim.Fault{Kind: entrasim.TokenRevoked, UserID: d.cast.Lead.ID})
	lead := open(d.cast.Lead)
	lead.get("/users/" + v.ID)
	lead.post("/users/"+v.ID+"/revoke", because("refused refresh"))
	b.get("/users/" + v.ID + "?access_token=canary-query-0815&code=canary-code-0815")
	b.get("/no/such/page?token=canary-query-0815")
	s.add("query string", "canary-query-0815")
	s.add("query string", "canary-code-0815")
	me := b.submit(b.get("/me"), "/me/revoke", because("myself"))
	if me.path() == "/signin" {
		d.nextSecond()
		b.choose(b.get(me.link("Sign in with Microsoft")), d.cast.Helpdesk)
		s.cookies(t, b)
	}
	open(d.cast.Nobody)
	b.post("/auth/signout", nil)

	for what, least := range map[string]int{
		"access token": 4, "refresh token": 4, "id token": 4, "code": 4, "code verifier": 4, "client secret": 1, "cookie evict-rehearsal": 4, "cookie evict-rehearsal-signin": 1,
	} {
		if n := s.count(what); n < least {
			t.Errorf("%d secrets of the kind %q were gathered, want at least %d: the test is blind", n, what, least)
		}
	}
	r := d.reader()
	browsers = append(browsers, r.browser)
	s.cookies(t, r.browser)
	for n := int64(1); n <= r.length(); n++ {
		s.find(t, "ledger event "+strconv.FormatInt(n, 10), r.get("/ledger/"+strconv.FormatInt(n, 10)).doc.Find("#event-json").Text())
	}
	for i, b := range browsers {
		s.find(t, "a page of browser "+strconv.Itoa(i), b.fetched.String())
	}
	s.find(t, "the log", d.log.String())
	if !strings.Contains(d.log.String(), `"request"`) {
		t.Error("the log is empty: the test is blind")
	}
	files := 0
	for _, path := range filesIn(t, folder) {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files += len(body)
		s.find(t, "the file "+filepath.Base(path), string(body))
	}
	if files < 10_000 {
		t.Errorf("the database has %d bytes: the test is blind", files)
	}
}

// signInFailures goes through each way in which a sign-in fails after Microsoft's page.
func signInFailures(t *testing.T, d *demo, s *secrets, browsers *[]*browser) {
	t.Helper()
	for _, spoil := range []func(q url.Values){
		func(q url.Values) { q.Set("code", q.Get("code")+"-canary") },
		func(q url.Values) { q.Set("state", q.Get("state")+"-canary") },
		func(q url.Values) {
			q.Set("error", "access_denied")
			q.Set("error_description", "AADSTS65004: eyJjYW5hcnkiOiJkZXNjcmlwdGlvbiJ9.e30.c2ln canary-description-0815")
		},
		func(q url.Values) { q.Del("code") },
	} {
		b := d.browser()
		*browsers = append(*browsers, b)
		to, err := url.Parse(callback(b))
		if err != nil {
			t.Fatal(err)
		}
		s.cookies(t, b)
		q := to.Query()
		s.add("code", q.Get("code"))
		s.add("state", q.Get("state"))
		s.add("description", "canary-description-0815")
		spoil(q)
		to.RawQuery = q.Encode()
		if p := b.get(to.String()); p.status < 400 || p.status == http.StatusInternalServerError {
			t.Errorf("a spoiled callback answered %d", p.status)
		}
	}
	for _, kind := range []entrasim.FaultKind{entrasim.Status503, entrasim.DropConnection} {
		b := d.browser()
		*browsers = append(*browsers, b)
		remove := d.Sim.Inject(entrasim.Fault{Match: "token", Kind: kind})
		b.signIn(d.cast.Helpdesk)
		remove()
		s.cookies(t, b)
	}
}

func filesIn(t *testing.T, folder string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
