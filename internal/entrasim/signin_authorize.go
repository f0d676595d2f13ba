package entrasim

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const ssoCookie = "entrasim_sso"

// authRequest is a validated request to the authorize endpoint.
type authRequest struct {
	app                            *app
	redirectURI, mode, state       string
	nonce, challenge, method       string
	prompt, loginHint, correlation string
	scopes                         scopeRequest
	cp1                            bool
	notBefore                      time.Time // a claims challenge: the session must be newer
	query                          url.Values
	path                           string
}

// authorize answers GET with the page that offers accounts, or at once when a browser session is enough, and POST with
// the choice of an account.
func (s *Sim) authorize(w http.ResponseWriter, r *http.Request) {
	if _, e := s.tenantFor(r.PathValue("tenant")); e != nil {
		s.signInErrorPage(w, r, e)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.signInErrorPage(w, r, aadErr(errInvalidRequest, 9002313, "Invalid request. Request is malformed or invalid."))
		return
	}
	q, forPage, forClient := s.readAuthorize(r)
	if forPage != nil {
		s.signInErrorPage(w, r, forPage)
		return
	}
	if forClient != nil {
		s.redirectError(w, r, q, forClient)
		return
	}
	if r.Method == http.MethodPost && r.PostForm.Has("sim_account") {
		s.pickAccount(w, r, q)
		return
	}
	s.offerAccounts(w, r, q)
}

// readAuthorize reads the request. An error is either for a page or for the client.
func (s *Sim) readAuthorize(r *http.Request) (q *authRequest, forPage, forClient *aadError) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if q, forPage = s.checkTarget(r); forPage != nil {
		return nil, forPage, nil
	}
	return q, nil, s.checkRequest(q)
}

// checkTarget finds out whether an error may be sent back to the client at all: an unknown client or an unregistered
// address gets a page and never a redirect.
func (s *Sim) checkTarget(r *http.Request) (*authRequest, *aadError) {
	v := r.Form
	if r.URL.Query().Has("client_id") {
		v = r.URL.Query()
	}
	id := v.Get("client_id")
	if id == "" {
		return nil, aadErr(errInvalidRequest, 900144, "The request body must contain the following parameter: 'client_id'.")
	}
	a := s.findApp(id)
	if a == nil {
		return nil, unknownApp(id, s.tenant.name)
	}
	uri := v.Get("redirect_uri")
	if !a.allowsRedirect(uri) {
		return nil, aadErr(errInvalidRequest, 50011, fmt.Sprintf("The redirect URI '%s' specified in the request does not match the redirect URIs configured for the application '%s'.", clip(uri), a.ClientID))
	}
	q := &authRequest{
		app: a, redirectURI: uri, mode: v.Get("response_mode"), state: v.Get("state"), nonce: v.Get("nonce"),
		challenge: v.Get("code_challenge"), method: v.Get("code_challenge_method"), prompt: v.Get("prompt"),
		loginHint: v.Get("login_hint"), correlation: v.Get("client-request-id"), query: v, path: r.URL.Path,
	}
	if q.mode == "" {
		q.mode = "query"
	}
	return q, nil
}

func (s *Sim) checkRequest(q *authRequest) *aadError {
	if q.mode != "query" && q.mode != "form_post" && q.mode != "fragment" {
		q.mode = "query"
		return aadErr(errInvalidRequest, 70007, "The response_mode parameter value is not supported.")
	}
	switch t := q.query.Get("response_type"); t {
	case "code":
	case "":
		return aadErr(errInvalidRequest, 900144, "The request body must contain the following parameter: 'response_type'.")
	default:
		return aadErr(errUnsupportedType, 700054, "response_type '"+clip(t)+"' is not enabled for the application.")
	}
	q.scopes = parseScopes(q.query.Get("scope"), s.ownHosts())
	if len(q.scopes.asked) == 0 {
		return aadErr(errInvalidRequest, 900144, "The request body must contain the following parameter: 'scope'.")
	}
	if e := s.checkScopes(q.app, q.scopes); e != nil {
		if e.code == 65001 {
			e.name = errConsent
		}
		return e
	}
	if e := q.checkPKCE(); e != nil {
		return e
	}
	return q.checkClaims()
}

