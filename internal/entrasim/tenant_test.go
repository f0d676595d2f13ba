package entrasim_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"evict/internal/entrasim"
)

func newSim(t *testing.T, o entrasim.Options) *entrasim.Sim {
	t.Helper()
	s, err := entrasim.New(o)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSameSeedMakesTheSameTenant(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	make := func(seed uint64) *entrasim.Sim {
		return newSim(t, entrasim.Options{Seed: seed, People: 300, Now: at.Now})
	}
	a, b, other := make(7), make(7), make(8)
	if a.TenantID() != b.TenantID() || a.App().ClientID != b.App().ClientID || !reflect.DeepEqual(a.Cast(), b.Cast()) {
		t.Error("same seed, another tenant, client or cast")
	}
	if !reflect.DeepEqual(a.People(300), b.People(300)) {
		t.Error("same seed, other people")
	}
	directory := func(s *entrasim.Sim) (out []map[string]any) {
		must(t, s.Listen("127.0.0.1:0", "127.0.0.1:0"))
		bearer := mint(t, s, s.Cast().Auditor)
		for _, path := range []string{
			"/users?$top=999&$select=id,userPrincipalName,companyName,createdDateTime,signInSessionsValidFromDateTime", "/groups?$top=999",
			"/roleManagement/directory/roleAssignments", "/roleManagement/directory/roleEligibilityScheduleInstances",
			"/directory/administrativeUnits", "/directoryRoles", "/groups/" + groupID(t, s, "On call") + "/transitiveMembers?$select=id",
		} {
			got, _ := all(t, s, bearer, path)
			out = append(out, got...)
		}
		return out
	}
	if first := directory(a); len(first) < 400 || !reflect.DeepEqual(first, directory(b)) {
		t.Error("same seed, another directory")
	}
	if a.TenantID() == other.TenantID() || a.Cast().Victim.ID == other.Cast().Victim.ID {
		t.Error("another seed, same ids")
	}
	if small := newSim(t, entrasim.Options{Seed: 7, People: 60, Now: at.Now}); small.Cast().Victim.ID != a.Cast().Victim.ID {
		t.Error("the cast moves with the number of people")
	}
}

func TestTheCastIsWhatItSays(t *testing.T) {
	t.Parallel()
	s := newSim(t, entrasim.Options{People: 10})
	c := s.Cast()
	v := reflect.ValueOf(c)
	ids := map[string]bool{}
	for i := range v.NumField() {
		people, isArray := v.Field(i).Interface().([2]entrasim.Person)
		if !isArray {
			p, _ := v.Field(i).Interface().(entrasim.Person)
			people = [2]entrasim.Person{p, p}
		}
		for _, p := range people {
			if p.ID == "" || p.UPN == "" || p.Name == "" || p.Note == "" {
				t.Errorf("%s is not complete: %+v", v.Type().Field(i).Name, p)
			}
			ids[p.ID] = true
		}
	}
	if len(ids) != v.NumField()+1 {
		t.Errorf("%d different people for %d parts", len(ids), v.NumField()+1)
	}
	for _, tt := range []struct {
		p       entrasim.Person
		console []string
		roles   []string
	}{
		{c.Helpdesk, []string{"Evict.Responder"}, []string{"Helpdesk Administrator"}},
		{c.Lead, []string{"Evict.Lead", "Evict.Responder"}, []string{"User Administrator", "Security Reader"}},
		{c.Approver, []string{"Evict.Approver"}, nil},
		{c.Auditor, []string{"Evict.Auditor"}, []string{"Global Reader", "Reports Reader"}},
		{c.Admin, []string{"Evict.Admin", "Evict.Lead"}, []string{"Privileged Authentication Administrator"}},
		{c.Nobody, nil, nil},
		{c.GroupAdmin, nil, []string{"Exchange Administrator"}},
		{c.Victim, nil, nil},
	} {
		if !slices.Equal(tt.p.ConsoleRoles, tt.console) || !slices.Equal(tt.p.DirectoryRoles, tt.roles) {
			t.Errorf("%s holds %q and %q, want %q and %q", tt.p.Name, tt.p.ConsoleRoles, tt.p.DirectoryRoles, tt.console, tt.roles)
		}
	}
	if !c.ExternalGuest.External || !c.ExternalMember.External || c.InternalGuest.External || c.ConvertedMember.External {
		t.Error("who signs in elsewhere is wrong")
	}
	if c.InternalGuest.UserType != "Guest" || c.ExternalMember.UserType != "Member" || c.Disabled.Enabled {
		t.Error("types or the disabled account are wrong")
	}
}

func TestUserPrincipalNamesAreUnique(t *testing.T) {
	t.Parallel()
	s := newSim(t, entrasim.Options{People: 5000})
	seen := map[string]bool{}
	for _, p := range s.People(5000) {
		if seen[p.UPN] || strings.ContainsFunc(p.UPN, func(r rune) bool { return r > 0x7e }) {
			t.Fatalf("user principal name %q", p.UPN)
		}
		seen[p.UPN] = true
	}
}

// proxied is a client that knows nothing but a proxy and a CA file.
func proxied(t *testing.T, s *entrasim.Sim) *http.Client {
	t.Helper()
	proxy, err := url.Parse(s.BrowserURL())
	must(t, err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CAPEM()) {
		t.Fatal("the CA file is not a certificate")
	}
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
	}}
}

