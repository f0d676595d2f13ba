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

// heads reads the nearest events of a span, at most so many for each of its values.
func (w *walk) heads(ctx context.Context, s span, most int) ([]head, error) {
	if len(s.values) == 0 {
		return nil, nil
	}
	text, args := w.headsOf(s, most)
	return collect(ctx, w.tx, scanHead, text, args...)
}

// headsOf is the statement of heads.
func (w *walk) headsOf(s span, most int) (text string, args []any) {
	args = []any{jsonText(s.values), w.to, most}
	if w.up {
		args[1] = w.from - 1
	}
	columns := make([]string, len(s.columns))
	for i, c := range s.columns {
		columns[i] = "e." + c
	}
	values := []string{"v.value", "$4"}[:len(columns)]
	if len(columns) == 2 {
		args = append(args, s.second)
	}
	where, order := w.dialect.along(columns, values, w.up)
	f := filter{where: []string{where}}
	if s.where != "" {
		f.add(s.where)
	}
	if len(columns) == 1 && slices.Contains(partial, s.columns[0]) {
		f.add(columns[0] + " <> ''")
	}
	return `select v.value, (select string_agg(cast(s.seq as text), ',') from (select e.seq from ledger_event e` +
		f.clause() + ` order by ` + order + ` limit $3) s) from ` + w.dialect.elements("$1") + ` v`, args
}

func scanHead(s scanner) (h head, err error) {
	var joined sql.NullString
	if err := s.Scan(&h.value, &joined); err != nil {
		return head{}, err
	}
	h.seqs, err = splitSeqs(joined)
	return h, err
}

// splitSeqs reads the numbers that string_agg has joined.
func splitSeqs(joined sql.NullString) (seqs []int64, err error) {
	if !joined.Valid {
		return nil, nil
	}
	for text := range strings.SplitSeq(joined.String, ",") {
		seq, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading sequence numbers: %w", err)
		}
		seqs = append(seqs, seq)
	}
	return seqs, nil
}

// mostLookUps is how often the dictionaries are searched for leads: each time takes as long as they are.
const mostLookUps = 3

