package graph_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/directory"
	"evict/internal/entrasim"
	"evict/internal/graph"
	"evict/internal/operator"
)

// bulkScopes are what an expansion can make use of.
var bulkScopes = append(slices.Clone(allScopes), "PrivilegedEligibilitySchedule.Read.AzureADGroup")

// expansion is what an expansion on the simulator gave, by object id.
type expansion struct {
	directory.Expansion

	reasons map[string][]string
	hits    map[string]directory.Hit
	waited  []time.Duration
	doing   []string
}

func (e expansion) people() []string { return slices.Sorted(maps.Keys(e.reasons)) }

func expand(t *testing.T, sim *entrasim.Sim, c *graph.Client, who entrasim.Person, scopes []string, sources ...directory.Source) expansion {
	t.Helper()
	out := expansion{reasons: map[string][]string{}, hits: map[string]directory.Hit{}}
	var mu sync.Mutex
	s := directory.NewService(directory.Options{Graph: c, Wait: func(ctx context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		out.waited = append(out.waited, d)
		return ctx.Err()
	}})
	var err error
	out.Expansion, err = s.Expand(t.Context(), directory.ExpandRequest{
		Tokens:   minted{sim: sim, who: who.ID, o: entrasim.TokenOptions{Scopes: scopes}},
		Operator: operator.Operator{OID: who.ID, TID: sim.TenantID()},
		Scope:    directory.Scope{Include: sources},
		Take: func(_ context.Context, hits []directory.Hit) error {
			for _, h := range hits {
				if !slices.Contains(out.reasons[h.User.ID], h.Reason) {
					out.reasons[h.User.ID] = append(out.reasons[h.User.ID], h.Reason)
				}
				out.hits[h.User.ID] = h
			}
			return nil
		},
		Doing: func(what string) { out.doing = append(out.doing, what) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func groupNamed(t *testing.T, sim *entrasim.Sim, name string) directory.Source {
	t.Helper()
	id, ok := sim.Group(name)
	if !ok {
		t.Fatalf("the simulated tenant has no group %q", name)
	}
	return directory.Source{Kind: directory.GroupSource, ID: id}
}

func rolesOf(id string, ways ...directory.How) directory.Source {
	return directory.Source{Kind: directory.RoleSource, ID: id, Ways: ways}
}

func ids(people ...entrasim.Person) []string {
	var out []string
	for _, p := range people {
		out = append(out, p.ID)
	}
	slices.Sort(out)
	return out
}

func TestExpandGroupsOnTheSimulator(t *testing.T) {
	t.Parallel()
	sim, c := simulate(t, entrasim.Options{People: 900})
	cast := sim.Cast()
	// A circle of three groups: each person once by each group that they are directly in.
	got := expand(t, sim, c, cast.Lead, bulkScopes, groupNamed(t, sim, "Night shift"))
	by := map[string]int{}
	for _, reasons := range got.reasons {
		for _, r := range reasons {
			by[r]++
		}
	}
	want := map[string]int{"group Night shift": 12, "group Night shift > Night shift leads": 2, "group Night shift > Night shift leads > On call": 4}
	if diff := cmp.Diff(want, by); diff != "" || len(got.reasons) != 18 || len(got.Unread) != 0 {
		t.Errorf("%d people, unread %v\n-want +got:\n%s", len(got.reasons), got.Unread, diff)
	}
	// Three levels deep: everybody who has a department.
	var employed []entrasim.Person
	for _, p := range sim.People(900) {
		if p.Department != "" {
			employed = append(employed, p)
		}
	}
	got = expand(t, sim, c, cast.Lead, bulkScopes, groupNamed(t, sim, "Whole company"))
	if diff := cmp.Diff(ids(employed...), got.people()); diff != "" || len(got.Unread) != 0 {
		t.Errorf("unread %v\n-want +got:\n%s", got.Unread, diff)
	}
	if !slices.ContainsFunc(got.reasons[cast.Victim.ID], func(r string) bool { return strings.HasPrefix(r, "group Whole company > Finance > Finance team ") }) {
		t.Errorf("the victim is in by %v", got.reasons[cast.Victim.ID])
	}
	// A nested group that hides its members: Graph's own list of all members passes over it in silence.
	got = expand(t, sim, c, cast.Lead, bulkScopes, groupNamed(t, sim, "Staff support"))
	if len(got.reasons) != 3 || len(got.Unread) != 1 || !strings.Contains(got.Unread[0].What, "Health and wellbeing") || !strings.Contains(got.Unread[0].Fix, "Member.Read.Hidden") {
		t.Errorf("%d people, unread %+v", len(got.reasons), got.Unread)
	}
	hidden := expand(t, sim, c, cast.Lead, append(slices.Clone(bulkScopes), "Member.Read.Hidden"), groupNamed(t, sim, "Staff support"))
	if len(hidden.reasons) <= 3 || len(hidden.Unread) != 0 {
		t.Errorf("with the permission: %d people, unread %v", len(hidden.reasons), hidden.Unread)
	}
	// Whoever joins meanwhile is there the next time.
	late := sim.AddUser("Late", "Comer", "")
	if err := sim.AddToGroup(late.ID, groupNamed(t, sim, "On call").ID); err != nil {
		t.Fatal(err)
	}
	got = expand(t, sim, c, cast.Lead, bulkScopes, groupNamed(t, sim, "Night shift"), groupNamed(t, sim, "On call"))
	if diff := cmp.Diff([]string{"group Night shift > Night shift leads > On call", "group On call"}, got.reasons[late.ID]); diff != "" || len(got.reasons) != 19 {
		t.Errorf("%d people\n-want +got:\n%s", len(got.reasons), diff)
	}
}

func TestExpandRolesOnTheSimulator(t *testing.T) {
	t.Parallel()
	sim, c := simulate(t, entrasim.Options{People: 300})
	cast := sim.Cast()
	added := sim.AddUser("Scoped", "Admin", "IT")
	leeds, _ := sim.Unit("Leeds branch")
	if err := sim.AssignScopedRole(added.ID, entrasim.RoleGroupsAdministrator, "/administrativeUnits/"+leeds); err != nil {
		t.Fatal(err)
	}
	// The answer for everybody, from what the simulator says of each person.
	holding := func(name string) []string {
		var out []string
		for _, p := range sim.People(1000) {
			if slices.Contains(p.DirectoryRoles, name) || slices.Contains(p.DirectoryRoles, name+" (one unit)") {
				out = append(out, p.ID)
			}
		}
		return out
	}
	with := func(list []string, more ...entrasim.Person) []string {
		return slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(list), ids(more...)...))))
	}
	got := expand(t, sim, c, cast.Auditor, bulkScopes, rolesOf(entrasim.RoleGlobalAdministrator))
	if diff := cmp.Diff(with(holding("Global Administrator"), cast.EligibleAdmin), got.people()); diff != "" || len(got.Unread) != 0 || len(got.Aside) != 0 {
		t.Errorf("Global Administrator: unread %v, aside %v\n-want +got:\n%s", got.Unread, got.Aside, diff)
	}
	if r := got.reasons[cast.EligibleAdmin.ID]; !slices.Equal(r, []string{"role Global Administrator (eligible)"}) {
		t.Errorf("got %v", r)
	}
	everyRole := expand(t, sim, c, cast.Auditor, bulkScopes, rolesOf(directory.AnyRole))
	anyone := []entrasim.Person{cast.EligibleAdmin, cast.EligibleThroughGroup, cast.GroupAdmin, added}
	for _, p := range sim.People(1000) {
		if len(p.DirectoryRoles) > 0 {
			anyone = append(anyone, p)
		}
	}
	for _, p := range anyone {
		if everyRole.reasons[p.ID] == nil {
			t.Errorf("every role: %s (%s, %v) is missing", p.Name, p.Note, p.DirectoryRoles)
		}
	}
	if everyRole.reasons[cast.Victim.ID] != nil || len(everyRole.Unread) != 0 {
		t.Errorf("every role: the victim by %v, unread %v", everyRole.reasons[cast.Victim.ID], everyRole.Unread)
	}
	got = expand(t, sim, c, cast.Auditor, bulkScopes, rolesOf(entrasim.RoleExchangeAdministrator, directory.Active))
	if diff := cmp.Diff(with(holding("Exchange Administrator"), cast.GroupAdmin), got.people()); diff != "" || len(got.Unread) != 0 {
		t.Errorf("Exchange Administrator: unread %v\n-want +got:\n%s", got.Unread, diff)
	}
	if r := got.reasons[cast.GroupAdmin.ID]; !slices.Equal(r, []string{"role Exchange Administrator (active) > group Role: Exchange administrators"}) {
		t.Errorf("got %v", r)
	}
	// Through PIM for Groups: one person, and a whole group whose nested groups hold each other.
	got = expand(t, sim, c, cast.Auditor, bulkScopes, rolesOf(entrasim.RoleUserAdministrator))
	onCall := expand(t, sim, c, cast.Auditor, bulkScopes, groupNamed(t, sim, "On call")).people()
	if diff := cmp.Diff(with(append(holding("User Administrator"), onCall...), cast.EligibleThroughGroup), got.people()); diff != "" || len(got.Unread) != 0 {
		t.Errorf("User Administrator: unread %v\n-want +got:\n%s", got.Unread, diff)
	}
	const joining = "role User Administrator (active) > group Role: user administrators on demand > eligible member"
	if r := got.reasons[cast.EligibleThroughGroup.ID]; !slices.Equal(r, []string{joining}) {
		t.Errorf("got %v", r)
	}
	if r := got.reasons[onCall[0]]; len(r) == 0 || !strings.HasPrefix(r[0], joining+" > group On call") {
		t.Errorf("got %v", r)
	}
	if r := got.reasons[cast.RestrictedAdmin.ID]; !slices.Equal(r, []string{"role User Administrator (active for unit Executive office)"}) {
		t.Errorf("got %v", r)
	}
	if len(got.Aside) != 1 || got.Aside[0].Kind != "servicePrincipal" || got.Aside[0].Name != "Larkfield HR provisioning" {
		t.Errorf("aside: %+v", got.Aside)
	}
	got = expand(t, sim, c, cast.Auditor, bulkScopes, rolesOf(entrasim.RoleGroupsAdministrator))
	if r := got.reasons[added.ID]; !slices.Equal(r, []string{"role Groups Administrator (active for unit Leeds branch)"}) {
		t.Errorf("got %v", r)
	}
	// Through a group that is eligible for the role.
	got = expand(t, sim, c, cast.Auditor, bulkScopes, rolesOf(entrasim.RolePrivilegedRoleAdministrator, directory.Eligible))
	if r := got.reasons[cast.EligibleThroughGroup.ID]; !slices.Equal(r, []string{"role Privileged Role Administrator (eligible) > group Role: privileged roles on demand"}) || len(got.reasons) != 1 {
		t.Errorf("got %v", got.reasons)
	}
	// A User Administrator may not read PIM, and the sign-in permissions know nothing of PIM for Groups.
	got = expand(t, sim, c, cast.UserAdmin, coreScopes, rolesOf(entrasim.RoleGlobalAdministrator))
	if diff := cmp.Diff(holding("Global Administrator"), got.people(), cmp.Transformer("sort", func(s []string) []string { return slices.Sorted(slices.Values(s)) })); diff != "" {
		t.Errorf("without PIM: -want +got:\n%s", diff)
	}
	if len(got.Unread) != 1 || got.Unread[0].What != "PIM-eligible holders of Global Administrator" || got.hits[cast.GlobalAdmin.ID].Privileged != directory.Yes {
		t.Errorf("without PIM: unread %+v", got.Unread)
	}
}

