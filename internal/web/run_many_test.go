package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/operator"
	"evict/internal/revoke"
)

// manyRun is a run of the Lead who is signed in: of 100 people, 60 were called.
func manyRun(state revoke.RunState) revoke.Run {
	return revoke.Run{
		ID: "r", Plan: "plan", Preview: "p", Digest: "digest", State: state, Operator: revoke.Person{OID: me, UPN: "me@corp.example"},
		Reason: "phished", Ticket: "INC-7", Total: 100, CreatedAt: noon.Add(-time.Minute), Events: 190, Cloud: "simulator",
		Progress: revoke.Progress{
			Next: 60, Canary: true, Limit: revoke.LimitBucket,
			Counts: revoke.Counts{revoke.Confirmed: 50, revoke.Accepted: 3, revoke.Refused: 4, revoke.Unconfirmed: 2, revoke.NotCovered: 1},
		},
	}
}

func (d *desk) begin(run revoke.Run) {
	d.runs[run.ID] = run
	d.begun[run.ID] = nil
	pos := 0
	for _, s := range statesInOrder() {
		for range run.Counts[s] {
			d.begun[run.ID] = append(d.begun[run.ID], revoke.RunTarget{
				Target: targets(pos + 1)[pos], Run: run.ID, State: s, Attempt: 1, T0: noon, RequestID: "request-" + oid(pos), Message: "because",
			})
			pos++
		}
	}
}

func deskWithRun(run revoke.Run) (*builder, *desk) {
	p := preview(run.Total)
	p.Run = run.ID
	b, d := newDesk(p)
	d.begin(run)
	d.plan = revoke.Plan{ID: "plan", Scope: p.Scope, ListDigest: p.ListDigest, Checklist: []revoke.Check{{Key: "k", Text: "Rotated?", Answer: "no"}}}
	for i := range 30 {
		d.samples = append(d.samples, revoke.Sample{At: noon.Add(time.Duration(i-30) * 2 * time.Second), Begun: 2 * i, Final: 2 * i, Confirmed: i})
	}
	return b, d
}

func buttons(doc *goquery.Document) map[string]bool {
	out := map[string]bool{}
	for _, f := range doc.Find("main form[method=post]").EachIter() {
		out[strings.TrimPrefix(f.AttrOr("action", ""), "/runs/r/")] = true
	}
	return out
}

func TestARunOfManySaysWhereItStandsAndWhatMayBeDone(t *testing.T) {
	t.Parallel()
	lead, auditor := operator.Roles{operator.Lead}, operator.Roles{operator.Auditor}
	pausing, cancelling := manyRun(revoke.RunRunning), manyRun(revoke.RunRunning)
	pausing.Wish, cancelling.Wish = revoke.WishPause, revoke.WishCancel
	paused, role := manyRun(revoke.RunPaused), manyRun(revoke.RunPaused)
	paused.Pause, role.Pause = revoke.PauseOperator, revoke.PauseNeedRole
	for name, test := range map[string]struct {
		run   revoke.Run
		oid   string
		roles operator.Roles
		says  string
		may   []string
	}{
		"running":               {manyRun(revoke.RunRunning), me, lead, "Going on: more than half is done.", []string{"pause", "cancel"}},
		"running, for others":   {manyRun(revoke.RunRunning), other, auditor, "Going on", nil},
		"pausing":               {pausing, me, lead, "Pausing: nobody new is called", []string{"pause", "cancel"}},
		"cancelling":            {cancelling, me, lead, "Cancelling: nobody new is called", nil},
		"paused":                {paused, me, lead, "Stands still. Somebody paused it.", []string{"resume", "cancel"}},
		"paused, for a Lead":    {paused, other, lead, "Only me@corp.example can continue", []string{"cancel"}},
		"paused, for others":    {paused, other, auditor, "Only me@corp.example can continue", nil},
		"needs a role":          {role, me, lead, "Activate it again", []string{"resume", "cancel"}},
		"cancelled":             {manyRun(revoke.RunCancelled), me, lead, "40 people never called: their sessions live on.", []string{"again", "latecomers"}},
		"cancelled, an auditor": {manyRun(revoke.RunCancelled), other, auditor, "50 of 100 are proven cut off; 50 are not.", nil},
	} {
		b, _ := deskWithRun(test.run)
		b.who.OID, b.who.Roles = test.oid, test.roles
		w, doc := b.get(t, "/runs/r", false)
		wantStatus(t, w, http.StatusOK)
		if got := doc.Find("main").Text(); !strings.Contains(got, test.says) {
			t.Errorf("%s: does not say %q: %s", name, test.says, doc.Find("#run-status").Text())
		}
		got := buttons(doc)
		for _, action := range test.may {
			if !got[action] {
				t.Errorf("%s: no button to %s", name, action)
			}
			delete(got, action)
		}
		if len(got) > 0 {
			t.Errorf("%s: buttons too many: %v", name, got)
		}
		if polls := doc.Find("#run[hx-get]").Length() == 1; polls != (test.run.State == revoke.RunRunning) {
			t.Errorf("%s: polls = %v", name, polls)
		}
	}
}

