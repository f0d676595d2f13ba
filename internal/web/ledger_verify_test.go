package web

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/operator"
)

// signed gives a vault of 40 events a checkpoint after every second one.
func signed(t *testing.T) (*builder, *vault, *clerk) {
	t.Helper()
	b, v, c := newVault(t, 0)
	for range 20 {
		signIn(t, v)
		signIn(t, v)
		if _, err := c.Sign(); err != nil {
			t.Fatal(err)
		}
	}
	c.standing.Signed, c.standing.SignedAt = v.checkpoints[19].Checkpoint, c.now
	return b, v, c
}

func words(s *goquery.Selection) string { return strings.Join(strings.Fields(s.Text()), " ") }

// has fails for each text that a page does not say. Space does not count: a term and its value have none between them.
func has(t *testing.T, name string, doc *goquery.Document, texts ...string) {
	t.Helper()
	all := strings.Join(strings.Fields(doc.Text()), "")
	for _, want := range texts {
		if !strings.Contains(all, strings.ReplaceAll(want, " ", "")) {
			t.Errorf("%s: the page does not say %q: %s", name, want, words(doc.Selection))
		}
	}
}

func verifiedEvent(outcome, size, problems string) audit.Event {
	return audit.Event{
		ID: "v", Time: audit.FormatTime(noon.Add(-time.Hour)), Kind: audit.LedgerVerified, Outcome: outcome,
		Operator: &audit.Person{UPN: "ann@corp.example"}, Detail: map[string]string{"size": size, "problems": problems},
	}
}

func TestALedgerThatNobodyVerifiedSaysSo(t *testing.T) {
	t.Parallel()
	b, _, _ := newVault(t, 3)
	w, doc := b.get(t, "/ledger/verify", false)
	wantStatus(t, w, http.StatusOK)
	has(t, "never verified", doc, "Nobody has verified this ledger yet.", "3 events", "Signed not yet", "None yet. One is signed")
	if doc.Find("#verify form[action='/ledger/verify'] button").Length() != 1 {
		t.Error("it cannot be verified")
	}
	if doc.Find("a[href='/ledger/checkpoints'], #verify[hx-get], progress, .note:not([hidden]), form[action='/ledger/consistency']").Length() != 0 {
		t.Error("the page offers checkpoints, asks again or warns without a cause")
	}
}

func TestTheNewestVerificationOfAnyProcessIsShown(t *testing.T) {
	t.Parallel()
	b, v, _ := newVault(t, 3)
	for i, e := range []audit.Event{verifiedEvent("problems", "3", "7"), verifiedEvent("intact", "4", "0")} {
		if err := v.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		_, doc := b.get(t, "/ledger/verify", false)
		has(t, "verified", doc, []string{"Not intact: 7 problems in 3 events.", "Intact: 4 events"}[i], "by ann@corp.example, 1 event since", "60 min ago")
		if got := doc.Find("#verify .status").AttrOr("class", ""); got != []string{"status no", "status ok"}[i] {
			t.Errorf("the status is of class %q", got)
		}
		if doc.Find(fmt.Sprintf("#verify a[href='/ledger/%d']", 4+i)).Length() != 1 {
			t.Error("its record is not linked")
		}
	}
}

