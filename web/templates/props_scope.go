package templates

// Names of the form fields of the scope pages. A checkbox sends "yes" when ticked.
const (
	FieldID       = "id"       // object id of a source; of a role its template id, or "any"
	FieldSide     = "side"     // the button pressed: one of the Side values
	FieldWays     = "ways"     // of a role: "", "active" or "eligible"
	FieldUnit     = "unit"     // object id of an administrative unit
	FieldFilter   = "filter"   // OData $filter
	FieldReady    = "ready"    // key of a ready-made filter; it takes the place of FieldFilter
	FieldValue    = "value"    // what a ready-made filter compares with
	FieldLines    = "lines"    // a pasted list
	FieldFile     = "file"     // an uploaded list
	FieldTitle    = "title"    // of the scope
	FieldSelf     = "self_ok"  // include one's own account
	FieldSettings = "settings" // "yes": the form brings title and options along
	FieldVersion  = "version"  // of the scope that the form was made from
	FieldAt       = "at"       // which source to remove: SourceRow.At
)

// Values of FieldSide.
const (
	SideInclude = "include"
	SideExclude = "exclude"
	SideCount   = "count" // adds nothing: counts first
)

// ScopeTitleMax is the greatest length of a scope's title, in characters.
const ScopeTitleMax = 120

// ScopesPage lists the scopes that a Lead may open.
type ScopesPage struct {
	Page      Page
	NewAction string // posts to start a new scope
	Saved     []ScopeRow
	Drafts    []ScopeRow // the operator's own, without a title
	Protected Note       // how many accounts stay out of every bulk plan
}

// ScopeRow is one scope of a list.
type ScopeRow struct {
	Title   string // of a draft: empty
	Href    string
	Owner   Person
	Mine    bool
	What    string // what it includes, in words
	Updated Time
}

// ScopePage is the scope builder. What may be changed is decided by Settings and Add: both are nil for somebody else's
// scope.
type ScopePage struct {
	Page     Page
	Title    string // empty: a draft
	Owner    Person
	Mine     bool
	Updated  Time
	Notes    []Note
	Sources  ScopeSources
	Add      *ScopeAdd
	Settings *ScopeSettings

	Options      []string // what is chosen, in words, for whom it is not theirs to change
	CopyAction   string
	DeleteAction string
}

// ScopeSources are the two lists of a scope. ScopeSourcesView alone is the fragment that brings the counts.
type ScopeSources struct {
	Nonce     string // Page.CSPNonce of this answer
	CountHref string // where the counts are; empty once they stand here
	Include   []SourceRow
	Exclude   []SourceRow
	// IncludeSum and ExcludeSum say how many people a list leads to at most: "up to 1,616 people". Empty before the count.
	IncludeSum, ExcludeSum string

	RemoveAction string // empty: nothing may be changed
	Version      string
}

// SourceRow is one source of a scope.
type SourceRow struct {
	At       string // names it in FieldAt: "include.0"
	Kind     string // "group", "administrative unit"
	Name     string
	Href     string
	Detail   string // "active and eligible holders, also through groups"
	Filter   string // the text of a filter
	Lines    []string
	More     string   // "and 1,196 more lines"
	Problems []string // what is odd about it, a sentence each
	Count    string   // "412", "about 1,200"; empty before the count, or with CountWhy
	CountWhy string   // why it could not be counted
}

// ScopeSettings is the form with title and options; its second button goes on to the preview.
type ScopeSettings struct {
	SaveAction, PreviewAction string
	Version                   string
	Title, TitleError         string
	External                  bool
	Self                      bool
	CanPreview                bool // something is included
}

// ScopeAdd is everything that adds a source.
type ScopeAdd struct {
	Action string
	Nonce  string
	Full   string // why nothing more fits; nothing is offered then
	Open   string // FieldUnit, FieldFilter, FieldLines or "tenant": the way that stands open

	Find       FindForm
	Units      []Option // those whose name was typed, to choose from
	Unit       string
	UnitError  string
	Filter     FilterForm
	Lines      string
	LinesError string
	LinesHint  string
	Tenant     bool // the whole tenant is not included yet
}

func (a ScopeAdd) errors() []fieldError {
	return someErrors(fieldError{findID, a.Find.Error}, fieldError{FieldUnit, a.UnitError}, fieldError{FieldReady, a.Filter.ReadyError},
		fieldError{FieldValue, a.Filter.ValueError}, fieldError{FieldFilter, a.Filter.Error}, fieldError{FieldLines, a.LinesError})
}

// findID is the id of the field that finds sources; the name of the field is FieldQuery.
const findID = "find"

// FindForm finds users, groups and roles to add.
type FindForm struct {
	Href    string // GET; answers ScopeHits to htmx and the whole page otherwise
	Query   string
	Error   string
	Results *ScopeHits // nil before anything was looked for
}

// ScopeHits are the results, each with its buttons. ScopeHitsView alone is the fragment for search as you type.
type ScopeHits struct {
	Action  string
	AnyRole bool // what was typed may mean everyone who holds a directory role
	Results SearchResults
}

// FilterForm makes or takes an OData $filter.
type FilterForm struct {
	Ready, Value, Text            string
	Readies                       []Option
	ValueHint                     string
	ReadyError, ValueError, Error string
	Max                           int    // bytes of the text
	Count                         string // "38 people match", once counted
	CountWhy                      string // why it could not be counted
}

// BulkStart begins a scope with the group or role of the page. The zero value shows nothing.
type BulkStart struct {
	Label, Action, Kind, ID string
}

func (p ScopePage) heading() string {
	if p.Title == "" {
		return "New scope"
	}
	return p.Title
}

func (s ScopeSources) empty() bool { return len(s.Include)+len(s.Exclude) == 0 }
