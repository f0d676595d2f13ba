package entrasim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

const maxForm = 256 << 10

// tokenReply is the answer of the token endpoint. Numbers are numbers, as version 2.0 writes them.
type tokenReply struct {
	TokenType    string `json:"token_type"`
	Scope        string `json:"scope,omitempty"`
	ExpiresIn    int64  `json:"expires_in"`
	ExtExpiresIn int64  `json:"ext_expires_in"`
	RefreshIn    int64  `json:"refresh_in,omitempty"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	ClientInfo   string `json:"client_info,omitempty"`
}

// tokenCall is one request to the token endpoint.
type tokenCall struct {
	form   url.Values
	at     endpoints
	issuer string
	app    *app
	cp1    bool
}

func (s *Sim) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.Header().Set("Pragma", "no-cache")
	seg, e := s.tenantFor(r.PathValue("tenant"))
	if e != nil {
		s.tokenError(w, r, e)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.tokenError(w, r, aadErr(errInvalidRequest, 9002313, "Invalid request. Request is malformed or invalid."))
		return
	}
	at := s.endpointsFor(r)
	c := &tokenCall{form: r.PostForm, at: at, issuer: at.login + "/" + s.tenant.id + "/v2.0", cp1: asksCP1(r.PostForm.Get("claims"))}
	if !s.tokenFault(w, r) {
		return
	}
	reply, e := s.issue(c, at.login+"/"+seg+"/oauth2/v2.0/token")
	if e != nil {
		s.log.Debug("token refused", "code", e.code, "grant", c.form.Get("grant_type"))
		s.tokenError(w, r, e)
		return
	}
	writeJSON(w, http.StatusOK, reply)
}

func (s *Sim) tokenError(w http.ResponseWriter, r *http.Request, e *aadError) {
	correlation := r.Header.Get("client-request-id")
	if !isGUID(correlation) {
		correlation = uuid.NewString()
	}
	w.Header().Set("client-request-id", correlation)
	w.Header().Set("x-ms-request-id", uuid.NewString())
	if e.retry > 0 {
		w.Header().Set("Retry-After", retrySeconds(e.retry))
	}
	writeJSON(w, e.status(), e.body(correlation, s.now()))
}

func (s *Sim) issue(c *tokenCall, endpoint string) (*tokenReply, *aadError) {
	id := c.form.Get("client_id")
	if id == "" {
		return nil, aadErr(errInvalidRequest, 900144, "The request body must contain the following parameter: 'client_id'.")
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c.app = s.findApp(id); c.app == nil {
		return nil, unknownApp(id, s.tenant.name)
	}
	if e := s.authenticate(c.app, c.form, endpoint); e != nil {
		return nil, e
	}
	switch grant := c.form.Get("grant_type"); grant {
	case "authorization_code":
		return s.redeemCode(c)
	case "refresh_token":
		return s.redeemRefresh(c)
	case "client_credentials":
		return s.clientCredentials(c)
	case "":
		return nil, aadErr(errInvalidRequest, 900144, "The request body must contain the following parameter: 'grant_type'.")
	default:
		return nil, aadErr(errUnsupportedGrant, 70003, "The app requested an unsupported grant type '"+clip(grant)+"'.")
	}
}

func (s *Sim) findApp(id string) *app { return s.apps[strings.ToLower(id)] }

func unknownApp(id, tenant string) *aadError {
	return aadErr(errUnauthorizedClient, 700016, fmt.Sprintf("Application with identifier '%s' was not found in the directory '%s'. "+
		"This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.", clip(id), tenant))
}

// clip keeps a string from outside short and printable when it is repeated in a message.
func clip(v string) string {
	v = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, v)
	if len(v) > 200 {
		v = strings.ToValidUTF8(v[:200], "")
	}
	return v
}

func (s *Sim) redeemCode(c *tokenCall) (*tokenReply, *aadError) {
	g := s.grants.get(c.form.Get("code"), codeGrant)
	if g == nil || g.clientID != c.app.ClientID {
		return nil, aadErr(errInvalidGrant, 70000, "The provided value for the 'code' parameter is not valid.")
	}
	if e := s.refusal(g); e != nil {
		return nil, e
	}
	if uri := c.form.Get("redirect_uri"); uri != g.redirectURI {
		return nil, aadErr(errInvalidGrant, 500112, fmt.Sprintf("The reply address '%s' does not match the reply address '%s' provided when requesting Authorization code.", clip(uri), g.redirectURI))
	}
	if e := checkVerifier(g, c.form.Get("code_verifier")); e != nil {
		return nil, e
	}
	if !s.grants.redeem(g) {
		return nil, aadErr(errInvalidGrant, 54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.")
	}
	return s.userReply(c, g)
}

var verifierForm = regexp.MustCompile(`^[A-Za-z0-9\-._~]{43,128}$`)

// checkVerifier proves possession (RFC 7636). A challenge that was sent must be met, and a verifier without one is an
// error as well.
func checkVerifier(g *grant, verifier string) *aadError {
	if g.challenge == "" {
		if verifier != "" {
			return aadErr(errInvalidGrant, 501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
		}
		return nil
	}
	if !verifierForm.MatchString(verifier) {
		return aadErr(errInvalidGrant, 50148, "The code_verifier does not match the code_challenge supplied in the authorization request for PKCE.")
	}
	got := verifier
	if g.method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		got = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if subtle.ConstantTimeCompare([]byte(got), []byte(g.challenge)) != 1 {
		return aadErr(errInvalidGrant, 501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
	}
	return nil
}

// redeemRefresh gives a new refresh token and leaves the old one valid, as Entra does.
func (s *Sim) redeemRefresh(c *tokenCall) (*tokenReply, *aadError) {
	g := s.grants.get(c.form.Get("refresh_token"), refreshGrant)
	if g == nil || g.clientID != c.app.ClientID {
		return nil, aadErr(errInvalidGrant, 70000, "The provided grant is invalid or malformed.").sub("bad_token")
	}
	if e := s.faultForGrant(g); e != nil {
		return nil, e
	}
	if e := s.refusal(g); e != nil {
		return nil, e
	}
	return s.userReply(c, g)
}

// userReply issues tokens for a person. The scope parameter may narrow or widen what the grant was made with, within
// what was consented to. Callers hold s.mu.
func (s *Sim) userReply(c *tokenCall, g *grant) (*tokenReply, *aadError) {
	scopes := g.scopes
	if v := c.form.Get("scope"); v != "" {
		scopes = parseScopes(v, s.ownHosts())
	}
	if e := s.checkScopes(c.app, scopes); e != nil {
		return nil, e
	}
	cp1 := c.cp1 || g.cp1
	access, life := s.userToken(g.user, c.app, scopes.granted(c.app.Scopes), cp1, g.sid)
	reply := &tokenReply{
		TokenType: "Bearer", Scope: scopes.echo(), ExpiresIn: int64(life / time.Second), ExtExpiresIn: int64(life / time.Second),
	}
	if life > 2*time.Hour {
		reply.RefreshIn = reply.ExpiresIn / 2
	}
	var err error
	if reply.AccessToken, err = s.sign(access); err != nil {
		return nil, aadErr(errUnavailable, 90033, err.Error())
	}
	if scopes.openID {
		if reply.IDToken, err = s.sign(s.idToken(g, c.app, c.issuer, scopes)); err != nil {
			return nil, aadErr(errUnavailable, 90033, err.Error())
		}
	}
	if scopes.offline {
		reply.RefreshToken = s.rollRefresh(g, cp1)
	}
	if c.form.Get("client_info") == "1" {
		reply.ClientInfo = clientInfo(g.user.id, s.tenant.id)
	}
	return reply, nil
}

func (s *Sim) rollRefresh(g *grant, cp1 bool) string {
	next := s.newGrant(refreshGrant, g.user, refreshLife)
	next.clientID, next.scopes, next.sid, next.cp1 = g.clientID, g.scopes, g.sid, cp1
	next.authTime = g.authTime
	return s.grants.put("1.sim-", next, s.now())
}

func (s *Sim) checkScopes(a *app, r scopeRequest) *aadError {
	switch {
	case r.unknown != "":
		return aadErr(errInvalidScope, 70011, fmt.Sprintf("The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope %s is not valid.", clip(r.unknown)))
	case r.standard && len(r.names) > 0:
		return aadErr(errInvalidScope, 70011, "The provided value for the input parameter 'scope' is not valid. .default scope can't be combined with resource-specific scopes.")
	}
	if m := r.missing(a.Scopes); m != "" {
		return aadErr(errInvalidGrant, 65001, fmt.Sprintf("The user or administrator has not consented to use the application with ID '%s' named '%s'. Send an interactive authorization request for this user and resource. (%s)",
			a.ClientID, a.Name, m)).sub("consent_required")
	}
	return nil
}

func (s *Sim) clientCredentials(c *tokenCall) (*tokenReply, *aadError) {
	scopes := parseScopes(c.form.Get("scope"), s.ownHosts())
	if !scopes.standard || scopes.resource == "" {
		return nil, aadErr(errInvalidScope, 1002012, "The provided value for scope "+clip(c.form.Get("scope"))+" is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).")
	}
	access, life := s.appToken(c.app)
	raw, err := s.sign(access)
	if err != nil {
		return nil, aadErr(errUnavailable, 90033, err.Error())
	}
	return &tokenReply{TokenType: "Bearer", ExpiresIn: int64(life / time.Second), ExtExpiresIn: int64(life / time.Second), AccessToken: raw}, nil
}

// claimsRequest is the claims parameter, as far as the simulator reads it.
type claimsRequest struct {
	AccessToken map[string]*struct {
		Essential bool     `json:"essential"`
		Value     string   `json:"value"`
		Values    []string `json:"values"`
	} `json:"access_token"`
}

func parseClaims(v string) (claimsRequest, bool) {
	var c claimsRequest
	if v == "" {
		return c, true
	}
	return c, json.Unmarshal([]byte(v), &c) == nil
}

// asksCP1 reports whether the client declares that it handles claims challenges (Microsoft Learn, Claims challenges,
// claims requests and client capabilities).
func asksCP1(v string) bool {
	c, ok := parseClaims(v)
	if !ok || c.AccessToken["xms_cc"] == nil {
		return false
	}
	return slices.ContainsFunc(c.AccessToken["xms_cc"].Values, func(v string) bool { return strings.EqualFold(v, "cp1") })
}
