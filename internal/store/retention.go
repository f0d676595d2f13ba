package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"evict/internal/audit"
	"evict/internal/fault"
)

// removeLimit is how long a removal may take. Nothing else can be written meanwhile.
const removeLimit = 15 * time.Minute

// Remove removes the bytes of the events up to through, which is the size of a stored checkpoint, but for those of kind
// ledger.*, and records it with the given event, in one transaction. Their hashes stay, so the tree stays provable.
// The record's Detail gets "through", the "root" there in base64, the "checkpoint" itself, and how many "events" were
// removed. An error of kind fault.Invalid or fault.Conflict says why nothing was.
//
// The names, tickets and reasons that no event is left of go, too. On SQLite the bytes are overwritten; PostgreSQL does
// so with its next vacuum. Whoever else wants to write waits meanwhile, and gives up after writeLimit.
func (l *Ledger) Remove(ctx context.Context, through int64, record audit.Event) (removed int64, err error) {
	err = l.db.writeWithin(ctx, "remove", removeLimit, func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		c, err := seal(ctx, tx, through)
		if err != nil {
			return nil, err
		}
		if removed, err = remove(ctx, tx, through); err != nil {
			return nil, err
		}
		e := record // a collision calls this again
		e.Kind, e.Detail = audit.LedgerRemoved, maps.Clone(record.Detail)
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail["through"] = strconv.FormatInt(through, 10)
		e.Detail["root"] = base64.StdEncoding.EncodeToString(c.Root[:])
		e.Detail["checkpoint"] = c.Note
		e.Detail["events"] = strconv.FormatInt(removed, 10)
		return []audit.Event{e}, nil
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// seal locks the ledger and returns the checkpoint that seals its first events, if they may be removed: the tree that
// is there has its root, and no run goes on beyond it, so that a closing event that stays has all its run's events.
func seal(ctx context.Context, tx *sqlTx, through int64) (audit.Signed, error) {
	next, tree, err := take(ctx, tx, 0)
	if err != nil {
		return audit.Signed{}, err
	}
	n := strconv.FormatInt(through, 10)
	c, err := scanCheckpoint(tx.QueryRowContext(ctx, `select size, at_ms, note from ledger_checkpoint where size = $1`, through))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return audit.Signed{}, fault.New(fault.Invalid, "There is no checkpoint of "+n+" events: only what a checkpoint seals can be removed.")
	case err != nil:
		return audit.Signed{}, fmt.Errorf("reading the checkpoint: %w", err)
	case tree.Size != next-1 || tree.Size < through:
		return audit.Signed{}, fault.New(fault.Conflict, "The tree does not cover the ledger: verify it.")
	}
	root, err := audit.RootAt(through, func(indexes []int64) ([]audit.Hash, error) { return hashesOf(ctx, tx, indexes) })
	if err != nil {
		return audit.Signed{}, err
	}
	if root != c.Root {
		return audit.Signed{}, fault.New(fault.Conflict, "The ledger contradicts its checkpoint of "+n+" events: verify it.")
	}
	return c, refuseOpenRuns(ctx, tx, through)
}

// refuseOpenRuns refuses a range with a run in it that goes on beyond it.
func refuseOpenRuns(ctx context.Context, tx *sqlTx, through int64) error {
	open, err := collect(ctx, tx, scanText, `select run_id from ledger_event where kind = $1 and seq <= $2 and run_id not in
		(select run_id from ledger_event where kind in ($3, $4) and seq <= $2) order by seq limit 1`,
		string(audit.RunStarted), through, string(audit.RunFinished), string(audit.RunCancelled))
	if err != nil {
		return fmt.Errorf("looking for open runs: %w", err)
	}
	if len(open) > 0 {
		return fault.New(fault.Conflict, "Run "+open[0]+" had not ended at event "+strconv.FormatInt(through, 10)+
			": choose an earlier checkpoint, or one after its end.")
	}
	return nil
}

// remove deletes, and then from the indexes what nothing is left of.
func remove(ctx context.Context, tx *sqlTx, through int64) (removed int64, err error) {
	n, err := tx.exec(ctx, `update ledger_head set removed_through = $1 where id = 1 and removed_through < $1`, through)
	if err != nil {
		return 0, fmt.Errorf("noting the removal: %w", err)
	}
	if n == 0 {
		return 0, fault.New(fault.Conflict, "What that checkpoint seals was removed before.")
	}
	removed, err = tx.exec(ctx, `delete from ledger_event where seq <= $1 and substr(kind, 1, 7) <> 'ledger.'`, through)
	if err != nil {
		return 0, fmt.Errorf("removing events: %w", err)
	}
	for _, rest := range []string{
		`delete from person where not exists (select 1 from ledger_event where operator_oid = person.oid)
			and not exists (select 1 from ledger_event where target_oid = person.oid)`,
		`delete from ledger_note where run_id <> '' and not exists
			(select 1 from ledger_event where run_id = ledger_note.run_id)`,
		`delete from ledger_note where run_id = '' and not exists
			(select 1 from ledger_event where ledger_event.seq = ledger_note.seq)`,
		`delete from ledger_day`,
	} {
		if _, err := tx.exec(ctx, rest); err != nil {
			return 0, fmt.Errorf("removing from the indexes: %w", err)
		}
	}
	return removed, countDays(ctx, tx)
}

// countDays fills the empty index of days.
func countDays(ctx context.Context, tx *sqlTx) error {
	rows, err := collect(ctx, tx, func(s scanner) ([]any, error) {
		var day, events, first, last int64
		var kind string
		err := s.Scan(&day, &kind, &events, &first, &last)
		return []any{dayOf(day * 86_400_000), kind, events, first, last}, err
	}, `select at_ms / 86400000, kind, count(*), min(seq), max(seq) from ledger_event group by 1, 2`)
	if err != nil {
		return fmt.Errorf("counting by day: %w", err)
	}
	if _, err := tx.insert(ctx, `insert into ledger_day (day, kind, events, first_seq, last_seq) values`, "", rows); err != nil {
		return fmt.Errorf("counting by day: %w", err)
	}
	return nil
}
