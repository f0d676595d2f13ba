package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"github.com/gorilla/sessions"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/operator"
)

// Finished is a sign-in that succeeded.
type Finished struct {
	Operator operator.Operator
	ReturnTo string // address inside the console
	New      bool   // not the continuation of a session of the same person in this browser
	// Tokens serves this request, also for people of whom no cache is kept.
	Tokens operator.TokenSource
}

const maxCode = 8 << 10

// Finish handles the callback: it takes the pending sign-in out of the browser's cookie, redeems the code, checks the
// ID token, makes a session under a new id in place of the browser's old one, and sets its cookie. The session and its
// event are written together; a failure after the state has verified is recorded as well.
//
// Somebody without a console role gets a session without roles and without a token cache, for the page that says what
// to ask for. Errors are *fault.Error with words for the person and Microsoft's AADSTS number; ReturnTo is set with
// them once the state has verified.
func (s *Service) Finish(w http.ResponseWriter, r *http.Request) (Finished, error) {
	q := r.URL.Query()
	p, ok := s.takePending(w, r, single(q, "state"))
	if !ok {
		f := fault.New(fault.Invalid, "This sign-in was not started in this browser, was used already, or took too long.")
		f.Fix = "Start again."
		return Finished{}, f
	}
	got, f := s.redeem(r.Context(), q, p)
	if f != nil {
		s.recordFailure(r, got.who, f)
		return Finished{ReturnTo: p.ReturnTo}, f
	}
	got.who.Address = s.address(r)
	isNew, err := s.establish(w, r, p, got)
	if f, ok := errors.AsType[*fault.Error](err); ok && errors.Is(err, ErrRevoked) {
		s.recordFailure(r, got.who, f)
	}
	if err != nil {
		return Finished{ReturnTo: p.ReturnTo}, err
	}
	return Finished{Operator: got.who, ReturnTo: p.ReturnTo, New: isNew, Tokens: s.passing(got, p.Scopes)}, nil
}

// single returns a parameter that stands once in a query, and "" otherwise.
func single(q url.Values, name string) string {
	if len(q[name]) != 1 {
		return ""
	}
	return q[name][0]
}

// redeemed is what a code brought: who signed in, and their token cache.
type redeemed struct {
	who    operator.Operator
	blob   []byte
	issued time.Time // of the ID token
}

// redeem returns whom it has identified even when it refuses them.
func (s *Service) redeem(ctx context.Context, q url.Values, p pending) (redeemed, *fault.Error) {
	if oauth := single(q, "error"); oauth != "" {
		code := aadstsCode(single(q, "error_description"))
		return redeemed{}, refused(code, oauth, errors.New("the callback brought an error "+code))
	}
	code := single(q, "code")
	if code == "" || len(code) > maxCode {
		return redeemed{}, distrusted("the callback brought no code")
	}
	c, m, err := s.client(nil)
	if err != nil {
		return redeemed{}, entraUnavailable(sanitise(err))
	}
	scopes := s.cloud.qualifyAll(union([]string{userRead}, p.Scopes))
	res, err := c.AcquireTokenByAuthCode(ctx, code, s.redirect, scopes,
		confidential.WithChallenge(p.Verifier), confidential.WithClaims(p.Claims))
	if err != nil {
		return redeemed{}, redeemFault(err)
	}
	who, issued, f := s.identify(ctx, res.IDToken.RawToken, p.Nonce)
	if f != nil {
		return redeemed{}, f
	}
	if !strings.EqualFold(res.Account.LocalAccountID, who.OID) {
		return redeemed{who: who}, distrusted("the token cache is another account's")
	}
	if err := s.delegated(res.AccessToken, who.OID); err != nil {
		return redeemed{who: who}, distrusted(err.Error())
	}
	blob, _ := m.content()
	return redeemed{who: who, blob: blob, issued: issued}, nil
}

// passing yields tokens from a cache that is not kept.
func (s *Service) passing(got redeemed, extra []string) operator.TokenSource {
	blob := got.blob
	var locks keyed
	return &source{
		svc: s, oid: got.who.OID, asked: union([]string{userRead}, extra), extra: extra,
		locker: func(ctx context.Context) (func(), error) { return locks.lock(ctx, "") },
		load:   func(context.Context) ([]byte, error) { return blob, nil },
		save:   func(_ context.Context, b []byte) error { blob = b; return nil },
	}
}