func (q *authRequest) checkPKCE() *aadError {
	if q.challenge == "" {
		if q.method != "" {
			return aadErr(errInvalidRequest, 501491, "Invalid size of Code_Challenge parameter.")
		}
		return nil
	}
	if q.method == "" {
		q.method = "plain" // RFC 7636, section 4.3
	}
	if q.method != "plain" && q.method != "S256" {
		return aadErr(errInvalidRequest, 501492, "Invalid Code_Challenge_method parameter. Supported values are plain and S256.")
	}
	if len(q.challenge) < 43 || len(q.challenge) > 128 {
		return aadErr(errInvalidRequest, 501491, "Invalid size of Code_Challenge parameter.")
	}
	return nil
}

func (q *authRequest) checkClaims() *aadError {
	v := q.query.Get("claims")
	c, ok := parseClaims(v)
	if !ok {
		return aadErr(errInvalidRequest, 9000411, "The request is not properly formatted. The parameter 'claims' is not valid JSON.")
	}
	q.cp1 = asksCP1(v)
	if nbf := c.AccessToken["nbf"]; nbf != nil {
		if n, err := strconv.ParseInt(nbf.Value, 10, 64); err == nil {
			q.notBefore = time.Unix(n, 0)
		}
	}
	return nil
}

// session returns the browser's session, if it is alive and new enough for what was asked.
func (s *Sim) session(r *http.Request, q *authRequest) *grant {
	c, err := r.Cookie(ssoCookie)
	if err != nil {
		return nil
	}
	g := s.grants.get(c.Value, ssoGrant)
	if g == nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.refusal(g) != nil || g.issuedGraph.Before(q.notBefore) {
		return nil
	}
	return g
}

func (s *Sim) offerAccounts(w http.ResponseWriter, r *http.Request, q *authRequest) {
	sso := s.session(r, q)
	hinted := q.loginHint == "" || (sso != nil && strings.EqualFold(q.loginHint, sso.user.upn))
	prompts := strings.Fields(q.prompt)
	ask := false
	for _, p := range prompts {
		switch p {
		case "none":
			if sso == nil || !hinted {
				s.redirectError(w, r, q, aadErr(errLogin, 50058, "A silent sign-in request was sent but no user is signed in."))
				return
			}
		case "login", "select_account", "consent", "create":
			ask = true
		default:
			s.redirectError(w, r, q, aadErr(errInvalidRequest, 90023, "Unsupported 'prompt' value."))
			return
		}
	}
	if sso != nil && hinted && !ask && !r.URL.Query().Has("sim_q") {
		s.finish(w, r, q, sso)
		return
	}
	s.accountsPage(w, r, q, sso)
}

// pickAccount signs a person in without a password: that is what the simulator is for.
func (s *Sim) pickAccount(w http.ResponseWriter, r *http.Request, q *authRequest) {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		s.signInErrorPage(w, r, aadErr(errInvalidRequest, 900561, "The choice of an account came from another site."))
		return
	}
	s.mu.Lock()
	u := s.tenant.findUser(r.PostForm.Get("sim_account"))
	var e *aadError
	switch {
	case u == nil:
		e = aadErr(errInvalidRequest, 50034, "The user account does not exist in the directory.")
	case !u.enabled:
		e = aadErr(errInvalidRequest, 50057, "The user account is disabled.")
		s.tenant.addSignIn(u, q.app, s.graphNow(), clientAddress(r), e)
	}
	if e != nil {
		s.mu.Unlock()
		s.signInErrorPage(w, r, e)
		return
	}
	g := s.newGrant(ssoGrant, u, ssoLife)
	g.sid = uuid.NewString()
	s.tenant.addSignIn(u, q.app, s.graphNow(), clientAddress(r), nil)
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: ssoCookie, Value: s.grants.put("sso-", g, s.now()), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil, MaxAge: int(ssoLife / time.Second),
	})
	s.finish(w, r, q, g)
}

