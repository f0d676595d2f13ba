package store

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"evict/internal/audit"
)

// filter collects conditions; each ? in a condition is one argument.
type filter struct {
	where []string
	args  []any
}

func (f *filter) add(condition string, args ...any) {
	for _, a := range args {
		f.args = append(f.args, a)
		condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(f.args)), 1)
	}
	f.where = append(f.where, condition)
}

func (f *filter) clause() string {
	if len(f.where) == 0 {
		return ""
	}
	return " where " + strings.Join(f.where, " and ")
}

// in is "column in (?, ?, ...)" for at least one value.
func (f *filter) in(column string, values []string) {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	f.add(column+" in (?"+strings.Repeat(", ?", len(values)-1)+")", args...)
}

func (f *filter) clone() *filter { return &filter{slices.Clone(f.where), slices.Clone(f.args)} }

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// Search returns a page of events, newest first. The page holds q.Limit events, 50 when that is 0, at most 200. It may
// give up before it has looked at everything: see audit.Found.
func (l *Ledger) Search(ctx context.Context, q audit.Query) (found audit.Found, err error) {
	limit := pageSize(q.Limit)
	up := q.After > 0 && q.Before <= 0
	err = l.db.read(ctx, "search", func(tx *sqlTx) error {
		w, err := l.walk(ctx, tx, q, l.pace.page)
		if err != nil {
			return err
		}
		w.up = up
		found.Records, found.SearchedTo, err = w.records(ctx, limit+1)
		return err
	})
	if err != nil {
		return audit.Found{}, err
	}
	if found.More = len(found.Records) > limit; found.More {
		found.Records = found.Records[:limit]
	}
	if up {
		slices.Reverse(found.Records)
	}
	return found, nil
}

// search is a query in SQL: the conditions on an event and the names that it must have, which alone decide what is
// found, and leads to where it is.
type search struct {
	filter
	pace    pace
	tx      *sqlTx
	dialect dialect
	names   []*name
	leads   []lead
	lookUps int // how often a lead was sought among names

	remembered *remembered
	now        question // of how the ledger stands
}

// newSearch turns a query into conditions and leads. The time is a condition only: see walk.confine.
func (l *Ledger) newSearch(ctx context.Context, tx *sqlTx, q audit.Query, now question) (*search, error) {
	s := &search{pace: l.pace, tx: tx, dialect: l.db.dialect, remembered: &l.db.remembered, now: now}
	s.is("kind", key(string(q.Kind)))
	s.is("run_id", key(q.Run))
	s.is("outcome", key(q.Outcome))
	s.is("ticket", key(q.Ticket))
	if p := strings.ToLower(key(q.Person)); p != "" {
		s.add("(operator_oid || '' = ? or target_oid || '' = ?)", p, p)
		s.lead(ofPerson(p)...)
	}
	if q.Folded {
		s.add(folded)
		s.lead(span{values: []string{""}, where: folded})
	}
	if q.Firsts {
		s.add(first)
	}
	if !q.From.IsZero() {
		s.add("at_ms + 0 >= ?", ms(q.From))
	}
	if !q.To.IsZero() {
		s.add("at_ms + 0 < ?", ms(q.To))
	}
	return s, s.words(ctx, q)
}

// folded is the condition of an index of its own. With "is true", SQLite does not go along two other ones instead, and
// sort.
const folded = "(run_id = '' or kind = 'run.started') is true"

// first is the condition that nothing in a run came before about the same target. It looks no further back than to the
// beginning of the run: some people are in very many.
const first = `target_oid <> '' and not exists (select 1 from ledger_event e where e.target_oid = ledger_event.target_oid
	and e.run_id || '' = ledger_event.run_id and e.seq < ledger_event.seq
	and e.seq >= (select min(r.seq) from ledger_event r where r.run_id = ledger_event.run_id))`

// is asks for a value, unless it is empty. Only leads choose an index: "||" keeps the planner from choosing another one,
// by statistics that are of another hour.
func (s *search) is(column, value string) {
	if value == "" {
		return
	}
	s.add(column+" || '' = ?", value)
	s.lead(span{columns: []string{column}, values: []string{value}})
}

func (s *search) lead(spans ...span) { s.leads = append(s.leads, lead{spans: spans}) }

func ofPerson(oid string) []span {
	return []span{
		{columns: []string{"operator_oid"}, values: []string{oid}}, {columns: []string{"target_oid"}, values: []string{oid}},
	}
}

// words adds what is asked for by part of a name, by word, or by an id that may be anybody's.
func (s *search) words(ctx context.Context, q audit.Query) error {
	var list []*name
	for _, p := range []struct{ column, text string }{{"target_oid", q.Target}, {"operator_oid", q.Operator}} {
		switch text := strings.TrimSpace(clean(p.text)); {
		case isGUID(text):
			s.is(p.column, strings.ToLower(text))
			if q.Kind != "" && p.column == "operator_oid" { // an operator has very many events, and some kinds are rare
				s.lead(span{columns: []string{p.column, "kind"}, values: []string{strings.ToLower(text)}, second: key(string(q.Kind))})
			}
		case text != "":
			list = append(list, newName([]string{fold(key(text))}, false, p.column))
		}
	}
	var free []string
	for _, word := range wordsOf(q.Text) {
		if !isGUID(word) {
			free = append(free, word)
		} else if err := s.id(ctx, word); err != nil {
			return err
		}
	}
	if len(free) > 0 {
		list = append(list, anywhere(free...))
	}
	s.names = append(s.names, list...)
	return s.lookUp(ctx, list)
}

// mostWords is how many words of a text are looked for each by itself; the rest has to be found as it stands.
const mostWords = 8

func wordsOf(text string) []string {
	list := strings.Fields(fold(clean(text)))
	if len(list) > mostWords {
		list = append(list[:mostWords-1], strings.Join(list[mostWords-1:], " "))
	}
	for i, w := range list {
		list[i] = key(w)
	}
	return list
}

// isGUID reports whether s has the shape of an object id: 8-4-4-4-12 hexadecimal digits.
func isGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)):
			return false
		}
	}
	return true
}
