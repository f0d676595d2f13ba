package directory

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"evict/internal/fault"
	"evict/internal/operator"
)

// maxUnits is how many administrative units a picker offers.
const maxUnits = 50

// Resolve checks one source that a person typed or chose, and names it as Entra does: a user by object id or UPN, a
// group, role or unit by id; a filter is tried, and the lines of a list are counted and reduced to what identifies a
// person. What it returns may go into a scope.
//
// The error is *operator.ReauthError, or one with words for a person: fault.Invalid for what they can mend, with the
// source's kind ("user", "filter" ...) as its field, or "source" for an unknown kind.
func (s *Service) Resolve(ctx context.Context, t operator.TokenSource, src Source) (Source, error) {
	src.ID = strings.TrimSpace(src.ID)
	out := Source{Kind: src.Kind}
	var err error
	switch src.Kind {
	case UserSource:
		var u User
		if u, _, err = s.graph.User(ctx, t, src.ID); err == nil {
			out.ID, out.Name = u.ID, nameOf(u.UPN, u.Name)
		}
	case GroupSource:
		var g Group
		if g, err = withID(ctx, t, src, s.graph.Group); err == nil {
			out.ID, out.Name = g.ID, g.Name
		}
	case RoleSource:
		return s.resolveRole(ctx, t, src)
	case UnitSource:
		var u Unit
		if u, err = withID(ctx, partUnit.tokens(t), src, s.graph.Unit); err == nil {
			out.ID, out.Name = u.ID, u.Name
		}
	case FilterSource:
		out.Filter = strings.TrimSpace(src.Filter)
		if err = checkFilter(out.Filter); err == nil {
			_, err = s.graph.CountUsers(ctx, t, UserList{Filter: out.Filter, Advanced: true})
		}
	case ListSource:
		return resolveList(src)
	case TenantSource:
	case RunSource:
		out.ID, out.Name, out.Outcomes = src.ID, src.Name, src.Outcomes
		err = out.check()
	default:
		return Source{}, fault.Field("source", "That is no way into a scope.")
	}
	if err != nil {
		return Source{}, sourceFault(ctx, src.Kind, err)
	}
	return out, nil
}

func withID[T any](
	ctx context.Context, t operator.TokenSource, src Source, read func(context.Context, operator.TokenSource, string) (T, error),
) (T, error) {
	if err := src.check(); err != nil {
		var none T
		return none, err
	}
	return read(ctx, t, strings.ToLower(src.ID))
}

func (s *Service) resolveRole(ctx context.Context, t operator.TokenSource, src Source) (Source, error) {
	if err := src.check(); err != nil {
		return Source{}, err
	}
	id := strings.ToLower(src.ID)
	role, known := BuiltIn(id)
	if id == AnyRole {
		role, known = Role{Name: anyRoleName}, true
	}
	if !known {
		definitions, err := s.graph.RoleDefinitions(ctx, t)
		if err != nil {
			return Source{}, sourceFault(ctx, src.Kind, err)
		}
		i := slices.IndexFunc(definitions, func(r Role) bool { return r.TemplateID == id })
		if i < 0 {
			return Source{}, fault.Field(string(src.Kind), "There is no such role in the directory.")
		}
		role = definitions[i]
	}
	if table.byID[id].System {
		return Source{}, fault.Field(string(src.Kind), "Everybody has this role by themselves; nobody is assigned it.")
	}
	ways := slices.Compact(slices.Sorted(slices.Values(src.Ways)))
	if len(ways) == 2 {
		ways = nil // all of them
	}
	return Source{Kind: RoleSource, ID: id, Name: role.Name, Ways: ways}, nil
}

func resolveList(src Source) (Source, error) {
	list := ParseList(strings.Join(src.Lines, "\n"))
	switch n := len(list.Lines); {
	case n == 0:
		return Source{}, emptyList()
	case n > MaxLines:
		return Source{}, tooManyLines()
	case n == 1:
		return Source{Kind: ListSource, Name: "list of 1 line", Lines: list.Lines}, nil
	case list.Column != "":
		return Source{Kind: ListSource, Name: fmt.Sprintf("list of %d lines (column %s)", n, list.Column), Lines: list.Lines}, nil
	default:
		return Source{Kind: ListSource, Name: fmt.Sprintf("list of %d lines", n), Lines: list.Lines}, nil
	}
}

