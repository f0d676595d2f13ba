package entrasim

import "fmt"

const teamSize = 25

// addGroups makes a group for each department with its teams inside, a dynamic group of all members, a group of
// Microsoft 365 and one whose membership is hidden.
func (b *builder) addGroups() {
	all := b.newGroup("All members", "Everybody whose account is a member")
	b.groups[all].rule = `(user.userType -eq "Member")`
	byDept := map[string][]int32{}
	for i, u := range b.users {
		if !u.guest {
			b.groups[all].users = append(b.groups[all].users, int32(i))
			u.groups = append(u.groups, all)
		}
		if u.department != "" {
			byDept[u.department] = append(byDept[u.department], int32(i))
		}
	}
	for _, d := range departments {
		b.addDepartment(d, byDept[d])
	}
	project := b.newGroup("Project Skylark", "People who work on the new sensor")
	b.groups[project].unified, b.groups[project].mailOn, b.groups[project].securityEnabled = true, true, false
	b.groups[project].publicGroup = true
	hidden := b.newGroup("Health and wellbeing", "Confidential support")
	b.groups[hidden].hidden, b.groups[hidden].unified, b.groups[hidden].mailOn = true, true, true
	guests := b.newGroup("Partner guests", "Guests from partners")
	for i, u := range b.users {
		switch {
		case u.guest:
			b.join(guests, int32(i))
		case i%23 == 5:
			b.join(project, int32(i))
		case i%61 == 8:
			b.join(hidden, int32(i))
		}
	}
	victim := b.indexOf(b.castByName()["Lena Hartwig"])
	b.join(project, victim)
}

func (b *builder) addDepartment(name string, people []int32) {
	dept := b.newGroup(name, "Department: "+name)
	for start, n := 0, 1; start < len(people); start, n = start+teamSize, n+1 {
		team := b.newGroup(fmt.Sprintf("%s team %d", name, n), "Team of "+name)
		b.join(team, people[start:min(start+teamSize, len(people))]...)
		b.nest(dept, team)
		b.own(team, people[start])
	}
	if len(people) > 0 {
		b.join(dept, people[0])
		b.own(dept, people[0])
	}
}

// addRoleGroups makes the role-assignable groups: one that holds a role, one that holds none, and one that holds a role
// and that a person is eligible to join. Such groups cannot be nested.
func (b *builder) addRoleGroups() {
	cast := b.castByName()
	exchange := b.newRoleGroup("Role: Exchange administrators")
	b.join(exchange, b.indexOf(cast["Freya Holm"]))
	b.assignRole(b.groups[exchange].id, RoleExchangeAdministrator, "/")
	standby := b.newRoleGroup("Role: standby")
	b.join(standby, b.indexOf(cast["Amina Sesay"]))
	b.own(standby, b.indexOf(cast["George Pell"]))
	users := b.newRoleGroup("Role: user administrators on demand")
	b.assignRole(b.groups[users].id, RoleUserAdministrator, "/")
	b.groupEligibilities = append(b.groupEligibilities, &groupEligibility{
		id: b.ids.next(), principal: cast["Matteo Greco"].id, group: b.groups[users].id, access: "member",
		since: b.now.AddDate(0, -2, 0), end: b.now.AddDate(1, 0, 0),
	})
	eligible := b.newRoleGroup("Role: privileged roles on demand")
	b.join(eligible, b.indexOf(cast["Matteo Greco"]))
	b.eligibilities = append(b.eligibilities, &eligibility{
		id: b.ids.next(), principal: b.groups[eligible].id, role: RolePrivilegedRoleAdministrator, scope: "/", since: b.now.AddDate(0, -2, 0),
	})
}

func (b *builder) newGroup(name, description string) int32 {
	return b.addGroup(&group{
		id: b.ids.next(), name: name, description: description, mailNick: mailWord(name), securityEnabled: true,
		created: b.daysAgo(300 + b.people.IntN(900)),
	})
}

func (b *builder) newRoleGroup(name string) int32 {
	g := b.newGroup(name, "Can be assigned to directory roles")
	b.groups[g].roleAssignable = true
	return g
}
