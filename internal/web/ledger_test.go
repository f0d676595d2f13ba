package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"evict/internal/audit"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// archive is a vault that is searched as store.Ledger does it, by looking at every event. A search gives up after sight
// events, when that is not 0.
type archive struct {
	*vault
	sight  int64
	deaf   bool                  // days and runs cannot be read
	claims int64                 // what runs say that they have written, when that is not 0
	counts int                   // how often days were counted
	was    map[int64]audit.Event // what altered events were: their index columns still say so
}

// alter replaces the bytes of an event with some that are none.
func (a *archive) alter(seq int64, body string) {
	rec := &a.records[seq-1]
	if a.was == nil {
		a.was = map[int64]audit.Event{}
	}
	a.was[seq] = rec.Event
	rec.Body, rec.Event = []byte(body), audit.Event{Seq: seq}
}

// indexed is an event as its index columns have it.
func (a *archive) indexed(rec audit.Record) audit.Record {
	if was, altered := a.was[rec.Seq]; altered {
		rec.Event = was
	}
	return rec
}

func matches(q audit.Query, rec audit.Record) bool {
	e := rec.Event
	is := func(p *audit.Person, who string) bool {
		return who == "" || p != nil && (strings.EqualFold(p.OID, who) || strings.Contains(strings.ToLower(p.UPN), strings.ToLower(who)))
	}
	when, _ := audit.ParseTime(e.Time)
	return is(e.Operator, q.Operator) && is(e.Target, q.Target) && (q.Person == "" || is(e.Operator, q.Person) || is(e.Target, q.Person)) &&
		(q.Kind == "" || q.Kind == e.Kind) && (q.Outcome == "" || q.Outcome == e.Outcome) && (q.Run == "" || q.Run == e.Run) &&
		(q.Ticket == "" || q.Ticket == e.Ticket) && (q.Text == "" || strings.Contains(string(rec.Body), q.Text)) &&
		(!q.Folded || e.Run == "" || e.Kind == audit.RunStarted) &&
		(q.From.IsZero() || !when.Before(q.From)) && (q.To.IsZero() || when.Before(q.To))
}

func (a *archive) Search(_ context.Context, q audit.Query) (found audit.Found, err error) {
	if a.gone {
		return found, errGone
	}
	in := slices.Clone(a.records)
	upwards := q.After > 0 && q.Before == 0
	if !upwards {
		slices.Reverse(in)
	}
	looked := int64(0)
	for _, rec := range in {
		if q.Before > 0 && rec.Seq >= q.Before || q.After > 0 && rec.Seq <= q.After {
			continue
		}
		if matches(q, a.indexed(rec)) && (!q.Firsts || a.isFirst(rec)) {
			if found.More = len(found.Records) == q.Limit; found.More {
				break
			}
			found.Records = append(found.Records, rec)
		}
		if looked++; a.sight > 0 && looked == a.sight {
			found.SearchedTo = rec.Seq
			break
		}
	}
	if upwards {
		slices.Reverse(found.Records)
	}
	return found, nil
}

// part lists the events of a run about the target of one of them, from there up to another one.
func (a *archive) part(from, upTo int64) (oid string, out []audit.Record) {
	at := slices.IndexFunc(a.records, func(rec audit.Record) bool { return rec.Seq == from })
	of := a.indexed(a.records[at]).Event
	for _, rec := range a.records[at:] {
		if rec.Seq <= upTo && sameInRun(of, a.indexed(rec).Event) {
			out = append(out, rec)
		}
	}
	return of.Target.OID, out
}

func sameInRun(a, b audit.Event) bool {
	return a.Run == b.Run && a.Target != nil && b.Target != nil && a.Target.OID == b.Target.OID
}

// isFirst reports whether nothing in its run came before about the same target.
func (a *archive) isFirst(rec audit.Record) bool {
	e := a.indexed(rec).Event
	return e.Target != nil && !slices.ContainsFunc(a.records, func(before audit.Record) bool {
		return before.Seq < rec.Seq && sameInRun(e, a.indexed(before).Event)
	})
}

func (a *archive) Parts(_ context.Context, from []int64, upTo int64, most int) (map[int64]audit.Part, error) {
	if a.gone {
		return nil, errGone
	}
	parts := map[int64]audit.Part{}
	for _, seq := range from {
		oid, list := a.part(seq, upTo)
		parts[seq] = audit.Part{OID: oid, Records: list[max(0, len(list)-most):], Cut: len(list) > most}
	}
	return parts, nil
}

