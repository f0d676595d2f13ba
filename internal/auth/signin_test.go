package auth_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/fault"
)

func TestSignInMakesASessionThatYieldsDelegatedTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	f := r.signIn(t, b, alice, auth.BeginOptions{ReturnTo: "/users/42?tab=a"})
	if f.ReturnTo != "/users/42?tab=a" || !f.New || f.Operator.OID != aliceID || !f.Operator.Acts() {
		t.Errorf("got %+v", f)
	}
	s := r.session(t, b)
	if got := s.Operator(); got.UPN != alice.UPN || got.TID != tenantID {
		t.Errorf("got operator %+v", got)
	}
	tok, err := s.Tokens().Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tok.Bearer() == "" || time.Until(tok.Expires) < 30*time.Minute {
		t.Errorf("got token until %v", tok.Expires)
	}
	if got := r.store.kinds(); !slices.Equal(got, []audit.Kind{audit.SignedIn}) {
		t.Errorf("got events %v", got)
	}
	if e := r.store.events[0]; e.Operator.OID != aliceID || e.Tenant != tenantID || e.Operator.Address != "192.0.2.1" {
		t.Errorf("got event %+v, operator %+v", e, e.Operator)
	}
}

func TestAuthorizeRequestCarriesWhatMSALLeavesOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	q, address, err := r.browser().begin(auth.BeginOptions{
		Claims: `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`, Scopes: []string{"AuditLog.Read.All"},
		Prompt: "login", LoginHint: "alice@contoso.example",
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(address, r.op.server.URL+"/") {
		t.Errorf("got address %q", address)
	}
	want := map[string]string{
		"response_type": "code", "response_mode": "query", "code_challenge_method": "S256", "redirect_uri": redirect,
		"prompt": "login", "login_hint": "alice@contoso.example", "client_id": clientID,
		"scope": "openid profile offline_access https://graph.microsoft.com/User.Read https://graph.microsoft.com/AuditLog.Read.All",
	}
	for k, v := range want {
		if q.Get(k) != v {
			t.Errorf("%s: got %q, want %q", k, q.Get(k), v)
		}
	}
	if len(q.Get("state")) < 30 || len(q.Get("nonce")) < 30 || len(q.Get("code_challenge")) != 43 {
		t.Errorf("state, nonce or challenge are too short: %v", q)
	}
	if c := q.Get("claims"); !strings.Contains(c, "cp1") || !strings.Contains(c, "1604106651") {
		t.Errorf("got claims %q, want the capability and the challenge", c)
	}
}

func TestClaimsChallengeGoesToTheTokenRequestAndComesBackToThePage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	f := r.signIn(t, b, alice, auth.BeginOptions{ReturnTo: "/users/7", Claims: `{"access_token":{"a":{"value":"b"}}}`})
	if f.ReturnTo != "/users/7" {
		t.Errorf("got return path %q", f.ReturnTo)
	}
	if c := r.op.forms[0].Get("claims"); !strings.Contains(c, "cp1") || !strings.Contains(c, `"value":"b"`) {
		t.Errorf("got claims %q", c)
	}
}

func TestBeginRefusesWhatItCannotPassOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, o := range map[string]auth.BeginOptions{
		"claims are no JSON":     {Claims: "eyJhIjoxfQ"},
		"claims are an array":    {Claims: "[1]"},
		"claims are null":        {Claims: "null"},
		"claims are long":        {Claims: `{"a":"` + strings.Repeat("x", 2000) + `"}`},
		"scope of another":       {Scopes: []string{"https://vault.azure.net/.default"}},
		"scope .default":         {Scopes: []string{".default"}},
		"scope with a space":     {Scopes: []string{"User.Read Mail.Read"}},
		"unknown prompt":         {Prompt: "none"},
		"login hint is too long": {LoginHint: strings.Repeat("x", 400)},
	} {
		if _, _, err := r.browser().begin(o); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestStrangersCallbackWritesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	q, _, err := b.begin(auth.BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	good := r.op.authorize(q, alice)
	for name, try := range map[string]func() error{
		"no state":    func() error { _, err := b.finish(url.Values{"code": good["code"]}); return err },
		"wrong state": func() error { _, err := b.finish(url.Values{"code": good["code"], "state": {"x"}}); return err },
		"two states": func() error {
			_, err := b.finish(url.Values{"code": good["code"], "state": {q.Get("state"), "x"}})
			return err
		},
		"no cookie":       func() error { _, err := r.browser().finish(good); return err },
		"other's browser": func() error { o := r.browser(); o.begin(auth.BeginOptions{}); _, err := o.finish(good); return err },
		"only an error":   func() error { _, err := r.browser().finish(url.Values{"error": {"access_denied"}}); return err },
	} {
		wantKind(t, try(), fault.Invalid)
		if rows, writes := r.store.count(); rows != 0 || writes != 0 {
			t.Errorf("%s: got %d rows and %d writes", name, rows, writes)
		}
	}
	if n := r.op.requests("authorization_code"); n != 0 {
		t.Errorf("got %d token requests", n)
	}
	if _, err := b.finish(good); err != nil {
		t.Errorf("the real callback: %v", err)
	}
}

func TestPendingSignInIsUsedOnceEvenWithACopyOfTheCookie(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	q, _, _ := b.begin(auth.BeginOptions{})
	copied := b.clone()
	if _, err := b.finish(r.op.authorize(q, alice)); err != nil {
		t.Fatal(err)
	}
	_, err := b.finish(r.op.authorize(q, alice))
	wantKind(t, err, fault.Invalid)
	_, err = copied.finish(r.op.authorize(q, alice))
	wantKind(t, err, fault.Invalid)
}

func TestPendingSignInEndsAfterTenMinutes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	q, _, _ := b.begin(auth.BeginOptions{})
	r.clock.Add(10 * time.Minute)
	_, err := b.finish(r.op.authorize(q, alice))
	wantKind(t, err, fault.Invalid)
}

