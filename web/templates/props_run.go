package templates

import (
	"fmt"
	"strings"
)

// RunPage is the page of one run. RunLive alone is its fragment: the part that changes, asked for again each second
// while Live.Active.
type RunPage struct {
	Page Page
	Live RunLive
}

// RunLive is everything about a run that may change while one looks at it.
type RunLive struct {
	Nonce  string // Page.CSPNonce of this answer
	Href   string // address of this run, also of the fragment (asked with HX-Request)
	Active bool   // poll again; false once final or paused

	ID          string
	Title       string // "Revoking sessions of Ada Moreno", "Revoking 412 people"
	State       RunState
	StateDetail string // "needs sign-in"
	Crumb       string // "INC-20418 · started 14:06:40 UTC by lead@tenant.example"
	// Status is one sentence on where it stands; a screen reader hears it whenever it changes.
	Status string
	// Outcome is the outcome of a single-target run; it stands before Status and colours it. Empty for a bulk run.
	Outcome Outcome
	// Tone colours Status where neither Outcome nor State says enough.
	Tone   Tone
	Reason string
	Ticket string

	Counts []Count
	Total  int    // targets; a meter shows when above 1
	Bound  string // which limit binds, one sentence; may be empty
	Many   *Many  // what a run of many shows besides; nil for a run of one target

	Notes    []Note
	Actions  []RunAction
	Targets  []RunTarget // of a run of one
	Timeline []TimelineEntry
	Clock    Clock
	// NothingCut hides the clock: nothing was revoked, so nothing stops.
	NothingCut bool
	Evidence   []Fact // plan digest, ledger, report

	TicketText string // to paste into the ticket
	CallerText string // to read to the caller
	LedgerHref string
	AgainHref  string // revoke again: the user card
}

// Count is one number of a strip or a filter. N is the number behind Value, for the meter.
type Count struct {
	Value, Label string
	Tone         Tone
	N            int
	Href         string // the list of those who are counted; may be empty
	Current      bool   // that list is shown
}

// RunAction is one button; it posts to Action.
type RunAction struct {
	Label, Action string
	Primary       bool
	Busy          string // what the button says once pressed
	Hidden        []Hidden
	// Confirm says what it does before it is done: the button then stands behind a first one. Yes is its label there.
	Confirm, Yes string
}

// Many is what a run of many shows besides: how it comes on, and who stands where.
type Many struct {
	Chart      *Chart
	Outcomes   OutcomeList
	Retry      *RetryForm
	Latecomers *RunAction // who joined the scope since
	ReportHref string
	PlanHref   string
}

// Chart draws how far a run has come. X and the two heights go from 0 to 1.
type Chart struct {
	Points     []ChartPoint
	Top        string // the highest number of the scale
	From, To   string // times at the ends
	InWords    string // the same as one sentence
	Rows       []ChartRow
	RowsHidden string // how many samples stand behind the rows
}

// ChartPoint is one sample.
type ChartPoint struct{ X, Done, Confirmed float64 }

// ChartRow is a sample in words.
type ChartRow struct{ Time, Done, Confirmed string }

// OutcomeList is one page of a run's people.
type OutcomeList struct {
	Title   string
	Facets  []Facet
	Filter  TextFilter
	WaysOut []WayOut
	Rows    []RunTarget
	Shown   string
	First   string
	Next    string
	Empty   string
}

// WayOut is what to do about one outcome.
type WayOut struct {
	Outcome Outcome
	Text    string
}

// RetryForm makes a plan of those who were not cut off.
type RetryForm struct {
	Action   string
	Outcomes []Option // Value is the outcome, Label its words with the count
	Error    string
}

// RunTarget is one person of a run and what became of it.
type RunTarget struct {
	Person    Person
	Outcome   Outcome
	Flags     []Tag
	Cause     string // why refused, failed, unconfirmed, skipped
	WayOut    string
	Link      Link // the way out in one click
	RequestID string
	ErrorCode string
	Attempt   string // "attempt 2"; may be empty
	ID        string // of the row in a run of many
	Evidence  []Fact // stamps and request ids, in a run of many
	Ledger    Link   // the person's events in this run
}

// TimelineEntry is one thing that happened.
type TimelineEntry struct {
	Time  Time
	Title string
	Text  string
	Tone  Tone
	Facts []Fact // stamps before and after, Graph request id
	Event Link   // the ledger event
}

// tone is the colour of the status line.
func (r RunLive) tone() Tone {
	if r.Tone != ToneNone {
		return r.Tone
	}
	if r.Outcome != "" {
		return outcomeTag(r.Outcome).Tone
	}
	return stateTag(r.State, "").Tone
}

type meterPart struct {
	tone        Tone
	from, width string
}

// meter lays the coloured counts out on a width of 100 units.
func (r RunLive) meter() []meterPart {
	if r.Total <= 1 {
		return nil
	}
	var parts []meterPart
	sum := 0
	for _, c := range r.Counts {
		n := min(c.N, r.Total-sum)
		if c.Tone == ToneNone || n <= 0 {
			continue
		}
		parts = append(parts, meterPart{c.Tone, hundredths(sum, r.Total), hundredths(n, r.Total)})
		sum += n
	}
	return parts
}

// pace is how often the page asks for itself: a run of many reads more.
func (r RunLive) pace() string {
	if r.Many != nil {
		return "every 2s"
	}
	return "every 1s"
}

func (r RunLive) asideLabel() string {
	if r.Many != nil {
		return "What next, and evidence"
	}
	return "To pass on"
}

// line is the points of one of the two lines, on a field of 1000 by 200 with its origin at the top left.
func (c Chart) line(confirmed bool) string {
	var b strings.Builder
	for _, p := range c.Points {
		y := p.Done
		if confirmed {
			y = p.Confirmed
		}
		fmt.Fprintf(&b, "%d,%d ", int(p.X*1000+0.5), int(200-y*200+0.5))
	}
	return strings.TrimSpace(b.String())
}

// dashed makes words usable in an id.
func dashed(words string) string { return strings.ReplaceAll(words, " ", "-") }
