// Package browsertest drives a real Chromium for tests: it starts one, looks for accessibility findings with axe-core,
// and collects violations of the Content-Security-Policy.
//
// It is imported by tests alone. axe.min.js is axe-core 4.14.1 (npm package axe-core, MPL-2.0), unchanged; it is handed
// to the page through the debugger, so the page's own policy stays as it is in production.
package browsertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

//go:embed axe.min.js
var axe string

// names under which Chromium is looked for, in order.
var names = []string{"chromium", "chromium-browser", "google-chrome"}

// Start starts a browser that ends with the test and returns a context for chromedp.Run, with a tab of its own. It skips
// the test with -short and where no Chromium is installed, and fails it there when EVICT_TEST_REQUIRE lists "browser". The
// whole of it may last up to limit.
func Start(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out what needs a browser")
	}
	bin := ""
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			bin = found
			break
		}
	}
	if bin == "" {
		if slices.Contains(strings.Split(os.Getenv("EVICT_TEST_REQUIRE"), ","), "browser") {
			t.Fatal("no Chromium on this machine, and EVICT_TEST_REQUIRE asks for one")
		}
		t.Skip("no Chromium on this machine")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(bin), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.WSURLReadTimeout(60*time.Second))
	ctx, cancelTime := context.WithTimeout(t.Context(), limit)
	alloc, cancelAlloc := chromedp.NewExecAllocator(ctx, opts...)
	tab, cancelTab := chromedp.NewContext(alloc)
	t.Cleanup(func() { cancelTab(); cancelAlloc(); cancelTime() })
	if err := chromedp.Do(tab); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return tab
}

// Problems are what a tab reported since Watch: violations of the policy, uncaught errors and console errors.
type Problems struct {
	mu   sync.Mutex
	list []string
}

// List returns what was reported so far.
func (p *Problems) List() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.list...)
}

func (p *Problems) add(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, s)
}

const listen = `addEventListener("securitypolicyviolation", (e) =>
	console.error("securitypolicyviolation", e.effectiveDirective, e.blockedURI, e.sample))`

// Watch collects the problems of the tab from now on; call it before the first navigation. Answers with an error status
// also count, because the browser logs them.
func Watch(ctx context.Context) (*Problems, error) {
	p := &Problems{}
	if err := chromedp.Listen(ctx, p.take); err != nil {
		return nil, fmt.Errorf("listening to the tab: %w", err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		return nil, fmt.Errorf("turning on the browser's log: %w", err)
	}
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: listen}); err != nil {
		return nil, fmt.Errorf("listening for policy violations: %w", err)
	}
	return p, nil
}

func (p *Problems) take(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			p.add("console: " + consoleText(e.Args))
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		p.add("exception: " + text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			p.add("log: " + e.Entry.Text + " " + e.Entry.URL)
		}
	}
}

func consoleText(args []*runtime.RemoteObject) string {
	var parts []string
	for _, a := range args {
		if len(a.Value) > 0 {
			parts = append(parts, string(a.Value))
		} else {
			parts = append(parts, a.Description)
		}
	}
	return strings.Join(parts, " ")
}

// finding is the part of an axe violation that a person needs.
type finding struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// Axe runs axe-core on the page of the tab, with the rules for WCAG 2.2 A and AA and the best practices, and returns one
// line for each element with a finding.
func Axe(ctx context.Context) ([]string, error) {
	const run = `axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"]}).then(r => JSON.stringify(r.violations))`
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](axe+"\n;0")); err != nil {
		return nil, fmt.Errorf("loading axe: %w", err)
	}
	out, err := chromedp.Run(ctx, chromedp.Evaluate[string](run, chromedp.EvalAwaitPromise))
	if err != nil {
		return nil, fmt.Errorf("running axe: %w", err)
	}
	var found []finding
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return nil, fmt.Errorf("reading what axe found: %w", err)
	}
	var lines []string
	for _, f := range found {
		for _, n := range f.Nodes {
			lines = append(lines, f.ID+": "+f.Help+"\n  "+n.HTML+"\n  "+n.Summary)
		}
	}
	return lines, nil
}