func (*vault) Parts(context.Context, []int64, int64, int) (map[int64]audit.Part, error) {
	return nil, errGone
}

func (a *archive) Histogram(_ context.Context, q audit.Query) (h audit.Histogram, err error) {
	a.counts++
	if a.deaf {
		return h, errGone
	}
	for _, rec := range slices.Backward(a.records) {
		rec = a.indexed(rec)
		if !matches(q, rec) {
			continue
		}
		if day := rec.Event.Time[:len(time.DateOnly)]; len(h.Days) == 0 || h.Days[len(h.Days)-1].Day != day {
			h.Days = append(h.Days, audit.DayBar{Day: day})
		}
		h.Days[len(h.Days)-1].Events++
	}
	return h, nil
}

func (a *archive) RunLines(_ context.Context, runs []string) (map[string]audit.RunLine, error) {
	if a.deaf {
		return nil, errGone
	}
	out := map[string]audit.RunLine{}
	for _, rec := range a.records {
		if id := a.indexed(rec).Event.Run; id != "" && slices.Contains(runs, id) {
			line := out[id]
			if line.Events == 0 {
				line.Run, line.First = id, rec.Seq
			}
			line.Events++
			line.Newest = rec
			out[id] = line
		}
	}
	for id, line := range out {
		if a.claims > 0 {
			line.Events = a.claims
			out[id] = line
		}
	}
	return out, nil
}

// Closings counts what is there, whatever a run says of itself.
func (v *vault) Closings(_ context.Context, after, upTo int64, limit int) (out []audit.RunLine, err error) {
	for _, rec := range v.records {
		if k := rec.Event.Kind; rec.Seq <= after || rec.Seq > upTo || k != audit.RunFinished && k != audit.RunCancelled || len(out) == limit {
			continue
		}
		line := audit.RunLine{Run: rec.Event.Run, Newest: rec}
		for _, one := range v.records {
			if one.Event.Run == line.Run && one.Seq <= rec.Seq {
				line.Events++
			}
		}
		out = append(out, line)
	}
	return out, nil
}

func newArchive(t *testing.T) (*builder, *archive, *clerk) {
	t.Helper()
	b, v, c := newVault(t, 0)
	a := &archive{vault: v}
	b.Ledger, b.Trail = a, a
	return b, a, c
}

