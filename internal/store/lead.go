package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// lead leads to events: every event that a search selects is in each of its leads, among others. So one lead is enough
// to go by, and which one is a question of speed alone.
type lead struct {
	spans []span
	seqs  []int64 // events that no span holds
}

// span is a part of an index of ledger_event that ends in the sequence number: all that has one of the values in the
// first column, and the second one in the second.
type span struct {
	columns []string // none, one or two
	values  []string // one that does not count when there is no column
	second  string
	where   string // the condition of a partial index without columns
}

// partial lists the columns whose index leaves empty values out.
var partial = []string{"outcome", "ticket", "plan_id"}

// width is how many walks along an index a lead takes.
func (l lead) width() (n int) {
	for _, s := range l.spans {
		n += len(s.values)
	}
	return n
}

// head is the nearest events of a value.
type head struct {
	value string
	seqs  []int64
}

// heads reads the nearest events of a span, at most so many for each of its values. Its text leaves PostgreSQL no other
// index to walk: with "column = value" the order by column goes without saying, and it may take the primary key and
// look for the value as long as there are events. SQLite knows its way by "=" only.
func (w *walk) heads(ctx context.Context, s span, most int) ([]head, error) {
	if len(s.values) == 0 {
		return nil, nil
	}
	args := []any{jsonText(s.values), w.to, most}
	before, within, order := "<", ">=", " desc"
	if w.up {
		args[1] = w.from - 1
		before, within, order = ">", "<=", ""
	}
	columns, values := make([]string, 0, 3), []string{"v.value", "$4"}[:len(s.columns)]
	for _, c := range s.columns {
		columns = append(columns, "e."+c)
	}
	if len(values) == 2 {
		args = append(args, s.second)
	}
	var f filter
	if s.where != "" {
		f.add(s.where)
	}
	switch {
	case len(columns) == 0:
		f.add("e.seq " + before + " $2")
	case w.dialect.engine == enginePostgres:
		f.add(fmt.Sprintf("(%s) %s (%s)", list(columns), within, list(values)))
		f.add(fmt.Sprintf("(%s, e.seq) %s (%s, $2)", list(columns), before, list(values)))
	default:
		f.add(fmt.Sprintf("(%s) = (%s)", list(columns), list(values)))
		f.add("e.seq " + before + " $2")
	}
	if len(columns) == 1 && slices.Contains(partial, s.columns[0]) {
		f.add(columns[0] + " <> ''")
	}
	columns = append(columns, "e.seq")
	return collect(ctx, w.tx, scanHead, `select v.value, (select string_agg(cast(s.seq as text), ',') from (select e.seq
		from ledger_event e`+f.clause()+` order by `+strings.Join(columns, order+", ")+order+` limit $3) s)
		from `+w.dialect.elements("$1")+` v`, args...)
}

func list(texts []string) string { return strings.Join(texts, ", ") }

// elements is a table with a column "value": what the JSON list in a parameter holds.
func (d dialect) elements(parameter string) string {
	if d.engine == enginePostgres {
		return `(select value from json_array_elements_text(cast(` + parameter + ` as json)))`
	}
	return `json_each(` + parameter + `)`
}

func scanHead(s scanner) (h head, err error) {
	var joined sql.NullString
	if err := s.Scan(&h.value, &joined); err != nil || !joined.Valid {
		return h, err
	}
	for text := range strings.SplitSeq(joined.String, ",") {
		seq, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return head{}, fmt.Errorf("reading sequence numbers: %w", err)
		}
		h.seqs = append(h.seqs, seq)
	}
	return h, nil
}

// mostLookUps is how often the dictionaries are searched for a lead.
const mostLookUps = 3

// lookUp finds a lead among names, in the dictionaries. One is enough; a long name fits fewer people than a short one.
func (s *search) lookUp(ctx context.Context, names []name) error {
	slices.SortStableFunc(names, func(a, b name) int { return len(b.text) - len(a.text) })
	for _, n := range names[:min(len(names), mostLookUps)] {
		l, ok, err := s.leadOf(ctx, n)
		if err != nil {
			return err
		}
		if ok {
			s.leads = append(s.leads, l)
			return nil
		}
	}
	return nil
}

