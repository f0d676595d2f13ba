package templates_test

import (
	"bytes"
	"compress/gzip"
	"slices"
	"strings"
	"testing"

	"evict/web/static"
	"evict/web/templates"

	"github.com/PuerkitoBio/goquery"
	"github.com/a-h/templ"
)

func render(t *testing.T, c templ.Component) (*goquery.Document, string) {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatalf("rendering: %v", err)
	}
	html := b.String()
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(html))
	if err != nil {
		t.Fatalf("parsing: %v", err)
	}
	return doc, html
}

func text(s *goquery.Selection) string { return strings.Join(strings.Fields(s.Text()), " ") }

func zeroPages() []fixture {
	return []fixture{
		{"SignIn", templates.SignIn(templates.SignInPage{})}, {"NoRole", templates.NoRole(templates.NoRolePage{})},
		{"Home", templates.Home(templates.HomePage{})}, {"Search", templates.Search(templates.SearchPage{})},
		{"User", templates.User(templates.UserPage{})}, {"Group", templates.Group(templates.GroupPage{})},
		{"Role", templates.Role(templates.RolePage{})}, {"Run", templates.Run(templates.RunPage{})},
		{"Runs", templates.Runs(templates.RunsPage{})}, {"Me", templates.Me(templates.MePage{})},
		{"Ledger", templates.Ledger(templates.LedgerPage{})}, {"Event", templates.Event(templates.EventPage{})},
		{"Outside", templates.Outside(templates.OutsidePage{})}, {"Error", templates.Error(templates.ErrorPage{})},
		{"Components", templates.Components(templates.ComponentsPage{})},
		{"Scopes", templates.Scopes(templates.ScopesPage{})}, {"Scope", templates.Scope(templates.ScopePage{})},
		{"Protected", templates.Protected(templates.ProtectedPage{})},
		{"Expanding", templates.Expanding(templates.ExpandingPage{})}, {"Plan", templates.Plan(templates.PlanPage{})},
		{"Compare", templates.Compare(templates.ComparePage{})}, {"Report", templates.Report(templates.ReportPage{})},
		{"Verify", templates.Verify(templates.VerifyPage{})},
	}
}

func TestEveryPageHasTheStructureThatReadersNeed(t *testing.T) {
	t.Parallel()
	for _, f := range append(fixtures(), zeroPages()...) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			doc, html := render(t, f.page)
			if got := doc.Find("h1").Length(); got != 1 {
				t.Errorf("h1 elements = %d, want 1", got)
			}
			if got, _ := doc.Find("html").Attr("lang"); got != "en" {
				t.Errorf("lang = %q, want en", got)
			}
			if !strings.HasSuffix(doc.Find("head title").Text(), "Evict") {
				t.Errorf("title = %q, want one that ends in Evict", doc.Find("head title").Text())
			}
			if got := doc.Find("[style], style, script:not([src])").Length(); got != 0 {
				t.Errorf("inline styles and scripts = %d, want none", got)
			}
			if strings.Contains(html, " onclick=") || strings.Contains(html, "javascript:") {
				t.Error("the page holds a script in an attribute")
			}
			checkIDs(t, doc)
			checkFields(t, doc)
		})
	}
}

func checkIDs(t *testing.T, doc *goquery.Document) {
	t.Helper()
	seen := map[string]bool{}
	doc.Find("[id]").Each(func(_ int, s *goquery.Selection) {
		id := s.AttrOr("id", "")
		if seen[id] {
			t.Errorf("id %q stands twice", id)
		}
		seen[id] = true
	})
	for _, attr := range []string{"for", "aria-describedby", "aria-labelledby"} {
		doc.Find("[" + attr + "]").Each(func(_ int, s *goquery.Selection) {
			for id := range strings.FieldsSeq(s.AttrOr(attr, "")) {
				if !seen[id] {
					t.Errorf("%s names %q, which is not there", attr, id)
				}
			}
		})
	}
}

func checkFields(t *testing.T, doc *goquery.Document) {
	t.Helper()
	doc.Find("input:not([type=hidden]), textarea, select").Each(func(_ int, s *goquery.Selection) {
		id := s.AttrOr("id", "")
		if label := doc.Find("label[for='" + id + "']"); id == "" || text(label) == "" {
			t.Errorf("the field named %q has no label", s.AttrOr("name", ""))
		}
	})
	doc.Find("a[href], button").Each(func(_ int, s *goquery.Selection) {
		if text(s) == "" && s.AttrOr("aria-label", "") == "" {
			t.Error("a link or button has no words")
		}
	})
}