// establish writes the new session in place of the browser's old one. Drafts move along if the person is the same.
func (s *Service) establish(w http.ResponseWriter, r *http.Request, p pending, got redeemed) (isNew bool, err error) {
	old := s.previous(r)
	rec, err := s.newRecord(got, keepsCache(got.who, p.Scopes))
	if err != nil {
		return false, err
	}
	again := old != nil && old.state.OID == got.who.OID
	rec.events = s.signInEvents(got.who, old, again)
	if old != nil {
		rec.replaces = old.row.IDHash
	}
	if again {
		rec.state.Drafts = old.state.Drafts
	}
	gs := sessions.NewSession(s.store, s.names.session)
	gs.IsNew, gs.Options = true, s.names.options(0)
	gs.Values[recordKey{}] = rec
	if err := gs.Save(r, w); errors.Is(err, ErrRevoked) {
		f := fault.Wrap(fault.Unauthenticated, "Your sessions were revoked while you were signing in.", err)
		f.Fix = "Sign in again in a moment: whatever came within the second of the cut is refused too."
		return false, f
	} else if err != nil {
		return false, storeFault("writing the new session", err)
	}
	return !again, nil
}

// keepsCache says whether a token cache is kept: of those who act, and of those who just agreed to a further permission
// because a page needs it. Whoever only reads the ledger or approves has none, so nothing of theirs can be stolen.
func keepsCache(who operator.Operator, extra []string) bool {
	return who.Acts() || len(who.Roles) > 0 && len(extra) > 0
}

// previous returns the session that the browser's cookie opens, even if its time is over; nil when there is none.
func (s *Service) previous(r *http.Request) *record {
	gs, err := s.store.New(r, s.names.session)
	if err != nil || gs.IsNew {
		return nil
	}
	return recordOf(gs)
}

func (s *Service) signInEvents(who operator.Operator, old *record, again bool) []audit.Event {
	kind := audit.SignedIn
	if len(who.Roles) == 0 {
		kind = audit.SignInDenied
	}
	e := s.event(kind, who)
	if again {
		e.Detail = map[string]string{"session": "renewed"}
	}
	if old == nil || again {
		return []audit.Event{e}
	}
	left := old.state.operator()
	left.Address = who.Address
	out := s.event(audit.SignedOut, left)
	out.Detail = map[string]string{"how": "another account signed in with the same browser"}
	return []audit.Event{out, e}
}

func (s *Service) newRecord(got redeemed, keep bool) (*record, error) {
	b := make([]byte, ticketID+ticketKey)
	if _, err := io.ReadFull(s.random, b); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	now := s.now()
	rec := &record{
		ticket: ticket{id: b[:ticketID], key: b[ticketID:]},
		state: state{
			OID: got.who.OID, TID: got.who.TID, UPN: got.who.UPN, Name: got.who.Name, Roles: got.who.Roles.Strings(),
			SignedIn: now, Expires: now.Add(s.absolute),
		},
	}
	rec.row = SessionRow{
		IDHash: rec.ticket.hash(), OID: rec.state.OID, TID: rec.state.TID,
		IssuedAt: got.issued, CreatedAt: now, LastSeen: now, ExpiresAt: rec.state.Expires,
	}
	if keep {
		sealed, err := s.keys.seal(rec.ticket.key, purposeCache, got.blob, s.bind(rec.row))
		if err != nil {
			return nil, err
		}
		rec.row.Cache = sealed
	}
	return rec, nil
}

// recordFailure writes that a sign-in failed. It does so even if the browser has hung up meanwhile.
func (s *Service) recordFailure(r *http.Request, who operator.Operator, f *fault.Error) {
	who.Address = s.address(r)
	e := s.event(audit.SignInFailed, who)
	e.Evidence = &audit.Evidence{Code: aadstsCode(f.Error()), Message: f.Message}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	if err := s.rows.SignOut(ctx, nil, []audit.Event{e}); err != nil {
		s.log.ErrorContext(ctx, "a failed sign-in could not be recorded", "error", err)
	}
}