func TestARunOfManyListsByOutcome(t *testing.T) {
	t.Parallel()
	b, _ := deskWithRun(manyRun(revoke.RunRunning))
	for query, want := range map[string]int{
		"": 7, "?show=refused": 4, "?show=open": 3, "?show=confirmed": 50, "?show=waiting": 40, "?show=all": 50, "?show=all&after=49": 10,
		"?show=confirmed&text=person1": 11, "?show=nonsense": 0, "?after=-7": 7, "?show=waiting&after=89": 10,
	} {
		_, doc := b.get(t, "/runs/r"+query, false)
		if got := doc.Find("#people tbody tr").Length(); got != want {
			t.Errorf("%q lists %d people, want %d", query, got, want)
		}
	}
	_, doc := b.get(t, "/runs/r?show=refused&text=x", true)
	if got := doc.Find("#run").AttrOr("hx-get", ""); got != "/runs/r?show=refused&text=x" {
		t.Errorf("the fragment asks again at %q: the choice is lost", got)
	}
	_, doc = b.get(t, "/runs/r?show=refused", false)
	if got := doc.Find("#people tbody tr").First().Find("a[href^='/ledger?run=r&target=']").Length(); got != 1 {
		t.Error("no way to the ledger's evidence")
	}
}

func TestTheTimeLeftComesFromTheQuotaAndTheLimitIsNamed(t *testing.T) {
	t.Parallel()
	run := manyRun(revoke.RunRunning)
	run.Total, run.Next = 10_000, 5_000
	quota := revoke.NewQuota(noon)
	quota.Tokens = 0
	v := manyView{run: run, quota: &quota, now: noon, who: operator.Operator{OID: me, Roles: operator.Roles{operator.Lead}}}
	live := newManyLive(v)
	if got := live.Counts[len(live.Counts)-1].Value; got != "about 4 min" {
		t.Errorf("time left = %q", got)
	}
	if got := live.Bound; !strings.Contains(got, "3,000 calls in 150 s") {
		t.Errorf("the limit is named as %q", got)
	}
	said := map[string]bool{}
	for _, limit := range []revoke.Limit{revoke.LimitBucket, revoke.LimitApp, revoke.LimitTenant, revoke.LimitCanary, revoke.LimitFlight} {
		v.run.Limit = limit
		words := bound(v)
		if words == "" || said[words] {
			t.Errorf("limit %q says %q", limit, words)
		}
		said[words] = true
	}
	v.run.Limit = revoke.LimitNone
	if got := bound(v); got != "" {
		t.Errorf("no limit says %q", got)
	}
}

