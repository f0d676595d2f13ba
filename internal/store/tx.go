package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"evict/internal/audit"
)

const (
	// writeLimit ends a transaction that waits for something that will not come, such as a second write begun inside it.
	writeLimit = 30 * time.Second
	writeTries = 3
	slowWrite  = time.Second
)

// change is the body of a write: it changes state inside a transaction and returns the events that tell of it. It may
// be called again when the transaction collided with another one.
type change func(ctx context.Context, tx *sqlTx) ([]audit.Event, error)

// sqlTx is a transaction that knows how many rows its engine best takes in one insert.
type sqlTx struct {
	*sql.Tx
	rowsPerInsert int
}

// write runs one transaction: the change, then its events, then the commit. Nothing comes between the events and the
// commit, because the events hold the lock that every writer needs.
func (db *DB) write(ctx context.Context, op string, fn change) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	start := db.now()
	err := db.writeOnce(ctx, op, fn)
	for range writeTries - 1 {
		if err == nil || !db.dialect.retryable(err) {
			break
		}
		err = db.writeOnce(ctx, op, fn)
	}
	if took := db.now().Sub(start); took >= slowWrite {
		db.log.Warn("a write was slow", "operation", op, "duration", took)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

func (db *DB) writeOnce(ctx context.Context, op string, fn change) (err error) {
	begun, err := db.w.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	tx := &sqlTx{begun, db.dialect.rowsPerInsert}
	defer func() {
		if rollback := tx.Rollback(); err != nil && rollback != nil && !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
	}()
	events, err := fn(ctx, tx)
	if err != nil {
		return err
	}
	if err := appendEvents(ctx, tx, events); err != nil {
		return err
	}
	if err := db.at(op + ":before-commit"); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		if errors.Is(err, sql.ErrTxDone) { // the context ended, and rolled it back behind our back
			err = errors.Join(err, ctx.Err())
		}
		return fmt.Errorf("committing: %w", err)
	}
	return db.at(op + ":after-commit")
}

func (db *DB) at(point string) error {
	if db.hook == nil {
		return nil
	}
	return db.hook(point)
}

// read runs one read transaction, in which every statement sees the same state.
func (db *DB) read(ctx context.Context, op string, fn func(tx *sqlTx) error) error {
	begun, err := db.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return fmt.Errorf("%s: beginning: %w", op, err)
	}
	defer func() { _ = begun.Rollback() }() // nothing was written
	if err := fn(&sqlTx{Tx: begun}); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// querier is a transaction or a pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// scanner is a row that can be scanned.
type scanner interface{ Scan(dest ...any) error }

// collect runs a query and scans every row.
func collect[T any](ctx context.Context, q querier, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("querying: %w", err)
	}
	defer func() { _ = rows.Close() }() // Err below has what matters
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("scanning: %w", err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading rows: %w", err)
	}
	return out, nil
}

func scanText(s scanner) (v string, err error) {
	err = s.Scan(&v)
	return v, err
}

// exec runs a statement and returns how many rows it touched.
func (tx *sqlTx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// insert adds rows by as few statements as possible. head is "insert into t (columns) values", tail what follows the
// values. It returns how many rows were inserted.
func (tx *sqlTx) insert(ctx context.Context, head, tail string, rows [][]any) (n int64, err error) {
	for len(rows) > 0 {
		chunk := rows[:min(len(rows), tx.rowsPerInsert)]
		rows = rows[len(chunk):]
		args := make([]any, 0, len(chunk)*len(chunk[0]))
		for _, r := range chunk {
			args = append(args, r...)
		}
		m, err := tx.exec(ctx, head+" "+tuples(len(chunk), len(chunk[0]))+" "+tail, args...)
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// tuples writes placeholders for rows of values: ($1,$2),($3,$4).
func tuples(rows, columns int) string {
	var b strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%columns == 0:
			b.WriteString("),(")
		default:
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(i + 1))
	}
	b.WriteByte(')')
	return b.String()
}
