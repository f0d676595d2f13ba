package entrasim_test

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"evict/internal/entrasim"
)

// all follows a list to its end and returns every object.
func all(t *testing.T, s *entrasim.Sim, bearer, path string, headers ...string) (objects []map[string]any, pages int) {
	t.Helper()
	for next := path; next != ""; pages++ {
		got := graph(t, s, bearer, "GET", next, "", headers...)
		if got.Status != 200 {
			t.Fatalf("%s: %d %s", next, got.Status, got.Raw)
		}
		objects = append(objects, got.values()...)
		next, _ = got.JSON["@odata.nextLink"].(string)
	}
	return objects, pages
}

func fields(objects []map[string]any, name string) []string {
	var out []string
	for _, o := range objects {
		v, _ := o[name].(string)
		out = append(out, v)
	}
	return out
}

func filter(f string) string { return "$filter=" + url.QueryEscape(f) }

// OData names the type of an object that is more than its list says (OData JSON format 4.01, 4.6.3): without it an
// agent's user passes for a person.
func TestAListNamesTheTypeOfAnAgentsUserAlone(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{People: 60})
	people, _ := all(t, s, mint(t, s, s.Cast().Lead), "/users?$select=id")
	for _, p := range people {
		want := ""
		if p["id"] == s.Cast().AgentUser.ID {
			want = "#microsoft.graph.agentUser"
		}
		if got, _ := p["@odata.type"].(string); got != want {
			t.Errorf("%v has the type %q, want %q", p["id"], got, want)
		}
	}
}

