package directory_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
)

func whats(list []directory.Unread) []string {
	out := make([]string, 0, len(list))
	for _, u := range list {
		out = append(out, u.What)
	}
	return out
}

func TestCardGathersEverything(t *testing.T) {
	t.Parallel()
	f := house()
	f.signIn = directory.SignIn{Interactive: at.Add(-time.Hour), NonInteractive: at.Add(-time.Minute)}
	f.domains["contoso.example"] = directory.Yes
	card, err := service(f).Card(t.Context(), tokens{}, op(), strings.ToUpper(annOID))
	if err != nil {
		t.Fatal(err)
	}
	if card.User.Name != "Ann" || card.Federated != directory.Yes || !card.LastSignIn.Latest().Equal(at.Add(-time.Minute)) || card.Self {
		t.Errorf("got %+v", card)
	}
	if card.Privileged != directory.No || len(card.Unread) != 0 || card.External() != "" {
		t.Errorf("got privileged %v, unread %v, external %q", card.Privileged, card.Unread, card.External())
	}
	if card.Prediction.Verdict != directory.Allowed {
		t.Errorf("got %+v, want allowed", card.Prediction)
	}
}

func TestCardOfOneself(t *testing.T) {
	t.Parallel()
	card, err := service(house()).Card(t.Context(), tokens{}, op(), opOID)
	if err != nil || !card.Self || card.Prediction.Verdict != directory.Allowed || len(card.Operator.Holdings) != 1 {
		t.Errorf("got %+v, %v", card, err)
	}
}

func TestCardSaysWhatItCouldNotRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fail    string
		err     error
		what    string
		why     string
		verdict directory.Verdict
	}{
		{"Memberships " + annOID, refused(), "groups and units", "refuses", directory.MayBeRefused},
		{"OwnedGroups " + annOID, throttled(), "owned groups", "slow down", directory.MayBeRefused},
		{"ActiveRoles " + annOID, errors.New("odd"), "active directory roles", "did not answer", directory.MayBeRefused},
		{"ActiveRoles " + opOID, refused(), "", "", directory.UnknownVerdict},
		{"EligibleRoles", unlicensed(), "PIM-eligible roles", "licence", directory.Allowed},
		{"EligibleRoles", refused(), "PIM-eligible roles", "refuses", directory.Allowed},
		{"LastSignIn", refused(), "last sign-in", "refuses", directory.Allowed},
		{"Federated", refused(), "domain federation", "refuses", directory.Allowed},
		{"Federated", &directory.CallError{Err: errors.New("no route")}, "domain federation", "did not answer", directory.Allowed},
		{"Federated", &directory.CallError{Status: 500, Code: "Oops"}, "domain federation", "answered 500 Oops", directory.Allowed},
	}
	for _, tt := range tests {
		t.Run(tt.fail+" "+tt.err.Error(), func(t *testing.T) {
			t.Parallel()
			f := house()
			f.fail[tt.fail] = tt.err
			card, err := service(f).Card(t.Context(), tokens{}, op(), annOID)
			if err != nil {
				t.Fatal(err)
			}
			if tt.what == "" {
				if len(card.Operator.Unread) == 0 || len(card.Unread) != 0 {
					t.Errorf("got operator's unread %v, others %v", card.Operator.Unread, card.Unread)
				}
			} else if len(card.Unread) != 1 || card.Unread[0].What != tt.what || !strings.Contains(card.Unread[0].Why, tt.why) {
				t.Errorf("got %+v, want %s because it %s", card.Unread, tt.what, tt.why)
			}
			// The operator's role was not read in one of the cases; then a prediction has nothing to go on.
			if tt.verdict == directory.UnknownVerdict {
				f.active[opOID] = nil
				card, err = service(f).Card(t.Context(), tokens{}, op(), annOID)
			}
			if err != nil || card.Prediction.Verdict != tt.verdict {
				t.Errorf("got %+v, want %v", card.Prediction, tt.verdict)
			}
		})
	}
}

