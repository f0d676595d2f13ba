package directory_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
)

func TestResolveNamesWhatEntraHas(t *testing.T) {
	t.Parallel()
	f := town()
	f.roles = []directory.Role{{TemplateID: custom, Name: "Our own role"}}
	tests := map[string]struct{ source, want directory.Source }{
		"user by id":   {directory.Source{Kind: directory.UserSource, ID: " " + id("user", 7)}, directory.Source{Kind: directory.UserSource, ID: id("user", 7), Name: "p7@contoso.example"}},
		"user by name": {directory.Source{Kind: directory.UserSource, ID: "P7@contoso.example", Name: "forged"}, directory.Source{Kind: directory.UserSource, ID: id("user", 7), Name: "p7@contoso.example"}},
		"group":        {directory.Source{Kind: directory.GroupSource, ID: strings.ToUpper(id("group", 2)), Name: "forged", Lines: []string{"x"}}, directory.Source{Kind: directory.GroupSource, ID: id("group", 2), Name: "Sales"}},
		"role":         {roleSource(strings.ToUpper(global), directory.Eligible), directory.Source{Kind: directory.RoleSource, ID: global, Name: "Global Administrator", Ways: []directory.How{directory.Eligible}}},
		"role, both":   {roleSource(global, directory.Eligible, directory.Active), directory.Source{Kind: directory.RoleSource, ID: global, Name: "Global Administrator"}},
		"every role":   {roleSource("any", directory.Active), directory.Source{Kind: directory.RoleSource, ID: directory.AnyRole, Name: "every directory role", Ways: []directory.How{directory.Active}}},
		"custom role":  {roleSource(custom), directory.Source{Kind: directory.RoleSource, ID: custom, Name: "Our own role"}},
		"unit":         {directory.Source{Kind: directory.UnitSource, ID: id("unit", 1)}, directory.Source{Kind: directory.UnitSource, ID: id("unit", 1), Name: "North"}},
		"filter":       {directory.Source{Kind: directory.FilterSource, Filter: " department eq 'Finance' "}, directory.Source{Kind: directory.FilterSource, Filter: "department eq 'Finance'"}},
		"list": {directory.Source{Kind: directory.ListSource, Lines: []string{"Name,UPN", "\"Roe, Ann\",ann@x.org", "Bob,bob@x.org"}},
			directory.Source{Kind: directory.ListSource, Name: "list of 2 lines (column UPN)", Lines: []string{"ann@x.org", "bob@x.org"}}},
		"tenant": {directory.Source{Kind: directory.TenantSource, ID: "x"}, directory.Source{Kind: directory.TenantSource}},
		"run":    {directory.Source{Kind: directory.RunSource, ID: "r1", Outcomes: []string{"failed"}}, directory.Source{Kind: directory.RunSource, ID: "r1", Outcomes: []string{"failed"}}},
	}
	for name, tt := range tests {
		got, err := service(f).Resolve(t.Context(), tokens{}, tt.source)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n-want +got:\n%s", name, err, diff)
		}
	}
}

