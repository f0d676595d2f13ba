package revoke

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"evict/internal/audit"
	"evict/internal/operator"
)

// giving reports that the run is about to be given back: nothing new is begun.
func (w *worker) giving() bool {
	return w.stopping() || !w.lasts && w.now().Sub(w.began) >= sliceTime
}

// next is the step to commit now, and whether there is a reason to.
func (w *worker) next(ctx context.Context) (s Step, worth bool, err error) {
	s = Step{Now: w.now(), Lease: leaseTime, Urgent: w.run.Preview == "", Heard: w.heard}
	w.judgeCanary()
	var retry []RunTarget
	if w.ending == nil && !w.giving() && !w.now().Before(w.grantAt) {
		room := w.flight.roomToCall()
		retry = w.takeRetries(room)
		s.Retry, s.Want = retry, min(room, len(retry)+w.fresh())
	}
	if s.Want > 0 {
		offset, err := w.offset(ctx)
		if reauth, ok := errors.AsType[*operator.ReauthError](err); ok {
			w.needSignIn(reauth)
			for _, t := range retry {
				w.wait(t)
			}
			s.Retry, s.Want = nil, 0
		} else if err != nil {
			return Step{}, false, err
		}
		s.Intend = w.intend(offset)
	}
	w.describe(&s)
	if w.drained() && s.Want == 0 && !w.unsettled() {
		w.conclude(&s)
	}
	worth = len(s.Changes) > 0 || s.Want > 0 || s.End != "" || w.now().Sub(w.committed) >= beatTime
	return s, worth, nil
}

// takeRetries takes the targets whose next attempt is due.
func (w *worker) takeRetries(room int) (due []RunTarget) {
	for len(due) < room && w.retries.due(w.now()) {
		due = append(due, w.retries.take())
	}
	return due
}

// fresh is how many targets that were never attempted may be begun: the first ones alone until one of them is
// confirmed, and the operator's own account when all others have their outcome (rule 7).
func (w *worker) fresh() int {
	last := w.run.Total
	if w.run.Self && w.run.Total > 1 && !(w.run.Next == last-1 && w.idle()) {
		last--
	}
	if !w.run.Canary {
		last = min(last, w.canaryEnd())
	}
	return max(0, last-w.run.Next)
}

// idle reports that every target that was begun has its outcome, committed or about to be.
func (w *worker) idle() bool {
	return w.flight.total() == 0 && len(w.reads)+len(w.retries) == 0 && w.countsNow().Open() == 0
}

// drained reports that there is nothing left to wait for before the run ends or pauses.
func (w *worker) drained() bool {
	if w.flight.total() > 0 {
		return false
	}
	if w.ending == nil {
		return w.run.Untouched() == 0 && w.idle()
	}
	c := w.countsNow()
	return w.ending.now || c[Attempting]+c[Accepted] == 0
}

// unsettled reports whether something that was just decided is no outcome. A run that is being cancelled gives it up
// with the next step.
func (w *worker) unsettled() bool {
	return w.ending != nil && w.ending.state == RunCancelled &&
		slices.ContainsFunc(w.steps, func(s step) bool { return !s.now.State.Final() })
}

// countsNow is how many targets stand where, with what is decided and not committed yet.
func (w *worker) countsNow() Counts {
	c := w.run.Counts
	for _, s := range w.steps {
		c = c.Moved(s.was.State, s.now.State)
	}
	return c
}

// describe puts what was decided into a step.
func (w *worker) describe(s *Step) {
	for _, d := range w.steps {
		d.now.UpdatedAt = w.now()
		s.Changes = append(s.Changes, Change{WasState: d.was.State, WasAttempt: d.was.Attempt, Target: d.now})
		for _, k := range d.kinds {
			s.Events = append(s.Events, w.targetEvent(k, d.now))
		}
		if d.evict {
			s.Evict = append(s.Evict, Cut{OID: d.now.OID, At: d.now.T0})
		}
	}
	s.Evicted = w.evicted
	s.Refused, s.Canary, s.Limit = w.run.Refused, w.run.Canary, w.run.Limit
	every := max(sampleEvery, w.now().Sub(w.run.CreatedAt)/300)
	s.Sample = w.run.Preview != "" && w.now().Sub(w.sampled) >= every
}

// conclude ends or pauses the run with this step.
func (w *worker) conclude(s *Step) {
	e := w.ending
	if e == nil || e.state == RunPaused && w.run.Untouched() == 0 && w.countsNow().Open() == 0 { // nobody is left to wait for
		e = &ending{state: RunFinished}
	}
	s.End, s.Pause, s.Claims, s.Sample = e.state, e.pause, e.claims, w.run.Preview != ""
	kind := map[RunState]audit.Kind{RunFinished: audit.RunFinished, RunCancelled: audit.RunCancelled, RunPaused: audit.RunPaused}[e.state]
	if e.state == RunCancelled {
		w.giveUp(s)
	}
	event := w.event(kind)
	event.Outcome, event.Detail = string(e.state), map[string]string{}
	switch {
	case e.state != RunPaused:
		w.run.ending(event.Detail, w.countsNow())
		if e.why != "" {
			event.Detail["cause"] = e.why
		}
	default:
		event.Detail["cause"] = string(e.pause)
		if e.code != "" {
			event.Detail["code"] = e.code
		}
	}
	s.Events = append(s.Events, event)
}

