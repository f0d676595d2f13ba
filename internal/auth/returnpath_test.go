package auth_test

import (
	"net/url"
	"strings"
	"testing"

	"evict/internal/auth"
)

func TestReturnPathIsAPageOfTheConsole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for in, want := range map[string]string{
		"/users/7":                              "/users/7",
		"/users/7?tab=a&tab=b":                  "/users/7?tab=a&tab=b",
		"/users/7?next=https://evil.test/":      "/users/7?next=https%3A%2F%2Fevil.test%2F",
		"/users/7#part":                         "/users/7",
		"/search?q=%22%3E":                      "/search?q=%22%3E",
		"":                                      "/",
		"/nothing":                              "/",
		"users/7":                               "/",
		"//evil.test/users/7":                   "/",
		"/\\evil.test":                          "/",
		"\\/evil.test":                          "/",
		"https://evil.test/users/7":             "/",
		"https:/users/7":                        "/",
		"javascript:alert(1)":                   "/",
		"/users/../users/7":                     "/",
		"/users/%2e%2e/x":                       "/",
		"/users/a%2fb":                          "/",
		"/users/%5cx":                           "/",
		"/users/a%0d%0aSet-Cookie:x":            "/",
		"/users/\r\nLocation: x":                "/",
		"/users/\u202e7":                        "/",
		"/users/7\x00":                          "/",
		"/auth/callback?state=x":                "/",
		"/auth/signin":                          "/",
		"/search?q=" + strings.Repeat("a", 600): "/",
		"/search?q=%zz":                         "/",
		"/%2f/evil.test":                        "/",
	} {
		if got := r.svc.ReturnPath(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzReturnPath(f *testing.F) {
	for _, s := range []string{"/users/7", "//evil.test", "/\\evil", "/users/%2f%2fx?y=//z", "/\t/evil", "/search?a=b;c", "https:/x"} {
		f.Add(s)
	}
	cloud, _ := auth.Simulator("https://localhost:1", nil)
	cred, _ := auth.SecretCredential("x")
	line, _ := auth.GenerateSealKey("k")
	keys, _ := auth.ParseSealKeys([]byte(line))
	svc, err := auth.New(auth.Options{
		Cloud: cloud, TenantID: tenantID, ClientID: clientID, Credential: cred, RedirectURL: redirect, Keys: keys,
		Store: newMemStore(), Match: func(string, string) bool { return true }, // the worst router
	})
	if err != nil {
		f.Fatal(err)
	}
	base, _ := url.Parse("https://evict.example.com/auth/callback")
	f.Fuzz(func(t *testing.T, raw string) {
		got := svc.ReturnPath(raw)
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t\x00") {
			t.Fatalf("%q became %q", raw, got)
		}
		u, err := base.Parse(got)
		if err != nil || u.Scheme != "https" || u.Host != "evict.example.com" || u.User != nil {
			t.Fatalf("%q became %q, which leads to %v (%v)", raw, got, u, err)
		}
		if strings.HasPrefix(u.Path, "/auth/") {
			t.Fatalf("%q leads into the sign-in: %q", raw, got)
		}
		if again := svc.ReturnPath(got); again != got {
			t.Fatalf("%q became %q and then %q", raw, got, again)
		}
	})
}
