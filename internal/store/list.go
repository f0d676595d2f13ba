package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"evict/internal/revoke"
)

// targetColumns are what a list holds of a target, in plan_target and preview_left.
const targetColumns = `pos, oid, upn, name, reasons, flags, verdict, because, before_at`

// targetRow is a target as plan_target holds it.
func targetRow(list string, t revoke.Target) []any {
	return []any{
		list, t.Pos, t.OID, t.UPN, t.Name, jsonText(t.Reasons), jsonText(t.Flags), t.Verdict, t.Because, ms(t.Before),
		foldedName(t.UPN, t.Name),
	}
}

func insertTargets(ctx context.Context, tx *sqlTx, rows [][]any) error {
	if _, err := tx.insert(ctx, `insert into plan_target (list, `+targetColumns+`, folded) values`, "", rows); err != nil {
		return fmt.Errorf("inserting targets: %w", err)
	}
	return nil
}

// targetDest is where targetColumns are scanned to.
func targetDest(t *revoke.Target) []any {
	return []any{
		&t.Pos, &t.OID, &t.UPN, &t.Name, jsonColumn{&t.Reasons}, jsonColumn{&t.Flags}, &t.Verdict, &t.Because,
		msColumn{&t.Before},
	}
}

func scanTarget(s scanner) (t revoke.Target, err error) {
	err = s.Scan(targetDest(&t)...)
	return t, err
}

func storableTarget(t revoke.Target) revoke.Target {
	t.OID, t.UPN, t.Name = clean(t.OID), clean(t.UPN), clean(t.Name)
	t.Verdict, t.Because = clean(t.Verdict), clean(t.Because)
	t.Reasons, t.Flags = cleanAll(t.Reasons), cleanAll(t.Flags)
	return t
}

// foldedName is what a text is looked for in, on both engines alike.
func foldedName(upn, name string) string { return fold(key(upn)) + "\n" + fold(key(name)) }

// containing is the pattern of "like ... escape '\'" for what holds a text.
func containing(text string) string { return "%" + likeEscaper.Replace(text) + "%" }

// largestChunk is how many targets one page holds at most: lists are read page by page into exports, too.
const largestChunk = 1000

func chunkSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, largestChunk)
}

// Targets implements revoke.PreviewStore. ErrNotFound when there is no such preview, ErrConflict when its list is not
// frozen. It returns q.Limit targets, 50 when that is 0, at most 1,000.
func (r *Revoke) Targets(ctx context.Context, id revoke.PreviewID, q revoke.TargetQuery) ([]revoke.Target, error) {
	return page(ctx, r, id, q, "plan_target", targetColumns, scanTarget)
}

// Leftovers implements revoke.PreviewStore; as Targets.
func (r *Revoke) Leftovers(ctx context.Context, id revoke.PreviewID, q revoke.TargetQuery) ([]revoke.Leftover, error) {
	return page(ctx, r, id, q, "preview_left", targetColumns+", cause", func(s scanner) (l revoke.Leftover, err error) {
		err = s.Scan(append(targetDest(&l.Target), &l.Cause)...)
		return l, err
	})
}

// named adds a condition on a column of foldedNames, unless the text is empty.
func (f *filter) named(column, text string) {
	if text = strings.TrimSpace(text); text != "" {
		f.add(column+` like ? escape '\'`, containing(fold(key(text))))
	}
}

func page[T any](
	ctx context.Context, r *Revoke, id revoke.PreviewID, q revoke.TargetQuery, table, columns string,
	scan func(scanner) (T, error),
) (out []T, err error) {
	err = r.db.read(ctx, "page", func(tx *sqlTx) error {
		if _, err := frozen(ctx, tx, id); err != nil {
			return err
		}
		f := &filter{}
		f.add("list = ?", clean(string(id)))
		f.add("pos > ?", q.After)
		if q.Cause != "" {
			f.add("cause = ?", clean(string(q.Cause)))
		}
		if q.Verdict != "" {
			f.add("verdict = ?", clean(q.Verdict))
		}
		if q.Flag != "" {
			f.add(`flags like ? escape '\'`, containing(jsonText(q.Flag)))
		}
		f.named("folded", q.Text)
		// The inner select finds positions in a narrow index; the wide rows are read for those alone.
		out, err = collect(ctx, tx, scan, `select `+columns+` from `+table+` where list = $1 and pos in (select pos from `+
			table+f.clause()+` order by pos limit `+strconv.Itoa(chunkSize(q.Limit))+`) order by pos`, f.args...)
		return err
	})
	return out, err
}

// frozen returns how many targets a preview's list has, once it is ready; ErrNotFound or ErrConflict before.
func frozen(ctx context.Context, tx *sqlTx, id revoke.PreviewID) (total int, err error) {
	var state revoke.PreviewState
	err = tx.QueryRowContext(ctx, `select state, total from preview where id = $1`, clean(string(id))).Scan(&state, &total)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, revoke.ErrNotFound
	case err != nil:
		return 0, fmt.Errorf("reading the preview: %w", err)
	case state != revoke.PreviewReady:
		return 0, revoke.ErrConflict
	}
	return total, nil
}

// Compare implements revoke.PreviewStore; errors as Targets.
func (r *Revoke) Compare(
	ctx context.Context, before, after revoke.PreviewID, limit int,
) (d revoke.Difference, err error) {
	err = r.db.read(ctx, "compare", func(tx *sqlTx) error {
		total, err := frozen(ctx, tx, before)
		if err != nil {
			return err
		}
		if _, err := frozen(ctx, tx, after); err != nil {
			return err
		}
		if d.GoneList, d.Gone, err = onlyIn(ctx, tx, before, after, limit); err != nil {
			return err
		}
		if d.JoinedList, d.Joined, err = onlyIn(ctx, tx, after, before, limit); err != nil {
			return err
		}
		d.Both = total - d.Gone
		return nil
	})
	return d, err
}

// onlyIn returns the first targets of one list that another one has not, and how many there are.
func onlyIn(
	ctx context.Context, tx *sqlTx, list, other revoke.PreviewID, limit int,
) (first []revoke.Target, n int, err error) {
	first, err = collect(ctx, tx, func(s scanner) (t revoke.Target, err error) {
		err = s.Scan(append(targetDest(&t), &n)...)
		return t, err
	}, `with only_here as (
			select oid from plan_target where list = $1 except select oid from plan_target where list = $2
		) select `+targetColumns+`, (select count(*) from only_here) from plan_target
		where list = $1 and oid in (select oid from only_here) order by pos limit `+strconv.Itoa(max(limit, 1)),
		clean(string(list)), clean(string(other)))
	if err != nil {
		return nil, 0, fmt.Errorf("comparing lists: %w", err)
	}
	return first[:min(len(first), max(limit, 0))], n, nil
}
