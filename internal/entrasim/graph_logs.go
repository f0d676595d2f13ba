package entrasim

import (
	"net/http"
	"sync"
)

var auditReaders = []string{RoleReportsReader, RoleSecurityReader, RoleSecurityOperator, RoleSecurityAdministrator, RoleGlobalReader, RoleGlobalAdministrator}

// mayReadLogs needs a directory role beside the permission, and the licence.
func (c *call) mayReadLogs() *reply {
	if c.sim.opts.NoPremium {
		return c.graphError(http.StatusForbidden, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", "Neither tenant is B2C or tenant doesn't have premium license")
	}
	if c.caller != nil && !c.holds(auditReaders...) {
		return c.graphError(http.StatusForbidden, "Authentication_RequestFromUnsupportedUserRole", "User is not in the allowed roles")
	}
	return nil
}

var directoryAuditEntity = sync.OnceValue(func() *entity {
	da := func(name, ops string, get func(*auditEntry) any) prop {
		return prop{name: name, shown: true, ops: ops, get: func(_ *call, o object) any { return get(o.(*auditEntry)) }}
	}
	return (&entity{name: "auditLogs/directoryAudits", typ: "#microsoft.graph.directoryAudit", props: []prop{
		da("id", "eq", func(e *auditEntry) any { return e.id }),
		da("category", "eq startswith", func(e *auditEntry) any { return e.category }),
		da("correlationId", "eq", func(e *auditEntry) any { return e.correlation }),
		da("result", "eq", func(*auditEntry) any { return "success" }),
		da("resultReason", "", func(*auditEntry) any { return "" }),
		da("activityDisplayName", "eq startswith", func(e *auditEntry) any { return e.activity }),
		da("activityDateTime", "eq ge le", func(e *auditEntry) any { return e.at }),
		da("loggedByService", "eq", func(*auditEntry) any { return "Core Directory" }),
		da("operationType", "", func(*auditEntry) any { return "Update" }),
		da("initiatedBy", "eq", func(e *auditEntry) any { return e.initiator() }),
		da("targetResources", "any", func(e *auditEntry) any { return e.targets() }),
		da("additionalDetails", "", func(e *auditEntry) any {
			return []map[string]any{{"key": "UserType", "value": e.target.userType()}}
		}),
	}}).build()
})

func (e *auditEntry) initiator() map[string]any {
	if e.byUPN == "" {
		return map[string]any{"user": nil, "app": map[string]any{"appId": nil, "displayName": e.byApp, "servicePrincipalId": nil, "servicePrincipalName": nil}}
	}
	return map[string]any{"app": nil, "user": map[string]any{"id": text(e.byID), "displayName": nil, "userPrincipalName": e.byUPN, "ipAddress": text(e.byAddress)}}
}

func (e *auditEntry) targets() []map[string]any {
	return []map[string]any{{
		"id": e.target.id, "displayName": nil, "type": "User", "userPrincipalName": e.target.upn, "groupType": nil,
		"modifiedProperties": []map[string]any{{
			"displayName": "StsRefreshTokensValidFrom", "oldValue": `["` + e.oldValue + `"]`, "newValue": `["` + e.newValue + `"]`,
		}},
	}}
}

// listDirectoryAudits lists the newest first.
func listDirectoryAudits(c *call) *reply {
	if rep := c.mayReadLogs(); rep != nil {
		return rep
	}
	all := c.sim.tenant.audits
	n := len(all)
	return c.list(listing{
		entity: directoryAuditEntity(), n: n, at: func(i int) object { return all[n-1-i] }, fragment: "auditLogs/directoryAudits", top: 1000, maxTop: 1000,
	})
}

var signInEntity = sync.OnceValue(func() *entity {
	si := func(name, ops string, get func(*signInEntry) any) prop {
		return prop{name: name, shown: true, ops: ops, get: func(_ *call, o object) any { return get(o.(*signInEntry)) }}
	}
	return (&entity{name: "auditLogs/signIns", typ: "#microsoft.graph.signIn", props: []prop{
		si("id", "eq", func(e *signInEntry) any { return e.id }),
		si("createdDateTime", "eq ge le", func(e *signInEntry) any { return e.at }),
		si("userDisplayName", "eq startswith", func(e *signInEntry) any { return e.user.name }),
		si("userPrincipalName", "eq startswith", func(e *signInEntry) any { return e.user.upn }),
		si("userId", "eq", func(e *signInEntry) any { return e.user.id }),
		si("appId", "eq", func(e *signInEntry) any { return e.appID }),
		si("appDisplayName", "eq startswith", func(e *signInEntry) any { return e.app }),
		si("ipAddress", "eq startswith", func(e *signInEntry) any { return e.address }),
		si("clientAppUsed", "eq", func(e *signInEntry) any { return e.client }),
		si("correlationId", "eq", func(e *signInEntry) any { return e.correlation }),
		si("conditionalAccessStatus", "eq", func(*signInEntry) any { return "notApplied" }),
		si("isInteractive", "eq", func(*signInEntry) any { return true }),
		si("riskDetail", "eq", func(*signInEntry) any { return "none" }),
		si("riskLevelAggregated", "eq", func(*signInEntry) any { return "none" }),
		si("riskLevelDuringSignIn", "eq", func(*signInEntry) any { return "none" }),
		si("riskState", "eq", func(*signInEntry) any { return "none" }),
		si("riskEventTypes_v2", "", func(*signInEntry) any { return []string{} }),
		si("resourceDisplayName", "eq", func(*signInEntry) any { return "Microsoft Graph" }),
		si("resourceId", "eq", func(*signInEntry) any { return graphAppID }),
		si("status", "eq", func(e *signInEntry) any {
			return map[string]any{"errorCode": e.errorCode, "failureReason": text(e.failure), "additionalDetails": nil}
		}),
		si("deviceDetail", "", func(*signInEntry) any {
			return map[string]any{"deviceId": "", "displayName": nil, "operatingSystem": "Windows", "browser": "Edge", "isCompliant": nil, "isManaged": nil, "trustType": nil}
		}),
		si("location", "", func(e *signInEntry) any {
			return map[string]any{"city": e.user.site().city, "state": nil, "countryOrRegion": e.user.site().code}
		}),
		si("appliedConditionalAccessPolicies", "", func(*signInEntry) any { return []string{} }),
	}}).build()
})

func listSignIns(c *call) *reply {
	if rep := c.mayReadLogs(); rep != nil {
		return rep
	}
	all := c.sim.tenant.signIns
	n := len(all)
	return c.list(listing{
		entity: signInEntity(), n: n, at: func(i int) object { return all[n-1-i] }, fragment: "auditLogs/signIns", top: 1000, maxTop: 1000,
	})
}
