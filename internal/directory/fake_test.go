package directory_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"evict/internal/directory"
	"evict/internal/operator"
)

const (
	annOID   = targetOID
	opOID    = "99999999-9999-4999-8999-999999999999"
	groupOID = assignableID
)

// tokens is a TokenSource for a fake that looks at no token.
type tokens struct{}

func (tokens) Token(context.Context) (operator.Token, error) { return operator.Token{}, nil }
func (tokens) Fresh(context.Context) (operator.Token, error) { return operator.Token{}, nil }

// fake is a directory in memory. fail holds an error by the name of a method, or of a method and its argument.
type fake struct {
	users    []directory.User
	groups   []directory.Group
	members  []directory.User
	in       map[string]directory.Memberships
	owned    map[string][]directory.Group
	active   map[string][]directory.Holding
	eligible map[string][]directory.Holding
	holders  []directory.Holder
	roles    []directory.Role
	units    []directory.Unit
	domains  map[string]directory.Tri
	signIn   directory.SignIn
	fail     map[string]error

	// What lists are made of.
	inGroup, inside, ownersOf, inUnit map[string][]string // ids of users, groups, users and users, by what they are in
	joinable                          map[string][]directory.Holder
	filters                           map[string]func(directory.User) bool
	late                              map[string]bool    // accounts that no index knows yet
	size                              int                // of a page; 0 means 2
	once                              map[string][]error // as fail, each error once
	expired                           int                // pages but the first are expired this many times

	mu    sync.Mutex
	calls []string
	args  []string // of the calls: "UsersPage group <id> 0"
}

func missing() error {
	return &directory.CallError{Status: http.StatusNotFound, Code: "Request_ResourceNotFound"}
}

func (f *fake) called(method, arg string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, method)
	f.args = append(f.args, method+" "+arg)
	for _, key := range []string{method + " " + arg, method} {
		if list := f.once[key]; len(list) > 0 {
			f.once[key] = list[1:]
			return list[0]
		}
	}
	if err := f.fail[method+" "+arg]; err != nil {
		return err
	}
	return f.fail[method]
}

func (f *fake) User(_ context.Context, _ operator.TokenSource, id string) (directory.User, directory.Answer, error) {
	if err := f.called("User", id); err != nil {
		return directory.User{}, directory.Answer{}, err
	}
	for _, u := range f.users {
		if u.ID == id || strings.EqualFold(u.UPN, id) {
			return u, directory.Answer{Status: 200}, nil
		}
	}
	return directory.User{}, directory.Answer{}, missing()
}

func (f *fake) FindUsers(_ context.Context, _ operator.TokenSource, text string, _ int) ([]directory.User, error) {
	var out []directory.User
	for _, u := range f.users {
		if strings.Contains(u.Name+u.UPN, text) {
			out = append(out, u)
		}
	}
	return out, f.called("FindUsers", text)
}

func (f *fake) Memberships(_ context.Context, _ operator.TokenSource, id string) (directory.Memberships, error) {
	return f.in[id], f.called("Memberships", id)
}

func (f *fake) LastSignIn(_ context.Context, _ operator.TokenSource, id string) (directory.SignIn, error) {
	return f.signIn, f.called("LastSignIn", id)
}

func (f *fake) Federated(_ context.Context, _ operator.TokenSource, domain string) (directory.Tri, error) {
	return f.domains[domain], f.called("Federated", domain)
}

func (f *fake) FindGroups(_ context.Context, _ operator.TokenSource, text string, _ int) ([]directory.Group, error) {
	return f.groups, f.called("FindGroups", text)
}

func (f *fake) Group(_ context.Context, _ operator.TokenSource, id string) (directory.Group, error) {
	if err := f.called("Group", id); err != nil {
		return directory.Group{}, err
	}
	for _, g := range f.groups {
		if g.ID == id {
			return g, nil
		}
	}
	return directory.Group{}, missing()
}

func (f *fake) Members(_ context.Context, _ operator.TokenSource, id string, _ int) ([]directory.User, int, error) {
	return f.members, len(f.members), f.called("Members", id)
}

func (f *fake) OwnedGroups(_ context.Context, _ operator.TokenSource, id string) ([]directory.Group, error) {
	return f.owned[id], f.called("OwnedGroups", id)
}

func (f *fake) RoleDefinitions(context.Context, operator.TokenSource) ([]directory.Role, error) {
	return f.roles, f.called("RoleDefinitions", "")
}

func (f *fake) ActiveRoles(_ context.Context, _ operator.TokenSource, id string) ([]directory.Holding, error) {
	return f.active[id], f.called("ActiveRoles", id)
}

func (f *fake) EligibleRoles(_ context.Context, _ operator.TokenSource, id string) ([]directory.Holding, error) {
	return f.eligible[id], f.called("EligibleRoles", id)
}

func (f *fake) Holders(_ context.Context, _ operator.TokenSource, _ string, how directory.How) ([]directory.Holder, error) {
	if err := f.called("Holders", string(how)); err != nil {
		return nil, err
	}
	var out []directory.Holder
	for _, h := range f.holders {
		if h.How == how {
			out = append(out, h)
		}
	}
	return out, nil
}

func (f *fake) Unit(_ context.Context, _ operator.TokenSource, id string) (directory.Unit, error) {
	if err := f.called("Unit", id); err != nil {
		return directory.Unit{}, err
	}
	for _, u := range f.units {
		if u.ID == id {
			return u, nil
		}
	}
	return directory.Unit{}, missing()
}

func (f *fake) FindUnits(_ context.Context, _ operator.TokenSource, text string, limit int) ([]directory.Unit, error) {
	var out []directory.Unit
	for _, u := range f.units {
		if strings.Contains(u.Name, text) && len(out) < limit {
			out = append(out, u)
		}
	}
	return out, f.called("FindUnits", text)
}

func (f *fake) Domains(context.Context, operator.TokenSource) ([]directory.Domain, error) {
	var out []directory.Domain
	for name, federated := range f.domains {
		out = append(out, directory.Domain{Name: name, Federated: federated})
	}
	return out, f.called("Domains", "")
}

// listed finds the users of a list. A filter is "property in ('a','b')", or one of f.filters.
func (f *fake) listed(list directory.UserList) ([]directory.User, error) {
	ids := map[string]bool{}
	for _, id := range f.idsOf(list, map[string]bool{}) {
		ids[id] = true
	}
	matches := f.filters[list.Filter]
	if property, values, ok := strings.Cut(list.Filter, " in ("); ok {
		values = strings.ToLower(strings.TrimSuffix(values, ")"))
		if n := strings.Count(values, "','") + 1; n > 15 {
			return nil, &directory.CallError{Status: 400, Code: "Request_UnsupportedQuery", Message: "Too many child clauses"}
		}
		if strings.Contains(values, "unfilterable") {
			return nil, &directory.CallError{Status: 400, Code: "BadRequest", Message: "no"}
		}
		matches = func(u directory.User) bool {
			v := map[string]string{"id": u.ID, "userPrincipalName": u.UPN, "mail": u.Mail}[property]
			return v != "" && strings.Contains(","+values+",", ",'"+strings.ToLower(strings.ReplaceAll(v, "'", "''"))+"',")
		}
	}
	if list.Filter != "" && matches == nil {
		return nil, &directory.CallError{Status: 400, Code: "BadRequest", Message: "Invalid filter clause"}
	}
	var out []directory.User
	for _, u := range f.users {
		indexed := list == (directory.UserList{IDs: list.IDs}) || !f.late[u.ID]
		if indexed && (matches == nil || matches(u)) && (list.Group+list.Unit == "" || ids[u.ID]) {
			out = append(out, u)
		}
	}
	return out, nil
}

func (f *fake) idsOf(list directory.UserList, seen map[string]bool) []string {
	switch {
	case list.Owners:
		return f.ownersOf[list.Group]
	case list.Unit != "":
		return f.inUnit[list.Unit]
	case seen[list.Group]:
		return nil
	}
	seen[list.Group] = true
	out := f.inGroup[list.Group]
	for _, id := range f.inside[list.Group] {
		if list.Nested {
			out = slices.Concat(out, f.idsOf(directory.UserList{Group: id, Nested: true}, seen))
		}
	}
	return out
}

func listArg(list directory.UserList) string {
	switch {
	case list.Owners:
		return "owners " + list.Group
	case list.Nested:
		return "nested " + list.Group
	case list.Group != "":
		return "group " + list.Group
	case list.Unit != "":
		return "unit " + list.Unit
	default:
		return strings.TrimSpace("all " + list.Filter)
	}
}

