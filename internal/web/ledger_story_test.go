package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"evict/internal/audit"
	"evict/internal/operator"
	"evict/internal/revoke"
)

func TestARunsStoryAnswersWhoWhyWhenAndWhetherThisIsAllOfIt(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	a.run(t, "r", 5)
	_, doc := b.get(t, "/ledger/runs/r", false)
	has(t, "story", doc, "Run of 5 people", "finished", "This is all of it.", "18 events", "me@corp.example", "phished", "INC-7", "3 confirmed", "2 refused",
		"Plan of 5 people created", "Insufficient privileges.")
	if got := doc.Find("#people .rows > li").Length(); got != 5 {
		t.Errorf("%d people, want 5", got)
	}
	if got := words(doc.Find("#people .rows > li").First()); !strings.Contains(got, "Attempt 1 recorded, then Microsoft was called") || !strings.Contains(got, "confirmed") {
		t.Errorf("the first person reads %q", got)
	}
	if doc.Find("form.export input[name=run][value=r]").Length() != 1 || doc.Find("#people a[href='/ledger?run=r&target="+oid(0)+"']").Length() != 1 {
		t.Error("the story cannot be taken away, or does not lead to a person's events")
	}
	if doc.Find(".counts a[href='/ledger?outcome=refused&run=r']").Length() != 1 {
		t.Error("the count of the refused does not lead to them")
	}
	w, _ := b.get(t, "/ledger/runs/none", false)
	wantStatus(t, w, http.StatusNotFound)
}

func TestARunIsCompleteOnlyWhenItsLastEventCountsWhatIsThere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*archive)
		says   string
		tone   string
	}{
		"an event is gone":                        {func(a *archive) { a.records = append(a.records[:6], a.records[7:]...) }, "NOT complete. The event that ends the run counts 9 events; the ledger holds 8.", "no"},
		"an event came in between":                {func(a *archive) { a.records[0].Event.Run = "r" }, "counts 9 events; the ledger holds 10.", "no"},
		"the end stands elsewhere":                {func(a *archive) { a.records[9].Event.Detail["last_seq"] = "7" }, "says that it is event 7, and stands as event 10", "no"},
		"the end counts nothing":                  {func(a *archive) { delete(a.records[9].Event.Detail, "events") }, "does not say how many", "no"},
		"the end is gone":                         {func(a *archive) { a.records = a.records[:9] }, "Not ended yet. The ledger holds 8 events", "on"},
		"retention removed some":                  {func(a *archive) { a.removed = 5 }, "Not all of it. Retention removed events up to number 5", "warn"},
		"retention removed none of its":           {func(a *archive) { a.removed = 1 }, "This is all of it.", "ok"},
		"a later event names it":                  {func(a *archive) { a.tell(t, audit.Event{Kind: audit.SignedOut, Run: "r"}) }, "This is all of it. The event that ends the run counts 9 events, itself the last one, and the ledger holds as many. Events after it", "ok"},
		"a line that repeats the run's own count": {func(a *archive) { a.records, a.claims = append(a.records[:6], a.records[7:]...), 9 }, "counts 9 events; the ledger holds 8.", "no"},
	} {
		b, a, _ := newArchive(t)
		a.tell(t, audit.Event{Kind: audit.LedgerOpened})
		a.run(t, "r", 2)
		test.change(a)
		_, doc := b.get(t, "/ledger/runs/r", false)
		status := doc.Find("main > .status")
		if got := words(status); !strings.Contains(got, test.says) || !status.HasClass(test.tone) {
			t.Errorf("%s: %q, want %q in tone %s", name, got, test.says, test.tone)
		}
	}
}

func TestARunThatEndedWithoutItsLastEventIsNotCalledGoingOn(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	_, d := newDesk()
	d.runs["r"] = revoke.Run{ID: "r", State: revoke.RunFinished}
	b.Server.Runs = d
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	a.begin(t, "r", 2)
	_, doc := b.get(t, "/ledger/runs/r", false)
	if got := words(doc.Find("main > .status.no")); !strings.Contains(got, "NOT complete. The run has ended, and the event that says so is not in the ledger.") {
		t.Errorf("status = %q", got)
	}
}