func TestExpandTheRestOnTheSimulator(t *testing.T) {
	t.Parallel()
	sim, c := simulate(t, entrasim.Options{People: 1500})
	cast := sim.Cast()
	everybody := sim.People(2000)
	where := func(f func(entrasim.Person) bool) []string {
		var out []string
		for _, p := range everybody {
			if f(p) {
				out = append(out, p.ID)
			}
		}
		slices.Sort(out)
		return out
	}
	leeds, _ := sim.Unit("Leeds branch")
	executive, _ := sim.Unit("Executive office")
	unitOf := func(id string) directory.Source { return directory.Source{Kind: directory.UnitSource, ID: id} }
	tests := map[string]struct {
		source directory.Source
		want   []string
	}{
		"user":   {directory.Source{Kind: directory.UserSource, ID: cast.Victim.ID}, ids(cast.Victim)},
		"tenant": {directory.Source{Kind: directory.TenantSource}, where(func(entrasim.Person) bool { return true })},
		"unit":   {unitOf(executive), ids(cast.RestrictedMember)},
		"filter": {directory.Source{Kind: directory.FilterSource, Filter: "department eq 'Finance' and accountEnabled eq true"},
			where(func(p entrasim.Person) bool { return p.Department == "Finance" && p.Enabled })},
		"advanced filter": {directory.Source{Kind: directory.FilterSource, Filter: "department ne 'Finance'"}, where(func(p entrasim.Person) bool { return p.Department != "Finance" })},
		"list": {directory.Source{Kind: directory.ListSource, Lines: []string{
			"name,mail", "x," + strings.ToUpper(cast.Victim.UPN), "x," + cast.Lead.ID, "x," + cast.ExternalGuest.Mail, "x," + cast.Federated.UPN, "x,nobody@larkfield.example", "x," + cast.Victim.ID,
		}}, ids(cast.Victim, cast.Lead, cast.ExternalGuest, cast.Federated)},
	}
	for _, ready := range directory.ReadyFilters() {
		value := map[string]string{"department": "IT", "company": "Brightwater Partners", "city": "Porto", "created": "2000-01-01", "domain": "mill.larkfield.example"}[ready.Key]
		filter, err := ready.Filter(value)
		if err != nil {
			t.Fatal(err)
		}
		got := expand(t, sim, c, cast.Lead, bulkScopes, directory.Source{Kind: directory.FilterSource, Filter: filter})
		if len(got.reasons) == 0 || len(got.Unread) != 0 {
			t.Errorf("ready-made filter %s: %d people, unread %v", filter, len(got.reasons), got.Unread)
		}
		switch ready.Key {
		case "created":
			tests["created since"] = struct {
				source directory.Source
				want   []string
			}{directory.Source{Kind: directory.FilterSource, Filter: filter}, where(func(entrasim.Person) bool { return true })}
		case "disabled":
			tests["disabled"] = struct {
				source directory.Source
				want   []string
			}{directory.Source{Kind: directory.FilterSource, Filter: filter}, where(func(p entrasim.Person) bool { return !p.Enabled })}
		}
	}
	for name, tt := range tests {
		got := expand(t, sim, c, cast.Lead, bulkScopes, tt.source)
		if diff := cmp.Diff(tt.want, got.people()); diff != "" || len(got.Unread) != 0 {
			t.Errorf("%s: unread %v\n-want +got:\n%s", name, got.Unread, diff)
		}
		s := directory.NewService(directory.Options{Graph: c})
		as := minted{sim: sim, who: cast.Lead.ID, o: entrasim.TokenOptions{Scopes: bulkScopes}}
		if n, exact, err := s.Count(t.Context(), as, tt.source); err != nil || exact && n != len(tt.want) {
			t.Errorf("%s: counted %d, %v, want %d", name, n, err, len(tt.want))
		}
		if resolved, err := s.Resolve(t.Context(), as, tt.source); err != nil || resolved.Kind != tt.source.Kind {
			t.Errorf("%s: resolved %+v, %v", name, resolved, err)
		}
	}
	got := expand(t, sim, c, cast.Lead, bulkScopes, tests["list"].source)
	fates := map[string]directory.LineFate{}
	for _, l := range got.Lines {
		fates[l.Text] = l.Fate
	}
	wantFates := map[string]directory.LineFate{"nobody@larkfield.example": directory.LineNotFound, cast.Victim.ID: directory.LineDuplicate}
	if diff := cmp.Diff(wantFates, fates); diff != "" || got.Matched != 4 {
		t.Errorf("%d matched\n-want +got:\n%s", got.Matched, diff)
	}
	// The Leeds branch holds people and a group; the group's members are not in the unit.
	got = expand(t, sim, c, cast.Lead, bulkScopes, unitOf(leeds))
	if len(got.reasons) == 0 || got.reasons[cast.BranchMember.ID] == nil {
		t.Errorf("Leeds: %d people", len(got.reasons))
	}
	for id := range got.reasons {
		as := minted{sim: sim, who: cast.Lead.ID, o: entrasim.TokenOptions{Scopes: bulkScopes}}
		in, err := c.Memberships(t.Context(), as, id)
		if err != nil || !slices.ContainsFunc(in.Units, func(u directory.Unit) bool { return u.ID == leeds }) {
			t.Errorf("%s is not in the unit: %v", id, err)
		}
		break
	}
	// Without the permission, the unit is not read, and the rest is.
	got = expand(t, sim, c, cast.Lead, coreScopes, unitOf(leeds), directory.Source{Kind: directory.UserSource, ID: cast.Victim.ID})
	if len(got.reasons) != 1 || len(got.Unread) != 1 {
		t.Errorf("without the permission: %v, unread %v", got.reasons, got.Unread)
	}
	units, err := directory.NewService(directory.Options{Graph: c}).FindUnits(t.Context(), minted{sim: sim, who: cast.Lead.ID, o: entrasim.TokenOptions{Scopes: bulkScopes}}, "leeds")
	if err != nil || len(units) != 1 || units[0].ID != leeds {
		t.Errorf("units: %v, %v", units, err)
	}
}

