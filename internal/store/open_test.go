package store_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

// eachEmpty runs a test with a database that was never migrated.
func eachEmpty(t *testing.T, test func(t *testing.T, o store.Options)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, store.Options{DataDir: t.TempDir()})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, storetest.EmptyPostgres(t))
	})
}

func TestOpenRefusesAnotherSchema(t *testing.T) {
	t.Parallel()
	eachEmpty(t, func(t *testing.T, o store.Options) {
		_, err := store.Open(t.Context(), o)
		if !errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), "run evict migrate") {
			t.Errorf("an empty database: %v", err)
		}
		from, to, err := store.Migrate(t.Context(), o)
		if from != 0 || to == 0 || err != nil {
			t.Fatalf("migrated from %d to %d: %v", from, to, err)
		}
		if again, same, err := store.Migrate(t.Context(), o); again != to || same != to || err != nil {
			t.Errorf("migrated again from %d to %d: %v", again, same, err)
		}
		db, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if _, err := past(t, o).ExecContext(t.Context(),
			`insert into evict_schema (version_id, is_applied) values (999, true)`); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(t.Context(), o); !errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), "999") {
			t.Errorf("opening a newer database: %v", err)
		}
		if _, _, err := store.Migrate(t.Context(), o); !errors.Is(err, store.ErrSchema) {
			t.Errorf("migrating a newer database: %v", err)
		}
	})
}

func TestReplicasMayMigrateAtOnce(t *testing.T) {
	t.Parallel()
	o := storetest.EmptyPostgres(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, _, err := store.Migrate(t.Context(), o); err != nil {
				t.Errorf("migrating: %v", err)
			}
		})
	}
	wg.Wait()
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestBothEnginesHaveTheSameMigrations(t *testing.T) {
	t.Parallel()
	list := func(dir string) (names []string) {
		entries, err := os.ReadDir(filepath.Join("migrations", dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	if a, b := list("sqlite"), list("postgres"); !slices.Equal(a, b) || len(a) == 0 {
		t.Errorf("SQLite has %v, PostgreSQL has %v", a, b)
	}
}

func TestTheEngineIsNamed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		if got := open().Engine(); !strings.HasSuffix(t.Name(), "/"+got) {
			t.Errorf("got %q", got)
		}
	})
}

func TestPingSaysWhetherTheDatabaseIsReady(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		if err := db.Ping(t.Context()); err != nil {
			t.Errorf("an open database: %v", err)
		}
		if db.Engine() == "PostgreSQL" {
			standby := open(func(o *store.Options) { o.DatabaseURL += "&default_transaction_read_only=on" })
			if err := standby.Ping(t.Context()); err == nil {
				t.Error("a read-only database is ready")
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Ping(t.Context()); err == nil {
			t.Error("a closed database is ready")
		}
		if err := db.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
	})
}

func TestPingFailsWhenNoWriteCanBegin(t *testing.T) {
	t.Parallel()
	inside, leave := make(chan struct{}), make(chan struct{})
	db := storetest.Open(t, func(o *store.Options) {
		o.Hook = func(point string) error {
			if point == "append:before-commit" {
				close(inside)
				<-leave
			}
			return nil
		}
	})
	done := make(chan error, 1)
	go func() { done <- db.Ledger().Append(t.Context(), event(audit.SignedIn, 1)) }()
	select {
	case <-inside:
	case err := <-done:
		t.Fatalf("the write ended without its hook: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := db.Ping(ctx); err == nil {
		t.Error("ready although the writer is taken")
	}
	if got := newest(t, db); got != 0 { // reading goes on beside the write, and does not see it
		t.Errorf("a reader sees %d events of a write that is not committed", got)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestASecondProcessIsRefusedTheDataFolder(t *testing.T) {
	t.Parallel()
	db, o := optionsOf(t, func(c ...func(*store.Options)) *store.DB { return storetest.Open(t, c...) })
	_, err := store.Open(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "in use by another Evict") || !strings.Contains(err.Error(), o.DataDir) {
		t.Errorf("a second handle: %v", err)
	}
	if _, _, err := store.Migrate(t.Context(), o); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("migrating beside it: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("after closing: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestTheDataFolderIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b%41?c#d", "data")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "evict.db"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	o := store.Options{DataDir: dir}
	if _, _, err := store.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Ledger().Append(t.Context(), event(audit.SignedIn, 1)); err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{".": 0o700, "evict.db": 0o600, "evict.db-wal": 0o600, "evict.db-shm": 0o600, "evict.lock": 0o600}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(want)-1 {
		t.Errorf("the folder holds %v (%v)", entries, err)
	}
}

func TestSQLiteNeedsAFolder(t *testing.T) {
	t.Parallel()
	if _, err := store.Open(t.Context(), store.Options{}); err == nil {
		t.Error("opened a database nowhere")
	}
}

func TestAnUnreachableDatabaseIsAnErrorWithoutThePassword(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"postgres://u:hunter2@127.0.0.1:1/x?connect_timeout=1", "postgres://u:hunter2@127.0.0.1:port/x",
	} {
		_, err := store.Open(t.Context(), store.Options{DatabaseURL: address})
		if err == nil {
			t.Fatalf("opened %s", address)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error holds the password: %v", err)
		}
	}
}

func TestSQLiteConnectionsAreSetUpForSafety(t *testing.T) {
	t.Parallel()
	writer, reader := storetest.Open(t).Pools()
	for pragma, want := range map[string][2]string{ // of the writer, of a reader
		"journal_mode":  {"wal", "wal"},
		"synchronous":   {"2", "2"}, // FULL: a committed intent survives a power cut
		"foreign_keys":  {"1", "1"},
		"secure_delete": {"1", "0"},
		"query_only":    {"0", "1"},
	} {
		var got [2]string
		if err := writer.QueryRowContext(t.Context(), "pragma "+pragma).Scan(&got[0]); err != nil {
			t.Fatal(err)
		}
		if err := reader.QueryRowContext(t.Context(), "pragma "+pragma).Scan(&got[1]); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s is %v, want %v", pragma, got, want)
		}
	}
	if _, err := reader.ExecContext(t.Context(), `delete from session`); err == nil {
		t.Error("a reader can write")
	}
}

func TestThePlannersStatisticsAreRefreshedHourly(t *testing.T) {
	t.Parallel()
	now := noon
	db := storetest.Open(t, func(o *store.Options) { o.Now = func() time.Time { return now } })
	for i := range 200 {
		if err := db.Ledger().Append(t.Context(), event(audit.SignedIn, i)); err != nil {
			t.Fatal(err)
		}
	}
	_, reader := db.Pools()
	for _, c := range []struct {
		after time.Duration
		known bool
	}{{59 * time.Minute, false}, {time.Minute, true}} {
		now = now.Add(c.after)
		if err := db.Sessions().Expire(t.Context(), now, time.Hour); err != nil {
			t.Fatal(err)
		}
		var n int
		err := reader.QueryRowContext(t.Context(), `select count(*) from sqlite_stat1 where tbl = 'ledger_event'`).Scan(&n)
		if known := err == nil && n > 0; known != c.known {
			t.Errorf("at %s: statistics known %v (%d rows, %v), want %v", now.Format(time.TimeOnly), known, n, err, c.known)
		}
	}
}
