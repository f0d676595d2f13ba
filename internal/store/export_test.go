package store

import (
	"context"
	"database/sql"
	"time"

	"evict/internal/audit"
)

// Removals of a few events go on in as many transactions as those of very many do.
func init() { removeAtOnce = 20 }

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
	p := pace{page: limit, scan: limit, stride: stride, named: usual.named, timed: usual.timed}
	if named > 0 {
		p.named = named
	}
	if timed > 0 {
		p.timed = timed
	}
	return &Ledger{l.db, p}
}

// Along lists the statements that go along an index, in both directions, with their arguments and the index that each
// is to go along.
func (l *Ledger) Along() (all []Statement) {
	shapes := map[string]span{"ledger_event_folded": {values: []string{""}, where: folded},
		"ledger_event_operator_kind": {columns: []string{"operator_oid", "kind"}, values: []string{"a", "b"}, second: "k"}}
	for column, index := range map[string]string{"kind": "kind", "run_id": "run", "outcome": "outcome", "ticket": "ticket",
		"plan_id": "plan", "operator_oid": "operator", "target_oid": "target"} {
		shapes["ledger_event_"+index] = span{columns: []string{column}, values: []string{"a", "b"}}
	}
	for index, s := range shapes {
		for _, up := range []bool{false, true} {
			w := &walk{search: &search{dialect: l.db.dialect}, up: up, from: 1, to: 1000}
			text, args := w.headsOf(s, 10)
			all = append(all, Statement{text, args, index})
		}
	}
	text, args := l.partsOf([]int64{1, 2}, 1000, 10)
	return append(all, Statement{text, args, "ledger_event_target"})
}

// Statement is one that is to go along an index.
type Statement struct {
	Text  string
	Args  []any
	Index string
}

// Asked searches for a query, and returns how often it searched the dictionaries for leads, and about how many people,
// and runs and single events, it asked them.
func (l *Ledger) Asked(ctx context.Context, q audit.Query) (lookUps, people, notes int, err error) {
	err = l.db.read(ctx, "search", func(tx *sqlTx) error {
		w, err := l.walk(ctx, tx, q, l.pace.page)
		if err != nil {
			return err
		}
		if _, _, err := w.records(ctx, 100); err != nil {
			return err
		}
		lookUps = w.lookUps
		for _, n := range w.names {
			people, notes = people+len(n.people), notes+len(n.runs)+len(n.alone)
		}
		return nil
	})
	return lookUps, people, notes, err
}

// ScanSome is one transaction of a scan.
func (l *Ledger) ScanSome(ctx context.Context, q audit.Query, after, upTo int64, limit int) ([]audit.Record, int64, error) {
	return l.scanSome(ctx, q, after, upTo, limit)
}

// MostRemembered is how many answers of the dictionaries are kept.
const MostRemembered = mostRemembered

// Remembered is what the dictionaries answered last, of one person for each question.
type Remembered struct{ r remembered }

// NewRemembered remembers nothing yet.
func NewRemembered() *Remembered { return &Remembered{} }

// Recall returns who has the words in the ledger with an edge, from memory or by asking.
func (r *Remembered) Recall(ctx context.Context, edge, words string, ask func() (oid string, err error)) (string, error) {
	m, err := r.r.recall(ctx, question{edge: edge, words: words}, func() (*matches, error) {
		oid, err := ask()
		if err != nil {
			return nil, err
		}
		return &matches{oids: []string{oid}}, nil
	})
	if err != nil {
		return "", err
	}
	return m.oids[0], nil
}

// Forget forgets what the dictionaries answered.
func (l *Ledger) Forget() {
	l.db.remembered.mu.Lock()
	defer l.db.remembered.mu.Unlock()
	l.db.remembered.last = nil
}
