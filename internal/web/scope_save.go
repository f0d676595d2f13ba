package web

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/revoke"
	"evict/web/templates"
)

// withSettings is the scope with the title and the options of the form, if the form brings them.
func withSettings(r *http.Request, x revoke.SavedScope) (revoke.SavedScope, error) {
	if r.PostFormValue(templates.FieldSettings) == "" {
		return x, nil
	}
	x.Title = oneLine(r.PostFormValue(templates.FieldTitle))
	x.Options.IncludeExternal = r.PostFormValue(templates.FieldExternalOK) == "yes"
	x.Options.IncludeSelf = r.PostFormValue(templates.FieldSelf) == "yes"
	if n := utf8.RuneCountInString(x.Title); n > templates.ScopeTitleMax {
		return x, fault.Field(templates.FieldTitle, fmt.Sprintf("At most %d characters; this has %d.", templates.ScopeTitleMax, n))
	}
	return x, nil
}

// typeSettings puts what was typed into the settings back into their form.
func typeSettings(r *http.Request, f *templates.ScopeSettings) {
	if r.PostFormValue(templates.FieldSettings) == "" || f == nil {
		return
	}
	f.Title = r.PostFormValue(templates.FieldTitle)
	f.External = r.PostFormValue(templates.FieldExternalOK) == "yes"
	f.Self = r.PostFormValue(templates.FieldSelf) == "yes"
}

// oneLine is text for a title: no control characters, none that turn the direction of what follows, single spaces.
func oneLine(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case unicode.IsControl(c) || unicode.Is(unicode.Cf, c):
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

// seenVersion reports whether the form was made from the scope as it stands.
func seenVersion(r *http.Request, x revoke.SavedScope) bool {
	return r.PostFormValue(templates.FieldVersion) == strconv.Itoa(x.Version)
}

func (s *Server) removeSource(w http.ResponseWriter, r *http.Request) error {
	x, err := s.ownScope(r)
	if err != nil {
		return err
	}
	changed, err := withSettings(r, x)
	if err != nil {
		return s.settingsRefused(w, r, x, err)
	}
	if seenVersion(r, x) {
		if changed.Scope, err = without(x.Scope, r.PostFormValue(templates.FieldAt)); err != nil {
			return err
		}
	}
	return s.changeScope(w, r, x, changed, "Nothing was removed.")
}

// without is a scope less the source that at names: "include.3".
func without(scope directory.Scope, at string) (directory.Scope, error) {
	side, index, _ := strings.Cut(at, ".")
	i, err := strconv.Atoi(index)
	list := &scope.Include
	if side == templates.SideExclude {
		list = &scope.Exclude
	}
	if err != nil || i < 0 || i >= len(*list) || side != templates.SideInclude && side != templates.SideExclude {
		return scope, fault.New(fault.Invalid, "There is no such source in this scope.")
	}
	*list = slices.Delete(slices.Clone(*list), i, i+1)
	return scope, nil
}

func (s *Server) saveScope(w http.ResponseWriter, r *http.Request) error {
	x, err := s.ownScope(r)
	if err != nil {
		return err
	}
	changed, err := withSettings(r, x)
	if err != nil {
		return s.settingsRefused(w, r, x, err)
	}
	return s.changeScope(w, r, x, changed, "Nothing was saved.")
}

// changeScope saves what was changed on a page, or says that the scope is no longer what the page showed.
func (s *Server) changeScope(w http.ResponseWriter, r *http.Request, x, changed revoke.SavedScope, not string) error {
	err := s.replaceScope(r, x, changed)
	if errors.Is(err, revoke.ErrConflict) {
		return s.scopeChanged(w, r, not)
	}
	if err != nil {
		return unavailable("The scope could not be saved: the database does not answer.", err)
	}
	return toScope(w, r, x.ID)
}

// replaceScope saves a scope that was changed on a page which showed x. What changes nothing is not written.
func (s *Server) replaceScope(r *http.Request, x, changed revoke.SavedScope) error {
	if !seenVersion(r, x) {
		return revoke.ErrConflict
	}
	if reflect.DeepEqual(x, changed) {
		return nil
	}
	changed.UpdatedAt = s.Now()
	_, err := s.Scopes.SaveScope(r.Context(), changed)
	return err
}

// scopeChanged shows the scope as it stands now, with what was typed still in the form.
func (s *Server) scopeChanged(w http.ResponseWriter, r *http.Request, not string) error {
	x, err := s.ownScope(r)
	if err != nil {
		return err
	}
	page := s.scopePage(r, x)
	typeSettings(r, page.Settings)
	page.Notes = append([]templates.Note{{
		Title: "Changed meanwhile",
		Text: "This scope was changed in another window. " + not +
			" You see it as it stands now, with your title and options as you left them: look, and press again.",
	}}, page.Notes...)
	return render(w, r, http.StatusConflict, templates.Scope(page))
}

func (s *Server) settingsRefused(w http.ResponseWriter, r *http.Request, x revoke.SavedScope, err error) error {
	_, e := classify(err)
	page := s.scopePage(r, x)
	typeSettings(r, page.Settings)
	if e.Field == templates.FieldTitle {
		page.Settings.TitleError = e.Message
	} else {
		page.Notes = append([]templates.Note{{Tone: templates.ToneNo, Title: "Not done", Text: e.Message}}, page.Notes...)
	}
	return render(w, r, http.StatusUnprocessableEntity, templates.Scope(page))
}

// previewScope keeps the settings and begins to expand the scope; the plan's page shows how far it is.
func (s *Server) previewScope(w http.ResponseWriter, r *http.Request) error {
	x, err := s.ownScope(r)
	if err != nil {
		return err
	}
	changed, err := withSettings(r, x)
	if err != nil {
		return s.settingsRefused(w, r, x, err)
	}
	err = s.replaceScope(r, x, changed)
	if errors.Is(err, revoke.ErrConflict) {
		return s.scopeChanged(w, r, "Nothing was previewed.")
	}
	if err != nil {
		return unavailable("The scope could not be saved: the database does not answer.", err)
	}
	id, err := s.Revoke.Preview(r.Context(), s.actor(r), changed.Scope, changed.Options, "")
	if fault.KindOf(err) == fault.Invalid {
		if now, again := s.ownScope(r); again == nil {
			x = now
		}
		return s.settingsRefused(w, r, x, err)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/plans/"+string(id), http.StatusSeeOther)
	return nil
}
