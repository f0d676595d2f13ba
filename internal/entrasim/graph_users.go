package entrasim

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// needsSignInActivity reports whether the query touches signInActivity, which has rules of its own.
func (c *call) needsSignInActivity() bool {
	if len(c.query) == 0 {
		return false
	}
	return slices.ContainsFunc(splitList(c.query.Get("$select")), func(n string) bool { return strings.EqualFold(n, "signInActivity") }) ||
		strings.Contains(c.query.Get("$filter"), "signInActivity")
}

// checkActivity refuses signInActivity without AuditLog.Read.All.
func (c *call) checkActivity() *reply {
	if c.needsSignInActivity() && !c.has(readAudit...) {
		return c.graphError(http.StatusForbidden, "Authentication_MSGraphPermissionMissing", "Calling principal does not have required MSGraph permissions AuditLog.Read.All")
	}
	return nil
}

// listUsers is GET /users. Guests may not list people.
func listUsers(c *call) *reply {
	if c.cast != "" && c.cast != "user" {
		return c.unsupported()
	}
	if c.caller != nil && c.caller.guest {
		return c.graphError(http.StatusForbidden, codeDenied, deniedText)
	}
	if rep := c.checkActivity(); rep != nil {
		return rep
	}
	t := c.sim.tenant
	l := listing{
		entity: userEntity(), n: len(t.users), at: func(i int) object { return t.users[i] }, fragment: "users",
		order: c.userOrder, narrow: c.narrowUsers,
	}
	if c.needsSignInActivity() {
		l.maxTop = 500 // Microsoft Learn, List users
	}
	return c.list(l)
}

// userOrder makes the order by name once; the tenant is only read-locked here, so the order has a lock of its own.
func (c *call) userOrder() func(int) object {
	t := c.sim.tenant
	c.sim.orderMu.Lock()
	order := t.nameOrder()
	c.sim.orderMu.Unlock()
	return func(i int) object { return t.users[order[i]] }
}

// narrowUsers finds people by id, user principal name or address without a look at everybody.
func (c *call) narrowUsers(n *filterNode) *listing {
	t := c.sim.tenant
	few, found := t.candidates(n)
	if !found {
		return nil
	}
	slices.Sort(few)
	few = slices.Compact(few)
	l := listing{entity: userEntity(), n: len(few), at: func(i int) object { return t.users[few[i]] }, fragment: "users"}
	l.order = func() func(int) object {
		slices.SortStableFunc(few, func(a, b int32) int { return compareFold(t.users[a].name, t.users[b].name) })
		return l.at
	}
	return &l
}

// candidates lists the accounts that can match the filter, where what it compares has an index: every account that
// matches is among them. The second value is false when only a look at everybody tells.
func (t *tenant) candidates(n *filterNode) ([]int32, bool) {
	switch n.op {
	case "and":
		if few, found := t.candidates(n.kids[0]); found {
			return few, true
		}
		return t.candidates(n.kids[1])
	case "or":
		a, foundA := t.candidates(n.kids[0])
		b, foundB := t.candidates(n.kids[1])
		return append(a, b...), foundA && foundB
	case "eq", "in":
		if n.path == "id" || n.path == "userPrincipalName" || n.path == "mail" {
			return t.lookUp(n.literals)
		}
	}
	return nil, false
}

// lookUp finds accounts by id, user principal name or address.
func (t *tenant) lookUp(values []any) ([]int32, bool) {
	var out []int32
	for _, v := range values {
		text, isText := v.(string)
		if !isText {
			return nil, false
		}
		key := strings.ToLower(text)
		if i, found := t.userIndex[key]; found {
			out = append(out, i)
		}
		out = append(out, t.mailIndex[key]...)
	}
	return out, true
}

func (c *call) notFound(id string) *reply {
	return c.graphError(http.StatusNotFound, codeNotFound,
		"Resource '"+clip(id)+"' does not exist or one of its queried reference-property objects are not present.")
}

// withUser finds the user in the path.
func (c *call) withUser(f func(*user) *reply) *reply {
	if c.subject == nil {
		return c.notFound(c.vars["user"])
	}
	return f(c.subject)
}

func getUser(c *call) *reply {
	return c.withUser(func(u *user) *reply {
		if rep := c.checkActivity(); rep != nil {
			return rep
		}
		e := userEntity()
		if !u.agent {
			return c.one(e, u, "users")
		}
		v, rep := c.selection(e)
		if rep != nil {
			return rep
		}
		v.typed = true
		b := appendString([]byte(`{"@odata.context":`), c.base+"/$metadata#users/$entity")
		return ok(append(agentEntity().appendFields(b, c, u, v), '}'))
	})
}

