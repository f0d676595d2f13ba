package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"evict/internal/audit"
)

// entry is an event with its number, as the ledger's tables take it.
type entry struct {
	seq   int64
	body  []byte
	event audit.Event
	index audit.Index
}

// take takes the next n numbers of the ledger, and with them the lock that every writer of events needs. It returns
// the first of them and the tree as it stands.
func take(ctx context.Context, tx *sqlTx, n int) (first int64, tree audit.Tree, err error) {
	var size int64
	var edge []byte
	err = tx.QueryRowContext(ctx, `update ledger_head set next_event = next_event + $1 where id = 1
		returning next_event, tree_size, edge`, n).Scan(&first, &size, &edge)
	if err != nil {
		return 0, audit.Tree{}, fmt.Errorf("taking sequence numbers: %w", err)
	}
	tree, err = audit.NewTree(size, edge)
	return first - int64(n), tree, err
}

// grow adds events to the tree, to the index of days and to the dictionary of words. They follow those that the tree
// holds, and the caller has the lock of take.
func grow(ctx context.Context, tx *sqlTx, tree audit.Tree, entries []entry) error {
	var hashes [][]any
	idx := audit.StoredFrom(tree.Size)
	for _, e := range entries {
		for _, h := range tree.Append(e.body) {
			hashes = append(hashes, []any{idx, h[:]})
			idx++
		}
	}
	if _, err := tx.insert(ctx, `insert into ledger_hash (idx, hash) values`, "", hashes); err != nil {
		return fmt.Errorf("storing the hashes of the tree: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `update ledger_head set tree_size = $1, edge = $2 where id = 1`,
		tree.Size, tree.Edge()); err != nil {
		return fmt.Errorf("storing the edge of the tree: %w", err)
	}
	if _, err := tx.insert(ctx, `insert into ledger_day (day, kind, events, first_seq, last_seq) values`,
		`on conflict (day, kind) do update set events = ledger_day.events + excluded.events, last_seq = excluded.last_seq`,
		dayRows(entries)); err != nil {
		return fmt.Errorf("counting by day: %w", err)
	}
	return noteWords(ctx, tx, entries)
}

// dayRows counts events by day and kind.
func dayRows(entries []entry) [][]any {
	type dayKind struct{ day, kind string }
	type span struct{ events, first, last int64 }
	days := map[dayKind]span{}
	for _, e := range entries {
		k := dayKind{dayOf(e.index.AtMS), e.index.Kind}
		s, ok := days[k]
		if !ok {
			s.first = e.seq
		}
		days[k] = span{s.events + 1, s.first, e.seq}
	}
	var rows [][]any
	for k, s := range days {
		rows = append(rows, []any{k.day, k.kind, s.events, s.first, s.last})
	}
	return rows
}

// dayOf is the UTC day of a time in epoch milliseconds.
func dayOf(at int64) string { return time.UnixMilli(at).UTC().Format(time.DateOnly) }

// noteWords adds the tickets and reasons of events to the dictionary: once for a run, because all events of a run
// repeat its own.
func noteWords(ctx context.Context, tx *sqlTx, entries []entry) error {
	type note struct{ run, folded string }
	var alone [][]any
	first := map[note]int64{}
	for _, e := range entries {
		n := note{e.index.Run, words(e.event)}
		if n.folded == "" {
			continue
		}
		if _, known := first[n]; n.run == "" {
			alone = append(alone, []any{"", e.seq, n.folded})
		} else if !known {
			first[n] = e.seq
		}
	}
	if _, err := tx.insert(ctx, `insert into ledger_note (run_id, seq, folded) values`, "", alone); err != nil {
		return fmt.Errorf("noting words: %w", err)
	}
	inOrder := slices.SortedFunc(maps.Keys(first), func(a, b note) int { return cmp.Compare(first[a], first[b]) })
	for _, n := range inOrder {
		_, err := tx.ExecContext(ctx, `insert into ledger_note (run_id, seq, folded)
			select $1, case when exists (select 1 from ledger_note where run_id = $1) then cast($2 as bigint) else 0 end, $3
			where not exists (select 1 from ledger_note where run_id = $1 and folded = $3)`, n.run, first[n], n.folded)
		if err != nil {
			return fmt.Errorf("noting the words of a run: %w", err)
		}
	}
	return nil
}

// words is what an event says in people's own words, for searching; "" when nothing. One space stands between two words,
// because whoever pastes a reason has its line breaks elsewhere.
func words(e audit.Event) string {
	return strings.Join(strings.Fields(fold(clean(e.Ticket+"\n"+e.Reason))), " ")
}
