package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"evict/internal/fault"
	"evict/internal/operator"
)

// maxTake is how many hits are handed over at once.
const maxTake = 1000

// Expand finds everyone whom a scope leads to, and hands them over as they are found: at no time are more people held
// than a page of Graph's, but for holders of roles and the object ids of a list's duplicates. A source that could not
// be read whole is in the answer's Unread, and the others go on. Where Microsoft asks to slow down, Expand waits.
//
// The error is fault.Invalid for a scope that makes no sense, *operator.ReauthError, the context's, or Take's.
func (s *Service) Expand(ctx context.Context, r ExpandRequest) (Expansion, error) {
	if err := r.Scope.check(); err != nil {
		return Expansion{}, err
	}
	tell := &teller{to: r.Doing}
	own := &Service{graph: &patient{Graph: s.graph, wait: s.wait, tell: tell}, now: s.now, wait: s.wait}
	x := &expansion{Service: own, t: r.Tokens, r: r, tell: tell, aside: map[string]bool{}, left: maxDirect}
	err := x.run(ctx)
	if ctx.Err() != nil {
		return Expansion{}, ctx.Err()
	}
	if take, ok := errors.AsType[*takeError](err); ok {
		err = take.err
	}
	if err != nil {
		return Expansion{}, err
	}
	return x.out, nil
}

// expansion is one expansion on its way.
type expansion struct {
	*Service // patient

	t     operator.TokenSource
	r     ExpandRequest
	tell  *teller
	flags *flags
	out   Expansion

	excluded bool  // the source being read is one of Exclude
	hits     []Hit // not handed over yet
	aside    map[string]bool
	left     int // accounts that may still be read one by one
}

