package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"evict/internal/fault"
	"evict/internal/revoke"
)

// storable is a plan as it will be read back.
func storable(p revoke.Plan) revoke.Plan {
	for _, s := range []*string{(*string)(&p.ID), &p.Cloud, &p.Tenant, &p.Reason, &p.Ticket} {
		*s = clean(*s)
	}
	p.Creator = storablePerson(p.Creator)
	targets := make([]revoke.Target, len(p.Targets))
	for i, t := range p.Targets {
		targets[i] = storableTarget(t)
	}
	p.Targets = targets
	p.Scope.Users = cleanAll(p.Scope.Users)
	p.Excluded, p.Acknowledged, p.Incomplete = cleanAll(p.Excluded), cleanAll(p.Acknowledged), cleanAll(p.Incomplete)
	return p
}

func storablePerson(p revoke.Person) revoke.Person {
	return revoke.Person{OID: clean(p.OID), TID: clean(p.TID), UPN: clean(p.UPN), Name: clean(p.Name)}
}

func storableTarget(t revoke.Target) revoke.Target {
	t.OID, t.UPN, t.Name = clean(t.OID), clean(t.UPN), clean(t.Name)
	t.Reasons = cleanAll(t.Reasons)
	t.Flags = cleanAll(t.Flags)
	return t
}

// insertPlan stores a plan that was never stored before. It refuses one whose digest is not that of what will be read
// back: what is approved, recorded and executed must be the same thing.
func insertPlan(ctx context.Context, tx *sqlTx, frozen revoke.Plan) error {
	p := storable(frozen)
	if p.Freeze().Digest != frozen.Digest {
		return fault.New(fault.Invalid, "The plan holds text that cannot be stored as it is, or was changed after it was frozen.")
	}
	n, err := tx.exec(ctx, `insert into plan (id, cloud, tenant, creator_oid, creator_tid, creator_upn, creator_name,
		scope, options, excluded, acknowledged, incomplete, reason, ticket, created_at, expires_at, digest)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) on conflict do nothing`,
		string(p.ID), p.Cloud, p.Tenant, p.Creator.OID, p.Creator.TID, p.Creator.UPN, p.Creator.Name, list(p.Scope),
		list(p.Options), list(p.Excluded), list(p.Acknowledged), list(p.Incomplete), p.Reason, p.Ticket,
		ms(p.CreatedAt), ms(p.ExpiresAt), p.Digest)
	if err != nil {
		return fmt.Errorf("inserting the plan: %w", err)
	}
	if n == 0 {
		return revoke.ErrConflict
	}
	rows := make([][]any, len(p.Targets))
	for i, t := range p.Targets {
		rows[i] = append([]any{string(p.ID)}, targetValues(t)...)
	}
	if _, err := tx.insert(ctx, `insert into plan_target (plan, `+targetColumns+`) values`, "", rows); err != nil {
		return fmt.Errorf("inserting the plan's targets: %w", err)
	}
	return nil
}

const targetColumns = `pos, oid, upn, name, reasons, flags, before_at`

func targetValues(t revoke.Target) []any {
	return []any{t.Pos, t.OID, t.UPN, t.Name, list(t.Reasons), list(t.Flags), ms(t.Before)}
}

// targetDest is where targetColumns are scanned to.
func targetDest(t *revoke.Target) []any {
	return []any{&t.Pos, &t.OID, &t.UPN, &t.Name, jsonColumn{&t.Reasons}, jsonColumn{&t.Flags}, msColumn{&t.Before}}
}

// Plan implements revoke.RunStore.
func (r *Revoke) Plan(ctx context.Context, id revoke.PlanID) (p revoke.Plan, err error) {
	err = r.db.read(ctx, "plan", func(tx *sqlTx) error {
		err := tx.QueryRowContext(ctx, `select id, cloud, tenant, creator_oid, creator_tid, creator_upn, creator_name,
			scope, options, excluded, acknowledged, incomplete, reason, ticket, created_at, expires_at, digest
			from plan where id = $1`, clean(string(id))).Scan(&p.ID, &p.Cloud, &p.Tenant, &p.Creator.OID, &p.Creator.TID,
			&p.Creator.UPN, &p.Creator.Name, jsonColumn{&p.Scope}, jsonColumn{&p.Options}, jsonColumn{&p.Excluded},
			jsonColumn{&p.Acknowledged}, jsonColumn{&p.Incomplete}, &p.Reason, &p.Ticket, msColumn{&p.CreatedAt},
			msColumn{&p.ExpiresAt}, &p.Digest)
		if errors.Is(err, sql.ErrNoRows) {
			return revoke.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("reading the plan: %w", err)
		}
		p.Targets, err = collect(ctx, tx, func(s scanner) (t revoke.Target, err error) {
			err = s.Scan(targetDest(&t)...)
			return t, err
		}, `select `+targetColumns+` from plan_target where plan = $1 order by pos`, string(p.ID))
		return err
	})
	if err != nil {
		return revoke.Plan{}, err
	}
	return p, nil
}
