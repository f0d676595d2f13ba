// Package static holds the console's own style sheet, script and icon, and the vendored htmx, and serves them under names
// that carry a hash of their content.
//
// Invariants: a name never serves two contents, so answers may be cached for ever; what is not in the table is 404;
// everything is prepared at start, so that a request only copies bytes.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// Prefix is the path under which Handler expects to be mounted.
const Prefix = "/static/"

//go:embed evict.css evict.js icon.svg vendor
var files embed.FS

type asset struct {
	contentType string
	plain       []byte
	zipped      []byte
}

// sources lists each served name and the embedded files it is made of, in order. htmx and its CSP extension are one
// file: see vendor/README.md.
var sources = map[string][]string{
	"evict.css": {"evict.css"},
	"evict.js":  {"evict.js"},
	"htmx.js":   {"vendor/htmx.min.js", "vendor/hx-csp.min.js"},
	"icon.svg":  {"icon.svg"},
}

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

var urls, assets = prepare()

// URL returns the address of an asset by its plain name, such as "evict.css". It panics on a name that does not exist:
// names are constants of the program, so that is a mistake in it.
func URL(name string) string {
	u, ok := urls[name]
	if !ok {
		panic("static: no asset named " + strconv.Quote(name))
	}
	return u
}

// Size returns how many bytes an asset takes over the wire, compressed. It panics on a name that does not exist.
func Size(name string) int {
	return len(assets[URL(name)].zipped)
}

// Handler serves the assets below Prefix: GET and HEAD only, compressed where the client accepts gzip, cacheable for a
// year. It looks at the whole request path, so mount it without stripping Prefix.
func Handler() http.Handler {
	return http.HandlerFunc(serve)
}

func serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	a, ok := assets[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept-Encoding")
	body := a.plain
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = a.zipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // a client that went away needs no answer
}

// acceptsGzip tells whether an Accept-Encoding header names gzip with a quality above zero.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(part, ";")
		if strings.TrimSpace(coding) != "gzip" {
			continue
		}
		key, value, found := strings.Cut(strings.TrimSpace(params), "=")
		if !found || strings.TrimSpace(key) != "q" {
			return true
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		return err == nil && q > 0
	}
	return false
}

func prepare() (map[string]string, map[string]asset) {
	byName := make(map[string]string, len(sources))
	byPath := make(map[string]asset, len(sources))
	for name, parts := range sources {
		var body []byte
		for _, part := range parts {
			b, err := files.ReadFile(part)
			if err != nil {
				panic(fmt.Sprintf("static: reading embedded %s: %v", part, err)) // cannot happen: the build embeds it
			}
			body = append(append(body, b...), '\n')
		}
		ext := path.Ext(name)
		sum := sha256.Sum256(body)
		u := Prefix + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		byName[name] = u
		byPath[u] = asset{contentType: contentTypes[ext], plain: body, zipped: zip(body)}
	}
	return byName, byPath
}

func zip(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic("static: " + err.Error()) // the level is a constant that exists
	}
	if _, err := w.Write(body); err != nil {
		panic("static: " + err.Error()) // a bytes.Buffer does not fail
	}
	if err := w.Close(); err != nil {
		panic("static: " + err.Error())
	}
	return b.Bytes()
}
