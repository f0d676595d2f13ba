package auth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

type person struct {
	OID, UPN string
	Roles    []string
}

var (
	alice = person{OID: aliceID, UPN: "alice@contoso.example", Roles: []string{"Evict.Lead"}}
	bob   = person{OID: bobID, UPN: "bob@contoso.example", Roles: []string{"Evict.Responder"}}
	audi  = person{OID: bobID, UPN: "audi@contoso.example", Roles: []string{"Evict.Auditor"}}
	nemo  = person{OID: bobID, UPN: "nemo@contoso.example"}
)

var opKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// fakeOP is a provider that can be told to misbehave, which the simulator by design cannot.
type fakeOP struct {
	server *httptest.Server

	mu        sync.Mutex
	grants    map[string]grant // by code or refresh token
	issued    []string         // all secrets that went out
	forms     []url.Values     // token requests
	docs      int              // discovery documents served
	now       func() time.Time
	idToken   func(map[string]any)                   // changes an ID token's claims
	access    func(map[string]any)                   // changes an access token's claims
	scope     func(asked string) string              // spells the granted scopes
	answer    func(w http.ResponseWriter) (did bool) // answers a token request instead
	revoked   map[string]bool                        // object ids whose refresh tokens are dead
	badKeys   bool                                   // sign with a key that is not published
	extra     map[string]any                         // further fields of a token answer
	noConsent map[string]bool                        // scopes that were not consented to
}

type grant struct {
	who       person
	nonce     string
	challenge string
	redirect  string
	refresh   bool
}

func newFakeOP(t *testing.T) *fakeOP {
	t.Helper()
	op := &fakeOP{grants: map[string]grant{}, revoked: map[string]bool{}, noConsent: map[string]bool{}, now: time.Now}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", op.discovery)
	mux.HandleFunc("GET /keys", op.keys)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", op.token)
	op.server = httptest.NewTLSServer(mux)
	t.Cleanup(op.server.Close)
	return op
}

func (op *fakeOP) set(f func(*fakeOP)) {
	op.mu.Lock()
	defer op.mu.Unlock()
	f(op)
}

func (op *fakeOP) issuer() string { return op.server.URL + "/" + tenantID + "/v2.0" }

func (op *fakeOP) discovery(w http.ResponseWriter, _ *http.Request) {
	op.set(func(op *fakeOP) { op.docs++ })
	writeJSON(w, 200, map[string]any{
		"issuer":                 op.issuer(),
		"authorization_endpoint": op.server.URL + "/" + tenantID + "/oauth2/v2.0/authorize",
		"token_endpoint":         op.server.URL + "/" + tenantID + "/oauth2/v2.0/token",
		"end_session_endpoint":   op.server.URL + "/" + tenantID + "/oauth2/v2.0/logout",
		"jwks_uri":               op.server.URL + "/keys",
	})
}

func (op *fakeOP) keys(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: &opKey().PublicKey, KeyID: "op", Algorithm: "RS256", Use: "sig"},
	}})
}

// authorize is the sign-in page: it answers an authorize request with the callback's parameters.
func (op *fakeOP) authorize(q url.Values, who person) url.Values {
	code := op.secret("canary-code-")
	op.set(func(op *fakeOP) {
		op.grants[code] = grant{
			who: who, nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), redirect: q.Get("redirect_uri"),
		}
	})
	return url.Values{"code": {code}, "state": {q.Get("state")}}
}

func (op *fakeOP) secret(prefix string) string {
	s := prefix + rand.Text()
	op.set(func(op *fakeOP) { op.issued = append(op.issued, s) })
	return s
}

func (op *fakeOP) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		aadError(w, "invalid_request", 900144)
		return
	}
	op.mu.Lock()
	op.forms = append(op.forms, r.PostForm)
	answer := op.answer
	op.mu.Unlock()
	if answer != nil && answer(w) {
		return
	}
	if r.PostForm.Get("client_secret") != secret {
		aadError(w, "invalid_client", 7000215)
		return
	}
	g, ok := op.redeem(w, r.PostForm)
	if ok {
		op.grant(w, r.PostForm, g)
	}
}

