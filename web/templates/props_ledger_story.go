package templates

// RunStoryPage is a run's whole story, as the ledger tells it.
type RunStoryPage struct {
	Page       Page
	Title      string // "Run of 2,006 people"
	State      Tag
	Verified   Note // what is wrong with the last verification of the ledger
	Whole      StoryWhole
	Facts      []Fact
	Counts     []Count
	Links      []Link // the run's page and report
	Export     *ExportForm
	Milestones []TimelineEntry
	Partly     string // how far the milestones were looked for, when not to the end
	People     []StoryPerson
	Shown      string // "50 of 2,006 people"
	Never      string // how many people were never called, so that no event names them
	Searched   string // how far people were looked for, when it was given up before the end
	Further    Link   // the same from there
	Earlier    string
	Later      string
}

// StoryWhole answers "is this all of it?".
type StoryWhole struct {
	Tone  Tone
	Title string
	Text  string
	Link  Link
}

// StoryPerson is one target of a run, with all that the run says of them.
type StoryPerson struct {
	Person  Person
	Outcome Outcome
	Steps   []StoryStep
	Cut     bool   // they have older events, too
	All     string // all events of this person in this run
}

// StoryStep is one event, in a few words.
type StoryStep struct {
	Words string
	Time  string // "14:02:11"
	Href  string
	Note  string // what was answered, when it says something
}

// PersonStoryPage is what was done to a person and what they did, as the ledger tells it.
type PersonStoryPage struct {
	Verified Note // what is wrong with the last verification of the ledger
	Page     Page
	Person   Person
	Names    []NameSeen // the snapshots on this page, newest first
	Links    []Link
	Export   *ExportForm
	Done     *StoryDone // to them; nil where only the other part is shown
	Did      *StoryDid  // by them
}

// NameSeen is a name that events give a person, and the newest event on the page that does.
type NameSeen struct {
	Name, UPN string
	Event     Link
}

// StoryDone is what was done to a person.
type StoryDone struct {
	Folds    []StoryFold
	Searched string
	Further  Link
	Older    string
	Newer    string
}

// StoryFold is the events of one person that belong together: one run's, or one event by itself.
type StoryFold struct {
	Title    string // "Revocation by robin.keller@tenant.example"
	Time     Time
	Outcome  Outcome
	Operator Person
	Reason   string
	Ticket   string
	Story    string // of the run; empty for an event by itself
	Steps    []StoryStep
}

// StoryDid is what a person did.
type StoryDid struct {
	Rows     []LedgerRow
	Stops    []LedgerRow // what they asked of runs, others' included
	AllStops string
	Searched string
	Further  Link
	Older    string
	Newer    string
}

// AboutLedgerPage explains the trail.
type AboutLedgerPage struct {
	Page       Page
	LedgerHref string
	VerifyHref string
	Reconcile  string
	Key        string // the verifier key in use; may be empty
	Removed    string // what retention has removed; empty: nothing
}
