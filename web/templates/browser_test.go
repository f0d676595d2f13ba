package templates_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evict/internal/browsertest"
	"evict/web/static"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// policy is the strictest form of the product's Content-Security-Policy that the pages must hold under.
const policy = "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types htmx"

func withPolicy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		next.ServeHTTP(w, r)
	})
}

func serveFixtures(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(static.Prefix, static.Handler())
	for _, f := range fixtures() {
		mux.HandleFunc("GET /"+f.name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			if err := f.page.Render(r.Context(), w); err != nil {
				t.Errorf("rendering %s: %v", f.name, err)
			}
		})
	}
	srv := httptest.NewServer(withPolicy(mux))
	t.Cleanup(srv.Close)
	return srv
}

type view struct {
	name          string
	width, height int64
	scheme        string
}

var views = []view{{"wide-light", 1280, 800, "light"}, {"wide-dark", 1280, 800, "dark"}, {"phone-light", 390, 844, "light"}, {"phone-dark", 390, 844, "dark"}}

// TestEveryPageIsAccessibleInEveryTheme asks axe about each page and looks for errors and sideways scrolling. With
// EVICT_SCREENSHOTS it also writes pictures there; EVICT_PAGES limits it to names with that prefix. The live run's page,
// the counts of a scope and a verification under way ask at addresses that this server does not have, so their failed
// requests are expected.
func TestEveryPageIsAccessibleInEveryTheme(t *testing.T) {
	dir, only := os.Getenv("EVICT_SCREENSHOTS"), os.Getenv("EVICT_PAGES")
	ctx := browsertest.Start(t, 20*time.Minute)
	srv := serveFixtures(t)
	problems, err := browsertest.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range views {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}}}
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatalf("setting the theme: %v", err)
		}
		for _, f := range fixtures() {
			if !strings.HasPrefix(f.name, only) {
				continue
			}
			name := f.name + "-" + v.name
			if err := chromedp.Do(ctx, chromedp.EmulateViewport(v.width, v.height), chromedp.Navigate(srv.URL+"/"+f.name)); err != nil {
				t.Fatalf("opening %s: %v", name, err)
			}
			if sideways, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`)); err != nil || sideways > 0 {
				t.Errorf("%s scrolls sideways by %d px (%v)", name, sideways, err)
			}
			if dir != "" {
				shoot(t, dir, name, func() ([]byte, error) { return chromedp.Run(ctx, chromedp.FullScreenshot(100)) })
			}
			found, err := browsertest.Axe(ctx)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, line := range found {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
	for _, p := range problems.List() {
		if !strings.Contains(p, "/runs/1") && !strings.Contains(p, "/scopes/1?counts") && !strings.Contains(p, "/ledger/verify") {
			t.Errorf("the browser reported: %s", p)
		}
	}
}

func shoot(t *testing.T, dir, name string, take func() ([]byte, error)) {
	t.Helper()
	png, err := take()
	if err != nil {
		t.Fatalf("picture of %s: %v", name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatalf("keeping a picture: %v", err)
	}
}
