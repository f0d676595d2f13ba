package templates

// Names of the form fields that ask for something to take away.
const (
	FieldFormat = "format" // jsonl, csv or ocsf
	FieldSeq    = "seq"    // number of one event, to take away with its proof
)

// VerifyPage is where the ledger is verified, and where its key, checkpoints and proofs are handed out.
type VerifyPage struct {
	Page        Page
	Live        VerifyLive
	Key         VerifierKey
	Checkpoints CheckpointList
	Proof       ConsistencyForm
	Export      string    // where the whole ledger is exported to
	Laptop      []Command // verifying what was taken away
}

// VerifyLive is what changes on the page while a verification runs.
type VerifyLive struct {
	Href    string
	Nonce   string // of this answer's policy; empty: no live updates
	Running bool
	Notes   []Note // alarms first
	Status  string // how it stands: one sentence
	Tone    Tone
	Done    int64 // events that were read
	Of      int64
	Counted string // "412,000 of 1,000,000 events"
	Action  string // starts a verification
	Facts   []Fact // last verified, signed up to
	Result  *VerifyResult
}

// VerifyResult is what the last verification of this process found.
type VerifyResult struct {
	Title    string
	Problems []VerifyProblem
	More     string // how many further ones are not listed
	Facts    []Fact
	Covers   []string // sentences: what it covers, and what it does not
}

// VerifyProblem is one thing that is wrong.
type VerifyProblem struct {
	Fault string // its kind
	Text  string // the whole sentence
	Link  Link   // the event
}

// VerifierKey is the key that auditors keep.
type VerifierKey struct {
	ID      string // in short
	Text    string // the whole of it
	Former  []Command
	Unknown string // why the former ones could not be read
}

// CheckpointList is a page of the stored checkpoints, the newest first.
type CheckpointList struct {
	Rows         []CheckpointRow
	First, Older string
	Download     string // all of them; "" when there is none
}

// CheckpointRow is one signed checkpoint.
type CheckpointRow struct {
	ID     string // of the element
	Events string // "18,774 events"
	Time   Time
	Note   string
	Open   bool
}

// ConsistencyForm asks for the proof that one checkpoint's tree is the beginning of another's. It is sent as GET.
type ConsistencyForm struct {
	Action             string
	From, To           string
	FromError, ToError string
}

func (f ConsistencyForm) errors() []fieldError {
	return someErrors(fieldError{FieldFrom, f.FromError}, fieldError{FieldTo, f.ToError})
}

func (v VerifyLive) refresh() string {
	if v.Running {
		return "3"
	}
	return ""
}
