package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"evict/internal/audit"
	"evict/internal/revoke"
)

// Revoke keeps plans, runs and the sealed tokens of runs.
type Revoke struct{ db *DB }

var (
	_ revoke.EngineStore = (*Revoke)(nil)
	_ revoke.TokenStore  = (*Revoke)(nil)
	_ revoke.RunStore    = (*Revoke)(nil)
)

// Revoke is the database's face for plans and runs.
func (db *DB) Revoke() *Revoke { return &Revoke{db} }

// Launch implements revoke.RunStore. The run starts as running, held by l.Owner with epoch 1. Targets of the plan that
// l.Targets does not name start as pending. ErrConflict when the plan or the run is there already.
func (r *Revoke) Launch(ctx context.Context, l revoke.Launch) (revoke.Fence, error) {
	err := r.db.write(ctx, "launch", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		if l.Run.Plan != l.Plan.ID || l.Run.Digest != l.Plan.Digest {
			return nil, errors.New("the run is not of this plan")
		}
		if err := r.db.live(ctx, tx, l.Session); err != nil {
			return nil, err
		}
		if err := insertPlan(ctx, tx, l.Plan); err != nil {
			return nil, err
		}
		if err := insertRun(ctx, tx, l); err != nil {
			return nil, err
		}
		if err := insertTargets(ctx, tx, l); err != nil {
			return nil, err
		}
		return l.Events, insertToken(ctx, tx, l.Run.ID, l.Token, l.TokenExpires)
	})
	if err != nil {
		return revoke.Fence{}, err
	}
	return revoke.Fence{Run: l.Run.ID, Owner: l.Owner, Epoch: 1}, nil
}

const runColumns = `id, plan, digest, cloud, tenant, state, pause, claims, operator_oid, operator_tid, operator_upn,
	operator_name, address, roles, reason, ticket, self, total, created_at, finished_at, due_at, events`

func scanRun(s scanner) (r revoke.Run, err error) {
	err = s.Scan(&r.ID, &r.Plan, &r.Digest, &r.Cloud, &r.Tenant, &r.State, &r.Pause, &r.Claims, &r.Operator.OID,
		&r.Operator.TID, &r.Operator.UPN, &r.Operator.Name, &r.Address, jsonColumn{&r.Roles}, &r.Reason, &r.Ticket,
		&r.Self, &r.Total, msColumn{&r.CreatedAt}, msColumn{&r.FinishedAt}, msColumn{&r.DueAt}, &r.Events)
	return r, err
}

func insertRun(ctx context.Context, tx *sqlTx, l revoke.Launch) error {
	r, who := l.Run, storablePerson(l.Run.Operator)
	n, err := tx.insert(ctx, `insert into run (`+runColumns+`, owner, epoch, lease_until) values`,
		`on conflict do nothing`, [][]any{{
			clean(string(r.ID)), clean(string(r.Plan)), clean(r.Digest), clean(r.Cloud), clean(r.Tenant),
			string(revoke.RunRunning), "", "", who.OID, who.TID, who.UPN, who.Name, clean(r.Address),
			list(cleanAll(r.Roles)), clean(r.Reason), clean(r.Ticket), r.Self, r.Total, ms(r.CreatedAt), 0, ms(r.DueAt),
			0, l.Owner, 1, ms(l.Now.Add(l.Lease)),
		}})
	if err != nil {
		return fmt.Errorf("inserting the run: %w", err)
	}
	if n == 0 {
		return revoke.ErrConflict
	}
	return nil
}

// insertTargets stores the first targets as they are given, and every other target of the plan as pending.
func insertTargets(ctx context.Context, tx *sqlTx, l revoke.Launch) error {
	given := make(map[int]revoke.RunTarget, len(l.Targets))
	for _, t := range l.Targets {
		given[t.Pos] = t
	}
	rows := make([][]any, 0, len(l.Plan.Targets))
	for _, planned := range l.Plan.Targets {
		t, ok := given[planned.Pos]
		if !ok {
			t = revoke.RunTarget{Target: planned, State: revoke.Pending, DueAt: l.Run.DueAt, UpdatedAt: l.Now}
		} else if t.OID != planned.OID {
			return fmt.Errorf("target %d is not the plan's", planned.Pos)
		}
		delete(given, planned.Pos)
		rows = append(rows, runTargetRow(l.Run.ID, t))
	}
	if len(given) > 0 {
		return errors.New("a run touches only the targets of its plan")
	}
	_, err := tx.insert(ctx, `insert into run_target (run, `+targetColumns+`, `+progressColumns+`) values`, "", rows)
	if err != nil {
		return fmt.Errorf("inserting the run's targets: %w", err)
	}
	return nil
}

