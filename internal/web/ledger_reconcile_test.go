package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/operator"
	"evict/web/templates"
)

// log is Entra's, in memory.
type log struct {
	rows     []audit.Witnessed
	err      error
	from, to time.Time // what was asked for
	asked    func(context.Context)
}

func (l *log) Revocations(ctx context.Context, _ operator.TokenSource, from, to time.Time, each func([]audit.Witnessed) error) error {
	l.from, l.to = from, to
	if l.asked != nil {
		l.asked(ctx)
	}
	if l.err != nil {
		return l.err
	}
	for _, r := range l.rows {
		if err := each([]audit.Witnessed{r}); err != nil {
			return err
		}
	}
	return nil
}

// newLog is the console of an Auditor whose ledger says that me revoked other an hour before noon.
func newLog(t *testing.T) (*builder, *vault, *log) {
	t.Helper()
	b, v, _ := newVault(t, 1)
	l := &log{}
	b.Witness = l
	revoked(t, v, other, noon.Add(-time.Hour))
	return b, v, l
}

func revoked(t *testing.T, v *vault, target string, at time.Time) {
	t.Helper()
	err := v.Append(t.Context(), audit.Event{
		ID: "r", Time: audit.FormatTime(at), Kind: audit.TargetAccepted, Run: "018f0000-0000-7000-8000-000000000001", Attempt: 1, Outcome: "accepted",
		Operator: &audit.Person{OID: me, UPN: "lead@corp.example"}, Target: &audit.Person{OID: target, UPN: "lena@corp.example"},
		Evidence: &audit.Evidence{T0: audit.FormatTime(at)},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func seen(by, target string, at time.Time) audit.Witnessed {
	return audit.Witnessed{ID: by + target, ByOID: by, ByUPN: by + "@corp.example", TargetOID: target, TargetUPN: "lena@corp.example", At: at, Correlation: "c-1"}
}

// lastWeek is the form as the page offers it.
func lastWeek() url.Values {
	return url.Values{"from": {noon.Add(-7 * 24 * time.Hour).Format(inputTime)}, "to": {noon.Add(time.Minute).Format(inputTime)}}
}

func TestALogThatAgreesIsSaidAndRecorded(t *testing.T) {
	t.Parallel()
	b, v, l := newLog(t)
	l.rows = []audit.Witnessed{seen(me, other, noon.Add(-time.Hour+2*time.Second))}
	w, doc := b.post(t, "/ledger/reconcile/fetch", lastWeek())
	wantStatus(t, w, http.StatusOK)
	if got := doc.Find(`main [role="status"]`).First().Text(); !strings.Contains(got, "The logs agree") || !strings.Contains(got, "The only revocation") {
		t.Errorf("the verdict is %q", got)
	}
	if !l.from.Equal(noon.Add(-7*24*time.Hour-audit.HandSlack)) || !l.to.Equal(noon.Add(time.Minute+audit.HandSlack)) {
		t.Errorf("asked for %v to %v: the time beside the window belongs to it", l.from, l.to)
	}
	e := v.records[len(v.records)-1].Event
	if e.Kind != audit.Reconciled || e.Outcome != "agrees" || e.Operator.OID != me {
		t.Errorf("recorded is %+v", e)
	}
	for key, want := range map[string]string{
		"source": "fetched", "matched": "1", "missing": "0", "foreign": "0", "sync": "0", "early": "0", "own": "0", "rows": "1",
		"named": "0", "old": "0", "unreadable": "0",
		"from": audit.FormatTime(noon.Add(-7 * 24 * time.Hour)), "to": audit.FormatTime(noon.Add(time.Minute)),
	} {
		if e.Detail[key] != want {
			t.Errorf("detail %s is %q, want %q", key, e.Detail[key], want)
		}
	}
}

func TestWhatDiffersIsListedWithItsWay(t *testing.T) {
	t.Parallel()
	b, v, l := newLog(t)
	admin := "0b5d2f6f-0000-4000-8000-00000000000a"
	l.rows = []audit.Witnessed{seen(admin, other, noon.Add(-2*time.Hour)), {ID: "a", ByApp: "<b>Playbook</b>", TargetOID: other, At: noon.Add(-3 * time.Hour)}}
	revoked(t, v, me, noon.Add(-time.Minute))
	w, doc := b.post(t, "/ledger/reconcile/fetch", lastWeek())
	wantStatus(t, w, http.StatusOK)
	for id, want := range map[string]string{"#missing": "lena@corp.example", "#foreign": "<b>Playbook</b>", "#early": "accepted by Microsoft"} {
		if got := doc.Find(id).Text(); !strings.Contains(got, want) {
			t.Errorf("%s reads %q, want %q in it", id, got, want)
		}
	}
	for _, href := range []string{"/ledger/2", "/ledger/people/" + other, "/ledger/people/" + admin, "/ledger/runs/018f0000-0000-7000-8000-000000000001"} {
		if doc.Find(`main a[href="`+href+`"]`).Length() == 0 {
			t.Errorf("no link to %s", href)
		}
	}
	if e := v.records[len(v.records)-1].Event; e.Outcome != "differs" || e.Detail["missing"] != "1" || e.Detail["early"] != "1" || e.Detail["foreign"] != "2" {
		t.Errorf("recorded is %+v", e)
	}
}

func TestEveryRevocationOfOursIsAccountedFor(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]audit.Reconciliation{
		"The ledger has no revocation of this time that Entra should know.": {},
		"All 2 revocations of Evict’s have a row in Entra’s log.":           {Matched: make([]audit.Pair, 2)},
		"Of 47 revocations of Evict’s, 2 have a row in Entra’s log, 45 are too new to have one (rows appear minutes later).": {
			Matched: make([]audit.Pair, 2), Early: make([]audit.Ours, 45),
		},
		"Of 4 revocations of Evict’s, 1 has a row in Entra’s log, 2 have none, 1 is too old to tell.": {
			Matched: make([]audit.Pair, 1), Unwitness: make([]audit.Ours, 2), Old: make([]audit.Ours, 1),
		},
	} {
		if got := oursWords(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	n := reconcileVerdict(audit.Reconciliation{Matched: make([]audit.Pair, 1), Rows: 2, Foreign: make([]audit.Witnessed, 1)}, false)
	if n.Title != "1 row of Entra’s has no event of Evict’s" || !strings.Contains(n.Text, "or reset a password") {
		t.Errorf("the verdict claims %q, %q", n.Title, n.Text)
	}
}

// The headline is for whoever reads no further: it claims no more than was compared.
func TestTheHeadlineClaimsNoMoreThanWasCompared(t *testing.T) {
	t.Parallel()
	ours := func(n int) []audit.Ours { return make([]audit.Ours, n) }
	pairs := func(n int) []audit.Pair { return make([]audit.Pair, n) }
	const early = "So far no row is of a revocation by others; those of the last quarter of an hour may still come."
	for want, r := range map[string]audit.Reconciliation{
		"The logs agree. All 2 revocations of Evict’s have a row in Entra’s log. Nobody was revoked by others beside it.": {Matched: pairs(2), Rows: 2},
		"The logs agree on 2 revocations; 45 are too new to tell. Of 47 revocations of Evict’s, 2 have a row in Entra’s log, 45 are too new to have one (rows appear minutes later). " + early: {
			Matched: pairs(2), Rows: 2, Early: ours(45), Fresh: true,
		},
		"Nothing can be compared yet: 1 revocation is too new to tell. Of 1 revocation of Evict’s, 0 have a row in Entra’s log, 1 is too new to have one (rows appear minutes later). " + early: {
			Early: ours(1), Fresh: true,
		},
		"The logs agree. The only revocation of Evict’s has a row in Entra’s log. " + early: {Matched: pairs(1), Rows: 1, Fresh: true},
		"Nothing to compare. The ledger has no revocation of this time that Entra should know. Nobody was revoked by others beside it.": {
			Rows: 2, Own: make([]audit.Witnessed, 1), Sync: make([]audit.Witnessed, 1),
		},
		"Nothing to compare. Neither log has a revocation in this time.": {},
		"The logs differ. Of 3 revocations of Evict’s, 1 has a row in Entra’s log, 1 has none, 1 is too new to have one (rows appear minutes later). " + early: {
			Matched: pairs(1), Unwitness: ours(1), Early: ours(1), Fresh: true,
		},
	} {
		n := reconcileVerdict(r, false)
		if got := n.Title + ". " + n.Text; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if green := n.Tone == templates.ToneOK; green != (n.Title == "The logs agree") {
			t.Errorf("%q has the tone %q", n.Title, n.Tone)
		}
	}
}

func TestAComparisonOfWhatIsTooNewAgreesOnNothing(t *testing.T) {
	t.Parallel()
	b, v, _ := newVault(t, 1)
	b.Witness = &log{}
	revoked(t, v, other, noon.Add(-time.Minute))
	w, doc := b.post(t, "/ledger/reconcile/fetch", lastWeek())
	wantStatus(t, w, http.StatusOK)
	if got := verdict(doc); strings.Contains(got, "agree") || !strings.Contains(got, "1 revocation is too new to tell") || doc.Find(`main [role="status"] .note.ok`).Length() != 0 {
		t.Errorf("the verdict is %q", got)
	}
	if e := v.records[len(v.records)-1].Event; e.Outcome != audit.Unclear || e.Detail["early"] != "1" {
		t.Errorf("recorded is %+v", e)
	}
}

func TestRowsOfWhatARollbackCutOffAreNotBlamedOnOthers(t *testing.T) {
	t.Parallel()
	b, v, l := newLog(t)
	l.rows = []audit.Witnessed{seen(me, other, noon.Add(-time.Hour)), seen(other, me, noon.Add(-30*time.Minute))}
	if err := v.Append(t.Context(), audit.Event{
		ID: "b", Kind: audit.LedgerRollback, Time: audit.FormatTime(noon.Add(-20 * time.Minute)), Detail: map[string]string{"old_size": "500", "size": "2"},
	}); err != nil {
		t.Fatal(err)
	}
	_, doc := b.post(t, "/ledger/reconcile/fetch", lastWeek())
	if got := verdict(doc); !strings.Contains(got, "may be Evict’s own") || strings.Contains(got, "Somebody revoked") {
		t.Errorf("the verdict is %q", got)
	}
	has(t, "the note", doc, "A rollback was accepted, from 500 events back to 2: event 3", "What was recorded between 23 Nov 2026 11:00 UTC and 23 Nov 2026 11:40 UTC and cut off is not here")
}

func TestTheAddressOfAResultLeadsBackToTheForm(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/ledger/reconcile/fetch", "/ledger/reconcile/upload"} {
		b, _, _ := newLog(t)
		w, _ := b.get(t, path, false)
		wantStatus(t, w, http.StatusSeeOther)
		if got := w.Header().Get("Location"); got != "/ledger/reconcile" {
			t.Errorf("%s leads to %q", path, got)
		}
	}
}

func TestALongListIsCutAndSaysSo(t *testing.T) {
	t.Parallel()
	b, _, l := newLog(t)
	for i := range reconcileShown + 5 {
		r := seen(other, me, noon.Add(-time.Duration(i)*time.Minute))
		r.ID = fmt.Sprint(i)
		l.rows = append(l.rows, r)
	}
	_, doc := b.post(t, "/ledger/reconcile/fetch", lastWeek())
	if got := doc.Find("#foreign tbody tr").Length(); got != reconcileShown {
		t.Errorf("%d rows are shown", got)
	}
	if got := doc.Find("#foreign").Text(); !strings.Contains(got, "And 5 more") {
		t.Errorf("it does not say that there are more: %q", got)
	}
}

func TestAComparisonThatCannotBeRecordedIsNotShown(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(*vault){"mute": func(v *vault) { v.mute = true }, "unread": func(v *vault) { v.gone = true }} {
		b, v, l := newLog(t)
		l.rows = []audit.Witnessed{seen(other, me, noon)}
		breaks(v)
		w, doc := b.post(t, "/ledger/reconcile/fetch", lastWeek())
		wantStatus(t, w, http.StatusServiceUnavailable)
		if doc.Find("#reconcile-result").Length() != 0 {
			t.Errorf("%s: a result is shown", name)
		}
	}
}

func TestATimeThatMakesNoSenseIsSaidBesideItsField(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		from, to, field, says string
	}{
		"no beginning": {"", "2026-11-23T14:00", "fetch-from", "from when"},
		"no end":       {"2026-11-23T14:00", "", "fetch-to", "until when"},
		"no time":      {"yesterday", "2026-11-23T14:00", "fetch-from", "not a time"},
		"backwards":    {"2026-11-23T14:00", "2026-11-22T14:00", "fetch-to", "before the beginning"},
		"too long":     {"2026-09-01T00:00", "2026-11-22T14:00", "fetch-to", "30 days"},
	} {
		b, v, _ := newLog(t)
		w, doc := b.post(t, "/ledger/reconcile/fetch", url.Values{"from": {tt.from}, "to": {tt.to}})
		wantStatus(t, w, http.StatusUnprocessableEntity)
		if got := doc.Find("#" + tt.field + "-error").Text(); !strings.Contains(got, tt.says) {
			t.Errorf("%s: beside the field stands %q", name, got)
		}
		if got := doc.Find("main [autofocus]"); got.Length() != 1 || got.AttrOr("id", "") != tt.field {
			t.Errorf("%s: the page does not open at the field", name)
		}
		if got := doc.Find("#fetch-from").AttrOr("value", ""); got != tt.from {
			t.Errorf("%s: the form forgot %q", name, tt.from)
		}
		if len(v.records) != 2 {
			t.Errorf("%s: something was recorded", name)
		}
	}
}

func TestARefusalOfTheLogHasItsWayOut(t *testing.T) {
	t.Parallel()
	for code, says := range map[string]string{
		"Authentication_RequestFromUnsupportedUserRole":         "Reports Reader",
		"Authentication_RequestFromNonPremiumTenantOrB2CTenant": "P1 or P2",
		"Authorization_RequestDenied":                           "consent to AuditLog.Read.All",
	} {
		b, _, l := newLog(t)
		l.err = &directory.CallError{Status: http.StatusForbidden, Code: code, Message: "No", RequestID: "graph-1"}
		w, doc := b.post(t, "/ledger/reconcile/fetch", lastWeek())
		wantStatus(t, w, http.StatusForbidden)
		if got := doc.Find(`[role="alert"]`).Text(); !strings.Contains(got, says) || !strings.Contains(got, "bring the export") || !strings.Contains(got, "graph-1") {
			t.Errorf("%s: the page says %q", code, got)
		}
		if doc.Find("#fetch-from").AttrOr("value", "") != lastWeek().Get("from") {
			t.Errorf("%s: the form is empty", code)
		}
	}
	b, _, l := newLog(t)
	l.err = audit.ErrTooMany
	w, _ := b.post(t, "/ledger/reconcile/fetch", lastWeek())
	wantStatus(t, w, http.StatusUnprocessableEntity)
}

// What Microsoft cannot do at the moment costs nobody the times that they chose.
func TestAFailureOfMicrosoftsKeepsTheForm(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err         error
		status      int
		says, after string
	}{
		"throttled":   {&directory.CallError{Status: http.StatusTooManyRequests, RetryAfter: 40 * time.Second}, http.StatusTooManyRequests, "asked us to wait", "41"},
		"broken":      {&directory.CallError{Status: http.StatusBadGateway, RequestID: "graph-1"}, http.StatusServiceUnavailable, "answered 502 (request id graph-1)", ""},
		"unreachable": {&directory.CallError{}, http.StatusServiceUnavailable, "could not be reached", ""},
		"too slow":    {context.DeadlineExceeded, http.StatusServiceUnavailable, "took too long", ""},
	} {
		b, v, l := newLog(t)
		l.err = tt.err
		form := url.Values{"from": {"2026-11-20T10:00"}, "to": {"2026-11-21T10:00"}}
		w, doc := b.post(t, "/ledger/reconcile/fetch", form)
		wantStatus(t, w, tt.status)
		if got := doc.Find(`[role="alert"]`).Text(); !strings.Contains(got, tt.says) || !strings.Contains(got, "Nothing was compared") {
			t.Errorf("%s: the page says %q", name, got)
		}
		if w.Header().Get("Retry-After") != tt.after {
			t.Errorf("%s: come back after %q, want %q", name, w.Header().Get("Retry-After"), tt.after)
		}
		for _, field := range []string{"from", "to"} {
			if got := doc.Find("#fetch-"+field).AttrOr("value", ""); got != form.Get(field) {
				t.Errorf("%s: the form forgot %s: %q", name, field, got)
			}
		}
		if len(v.records) != 2 {
			t.Errorf("%s: something was recorded", name)
		}
	}
}

func TestOneComparisonAtATime(t *testing.T) {
	t.Parallel()
	b, _, _ := newLog(t)
	b.compare.Lock()
	w, doc := b.post(t, "/ledger/reconcile/fetch", lastWeek())
	wantStatus(t, w, http.StatusTooManyRequests)
	if doc.Find("#fetch-from").AttrOr("value", "") != lastWeek().Get("from") || w.Header().Get("Retry-After") == "" {
		t.Error("the form is lost, or it does not say when to come back")
	}
	damaged := httptest.NewRequest(http.MethodPost, "/ledger/reconcile/upload", strings.NewReader("no form")) // it stands in memory once it is read
	damaged.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	w, _ = b.ask(t, damaged)
	wantStatus(t, w, http.StatusTooManyRequests)
	b.compare.Unlock()
	w, _ = b.post(t, "/ledger/reconcile/fetch", lastWeek())
	wantStatus(t, w, http.StatusOK)
}

func csvLog(rows ...audit.Witnessed) string {
	out := "Date (UTC),Activity,ActorObjectId,ActorUserPrincipalName,Target1ObjectId,Target1UserPrincipalName\n"
	for _, r := range rows {
		out += fmt.Sprintf("%s,%s,%s,%s,%s,%s\n", r.At.Format(time.RFC3339), audit.RevocationActivity, r.ByOID, r.ByUPN, r.TargetOID, r.TargetUPN)
	}
	return out
}

func TestAnExportIsCompared(t *testing.T) {
	t.Parallel()
	b, v, _ := newLog(t)
	file := csvLog(seen(me, other, noon.Add(-time.Hour)), seen(other, me, noon.Add(-30*time.Minute))) + "2026-11-23T10:00:00Z,Update user,,,,\n,Update StsRefreshTokenValidFrom Timestamp,,,x,\n"
	w, doc := b.ask(t, upload(t, "/ledger/reconcile/upload", "a\u202elog.csv", file, nil))
	wantStatus(t, w, http.StatusOK)
	text := strings.Join(strings.Fields(doc.Find("main").Text()), " ")
	for _, want := range []string{"The only revocation", "4 rows read: 2 about revocations, 1 of other activities, 1 could not be read.", "Line 5: its time is not written", "1 row about revocations could not be read, so this is not the whole log."} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	e := v.records[len(v.records)-1].Event
	sum := sha256.Sum256([]byte(file))
	if e.Detail["source"] != "uploaded" || e.Detail["file"] != "alog.csv" || e.Detail["sha256"] != hex.EncodeToString(sum[:]) {
		t.Errorf("recorded is %+v", e.Detail)
	}
	_, event := b.get(t, eventHref(int64(len(v.records))), false)
	has(t, "its event", event, "SHA-256 of the file", "Of Entra’s without an event", "Of Evict’s, too early to tell")
	// With times of its own, what lies before the file's first row shows as missing.
	b, _, _ = newLog(t)
	w, doc = b.ask(t, upload(t, "/ledger/reconcile/upload", "log.csv", csvLog(seen(other, me, noon.Add(-30*time.Minute))), lastWeek()))
	wantStatus(t, w, http.StatusOK)
	if doc.Find("#missing tbody tr").Length() != 1 {
		t.Error("a revocation from before the file's first row is not missed")
	}
}

func TestAFileThatIsNoLogIsRefusedBesideItsField(t *testing.T) {
	t.Parallel()
	far := seen(me, other, noon.Add(-40*24*time.Hour))
	for name, tt := range map[string]struct{ file, field, says string }{
		"empty": {"", "upload-file", "empty"}, "no log": {"a,b\n1,2\n", "upload-file", "columns"},
		"no time":    {csvLog() + "x,Update user,,,,\n", "upload-file", "no row with a time"},
		"forty days": {csvLog(far, seen(me, other, noon)), "upload-to", "30 days"},
	} {
		b, v, _ := newLog(t)
		w, doc := b.ask(t, upload(t, "/ledger/reconcile/upload", "log.csv", tt.file, nil))
		wantStatus(t, w, http.StatusUnprocessableEntity)
		if got := doc.Find("#" + tt.field + "-error").Text(); !strings.Contains(got, tt.says) || len(v.records) != 2 {
			t.Errorf("%s: beside the field stands %q; %d events", name, got, len(v.records))
		}
	}
	b, _, _ := newLog(t)
	w, doc := b.ask(t, upload(t, "/ledger/reconcile/upload", "log.csv", "a,b\n1,2\n", url.Values{"from": {"x"}, "to": {"y"}}))
	wantStatus(t, w, http.StatusUnprocessableEntity)
	if got := doc.Find("main [autofocus]"); got.Length() != 1 || got.AttrOr("id", "") != "upload-file" {
		t.Errorf("the page opens at %d fields, %q the first", got.Length(), got.AttrOr("id", ""))
	}
	w, doc = b.post(t, "/ledger/reconcile/upload", url.Values{})
	wantStatus(t, w, http.StatusUnprocessableEntity)
	if got := doc.Find("#upload-file-error").Text(); !strings.Contains(got, "Choose the file") {
		t.Errorf("without a file: %q", got)
	}
}

func TestALargeExportFitsAndALargerOneDoesNot(t *testing.T) {
	t.Parallel()
	b, _, _ := newLog(t)
	row := csvLog(seen(me, other, noon.Add(-time.Hour)))
	filler := strings.Repeat("2026-11-23T10:00:00Z,Update user,,,,\n", (maxUpload+1<<20)/37)
	w, _ := b.ask(t, upload(t, "/ledger/reconcile/upload", "log.csv", row+filler, nil))
	if w.Code != http.StatusOK && w.Code != http.StatusUnprocessableEntity || strings.Contains(w.Body.String(), "too large") {
		t.Errorf("9 MB answered %d", w.Code)
	}
	w, _ = b.ask(t, upload(t, "/ledger/reconcile/upload", "log.csv", strings.Repeat("x", maxLogUpload+1), nil))
	if wantStatus(t, w, http.StatusUnprocessableEntity); !strings.Contains(w.Body.String(), "too large") {
		t.Error("a form of more than 20 MB is read")
	}
	w, _ = b.ask(t, upload(t, "/ledger/reconcile/fetch", "log.csv", strings.Repeat("x", maxBody+1), nil))
	if wantStatus(t, w, http.StatusUnprocessableEntity); !strings.Contains(w.Body.String(), "too large") {
		t.Error("another form may have a file too")
	}
}

func TestTheFormKnowsItsTimesAfterASignIn(t *testing.T) {
	t.Parallel()
	b, _, _ := newLog(t)
	_, doc := b.get(t, "/ledger/reconcile?from=2026-11-01T10:00&to=2026-11-02T10:00", false)
	if got := doc.Find("#fetch-from").AttrOr("value", ""); got != "2026-11-01T10:00" {
		t.Errorf("from is %q", got)
	}
	_, doc = b.get(t, "/ledger/reconcile", false)
	if got := doc.Find("#fetch-from").AttrOr("value", ""); got != lastWeek().Get("from") {
		t.Errorf("from is %q, want a week ago", got)
	}
	b.Cloud = "china"
	w, doc := b.get(t, "/ledger/reconcile", false)
	if wantStatus(t, w, http.StatusOK); doc.Find(`form[action$="/fetch"]`).Length() != 0 {
		t.Error("the form is offered where Microsoft has no such log")
	}
	w, _ = b.post(t, "/ledger/reconcile/fetch", lastWeek())
	wantStatus(t, w, http.StatusUnprocessableEntity)
}

func TestTheLedgersOwnGapsAreSaid(t *testing.T) {
	t.Parallel()
	b, v, _ := newLog(t)
	v.removed = 1204
	_, doc := b.post(t, "/ledger/reconcile/fetch", lastWeek())
	text := doc.Find("main").Text()
	for _, want := range []string{"The ledger is younger", "up to 1,204 were removed"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// TestTheQueryInTheDocumentIsTheOneOnThePage keeps docs/soc.md and the page together.
func TestTheQueryInTheDocumentIsTheOneOnThePage(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/soc.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "```kql\n"+reconcileKQL+"\n```") {
		t.Error("docs/soc.md does not hold the page's query")
	}
}

func verdict(doc *goquery.Document) string {
	return words(doc.Find(`main [role="status"]`).First())
}

// Rows that are not understood cost the all-clear: a spreadsheet that saved the export again writes other dates.
func TestRowsThatWereNotReadCostTheAllClear(t *testing.T) {
	t.Parallel()
	good := csvLog(seen(me, other, noon.Add(-time.Hour)))
	odd := "11/23/2026 11:40:00 AM," + audit.RevocationActivity + ",x,x@corp.example," + me + ",me@corp.example\n"
	for name, tt := range map[string]struct{ rows, says, unreadable string }{
		"times of a spreadsheet": {strings.Repeat(odd, 5), "5 rows about revocations could not be read, so this is not the whole log.", "5"},
		"no target":              {noon.Format(time.RFC3339) + "," + audit.RevocationActivity + ",x,x@corp.example,,\n", "1 row about revocations could not be read, so this is not the whole log.", "1"},
		"no activity":            {noon.Format(time.RFC3339) + ",,,,,\n", "1 row could not be read at all, and may be about revocations.", "1"},
	} {
		b, v, _ := newLog(t)
		w, doc := b.ask(t, upload(t, "/ledger/reconcile/upload", "log.csv", good+tt.rows, nil))
		wantStatus(t, w, http.StatusOK)
		if got := verdict(doc); strings.Contains(got, "The logs agree") || strings.Contains(got, "Nobody was revoked") || !strings.Contains(got, tt.says) {
			t.Errorf("%s: the verdict is %q", name, got)
		}
		if doc.Find(`main [role="status"] .note.warn`).Length() != 1 {
			t.Errorf("%s: the verdict does not warn", name)
		}
		if e := v.records[len(v.records)-1].Event; e.Outcome != audit.Unclear || e.Detail["unreadable"] != tt.unreadable {
			t.Errorf("%s: recorded is %+v", name, e)
		}
	}
}

func TestARowOfGraphsWithoutATimeCostsTheAllClear(t *testing.T) {
	t.Parallel()
	b, v, l := newLog(t)
	l.rows = []audit.Witnessed{seen(me, other, noon.Add(-time.Hour)), seen(other, me, time.Time{})}
	_, doc := b.post(t, "/ledger/reconcile/fetch", lastWeek())
	if got := verdict(doc); !strings.Contains(got, "1 row about revocations could not be read") || v.records[len(v.records)-1].Event.Outcome != audit.Unclear {
		t.Errorf("the verdict is %q", got)
	}
}

func TestAPageOfGraphsAnswerIsNotTakenForTheLog(t *testing.T) {
	t.Parallel()
	b, v, _ := newLog(t)
	w, doc := b.ask(t, upload(t, "/ledger/reconcile/upload", "log.json", `{"value":[],"@odata.nextLink":"https://graph.example/x"}`, nil))
	wantStatus(t, w, http.StatusUnprocessableEntity)
	if got := doc.Find("#upload-file-error").Text(); !strings.Contains(got, "only the first page") || len(v.records) != 2 {
		t.Errorf("beside the field stands %q", got)
	}
}

// An export cannot tell of what has not happened yet, nor hold what was written a minute ago.
func TestAnExportUpToTonightMissesNothingYoung(t *testing.T) {
	t.Parallel()
	b, v, _ := newLog(t)
	revoked(t, v, me, noon.Add(-time.Minute))
	times := url.Values{"from": {noon.Add(-2 * time.Hour).Format(inputTime)}, "to": {noon.Add(10 * time.Hour).Format(inputTime)}}
	w, doc := b.ask(t, upload(t, "/ledger/reconcile/upload", "log.csv", csvLog(seen(me, other, noon.Add(-time.Hour))), times))
	wantStatus(t, w, http.StatusOK)
	if doc.Find("#missing").Length() != 0 || doc.Find("#early tbody tr").Length() != 1 {
		t.Errorf("the verdict is %q", verdict(doc))
	}
}

func TestWhatEntraNoLongerKeepsIsNotMissing(t *testing.T) {
	t.Parallel()
	b, v, _ := newLog(t)
	revoked(t, v, me, noon.Add(-50*24*time.Hour))
	form := url.Values{"from": {noon.Add(-60 * 24 * time.Hour).Format(inputTime)}, "to": {noon.Add(-40 * 24 * time.Hour).Format(inputTime)}}
	w, doc := b.post(t, "/ledger/reconcile/fetch", form)
	wantStatus(t, w, http.StatusOK)
	if got := verdict(doc); !strings.Contains(got, "Not all can be compared any more") || !strings.Contains(got, "1 is too old to tell") {
		t.Errorf("the verdict is %q", got)
	}
	has(t, "the page", doc, "Entra’s log does not reach so far back")
	if doc.Find("#missing, main .note.no").Length() != 0 || doc.Find("#old tbody tr").Length() != 1 {
		t.Error("what Entra forgot is an alarm")
	}
	if e := v.records[len(v.records)-1].Event; e.Outcome != audit.Unclear || e.Detail["old"] != "1" || e.Detail["missing"] != "0" {
		t.Errorf("recorded is %+v", e)
	}
	// An export may have been made in time; it may also be of a tenant that keeps seven days.
	b, v, _ = newLog(t)
	revoked(t, v, me, noon.Add(-10*24*time.Hour))
	times := url.Values{"from": {noon.Add(-20 * 24 * time.Hour).Format(inputTime)}, "to": {noon.Format(inputTime)}}
	_, doc = b.ask(t, upload(t, "/ledger/reconcile/upload", "log.csv", csvLog(seen(me, other, noon.Add(-time.Hour))), times))
	has(t, "an export", doc, "The logs differ", "without Entra ID P1?")
}

// Whoever may create users may name one like the synchronisation service.
func TestANameAloneHidesNobody(t *testing.T) {
	t.Parallel()
	b, v, l := newLog(t)
	evil := seen("0b5d2f6f-0000-4000-8000-00000000000b", me, noon.Add(-30*time.Minute))
	evil.ByUPN = "sync_evil@corp.example"
	l.rows = []audit.Witnessed{seen(me, other, noon.Add(-time.Hour)), evil}
	_, doc := b.post(t, "/ledger/reconcile/fetch", lastWeek())
	if got := verdict(doc); strings.Contains(got, "The logs agree") || strings.Contains(got, "Nobody was revoked") || !strings.Contains(got, "1 row is by accounts named like the sync service: look") {
		t.Errorf("the verdict is %q", got)
	}
	if doc.Find("section#named tbody tr").Length() != 1 || doc.Find(`.counts a[href="#named"]`).Length() != 1 {
		t.Error("the row is folded away")
	}
	if e := v.records[len(v.records)-1].Event; e.Outcome != audit.Unclear || e.Detail["named"] != "1" {
		t.Errorf("recorded is %+v", e)
	}
}

// Nobody else can compare while one comparison waits for Microsoft; it ends when its reader goes.
func TestAComparisonThatNobodyWaitsForEnds(t *testing.T) {
	t.Parallel()
	b, v, l := newLog(t)
	r := httptest.NewRequest(http.MethodPost, "/ledger/reconcile/fetch", strings.NewReader(lastWeek().Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	ctx, leave := context.WithCancel(t.Context())
	ended := false
	l.asked = func(ctx context.Context) {
		if by, ok := ctx.Deadline(); !ok || time.Until(by) <= maxHandling {
			t.Error("Microsoft has no more time than for a page")
		}
		leave()
		ended = ctx.Err() != nil
		l.err = ctx.Err()
	}
	b.ask(t, r.WithContext(ctx))
	if !ended || len(v.records) != 2 {
		t.Errorf("it ended: %v; %d events", ended, len(v.records))
	}
	if !b.compare.TryLock() {
		t.Error("nobody else can compare")
	}
}