// lookUp finds a lead among names, in the dictionaries. One is enough: an operator's is the last choice, since operators
// have very many events; a long name fits fewer people than a short one.
func (s *search) lookUp(ctx context.Context, names []*name) error {
	length := func(n *name) int { return len(strings.Join(n.words, " ")) }
	names = slices.SortedStableFunc(slices.Values(names), func(a, b *name) int {
		switch {
		case a.target == b.target:
			return length(b) - length(a)
		case a.target:
			return -1
		default:
			return 1
		}
	})
	for _, n := range names[:min(len(names), mostLookUps-s.lookUps)] {
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
func (s *search) leadOf(ctx context.Context, n *name) (l lead, ok bool, err error) {
	s.lookUps++
	q := s.now
	q.words, q.noted, q.most = strings.Join(n.words, "\x00"), n.noted, s.pace.named
	m, err := s.remembered.recall(ctx, q, func() (*matches, error) { return s.ask(ctx, n) })
	if err != nil || m.many {
		return lead{}, false, err
	}
	l.seqs = slices.Clone(m.alone)
	if n.noted {
		l.spans = append(l.spans, span{columns: []string{"run_id"}, values: m.runs})
	}
	if n.operator {
		l.spans = append(l.spans, span{columns: []string{"operator_oid"}, values: m.oids})
	}
	if n.target {
		l.spans = append(l.spans, span{columns: []string{"target_oid"}, values: m.oids})
	}
	n.knows(m.oids, m.runs, m.alone)
	return l, true, nil
}

// ask asks the dictionaries what has a name. The notes come first: they are fewer, and what is common is so in them.
func (s *search) ask(ctx context.Context, n *name) (m *matches, err error) {
	m = &matches{}
	f, limit := n.matching(), ` limit `+strconv.Itoa(s.pace.named+1)
	if n.noted {
		if m.runs, m.alone, err = s.notesOf(ctx, f.clause()+limit, f.args); err != nil {
			return nil, err
		}
		if m.many = len(m.runs)+len(m.alone) > s.pace.named; m.many {
			return m, nil
		}
		m.runs = distinct(m.runs)
	}
	if m.oids, err = collect(ctx, s.tx, scanText, `select oid from person`+f.clause()+limit, f.args...); err != nil {
		return nil, fmt.Errorf("looking up people: %w", err)
	}
	m.many = len(m.oids) > s.pace.named
	m.oids = distinct(m.oids)
	return m, nil
}

// notesOf finds the runs, and the events without one, whose ticket or reason matches.
func (s *search) notesOf(ctx context.Context, matching string, args []any) (runs []string, seqs []int64, err error) {
	type note struct {
		run string
		seq int64
	}
	notes, err := collect(ctx, s.tx, func(s scanner) (n note, err error) {
		err = s.Scan(&n.run, &n.seq)
		return n, err
	}, `select run_id, seq from ledger_note`+matching, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("looking up tickets and reasons: %w", err)
	}
	for _, n := range notes {
		if n.run == "" {
			seqs = append(seqs, n.seq)
		} else {
			runs = append(runs, n.run)
		}
	}
	return runs, seqs, nil
}

func distinct(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

// id adds what is asked for by an id that may be of anything: a person, a run or a plan; or of whatever a ticket or a
// reason names; or of an event. The ids of requests stand in the bytes of events alone, without an index, and are looked
// for there when the id is none of those: of a request of ours among the events of its target, of any other one in all.
func (s *search) id(ctx context.Context, id string) error {
	ids := lead{spans: ofPerson(id)}
	for _, column := range []string{"run_id", "plan_id"} {
		ids.spans = append(ids.spans, span{columns: []string{column}, values: []string{id}})
	}
	if found, err := s.leadsOn(ctx, ids); err != nil || found {
		s.add("(operator_oid || '' = ? or target_oid || '' = ? or run_id || '' = ? or plan_id || '' = ?)", id, id, id, id)
		s.leads = append(s.leads, ids)
		return err
	}
	if s.lookUps == mostLookUps { // the bytes hold it whatever it is of, but for the ticket of another event of a run
		s.inBytes(id)
		return nil
	}
	word := anywhere(id)
	words, few, err := s.leadOf(ctx, word)
	if err != nil {
		return err
	}
	if found, err := s.leadsOn(ctx, words); err != nil || found || !few {
		s.names = append(s.names, word)
		if few {
			s.leads = append(s.leads, words)
		}
		return err
	}
	seqs, err := around(ctx, s.tx, id, `seq`, `id = $4`, id, scanSeq)
	if err != nil || len(seqs) > 0 {
		s.add("id || '' = ?", id)
		s.leads = append(s.leads, lead{seqs: seqs})
		return err
	}
	s.inBytes(id)
	targets, err := around(ctx, s.tx, id, `target_oid`, `target_oid <> '' and body like $4`, containing(id), scanText)
	if len(targets) > 0 { // of the intent, which says whom the request is about
		targets = distinct(targets)
		s.in("target_oid || ''", targets)
		s.lead(span{columns: []string{"target_oid"}, values: targets})
	}
	return err
}

// inBytes looks for an id in the bytes of events, where it may be in upper case.
func (s *search) inBytes(id string) { s.add(`lower(body) like ? escape '\'`, containing(id)) }

// leadsOn reports whether a lead leads to an event at all.
func (s *search) leadsOn(ctx context.Context, l lead) (bool, error) {
	w := &walk{search: s, from: 1, to: math.MaxInt64}
	found, err := w.follow(ctx, l, 1)
	return len(found.seqs) > 0, err
}

// around selects from the events of the moment that an id of ours tells (UUIDv7, RFC 9562, section 5.7), so that neither
// ids of events nor of requests need an index of their own.
func around[T any](
	ctx context.Context, tx *sqlTx, id, column, condition string, arg any, scan func(scanner) (T, error),
) ([]T, error) {
	if id[14] != '7' {
		return nil, nil
	}
	at, err := strconv.ParseInt(id[:8]+id[9:13], 16, 64)
	if err != nil {
		return nil, fmt.Errorf("reading the time of an id: %w", err)
	}
	const most, tolerance = 5000, 1000 // events, milliseconds: an event's own time is read beside its id
	found, err := collect(ctx, tx, scan, `select `+column+` from (select seq, id, target_oid, body from ledger_event
		where at_ms >= $1 and at_ms <= $2 order by at_ms, seq limit $3) e where `+condition, at-tolerance, at+tolerance, most, arg)
	if err != nil {
		return nil, fmt.Errorf("looking up the events of a moment: %w", err)
	}
	return found, nil
}

func scanSeq(s scanner) (seq int64, err error) {
	err = s.Scan(&seq)
	return seq, err
}
