// Package directory knows users, groups and directory roles: what matters about one in an incident, and whether an
// operator will probably be allowed to revoke their sessions.
//
// Invariants: what could not be read is Unknown with its cause, never No; an account counts as external unless it is
// surely not; identities come from Entra by object id, and names are snapshots; a prediction never decides: Graph does.
package directory

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// IsID reports whether s is an object id or template id: a GUID in its usual form, and no other.
func IsID(s string) bool {
	_, err := uuid.Parse(s)
	return err == nil && len(s) == 36
}

// Tri is a fact that may not be known.
type Tri int

// Unknown is the zero value: a fact that nobody read is not "no".
const (
	Unknown Tri = iota
	No
	Yes
)

// TriOf turns an optional answer into a fact.
func TriOf(b *bool) Tri {
	switch {
	case b == nil:
		return Unknown
	case *b:
		return Yes
	default:
		return No
	}
}

// Identity is one way in which an account signs in: Graph's objectIdentity.
type Identity struct {
	SignInType string // "userPrincipalName", "federated", "emailAddress" ...
	Issuer     string // the tenant's domain, "ExternalAzureAD", "mail", "google.com" ...
}

// User is what the console knows of a user, read by object id.
type User struct {
	ID, UPN, Name                             string
	Mail, Department, JobTitle, City, Company string
	UserType                                  string // "Member", "Guest" or "" (unknown)
	CreationType, ExternalUserState           string
	Identities                                []Identity
	Enabled                                   Tri
	Synced                                    Tri       // onPremisesSyncEnabled; Graph answers null for "never", which is No
	Restricted                                Tri       // isManagementRestricted: member of a restricted-management unit
	Agent                                     Tri       // an agent user (an AI agent's account)
	Created, PasswordChanged, SessionsFrom    time.Time // SessionsFrom: signInSessionsValidFromDateTime, whole seconds
}

// SignsInElsewhere judges whether the account signs in at another tenant or provider, whatever userType says, from
// externalUserState, the #EXT# mark, identities, and creationType where identities were not read: an invitation is how
// the account began, and one that was converted since signs in here. Unsure is Unknown, and counts as external
// (Microsoft Graph, user: revokeSignInSessions: external users sign in through their home tenant and are not revoked).
func (u User) SignsInElsewhere() Tri {
	if u.ExternalUserState != "" || strings.Contains(strings.ToUpper(u.UPN), "#EXT#") {
		return Yes
	}
	if slices.ContainsFunc(u.Identities, func(i Identity) bool { return i.SignInType == "federated" }) {
		return Yes
	}
	if len(u.Identities) == 0 {
		if u.CreationType == "Invitation" {
			return Yes
		}
		return Unknown
	}
	local := slices.ContainsFunc(u.Identities, func(i Identity) bool {
		return i.SignInType == "userPrincipalName" || i.SignInType == "userName" || i.SignInType == "emailAddress" && i.Issuer != "mail"
	})
	if local {
		return No
	}
	return Yes
}

// External reports whether the account is to be treated as external: surely or possibly.
func (u User) External() bool { return u.SignsInElsewhere() != No }

// Domain returns the domain of the UPN, lower case, or "".
func (u User) Domain() string {
	_, d, _ := strings.Cut(u.UPN, "@")
	return strings.ToLower(d)
}
