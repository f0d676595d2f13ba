package web

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
)

// asFile is the form as the second button sends it.
func asFile(form url.Values) url.Values {
	form.Set("format", "csv")
	return form
}

// taken reads a comparison's file: the rows of each list, by the names of their columns.
func taken(t *testing.T, w *httptest.ResponseRecorder) map[string][]map[string]string {
	t.Helper()
	wantStatus(t, w, http.StatusOK)
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d rows: %v", len(rows), err)
	}
	lists := map[string][]map[string]string{}
	for _, row := range rows[1:] {
		cells := map[string]string{}
		for i, name := range rows[0] {
			cells[name] = row[i]
		}
		lists[cells["list"]] = append(lists[cells["list"]], cells)
	}
	return lists
}

// wantRow checks the cells that are named, and that all others but the reason are empty.
func wantRow(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if _, there := got[name]; !there {
			t.Errorf("there is no column %s", name)
		}
	}
	for name, cell := range got {
		if w, named := want[name]; named && cell != w || !named && cell != "" && name != "reason" && name != "rehearsal" {
			t.Errorf("%s is %q, want %q in %v", name, cell, w, got)
		}
	}
}

func TestAComparisonIsTakenAwayWhole(t *testing.T) {
	t.Parallel()
	b, v, l := newLog(t)
	b.TenantName, b.Rehearsal = func() string { return "Contoso" }, false
	lost := "0b5d2f6f-0000-4000-8000-00000000000c"
	revoked(t, v, me, noon.Add(-2*time.Hour))
	revoked(t, v, oid(7), noon.Add(-time.Minute))
	if err := v.Append(t.Context(), audit.Event{
		ID: "a", Time: audit.FormatTime(noon), Kind: audit.TargetAttempted, Run: "r", Attempt: 1, Outcome: "attempting",
		Operator: &audit.Person{OID: me}, Target: &audit.Person{OID: lost}, Evidence: &audit.Evidence{T0: audit.FormatTime(noon.Add(-3 * time.Hour))},
	}); err != nil {
		t.Fatal(err)
	}
	sync, named, own := seen("dc", other, noon.Add(-4*time.Hour)), seen("evil", other, noon.Add(-5*time.Hour)), seen(other, other, noon.Add(-6*time.Hour))
	sync.Client, named.ByUPN = "DirectorySync", "sync_evil@corp.example"
	l.rows = []audit.Witnessed{seen(me, other, noon.Add(-time.Hour+2*time.Second)), sync, named, own}
	for i := range reconcileShown + 5 {
		l.rows = append(l.rows, audit.Witnessed{ID: fmt.Sprint("f", i), ByApp: "=HYPERLINK(\"http://evil\")", TargetOID: other, TargetUPN: "a\u202eb", At: noon.Add(-7 * time.Hour)})
	}
	before := len(v.records)
	form := asFile(lastWeek())
	form.Set("answer", "w0rd")
	w, _ := b.post(t, "/ledger/reconcile/fetch", form)
	lists := taken(t, w)
	if got := w.Header().Get("Set-Cookie"); !strings.HasPrefix(got, "evict-answer=w0rd; Path=/ledger/reconcile; Max-Age=60") {
		t.Errorf("the page is told %q", got)
	}

	if got := w.Header().Get("Content-Disposition"); got != `attachment; filename="evict-comparison-contoso-20261116T1200Z-20261123T1201Z.csv"` {
		t.Errorf("disposition = %q", got)
	}
	if got := w.Header().Get("Content-Type"); got != "text/csv; charset=utf-8" {
		t.Errorf("type = %q", got)
	}
	run := "018f0000-0000-7000-8000-000000000001"
	wantRow(t, lists["matched"][0], map[string]string{
		"list": "matched", "sequence": "2", "run": run, "t0": audit.FormatTime(noon.Add(-time.Hour)), "operator_upn": "lead@corp.example", "operator_object_id": me,
		"target_upn": "lena@corp.example", "target_object_id": other, "outcome": "accepted", "entra_id": me + other,
		"entra_time": audit.FormatTime(noon.Add(-time.Hour + 2*time.Second)), "entra_correlation_id": "c-1", "entra_by_upn": me + "@corp.example",
		"entra_by_object_id": me, "entra_target_upn": "lena@corp.example", "entra_target_object_id": other,
	})
	wantRow(t, lists["missing"][0], map[string]string{
		"list": "missing", "sequence": "3", "run": run, "t0": audit.FormatTime(noon.Add(-2 * time.Hour)), "operator_upn": "lead@corp.example", "operator_object_id": me,
		"target_upn": "lena@corp.example", "target_object_id": me, "outcome": "accepted",
	})
	wantRow(t, lists["foreign"][0], map[string]string{
		"list": "foreign", "entra_id": "f0", "entra_time": audit.FormatTime(noon.Add(-7 * time.Hour)), "entra_by_application": `'=HYPERLINK("http://evil")`,
		"entra_target_upn": `a\u202eb`, "entra_target_object_id": other,
	})
	if got := lists["unsure"][0]; got["target_object_id"] != lost || got["outcome"] != "attempting" {
		t.Errorf("what may have a row is %v", got)
	}
	for id, says := range map[string]string{"missing": "Entra’s log does not know them", "foreign": "outside Evict", "named": "The name says so", "early": "minutes later", "own": "their own password", "sync": "on premises", "matched": "both logs", "unsure": "may have a row"} {
		if rows := lists[id]; len(rows) == 0 || !strings.Contains(rows[0]["reason"], says) {
			t.Errorf("%s has %d rows, the first is %v", id, len(rows), rows)
		}
	}
	if got := lists["result"]; len(got) != 1 || !strings.HasPrefix(got[0]["reason"], "16 Nov 2026 12:00 UTC to 23 Nov 2026 12:01 UTC: The logs differ. Of 3 revocations") {
		t.Errorf("of the whole it says %v", got)
	}
	if lists["note"] == nil || lists["read"] == nil {
		t.Error("what the page says beside the verdict is not in the file")
	}

	events := v.records[before:]
	if len(events) != 2 || events[0].Event.Kind != audit.Reconciled || events[1].Event.Kind != audit.LedgerExported {
		t.Fatalf("recorded is %+v", events)
	}
	for _, id := range []string{"matched", "missing", "early", "foreign", "named", "own", "sync"} {
		if want := events[0].Event.Detail[id]; strconv.Itoa(len(lists[id])) != want {
			t.Errorf("%s has %d rows, and the event says %s", id, len(lists[id]), want)
		}
	}
	d, who := events[1].Event.Detail, events[1].Event.Operator
	if d["what"] != "comparison with Entra's log" || d["format"] != "csv" || d["address"] != "/ledger/reconcile" || d["size"] != strconv.Itoa(before) || who.OID != me {
		t.Errorf("taken away is %v by %v", d, who)
	}
}

