package web

import (
	"fmt"
	"slices"
	"time"

	"evict/internal/audit"
	"evict/web/templates"
)

const problemsShown = 50 // the report and the command name more

// verifyFacts is what the changing part of the page is built from.
type verifyFacts struct {
	standing audit.Standing
	run      audit.Verification // of this process
	last     *verified          // the newest one of any process; nil when nobody ever verified
	head     audit.Head
	now      time.Time
}

// newVerifyLive builds it.
func newVerifyLive(f verifyFacts) templates.VerifyLive {
	live := templates.VerifyLive{Running: f.run.Running, Notes: standingNotes(f), Result: verifyResult(f.run, f.now)}
	live.Status, live.Tone = verifyStatus(f)
	if f.run.Running {
		live.Done, live.Of = min(f.run.Done, f.run.Of), f.run.Of
		live.Counted = "Counting the events."
		if f.run.Of > 0 {
			live.Counted = thousands(int(live.Done)) + " of " + eventCount(f.run.Of)
		}
	}
	live.Facts = append(lastVerified(f), fact("Ledger now", eventCount(f.head.Size)))
	if f.head.Removed > 0 {
		live.Facts = append(live.Facts, fact("Removed by retention", "up to event "+thousands(int(f.head.Removed))+": their hashes are kept"))
	}
	signed := fact("Signed", "not yet")
	if f.standing.Signed.Size > 0 {
		signed = fact("Signed", "up to event "+thousands(int(f.standing.Signed.Size)))
		signed.Value.Detail = joinNonEmpty(", ", showTime(f.standing.SignedAt, f.now).UTC, unsignedWords(f.head.Size-f.standing.Signed.Size))
	}
	live.Facts = append(live.Facts, signed)
	return live
}

func fact(label, text string) templates.Fact {
	return templates.Fact{Label: label, Value: templates.Value{Text: text}}
}

func unsignedWords(n int64) string {
	if n <= 0 {
		return ""
	}
	return eventCount(n) + " since"
}

// standingNotes are the alarms: what the watch over new events found, and what could not be kept.
func standingNotes(f verifyFacts) []templates.Note {
	var notes []templates.Note
	for i, p := range f.standing.Problems {
		if i == problemsShown {
			notes = append(notes, templates.Note{Tone: templates.ToneNo, Title: "Alarm", Text: "And " + thousands(len(f.standing.Problems)-i) + " more."})
			break
		}
		notes = append(notes, templates.Note{Tone: templates.ToneNo, Title: "Alarm: " + string(p.Fault), Text: p.Text})
	}
	if len(notes) > 0 {
		notes = append(notes, templates.Note{
			Tone: templates.ToneNo, Title: "Nothing more is signed",
			Text: "Change nothing in the database. Verify now, export the ledger, and compare it with checkpoints that are kept elsewhere.",
		})
	}
	if f.standing.Unkept != "" {
		notes = append(notes, templates.Note{
			Title: "The newest checkpoint was not written outside the database",
			Text:  f.standing.Unkept + " Until it is, a rollback of the database may go unnoticed: download the checkpoints.",
		})
	}
	if f.run.Err != "" && !f.run.Running {
		notes = append(notes, templates.Note{Title: "The last verification could not be finished", Text: f.run.Err})
	}
	if f.run.Unrecorded {
		notes = append(notes, templates.Note{Title: "Not recorded", Text: "The ledger could not be written, so this result stands on this page only, until the console is restarted."})
	}
	return notes
}

func verifyStatus(f verifyFacts) (string, templates.Tone) {
	if f.run.Running {
		return "Verifying, for " + orElse(personWords(f.run.By), theConsole) + ".", templates.ToneOn
	}
	switch v := f.last; {
	case v == nil:
		return "Nobody has verified this ledger yet.", templates.ToneNone
	case v.altered:
		return "Not intact: the record of the last verification was altered.", templates.ToneNo
	case v.problems > 0:
		return joinNonEmpty(" ", fmt.Sprintf("Not intact: %s in %s.", counted(v.problems, "problem"), eventCount(v.size)), rolledBack(v.rollbacks)), templates.ToneNo
	case len(v.rollbacks) > 0:
		return "Intact as it stands: " + eventCount(v.size) + ". " + rolledBack(v.rollbacks), templates.ToneWarn
	default:
		return "Intact: " + eventCount(v.size) + ", all that there were then.", templates.ToneOK
	}
}

func lastVerified(f verifyFacts) []templates.Fact {
	v := f.last
	if v == nil {
		return nil
	}
	when := fact("Last verified", "")
	when.Value.Time, when.Value.Detail = showTime(v.at, f.now), joinNonEmpty(", ", "by "+orElse(personWords(v.by), theConsole), unsignedWords(f.head.Size-v.size))
	facts := []templates.Fact{when}
	eventFact := func(label string, seq int64) {
		record := fact(label, "event "+thousands(int(seq)))
		record.Value.Href = eventHref(seq)
		facts = append(facts, record)
	}
	if v.seq > 0 {
		eventFact("Its record", v.seq)
	}
	for _, seq := range v.rollbacks {
		eventFact("Rollback accepted", seq)
	}
	return facts
}

// theConsole verifies by itself, once a day.
const theConsole = "the console itself"

func personWords(p audit.Person) string { return orElse(p.UPN, orElse(p.Name, p.OID)) }

// verifyResult is what the last verification of this process found; nil when there is none, or it was not finished.
func verifyResult(run audit.Verification, now time.Time) *templates.VerifyResult {
	if run.Running || run.Ended.IsZero() || run.Err != "" {
		return nil
	}
	rep := run.Report
	r := &templates.VerifyResult{Title: "Result of " + showTime(run.Ended, now).UTC + ": intact"}
	if len(rep.Rollbacks) > 0 {
		r.Title += " as it stands, after a rollback"
	}
	r.Covers = append(r.Covers, rep.Covers...)
	n := len(rep.Problems) + rep.More
	if n > 0 {
		r.Title = "Result of " + showTime(run.Ended, now).UTC + ": " + counted(n, "problem")
	}
	for _, p := range rep.Problems[:min(len(rep.Problems), problemsShown)] {
		r.Problems = append(r.Problems, templates.VerifyProblem{Fault: string(p.Fault), Text: p.Text, Link: problemLink(p)})
	}
	if rest := n - len(r.Problems); rest > 0 {
		r.More = "And " + counted(rest, "problem") + " more."
	}
	r.Facts = []templates.Fact{
		fact("Read", eventCount(rep.Events)), fact("Checkpoints verified", thousands(rep.Checkpoints)),
		fact("Took", took(run.Ended.Sub(run.Begun))),
		{Label: "Root", Value: templates.Value{Text: rep.Root.String(), Mono: true, Copy: true}},
	}
	if rep.Removed > 0 {
		r.Facts = append(r.Facts, fact("Removed", eventCount(rep.Removed)+", of which the hash is left"))
	}
	return r
}

func took(d time.Duration) string {
	if d < time.Second {
		return "under a second"
	}
	return wait(d)
}

// problemLink leads to the event, where there is one to look at.
func problemLink(p audit.Problem) templates.Link {
	if p.From < 1 || !slices.Contains([]audit.Fault{audit.Altered, audit.Misplaced, audit.IndexDiffers}, p.Fault) {
		return templates.Link{}
	}
	return templates.Link{Label: "Look at it", Href: eventHref(p.From)}
}

// eventCount says how many events: "18,774 events".
func eventCount(n int64) string { return counted(int(n), "event") }
