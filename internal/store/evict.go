package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"evict/internal/audit"
	"evict/internal/revoke"
)

// inConsole picks, of people who were just revoked, those who have something in the console that this ends. A step may
// name hundreds of targets, and the people who operate Evict are few: they are listed, and looked for among the
// targets.
func inConsole(ctx context.Context, tx *sqlTx, cuts []revoke.Cut) ([]revoke.Cut, error) {
	if len(cuts) == 0 {
		return nil, nil
	}
	f := &filter{}
	f.in("state", unfinished) // no other run has a token
	people, err := collect(ctx, tx, scanText,
		`select oid from session union select operator_oid from run`+f.clause(), f.args...)
	if err != nil {
		return nil, fmt.Errorf("listing who operates the console: %w", err)
	}
	operates := make(map[string]bool, len(people))
	for _, oid := range people {
		operates[oid] = true
	}
	var in []revoke.Cut
	for _, c := range cuts {
		if operates[clean(c.OID)] {
			in = append(in, c)
		}
	}
	return in, nil
}

// lockConsole locks the sessions and runs that a step's evictions may touch, in one order: two runs that evict each
// other's operators would otherwise wait for each other.
func (r *Revoke) lockConsole(ctx context.Context, tx *sqlTx, run revoke.RunID, cuts []revoke.Cut) error {
	cuts, err := inConsole(ctx, tx, cuts)
	if err != nil || len(cuts) == 0 {
		return err
	}
	oids := make([]string, len(cuts))
	for i, c := range cuts {
		oids[i] = clean(c.OID)
	}
	sessions, runs := &filter{}, &filter{}
	sessions.in("oid", oids)
	_, err = collect(ctx, tx, scanText, `select oid from session`+sessions.clause()+` order by id_hash`+
		r.db.dialect.forUpdate, sessions.args...)
	if err != nil {
		return fmt.Errorf("locking sessions: %w", err)
	}
	runs.add("id = ?", clean(string(run)))
	runs.in("operator_oid", oids)
	_, err = collect(ctx, tx, scanText, `select id from run where `+strings.Join(runs.where, " or ")+` order by id`+
		r.db.dialect.forUpdate, runs.args...)
	if err != nil {
		return fmt.Errorf("locking runs: %w", err)
	}
	return nil
}

// evict ends what the step's people have in the console and returns the events that say so.
func evict(ctx context.Context, tx *sqlTx, s revoke.Step) (events []audit.Event, err error) {
	cuts, err := inConsole(ctx, tx, s.Evict) // again: somebody may have signed in since they were locked
	if err != nil {
		return nil, err
	}
	for _, cut := range cuts {
		f, err := evictOne(ctx, tx, cut, s.Now)
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

func evictOne(ctx context.Context, tx *sqlTx, cut revoke.Cut, now time.Time) (f revoke.Footprint, err error) {
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
	}, `update run set state = $1, pause = $2, claims = '', owner = '', lease_until = 0, epoch = epoch + 1,
		due_at = $5 where operator_oid = $3 and state = $4 returning id`,
		string(revoke.RunPaused), string(revoke.PauseNeedSignIn), oid, string(revoke.RunRunning), ms(now))
	if err != nil {
		return f, fmt.Errorf("pausing runs: %w", err)
	}
	slices.Sort(f.Runs)
	return f, nil
}

// lastUPN is how the ledger last named an operator; "" when it never did, or somebody altered that event.
func lastUPN(ctx context.Context, tx *sqlTx, oid string) (string, error) {
	r, err := scanBytes(tx.QueryRowContext(ctx,
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
