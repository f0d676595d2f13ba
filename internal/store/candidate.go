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

// mostReasons is how many paths into a scope are kept of one person.
const mostReasons = 20

// candidate is a person whom an expansion has found, with all that its hits said.
type candidate struct {
	revoke.Candidate
	included bool // by a source of the scope's Include
}

// merge adds what later hits say.
func (c candidate) merge(hit candidate) candidate {
	c.included = c.included || hit.included
	c.Excluded = c.Excluded || hit.Excluded
	c.Inside = hit.Inside
	c.UPN, c.Name = hit.UPN, hit.Name
	if hit.Verdict != "" {
		c.Verdict, c.Because = hit.Verdict, hit.Because
	}
	if !hit.Before.IsZero() {
		c.Before = hit.Before
	}
	for _, reason := range hit.Reasons {
		if !slices.Contains(c.Reasons, reason) && len(c.Reasons) < mostReasons {
			c.Reasons = append(slices.Clip(c.Reasons), reason)
		}
	}
	for _, flag := range hit.Flags {
		if !c.Has(flag) && !c.Has(revoke.Flag(strings.TrimSuffix(string(flag), "?"))) {
			c.Flags = append(slices.Clip(c.Flags), flag)
		}
	}
	c.Flags = slices.DeleteFunc(slices.Clone(c.Flags), func(f revoke.Flag) bool { // known by now
		sure, unsure := strings.CutSuffix(string(f), "?")
		return unsure && c.Has(revoke.Flag(sure))
	})
	return c
}

// place is where a person will stand in the list: rank, then UPN.
func place(t revoke.Target, creator string, operates bool) string {
	return strconv.Itoa(revoke.Rank(t, creator, operates)) + key(t.UPN)
}

const candidateColumns = `oid, upn, name, reasons, flags, verdict, because, before_at, included, excluded, inside`

func candidateDest(c *candidate) []any {
	return []any{
		&c.OID, &c.UPN, &c.Name, jsonColumn{&c.Reasons}, jsonColumn{&c.Flags}, &c.Verdict, &c.Because, msColumn{&c.Before},
		&c.included, &c.Excluded, &c.Inside,
	}
}

// AddCandidates implements revoke.PreviewStore. People whom so far only sources of the scope's Exclude led to do not
// count as found. An empty list says that the expansion goes on, also while the list is frozen.
func (r *Revoke) AddCandidates(
	ctx context.Context, id revoke.PreviewID, hits []revoke.Candidate, doing string, now time.Time,
) (found int, err error) {
	err = r.db.write(ctx, "candidates", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		var creator string
		err := tx.QueryRowContext(ctx, `update preview set doing = $1, beat_at = $2
			where id = $3 and state = $4 and (freezing = 0 or $5 = 0) returning found, creator_oid`, clean(doing), ms(now),
			clean(string(id)), string(revoke.PreviewExpanding), len(hits)).Scan(&found, &creator)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, revoke.ErrConflict
		}
		if err != nil || len(hits) == 0 {
			return nil, err
		}
		n, err := addCandidates(ctx, tx, id, creator, hits)
		if err != nil || n == 0 {
			return nil, err
		}
		found += n
		_, err = tx.exec(ctx, `update preview set found = $1 where id = $2`, found, clean(string(id)))
		return nil, err
	})
	if err != nil {
		return 0, err
	}
	return found, nil
}

// addCandidates merges hits and returns how many of the people were not found before.
func addCandidates(
	ctx context.Context, tx *sqlTx, id revoke.PreviewID, creator string, hits []revoke.Candidate,
) (found int, err error) {
	add := foldHits(hits)
	before, err := insertCandidates(ctx, tx, id, creator, add)
	if err != nil {
		return 0, err
	}
	var changed []candidate
	for _, c := range add {
		was, again := before[c.OID]
		if again {
			c = was.merge(c)
			changed = append(changed, c)
		}
		if c.included && !was.included {
			found++
		}
	}
	_, err = tx.insert(ctx, insertCandidate, `on conflict (preview, oid) do update set place = excluded.place,
		upn = excluded.upn, name = excluded.name, reasons = excluded.reasons, flags = excluded.flags,
		verdict = excluded.verdict, because = excluded.because, before_at = excluded.before_at,
		included = excluded.included, excluded = excluded.excluded, inside = excluded.inside`,
		candidateRows(id, creator, changed))
	if err != nil {
		return 0, fmt.Errorf("merging candidates: %w", err)
	}
	return found, nil
}

// foldHits merges the hits of each person.
func foldHits(hits []revoke.Candidate) []candidate {
	var out []candidate
	at := make(map[string]int, len(hits))
	for _, hit := range hits {
		hit.Target = storableTarget(hit.Target)
		c := candidate{Candidate: hit, included: !hit.Excluded}
		i, again := at[c.OID]
		if again {
			out[i] = out[i].merge(c)
			continue
		}
		at[c.OID] = len(out)
		out = append(out, candidate{Candidate: revoke.Candidate{Target: revoke.Target{OID: c.OID}}}.merge(c))
	}
	return out
}

const insertCandidate = `insert into preview_candidate (preview, place, ` + candidateColumns + `, hits) values`

func candidateRows(id revoke.PreviewID, creator string, list []candidate) [][]any {
	rows := make([][]any, len(list))
	for i, c := range list {
		rows[i] = []any{
			clean(string(id)), place(c.Target, creator, false), c.OID, c.UPN, c.Name, jsonText(c.Reasons), jsonText(c.Flags),
			c.Verdict, c.Because, ms(c.Before), c.included, c.Excluded, c.Inside, 1,
		}
	}
	return rows
}

// insertCandidates inserts the people who were not found before, and returns the others as they are. It looks nobody
// up first: the statistics of a table that has just been filled would mislead the planner.
func insertCandidates(
	ctx context.Context, tx *sqlTx, id revoke.PreviewID, creator string, list []candidate,
) (before map[string]candidate, err error) {
	before = map[string]candidate{}
	rows := candidateRows(id, creator, list)
	err = tx.chunks(ctx, rows, func(n int) string {
		return insertCandidate + tuples(n, len(rows[0])) + ` on conflict (preview, oid)
			do update set hits = preview_candidate.hits + 1 returning ` + candidateColumns + `, hits`
	}, func(s statement, args []any) error {
		rows, err := s.QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		_, err = scanned(rows, func(s scanner) (c candidate, err error) {
			var hits int
			if err = s.Scan(append(candidateDest(&c), &hits)...); hits > 1 {
				before[c.OID] = c
			}
			return c, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keeping candidates: %w", err)
	}
	return before, nil
}
