package web

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"evict/internal/audit"
	"evict/web/templates"
)

const problemsShown = 50 // the report and the command name more

// verifyFacts is what the changing part of the page is built from.
type verifyFacts struct {
	standing audit.Standing
	run      audit.Verification // of this process
	last     *audit.Record      // the newest ledger.verified of any process; nil when nobody ever verified
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

// verified is one finished verification, whichever process made it.
type verified struct {
	at       time.Time
	by       audit.Person
	size     int64
	problems int
	seq      int64 // of its event; 0 when it is not known
}

// newestVerified is the last verification that was finished; ok is false when there was none.
func newestVerified(f verifyFacts) (v verified, ok bool) {
	if f.last != nil {
		e := f.last.Event
		v.at, _ = audit.ParseTime(e.Time) // written by us
		v.size, _ = strconv.ParseInt(e.Detail["size"], 10, 64)
		if v.problems, _ = strconv.Atoi(e.Detail["problems"]); e.Outcome != intact {
			v.problems = max(v.problems, 1)
		}
		if e.Operator != nil {
			v.by = *e.Operator
		}
		v.seq, ok = f.last.Seq, true
	}
	// What this process found is the newer one when its event could not be written.
	if run := f.run; !run.Running && run.Err == "" && run.Ended.After(v.at) && (run.Unrecorded || !ok) {
		return verified{at: run.Ended, by: run.By, size: run.Report.Size, problems: len(run.Report.Problems) + run.Report.More}, true
	}
	return v, ok
}

// intact is the outcome of a verification that found nothing wrong.
const intact = "intact"

func verifyStatus(f verifyFacts) (string, templates.Tone) {
	if f.run.Running {
		return "Verifying, for " + orElse(personWords(f.run.By), "somebody") + ".", templates.ToneOn
	}
	v, ok := newestVerified(f)
	switch {
	case !ok:
		return "Nobody has verified this ledger yet.", templates.ToneNone
	case f.last != nil && f.last.Event.Kind == noEvent && v.seq == f.last.Seq:
		return "Not intact: the record of the last verification was altered.", templates.ToneNo
	case v.problems > 0:
		return fmt.Sprintf("Not intact: %s in %s.", counted(v.problems, "problem"), eventCount(v.size)), templates.ToneNo
	default:
		return "Intact: " + eventCount(v.size) + ", all that there were then.", templates.ToneOK
	}
}

func lastVerified(f verifyFacts) []templates.Fact {
	v, ok := newestVerified(f)
	if !ok {
		return nil
	}
	when := fact("Last verified", "")
	when.Value.Time, when.Value.Detail = showTime(v.at, f.now), joinNonEmpty(", ", "by "+orElse(personWords(v.by), "somebody"), unsignedWords(f.head.Size-v.size))
	if v.seq == 0 {
		return []templates.Fact{when}
	}
	record := fact("Its record", "event "+thousands(int(v.seq)))
	record.Value.Href = eventHref(v.seq)
	return []templates.Fact{when, record}
}

func personWords(p audit.Person) string { return orElse(p.UPN, orElse(p.Name, p.OID)) }

// verifyResult is what the last verification of this process found; nil when there is none, or it was not finished.
func verifyResult(run audit.Verification, now time.Time) *templates.VerifyResult {
	if run.Running || run.Ended.IsZero() || run.Err != "" {
		return nil
	}
	rep := run.Report
	r := &templates.VerifyResult{Title: "Result of " + showTime(run.Ended, now).UTC + ": intact", Covers: rep.Covers}
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
		fact("Took", orElse(wait(run.Ended.Sub(run.Begun)), "no time")),
		{Label: "Root", Value: templates.Value{Text: rep.Root.String(), Mono: true, Copy: true}},
	}
	if rep.Removed > 0 {
		r.Facts = append(r.Facts, fact("Removed", eventCount(rep.Removed)+", of which the hash is left"))
	}
	return r
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