func TestTheRateLooksAtTheLastSeconds(t *testing.T) {
	t.Parallel()
	var samples []revoke.Sample
	for i := range 60 {
		samples = append(samples, revoke.Sample{At: noon.Add(time.Duration(i) * time.Second), Begun: min(3000, i*1000) + 20*i})
	}
	last := samples[len(samples)-1].At
	if got := callRate(samples, time.Time{}, last); got < 19.9 || got > 20.1 {
		t.Errorf("rate = %v, want 20", got)
	}
	slow := append([]revoke.Sample{{At: noon.Add(-time.Hour), Begun: 10}, {At: noon.Add(-59 * time.Minute), Begun: 900}}, revoke.Sample{At: noon, Begun: 1000}, revoke.Sample{At: noon.Add(time.Second), Begun: 1020})
	if got := callRate(slow, noon, noon.Add(2*time.Second)); got < 19.9 || got > 20.1 {
		t.Errorf("rate after a pause of an hour = %v, want 20", got)
	}
	if got := callRate(samples, time.Time{}, last.Add(time.Hour)); got != 0 {
		t.Errorf("rate long after = %v, want none", got)
	}
	if got := callRate(samples[:1], time.Time{}, last); got != 0 {
		t.Errorf("rate of one sample = %v, want none", got)
	}
}

func TestTheChartStaysInItsField(t *testing.T) {
	t.Parallel()
	run := manyRun(revoke.RunRunning)
	for name, samples := range map[string][]revoke.Sample{
		"none": nil, "one at the start": {{At: run.CreatedAt}}, "one": {{At: noon, Final: 10, Confirmed: 10}},
		"too many": {{At: noon.Add(-time.Second), Final: 50}, {At: noon, Final: 1000, Confirmed: 1000}},
	} {
		c := newChart(run, samples)
		if c == nil {
			if len(samples) > 1 || name == "one" {
				t.Errorf("%s: no chart", name)
			}
			continue
		}
		for _, p := range c.Points {
			if p.X < 0 || p.X > 1 || p.Done < 0 || p.Done > 1 || p.Confirmed < 0 || p.Confirmed > 1 {
				t.Errorf("%s: a point lies outside: %+v", name, p)
			}
		}
		if c.InWords == "" || len(c.Rows) < 2 {
			t.Errorf("%s: no words or rows: %q, %v", name, c.InWords, c.Rows)
		}
	}
}

func TestARunOfManyIsSeenByThoseWhoMay(t *testing.T) {
	t.Parallel()
	b, _ := deskWithRun(manyRun(revoke.RunFinished))
	b.who.OID = other
	for role, want := range map[operator.Role]int{operator.Responder: 404, operator.Lead: 200, operator.Approver: 200, operator.Auditor: 200, operator.Admin: 200} {
		b.who.Roles = operator.Roles{role}
		if w, _ := b.post(t, "/runs/r/report.json", nil); w.Code != want {
			t.Errorf("%s: the JSON = %d, want %d", role, w.Code, want)
		}
		for _, path := range []string{"/runs/r", "/runs/r/report"} {
			if w, _ := b.get(t, path, false); w.Code != want {
				t.Errorf("%s: %s = %d, want %d", role, path, w.Code, want)
			}
		}
	}
}

func TestTheListOfRunsCountsThoseOfMany(t *testing.T) {
	t.Parallel()
	b, _ := deskWithRun(manyRun(revoke.RunPaused))
	_, doc := b.get(t, "/runs", false)
	if got := doc.Find("table.runs td[data-label=Who]").Text(); !strings.Contains(got, "100 people") || !strings.Contains(got, "50 confirmed · 4 refused · 2 unconfirmed · 1 not covered · 43 to go") {
		t.Errorf("the list says %q", got)
	}
	run := manyRun(revoke.RunPaused)
	run.Pause = revoke.PauseCanary
	needs := newNeeds([]revoke.RunSummary{{Run: run}}, noon, func(revoke.RunTarget) bool { return false })
	if len(needs) != 1 || !strings.Contains(needs[0].Tag.Label, "the first targets") {
		t.Errorf("needs = %+v", needs)
	}
	run.State = revoke.RunFinished
	if needs = newNeeds([]revoke.RunSummary{{Run: run}}, noon, nil); len(needs) != 1 || !strings.Contains(needs[0].Text, "6 people may live on") {
		t.Errorf("needs = %+v", needs)
	}
	run.Counts = revoke.Counts{revoke.Confirmed: 100}
	if needs = newNeeds([]revoke.RunSummary{{Run: run}}, noon, nil); len(needs) != 0 {
		t.Errorf("a run that went well needs %+v", needs)
	}
}

