package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"evict/internal/auth"
	"evict/internal/fault"
	"evict/internal/operator"
)

func claimsOf(t *testing.T, tok operator.Token) map[string]any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(tok.Bearer(), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestActingScopesComeWithTheRefreshTokenAndAreKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	if n := r.op.requests("refresh_token"); n != 0 {
		t.Fatalf("the sign-in itself made %d refreshes", n)
	}
	tok, err := r.session(t, b).Tokens().Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if scp := claimsOf(t, tok)["scp"].(string); !strings.Contains(scp, "https://graph.microsoft.com/User.RevokeSessions.All") {
		t.Errorf("got scopes %q", scp)
	}
	again, err := r.session(t, b).Tokens().Token(t.Context())
	if err != nil || again.Bearer() != tok.Bearer() {
		t.Errorf("the next request got another token (%v)", err)
	}
	if n := r.op.requests("refresh_token"); n != 1 {
		t.Errorf("got %d refreshes, want 1", n)
	}
	if r.op.docs != 1 {
		t.Errorf("the discovery document was fetched %d times", r.op.docs)
	}
}

func TestFreshIsNewlyIssuedAndReplacesTheOld(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	src := r.session(t, b).Tokens()
	first, err := src.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := src.Fresh(t.Context())
	if err != nil || fresh.Bearer() == first.Bearer() {
		t.Fatalf("got the same token, or %v", err)
	}
	for _, s := range []operator.TokenSource{src, r.session(t, b).Tokens()} {
		if got, err := s.Token(t.Context()); err != nil || got.Bearer() != fresh.Bearer() {
			t.Errorf("afterwards another token is used (%v)", err)
		}
	}
}

func TestGrantedScopesMayBeSpelledInEveryDocumentedWay(t *testing.T) {
	t.Parallel()
	for name, spell := range map[string]func(string) string{
		"with resource": func(s string) string { return s },
		"short":         func(s string) string { return strings.ReplaceAll(s, "https://graph.microsoft.com/", "") },
		"by number": func(s string) string {
			return strings.ReplaceAll(s, "https://graph.microsoft.com", "00000003-0000-0000-C000-000000000000")
		},
		"lower case": strings.ToLower,
		"more":       func(s string) string { return "email " + s + " Mail.Read" },
		"left out":   func(string) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.op.set(func(op *fakeOP) { op.scope = spell })
			b := r.browser()
			r.signIn(t, b, alice, auth.BeginOptions{})
			for range 2 {
				if _, err := r.session(t, b).Tokens().Token(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if n := r.op.requests("refresh_token"); n != 1 {
				t.Errorf("got %d refreshes: the cache does not find its own token", n)
			}
		})
	}
}

func TestRevokedRefreshTokenAsksForASignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	r.op.set(func(op *fakeOP) { op.revoked[aliceID] = true })
	for _, get := range []func() error{
		func() error { _, err := r.session(t, b).Tokens().Token(t.Context()); return err },
		func() error { _, err := r.session(t, b).Tokens().Fresh(t.Context()); return err },
	} {
		re := wantReauth(t, get(), "AADSTS50173")
		if len(re.Scopes) != 0 || re.Claims != "" {
			t.Errorf("got %+v", re)
		}
	}
}

func TestMissingConsentNamesTheScopesToAskFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.op.set(func(op *fakeOP) { op.noConsent["AuditLog.Read.All"] = true })
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	if _, err := r.session(t, b).Tokens().Token(t.Context()); err != nil {
		t.Fatalf("the usual scopes: %v", err)
	}
	_, err := r.session(t, b).Tokens("AuditLog.Read.All").Token(t.Context())
	if re := wantReauth(t, err, "AADSTS65001"); !slices.Equal(re.Scopes, []string{"AuditLog.Read.All"}) {
		t.Errorf("got scopes %v", re.Scopes)
	}
	r.op.set(func(op *fakeOP) { op.noConsent["User.RevokeSessions.All"] = true })
	_, err = r.session(t, b).Tokens().Fresh(t.Context())
	if re := wantReauth(t, err, "AADSTS65001"); !slices.Equal(re.Scopes, auth.ActingScopes()) {
		t.Errorf("got scopes %v", re.Scopes)
	}
}

func TestScopesThatWereNotGrantedAskForASignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	r.op.set(func(op *fakeOP) { op.scope = func(string) string { return "openid profile User.Read" } })
	_, err := r.session(t, b).Tokens().Token(t.Context())
	if re := wantReauth(t, err, ""); len(re.Scopes) == 0 {
		t.Error("no scopes to ask for")
	}
}

func TestClaimsOfARefusedRefreshAreHandedOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	claims := `{"access_token":{"capolids":{"essential":true,"values":["x"]}}}`
	r.op.set(func(op *fakeOP) {
		op.answer = func(w http.ResponseWriter) bool {
			writeJSON(w, 400, map[string]any{"error": "interaction_required", "error_codes": []int{50076}, "claims": claims})
			return true
		}
	})
	_, err := r.session(t, b).Tokens().Token(t.Context())
	if re := wantReauth(t, err, "AADSTS50076"); re.Claims != claims {
		t.Errorf("got claims %q", re.Claims)
	}
}

