package entrasim

import (
	"net/http"
	"strings"
)

func listDirectoryRoles(c *call) *reply {
	var all []object
	for i := range c.sim.roles.Roles {
		if r := c.sim.roleObject(c.sim.roles.Roles[i].ID); r.id != "" {
			all = append(all, r)
		}
	}
	return c.list(listing{entity: directoryRoleEntity(), n: len(all), at: func(i int) object { return all[i] }, fragment: "directoryRoles", top: 1000, maxTop: 1000})
}

// findRoleObject takes an object id or roleTemplateId={id}.
func (c *call) findRoleObject() *roleObject {
	key := c.vars["role"]
	template, byTemplate := strings.CutPrefix(key, "roleTemplateId=")
	for role, id := range c.sim.tenant.roleObjects {
		if byTemplate && sameID(role, template) || !byTemplate && sameID(id, key) {
			return c.sim.roleObject(role)
		}
	}
	return nil
}

func getDirectoryRole(c *call) *reply {
	r := c.findRoleObject()
	if r == nil {
		return c.notFound(c.vars["role"])
	}
	return c.one(directoryRoleEntity(), r, "directoryRoles")
}

// directoryRoleMembers lists who holds the role for the whole tenant; groups stand for themselves.
func directoryRoleMembers(c *call) *reply {
	r := c.findRoleObject()
	if r == nil {
		return c.notFound(c.vars["role"])
	}
	t := c.sim.tenant
	var all []object
	for _, a := range c.sim.living(t.assignments) {
		if a.role != r.def.ID || a.scope != "/" {
			continue
		}
		if o := c.findObject(a.principal); o != nil {
			all = append(all, o)
		}
	}
	return c.listObjects(all)
}

func listRoleDefinitions(c *call) *reply {
	all := c.sim.roles.Roles
	return c.list(listing{
		entity: roleDefinitionEntity(), n: len(all), at: func(i int) object { return &all[i] },
		fragment: "roleManagement/directory/roleDefinitions", top: 999,
	})
}

func getRoleDefinition(c *call) *reply {
	d := c.sim.roles.byID[strings.ToLower(c.vars["definition"])]
	if d == nil {
		return c.notFound(c.vars["definition"])
	}
	return c.one(roleDefinitionEntity(), d, "roleManagement/directory/roleDefinitions")
}

func (c *call) assignmentRows() []roleRow {
	living := c.sim.living(c.sim.tenant.assignments)
	out := make([]roleRow, len(living))
	for i, a := range living {
		out[i] = a.row()
	}
	return out
}

func (c *call) listRows(e *entity, rows []roleRow) *reply {
	return c.list(listing{entity: e, n: len(rows), at: func(i int) object { return rows[i] }, fragment: e.name})
}

func listRoleAssignments(c *call) *reply {
	return c.listRows(roleAssignmentEntity(), c.assignmentRows())
}

// premium refuses what needs Entra ID P2 where the tenant has none, and whoever may not read privileged identity
// management: Password, User and Privileged Authentication Administrator may not (Microsoft Learn, PIM APIs).
func (c *call) premium(roles ...string) *reply {
	if c.sim.opts.NoPremium {
		return c.graphError(http.StatusBadRequest, "AadPremiumLicenseRequired", "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license.")
	}
	if c.caller != nil && !c.holds(append(roles, RoleGlobalAdministrator)...) {
		return c.graphError(http.StatusForbidden, codeDenied, "Attempted to perform an unauthorized operation.")
	}
	return nil
}

var pimReaders = []string{RoleGlobalReader, RoleSecurityOperator, RoleSecurityReader, RoleSecurityAdministrator, RolePrivilegedRoleAdministrator}

func listAssignmentInstances(c *call) *reply {
	if rep := c.premium(pimReaders...); rep != nil {
		return rep
	}
	return c.listRows(assignmentInstanceEntity(), c.assignmentRows())
}

func listEligibilityInstances(c *call) *reply {
	if rep := c.premium(pimReaders...); rep != nil {
		return rep
	}
	now := c.sim.graphNow()
	var rows []roleRow
	for _, e := range c.sim.tenant.eligibilities {
		if e.end.IsZero() || now.Before(e.end) {
			rows = append(rows, e.row())
		}
	}
	return c.listRows(eligibilityEntity(), rows)
}

// groupRows is for the lists that need a filter on the group or the principal.
func (c *call) groupRows(e *entity, rows []groupRow) *reply {
	if rep := c.premium(RoleGlobalReader, RolePrivilegedRoleAdministrator); rep != nil {
		return rep
	}
	if n, err := parseFilter(c.query.Get("$filter")); err != nil || !n.fixes("groupId", "principalId") {
		return c.graphError(http.StatusBadRequest, "MissingParameters", "The required parameters GroupId or PrincipalId are missing.")
	}
	return c.list(listing{entity: e, n: len(rows), at: func(i int) object { return rows[i] }, fragment: e.name})
}

func listGroupEligibility(c *call) *reply {
	now := c.sim.graphNow()
	var rows []groupRow
	for _, e := range c.sim.tenant.groupEligibilities {
		if e.end.IsZero() || now.Before(e.end) {
			rows = append(rows, groupRow{groupEligibility: e})
		}
	}
	return c.groupRows(groupEligibilityEntity(), rows)
}

// listGroupAssignments lists the members and owners of the groups that privileged identity management manages: here the
// role-assignable ones and those that somebody is eligible for.
func listGroupAssignments(c *call) *reply {
	t := c.sim.tenant
	managed := map[string]bool{}
	for _, e := range t.groupEligibilities {
		managed[e.group] = true
	}
	var rows []groupRow
	for _, g := range t.groups {
		if !g.roleAssignable && !managed[g.id] {
			continue
		}
		assigned := func(access, principal string) {
			rows = append(rows, groupRow{assigned: true, groupEligibility: &groupEligibility{
				id: principal, principal: principal, group: g.id, access: access, since: t.created,
			}})
		}
		for _, i := range g.users {
			assigned("member", t.users[i].id)
		}
		for _, i := range g.groups {
			assigned("member", t.groups[i].id)
		}
		for _, i := range g.owners {
			assigned("owner", t.users[i].id)
		}
	}
	return c.groupRows(groupAssignmentEntity(), rows)
}

// scopedRoles lists the roles among as that are held for one administrative unit.
func (c *call) scopedRoles(as []*assignment, fragment string) *reply {
	t := c.sim.tenant
	var rows []scopedRow
	for _, a := range as {
		unit, found := strings.CutPrefix(a.scope, "/administrativeUnits/")
		if !found {
			continue
		}
		row := scopedRow{id: a.id, unit: unit, role: t.roleObjects[a.role], member: a.principal}
		if u := t.findUser(a.principal); u != nil {
			row.name = u.name
		} else if g := t.findGroup(a.principal); g != nil {
			row.name = g.name
		}
		rows = append(rows, row)
	}
	return c.list(listing{entity: scopedRoleEntity(), n: len(rows), at: func(i int) object { return rows[i] }, fragment: fragment})
}