func TestTheReportOpensWithWhatStillStands(t *testing.T) {
	t.Parallel()
	b, d := deskWithRun(manyRun(revoke.RunCancelled))
	w, doc := b.get(t, "/runs/r/report", false)
	wantStatus(t, w, http.StatusOK)
	if got := strings.TrimSpace(doc.Find("h1").Text()); got != "100 people: 50 proven cut off, 50 not" {
		t.Errorf("h1 = %q", got)
	}
	if got := doc.Find(".report > section h2").First().Text(); got != "What still stands" {
		t.Errorf("the report opens with %q", got)
	}
	stands := doc.Find(".stands").Text()
	for _, want := range []string{"refused", "unconfirmed", "not covered", "never called", "protected", "Break Glass", "the operator", "40 people"} {
		if !strings.Contains(stands, want) {
			t.Errorf("what still stands does not name %q", want)
		}
	}
	text := doc.Find(".report").Text()
	for _, want := range []string{"REHEARSAL", "Rotated?", "CM0099", "T1550.004", "group Finance", d.plan.ListDigest, "nobody"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not name %q", want)
		}
	}
	b.Rehearsal, b.TenantName = false, func() string { return "Contoso" }
	if _, doc = b.get(t, "/runs/r/report", false); strings.Contains(doc.Text(), "REHEARSAL") {
		t.Error("the report of a real tenant speaks of a rehearsal")
	}
}

func TestTheReportNamesOnlySoManyOnPaperAndEverybodyInJSON(t *testing.T) {
	t.Parallel()
	run := manyRun(revoke.RunFinished)
	run.Total, run.Next, run.Counts = 2600, 2500, revoke.Counts{revoke.Confirmed: 2000, revoke.Refused: 500}
	b, _ := deskWithRun(run)
	_, doc := b.get(t, "/runs/r/report", false)
	if got := doc.Find(".stands section").First().Find("tbody tr").Length(); got != peopleOnPaper {
		t.Errorf("%d refused on paper, want %d", got, peopleOnPaper)
	}
	if got := doc.Find(".stands").Text(); !strings.Contains(got, "And 300 more: the JSON names everybody.") {
		t.Error("the others are not spoken of")
	}
	w, _ := b.post(t, "/runs/r/report.json", nil)
	wantStatus(t, w, http.StatusOK)
	var report struct {
		Rehearsal string
		Run       struct{ Outcomes map[string]int }
		List      struct{ Total int }
		Targets   []struct {
			OID     string `json:"object_id"`
			Outcome string
			T0      string
			Request string `json:"graph_request_id"`
		}
		Never []struct{ Position int } `json:"never_called"`
		Left  []struct{ Cause string } `json:"left_standing"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Targets) != 2500 || len(report.Never) != 100 || len(report.Left) != 2 || report.Rehearsal == "" || report.List.Total != 2600 {
		t.Errorf("%d targets, %d never called, %d left standing", len(report.Targets), len(report.Never), len(report.Left))
	}
	if x := report.Targets[2499]; x.Outcome != "refused" || x.OID != oid(2499) || x.T0 != "2026-11-23T12:00:00.000Z" || x.Request == "" {
		t.Errorf("the last target is %+v", x)
	}
	if report.Never[0].Position != 2500 {
		t.Errorf("never called begins at %d", report.Never[0].Position)
	}
}

func TestAReportWithHostileNamesIsText(t *testing.T) {
	t.Parallel()
	const evil = `</script><img src=x onerror=alert(1)>"'=`
	b, d := deskWithRun(manyRun(revoke.RunFinished))
	for i := range d.begun["r"] {
		d.begun["r"][i].Name, d.begun["r"][i].Message, d.begun["r"][i].UPN = evil, evil, evil
	}
	for _, path := range []string{"/runs/r", "/runs/r/report", "/plans/p"} {
		_, doc := b.get(t, path, false)
		if doc.Find("img, script:not([src])").Length() != 0 {
			t.Errorf("%s: a name became an element", path)
		}
	}
}

func TestSharesNeverRoundUpToAll(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		n, of int
		want  string
	}{{100, 100, "100 %"}, {99_999, 100_000, "> 99.9 %"}, {1, 100_000, "< 0.1 %"}, {1, 4, "25.0 %"}, {0, 0, ""}} {
		if got := percent(test.n, test.of); got != test.want {
			t.Errorf("percent(%d, %d) = %q, want %q", test.n, test.of, got, test.want)
		}
	}
}

