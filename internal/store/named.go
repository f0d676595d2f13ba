package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
)

// name is some words that an event must have, all in one place: in a name that one of its people ever had, or in what its
// run, or it alone, gives as ticket and reason. So both names of somebody lead to few people, however common each is.
type name struct {
	words    []string
	operator bool // whose people may have it as a name
	target   bool
	noted    bool // the ticket or the reason may hold it, too

	// What the dictionaries were asked about so far, and whether it has the text: people, runs, and events without a run
	// by their number. whole: it lists everything that has the text.
	people, runs, alone map[string]bool
	whole               bool
}

func newName(words []string, noted bool, columns ...string) *name {
	return &name{
		words: words, noted: noted,
		operator: slices.Contains(columns, "operator_oid"), target: slices.Contains(columns, "target_oid"),
		people: map[string]bool{}, runs: map[string]bool{}, alone: map[string]bool{},
	}
}

// anywhere are the words of a free text.
func anywhere(words ...string) *name { return newName(words, true, "operator_oid", "target_oid") }

// matching is the condition that a row of a dictionary has the words.
func (n *name) matching() *filter {
	f := &filter{}
	for _, w := range n.words {
		f.add(`folded like ? escape '\'`, containing(w))
	}
	return f
}

// knows notes all that has the text.
func (n *name) knows(oids, runs []string, alone []int64) {
	for _, oid := range oids {
		n.people[oid] = true
	}
	for _, run := range runs {
		n.runs[run] = true
	}
	for _, seq := range alone {
		n.alone[strconv.FormatInt(seq, 10)] = true
	}
	n.whole = true
}

// suspect is an event that meets every condition, and may have the names that are asked for.
type suspect struct {
	seq                   int64
	operator, target, run string
}

func scanSuspect(s scanner) (e suspect, err error) {
	err = s.Scan(&e.seq, &e.operator, &e.target, &e.run)
	return e, err
}

// named narrows a filter to the events that have every name; nil when none has. A dictionary is asked once about each
// person and each run of a part, not about each event: a great run repeats them, and has its words once for all.
func (w *walk) named(ctx context.Context, f *filter) (*filter, error) {
	if len(w.names) == 0 {
		return f, nil
	}
	left, err := collect(ctx, w.tx, scanSuspect, `select seq, operator_oid, target_oid, run_id from ledger_event`+f.clause(), f.args...)
	for i := 0; i < len(w.names) && err == nil && len(left) > 0; i++ {
		left, err = w.having(ctx, w.names[i], left)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for names: %w", err)
	}
	if len(left) == 0 {
		return nil, nil
	}
	seqs := make([]int64, len(left))
	for i, e := range left {
		seqs[i] = e.seq
	}
	only := &filter{}
	w.among(only, seqs)
	return only, nil
}

// having lists those of the events that have a name. The notes come first: they are few.
func (s *search) having(ctx context.Context, n *name, list []suspect) (has []suspect, err error) {
	if n.noted {
		if list, has, err = s.noted(ctx, n, list); err != nil {
			return nil, err
		}
	}
	var oids []string
	for _, e := range list {
		if n.operator {
			oids = append(oids, e.operator)
		}
		if n.target {
			oids = append(oids, e.target)
		}
	}
	if err := s.learn(ctx, n, n.people, oids, `select oid from person`, `oid in (select value from `+s.dialect.elements("?")+` v)`); err != nil {
		return nil, err
	}
	for _, e := range list {
		if n.operator && n.people[e.operator] || n.target && n.people[e.target] {
			has = append(has, e)
		}
	}
	return has, nil
}

// noted parts the events by whether their ticket or reason has a name.
func (s *search) noted(ctx context.Context, n *name, list []suspect) (left, has []suspect, err error) {
	var runs, alone []string
	for _, e := range list {
		if e.run != "" {
			runs = append(runs, e.run)
		} else {
			alone = append(alone, strconv.FormatInt(e.seq, 10))
		}
	}
	if err := s.learn(ctx, n, n.runs, runs, `select run_id from ledger_note`, `run_id in (select value from `+s.dialect.elements("?")+` v)`); err != nil {
		return nil, nil, err
	}
	if err := s.learn(ctx, n, n.alone, alone, `select cast(seq as text) from ledger_note`,
		`run_id = '' and seq in (select cast(value as bigint) from `+s.dialect.elements("?")+` v)`); err != nil {
		return nil, nil, err
	}
	for _, e := range list {
		if n.runs[e.run] || e.run == "" && n.alone[strconv.FormatInt(e.seq, 10)] {
			has = append(has, e)
		} else {
			left = append(left, e)
		}
	}
	return left, has, nil
}

// learn asks a dictionary about those of the values that are not known yet.
func (s *search) learn(ctx context.Context, n *name, known map[string]bool, values []string, from, among string) error {
	var unknown []string
	for _, v := range values {
		if _, ok := known[v]; !ok && !n.whole {
			known[v] = false
			unknown = append(unknown, v)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	f := n.matching()
	f.add(among, jsonText(unknown))
	found, err := collect(ctx, s.tx, scanText, from+f.clause(), f.args...)
	for _, v := range found {
		known[v] = true
	}
	return err
}
