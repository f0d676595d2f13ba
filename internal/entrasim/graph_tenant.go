package entrasim

import (
	"strings"
	"sync"
)

func listUnits(c *call) *reply {
	us := c.sim.tenant.units
	return c.list(listing{entity: unitEntity(), n: len(us), at: func(i int) object { return us[i] }, fragment: "administrativeUnits"})
}

func (c *call) withUnit(f func(*unit) *reply) *reply {
	u := c.sim.tenant.findUnit(c.vars["unit"])
	if u == nil {
		return c.notFound(c.vars["unit"])
	}
	return f(u)
}

func getUnit(c *call) *reply {
	return c.withUnit(func(u *unit) *reply { return c.one(unitEntity(), u, "administrativeUnits") })
}

func unitMembers(c *call) *reply {
	return c.withUnit(func(u *unit) *reply { return c.listMembers(u.members, u.groups, nil) })
}

func unitScopedRoles(c *call) *reply {
	return c.withUnit(func(u *unit) *reply {
		var as []*assignment
		for _, a := range c.sim.living(c.sim.tenant.assignments) {
			if a.scope == "/administrativeUnits/"+u.id {
				as = append(as, a)
			}
		}
		return c.scopedRoles(as, "scopedRoleMemberships")
	})
}

// organizationEntity shows only id, name and domains to a caller with User.Read alone (Microsoft Learn, Get
// organization: permissions of members).
var organizationEntity = sync.OnceValue(func() *entity {
	org := func(name string, open bool, get func(*call) any) prop {
		return prop{name: name, shown: true, get: func(c *call, _ object) any {
			if !open && !c.has("Organization.Read.All", "Directory.Read.All", "Directory.ReadWrite.All") {
				return nil
			}
			return get(c)
		}}
	}
	null := func(*call) any { return nil }
	empty := func(*call) any { return []string{} }
	return (&entity{name: "organization", typ: "#microsoft.graph.organization", props: []prop{
		org("id", true, func(c *call) any { return c.sim.tenant.id }),
		org("deletedDateTime", false, null),
		org("businessPhones", false, empty),
		org("city", false, func(*call) any { return "Leeds" }),
		org("country", false, null),
		org("countryLetterCode", false, func(*call) any { return "GB" }),
		org("createdDateTime", false, func(c *call) any { return c.sim.tenant.created }),
		org("defaultUsageLocation", false, null),
		org("displayName", true, func(c *call) any { return c.sim.tenant.name }),
		org("marketingNotificationEmails", false, empty),
		org("onPremisesLastSyncDateTime", false, func(c *call) any { return c.sim.graphNow().Truncate(30 * 60e9) }),
		org("onPremisesSyncEnabled", false, func(*call) any { return true }),
		org("partnerTenantType", false, null),
		org("postalCode", false, null),
		org("preferredLanguage", false, func(*call) any { return "en" }),
		org("state", false, null),
		org("street", false, null),
		org("technicalNotificationMails", false, empty),
		org("tenantType", false, func(*call) any { return "AAD" }),
		org("assignedPlans", false, empty),
		org("provisionedPlans", false, empty),
		org("verifiedDomains", true, verifiedDomains),
	}}).build()
})

func verifiedDomains(c *call) any {
	t := c.sim.tenant
	row := func(name, kind string, standard, initial bool) map[string]any {
		return map[string]any{"capabilities": "Email, OfficeCommunicationsOnline", "isDefault": standard, "isInitial": initial, "name": name, "type": kind}
	}
	return []map[string]any{
		row(t.domain, "Managed", true, false), row(t.initial, "Managed", false, true), row(t.fedDom, "Federated", false, false),
	}
}

func listOrganization(c *call) *reply {
	t := c.sim.tenant
	return c.list(listing{entity: organizationEntity(), n: 1, at: func(int) object { return t }, fragment: "organization"})
}

type domainRow struct {
	name, auth        string
	standard, initial bool
}

var domainEntity = sync.OnceValue(func() *entity {
	dom := func(name string, get func(domainRow) any) prop {
		return prop{name: name, shown: true, get: func(_ *call, o object) any { return get(o.(domainRow)) }}
	}
	null := func(domainRow) any { return nil }
	return (&entity{name: "domains", typ: "#microsoft.graph.domain", props: []prop{
		dom("authenticationType", func(d domainRow) any { return d.auth }),
		dom("availabilityStatus", null),
		dom("id", func(d domainRow) any { return d.name }),
		dom("isAdminManaged", func(domainRow) any { return true }),
		dom("isDefault", func(d domainRow) any { return d.standard }),
		dom("isInitial", func(d domainRow) any { return d.initial }),
		dom("isRoot", func(d domainRow) any { return strings.Count(d.name, ".") == 1 || d.initial }),
		dom("isVerified", func(domainRow) any { return true }),
		dom("manufacturer", null),
		dom("model", null),
		dom("passwordNotificationWindowInDays", func(domainRow) any { return 14 }),
		dom("passwordValidityPeriodInDays", func(domainRow) any { return 2147483647 }),
		dom("state", null),
		dom("supportedServices", func(domainRow) any { return []string{"Email", "OfficeCommunicationsOnline"} }),
	}}).build()
})

// listDomains ignores $top, $filter and $search, as the service does (Microsoft Graph known issues, 2026-02).
func listDomains(c *call) *reply {
	t := c.sim.tenant
	rows := []domainRow{{t.domain, "Managed", true, false}, {t.initial, "Managed", false, true}, {t.fedDom, "Federated", false, false}}
	for _, name := range []string{"$top", "$filter", "$search", "$orderby"} {
		c.query.Del(name)
	}
	return c.list(listing{entity: domainEntity(), n: len(rows), at: func(i int) object { return rows[i] }, fragment: "domains"})
}
