package templates

// ReconcilePage compares the ledger with Entra's own log.
type ReconcilePage struct {
	Page   Page
	Fetch  WindowForm
	Upload WindowForm
	Result *ReconcileResult // nil before there is one
	Fault  *Fault           // why there is none
	SignIn string           // where Microsoft asks for the consent to read its log; "" when it did not
	KQL    string
}

// FieldAnswer is a word of the page's script that comes back as the cookie AnswerCookie with a file: only so can a page that
// stays as it is learn that the file has come.
const (
	FieldAnswer  = "answer"
	AnswerCookie = "evict-answer"
)

// WindowForm asks which time to compare. Its fields are FieldFrom and FieldTo, with the form's own prefix in their ids.
type WindowForm struct {
	Action             string
	From, To           string
	FromError, ToError string
	FileError          string // of the form that has a file
	Closed             string // why this form cannot be used here; "" when it can
}

func (f WindowForm) errors(prefix string) []fieldError {
	return someErrors(fieldError{prefix + FieldFrom, f.FromError}, fieldError{prefix + FieldTo, f.ToError}, fieldError{prefix + FieldFile, f.FileError})
}

// ReconcileResult is what a comparison found.
type ReconcileResult struct {
	Verdict  Note
	Window   string // "16 Nov 2026 14:00 UTC to 23 Nov 2026 14:00 UTC"
	Counts   []Count
	Notes    []Note
	Read     []string        // what was read, and what of it could not be
	Lists    []ReconcileList // those that have anything
	Recorded string          // address of the event; "" when it is not known
}

// ReconcileList is one list of a comparison: of events of ours, or of rows of Entra's.
type ReconcileList struct {
	ID, Title, Why string
	Folded         bool // it is the usual: whoever wants it opens it
	Ours           []ReconcileOurRow
	Rows           []ReconcileRow
	More           string // "and 1,204 more"
}

// ReconcileOurRow is an event of ours.
type ReconcileOurRow struct {
	Time             Time
	Operator, Target Person
	What             string // "accepted", "recorded by hand"
	Event, EventHref string
	RunHref          string
}

// ReconcileRow is a row of Entra's log.
type ReconcileRow struct {
	Time   Time
	By     Person
	App    string // instead of By
	Target Person
	ID     string // correlation id
}
