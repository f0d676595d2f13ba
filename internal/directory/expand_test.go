package directory_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
)

// id makes object ids: of people, groups, units and programs, by a number each.
func id(kind string, n int) string {
	return fmt.Sprintf("%s-0000-4000-8000-%012d", map[string]string{"user": "00000000", "group": "bbbbbbbb", "unit": "aaaaaaaa", "sp": "cccccccc"}[kind], n)
}

// town is a directory whose every answer is known by construction. People are named by a number; person n signs in as
// p<n>@contoso.example.
//
//	groups  1 Tier 0 (role-assignable): 1, 2; owner 3; may join: 4, group 5, program 9; may own: 6
//	        2 Sales: 10, 11; holds 3        3 Night shift: 11, 12; holds 4       4 On call: 13; holds 2 (a circle)
//	        5 Standby: 14                   6 Confidential: hides its members
//	roles   Global Administrator: 20 active, 21 eligible, Tier 0 eligible, program 9 active, unknown 30 active
//	        Helpdesk Administrator: 22 for unit North; 23 whose eligibility is over
//	units   North: 22, 24, 25
func town() *fake {
	f := house()
	f.users = f.users[:0]
	for n := range 40 {
		f.users = append(f.users, account(n))
	}
	f.users = append(f.users, directory.User{ID: opOID, UPN: "op@contoso.example", Name: "Op", Restricted: directory.No})
	f.groups = []directory.Group{
		{ID: id("group", 1), Name: "Tier 0", RoleAssignable: directory.Yes}, {ID: id("group", 2), Name: "Sales"},
		{ID: id("group", 3), Name: "Night shift"}, {ID: id("group", 4), Name: "On call"}, {ID: id("group", 5), Name: "Standby"},
		{ID: id("group", 6), Name: "Confidential", HiddenMembership: directory.Yes},
	}
	users := func(ns ...int) []string {
		var out []string
		for _, n := range ns {
			out = append(out, id("user", n))
		}
		return out
	}
	f.inGroup = map[string][]string{
		id("group", 1): users(1, 2), id("group", 2): users(10, 11), id("group", 3): users(11, 12), id("group", 4): users(13), id("group", 5): users(14),
	}
	f.inside = map[string][]string{id("group", 2): {id("group", 3)}, id("group", 3): {id("group", 4)}, id("group", 4): {id("group", 2)}}
	f.ownersOf = map[string][]string{id("group", 1): users(3)}
	f.inUnit = map[string][]string{id("unit", 1): users(22, 24, 25)}
	f.units = []directory.Unit{{ID: id("unit", 1), Name: "North", Restricted: directory.No}}
	user := func(n int) directory.Holder { return directory.Holder{ID: id("user", n), Kind: "user", Scope: "/"} }
	holder := func(h directory.Holder, role string, how directory.How) directory.Holder {
		h.RoleID, h.How = role, how
		return h
	}
	tier0 := directory.Holder{ID: id("group", 1), Kind: "group", Name: "Tier 0", Scope: "/"}
	program := directory.Holder{ID: id("sp", 9), Kind: "servicePrincipal", Name: "Backup", Scope: "/"}
	north := user(22)
	north.Scope = "/administrativeUnits/" + id("unit", 1)
	over := user(23)
	over.Until = at.Add(-time.Hour)
	f.holders = []directory.Holder{
		holder(user(20), global, directory.Active), holder(user(21), global, directory.Eligible), holder(tier0, global, directory.Eligible),
		holder(program, global, directory.Active), holder(directory.Holder{ID: id("sp", 30), Scope: "/"}, global, directory.Active),
		holder(north, helpdesk, directory.Active), holder(over, helpdesk, directory.Eligible),
	}
	owner := user(6)
	owner.Owner = true
	f.joinable = map[string][]directory.Holder{
		id("group", 1): {user(4), {ID: id("group", 5), Kind: "group", Name: "Standby"}, program, owner},
	}
	f.filters["department eq 'Finance'"] = func(u directory.User) bool { return u.Department == "Finance" }
	f.domains = map[string]directory.Tri{"contoso.example": directory.No, "mill.contoso.example": directory.Yes}
	return f
}

