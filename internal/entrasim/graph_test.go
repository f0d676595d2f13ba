package entrasim_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"evict/internal/entrasim"
)

const eventual = "ConsistencyLevel"

func TestEveryAnswerCarriesGraphsHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	bearer := mint(t, s, s.Cast().Lead)
	const mine = "7b0a3d0e-5f54-4b1c-9b0a-2f6f0f5f9d11"
	for _, path := range []string{"/me", "/users/none", "/nonsense"} {
		got := graph(t, s, bearer, "GET", path, "", "client-request-id", mine)
		if got.Header.Get("request-id") == "" || got.Header.Get("client-request-id") != mine || got.Header.Get("Date") == "" {
			t.Errorf("%s: headers %v", path, got.Header)
		}
		if got.Status >= 400 {
			e, _ := got.JSON["error"].(map[string]any)
			inner, _ := e["innerError"].(map[string]any)
			if inner["request-id"] != got.Header.Get("request-id") || inner["client-request-id"] != mine || inner["date"] == nil {
				t.Errorf("%s: inner error %v", path, inner)
			}
		}
	}
	if got := graph(t, s, bearer, "GET", "/me", ""); got.Header.Get("x-ms-resource-unit") != "1" {
		t.Errorf("x-ms-resource-unit = %q", got.Header.Get("x-ms-resource-unit"))
	}
}

func TestErrorsHaveGraphsCodes(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	all := mint(t, s, c.Lead)
	tests := []struct {
		name, bearer, method, path string
		headers                    []string
		status                     int
		code                       string
	}{
		{"unknown user", all, "GET", "/users/00000000-0000-4000-8000-000000000000", nil, 404, "Request_ResourceNotFound"},
		{"unknown group", all, "GET", "/groups/00000000-0000-4000-8000-000000000000", nil, 404, "Request_ResourceNotFound"},
		{"unknown segment", all, "GET", "/users/" + c.Victim.ID + "/nonsense", nil, 400, "BadRequest"},
		{"wrong method", all, "GET", "/users/" + c.Victim.ID + revokePath, nil, 405, "Request_BadRequest"},
		{"no token", "", "GET", "/me", nil, 401, "InvalidAuthenticationToken"},
		{"broken token", "a.b.c", "GET", "/me", nil, 401, "InvalidAuthenticationToken"},
		{"missing scope", mint(t, s, c.Lead, "User.Read"), "GET", "/users", nil, 403, "Authorization_RequestDenied"},
		{"missing scope to revoke", mint(t, s, c.Lead, "User.Read.All"), "POST", "/users/" + c.Victim.ID + revokePath, nil, 403, "Authorization_RequestDenied"},
		{"guest lists people", mint(t, s, c.ExternalGuest, "User.Read.All"), "GET", "/users", nil, 403, "Authorization_RequestDenied"},
		{"page too large", all, "GET", "/users?$top=1000", nil, 400, "Request_UnsupportedQuery"},
		{"page of nonsense", all, "GET", "/users?$top=many", nil, 400, "BadRequest"},
		{"skip", all, "GET", "/users?$skip=5", nil, 400, "Request_BadRequest"},
		{"unknown property", all, "GET", "/users?$select=shoeSize", nil, 400, "BadRequest"},
		{"bad filter", all, "GET", "/users?$filter=displayName eq", nil, 400, "BadRequest"},
		{"filter on a stamp", all, "GET", "/users?$filter=signInSessionsValidFromDateTime ge 2026-01-01T00:00:00Z", nil, 400, "Request_UnsupportedQuery"},
		{"ne without the header", all, "GET", "/users?$count=true&$filter=accountEnabled ne true", nil, 400, "Request_UnsupportedQuery"},
		{"ne without count", all, "GET", "/users?$filter=accountEnabled ne true", []string{eventual, "eventual"}, 400, "Request_UnsupportedQuery"},
		{"search without the header", all, "GET", `/users?$search="displayName:a"`, nil, 400, "Request_UnsupportedQuery"},
		{"search without quotes", all, "GET", `/users?$search=displayName:a`, []string{eventual, "eventual"}, 400, "BadRequest"},
		{"search on a property that has none", all, "GET", `/users?$search="jobTitle:a"`, []string{eventual, "eventual"}, 400, "Request_UnsupportedQuery"},
		{"count without the header", all, "GET", "/users/$count", nil, 400, "Request_BadRequest"},
		{"cast without the header", all, "GET", "/me/transitiveMemberOf/microsoft.graph.directoryRole", nil, 400, "Request_UnsupportedQuery"},
		{"forged page token", all, "GET", "/users?$skiptoken=AAAA", nil, 400, "Directory_ExpiredPageToken"},
		{"sign-in activity without permission", mint(t, s, c.Lead, "User.Read.All"), "GET", "/users?$select=signInActivity", nil, 403, "Authentication_MSGraphPermissionMissing"},
		{"hidden membership", mint(t, s, c.Lead, "GroupMember.Read.All"), "GET", "/groups/" + groupID(t, s, "Health and wellbeing") + "/members", nil, 403, "Authorization_RequestDenied"},
		{"privileged identity management", mint(t, s, c.Helpdesk), "GET", "/roleManagement/directory/roleEligibilityScheduleInstances", nil, 403, "Authorization_RequestDenied"},
		{"group eligibility without a filter", mint(t, s, c.Auditor), "GET", "/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances", nil, 400, "MissingParameters"},
	}
	for _, tt := range tests {
		got := graph(t, s, tt.bearer, tt.method, tt.path, "", tt.headers...)
		if got.Status != tt.status || got.errorCode() != tt.code {
			t.Errorf("%s: %d %q, want %d %q (%s)", tt.name, got.Status, got.errorCode(), tt.status, tt.code, got.Raw)
		}
	}
}

