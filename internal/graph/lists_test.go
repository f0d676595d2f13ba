package graph_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evict/internal/directory"
	"evict/internal/fault"
)

func TestUserListsAskAsGraphWantsIt(t *testing.T) {
	t.Parallel()
	const filter = "userPrincipalName in ('o''neil+x@contoso.example','a#EXT#&b@contoso.example')"
	tests := []struct {
		list                          directory.UserList
		path, filter, count, eventual string
	}{
		{directory.UserList{}, "/users", "", "", ""},
		{directory.UserList{Filter: filter}, "/users", filter, "", ""},
		{directory.UserList{Filter: "department ne 'x'", Advanced: true}, "/users", "department ne 'x'", "true", "eventual"},
		{directory.UserList{Group: groupID}, "/groups/" + groupID + "/members/graph.user", "", "true", "eventual"},
		{directory.UserList{Group: groupID, Nested: true}, "/groups/" + groupID + "/transitiveMembers/graph.user", "", "true", "eventual"},
		{directory.UserList{Group: groupID, Owners: true}, "/groups/" + groupID + "/owners/graph.user", "", "true", "eventual"},
		{directory.UserList{Unit: unitID}, "/directory/administrativeUnits/" + unitID + "/members/graph.user", "", "true", "eventual"},
	}
	for _, tt := range tests {
		var s *server
		s = serve(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.TrimPrefix(r.URL.Path, "/v1.0") != tt.path {
				refuse(404, nil, "")(w, r)
				return
			}
			next := ""
			if !r.URL.Query().Has("$skiptoken") {
				next = `"@odata.nextLink":"` + s.URL + "/v1.0" + tt.path + `?$skiptoken=x%27y",`
			}
			answer(`{"@odata.count":2,`+next+`"value":[{"id":"`+annID+`","userPrincipalName":"ann@contoso.example"},{"id":"no guid"}]}`)(w, r)
		})
		c := client(t, s)
		first, err := c.UsersPage(t.Context(), tokens{}, tt.list, "")
		if err != nil || len(first.Items) != 1 || first.Items[0].UPN != "ann@contoso.example" || first.Next == "" {
			t.Fatalf("%s: got %+v, %v", tt.path, first, err)
		}
		second, err := c.UsersPage(t.Context(), tokens{}, tt.list, first.Next)
		if err != nil || second.Next != "" || len(second.Items) != 1 {
			t.Errorf("%s, second page: got %+v, %v", tt.path, second, err)
		}
		ids := tt.list
		ids.IDs = true
		if _, err := c.UsersPage(t.Context(), tokens{}, ids, ""); err != nil {
			t.Error(err)
		}
		if n, err := c.CountUsers(t.Context(), tokens{}, tt.list); n != 2 || err != nil {
			t.Errorf("%s: count %d, %v", tt.path, n, err)
		}
		got := s.requests()
		q := got[0].URL.Query()
		if q.Get("$filter") != tt.filter || q.Get("$count") != tt.count || q.Get("$top") != "999" || got[0].Header.Get("ConsistencyLevel") != tt.eventual ||
			!strings.Contains(q.Get("$select"), "isManagementRestricted") || !strings.Contains(q.Get("$select"), "identities") {
			t.Errorf("%s: asked %s with ConsistencyLevel %q", tt.path, got[0].URL.RawQuery, got[0].Header.Get("ConsistencyLevel"))
		}
		if got[1].URL.RawQuery != "$skiptoken=x%27y" || got[1].Header.Get("ConsistencyLevel") != tt.eventual {
			t.Errorf("%s: the second page was asked as %s with %q", tt.path, got[1].URL.RawQuery, got[1].Header.Get("ConsistencyLevel"))
		}
		if got[2].URL.Query().Get("$select") != "id" {
			t.Errorf("%s: ids were asked as %s", tt.path, got[2].URL.RawQuery)
		}
		if q := got[3].URL.Query(); q.Get("$top") != "1" || q.Get("$count") != "true" || got[3].Header.Get("ConsistencyLevel") != "eventual" || q.Get("$filter") != tt.filter {
			t.Errorf("%s: the count was asked as %s", tt.path, got[3].URL.RawQuery)
		}
	}
}

