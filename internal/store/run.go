package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/revoke"
)

// Revoke keeps plans, runs with their sealed tokens, previews, saved scopes and protected accounts.
type Revoke struct{ db *DB }

var (
	_ revoke.EngineStore  = (*Revoke)(nil)
	_ revoke.TokenStore   = (*Revoke)(nil)
	_ revoke.RunStore     = (*Revoke)(nil)
	_ revoke.PreviewStore = (*Revoke)(nil)
)

// Revoke is the database's face for all that revoking needs.
func (db *DB) Revoke() *Revoke { return &Revoke{db} }

// Launch implements revoke.RunStore. The run starts as running, held by l.Owner if there is one. Of its targets only
// those in l.Targets get a row: the others when they are first attempted. ErrConflict also when the preview is not
// ready or has expired; fault.Invalid when the plan is not that of its preview.
func (r *Revoke) Launch(ctx context.Context, l revoke.Launch) (revoke.Fence, error) {
	fence := revoke.Fence{Run: l.Run.ID}
	if l.Owner != "" {
		fence.Owner, fence.Epoch = l.Owner, 1
	}
	err := r.db.write(ctx, "launch", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		if r, p := l.Run, l.Plan; r.Plan != p.ID || r.Digest != p.Digest || r.Preview != p.Preview || r.Total != p.Total {
			return nil, errors.New("the run is not of this plan")
		}
		if err := r.db.live(ctx, tx, l.Session); err != nil {
			return nil, err
		}
		if err := spendPreview(ctx, tx, l); err != nil {
			return nil, err
		}
		if err := insertPlan(ctx, tx, l.Plan); err != nil {
			return nil, err
		}
		if err := insertRun(ctx, tx, l, fence); err != nil {
			return nil, err
		}
		if err := r.beginTargets(ctx, tx, l); err != nil {
			return nil, err
		}
		return l.Events, insertToken(ctx, tx, l.Run.ID, l.Token, l.TokenExpires)
	})
	if err != nil {
		return revoke.Fence{}, err
	}
	return fence, nil
}

// spendPreview notes on the preview that it became this run, which it does once.
func spendPreview(ctx context.Context, tx *sqlTx, l revoke.Launch) error {
	if l.Plan.Preview == "" {
		return nil
	}
	var total int
	var digest string
	err := tx.QueryRowContext(ctx, `update preview set run = $1
		where id = $2 and state = $3 and run = '' and expires_at > $4 returning total, list_digest`,
		clean(string(l.Run.ID)), clean(string(l.Plan.Preview)), string(revoke.PreviewReady), ms(l.Now)).Scan(&total, &digest)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return revoke.ErrConflict
	case err != nil:
		return fmt.Errorf("marking the preview: %w", err)
	case total != l.Plan.Total || digest != l.Plan.ListDigest || len(l.Plan.Targets) > 0:
		return fault.New(fault.Invalid, "The plan names other targets than its preview.")
	}
	return nil
}

const runColumns = `id, plan, list, digest, cloud, tenant, state, pause, claims, operator_oid, operator_tid,
	operator_upn, operator_name, address, roles, reason, ticket, self, total, created_at, finished_at, due_at, events,
	parent, wish, next, counts, refused, canary, limited_by`

func scanRun(s scanner) (r revoke.Run, err error) {
	err = s.Scan(&r.ID, &r.Plan, listColumn{&r.Plan, &r.Preview}, &r.Digest, &r.Cloud, &r.Tenant, &r.State, &r.Pause,
		&r.Claims, &r.Operator.OID, &r.Operator.TID, &r.Operator.UPN, &r.Operator.Name, &r.Address, jsonColumn{&r.Roles},
		&r.Reason, &r.Ticket, &r.Self, &r.Total, msColumn{&r.CreatedAt}, msColumn{&r.FinishedAt}, msColumn{&r.DueAt},
		&r.Events, &r.Parent, &r.Wish, &r.Next, jsonColumn{&r.Counts}, &r.Refused, &r.Canary, &r.Limit)
	return r, err
}

