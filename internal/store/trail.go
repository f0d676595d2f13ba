package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"evict/internal/audit"
)

// Head returns where the ledger stands. A head that does not fit together has the zero root, so that a verification
// names it.
func (l *Ledger) Head(ctx context.Context) (h audit.Head, err error) {
	var size int64
	var edge []byte
	err = l.db.r.QueryRowContext(ctx, `select next_event - 1, tree_size, edge, removed_through from ledger_head where id = 1`).
		Scan(&h.Size, &size, &edge, &h.Removed)
	if err != nil {
		return audit.Head{}, fmt.Errorf("reading the head of the ledger: %w", err)
	}
	if tree, err := audit.NewTree(size, edge); err == nil && size == h.Size {
		h.Root = tree.Root()
	}
	return h, nil
}

// Rows reads events with what the tree and the index say of them: after < seq <= upTo, ascending. The leaf of an event
// whose hash is not there is the zero hash.
func (l *Ledger) Rows(ctx context.Context, after, upTo int64, limit int) (rows []audit.Row, err error) {
	err = l.db.read(ctx, "reading events", func(tx *sqlTx) error {
		rows, err = collect(ctx, tx, scanRow, selectRows+` where seq > $1 and seq <= $2 order by seq limit $3`, after, upTo, limit)
		if err != nil {
			return err
		}
		leaves := make([]int64, len(rows))
		for i, r := range rows {
			leaves[i] = audit.LeafIndex(r.Seq)
		}
		hashes, err := readHashes(ctx, tx, leaves)
		for i := range rows {
			rows[i].Leaf = hashes[leaves[i]]
		}
		return err
	})
	return rows, err
}

const selectRows = `select seq, body, id, at_ms, kind, operator_oid, target_oid, run_id, plan_id, outcome, ticket from ledger_event`

func scanRow(s scanner) (r audit.Row, err error) {
	i := &r.Index
	err = s.Scan(&r.Seq, &r.Body, &i.ID, &i.AtMS, &i.Kind, &i.Operator, &i.Target, &i.Run, &i.Plan, &i.Outcome, &i.Ticket)
	return r, err
}

// Hashes reads stored hashes by index, in the order asked for; one that is missing is audit.ErrNoHash.
func (l *Ledger) Hashes(ctx context.Context, indexes []int64) ([]audit.Hash, error) {
	return hashesOf(ctx, l.db.r, indexes)
}

func hashesOf(ctx context.Context, q querier, indexes []int64) ([]audit.Hash, error) {
	stored, err := readHashes(ctx, q, indexes)
	if err != nil {
		return nil, err
	}
	hashes := make([]audit.Hash, len(indexes))
	for i, idx := range indexes {
		h, ok := stored[idx]
		if !ok {
			return nil, fmt.Errorf("hash %d: %w", idx, audit.ErrNoHash)
		}
		hashes[i] = h
	}
	return hashes, nil
}

// hashesAtOnce is how many hashes one statement names. It is always as many, so that its text is one and the same.
const hashesAtOnce = 100

