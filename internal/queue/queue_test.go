package queue_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"evict/internal/queue"
	"evict/internal/revoke"
)

// runs is what the store knows of runs: whose lease it is, and which epoch is next. Engines share one.
type runs struct {
	mu    sync.Mutex
	runs  map[revoke.RunID]*run
	fault error // what Due answers next
}

type run struct {
	epoch int64
	left  int // slices to be worked
	held  bool
}

// add makes a run of so many slices and returns the first.
func (r *runs) add(id revoke.RunID, slices int) revoke.Slice {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs == nil {
		r.runs = map[revoke.RunID]*run{}
	}
	r.runs[id] = &run{left: slices}
	return revoke.Slice{Run: id, Epoch: 1}
}

// expire ends the lease of whoever holds a run.
func (r *runs) expire(id revoke.RunID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs[id].held = false
}

func (r *runs) claim(s revoke.Slice) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.runs[s.Run]
	if run == nil || run.held || run.left == 0 || run.epoch+1 != s.Epoch {
		return false
	}
	run.epoch, run.held = s.Epoch, true
	return true
}

// release gives a run back with one slice less to do, and reports whether more is left.
func (r *runs) release(s revoke.Slice) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.runs[s.Run]
	run.held, run.left = false, run.left-1
	return run.left > 0
}

func (r *runs) due() (due []revoke.Slice, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err, r.fault = r.fault, nil; err != nil {
		return nil, err
	}
	for id, run := range r.runs {
		if run.left > 0 && !run.held {
			due = append(due, revoke.Slice{Run: id, Epoch: run.epoch + 1})
		}
	}
	return due, nil
}

// engine is one process's: it claims a slice, works it and says on worked that it did.
type engine struct {
	*runs
	before func(ctx context.Context, s revoke.Slice) // called before the claim
	during func(ctx context.Context, s revoke.Slice) // called with the run in hand
	worked chan revoke.Slice
}

func newEngine(r *runs) *engine { return &engine{runs: r, worked: make(chan revoke.Slice, 100)} }

func (e *engine) Due(context.Context) ([]revoke.Slice, error) { return e.due() }

func (e *engine) Work(ctx context.Context, s revoke.Slice) (next revoke.Slice, again bool) {
	if e.before != nil {
		e.before(ctx, s)
	}
	if !e.claim(s) {
		return revoke.Slice{}, false
	}
	if e.during != nil {
		e.during(ctx, s)
	}
	again = e.release(s)
	e.worked <- s
	return revoke.Slice{Run: s.Run, Epoch: s.Epoch + 1}, again
}

const (
	patience = 30 * time.Second
	often    = 20 * time.Millisecond // between sweeps, where a test is about them
	never    = time.Hour             // where it is not; the first sweep is over before there is a run
)

// each runs a test on both engines. open opens a queue on the test's database.
func each(t *testing.T, test func(t *testing.T, open func(o queue.Options) *queue.Queue)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "queue.db")
		test(t, func(o queue.Options) *queue.Queue { o.File = file; return open(t, o) })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		address := postgres(t)
		test(t, func(o queue.Options) *queue.Queue { o.Pool = migrated(t, address); return open(t, o) })
	})
}

func open(t testing.TB, o queue.Options) *queue.Queue {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	q, err := queue.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("opening the queue: %v", err)
	}
	t.Cleanup(func() { _ = stop(q) })
	return q
}

func start(t testing.TB, q *queue.Queue) {
	t.Helper()
	if err := q.Start(t.Context()); err != nil {
		t.Fatalf("starting the queue: %v", err)
	}
}

func stop(q *queue.Queue) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return q.Stop(ctx)
}

func ring(t testing.TB, q *queue.Queue, s revoke.Slice) {
	t.Helper()
	if err := q.Ring(t.Context(), s); err != nil {
		t.Fatalf("ringing: %v", err)
	}
}

// await receives n values.
func await[T any](t testing.TB, ch <-chan T, n int) (got []T) {
	t.Helper()
	limit := time.After(patience)
	for range n {
		select {
		case v := <-ch:
			got = append(got, v)
		case <-limit:
			t.Fatalf("%d of %d came", len(got), n)
		}
	}
	return got
}

