package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"evict/internal/audit"
	"evict/internal/revoke"
)

// free is a run that wants work and that no worker holds; $1 is now.
const free = `state = 'running' and due_at <= $1 and (owner = '' or lease_until <= $1)`

// Due implements revoke.EngineStore.
func (r *Revoke) Due(ctx context.Context, now time.Time, limit int) ([]revoke.RunID, error) {
	ids, err := collect(ctx, r.db.r, func(s scanner) (id revoke.RunID, err error) {
		err = s.Scan(&id)
		return id, err
	}, `select id from run where `+free+` order by due_at, id limit `+strconv.Itoa(max(limit, 0)), ms(now))
	if err != nil {
		return nil, fmt.Errorf("due runs: %w", err)
	}
	return ids, nil
}

// Claim implements revoke.EngineStore.
func (r *Revoke) Claim(ctx context.Context, id revoke.RunID, owner string, now time.Time, lease time.Duration) (f revoke.Fence, ok bool, err error) {
	f = revoke.Fence{Run: id, Owner: owner}
	err = r.db.write(ctx, "claim", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		return nil, tx.QueryRowContext(ctx, `update run set owner = $2, epoch = epoch + 1, lease_until = $3
			where id = $4 and `+free+` returning epoch`, ms(now), owner, ms(now.Add(lease)), clean(string(id))).Scan(&f.Epoch)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return revoke.Fence{}, false, nil
	}
	return f, err == nil, err
}

// fenced is the run of a fence that still holds; $1 is the run, $2 the epoch, $3 the owner.
const fenced = `id = $1 and epoch = $2 and owner = $3 and state = 'running'`

// Work implements revoke.EngineStore; ErrFenced when the fence no longer holds.
func (r *Revoke) Work(ctx context.Context, f revoke.Fence) (run revoke.Run, targets []revoke.RunTarget, err error) {
	err = r.db.read(ctx, "work", func(tx *sqlTx) error {
		run, err = scanRun(tx.QueryRowContext(ctx, `select `+runColumns+` from run where `+fenced,
			clean(string(f.Run)), f.Epoch, f.Owner))
		if errors.Is(err, sql.ErrNoRows) {
			return revoke.ErrFenced
		}
		if err != nil {
			return fmt.Errorf("reading the run: %w", err)
		}
		targets, err = collect(ctx, tx, scanRunTarget,
			selectTargets+`where run = $1 and state in ($2, $3, $4) order by pos`, string(run.ID),
			string(revoke.Pending), string(revoke.Attempting), string(revoke.Accepted))
		return err
	})
	if err != nil {
		return revoke.Run{}, nil, err
	}
	return run, targets, nil
}

// Release implements revoke.EngineStore.
func (r *Revoke) Release(ctx context.Context, f revoke.Fence, due time.Time) error {
	return r.db.write(ctx, "release", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		_, err := tx.exec(ctx, `update run set owner = '', lease_until = 0, due_at = $4 where `+fenced,
			clean(string(f.Run)), f.Epoch, f.Owner, ms(due))
		return nil, err
	})
}

// Commit implements revoke.EngineStore. The order within the transaction: fence and lease, changes, the end of the
// run, evictions, events. The end comes before the evictions, so that a run that ends with the very step that evicts
// its operator has ended, and is not paused.
func (r *Revoke) Commit(ctx context.Context, f revoke.Fence, s revoke.Step) error {
	return r.db.write(ctx, "commit", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		if err := r.lockRuns(ctx, tx, f.Run, s.Evict); err != nil {
			return nil, err
		}
		n, err := tx.exec(ctx, `update run set lease_until = $4 where `+fenced,
			clean(string(f.Run)), f.Epoch, f.Owner, ms(s.Now.Add(s.Lease)))
		if err != nil {
			return nil, fmt.Errorf("renewing the lease: %w", err)
		}
		if n == 0 {
			return nil, revoke.ErrFenced
		}
		for _, c := range s.Changes {
			if err := move(ctx, tx, f.Run, c); err != nil {
				return nil, err
			}
		}
		if err := end(ctx, tx, f.Run, s); err != nil {
			return nil, err
		}
		evicted, err := evict(ctx, tx, s)
		return slices.Concat(s.Events, evicted), err
	})
}

// lockRuns locks the runs that a step with evictions may touch, in one order: two runs that evict each other's
// operators would otherwise wait for each other.
func (r *Revoke) lockRuns(ctx context.Context, tx *sqlTx, run revoke.RunID, cuts []revoke.Cut) error {
	if len(cuts) == 0 {
		return nil
	}
	f := &filter{}
	f.add("id = ?", clean(string(run)))
	oids := make([]string, len(cuts))
	for i, c := range cuts {
		oids[i] = clean(c.OID)
	}
	f.in("operator_oid", oids)
	_, err := collect(ctx, tx, scanText, `select id from run where `+strings.Join(f.where, " or ")+` order by id`+
		r.db.dialect.forUpdate, f.args...)
	if err != nil {
		return fmt.Errorf("locking runs: %w", err)
	}
	return nil
}

