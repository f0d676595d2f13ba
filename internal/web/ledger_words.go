package web

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"evict/internal/audit"
	"evict/internal/revoke"
	"evict/web/templates"
)

// kindName says a kind for people. One that is not known is shown as it stands.
func kindName(k audit.Kind) string {
	if words, ok := kindNames()[k]; ok {
		return words
	}
	return kindWords(k)
}

func kindNames() map[audit.Kind]string {
	return map[audit.Kind]string{
		audit.LedgerOpened: "ledger opened",
		audit.SignedIn:     "signed in", audit.SignedOut: "signed out", audit.SignInFailed: "sign-in failed",
		audit.SignInDenied:  "signed in, but holds no console role",
		audit.PlanPreviewed: "list previewed", audit.PlanCreated: "plan created",
		audit.RunStarted: "run started", audit.RunStopping: "stop of a run asked for", audit.RunPaused: "run paused",
		audit.RunResumed: "run resumed", audit.RunCancelled: "run cancelled", audit.RunFinished: "run finished",
		audit.TargetAttempted: "target attempted", audit.TargetAccepted: "target accepted", audit.TargetConfirmed: "target confirmed",
		audit.TargetUnconfirmed: "target unconfirmed", audit.TargetNotCovered: "target not covered", audit.TargetRefused: "target refused",
		audit.TargetFailed: "target failed", audit.TargetSkipped: "target skipped",
		audit.SettingsChanged: "settings changed", audit.OutsideAction: "revoked outside Evict",
		audit.LedgerKey: "signing key named", audit.LedgerExported: "taken away", audit.LedgerVerified: "ledger verified",
		audit.Reconciled: "compared with Entra's log", audit.LedgerRollback: "rollback accepted", audit.LedgerRemoved: "events removed",
		audit.LedgerUnwitnessed: "console started without an outside checkpoint",
	}
}

// noEvent is the kind of what is read from bytes that are no event: somebody altered them.
const noEvent audit.Kind = ""

// kindWords says a kind, or a name inside an event, as it stands: "target attempted".
func kindWords(k audit.Kind) string {
	if k == noEvent {
		return "altered: no longer an event"
	}
	return strings.NewReplacer(".", " ", "_", " ").Replace(string(k))
}

// kindOptions are all kinds for the filter.
func kindOptions() []templates.Option {
	var out []templates.Option
	for _, k := range audit.Kinds() {
		out = append(out, templates.Option{Value: string(k), Label: kindName(k)})
	}
	return out
}

// eventWords says what an event tells, without the outcome of an attempt, which stands beside it: "target", "protected
// account added".
func eventWords(e audit.Event) string {
	d := e.Detail
	switch e.Kind { //nolint:exhaustive // the others are said by their kind
	case audit.SettingsChanged:
		if d["protected_account"] != "" {
			return "protected account " + d["protected_account"]
		}
	case audit.SignedIn:
		if d["session"] == "renewed" {
			return "signed in again"
		}
	case audit.SignedOut:
		return withCause(kindName(e.Kind), joinNonEmpty(", ", d["cause"], d["how"]))
	case audit.PlanPreviewed, audit.PlanCreated:
		if n, err := strconv.Atoi(d["targets"]); err == nil {
			return map[audit.Kind]string{audit.PlanPreviewed: "list", audit.PlanCreated: "plan"}[e.Kind] + " of " + people(n) +
				map[audit.Kind]string{audit.PlanPreviewed: " previewed", audit.PlanCreated: " created"}[e.Kind]
		}
	case audit.RunStarted, audit.RunStopping, audit.RunPaused, audit.RunResumed, audit.RunCancelled, audit.RunFinished:
		return runWords(e)
	case audit.OutsideAction, audit.LedgerKey, audit.LedgerExported, audit.LedgerVerified, audit.Reconciled, audit.LedgerRemoved,
		audit.LedgerRollback, audit.LedgerUnwitnessed:
		return trailWords(e)
	}
	switch {
	case e.Outcome == string(revoke.Pending):
		return triedAgain(e.Kind)
	case rowOutcome(e) == "":
		return kindName(e.Kind)
	default:
		return "target"
	}
}

// triedAgain is an attempt that did not settle its target.
func triedAgain(k audit.Kind) string {
	if k == audit.TargetRefused { // a second refusal settles it
		return "target refused once, tried again"
	}
	return kindName(k) + ", to be tried again"
}

// stampedWords say why a proof may lie before its attempt.
const stampedWords = "Microsoft stamps whole seconds, so the proof is at or after the attempt less 5 s."

// detailField is what an event of a kind says besides its fields, and what the page calls it.
type detailField struct{ name, label string }

// detailFields are those of a kind that the page tells in an order and in words of their own.
func detailFields(k audit.Kind) []detailField {
	switch k { //nolint:exhaustive // the others are told by the alphabet
	case audit.Reconciled:
		return []detailField{
			{"from", "Compared from"}, {"to", "Compared to"}, {"source", "Rows were"}, {"file", "File"}, {"sha256", "SHA-256 of the file"},
			{"rows", "Rows of Entra’s"}, {"matched", "In both logs"}, {"missing", "Of Evict’s without a row"},
			{"early", "Of Evict’s, too early to tell"}, {"old", "Of Evict’s, too old to tell"}, {"unsure", "Of Evict’s, that need no row"},
			{"foreign", "Of Entra’s without an event"}, {"named", "By accounts named like the sync service"},
			{"own", "By people for themselves"}, {"sync", "By the sync service"}, {"unreadable", "Rows that could not be read"},
		}
	case audit.LedgerVerified:
		return []detailField{
			{"size", "Events"}, {"problems", "Problems"}, {"first", "What is wrong, from the beginning"}, {"rollbacks", "Rollbacks accepted, events"},
		}
	case audit.LedgerRollback:
		return []detailField{
			{"old_size", "Events of the last checkpoint"}, {"size", "Events that were there"}, {"old_root", "Root of the last checkpoint"},
			{"root", "Root that was there"}, {"old_checkpoint", "Last checkpoint"}, {"by", "Accepted by"},
		}
	}
	return nil
}

