package templates

// Names of the form fields that the pages send.
const (
	FieldQuery      = "q"
	FieldReason     = "reason"
	FieldTicket     = "ticket"
	FieldExternalOK = "external_ok" // "yes" when ticked
	FieldOperator   = "operator"
	FieldTarget     = "target"
	FieldKind       = "kind"
	FieldFrom       = "from" // datetime-local, read as UTC: 2006-01-02T15:04, seconds optional
	FieldTo         = "to"   // as FieldFrom
	FieldWho        = "who"
	FieldWhen       = "when" // datetime-local, read as UTC, like FieldFrom
	FieldHow        = "how"
)

// ReasonMax is the greatest length of a reason, in characters.
const ReasonMax = 500

// TicketMax is the greatest length of a ticket, in characters.
const TicketMax = 100

// RevokeForm is the form that revokes one person's sessions. The errors are sentences for the person.
type RevokeForm struct {
	Action     string // where it posts to
	Hidden     []Hidden
	Reason     string
	Ticket     string
	External   bool // the target is external: shows the checkbox
	ExternalOK bool // the checkbox is ticked

	ReasonError, TicketError, ExternalError string
	// DraftRestored says that what was typed before the sign-in stands in the form again, and was not sent.
	DraftRestored bool
}

type fieldError struct{ id, text string }

func (f RevokeForm) errors() []fieldError {
	return someErrors(fieldError{FieldReason, f.ReasonError}, fieldError{FieldTicket, f.TicketError}, fieldError{FieldExternalOK, f.ExternalError})
}

func someErrors(all ...fieldError) []fieldError {
	var out []fieldError
	for _, e := range all {
		if e.text != "" {
			out = append(out, e)
		}
	}
	return out
}

// Fault says that an action did not happen, or not wholly, and what to do instead.
type Fault struct {
	Title         string // "The revocation was not sent"
	What          string // what happened
	Why           string
	WhatToDo      string
	RequestID     string
	NothingCalled bool      // Graph was not called at all: said in bold
	Commands      []Command // to do the same by hand
	OutsideHref   string    // where to record it when done by hand
}

// ConsoleRole is one app role of Evict and what it allows.
type ConsoleRole struct{ Name, Allows string }

// ConsoleRoles are the five app roles of Evict, in the order shown.
func ConsoleRoles() []ConsoleRole {
	return []ConsoleRole{
		{"Evict.Responder", "revokes one user at a time"},
		{"Evict.Lead", "revokes people, one at a time or in bulk, and sees everybody's runs and the ledger"},
		{"Evict.Approver", "sees everybody's runs and the ledger; will approve bulk plans"},
		{"Evict.Auditor", "reads everybody's runs and the ledger; revokes nobody but themselves"},
		{"Evict.Admin", "sees everybody's runs and the ledger; keeps the protected accounts"},
	}
}

// SignInPage is the public page. At most one of TimedOut, SignedOut and Fault is set.
type SignInPage struct {
	Page      Page
	Href      string // GET /auth/signin?return=...
	SignedOut bool
	// MicrosoftSignOut ends the sign-in at Microsoft as well; shown with SignedOut.
	MicrosoftSignOut string
	TimedOut         string // "idle" (30 minutes without use) or "absolute" (8 hours); empty otherwise
	Fault            *SignInFault
	// RehearsalAs are the accounts of the simulated tenant that one may sign in as, with what each can show.
	RehearsalAs []RehearsalAccount
}

// SignInFault is a sign-in that Microsoft or the console refused.
type SignInFault struct {
	What          string // our words
	WhatToDo      string
	Code          string // "AADSTS50105"; may be empty
	CorrelationID string
	Time          Time
	RequestID     string // ours
}

// RehearsalAccount is one account to sign in as on the simulator.
type RehearsalAccount struct{ UPN, Shows string }

// NoRolePage is for a person who signed in and holds no console role.
type NoRolePage struct {
	Page          Page
	Name, UPN, ID string
	AppName       string // the enterprise application's name in Entra
	AskText       string // what to send to whoever assigns roles; composed from the above when empty
	SignOutAction string
}

func (p NoRolePage) ask() string {
	if p.AskText != "" {
		return p.AskText
	}
	app := p.AppName
	if app == "" {
		app = "Evict"
	}
	return "Please assign me an app role of the enterprise application \"" + app + "\" (Microsoft Entra admin center, Enterprise applications, " + app + ", Users and groups).\n" +
		"Role: Evict.Responder (or the one that fits my work)\n" +
		"User: " + p.UPN + "\n" +
		"Object id: " + p.ID
}
