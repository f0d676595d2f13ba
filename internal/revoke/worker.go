package revoke

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/operator"
)

const (
	gatherTime  = 5 * time.Millisecond // how long results are gathered for one commit
	gatherMost  = 256
	stoodFor    = 2 * time.Hour          // a run that stood still for longer waits for a click
	sampleEvery = 2 * time.Second        // at first; later the chart has about 300 points
	grantGap    = 250 * time.Millisecond // between commits that only ask the bucket
)

// worker is an engine at work on one run under one fence. One goroutine runs its loop, decides and commits; others
// only call Graph, and say on results what came of it.
type worker struct {
	*Engine
	fence Fence
	run   Run
	src   operator.TokenSource
	lasts bool // goes on beyond sliceTime
	holds bool // never gives the run back to wait

	ours    map[int]int // position -> attempt: intents that the launch recorded, whose calls are for this worker to make
	reads   queue       // called, without an outcome: waiting for their next read-back
	retries queue       // begun, without an outcome: waiting for their next attempt
	steps   []step      // decided, not committed yet
	results chan result
	flight  flight
	heard   Heard
	ending  *ending

	began     time.Time
	committed time.Time // when the lease was last renewed
	grantAt   time.Time // the bucket has nothing before, or Graph cannot be reached
	unreached int       // calls in a row that did not reach Graph
	sampled   time.Time
	fresher   *fresh // gives tokens with roles as they are now
}

// ending says how the run is to end or pause, once what is under way is over.
type ending struct {
	state  RunState
	pause  Pause
	claims string
	code   string
	why    string // of a cancel, for people
	now    bool   // without waiting for read-backs: there is no token for them
}

func (e *Engine) newWorker(f Fence) *worker {
	return &worker{
		Engine: e, fence: f, ours: map[int]int{}, results: make(chan result, maxFlight), flight: newFlight(),
		began: e.now(), committed: e.now(),
	}
}

// loop gathers what came back, commits it together with the next intents, and makes the calls that were granted.
func (w *worker) loop(ctx context.Context) (again bool, err error) {
	if err := w.load(ctx); err != nil {
		return false, err
	}
	for {
		w.readDue(ctx)
		s, worth, err := w.next(ctx)
		if err != nil {
			return false, err
		}
		if worth {
			over, err := w.commit(ctx, s)
			if over || err != nil {
				return false, err
			}
		}
		if w.flight.total() > 0 {
			if err := w.await(ctx); err != nil {
				return false, err
			}
			continue
		}
		if given, again, err := w.rest(ctx); given || err != nil {
			return again, err
		}
	}
}

// load reads the run, and settles what a crash left behind: an intent that this worker did not record itself may or
// may not have been called for, so read-back decides before anything is called again.
func (w *worker) load(ctx context.Context) error {
	run, open, err := w.store.Work(ctx, w.fence)
	if err != nil {
		return fmt.Errorf("reading the run: %w", err)
	}
	w.run = run
	w.wish(run.Wish)
	if err := w.openTokens(ctx); err != nil {
		return err
	}
	latest := run.CreatedAt
	for _, t := range open {
		if t.UpdatedAt.After(latest) {
			latest = t.UpdatedAt
		}
		if t.State == Attempting && !t.Lost {
			if w.ours[t.Pos] == t.Attempt && w.now().Sub(t.StartedAt) < leaseTime && w.ending == nil {
				w.call(ctx, t)
				continue
			}
			was := t
			t.Lost, t.Reads, t.ReadFrom, t.DueAt = true, 0, w.now(), w.now()
			w.steps = append(w.steps, step{was: was, now: t})
			continue
		}
		w.wait(t)
	}
	if run.DueAt.After(latest) {
		latest = run.DueAt
	}
	if calls := run.Untouched() + run.Counts[Pending] + run.Counts[Attempting]; calls > 0 && w.now().Sub(latest) > stoodFor {
		w.end(ending{state: RunPaused, pause: PauseStale})
	}
	if run.Refused >= maxRefused { // the worker before was waiting for read-backs
		w.end(ending{state: RunPaused, pause: PauseNeedRole})
	}
	return nil
}