func TestSixthPendingSignInEvictsTheOldest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	var began []url.Values
	for range 6 {
		q, _, err := b.begin(auth.BeginOptions{})
		if err != nil {
			t.Fatal(err)
		}
		began = append(began, q)
	}
	_, err := b.finish(r.op.authorize(began[0], alice))
	wantKind(t, err, fault.Invalid)
	for _, q := range []url.Values{began[5], began[1]} {
		if _, err := b.finish(r.op.authorize(q, alice)); err != nil {
			t.Errorf("a later one: %v", err)
		}
	}
}

func TestPendingCookieFitsIntoABrowser(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	o := auth.BeginOptions{ReturnTo: "/search?q=" + strings.Repeat("a", 480), Claims: `{"a":"` + strings.Repeat("x", 1000) + `"}`}
	var q url.Values
	for range 5 {
		var err error
		if q, _, err = b.begin(o); err != nil {
			t.Fatal(err)
		}
		for _, c := range b.last {
			if n := len(c.String()); n > 4096 {
				t.Fatalf("the cookie has %d bytes", n)
			}
		}
	}
	if _, err := b.finish(r.op.authorize(q, alice)); err != nil {
		t.Errorf("the newest: %v", err)
	}
}

func TestAnswersThatDoNotFitAreRefusedAndRecorded(t *testing.T) {
	t.Parallel()
	claim := func(k string, v any) func(*fakeOP) {
		return func(op *fakeOP) { op.idToken = func(c map[string]any) { c[k] = v } }
	}
	access := func(k string, v any) func(*fakeOP) {
		return func(op *fakeOP) { op.access = func(c map[string]any) { c[k] = v } }
	}
	for name, f := range map[string]func(*fakeOP){
		"another nonce":              claim("nonce", "x"),
		"no nonce":                   claim("nonce", ""),
		"another tenant":             claim("tid", "9f2d0a4e-1111-4c3b-9d55-0a6b6c7d8e9f"),
		"another issuer":             claim("iss", "https://login.microsoftonline.com/x/v2.0"),
		"another audience":           claim("aud", "other"),
		"expired":                    claim("exp", time.Now().Add(-time.Hour).Unix()),
		"no object id":               claim("oid", ""),
		"object id is no GUID":       claim("oid", "alice"),
		"signed by a stranger":       func(op *fakeOP) { op.badKeys = true },
		"app-only token":             access("idtyp", "app"),
		"token without scopes":       access("scp", ""),
		"token of another person":    access("oid", bobID),
		"token of another tenant":    access("tid", bobID),
		"cache names another person": claim("oid", bobID),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.op.set(f)
			b := r.browser()
			_, err := r.trySignIn(t, b, alice, auth.BeginOptions{})
			wantKind(t, err, fault.Unauthenticated)
			if rows, _ := r.store.count(); rows != 0 {
				t.Errorf("got %d sessions", rows)
			}
			if got := r.store.kinds(); !slices.Equal(got, []audit.Kind{audit.SignInFailed}) {
				t.Errorf("got events %v", got)
			}
		})
	}
}

func TestMicrosoftsRefusalIsShownInOurWordsWithItsNumber(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		oauth, description string
		kind               fault.Kind
		message            string
	}{
		{"access_denied", "AADSTS50105: <b>call 555-0100</b>", fault.Forbidden, "Your account is not assigned to this console. (AADSTS50105)"},
		{"access_denied", "", fault.Unauthenticated, "The sign-in was cancelled."},
		{"server_error", "AADSTS99999: x", fault.Unauthenticated, "Microsoft did not complete the sign-in. (AADSTS99999)"},
	} {
		b := r.browser()
		q, _, _ := b.begin(auth.BeginOptions{})
		_, err := b.finish(url.Values{"state": q["state"], "error": {c.oauth}, "error_description": {c.description}})
		wantKind(t, err, c.kind)
		if f, _ := errors.AsType[*fault.Error](err); f.Message != c.message {
			t.Errorf("got %q, want %q", f.Message, c.message)
		}
		if e := r.store.events[len(r.store.events)-1]; e.Kind != audit.SignInFailed || strings.Contains(e.Evidence.Message, "555") {
			t.Errorf("got event %+v", e)
		}
	}
}

