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

// recently is how long a confirmed revocation is worth a flag.
const recently = 24 * time.Hour

// freezing is a list on its way from candidates to numbered targets. Its transactions are one for each chunk of people;
// until the last one the preview is expanding, and what is there of its list is dropped should that fail.
type freezing struct {
	r       *Revoke
	id      string
	pass    int // which attempt to freeze this is; another one takes over
	creator string
	options revoke.PlanOptions
	now     time.Time

	place, oid string // the last candidate that was taken
	total      int
	left       int
	digest     revoke.ListDigest
	counts     revoke.PreviewCounts
	causes     map[string]int
}

// Freeze implements revoke.PreviewStore; ErrConflict when the preview is not expanding any more, or somebody else
// freezes it. After an error it may be called again.
func (r *Revoke) Freeze(
	ctx context.Context, id revoke.PreviewID, facts revoke.Facts, now time.Time, ready func(revoke.Preview) []audit.Event,
) (revoke.Preview, error) {
	f := &freezing{
		r: r, id: clean(string(id)), now: now, digest: revoke.NewListDigest(), causes: map[string]int{},
		counts: revoke.PreviewCounts{Flags: map[revoke.Flag]int{}, Verdicts: map[string]int{}},
	}
	if err := f.begin(ctx); err != nil {
		return revoke.Preview{}, err
	}
	for more := true; more; {
		var err error
		if more, err = f.next(ctx); err != nil {
			return revoke.Preview{}, err
		}
	}
	p, err := f.end(ctx, facts, ready)
	if err != nil {
		return revoke.Preview{}, err
	}
	f.tidy(ctx)
	return p, nil
}

// tidy cleans up behind a list that is ready. It is no reason to fail: PurgePreviews would do it, and the engine
// itself.
func (f *freezing) tidy(ctx context.Context) {
	if err := f.r.drop(ctx, f.id, candidates); err != nil {
		f.r.db.log.Warn("dropping the candidates of a list", "preview", f.id, "error", err)
	}
	if f.r.db.dialect.listed == "" || f.total+f.left < chunk {
		return
	}
	if _, err := f.r.db.w.ExecContext(ctx, f.r.db.dialect.listed); err != nil {
		f.r.db.log.Warn("tidying after a list", "preview", f.id, "error", err)
	}
}

// begin takes the preview over and drops what an earlier attempt left of its list.
func (f *freezing) begin(ctx context.Context) error {
	err := f.r.db.write(ctx, "freeze-begin", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		err := tx.QueryRowContext(ctx, `update preview set freezing = freezing + 1, beat_at = $1 where id = $2 and state = $3
			returning freezing, creator_oid, options`, ms(f.r.db.now()), f.id, string(revoke.PreviewExpanding)).Scan(
			&f.pass, &f.creator, jsonColumn{&f.options})
		if errors.Is(err, sql.ErrNoRows) {
			return nil, revoke.ErrConflict
		}
		if err != nil {
			return nil, fmt.Errorf("taking the preview: %w", err)
		}
		return nil, f.markOperators(ctx, tx)
	})
	if err != nil || f.pass == 1 {
		return err
	}
	return errors.Join(f.r.drop(ctx, f.id, targets), f.r.drop(ctx, f.id, leftovers))
}

// markOperators flags and places the people who operate Evict and have unfinished runs, which are few.
func (f *freezing) markOperators(ctx context.Context, tx *sqlTx) error {
	where := &filter{}
	where.in("state", unfinished)
	where.add("operator_oid <> ?", f.creator)
	where.args = append(where.args, f.id)
	found, err := collect(ctx, tx, func(s scanner) (c candidate, err error) {
		err = s.Scan(candidateDest(&c)...)
		return c, err
	}, `select `+candidateColumns+` from preview_candidate where oid in (select operator_oid from run`+where.clause()+`)
		and preview = $`+strconv.Itoa(len(where.args)), where.args...)
	if err != nil {
		return fmt.Errorf("looking for operators: %w", err)
	}
	for _, c := range found {
		if !c.Has(revoke.FlagOperator) {
			c.Flags = append(c.Flags, revoke.FlagOperator)
		}
		_, err := tx.exec(ctx, `update preview_candidate set flags = $1, place = $2 where preview = $3 and oid = $4`,
			jsonText(c.Flags), place(c.Target, f.creator, true), f.id, c.OID)
		if err != nil {
			return fmt.Errorf("marking an operator: %w", err)
		}
	}
	return nil
}

