package audit

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// RevocationActivity is what Entra's directory audit log calls a revocation: category UserManagement, logged by Core
// Directory (Microsoft Entra, audit activity reference). Other things write it too: see Reconciliation.
const RevocationActivity = "Update StsRefreshTokenValidFrom Timestamp"

// Limits of one comparison. Microsoft's own download of the log ends at 250,000 rows as well.
const (
	MaxSpan   = Kept
	MaxClaims = 250_000 // of ours, and of Entra's rows
)

const (
	// Slack is how far the times of one revocation may lie apart in the two logs. Ours is taken before the call, which
	// may take 15 s and be repeated on its way; Entra's is of whole seconds on another clock. Evict waits five minutes
	// before it calls for the same person again, so a wider one could take one attempt for the next.
	Slack = 5 * time.Minute
	// HandSlack is the same for what a person wrote down: they round.
	HandSlack = 15 * time.Minute
	// Late is for how long a missing row means nothing. Rows appear minutes later; Microsoft used to publish 2 minutes
	// for 95 % and 5 for 99 %, and promises nothing now.
	Late = 15 * time.Minute
	// Kept is for how long Entra keeps the log that Microsoft Graph gives. Graph gives it only with Entra ID P1 or P2.
	Kept = 30 * 24 * time.Hour
)

// Witnessed is one row of Entra's own directory audit log that tells of a revocation. Ids are lower case.
type Witnessed struct {
	ID          string // "" where the export has none
	At          time.Time
	Correlation string
	ByOID       string // who did it; "" for an application
	ByUPN       string
	ByApp       string // the application's name; "" for a person
	TargetOID   string
	TargetUPN   string
	NewValue    string // of StsRefreshTokensValidFrom, as the row has it; may be ""
	Client      string // the modified property "Action Client Name"; "DirectorySync" for the synchronisation service; may be ""
}

// Claim says how sure the ledger is that Entra made a revocation.
type Claim int

// The claims.
const (
	Perhaps Claim = iota // refused, lost, still under way, or of an account that signs in elsewhere: it may have a row
	Surely               // Microsoft accepted it, or the time was seen to have moved: it must have a row
	ByHand               // somebody wrote down that they did it elsewhere
)

// Ours is what the ledger says of one attempt to revoke, or of a revocation that was recorded by hand.
type Ours struct {
	Seq      int64 // of the event that says it
	Run      string
	Operator Person
	Target   Person
	T0       time.Time // on Graph's clock
	Claim    Claim
	Outcome  string // as the event has it
}

// Window is the time that is compared: From <= t < To. What lies Slack beside it may still belong to what is inside.
type Window struct {
	From, To time.Time
	AsOf     time.Time // when Entra's log was read
	KeptFrom time.Time // rows from before may be gone from Entra's log; zero: none is
}

func (w Window) holds(t time.Time) bool { return !t.Before(w.From) && t.Before(w.To) }

// Pair is one revocation that both logs have.
type Pair struct {
	Ours Ours
	Row  Witnessed // its time may lie HandSlack beside the window
}

// Reconciliation is the comparison of both logs over a time. Of ours, Matched + Unwitness + Early + Old + Unsure is all; of
// Entra's rows, those that belong to ours, Foreign, Own, Sync and Named are all.
type Reconciliation struct {
	Matched   []Pair      // of ours, with a row
	Unwitness []Ours      // ours that must have a row, and have none
	Early     []Ours      // the same, but too young to tell
	Old       []Ours      // the same, but from before Window.KeptFrom
	Unsure    []Ours      // ours that need not have a row, and have none
	Rows      int         // Entra's
	Foreign   []Witnessed // rows without an event of ours, done by people to others or by applications; a password reset writes one too
	Own       []Witnessed // rows that people caused for themselves: a password change, or signing out everywhere
	Sync      []Witnessed // rows of the synchronisation service: password changes on premises
	Named     []Witnessed // rows by accounts and applications that are only named like it
	Faded     bool        // the window begins before Window.KeptFrom
	Fresh     bool        // it reaches into the last minutes (Late), of which rows may still come
	Unread    Unread      // rows that were not understood; whoever reads an export sets it
}

// Unread counts the rows of an export that were not understood: it is not the whole log then.
type Unread struct {
	Revocations int // about revocations
	Unknown     int // about what, they do not say
}

// All is how many they are.
func (u Unread) All() int { return u.Revocations + u.Unknown }

