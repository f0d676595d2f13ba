package notary_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/notary"
)

const (
	cloud  = "public"
	tenant = "11111111-2222-4333-8444-555555555555"
)

// ledger is a ledger in memory, which a test may tamper with.
type ledger struct {
	mu          sync.Mutex
	rows        []audit.Row
	hashes      []audit.Hash
	tree        audit.Tree
	checkpoints []audit.Signed
	removed     int64
	reading     error // that reading its head fails with
}

// copied is a backup of it.
func (l *ledger) copied() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	tree, _ := audit.NewTree(l.tree.Size, l.tree.Edge())
	return &ledger{
		rows: slices.Clone(l.rows), hashes: slices.Clone(l.hashes), tree: tree, checkpoints: slices.Clone(l.checkpoints), removed: l.removed,
	}
}

func (l *ledger) Head(context.Context) (audit.Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return audit.Head{Size: l.tree.Size, Root: l.tree.Root(), Removed: l.removed}, l.reading
}

// Search knows no query but that for the newest event of a kind.
func (l *ledger) Search(_ context.Context, q audit.Query) (found audit.Found, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range slices.Backward(l.rows) {
		if r.Index.Kind == string(q.Kind) {
			e, err := audit.Decode(r.Body)
			return audit.Found{Records: []audit.Record{{Seq: r.Seq, Body: r.Body, Event: e}}}, err
		}
	}
	return found, nil
}

func (l *ledger) Append(_ context.Context, events ...audit.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		seq := l.tree.Size + 1
		if e.Kind == audit.RunFinished {
			written := 1
			for _, r := range l.rows {
				if r.Index.Run == e.Run {
					written++
				}
			}
			e.Detail = maps.Clone(e.Detail)
			e.Detail["events"], e.Detail["last_seq"] = strconv.Itoa(written), strconv.FormatInt(seq, 10)
		}
		body, err := audit.Encode(seq, e)
		if err != nil {
			return err
		}
		l.hashes = append(l.hashes, l.tree.Append(body)...)
		l.rows = append(l.rows, audit.Row{Seq: seq, Body: body, Leaf: audit.LeafHash(body), Index: audit.IndexOf(e)})
	}
	return nil
}

func (l *ledger) Rows(_ context.Context, after, upTo int64, limit int) (out []audit.Row, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rows {
		if r.Seq > after && r.Seq <= upTo && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (l *ledger) Hashes(_ context.Context, indexes []int64) ([]audit.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]audit.Hash, len(indexes))
	for i, at := range indexes {
		if at >= int64(len(l.hashes)) || l.hashes[at] == (audit.Hash{}) {
			return nil, audit.ErrNoHash
		}
		out[i] = l.hashes[at]
	}
	return out, nil
}

func (l *ledger) Checkpoints(_ context.Context, after, upTo int64, limit int) (out []audit.Signed, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.checkpoints {
		if c.Size > after && c.Size <= upTo && len(out) < limit {
			out = append(out, c)
		}
	}
	return out, nil
}

func (l *ledger) LastCheckpoint(_ context.Context, upTo int64) (c audit.Signed, ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.checkpoints {
		if s.Size <= upTo && s.Size > c.Size {
			c, ok = s, true
		}
	}
	return c, ok, nil
}

func (l *ledger) SaveCheckpoint(_ context.Context, c audit.Checkpoint, at time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.ContainsFunc(l.checkpoints, func(s audit.Signed) bool { return s.Size == c.Size }) {
		l.checkpoints = append(l.checkpoints, audit.Signed{Checkpoint: c, At: at})
	}
	return nil
}

func (l *ledger) Unfound(context.Context, []audit.Event) ([]int64, error) { return nil, nil }

func (l *ledger) DayCounts(context.Context) ([]audit.DayCount, error) { return nil, nil }

func (l *ledger) records(of func(audit.Row) bool) (out []audit.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rows {
		if of(r) {
			e, _ := audit.Decode(r.Body)
			out = append(out, audit.Record{Seq: r.Seq, Body: r.Body, Event: e})
		}
	}
	return out
}

