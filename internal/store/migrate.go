package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// schemaTable is where goose keeps the versions of a database.
const schemaTable = "evict_schema"

//go:embed migrations
var migrations embed.FS

// Migrate brings a database to this program's schema and returns the versions before and after, 0 for an empty
// database. There is no way down. It refuses a newer database with ErrSchema. Several replicas may call it at once.
func Migrate(ctx context.Context, o Options) (from, to int64, err error) {
	db, err := open(ctx, o)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if from, err = db.schema(ctx); err != nil {
		return 0, 0, err
	}
	if to, err = db.wantSchema(); err != nil {
		return from, from, err
	}
	if from > to {
		return from, from, newerSchema(from, to)
	}
	return from, to, db.migrate(ctx)
}

func (db *DB) migrate(ctx context.Context) error {
	options := []goose.ProviderOption{
		goose.WithTableName(schemaTable), goose.WithDisableGlobalRegistry(true), goose.WithSlog(db.log),
	}
	dialect := goose.DialectSQLite3
	if db.dialect.engine == enginePostgres {
		dialect = goose.DialectPostgres
		locker, err := db.migrationLock(ctx)
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	dir, err := db.migrations()
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(dialect, db.w, dir, options...)
	if err != nil {
		return fmt.Errorf("preparing to migrate: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	if err := db.plant(ctx); err != nil {
		return fmt.Errorf("adding events to the tree: %w", err)
	}
	return nil
}

// migrationLock lets one replica migrate a schema at a time; the others wait up to two minutes.
func (db *DB) migrationLock(ctx context.Context) (lock.SessionLocker, error) {
	var id int64
	err := db.w.QueryRowContext(ctx, `select hashtext('evict ' || current_schema())`).Scan(&id)
	if err != nil {
		return nil, fmt.Errorf("finding the schema to migrate: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(id), lock.WithLockTimeout(1, 120))
	if err != nil {
		return nil, fmt.Errorf("preparing to migrate: %w", err)
	}
	return locker, nil
}

func (db *DB) migrations() (fs.FS, error) {
	dir, err := fs.Sub(migrations, "migrations/"+db.dialect.migrations)
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	return dir, nil
}

// wantSchema is the version that this program works with.
func (db *DB) wantSchema() (int64, error) {
	dir, err := db.migrations()
	if err != nil {
		return 0, err
	}
	names, err := fs.Glob(dir, "*.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("the program holds no migrations: %w", err)
	}
	v, err := goose.NumericComponent(names[len(names)-1]) // Glob sorts
	if err != nil {
		return 0, fmt.Errorf("reading the migrations: %w", err)
	}
	return v, nil
}

// schema is the version that the database has; 0 when it has none.
func (db *DB) schema(ctx context.Context) (v int64, err error) {
	var tables int
	if err := db.r.QueryRowContext(ctx, db.dialect.hasSchema).Scan(&tables); err != nil {
		return 0, fmt.Errorf("reading the schema version: %w", err)
	}
	if tables == 0 {
		return 0, nil
	}
	err = db.r.QueryRowContext(ctx, `select coalesce(max(version_id), 0) from `+schemaTable).Scan(&v)
	if err != nil {
		return 0, fmt.Errorf("reading the schema version: %w", err)
	}
	return v, nil
}

func (db *DB) checkSchema(ctx context.Context) error {
	has, err := db.schema(ctx)
	if err != nil {
		return err
	}
	want, err := db.wantSchema()
	switch {
	case err != nil:
		return err
	case has > want:
		return newerSchema(has, want)
	case has < want:
		return fmt.Errorf("%w: it has version %d, this program needs %d: run evict migrate", ErrSchema, has, want)
	default:
		return nil
	}
}

func newerSchema(has, want int64) error {
	return fmt.Errorf("%w: it has version %d, this program knows %d: a newer Evict has migrated it, run that one",
		ErrSchema, has, want)
}
