package entrasim

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one operation of Graph: who may call it, what it costs and what it does.
type route struct {
	method, pattern string
	need            []string // any of these permissions; none means any token
	self            []string // any of these is enough when the caller is the user asked about
	cost            int      // resource units; 0 means 1
	report          bool     // counts against the quota of reports
	lockFree        bool     // takes the lock itself
	reads           bool     // a POST that changes nothing and is no write for the quota
	selectCost      int      // resource units with $select, where that is not cost - 1
	counts          func(*user)
	handle          func(*call) *reply
	segs            []string
}

// Groups of permissions that give the same right, the least first (Microsoft's permission map, August 2026).
var (
	readUsers      = []string{"User.ReadBasic.All", "User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	readUsersFull  = []string{"User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	readSelf       = []string{"User.Read", "User.ReadWrite.All"}
	revokeUsers    = []string{"User.RevokeSessions.All", "User.ReadWrite.All", "Directory.ReadWrite.All"}
	readGroups     = []string{"Group.ReadBasic.All", "GroupMember.Read.All", "Group.Read.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	readMembers    = []string{"GroupMember.ReadBasic.All", "GroupMember.Read.All", "Group.Read.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	readMemberOf   = []string{"User.Read.All", "GroupMember.Read.All", "Directory.Read.All", "User.ReadWrite.All", "Directory.ReadWrite.All"}
	readRoles      = []string{"RoleManagement.Read.Directory", "RoleManagement.Read.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	readAssigned   = []string{"RoleAssignmentSchedule.Read.Directory", "RoleManagement.Read.Directory", "RoleManagement.Read.All"}
	readEligible   = []string{"RoleEligibilitySchedule.Read.Directory", "RoleManagement.Read.Directory", "RoleManagement.Read.All"}
	readUnits      = []string{"AdministrativeUnit.Read.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	readScoped     = []string{"RoleManagement.Read.Directory", "Directory.Read.All", "Directory.ReadWrite.All"}
	readDomains    = []string{"Domain.Read.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	readOrg        = []string{"User.Read", "Organization.Read.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	readObjects    = []string{"Directory.Read.All", "Directory.ReadWrite.All"}
	readAudit      = []string{"AuditLog.Read.All"}
	readPIMGroup   = []string{"PrivilegedEligibilitySchedule.Read.AzureADGroup"}
	readPIMGroupAs = []string{"PrivilegedAssignmentSchedule.Read.AzureADGroup"}
)

// newRoutes is the table of everything that Graph answers here.
func newRoutes() []*route {
	all := []*route{
		{pattern: "/users", need: readUsers, cost: 2, handle: listUsers},
		{pattern: "/users/{user}", need: readUsers, self: readSelf, counts: (*user).countRead, handle: getUser},
		{method: "POST", pattern: "/users/{user}/revokeSignInSessions", need: revokeUsers, counts: (*user).countPost, handle: revokeSessions},
		{pattern: "/users/{user}/memberOf", need: readMemberOf, self: readSelf, cost: 2, handle: userMemberOf},
		{pattern: "/users/{user}/transitiveMemberOf", need: readMemberOf, self: readSelf, cost: 2, handle: userTransitiveMemberOf},
		{pattern: "/users/{user}/ownedObjects", need: readUsersFull, self: readSelf, cost: 2, handle: userOwnedObjects},
		{pattern: "/users/{user}/scopedRoleMemberOf", need: []string{"Directory.Read.All", "Directory.ReadWrite.All"}, handle: userScopedRoles},
		{method: "POST", pattern: "/directoryObjects/getByIds", need: readObjects, reads: true, cost: 5, selectCost: 2, handle: getByIDs},
		{pattern: "/groups", need: readGroups, handle: listGroups},
		{pattern: "/groups/{group}", need: readGroups, handle: getGroup},
		{pattern: "/groups/{group}/members", need: readMembers, cost: 3, handle: groupMembers},
		{pattern: "/groups/{group}/transitiveMembers", need: readMembers, cost: 5, handle: groupTransitiveMembers},
		{pattern: "/groups/{group}/owners", need: readMembers, handle: groupOwners},
		{pattern: "/groups/{group}/memberOf", need: readMembers, cost: 2, handle: groupMemberOf},
		{pattern: "/groups/{group}/transitiveMemberOf", need: readMembers, cost: 2, handle: groupTransitiveMemberOf},
		{pattern: "/directoryRoles", need: readRoles, handle: listDirectoryRoles},
		{pattern: "/directoryRoles/{role}", need: readRoles, handle: getDirectoryRole},
		{pattern: "/directoryRoles/{role}/members", need: readRoles, handle: directoryRoleMembers},
		{pattern: "/roleManagement/directory/roleDefinitions", need: readRoles, handle: listRoleDefinitions},
		{pattern: "/roleManagement/directory/roleDefinitions/{definition}", need: readRoles, handle: getRoleDefinition},
		{pattern: "/roleManagement/directory/roleAssignments", need: readRoles, handle: listRoleAssignments},
		{pattern: "/roleManagement/directory/roleAssignmentScheduleInstances", need: readAssigned, handle: listAssignmentInstances},
		{pattern: "/roleManagement/directory/roleEligibilityScheduleInstances", need: readEligible, handle: listEligibilityInstances},
		{pattern: "/directory/administrativeUnits", need: readUnits, handle: listUnits},
		{pattern: "/directory/administrativeUnits/{unit}", need: readUnits, handle: getUnit},
		{pattern: "/directory/administrativeUnits/{unit}/members", need: readUnits, handle: unitMembers},
		{pattern: "/directory/administrativeUnits/{unit}/scopedRoleMembers", need: readScoped, handle: unitScopedRoles},
		{pattern: "/organization", need: readOrg, handle: listOrganization},
		{pattern: "/domains", need: readDomains, handle: listDomains},
		{pattern: "/auditLogs/directoryAudits", need: readAudit, report: true, handle: listDirectoryAudits},
		{pattern: "/auditLogs/signIns", need: readAudit, report: true, handle: listSignIns},
		{pattern: "/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances", need: readPIMGroup, handle: listGroupEligibility},
		{pattern: "/identityGovernance/privilegedAccess/group/assignmentScheduleInstances", need: readPIMGroupAs, handle: listGroupAssignments},
		{method: "POST", pattern: "/$batch", lockFree: true, handle: batch},
	}
	for _, r := range all {
		if r.method == "" {
			r.method = http.MethodGet
		}
		r.segs = strings.Split(r.pattern[1:], "/")
	}
	return all
}

// writes reports whether the operation changes something, and counts as a write for the quota.
func (r *route) writes() bool { return r.method != http.MethodGet && !r.reads }

// resolve turns the path into a route. /me becomes the caller's own /users/{id}; keys in brackets become segments.
func (c *call) resolve() *reply {
	segs, err := splitPath(c.rawPath)
	if err != nil || len(segs) == 0 {
		c.path = c.rawPath
		return c.graphError(http.StatusBadRequest, codeBad, "Resource not found for the segment ''.")
	}
	if segs[0] == "me" {
		if c.caller == nil {
			c.path = "/me"
			return c.graphError(http.StatusBadRequest, codeBad, "/me request is only valid with delegated authentication flow.")
		}
		c.me = true
		segs = append([]string{"users", c.caller.id}, segs[1:]...)
	}
	if segs[len(segs)-1] == "$count" {
		c.countOnly, segs = true, segs[:len(segs)-1]
	}
	if last := segs[len(segs)-1]; len(segs) > 1 {
		if name, found := cutNamespace(last); found {
			if action := slices.IndexFunc(actions, func(a string) bool { return strings.EqualFold(a, name) }); action >= 0 {
				segs[len(segs)-1] = actions[action]
			} else {
				c.cast, segs = name, segs[:len(segs)-1]
			}
		}
	}
	c.segs, c.path = segs, "/"+strings.Join(segs, "/")
	return c.match()
}

// actions may stand in a path with their namespace, where the last segment is a cast otherwise.
var actions = []string{"revokeSignInSessions", "getByIds"}

func cutNamespace(seg string) (string, bool) {
	if name, found := strings.CutPrefix(seg, "microsoft.graph."); found {
		return name, true
	}
	return strings.CutPrefix(seg, "graph.")
}

// match finds the route. A path that exists with another method is told apart from one that does not exist.
func (c *call) match() *reply {
	otherMethod := false
	for _, r := range c.sim.routes {
		vars, good := r.match(c.segs)
		if !good {
			continue
		}
		if r.method != c.method {
			otherMethod = true
			continue
		}
		c.route, c.vars = r, vars
		return nil
	}
	if otherMethod {
		return c.graphError(http.StatusMethodNotAllowed, codeMethod, "Specified HTTP method is not allowed for the request target.")
	}
	return c.graphError(http.StatusBadRequest, codeBad, "Resource not found for the segment '"+clip(c.unknownSegment())+"'.")
}

func (c *call) unknownSegment() string {
	for i, seg := range c.segs {
		known := slices.ContainsFunc(c.sim.routes, func(r *route) bool {
			if i >= len(r.segs) {
				return false
			}
			_, good := (&route{segs: r.segs[:i+1]}).match(c.segs[:i+1])
			return good
		})
		if !known {
			return seg
		}
	}
	return c.segs[len(c.segs)-1]
}

func (r *route) match(segs []string) (map[string]string, bool) {
	if len(segs) != len(r.segs) {
		return nil, false
	}
	var vars map[string]string
	for i, want := range r.segs {
		if name, isVar := strings.CutPrefix(want, "{"); isVar {
			if vars == nil {
				vars = map[string]string{}
			}
			vars[strings.TrimSuffix(name, "}")] = segs[i]
		} else if !strings.EqualFold(want, segs[i]) {
			return nil, false
		}
	}
	return vars, true
}

// splitPath cuts an escaped path into unescaped segments. users('id') becomes users, id; a named key such as
// directoryRoles(roleTemplateId='x') becomes directoryRoles, roleTemplateId=x.
func splitPath(raw string) ([]string, error) {
	var out []string
	for seg := range strings.SplitSeq(strings.Trim(raw, "/"), "/") {
		s, err := url.PathUnescape(seg)
		if err != nil {
			return nil, err
		}
		if s == "" {
			continue
		}
		open := strings.IndexByte(s, '(')
		if open <= 0 || !strings.HasSuffix(s, ")") {
			out = append(out, s)
			continue
		}
		key := s[open+1 : len(s)-1]
		if name, value, named := strings.Cut(key, "='"); named && strings.HasSuffix(value, "'") {
			out = append(out, s[:open], name+"="+unquote(value[:len(value)-1]))
			continue
		}
		if len(key) >= 2 && key[0] == '\'' && key[len(key)-1] == '\'' {
			out = append(out, s[:open], unquote(key[1:len(key)-1]))
			continue
		}
		out = append(out, s)
	}
	return out, nil
}

func unquote(v string) string { return strings.ReplaceAll(v, "''", "'") }
