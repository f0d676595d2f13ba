package auth

import (
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxReturnPath = 512

// returnPath returns the address inside the console that a sign-in goes back to: raw, if it is the path of one of the
// console's own pages, and "/" otherwise. Whatever it returns begins with exactly one slash and names no host.
func (s *Service) returnPath(raw string) string {
	const home = "/"
	if len(raw) > maxReturnPath || !plainPath(raw) {
		return home
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "" || u.Opaque != "" || u.Host != "" || u.User != nil {
		return home
	}
	// An encoded slash or dot means one thing to a router and another to a browser or proxy; no page of ours needs one.
	if u.RawPath != "" || !plainPath(u.Path) || path.Clean(u.Path) != u.Path {
		return home
	}
	if u.Path == s.callbackPath || s.callbackDir != "/" && strings.HasPrefix(u.Path, s.callbackDir+"/") {
		return home // going back into the sign-in would go round for ever
	}
	if s.match == nil || !s.match("GET", u.Path) {
		return home
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return home
	}
	out := (&url.URL{Path: u.Path, RawQuery: q.Encode()}).String()
	if len(out) > maxReturnPath || !plainPath(out) {
		return home
	}
	return out
}

// plainPath refuses what browsers read as another origin ("//host", "/\host"), and characters that hide what follows.
func plainPath(p string) bool {
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || !utf8.ValidString(p) {
		return false
	}
	return !strings.ContainsFunc(p, func(r rune) bool {
		return r == '\\' || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) ||
			unicode.Is(unicode.Zp, r)
	})
}
