package audit

import "time"

// Query selects events, newest first. Zero fields select everything; together they all must hold.
type Query struct {
	Operator string // object id, or part of a UPN or name
	Target   string // the same, for the target
	Person   string // object id of somebody who is the operator or the target
	Kind     Kind
	Outcome  string // exactly
	Run      string // run id
	Ticket   string // exactly
	Text     string // free text: words that are all in a UPN and name, or all in a ticket and reason; and ids (of an object, run, plan, event or request)
	Folded   bool   // of each run only its start: one line that opens
	Firsts   bool   // of what a run says about somebody only the first event: one line for each person
	From, To time.Time
	Before   int64 // keyset: only seq < Before; 0 = from the newest
	After    int64 // keyset, towards newer: only seq > After (a page is still newest first)
	Limit    int   // rows; the store caps it at 200
}

// Found is a page of what a query selects, newest first.
type Found struct {
	Records []Record
	More    bool // there are further events, older ones; with After (and no Before) newer ones
	// SearchedTo is not 0 when the search gave up before it had looked at everything: events with smaller numbers (with
	// After: with greater ones) were not looked at. The way on is the same query from there.
	SearchedTo int64
}

// Histogram counts what a query selects by UTC day, the newest day first. Days without events are not listed.
type Histogram struct {
	Days       []DayBar
	SearchedTo int64 // as in Found: smaller sequence numbers were not counted
}

// DayBar is one day of a histogram.
type DayBar struct {
	Day    string // 2006-01-02
	Events int64
}

// RunLine is a run as the ledger tells it, in short.
type RunLine struct {
	Run    string
	Events int64  // that name the run
	First  int64  // sequence numbers of the first and the last of them
	Newest Record // the last of them: the closing event when the run is over
}

// Part is what a run says about one of its people.
type Part struct {
	OID     string   // as the index has it: bytes that somebody altered may say nothing, or another one
	Records []Record // ascending
	Cut     bool     // there are older ones: these are the newest
}

// Standing is how the ledger stands, as the process that signs its checkpoints sees it.
type Standing struct {
	Signed   Checkpoint // the newest; Size 0 when there is none yet
	SignedAt time.Time
	Public   string    // the verifier key in use
	Problems []Problem // what the watch over new events found wrong; nothing is signed while there is any
	Unkept   string    // why the newest checkpoint could not be written outside the database; "" when it was
}

// Verification is a verification under way, or the last one of this process.
type Verification struct {
	Running    bool
	Done, Of   int64 // events
	By         Person
	Begun      time.Time
	Ended      time.Time // zero while it runs
	Report     Report
	Err        string // why it could not be finished
	Unrecorded bool   // its event could not be written
}
