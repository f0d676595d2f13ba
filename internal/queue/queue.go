// Package queue hands slices of runs to workers, through River.
//
// A job of River is a bell and no more: it says that a slice is due. Who works a run is decided by the run's lease
// (revoke.EngineStore), so what River loses, repeats or delays costs time and nothing else.
//
// Invariants:
//   - A bell is rung after the commit that made the slice due, never in its transaction: no transaction crosses from
//     the store to River, and both may fail alone.
//   - Every process sweeps: it rings for each slice that is due and that nobody works. That is the whole recovery.
//     River's own (retries, rescue of stuck jobs) takes up to an hour, can work a job twice at once, and is not used.
//   - A job is tried once, and names its slice by run and epoch, so that a slice can ring for the next one while its
//     own job still runs.
package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"

	"evict/internal/revoke"
)

// Engine is what a queue works with: *revoke.Engine. Its methods are called by many goroutines at once.
type Engine interface {
	// Work works a slice, unless somebody else has it or had it. again says that next is due at once. It ends early
	// when ctx does.
	Work(ctx context.Context, s revoke.Slice) (next revoke.Slice, again bool)
	// Due lists the slices that nobody works and whose time has come, at most one of each run.
	Due(ctx context.Context) ([]revoke.Slice, error)
}

// Options are what a queue is made of. Engine, Logger and one of Pool and File are needed.
type Options struct {
	Engine Engine
	// Pool is the PostgreSQL database, in which Migrate has made River's tables. Beside its share of the pool's
	// connections a queue keeps one of its own, to be told of new jobs.
	Pool *pgxpool.Pool
	// File is where SQLite keeps River's tables when there is no Pool. It is deleted and made anew by Open: the caller
	// makes sure that no other process has it open, and that its folder exists.
	File string
	// Slots is how many slices this process works at once; 0 means 16.
	Slots int
	// SweepEvery is the time between two sweeps; 0 means a second.
	SweepEvery time.Duration
	Logger     *slog.Logger
}

const (
	riverQueue = "slices"

	// bellTime is for how long a job that was taken keeps its slice from being rung for again: as long as a lease. A
	// worker that died between taking the job and claiming the run holds the run up for no longer than one that died
	// after that.
	bellTime = 5 * time.Second
	// sliceLimit ends a slice that hangs. A slice works for some seconds and then waits for the calls under way.
	sliceLimit = 2 * time.Minute
	// ringLimit is how long a bell may take to ring, and the list of due slices to be read.
	ringLimit = 5 * time.Second
	// stopGrace is for slices to notice that they were given up.
	stopGrace = time.Second
	// keepJobs is how long River keeps jobs that are over, for whoever looks into its tables.
	keepJobs = time.Hour
)

// client is what a queue needs of a river.Client, whose type depends on the engine's transactions.
type client interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	InsertMany(ctx context.Context, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
}

// Queue rings for slices, and works those that it is rung for. Ring is safe for concurrent use; Start and Stop belong
// to whoever opened it.
type Queue struct {
	engine Engine
	client client
	every  time.Duration
	log    *slog.Logger
	close  func() error

	stopSweep context.CancelFunc
	sweeping  sync.WaitGroup
}

// Open prepares a queue; Start sets it to work. On PostgreSQL it answers ErrSchema when Migrate has not been run.
func Open(ctx context.Context, o Options) (*Queue, error) {
	q := &Queue{
		engine: o.Engine, every: cmp.Or(o.SweepEvery, time.Second), log: o.Logger,
		close: func() error { return nil }, stopSweep: func() {},
	}
	open := q.openSQLite
	if o.Pool != nil {
		open = q.openPostgres
	}
	if err := open(ctx, o); err != nil {
		return nil, err
	}
	return q, nil
}

// connect makes River's client for a driver.
func connect[T any](driver riverdriver.Driver[T], q *Queue, o Options) (err error) {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &worker{queue: q}); err != nil {
		return fmt.Errorf("preparing the queue: %w", err)
	}
	q.client, err = river.NewClient(driver, &river.Config{
		Queues:  map[string]river.QueueConfig{riverQueue: {MaxWorkers: cmp.Or(o.Slots, 16)}},
		Workers: workers,
		// River tells others of a new job once in this time; a job within it waits for the next poll, a second later.
		FetchCooldown:   river.FetchCooldownMin,
		JobTimeout:      sliceLimit,
		JobStuckHandler: q.stuck,

		CancelledJobRetentionPeriod: keepJobs, CompletedJobRetentionPeriod: keepJobs, DiscardedJobRetentionPeriod: keepJobs,
		Logger: slog.New(warnings{q.log.Handler()}),
	})
	if err != nil {
		return fmt.Errorf("preparing the queue: %w", err)
	}
	return nil
}