// tell appends events, each a minute after the one before.
func (a *archive) tell(t *testing.T, events ...audit.Event) {
	t.Helper()
	for _, e := range events {
		n := len(a.records) + 1
		if e.Time == "" {
			e.Time = audit.FormatTime(noon.Add(time.Duration(n) * time.Minute))
		}
		e.ID, e.Cloud, e.Tenant = "event-"+strconv.Itoa(n), "simulator", tenantID
		if e.Operator == nil {
			e.Operator = &audit.Person{OID: me, UPN: "me@corp.example", Name: "Me"}
		}
		if e.Kind == audit.RunFinished || e.Kind == audit.RunCancelled {
			lines, _ := a.RunLines(t.Context(), []string{e.Run})
			if e.Detail["events"] == "" {
				e.Detail["events"] = strconv.FormatInt(lines[e.Run].Events+1, 10)
			}
			e.Detail["last_seq"] = strconv.Itoa(n)
		}
		if err := a.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func personOf(n int) *audit.Person {
	return &audit.Person{OID: oid(n), UPN: fmt.Sprintf("person%d@corp.example", n), Name: fmt.Sprintf("Person %d", n)}
}

// begin tells of a run of n people up to its last attempt.
func (a *archive) begin(t *testing.T, run string, n int) {
	t.Helper()
	a.tell(t,
		audit.Event{Kind: audit.PlanCreated, Run: run, Reason: "phished", Ticket: "INC-7", Detail: map[string]string{"targets": strconv.Itoa(n)}},
		audit.Event{Kind: audit.RunStarted, Run: run, Outcome: "running", Reason: "phished", Ticket: "INC-7"})
	for i := range n {
		for _, k := range []audit.Kind{audit.TargetAttempted, audit.TargetAccepted} {
			a.tell(t, audit.Event{Kind: k, Run: run, Target: personOf(i), Attempt: 1, Reason: "phished", Ticket: "INC-7"})
		}
		if i%2 == 0 {
			a.tell(t, audit.Event{Kind: audit.TargetConfirmed, Run: run, Target: personOf(i), Attempt: 1, Outcome: "confirmed"})
		} else {
			a.tell(t, audit.Event{Kind: audit.TargetRefused, Run: run, Target: personOf(i), Attempt: 1, Outcome: "refused", Evidence: &audit.Evidence{Message: "Insufficient privileges."}})
		}
	}
}

// end tells that a run of n people is over.
func (a *archive) end(t *testing.T, run string, n int) {
	t.Helper()
	a.tell(t, audit.Event{Kind: audit.RunFinished, Run: run, Outcome: "finished", Detail: map[string]string{
		"confirmed": strconv.Itoa((n + 1) / 2), "refused": strconv.Itoa(n / 2),
	}})
}

func (a *archive) run(t *testing.T, run string, n int) {
	t.Helper()
	a.begin(t, run, n)
	a.end(t, run, n)
}

func listed(doc *goquery.Document) (out []string) {
	for _, n := range doc.Find(`td[data-label="No."]`).EachIter() {
		out = append(out, strings.TrimSpace(n.Text()))
	}
	return out
}

func TestTheLedgerFoldsRunsUntilAFilterLooksInsideThem(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened}, audit.Event{Kind: audit.SignedIn})
	a.run(t, "many", 4)
	a.begin(t, "one", 1)
	a.tell(t, audit.Event{Kind: audit.SettingsChanged, Target: personOf(7), Detail: map[string]string{"protected_account": "added"}})

	_, doc := b.get(t, "/ledger", false)
	if got, want := listed(doc), []string{"23", "19", "4", "2", "1"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v: of each run its start", got, want)
	}
	has(t, "a run in one line", docOf(doc, "#run-many"), "Run of 4 people", "finished", "2 confirmed, 2 refused", "15 events", "INC-7")
	has(t, "a run that goes on", docOf(doc, "#run-one"), "Run of 1 person", "going on", "person0", "5 events")
	if got := doc.Find("#run-one a[href='/ledger/people/" + oid(0) + "']").Length(); got != 1 {
		t.Error("the one target of a run does not lead to their story")
	}
	has(t, "a setting", doc, "protected account added")

	for query, want := range map[string]int{
		"view=all": 23, "run=many": 15, "outcome=refused": 2, "kind=target.accepted": 5, "target=person3": 3, "text=Insufficient": 2,
		"person=" + oid(7): 1, "ticket=INC-7": 2, "operator=" + me: 5, "ticket=INC-7&view=all": 14,
	} {
		if _, doc := b.get(t, "/ledger?"+query, false); len(listed(doc)) != want {
			t.Errorf("%s lists %v, want %d", query, listed(doc), want)
		}
	}
}

// docOf is a part of a page by itself.
func docOf(doc *goquery.Document, selector string) *goquery.Document {
	return goquery.NewDocumentFromNode(doc.Find(selector).Get(0))
}

func TestAFoldedRunOpensInPlaceAtAStableAddress(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	a.run(t, "r", 6)
	for range 60 {
		a.tell(t, audit.Event{Kind: audit.SignedIn})
	}
	_, doc := b.get(t, "/ledger", false)
	_, doc = b.get(t, doc.Find(".pager a[rel=next]").AttrOr("href", ""), false)
	open, fragment, _ := strings.Cut(doc.Find("#run-r .rowlinks a").First().AttrOr("href", ""), "#")
	if fragment != "run-r" || !strings.Contains(open, "before=") {
		t.Fatalf("opened by %q, want the same page with the run open", open)
	}
	_, doc = b.get(t, open, false)
	if got := doc.Find("tr.inside td[data-label=What]").Length(); got != openedEvents {
		t.Errorf("%d events inside, want %d", got, openedEvents)
	}
	if got := words(doc.Find("tr.inside").First()); !strings.Contains(got, "plan of 6 people created") {
		t.Errorf("the first event inside is %q", got)
	}
	has(t, "the end of what is open", doc, "8 follow", "The run's whole story")
	closed := doc.Find("#run-r .rowlinks a").First()
	if _, doc = b.get(t, strings.Split(closed.AttrOr("href", ""), "#")[0], false); doc.Find("tr.inside").Length() != 0 {
		t.Error("the run does not close")
	}
}

