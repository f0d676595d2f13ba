package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
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
