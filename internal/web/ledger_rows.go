package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/web/templates"
)

const (
	openedEvents = 12 // how many events of a run stand in the list when it is opened there, below the one that started it
	readsAtOnce  = 8
)

// ledgerRows shows events one by one. withRuns adds to each the story of its run.
func (s *Server) ledgerRows(records []audit.Record, withRuns bool) []templates.LedgerRow {
	var out []templates.LedgerRow
	for _, rec := range records {
		row := s.ledgerRow(rec)
		if withRuns && rec.Event.Run != "" {
			row.Story = templates.Link{Label: "the run", Href: runStory(rec.Event.Run)}
		}
		out = append(out, row)
	}
	return out
}

func (s *Server) ledgerRow(rec audit.Record) templates.LedgerRow {
	e := rec.Event
	return templates.LedgerRow{
		Seq: strconv.FormatInt(rec.Seq, 10), Href: eventHref(rec.Seq), Time: s.eventTime(e), What: eventWords(e),
		Operator: inStory(e.Operator), Target: inStory(e.Target), Outcome: rowOutcome(e), Reason: e.Reason, Ticket: e.Ticket,
	}
}

func eventHref(seq int64) string { return "/ledger/" + strconv.FormatInt(seq, 10) }

func runStory(id string) string { return "/ledger/runs/" + url.PathEscape(id) }

func (s *Server) eventTime(e audit.Event) templates.Time {
	t, err := audit.ParseTime(e.Time)
	if err != nil {
		return templates.Time{}
	}
	return showTime(t, s.Now())
}

// inStory names a person of an event, and leads to their story.
func inStory(p *audit.Person) templates.Person {
	out := showPerson(p)
	if directory.IsID(out.ID) {
		out.Href = "/ledger/people/" + strings.ToLower(out.ID)
	}
	return out
}

func showPerson(p *audit.Person) templates.Person {
	if p == nil {
		return templates.Person{}
	}
	return templates.Person{Name: p.Name, UPN: p.UPN, ID: p.OID}
}

// foldedRows shows events, and of each run one line. The run that is asked for stands open.
func (s *Server) foldedRows(r *http.Request, records []audit.Record, v url.Values, open string) []templates.LedgerRow {
	briefs := s.briefs(r, records)
	rows := s.ledgerRows(records, false)
	for i, rec := range records {
		e := rec.Event
		if e.Kind != audit.RunStarted || e.Run == "" {
			continue
		}
		b := briefs[e.Run]
		rows[i].Fold = newFold(e.Run, b)
		if b.only != nil {
			rows[i].Target = inStory(b.only)
		}
		s.toggle(r, rows[i].Fold, v, b, rec.Seq, e.Run == open)
	}
	return rows
}

// newFold is a run in one line.
func newFold(run string, b runBrief) *templates.LedgerFold {
	f := &templates.LedgerFold{ID: "run-" + run, Title: b.title(), State: b.state(), Story: runStory(run)}
	if b.known {
		f.Tally, _ = tallyTags(b.closed().Detail)
		f.Events = counted(int(b.line.Events), "event")
	}
	return f
}

// toggle opens a line in place, or offers to. The line itself is the event that started the run.
func (s *Server) toggle(r *http.Request, f *templates.LedgerFold, v url.Values, b runBrief, started int64, open bool) {
	if v == nil || !b.known {
		return
	}
	place := ledgerFields(v)
	for _, key := range []string{"before", "after"} {
		if v.Get(key) != "" {
			place.Set(key, v.Get(key))
		}
	}
	if !open {
		place.Set(templates.FieldOpen, b.line.Run)
		f.Toggle = templates.Link{Label: "Open", Href: address("/ledger", place) + "#" + f.ID}
		return
	}
	f.Open, f.Toggle = true, templates.Link{Label: "Close", Href: address("/ledger", place) + "#" + f.ID}
	first, err := s.Ledger.Search(r.Context(), audit.Query{Run: b.line.Run, After: b.line.First - 1, Limit: openedEvents + 1})
	if err != nil {
		s.Logger.Warn("reading a run's first events", "run", b.line.Run, "request_id", at(r).requestID, "error", err)
		f.More = "Its events could not be read."
		return
	}
	slices.Reverse(first.Records) // a run is read from its beginning
	inside := slices.DeleteFunc(slices.Clone(first.Records), func(rec audit.Record) bool { return rec.Seq == started })
	f.Rows = s.ledgerRows(inside, false)
	if more := int(b.line.Events) - len(first.Records); more > 0 {
		f.More = "These are its first events; " + thousands(more) + oneOf(more, " follows.", " follow.")
	}
}

