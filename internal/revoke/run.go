package revoke

import (
	"maps"
	"time"

	"evict/internal/operator"
)

// State is where a target stands. A target ends in exactly one final state per attempt.
type State string

// The states of a target: pending -> attempting -> accepted -> confirmed, or one of the other final states.
// Pending with an attempt number above 0 waits for its next attempt.
const (
	Pending     State = "pending"
	Attempting  State = "attempting" // the intent is recorded; the call is under way, or its answer was lost
	Accepted    State = "accepted"   // Graph answered 2xx; reading back
	Confirmed   State = "confirmed"
	Unconfirmed State = "unconfirmed"
	NotCovered  State = "not covered" // external account: its home tenant keeps the session
	Refused     State = "refused"     // 403
	Failed      State = "failed"
	Skipped     State = "skipped" // for a cause that Message names
	Cancelled   State = "cancelled"
)

// Final reports whether the target has its outcome.
func (s State) Final() bool {
	switch s {
	case Confirmed, Unconfirmed, NotCovered, Refused, Failed, Skipped, Cancelled:
		return true
	default:
		return false
	}
}

// RunState is where a run stands.
type RunState string

// The states of a run.
const (
	RunQueued    RunState = "queued"
	RunRunning   RunState = "running"
	RunPaused    RunState = "paused"
	RunFinished  RunState = "finished"
	RunCancelled RunState = "cancelled"
)

// Pause says why a run stands still.
type Pause string

// The causes of a pause.
const (
	NotPaused       Pause = ""
	PauseOperator   Pause = "operator"
	PauseNeedSignIn Pause = "needs sign-in"
	PauseNeedRole   Pause = "needs role"
	PauseStale      Pause = "stood still"       // for more than two hours: a click shows what changed
	PauseCanary     Pause = "the first targets" // those that went ahead were not confirmed
)

// Wish is what somebody asked of a running run. Its worker sees it at its next commit, makes no new call, and ends the
// run that way once every call that was made has its outcome.
type Wish string

// The wishes.
const (
	NoWish     Wish = ""
	WishPause  Wish = "pause"
	WishCancel Wish = "cancel"
)

// Counts says how many targets stand where. Targets that were never attempted are not in it.
type Counts map[State]int

// Open is how many targets were begun and have no final outcome.
func (c Counts) Open() int { return c[Pending] + c[Attempting] + c[Accepted] }

// Moved is the counts after one target went from one state to another; "" is a target that was not begun.
func (c Counts) Moved(from, to State) Counts {
	out := maps.Clone(c)
	if out == nil {
		out = Counts{}
	}
	if from != "" {
		if out[from]--; out[from] == 0 {
			delete(out, from)
		}
	}
	out[to]++
	return out
}

// Limit says what keeps a run from going faster.
type Limit string

// The limits.
const (
	LimitNone   Limit = ""       // nothing but the network
	LimitBucket Limit = "bucket" // our own share of Microsoft's quota
	LimitApp    Limit = "app"    // Microsoft's limit for this app
	LimitTenant Limit = "tenant" // Microsoft's limit for the whole tenant: other apps use it too
	LimitCanary Limit = "canary" // the first targets have to be confirmed
	LimitFlight Limit = "flight" // calls under way at the same time
)

// Run is the execution of one plan.
type Run struct {
	ID         RunID
	Plan       PlanID
	Digest     string
	Cloud      string
	Tenant     string
	State      RunState
	Pause      Pause
	Operator   Person
	Address    string   // client address of the operator when the run was started
	Roles      []string // console roles of the operator when the run was started
	Reason     string
	Ticket     string
	Self       bool // the operator is among the targets, as the last: called through /me, confirmed at their next sign-in
	Total      int
	CreatedAt  time.Time
	FinishedAt time.Time // zero while unfinished
	DueAt      time.Time // nothing to do before this
	Events     int       // how many events the run has written
	Claims     string    // while paused as "needs sign-in": the claims challenge to answer; may be empty
	Preview    PreviewID // "" for a run of one target
	Parent     RunID     // the run whose targets this one tries again; "" otherwise
	Wish       Wish
	Progress
}

// Progress is how far a run has come. Only its worker changes it, in the commits that change its targets.
type Progress struct {
	Next    int    // position of the first target that was never attempted
	Counts  Counts // of the targets before Next
	Refused int    // refusals in a row of targets that were predicted to be allowed
	Canary  bool   // the first targets have been confirmed: the rest may go
	Limit   Limit
}

// Untouched is how many targets were never attempted.
func (r Run) Untouched() int { return r.Total - r.Next }

// Sample is a run's progress at one moment, for its chart.
type Sample struct {
	At                      time.Time
	Begun, Final, Confirmed int
}

// Ref is the run as sealed tokens are bound to it.
func (r Run) Ref() operator.RunRef {
	return operator.RunRef{Run: string(r.ID), Digest: r.Digest, OID: r.Operator.OID, TID: r.Operator.TID}
}

// RunTarget is one target of a run with its evidence. T0, Before, After and Answered are on Graph's clock.
type RunTarget struct {
	Target

	Run             RunID
	State           State
	Attempt         int       // how many times its intent was recorded
	Lost            bool      // the call's answer was lost or unclear: read-back decides
	Tries           int       // attempts that ended without a clear answer
	Accepts         int       // attempts that Graph accepted
	Reads           int       // read-backs since the last attempt
	DueAt           time.Time // our clock: nothing to do before this
	StartedAt       time.Time // our clock: when the last attempt was recorded
	ReadFrom        time.Time // our clock: since when it is read back
	T0              time.Time
	After           time.Time // last value read back; zero before
	Answered        time.Time // Date of the 2xx answer
	Status          int
	RequestID       string
	ClientRequestID string
	Code            string
	Message         string // cause, for people
	Settled         string // how, when not by the answer
	UpdatedAt       time.Time
}
