package store

import (
	"context"
	"database/sql"
	"time"
)

// Pools gives tests the pools themselves.
func (db *DB) Pools() (writer, reader *sql.DB) { return db.w, db.r }

// Insert is one transaction that inserts rows as the store does, and nothing else.
func (db *DB) Insert(ctx context.Context, head string, rows [][]any) error {
	begun, err := db.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = begun.Rollback() }()
	if _, err := (&sqlTx{begun, db.dialect.rowsAtOnce}).insert(ctx, head, "", rows); err != nil {
		return err
	}
	return begun.Commit()
}

// Paced is the ledger with other bounds on a walk; named and timed as they are when 0.
func (l *Ledger) Paced(limit time.Duration, stride, named, timed int) *Ledger {
	p := pace{search: limit, histogram: limit, stride: stride, named: usual.named, timed: usual.timed}
	if named > 0 {
		p.named = named
	}
	if timed > 0 {
		p.timed = timed
	}
	return &Ledger{l.db, p}
}