// progressColumns are what changes of a target while its run goes on.
const progressColumns = `state, attempt, lost, tries, accepts, reads, due_at, started_at, read_from, t0, after_at,
	answered, status, request_id, client_request_id, code, message, settled, updated_at`

func progressValues(t revoke.RunTarget) []any {
	return []any{
		string(t.State), t.Attempt, t.Lost, t.Tries, t.Accepts, t.Reads, ms(t.DueAt), ms(t.StartedAt), ms(t.ReadFrom),
		ms(t.T0), ms(t.After), ms(t.Answered), t.Status, clean(t.RequestID), clean(t.ClientRequestID), clean(t.Code),
		clean(t.Message), clean(t.Settled), ms(t.UpdatedAt),
	}
}

func runTargetRow(run revoke.RunID, t revoke.RunTarget) []any {
	row := append([]any{clean(string(run))}, targetValues(storableTarget(t.Target))...)
	return append(row, progressValues(t)...)
}

func scanRunTarget(s scanner) (t revoke.RunTarget, err error) {
	dest := append([]any{&t.Run}, targetDest(&t.Target)...)
	dest = append(dest, &t.State, &t.Attempt, &t.Lost, &t.Tries, &t.Accepts, &t.Reads, msColumn{&t.DueAt},
		msColumn{&t.StartedAt}, msColumn{&t.ReadFrom}, msColumn{&t.T0}, msColumn{&t.After}, msColumn{&t.Answered},
		&t.Status, &t.RequestID, &t.ClientRequestID, &t.Code, &t.Message, &t.Settled, msColumn{&t.UpdatedAt})
	err = s.Scan(dest...)
	return t, err
}

const selectTargets = `select run, ` + targetColumns + `, ` + progressColumns + ` from run_target `

// Run implements revoke.RunStore.
func (r *Revoke) Run(ctx context.Context, id revoke.RunID) (run revoke.Run, targets []revoke.RunTarget, err error) {
	err = r.db.read(ctx, "run", func(tx *sqlTx) error {
		run, err = scanRun(tx.QueryRowContext(ctx, `select `+runColumns+` from run where id = $1`, clean(string(id))))
		if errors.Is(err, sql.ErrNoRows) {
			return revoke.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("reading the run: %w", err)
		}
		targets, err = collect(ctx, tx, scanRunTarget, selectTargets+`where run = $1 order by pos`, string(run.ID))
		return err
	})
	if err != nil {
		return revoke.Run{}, nil, err
	}
	return run, targets, nil
}

// Runs implements revoke.RunStore. It returns q.Limit runs, 50 when that is 0, at most 200.
func (r *Revoke) Runs(ctx context.Context, q revoke.RunQuery) (out []revoke.RunSummary, err error) {
	err = r.db.read(ctx, "runs", func(tx *sqlTx) error {
		f := runFilter(q)
		runs, err := collect(ctx, tx, scanRun, `select `+runColumns+` from run`+f.clause()+
			` order by id desc limit `+strconv.Itoa(pageSize(q.Limit)), f.args...)
		if err != nil || len(runs) == 0 {
			return err
		}
		out, err = summaries(ctx, tx, runs)
		return err
	})
	return out, err
}

