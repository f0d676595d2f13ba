package app_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/entrasim"
)

// crowd is a demo of some hundred people.
func crowd(t *testing.T, change ...func(*app.DemoOptions, *app.Options)) *demo {
	t.Helper()
	many := func(o *app.DemoOptions, _ *app.Options) { o.People = 300 }
	return startDemo(t, append([]func(*app.DemoOptions, *app.Options){many}, change...)...)
}

// signedIn is a browser of somebody who has just signed in.
func (d *demo) signedIn(p entrasim.Person) *browser {
	d.t.Helper()
	b := d.browser()
	b.signIn(p).has(http.StatusOK)
	return b
}

// newScope begins a scope with pasted people.
func (b *browser) newScope(people ...entrasim.Person) *page {
	b.t.Helper()
	scope := b.press(b.get("/scopes"), "New scope", nil).has(http.StatusOK)
	if len(people) == 0 {
		return scope
	}
	var lines []string
	for _, p := range people {
		lines = append(lines, p.ID)
	}
	return b.press(scope, "Include this list", url.Values{"lines": {strings.Join(lines, "\n")}}).has(http.StatusOK)
}

// add finds a user, group or role with the builder's own search, and presses Include or Exclude beside it.
func (b *browser) add(scope *page, press, name string) *page {
	b.t.Helper()
	found := b.press(scope, "Find", url.Values{"q": {name}}).has(http.StatusOK)
	return b.press(found, press+" "+name, nil).has(http.StatusOK)
}

// preview expands a scope, and waits for the list. The settings are those of the form beside it.
func (b *browser) preview(scope *page, settings url.Values) *page {
	b.t.Helper()
	return b.ready(b.press(scope, "Preview targets", settings).has(http.StatusOK))
}

// ready waits until a plan has its list.
func (b *browser) ready(plan *page) *page {
	b.t.Helper()
	return b.eventually(plan.path(), "the list", func(p *page) bool { return p.doc.Find("#people").Length() > 0 })
}

// confirmation is what one types to start a run.
func confirmation(plan *page, reason string) url.Values {
	return url.Values{"reason": {reason}, "ticket": {"INC-7"}, "typed": {strconv.Itoa(plan.total())}}
}

// start confirms a plan, ticks whatever there is to tick, and returns the page of its run.
func (b *browser) start(plan *page, reason string) *page {
	b.t.Helper()
	values := confirmation(plan, reason)
	if plan.doc.Find("#no_protected").Length() > 0 {
		values.Set("no_protected", "yes")
	}
	run := b.submit(plan, plan.path()+"/run", values).has(http.StatusOK)
	if !strings.HasPrefix(run.path(), "/runs/") {
		b.t.Fatalf("the run did not start: %s (%d):\n%s", run.url, run.status, run.text())
	}
	return run
}

// stands waits until a run's state is this, such as "finished" or "paused: by request".
func (b *browser) stands(run, state string) *page {
	b.t.Helper()
	return b.eventually(run, "state "+state, func(p *page) bool { return p.state() == state })
}

// state is the state of the run on its page.
func (p *page) state() string { return strings.TrimSpace(p.doc.Find("h1 .tag").First().Text()) }

// total is how many people the list of a plan holds.
func (p *page) total() int {
	p.t.Helper()
	n, err := strconv.Atoi(strings.ReplaceAll(p.doc.Find("ul.counts li strong").First().Text(), ",", ""))
	if err != nil {
		p.t.Fatalf("no number of people on %s:\n%s", p.url, p.text())
	}
	return n
}

// counts are the numbers in the strip at the top of a page.
func (p *page) counts() map[string]int {
	out := map[string]int{}
	p.doc.Find("ul.counts li").Each(func(_ int, s *goquery.Selection) {
		if n, err := strconv.Atoi(strings.ReplaceAll(s.Find("strong").Text(), ",", "")); err == nil {
			out[s.Find("span").Text()] = n
		}
	})
	return out
}

