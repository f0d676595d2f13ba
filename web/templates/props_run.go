package templates

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
	Reason  string
	Ticket  string

	Counts []Count
	Total  int    // targets; a meter shows when above 1
	Bound  string // which limit binds, one sentence; may be empty

	Notes    []Note
	Actions  []RunAction
	Targets  []RunTarget
	MoreHref string // further targets of a bulk run
	MoreText string
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

// Count is one number of the strip. N is the number behind Value, for the meter.
type Count struct {
	Value, Label string
	Tone         Tone
	N            int
}

// RunAction is one button; it posts to Action.
type RunAction struct {
	Label, Action string
	Primary       bool
	Busy          string // what the button says once pressed
	Hidden        []Hidden
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
