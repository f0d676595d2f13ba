package entrasim

import (
	"slices"
	"strings"
	"time"
)

type revokeOptions struct {
	operator     *user // nil: the application by itself
	app, address string
	client       string        // what the audit log calls the client; "" for none
	beside       string        // the activity that is logged beside the revocation; "" for "Update user"
	bare         bool          // the audit log names no modified property
	forward      time.Duration // moves the stamp into the future
	still        bool          // answers, but the stamp does not move
}

// revoke ends the account's sessions. The stamp has whole seconds on Graph's clock. An account that signs in elsewhere
// is not changed (Microsoft Learn, user: revokeSignInSessions). Callers hold s.mu.
func (s *Sim) revoke(u *user, o revokeOptions) {
	if u.elsewhere || o.still {
		return
	}
	now := s.graphNow()
	old := u.stampNow()
	at := now.Add(o.forward).Unix()
	u.setStamp(at, now.Add(time.Duration(s.lag.Load())))
	u.cut, u.cutAt = s.seq.Add(1), now.UnixNano()
	if u.revocations++; u.revocations == 1 {
		s.counters.revoked.Add(1)
	}
	s.counters.revocations.Add(1)
	s.tenant.addAudit(u, now, now.Add(time.Duration(s.auditLag.Load())), old, at, o)
}

// actor is who asks for a revocation: a person, or an application's service principal.
type actor struct {
	user      *user
	principal string
}

// mayRevoke decides by the roles held now, from Microsoft's table of who can invalidate whose refresh tokens.
func (s *Sim) mayRevoke(a actor, target *user) bool {
	if a.user == target && a.user != nil {
		return true
	}
	t := s.tenant
	var mine []*assignment
	if a.user != nil {
		mine = t.activeRoles(a.user)
	} else {
		mine = t.assignedTo[a.principal]
	}
	mine = s.living(mine)
	if target.agent {
		return s.mayRevokeAgent(mine)
	}
	if scope := t.restrictedScope(target); scope != "" {
		return slices.ContainsFunc(mine, func(m *assignment) bool { return m.scope == scope && s.operates(m.role) })
	}
	keys, restrictedHolder := s.targetRoles(target)
	plain := len(keys) == 0 && !restrictedHolder
	if a.user == nil && plain {
		return true // an application needs no directory role for a person without one (permission alone; see graph docs)
	}
	return slices.ContainsFunc(mine, func(m *assignment) bool {
		if !s.operates(m.role) {
			return false
		}
		if m.scope != "/" {
			return plain && t.inScope(target, m.scope) && slices.Contains(unitAssignable, m.role)
		}
		return s.coversAll(m.role, keys, restrictedHolder)
	})
}

// mayRevokeAgent follows the action agentUsers/invalidateAllRefreshTokens, which only these roles have in the export of
// role definitions of August 2026. That no other role suffices is our reading; Microsoft does not say.
func (s *Sim) mayRevokeAgent(mine []*assignment) bool {
	return slices.ContainsFunc(mine, func(m *assignment) bool {
		return m.scope == "/" && (m.role == RoleGlobalAdministrator || m.role == RoleAIAdministrator || m.role == RoleAgentIDAdministrator)
	})
}

// operates reports whether the role can revoke anybody at all.
func (s *Sim) operates(role string) bool {
	if role == RolePasswordAdministrator && !s.opts.PasswordAdministratorRevokes {
		return false
	}
	return slices.Contains(s.roles.NoAdminRole, role)
}

// coversAll reports whether one role suffices for every role that the target holds.
func (s *Sim) coversAll(role string, keys []string, byDefault bool) bool {
	if byDefault && !slices.Contains(s.roles.Default, role) {
		return false
	}
	for _, k := range keys {
		if !s.roles.covers(role, k) {
			return false
		}
	}
	return true
}

// targetRoles lists the roles that protect a person. The flag says that only the roles of the default row suffice:
// members and owners of role-assignable groups, and who holds a role in a restricted unit.
func (s *Sim) targetRoles(u *user) (roles []string, byDefault bool) {
	t := s.tenant
	for _, a := range s.living(t.activeRoles(u)) {
		roles = append(roles, a.role)
		if id, ok := strings.CutPrefix(a.scope, "/administrativeUnits/"); ok {
			if unit := t.findUnit(id); unit != nil && unit.restricted {
				byDefault = true
			}
		}
	}
	assignable := func(g int32) bool { return t.groups[g].roleAssignable }
	return roles, byDefault || slices.ContainsFunc(u.groups, assignable) || slices.ContainsFunc(u.ownedGroups, assignable)
}

// living leaves out activations that have ended.
func (s *Sim) living(as []*assignment) []*assignment {
	now := s.graphNow()
	out := as[:0:0]
	for _, a := range as {
		if a.end.IsZero() || now.Before(a.end) {
			out = append(out, a)
		}
	}
	return out
}

// restrictedScope is the scope of the restricted management unit that u is in, or "".
func (t *tenant) restrictedScope(u *user) string {
	for _, i := range u.units {
		if t.units[i].restricted {
			return "/administrativeUnits/" + t.units[i].id
		}
	}
	return ""
}

func (t *tenant) inScope(u *user, scope string) bool {
	for _, i := range u.units {
		if scope == "/administrativeUnits/"+t.units[i].id {
			return true
		}
	}
	return scope == "/"+u.id
}