func TestUnmodifiedMSALSignsInUnderMicrosoftsNames(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	hc := proxied(t, s)
	c := msalClient(t, s, "https://login.microsoftonline.com/"+s.TenantID(), hc) // instance discovery stays on
	scopes := []string{"https://graph.microsoft.com/User.Read"}
	address, err := c.AuthCodeURL(t.Context(), s.App().ClientID, redirectURI, scopes)
	must(t, err)
	if !strings.HasPrefix(address, "https://login.microsoftonline.com/") {
		t.Errorf("authorize URL %q does not follow the host", address)
	}
	b := browser(t, s)
	b.Transport = hc.Transport
	code := msalCode(t, b, address, s.Cast().Victim.ID)
	res, err := c.AcquireTokenByAuthCode(t.Context(), code, redirectURI, scopes, confidential.WithChallenge(verifier))
	must(t, err)
	if got, want := claims(t, res.IDToken.RawToken)["iss"], "https://login.microsoftonline.com/"+s.TenantID()+"/v2.0"; got != want {
		t.Errorf("issuer = %v, want %v", got, want)
	}
	if _, err := c.AcquireTokenSilent(t.Context(), []string{"https://graph.microsoft.com/User.Read.All"}, confidential.WithSilentAccount(res.Account)); err != nil {
		t.Errorf("silent under Microsoft's names: %v", err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://graph.microsoft.com/v1.0/me", nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+res.AccessToken)
	resp, err := hc.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("graph.microsoft.com = %d", resp.StatusCode)
	}
}

func TestConnectReachesNothingElse(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	u, err := url.Parse(s.BrowserURL())
	must(t, err)
	for _, target := range []string{"example.com:443", "127.0.0.1:22", "login.microsoftonline.com:80", "localhost:443", "login.microsoftonline.com.evil.example:443"} {
		conn, err := net.Dial("tcp", u.Host)
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("CONNECT %s = %d, want 403", target, resp.StatusCode)
		}
	}
}