func (op *fakeOP) redeem(w http.ResponseWriter, form url.Values) (grant, bool) {
	op.mu.Lock()
	defer op.mu.Unlock()
	handle := form.Get("code")
	if form.Get("grant_type") == "refresh_token" {
		handle = form.Get("refresh_token")
	}
	g, ok := op.grants[handle]
	switch {
	case !ok:
		aadError(w, "invalid_grant", 70008)
	case g.refresh && op.revoked[g.who.OID]:
		aadError(w, "invalid_grant", 50173)
	case !g.refresh && (challengeOf(form.Get("code_verifier")) != g.challenge || form.Get("redirect_uri") != g.redirect):
		aadError(w, "invalid_grant", 501481)
	default:
		for _, s := range strings.Fields(form.Get("scope")) {
			if op.noConsent[s[strings.LastIndex(s, "/")+1:]] {
				aadError(w, "invalid_grant", 65001)
				return grant{}, false
			}
		}
		if !g.refresh {
			delete(op.grants, handle)
		}
		return g, true
	}
	return grant{}, false
}

func challengeOf(verifier string) string {
	h := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

func (op *fakeOP) grant(w http.ResponseWriter, form url.Values, g grant) {
	refresh := op.secret("canary-refresh-")
	op.mu.Lock()
	op.grants[refresh] = grant{who: g.who, refresh: true}
	idToken, access, spell, bad, extra := op.idToken, op.access, op.scope, op.badKeys, op.extra
	now := op.now()
	op.mu.Unlock()
	id := map[string]any{
		"iss": op.issuer(), "aud": clientID, "tid": tenantID, "oid": g.who.OID, "sub": "sub-" + g.who.OID,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "name": "Name of " + g.who.UPN,
		"preferred_username": g.who.UPN, "roles": g.who.Roles, "nonce": g.nonce,
	}
	if idToken != nil {
		idToken(id)
	}
	at := map[string]any{
		"oid": g.who.OID, "tid": tenantID, "idtyp": "user", "scp": form.Get("scope"), "jti": rand.Text(),
	}
	if access != nil {
		access(at)
	}
	scope := form.Get("scope")
	if spell != nil {
		scope = spell(scope)
	}
	info, _ := json.Marshal(map[string]string{"uid": g.who.OID, "utid": tenantID})
	body := map[string]any{
		"token_type": "Bearer", "expires_in": 4000, "scope": scope, "access_token": op.sign(at, false),
		"refresh_token": refresh, "id_token": op.sign(id, bad), "client_info": base64.RawURLEncoding.EncodeToString(info),
	}
	for k, v := range extra {
		body[k] = v
	}
	writeJSON(w, 200, body)
}

var strangersKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func (op *fakeOP) sign(claims map[string]any, bad bool) string {
	key := opKey()
	if bad {
		key = strangersKey()
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "op"))
	if err != nil {
		panic(err)
	}
	raw, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(err)
	}
	op.set(func(op *fakeOP) { op.issued = append(op.issued, raw, strings.Split(raw, ".")[2]) })
	return raw
}

func (op *fakeOP) requests(grantType string) int {
	op.mu.Lock()
	defer op.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(op.forms), func(f url.Values) bool { return f.Get("grant_type") != grantType }))
}

// aadError answers as Entra does; the description holds what must never be shown.
func aadError(w http.ResponseWriter, code string, number int) {
	writeJSON(w, 400, map[string]any{
		"error": code, "error_codes": []int{number},
		"error_description": fmt.Sprintf("AADSTS%d: canary-description Trace ID: x", number),
		"correlation_id":    "11111111-2222-4333-8444-555555555555",
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