func insertRun(ctx context.Context, tx *sqlTx, l revoke.Launch, f revoke.Fence) error {
	r, who := l.Run, storablePerson(l.Run.Operator)
	lease := time.Time{}
	if f.Owner != "" {
		lease = l.Now.Add(l.Lease)
	}
	counts := revoke.Counts{}
	for _, t := range l.Targets {
		counts[t.State]++
	}
	n, err := tx.insert(ctx, `insert into run (`+runColumns+`, owner, epoch, lease_until) values`,
		`on conflict do nothing`, [][]any{{
			clean(string(r.ID)), clean(string(r.Plan)), listOf(r.Plan, r.Preview), clean(r.Digest), clean(r.Cloud),
			clean(r.Tenant), string(revoke.RunRunning), "", "", who.OID, who.TID, who.UPN, who.Name, clean(r.Address),
			jsonText(cleanAll(r.Roles)), clean(r.Reason), clean(r.Ticket), r.Self, r.Total, ms(r.CreatedAt), 0, ms(r.DueAt), 0,
			clean(string(r.Parent)), "", len(l.Targets), jsonText(counts), r.Refused, r.Canary, string(r.Limit), f.Owner,
			f.Epoch, ms(lease),
		}})
	if err != nil {
		return fmt.Errorf("inserting the run: %w", err)
	}
	if n == 0 {
		return revoke.ErrConflict
	}
	return nil
}

// beginTargets stores the targets that a launch begins with, which are the first ones of its plan, and takes their
// calls from the bucket.
func (r *Revoke) beginTargets(ctx context.Context, tx *sqlTx, l revoke.Launch) error {
	if len(l.Targets) == 0 {
		return nil
	}
	planned, err := nextTargets(ctx, tx, listOf(l.Plan.ID, l.Plan.Preview), 0, len(l.Targets))
	if err != nil {
		return err
	}
	for i, t := range l.Targets {
		if i >= len(planned) || t.Pos != planned[i].Pos || clean(t.OID) != planned[i].OID {
			return errors.New("a run touches only the targets of its plan, in their order")
		}
	}
	if err := insertRunTargets(ctx, tx, l.Run.ID, l.Targets); err != nil {
		return err
	}
	q, err := r.lockQuota(ctx, tx, l.Now)
	if err != nil {
		return err
	}
	_, q = q.Take(l.Now, len(l.Targets), true)
	return saveQuota(ctx, tx, q)
}

// Run implements revoke.RunStore; ErrNotFound when there is no such run.
func (r *Revoke) Run(ctx context.Context, id revoke.RunID) (revoke.Run, error) {
	run, err := scanRun(r.db.r.QueryRowContext(ctx, `select `+runColumns+` from run where id = $1`, clean(string(id))))
	if errors.Is(err, sql.ErrNoRows) {
		return revoke.Run{}, revoke.ErrNotFound
	}
	if err != nil {
		return revoke.Run{}, fmt.Errorf("reading the run: %w", err)
	}
	return run, nil
}

// Runs implements revoke.RunStore. It returns q.Limit runs, 50 when that is 0, at most 200. The first target of a run
// that has not begun is pending, as its plan has it.
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
		f.in("state", unfinished)
	}
	if q.Self {
		f.add("self = ?", true)
	}
	if q.Parent != "" {
		f.add("parent = ?", clean(string(q.Parent)))
	}
	if !q.Until.IsZero() {
		f.add("due_at < ?", ms(q.Until))
	}
	if q.Before != "" {
		f.add("id < ?", clean(string(q.Before)))
	}
	return f
}

// unfinished are the states of a run that may still do something.
var unfinished = []string{string(revoke.RunQueued), string(revoke.RunRunning), string(revoke.RunPaused)}

