package revoke

import (
	"context"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
)

// PreviewID is a UUIDv7 string.
type PreviewID string

// Preview is what a scope expanded to: a numbered list of targets, frozen once it is ready, and who was left out. It
// becomes a plan, with the words of the person who confirms it, when its run starts; that happens at most once.
type Preview struct {
	ID        PreviewID
	Parent    PreviewID // the preview that this one was made from by taking people out, or by expanding again
	Cloud     string
	Tenant    string
	Creator   Person
	Scope     directory.Scope
	Options   PlanOptions
	State     PreviewState
	Doing     string // while expanding: what is being read
	Failure   string // when failed: why, for people
	Found     int    // people found so far
	CreatedAt time.Time
	BeatAt    time.Time // while expanding: when its process last said that it is at it
	ReadyAt   time.Time
	ExpiresAt time.Time // once ready

	// Once ready:
	Total      int            // targets
	Left       int            // people left out
	ListDigest string         // hex SHA-256 of the ordered object ids: see ListDigest
	Counts     PreviewCounts  // of the targets
	LeftCounts map[string]int // of the people left out, by cause (see Cause)
	Facts      Facts
	Run        RunID // the run that it became; "" before
}

// PreviewState is where a preview stands.
type PreviewState string

// The states of a preview.
const (
	PreviewExpanding PreviewState = "expanding"
	PreviewReady     PreviewState = "ready"
	PreviewFailed    PreviewState = "failed"
)

// PreviewCounts says how many targets carry what.
type PreviewCounts struct {
	Flags    map[Flag]int   `json:"flags"`    // "<flag>?" for those of whom it is not known
	Verdicts map[string]int `json:"verdicts"` // by directory.Verdict's words
	Enabled  int            `json:"enabled"`  // enabled accounts that sign in here: what decides whether a plan is tenant-wide
}

// Facts are what the expansion learned besides the people.
type Facts struct {
	Unread          []directory.Unread `json:"unread,omitempty"`       // sources that were not read whole: the plan is incomplete
	FlagsUnread     []directory.Unread `json:"flags_unread,omitempty"` // what flags and predictions lack; nobody is missing for it
	Aside           []directory.Aside  `json:"aside,omitempty"`
	Lines           []directory.Line   `json:"lines,omitempty"` // of lists; the matched ones are only counted
	Matched         int                `json:"matched,omitempty"`
	EnabledInternal int                `json:"enabled_internal"` // of the whole tenant; -1 when unknown
	Federated       []string           `json:"federated,omitempty"`
	FederatedRead   bool               `json:"federated_read,omitempty"`
	Protected       int                `json:"protected"`   // how many accounts were protected when the list was frozen
	BreakGlass      int                `json:"break_glass"` // how many of them are there to sign in when nobody else can
}

// Cause says why somebody was left out of a preview.
type Cause string

// The causes, the strongest first: somebody to whom several apply is counted under the first.
const (
	LeftProtected Cause = "protected"
	LeftSelf      Cause = "the operator"
	LeftExcluded  Cause = "excluded"
	LeftExternal  Cause = "external"
	LeftFlag      Cause = "taken out" // by one of PlanOptions.Without
)

// Candidate is one hit, ready to be kept: a target without a position, and what decides whether it stays in.
type Candidate struct {
	Target
	Excluded bool // by a source of the scope's Exclude
	Inside   bool // an enabled account that surely signs in here
}

// Leftover is somebody who was left out, and why.
type Leftover struct {
	Target
	Cause Cause
}

// ProtectedAccount is an account that no bulk plan includes.
type ProtectedAccount struct {
	Person
	Kind  string // "break-glass", "sync", "service", "other"
	Note  string
	By    Person
	Since time.Time
}

// SavedScope is a scope that somebody works on or keeps. One without a title is a draft.
type SavedScope struct {
	ID        string // UUIDv7
	Title     string
	Owner     Person
	Scope     directory.Scope
	Options   PlanOptions
	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int // grows with each change; a save names the one that it saw
}

// TargetQuery selects a page of a list of targets.
type TargetQuery struct {
	Flag    Flag   // only targets with this flag; "" = all
	Verdict string // only targets with this prediction, in directory.Verdict's words
	Cause   Cause  // of people left out
	Text    string // only people whose UPN or name holds it, whatever the case
	After   int    // keyset: positions after this one; -1 from the start
	Limit   int
}