func TestAComparedFileIsTakenAwayWithWhatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	b, v, _ := newLog(t)
	file := csvLog(seen(me, other, noon.Add(-time.Hour))) + "yesterday," + audit.RevocationActivity + ",,,x,\n"
	w, _ := b.ask(t, upload(t, "/ledger/reconcile/upload", "log.csv", file, asFile(url.Values{})))
	lists := taken(t, w)
	if len(lists["matched"]) != 1 || len(lists["read"]) != 2 || !strings.HasPrefix(lists["read"][1]["reason"], "Line 3: its time") {
		t.Errorf("the file holds %v", lists)
	}
	if !strings.Contains(lists["result"][0]["reason"], "Not every row could be read. 1 row about revocations could not be read") {
		t.Errorf("it says %v", lists["result"])
	}
	if got := w.Header().Get("Content-Disposition"); !strings.HasPrefix(got, `attachment; filename="REHEARSAL-evict-comparison-`) || lists["result"][0]["rehearsal"] != audit.Rehearsed {
		t.Errorf("a rehearsal comes as %q, %v", got, lists["result"])
	}
	if d := v.records[len(v.records)-2].Event.Detail; d["source"] != "uploaded" || d["file"] != "log.csv" {
		t.Errorf("compared is %v", d)
	}
}

// forgetful is a ledger that cannot record one kind.
type forgetful struct {
	*vault
	kind audit.Kind
}

func (f forgetful) Append(ctx context.Context, events ...audit.Event) error {
	if slices.ContainsFunc(events, func(e audit.Event) bool { return e.Kind == f.kind }) {
		return errGone
	}
	return f.vault.Append(ctx, events...)
}

func TestNoRecordNoFileOfAComparison(t *testing.T) {
	t.Parallel()
	for _, kind := range []audit.Kind{audit.Reconciled, audit.LedgerExported} {
		b, v, l := newLog(t)
		b.Ledger = forgetful{v, kind}
		l.rows = []audit.Witnessed{seen(other, me, noon.Add(-time.Hour))}
		w, _ := b.post(t, "/ledger/reconcile/fetch", asFile(lastWeek()))
		wantStatus(t, w, http.StatusServiceUnavailable)
		if w.Header().Get("Content-Disposition") != "" || strings.Contains(w.Body.String(), other) {
			t.Errorf("%s: something was handed out", kind)
		}
	}
}

func TestAFormThatMakesNoSenseGivesNoFile(t *testing.T) {
	t.Parallel()
	b, v, _ := newLog(t)
	w, doc := b.post(t, "/ledger/reconcile/fetch", asFile(url.Values{"from": {"never"}, "to": {"2026-11-23T14:00"}}))
	wantStatus(t, w, http.StatusUnprocessableEntity)
	if w.Header().Get("Content-Disposition") != "" || doc.Find("#fetch-from-error").Length() != 1 || len(v.records) != 2 {
		t.Error("it is no page with the error beside its field")
	}
}

// goneReader took the head of an answer, and nothing more.
type goneReader struct{ http.ResponseWriter }

func (goneReader) Write([]byte) (int, error) { return 0, errors.New("the reader has gone") }

func TestAComparisonThatBreaksOffDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	b, _, l := newLog(t)
	l.rows = []audit.Witnessed{seen(other, me, noon.Add(-time.Hour))}
	r := httptest.NewRequest(http.MethodPost, "/ledger/reconcile/fetch", strings.NewReader(asFile(lastWeek()).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	defer func() {
		if got := recover(); got != http.ErrAbortHandler { //nolint:errorlint // a sentinel that is only ever panicked with
			t.Errorf("recovered %v, want the connection to be cut", got)
		}
		if !b.compare.TryLock() {
			t.Error("nobody else can compare")
		}
	}()
	b.answer(goneReader{httptest.NewRecorder()}, r)
	t.Error("a broken file ended as if it were whole")
}
