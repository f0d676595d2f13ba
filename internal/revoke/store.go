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

// Slice names the next piece of work on a run: the epoch that its worker will have. It is what a queue carries, and
// claiming it twice is impossible.
type Slice struct {
	Run   RunID
	Epoch int64
}

// Launch is a plan with the run that starts at once: one transaction. The plan of a preview brings no targets, and the
// preview remembers the run. A launch with Targets takes their calls from the bucket, whatever is in it.
type Launch struct {
	Plan         Plan
	Run          Run
	Targets      []RunTarget // the first ones, in state Attempting; their intents are among the events
	Token        []byte      // the operator's sealed token cache
	TokenExpires time.Time
	Session      []byte // the console session that asks: nothing happens once it has ended; nil when there is none to check
	Owner        string // "" leaves the run to whoever claims it
	Now          time.Time
	Lease        time.Duration
	Events       []audit.Event
}

// fence is what a launch gives its owner: the run in its first epoch. Without an owner the first epoch is still to be
// claimed.
func (l Launch) fence() Fence {
	if l.Owner == "" {
		return Fence{Run: l.Run.ID}
	}
	return Fence{Run: l.Run.ID, Owner: l.Owner, Epoch: 1}
}

// Resumption sets a paused run going again, at once in the hands of Owner.
type Resumption struct {
	Run          RunID
	Operator     string // object id; only the run's own operator resumes it
	Token        []byte // nil keeps no token: the worker has one at hand
	TokenExpires time.Time
	Session      []byte // as in Launch
	Wish         Wish   // WishCancel takes the run up only to cancel it
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

// Granted is the answer to a commit: what was granted of the step's Want, and how things stand after it.
type Granted struct {
	Targets []RunTarget // now Attempting, with their intents recorded, or ended by Intend
	Counts  Counts
	Next    int
	Wish    Wish
	Quota   Quota
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

	// Want is how many attempts to begin, as far as the bucket allows: first those of Retry, in order, then the next
	// targets of the list that were never attempted. Urgent may go to the bottom of the bucket. The bucket hears Heard
	// first. While somebody wishes the run to pause or to be cancelled, nothing is granted.
	Want   int
	Urgent bool
	Retry  []RunTarget // in state Pending, as the worker saw them
	Heard  Heard
	// Intend makes the intent of one granted target: the row as it will stand, Attempting, or final where it must not be
	// called (protected since the plan was made, rule 6), and the events that say so. It is pure, and called inside the transaction.
	Intend func(t RunTarget, protected bool) (RunTarget, []audit.Event)

	// Refused, Canary and Limit are the run's progress after this step; Counts and Next are kept by the store.
	Refused int
	Canary  bool
	Limit   Limit
	Sample  bool // keep a sample of the progress

	// Evict names people who were just revoked: their console sessions from before the cut, token caches and run tokens
	// are deleted and their running runs paused as "needs sign-in" (rule 12), this run too if it is theirs. Evicted makes the events that say
	// so; it is pure, called inside the transaction once for each who had a session or a run, and its events are appended.
	Evict   []Cut
	Evicted func(Footprint) []audit.Event

	// End closes or pauses the run: RunFinished, RunCancelled or RunPaused (with Pause). "" leaves it running.
	// Finished and cancelled delete the run's token. A pause that was taken back meanwhile, or overtaken by a cancel, is in conflict.
	End    RunState
	Pause  Pause
	Claims string // with PauseNeedSignIn: the claims challenge, stored on the run; cleared by Resume
}

// EngineStore is what the engine needs.
type EngineStore interface {
	// Due lists running runs that no worker holds and whose time has come.
	Due(ctx context.Context, now time.Time, limit int) ([]Slice, error)
	// Claim takes such a run with the slice's epoch. ok is false when it is not due, or another epoch is next.
	Claim(ctx context.Context, s Slice, owner string, now time.Time, lease time.Duration) (f Fence, ok bool, err error)
	// Work reads the run and its targets that were begun and have no final outcome, in order of position.
	Work(ctx context.Context, f Fence) (Run, []RunTarget, error)
	// Commit applies a step; ErrFenced when the fence no longer holds, ErrConflict when a change does not match.
	Commit(ctx context.Context, f Fence, s Step) (Granted, error)
	// Quota reads the bucket.
	Quota(ctx context.Context) (Quota, error)
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
	// Launch stores the plan and starts its run. The fence has epoch 1, or 0 when there is no owner. ErrConflict when the
	// plan, the run or a run of the same preview is there already; ErrEnded when the session has ended.
	Launch(ctx context.Context, l Launch) (Fence, error)
	// Run reads a run without its targets.
	Run(ctx context.Context, id RunID) (Run, error)
	// RunTargets returns a page of a run's targets that were begun, in order of position.
	RunTargets(ctx context.Context, id RunID, q RunTargetQuery) ([]RunTarget, error)
	Plan(ctx context.Context, id PlanID) (Plan, error)
	Runs(ctx context.Context, q RunQuery) ([]RunSummary, error)
	// Samples returns a run's chart: at most limit points, evenly thinned, the last one among them.
	Samples(ctx context.Context, id RunID, limit int) ([]Sample, error)
	// Resume sets a paused run of the same operator running again, without a wish; ErrConflict when it is not paused or not
	// theirs, or when somebody wishes it cancelled and this is not to do that. One that paused for its first targets or for a role goes on as if its canary had been confirmed, and its
	// refusals in a row start anew: a person has looked at it.
	Resume(ctx context.Context, r Resumption) (Fence, error)
	// Ask sets a running run's wish and makes the run due at once; ErrConflict when it is not running. A cancel is not taken
	// back, and only a pause that has not come about yet is (NoWish).
	Ask(ctx context.Context, id RunID, w Wish, events []audit.Event) error
}

// RunTargetQuery selects a page of a run's targets.
type RunTargetQuery struct {
	States []State // none = all
	Text   string  // only people whose UPN or name holds it, whatever the case
	After  int     // keyset: positions after this one; -1 from the start
	Limit  int
}

// RunQuery selects runs, newest first.
type RunQuery struct {
	Operator string    // object id; "" = everyone's
	Target   string    // object id; runs that touched this user
	Paused   Pause     // only runs that stand still for this cause
	Open     bool      // only unfinished runs
	Self     bool      // only runs whose target is the operator
	Parent   RunID     // only runs that try again what this one left
	Until    time.Time // only runs that are due, or stand still, since before
	Before   RunID     // keyset: older than this run
	Limit    int
}

// RunSummary is a run with what a list shows of it. First is its first target.
type RunSummary struct {
	Run
	First RunTarget
}