// postgres makes a schema of the test's own and returns its address.
func postgres(t testing.TB) string {
	t.Helper()
	address := os.Getenv("EVICT_TEST_POSTGRES")
	if address == "" {
		address = "postgres://root@127.0.0.1:5432/test?sslmode=disable"
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("EVICT_TEST_POSTGRES is not a URL") // without the error, which would print the password
	}
	name := "evict_test_" + strings.ToLower(rand.Text())
	admin(t, u, "create schema "+name)
	t.Cleanup(func() { admin(t, u, "drop schema "+name+" cascade") })
	query := u.Query()
	query.Set("search_path", name)
	query.Set("pool_max_conns", "6")
	own := *u
	own.RawQuery = query.Encode()
	return own.String()
}

func admin(t testing.TB, u *url.URL, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience) // a clean-up runs after t.Context() has ended
	defer cancel()
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("EVICT_TEST_REQUIRE"), ","), "postgres") {
			t.Fatalf("no PostgreSQL, and EVICT_TEST_REQUIRE wants it: %v", err)
		}
		t.Skip("no PostgreSQL: set EVICT_TEST_POSTGRES")
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func connect(t testing.TB, address string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), address)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func migrated(t testing.TB, address string) *pgxpool.Pool {
	t.Helper()
	pool := connect(t, address)
	if err := queue.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatalf("migrating: %v", err)
	}
	return pool
}

func TestARingIsAnswered(t *testing.T) {
	each(t, func(t *testing.T, open func(queue.Options) *queue.Queue) {
		e := newEngine(&runs{})
		q := open(queue.Options{Engine: e, SweepEvery: never})
		start(t, q)
		first := e.add("run", 1)
		ring(t, q, first)
		if got := await(t, e.worked, 1)[0]; got != first {
			t.Errorf("worked %v, want %v", got, first)
		}
		if err := stop(q); err != nil {
			t.Errorf("stopping: %v", err)
		}
		if n := len(e.worked); n > 0 {
			t.Errorf("worked %d times more", n)
		}
	})
}

func TestRingingAgainIsOneJob(t *testing.T) {
	each(t, func(t *testing.T, open func(queue.Options) *queue.Queue) {
		answered := make(chan revoke.Slice, 100)
		e := newEngine(&runs{})
		e.before = func(_ context.Context, s revoke.Slice) { answered <- s }
		q := open(queue.Options{Engine: e, Slots: 1, SweepEvery: never})
		same, other := revoke.Slice{Run: "run", Epoch: 1}, revoke.Slice{Run: "run", Epoch: 2}
		for range 20 {
			ring(t, q, same)
		}
		ring(t, q, other)
		start(t, q)
		times := 0
		for await(t, answered, 1)[0] == same {
			times++
		}
		// Twice when a period of uniqueness began between two rings.
		if times < 1 || times > 2 {
			t.Errorf("rung 20 times, answered %d times, want once", times)
		}
	})
}

// As when the worker's process is about to stop, or cannot reach the database.
func TestABellThatCameToNothingIsRungAgain(t *testing.T) {
	each(t, func(t *testing.T, open func(queue.Options) *queue.Queue) {
		e := newEngine(&runs{})
		q := open(queue.Options{Engine: e, SweepEvery: often})
		var once sync.Once
		e.before = func(_ context.Context, s revoke.Slice) { once.Do(func() { e.add("run", 1); panic("no claim") }) }
		start(t, q)
		ring(t, q, revoke.Slice{Run: "run", Epoch: 1})
		if got, want := await(t, e.worked, 1)[0], (revoke.Slice{Run: "run", Epoch: 1}); got != want {
			t.Errorf("worked %v, want %v", got, want)
		}
	})
}

func TestASliceRingsForTheNext(t *testing.T) {
	each(t, func(t *testing.T, open func(queue.Options) *queue.Queue) {
		e := newEngine(&runs{})
		q := open(queue.Options{Engine: e, SweepEvery: never})
		start(t, q)
		first := e.add("run", 4)
		ring(t, q, first)
		want := []revoke.Slice{first, {Run: "run", Epoch: 2}, {Run: "run", Epoch: 3}, {Run: "run", Epoch: 4}}
		if diff := cmp.Diff(want, await(t, e.worked, 4)); diff != "" {
			t.Errorf("slices (-want +got):\n%s", diff)
		}
	})
}

