package templates_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"evict/web/static"
	"evict/web/templates"

	"github.com/a-h/templ"
	"github.com/chromedp/chromedp"
)

// TestWhatOneDoesOnARunOfManySurvivesItsUpdates: an open disclosure, the words in the filter and the focus stay, while
// numbers change beneath them.
func TestWhatOneDoesOnARunOfManySurvivesItsUpdates(t *testing.T) {
	t.Parallel()
	c := &console{}
	mux := http.NewServeMux()
	mux.Handle(static.Prefix, static.Handler())
	mux.HandleFunc("GET /runs/1", func(w http.ResponseWriter, r *http.Request) {
		fragment := r.Header.Get("HX-Request") != ""
		if fragment {
			c.polls.Add(1)
		}
		c.render(w, r, func(own string) templ.Component {
			live := bulkRun()
			live.Active, live.State, live.StateDetail, live.Nonce, live.Actions = true, templates.RunRunning, "", own, bulkControls()
			live.Counts[0].Value = fmt.Sprintf("%d", c.polls.Load())
			live.Many.Chart.Points[3].Done = .6 + float64(c.polls.Load())/100
			if fragment {
				return templates.RunLiveView(live)
			}
			page := frame("Run", "Runs")
			page.CSPNonce = own
			return templates.Run(templates.RunPage{Page: page, Live: live})
		})
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	ctx, problems := open(t, srv.URL+"/runs/1")

	do(ctx, t, chromedp.Evaluate[chromedp.Void](`for (const s of document.querySelectorAll("#t0-evidence > summary, #chart-table > summary, .ask:last-of-type > summary")) s.click()`))
	do(ctx, t, chromedp.Evaluate[chromedp.Void](`document.getElementById("text").focus()`), chromedp.KeyEvent("ada"))
	await(ctx, t, `document.querySelector(".counts strong").textContent === "2"`)
	for what, holds := range map[string]string{
		"the evidence is open":        `document.getElementById("t0-evidence").open`,
		"the chart's table is open":   `document.getElementById("chart-table").open`,
		"the question is open":        `document.querySelector(".ask[open] form") !== null`,
		"the words stay":              `document.getElementById("text").value === "ada"`,
		"the focus stays":             `document.activeElement.id === "text"`,
		"the line was drawn anew":     `document.querySelector("polyline.done").getAttribute("points").endsWith("76")`,
		"the status is said once":     `document.querySelectorAll("[role=status]#run-status").length === 1`,
		"no notice that updates stop": `document.getElementById("stale").hidden`,
	} {
		if got, err := chromedp.Run(ctx, chromedp.Evaluate[bool](holds)); err != nil || !got {
			t.Errorf("after an update: %s: %v (%v)", what, got, err)
		}
	}
	noFindings(ctx, t)
	noProblems(t, problems)
}

// TestAFinishedExpansionLoadsTheList: the fragment's answer asks for the whole page.
func TestAFinishedExpansionLoadsTheList(t *testing.T) {
	t.Parallel()
	c := &console{}
	var asked atomic.Int64
	mux := http.NewServeMux()
	mux.Handle(static.Prefix, static.Handler())
	mux.HandleFunc("GET /plans/1", func(w http.ResponseWriter, r *http.Request) {
		fragment := r.Header.Get("HX-Request") != ""
		if fragment && asked.Add(1) > 1 {
			w.Header().Set("HX-Refresh", "true")
			return
		}
		c.render(w, r, func(own string) templ.Component {
			page := frame("Plan", "")
			page.CSPNonce = own
			live := templates.ExpandingLive{Nonce: own, Href: "/plans/1", Active: true, Found: fmt.Sprintf("%d", asked.Load()), Doing: "group Finance"}
			switch {
			case fragment:
				return templates.ExpandingLiveView(live)
			case asked.Load() > 1:
				p := planPage()
				p.Page = page
				return templates.Plan(p)
			default:
				return templates.Expanding(templates.ExpandingPage{Page: page, Live: live})
			}
		})
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	ctx, problems := open(t, srv.URL+"/plans/1")
	for deadline := time.Now().Add(time.Minute); ; { // a poll inside of the page ends when the page goes
		got, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("h1")?.textContent ?? ""`))
		if err == nil && got == "Revoke 412 people?" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the page is still %q (%v)", got, err)
		}
		do(ctx, t, chromedp.Sleep(50*time.Millisecond))
	}
	// The questions stand outside of the form; their answers go with it all the same.
	do(ctx, t, chromedp.Evaluate[chromedp.Void](`document.getElementById("check-helpdesk-yes").click()`))
	if got, err := chromedp.Run(ctx, chromedp.Evaluate[string](`new FormData(document.getElementById("confirm")).get("check.helpdesk")`)); err != nil || got != "yes" {
		t.Errorf("the answer that is sent = %q (%v), want yes", got, err)
	}
	noProblems(t, problems)
}
