package web

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"evict/internal/directory"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

var fullWords = fmt.Sprintf("A scope has at most %d sources. Remove one, or put people together in a list.", directory.MaxSources)

// bulkStart is the button that begins a scope from a page, for those who may.
func bulkStart(who operator.Operator, label string, kind directory.SourceKind, id string) templates.BulkStart {
	if !who.Roles.MayOpen("scope.new") {
		return templates.BulkStart{}
	}
	return templates.BulkStart{Label: label, Action: "/scopes", Kind: string(kind), ID: id}
}

// newScopesPage lists what me may open: scopes with a title, and their own drafts.
func newScopesPage(list []revoke.SavedScope, me string, now time.Time) templates.ScopesPage {
	page := templates.ScopesPage{NewAction: "/scopes"}
	for _, x := range list {
		row := templates.ScopeRow{
			Title: x.Title, Href: "/scopes/" + x.ID, Owner: showOwner(x.Owner), Mine: x.Owner.OID == me,
			What: scopeInWords(x.Scope), Updated: showTime(x.UpdatedAt, now),
		}
		switch {
		case x.Title != "":
			page.Saved = append(page.Saved, row)
		case row.Mine:
			page.Drafts = append(page.Drafts, row)
		}
	}
	return page
}

func showOwner(p revoke.Person) templates.Person {
	return templates.Person{Name: p.Name, UPN: p.UPN, ID: p.OID}
}

// newScopePage builds the builder. For whom the scope is not, it offers no change.
func newScopePage(x revoke.SavedScope, me string, now time.Time) templates.ScopePage {
	here := "/scopes/" + x.ID
	version := strconv.Itoa(x.Version)
	page := templates.ScopePage{
		Title: x.Title, Owner: showOwner(x.Owner), Mine: x.Owner.OID == me, Updated: showTime(x.UpdatedAt, now),
		Sources: templates.ScopeSources{
			Version: version, Include: sourceRows(x.Scope.Include, templates.SideInclude),
			Exclude: sourceRows(x.Scope.Exclude, templates.SideExclude),
		},
		CopyAction: here + "/copy",
	}
	if len(x.Scope.Include)+len(x.Scope.Exclude) > 0 {
		page.Sources.CountHref = here + "?counts=1"
	}
	if !page.Mine {
		page.Options = optionWords(x.Options)
		return page
	}
	page.Sources.RemoveAction, page.DeleteAction = here+"/remove", here+"/delete"
	page.Settings = &templates.ScopeSettings{
		SaveAction: here + "/save", PreviewAction: here + "/preview", Version: version, Title: x.Title,
		External: x.Options.IncludeExternal, Self: x.Options.IncludeSelf, CanPreview: len(x.Scope.Include) > 0,
	}
	page.Add = &templates.ScopeAdd{
		Action: here + "/add", Find: templates.FindForm{Href: here},
		LinesHint: fmt.Sprintf("Up to %s lines, or %d MB. What is nobody's name is listed as not found.",
			thousands(directory.MaxLines), maxUpload>>20),
		Filter: filterForm(),
		Tenant: !slices.ContainsFunc(x.Scope.Include, isTenant),
	}
	if len(x.Scope.Include)+len(x.Scope.Exclude) >= directory.MaxSources {
		page.Add.Full = fullWords
	}
	return page
}

func isTenant(s directory.Source) bool { return s.Kind == directory.TenantSource }

func filterForm() templates.FilterForm {
	f := templates.FilterForm{Max: directory.MaxFilter, ValueHint: "Where the choice ends in “…”. A date as 2026-03-01."}
	for _, ready := range directory.ReadyFilters() {
		label := ready.Label
		if ready.Value != "" {
			label += " …"
		}
		f.Readies = append(f.Readies, templates.Option{Value: ready.Key, Label: label})
	}
	return f
}

// optionWords says which people are in who are usually left out.
func optionWords(o revoke.PlanOptions) []string {
	var out []string
	if o.IncludeExternal {
		out = append(out, "External accounts are included: each ends as “not covered”.")
	}
	if o.IncludeSelf {
		out = append(out, "Its owner is included, last. In your copy you are not.")
	}
	for _, f := range o.Without {
		out = append(out, "Left out: everybody who is "+string(f)+".")
	}
	return out
}