// The outcomes of a comparison, as its event says them.
const (
	Agrees  = "agrees"  // everything of ours that must have a row has one, and no other was revoked beside it
	Differs = "differs" // not so
	Unclear = "unclear" // nothing differs, but not all could be told
)

// Outcome is how the logs compare.
func (r Reconciliation) Outcome() string {
	switch {
	case len(r.Unwitness)+len(r.Foreign) > 0:
		return Differs
	case r.Faded || len(r.Early)+len(r.Named)+r.Unread.All() > 0:
		return Unclear
	default:
		return Agrees
	}
}

// FromSync reports whether a row is of the synchronisation service, by the client that it names: Microsoft's own hunting
// query goes by that.
func FromSync(w Witnessed) bool { return strings.EqualFold(w.Client, "DirectorySync") }

// NamedLikeSync reports whether a row is by an account with the name of the synchronisation service's
// (Sync_<server>_<id>, or ADToAADSyncServiceAccount of cloud sync), or by such an application
// (ConnectSyncProvisioning_<server>_<id>). It proves nothing: whoever may create users may create such a one.
func NamedLikeSync(w Witnessed) bool {
	upn, app := strings.ToLower(w.ByUPN), strings.ToLower(w.ByApp)
	return strings.HasPrefix(upn, "sync_") || strings.HasPrefix(upn, "adtoaadsyncserviceaccount@") ||
		strings.HasPrefix(app, "connectsyncprovisioning_")
}

// Reconcile compares the ledger with Entra's log. Both lists should reach Slack beyond the window. A row answers one
// event at most: by operator and target, as many as possible, and among those the nearest times. What must have a row
// goes before what may have one, and what was written down by hand, which any person may have done, comes last.
func Reconcile(ours []Ours, theirs []Witnessed, w Window) Reconciliation {
	m := newMatching(ours, theirs)
	exactly := func(c Claim) {
		m.pair(Slack, func(o Ours) (pairKey, bool) { return pairKey{o.Operator.OID, o.Target.OID}.lower(), o.Claim == c },
			func(t Witnessed) (pairKey, bool) { return pairKey{t.ByOID, t.TargetOID}.lower(), true })
	}
	exactly(Surely)
	exactly(Perhaps)
	// By hand means by anybody, but not by the synchronisation service: a password change on premises is none of ours.
	m.pair(HandSlack, func(o Ours) (pairKey, bool) { return pairKey{"", o.Target.OID}.lower(), o.Claim == ByHand },
		func(t Witnessed) (pairKey, bool) {
			return pairKey{"", t.TargetOID}.lower(), !FromSync(t) && !NamedLikeSync(t)
		})
	return m.result(w)
}

// pairKey is what both sides of a pair must share.
type pairKey struct{ by, target string }

func (k pairKey) lower() pairKey { return pairKey{strings.ToLower(k.by), strings.ToLower(k.target)} }

// matching holds which row answers which event.
type matching struct {
	ours   []Ours
	theirs []Witnessed
	answer []int  // of ours: the place of its row in theirs, or unanswered
	taken  []bool // of theirs
}

const unanswered = -1

func newMatching(ours []Ours, theirs []Witnessed) *matching {
	m := &matching{ours: ours, theirs: withoutRepeats(theirs)}
	m.answer, m.taken = slices.Repeat([]int{unanswered}, len(ours)), make([]bool, len(m.theirs))
	return m
}

// withoutRepeats drops rows that were read twice, as a page that moved while it was read brings them.
func withoutRepeats(rows []Witnessed) []Witnessed {
	seen := make(map[string]bool, len(rows))
	var out []Witnessed
	for _, r := range rows {
		if r.ID == "" || !seen[r.ID] {
			out = append(out, r)
		}
		seen[r.ID] = true
	}
	return out
}

// pair finds rows, among those that are meant, for those of ours that are meant and have none yet.
func (m *matching) pair(slack time.Duration, ours func(Ours) (pairKey, bool), theirs func(Witnessed) (pairKey, bool)) {
	waiting, rows := map[pairKey][]int{}, map[pairKey][]int{}
	for i, o := range m.ours {
		if k, meant := ours(o); meant && m.answer[i] == unanswered {
			waiting[k] = append(waiting[k], i)
		}
	}
	for i, t := range m.theirs {
		if k, meant := theirs(t); meant && len(waiting[k]) > 0 && !m.taken[i] {
			rows[k] = append(rows[k], i)
		}
	}
	for k, list := range rows {
		a, b := waiting[k], list
		slices.SortStableFunc(a, func(x, y int) int { return m.ours[x].T0.Compare(m.ours[y].T0) })
		slices.SortStableFunc(b, func(x, y int) int { return m.theirs[x].At.Compare(m.theirs[y].At) })
		m.clusters(a, b, slack)
	}
}

