package templates

// SearchPage is the page of search results; SearchResults alone is its fragment for search as you type.
type SearchPage struct {
	Page    Page
	Results SearchResults
}

// SearchResults are three short lists. TooShort: fewer than two characters were typed, nothing was asked.
type SearchResults struct {
	Query    string
	TooShort bool
	Users    []Hit
	Groups   []Hit
	Roles    []Hit
	Unread   []Unread // kinds that could not be read
	// More lists what was cut off, as a sentence: "Showing the first 10 users. Type more of the name."
	More string
}

// Hit is one result. Detail is the UPN of a user, or a short description of a group or role.
type Hit struct {
	Name, Detail, Href string
	Flags              []Tag
	ID                 string // object id; of a role its template id
}

// Unread names something that could not be read, why, and the way out.
type Unread struct{ What, Why, WayOut string }

func (r SearchResults) none() bool { return len(r.Users)+len(r.Groups)+len(r.Roles) == 0 }

// HomePage is where one lands: search, what needs one now, what happened, what one may do.
type HomePage struct {
	Page        Page
	Needs       []Need
	Runs        []RunRow
	RunsHref    string // all runs; empty hides the link
	RunsUnread  string // why the runs could not be read
	ShowRoles   bool   // false for those who only read the ledger
	Roles       []MyRole
	RolesUnread []Unread // what of the directory roles could not be read
}

// Need is one thing that waits for this operator.
type Need struct {
	Tag    Tag
	Title  string
	Text   string
	Time   Time
	Action Link
}

// MyRole is one directory role of the operator.
type MyRole struct {
	Name   string
	State  string // "active", "eligible", "active until 16:00 UTC"
	Scope  string // "tenant", "administrative unit Paris"
	Since  Time
	Allows string // one sentence
	Active bool
}

// RunRow is one line of a list of runs.
type RunRow struct {
	Href    string
	When    Time
	By      Person
	Target  Person // of a single-target run
	Count   string // "412 people", of a bulk run; used when Target is empty
	State   RunState
	Detail  string  // "needs sign-in" of a paused run
	Outcome Outcome // of a single-target run, once there is one
	Tally   string  // of a bulk run: "388 confirmed · 12 refused · 12 to go"
	Ticket  string
	Reason  string
}

// RunsPage lists runs, newest first.
type RunsPage struct {
	Page   Page
	Scope  string // "Your own runs." or "All runs."
	Rows   []RunRow
	Older  string // address of the next page; empty on the last
	Newer  string
	Unread string
}

// MePage is the operator's own page.
type MePage struct {
	Page          Page
	Identity      []Fact
	ConsoleRoles  []ConsoleRole
	ShowRoles     bool
	Roles         []MyRole
	RolesUnread   []Unread
	Session       []Fact // signed in at, ends at, idle limit
	Notes         []Note
	Form          *RevokeForm // nil: may not act
	Fault         *Fault
	Clock         Clock
	SignOutAction string
	AskLeaveRuns  bool // runs of many may be under way: asks whether signing out leaves them running
}

// FieldLeaveRuns is the box beside "sign out": "yes" leaves one's runs running.
const FieldLeaveRuns = "leave_runs"

// Prediction says whether Graph is expected to let this operator revoke this person. Graph decides.
type Prediction struct {
	Verdict Verdict
	Reason  string // "as User Administrator, and this person holds no directory role"
	WayOut  string // who can, or what to activate; empty when allowed
}

// Verdict is a prediction's word.
type Verdict string

// The verdicts.
const (
	VerdictAllowed Verdict = "allowed"
	VerdictMaybe   Verdict = "may be refused"
	VerdictRefused Verdict = "expected to be refused"
	VerdictUnknown Verdict = "unknown"
)

func (v Verdict) tag() Tag {
	switch v {
	case VerdictAllowed:
		return Tag{Label: "allowed", Tone: ToneOK}
	case VerdictMaybe:
		return Tag{Label: "may be refused", Tone: ToneWarn}
	case VerdictRefused:
		return Tag{Label: "expected to be refused", Tone: ToneNo}
	default:
		return Tag{Label: "unknown", Tone: ToneWarn}
	}
}

// UserPage is the user card.
type UserPage struct {
	Page   Page
	Person Person // Href unused
	Tags   []Tag
	Notes  []Note
	// Facts for an incident: account (enabled, member, signs in here), sessions valid from, last sign-in, password
	// changed, last revoked by Evict, created, manager or department where they help to be sure of the person.
	Facts        []Fact
	Roles        []UserRole
	RolesUnread  []Unread    // what could not be read; rows that were read still show
	NoRoles      string      // the sentence when there are no rows
	Groups       []UserGroup // groups that make the person privileged: role-assignable, or owned
	GroupsUnread string
	Prediction   *Prediction
	Form         *RevokeForm // nil: this operator may not act
	NoFormWhy    string      // one sentence shown instead of the form; may be empty
	Fault        *Fault
	Clock        Clock
	LedgerHref   string // events about this person
}

// UserRole is one directory role of a person.
type UserRole struct {
	Name       string
	Href       string
	Privileged bool
	State      string   // "active", "eligible, not active now", "activated until 16:00 UTC"
	Path       []string // the groups it comes through, outermost first; empty when direct
	Scope      string   // empty for the tenant
	Since      Time
}

// UserGroup is a group that makes a person privileged, and why.
type UserGroup struct{ Name, Href, Why string }

// GroupPage is a group and the first page of its members.
type GroupPage struct {
	Page          Page
	Name, ID      string
	Tags          []Tag
	Notes         []Note
	Facts         []Fact
	Members       []MemberRow
	MembersUnread string
	Shown         string // "First 50 of 412 people, through nested groups too"
	NextHref      string
	Bulk          BulkStart
}

// MemberRow is one member.
type MemberRow struct {
	Person Person
	Via    string // "direct", "Finance › Payables"
	Flags  []Tag
}

// RolePage is a directory role and its holders.
type RolePage struct {
	Page           Page
	Name, ID       string
	Tags           []Tag
	Description    string // what Entra says of the role
	AsTarget       string // what holding it means for revoking the holder
	Notes          []Note
	Active         []HolderRow
	ActiveUnread   string
	Eligible       []HolderRow
	EligibleUnread string
	// Apps are service principals that hold the role: not revocable here.
	Apps []HolderRow
	Bulk BulkStart
}

// HolderRow is one holder of a role.
type HolderRow struct {
	Kind   string // "user", "group", "service principal"
	Name   string
	Detail string // UPN, or id
	Href   string
	Path   []string // the groups it comes through; empty when direct
	Scope  string
	Since  Time
	Flags  []Tag
}
