package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"evict/internal/audit"
)

// dayMS is a day in milliseconds. UTC days of epoch time all have as many.
const dayMS = int64(24 * time.Hour / time.Millisecond)

// Histogram counts by day what a query selects, for as far as it gets in a short time. It is of the whole query,
// whatever page of it Before, After and Limit are about.
func (l *Ledger) Histogram(ctx context.Context, q audit.Query) (h audit.Histogram, err error) {
	q.Before, q.After, q.Limit = 0, 0, 0
	err = l.db.read(ctx, "histogram", func(tx *sqlTx) error {
		if wholeDays(q) {
			h.Days, err = countedDays(ctx, tx, q)
			return err
		}
		w, err := l.walk(ctx, tx, q, l.pace.page)
		if err != nil {
			return err
		}
		h.Days, h.SearchedTo, err = w.days(ctx)
		return err
	})
	return h, err
}

// wholeDays reports whether a query asks for nothing but a kind and days from midnight to midnight, which the index of
// days has counted.
func wholeDays(q audit.Query) bool {
	midnight := func(t time.Time) bool { return t.IsZero() || ms(t)%dayMS == 0 && t.Year() <= 9999 }
	if !midnight(q.From) || !midnight(q.To) {
		return false
	}
	return q == audit.Query{Kind: q.Kind, From: q.From, To: q.To}
}

func countedDays(ctx context.Context, tx *sqlTx, q audit.Query) ([]audit.DayBar, error) {
	f := &filter{}
	if q.Kind != "" {
		f.add("kind = ?", key(string(q.Kind)))
	}
	if !q.From.IsZero() {
		f.add("day >= ?", dayOf(ms(q.From)))
	}
	if !q.To.IsZero() {
		f.add("day < ?", dayOf(ms(q.To)))
	}
	days, err := collect(ctx, tx, func(s scanner) (d audit.DayBar, err error) {
		err = s.Scan(&d.Day, &d.Events)
		return d, err
	},
		`select day, cast(sum(events) as bigint) from ledger_day`+f.clause()+` group by day order by day desc`, f.args...)
	if err != nil {
		return nil, fmt.Errorf("reading the index of days: %w", err)
	}
	return days, nil
}

// days counts what the walk finds by day.
func (w *walk) days(ctx context.Context) (days []audit.DayBar, searchedTo int64, err error) {
	type bar struct{ day, events int64 }
	counts := map[int64]int64{}
	searchedTo, err = w.each(ctx, func(f *filter) (bool, error) {
		bars, err := collect(ctx, w.tx, func(s scanner) (b bar, err error) {
			err = s.Scan(&b.day, &b.events)
			return b, err
		},
			fmt.Sprintf(`select at_ms / %d, count(*) from ledger_event%s group by at_ms / %[1]d`, dayMS, f.clause()), f.args...)
		for _, b := range bars {
			counts[b.day] += b.events
		}
		return false, err
	})
	for day, n := range counts {
		days = append(days, audit.DayBar{Day: dayOf(day * dayMS), Events: n})
	}
	slices.SortFunc(days, func(a, b audit.DayBar) int { return strings.Compare(b.Day, a.Day) })
	return days, searchedTo, err
}

// RunLines tells of each of the runs in short; a run that the ledger does not know is not in the map. A run of this
// database has counted its events, those that retention removed among them; those of any other one are counted here.
func (l *Ledger) RunLines(ctx context.Context, runs []string) (lines map[string]audit.RunLine, err error) {
	lines = make(map[string]audit.RunLine, len(runs))
	if len(runs) == 0 {
		return lines, nil
	}
	err = l.db.read(ctx, "run lines", func(tx *sqlTx) error {
		first, newest, err := l.ends(ctx, tx, runs)
		if err != nil {
			return err
		}
		events, err := l.eventsOf(ctx, tx, runs)
		if err != nil {
			return err
		}
		for _, run := range runs {
			r, ok := newest[key(run)]
			if !ok {
				continue
			}
			n, counted := events[key(run)]
			if !counted {
				err := tx.QueryRowContext(ctx, `select count(*) from ledger_event where run_id = $1`, key(run)).Scan(&n)
				if err != nil {
					return fmt.Errorf("counting the events of run %s: %w", run, err)
				}
			}
			lines[run] = audit.RunLine{Run: run, Events: n, First: first[key(run)], Newest: r}
		}
		return nil
	})
	return lines, err
}

// ends reads the first and the newest event of each run.
func (l *Ledger) ends(
	ctx context.Context, tx *sqlTx, runs []string,
) (first map[string]int64, newest map[string]audit.Record, err error) {
	of := span{columns: []string{"run_id"}, values: keys(runs)}
	w := &walk{search: &search{tx: tx, dialect: l.db.dialect}, from: 1, to: math.MaxInt64}
	last, err := w.heads(ctx, of, 1)
	if err != nil {
		return nil, nil, fmt.Errorf("finding the ends of runs: %w", err)
	}
	w.up = true
	begin, err := w.heads(ctx, of, 1)
	if err != nil {
		return nil, nil, fmt.Errorf("finding the starts of runs: %w", err)
	}
	first = map[string]int64{}
	for _, h := range begin {
		for _, seq := range h.seqs {
			first[h.value] = seq
		}
	}
	runOf, seqs := map[int64]string{}, []int64{}
	for _, h := range last {
		for _, seq := range h.seqs {
			runOf[seq], seqs = h.value, append(seqs, seq)
		}
	}
	records, err := l.recordsAt(ctx, tx, seqs)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the newest events of runs: %w", err)
	}
	newest = map[string]audit.Record{}
	for _, r := range records {
		newest[runOf[r.Seq]] = r
	}
	return first, newest, nil
}

// eventsOf reads how many events the runs of this database have written.
func (l *Ledger) eventsOf(ctx context.Context, tx *sqlTx, runs []string) (map[string]int64, error) {
	type counted struct {
		run    string
		events int64
	}
	list, err := collect(ctx, tx, func(s scanner) (c counted, err error) {
		err = s.Scan(&c.run, &c.events)
		return c, err
	}, `select id, events from run where id in (select value from `+l.db.dialect.elements("$1")+` v)`, jsonText(keys(runs)))
	if err != nil {
		return nil, fmt.Errorf("reading the counts of runs: %w", err)
	}
	events := make(map[string]int64, len(list))
	for _, c := range list {
		events[c.run] = c.events
	}
	return events, nil
}

func keys(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = key(t)
	}
	return out
}
