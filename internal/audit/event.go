// Package audit is the form of the ledger: what an event is, its exact bytes, the Merkle tree over them, checkpoints,
// proofs, what is taken away, and how all of it is verified.
//
// Invariants: it does no I/O and imports nothing of ours; an event's bytes are made once, by Encode, stored as they
// are, and never rebuilt; an event holds plain strings, because it is a file format; nothing in an event is a secret.
package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode"
)

// Kind names what happened. The values are part of the file format and never change their meaning.
type Kind string

// The kinds of event.
const (
	LedgerOpened Kind = "ledger.opened" // the first event: binds the database to one cloud and tenant

	SignedIn     Kind = "session.signed_in"
	SignedOut    Kind = "session.signed_out"     // also when a revocation ended the session; Detail says which
	SignInFailed Kind = "session.sign_in_failed" // after state was verified; never for a stranger's request
	SignInDenied Kind = "session.denied"         // signed in at Microsoft, but without a console role

	PlanPreviewed Kind = "plan.previewed" // a scope was expanded to a frozen list of targets
	PlanCreated   Kind = "plan.created"

	RunStarted   Kind = "run.started"
	RunStopping  Kind = "run.stopping" // somebody asked to pause or cancel it; Detail says which
	RunPaused    Kind = "run.paused"
	RunResumed   Kind = "run.resumed"
	RunCancelled Kind = "run.cancelled"
	RunFinished  Kind = "run.finished" // Detail holds the counts, how many events the run wrote and its last sequence

	TargetAttempted   Kind = "target.attempted" // the intent: committed before Graph is called
	TargetAccepted    Kind = "target.accepted"
	TargetConfirmed   Kind = "target.confirmed"
	TargetUnconfirmed Kind = "target.unconfirmed"
	TargetNotCovered  Kind = "target.not_covered"
	TargetRefused     Kind = "target.refused"
	TargetFailed      Kind = "target.failed"
	TargetSkipped     Kind = "target.skipped"

	SettingsChanged Kind = "settings.changed" // Detail says what

	OutsideAction Kind = "outside.action" // a revocation done without Evict, recorded by hand

	LedgerKey      Kind = "ledger.key"        // the key that signs checkpoints from here on; signed by the one before
	LedgerExported Kind = "ledger.exported"   // evidence was taken away; Detail says what, and up to which size
	LedgerVerified Kind = "ledger.verified"   // somebody verified the ledger; Outcome is intact or problems
	Reconciled     Kind = "ledger.reconciled" // it was compared with Entra's own log
	LedgerRollback Kind = "ledger.rollback"   // a tree that contradicts the last checkpoint was accepted
	LedgerRemoved  Kind = "ledger.removed"    // retention: the bytes of a sealed range were removed

	LedgerUnwitnessed Kind = "ledger.unwitnessed" // a process began without a checkpoint outside the database
)

// Kinds lists every kind, in the order in which a filter offers them.
func Kinds() []Kind {
	return []Kind{
		LedgerOpened, SignedIn, SignedOut, SignInFailed, SignInDenied, PlanPreviewed, PlanCreated,
		RunStarted, RunStopping, RunPaused, RunResumed, RunCancelled, RunFinished,
		TargetAttempted, TargetAccepted, TargetConfirmed, TargetUnconfirmed, TargetNotCovered, TargetRefused,
		TargetFailed, TargetSkipped, SettingsChanged, OutsideAction,
		LedgerKey, LedgerExported, LedgerVerified, Reconciled, LedgerRollback, LedgerRemoved, LedgerUnwitnessed,
	}
}

// Person is an identity with a snapshot of its name. For an operator all fields are set; for a target OID, UPN, Name.
type Person struct {
	OID     string   `json:"oid,omitempty"`
	TID     string   `json:"tid,omitempty"`
	UPN     string   `json:"upn,omitempty"`
	Name    string   `json:"name,omitempty"`
	Address string   `json:"address,omitempty"` // client address
	Roles   []string `json:"roles,omitempty"`   // console roles at that moment
}

// Evidence is what proves an outcome. Times are RFC 3339 in UTC; T0, Before and After are on Graph's clock.
type Evidence struct {
	T0              string `json:"t0,omitempty"`     // time of the attempt, milliseconds
	Before          string `json:"before,omitempty"` // signInSessionsValidFromDateTime before the attempt
	After           string `json:"after,omitempty"`  // the same, read back by object id
	Status          int    `json:"status,omitempty"` // HTTP status of the revoke call
	RequestID       string `json:"request_id,omitempty"`
	ClientRequestID string `json:"client_request_id,omitempty"`
	Code            string `json:"code,omitempty"`    // Graph error code or AADSTS number
	Message         string `json:"message,omitempty"` // Graph's or our words on it, cut to 500 characters
	Settled         string `json:"settled,omitempty"` // how, when not by the answer: "answer lost, settled by read-back"
}

// Event is one entry of the ledger. Seq is given by the store inside the transaction; everything else by the domain.
type Event struct {
	V        int               `json:"v"` // version of this form, 1
	Seq      int64             `json:"seq"`
	ID       string            `json:"id"`   // UUIDv7
	Time     string            `json:"time"` // RFC 3339, UTC, milliseconds
	Kind     Kind              `json:"kind"`
	Cloud    string            `json:"cloud"`
	Tenant   string            `json:"tenant"`
	Operator *Person           `json:"operator,omitempty"` // nil for what the console did by itself at start
	Target   *Person           `json:"target,omitempty"`
	Plan     string            `json:"plan,omitempty"`
	Run      string            `json:"run,omitempty"`
	Attempt  int               `json:"attempt,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Ticket   string            `json:"ticket,omitempty"`
	Outcome  string            `json:"outcome,omitempty"` // the target's or run's state after this event
	Evidence *Evidence         `json:"evidence,omitempty"`
	Detail   map[string]string `json:"detail,omitempty"`
}

// Record is an event as it stands in the ledger: the exact stored bytes, and what they say.
type Record struct {
	Seq   int64
	Body  []byte
	Event Event
}

const (
	version    = 1
	timeLayout = "2006-01-02T15:04:05.000Z"
)

// FormatTime renders a time as events hold it: RFC 3339, UTC, milliseconds; "" for the zero time.
func FormatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

// ParseTime reads what FormatTime wrote; the zero time for "".
func ParseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(timeLayout, s)
}

// Encode gives an event its sequence number and returns its canonical bytes: one line of compact JSON, fields in the
// order of the type, map keys sorted, no HTML escapes, invalid UTF-8 replaced, characters
// that turn the direction of text escaped. They are the leaf; store them as they are.
func Encode(seq int64, e Event) ([]byte, error) {
	e.V, e.Seq = version, seq
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("encoding event %d: %w", seq, err)
	}
	return escapeBidi(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// escapeBidi writes the characters that turn the direction of text as JSON escapes, so that nobody can make the bytes
// read otherwise than they are. In JSON they can stand inside strings only.
func escapeBidi(body []byte) []byte {
	if !bytes.ContainsFunc(body, isBidi) {
		return body
	}
	var b bytes.Buffer
	for _, r := range string(body) {
		if isBidi(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

func isBidi(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }

// Decode reads stored bytes back.
func Decode(body []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		return Event{}, fmt.Errorf("decoding event: %w", err)
	}
	return e, nil
}
