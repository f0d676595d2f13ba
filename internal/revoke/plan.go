// Package revoke is the act: a frozen plan of targets, the run that executes it, the states that a target goes
// through, and the engine that works them until each has one final outcome.
//
// Invariants, each kept by a test:
//   - No record, no action: the intent is committed before Graph is called (Engine.attempt).
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
	"time"
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

// Scope is what the operator asked for.
type Scope struct {
	Users []string `json:"users,omitempty"` // object ids
	Self  bool     `json:"self,omitempty"`  // the operator's own account, through /me
}

// PlanOptions decide what a plan includes.
type PlanOptions struct {
	IncludeExternal bool `json:"include_external,omitempty"` // insisted on; the outcome is then "not covered"
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
)

// Target is one user that a plan expanded to.
type Target struct {
	Pos     int       `json:"pos"`
	OID     string    `json:"oid"`
	UPN     string    `json:"upn"`
	Name    string    `json:"name"`
	Reasons []string  `json:"reasons"`
	Flags   []Flag    `json:"flags,omitempty"`
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
	ID           PlanID
	Cloud        string
	Tenant       string
	Creator      Person
	Scope        Scope
	Options      PlanOptions
	Excluded     []string // object ids
	Acknowledged []string // warnings that the creator acknowledged
	Incomplete   []string // sources that could not be read
	Reason       string
	Ticket       string
	CreatedAt    time.Time
	ExpiresAt    time.Time
	Targets      []Target
	Digest       string // hex SHA-256, set by Freeze
}

// PlanLife is how long a plan may wait for its run.
const PlanLife = 30 * time.Minute

// Freeze computes the digest over everything that decides the plan's effect and returns the plan with it.
func (p Plan) Freeze() Plan {
	type target struct {
		Pos int    `json:"pos"`
		OID string `json:"oid"`
	}
	targets := make([]target, len(p.Targets))
	for i, t := range p.Targets {
		targets[i] = target{t.Pos, t.OID}
	}
	body, err := json.Marshal(struct {
		V            int         `json:"v"`
		ID           PlanID      `json:"id"`
		Cloud        string      `json:"cloud"`
		Tenant       string      `json:"tenant"`
		Creator      string      `json:"creator"`
		Scope        Scope       `json:"scope"`
		Options      PlanOptions `json:"options"`
		Excluded     []string    `json:"excluded"`
		Acknowledged []string    `json:"acknowledged"`
		Incomplete   []string    `json:"incomplete"`
		Reason       string      `json:"reason"`
		Ticket       string      `json:"ticket"`
		Expires      int64       `json:"expires"` // epoch milliseconds
		Targets      []target    `json:"targets"`
	}{
		1, p.ID, p.Cloud, p.Tenant, p.Creator.OID, p.Scope, p.Options, p.Excluded, p.Acknowledged, p.Incomplete,
		p.Reason, p.Ticket, p.ExpiresAt.UnixMilli(), targets,
	})
	if err != nil {
		panic("revoke: a plan of plain values always marshals: " + err.Error())
	}
	sum := sha256.Sum256(body)
	p.Digest = hex.EncodeToString(sum[:])
	return p
}
