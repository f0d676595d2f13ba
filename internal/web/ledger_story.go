package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/sync/errgroup"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/revoke"
	"evict/web/templates"
)

// storyPage is up to how many events a run is read whole for its milestones.
const storyPage = 200

// showRunStory is everything that the ledger holds of one run, whether or not this database still has the run itself.
func (s *Server) showRunStory(w http.ResponseWriter, r *http.Request) error {
	id := chi.URLParam(r, "id")
	lines, err := s.Ledger.RunLines(r.Context(), []string{id})
	if err != nil {
		return unreadLedger(err)
	}
	line, ok := lines[id]
	if !ok {
		return fault.New(fault.NotFound, "The ledger knows no such run.")
	}
	story, err := s.readRunStory(r, line)
	if err != nil {
		return err
	}
	run, known := s.runBehind(r)
	story.ended = known && (run.State == revoke.RunFinished || run.State == revoke.RunCancelled)
	page := s.newRunStory(story)
	page.Page = s.frame(r, page.Title)
	page.Searched, page.Further = s.searched(r.Context(), story.page)
	page.Further.Href = peopleOf(page.Further.Href)
	if page.Verified = s.verdict(r); page.Verified.Text != "" && page.Whole.Tone == templates.ToneOK {
		page.Whole.Tone, page.Whole.Title = templates.ToneWarn, "As many as it counts." // of a ledger that is not known to be what it was
	}
	if known {
		page.Links = runLinks(id, at(r).who.Roles.MayOpen)
	}
	page.Export = exportOf(r, url.Values{templates.FieldRun: {id}})
	return render(w, r, http.StatusOK, templates.RunStory(page))
}

// runRead is what the ledger says of a run.
type runRead struct {
	line    audit.RunLine
	marks   []audit.Record // milestones, the oldest first
	partly  int64          // milestones before this event were not looked for
	closing *audit.Record
	counted int64 // events of the run up to its end, counted one by one; until it ends, as many as it has written
	later   bool  // events after its end name it
	ended   bool  // this database holds the run itself, which has ended
	removed int64 // events up to here may have been removed by retention
	altered int64 // an event of the run whose bytes are no event any more; 0: none was read
	page    listPages
	parts   []audit.Part // of the people on the page, in the order in which the run came to them
}

// readRunStory reads a run's milestones and a page of its people, each with all that the run says of them.
func (s *Server) readRunStory(r *http.Request, line audit.RunLine) (runRead, error) {
	story := runRead{line: line, counted: line.Events}
	if err := s.readPeople(r, &story); err != nil {
		return story, unreadLedger(err)
	}
	if err := s.readMilestones(r.Context(), &story); err != nil {
		return story, unreadLedger(err)
	}
	for i, m := range story.marks {
		if m.Event.Kind == audit.RunFinished || m.Event.Kind == audit.RunCancelled {
			story.closing = &story.marks[i]
		}
	}
	if err := s.countRun(r.Context(), &story); err != nil {
		return story, unreadLedger(err)
	}
	return story, nil
}

// look notes what is no event any more.
func (story *runRead) look(records ...audit.Record) {
	for _, rec := range records {
		if rec.Event.Kind == noEvent {
			story.altered = rec.Seq
		}
	}
}

// countRun counts what the ledger holds of a run that has ended. A run's own count, which its last event repeats, would
// agree with that event whatever is missing.
func (s *Server) countRun(ctx context.Context, story *runRead) error {
	head, err := s.Trail.Head(ctx)
	if err != nil {
		return err
	}
	story.removed = head.Removed
	if story.closing == nil {
		return nil
	}
	end := story.closing.Seq
	story.later = story.line.Newest.Seq > end
	lines, err := s.Trail.Closings(ctx, end-1, end, 1)
	if err != nil {
		return err
	}
	story.counted = 0
	for _, l := range lines {
		story.counted = l.Events
	}
	return nil
}

// milestonesOf are the events of a run that are not about one target.
func milestonesOf(events []audit.Record) (out []audit.Record) {
	for _, rec := range events {
		if slices.Contains(milestoneKinds(), rec.Event.Kind) {
			out = append(out, rec)
		}
	}
	return out
}

func milestoneKinds() []audit.Kind {
	return []audit.Kind{
		audit.PlanCreated, audit.RunStarted, audit.RunStopping, audit.RunPaused, audit.RunResumed, audit.RunCancelled, audit.RunFinished,
	}
}