func groupID(t *testing.T, s *entrasim.Sim, name string) string {
	t.Helper()
	id, found := s.Group(name)
	if !found {
		t.Fatalf("no group %q", name)
	}
	return id
}

func TestUsersAreListedPageByPageOnceEach(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{People: 130})
	bearer := mint(t, s, s.Cast().Lead)
	seen := map[string]bool{}
	pages := 0
	for next := "/users?$select=id,userPrincipalName&$top=37&$count=true"; next != ""; pages++ {
		got := graph(t, s, bearer, "GET", next, "", eventual, "eventual")
		if got.Status != 200 {
			t.Fatalf("page %d: %s", pages, got.Raw)
		}
		if pages == 0 && got.JSON["@odata.count"] != float64(130) {
			t.Errorf("count = %v, want 130", got.JSON["@odata.count"])
		}
		for _, u := range got.values() {
			id, _ := u["id"].(string)
			if seen[id] {
				t.Fatalf("%s twice", id)
			}
			if len(u) != 2 && u["@odata.type"] == nil {
				t.Fatalf("more than what was selected: %v", u)
			}
			seen[id] = true
		}
		next, _ = got.JSON["@odata.nextLink"].(string)
		if next != "" && !strings.HasPrefix(next, s.GraphURL()) {
			t.Fatalf("next link leads to %s", next)
		}
	}
	if len(seen) != 130 || pages != 4 {
		t.Errorf("%d people on %d pages, want 130 on 4", len(seen), pages)
	}
}

func TestUserIsFoundByIDAndNameAndKeyInBrackets(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	v := s.Cast().Victim
	bearer := mint(t, s, s.Cast().Helpdesk, "User.Read.All")
	for _, path := range []string{"/users/" + v.ID, "/users/" + v.UPN, "/users('" + v.ID + "')", "/users('" + strings.ToUpper(v.UPN) + "')"} {
		got := graph(t, s, bearer, "GET", path, "")
		if got.Status != 200 || got.JSON["id"] != v.ID {
			t.Errorf("%s: %d %s", path, got.Status, got.Raw)
		}
		if _, shown := got.JSON["accountEnabled"]; shown {
			t.Errorf("%s shows accountEnabled without $select", path)
		}
	}
	guest := s.Cast().ExternalGuest
	if got := graph(t, s, bearer, "GET", "/users/"+strings.ReplaceAll(guest.UPN, "#", "%23"), ""); got.JSON["id"] != guest.ID {
		t.Errorf("guest by encoded name: %d %s", got.Status, got.Raw)
	}
}