func TestTroubleThatNoSignInMendsIsUnavailable(t *testing.T) {
	t.Parallel()
	answer := func(status int, head map[string]string, body string) func(http.ResponseWriter) bool {
		return func(w http.ResponseWriter) bool {
			for k, v := range head {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
			return true
		}
	}
	for name, f := range map[string]func(http.ResponseWriter) bool{
		"wrong secret":     answer(401, nil, `{"error":"invalid_client","error_codes":[7000215]}`),
		"server error":     answer(500, nil, `<html>canary</html>`),
		"throttled":        answer(429, map[string]string{"Retry-After": "7"}, `{"error":"temporarily_unavailable"}`),
		"no JSON":          answer(200, nil, `canary {`),
		"nothing":          answer(200, nil, ``),
		"no token":         answer(200, nil, `{"token_type":"Bearer","expires_in":100}`),
		"error inside 200": answer(200, nil, `{"error":"x","error_description":"canary","expires_in":1}`),
		"very long":        answer(200, nil, strings.Repeat("x", 2<<20)),
		"redirect elsewhere": func(w http.ResponseWriter) bool {
			w.Header().Set("Location", "https://evil.example/token")
			w.WriteHeader(307)
			return true
		},
		"connection dropped": func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			b := r.browser()
			r.signIn(t, b, alice, auth.BeginOptions{})
			r.op.set(func(op *fakeOP) { op.answer = f })
			_, err := r.session(t, b).Tokens().Token(t.Context())
			wantKind(t, err, fault.Unavailable)
			if strings.Contains(everything(err), "canary") {
				t.Errorf("the answer is in the error: %v", err)
			}
			if f, _ := errors.AsType[*fault.Error](err); name == "throttled" && f.RetryAfter != 7*time.Second {
				t.Errorf("got %v", f.RetryAfter)
			}
		})
	}
}

func TestTokenEndpointOnAnotherHostGetsNoSecret(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hits := 0
	other := newFakeOP(t)
	other.answer = func(http.ResponseWriter) bool { hits++; return false }
	// The guard knows its host; a discovery document cannot change it.
	svc := newRig(t, func(o *auth.Options) {
		o.HTTP = &http.Client{Transport: rewriteDocs{r.op.server.Client().Transport, r.op.server.URL, other.server.URL}}
		o.Cloud, _ = auth.Simulator(r.op.server.URL, nil)
	})
	c := svc.browser()
	q, _, err := c.begin(auth.BeginOptions{})
	if err == nil {
		_, err = c.finish(r.op.authorize(q, alice))
	}
	if err == nil || hits != 0 {
		t.Errorf("got %v and %d requests at the other host", err, hits)
	}
}

// rewriteDocs is a network in which discovery documents name another token endpoint.
type rewriteDocs struct {
	next     http.RoundTripper
	from, to string
}

func (d rewriteDocs) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := d.next.RoundTrip(req)
	if err != nil || !strings.HasSuffix(req.URL.Path, "openid-configuration") {
		return resp, err
	}
	var doc map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		return nil, err
	}
	doc["token_endpoint"] = strings.Replace(doc["token_endpoint"].(string), d.from, d.to, 1)
	b, _ := json.Marshal(doc)
	resp.Body = readCloser{strings.NewReader(string(b))}
	return resp, nil
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func TestAppOnlyOrForeignTokenNeverReachesAnOperator(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(map[string]any){
		"app only":       func(c map[string]any) { c["idtyp"] = "app" },
		"no scopes":      func(c map[string]any) { delete(c, "scp") },
		"other person":   func(c map[string]any) { c["oid"] = bobID },
		"another tenant": func(c map[string]any) { c["tid"] = bobID },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			b := r.browser()
			r.signIn(t, b, alice, auth.BeginOptions{})
			r.op.set(func(op *fakeOP) { op.access = f })
			tok, err := r.session(t, b).Tokens().Token(t.Context())
			wantReauth(t, err, "")
			if tok.Bearer() != "" {
				t.Error("a token came with the error")
			}
		})
	}
}

func TestSessionThatEndsDuringARefreshGetsNoTokenAndStaysEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	s := r.session(t, b)
	r.op.set(func(op *fakeOP) {
		op.answer = func(http.ResponseWriter) bool {
			r.store.mu.Lock()
			defer r.store.mu.Unlock()
			clear(r.store.rows) // a revocation of the operator
			return false
		}
	})
	_, err := s.Tokens().Token(t.Context())
	wantReauth(t, err, "")
	if rows, _ := r.store.count(); rows != 0 {
		t.Error("the session came back")
	}
}

func TestTwoPeopleAtOnceAreNeverMixed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var wg sync.WaitGroup
	for i := range 8 {
		who := []person{alice, bob}[i%2]
		b := r.browser()
		r.signIn(t, b, who, auth.BeginOptions{})
		for range 4 {
			wg.Go(func() {
				for n := range 4 {
					s, err := b.load(true)
					if err != nil {
						t.Error(err)
						return
					}
					get := s.Tokens().Token
					if n%2 == 1 {
						get = s.Tokens().Fresh
					}
					tok, err := get(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					if got := claimsOf(t, tok)["oid"]; got != who.OID {
						t.Errorf("%s got the token of %v", who.OID, got)
					}
				}
			})
		}
	}
	wg.Wait()
}

func TestOneRefreshServesAllRequestsOfASession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	var wg sync.WaitGroup
	for range 8 {
		s := r.session(t, b)
		wg.Go(func() {
			if _, err := s.Tokens().Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := r.op.requests("refresh_token"); n != 1 {
		t.Errorf("got %d refreshes", n)
	}
}

func TestUnknownScopeIsADefectOfTheConsole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	_, err := r.session(t, b).Tokens("https://vault.azure.net/.default").Token(t.Context())
	wantKind(t, err, fault.Internal)
}

func TestFurtherScopesCanBeAskedOfASourceThatIsThere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	more := operator.With(r.session(t, b).Tokens("Domain.Read.All"), "AuditLog.Read.All")
	tok, err := more.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scp, _ := claimsOf(t, tok)["scp"].(string)
	for _, want := range []string{"/Domain.Read.All", "/AuditLog.Read.All", "/User.RevokeSessions.All"} {
		if !strings.Contains(scp, want) {
			t.Errorf("%s is not in %q", want, scp)
		}
	}
}
