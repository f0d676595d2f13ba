package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"evict/internal/audit"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

// Whatever a test of this package writes, the whole tree over it holds.
func init() {
	storetest.AtEnd = func(t testing.TB, db *store.DB) {
		if size, ok := small(db); ok && size <= 2500 {
			wholeTree(t, db)
		}
	}
}

// small is how many events a database has, unless the test has closed it.
func small(db *store.DB) (int64, bool) {
	size, err := db.Ledger().Newest(context.Background()) // a clean-up runs after t.Context() has ended
	return size, err == nil
}

// leaf is an event as a live ledger has it; Body is nil when retention removed it.
type leaf struct {
	audit.Row
	event audit.Event
}

// leaves reads every event of the ledger, in order, with those that were removed.
func leaves(t testing.TB, db *store.DB, h audit.Head) []leaf {
	t.Helper()
	ctx := context.Background()
	all := make([]leaf, h.Size)
	for after := int64(0); ; {
		rows, err := db.Ledger().Rows(ctx, after, h.Size, 700)
		if err != nil {
			t.Fatalf("reading rows: %v", err)
		}
		if len(rows) == 0 {
			break
		}
		for _, r := range rows {
			if r.Seq <= after || r.Seq > h.Size {
				t.Fatalf("row %d after %d of %d", r.Seq, after, h.Size)
			}
			e, err := audit.Decode(r.Body)
			if err != nil {
				t.Fatalf("event %d: %v", r.Seq, err)
			}
			all[r.Seq-1], after = leaf{r, e}, r.Seq
		}
	}
	for i := range all {
		if all[i].Body != nil {
			continue
		}
		if seq := int64(i) + 1; seq > h.Removed {
			t.Fatalf("event %d of %d is missing", seq, h.Size)
		}
		h, err := db.Ledger().Hashes(ctx, []int64{audit.LeafIndex(int64(i) + 1)})
		if err != nil {
			t.Fatal(err)
		}
		all[i].Leaf = h[0]
	}
	return all
}

// wholeTree computes the tree anew from the stored bytes, with golang.org/x/mod/sumdb/tlog alone, and compares every
// stored hash, the head, the columns and the index of days with it.
func wholeTree(t testing.TB, db *store.DB) {
	t.Helper()
	ctx := context.Background()
	h, err := db.Ledger().Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, _ error) {
		for _, i := range indexes {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	days := map[string]audit.DayCount{}
	for i, l := range leaves(t, db, h) {
		seq := int64(i) + 1
		if l.Body != nil {
			if want := tlog.RecordHash(l.Body); l.Leaf != want {
				t.Errorf("event %d: the leaf is %s, want %s", seq, l.Leaf, want)
			}
			if diff := cmp.Diff(audit.IndexOf(l.event), l.Index); diff != "" || l.event.Seq != seq {
				t.Errorf("event %d says %d; its columns (-want +got):\n%s", seq, l.event.Seq, diff)
			}
			count(days, l)
		}
		added, err := tlog.StoredHashesForRecordHash(int64(i), l.Leaf, read)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, added...)
	}
	if root, err := tlog.TreeHash(h.Size, read); err != nil || root != h.Root {
		t.Errorf("the root of %d events is %s, want %s (%v)", h.Size, h.Root, root, err)
	}
	indexes := make([]int64, len(hashes))
	for i := range indexes {
		indexes[i] = int64(i)
	}
	if got, err := db.Ledger().Hashes(ctx, indexes); err != nil || !slices.Equal(got, hashes) {
		t.Errorf("the %d stored hashes are not those of the tree (%v)", len(got), err)
	}
	if _, err := db.Ledger().Hashes(ctx, []int64{int64(len(hashes))}); err == nil {
		t.Errorf("there is a hash beyond the %d of the tree", len(hashes))
	}
	sameDays(t, db, days)
}

func count(days map[string]audit.DayCount, l leaf) {
	day := l.event.Time[:len(time.DateOnly)]
	d, ok := days[day+string(l.event.Kind)]
	if !ok {
		d = audit.DayCount{Day: day, Kind: l.event.Kind, First: l.Seq}
	}
	d.Events, d.Last = d.Events+1, l.Seq
	days[day+string(l.event.Kind)] = d
}

func sameDays(t testing.TB, db *store.DB, want map[string]audit.DayCount) {
	t.Helper()
	counts, err := db.Ledger().DayCounts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]audit.DayCount{}
	for _, d := range counts {
		got[d.Day+string(d.Kind)] = d
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the index of days (-want +got):\n%s", diff)
	}
}

// appended fills a ledger with n events of several kinds, days and runs.
func appended(t testing.TB, db *store.DB, n int) {
	t.Helper()
	for part := range slices.Chunk(varied(n), 97) {
		if err := db.Ledger().Append(t.Context(), part...); err != nil {
			t.Fatal(err)
		}
	}
}

