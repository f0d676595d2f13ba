package revoke

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/operator"
)

// Graph is what the engine needs of Microsoft Graph. Errors are *directory.CallError, *operator.ReauthError (which
// may wrap a CallError), fault.Unavailable from the token source, or the context's.
type Graph interface {
	Revoke(ctx context.Context, t operator.TokenSource, oid, clientRequestID string) (directory.Answer, error)
	RevokeSelf(ctx context.Context, t operator.TokenSource, clientRequestID string) (directory.Answer, error)
	SessionsFrom(ctx context.Context, t operator.TokenSource, oid string) (time.Time, directory.Answer, error)
	// Offset is Graph's clock less ours, measured from Date headers; not known before the first answer.
	Offset() (offset time.Duration, known bool)
}

// Tokens opens the sealed token cache of a run.
type Tokens interface {
	RunTokens(ref operator.RunRef, sealed []byte) (operator.TokenSource, error)
}

// Store is everything that this package keeps.
type Store interface {
	EngineStore
	TokenStore
	RunStore
}

const (
	leaseTime = 5 * time.Second
	// longestWait is how long a worker holds a run idle; beyond it the run is given back until it is due.
	longestWait = 2 * time.Second
)

// Engine works runs: it attempts, reads back, settles, and gives a run back when there is nothing to do for a while.
// Any number of engines may share a database; the lease decides who works a run.
type Engine struct {
	store  Store
	graph  Graph
	tokens Tokens
	owner  string
	now    func() time.Time
	newID  func() string
	sleep  func(ctx context.Context, d time.Duration) error
	stop   <-chan struct{}
	log    *slog.Logger
}

// EngineOptions are what an Engine is made of. All fields are needed.
type EngineOptions struct {
	Store  Store
	Graph  Graph
	Tokens Tokens
	Owner  string // names this process in leases; unique among replicas
	Now    func() time.Time
	NewID  func() string // UUIDv7
	Sleep  func(ctx context.Context, d time.Duration) error
	Stop   <-chan struct{} // closed: finish the call at hand, give runs back, take none
	Logger *slog.Logger
}

// NewEngine returns an engine.
func NewEngine(o EngineOptions) *Engine {
	return &Engine{
		store: o.Store, graph: o.Graph, tokens: o.Tokens, owner: o.Owner,
		now: o.Now, newID: o.NewID, sleep: o.Sleep, stop: o.Stop, log: o.Logger,
	}
}

// worker is an engine at work on one run under one fence.
type worker struct {
	*Engine
	fence   Fence
	run     Run
	src     operator.TokenSource
	granted map[int]int // position -> attempt: intents that this worker recorded and may call for
	holds   bool        // never gives the run back to wait
}

// Sweep takes every run that is due and that nobody holds, and hands each to start, with the work to be done on it. It
// is called every second or two in every process, and is all the recovery there is after a crash.
func (e *Engine) Sweep(ctx context.Context, start func(work func(context.Context))) error {
	ids, err := e.store.Due(ctx, e.now(), 50)
	if err != nil {
		return fmt.Errorf("listing due runs: %w", err)
	}
	for _, id := range ids {
		fence, ok, err := e.store.Claim(ctx, id, e.owner, e.now(), leaseTime)
		if err != nil {
			return fmt.Errorf("claiming run %s: %w", id, err)
		}
		if ok {
			start(func(ctx context.Context) { e.Work(ctx, fence, nil) })
		}
	}
	return nil
}

// Launched works a run whose intents the launch has just recorded, with the operator's token source at hand.
func (e *Engine) Launched(ctx context.Context, f Fence, targets []RunTarget, src operator.TokenSource) {
	granted := make(map[int]int, len(targets))
	for _, t := range targets {
		granted[t.Pos] = t.Attempt
	}
	e.work(ctx, &worker{Engine: e, fence: f, src: src, granted: granted})
}

// Work advances a claimed run until it ends, pauses, or has nothing to do for a while. src is the operator's token
// source when the caller has one at hand; nil opens the run's sealed one.
func (e *Engine) Work(ctx context.Context, f Fence, src operator.TokenSource) {
	e.work(ctx, &worker{Engine: e, fence: f, src: src, granted: map[int]int{}})
}

