package directory

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"evict/internal/fault"
	"evict/internal/operator"
)

// Limits of what one page shows.
const (
	maxQuery   = 200 // bytes of a search
	maxHits    = 25  // of each kind
	maxMembers = 100
)

// Options are the parts of a Service.
type Options struct {
	Graph Graph
	Now   func() time.Time                                 // nil means time.Now
	Wait  func(ctx context.Context, d time.Duration) error // returns early with the context's error; nil means a timer
}

// Service answers what the console asks about people, groups and roles, as the operator whose tokens it is given.
type Service struct {
	graph Graph
	now   func() time.Time
	wait  func(ctx context.Context, d time.Duration) error
}

// NewService returns a Service.
func NewService(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = sleep
	}
	return &Service{graph: o.Graph, now: o.Now, wait: o.Wait}
}

// Found is the answer to a search. Each part that could not be read says why in Unread.
type Found struct {
	Users  []User
	Groups []Group
	Roles  []Role
	Unread []Unread
}

// Search finds users by name, UPN, mail or object id, groups by name or object id, and roles by name or template id.
// A UPN or an id is also read directly, since the search index lags behind new accounts. An empty text finds nothing.
// The error is fault.Invalid, *operator.ReauthError, or what kept every part from being read.
func (s *Service) Search(ctx context.Context, t operator.TokenSource, text string) (Found, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Found{}, nil
	}
	if len(text) > maxQuery || strings.ContainsFunc(text, unicode.IsControl) {
		return Found{}, fault.Field("q", "Search for a name, a sign-in name, an address or an object id.")
	}
	var (
		out    Found
		direct []User
		roles  []Role
	)
	g := newGather(ctx)
	if IsID(text) {
		text = strings.ToLower(text)
		s.readByID(g, t, text, &out)
	} else {
		if strings.Contains(text, "@") && !strings.ContainsAny(text, " /\\?") {
			g.read(partUsers, func(ctx context.Context) (err error) { direct, err = s.userIfThere(ctx, t, text); return err })
		}
		g.read(partUsers, func(ctx context.Context) (err error) {
			out.Users, err = s.graph.FindUsers(ctx, t, text, maxHits)
			return err
		})
		g.read(partGroups, func(ctx context.Context) (err error) {
			out.Groups, err = s.graph.FindGroups(ctx, t, text, maxHits)
			return err
		})
	}
	g.read(partDefinitions, func(ctx context.Context) (err error) { roles, err = s.graph.RoleDefinitions(ctx, t); return err })
	unread, err := g.wait()
	if err != nil {
		return Found{}, err
	}
	if len(g.errs) == g.parts {
		return Found{}, failed(ctx, "directory", g.errs[0])
	}
	out.Users = unique(slices.Concat(direct, out.Users))
	out.Roles = matching(roles, text)
	out.Unread = unread
	return out, nil
}

func (s *Service) readByID(g *gather, t operator.TokenSource, id string, out *Found) {
	g.read(partUsers, func(ctx context.Context) (err error) { out.Users, err = s.userIfThere(ctx, t, id); return err })
	g.read(partGroups, func(ctx context.Context) error {
		group, err := s.graph.Group(ctx, t, id)
		if err == nil {
			out.Groups = []Group{group}
		}
		return ifThere(err)
	})
}

func (s *Service) userIfThere(ctx context.Context, t operator.TokenSource, idOrUPN string) ([]User, error) {
	u, _, err := s.graph.User(ctx, t, idOrUPN)
	if err != nil {
		return nil, ifThere(err)
	}
	return []User{u}, nil
}

// ifThere makes of "not found" an empty answer. Text that cannot be a UPN is not found either.
func ifThere(err error) error {
	call, ok := errors.AsType[*CallError](err)
	if ok && (call.Status == http.StatusNotFound || call.Status == http.StatusBadRequest) || fault.KindOf(err) == fault.Invalid {
		return nil
	}
	return err
}