func TestEveryPageOfTheLedgerIsReachedOnceInBothDirections(t *testing.T) {
	t.Parallel()
	for name, sight := range map[string]int64{"searches that see all": 0, "searches that give up": 37} {
		b, a, _ := newArchive(t)
		a.sight = sight
		for i := range 330 {
			a.tell(t, audit.Event{Kind: []audit.Kind{audit.SignedIn, audit.SignedOut}[i%2]})
		}
		walk := func(from string, next ...string) (seen []string, last string) {
			for href := from; href != ""; {
				last = href
				w, doc := b.get(t, href, false)
				wantStatus(t, w, http.StatusOK)
				seen = append(seen, listed(doc)...)
				href = ""
				for _, selector := range next {
					if href == "" {
						href = doc.Find(selector).AttrOr("href", "")
					}
				}
			}
			return seen, last
		}
		down, last := walk("/ledger?kind=session.signed_in", ".pager a[rel=next]", ".searched a")
		if len(down) != 165 || down[0] != "329" || down[164] != "1" {
			t.Errorf("%s: %d events on the way down, from %v", name, len(down), down[:min(3, len(down))])
		}
		_, doc := b.get(t, last, false)
		up, _ := walk(doc.Find(".pager a[rel=prev]").AttrOr("href", ""), ".pager a[rel=prev]", ".searched a")
		up = append(up, listed(doc)...)
		slices.Sort(up)
		slices.Sort(down)
		if !slices.Equal(up, down) {
			t.Errorf("%s: %d events on the way up, %d on the way down", name, len(up), len(down))
		}
	}
}

func TestASearchThatGaveUpSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	for range 100 {
		a.tell(t, audit.Event{Kind: audit.SignedIn})
	}
	a.sight = 30
	_, doc := b.get(t, "/ledger?text=needle&ticket=INC-1", false)
	has(t, "nothing found yet", doc, "Searched back to event 71 (", "Nothing found so far", "Search further back")
	if got := doc.Find(".empty").Length(); got != 0 {
		t.Error("the page says that no event matches, which nobody knows")
	}
	further, err := url.Parse(doc.Find(".searched a").AttrOr("href", ""))
	if q := further.Query(); err != nil || q.Get("text") != "needle" || q.Get("ticket") != "INC-1" || q.Get("before") != "71" {
		t.Errorf("further back is %v (%v), want the same search before 71", further, err)
	}
}

func TestTheHistogramNarrowsTheListAndIsCountedOnce(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	for i := range 120 {
		a.tell(t, audit.Event{Kind: audit.SignedIn, Time: audit.FormatTime(noon.AddDate(0, 0, i/40))})
	}
	_, doc := b.get(t, "/ledger?kind=session.signed_in", false)
	bars := doc.Find(".bars li")
	if got := bars.Length(); got != 3 {
		t.Fatalf("%d bars, want 3", got)
	}
	if got := words(bars.First().Find(".vh")); !strings.HasSuffix(got, ": 40 events") {
		t.Errorf("the newest bar reads %q", got)
	}
	if doc.Find("[style]").Length() > 0 {
		t.Error("a bar is drawn with a style, which the policy forbids")
	}
	seen := 0
	for _, bar := range bars.Find("a").EachIter() {
		_, narrowed := b.get(t, bar.AttrOr("href", ""), false)
		seen += len(listed(narrowed))
		if narrowed.Find("select[name=kind] option[selected]").AttrOr("value", "") != "session.signed_in" || narrowed.Find(".bars").Length() != 0 {
			t.Error("a bar loses the filter, or a day is charted as one bar")
		}
	}
	if seen != 120 {
		t.Errorf("the bars lead to %d events, want 120", seen)
	}
	before := a.counts
	if _, doc = b.get(t, "/ledger?before=60", false); a.counts != before || doc.Find(".bars").Length() != 0 {
		t.Error("a later page counts the days again")
	}
	a.deaf = true
	if w, doc := b.get(t, "/ledger?view=all", false); w.Code != http.StatusOK || len(listed(doc)) != 50 {
		t.Error("without counts the list is gone as well")
	}
}

