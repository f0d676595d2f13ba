package store

import (
	"context"
	"fmt"

	"evict/internal/audit"
)

// plantAtOnce is how many events one transaction plants. Other writers wait for it.
const plantAtOnce = 5000

// plant adds the events to the tree that were written before there was one. SQL alone cannot: it has no SHA-256 on
// either engine. Several replicas may do it at once, because each chunk goes on from where the head says; and it may
// be cut off at any time.
func (db *DB) plant(ctx context.Context) error {
	for {
		var planted int
		err := db.write(ctx, "plant", func(ctx context.Context, tx *sqlTx) (_ []audit.Event, err error) {
			planted, err = plantSome(ctx, tx)
			return nil, err
		})
		if err != nil || planted == 0 {
			return err
		}
		db.log.Info("events were added to the tree", "events", planted)
	}
}

func plantSome(ctx context.Context, tx *sqlTx) (int, error) {
	next, tree, err := take(ctx, tx, 0)
	if err != nil || tree.Size == next-1 {
		return 0, err
	}
	rows, err := collect(ctx, tx, scanRow, selectRows+` where seq > $1 order by seq limit $2`, tree.Size, plantAtOnce)
	if err != nil {
		return 0, err
	}
	entries := make([]entry, len(rows))
	for i, r := range rows {
		if want := tree.Size + 1 + int64(i); r.Seq != want {
			return 0, fmt.Errorf("event %d is missing: there is no tree over what is left", want)
		}
		e, _ := audit.Decode(r.Body) // verification names an event that somebody altered: it is no reason to stay without a tree
		entries[i] = entry{r.Seq, r.Body, e, r.Index}
	}
	if len(entries) == 0 {
		return 0, fmt.Errorf("events %d to %d are missing: there is no tree over what is left", tree.Size+1, next-1)
	}
	return len(entries), grow(ctx, tx, tree, entries)
}