// TestExpandedPredictionsHold revokes everybody of a tenant, and compares what each hit foretold with what Graph does.
func TestExpandedPredictionsHold(t *testing.T) {
	t.Parallel()
	for _, who := range []func(entrasim.Cast) entrasim.Person{
		func(c entrasim.Cast) entrasim.Person { return c.Lead },
		func(c entrasim.Cast) entrasim.Person { return c.Admin },
		func(c entrasim.Cast) entrasim.Person { return c.UnitHelpdesk },
		func(c entrasim.Cast) entrasim.Person { return c.AuthAdmin },
	} {
		sim, c := simulate(t, entrasim.Options{People: 350, Quota: entrasim.Quota{Disabled: true}})
		cast := sim.Cast()
		op := who(cast)
		got := expand(t, sim, c, op, bulkScopes, directory.Source{Kind: directory.TenantSource})
		if len(got.hits) != len(sim.People(1000)) {
			t.Errorf("%s: %d hits", op.Name, len(got.hits))
		}
		told := map[directory.Verdict]int{}
		for id, hit := range got.hits {
			if id == op.ID {
				continue
			}
			told[hit.Prediction.Verdict]++
			_, err := c.Revoke(t.Context(), minted{sim: sim, who: op.ID}, id, "")
			if v := hit.Prediction.Verdict; v == directory.Allowed && err != nil || v == directory.Refused && err == nil || v == directory.UnknownVerdict {
				t.Errorf("%s on %s: foretold %v (%s), got %v", op.Name, hit.User.Name, v, hit.Prediction.Because, err)
			}
		}
		if told[directory.Allowed] == 0 || told[directory.Refused] == 0 {
			t.Errorf("%s: %v", op.Name, told)
		}
	}
}

