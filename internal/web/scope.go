package web

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/sync/errgroup"

	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// Scopes keeps the scopes that people work on, and the accounts that no bulk plan includes. See revoke.PreviewStore.
type Scopes interface {
	SaveScope(ctx context.Context, s revoke.SavedScope) (revoke.SavedScope, error)
	SavedScope(ctx context.Context, id string) (revoke.SavedScope, error)
	SavedScopes(ctx context.Context, operator string) ([]revoke.SavedScope, error)
	DeleteScope(ctx context.Context, id, owner string) error
	Protected(ctx context.Context) ([]revoke.ProtectedAccount, error)
}

// Sources is what the scope builder asks the directory: *directory.Service.
type Sources interface {
	// Resolve checks a source and names it as Entra does; what a person can mend is fault.Invalid.
	Resolve(ctx context.Context, t operator.TokenSource, s directory.Source) (directory.Source, error)
	// Count says how many people a source leads to; -1 when that is not known.
	Count(ctx context.Context, t operator.TokenSource, s directory.Source) (n int, exact bool, err error)
	// FindUnits finds administrative units by name.
	FindUnits(ctx context.Context, t operator.TokenSource, text string) ([]directory.Unit, error)
}

func (s *Server) listScopes(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Scopes.SavedScopes(r.Context(), at(r).who.OID)
	if err != nil {
		return unavailable("The scopes could not be read: the database does not answer.", err)
	}
	page := newScopesPage(list, at(r).who.OID, s.Now())
	page.Page = s.frame(r, "Bulk revocation")
	page.Protected = s.protectedNote(r, true)
	return render(w, r, http.StatusOK, templates.Scopes(page))
}

// protectedNote says how many accounts stay out of every plan; unless always, only when there is something to warn of.
func (s *Server) protectedNote(r *http.Request, always bool) templates.Note {
	list, err := s.Scopes.Protected(r.Context())
	note := templates.Note{Link: templates.Link{Label: "Protected accounts", Href: "/settings/protected"}}
	switch {
	case err != nil:
		s.Logger.Error("reading the protected accounts", "request_id", at(r).requestID, "error", err)
		note.Title, note.Text = "Protected accounts unknown", "The database does not answer. No plan includes them all the same."
	case len(list) == 0:
		note.Title, note.Text = "No account is protected", "Break-glass and sync accounts would be signed out like everybody else."
	case !always:
		return templates.Note{}
	default:
		note.Tone, note.Title = templates.ToneOn, protectedWords(len(list))
		note.Text = "No bulk plan includes them, whatever its scope says."
	}
	return note
}

func protectedWords(n int) string {
	if n == 1 {
		return "1 account is protected"
	}
	return thousands(n) + " accounts are protected"
}

// newScope begins a draft, with a first source when a group's or role's page asks for it. An empty draft that is there
// already is taken up again.
func (s *Server) newScope(w http.ResponseWriter, r *http.Request) error {
	who := at(r).who
	draft := revoke.SavedScope{ID: s.NewID(), Owner: ownPerson(who), CreatedAt: s.Now(), UpdatedAt: s.Now()}
	if r.PostFormValue(templates.FieldKind) == "" {
		list, err := s.Scopes.SavedScopes(r.Context(), who.OID)
		if err != nil {
			return unavailable("The scopes could not be read: the database does not answer.", err)
		}
		i := slices.IndexFunc(list, func(x revoke.SavedScope) bool { return x.Owner.OID == who.OID && untouched(x) })
		if i >= 0 {
			return toScope(w, r, list[i].ID)
		}
	} else {
		source, err := s.directSource(r)
		if err != nil {
			return err
		}
		draft.Scope.Include = []directory.Source{source}
	}
	return s.createScope(w, r, draft)
}

func untouched(x revoke.SavedScope) bool {
	return x.Title == "" && len(x.Scope.Include)+len(x.Scope.Exclude) == 0 && reflect.DeepEqual(x.Options, revoke.PlanOptions{})
}

// directSource is the user, group, role or unit that a form names by its id.
func (s *Server) directSource(r *http.Request) (directory.Source, error) {
	source, err := sourceOf(r)
	if err != nil {
		return source, err
	}
	switch source.Kind {
	case directory.UserSource, directory.GroupSource, directory.RoleSource, directory.UnitSource:
		return s.Sources.Resolve(r.Context(), at(r).tokens(), source)
	default:
		return source, fault.New(fault.Invalid, "A scope begins with a user, a group, a role or a unit.")
	}
}

func (s *Server) createScope(w http.ResponseWriter, r *http.Request, x revoke.SavedScope) error {
	saved, err := s.Scopes.SaveScope(r.Context(), x)
	if err != nil {
		return unavailable("The scope could not be saved: the database does not answer.", err)
	}
	return toScope(w, r, saved.ID)
}

func toScope(w http.ResponseWriter, r *http.Request, id string) error {
	http.Redirect(w, r, "/scopes/"+id, http.StatusSeeOther)
	return nil
}

func ownPerson(who operator.Operator) revoke.Person {
	return revoke.Person{OID: who.OID, TID: who.TID, UPN: who.UPN, Name: who.Name}
}

