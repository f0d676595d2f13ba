package auth

import (
	"context"
	"errors"
	"time"

	"evict/internal/audit"
)

// ErrRevoked says that the person's sessions were revoked while they were signing in.
var ErrRevoked = errors.New("the person was revoked after this sign-in was issued")

// ErrNoSession says that there is no such session, or no longer.
var ErrNoSession = errors.New("no such session")

// SessionRow is a session at rest. Sealed and Cache open only with the key in the cookie together with a seal key.
type SessionRow struct {
	IDHash    []byte // SHA-256 of the id in the cookie
	OID, TID  string
	Sealed    []byte    // identity, console roles, drafts
	Cache     []byte    // the operator's MSAL token cache; nil for people who do not act
	IssuedAt  time.Time // of the ID token that it came from, on Entra's clock
	CreatedAt time.Time
	LastSeen  time.Time // of a person's own request; polling does not count; written at most once a minute
	ExpiresAt time.Time // the absolute limit
}

// SessionStore keeps sessions. Each method is one transaction.
type SessionStore interface {
	// SignIn inserts a session, deletes the one that it replaces (nil = none), and appends the events. It does nothing
	// and returns ErrRevoked when Evict revoked this person after row.IssuedAt: such a session would outlive the cut.
	SignIn(ctx context.Context, row SessionRow, replaces []byte, events []audit.Event) error
	// Session reads one; ErrNoSession when it is not there.
	Session(ctx context.Context, idHash []byte) (SessionRow, error)
	// Update writes Sealed, Cache and LastSeen of an existing session; ErrNoSession when it is gone, so that a late
	// writer cannot bring back a session that a revocation has ended.
	Update(ctx context.Context, row SessionRow) error
	// SignOut deletes a session and appends the events; if the session was gone already, it does neither. With a nil
	// idHash it deletes nothing and appends the events: that is how a sign-in that failed is recorded.
	SignOut(ctx context.Context, idHash []byte, events []audit.Event) error
	// Expire deletes the sessions that ended before now by either limit, and run tokens past their time.
	Expire(ctx context.Context, now time.Time, idle time.Duration) error
}