const linesShown = 20 // of a list, on the page

func sourceRows(list []directory.Source, side string) []templates.SourceRow {
	var out []templates.SourceRow
	for i, source := range list {
		row := templates.SourceRow{
			At: side + "." + strconv.Itoa(i), Kind: string(source.Kind),
			Name: orElse(source.Name, source.ID), Detail: sourceDetail(source),
		}
		switch source.Kind {
		case directory.UserSource:
			row.Href = "/users/" + source.ID
		case directory.GroupSource:
			row.Href = "/groups/" + source.ID
		case directory.RoleSource:
			if row.Href = "/roles/" + source.ID; source.ID == directory.AnyRole {
				row.Name, row.Href = anyRoleWords, ""
			}
		case directory.RunSource:
			row.Href = "/runs/" + source.ID
		case directory.FilterSource:
			row.Name, row.Filter = "", source.Filter
		case directory.ListSource:
			row.Name, row.Problems = strings.TrimPrefix(listName(source), "list of "), oddLines(source.Lines)
			row.Lines = source.Lines[:min(len(source.Lines), linesShown)]
			if more := len(source.Lines) - len(row.Lines); more > 0 {
				row.More = "and " + thousands(more) + " more"
			}
		case directory.TenantSource:
			row.Name = "Whole tenant"
		case directory.UnitSource:
		}
		out = append(out, row)
	}
	return out
}

func sourceDetail(source directory.Source) string {
	switch source.Kind {
	case directory.GroupSource:
		return "with nested groups"
	case directory.RoleSource:
		if len(source.Ways) == 1 {
			return string(source.Ways[0]) + " holders only, also through groups"
		}
		return "active and eligible holders, also through groups"
	case directory.UnitSource:
		return "its members"
	case directory.TenantSource:
		return "every user"
	case directory.RunSource:
		return outcomeWords(source.Outcomes)
	case directory.UserSource, directory.FilterSource, directory.ListSource:
	}
	return ""
}

func outcomeWords(outcomes []string) string {
	if len(outcomes) == 0 {
		return "all its targets"
	}
	return "its targets that ended " + strings.Join(outcomes, ", ")
}

// anyRoleWords names every directory role in a table whose kind says "role".
const anyRoleWords = "Every directory role"

// meansAnyRole reports whether who typed this into the finder may want everyone who holds a directory role: whole words
// that say so, alone.
func meansAnyRole(query string) bool {
	switch strings.Join(strings.Fields(strings.ToLower(query)), " ") {
	case "admin", "admins", "administrator", "administrators", "all admins", "all administrators", "every admin",
		"role", "roles", "any role", "all roles", "every role", "directory role", "directory roles", "every directory role",
		"all directory roles", "any directory role", "privileged":
		return true
	}
	return false
}

func listName(source directory.Source) string {
	return orElse(source.Name, "list of "+counted(len(source.Lines), "line"))
}

const oddShown = 5

// oddLines says how many lines of a list can be nobody's name, and quotes the first.
func oddLines(lines []string) []string {
	var out []string
	n := 0
	for i, line := range lines {
		if directory.IsID(line) || strings.Contains(line, "@") && !strings.Contains(line, " ") {
			continue
		}
		if n++; n <= oddShown {
			out = append(out, fmt.Sprintf("Line %s is no sign-in name, address or object id: “%s”.",
				thousands(i+1), cut(line, 60)))
		}
	}
	if n > oddShown {
		out = append(out, fmt.Sprintf("And %s more. All of them will be listed as not found.", thousands(n-oddShown)))
	}
	return out
}

// cut shortens a text to about n bytes, at the border of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// sourceWords names a source in a sentence: "group Finance".
func sourceWords(source directory.Source) string {
	switch source.Kind {
	case directory.FilterSource:
		return "the filter " + cut(source.Filter, 80)
	case directory.ListSource:
		return "a " + listName(source)
	case directory.TenantSource:
		return "the whole tenant"
	case directory.RunSource:
		return "run " + orElse(source.Name, source.ID) + ", " + outcomeWords(source.Outcomes)
	case directory.RoleSource:
		if source.ID == directory.AnyRole {
			return "everyone who holds a directory role"
		}
	case directory.UserSource, directory.GroupSource, directory.UnitSource:
	}
	return string(source.Kind) + " " + orElse(source.Name, source.ID)
}

