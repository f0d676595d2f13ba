package store

import (
	"context"
	"fmt"
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

// newSearch turns a query into conditions. Each has an index (column, seq). An operator has very many events and some
// kinds are rare, so these two together have one of their own.
func newSearch(ctx context.Context, tx *sqlTx, q audit.Query) (*filter, error) {
	f := &filter{}
	if err := f.person(ctx, tx, "operator_oid", q.Operator); err != nil {
		return nil, err
	}
	if err := f.person(ctx, tx, "target_oid", q.Target); err != nil {
		return nil, err
	}
	if q.Kind != "" {
		f.add("kind = ?", key(string(q.Kind)))
	}
	if q.Run != "" {
		f.add("run_id = ?", key(q.Run))
	}
	if !q.From.IsZero() {
		f.add("at_ms >= ?", ms(q.From))
	}
	if !q.To.IsZero() {
		f.add("at_ms < ?", ms(q.To))
	}
	if q.Before > 0 {
		f.add("seq < ?", q.Before)
	}
	if q.After > 0 {
		f.add("seq > ?", q.After)
	}
	return f, nil
}

// mostPeople is how many object ids a condition lists. A word that fits more people is so common that a walk along
// the sequence finds a page of events soon; "case" keeps the planner from making a join of it.
const mostPeople = 200

// person adds a condition on a column of object ids: an id as it is, or part of a UPN or name by way of the people
// that the ledger has named.
func (f *filter) person(ctx context.Context, tx *sqlTx, column, who string) error {
	who = strings.TrimSpace(clean(who))
	if who == "" {
		return nil
	}
	if isGUID(who) {
		f.add(column+" = ?", strings.ToLower(who))
		return nil
	}
	const matching = `from person where folded like $1 escape '\'`
	pattern := containing(fold(key(who)))
	ids, err := collect(ctx, tx, scanText,
		`select distinct oid `+matching+` order by oid limit `+strconv.Itoa(mostPeople+1), pattern)
	switch {
	case err != nil:
		return fmt.Errorf("looking up people: %w", err)
	case len(ids) == 0:
		f.add("1 = 0")
	case len(ids) > mostPeople:
		f.add(`case when `+column+` in (select oid `+strings.Replace(matching, "$1", "?", 1)+`) then 1 end = 1`, pattern)
	default:
		f.in(column, ids)
	}
	return nil
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

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
