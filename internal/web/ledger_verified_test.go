package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/operator"
)

// newJudged is a console whose ledger has a run r of two people that ended.
func newJudged(t *testing.T) (*builder, *archive, *clerk) {
	t.Helper()
	b, a, c := newArchive(t)
	_, d := newDesk()
	b.Server.Runs = d
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	a.run(t, "r", 2)
	return b, a, c
}

func faulty(problems, first string) audit.Event {
	e := verifiedEvent("problems", "10", problems)
	e.Detail["first"] = first
	return e
}

func TestWhatTheLastVerificationFoundStandsUntilALaterOneIsIntact(t *testing.T) {
	t.Parallel()
	b, a, _ := newJudged(t)
	pages := []string{"/", "/ledger", "/ledger/runs/r", "/ledger/people/" + oid(0)}
	a.tell(t, faulty("2", "Event 8 was altered. The tree contradicts the console's own checkpoint of 9 events."))
	for _, path := range pages {
		w, doc := b.get(t, path, false)
		wantStatus(t, w, http.StatusOK)
		has(t, path, doc, "The last verification of the ledger found 2 problems", "Event 8 was altered.", "the console's own checkpoint of 9 events")
		if doc.Find("main a[href='/ledger/verify']:contains('Look at it')").Length() != 1 || doc.Find("main .note.no, main .needs .tag.no").Length() == 0 {
			t.Errorf("%s: the note is not red, or does not lead to Verify", path)
		}
		if strings.Contains(doc.Text(), "Nothing waits for you") || strings.Contains(doc.Text(), "This is all of it") || doc.Find("main > .status.ok").Length() != 0 {
			t.Errorf("%s: the page says that all is well", path)
		}
	}
	a.tell(t, verifiedEvent(intact, "12", "0"))
	for _, path := range pages {
		if _, doc := b.get(t, path, false); strings.Contains(doc.Text(), "last verification") {
			t.Errorf("%s: the note stands on", path)
		}
	}
	if _, doc := b.get(t, "/ledger/runs/r", false); doc.Find("main > .status.ok").Length() != 1 {
		t.Error("the story is not complete any more")
	}
}

func TestAVerificationThatWasAlteredOrNotRecordedCountsToo(t *testing.T) {
	t.Parallel()
	b, a, c := newJudged(t)
	a.tell(t, verifiedEvent(intact, "10", "0"))
	c.run = audit.Verification{Ended: noon.Add(time.Hour), Unrecorded: true, Report: audit.Report{Problems: []audit.Problem{{Text: "Event 3 was altered."}}}}
	_, doc := b.get(t, "/ledger", false)
	has(t, "not recorded", doc, "found 1 problem", "Event 3 was altered.")
	c.run = audit.Verification{}
	a.alter(int64(len(a.records)), "nothing")
	_, doc = b.get(t, "/ledger", false)
	has(t, "altered", doc, "The record of the last verification was altered")
}

func TestWhatTheWatchHoldsAgainstTheLedgerStandsOnHome(t *testing.T) {
	t.Parallel()
	b, a, c := newJudged(t)
	a.tell(t, verifiedEvent(intact, "10", "0"))
	c.standing.Problems = []audit.Problem{{Text: "Events 5 to 9 are missing."}, {Text: "Event 12 was altered."}}
	w, doc := b.get(t, "/", false)
	wantStatus(t, w, http.StatusOK)
	has(t, "home", doc, "Nothing is signed", "Events 5 to 9 are missing.")
	if doc.Find("main .needs .tag.no").Length() != 1 || doc.Find("main a[href='/ledger']:contains('Open the ledger')").Length() != 1 {
		t.Error("the alarm is not red, or does not lead to the ledger")
	}
}

func TestWhoMayNotReadTheLedgerIsNotToldOfIt(t *testing.T) {
	t.Parallel()
	b, a, _ := newJudged(t)
	a.tell(t, faulty("1", "Event 8 was altered."))
	b.who.Roles = operator.Roles{operator.Responder}
	ctx := context.WithValue(t.Context(), visitKey{}, &visit{who: b.who})
	b.Server.Notary.(*clerk).standing.Problems = []audit.Problem{{Text: "Event 9 was altered."}}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if n := b.verdict(r); n.Text != "" || len(b.needsOfLedger(r)) != 0 {
		t.Errorf("a Responder reads %q, %v", n.Text, b.needsOfLedger(r))
	}
}

func TestHomeStandsWithoutALedger(t *testing.T) {
	t.Parallel()
	b, a, _ := newJudged(t)
	a.gone = true
	w, doc := b.get(t, "/", false)
	wantStatus(t, w, http.StatusOK)
	has(t, "home", doc, "Whether the last verification found problems could not be read")
}