func TestTheSweepRingsForWhatIsDue(t *testing.T) {
	each(t, func(t *testing.T, open func(queue.Options) *queue.Queue) {
		e := newEngine(&runs{fault: errors.New("the database is away")})
		q := open(queue.Options{Engine: e, SweepEvery: often})
		start(t, q)
		var want []revoke.Slice
		for _, id := range []revoke.RunID{"a", "b", "c"} {
			want = append(want, e.add(id, 1))
		}
		got := await(t, e.worked, 3)
		slices.SortFunc(got, func(a, b revoke.Slice) int { return strings.Compare(string(a.Run), string(b.Run)) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("slices (-want +got):\n%s", diff)
		}
	})
}

func TestASliceThatPanicsIsTakenUp(t *testing.T) {
	each(t, func(t *testing.T, open func(queue.Options) *queue.Queue) {
		var log bytes.Buffer
		panicked := make(chan revoke.Slice, 1)
		e := newEngine(&runs{})
		e.during = func(_ context.Context, s revoke.Slice) {
			if s.Epoch == 1 {
				panicked <- s
				panic("out of order")
			}
		}
		q := open(queue.Options{Engine: e, SweepEvery: often, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		start(t, q)
		e.add("run", 1)
		await(t, panicked, 1)
		e.expire("run")
		if got, want := await(t, e.worked, 1)[0], (revoke.Slice{Run: "run", Epoch: 2}); got != want {
			t.Errorf("worked %v, want %v", got, want)
		}
		if err := stop(q); err != nil {
			t.Errorf("stopping: %v", err)
		}
		for _, want := range []string{"a slice panicked", "out of order", `"run":"run"`} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log.String())
			}
		}
	})
}

// Two queues on one database are two processes. The first one's only worker hangs, as in a process that is as good as
// dead, and so it takes no other slice.
func TestAnotherProcessTakesUpWhatADeadOneLeft(t *testing.T) {
	type point = func(context.Context, revoke.Slice)
	tests := map[string]struct {
		hang func(dead *engine, here point)
		want int64 // epoch
	}{
		"with the run in hand": {func(e *engine, here point) { e.during = here }, 2},
		// The slice stays the same, and its job counts as running: by itself River would let it stand for an hour.
		"before it had the run": {func(e *engine, here point) { e.before = here }, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := migrated(t, postgres(t))
			shared := &runs{}
			dead, alive := newEngine(shared), newEngine(shared)
			hung, release := make(chan revoke.Slice, 1), make(chan struct{})
			test.hang(dead, func(_ context.Context, s revoke.Slice) { hung <- s; <-release })

			first := open(t, queue.Options{Engine: dead, Pool: pool, Slots: 1, SweepEvery: never})
			t.Cleanup(func() { close(release) }) // before the queue's own
			start(t, first)
			ring(t, first, shared.add("run", 1))
			await(t, hung, 1)

			second := open(t, queue.Options{Engine: alive, Pool: pool, SweepEvery: often})
			start(t, second)
			shared.expire("run")
			if got := await(t, alive.worked, 1)[0]; got.Epoch != test.want {
				t.Errorf("worked %v, want epoch %d", got, test.want)
			}
		})
	}
}

