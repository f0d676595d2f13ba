package graph

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// maxClaims bounds a claims challenge, encoded. It goes into an address of the sign-in page.
const maxClaims = 8 << 10

// claimsOf returns the decoded JSON of the first Bearer claims challenge in WWW-Authenticate headers, or "". There may
// be several headers and several challenges in one, in any order of fields (Microsoft Learn, Claims challenges).
func claimsOf(headers []string) string {
	for _, h := range headers {
		for _, c := range challenges(h) {
			if strings.EqualFold(c.scheme, "Bearer") {
				if claims := decodedClaims(c.params["claims"]); claims != "" {
					return claims
				}
			}
		}
	}
	return ""
}

// decodedClaims takes base64 in any of its alphabets, padded or not, or the JSON itself; only an object passes.
func decodedClaims(s string) string {
	if s == "" || len(s) > maxClaims {
		return ""
	}
	if object(s) {
		return s
	}
	s = strings.TrimRight(s, "=")
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := enc.DecodeString(s); err == nil && object(string(b)) {
			return string(b)
		}
	}
	return ""
}

func object(s string) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal([]byte(s), &m) == nil && m != nil
}

// challenge is one of a WWW-Authenticate header; parameter names are lower case.
type challenge struct {
	scheme string
	params map[string]string
}

// challenges reads a header value by the grammar of RFC 9110, section 11.6.1, as far as it holds; where it breaks, the
// rest is dropped.
func challenges(header string) []challenge {
	var out []challenge
	r := &reader{s: header}
	for {
		r.skip(" \t,")
		name := r.token()
		if name == "" {
			return out
		}
		r.skip(" \t")
		if len(out) == 0 || !r.at('=') {
			out = append(out, challenge{scheme: name, params: map[string]string{}})
			r.token68()
			continue
		}
		r.i++ // the equals sign
		r.skip(" \t")
		value, ok := r.value()
		if !ok {
			return out
		}
		params := out[len(out)-1].params
		if _, twice := params[strings.ToLower(name)]; !twice {
			params[strings.ToLower(name)] = value
		}
	}
}

// reader walks over a header value.
type reader struct {
	s string
	i int
}

func (r *reader) at(c byte) bool { return r.i < len(r.s) && r.s[r.i] == c }

func (r *reader) skip(set string) {
	for r.i < len(r.s) && strings.IndexByte(set, r.s[r.i]) >= 0 {
		r.i++
	}
}

// token reads an RFC 9110 token, or nothing.
func (r *reader) token() string {
	from := r.i
	for r.i < len(r.s) && isTokenByte(r.s[r.i]) {
		r.i++
	}
	return r.s[from:r.i]
}

func isTokenByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// token68 passes over credentials of the old form ("Basic QWxh...=="), which end at a comma. A parameter is left alone.
func (r *reader) token68() {
	from := r.i
	for r.i < len(r.s) && (isTokenByte(r.s[r.i]) || r.s[r.i] == '/') {
		r.i++
	}
	r.skip("=")
	r.skip(" \t")
	if r.i < len(r.s) && r.s[r.i] != ',' {
		r.i = from
	}
}

// value reads a token or a quoted string.
func (r *reader) value() (string, bool) {
	if !r.at('"') {
		v := r.token()
		return v, v != ""
	}
	r.i++
	var b strings.Builder
	for r.i < len(r.s) {
		c := r.s[r.i]
		r.i++
		switch {
		case c == '"':
			return b.String(), true
		case c == '\\' && r.i < len(r.s):
			b.WriteByte(r.s[r.i])
			r.i++
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