// Ring says that a slice is due. Ringing again for a slice that waits, or that was taken within the last seconds, does
// nothing. It takes five seconds at most and does not end with ctx: what was committed is due, even when the request
// that did so is over. An error loses no work, because the sweep rings again.
func (q *Queue) Ring(ctx context.Context, s revoke.Slice) error {
	return q.ring(ctx, []revoke.Slice{s})
}

// ring inserts all the jobs in one transaction, because River tells the workers once for each.
func (q *Queue) ring(ctx context.Context, slices []revoke.Slice) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ringLimit)
	defer cancel()
	jobs := make([]river.InsertManyParams, len(slices))
	for i, s := range slices {
		jobs[i].Args = bell{Run: string(s.Run), Epoch: s.Epoch}
	}
	if _, err := q.client.InsertMany(ctx, jobs); err != nil {
		return fmt.Errorf("ringing for a slice: %w", err)
	}
	return nil
}

// Start begins to work and to sweep, the first time at once, until Stop. The end of ctx stops neither.
func (q *Queue) Start(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // whose end would cancel the slices under way
	if err := q.client.Start(ctx); err != nil {
		return fmt.Errorf("starting the queue: %w", err)
	}
	ctx, q.stopSweep = context.WithCancel(ctx)
	q.sweeping.Go(func() { q.sweep(ctx) })
	return nil
}

// sweep rings for what is due, until ctx ends.
func (q *Queue) sweep(ctx context.Context) {
	tick := time.NewTicker(q.every)
	defer tick.Stop()
	for {
		if err := q.ringDue(ctx); err != nil && ctx.Err() == nil {
			q.log.Error("sweeping runs", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (q *Queue) ringDue(ctx context.Context) error {
	listing, cancel := context.WithTimeout(ctx, ringLimit)
	defer cancel()
	due, err := q.engine.Due(listing)
	if err != nil || len(due) == 0 {
		return err
	}
	return q.ring(ctx, due)
}

// Stop takes no more slices and waits for those at hand. When ctx ends before they do, they are cancelled, and an error
// says so: their runs are taken up when the leases have run out. A queue that was stopped is not started again.
func (q *Queue) Stop(ctx context.Context) error {
	q.stopSweep()
	q.sweeping.Wait()
	if err := q.client.Stop(ctx); err != nil {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		err = fmt.Errorf("waiting for slices to end: %w", err)
		if q.client.StopAndCancel(grace) != nil {
			return err // what hangs still uses the database
		}
		return errors.Join(err, q.close())
	}
	return q.close()
}

// stuck gives the place of a slice that hangs, although it was cancelled, to another one.
func (q *Queue) stuck(_ context.Context, p river.JobStuckHandlerParams) river.JobStuckHandlerResult {
	q.log.Error("a slice does not end", "job", p.ID, "such_slices", p.TotalStuckJobs)
	return river.JobStuckHandlerResult{AddWorkerSlot: true}
}

// bell is the job: a slice is due.
type bell struct {
	Run   string `json:"run" river:"unique"`
	Epoch int64  `json:"epoch" river:"unique"`
}

// Kind names the job in River's tables.
func (bell) Kind() string { return "slice" }

// InsertOpts makes a bell unique among those that wait or were just taken. Not among those that are over: one that came
// to nothing, because its worker was about to stop or could not reach the database, has to be rung again.
func (bell) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		Queue: riverQueue, MaxAttempts: 1,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: bellTime, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateScheduled,
		}},
	}
}

// worker answers a bell.
type worker struct {
	river.WorkerDefaults[bell]
	queue *Queue
}

// Work works the slice and rings for the next one. It returns no error, because River has nothing to do about one.
func (w *worker) Work(ctx context.Context, job *river.Job[bell]) error {
	q, run := w.queue, job.Args.Run
	defer func() {
		if p := recover(); p != nil {
			q.log.Error("a slice panicked: its run is left to the sweep", "run", run, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	next, again := q.engine.Work(ctx, revoke.Slice{Run: revoke.RunID(run), Epoch: job.Args.Epoch})
	if !again {
		return nil
	}
	if err := q.Ring(ctx, next); err != nil {
		q.log.Warn("a run is left to the sweep", "run", run, "error", err)
	}
	return nil
}

// warnings passes on what River warns of; the rest of what it says counts jobs, every five seconds.
type warnings struct{ slog.Handler }

// Enabled reports whether a record is passed on.
func (h warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

// WithAttrs and WithGroup keep the limit.
func (h warnings) WithAttrs(as []slog.Attr) slog.Handler { return warnings{h.Handler.WithAttrs(as)} }

// WithGroup is like WithAttrs.
func (h warnings) WithGroup(name string) slog.Handler { return warnings{h.Handler.WithGroup(name)} }
