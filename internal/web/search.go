package web

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"evict/internal/directory"
	"evict/internal/fault"
	"evict/web/templates"

	"github.com/go-chi/chi/v5"
)

// search answers the search page, and its fragment for search as you type.
func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	query := strings.TrimSpace(r.URL.Query().Get(templates.FieldQuery))
	results, err := s.lookUp(r, query)
	if err != nil {
		return err
	}
	if isFragment(r) {
		return render(w, r, http.StatusOK, templates.SearchResultsList(results))
	}
	page := s.frame(r, "Search")
	page.SearchQuery = query
	return render(w, r, http.StatusOK, templates.Search(templates.SearchPage{Page: page, Results: results}))
}

// lookUp searches the directory, within the operator's limit of searches.
func (s *Server) lookUp(r *http.Request, query string) (templates.SearchResults, error) {
	v := at(r)
	if utf8.RuneCountInString(query) < 2 {
		return templates.SearchResults{Query: query, TooShort: true}, nil
	}
	if err := s.limits.search.take(v.who.OID); err != nil {
		return templates.SearchResults{}, err
	}
	found, err := s.Directory.Search(r.Context(), v.tokens(), query)
	if fault.KindOf(err) == fault.Invalid {
		_, e := classify(err)
		found, err = directory.Found{Unread: []directory.Unread{{What: "this search", Why: e.Message}}}, nil
	}
	return newSearchResults(query, found), err
}

const hitsShown = 10 // of each kind

func newSearchResults(query string, f directory.Found) templates.SearchResults {
	out := templates.SearchResults{Query: query}
	for _, u := range f.Users {
		out.Users = append(out.Users, templates.Hit{Name: orElse(u.Name, u.UPN), Detail: u.UPN, Href: "/users/" + u.ID, Flags: hitFlags(u), ID: u.ID})
	}
	for _, g := range f.Groups {
		h := templates.Hit{Name: g.Name, Detail: orElse(g.Description, g.ID), Href: "/groups/" + g.ID, ID: g.ID}
		if g.RoleAssignable == directory.Yes {
			h.Flags = append(h.Flags, templates.Tag{Label: "role-assignable", Tone: templates.ToneWarn})
		}
		out.Groups = append(out.Groups, h)
	}
	for _, x := range f.Roles {
		h := templates.Hit{Name: x.Name, Detail: x.Description, Href: "/roles/" + x.TemplateID, ID: x.TemplateID}
		if x.Privileged == directory.Yes {
			h.Flags = append(h.Flags, templates.Tag{Label: "privileged", Tone: templates.ToneWarn})
		}
		out.Roles = append(out.Roles, h)
	}
	out.Unread = unreadParts(f.Unread)
	if max(len(out.Users), len(out.Groups), len(out.Roles)) > hitsShown {
		out.More = fmt.Sprintf("There are more: only the first %d of each kind are shown. Type more of the name.", hitsShown)
	}
	out.Users, out.Groups, out.Roles = first(out.Users), first(out.Groups), first(out.Roles)
	return out
}

func first(hits []templates.Hit) []templates.Hit { return hits[:min(len(hits), hitsShown)] }

func hitFlags(u directory.User) []templates.Tag {
	var tags []templates.Tag
	if u.SignsInElsewhere() == directory.Yes {
		tags = append(tags, templates.Tag{Label: "external", Tone: templates.ToneWarn})
	}
	if u.Enabled == directory.No {
		tags = append(tags, templates.Tag{Label: "disabled"})
	}
	return tags
}

func (s *Server) showGroup(w http.ResponseWriter, r *http.Request) error {
	v := at(r)
	g, err := s.Directory.Group(r.Context(), v.session.Tokens(), chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	page := newGroupPage(g)
	page.Page = s.frame(r, g.Group.Name)
	page.Bulk = bulkStart(v.who, "Revoke this group…", directory.GroupSource, g.Group.ID)
	return render(w, r, http.StatusOK, templates.Group(page))
}

func newGroupPage(g directory.GroupPage) templates.GroupPage {
	page := templates.GroupPage{Name: g.Group.Name, ID: g.Group.ID, MembersUnread: showUnread(g.Unread)}
	add := func(label, text string) {
		if text != "" {
			page.Facts = append(page.Facts, templates.Fact{Label: label, Value: templates.Value{Text: text}})
		}
	}
	add("Description", g.Group.Description)
	add("Mail", g.Group.Mail)
	add("Membership", map[directory.Tri]string{directory.Yes: "dynamic, by a rule", directory.No: "assigned", directory.Unknown: "assigned or dynamic: unknown"}[g.Group.Dynamic])
	if g.Count >= 0 {
		add("People", fmt.Sprintf("%d, nested groups included", g.Count))
		page.Shown = fmt.Sprintf("First %d of %d people, through nested groups too", len(g.Members), g.Count)
	}
	if g.Group.RoleAssignable == directory.Yes {
		page.Tags = append(page.Tags, templates.Tag{Label: "role-assignable", Tone: templates.ToneWarn})
		page.Notes = append(page.Notes, templates.Note{Title: "Role-assignable group", Text: "Its members and owners count as administrators: only a Privileged Authentication Administrator or a Global Administrator may revoke their sessions."})
	}
	if g.Group.HiddenMembership == directory.Yes {
		page.Tags = append(page.Tags, templates.Tag{Label: "hidden membership", Tone: templates.ToneWarn})
	}
	for _, u := range g.Members {
		page.Members = append(page.Members, templates.MemberRow{
			Person: templates.Person{Name: u.Name, UPN: u.UPN, ID: u.ID, Href: "/users/" + u.ID}, Flags: hitFlags(u),
		})
	}
	return page
}

func (s *Server) showRole(w http.ResponseWriter, r *http.Request) error {
	v := at(r)
	role, err := s.Directory.Role(r.Context(), v.session.Tokens(), chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	page := newRolePage(role)
	page.Page = s.frame(r, role.Role.Name)
	page.Bulk = bulkStart(v.who, "Revoke holders…", directory.RoleSource, role.Role.TemplateID)
	return render(w, r, http.StatusOK, templates.Role(page))
}

func newRolePage(x directory.RolePage) templates.RolePage {
	page := templates.RolePage{
		Name: x.Role.Name, ID: x.Role.TemplateID, Description: x.Role.Description, AsTarget: directory.AsTarget(x.Role),
	}
	if x.Role.Privileged == directory.Yes {
		page.Tags = append(page.Tags, templates.Tag{Label: "privileged", Tone: templates.ToneWarn})
	}
	for _, h := range x.Holders {
		row := templates.HolderRow{Kind: holderKind(h.Kind), Name: orElse(h.Name, h.ID), Detail: orElse(h.UPN, h.ID), Scope: scopeWords(h.Scope, "")}
		switch h.Kind {
		case "user":
			row.Href = "/users/" + h.ID
		case "group":
			row.Href = "/groups/" + h.ID
		}
		switch {
		case h.Kind == "servicePrincipal":
			page.Apps = append(page.Apps, row)
		case h.How == directory.Eligible:
			page.Eligible = append(page.Eligible, row)
		default:
			page.Active = append(page.Active, row)
		}
	}
	page.EligibleUnread = whyUnread(x.Unread, "eligible")
	for _, u := range x.Unread {
		if !strings.Contains(strings.ToLower(u.What), "eligible") {
			page.ActiveUnread = joinNonEmpty(" ", page.ActiveUnread, u.What+": "+u.Why+".", u.Fix)
		}
	}
	return page
}

func holderKind(kind string) string {
	return map[string]string{"user": "user", "group": "group", "servicePrincipal": "service principal"}[kind]
}