func TestResolvePutsWhatIsWrongBesideTheField(t *testing.T) {
	t.Parallel()
	tests := []struct {
		source directory.Source
		fail   string
		err    error
		field  string
		says   string
	}{
		{directory.Source{Kind: "planet"}, "", nil, "source", "no way into a scope"},
		{directory.Source{Kind: directory.UserSource, ID: "nobody@contoso.example"}, "", nil, "user", "no such user"},
		{directory.Source{Kind: directory.UserSource, ID: id("user", 1)}, "User", refused(), "user", "refuses"},
		{directory.Source{Kind: directory.GroupSource, ID: "x"}, "", nil, "group", "no object id"},
		{group(99), "", nil, "group", "no such group"},
		{roleSource("x"), "", nil, "role", "no object id"},
		{roleSource(custom), "", nil, "role", "no such role"},
		{roleSource("a0b1b346-4d3e-4e8b-98f8-753987be4970"), "", nil, "role", "Everybody"},
		{roleSource(global, "passive"), "", nil, "role", "actively or eligibly"},
		{directory.Source{Kind: directory.UnitSource, ID: id("unit", 9)}, "", nil, "unit", "no such administrative unit"},
		{directory.Source{Kind: directory.UnitSource, ID: id("unit", 1)}, "Unit", &operator.ReauthError{Consent: true}, "unit", "no consent"},
		{directory.Source{Kind: directory.FilterSource}, "", nil, "filter", "Write a filter"},
		{directory.Source{Kind: directory.FilterSource, Filter: "a\x00"}, "", nil, "filter", "characters"},
		{directory.Source{Kind: directory.FilterSource, Filter: "shoeSize eq 3"}, "", nil, "filter", "Invalid filter clause"},
		{directory.Source{Kind: directory.ListSource}, "", nil, "list", "at least one"},
		{directory.Source{Kind: directory.ListSource, Lines: []string{" ", "\ufeff"}}, "", nil, "list", "at least one"},
		{directory.Source{Kind: directory.ListSource, Lines: slices.Repeat([]string{"a@b"}, directory.MaxLines+1)}, "", nil, "list", "100000"},
		{directory.Source{Kind: directory.RunSource}, "", nil, "run", "Which run"},
	}
	for _, tt := range tests {
		f := town()
		f.fail[tt.fail] = tt.err
		_, err := service(f).Resolve(t.Context(), tokens{}, tt.source)
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || e.Kind != fault.Invalid || e.Field != tt.field || !strings.Contains(e.Message, tt.says) {
			t.Errorf("%.80v: got %v, want %q beside %s", tt.source, err, tt.says, tt.field)
		}
	}
	f := town()
	f.fail["User"] = reauth()
	_, err := service(f).Resolve(t.Context(), tokens{}, directory.Source{Kind: directory.UserSource, ID: id("user", 1)})
	if _, ok := errors.AsType[*operator.ReauthError](err); !ok {
		t.Errorf("got %v, want a ReauthError", err)
	}
	f.fail["CountUsers"] = throttled()
	if _, err := service(f).Resolve(t.Context(), tokens{}, directory.Source{Kind: directory.FilterSource, Filter: "department eq 'Finance'"}); fault.KindOf(err) != fault.Throttled {
		t.Errorf("got %v, want throttled", err)
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	f := town()
	tests := map[string]struct {
		source directory.Source
		n      int
		exact  bool
	}{
		"user":               {directory.Source{Kind: directory.UserSource, ID: id("user", 7)}, 1, true},
		"group":              {group(2), 4, true},
		"role":               {roleSource(global), 2, false},
		"every role":         {roleSource(directory.AnyRole), 3, false},
		"role, no groups":    {roleSource(helpdesk), 1, true},
		"role, one way":      {roleSource(global, directory.Eligible), 1, false},
		"role, unknown kind": {roleSource(global, directory.Active), 1, false},
		"unit":               {directory.Source{Kind: directory.UnitSource, ID: id("unit", 1)}, 3, true},
		"filter":             {directory.Source{Kind: directory.FilterSource, Filter: "department eq 'Finance'"}, 10, true},
		"list":               {directory.Source{Kind: directory.ListSource, Lines: []string{"upn", "a@b", "", "c@d"}}, 2, false},
		"tenant":             {directory.Source{Kind: directory.TenantSource}, 41, true},
		"run":                {directory.Source{Kind: directory.RunSource, ID: "r1"}, -1, false},
	}
	for name, tt := range tests {
		n, exact, err := service(f).Count(t.Context(), tokens{}, tt.source)
		if n != tt.n || exact != tt.exact || err != nil {
			t.Errorf("%s: got %d, %v, %v, want %d, %v", name, n, exact, err, tt.n, tt.exact)
		}
	}
	f.fail["HoldersPage eligible"] = unlicensed()
	if n, exact, err := service(f).Count(t.Context(), tokens{}, roleSource(global, directory.Eligible)); n != 0 || exact || err != nil {
		t.Errorf("no PIM: got %d, %v, %v", n, exact, err)
	}
	f.fail["CountUsers"] = refused()
	if _, _, err := service(f).Count(t.Context(), tokens{}, group(2)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v, want it beside the field", err)
	}
	if _, _, err := service(f).Count(t.Context(), tokens{}, directory.Source{Kind: "planet"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
}

func TestFindUnits(t *testing.T) {
	t.Parallel()
	f := town()
	for text, want := range map[string]int{"": 1, "Nor": 1, "South": 0, id("unit", 1): 1, strings.ToUpper(id("unit", 1)): 1, id("unit", 9): 0} {
		got, err := service(f).FindUnits(t.Context(), tokens{}, text)
		if len(got) != want || err != nil {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	if _, err := service(f).FindUnits(t.Context(), tokens{}, "a\x00"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
	f.fail["FindUnits"] = refused()
	if _, err := service(f).FindUnits(t.Context(), tokens{}, ""); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("got %v", err)
	}
}
