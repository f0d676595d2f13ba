package entrasim_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	msalerrors "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"

	"evict/internal/entrasim"
)

func msalClient(t *testing.T, s *entrasim.Sim, authority string, hc *http.Client, o ...confidential.Option) confidential.Client {
	t.Helper()
	cred, err := confidential.NewCredFromSecret(s.App().Secret)
	if err != nil {
		t.Fatalf("credential: %v", err)
	}
	o = append([]confidential.Option{confidential.WithHTTPClient(hc)}, o...)
	c, err := confidential.New(authority, s.App().ClientID, cred, o...)
	if err != nil {
		t.Fatalf("MSAL client: %v", err)
	}
	return c
}

// msalCode takes MSAL's own authorize URL, adds what it leaves out, and signs a person in.
func msalCode(t *testing.T, b *http.Client, address, person string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatalf("authorize URL: %v", err)
	}
	q := u.Query()
	q.Set("scope", q.Get("scope")+" openid profile offline_access")
	q.Set("state", "s")
	q.Set("code_challenge", challengeOf(verifier))
	q.Set("code_challenge_method", "S256")
	u.RawQuery = q.Encode()
	return pick(t, b, u.String(), person).Query().Get("code")
}

func TestMSALSignsInRefreshesAndLearnsOfARevocation(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	ctx := t.Context()
	c := msalClient(t, s, s.Authority(), s.HTTPClient(), confidential.WithInstanceDiscovery(false), confidential.WithClientCapabilities([]string{"cp1"}))
	scopes := []string{"User.Read", "User.RevokeSessions.All"}
	address, err := c.AuthCodeURL(ctx, s.App().ClientID, redirectURI, scopes)
	if err != nil {
		t.Fatalf("AuthCodeURL: %v", err)
	}
	code := msalCode(t, browser(t, s), address, s.Cast().Helpdesk.ID)
	res, err := c.AcquireTokenByAuthCode(ctx, code, redirectURI, scopes, confidential.WithChallenge(verifier))
	if err != nil {
		t.Fatalf("AcquireTokenByAuthCode: %v", err)
	}
	if got, want := res.Account.HomeAccountID, s.Cast().Helpdesk.ID+"."+s.TenantID(); got != want {
		t.Errorf("home account id = %q, want %q", got, want)
	}
	if got := time.Until(res.ExpiresOn); got < 20*time.Hour || got > 28*time.Hour {
		t.Errorf("a CAE token lives %v, want 20 to 28 h", got)
	}
	if got := graph(t, s, res.AccessToken, "GET", "/me", ""); got.Status != http.StatusOK || got.JSON["id"] != s.Cast().Helpdesk.ID {
		t.Errorf("GET /me = %d %s", got.Status, got.Raw)
	}
	// A scope that is not cached makes MSAL redeem the refresh token.
	if _, err := c.AcquireTokenSilent(ctx, []string{"User.Read.All"}, confidential.WithSilentAccount(res.Account)); err != nil {
		t.Fatalf("AcquireTokenSilent: %v", err)
	}
	if err := s.Revoke(s.Cast().Helpdesk.ID); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
	_, err = c.AcquireTokenSilent(ctx, []string{"GroupMember.Read.All"}, confidential.WithSilentAccount(res.Account))
	var call msalerrors.CallErr
	if !errors.As(err, &call) || !strings.Contains(err.Error(), "AADSTS50173") {
		t.Errorf("after the revocation: %v, want AADSTS50173", err)
	}
	got := graph(t, s, res.AccessToken, "GET", "/me", "")
	if got.Status != http.StatusUnauthorized || !strings.Contains(got.Header.Get("WWW-Authenticate"), `error="insufficient_claims"`) {
		t.Errorf("Graph with the old token = %d %q, want a claims challenge", got.Status, got.Header.Get("WWW-Authenticate"))
	}
}

func TestDeclinedScopeOfflineAccessIsNotEchoed(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	k := signIn(t, s, browser(t, s), s.Cast().Nobody.ID)
	if got, want := k.Scope, "openid profile User.Read"; got != want {
		t.Errorf("scope = %q, want %q: Entra never echoes offline_access", got, want)
	}
	if k.RefreshToken == "" {
		t.Error("no refresh token though offline_access was asked for")
	}
}

