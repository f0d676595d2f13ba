package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"evict/internal/audit"
)

// pace is what bounds a walk. The time is the machine's own: it decides how long somebody waits, and nothing that is
// recorded.
type pace struct {
	page, scan time.Duration // after that a walk for a page, or of a scan, stops at the next part
	stride     int           // events that the first stride looks at; each one after it is longer
	named      int           // people, and tickets and reasons, that a name may fit and still be a lead
	timed      int           // events of a time range that the index of times is asked about
}

// usual leaves a page, with a search and a histogram side by side and what else it shows, within 50 ms. A name that fits
// more is so common that going through all events finds some soon. A scan begins a new transaction then: SQLite's log
// grows as long as one is open.
var usual = pace{
	page: 25 * time.Millisecond, scan: 200 * time.Millisecond,
	stride: 1024, named: 1000, timed: 25_000, // a minute of a run at 100 people a second is 20,000
}

// walk goes through the events that a search may select, from the newest down or upwards. Each stride follows the lead
// that brings it furthest with as many events to look at, so what is rare is found however far away it is, and nothing
// takes long, whatever a planner thinks.
type walk struct {
	*search
	begun    time.Time
	limit    time.Duration
	up       bool
	from, to int64 // not looked at yet: from <= seq < to
}

// walk begins the walk of a query.
func (l *Ledger) walk(ctx context.Context, tx *sqlTx, q audit.Query, limit time.Duration) (*walk, error) {
	w := &walk{begun: time.Now(), limit: limit}
	var now question
	err := tx.QueryRowContext(ctx, `select next_event, edge from ledger_head where id = 1`).Scan(&now.events, &now.edge)
	if err != nil {
		return nil, fmt.Errorf("reading the head of the ledger: %w", err)
	}
	w.to = now.events
	w.from = min(max(q.After, 0), w.to-1) + 1
	if q.Before > 0 {
		w.to = min(w.to, q.Before)
	}
	s, err := l.newSearch(ctx, tx, q, now)
	if err != nil {
		return nil, err
	}
	w.search = s
	return w, w.confine(ctx, q)
}

// confine narrows a walk to a time range: to the first and the last event of its days, and if there are not very many
// in it, to the first and the last of those. Numbers and times need not be in the same order.
func (w *walk) confine(ctx context.Context, q audit.Query) error {
	if q.From.IsZero() && q.To.IsZero() {
		return nil
	}
	first, last := "", "9999-12-31"
	since, until := int64(math.MinInt64), int64(math.MaxInt64)
	if !q.From.IsZero() {
		since, first = ms(q.From), dayOf(ms(q.From))
	}
	if !q.To.IsZero() {
		until = ms(q.To)
		if q.To.Year() <= 9999 {
			last = dayOf(until)
		}
	}
	if err := w.between(ctx, `select min(first_seq), max(last_seq) from ledger_day where day >= $1 and day <= $2`,
		first, last); err != nil || w.to-w.from <= int64(w.pace.stride) {
		return err
	}
	return w.between(ctx, `select case when count(*) < $3 then min(seq) else $4 end, case when count(*) < $3 then max(seq) else $5 end
		from (select seq from ledger_event where at_ms >= $1 and at_ms < $2 order by at_ms limit $3) e`,
		since, until, w.pace.timed, w.from, w.to)
}

// between narrows a walk to the events between the two that a statement returns; to none when it returns none.
func (w *walk) between(ctx context.Context, query string, args ...any) error {
	var first, last sql.NullInt64
	if err := w.tx.QueryRowContext(ctx, query, args...).Scan(&first, &last); err != nil {
		return fmt.Errorf("finding the time among the events: %w", err)
	}
	w.from, w.to = max(w.from, first.Int64), min(w.to, last.Int64+1)
	return nil
}

const (
	longestStride = 4096
	partOfStride  = 256 // events of a lead that one statement looks at
)

// stretch is a part of the way: from <= seq < to.
type stretch struct {
	from, to int64
	led      bool // only these of them need to be looked at, the nearest first
	seqs     []int64
}

// each shows visit what is to be looked at, the nearest part first, as a filter to select by, until visit has enough,
// nothing is left, or the time is over. Then it says how far it got, as audit.Found does. The first stride it makes
// whatever the time, so it always gets on, and a small ledger is always searched whole.
func (w *walk) each(ctx context.Context, visit func(f *filter) (enough bool, err error)) (searchedTo int64, err error) {
	first := true
	for n := w.pace.stride; w.from < w.to; n = min(4*n, longestStride) {
		s, err := w.next(ctx, n)
		if err != nil {
			return 0, err
		}
		for _, part := range s.parts(w.up) {
			if !first && time.Since(w.begun) >= w.limit {
				return searchedTo, nil
			}
			f, err := w.within(ctx, part)
			if err != nil {
				return 0, err
			}
			if f != nil {
				if enough, err := visit(f); enough || err != nil {
					return 0, err
				}
			}
			if w.up {
				w.from, searchedTo = part.to, part.to-1
			} else {
				w.to, searchedTo = part.from, part.from
			}
		}
		first = false
	}
	return 0, nil
}

