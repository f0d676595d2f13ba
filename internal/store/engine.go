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

// free is a run that wants work and that no worker holds; $1 is now.
const free = `state = 'running' and due_at <= $1 and (owner = '' or lease_until <= $1)`

// Due implements revoke.EngineStore.
func (r *Revoke) Due(ctx context.Context, now time.Time, limit int) ([]revoke.Slice, error) {
	due, err := collect(ctx, r.db.r, func(s scanner) (d revoke.Slice, err error) {
		err = s.Scan(&d.Run, &d.Epoch)
		return d, err
	}, `select id, epoch + 1 from run where `+free+` order by due_at, id limit `+strconv.Itoa(max(limit, 0)), ms(now))
	if err != nil {
		return nil, fmt.Errorf("due runs: %w", err)
	}
	return due, nil
}

// Claim implements revoke.EngineStore.
func (r *Revoke) Claim(
	ctx context.Context, s revoke.Slice, owner string, now time.Time, lease time.Duration,
) (f revoke.Fence, ok bool, err error) {
	f = revoke.Fence{Run: s.Run, Owner: owner, Epoch: s.Epoch}
	err = r.db.write(ctx, "claim", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		n, err := tx.exec(ctx, `update run set owner = $2, epoch = $3, lease_until = $4
			where id = $5 and epoch = $3 - 1 and `+free, ms(now), owner, s.Epoch, ms(now.Add(lease)), clean(string(s.Run)))
		ok = n == 1
		return nil, err
	})
	if err != nil || !ok {
		return revoke.Fence{}, false, err
	}
	return f, true, nil
}

// fenced is the run of a fence that still holds; $1 is the run, $2 the epoch, $3 the owner.
const fenced = `id = $1 and epoch = $2 and owner = $3 and owner <> '' and state = 'running'`

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
			selectRunTargets+` where r.id = $1 and t.pos in (select pos from run_target where run = $1
				and state in ($2, $3, $4)) order by t.pos`, string(run.ID),
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