// Each filter is asked of Graph and of a function over what Graph shows of everybody.
func TestFiltersOfTheUserResource(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{People: 900, Now: at.Now})
	c := s.Cast()
	bearer := mint(t, s, c.Lead)
	everybody, pages := all(t, s, bearer, "/users?$top=400&$select=id,userPrincipalName,mail,displayName,department,companyName,city,userType,"+
		"creationType,externalUserState,onPremisesSyncEnabled,accountEnabled,createdDateTime")
	if len(everybody) != 900 || pages != 3 {
		t.Fatalf("%d people on %d pages", len(everybody), pages)
	}
	is := func(name string, v any) func(map[string]any) bool {
		return func(o map[string]any) bool { return o[name] == v }
	}
	str := func(o map[string]any, name string) string { v, _ := o[name].(string); return strings.ToLower(v) }
	tests := []struct {
		filter   string
		advanced bool
		want     func(map[string]any) bool
	}{
		{"department eq 'Finance'", false, is("department", "Finance")},
		{"department in ('Finance','IT')", false, func(o map[string]any) bool { return o["department"] == "Finance" || o["department"] == "IT" }},
		{"department eq null", false, is("department", nil)},
		{"department ge 'S'", false, func(o map[string]any) bool { return str(o, "department") >= "s" }},
		{"companyName eq 'Brightwater Partners'", false, is("companyName", "Brightwater Partners")},
		{"startsWith(companyName,'larkfield instruments l')", false, func(o map[string]any) bool {
			return strings.HasPrefix(str(o, "companyName"), "larkfield instruments l")
		}},
		{"city eq 'Porto' and accountEnabled eq true", false, func(o map[string]any) bool { return o["city"] == "Porto" && o["accountEnabled"] == true }},
		{"startsWith(city,'ro')", false, is("city", "Rotterdam")},
		{"userType eq 'Guest'", false, is("userType", "Guest")},
		{"userType in ('guest')", false, is("userType", "Guest")},
		{"externalUserState eq 'PendingAcceptance'", false, is("externalUserState", "PendingAcceptance")},
		{"externalUserState eq null", false, is("externalUserState", nil)},
		{"creationType eq 'Invitation'", false, is("creationType", "Invitation")},
		{"onPremisesSyncEnabled eq true", false, is("onPremisesSyncEnabled", true)},
		{"onPremisesSyncEnabled eq null", false, is("onPremisesSyncEnabled", nil)},
		{"accountEnabled eq false", false, is("accountEnabled", false)},
		{"accountEnabled in (false)", false, is("accountEnabled", false)},
		{"createdDateTime ge 2024-01-01T00:00:00Z and createdDateTime le 2024-06-30T23:59:59Z", false,
			func(o map[string]any) bool {
				return str(o, "createdDateTime") >= "2024-01-01t00:00:00z" && str(o, "createdDateTime") <= "2024-06-30t23:59:59z"
			}},
		{"startsWith(displayName,'an') or startsWith(userPrincipalName,'ma')", false, func(o map[string]any) bool {
			return strings.HasPrefix(str(o, "displayName"), "an") || strings.HasPrefix(str(o, "userPrincipalName"), "ma")
		}},
		{"userPrincipalName eq '" + strings.ToUpper(c.Victim.UPN) + "'", false, is("id", c.Victim.ID)},
		{"mail eq '" + c.ExternalGuest.Mail + "'", false, is("id", c.ExternalGuest.ID)},
		{"mail eq '" + c.ExternalGuest.Mail + "' or id eq '" + c.Lead.ID + "'", false,
			func(o map[string]any) bool { return o["id"] == c.ExternalGuest.ID || o["id"] == c.Lead.ID }},
		{"id in ('" + c.Victim.ID + "','" + c.Victim.ID + "','00000000-0000-4000-8000-000000000000')", false, is("id", c.Victim.ID)},
		{"id eq '" + c.Victim.ID + "' and accountEnabled eq false", false, func(map[string]any) bool { return false }},
		{"accountEnabled eq true and id in ('" + c.Victim.ID + "','" + c.Disabled.ID + "')", false, is("id", c.Victim.ID)},
		{"userPrincipalName in ('" + c.Lead.UPN + "') or startsWith(displayName,'Lena H')", false,
			func(o map[string]any) bool {
				return o["id"] == c.Lead.ID || strings.HasPrefix(str(o, "displayName"), "lena h")
			}},
		{"department ne 'Finance'", true, func(o map[string]any) bool { return o["department"] != "Finance" }},
		{"not (department in ('Finance','IT'))", true, func(o map[string]any) bool { return o["department"] != "Finance" && o["department"] != "IT" }},
		{"not startsWith(city,'Ro') and userType ne 'Guest'", true, func(o map[string]any) bool { return o["city"] != "Rotterdam" && o["userType"] != "Guest" }},
		{"endsWith(mail,'@brightwater.example')", true, func(o map[string]any) bool { return strings.HasSuffix(str(o, "mail"), "@brightwater.example") }},
		{"endsWith(userPrincipalName,'@mill.larkfield.example')", true, func(o map[string]any) bool {
			return strings.HasSuffix(str(o, "userPrincipalName"), "@mill.larkfield.example")
		}},
		{"not (id in ('" + c.Victim.ID + "')) and userType eq 'Member'", true, func(o map[string]any) bool { return o["id"] != c.Victim.ID && o["userType"] == "Member" }},
		{"creationType ne null and externalUserState ne 'Accepted'", true, func(o map[string]any) bool { return o["creationType"] != nil && o["externalUserState"] != "Accepted" }},
		{"onPremisesSyncEnabled ne true", true, func(o map[string]any) bool { return o["onPremisesSyncEnabled"] != true }},
	}
	for _, tt := range tests {
		var want []string
		for _, o := range everybody {
			if tt.want(o) {
				want = append(want, fmt.Sprint(o["id"]))
			}
		}
		path := "/users?$top=300&$select=id&" + filter(tt.filter)
		if tt.advanced {
			if got := graph(t, s, bearer, "GET", path, ""); got.Status != 400 || got.errorCode() != "Request_UnsupportedQuery" {
				t.Errorf("%s without the header: %d %s", tt.filter, got.Status, got.errorCode())
			}
		} else if got, _ := all(t, s, bearer, path); !slices.Equal(fields(got, "id"), want) {
			t.Errorf("%s: %d people, want %d", tt.filter, len(got), len(want))
		}
		got, _ := all(t, s, bearer, path+"&$count=true", eventual, "eventual")
		if !slices.Equal(fields(got, "id"), want) {
			t.Errorf("%s, advanced: %d people, want %d", tt.filter, len(got), len(want))
		}
		count := graph(t, s, bearer, "GET", "/users/$count?"+filter(tt.filter), "", eventual, "eventual")
		if count.Raw != strconv.Itoa(len(want)) || !strings.HasPrefix(count.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: /$count = %q %q, want %d", tt.filter, count.Header.Get("Content-Type"), count.Raw, len(want))
		}
	}
}

func TestFiltersThatGraphRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	bearer := mint(t, s, s.Cast().Lead)
	clauses := func(n int) string { return strings.TrimSuffix(strings.Repeat("department eq 'IT' or ", n), " or ") }
	values := func(n int) string { return "id in (" + strings.TrimSuffix(strings.Repeat("'x',", n), ",") + ")" }
	for _, tt := range []struct {
		filter string
		status int
		code   string
	}{
		{values(15), 200, ""},
		{values(16), 400, "Request_UnsupportedQuery"},
		{clauses(15), 200, ""},
		{clauses(16), 400, "Request_UnsupportedQuery"},
		{values(10) + " or " + clauses(6), 400, "Request_UnsupportedQuery"},
		{values(10) + " and (" + clauses(6) + ")", 200, ""},
		{"startsWith(department,'I')", 400, "Request_UnsupportedQuery"},
		{"endsWith(displayName,'a')", 400, "Request_UnsupportedQuery"},
		{"createdDateTime gt 2026-01-01T00:00:00Z", 400, "Request_UnsupportedQuery"},
		{"contains(displayName,'a')", 400, "Request_UnsupportedQuery"},
		{"shoeSize eq 3", 400, "BadRequest"},
		{"id in ()", 400, "BadRequest"},
		{"id in ('x'", 400, "BadRequest"},
	} {
		got := graph(t, s, bearer, "GET", "/users?$select=id&$count=true&"+filter(tt.filter), "", eventual, "eventual")
		if got.Status != tt.status || got.errorCode() != tt.code {
			t.Errorf("%.60s: %d %q, want %d %q", tt.filter, got.Status, got.errorCode(), tt.status, tt.code)
		}
	}
}

func TestGroupsInsideGroupsAndInACircle(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{People: 900})
	c := s.Cast()
	bearer, plain := mint(t, s, c.Lead), mint(t, s, c.Lead, "GroupMember.Read.All", "User.Read.All")
	people := func(bearer, name string) []string {
		got, _ := all(t, s, bearer, "/groups/"+groupID(t, s, name)+"/transitiveMembers/microsoft.graph.user?$count=true&$top=200&$select=id", eventual, "eventual")
		return fields(got, "id")
	}
	shift := people(bearer, "Night shift")
	if len(shift) != 18 { // 12 of the shift, 2 leads and 4 on call
		t.Errorf("%d people in the circle", len(shift))
	}
	for _, name := range []string{"Night shift leads", "On call"} {
		if got := people(bearer, name); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(shift))) {
			t.Errorf("%s holds others than Night shift, though they hold each other", name)
		}
	}
	inside, _ := all(t, s, bearer, "/groups/"+groupID(t, s, "Night shift")+"/transitiveMembers?$select=displayName")
	kinds := map[any]int{}
	for _, o := range inside {
		kinds[o["@odata.type"]]++
	}
	if kinds["#microsoft.graph.user"] != 18 || kinds["#microsoft.graph.group"] != 3 || kinds["#microsoft.graph.servicePrincipal"] != 2 {
		t.Errorf("the circle holds %v", kinds)
	}
	company, departments := people(bearer, "Whole company"), 0
	for _, p := range s.People(900) {
		if p.Department != "" {
			departments++
		}
	}
	if slices.Sort(company); len(company) != departments || len(slices.Compact(company)) != departments {
		t.Errorf("%d people three levels down, want %d", len(company), departments)
	}
	if hidden, seen := people(plain, "Staff support"), people(bearer, "Staff support"); len(hidden) != 3 || len(seen) <= 3 {
		t.Errorf("a hidden group inside: %d people without Member.Read.Hidden, %d with", len(hidden), len(seen))
	}
	owners := graph(t, s, bearer, "GET", "/groups/"+groupID(t, s, "Role: standby")+"/owners?$select=id", "")
	if !strings.Contains(owners.Raw, c.RoleGroupOwner.ID) {
		t.Errorf("owners: %s", owners.Raw)
	}
	assignable, _ := all(t, s, bearer, "/groups?$select=displayName&"+filter("isAssignableToRole eq true"))
	if names := fields(assignable, "displayName"); len(names) != 4 || slices.ContainsFunc(names, func(n string) bool { return !strings.HasPrefix(n, "Role: ") }) {
		t.Errorf("role-assignable groups: %q", names)
	}
	dynamic, _ := all(t, s, bearer, "/groups?$select=displayName&"+filter("groupTypes/any(g:g eq 'DynamicMembership')"))
	if names := fields(dynamic, "displayName"); !slices.Equal(names, []string{"All members"}) {
		t.Errorf("dynamic groups: %q", names)
	}
	before := len(people(bearer, "All members"))
	s.AddUser("New", "Starter", "Sales")
	if got := len(people(bearer, "All members")); got != before+1 {
		t.Errorf("a new account: %d in the dynamic group, want %d", got, before+1)
	}
}