func TestAVerificationIsStartedByAnAuditorAndWatched(t *testing.T) {
	t.Parallel()
	b, _, c := signed(t)
	w, _ := b.post(t, "/ledger/verify", nil)
	wantStatus(t, w, http.StatusSeeOther)
	if len(c.asked) != 1 || c.asked[0].OID != me || c.asked[0].Address != "192.0.2.7" || w.Header().Get("Location") != "/ledger/verify" {
		t.Errorf("asked by %+v, then to %s", c.asked, w.Header().Get("Location"))
	}
	c.run = audit.Verification{Running: true, Done: 12, Of: 40, By: c.asked[0], Begun: noon}
	w, doc := b.get(t, "/ledger/verify", true)
	wantStatus(t, w, http.StatusOK)
	if doc.Find("main, h1").Length() != 0 || doc.Find("#verify[hx-get='/ledger/verify'][hx-nonce]").Length() != 1 {
		t.Errorf("the fragment is %s", w.Body.String())
	}
	if p := doc.Find("progress"); p.AttrOr("value", "") != "12" || p.AttrOr("max", "") != "40" {
		t.Errorf("progress = %s of %s", p.AttrOr("value", ""), p.AttrOr("max", ""))
	}
	has(t, "running", doc, "Verifying, for auditor@corp.example.", "12 of 40 events")
	if doc.Find("form").Length() != 0 {
		t.Error("a second one can be started")
	}
	c.run = audit.Verification{By: c.asked[0], Begun: noon.Add(-3 * time.Second), Ended: noon, Report: audit.Report{
		Size: 40, Events: 38, Removed: 2, Checkpoints: 20, Covers: []string{"It covers <b>this</b>."},
	}}
	_, doc = b.get(t, "/ledger/verify", true)
	if doc.Find("[hx-get], progress, b").Length() != 0 {
		t.Error("the page goes on asking, or a sentence became markup")
	}
	has(t, "intact", doc, "Intact: 40 events", "Result of 23 Nov 2026 12:00:00 UTC: intact", "Read 38 events", "2 events, of which the hash is left", "Took 3 s", "It covers <b>this</b>.")
}

func TestProblemsAreNamedFirstAndCountedWhole(t *testing.T) {
	t.Parallel()
	b, _, c := newVault(t, 3)
	rep := audit.Report{Size: 3, More: 40, Covers: []string{"This much."}}
	for i := range int64(60) {
		rep.Problems = append(rep.Problems, audit.Problem{Fault: audit.Altered, From: i + 1, To: i + 1, Text: fmt.Sprintf("Event %d was altered.", i+1)})
	}
	rep.Problems[1] = audit.Problem{Fault: audit.Missing, From: 5, To: 9, Text: "Events 5 to 9 are missing."}
	c.run = audit.Verification{Ended: noon, Unrecorded: true, Report: rep}
	w, doc := b.get(t, "/ledger/verify", false)
	if doc.Find(".problems li").Length() != problemsShown {
		t.Errorf("%d problems are listed, want %d", doc.Find(".problems li").Length(), problemsShown)
	}
	has(t, "problems", doc, "Not intact: 100 problems in 3 events.", "And 50 problems more.", "Events 5 to 9 are missing.", "The ledger could not be written")
	if doc.Find(".problems a").Length() != problemsShown-1 || doc.Find(".problems a[href='/ledger/1']").Length() != 1 {
		t.Error("the events that are there are not linked, or one that is missing is")
	}
	if html := w.Body.String(); strings.Index(html, "Event 1 was altered") > strings.Index(html, "This much.") {
		t.Error("what it covers comes before what is wrong")
	}
	c.run = audit.Verification{Ended: noon, Err: "the database is gone"}
	_, doc = b.get(t, "/ledger/verify", false)
	has(t, "unfinished", doc, "The last verification could not be finished. the database is gone", "Nobody has verified this ledger yet.")
	if doc.Find("#result-h").Length() != 0 {
		t.Error("what was not finished has a result")
	}
}

func TestAlarmsStandAboveAllElse(t *testing.T) {
	t.Parallel()
	b, _, c := signed(t)
	c.standing.Problems = []audit.Problem{{Fault: audit.RunGap, Text: "Run r counts 6 events, and 5 are there."}}
	c.standing.Unkept = "no space left on device."
	_, doc := b.get(t, "/ledger/verify", false)
	if got := words(doc.Find("#verify .note:not([data-stale])").First()); got != "Alarm: run incomplete. Run r counts 6 events, and 5 are there." {
		t.Errorf("the first note is %q", got)
	}
	has(t, "alarm", doc, "Nothing more is signed", "Change nothing in the database", "not written outside the database", "no space left on device.")
	if doc.Find("#verify .note").First().NextAllFiltered("section").Length() == 0 {
		t.Error("the alarm does not come first")
	}
}

