package revoke

import (
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
	Self       bool // the one target is the operator: called through /me, confirmed at their next sign-in
	Total      int
	CreatedAt  time.Time
	FinishedAt time.Time // zero while unfinished
	DueAt      time.Time // nothing to do before this
	Events     int       // how many events the run has written
	Claims     string    // while paused as "needs sign-in": the claims challenge to answer; may be empty
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