func TestTokensCarryEntrasClaims(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	k := signIn(t, s, browser(t, s), s.Cast().Lead.ID)
	id := claims(t, k.IDToken)
	for name, want := range map[string]any{
		"iss": s.Authority() + "/v2.0", "aud": s.App().ClientID, "tid": s.TenantID(), "oid": s.Cast().Lead.ID, "nonce": "the-nonce",
		"preferred_username": s.Cast().Lead.UPN, "name": s.Cast().Lead.Name, "ver": "2.0",
	} {
		if id[name] != want {
			t.Errorf("id token %s = %v, want %v", name, id[name], want)
		}
	}
	if roles, _ := json.Marshal(id["roles"]); string(roles) != `["Evict.Lead","Evict.Responder"]` {
		t.Errorf("id token roles = %s", roles)
	}
	for _, name := range []string{"sub", "iat", "nbf", "exp", "auth_time", "sid", "uti"} {
		if id[name] == nil {
			t.Errorf("id token lacks %s", name)
		}
	}
	at := claims(t, k.AccessToken)
	for name, want := range map[string]any{
		"aud": "https://graph.microsoft.com", "tid": s.TenantID(), "oid": s.Cast().Lead.ID, "idtyp": "user", "upn": s.Cast().Lead.UPN,
		"appid": s.App().ClientID, "xms_cc": nil,
	} {
		if at[name] != want {
			t.Errorf("access token %s = %v, want %v", name, at[name], want)
		}
	}
	if wids, _ := json.Marshal(at["wids"]); !strings.Contains(string(wids), entrasim.RoleUserAdministrator) {
		t.Errorf("access token wids = %s, want User Administrator in it", wids)
	}
	if k.ExpiresIn < 3600 || k.ExpiresIn > 5400 {
		t.Errorf("expires_in = %d, want 60 to 90 min", k.ExpiresIn)
	}
}

