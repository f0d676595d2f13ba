package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"evict/internal/audit"
	"evict/internal/revoke"
)

// The bucket is one row of JSON: its arithmetic is that of revoke.Quota. The row of a new database is empty, which is a
// full bucket.

// Quota implements revoke.EngineStore.
func (r *Revoke) Quota(ctx context.Context) (revoke.Quota, error) {
	return readQuota(ctx, r.db.r, "", r.db.now())
}

// lockQuota reads the bucket and keeps it until the transaction ends. Runs are locked before it, the ledger after it.
func (r *Revoke) lockQuota(ctx context.Context, tx *sqlTx, now time.Time) (revoke.Quota, error) {
	return readQuota(ctx, tx, r.db.dialect.forUpdate, now)
}

func readQuota(ctx context.Context, q querier, lock string, now time.Time) (out revoke.Quota, err error) {
	var state string
	if err := q.QueryRowContext(ctx, `select state from quota where id = 1`+lock).Scan(&state); err != nil {
		return out, fmt.Errorf("reading the bucket: %w", err)
	}
	if state == "" {
		return revoke.NewQuota(now), nil
	}
	if err := json.Unmarshal([]byte(state), &out); err != nil {
		return out, fmt.Errorf("decoding the bucket: %w", err)
	}
	return out, nil
}

func saveQuota(ctx context.Context, tx *sqlTx, q revoke.Quota) error {
	if _, err := tx.exec(ctx, `update quota set state = $1 where id = 1`, jsonText(q)); err != nil {
		return fmt.Errorf("writing the bucket: %w", err)
	}
	return nil
}

// SizeQuota makes the bucket that of a limit of so many writes in 150 s.
func (r *Revoke) SizeQuota(ctx context.Context, writes int) error {
	return r.db.write(ctx, "quota", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		q, err := r.lockQuota(ctx, tx, r.db.now())
		if err != nil || q.Burst == float64(writes) {
			return nil, err
		}
		return nil, saveQuota(ctx, tx, q.Sized(writes))
	})
}
