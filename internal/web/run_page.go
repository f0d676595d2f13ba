package web

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"evict/internal/audit"
	"evict/internal/revoke"
	"evict/web/templates"
)

func runRows(runs []revoke.RunSummary, now time.Time) []templates.RunRow {
	var out []templates.RunRow
	for _, r := range runs {
		row := templates.RunRow{
			Href: "/runs/" + string(r.ID), When: showTime(r.CreatedAt, now),
			By:    templates.Person{Name: r.Operator.Name, UPN: r.Operator.UPN, ID: r.Operator.OID},
			State: templates.RunState(r.State), Detail: string(r.Pause), Ticket: r.Ticket, Reason: r.Reason,
		}
		if r.Preview != "" {
			row.Count, row.Tally, row.Detail = people(r.Total), tally(r.Run), stateDetail(r.Run)
		} else {
			row.Target = templates.Person{Name: r.First.Name, UPN: r.First.UPN, ID: r.First.OID}
			row.Outcome = templates.Outcome(r.First.State)
		}
		out = append(out, row)
	}
	return out
}

// newRunLive builds everything on a run's page that may change. signIn is where its own operator signs in again for it;
// "" for others, who cannot resume it.
func newRunLive(run revoke.Run, targets []revoke.RunTarget, signIn, cloud string, now time.Time) templates.RunLive {
	live := templates.RunLive{
		Href: "/runs/" + string(run.ID), Active: run.State == revoke.RunRunning || run.State == revoke.RunQueued,
		ID: string(run.ID), Title: runTitle(run, targets), State: templates.RunState(run.State), StateDetail: string(run.Pause),
		Crumb:  joinNonEmpty(" · ", run.Ticket, "started "+showTime(run.CreatedAt, now).UTC+" by "+orElse(run.Operator.UPN, run.Operator.OID)),
		Reason: run.Reason, Ticket: run.Ticket, Total: run.Total,
		Evidence: []templates.Fact{
			{Label: "Run", Value: templates.Value{Text: string(run.ID), Mono: true, Copy: true}},
			{Label: "Plan digest", Value: templates.Value{Text: run.Digest, Mono: true, Copy: true}},
			{Label: "Ledger events", Value: templates.Value{Text: strconv.Itoa(run.Events)}},
		},
	}
	if run.State == revoke.RunPaused && run.Pause == revoke.PauseNeedSignIn {
		live.Notes = append(live.Notes, needsSignIn(run, targets, signIn))
		if signIn != "" {
			live.Actions = []templates.RunAction{{Label: "Resume", Action: live.Href + "/resume", Primary: true, Busy: "Resuming…"}}
		}
	}
	for _, t := range targets {
		live.Targets = append(live.Targets, runTarget(t))
	}
	if len(targets) == 1 {
		oneTarget(&live, run, targets[0], cloud, now)
	}
	return live
}

func runTitle(run revoke.Run, targets []revoke.RunTarget) string {
	if len(targets) == 1 {
		return "Sessions of " + orElse(targets[0].Name, targets[0].UPN)
	}
	return "Sessions of " + people(run.Total)
}

func needsSignIn(run revoke.Run, targets []revoke.RunTarget, signIn string) templates.Note {
	if signIn == "" {
		return templates.Note{Title: "Waits for a sign-in", Text: run.Operator.UPN + " must sign in again. Only they can resume this run; revoking this person yourself is harmless."}
	}
	n := templates.Note{Title: "Waits for a sign-in", Text: run.Operator.UPN + " must sign in again before this can go on. Nothing is lost; after the sign-in, press Resume here."}
	n.Link = templates.Link{Label: "Sign in again", Href: signIn}
	if run.Self && len(targets) == 1 && targets[0].State == revoke.Accepted {
		n.Text = "You signed yourself out everywhere, so only your next sign-in can confirm it. It does so by itself."
	}
	return n
}

// oneTarget adds what a run of one person shows: where it stands, what happened, the clock, and the words to pass on.
func oneTarget(live *templates.RunLive, run revoke.Run, t revoke.RunTarget, cloud string, now time.Time) {
	live.Status, live.Outcome = statusSentence(run, t, now), templates.Outcome(t.State)
	live.Clock = templates.Clock{ExchangeOnly: exchangeOnly(cloud), External: t.External(), Disabled: t.Has(revoke.FlagDisabled)}
	live.NothingCut = t.Accepts == 0 && t.State != revoke.Confirmed
	if t.State == revoke.Confirmed {
		live.Clock.Recorded = showTime(t.After, now)
		live.Clock.Until = clockTime(t.After.Add(90 * time.Minute))
		live.Clock.UntilNoCA = clockTime(t.After.Add(2 * time.Hour))
	}
	if t.State.Final() || t.Accepts > 0 {
		live.TicketText, live.CallerText = ticketText(run, t, cloud), callerText(t, cloud)
		if cloud == "simulator" {
			live.CallerText = "(Rehearsal: read this to nobody.) " + live.CallerText
		}
	}
	if t.State.Final() {
		live.AgainHref = "/users/" + t.OID
	}
}

