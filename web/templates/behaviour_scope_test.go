package templates_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"evict/web/static"
	"evict/web/templates"

	"github.com/a-h/templ"
	"github.com/chromedp/chromedp"
)

// scopeConsole serves one scope: the page, its two fragments, and what is posted to it.
func scopeConsole(t *testing.T) (address string, posted <-chan url.Values) {
	t.Helper()
	c, forms := &console{}, make(chan url.Values, 10)
	mux := http.NewServeMux()
	mux.Handle(static.Prefix, static.Handler())
	mux.HandleFunc("GET /scopes/1", func(w http.ResponseWriter, r *http.Request) {
		c.render(w, r, func(own string) templ.Component {
			p := scopePage()
			p.Page.CSPNonce, p.Add.Nonce, p.Sources.Nonce = own, own, own
			switch query := r.URL.Query(); {
			case query.Has("counts"):
				return templates.ScopeSourcesView(p.Sources)
			case query.Has("q"):
				return templates.ScopeHitsView(*scopeHits())
			}
			p.Sources.CountHref = "/scopes/1?counts=1"
			p.Sources.Include[0].Count, p.Sources.IncludeSum = "", ""
			return templates.Scope(p)
		})
	})
	mux.HandleFunc("POST /scopes/1/{verb}", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseMultipartForm(1 << 20)
		r.PostForm.Set("verb", r.PathValue("verb"))
		forms <- r.PostForm
		w.WriteHeader(http.StatusNoContent)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL + "/scopes/1", forms
}

func nextForm(t *testing.T, posted <-chan url.Values) url.Values {
	t.Helper()
	select {
	case form := <-posted:
		return form
	case <-time.After(10 * time.Second):
		t.Fatal("no form was sent")
		return nil
	}
}

func TestTheScopeBuilderCountsFindsAndCarriesWhatWasTyped(t *testing.T) {
	t.Parallel()
	address, posted := scopeConsole(t)
	ctx, problems := open(t, address)

	await(ctx, t, `document.querySelector("#sources td[data-label=People]").textContent.trim() === "14 or more" && !document.querySelector("#sources").hasAttribute("hx-get")`)
	do(ctx, t, chromedp.Evaluate[chromedp.Void](`document.getElementById("title").value = "Typed"; document.getElementById("self_ok").checked = true; document.getElementById("external_ok").checked = false`))
	do(ctx, t, chromedp.Evaluate[chromedp.Void](`document.getElementById("find").focus()`))
	do(ctx, t, chromedp.KeyEvent("mo"))
	await(ctx, t, `document.querySelectorAll("#find-results .pick").length === 6`)
	await(ctx, t, `document.getElementById("announce").textContent === "3 users, 2 groups, 1 role."`)
	noFindings(ctx, t)

	do(ctx, t, chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("#find-results .pick")[5].querySelector("button[value=exclude]").click()`))
	got := nextForm(t, posted)
	for field, want := range map[string]string{
		"verb": "add", "kind": "role", "side": "exclude", "ways": "", "settings": "yes", "title": "Typed", "self_ok": "yes", "external_ok": "",
	} {
		if got.Get(field) != want {
			t.Errorf("adding sent %s=%q, want %q", field, got.Get(field), want)
		}
	}
	do(ctx, t, chromedp.Evaluate[chromedp.Void](`document.querySelector("#sources button").click()`))
	got = nextForm(t, posted)
	if got.Get("verb") != "remove" || got.Get("at") != "include.0" || len(got["version"]) != 1 || got.Get("title") != "Typed" {
		t.Errorf("removing sent %v", got)
	}
	do(ctx, t, chromedp.Evaluate[chromedp.Void](`document.querySelector("button[formaction]").click()`))
	if got = nextForm(t, posted); got.Get("verb") != "preview" || got.Get("title") != "Typed" {
		t.Errorf("previewing sent %v", got)
	}
	noProblems(t, problems)
}
