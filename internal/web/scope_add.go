package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// sourceOf reads the source that a form describes, not yet checked against the directory.
func sourceOf(r *http.Request) (directory.Source, error) {
	source := directory.Source{Kind: directory.SourceKind(r.PostFormValue(templates.FieldKind))}
	switch source.Kind {
	case directory.UserSource, directory.GroupSource, directory.RoleSource:
		source.ID = strings.TrimSpace(r.PostFormValue(templates.FieldID))
		if source.Kind == directory.RoleSource {
			return withWays(source, r.PostFormValue(templates.FieldWays))
		}
	case directory.UnitSource:
		source.ID = strings.TrimSpace(orElse(r.PostFormValue(templates.FieldUnit), r.PostFormValue(templates.FieldID)))
		if source.ID == "" {
			return source, fault.Field(templates.FieldUnit, "Give the name or the object id of a unit.")
		}
	case directory.FilterSource:
		return readyFilter(source, r)
	case directory.ListSource:
		text, err := listText(r)
		source.Lines = []string{text} // the directory takes it apart
		return source, err
	case directory.TenantSource:
	default:
		return source, fault.New(fault.Invalid, "This is no kind of source that can be added.")
	}
	return source, nil
}

func withWays(source directory.Source, ways string) (directory.Source, error) {
	switch how := directory.How(ways); how {
	case "":
	case directory.Active, directory.Eligible:
		source.Ways = []directory.How{how}
	default:
		return source, fault.New(fault.Invalid, "A role is held actively or eligibly.")
	}
	return source, nil
}

// readyFilter is the $filter of the form: a ready-made one that was chosen, or the text.
func readyFilter(source directory.Source, r *http.Request) (directory.Source, error) {
	key := r.PostFormValue(templates.FieldReady)
	if key == "" {
		source.Filter = strings.TrimSpace(r.PostFormValue(templates.FieldFilter))
		return source, nil
	}
	ready, ok := directory.ReadyFilterOf(key)
	if !ok {
		return source, fault.Field(templates.FieldReady, "Choose one of the list.")
	}
	var err error
	source.Filter, err = ready.Filter(r.PostFormValue(templates.FieldValue))
	return source, err
}

const maxUpload = 8 << 20 // bytes of the form that brings a list

func badList(message string) error { return fault.Field(templates.FieldLines, message) }

// listText is the pasted text or the file of the form.
func listText(r *http.Request) (string, error) {
	pasted := r.PostFormValue(templates.FieldLines)
	file, _, err := r.FormFile(templates.FieldFile)
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return pasted, nil
	}
	if err != nil {
		return "", fault.Wrap(fault.Invalid, "The file could not be read.", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(file)
	switch {
	case err != nil:
		return "", fault.Wrap(fault.Invalid, "The file could not be read.", err)
	case strings.TrimSpace(pasted) == "":
		return string(raw), textOnly(raw)
	case len(raw) > 0:
		return "", badList("Paste a list or choose a file, not both: add one after the other.")
	}
	return pasted, nil
}

// textOnly refuses a file that is no text, such as a workbook. UTF-16, as Windows PowerShell writes it, has its mark.
func textOnly(raw []byte) error {
	wide := bytes.HasPrefix(raw, []byte{0xff, 0xfe}) || bytes.HasPrefix(raw, []byte{0xfe, 0xff})
	if !wide && bytes.IndexByte(raw, 0) >= 0 {
		return badList("This file is no text. Save it as CSV or as text, and choose that.")
	}
	return nil
}

// addSource adds one source to a list. It needs no version: what is added to a scope that was changed meanwhile is
// added all the same.
func (s *Server) addSource(w http.ResponseWriter, r *http.Request) error {
	x, err := s.ownScope(r)
	if err != nil {
		return err
	}
	source, err := sourceOf(r)
	if err == nil {
		var resolved directory.Source
		if resolved, err = s.resolve(r, source); err == nil { // of a refused one its form is filled in again
			source = resolved
		}
	}
	side := r.PostFormValue(templates.FieldSide)
	if err == nil && side == templates.SideCount && source.Kind == directory.FilterSource {
		return s.showCount(w, r, x, source)
	}
	if err == nil {
		err = s.keepSource(r, x, side, source)
	}
	if kind := fault.KindOf(err); err != nil && (kind == fault.Invalid || kind == fault.NotFound) {
		return s.sourceRefused(w, r, x, source, err)
	}
	if err != nil {
		return err
	}
	return toScope(w, r, x.ID)
}

// manyUnitsError says that several units have the name that was typed.
type manyUnitsError struct{ units []directory.Unit }

func (e *manyUnitsError) Error() string { return fmt.Sprintf("%d units match", len(e.units)) }

// resolve has the directory check and name a source. A unit may be given by its name.
func (s *Server) resolve(r *http.Request, source directory.Source) (directory.Source, error) {
	if source.Kind == directory.UnitSource && !directory.IsID(source.ID) {
		units, err := s.Sources.FindUnits(r.Context(), at(r).tokens(), source.ID)
		if reauth, ok := errors.AsType[*operator.ReauthError](err); ok && reauth.Consent {
			return source, fault.Field(templates.FieldUnit,
				"The app has no consent to read administrative units: it needs AdministrativeUnit.Read.All.")
		}
		if err != nil {
			return source, err
		}
		other := func(u directory.Unit) bool { return !strings.EqualFold(u.Name, source.ID) }
		if exact := slices.DeleteFunc(slices.Clone(units), other); len(exact) == 1 {
			units = exact
		}
		switch len(units) {
		case 0:
			return source, fault.Field(templates.FieldUnit, "No administrative unit of this name is found.")
		case 1:
			source.ID = units[0].ID
		default:
			return source, &fault.Error{
				Kind: fault.Invalid, Field: templates.FieldUnit, Message: "Several units have this name: choose one.",
				Err: &manyUnitsError{units},
			}
		}
	}
	return s.Sources.Resolve(r.Context(), at(r).tokens(), source)
}

// keepSource saves the scope with the source, and with the title and options that came along.
func (s *Server) keepSource(r *http.Request, x revoke.SavedScope, side string, source directory.Source) error {
	for again := 0; ; again++ {
		changed, err := withSettings(r, x)
		if err == nil {
			err = addTo(&changed.Scope, side, source)
		}
		if err != nil {
			return err
		}
		changed.UpdatedAt = s.Now()
		_, err = s.Scopes.SaveScope(r.Context(), changed)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, revoke.ErrConflict) || again == 3:
			return unavailable("The scope could not be saved: the database does not answer.", err)
		}
		if x, err = s.ownScope(r); err != nil {
			return err
		}
	}
}

