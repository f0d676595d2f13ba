package entrasim

import (
	"fmt"
	"sync"
	"time"
)

// roleObject is the directoryRole of an activated role.
type roleObject struct {
	id  string
	def *roleDef
}

// roleObject returns the object of a role. Callers hold s.mu.
func (s *Sim) roleObject(template string) *roleObject {
	d := s.roles.byID[template]
	if d == nil {
		d = &roleDef{ID: template, Name: template}
	}
	return &roleObject{id: s.tenant.roleObjects[template], def: d}
}

var directoryRoleEntity = sync.OnceValue(func() *entity {
	dr := func(name, ops string, get func(*roleObject) any) prop {
		return prop{name: name, shown: true, ops: ops, get: func(_ *call, o object) any { return get(o.(*roleObject)) }}
	}
	return (&entity{name: "directoryRoles", typ: "#microsoft.graph.directoryRole", props: []prop{
		dr("id", "eq", func(r *roleObject) any { return r.id }),
		dr("deletedDateTime", "", func(*roleObject) any { return nil }),
		dr("description", "", func(r *roleObject) any { return "Built-in role: " + r.def.Name }),
		dr("displayName", "eq", func(r *roleObject) any { return r.def.Name }),
		dr("roleTemplateId", "eq", func(r *roleObject) any { return r.def.ID }),
	}}).build()
})

var roleDefinitionEntity = sync.OnceValue(func() *entity {
	rd := func(name, ops string, get func(*roleDef) any) prop {
		return prop{name: name, shown: true, ops: ops, get: func(_ *call, o object) any { return get(o.(*roleDef)) }}
	}
	return (&entity{name: "roleManagement/directory/roleDefinitions", typ: "#microsoft.graph.unifiedRoleDefinition", props: []prop{
		rd("id", "eq in", func(r *roleDef) any { return r.ID }),
		rd("description", "", func(r *roleDef) any { return "Built-in role: " + r.Name }),
		rd("displayName", "eq in startswith", func(r *roleDef) any { return r.Name }),
		rd("isBuiltIn", "eq", func(*roleDef) any { return true }),
		rd("isEnabled", "eq", func(*roleDef) any { return true }),
		rd("resourceScopes", "", func(*roleDef) any { return []string{"/"} }),
		rd("templateId", "eq in", func(r *roleDef) any { return r.ID }),
		rd("version", "", func(*roleDef) any { return "1" }),
		rd("rolePermissions", "", func(r *roleDef) any {
			return []map[string]any{{"allowedResourceActions": r.allowed(), "condition": nil}}
		}),
	}}).build()
})

// allowed are the actions of the definition that matter here, and one that every role has. The real lists are long.
func (r *roleDef) allowed() []string {
	return append([]string{"microsoft.office365.webPortal/allEntities/standard/read"}, r.Actions...)
}

// roleRow is what assignments, eligibilities and their schedule instances have in common.
type roleRow struct {
	id, principal, role, scope string
	since, end                 time.Time
	activated                  bool
}

func (a *assignment) row() roleRow {
	return roleRow{a.id, a.principal, a.role, a.scope, a.since, a.end, a.activated}
}

func (e *eligibility) row() roleRow {
	return roleRow{e.id, e.principal, e.role, e.scope, e.since, e.end, false}
}

func rr(name, ops string, get func(roleRow) any) prop {
	return prop{name: name, shown: true, ops: ops, get: func(_ *call, o object) any { return get(o.(roleRow)) }}
}

func roleRowProps() []prop {
	return []prop{
		rr("id", "eq", func(r roleRow) any { return r.id }),
		rr("principalId", "eq in", func(r roleRow) any { return r.principal }),
		rr("roleDefinitionId", "eq in", func(r roleRow) any { return r.role }),
		rr("directoryScopeId", "eq", func(r roleRow) any { return r.scope }),
		rr("appScopeId", "", func(roleRow) any { return nil }),
	}
}

func rowExpands() map[string]func(*call, object) ([]byte, bool) {
	return map[string]func(*call, object) ([]byte, bool){
		"principal": func(c *call, o object) ([]byte, bool) { return c.principal(o.(roleRow).principal) },
		"roleDefinition": func(c *call, o object) ([]byte, bool) {
			d := c.sim.roles.byID[o.(roleRow).role]
			if d == nil {
				return nil, false
			}
			return roleDefinitionEntity().append(nil, c, d, roleDefinitionEntity().all(false)), true
		},
	}
}

// all is a view of every default property.
func (e *entity) all(typed bool) view {
	v := view{typed: typed}
	for i := range e.props {
		if e.props[i].shown {
			v.selected = append(v.selected, i)
		}
	}
	return v
}

// principal writes the user, group or service principal with this id.
func (c *call) principal(id string) ([]byte, bool) {
	o := c.findObject(id)
	if o == nil {
		return nil, false
	}
	e := entityOf(o)
	return e.append(nil, c, o, e.all(true)), true
}

