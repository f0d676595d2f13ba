package auth

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"evict/internal/fault"
	"evict/internal/operator"
)

// provider keeps the verifier of ID tokens, which holds the tenant's signing keys.
type provider struct {
	mu       sync.Mutex
	jwks     string
	verifier *oidc.IDTokenVerifier
}

// metadata is what is used of the tenant's discovery document.
type metadata struct {
	Issuer     string `json:"issuer"`
	JWKS       string `json:"jwks_uri"`
	EndSession string `json:"end_session_endpoint"`
}

// discover reads the tenant's discovery document, from the guard's memory when it is there. The issuer must be the
// tenant's own: a document for "common" or another tenant would make other tenants' tokens valid.
func (s *Service) discover(ctx context.Context) (metadata, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.authority+"/v2.0/.well-known/openid-configuration", nil)
	if err != nil {
		return metadata{}, errGarbled
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return metadata{}, sanitise(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return metadata{}, &networkError{fmt.Errorf("the discovery document was answered with %d", resp.StatusCode)}
	}
	var m metadata
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
		return metadata{}, errGarbled
	}
	if m.Issuer != s.authority+"/v2.0" || m.JWKS == "" {
		return metadata{}, errGarbled
	}
	return m, nil
}

func (s *Service) verifier(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	m, err := s.discover(ctx)
	if err != nil {
		return nil, err
	}
	s.provider.mu.Lock()
	defer s.provider.mu.Unlock()
	if s.provider.verifier == nil || s.provider.jwks != m.JWKS {
		// The key set outlives the request; it takes the client from this context.
		keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), s.http), m.JWKS)
		s.provider.jwks = m.JWKS
		s.provider.verifier = oidc.NewVerifier(m.Issuer, keys, &oidc.Config{ClientID: s.clientID, Now: s.now})
	}
	return s.provider.verifier, nil
}

// identify checks an ID token and returns whom it names. MSAL checks nothing of it.
func (s *Service) identify(ctx context.Context, raw, nonce string) (operator.Operator, time.Time, *fault.Error) {
	v, err := s.verifier(ctx)
	if err != nil {
		return operator.Operator{}, time.Time{}, entraUnavailable(err)
	}
	token, err := v.Verify(ctx, raw)
	if err != nil {
		return operator.Operator{}, time.Time{}, verifyFault(err)
	}
	var claims struct {
		OID   string   `json:"oid"`
		TID   string   `json:"tid"`
		UPN   string   `json:"preferred_username"`
		Name  string   `json:"name"`
		Roles []string `json:"roles"`
	}
	if err := token.Claims(&claims); err != nil {
		return operator.Operator{}, time.Time{}, distrusted("the ID token's claims are not understood")
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return operator.Operator{}, time.Time{}, distrusted("the ID token has another nonce")
	case !strings.EqualFold(claims.TID, s.tenant):
		return operator.Operator{}, time.Time{}, distrusted("the ID token is of another tenant")
	case !isGUID(claims.OID):
		return operator.Operator{}, time.Time{}, distrusted("the ID token has no object id")
	}
	return operator.Operator{
		OID: strings.ToLower(claims.OID), TID: s.tenant, UPN: claims.UPN, Name: claims.Name,
		Roles: operator.ParseRoles(claims.Roles),
	}, token.IssuedAt, nil
}

// verifyFault says in our words why an ID token was refused. The library's texts can hold answers of the server.
func verifyFault(err error) *fault.Error {
	if _, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		return distrusted("the ID token has expired")
	}
	text := err.Error()
	for _, known := range []struct{ prefix, why string }{
		{"failed to verify signature: fetching keys", ""},
		{"failed to verify signature", "the ID token's signature is wrong"},
		{"oidc: id token issued by a different provider", "the ID token has another issuer"},
		{"oidc: expected audience", "the ID token has another audience"},
		{"oidc: current time", "the ID token is not yet valid: the server's clock may be wrong"},
	} {
		if !strings.HasPrefix(text, known.prefix) {
			continue
		}
		if known.why == "" {
			return entraUnavailable(errors.New("fetching the signing keys"))
		}
		return distrusted(known.why)
	}
	return distrusted("the ID token is malformed")
}