func varied(n int) []audit.Event {
	kinds := []audit.Kind{audit.SignedIn, audit.TargetAttempted, audit.TargetAccepted, audit.SettingsChanged}
	events := make([]audit.Event, n)
	for i := range events {
		e := event(kinds[i%len(kinds)], i)
		e.Time = audit.FormatTime(noon.Add(time.Duration(i) * time.Hour))
		if i%4 != 0 {
			e.Run, e.Reason, e.Ticket = fmt.Sprint("run-", i/50), "phished", fmt.Sprint("INC-", i/50)
		}
		e.Target = &audit.Person{OID: oidOf(i % 30), UPN: fmt.Sprintf("u%d@contoso.example", i%30)}
		events[i] = e
	}
	return events
}

func TestTheTreeGrowsWithTheLedger(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		wholeTree(t, db) // the empty one
		for n, e := range varied(33) {
			if err := db.Ledger().Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			if n < 9 || n > 30 {
				wholeTree(t, db)
			}
		}
		appended(t, db, 1300) // more than two inserts hold
		if h := head(t, db); h.Size != 1333 || h.Removed != 0 {
			t.Errorf("the head is %+v", h)
		}
	})
}

func head(t testing.TB, db *store.DB) audit.Head {
	t.Helper()
	h, err := db.Ledger().Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAFailedWriteLeavesNoHashBehind(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		broken := false
		db := open(func(o *store.Options) {
			o.Hook = func(point string) error {
				if broken && point == "append:before-commit" {
					return errors.New("disk full")
				}
				return nil
			}
		})
		appended(t, db, 10)
		before := head(t, db)
		broken = true
		if err := db.Ledger().Append(t.Context(), varied(5)...); err == nil {
			t.Fatal("a failing commit was reported as a success")
		}
		if after := head(t, db); after != before {
			t.Errorf("the head was %+v and is %+v", before, after)
		}
		wholeTree(t, db)
		broken = false
		appended(t, db, 3)
	})
}

func TestConcurrentAppendsOfTwoReplicasKeepOneTree(t *testing.T) {
	t.Parallel()
	o := storetest.Postgres(t)
	var replicas []*store.DB
	for range 2 {
		db, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		replicas = append(replicas, db)
	}
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i := range 15 {
				if err := replicas[w%2].Ledger().Append(t.Context(), varied(1+i%4)...); err != nil {
					t.Errorf("appending: %v", err)
				}
			}
		})
	}
	wg.Wait()
	wholeTree(t, replicas[0])
}

func TestTheTreeRefusesToGoOnOverAGap(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		appended(t, db, 5)
		raw := past(t, o)
		execute(t, raw, `update ledger_head set next_event = next_event + 1`)
		err := db.Ledger().Append(t.Context(), event(audit.SignedIn, 9))
		if err == nil || !strings.Contains(err.Error(), "the ledger has 6 events and its tree 5") {
			t.Errorf("appending beyond the tree: %v", err)
		}
		if h := head(t, db); h.Root != (audit.Hash{}) {
			t.Errorf("a head that does not fit together has the root %s", h.Root)
		}
		execute(t, raw, `update ledger_head set next_event = next_event - 1, edge = `+blob(o, "00"))
		if err := db.Ledger().Append(t.Context(), event(audit.SignedIn, 9)); err == nil {
			t.Error("appended to a tree with a broken edge")
		}
		if err := db.Close(); err != nil { // the tree at the end is not whole
			t.Error(err)
		}
	})
}

// blob writes bytes as the engine reads them.
func blob(o store.Options, hex string) string {
	if o.DatabaseURL == "" {
		return `x'` + hex + `'`
	}
	return `'\x` + hex + `'`
}

func execute(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// A database from before the tree has the same events, and nothing of the migration's tables.
func TestPlantingAnOldLedgerEqualsAppendingIt(t *testing.T) {
	t.Parallel()
	long(t)
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		hostile := event(audit.TargetFailed, 6006)
		hostile.Ticket, hostile.Reason, hostile.Outcome = "\xff\xfe\x00", "\u202e\xc3", "\xff"
		appended(t, db, 6006) // more than one chunk
		if err := db.Ledger().Append(t.Context(), hostile); err != nil {
			t.Fatal(err)
		}
		want, grown := head(t, db), rest(t, past(t, o))
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		forget(t, o)
		refused, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := refused.Ledger().Append(t.Context(), event(audit.SignedIn, 1)); err == nil || !strings.Contains(err.Error(), "evict migrate") {
			t.Errorf("appending before planting: %v", err)
		}
		if err := refused.Close(); err != nil {
			t.Fatal(err)
		}
		migrateAtOnce(t, o)
		again := open()
		if got := head(t, again); got != want {
			t.Errorf("planted, the head is %+v, want %+v", got, want)
		}
		wholeTree(t, again)
		if diff := cmp.Diff(grown, rest(t, past(t, o))); diff != "" {
			t.Errorf("planted, days and words differ (-appended +planted):\n%s", diff)
		}
		appended(t, again, 3)
		wholeTree(t, again)
	})
}