func (l *ledger) KeyEvents(context.Context) ([]audit.Record, error) {
	return l.records(func(r audit.Row) bool { return r.Index.Kind == string(audit.LedgerKey) }), nil
}

func (l *ledger) Closings(_ context.Context, after, upTo int64, _ int) (out []audit.RunLine, err error) {
	for _, closing := range l.rows {
		if closing.Seq <= after || closing.Seq > upTo || closing.Index.Kind != string(audit.RunFinished) {
			continue
		}
		of := l.records(func(r audit.Row) bool { return r.Index.Run == closing.Index.Run && r.Seq <= closing.Seq })
		out = append(out, audit.RunLine{Run: closing.Index.Run, Events: int64(len(of)), First: of[0].Seq, Newest: of[len(of)-1]})
	}
	return out, nil
}

func (l *ledger) Milestone(_ context.Context, after, upTo int64) (bool, error) {
	return len(l.records(func(r audit.Row) bool {
		return r.Seq > after && r.Seq <= upTo && (r.Index.Kind == string(audit.RunStarted) || r.Index.Kind == string(audit.RunFinished))
	})) > 0, nil
}

// of is the newest event of a kind.
func (l *ledger) of(t *testing.T, kind audit.Kind) audit.Event {
	t.Helper()
	found := l.records(func(r audit.Row) bool { return r.Index.Kind == string(kind) })
	if len(found) == 0 {
		t.Fatalf("there is no event %s", kind)
	}
	return found[len(found)-1].Event
}

// desk is what a notary of a test is made of.
type desk struct {
	*ledger
	t    *testing.T
	o    notary.Options
	log  *logged
	time *clock
}

type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

func key(t *testing.T) (*audit.Signer, string) {
	t.Helper()
	secret, _, err := audit.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	s, err := audit.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s, secret
}

// newDesk has a ledger of twelve events, as a first start of the console finds it.
func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{ledger: &ledger{}, t: t, log: &logged{}, time: &clock{now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}}
	signer, _ := key(t)
	var ids sync.Mutex
	id := 0
	d.o = notary.Options{
		Ledger: d.ledger, Signer: signer, Cloud: cloud, Tenant: tenant, File: filepath.Join(t.TempDir(), "kept", "checkpoints"),
		Now: d.time.Now, Logger: slog.New(slog.NewJSONHandler(d.log, nil)),
		NewID: func() string { ids.Lock(); defer ids.Unlock(); id++; return "id-" + strconv.Itoa(id) },
	}
	d.write(audit.LedgerOpened, "")
	d.busy(11)
	return d
}

// write appends an event.
func (d *desk) write(kind audit.Kind, run string) {
	d.t.Helper()
	err := d.Append(d.t.Context(), audit.Event{
		ID: d.o.NewID(), Time: audit.FormatTime(d.time.Now()), Kind: kind, Cloud: cloud, Tenant: tenant, Run: run, Detail: map[string]string{"a": "b"},
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) busy(n int) {
	d.t.Helper()
	for range n {
		d.write(audit.SignedIn, "")
	}
}

func (d *desk) open() *notary.Notary {
	d.t.Helper()
	n, err := notary.Open(d.t.Context(), d.o)
	if err != nil {
		d.t.Fatalf("opening: %v", err)
	}
	return n
}

// on is a desk with another database, and the same file and key.
func (d *desk) on(l *ledger) *desk {
	other := *d
	other.ledger, other.o.Ledger = l, l
	return &other
}

// refused opens and wants an error, that says each of the words.
func (d *desk) refused(kind error, words ...string) {
	d.t.Helper()
	size := d.tree.Size
	_, err := notary.Open(d.t.Context(), d.o)
	if !errors.Is(err, kind) {
		d.t.Fatalf("got %v, want %v", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			d.t.Errorf("nothing is said of %q in: %v", w, err)
		}
	}
	if d.tree.Size != size {
		d.t.Errorf("a ledger that was refused grew from %d to %d events", size, d.tree.Size)
	}
}