// move changes what may change of a target, if it stands where the worker saw it.
func move(ctx context.Context, tx *sqlTx, run revoke.RunID, c revoke.Change) error {
	args := append(progressValues(c.Target),
		clean(string(run)), c.Target.Pos, clean(c.Target.OID), string(c.WasState), c.WasAttempt)
	n, err := tx.exec(ctx, `update run_target set state = $1, attempt = $2, lost = $3, tries = $4, accepts = $5,
		reads = $6, due_at = $7, started_at = $8, read_from = $9, t0 = $10, after_at = $11, answered = $12, status = $13,
		request_id = $14, client_request_id = $15, code = $16, message = $17, settled = $18, updated_at = $19
		where run = $20 and pos = $21 and oid = $22 and state = $23 and attempt = $24`, args...)
	if err != nil {
		return fmt.Errorf("changing target %d: %w", c.Target.Pos, err)
	}
	if n == 0 {
		return fmt.Errorf("target %d: %w", c.Target.Pos, revoke.ErrConflict)
	}
	return nil
}

// end closes or pauses the run. Its lease ends with it.
func end(ctx context.Context, tx *sqlTx, run revoke.RunID, s revoke.Step) error {
	var finished time.Time
	switch s.End {
	case "":
		return nil
	case revoke.RunPaused:
	case revoke.RunFinished, revoke.RunCancelled:
		finished = s.Now
		if _, err := tx.exec(ctx, `delete from run_token where run = $1`, clean(string(run))); err != nil {
			return fmt.Errorf("deleting the run's token: %w", err)
		}
	default:
		return fmt.Errorf("a step cannot end a run as %q", s.End)
	}
	_, err := tx.exec(ctx, `update run set state = $1, pause = $2, claims = $3, finished_at = $4, owner = '',
		lease_until = 0 where id = $5`, string(s.End), string(s.Pause), clean(s.Claims), ms(finished), clean(string(run)))
	if err != nil {
		return fmt.Errorf("ending the run: %w", err)
	}
	return nil
}

// evict ends what the named people have in the console and returns the events that say so.
func evict(ctx context.Context, tx *sqlTx, s revoke.Step) (events []audit.Event, err error) {
	for _, cut := range s.Evict {
		f, err := evictOne(ctx, tx, cut)
		if err != nil {
			return nil, fmt.Errorf("evicting %s: %w", cut.OID, err)
		}
		if s.Evicted == nil || f.Sessions == 0 && len(f.Runs) == 0 {
			continue
		}
		if f.UPN, err = lastUPN(ctx, tx, cut.OID); err != nil {
			return nil, err
		}
		events = append(events, s.Evicted(f)...)
	}
	return events, nil
}

func evictOne(ctx context.Context, tx *sqlTx, cut revoke.Cut) (f revoke.Footprint, err error) {
	oid := clean(cut.OID)
	f.OID = oid
	sessions, err := tx.exec(ctx, `delete from session where oid = $1 and issued_at < $2`, oid, ms(cut.At))
	if err != nil {
		return f, fmt.Errorf("deleting sessions: %w", err)
	}
	f.Sessions = int(sessions)
	_, err = tx.exec(ctx, `delete from run_token where run in (select id from run where operator_oid = $1)`, oid)
	if err != nil {
		return f, fmt.Errorf("deleting run tokens: %w", err)
	}
	// The epoch moves on, so that whoever works such a run is fenced off at their next commit.
	f.Runs, err = collect(ctx, tx, func(s scanner) (id revoke.RunID, err error) {
		err = s.Scan(&id)
		return id, err
	}, `update run set state = $1, pause = $2, claims = '', owner = '', lease_until = 0, epoch = epoch + 1
		where operator_oid = $3 and state = $4 returning id`,
		string(revoke.RunPaused), string(revoke.PauseNeedSignIn), oid, string(revoke.RunRunning))
	if err != nil {
		return f, fmt.Errorf("pausing runs: %w", err)
	}
	slices.Sort(f.Runs)
	return f, nil
}

// lastUPN is how the ledger last named an operator; "" when it never did.
func lastUPN(ctx context.Context, tx *sqlTx, oid string) (string, error) {
	r, err := scanRecord(tx.QueryRowContext(ctx,
		`select seq, body from ledger_event where operator_oid = $1 order by seq desc limit 1`,
		strings.ToLower(key(oid))))
	if errors.Is(err, sql.ErrNoRows) || err == nil && r.Event.Operator == nil {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading their last event: %w", err)
	}
	return r.Event.Operator.UPN, nil
}
