package static_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"evict/web/static"
)

func get(t *testing.T, method, path, encoding string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	if encoding != "" {
		r.Header.Set("Accept-Encoding", encoding)
	}
	w := httptest.NewRecorder()
	static.Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestAssetsAreServedUnderHashedNamesForever(t *testing.T) {
	t.Parallel()
	hashed := regexp.MustCompile(`^/static/[a-z]+\.[0-9a-f]{12}\.(css|js|svg)$`)
	for name, contentType := range map[string]string{
		"evict.css": "text/css; charset=utf-8", "evict.js": "text/javascript; charset=utf-8",
		"htmx.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		u := static.URL(name)
		if !hashed.MatchString(u) {
			t.Errorf("URL(%q) = %q, want a hashed name", name, u)
		}
		res := get(t, http.MethodGet, u, "")
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s answers %d", u, res.StatusCode)
		}
		for header, want := range map[string]string{"Content-Type": contentType, "Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff", "Content-Encoding": ""} {
			if got := res.Header.Get(header); got != want {
				t.Errorf("%s: %s = %q, want %q", name, header, got, want)
			}
		}
	}
}

func TestWhatIsNotAnAssetIsNotFound(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/static/", "/static/evict.css", "/static/vendor/htmx.min.js", "/static/../static.go", "/", static.URL("evict.css") + "/"} {
		if got := get(t, http.MethodGet, path, "").StatusCode; got != http.StatusNotFound {
			t.Errorf("GET %s = %d, want 404", path, got)
		}
	}
	if got := get(t, http.MethodPost, static.URL("evict.css"), "").StatusCode; got != http.StatusMethodNotAllowed {
		t.Errorf("POST = %d, want 405", got)
	}
}

func TestCompressionFollowsWhatTheClientAccepts(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]string{"": "", "br": "", "gzip": "gzip", "br, gzip;q=0.5": "gzip", "gzip;q=0": "", "gzip; q=0.0, br": "", "gzip;q=x": ""} {
		if got := get(t, http.MethodGet, static.URL("htmx.js"), accept).Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: Content-Encoding = %q, want %q", accept, got, want)
		}
	}
	plain, err := io.ReadAll(get(t, http.MethodGet, static.URL("htmx.js"), "").Body)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(get(t, http.MethodGet, static.URL("htmx.js"), "gzip").Body)
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if string(plain) != string(unzipped) {
		t.Error("the compressed and the plain answer differ")
	}
}

func TestHeadAnswersWithoutABody(t *testing.T) {
	t.Parallel()
	res := get(t, http.MethodHead, static.URL("evict.js"), "")
	body, err := io.ReadAll(res.Body)
	if err != nil || len(body) != 0 {
		t.Errorf("HEAD body = %d bytes (%v), want none", len(body), err)
	}
	if res.Header.Get("Content-Length") == "0" {
		t.Error("HEAD tells a length of 0")
	}
}

func TestHTMXComesBeforeItsExtensionInOneFile(t *testing.T) {
	t.Parallel()
	body, err := io.ReadAll(get(t, http.MethodGet, static.URL("htmx.js"), "").Body)
	if err != nil {
		t.Fatal(err)
	}
	script := string(body)
	core, ext := strings.Index(script, `4.0.1`), strings.Index(script, `registerExtension("hx-csp"`)
	if core < 0 || ext < 0 || core > ext {
		t.Errorf("htmx at %d, hx-csp at %d: want both, in this order", core, ext)
	}
}

func TestAnUnknownNameIsAMistakeInTheProgram(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("URL of an unknown name did not panic")
		}
	}()
	static.URL("nothing.css")
}
