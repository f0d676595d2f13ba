package web

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/a-h/templ"

	"evict/internal/fault"
	"evict/internal/operator"
	"evict/web/static"
	"evict/web/templates"
)

// frame is what every page has around it: title, band, navigation and who is signed in.
func (s *Server) frame(r *http.Request, title string) templates.Page {
	v := at(r)
	p := templates.Page{
		Title: title, Rehearsal: s.Rehearsal, CSPNonce: v.nonce, NowISO: s.Now().UTC().Format("2006-01-02T15:04:05Z"),
		Assets: templates.Assets{
			CSS: static.URL("evict.css"), HTMX: static.URL("htmx.js"), JS: static.URL("evict.js"), Icon: static.URL("icon.svg"),
		},
	}
	if !s.Rehearsal {
		p.Tenant = s.TenantName()
	}
	if v.session == nil {
		return p
	}
	p.Operator = &templates.OperatorBadge{Name: v.who.Name, UPN: v.who.UPN, Roles: v.who.Roles.Short()}
	p.CanSearch = v.who.Roles.MayOpen("search")
	for _, n := range []struct{ route, label, href string }{
		{"home", "Home", "/"}, {"scopes", "Bulk", "/scopes"}, {"runs", "Runs", "/runs"}, {"ledger", "Ledger", "/ledger"},
		{"protected", "Settings", "/settings/protected"}, {"me", "My sessions", "/me"},
	} {
		if v.who.Roles.MayOpen(n.route) {
			p.Nav = append(p.Nav, templates.NavItem{Label: n.label, Href: n.href, Current: n.href == section(r.URL.Path, v.who)})
		}
	}
	return p
}

// section is the entry of the navigation to which a page belongs. Who may open no scopes comes to a plan from its run.
func section(path string, who operator.Operator) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "plans":
		if who.Roles.MayOpen("scopes") {
			return "/scopes"
		}
		return "/runs"
	case "settings":
		return "/settings/protected"
	case "outside":
		return "/ledger"
	default:
		return "/" + first
	}
}

// render writes a whole page, or nothing: a component that fails becomes an error before the first byte.
func render(w http.ResponseWriter, r *http.Request, status int, c templ.Component) error {
	var b bytes.Buffer
	if err := c.Render(r.Context(), &b); err != nil {
		return fault.Wrap(fault.Internal, "rendering the page", err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Add("Vary", "HX-Request")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the reader has gone: nobody is left to tell
	return nil
}
