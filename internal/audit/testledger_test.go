package audit_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"evict/internal/audit"
)

const (
	testCloud  = "public"
	testTenant = "72f988bf-0000-4000-8000-000000000001"
)

var testOrigin = audit.Origin(testCloud, testTenant)

// ledger is a whole ledger in memory, as a database holds it, for tests to tamper with. It implements audit.Source and
// audit.ExportSource.
type ledger struct {
	rows   []audit.Row
	hashes []audit.Hash
	signed []audit.Signed
	head   audit.Head
	days   []audit.DayCount
	tree   audit.Tree
	origin string
	cloud  string
	tenant string
	lost   map[int64]bool // indexes of hashes that are not stored
	onRows func(after int64)

	wordless []int64 // events whose names searches do not know
}

func newLedger(cloud, tenant string) *ledger {
	empty := audit.Tree{}
	return &ledger{head: audit.Head{Root: empty.Root()}, cloud: cloud, tenant: tenant, origin: audit.Origin(cloud, tenant), lost: map[int64]bool{}}
}

// clone copies a ledger, so that a test can alter it.
func (l *ledger) clone() *ledger {
	c := *l
	c.rows, c.hashes, c.signed, c.days = slices.Clone(l.rows), slices.Clone(l.hashes), slices.Clone(l.signed), slices.Clone(l.days)
	c.lost = maps.Clone(l.lost)
	edge := l.tree.Edge()
	c.tree, _ = audit.NewTree(l.tree.Size, edge)
	for i := range c.rows {
		c.rows[i].Body = slices.Clone(c.rows[i].Body)
	}
	return &c
}

// add appends events as the store does. Events without cloud, tenant, id or time get them.
func (l *ledger) add(tb testing.TB, events ...audit.Event) {
	tb.Helper()
	for _, e := range events {
		seq := l.tree.Size + 1
		if e.Cloud == "" {
			e.Cloud, e.Tenant = l.cloud, l.tenant
		}
		if e.ID == "" {
			e.ID = fmt.Sprintf("019a5a3e-7b1c-7000-8000-%012d", seq)
		}
		if e.Time == "" {
			e.Time = audit.FormatTime(time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC).Add(time.Duration(seq) * 40 * time.Minute))
		}
		body, err := audit.Encode(seq, e)
		if err != nil {
			tb.Fatal(err)
		}
		l.put(body, audit.IndexOf(e))
	}
}

// put appends bytes as they are.
func (l *ledger) put(body []byte, index audit.Index) {
	l.hashes = append(l.hashes, l.tree.Append(body)...)
	l.rows = append(l.rows, audit.Row{Seq: l.tree.Size, Body: body, Leaf: audit.LeafHash(body), Index: index})
	l.count(l.tree.Size, index)
	l.head.Size, l.head.Root = l.tree.Size, l.tree.Root()
}

func (l *ledger) count(seq int64, index audit.Index) {
	day, kind := time.UnixMilli(index.AtMS).UTC().Format(time.DateOnly), audit.Kind(index.Kind)
	for i := range l.days {
		if d := &l.days[i]; d.Day == day && d.Kind == kind {
			d.Events++
			d.Last = seq
			return
		}
	}
	l.days = append(l.days, audit.DayCount{Day: day, Kind: kind, Events: 1, First: seq, Last: seq})
}

// recount makes the index of days anew, from the rows.
func (l *ledger) recount() {
	l.days = nil
	for _, row := range l.rows {
		l.count(row.Seq, row.Index)
	}
}

// sign stores a checkpoint of the ledger as it stands.
func (l *ledger) sign(tb testing.TB, s *audit.Signer) audit.Checkpoint {
	tb.Helper()
	c, err := s.Sign(l.origin, l.head.Size, l.head.Root)
	if err != nil {
		tb.Fatal(err)
	}
	l.signed = append(l.signed, audit.Signed{Checkpoint: c, At: time.UnixMilli(0)})
	return c
}

// run appends a whole run over so many targets.
func (l *ledger) run(tb testing.TB, id string, targets int) {
	tb.Helper()
	by := &audit.Person{OID: "AAAAAAAA-0000-4000-8000-000000000001", UPN: "anna@contoso.example", Name: "Anna"}
	common := audit.Event{Operator: by, Run: id, Plan: "plan-" + id, Ticket: "INC-7", Reason: "phished"}
	of := func(kind audit.Kind, outcome string) audit.Event {
		e := common
		e.Kind, e.Outcome = kind, outcome
		return e
	}
	events := []audit.Event{of(audit.PlanCreated, ""), of(audit.RunStarted, "running")}
	for i := range targets {
		for _, kind := range []audit.Kind{audit.TargetAttempted, audit.TargetAccepted, audit.TargetConfirmed} {
			e := of(kind, string(kind)[len("target."):])
			e.Target = &audit.Person{OID: fmt.Sprintf("bbbbbbbb-0000-4000-8000-%012d", i), UPN: fmt.Sprintf("p%d@contoso.example", i)}
			events = append(events, e)
		}
	}
	end := of(audit.RunFinished, "finished")
	end.Detail = map[string]string{
		"events": strconv.Itoa(len(events) + 1), "last_seq": strconv.FormatInt(l.tree.Size+int64(len(events))+1, 10),
	}
	l.add(tb, append(events, end)...)
}

