package templates

import "strings"

// Names of the form fields of a plan and of a run of many.
const (
	FieldListDigest  = "list_digest"
	FieldTyped       = "typed"        // the number of people, typed in
	FieldNoProtected = "no_protected" // "yes" when ticked
	FieldCheck       = "check."       // followed by a question's key; "yes" or "no"
	FieldOut         = "out"          // object ids of people to take out; may stand many times
	FieldKindOut     = "kind_out"     // a flag: everybody who carries it is taken out
	FieldOutcome     = "outcome"      // outcomes to try again; may stand many times
	FieldShow        = "show"         // the list to show: a facet's value
	FieldFlag        = "flag"
	FieldVerdict     = "verdict"
	FieldLeft        = "left" // a cause, or "all": shows the people left out instead of the targets
	FieldText        = "text" // part of a name or UPN
	FieldTakeBack    = "take_back"
)

// ScopeWords says in words what a plan was made from.
type ScopeWords struct {
	Include []string // "group Finance, with nested groups"
	Exclude []string
	Options []string // "external accounts are included"
}

// lineParts is how many sources the one line names.
const lineParts = 4

// line is the scope in one line; the first sources stand for the others.
func (s ScopeWords) line() string {
	some := func(list []string) string {
		if len(list) <= lineParts {
			return strings.Join(list, "; ")
		}
		return strings.Join(list[:lineParts], "; ") + "; and " + itoa(len(list)-lineParts) + " more"
	}
	if len(s.Include) == 0 {
		return ""
	}
	if len(s.Exclude) == 0 {
		return "Everybody from: " + some(s.Include) + "."
	}
	return "Everybody from: " + some(s.Include) + ". But not: " + some(s.Exclude) + "."
}

// Digest is a digest as people compare it, and whole.
type Digest struct{ Short, Full string }

// ExpandingPage is the page of a plan while it is being made, or after that went wrong.
type ExpandingPage struct {
	Page Page
	Live ExpandingLive
}

// ExpandingLive is its part that changes. It asks for itself again while Active.
type ExpandingLive struct {
	Nonce  string
	Href   string
	Active bool
	Scope  ScopeWords
	Found  string // "12,403"
	Doing  string // what is being read
	Began  Time
	Took   string // "12 s": how long it has been at it, or was
	By     string // whose plan it is

	BulkHref string // where plans begin; "" when this person may not go there

	Failure     string // why it went wrong
	AgainAction string // makes it once more; "" when this person may not
	ParentHref  string // the list that this one comes from
}

// PlanPage is a frozen list of people, who was left out, and the form that starts the run.
type PlanPage struct {
	Page  Page
	Title string // "Revoke 412 people?"
	Crumb string // "0192f3aa… · made by robin.keller@tenant.example"
	// BulkHref is where plans begin; "" when this person may not go there.
	BulkHref string
	Frozen   Time
	Expires  Time
	Expired  bool
	Digest   Digest
	Scope    ScopeWords
	Fault    *Fault
	Notes    []Note
	Counts   []Count

	Predictions  []PredictionCount
	PredictedFor string   // by whose roles; "" when they are the reader's own
	Unseen       []Unread // sources that could not be read whole, those of one cause together
	Unsure       []Unread // what flags and predictions lack; nobody is missing for it
	Form         *ConfirmForm
	NoFormWhy    string // one sentence instead of the form
	RunHref      string // the run that it became

	List     PeopleList
	Standing *LeftStanding
	Aside    []AsideRow
	Lines    *ListLines

	CSVAction   string // sends the list as CSV
	AgainAction string // expands the scope again; "" when this person may not
	CompareHref string // what changed since the list that this one comes from
	ScopeHref   string
}

// PredictionCount is how many people a prediction is made for.
type PredictionCount struct {
	Verdict Tag
	Count   string
	Href    string // their list
	Means   string
	WayOut  string
}

