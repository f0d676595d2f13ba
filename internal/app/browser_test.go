package app_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"evict/internal/app"
	"evict/internal/entrasim"
)

// shooter writes screenshots into the folder that EVICT_TEST_SCREENSHOTS names; nil without one.
func shooter(t *testing.T) func(name string, png []byte) {
	dir := os.Getenv("EVICT_TEST_SCREENSHOTS")
	if dir == "" {
		return nil
	}
	return func(name string, png []byte) {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
			t.Errorf("writing a screenshot: %v", err)
		}
	}
}

func TestHelpdeskRevokesOnePersonEndToEnd(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	shoot := shooter(t)

	victim := d.tab()
	victim.open(d.Sim.BrowserURL() + "/victim")
	victim.click("Sign in")
	victim.choose(d.cast.Victim)
	victim.says("Session alive")

	desk := d.tab()
	desk.open("/")
	desk.clean("signin", shoot)
	desk.signIn(d.cast.Helpdesk)
	desk.says("What needs you now")
	desk.clean("home-empty", shoot)

	desk.do(typing("#q", "lena har"))
	desk.says(d.cast.Victim.UPN)
	desk.click(d.cast.Victim.Name)
	desk.says("Revoke all sign-in sessions")
	desk.says("allowed")
	desk.clean("user", shoot)

	desk.withoutBrowserChecks()
	desk.fill("ticket", "INC-20418")
	desk.click("Revoke sessions") // without a reason
	desk.says("Say why")
	if got := desk.value("ticket"); got != "INC-20418" {
		t.Errorf("the ticket that was typed = %q, want it kept", got)
	}
	desk.fill("ticket", "INC-20418")
	desk.fill("reason", "Phished, reported by the user at 13:40")
	clicked := time.Now()
	desk.click("Revoke sessions")
	desk.says("Entra has recorded")
	t.Logf("click to confirmed: %v", time.Since(clicked).Round(10*time.Millisecond))
	desk.says("INC-20418")
	desk.clean("run", shoot)
	run := desk.path()

	victim.says("AADSTS50173")
	victim.says("Session ended")
	if n := d.Sim.Revocations(d.cast.Victim.ID); n != 1 {
		t.Errorf("the simulator saw %d revocations, want 1", n)
	}

	desk.open("/")
	desk.clean("home", shoot)
	desk.open("/runs")
	desk.clean("runs", shoot)
	desk.open("/me")
	desk.clean("me", shoot)
	desk.open("/search?q=fin")
	desk.clean("search", shoot)

	audit := d.tab()
	audit.signIn(d.cast.Auditor)
	audit.open("/ledger")
	audit.says("confirmed")
	audit.clean("ledger", shoot)
	audit.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("a")].find(a => a.textContent.startsWith("Whole story")).click()`))
	audit.says("This is all of it.")
	audit.clean("story", shoot)
	audit.open("/ledger?view=all")
	audit.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("tr")].find(r => r.querySelector(".tag.ok")).querySelector("a").click()`))
	audit.says("Graph request id")
	audit.clean("event", shoot)
	audit.open(run)
	audit.says("Entra has recorded")
	audit.open("/users/" + d.cast.Victim.ID)
	audit.says("console role")
	if strings.Contains(audit.text(), "Revoke sessions") {
		t.Error("an auditor is offered to revoke")
	}
}

// press clicks the button whose whole text this is, what only screen readers hear included.
func (b *tab) press(text string) {
	b.t.Helper()
	found := `[...document.querySelectorAll("button")].find(e => e.textContent.trim().replace(/\s+/g, " ") === ` + quote(text) + `)`
	b.await(`!!` + found)
	b.do(chromedp.Evaluate[chromedp.Void](found + `.click()`))
}

// unfold opens what is folded away under these words.
func (b *tab) unfold(words string) {
	b.t.Helper()
	found := `[...document.querySelectorAll("summary")].find(e => e.textContent.trim().startsWith(` + quote(words) + `))`
	b.await(`!!` + found)
	b.do(chromedp.Evaluate[chromedp.Void](found + `.click()`))
}