// finish sends the browser back with a code.
func (s *Sim) finish(w http.ResponseWriter, r *http.Request, q *authRequest, sso *grant) {
	g := s.newGrant(codeGrant, sso.user, codeLife)
	g.clientID, g.redirectURI, g.scopes, g.nonce = q.app.ClientID, q.redirectURI, q.scopes, q.nonce
	g.challenge, g.method, g.cp1, g.sid, g.authTime = q.challenge, q.method, q.cp1, sso.sid, sso.authTime
	s.reply(w, r, q, url.Values{"code": {s.grants.put("1.code-", g, s.now())}, "session_state": {sso.sid}})
}

func (s *Sim) redirectError(w http.ResponseWriter, r *http.Request, q *authRequest, e *aadError) {
	correlation := q.correlation
	if !isGUID(correlation) {
		correlation = uuid.NewString()
	}
	v := url.Values{"error": {e.name}, "error_description": {e.description(uuid.NewString(), correlation, s.now())}}
	if e.suberror != "" {
		v.Set("error_subcode", e.suberror)
	}
	s.reply(w, r, q, v)
}

// reply returns to the registered address by the asked response mode.
func (s *Sim) reply(w http.ResponseWriter, r *http.Request, q *authRequest, v url.Values) {
	if q.state != "" {
		v.Set("state", q.state)
	}
	if q.mode == "form_post" {
		s.formPostPage(w, r, q, v)
		return
	}
	target, err := url.Parse(q.redirectURI)
	if err != nil {
		s.signInErrorPage(w, r, aadErr(errInvalidRequest, 50011, "The redirect URI is not valid."))
		return
	}
	if q.mode == "fragment" {
		target.Fragment = ""
		w.Header().Set("Location", target.String()+"#"+v.Encode())
	} else {
		have := target.Query()
		for k, vals := range v {
			have[k] = vals
		}
		target.RawQuery = have.Encode()
		w.Header().Set("Location", target.String())
	}
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusFound
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther
	}
	w.WriteHeader(status)
}

// addSignIn writes a row of the sign-in log. Callers hold s.mu for writing.
func (t *tenant) addSignIn(u *user, a *app, at time.Time, address string, e *aadError) {
	row := &signInEntry{
		id: t.auditIDs.next(), correlation: t.auditIDs.next(), appID: a.ClientID, app: a.Name, at: at, user: u,
		address: address, client: "Browser",
	}
	if e != nil {
		row.errorCode, row.failure = e.code, e.text
	} else {
		u.lastInteractive = at.Unix()
		u.lastSignIn = max(u.lastSignIn, u.lastInteractive)
	}
	t.signIns = append(t.signIns, row)
	if len(t.signIns) > 40_000 {
		t.signIns = append([]*signInEntry(nil), t.signIns[len(t.signIns)-20_000:]...)
	}
}

func (s *Sim) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(ssoCookie); err == nil {
		s.grants.drop(c.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: ssoCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	target := r.URL.Query().Get("post_logout_redirect_uri")
	if target == "" || !s.anyAppAllows(target) {
		s.signedOutPage(w, r)
		return
	}
	u, err := url.Parse(target)
	if err != nil {
		s.signedOutPage(w, r)
		return
	}
	if state := r.URL.Query().Get("state"); state != "" {
		v := u.Query()
		v.Set("state", state)
		u.RawQuery = v.Encode()
	}
	http.Redirect(w, r, u.String(), http.StatusFound)
}

func (s *Sim) anyAppAllows(target string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, a := range s.apps {
		if a.allowsPostLogout(target) {
			return true
		}
	}
	return false
}