// Difference compares two frozen lists.
type Difference struct {
	Joined, Gone, Both int
	JoinedList         []Target // the first of them, in order
	GoneList           []Target
}

// PreviewStore keeps previews, saved scopes and the protected accounts.
type PreviewStore interface {
	// BeginPreview stores a preview in state expanding, without people.
	BeginPreview(ctx context.Context, p Preview) error
	// AddCandidates merges people into an expanding preview by object id: reasons are joined in order of arrival (each
	// once, at most 20), flags too, Excluded wins, and what a later hit knows of the account replaces what an earlier one did. It
	// returns how many people there are now. ErrConflict when the preview is not expanding any more.
	AddCandidates(ctx context.Context, id PreviewID, list []Candidate, doing string, now time.Time) (found int, err error)
	// Freeze numbers the people that stay in, sets aside those who do not (see Sift), computes counts and digest, and makes
	// the preview ready. It works in several transactions, none of which holds the writer for long; the last one makes it ready and
	// appends the events. Order: Rank, then UPN, then object id. People who were only ever excluded are dropped.
	Freeze(ctx context.Context, id PreviewID, f Facts, now time.Time, ready func(Preview) []audit.Event) (Preview, error)
	// FailPreview ends an expansion that did not finish and drops what it found.
	FailPreview(ctx context.Context, id PreviewID, why string, now time.Time) error
	// StalePreviews fails the expansions whose last beat is older than before: their process is gone.
	StalePreviews(ctx context.Context, before time.Time, why string, now time.Time) error
	// PurgePreviews deletes previews older than before that never became a run, with their lists.
	PurgePreviews(ctx context.Context, before time.Time) error

	Preview(ctx context.Context, id PreviewID) (Preview, error)
	// Previews lists the latest previews of one operator that never became a run, newest first.
	Previews(ctx context.Context, operator string, limit int) ([]Preview, error)
	// Targets returns a page of a frozen list, in order of position.
	Targets(ctx context.Context, id PreviewID, q TargetQuery) ([]Target, error)
	// Leftovers returns a page of the people left out, in order of position.
	Leftovers(ctx context.Context, id PreviewID, q TargetQuery) ([]Leftover, error)
	// Compare says who is in the list of one and not in that of the other; the lists name at most limit people.
	Compare(ctx context.Context, before, after PreviewID, limit int) (Difference, error)

	// SaveScope stores a scope, new (Version 0) or changed; ErrConflict when it was changed since Version, or is not its owner's.
	SaveScope(ctx context.Context, s SavedScope) (SavedScope, error)
	SavedScope(ctx context.Context, id string) (SavedScope, error)
	// SavedScopes lists scopes with a title, by title, and the drafts of one operator, newest first.
	SavedScopes(ctx context.Context, operator string) ([]SavedScope, error)
	DeleteScope(ctx context.Context, id, owner string) error

	Protected(ctx context.Context) ([]ProtectedAccount, error)
	// Protect adds an account, or changes what is noted of it; Unprotect removes one (ErrNotFound when it was not there).
	Protect(ctx context.Context, a ProtectedAccount, events []audit.Event) error
	Unprotect(ctx context.Context, oid string, events []audit.Event) error
}

// Sift says whether a candidate is left out of a list, and why; "" means that it stays in. It is where rules 4, 6 and
// 7 are applied to a plan.
func Sift(c Candidate, creator string, o PlanOptions, protected bool) Cause {
	switch {
	case protected:
		return LeftProtected
	case c.OID == creator && !o.IncludeSelf:
		return LeftSelf
	case c.Excluded:
		return LeftExcluded
	case c.External() && !o.IncludeExternal:
		return LeftExternal
	}
	for _, f := range o.Without {
		if c.Has(f) {
			return LeftFlag
		}
	}
	return ""
}

// Rank orders a list: privileged people first, then the rest, external accounts, other operators of Evict who have
// unfinished runs, and the operator last (rule 7).
func Rank(t Target, creator string, operates bool) int {
	switch {
	case t.OID == creator:
		return 4
	case operates:
		return 3
	case t.External():
		return 2
	case t.Has(FlagPrivileged):
		return 0
	default:
		return 1
	}
}