// migrateAtOnce migrates as replicas that start together do; SQLite has one.
func migrateAtOnce(t *testing.T, o store.Options) {
	t.Helper()
	replicas := 1
	if o.DatabaseURL != "" {
		replicas = 3
	}
	var wg sync.WaitGroup
	for range replicas {
		wg.Go(func() {
			if _, _, err := store.Migrate(t.Context(), o); err != nil {
				t.Errorf("planting: %v", err)
			}
		})
	}
	wg.Wait()
}

// forget takes the tree and what searches it out of a database, past the store.
func forget(t testing.TB, o store.Options) {
	t.Helper()
	raw := past(t, o)
	defer func() { _ = raw.Close() }()
	if o.DatabaseURL == "" {
		execute(t, raw, `drop trigger ledger_hash_no_delete`)
	} else {
		execute(t, raw, `alter table ledger_hash disable trigger ledger_hash_no_change`)
	}
	execute(t, raw, `delete from ledger_hash`, `delete from ledger_day`, `delete from ledger_note`,
		`update ledger_head set tree_size = 0, edge = `+blob(o, ""))
}

// rest is what the database keeps beside the tree, to search it by.
func rest(t testing.TB, raw *sql.DB) (lines []string) {
	t.Helper()
	defer func() { _ = raw.Close() }()
	for _, q := range []string{
		`select day || ' ' || kind || ' ' || events || ' ' || first_seq || ' ' || last_seq from ledger_day order by day, kind`,
		`select run_id || ' ' || seq || ' ' || folded from ledger_note order by run_id, seq`,
	} {
		lines = append(lines, column(t, raw, q)...)
	}
	return lines
}

// column is the texts that a query returns.
func column(t testing.TB, raw *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := raw.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAnOldLedgerWithAGapIsNotPlanted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		appended(t, db, 9)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		forget(t, o)
		raw := past(t, o)
		if o.DatabaseURL == "" {
			execute(t, raw, `drop trigger ledger_event_no_delete`)
		} else {
			execute(t, raw, `alter table ledger_event disable trigger ledger_event_no_delete`)
		}
		for _, gap := range []struct{ where, want string }{
			{"seq > 7", "events 8 to 9 are missing"}, {"seq = 4", "event 4 is missing"},
		} {
			execute(t, raw, `delete from ledger_event where `+gap.where)
			if gap.want == "events 8 to 9 are missing" {
				execute(t, raw, `update ledger_head set tree_size = 7, edge = `+blob(o, strings.Repeat("00", 96)))
			} else {
				execute(t, raw, `update ledger_head set tree_size = 0, edge = `+blob(o, ""))
			}
			if _, _, err := store.Migrate(t.Context(), o); err == nil || !strings.Contains(err.Error(), gap.want) {
				t.Errorf("migrating without %s: %v", gap.where, err)
			}
		}
	})
}

func TestAnAlteredEventDoesNotKeepAnOldLedgerFromItsTree(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		appended(t, db, 9)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		forget(t, o)
		raw := past(t, o)
		if o.DatabaseURL == "" {
			execute(t, raw, `drop trigger ledger_event_no_update`)
		} else {
			execute(t, raw, `alter table ledger_event disable trigger ledger_event_no_change`)
		}
		execute(t, raw, `update ledger_event set body = 'nonsense' where seq = 4`)
		if _, _, err := store.Migrate(t.Context(), o); err != nil {
			t.Fatalf("planting: %v", err)
		}
		again, err := store.Open(t.Context(), o) // not by open: the tree at the end has an event that is none
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = again.Close() })
		report, err := audit.VerifyLive(t.Context(), again.Ledger(), audit.Expect{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		names(t, report, "an altered event of an old ledger", audit.Unreadable, 4)
	})
}

// A program from before the tree looks at the schema when it starts, and may still run: what it appended would not be in
// the tree, and the next append would find that out.
func TestAnOldProgramCanAppendNothingToTheNewSchema(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		appended(t, db, 3)
		var seq int64
		err := past(t, o).QueryRowContext(t.Context(),
			`update ledger_head set next_seq = next_seq + 1 where id = 1 returning next_seq`).Scan(&seq) // as it did
		if err == nil {
			t.Error("it took a number")
		}
		appended(t, db, 3)
	})
}