func TestALongRunIsReadInPagesWithItsMilestonesOnEach(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	a.begin(t, "r", 100)
	a.tell(t, audit.Event{Kind: audit.RunStopping, Run: "r", Operator: &audit.Person{OID: other, UPN: "lead@corp.example"}, Detail: map[string]string{"asked": "pause"}})
	a.tell(t, audit.Event{Kind: audit.RunPaused, Run: "r", Outcome: "paused", Detail: map[string]string{"cause": "operator"}}, audit.Event{Kind: audit.SignedIn})
	a.tell(t, audit.Event{Kind: audit.RunResumed, Run: "r", Outcome: "running"})
	a.end(t, "r", 100)
	a.claims = 306 // what the run counted itself, which nobody believes
	steps, pages, last := map[string]bool{}, 0, ""
	for href := "/ledger/runs/r"; href != ""; pages++ {
		last = href
		w, doc := b.get(t, href, false)
		wantStatus(t, w, http.StatusOK)
		has(t, href, doc, "This is all of it.", "Pause of a run asked for", "By lead@corp.example.", "Run resumed", "Plan of 100 people created", "Run finished")
		for _, n := range doc.Find("#people .steps a").EachIter() {
			steps[n.AttrOr("href", "")] = true
		}
		href = strings.TrimSuffix(doc.Find("#people a[rel=next]").AttrOr("href", ""), "#people")
	}
	if len(steps) != 300 || pages != 2 {
		t.Errorf("%d events of people on %d pages, want 300 on 2", len(steps), pages)
	}
	_, doc := b.get(t, last, false)
	back := strings.TrimSuffix(doc.Find("#people a[rel=prev]").AttrOr("href", ""), "#people")
	if _, doc = b.get(t, back, false); doc.Find("#people .rows > li").Length() != 50 || doc.Find("#people a[rel=prev]").Length() != 0 {
		t.Errorf("%s does not lead back to the first page", back)
	}
	gone := a.records[250]
	a.records[250].Event.Run = ""
	_, doc = b.get(t, "/ledger/runs/r", false)
	has(t, "an event of a long run that is gone", doc, "NOT complete.", "counts 306 events; the ledger holds 305.")
	a.records[250] = gone
	a.sight = 20
	_, doc = b.get(t, "/ledger/runs/r?after=200", false)
	has(t, "milestones that were not all looked for", doc, "were not looked for", "Run finished", "Plan of 100 people created")
}

