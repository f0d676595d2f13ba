package entrasim

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// tenant is the simulated directory. Sim.mu guards all of it.
type tenant struct {
	id, name                string
	domain, initial, fedDom string
	created                 time.Time
	users                   []*user
	groups                  []*group
	units                   []*unit
	principals              []*servicePrincipal
	userIndex               map[string]int32   // by id and by lower-case user principal name
	mailIndex               map[string][]int32 // by lower-case address, where it is not the user principal name
	groupIndex              map[string]int32
	byName                  []int32 // users in order of display name; nil when it must be made again
	roleObjects             map[string]string
	assignments             []*assignment
	eligibilities           []*eligibility
	groupEligibilities      []*groupEligibility
	assignedTo              map[string][]*assignment // by principal id
	consoleRoles            map[string][]string      // by user id
	audits                  []*auditEntry
	signIns                 []*signInEntry
	cast                    Cast
	castOrder               []castEntry
	auditIDs                source
}

// user is one account. Strings that many share (departments, cities) are the same string in memory.
type user struct {
	id, upn, name, given, surname, mail  string
	department, job                      string
	office                               *office // nil: none
	enabled, guest, elsewhere, synced    bool
	agent, invited                       bool
	invitation                           uint8
	created, passwordChanged, lastSignIn int64 // Unix seconds; 0 is never
	lastInteractive, lastNonInteractive  int64
	validFrom                            int64
	stamps                               []stamp // newer stamps, oldest first
	cut                                  uint64  // grants numbered up to here are dead
	cutAt                                int64   // Unix nanoseconds, on Graph's clock
	revocations                          uint32
	posts, reads                         atomic.Uint32 // see Tally; the only fields that Sim.mu does not guard
	groups, units                        []int32
	ownedGroups                          []int32
}

// How far an invitation has come; the values index invitationStates.
const (
	invitationAccepted uint8 = iota + 1
	invitationPending
)

var invitationStates = [...]string{"", "Accepted", "PendingAcceptance"}

func (u *user) creationType() string {
	if u.invited {
		return "Invitation"
	}
	return ""
}

// site is where u works; empty when nowhere.
func (u *user) site() office {
	if u.office == nil {
		return office{}
	}
	return *u.office
}

// stamp is a value of signInSessionsValidFromDateTime and when a reader first sees it.
type stamp struct {
	at        int64
	visibleAt time.Time
}

type group struct {
	id, name, description, mailNick     string
	rule                                string
	unified, securityEnabled, mailOn    bool
	roleAssignable, hidden, publicGroup bool
	created                             int64
	users, groups, principals           []int32
	owners                              []int32
	parents                             []int32
}

type unit struct {
	id, name, description string
	restricted            bool
	members, groups       []int32 // the members of a group are not in the unit
}

type servicePrincipal struct {
	id, appID, name string
}

// assignment is an active assignment of a directory role. Scope is "/" or "/administrativeUnits/{id}".
type assignment struct {
	id, principal, role, scope string
	activated                  bool
	since                      time.Time
	end                        time.Time // zero: permanent
}

// eligibility is a role that privileged identity management lets a principal activate.
type eligibility struct {
	id, principal, role, scope string
	since                      time.Time
	end                        time.Time
}

// groupEligibility is a membership or ownership of a group that a person may activate.
type groupEligibility struct {
	id, principal, group, access string
	since, end                   time.Time
}

// auditEntry is one change in the directory audit log. It is written as a row for each of its activities.
type auditEntry struct {
	id, correlation               string
	activities                    [2]string
	at, shownFrom                 time.Time // when it happened, and since when readers see it
	byID, byUPN, byApp, byAddress string
	client                        string // "Action Client Name"; "" has no such property
	target                        *user
	bare                          bool // names no modified property
	oldValue, newValue            int64
}

// auditRow is one row of the log.
type auditRow struct {
	*auditEntry
	n int // of its activities
}

type signInEntry struct {
	id, correlation, appID, app string
	at                          time.Time
	user                        *user
	address, client             string
	errorCode                   int
	failure                     string
}

// findUser returns the account with this object id or user principal name, or nil.
func (t *tenant) findUser(key string) *user {
	if i, ok := t.userIndex[strings.ToLower(key)]; ok {
		return t.users[i]
	}
	return nil
}

func (t *tenant) findGroup(id string) *group {
	if i, ok := t.groupIndex[strings.ToLower(id)]; ok {
		return t.groups[i]
	}
	return nil
}

func (t *tenant) findUnit(id string) *unit {
	for _, u := range t.units {
		if sameID(u.id, id) {
			return u
		}
	}
	return nil
}

func (t *tenant) findPrincipal(id string) *servicePrincipal {
	for _, p := range t.principals {
		if sameID(p.id, id) {
			return p
		}
	}
	return nil
}

// addUser appends an account and indexes it.
func (t *tenant) addUser(u *user) int32 {
	i := int32(len(t.users))
	t.users = append(t.users, u)
	t.userIndex[u.id] = i
	t.userIndex[strings.ToLower(u.upn)] = i
	if u.mail != u.upn && u.mail != "" {
		mail := strings.ToLower(u.mail)
		t.mailIndex[mail] = append(t.mailIndex[mail], i)
	}
	t.byName = nil
	return i
}

func (t *tenant) indexOf(u *user) int32 { return t.userIndex[u.id] }

func (t *tenant) join(g int32, members ...int32) {
	for _, m := range members {
		if !slices.Contains(t.users[m].groups, g) {
			t.users[m].groups = append(t.users[m].groups, g)
			t.groups[g].users = append(t.groups[g].users, m)
		}
	}
}

