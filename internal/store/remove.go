package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"evict/internal/audit"
)

// removeAtOnce is how many events, people or runs one transaction looks at. Other writers wait for it. A test has fewer.
var removeAtOnce = 5000

// finishRemoval does what is recorded and not done yet; it reports whether there was anything. It may be cut off at any
// time, and several replicas may do it at once.
func (db *DB) finishRemoval(ctx context.Context) (finished bool, err error) {
	var through int64
	err = db.r.QueryRowContext(ctx, `select removing_through from ledger_head where id = 1`).Scan(&through)
	if err != nil {
		return false, fmt.Errorf("reading the head of the ledger: %w", err)
	}
	if through == 0 {
		return false, nil
	}
	if err := db.removeAll(ctx); err != nil {
		return false, err
	}
	for _, d := range dictionaries() { // last: what is still there can still be found
		if err := db.forget(ctx, d); err != nil {
			return false, err
		}
	}
	return true, db.removing(ctx, func(ctx context.Context, tx *sqlTx) error {
		_, err := tx.exec(ctx, `update ledger_head set removing_through = 0 where id = 1 and removing_through = $1`, through)
		return err
	})
}

// removing is one transaction of a removal.
func (db *DB) removing(ctx context.Context, do func(ctx context.Context, tx *sqlTx) error) error {
	return db.write(ctx, "removing", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) { return nil, do(ctx, tx) })
}

func (db *DB) removeAll(ctx context.Context) error {
	for more := true; more; {
		err := db.removing(ctx, func(ctx context.Context, tx *sqlTx) (err error) {
			more, err = removeSome(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeSome removes the next events, with the words that are theirs alone, and takes them out of the index of days; more
// is false when there are none. The head says how far it got, so a verification notices that it read past a removal.
func removeSome(ctx context.Context, tx *sqlTx) (more bool, err error) {
	var to int64
	err = tx.QueryRowContext(ctx, `update ledger_head set removed_through =
		case when removed_through + $1 < removing_through then removed_through + $1 else removing_through end
		where id = 1 and removed_through < removing_through returning removed_through`, removeAtOnce).Scan(&to)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("noting the removal: %w", err)
	}
	after := to - int64(removeAtOnce)
	gone, err := collect(ctx, tx, scanGone, fmt.Sprintf(`select at_ms / %d, kind, count(*) from ledger_event
		where seq > $1 and seq <= $2 and `+goes+` group by 1, 2`, dayMS), after, to)
	if err != nil {
		return false, fmt.Errorf("counting by day: %w", err)
	}
	if _, err := tx.exec(ctx, `delete from ledger_event where seq > $1 and seq <= $2 and `+goes, after, to); err != nil {
		return false, fmt.Errorf("removing events: %w", err)
	}
	if _, err := tx.exec(ctx, `delete from ledger_note where run_id = '' and seq > $1 and seq <= $2 and not exists
		(select 1 from ledger_event where ledger_event.seq = ledger_note.seq)`, after, to); err != nil {
		return false, fmt.Errorf("removing words: %w", err)
	}
	return true, uncount(ctx, tx, gone, to)
}

// gone is how many events of a kind a day loses.
type gone struct {
	day    int64 // since the epoch
	kind   string
	events int64
}

func scanGone(s scanner) (g gone, err error) {
	err = s.Scan(&g.day, &g.kind, &g.events)
	return g, err
}

// uncount takes events up to a number out of the index of days. Nothing of their kinds is left up to there.
func uncount(ctx context.Context, tx *sqlTx, list []gone, to int64) error {
	for _, g := range list {
		_, err := tx.exec(ctx, `update ledger_day set events = events - $3, first_seq = coalesce((select seq from ledger_event
			where kind = $2 and seq > $4 and seq <= ledger_day.last_seq and at_ms + 0 >= $5 and at_ms + 0 < $6 order by seq limit 1),
			first_seq) where day = $1 and kind = $2`, dayOf(g.day*dayMS), g.kind, g.events, to, g.day*dayMS, (g.day+1)*dayMS)
		if err != nil {
			return fmt.Errorf("counting by day: %w", err)
		}
	}
	if _, err := tx.exec(ctx, `delete from ledger_day where events <= 0`); err != nil {
		return fmt.Errorf("counting by day: %w", err)
	}
	return nil
}

// dictionary is one whose texts are of people or runs, and go when no event of theirs is left.
type dictionary struct {
	next   string // the last of at most $2 of them after $1, or null
	forget string // those after $1 up to $2
}

func dictionaries() []dictionary {
	return []dictionary{{
		`select max(oid) from (select oid from person where oid > $1 order by oid limit $2) p`,
		`delete from person where oid > $1 and oid <= $2 and not exists (select 1 from ledger_event where operator_oid = person.oid)
			and not exists (select 1 from ledger_event where target_oid = person.oid)`,
	}, {
		`select max(run_id) from (select run_id from ledger_note where run_id > $1 order by run_id limit $2) n`,
		`delete from ledger_note where run_id > $1 and run_id <= $2 and not exists
			(select 1 from ledger_event where run_id = ledger_note.run_id)`,
	}}
}

// forget goes through a dictionary.
func (db *DB) forget(ctx context.Context, d dictionary) error {
	for after := ""; ; {
		var last sql.NullString
		err := db.removing(ctx, func(ctx context.Context, tx *sqlTx) (err error) {
			last, err = d.forgetSome(ctx, tx, after)
			return err
		})
		if err != nil || !last.Valid {
			return err
		}
		after = last.String
	}
}

// forgetSome looks at the next part of a dictionary and returns where it ends, null when there is none.
func (d dictionary) forgetSome(ctx context.Context, tx *sqlTx, after string) (last sql.NullString, err error) {
	if _, _, err := take(ctx, tx, 0); err != nil { // or an event could come meanwhile that counts on a text
		return last, err
	}
	if err := tx.QueryRowContext(ctx, d.next, after, removeAtOnce).Scan(&last); err != nil {
		return last, fmt.Errorf("reading a dictionary: %w", err)
	}
	if _, err := tx.exec(ctx, d.forget, after, last); err != nil { // nothing is up to null
		return last, fmt.Errorf("removing from a dictionary: %w", err)
	}
	return last, nil
}