func TestTheDictionaryHoldsEachTextOfARunOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		say := func(n int, run, ticket, reason string) audit.Event {
			e := event(audit.TargetAttempted, n)
			e.Run, e.Ticket, e.Reason = run, ticket, reason
			return e
		}
		for _, batch := range [][]audit.Event{
			{say(1, "r", "INC-1", "Phished"), say(2, "r", "INC-1", "Phished"), say(3, "", "INC-2", "ÖL"), say(4, "", "", "")},
			{say(5, "r", "INC-1", "Phished"), say(6, "r", "INC-1", "other words"), say(7, "s", "", "Phished"), say(8, "", "INC-2", "ÖL")},
		} {
			if err := db.Ledger().Append(t.Context(), batch...); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, line := range rest(t, past(t, o)) {
			if !strings.HasPrefix(line, "2026-") {
				got = append(got, line)
			}
		}
		want := []string{" 3 inc-2 öl", " 8 inc-2 öl", "r 0 inc-1 phished", "r 6 inc-1 other words", "s 0 phished"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the dictionary (-want +got):\n%s", diff)
		}
	})
}

func TestTheDatabaseItselfRefusesToChangeTheTree(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		appended(t, db, 20)
		seal := sealed(t, db)
		raw := past(t, o)
		zero := blob(o, strings.Repeat("00", 32))
		statements := []string{
			`update ledger_hash set hash = ` + zero, `update ledger_hash set idx = -1 where idx = 0`,
			`delete from ledger_hash`, `delete from ledger_hash where idx = (select max(idx) from ledger_hash)`,
			`insert into ledger_hash (idx, hash) values (10000, ` + zero + `)`,
			`insert into ledger_hash (idx, hash) values (-1, ` + zero + `)`,
			`insert into ledger_hash (idx, hash) values (3, ` + zero + `)`,
			`insert into ledger_hash (idx, hash) select max(idx) + 1, ` + blob(o, "00") + ` from ledger_hash`,
			`update ledger_checkpoint set note = 'forged'`, `update ledger_checkpoint set at_ms = 0`,
			`delete from ledger_checkpoint`, `delete from ledger_event where seq = 1`,
		}
		if db.Engine() == "SQLite" {
			statements = append(statements, `replace into ledger_hash (idx, hash) values (3, `+zero+`)`,
				`replace into ledger_checkpoint (size, at_ms, note) values (20, 1, 'forged')`)
		} else {
			statements = append(statements, `truncate ledger_hash`, `truncate ledger_checkpoint`,
				`insert into ledger_hash (idx, hash) values (3, `+zero+`) on conflict (idx) do update set hash = excluded.hash`,
				`insert into ledger_checkpoint (size, at_ms, note) values (20, 1, 'forged')
					on conflict (size) do update set note = excluded.note`,
				`insert into ledger_hash (idx, hash) select max(idx) + 1, `+zero+` from ledger_hash union all select max(idx) + 3, `+zero+` from ledger_hash`)
		}
		for _, s := range statements {
			if _, err := raw.ExecContext(t.Context(), s); err == nil {
				t.Errorf("the database did it: %s", s)
			}
		}
		wholeTree(t, db)
		if got, ok, err := db.Ledger().LastCheckpoint(t.Context(), 20); err != nil || !ok || got.Note != seal.Note {
			t.Errorf("the checkpoint is now %+v (%v, %v)", got, ok, err)
		}
	})
}

func TestAReaderLooksOnBesideAWriter(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		appended(t, db, 3)
		reader, err := store.OpenReader(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = reader.Close() })
		appended(t, db, 150)
		if got := head(t, reader); got != head(t, db) {
			t.Errorf("the reader sees %+v", got)
		}
		wholeTree(t, reader)
		if err := reader.Ledger().Append(t.Context(), event(audit.SignedIn, 1)); err == nil {
			t.Error("a reader has appended")
		}
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
		appended(t, db, 3) // its end has not disturbed the writer
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		alone, err := store.OpenReader(t.Context(), o) // nobody else has it open
		if err != nil {
			t.Fatal(err)
		}
		wholeTree(t, alone)
		if err := alone.Close(); err != nil {
			t.Error(err)
		}
		appended(t, open(), 3)
	})
}

func TestAReaderRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	eachEmpty(t, func(t *testing.T, o store.Options) {
		if _, err := store.OpenReader(t.Context(), o); err == nil {
			t.Error("a reader has opened nothing")
		}
		if files, err := filepath.Glob(filepath.Join(o.DataDir, "*")); o.DataDir != "" && (err != nil || len(files) > 0) {
			t.Errorf("a reader has made %v (%v)", files, err)
		}
		if _, _, err := store.Migrate(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		execute(t, past(t, o), `insert into evict_schema (version_id, is_applied) values (999, true)`)
		if _, err := store.OpenReader(t.Context(), o); !errors.Is(err, store.ErrSchema) {
			t.Errorf("opening a newer database: %v", err)
		}
	})
}
