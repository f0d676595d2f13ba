package directory

import (
	"context"
	"fmt"
	"time"

	"evict/internal/operator"
)

// CallError is a Graph call that did not end in a 2xx answer.
type CallError struct {
	Status          int    // HTTP status; 0 when no answer came
	Code, Message   string // Graph's error code and words, or a Code of ours; empty when the body had none
	Claims          string // decoded JSON of a claims challenge; empty when there was none
	RequestID       string // Graph's request-id; empty when no answer came
	ClientRequestID string // ours
	Date            time.Time
	RetryAfter      time.Duration // 0 when Graph named none
	ThrottleScope   string        // x-ms-throttle-scope: whose limit was reached
	Load            float64       // x-ms-throttle-limit-percentage: 1.0 is the limit; 0 when Graph named none
	Sent            bool          // the request may have reached Graph: the answer was lost, not the question
	Err             error         // the transport's error when no answer came
}

// Codes of a CallError that are ours, not Graph's.
const (
	CodeForeign    = "ForeignAddress"   // an address outside of the configured Graph, such as a page link: not called
	CodeUnexpected = "UnexpectedAnswer" // the answer is not what was asked for
)

// Error describes the failed call; it holds no token, address query or body.
func (e *CallError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("graph gave no answer: %v", e.Err)
	}
	return fmt.Sprintf("graph answered %d %s: %s (request-id %s)", e.Status, e.Code, e.Message, e.RequestID)
}

// Unwrap returns the transport's error.
func (e *CallError) Unwrap() error { return e.Err }

// Answer is what a 2xx answer of Graph says about itself.
type Answer struct {
	Status          int
	RequestID       string
	ClientRequestID string
	Date            time.Time // Graph's clock, whole seconds
	Load            float64   // x-ms-throttle-limit-percentage: how near the limit is, from 0.8 on; 0 when Graph named none
}

// Sessions is what a read-back by object id says of an account.
type Sessions struct {
	From      time.Time // sessions are valid from then on (signInSessionsValidFromDateTime, whole seconds); zero: Graph gave none
	Elsewhere Tri       // the account signs in elsewhere by now, whatever a list said before (User.SignsInElsewhere)
}

// Graph is what this package needs of Microsoft Graph. Every method acts with the operator's own token, and returns
// *CallError, *operator.ReauthError, or the context's error.
type Graph interface {
	People
	Groups
	Roles
	Lists
}

// People reads users and what belongs to one.
type People interface {
	// User reads one user by object id or UPN; lists, searches and eventual consistency are never used for it.
	User(ctx context.Context, t operator.TokenSource, idOrUPN string) (User, Answer, error)
	// FindUsers returns up to limit users whose name, UPN or mail matches text. Its index may lag behind.
	FindUsers(ctx context.Context, t operator.TokenSource, text string, limit int) ([]User, error)
	// Memberships lists the groups, directory roles and administrative units that a user is in, nested ones included.
	Memberships(ctx context.Context, t operator.TokenSource, userID string) (Memberships, error)
	// LastSignIn reads a user's sign-in activity; it needs AuditLog.Read.All and Entra ID P1.
	LastSignIn(ctx context.Context, t operator.TokenSource, userID string) (SignIn, error)
	// Federated says whether a domain's sign-ins go to another identity provider; it needs Domain.Read.All.
	Federated(ctx context.Context, t operator.TokenSource, domain string) (Tri, error)
	// Domains lists the tenant's domains; it needs Domain.Read.All.
	Domains(ctx context.Context, t operator.TokenSource) ([]Domain, error)
}

// Groups reads groups.
type Groups interface {
	FindGroups(ctx context.Context, t operator.TokenSource, text string, limit int) ([]Group, error)
	Group(ctx context.Context, t operator.TokenSource, id string) (Group, error)
	// Members returns up to limit users who are in the group, nested ones included, and how many there are (-1 when
	// Graph does not say).
	Members(ctx context.Context, t operator.TokenSource, id string, limit int) ([]User, int, error)
	// OwnedGroups lists the groups that a user owns.
	OwnedGroups(ctx context.Context, t operator.TokenSource, userID string) ([]Group, error)
}