// within is the filter of a part; nil when there is nothing to look at in it.
func (w *walk) within(ctx context.Context, s stretch) (*filter, error) {
	f := w.filter.clone()
	switch {
	case !s.led:
		f.add("seq >= ? and seq < ?", s.from, s.to)
	case len(s.seqs) == 0:
		return nil, nil
	default:
		w.among(f, s.seqs)
	}
	return w.named(ctx, f)
}

// among asks for some events by their numbers.
func (s *search) among(f *filter, seqs []int64) {
	f.add("seq in (select cast(value as bigint) from "+s.dialect.elements("?")+" v)", jsonText(seqs))
}

// next is the longest stretch with n events to look at, or less.
func (w *walk) next(ctx context.Context, n int) (stretch, error) {
	best := stretch{from: max(w.from, w.to-int64(n)), to: w.to}
	if w.up {
		best = stretch{from: w.from, to: min(w.to, w.from+int64(n))}
	}
	for _, l := range w.leads {
		s, err := w.follow(ctx, l, n)
		if err != nil {
			return stretch{}, fmt.Errorf("following a lead: %w", err)
		}
		if s.to-s.from > best.to-best.from {
			best = s
		}
	}
	return best, nil
}

// Of each value of a lead, some events are read at once, and fewer when the values are many: people have few. What only
// few values have more of is read again, as far as it goes.
const (
	fewValues  = 8
	someOfEach = 16
	someOfThem = 4096
)

// follow is the stretch that a lead leads through.
func (w *walk) follow(ctx context.Context, l lead, n int) (stretch, error) {
	s := stretch{from: w.from, to: w.to, led: true, seqs: slices.Clone(l.seqs)}
	width := max(1, l.width())
	each := max(1, n/width, min(someOfEach, someOfThem/width))
	for _, span := range l.spans {
		dense, err := w.along(ctx, &s, span, each, len(span.values) <= fewValues)
		if err == nil && len(dense) > 0 {
			span.values = dense
			_, err = w.along(ctx, &s, span, max(each, n/len(dense)), true)
		}
		if err != nil {
			return stretch{}, err
		}
	}
	s.seqs = slices.DeleteFunc(s.seqs, func(seq int64) bool { return seq < s.from || seq >= s.to })
	slices.Sort(s.seqs)
	s.seqs = slices.Compact(s.seqs)
	if !w.up {
		slices.Reverse(s.seqs)
	}
	return s, nil
}

// along adds what is nearest of each value of a span. A value that has as many may have more of them, further away: it
// bounds the stretch or, when those are few and it is not the last time, is returned.
func (w *walk) along(ctx context.Context, s *stretch, of span, each int, last bool) (dense []string, err error) {
	heads, err := w.heads(ctx, of, each)
	if err != nil {
		return nil, err
	}
	full := func(h head) bool { return len(h.seqs) >= each }
	for _, h := range heads {
		if full(h) {
			dense = append(dense, h.value)
		}
	}
	last = last || len(dense) > fewValues
	for _, h := range heads {
		switch {
		case !full(h):
		case !last:
			continue
		case w.up:
			s.to = min(s.to, slices.Max(h.seqs)+1)
		default:
			s.from = max(s.from, slices.Min(h.seqs))
		}
		s.seqs = append(s.seqs, h.seqs...)
	}
	if last {
		return nil, nil
	}
	return dense, nil
}

// parts cuts a stretch into what one statement looks at.
func (s stretch) parts(up bool) []stretch {
	if len(s.seqs) <= partOfStride {
		return []stretch{s}
	}
	var parts []stretch
	for chunk := range slices.Chunk(s.seqs, partOfStride) {
		part, edge := s, chunk[len(chunk)-1]
		part.seqs = chunk
		if up {
			part.to = edge + 1
		} else {
			part.from = edge
		}
		parts = append(parts, part)
	}
	end := &parts[len(parts)-1]
	end.from, end.to = s.from, s.to
	return parts
}

// records collects events in the order of the walk, at most limit.
func (w *walk) records(ctx context.Context, limit int) (found []audit.Record, searchedTo int64, err error) {
	order := ` order by seq desc limit `
	if w.up {
		order = ` order by seq limit `
	}
	searchedTo, err = w.each(ctx, func(f *filter) (bool, error) {
		more, err := collect(ctx, w.tx, scanBytes, `select seq, body from ledger_event`+f.clause()+order+
			strconv.Itoa(limit-len(found)), f.args...)
		found = append(found, more...)
		return len(found) >= limit, err
	})
	return found, searchedTo, err
}

// scanBytes scans an event that is shown or taken away even when somebody altered its bytes so that they are none: then
// it says nothing, and has nothing but its number and its bytes.
func scanBytes(s scanner) (r audit.Record, err error) {
	if err := s.Scan(&r.Seq, &r.Body); err != nil {
		return audit.Record{}, err
	}
	if r.Event, err = audit.Decode(r.Body); err != nil {
		r.Event = audit.Event{Seq: r.Seq}
	}
	return r, nil
}
