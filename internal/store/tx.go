package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
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

// sqlTx is a transaction that knows how many rows its engine best takes in one statement.
type sqlTx struct {
	*sql.Tx
	rowsAtOnce int
}

// write runs one transaction: the change, then its events, then the commit. Nothing comes between the events and the
// commit, because the events hold the lock that every writer needs.
func (db *DB) write(ctx context.Context, op string, fn change) error {
	return db.writeWithin(ctx, op, writeLimit, fn)
}

// writeWithin is write with a limit of its own.
func (db *DB) writeWithin(ctx context.Context, op string, limit time.Duration, fn change) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
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
	tx := &sqlTx{begun, db.dialect.rowsAtOnce}
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
	return scanned(rows, scan)
}

// scanned scans every row, and closes them.
func scanned[T any](rows *sql.Rows, scan func(scanner) (T, error)) ([]T, error) {
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

// insert adds rows. head is "insert into t (columns) values", tail what follows the values. It returns how many rows
// were inserted.
func (tx *sqlTx) insert(ctx context.Context, head, tail string, rows [][]any) (n int64, err error) {
	return tx.many(ctx, rows, func(n int) string { return head + " " + tuples(n, len(rows[0])) + " " + tail })
}

// many runs a statement over rows of arguments and returns how many rows it touched; text writes it for n rows.
func (tx *sqlTx) many(ctx context.Context, rows [][]any, text func(n int) string) (touched int64, err error) {
	err = tx.chunks(ctx, rows, text, func(s statement, args []any) error {
		res, err := s.ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		touched += n
		return err
	})
	return touched, err
}

// statement is a statement whose text is settled.
type statement interface {
	ExecContext(ctx context.Context, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, args ...any) (*sql.Rows, error)
}

// unprepared is a statement that is parsed when it runs.
type unprepared struct {
	tx   *sqlTx
	text string
}

// ExecContext runs the statement.
func (u unprepared) ExecContext(ctx context.Context, args ...any) (sql.Result, error) {
	return u.tx.ExecContext(ctx, u.text, args...)
}

// QueryContext runs the statement for the rows that it returns.
func (u unprepared) QueryContext(ctx context.Context, args ...any) (*sql.Rows, error) {
	return u.tx.QueryContext(ctx, u.text, args...)
}

// chunks hands do rows of arguments, as many at once as the engine takes best, with the statement for so many.
func (tx *sqlTx) chunks(
	ctx context.Context, rows [][]any, text func(n int) string, do func(s statement, args []any) error,
) error {
	var prepared statement
	if tx.rowsAtOnce == 1 && len(rows) > 1 { // one statement for all of them: it is parsed once
		stmt, err := tx.PrepareContext(ctx, text(1))
		if err != nil {
			return fmt.Errorf("preparing: %w", err)
		}
		defer func() { _ = stmt.Close() }() // the transaction closes it at the latest
		prepared = stmt
	}
	for chunk := range slices.Chunk(rows, tx.rowsAtOnce) {
		s := prepared
		if s == nil {
			s = unprepared{tx, text(len(chunk))}
		}
		if err := do(s, slices.Concat(chunk...)); err != nil {
			return err
		}
	}
	return nil
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
