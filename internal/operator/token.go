package operator

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Token is a delegated Graph access token. It cannot be printed, logged or marshalled by accident.
type Token struct {
	secret  string
	Expires time.Time
}

// NewToken wraps an access token and the time until which it is valid.
func NewToken(secret string, expires time.Time) Token { return Token{secret: secret, Expires: expires} }

// Bearer returns the token itself, for an Authorization header and nothing else.
func (t Token) Bearer() string { return t.secret }

const redacted = "[redacted]"

// String hides the token.
func (Token) String() string { return redacted }

// GoString hides the token from %#v.
func (Token) GoString() string { return redacted }

// LogValue hides the token from slog.
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON refuses: a token has no business in a document.
func (Token) MarshalJSON() ([]byte, error) { return nil, errors.New("a token is not marshalled") }

// TokenSource yields tokens of one operator. Both methods return a *ReauthError when only a new sign-in can help, and
// otherwise an error of kind fault.Unavailable.
type TokenSource interface {
	// Token returns a token that is valid for at least a few minutes, from cache when there is one.
	Token(ctx context.Context) (Token, error)
	// Fresh returns a newly issued token, so that it carries roles assigned or activated since the last one.
	Fresh(ctx context.Context) (Token, error)
}

// With returns a source of the same operator's tokens that carry further permissions, by their short names, for a
// reading that not every tenant consents to. Without that consent its methods return a *ReauthError. A source that
// cannot ask for more is returned as it is, and Graph then refuses.
func With(t TokenSource, scopes ...string) TokenSource {
	if w, ok := t.(interface {
		With(scopes ...string) TokenSource
	}); ok {
		return w.With(scopes...)
	}
	return t
}

// ReauthError says that the operator has to go through sign-in again before Microsoft lets them go on: the refresh
// token was revoked, the account changed, consent is missing, or a claims challenge (continuous access evaluation)
// asks for it.
type ReauthError struct {
	Claims  string   // decoded JSON of the claims challenge; empty when there was none
	Scopes  []string // further scopes to ask for; empty means the usual ones
	Consent bool     // the app lacks the consent to a permission, and only that
	Code    string   // AADSTS number such as "AADSTS50173", or Graph's error code; may be empty
	Err     error    // the cause, for the log
}

// Error describes the need for a sign-in, without the claims.
func (e *ReauthError) Error() string {
	s := "sign-in needed"
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *ReauthError) Unwrap() error { return e.Err }