// ConfirmForm starts the run. Its errors are sentences for the person.
type ConfirmForm struct {
	Action     string
	ListDigest string
	Reason     string
	Ticket     string
	Type       string // what has to be typed in; "" when nothing
	Typed      string
	Checks     []CheckQuestion
	// Unprotected asks to acknowledge that no account is protected; Acknowledged says that it is ticked.
	Unprotected, Acknowledged bool
	Warning                   string // what cannot be undone
	Takes                     string // "About 4 min at Microsoft's quota."
	Button                    string // "Revoke 412 people"
	DraftRestored             bool

	ReasonError, TicketError, TypedError, UnprotectedError string
}

// CheckQuestion is one question about the tenant. An answer is "yes", "no" or "" for none.
type CheckQuestion struct{ Key, Text, Fix, Answer string }

func (f ConfirmForm) errors() []fieldError {
	return someErrors(fieldError{FieldReason, f.ReasonError}, fieldError{FieldTicket, f.TicketError},
		fieldError{FieldTyped, f.TypedError}, fieldError{FieldNoProtected, f.UnprotectedError})
}

// PeopleList is one page of people with the filters that chose them.
type PeopleList struct {
	Title    string
	Standing bool // the people left out, not the targets
	Facets   []Facet
	Filter   TextFilter
	Note     string // what is said once for all rows
	Rows     []PersonRow
	Verdict  string // the head of the predictions; "For you" when empty
	Shown    string // "1–100 of 412"
	First    string // address of the first page; "" there
	Next     string
	Empty    string
	TakeOut  *TakeOut // nil: nobody can be taken out
}

// Facet is a group of filters of a list, each with its count.
type Facet struct {
	Label string
	Links []Count
}

// TextFilter looks for people in a list by part of their name.
type TextFilter struct {
	Action string
	Hidden []Hidden // the other filters
	Text   string
	Clear  string // address without it; "" when it is empty
}

// PersonRow is one person of a list.
type PersonRow struct {
	ID         string // object id
	Person     Person
	Reasons    []string
	Flags      []Tag
	Prediction Tag
	Because    string
	Cause      Tag // why left out
}

// TakeOut takes people out of the list: it makes a new one without them.
type TakeOut struct {
	Action string
	Kinds  []Option // kinds of people that can be taken out all at once
	Error  string
}

// LeftStanding names those who are not touched.
type LeftStanding struct {
	Title  string // "Left standing: 12"
	Text   string
	Causes []Count
	Rows   []PersonRow // the first of them
	More   Link
}

// AsideRow is something that cannot be revoked here.
type AsideRow struct{ Name, ID, Kind, Reason string }

// ListLines is what became of the lines of pasted lists.
type ListLines struct {
	Title   string
	Matched string
	Rows    []LineRow
	More    string // how many more there are
}

// LineRow is a line that led to nobody.
type LineRow struct {
	Text, Reason string
	Fate         Tag
}

// ComparePage says what changed between two lists.
type ComparePage struct {
	Page                 Page
	Title                string
	BulkHref             string // as in PlanPage
	Before, After        Link
	BeforeTime           Time
	AfterTime            Time
	Joined, Gone, Both   string
	JoinedRows, GoneRows []PersonRow
	JoinedMore, GoneMore string // how many are not shown
	Same                 bool
}

// shortReasons are the reasons that stand open; the others fold away.
const shortReasons = 2

func (r PersonRow) open() []string { return r.Reasons[:min(len(r.Reasons), shortReasons)] }

func (r PersonRow) folded() []string { return r.Reasons[len(r.open()):] }

func (p PlanPage) anyPrediction() bool { return len(p.Predictions) > 0 }

// rowName is what a person is called in a label.
func (r PersonRow) rowName() string { return strings.TrimSpace(r.Person.label()) }

// steps are the parts of a reason's path, outermost first.
func steps(reason string) []string { return strings.Split(reason, " > ") }

// whyLabel heads the reasons on a narrow screen.
func (l PeopleList) whyLabel() string {
	if l.Standing {
		return "Found"
	}
	return "Why"
}
