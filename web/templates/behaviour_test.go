package templates_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"evict/internal/browsertest"
	"evict/web/static"
	"evict/web/templates"

	"github.com/a-h/templ"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// console is a small server with the product's policy and, like the product, another nonce for each answer.
type console struct {
	*httptest.Server
	answers  atomic.Int64 // makes nonces
	searches atomic.Int64
	polls    atomic.Int64
	posts    atomic.Int64
	final    atomic.Bool   // the run is finished
	broken   atomic.Bool   // the run's fragment answers 500
	file     chan struct{} // lets a file out
}

func (c *console) render(w http.ResponseWriter, r *http.Request, make func(nonce string) templ.Component) {
	own := fmt.Sprintf("nonce-of-answer-%d", c.answers.Add(1))
	w.Header().Set("Content-Security-Policy", strings.ReplaceAll(policy, nonce, own))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = make(own).Render(r.Context(), w)
}

func (c *console) search(w http.ResponseWriter, r *http.Request) {
	c.searches.Add(1)
	c.render(w, r, func(string) templ.Component { return templates.SearchResultsList(hits()) })
}

func (c *console) run(w http.ResponseWriter, r *http.Request) {
	fragment := r.Header.Get("HX-Request") != ""
	if fragment {
		c.polls.Add(1)
		if c.broken.Load() {
			http.Error(w, "<h1>an error page</h1>", http.StatusInternalServerError)
			return
		}
	}
	c.render(w, r, func(own string) templ.Component {
		live := liveRun()
		live.Nonce, live.Active = own, !c.final.Load()
		live.Status = fmt.Sprintf("Answer %d.", c.polls.Load())
		if fragment {
			return templates.RunLiveView(live)
		}
		page := frame("Run", "Runs")
		page.CSPNonce = own
		return templates.Run(templates.RunPage{Page: page, Live: live})
	})
}

func newConsole(t *testing.T) *console {
	t.Helper()
	c := &console{file: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle(static.Prefix, static.Handler())
	mux.HandleFunc("GET /search", c.search)
	mux.HandleFunc("GET /runs/1", c.run)
	mux.HandleFunc("GET /user", func(w http.ResponseWriter, r *http.Request) {
		c.render(w, r, func(own string) templ.Component {
			p := userPage()
			p.Page.CSPNonce, p.Form.Reason = own, "Phished"
			return templates.User(p)
		})
	})
	mux.HandleFunc("POST /users/", func(w http.ResponseWriter, _ *http.Request) {
		c.posts.Add(1)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /ledger/reconcile", func(w http.ResponseWriter, r *http.Request) {
		c.render(w, r, func(own string) templ.Component {
			p := reconcilePage()
			p.Page.CSPNonce = own
			return templates.Reconcile(p)
		})
	})
	mux.HandleFunc("POST /ledger/reconcile/fetch", func(w http.ResponseWriter, r *http.Request) {
		c.posts.Add(1)
		<-c.file
		http.SetCookie(w, &http.Cookie{Name: templates.AnswerCookie, Value: r.PostFormValue(templates.FieldAnswer), Path: "/ledger/reconcile"})
		w.Header().Set("Content-Disposition", `attachment; filename="`+r.PostFormValue("format")+`"`)
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

func open(t *testing.T, address string) (context.Context, *browsertest.Problems) {
	t.Helper()
	ctx := browsertest.Start(t, 3*time.Minute)
	problems, err := browsertest.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		t.Fatalf("opening %s: %v", address, err)
	}
	return ctx, problems
}

// await waits until a JavaScript condition holds.
func await(ctx context.Context, t *testing.T, condition string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](condition, chromedp.WithPollingTimeout(15*time.Second))); err != nil {
		t.Fatalf("waiting for %s: %v", condition, err)
	}
}

func do(ctx context.Context, t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func noProblems(t *testing.T, p *browsertest.Problems) {
	t.Helper()
	for _, line := range p.List() {
		t.Errorf("the browser reported: %s", line)
	}
}

// press sends a key as a keyboard does: its character only arrives if the page does not prevent it.
func press(ctx context.Context, t *testing.T, key string) {
	t.Helper()
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
		params := input.DispatchKeyEventParams{Type: kind, Key: key}
		if kind == input.DispatchKeyEventTypeKeyDown {
			params.Text = key
		}
		if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, params); err != nil {
			t.Fatalf("pressing %s: %v", key, err)
		}
	}
}

func noFindings(ctx context.Context, t *testing.T) {
	t.Helper()
	found, err := browsertest.Axe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range found {
		t.Error(line)
	}
}

const focused = `document.activeElement?.textContent.includes(%q) ?? false`

