// Package storetest opens databases for tests: each test has one of its own, on both engines. On PostgreSQL that is a
// schema, because creating and dropping a database takes a second.
//
// PostgreSQL is looked for at EVICT_TEST_POSTGRES (a postgres:// URL of a role that may create schemas), or else on
// this machine. Without one its tests are skipped, unless EVICT_TEST_REQUIRE lists "postgres".
package storetest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"evict/internal/store"
)

const localPostgres = "postgres://root@127.0.0.1:5432/test?sslmode=disable"

// Opener opens the test's database with its options, changed as the test wants them. It may be called again: on
// PostgreSQL for a second handle, as another replica has, on SQLite after closing the first. What a test leaves open
// is closed at its end.
type Opener func(change ...func(*store.Options)) *store.DB

// AtEnd is called with each database that Each and Open handed out, before it is closed. Tests of the store set it once,
// before they run, to look at what every test left behind.
var AtEnd = func(testing.TB, *store.DB) {}

// Each runs a test once for each engine, in parallel, each time with an empty migrated database.
func Each(t *testing.T, test func(t *testing.T, open Opener)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, opener(t, SQLite(t)))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, opener(t, Postgres(t)))
	})
}

// Open opens an empty migrated SQLite database for a test that does not care which engine it runs on.
func Open(t testing.TB, change ...func(*store.Options)) *store.DB {
	t.Helper()
	return opener(t, SQLite(t))(change...)
}

func opener(t testing.TB, o store.Options) Opener {
	return func(change ...func(*store.Options)) *store.DB {
		t.Helper()
		o := o
		for _, c := range change {
			c(&o)
		}
		db, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatalf("opening the test's database: %v", err)
		}
		t.Cleanup(func() {
			AtEnd(t, db)
			if err := db.Close(); err != nil {
				t.Errorf("closing the test's database: %v", err)
			}
		})
		return db
	}
}

// SQLite returns the options of an empty migrated SQLite database.
func SQLite(t testing.TB) store.Options {
	t.Helper()
	return migrated(t, store.Options{DataDir: t.TempDir()})
}

// Postgres returns the options of an empty migrated PostgreSQL schema, which is dropped when the test ends.
func Postgres(t testing.TB) store.Options {
	t.Helper()
	return migrated(t, EmptyPostgres(t))
}

func migrated(t testing.TB, o store.Options) store.Options {
	t.Helper()
	if _, _, err := store.Migrate(t.Context(), o); err != nil {
		t.Fatalf("migrating the test's database: %v", err)
	}
	return o
}

// EmptyPostgres is Postgres before its migration.
func EmptyPostgres(t testing.TB) store.Options {
	t.Helper()
	address := os.Getenv("EVICT_TEST_POSTGRES")
	if address == "" {
		address = localPostgres
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("EVICT_TEST_POSTGRES is not a URL") // without the error, which would print the password
	}
	name := "evict_test_" + strings.ToLower(rand.Text())
	admin(t, u, func(ctx context.Context, conn *pgx.Conn) {
		if _, err := conn.Exec(ctx, `create schema `+name); err != nil {
			t.Fatalf("creating the test's schema: %v", err)
		}
	})
	t.Cleanup(func() {
		admin(t, u, func(ctx context.Context, conn *pgx.Conn) {
			if _, err := conn.Exec(ctx, `drop schema `+name+` cascade`); err != nil {
				t.Errorf("dropping the test's schema: %v", err)
			}
		})
	})
	own, query := *u, u.Query()
	query.Set("search_path", name)
	query.Set("pool_max_conns", "8")
	own.RawQuery = query.Encode()
	return store.Options{DatabaseURL: own.String()}
}

// admin connects to the database that EVICT_TEST_POSTGRES names; it skips the test when none answers.
func admin(t testing.TB, u *url.URL, f func(ctx context.Context, conn *pgx.Conn)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // a clean-up runs after t.Context() has ended
	defer cancel()
	dial, stop := context.WithTimeout(ctx, 3*time.Second)
	defer stop()
	conn, err := pgx.Connect(dial, u.String())
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("EVICT_TEST_REQUIRE"), ","), "postgres") {
			t.Fatalf("no PostgreSQL, and EVICT_TEST_REQUIRE wants it: %v", err)
		}
		t.Skip("no PostgreSQL: set EVICT_TEST_POSTGRES")
	}
	defer func() { _ = conn.Close(ctx) }() // the test is about the database, not about this connection
	f(ctx, conn)
}

// Owner is the process that works a run at the moment, as it named itself in the lease; "" when none does. It is for
// PostgreSQL, where several may.
func Owner(t testing.TB, o store.Options, run string) (owner string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cfg, err := pgxpool.ParseConfig(o.DatabaseURL) // it knows the settings of pools
	if err != nil {
		t.Fatal("the test's database has no valid address")
	}
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		t.Fatal("the test's database does not answer")
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := conn.QueryRow(ctx, `select owner from run where id = $1`, run).Scan(&owner); err != nil {
		t.Fatalf("reading the lease: %v", err)
	}
	return owner
}
