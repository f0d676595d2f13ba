package auth

import (
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/gorilla/sessions"
)

// cookieNames are the names of the two cookies, and whether they are Secure.
//
// Over https both have the prefix __Host-: browsers then take them from this host only, over https only and for the
// whole site only, so that a neighbour on the domain cannot plant one. Over http with a loopback address (a rehearsal)
// that prefix is impossible, since it demands Secure, which not every browser sets for http://localhost. The names
// differ, and a rehearsal's cookie means nothing to a real console: cookies do not keep ports apart.
type cookieNames struct {
	session string
	pending string
	secure  bool
}

func cookieNamesFor(redirect *url.URL) cookieNames {
	if redirect.Scheme == "https" {
		return cookieNames{session: "__Host-evict", pending: "__Host-evict-signin", secure: true}
	}
	return cookieNames{session: "evict-rehearsal", pending: "evict-rehearsal-signin"}
}

// options are the attributes of both cookies. Lax, because the callback is a navigation that comes from Microsoft's
// site, and a Strict cookie would not be there. A session's cookie has no age: it ends with the browser.
func (n cookieNames) options(maxAge int) *sessions.Options {
	return &sessions.Options{Path: "/", MaxAge: maxAge, Secure: n.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// ClearCookie takes the session's cookie from the browser.
func (s *Service) ClearCookie(w http.ResponseWriter) {
	http.SetCookie(w, sessions.NewCookie(s.names.session, "", s.names.options(-1)))
}

const (
	ticketID  = 16
	ticketKey = 32
)

// ticket is what the session's cookie holds: the id of the row, and the key that opens it. The server keeps neither.
type ticket struct {
	id  []byte
	key []byte
}

func (t ticket) value() string {
	return base64.RawURLEncoding.EncodeToString(append(append([]byte{}, t.id...), t.key...))
}

func parseTicket(v string) (ticket, bool) {
	if len(v) != base64.RawURLEncoding.EncodedLen(ticketID+ticketKey) {
		return ticket{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(v)
	if err != nil {
		return ticket{}, false
	}
	return ticket{id: b[:ticketID], key: b[ticketID:]}, true
}
