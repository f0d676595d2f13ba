package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

// openSQLite makes River's tables in a file of its own. Nothing in it outlives the process: at the next start every run
// that is not over is due, and the first sweep rings for it. So the file need not survive a power cut either.
func (q *Queue) openSQLite(ctx context.Context, o Options) error {
	if o.File == "" {
		return errors.New("no file for the queue is set")
	}
	if err := anew(o.File); err != nil {
		return err
	}
	file, err := filepath.Abs(o.File) // in a file URL a relative path would be a host
	if err != nil {
		return fmt.Errorf("naming the queue's file: %w", err)
	}
	// In memory it would go with the first connection that database/sql gives up.
	dsn := url.URL{Scheme: "file", Path: file, RawQuery: url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(5000)", "trusted_schema(0)", "synchronous(OFF)", "journal_mode(MEMORY)",
	}}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return fmt.Errorf("opening the queue: %w", err)
	}
	db.SetMaxOpenConns(1) // as River's driver asks
	if err := q.prepareSQLite(ctx, db, o); err != nil {
		return errors.Join(err, db.Close())
	}
	q.close = db.Close
	return nil
}

func (q *Queue) prepareSQLite(ctx context.Context, db *sql.DB, o Options) error {
	driver := inProcess{riversqlite.New(db)}
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(warnings{q.log.Handler()})})
	if err != nil {
		return fmt.Errorf("preparing to migrate the queue: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("making the queue's tables: %w", err)
	}
	return connect(driver, q, o)
}

// anew deletes what a former process left, and creates a file that only its owner can read.
func anew(path string) error {
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("deleting the former queue: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("creating the queue's file: %w", err)
	}
	return f.Close()
}

// inProcess is River's driver without its imitation of LISTEN, a query every 50 ms: the only process there is wakes its
// own workers when it rings.
type inProcess struct{ *riversqlite.Driver }

// SupportsListener and SupportsListenNotify are false, as for a database without LISTEN and NOTIFY.
func (inProcess) SupportsListener() bool { return false }

// SupportsListenNotify is like SupportsListener.
func (inProcess) SupportsListenNotify() bool { return false }
