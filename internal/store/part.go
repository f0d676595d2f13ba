package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"evict/internal/audit"
)

// Parts reads, for each of these events, what its run says about its target from there up to an event, at most so many
// events, the newest ones. An event that is not there has no part.
func (l *Ledger) Parts(ctx context.Context, from []int64, upTo int64, most int) (parts map[int64]audit.Part, err error) {
	if len(from) == 0 {
		return nil, nil
	}
	err = l.db.read(ctx, "parts of a run", func(tx *sqlTx) error {
		parts = make(map[int64]audit.Part, len(from))
		text, args := l.partsOf(from, upTo, most)
		heads, err := collect(ctx, tx, scanPart, text, args...)
		if err != nil {
			return fmt.Errorf("finding the parts of a run: %w", err)
		}
		seqs := []int64{}
		for i := range heads {
			h := &heads[i]
			slices.Sort(h.seqs)
			if h.cut = len(h.seqs) > most; h.cut {
				h.seqs = h.seqs[len(h.seqs)-most:]
			}
			seqs = append(seqs, h.seqs...)
		}
		records, err := l.recordsAt(ctx, tx, seqs)
		if err != nil {
			return fmt.Errorf("reading the parts of a run: %w", err)
		}
		at := make(map[int64]audit.Record, len(records))
		for _, r := range records {
			at[r.Seq] = r
		}
		for _, h := range heads {
			p := audit.Part{OID: h.oid, Cut: h.cut}
			for _, seq := range h.seqs {
				p.Records = append(p.Records, at[seq])
			}
			parts[h.from] = p
		}
		return nil
	})
	return parts, err
}

// partsOf is the statement that finds them, one event more than asked for. With coalesce, PostgreSQL expects the run in
// every second event; of what it takes for rare it believes that it takes long, and compiles the statement first.
func (l *Ledger) partsOf(from []int64, upTo int64, most int) (text string, args []any) {
	where, order := l.db.dialect.along([]string{"e.target_oid"}, []string{"f.target_oid"}, false)
	return `select f.seq, f.target_oid, (select string_agg(cast(s.seq as text), ',') from (select e.seq from ledger_event e
		where ` + where + ` and e.seq >= f.seq and coalesce(e.run_id = f.run_id, false) order by ` + order + ` limit $3) s)
		from ledger_event f where f.seq in (select cast(value as bigint) from ` + l.db.dialect.elements("$1") + ` v)`,
		[]any{jsonText(from), upTo + 1, most + 1}
}

// partHead is a part of a run before it is read.
type partHead struct {
	from int64
	oid  string
	seqs []int64
	cut  bool
}

func scanPart(s scanner) (h partHead, err error) {
	var joined sql.NullString
	if err := s.Scan(&h.from, &h.oid, &joined); err != nil {
		return partHead{}, err
	}
	h.seqs, err = splitSeqs(joined)
	return h, err
}

// recordsAt reads events by their numbers, in no order.
func (l *Ledger) recordsAt(ctx context.Context, tx *sqlTx, seqs []int64) ([]audit.Record, error) {
	return collect(ctx, tx, scanBytes,
		`select seq, body from ledger_event where seq in (select cast(value as bigint) from `+l.db.dialect.elements("$1")+` v)`,
		jsonText(seqs))
}