func TestOnlyKnownOutcomesAreTriedAgain(t *testing.T) {
	t.Parallel()
	b, _ := deskWithRun(manyRun(revoke.RunFinished))
	_, doc := b.get(t, "/runs/r", false)
	form := url.Values{}
	for _, n := range doc.Find(`form[action="/runs/r/again"] input[name=outcome]`).EachIter() {
		form.Add("outcome", n.AttrOr("value", ""))
	}
	if got := strings.Join(form["outcome"], ","); got != "refused,unconfirmed,cancelled" {
		t.Errorf("outcomes = %q", got)
	}
}

func TestEverybodyNotProvenCutOffStillStands(t *testing.T) {
	t.Parallel()
	b, d := deskWithRun(manyRun(revoke.RunCancelled))
	p := d.previews["p"]
	p.Facts.Lines = []directory.Line{{Text: "<b>nobody</b>", Fate: directory.LineNotFound}, {Text: "twice", Fate: directory.LineDuplicate}}
	d.previews["p"] = p
	_, doc := b.get(t, "/runs/r", false)
	if got := doc.Find("#people .chip[aria-current]").Text(); got != "what still stands 52" {
		t.Errorf("the run says %q, want those not confirmed and those left out", got)
	}
	if got := doc.Find("#people .facets").Text(); !strings.Contains(got, "never called 40") || !strings.Contains(got, "left out of the plan 2") {
		t.Errorf("beside the rows: %q", got)
	}
	_, doc = b.get(t, "/runs/r/report", false)
	stands := doc.Find(".stands").Text()
	for _, want := range []string{"52 people", "<b>nobody</b>", "1 line", "Cause 1, 4 people:"} {
		if !strings.Contains(stands, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if strings.Contains(stands, "twice") {
		t.Error("a line whose account is in the list counts as one that led to nobody")
	}
	if doc.Find("a[href='/plans/p']").Length() != 1 {
		t.Error("the report names no plan that can be opened")
	}
}

func TestAPausedRunSaysWhoPausedItAndWhen(t *testing.T) {
	t.Parallel()
	run := manyRun(revoke.RunPaused)
	run.Pause = revoke.PauseOperator
	b, d := deskWithRun(run)
	d.events = []audit.Event{{Kind: audit.RunStopping, Time: "2026-11-23T11:59:00.000Z", Operator: &audit.Person{UPN: "second@corp.example"}, Detail: map[string]string{"asked": "pause"}}}
	_, doc := b.get(t, "/runs/r", false)
	if got := doc.Find("#run-status").Text(); !strings.Contains(got, "Paused by second@corp.example, 23 Nov 2026 11:59:00 UTC.") {
		t.Errorf("status = %q", got)
	}
}