func account(n int) directory.User {
	u := directory.User{
		ID: id("user", n), UPN: fmt.Sprintf("p%d@contoso.example", n), Name: fmt.Sprintf("Person %d", n), Mail: fmt.Sprintf("mail%d@contoso.example", n),
		Enabled: directory.Yes, Restricted: directory.No, Agent: directory.No,
		Identities: []directory.Identity{{SignInType: "userPrincipalName", Issuer: "contoso.example"}},
	}
	if n >= 30 {
		u.Department = "Finance"
	}
	return u
}

// outcome is what an expansion gave: for each person the reasons why they are in, in alphabetical order.
type outcome struct {
	directory.Expansion

	in, out map[string][]string // by UPN without its domain; out are hits of exclusions
	hits    map[string]directory.Hit
	pages   []int // hits in each
	doing   []string
	waited  []time.Duration
}

func expand(t *testing.T, f *fake, scope directory.Scope) outcome {
	t.Helper()
	got, err := tryExpand(t.Context(), f, scope, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func tryExpand(ctx context.Context, f *fake, scope directory.Scope, change func(*directory.ExpandRequest)) (outcome, error) {
	got := outcome{in: map[string][]string{}, out: map[string][]string{}, hits: map[string]directory.Hit{}}
	var mu sync.Mutex
	s := directory.NewService(directory.Options{
		Graph: f, Now: func() time.Time { return at },
		Wait: func(ctx context.Context, d time.Duration) error {
			mu.Lock()
			defer mu.Unlock()
			got.waited = append(got.waited, d)
			return ctx.Err()
		},
	})
	r := directory.ExpandRequest{
		Tokens: tokens{}, Operator: op(), Scope: scope,
		Take: func(_ context.Context, hits []directory.Hit) error {
			got.pages = append(got.pages, len(hits))
			for _, h := range hits {
				to, name := got.in, strings.Split(h.User.UPN, "@")[0]
				if h.Excluded {
					to = got.out
				}
				if !slices.Contains(to[name], h.Reason) {
					to[name] = append(to[name], h.Reason)
				}
				slices.Sort(to[name])
				got.hits[name] = h
			}
			return nil
		},
		Doing: func(what string) { got.doing = append(got.doing, what) },
	}
	if change != nil {
		change(&r)
	}
	var err error
	got.Expansion, err = s.Expand(ctx, r)
	return got, err
}

func include(sources ...directory.Source) directory.Scope { return directory.Scope{Include: sources} }

func group(n int) directory.Source {
	return directory.Source{Kind: directory.GroupSource, ID: id("group", n)}
}

func roleSource(role string, ways ...directory.How) directory.Source {
	return directory.Source{Kind: directory.RoleSource, ID: role, Ways: ways}
}

func TestExpandEveryWayIn(t *testing.T) {
	t.Parallel()
	active, eligible := "role Global Administrator (active)", "role Global Administrator (eligible)"
	through := eligible + " > group Tier 0"
	finance := map[string][]string{}
	for n := 30; n < 40; n++ {
		finance[fmt.Sprintf("p%d", n)] = []string{"filter department eq 'Finance'"}
	}
	all := map[string][]string{"op": {"everyone in the tenant"}}
	for n := range 40 {
		all[fmt.Sprintf("p%d", n)] = []string{"everyone in the tenant"}
	}
	tests := map[string]struct {
		source directory.Source
		want   map[string][]string
	}{
		"user": {directory.Source{Kind: directory.UserSource, ID: id("user", 7)}, map[string][]string{"p7": {"user p7@contoso.example"}}},
		"group, nested in a circle": {group(2), map[string][]string{
			"p10": {"group Sales"}, "p11": {"group Sales", "group Sales > Night shift"}, "p12": {"group Sales > Night shift"},
			"p13": {"group Sales > Night shift > On call"},
		}},
		"role, in every way": {roleSource(global), map[string][]string{
			"p20": {active}, "p21": {eligible}, "p1": {through}, "p2": {through}, "p4": {through + " > eligible member"},
			"p14": {through + " > eligible member > group Standby"},
		}},
		"role, held actively":  {roleSource(strings.ToUpper(global), directory.Active), map[string][]string{"p20": {active}}},
		"role, by eligibility": {roleSource(global, directory.Eligible), map[string][]string{"p21": {eligible}, "p1": {through}, "p2": {through}, "p4": {through + " > eligible member"}, "p14": {through + " > eligible member > group Standby"}}},
		"role, for one unit":   {roleSource(helpdesk), map[string][]string{"p22": {"role Helpdesk Administrator (active for unit North)"}}},
		"every role": {roleSource(directory.AnyRole), map[string][]string{
			"p20": {active}, "p21": {eligible}, "p1": {through}, "p2": {through}, "p4": {through + " > eligible member"},
			"p14": {through + " > eligible member > group Standby"}, "p22": {"role Helpdesk Administrator (active for unit North)"},
		}},
		"every role, held actively": {roleSource(directory.AnyRole, directory.Active), map[string][]string{
			"p20": {active}, "p22": {"role Helpdesk Administrator (active for unit North)"},
		}},
		"role that nobody has":  {roleSource(exchange), map[string][]string{}},
		"administrative unit":   {directory.Source{Kind: directory.UnitSource, ID: id("unit", 1)}, map[string][]string{"p22": {"unit North"}, "p24": {"unit North"}, "p25": {"unit North"}}},
		"filter":                {directory.Source{Kind: directory.FilterSource, Filter: "department eq 'Finance'"}, finance},
		"tenant":                {directory.Source{Kind: directory.TenantSource}, all},
		"list":                  {directory.Source{Kind: directory.ListSource, Name: "list of 2 lines", Lines: []string{"p5@contoso.example", id("user", 6)}}, map[string][]string{"p5": {"list of 2 lines"}, "p6": {"list of 2 lines"}}},
		"targets of a run":      {directory.Source{Kind: directory.RunSource, ID: "r1", Outcomes: []string{"refused"}}, map[string][]string{"p8": {"run r1 (refused)"}, "p9": {"run r1 (refused)"}}},
		"group without members": {directory.Source{Kind: directory.GroupSource, ID: id("group", 5)}, map[string][]string{"p14": {"group Standby"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tryExpand(t.Context(), town(), include(tt.source), func(r *directory.ExpandRequest) {
				r.Former = func(_ context.Context, run string, outcomes []string, take func([]string) error) error {
					if run != "r1" || !slices.Equal(outcomes, []string{"refused"}) {
						return fault.New(fault.NotFound, "there is no such run")
					}
					return errors.Join(take([]string{id("user", 8)}), take([]string{id("user", 9)}))
				}
			})
			if diff := cmp.Diff(tt.want, got.in); diff != "" || err != nil || len(got.out) != 0 || len(got.Unread) != 0 || len(got.Lines) != 0 {
				t.Errorf("%v, left out %v, unread %v, lines %v\n-want +got:\n%s", err, got.out, got.Unread, got.Lines, diff)
			}
		})
	}
}

func TestExpandSetsProgramsAside(t *testing.T) {
	t.Parallel()
	got := expand(t, town(), include(roleSource(global), roleSource(global)))
	want := []directory.Aside{
		{ID: id("sp", 9), Name: "Backup", Kind: "servicePrincipal", Reason: "role Global Administrator (eligible) > group Tier 0 > eligible member"},
		{ID: id("sp", 30), Reason: "role Global Administrator (active)"},
	}
	slices.SortFunc(got.Aside, func(a, b directory.Aside) int { return strings.Compare(a.ID, b.ID) })
	if len(got.Aside) == 2 && strings.Contains(got.Aside[0].Reason, "active") {
		want[0].Reason = "role Global Administrator (active)" // whichever path came first
	}
	if diff := cmp.Diff(want, got.Aside); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestExpandMarksWhomAnExclusionHits(t *testing.T) {
	t.Parallel()
	got := expand(t, town(), directory.Scope{
		Include: []directory.Source{group(2)},
		Exclude: []directory.Source{{Kind: directory.UserSource, ID: id("user", 11)}, group(4)},
	})
	wantOut := map[string][]string{
		"p11": {"group On call > Sales", "group On call > Sales > Night shift", "user p11@contoso.example"},
		"p10": {"group On call > Sales"}, "p12": {"group On call > Sales > Night shift"}, "p13": {"group On call"},
	}
	if diff := cmp.Diff(wantOut, got.out); diff != "" || len(got.in) != 4 {
		t.Errorf("in %v, out:\n%s", got.in, diff)
	}
	f := town()
	f.fail["Group "+id("group", 4)] = refused()
	got = expand(t, f, directory.Scope{Include: []directory.Source{group(2)}, Exclude: []directory.Source{group(4)}})
	if len(got.Unread) != 1 || !strings.Contains(got.Unread[0].Why, "may be in the list") {
		t.Errorf("an exclusion that was not read: got %+v", got.Unread)
	}
}

func TestExpandHandsOverPages(t *testing.T) {
	t.Parallel()
	f := town()
	f.size = 999
	for n := 100; n < 5100; n++ {
		f.users = append(f.users, account(n))
	}
	got := expand(t, f, include(directory.Source{Kind: directory.TenantSource}, directory.Source{Kind: directory.TenantSource}))
	total := 0
	for _, n := range got.pages {
		if n < 1 || n > 1000 {
			t.Errorf("a page of %d hits", n)
		}
		total += n
	}
	if total != 2*5041 || len(got.in) != 5041 {
		t.Errorf("got %d hits of %d people", total, len(got.in))
	}
}

func TestExpandNotesWhatItCouldNotReadAndGoesOn(t *testing.T) {
	t.Parallel()
	member := "members and owners of role-assignable groups"
	tests := map[string]struct {
		source directory.Source
		fail   string
		err    error
		in     []string // who is found all the same
		unread []string // what and why
	}{
		"user that is gone":            {directory.Source{Kind: directory.UserSource, ID: id("user", 99)}, "", nil, nil, []string{"user " + id("user", 99) + ": it is not in the directory"}},
		"group that is gone":           {group(99), "", nil, nil, []string{"group " + id("group", 99) + ": it is not in the directory"}},
		"group refused":                {group(2), "UsersPage group " + id("group", 2), refused(), []string{"p11", "p12", "p13"}, []string{"group Sales: Microsoft refuses"}},
		"nested group refused":         {group(2), "UsersPage group " + id("group", 3), refused(), []string{"p10", "p11", "p13"}, []string{"group Sales > Night shift: Microsoft refuses"}},
		"nested groups refused":        {group(2), "GroupsPage " + id("group", 3), refused(), []string{"p10", "p11", "p12"}, []string{"group Sales > Night shift: Microsoft refuses"}},
		"hidden members":               {group(6), "", nil, nil, []string{"group Confidential: the group hides its members"}},
		"hidden members refused":       {group(6), "UsersPage group " + id("group", 6), refused(), nil, []string{"group Confidential: Microsoft refuses"}},
		"no PIM":                       {roleSource(global), "HoldersPage eligible", refused(), []string{"p20"}, []string{"PIM-eligible holders of Global Administrator: Microsoft refuses"}},
		"no licence for PIM":           {roleSource(global), "HoldersPage eligible", unlicensed(), []string{"p20"}, []string{"PIM-eligible holders of Global Administrator: the tenant lacks the licence"}},
		"no PIM, and none asked for":   {roleSource(global, directory.Active), "HoldersPage eligible", refused(), []string{"p20"}, nil},
		"no assignments":               {roleSource(global), "HoldersPage active", refused(), []string{"p1", "p14", "p2", "p21", "p4"}, []string{"active holders of Global Administrator: Microsoft refuses"}},
		"no PIM for groups":            {roleSource(global), "Joinable", &operator.ReauthError{Consent: true}, []string{"p1", "p2", "p20", "p21"}, []string{"group Tier 0 > eligible member: the app has no consent"}},
		"eligible group refused":       {roleSource(global), "UsersPage group " + id("group", 5), refused(), []string{"p1", "p2", "p20", "p21", "p4"}, []string{"eligible member > group Standby: Microsoft refuses"}},
		"unit that is gone":            {directory.Source{Kind: directory.UnitSource, ID: id("unit", 9)}, "", nil, nil, []string{"unit " + id("unit", 9) + ": it is not in the directory"}},
		"units without consent":        {directory.Source{Kind: directory.UnitSource, ID: id("unit", 1), Name: "North"}, "UsersPage unit " + id("unit", 1), &operator.ReauthError{Consent: true}, nil, []string{"unit North: the app has no consent"}},
		"filter that Graph refuses":    {directory.Source{Kind: directory.FilterSource, Filter: "shoeSize eq 3"}, "", nil, nil, []string{"filter shoeSize eq 3: Microsoft Graph answered 400 BadRequest"}},
		"tenant, where Graph fails":    {directory.Source{Kind: directory.TenantSource}, "UsersPage all", &directory.CallError{Status: 500, Code: "Oops"}, nil, []string{"everyone in the tenant: Microsoft Graph answered 500 Oops"}},
		"a link to another host":       {directory.Source{Kind: directory.TenantSource}, "UsersPage all", &directory.CallError{Code: directory.CodeForeign}, nil, []string{"everyone in the tenant: Microsoft Graph's answer pointed to another host"}},
		"list, where Graph refuses":    {directory.Source{Kind: directory.ListSource, Lines: []string{id("user", 1), "p2@contoso.example"}}, "UsersPage all id in ('" + id("user", 1) + "')", refused(), []string{"p2"}, []string{"1 of 2 lines of list: Microsoft refuses"}},
		"run of somebody else":         {directory.Source{Kind: directory.RunSource, ID: "r9"}, "", nil, nil, []string{"run r9: there is no such run"}},
		"an inside that was not read":  {roleSource(exchange), "UsersPage nested " + id("group", 1), refused(), nil, nil},
		"an owner list not to be read": {roleSource(exchange), "UsersPage owners " + id("group", 1), refused(), nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := town()
			if tt.err != nil {
				f.fail[tt.fail] = tt.err
			}
			other := directory.Source{Kind: directory.UserSource, ID: id("user", 7)} // goes on
			got, err := tryExpand(t.Context(), f, include(tt.source, other), func(r *directory.ExpandRequest) {
				r.Former = func(context.Context, string, []string, func([]string) error) error {
					return fault.New(fault.NotFound, "there is no such run")
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append(tt.in, "p7"), slices.Sorted(maps.Keys(got.in))); diff != "" {
				t.Errorf("people: -want +got:\n%s", diff)
			}
			if len(got.Unread) != len(tt.unread) {
				t.Fatalf("unread: got %+v, want %v", got.Unread, tt.unread)
			}
			for i, u := range got.Unread {
				if said := u.What + ": " + u.Why; !strings.Contains(said, tt.unread[i]) {
					t.Errorf("unread: got %q, want %q", said, tt.unread[i])
				}
			}
			if strings.Contains(name, "inside") && !slices.Contains(whats(got.FlagsUnread), member) {
				t.Errorf("flags: got %+v", got.FlagsUnread)
			}
		})
	}
}

func TestExpandStops(t *testing.T) {
	t.Parallel()
	everything := include(group(2), directory.Source{Kind: directory.UnitSource, ID: id("unit", 1)}, roleSource(global),
		directory.Source{Kind: directory.ListSource, Lines: []string{id("user", 1), "p2@contoso.example", "nobody@contoso.example"}}, directory.Source{Kind: directory.TenantSource})
	for _, method := range []string{
		"Memberships", "HoldersPage", "GroupsPage", "UsersPage nested " + id("group", 1), "Group", "UsersPage group " + id("group", 3), "UsersPage unit " + id("unit", 1), "Unit",
		"UsersPage all id in ('" + id("user", 1) + "')", "User nobody@contoso.example", "UsersPage all", "CountUsers",
	} {
		f := town()
		f.fail[method] = reauth()
		_, err := tryExpand(t.Context(), f, everything, nil)
		if _, ok := errors.AsType[*operator.ReauthError](err); !ok {
			t.Errorf("%s: got %v, want a ReauthError", method, err)
		}
	}
	full := errors.New("disk full")
	_, err := tryExpand(t.Context(), town(), everything, func(r *directory.ExpandRequest) {
		r.Take = func(context.Context, []directory.Hit) error { return full }
	})
	if !errors.Is(err, full) || err.Error() != full.Error() {
		t.Errorf("got %v, want Take's error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = tryExpand(ctx, town(), everything, func(r *directory.ExpandRequest) {
		r.Take = func(context.Context, []directory.Hit) error { cancel(); return nil }
	})
	if err == nil {
		_, err = tryExpand(ctx, town(), everything, nil)
	}
	if f := town(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	} else {
		ctx, cancel := context.WithCancel(t.Context())
		f.fail["UsersPage group "+id("group", 3)] = throttled()
		_, err := tryExpand(ctx, f, everything, func(r *directory.ExpandRequest) {
			r.Doing = func(what string) {
				if strings.Contains(what, "slow down") {
					cancel()
				}
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while it waits: got %v", err)
		}
	}
	for _, scope := range []directory.Scope{
		include(directory.Source{Kind: "planet"}), include(directory.Source{Kind: directory.GroupSource, ID: "x"}), include(directory.Source{Kind: directory.UserSource, ID: "ann@contoso.example"}),
		include(directory.Source{Kind: directory.FilterSource}), include(directory.Source{Kind: directory.FilterSource, Filter: strings.Repeat("x", 1001)}),
		include(directory.Source{Kind: directory.ListSource}), include(directory.Source{Kind: directory.RunSource}), include(roleSource(global, "passive")),
		include(slices.Repeat([]directory.Source{group(2)}, directory.MaxSources+1)...),
		include(directory.Source{Kind: directory.ListSource, Lines: make([]string, directory.MaxLines+1)}),
	} {
		if _, err := tryExpand(t.Context(), town(), scope, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.60v: got %v, want invalid", scope, err)
		}
	}
}

func TestExpandWaitsForMicrosoft(t *testing.T) {
	t.Parallel()
	lost, down := &directory.CallError{Err: errors.New("reset"), Sent: true}, &directory.CallError{Status: 503}
	f := town()
	f.once["UsersPage group "+id("group", 3)] = []error{throttled(), &directory.CallError{Status: 429}, &directory.CallError{Status: 429}, lost, down}
	f.once["HoldersPage active"] = []error{&directory.CallError{Status: 503, RetryAfter: 40 * time.Second}}
	got := expand(t, f, include(group(2)))
	slices.Sort(got.waited)
	want := []time.Duration{time.Second, 2 * time.Second, 2 * time.Second, 4 * time.Second, 7 * time.Second, 40 * time.Second}
	if diff := cmp.Diff(want, got.waited); diff != "" || len(got.in) != 4 || len(got.Unread) != 0 {
		t.Errorf("got %v, unread %v, waits -want +got:\n%s", got.in, got.Unread, diff)
	}
	said := strings.Join(got.doing, "\n")
	if !strings.Contains(said, "slow down: going on in 7 s\nReading group Sales > Night shift\n") {
		t.Errorf("it said:\n%s", said)
	}
	// Five calls that end in nothing are enough; throttling alone goes on for 20 minutes.
	f = town()
	f.fail["UsersPage group "+id("group", 2)] = lost
	if got := expand(t, f, include(group(2))); len(got.waited) != 4 || len(got.Unread) != 1 {
		t.Errorf("waited %v, unread %v", got.waited, got.Unread)
	}
	f = town()
	f.fail["UsersPage group "+id("group", 2)] = &directory.CallError{Status: 429, RetryAfter: 5 * time.Minute}
	if got := expand(t, f, include(group(2))); len(got.waited) != 4 || len(got.Unread) != 1 {
		t.Errorf("waited %v, unread %v", got.waited, got.Unread)
	}
	// A list whose links expired while it waited is read again.
	f = town()
	f.expired = 2
	if got := expand(t, f, include(directory.Source{Kind: directory.TenantSource})); len(got.in) != 41 || len(got.Unread)+len(got.FlagsUnread) != 0 {
		t.Errorf("%d people, unread %v", len(got.in), got.Unread)
	}
}

func TestExpandFlags(t *testing.T) {
	t.Parallel()
	everybody := include(directory.Source{Kind: directory.TenantSource})
	f := town()
	f.users[31].UPN, f.users[32].UPN, f.users[33].Enabled = "p31@mill.contoso.example", "p32@elsewhere.example", directory.No
	got := expand(t, f, everybody)
	privileged := []string{"p1", "p14", "p2", "p20", "p21", "p22", "p3", "p4", "p6"} // 23's eligibility is over
	var found []string
	for name, h := range got.hits {
		if h.Privileged == directory.Yes {
			found = append(found, name)
		} else if h.Privileged != directory.No {
			t.Errorf("%s: privileged is not known", name)
		}
	}
	slices.Sort(found)
	if diff := cmp.Diff(privileged, found); diff != "" {
		t.Errorf("privileged: -want +got:\n%s", diff)
	}
	for name, want := range map[string]directory.Tri{"p30": directory.No, "p31": directory.Yes, "p32": directory.Unknown} {
		if got.hits[name].Federated != want {
			t.Errorf("%s: federated %v, want %v", name, got.hits[name].Federated, want)
		}
	}
	if got.EnabledInternal != 39 || !got.FederatedRead || !slices.Equal(got.Federated, []string{"mill.contoso.example"}) || len(got.FlagsUnread) != 0 {
		t.Errorf("got %d enabled, federated %v, unread %v", got.EnabledInternal, got.Federated, got.FlagsUnread)
	}
	for name, want := range map[string]directory.Verdict{
		"p30": directory.Allowed, "op": directory.Allowed, "p20": directory.Refused, "p21": directory.Allowed, "p1": directory.Refused,
		"p3": directory.Refused, "p22": directory.Allowed, // Helpdesk Administrator, whom another one may revoke
	} {
		if p := got.hits[name].Prediction; p.Verdict != want {
			t.Errorf("%s: got %+v, want %v", name, p, want)
		}
	}
	f.fail["Domains"], f.fail["CountUsers"] = &operator.ReauthError{Consent: true}, refused()
	got = expand(t, f, everybody)
	if got.EnabledInternal != -1 || got.FederatedRead || got.hits["p31"].Federated != directory.Unknown || len(got.Unread) != 0 {
		t.Errorf("got %d enabled, %v, %v", got.EnabledInternal, got.FederatedRead, got.Unread)
	}
	if diff := cmp.Diff([]string{"domain federation", "the number of enabled accounts"}, whats(got.FlagsUnread)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What the privilege map lacks makes nobody "not privileged", and no prediction surer.
func TestExpandWithAGapInThePrivilegeMap(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fail    string
		err     error
		member  directory.Verdict // of an ordinary person
		assured bool              // a Global Administrator is allowed all the same
	}{
		{"HoldersPage active", refused(), directory.MayBeRefused, true},
		{"HoldersPage eligible", refused(), directory.Allowed, true}, // an eligibility protects nobody before it is activated
		{"GroupsPage ", throttled(), directory.MayBeRefused, true},
		{"UsersPage nested " + id("group", 1), refused(), directory.MayBeRefused, true},
		{"UsersPage owners " + id("group", 1), refused(), directory.MayBeRefused, true},
		{"Joinable", &operator.ReauthError{Consent: true}, directory.Allowed, true},
		{"Joinable", unlicensed(), directory.Allowed, true},
	}
	for _, tt := range tests {
		f := town()
		f.fail[tt.fail] = tt.err
		if tt.fail == "GroupsPage " {
			f.holders = slices.DeleteFunc(f.holders, func(h directory.Holder) bool { return h.Kind == "group" })
		}
		got := expand(t, f, include(directory.Source{Kind: directory.TenantSource}))
		ordinary := got.hits["p30"]
		if ordinary.Privileged != directory.Unknown || !strings.HasSuffix(ordinary.Cause, " could not be read") || ordinary.Prediction.Verdict != tt.member || len(got.FlagsUnread) == 0 {
			t.Errorf("%s: got privileged %v, %+v, unread %v", tt.fail, ordinary.Privileged, ordinary.Prediction, got.FlagsUnread)
		}
		if len(got.Unread) != 0 {
			t.Errorf("%s: nobody is missing, but unread is %v", tt.fail, got.Unread)
		}
		f.active[opOID] = holds(global).Holdings
		if got := expand(t, f, include(directory.Source{Kind: directory.TenantSource})); got.hits["p30"].Prediction.Verdict != directory.Allowed {
			t.Errorf("%s, by a Global Administrator: got %+v", tt.fail, got.hits["p30"].Prediction)
		}
	}
}

func TestExpandForAnOperatorOfOneUnit(t *testing.T) {
	t.Parallel()
	f := town()
	f.active[opOID] = scoped(holds(helpdesk), "/administrativeUnits/"+id("unit", 1)).Holdings
	got := expand(t, f, include(directory.Source{Kind: directory.TenantSource}))
	for name, want := range map[string]directory.Verdict{"p24": directory.Allowed, "p22": directory.Refused, "p30": directory.Refused} {
		if p := got.hits[name].Prediction; p.Verdict != want {
			t.Errorf("%s: got %+v, want %v", name, p, want)
		}
	}
	f.fail["UsersPage unit "+id("unit", 1)] = &operator.ReauthError{Consent: true}
	got = expand(t, f, include(directory.Source{Kind: directory.TenantSource}))
	if p := got.hits["p24"].Prediction; p.Verdict != directory.MayBeRefused || len(got.FlagsUnread) == 0 {
		t.Errorf("unit not read: got %+v, %v", p, got.FlagsUnread)
	}
}

func TestExpandOfARunLeavesOutWhoIsGone(t *testing.T) {
	t.Parallel()
	f := town()
	f.late[id("user", 8)] = true // the filter does not find them, and reading them does
	got, err := tryExpand(t.Context(), f, include(directory.Source{Kind: directory.RunSource, ID: "r1"}), func(r *directory.ExpandRequest) {
		r.Former = func(_ context.Context, _ string, _ []string, take func([]string) error) error {
			return take([]string{id("user", 8), id("user", 99), id("user", 9), id("user", 8)})
		}
	})
	want := []directory.Line{{Text: id("user", 99), Fate: directory.LineNotFound, Reason: "of run r1: the account is not in the directory any more"}}
	if diff := cmp.Diff(want, got.Lines); diff != "" || err != nil || len(got.in) != 2 || len(got.Unread) != 0 {
		t.Errorf("%v, %v, %v\n-want +got:\n%s", err, got.in, got.Unread, diff)
	}
	broken := errors.New("database is gone")
	_, err = tryExpand(t.Context(), f, include(directory.Source{Kind: directory.RunSource, ID: "r1"}), func(r *directory.ExpandRequest) {
		r.Former = func(context.Context, string, []string, func([]string) error) error { return broken }
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want our own error", err)
	}
}

func TestExpandTellsAGroupTreeThatIsTooLargeToWalk(t *testing.T) {
	t.Parallel()
	f := town()
	for n := 1000; n < 1300; n++ {
		f.groups = append(f.groups, directory.Group{ID: id("group", n), Name: fmt.Sprint(n)})
		f.inside[id("group", 5)] = append(f.inside[id("group", 5)], id("group", n))
		f.users = append(f.users, account(n))
		f.inGroup[id("group", n)] = []string{id("user", n)}
	}
	got := expand(t, f, include(group(5)))
	if len(got.in) != 301 || !slices.Contains(got.in["p14"], "group Standby") || !slices.Equal(got.in["p1299"], []string{"group Standby > nested groups"}) {
		t.Errorf("%d people, %v, %v", len(got.in), got.in["p14"], got.in["p1299"])
	}
}