// outcomes are how many of a run's people stand where, by its page.
func (p *page) outcomes() map[string]int {
	out := p.counts()
	maps.DeleteFunc(out, func(words string, _ int) bool {
		return !slices.Contains([]string{
			"confirmed", "accepted, reading back", "being called", "to be tried again", "refused", "failed", "unconfirmed", "not covered",
			"skipped", "cancelled", "not called yet", "never called",
		}, words)
	})
	return out
}

// row is the line of a table in which somebody stands.
func (p *page) row(table string, who entrasim.Person) string {
	p.t.Helper()
	var out string
	p.doc.Find(table + " tbody tr").Each(func(_ int, s *goquery.Selection) {
		if text := strings.Join(strings.Fields(s.Text()), " "); strings.Contains(text, who.UPN) {
			out = text
		}
	})
	return out
}

// document is report.json.
type document struct {
	Run struct {
		ID, State, Pause string
		Parent           string `json:"tries_again"`
		Total            int    `json:"targets_total"`
		NeverCalled      int    `json:"never_called_total"`
		Outcomes         map[string]int
		Events           int `json:"ledger_events"`
	}
	List struct {
		Lines []struct{ Text, Fate string } `json:"lines_not_matched"`
	}
	Targets, NeverCalled []reported
	LeftStanding         []reported
}

type reported struct {
	OID       string `json:"object_id"`
	UPN       string
	Name      string
	Reasons   []string
	Flags     []string
	Outcome   string
	Cause     string
	Attempt   int
	RequestID string `json:"graph_request_id"`
}

// UnmarshalJSON takes the lists by the names that they have in the file.
func (d *document) UnmarshalJSON(b []byte) error {
	type plain document
	var lists struct {
		Never []reported `json:"never_called"`
		Left  []reported `json:"left_standing"`
	}
	if err := json.Unmarshal(b, (*plain)(d)); err != nil {
		return err
	}
	err := json.Unmarshal(b, &lists)
	d.NeverCalled, d.LeftStanding = lists.Never, lists.Left
	return err
}

func (b *browser) document(run string) document {
	b.t.Helper()
	p := b.post(run+"/report.json", nil).has(http.StatusOK)
	var d document
	if err := json.Unmarshal([]byte(p.body), &d); err != nil {
		b.t.Fatalf("report.json: %v\n%s", err, p.body)
	}
	return d
}

// with are the targets with an outcome.
func (d document) with(outcome string) []reported {
	return slices.DeleteFunc(slices.Clone(d.Targets), func(r reported) bool { return r.Outcome != outcome })
}

// target is what the report says of somebody; zero when it does not name them among those who were begun.
func (d document) target(p entrasim.Person) reported {
	i := slices.IndexFunc(d.Targets, func(r reported) bool { return r.OID == p.ID })
	if i < 0 {
		return reported{}
	}
	return d.Targets[i]
}

// left says why somebody was left out; "" when they were not.
func (d document) left(p entrasim.Person) string {
	i := slices.IndexFunc(d.LeftStanding, func(r reported) bool { return r.OID == p.ID })
	if i < 0 {
		return ""
	}
	return d.LeftStanding[i].Cause
}

// finals counts the final outcomes of a run by the ledger, and fails the test for whoever has not exactly one.
func (d *demo) finals(r reader, since int64, run string) map[string]int {
	d.t.Helper()
	out, of := map[string]int{}, map[string]int{}
	final := map[audit.Kind]string{
		audit.TargetConfirmed: "confirmed", audit.TargetUnconfirmed: "unconfirmed", audit.TargetNotCovered: "not covered",
		audit.TargetSkipped: "skipped", audit.TargetRefused: "refused", audit.TargetFailed: "failed",
	}
	for _, e := range r.after(since) {
		if word := final[e.Kind]; "/runs/"+e.Run == run && word != "" && e.Outcome == word {
			out[word]++
			of[e.Target.OID]++
		}
	}
	for oid, n := range of {
		if n != 1 {
			d.t.Errorf("%s has %d final outcomes in the ledger", oid, n)
		}
	}
	return out
}