// judged is a candidate with what the database knows of them besides.
type judged struct {
	candidate
	place             string
	protected, recent bool
}

// next moves the next chunk of candidates into the list, or among those left out.
func (f *freezing) next(ctx context.Context) (more bool, err error) {
	people, err := collect(ctx, f.r.db.r, func(s scanner) (j judged, err error) {
		err = s.Scan(append(candidateDest(&j.candidate), &j.place, &j.protected, &j.recent)...)
		return j, err
	}, `select `+candidateColumns+`, place,
			exists (select 1 from protected where protected.oid = c.oid),
			exists (select 1 from run_target t where t.oid = c.oid and t.state = $4 and t.updated_at > $5)
		from preview_candidate c where preview = $1 and (place, oid) > ($2, $3)
		order by place, oid limit `+strconv.Itoa(chunk),
		f.id, f.place, f.oid, string(revoke.Confirmed), ms(f.now.Add(-recently)))
	if err != nil {
		return false, fmt.Errorf("reading candidates: %w", err)
	}
	var in, out [][]any
	for _, j := range people {
		f.place, f.oid = j.place, j.OID
		f.sift(j, &in, &out)
	}
	err = f.r.db.write(ctx, "freeze-chunk", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		n, err := tx.exec(ctx, `update preview set beat_at = $1 where id = $2 and state = $3 and freezing = $4`,
			ms(f.r.db.now()), f.id, string(revoke.PreviewExpanding), f.pass)
		if err != nil {
			return nil, fmt.Errorf("going on with the list: %w", err)
		}
		if n == 0 {
			return nil, revoke.ErrConflict
		}
		if err := insertTargets(ctx, tx, in); err != nil {
			return nil, err
		}
		_, err = tx.insert(ctx, `insert into preview_left (list, `+targetColumns+`, folded, cause) values`, "", out)
		return nil, err
	})
	return len(people) == chunk, err
}

// sift numbers one candidate, and counts them.
func (f *freezing) sift(j judged, in, out *[][]any) {
	if !j.included {
		return
	}
	t := j.Target
	if j.recent && !t.Has(revoke.FlagRecent) {
		t.Flags = append(t.Flags, revoke.FlagRecent)
	}
	j.Target = t
	if cause := revoke.Sift(j.Candidate, f.creator, f.options, j.protected); cause != "" {
		t.Pos = f.left
		f.left++
		f.causes[string(cause)]++
		*out = append(*out, append(targetRow(f.id, t), string(cause)))
		return
	}
	t.Pos = f.total
	f.total++
	f.digest.Add(t.Pos, t.OID)
	for _, flag := range t.Flags {
		f.counts.Flags[flag]++
	}
	if t.Verdict != "" {
		f.counts.Verdicts[t.Verdict]++
	}
	if j.Inside {
		f.counts.Enabled++
	}
	*in = append(*in, targetRow(f.id, t))
}

// end makes the preview ready.
func (f *freezing) end(
	ctx context.Context, facts revoke.Facts, ready func(revoke.Preview) []audit.Event,
) (p revoke.Preview, err error) {
	err = f.r.db.write(ctx, "freeze", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		p, err = scanPreview(tx.QueryRowContext(ctx, `update preview set state = $1, doing = '', ready_at = $2,
			expires_at = $3, total = $4, left_out = $5, list_digest = $6, counts = $7, left_counts = $8, facts = $9
			where id = $10 and state = $11 and freezing = $12 returning `+previewColumns,
			string(revoke.PreviewReady), ms(f.now), ms(f.now.Add(revoke.PlanLife)), f.total, f.left, f.digest.String(),
			jsonText(f.counts), jsonText(f.causes), jsonText(facts), f.id, string(revoke.PreviewExpanding), f.pass))
		if errors.Is(err, sql.ErrNoRows) {
			return nil, revoke.ErrConflict
		}
		if err != nil {
			return nil, fmt.Errorf("making the preview ready: %w", err)
		}
		if ready == nil {
			return nil, nil
		}
		return ready(p), nil
	})
	if err != nil {
		return revoke.Preview{}, err
	}
	return p, nil
}
