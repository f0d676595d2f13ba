package auth

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"evict/internal/fault"
	"evict/internal/operator"
)

const (
	// runTokenTTL is how long a run may use the operator's tokens at most.
	runTokenTTL = 8 * time.Hour
	purposeRun  = "run token cache"
)

// runCache is what is sealed for a run.
type runCache struct {
	Expires time.Time       `json:"expires"`
	Cache   json.RawMessage `json:"cache"`
}

// bindRun names what a run's token belongs to. Every part decides whether it opens.
func (s *Service) bindRun(ref operator.RunRef) []string {
	return []string{s.cloud.Name, s.tenant, s.clientID, ref.TID, ref.OID, ref.Run, ref.Digest}
}

// SealForRun seals the person's token cache for one run, under the seal keys alone, so that any process of the console
// can work the run after the browser is gone. It returns when the tokens may no longer be used, at most eight hours
// from now; that time is sealed as well. The caller deletes the bytes when the run ends.
func (s *Session) SealForRun(ctx context.Context, ref operator.RunRef) (sealed []byte, expires time.Time, err error) {
	who := s.Operator()
	if ref.OID != who.OID || ref.TID != who.TID || ref.Run == "" || ref.Digest == "" {
		return nil, time.Time{}, fault.Wrap(fault.Internal, "The run cannot be given your tokens.",
			errors.New("the run is not the operator's, or not fully named"))
	}
	if s.rec.row.Cache == nil {
		return nil, time.Time{}, &operator.ReauthError{Scopes: ActingScopes(), Err: errNoToken}
	}
	blob, err := s.loadCache(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	c, err := s.svc.open(blob)
	if err != nil {
		return nil, time.Time{}, tokenFault(err, nil, nil)
	}
	if _, err := s.svc.account(ctx, c, ref.OID); err != nil {
		return nil, time.Time{}, tokenFault(noAccount(err), nil, nil)
	}
	expires = s.svc.now().Add(runTokenTTL)
	plain, err := json.Marshal(runCache{Expires: expires, Cache: blob})
	if err != nil {
		return nil, time.Time{}, fault.Wrap(fault.Internal, "The run cannot be given your tokens.", errGarbled)
	}
	sealed, err = s.svc.keys.Seal(purposeRun, plain, s.svc.bindRun(ref)...)
	return sealed, expires, err
}

// RunTokens opens what SealForRun sealed, for the same run, plan, operator and tenant. The source keeps its token in
// memory: a process makes one for a run and keeps it. When the bytes do not open, or their time is over, the error is a
// *operator.ReauthError (around ErrSealed in the first case): the run waits for its operator to sign in and resume.
func (s *Service) RunTokens(ref operator.RunRef, sealed []byte) (operator.TokenSource, error) {
	plain, err := s.keys.Open(purposeRun, sealed, s.bindRun(ref)...)
	if err != nil {
		return nil, &operator.ReauthError{Err: err}
	}
	var rc runCache
	if err := json.Unmarshal(plain, &rc); err != nil || ref.TID != s.tenant {
		return nil, &operator.ReauthError{Err: ErrSealed}
	}
	if !s.now().Before(rc.Expires) {
		return nil, &operator.ReauthError{Err: errRunOver}
	}
	c, err := s.open(rc.Cache)
	if err != nil {
		return nil, tokenFault(err, nil, nil)
	}
	if _, err := s.account(context.Background(), c, ref.OID); err != nil {
		return nil, tokenFault(noAccount(err), nil, nil)
	}
	return s.runSource(ref, rc), nil
}

var errRunOver = errors.New("the time for which a run may use its operator's tokens is over")

// runSource yields a run's tokens. A refreshed cache stays in memory: Entra does not revoke a refresh token when it is
// used (Microsoft Learn, "Refresh tokens in the Microsoft identity platform"), so what is stored goes on working.
func (s *Service) runSource(ref operator.RunRef, rc runCache) *source {
	blob := []byte(rc.Cache)
	var locks keyed
	return &source{
		svc: s, oid: ref.OID, asked: ActingScopes(), until: rc.Expires,
		locker: func(ctx context.Context) (func(), error) { return locks.lock(ctx, "") },
		load:   func(context.Context) ([]byte, error) { return blob, nil },
		save:   func(_ context.Context, b []byte) error { blob = b; return nil },
	}
}
