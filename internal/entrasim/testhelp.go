package entrasim

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// TokenOptions says what MintToken puts into a token.
type TokenOptions struct {
	// Scopes are Graph permissions. Empty means all that the console has consent for.
	Scopes []string
	// CP1 declares that the client handles claims challenges.
	CP1 bool
	// App makes an application token with these permissions instead of a delegated one; the person is then ignored.
	App bool
	// Life overrides how long the token lives.
	Life time.Duration
}

// MintToken issues an access token for Graph without a browser. The person is an object id or user principal name.
func (s *Sim) MintToken(person string, o TokenOptions) (string, error) {
	s.mu.RLock()
	a := s.apps[s.opts.App.ClientID]
	var c *accessClaims
	if o.App {
		c, _ = s.appToken(a)
		c.Roles = o.Scopes
	} else if u := s.tenant.findUser(person); u != nil {
		scopes := o.Scopes
		if len(scopes) == 0 {
			scopes = scopeRequest{standard: true}.granted(a.Scopes)
		}
		c, _ = s.userToken(u, a, scopes, o.CP1, uuid.NewString())
	}
	s.mu.RUnlock()
	if c == nil {
		return "", fmt.Errorf("no user %q in the simulated tenant", person)
	}
	if o.Life != 0 {
		c.Expiry = s.now().Add(o.Life).Unix()
	}
	return s.sign(c)
}

// Tokens are what the token endpoint gives for a sign-in.
type Tokens struct {
	AccessToken, RefreshToken, IDToken string
}

// IssueTokens gives the tokens of a sign-in of the person without a browser, for the console's registration. The
// refresh token dies with a revocation like any other.
func (s *Sim) IssueTokens(person string, o TokenOptions) (Tokens, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := s.tenant.findUser(person)
	if u == nil {
		return Tokens{}, fmt.Errorf("no user %q in the simulated tenant", person)
	}
	a := s.apps[s.opts.App.ClientID]
	names := o.Scopes
	if len(names) == 0 {
		names = scopeRequest{standard: true}.granted(a.Scopes)
	}
	g := s.newGrant(refreshGrant, u, refreshLife)
	g.clientID, g.sid, g.cp1 = a.ClientID, uuid.NewString(), o.CP1
	g.scopes = parseScopes("openid profile offline_access "+strings.Join(names, " "), s.ownHosts())
	reply, e := s.userReply(&tokenCall{form: url.Values{}, issuer: s.TLSURL() + "/" + s.tenant.id + "/v2.0", app: a, cp1: o.CP1}, g)
	if e != nil {
		return Tokens{}, fmt.Errorf("issuing tokens: AADSTS%d: %s", e.code, e.text)
	}
	return Tokens{reply.AccessToken, reply.RefreshToken, reply.IDToken}, nil
}

// SignIn answers an authorize address as a browser would in which the person is chosen, over HTTP, and returns the
// address that the browser is sent back to, with its code and state. The address may be on either listener.
func (s *Sim) SignIn(ctx context.Context, authorizeURL, person string) (callback string, err error) {
	p, found := s.User(person)
	if !found {
		return "", fmt.Errorf("no user %q in the simulated tenant", person)
	}
	form := url.Values{"sim_account": {p.ID}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, authorizeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("making the sign-in request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	hc := &http.Client{Transport: s.client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := hc.Do(req)
	if err != nil {
		return "", fmt.Errorf("signing in as %s: %w", p.UPN, err)
	}
	defer resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		return "", fmt.Errorf("signing in as %s: the sign-in page answered %d and no redirect", p.UPN, resp.StatusCode)
	}
	return to.String(), nil
}