func TestGroupAndHolderLists(t *testing.T) {
	t.Parallel()
	var s *server
	linked := func(path string) string { return s.URL + "/v1.0" + path + "?$skiptoken=2" }
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		path, second := strings.TrimPrefix(r.URL.Path, "/v1.0"), r.URL.Query().Has("$skiptoken")
		value := map[string]string{
			"/groups": `{"id":"` + groupID + `","displayName":"Tier 0","isAssignableToRole":true}`,
			"/groups/" + groupID + "/members/graph.group": `{"id":"` + bobID + `","displayName":"Inner","visibility":"HiddenMembership"}`,
			"/roleManagement/directory/roleAssignments": `{"principalId":"` + annID + `","roleDefinitionId":"` + strings.ToUpper(gaRole) + `","directoryScopeId":"/",
				"principal":{"@odata.type":"#microsoft.graph.user","id":"` + annID + `","userPrincipalName":"ann@contoso.example"}}`,
			"/roleManagement/directory/roleEligibilityScheduleInstances": `{"principalId":"` + groupID + `","roleDefinitionId":"` + gaRole + `","directoryScopeId":"/",
				"startDateTime":"2026-03-01T10:00:00Z","endDateTime":"2026-03-02T10:00:00Z","principal":{"@odata.type":"#microsoft.graph.group","id":"` + groupID + `","displayName":"Tier 0"}}`,
			"/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances": `{"principalId":"` + annID + `","groupId":"` + groupID + `","accessId":"owner",
				"startDateTime":"2026-03-01T10:00:00Z","principal":{"@odata.type":"#microsoft.graph.user","id":"` + annID + `","displayName":"Ann"}},
				{"principalId":"` + bobID + `","groupId":"` + groupID + `","accessId":"member","principal":{"@odata.type":"#microsoft.graph.group","id":"` + bobID + `"}}`,
		}[path]
		if second {
			value = ""
		}
		next := ""
		if !second && !strings.HasPrefix(path, "/identityGovernance") {
			next = `"@odata.nextLink":"` + linked(path) + `",`
		}
		answer(`{`+next+`"value":[`+value+`]}`)(w, r)
	})
	c := client(t, s)
	tier0 := directory.Group{ID: groupID, Name: "Tier 0", RoleAssignable: directory.Yes, Dynamic: directory.No, HiddenMembership: directory.No}
	inner := directory.Group{ID: bobID, Name: "Inner", RoleAssignable: directory.No, Dynamic: directory.No, HiddenMembership: directory.Yes}
	for id, want := range map[string]directory.Group{"": tier0, groupID: inner} {
		got, err := c.GroupsPage(t.Context(), tokens{}, id, "")
		if diff := cmp.Diff([]directory.Group{want}, got.Items); diff != "" || err != nil || got.Next == "" {
			t.Errorf("%v, next %q\n-want +got:\n%s", err, got.Next, diff)
		}
		if got, err = c.GroupsPage(t.Context(), tokens{}, id, got.Next); err != nil || len(got.Items) != 0 || got.Next != "" {
			t.Errorf("second page: got %+v, %v", got, err)
		}
	}
	holders := map[directory.How]directory.Holder{
		directory.Active: {ID: annID, UPN: "ann@contoso.example", Kind: "user", How: directory.Active, Scope: "/", RoleID: gaRole},
		directory.Eligible: {ID: groupID, Name: "Tier 0", Kind: "group", How: directory.Eligible, Scope: "/", RoleID: gaRole,
			Since: day(1), Until: day(2)},
	}
	for how, want := range holders {
		got, err := c.HoldersPage(t.Context(), tokens{}, "", how, "")
		if diff := cmp.Diff([]directory.Holder{want}, got.Items); diff != "" || err != nil || got.Next == "" {
			t.Errorf("%v, next %q\n-want +got:\n%s", err, got.Next, diff)
		}
		if got, err = c.HoldersPage(t.Context(), tokens{}, "", how, got.Next); err != nil || len(got.Items) != 0 || got.Next != "" {
			t.Errorf("second page: got %+v, %v", got, err)
		}
	}
	got, err := c.Joinable(t.Context(), tokens{}, groupID)
	want := []directory.Holder{
		{ID: annID, Name: "Ann", Kind: "user", How: directory.Eligible, Owner: true, Since: day(1)},
		{ID: bobID, Kind: "group", How: directory.Eligible},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n-want +got:\n%s", err, diff)
	}
	asked := map[string]string{}
	for _, r := range s.requests() {
		if !r.URL.Query().Has("$skiptoken") {
			asked[r.URL.Path] = r.URL.Query().Get("$filter") + "|" + r.URL.Query().Get("$expand")
		}
	}
	wantAsked := map[string]string{
		"/v1.0/groups": "isAssignableToRole eq true|",
		"/v1.0/groups/" + groupID + "/members/graph.group":                             "|",
		"/v1.0/roleManagement/directory/roleAssignments":                               "|principal",
		"/v1.0/roleManagement/directory/roleEligibilityScheduleInstances":              "|principal",
		"/v1.0/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances": "groupId eq '" + groupID + "'|principal",
	}
	if diff := cmp.Diff(wantAsked, asked); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestListsRefuseForeignLinksAndBadIDs(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(`{"value":[]}`))
	c := client(t, s)
	const foreign = "https://graph.attacker.example/v1.0/users?$skiptoken=x"
	calls := map[string]func(id, page string) error{
		"users": func(_, page string) error {
			_, err := c.UsersPage(t.Context(), tokens{}, directory.UserList{}, page)
			return err
		},
		"group": func(id, page string) error {
			_, err := c.UsersPage(t.Context(), tokens{}, directory.UserList{Group: id}, page)
			return err
		},
		"nested": func(id, page string) error {
			_, err := c.UsersPage(t.Context(), tokens{}, directory.UserList{Group: id, Nested: true}, page)
			return err
		},
		"owners": func(id, page string) error {
			_, err := c.UsersPage(t.Context(), tokens{}, directory.UserList{Group: id, Owners: true}, page)
			return err
		},
		"unit": func(id, page string) error {
			_, err := c.UsersPage(t.Context(), tokens{}, directory.UserList{Unit: id}, page)
			return err
		},
		"groups": func(id, page string) error { _, err := c.GroupsPage(t.Context(), tokens{}, id, page); return err },
		"active": func(id, page string) error {
			_, err := c.HoldersPage(t.Context(), tokens{}, id, directory.Active, page)
			return err
		},
		"eligible": func(id, page string) error {
			_, err := c.HoldersPage(t.Context(), tokens{}, id, directory.Eligible, page)
			return err
		},
	}
	for name, call := range calls {
		err := call(groupID, foreign)
		if e, ok := errors.AsType[*directory.CallError](err); !ok || e.Code != directory.CodeForeign {
			t.Errorf("%s: got %v, want a refusal of the foreign address", name, err)
		}
		if name != "users" {
			if err := call("../users", ""); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: got %v for a bad id", name, err)
			}
		}
	}
	if _, err := c.Joinable(t.Context(), tokens{}, "x' or groupId ne '"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
	if len(s.requests()) != 0 {
		t.Errorf("%d requests were made", len(s.requests()))
	}
	empty := client(t, serve(t, answer(`null`)))
	if _, err := empty.UsersPage(t.Context(), tokens{}, directory.UserList{}, ""); err == nil {
		t.Error("an empty answer passed for a page")
	}
	if _, err := c.CountUsers(t.Context(), tokens{}, directory.UserList{}); err == nil {
		t.Error("an answer without a count passed for none")
	}
}

