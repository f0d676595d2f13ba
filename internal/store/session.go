package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/revoke"
)

// Sessions keeps console sessions.
type Sessions struct{ db *DB }

var _ auth.SessionStore = (*Sessions)(nil)

// Sessions is the database's face for sessions.
func (db *DB) Sessions() *Sessions { return &Sessions{db} }

// SignIn implements auth.SessionStore.
func (s *Sessions) SignIn(ctx context.Context, row auth.SessionRow, replaces []byte, events []audit.Event) error {
	return s.db.write(ctx, "sign-in", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		if _, err := tx.exec(ctx, `delete from session where id_hash = $1`, replaces); err != nil {
			return nil, fmt.Errorf("deleting the former session: %w", err)
		}
		if err := notCutSince(ctx, tx, s.db.dialect.forUpdate, row.OID, row.IssuedAt); err != nil {
			return nil, err
		}
		_, err := tx.exec(ctx, `insert into session (id_hash, oid, tid, sealed, cache, issued_at, created_at, last_seen, expires_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, row.IDHash, key(row.OID), key(row.TID), row.Sealed, row.Cache,
			ms(row.IssuedAt), ms(row.CreatedAt), ms(row.LastSeen), ms(row.ExpiresAt))
		if err != nil {
			return nil, fmt.Errorf("inserting the session: %w", err)
		}
		return events, nil
	})
}

// notCutSince returns auth.ErrRevoked when a run of ours revoked the person after the time. An ID token's time has whole
// seconds, so a sign-in of the very second of the cut is refused too: the next one works. It waits for a commit that is
// recording such a cut at the moment, and makes a later one wait for this sign-in, whose session it then ends.
func notCutSince(ctx context.Context, tx *sqlTx, lock, oid string, issued time.Time) error {
	cut, err := collect(ctx, tx, func(s scanner) (cut bool, err error) {
		var accepts int
		var state revoke.State
		err = s.Scan(&accepts, &state)
		return accepts > 0 || state == revoke.Confirmed, err
	}, `select accepts, state from run_target where oid = $1 and t0 > $2`+lock, key(oid), ms(issued))
	if err != nil {
		return fmt.Errorf("looking for a revocation: %w", err)
	}
	if slices.Contains(cut, true) {
		return auth.ErrRevoked
	}
	return nil
}

// live returns revoke.ErrEnded unless the session is there, and keeps it there until the transaction ends.
func (db *DB) live(ctx context.Context, tx *sqlTx, idHash []byte) error {
	if idHash == nil {
		return nil
	}
	var oid string
	err := tx.QueryRowContext(ctx, `select oid from session where id_hash = $1`+db.dialect.forUpdate, idHash).Scan(&oid)
	if errors.Is(err, sql.ErrNoRows) {
		return revoke.ErrEnded
	}
	return err
}

// Session implements auth.SessionStore.
func (s *Sessions) Session(ctx context.Context, idHash []byte) (auth.SessionRow, error) {
	r := auth.SessionRow{}
	err := s.db.r.QueryRowContext(ctx, `select id_hash, oid, tid, sealed, cache, issued_at, created_at, last_seen, expires_at
		from session where id_hash = $1`, idHash).Scan(&r.IDHash, &r.OID, &r.TID, &r.Sealed, &r.Cache,
		msColumn{&r.IssuedAt}, msColumn{&r.CreatedAt}, msColumn{&r.LastSeen}, msColumn{&r.ExpiresAt})
	if errors.Is(err, sql.ErrNoRows) {
		return auth.SessionRow{}, auth.ErrNoSession
	}
	if err != nil {
		return auth.SessionRow{}, fmt.Errorf("reading a session: %w", err)
	}
	return r, nil
}

// Update implements auth.SessionStore.
func (s *Sessions) Update(ctx context.Context, row auth.SessionRow) error {
	return s.db.write(ctx, "session", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		n, err := tx.exec(ctx, `update session set sealed = $1, cache = $2, last_seen = $3 where id_hash = $4`,
			row.Sealed, row.Cache, ms(row.LastSeen), row.IDHash)
		if err != nil {
			return nil, fmt.Errorf("updating the session: %w", err)
		}
		if n == 0 {
			return nil, auth.ErrNoSession
		}
		return nil, nil
	})
}

// SignOut implements auth.SessionStore. When the session is gone already there is nothing to record: no event is
// appended, and that is no error. Without an id there is only something to record.
func (s *Sessions) SignOut(ctx context.Context, idHash []byte, events []audit.Event) error {
	return s.db.write(ctx, "sign-out", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		if idHash == nil {
			return events, nil
		}
		n, err := tx.exec(ctx, `delete from session where id_hash = $1`, idHash)
		if err != nil {
			return nil, fmt.Errorf("deleting the session: %w", err)
		}
		if n == 0 {
			return nil, nil
		}
		return events, nil
	})
}

// Expire implements auth.SessionStore. It is called now and then in every process, and so also keeps the database tidy.
func (s *Sessions) Expire(ctx context.Context, now time.Time, idle time.Duration) error {
	defer s.db.tidy(ctx)
	return s.db.write(ctx, "expire", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		_, err := tx.exec(ctx, `delete from session where expires_at <= $1 or last_seen <= $2`,
			ms(now), ms(now.Add(-idle)))
		if err != nil {
			return nil, fmt.Errorf("deleting ended sessions: %w", err)
		}
		if _, err := tx.exec(ctx, `delete from run_token where expires_at <= $1`, ms(now)); err != nil {
			return nil, fmt.Errorf("deleting run tokens: %w", err)
		}
		return nil, nil
	})
}
