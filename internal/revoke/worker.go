package revoke

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	fresher   *newToken // gives tokens with roles as they are now
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
