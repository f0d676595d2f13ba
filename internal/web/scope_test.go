package web

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/go-chi/chi/v5"

	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// shelf keeps scopes in memory, as revoke.PreviewStore says.
type shelf struct {
	scopes    map[string]revoke.SavedScope
	protected []revoke.ProtectedAccount
	race      func() // runs once before the next save
	writes    int
}

func (s *shelf) SaveScope(_ context.Context, x revoke.SavedScope) (revoke.SavedScope, error) {
	if race := s.race; race != nil {
		s.race = nil
		race()
	}
	had, ok := s.scopes[x.ID]
	if ok != (x.Version > 0) || had.Version != x.Version || ok && had.Owner.OID != x.Owner.OID {
		return x, revoke.ErrConflict
	}
	x.Version++
	s.scopes[x.ID] = x
	s.writes++
	return x, nil
}

func (s *shelf) SavedScope(_ context.Context, id string) (revoke.SavedScope, error) {
	x, ok := s.scopes[id]
	if !ok {
		return x, revoke.ErrNotFound
	}
	return x, nil
}

func (s *shelf) SavedScopes(_ context.Context, operator string) ([]revoke.SavedScope, error) {
	var out []revoke.SavedScope
	for _, x := range s.scopes {
		if x.Title != "" || x.Owner.OID == operator {
			out = append(out, x)
		}
	}
	return out, nil
}

func (s *shelf) DeleteScope(_ context.Context, id, owner string) error {
	if s.scopes[id].Owner.OID != owner {
		return revoke.ErrNotFound
	}
	delete(s.scopes, id)
	return nil
}

func (s *shelf) Protected(context.Context) ([]revoke.ProtectedAccount, error) {
	return s.protected, nil
}

// book names whatever it is asked for, counts by name, and has a few units.
type book struct {
	counts map[string]int
	units  []directory.Unit
}

func (b book) Resolve(_ context.Context, _ operator.TokenSource, x directory.Source) (directory.Source, error) {
	switch {
	case x.ID == "gone":
		return x, fault.Field(string(x.Kind), "There is no such "+string(x.Kind)+" in the directory.")
	case x.Kind == directory.FilterSource && x.Filter == "":
		return x, fault.Field("filter", "Write a filter.")
	case x.Kind == directory.ListSource:
		x.Lines = directory.ParseList(strings.Join(x.Lines, "\n")).Lines
		if len(x.Lines) == 0 {
			return x, fault.Field("list", "Paste at least one.")
		}
	default:
		x.Name = strings.ToUpper(x.ID)
	}
	return x, nil
}

func (b book) Count(_ context.Context, _ operator.TokenSource, x directory.Source) (int, bool, error) {
	n, ok := b.counts[x.Name+x.Filter]
	if !ok {
		return -1, false, &directory.CallError{Status: 400}
	}
	return n, true, nil
}

func (b book) FindUnits(_ context.Context, _ operator.TokenSource, text string) ([]directory.Unit, error) {
	return slices.DeleteFunc(slices.Clone(b.units), func(u directory.Unit) bool { return !strings.HasPrefix(u.Name, text) }), nil
}

const (
	me    = "00000000-0000-4000-8000-000000000001"
	other = "00000000-0000-4000-8000-000000000002"
	unitA = "00000000-0000-4000-8000-00000000000a"
	unitB = "00000000-0000-4000-8000-00000000000b"
)

// builder is the scope pages behind a router, for a Lead who is signed in.
type builder struct {
	*Server
	shelf *shelf
	who   operator.Operator
}

func newBuilder(scopes ...revoke.SavedScope) *builder {
	b := &builder{shelf: &shelf{scopes: map[string]revoke.SavedScope{}}, who: operator.Operator{OID: me, UPN: "me@corp.example", Roles: operator.Roles{operator.Lead}}}
	for _, x := range scopes {
		b.shelf.scopes[x.ID] = x
	}
	ids := 0
	b.Server = &Server{Options: Options{
		Scopes: b.shelf, Sources: book{
			counts: map[string]int{"G": 1600, "U": 1, "department eq 'Sales'": 38},
			units:  []directory.Unit{{ID: unitA, Name: "Lisbon"}, {ID: unitB, Name: "Lisbon North"}},
		},
		Now: func() time.Time { return noon }, NewID: func() string { ids++; return "new-" + strconv.Itoa(ids) },
		Logger: slog.New(slog.DiscardHandler), Rehearsal: true,
	}}
	b.limits = newLimits(b.Now)
	return b
}

