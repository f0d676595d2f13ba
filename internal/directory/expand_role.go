package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// role adds the holders of a role, or of every role: those who hold it and those who may activate it, directly and
// through groups.
func (x *expansion) role(ctx context.Context, src Source) error {
	id := strings.ToLower(src.ID)
	name := anyRoleName
	if id != AnyRole {
		name = nameOf(x.flags.powers.role(id).Name, nameOf(src.Name, id))
	}
	x.tell.doing("Reading holders of " + name)
	wants := func(how How) bool { return len(src.Ways) == 0 || slices.Contains(src.Ways, how) }
	if u := x.flags.powers.missing(partActive); u != nil { // also eligible members of groups that hold the role actively
		x.note(Unread{What: "active holders of " + name, Why: u.Why, Fix: u.Fix})
	}
	if u := x.flags.powers.missing(partEligible); u != nil && wants(Eligible) {
		x.note(Unread{What: "PIM-eligible holders of " + name, Why: u.Why, Fix: u.Fix})
	}
	direct := map[string][]Holder{}
	var labels []string
	for _, h := range x.flags.powers.holders {
		held := name
		if id == AnyRole {
			held = nameOf(x.flags.powers.role(h.RoleID).Name, h.RoleID)
		} else if h.RoleID != id {
			continue
		}
		label := fmt.Sprintf("role %s (%s%s)", held, h.How, x.scopeWords(h.Scope))
		if group := x.flags.powers.groups[h.ID]; group != nil {
			if err := x.throughGroup(ctx, group, label+" > ", wants(h.How), wants(Eligible)); err != nil {
				return err
			}
			continue
		}
		if wants(h.How) {
			if direct[label] == nil {
				labels = append(labels, label)
			}
			direct[label] = append(direct[label], h)
		}
	}
	for _, label := range labels {
		if err := x.principals(ctx, direct[label], label); err != nil {
			return err
		}
	}
	return nil
}

// throughGroup adds the members of a role-assignable group, and those who may join it.
func (x *expansion) throughGroup(ctx context.Context, group *roleGroup, prefix string, members, joinable bool) error {
	if members {
		if err := x.walk(ctx, group.Group, prefix); err != nil {
			return err
		}
	}
	if !joinable {
		return nil
	}
	path := prefix + "group " + nameOf(group.Name, group.ID) + " > eligible member"
	if !group.joinRead {
		u := Unread{What: path, Why: "Microsoft Graph did not answer"}
		if known := x.flags.powers.missing(partJoinable); known != nil {
			u.Why, u.Fix = known.Why, known.Fix
		}
		x.note(u)
		return nil
	}
	var direct []Holder
	for _, h := range group.joinable {
		switch {
		case h.Owner: // an owner may let people in, but holds nothing
		case h.Kind == "group":
			if err := x.walk(ctx, Group{ID: h.ID, Name: h.Name}, path+" > "); err != nil {
				return err
			}
		default:
			direct = append(direct, h)
		}
	}
	return x.principals(ctx, direct, path)
}

// principals adds those holders who are users, and sets aside the others.
func (x *expansion) principals(ctx context.Context, holders []Holder, reason string) error {
	var ids []string
	for _, h := range holders {
		if h.Kind == "user" || h.Kind == "" { // Graph does not always say what a principal is
			ids = append(ids, h.ID)
		} else {
			x.noteAside(h, reason)
		}
	}
	users, gone, err := x.byID(ctx, ids)
	if err := x.missed(ctx, partUsers, reason, err); err != nil {
		return err
	}
	for _, h := range holders {
		switch {
		case !slices.Contains(gone, h.ID):
		case h.Kind == "user":
			x.note(Unread{
				What: reason + ": " + nameOf(h.UPN, nameOf(h.Name, h.ID)),
				Why:  "the account is not in the directory, or you may not see it",
			})
		default:
			x.noteAside(h, reason)
		}
	}
	return x.add(ctx, users, reason)
}

// scopeWords says for what a role is held, unless for the whole tenant.
func (x *expansion) scopeWords(scope string) string {
	id, unit := strings.CutPrefix(scope, unitScope)
	switch {
	case scope == "/" || scope == "":
		return ""
	case !unit:
		return " for a single object"
	}
	name, _ := scopeOf(scope, x.flags.powers.units)
	return " for unit " + nameOf(name, id)
}