func TestSearchAsYouTypeHoldsUnderTrustedTypesAndWorksByKeyboard(t *testing.T) {
	t.Parallel()
	c := newConsole(t)
	ctx, problems := open(t, c.URL+"/user")

	press(ctx, t, "/")
	await(ctx, t, `document.activeElement.id === "q"`)
	do(ctx, t, chromedp.KeyEvent("m"))
	await(ctx, t, `document.getElementById("q").value === "m"`)
	do(ctx, t, chromedp.KeyEvent("o"))
	await(ctx, t, `document.querySelectorAll("#search-results [data-hit]").length === 6`)
	if got := c.searches.Load(); got != 1 {
		t.Errorf("searches = %d, want 1: one character asks nothing", got)
	}
	await(ctx, t, `document.getElementById("announce").textContent === "3 users, 2 groups, 1 role."`)
	noFindings(ctx, t)
	if dir := os.Getenv("EVICT_SCREENSHOTS"); dir != "" {
		shoot(t, dir, "search-open", func() ([]byte, error) { return chromedp.Run(ctx, chromedp.CaptureScreenshot()) })
	}

	do(ctx, t, chromedp.KeyEvent(kb.ArrowDown))
	await(ctx, t, fmt.Sprintf(focused, "Ada Moreno"))
	do(ctx, t, chromedp.KeyEvent(kb.ArrowDown))
	await(ctx, t, fmt.Sprintf(focused, "Hohenfels"))
	do(ctx, t, chromedp.KeyEvent(kb.Escape))
	await(ctx, t, `document.activeElement.id === "q"`)
	do(ctx, t, chromedp.KeyEvent(kb.Escape))
	await(ctx, t, `document.getElementById("q").value === "" && document.getElementById("search-results").children.length === 0`)
	noProblems(t, problems)
}

func TestAnActiveRunAsksAgainUntilItIsFinal(t *testing.T) {
	t.Parallel()
	c := newConsole(t)
	ctx, problems := open(t, c.URL+"/runs/1")

	await(ctx, t, `document.getElementById("run-status").textContent.includes("Answer 2.")`)
	c.final.Store(true)
	await(ctx, t, `!document.getElementById("run").hasAttribute("hx-get")`)
	stopped := c.polls.Load()
	// That nothing more is asked can only be seen by letting two periods pass.
	do(ctx, t, chromedp.Sleep(2200*time.Millisecond))
	if got := c.polls.Load(); got != stopped {
		t.Errorf("polls after the final answer: %d, want none", got-stopped)
	}
	noProblems(t, problems)
}

func TestALiveRunSaysWhenAnswersStop(t *testing.T) {
	t.Parallel()
	c := newConsole(t)
	ctx, _ := open(t, c.URL+"/runs/1")

	await(ctx, t, `document.getElementById("run-status").textContent.includes("Answer 1.")`)
	c.broken.Store(true)
	await(ctx, t, `!document.getElementById("stale").hidden`)
	if got, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.querySelectorAll("h1").length`)); err != nil || got != 1 {
		t.Errorf("h1 elements = %d (%v), want 1: an error answer is not swapped in", got, err)
	}
	c.broken.Store(false)
	await(ctx, t, `document.getElementById("stale").hidden`)
}

func TestAFormIsSentOnceAndSaysSo(t *testing.T) {
	t.Parallel()
	c := newConsole(t)
	ctx, problems := open(t, c.URL+"/user")

	do(ctx, t, chromedp.Evaluate[chromedp.Void](`for (let i = 0; i < 3; i++) document.querySelector("button.danger").click()`))
	await(ctx, t, `document.querySelector("button.danger").textContent === "Revoking…"`)
	deadline := time.Now().Add(time.Minute)
	for c.posts.Load() == 0 && time.Now().Before(deadline) {
		do(ctx, t, chromedp.Sleep(20*time.Millisecond))
	}
	if got := c.posts.Load(); got != 1 {
		t.Errorf("posts = %d, want 1", got)
	}
	noProblems(t, problems)
}

// A file leaves the page as it was, so its form must not stay spent.
func TestAFormThatGaveAFileCanBeSentAgain(t *testing.T) {
	t.Parallel()
	c := newConsole(t)
	ctx, problems := open(t, c.URL+"/ledger/reconcile")
	const file = `document.querySelector("form[action$=fetch] [data-file]")`
	for sent := int64(1); sent <= 2; sent++ {
		label, err := chromedp.Run(ctx, chromedp.Evaluate[string](`for (let i = 0; i < 3; i++) `+file+`.click(); `+file+`.textContent`))
		if err != nil || label != "Reading Entra’s log…" {
			t.Fatalf("the button says %q: %v", label, err)
		}
		select {
		case c.file <- struct{}{}: // the browser answers nothing before
		case <-time.After(time.Minute):
			t.Fatal("the form was not sent")
		}
		await(ctx, t, file+`.textContent === "Download as CSV" && !`+file+`.hasAttribute("aria-disabled")`)
		if got := c.posts.Load(); got != sent {
			t.Errorf("posts = %d, want %d", got, sent)
		}
	}
	noProblems(t, problems)
}

func TestCopyButtonsCopyAndSaySo(t *testing.T) {
	t.Parallel()
	c := newConsole(t)
	ctx, problems := open(t, c.URL+"/runs/1")

	do(ctx, t, chromedp.Evaluate[chromedp.Void](`navigator.clipboard.writeText = (s) => { window.copiedText = s; return Promise.resolve(); }`))
	do(ctx, t, chromedp.Evaluate[chromedp.Void](`document.querySelector("[data-copy-from=ticket-text]").click()`))
	await(ctx, t, `window.copiedText?.includes("Sessions of ada.moreno@tenant.example")`)
	await(ctx, t, `document.getElementById("announce").textContent === "Copied"`)
	noProblems(t, problems)
}