var roleAssignmentEntity = sync.OnceValue(func() *entity {
	return (&entity{
		name: "roleManagement/directory/roleAssignments", typ: "#microsoft.graph.unifiedRoleAssignment",
		props:   append(roleRowProps(), rr("condition", "", func(roleRow) any { return nil })),
		expands: rowExpands(),
	}).build()
})

func scheduleProps(kind string) []prop {
	props := append(roleRowProps(),
		rr("startDateTime", "ge le", func(r roleRow) any { return r.since.UTC().Truncate(time.Second) }),
		rr("endDateTime", "ge le", func(r roleRow) any {
			if r.end.IsZero() {
				return nil
			}
			return r.end.UTC().Truncate(time.Second)
		}),
		rr("memberType", "eq", func(roleRow) any { return "Direct" }),
	)
	if kind == "eligibility" {
		return append(props, rr("roleEligibilityScheduleId", "", func(r roleRow) any { return r.id }))
	}
	return append(props,
		rr("assignmentType", "eq", func(r roleRow) any {
			if r.activated {
				return "Activated"
			}
			return "Assigned"
		}),
		rr("roleAssignmentOriginId", "", func(r roleRow) any { return r.id }),
		rr("roleAssignmentScheduleId", "", func(r roleRow) any { return r.id }),
	)
}

var eligibilityEntity = sync.OnceValue(func() *entity {
	return (&entity{
		name: "roleManagement/directory/roleEligibilityScheduleInstances", typ: "#microsoft.graph.unifiedRoleEligibilityScheduleInstance",
		props: scheduleProps("eligibility"), expands: rowExpands(),
	}).build()
})

var assignmentInstanceEntity = sync.OnceValue(func() *entity {
	return (&entity{
		name: "roleManagement/directory/roleAssignmentScheduleInstances", typ: "#microsoft.graph.unifiedRoleAssignmentScheduleInstance",
		props: scheduleProps("assignment"), expands: rowExpands(),
	}).build()
})

// groupRow is a membership or ownership of a group that privileged identity management knows of.
type groupRow struct {
	*groupEligibility
	assigned bool
}

func groupRowEntity(name, kind string) *entity {
	ge := func(name, ops string, get func(groupRow) any) prop {
		return prop{name: name, shown: true, ops: ops, get: func(_ *call, o object) any { return get(o.(groupRow)) }}
	}
	props := []prop{
		ge("id", "eq", func(r groupRow) any { return fmt.Sprintf("%s_%s_%s", r.group, r.access, r.id) }),
		ge("principalId", "eq", func(r groupRow) any { return r.principal }),
		ge("accessId", "eq", func(r groupRow) any { return r.access }),
		ge("groupId", "eq", func(r groupRow) any { return r.group }),
		ge("memberType", "eq", func(groupRow) any { return "direct" }),
		ge("startDateTime", "", func(r groupRow) any { return r.since.UTC().Truncate(time.Second) }),
		ge("endDateTime", "", func(r groupRow) any {
			if r.end.IsZero() {
				return nil
			}
			return r.end.UTC().Truncate(time.Second)
		}),
		ge(kind+"ScheduleId", "", func(r groupRow) any { return r.id }),
	}
	if kind == "assignment" {
		props = append(props, ge("assignmentType", "eq", func(groupRow) any { return "assigned" }))
	}
	return (&entity{
		name: "identityGovernance/privilegedAccess/group/" + name, typ: "#microsoft.graph.privilegedAccessGroup" + name, props: props,
		expands: map[string]func(*call, object) ([]byte, bool){
			"principal": func(c *call, o object) ([]byte, bool) { return c.principal(o.(groupRow).principal) },
			"group":     func(c *call, o object) ([]byte, bool) { return c.principal(o.(groupRow).group) },
		},
	}).build()
}

var groupEligibilityEntity = sync.OnceValue(func() *entity { return groupRowEntity("eligibilityScheduleInstances", "eligibility") })

var groupAssignmentEntity = sync.OnceValue(func() *entity { return groupRowEntity("assignmentScheduleInstances", "assignment") })

// scopedRow is a directory role held for one administrative unit.
type scopedRow struct {
	id, unit, role, member, name string
}

var scopedRoleEntity = sync.OnceValue(func() *entity {
	sr := func(name string, get func(scopedRow) any) prop {
		return prop{name: name, shown: true, get: func(_ *call, o object) any { return get(o.(scopedRow)) }}
	}
	return (&entity{name: "scopedRoleMemberships", typ: "#microsoft.graph.scopedRoleMembership", props: []prop{
		sr("id", func(r scopedRow) any { return r.id }),
		sr("roleId", func(r scopedRow) any { return r.role }),
		sr("administrativeUnitId", func(r scopedRow) any { return r.unit }),
		sr("roleMemberInfo", func(r scopedRow) any { return map[string]any{"id": r.member, "displayName": r.name} }),
	}}).build()
})