func TestGrantsAreRefusedWithEntrasCodes(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now})
	cast := s.Cast()
	newCode := func(edit func(url.Values)) string {
		return pick(t, browser(t, s), authorizeURL(s, edit), cast.Victim.ID).Query().Get("code")
	}
	tests := []struct {
		name string
		do   func(t *testing.T) tokens
		want int
		err  string
	}{
		{"wrong secret", func(t *testing.T) tokens {
			f := codeForm(newCode(nil))
			f.Set("client_secret", "wrong")
			return token(t, s, f)
		}, 7000215, "invalid_client"},
		{"no secret", func(t *testing.T) tokens {
			f := codeForm(newCode(nil))
			f.Set("client_secret", "")
			return token(t, s, f)
		}, 7000218, "invalid_client"},
		{"unknown client", func(t *testing.T) tokens {
			f := codeForm(newCode(nil))
			f.Set("client_id", "11111111-1111-4111-8111-111111111111")
			return token(t, s, f)
		}, 700016, "unauthorized_client"},
		{"code used twice", func(t *testing.T) tokens {
			f := codeForm(newCode(nil))
			token(t, s, f)
			return token(t, s, f)
		}, 54005, "invalid_grant"},
		{"code that never was", func(t *testing.T) tokens { return token(t, s, codeForm("1.code-nope")) }, 70000, "invalid_grant"},
		{"another redirect address", func(t *testing.T) tokens {
			f := codeForm(newCode(nil))
			f.Set("redirect_uri", "http://localhost:8080/other")
			return token(t, s, f)
		}, 500112, "invalid_grant"},
		{"wrong verifier", func(t *testing.T) tokens {
			f := codeForm(newCode(nil))
			f.Set("code_verifier", strings.Repeat("x", 43))
			return token(t, s, f)
		}, 501481, "invalid_grant"},
		{"no verifier", func(t *testing.T) tokens {
			f := codeForm(newCode(nil))
			f.Del("code_verifier")
			return token(t, s, f)
		}, 50148, "invalid_grant"},
		{"verifier without challenge", func(t *testing.T) tokens {
			return token(t, s, codeForm(newCode(func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") })))
		}, 501481, "invalid_grant"},
		{"scope not consented", func(t *testing.T) tokens {
			f := codeForm(newCode(nil))
			f.Set("scope", "openid Directory.AccessAsUser.All")
			s.SetConsent("User.Read")
			defer s.SetConsent("User.Read", "Directory.AccessAsUser.All")
			return token(t, s, f)
		}, 65001, "invalid_grant"},
		{"scope that does not exist", func(t *testing.T) tokens {
			f := codeForm(newCode(nil))
			f.Set("scope", "openid Mail.Invented")
			return token(t, s, f)
		}, 70011, "invalid_scope"},
		{"unknown grant type", func(t *testing.T) tokens { return token(t, s, url.Values{"grant_type": {"password"}}) }, 70003, "unsupported_grant_type"},
		{"code too old", func(t *testing.T) tokens {
			f := codeForm(newCode(nil))
			at.Advance(11 * time.Minute)
			return token(t, s, f)
		}, 70008, "invalid_grant"},
		{"revoked refresh token", func(t *testing.T) tokens {
			k := signIn(t, s, browser(t, s), cast.Victim.ID)
			if err := s.Revoke(cast.Victim.ID); err != nil {
				t.Fatal(err)
			}
			return token(t, s, refreshForm(k.RefreshToken))
		}, 50173, "invalid_grant"},
		{"revoked code", func(t *testing.T) tokens {
			f := codeForm(newCode(nil))
			if err := s.Revoke(cast.Victim.ID); err != nil {
				t.Fatal(err)
			}
			return token(t, s, f)
		}, 50173, "invalid_grant"},
		{"disabled account", func(t *testing.T) tokens {
			k := signIn(t, s, browser(t, s), cast.ExchangeAdmin.ID)
			if err := s.SetEnabled(cast.ExchangeAdmin.ID, false); err != nil {
				t.Fatal(err)
			}
			return token(t, s, refreshForm(k.RefreshToken))
		}, 50057, "invalid_grant"},
		{"refresh token of 91 days", func(t *testing.T) tokens {
			k := signIn(t, s, browser(t, s), cast.Nobody.ID)
			at.Advance(91 * 24 * time.Hour)
			return token(t, s, refreshForm(k.RefreshToken))
		}, 700082, "invalid_grant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.do(t)
			if got.code() != tt.want || got.Error != tt.err {
				t.Errorf("got %s %v (%s), want %s %d", got.Error, got.Codes, got.Description, tt.err, tt.want)
			}
			for _, part := range []string{"AADSTS", "Trace ID: ", "Correlation ID: ", "Timestamp: "} {
				if !strings.Contains(got.Description, part) {
					t.Errorf("description %q lacks %q", got.Description, part)
				}
			}
		})
	}
}

func TestRefreshTokensRollAndOldOnesStayValid(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	first := signIn(t, s, browser(t, s), s.Cast().Victim.ID)
	second := token(t, s, refreshForm(first.RefreshToken))
	if second.RefreshToken == "" || second.RefreshToken == first.RefreshToken {
		t.Fatal("a refresh must give a new refresh token")
	}
	if again := token(t, s, refreshForm(first.RefreshToken)); again.Status != http.StatusOK {
		t.Errorf("the first refresh token = %s, want it to stay valid", again.Description)
	}
	if got, want := claims(t, second.IDToken)["auth_time"], claims(t, first.IDToken)["auth_time"]; got != want {
		t.Errorf("auth_time after a refresh = %v, want that of the sign-in, %v", got, want)
	}
}

func TestAuthorizeErrorsGoToAPageOrBackToTheClient(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	pages := map[string]func(url.Values){
		"AADSTS50011":  func(q url.Values) { q.Set("redirect_uri", "http://localhost:8080/evil") },
		"AADSTS700016": func(q url.Values) { q.Set("client_id", "nobody") },
		"AADSTS900144": func(q url.Values) { q.Del("client_id") },
	}
	for want, edit := range pages {
		status, body := page(t, browser(t, s), authorizeURL(s, edit))
		if status != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("status %d without %s on the page", status, want)
		}
	}
	redirects := []struct {
		error, aadsts string
		edit          func(url.Values)
	}{
		{"login_required", "AADSTS50058", func(q url.Values) { q.Set("prompt", "none") }},
		{"unsupported_response_type", "AADSTS700054", func(q url.Values) { q.Set("response_type", "id_token") }},
		{"invalid_scope", "AADSTS70011", func(q url.Values) { q.Set("scope", "openid Nonsense.All") }},
		{"invalid_request", "AADSTS501492", func(q url.Values) { q.Set("code_challenge_method", "S512") }},
		{"invalid_request", "AADSTS501491", func(q url.Values) { q.Set("code_challenge", "short") }},
		{"invalid_request", "AADSTS9000411", func(q url.Values) { q.Set("claims", "{") }},
		{"invalid_request", "AADSTS90023", func(q url.Values) { q.Set("prompt", "dance") }},
	}
	for _, tt := range redirects {
		back := location(t, send(t, browser(t, s), http.MethodGet, authorizeURL(s, tt.edit), nil)).Query()
		if back.Get("error") != tt.error || !strings.Contains(back.Get("error_description"), tt.aadsts) || back.Get("state") != "the-state" {
			t.Errorf("redirect = %v, want %s %s with the state", back, tt.error, tt.aadsts)
		}
	}
}

