package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

const enginePostgres = "PostgreSQL"

// openPostgres opens one pool for reading and writing, or for reading only.
func (db *DB) openPostgres(ctx context.Context, address string, readOnly bool) error {
	db.dialect = dialect{
		engine:     enginePostgres,
		forUpdate:  ` for update`,
		migrations: "postgres",
		hasSchema:  `select count(to_regclass('` + schemaTable + `'))`,
		listed:     `vacuum (analyze, skip_locked) plan_target, preview_left`, // or pages are slow until it does so by itself
		retryable:  postgresRetryable,
		along:      postgresAlong,
		elements: func(parameter string) string {
			return `(select value from json_array_elements_text(cast(` + parameter + ` as json)))`
		},
		rowsAtOnce: 500,
	}
	cfg, err := pgxpool.ParseConfig(address) // its error hides the password
	if err != nil {
		return fmt.Errorf("reading the database address: %w", err)
	}
	if readOnly {
		cfg.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	db.pool = pool
	db.w = stdlib.OpenDBFromPool(pool)
	db.r = db.w
	db.closers = append(db.closers, func() error { pool.Close(); return nil })
	if err := db.checkEncoding(ctx); err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// checkEncoding refuses a database that cannot hold every name.
func (db *DB) checkEncoding(ctx context.Context) error {
	var encoding string
	if err := db.r.QueryRowContext(ctx, `show server_encoding`).Scan(&encoding); err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database has the encoding %s: Evict needs UTF8", encoding)
	}
	return nil
}

// postgresRetryable reports whether a transaction failed only because it met another one: 40001 or 40P01, a deadlock
// (PostgreSQL, appendix A, error codes).
func postgresRetryable(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40001" || pg.Code == "40P01")
}

// postgresAlong leaves the planner no other index to walk: with "column = value" the order by column goes without saying,
// and it may take the primary key and look for the value as long as there are events.
func postgresAlong(columns, values []string, up bool) (where, order string) {
	before, within, way := "<", ">=", " desc"
	if up {
		before, within, way = ">", "<=", ""
	}
	order = strings.Join(append(slices.Clip(columns), "e.seq"), way+", ") + way
	if len(columns) == 0 {
		return "e.seq " + before + " $2", order
	}
	c, v := strings.Join(columns, ", "), strings.Join(values, ", ")
	return fmt.Sprintf("(%s) %s (%s) and (%s, e.seq) %s (%s, $2)", c, within, v, c, before, v), order
}

// Pool is the connection pool on PostgreSQL, for the queue that lives in the same database; nil on SQLite.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }
