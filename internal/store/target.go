package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"evict/internal/revoke"
)

// progressColumns are what changes of a target while its run goes on, and their types.
var progressColumns = [][2]string{
	{"state", "text"}, {"attempt", "bigint"}, {"lost", "boolean"}, {"tries", "bigint"}, {"accepts", "bigint"},
	{"reads", "bigint"}, {"due_at", "bigint"}, {"started_at", "bigint"}, {"read_from", "bigint"}, {"t0", "bigint"},
	{"after_at", "bigint"}, {"answered", "bigint"}, {"status", "bigint"}, {"request_id", "text"},
	{"client_request_id", "text"}, {"code", "text"}, {"message", "text"}, {"settled", "text"}, {"updated_at", "bigint"},
}

func progressValues(t revoke.RunTarget) []any {
	return []any{
		string(t.State), t.Attempt, t.Lost, t.Tries, t.Accepts, t.Reads, ms(t.DueAt), ms(t.StartedAt), ms(t.ReadFrom),
		ms(t.T0), ms(t.After), ms(t.Answered), t.Status, clean(t.RequestID), clean(t.ClientRequestID), clean(t.Code),
		clean(t.Message), clean(t.Settled), ms(t.UpdatedAt),
	}
}

func progressDest(t *revoke.RunTarget) []any {
	return []any{
		&t.State, &t.Attempt, &t.Lost, &t.Tries, &t.Accepts, &t.Reads, msColumn{&t.DueAt}, msColumn{&t.StartedAt},
		msColumn{&t.ReadFrom}, msColumn{&t.T0}, msColumn{&t.After}, msColumn{&t.Answered}, &t.Status, &t.RequestID,
		&t.ClientRequestID, &t.Code, &t.Message, &t.Settled, msColumn{&t.UpdatedAt},
	}
}

// progressList writes the columns, each as format has it: %[1]s is the name, %[2]s the type, %[3]d its number from 1.
func progressList(format string) string {
	out := make([]string, len(progressColumns))
	for i, c := range progressColumns {
		out[i] = fmt.Sprintf(format, c[0], c[1], i+1)
	}
	return strings.Join(out, ", ")
}

// Who a run's targets are stands in the list of its plan, which nobody can change.
var (
	insertRunTarget  = `insert into run_target (` + progressList("%[1]s") + `, run, pos, oid) values`
	selectRunTargets = `select t.run, ` + targetColumnsOf("p") + `, ` + progressList("t.%[1]s") + ` from run r
		join run_target t on t.run = r.id join plan_target p on p.list = r.list and p.pos = t.pos`
	moveOne = `update run_target set ` + progressList("%[1]s = $%[3]d") +
		` where run = $20 and pos = $21 and oid = $22 and state = $23 and attempt = $24`
	moveMany = [2]string{
		`update run_target t set ` + progressList("%[1]s = v.%[1]s") + ` from (values `,
		`) as v (` + progressList("%[1]s") + `, run, pos, oid, was_state, was_attempt)
		where t.run = v.run and t.pos = v.pos and t.oid = v.oid and t.state = v.was_state and t.attempt = v.was_attempt`,
	}
)

func targetColumnsOf(table string) string {
	return table + "." + strings.ReplaceAll(targetColumns, ", ", ", "+table+".")
}

func scanRunTarget(s scanner) (t revoke.RunTarget, err error) {
	err = s.Scan(slices.Concat([]any{&t.Run}, targetDest(&t.Target), progressDest(&t))...)
	return t, err
}

func insertRunTargets(ctx context.Context, tx *sqlTx, run revoke.RunID, targets []revoke.RunTarget) error {
	rows := make([][]any, len(targets))
	for i, t := range targets {
		rows[i] = append(progressValues(t), clean(string(run)), t.Pos, clean(t.OID))
	}
	if _, err := tx.insert(ctx, insertRunTarget, "", rows); err != nil {
		return fmt.Errorf("inserting the run's targets: %w", err)
	}
	return nil
}

// move changes what may change of targets, if each stands where the worker saw it; ErrConflict otherwise. A target may
// be among the changes twice.
func move(ctx context.Context, tx *sqlTx, run revoke.RunID, changes []revoke.Change) error {
	seen := make(map[int]bool, len(changes))
	for i, c := range changes {
		if seen[c.Target.Pos] { // one statement changes a row once
			if err := move(ctx, tx, run, changes[:i]); err != nil {
				return err
			}
			return move(ctx, tx, run, changes[i:])
		}
		seen[c.Target.Pos] = true
	}
	rows := make([][]any, len(changes))
	for i, c := range changes {
		rows[i] = append(progressValues(c.Target),
			clean(string(run)), c.Target.Pos, clean(c.Target.OID), string(c.WasState), c.WasAttempt)
	}
	n, err := tx.many(ctx, rows, func(n int) string {
		if n == 1 {
			return moveOne
		}
		return moveMany[0] + typed(tuples(n, len(rows[0]))) + moveMany[1]
	})
	if err != nil {
		return fmt.Errorf("changing targets: %w", err)
	}
	if n != int64(len(changes)) {
		return fmt.Errorf("%d of %d targets: %w", int64(len(changes))-n, len(changes), revoke.ErrConflict)
	}
	return nil
}