func TestARehearsalIsNamedOnEveryPageAndInItsTitle(t *testing.T) {
	t.Parallel()
	p := frame("Ledger", "Ledger")
	doc, _ := render(t, templates.Ledger(templates.LedgerPage{Page: p}))
	if got, want := text(doc.Find(".band")), "REHEARSAL on a simulated tenant: nothing is revoked"; got != want {
		t.Errorf("band = %q, want %q", got, want)
	}
	if got := doc.Find("title").Text(); !strings.HasPrefix(got, "REHEARSAL") {
		t.Errorf("title = %q, want it to begin with REHEARSAL", got)
	}
	p.Rehearsal, p.Tenant = false, "Contoso Bank"
	doc, html := render(t, templates.Ledger(templates.LedgerPage{Page: p}))
	if got, want := text(doc.Find(".band")), "Tenant Contoso Bank"; got != want {
		t.Errorf("band = %q, want %q", got, want)
	}
	if strings.Contains(html, "REHEARSAL") {
		t.Error("a real tenant's page speaks of a rehearsal")
	}
}

func TestStringsFromOutsideStayText(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	page := userPage()
	page.Person = templates.Person{Name: evil, UPN: evil + "@" + evil, ID: evil}
	page.Tags = []templates.Tag{{Label: evil, Title: evil}}
	page.Form.Reason, page.Form.Ticket, page.Form.ReasonError = "</textarea>"+evil, evil, evil
	page.Facts = []templates.Fact{{Label: evil, Value: templates.Value{Text: evil, Href: "javascript:alert(1)", Copy: true}}}
	page.LedgerHref = "javascript:alert(1)"
	doc, html := render(t, templates.User(page))
	if got := doc.Find("script:not([src]), img").Length(); got != 0 {
		t.Errorf("elements made of a name = %d, want none", got)
	}
	if strings.Contains(html, "javascript:") {
		t.Error("a javascript: address reached the page")
	}
	if got := doc.Find("h1 bdi").First().Text(); got != evil {
		t.Errorf("name = %q, want it unchanged as text", got)
	}
	results := templates.SearchResults{Query: evil, Users: []templates.Hit{{Name: evil, Detail: evil, Href: "javascript:alert(1)"}}}
	doc, html = render(t, templates.SearchResultsList(results))
	if doc.Find("script, img").Length() != 0 || strings.Contains(html, "javascript:") {
		t.Error("a hit's strings are not kept as text")
	}
}

func TestEveryElementThatHTMXDrivesCarriesTheNonce(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures() {
		doc, html := render(t, f.page)
		doc.Find("[hx-get], [hx-post], [hx-trigger], [hx-target], [hx-swap]").Each(func(_ int, s *goquery.Selection) {
			if got := s.AttrOr("hx-nonce", ""); got != nonce {
				t.Errorf("%s: hx-nonce = %q on <%s>, want the page's", f.name, got, goquery.NodeName(s))
			}
		})
		if strings.Contains(html, "hx-on") || strings.Contains(html, "hx-vals") {
			t.Errorf("%s: uses an htmx attribute that evaluates code", f.name)
		}
	}
}

func TestAPageWithoutANonceCarriesNoScripts(t *testing.T) {
	t.Parallel()
	page := userPage()
	page.Page.CSPNonce = ""
	doc, html := render(t, templates.User(page))
	if doc.Find("script").Length() != 0 || strings.Contains(html, "hx-") {
		t.Error("a page without a nonce has scripts or htmx attributes, which hx-csp would block")
	}
	if doc.Find("form.revoke[method=post][action]").Length() != 1 {
		t.Error("the form is gone without scripts")
	}
}

func TestTheRunPageAsksAgainOnlyWhileActive(t *testing.T) {
	t.Parallel()
	live := liveRun()
	for _, active := range []bool{true, false} {
		live.Active = active
		doc, html := render(t, templates.Run(templates.RunPage{Page: frame("Run", "Runs"), Live: live}))
		if got := doc.Find("#run[hx-get='/runs/1']").Length() == 1; got != active {
			t.Errorf("active %v: polls = %v", active, got)
		}
		if got := strings.Contains(html, `<noscript><meta http-equiv="refresh"`); got != active {
			t.Errorf("active %v: refreshes without scripts = %v", active, got)
		}
	}
}