func TestTheHistogramTakesLongerSpansSoThatEachBarCanBeHit(t *testing.T) {
	t.Parallel()
	days := func(from string, n, step int) (h audit.Histogram) {
		day, err := time.Parse(time.DateOnly, from)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			h.Days = append([]audit.DayBar{{Day: day.AddDate(0, 0, i*step).Format(time.DateOnly), Events: int64(i + 1)}}, h.Days...)
		}
		return h
	}
	for name, test := range map[string]struct {
		of    audit.Histogram
		title string
		bars  int
		first string
		href  string
	}{
		"days, with empty ones":   {days("2026-02-26", 3, 2), "Events by day", 5, "2 Mar 2026: 3 events", "/ledger?from=2026-03-02T00%3A00&to=2026-03-03T00%3A00"},
		"months":                  {days("2025-12-31", 100, 1), "Events by month", 5, "April 2026: 864 events", "/ledger?from=2026-04-01T00%3A00&to=2026-05-01T00%3A00"},
		"years":                   {days("2019-06-01", 100, 30), "Events by year", 9, "2027: 679 events", "/ledger?from=2027-01-01T00%3A00&to=2028-01-01T00%3A00"},
		"as many days as bars":    {days("2026-01-01", mostBars, 1), "Events by day", mostBars, "11 Feb 2026: 42 events", "/ledger?from=2026-02-11T00%3A00&to=2026-02-12T00%3A00"},
		"a day more than bars":    {days("2026-01-01", mostBars+1, 1), "Events by month", 2, "February 2026: 450 events", "/ledger?from=2026-02-01T00%3A00&to=2026-03-01T00%3A00"},
		"a day that is none":      {audit.Histogram{Days: []audit.DayBar{{Day: "soon", Events: 3}}}, "", 0, "", ""},
		"one day, which is all":   {days("2026-01-01", 1, 1), "", 0, "", ""},
		"one day, as far as seen": {audit.Histogram{Days: days("2026-01-01", 1, 1).Days, SearchedTo: 12}, "Events by day", 1, "1 Jan 2026: 1 event", "/ledger?from=2026-01-01T00%3A00&to=2026-01-02T00%3A00"},
	} {
		c := dayChart(test.of, url.Values{}, audit.Query{}, "")
		if test.bars == 0 {
			if c != nil {
				t.Errorf("%s: a chart of %v", name, c.Bars)
			}
			continue
		}
		if c == nil || c.Title != test.title || len(c.Bars) != test.bars || c.Bars[0].Label != test.first || c.Bars[0].Href != test.href {
			t.Errorf("%s: %+v", name, c)
		}
	}
	narrow := audit.Query{From: noon.Add(-time.Hour), To: noon.Add(time.Hour)}
	h := audit.Histogram{SearchedTo: 1, Days: []audit.DayBar{{Day: noon.Format(time.DateOnly), Events: 1}}}
	c := dayChart(h, url.Values{}, narrow, "3 Jan 2026")
	if !strings.Contains(c.Bars[0].Href, "from="+url.QueryEscape(barTime(narrow.From))) || !strings.Contains(c.Bars[0].Href, "to="+url.QueryEscape(barTime(narrow.To))) {
		t.Errorf("a bar widens the filter: %s", c.Bars[0].Href)
	}
	if c.Note != "Counted back to event 1 (3 Jan 2026). What is older was not counted." {
		t.Errorf("note = %q", c.Note)
	}
}