func TestExpandFlagsOnTheSimulator(t *testing.T) {
	t.Parallel()
	sim, c := simulate(t, entrasim.Options{People: 700})
	cast := sim.Cast()
	got := expand(t, sim, c, cast.Auditor, bulkScopes, directory.Source{Kind: directory.TenantSource})
	if len(got.FlagsUnread) != 0 {
		t.Fatalf("unread: %+v", got.FlagsUnread)
	}
	for _, p := range []entrasim.Person{
		cast.GlobalAdmin, cast.EligibleAdmin, cast.EligibleThroughGroup, cast.GroupAdmin, cast.RoleGroupMember, cast.RoleGroupOwner, cast.UnitHelpdesk,
	} {
		if got.hits[p.ID].Privileged != directory.Yes {
			t.Errorf("%s (%s) is not privileged", p.Name, p.Note)
		}
	}
	for _, p := range []entrasim.Person{cast.Victim, cast.ExternalGuest, cast.BranchMember} {
		if got.hits[p.ID].Privileged != directory.No {
			t.Errorf("%s (%s) is privileged: %v", p.Name, p.Note, got.hits[p.ID].Privileged)
		}
	}
	if got.hits[cast.Federated.ID].Federated != directory.Yes || got.hits[cast.Victim.ID].Federated != directory.No || !slices.Equal(got.Federated, []string{"mill.larkfield.example"}) {
		t.Errorf("federated: %v", got.Federated)
	}
	enabled := 0
	for _, p := range sim.People(1000) {
		if p.Enabled && p.UserType == "Member" {
			enabled++
		}
	}
	if got.EnabledInternal != enabled {
		t.Errorf("%d enabled, want %d", got.EnabledInternal, enabled)
	}
	if u := got.hits[cast.RestrictedMember.ID].User; u.Restricted != directory.Yes {
		t.Errorf("got %+v", u)
	}
	if got.hits[cast.AgentUser.ID].User.Agent != directory.Yes {
		t.Error("the agent's user passes for a person")
	}
	// A tenant without PIM: what nobody can know stays unknown.
	bare, c2 := simulate(t, entrasim.Options{NoPremium: true})
	got = expand(t, bare, c2, bare.Cast().GlobalAdmin, bulkScopes, directory.Source{Kind: directory.UserSource, ID: bare.Cast().Victim.ID})
	if got.hits[bare.Cast().Victim.ID].Privileged != directory.Unknown || len(got.FlagsUnread) == 0 || len(got.Unread) != 0 {
		t.Errorf("without PIM: %+v, unread %v", got.hits[bare.Cast().Victim.ID].Privileged, got.FlagsUnread)
	}
}

