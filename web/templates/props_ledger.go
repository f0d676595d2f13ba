package templates

import "strconv"

// LedgerPage is the ledger, newest first.
type LedgerPage struct {
	Page        Page
	Filter      LedgerFilter
	Rows        []LedgerRow
	Older       string
	Newer       string
	Unread      string
	Head        string // "Tree of 18,774 events, checkpoint signed 14:05 UTC"; may be empty
	OutsideHref string // record an action done outside; empty hides the link
}

// LedgerFilter is the filter form; it is sent as GET.
type LedgerFilter struct {
	Action             string
	Operator           string
	Target             string
	Kind               string
	Kinds              []Option
	From, To           string // as the input sent them: 2006-01-02T15:04
	FromError, ToError string
	Active             bool // any filter is set: offers to clear it
}

// LedgerRow is one event in short.
type LedgerRow struct {
	Seq      string
	Href     string
	Time     Time
	Kind     string
	Operator Person
	Target   Person
	Outcome  Outcome
	Reason   string
	Ticket   string
}

// EventPage is one event in full.
type EventPage struct {
	Page                Page
	Seq                 string
	Kind                string
	Time                Time
	Outcome             Outcome
	Fields              []Fact
	JSON                string // the exact stored bytes
	LeafHash            string
	Prev, Next          string
	RunHref, TargetHref string
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