// A run calls many before it knows of the first how it ended, so that their events stand far apart.
func TestEachPersonOfARunStandsOnOnePageWithTheirOutcomeAndAllTheirEvents(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	const called = 120
	a.tell(t, audit.Event{Kind: audit.LedgerOpened}, audit.Event{Kind: audit.PlanCreated, Run: "r", Detail: map[string]string{"targets": "125"}},
		audit.Event{Kind: audit.RunStarted, Run: "r", Outcome: "running"})
	about := func(k audit.Kind, who, attempt int, outcome revoke.State) {
		a.tell(t, audit.Event{Kind: k, Run: "r", Target: personOf(who), Attempt: attempt, Outcome: string(outcome)})
	}
	for i := range called {
		about(audit.TargetAttempted, i, 1, revoke.Attempting)
	}
	about(audit.TargetSkipped, called, 0, revoke.Skipped) // protected meanwhile: never called
	for i := range called {
		about(audit.TargetAccepted, i, 1, revoke.Accepted)
	}
	for i := range called {
		about(audit.TargetConfirmed, i, 1, revoke.Confirmed)
	}
	a.tell(t, audit.Event{Kind: audit.RunCancelled, Run: "r", Outcome: "cancelled", Detail: map[string]string{"confirmed": "120", "skipped": "1", "never_attempted": "122-125"}})
	seen, pages := map[string]int{}, 0
	for href := "/ledger/runs/r"; href != ""; pages++ {
		_, doc := b.get(t, href, false)
		has(t, href, doc, "of 125 people, in the order in which the run came to them", "4 people were never called: no event names them.")
		for _, n := range doc.Find("#people .rows > li").EachIter() {
			who, steps := n.Find(".person a").AttrOr("href", ""), n.Find(".steps li").Length()
			seen[who]++
			skipped := strings.HasSuffix(who, oid(called))
			if got := words(n.Find(".tag")); !skipped && (got != "confirmed" || steps != 3) || skipped && (got != "skipped" || steps != 1) {
				t.Errorf("%s: %s ended %q with %d events", href, who, got, steps)
			}
		}
		href = strings.TrimSuffix(doc.Find("#people a[rel=next]").AttrOr("href", ""), "#people")
	}
	if len(seen) != called+1 || pages != 3 {
		t.Errorf("%d people on %d pages, want %d on 3", len(seen), pages, called+1)
	}
	for who, n := range seen {
		if n != 1 {
			t.Errorf("%s stands there %d times", who, n)
		}
	}
	a.sight = 40
	_, doc := b.get(t, "/ledger/runs/r?after="+fmt.Sprint(called+4), false)
	if has(t, "nobody for long", doc, "Searched up to event 164"); doc.Find("#people a[href='/ledger/runs/r?after=164#people']").Length() != 1 {
		t.Error("the search for people does not go on from where it gave up")
	}
}

func TestWhoeverWaitedWhenARunEndedEndedAsTheLastAttemptDid(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.RunStarted, Run: "r"})
	type told struct {
		kind    audit.Kind
		outcome revoke.State
	}
	attempt := told{audit.TargetAttempted, revoke.Attempting}
	tests := []struct {
		told []told
		want string
	}{
		{[]told{attempt, {audit.TargetRefused, revoke.Pending}}, "refused"},
		{[]told{attempt, {audit.TargetRefused, revoke.Pending}, attempt, {audit.TargetFailed, revoke.Pending}}, "cancelled"},
		{[]told{attempt, {audit.TargetAccepted, revoke.Accepted}, {audit.SignedOut, ""}, {audit.TargetUnconfirmed, revoke.Pending}}, "unconfirmed"},
		{[]told{attempt, {audit.TargetFailed, revoke.Pending}, attempt, {audit.TargetConfirmed, revoke.Confirmed}}, "confirmed"},
		{[]told{attempt}, ""}, // its outcome is missing, and is not made up
	}
	for i, test := range tests {
		for _, e := range test.told {
			a.tell(t, audit.Event{Kind: e.kind, Run: "r", Target: personOf(i), Outcome: string(e.outcome), Attempt: 1})
		}
	}
	tags := func() (out []string) {
		_, doc := b.get(t, "/ledger/runs/r", false)
		for _, n := range doc.Find("#people .rows > li").EachIter() {
			out = append(out, words(n.Find(".tag")))
		}
		return out
	}
	if got := tags(); !slices.Equal(got, []string{"", "", "", "confirmed", ""}) {
		t.Errorf("while it goes on, they read %q", got)
	}
	a.tell(t, audit.Event{Kind: audit.RunCancelled, Run: "r", Detail: map[string]string{}})
	var want []string
	for _, test := range tests {
		want = append(want, test.want)
	}
	if got := tags(); !slices.Equal(got, want) {
		t.Errorf("at its end, they read %q, want %q", got, want)
	}
}

func TestSomebodyWhoWasTriedVeryOftenHasTheirNewestEventsInTheStory(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.RunStarted, Run: "r"})
	for n := range 30 {
		a.tell(t, audit.Event{Kind: audit.TargetAttempted, Run: "r", Target: personOf(0), Attempt: n + 1},
			audit.Event{Kind: audit.TargetFailed, Run: "r", Target: personOf(0), Attempt: n + 1, Outcome: "failed"})
	}
	_, doc := b.get(t, "/ledger/runs/r", false)
	person := doc.Find("#people .rows > li")
	if person.Find(".steps li").Length() != storyEvents || person.Find(".steps a[href='/ledger/61']").Length() != 1 {
		t.Errorf("the events are %s", words(person))
	}
	has(t, "cut", doc, "These are their newest events")
}

