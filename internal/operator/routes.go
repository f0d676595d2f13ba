package operator

import "slices"

// Access says who may use a route.
type Access int

// The kinds of access. The zero value lets nobody in, so that a row left half-written fails closed.
const (
	Nobody   Access = iota
	Public          // anyone, without a session
	SignedIn        // anyone with a session, even without a console role
	ByRole          // a session with one of the route's roles
)

// Route is one row of the table. Name is how handlers find their row; Pattern is chi's.
type Route struct {
	Name    string
	Method  string
	Pattern string
	Access  Access
	Roles   Roles // for ByRole
	Demo    bool  // served in demo mode only
}

var (
	everyone = Roles{Responder, Lead, Approver, Auditor, Admin}
	actors   = Roles{Responder, Lead}
	watchers = Roles{Responder, Lead, Approver, Auditor, Admin}
	readers  = Roles{Lead, Approver, Auditor, Admin}
)

// Routes is the whole table: what is not in it is not served. Static files and health checks are mounted beside it;
// they hold nothing about anybody.
func Routes() []Route {
	return []Route{
		{Name: "signin", Method: "GET", Pattern: "/signin", Access: Public},
		{Name: "auth.start", Method: "GET", Pattern: "/auth/signin", Access: Public},
		{Name: "auth.callback", Method: "GET", Pattern: "/auth/callback", Access: Public},
		{Name: "auth.signout", Method: "POST", Pattern: "/auth/signout", Access: SignedIn},
		{Name: "norole", Method: "GET", Pattern: "/no-role", Access: SignedIn},

		{Name: "home", Method: "GET", Pattern: "/", Access: ByRole, Roles: everyone},
		{Name: "me", Method: "GET", Pattern: "/me", Access: ByRole, Roles: everyone},
		{Name: "me.revoke", Method: "POST", Pattern: "/me/revoke", Access: ByRole, Roles: everyone},

		{Name: "search", Method: "GET", Pattern: "/search", Access: ByRole, Roles: actors},
		{Name: "user", Method: "GET", Pattern: "/users/{id}", Access: ByRole, Roles: actors},
		{Name: "user.revoke", Method: "POST", Pattern: "/users/{id}/revoke", Access: ByRole, Roles: actors},
		{Name: "group", Method: "GET", Pattern: "/groups/{id}", Access: ByRole, Roles: actors},
		{Name: "role", Method: "GET", Pattern: "/roles/{id}", Access: ByRole, Roles: actors},

		{Name: "runs", Method: "GET", Pattern: "/runs", Access: ByRole, Roles: watchers},
		{Name: "run", Method: "GET", Pattern: "/runs/{id}", Access: ByRole, Roles: watchers},
		{Name: "run.resume", Method: "POST", Pattern: "/runs/{id}/resume", Access: ByRole, Roles: everyone},

		{Name: "ledger", Method: "GET", Pattern: "/ledger", Access: ByRole, Roles: readers},
		{Name: "ledger.event", Method: "GET", Pattern: "/ledger/{seq}", Access: ByRole, Roles: readers},
		{Name: "outside", Method: "GET", Pattern: "/outside", Access: ByRole, Roles: actors},
		{Name: "outside.record", Method: "POST", Pattern: "/outside", Access: ByRole, Roles: actors},

		{Name: "components", Method: "GET", Pattern: "/components", Access: Public, Demo: true},
	}
}

// MayOpen reports whether a person with these console roles may use the named route. An unknown name is refused.
func (rs Roles) MayOpen(name string) bool {
	routes := Routes()
	i := slices.IndexFunc(routes, func(r Route) bool { return r.Name == name })
	if i < 0 {
		return false
	}
	return routes[i].Admits(rs)
}

// Admits reports whether a signed-in person with these console roles may use the route.
func (r Route) Admits(rs Roles) bool {
	switch r.Access {
	case Public, SignedIn:
		return true
	case ByRole:
		return rs.Has(r.Roles...)
	default:
		return false
	}
}

// ObjectKind is a kind of thing that one operator makes and others may or may not see.
type ObjectKind int

// The kinds of object. The zero value is seen by nobody.
const (
	UnknownObject ObjectKind = iota
	PlanObject
	RunObject
)

// Object is what Visible judges: a plan or a run, who made it, and whether the plan was submitted.
type Object struct {
	Kind      ObjectKind
	Creator   string // object id of its creator
	Submitted bool   // a plan that was sent to approval or run
}

// Visible decides which plans and runs a person may open: everyone their own; Lead, Approver and Admin all runs, and
// plans once submitted; Auditor runs. Whoever asks for another gets "not found".
func Visible(o Operator, obj Object) bool {
	if len(o.Roles) == 0 || obj.Kind == UnknownObject {
		return false
	}
	if obj.Creator == o.OID {
		return true
	}
	switch obj.Kind {
	case RunObject:
		return o.Roles.Has(Lead, Approver, Auditor, Admin)
	case PlanObject:
		return obj.Submitted && o.Roles.Has(Lead, Approver, Admin)
	default:
		return false
	}
}
