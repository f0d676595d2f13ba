// Package store keeps everything in SQL: one hand-written text for SQLite and PostgreSQL, one suite of tests for both.
//
// Invariants, each kept by a test:
//   - One method is one transaction. Events are an argument of it: state and its events commit together or not at all.
//     But Remove records in its first one what many short ones after it do, and Scan reads in one after the other.
//   - One function appends to the ledger (appendEvents), as the last thing before a commit, and the database itself
//     refuses to change what stands there, or to delete it but for what retention removes (Remove).
//   - The tree covers every event: leaf and inner hashes commit with the event, and retention leaves them.
//   - Sequence numbers have no gap: they are taken under a lock, inside the transaction that uses them.
//   - A worker whose lease another one took writes nothing any more.
//   - A list of targets never changes once it is frozen, and becomes a run at most once.
//   - A call is granted, counted and recorded in the transaction that takes it from the bucket.
//   - Nothing waits for ever: each transaction has a time limit.
//
// Times are kept as UTC epoch milliseconds. Text that comes from outside is stored as valid UTF-8 without U+0000,
// which PostgreSQL cannot hold (see clean); the body of an event keeps U+0000 as JSON's own escape.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"github.com/jackc/pgx/v5/pgxpool"
	"log/slog"
	"sync"
	"time"
)

// Options say which database to open.
type Options struct {
	DatabaseURL string // postgres://...; "" means SQLite
	DataDir     string // SQLite: the folder of evict.db and evict.lock, created if missing
	Now         func() time.Time
	Logger      *slog.Logger

	// Hook is for tests of what happens when a write fails. It is called in each write with the operation and a point:
	// "launch:before-commit", where an error rolls everything back, and "launch:after-commit", where an error is
	// returned although the write has happened, as when the answer to a commit is lost.
	Hook func(point string) error
}

// dialect is all in which the engines differ, beyond their migrations.
type dialect struct {
	engine     string
	migrations string // folder of its migrations
	forUpdate  string // ends a select whose row is to be locked
	hasSchema  string // counts the table of schema versions
	tidy       string // refreshes the planner's statistics; "" when the engine does so by itself
	listed     string // the same at once for lists, after a long one was written; "" when there is no need
	retryable  func(error) bool

	// along is the condition and the order by which a select of ledger_event e goes along an index that ends in seq: what
	// has the values in its columns, which may be none, and a number below $2, the greatest first; upwards: above, the
	// smallest first.
	along    func(columns, values []string, up bool) (where, order string)
	elements func(parameter string) string // a table with a column "value": what the JSON list in a parameter holds

	// rowsAtOnce is how many rows one statement takes. PostgreSQL saves a round trip for each row (and takes 65,535
	// parameters); SQLite has no round trips, and its work for named parameters grows with the square of their number.
	rowsAtOnce int
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	w, r    *sql.DB // one writer and several readers on SQLite; the same pool on PostgreSQL
	dialect dialect
	pool    *pgxpool.Pool // on PostgreSQL
	now     func() time.Time
	log     *slog.Logger
	hook    func(point string) error
	closers []func() error // run in order after the pools are closed
	closing sync.Once

	tidying sync.Mutex
	tidied  time.Time

	remembered remembered // of the dictionaries
}

// ErrSchema says that the database's schema is not the one that this program works with.
var ErrSchema = errors.New("the database's schema does not fit this program")

// Open opens a database without migrating it; ErrSchema when its schema is older or newer than the program's. On
// SQLite the caller holds the data folder until Close: a second process is refused, and leases that a former process
// left behind are cleared.
func Open(ctx context.Context, o Options) (*DB, error) {
	db, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := db.checkSchema(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if db.dialect.engine == engineSQLite {
		if err := db.clearLeases(ctx); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	db.tidy(ctx)
	return db, nil
}

// OpenReader opens a database for reading only, beside whoever has it open for writing; ErrSchema as in Open. It changes
// nothing, and what would is an error.
func OpenReader(ctx context.Context, o Options) (*DB, error) {
	db := prepare(o)
	var err error
	if o.DatabaseURL != "" {
		err = db.openPostgres(ctx, o.DatabaseURL, true)
	} else {
		err = db.readSQLite(ctx, o.DataDir)
	}
	if err != nil {
		return nil, err
	}
	if err := db.checkSchema(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func open(ctx context.Context, o Options) (*DB, error) {
	db := prepare(o)
	if o.DatabaseURL != "" {
		err := db.openPostgres(ctx, o.DatabaseURL, false)
		return db, err
	}
	err := db.openSQLite(ctx, o.DataDir)
	return db, err
}

func prepare(o Options) *DB {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &DB{now: o.Now, log: o.Logger, hook: o.Hook}
}

// Close closes the database and gives up the data folder. A second call does nothing.
func (db *DB) Close() (err error) {
	db.closing.Do(func() { err = db.close() })
	return err
}

func (db *DB) close() error {
	var errs []error
	errs = append(errs, db.r.Close(), db.w.Close())
	for _, f := range db.closers {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// Engine names the database engine: "SQLite" or "PostgreSQL".
func (db *DB) Engine() string { return db.dialect.engine }

// Ping reports whether the database can be read, and whether a write can begin: a read-only disk or a standby is
// not ready.
func (db *DB) Ping(ctx context.Context) error {
	var next int64
	if err := db.r.QueryRowContext(ctx, `select next_event from ledger_head where id = 1`).Scan(&next); err != nil {
		return fmt.Errorf("reading the database: %w", err)
	}
	tx, err := db.w.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a write: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `update run set owner = owner where 1 = 0`); err != nil {
		return fmt.Errorf("beginning a write: %w", err)
	}
	return nil
}

// clearLeases frees every run: whoever holds the lock on the data folder is the only process there is.
func (db *DB) clearLeases(ctx context.Context) error {
	_, err := db.w.ExecContext(ctx,
		`update run set owner = '', lease_until = 0, epoch = epoch + 1 where owner <> ''`)
	if err != nil {
		return fmt.Errorf("clearing leases: %w", err)
	}
	return nil
}

// tidy refreshes the planner's statistics, at most once an hour: without them SQLite picks the wrong index for a
// condition that fits every event. It is no reason to fail.
func (db *DB) tidy(ctx context.Context) {
	db.tidying.Lock()
	defer db.tidying.Unlock()
	if db.dialect.tidy == "" || db.now().Sub(db.tidied) < time.Hour {
		return
	}
	db.tidied = db.now()
	if _, err := db.w.ExecContext(ctx, db.dialect.tidy); err != nil {
		db.log.Warn("tidying the database", "error", err)
	}
}