func TestTheKeyAndTheCheckpointsCanBeTaken(t *testing.T) {
	t.Parallel()
	b, v, c := signed(t)
	_, doc := b.get(t, "/ledger/verify", false)
	if got := doc.Find("#verifier-key").Text(); got != c.signer.Public() {
		t.Errorf("the key reads %q", got)
	}
	has(t, "signed", doc, audit.KeyID(c.signer.Public()), "up to event 40", "-checkpoint REHEARSAL-evict-checkpoints-7f0c1a52.txt EXPORT.jsonl")
	var sizes []string
	for href := "/ledger/verify"; href != ""; {
		_, doc = b.get(t, href, false)
		for _, s := range doc.Find(".checkpoints pre").EachIter() {
			x, err := audit.ParseCheckpoint(s.Text())
			if err != nil || audit.Verify(x, c.signer.Public()) != nil {
				t.Errorf("the note %q does not verify", s.Text())
			}
			sizes = append(sizes, fmt.Sprint(x.Size))
		}
		href = doc.Find("a[rel=next]").AttrOr("href", "")
	}
	if len(sizes) != 20 || sizes[0] != "40" || sizes[19] != "2" {
		t.Errorf("the pages have %v, want all 20 from the newest on", sizes)
	}
	w, _ := b.get(t, "/ledger/checkpoints", false)
	wantStatus(t, w, http.StatusOK)
	all, err := audit.ParseCheckpoints(w.Body.String())
	if err != nil || len(all) != 20 || all[19].Note != v.checkpoints[19].Note {
		t.Errorf("the file has %d checkpoints: %v", len(all), err)
	}
	if got := w.Header().Get("Content-Disposition"); got != `attachment; filename="REHEARSAL-evict-checkpoints-7f0c1a52.txt"` {
		t.Errorf("disposition = %q", got)
	}
}

func TestFormerKeysAreShownOrSaidToBeUnknown(t *testing.T) {
	t.Parallel()
	b, _, c := signed(t)
	c.standing.Public = "evict-new+00112233+AbCd"
	_, doc := b.get(t, "/ledger/verify", false)
	has(t, "rotated", doc, "Former keys: 1", c.signer.Public())
	c.keyless = true
	_, doc = b.get(t, "/ledger/verify", false)
	has(t, "keyless", doc, "Former keys could not be read.", "evict-new+00112233+AbCd")
}

func TestAProofLeadsFromOneCheckpointToTheOther(t *testing.T) {
	t.Parallel()
	b, v, c := signed(t)
	w, _ := b.get(t, "/ledger/consistency?from=14&to=40", false)
	wantStatus(t, w, http.StatusOK)
	if got := w.Header().Get("Content-Disposition"); got != `attachment; filename="REHEARSAL-evict-consistency-14-40.json"` {
		t.Errorf("disposition = %q", got)
	}
	var file struct {
		Version  int `json:"evict_consistency"`
		Origin   string
		From, To string
		Proof    []string
		Keys     audit.Keyring
	}
	if err := json.Unmarshal(w.Body.Bytes(), &file); err != nil {
		t.Fatal(err)
	}
	var proof []audit.Hash
	for _, text := range file.Proof {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		proof = append(proof, audit.Hash(raw))
	}
	from, err := audit.ParseCheckpoint(file.From)
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.CheckConsistency(proof, 40, v.tree.Root(), 14, from.Root); err != nil {
		t.Error(err)
	}
	if !strings.Contains(w.Body.String(), `"rehearsal":"REHEARSAL: nothing is revoked"`) {
		t.Error("the proof does not say that it is of a rehearsal")
	}
	if file.Version != 1 || file.Origin != from.Origin || file.To != v.checkpoints[19].Note || len(file.Keys) != 1 || file.Keys.Newest() != c.signer.Public() {
		t.Errorf("the file is %+v", file)
	}
	if got := strings.Count(w.Body.String(), "\n"); got != 1 || !strings.HasSuffix(w.Body.String(), "\n") {
		t.Errorf("%d line breaks, want one line", got)
	}
	report, err := audit.VerifyExport(t.Context(), strings.NewReader(w.Body.String()), audit.Expect{Keys: []string{c.signer.Public()}})
	if err != nil || !report.Intact() {
		t.Errorf("the verifier says %v, %v", report.Problems, err)
	}
}

