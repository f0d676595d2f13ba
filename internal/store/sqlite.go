package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

const (
	engineSQLite = "SQLite"

	sqliteFile = "evict.db"
	sqliteLock = "evict.lock"
	readers    = 6
)

var errNoFolder = errors.New("no data folder is set")

// openSQLite opens the folder's database: one writer, because SQLite has one anyway and a queue in the pool is fairer
// than busy waiting, and readers that cannot write.
func (db *DB) openSQLite(ctx context.Context, dir string) error {
	db.dialect = sqliteDialect()
	db.dialect.tidy = `pragma optimize = 0x10002` // every table, not only those that this connection has queried
	dir, err := db.prepareDir(dir)
	if err != nil {
		return err
	}
	unlock, err := lockFile(filepath.Join(dir, sqliteLock))
	if errors.Is(err, errLocked) {
		return fmt.Errorf("the data folder %s is in use by another Evict: stop that one first", dir)
	} else if err != nil {
		return fmt.Errorf("locking the data folder: %w", err)
	}
	path := filepath.Join(dir, sqliteFile)
	if err := privateFile(path); err != nil {
		return errors.Join(err, unlock())
	}
	if err := db.openPools(ctx, path); err != nil {
		return errors.Join(err, unlock())
	}
	db.closers = append(db.closers, unlock)
	return nil
}

func sqliteDialect() dialect {
	return dialect{
		engine:     engineSQLite,
		migrations: "sqlite",
		hasSchema:  `select count(*) from sqlite_master where type = 'table' and name = '` + schemaTable + `'`,
		retryable:  func(error) bool { return false }, // one writer: there is nobody to collide with
		along:      sqliteAlong,
		elements:   func(parameter string) string { return `json_each(` + parameter + `)` },
		rowsAtOnce: 1,
	}
}

// sqliteAlong knows its way by "=" only, and sorts when the columns stand in the order, too.
func sqliteAlong(columns, values []string, up bool) (where, order string) {
	where, order = "e.seq < $2", "e.seq desc"
	if up {
		where, order = "e.seq > $2", "e.seq"
	}
	for i, c := range columns {
		where = c + " = " + values[i] + " and " + where
	}
	return where, order
}

// commonPragmas are those of writers and readers.
func commonPragmas() []string {
	return []string{"busy_timeout(5000)", "foreign_keys(1)", "trusted_schema(0)", "cache_size(-65536)"}
}

func (db *DB) openPools(ctx context.Context, path string) (err error) {
	// secure_delete: a deleted token is overwritten, not only forgotten. wal_autocheckpoint: a run at full speed writes the
	// same pages with each commit; they go into the file after 32 MB, not after 4.
	writer := append([]string{"journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)",
		"wal_autocheckpoint(8000)", "secure_delete(1)"}, commonPragmas()...)
	if db.w, err = sql.Open("sqlite", sqliteDSN(path, url.Values{"_pragma": writer, "_txlock": {"immediate"}})); err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	db.w.SetMaxOpenConns(1)
	if err := db.w.PingContext(ctx); err != nil { // creates the file's WAL before a reader needs it
		return errors.Join(fmt.Errorf("opening the database: %w", err), db.w.Close())
	}
	if err := db.openReaders(path, url.Values{}); err != nil {
		return errors.Join(err, db.w.Close())
	}
	return nil
}

// openReaders opens connections that cannot write.
func (db *DB) openReaders(path string, settings url.Values) (err error) {
	settings["_pragma"] = append([]string{"query_only(1)"}, commonPragmas()...)
	if db.r, err = sql.Open("sqlite", sqliteDSN(path, settings)); err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	db.r.SetMaxOpenConns(readers)
	db.r.SetMaxIdleConns(readers)
	return nil
}

// readSQLite opens the folder's database for reading only, without the lock: its log lets readers in beside a writer.
func (db *DB) readSQLite(ctx context.Context, dir string) error {
	db.dialect = sqliteDialect()
	if dir == "" {
		return errNoFolder
	}
	path, err := filepath.Abs(filepath.Join(dir, sqliteFile))
	if err != nil {
		return fmt.Errorf("finding the data folder: %w", err)
	}
	if err := db.openReaders(path, url.Values{"mode": {"rw"}}); err != nil { // never creates one
		return err
	}
	db.w = db.r
	if err := db.r.PingContext(ctx); err != nil {
		return errors.Join(fmt.Errorf("opening the database %s: %w", path, err), db.Close())
	}
	return nil
}

// sqliteDSN builds a file: URI, in which no character of the path has a meaning.
func sqliteDSN(path string, settings url.Values) string {
	return (&url.URL{Scheme: "file", Path: path, RawQuery: settings.Encode()}).String()
}

// prepareDir makes the data folder readable to its owner only. A folder that belongs to somebody else, such as a
// mounted volume, keeps its mode: the files in it are private all the same.
func (db *DB) prepareDir(dir string) (string, error) {
	if dir == "" {
		return "", errNoFolder
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the data folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("creating the data folder: %w", err)
	}
	err = os.Chmod(dir, 0o700)
	if errors.Is(err, fs.ErrPermission) {
		db.log.Warn("the data folder belongs to another user and keeps its mode", "folder", dir)
	} else if err != nil {
		return "", fmt.Errorf("closing the data folder to others: %w", err)
	}
	return dir, nil
}

// privateFile creates a file that only its owner can read; SQLite gives its companions the same mode.
func privateFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("creating the database file: %w", err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return fmt.Errorf("closing the database file to others: %w", err)
	}
	return nil
}