func TestAPersonsStoryIsWhatWasDoneToThemAndWhatTheyDid(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	a.run(t, "r", 2)
	renamed := &audit.Person{OID: oid(0), UPN: "renamed@corp.example", Name: "Renamed"}
	a.tell(t, audit.Event{Kind: audit.SettingsChanged, Target: renamed, Detail: map[string]string{"protected_account": "added"}},
		audit.Event{Kind: audit.SignedIn, Operator: renamed},
		audit.Event{Kind: audit.RunStarted, Run: "own", Operator: renamed}, audit.Event{Kind: audit.TargetAttempted, Run: "own", Operator: renamed, Target: personOf(9)},
		audit.Event{Kind: audit.RunStopping, Run: "r", Operator: renamed, Detail: map[string]string{"asked": "cancel"}})

	_, doc := b.get(t, "/ledger/people/"+oid(0), false)
	has(t, "head", doc, "Renamed", "renamed@corp.example", oid(0), "Person 0 person0@corp.example")
	folds := doc.Find("section[aria-labelledby=done-h] .rows > li")
	if folds.Length() != 2 || !strings.Contains(words(folds.Last()), "Revocation by me@corp.example") || folds.Last().Find("details .steps li").Length() != 3 {
		t.Errorf("done to them: %s", words(folds))
	}
	did := doc.Find("section[aria-labelledby=did-h]")
	if got := did.Find("tr[id=run-own]").Length(); got != 1 {
		t.Errorf("%d lines of their own run, want 1", got)
	}
	if got := words(did); !strings.Contains(got, "cancelling of a run asked for") || !strings.Contains(got, "signed in") {
		t.Errorf("what they did lacks something: %s", got)
	}
	if doc.Find("form.export input[name=person][value='"+oid(0)+"']").Length() != 1 {
		t.Error("the story cannot be taken away")
	}
	for _, nobody := range []string{oid(77), "nobody", "%27"} {
		w, _ := b.get(t, "/ledger/people/"+nobody, false)
		wantStatus(t, w, http.StatusNotFound)
	}
	b.who.Roles = operator.Roles{operator.Lead}
	if _, doc = b.get(t, "/ledger/people/"+strings.ToUpper(oid(0)), false); doc.Find("a[href='/users/"+oid(0)+"']").Length() != 1 {
		t.Error("a Lead is not led to the user card")
	}
}

func TestEachPartOfAPersonsStoryIsPagedByItself(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	for i := range 120 {
		a.tell(t, audit.Event{Kind: audit.SettingsChanged, Target: personOf(0), Detail: map[string]string{"protected_account": "added"}},
			audit.Event{Kind: audit.SignedIn, Operator: personOf(0), Reason: fmt.Sprint(i)})
	}
	for part, per := range map[string]string{"done": "#fold-0, [id^=fold-]", "did": "td[data-label='No.']"} {
		seen := 0
		for href := "/ledger/people/" + oid(0); href != ""; {
			_, doc := b.get(t, href, false)
			section := doc.Find("section[aria-labelledby=" + part + "-h]")
			seen += section.Find(per).Length()
			href = section.Find(".pager a[rel=next]").AttrOr("href", "")
		}
		if seen != 120 {
			t.Errorf("%s: %d entries on all pages, want 120", part, seen)
		}
	}
}

