package auth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/sessions"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/operator"
)

// lastSeenEvery is how often at most a session's last activity is written.
const lastSeenEvery = time.Minute

// Session is a signed-in person's session, as one request sees it.
type Session struct {
	svc *Service
	rec *record
}

// Load returns the session of a request. Activity says whether the person does something; a page that polls passes
// false and keeps nothing alive. Without a session the error is a fault.Unauthenticated (see ReasonOf); if the store
// does not answer, a fault.Unavailable.
func (s *Service) Load(r *http.Request, activity bool) (*Session, error) {
	gs, err := s.store.New(r, s.names.session)
	switch {
	case errors.Is(err, ErrNoSession):
		return nil, ended(ReasonUnknown)
	case err != nil:
		return nil, storeFault("reading the session", err)
	case gs.IsNew:
		return nil, ended(ReasonNone)
	}
	rec, now := recordOf(gs), s.now()
	if !now.Before(rec.state.Expires) {
		return nil, ended(ReasonAbsolute)
	}
	if now.Sub(rec.row.LastSeen) >= s.idle {
		return nil, ended(ReasonIdle)
	}
	if activity && now.Sub(rec.row.LastSeen) >= lastSeenEvery {
		if err := s.touch(r.Context(), rec.ticket, now); errors.Is(err, ErrNoSession) {
			return nil, ended(ReasonUnknown)
		} else if err != nil {
			// The page can still be shown; at worst the session ends early.
			s.log.WarnContext(r.Context(), "a session's last activity could not be written", "error", err)
		}
	}
	return &Session{svc: s, rec: rec}, nil
}

func (s *Service) touch(ctx context.Context, t ticket, now time.Time) error {
	return s.modify(ctx, t, func(rec *record) error {
		if now.After(rec.row.LastSeen) {
			rec.row.LastSeen = now
		}
		return nil
	})
}

// Operator returns the signed-in person. The caller fills in Address.
func (s *Session) Operator() operator.Operator { return s.rec.state.operator() }

// ID names the session's row: the hash of the id in the cookie. It opens nothing.
func (s *Session) ID() []byte { return s.rec.row.IDHash }

// SignedInAt returns when the person signed in.
func (s *Session) SignedInAt() time.Time { return s.rec.state.SignedIn }

// ExpiresAt returns when the session ends at the latest.
func (s *Session) ExpiresAt() time.Time { return s.rec.state.Expires }

// SignOut ends a session, with its token cache, and takes its cookie. It returns Microsoft's address that signs the
// person out there as well. The cookie is taken even if the row cannot be deleted: without it the row does not open.
func (s *Service) SignOut(w http.ResponseWriter, r *http.Request, sess *Session) (string, error) {
	if sess == nil {
		s.ClearCookie(w)
		return s.logoutURL(r.Context()), nil
	}
	who := sess.Operator()
	who.Address = s.address(r)
	e := s.event(audit.SignedOut, who)
	e.Detail = map[string]string{"how": "by the operator"}
	rec := *sess.rec
	rec.events = []audit.Event{e}
	gs := sessions.NewSession(s.store, s.names.session)
	gs.Options = s.names.options(-1)
	gs.Values[recordKey{}] = &rec
	if err := gs.Save(r, w); err != nil {
		return "", storeFault("ending the session", err)
	}
	return s.logoutURL(r.Context()), nil
}

// LogoutURL is Microsoft's address that ends the person's sign-in in their browser and comes back to PostLogoutURL.
func (s *Service) LogoutURL(ctx context.Context) string { return s.logoutURL(ctx) }

// logoutURL takes Microsoft's address from the discovery document, or where it always is if that cannot be read: a
// sign-out must not wait for Microsoft.
func (s *Service) logoutURL(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	end := s.authority + "/oauth2/v2.0/logout"
	if m, err := s.discover(ctx); err == nil && m.EndSession != "" {
		end = m.EndSession
	}
	u, err := url.Parse(end)
	if err != nil || !s.isAuthorize(u) {
		return s.authority + "/oauth2/v2.0/logout"
	}
	q := u.Query()
	q.Set("post_logout_redirect_uri", s.postLogout)
	u.RawQuery = q.Encode()
	return u.String()
}

// Tokens returns the person's delegated tokens, for the usual scopes of their console roles and the given ones. Both
// methods of the source return *operator.ReauthError when a sign-in is needed, with the scopes to ask for when one of
// them was not consented to.
func (s *Session) Tokens(scopes ...string) operator.TokenSource {
	who := s.Operator()
	usual := []string{userRead}
	if who.Acts() {
		usual = ActingScopes()
	}
	switch err := checkScopes(scopes); {
	case err != nil:
		return noTokens{fault.Wrap(fault.Internal, "The console asked for a permission that does not exist.", err)}
	case len(who.Roles) == 0:
		return noTokens{fault.New(fault.Forbidden, "Your account has no role in this console.")}
	case s.rec.row.Cache == nil:
		// Scopes must not be empty: it is by asking for them that the next sign-in keeps a cache (keepsCache).
		return noTokens{&operator.ReauthError{Scopes: union(usual, scopes), Err: errNoToken}}
	}
	return &source{
		svc: s.svc, oid: who.OID, asked: union(usual, scopes), extra: scopes,
		with: func(more ...string) operator.TokenSource { return s.Tokens(union(scopes, more)...) },
		locker: func(ctx context.Context) (func(), error) {
			return s.svc.locks.lock(ctx, "tokens "+string(s.rec.ticket.id))
		},
		load: func(ctx context.Context) ([]byte, error) { return s.loadCache(ctx) },
		save: func(ctx context.Context, blob []byte) error { return s.saveCache(ctx, blob) },
	}
}

// noTokens is a source that has only an error to give.
type noTokens struct{ err error }

// Token implements operator.TokenSource.
func (n noTokens) Token(context.Context) (operator.Token, error) { return operator.Token{}, n.err }

// Fresh implements operator.TokenSource.
func (n noTokens) Fresh(context.Context) (operator.Token, error) { return operator.Token{}, n.err }

// loadCache reads the cache as it is now: another request may have refreshed it, and a revocation may have ended it.
func (s *Session) loadCache(ctx context.Context) ([]byte, error) {
	rec, err := s.svc.read(ctx, s.rec.ticket)
	if err != nil {
		return nil, s.gone("reading the token cache", err)
	}
	if rec.row.Cache == nil || !s.svc.now().Before(rec.state.Expires) {
		return nil, &operator.ReauthError{Err: errNoToken}
	}
	blob, err := s.svc.keys.open(rec.ticket.key, purposeCache, rec.row.Cache, s.svc.bind(rec.row))
	if err != nil {
		return nil, &operator.ReauthError{Err: err}
	}
	return blob, nil
}

func (s *Session) saveCache(ctx context.Context, blob []byte) error {
	err := s.svc.modify(ctx, s.rec.ticket, func(rec *record) error {
		sealed, err := s.svc.keys.seal(rec.ticket.key, purposeCache, blob, s.svc.bind(rec.row))
		rec.row.Cache = sealed
		return err
	})
	if err != nil {
		return s.gone("keeping the token cache", err)
	}
	return nil
}

// gone makes the error of a session that cannot be read or written: if it has ended, a sign-in helps.
func (s *Session) gone(doing string, err error) error {
	if errors.Is(err, ErrNoSession) {
		return &operator.ReauthError{Err: err}
	}
	return storeFault(doing, err)
}
