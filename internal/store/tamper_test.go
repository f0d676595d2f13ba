package store_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"evict/internal/audit"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

// culprit owns the database: no trigger holds them back. They have neither the ledger's key nor the auditor's papers.
type culprit struct {
	t   *testing.T
	db  *store.DB
	sql *sql.DB
}

// exec runs statements with $1 placeholders.
func (c *culprit) exec(query string, args ...any) {
	c.t.Helper()
	if _, err := c.sql.ExecContext(c.t.Context(), query, args...); err != nil {
		c.t.Fatalf("%s: %v", query, err)
	}
}

func (c *culprit) body(seq int64) (body string) {
	c.t.Helper()
	if err := c.sql.QueryRowContext(c.t.Context(), `select body from ledger_event where seq = $1`, seq).Scan(&body); err != nil {
		c.t.Fatal(err)
	}
	return body
}

func (c *culprit) disarm() {
	c.t.Helper()
	if c.db.Engine() == "PostgreSQL" {
		for _, table := range []string{"ledger_event", "ledger_hash", "ledger_checkpoint"} {
			c.exec(`alter table ` + table + ` disable trigger all`)
		}
		return
	}
	for _, name := range c.triggers() {
		c.exec(`drop trigger ` + name)
	}
}

// triggers lists those of the ledger in SQLite.
func (c *culprit) triggers() (names []string) {
	c.t.Helper()
	rows, err := c.sql.QueryContext(c.t.Context(), `select name from sqlite_master where type = 'trigger' and name like 'ledger%'`)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			c.t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		c.t.Fatal(err)
	}
	return names
}

// replant makes the tree, the head and the index of days fit the events as they now are, as the program would have.
func (c *culprit) replant() audit.Tree {
	c.t.Helper()
	var tree audit.Tree
	c.exec(`delete from ledger_hash`)
	at := 0
	for seq := int64(1); ; seq++ {
		var body string
		err := c.sql.QueryRowContext(c.t.Context(), `select body from ledger_event where seq = $1`, seq).Scan(&body)
		if err == sql.ErrNoRows {
			break
		} else if err != nil {
			c.t.Fatal(err)
		}
		for _, h := range tree.Append([]byte(body)) {
			c.exec(`insert into ledger_hash (idx, hash) values ($1, $2)`, at, h[:])
			at++
		}
	}
	c.exec(`update ledger_head set next_event = $1, tree_size = $2, edge = $3`, tree.Size+1, tree.Size, append([]byte{}, tree.Edge()...))
	return tree
}

// renumber gives each event after one another number, in its bytes, too.
func (c *culprit) renumber(after, by int64) {
	c.t.Helper()
	for seq := int64(40); seq > after; seq-- {
		body := strings.Replace(c.body(seq), fmt.Sprintf(`"seq":%d`, seq), fmt.Sprintf(`"seq":%d`, seq+by), 1)
		c.exec(`update ledger_event set seq = $1, body = $2 where seq = $3`, seq+by, body, seq)
	}
}

