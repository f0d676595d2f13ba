package revoke

import (
	"context"
	"errors"
	"time"

	"evict/internal/audit"
)

// Errors that stores return, wrapped or plain.
var (
	ErrFenced   = errors.New("another worker owns this run") // drop everything: the lease was lost
	ErrNotFound = errors.New("no such plan or run")
	ErrEnded    = errors.New("the console session that asks for this has ended")
	ErrConflict = errors.New("the plan has run, or the run has moved on") // a compare-and-set found something else
)

// Fence proves that its holder owns a run: every commit checks it.
type Fence struct {
	Run   RunID
	Owner string
	Epoch int64
}

// Launch is a plan with the run that starts at once and the intent for its first targets: one transaction.
type Launch struct {
	Plan         Plan
	Run          Run
	Targets      []RunTarget // in state Attempting
	Token        []byte      // the operator's sealed token cache
	TokenExpires time.Time
	Session      []byte // the console session that asks: nothing happens once it has ended; nil when there is none to check
	Owner        string
	Now          time.Time
	Lease        time.Duration
	Events       []audit.Event
}

// Resumption sets a paused run going again, at once in the hands of Owner.
type Resumption struct {
	Run          RunID
	Operator     string // object id; only the run's own operator resumes it
	Token        []byte // nil keeps no token: the worker has one at hand
	TokenExpires time.Time
	Session      []byte // as in Launch
	Owner        string
	Now          time.Time
	Lease        time.Duration
	Events       []audit.Event
}

// Cut is a revocation of one person, for what it ends in the console.
type Cut struct {
	OID string
	At  time.Time // on Graph's clock; sessions from sign-ins after it live on
}

// Change moves one target, if it still stands where the worker saw it.
type Change struct {
	WasState   State
	WasAttempt int
	Target     RunTarget
}

// Footprint is what an evicted operator had in the console.
type Footprint struct {
	OID      string
	UPN      string
	Sessions int
	Runs     []RunID // their running runs, paused now
}

// Step is one commit of a worker. The store applies it whole or not at all, renews the lease, and writes the events
// last.
type Step struct {
	Now     time.Time
	Lease   time.Duration
	Changes []Change
	Events  []audit.Event

	// Evict names people who were just revoked: their console sessions from before the cut, token caches and run tokens
	// are deleted and their running runs paused as "needs sign-in" (rule 12), this run too if it is theirs. Evicted makes the events that say
	// so; it is pure, called inside the transaction once for each who had a session or a run, and its events are appended.
	Evict   []Cut
	Evicted func(Footprint) []audit.Event

	// End closes or pauses the run: RunFinished, RunCancelled or RunPaused (with Pause). "" leaves it running.
	// Finished and cancelled delete the run's token.
	End    RunState
	Pause  Pause
	Claims string // with PauseNeedSignIn: the claims challenge, stored on the run; cleared by Resume
}

// EngineStore is what the engine needs.
type EngineStore interface {
	// Due lists running runs that no worker holds and whose time has come.
	Due(ctx context.Context, now time.Time, limit int) ([]RunID, error)
	// Claim takes such a run with a new epoch. ok is false when somebody else has it or it is not due.
	Claim(ctx context.Context, id RunID, owner string, now time.Time, lease time.Duration) (f Fence, ok bool, err error)
	// Work reads the run and its targets that have no final outcome, in order of position.
	Work(ctx context.Context, f Fence) (Run, []RunTarget, error)
	// Commit applies a step; ErrFenced when the fence no longer holds, ErrConflict when a change does not match.
	Commit(ctx context.Context, f Fence, s Step) error
	// Release gives the run back until due. Losing the race to another worker is no error.
	Release(ctx context.Context, f Fence, due time.Time) error
}

// TokenStore keeps the sealed token caches of runs.
type TokenStore interface {
	// RunToken returns the sealed token of a run; ErrNotFound when it has none any more.
	RunToken(ctx context.Context, id RunID) ([]byte, error)
}

// RunStore is what the service and the pages need.
type RunStore interface {
	Launch(ctx context.Context, l Launch) (Fence, error)
	Run(ctx context.Context, id RunID) (Run, []RunTarget, error)
	Plan(ctx context.Context, id PlanID) (Plan, error)
	Runs(ctx context.Context, q RunQuery) ([]RunSummary, error)
	// Resume sets a paused run of the same operator running again; ErrConflict when it is not paused or not theirs.
	Resume(ctx context.Context, r Resumption) (Fence, error)
}

// RunQuery selects runs, newest first.
type RunQuery struct {
	Operator string    // object id; "" = everyone's
	Target   string    // object id; runs that touched this user
	Paused   Pause     // only runs that stand still for this cause
	Open     bool      // only unfinished runs
	Self     bool      // only runs whose target is the operator
	Until    time.Time // only runs created before
	Before   RunID     // keyset: older than this run
	Limit    int
}

// RunSummary is a run with what a list shows of it. First is its first target.
type RunSummary struct {
	Run
	First  RunTarget
	Counts map[State]int
}