func TestTheLedgerSaysWhereItStandsAndWhatIsWrong(t *testing.T) {
	t.Parallel()
	b, a, c := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened}, audit.Event{Kind: audit.SignedIn})
	_, doc := b.get(t, "/ledger", false)
	has(t, "unsigned", doc, "2 events · no signed checkpoint yet")
	if doc.Find("[role=alert], main .note").Length() != 0 {
		t.Error("a ledger without problems alarms")
	}
	c.standing = audit.Standing{Signed: audit.Checkpoint{Size: 2}, SignedAt: noon.Add(-time.Minute), Unkept: "No space is left."}
	for i := range 8 {
		c.standing.Problems = append(c.standing.Problems, audit.Problem{Text: "Event " + strconv.Itoa(i) + " was altered."})
	}
	_, doc = b.get(t, "/ledger", false)
	has(t, "alarm", doc, "signed up to 2 at "+clockTime(noon.Add(-time.Minute)), "Event 4 was altered.", "And 3 more.", "No space is left.")
	if doc.Find("[role=alert] a[href='/ledger/verify']").Length() != 1 || strings.Contains(doc.Find("[role=alert]").Text(), "Event 5") {
		t.Error("the alarm does not lead to verification, or lists too much")
	}
	c.standing = audit.Standing{Signed: audit.Checkpoint{Size: 2}, SignedAt: noon.AddDate(0, 0, -3)}
	_, doc = b.get(t, "/ledger", false)
	has(t, "signed long ago", doc, noon.AddDate(0, 0, -3).Format("2 Jan 2006"))
	b.Notary, b.Trail = nil, nil
	if w, _ := b.get(t, "/ledger", false); w.Code != http.StatusOK {
		t.Errorf("without a notary the ledger answers %d", w.Code)
	}
}

func TestTheExportTakesWhatTheFilterSelects(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	query := url.Values{
		"text": {"a b"}, "operator": {"me"}, "target": {"x"}, "person": {me}, "kind": {"run.finished"}, "outcome": {"finished"}, "ticket": {"INC-1"},
		"run": {"r"}, "from": {"2026-11-01T00:00"}, "to": {"2026-11-02T00:00"},
	}
	_, doc := b.get(t, "/ledger?view=all&before=9&after=3&open=r&"+query.Encode(), false)
	form := doc.Find("form.export[method=post][action='/ledger/export']")
	got := url.Values{}
	for _, n := range form.Find("input[type=hidden]").EachIter() {
		got.Add(n.AttrOr("name", ""), n.AttrOr("value", ""))
	}
	if !reflect.DeepEqual(got, query) {
		t.Errorf("the form sends %v, want %v", got, query)
	}
	asked, _ := ledgerQuery(query)
	sent, _ := ledgerQuery(got)
	if asked != sent {
		t.Errorf("exported is %+v, listed %+v", sent, asked)
	}
	if got := form.Find("select[name=format] option").Length(); got != 3 {
		t.Errorf("%d formats, want 3", got)
	}
}

// A filter without a field of its own would narrow the list unseen.
func TestTheOnePersonWhoIsMeantIsNamedAndCanBeLeftOut(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.run(t, "r", 1)
	_, doc := b.get(t, "/ledger?person="+oid(0)+"&ticket=T", false)
	if doc.Find("p.views a[href='/ledger/people/"+oid(0)+"']").Length() != 1 {
		t.Errorf("the person is not named: %q", words(doc.Find("p.views")))
	}
	if got := doc.Find("p.views a").Last().AttrOr("href", ""); got != "/ledger?ticket=T" {
		t.Errorf("without the person one comes to %q", got)
	}
}

func TestWhatTheFilterCannotReadIsSaidAndKept(t *testing.T) {
	t.Parallel()
	b, _, _ := newArchive(t)
	w, doc := b.get(t, "/ledger?from=yesterday&kind=nonsense&outcome=odd&text=%3Cb%3E", false)
	wantStatus(t, w, http.StatusUnprocessableEntity)
	has(t, "error", doc, "not a time", "There is no such kind: nonsense.", "mend the filter above")
	if strings.Contains(doc.Text(), "No event matches") {
		t.Error("what was not searched is said to match nothing")
	}
	for field, want := range map[string]string{"kind": "", "outcome": "odd"} {
		if got := doc.Find("select[name="+field+"] option[selected]").AttrOr("value", ""); got != want {
			t.Errorf("%s shows %q, want what was asked for", field, got)
		}
	}
	if doc.Find("details.narrow[open]").Length() != 1 || doc.Find("input[name=text]").AttrOr("value", "") != "<b>" || doc.Find("form.export").Length() != 0 {
		t.Error("what was typed is lost or hidden, or something unreadable can be exported")
	}
}

