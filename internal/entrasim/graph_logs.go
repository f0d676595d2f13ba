package entrasim

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Who may read each log beside holding the permission (Microsoft Graph, list directoryAudits and list signIns). A Global
// Administrator may read either.
var (
	auditReaders  = []string{RoleReportsReader, RoleSecurityReader, RoleSecurityAdministrator, RoleGlobalAdministrator}
	signInReaders = append([]string{RoleSecurityOperator, RoleGlobalReader}, auditReaders...)
)

// mayReadLog needs one of the directory roles beside the permission, and the licence.
func (c *call) mayReadLog(readers []string) *reply {
	if c.sim.opts.NoPremium {
		return c.graphError(http.StatusForbidden, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", "Neither tenant is B2C or tenant doesn't have premium license")
	}
	if c.caller != nil && !c.holds(readers...) {
		return c.graphError(http.StatusForbidden, "Authentication_RequestFromUnsupportedUserRole", "User is not in the allowed roles")
	}
	return nil
}

// activityRevoked is how the directory audit log calls a revocation (Microsoft Entra, audit activity reference).
const activityRevoked = "Update StsRefreshTokenValidFrom Timestamp"

// addAudit writes the rows of a revocation: usually it comes with an "Update user" (reported by administrators; Microsoft
// does not document it). The log keeps the newest changes, enough for one of everybody in the largest tenant.
func (t *tenant) addAudit(u *user, now, shownFrom time.Time, old, at int64, o revokeOptions) {
	e := &auditEntry{
		id: t.auditIDs.next(), correlation: t.auditIDs.next(), activities: [2]string{activityRevoked, "Update user"},
		at: now, shownFrom: shownFrom, byApp: o.app, byAddress: o.address, client: o.client, target: u, bare: o.bare,
		oldValue: old, newValue: at,
	}
	if o.beside != "" {
		e.activities[1] = o.beside
	}
	if o.operator != nil {
		e.byID, e.byUPN = o.operator.id, o.operator.upn
	}
	t.audits = append(t.audits, e)
	const keep = 250_000
	if len(t.audits) > 2*keep {
		t.audits = slices.Clone(t.audits[len(t.audits)-keep:])
	}
}

// addHistory fills the audit log with what a tenant has of itself: password changes that the synchronisation service brought
// or that somebody made for themselves, and a revocation in the admin center.
func (b *builder) addHistory() {
	cast := func(who func(*Cast) *Person) *user {
		var c Cast
		for i, p := range parts() {
			if p.into(&c) == who(&c) {
				return b.castOrder[i].user
			}
		}
		return nil
	}
	sync := cast(func(c *Cast) *Person { return &c.SyncAccount })
	admin := cast(func(c *Cast) *Person { return &c.GlobalAdmin })
	agnes, petra := cast(func(c *Cast) *Person { return &c.Synced }), cast(func(c *Cast) *Person { return &c.Federated })
	callum, ruben := cast(func(c *Cast) *Person { return &c.BranchMember }), cast(func(c *Cast) *Person { return &c.ExchangeAdmin })
	for _, past := range []struct {
		ago    time.Duration
		target *user
		how    revokeOptions
	}{
		{131 * time.Hour, petra, syncedPassword(sync)},
		{76 * time.Hour, callum, revokeOptions{operator: admin, address: "203.0.113.80"}},
		{52 * time.Hour, ruben, ownPassword(ruben)},
		{27 * time.Hour, agnes, syncedPassword(sync)},
	} {
		at, old := b.now.Add(-past.ago), past.target.validFrom
		past.target.validFrom = at.Unix()
		b.addAudit(past.target, at, at, old, at.Unix(), past.how)
	}
}

// syncedPassword is how the log tells of a password change on premises. That the row carries the client "DirectorySync" is
// what Microsoft's own hunting query for Sentinel goes by; the activity beside it is reported by administrators.
func syncedPassword(sync *user) revokeOptions {
	return revokeOptions{operator: sync, client: "DirectorySync", beside: "Change user password"}
}

// ownPassword is how the log tells of somebody who changed their own password: a published row of 2019 names them as who
// did it, and no modified property.
func ownPassword(u *user) revokeOptions { return revokeOptions{operator: u, bare: true} }

var directoryAuditEntity = sync.OnceValue(func() *entity {
	da := func(name, ops string, get func(auditRow) any) prop {
		return prop{name: name, shown: true, ops: ops, get: func(_ *call, o object) any { return get(o.(auditRow)) }}
	}
	return (&entity{name: "auditLogs/directoryAudits", typ: "#microsoft.graph.directoryAudit", props: []prop{
		da("id", "eq", func(r auditRow) any { return fmt.Sprintf("Directory_%s_%d", r.id, r.n) }),
		da("category", "eq startswith", func(auditRow) any { return "UserManagement" }),
		da("correlationId", "eq", func(r auditRow) any { return r.correlation }),
		da("result", "eq", func(auditRow) any { return "success" }),
		da("resultReason", "", func(auditRow) any { return "" }),
		da("activityDisplayName", "eq startswith", func(r auditRow) any { return r.activities[r.n] }),
		da("activityDateTime", "eq ge le", func(r auditRow) any { return r.at }),
		da("loggedByService", "eq", func(auditRow) any { return "Core Directory" }),
		da("operationType", "", func(auditRow) any { return "Update" }),
		da("initiatedBy", "eq", func(r auditRow) any { return r.initiator() }),
		da("targetResources", "any", func(r auditRow) any { return r.targets() }),
		da("additionalDetails", "", func(r auditRow) any {
			return []map[string]any{{"key": "UserType", "value": r.target.userType()}}
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
	changed := []map[string]any{}
	property := func(name string, old, now any) {
		changed = append(changed, map[string]any{"displayName": name, "oldValue": old, "newValue": now})
	}
	stamp := func(at int64) string { return `["` + time.Unix(at, 0).UTC().Format(time.RFC3339) + `"]` }
	if !e.bare {
		property("StsRefreshTokensValidFrom", stamp(e.oldValue), stamp(e.newValue))
	}
	if e.client != "" {
		property("Action Client Name", nil, `"`+e.client+`"`)
	}
	return []map[string]any{{
		"id": e.target.id, "displayName": nil, "type": "User", "userPrincipalName": e.target.upn, "groupType": nil,
		"modifiedProperties": changed,
	}}
}

// listDirectoryAudits lists the newest first, of what has come to the log by now.
func listDirectoryAudits(c *call) *reply {
	if rep := c.mayReadLog(auditReaders); rep != nil {
		return rep
	}
	now := c.sim.graphNow()
	shown := make([]*auditEntry, 0, len(c.sim.tenant.audits))
	for _, e := range c.sim.tenant.audits {
		if !e.shownFrom.After(now) {
			shown = append(shown, e)
		}
	}
	n := 2 * len(shown)
	at := func(i int) object { return auditRow{shown[(n-1-i)/2], i % 2} }
	return c.list(listing{
		entity: directoryAuditEntity(), n: n, at: at, fragment: "auditLogs/directoryAudits", top: 1000, maxTop: 1000,
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
	if rep := c.mayReadLog(signInReaders); rep != nil {
		return rep
	}
	all := c.sim.tenant.signIns
	n := len(all)
	return c.list(listing{
		entity: signInEntity(), n: n, at: func(i int) object { return all[n-1-i] }, fragment: "auditLogs/signIns", top: 1000, maxTop: 1000,
	})
}