func TestPermissionsLimitWhatIsShown(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	const query = "?$select=id,displayName,accountEnabled"
	basic := graph(t, s, mint(t, s, c.Lead, "User.ReadBasic.All"), "GET", "/users/"+c.Victim.ID+query, "")
	if basic.JSON["displayName"] != c.Victim.Name || basic.JSON["accountEnabled"] != nil {
		t.Errorf("User.ReadBasic.All shows %s", basic.Raw)
	}
	own := graph(t, s, mint(t, s, c.Nobody, "User.Read"), "GET", "/me"+query, "")
	if own.JSON["accountEnabled"] != true {
		t.Errorf("User.Read shows of oneself %s", own.Raw)
	}
	members := graph(t, s, mint(t, s, c.Lead, "GroupMember.Read.All"), "GET", "/groups/"+groupID(t, s, "Project Skylark")+"/members", "")
	for _, m := range members.values() {
		if m["id"] == nil || m["@odata.type"] == nil || m["displayName"] != nil {
			t.Fatalf("members without User.Read.All: %v", m)
		}
	}
}

// names runs a query over people and returns the sorted display names.
func names(t *testing.T, s *entrasim.Sim, query string) []string {
	t.Helper()
	got := graph(t, s, mint(t, s, s.Cast().Lead), "GET", "/users?$top=999&$count=true&$select=displayName&"+query, "", eventual, "eventual")
	if got.Status != 200 {
		t.Fatalf("%s: %s", query, got.Raw)
	}
	var out []string
	for _, u := range got.values() {
		name, _ := u["displayName"].(string)
		out = append(out, name)
	}
	slices.Sort(out)
	if n := got.JSON["@odata.count"]; n != float64(len(out)) {
		t.Errorf("%s: count %v, %d objects", query, n, len(out))
	}
	return out
}

func TestFilterAndSearchFindPeople(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{People: 60})
	c := s.Cast()
	everybody := len(names(t, s, ""))
	tests := []struct {
		query string
		want  []string
	}{
		{"$filter=userPrincipalName eq '" + c.Victim.UPN + "'", []string{c.Victim.Name}},
		{"$filter=id in ('" + c.Victim.ID + "','" + c.Lead.ID + "')", []string{c.Victim.Name, c.Lead.Name}},
		{"$filter=startswith(displayName,'lena h') or startsWith(displayName,'Marit S')", []string{c.Victim.Name, c.Lead.Name}},
		{"$filter=not(userType eq 'Member') and userType eq 'Guest' and endsWith(userPrincipalName,'.example') and startswith(displayName,'Rui A')", []string{c.ExternalGuest.Name}},
		{"$filter=startswith(displayName,'Devon M') and userType eq 'Guest' and externalUserState eq null", []string{c.InternalGuest.Name}},
		{"$filter=accountEnabled eq false and department eq 'Operations' and startswith(surname,'Hale')", []string{c.Disabled.Name}},
		{"$filter=identities/any(i:i/issuer eq 'ExternalAzureAD') and userType eq 'Member' and startswith(displayName,'Noor')", []string{c.ExternalMember.Name}},
		{"$filter=otherMails/any(m:startswith(m,'rui.antunes'))", []string{c.ExternalGuest.Name}},
		{`$search="displayName:har"&$filter=startswith(displayName,'Lena')`, []string{c.Victim.Name}},
		{`$search="displayName:hartwig lena"`, []string{c.Victim.Name}},
		{`$search="userPrincipalName:lena.har" OR "mail:marit.sol"`, []string{c.Victim.Name, c.Lead.Name}},
		{`$search="displayName:lena" AND "userPrincipalName:nobody"`, nil},
		{`$search="displayName:artwig"`, nil},
	}
	for _, tt := range tests {
		slices.Sort(tt.want)
		if got := names(t, s, tt.query); !slices.Equal(got, tt.want) {
			t.Errorf("%s = %q, want %q", tt.query, got, tt.want)
		}
	}
	on, off := len(names(t, s, "$filter=onPremisesSyncEnabled eq true")), len(names(t, s, "$filter=onPremisesSyncEnabled ne true"))
	if on == 0 || on+off != everybody {
		t.Errorf("synced %d + not synced %d, want %d", on, off, everybody)
	}
}

func TestUsersAreOrderedByNameBothWays(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	bearer := mint(t, s, s.Cast().Lead)
	list := func(dir string) []string {
		var out []string
		for next := "/users?$select=displayName&$top=50&$orderby=displayName " + dir; next != ""; {
			got := graph(t, s, bearer, "GET", next, "")
			for _, u := range got.values() {
				name, _ := u["displayName"].(string)
				out = append(out, strings.ToLower(name))
			}
			next, _ = got.JSON["@odata.nextLink"].(string)
		}
		return out
	}
	up, down := list("asc"), list("desc")
	slices.Reverse(down)
	if len(up) != 120 || !slices.IsSorted(up) || !slices.Equal(up, down) {
		t.Errorf("%d names, sorted %v, same backwards %v", len(up), slices.IsSorted(up), slices.Equal(up, down))
	}
}