// readHashes reads those of the hashes that are there. Hashes that lie close together are read as the range that they
// span, which is several times faster than naming each: so are the leaves of events that follow each other.
func readHashes(ctx context.Context, q querier, indexes []int64) (map[int64]audit.Hash, error) {
	hashes := make(map[int64]audit.Hash, len(indexes))
	read := func(condition string, args ...any) error {
		rows, err := collect(ctx, q, scanHash, `select idx, hash from ledger_hash where idx `+condition, args...)
		if err != nil {
			return fmt.Errorf("reading hashes of the tree: %w", err)
		}
		for _, r := range rows {
			hashes[r.idx] = r.hash
		}
		return nil
	}
	if len(indexes) == 0 {
		return hashes, nil
	}
	if lo, hi := slices.Min(indexes), slices.Max(indexes); hi-lo < 4*int64(len(indexes)) {
		return hashes, read(`between $1 and $2`, lo, hi)
	}
	for chunk := range slices.Chunk(indexes, hashesAtOnce) {
		args := make([]any, hashesAtOnce)
		for i := range args {
			args[i] = chunk[min(i, len(chunk)-1)]
		}
		if err := read(`in `+tuples(1, hashesAtOnce), args...); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

type storedHash struct {
	idx  int64
	hash audit.Hash
}

func scanHash(s scanner) (h storedHash, err error) {
	var hash []byte
	if err := s.Scan(&h.idx, &hash); err != nil {
		return storedHash{}, err
	}
	copy(h.hash[:], hash) // the database has checked its length
	return h, nil
}

// Scan reads the events that a query selects, in ascending order: after < seq <= upTo, at most limit. It takes the
// time it takes, in one short transaction after the other. It implements audit.ExportSource.
func (l *Ledger) Scan(ctx context.Context, q audit.Query, after, upTo int64, limit int) (records []audit.Record, err error) {
	for len(records) < limit {
		found, searchedTo, err := l.scanSome(ctx, q, after, upTo, limit-len(records))
		if err != nil {
			return nil, err
		}
		records = append(records, found...)
		if searchedTo == 0 {
			break
		}
		after = searchedTo
	}
	return records, nil
}

// scanSome is one transaction of Scan; searchedTo is 0 when nothing is left to look at, or limit was reached.
func (l *Ledger) scanSome(
	ctx context.Context, q audit.Query, after, upTo int64, limit int,
) (records []audit.Record, searchedTo int64, err error) {
	err = l.db.read(ctx, "reading events", func(tx *sqlTx) error {
		w, err := l.walk(ctx, tx, q, l.pace.scan)
		if err != nil {
			return err
		}
		w.up, w.from, w.to = true, max(w.from, after+1), min(w.to, upTo+1)
		records, searchedTo, err = w.records(ctx, limit)
		return err
	})
	return records, searchedTo, err
}

// Checkpoints reads stored checkpoints with after < size <= upTo, ascending. One that cannot be read, or that stands
// under another size than its own, comes back with the size that it stands under, and fails audit.Verify.
func (l *Ledger) Checkpoints(ctx context.Context, after, upTo int64, limit int) ([]audit.Signed, error) {
	return collect(ctx, l.db.r, scanCheckpoint, `select size, at_ms, note from ledger_checkpoint
		where size > $1 and size <= $2 order by size limit $3`, after, upTo, limit)
}

func scanCheckpoint(s scanner) (c audit.Signed, err error) {
	var size int64
	var note string
	if err := s.Scan(&size, msColumn{&c.At}, &note); err != nil {
		return audit.Signed{}, err
	}
	c.Checkpoint, _ = audit.ParseCheckpoint(note) // whoever verifies it parses it again
	c.Size, c.Note = size, note
	return c, nil
}

// LastCheckpoint is the newest stored checkpoint of at most upTo events; ok is false when there is none.
func (l *Ledger) LastCheckpoint(ctx context.Context, upTo int64) (c audit.Signed, ok bool, err error) {
	c, err = scanCheckpoint(l.db.r.QueryRowContext(ctx, `select size, at_ms, note from ledger_checkpoint
		where size <= $1 order by size desc limit 1`, upTo))
	if errors.Is(err, sql.ErrNoRows) {
		return audit.Signed{}, false, nil
	}
	if err != nil {
		return audit.Signed{}, false, fmt.Errorf("reading the last checkpoint: %w", err)
	}
	return c, true, nil
}

// SaveCheckpoint stores a checkpoint. One of the same size is left as it is.
func (l *Ledger) SaveCheckpoint(ctx context.Context, c audit.Checkpoint, at time.Time) error {
	return l.db.write(ctx, "checkpoint", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		_, err := tx.ExecContext(ctx, `insert into ledger_checkpoint (size, at_ms, note)
			select cast($1 as bigint), cast($2 as bigint), $3
			where not exists (select 1 from ledger_checkpoint where size = $1) on conflict do nothing`, c.Size, ms(at), c.Note)
		return nil, err
	})
}

// DayCounts reads the index of days.
func (l *Ledger) DayCounts(ctx context.Context) ([]audit.DayCount, error) {
	return collect(ctx, l.db.r, func(s scanner) (d audit.DayCount, err error) {
		err = s.Scan(&d.Day, &d.Kind, &d.Events, &d.First, &d.Last)
		return d, err
	}, `select day, kind, events, first_seq, last_seq from ledger_day order by day, kind`)
}

// KeyEvents reads the events of kind ledger.key, ascending: they are few. One that somebody altered comes with its bytes.
func (l *Ledger) KeyEvents(ctx context.Context) ([]audit.Record, error) {
	return collect(ctx, l.db.r, scanBytes, `select seq, body from ledger_event where kind = $1 order by seq`,
		string(audit.LedgerKey))
}

// Closings reads the events that closed a run, after < seq <= upTo, ascending: each is the Newest of its line, which
// counts the events that name the run up to there. One that somebody altered comes with its bytes alone.
func (l *Ledger) Closings(ctx context.Context, after, upTo int64, limit int) (lines []audit.RunLine, err error) {
	scan := func(s scanner) (line audit.RunLine, err error) {
		var body string
		err = s.Scan(&line.Run, &line.Newest.Seq, &body)
		line.Newest.Body = []byte(body)
		line.Newest.Event, _ = audit.Decode(line.Newest.Body)
		return line, err
	}
	err = l.db.read(ctx, "reading the ends of runs", func(tx *sqlTx) error {
		lines, err = collect(ctx, tx, scan, `select run_id, seq, body from ledger_event where kind in ($1, $2)
			and seq > $3 and seq <= $4 order by seq limit $5`, string(audit.RunFinished), string(audit.RunCancelled), after, upTo, limit)
		for i := 0; i < len(lines) && err == nil; i++ {
			err = tx.QueryRowContext(ctx, `select count(*), coalesce(min(seq), 0) from ledger_event where run_id = $1 and seq <= $2`,
				lines[i].Run, lines[i].Newest.Seq).Scan(&lines[i].Events, &lines[i].First)
		}
		return err
	})
	return lines, err
}

// Milestone reports whether a run began or ended in after < seq <= upTo.
func (l *Ledger) Milestone(ctx context.Context, after, upTo int64) (yes bool, err error) {
	err = l.db.r.QueryRowContext(ctx, `select exists (select 1 from ledger_event where kind in ($1, $2, $3)
		and seq > $4 and seq <= $5)`, string(audit.RunStarted), string(audit.RunFinished), string(audit.RunCancelled), after, upTo).
		Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("looking for the starts and ends of runs: %w", err)
	}
	return yes, nil
}
