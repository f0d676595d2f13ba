package revoke

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
)

// step is what one decision changes: one target, with the events that tell of it.
type step struct {
	was, now RunTarget
	kinds    []audit.Kind // events of the target, in order
	evict    bool         // the target was revoked: if they operate Evict, their console sessions end
}

// Words that people read; each says what happened and, where there is one, the way out.
const (
	settledByReading = "answer lost, settled by read-back"
	settledByAnother = "the recorded time is later than this call: another revocation moved it"

	sayExternal    = "This account signs in elsewhere. Microsoft answers 200 and revokes nothing: the home tenant keeps the session. Block or remove the guest here, and ask the home tenant."
	sayPerhaps     = "It could not be told whether this account signs in elsewhere, so it counts as external: if it does, its home tenant keeps the session."
	sayDeleted     = "The account is no longer in the directory."
	sayThrottled   = "Microsoft asked us to wait."
	sayStale       = "Nobody signed in to go on with this run for a day."
	sayThrottledOn = "Microsoft went on asking us to wait for an hour."
	sayUnread      = "The recorded time could not be read: %s."
	sayUnreached   = "Microsoft Graph could not be reached. Nothing was sent."
	sayNotMoved    = "Microsoft accepted the call, but the recorded time has not moved."
	sayFuture      = "The recorded time lies in the future: possible tampering, so nothing is proven."
	sayLost        = "The answer was lost, and the recorded time has not moved."
	sayServerError = "Microsoft Graph answered %d, and the recorded time has not moved."
	saySignIn      = "Microsoft asked for a new sign-in before it would act. Nothing was changed by this attempt."
	sayRefused     = "Microsoft refused: your directory roles do not cover this person."
	sayGone        = "The account was deleted before the cut could be read back."
)

// settle decides what the answer to a revoke call means. It is pure but for the clock.
func (w *worker) settle(was RunTarget, a directory.Answer, err error) step {
	t := was
	t.Status, t.RequestID, t.Code, t.Message = a.Status, a.RequestID, "", ""
	s := step{was: was}
	if err == nil {
		return w.settleAccepted(s, t, a)
	}
	call := &directory.CallError{}
	if errors.As(err, &call) {
		t.Status, t.RequestID, t.Code, t.Message = call.Status, call.RequestID, call.Code, call.Message
	}
	reauth, needsSignIn := errors.AsType[*operator.ReauthError](err)
	switch {
	case needsSignIn:
		t.State, t.DueAt, t.Message = Pending, w.now(), saySignIn
		t.Code = firstOf(t.Code, reauth.Code)
		s.kinds = []audit.Kind{audit.TargetFailed}
	case call.Status == http.StatusForbidden:
		s.kinds = []audit.Kind{audit.TargetRefused}
		t.Message = firstOf(call.Message, sayRefused)
		t.State, t.DueAt = Pending, w.now()
		if was.Status == http.StatusForbidden { // refused before, and again with a newly issued token
			t.State = Refused
		}
	case call.Status == http.StatusNotFound:
		t.State, t.Message = Skipped, sayDeleted
		s.kinds = []audit.Kind{audit.TargetSkipped}
	case call.Status == http.StatusTooManyRequests:
		t.State, t.Message = Pending, sayThrottled
		t.DueAt = w.now().Add(max(call.RetryAfter, retryGap(t.Attempt+1)))
		if w.now().Sub(w.run.CreatedAt) > throttledFor {
			t.State, t.Message = Failed, sayThrottledOn
		}
		s.kinds = []audit.Kind{audit.TargetFailed}
	case call.Status >= 500 || call.Status == 0 && call.Sent:
		// It may have taken effect. The attempt stays open until read-back decides.
		t.Lost, t.Reads, t.ReadFrom, t.DueAt = true, 0, w.now(), w.now().Add(firstReadGap)
	case call.Status == 0:
		t.Message = firstOf(wordsOf(err), t.Message, sayUnreached)
		return w.again(s, t, audit.TargetFailed, Failed, call.RetryAfter)
	default:
		t.State = Failed
		s.kinds = []audit.Kind{audit.TargetFailed}
	}
	s.now = t
	return s
}

