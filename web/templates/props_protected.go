package templates

// Names of the form fields of a protected account, beside FieldKind.
const (
	FieldAccount = "account" // sign-in name or object id
	FieldNote    = "note"
)

// ProtectedPage lists the accounts that no bulk plan includes.
type ProtectedPage struct {
	Page         Page
	Rows         []ProtectedRow
	Form         *ProtectForm // nil: reads only
	RemoveAction string       // empty: reads only
}

// ProtectedRow is one protected account.
type ProtectedRow struct {
	Person Person
	Kind   string
	Note   string
	By     Person
	Since  Time
}

// ProtectForm adds an account, or changes what is noted of one.
type ProtectForm struct {
	Action                             string
	Account, Kind, Note                string
	Kinds                              []Option
	AccountError, KindError, NoteError string
	// DraftRestored says that what was typed before the sign-in stands in the form again, and was not sent.
	DraftRestored bool
}

func (f ProtectForm) errors() []fieldError {
	return someErrors(fieldError{FieldAccount, f.AccountError}, fieldError{FieldKind, f.KindError}, fieldError{FieldNote, f.NoteError})
}