// mostTogether bounds the work on one cluster: its square is what nearest costs. Nobody revokes one person a thousand
// times without a pause; a file may claim it.
const mostTogether = 1000

// clusters takes two lists in the order of time apart where nothing on either side can belong together.
func (m *matching) clusters(a, b []int, slack time.Duration) {
	var last time.Time
	i, j, fromA, fromB := 0, 0, 0, 0
	for i < len(a) || j < len(b) {
		first := i < len(a) && (j == len(b) || !m.theirs[b[j]].At.Before(m.ours[a[i]].T0))
		at := func() time.Time {
			if first {
				return m.ours[a[i]].T0
			}
			return m.theirs[b[j]].At
		}()
		if at.Sub(last) > slack || i-fromA+j-fromB >= mostTogether {
			m.nearest(a[fromA:i], b[fromB:j], slack)
			fromA, fromB = i, j
		}
		if last = at; first {
			i++
		} else {
			j++
		}
	}
	m.nearest(a[fromA:], b[fromB:], slack)
}

// pairing is how well events and rows are paired: more pairs are better, then less time between them.
type pairing struct {
	pairs int
	apart time.Duration
}

func (f pairing) compare(g pairing) int {
	return cmp.Or(cmp.Compare(f.pairs, g.pairs), cmp.Compare(g.apart, f.apart))
}

// nearest pairs two short lists as well as can be. A best pairing crosses nowhere in time, so best[i][j], of the first i
// and the first j, follows from its neighbours.
func (m *matching) nearest(a, b []int, slack time.Duration) {
	if len(a) == 0 || len(b) == 0 {
		return
	}
	best := make([][]pairing, len(a)+1)
	best[0] = make([]pairing, len(b)+1)
	joined := func(i, j int) (pairing, bool) {
		apart := m.ours[a[i-1]].T0.Sub(m.theirs[b[j-1]].At).Abs()
		f := best[i-1][j-1]
		return pairing{f.pairs + 1, f.apart + apart}, apart <= slack
	}
	for i := 1; i <= len(a); i++ {
		best[i] = make([]pairing, len(b)+1)
		for j := 1; j <= len(b); j++ {
			best[i][j] = slices.MaxFunc([]pairing{best[i-1][j], best[i][j-1]}, pairing.compare)
			if f, near := joined(i, j); near && f.compare(best[i][j]) > 0 {
				best[i][j] = f
			}
		}
	}
	for i, j := len(a), len(b); i > 0 && j > 0; {
		switch best[i][j] {
		case best[i-1][j]:
			i--
		case best[i][j-1]:
			j--
		default:
			m.answer[a[i-1]], m.taken[b[j-1]] = b[j-1], true
			i, j = i-1, j-1
		}
	}
}

// result sorts out what lies in the window.
func (m *matching) result(w Window) Reconciliation {
	late := w.AsOf.Add(-Late)
	r := Reconciliation{Faded: w.From.Before(w.KeptFrom), Fresh: w.To.After(late)}
	for i, o := range m.ours {
		switch {
		case !w.holds(o.T0):
		case m.answer[i] != unanswered:
			r.Matched = append(r.Matched, Pair{o, m.theirs[m.answer[i]]})
		case o.Claim == Perhaps:
			r.Unsure = append(r.Unsure, o)
		case o.T0.After(late):
			r.Early = append(r.Early, o)
		case o.T0.Before(w.KeptFrom):
			r.Old = append(r.Old, o)
		default:
			r.Unwitness = append(r.Unwitness, o)
		}
	}
	for i, t := range m.theirs {
		if !w.holds(t.At) {
			continue
		}
		r.Rows++
		switch {
		case m.taken[i]:
		case FromSync(t):
			r.Sync = append(r.Sync, t)
		case NamedLikeSync(t):
			r.Named = append(r.Named, t)
		case t.ByOID != "" && strings.EqualFold(t.ByOID, t.TargetOID):
			r.Own = append(r.Own, t)
		default:
			r.Foreign = append(r.Foreign, t)
		}
	}
	byTime := func(x, y Witnessed) int { return x.At.Compare(y.At) }
	for _, list := range [][]Witnessed{r.Foreign, r.Own, r.Sync, r.Named} {
		slices.SortStableFunc(list, byTime)
	}
	return r
}
