package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"

	"evict/internal/operator"
)

// freshFor is how long a token that is handed out is valid at least. MSAL counts a cached token as expired five
// minutes early as well.
const freshFor = 5 * time.Minute

// source yields one person's tokens from one cache. It implements operator.TokenSource.
type source struct {
	svc    *Service
	oid    string
	asked  []string // short names of all scopes
	extra  []string // those of them that are not the usual ones
	locker func(context.Context) (unlock func(), err error)
	load   func(context.Context) ([]byte, error)
	save   func(context.Context, []byte) error // load and save are called while locked
	with   func(scopes ...string) operator.TokenSource
	until  time.Time // no token is given from then on; zero for no such limit

	mu   sync.Mutex
	memo operator.Token
}

// Token implements operator.TokenSource.
func (t *source) Token(ctx context.Context) (operator.Token, error) {
	if err := t.over(); err != nil {
		return operator.Token{}, err
	}
	t.mu.Lock()
	memo := t.memo
	t.mu.Unlock()
	if memo.Bearer() != "" && t.svc.now().Add(freshFor).Before(memo.Expires) {
		return memo, nil
	}
	return t.acquire(ctx, false)
}

// Fresh implements operator.TokenSource.
func (t *source) Fresh(ctx context.Context) (operator.Token, error) { return t.acquire(ctx, true) }

// With implements what operator.With asks for. A source that was made for one purpose stays as it is.
func (t *source) With(scopes ...string) operator.TokenSource {
	if t.with == nil {
		return t
	}
	return t.with(scopes...)
}

func (t *source) over() error {
	if !t.until.IsZero() && !t.svc.now().Before(t.until) {
		return &operator.ReauthError{Err: errRunOver}
	}
	return nil
}

func (t *source) acquire(ctx context.Context, anew bool) (operator.Token, error) {
	if err := t.over(); err != nil {
		return operator.Token{}, err
	}
	unlock, err := t.locker(ctx)
	if err != nil {
		return operator.Token{}, tokenFault(err, t.asked, t.extra)
	}
	defer unlock()
	blob, err := t.load(ctx)
	if err != nil {
		return operator.Token{}, err
	}
	if anew {
		if blob, err = withoutAccessTokens(blob); err != nil {
			return operator.Token{}, tokenFault(err, t.asked, t.extra)
		}
	}
	tok, blob, changed, err := t.svc.silent(ctx, blob, t.oid, t.asked)
	if err != nil {
		return operator.Token{}, tokenFault(err, t.asked, t.extra)
	}
	if changed {
		err := t.save(ctx, blob)
		if _, over := errors.AsType[*operator.ReauthError](err); over {
			return operator.Token{}, err
		}
		if err != nil { // the token is good; the next request asks Microsoft for another
			t.svc.log.WarnContext(ctx, "a token cache could not be kept", "error", err)
		}
	}
	t.mu.Lock()
	t.memo = tok
	t.mu.Unlock()
	return tok, nil
}

// silent gets a token for oid from a cache, by a refresh token if need be, and returns the cache as it is afterwards.
func (s *Service) silent(ctx context.Context, blob []byte, oid string, scopes []string) (
	tok operator.Token, after []byte, changed bool, err error,
) {
	c, err := s.open(blob)
	if err != nil {
		return tok, nil, false, err
	}
	account, err := s.account(ctx, c, oid)
	if err != nil {
		return tok, nil, false, noAccount(err)
	}
	res, err := c.AcquireTokenSilent(ctx, s.cloud.qualifyAll(scopes), confidential.WithSilentAccount(account))
	if err != nil {
		return tok, nil, false, err
	}
	if err := s.delegated(res.AccessToken, oid); err != nil {
		return tok, nil, false, noAccount(err)
	}
	after, changed = c.content()
	return operator.NewToken(res.AccessToken, res.ExpiresOn), after, changed, nil
}

// misfitError says that a cache or token is not the person's. Only a new sign-in puts that right.
type misfitError struct{ err error }

func (e *misfitError) Error() string   { return e.err.Error() }
func (e *misfitError) Unwrap() []error { return []error{errNoToken, e.err} }

func noAccount(err error) error {
	if _, ok := errors.AsType[*networkError](err); ok {
		return err
	}
	return &misfitError{err}
}

// delegated is a tripwire: it refuses a Graph token that is not a delegated token of oid in our tenant. Graph's tokens
// are formally opaque to clients, so nothing else is read from one; but one that cannot be read is refused, since an
// app-only token in an operator's hands would act with the console's rights instead of theirs.
func (s *Service) delegated(token, oid string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("the access token cannot be checked")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return errors.New("the access token cannot be checked")
	}
	var claims struct {
		OID   string `json:"oid"`
		TID   string `json:"tid"`
		Scope string `json:"scp"`
		Type  string `json:"idtyp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return errors.New("the access token cannot be checked")
	}
	switch {
	case claims.Scope == "" || strings.EqualFold(claims.Type, "app"):
		return errors.New("the access token is not delegated")
	case !strings.EqualFold(claims.OID, oid):
		return errors.New("the access token is another account's")
	case !strings.EqualFold(claims.TID, s.tenant):
		return errors.New("the access token is another tenant's")
	}
	return nil
}
