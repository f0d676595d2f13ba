package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"evict/internal/fault"
	"evict/internal/revoke"
)

// storable is a plan as it will be read back. What a column holds as JSON needs no cleaning: JSON escapes U+0000, and
// has no invalid UTF-8.
func storable(p revoke.Plan) revoke.Plan {
	for _, s := range []*string{
		(*string)(&p.ID), (*string)(&p.Preview), &p.Cloud, &p.Tenant, &p.Reason, &p.Ticket, &p.ListDigest,
	} {
		*s = clean(*s)
	}
	p.Creator = storablePerson(p.Creator)
	targets := make([]revoke.Target, len(p.Targets))
	for i, t := range p.Targets {
		targets[i] = storableTarget(t)
	}
	p.Targets = targets
	return p
}

func storablePerson(p revoke.Person) revoke.Person {
	return revoke.Person{OID: clean(p.OID), TID: clean(p.TID), UPN: clean(p.UPN), Name: clean(p.Name)}
}

// listOf is the list that holds a plan's targets: its preview's, or one of its own.
func listOf(plan revoke.PlanID, preview revoke.PreviewID) string {
	if preview != "" {
		return clean(string(preview))
	}
	return clean(string(plan))
}

// listColumn scans what listOf wrote into the preview of a plan, which must have been scanned before.
type listColumn struct {
	plan    *revoke.PlanID
	preview *revoke.PreviewID
}

// Scan implements sql.Scanner.
func (c listColumn) Scan(src any) error {
	s, ok := src.(string)
	if !ok {
		return fmt.Errorf("the id of a list is a %T, not text", src)
	}
	if s != string(*c.plan) {
		*c.preview = revoke.PreviewID(s)
	}
	return nil
}

const planColumns = `id, list, cloud, tenant, creator_oid, creator_tid, creator_upn, creator_name, scope, options,
	checklist, incomplete, reason, ticket, created_at, expires_at, total, list_digest, digest`

// insertPlan stores a plan that was never stored before. It refuses one whose digest is not that of what will be read
// back: what is approved, recorded and executed must be the same thing.
func insertPlan(ctx context.Context, tx *sqlTx, frozen revoke.Plan) error {
	p := storable(frozen)
	if p.Freeze().Digest != frozen.Digest {
		return fault.New(fault.Invalid, "The plan holds text that cannot be stored as it is, or was changed after it was frozen.")
	}
	id := listOf(p.ID, p.Preview)
	n, err := tx.insert(ctx, `insert into plan (`+planColumns+`) values`, `on conflict do nothing`, [][]any{{
		string(p.ID), id, p.Cloud, p.Tenant, p.Creator.OID, p.Creator.TID, p.Creator.UPN, p.Creator.Name,
		jsonText(p.Scope), jsonText(p.Options), jsonText(p.Checklist), jsonText(p.Incomplete), p.Reason, p.Ticket,
		ms(p.CreatedAt), ms(p.ExpiresAt), p.Total, p.ListDigest, p.Digest,
	}})
	if err != nil {
		return fmt.Errorf("inserting the plan: %w", err)
	}
	if n == 0 {
		return revoke.ErrConflict
	}
	rows := make([][]any, len(p.Targets))
	for i, t := range p.Targets {
		rows[i] = targetRow(id, t)
	}
	return insertTargets(ctx, tx, rows)
}

// Plan implements revoke.RunStore.
func (r *Revoke) Plan(ctx context.Context, id revoke.PlanID) (p revoke.Plan, err error) {
	err = r.db.read(ctx, "plan", func(tx *sqlTx) error {
		err := tx.QueryRowContext(ctx, `select `+planColumns+` from plan where id = $1`, clean(string(id))).Scan(
			&p.ID, listColumn{&p.ID, &p.Preview}, &p.Cloud, &p.Tenant, &p.Creator.OID, &p.Creator.TID, &p.Creator.UPN,
			&p.Creator.Name, jsonColumn{&p.Scope}, jsonColumn{&p.Options}, jsonColumn{&p.Checklist}, jsonColumn{&p.Incomplete},
			&p.Reason, &p.Ticket, msColumn{&p.CreatedAt}, msColumn{&p.ExpiresAt}, &p.Total, &p.ListDigest, &p.Digest)
		if errors.Is(err, sql.ErrNoRows) {
			return revoke.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("reading the plan: %w", err)
		}
		if p.Preview == "" {
			p.Targets, err = collect(ctx, tx, scanTarget,
				`select `+targetColumns+` from plan_target where list = $1 order by pos`, string(p.ID))
		}
		return err
	})
	if err != nil {
		return revoke.Plan{}, err
	}
	return p, nil
}