// giveUp ends, with the run, the targets that have no outcome: what was called and could not be read back any more is
// unconfirmed, and what waited for another attempt ends as the last one did.
func (w *worker) giveUp(s *Step) {
	for _, was := range slices.Concat(w.retries, w.reads) {
		t := was.givenUp(cmp.Or(w.ending.why, sayCancelled))
		t.UpdatedAt = w.now()
		if was.State != Pending { // its attempt has no outcome in the ledger yet
			s.Events = append(s.Events, w.targetEvent(audit.TargetUnconfirmed, t))
		}
		s.Changes = append(s.Changes, Change{WasState: was.State, WasAttempt: was.Attempt, Target: t})
		w.steps = append(w.steps, step{was: was, now: t})
	}
	w.retries, w.reads = nil, nil
}

// givenUp is a target without an outcome as it stands when nothing more is done for it. An attempt that ended keeps its
// outcome.
func (t RunTarget) givenUp(why string) RunTarget {
	switch {
	case t.State != Pending || t.Accepts > 0:
		t.State = Unconfirmed
	case t.Status == http.StatusForbidden:
		t.State = Refused
	default:
		t.State = Cancelled
	}
	if t.State != Refused {
		t.Message = why
	}
	return t
}

// ending writes what a run's closing event says: the counts, and which positions were never attempted.
func (r Run) ending(detail map[string]string, c Counts) {
	for state, n := range c {
		detail[string(state)] = strconv.Itoa(n)
	}
	if r.Untouched() > 0 {
		detail["never_attempted"] = fmt.Sprintf("%d-%d", r.Next+1, r.Total) // as pages number them, from 1
	}
}

// commit writes a step and makes the calls that it granted; over reports that the run has ended or paused.
func (w *worker) commit(ctx context.Context, s Step) (over bool, err error) {
	got, err := w.store.Commit(ctx, w.fence, s)
	if err != nil {
		return false, err
	}
	for _, d := range w.steps {
		if !d.now.State.Final() {
			w.wait(d.now)
		}
	}
	w.steps, w.heard, w.committed = w.steps[:0], Heard{}, w.now()
	if s.Sample {
		w.sampled = w.now()
	}
	if s.End != "" {
		w.sources.drop(w.run.ID)
		return true, nil
	}
	w.run.Counts, w.run.Next = got.Counts, got.Next
	w.wish(got.Wish)
	w.takeUp(ctx, s, got)
	return false, nil
}

// takeUp makes the calls that were granted, and puts off what was not.
func (w *worker) takeUp(ctx context.Context, s Step, got Granted) {
	begun := make(map[int]bool, len(got.Targets))
	for _, t := range got.Targets {
		begun[t.Pos] = true
		if t.State == Attempting {
			w.call(ctx, t)
		}
	}
	for _, t := range s.Retry {
		if !begun[t.Pos] {
			w.wait(t)
		}
	}
	w.run.Limit = LimitNone
	switch missing := s.Want - len(got.Targets); {
	case s.Want == 0:
		w.run.Limit = w.limitOf(got.Quota, false)
	case missing > 0:
		w.run.Limit = w.limitOf(got.Quota, true)
		w.grantAt = w.now().Add(grantGap)
		if !s.Urgent {
			w.grantAt = w.now().Add(max(grantGap, got.Quota.Wait(w.now(), 1)))
		}
	case w.flight.roomToCall() == 0:
		w.run.Limit = LimitFlight
	}
}

// limitOf says what keeps the run from going faster.
func (w *worker) limitOf(q Quota, refused bool) Limit {
	switch {
	case w.now().Before(q.Hold) && q.TenantWide():
		return LimitTenant
	case w.now().Before(q.Hold):
		return LimitApp
	case refused:
		return LimitBucket
	case !w.run.Canary && w.run.Total > canarySize && w.run.Next == w.canaryEnd():
		return LimitCanary
	case w.now().Before(w.grantAt):
		return LimitBucket
	default:
		return w.run.Limit
	}
}

// intend makes the intents of granted targets. A target that is protected since its plan was made is left alone: the
// run touches fewer (rule 6).
func (w *worker) intend(offset time.Duration) func(RunTarget, bool) (RunTarget, []audit.Event) {
	return func(t RunTarget, protected bool) (RunTarget, []audit.Event) {
		if protected && w.run.Preview != "" && t.Attempt > 0 { // its last attempt stands in the ledger
			t = t.givenUp(sayProtected)
			t.UpdatedAt = w.now()
			return t, nil
		}
		if protected && w.run.Preview != "" {
			t.State, t.Message, t.UpdatedAt = Skipped, sayProtected, w.now()
			return t, []audit.Event{w.targetEvent(audit.TargetSkipped, t)}
		}
		t.Run, t.UpdatedAt = w.run.ID, w.now()
		t = t.intend(w.now(), offset, w.newID())
		return t, []audit.Event{w.targetEvent(audit.TargetAttempted, t)}
	}
}

// intend is the target with its next attempt about to be made.
func (t RunTarget) intend(now time.Time, offset time.Duration, clientRequestID string) RunTarget {
	t.State, t.Lost, t.Reads = Attempting, false, 0
	t.Attempt++
	t.T0, t.StartedAt, t.DueAt = now.Add(offset), now, now
	t.After, t.Answered = time.Time{}, time.Time{} // they were of the attempt before
	t.ClientRequestID, t.RequestID, t.Settled = clientRequestID, "", ""
	return t
}
