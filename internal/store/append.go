package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"evict/internal/audit"
)

// appendEvents is the only writer of events, of the tree over them and of person, and the last thing before a commit:
// from take on, every other writer of events waits.
//
// It gives each event its sequence number, counts it on its run, and adds to RunFinished and RunCancelled how many
// events the run has written ("events") and the last sequence among them ("last_seq"), which is the event's own.
func appendEvents(ctx context.Context, tx *sqlTx, events []audit.Event) error {
	if len(events) == 0 {
		return nil
	}
	written, err := countOnRuns(ctx, tx, events) // before the head: runs are locked first everywhere
	if err != nil {
		return err
	}
	first, tree, err := take(ctx, tx, len(events))
	if err != nil {
		return err
	}
	if tree.Size != first-1 {
		return fmt.Errorf("the ledger has %d events and its tree %d: run evict migrate", first-1, tree.Size)
	}
	entries, rows := make([]entry, len(events)), make([][]any, len(events))
	for i, e := range events {
		written[e.Run]++
		if entries[i], err = newEntry(first+int64(i), e, written[e.Run]); err != nil {
			return err
		}
		rows[i] = entries[i].row()
	}
	if _, err := tx.insert(ctx, `insert into ledger_event (seq, id, at_ms, kind, operator_oid, target_oid, run_id,
		plan_id, outcome, ticket, body) values`, "", rows); err != nil {
		return fmt.Errorf("appending to the ledger: %w", err)
	}
	if err := grow(ctx, tx, tree, entries); err != nil {
		return err
	}
	if _, err := tx.insert(ctx, `insert into person (oid, upn, name, folded) values`, `on conflict do nothing`,
		personRows(entries)); err != nil {
		return fmt.Errorf("noting names: %w", err)
	}
	return nil
}

// countOnRuns adds to each run's count of events and returns what the counts were before.
func countOnRuns(ctx context.Context, tx *sqlTx, events []audit.Event) (before map[string]int, err error) {
	add := map[string]int{}
	for _, e := range events {
		if e.Run != "" {
			add[e.Run]++
		}
	}
	before = map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(add)) { // in one order, so that two writers do not wait for each other
		var after int
		err := tx.QueryRowContext(ctx, `update run set events = events + $1 where id = $2 returning events`,
			add[id], key(id)).Scan(&after)
		switch {
		case errors.Is(err, sql.ErrNoRows): // an event may name a run that this database does not hold
		case err != nil:
			return nil, fmt.Errorf("counting a run's events: %w", err)
		default:
			before[id] = after - add[id]
		}
	}
	return before, nil
}

// newEntry gives an event its number. written is how many events its run has written, this one included.
func newEntry(seq int64, e audit.Event, written int) (entry, error) {
	if at, err := audit.ParseTime(e.Time); err != nil || at.IsZero() {
		return entry{}, fmt.Errorf("event %q of kind %q has no valid time: %q", e.ID, e.Kind, e.Time)
	}
	if e.Kind == audit.RunFinished || e.Kind == audit.RunCancelled {
		e.Detail = maps.Clone(e.Detail)
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail["events"] = strconv.Itoa(written)
		e.Detail["last_seq"] = strconv.FormatInt(seq, 10)
	}
	body, err := audit.Encode(seq, e)
	return entry{seq, body, e, audit.IndexOf(e)}, err
}

// row is an event as ledger_event holds it.
func (e entry) row() []any {
	i := e.index
	return []any{
		e.seq, i.ID, i.AtMS, i.Kind, i.Operator, i.Target, i.Run, i.Plan, i.Outcome, i.Ticket, string(e.body),
	}
}

// snapshot is a name that somebody had when an event was written.
type snapshot struct{ oid, upn, name string }

// snapshots lists the names in an event.
func (e entry) snapshots() (list []snapshot) {
	for _, p := range []struct {
		*audit.Person
		oid string
	}{{e.event.Operator, e.index.Operator}, {e.event.Target, e.index.Target}} {
		if p.Person != nil && p.oid != "" && p.UPN+p.Name != "" {
			list = append(list, snapshot{p.oid, key(p.UPN), key(p.Name)})
		}
	}
	return list
}

// folded is what a name is looked for in.
func (s snapshot) folded() string { return foldedName(s.upn, s.name) }

// personRows lists each snapshot of a name among the events once, sorted.
func personRows(entries []entry) [][]any {
	seen := map[snapshot]bool{}
	for _, e := range entries {
		for _, s := range e.snapshots() {
			seen[s] = true
		}
	}
	all := slices.SortedFunc(maps.Keys(seen), func(a, b snapshot) int {
		return strings.Compare(a.oid+"\x00"+a.upn+"\x00"+a.name, b.oid+"\x00"+b.upn+"\x00"+b.name)
	})
	rows := make([][]any, len(all))
	for i, s := range all {
		rows[i] = []any{s.oid, s.upn, s.name, s.folded()}
	}
	return rows
}

// fold makes a name comparable without regard to case, in Go, so that both engines compare alike.
func fold(s string) string { return strings.ToLower(s) }
