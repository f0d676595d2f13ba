package entrasim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// app is a registration with its keys read.
type app struct {
	AppRegistration
	certs map[string]*rsa.PublicKey // by x5t and by x5t#S256
}

func newApp(r AppRegistration) (*app, error) {
	a := &app{AppRegistration: r, certs: map[string]*rsa.PublicKey{}}
	for _, der := range r.Certificates {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("reading a certificate of the registration: %w", err)
		}
		key, ok := c.PublicKey.(*rsa.PublicKey)
		if !ok {
			return nil, fmt.Errorf("a certificate of the registration has a %T, only RSA keys can sign assertions", c.PublicKey)
		}
		short, long := sha1.Sum(der), sha256.Sum256(der)
		a.certs[base64.RawURLEncoding.EncodeToString(short[:])] = key
		a.certs[base64.RawURLEncoding.EncodeToString(long[:])] = key
	}
	return a, nil
}

func (a *app) allowsRedirect(uri string) bool { return slices.Contains(a.RedirectURIs, uri) }

func (a *app) allowsPostLogout(uri string) bool {
	return slices.Contains(a.PostLogoutURIs, uri) || slices.Contains(a.RedirectURIs, uri)
}

const assertionJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// authenticate checks the client's credential on the token endpoint.
func (s *Sim) authenticate(a *app, form url.Values, tokenEndpoint string) *aadError {
	if form.Has("client_assertion") {
		if form.Get("client_assertion_type") != assertionJWT {
			return aadErr(errInvalidRequest, 900144, "The request body must contain the following parameter: 'client_assertion_type'.")
		}
		return s.checkAssertion(a, form.Get("client_assertion"), tokenEndpoint)
	}
	secret := form.Get("client_secret")
	if secret == "" {
		return aadErr(errInvalidClient, 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(a.Secret)) != 1 {
		return aadErr(errInvalidClient, 7000215, fmt.Sprintf("Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", a.ClientID))
	}
	return nil
}

// checkAssertion accepts an assertion that the application signed with a registered certificate, or one of a trusted
// federated issuer.
func (s *Sim) checkAssertion(a *app, raw, tokenEndpoint string) *aadError {
	tok, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256})
	if err != nil {
		return aadErr(errInvalidClient, 50027, "JWT token is invalid or malformed.")
	}
	var peek jwt.Claims
	if err := tok.UnsafeClaimsWithoutVerification(&peek); err != nil {
		return aadErr(errInvalidClient, 50027, "JWT token is invalid or malformed.")
	}
	for _, f := range a.Federated {
		if f.Issuer == peek.Issuer {
			return s.checkFederated(f, tok)
		}
	}
	return s.checkCertificate(a, tok, tokenEndpoint)
}

func (s *Sim) checkFederated(f FederatedCredential, tok *jwt.JSONWebToken) *aadError {
	var c jwt.Claims
	if err := tok.Claims(f.Key, &c); err != nil {
		return aadErr(errInvalidClient, 700027, "Client assertion failed signature validation.")
	}
	switch {
	case c.Subject != f.Subject:
		return aadErr(errInvalidClient, 700213, fmt.Sprintf("No matching federated identity record found for presented assertion subject '%s'.", c.Subject))
	case !c.Audience.Contains(f.Audience):
		return aadErr(errInvalidClient, 700212, fmt.Sprintf("No matching federated identity record found for presented assertion audience '%s'.", strings.Join(c.Audience, ",")))
	}
	return s.checkTimes(c)
}

func (s *Sim) checkCertificate(a *app, tok *jwt.JSONWebToken, tokenEndpoint string) *aadError {
	var key crypto.PublicKey
	for _, name := range []jose.HeaderKey{"x5t#S256", "x5t"} {
		if print, ok := tok.Headers[0].ExtraHeaders[name].(string); ok && a.certs[urlSafe(print)] != nil {
			key = a.certs[urlSafe(print)]
			break
		}
	}
	if key == nil {
		return aadErr(errInvalidClient, 700027, "The certificate with identifier used to sign the client assertion is not registered on application.")
	}
	var c jwt.Claims
	if err := tok.Claims(key, &c); err != nil {
		return aadErr(errInvalidClient, 700027, "Client assertion failed signature validation.")
	}
	if c.Issuer != a.ClientID || c.Subject != a.ClientID {
		return aadErr(errInvalidClient, 700021, fmt.Sprintf("Client assertion application identifier doesn't match 'client_id' parameter '%s'.", a.ClientID))
	}
	if !slices.ContainsFunc(c.Audience, func(aud string) bool { return s.isOwnAudience(aud, tokenEndpoint) }) {
		return aadErr(errInvalidClient, 700023, fmt.Sprintf("Client assertion audience claim does not match Realm issuer. Expected '%s'.", tokenEndpoint))
	}
	return s.checkTimes(c)
}

// urlSafe writes base64 of either alphabet as the URL-safe one without padding: MSAL sends the standard alphabet.
func urlSafe(v string) string {
	return strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(v)
}

// isOwnAudience accepts the token endpoint as asked, and the issuer beside it, as Entra does.
func (s *Sim) isOwnAudience(aud, tokenEndpoint string) bool {
	base := strings.TrimSuffix(tokenEndpoint, "/oauth2/v2.0/token")
	return strings.EqualFold(aud, tokenEndpoint) || strings.EqualFold(aud, base+"/v2.0")
}

func (s *Sim) checkTimes(c jwt.Claims) *aadError {
	if c.Expiry == nil || c.ValidateWithLeeway(jwt.Expected{Time: s.now()}, 5*time.Minute) != nil {
		return aadErr(errInvalidClient, 700024, "Client assertion is not within its valid time range.")
	}
	return nil
}