// Confirm is Work with a token source that is kept nowhere: the run is not given back between read-backs, because
// nobody else could go on with it.
func (e *Engine) Confirm(ctx context.Context, f Fence, src operator.TokenSource) {
	e.work(ctx, &worker{Engine: e, fence: f, src: src, granted: map[int]int{}, holds: true})
}

// work loops over slices. Being fenced off ends it quietly; any other error leaves the run to the sweep, which takes
// it up when the lease has run out.
func (e *Engine) work(ctx context.Context, w *worker) {
	for {
		if e.stopping() && len(w.granted) == 0 {
			if err := e.store.Release(ctx, w.fence, e.now()); err != nil {
				e.log.Warn("giving a run back", "run", string(w.fence.Run), "error", err)
			}
			return
		}
		more, err := w.slice(ctx)
		switch {
		case errors.Is(err, ErrFenced) || err == nil && !more:
			return
		case err != nil:
			e.log.Error("a run is left to the sweep", "run", string(w.fence.Run), "error", err)
			return
		}
	}
}

func (e *Engine) stopping() bool {
	select {
	case <-e.stop:
		return true
	default:
		return false
	}
}

// slice does the one thing that is due first and reports whether to go on.
func (w *worker) slice(ctx context.Context) (more bool, err error) {
	run, targets, err := w.store.Work(ctx, w.fence)
	if err != nil {
		return false, fmt.Errorf("reading the run: %w", err)
	}
	w.run = run
	if len(targets) == 0 {
		return false, w.commit(ctx, step{})
	}
	if err := w.openTokens(ctx); err != nil {
		return false, w.withoutToken(ctx, err)
	}
	t := earliest(targets)
	switch wait := t.DueAt.Sub(w.now()); {
	case wait <= 0:
		return w.advance(ctx, t)
	case wait > longestWait && !w.holds:
		return false, w.store.Release(ctx, w.fence, t.DueAt)
	default:
		if err := w.sleep(ctx, min(wait, longestWait)); err != nil {
			return false, err
		}
		return true, w.store.Commit(ctx, w.fence, Step{Now: w.now(), Lease: leaseTime})
	}
}

// withoutToken pauses a run whose token is gone or over, so that its operator must sign in. Any other failure is left
// to the sweep.
func (w *worker) withoutToken(ctx context.Context, err error) error {
	reauth, over := errors.AsType[*operator.ReauthError](err)
	switch {
	case over:
		return w.pause(ctx, step{}, reauth)
	case errors.Is(err, ErrNotFound):
		return w.pause(ctx, step{}, &operator.ReauthError{Err: err})
	default:
		return fmt.Errorf("opening the run's token: %w", err)
	}
}

func earliest(ts []RunTarget) RunTarget {
	return slices.MinFunc(ts, func(a, b RunTarget) int { return a.DueAt.Compare(b.DueAt) })
}

func (w *worker) openTokens(ctx context.Context) error {
	if w.src != nil {
		return nil
	}
	sealed, err := w.store.RunToken(ctx, w.run.ID)
	if err != nil {
		return err
	}
	w.src, err = w.tokens.RunTokens(w.run.Ref(), sealed)
	return err
}

// advance does what the target's state calls for. An intent that this worker did not record itself was left by a
// crash: its call may or may not have been made, so read-back decides before anything is called again.
func (w *worker) advance(ctx context.Context, t RunTarget) (more bool, err error) {
	switch {
	case t.State == Pending:
		return true, w.record(ctx, t)
	case t.State == Attempting && !t.Lost && w.granted[t.Pos] == t.Attempt && w.now().Sub(t.StartedAt) < leaseTime:
		delete(w.granted, t.Pos)
		return w.attempt(ctx, t)
	case t.State == Attempting && !t.Lost:
		lost := t
		lost.Lost, lost.Reads, lost.ReadFrom, lost.DueAt = true, 0, w.now(), w.now()
		return true, w.commit(ctx, step{was: t, now: lost})
	default:
		return w.readBack(ctx, t)
	}
}