func TestGroupsAreTransitive(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	bearer := mint(t, s, c.Lead)
	finance := "/groups/" + groupID(t, s, "Finance")
	count := func(path string) string {
		return graph(t, s, bearer, "GET", path+"/microsoft.graph.user/$count", "", eventual, "eventual").Raw
	}
	if direct, all := count(finance+"/members"), count(finance+"/transitiveMembers"); direct != "1" || all == "1" || all == "0" {
		t.Errorf("Finance has %s direct and %s transitive people", direct, all)
	}
	got := graph(t, s, bearer, "GET", finance+"/transitiveMembers/microsoft.graph.user?$count=true&$top=999&$select=id", "", eventual, "eventual")
	if !strings.Contains(got.Raw, c.Victim.ID) || got.JSON["@odata.count"] != float64(len(got.values())) {
		t.Errorf("transitive members: %s", text([]byte(got.Raw)))
	}
	of := graph(t, s, bearer, "GET", "/users/"+c.Victim.ID+"/transitiveMemberOf/microsoft.graph.group?$count=true&$select=id,displayName", "", eventual, "eventual")
	var have []string
	for _, g := range of.values() {
		name, _ := g["displayName"].(string)
		have = append(have, name)
	}
	for _, want := range []string{"Finance", "Finance team 1", "All members", "Project Skylark"} {
		if !slices.Contains(have, want) {
			t.Errorf("the victim's groups %q lack %q", have, want)
		}
	}
}

func TestRolesAreSeenFromEverySide(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	lead := mint(t, s, c.Lead)
	roles := func(path string) string {
		got := graph(t, s, lead, "GET", path, "", eventual, "eventual")
		if got.Status != 200 {
			t.Errorf("%s: %d %s", path, got.Status, got.Raw)
		}
		return got.Raw
	}
	mine := roles("/me/transitiveMemberOf/microsoft.graph.directoryRole?$count=true")
	if !strings.Contains(mine, entrasim.RoleUserAdministrator) || !strings.Contains(mine, entrasim.RoleSecurityReader) {
		t.Errorf("my roles: %s", mine)
	}
	if got := roles("/users/" + c.GroupAdmin.ID + "/transitiveMemberOf/microsoft.graph.directoryRole?$count=true"); !strings.Contains(got, entrasim.RoleExchangeAdministrator) {
		t.Errorf("role through a group is not seen: %s", got)
	}
	if got := roles("/directoryRoles(roleTemplateId='" + entrasim.RoleGlobalAdministrator + "')/members"); !strings.Contains(got, c.BreakGlass[0].ID) {
		t.Errorf("Global Administrators: %s", got)
	}
	exchange := roles("/roleManagement/directory/roleAssignments?$filter=roleDefinitionId eq '" + entrasim.RoleExchangeAdministrator + "'&$expand=principal")
	if !strings.Contains(exchange, "#microsoft.graph.group") || !strings.Contains(exchange, c.ExchangeAdmin.ID) {
		t.Errorf("Exchange assignments: %s", exchange)
	}
	if got := roles("/roleManagement/directory/roleAssignments?$filter=principalId eq '" + c.UnitHelpdesk.ID + "'"); !strings.Contains(got, `"directoryScopeId":"/administrativeUnits/`) {
		t.Errorf("scoped assignment: %s", got)
	}
	if got := roles("/roleManagement/directory/roleEligibilityScheduleInstances?$filter=principalId eq '" + c.EligibleAdmin.ID + "'&$expand=roleDefinition"); !strings.Contains(got, "Global Administrator") {
		t.Errorf("eligibility: %s", got)
	}
	if got := roles("/roleManagement/directory/roleDefinitions/" + entrasim.RoleHelpdeskAdministrator); !strings.Contains(got, "microsoft.directory/users/invalidateAllRefreshTokens") {
		t.Errorf("definition: %s", got)
	}
	if got := roles("/users/" + c.UnitHelpdesk.ID + "/scopedRoleMemberOf"); !strings.Contains(got, "administrativeUnitId") {
		t.Errorf("scoped role: %s", got)
	}
	unit, _ := s.Unit("Executive office")
	if got := roles("/directory/administrativeUnits/" + unit + "/members"); !strings.Contains(got, c.RestrictedMember.ID) {
		t.Errorf("unit members: %s", got)
	}
	if got := roles("/users/" + c.RoleGroupOwner.ID + "/ownedObjects/microsoft.graph.group?$count=true&$select=isAssignableToRole"); !strings.Contains(got, `"isAssignableToRole":true`) {
		t.Errorf("owned groups: %s", got)
	}
}