func TestATimeOfAnAddressStandsInTheFormAndStaysThere(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened, Time: "2026-11-30T17:03:06.119Z"}, audit.Event{Kind: audit.SignedIn, Time: "2026-11-30T17:03:06.120Z"})
	for from, want := range map[string]struct {
		stands string
		events int
	}{
		"2026-11-30":               {"2026-11-30T00:00", 2},
		"2026-11-30T17:03:06Z":     {"2026-11-30T17:03:06", 2},
		"2026-11-30T17:03:06.120Z": {"2026-11-30T17:03:06.12", 1},
		"2026-12-01":               {"2026-12-01T00:00", 0},
	} {
		for _, asked := range []string{from, want.stands} { // as it was given, and as the form then sends it
			w, doc := b.get(t, "/ledger?from="+asked, false)
			wantStatus(t, w, http.StatusOK)
			if got := doc.Find("input[name=from]").AttrOr("value", ""); got != want.stands || len(listed(doc)) != want.events {
				t.Errorf("from %s: the form has %q, and %d events are listed, want %q and %d", asked, got, len(listed(doc)), want.stands, want.events)
			}
		}
	}
	w, doc := b.get(t, "/ledger?to=2026-11-30T17:03:06.120Z", false)
	wantStatus(t, w, http.StatusOK)
	if got := doc.Find("input[name=to]").AttrOr("value", ""); got != "2026-11-30T17:03:06.12" || len(listed(doc)) != 1 {
		t.Errorf("before: the form has %q, and %d events are listed", got, len(listed(doc)))
	}
}

func TestWhatWentWrongInAFoldedRunStandsOut(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.run(t, "r", 4)
	_, doc := b.get(t, "/ledger", false)
	if got := words(doc.Find("#run-r .problem")); got != "2 refused" {
		t.Errorf("%q stands out, want the refused alone", got)
	}
}

func TestASearchSaysHowManyEventsMatch(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened}, audit.Event{Kind: audit.SignedIn})
	a.run(t, "r", 30)
	for query, want := range map[string]string{
		"": "95 events, those inside runs too.", "?view=all": "95 events.", "?run=r": "93 events match.", "?kind=session.signed_in": "1 event matches.",
		"?operator=me": "95 events match, those inside runs too.", "?outcome=refused": "15 events match.", "?text=nowhere": "", "?run=r&before=50": "",
	} {
		_, doc := b.get(t, "/ledger"+query, false)
		if got := words(doc.Find("section[aria-labelledby=events-h] p.quiet > strong")); got != want {
			t.Errorf("%q: the list says %q, want %q", query, got, want)
		}
		if doc.Find("#days-h").Length() != 0 {
			t.Errorf("%q: one day has a chart", query)
		}
	}
	a.deaf = true
	if _, doc := b.get(t, "/ledger", false); doc.Find("section[aria-labelledby=events-h] p.quiet > strong").Length() != 0 {
		t.Error("what was not counted is said to be so many")
	}
	some := []audit.DayBar{{Day: "2026-03-13", Events: 1000}, {Day: "2026-03-12", Events: 212}}
	for to, want := range map[int64]string{0: "1,212 events match.", 7: "At least 1,212 events match, counted back to 12 Mar 2026."} {
		if got := foundWords(audit.Histogram{Days: some, SearchedTo: to}, true, false, "12 Mar 2026"); got != want {
			t.Errorf("counted down to %d: %q, want %q", to, got, want)
		}
	}
	if got := foundWords(audit.Histogram{Days: some, SearchedTo: 7}, true, true, ""); got != "At least 1,212 events match, those inside runs too, counted back to event 7." {
		t.Errorf("without a day: %q", got)
	}
}

func TestAnEndBeforeTheBeginningIsSaidBesideItsField(t *testing.T) {
	t.Parallel()
	b, _, _ := newArchive(t)
	w, doc := b.get(t, "/ledger?from=2026-11-23T14:00&to=2026-11-22T14:00", false)
	wantStatus(t, w, http.StatusUnprocessableEntity)
	if got := words(doc.Find("#to-error")); got != "The end lies before the beginning." {
		t.Errorf("beside the field stands %q", got)
	}
}