// inDepartment are the people of a department.
func (d *demo) inDepartment(name string) []entrasim.Person {
	return slices.DeleteFunc(d.Sim.People(10_000), func(p entrasim.Person) bool { return p.Department != name })
}

func TestALeadRevokesManyWithoutScripts(t *testing.T) {
	t.Parallel()
	d := crowd(t)
	lead, r := d.signedIn(d.cast.Lead), d.reader()
	victim := d.browser()
	portal := d.Sim.BrowserURL() + "/victim"
	victim.choose(victim.press(victim.get(portal), "Sign in", nil), d.cast.Victim).says("Session alive")
	began := r.length()

	// The scope: whom, and whom not.
	scope := lead.newScope()
	scope = lead.add(scope, "Include", "Global Administrator")
	scope = lead.add(scope, "Include", "Engineering")
	scope = lead.add(scope, "Include", "Night shift")
	wrong := lead.press(scope, "Include this filter", url.Values{"filter": {"department equals 'Sales'"}}).has(http.StatusUnprocessableEntity)
	if got := wrong.doc.Find("#filter").Text(); got != "department equals 'Sales'" || wrong.doc.Find("#filter-error").Text() == "" {
		t.Errorf("a wrong filter comes back as %q without an error beside it", got)
	}
	lead.press(scope, "Count first", url.Values{"filter": {"department eq 'Sales'"}}).
		says(strconv.Itoa(len(d.inDepartment("Sales"))) + " people match")
	scope = lead.press(scope, "Include this filter", url.Values{"filter": {"department eq 'Sales'"}})
	list := strings.Join([]string{"mail;name", d.cast.Victim.UPN + ";Lena", "nobody.at.all@larkfield.example;x", d.cast.ExternalGuest.UPN + ";Rui"}, "\r\n")
	scope = lead.press(scope, "Include this list", url.Values{"file": {list}}).has(http.StatusOK)
	scope = lead.add(scope, "Exclude", "Sales team 1")
	counted := lead.get(scope.path() + "?counts=1")
	counts := map[string]string{}
	counted.doc.Find("#sources tbody tr").Each(func(_ int, s *goquery.Selection) {
		name := s.Find(`td[data-label="Source"]`).Find("bdi, code").First().Text()
		counts[name] = strings.TrimSpace(s.Find(`td[data-label="People"]`).Text())
	})
	engineers := len(d.inDepartment("Engineering"))
	for name, want := range map[string]string{
		"Engineering": strconv.Itoa(engineers), "Sales team 1": strconv.Itoa(len(d.inDepartment("Sales"))), "Global Administrator": "6",
		"department eq 'Sales'": strconv.Itoa(len(d.inDepartment("Sales"))), "3 lines (column mail)": "up to 3",
	} {
		if counts[name] != want {
			t.Errorf("%s counts %q, want %q; all: %v", name, counts[name], want, counts)
		}
	}

	// The preview: who, why, and what to expect.
	plan := lead.preview(scope, url.Values{"title": {"Incident 7"}})
	total := plan.total()
	if rows := plan.doc.Find(`#people input[name="out"]`).Length(); rows != total || rows <= engineers {
		t.Errorf("%d rows for %d people", rows, total)
	}
	for who, want := range map[*entrasim.Person][]string{
		&d.cast.Victim:        {"list of 3 lines", "allowed"},
		&d.cast.GlobalAdmin:   {"role Global Administrator (active)", "privileged", "expected to be refused", "Privileged Authentication Administrator"},
		&d.cast.EligibleAdmin: {"role Global Administrator (eligible)", "privileged"},
	} {
		for _, text := range want {
			if row := plan.row("#people table", *who); !strings.Contains(row, text) {
				t.Errorf("the row of %s says %q, not %q", who.UPN, row, text)
			}
		}
	}
	twice := plan.doc.Find("#people tbody tr").FilterFunction(func(_ int, s *goquery.Selection) bool { return s.Find(".path > li").Length() > 1 })
	if twice.Length() == 0 || !strings.Contains(twice.Text(), "Night shift") {
		t.Error("nobody is in the list for two reasons")
	}
	plan.says("Way out", "nobody.at.all@larkfield.example", "not found", "2 of 3 lines were matched", "Left standing")
	left := lead.get(plan.path() + "?left=external")
	if row := left.row("#people table", d.cast.ExternalGuest); !strings.Contains(row, "external") {
		t.Errorf("the external guest is not among those left standing: %q", row)
	}
	for _, p := range d.inDepartment("Sales") {
		if plan.row("#people table", p) != "" {
			t.Errorf("%s is in the list, and was excluded", p.UPN)
		}
	}
	if first := plan.doc.Find("#people tbody tr").First().Text(); !strings.Contains(first, "privileged") {
		t.Errorf("the list begins with %s", first)
	}

	// One person out makes another list; this one stays.
	i := slices.IndexFunc(d.inDepartment("Engineering"), func(p entrasim.Person) bool { return !p.External })
	spared := d.inDepartment("Engineering")[i]
	less := lead.ready(lead.press(plan, "Take out", url.Values{"out": {spared.ID}}))
	if less.path() == plan.path() || less.total() != total-1 || less.row("#people table", spared) != "" {
		t.Errorf("without one of %d there are %d", total, less.total())
	}
	if lead.get(plan.path()).total() != total {
		t.Error("the list that somebody was taken out of has changed")
	}
	change := lead.get(less.link("What changed"))
	if diff := cmp.Diff(map[string]int{"joined": 0, "gone": 1, "in both": total - 1}, change.counts()); diff != "" {
		t.Errorf("what changed (-want +got):\n%s", diff)
	}
	change.says(spared.UPN)
	plan, total = less, total-1

	// A wrong number loses nothing, and calls nobody.
	check := plan.doc.Find(`input[type="radio"][value="no"]`).First().AttrOr("name", "")
	typed := confirmation(plan, "Token theft, wave 2")
	typed.Set("typed", strconv.Itoa(total+1))
	typed.Set(check, "no")
	refused := lead.submit(plan, plan.path()+"/run", typed).has(http.StatusUnprocessableEntity).says("mend what is marked")
	if refused.doc.Find("#typed-error").Text() == "" || refused.doc.Find("#reason").Text() != "Token theft, wave 2" ||
		refused.doc.Find("#ticket").AttrOr("value", "") != "INC-7" || refused.doc.Find(`input[name="`+check+`"][value="no"][checked]`).Length() != 1 {
		t.Errorf("a wrong number loses what was typed:\n%s", refused.text())
	}
	if n := d.Sim.Totals().Posts; n != 0 {
		t.Errorf("%d calls before anything was confirmed", n)
	}
	run := lead.submit(refused, plan.path()+"/run", url.Values{"typed": {strconv.Itoa(total)}}).path()
	again := lead.submit(refused, plan.path()+"/run", url.Values{"typed": {strconv.Itoa(total)}}).path()
	if run != again || !strings.HasPrefix(run, "/runs/") {
		t.Errorf("confirmed twice, it leads to %s and %s", run, again)
	}

	// The end: the page, the ledger, Entra and the report agree.
	end := lead.stands(run, "finished")
	if diff := cmp.Diff(d.finals(r, began, run), end.outcomes()); diff != "" {
		t.Errorf("counts (-ledger +page):\n%s", diff)
	}
	events := r.after(began)
	doc := lead.document(run) // which is recorded
	if diff := cmp.Diff(end.outcomes(), doc.Run.Outcomes); diff != "" || doc.Run.Total != total || len(doc.Targets) != total {
		t.Errorf("outcomes (-page +report):\n%s", diff)
	}
	if last := events[len(events)-1]; last.Kind != audit.RunFinished || last.Detail["confirmed"] != strconv.Itoa(end.outcomes()["confirmed"]) {
		t.Errorf("the last event: %+v", last)
	}
	for _, x := range doc.Targets {
		cut := d.Sim.Tally(x.OID).Revocations
		if x.Outcome == "confirmed" && cut != 1 || x.Outcome == "refused" && cut != 0 || x.RequestID == "" {
			t.Errorf("%s is %s (request %q) after %d revocations", x.UPN, x.Outcome, x.RequestID, cut)
		}
	}
	if n := d.Sim.Totals().Revoked; n != end.outcomes()["confirmed"] || d.Sim.Tally(spared.ID).Posts != 0 {
		t.Errorf("%d people were revoked, %d confirmed", n, end.outcomes()["confirmed"])
	}
	victim.eventually(portal, "the end of the victim's session", func(p *page) bool { return strings.Contains(p.text(), "AADSTS50173") })
	card := lead.get("/users/" + d.cast.Victim.ID).says("confirmed")
	if card.doc.Find(`a[href="`+run+`"]`).Length() == 0 {
		t.Error("the victim's card does not lead to the run")
	}

	// The report opens with what stands.
	report := lead.get(run + "/report").has(http.StatusOK)
	stands := report.doc.Find("section.stands")
	if first := report.doc.Find("article > section").First(); !first.Is(".stands") {
		t.Error("the report does not open with what still stands")
	}
	for _, x := range append(doc.with("refused"), doc.LeftStanding...) {
		if !strings.Contains(stands.Text(), x.OID) {
			t.Errorf("the report does not say that %s still stands", x.UPN)
		}
	}
	if doc.left(d.cast.ExternalGuest) != "external" || doc.left(spared) != "excluded" || len(doc.with("refused")) != end.outcomes()["refused"] {
		t.Errorf("report.json: the guest is left out as %q, the one taken out as %q", doc.left(d.cast.ExternalGuest), doc.left(spared))
	}
	if len(doc.List.Lines) != 1 || doc.List.Lines[0].Text != "nobody.at.all@larkfield.example" {
		t.Errorf("report.json: lines that led to nobody: %+v", doc.List.Lines)
	}

	// Somebody who may tries the refused again: a plan and a run of their own, bound to the first.
	admin := d.signedIn(d.cast.Admin)
	retry := admin.ready(admin.press(admin.get(run), "Plan them again", nil))
	if retry.total() != len(doc.with("refused")) {
		t.Errorf("%d people are tried again, want %d", retry.total(), len(doc.with("refused")))
	}
	retry.says("refused").silent("expected to be refused")
	child := admin.start(retry, "with the right role")
	admin.stands(child.path(), "finished")
	second := admin.document(child.path())
	if "/runs/"+second.Run.Parent != run || len(second.with("confirmed")) != len(doc.with("refused")) {
		t.Errorf("the second try of %s: %v", second.Run.Parent, second.Run.Outcomes)
	}
	if got, want := byID(second.Targets), byID(doc.with("refused")); !slices.Equal(got, want) {
		t.Errorf("tried again: %v, want %v", got, want)
	}

	// Who joined since.
	late := d.Sim.AddUser("Late", "Joiner", "Engineering")
	group, _ := d.Sim.Group("Engineering team 1")
	if err := d.Sim.AddToGroup(late.ID, group); err != nil {
		t.Fatal(err)
	}
	came := lead.ready(lead.press(lead.get(run), "Look for late-comers", nil))
	if came.total() != 1 || came.row("#people table", late) == "" {
		t.Errorf("late-comers:\n%s", came.text())
	}
	lead.stands(lead.start(came, "a late-comer").path(), "finished")
	if d.Sim.Tally(late.ID).Revocations != 1 || d.Sim.Tally(d.cast.Victim.ID).Revocations != 1 {
		t.Error("the late-comer was not revoked, or the others were revoked again")
	}
}

func byID(list []reported) []string {
	ids := map[string]bool{}
	for _, x := range list {
		ids[x.OID] = true
	}
	return slices.Sorted(maps.Keys(ids))
}
