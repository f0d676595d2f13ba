package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"golang.org/x/sync/errgroup"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/web/templates"
)

const (
	personEvents = 100 // what was done to a person: few events in each run
	stopsShown   = 10
)

// The parts of a person's story that the parameter show asks for alone, to page through them.
const (
	partDone = "done"
	partDid  = "did"
)

// personRead is what the ledger says of a person: what was done to them, and what they did, each a page.
type personRead struct {
	oid        string
	part       string
	done, did  listPages
	stops      []audit.Record
	everything bool // no part is left out, and none was given up
}

// showPersonStory is everything that the ledger holds of one person.
func (s *Server) showPersonStory(w http.ResponseWriter, r *http.Request) error {
	story, err := s.readPerson(r)
	if err != nil {
		return err
	}
	if story.everything && len(story.done.found.Records)+len(story.did.found.Records) == 0 {
		return fault.New(fault.NotFound, "The ledger knows nobody with this object id.")
	}
	page := templates.PersonStoryPage{Export: exportOf(r, url.Values{templates.FieldPerson: {story.oid}}), Names: namesSeen(story), Verified: s.verdict(r)}
	page.Person = templates.Person{ID: story.oid}
	if len(page.Names) > 0 {
		page.Person.Name, page.Person.UPN = page.Names[0].Name, page.Names[0].UPN
	}
	page.Page = s.frame(r, orElse(page.Person.Name, orElse(page.Person.UPN, "Person")))
	if at(r).who.Roles.MayOpen("user") {
		page.Links = []templates.Link{{Label: "User card", Href: "/users/" + story.oid}}
	}
	if story.part != partDid {
		page.Done = s.storyDone(r, story)
	}
	if story.part != partDone {
		page.Did = s.storyDid(r, story)
	}
	return render(w, r, http.StatusOK, templates.PersonStory(page))
}

// readPerson reads both parts side by side, or the one that is asked for.
func (s *Server) readPerson(r *http.Request) (personRead, error) {
	v := r.URL.Query()
	story := personRead{oid: strings.ToLower(chi.URLParam(r, "id")), part: v.Get(templates.FieldShow)}
	if !directory.IsID(story.oid) {
		return story, fault.New(fault.NotFound, "There is no such person.")
	}
	if story.part != partDone && story.part != partDid {
		story.part = ""
	}
	g, ctx := errgroup.WithContext(r.Context())
	read := func(l *listPages, part string, q audit.Query) {
		l.address, l.query = "/ledger/people/"+story.oid, q
		l.values = url.Values{templates.FieldShow: {part}}
		if story.part == part {
			l.query.Before, _ = strconv.ParseInt(v.Get("before"), 10, 64)
			l.query.After, _ = strconv.ParseInt(v.Get("after"), 10, 64)
		}
		g.Go(func() (err error) {
			l.found, err = s.Ledger.Search(ctx, l.query)
			return err
		})
	}
	if story.part != partDid {
		read(&story.done, partDone, audit.Query{Target: story.oid, Limit: personEvents})
	}
	if story.part != partDone {
		read(&story.did, partDid, audit.Query{Operator: story.oid, Folded: true, Limit: eventsPerPage})
		g.Go(func() error { // inside runs, so that the folded list does not have them
			found, err := s.Ledger.Search(ctx, audit.Query{Operator: story.oid, Kind: audit.RunStopping, Limit: stopsShown})
			story.stops = found.Records
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return story, unreadLedger(err)
	}
	story.everything = story.part == "" && story.done.found.SearchedTo+story.did.found.SearchedTo == 0 && len(story.stops) == 0
	return story, nil
}

// storyDone folds what was done to a person by run.
func (s *Server) storyDone(r *http.Request, story personRead) *templates.StoryDone {
	l := story.done
	out := &templates.StoryDone{Older: l.older("before"), Newer: l.newer("after")}
	out.Searched, out.Further = s.searched(r.Context(), l)
	place := map[string]int{}
	for _, rec := range l.found.Records { // newest first, and so are the folds
		e := rec.Event
		i, ok := place[e.Run]
		if !ok || e.Run == "" {
			i = len(out.Folds)
			place[e.Run] = i
			out.Folds = append(out.Folds, s.newStoryFold(e))
		}
		f := &out.Folds[i]
		f.Steps = append([]templates.StoryStep{storyStep(rec)}, f.Steps...)
		if o := rowOutcome(e); o != "" && f.Outcome == "" {
			f.Outcome = o
		}
	}
	return out
}

func (s *Server) newStoryFold(e audit.Event) templates.StoryFold {
	f := templates.StoryFold{
		Title: upperFirst(eventWords(e)), Time: s.eventTime(e), Operator: inStory(e.Operator), Reason: e.Reason, Ticket: e.Ticket,
	}
	if e.Run != "" {
		f.Title, f.Story = "Revocation", runStory(e.Run)
	}
	return f
}

// storyDid lists what a person did, each run of theirs as one line.
func (s *Server) storyDid(r *http.Request, story personRead) *templates.StoryDid {
	l := story.did
	out := &templates.StoryDid{
		Rows: s.foldedRows(r, l.found.Records, nil, ""), Stops: s.ledgerRows(story.stops, true), Older: l.older("before"), Newer: l.newer("after"),
	}
	out.Searched, out.Further = s.searched(r.Context(), l)
	if len(story.stops) == stopsShown {
		out.AllStops = ledgerAddress(nil, templates.FieldOperator, story.oid, templates.FieldKind, string(audit.RunStopping))
	}
	return out
}

// namesSeen are the names that the events of a page give a person, newest first.
func namesSeen(story personRead) []templates.NameSeen {
	var out []templates.NameSeen
	seen := map[[2]string]bool{}
	note := func(seq int64, p *audit.Person) {
		if p == nil || !strings.EqualFold(p.OID, story.oid) || p.Name+p.UPN == "" || seen[[2]string{p.Name, p.UPN}] {
			return
		}
		seen[[2]string{p.Name, p.UPN}] = true
		event := templates.Link{Label: "event " + strconv.FormatInt(seq, 10), Href: eventHref(seq)}
		out = append(out, templates.NameSeen{Name: p.Name, UPN: p.UPN, Event: event})
	}
	for _, rec := range newestFirst(story.done.found.Records, story.did.found.Records, story.stops) {
		note(rec.Seq, rec.Event.Target)
		note(rec.Seq, rec.Event.Operator)
	}
	return out
}

func newestFirst(lists ...[]audit.Record) []audit.Record {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b audit.Record) int { return cmp.Compare(b.Seq, a.Seq) })
	return all
}
