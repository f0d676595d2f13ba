package entrasim

import (
	"fmt"
	"slices"
	"time"
)

// User returns a snapshot of the account with this object id or user principal name.
func (s *Sim) User(id string) (Person, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := s.tenant.findUser(id)
	if u == nil {
		return Person{}, false
	}
	return s.person(u), true
}

// People lists snapshots of up to limit accounts, in the order in which Graph lists them.
func (s *Sim) People(limit int) []Person {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := min(limit, len(s.tenant.users))
	out := make([]Person, n)
	for i := range n {
		out[i] = s.person(s.tenant.users[i])
	}
	return out
}

// person must be called with s.mu held, or before the simulator is shared.
func (s *Sim) person(u *user) Person {
	p := Person{
		ID: u.id, UPN: u.upn, Name: u.name, Mail: u.mail, Department: u.department, Enabled: u.enabled, UserType: u.userType(),
		External: u.elsewhere, ValidFrom: time.Unix(u.stampNow(), 0).UTC(), ConsoleRoles: slices.Clone(s.tenant.consoleRoles[u.id]),
	}
	for _, a := range s.tenant.activeRoles(u) {
		name := s.roles.name(a.role)
		if a.scope != "/" {
			name += " (one unit)"
		}
		if !slices.Contains(p.DirectoryRoles, name) {
			p.DirectoryRoles = append(p.DirectoryRoles, name)
		}
	}
	for _, c := range s.tenant.castOrder {
		if c.user == u {
			p.Note = c.note
		}
	}
	return p
}

func (u *user) userType() string {
	if u.guest {
		return "Guest"
	}
	return "Member"
}

// change runs f on the account, or returns an error when there is none.
func (s *Sim) change(id string, f func(*user)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.tenant.findUser(id)
	if u == nil {
		return fmt.Errorf("no user %q in the simulated tenant", id)
	}
	f(u)
	return nil
}

// SetEnabled enables or disables an account. Disabling does not end sessions by itself: the next refresh is refused.
func (s *Sim) SetEnabled(id string, enabled bool) error {
	return s.change(id, func(u *user) { u.enabled = enabled })
}

// Revoke revokes an account's sessions as a Global Administrator does in the admin center, outside of Graph requests seen
// here. External accounts are not changed.
func (s *Sim) Revoke(id string) error { return s.RevokeAs(s.Cast().GlobalAdmin.ID, id) }

// RevokeAs is Revoke by another person. Their rights are not asked.
func (s *Sim) RevokeAs(by, id string) error {
	s.mu.RLock()
	operator := s.tenant.findUser(by)
	s.mu.RUnlock()
	if operator == nil {
		return fmt.Errorf("no user %q in the simulated tenant", by)
	}
	return s.change(id, func(u *user) { s.revoke(u, revokeOptions{operator: operator}) })
}

// ChangePassword is a person changing their own password in the cloud: it ends their sessions, and the audit log names
// them as who did it.
func (s *Sim) ChangePassword(id string) error {
	return s.change(id, func(u *user) { s.revoke(u, ownPassword(u)) })
}

// SyncPassword is a password change on premises that the synchronisation service brings: the audit log names its account.
func (s *Sim) SyncPassword(id string) error {
	by := s.Cast().SyncAccount.ID
	return s.change(id, func(u *user) { s.revoke(u, syncedPassword(s.tenant.findUser(by))) })
}

// SetValidFrom sets the stamp to any time, also one in the future, as an attacker with directory rights could.
func (s *Sim) SetValidFrom(id string, at time.Time) error {
	return s.change(id, func(u *user) {
		u.setStamp(at.Unix(), s.graphNow())
		u.cut, u.cutAt = s.seq.Add(1), s.graphNow().UnixNano()
	})
}

// SetReadBackLag sets how long a GET keeps showing the stamp from before a revocation. It holds for later ones.
func (s *Sim) SetReadBackLag(d time.Duration) { s.lag.Store(int64(max(d, 0))) }

// SetAuditLag sets how long a row takes to appear in the directory audit log. It holds for later ones.
func (s *Sim) SetAuditLag(d time.Duration) { s.auditLag.Store(int64(max(d, 0))) }

// SetReplicas replaces the copies of the directory that answer reads; see Options.Replicas.
func (s *Sim) SetReplicas(lags ...time.Duration) {
	lags = slices.Clone(lags)
	s.spread.Store(&lags)
}

// SetLatency sets what is added to every Graph answer.
func (s *Sim) SetLatency(d time.Duration) { s.latency.Store(int64(max(d, 0))) }

// SetClockOffset sets what Graph's clock is ahead of the simulator's.
func (s *Sim) SetClockOffset(d time.Duration) { s.offset.Store(int64(d)) }

// SetQuota replaces the throttling; all buckets are full again.
func (s *Sim) SetQuota(q Quota) {
	s.mu.RLock()
	n := len(s.tenant.users)
	s.mu.RUnlock()
	s.throttle.init(q, n)
}