func (t *tenant) joinUnit(unit, member int32) {
	t.users[member].units = append(t.users[member].units, unit)
	t.units[unit].members = append(t.units[unit].members, member)
}

func (t *tenant) own(g int32, owner int32) {
	t.groups[g].owners = append(t.groups[g].owners, owner)
	t.users[owner].ownedGroups = append(t.users[owner].ownedGroups, g)
}

func (t *tenant) nest(parent, child int32) {
	t.groups[parent].groups = append(t.groups[parent].groups, child)
	t.groups[child].parents = append(t.groups[child].parents, parent)
}

func (t *tenant) addGroup(g *group) int32 {
	i := int32(len(t.groups))
	t.groups = append(t.groups, g)
	t.groupIndex[g.id] = i
	return i
}

func (t *tenant) assign(a *assignment) *assignment {
	t.assignments = append(t.assignments, a)
	t.assignedTo[a.principal] = append(t.assignedTo[a.principal], a)
	return a
}

// unassign removes every active assignment of the role from the principal and reports whether there was one.
func (t *tenant) unassign(principal, role string) bool {
	gone := func(a *assignment) bool { return a.principal == principal && a.role == role }
	n := len(t.assignments)
	t.assignments = slices.DeleteFunc(t.assignments, gone)
	t.assignedTo[principal] = slices.DeleteFunc(t.assignedTo[principal], gone)
	return len(t.assignments) < n
}

// transitiveGroups lists the groups that hold u, directly or through groups, each once.
func (t *tenant) transitiveGroups(u *user) []int32 {
	out := slices.Clone(u.groups)
	return t.climb(out)
}

// climb adds the parents of the groups, breadth first.
func (t *tenant) climb(out []int32) []int32 {
	seen := make(map[int32]bool, len(out))
	for _, g := range out {
		seen[g] = true
	}
	for i := 0; i < len(out); i++ {
		for _, p := range t.groups[out[i]].parents {
			if !seen[p] {
				seen[p] = true
				out = append(out, p)
			}
		}
	}
	return out
}

// content is what a group holds, directly or through groups, each once and in the order of first sight.
type content struct {
	users, groups, principals []int32
}

// content looks into g and the groups inside it, which may hold each other in a circle. A group that may not be entered
// is listed, but not looked into; g itself is.
func (t *tenant) content(g int32, enter func(*group) bool) content {
	if top := t.groups[g]; len(top.groups) == 0 {
		return content{top.users, nil, top.principals}
	}
	var out content
	seenGroup, seenUser, seenPrincipal := map[int32]bool{g: true}, make([]bool, len(t.users)), make([]bool, len(t.principals))
	queue := []int32{g}
	for i := 0; i < len(queue); i++ {
		in := t.groups[queue[i]]
		if i > 0 && !enter(in) {
			continue
		}
		out.users = appendNew(out.users, in.users, seenUser)
		out.principals = appendNew(out.principals, in.principals, seenPrincipal)
		for _, inner := range in.groups {
			if !seenGroup[inner] {
				seenGroup[inner] = true
				queue = append(queue, inner)
			}
		}
	}
	out.groups = queue[1:]
	return out
}

func appendNew(out, more []int32, seen []bool) []int32 {
	for _, m := range more {
		if !seen[m] {
			seen[m] = true
			out = append(out, m)
		}
	}
	return out
}

// activeRoles lists the assignments that work for u now: its own and those of its role-assignable groups.
func (t *tenant) activeRoles(u *user) []*assignment {
	out := slices.Clone(t.assignedTo[u.id])
	for _, g := range u.groups {
		if t.groups[g].roleAssignable {
			out = append(out, t.assignedTo[t.groups[g].id]...)
		}
	}
	return out
}

// nameOrder lists all accounts by display name; it is kept until an account is added.
func (t *tenant) nameOrder() []int32 {
	if t.byName == nil {
		keys := make([]string, len(t.users))
		t.byName = make([]int32, len(t.users))
		for i, u := range t.users {
			keys[i], t.byName[i] = strings.ToLower(u.name), int32(i)
		}
		slices.SortStableFunc(t.byName, func(a, b int32) int { return strings.Compare(keys[a], keys[b]) })
	}
	return t.byName
}

// shownStamp is the stamp that a reader sees at now, which lags behind the newest one.
func (u *user) shownStamp(now time.Time) int64 {
	for i := len(u.stamps) - 1; i >= 0; i-- {
		if !u.stamps[i].visibleAt.After(now) {
			return u.stamps[i].at
		}
	}
	return u.validFrom
}

// previousStamp is what a replica that missed the last revocation answers.
func (u *user) previousStamp() int64 {
	if n := len(u.stamps); n > 1 {
		return u.stamps[n-2].at
	}
	return u.validFrom
}

// stampNow is the newest stamp, whoever may see it yet.
func (u *user) stampNow() int64 {
	if n := len(u.stamps); n > 0 {
		return u.stamps[n-1].at
	}
	return u.validFrom
}

// setStamp makes at the newest stamp. Older history is folded away, so that an account stays small.
func (u *user) setStamp(at int64, visibleAt time.Time) {
	if len(u.stamps) >= 4 {
		u.validFrom = u.stamps[0].at
		u.stamps = slices.Delete(u.stamps, 0, 1)
	}
	u.stamps = append(u.stamps, stamp{at, visibleAt})
}
