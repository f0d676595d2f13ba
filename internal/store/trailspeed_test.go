//go:build bench

package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/store"
)

// Each row is of the whole great ledger. The ideal is measured in the same run: reading the same bytes in the same
// chunks, and hashing them, or writing them to a file.
func TestSpeedOfVerificationAndExport(t *testing.T) {
	onGreatLedgers(t, func(t *testing.T, db *store.DB) {
		tell("\n| on %s | figure | ideal | ratio | heap at %d | heap at %d | process |\n| --- | --- | --- | --- | --- | --- | --- |\n",
			db.Engine(), million/10, million)
		b := &book{db.Ledger(), startWatch(), 0}
		b.row("verification", readAll(t, db, func(body []byte) { audit.LeafHash(body) }), func() {
			report, err := audit.VerifyLive(t.Context(), db.Ledger(), audit.Expect{}, func(done, _ int64) { b.at(done) })
			if err != nil || !report.Intact() || report.Events != million {
				t.Fatalf("%d events: %v %v", report.Events, report.Problems, err)
			}
		})
		path := filepath.Join(t.TempDir(), "export")
		ideal := written(t, path, func(w io.Writer) {
			readAll(t, db, func(body []byte) { _, _ = w.Write(append(body, '\n')) })
		})
		for _, f := range []audit.Format{audit.JSONLines, audit.CSV, audit.OCSF} {
			b.row("export as "+string(f), ideal, func() {
				written(t, path, func(w io.Writer) {
					if n, err := audit.Export(t.Context(), b, f, manifest(t, db), w); err != nil || n != million {
						t.Fatalf("exported %d events: %v", n, err)
					}
				})
			})
		}
	})
}

// readAll shows each event's bytes, and returns how long that took.
func readAll(t *testing.T, db *store.DB, show func(body []byte)) time.Duration {
	t.Helper()
	began := time.Now()
	_, reader := db.Pools()
	for after := int64(0); after < million; after += 1000 {
		showChunk(t, reader, after, show)
	}
	return time.Since(began)
}

func showChunk(t *testing.T, reader *sql.DB, after int64, show func(body []byte)) {
	t.Helper()
	rows, err := reader.QueryContext(t.Context(), `select body from ledger_event where seq > $1 and seq <= $2 order by seq`,
		after, after+1000)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			t.Fatal(err)
		}
		show(body)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// written writes a file, and returns how long that took.
func written(t *testing.T, path string, write func(w io.Writer)) time.Duration {
	t.Helper()
	began := time.Now()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriterSize(file, 1<<16)
	write(out)
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func manifest(t *testing.T, db *store.DB) audit.Manifest {
	t.Helper()
	h := head(t, db)
	c, ok, err := db.Ledger().LastCheckpoint(t.Context(), h.Size)
	if err != nil || !ok {
		t.Fatalf("no checkpoint: %v", err)
	}
	records, err := db.Ledger().KeyEvents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := audit.ReadKeyring(records, audit.Origin(cloud, tenant))
	if err != nil {
		t.Fatal(err)
	}
	return audit.Manifest{Cloud: cloud, Tenant: tenant, At: audit.FormatTime(noon), Size: h.Size, Root: h.Root,
		Checkpoint: c.Note, Keys: keys}
}

// book is a ledger that notes the heap when a tenth of it was read.
type book struct {
	*store.Ledger
	watch *watch
	early uint64
}

func (b *book) at(done int64) {
	if b.early == 0 && done >= million/10 {
		b.early = b.watch.peak()
	}
}

// Scan implements audit.ExportSource.
func (b *book) Scan(ctx context.Context, q audit.Query, after, upTo int64, limit int) ([]audit.Record, error) {
	b.at(after)
	return b.Ledger.Scan(ctx, q, after, upTo, limit)
}

// row does something with every event, and prints what it took.
func (b *book) row(name string, ideal time.Duration, do func()) {
	b.early = 0
	b.watch.reset()
	began := time.Now()
	do()
	took := time.Since(began)
	tell("| %s | %.1f s, %.0f events/s | %.1f s | %.2f | %d MB | %d MB | %s |\n", name, took.Seconds(), million/took.Seconds(),
		ideal.Seconds(), ideal.Seconds()/took.Seconds(), b.early>>20, b.watch.peak()>>20, resident())
}

// watch notes the most that the heap held, garbage included.
type watch struct {
	mu   sync.Mutex
	most uint64
}

func startWatch() *watch {
	w := &watch{}
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			w.peak()
		}
	}()
	return w
}

func (w *watch) reset() {
	runtime.GC()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the process's peak begins anew, where there is such a thing
	w.mu.Lock()
	defer w.mu.Unlock()
	w.most = 0
}

func (w *watch) peak() uint64 {
	now := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.most = max(w.most, now[0].Value.Uint64())
	return w.most
}

// resident is the most that the process held, with SQLite's caches, which are no part of the heap.
func resident() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "not measured"
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kB, err := strconv.Atoi(strings.Fields(after + " ?")[0])
	if err != nil {
		return "not measured"
	}
	return strconv.Itoa(kB>>10) + " MB"
}

// A verification asks this about every thousand events.
func TestSpeedOfTheDictionaries(t *testing.T) {
	onGreatLedgers(t, func(t *testing.T, db *store.DB) {
		r := rand.New(rand.NewPCG(5, 6))
		var took []time.Duration
		for range asks {
			records, err := db.Ledger().Scan(t.Context(), audit.Query{}, r.Int64N(million-1000), million, 1000)
			if err != nil {
				t.Fatal(err)
			}
			events := make([]audit.Event, len(records))
			for i, r := range records {
				events[i] = r.Event
			}
			began := time.Now()
			if seqs, err := db.Ledger().Unfound(t.Context(), events); err != nil || len(seqs) > 0 {
				t.Fatalf("a search would miss %v (%v)", seqs, err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		tell("\n| dictionaries on %s, of 1,000 events | %.1f ms | %.1f ms | | |\n", db.Engine(), millis(took[asks/2]), millis(took[asks*99/100]))
	})
}