// settleAccepted: a 2xx answer. It proves nothing yet, but the operator-target's console sessions end with it.
func (w *worker) settleAccepted(s step, t RunTarget, a directory.Answer) step {
	t.State, t.Answered = Accepted, a.Date
	t.Accepts++
	t.Reads, t.ReadFrom, t.DueAt = 0, w.now(), w.now().Add(firstReadGap)
	s.kinds, s.evict = []audit.Kind{audit.TargetAccepted}, true
	if t.External() {
		t.State, t.Message = NotCovered, t.sayExternal()
		s.kinds = append(s.kinds, audit.TargetNotCovered)
	}
	s.now = t
	return s
}

// settleRead decides what a read-back proves.
func (w *worker) settleRead(was RunTarget, validFrom time.Time, err error) step {
	t, s := was, step{was: was}
	t.Reads++
	t.DueAt = w.now().Add(readGap(t.Reads))
	if err != nil {
		return w.settleUnread(s, t, err)
	}
	t.After = validFrom
	switch Judge(t.T0, validFrom, w.graphNow()) {
	case Proven:
		t.Code = ""
		return w.settleProven(s, t)
	case FutureDate:
		t.Message = sayFuture
	case NotMoved:
		t.Message = t.sayNotMoved()
	}
	return w.settleWaiting(s, t)
}

// graphNow is the time on Graph's clock; a reading has just been made, so the offset is known.
func (w *worker) graphNow() time.Time {
	d, _ := w.graph.Offset()
	return w.now().Add(d)
}

func (t RunTarget) sayExternal() string {
	if t.Has(FlagExternal) {
		return sayExternal
	}
	return sayPerhaps
}

func (t RunTarget) sayNotMoved() string {
	switch {
	case t.Lost && t.Status >= 500:
		return fmt.Sprintf(sayServerError, t.Status)
	case t.Lost:
		return sayLost
	default:
		return sayNotMoved
	}
}

func (w *worker) settleProven(s step, t RunTarget) step {
	t.State, t.Message = Confirmed, ""
	s.kinds = []audit.Kind{audit.TargetConfirmed}
	switch {
	case t.Lost:
		t.Settled, s.evict = settledByReading, true
	case t.After.Sub(t.Answered) > clockSlack:
		t.Settled = settledByAnother
	}
	if t.External() { // its home tenant keeps the session, whatever the stamp says
		t.State, t.Message = NotCovered, t.sayExternal()
		s.kinds = []audit.Kind{audit.TargetNotCovered}
	}
	s.now = t
	return s
}

// settleUnread: the read-back itself failed. Nothing is concluded from it but a deleted account.
func (w *worker) settleUnread(s step, t RunTarget, err error) step {
	call := &directory.CallError{}
	if errors.As(err, &call) {
		if call.Status == http.StatusNotFound {
			t.State, t.Message, t.Code = Unconfirmed, sayGone, call.Code
			s.now, s.kinds = t, []audit.Kind{audit.TargetUnconfirmed}
			return s
		}
		if wait := w.now().Add(call.RetryAfter); wait.After(t.DueAt) {
			t.DueAt = wait
		}
		t.Code = call.Code
	}
	t.Message = fmt.Sprintf(sayUnread, firstOf(wordsOf(err), readingWords(call)))
	return w.settleWaiting(s, t)
}

// settleWaiting: not proven yet. It goes on reading until the schedule is over, then attempts again or gives up.
func (w *worker) settleWaiting(s step, t RunTarget) step {
	switch {
	case t.Lost && t.Reads >= lostReads:
		kind, state := audit.TargetUnconfirmed, Unconfirmed
		if t.Status >= 500 {
			kind, state = audit.TargetFailed, Failed
		}
		if w.holds { // another call would end the sign-in that has just been made
			t.State, s.kinds = state, []audit.Kind{kind}
			break
		}
		return w.again(s, t, kind, state, 0)
	case !t.Lost && w.now().Sub(t.ReadFrom) >= readFor && t.Reads >= wholeSchedule:
		s.kinds = []audit.Kind{audit.TargetUnconfirmed}
		t.State = Unconfirmed
		if t.Accepts < maxSettled && !w.run.Self { // one more; for oneself it would end the new sign-in
			t.State, t.DueAt = Pending, w.now()
		}
	}
	s.now = t
	return s
}

// again ends an attempt that brought nothing certain: another one, or the final state when there were enough.
func (w *worker) again(s step, t RunTarget, kind audit.Kind, final State, after time.Duration) step {
	t.Tries++
	t.State, t.DueAt = Pending, w.now().Add(max(after, retryGap(t.Tries+1)))
	if t.Tries >= maxAttempts {
		t.State = final
	}
	s.now, s.kinds = t, []audit.Kind{kind}
	return s
}