// readMilestones reads a short run whole. The milestones of a long one it finds without that: its first two events, its
// last one, and by kind what came between.
func (s *Server) readMilestones(ctx context.Context, story *runRead) error {
	line := story.line
	story.look(line.Newest)
	if line.Events <= storyPage {
		whole, err := s.Ledger.Search(ctx, audit.Query{Run: line.Run, After: line.First - 1, Limit: storyPage})
		if err != nil {
			return err
		}
		if !whole.More && whole.SearchedTo == 0 {
			story.look(whole.Records...)
			slices.Reverse(whole.Records)
			story.marks = milestonesOf(whole.Records)
			return nil
		}
	}
	found := make([]audit.Found, len(milestoneKinds()))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for i, k := range milestoneKinds() {
		if k == audit.PlanCreated || k == audit.RunStarted {
			continue
		}
		g.Go(func() (err error) {
			found[i], err = s.Ledger.Search(gctx, audit.Query{Run: line.Run, Kind: k, Limit: storyPage})
			return err
		})
	}
	list := []audit.Record{line.Newest}
	for _, seq := range []int64{line.First, line.First + 1} {
		rec, err := s.Ledger.Event(ctx, seq)
		if err == nil && rec.Event.Run == line.Run {
			list = append(list, rec)
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, f := range found {
		list, story.partly = append(list, f.Records...), max(story.partly, f.SearchedTo)
	}
	story.look(list...)
	slices.SortFunc(list, func(a, b audit.Record) int { return cmp.Compare(a.Seq, b.Seq) })
	list = slices.CompactFunc(list, func(a, b audit.Record) bool { return a.Seq == b.Seq })
	story.marks = milestonesOf(list)
	return nil
}

// newRunStory shows what was read.
func (s *Server) newRunStory(story runRead) templates.RunStoryPage {
	first := story.line.Newest.Event
	if len(story.marks) > 0 {
		first = story.marks[0].Event
	}
	closing := audit.Event{}
	if story.closing != nil {
		closing = story.closing.Event
	}
	_, total := tallyOf(closing.Detail)
	if total == 0 {
		total, _ = strconv.Atoi(first.Detail["targets"])
	}
	brief := runBrief{known: true, line: story.line, people: total}
	if story.closing != nil {
		brief.line.Newest = *story.closing
	}
	page := templates.RunStoryPage{
		Title: brief.title(), State: brief.state(), Whole: wholeRun(story), Counts: storyCounts(story.line.Run, closing.Detail),
		Facts: s.runFacts(first, closing, story.line.Run), Shown: storyShown(story, total), People: storyPeople(story),
	}
	if n := neverAttempted(closing.Detail); n > 0 {
		page.Never = people(n) + oneOf(n, " was", " were") + " never called: no event names them."
	}
	for _, m := range story.marks {
		page.Milestones = append(page.Milestones, templates.TimelineEntry{
			Time: s.eventTime(m.Event), Title: upperFirst(eventWords(m.Event)), Tone: eventTone(m.Event.Kind), Text: milestoneText(m.Event, first),
			Event: templates.Link{Label: "event " + strconv.FormatInt(m.Seq, 10), Href: eventHref(m.Seq)},
		})
	}
	if story.partly > 0 {
		page.Partly = "Pauses and resumptions before event " + thousands(int(story.partly)) + " were not looked for: the run is long. They stand among its events."
	}
	page.Earlier, page.Later = storyPaging(story)
	return page
}

// milestoneText says who did it, when it was not who began the run.
func milestoneText(e, first audit.Event) string {
	if e.Operator == nil || first.Operator == nil || e.Operator.OID == first.Operator.OID {
		return ""
	}
	return "By " + orElse(e.Operator.UPN, e.Operator.OID) + "."
}

// wholeRun answers "is this all of it?": the closing event says how many events the run wrote, and which was the last.
func wholeRun(story runRead) templates.StoryWhole {
	verify := templates.Link{Label: "Verify the ledger", Href: "/ledger/verify"}
	switch {
	case story.removed >= story.line.First:
		return templates.StoryWhole{
			Tone: templates.ToneWarn, Title: "Not all of it.", Link: verify,
			Text: "Retention removed events up to number " + thousands(int(story.removed)) + ", those of this run among them. Their hashes are still in the tree.",
		}
	case story.altered > 0:
		return templates.StoryWhole{
			Tone: templates.ToneNo, Title: "NOT complete.", Link: verify,
			Text: "Event " + thousands(int(story.altered)) + " of this run was altered, so that what it said is not known.",
		}
	case story.closing == nil && story.ended:
		return templates.StoryWhole{
			Tone: templates.ToneNo, Title: "NOT complete.", Link: verify, Text: "The run has ended, and the event that says so is not in the ledger.",
		}
	case story.closing == nil:
		return templates.StoryWhole{
			Tone: templates.ToneOn, Title: "Not ended yet.",
			Text: "The ledger holds " + counted(int(story.counted), "event") + " of this run so far. Its last event will say how many there are.",
		}
	}
	said, err := strconv.ParseInt(story.closing.Event.Detail["events"], 10, 64)
	last := story.closing.Event.Detail["last_seq"]
	wrong := templates.StoryWhole{Tone: templates.ToneNo, Title: "NOT complete.", Link: verify}
	switch {
	case err != nil:
		wrong.Text = "The event that ends the run does not say how many events there are."
		return wrong
	case last != strconv.FormatInt(story.closing.Seq, 10):
		wrong.Text = "The event that ends the run says that it is event " + cut(last, 20) + ", and stands as event " + thousands(int(story.closing.Seq)) + "."
		return wrong
	case said != story.counted:
		wrong.Text = "The event that ends the run counts " + counted(int(said), "event") + "; the ledger holds " + thousands(int(story.counted)) + "."
		return wrong
	}
	whole := templates.StoryWhole{
		Tone: templates.ToneOK, Title: "This is all of it.",
		Text: "The event that ends the run counts " + counted(int(said), "event") + ", itself the last one, and the ledger holds as many.",
	}
	if story.later {
		whole.Text += " Events after it name the run as well."
	}
	return whole
}

// storyCounts are the counts of a closing event; each leads to the events that ended so.
func storyCounts(run string, detail map[string]string) (out []templates.Count) {
	for _, state := range tallied() {
		n, err := strconv.Atoi(detail[string(state)])
		if err != nil || n <= 0 {
			continue
		}
		out = append(out, templates.Count{
			Value: thousands(n), Label: string(state), Tone: outcomeTone(state), N: n,
			Href: ledgerAddress(nil, templates.FieldRun, run, templates.FieldOutcome, string(state)),
		})
	}
	if n := neverAttempted(detail); n > 0 {
		out = append(out, templates.Count{Value: thousands(n), Label: "never called", N: n})
	}
	return out
}

func outcomeTone(s revoke.State) templates.Tone {
	switch s {
	case revoke.Confirmed:
		return templates.ToneOK
	case revoke.Unconfirmed, revoke.NotCovered:
		return templates.ToneWarn
	case revoke.Refused, revoke.Failed:
		return templates.ToneNo
	default:
		return templates.ToneNone
	}
}

// runFacts are who, why and when.
func (s *Server) runFacts(first, closing audit.Event, run string) []templates.Fact {
	var out []templates.Fact
	add := func(label string, v templates.Value) {
		if v.Text != "" || v.Time.UTC != "" {
			out = append(out, templates.Fact{Label: label, Value: v})
		}
	}
	if by := inStory(first.Operator); first.Operator != nil {
		add("Operator", templates.Value{Text: orElse(by.UPN, by.ID), Href: by.Href, Detail: by.Name})
		add("Acted as", templates.Value{Text: joinNonEmpty(", ", first.Operator.Roles...)})
		add("From address", templates.Value{Text: first.Operator.Address})
	}
	add("Reason", templates.Value{Text: first.Reason})
	if first.Ticket != "" {
		add("Ticket", templates.Value{Text: first.Ticket, Href: ledgerAddress(nil, templates.FieldTicket, first.Ticket)})
	}
	add("Began", templates.Value{Time: s.eventTime(first)})
	if closing.Kind != "" {
		add("Ended", templates.Value{Time: s.eventTime(closing)})
		add("Took", templates.Value{Text: between(first, closing)})
	}
	add("Left out of the list", templates.Value{Text: first.Detail["left_out"]})
	add("Not seen", templates.Value{Text: first.Detail["incomplete"]})
	add("Plan digest", templates.Value{Text: first.Detail["digest"], Mono: true, Copy: true})
	add("Run", templates.Value{Text: run, Mono: true, Copy: true})
	return out
}

func between(first, last audit.Event) string {
	from, err := audit.ParseTime(first.Time)
	to, err2 := audit.ParseTime(last.Time)
	if err != nil || err2 != nil || to.Before(from) {
		return ""
	}
	if to.Sub(from) < time.Second {
		return "less than a second"
	}
	return duration(to.Sub(from))
}

// runBehind is the run itself, where this database has it and this person may see it.
func (s *Server) runBehind(r *http.Request) (run revoke.Run, known bool) {
	if s.Runs == nil {
		return run, false
	}
	run, err := s.visibleRun(r)
	return run, err == nil
}

func runLinks(id string, may func(route string) bool) (out []templates.Link) {
	if may("run") {
		out = append(out, templates.Link{Label: "Run page", Href: "/runs/" + id})
	}
	if may("run.report") {
		out = append(out, templates.Link{Label: "Report", Href: "/runs/" + id + "/report"})
	}
	return out
}