func TestWhatCannotBeProvenIsSaidBesideItsField(t *testing.T) {
	t.Parallel()
	b, v, _ := signed(t)
	for query, want := range map[string][2]string{
		"":               {"Give the number of events of a checkpoint.", "Give the number of events of a checkpoint."},
		"from=x&to=40":   {"Give the number of events", ""},
		"from=13&to=40":  {"There is no checkpoint of 13 events. The one before has 12 events.", ""},
		"from=1&to=40":   {"There is no checkpoint of so few events.", ""},
		"from=14&to=14":  {"", "This is not later than the other one."},
		"from=40&to=2":   {"", "This is not later than the other one."},
		"from=2&to=4,0,": {"", ""},
	} {
		w, doc := b.get(t, "/ledger/consistency?"+query, false)
		if want == [2]string{} {
			wantStatus(t, w, http.StatusOK)
			continue
		}
		wantStatus(t, w, http.StatusUnprocessableEntity)
		if from, to := words(doc.Find("#from-error")), words(doc.Find("#to-error")); !strings.HasPrefix(from, want[0]) || !strings.HasPrefix(to, want[1]) || want[0] == "" != (from == "") || want[1] == "" != (to == "") {
			t.Errorf("%s: %q, %q; want %q, %q", query, from, to, want[0], want[1])
		}
		if strings.Contains(query, "from=13") && doc.Find("input[name=from]").AttrOr("value", "") != "13" {
			t.Error("what was typed is lost")
		}
	}
	v.checkpoints[19].Root[0] ^= 1
	w, doc := b.get(t, "/ledger/consistency?from=14&to=40", false)
	wantStatus(t, w, http.StatusUnprocessableEntity)
	has(t, "a ledger that was changed", doc, "does not lead from one of these checkpoints to the other")
}

func TestWithoutADatabaseThePagesSaySo(t *testing.T) {
	t.Parallel()
	b, v, _ := signed(t)
	v.gone = true
	for _, fragment := range []bool{false, true} {
		w, _ := b.get(t, "/ledger/verify", fragment)
		wantStatus(t, w, http.StatusServiceUnavailable)
	}
}

func TestWhoMayVerifyAndTakeAway(t *testing.T) {
	t.Parallel()
	for _, route := range []string{"ledger.verify", "ledger.verify.start", "ledger.export", "ledger.checkpoints", "ledger.consistency"} {
		for _, role := range operator.AllRoles() {
			if got := (operator.Roles{role}).MayOpen(route); got == (role == operator.Responder) {
				t.Errorf("%s opens %s: %v", role, route, got)
			}
		}
	}
}

func TestADownloadOfNoCheckpointsIsNotAnEmptyFile(t *testing.T) {
	t.Parallel()
	b, _, _ := newVault(t, 1)
	w, doc := b.get(t, "/ledger/checkpoints", false)
	wantStatus(t, w, statusOf[fault.NotFound])
	has(t, "none", doc, "There is no checkpoint yet")
}

func TestVerificationsAreLimitedByOperator(t *testing.T) {
	t.Parallel()
	b, _, c := newVault(t, 1)
	for range 5 {
		w, _ := b.post(t, "/ledger/verify", nil)
		wantStatus(t, w, http.StatusSeeOther)
	}
	w, _ := b.post(t, "/ledger/verify", nil)
	wantStatus(t, w, http.StatusTooManyRequests)
	if len(c.asked) != 5 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d verifications were begun", len(c.asked))
	}
}
