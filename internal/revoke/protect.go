package revoke

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
)

const breakGlass = "break-glass"

// ProtectedKinds are the kinds of protected account, for a form.
func ProtectedKinds() []string { return []string{breakGlass, "sync", "service", "other"} }

// Protect adds an account to those that no plan of many includes, or changes its note. idOrUPN is resolved by Entra,
// and the account is kept by object id (rules 6 and 11).
func (s *Service) Protect(ctx context.Context, a Actor, idOrUPN, kind, note string) (ProtectedAccount, error) {
	idOrUPN, note = strings.TrimSpace(idOrUPN), plain(note)
	known := false
	for _, k := range ProtectedKinds() {
		known = known || k == kind
	}
	switch {
	case idOrUPN == "":
		return ProtectedAccount{}, fault.Field("account", "Give the account's sign-in name or object id.")
	case !known:
		return ProtectedAccount{}, fault.Field("kind", "Choose what kind of account it is.")
	case len([]rune(note)) > MaxReason:
		return ProtectedAccount{}, fault.Field("note", fmt.Sprintf("At most %d characters.", MaxReason))
	}
	user, _, err := s.users.User(ctx, operator.With(a.Tokens, "User.Read.All"), idOrUPN)
	if call, ok := errors.AsType[*directory.CallError](err); ok && (call.Status == 404 || call.Status == 400) || fault.KindOf(err) == fault.Invalid {
		return ProtectedAccount{}, fault.Field("account", "There is no such account in the directory.")
	}
	if err != nil {
		return ProtectedAccount{}, err
	}
	p := ProtectedAccount{
		Person: Person{OID: user.ID, UPN: user.UPN, Name: user.Name}, Kind: kind, Note: note, By: personOf(a.Who), Since: s.now(),
	}
	e := s.actorEvent(audit.SettingsChanged, a.Who)
	e.Target = &audit.Person{OID: p.OID, UPN: p.UPN, Name: p.Name}
	e.Detail = map[string]string{"protected_account": "added", "kind": kind, "note": note}
	return p, s.store.Protect(ctx, p, []audit.Event{e})
}

// Unprotect takes an account off that list; fault.NotFound when it is not on it.
func (s *Service) Unprotect(ctx context.Context, a Actor, oid string) error {
	list, err := s.store.Protected(ctx)
	if err != nil {
		return err
	}
	for _, p := range list {
		if !strings.EqualFold(p.OID, oid) {
			continue
		}
		e := s.actorEvent(audit.SettingsChanged, a.Who)
		e.Target = &audit.Person{OID: p.OID, UPN: p.UPN, Name: p.Name}
		e.Detail = map[string]string{"protected_account": "removed", "kind": p.Kind}
		err := s.store.Unprotect(ctx, p.OID, []audit.Event{e})
		if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return fault.New(fault.NotFound, "That account is not on the list.")
}