// openTokens opens the run's sealed tokens. A token that is gone or over pauses the run, so that its operator must
// sign in; any other failure is left to the sweep.
func (w *worker) openTokens(ctx context.Context) error {
	if w.src != nil || w.ending != nil && w.ending.now {
		return nil
	}
	sealed, err := w.store.RunToken(ctx, w.run.ID)
	if errors.Is(err, ErrNotFound) {
		w.sources.drop(w.run.ID)
		w.needSignIn(&operator.ReauthError{Err: err})
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the run's token: %w", err)
	}
	if w.src = w.sources.get(w.run.ID, sealed, w.now()); w.src != nil {
		return nil
	}
	w.src, err = w.tokens.RunTokens(w.run.Ref(), sealed)
	if reauth, over := errors.AsType[*operator.ReauthError](err); over {
		w.needSignIn(reauth)
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the run's token: %w", err)
	}
	w.sources.put(w.run.ID, sealed, w.src, w.now())
	return nil
}

func (w *worker) needSignIn(e *operator.ReauthError) {
	w.end(ending{state: RunPaused, pause: PauseNeedSignIn, claims: e.Claims, code: e.Code, now: true})
}

// end notes how the run is to end. The first cause stands, but for two: nothing goes on without a sign-in that is
// needed, and a cancel overtakes every pause. A run that is cancelled without a token waits for no read-back.
func (w *worker) end(e ending) {
	switch {
	case w.ending == nil:
	case e.state == RunCancelled:
		e.now = e.now || w.ending.now
	case w.ending.state == RunCancelled:
		w.ending.now = w.ending.now || e.now
		return
	case !e.now || w.ending.now:
		return
	}
	w.ending = &e
}

func (w *worker) wish(wish Wish) {
	switch wish {
	case WishPause:
		w.end(ending{state: RunPaused, pause: PauseOperator})
	case WishCancel:
		w.end(ending{state: RunCancelled})
	case NoWish:
		if w.ending != nil && w.ending.pause == PauseOperator {
			w.ending = nil
		}
	}
}

// wait puts a target that has no outcome where its next step is taken from.
func (w *worker) wait(t RunTarget) {
	if t.State == Pending {
		heap.Push(&w.retries, t)
	} else {
		heap.Push(&w.reads, t)
	}
}

// readDue starts the read-backs that are due.
func (w *worker) readDue(ctx context.Context) {
	if w.ending != nil && w.ending.now || w.giving() {
		return
	}
	for w.flight.roomToRead() && w.reads.due(w.now()) {
		t := w.reads.take()
		if w.now().Sub(t.DueAt) > stoodStill { // paused, or no process was there: nobody has tried the schedule
			t.ReadFrom, t.Reads = w.now(), 0
		}
		w.read(ctx, t)
	}
}

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