// insert writes an event as the program would have.
func (c *culprit) insert(seq int64, body string) {
	c.t.Helper()
	e, err := audit.Decode([]byte(body))
	if err != nil || e.Seq != seq {
		c.t.Fatalf("event %d says %d (%v)", seq, e.Seq, err)
	}
	i := audit.IndexOf(e)
	c.exec(`insert into ledger_event (seq, id, at_ms, kind, operator_oid, target_oid, run_id, plan_id, outcome, ticket, body)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		seq, i.ID, i.AtMS, i.Kind, i.Operator, i.Target, i.Run, i.Plan, i.Outcome, i.Ticket, body)
}

// pretend deletes the events 3 to 20, and appends an event that says that retention did.
func (w *trial) pretend(r audit.Removal) {
	w.t.Helper()
	e := event(audit.LedgerRemoved, 60)
	e.Detail = r.Detail()
	w.append(e)
	w.exec(`update ledger_head set removed_through = 20`)
	w.exec(`delete from ledger_event where seq between 3 and 20`)
	w.recount()
}

// removal is what retention would take up to the size of a checkpoint; nobody has signed it.
func (w *trial) removal(through int64) audit.Removal {
	w.t.Helper()
	n, err := w.db.Ledger().Removable(w.t.Context(), through)
	if err != nil {
		w.t.Fatal(err)
	}
	return audit.Removal{Through: through, Root: w.checkpoints[0].Root, Events: n}
}

func signed(t *testing.T, s *audit.Signer, r audit.Removal) audit.Removal {
	t.Helper()
	r, err := s.SignRemoval(audit.Origin(cloud, tenant), r)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rotate gives the ledger its next key.
func (w *trial) rotate() {
	w.t.Helper()
	next := newSigner(w.t, "next")
	word, err := w.signer.SignNext(audit.Origin(cloud, tenant), next.Public())
	if err != nil {
		w.t.Fatal(err)
	}
	e := event(audit.LedgerKey, 45)
	e.Detail = map[string]string{"key": next.Public(), "old_key": w.signer.Public(), "signature": word}
	w.append(e)
	w.signer = next
}

// recount makes the index of days fit a tail that was cut off.
func (c *culprit) recount() {
	day := `substr(to_timestamp(at_ms / 1000) at time zone 'UTC' || '', 1, 10)`
	if c.db.Engine() == "SQLite" {
		day = `date(at_ms / 1000, 'unixepoch')`
	}
	c.exec(`delete from ledger_day`)
	c.exec(`insert into ledger_day (day, kind, events, first_seq, last_seq)
		select ` + day + `, kind, count(*), min(seq), max(seq) from ledger_event group by 1, 2`)
}

// trial is a ledger of 40 events with its key named and two checkpoints, of 20 and of 40 events.
type trial struct {
	culprit
	signer      *audit.Signer
	checkpoints []audit.Checkpoint
	replaced    bool // the key that signed last was out of use
}

func newTrial(t *testing.T, o store.Options) *trial {
	t.Helper()
	db, err := store.Open(t.Context(), o) // not by storetest's opener: its trees hold at the end
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	signer := newSigner(t, "ours")
	w := &trial{culprit: culprit{t: t, db: db, sql: past(t, o)}, signer: signer}
	opened := event(audit.LedgerOpened, 0)
	if err := db.Ledger().Bind(t.Context(), cloud, tenant, opened); err != nil {
		t.Fatal(err)
	}
	named := event(audit.LedgerKey, 1)
	named.Detail = map[string]string{"key": signer.Public()}
	w.append(named)
	for i := 2; i < 40; i++ {
		e := event([]audit.Kind{audit.SignedIn, audit.TargetConfirmed, audit.TargetRefused}[i%3], i)
		e.Target = &audit.Person{OID: oidOf(i), UPN: fmt.Sprintf("p%d@contoso.example", i), Name: "A <b> \"c\""}
		e.Plan, e.Outcome, e.Ticket, e.Reason = id(900), "confirmed", "INC-1", "found in a dump"
		w.append(e)
		if i == 19 {
			w.sign(signer)
		}
	}
	w.sign(signer)
	w.disarm()
	return w
}

// onBoth runs a test once for each engine; fresh gives it an empty database.
func onBoth(t *testing.T, test func(t *testing.T, fresh func(testing.TB) store.Options)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); test(t, storetest.SQLite) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); test(t, storetest.Postgres) })
}

func (w *trial) append(e audit.Event) {
	w.t.Helper()
	e.Cloud, e.Tenant = cloud, tenant
	if err := w.db.Ledger().Append(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
}

func (w *trial) sign(s *audit.Signer) {
	w.t.Helper()
	h := head(w.t, w.db)
	c, err := s.Sign(audit.Origin(cloud, tenant), h.Size, h.Root)
	if err != nil {
		w.t.Fatal(err)
	}
	w.checkpoints = append(w.checkpoints, c)
	if err := w.db.Ledger().SaveCheckpoint(w.t.Context(), c, noon); err != nil {
		w.t.Fatal(err)
	}
}

// papers are what an auditor keeps: the verifier key and the newest checkpoint.
func (w *trial) papers() audit.Expect {
	return audit.Expect{Keys: []string{w.signer.Public()}, Checkpoints: w.checkpoints[len(w.checkpoints)-1:]}
}

func (w *trial) verify(x audit.Expect) audit.Report {
	w.t.Helper()
	r, err := audit.VerifyLive(w.t.Context(), w.db.Ledger(), x, nil)
	if err != nil {
		w.t.Fatalf("verifying: %v", err)
	}
	return r
}

// names fails the test unless the report names a fault that touches the event; 0 stands for any.
func names(t *testing.T, r audit.Report, what string, fault audit.Fault, seq int64) {
	t.Helper()
	if !slices.ContainsFunc(r.Problems, func(p audit.Problem) bool {
		return p.Fault == fault && (seq == 0 || p.From <= seq && seq <= p.To) && p.Text != ""
	}) {
		t.Errorf("%s: want %q of event %d, got %d problems: %+v", what, fault, seq, len(r.Problems), r.Problems[:min(len(r.Problems), 5)])
	}
}

func TestEachTamperingIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		does  func(w *trial)
		fault audit.Fault
		seq   int64
	}{
		{"delete", func(w *trial) { w.exec(`delete from ledger_event where seq between 5 and 9`) }, audit.Missing, 7},
		{"delete and close the gap", func(w *trial) {
			w.exec(`delete from ledger_event where seq = 5`)
			for seq := 6; seq <= 40; seq++ {
				w.exec(`update ledger_event set seq = $1 where seq = $2`, seq-1, seq)
			}
			w.replant()
			w.recount()
		}, audit.Inconsistent, 5},
		{"insert at the end", func(w *trial) {
			w.exec(`insert into ledger_event select 41, id, at_ms, kind, operator_oid, target_oid, run_id, plan_id, outcome, ticket, body from ledger_event where seq = 40`)
			w.replant()
			w.recount()
		}, audit.Misplaced, 41},
		{"reorder", func(w *trial) {
			a, b := w.body(11), w.body(12)
			w.exec(`update ledger_event set body = $1 where seq = 11`, b)
			w.exec(`update ledger_event set body = $1 where seq = 12`, a)
		}, audit.Misplaced, 11},
		{"truncate the tail", func(w *trial) { w.exec(`delete from ledger_event where seq > 37`) }, audit.Missing, 39},
		{"truncate the tail and the tree", func(w *trial) {
			w.exec(`delete from ledger_event where seq > 37`)
			w.replant()
			w.recount()
		}, audit.Shorter, 0},
		{"truncate the tail, the tree and the checkpoints", func(w *trial) { // as a backup would have it
			w.exec(`delete from ledger_event where seq > 37`)
			w.exec(`delete from ledger_checkpoint where size > 37`)
			w.replant()
			w.recount()
		}, audit.Shorter, 0},
		{"alter an event and the tree", func(w *trial) {
			w.exec(`update ledger_event set body = $1 where seq = 30`, strings.Replace(w.body(30), "found in a dump", "found in a pump", 1))
			w.replant()
		}, audit.Inconsistent, 30},
		{"alter an event, the tree and the checkpoints, signed with another key", func(w *trial) {
			w.exec(`update ledger_event set body = $1 where seq = 30`, strings.Replace(w.body(30), "found in a dump", "found in a pump", 1))
			w.exec(`delete from ledger_checkpoint`)
			w.replant()
			w.sign(newSigner(w.t, "ours"))
			w.checkpoints = w.checkpoints[:2]
		}, audit.UnknownKey, 0},
		{"the same, and name that key in the ledger", func(w *trial) {
			s := newSigner(w.t, "ours")
			w.exec(`update ledger_event set body = $1 where seq = 2`, strings.Replace(w.body(2), w.signer.Public(), s.Public(), 1))
			w.exec(`delete from ledger_checkpoint`)
			w.replant()
			w.sign(s)
			w.checkpoints = w.checkpoints[:2]
		}, audit.UnknownKey, 0},
		{"insert in the middle and count on from there", func(w *trial) {
			w.renumber(20, 1)
			w.insert(21, strings.Replace(w.body(20), `"seq":20`, `"seq":21`, 1))
			w.replant()
			w.recount()
		}, audit.Inconsistent, 40},
		{"alter an inner hash", func(w *trial) {
			w.exec(`update ledger_hash set hash = $1 where idx = 2`, bytes.Repeat([]byte{7}, 32)) // over events 1 and 2
		}, audit.TreeDamaged, 2},
		{"zero an inner hash", func(w *trial) {
			w.exec(`update ledger_hash set hash = $1 where idx = 2`, make([]byte, 32))
		}, audit.TreeDamaged, 2},
		{"delete an inner hash", func(w *trial) { w.exec(`delete from ledger_hash where idx = 2`) }, audit.TreeDamaged, 2},
		{"delete a leaf hash", func(w *trial) {
			w.exec(`delete from ledger_hash where idx = $1`, audit.LeafIndex(30))
		}, audit.TreeDamaged, 30},
		{"delete a leaf hash, and alter its event", func(w *trial) {
			w.exec(`delete from ledger_hash where idx = $1`, audit.LeafIndex(30))
			w.exec(`update ledger_event set body = $1 where seq = 30`, strings.Replace(w.body(30), "found in a dump", "found in a pump", 1))
		}, audit.Inconsistent, 30},
		{"delete the tail and its hashes, and leave the head", func(w *trial) {
			w.exec(`delete from ledger_event where seq > 37`)
			w.exec(`delete from ledger_hash where idx >= $1`, audit.StoredFrom(37))
		}, audit.Missing, 39},
		{"let the head count on", func(w *trial) { w.exec(`update ledger_head set next_event = 61`) }, audit.Shorter, 0},
		{"let the head count on without end", func(w *trial) { w.exec(`update ledger_head set next_event = $1`, int64(1)<<60) }, audit.Shorter, 0},
		{"drop a checkpoint's signature", func(w *trial) {
			w.exec(`update ledger_checkpoint set note = replace(note, '— ours ', '— ours A') where size = 20`)
		}, audit.UnknownKey, 0},
		{"count a day otherwise", func(w *trial) { w.exec(`update ledger_day set events = events + 1`) }, audit.IndexDiffers, 0},
		{"rewind the head", func(w *trial) { w.exec(`update ledger_head set next_event = 31`) }, audit.Shorter, 0},
		{"say that a range was removed", func(w *trial) {
			w.exec(`update ledger_head set removed_through = 20`)
			w.exec(`delete from ledger_event where seq between 5 and 9`)
		}, audit.Missing, 5},
		{"pass a deletion off as retention", func(w *trial) { w.pretend(w.removal(20)) }, audit.UnknownKey, 41},
		{"pass a deletion off as retention, signed with another key", func(w *trial) {
			w.pretend(signed(w.t, newSigner(w.t, "ours"), w.removal(20)))
		}, audit.UnknownKey, 41},
		{"the same, and the events are missing", func(w *trial) {
			w.pretend(signed(w.t, newSigner(w.t, "ours"), w.removal(20)))
		}, audit.Missing, 5},
		{"go further than the retention that was signed", func(w *trial) {
			r := w.removal(20)
			w.pretend(signed(w.t, w.signer, r))
			w.exec(`update ledger_head set removed_through = 30`)
			w.exec(`delete from ledger_event where seq between 21 and 30`)
		}, audit.Missing, 25},
		{"sign with a key that was replaced", func(w *trial) {
			first := w.signer
			w.rotate()
			w.append(event(audit.SignedIn, 50))
			w.sign(w.signer)
			w.exec(`update ledger_event set body = $1 where seq = 42`, strings.Replace(w.body(42), "Admin", "Nobody", 1))
			w.exec(`delete from ledger_checkpoint where size > 40`)
			w.replant()
			w.sign(first)
			w.checkpoints = w.checkpoints[:3]
			w.replaced = true
		}, audit.UnknownKey, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, fresh func(testing.TB) store.Options) {
				w := newTrial(t, fresh(t))
				if r := w.verify(w.papers()); !r.Intact() {
					t.Fatalf("untouched, it has problems: %+v", r.Problems)
				}
				tt.does(w)
				r := w.verify(w.papers())
				names(t, r, tt.name, tt.fault, tt.seq)
				if w.replaced && !slices.ContainsFunc(r.Problems, func(p audit.Problem) bool { return strings.Contains(p.Text, "had replaced") }) {
					t.Errorf("%s: it is not said that the key was out of use: %+v", tt.name, r.Problems)
				}
			})
		})
	}
}

func TestAFlippedByteOfAnyEventIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	long(t)
	onBoth(t, func(t *testing.T, fresh func(testing.TB) store.Options) {
		w := newTrial(t, fresh(t))
		flip := func(seq int64, at int) {
			t.Helper()
			body := []byte(w.body(seq))
			at %= len(body)
			was := string(body)
			body[at] ^= 1
			w.exec(`update ledger_event set body = $1 where seq = $2`, string(body), seq)
			names(t, w.verify(audit.Expect{}), fmt.Sprintf("byte %d of event %d", at, seq), audit.Altered, seq)
			w.exec(`update ledger_event set body = $1 where seq = $2`, was, seq)
		}
		for at := range len(w.body(3)) { // every byte of one event
			flip(3, at)
		}
		r := rand.New(rand.NewPCG(1, 2))
		for seq := int64(1); seq <= 40; seq++ { // and some of every event
			flip(seq, r.IntN(1000))
		}
		if r := w.verify(w.papers()); !r.Intact() {
			t.Errorf("restored, it has problems: %+v", r.Problems)
		}
	})
}

func TestAnEditedIndexColumnIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, fresh func(testing.TB) store.Options) {
		w := newTrial(t, fresh(t))
		for column, value := range map[string]any{
			"id": "x", "at_ms": 1, "kind": "session.denied", "operator_oid": carla, "target_oid": carla, "run_id": id(77), "plan_id": id(77),
			"outcome": "refused", "ticket": "INC-2",
		} {
			var was any
			if err := w.sql.QueryRowContext(t.Context(), `select `+column+` from ledger_event where seq = 25`).Scan(&was); err != nil {
				t.Fatal(err)
			}
			w.exec(`update ledger_event set `+column+` = $1 where seq = 25`, value)
			names(t, w.verify(audit.Expect{}), column, audit.IndexDiffers, 25)
			w.exec(`update ledger_event set `+column+` = $1 where seq = 25`, was)
		}
	})
}

func TestASwappedDatabaseIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, fresh func(testing.TB) store.Options) {
		mine, other := newTrial(t, fresh(t)), newTrial(t, fresh(t))
		x := mine.papers()
		r := other.verify(x)
		names(t, r, "another ledger of the same tenant", audit.Inconsistent, 0)
		names(t, r, "signed with another key", audit.UnknownKey, 0)
		x.Origin = audit.Origin("public", carla)
		names(t, mine.verify(x), "the ledger of another tenant", audit.WrongOrigin, 0)
	})
}