const sourcesSaid = 5

// scopeInWords says in a line what a scope includes: "role Global Administrator; group Finance; less user Ada".
func scopeInWords(scope directory.Scope) string {
	if len(scope.Include) == 0 {
		return "nobody yet"
	}
	words := listWords(scope.Include)
	if len(scope.Exclude) > 0 {
		words += "; less " + listWords(scope.Exclude)
	}
	return words
}

func listWords(list []directory.Source) string {
	var out []string
	for _, source := range list[:min(len(list), sourcesSaid)] {
		out = append(out, sourceWords(source))
	}
	if more := len(list) - len(out); more > 0 {
		out = append(out, strconv.Itoa(more)+" more")
	}
	return strings.Join(out, "; ")
}

// sourceCount is what counting a source came to.
type sourceCount struct {
	kind  directory.SourceKind
	n     int // -1: not known
	exact bool
	err   error
}

func (c sourceCount) known() bool { return c.err == nil && c.n >= 0 }

// open reports whether there may be more people than were counted. Of a list there may be fewer.
func (c sourceCount) open() bool { return !c.exact && c.kind != directory.ListSource }

// number is the count for a table; "" when there is none.
func (c sourceCount) number() string {
	switch n := thousands(c.n); {
	case !c.known():
		return ""
	case c.open():
		return n + " or more"
	case !c.exact:
		return "up to " + n
	default:
		return n
	}
}

func people(n int) string {
	if n == 1 {
		return "1 person"
	}
	return thousands(n) + " people"
}

// why says for a person why there is no count.
func (c sourceCount) why() string {
	if c.known() {
		return ""
	}
	if c.err == nil {
		return "The preview counts it."
	}
	if reauth, ok := errors.AsType[*operator.ReauthError](c.err); ok {
		if reauth.Consent {
			return "The app has no consent to read it."
		}
		return "Microsoft asks you to sign in again first."
	}
	if errors.Is(c.err, context.DeadlineExceeded) {
		return "Counting took too long. The preview reads it whole."
	}
	_, e := classify(c.err)
	return orElse(e.Message, "It could not be read.")
}

// showCounts fills the counts into both lists. They come in order: first those of Include, then those of Exclude.
func showCounts(view *templates.ScopeSources, counts []sourceCount) {
	view.CountHref = ""
	fill := func(rows []templates.SourceRow, counts []sourceCount) string {
		for i, c := range counts {
			rows[i].Count, rows[i].CountWhy = c.number(), c.why()
		}
		return sumWords(counts)
	}
	n := len(view.Include)
	view.IncludeSum, view.ExcludeSum = fill(view.Include, counts[:n]), fill(view.Exclude, counts[n:])
}

// sumWords says how many people several sources lead to. Who is in more than one is counted in each.
func sumWords(counts []sourceCount) string {
	sum, missing, open := 0, 0, false
	for _, c := range counts {
		switch {
		case !c.known():
			missing++
			continue
		case c.kind == directory.TenantSource:
			return people(c.n) + ": the whole tenant"
		}
		sum, open = sum+c.n, open || c.open()
	}
	switch {
	case len(counts) == 0:
		return ""
	case missing == len(counts):
		return "not counted"
	case missing > 0:
		return "about " + people(sum) + ", without " + counted(missing, "source") + " not counted"
	case open:
		return "about " + people(sum)
	case len(counts) == 1 && counts[0].exact:
		return people(sum)
	}
	return "up to " + people(sum)
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return thousands(n) + " " + word + "s"
}

// thousands writes a number with separators: 12,403.
func thousands(n int) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// matchWords says how many people a filter finds.
func matchWords(n int) string {
	if n == 1 {
		return "1 person matches"
	}
	return people(n) + " match"
}
