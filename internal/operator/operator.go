// Package operator says who acts: the signed-in person, their console roles, what each role may open (the table of
// routes and roles, and Visible), and the delegated token that they act with.
//
// Invariants: it is a leaf (it imports nothing of ours); a Token never prints, logs or marshals its secret; a route
// that is not in the table does not exist; no console role means no page but the one that says what to ask for.
package operator

import (
	"slices"
	"strings"
)

// Role is a console role: an app role of Evict's own registration, read from the ID token's roles claim.
type Role string

// The console roles. They say which pages a person may open; what they may do to whom is decided by Entra, from their
// directory roles, at every call.
const (
	Responder Role = "Evict.Responder" // one user at a time
	Lead      Role = "Evict.Lead"      // bulk, by group, role, list or filter
	Approver  Role = "Evict.Approver"  // approves what a policy wants approved
	Auditor   Role = "Evict.Auditor"   // the ledger and reports, read only
	Admin     Role = "Evict.Admin"     // protected accounts and policy
)

// AllRoles lists every console role, in the order in which pages show them.
func AllRoles() []Role { return []Role{Responder, Lead, Approver, Auditor, Admin} }

// Roles is a person's set of console roles.
type Roles []Role

// ParseRoles keeps the known console roles among the values of a roles claim, in AllRoles' order, each once.
// Unknown values are dropped: they grant nothing.
func ParseRoles(claim []string) Roles {
	var out Roles
	for _, r := range AllRoles() {
		if slices.Contains(claim, string(r)) {
			out = append(out, r)
		}
	}
	return out
}

// Has reports whether the set holds any of the given roles.
func (rs Roles) Has(any ...Role) bool {
	return slices.ContainsFunc(any, func(r Role) bool { return slices.Contains(rs, r) })
}

// Strings returns the roles as the claim spells them.
func (rs Roles) Strings() []string {
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = string(r)
	}
	return out
}

// Short returns the roles for people, without the "Evict." prefix: "Responder, Auditor".
func (rs Roles) Short() string {
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = strings.TrimPrefix(string(r), "Evict.")
	}
	return strings.Join(out, ", ")
}

// Operator is the signed-in person. TID and OID identify them; UPN and Name are snapshots for reading.
type Operator struct {
	OID     string // Entra object id, lower case GUID
	TID     string // tenant id, lower case GUID
	UPN     string
	Name    string
	Address string // client address of the request at hand, without a port
	Roles   Roles
}

// Acts reports whether the person may cause a revocation at all, and so needs Graph tokens of their own.
func (o Operator) Acts() bool { return o.Roles.Has(Responder, Lead) }

// RunRef names a run together with what a token that is sealed for it must match when it is opened.
type RunRef struct {
	Run    string // run id
	Digest string // digest of the run's plan
	OID    string // operator
	TID    string
}
