package directory

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"evict/internal/operator"
)

// maxRoleGroups bounds how many role-assignable groups of one person are asked for their roles.
const maxRoleGroups = 20

// Standing reads what decides authority over a user, or of an operator: active roles, direct and through groups,
// eligible roles, role-assignable groups that they are in or own, and units.
func (s *Service) Standing(ctx context.Context, t operator.TokenSource, userID string) (Standing, error) {
	var (
		in               Memberships
		owned            []Group
		active, eligible []Holding
	)
	g := newGather(ctx)
	g.read(partMemberships, func(ctx context.Context) (err error) { in, err = s.graph.Memberships(ctx, t, userID); return err })
	g.read(partOwned, func(ctx context.Context) (err error) { owned, err = s.graph.OwnedGroups(ctx, t, userID); return err })
	g.read(partActive, func(ctx context.Context) (err error) { active, err = s.graph.ActiveRoles(ctx, t, userID); return err })
	g.read(partEligible, func(ctx context.Context) (err error) {
		eligible, err = s.graph.EligibleRoles(ctx, t, userID)
		return err
	})
	unread, err := g.wait()
	if err != nil {
		return Standing{}, err
	}
	out := Standing{
		Holdings:        slices.Concat(active, eligible),
		RoleGroups:      roleAssignable(in.Groups),
		OwnedRoleGroups: roleAssignable(owned),
		Units:           in.Units,
		Unread:          append(unread, unsureGroups(in, owned)...),
	}
	if err := s.throughGroups(ctx, t, &out); err != nil {
		return Standing{}, err
	}
	out.Holdings = withMemberships(out.Holdings, in.Roles)
	if err := s.describe(ctx, t, &out); err != nil {
		return Standing{}, err
	}
	out.Holdings = current(out.Holdings, s.now())
	out.Unread = tidied(out.Unread)
	return out, nil
}

func roleAssignable(groups []Group) []Group {
	return slices.DeleteFunc(slices.Clone(groups), func(g Group) bool { return g.RoleAssignable != Yes })
}

// unsureGroups says what the lists of groups leave open: more pages, or groups of which only the id may be read.
func unsureGroups(in Memberships, owned []Group) []Unread {
	var out []Unread
	if in.More {
		out = append(out, Unread{What: partMemberships.what, Why: "there are more than this console reads", Weighs: true})
	}
	for _, g := range slices.Concat(in.Groups, owned) {
		if g.RoleAssignable == Unknown {
			return append(out, Unread{What: "whether a group is role-assignable", Why: "Microsoft shows only its id", Fix: partMemberships.needs, Weighs: true})
		}
	}
	return out
}

// throughGroups adds the roles that role-assignable groups carry.
func (s *Service) throughGroups(ctx context.Context, t operator.TokenSource, st *Standing) error {
	groups := st.RoleGroups
	if len(groups) > maxRoleGroups {
		groups = groups[:maxRoleGroups]
		st.Unread = append(st.Unread, Unread{
			What: partGroupRoles.what, Why: "only the first " + strconv.Itoa(maxRoleGroups) + " groups were asked", Weighs: true,
		})
	}
	var mu sync.Mutex
	g := newGather(ctx)
	for _, group := range groups {
		add := func(list []Holding) {
			mu.Lock()
			defer mu.Unlock()
			for _, h := range list {
				h.Through = group.Name
				if h.Through == "" {
					h.Through = group.ID
				}
				st.Holdings = append(st.Holdings, h)
			}
		}
		g.read(partGroupRoles, func(ctx context.Context) error {
			list, err := s.graph.ActiveRoles(ctx, t, group.ID)
			add(list)
			return err
		})
		g.read(partEligible, func(ctx context.Context) error {
			list, err := s.graph.EligibleRoles(ctx, t, group.ID)
			add(list)
			return err
		})
	}
	unread, err := g.wait()
	st.Unread = append(st.Unread, unread...)
	return err
}

// withMemberships adds roles that the memberships show and the assignments do not, so that a role is not overlooked
// because one of the two sources lags or may not be read.
func withMemberships(held []Holding, roles []Role) []Holding {
	for _, r := range roles {
		known := slices.ContainsFunc(held, func(h Holding) bool { return h.How == Active && h.Role.TemplateID == r.TemplateID })
		if !known && r.TemplateID != "" {
			held = append(held, Holding{Role: r, How: Active, Scope: "/"})
		}
	}
	return held
}