// opened is a ledger with its first two events, the second of which names the key.
func opened(tb testing.TB, s *audit.Signer) *ledger {
	tb.Helper()
	l := newLedger(testCloud, testTenant)
	l.add(tb, audit.Event{Kind: audit.LedgerOpened}, audit.Event{Kind: audit.LedgerKey, Detail: map[string]string{"key": s.Public()}})
	return l
}

// newSigner makes a key of its own for a test.
func newSigner(tb testing.TB, name string) *audit.Signer {
	tb.Helper()
	secret, _, err := audit.GenerateKey(name)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := audit.NewSigner(secret)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// rotate appends the change to another key, which the old one vouches for.
func (l *ledger) rotate(tb testing.TB, old, next *audit.Signer) {
	tb.Helper()
	word, err := old.SignNext(l.origin, next.Public())
	if err != nil {
		tb.Fatal(err)
	}
	l.add(tb, audit.Event{Kind: audit.LedgerKey, Detail: map[string]string{
		"key": next.Public(), "old_key": old.Public(), "signature": word,
	}})
}

// remove does what retention does, signed with a key.
func (l *ledger) remove(tb testing.TB, s *audit.Signer, through int64) {
	tb.Helper()
	root, err := audit.RootAt(through, l.stored)
	if err != nil {
		tb.Fatal(err)
	}
	gone := l.strip(through)
	r, err := s.SignRemoval(l.origin, audit.Removal{Through: through, Root: root, Events: gone})
	if err != nil {
		tb.Fatal(err)
	}
	l.add(tb, audit.Event{Kind: audit.LedgerRemoved, Detail: r.Detail()})
}

// strip takes away the events that a removal would, and says how many they were.
func (l *ledger) strip(through int64) (gone int64) {
	before := len(l.rows)
	l.rows = slices.DeleteFunc(l.rows, func(r audit.Row) bool {
		return r.Seq <= through && (len(r.Index.Kind) < 7 || r.Index.Kind[:7] != "ledger.")
	})
	l.head.Removed = through
	l.recount()
	return int64(before - len(l.rows))
}

// keyring are the keys that the ledger names.
func (l *ledger) keyring(tb testing.TB) audit.Keyring {
	tb.Helper()
	var records []audit.Record
	for _, row := range l.rows {
		if row.Index.Kind == string(audit.LedgerKey) {
			records = append(records, audit.Record{Seq: row.Seq, Body: row.Body})
		}
	}
	keys, err := audit.ReadKeyring(records, l.origin)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// rebuild makes tree, leaf hashes and head anew from the rows, as somebody does who can write the whole database.
func (l *ledger) rebuild() {
	rows := l.rows
	l.rows, l.hashes, l.tree, l.head, l.days = nil, nil, audit.Tree{}, audit.Head{}, nil
	for _, row := range rows {
		l.put(row.Body, row.Index)
	}
}

// row finds an event.
func (l *ledger) row(seq int64) *audit.Row {
	i := slices.IndexFunc(l.rows, func(r audit.Row) bool { return r.Seq == seq })
	return &l.rows[i]
}

func (l *ledger) Head(context.Context) (audit.Head, error) { return l.head, nil }

func (l *ledger) Rows(_ context.Context, after, upTo int64, limit int) ([]audit.Row, error) {
	if l.onRows != nil {
		l.onRows(after)
	}
	var out []audit.Row
	i, _ := slices.BinarySearchFunc(l.rows, after+1, func(r audit.Row, seq int64) int { return int(r.Seq - seq) })
	for ; i < len(l.rows) && len(out) < limit && l.rows[i].Seq <= upTo; i++ {
		out = append(out, l.rows[i])
	}
	return out, nil
}

// Scan knows no query but that for a run and a kind.
func (l *ledger) Scan(_ context.Context, q audit.Query, after, upTo int64, limit int) ([]audit.Record, error) {
	var out []audit.Record
	for _, row := range l.rows {
		if row.Seq <= after || row.Seq > upTo || len(out) == limit {
			continue
		}
		if (q.Run == "" || q.Run == row.Index.Run) && (q.Kind == "" || string(q.Kind) == row.Index.Kind) {
			out = append(out, audit.Record{Seq: row.Seq, Body: row.Body})
		}
	}
	return out, nil
}

func (l *ledger) Hashes(_ context.Context, indexes []int64) ([]audit.Hash, error) {
	return l.stored(indexes)
}

func (l *ledger) stored(indexes []int64) ([]audit.Hash, error) {
	out := make([]audit.Hash, len(indexes))
	for i, at := range indexes {
		if at < 0 || at >= int64(len(l.hashes)) || l.lost[at] {
			return nil, fmt.Errorf("hash %d: %w", at, audit.ErrNoHash)
		}
		out[i] = l.hashes[at]
	}
	return out, nil
}

func (l *ledger) Checkpoints(_ context.Context, after, upTo int64, limit int) ([]audit.Signed, error) {
	var out []audit.Signed
	for _, c := range l.signed {
		if after < c.Size && c.Size <= upTo && len(out) < limit {
			out = append(out, c)
		}
	}
	return out, nil
}

func (l *ledger) DayCounts(context.Context) ([]audit.DayCount, error) {
	return slices.Clone(l.days), nil
}

func (l *ledger) Unfound(_ context.Context, events []audit.Event) (seqs []int64, err error) {
	for _, e := range events {
		if slices.Contains(l.wordless, e.Seq) {
			seqs = append(seqs, e.Seq)
		}
	}
	return seqs, nil
}
