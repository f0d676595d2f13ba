package entrasim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"evict/internal/entrasim"
)

const (
	redirectURI = "http://localhost:8080/auth/callback"
	verifier    = "verifier-verifier-verifier-verifier-verifier-0123"
	loginScopes = "openid profile offline_access User.Read"
)

// start runs a simulator on free ports until the test ends.
func start(t *testing.T, o entrasim.Options) *entrasim.Sim {
	t.Helper()
	if o.People == 0 {
		o.People = 120
	}
	s, err := entrasim.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	if err := s.Listen("127.0.0.1:0", "127.0.0.1:0"); err != nil {
		t.Fatalf("Listen: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// clock is a clock that only moves when told.
type clock struct{ now chan time.Time }

func newClock(at time.Time) *clock {
	c := &clock{now: make(chan time.Time, 1)}
	c.now <- at
	return c
}

func (c *clock) Now() time.Time { v := <-c.now; c.now <- v; return v }

func (c *clock) Advance(d time.Duration) { c.now <- (<-c.now).Add(d) }

// browser is a client with cookies that does not follow redirects.
func browser(t *testing.T, s *entrasim.Sim) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatalf("cookie jar: %v", err)
	}
	return &http.Client{
		Jar: jar, Transport: s.HTTPClient().Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func challengeOf(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorizeURL is a good request to sign in; edit changes it.
func authorizeURL(s *entrasim.Sim, edit func(url.Values)) string {
	q := url.Values{
		"client_id": {s.App().ClientID}, "response_type": {"code"}, "redirect_uri": {redirectURI}, "scope": {loginScopes},
		"state": {"the-state"}, "nonce": {"the-nonce"}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	if edit != nil {
		edit(q)
	}
	return s.BrowserURL() + "/" + s.TenantID() + "/oauth2/v2.0/authorize?" + q.Encode()
}

// pick chooses a person on the accounts page and returns where the browser is sent.
func pick(t *testing.T, b *http.Client, address, person string) *url.URL {
	t.Helper()
	resp := send(t, b, http.MethodPost, address, url.Values{"sim_account": {person}})
	return location(t, resp)
}

func location(t *testing.T, resp *http.Response) *url.URL {
	t.Helper()
	u, err := resp.Location()
	if err != nil {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("no redirect, status %d: %s", resp.StatusCode, text(body))
	}
	return u
}

// send makes a request as a browser would, with a form when there is one.
func send(t *testing.T, b *http.Client, method, address string, form url.Values) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := b.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, address, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// page gets an address and returns its text.
func page(t *testing.T, b *http.Client, address string) (int, string) {
	t.Helper()
	resp := send(t, b, http.MethodGet, address, nil)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading %s: %v", address, err)
	}
	return resp.StatusCode, string(body)
}

func text(b []byte) string {
	if len(b) > 600 {
		b = b[:600]
	}
	return string(b)
}

// tokens is an answer of the token endpoint.
type tokens struct {
	Status       int
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	Scope        string `json:"scope"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshIn    int64  `json:"refresh_in"`
	Error        string `json:"error"`
	Description  string `json:"error_description"`
	Codes        []int  `json:"error_codes"`
	SubError     string `json:"suberror"`
}

func (k tokens) code() int {
	if len(k.Codes) == 1 {
		return k.Codes[0]
	}
	return 0
}

// token calls the token endpoint with the console's secret unless the form has a credential.
func token(t *testing.T, s *entrasim.Sim, form url.Values) tokens {
	t.Helper()
	if !form.Has("client_id") {
		form.Set("client_id", s.App().ClientID)
	}
	if !form.Has("client_secret") && !form.Has("client_assertion") {
		form.Set("client_secret", s.App().Secret)
	}
	resp := send(t, s.HTTPClient(), http.MethodPost, s.Authority()+"/oauth2/v2.0/token", form)
	var k tokens
	if err := json.NewDecoder(resp.Body).Decode(&k); err != nil {
		t.Fatalf("token answer: %v", err)
	}
	k.Status = resp.StatusCode
	return k
}

func codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}, "scope": {loginScopes}}
}

func refreshForm(refresh string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "scope": {loginScopes}}
}

// signIn does the whole dance and fails the test when anything is refused.
func signIn(t *testing.T, s *entrasim.Sim, b *http.Client, person string) tokens {
	t.Helper()
	back := pick(t, b, authorizeURL(s, nil), person)
	k := token(t, s, codeForm(back.Query().Get("code")))
	if k.Status != http.StatusOK {
		t.Fatalf("sign-in of %s refused: %s", person, k.Description)
	}
	return k
}

// claims reads the payload of a JWT.
func claims(t *testing.T, jwt string) map[string]any {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", jwt)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatalf("payload: %v", err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("payload: %v", err)
	}
	return m
}

// answer is a Graph answer.
type answer struct {
	Status int
	Header http.Header
	Raw    string
	JSON   map[string]any
}

func (a answer) errorCode() string {
	e, _ := a.JSON["error"].(map[string]any)
	code, _ := e["code"].(string)
	return code
}

// values are the objects of a collection.
func (a answer) values() []map[string]any {
	list, _ := a.JSON["value"].([]any)
	out := make([]map[string]any, len(list))
	for i, v := range list {
		out[i], _ = v.(map[string]any)
	}
	return out
}

// mint issues a token or fails the test.
func mint(t *testing.T, s *entrasim.Sim, p entrasim.Person, scopes ...string) string {
	t.Helper()
	raw, err := s.MintToken(p.ID, entrasim.TokenOptions{Scopes: scopes})
	if err != nil {
		t.Fatalf("MintToken: %v", err)
	}
	return raw
}

// graph calls Graph. A path may be an absolute address. Headers come in pairs.
func graph(t *testing.T, s *entrasim.Sim, bearer, method, path, body string, headers ...string) answer {
	t.Helper()
	resp, err := graphDo(t, s, bearer, method, path, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading %s: %v", path, err)
	}
	a := answer{Status: resp.StatusCode, Header: resp.Header, Raw: string(raw)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(raw, &a.JSON); err != nil {
			t.Fatalf("%s is not JSON: %v: %s", path, err, text(raw))
		}
	}
	return a
}

func graphDo(t *testing.T, s *entrasim.Sim, bearer, method, path, body string, headers ...string) (*http.Response, error) {
	t.Helper()
	if !strings.HasPrefix(path, "https://") {
		path = s.GraphURL() + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, strings.ReplaceAll(path, " ", "%20"), bytes.NewBufferString(body))
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return s.HTTPClient().Do(req)
}

func decode(t *testing.T, resp *http.Response) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
		t.Fatalf("answer is not JSON: %v", err)
	}
	return m
}