func TestTenantWithoutP2RefusesPIM(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{NoPremium: true})
	got := graph(t, s, mint(t, s, s.Cast().Auditor), "GET", "/roleManagement/directory/roleEligibilityScheduleInstances", "")
	if got.Status != 400 || got.errorCode() != "AadPremiumLicenseRequired" {
		t.Errorf("%d %s", got.Status, got.errorCode())
	}
}

func TestSignInActivityPagesAreSmaller(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	bearer := mint(t, s, s.Cast().Lead)
	if got := graph(t, s, bearer, "GET", "/users?$top=501&$select=signInActivity", ""); got.Status != 400 {
		t.Errorf("$top=501 = %d, want 400", got.Status)
	}
	got := graph(t, s, bearer, "GET", "/users/"+s.Cast().Victim.ID+"?$select=signInActivity", "")
	a, _ := got.JSON["signInActivity"].(map[string]any)
	at, err := time.Parse(time.RFC3339, fmt.Sprint(a["lastSignInDateTime"]))
	if err != nil || time.Since(at) > 5*24*time.Hour {
		t.Errorf("the victim's last sign-in is %v (%v)", a["lastSignInDateTime"], err)
	}
}

func TestCompressedBodiesAreRead(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write([]byte(`{"requests":[{"id":"1","method":"GET","url":"/me"}]}`)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	got := graph(t, s, mint(t, s, s.Cast().Lead), "POST", "/$batch", buf.String(), "Content-Encoding", "gzip")
	if got.Status != 200 || !strings.Contains(got.Raw, s.Cast().Lead.ID) {
		t.Errorf("%d %s", got.Status, got.Raw)
	}
	if bad := graph(t, s, mint(t, s, s.Cast().Lead), "POST", "/$batch", "not gzip at all", "Content-Encoding", "gzip"); bad.Status != 400 {
		t.Errorf("broken gzip = %d, want 400", bad.Status)
	}
}

func TestBatchFollowsItsRules(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	bearer := mint(t, s, c.Lead)
	post := func(body string) answer { return graph(t, s, bearer, "POST", "/$batch", body) }
	good := post(`{"requests":[
		{"id":"a","method":"POST","url":"/users/` + c.Victim.ID + revokePath + `","headers":{"Content-Type":"application/json"},"body":{}},
		{"id":"b","method":"POST","url":"/users/` + c.GlobalAdmin.ID + revokePath + `","headers":{"Content-Type":"application/json"},"body":{}},
		{"id":"c","method":"GET","url":"/me","dependsOn":["b"]},
		{"id":"d","method":"GET","url":"/users?$count=true&$filter=accountEnabled ne true&$top=1","headers":{"ConsistencyLevel":"eventual"}}]}`)
	responses, _ := good.JSON["responses"].([]any)
	status := map[string]any{}
	for _, r := range responses {
		m, _ := r.(map[string]any)
		id, _ := m["id"].(string)
		status[id] = m["status"]
		h, _ := m["headers"].(map[string]any)
		if h["Request-Id"] == nil {
			t.Errorf("item %s has no request id: %v", id, h)
		}
	}
	for id, want := range map[string]float64{"a": 200, "b": 403, "c": 424, "d": 200} {
		if status[id] != want {
			t.Errorf("item %s = %v, want %v", id, status[id], want)
		}
	}
	if got := s.Revocations(c.Victim.ID); got != 1 {
		t.Errorf("revocations by batch = %d", got)
	}
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprintf(`{"id":"%d","method":"GET","url":"/me"}`, i)
	}
	for name, body := range map[string]string{
		"21 items":           `{"requests":[` + strings.Join(many, ",") + `]}`,
		"none":               `{"requests":[]}`,
		"same id":            `{"requests":[{"id":"A","method":"GET","url":"/me"},{"id":"a","method":"GET","url":"/me"}]}`,
		"write without body": `{"requests":[{"id":"1","method":"POST","url":"/me` + revokePath + `"}]}`,
		"not JSON":           `{`,
	} {
		if got := post(body); got.Status != http.StatusBadRequest {
			t.Errorf("%s = %d, want 400", name, got.Status)
		}
	}
}
