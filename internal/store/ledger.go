package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"evict/internal/audit"
	"evict/internal/fault"
)

// Ledger appends to the ledger and reads it.
type Ledger struct {
	db   *DB
	pace pace
}

// Ledger is the database's face for the ledger.
func (db *DB) Ledger() *Ledger { return &Ledger{db, usual} }

const (
	defaultPage = 50
	largestPage = 200
)

// Bind ties the database to one cloud and tenant. The first event of the ledger says to which: in an empty ledger that
// is opened, which Bind appends; after that, Bind with the same pair does nothing and with any other is an error.
func (l *Ledger) Bind(ctx context.Context, cloud, tenant string, opened audit.Event) error {
	err := l.bound(ctx, l.db.r, cloud, tenant)
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	opened.Kind, opened.Cloud, opened.Tenant = audit.LedgerOpened, cloud, tenant
	return l.db.write(ctx, "bind", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		var next int64 // locked, so that of two replicas that start at once one binds and the other one sees it
		err := tx.QueryRowContext(ctx, `select next_event from ledger_head where id = 1`+l.db.dialect.forUpdate).Scan(&next)
		if err != nil {
			return nil, fmt.Errorf("locking the ledger: %w", err)
		}
		err = l.bound(ctx, tx, cloud, tenant)
		if errors.Is(err, sql.ErrNoRows) {
			return []audit.Event{opened}, nil
		}
		return nil, err
	})
}

// bound compares the first event with a cloud and tenant; sql.ErrNoRows when there is no event.
func (l *Ledger) bound(ctx context.Context, q querier, cloud, tenant string) error {
	var body []byte
	err := q.QueryRowContext(ctx, `select body from ledger_event order by seq limit 1`).Scan(&body)
	if err != nil {
		return fmt.Errorf("reading the first event: %w", err)
	}
	first, err := audit.Decode(body)
	if err != nil {
		return fmt.Errorf("the first event of the ledger, which says whose this database is, was altered and cannot be read: "+
			"restore the database from a backup; evict audit verify says what else was altered: %w", err)
	}
	if first.Cloud != cloud || first.Tenant != tenant {
		return fmt.Errorf("this database belongs to cloud %q and tenant %q, not to cloud %q and tenant %q: use another database",
			first.Cloud, first.Tenant, cloud, tenant)
	}
	return nil
}

// Append appends events that change no other state.
func (l *Ledger) Append(ctx context.Context, events ...audit.Event) error {
	return l.db.write(ctx, "append", func(context.Context, *sqlTx) ([]audit.Event, error) { return events, nil })
}

// Newest returns the sequence number of the newest event; 0 when there is none.
func (l *Ledger) Newest(ctx context.Context) (seq int64, err error) {
	err = l.db.r.QueryRowContext(ctx, `select next_event - 1 from ledger_head where id = 1`).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("reading the head of the ledger: %w", err)
	}
	return seq, nil
}

// Event returns one event; one that somebody altered comes with its bytes, and with no event when they are none. An
// error of kind fault.NotFound when there is none with that number.
func (l *Ledger) Event(ctx context.Context, seq int64) (audit.Record, error) {
	r, err := scanBytes(l.db.r.QueryRowContext(ctx, `select seq, body from ledger_event where seq = $1`, seq))
	if errors.Is(err, sql.ErrNoRows) {
		return audit.Record{}, fault.New(fault.NotFound, "There is no event "+strconv.FormatInt(seq, 10)+" in the ledger.")
	}
	if err != nil {
		return audit.Record{}, fmt.Errorf("reading event %d: %w", seq, err)
	}
	return r, nil
}

// pageSize is how many rows a list shows.
func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, largestPage)
}