func (x *expansion) run(ctx context.Context) (err error) {
	x.tell.doing("Reading directory roles")
	if x.flags, err = x.Service.flags(ctx, x.t, x.r.Operator); err != nil {
		return err
	}
	x.out.EnabledInternal, x.out.FlagsUnread = x.flags.enabled, x.flags.unread
	x.out.Federated, x.out.FederatedRead = x.flags.federated(), x.flags.domains != nil
	for i, src := range slices.Concat(x.r.Scope.Include, x.r.Scope.Exclude) {
		x.excluded = i >= len(x.r.Scope.Include)
		if err := x.source(ctx, src); err != nil {
			return err
		}
		if err := x.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// source reads one source. Its error is one that stops everything.
func (x *expansion) source(ctx context.Context, src Source) error {
	switch src.Kind {
	case UserSource:
		x.tell.doing("Reading " + src.words())
		u, _, err := x.graph.User(ctx, x.t, src.ID)
		if err != nil {
			return x.missed(ctx, partUsers, src.words(), err)
		}
		return x.add(ctx, []User{u}, "user "+nameOf(u.UPN, u.ID))
	case GroupSource:
		return x.group(ctx, src)
	case RoleSource:
		return x.role(ctx, src)
	case UnitSource:
		return x.unit(ctx, src)
	case FilterSource:
		return x.users(ctx, partUsers, UserList{Filter: src.Filter, Advanced: true}, src.words())
	case TenantSource:
		return x.users(ctx, partUsers, UserList{}, src.words())
	case ListSource:
		return x.list(ctx, src)
	case RunSource:
		return x.former(ctx, src)
	default:
		return fault.New(fault.Invalid, "The scope holds a source of an unknown kind.")
	}
}

// users adds everybody of a list, for the reason that it is.
func (x *expansion) users(ctx context.Context, p part, list UserList, reason string) error {
	x.tell.doing("Reading " + reason)
	return x.missed(ctx, p, reason, pages(ctx, x.usersOf(p.tokens(x.t), list), func(users []User) error {
		return x.add(ctx, users, reason)
	}))
}

// unit adds the users who are members of an administrative unit. Groups in it bring nobody along: a unit does not
// reach the members of its groups (Microsoft Learn, Administrative units).
func (x *expansion) unit(ctx context.Context, src Source) error {
	x.tell.doing("Reading " + src.words())
	t := partUnitMembers.tokens(x.t)
	u, err := x.graph.Unit(ctx, t, src.ID)
	if err != nil {
		return x.missed(ctx, partUnitMembers, src.words(), err)
	}
	reason, n := "unit "+nameOf(u.Name, u.ID), 0
	err = pages(ctx, x.usersOf(t, UserList{Unit: src.ID}), func(users []User) error {
		n += len(users)
		return x.add(ctx, users, reason)
	})
	if err == nil && n == 0 && u.Hidden == Yes {
		x.note(Unread{What: reason, Why: "the unit hides its members", Fix: partMembers.needs})
	}
	return x.missed(ctx, partUnitMembers, reason, err)
}

// former adds the targets of a former run, as they are now.
func (x *expansion) former(ctx context.Context, src Source) error {
	reason := src.words()
	x.tell.doing("Reading " + reason)
	if x.r.Former == nil {
		return x.missed(ctx, partUsers, reason, fault.New(fault.NotFound, "former runs cannot be read here"))
	}
	err := x.r.Former(ctx, src.ID, src.Outcomes, func(oids []string) error {
		for batch := range slices.Chunk(oids, maxTake) {
			users, gone, err := x.byID(ctx, batch)
			if err := x.missed(ctx, partUsers, reason, err); err != nil {
				return err
			}
			for _, id := range gone {
				why := "of " + reason + ": the account is not in the directory any more"
				x.out.Lines = append(x.out.Lines, Line{Text: id, Fate: LineNotFound, Reason: why})
			}
			if err := x.add(ctx, users, reason); err != nil {
				return err
			}
		}
		return nil
	})
	_, said := errors.AsType[*fault.Error](err)
	if _, asked := errors.AsType[*CallError](err); !said && !asked {
		return err // our own records could not be read, or a sign-in is needed
	}
	return x.missed(ctx, partUsers, reason, err)
}

// add hands over hits, and keeps up to a page of them back.
func (x *expansion) add(ctx context.Context, users []User, reason string) error {
	for _, u := range users {
		x.hits = append(x.hits, x.flags.hit(u, reason, x.excluded))
		if len(x.hits) == maxTake {
			if err := x.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *expansion) flush(ctx context.Context) error {
	if len(x.hits) == 0 {
		return nil
	}
	if err := x.r.Take(ctx, x.hits); err != nil {
		return &takeError{err}
	}
	x.hits = nil // whoever took them may keep them
	return nil
}

// takeError is one of Take's, which ends the expansion.
type takeError struct{ err error }

func (e *takeError) Error() string { return "taking hits: " + e.err.Error() }
func (e *takeError) Unwrap() error { return e.err }

// missed notes that something was not read whole, or returns the error when it stops everything. A nil error passes.
func (x *expansion) missed(ctx context.Context, p part, what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*takeError](err); ok || ctx.Err() != nil {
		return err
	}
	// Without the consent to one permission, one source is not read; whatever else a sign-in mends stops everything.
	if reauth, ok := errors.AsType[*operator.ReauthError](err); ok && (p.scope == "" || !reauth.Consent) {
		return err
	}
	u := p.unread(err)
	u.What, u.Weighs = what, false
	x.note(u)
	return nil
}

func (x *expansion) note(u Unread) {
	if x.excluded {
		u.What += " (to be left out)"
		u.Why += ", so that people whom it would leave out may be in the list"
	}
	if !slices.Contains(x.out.Unread, u) {
		x.out.Unread = append(x.out.Unread, u)
	}
}

// noteAside notes something that is not revocable here, once.
func (x *expansion) noteAside(h Holder, reason string) {
	if x.aside[h.ID] || x.excluded {
		return
	}
	x.aside[h.ID] = true
	x.out.Aside = append(x.out.Aside, Aside{ID: h.ID, Name: h.Name, Kind: h.Kind, Reason: reason})
}

// words name a source for people.
func (src Source) words() string {
	name := nameOf(src.Name, src.ID)
	switch src.Kind {
	case RoleSource:
		if src.ID == AnyRole {
			return anyRoleName
		}
		return "role " + name
	case UnitSource:
		return "unit " + name
	case FilterSource:
		return "filter " + src.Filter
	case TenantSource:
		return "everyone in the tenant"
	case ListSource:
		return nameOf(src.Name, "list")
	case RunSource:
		if len(src.Outcomes) > 0 {
			return "run " + name + " (" + strings.Join(src.Outcomes, ", ") + ")"
		}
		return "run " + name
	default:
		return string(src.Kind) + " " + name
	}
}

func nameOf(name, id string) string {
	if strings.TrimSpace(name) == "" {
		return id
	}
	return name
}

// check refuses a scope that nobody could have made with the pages.
func (sc Scope) check() error {
	all := slices.Concat(sc.Include, sc.Exclude)
	if len(all) > MaxSources {
		return fault.New(fault.Invalid, fmt.Sprintf("A scope has at most %d sources.", MaxSources))
	}
	lines := 0
	for _, src := range all {
		if err := src.check(); err != nil {
			return err
		}
		lines += len(src.Lines)
	}
	if lines > MaxLines {
		return tooManyLines()
	}
	return nil
}

func (src Source) check() error {
	switch src.Kind {
	case UserSource, GroupSource, RoleSource, UnitSource:
		if !IsID(src.ID) && (src.Kind != RoleSource || src.ID != AnyRole) {
			return fault.Field(string(src.Kind), "That is no object id.")
		}
		if slices.ContainsFunc(src.Ways, func(h How) bool { return h != Active && h != Eligible }) {
			return fault.Field(string(src.Kind), "A role is held actively or eligibly, in no other way.")
		}
	case FilterSource:
		return checkFilter(src.Filter)
	case ListSource:
		if len(src.Lines) == 0 {
			return emptyList()
		}
	case RunSource:
		if src.ID == "" {
			return fault.Field(string(src.Kind), "Which run?")
		}
	case TenantSource:
	default:
		return fault.Field("source", "That is no way into a scope.")
	}
	return nil
}