func runFilter(q revoke.RunQuery) *filter {
	f := &filter{}
	if q.Operator != "" {
		f.add("operator_oid = ?", clean(q.Operator))
	}
	if q.Target != "" {
		f.add("id in (select run from run_target where oid = ?)", clean(q.Target))
	}
	if q.Paused != revoke.NotPaused {
		f.add("state = ? and pause = ?", string(revoke.RunPaused), string(q.Paused))
	}
	if q.Open {
		f.in("state", []string{string(revoke.RunQueued), string(revoke.RunRunning), string(revoke.RunPaused)})
	}
	if q.Self {
		f.add("self = ?", true)
	}
	if !q.Until.IsZero() {
		f.add("created_at < ?", ms(q.Until))
	}
	if q.Before != "" {
		f.add("id < ?", clean(string(q.Before)))
	}
	return f
}

// summaries adds to each run its first target and how many targets stand where.
func summaries(ctx context.Context, tx *sqlTx, runs []revoke.Run) ([]revoke.RunSummary, error) {
	out := make([]revoke.RunSummary, len(runs))
	at := make(map[revoke.RunID]*revoke.RunSummary, len(runs))
	ids := make([]string, len(runs))
	for i, run := range runs {
		out[i] = revoke.RunSummary{Run: run, Counts: map[revoke.State]int{}}
		at[run.ID], ids[i] = &out[i], string(run.ID)
	}
	f := &filter{}
	f.in("run", ids)
	type count struct {
		run   revoke.RunID
		state revoke.State
		n     int
	}
	counts, err := collect(ctx, tx, func(s scanner) (c count, err error) {
		err = s.Scan(&c.run, &c.state, &c.n)
		return c, err
	}, `select run, state, count(*) from run_target`+f.clause()+` group by run, state`, f.args...)
	if err != nil {
		return nil, err
	}
	for _, c := range counts {
		at[c.run].Counts[c.state] = c.n
	}
	f.add("pos = (select min(m.pos) from run_target m where m.run = run_target.run)")
	firsts, err := collect(ctx, tx, scanRunTarget, selectTargets+f.clause(), f.args...)
	if err != nil {
		return nil, err
	}
	for _, t := range firsts {
		at[t.Run].First = t
	}
	return out, nil
}

// Resume implements revoke.RunStore. ErrConflict also when an event's operator is not the run's; ErrNotFound when
// there is no such run.
func (r *Revoke) Resume(ctx context.Context, x revoke.Resumption) (revoke.Fence, error) {
	f := revoke.Fence{Run: x.Run, Owner: x.Owner}
	err := r.db.write(ctx, "resume", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		if err := r.db.live(ctx, tx, x.Session); err != nil {
			return nil, err
		}
		err := tx.QueryRowContext(ctx, `update run set state = $1, pause = '', claims = '', owner = $2, epoch = epoch + 1,
			lease_until = $3, due_at = $4 where id = $5 and operator_oid = $6 and state = $7 returning epoch`,
			string(revoke.RunRunning), x.Owner, ms(x.Now.Add(x.Lease)), ms(x.Now), clean(string(x.Run)), clean(x.Operator),
			string(revoke.RunPaused)).Scan(&f.Epoch)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, revoke.ErrConflict
		}
		if err != nil {
			return nil, fmt.Errorf("resuming the run: %w", err)
		}
		return x.Events, insertToken(ctx, tx, x.Run, x.Token, x.TokenExpires)
	})
	if err != nil {
		return revoke.Fence{}, err
	}
	return f, nil
}

// insertToken stores the sealed token of a run in place of a former one.
func insertToken(ctx context.Context, tx *sqlTx, id revoke.RunID, sealed []byte, expires time.Time) error {
	if sealed == nil {
		return nil
	}
	_, err := tx.exec(ctx, `insert into run_token (run, sealed, expires_at) values ($1, $2, $3)
		on conflict (run) do update set sealed = excluded.sealed, expires_at = excluded.expires_at`,
		clean(string(id)), sealed, ms(expires))
	if err != nil {
		return fmt.Errorf("storing the run's token: %w", err)
	}
	return nil
}

// RunToken implements revoke.TokenStore.
func (r *Revoke) RunToken(ctx context.Context, id revoke.RunID) (sealed []byte, err error) {
	err = r.db.r.QueryRowContext(ctx, `select sealed from run_token where run = $1`, clean(string(id))).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, revoke.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reading the run's token: %w", err)
	}
	return sealed, nil
}