func TestUnitsAndDomains(t *testing.T) {
	t.Parallel()
	s := site(t, map[string]string{
		"/directory/administrativeUnits": `{"value":[{"id":"` + unitID + `","displayName":"North","isMemberManagementRestricted":true,"visibility":"HiddenMembership"},{"id":"x"}]}`,
		"/domains":                       `{"value":[{"id":"Contoso.example","authenticationType":"Managed"},{"id":"fed.example","authenticationType":"Federated"},{"id":"odd.example"}]}`,
	})
	c := client(t, s)
	for _, text := range []string{"", `No"rth`} {
		got, err := c.FindUnits(t.Context(), tokens{}, text, 10)
		if want := (directory.Unit{ID: unitID, Name: "North", Restricted: directory.Yes, Hidden: directory.Yes}); err != nil || !slices.Equal(got, []directory.Unit{want}) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	search := []string{s.requests()[0].URL.Query().Get("$search"), s.requests()[1].URL.Query().Get("$search")}
	if !slices.Equal(search, []string{"", `"displayName:No\"rth"`}) {
		t.Errorf("searched %q", search)
	}
	got, err := c.Domains(t.Context(), tokens{})
	want := []directory.Domain{{Name: "contoso.example", Federated: directory.No}, {Name: "fed.example", Federated: directory.Yes}, {Name: "odd.example"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", fmt.Sprint(got), err)
	}
}