// ask sends a request past sessions and roles, which have tests of their own.
func (b *builder) ask(t *testing.T, r *http.Request) (*httptest.ResponseRecorder, *goquery.Document) {
	t.Helper()
	w := httptest.NewRecorder()
	b.answer(w, r)
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(w.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	return w, doc
}

func (b *builder) answer(w http.ResponseWriter, r *http.Request) {
	pages := b.pages()
	router := chi.NewRouter()
	for _, route := range operator.Routes() {
		router.Method(route.Method, route.Pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v := &visit{requestID: "request", nonce: "nonce", who: b.who}
			r = r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
			limitRequest(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b.serve(w, r, route.Name, pages[route.Name])
			})).ServeHTTP(w, r)
		}))
	}
	router.ServeHTTP(w, r)
}

func (b *builder) post(t *testing.T, path string, form url.Values) (*httptest.ResponseRecorder, *goquery.Document) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.ask(t, r)
}

func (b *builder) get(t *testing.T, path string, fragment bool) (*httptest.ResponseRecorder, *goquery.Document) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if fragment {
		r.Header.Set("HX-Request", "true")
	}
	return b.ask(t, r)
}

func upload(t *testing.T, path, name, content string, fields url.Values) *http.Request {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for key := range fields {
		if err := form.WriteField(key, fields.Get(key)); err != nil {
			t.Fatal(err)
		}
	}
	part, err := form.CreateFormFile(templates.FieldFile, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	return r
}

func mine(id, title string, include ...directory.Source) revoke.SavedScope {
	return revoke.SavedScope{
		ID: id, Title: title, Owner: revoke.Person{OID: me, UPN: "me@corp.example"}, Scope: directory.Scope{Include: include},
		CreatedAt: noon.Add(-time.Hour), UpdatedAt: noon.Add(-time.Hour), Version: 3,
	}
}

func theirs(id, title string, include ...directory.Source) revoke.SavedScope {
	x := mine(id, title, include...)
	x.Owner = revoke.Person{OID: other, UPN: "other@corp.example"}
	return x
}

func group(id string) directory.Source {
	return directory.Source{Kind: directory.GroupSource, ID: id, Name: strings.ToUpper(id)}
}

func wantStatus(t *testing.T, w *httptest.ResponseRecorder, want int) {
	t.Helper()
	if w.Code != want {
		t.Fatalf("status = %d, want %d: %.300s", w.Code, want, w.Body.String())
	}
}

func TestADraftOfAnotherIsNotThereAndATitledScopeMayOnlyBeCopied(t *testing.T) {
	t.Parallel()
	b := newBuilder(theirs("draft", "", group("g")), theirs("shared", "All of finance", group("g")))
	w, _ := b.get(t, "/scopes/draft", false)
	wantStatus(t, w, http.StatusNotFound)

	w, doc := b.get(t, "/scopes/shared", false)
	wantStatus(t, w, http.StatusOK)
	if got := doc.Find("main form").Length(); got != 1 || doc.Find(`main form[action="/scopes/shared/copy"]`).Length() != 1 {
		t.Errorf("%d forms, want the one that copies", got)
	}
	writes := b.shelf.writes
	for _, verb := range []string{"add", "remove", "save", "delete", "preview"} {
		for id, want := range map[string]int{"draft": http.StatusNotFound, "shared": http.StatusForbidden} {
			w, _ := b.post(t, "/scopes/"+id+"/"+verb, url.Values{"kind": {"group"}, "id": {"g"}, "side": {"include"}, "version": {"3"}, "at": {"include.0"}, "settings": {"yes"}})
			if w.Code != want {
				t.Errorf("%s of %s: status %d, want %d", verb, id, w.Code, want)
			}
		}
	}
	if b.shelf.writes != writes || len(b.shelf.scopes) != 2 {
		t.Error("somebody else's scope was changed")
	}
	w, _ = b.post(t, "/scopes/draft/copy", nil)
	wantStatus(t, w, http.StatusNotFound)
	w, _ = b.post(t, "/scopes/shared/copy", nil)
	wantStatus(t, w, http.StatusSeeOther)
	if got := b.shelf.scopes["new-1"]; got.Owner.OID != me || got.Title != "" || len(got.Scope.Include) != 1 {
		t.Errorf("the copy is %+v, want a draft of one's own with the same source", got)
	}
}

func TestACopyDoesNotTakeOverThatSomebodyWantedTheirOwnAccountIn(t *testing.T) {
	t.Parallel()
	x := theirs("x", "Everything", group("g"))
	x.Options = revoke.PlanOptions{IncludeSelf: true, IncludeExternal: true}
	b := newBuilder(x)
	b.post(t, "/scopes/x/copy", nil)
	if got := b.shelf.scopes["new-1"].Options; got.IncludeSelf || !got.IncludeExternal {
		t.Errorf("options of the copy: %+v", got)
	}
}

func TestANewScopeTakesTheGroupOfThePageAndAnEmptyDraftIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	b := newBuilder()
	w, _ := b.post(t, "/scopes", url.Values{"kind": {"role"}, "id": {"r"}, "ways": {"eligible"}})
	wantStatus(t, w, http.StatusSeeOther)
	got := b.shelf.scopes["new-1"].Scope.Include
	if len(got) != 1 || got[0].Name != "R" || len(got[0].Ways) != 1 {
		t.Errorf("the scope begins with %+v, want the role as the directory names it", got)
	}
	for range 2 {
		w, _ = b.post(t, "/scopes", nil)
		wantStatus(t, w, http.StatusSeeOther)
		if got := w.Header().Get("Location"); got != "/scopes/new-2" {
			// The first empty draft is the second id asked for; the next click finds it again.
			t.Errorf("location = %q, want the one empty draft", got)
		}
	}
	w, _ = b.post(t, "/scopes", url.Values{"kind": {"list"}, "lines": {"a@b.example"}})
	wantStatus(t, w, http.StatusUnprocessableEntity)
}

