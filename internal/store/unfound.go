package store

import (
	"context"
	"fmt"

	"evict/internal/audit"
)

// Unfound lists those of some events, at most 1,000 that follow each other, that a search by name, ticket or reason would
// miss, because the dictionaries lack what they say. The events themselves are believed: whoever verifies them has
// compared their bytes.
func (l *Ledger) Unfound(ctx context.Context, events []audit.Event) (seqs []int64, err error) {
	entries := make([]entry, len(events))
	for i, e := range events {
		entries[i] = entry{seq: e.Seq, event: e, index: audit.IndexOf(e)}
	}
	err = l.db.read(ctx, "reading the dictionaries", func(tx *sqlTx) error {
		d := lexicon{map[entryText]bool{}, map[entryText]bool{}, map[entryText]bool{}, map[snapshot]bool{}}
		if err := d.read(ctx, tx, l.db.dialect, entries); err != nil {
			return err
		}
		for _, e := range entries {
			if !d.find(e) {
				seqs = append(seqs, e.seq)
			}
		}
		return nil
	})
	return seqs, err
}

// entryText is a text of somebody, of a run or of an event.
type entryText struct{ of, folded string }

// lexicon is what the dictionaries hold of some events.
type lexicon struct {
	names, ofRuns, alone map[entryText]bool
	known                map[snapshot]bool // whether a name is among names: a run's events repeat it
}

func (d lexicon) find(e entry) bool {
	for _, s := range e.snapshots() {
		has, looked := d.known[s]
		if !looked {
			has = d.names[entryText{s.oid, s.folded()}]
			d.known[s] = has
		}
		if !has {
			return false
		}
	}
	text := words(e.event)
	if e.index.Run != "" {
		return text == "" || d.ofRuns[entryText{e.index.Run, text}]
	}
	return text == "" || d.alone[entryText{fmt.Sprint(e.seq), text}]
}

// read asks for each person and each run once: a run's events repeat them.
func (d lexicon) read(ctx context.Context, tx *sqlTx, engine dialect, entries []entry) error {
	var oids, runs, alone []string
	for _, e := range entries {
		for _, s := range e.snapshots() {
			oids = append(oids, s.oid)
		}
		switch {
		case e.event.Ticket+e.event.Reason == "":
		case e.index.Run != "":
			runs = append(runs, e.index.Run)
		default:
			alone = append(alone, fmt.Sprint(e.seq))
		}
	}
	for _, part := range []struct {
		of    []string
		found map[entryText]bool
		query string
	}{
		{oids, d.names, `select oid, folded from person where oid in (select value from %s v)`},
		{runs, d.ofRuns, `select run_id, folded from ledger_note where run_id in (select value from %s v)`},
		{alone, d.alone, `select cast(seq as text), folded from ledger_note where run_id = '' and seq in
			(select cast(value as bigint) from %s v)`},
	} {
		if len(part.of) == 0 {
			continue
		}
		list, err := collect(ctx, tx, func(s scanner) (t entryText, err error) {
			err = s.Scan(&t.of, &t.folded)
			return t, err
		}, fmt.Sprintf(part.query, engine.elements("$1")), jsonText(distinct(part.of)))
		if err != nil {
			return err
		}
		for _, t := range list {
			part.found[t] = true
		}
	}
	return nil
}