// addTo adds a source to one side of a scope, within the limits.
func addTo(scope *directory.Scope, side string, source directory.Source) error {
	list := &scope.Include
	if side == templates.SideExclude {
		list = &scope.Exclude
	}
	lines := len(source.Lines)
	for _, had := range slices.Concat(scope.Include, scope.Exclude) {
		lines += len(had.Lines)
	}
	switch {
	case side != templates.SideInclude && side != templates.SideExclude:
		return fault.New(fault.Invalid, "The form did not say whether to include or to exclude.")
	case side == templates.SideExclude && source.Kind == directory.TenantSource:
		return fault.New(fault.Invalid, "Without the whole tenant nobody is left.")
	case slices.ContainsFunc(*list, func(had directory.Source) bool { return sameSource(had, source) }):
		return fault.New(fault.Invalid, upperFirst(sourceWords(source))+" stands there already.")
	case len(scope.Include)+len(scope.Exclude) >= directory.MaxSources:
		return fault.New(fault.Invalid, fullWords)
	case lines > directory.MaxLines:
		return badList(fmt.Sprintf("With this list the scope would have %s lines; it takes %s.",
			thousands(lines), thousands(directory.MaxLines)))
	}
	*list = append(slices.Clip(slices.Clone(*list)), source)
	return nil
}

func sameSource(a, b directory.Source) bool {
	a.Name, b.Name = "", ""
	return reflect.DeepEqual(a, b)
}

// showCount answers the filter form with how many people match. Nothing is added.
func (s *Server) showCount(w http.ResponseWriter, r *http.Request, x revoke.SavedScope, source directory.Source) error {
	page := s.scopePage(r, x)
	typeSettings(r, page.Settings)
	page.Add.Open, page.Add.Filter.Text = templates.FieldFilter, source.Filter
	n, exact, err := s.Sources.Count(r.Context(), at(r).tokens(), source)
	if _, ok := errors.AsType[*operator.ReauthError](err); ok {
		return err
	}
	c := sourceCount{kind: source.Kind, n: n, exact: exact, err: err}
	page.Add.Filter.CountWhy = c.why()
	if err == nil {
		page.Add.Filter.Count = matchWords(n)
	}
	return render(w, r, http.StatusOK, templates.Scope(page))
}

// sourceRefused shows the builder with everything that was typed, and the error beside its field.
func (s *Server) sourceRefused(
	w http.ResponseWriter, r *http.Request, x revoke.SavedScope, source directory.Source, err error,
) error {
	page := s.scopePage(r, x)
	typeSettings(r, page.Settings)
	_, e := classify(err)
	typeSource(r, page.Add, source, e)
	if e.Field == templates.FieldTitle {
		page.Settings.TitleError = e.Message
	}
	return render(w, r, http.StatusUnprocessableEntity, templates.Scope(page))
}

// typeSource puts into the forms that add what was typed into one of them.
func typeSource(r *http.Request, a *templates.ScopeAdd, source directory.Source, e *fault.Error) {
	message := orElse(e.Message, "There is no such "+string(source.Kind)+" in the directory.")
	if e.Field == templates.FieldTitle {
		message = ""
	}
	switch source.Kind {
	case directory.UnitSource:
		a.Open, a.Unit, a.UnitError = templates.FieldUnit, r.PostFormValue(templates.FieldUnit), message
		if many, ok := errors.AsType[*manyUnitsError](e.Err); ok {
			for _, u := range many.units {
				a.Units = append(a.Units, templates.Option{Value: u.ID, Label: u.Name})
			}
		}
	case directory.FilterSource:
		a.Open = templates.FieldFilter
		a.Filter.Ready, a.Filter.Value = r.PostFormValue(templates.FieldReady), r.PostFormValue(templates.FieldValue)
		a.Filter.Text = r.PostFormValue(templates.FieldFilter)
		switch e.Field {
		case templates.FieldReady:
			a.Filter.ReadyError = message
		case templates.FieldValue:
			a.Filter.ValueError = message
		default:
			a.Filter.Error = message
		}
	case directory.ListSource:
		a.Open, a.Lines, a.LinesError = templates.FieldLines, r.PostFormValue(templates.FieldLines), message
	case directory.TenantSource:
		a.Open, a.Find.Error = "tenant", message
	default:
		a.Find.Error = message
	}
}