func TestRoleAssignmentsOfTheWholeTenantComeInPages(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{People: 90_000})
	bearer := mint(t, s, s.Cast().Lead)
	rows, pages := all(t, s, bearer, "/roleManagement/directory/roleAssignments?$expand=principal")
	kinds, ids := map[any]int{}, map[any]bool{}
	for _, r := range rows {
		p, _ := r["principal"].(map[string]any)
		if p["id"] != r["principalId"] {
			t.Fatalf("principal of %v", r)
		}
		kinds[p["@odata.type"]]++
		ids[r["id"]] = true
	}
	if pages < 2 || len(ids) != len(rows) || kinds["#microsoft.graph.user"] < 90 || kinds["#microsoft.graph.group"] < 2 || kinds["#microsoft.graph.servicePrincipal"] != 3 {
		t.Errorf("%d assignments, %d different, on %d pages: %v", len(rows), len(ids), pages, kinds)
	}
	eligible, _ := all(t, s, mint(t, s, s.Cast().Auditor), "/roleManagement/directory/roleEligibilityScheduleInstances?$expand=principal&$top=20")
	if len(eligible) < 20 {
		t.Errorf("%d eligibilities", len(eligible))
	}
}

func TestEligibilityForGroupsNeedsTheGroupOrThePrincipal(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	bearer := mint(t, s, c.Auditor)
	const base = "/identityGovernance/privilegedAccess/group/"
	demand, call, shift := groupID(t, s, "Role: user administrators on demand"), groupID(t, s, "On call"), groupID(t, s, "Night shift")
	for _, tt := range []struct{ path, filter, want string }{
		{"eligibilityScheduleInstances", "groupId eq '" + demand + "'", c.EligibleThroughGroup.ID + " " + call},
		{"eligibilityScheduleInstances", "groupId eq '" + demand + "' and accessId eq 'owner'", ""},
		{"eligibilityScheduleInstances", "principalId eq '" + call + "'", call},
		{"eligibilityScheduleInstances", "accessId eq 'groupId'", "MissingParameters"},
		{"eligibilityScheduleInstances", "groupId eq '" + demand + "' or accessId eq 'member'", "MissingParameters"},
		{"assignmentScheduleInstances", "groupId eq '" + groupID(t, s, "Role: standby") + "'", c.RoleGroupMember.ID + " " + c.RoleGroupOwner.ID},
		{"assignmentScheduleInstances", "accessId eq 'member'", "MissingParameters"},
	} {
		got := graph(t, s, bearer, "GET", base+tt.path+"?"+filter(tt.filter), "")
		have := got.errorCode()
		if got.Status == 200 {
			have = strings.Join(fields(got.values(), "principalId"), " ")
		}
		if have != tt.want {
			t.Errorf("%s, %s: %q, want %q", tt.path, tt.filter, have, tt.want)
		}
	}
	got := graph(t, s, bearer, "GET", base+"eligibilityScheduleInstances?$expand=principal,group&"+filter("groupId eq '"+shift+"'"), "")
	if rows := got.values(); len(rows) != 1 || rows[0]["accessId"] != "owner" || rows[0]["principal"] == nil || rows[0]["group"] == nil {
		t.Errorf("an eligible owner: %s", got.Raw)
	}
}