// describe names the roles and the units of the holdings.
func (s *Service) describe(ctx context.Context, t operator.TokenSource, st *Standing) error {
	g := newGather(ctx)
	var custom []Role
	if slices.ContainsFunc(st.Holdings, func(h Holding) bool { return !builtIn(h.Role) && h.Role.Name == "" }) {
		g.read(partDefinitions, func(ctx context.Context) (err error) { custom, err = s.graph.RoleDefinitions(ctx, t); return err })
	}
	units := unitsOf(st)
	for i := range units {
		if units[i].Name == "" || units[i].Restricted == Unknown {
			g.read(partUnit, func(ctx context.Context) error {
				u, err := s.graph.Unit(ctx, partUnit.tokens(t), units[i].ID)
				if err == nil {
					units[i] = u
				}
				return err
			})
		}
	}
	unread, err := g.wait()
	if err != nil {
		return err
	}
	st.Unread = append(st.Unread, unread...)
	for i := range st.Holdings {
		h := &st.Holdings[i]
		h.Role = described(h.Role, custom)
		h.ScopeName, h.ScopeRestricted = scopeOf(h.Scope, units)
	}
	return nil
}

func builtIn(r Role) bool { _, ok := BuiltIn(r.TemplateID); return ok }

// unitsOf lists the units to which holdings are scoped, each once, with what the memberships already tell of them.
func unitsOf(st *Standing) []Unit {
	var out []Unit
	for _, h := range st.Holdings {
		id, ok := strings.CutPrefix(h.Scope, unitScope)
		if !ok || slices.ContainsFunc(out, func(u Unit) bool { return strings.EqualFold(u.ID, id) }) {
			continue
		}
		unit := Unit{ID: id}
		if i := slices.IndexFunc(st.Units, func(u Unit) bool { return strings.EqualFold(u.ID, id) }); i >= 0 {
			unit = st.Units[i]
		}
		out = append(out, unit)
	}
	return out
}

func scopeOf(scope string, units []Unit) (string, Tri) {
	id, ok := strings.CutPrefix(scope, unitScope)
	if !ok {
		return "", No
	}
	for _, u := range units {
		if strings.EqualFold(u.ID, id) {
			return u.Name, u.Restricted
		}
	}
	return "", Unknown
}

// described fills in what the table or the tenant's definitions know of a role.
func described(r Role, custom []Role) Role {
	if b, ok := BuiltIn(r.TemplateID); ok {
		b.Description = r.Description
		return b
	}
	for _, c := range custom {
		if c.TemplateID == r.TemplateID {
			return c
		}
	}
	return r
}

// current drops holdings that ended or have not begun, and orders the rest.
func current(list []Holding, now time.Time) []Holding {
	list = slices.DeleteFunc(list, func(h Holding) bool {
		return !h.Until.IsZero() && !h.Until.After(now) || h.Since.After(now)
	})
	slices.SortStableFunc(list, func(a, b Holding) int {
		if a.How != b.How {
			return strings.Compare(string(a.How), string(b.How))
		}
		return strings.Compare(a.Role.Name, b.Role.Name)
	})
	return slices.Compact(list)
}

// Privileged says whether the account can do great harm: it holds, or may activate, a role that Microsoft marks as
// privileged, or is in or owns a role-assignable group. It returns those holdings. A role that nobody knows, or that could not be read, makes a No Unknown.
func (s Standing) Privileged() (Tri, []Holding) {
	var out []Holding
	verdict := No
	if slices.ContainsFunc(s.Unread, func(u Unread) bool { return u.Weighs || u.What == partEligible.what }) {
		verdict = Unknown
	}
	for _, h := range s.Holdings {
		switch h.Role.Privileged {
		case Yes:
			out = append(out, h)
		case Unknown:
			verdict = Unknown
		case No:
		}
	}
	if len(out)+len(s.RoleGroups)+len(s.OwnedRoleGroups) > 0 {
		verdict = Yes
	}
	return verdict, out
}
