package auth_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/entrasim"
	"evict/internal/fault"
	"evict/internal/operator"
)

const (
	assertionIssuer  = "https://issuer.example"
	assertionSubject = "system:serviceaccount:evict:evict"
	exchange         = "api://AzureADTokenExchange"
)

// simRig is a Service whose Entra is the simulator.
type simRig struct {
	*rig
	sim   *entrasim.Sim
	roots *x509.CertPool
}

func newSimRig(t *testing.T, change ...func(*simRig, *auth.Options)) *simRig {
	t.Helper()
	c := &clock{now: time.Now()}
	sim, err := entrasim.New(entrasim.Options{People: 60, Now: c.Now, App: entrasim.AppRegistration{
		RedirectURIs: []string{redirect}, PostLogoutURIs: []string{"https://evict.example.com/signin"},
		Certificates: [][]byte{simCertificate().Certificate[0]},
		Federated: []entrasim.FederatedCredential{{
			Issuer: assertionIssuer, Subject: assertionSubject, Audience: exchange,
			Key: simCertificate().PrivateKey.(crypto.Signer).Public(),
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Listen("127.0.0.1:0", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(sim.CAPEM())
	cloud, err := auth.Simulator(sim.TLSURL(), roots)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := auth.SecretCredential(sim.App().Secret)
	if err != nil {
		t.Fatal(err)
	}
	r := &simRig{sim: sim, roots: roots, rig: &rig{
		store: newMemStore(), clock: c, keys: sealKeys(t, "k1"), logs: &syncBuffer{},
	}}
	o := auth.Options{
		Cloud: cloud, TenantID: sim.TenantID(), ClientID: sim.App().ClientID, Credential: cred, RedirectURL: redirect,
		Keys: r.keys, Store: r.store, Now: c.Now, Match: knownPath, Logger: slog.New(slog.NewJSONHandler(r.logs, nil)),
	}
	for _, f := range change {
		f(r, &o)
	}
	if r.svc, err = auth.New(o); err != nil {
		t.Fatal(err)
	}
	return r
}

// simCertificate is the console's certificate and key, made once. MSAL names a certificate by its thumbprint in standard
// base64, others in the URL alphabet; this one's thumbprint is the same in both, since no test here is about that.
var simCertificate = sync.OnceValue(func() tls.Certificate {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	for serial := int64(1); ; serial++ {
		tpl := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "evict"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		}
		der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
		if err != nil {
			panic(err)
		}
		print := sha256.Sum256(der)
		if !strings.ContainsAny(base64.StdEncoding.EncodeToString(print[:]), "+/") {
			return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
		}
	}
})

func assertion(t *testing.T, subject string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: simCertificate().PrivateKey}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: assertionIssuer, Subject: subject, Audience: jwt.Audience{exchange},
		IssuedAt: jwt.NewNumericDate(time.Now()), NotBefore: jwt.NewNumericDate(time.Now().Add(-time.Minute)),
		Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// pick opens Microsoft's page, chooses an account, and returns the callback's parameters.
func (r *simRig) pick(t *testing.T, address, account string, through http.RoundTripper) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	hc := &http.Client{Jar: jar, Transport: through, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	resp, err := hc.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if resp, err = hc.PostForm(address, url.Values{"sim_account": {account}}); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	back := resp.Header.Get("Location")
	if !strings.HasPrefix(back, redirect+"?") {
		t.Fatalf("%d leads to %q", resp.StatusCode, back)
	}
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func (r *simRig) enter(t *testing.T, b *browser, account string, o auth.BeginOptions) (auth.Finished, error) {
	t.Helper()
	_, address, err := b.begin(o)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	return b.finish(r.pick(t, address, account, nil))
}

// must is enter for a sign-in that must work.
func (r *simRig) must(t *testing.T, b *browser, account string, o auth.BeginOptions) auth.Finished {
	t.Helper()
	f, err := r.enter(t, b, account, o)
	if err != nil {
		t.Fatalf("sign-in of %s: %v", account, err)
	}
	return f
}

func TestSimulatorSignsInWithEveryKindOfCredential(t *testing.T) {
	key, err := x509.MarshalPKCS8PrivateKey(simCertificate().PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	pemText := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: simCertificate().Certificate[0]})...)
	file := filepath.Join(t.TempDir(), "token")
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("X-IDENTITY-HEADER") != "header" || q.URL.Query().Get("resource") != exchange {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		writeJSON(w, 200, map[string]any{
			"access_token": assertion(t, assertionSubject), "expires_in": "3600", "token_type": "Bearer", "resource": exchange,
		})
	}))
	t.Cleanup(platform.Close)
	t.Setenv("IDENTITY_ENDPOINT", platform.URL)
	t.Setenv("IDENTITY_HEADER", "header")
	for name, make := range map[string]func() (auth.Credential, error){
		"secret":            func() (auth.Credential, error) { return auth.SecretCredential(entrasim.DefaultSecret) },
		"certificate":       func() (auth.Credential, error) { return auth.CertificateCredential(pemText) },
		"federated file":    func() (auth.Credential, error) { return auth.AssertionFileCredential(file) },
		"system identity":   func() (auth.Credential, error) { return auth.ManagedIdentityCredential(""), nil },
		"assigned identity": func() (auth.Credential, error) { return auth.ManagedIdentityCredential(clientID), nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := newSimRig(t, func(_ *simRig, o *auth.Options) {
				var err error
				if o.Credential, err = make(); err != nil {
					t.Fatal(err)
				}
			})
			if err := os.WriteFile(file, []byte(assertion(t, assertionSubject)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			b := r.browser()
			f := r.must(t, b, r.sim.Cast().Lead.ID, auth.BeginOptions{ReturnTo: "/search"})
			if f.Operator.UPN != r.sim.Cast().Lead.UPN || !f.Operator.Roles.Has(operator.Lead) || f.ReturnTo != "/search" {
				t.Errorf("got %+v", f)
			}
			tok, err := r.session(t, b).Tokens().Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r.reads(t, tok)
		})
	}
}

// reads asks the simulated Graph for the token's person.
func (r *simRig) reads(t *testing.T, tok operator.Token) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.sim.GraphURL()+"/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+tok.Bearer())
	resp, err := r.sim.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("Graph answered %d", resp.StatusCode)
	}
}

func TestSimulatorFederatedFileIsReadAtEachUse(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := newSimRig(t, func(_ *simRig, o *auth.Options) { o.Credential, _ = auth.AssertionFileCredential(file) })
	b := r.browser()
	_, err := r.enter(t, b, r.sim.Cast().Lead.ID, auth.BeginOptions{})
	wantKind(t, err, fault.Unavailable)
	write(assertion(t, "someone else"))
	_, err = r.enter(t, b, r.sim.Cast().Lead.ID, auth.BeginOptions{})
	wantKind(t, err, fault.Unavailable)
	if !strings.Contains(err.Error(), "AADSTS700213") {
		t.Errorf("got %v", err)
	}
	write(assertion(t, assertionSubject))
	r.must(t, b, r.sim.Cast().Lead.ID, auth.BeginOptions{})
}

func TestSimulatorRevocationEndsTheOperatorsTokens(t *testing.T) {
	t.Parallel()
	r := newSimRig(t)
	b := r.browser()
	lead := r.sim.Cast().Lead.ID
	r.must(t, b, lead, auth.BeginOptions{})
	mine := operator.RunRef{Run: "r", Digest: "d", OID: lead, TID: r.sim.TenantID()}
	bytes, _, err := r.session(t, b).SealForRun(t.Context(), mine)
	if err != nil {
		t.Fatal(err)
	}
	run, err := r.svc.RunTokens(mine, bytes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.sim.Revoke(lead); err != nil {
		t.Fatal(err)
	}
	_, err = r.session(t, b).Tokens().Fresh(t.Context())
	wantReauth(t, err, "AADSTS50173")
	_, err = run.Fresh(t.Context())
	wantReauth(t, err, "AADSTS50173")
	r.must(t, b, lead, auth.BeginOptions{})
	if _, err := r.session(t, b).Tokens().Fresh(t.Context()); err != nil {
		t.Errorf("after a new sign-in: %v", err)
	}
}

func TestSimulatorDisabledOperatorGetsNoToken(t *testing.T) {
	t.Parallel()
	r := newSimRig(t)
	b := r.browser()
	r.must(t, b, r.sim.Cast().Helpdesk.ID, auth.BeginOptions{})
	if err := r.sim.SetEnabled(r.sim.Cast().Helpdesk.ID, false); err != nil {
		t.Fatal(err)
	}
	_, err := r.session(t, b).Tokens().Fresh(t.Context())
	wantReauth(t, err, "AADSTS50057")
}

func TestSimulatorMissingConsentNamesWhatToAskFor(t *testing.T) {
	t.Parallel()
	r := newSimRig(t)
	b := r.browser()
	r.sim.SetConsent("openid", "profile", "offline_access", "User.Read")
	r.must(t, b, r.sim.Cast().Lead.ID, auth.BeginOptions{})
	_, err := r.session(t, b).Tokens().Token(t.Context())
	re := wantReauth(t, err, "AADSTS65001")
	if !slices.Equal(re.Scopes, auth.ActingScopes()) {
		t.Errorf("got scopes %v", re.Scopes)
	}
	_, err = r.enter(t, b, r.sim.Cast().Lead.ID, auth.BeginOptions{Scopes: re.Scopes})
	wantKind(t, err, fault.Forbidden)
	if e := r.store.events[len(r.store.events)-1]; e.Kind != audit.SignInFailed || e.Evidence.Code != "AADSTS65001" {
		t.Errorf("got event %+v", e)
	}
}

func TestSimulatorPersonWithoutARoleIsGreetedAndRecorded(t *testing.T) {
	t.Parallel()
	r := newSimRig(t)
	b := r.browser()
	f := r.must(t, b, r.sim.Cast().Nobody.ID, auth.BeginOptions{})
	if len(f.Operator.Roles) != 0 || last(r.store.kinds()) != audit.SignInDenied {
		t.Errorf("got %v and %v", f.Operator.Roles, r.store.kinds())
	}
}

func TestSimulatorClaimsChallengeIsMetByASignIn(t *testing.T) {
	t.Parallel()
	r := newSimRig(t)
	b := r.browser()
	lead := r.sim.Cast().Lead.ID
	r.must(t, b, lead, auth.BeginOptions{})
	claims := `{"access_token":{"nbf":{"essential":true,"value":"` + "1604106651" + `"}}}`
	f := r.must(t, b, lead, auth.BeginOptions{ReturnTo: "/users/9", Claims: claims})
	if f.New || f.ReturnTo != "/users/9" {
		t.Errorf("got %+v", f)
	}
	tok, err := f.Tokens.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if caps, _ := claimsOf(t, tok)["xms_cc"].([]any); !slices.Contains(caps, any("cp1")) {
		t.Errorf("got capabilities %v", caps)
	}
}

// TestSimulatorEveryCloudSignsIn speaks to Microsoft's host names, which the network leads to the simulator: that is
// how the clouds are configured in earnest, with MSAL's instance discovery on.
func TestSimulatorEveryCloudSignsIn(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"public", "usgov", "usgov-dod", "china"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var network http.RoundTripper
			r := newSimRig(t, func(r *simRig, o *auth.Options) {
				target := strings.TrimPrefix(r.sim.TLSURL(), "https://")
				network = &http.Transport{
					TLSClientConfig: &tls.Config{RootCAs: r.roots, MinVersion: tls.VersionTLS12},
					DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
						return (&net.Dialer{}).DialContext(ctx, network, target)
					},
				}
				o.Cloud, _ = auth.CloudByName(name)
				o.HTTP = &http.Client{Transport: network}
			})
			b := r.browser()
			_, address, err := b.begin(auth.BeginOptions{})
			if err != nil {
				t.Fatal(err)
			}
			cloud, _ := auth.CloudByName(name)
			if u, _ := url.Parse(address); u.Host != cloud.LoginHost || !strings.Contains(u.Query().Get("scope"), cloud.Resource+"/User.Read") {
				t.Errorf("got address %s", address)
			}
			if _, err := b.finish(r.pick(t, address, r.sim.Cast().Lead.ID, network)); err != nil {
				t.Fatal(err)
			}
			if _, err := r.session(t, b).Tokens().Fresh(t.Context()); err != nil {
				t.Error(err)
			}
			if e := r.store.events[0]; e.Cloud != name {
				t.Errorf("got cloud %q", e.Cloud)
			}
		})
	}
}