func TestCardFailsOnlyWithoutTheUserOrASignIn(t *testing.T) {
	t.Parallel()
	f := house()
	for _, id := range []string{"nobody", "", "urn:uuid:" + annOID, unitNorth} {
		if _, err := service(f).Card(t.Context(), tokens{}, op(), id); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%q: got %v, want not found", id, err)
		}
	}
	kinds := map[error]fault.Kind{refused(): fault.Forbidden, throttled(): fault.Throttled, &directory.CallError{}: fault.Unavailable, errors.New("odd"): fault.Internal}
	for cause, want := range kinds {
		f := house()
		f.fail["User "+annOID] = cause
		_, err := service(f).Card(t.Context(), tokens{}, op(), annOID)
		if fault.KindOf(err) != want || !errors.Is(err, cause) {
			t.Errorf("%v: got %v, want kind %v", cause, err, want)
		}
	}
	for _, method := range []string{"User", "Memberships", "ActiveRoles", "EligibleRoles", "OwnedGroups"} {
		f := house()
		f.fail[method] = reauth()
		_, err := service(f).Card(t.Context(), tokens{}, op(), annOID)
		if _, ok := errors.AsType[*operator.ReauthError](err); !ok {
			t.Errorf("%s: got %v, want a ReauthError", method, err)
		}
	}
	for _, method := range []string{"LastSignIn", "Federated"} { // permissions that not every tenant consents to
		f := house()
		f.fail[method] = &operator.ReauthError{Consent: true}
		card, err := service(f).Card(t.Context(), tokens{}, op(), annOID)
		if err != nil || len(card.Unread) == 0 || !strings.Contains(card.Unread[0].Why, "no consent") {
			t.Errorf("%s without consent: got %v, %+v, want it unread with the cause", method, err, card.Unread)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f = house()
	f.fail["Memberships"] = context.Canceled
	if _, err := service(f).Card(ctx, tokens{}, op(), annOID); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestExternalAccountsAreSaidToBe(t *testing.T) {
	t.Parallel()
	f := house()
	f.users[0].UPN, f.users[0].UserType = "ann_fabrikam.example#EXT#@contoso.example", "Member"
	card, err := service(f).Card(t.Context(), tokens{}, op(), annOID)
	if err != nil || !strings.Contains(card.External(), "home tenant") {
		t.Errorf("got %q, %v", card.External(), err)
	}
	if slices.Contains(f.calls, "Federated") {
		t.Error("the domain of an external account's UPN was asked for")
	}
	unsure := directory.Card{User: directory.User{UPN: "x@contoso.example"}}
	if !strings.Contains(unsure.External(), "counts as external") {
		t.Errorf("got %q", unsure.External())
	}
}

func TestStandingFollowsGroups(t *testing.T) {
	t.Parallel()
	f := house()
	tier0 := f.groups[0]
	f.in[annOID] = directory.Memberships{Groups: []directory.Group{tier0, {ID: unitSouth, Name: "Everybody", RoleAssignable: directory.No}}}
	f.owned[annOID] = []directory.Group{{ID: unitNorth, Name: "Owned", RoleAssignable: directory.Yes}}
	f.active[groupOID] = holds(groupsAdmin).Holdings
	f.eligible[groupOID] = eligible(holds(exchange)).Holdings
	got, err := service(f).Standing(t.Context(), tokens{}, annOID)
	if err != nil {
		t.Fatal(err)
	}
	type line struct{ role, how, through string }
	var lines []line
	for _, h := range got.Holdings {
		lines = append(lines, line{h.Role.Name, string(h.How), h.Through})
	}
	want := []line{{"Groups Administrator", "active", "Tier 0"}, {"Exchange Administrator", "eligible", "Tier 0"}}
	if diff := cmp.Diff(want, lines, cmp.AllowUnexported(line{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(got.RoleGroups) != 1 || got.RoleGroups[0].Name != "Tier 0" || len(got.OwnedRoleGroups) != 1 || len(got.Unread) != 0 {
		t.Errorf("got %+v", got)
	}
	f.fail["ActiveRoles "+groupOID] = refused()
	got, err = service(f).Standing(t.Context(), tokens{}, annOID)
	if err != nil || len(got.Unread) != 1 || !got.Unread[0].Weighs {
		t.Errorf("roles of the group refused: got %+v, %v", got.Unread, err)
	}
}

func TestStandingLeavesNothingUnsaid(t *testing.T) {
	t.Parallel()
	many := make([]directory.Group, 30)
	for i := range many {
		many[i] = directory.Group{ID: strconv.Itoa(i), Name: strconv.Itoa(i), RoleAssignable: directory.Yes}
	}
	tests := map[string]struct {
		in   directory.Memberships
		want string
	}{
		"more pages":      {directory.Memberships{More: true}, "groups and units"},
		"nameless groups": {directory.Memberships{Groups: []directory.Group{{ID: unitNorth}}}, "whether a group is role-assignable"},
		"many groups":     {directory.Memberships{Groups: many}, "directory roles held through groups"},
	}
	for name, tt := range tests {
		f := house()
		f.in[annOID] = tt.in
		got, err := service(f).Standing(t.Context(), tokens{}, annOID)
		if err != nil || len(got.Unread) != 1 || got.Unread[0].What != tt.want || !got.Unread[0].Weighs {
			t.Errorf("%s: got %+v, %v", name, got.Unread, err)
		}
	}
}

func TestStandingNamesUnitsAndCustomRoles(t *testing.T) {
	t.Parallel()
	f := house()
	f.active[annOID] = scoped(plus(holds(custom), holds(groupsAdmin)), inNorth).Holdings
	f.roles = []directory.Role{{TemplateID: custom, Name: "Our own role", Description: "x"}}
	f.units = []directory.Unit{{ID: unitNorth, Name: "North", Restricted: directory.Yes}}
	got, err := service(f).Standing(t.Context(), tokens{}, annOID)
	if err != nil || len(got.Holdings) != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i, name := range []string{"Groups Administrator", "Our own role"} {
		if h := got.Holdings[i]; h.Role.Name != name || h.ScopeName != "North" || h.ScopeRestricted != directory.Yes {
			t.Errorf("got %+v, want %s for North", h, name)
		}
	}
	f.fail["Unit"] = refused()
	got, err = service(f).Standing(t.Context(), tokens{}, annOID)
	if err != nil || got.Holdings[0].ScopeRestricted != directory.Unknown || len(got.Unread) != 1 {
		t.Errorf("unit refused: got %+v, %v", got, err)
	}
}

func TestStandingTakesRolesFromBothSourcesAndDropsTheEnded(t *testing.T) {
	t.Parallel()
	f := house()
	role, _ := directory.BuiltIn(global)
	f.in[annOID] = directory.Memberships{Roles: []directory.Role{role}}
	ended, coming, running := eligible(holds(helpdesk)).Holdings[0], eligible(holds(password)).Holdings[0], eligible(holds(exchange)).Holdings[0]
	ended.Until, coming.Since = at.Add(-time.Second), at.Add(time.Hour)
	running.Since, running.Until = at.Add(-time.Hour), at.Add(time.Hour)
	f.eligible[annOID] = []directory.Holding{ended, coming, running}
	got, err := service(f).Standing(t.Context(), tokens{}, annOID)
	if err != nil || len(got.Holdings) != 2 || got.Holdings[0].Role.Name != "Global Administrator" || got.Holdings[1].Role.Name != "Exchange Administrator" {
		t.Errorf("got %+v, %v", got.Holdings, err)
	}
}

func TestMeSaysWhatRolesAllow(t *testing.T) {
	t.Parallel()
	f := house()
	f.eligible[opOID] = eligible(holds(global)).Holdings
	me, err := service(f).Me(t.Context(), tokens{}, op())
	if err != nil || me.User.Name != "Op" || len(me.Allows) != 2 {
		t.Fatalf("got %+v, %v", me, err)
	}
	if !strings.HasPrefix(me.Allows[0].Sentence, "May revoke") || !strings.HasPrefix(me.Allows[1].Sentence, "Not active now") {
		t.Errorf("got %+v", me.Allows)
	}
}

func TestSearchFinds(t *testing.T) {
	t.Parallel()
	role, _ := directory.BuiltIn(userAdmin)
	system, _ := directory.BuiltIn("a0b1b346-4d3e-4e8b-98f8-753987be4970")
	tests := map[string]struct{ users, groups, roles int }{
		"":                        {0, 0, 0},
		"Ann":                     {1, 1, 0},
		" ann@contoso.example ":   {1, 1, 0},
		"user admin":              {0, 1, 1},
		userAdmin:                 {0, 0, 1},
		annOID:                    {1, 0, 0},
		strings.ToUpper(groupOID): {0, 1, 0},
		unitSouth:                 {0, 0, 0},
	}
	for text, want := range tests {
		f := house()
		f.roles = []directory.Role{role, system}
		got, err := service(f).Search(t.Context(), tokens{}, text)
		if err != nil || len(got.Users) != want.users || len(got.Groups) != want.groups || len(got.Roles) != want.roles || len(got.Unread) != 0 {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestSearchNamesTheMostPowerfulRolesFirst(t *testing.T) {
	t.Parallel()
	f := house()
	f.roles = directory.BuiltIns()
	got, err := service(f).Search(t.Context(), tokens{}, "admin")
	if err != nil || len(got.Roles) != 25 || got.Roles[0].TemplateID != global {
		t.Fatalf("got %d roles, %+v, %v", len(got.Roles), got.Roles[:min(1, len(got.Roles))], err)
	}
	privileged := 0
	for _, r := range directory.BuiltIns() {
		if r.Privileged == directory.Yes && strings.Contains(r.Name, "Admin") {
			privileged++
		}
	}
	for i, r := range got.Roles {
		if i < privileged && r.Privileged != directory.Yes {
			t.Errorf("%d: %s stands before a privileged role", i, r.Name)
		}
	}
}

func TestSearchFindsAnAccountThatTheIndexDoesNotKnowYet(t *testing.T) {
	t.Parallel()
	f := house()
	f.users[0].UPN = "Ann.New@contoso.example" // the fake's index knows exact letters only
	got, err := service(f).Search(t.Context(), tokens{}, "ann.new@CONTOSO.example")
	if err != nil || len(got.Users) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSearchToleratesParts(t *testing.T) {
	t.Parallel()
	f := house()
	f.fail["FindGroups"], f.fail["RoleDefinitions"] = refused(), throttled()
	got, err := service(f).Search(t.Context(), tokens{}, "Ann")
	if err != nil || len(got.Users) != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"directory roles", "groups"}, whats(got.Unread)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	f.fail["FindUsers"] = refused()
	if _, err := service(f).Search(t.Context(), tokens{}, "Ann"); err == nil {
		t.Error("everything failed, and there is no error")
	}
	f.fail["FindUsers"] = reauth()
	_, err = service(f).Search(t.Context(), tokens{}, "Ann")
	if _, ok := errors.AsType[*operator.ReauthError](err); !ok {
		t.Errorf("got %v, want a ReauthError", err)
	}
	for _, text := range []string{"a\x00b", strings.Repeat("a", 201)} {
		if _, err := service(house()).Search(t.Context(), tokens{}, text); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.5q: got %v, want invalid", text, err)
		}
	}
}

func TestGroupPage(t *testing.T) {
	t.Parallel()
	f := house()
	f.members = []directory.User{member()}
	got, err := service(f).Group(t.Context(), tokens{}, groupOID)
	if err != nil || got.Group.Name != "Tier 0" || got.Count != 1 || len(got.Members) != 1 || len(got.Unread) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	f.fail["Members"] = refused()
	got, err = service(f).Group(t.Context(), tokens{}, groupOID)
	if err != nil || got.Count != -1 || len(got.Unread) != 1 {
		t.Errorf("members refused: got %+v, %v", got, err)
	}
	hidden := house()
	hidden.groups[0].HiddenMembership = directory.Yes
	got, err = service(hidden).Group(t.Context(), tokens{}, groupOID)
	if err != nil || got.Count != -1 || len(got.Unread) != 1 {
		t.Errorf("hidden members: got %+v, %v", got, err)
	}
	for _, id := range []string{unitNorth, "x"} {
		if _, err := service(f).Group(t.Context(), tokens{}, id); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: got %v, want not found", id, err)
		}
	}
}

func TestRolePage(t *testing.T) {
	t.Parallel()
	f := house()
	f.roles = []directory.Role{{TemplateID: custom, Name: "Our own role"}, {TemplateID: userAdmin, Name: "x", Description: "says"}}
	f.holders = []directory.Holder{{ID: annOID, How: directory.Active}, {ID: opOID, How: directory.Eligible}}
	got, err := service(f).Role(t.Context(), tokens{}, strings.ToUpper(userAdmin))
	if err != nil || got.Role.Name != "User Administrator" || got.Role.Description != "says" || len(got.Holders) != 2 || len(got.Unread) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err = service(f).Role(t.Context(), tokens{}, custom); err != nil || got.Role.Name != "Our own role" {
		t.Errorf("got %+v, %v", got, err)
	}
	f.fail["Holders eligible"] = unlicensed()
	got, err = service(f).Role(t.Context(), tokens{}, userAdmin)
	if err != nil || len(got.Holders) != 1 || len(got.Unread) != 1 || got.Unread[0].What != "PIM-eligible holders" {
		t.Errorf("without PIM: got %+v, %v", got, err)
	}
	for _, id := range []string{unitNorth, "x"} {
		if _, err := service(house()).Role(t.Context(), tokens{}, id); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: got %v, want not found", id, err)
		}
	}
}

func TestSignsInElsewhere(t *testing.T) {
	t.Parallel()
	id := func(kind, issuer string) []directory.Identity {
		return []directory.Identity{{SignInType: kind, Issuer: issuer}}
	}
	tests := map[string]struct {
		of   directory.User
		want directory.Tri
	}{
		"member":                   {member(), directory.No},
		"internal guest":           {directory.User{UserType: "Guest", Identities: id("userPrincipalName", "contoso.example")}, directory.No},
		"external member":          {directory.User{UserType: "Member", Identities: id("federated", "ExternalAzureAD")}, directory.Yes},
		"one-time passcode":        {directory.User{Identities: id("emailAddress", "mail")}, directory.Yes},
		"invited, converted since": {directory.User{CreationType: "Invitation", Identities: id("userPrincipalName", "x")}, directory.No},
		"invited":                  {directory.User{CreationType: "Invitation"}, directory.Yes},
		"local and federated":      {directory.User{Identities: append(id("userPrincipalName", "x"), id("federated", "ExternalAzureAD")...)}, directory.Yes},
		"pending invitation":       {directory.User{ExternalUserState: "PendingAcceptance"}, directory.Yes},
		"mark in the UPN":          {directory.User{UPN: "a_b#ext#@c", Identities: id("userPrincipalName", "x")}, directory.Yes},
		"identities not readable":  {directory.User{UPN: "a@b"}, directory.Unknown},
	}
	for name, tt := range tests {
		if got := tt.of.SignsInElsewhere(); got != tt.want || tt.of.External() != (tt.want != directory.No) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}