// runBrief is a run as a line of a list tells it.
type runBrief struct {
	known  bool // the ledger told of it
	line   audit.RunLine
	people int           // 0: not known
	only   *audit.Person // the target of a run of one, as far as it is found at its beginning
}

// briefs reads of the runs that begin among these events what their lines say. What cannot be read is left out.
func (s *Server) briefs(r *http.Request, records []audit.Record) map[string]runBrief {
	var runs []string
	started := map[string]int64{}
	for _, rec := range records {
		if rec.Event.Kind == audit.RunStarted && rec.Event.Run != "" {
			runs = append(runs, rec.Event.Run)
			started[rec.Event.Run] = rec.Seq
		}
	}
	if len(runs) == 0 {
		return nil
	}
	lines, err := s.Ledger.RunLines(r.Context(), runs)
	if err != nil {
		s.Logger.Warn("reading runs of the ledger", "request_id", at(r).requestID, "error", err)
		return nil
	}
	read := make([]runBrief, len(runs))
	var g errgroup.Group
	g.SetLimit(readsAtOnce)
	for i, id := range runs {
		if line, ok := lines[id]; ok {
			g.Go(func() error {
				read[i] = s.brief(r.Context(), line, started[id])
				return nil
			})
		}
	}
	_ = g.Wait() // nothing in it fails
	out := make(map[string]runBrief, len(runs))
	for i, id := range runs {
		out[id] = read[i]
	}
	return out
}

// brief finds out how many people a run is about: its end counts them, and before that its plan. Plan, start and the
// first attempt of a run of one are written together, so that its target stands right after the start.
func (s *Server) brief(ctx context.Context, line audit.RunLine, started int64) runBrief {
	b := runBrief{known: true, line: line}
	_, b.people = tallyOf(b.closed().Detail)
	if b.people == 0 {
		if plan, err := s.Ledger.Event(ctx, line.First); err == nil && plan.Event.Run == line.Run {
			b.people, _ = strconv.Atoi(plan.Event.Detail["targets"])
		}
	}
	if b.people == 1 {
		if next, err := s.Ledger.Event(ctx, started+1); err == nil && next.Event.Run == line.Run {
			b.only = next.Event.Target
		}
	}
	return b
}

// closed is the run's closing event; the zero event while there is none.
func (b runBrief) closed() audit.Event {
	if k := b.line.Newest.Event.Kind; k == audit.RunFinished || k == audit.RunCancelled {
		return b.line.Newest.Event
	}
	return audit.Event{}
}

func (b runBrief) title() string {
	if b.people == 0 {
		return "Run"
	}
	return "Run of " + people(b.people)
}

func (b runBrief) state() templates.Tag {
	if !b.known {
		return templates.Tag{}
	}
	e := b.line.Newest.Event
	switch e.Kind {
	case audit.RunFinished:
		return templates.Tag{Label: "finished"}
	case audit.RunCancelled:
		return templates.Tag{Label: "cancelled"}
	case audit.RunPaused:
		return templates.Tag{Label: withCause("paused", e.Detail["cause"]), Tone: templates.ToneWarn}
	default:
		return templates.Tag{Label: "going on", Tone: templates.ToneOn}
	}
}
