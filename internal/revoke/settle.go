package revoke

import (
	"errors"
	"fmt"
	"net/http"
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
	sayTurned      = "The account has come to sign in elsewhere since the plan was made: its home tenant keeps the session. Block or remove it here, and ask the home tenant."
	sayDeleted     = "The account is no longer in the directory."
	sayThrottled   = "Microsoft asked us to wait."
	sayStale       = "Nobody signed in to go on with this run for a day."
	sayThrottledOn = "Microsoft went on asking us to wait for an hour."
	sayThrottledTo = "Microsoft asked us to wait at every one of %d attempts."
	sayUnread      = "The recorded time could not be read: %s."
	sayUnreached   = "Microsoft Graph could not be reached. Nothing was sent."
	sayNotMoved    = "Microsoft accepted the call, but the recorded time has not moved."
	sayFuture      = "The recorded time lies in the future: possible tampering, so nothing is proven."
	sayLost        = "The answer was lost, and the recorded time has not moved."
	sayServerError = "Microsoft Graph answered %d, and the recorded time has not moved."
	saySignIn      = "Microsoft asked for a new sign-in before it would act. Nothing was changed by this attempt."
	sayRefused     = "Microsoft refused: your directory roles do not cover this person."
	sayProtected   = "Protected since the plan was made: it stays out of runs of many."
	sayCancelled   = "The run was cancelled before another attempt."
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
		switch many := w.run.Preview != ""; {
		case many && t.Attempt >= maxThrottled:
			t.State, t.Message = Failed, fmt.Sprintf(sayThrottledTo, t.Attempt)
		case !many && w.now().Sub(w.run.CreatedAt) > throttledFor:
			t.State, t.Message = Failed, sayThrottledOn
		}
		s.kinds = []audit.Kind{audit.TargetFailed}
	case call.Status >= 500 || call.Status == 0 && call.Sent:
		// It may have taken effect. The attempt stays open until read-back decides.
		t.Lost, t.Reads, t.ReadFrom, t.DueAt = true, 0, w.now(), w.now().Add(firstReadGap)
	case call.Status == 0:
		t.Message = firstOf(wordsOf(err), t.Message, sayUnreached)
		s = w.again(s, t, audit.TargetFailed, Failed, call.RetryAfter)
		if w.run.Preview != "" && s.now.Tries < maxUnreached { // an outage is no reason to give up on people
			s.now.State = Pending
		}
		return s
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
func (w *worker) settleRead(was RunTarget, now directory.Sessions, err error) step {
	t, s := was, step{was: was}
	t.Reads++
	t.DueAt = w.now().Add(readGap(t.Reads))
	if err != nil {
		return w.settleUnread(s, t, err)
	}
	t.After = now.From
	switch Judge(t.T0, now.From, w.graphNow()) {
	case Proven:
		t.Code = ""
		return w.settleProven(s, t, now.Elsewhere)
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

// settleProven: the stamp moved. Of an account that signs in elsewhere, or may by now, that proves nothing: its home
// tenant keeps the session (rule 4).
func (w *worker) settleProven(s step, t RunTarget, elsewhere directory.Tri) step {
	t.State, t.Message = Confirmed, ""
	s.kinds = []audit.Kind{audit.TargetConfirmed}
	switch {
	case t.Lost:
		t.Settled, s.evict = settledByReading, true
	case t.After.Sub(t.Answered) > clockSlack:
		t.Settled = settledByAnother
	}
	switch {
	case t.External():
		t.State, t.Message = NotCovered, t.sayExternal()
	case elsewhere == directory.Yes:
		t.State, t.Message = NotCovered, sayTurned
	case elsewhere == directory.Unknown:
		t.State, t.Message = NotCovered, sayPerhaps
	}
	if t.State == NotCovered {
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
		if t.Accepts < maxSettled && !w.self(t) { // one more; for oneself it would end the new sign-in
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