func TestBrowserSessionMakesTheSecondSignInSilentUntilRevoked(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	b := browser(t, s)
	signIn(t, s, b, s.Cast().Helpdesk.ID)
	silent := func(edit func(url.Values)) url.Values {
		return location(t, send(t, b, http.MethodGet, authorizeURL(s, func(q url.Values) {
			q.Set("prompt", "none")
			if edit != nil {
				edit(q)
			}
		}), nil)).Query()
	}
	if silent(nil).Get("code") == "" {
		t.Error("prompt=none with a session gave no code")
	}
	if got := silent(func(q url.Values) { q.Set("login_hint", "somebody@else.example") }).Get("error"); got != "login_required" {
		t.Errorf("prompt=none for another person = %q, want login_required", got)
	}
	for _, prompt := range []string{"login", "select_account"} {
		status, body := page(t, b, authorizeURL(s, func(q url.Values) { q.Set("prompt", prompt) }))
		if status != http.StatusOK || !strings.Contains(body, "Choose who signs in") {
			t.Errorf("prompt=%s did not offer accounts (status %d)", prompt, status)
		}
	}
	if err := s.Revoke(s.Cast().Helpdesk.ID); err != nil {
		t.Fatal(err)
	}
	if got := silent(nil).Get("error"); got != "login_required" {
		t.Errorf("prompt=none after a revocation = %q, want login_required", got)
	}
}

func TestClaimsChallengeNeedsANewerSession(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now})
	b := browser(t, s)
	signIn(t, s, b, s.Cast().Lead.ID)
	cut := strconv.FormatInt(at.Now().Add(time.Hour).Unix(), 10)
	challenge := func(q url.Values) {
		q.Set("claims", `{"access_token":{"nbf":{"essential":true,"value":"`+cut+`"},"xms_cc":{"values":["CP1"]}}}`)
	}
	status, body := page(t, b, authorizeURL(s, challenge))
	if status != http.StatusOK || !strings.Contains(body, "Choose who signs in") {
		t.Errorf("an old session answered a challenge silently (status %d)", status)
	}
	at.Advance(2 * time.Hour)
	back := pick(t, b, authorizeURL(s, challenge), s.Cast().Lead.ID)
	k := token(t, s, codeForm(back.Query().Get("code")))
	if cc, _ := json.Marshal(claims(t, k.AccessToken)["xms_cc"]); string(cc) != `["cp1"]` {
		t.Errorf("xms_cc = %s, want cp1: capability names have no case", cc)
	}
}

func TestAccountsPageWorksWithoutScriptAndSaysItIsSimulated(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	resp := send(t, browser(t, s), http.MethodGet, authorizeURL(s, func(q url.Values) { q.Set("sim_q", "hart") }), nil)
	csp := resp.Header.Get("Content-Security-Policy")
	if strings.Contains(csp, "unsafe") || !strings.Contains(csp, "form-action 'self' http://localhost:8080") {
		t.Errorf("CSP = %q", csp)
	}
	_, body := page(t, browser(t, s), authorizeURL(s, func(q url.Values) { q.Set("sim_q", "hart") }))
	for _, want := range []string{"SIMULATED sign-in", "no password, nothing here is real", s.Cast().Victim.Name, "Helpdesk Administrator", "Evict.Responder"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(body, "style=") || strings.Contains(body, "<script>") {
		t.Error("the page has an inline style or script")
	}
}

func TestAccountChoiceFromAnotherSiteIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	form := url.Values{"sim_account": {s.Cast().Admin.ID}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, authorizeURL(s, nil), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := browser(t, s).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status = %d, want 400", resp.StatusCode)
	}
}

func TestFormPostModeReturnsAForm(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	resp := send(t, browser(t, s), http.MethodPost, authorizeURL(s, func(q url.Values) { q.Set("response_mode", "form_post") }),
		url.Values{"sim_account": {s.Cast().Lead.ID}})
	if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "http://localhost:8080") {
		t.Errorf("status %d, CSP %q", resp.StatusCode, resp.Header.Get("Content-Security-Policy"))
	}
}

