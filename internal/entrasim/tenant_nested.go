package entrasim

// apart is a builder with streams of its own: what it makes does not move the ids, names and dates of the rest.
func (b *builder) apart(label string) *builder {
	out := *b
	out.ids, out.people = newIDs(b.seed, label+" ids"), newIDs(b.seed, label)
	return &out
}

// ordinary lists up to n accounts that have no part to play, sign in here and are enabled, starting at a place that
// differs with skip.
func (b *builder) ordinary(n, skip int) []int32 {
	var out []int32
	for i := len(b.castOrder) + admins + skip; i < len(b.users) && len(out) < n; i += 3 {
		if u := b.users[i]; !u.elsewhere && !u.guest && u.enabled {
			out = append(out, int32(i))
		}
	}
	return out
}

const shiftSize = 12

// addNested makes the groups that are hard to read rightly: three levels deep, in a circle, with a hidden membership
// inside, with service principals, and with eligibilities of a person and of a whole group.
func (b *builder) addNested() {
	b = b.apart("nested")
	company := b.newGroup("Whole company", "Every department")
	groupOf := map[string]int32{}
	for i, g := range b.groups {
		groupOf[g.name] = int32(i)
	}
	for _, d := range departments {
		b.nest(company, groupOf[d])
	}
	shift, leads, call := b.newGroup("Night shift", "People who work at night"), b.newGroup("Night shift leads", "Who decides at night"),
		b.newGroup("On call", "Who is called at night")
	b.join(shift, b.ordinary(shiftSize, 0)...)
	b.join(leads, b.ordinary(2, 1)...)
	b.join(call, b.ordinary(4, 2)...)
	b.nest(shift, leads)
	b.nest(leads, call)
	b.nest(call, shift)
	robots := b.newGroup("Automation accounts", "Programs that act on their own")
	b.groups[robots].principals = []int32{0, 1}
	b.nest(call, robots)
	support := b.newGroup("Staff support", "Everybody whom staff support looks after")
	b.join(support, b.ordinary(3, 7)...)
	b.nest(support, groupOf["Health and wellbeing"])
	b.units[0].groups = append(b.units[0].groups, shift)
	b.addGroupEligible(shift, leads, call)
}

// addGroupEligible lets the whole of On call activate a group that holds a role, one person become a lead, and another
// become an owner of the shift.
func (b *builder) addGroupEligible(shift, leads, call int32) {
	demand := ""
	for _, g := range b.groups {
		if g.name == "Role: user administrators on demand" {
			demand = g.id
		}
	}
	eligible := func(principal, group, access string) {
		b.groupEligibilities = append(b.groupEligibilities, &groupEligibility{
			id: b.ids.next(), principal: principal, group: group, access: access, since: b.now.AddDate(0, -1, 0),
		})
	}
	eligible(b.groups[call].id, demand, "member")
	for i, u := range b.ordinary(2, 10) {
		eligible(b.users[u].id, b.groups[[]int32{leads, shift}[i]].id, []string{"member", "owner"}[i])
	}
}

// addDelegates gives a large tenant more administrators, one to 1,000 people, so that its role assignments come on more
// than one page.
func (b *builder) addDelegates() {
	const large = 5000
	if len(b.users) < large {
		return
	}
	b = b.apart("delegates")
	roles := []string{
		RoleHelpdeskAdministrator, RoleReportsReader, RoleDirectoryReaders, RoleExchangeAdministrator, RoleGroupsAdministrator,
		RoleAuthenticationAdministrator, RoleSecurityReader,
	}
	for i, u := range b.ordinary(len(b.users)/1000, 50) {
		b.assignRole(b.users[u].id, roles[i%len(roles)], "/")
	}
}
