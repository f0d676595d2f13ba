package web

import (
	"time"

	"evict/internal/audit"
	"evict/internal/revoke"
	"evict/web/templates"
)

// endTone colours how a run ended: well, only when everybody is proven cut off.
func endTone(run revoke.Run) templates.Tone {
	switch {
	case run.State == revoke.RunFinished && run.Counts[revoke.Confirmed] == run.Total:
		return templates.ToneOK
	case run.State == revoke.RunFinished || run.State == revoke.RunCancelled:
		return templates.ToneWarn
	default:
		return templates.ToneNone
	}
}

// stateDetail says beside the state what somebody wishes of the run, or why it stands still.
func stateDetail(run revoke.Run) string {
	switch {
	case run.State == revoke.RunRunning && run.Wish == revoke.WishPause:
		return "pausing"
	case run.State == revoke.RunRunning && run.Wish == revoke.WishCancel:
		return "cancelling"
	case run.State == revoke.RunPaused && run.Pause == revoke.PauseOperator:
		return "by request"
	case run.State == revoke.RunPaused:
		return string(run.Pause)
	default:
		return ""
	}
}

// finals is how many targets have their outcome.
func finals(c revoke.Counts) int {
	n := 0
	for state, of := range c {
		if state.Final() {
			n += of
		}
	}
	return n
}

// manyStatus is where a run of many stands, in a sentence. It changes a few times in a run, not with each number: a
// screen reader reads it out whenever it does.
func manyStatus(v manyView) string {
	run := v.run
	switch run.State {
	case revoke.RunQueued:
		return "Waits for its turn."
	case revoke.RunRunning:
		return runningStatus(run)
	case revoke.RunPaused:
		return "Stands still. " + orElse(stoppedBy(v), pauseStatus(run.Pause))
	case revoke.RunCancelled:
		return "Cancelled. " + proven(run) + neverCalled(run)
	default:
		return "Finished. " + proven(run)
	}
}

func runningStatus(run revoke.Run) string {
	switch {
	case run.Wish == revoke.WishPause:
		return "Pausing: nobody new is called; calls that were made get their outcome first."
	case run.Wish == revoke.WishCancel:
		return "Cancelling: nobody new is called; calls that were made get their outcome first."
	case !run.Canary && run.Limit == revoke.LimitCanary:
		return "Begins with care: the first 20 must answer, and one of them be confirmed, before the rest goes."
	case run.Untouched()+run.Counts[revoke.Pending] == 0:
		return "Everybody was called. Reading back whether Entra has recorded it."
	}
	switch done := 4 * finals(run.Counts) / max(run.Total, 1); {
	case done >= 3:
		return "Going on: more than three quarters are done."
	case done == 2:
		return "Going on: more than half is done."
	case done == 1:
		return "Going on: more than a quarter is done."
	default:
		return "Going on."
	}
}

// stoppedBy says who paused a run, and when; "" when the ledger does not tell.
func stoppedBy(v manyView) string {
	e := v.stopped
	if e == nil || e.Operator == nil {
		return ""
	}
	at, _ := audit.ParseTime(e.Time) // written by us
	s := "Paused by " + orElse(e.Operator.UPN, e.Operator.OID) + ", " + showTime(at, v.now).UTC
	if e.Detail["cause"] != "" {
		s += ": " + e.Detail["cause"]
	}
	return s + "."
}

func pauseStatus(p revoke.Pause) string {
	switch p {
	case revoke.PauseNeedSignIn:
		return "Microsoft asks its operator to sign in again."
	case revoke.PauseNeedRole:
		return "Microsoft refused many in a row who were expected to be allowed."
	case revoke.PauseCanary:
		return "The first people were called, and none of them was confirmed."
	case revoke.PauseStale:
		return "Nothing happened for more than two hours."
	case revoke.PauseOperator, revoke.NotPaused:
	}
	return "Somebody paused it."
}

// proven says what is certain once a run has ended.
func proven(run revoke.Run) string {
	confirmed := run.Counts[revoke.Confirmed]
	switch {
	case confirmed == run.Total:
		return "Everybody is proven cut off."
	case confirmed == 0:
		return "Nobody is proven cut off."
	default:
		return thousands(confirmed) + " of " + thousands(run.Total) + " are proven cut off; " + thousands(run.Total-confirmed) + " are not."
	}
}