// summaries adds to each run its first target.
func summaries(ctx context.Context, tx *sqlTx, runs []revoke.Run) ([]revoke.RunSummary, error) {
	out := make([]revoke.RunSummary, len(runs))
	at := make(map[revoke.RunID]*revoke.RunSummary, len(runs))
	ids := make([]string, len(runs))
	for i, run := range runs {
		out[i].Run = run
		at[run.ID], ids[i] = &out[i], string(run.ID)
	}
	f := &filter{}
	f.in("r.id", ids)
	planned, err := collect(ctx, tx, func(s scanner) (t revoke.RunTarget, err error) {
		err = s.Scan(append([]any{&t.Run}, targetDest(&t.Target)...)...)
		return t, err
	}, `select r.id, `+targetColumnsOf("p")+` from run r join plan_target p on p.list = r.list and p.pos = 0`+
		f.clause(), f.args...)
	if err != nil {
		return nil, err
	}
	begun, err := collect(ctx, tx, scanRunTarget, selectRunTargets+f.clause()+` and t.pos = 0`, f.args...)
	if err != nil {
		return nil, err
	}
	for _, t := range planned {
		t.State = revoke.Pending
		at[t.Run].First = t
	}
	for _, t := range begun {
		at[t.Run].First = t
	}
	return out, nil
}

// Resume implements revoke.RunStore. ErrConflict also when there is no such run; ErrEnded when the session has ended.
func (r *Revoke) Resume(ctx context.Context, x revoke.Resumption) (revoke.Fence, error) {
	f := revoke.Fence{Run: x.Run, Owner: x.Owner}
	lease := time.Time{}
	if x.Owner != "" {
		lease = x.Now.Add(x.Lease)
	}
	err := r.db.write(ctx, "resume", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		if err := r.db.live(ctx, tx, x.Session); err != nil {
			return nil, err
		}
		err := tx.QueryRowContext(ctx, `update run set state = $1, owner = $2, epoch = epoch + 1, lease_until = $3,
			due_at = $4, canary = case when pause in ($5, $6) and $7 = '' then $8 else canary end,
			refused = case when pause in ($5, $6) and $7 = '' then 0 else refused end, pause = '', claims = '', wish = $7
			where id = $9 and operator_oid = $10 and state = $11 and (wish <> 'cancel' or $7 = 'cancel') returning epoch`,
			string(revoke.RunRunning), x.Owner, ms(lease), ms(x.Now), string(revoke.PauseCanary), string(revoke.PauseNeedRole),
			string(x.Wish), true, clean(string(x.Run)), clean(x.Operator), string(revoke.RunPaused)).Scan(&f.Epoch)
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

// Ask implements revoke.RunStore.
func (r *Revoke) Ask(ctx context.Context, id revoke.RunID, w revoke.Wish, events []audit.Event) error {
	return r.db.write(ctx, "ask", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		n, err := tx.exec(ctx, `update run set wish = $1, due_at = $2 where id = $3 and state = $4
			and (wish <> 'cancel' or $1 = 'cancel') and (wish = 'pause' or $1 <> '')`,
			string(w), ms(r.db.now()), clean(string(id)), string(revoke.RunRunning))
		if err != nil {
			return nil, fmt.Errorf("noting the wish: %w", err)
		}
		if n == 0 {
			return nil, revoke.ErrConflict
		}
		return events, nil
	})
}

// Samples implements revoke.RunStore.
func (r *Revoke) Samples(ctx context.Context, id revoke.RunID, limit int) ([]revoke.Sample, error) {
	out, err := collect(ctx, r.db.r, func(s scanner) (p revoke.Sample, err error) {
		err = s.Scan(msColumn{&p.At}, &p.Begun, &p.Final, &p.Confirmed)
		return p, err
	}, `select at, begun, final, confirmed from (
			select at, begun, final, confirmed, row_number() over (order by at desc) - 1 as age, count(*) over () as total
			from run_sample where run = $1
		) s where age % ((total + $2 - 1) / $2) = 0 order by at`, clean(string(id)), max(limit, 1))
	if err != nil {
		return nil, fmt.Errorf("reading the chart: %w", err)
	}
	return out, nil
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