func TestDiscoveryFollowsTheHost(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	for _, tt := range []struct{ base, issuer, authorize string }{
		{s.TLSURL() + "/" + s.TenantID(), s.Authority() + "/v2.0", s.BrowserURL() + "/" + s.TenantID()},
		{s.TLSURL() + "/larkfield.example", s.Authority() + "/v2.0", s.BrowserURL() + "/" + s.TenantID()},
		{s.BrowserURL() + "/" + s.TenantID(), s.Authority() + "/v2.0", s.BrowserURL() + "/" + s.TenantID()},
		{s.TLSURL() + "/organizations", s.TLSURL() + "/{tenantid}/v2.0", s.BrowserURL() + "/organizations"},
	} {
		resp := send(t, s.HTTPClient(), "GET", tt.base+"/v2.0/.well-known/openid-configuration", nil)
		m := decode(t, resp)
		if m["issuer"] != tt.issuer || m["authorization_endpoint"] != tt.authorize+"/oauth2/v2.0/authorize" {
			t.Errorf("%s: issuer %v, authorize %v", tt.base, m["issuer"], m["authorization_endpoint"])
		}
		if token, _ := m["token_endpoint"].(string); !strings.HasPrefix(token, s.TLSURL()) {
			t.Errorf("%s: token endpoint %v is not on TLS", tt.base, m["token_endpoint"])
		}
	}
	if resp := send(t, s.HTTPClient(), "GET", s.TLSURL()+"/other.example/v2.0/.well-known/openid-configuration", nil); resp.StatusCode != 400 {
		t.Errorf("another tenant = %d, want 400", resp.StatusCode)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.BrowserURL()+"/"+s.TenantID()+"/v2.0/.well-known/openid-configuration", nil)
	must(t, err)
	req.Host = "evil.example"
	resp, err := s.HTTPClient().Do(req)
	must(t, err)
	defer resp.Body.Close()
	if m := decode(t, resp); strings.Contains(fmt.Sprint(m), "evil.example") {
		t.Error("a forged Host comes back in the addresses")
	}
}

func TestGraphIsNotServedInPlain(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	if status, _ := page(t, browser(t, s), s.BrowserURL()+"/v1.0/me"); status != 404 {
		t.Errorf("plain Graph = %d, want 404", status)
	}
	if got := graph(t, s, mint(t, s, s.Cast().Lead), "GET", s.TLSURL()+"/beta/me", ""); got.Status != 404 {
		t.Errorf("/beta = %d, want 404", got.Status)
	}
}

func TestCertificateAndFederatedAssertions(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "console"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	must(t, err)
	issuerKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	fed := entrasim.FederatedCredential{Issuer: "https://issuer.example", Subject: "workload", Audience: "api://AzureADTokenExchange", Key: &issuerKey.PublicKey}
	s := start(t, entrasim.Options{App: entrasim.AppRegistration{
		Certificates: [][]byte{der}, Federated: []entrasim.FederatedCredential{fed}, AppPermissions: []string{"User.Read.All"},
	}})
	scopes := []string{"https://graph.microsoft.com/.default"}

	cert, err := x509.ParseCertificate(der)
	must(t, err)
	cred, err := confidential.NewCredFromCert([]*x509.Certificate{cert}, key)
	must(t, err)
	c, err := confidential.New(s.Authority(), s.App().ClientID, cred, confidential.WithHTTPClient(s.HTTPClient()), confidential.WithInstanceDiscovery(false))
	must(t, err)
	if _, err := c.AcquireTokenByCredential(t.Context(), scopes); err != nil {
		t.Errorf("certificate: %v", err)
	}

	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: issuerKey}, nil)
	must(t, err)
	for subject, want := range map[string]int{"workload": 0, "another": 700213} {
		raw, err := jwt.Signed(signer).Claims(jwt.Claims{
			Issuer: fed.Issuer, Subject: subject, Audience: jwt.Audience{fed.Audience}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute)),
		}).Serialize()
		must(t, err)
		k := token(t, s, url.Values{
			"grant_type": {"client_credentials"}, "scope": scopes, "client_assertion": {raw},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		})
		if k.code() != want {
			t.Errorf("federated subject %q = %v %s, want %d", subject, k.Codes, k.Description, want)
		}
	}
	bad := token(t, s, url.Values{
		"grant_type": {"client_credentials"}, "scope": scopes, "client_assertion": {"a.b.c"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	})
	if bad.code() != 50027 || bad.Status != http.StatusUnauthorized {
		t.Errorf("broken assertion = %d %v", bad.Status, bad.Codes)
	}
}