// leadOf finds the events that have a name; ok is false when it fits too many.
func (s *search) leadOf(ctx context.Context, n name) (l lead, ok bool, err error) {
	const matching = ` where folded like $1 escape '\' limit `
	limit, pattern := strconv.Itoa(s.pace.named+1), containing(n.text)
	oids, err := collect(ctx, s.tx, scanText, `select oid from person`+matching+limit, pattern)
	if err != nil {
		return lead{}, false, fmt.Errorf("looking up people: %w", err)
	}
	if len(oids) > s.pace.named {
		return lead{}, false, nil
	}
	for _, c := range n.columns {
		l.spans = append(l.spans, span{columns: []string{c}, values: distinct(oids)})
	}
	if !n.noted {
		return l, true, nil
	}
	type note struct {
		run string
		seq int64
	}
	notes, err := collect(ctx, s.tx, func(s scanner) (n note, err error) {
		err = s.Scan(&n.run, &n.seq)
		return n, err
	}, `select run_id, seq from ledger_note`+matching+limit, pattern)
	if err != nil {
		return lead{}, false, fmt.Errorf("looking up tickets and reasons: %w", err)
	}
	var runs []string
	for _, n := range notes {
		if n.run == "" {
			l.seqs = append(l.seqs, n.seq)
		} else {
			runs = append(runs, n.run)
		}
	}
	l.spans = append(l.spans, span{columns: []string{"run_id"}, values: distinct(runs)})
	return l, len(notes) <= s.pace.named, nil
}

func distinct(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

// id adds what is asked for by an id that may be of anything: a person, a run or a plan; or of whatever a ticket or a
// reason names; or of an event. The ids of requests stand in the bytes of events alone, without an index, and are looked
// for there when the id is none of those.
func (s *search) id(ctx context.Context, id string) error {
	ids := lead{spans: ofPerson(id)}
	for _, column := range []string{"run_id", "plan_id"} {
		ids.spans = append(ids.spans, span{columns: []string{column}, values: []string{id}})
	}
	if found, err := s.anywhere(ctx, ids); err != nil || found {
		s.add("(operator_oid || '' = ? or target_oid || '' = ? or run_id || '' = ? or plan_id || '' = ?)", id, id, id, id)
		s.leads = append(s.leads, ids)
		return err
	}
	word := name{id, []string{"operator_oid", "target_oid"}, true}
	words, few, err := s.leadOf(ctx, word)
	if err != nil {
		return err
	}
	if found, err := s.anywhere(ctx, words); err != nil || found || !few {
		s.hasName(word)
		if few {
			s.leads = append(s.leads, words)
		}
		return err
	}
	seqs, err := s.eventOf(ctx, id)
	if err != nil || len(seqs) > 0 {
		s.add("id || '' = ?", id)
		s.leads = append(s.leads, lead{seqs: seqs})
		return err
	}
	s.add(`body like ? escape '\'`, containing(id))
	return nil
}

// anywhere reports whether a lead leads to an event at all.
func (s *search) anywhere(ctx context.Context, l lead) (bool, error) {
	w := &walk{search: s, from: 1, to: math.MaxInt64}
	found, err := w.follow(ctx, l, 1)
	return len(found.seqs) > 0, err
}

// eventOf finds the event with an id. The ids of events tell their time (UUIDv7, RFC 9562, section 5.7), so that they
// need no index of their own.
func (s *search) eventOf(ctx context.Context, id string) ([]int64, error) {
	at, err := strconv.ParseInt(id[:8]+id[9:13], 16, 64)
	if err != nil || id[14] != '7' {
		return nil, nil
	}
	const most, around = 5000, 1000 // events, milliseconds: the event's own time is read beside its id
	seqs, err := collect(ctx, s.tx, scanSeq, `select seq from (select seq, id from ledger_event
		where at_ms >= $1 and at_ms <= $2 order by at_ms, seq limit $3) e where id = $4`, at-around, at+around, most, id)
	if err != nil {
		return nil, fmt.Errorf("looking up an event: %w", err)
	}
	return seqs, nil
}

func scanSeq(s scanner) (seq int64, err error) {
	err = s.Scan(&seq)
	return seq, err
}