func TestAdministrativeUnitsAndTheirMembers(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{People: 900})
	c := s.Cast()
	bearer := mint(t, s, c.Lead)
	restricted, _ := all(t, s, bearer, "/directory/administrativeUnits?"+filter("isMemberManagementRestricted eq true"))
	if names := fields(restricted, "displayName"); !slices.Equal(names, []string{"Executive office"}) {
		t.Errorf("restricted units: %q", names)
	}
	leeds, _ := s.Unit("Leeds branch")
	people, pages := all(t, s, bearer, "/directory/administrativeUnits/"+leeds+"/members/microsoft.graph.user?$count=true&$top=20&$select=id", eventual, "eventual")
	if pages < 2 || !slices.Contains(fields(people, "id"), c.BranchMember.ID) {
		t.Errorf("%d people of the branch on %d pages", len(people), pages)
	}
	members, _ := all(t, s, bearer, "/directory/administrativeUnits/"+leeds+"/members?$select=id")
	if len(members) != len(people)+1 || !slices.Contains(fields(members, "@odata.type"), "#microsoft.graph.group") {
		t.Errorf("%d members, of whom %d people", len(members), len(people))
	}
}

func TestObjectsByTheirIDs(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{People: 1200})
	c := s.Cast()
	bearer := mint(t, s, c.Lead)
	finance := groupID(t, s, "Finance")
	const path = "/directoryObjects/getByIds"
	body := func(types string, ids ...string) string {
		return `{"ids":["` + strings.Join(ids, `","`) + `"],"types":[` + types + `]}`
	}
	for _, tt := range []struct{ name, types, want string }{
		{"all types", ``, "3"}, {"users", `"user"`, "2"}, {"groups", `"group"`, "1"}, {"devices", `"device"`, "0"}, {"both", `"user","group"`, "3"},
	} {
		got := graph(t, s, bearer, "POST", path, body(tt.types, c.Victim.ID, strings.ToUpper(finance), c.AgentUser.ID, c.Victim.ID, "00000000-0000-4000-8000-000000000000"))
		if n := strconv.Itoa(len(got.values())); got.Status != 200 || n != tt.want || got.Header.Get("x-ms-resource-unit") != "5" {
			t.Errorf("%s: %d, %s objects, want %s, %s units", tt.name, got.Status, n, tt.want, got.Header.Get("x-ms-resource-unit"))
		}
	}
	var ids []string
	for _, p := range s.People(1001) {
		ids = append(ids, p.ID)
	}
	got := graph(t, s, bearer, "POST", path+"?$select=id,displayName", body(`"user"`, ids[:1000]...))
	if len(got.values()) != 1000 || got.Header.Get("x-ms-resource-unit") != "2" {
		t.Errorf("1,000 ids with $select: %d objects, %s units", len(got.values()), got.Header.Get("x-ms-resource-unit"))
	}
	for name, b := range map[string]string{"1,001 ids": body("", ids...), "no GUID": body("", "lena"), "none": `{"ids":[]}`, "not JSON": `{`} {
		if got := graph(t, s, bearer, "POST", path, b); got.Status != 400 {
			t.Errorf("%s = %d, want 400", name, got.Status)
		}
	}
	if got := graph(t, s, mint(t, s, c.Lead, "User.Read.All"), "POST", path, body("", c.Victim.ID)); got.Status != 403 {
		t.Errorf("without Directory.Read.All = %d, want 403", got.Status)
	}
}

func TestReadsByPostAreNoWrites(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now, Quota: entrasim.Quota{Writes: 1}})
	c := s.Cast()
	bearer := mint(t, s, c.Lead)
	for range 5 {
		if got := graph(t, s, bearer, "POST", "/directoryObjects/getByIds", `{"ids":["`+c.Victim.ID+`"]}`); got.Status != 200 {
			t.Fatalf("getByIds = %d", got.Status)
		}
	}
	if got := revokeAs(t, s, c.Lead, c.Victim); got.Status != 200 {
		t.Errorf("the one write = %d", got.Status)
	}
}