// record commits the intent of the next attempt. Only then may attempt call Graph (rule 1).
func (w *worker) record(ctx context.Context, was RunTarget) error {
	offset, err := w.offset(ctx, was)
	if reauth, ok := errors.AsType[*operator.ReauthError](err); ok {
		return w.pause(ctx, step{}, reauth)
	}
	if err != nil {
		return err
	}
	t := was.intend(w.now(), offset, w.newID())
	if err := w.commit(ctx, step{was: was, now: t, kinds: []audit.Kind{audit.TargetAttempted}}); err != nil {
		return err
	}
	w.granted[t.Pos] = t.Attempt
	return nil
}

// offset is Graph's clock less ours. A new process does not know it yet, and asks with a reading: T0 must be on Graph's
// clock, or an old stamp could prove a new attempt.
func (w *worker) offset(ctx context.Context, t RunTarget) (time.Duration, error) {
	if d, known := w.graph.Offset(); known {
		return d, nil
	}
	err := w.holding(ctx, func(ctx context.Context) error {
		_, _, err := w.graph.SessionsFrom(ctx, w.src, t.OID)
		return err
	})
	d, known := w.graph.Offset()
	if !known {
		return 0, fmt.Errorf("asking Graph for its time: %w", cmp.Or(err, errNoDate))
	}
	return d, nil
}

var errNoDate = errors.New("no answer named a date")

// intend is the target with its next attempt about to be made.
func (t RunTarget) intend(now time.Time, offset time.Duration, clientRequestID string) RunTarget {
	t.State, t.Lost, t.Reads = Attempting, false, 0
	t.Attempt++
	t.T0, t.StartedAt, t.DueAt = now.Add(offset), now, now
	t.ClientRequestID, t.RequestID, t.Settled = clientRequestID, "", ""
	return t
}

// attempt makes the call whose intent is recorded, and settles what it says.
func (w *worker) attempt(ctx context.Context, t RunTarget) (more bool, err error) {
	src := w.src
	if t.Status == http.StatusForbidden { // refused before: once more, with roles as they are now
		src = freshOnce{src}
	}
	var answer directory.Answer
	callErr := w.holding(ctx, func(ctx context.Context) (err error) {
		if w.run.Self {
			answer, err = w.graph.RevokeSelf(ctx, src, t.ClientRequestID)
		} else {
			answer, err = w.graph.Revoke(ctx, src, t.OID, t.ClientRequestID)
		}
		return err
	})
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	s := w.settle(t, answer, callErr)
	if reauth, ok := errors.AsType[*operator.ReauthError](callErr); ok {
		return false, w.pause(ctx, s, reauth)
	}
	return true, w.commit(ctx, s)
}

// readBack reads the stamp by object id and settles what it proves.
func (w *worker) readBack(ctx context.Context, t RunTarget) (more bool, err error) {
	if w.now().Sub(t.DueAt) > stoodStill { // paused, or no process was there: nobody has tried the schedule
		t.ReadFrom, t.Reads = w.now(), 0
	}
	var validFrom time.Time
	callErr := w.holding(ctx, func(ctx context.Context) (err error) {
		validFrom, _, err = w.graph.SessionsFrom(ctx, w.src, t.OID)
		return err
	})
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if reauth, ok := errors.AsType[*operator.ReauthError](callErr); ok {
		return false, w.pause(ctx, step{}, reauth)
	}
	return true, w.commit(ctx, w.settleRead(t, validFrom, callErr))
}

// holding keeps the lease while a call is under way, and gives the call up when the run is no longer ours.
func (w *worker) holding(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		beat := time.NewTicker(leaseTime / 3)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
				err := w.store.Commit(ctx, w.fence, Step{Now: w.now(), Lease: leaseTime})
				if errors.Is(err, ErrFenced) {
					cancel()
				}
			}
		}
	}()
	err := call(ctx)
	cancel()
	<-stopped
	return err
}

// freshOnce is a token source whose tokens are newly issued.
type freshOnce struct{ operator.TokenSource }

func (f freshOnce) Token(ctx context.Context) (operator.Token, error) { return f.Fresh(ctx) }