func TestAnAcceptedRollbackIsSaidFirst(t *testing.T) {
	t.Parallel()
	b, a, _ := newJudged(t)
	for detail, want := range map[string]string{
		"7":    "Intact as it stands: 178 events. A rollback was accepted (event 7): what was recorded before it and cut off is not here.",
		"7, 9": "Intact as it stands: 178 events. 2 rollbacks were accepted (the last is event 9): what was recorded before them and cut off is not here.",
	} {
		e := verifiedEvent(intact, "178", "0")
		e.Detail["rollbacks"] = detail
		a.tell(t, e)
		_, doc := b.get(t, "/ledger/verify", false)
		if got := doc.Find("#verify-status"); words(got) != want || !got.HasClass("warn") {
			t.Errorf("the status is %q of class %q", words(got), got.AttrOr("class", ""))
		}
		if doc.Find("#verify a[href='/ledger/7']").Length() != 1 {
			t.Error("the rollback is not linked")
		}
	}
}

func TestThePageSaysHowToVerifyWithoutIt(t *testing.T) {
	t.Parallel()
	b, _, c := newVault(t, 3)
	c.run = audit.Verification{Begun: noon, Ended: noon.Add(300 * time.Millisecond), Report: audit.Report{Size: 3}}
	_, doc := b.get(t, "/ledger/verify", false)
	has(t, "the page", doc, "Took under a second", "Keep the key and the checkpoints first, then export.", "ask whoever runs it for the file, or build it from its source")
}

func TestAnEventWithBothClocksSaysHowTheyCompare(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.TargetConfirmed, Target: personOf(1), Evidence: &audit.Evidence{T0: "2026-11-23T22:01:23.429Z", After: "2026-11-23T22:01:23.000Z"}},
		audit.Event{Kind: audit.TargetRefused, Target: personOf(1), Evidence: &audit.Evidence{T0: "2026-11-23T22:01:23.429Z"}})
	_, doc := b.get(t, "/ledger/1", false)
	has(t, "both", doc, stampedWords)
	if _, doc = b.get(t, "/ledger/2", false); strings.Contains(doc.Text(), stampedWords) {
		t.Error("it is said of one clock alone")
	}
}

func TestAnOpenedRunDoesNotRepeatItsLine(t *testing.T) {
	t.Parallel()
	b, _, _ := newJudged(t)
	_, doc := b.get(t, "/ledger?open=r", false)
	once := map[string]bool{}
	for _, seq := range listed(doc) {
		if once[seq] {
			t.Errorf("event %s is listed twice", seq)
		}
		once[seq] = true
	}
}

func TestAPageThatIsNotThereOffersNoSearchToWhoHasNone(t *testing.T) {
	t.Parallel()
	b, _, _ := newArchive(t)
	w, doc := b.get(t, "/ledger/99", false)
	wantStatus(t, w, http.StatusNotFound)
	if strings.Contains(doc.Text(), "search for the person") {
		t.Error("an auditor is sent to a search")
	}
}

func TestAnAcceptedRollbackStandsWhereOneLooksFirst(t *testing.T) {
	t.Parallel()
	b, a, _ := newJudged(t)
	e := audit.Event{
		Kind: audit.LedgerRollback, Time: audit.FormatTime(noon.Add(-time.Hour)), Detail: map[string]string{"old_size": "1623", "size": "1"},
	}
	a.tell(t, e, verifiedEvent(intact, "12", "0"))
	for _, path := range []string{"/", "/ledger"} {
		_, doc := b.get(t, path, false)
		has(t, path, doc, "A rollback was accepted, from 1,623 events back to 1: event", "What was recorded between", "and cut off is not here")
		if doc.Find("main a[href='/ledger/"+strconv.Itoa(len(a.records)-1)+"']:contains('Look at it')").Length() != 1 {
			t.Errorf("%s: the note does not lead to its event", path)
		}
	}
	a.tell(t, audit.Event{Kind: audit.LedgerRollback, Time: audit.FormatTime(noon.Add(-40 * 24 * time.Hour)), Detail: e.Detail})
	if _, doc := b.get(t, "/", false); strings.Contains(doc.Text(), "A rollback") {
		t.Error("an old rollback stands on")
	}
}

func TestWhatAnEventSaysStandsInAnOrder(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.Reconciled, Outcome: audit.Agrees, Detail: map[string]string{
		"another": "x", "to": "later", "from": "earlier", "matched": "7", "rows": "9", "early": "1",
	}}, audit.Event{Kind: audit.LedgerRollback, Detail: map[string]string{"old_size": "1623", "size": "171", "by": "root@host"}})
	_, doc := b.get(t, "/ledger/1", false)
	text, at := doc.Find("main").Text(), -1
	for _, label := range []string{"Compared from", "Compared to", "Rows of Entra’s", "In both logs", "Of Evict’s, too early to tell", "Another"} {
		next := strings.Index(text, label)
		if next <= at {
			t.Errorf("%q stands at %d, after %d", label, next, at)
		}
		at = next
	}
	_, doc = b.get(t, "/ledger?view=all", false)
	has(t, "the list", doc, "rollback accepted: from 1,623 events back to 171, by root@host")
}
