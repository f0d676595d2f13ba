// Package revoke is the act: a frozen plan of targets, the run that executes it, the states that a target goes
// through, and the engine that works them until each has one final outcome.
//
// Invariants, each kept by a test:
//   - No record, no action: the intent is committed before Graph is called (worker.takeUp).
//   - Preview is truth: a run touches only the targets of its plan; the digest covers all that decides the effect.
//   - 2xx is not success: only a read-back by object id confirms (Judge).
//   - External accounts are never confirmed.
//   - Everyone ends somewhere: each attempt has one outcome, each retry is a new attempt with its own events.
//   - An operator who is a target loses their console sessions in the transaction that records "accepted".
package revoke

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"time"

	"evict/internal/directory"
)

// PlanID and RunID are UUIDv7 strings.
type (
	PlanID string
	RunID  string
)

// Person is an identity with a snapshot of its name.
type Person struct {
	OID  string `json:"oid"`
	TID  string `json:"tid,omitempty"`
	UPN  string `json:"upn"`
	Name string `json:"name"`
}

// PlanOptions decide what a plan includes.
type PlanOptions struct {
	IncludeExternal bool   `json:"include_external,omitempty"` // insisted on; the outcome is then "not covered"
	IncludeSelf     bool   `json:"include_self,omitempty"`     // the operator's own account, last and through /me (rule 7)
	Without         []Flag `json:"without,omitempty"`          // leaves out everyone who carries one of these
}

// For is the options as somebody takes them over: that another person wanted their own account in does not carry over
// (rule 7).
func (o PlanOptions) For(maker, taker string) PlanOptions {
	o.IncludeSelf = o.IncludeSelf && maker == taker
	return o
}

// Flag marks what an operator should know of a target.
type Flag string

// The flags. A flag that could not be read is listed as "<flag>?".
const (
	FlagExternal   Flag = "external"
	FlagDisabled   Flag = "disabled"
	FlagSynced     Flag = "synced"
	FlagRestricted Flag = "restricted"
	FlagAgent      Flag = "agent"
	FlagSelf       Flag = "self"
	FlagPrivileged Flag = "privileged" // holds a directory role, or is in or owns a role-assignable group
	FlagFederated  Flag = "federated"  // signs in through another identity provider, which can sign an attacker in again
	FlagOperator   Flag = "operator"   // operates Evict, and had an unfinished run
	FlagRecent     Flag = "recent"     // was revoked by Evict within the last day; never a reason to leave out
)

// Target is one user that a plan expanded to.
type Target struct {
	Pos     int       `json:"pos"`
	OID     string    `json:"oid"`
	UPN     string    `json:"upn"`
	Name    string    `json:"name"`
	Reasons []string  `json:"reasons"`
	Flags   []Flag    `json:"flags,omitempty"`
	Verdict string    `json:"-"` // what was predicted (directory.Verdict's words); "" when nothing was
	Because string    `json:"-"` // why, for people
	Before  time.Time `json:"-"` // sessions valid from, at plan time; evidence, not part of what decides the effect
}

// Has reports whether the target carries a flag.
func (t Target) Has(f Flag) bool {
	for _, x := range t.Flags {
		if x == f {
			return true
		}
	}
	return false
}

// External reports whether the target signs in elsewhere, or may: unsure counts as external (rule 4).
func (t Target) External() bool { return t.Has(FlagExternal) || t.Has(FlagExternal+"?") }

// Plan is a frozen, numbered list of targets with all that decides its effect. It is immutable and runs once.
type Plan struct {
	ID         PlanID
	Cloud      string
	Tenant     string
	Creator    Person
	Preview    PreviewID // the preview that it was made from; "" for a plan of one target, which brings its Targets along
	Scope      directory.Scope
	Options    PlanOptions
	Checklist  []Check  // warnings about the tenant, with what the creator answered
	Incomplete []string // sources that could not be read
	Reason     string
	Ticket     string
	CreatedAt  time.Time
	ExpiresAt  time.Time
	Total      int      // targets
	ListDigest string   // hex SHA-256 of the ordered object ids: see ListDigest
	Targets    []Target // of a plan of one target; those of a preview stay with it
	Digest     string   // hex SHA-256, set by Freeze
}

// Check is a warning about the tenant that was shown before a run, and the answer. "No" is allowed.
type Check struct {
	Key    string `json:"key"`
	Text   string `json:"text"`   // as it was shown
	Answer string `json:"answer"` // "yes", "no", "unknown"
}

// PlanLife is how long a plan may wait for its run.
const PlanLife = 30 * time.Minute

// ListDigest hashes an ordered list of targets: SHA-256 over the lines "<position> <object id>\n". It is the part of a
// plan that can be shown before the words of the plan are known.
type ListDigest struct{ sum hash.Hash }

// NewListDigest starts a digest.
func NewListDigest() ListDigest { return ListDigest{sha256.New()} }

// Add takes the next target.
func (d ListDigest) Add(pos int, oid string) { _, _ = fmt.Fprintf(d.sum, "%d %s\n", pos, oid) }

// String returns the digest so far, as hex.
func (d ListDigest) String() string { return hex.EncodeToString(d.sum.Sum(nil)) }

// Freeze computes the digest over everything that decides the plan's effect and returns the plan with it. The list
// digest of a plan that brings its targets along is computed here too.
func (p Plan) Freeze() Plan {
	if p.Preview == "" {
		list := NewListDigest()
		for _, t := range p.Targets {
			list.Add(t.Pos, t.OID)
		}
		p.ListDigest, p.Total = list.String(), len(p.Targets)
	}
	body, err := json.Marshal(struct {
		V          int             `json:"v"`
		ID         PlanID          `json:"id"`
		Cloud      string          `json:"cloud"`
		Tenant     string          `json:"tenant"`
		Creator    string          `json:"creator"`
		Preview    PreviewID       `json:"preview"`
		Scope      directory.Scope `json:"scope"`
		Options    PlanOptions     `json:"options"`
		Checklist  []Check         `json:"checklist"`
		Incomplete []string        `json:"incomplete"`
		Reason     string          `json:"reason"`
		Ticket     string          `json:"ticket"`
		Expires    int64           `json:"expires"` // epoch milliseconds
		Total      int             `json:"total"`
		Targets    string          `json:"targets"` // the list's digest
	}{
		2, p.ID, p.Cloud, p.Tenant, p.Creator.OID, p.Preview, p.Scope, p.Options, p.Checklist, p.Incomplete,
		p.Reason, p.Ticket, p.ExpiresAt.UnixMilli(), p.Total, p.ListDigest,
	})
	if err != nil {
		panic("revoke: a plan of plain values always marshals: " + err.Error())
	}
	sum := sha256.Sum256(body)
	p.Digest = hex.EncodeToString(sum[:])
	return p
}
