package directory

import (
	"context"

	"evict/internal/operator"
)

// SourceKind names a way into a scope, or out of it.
type SourceKind string

// The kinds of source.
const (
	UserSource   SourceKind = "user"
	GroupSource  SourceKind = "group"  // with nested groups
	RoleSource   SourceKind = "role"   // active and eligible holders, also through groups
	UnitSource   SourceKind = "unit"   // administrative unit
	FilterSource SourceKind = "filter" // OData $filter over users
	ListSource   SourceKind = "list"   // pasted or uploaded: UPNs, addresses or object ids
	TenantSource SourceKind = "tenant" // every user
	RunSource    SourceKind = "run"    // the targets of a former run
)

// AnyRole is the ID of a RoleSource that means every directory role: everyone who holds one, or may activate one.
const AnyRole = "any"

// anyRoleName is how AnyRole is named for people.
const anyRoleName = "every directory role"

// Source is one line of a scope. What a kind does not use is empty.
type Source struct {
	Kind     SourceKind `json:"kind"`
	ID       string     `json:"id,omitempty"`   // object id; role: template id or AnyRole; run: run id
	Name     string     `json:"name,omitempty"` // as Entra gave it when the source was added, for reading
	Ways     []How      `json:"ways,omitempty"` // role: the ways to hold it that count; none means all
	Filter   string     `json:"filter,omitempty"`
	Lines    []string   `json:"lines,omitempty"`
	Outcomes []string   `json:"outcomes,omitempty"` // run: only targets with one of these; none means all
}

// Scope is what an operator asks for: everyone whom a source of Include leads to, less everyone whom one of Exclude
// leads to.
type Scope struct {
	Include []Source `json:"include"`
	Exclude []Source `json:"exclude,omitempty"`
}

// Limits of a scope.
const (
	MaxSources = 50      // in Include and Exclude together
	MaxFilter  = 1000    // bytes of a $filter
	MaxLines   = 100_000 // of all lists together
)

// Hit is one user whom one path of a scope led to. The same user may be hit many times; whoever takes hits merges them
// by object id.
type Hit struct {
	User       User
	Reason     string // the path, for people: "role Global Administrator (eligible) > group Tier 0 > group Night shift"
	Excluded   bool   // by a source of Exclude
	Privileged Tri    // holds a directory role, actively or eligibly, or is in or owns a role-assignable group
	// Cause says which readings failed, where Privileged is Unknown; "" otherwise. It is the same for every hit of an
	// expansion, so that it need be shown once only, and Expansion.FlagsUnread says more.
	Cause      string
	Federated  Tri // sign-ins of the user's domain go to another identity provider
	Prediction Prediction
}

// Line is what became of one line of a list.
type Line struct {
	Text   string   `json:"text"`
	Fate   LineFate `json:"fate"`
	Reason string   `json:"reason,omitempty"` // why not, for people
}

// LineFate says what a line of a list led to.
type LineFate string

// The fates of a line.
const (
	LineMatched   LineFate = "matched"
	LineDuplicate LineFate = "duplicate" // the same account as an earlier line
	LineAmbiguous LineFate = "ambiguous" // more than one account; none was taken
	LineNotFound  LineFate = "not found"
	LineUnread    LineFate = "not read" // Graph did not answer for it
)

// Aside is something that a scope led to and that cannot be revoked here.
type Aside struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Kind   string `json:"kind"`   // "servicePrincipal"; "" when Graph does not say
	Reason string `json:"reason"` // the path
}

// Expansion is what an expansion learned besides its hits.
type Expansion struct {
	Unread          []Unread // sources that were not read whole: the plan is incomplete
	Aside           []Aside  // service principals and the like, each once
	Lines           []Line   // of every list, in order, but the matched ones
	Matched         int      // lines that were matched
	EnabledInternal int      // enabled accounts that sign in here, in the whole tenant; -1 when unknown
	Federated       []string // federated domains of the tenant; nil when there are none or they could not be read
	FederatedRead   bool
	// FlagsUnread says what flags and predictions rest on and could not be read: nobody is missing for it, but flags are
	// Unknown and predictions less sure.
	FlagsUnread []Unread
}

// FormerTargets lists, in order, the object ids of a run's targets that ended with one of the outcomes (none = all),
// to take, in pages. It returns fault.NotFound when the operator may not see such a run.
type FormerTargets func(ctx context.Context, run string, outcomes []string, take func(oids []string) error) error

// ExpandRequest is what Expand works on.
type ExpandRequest struct {
	Tokens   operator.TokenSource
	Operator operator.Operator
	Scope    Scope
	Former   FormerTargets
	// Take gets the hits in pages of at most 1,000, one page at a time; an error ends the expansion with it.
	Take func(ctx context.Context, hits []Hit) error
	// Doing is told, for people, what is being read at the moment. It may be nil.
	Doing func(what string)
}