// revokeSessions is POST /users/{id}/revokeSignInSessions. The answer is always true and proves nothing.
func revokeSessions(c *call) *reply {
	return c.withUser(func(u *user) *reply {
		if c.inBatch && len(c.body) == 0 {
			return c.graphError(http.StatusBadRequest, codeBad, "Write request does not contain Content-Type header or body.")
		}
		a := actor{user: c.caller, principal: c.token.ObjectID}
		if c.staleForRole() || !c.sim.mayRevoke(a, u) {
			return c.graphError(http.StatusForbidden, codeDenied, deniedText)
		}
		o := revokeOptions{operator: c.caller, app: c.token.AppName, address: c.address, still: c.fault(StampNeverMoves)}
		if c.fault(ForwardDated) {
			o.forward = 30 * 24 * time.Hour
		}
		c.sim.revoke(u, o)
		b := appendString([]byte(`{"@odata.context":`), c.base+"/$metadata#Edm.Boolean")
		return ok(append(b, `,"value":true}`...))
	})
}

// listObjects answers a collection of several kinds, or of one kind when the path ends in a cast.
func (c *call) listObjects(all []object) *reply {
	if c.cast == "" {
		return c.list(listing{n: len(all), at: func(i int) object { return all[i] }, fragment: "directoryObjects", typed: true})
	}
	e := castEntity(c.cast)
	if e == nil {
		return c.graphError(http.StatusBadRequest, codeBad, "Resource not found for the segment 'microsoft.graph."+clip(c.cast)+"'.")
	}
	if !c.castAllowed() {
		return c.graphError(http.StatusBadRequest, codeUnsupportedQuery, "The specified query requires the header ConsistencyLevel: eventual and $count=true.")
	}
	kept := slices.DeleteFunc(all, func(o object) bool { return entityOf(o).name != e.name })
	return c.list(listing{entity: e, n: len(kept), at: func(i int) object { return kept[i] }, fragment: e.name})
}

// castAllowed reports whether the request is an advanced query, which a cast needs.
func (c *call) castAllowed() bool {
	return strings.EqualFold(c.header.Get("ConsistencyLevel"), "eventual") &&
		(c.countOnly || c.query.Has("$skiptoken") || strings.EqualFold(c.query.Get("$count"), "true"))
}

// castEntity is the kind that a cast names, or nil.
func castEntity(name string) *entity {
	for _, e := range []*entity{userEntity(), groupEntity(), directoryRoleEntity(), unitEntity(), principalEntity()} {
		if strings.EqualFold("#microsoft.graph."+name, e.typ) {
			return e
		}
	}
	return nil
}

// entityOf tells the kind of an object.
func entityOf(o object) *entity {
	switch o := o.(type) {
	case *user:
		if o.agent {
			return agentEntity()
		}
		return userEntity()
	case *group:
		return groupEntity()
	case *unit:
		return unitEntity()
	case *servicePrincipal:
		return principalEntity()
	}
	return directoryRoleEntity()
}

func compareFold(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

func userMemberOf(c *call) *reply {
	return c.withUser(func(u *user) *reply { return c.listObjects(c.memberships(u, u.groups)) })
}

func userTransitiveMemberOf(c *call) *reply {
	return c.withUser(func(u *user) *reply { return c.listObjects(c.memberships(u, c.sim.tenant.transitiveGroups(u))) })
}

// memberships lists groups, directory roles and administrative units. Roles assigned for a unit only are not shown as
// directory roles. Groups with hidden membership show to the person, and with Member.Read.Hidden.
func (c *call) memberships(u *user, groups []int32) []object {
	t := c.sim.tenant
	var out []object
	for _, i := range groups {
		if g := t.groups[i]; c.caller == u || c.mayEnter(g) {
			out = append(out, g)
		}
	}
	var seen []string
	for _, a := range c.sim.living(t.activeRoles(u)) {
		if a.scope == "/" && !slices.Contains(seen, a.role) {
			seen = append(seen, a.role)
			out = append(out, c.sim.roleObject(a.role))
		}
	}
	for _, i := range u.units {
		out = append(out, t.units[i])
	}
	return out
}

func userOwnedObjects(c *call) *reply {
	return c.withUser(func(u *user) *reply {
		out := make([]object, 0, len(u.ownedGroups))
		for _, g := range u.ownedGroups {
			out = append(out, c.sim.tenant.groups[g])
		}
		return c.listObjects(out)
	})
}

func userScopedRoles(c *call) *reply {
	return c.withUser(func(u *user) *reply {
		return c.scopedRoles(c.sim.living(c.sim.tenant.activeRoles(u)), "users('"+u.id+"')/scopedRoleMemberOf")
	})
}