// copyScope makes an own draft of a scope.
func (s *Server) copyScope(w http.ResponseWriter, r *http.Request) error {
	x, err := s.seenScope(r)
	if err != nil {
		return err
	}
	who := at(r).who
	return s.createScope(w, r, revoke.SavedScope{
		ID: s.NewID(), Owner: ownPerson(who), Scope: x.Scope, Options: x.Options.For(x.Owner.OID, who.OID),
		CreatedAt: s.Now(), UpdatedAt: s.Now(),
	})
}

func (s *Server) deleteScope(w http.ResponseWriter, r *http.Request) error {
	x, err := s.ownScope(r)
	if err != nil {
		return err
	}
	if err := s.Scopes.DeleteScope(r.Context(), x.ID, at(r).who.OID); err != nil && !errors.Is(err, revoke.ErrNotFound) {
		return unavailable("The scope could not be deleted: the database does not answer.", err)
	}
	http.Redirect(w, r, "/scopes", http.StatusSeeOther)
	return nil
}

// seenScope reads the scope of the address, if this operator may open it: their own, and another's with a title. A
// miss is "not found", and logged.
func (s *Server) seenScope(r *http.Request) (revoke.SavedScope, error) {
	id, who := chi.URLParam(r, "id"), at(r).who
	x, err := s.Scopes.SavedScope(r.Context(), id)
	switch {
	case errors.Is(err, revoke.ErrNotFound):
		return x, fault.New(fault.NotFound, "There is no such scope.")
	case err != nil:
		return x, unavailable("The scope could not be read: the database does not answer.", err)
	case x.Owner.OID != who.OID && x.Title == "":
		s.Logger.Warn("a scope that may not be seen was asked for", "scope", id, "oid", who.OID, "request_id", at(r).requestID)
		return revoke.SavedScope{}, fault.New(fault.NotFound, "There is no such scope.")
	}
	return x, nil
}

// ownScope is seenScope for those who change it: its owner, and nobody else.
func (s *Server) ownScope(r *http.Request) (revoke.SavedScope, error) {
	x, err := s.seenScope(r)
	if err == nil && x.Owner.OID != at(r).who.OID {
		e := fault.New(fault.Forbidden, "This scope is somebody else's: only its owner changes it.")
		e.Fix = "Open it and use a copy."
		return x, e
	}
	return x, err
}

// showScope answers the builder, and its two fragments: what a search found, and the counts.
func (s *Server) showScope(w http.ResponseWriter, r *http.Request) error {
	x, err := s.seenScope(r)
	if err != nil {
		return err
	}
	page := s.scopePage(r, x)
	query := r.URL.Query()
	if query.Has("counts") {
		if err := s.limits.search.take(at(r).who.OID); err != nil {
			return err
		}
		s.count(r, x.Scope, &page.Sources)
		if isFragment(r) {
			return render(w, r, http.StatusOK, templates.ScopeSourcesView(page.Sources))
		}
	}
	if query.Has(templates.FieldQuery) && page.Add != nil {
		page.Add.Find.Query = strings.TrimSpace(query.Get(templates.FieldQuery))
		hits := templates.ScopeHits{Action: page.Add.Action, AnyRole: meansAnyRole(page.Add.Find.Query)}
		if hits.Results, err = s.lookUp(r, page.Add.Find.Query); err != nil {
			return err
		}
		if isFragment(r) {
			return render(w, r, http.StatusOK, templates.ScopeHitsView(hits))
		}
		page.Add.Find.Results = &hits
	}
	return render(w, r, http.StatusOK, templates.Scope(page))
}

// scopePage is the builder's page as the scope stands.
func (s *Server) scopePage(r *http.Request, x revoke.SavedScope) templates.ScopePage {
	v := at(r)
	page := newScopePage(x, v.who.OID, s.Now())
	page.Page = s.frame(r, orElse(x.Title, "New scope"))
	page.Sources.Nonce = v.nonce
	if page.Add != nil {
		page.Add.Nonce = v.nonce
	}
	if note := s.protectedNote(r, false); note.Title != "" {
		page.Notes = append(page.Notes, note)
	}
	return page
}

// countFor is how long one page waits for its counts; a source that takes longer stays uncounted.
const countFor = 10 * time.Second

// count fills the counts in, side by side. What cannot be counted says why; it is no reason to keep the page back.
func (s *Server) count(r *http.Request, scope directory.Scope, view *templates.ScopeSources) {
	ctx, cancel := context.WithTimeout(r.Context(), countFor)
	defer cancel()
	tokens := at(r).tokens()
	counts := make([]sourceCount, len(scope.Include)+len(scope.Exclude))
	var group errgroup.Group
	group.SetLimit(6)
	for i, source := range slices.Concat(scope.Include, scope.Exclude) {
		group.Go(func() error {
			c := &counts[i]
			c.kind = source.Kind
			c.n, c.exact, c.err = s.Sources.Count(ctx, tokens, source)
			return nil
		})
	}
	_ = group.Wait() // its functions return no error: each count keeps its own
	for _, c := range counts {
		if c.err != nil {
			s.Logger.Info("a source was not counted", "request_id", at(r).requestID, "error", c.err)
		}
	}
	showCounts(view, counts)
}

// tokens is the operator's token source; nil without a session.
func (v *visit) tokens(scopes ...string) operator.TokenSource {
	if v.session == nil {
		return nil
	}
	return v.session.Tokens(scopes...)
}