func TestPersonWithoutAConsoleRoleGetsASessionButNoTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, nemo, auth.BeginOptions{Scopes: []string{"AuditLog.Read.All"}})
	if got := last(r.store.kinds()); got != audit.SignInDenied {
		t.Errorf("got event %q", got)
	}
	r.store.edit(func(row *auth.SessionRow) {
		if row.Cache != nil {
			t.Error("a token cache is kept")
		}
	})
	s := r.session(t, b)
	if len(s.Operator().Roles) != 0 {
		t.Errorf("got roles %v", s.Operator().Roles)
	}
	_, err := s.Tokens().Token(t.Context())
	wantKind(t, err, fault.Forbidden)
}

func TestPersonWhoOnlyReadsKeepsNoCacheUnlessAPermissionWasAskedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	f := r.signIn(t, b, audi, auth.BeginOptions{})
	if _, err := f.Tokens.Token(t.Context()); err != nil {
		t.Errorf("tokens of the callback itself: %v", err)
	}
	_, err := r.session(t, b).Tokens("User.RevokeSessions.All").Token(t.Context())
	re := wantReauth(t, err, "")
	if !slices.Contains(re.Scopes, "User.RevokeSessions.All") {
		t.Errorf("got scopes %v", re.Scopes)
	}
	r.signIn(t, b, audi, auth.BeginOptions{Scopes: re.Scopes})
	if _, err := r.session(t, b).Tokens("User.RevokeSessions.All").Token(t.Context()); err != nil {
		t.Errorf("after the permission was asked for: %v", err)
	}
}

func TestNewSignInGetsANewIDAndEndsTheOldSession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	old := b.clone()
	f := r.signIn(t, b, alice, auth.BeginOptions{})
	if f.New {
		t.Error("a second sign-in of the same person counts as new")
	}
	if b.cookies["__Host-evict"] == old.cookies["__Host-evict"] {
		t.Error("the cookie stayed the same")
	}
	_, err := old.load(false)
	wantKind(t, err, fault.Unauthenticated)
	if rows, _ := r.store.count(); rows != 1 {
		t.Errorf("got %d sessions", rows)
	}
}

func TestCookiesAreAsStrictAsTheyCanBe(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, r *rig, session, pending string, secure bool) {
		b := r.browser()
		r.signIn(t, b, alice, auth.BeginOptions{})
		if len(b.last) != 2 {
			t.Fatalf("got cookies %v", b.last)
		}
		for _, c := range b.last {
			if !c.HttpOnly || c.Secure != secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("got %v", c)
			}
			if c.Name != session && c.Name != pending {
				t.Errorf("got name %q", c.Name)
			}
		}
	}
	check(t, newRig(t), "__Host-evict", "__Host-evict-signin", true)
	check(t, newRig(t, func(o *auth.Options) { o.RedirectURL = "http://localhost:8080/auth/callback" }),
		"evict-rehearsal", "evict-rehearsal-signin", false)
}

func TestNewRefusesOptionsThatAreNotSafe(t *testing.T) {
	t.Parallel()
	good := func() auth.Options {
		cloud, _ := auth.CloudByName("public")
		cred, _ := auth.SecretCredential("x")
		return auth.Options{
			Cloud: cloud, TenantID: tenantID, ClientID: clientID, Credential: cred, RedirectURL: redirect,
			Keys: sealKeys(t, "k"), Store: newMemStore(), Match: knownPath,
		}
	}
	if _, err := auth.New(good()); err != nil {
		t.Fatalf("New needs more than it says: %v", err)
	}
	for name, f := range map[string]func(*auth.Options){
		"tenant is a domain":        func(o *auth.Options) { o.TenantID = "contoso.com" },
		"tenant is common":          func(o *auth.Options) { o.TenantID = "common" },
		"no client":                 func(o *auth.Options) { o.ClientID = "" },
		"no credential":             func(o *auth.Options) { o.Credential = auth.Credential{} },
		"plain http":                func(o *auth.Options) { o.RedirectURL = "http://evict.example.com/auth/callback" },
		"relative":                  func(o *auth.Options) { o.RedirectURL = "/auth/callback" },
		"no keys":                   func(o *auth.Options) { o.Keys = nil },
		"no store":                  func(o *auth.Options) { o.Store = nil },
		"no router":                 func(o *auth.Options) { o.Match = nil },
		"no cloud":                  func(o *auth.Options) { o.Cloud = auth.Cloud{} },
		"cloud with another login":  func(o *auth.Options) { o.Cloud.LoginHost = "login.example.com" },
		"cloud with another graph":  func(o *auth.Options) { o.Cloud.GraphBase = "https://graph.example.com/v1.0" },
		"simulator off the machine": func(o *auth.Options) { o.Cloud.Name, o.Cloud.LoginHost = "simulator", "10.0.0.1:443" },
	} {
		o := good()
		f(&o)
		if _, err := auth.New(o); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestObjectIDMustBeAGUIDEvenIfEverythingAgreesOnIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.trySignIn(t, r.browser(), person{OID: "alice", UPN: "alice@contoso.example"}, auth.BeginOptions{})
	wantKind(t, err, fault.Unauthenticated)
}