func neverCalled(run revoke.Run) string {
	if n := run.Untouched(); n > 0 {
		return " " + people(n) + " never called: their sessions live on."
	}
	return ""
}

// manyNotes say why a run stands still, and the way on.
func manyNotes(v manyView) []templates.Note {
	if v.run.State != revoke.RunPaused {
		return nil
	}
	who := orElse(v.run.Operator.UPN, v.run.Operator.OID)
	n := templates.Note{Title: "To go on"}
	switch v.run.Pause {
	case revoke.PauseNeedSignIn:
		n.Text = "Sign in again, then press Continue. Nobody was skipped."
		n.Link = templates.Link{Label: "Sign in again", Href: v.signIn}
		if v.mine() && v.signedIn.After(lastMoved(v)) {
			n = templates.Note{Tone: templates.ToneOK, Title: "You have signed in again", Text: "Press Continue, and the run goes on."}
		}
	case revoke.PauseNeedRole:
		n.Text = "A role of yours may have ended, such as an activation in Privileged Identity Management. Activate it again, then press Continue. Those who were refused can be tried again at the end."
	case revoke.PauseCanary:
		n.Text = "Look at the rows below before you press Continue: it calls everybody else without this safeguard."
	case revoke.PauseStale:
		n.Text = "Much may have changed since. Look at the list of those not called yet, or expand the scope again; then press Continue, or cancel the rest."
	case revoke.PauseOperator, revoke.NotPaused:
		n.Text = "Press Continue."
	}
	if !v.mine() {
		n.Link = templates.Link{}
		n.Text = "Only " + who + " can continue this run, because it acts with their rights. You may cancel the rest and plan those people again yourself."
		if !v.may("run.cancel") {
			n.Text = "Only " + who + " can continue this run, because it acts with their rights."
		}
	}
	n.Text += " A run that stands still is cancelled after 24 hours."
	return []templates.Note{n}
}

// lastMoved is when the run's worker last kept a sample of its progress.
func lastMoved(v manyView) time.Time {
	if len(v.samples) == 0 {
		return v.run.CreatedAt
	}
	return v.samples[len(v.samples)-1].At
}

// manyActions are the buttons, for those who may press them.
func manyActions(v manyView) []templates.RunAction {
	href := "/runs/" + string(v.run.ID)
	var out []templates.RunAction
	running := v.run.State == revoke.RunRunning
	if v.run.State == revoke.RunPaused && v.mine() && v.may("run.resume") {
		out = append(out, templates.RunAction{Label: "Continue", Action: href + "/resume", Primary: true, Busy: "Continuing…"})
	}
	if running && v.run.Wish == revoke.NoWish && v.may("run.pause") {
		out = append(out, templates.RunAction{
			Label: "Pause", Action: href + "/pause", Busy: "Pausing…", Yes: "Pause the run",
			Confirm: "Nobody new is called until its operator continues it. Calls that were made get their outcome first.",
		})
	}
	if running && v.run.Wish == revoke.WishPause && v.may("run.pause") {
		out = append(out, templates.RunAction{
			Label: "Do not pause", Action: href + "/pause", Busy: "Going on…", Hidden: []templates.Hidden{{Name: templates.FieldTakeBack, Value: "yes"}},
		})
	}
	if (running && v.run.Wish != revoke.WishCancel || v.run.State == revoke.RunPaused) && v.may("run.cancel") {
		out = append(out, templates.RunAction{
			Label: "Cancel the rest", Action: href + "/cancel", Busy: "Cancelling…", Yes: "Cancel the rest", Confirm: cancelWords(v.run),
		})
	}
	return out
}

func cancelWords(run revoke.Run) string {
	s := "What was done stays done, and cannot be undone. A cancelled run does not go on; the others can be planned again."
	if n := run.Untouched(); n > 0 {
		s = people(n) + oneOf(n, " is", " are") + " not called any more: " + oneOf(n, "the sessions live", "their sessions live") + " on. " + s
	}
	return s
}
