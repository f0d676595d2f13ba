package entrasim

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/google/uuid"
)

//go:embed pages
var pageFiles embed.FS

var templates = sync.OnceValues(func() (map[string]*template.Template, error) {
	out := map[string]*template.Template{}
	for _, name := range []string{"accounts", "message", "formpost", "home", "knobs", "victim"} {
		t, err := template.ParseFS(pageFiles, "pages/layout.html", "pages/"+name+".html")
		if err != nil {
			return nil, err
		}
		out[name] = t
	}
	return out, nil
})

// layout is what every page has.
type layout struct {
	Title, Tenant, Home string
	Script              string
	Refresh             bool // reload without JavaScript
	Data                any
}

// page renders into a buffer first, so that an error never leaves half a page. target is a further origin to which a
// form on the page may lead, because browsers hold a redirect after a form against form-action.
func (s *Sim) page(w http.ResponseWriter, status int, name, target string, l layout) {
	l.Tenant, l.Home = s.tenant.name, s.BrowserURL()+"/"
	var buf bytes.Buffer
	all, err := templates()
	if err == nil {
		err = all[name].ExecuteTemplate(&buf, "layout", l)
	}
	if err != nil {
		s.log.Error("simulator page not rendered", "page", name, "error", err)
		http.Error(w, "the simulator could not render this page", http.StatusInternalServerError)
		return
	}
	pageHeaders(w, target)
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // the client may be gone
}

func pageHeaders(w http.ResponseWriter, target string) {
	form := "'self'"
	if u, err := url.Parse(target); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && !strings.ContainsAny(u.Host, " ;,'\"") {
		form += " " + u.Scheme + "://" + u.Host
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "+
		"base-uri 'none'; frame-ancestors 'none'; form-action "+form)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

func (s *Sim) asset(name, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		b, err := pageFiles.ReadFile("pages/" + name)
		if err != nil {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(b) // the client may be gone
	}
}

type messageData struct {
	Heading, Text, Detail string
	Bad                   bool
}

// signInErrorPage shows an error that must not be sent back to the client.
func (s *Sim) signInErrorPage(w http.ResponseWriter, _ *http.Request, e *aadError) {
	s.page(w, http.StatusBadRequest, "message", "", layout{Title: "Sign-in failed", Data: messageData{
		Heading: "The sign-in failed", Bad: true,
		Text:   "The simulated sign-in service refused the request.",
		Detail: e.description(uuid.NewString(), uuid.NewString(), s.now()),
	}})
}

func (s *Sim) signedOutPage(w http.ResponseWriter, _ *http.Request) {
	s.page(w, http.StatusOK, "message", "", layout{Title: "Signed out", Data: messageData{
		Heading: "You signed out of the simulated account", Text: "It is safe to close this window.",
	}})
}

type field struct{ Name, Value string }

func (s *Sim) formPostPage(w http.ResponseWriter, _ *http.Request, q *authRequest, v url.Values) {
	data := struct {
		Action string
		Fields []field
	}{Action: q.redirectURI}
	for k := range v {
		data.Fields = append(data.Fields, field{k, v.Get(k)})
	}
	s.page(w, http.StatusOK, "formpost", q.redirectURI, layout{Title: "Signing in", Script: "post.js", Data: data})
}

type accountsData struct {
	App, Query, Action string
	Fields             []field
	Current            *Person
	Found              []Person
	Cast               []castGroup
	Searched           bool
	More               bool
}

const searchShown = 25

// accountsPage offers the tenant's people: the cast first, and a search over everybody.
func (s *Sim) accountsPage(w http.ResponseWriter, r *http.Request, q *authRequest, sso *grant) {
	d := accountsData{App: q.app.Name, Query: r.Form.Get("sim_q")}
	base := url.Values{}
	for k, v := range q.query {
		if !strings.HasPrefix(k, "sim_") {
			base[k] = v
			d.Fields = append(d.Fields, field{k, q.query.Get(k)})
		}
	}
	d.Action = q.path + "?" + base.Encode()
	s.mu.RLock()
	if sso != nil {
		p := s.person(sso.user)
		d.Current = &p
	}
	if d.Query == "" && q.loginHint != "" {
		d.Query = q.loginHint
	}
	if d.Query != "" {
		d.Searched = true
		d.Found, d.More = s.searchPeople(d.Query)
	}
	d.Cast = s.castGroups()
	s.mu.RUnlock()
	s.page(w, http.StatusOK, "accounts", q.redirectURI, layout{Title: "Simulated sign-in", Data: d})
}

// castGroups takes snapshots of the cast for a page. Callers hold s.mu.
func (s *Sim) castGroups() []castGroup {
	var out []castGroup
	for _, c := range s.tenant.castOrder {
		if len(out) == 0 || out[len(out)-1].Title != c.group {
			out = append(out, castGroup{Title: c.group})
		}
		last := &out[len(out)-1]
		last.People = append(last.People, s.person(c.user))
	}
	return out
}

// searchPeople finds people by a part of their name or user principal name. Callers hold s.mu.
func (s *Sim) searchPeople(query string) (found []Person, more bool) {
	q := strings.ToLower(strings.TrimSpace(query))
	for _, u := range s.tenant.users {
		if !strings.Contains(strings.ToLower(u.name), q) && !strings.Contains(strings.ToLower(u.upn), q) && !sameID(u.id, q) {
			continue
		}
		if len(found) == searchShown {
			return found, true
		}
		found = append(found, s.person(u))
	}
	return found, false
}