// statusSentence is where it stands, in one sentence that is true.
func statusSentence(run revoke.Run, t revoke.RunTarget, now time.Time) string {
	if run.State == revoke.RunPaused {
		return stillSentence(t)
	}
	switch t.State {
	case revoke.Confirmed:
		return "Entra has recorded that sign-ins from before " + showTime(t.After, now).UTC + " get no new token."
	case revoke.Accepted:
		return "Microsoft accepted it; reading back whether Entra has recorded it, for up to ten minutes."
	case revoke.Attempting:
		if t.Lost {
			return "The answer was lost or unclear; reading back whether it took effect."
		}
		return "Asking Microsoft to revoke."
	case revoke.Pending:
		return "Waiting for the next attempt" + dueWords(t.DueAt, now) + ". " + t.Message
	case revoke.NotCovered:
		return t.Message
	case revoke.Unconfirmed:
		return t.Message
	case revoke.Refused:
		return "The sessions live on. " + t.Message
	case revoke.Skipped:
		return t.Message
	default:
		return "Nothing is proven: treat the sessions as alive. " + t.Message
	}
}

// stillSentence is where a paused run stands: nobody is at work on it.
func stillSentence(t revoke.RunTarget) string {
	switch {
	case t.State == revoke.Accepted:
		return "Stands still. Microsoft accepted the call; whether Entra has recorded it is not known yet."
	case t.State == revoke.Attempting:
		return "Stands still. Whether the last call took effect is not known yet."
	default:
		return "Stands still. Nothing has been revoked by this run. " + t.Message
	}
}

func dueWords(due, now time.Time) string {
	if d := due.Sub(now); d > time.Second {
		return " in " + wait(d)
	}
	return ""
}

func runTarget(t revoke.RunTarget) templates.RunTarget {
	out := templates.RunTarget{
		Person:  templates.Person{Name: t.Name, UPN: t.UPN, ID: t.OID, Href: "/users/" + t.OID},
		Outcome: templates.Outcome(t.State), Flags: flagTags(t.Flags), Cause: t.Message, RequestID: t.RequestID, ErrorCode: t.Code,
	}
	if t.Attempt > 1 {
		out.Attempt = "attempt " + strconv.Itoa(t.Attempt)
	}
	if t.Settled != "" {
		out.Cause = joinNonEmpty(" ", out.Cause, upperFirst(t.Settled)+".")
	}
	out.WayOut, out.Link = wayOut(t)
	return out
}

// wayOut is what to do about an outcome that is not a success.
func wayOut(t revoke.RunTarget) (string, templates.Link) {
	card := templates.Link{Label: "Open the user card", Href: "/users/" + t.OID}
	switch t.State {
	case revoke.Refused:
		return "The user card says which role could act. Ask someone who holds it, or activate it if you are eligible, and revoke again.", card
	case revoke.Failed:
		return "Try again from the user card; a repeat is harmless. If it cannot wait, block the account in the Entra admin center.", card
	case revoke.Unconfirmed:
		return "Treat the sessions as alive: block the account, look at it in the Entra admin center, and revoke again.", card
	case revoke.NotCovered:
		return "Block or remove the guest here, and ask the home tenant to revoke.", templates.Link{}
	case revoke.Skipped:
		return "Nothing to do if the account was deleted on purpose; a deleted account gets no tokens.", templates.Link{}
	default:
		return "", templates.Link{}
	}
}

// timeline is what happened, from the ledger itself. linked says whether the reader may open its events.
func timeline(records []audit.Record, linked bool, now time.Time) []templates.TimelineEntry {
	var out []templates.TimelineEntry
	for _, r := range slices.Backward(records) { // oldest first
		e := r.Event
		at, _ := audit.ParseTime(e.Time) // written by us
		entry := templates.TimelineEntry{Time: showTime(at, now), Title: eventTitle(e), Tone: eventTone(e.Kind)}
		if linked {
			entry.Event = templates.Link{Label: "event " + strconv.FormatInt(r.Seq, 10), Href: eventHref(r.Seq)}
		}
		if ev := e.Evidence; ev != nil {
			entry.Text = joinNonEmpty(" ", ev.Message, upperFirst(ev.Settled))
			evidenceFields(func(label, text string, id bool) {
				if text != "" && label != "Message" && label != "Settled" {
					entry.Facts = append(entry.Facts, templates.Fact{Label: label, Value: templates.Value{Text: text, Mono: id, Copy: id}})
				}
			}, ev)
		}
		out = append(out, entry)
	}
	return out
}