// typed gives the first row of values its types, from which the others have theirs.
func typed(values string) string {
	_, rest, _ := strings.Cut(values, ")")
	return "(" + progressList("cast($%[3]d as %[2]s)") +
		", cast($20 as text), cast($21 as bigint), cast($22 as text), cast($23 as text), cast($24 as bigint))" + rest
}

// nextTargets reads n targets of a list from a position on.
func nextTargets(ctx context.Context, tx *sqlTx, list string, from, n int) ([]revoke.Target, error) {
	targets, err := collect(ctx, tx, scanTarget, `select `+targetColumns+` from plan_target
		where list = $1 and pos >= $2 and pos < $3 order by pos`, list, from, from+n)
	if err != nil {
		return nil, fmt.Errorf("reading the plan's targets: %w", err)
	}
	return targets, nil
}

// RunTargets implements revoke.RunStore; ErrNotFound when there is no such run. It returns q.Limit targets, 50 when
// that is 0, at most 1,000.
func (r *Revoke) RunTargets(
	ctx context.Context, id revoke.RunID, q revoke.RunTargetQuery,
) (out []revoke.RunTarget, err error) {
	err = r.db.read(ctx, "run targets", func(tx *sqlTx) error {
		run, err := scanRun(tx.QueryRowContext(ctx, `select `+runColumns+` from run where id = $1`, clean(string(id))))
		if errors.Is(err, sql.ErrNoRows) {
			return revoke.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("reading the run: %w", err)
		}
		out, err = runTargets(ctx, tx, run, q)
		return err
	})
	return out, err
}

// fewTargets are so few that looking at each of them is quicker than looking for a word in the whole list.
const fewTargets = 2000

func runTargets(
	ctx context.Context, tx *sqlTx, run revoke.Run, q revoke.RunTargetQuery,
) (out []revoke.RunTarget, err error) {
	among := run.Next
	if len(q.States) > 0 {
		among = 0
		for _, s := range q.States {
			among += run.Counts[s]
		}
	}
	wordFirst := strings.TrimSpace(q.Text) != "" && among > fewTargets
	each := [][]revoke.State{q.States}
	if !wordFirst && len(q.States) > 1 { // one by one: the index has each in order of position
		each = slices.Collect(slices.Chunk(q.States, 1))
	}
	for _, states := range each {
		f, positions := runPositions(run, q, states, wordFirst)
		page, err := collect(ctx, tx, scanRunTarget, selectRunTargets+` where r.id = $1 and t.pos in (`+positions+
			` limit `+strconv.Itoa(chunkSize(q.Limit))+`) order by t.pos`, f.args...)
		if err != nil {
			return nil, err
		}
		out = append(out, page...)
	}
	slices.SortFunc(out, func(a, b revoke.RunTarget) int { return a.Pos - b.Pos })
	out = slices.CompactFunc(out, func(a, b revoke.RunTarget) bool { return a.Pos == b.Pos }) // a state named twice
	return out[:min(len(out), chunkSize(q.Limit))], nil
}

// runPositions selects positions from narrow indexes, so that the wide rows are read for one page alone. $1 is the run.
// A cross join keeps its order on SQLite.
func runPositions(run revoke.Run, q revoke.RunTargetQuery, states []revoke.State, wordFirst bool) (*filter, string) {
	f := &filter{args: []any{string(run.ID)}}
	if wordFirst {
		f.add("w.list = ? and w.pos > ? and w.pos < ?", listOf(run.Plan, run.Preview), q.After, run.Next)
		f.named("w.folded", q.Text)
		if len(states) == 0 { // every position before Next has its row
			return f, `select w.pos from plan_target w` + f.clause() + ` order by w.pos`
		}
		f.states("n.state", states)
		return f, `select w.pos from plan_target w cross join run_target n` + f.clause() +
			` and n.run = $1 and n.pos = w.pos order by w.pos`
	}
	f.add("n.pos > ?", q.After)
	f.states("n.state", states)
	if strings.TrimSpace(q.Text) == "" {
		return f, `select n.pos from run_target n` + f.clause() + ` and n.run = $1 order by n.pos`
	}
	f.add("w.list = ?", listOf(run.Plan, run.Preview))
	f.named("w.folded", q.Text)
	return f, `select n.pos from run_target n cross join plan_target w` + f.clause() +
		` and n.run = $1 and w.pos = n.pos order by n.pos`
}

// states adds a condition on a column of states, unless there are none to choose from.
func (f *filter) states(column string, states []revoke.State) {
	if len(states) == 0 {
		return
	}
	values := make([]string, len(states))
	for i, s := range states {
		values[i] = string(s)
	}
	f.in(column, values)
}