func TestAnEventSaysWhetherTheTreeHoldsItAndACheckpointCoversIt(t *testing.T) {
	t.Parallel()
	b, a, c := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	a.run(t, "r", 1)
	_, doc := b.get(t, "/ledger/4", false)
	has(t, "unsigned", doc, audit.LeafHash(a.records[3].Body).String(), "In the tree", "Not signed yet")
	if got := doc.Find("#event-json").Text(); got != string(a.records[3].Body) {
		t.Errorf("the page shows %s", got)
	}
	form := doc.Find("form.export")
	if form.Find("input[name=seq]").AttrOr("value", "") != "4" || form.Find("input[name=format]").AttrOr("value", "") != "jsonl" {
		t.Error("the event cannot be taken away with its proof")
	}
	for _, href := range []string{"/ledger/runs/r", "/ledger/people/" + oid(0), "/ledger/people/" + me, "/ledger/3", "/ledger/5"} {
		if doc.Find("a[href='"+href+"']").Length() == 0 {
			t.Errorf("the event does not lead to %s", href)
		}
	}
	c.standing = audit.Standing{Signed: audit.Checkpoint{Size: 4}, SignedAt: noon}
	_, doc = b.get(t, "/ledger/4", false)
	has(t, "signed", doc, "The newest signed checkpoint covers it", "signed up to 4")
	c.standing.Problems = []audit.Problem{{Text: "Something."}}
	_, doc = b.get(t, "/ledger/5", false)
	has(t, "in an alarm", doc, "Not signed.", "nothing is signed while it is so")

	_, doc = b.get(t, "/ledger/6", false)
	if doc.Find("h1 .tag.ok").Length() != 1 {
		t.Error("the outcome is missing")
	}
	a.records[5].Body = append([]byte(nil), a.records[5].Body...)
	a.records[5].Body[10] ^= 1
	_, doc = b.get(t, "/ledger/6", false)
	has(t, "altered", doc, "This event was altered.", "Verify the whole ledger", "Altered event", "What the altered bytes say", "fails its verification")
	if doc.Find(".head + .note.no[role=alert]").Length() != 1 {
		t.Error("an altered event does not alarm before it shows anything")
	}
	if got := doc.Find(".tag.ok, .note.ok, .head time").Length(); got != 0 {
		t.Error("an altered event is shown as one that can be relied on")
	}
	if got := words(doc.Find("main")); strings.Contains(got, "the proof that it is in the tree") || strings.Contains(got, "with its proof") {
		t.Errorf("an altered event is offered with a proof: %s", got)
	}
	a.hashes = a.hashes[:2]
	_, doc = b.get(t, "/ledger/4", false)
	has(t, "an unread tree", doc, "The tree could not be read", "is not known")
}

// Verify names such an event, and leads to its page: it must answer, and so must all pages that list it.
func TestAnEventThatSomebodyMadeUnreadableIsShownAndTakenAway(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened}, verifiedEvent("intact", "1", "0"))
	a.run(t, "r", 1)
	last := int64(len(a.records))
	a.alter(2, `{"v":1`)
	a.alter(5, "\x00<b>\xff")
	w, doc := b.get(t, "/ledger/5", false)
	wantStatus(t, w, http.StatusOK)
	has(t, "altered", doc, "This event was altered.", "Altered: no longer an event", "Verify the whole ledger", audit.LeafHash(a.records[4].Body).String())
	if got := doc.Find("#event-json").Text(); !strings.Contains(got, `<b>\xff`) {
		t.Errorf("the bytes are shown as %q", got)
	}
	for _, path := range []string{
		"/ledger", "/ledger?view=all", "/ledger?run=r", "/ledger?open=r", "/ledger/runs/r", "/ledger/people/" + oid(0), "/ledger/people/" + me, "/ledger/verify", "/ledger/4", "/ledger/6",
	} {
		w, doc := b.get(t, path, false)
		if wantStatus(t, w, http.StatusOK); strings.Contains(doc.Text(), "1 Jan 0001") {
			t.Errorf("%s tells the time of an event that has none", path)
		}
	}
	_, doc = b.get(t, "/ledger?view=all", false)
	has(t, "the list", doc, "altered: no longer an event")
	_, doc = b.get(t, "/ledger/runs/r", false)
	has(t, "the run", doc, "NOT complete.", "Event 5 of this run was altered")
	if got := words(doc.Find("#people .rows > li")); !strings.Contains(got, oid(0)) && !strings.Contains(got, "person0@") || !strings.Contains(got, "Altered: no longer an event") {
		t.Errorf("the altered event is missing among those of its person: %s", got)
	}
	_, doc = b.get(t, "/ledger/verify", false)
	has(t, "verify", doc, "Not intact: the record of the last verification was altered.")
	for _, format := range []string{"jsonl", "csv", "ocsf"} {
		w, _ = b.post(t, "/ledger/export", url.Values{"format": {format}, "seq": {"5"}})
		wantStatus(t, w, http.StatusOK)
		if got := w.Body.String(); !strings.Contains(got, a.hashes[audit.LeafIndex(5)].String()) {
			t.Errorf("%s: the export does not hold the hash of what the event was: %s", format, got)
		}
	}
	w, _ = b.post(t, "/ledger/export", url.Values{"format": {"jsonl"}})
	wantStatus(t, w, http.StatusOK)

	b, a, _ = newArchive(t) // whoever can write the tree as well
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	a.alter(1, "{}")
	a.hashes[0] = audit.LeafHash([]byte("{}"))
	_, doc = b.get(t, "/ledger/1", false)
	has(t, "tree and all", doc, "This event was altered.", "no event, and the tree was altered with them")
	if last < 6 {
		t.Fatalf("only %d events", last)
	}
}

