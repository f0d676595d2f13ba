// Package browsertest drives the simulator's pages in Chromium: the sign-in form must get through its own content
// security policy to another origin, and a session must be seen to die.
package browsertest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"evict/internal/browsertest"
	"evict/internal/entrasim"
)

// tab is a browser tab that collects what the browser complains about.
type tab struct {
	ctx      context.Context
	problems *browsertest.Problems
}

func openTab(t *testing.T) *tab {
	t.Helper()
	ctx := browsertest.Start(t, 3*time.Minute)
	problems, err := browsertest.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b := &tab{ctx: ctx, problems: problems}
	b.do(t, chromedp.EmulateViewport(1000, 620))
	return b
}

func (b *tab) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		t.Fatalf("browser: %v", err)
	}
}

// in has pages shown in a colour scheme, light or dark.
func (b *tab) in(t *testing.T, scheme string) {
	t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
}

// shoot keeps a picture where ENTRASIM_SHOTS names a folder.
func (b *tab) shoot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("ENTRASIM_SHOTS")
	if dir == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		b.in(t, scheme)
		png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+"-"+scheme+".png"), png, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *tab) quiet(t *testing.T) {
	t.Helper()
	for _, s := range b.problems.List() {
		t.Errorf("the browser complains: %s", s)
	}
}

func startSim(t *testing.T) *entrasim.Sim {
	t.Helper()
	s, err := entrasim.New(entrasim.Options{People: 60})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen("127.0.0.1:0", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestVictimSeesTheSessionEnd(t *testing.T) {
	s := startSim(t)
	victim := s.Cast().Victim
	b := openTab(t)
	b.do(t, chromedp.Navigate(s.BrowserURL()+"/victim"), chromedp.Click(chromedp.CSS("form button")),
		chromedp.Click(chromedp.CSS(`button[value="`+victim.ID+`"]`)), chromedp.WaitVisible(chromedp.CSS(`[data-state=alive]`)))
	b.shoot(t, "victim-alive")
	if err := s.Revoke(victim.ID); err != nil {
		t.Fatal(err)
	}
	b.do(t, chromedp.WaitVisible(chromedp.CSS(`[data-state=ended]`)))
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("#session")))
	if err != nil {
		t.Fatal(err)
	}
	b.shoot(t, "victim-ended")
	if !strings.Contains(text, "AADSTS50173") || !strings.Contains(text, victim.Name) {
		t.Errorf("the page says %q", text)
	}
	b.quiet(t)
}

func TestSignInReachesAClientOnAnotherOrigin(t *testing.T) {
	for _, mode := range []string{"query", "form_post"} {
		t.Run(mode, func(t *testing.T) {
			s := startSim(t)
			got := make(chan string, 1)
			client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if code := r.FormValue("code"); code != "" && r.FormValue("state") == "st" {
					got <- code
				}
				w.Header().Set("Content-Type", "text/html")
				_, _ = w.Write([]byte("<link rel=icon href=data:,><title>client</title><p id=done>done</p>"))
			}))
			defer client.Close()
			redirect := strings.Replace(client.URL, "127.0.0.1", "localhost", 1) + "/cb"
			s.AddRedirectURI(redirect)
			b := openTab(t)
			b.do(t, chromedp.Navigate(s.BrowserURL()+"/"+s.TenantID()+"/oauth2/v2.0/authorize?response_type=code&scope=openid&state=st&client_id="+
				s.App().ClientID+"&response_mode="+mode+"&redirect_uri="+redirect),
				chromedp.SendKeys(chromedp.CSS("#q"), "marit\r"), chromedp.WaitVisible(chromedp.CSS("#found")))
			b.shoot(t, "accounts-found")
			b.do(t, chromedp.Click(chromedp.CSS(`button[value="`+s.Cast().Lead.ID+`"]`)), chromedp.WaitVisible(chromedp.CSS("#done")))
			select {
			case <-got:
			default:
				t.Error("no code reached the client")
			}
			b.quiet(t)
		})
	}
}

func TestPagesHaveNoAxeFindings(t *testing.T) {
	s := startSim(t)
	s.Inject(entrasim.Fault{Kind: entrasim.Status429, Match: "/v1.0/users", Times: 3})
	sign := s.BrowserURL() + "/" + s.TenantID() + "/oauth2/v2.0/"
	good := sign + "authorize?response_type=code&scope=openid&sim_q=a&client_id=" + s.App().ClientID + "&redirect_uri=" + entrasim.DefaultRedirectURI
	for name, address := range map[string]string{
		"home": s.BrowserURL() + "/", "knobs": s.BrowserURL() + "/_sim/?done=fault", "accounts": good, "refused": sign + "authorize",
		"signed out": sign + "logout", "victim": s.BrowserURL() + "/victim",
	} {
		t.Run(name, func(t *testing.T) {
			b := openTab(t)
			for _, scheme := range []string{"light", "dark"} {
				b.in(t, scheme)
				b.do(t, chromedp.Navigate(address))
				found, err := browsertest.Axe(b.ctx)
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range found {
					t.Errorf("%s: %s", scheme, line)
				}
			}
		})
	}
}
