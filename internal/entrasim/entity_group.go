package entrasim

import (
	"slices"
	"strings"
	"sync"
)

func gp(name string, shown bool, ops, more string, get func(*call, *group) any) prop {
	return prop{name: name, shown: shown, ops: ops, more: more, get: func(c *call, o object) any { return get(c, o.(*group)) }}
}

func nullGroup(names ...string) []prop {
	var out []prop
	for _, n := range names {
		out = append(out, gp(n, true, "", "", func(*call, *group) any { return nil }))
	}
	return out
}

var groupEntity = sync.OnceValue(func() *entity {
	props := slices.Concat([]prop{
		gp("id", true, opsFlag, opsNot, func(_ *call, g *group) any { return g.id }),
		gp("createdDateTime", true, opsTime, opsNot, func(_ *call, g *group) any { return unixTime(g.created) }),
		gp("description", true, opsText, "ne", func(_ *call, g *group) any { return text(g.description) }),
		gp("displayName", true, opsText, "ne", func(_ *call, g *group) any { return g.name }),
		gp("groupTypes", true, "any", "", func(_ *call, g *group) any { return g.types() }),
		gp("isAssignableToRole", true, "eq", opsNot, func(_ *call, g *group) any { return truth(g.roleAssignable) }),
		gp("mail", true, opsText, opsTextEx, func(c *call, g *group) any { return g.mail(c.sim.tenant) }),
		gp("mailEnabled", true, opsFlag, opsNot, func(_ *call, g *group) any { return g.mailOn }),
		gp("mailNickname", true, opsText, "ne", func(_ *call, g *group) any { return g.mailNick }),
		gp("membershipRule", true, "", "eq ne", func(_ *call, g *group) any { return text(g.rule) }),
		gp("membershipRuleProcessingState", true, "", "", func(_ *call, g *group) any {
			if g.rule == "" {
				return nil
			}
			return "On"
		}),
		gp("onPremisesProvisioningErrors", true, "", "", func(*call, *group) any { return []string{} }),
		gp("serviceProvisioningErrors", true, "", "", func(*call, *group) any { return []string{} }),
		gp("proxyAddresses", true, "any", "", func(c *call, g *group) any {
			if m, isText := g.mail(c.sim.tenant).(string); isText {
				return []string{"SMTP:" + m}
			}
			return []string{}
		}),
		gp("renewedDateTime", true, opsTime, opsNot, func(_ *call, g *group) any { return unixTime(g.created) }),
		gp("securityEnabled", true, opsFlag, opsNot, func(_ *call, g *group) any { return g.securityEnabled }),
		gp("securityIdentifier", true, "eq", "", func(_ *call, g *group) any { return (&user{id: g.id}).sid() }),
		gp("visibility", true, "", "", func(_ *call, g *group) any { return g.visibility() }),
		gp("isManagementRestricted", false, "", "", func(*call, *group) any { return nil }),
	}, nullGroup("deletedDateTime", "classification", "expirationDateTime", "onPremisesDomainName", "onPremisesLastSyncDateTime",
		"onPremisesNetBiosName", "onPremisesSamAccountName", "onPremisesSecurityIdentifier", "onPremisesSyncEnabled",
		"preferredDataLocation", "preferredLanguage", "theme", "uniqueName"))
	return (&entity{name: "groups", typ: "#microsoft.graph.group", props: props, searchable: []string{"displayName", "description", "mail"}}).build()
})

func (g *group) types() []string {
	out := []string{}
	if g.unified {
		out = append(out, "Unified")
	}
	if g.rule != "" {
		out = append(out, "DynamicMembership")
	}
	return out
}

func (g *group) mail(t *tenant) any {
	if !g.mailOn {
		return nil
	}
	return strings.ToLower(g.mailNick) + "@" + t.domain
}

func (g *group) visibility() any {
	switch {
	case g.hidden:
		return "HiddenMembership"
	case g.publicGroup:
		return "Public"
	case g.unified:
		return "Private"
	}
	return nil
}

var principalEntity = sync.OnceValue(func() *entity {
	sp := func(name string, shown bool, get func(*servicePrincipal) any) prop {
		return prop{name: name, shown: shown, ops: opsFlag, get: func(_ *call, o object) any { return get(o.(*servicePrincipal)) }}
	}
	return (&entity{name: "servicePrincipals", typ: "#microsoft.graph.servicePrincipal", props: []prop{
		sp("id", true, func(p *servicePrincipal) any { return p.id }),
		sp("accountEnabled", true, func(*servicePrincipal) any { return true }),
		sp("appDisplayName", true, func(p *servicePrincipal) any { return p.name }),
		sp("appId", true, func(p *servicePrincipal) any { return p.appID }),
		sp("displayName", true, func(p *servicePrincipal) any { return p.name }),
		sp("servicePrincipalType", true, func(*servicePrincipal) any { return "Application" }),
	}}).build()
})

var unitEntity = sync.OnceValue(func() *entity {
	au := func(name, ops, more string, shown bool, get func(*unit) any) prop {
		return prop{name: name, shown: shown, ops: ops, more: more, get: func(_ *call, o object) any { return get(o.(*unit)) }}
	}
	null := func(*unit) any { return nil }
	return (&entity{name: "administrativeUnits", typ: "#microsoft.graph.administrativeUnit", searchable: []string{"displayName", "description"}, props: []prop{
		au("id", opsFlag, opsNot, true, func(u *unit) any { return u.id }),
		au("deletedDateTime", "", "", true, null),
		au("description", opsText, "ne", true, func(u *unit) any { return text(u.description) }),
		au("displayName", opsText, "ne", true, func(u *unit) any { return u.name }),
		au("isMemberManagementRestricted", "eq", "ne", true, func(u *unit) any { return u.restricted }),
		au("membershipRule", "", "", true, null),
		au("membershipType", "", "", true, null),
		au("membershipRuleProcessingState", "", "", true, null),
		au("visibility", "", "", true, null),
	}}).build()
})
