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

const previewColumns = `id, parent, cloud, tenant, creator_oid, creator_tid, creator_upn, creator_name, scope, options,
	state, doing, failure, found, created_at, beat_at, ready_at, expires_at, total, left_out, list_digest, counts,
	left_counts, facts, run`

func scanPreview(s scanner) (p revoke.Preview, err error) {
	err = s.Scan(&p.ID, &p.Parent, &p.Cloud, &p.Tenant, &p.Creator.OID, &p.Creator.TID, &p.Creator.UPN, &p.Creator.Name,
		jsonColumn{&p.Scope}, jsonColumn{&p.Options}, &p.State, &p.Doing, &p.Failure, &p.Found, msColumn{&p.CreatedAt},
		msColumn{&p.BeatAt}, msColumn{&p.ReadyAt}, msColumn{&p.ExpiresAt}, &p.Total, &p.Left, &p.ListDigest,
		jsonColumn{&p.Counts}, jsonColumn{&p.LeftCounts}, jsonColumn{&p.Facts}, &p.Run)
	return p, err
}

// BeginPreview implements revoke.PreviewStore; ErrConflict when there is one of that id.
func (r *Revoke) BeginPreview(ctx context.Context, p revoke.Preview) error {
	return r.db.write(ctx, "preview", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		who := storablePerson(p.Creator)
		n, err := tx.insert(ctx, `insert into preview (`+previewColumns+`, freezing) values`, `on conflict do nothing`,
			[][]any{{
				clean(string(p.ID)), clean(string(p.Parent)), clean(p.Cloud), clean(p.Tenant), who.OID, who.TID, who.UPN,
				who.Name, jsonText(p.Scope), jsonText(p.Options), string(revoke.PreviewExpanding), clean(p.Doing), "", 0,
				ms(p.CreatedAt), ms(p.BeatAt), 0, 0, 0, 0, "", jsonText(revoke.PreviewCounts{}),
				jsonText(map[string]int(nil)), jsonText(revoke.Facts{}), "", 0,
			}})
		if err != nil {
			return nil, fmt.Errorf("inserting the preview: %w", err)
		}
		if n == 0 {
			return nil, revoke.ErrConflict
		}
		return nil, nil
	})
}

// Preview implements revoke.PreviewStore; ErrNotFound when there is none.
func (r *Revoke) Preview(ctx context.Context, id revoke.PreviewID) (revoke.Preview, error) {
	p, err := scanPreview(r.db.r.QueryRowContext(ctx,
		`select `+previewColumns+` from preview where id = $1`, clean(string(id))))
	if errors.Is(err, sql.ErrNoRows) {
		return revoke.Preview{}, revoke.ErrNotFound
	}
	if err != nil {
		return revoke.Preview{}, fmt.Errorf("reading the preview: %w", err)
	}
	return p, nil
}

// Previews implements revoke.PreviewStore. It returns limit previews, 50 when that is 0, at most 200.
func (r *Revoke) Previews(ctx context.Context, operator string, limit int) ([]revoke.Preview, error) {
	list, err := collect(ctx, r.db.r, scanPreview, `select `+previewColumns+` from preview
		where creator_oid = $1 and run = '' order by id desc limit `+strconv.Itoa(pageSize(limit)), clean(operator))
	if err != nil {
		return nil, fmt.Errorf("listing previews: %w", err)
	}
	return list, nil
}

// FailPreview implements revoke.PreviewStore; ErrConflict when the preview is not expanding any more.
func (r *Revoke) FailPreview(ctx context.Context, id revoke.PreviewID, why string, now time.Time) error {
	failed, err := r.fail(ctx, why, now, `id = $5`, clean(string(id)))
	if err != nil {
		return err
	}
	if len(failed) == 0 {
		return fmt.Errorf("fail-preview: %w", revoke.ErrConflict)
	}
	return r.dropAll(ctx, failed)
}

// StalePreviews implements revoke.PreviewStore.
func (r *Revoke) StalePreviews(ctx context.Context, before time.Time, why string, now time.Time) error {
	failed, err := r.fail(ctx, why, now, `beat_at < $5`, ms(before))
	if err != nil {
		return err
	}
	return r.dropAll(ctx, failed)
}

func (r *Revoke) dropAll(ctx context.Context, ids []string) error {
	for _, id := range ids {
		for _, l := range []preliminary{candidates, targets, leftovers} {
			if err := r.drop(ctx, id, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// fail ends expansions and returns which. From then on nobody adds to their lists.
func (r *Revoke) fail(
	ctx context.Context, why string, now time.Time, which string, arg any,
) (failed []string, err error) {
	err = r.db.write(ctx, "fail-preview", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		failed, err = collect(ctx, tx, scanText, `update preview set state = $1, failure = $2, beat_at = $3
			where state = $4 and `+which+` returning id`,
			string(revoke.PreviewFailed), clean(why), ms(now), string(revoke.PreviewExpanding), arg)
		return nil, err
	})
	return failed, err
}

// PurgePreviews implements revoke.PreviewStore. It also drops what a process left behind that died on its way through
// FailPreview, StalePreviews or Freeze.
func (r *Revoke) PurgePreviews(ctx context.Context, before time.Time) error {
	const old = `created_at < $1 and run = ''`
	err := r.db.write(ctx, "purge-mark", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		_, err := tx.exec(ctx, `update preview set state = $2 where `+old, ms(before), string(revoke.PreviewFailed))
		return nil, err // from now on nobody adds to their lists, and no run starts from them
	})
	if err != nil {
		return err
	}
	for _, l := range []preliminary{candidates, targets, leftovers} {
		ids, err := collect(ctx, r.db.r, scanText, `select id from preview where (state = $1 or state = $2)
			and exists (select 1 from `+l.table+` where `+l.list+` = id)`, string(revoke.PreviewFailed), string(l.gone))
		if err != nil {
			return fmt.Errorf("looking for what is left of lists: %w", err)
		}
		for _, id := range ids {
			if err := r.drop(ctx, id, l); err != nil {
				return err
			}
		}
	}
	return r.db.write(ctx, "purge", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		_, err := tx.exec(ctx, `delete from preview where state = $2 and `+old, ms(before), string(revoke.PreviewFailed))
		return nil, err
	})
}

// preliminary is a table whose rows go when an expansion fails, and also in state gone.
type preliminary struct {
	table, list, row string
	gone             revoke.PreviewState
}

var (
	candidates = preliminary{"preview_candidate", "preview", "oid", revoke.PreviewReady} // the list has taken their place
	targets    = preliminary{"plan_target", "list", "pos", revoke.PreviewFailed}
	leftovers  = preliminary{"preview_left", "list", "pos", revoke.PreviewFailed}
)

// chunk is how many people one transaction moves at most, so that no other writer waits for long.
const chunk = 2000

// drop deletes the rows of one preview, in several transactions.
func (r *Revoke) drop(ctx context.Context, id string, l preliminary) error {
	for n := int64(chunk); n == chunk; {
		err := r.db.write(ctx, "drop", func(ctx context.Context, tx *sqlTx) (_ []audit.Event, err error) {
			n, err = tx.exec(ctx, `delete from `+l.table+` where `+l.list+` = $1 and `+l.row+` in (select `+l.row+
				` from `+l.table+` where `+l.list+` = $1 order by `+l.row+` limit `+strconv.Itoa(chunk)+`)`, id)
			return nil, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