func TestABellThatCouldNotRingIsRungByTheSweep(t *testing.T) {
	t.Parallel()
	pool := migrated(t, postgres(t))
	exec := func(statement string) {
		if _, err := pool.Exec(t.Context(), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	e := newEngine(&runs{})
	e.during = func(_ context.Context, s revoke.Slice) {
		if s.Epoch == 1 {
			exec(`alter table river_job rename to river_job_away`)
		}
	}
	q := open(t, queue.Options{Engine: e, Pool: pool, SweepEvery: often})
	start(t, q)
	first := e.add("run", 2)
	ring(t, q, first)
	await(t, e.worked, 1)
	if err := q.Ring(t.Context(), first); err == nil {
		t.Error("ringing without a table: no error")
	}
	exec(`alter table river_job_away rename to river_job`)
	if got, want := await(t, e.worked, 1)[0], (revoke.Slice{Run: "run", Epoch: 2}); got != want {
		t.Errorf("worked %v, want %v", got, want)
	}
}

func TestStopWaitsForTheSliceAtHand(t *testing.T) {
	each(t, func(t *testing.T, open func(queue.Options) *queue.Queue) {
		e := newEngine(&runs{})
		begun, release := make(chan struct{}), make(chan struct{})
		var atEnd error
		e.during = func(ctx context.Context, _ revoke.Slice) { close(begun); <-release; atEnd = ctx.Err() }
		q := open(queue.Options{Engine: e, SweepEvery: never})
		start(t, q)
		ring(t, q, e.add("run", 1))
		await(t, begun, 1)
		stopped := make(chan error, 1)
		go func() { stopped <- stop(q) }()
		select {
		case err := <-stopped:
			t.Fatalf("stopped (%v) while a slice was worked", err)
		case <-time.After(100 * time.Millisecond): // nothing to wait for: it is to do nothing
		}
		close(release)
		if err := await(t, stopped, 1)[0]; err != nil {
			t.Errorf("stopping: %v", err)
		}
		if len(e.worked) != 1 || atEnd != nil {
			t.Errorf("worked %d slices, context %v; want one, to its end", len(e.worked), atEnd)
		}
	})
}

func TestStopGivesUpOnASliceThatDoesNotEnd(t *testing.T) {
	each(t, func(t *testing.T, open func(queue.Options) *queue.Queue) {
		e := newEngine(&runs{})
		begun, given, release := make(chan struct{}), make(chan error, 1), make(chan struct{})
		e.during = func(ctx context.Context, _ revoke.Slice) { close(begun); <-ctx.Done(); given <- ctx.Err(); <-release }
		q := open(queue.Options{Engine: e, SweepEvery: never})
		t.Cleanup(func() { close(release) }) // before the queue's own
		start(t, q)
		ring(t, q, e.add("run", 1))
		await(t, begun, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.Stop(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("stopping: %v, want %v", err, context.Canceled)
		}
		if err := await(t, given, 1)[0]; !errors.Is(err, context.Canceled) {
			t.Errorf("the slice's context: %v", err)
		}
	})
}

func TestTheEndOfACallersContextStopsNothing(t *testing.T) {
	each(t, func(t *testing.T, open func(queue.Options) *queue.Queue) {
		e := newEngine(&runs{})
		q := open(queue.Options{Engine: e, SweepEvery: never})
		ctx, cancel := context.WithCancel(t.Context())
		if err := q.Start(ctx); err != nil {
			t.Fatalf("starting: %v", err)
		}
		cancel()
		if err := q.Ring(ctx, e.add("run", 1)); err != nil {
			t.Errorf("ringing: %v", err)
		}
		await(t, e.worked, 1)
	})
}

func TestSQLiteStartsWithoutWhatAFormerProcessLeft(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "queue.db")
	answered := make(chan revoke.Slice, 10)
	e := newEngine(&runs{})
	e.before = func(_ context.Context, s revoke.Slice) { answered <- s }
	former := open(t, queue.Options{Engine: e, File: file, SweepEvery: never})
	ring(t, former, revoke.Slice{Run: "former", Epoch: 1})
	if err := stop(former); err != nil {
		t.Fatalf("stopping: %v", err)
	}
	q := open(t, queue.Options{Engine: e, File: file, SweepEvery: never})
	start(t, q)
	now := revoke.Slice{Run: "now", Epoch: 1}
	ring(t, q, now)
	if got := await(t, answered, 1)[0]; got != now {
		t.Errorf("rung for %v, want %v", got, now)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestSQLiteOpensOverABrokenFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "queue ?#%41.db") // characters that mean something in a URI
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		if err := os.WriteFile(file+suffix, []byte("half a page"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	e := newEngine(&runs{})
	q := open(t, queue.Options{Engine: e, File: file, SweepEvery: never})
	start(t, q)
	ring(t, q, e.add("run", 1))
	await(t, e.worked, 1)
}

func TestPostgresNeedsItsMigration(t *testing.T) {
	t.Parallel()
	address := postgres(t)
	pool := connect(t, address)
	log := slog.New(slog.DiscardHandler)
	options := queue.Options{Engine: newEngine(&runs{}), Pool: pool, Logger: log}
	if _, err := queue.Open(t.Context(), options); !errors.Is(err, queue.ErrSchema) {
		t.Errorf("opening an empty schema: %v, want %v", err, queue.ErrSchema)
	}
	done := make(chan error, 3)
	for range cap(done) { // as replicas do
		pool := connect(t, address)
		go func() { done <- queue.Migrate(t.Context(), pool, log) }()
	}
	for _, err := range await(t, done, cap(done)) {
		if err != nil {
			t.Errorf("migrating: %v", err)
		}
	}
	q, err := queue.Open(t.Context(), options)
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	if err := stop(q); err != nil {
		t.Errorf("stopping a queue that was never started: %v", err)
	}
}

func TestTheFileMayBeNamedFromTheWorkingFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("data", 0o700); err != nil {
		t.Fatal(err)
	}
	open(t, queue.Options{Engine: newEngine(&runs{}), File: filepath.Join("data", "queue.db"), SweepEvery: never})
	if _, err := os.Stat(filepath.Join("data", "queue.db")); err != nil {
		t.Errorf("the file: %v", err)
	}
}
