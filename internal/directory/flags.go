package directory

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"evict/internal/operator"
)

// flags is what turns a user into a hit: read once, and asked for every user without a call.
type flags struct {
	self    string // the operator's object id
	op      Standing
	powers  *powers
	units   []ownUnit
	domains map[string]Tri // by name; nil when they could not be read
	enabled int            // enabled accounts that sign in here; -1 when unknown
	weighs  []Unread       // what every prediction lacks
	unread  []Unread       // all that could not be read
}

// ownUnit is a unit that a role of the operator is scoped to, with its members.
type ownUnit struct {
	Unit

	members map[uuid.UUID]struct{} // 16 bytes for each: a unit may hold the greater part of a tenant
}

// enabledInternal are the enabled accounts that sign in here, as near as a filter gets: userType says what an account
// is used as, and members from elsewhere are few (see User.SignsInElsewhere).
const enabledInternal = "accountEnabled eq true and userType eq 'Member'"

// flags reads what hits are judged by. What could not be read is in it; the error is one that stops everything.
func (s *Service) flags(ctx context.Context, t operator.TokenSource, op operator.Operator) (*flags, error) {
	f := &flags{self: strings.ToLower(op.OID), enabled: -1}
	g := newGather(ctx)
	g.must("standing", func(ctx context.Context) (err error) { f.op, err = s.Standing(ctx, t, op.OID); return err })
	g.must("directory roles", func(ctx context.Context) (err error) { f.powers, err = s.powers(ctx, t); return err })
	g.read(partDomain, func(ctx context.Context) error {
		list, err := s.graph.Domains(ctx, partDomain.tokens(t))
		if err == nil {
			f.domains = make(map[string]Tri, len(list))
			for _, d := range list {
				f.domains[d.Name] = d.Federated
			}
		}
		return err
	})
	g.read(partEnabled, func(ctx context.Context) error {
		n, err := s.graph.CountUsers(ctx, t, UserList{Filter: enabledInternal, Advanced: true})
		if err == nil {
			f.enabled = n
		}
		return err
	})
	unread, err := g.wait()
	if err != nil {
		return nil, err
	}
	own, err := s.ownUnits(ctx, t, f)
	if err != nil {
		return nil, err
	}
	f.weighs = slices.Concat(f.powers.weighs, own)
	f.unread = tidied(slices.Concat(unread, own, f.powers.unread, f.op.Unread))
	return f, nil
}

// ownUnits reads who is in the units that an active role of the operator is scoped to: such a role reaches nobody else.
func (s *Service) ownUnits(ctx context.Context, t operator.TokenSource, f *flags) ([]Unread, error) {
	for _, h := range f.op.Holdings {
		id, ok := strings.CutPrefix(h.Scope, unitScope)
		known := slices.ContainsFunc(f.units, func(u ownUnit) bool { return strings.EqualFold(u.ID, id) })
		if ok && !known && h.How == Active && slices.Contains(unitRoles, h.Role.TemplateID) {
			f.units = append(f.units, ownUnit{
				Unit:    Unit{ID: id, Name: h.ScopeName, Restricted: h.ScopeRestricted},
				members: map[uuid.UUID]struct{}{},
			})
		}
	}
	g := newGather(ctx)
	for _, u := range f.units {
		g.read(partOwnUnits, func(ctx context.Context) error {
			return pages(ctx, s.usersOf(partOwnUnits.tokens(t), UserList{Unit: u.ID, IDs: true}), func(users []User) error {
				for _, user := range users {
					if key, err := uuid.Parse(user.ID); err == nil {
						u.members[key] = struct{}{}
					}
				}
				return nil
			})
		})
	}
	return g.wait()
}

// standing is what is known of a user without asking.
func (f *flags) standing(id string) Standing {
	out := Standing{Unread: f.weighs}
	if w := f.powers.of[id]; w != nil {
		out.Holdings, out.RoleGroups, out.OwnedRoleGroups = w.holdings, w.in, w.owns
	}
	if len(f.units) == 0 {
		return out
	}
	key, err := uuid.Parse(id)
	for _, u := range f.units {
		if _, in := u.members[key]; in && err == nil {
			out.Units = append(out.Units, u.Unit)
		}
	}
	return out
}

// hit judges one user.
func (f *flags) hit(u User, reason string, excluded bool) Hit {
	privileged, cause := f.powers.privileged(u.ID), ""
	if privileged == Unknown {
		cause = f.powers.lacks
	}
	return Hit{
		User: u, Reason: reason, Excluded: excluded,
		Privileged: privileged, Cause: cause,
		Federated:  f.domains[u.Domain()],
		Prediction: Predict(f.op, u, f.standing(u.ID), u.ID == f.self),
	}
}

// federated lists the federated domains, in alphabetical order.
func (f *flags) federated() []string {
	var out []string
	for name, yes := range f.domains {
		if yes == Yes {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
