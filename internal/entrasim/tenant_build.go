package entrasim

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// builder makes a tenant from a seed. Dates are counted back from now, which does not touch names or ids.
type builder struct {
	*tenant
	seed   uint64
	now    time.Time
	people source
	ids    source
	taken  map[string]int
}

func buildTenant(o Options, roles *roleTable) *tenant {
	b := &builder{
		tenant: newTenant(o), seed: o.Seed, now: o.Now().Add(o.ClockOffset).UTC().Truncate(time.Second),
		people: newIDs(o.Seed, "people"), ids: newIDs(o.Seed, "ids"), taken: map[string]int{},
	}
	b.created = b.now.AddDate(-6, 0, 0)
	b.addCast()
	b.addAdmins()
	for len(b.users) < o.People {
		b.addOrdinary(len(b.users))
	}
	b.addGroups()
	b.addRoleGroups()
	b.addUnits()
	b.addPrincipals()
	b.addEligible()
	b.addSignIns(o.App)
	b.addNested()
	b.addDelegates()
	b.addRoleObjects(roles)
	b.addHistory()
	return b.tenant
}

func newTenant(o Options) *tenant {
	ids := newIDs(o.Seed, "tenant")
	return &tenant{
		id: ids.next(), name: "Larkfield Instruments",
		domain: "larkfield.example", initial: "larkfield.onmicrosoft.example", fedDom: "mill.larkfield.example",
		userIndex: make(map[string]int32, 2*o.People), mailIndex: map[string][]int32{}, groupIndex: map[string]int32{},
		roleObjects: map[string]string{}, assignedTo: map[string][]*assignment{},
		consoleRoles: map[string][]string{}, auditIDs: newIDs(o.Seed, "audit"),
	}
}

// daysAgo is a moment some days back, at a pseudo-random second of that day.
func (b *builder) daysAgo(days int) int64 {
	return b.now.Add(-time.Duration(days)*24*time.Hour - time.Duration(b.people.IntN(86_400))*time.Second).Unix()
}

func (b *builder) addCast() {
	ids := newIDs(b.seed, "cast")
	for _, g := range partGroups {
		for _, p := range g.parts() {
			b.addPart(p, g.title, ids)
		}
	}
}

func (b *builder) addPart(p part, group string, ids source) {
	u := &user{
		id: ids.next(), given: p.given, surname: p.surname, name: p.given + " " + p.surname,
		job: p.job, department: p.dept, enabled: true,
	}
	u.office = &offices[0]
	b.dates(u, 3)
	u.upn = b.address(u, b.domain)
	u.mail = u.upn
	if p.shape != nil {
		p.shape(b.tenant, u)
	}
	b.addUser(u)
	for _, r := range p.roles {
		b.assignRole(u.id, r, "/")
	}
	if len(p.console) > 0 {
		b.consoleRoles[u.id] = p.console
	}
	b.castOrder = append(b.castOrder, castEntry{u, p.note, group})
}

// fillCast takes the snapshots once everything else of the tenant is there.
func (s *Sim) fillCast() {
	for i, p := range parts() {
		*p.into(&s.tenant.cast) = s.person(s.tenant.castOrder[i].user)
	}
}

func (b *builder) assignRole(principal, role, scope string) {
	b.assign(&assignment{id: b.ids.next(), principal: principal, role: role, scope: scope, since: b.now.AddDate(0, -8, 0)})
}

const admins = 14

// addAdmins gives the tenant a usual set of administrators beside the cast.
func (b *builder) addAdmins() {
	for _, role := range [admins]string{
		RoleGlobalAdministrator, RoleGlobalAdministrator, RoleUserAdministrator, RoleHelpdeskAdministrator,
		RoleHelpdeskAdministrator, RoleAuthenticationAdministrator, RolePrivilegedRoleAdministrator,
		RoleExchangeAdministrator, RoleSecurityReader, RoleReportsReader, RoleGlobalReader, RoleGroupsAdministrator,
		RoleSecurityAdministrator, RoleDirectoryReaders,
	} {
		u := b.newPerson("IT")
		b.addUser(u)
		b.assignRole(u.id, role, "/")
	}
}

// addOrdinary adds one account. One in 16 is a guest from elsewhere, one in 200 an external member, one in 40 is
// disabled, one in 5 is synchronised and one in 50 sits in the federated domain.
func (b *builder) addOrdinary(i int) {
	u := b.newPerson(departments[b.people.IntN(len(departments))])
	switch {
	case i%16 == 7:
		externalGuest(b.tenant, u)
		u.upn = b.unique(mailWord(u.given)+"."+mailWord(u.surname)+"_brightwater.example#EXT#", b.initial)
		if i%5 == 0 {
			u.invitation = invitationPending
			u.lastSignIn = 0
		}
		u.department, u.job, u.office = "", "", nil
	case i%200 == 11:
		externalGuest(b.tenant, u)
		u.upn = b.unique(mailWord(u.given)+"."+mailWord(u.surname)+"_brightwater.example#EXT#", b.initial)
		u.guest = false
	case i%50 == 3:
		u.upn = b.address(u, b.fedDom)
		u.mail, u.synced = u.upn, true
	case i%5 == 1:
		u.synced = true
	}
	u.enabled = i%40 != 9
	b.addUser(u)
}

func (b *builder) newPerson(dept string) *user {
	u := &user{id: b.ids.next(), given: b.people.pick(givenNames), surname: b.people.pick(surnames), department: dept, enabled: true}
	u.name = u.given + " " + u.surname
	u.job = b.people.pick(jobTitles[dept])
	u.office = &offices[b.people.IntN(len(offices))]
	b.dates(u, 30)
	u.upn = b.address(u, b.domain)
	u.mail = u.upn
	return u
}

