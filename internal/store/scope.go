package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"evict/internal/audit"
	"evict/internal/revoke"
)

const scopeColumns = `id, title, owner_oid, owner_tid, owner_upn, owner_name, sources, options, created_at, updated_at,
	version`

func scanScope(s scanner) (c revoke.SavedScope, err error) {
	err = s.Scan(&c.ID, &c.Title, &c.Owner.OID, &c.Owner.TID, &c.Owner.UPN, &c.Owner.Name, jsonColumn{&c.Scope},
		jsonColumn{&c.Options}, msColumn{&c.CreatedAt}, msColumn{&c.UpdatedAt}, &c.Version)
	return c, err
}

// SaveScope implements revoke.PreviewStore. It returns the scope as it is stored, with its new version; when it was
// created stays as it was.
func (r *Revoke) SaveScope(ctx context.Context, s revoke.SavedScope) (saved revoke.SavedScope, err error) {
	owner := storablePerson(s.Owner)
	err = r.db.write(ctx, "scope", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		var row *sql.Row
		if s.Version == 0 {
			row = tx.QueryRowContext(ctx, `insert into scope (`+scopeColumns+`) values `+tuples(1, 11)+`
				on conflict do nothing returning `+scopeColumns, clean(s.ID), clean(s.Title), owner.OID, owner.TID, owner.UPN,
				owner.Name, jsonText(s.Scope), jsonText(s.Options), ms(s.CreatedAt), ms(s.UpdatedAt), 1)
		} else {
			row = tx.QueryRowContext(ctx, `update scope set title = $1, sources = $2, options = $3, updated_at = $4,
				version = version + 1 where id = $5 and owner_oid = $6 and version = $7 returning `+scopeColumns,
				clean(s.Title), jsonText(s.Scope), jsonText(s.Options), ms(s.UpdatedAt), clean(s.ID), owner.OID, s.Version)
		}
		saved, err = scanScope(row)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, revoke.ErrConflict
		}
		return nil, err
	})
	if err != nil {
		return revoke.SavedScope{}, err
	}
	return saved, nil
}

// SavedScope implements revoke.PreviewStore; ErrNotFound when there is none.
func (r *Revoke) SavedScope(ctx context.Context, id string) (revoke.SavedScope, error) {
	s, err := scanScope(r.db.r.QueryRowContext(ctx, `select `+scopeColumns+` from scope where id = $1`, clean(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return revoke.SavedScope{}, revoke.ErrNotFound
	}
	if err != nil {
		return revoke.SavedScope{}, fmt.Errorf("reading a scope: %w", err)
	}
	return s, nil
}

// SavedScopes implements revoke.PreviewStore: first those with a title, whoever owns them, then the drafts.
func (r *Revoke) SavedScopes(ctx context.Context, operator string) ([]revoke.SavedScope, error) {
	list, err := collect(ctx, r.db.r, scanScope, `select `+scopeColumns+` from scope
		where title <> '' or owner_oid = $1 order by updated_at desc, id desc`, clean(operator))
	if err != nil {
		return nil, fmt.Errorf("listing scopes: %w", err)
	}
	slices.SortStableFunc(list, func(a, b revoke.SavedScope) int {
		if (a.Title == "") != (b.Title == "") {
			return cmp.Compare(b.Title, a.Title)
		}
		return cmp.Compare(fold(a.Title), fold(b.Title))
	})
	return list, nil
}

// DeleteScope implements revoke.PreviewStore; ErrNotFound when it is not there, or not the owner's.
func (r *Revoke) DeleteScope(ctx context.Context, id, owner string) error {
	return r.db.write(ctx, "delete-scope", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		n, err := tx.exec(ctx, `delete from scope where id = $1 and owner_oid = $2`, clean(id), clean(owner))
		if err != nil {
			return nil, fmt.Errorf("deleting a scope: %w", err)
		}
		if n == 0 {
			return nil, revoke.ErrNotFound
		}
		return nil, nil
	})
}
