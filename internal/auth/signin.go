package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"

	"evict/internal/fault"
)

// BeginOptions says what a sign-in is for.
type BeginOptions struct {
	ReturnTo  string   // where to go afterwards; anything but a page of the console becomes "/"
	Claims    string   // decoded JSON of a claims challenge, from operator.ReauthError
	Scopes    []string // further Graph permissions by short name, from operator.ReauthError
	Again     string   // what Again packed, in place of Claims and Scopes
	Prompt    string   // "", login, select_account or consent
	LoginHint string   // UPN to offer
}

const (
	maxClaims = 1500
	maxHint   = 320
)

var prompts = []string{"", "login", "select_account", "consent"}

// Begin starts a sign-in and returns Microsoft's address to send the browser to. It adds the sign-in to the browser's
// cookie: up to five may be pending, each for ten minutes. It writes nothing on the server.
//
// Everyone is asked for User.Read only. The roles are not known before the ID token has come; those who act get the
// further scopes with their refresh token when a page first needs them (Session.Tokens), so that a missing consent
// costs them that page and not the sign-in. Only what had to be asked for by incremental consent is asked for here.
func (s *Service) Begin(w http.ResponseWriter, r *http.Request, o BeginOptions) (string, error) {
	o, err := s.unpack(o)
	if err != nil {
		return "", err
	}
	if err := o.check(); err != nil {
		return "", err
	}
	p, err := s.newPending(o)
	if err != nil {
		return "", err
	}
	address, err := s.authorizeURL(r, o, p)
	if err != nil {
		return "", err
	}
	if err := s.writePending(w, append(s.readPending(r), p)); err != nil {
		return "", err
	}
	return address, nil
}

func (o BeginOptions) check() error {
	if err := checkClaims(o.Claims); err != nil {
		return fault.Wrap(fault.Invalid, "The sign-in cannot be started with these claims.", err)
	}
	if err := checkScopes(o.Scopes); err != nil {
		return fault.Wrap(fault.Invalid, "The sign-in cannot be started with these permissions.", err)
	}
	if !slices.Contains(prompts, o.Prompt) || len(o.LoginHint) > maxHint {
		return fault.New(fault.Invalid, "The sign-in cannot be started with these options.")
	}
	return nil
}

// checkClaims refuses a claims challenge that is not a JSON object of reasonable length. None is fine.
func checkClaims(claims string) error {
	if claims == "" {
		return nil
	}
	if len(claims) > maxClaims {
		return errors.New("the claims are too long")
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(claims), &object); err != nil || object == nil {
		return errors.New("the claims are not a JSON object")
	}
	return nil
}

func (s *Service) newPending(o BeginOptions) (pending, error) {
	var p pending
	var errs [3]error
	p.State, errs[0] = s.token(24)
	p.Nonce, errs[1] = s.token(24)
	p.Verifier, errs[2] = s.token(32)
	if err := errors.Join(errs[:]...); err != nil {
		return pending{}, err
	}
	p.ReturnTo, p.Claims, p.Scopes, p.Began = s.returnPath(o.ReturnTo), o.Claims, o.Scopes, s.now()
	return p, nil
}

// authorizeURL has MSAL build the address and adds what MSAL has no option for: state, nonce, the PKCE challenge and
// the mode in which the answer comes back.
func (s *Service) authorizeURL(r *http.Request, o BeginOptions, p pending) (string, error) {
	c, _, err := s.client(nil)
	if err != nil {
		return "", entraUnavailable(sanitise(err))
	}
	scopes := append(slices.Clone(oidcScopes), s.cloud.qualifyAll(union([]string{userRead}, o.Scopes))...)
	raw, err := c.AuthCodeURL(r.Context(), s.clientID, s.redirect, scopes,
		confidential.WithClaims(o.Claims), confidential.WithLoginHint(o.LoginHint))
	if err != nil {
		return "", entraUnavailable(sanitise(err))
	}
	u, err := url.Parse(raw)
	if err != nil || !s.isAuthorize(u) {
		return "", entraUnavailable(errGarbled)
	}
	q := u.Query()
	challenge := sha256.Sum256([]byte(p.Verifier))
	q.Set("state", p.State)
	q.Set("nonce", p.Nonce)
	q.Set("code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]))
	q.Set("code_challenge_method", "S256")
	q.Set("response_mode", "query")
	if o.Prompt != "" {
		q.Set("prompt", o.Prompt)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// isAuthorize reports whether people may be sent to an address to sign in. The simulator shows its page over plain
// HTTP, so that a rehearsal does not begin with a certificate warning.
func (s *Service) isAuthorize(u *url.URL) bool {
	if s.cloud.Simulated() {
		return isLoopback(u.Hostname())
	}
	return u.Scheme == "https" && strings.EqualFold(u.Host, s.cloud.LoginHost)
}