// await waits until something came back, or the lease wants to be renewed.
func (w *worker) await(ctx context.Context) error {
	beat := time.NewTimer(w.untilNext())
	defer beat.Stop()
	select {
	case r := <-w.results:
		w.take(ctx, r)
	case <-beat.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	gathered := time.NewTimer(gatherTime)
	defer gathered.Stop()
	for range gatherMost - 1 {
		if w.flight.total() == 0 {
			return nil
		}
		select {
		case r := <-w.results:
			w.take(ctx, r)
		case <-gathered.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// untilNext is how long to wait for answers before something else is due.
func (w *worker) untilNext() time.Duration {
	wait := beatTime
	if w.giving() {
		return wait
	}
	if len(w.reads) > 0 && w.flight.roomToRead() && !(w.ending != nil && w.ending.now) {
		wait = min(wait, w.reads[0].DueAt.Sub(w.now()))
	}
	if at, any := w.nextCall(); any && w.flight.roomToCall() > 0 {
		wait = min(wait, at.Sub(w.now()))
	}
	return max(wait, gatherTime)
}

// rest waits, when nothing is under way, until something is due. A longer wait gives the run back, and so do the end
// of the slice and a shutdown; again reports that there is work at once.
func (w *worker) rest(ctx context.Context) (given, again bool, err error) {
	due := w.now().Add(longestWait) // to see what people wish, at least
	at, any := w.nextCall()
	switch {
	case len(w.reads) > 0 && (!any || w.reads[0].DueAt.Before(at)):
		due = w.reads[0].DueAt
	case any:
		due = at
	}
	switch wait := due.Sub(w.now()); {
	case len(w.steps) > 0 || w.drained():
		return false, false, nil // there is something to commit
	case w.giving():
		return true, !w.stopping() && wait <= 0, w.store.Release(ctx, w.fence, due)
	case wait <= 0:
		return false, false, nil
	case wait > longestWait && !w.holds:
		return true, false, w.store.Release(ctx, w.fence, due)
	default:
		if err := w.sleep(ctx, min(wait, longestWait)); err != nil {
			return false, false, err
		}
		w.committed = w.now().Add(-leaseTime) // renew the lease with the next step
		return false, false, nil
	}
}

// nextCall is when the next call may be begun, if there is one to begin.
func (w *worker) nextCall() (at time.Time, any bool) {
	switch {
	case w.ending != nil:
		return time.Time{}, false
	case w.fresh() > 0:
		at = w.now()
	case len(w.retries) > 0:
		at = w.retries[0].DueAt
	default:
		return time.Time{}, false
	}
	if at.Before(w.grantAt) {
		at = w.grantAt
	}
	return at, true
}

// offset is Graph's clock less ours. A new process does not know it yet, and asks with a reading of the operator's own
// account: T0 must be on Graph's clock, or an old stamp could prove a new attempt.
func (w *worker) offset(ctx context.Context) (time.Duration, error) {
	if d, known := w.graph.Offset(); known {
		return d, nil
	}
	ctx, cancel := context.WithTimeout(ctx, beatTime) // the lease goes on meanwhile
	defer cancel()
	_, _, err := w.graph.SessionsFrom(ctx, w.src, w.run.Operator.OID)
	d, known := w.graph.Offset()
	if !known {
		return 0, fmt.Errorf("asking Graph for its time: %w", cmp.Or(err, errNoDate))
	}
	return d, nil
}

var errNoDate = errors.New("no answer named a date")

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

// self reports whether the target is the run's own operator, who is called through /me.
func (w *worker) self(t RunTarget) bool { return t.OID == w.run.Operator.OID }

// call makes the call whose intent is recorded.
func (w *worker) call(ctx context.Context, t RunTarget) {
	src := w.src
	if t.Status == http.StatusForbidden { // refused before: once more, with roles as they are now
		if w.fresher == nil || w.now().Sub(w.fresher.since) > freshFor {
			w.fresher = &fresh{TokenSource: w.src, since: w.now()}
		}
		src = w.fresher
	}
	w.flight.begin(calling)
	go func() {
		r := result{was: t, kind: calling}
		if w.self(t) {
			r.answer, r.err = w.graph.RevokeSelf(ctx, src, t.ClientRequestID)
		} else {
			r.answer, r.err = w.graph.Revoke(ctx, src, t.OID, t.ClientRequestID)
		}
		w.results <- r
	}()
}

// read reads the stamp by object id.
func (w *worker) read(ctx context.Context, t RunTarget) {
	src := w.src
	w.flight.begin(reading)
	go func() {
		r := result{was: t, kind: reading}
		r.sessions, r.answer, r.err = w.graph.SessionsFrom(ctx, src, t.OID)
		w.results <- r
	}()
}

// result is what came of a call or a reading.
type result struct {
	was      RunTarget
	kind     flightKind
	answer   directory.Answer
	sessions directory.Sessions
	err      error
}

// take settles a result. What it decides is committed with the next step.
func (w *worker) take(ctx context.Context, r result) {
	w.flight.end(r.kind, r.err)
	reauth, needsSignIn := errors.AsType[*operator.ReauthError](r.err)
	if needsSignIn {
		w.needSignIn(reauth)
		if r.kind == reading { // nothing was learned
			w.wait(r.was)
			return
		}
	}
	if ctx.Err() != nil {
		return // the worker is on its way out, and whoever takes the run up reads back
	}
	var s step
	if r.kind == reading {
		s = w.settleRead(r.was, r.sessions, r.err)
	} else {
		w.hear(r)
		w.notice(r.err)
		s = w.settle(r.was, r.answer, r.err)
		w.countRefusals(s)
	}
	w.steps = append(w.steps, s)
}

// hear notes what an answer says about Microsoft's limits.
func (w *worker) hear(r result) {
	w.heard.Answers++
	w.heard.Load = max(w.heard.Load, r.answer.Load)
	call, ok := errors.AsType[*directory.CallError](r.err)
	if !ok {
		return
	}
	w.heard.Load = max(w.heard.Load, call.Load)
	if call.Status == http.StatusTooManyRequests {
		w.heard.Throttled++
		w.heard.RetryAfter, w.heard.Scope = max(w.heard.RetryAfter, call.RetryAfter), call.ThrottleScope
	}
}

// notice slows the whole run down while Graph, or the sign-in service before it, cannot be reached.
func (w *worker) notice(err error) {
	if !unreached(err) {
		w.unreached = 0
		return
	}
	w.unreached++
	if wait := min(time.Second<<min(w.unreached/leastFlight, 5), longOutage); w.now().Add(wait).After(w.grantAt) {
		w.grantAt = w.now().Add(wait)
	}
}

// unreached reports whether nothing was sent.
func unreached(err error) bool {
	if _, reauth := errors.AsType[*operator.ReauthError](err); err == nil || reauth {
		return false
	}
	call, ok := errors.AsType[*directory.CallError](err)
	return !ok || call.Status == 0 && !call.Sent
}

// countRefusals pauses the run when so many in a row were refused against the prediction: an activated role has
// ended, perhaps.
func (w *worker) countRefusals(s step) {
	switch {
	case s.now.State == Accepted || s.now.State == NotCovered:
		w.run.Refused = 0
	case s.now.State == Refused && s.now.Verdict == directory.Allowed.String():
		if w.run.Refused++; w.run.Refused >= maxRefused {
			w.end(ending{state: RunPaused, pause: PauseNeedRole})
		}
	}
}

// canaryEnd is the position before which a run's first targets stand. Whoever was refused is no proof of anything, and
// another one takes their place: privileged people come first, and often none of them is the operator's to revoke.
func (w *worker) canaryEnd() int {
	if w.run.Total <= canarySize {
		return w.run.Total
	}
	return min(w.run.Total, canarySize+w.countsNow()[Refused])
}

// judgeCanary lets the rest of a run go when its first targets have all been answered and one of them is confirmed. It
// pauses the run when none is.
func (w *worker) judgeCanary() {
	if w.run.Canary || w.ending != nil || w.run.Next < w.canaryEnd() || w.run.Untouched() == 0 {
		return
	}
	c := w.countsNow()
	switch {
	case c[Attempting] > 0:
	case c[Confirmed] > 0 || c[NotCovered]+c[Skipped] >= canarySize:
		w.run.Canary = true
	case c.Open() > 0:
	default:
		w.end(ending{state: RunPaused, pause: PauseCanary})
	}
}

// fresh is a token source whose token is newly issued: once, for all who ask in the time that it counts as new.
type fresh struct {
	operator.TokenSource

	since time.Time
	once  sync.Once
	token operator.Token
	err   error
}

// Token waits for the new token.
func (f *fresh) Token(ctx context.Context) (operator.Token, error) {
	f.once.Do(func() { f.token, f.err = f.Fresh(ctx) })
	return f.token, f.err
}

const (
	canarySize = 20               // how many targets go ahead of a run of many
	maxRefused = 20               // refusals in a row, against the prediction, that pause a run
	freshFor   = 30 * time.Second // how long a token counts as newly issued
	longOutage = 30 * time.Second // the longest wait between tries to reach Graph
)

// queue is the targets that wait, the one that is due first in front: a heap.
type queue []RunTarget

func (q queue) due(now time.Time) bool { return len(q) > 0 && !q[0].DueAt.After(now) }

func (q *queue) take() RunTarget { return heap.Pop(q).(RunTarget) }

// Len, Less, Swap, Push and Pop make it a heap.Interface.
func (q queue) Len() int { return len(q) }

// Less orders by due time, then position.
func (q queue) Less(i, j int) bool {
	if c := q[i].DueAt.Compare(q[j].DueAt); c != 0 {
		return c < 0
	}
	return q[i].Pos < q[j].Pos
}

// Swap swaps two targets.
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push adds a target at the end.
func (q *queue) Push(x any) { *q = append(*q, x.(RunTarget)) }

// Pop removes the last target.
func (q *queue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = RunTarget{}
	*q = (*q)[:last]
	return t
}