func TestOutcomesKeepTheirWords(t *testing.T) {
	t.Parallel()
	want := map[templates.Outcome]string{
		templates.OutcomePending: "pending", templates.OutcomeAttempting: "attempting", templates.OutcomeAccepted: "accepted (reading back)",
		templates.OutcomeConfirmed: "confirmed", templates.OutcomeUnconfirmed: "unconfirmed", templates.OutcomeNotCovered: "not covered",
		templates.OutcomeRefused: "refused", templates.OutcomeFailed: "failed", templates.OutcomeSkipped: "skipped", templates.OutcomeCancelled: "cancelled",
	}
	for outcome, words := range want {
		live := templates.RunLive{Targets: []templates.RunTarget{{Person: victim(), Outcome: outcome}}}
		doc, _ := render(t, templates.RunLiveView(live))
		if got := text(doc.Find("td[data-label=Outcome]")); got != words {
			t.Errorf("outcome %q reads %q, want %q", outcome, got, words)
		}
	}
}

func TestWhatCouldNotBeReadIsNeverShownAsNone(t *testing.T) {
	t.Parallel()
	page := userPage()
	page.Roles, page.RolesUnread = nil, []templates.Unread{{What: "directory roles", Why: "Graph answered 403"}}
	page.Facts = []templates.Fact{{Label: "Last sign-in", Value: templates.Value{Unknown: "Graph answered 403."}}}
	doc, html := render(t, templates.User(page))
	if got, want := text(doc.Find(".facts dd").First()), "unknown Graph answered 403."; got != want {
		t.Errorf("fact = %q, want %q", got, want)
	}
	if strings.Contains(html, "No directory role") {
		t.Error("unread roles are shown as no roles")
	}
	doc, _ = render(t, templates.Role(templates.RolePage{EligibleUnread: "Needs P2."}))
	if got := text(doc.Find(".panel-head:contains('Eligible') .quiet")); got != "unknown" {
		t.Errorf("count of unread holders = %q, want unknown", got)
	}
	doc, _ = render(t, templates.SearchResultsList(templates.SearchResults{Query: "ada", Unread: []templates.Unread{{What: "Users", Why: "Graph answered 503."}}}))
	if got := text(doc.Selection); strings.Contains(got, "No user") || !strings.Contains(got, "Users could not be read.") {
		t.Errorf("an unread search reads %q", got)
	}
}

func TestAnInvalidFormKeepsWhatWasTypedAndTiesTheErrorToItsField(t *testing.T) {
	t.Parallel()
	page := userPage()
	page.Form = &templates.RevokeForm{Action: "/x", Reason: "typed reason", Ticket: "INC-1", External: true, ExternalOK: true, ReasonError: "Say more."}
	doc, _ := render(t, templates.User(page))
	reason := doc.Find("textarea[name=reason]")
	if got := reason.Text(); got != "typed reason" {
		t.Errorf("reason = %q, want what was typed", got)
	}
	if got := reason.AttrOr("aria-describedby", ""); !slices.Contains(strings.Fields(got), "reason-error") {
		t.Errorf("aria-describedby = %q, want it to name the error", got)
	}
	if got := reason.AttrOr("aria-invalid", ""); got != "true" {
		t.Errorf("aria-invalid = %q, want true", got)
	}
	if got := doc.Find("input[name=ticket]").AttrOr("value", ""); got != "INC-1" {
		t.Errorf("ticket = %q, want what was typed", got)
	}
	if _, ok := doc.Find("input[name=external_ok]").Attr("checked"); !ok {
		t.Error("the tick is lost")
	}
	if got := text(doc.Find("#reason-error")); got != "Say more." {
		t.Errorf("error = %q", got)
	}
}

func TestWhoMayNotActSeesNoForm(t *testing.T) {
	t.Parallel()
	page := userPage()
	page.Form = nil
	doc, _ := render(t, templates.User(page))
	if got := doc.Find("main form, button.danger").Length(); got != 0 {
		t.Errorf("forms and dangerous buttons = %d, want none", got)
	}
}

// TestFirstLoadStaysSmall keeps the budgets: 120 KB over the wire for a first load, 30 KB of compressed HTML a page.
func TestFirstLoadStaysSmall(t *testing.T) {
	t.Parallel()
	assets := 0
	for _, name := range []string{"evict.css", "evict.js", "htmx.js", "icon.svg"} {
		assets += static.Size(name)
	}
	for _, f := range fixtures() {
		_, html := render(t, f.page)
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(html)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if b.Len() > 30<<10 {
			t.Errorf("%s: %d bytes of compressed HTML, want at most 30 KB", f.name, b.Len())
		}
		if got := assets + b.Len(); got > 120<<10 {
			t.Errorf("%s: first load of %d bytes, want at most 120 KB", f.name, got)
		}
	}
}