func TestEachKindOfSourceIsAddedAsTheDirectoryNamesIt(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		form url.Values
		want directory.Source
	}{
		"user":        {url.Values{"kind": {"user"}, "id": {"u"}}, directory.Source{Kind: "user", ID: "u", Name: "U"}},
		"role":        {url.Values{"kind": {"role"}, "id": {"r"}, "ways": {"active"}}, directory.Source{Kind: "role", ID: "r", Name: "R", Ways: []directory.How{directory.Active}}},
		"every role":  {url.Values{"kind": {"role"}, "id": {"any"}, "ways": {"eligible"}}, directory.Source{Kind: "role", ID: directory.AnyRole, Ways: []directory.How{directory.Eligible}}},
		"unit by id":  {url.Values{"kind": {"unit"}, "unit": {unitB}}, directory.Source{Kind: "unit", ID: unitB, Name: strings.ToUpper(unitB)}},
		"unit":        {url.Values{"kind": {"unit"}, "unit": {"Lisbon"}}, directory.Source{Kind: "unit", ID: unitA, Name: strings.ToUpper(unitA)}},
		"filter":      {url.Values{"kind": {"filter"}, "filter": {" accountEnabled eq true "}}, directory.Source{Kind: "filter", Filter: "accountEnabled eq true"}},
		"ready-made":  {url.Values{"kind": {"filter"}, "ready": {"department"}, "value": {"R'n'D"}, "filter": {"old"}}, directory.Source{Kind: "filter", Filter: "department eq 'R''n''D'"}},
		"pasted list": {url.Values{"kind": {"list"}, "lines": {"a@b.example\r\n\r\nc@d.example"}}, directory.Source{Kind: "list", Lines: []string{"a@b.example", "c@d.example"}}},
		"tenant":      {url.Values{"kind": {"tenant"}}, directory.Source{Kind: "tenant"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(mine("x", ""))
			tt.form.Set("side", "include")
			w, _ := b.post(t, "/scopes/x/add", tt.form)
			wantStatus(t, w, http.StatusSeeOther)
			if got := b.shelf.scopes["x"].Scope.Include; len(got) != 1 || !sameSource(got[0], tt.want) || tt.want.Name != "" && got[0].Name != tt.want.Name {
				t.Errorf("added %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestEveryoneWithARoleIsOfferedAndNamed(t *testing.T) {
	t.Parallel()
	b := newBuilder(mine("x", "", directory.Source{Kind: directory.RoleSource, ID: directory.AnyRole, Name: "every directory role"}))
	w, doc := b.get(t, "/scopes/x", false)
	wantStatus(t, w, http.StatusOK)
	if doc.Find(".adding input[name=id][value=any]").Length() != 1 || doc.Find(`a[href="/roles/any"]`).Length() != 0 || !strings.Contains(doc.Text(), "Every directory role") {
		t.Error("the builder neither offers nor names everyone who holds a directory role")
	}
	if got := sourceWords(directory.Source{Kind: directory.RoleSource, ID: directory.AnyRole}); got != "everyone who holds a directory role" {
		t.Errorf("got %q", got)
	}
	for query, want := range map[string]bool{
		"admin": true, " All  Admins ": true, "every role": true, "Directory role": true, "global admin": false, "ad": false, "": false,
	} {
		if got := meansAnyRole(query); got != want {
			t.Errorf("%q: got %v", query, got)
		}
	}
}

func TestWhatIsRefusedKeepsWhatWasTypedAndTiesTheErrorToItsField(t *testing.T) {
	t.Parallel()
	const evil = "</textarea><script>alert(1)</script>"
	many := make([]directory.Source, directory.MaxSources)
	for i := range many {
		many[i] = group("g" + strconv.Itoa(i))
	}
	tests := map[string]struct {
		scope         []directory.Source
		form          url.Values
		field, says   string
		selector, has string
	}{
		"unknown group":   {nil, url.Values{"kind": {"group"}, "id": {"gone"}}, "find", "no such group", "", ""},
		"unit unknown":    {nil, url.Values{"kind": {"unit"}, "unit": {"Porto"}}, "unit", "No administrative unit", `input[name=unit]`, "Porto"},
		"units ambiguous": {nil, url.Values{"kind": {"unit"}, "unit": {"Li"}}, "unit", "choose one", "", ""},
		"value missing":   {nil, url.Values{"kind": {"filter"}, "ready": {"city"}}, "value", "Fill in", `select[name=ready] option[selected]`, "city"},
		"date wrong":      {nil, url.Values{"kind": {"filter"}, "ready": {"created"}, "value": {evil}}, "value", "2026-03-01", `input[name=value]`, evil},
		"ready unknown":   {nil, url.Values{"kind": {"filter"}, "ready": {"zodiac"}}, "ready", "Choose", "", ""},
		"filter empty":    {nil, url.Values{"kind": {"filter"}, "filter": {" "}}, "filter", "Write a filter", "", ""},
		"list empty":      {nil, url.Values{"kind": {"list"}, "lines": {" \n "}}, "lines", "at least one", "", ""},
		"there already":   {[]directory.Source{group("g")}, url.Values{"kind": {"group"}, "id": {"g"}}, "find", "stands there already", "", ""},
		"kind unknown":    {nil, url.Values{"kind": {"planet"}}, "find", "no kind of source", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(mine("x", "Title", tt.scope...))
			tt.form.Set("side", "include")
			for k, v := range map[string]string{"settings": "yes", "title": "Typed " + evil, "external_ok": "yes"} {
				tt.form.Set(k, v)
			}
			w, doc := b.post(t, "/scopes/x/add", tt.form)
			wantStatus(t, w, http.StatusUnprocessableEntity)
			if got := doc.Find("#" + tt.field + "-error").Text(); !strings.Contains(got, tt.says) {
				t.Errorf("beside the field stands %q, want %q", got, tt.says)
			}
			if tt.selector != "" && doc.Find(tt.selector).AttrOr("value", "") != tt.has {
				t.Errorf("the field holds %q, want what was typed", doc.Find(tt.selector).AttrOr("value", ""))
			}
			if got := doc.Find("#title").AttrOr("value", ""); got != "Typed "+evil {
				t.Errorf("title = %q, want what was typed", got)
			}
			if _, on := doc.Find("#external_ok").Attr("checked"); !on {
				t.Error("the tick is lost")
			}
			if doc.Find("script:not([src])").Length() != 0 {
				t.Error("what was typed became an element")
			}
			if b.shelf.writes != 0 {
				t.Error("something was saved")
			}
		})
	}
	t.Run("ambiguous units are offered", func(t *testing.T) {
		t.Parallel()
		_, doc := newBuilder(mine("x", "")).post(t, "/scopes/x/add", url.Values{"kind": {"unit"}, "unit": {"Li"}, "side": {"include"}})
		if got := doc.Find("select[name=unit] option[value!='']").Length(); got != 2 {
			t.Errorf("%d units to choose from, want 2", got)
		}
	})
	t.Run("a full scope offers nothing more", func(t *testing.T) {
		t.Parallel()
		b := newBuilder(mine("x", "", many...))
		w, doc := b.post(t, "/scopes/x/add", url.Values{"kind": {"group"}, "id": {"one-more"}, "side": {"exclude"}})
		wantStatus(t, w, http.StatusUnprocessableEntity)
		if doc.Find(`form[action$="/add"]`).Length() != 0 || !strings.Contains(doc.Find(".adding").Text(), "at most 50 sources") {
			t.Error("a full scope still offers to add")
		}
	})
}

func TestAddingSavesTheTitleAndOptionsThatWereTyped(t *testing.T) {
	t.Parallel()
	b := newBuilder(mine("x", ""))
	b.post(t, "/scopes/x/add", url.Values{"kind": {"group"}, "id": {"g"}, "side": {"exclude"}, "settings": {"yes"}, "title": {"  Wave \u202e2 "}, "self_ok": {"yes"}})
	got := b.shelf.scopes["x"]
	if got.Title != "Wave 2" || !got.Options.IncludeSelf || got.Options.IncludeExternal || len(got.Scope.Exclude) != 1 {
		t.Errorf("saved %+v", got)
	}
}

func TestAddingToAScopeThatWasChangedMeanwhileLosesNeitherChange(t *testing.T) {
	t.Parallel()
	b := newBuilder(mine("x", ""))
	b.shelf.race = func() {
		x := b.shelf.scopes["x"]
		x.Scope.Include, x.Version = []directory.Source{group("first")}, x.Version+1
		b.shelf.scopes["x"] = x
	}
	w, _ := b.post(t, "/scopes/x/add", url.Values{"kind": {"group"}, "id": {"second"}, "side": {"include"}})
	wantStatus(t, w, http.StatusSeeOther)
	if got := b.shelf.scopes["x"].Scope.Include; len(got) != 2 {
		t.Errorf("the scope has %v, want both groups", got)
	}
}

func TestAnOldPageNeitherSavesNorRemovesNorPreviews(t *testing.T) {
	t.Parallel()
	b := newBuilder(mine("x", "Now", group("g"), group("h")))
	for verb, says := range map[string]string{"save": "Nothing was saved", "remove": "Nothing was removed", "preview": "Nothing was previewed"} {
		w, doc := b.post(t, "/scopes/x/"+verb, url.Values{"version": {"2"}, "at": {"include.0"}, "settings": {"yes"}, "title": {"Mine"}, "external_ok": {"yes"}})
		wantStatus(t, w, http.StatusConflict)
		if got := doc.Find(".note").Text(); !strings.Contains(got, "changed in another window") || !strings.Contains(got, says) {
			t.Errorf("%s: the page says %q", verb, got)
		}
		if got := doc.Find("#title").AttrOr("value", ""); got != "Mine" {
			t.Errorf("%s: title = %q, want what was typed", verb, got)
		}
		if got := doc.Find(`form[action$="/save"] input[name=version]`).AttrOr("value", ""); got != "3" {
			t.Errorf("%s: the form is of version %q, want the one that stands", verb, got)
		}
	}
	if b.shelf.writes != 0 {
		t.Error("an old page changed the scope")
	}
}

func TestRemovingTakesOneSourceOut(t *testing.T) {
	t.Parallel()
	b := newBuilder(mine("x", "", group("g"), group("h")))
	for _, at := range []string{"include.2", "include.-1", "exclude.0", "include", "", "neither.0"} {
		w, _ := b.post(t, "/scopes/x/remove", url.Values{"version": {"3"}, "at": {at}})
		if w.Code != http.StatusUnprocessableEntity {
			t.Errorf("removing %q: status %d, want 422", at, w.Code)
		}
	}
	w, _ := b.post(t, "/scopes/x/remove", url.Values{"version": {"3"}, "at": {"include.0"}})
	wantStatus(t, w, http.StatusSeeOther)
	if got := b.shelf.scopes["x"].Scope.Include; len(got) != 1 || got[0].ID != "h" {
		t.Errorf("left are %v, want h alone", got)
	}
}

func TestATooLongTitleIsRefusedBesideItsField(t *testing.T) {
	t.Parallel()
	b := newBuilder(mine("x", "Old", group("g")))
	long := strings.Repeat("é", templates.ScopeTitleMax+1)
	for _, verb := range []string{"save", "preview", "remove"} {
		w, doc := b.post(t, "/scopes/x/"+verb, url.Values{"version": {"3"}, "settings": {"yes"}, "title": {long}, "at": {"include.0"}})
		wantStatus(t, w, http.StatusUnprocessableEntity)
		if got := doc.Find("#title-error").Text(); !strings.Contains(got, "120") {
			t.Errorf("%s: beside the title stands %q", verb, got)
		}
	}
	w, _ := b.post(t, "/scopes/x/save", url.Values{"version": {"3"}, "settings": {"yes"}, "title": {long[2:]}})
	wantStatus(t, w, http.StatusSeeOther)
}

func TestCountingAFilterAddsNothingAndShowsItsText(t *testing.T) {
	t.Parallel()
	b := newBuilder(mine("x", ""))
	w, doc := b.post(t, "/scopes/x/add", url.Values{"kind": {"filter"}, "ready": {"department"}, "value": {"Sales"}, "side": {"count"}})
	wantStatus(t, w, http.StatusOK)
	if got := doc.Find("textarea[name=filter]").Text(); got != "department eq 'Sales'" {
		t.Errorf("the text is %q", got)
	}
	if got := doc.Find(".way[open] .note").Text(); !strings.Contains(got, "38 people match") {
		t.Errorf("the page says %q", got)
	}
	_, doc = b.post(t, "/scopes/x/add", url.Values{"kind": {"filter"}, "filter": {"city eq 'Nowhere'"}, "side": {"count"}})
	if got := doc.Find(".way[open] .note").Text(); !strings.Contains(got, "Not counted") {
		t.Errorf("the page says %q", got)
	}
	if b.shelf.writes != 0 {
		t.Error("counting saved something")
	}
}

func TestAFileIsReadAsTextAndNothingElse(t *testing.T) {
	t.Parallel()
	fields := url.Values{"kind": {"list"}, "side": {"include"}}
	t.Run("csv", func(t *testing.T) {
		t.Parallel()
		b := newBuilder(mine("x", ""))
		w, _ := b.ask(t, upload(t, "/scopes/x/add", "../../etc/passwd.csv", "displayName,userPrincipalName\nAda,ada@b.example\nBob,bob@b.example\n", fields))
		wantStatus(t, w, http.StatusSeeOther)
		if got := b.shelf.scopes["x"].Scope.Include[0].Lines; !slices.Equal(got, []string{"ada@b.example", "bob@b.example"}) {
			t.Errorf("lines = %q", got)
		}
	})
	t.Run("a large one", func(t *testing.T) {
		t.Parallel()
		b := newBuilder(mine("x", ""))
		w, _ := b.ask(t, upload(t, "/scopes/x/add", "list.txt", strings.Repeat("someone.with.a.long.name@a-long-domain.example\n", 60_000), fields))
		wantStatus(t, w, http.StatusSeeOther)
		if got := len(b.shelf.scopes["x"].Scope.Include[0].Lines); got != 60_000 {
			t.Errorf("%d lines", got)
		}
	})
	refused := map[string]struct {
		content, pasted string
		says            string
	}{
		"a workbook":     {"PK\x03\x04\x00\x00", "", "no text"},
		"both ways":      {"a@b.example", "c@d.example", "not both"},
		"too many lines": {strings.Repeat("a@b.example\n", directory.MaxLines+1), "", "100,000"},
	}
	for name, tt := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(mine("x", ""))
			w, doc := b.ask(t, upload(t, "/scopes/x/add", "f", tt.content, url.Values{"kind": {"list"}, "side": {"include"}, "lines": {tt.pasted}}))
			wantStatus(t, w, http.StatusUnprocessableEntity)
			if got := doc.Find("#lines-error").Text(); !strings.Contains(got, tt.says) {
				t.Errorf("beside the field stands %q, want %q", got, tt.says)
			}
			if got := doc.Find("textarea[name=lines]").Text(); got != tt.pasted {
				t.Errorf("the field holds %q, want what was pasted", got)
			}
		})
	}
	t.Run("more than a form may have", func(t *testing.T) {
		t.Parallel()
		b := newBuilder(mine("x", ""))
		w, doc := b.ask(t, upload(t, "/scopes/x/add", "f", strings.Repeat("x", maxUpload), fields))
		wantStatus(t, w, http.StatusUnprocessableEntity)
		if !strings.Contains(doc.Text(), "too large: it may have 8192 KB") {
			t.Error("the page does not say how large it may be")
		}
		w, doc = b.ask(t, upload(t, "/scopes/x/save", "f", strings.Repeat("x", maxBody), fields))
		wantStatus(t, w, http.StatusUnprocessableEntity)
		if !strings.Contains(doc.Text(), "too large: it may have 64 KB") {
			t.Error("another form took as much as a list")
		}
	})
}