func TestAnEventThatRetentionRemovedIsToldFromOneThatNeverWas(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	a.removed = 7
	w, doc := b.get(t, "/ledger/5", false)
	wantStatus(t, w, http.StatusNotFound)
	has(t, "removed", doc, "Event 5 was removed by retention")
	w, doc = b.get(t, "/ledger/8", false)
	wantStatus(t, w, http.StatusNotFound)
	if strings.Contains(doc.Text(), "retention") {
		t.Error("an event that never was is said to be removed")
	}
}

func TestTheTrailIsExplainedWithTheKeyAndWhatWasRemoved(t *testing.T) {
	t.Parallel()
	b, a, c := newArchive(t)
	_, doc := b.get(t, "/ledger/about", false)
	has(t, "about", doc, "Before the call", "evict audit verify", "nothing has been removed by retention", "rollback accepted", "before an export", c.standing.Public)
	a.removed = 1200
	_, doc = b.get(t, "/ledger/about", false)
	has(t, "about", doc, "events up to number 1,200 have been removed")
	a.gone = true
	w, _ := b.get(t, "/ledger/about", false)
	wantStatus(t, w, http.StatusServiceUnavailable)
}

func TestWithoutADatabaseTheStoriesSaySo(t *testing.T) {
	t.Parallel()
	b, a, _ := newArchive(t)
	a.tell(t, audit.Event{Kind: audit.LedgerOpened})
	a.run(t, "r", 1)
	a.gone = true
	for _, path := range []string{"/ledger", "/ledger/runs/r", "/ledger/people/" + me} {
		w, doc := b.get(t, path, false)
		wantStatus(t, w, http.StatusServiceUnavailable)
		has(t, path, doc, "The ledger could not be read")
	}
}

func TestAClosingEventsCountsAreReadWithCare(t *testing.T) {
	t.Parallel()
	for never, want := range map[string]int{"": 0, "341-1200": 860, "5-5": 1, "9-3": 0, "0-4": 0, "x": 0, "-4": 0} {
		if got := neverAttempted(map[string]string{"never_attempted": never}); got != want {
			t.Errorf("%q: %d, want %d", never, got, want)
		}
	}
	said, total := tallyOf(map[string]string{string(revoke.NotCovered): "2", "confirmed": "1200", "refused": "x", "failed": "-3", "events": "9"})
	if said != "1,200 confirmed, 2 not covered" || total != 1202 {
		t.Errorf("%q, %d", said, total)
	}
}
