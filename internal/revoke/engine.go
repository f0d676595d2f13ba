package revoke

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"evict/internal/directory"
	"evict/internal/operator"
)

// Graph is what the engine needs of Microsoft Graph. Errors are *directory.CallError, *operator.ReauthError (which
// may wrap a CallError), fault.Unavailable from the token source, or the context's.
type Graph interface {
	Revoke(ctx context.Context, t operator.TokenSource, oid, clientRequestID string) (directory.Answer, error)
	RevokeSelf(ctx context.Context, t operator.TokenSource, clientRequestID string) (directory.Answer, error)
	SessionsFrom(ctx context.Context, t operator.TokenSource, oid string) (directory.Sessions, directory.Answer, error)
	// Offset is Graph's clock less ours, measured from Date headers; not known before the first answer.
	Offset() (offset time.Duration, known bool)
}

// Tokens opens the sealed token cache of a run. The source that it returns is safe for concurrent use.
type Tokens interface {
	RunTokens(ref operator.RunRef, sealed []byte) (operator.TokenSource, error)
}

// Store is everything that this package keeps.
type Store interface {
	EngineStore
	TokenStore
	RunStore
	PreviewStore
}

const (
	leaseTime = 5 * time.Second
	// beatTime is how long a worker that waits for answers goes without renewing its lease.
	beatTime = leaseTime / 3
	// sliceTime is how long a worker goes on with a run of many before it gives the run back, for another to take up.
	sliceTime = 10 * time.Second
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

	sources sources
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
	Stop   <-chan struct{} // closed: finish the calls at hand, give runs back, take none
	Logger *slog.Logger
}

// NewEngine returns an engine.
func NewEngine(o EngineOptions) *Engine {
	return &Engine{
		store: o.Store, graph: o.Graph, tokens: o.Tokens, owner: o.Owner,
		now: o.Now, newID: o.NewID, sleep: o.Sleep, stop: o.Stop, log: o.Logger,
	}
}

// Due lists the slices that nobody works and whose time has come. Ringing each of them every second or two in every
// process is all the recovery there is after a crash.
func (e *Engine) Due(ctx context.Context) ([]Slice, error) {
	e.sources.forget(e.now())
	due, err := e.store.Due(ctx, e.now(), 50)
	if err != nil {
		return nil, fmt.Errorf("listing due runs: %w", err)
	}
	return due, nil
}

// Work takes a run for one slice and advances it until it ends, pauses, has nothing to do for a while, or the slice is
// over. again reports that the next slice is due at once. A slice that somebody else has taken is no work.
func (e *Engine) Work(ctx context.Context, s Slice) (next Slice, again bool) {
	if e.stopping() {
		return Slice{}, false
	}
	fence, ok, err := e.store.Claim(ctx, s, e.owner, e.now(), leaseTime)
	if err != nil {
		e.log.Error("claiming a run", "run", string(s.Run), "error", err)
	}
	if err != nil || !ok {
		return Slice{}, false
	}
	again = e.work(ctx, e.newWorker(fence))
	return Slice{Run: fence.Run, Epoch: fence.Epoch + 1}, again
}

// Launched works a run whose intents the launch has just recorded, with the operator's token source at hand.
func (e *Engine) Launched(ctx context.Context, f Fence, targets []RunTarget, src operator.TokenSource) {
	w := e.newWorker(f)
	w.src, w.lasts = src, true
	for _, t := range targets {
		w.ours[t.Pos] = t.Attempt
	}
	e.work(ctx, w)
}

// Resumed works a run that was set going again, with the operator's token source at hand.
func (e *Engine) Resumed(ctx context.Context, f Fence, src operator.TokenSource) (next Slice, again bool) {
	w := e.newWorker(f)
	w.src = src
	again = e.work(ctx, w)
	return Slice{Run: f.Run, Epoch: f.Epoch + 1}, again
}

// Confirm works with a token source that is kept nowhere: the run is not given back between read-backs, because nobody
// else could go on with it.
func (e *Engine) Confirm(ctx context.Context, f Fence, src operator.TokenSource) {
	w := e.newWorker(f)
	w.src, w.lasts, w.holds = src, true, true
	e.work(ctx, w)
}

// Abandon cancels a run that was taken up for it, without a token: what was called ends as unconfirmed, what was not as
// cancelled. why says so to people.
func (e *Engine) Abandon(ctx context.Context, f Fence, why string) error {
	w := e.newWorker(f)
	w.ending = &ending{state: RunCancelled, why: why, now: true}
	_, err := w.loop(ctx)
	return err
}

// work runs a worker. Being fenced off ends it quietly; any other error leaves the run to the sweep, which takes it up
// when the lease has run out.
func (e *Engine) work(ctx context.Context, w *worker) (again bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // calls still under way are given up: whoever takes the run up reads back
	again, err := w.loop(ctx)
	if err != nil {
		e.sources.drop(w.fence.Run)
	}
	if err != nil && !errors.Is(err, ErrFenced) {
		e.log.Error("a run is left to the sweep", "run", string(w.fence.Run), "error", err)
	}
	return again && err == nil
}

func (e *Engine) stopping() bool {
	select {
	case <-e.stop:
		return true
	default:
		return false
	}
}

// sources keeps the token sources of the runs that this process works, so that a slice need not open the sealed cache
// and ask for a token anew.
type sources struct {
	mu   sync.Mutex
	kept map[RunID]source
}

type source struct {
	sealed []byte
	tokens operator.TokenSource
	used   time.Time
}

// unusedFor is how long a source that no slice asked for is kept: its run ended, or went to another process.
const unusedFor = time.Minute

func (s *sources) get(id RunID, sealed []byte, now time.Time) operator.TokenSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, ok := s.kept[id]
	if !ok || !bytes.Equal(kept.sealed, sealed) {
		return nil
	}
	kept.used = now
	s.kept[id] = kept
	return kept.tokens
}

func (s *sources) put(id RunID, sealed []byte, tokens operator.TokenSource, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[RunID]source{}
	}
	s.kept[id] = source{sealed, tokens, now}
}

// forget drops what has not been used for a while.
func (s *sources) forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.kept, func(_ RunID, kept source) bool { return now.Sub(kept.used) > unusedFor })
}

func (s *sources) drop(id RunID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, id)
}
