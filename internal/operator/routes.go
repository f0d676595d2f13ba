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
	leads    = Roles{Lead}
	admins   = Roles{Admin}
	// planReaders see a plan once it was submitted; Visible decides about each.
	planReaders = Roles{Lead, Approver, Auditor, Admin}
	readers     = Roles{Lead, Approver, Auditor, Admin}
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

		{Name: "scopes", Method: "GET", Pattern: "/scopes", Access: ByRole, Roles: leads},
		{Name: "scope.new", Method: "POST", Pattern: "/scopes", Access: ByRole, Roles: leads},
		{Name: "scope", Method: "GET", Pattern: "/scopes/{id}", Access: ByRole, Roles: leads},
		{Name: "scope.add", Method: "POST", Pattern: "/scopes/{id}/add", Access: ByRole, Roles: leads},
		{Name: "scope.remove", Method: "POST", Pattern: "/scopes/{id}/remove", Access: ByRole, Roles: leads},
		{Name: "scope.save", Method: "POST", Pattern: "/scopes/{id}/save", Access: ByRole, Roles: leads},
		{Name: "scope.copy", Method: "POST", Pattern: "/scopes/{id}/copy", Access: ByRole, Roles: leads},
		{Name: "scope.delete", Method: "POST", Pattern: "/scopes/{id}/delete", Access: ByRole, Roles: leads},
		{Name: "scope.preview", Method: "POST", Pattern: "/scopes/{id}/preview", Access: ByRole, Roles: leads},

		{Name: "plan", Method: "GET", Pattern: "/plans/{id}", Access: ByRole, Roles: planReaders},
		{Name: "plan.csv", Method: "POST", Pattern: "/plans/{id}/targets.csv", Access: ByRole, Roles: planReaders},
		{Name: "plan.compare", Method: "GET", Pattern: "/plans/{id}/compare/{other}", Access: ByRole, Roles: planReaders},
		{Name: "plan.without", Method: "POST", Pattern: "/plans/{id}/without", Access: ByRole, Roles: leads},
		{Name: "plan.again", Method: "POST", Pattern: "/plans/{id}/again", Access: ByRole, Roles: leads},
		{Name: "plan.run", Method: "POST", Pattern: "/plans/{id}/run", Access: ByRole, Roles: leads},

		{Name: "runs", Method: "GET", Pattern: "/runs", Access: ByRole, Roles: watchers},
		{Name: "run", Method: "GET", Pattern: "/runs/{id}", Access: ByRole, Roles: watchers},
		{Name: "run.resume", Method: "POST", Pattern: "/runs/{id}/resume", Access: ByRole, Roles: everyone},
		{Name: "run.pause", Method: "POST", Pattern: "/runs/{id}/pause", Access: ByRole, Roles: leads},
		{Name: "run.cancel", Method: "POST", Pattern: "/runs/{id}/cancel", Access: ByRole, Roles: leads},
		{Name: "run.again", Method: "POST", Pattern: "/runs/{id}/again", Access: ByRole, Roles: leads},
		{Name: "run.latecomers", Method: "POST", Pattern: "/runs/{id}/latecomers", Access: ByRole, Roles: leads},
		{Name: "run.report", Method: "GET", Pattern: "/runs/{id}/report", Access: ByRole, Roles: watchers},
		{Name: "run.report.json", Method: "POST", Pattern: "/runs/{id}/report.json", Access: ByRole, Roles: watchers},

		{Name: "protected", Method: "GET", Pattern: "/settings/protected", Access: ByRole, Roles: readers},
		{Name: "protected.add", Method: "POST", Pattern: "/settings/protected", Access: ByRole, Roles: admins},
		{Name: "protected.remove", Method: "POST", Pattern: "/settings/protected/remove", Access: ByRole, Roles: admins},

		{Name: "ledger", Method: "GET", Pattern: "/ledger", Access: ByRole, Roles: readers},
		{Name: "ledger.run", Method: "GET", Pattern: "/ledger/runs/{id}", Access: ByRole, Roles: readers},
		{Name: "ledger.person", Method: "GET", Pattern: "/ledger/people/{id}", Access: ByRole, Roles: readers},
		{Name: "ledger.about", Method: "GET", Pattern: "/ledger/about", Access: ByRole, Roles: readers},
		{Name: "ledger.export", Method: "POST", Pattern: "/ledger/export", Access: ByRole, Roles: readers},
		{Name: "ledger.verify", Method: "GET", Pattern: "/ledger/verify", Access: ByRole, Roles: readers},
		{Name: "ledger.verify.start", Method: "POST", Pattern: "/ledger/verify", Access: ByRole, Roles: readers},
		{Name: "ledger.checkpoints", Method: "GET", Pattern: "/ledger/checkpoints", Access: ByRole, Roles: readers},
		{Name: "ledger.consistency", Method: "GET", Pattern: "/ledger/consistency", Access: ByRole, Roles: readers},
		{Name: "ledger.reconcile", Method: "GET", Pattern: "/ledger/reconcile", Access: ByRole, Roles: readers},
		{Name: "ledger.reconcile.fetch", Method: "POST", Pattern: "/ledger/reconcile/fetch", Access: ByRole, Roles: readers},
		{Name: "ledger.reconcile.upload", Method: "POST", Pattern: "/ledger/reconcile/upload", Access: ByRole, Roles: readers},
		// A result stands at the address that its form was sent to; loaded again, it leads back to the form.
		{Name: "ledger.reconcile.fetched", Method: "GET", Pattern: "/ledger/reconcile/fetch", Access: ByRole, Roles: readers},
		{Name: "ledger.reconcile.uploaded", Method: "GET", Pattern: "/ledger/reconcile/upload", Access: ByRole, Roles: readers},
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

// Visible decides which plans and runs a person may open: everyone their own; Lead, Approver, Auditor and Admin all
// runs, and plans once submitted: what was confirmed is evidence. Whoever asks for another gets "not found".
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
		return obj.Submitted && o.Roles.Has(Lead, Approver, Auditor, Admin)
	default:
		return false
	}
}
