package entrasim

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// What $filter allows on a property of a user, by Microsoft's reference of the user resource. The second value of
// each pair needs ConsistencyLevel: eventual and $count=true.
const (
	opsText   = "eq in startswith ge le"
	opsTextEx = "ne endswith"
	opsFlag   = "eq in"
	opsPlain  = "eq in ge le" // of text that is not indexed by its beginning
	opsTime   = "eq in ge le"
	opsNot    = "ne"
)

// basicUser is what User.ReadBasic.All shows of other people.
var basicUser = []string{"id", "displayName", "givenName", "mail", "photo", "securityIdentifier", "surname", "userPrincipalName"}

var userSearchable = []string{"displayName", "mail", "userPrincipalName", "givenName", "surname", "mailNickname", "otherMails", "proxyAddresses"}

func up(name string, shown bool, ops, more string, get func(*call, *user) any) prop {
	return prop{name: name, shown: shown, ops: ops, more: more, get: func(c *call, o object) any { return get(c, o.(*user)) }}
}

// nullUser are properties that exist and that no account of the simulated tenant has.
var nullUser = []string{
	"aboutMe", "ageGroup", "birthday", "consentProvidedForMinor", "deletedDateTime", "employeeHireDate", "employeeId", "employeeLeaveDateTime",
	"employeeType", "faxNumber", "hireDate", "isResourceAccount", "legalAgeGroupClassification", "mySite",
	"onPremisesDistinguishedName", "onPremisesUserPrincipalName", "passwordPolicies", "passwordProfile",
	"postalCode", "preferredDataLocation", "preferredName", "showInAddressList", "state", "streetAddress",
}

// emptyUser are collections that are empty for everybody.
var emptyUser = []string{
	"assignedPlans", "imAddresses", "interests", "licenseAssignmentStates", "onPremisesProvisioningErrors", "pastProjects",
	"provisionedPlans", "responsibilities", "schools", "serviceProvisioningErrors", "skills",
}

var userEntity = sync.OnceValue(func() *entity {
	props := slices.Concat(userDefaults(), userSelectOnly())
	for _, n := range nullUser {
		props = append(props, up(n, false, "eq", "", func(*call, *user) any { return nil }))
	}
	for _, n := range emptyUser {
		props = append(props, up(n, false, "", "", func(*call, *user) any { return []string{} }))
	}
	return (&entity{name: "users", typ: "#microsoft.graph.user", props: props, searchable: userSearchable}).build()
})

// agentEntity is a user that says it is an agent's. Graph derives the type from user.
var agentEntity = sync.OnceValue(func() *entity {
	e := *userEntity()
	e.typ = "#microsoft.graph.agentUser"
	return &e
})

// userDefaults are the properties that come without $select.
func userDefaults() []prop {
	return []prop{
		up("businessPhones", true, "", "any", func(_ *call, u *user) any { return u.phones() }),
		up("displayName", true, opsText, "ne", func(_ *call, u *user) any { return u.name }),
		up("givenName", true, opsText, "ne", func(_ *call, u *user) any { return text(u.given) }),
		up("jobTitle", true, opsText, "ne", func(_ *call, u *user) any { return text(u.job) }),
		up("mail", true, opsText, opsTextEx, func(_ *call, u *user) any { return text(u.mail) }),
		up("mobilePhone", true, opsText, "ne", func(*call, *user) any { return nil }),
		up("officeLocation", true, opsText, "ne", func(_ *call, u *user) any { return text(u.site().name) }),
		up("preferredLanguage", true, opsText, "ne", func(*call, *user) any { return nil }),
		up("surname", true, opsText, "ne", func(_ *call, u *user) any { return text(u.surname) }),
		up("userPrincipalName", true, opsText, opsTextEx, func(_ *call, u *user) any { return u.upn }),
		up("id", true, opsFlag, opsNot, func(_ *call, u *user) any { return u.id }),
	}
}

func userSelectOnly() []prop {
	return slices.Concat(userState(), userOrigin(), []prop{
		up("city", false, opsText, "ne", func(_ *call, u *user) any { return text(u.site().city) }),
		up("companyName", false, opsText, "ne", func(_ *call, u *user) any { return text(u.company()) }),
		up("country", false, opsText, "ne", func(_ *call, u *user) any { return text(u.site().country) }),
		up("department", false, opsPlain, "ne", func(_ *call, u *user) any { return text(u.department) }),
		up("mailNickname", false, opsText, "ne", func(_ *call, u *user) any { return localPart(u.upn) }),
		up("otherMails", false, "any", "", func(_ *call, u *user) any { return u.otherMails() }),
		up("proxyAddresses", false, "any", "", func(_ *call, u *user) any { return u.proxyAddresses() }),
		up("usageLocation", false, opsText, "ne", func(_ *call, u *user) any { return text(u.site().code) }),
		up("assignedLicenses", false, "any", "", func(_ *call, u *user) any { return u.licenses() }),
		up("securityIdentifier", false, "eq", "", func(_ *call, u *user) any { return u.sid() }),
	})
}

// userState is what an incident responder reads.
func userState() []prop {
	return []prop{
		up("accountEnabled", false, opsFlag, opsNot, func(_ *call, u *user) any { return u.enabled }),
		up("createdDateTime", false, opsTime, opsNot, func(_ *call, u *user) any { return unixTime(u.created) }),
		up("isManagementRestricted", false, "", "", func(c *call, u *user) any {
			return truth(c.sim.tenant.restrictedScope(u) != "")
		}),
		up("lastPasswordChangeDateTime", false, "", "", func(_ *call, u *user) any { return unixTime(u.passwordChanged) }),
		up("signInSessionsValidFromDateTime", false, "", "", func(c *call, u *user) any {
			if c.fault(StaleReplica) {
				return unixTime(u.previousStamp())
			}
			return unixTime(u.shownStamp(c.sim.graphNow().Add(-c.replicaLag())))
		}),
		up("signInActivity", false, opsTime, opsNot, func(_ *call, u *user) any { return u.activity() }),
	}
}

