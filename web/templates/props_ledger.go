package templates

import "strconv"

// Names of the fields of the ledger's filter, beside FieldText, FieldOperator, FieldTarget, FieldKind, FieldOutcome,
// FieldTicket, FieldFrom and FieldTo. A form that exports sends the same, and FieldFormat.
const (
	FieldPerson = "person" // object id of whoever is the operator or the target
	FieldRun    = "run"    // run id
	FieldView   = "view"   // ViewAll; anything else folds where it can
	FieldOpen   = "open"   // run id: that run's first events stand in the list
)

// ViewAll is the value of FieldView that lists every event by itself.
const ViewAll = "all"

// ExportFormats are the values of FieldFormat, the evidence first.
func ExportFormats() []Option {
	return []Option{{"jsonl", "JSON Lines: the evidence"}, {"csv", "CSV: to read"}, {"ocsf", "OCSF: for a SIEM"}}
}

// LedgerPage is the ledger, newest first.
type LedgerPage struct {
	Page        Page
	Standing    LedgerStanding
	Actions     []Link // verify, compare, explain
	OutsideHref string // record an action done outside; empty hides the link
	Filter      LedgerFilter
	Days        *DayChart
	Title       string // of the list
	Found       string // "27 events match."; empty when they were not counted
	Views       []Count
	ViewNote    string // what a folded list leaves out
	Rows        []LedgerRow
	Searched    string // how far the search came, when it gave up before the end
	Further     Link   // the same search from there
	Older       string
	Newer       string
	Export      *ExportForm
	Unread      string
}

// LedgerStanding is where the ledger stands, and what is wrong with it.
type LedgerStanding struct {
	Text       string   // "18,774 events · signed up to 18,700 at 14:05 UTC"
	Problems   []string // sentences
	More       string   // "And 12 more."
	Unkept     string   // why the newest checkpoint is not kept outside the database
	VerifyHref string
	Verified   Note // what is wrong with the last verification
}

// LedgerFilter is the filter form; it is sent as GET.
type LedgerFilter struct {
	Action             string
	Hidden             []Hidden // what the form has no field for
	Person             Person   // among that: whose events alone are meant
	Everybody          string   // the same search without
	Text               string
	Operator           string
	Target             string
	Kind               string
	Kinds              []Option
	Outcome            string
	Outcomes           []Option
	Ticket             string
	Run                string
	From, To           string // as the input sent them: 2006-01-02T15:04
	FromError, ToError string
	KindError          string
	Active             bool // any filter is set: offers to clear it
}

// wrong reports whether a field makes no sense, so that nothing was searched.
func (f LedgerFilter) wrong() bool { return f.FromError+f.ToError+f.KindError != "" }

// narrow reports whether a filter is set that stands behind the fold of the form.
func (f LedgerFilter) narrow() bool { return f.Kind+f.Outcome+f.Ticket+f.Run != "" }

// DayChart is a histogram. Its bars come newest first.
type DayChart struct {
	Title    string // "Events by day"
	Bars     []DayBar
	Top      string // the highest number
	From, To string // the ends
	Note     string // how far back it was counted, when not to the end
}

// DayBar is one bar: a day, or a longer time. Height goes from 0 to 100; Href narrows the list to it.
type DayBar struct {
	Label  string // "12 Mar 2026: 1,204 events"
	Short  string // "12"
	Height int
	Href   string
}

// LedgerRow is one event in short, or a run folded into one line.
type LedgerRow struct {
	Seq      string
	Href     string
	Time     Time
	What     string
	Operator Person
	Target   Person
	Outcome  Outcome
	Reason   string
	Ticket   string
	Story    Link // of the run that the event is part of
	Fold     *LedgerFold
}

// bad reports whether a part of a tally is one that somebody has to look at.
func bad(t Tag) bool { return t.Tone == ToneWarn || t.Tone == ToneNo }

// LedgerFold is a run in one line.
type LedgerFold struct {
	ID     string // of the row
	Title  string // "Run of 2,006 people"
	State  Tag
	Tally  []Tag  // "1,998 confirmed", "8 refused"
	Events string // "6,012 events"
	Toggle Link   // opens or closes it
	Story  string
	Open   bool
	Rows   []LedgerRow // its first events, when it is open
	More   string      // how many others there are
}

// ExportForm takes away what a page shows.
type ExportForm struct {
	Action string
	Hidden []Hidden
	Label  string
	Format string // the only format; empty offers a choice
}

// EventPage is one event in full.
type EventPage struct {
	Page       Page
	Seq        string
	Kind       string
	Time       Time
	Outcome    Outcome
	Fields     []Fact
	JSON       string // the exact stored bytes
	LeafHash   string
	Altered    Note // how it is known that somebody altered the bytes; no text: they were not, as far as is known
	Tree       Note // whether the tree holds these bytes
	Covered    Note // whether a signed checkpoint covers it
	Export     *ExportForm
	Prev, Next string
	Stories    []Link
}

// OutsidePage is the form that records a revocation done outside Evict.
type OutsidePage struct {
	Page                                                    Page
	Action                                                  string
	Hidden                                                  []Hidden
	Who, When, How, Reason, Ticket                          string
	Hows                                                    []Option // empty: How is free text
	WhoError, WhenError, HowError, ReasonError, TicketError string
}

func (p OutsidePage) errors() []fieldError {
	return someErrors(fieldError{FieldWho, p.WhoError}, fieldError{FieldWhen, p.WhenError}, fieldError{FieldHow, p.HowError},
		fieldError{FieldReason, p.ReasonError}, fieldError{FieldTicket, p.TicketError})
}

// hundredths gives 100*n/of with two decimals.
func hundredths(n, of int) string {
	return strconv.FormatFloat(100*float64(n)/float64(of), 'f', 2, 64)
}