// eventTitle says an event of a run for people.
func eventTitle(e audit.Event) string {
	title := upperFirst(kindWords(e.Kind))
	switch e.Kind { //nolint:exhaustive // the others say what they are
	case audit.TargetAttempted:
		return "Attempt " + strconv.Itoa(e.Attempt) + " recorded, then Microsoft was called"
	case audit.TargetAccepted:
		return "Microsoft accepted attempt " + strconv.Itoa(e.Attempt)
	case audit.SignedOut:
		return "Console sessions of the target ended"
	}
	if e.Outcome == string(revoke.Pending) {
		title = upperFirst(triedAgain(e.Kind))
	}
	return upperFirst(strings.TrimPrefix(title, "Target "))
}

func eventTone(k audit.Kind) templates.Tone {
	switch k {
	case audit.TargetConfirmed:
		return templates.ToneOK
	case audit.TargetRefused, audit.TargetFailed, noEvent:
		return templates.ToneNo
	case audit.TargetUnconfirmed, audit.TargetNotCovered, audit.RunPaused:
		return templates.ToneWarn
	default:
		return templates.ToneNone
	}
}

// exchangeOnly: in the US government clouds continuous access evaluation covers Exchange alone (Microsoft Learn,
// Continuous access evaluation).
func exchangeOnly(cloud string) bool { return strings.HasPrefix(cloud, "usgov") }

func stamp(t time.Time) string {
	if t.IsZero() {
		return "not read"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// ticketText is the block for the ticket: plain text, every fact with its id.
func ticketText(run revoke.Run, t revoke.RunTarget, cloud string) string {
	var b strings.Builder
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", label, strings.Join(strings.Fields(value), " "))
		}
	}
	if cloud == "simulator" {
		b.WriteString("REHEARSAL on a simulated tenant: nothing was revoked\n")
	}
	fmt.Fprintf(&b, "Microsoft Entra sign-in sessions: revocation %s\n", t.State)
	line("Person", t.Name+" <"+t.UPN+">")
	line("Object id", t.OID)
	line("Operator", run.Operator.UPN)
	line("Reason", run.Reason)
	line("Ticket", run.Ticket)
	line("Attempted", stamp(t.T0)+" (Graph's clock), attempt "+strconv.Itoa(t.Attempt))
	line("Valid from before", stamp(t.Before))
	line("Valid from after", stamp(t.After))
	line("Cause", t.Message)
	line("Settled", t.Settled)
	line("Graph request-id", t.RequestID)
	line("Run", string(run.ID))
	line("Plan digest", run.Digest)
	if t.State == revoke.Confirmed {
		b.WriteString("Not stopped: a new sign-in with known credentials. Access tokens issued before may work until about " + clockTime(t.After.Add(90*time.Minute)) + ".\n")
	}
	return b.String()
}

// callerText is what may be read to the caller: true, short, without jargon.
func callerText(t revoke.RunTarget, cloud string) string {
	soon := "Mail, Teams and SharePoint stop"
	if exchangeOnly(cloud) {
		soon = "Mail stops"
	}
	if t.State == revoke.Confirmed && t.Has(revoke.FlagDisabled) {
		return "Your account is blocked and its sign-ins have been cut off. " + soon + " within about 15 minutes; some other apps can go on until about " + clockTime(t.After.Add(90*time.Minute)) + ". Nobody can sign in with it until it is unblocked."
	}
	switch t.State {
	case revoke.Confirmed:
		return "Your sign-ins have been cut off: everywhere you were signed in, you will be asked to sign in again. " + soon + " within about 15 minutes; some other apps can go on until about " + clockTime(t.After.Add(90*time.Minute)) + ". If somebody knows your password, they could sign in again, so we change it next, and cut once more after that."
	case revoke.Accepted:
		return "Microsoft has taken the order to cut off your sign-ins, and I am waiting for the proof that it holds. Please treat them as still open until I say so."
	case revoke.NotCovered:
		if !t.Has(revoke.FlagExternal) {
			return "I have asked for your sign-ins to be cut off, but cannot be sure that it reaches all of them. If your account belongs to another organisation, please ask its IT to do it too."
		}
		return "Your account is kept by your own organisation, so we cannot end your sign-ins from here. Please ask your own IT to do it now. We can block your access to our side meanwhile."
	case revoke.Refused:
		return "I am not allowed to do this for your account; a colleague with more rights has to. I am passing it on now, and your sign-ins go on until then."
	case revoke.Skipped:
		return "Your account is no longer in our directory, so nobody can newly sign in with it. What was open can go on for an hour or so."
	default:
		return "I could not make sure that your sign-ins are cut off, so please treat them as still open. I am trying again, and we block the account if it goes on."
	}
}