// SpendTenantWrites lets another application in the tenant use up n writes of the quota that all share.
func (s *Sim) SpendTenantWrites(n int) { s.throttle.spendTenant(n, s.now()) }

// AssignRole gives the account an active directory role for the whole tenant.
func (s *Sim) AssignRole(id, roleTemplateID string) error {
	return s.AssignScopedRole(id, roleTemplateID, "/")
}

// AssignScopedRole gives the account an active directory role at a scope: "/" or "/administrativeUnits/{id}".
func (s *Sim) AssignScopedRole(id, roleTemplateID, scope string) error {
	return s.change(id, func(u *user) {
		t := s.tenant
		t.assign(&assignment{id: t.auditIDs.next(), principal: u.id, role: roleTemplateID, scope: scope, since: s.graphNow()})
		s.activateRoleObject(roleTemplateID)
	})
}

// ActivateRole makes the account's eligibility active until end, as privileged identity management does.
func (s *Sim) ActivateRole(id, roleTemplateID string, end time.Time) error {
	return s.change(id, func(u *user) {
		t := s.tenant
		t.assign(&assignment{
			id: t.auditIDs.next(), principal: u.id, role: roleTemplateID, scope: "/", activated: true, since: s.graphNow(), end: end,
		})
		s.activateRoleObject(roleTemplateID)
	})
}

func (s *Sim) activateRoleObject(role string) {
	if s.tenant.roleObjects[role] == "" {
		s.tenant.roleObjects[role] = s.tenant.auditIDs.next()
	}
}

// endActivations ends every role that the principal holds by activation.
func (s *Sim) endActivations(principal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.graphNow()
	for _, a := range s.tenant.assignedTo[principal] {
		if a.activated && (a.end.IsZero() || a.end.After(now)) {
			a.end = now
		}
	}
}

// RemoveRole takes every active assignment of the role from the account: also how an activation ends early.
func (s *Sim) RemoveRole(id, roleTemplateID string) error {
	return s.change(id, func(u *user) { s.tenant.unassign(u.id, roleTemplateID) })
}

// SetConsoleRoles replaces the app roles of the console that the account holds.
func (s *Sim) SetConsoleRoles(id string, roles ...string) error {
	return s.change(id, func(u *user) { s.tenant.consoleRoles[u.id] = slices.Clone(roles) })
}

// AddUser creates an ordinary member, as somebody else would in the middle of a run.
//
// The account is in the dynamic group of all members at once; in Entra that takes a while.
func (s *Sim) AddUser(given, surname, department string) Person {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.person(s.addUser(given, surname, department))
}

func (s *Sim) addUser(given, surname, department string) *user {
	now := s.graphNow().Unix()
	t := s.tenant
	local := mailWord(given) + "." + mailWord(surname)
	upn := local + "@" + t.domain
	for n := 2; t.findUser(upn) != nil; n++ {
		upn = fmt.Sprintf("%s%d@%s", local, n, t.domain)
	}
	u := &user{
		id: t.auditIDs.next(), given: given, surname: surname, name: given + " " + surname, upn: upn, mail: upn,
		department: department, enabled: true, created: now, passwordChanged: now, validFrom: now,
	}
	i := t.addUser(u)
	for g := range t.groups {
		if t.groups[g].rule != "" {
			t.join(int32(g), i)
		}
	}
	return u
}

// lateArrival is what the fault AccountCreated does.
func (s *Sim) lateArrival(groupID, unitID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant
	i := t.indexOf(s.addUser("Late", "Arrival", departments[0]))
	if g := t.findGroup(groupID); g != nil && g.rule == "" {
		t.join(t.groupIndex[g.id], i)
	}
	if u := t.findUnit(unitID); u != nil {
		t.joinUnit(int32(slices.Index(t.units, u)), i)
	}
}

// AddToGroup adds the account to the group with this id.
func (s *Sim) AddToGroup(userID, groupID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, g := s.tenant.findUser(userID), s.tenant.findGroup(groupID)
	if u == nil || g == nil {
		return fmt.Errorf("no user %q or no group %q in the simulated tenant", userID, groupID)
	}
	s.tenant.join(s.tenant.groupIndex[g.id], s.tenant.indexOf(u))
	return nil
}

// Group returns the id of the first group with this display name.
func (s *Sim) Group(name string) (id string, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, g := range s.tenant.groups {
		if g.name == name {
			return g.id, true
		}
	}
	return "", false
}

// Unit returns the id of the administrative unit with this display name.
func (s *Sim) Unit(name string) (id string, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, u := range s.tenant.units {
		if u.name == name {
			return u.id, true
		}
	}
	return "", false
}

// AddRedirectURI registers a further redirect address of the console: a test knows its own only once it listens.
func (s *Sim) AddRedirectURI(uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.apps[s.opts.App.ClientID]
	a.RedirectURIs = append(a.RedirectURIs, uri)
}

// SetConsent replaces the delegated permissions that an administrator consented to for the console.
func (s *Sim) SetConsent(scopes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps[s.opts.App.ClientID].Scopes = slices.Clone(scopes)
}