func unique(users []User) []User {
	seen := make(map[string]bool, len(users))
	return slices.DeleteFunc(users, func(u User) bool {
		was := seen[u.ID]
		seen[u.ID] = true
		return was
	})
}

// matching returns the roles whose name holds every word of the text, or whose template id is the text: those first
// whose holders can do the most.
func matching(roles []Role, text string) []Role {
	words := strings.Fields(strings.ToLower(text))
	var out []Role
	for _, r := range roles {
		r = described(r, roles)
		name := strings.ToLower(r.Name)
		all := !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(name, w) })
		if (all || r.TemplateID == text) && !table.byID[r.TemplateID].System {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Role) int {
		return cmp.Or(cmp.Compare(lateness(a), lateness(b)), strings.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), maxHits)]
}

// lateness orders roles by what is at stake: Global Administrator, the privileged ones, the others.
func lateness(r Role) int {
	switch {
	case r.TemplateID == roleGlobalAdmin:
		return 0
	case r.Privileged == Yes:
		return 1
	default:
		return 2
	}
}

// GroupPage is a group with its first members.
type GroupPage struct {
	Group   Group
	Members []User // the first of the users who are in it, nested ones included
	Count   int    // how many there are; -1 when unknown
	Unread  []Unread
}

// Group reads a group and its first members. The error is fault.NotFound for an unknown or malformed id.
func (s *Service) Group(ctx context.Context, t operator.TokenSource, id string) (GroupPage, error) {
	if !IsID(id) {
		return GroupPage{}, fault.New(fault.NotFound, "Not found: that is no object id.")
	}
	out := GroupPage{Count: -1}
	g := newGather(ctx)
	g.must("group", func(ctx context.Context) (err error) { out.Group, err = s.graph.Group(ctx, t, id); return err })
	g.read(partMembers, func(ctx context.Context) (err error) {
		members, count, err := s.graph.Members(ctx, t, id, maxMembers)
		if err == nil {
			out.Members, out.Count = members, count
		}
		return err
	})
	unread, err := g.wait()
	if err != nil {
		return GroupPage{}, err
	}
	out.Unread = unread
	if out.Group.HiddenMembership == Yes && len(out.Members) == 0 && len(unread) == 0 {
		out.Count = -1
		out.Unread = append(out.Unread, Unread{What: partMembers.what, Why: "the group hides its members", Fix: partMembers.needs})
	}
	return out, nil
}

// RolePage is a role with those who hold it, and those who may activate it.
type RolePage struct {
	Role    Role
	Holders []Holder
	Unread  []Unread
}

// Role reads a role and its holders. The error is fault.NotFound for an unknown or malformed id.
func (s *Service) Role(ctx context.Context, t operator.TokenSource, templateID string) (RolePage, error) {
	if !IsID(templateID) {
		return RolePage{}, fault.New(fault.NotFound, "Not found: that is no role.")
	}
	templateID = strings.ToLower(templateID)
	var definitions []Role
	var active, eligible []Holder
	g := newGather(ctx)
	g.read(partDefinitions, func(ctx context.Context) (err error) { definitions, err = s.graph.RoleDefinitions(ctx, t); return err })
	g.read(partHolders, func(ctx context.Context) (err error) {
		active, err = s.graph.Holders(ctx, t, templateID, Active)
		return err
	})
	g.read(partCandidates, func(ctx context.Context) (err error) {
		eligible, err = s.graph.Holders(ctx, t, templateID, Eligible)
		return err
	})
	unread, err := g.wait()
	if err != nil {
		return RolePage{}, err
	}
	role, known := BuiltIn(templateID)
	if i := slices.IndexFunc(definitions, func(r Role) bool { return r.TemplateID == templateID }); i >= 0 {
		role, known = described(definitions[i], definitions), true
	}
	if !known {
		if len(g.errs) > 0 {
			return RolePage{}, failed(ctx, "role", g.errs[0])
		}
		return RolePage{}, fault.New(fault.NotFound, "Not found: there is no such role in the directory.")
	}
	return RolePage{Role: role, Holders: slices.Concat(active, eligible), Unread: unread}, nil
}