func TestAnAuditorIsLedNowhereThatActs(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	_, d := newDesk(preview(4))
	d.runs["r"] = revoke.Run{ID: "r", Operator: revoke.Person{OID: me}}
	b.Server.Runs = d
	b.who.Roles, b.who.OID = operator.Roles{operator.Auditor}, other
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	a.run(t, "r", 4)
	for _, path := range []string{"/ledger", "/ledger?view=all", "/ledger/3", "/ledger/5", "/ledger/runs/r", "/ledger/people/" + me, "/ledger/people/" + oid(2), "/ledger/about"} {
		w, doc := b.get(t, path, false)
		wantStatus(t, w, http.StatusOK)
		for _, n := range doc.Find("a[href], form[action]").EachIter() {
			href := n.AttrOr("href", n.AttrOr("action", ""))
			method := strings.ToUpper(n.AttrOr("method", http.MethodGet))
			if strings.HasPrefix(href, "#") || strings.HasPrefix(href, "/static/") {
				continue
			}
			if !mayReach(b.who.Roles, method, href) {
				t.Errorf("%s leads an auditor to %s %s", path, method, href)
			}
		}
	}
	_, doc := b.get(t, "/ledger/runs/r", false)
	if doc.Find("a[href='/runs/r']").Length() != 1 || doc.Find("a[href='/runs/r/report']").Length() != 1 {
		t.Error("the run's page and report, which an auditor may read, are not offered")
	}
}

// mayReach reports whether the table lets these roles use an address.
func mayReach(roles operator.Roles, method, href string) bool {
	path := strings.Split(strings.SplitN(href, "?", 2)[0], "#")[0]
	parts := strings.Split(path, "/")
	for _, route := range operator.Routes() {
		want := strings.Split(route.Pattern, "/")
		if route.Method != method || len(want) != len(parts) {
			continue
		}
		same := true
		for i := range want {
			same = same && (want[i] == parts[i] || strings.HasPrefix(want[i], "{"))
		}
		if same && route.Admits(roles) {
			return true
		}
	}
	return false
}

func TestEveryKindOfEventHasWordsOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]audit.Kind{}
	for _, k := range audit.Kinds() {
		name := kindNames()[k]
		if name == "" || seen[name] != "" {
			t.Errorf("%s is called %q, as is %q", k, name, seen[name])
		}
		seen[name] = k
	}
	for want, e := range map[string]audit.Event{
		"protected account removed":                      {Kind: audit.SettingsChanged, Detail: map[string]string{"protected_account": "removed"}},
		"signed in again":                                {Kind: audit.SignedIn, Detail: map[string]string{"session": "renewed"}},
		"signed out: revoked by this run":                {Kind: audit.SignedOut, Detail: map[string]string{"cause": "revoked by this run"}},
		"run paused: needs sign-in":                      {Kind: audit.RunPaused, Detail: map[string]string{"cause": "needs sign-in"}},
		"cancelling of a run asked for":                  {Kind: audit.RunStopping, Detail: map[string]string{"asked": "cancel"}},
		"wish to pause a run taken back":                 {Kind: audit.RunResumed},
		"run cancelled: 340 confirmed, 860 never called": {Kind: audit.RunCancelled, Detail: map[string]string{"confirmed": "340", "never_attempted": "341-1200"}},
		"plan of 2,006 people created":                   {Kind: audit.PlanCreated, Detail: map[string]string{"targets": "2006"}},
		"target refused once, tried again":               {Kind: audit.TargetRefused, Outcome: "pending"},
		"ledger verified: problems":                      {Kind: audit.LedgerVerified, Outcome: "problems"},
		"taken away: report of a run, jsonl":             {Kind: audit.LedgerExported, Detail: map[string]string{"what": "report of a run", "format": "jsonl"}},
		"signing key changed":                            {Kind: audit.LedgerKey, Detail: map[string]string{"old_key": "k"}},
		"1,200 events removed by retention":              {Kind: audit.LedgerRemoved, Detail: map[string]string{"events": "1200"}},
		"later kind":                                     {Kind: "later.kind"},
		"altered: no longer an event":                    {},
		"console started without an outside checkpoint":  {Kind: audit.LedgerUnwitnessed, Detail: map[string]string{"size": "7"}},
	} {
		if got := eventWords(e); got != want {
			t.Errorf("%s: %q, want %q", e.Kind, got, want)
		}
	}
}

func TestTheExportFormatsOfThePageAreThoseOfTheLedger(t *testing.T) {
	t.Parallel()
	for _, o := range templates.ExportFormats() {
		if _, ok := exportForms()[audit.Format(o.Value)]; !ok {
			t.Errorf("%s is offered and not made", o.Value)
		}
	}
}