// details are all of an event: first those with an order of their own.
func details(e audit.Event) []detailField {
	fields := slices.DeleteFunc(detailFields(e.Kind), func(f detailField) bool { _, there := e.Detail[f.name]; return !there })
	for _, name := range slices.Sorted(maps.Keys(e.Detail)) {
		if !slices.ContainsFunc(fields, func(f detailField) bool { return f.name == name }) {
			fields = append(fields, detailField{name, upperFirst(kindWords(audit.Kind(name)))})
		}
	}
	return fields
}

func runWords(e audit.Event) string {
	switch e.Kind { //nolint:exhaustive // the others are said by their kind
	case audit.RunStopping:
		asked := map[string]string{string(revoke.WishPause): "pause of a run asked for", string(revoke.WishCancel): "cancelling of a run asked for"}[e.Detail["asked"]]
		return withCause(orElse(asked, kindName(e.Kind)), e.Detail["cause"])
	case audit.RunResumed:
		if e.Outcome == "" {
			return "wish to pause a run taken back"
		}
	case audit.RunCancelled, audit.RunFinished:
		words, _ := tallyOf(e.Detail)
		return withCause(kindName(e.Kind), words)
	}
	return withCause(kindName(e.Kind), e.Detail["cause"])
}

// trailWords says what was done to the ledger itself, or recorded in it by hand.
func trailWords(e audit.Event) string {
	d := e.Detail
	switch e.Kind { //nolint:exhaustive // the others are said by their kind
	case audit.OutsideAction:
		return joinNonEmpty(", by ", kindName(e.Kind), d["how"])
	case audit.LedgerKey:
		if d["old_key"] != "" {
			return "signing key changed"
		}
	case audit.LedgerExported:
		return withCause(kindName(e.Kind), joinNonEmpty(", ", d["what"], d["format"]))
	case audit.LedgerVerified, audit.Reconciled:
		return withCause(kindName(e.Kind), e.Outcome)
	case audit.LedgerRollback:
		words := withCause(kindName(e.Kind), rollbackOf(e).went())
		if d["by"] != "" {
			words += ", by " + d["by"]
		}
		return words
	case audit.LedgerRemoved:
		if n, err := strconv.Atoi(d["events"]); err == nil {
			return counted(n, "event") + " removed by retention"
		}
	}
	return kindName(e.Kind)
}

func withCause(words, cause string) string { return joinNonEmpty(": ", words, cause) }

// rowOutcome is how an attempt on a target ended; "" for every other event, and while it is tried again.
func rowOutcome(e audit.Event) templates.Outcome {
	if e.Outcome == string(revoke.Pending) {
		return ""
	}
	switch e.Kind {
	case audit.TargetConfirmed:
		return templates.OutcomeConfirmed
	case audit.TargetUnconfirmed:
		return templates.OutcomeUnconfirmed
	case audit.TargetNotCovered:
		return templates.OutcomeNotCovered
	case audit.TargetRefused:
		return templates.OutcomeRefused
	case audit.TargetFailed:
		return templates.OutcomeFailed
	case audit.TargetSkipped:
		return templates.OutcomeSkipped
	default:
		return ""
	}
}

// tallied are the states that a closing event counts, in the order in which pages say them.
func tallied() []revoke.State {
	return []revoke.State{
		revoke.Confirmed, revoke.Unconfirmed, revoke.NotCovered, revoke.Refused, revoke.Failed, revoke.Skipped, revoke.Cancelled,
		revoke.Accepted, revoke.Attempting, revoke.Pending,
	}
}

// tallyOf says the counts of a closing event, and how many people they are.
func tallyOf(detail map[string]string) (words string, total int) {
	tags, total := tallyTags(detail)
	parts := make([]string, len(tags))
	for i, t := range tags {
		parts[i] = t.Label
	}
	return strings.Join(parts, ", "), total
}

// tallyTags says each count by itself.
func tallyTags(detail map[string]string) (tags []templates.Tag, total int) {
	for _, state := range tallied() {
		if n, err := strconv.Atoi(detail[string(state)]); err == nil && n > 0 {
			tags = append(tags, templates.Tag{Label: thousands(n) + " " + string(state), Tone: outcomeTone(state)})
			total += n
		}
	}
	if n := neverAttempted(detail); n > 0 {
		tags = append(tags, templates.Tag{Label: thousands(n) + " never called"})
		total += n
	}
	return tags, total
}

// neverAttempted is how many positions a closing event names as not called: "341-1200".
func neverAttempted(detail map[string]string) int {
	var from, to int
	if n, err := fmt.Sscanf(detail["never_attempted"], "%d-%d", &from, &to); err != nil || n != 2 || from < 1 || to < from {
		return 0
	}
	return to - from + 1
}
