package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// ErrSchema says that River's tables are missing or older than this program's.
var ErrSchema = errors.New("the queue's tables do not fit this program")

// Migrate makes River's tables in a PostgreSQL database, in the first schema of its search path, or brings them up to
// date. Several replicas may call it at once. It needs two connections of the pool.
func Migrate(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) (err error) {
	migrator, err := migrator(pool, log)
	if err != nil {
		return err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	defer conn.Release()
	// River takes no lock of its own, and its migrations cannot all share one transaction.
	const key = `(hashtext('evict queue ' || current_schema()))`
	if _, err := conn.Exec(ctx, `select pg_advisory_lock`+key); err != nil {
		return fmt.Errorf("waiting to migrate the queue: %w", err)
	}
	defer func() {
		_, unlocking := conn.Exec(context.WithoutCancel(ctx), `select pg_advisory_unlock`+key)
		err = errors.Join(err, unlocking)
	}()
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrating the queue: %w", err)
	}
	return nil
}

func migrator(pool *pgxpool.Pool, log *slog.Logger) (*rivermigrate.Migrator[pgx.Tx], error) {
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: log})
	if err != nil {
		return nil, fmt.Errorf("preparing to migrate the queue: %w", err)
	}
	return m, nil
}

func (q *Queue) openPostgres(ctx context.Context, o Options) error {
	migrator, err := migrator(o.Pool, q.log)
	if err != nil {
		return err
	}
	found, err := migrator.Validate(ctx, nil)
	if err != nil {
		return fmt.Errorf("looking for the queue's tables: %w", err)
	}
	if !found.OK {
		return fmt.Errorf("%w: %s", ErrSchema, strings.Join(found.Messages, "; "))
	}
	return connect(riverpgxv5.New(o.Pool), q, o)
}