func (f *fake) UsersPage(_ context.Context, _ operator.TokenSource, list directory.UserList, page string) (directory.Page[directory.User], error) {
	if err := f.called("UsersPage", listArg(list)); err != nil {
		return directory.Page[directory.User]{}, err
	}
	all, err := f.listed(list)
	if err != nil {
		return directory.Page[directory.User]{}, err
	}
	return paged(f, all, page)
}

func paged[T any](f *fake, all []T, page string) (directory.Page[T], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if page != "" && f.expired > 0 {
		f.expired--
		return directory.Page[T]{}, &directory.CallError{Status: 400, Code: "Directory_ExpiredPageToken"}
	}
	size := max(f.size, 2)
	from, _ := strconv.Atoi(page)
	to := min(from+size, len(all))
	out := directory.Page[T]{Items: slices.Clone(all[from:to])}
	if to < len(all) {
		out.Next = strconv.Itoa(to)
	}
	return out, nil
}

func (f *fake) CountUsers(_ context.Context, _ operator.TokenSource, list directory.UserList) (int, error) {
	if err := f.called("CountUsers", listArg(list)); err != nil {
		return 0, err
	}
	all, err := f.listed(list)
	return len(all), err
}

func (f *fake) GroupsPage(_ context.Context, _ operator.TokenSource, id, page string) (directory.Page[directory.Group], error) {
	if err := f.called("GroupsPage", id); err != nil {
		return directory.Page[directory.Group]{}, err
	}
	var all []directory.Group
	for _, g := range f.groups {
		if id == "" && g.RoleAssignable == directory.Yes || id != "" && slices.Contains(f.inside[id], g.ID) {
			all = append(all, g)
		}
	}
	return paged(f, all, page)
}

func (f *fake) HoldersPage(_ context.Context, _ operator.TokenSource, role string, how directory.How, page string) (directory.Page[directory.Holder], error) {
	if err := f.called("HoldersPage", string(how)); err != nil {
		return directory.Page[directory.Holder]{}, err
	}
	var all []directory.Holder
	for _, h := range f.holders {
		if h.How == how && (role == "" || h.RoleID == role) {
			all = append(all, h)
		}
	}
	return paged(f, all, page)
}

func (f *fake) Joinable(_ context.Context, _ operator.TokenSource, id string) ([]directory.Holder, error) {
	return f.joinable[id], f.called("Joinable", id)
}

var _ directory.Graph = (*fake)(nil)

// The ways in which Graph says no.
func refused() error    { return &directory.CallError{Status: 403, Code: "Authorization_RequestDenied"} }
func unlicensed() error { return &directory.CallError{Status: 400, Code: "AadPremiumLicenseRequired"} }
func throttled() error {
	return &directory.CallError{Status: 429, RetryAfter: 7 * time.Second}
}
func reauth() error { return &operator.ReauthError{Code: "InvalidAuthenticationToken"} }

func member() directory.User {
	return directory.User{
		ID: annOID, UPN: "ann@contoso.example", Name: "Ann", Restricted: directory.No, Agent: directory.No, Enabled: directory.Yes,
		Identities: []directory.Identity{{SignInType: "userPrincipalName", Issuer: "contoso.example"}},
	}
}

func house() *fake {
	return &fake{
		users:   []directory.User{member(), {ID: opOID, UPN: "op@contoso.example", Name: "Op"}},
		groups:  []directory.Group{{ID: groupOID, Name: "Tier 0", RoleAssignable: directory.Yes}},
		active:  map[string][]directory.Holding{opOID: holds(helpdesk).Holdings},
		domains: map[string]directory.Tri{"contoso.example": directory.No},
		in:      map[string]directory.Memberships{}, owned: map[string][]directory.Group{}, eligible: map[string][]directory.Holding{},
		fail: map[string]error{}, once: map[string][]error{}, filters: map[string]func(directory.User) bool{
			"accountEnabled eq true and userType eq 'Member'": func(u directory.User) bool { return u.Enabled == directory.Yes },
		},
		inGroup: map[string][]string{}, inside: map[string][]string{}, ownersOf: map[string][]string{}, inUnit: map[string][]string{},
		joinable: map[string][]directory.Holder{}, late: map[string]bool{},
	}
}

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func service(f *fake) *directory.Service {
	return directory.NewService(directory.Options{Graph: f, Now: func() time.Time { return at }})
}

func op() operator.Operator { return operator.Operator{OID: opOID} }
