package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"evict/internal/audit"
)

// numbers are the events that a page of the ledger lists.
func numbers(p *page) []int64 {
	p.t.Helper()
	var out []int64
	p.doc.Find(`td[data-label="No."]`).Each(func(_ int, s *goquery.Selection) {
		n, err := strconv.ParseInt(strings.TrimSpace(s.Text()), 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		out = append(out, n)
	})
	return out
}

func TestTheLedgerIsFilteredAndPagedByStableAddresses(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	b := d.browser()
	b.signIn(d.cast.Helpdesk)
	b.settles(b.revoke(d.cast.Victim, because("first")).path(), "confirmed")
	cut := c.now().UTC().Add(time.Minute)
	c.forward(2 * time.Minute)
	for n := range 9 {
		b.settles(b.revoke(d.cast.Synced, because("batch "+strconv.Itoa(n))).path(), "confirmed")
	}
	r := d.reader()
	all := map[int64]audit.Event{}
	for _, e := range r.after(0) {
		all[e.Seq] = e
	}
	if len(all) < 55 {
		t.Fatalf("%d events, want two pages of them", len(all))
	}
	filters := map[string]struct {
		query url.Values
		keeps func(audit.Event) bool
	}{
		"kind":               {url.Values{"kind": {"target.confirmed"}}, func(e audit.Event) bool { return e.Kind == audit.TargetConfirmed }},
		"target's id":        {url.Values{"target": {d.cast.Victim.ID}}, func(e audit.Event) bool { return e.Target != nil && e.Target.OID == d.cast.Victim.ID }},
		"part of a UPN":      {url.Values{"target": {"HARTWIG"}}, func(e audit.Event) bool { return e.Target != nil && e.Target.OID == d.cast.Victim.ID }},
		"operator":           {url.Values{"operator": {"ines"}}, func(e audit.Event) bool { return e.Operator != nil && e.Operator.OID == d.cast.Auditor.ID }},
		"from":               {url.Values{"from": {cut.Format("2006-01-02T15:04:05")}}, func(e audit.Event) bool { return !before(t, e, cut) }},
		"to":                 {url.Values{"to": {cut.Format("2006-01-02T15:04:05")}}, func(e audit.Event) bool { return before(t, e, cut) }},
		"nobody":             {url.Values{"operator": {"%"}}, func(audit.Event) bool { return false }},
		"quote":              {url.Values{"target": {"' or ''='"}}, func(audit.Event) bool { return false }},
		"operator and kind":  {url.Values{"operator": {"priya"}, "kind": {"run.finished"}}, func(e audit.Event) bool { return e.Kind == audit.RunFinished }},
		"of one run":         {url.Values{"run": {runOf(all)}}, func(e audit.Event) bool { return e.Run == runOf(all) }},
		"everything at once": {url.Values{"operator": {d.cast.Helpdesk.ID}, "target": {"lena"}, "kind": {"target.confirmed"}, "to": {cut.Format("2006-01-02T15:04:05")}}, func(e audit.Event) bool { return e.Kind == audit.TargetConfirmed && before(t, e, cut) }},
	}
	for name, f := range filters {
		t.Run(name, func(t *testing.T) {
			r := reader{r.as(t)}
			got := map[int64]bool{}
			address := "/ledger?view=all&" + f.query.Encode()
			for address != "" {
				p := r.get(address).has(http.StatusOK)
				for _, n := range numbers(p) {
					if got[n] {
						t.Errorf("event %d stands on two pages", n)
					}
					got[n] = true
				}
				address = p.doc.Find(`.pager a[rel="next"]`).AttrOr("href", "")
			}
			for seq, e := range all {
				if f.keeps(e) != got[seq] {
					t.Errorf("event %d (%s) is listed: %v", seq, e.Kind, got[seq])
				}
			}
		})
	}
	older := r.get("/ledger?view=all")
	to := older.doc.Find(`.pager a[rel="next"]`).AttrOr("href", "")
	second := r.get(to)
	first := numbers(second)
	b.settles(b.revoke(d.cast.Synced, because("one more, meanwhile")).path(), "confirmed")
	if again := numbers(r.get(to)); len(again) == 0 || again[0] != first[0] || len(again) != len(first) {
		t.Errorf("the second page moved from %v to %v", first, again)
	}
	back := numbers(r.get(second.doc.Find(`.pager a[rel="prev"]`).AttrOr("href", "")))
	if len(back) == 0 || back[len(back)-1] != first[0]+1 {
		t.Errorf("back from event %d one sees %v", first[0], back)
	}
	r.get("/ledger?from=yesterday").has(http.StatusUnprocessableEntity).says("not a time")
	for _, kind := range []string{"nonsense", "%00"} {
		r.get("/ledger?kind=" + kind).has(http.StatusUnprocessableEntity).says("There is no such kind")
	}
	for _, odd := range []string{"?before=x", "?before=-5", "?after=99999999999999999999", "?target=" + strings.Repeat("a", 3000), "?operator=%FF", "?before=1", "?run=%27"} {
		r.get("/ledger" + odd).has(http.StatusOK)
	}
}

func runOf(all map[int64]audit.Event) string {
	newest := int64(0)
	for seq, e := range all {
		if e.Kind == audit.RunFinished && seq > newest {
			newest = seq
		}
	}
	return all[newest].Run
}

func before(t *testing.T, e audit.Event, at time.Time) bool {
	t.Helper()
	when, err := audit.ParseTime(e.Time)
	if err != nil {
		t.Fatal(err)
	}
	return when.Before(at.Truncate(time.Second))
}

func TestAnEventIsShownByItsExactBytes(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	hostile := "</pre><script>alert(1)</script> \u202E\U0001F916 \u2028 & <b>"
	b.settles(b.revoke(d.cast.Victim, url.Values{"reason": {hostile}}).path(), "confirmed")
	r := d.reader()
	checked := 0
	for n := int64(1); n <= r.length(); n++ {
		p := r.get("/ledger/" + strconv.FormatInt(n, 10)).has(http.StatusOK)
		if p.doc.Find("script:not([src]), pre script").Length() > 0 {
			t.Fatalf("event %d: markup of the reason is live", n)
		}
		body := p.doc.Find("#event-json").Text()
		var e audit.Event
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatalf("event %d: %v", n, err)
		}
		canonical, err := audit.Encode(e.Seq, e)
		if err != nil || string(canonical) != body || e.Seq != n {
			t.Errorf("event %d: the page shows\n%s\nwhose canonical form is\n%s (%v)", n, body, canonical, err)
		}
		if e.Reason != "" && e.Reason != strings.ReplaceAll(hostile, "\u202E", "") {
			t.Errorf("event %d: reason %q", n, e.Reason)
		}
		if e.Kind == audit.TargetConfirmed {
			checked++
			p.says("Graph request id", "Valid from, read back", e.Evidence.RequestID, d.cast.Victim.ID, "Plan", "Run")
		}
		if e.Time == "" || e.Cloud != "simulator" || e.Tenant != d.Sim.TenantID() || e.ID == "" {
			t.Errorf("event %d is not whole: %s", n, body)
		}
		for _, l := range p.links() {
			if strings.HasPrefix(l, "/users/") {
				t.Errorf("event %d leads an auditor to %s", n, l)
			}
		}
	}
	if checked != 1 {
		t.Errorf("%d confirmations in the ledger, want 1", checked)
	}
	if next := r.get("/ledger/1").doc.Find(`a[rel="next"]`).AttrOr("href", ""); next != "/ledger/2" {
		t.Errorf("after event 1 comes %q", next)
	}
}