// number reads a whole number out of the page.
func (b *tab) number(expression string) int {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`String(`+expression+`).replace(/[^0-9]/g, "")`))
	n, bad := strconv.Atoi(s)
	if err != nil || bad != nil {
		b.t.Fatalf("%s is %q: %v\n%s", expression, s, err, b.where())
	}
	return n
}

// stays marks the document, so that the test can tell a live update from a page that was loaded anew.
func (b *tab) stays() {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`window.stays = true`))
}

func TestALeadRevokesManyEndToEnd(t *testing.T) {
	t.Parallel()
	d := startDemo(t, func(o *app.DemoOptions, _ *app.Options) { o.People = 300 })
	shoot := shooter(t)

	keeper := d.tab()
	keeper.signIn(d.cast.Admin)
	keeper.open("/settings/protected")
	keeper.pose("protected-empty", shoot)
	for _, p := range d.cast.BreakGlass {
		keeper.fill("account", p.UPN)
		keeper.fill("note", "In the safe of the head of IT; tried each quarter")
		keeper.press("Protect")
		keeper.says(p.Name)
	}
	keeper.fill("account", "nobody.at.all@larkfield.example")
	keeper.press("Protect")
	keeper.says("There is no such account")
	keeper.clean("protected", shoot)

	lead := d.tab()
	lead.signIn(d.cast.Lead)
	lead.click("Bulk")
	lead.press("New scope")
	lead.says("Add to this scope")
	lead.pose("scope-empty", shoot)

	// What is found while one types is added, and what was chosen meanwhile is kept.
	lead.fill("title", "Token theft, wave 2")
	lead.do(typing("#find", "global adm"))
	lead.press("Include Global Administrator")
	lead.await(`document.querySelectorAll("#sources tbody tr").length === 1`)
	if got := lead.value("title"); got != "Token theft, wave 2" {
		t.Errorf("the title that was typed = %q, want it kept", got)
	}
	lead.do(typing("#find", "engineer"))
	lead.says("with nested groups")
	lead.clean("scope-find", shoot)
	lead.press("Include Engineering")
	lead.await(`document.querySelectorAll("#sources tbody tr").length === 2`)
	lead.unfold("Pasted list or file")
	people := []string{d.cast.Victim.UPN, d.cast.ExternalGuest.UPN, d.cast.Federated.UPN, "nobody.at.all@larkfield.example", "the boss"}
	for _, p := range d.ordinary(40) {
		people = append(people, p.UPN)
	}
	lead.fill("lines", strings.Join(people, "\n"))
	lead.press("Include this list")
	lead.await(`document.querySelectorAll("#sources tbody tr").length === 3`)
	lead.do(typing("#find", "standby"))
	lead.press("Exclude Role: standby")
	lead.await(`document.querySelectorAll("#sources tbody tr").length === 4`)
	lead.await(`[...document.querySelectorAll("#sources td.n")].every(e => /[0-9]/.test(e.textContent))`) // counted live
	lead.clean("scope", shoot)

	// The people are found before one's eyes.
	d.Sim.SetLatency(150 * time.Millisecond)
	lead.press("Preview targets")
	lead.says("Finding the people")
	lead.await(`!document.getElementById("expanding") || parseInt(document.querySelector("#expanding .counts strong").textContent) > 0`)
	lead.snap("expanding", shoot)
	lead.await(`!!document.getElementById("confirm")`)
	d.Sim.SetLatency(0)
	lead.says("the boss")
	lead.clean("plan", shoot)
	first := lead.path()
	total := lead.number(`document.querySelector("h1").textContent`)
	lead.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("input[name=out]")[8].click()`))
	lead.press("Take out")
	lead.await(`location.pathname !== ` + quote(first) + ` && !!document.getElementById("confirm")`)
	if less := lead.number(`document.querySelector("h1").textContent`); less != total-1 {
		t.Errorf("without one of %d there are %d", total, less)
	}
	lead.click("What changed")
	lead.says("gone")
	lead.pose("compare", shoot)
	lead.do(chromedp.Evaluate[chromedp.Void](`history.back()`))

	// A wrong number comes back with everything.
	lead.await(`!!document.getElementById("confirm")`)
	lead.withoutBrowserChecks()
	lead.fill("reason", "Refresh tokens stolen by a phishing kit; second wave")
	lead.fill("ticket", "INC-20418")
	lead.fill("typed", "1")
	lead.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("input[type=radio][value=no]").click()`))
	lead.click("Revoke ")
	lead.says("mend what is marked")
	if got := lead.value("reason"); !strings.HasPrefix(got, "Refresh tokens") {
		t.Errorf("the reason that was typed = %q, want it kept", got)
	}
	lead.clean("plan-refused", shoot)

	// The run is live to its end.
	d.Sim.SetQuota(entrasim.Quota{Writes: 40, WriteWindow: 4 * time.Second, RetryAfter: 4 * time.Second})
	lead.fill("typed", strconv.Itoa(total-1))
	lead.click("Revoke ")
	lead.await(`location.pathname.startsWith("/runs/")`)
	run := lead.path()
	lead.stays()
	lead.says("Microsoft asked this app to slow down")
	lead.await(`parseInt(document.querySelector("#run .counts strong").textContent) > 20`)
	lead.says("to be tried again")
	lead.snap("run-live", shoot)
	lead.await(`!document.getElementById("run").hasAttribute("hx-get")`)
	lead.await(`window.stays === true`)
	lead.says("are proven cut off")
	lead.clean("run-many", shoot)
	doc := d.signedIn(d.cast.Auditor).document(run)
	if confirmed := lead.number(`document.querySelector("#run .counts strong").textContent`); confirmed != len(doc.with("confirmed")) || doc.Run.Total != total-1 {
		t.Errorf("the page says %d of %d, the report %d of %d", confirmed, total-1, len(doc.with("confirmed")), doc.Run.Total)
	}
	for _, p := range d.cast.BreakGlass {
		if doc.left(p) != "protected" || d.Sim.Tally(p.ID).Posts != 0 {
			t.Errorf("%s is protected, and left out as %q after %d calls", p.UPN, doc.left(p), d.Sim.Tally(p.ID).Posts)
		}
	}
	if !slices.ContainsFunc(doc.Targets, func(x reported) bool { return x.OID == d.cast.Victim.ID && x.Outcome == "confirmed" }) {
		t.Error("the victim is not confirmed")
	}

	lead.click("Report")
	lead.says("What still stands")
	lead.clean("report", shoot)
	for path, name := range map[string]string{
		run + "?show=confirmed": "run-confirmed", "/scopes": "scopes", "/runs": "runs-many", "/": "home-many", first + "?left=all": "plan-left",
	} {
		lead.open(path)
		lead.await(`document.readyState === "complete"`)
		lead.pose(name, shoot)
	}

	// Another Lead, to whom the run and the scope are somebody else's.
	keeper.open(run)
	keeper.says("are proven cut off")
	keeper.press("Plan them again")
	keeper.await(`!!document.getElementById("confirm")`)
	keeper.pose("plan-again", shoot)
	keeper.open("/scopes")
	keeper.click("Token theft, wave 2")
	keeper.says("Use a copy")
	keeper.pose("scope-other", shoot)
}

// pose is clean for a page of which parts are checked elsewhere: only when pictures are wanted.
func (b *tab) pose(name string, shoot func(name string, png []byte)) {
	b.t.Helper()
	if shoot != nil {
		b.clean(name, shoot)
	}
}

// snap takes one picture of a page that does not stand still.
func (b *tab) snap(name string, shoot func(name string, png []byte)) {
	b.t.Helper()
	if shoot == nil {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatalf("%s: %v", name, err)
	}
	shoot(name, png)
}
