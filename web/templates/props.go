// Package templates renders the console's pages: one exported component a page, each taking one struct of display-ready
// values.
//
// Invariants: nothing here formats a time, asks a service or decides who may see what; what is not in the struct is not
// on the page. The zero value of every struct renders. No style attribute and no inline script is ever written, so that
// the pages hold under a Content-Security-Policy without unsafe-inline and under Trusted Types. Strings from outside
// (names, reasons, UPNs) are escaped and isolated against bidirectional tricks.
package templates

// Time is one instant, ready to show. The zero value shows nothing.
type Time struct {
	UTC      string // "23 Nov 2026 14:02:11 UTC"
	ISO      string // "2026-11-23T14:02:11Z", for machines and for keeping Relative fresh
	Relative string // "3 min ago"; may be empty
}

// Link is one address with its words. The zero value shows nothing.
type Link struct{ Label, Href string }

// Tone colours a tag, a note or a number. It never carries meaning alone: the words do.
type Tone string

// The tones.
const (
	ToneNone Tone = ""
	ToneOK   Tone = "ok"   // it holds
	ToneWarn Tone = "warn" // know this before you act
	ToneNo   Tone = "no"   // refused, failed
	ToneOn   Tone = "on"   // going on
)

// Tag is one small flag with words, such as "external" or "privileged: unknown".
type Tag struct {
	Label string
	Tone  Tone
	Title string // a longer explanation, also read by screen readers; may be empty
}

// Note is a remark that the operator must see before acting.
type Note struct {
	Tone  Tone   // ToneWarn when empty
	Title string // two or three words
	Text  string
	Link  Link
}

// Person is a user as a snapshot beside the object id. Href leads to the user card and may be empty.
type Person struct{ Name, UPN, ID, Href string }

// Value is one thing that is known, or unknown with the reason. Of Text, Time and Unknown the first that is set is the
// main thing; Detail follows it in a quieter voice.
type Value struct {
	Text    string
	Detail  string
	Time    Time
	Href    string // makes Text a link
	Mono    bool   // an id, a digest, an address: monospaced
	Copy    bool   // with a button that copies Text
	Unknown string // why it could not be read; the page then says "unknown" and this
	Tags    []Tag
}

// Fact is one labelled value.
type Fact struct {
	Label string
	Value Value
}

// Command is one block of text that a person may copy, such as a fallback command.
type Command struct{ Label, Text string }

// Hidden is one hidden form value, such as an idempotency key.
type Hidden struct{ Name, Value string }

// Option is one choice of a select.
type Option struct{ Value, Label string }

// Assets are the addresses of the style sheet, the scripts and the icon.
type Assets struct{ CSS, HTMX, JS, Icon string }

// NavItem is one entry of the main navigation.
type NavItem struct {
	Label, Href string
	Current     bool
}

// OperatorBadge says who is signed in. It links to /me.
type OperatorBadge struct {
	Name  string
	UPN   string
	Roles string // "User Administrator · Lead"
}

// Flash is one message about what just happened, shown once.
type Flash struct {
	Tone Tone
	Text string
}

// Page is what every page has around its content.
type Page struct {
	Title     string
	Rehearsal bool   // the simulator: a band and the title say so on every page
	Tenant    string // the real tenant's name, shown where a rehearsal has its band
	Nav       []NavItem
	Operator  *OperatorBadge // nil when nobody is signed in
	CanSearch bool           // may search the directory: shows the search box and the / key
	// SearchQuery is what stands in the search box.
	SearchQuery string
	// CSPNonce is this answer's nonce. It goes on the script elements and on each element that htmx drives, because the
	// hx-csp extension strips those without. The same nonce must stand in this answer's script-src, for fragments too:
	// hx-csp reads it there. Empty: the page carries no scripts, and works.
	CSPNonce string
	Assets   Assets
	Flash    *Flash
	// NowISO is the server's time of rendering, so that "3 min ago" stays true on a page left open whatever the
	// browser's clock says. Empty: relative times stay as rendered.
	NowISO string
}

// Outcome is the word for what became of one target.
type Outcome string

// The outcomes, in the product's words.
const (
	OutcomePending     Outcome = "pending"
	OutcomeAttempting  Outcome = "attempting"
	OutcomeAccepted    Outcome = "accepted"
	OutcomeConfirmed   Outcome = "confirmed"
	OutcomeUnconfirmed Outcome = "unconfirmed"
	OutcomeNotCovered  Outcome = "not covered"
	OutcomeRefused     Outcome = "refused"
	OutcomeFailed      Outcome = "failed"
	OutcomeSkipped     Outcome = "skipped"
	OutcomeCancelled   Outcome = "cancelled"
)

// RunState is the word for where a run stands.
type RunState string

// The run states.
const (
	RunQueued    RunState = "queued"
	RunRunning   RunState = "running"
	RunPaused    RunState = "paused"
	RunFinished  RunState = "finished"
	RunCancelled RunState = "cancelled"
)

func outcomeTag(o Outcome) Tag {
	switch o {
	case OutcomeConfirmed:
		return Tag{Label: "confirmed", Tone: ToneOK}
	case OutcomeAccepted:
		return Tag{Label: "accepted (reading back)", Tone: ToneOn}
	case OutcomeAttempting:
		return Tag{Label: "attempting", Tone: ToneOn}
	case OutcomeUnconfirmed, OutcomeNotCovered:
		return Tag{Label: string(o), Tone: ToneWarn}
	case OutcomeRefused, OutcomeFailed:
		return Tag{Label: string(o), Tone: ToneNo}
	default:
		return Tag{Label: string(o)}
	}
}

func stateTag(s RunState, detail string) Tag {
	t := Tag{Label: string(s)}
	switch s {
	case RunQueued, RunRunning:
		t.Tone = ToneOn
	case RunPaused:
		t.Tone = ToneWarn
	case RunFinished, RunCancelled:
	}
	if detail != "" {
		t.Label += ": " + detail
	}
	return t
}

func (t Time) shown() bool { return t.UTC != "" || t.Relative != "" }

func (l Link) shown() bool { return l.Href != "" && l.Label != "" }

func (p Person) shown() bool { return p.Name != "" || p.UPN != "" || p.ID != "" }

// label is the first of name, UPN and id that there is.
func (p Person) label() string {
	switch {
	case p.Name != "":
		return p.Name
	case p.UPN != "":
		return p.UPN
	default:
		return p.ID
	}
}

// docTitle is the text of the title element.
func (p Page) docTitle() string {
	t := "Evict"
	if p.Title != "" {
		t = p.Title + " · Evict"
	}
	if p.Rehearsal {
		t = "REHEARSAL: " + t
	}
	return t
}
