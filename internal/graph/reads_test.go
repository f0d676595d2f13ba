package graph_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/directory"
)

const (
	groupID = "33333333-3333-4333-8333-333333333333"
	unitID  = "44444444-4444-4444-8444-444444444444"
	custom  = "55555555-5555-4555-8555-555555555555"
	spID    = "66666666-6666-4666-8666-666666666666"
	gaRole  = "62e90394-69f5-4237-9190-012177145e10"
)

// site answers by path, and 404 for what it does not have.
func site(t *testing.T, bodies map[string]string) *server {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, ok := bodies[strings.TrimPrefix(r.URL.Path, "/v1.0")]
		if !ok {
			refuse(404, map[string]string{"Content-Type": "application/json"}, `{"error":{"code":"Request_ResourceNotFound","message":"no"}}`)(w, r)
			return
		}
		answer(body)(w, r)
	})
}

func day(d int) time.Time { return time.Date(2026, 3, d, 10, 0, 0, 0, time.UTC) }

func TestUserIsReadWhole(t *testing.T) {
	t.Parallel()
	s := site(t, map[string]string{
		"/users/" + annID: `{"@odata.context":"x","id":"` + annID + `","userPrincipalName":"ann_b.example#EXT#@contoso.example","displayName":"Ann",
			"mail":"ann@b.example","department":"Sales","jobTitle":"Buyer","city":"Oslo","companyName":"B","userType":"Guest",
			"creationType":"Invitation","externalUserState":"Accepted","accountEnabled":false,"onPremisesSyncEnabled":true,
			"isManagementRestricted":true,"createdDateTime":"2026-03-01T10:00:00Z","lastPasswordChangeDateTime":"2026-03-02T10:00:00Z",
			"signInSessionsValidFromDateTime":"2026-03-03T10:00:00Z",
			"identities":[{"signInType":"federated","issuer":"ExternalAzureAD","issuerAssignedId":null}]}`,
		"/users/bob@contoso.example": `{"id":"` + bobID + `","userPrincipalName":"bob@contoso.example","displayName":"Bob","accountEnabled":true,
			"onPremisesSyncEnabled":null,"isManagementRestricted":null,"userType":null,"signInSessionsValidFromDateTime":null,"identities":[]}`,
		"/users/" + bobID: `{"@odata.type":"#microsoft.graph.agentUser","id":"` + bobID + `","identityParentId":"x"}`,
	})
	c := client(t, s)
	got, a, err := c.User(t.Context(), tokens{}, annID)
	want := directory.User{
		ID: annID, UPN: "ann_b.example#EXT#@contoso.example", Name: "Ann", Mail: "ann@b.example", Department: "Sales", JobTitle: "Buyer",
		City: "Oslo", Company: "B", UserType: "Guest", CreationType: "Invitation", ExternalUserState: "Accepted",
		Identities: []directory.Identity{{SignInType: "federated", Issuer: "ExternalAzureAD"}},
		Enabled:    directory.No, Synced: directory.Yes, Restricted: directory.Yes, Agent: directory.No,
		Created: day(1), PasswordChanged: day(2), SessionsFrom: day(3),
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || a.Status != 200 || a.RequestID != "req-1" {
		t.Errorf("%+v, %v\n-want +got:\n%s", a, err, diff)
	}
	r := s.requests()[0]
	if !strings.Contains(r.URL.Query().Get("$select"), "signInSessionsValidFromDateTime") || r.Header.Get("ConsistencyLevel") != "" {
		t.Errorf("read with %s and ConsistencyLevel %q", r.URL.RawQuery, r.Header.Get("ConsistencyLevel"))
	}
	bob, _, err := c.User(t.Context(), tokens{}, "bob@contoso.example")
	if err != nil || bob.Synced != directory.No || bob.Restricted != directory.No || !bob.SessionsFrom.IsZero() || !bob.External() {
		t.Errorf("got %+v, %v", bob, err)
	}
	if agent, _, err := c.User(t.Context(), tokens{}, bobID); err != nil || agent.Agent != directory.Yes {
		t.Errorf("agent user: got %+v, %v", agent, err)
	}
}

func TestUPNIsEscaped(t *testing.T) {
	t.Parallel()
	s := site(t, nil)
	if _, _, err := client(t, s).User(t.Context(), tokens{}, "a#EXT#'+&@contoso.example"); err == nil {
		t.Error("found somebody who is not there")
	}
	r := s.requests()[0]
	if r.URL.Path != "/v1.0/users/a#EXT#'+&@contoso.example" || r.URL.Fragment != "" {
		t.Errorf("got %s", r.URL)
	}
}

func TestSessionsFromReadsByObjectID(t *testing.T) {
	t.Parallel()
	s := site(t, map[string]string{"/users/" + annID: `{"id":"` + annID + `","signInSessionsValidFromDateTime":"2026-03-03T10:00:00Z","externalUserState":"Accepted"}`})
	got, a, err := client(t, s).SessionsFrom(t.Context(), tokens{}, annID)
	if err != nil || !got.From.Equal(day(3)) || got.Elsewhere != directory.Yes || a.Status != 200 || a.Date.IsZero() {
		t.Errorf("got %v, %+v, %v", got, a, err)
	}
	r := s.requests()[0]
	if r.URL.Query().Get("$select") != "id,signInSessionsValidFromDateTime,userPrincipalName,creationType,externalUserState,identities" || r.Header.Get("ConsistencyLevel") != "" {
		t.Errorf("read with %s", r.URL.RawQuery)
	}
}

func TestMembershipsTellApartGroupsRolesAndUnits(t *testing.T) {
	t.Parallel()
	s := site(t, map[string]string{
		"/users/" + annID + "/transitiveMemberOf": `{"value":[
			{"@odata.type":"#microsoft.graph.group","id":"` + groupID + `","displayName":"Tier 0","isAssignableToRole":true,"groupTypes":[],"visibility":"Private"},
			{"@odata.type":"#microsoft.graph.group","id":"` + bobID + `","displayName":"All","isAssignableToRole":null,"groupTypes":["DynamicMembership"],"visibility":"HiddenMembership"},
			{"@odata.type":"#microsoft.graph.group","id":"` + spID + `"},
			{"@odata.type":"#microsoft.graph.directoryRole","id":"x","displayName":"Company Administrator","roleTemplateId":"` + strings.ToUpper(gaRole) + `"},
			{"@odata.type":"#microsoft.graph.administrativeUnit","id":"` + unitID + `","displayName":"North","isMemberManagementRestricted":true},
			{"@odata.type":"#microsoft.graph.administrativeUnit","id":"` + annID + `"},
			{"@odata.type":"#microsoft.graph.somethingNew","id":"y"}]}`,
		"/users/" + annID + "/ownedObjects": `{"value":[
			{"@odata.type":"#microsoft.graph.application","id":"x"},
			{"@odata.type":"#microsoft.graph.group","id":"` + groupID + `","displayName":"Tier 0","isAssignableToRole":true}]}`,
	})
	c := client(t, s)
	got, err := c.Memberships(t.Context(), tokens{}, annID)
	ga, _ := directory.BuiltIn(gaRole)
	want := directory.Memberships{
		Groups: []directory.Group{
			{ID: groupID, Name: "Tier 0", RoleAssignable: directory.Yes, Dynamic: directory.No, HiddenMembership: directory.No},
			{ID: bobID, Name: "All", RoleAssignable: directory.No, Dynamic: directory.Yes, HiddenMembership: directory.Yes},
			{ID: spID},
		},
		Roles: []directory.Role{ga},
		Units: []directory.Unit{{ID: unitID, Name: "North", Restricted: directory.Yes, Hidden: directory.No}, {ID: annID}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n-want +got:\n%s", err, diff)
	}
	owned, err := c.OwnedGroups(t.Context(), tokens{}, annID)
	if err != nil || len(owned) != 1 || owned[0].RoleAssignable != directory.Yes {
		t.Errorf("got %+v, %v", owned, err)
	}
}

func TestRolesAreReadWithScopesAndTimes(t *testing.T) {
	t.Parallel()
	s := site(t, map[string]string{
		"/roleManagement/directory/roleDefinitions": `{"value":[
			{"id":"` + gaRole + `","templateId":"` + gaRole + `","displayName":"Global Administrator","description":"All","isBuiltIn":true,"isEnabled":true},
			{"id":"` + custom + `","templateId":"77777777-7777-4777-8777-777777777777","displayName":"Ours","isBuiltIn":false,"isEnabled":true}]}`,
		"/roleManagement/directory/roleAssignments": `{"value":[
			{"id":"a","principalId":"` + annID + `","roleDefinitionId":"` + gaRole + `","directoryScopeId":"/",
			 "principal":{"@odata.type":"#microsoft.graph.user","id":"` + annID + `","displayName":"Ann","userPrincipalName":"ann@contoso.example"}},
			{"id":"b","principalId":"` + groupID + `","roleDefinitionId":"` + custom + `","directoryScopeId":"/administrativeUnits/` + unitID + `",
			 "principal":{"@odata.type":"#microsoft.graph.group","id":"` + groupID + `","displayName":"Tier 0"}},
			{"id":"c","principalId":"` + spID + `","roleDefinitionId":"` + gaRole + `","directoryScopeId":"/",
			 "principal":{"@odata.type":"#microsoft.graph.servicePrincipal","id":"` + spID + `","displayName":"Robot"}},
			{"id":"d","principalId":"` + bobID + `","roleDefinitionId":"` + gaRole + `","directoryScopeId":"/","principal":null}]}`,
		"/roleManagement/directory/roleEligibilityScheduleInstances": `{"value":[
			{"id":"e","principalId":"` + annID + `","roleDefinitionId":"` + gaRole + `","directoryScopeId":"/",
			 "startDateTime":"2026-03-01T10:00:00Z","endDateTime":"2026-03-02T10:00:00Z","memberType":"Direct"}]}`,
	})
	c := client(t, s)
	ga, _ := directory.BuiltIn(gaRole)
	roles, err := c.RoleDefinitions(t.Context(), tokens{})
	wantRoles := []directory.Role{{TemplateID: gaRole, Name: ga.Name, Description: "All", Privileged: directory.Yes}, {TemplateID: custom, Name: "Ours"}}
	if diff := cmp.Diff(wantRoles, roles); diff != "" || err != nil {
		t.Errorf("%v\n-want +got:\n%s", err, diff)
	}
	active, err := c.ActiveRoles(t.Context(), tokens{}, annID)
	want := directory.Holding{Role: directory.Role{TemplateID: custom}, How: directory.Active, Scope: "/administrativeUnits/" + unitID}
	if err != nil || len(active) != 4 || active[0].Role != ga || active[1] != want {
		t.Errorf("got %+v, %v", active, err)
	}
	eligible, err := c.EligibleRoles(t.Context(), tokens{}, annID)
	if diff := cmp.Diff([]directory.Holding{{Role: ga, How: directory.Eligible, Scope: "/", Since: day(1), Until: day(2)}}, eligible); diff != "" || err != nil {
		t.Errorf("%v\n-want +got:\n%s", err, diff)
	}
	holders, err := c.Holders(t.Context(), tokens{}, gaRole, directory.Active)
	wantHolders := []directory.Holder{
		{ID: annID, Name: "Ann", UPN: "ann@contoso.example", Kind: "user", How: directory.Active, Scope: "/", RoleID: gaRole},
		{ID: groupID, Name: "Tier 0", Kind: "group", How: directory.Active, Scope: "/administrativeUnits/" + unitID, RoleID: custom},
		{ID: spID, Name: "Robot", Kind: "servicePrincipal", How: directory.Active, Scope: "/", RoleID: gaRole},
		{ID: bobID, How: directory.Active, Scope: "/", RoleID: gaRole},
	}
	if diff := cmp.Diff(wantHolders, holders); diff != "" || err != nil {
		t.Errorf("%v\n-want +got:\n%s", err, diff)
	}
	if got, err := c.Holders(t.Context(), tokens{}, gaRole, directory.Eligible); err != nil || len(got) != 1 || got[0].How != directory.Eligible {
		t.Errorf("got %+v, %v", got, err)
	}
	filters := []string{"", "principalId eq '" + annID + "'", "principalId eq '" + annID + "'", "roleDefinitionId eq '" + gaRole + "'", "roleDefinitionId eq '" + gaRole + "'"}
	for i, r := range s.requests() {
		if got := r.URL.Query().Get("$filter"); got != filters[i] {
			t.Errorf("request %d: got $filter %q, want %q", i, got, filters[i])
		}
	}
}

func TestGroupsUnitsDomainsAndTheTenant(t *testing.T) {
	t.Parallel()
	s := site(t, map[string]string{
		"/groups":            `{"value":[{"id":"` + groupID + `","displayName":"Tier 0","isAssignableToRole":true}]}`,
		"/groups/" + groupID: `{"id":"` + groupID + `","displayName":"Tier 0","mail":"t0@contoso.example","visibility":"HiddenMembership"}`,
		"/groups/" + groupID + "/transitiveMembers/graph.user": `{"@odata.count":412,"value":[{"id":"` + annID + `","displayName":"Ann"}]}`,
		"/directory/administrativeUnits/" + unitID:             `{"id":"` + unitID + `","displayName":"North","isMemberManagementRestricted":null}`,
		"/domains":        `{"value":[{"id":"Contoso.example","authenticationType":"Managed"},{"id":"fed.example","authenticationType":"Federated"}]}`,
		"/organization":   `{"value":[{"id":"` + bobID + `","displayName":"Contoso"}]}`,
		"/users/" + annID: `{"id":"` + annID + `","signInActivity":{"lastSignInDateTime":"2026-03-01T10:00:00Z","lastNonInteractiveSignInDateTime":"2026-03-02T10:00:00Z"}}`,
		"/users/" + bobID: `{"id":"` + bobID + `"}`,
	})
	c := client(t, s)
	if got, err := c.FindGroups(t.Context(), tokens{}, "tier", 5); err != nil || len(got) != 1 || got[0].RoleAssignable != directory.Yes {
		t.Errorf("find groups: got %+v, %v", got, err)
	}
	if got, err := c.Group(t.Context(), tokens{}, groupID); err != nil || got.HiddenMembership != directory.Yes || got.Mail == "" {
		t.Errorf("group: got %+v, %v", got, err)
	}
	if got, n, err := c.Members(t.Context(), tokens{}, groupID, 10); err != nil || n != 412 || len(got) != 1 {
		t.Errorf("members: got %+v, %d, %v", got, n, err)
	}
	if got, err := c.Unit(t.Context(), tokens{}, unitID); err != nil || got.Name != "North" || got.Restricted != directory.No {
		t.Errorf("unit: got %+v, %v", got, err)
	}
	for domain, want := range map[string]directory.Tri{"contoso.example": directory.No, "FED.example": directory.Yes, "other.example": directory.Unknown} {
		if got, err := c.Federated(t.Context(), tokens{}, domain); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", domain, got, err, want)
		}
	}
	if id, name, err := c.Organization(t.Context(), tokens{}); err != nil || id != bobID || name != "Contoso" {
		t.Errorf("organization: got %q, %q, %v", id, name, err)
	}
	if got, err := c.LastSignIn(t.Context(), tokens{}, annID); err != nil || !got.Latest().Equal(day(2)) {
		t.Errorf("last sign-in: got %+v, %v", got, err)
	}
	if got, err := c.LastSignIn(t.Context(), tokens{}, bobID); err != nil || !got.Latest().IsZero() {
		t.Errorf("never signed in: got %+v, %v", got, err)
	}
}

func TestManyCallsAtOnceShareAClient(t *testing.T) {
	t.Parallel()
	s := site(t, map[string]string{"/users/" + annID: `{"id":"` + annID + `"}`, "/users/" + annID + "/transitiveMemberOf": `{"value":[]}`})
	c := client(t, s)
	done := make(chan error)
	for range 50 {
		go func() {
			_, _, err := c.User(t.Context(), tokens{}, annID)
			if err == nil {
				_, err = c.Memberships(t.Context(), tokens{}, annID)
			}
			done <- err
		}()
	}
	for range 50 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
