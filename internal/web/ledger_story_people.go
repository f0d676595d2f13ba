package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"evict/internal/audit"
	"evict/internal/revoke"
	"evict/web/templates"
)

// storyEvents is how many events of one person stand in a run's story. Who has more was tried very often.
const storyEvents = 40

// readPeople finds the people of a page by the first event of the run that is about each.
func (s *Server) readPeople(r *http.Request, story *runRead) error {
	v, q := r.URL.Query(), audit.Query{Run: story.line.Run, Firsts: true, Limit: eventsPerPage}
	q.Before, _ = strconv.ParseInt(v.Get("before"), 10, 64)
	q.After, _ = strconv.ParseInt(v.Get("after"), 10, 64)
	if q.Before <= 0 && q.After <= 0 {
		q.After = story.line.First - 1 // from its beginning
	}
	found, err := s.Ledger.Search(r.Context(), q)
	if err != nil {
		return err
	}
	story.page = listPages{address: runStory(story.line.Run), query: q, found: found}
	firsts := make([]int64, len(found.Records))
	for i, rec := range found.Records {
		firsts[len(firsts)-1-i] = rec.Seq
	}
	parts, err := s.Trail.Parts(r.Context(), firsts, story.line.Newest.Seq, storyEvents)
	if err != nil {
		return err
	}
	for _, first := range firsts {
		story.parts = append(story.parts, parts[first])
		story.look(parts[first].Records...)
	}
	return nil
}

// storyPeople shows each person of the page with all that the run says of them.
func storyPeople(story runRead) []templates.StoryPerson {
	var out []templates.StoryPerson
	for _, part := range story.parts {
		who := &audit.Person{OID: part.OID}
		p := templates.StoryPerson{Outcome: partOutcome(part, story.closing), Cut: part.Cut}
		for _, rec := range part.Records {
			if t := rec.Event.Target; t != nil && strings.EqualFold(t.OID, part.OID) {
				who = t
			}
			p.Steps = append(p.Steps, storyStep(rec))
		}
		p.Person, p.All = inStory(who), ledgerAddress(nil, templates.FieldRun, story.line.Run, templates.FieldTarget, who.OID)
		out = append(out, p)
	}
	return out
}

// partOutcome is how it ended for somebody. Whoever waited for another attempt when the run ended, or was protected
// meanwhile, ended as the last attempt did, and no event says so: see givenUp in the package revoke.
func partOutcome(part audit.Part, closing *audit.Record) templates.Outcome {
	var out, waiting templates.Outcome
	accepted := false
	for _, rec := range part.Records {
		e := rec.Event
		if o := rowOutcome(e); o != "" {
			out = o
		}
		switch {
		case e.Kind == audit.SignedOut: // no answer to an attempt
		case e.Outcome != string(revoke.Pending):
			waiting, accepted = "", accepted || e.Kind == audit.TargetAccepted
		case e.Kind == audit.TargetRefused:
			waiting = templates.OutcomeRefused
		default:
			waiting = templates.OutcomeCancelled
		}
	}
	switch {
	case out != "" || closing == nil || waiting == "":
		return out
	case accepted:
		return templates.OutcomeUnconfirmed
	default:
		return waiting
	}
}

// storyStep is an event of one target in a few words.
func storyStep(rec audit.Record) templates.StoryStep {
	step := templates.StoryStep{Words: eventTitle(rec.Event), Href: eventHref(rec.Seq), Time: "event " + strconv.FormatInt(rec.Seq, 10)}
	if at, err := audit.ParseTime(rec.Event.Time); err == nil {
		step.Time = at.UTC().Format(time.TimeOnly)
	}
	if ev := rec.Event.Evidence; ev != nil {
		step.Note = joinNonEmpty(" ", ev.Message, upperFirst(ev.Settled))
	}
	return step
}

// storyPaging leads to the people before and after those of the page. Whoever was asked for from the run's beginning on
// has nobody before them.
func storyPaging(story runRead) (earlier, later string) {
	l := story.page
	if l.query.Before > 0 || l.query.After >= story.line.First {
		earlier = l.older("before")
	}
	return peopleOf(earlier), peopleOf(l.newer("after"))
}

// peopleOf is an address of the story, at its people.
func peopleOf(href string) string {
	if href == "" {
		return ""
	}
	return href + "#people"
}

// storyShown says how many of the run's people the page has, when it has not all.
func storyShown(story runRead, total int) string {
	n := len(story.parts)
	if n == 0 || n >= total {
		return ""
	}
	return thousands(n) + " of " + people(total) + ", in the order in which the run came to them"
}
