package directory_test

import (
	"context"
	"net/http"
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

	mu    sync.Mutex
	calls []string
}

func missing() error {
	return &directory.CallError{Status: http.StatusNotFound, Code: "Request_ResourceNotFound"}
}

func (f *fake) called(method, arg string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, method)
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
		fail: map[string]error{},
	}
}

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func service(f *fake) *directory.Service {
	return directory.NewService(directory.Options{Graph: f, Now: func() time.Time { return at }})
}

func op() operator.Operator { return operator.Operator{OID: opOID} }
