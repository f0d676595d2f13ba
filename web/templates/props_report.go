package templates

// ReportPage is the report of a run, for reading and for paper. It opens with what still stands.
type ReportPage struct {
	Page        Page
	Title       string // "412 people: 388 proven cut off, 24 not"
	Rehearsal   bool
	Unfinished  string // why it is not the last word; "" once the run has ended
	Stands      []StandGroup
	StandsCount string // "62 people": all groups of people together
	AllCut      string // the sentence when nothing still stands
	Unseen      []Unread
	Aside       []AsideRow
	Scope       ScopeWords
	Facts       []Fact // who, when, why, digests
	Outcomes    []ReportCount
	Evidence    []Fact
	Checks      []CheckAnswer
	Clock       Clock
	NothingCut  bool
	Next        []Countermeasure
	Source      string // where the countermeasures come from
	Techniques  []Technique
	Made        Time
	RunHref     string
	JSONAction  string // sends the report as JSON
}

// StandGroup is one kind of people whose sessions may live on.
type StandGroup struct {
	Title  string // "Refused"
	Count  string
	Tone   Tone
	Means  string
	WayOut string
	Causes []StandCause // that several of People share
	People []ReportPerson
	More   string // how many are not listed here
}

// StandCause is a cause said once for several people; their notes name it.
type StandCause struct{ Name, Count, Text string }

// ReportPerson is one line of a report.
type ReportPerson struct{ Name, UPN, ID, Note string }

// ReportCount is one outcome of the table of all.
type ReportCount struct{ Outcome, Count, Share, Means string }

// CheckAnswer is a question of the checklist as it was answered.
type CheckAnswer struct{ Text, Answer string }

// Countermeasure is what to do next, by the catalogue's id and title.
type Countermeasure struct{ ID, Title, Do string }

// Technique is one of the adversary's techniques.
type Technique struct{ ID, Name string }