// Roles reads directory roles and administrative units.
type Roles interface {
	RoleDefinitions(ctx context.Context, t operator.TokenSource) ([]Role, error)
	// ActiveRoles lists the roles assigned to exactly this principal and active now, with their scopes.
	ActiveRoles(ctx context.Context, t operator.TokenSource, principalID string) ([]Holding, error)
	// EligibleRoles lists the roles that exactly this principal may activate; it needs Entra ID P2 and a reader role.
	EligibleRoles(ctx context.Context, t operator.TokenSource, principalID string) ([]Holding, error)
	// Holders lists the principals of a role.
	Holders(ctx context.Context, t operator.TokenSource, roleID string, how How) ([]Holder, error)
	// Unit reads an administrative unit; it needs AdministrativeUnit.Read.All.
	Unit(ctx context.Context, t operator.TokenSource, id string) (Unit, error)
	// FindUnits returns up to limit administrative units whose name matches text, or the first when text is empty; it
	// needs AdministrativeUnit.Read.All.
	FindUnits(ctx context.Context, t operator.TokenSource, text string, limit int) ([]Unit, error)
}

// Unread is something that could not be read, why, and what would make it readable.
type Unread struct {
	What, Why, Fix string
	Weighs         bool // it could change what is predicted about authority
}

// Memberships is what a user is in.
type Memberships struct {
	Groups []Group
	Roles  []Role // active, tenant-wide
	Units  []Unit
	More   bool // there are more than were read
}

// SignIn is when an account last signed in; a zero time is a sign-in that Entra does not know of.
type SignIn struct {
	Interactive    time.Time // last interactive sign-in or attempt
	NonInteractive time.Time // last one made by a client on the person's behalf
	Successful     time.Time // last one of either kind that succeeded
}

// Latest returns the latest of the times.
func (s SignIn) Latest() time.Time {
	out := s.Interactive
	for _, t := range []time.Time{s.NonInteractive, s.Successful} {
		if t.After(out) {
			out = t
		}
	}
	return out
}

// Group is a group.
type Group struct {
	ID, Name, Description, Mail string
	RoleAssignable, Dynamic     Tri
	HiddenMembership            Tri
}

// Unit is an administrative unit.
type Unit struct {
	ID, Name   string
	Restricted Tri // restricted management: only roles scoped to the unit may change its members
	Hidden     Tri // its members are shown to few (visibility HiddenMembership)
}

// Domain is a domain of the tenant.
type Domain struct {
	Name      string // lower case
	Federated Tri    // sign-ins go to another identity provider
}

// Role is a directory role definition.
type Role struct {
	TemplateID, Name, Description string // TemplateID is the definition's id for a custom role
	Privileged                    Tri
}

// How says in which way a role is held.
type How string

// The ways to hold a role.
const (
	Active   How = "active"   // assigned, or activated at this moment
	Eligible How = "eligible" // PIM: may activate it
)

// Holding is one role of one principal.
type Holding struct {
	Role            Role
	How             How
	Through         string // name of the group that carries it; "" when direct
	Scope           string // "/" for the tenant, "/administrativeUnits/{id}", "/{objectId}"
	ScopeName       string // name of the administrative unit, when it could be read
	ScopeRestricted Tri    // the scope is a restricted-management unit
	Until           time.Time
	Since           time.Time // Since and Until bound a timed holding; zero when it has no such bound
}

// Holder is one principal of a role, or one who may join a group through PIM for Groups.
type Holder struct {
	ID, Name, UPN string
	Kind          string // "user", "group", "servicePrincipal"; "" when Graph does not say
	How           How
	Scope         string
	RoleID        string    // template id of the role; "" for a group's
	Owner         bool      // of a group: may become its owner, not a member
	Since, Until  time.Time // bounds of an eligibility; zero when it has no such bound
}

// Standing is what decides authority: a person's roles, the groups that protect them, and their units.
type Standing struct {
	Holdings        []Holding
	RoleGroups      []Group // role-assignable groups that they are in
	OwnedRoleGroups []Group // role-assignable groups that they own
	Units           []Unit
	Unread          []Unread
}
