package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"evict/internal/audit"
	"evict/internal/fault"
)

// Removable counts the events whose bytes Remove would take. An error of kind fault.Conflict says which run goes on beyond
// them.
func (l *Ledger) Removable(ctx context.Context, through int64) (n int64, err error) {
	if err := refuseOpenRuns(ctx, l.db.r, through); err != nil {
		return 0, err
	}
	return removable(ctx, l.db.r, through)
}

const goes = `substr(kind, 1, 7) <> 'ledger.'`

func removable(ctx context.Context, q querier, through int64) (n int64, err error) {
	err = q.QueryRowContext(ctx, `select count(*) from ledger_event where seq <= $1 and `+goes, through).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting what can be removed: %w", err)
	}
	return n, nil
}

// Remove records with the given event, to whose Detail r's is added, that the bytes of the events up to r.Through go, which is the
// size of a stored checkpoint, but for those of kind ledger.*; and then removes them, in many short transactions, so that
// others can write meanwhile. Their hashes stay, so the tree stays provable. r is signed: see audit.Removal. An error of
// kind fault.Invalid or fault.Conflict says why nothing was removed; so it is when the tree has another root there, or
// other than r.Events events would go. What was cut off on its way the next call finishes first, and the same one again
// does nothing else.
//
// The tickets and reasons that no event is left of go, too, and all names of people whom no event is left of; of anybody
// else every name stays. On SQLite the bytes are overwritten; PostgreSQL does so with its next vacuum.
func (l *Ledger) Remove(ctx context.Context, r audit.Removal, record audit.Event) error {
	finished, err := l.db.finishRemoval(ctx)
	if err != nil {
		return err
	}
	h, err := l.Head(ctx)
	if err != nil {
		return err
	}
	if r.Through > 0 && r.Through <= h.Removed {
		if finished {
			return nil
		}
		return fault.New(fault.Conflict, "What that checkpoint seals was removed before.")
	}
	if err := l.db.recordRemoval(ctx, r, record); err != nil {
		return err
	}
	_, err = l.db.finishRemoval(ctx)
	return err
}

// recordRemoval records a removal, and that it is to be done.
func (db *DB) recordRemoval(ctx context.Context, r audit.Removal, record audit.Event) error {
	return db.write(ctx, "remove", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		c, err := seal(ctx, tx, r.Through)
		if err != nil {
			return nil, err
		}
		n, err := removable(ctx, tx, r.Through)
		if err != nil {
			return nil, err
		}
		if n != r.Events || c.Root != r.Root {
			return nil, fault.New(fault.Conflict, "The ledger is not what the removal was signed for: try again.")
		}
		noted, err := tx.exec(ctx, `update ledger_head set removing_through = $1 where id = 1 and removing_through = 0`, r.Through)
		if err == nil && noted == 0 {
			err = fault.New(fault.Conflict, "Another removal is under way: try again.")
		}
		signed := r.Detail()
		detail := make(map[string]string, len(record.Detail)+len(signed))
		maps.Copy(detail, record.Detail)
		maps.Copy(detail, signed)
		record.Kind, record.Detail = audit.LedgerRemoved, detail
		return []audit.Event{record}, err
	})
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
func refuseOpenRuns(ctx context.Context, q querier, through int64) error {
	open, err := collect(ctx, q, scanText, `select run_id from ledger_event where kind = $1 and seq <= $2 and run_id not in
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