func TestThePageShowsHostileNamesAsText(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script>`
	list := directory.Source{Kind: directory.ListSource, Lines: []string{evil, "ada@b.example", "see the other sheet"}}
	filter := directory.Source{Kind: directory.FilterSource, Filter: "city eq '" + evil + "'"}
	x := mine("x", evil, directory.Source{Kind: directory.GroupSource, ID: "g", Name: evil}, list, filter)
	b := newBuilder(x)
	for _, path := range []string{"/scopes/x", "/scopes", "/scopes/x?counts=1"} {
		w, doc := b.get(t, path, false)
		wantStatus(t, w, http.StatusOK)
		if doc.Find("script:not([src])").Length() != 0 {
			t.Errorf("%s: a name became an element", path)
		}
	}
	_, doc := b.get(t, "/scopes/x", false)
	if got := doc.Find(".problem").Length(); got != 2 {
		t.Errorf("%d odd lines are named, want 2", got)
	}
	if got := doc.Find(".problem").Last().Text(); !strings.Contains(got, "Line 3") || !strings.Contains(got, "see the other sheet") {
		t.Errorf("the last odd line is said to be %q", got)
	}
}

func TestCountsComeAfterwardsAndWithoutScriptsOnDemand(t *testing.T) {
	t.Parallel()
	x := mine("x", "", group("g"), directory.Source{Kind: directory.RoleSource, ID: "r", Name: "R"})
	x.Scope.Exclude = []directory.Source{{Kind: directory.UserSource, ID: "u", Name: "U"}}
	b := newBuilder(x)
	_, doc := b.get(t, "/scopes/x", false)
	if got := doc.Find("#sources").AttrOr("hx-get", ""); got != "/scopes/x?counts=1" {
		t.Errorf("the counts are asked for at %q", got)
	}
	for _, fragment := range []bool{true, false} {
		w, doc := b.get(t, "/scopes/x?counts=1", fragment)
		wantStatus(t, w, http.StatusOK)
		if got := doc.Find("h1").Length(); got == 1 == fragment {
			t.Errorf("fragment %v: %d headings", fragment, got)
		}
		if _, again := doc.Find("#sources").Attr("hx-get"); again {
			t.Error("the counts ask for themselves again")
		}
		people := doc.Find("td[data-label=People]")
		if got := strings.TrimSpace(people.Eq(0).Text()); got != "1,600" {
			t.Errorf("group: %q, want 1,600", got)
		}
		if got := people.Eq(1).Text(); !strings.Contains(got, "unknown") || !strings.Contains(got, "400") {
			t.Errorf("what could not be counted reads %q, want unknown and why", got)
		}
		if got := doc.Find(".panel-head .quiet").Text(); !strings.Contains(got, "about 1,600 people, without 1 source not counted") || !strings.Contains(got, "1 person") {
			t.Errorf("the sums read %q", got)
		}
	}
}

func TestSumsSayHowSureTheyAre(t *testing.T) {
	t.Parallel()
	exact := func(n int) sourceCount { return sourceCount{n: n, exact: true} }
	tests := map[string][]sourceCount{
		"":                                nil,
		"1 person":                        {exact(1)},
		"up to 1,614 people":              {exact(1600), exact(14)},
		"up to 38 people":                 {{kind: directory.ListSource, n: 38}},
		"about 1,614 people":              {exact(1600), {kind: directory.RoleSource, n: 14}},
		"not counted":                     {{kind: directory.RunSource, n: -1}},
		"12,403 people: the whole tenant": {exact(3), {kind: directory.TenantSource, n: 12403, exact: true}},
		"about 3 people, without 2 sources not counted": {exact(3), {kind: directory.RunSource, n: -1}, {err: errors.New("no answer")}},
	}
	for want, counts := range tests {
		if got := sumWords(counts); got != want {
			t.Errorf("sum of %v = %q, want %q", counts, got, want)
		}
	}
}

func TestScopesAreListedInWords(t *testing.T) {
	t.Parallel()
	b := newBuilder(theirs("shared", "All of finance", group("g")), theirs("hidden", ""), mine("draft", ""), mine("x", "Mine", group("g")))
	_, doc := b.get(t, "/scopes", false)
	if got := doc.Find("main table").First().Find("tbody tr").Length(); got != 2 {
		t.Errorf("%d saved scopes, want 2", got)
	}
	if got := doc.Find("main table").Last().Find("tbody tr").Length(); got != 1 {
		t.Errorf("%d drafts, want one's own", got)
	}
	if strings.Contains(doc.Text(), "hidden") || doc.Find(`a[href="/scopes/hidden"]`).Length() != 0 {
		t.Error("a draft of another is listed")
	}
	if !strings.Contains(doc.Find(".note").Text(), "No account is protected") {
		t.Error("the page does not warn that no account is protected")
	}
	scope := directory.Scope{
		Include: []directory.Source{{Kind: directory.TenantSource}, {Kind: directory.ListSource, Lines: []string{"a", "b"}}, {Kind: directory.FilterSource, Filter: "city eq 'Lisbon'"}},
		Exclude: []directory.Source{{Kind: directory.UserSource, Name: "ada@b.example"}},
	}
	if got, want := scopeInWords(scope), "the whole tenant; a list of 2 lines; the filter city eq 'Lisbon'; less user ada@b.example"; got != want {
		t.Errorf("in words: %q, want %q", got, want)
	}
}

func TestASignInInBetweenLeadsBackToTheForm(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/scopes/1/add": "/scopes/1", "/scopes": "/scopes", "/settings/protected": "/settings/protected", "/settings/protected/remove": "/settings/protected",
		"/users/7/revoke": "/users/7", "/me/revoke": "/me", "/runs/7/resume": "/runs/7", "/outside": "/outside", "/auth/signout": "/",
	} {
		if got := backTo(httptest.NewRequest(http.MethodPost, path, nil)); got != want {
			t.Errorf("from %s back to %s, want %s", path, got, want)
		}
	}
}