// userOrigin is where an account comes from and where it signs in.
func userOrigin() []prop {
	return []prop{
		up("creationType", false, opsFlag, opsNot, func(_ *call, u *user) any { return text(u.creationType()) }),
		up("externalUserState", false, opsFlag, opsNot, func(_ *call, u *user) any { return text(invitationStates[u.invitation]) }),
		up("externalUserStateChangeDateTime", false, "", "", func(_ *call, u *user) any {
			if u.invitation == 0 {
				return nil
			}
			return stampText(time.Unix(u.created+3600, 0))
		}),
		up("identities", false, "any", "", func(c *call, u *user) any { return u.identities(c.sim.tenant) }),
		up("onPremisesDomainName", false, "", "", func(c *call, u *user) any {
			if !u.synced {
				return nil
			}
			return "corp." + c.sim.tenant.domain
		}),
		up("onPremisesImmutableId", false, opsFlag, opsNot, func(_ *call, u *user) any {
			if !u.synced {
				return nil
			}
			return u.id[:8] + "AAAAAAAAAAAAAA=="
		}),
		up("onPremisesLastSyncDateTime", false, opsTime, opsNot, func(c *call, u *user) any {
			if !u.synced {
				return nil
			}
			return c.sim.graphNow().Truncate(30 * time.Minute)
		}),
		up("onPremisesSamAccountName", false, opsText, "ne", func(_ *call, u *user) any {
			if !u.synced {
				return nil
			}
			return localPart(u.upn)
		}),
		up("onPremisesSecurityIdentifier", false, opsFlag, "", func(_ *call, u *user) any {
			if !u.synced {
				return nil
			}
			return u.sid()
		}),
		up("onPremisesSyncEnabled", false, opsFlag, opsNot, func(_ *call, u *user) any { return truth(u.synced) }),
		up("userType", false, opsFlag, opsNot, func(_ *call, u *user) any { return u.userType() }),
	}
}

// company is the part of the firm that u works for, or the partner from which u was invited.
func (u *user) company() string {
	if u.elsewhere {
		return "Brightwater Partners"
	}
	return u.site().company
}

func localPart(upn string) string {
	local, _, _ := strings.Cut(upn, "@")
	return local
}

func (u *user) phones() []string {
	if u.office == nil || u.agent {
		return []string{}
	}
	// 01632 is a range that is reserved for fiction.
	return []string{fmt.Sprintf("+44 1632 %06d", u.created%1_000_000)}
}

func (u *user) otherMails() []string {
	if u.elsewhere {
		return []string{u.mail}
	}
	return []string{}
}

func (u *user) proxyAddresses() []string {
	if u.mail == "" {
		return []string{}
	}
	return []string{"SMTP:" + u.mail}
}

func (u *user) licenses() []map[string]any {
	if u.guest || u.agent || u.department == "" {
		return []map[string]any{}
	}
	return []map[string]any{{"disabledPlans": []string{}, "skuId": "06ebc4ee-1bb5-47dd-8120-11324bc54e06"}}
}

func (u *user) sid() string {
	n := newIDs(1, u.id)
	return fmt.Sprintf("S-1-12-1-%d-%d-%d-%d", n.Uint32(), n.Uint32(), n.Uint32(), n.Uint32())
}

// identities says where an account signs in: here by its user principal name, or at another issuer.
func (u *user) identities(t *tenant) []map[string]any {
	own := map[string]any{"signInType": "userPrincipalName", "issuer": t.initial, "issuerAssignedId": u.upn}
	if !u.elsewhere {
		return []map[string]any{own}
	}
	return []map[string]any{{"signInType": "federated", "issuer": "ExternalAzureAD", "issuerAssignedId": nil}, own}
}

func (u *user) activity() any {
	if u.lastSignIn == 0 {
		return nil
	}
	n := newIDs(2, u.id)
	return map[string]any{
		"lastSignInDateTime": unixTime(u.lastInteractive), "lastSignInRequestId": n.next(),
		"lastNonInteractiveSignInDateTime": unixTime(u.lastNonInteractive), "lastNonInteractiveSignInRequestId": n.next(),
		"lastSuccessfulSignInDateTime": unixTime(u.lastSignIn), "lastSuccessfulSignInRequestId": n.next(),
	}
}

// hides says which properties of an object this caller may not see. Nil means that all may be seen. What a permission
// does not cover comes back null ("limited information", Microsoft Learn, Permissions overview).
func (c *call) hides(o object) func(string) bool {
	switch o := o.(type) {
	case *user:
		switch see := c.sees(); {
		case see.users || c.caller == o && see.self:
			return nil
		case see.basic:
			return func(name string) bool { return !slices.Contains(basicUser, name) }
		}
		return func(name string) bool { return name != "id" }
	case *group:
		if c.sees().groups {
			return nil
		}
		return func(name string) bool { return name != "id" }
	}
	return nil
}

// sight is what the permissions of a call let it see.
type sight struct{ users, basic, self, groups bool }

// sees works the sight out once for each call, which may show a thousand objects.
func (c *call) sees() *sight {
	if c.sight == nil {
		c.sight = &sight{
			users: c.has(readUsersFull...), basic: c.has("User.ReadBasic.All"), self: c.has(readSelf...), groups: c.has(readGroups...),
		}
	}
	return c.sight
}
