package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/operator"
)

// log is Entra's, in memory.
type log struct {
	rows     []audit.Witnessed
	err      error
	from, to time.Time // what was asked for
}

func (l *log) Revocations(_ context.Context, _ operator.TokenSource, from, to time.Time, each func([]audit.Witnessed) error) error {
	l.from, l.to = from, to
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
	if got := doc.Find(`main [role="status"]`).First().Text(); !strings.Contains(got, "The logs agree") || !strings.Contains(got, "All 1 revocation") {
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
		"too long":     {"2026-09-01T00:00", "2026-11-22T14:00", "fetch-to", "31 days"},
	} {
		b, v, _ := newLog(t)
		w, doc := b.post(t, "/ledger/reconcile/fetch", url.Values{"from": {tt.from}, "to": {tt.to}})
		wantStatus(t, w, http.StatusUnprocessableEntity)
		if got := doc.Find("#" + tt.field + "-error").Text(); !strings.Contains(got, tt.says) {
			t.Errorf("%s: beside the field stands %q", name, got)
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
	l.err = &directory.CallError{Status: http.StatusBadGateway}
	w, _ = b.post(t, "/ledger/reconcile/fetch", lastWeek())
	wantStatus(t, w, http.StatusServiceUnavailable)
}

func TestOneComparisonAtATime(t *testing.T) {
	t.Parallel()
	b, _, _ := newLog(t)
	b.compare.Lock()
	w, _ := b.post(t, "/ledger/reconcile/fetch", lastWeek())
	wantStatus(t, w, http.StatusTooManyRequests)
	w, _ = b.ask(t, upload(t, "/ledger/reconcile/upload", "log.csv", "", nil))
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
	w, doc := b.ask(t, upload(t, "/ledger/reconcile/upload", "secret name.csv", file, nil))
	wantStatus(t, w, http.StatusOK)
	text := strings.Join(strings.Fields(doc.Find("main").Text()), " ")
	for _, want := range []string{"All 1 revocation", "4 rows read: 2 about revocations, 1 of other activities, 1 could not be read.", "Line 5: its time is not written"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	e := v.records[len(v.records)-1].Event
	if body := string(v.records[len(v.records)-1].Body); e.Detail["source"] != "uploaded" || strings.Contains(body, "secret name") {
		t.Errorf("recorded is %s", body)
	}
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
		"forty days": {csvLog(far, seen(me, other, noon)), "upload-to", "31 days"},
	} {
		b, v, _ := newLog(t)
		w, doc := b.ask(t, upload(t, "/ledger/reconcile/upload", "log.csv", tt.file, nil))
		wantStatus(t, w, http.StatusUnprocessableEntity)
		if got := doc.Find("#" + tt.field + "-error").Text(); !strings.Contains(got, tt.says) || len(v.records) != 2 {
			t.Errorf("%s: beside the field stands %q; %d events", name, got, len(v.records))
		}
	}
	b, _, _ := newLog(t)
	w, doc := b.post(t, "/ledger/reconcile/upload", url.Values{})
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
