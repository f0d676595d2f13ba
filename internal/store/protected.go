package store

import (
	"context"
	"fmt"

	"evict/internal/audit"
	"evict/internal/revoke"
)

const protectedColumns = `oid, tid, upn, name, kind, note, by_oid, by_tid, by_upn, by_name, since`

// Protected implements revoke.PreviewStore: every protected account, by UPN.
func (r *Revoke) Protected(ctx context.Context) ([]revoke.ProtectedAccount, error) {
	list, err := collect(ctx, r.db.r, func(s scanner) (a revoke.ProtectedAccount, err error) {
		err = s.Scan(&a.OID, &a.TID, &a.UPN, &a.Name, &a.Kind, &a.Note, &a.By.OID, &a.By.TID, &a.By.UPN, &a.By.Name,
			msColumn{&a.Since})
		return a, err
	}, `select `+protectedColumns+` from protected order by upn, oid`)
	if err != nil {
		return nil, fmt.Errorf("reading the protected accounts: %w", err)
	}
	return list, nil
}

// protectedIDs are the object ids of the protected accounts, which are few.
func protectedIDs(ctx context.Context, tx *sqlTx) (map[string]bool, error) {
	oids, err := collect(ctx, tx, scanText, `select oid from protected`)
	if err != nil {
		return nil, fmt.Errorf("reading the protected accounts: %w", err)
	}
	out := make(map[string]bool, len(oids))
	for _, oid := range oids {
		out[oid] = true
	}
	return out, nil
}

// Protect implements revoke.PreviewStore. Of an account that is protected already, who protected it and since when
// stay as they were.
func (r *Revoke) Protect(ctx context.Context, a revoke.ProtectedAccount, events []audit.Event) error {
	return r.db.write(ctx, "protect", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		who, by := storablePerson(a.Person), storablePerson(a.By)
		_, err := tx.insert(ctx, `insert into protected (`+protectedColumns+`) values`, `on conflict (oid) do update set tid = excluded.tid, upn = excluded.upn, name = excluded.name,
			kind = excluded.kind, note = excluded.note`, [][]any{{
			who.OID, who.TID, who.UPN, who.Name, clean(a.Kind), clean(a.Note), by.OID, by.TID, by.UPN, by.Name, ms(a.Since),
		}})
		if err != nil {
			return nil, fmt.Errorf("protecting an account: %w", err)
		}
		return events, nil
	})
}

// Unprotect implements revoke.PreviewStore.
func (r *Revoke) Unprotect(ctx context.Context, oid string, events []audit.Event) error {
	return r.db.write(ctx, "unprotect", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		n, err := tx.exec(ctx, `delete from protected where oid = $1`, clean(oid))
		if err != nil {
			return nil, fmt.Errorf("unprotecting an account: %w", err)
		}
		if n == 0 {
			return nil, revoke.ErrNotFound
		}
		return events, nil
	})
}