// sourceFault puts what is wrong with a source beside its field. What the person cannot mend there keeps its kind.
func sourceFault(ctx context.Context, kind SourceKind, err error) error {
	field := string(kind)
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Kind == fault.Invalid {
		return fault.Field(field, e.Message)
	}
	if reauth, ok := errors.AsType[*operator.ReauthError](err); ok && reauth.Consent && kind == UnitSource && ctx.Err() == nil {
		return fault.Field(field, "The app has no consent to read administrative units. "+partUnit.needs)
	}
	if call, ok := errors.AsType[*CallError](err); ok {
		switch call.Status {
		case http.StatusBadRequest:
			if kind == FilterSource {
				return fault.Field(field, "Microsoft Graph does not take this filter: "+nameOf(call.Message, call.Code))
			}
			return fault.Field(field, "Microsoft Graph does not understand it.")
		case http.StatusNotFound:
			return fault.Field(field, "There is no such "+kind.noun()+" in the directory, or you may not see it.")
		case http.StatusForbidden:
			return fault.Field(field, "Microsoft refuses you to read this "+kind.noun()+".")
		}
	}
	return failed(ctx, kind.noun(), err)
}

func (k SourceKind) noun() string {
	if k == UnitSource {
		return "administrative unit"
	}
	return string(k)
}

// Count says how many people a source leads to, as the directory has it now, without reading them. It is exact where
// Graph counts them; not for a role that groups hold or that was not read whole, nor for a list, of which it counts the
// lines, nor for a run, of which it knows nothing (-1). The error is as Resolve's.
func (s *Service) Count(ctx context.Context, t operator.TokenSource, src Source) (n int, exact bool, err error) {
	if err := src.check(); err != nil {
		return -1, false, err
	}
	list := UserList{}
	switch src.Kind {
	case UserSource:
		return 1, true, nil
	case GroupSource:
		list = UserList{Group: src.ID, Nested: true}
	case RoleSource:
		return s.countRole(ctx, t, src)
	case UnitSource:
		t, list = partUnit.tokens(t), UserList{Unit: src.ID}
	case FilterSource:
		list = UserList{Filter: src.Filter, Advanced: true}
	case ListSource:
		return len(ParseList(strings.Join(src.Lines, "\n")).Lines), false, nil
	case RunSource:
		return -1, false, nil
	case TenantSource:
	}
	n, err = s.graph.CountUsers(ctx, t, list)
	if err != nil {
		return -1, false, sourceFault(ctx, src.Kind, err)
	}
	return n, true, nil
}

// countRole counts the users who hold a role, or any role, or may activate it.
func (s *Service) countRole(ctx context.Context, t operator.TokenSource, src Source) (int, bool, error) {
	roleID := strings.ToLower(src.ID)
	if roleID == AnyRole {
		roleID = "" // Graph lists the holders of every role at once
	}
	users, exact := map[string]bool{}, true
	for _, how := range []How{Active, Eligible} {
		if len(src.Ways) > 0 && !slices.Contains(src.Ways, how) {
			continue
		}
		list, err := s.holders(ctx, t, roleID, how)
		switch {
		case err != nil && how == Eligible && !stops(ctx, err):
			exact = false
			continue
		case err != nil:
			return -1, false, sourceFault(ctx, src.Kind, err)
		}
		for _, h := range list {
			switch h.Kind {
			case "user":
				users[h.ID] = true
			case "group", "":
				exact = false
			}
		}
	}
	return len(users), exact, nil
}

// FindUnits finds administrative units by name, and by object id; an empty text lists the first. The error is
// fault.Invalid for a text that no name can be, *operator.ReauthError, or what kept them from being read.
func (s *Service) FindUnits(ctx context.Context, t operator.TokenSource, text string) ([]Unit, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxQuery || strings.ContainsFunc(text, unicode.IsControl) {
		return nil, fault.Field("unit", "Search for the name or the object id of an administrative unit.")
	}
	t = partUnit.tokens(t)
	if IsID(text) {
		u, err := s.graph.Unit(ctx, t, strings.ToLower(text))
		if err = ifThere(err); err != nil {
			return nil, failed(ctx, "administrative unit", err)
		}
		if u.ID == "" {
			return nil, nil
		}
		return []Unit{u}, nil
	}
	units, err := s.graph.FindUnits(ctx, t, text, maxUnits)
	if err != nil {
		return nil, failed(ctx, "administrative unit", err)
	}
	return units, nil
}