func TestQuotaCountsWhatItRefused(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now, Quota: entrasim.Quota{Writes: 100, WriteWindow: 100 * time.Second, RetryAfter: 10 * time.Second}})
	c := s.Cast()
	bearer := mint(t, s, c.Helpdesk)
	granted := func(n int) (yes int) {
		for range n {
			if graph(t, s, bearer, "POST", "/users/"+c.Victim.ID+revokePath, "").Status == 200 {
				yes++
			}
		}
		return yes
	}
	if got := granted(103); got != 100 {
		t.Fatalf("a burst of %d, want 100", got)
	}
	at.Advance(10 * time.Second)
	if got := granted(20); got != 7 { // ten came back, three were refused before
		t.Errorf("%d after Retry-After, want 7", got)
	}
	granted(50)
	at.Advance(10 * time.Second)
	if got := granted(1); got != 1 {
		t.Error("whoever waited for Retry-After gets nothing")
	}
}

func TestOtherAppsUseUpTheTenantsQuota(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now, Quota: entrasim.Quota{OtherWrites: 120}}) // the tenant's 18,000 come back at 60 a second
	c := s.Cast()
	status := func() (int, string) {
		got := revokeAs(t, s, c.Helpdesk, c.Victim)
		return got.Status, got.Header.Get("x-ms-throttle-scope") + got.Header.Get("x-ms-throttle-limit-percentage")
	}
	if got, said := status(); got != 200 || said != "" {
		t.Errorf("at first: %d %q", got, said)
	}
	at.Advance(250 * time.Second)
	if got, said := status(); got != 200 || said != "0.83" {
		t.Errorf("when little is left: %d %q", got, said)
	}
	at.Advance(100 * time.Second)
	if got, said := status(); got != 429 || !strings.HasPrefix(said, "Tenant/Write/") {
		t.Errorf("when nothing is left: %d %q", got, said)
	}
	if got := graph(t, s, mint(t, s, c.Helpdesk), "GET", "/me", ""); got.Status != 200 {
		t.Errorf("reads = %d", got.Status)
	}
}

func TestBudgetFollowsTheSizeOfTheTenant(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	for people, units := range map[int]int{48: 3500, 60: 5000, 501: 8000} {
		s := start(t, entrasim.Options{People: people, Now: at.Now})
		bearer := mint(t, s, s.Cast().Lead)
		path := "/groups/" + groupID(t, s, "Finance") + "/transitiveMembers" // 5 units
		// Batches of 20, so that thousands of requests are soon made.
		item := func(i int) string { return fmt.Sprintf(`{"id":"%d","method":"GET","url":"%s"}`, i, path) }
		var items []string
		for i := range 20 {
			items = append(items, item(i))
		}
		body, granted, refused := `{"requests":[`+strings.Join(items, ",")+`]}`, 0, 0
		for refused == 0 && granted*5 <= 2*units {
			got := graph(t, s, bearer, "POST", "/$batch", body)
			granted += strings.Count(got.Raw, `"status":200`)
			refused += strings.Count(got.Raw, `"status":429`)
		}
		if granted*5 != units {
			t.Errorf("%d people: %d units, want %d", people, granted*5, units)
		}
	}
}

func TestSignInActivityHasALimitOfItsOwn(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now, Quota: entrasim.Quota{SignInActivity: 10}})
	c := s.Cast()
	bearer := mint(t, s, c.Lead)
	for i := range 11 {
		got := graph(t, s, bearer, "GET", "/users/"+c.Victim.ID+"?$select=signInActivity", "")
		if want := map[bool]int{true: 200, false: 429}[i < 10]; got.Status != want {
			t.Errorf("request %d = %d, want %d", i+1, got.Status, want)
		}
	}
	if got := graph(t, s, bearer, "GET", "/users/"+c.Victim.ID, ""); got.Status != 200 {
		t.Errorf("the account without it = %d", got.Status)
	}
}