// commit writes a step, and the end of the run with it when no target is left.
func (w *worker) commit(ctx context.Context, s step) error {
	out, err := w.storeStep(ctx, s)
	if err != nil {
		return err
	}
	return w.store.Commit(ctx, w.fence, out)
}

// Abandon cancels a run that was taken for it: what was called ends as unconfirmed, what was not as cancelled.
func (e *Engine) Abandon(ctx context.Context, f Fence) error {
	run, targets, err := e.store.Work(ctx, f)
	if err != nil {
		return err
	}
	w := &worker{Engine: e, fence: f, run: run}
	out := Step{Now: w.now(), Lease: leaseTime, End: RunCancelled}
	for _, was := range targets {
		t := was
		t.State, t.Message, t.UpdatedAt = Cancelled, sayStale, w.now()
		if was.State != Pending {
			t.State = Unconfirmed
			out.Events = append(out.Events, w.targetEvent(audit.TargetUnconfirmed, t))
		}
		out.Changes = append(out.Changes, Change{WasState: was.State, WasAttempt: was.Attempt, Target: t})
	}
	cancelled := w.event(audit.RunCancelled)
	cancelled.Outcome, cancelled.Detail = string(RunCancelled), map[string]string{"cause": sayStale}
	out.Events = append(out.Events, cancelled)
	return e.store.Commit(ctx, f, out)
}

// pause writes a step together with a pause that waits for the operator's sign-in.
func (w *worker) pause(ctx context.Context, s step, reauth *operator.ReauthError) error {
	out, err := w.storeStep(ctx, s)
	if err != nil {
		return err
	}
	out.End, out.Pause, out.Claims = RunPaused, PauseNeedSignIn, reauth.Claims
	e := w.event(audit.RunPaused)
	e.Outcome = string(RunPaused)
	e.Detail = map[string]string{"cause": string(PauseNeedSignIn)}
	if reauth.Code != "" {
		e.Detail["code"] = reauth.Code
	}
	out.Events = append(out.Events, e)
	return w.store.Commit(ctx, w.fence, out)
}

// storeStep turns a step into what the store commits.
func (w *worker) storeStep(ctx context.Context, s step) (Step, error) {
	out := Step{Now: w.now(), Lease: leaseTime}
	if s.now.Run != "" {
		s.now.UpdatedAt = w.now()
		out.Changes = []Change{{WasState: s.was.State, WasAttempt: s.was.Attempt, Target: s.now}}
		for _, k := range s.kinds {
			out.Events = append(out.Events, w.targetEvent(k, s.now))
		}
	}
	if s.evict {
		out.Evict, out.Evicted = []Cut{{OID: s.now.OID, At: s.now.T0}}, w.evicted
	}
	if s.now.Run != "" && !s.now.State.Final() {
		return out, nil
	}
	counts, open, err := w.tally(ctx, s.now)
	if err != nil || open > 0 {
		return out, err
	}
	out.End = RunFinished
	e := w.event(audit.RunFinished)
	e.Outcome, e.Detail = string(RunFinished), counts
	out.Events = append(out.Events, e)
	return out, nil
}

// tally counts the run's targets by state as they will be after this change.
func (w *worker) tally(ctx context.Context, changed RunTarget) (counts map[string]string, open int, err error) {
	_, targets, err := w.store.Run(ctx, w.run.ID)
	if err != nil {
		return nil, 0, err
	}
	n := map[State]int{}
	for _, t := range targets {
		if t.Pos == changed.Pos && changed.Run != "" {
			t = changed
		}
		n[t.State]++
		if !t.State.Final() {
			open++
		}
	}
	counts = map[string]string{}
	for state, c := range maps.All(n) {
		counts[string(state)] = strconv.Itoa(c)
	}
	return counts, open, nil
}

// wordsOf are the words for a person in an error of the token source, or "".
func wordsOf(err error) string {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e.Message
	}
	return ""
}

// readingWords say what became of a reading: the request id is in them, because the target's own is the call's.
func readingWords(call *directory.CallError) string {
	if call.Status == 0 {
		return "Microsoft Graph gave no answer"
	}
	return fmt.Sprintf("Microsoft Graph answered %d %s (request id %s)", call.Status, call.Code, call.RequestID)
}

func firstOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
