package directory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"evict/internal/operator"
)

// powers is the privilege map of a tenant: who holds a directory role, may activate one, or is in, owns or may join a
// role-assignable group. It is read once for an expansion, so that a flag and a prediction cost no call for each user,
// and holds those people only.
type powers struct {
	of      map[string]*power     // by user id
	holders []Holder              // principals of every role, active and eligible
	groups  map[string]*roleGroup // role-assignable groups, by id
	roles   []Role                // the tenant's definitions
	units   []Unit                // that holders' roles are scoped to
	unread  []Unread              // what the map lacks
	weighs  []Unread              // those of them that could change a prediction
	lacks   string                // which readings failed, so that somebody may be missing in the map; "" when it is whole
}

// power is what makes one account powerful.
type power struct {
	holdings []Holding
	in, owns []Group
}

// roleGroup is a role-assignable group with who is in it.
type roleGroup struct {
	Group

	members, owners []string // user ids
	joinable        []Holder // through PIM for Groups
	joinRead        bool
	joinUsers       []string // users among joinable, also through a group
}

// powers reads the map. What could not be read is in it; the error is one that stops everything.
func (s *Service) powers(ctx context.Context, t operator.TokenSource) (*powers, error) {
	p := &powers{of: map[string]*power{}, groups: map[string]*roleGroup{}}
	var active, eligible []Holder
	var groups []Group
	g := newGather(ctx)
	g.read(partActive, func(ctx context.Context) (err error) { active, err = s.holders(ctx, t, "", Active); return err })
	g.read(partEligible, func(ctx context.Context) (err error) { eligible, err = s.holders(ctx, t, "", Eligible); return err })
	g.read(partAssignable, func(ctx context.Context) (err error) {
		groups, err = collect(ctx, func(ctx context.Context, page string) (Page[Group], error) {
			return s.graph.GroupsPage(ctx, t, "", page)
		})
		return err
	})
	unread, err := g.wait()
	if err != nil {
		return nil, err
	}
	p.holders = slices.Concat(active, eligible)
	for _, group := range groups {
		group.RoleAssignable = Yes
		p.groups[group.ID] = &roleGroup{Group: group}
	}
	for _, h := range p.holders { // the list of groups may lag, and only role-assignable groups hold roles
		if h.Kind == "group" && p.groups[h.ID] == nil {
			p.groups[h.ID] = &roleGroup{Group: Group{ID: h.ID, Name: h.Name, RoleAssignable: Yes}}
		}
	}
	inside, err := s.inside(ctx, t, p.groups)
	if err != nil {
		return nil, err
	}
	unread = append(unread, inside...)
	p.lacks = lacking(unread)
	names, err := s.names(ctx, t, p)
	if err != nil {
		return nil, err
	}
	p.unread = tidied(append(unread, names...))
	p.weighs = slices.DeleteFunc(slices.Clone(p.unread), func(u Unread) bool { return !u.Weighs })
	p.index()
	return p, nil
}

// holders lists the principals of a role, of every role when roleID is "", whose time has come and is not over.
func (s *Service) holders(ctx context.Context, t operator.TokenSource, roleID string, how How) ([]Holder, error) {
	list, err := collect(ctx, func(ctx context.Context, page string) (Page[Holder], error) {
		return s.graph.HoldersPage(ctx, t, roleID, how, page)
	})
	return s.inForce(list), err
}

func (s *Service) inForce(list []Holder) []Holder {
	now := s.now()
	return slices.DeleteFunc(list, func(h Holder) bool {
		return !h.Until.IsZero() && !h.Until.After(now) || h.Since.After(now) || table.byID[h.RoleID].System
	})
}

// inside reads who is in the groups, owns them and may join them.
func (s *Service) inside(ctx context.Context, t operator.TokenSource, groups map[string]*roleGroup) ([]Unread, error) {
	join := partJoinable.tokens(t)
	var noJoin atomic.Bool // there is no consent, or no licence: every further call would end alike
	var hidden []Unread
	var mu sync.Mutex
	g := newGather(ctx)
	for _, group := range groups {
		g.read(partInside, func(ctx context.Context) (err error) {
			group.members, err = s.ids(ctx, t, UserList{Group: group.ID, Nested: true})
			if err == nil && len(group.members) == 0 && group.HiddenMembership == Yes {
				mu.Lock()
				defer mu.Unlock()
				hidden = append(hidden, Unread{What: partInside.what, Why: whyHidden, Fix: partInside.needs, Weighs: true})
			}
			return err
		})
		g.read(partInside, func(ctx context.Context) (err error) {
			group.owners, err = s.ids(ctx, t, UserList{Group: group.ID, Owners: true})
			return err
		})
		g.read(partJoinable, func(ctx context.Context) error {
			if noJoin.Load() {
				return nil
			}
			err := s.joinable(ctx, t, join, group)
			if reauth, ok := errors.AsType[*operator.ReauthError](err); ok && reauth.Consent || lacksLicence(codeOf(err)) {
				noJoin.Store(true)
			}
			return err
		})
	}
	unread, err := g.wait()
	return append(unread, hidden...), err
}