func TestSignOutReturnsOnlyToRegisteredAddresses(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	b := browser(t, s)
	signIn(t, s, b, s.Cast().Lead.ID)
	base := s.BrowserURL() + "/" + s.TenantID() + "/oauth2/v2.0/logout?post_logout_redirect_uri="
	if status, _ := page(t, b, base+url.QueryEscape("https://evil.example/")); status != http.StatusOK {
		t.Errorf("sign-out to a stranger = %d, want a page", status)
	}
	if got := location(t, send(t, b, http.MethodGet, base+url.QueryEscape(redirectURI), nil)).String(); got != redirectURI {
		t.Errorf("sign-out went to %q", got)
	}
	back := location(t, send(t, b, http.MethodGet, authorizeURL(s, func(q url.Values) { q.Set("prompt", "none") }), nil))
	if got := back.Query().Get("error"); got != "login_required" {
		t.Errorf("the session outlived the sign-out: %q", got)
	}
}

func TestClientCredentialsGiveAnApplicationToken(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{App: entrasim.AppRegistration{AppPermissions: []string{"User.Read.All"}}})
	k := token(t, s, url.Values{"grant_type": {"client_credentials"}, "scope": {"https://graph.microsoft.com/.default"}})
	if k.Status != http.StatusOK {
		t.Fatalf("refused: %s", k.Description)
	}
	c := claims(t, k.AccessToken)
	if c["idtyp"] != "app" || c["scp"] != nil {
		t.Errorf("idtyp %v, scp %v", c["idtyp"], c["scp"])
	}
	if got := graph(t, s, k.AccessToken, "GET", "/users?$top=1", ""); got.Status != http.StatusOK {
		t.Errorf("GET /users as an application = %d", got.Status)
	}
	if got := graph(t, s, k.AccessToken, "GET", "/me", ""); got.Status != http.StatusBadRequest {
		t.Errorf("GET /me as an application = %d, want 400", got.Status)
	}
	if bad := token(t, s, url.Values{"grant_type": {"client_credentials"}, "scope": {"User.Read"}}); bad.code() != 1002012 {
		t.Errorf("a delegated scope = %v, want AADSTS1002012", bad.Codes)
	}
}

func TestClientInfoIsWhatMSALReads(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	back := pick(t, browser(t, s), authorizeURL(s, nil), s.Cast().Lead.ID)
	f := codeForm(back.Query().Get("code"))
	f.Set("client_info", "1")
	f.Set("client_id", s.App().ClientID)
	f.Set("client_secret", s.App().Secret)
	resp := send(t, s.HTTPClient(), http.MethodPost, s.Authority()+"/oauth2/v2.0/token", f)
	var got struct {
		ClientInfo string `json:"client_info"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(got.ClientInfo)
	if want := `{"uid":"` + s.Cast().Lead.ID + `","utid":"` + s.TenantID() + `"}`; err != nil || string(raw) != want {
		t.Errorf("client_info = %s (%v), want %s", raw, err, want)
	}
}

func TestHelpersIssueTokensAndSignInWithoutABrowser(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	lead := s.Cast().Lead
	k, err := s.IssueTokens(lead.UPN, entrasim.TokenOptions{Scopes: []string{"User.Read"}, CP1: true})
	must(t, err)
	if got := graph(t, s, k.AccessToken, "GET", "/me", ""); got.JSON["id"] != lead.ID {
		t.Errorf("issued token: %d %s", got.Status, got.Raw)
	}
	if got := claims(t, k.IDToken)["iss"]; got != s.Authority()+"/v2.0" {
		t.Errorf("issuer = %v", got)
	}
	must(t, s.Revoke(lead.ID))
	if got := token(t, s, refreshForm(k.RefreshToken)).code(); got != 50173 {
		t.Errorf("refresh after a revocation = %d", got)
	}
	back, err := s.SignIn(t.Context(), authorizeURL(s, nil), lead.ID)
	must(t, err)
	u, err := url.Parse(back)
	must(t, err)
	if k := token(t, s, codeForm(u.Query().Get("code"))); k.Status != http.StatusOK {
		t.Errorf("code from SignIn: %s", k.Description)
	}
	if _, err := s.SignIn(t.Context(), authorizeURL(s, nil), "nobody@nowhere.example"); err == nil {
		t.Error("a stranger signed in")
	}
}