func TestExpandInBadWeather(t *testing.T) {
	t.Parallel()
	sim, c := simulate(t, entrasim.Options{People: 2500})
	cast := sim.Cast()
	tenant := directory.Source{Kind: directory.TenantSource}
	sim.Inject(entrasim.Fault{Method: "GET", Match: "/v1.0/users", Kind: entrasim.Status429, Times: 2, RetryAfter: 30 * time.Second})
	sim.Inject(entrasim.Fault{Method: "GET", Match: "/v1.0/roleManagement/directory/roleAssignments", Kind: entrasim.Status503HTML, Times: 2})
	sim.Inject(entrasim.Fault{Method: "GET", Match: "/v1.0/groups", Kind: entrasim.DropConnection, Times: 3})
	got := expand(t, sim, c, cast.Lead, bulkScopes, tenant)
	if len(got.reasons) != 2500 || len(got.Unread)+len(got.FlagsUnread) != 1 { // PIM for Groups is not the lead's to read
		t.Errorf("%d people, unread %v %v", len(got.reasons), got.Unread, got.FlagsUnread)
	}
	if n := len(slices.DeleteFunc(slices.Clone(got.waited), func(d time.Duration) bool { return d != 30*time.Second })); n != 2 {
		t.Errorf("waited %v", got.waited)
	}
	remove := sim.Inject(entrasim.Fault{Method: "GET", Match: "/v1.0/users", Kind: entrasim.ForeignNextLink})
	got = expand(t, sim, c, cast.Lead, bulkScopes, tenant, groupNamed(t, sim, "Night shift"))
	remove()
	if len(got.Unread) != 1 || !strings.Contains(got.Unread[0].Why, "another host") || len(got.reasons) < 999 {
		t.Errorf("a foreign link: %d people, unread %+v", len(got.reasons), got.Unread)
	}
}