// dates sets when the account was made, last changed its password and last signed in, at most within days.
func (b *builder) dates(u *user, within int) {
	u.created = b.daysAgo(400 + b.people.IntN(1500))
	u.passwordChanged = b.daysAgo(20 + b.people.IntN(360))
	u.validFrom = u.passwordChanged
	u.lastInteractive = b.daysAgo(b.people.IntN(within))
	u.lastNonInteractive = min(u.lastInteractive+int64(b.people.IntN(7200)), b.now.Unix())
	u.lastSignIn = max(u.lastInteractive, u.lastNonInteractive)
}

// address makes a user principal name that nobody has yet.
func (b *builder) address(u *user, domain string) string {
	return b.unique(mailWord(u.given)+"."+mailWord(u.surname), domain)
}

func (b *builder) unique(local, domain string) string {
	b.taken[local]++
	if n := b.taken[local]; n > 1 {
		if cut, ok := cutExt(local); ok {
			return cut + strconv.Itoa(n) + "_brightwater.example#EXT#@" + domain
		}
		return local + strconv.Itoa(n) + "@" + domain
	}
	return local + "@" + domain
}

func cutExt(local string) (string, bool) {
	const tail = "_brightwater.example#EXT#"
	if len(local) > len(tail) && local[len(local)-len(tail):] == tail {
		return local[:len(local)-len(tail)], true
	}
	return "", false
}

func (b *builder) addUnits() {
	leeds := &unit{id: b.ids.next(), name: "Leeds branch", description: "People who work at Leeds"}
	exec := &unit{id: b.ids.next(), name: "Executive office", description: "Restricted management", restricted: true}
	b.units = []*unit{leeds, exec}
	cast := b.castByName()
	for i, u := range b.users {
		if i >= len(b.castOrder) && u.site().name == "Leeds" && !u.elsewhere && len(b.activeRoles(u)) == 0 {
			b.joinUnit(0, int32(i))
		}
	}
	b.joinUnit(0, b.indexOf(cast["Callum Reid"]))
	b.joinUnit(1, b.indexOf(cast["Eleanor Voss"]))
	b.assignRole(cast["Joseph Barasa"].id, RoleHelpdeskAdministrator, "/administrativeUnits/"+leeds.id)
	b.assignRole(cast["Saoirse Kell"].id, RoleUserAdministrator, "/administrativeUnits/"+exec.id)
}

func (b *builder) castByName() map[string]*user {
	out := make(map[string]*user, len(b.castOrder))
	for _, c := range b.castOrder {
		out[c.user.name] = c.user
	}
	return out
}

func (b *builder) addPrincipals() {
	for _, p := range []struct{ name, role string }{
		{"Larkfield HR provisioning", RoleUserAdministrator},
		{"Backup orchestrator", RoleGlobalReader},
		{"Legacy directory writer", RoleDirectoryWriters},
	} {
		sp := &servicePrincipal{id: b.ids.next(), appID: b.ids.next(), name: p.name}
		b.principals = append(b.principals, sp)
		b.assignRole(sp.id, p.role, "/")
	}
}

func (b *builder) addEligible() {
	cast := b.castByName()
	since := b.now.AddDate(0, -3, 0)
	b.eligibilities = append(b.eligibilities,
		&eligibility{id: b.ids.next(), principal: cast["Ndidi Okeke"].id, role: RoleGlobalAdministrator, scope: "/", since: since, end: since.AddDate(1, 0, 0)},
		&eligibility{id: b.ids.next(), principal: cast["Marit Solberg"].id, role: RolePrivilegedAuthAdministrator, scope: "/", since: since, end: since.AddDate(1, 0, 0)},
	)
	for i, u := range b.users {
		if i%97 == 41 && u.department == "IT" && !u.elsewhere {
			b.eligibilities = append(b.eligibilities, &eligibility{id: b.ids.next(), principal: u.id, role: RoleExchangeAdministrator, scope: "/", since: since})
		}
	}
}

// addRoleObjects gives each activated role its directoryRole object: those that somebody holds, and Directory Readers.
func (b *builder) addRoleObjects(roles *roleTable) {
	ids := newIDs(b.seed, "directoryRoles")
	for _, r := range roles.Roles {
		id := ids.next()
		for _, a := range b.assignments {
			if a.role == r.ID {
				b.roleObjects[r.ID] = id
				break
			}
		}
	}
}

func (b *builder) addSignIns(app AppRegistration) {
	apps := []struct{ id, name string }{
		{"00000002-0000-0ff1-ce00-000000000000", "Office 365 Exchange Online"},
		{"00000003-0000-0ff1-ce00-000000000000", "Office 365 SharePoint Online"},
		{app.ClientID, app.Name},
	}
	ids := newIDs(b.seed, "signIns")
	for i, u := range b.users {
		if i > 200 || u.lastInteractive == 0 {
			continue
		}
		a := apps[i%2]
		b.signIns = append(b.signIns, &signInEntry{
			id: ids.next(), correlation: ids.next(), appID: a.id, app: a.name, at: time.Unix(u.lastInteractive, 0).UTC(),
			user: u, address: fmt.Sprintf("203.0.113.%d", 1+i%250), client: "Browser",
		})
	}
	slices.SortStableFunc(b.signIns, func(x, y *signInEntry) int { return x.at.Compare(y.at) })
}
