package directory

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"evict/internal/fault"
	"evict/internal/operator"
)

// part names something that is read for a page, and what would make it readable when Microsoft refuses.
type part struct {
	what   string
	needs  string // the fix for a refusal
	weighs bool   // could change a prediction of authority
	scope  string // a permission that not every tenant consents to, asked for when the part is read; "" for none
}

var (
	partUsers       = part{what: "users", needs: "You need a directory role or setting that lets you read users."}
	partGroups      = part{what: "groups", needs: "The app needs GroupMember.Read.All, and you need to be allowed to read groups."}
	partDefinitions = part{what: "directory roles", needs: "The app needs RoleManagement.Read.Directory."}
	partMemberships = part{what: "groups and units", needs: "The app needs GroupMember.Read.All, and you need to be allowed to read groups.", weighs: true}
	partOwned       = part{what: "owned groups", needs: "The app needs GroupMember.Read.All, and you need to be allowed to read groups.", weighs: true}
	partActive      = part{what: "active directory roles", needs: "The app needs RoleManagement.Read.Directory, and you need to be allowed to read role assignments.", weighs: true}
	partGroupRoles  = part{what: "directory roles held through groups", needs: partActive.needs, weighs: true}
	partEligible    = part{what: "PIM-eligible roles", needs: "Global Reader, Security Reader, Security Operator, Security Administrator or Privileged Role Administrator may read them."}
	partUnit        = part{what: "the restriction of an administrative unit", needs: "The app needs the permission AdministrativeUnit.Read.All.", scope: "AdministrativeUnit.Read.All"}
	partDomain      = part{what: "domain federation", needs: "The app needs the permission Domain.Read.All.", scope: "Domain.Read.All"}
	partSignIn      = part{what: "last sign-in", needs: "The app needs the permission AuditLog.Read.All, and you need a role such as Reports Reader or Security Reader.", scope: "AuditLog.Read.All"}
	partMembers     = part{what: "members", needs: "Groups with hidden membership need the permission Member.Read.Hidden."}
	partHolders     = part{what: "holders of the role", needs: "The app needs RoleManagement.Read.Directory, and you need to be allowed to read role assignments."}
	partCandidates  = part{what: "PIM-eligible holders", needs: partEligible.needs}
	partAssignable  = part{what: "role-assignable groups", needs: partGroups.needs, weighs: true}
	partInside      = part{what: "members and owners of role-assignable groups", needs: partMembers.needs, weighs: true}
	partJoinable    = part{what: "PIM-eligible members of role-assignable groups", needs: "The app needs the permission " + scopeJoinable + ", and you need to be Global Reader or Privileged Role Administrator.", scope: scopeJoinable}
	partUnitMembers = part{what: "members of an administrative unit", needs: partUnit.needs, scope: partUnit.scope}
	partOwnUnits    = part{what: "members of the units that your roles are scoped to", needs: partUnit.needs, weighs: true, scope: partUnit.scope}
	partEnabled     = part{what: "the number of enabled accounts", needs: partUsers.needs}
)

const scopeJoinable = "PrivilegedEligibilitySchedule.Read.AzureADGroup"

// tokens is the token source for reading the part.
func (p part) tokens(t operator.TokenSource) operator.TokenSource {
	if p.scope == "" {
		return t
	}
	return operator.With(t, p.scope)
}

// stops reports whether an error ends the whole page instead of one part of it: a sign-in is needed, or nobody waits.
func stops(ctx context.Context, err error) bool {
	_, reauth := errors.AsType[*operator.ReauthError](err)
	return reauth || ctx.Err() != nil
}

// unread says for a person why a part could not be read.
func (p part) unread(err error) Unread {
	u := Unread{What: p.what, Weighs: p.weighs, Why: "Microsoft Graph did not answer", Fix: "Load the page again in a moment."}
	if reauth, ok := errors.AsType[*operator.ReauthError](err); ok {
		u.Why, u.Fix = "Microsoft asks for a new sign-in", "Sign out here and sign in again."
		if reauth.Consent {
			u.Why, u.Fix = "the app has no consent for it", p.needs
		}
		return u
	}
	call, ok := errors.AsType[*CallError](err)
	if !ok {
		if e, ok := errors.AsType[*fault.Error](err); ok {
			u.Why, u.Fix = e.Message, e.Fix
		}
		return u
	}
	switch {
	case call.Code == CodeForeign:
		u.Why, u.Fix = "Microsoft Graph's answer pointed to another host, and no token goes there", "Tell your security team: this should not happen."
	case call.Status == http.StatusTooManyRequests:
		u.Why = "Microsoft Graph asks to slow down"
	case lacksLicence(call.Code):
		u.Why, u.Fix = "the tenant lacks the licence for it (Entra ID P1, or P2 for PIM)", ""
	case call.Status == http.StatusForbidden:
		u.Why, u.Fix = "Microsoft refuses you this reading", p.needs
	case call.Status == http.StatusNotFound:
		u.Why, u.Fix = "it is not in the directory, or you may not see it", ""
	case call.Status != 0:
		u.Why = "Microsoft Graph answered " + strconv.Itoa(call.Status)
		if call.Code != "" {
			u.Why += " " + call.Code
		}
	}
	return u
}

// codeOf returns the code of a failed Graph call, or "".
func codeOf(err error) string {
	if call, ok := errors.AsType[*CallError](err); ok {
		return call.Code
	}
	return ""
}

// lacksLicence knows Graph's codes for a tenant without the premium licence that a reading needs.
func lacksLicence(code string) bool {
	return code == "AadPremiumLicenseRequired" || code == "Authentication_RequestFromNonPremiumTenantOrB2CTenant"
}

// failed gives an error that ends a page its kind. A ReauthError and the context's error pass as they are.
func failed(ctx context.Context, what string, err error) error {
	if stops(ctx, err) {
		return err
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	call, ok := errors.AsType[*CallError](err)
	if !ok {
		return fault.Wrap(fault.Internal, "Reading "+what+" went wrong.", err)
	}
	switch call.Status {
	case http.StatusNotFound:
		return fault.Wrap(fault.NotFound, "Not found: there is no such "+what+" in the directory, or you may not see it.", err)
	case http.StatusForbidden:
		return fault.Wrap(fault.Forbidden, "Microsoft refuses you to read this "+what+".", err)
	case http.StatusBadRequest:
		return fault.Wrap(fault.Invalid, "Microsoft Graph does not understand what was asked.", err)
	case http.StatusTooManyRequests:
		e := fault.Wrap(fault.Throttled, "Microsoft Graph asks to slow down.", err)
		e.RetryAfter, e.Fix = call.RetryAfter, "Try again in a moment."
		return e
	default:
		e := fault.Wrap(fault.Unavailable, "Microsoft Graph does not answer as it should.", err)
		e.RetryAfter, e.Fix = call.RetryAfter, "Try again in a moment."
		return e
	}
}