func (s *Service) joinable(ctx context.Context, t, join operator.TokenSource, group *roleGroup) error {
	list, err := s.graph.Joinable(ctx, join, group.ID)
	if err != nil {
		return err
	}
	group.joinable = s.inForce(list)
	for _, h := range group.joinable {
		if h.Kind != "group" {
			group.joinUsers = append(group.joinUsers, h.ID)
			continue
		}
		ids, err := s.ids(ctx, t, UserList{Group: h.ID, Nested: true})
		if err != nil {
			return err
		}
		group.joinUsers = append(group.joinUsers, ids...)
	}
	group.joinRead = true
	return nil
}

// ids reads the object ids of a list.
func (s *Service) ids(ctx context.Context, t operator.TokenSource, list UserList) ([]string, error) {
	list.IDs = true
	var out []string
	err := pages(ctx, s.usersOf(t, list), func(users []User) error {
		for _, u := range users {
			out = append(out, u.ID)
		}
		return nil
	})
	return out, err
}

func (s *Service) usersOf(t operator.TokenSource, list UserList) func(context.Context, string) (Page[User], error) {
	return func(ctx context.Context, page string) (Page[User], error) {
		return s.graph.UsersPage(ctx, t, list, page)
	}
}

// names reads the tenant's role definitions, and the units that roles are scoped to.
func (s *Service) names(ctx context.Context, t operator.TokenSource, p *powers) ([]Unread, error) {
	g := newGather(ctx)
	g.read(partDefinitions, func(ctx context.Context) (err error) { p.roles, err = s.graph.RoleDefinitions(ctx, t); return err })
	for _, h := range p.holders {
		id, ok := strings.CutPrefix(h.Scope, unitScope)
		if ok && !slices.ContainsFunc(p.units, func(u Unit) bool { return strings.EqualFold(u.ID, id) }) {
			p.units = append(p.units, Unit{ID: id})
		}
	}
	for i := range p.units {
		g.read(partUnit, func(ctx context.Context) error {
			u, err := s.graph.Unit(ctx, partUnit.tokens(t), p.units[i].ID)
			if err == nil {
				p.units[i] = u
			}
			return err
		})
	}
	return g.wait()
}

// index turns what was read into what each person holds.
func (p *powers) index() {
	for _, h := range p.holders {
		holding := p.holding(h)
		group := p.groups[h.ID]
		if group == nil {
			p.at(h.ID).holds(holding)
			continue
		}
		if holding.Through = group.Name; holding.Through == "" {
			holding.Through = group.ID
		}
		for _, id := range group.members {
			p.at(id).holds(holding)
		}
		holding.How = Eligible
		for _, id := range group.joinUsers {
			p.at(id).holds(holding)
		}
	}
	for _, group := range p.groups {
		for _, id := range group.members {
			p.at(id).in = append(p.at(id).in, group.Group)
		}
		for _, id := range group.owners {
			p.at(id).owns = append(p.at(id).owns, group.Group)
		}
		for _, id := range group.joinUsers {
			p.at(id)
		}
	}
	for _, w := range p.of { // so that a prediction always reads the same
		slices.SortStableFunc(w.holdings, byRole)
		slices.SortFunc(w.in, byGroupName)
		slices.SortFunc(w.owns, byGroupName)
	}
}

func byRole(a, b Holding) int         { return strings.Compare(a.Role.Name+a.Scope, b.Role.Name+b.Scope) }
func byGroupName(a, b Group) int      { return strings.Compare(a.Name+a.ID, b.Name+b.ID) }
func (w *power) holds(h Holding)      { w.holdings = append(w.holdings, h) }
func (p *powers) role(id string) Role { return described(roleByID(id), p.roles) }

// at returns the place of an account in the map, which is privileged by having one.
func (p *powers) at(id string) *power {
	w := p.of[id]
	if w == nil {
		w = &power{}
		p.of[id] = w
	}
	return w
}

func (p *powers) holding(h Holder) Holding {
	out := Holding{Role: p.role(h.RoleID), How: h.How, Scope: h.Scope, Since: h.Since, Until: h.Until}
	out.ScopeName, out.ScopeRestricted = scopeOf(h.Scope, p.units)
	return out
}

// missing returns why a part of the map was not read, or nil.
func (p *powers) missing(of part) *Unread {
	i := slices.IndexFunc(p.unread, func(u Unread) bool { return u.What == of.what })
	if i < 0 {
		return nil
	}
	return &p.unread[i]
}

// privileged says whether an account holds a role or belongs to a role-assignable group, or may come to.
func (p *powers) privileged(id string) Tri {
	switch {
	case p.of[id] != nil:
		return Yes
	case p.lacks == "":
		return No
	default:
		return Unknown
	}
}

// lacking names what was not read, for people; "" for nothing.
func lacking(unread []Unread) string {
	var names []string
	for _, u := range unread {
		if !slices.Contains(names, u.What) {
			names = append(names, u.What)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return joined(names) + " could not be read"
}

func roleByID(id string) Role {
	r, _ := BuiltIn(id)
	return r
}
