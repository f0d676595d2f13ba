package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"evict/internal/audit"
)

// typical is a ledger of 99 events with checkpoints of 2, 14, 78 and 96 events. Run b is events 16 to 78.
func typical(tb testing.TB) (*ledger, *audit.Signer) {
	tb.Helper()
	key := newSigner(tb, "evict")
	l := opened(tb, key)
	l.sign(tb, key)
	l.run(tb, "a", 3)
	l.sign(tb, key)
	l.add(tb, audit.Event{Kind: audit.SignedIn, Operator: &audit.Person{OID: "o"}})
	l.run(tb, "b", 20)
	l.sign(tb, key)
	l.run(tb, "c", 5)
	l.sign(tb, key)
	l.add(tb, audit.Event{Kind: audit.SignedOut}, audit.Event{Kind: audit.SignedIn}, audit.Event{Kind: audit.SignedOut})
	return l, key
}

func verify(tb testing.TB, l audit.Source, x audit.Expect) audit.Report {
	tb.Helper()
	r, err := audit.VerifyLive(tb.Context(), l, x, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// want is a problem that a report must name.
type want struct {
	fault    audit.Fault
	from, to int64
	text     string // a part of the sentence
}

func (w want) in(r audit.Report) bool {
	return slices.ContainsFunc(r.Problems, func(p audit.Problem) bool {
		return p.Fault == w.fault && p.From == w.from && p.To == w.to && strings.Contains(p.Text, w.text)
	})
}

func check(t *testing.T, r audit.Report, wants ...want) {
	t.Helper()
	for _, w := range wants {
		if !w.in(r) {
			t.Errorf("not found: %+v", w)
		}
	}
	if t.Failed() || len(wants) == 0 && !r.Intact() {
		for _, p := range r.Problems {
			t.Errorf("found: %+v", p)
		}
	}
}

// only is check, and that nothing else was found.
func only(t *testing.T, r audit.Report, wants ...want) {
	t.Helper()
	check(t, r, wants...)
	if len(r.Problems) != len(wants) {
		t.Errorf("%d problems, want %d: %+v", len(r.Problems), len(wants), r.Problems)
	}
}

func TestAnIntactLedgerIsFoundIntact(t *testing.T) {
	t.Parallel()
	l, key := typical(t)
	own := []audit.Checkpoint{l.signed[3].Checkpoint, l.signed[1].Checkpoint}
	r := verify(t, l, audit.Expect{Origin: testOrigin, Keys: []string{key.Public()}, Checkpoints: own})
	only(t, r)
	if r.Size != 99 || r.Events != 99 || r.Root != l.head.Root || !r.Whole || r.Checkpoints != 6 || r.Own != 2 || r.Origin != testOrigin {
		t.Errorf("report: %+v", r)
	}
	covers := strings.Join(r.Covers, "\n")
	for _, part := range []string{"Events 1 to 99: their bytes, their order, and that none is missing.", "Not the working tables", "Signed up to event 96, by " + audit.KeyID(key.Public()) +
		"; the 3 events after it are covered by no signature.", "Your checkpoint of 96 events is in the tree"} {
		if !strings.Contains(covers, part) {
			t.Errorf("%q is not in:\n%s", part, covers)
		}
	}
	covers = strings.Join(verify(t, l, audit.Expect{}).Covers, "\n")
	if !strings.Contains(covers, "this does not show a ledger that was replaced as a whole") {
		t.Errorf("without keys:\n%s", covers)
	}
	only(t, verify(t, newLedger(testCloud, testTenant), audit.Expect{Keys: []string{key.Public()}}))
}

// What the console holds its ledger against is not called the auditor's, who has to believe the console for it.
func TestAReportKnowsWhoseTheCheckpointsAre(t *testing.T) {
	t.Parallel()
	l, key := typical(t)
	mine, its := []audit.Checkpoint{l.signed[1].Checkpoint}, audit.Own{Keys: []string{key.Public()}, Checkpoints: []audit.Checkpoint{l.signed[3].Checkpoint}}
	for name, c := range map[string]struct {
		x             audit.Expect
		own, console  int
		says, unsaids []string
	}{
		"the console's": {audit.Expect{Console: its}, 0, 1,
			[]string{"The console's own checkpoint of 96 events is in the tree", "none of yours", "Bring a verifier key and a checkpoint of your own."}, []string{"Your"}},
		"the console's, and the auditor's key": {audit.Expect{Keys: its.Keys, Console: its}, 0, 1, []string{"none of yours", "Bring a checkpoint"}, []string{"verifier key"}},
		"the console's key alone": {audit.Expect{Console: audit.Own{Keys: its.Keys}}, 0, 0,
			[]string{"With the console's own key, and without a checkpoint of your own", "Bring a verifier key and"}, []string{"your key"}},
		"both": {audit.Expect{Checkpoints: mine, Console: its}, 1, 1,
			[]string{"Your checkpoint of 14 events is in the tree", "The console's own checkpoint of 96 events", "rewrote after your checkpoint"}, []string{"Bring"}},
	} {
		r := verify(t, l, c.x)
		only(t, r)
		covers := strings.Join(r.Covers, "\n")
		if r.Own != c.own || r.Console != c.console || r.Brought != c.own {
			t.Errorf("%s: %d of %d brought and %d of the console's hold", name, r.Own, r.Brought, r.Console)
		}
		for _, part := range c.says {
			if !strings.Contains(covers, part) {
				t.Errorf("%s: %q is not in:\n%s", name, part, covers)
			}
		}
		for _, part := range c.unsaids {
			if strings.Contains(covers, part) {
				t.Errorf("%s: %q is in:\n%s", name, part, covers)
			}
		}
	}
}

func TestEveryByteOfAnEventIsCovered(t *testing.T) {
	t.Parallel()
	whole, key := typical(t)
	x := audit.Expect{Keys: []string{key.Public()}}
	flip := func(seq int64, at int, by byte) {
		l := whole.clone()
		l.row(seq).Body[at] ^= by
		r := verify(t, l, x)
		if len(r.Problems) != 1 || !(want{audit.Altered, seq, seq, fmt.Sprintf("Event %d was altered", seq)}).in(r) {
			t.Fatalf("event %d, byte %d ^ %#x: %+v", seq, at, by, r.Problems)
		}
	}
	for at := range whole.row(17).Body {
		flip(17, at, 1<<(at%8))
	}
	rng := rand.New(rand.NewPCG(4, 4))
	for range 150 {
		seq := 1 + rng.Int64N(whole.head.Size)
		flip(seq, rng.IntN(len(whole.row(seq).Body)), 1<<rng.IntN(8))
	}
}

func replaced(l *ledger, seq int64, from, to string) {
	row := l.row(seq)
	if !bytes.Contains(row.Body, []byte(from)) {
		panic(from + " is not in " + string(row.Body))
	}
	row.Body = bytes.Replace(row.Body, []byte(from), []byte(to), 1)
}

// rewriteLeaf makes the stored leaf hash fit the altered bytes.
func rewriteLeaf(l *ledger, seq int64) {
	row := l.row(seq)
	row.Leaf = audit.LeafHash(row.Body)
	l.hashes[audit.LeafIndex(seq)] = row.Leaf
}

// drop deletes rows only.
func drop(l *ledger, from, to int64) {
	l.rows = slices.DeleteFunc(l.rows, func(r audit.Row) bool { return from <= r.Seq && r.Seq <= to })
}

// renumbered makes a body with another number.
func renumbered(tb testing.TB, row audit.Row, seq int64) audit.Row {
	tb.Helper()
	e, err := audit.Decode(row.Body)
	if err != nil {
		tb.Fatal(err)
	}
	row.Seq = seq
	if row.Body, err = audit.Encode(seq, e); err != nil {
		tb.Fatal(err)
	}
	return row
}

func TestTamperingIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	base, key := typical(t)
	other := newSigner(t, "evict")
	own := base.signed[3].Checkpoint
	for _, c := range []struct {
		name   string
		x      audit.Expect
		tamper func(t *testing.T, l *ledger)
		wants  []want
		whole  bool // nothing else is found
	}{
		{name: "two events altered", tamper: func(_ *testing.T, l *ledger) {
			replaced(l, 17, "phished", "holiday")
			replaced(l, 18, "phished", "holiday")
		}, wants: []want{{audit.Altered, 17, 18, "Events 17 and 18 were altered"}}, whole: true},
		{name: "event altered, leaf hash rewritten as well", tamper: func(_ *testing.T, l *ledger) {
			replaced(l, 20, "phished", "holiday")
			rewriteLeaf(l, 20)
		}, wants: []want{
			{audit.TreeDamaged, 19, 20, "The tree is damaged between events 19 and 20"},
			{audit.Inconsistent, 15, 78, "something among the events 15 to 78 is not what was signed. The checkpoint of 14 events holds. It contradicts 1 checkpoint more"},
		}, whole: true},
		{name: "last event altered, leaf hash rewritten as well", tamper: func(_ *testing.T, l *ledger) {
			replaced(l, 99, "signed_out", "signed_in")
			rewriteLeaf(l, 99)
		}, wants: []want{{audit.TreeDamaged, 0, 0, "the root in its head"}, {audit.IndexDiffers, 99, 99, "kind"}}},
		{name: "event altered, whole tree made anew", tamper: func(_ *testing.T, l *ledger) {
			replaced(l, 20, "phished", "holiday")
			l.rebuild()
		}, wants: []want{{audit.Inconsistent, 15, 78, "signed by evict+"}}, whole: true},
		{name: "stored leaf hash altered", tamper: func(_ *testing.T, l *ledger) { l.hashes[audit.LeafIndex(20)][3] ^= 1 },
			wants: []want{{audit.Altered, 20, 20, ""}, {audit.TreeDamaged, 19, 20, ""}}, whole: true},
		{name: "stored inner hash altered", tamper: func(_ *testing.T, l *ledger) { l.hashes[audit.StoredFrom(16)-1][3] ^= 1 },
			wants: []want{{audit.TreeDamaged, 1, 16, "a stored hash over them"}}},
		{name: "stored inner hash missing", tamper: func(_ *testing.T, l *ledger) { l.lost[audit.StoredFrom(16)-1] = true },
			wants: []want{{audit.TreeDamaged, 1, 16, "a stored hash over them is missing or was overwritten."}}, whole: true},
		{name: "stored inner hash overwritten with zeros", tamper: func(_ *testing.T, l *ledger) { l.hashes[audit.StoredFrom(16)-1] = audit.Hash{} },
			wants: []want{{audit.TreeDamaged, 1, 16, "is missing or was overwritten"}}, whole: true},
		{name: "stored leaf hash missing", tamper: func(_ *testing.T, l *ledger) { l.lost[audit.LeafIndex(21)] = true },
			wants: []want{{audit.TreeDamaged, 21, 21, "its hash is missing or was overwritten."}}, whole: true},
		{name: "deleted", tamper: func(_ *testing.T, l *ledger) { drop(l, 5, 9) },
			wants: []want{{audit.Missing, 5, 9, "Events 5 to 9 are missing."}, {audit.RunGap, 14, 14, `counts "12" events, and 7 are there`}}, whole: true},
		{name: "deleted, counts mended", tamper: func(_ *testing.T, l *ledger) { drop(l, 15, 15); l.recount() },
			wants: []want{{audit.Missing, 15, 15, "Event 15 is missing."}}, whole: true},
		{name: "deleted and renumbered", tamper: func(t *testing.T, l *ledger) {
			drop(l, 5, 5)
			for i := 4; i < len(l.rows); i++ {
				l.rows[i] = renumbered(t, l.rows[i], int64(i+1))
			}
			l.rebuild()
		}, wants: []want{{audit.Inconsistent, 3, 14, "events 3 to 14"}, {audit.RunGap, 13, 13, ""}}},
		{name: "inserted", tamper: func(t *testing.T, l *ledger) {
			extra := renumbered(t, *l.row(15), 30)
			for i := 29; i < len(l.rows); i++ {
				l.rows[i] = renumbered(t, l.rows[i], int64(i+2))
			}
			l.rows = slices.Insert(l.rows, 29, extra)
			l.rebuild()
		}, wants: []want{{audit.Inconsistent, 15, 78, ""}}},
		{name: "inserted after the end", tamper: func(t *testing.T, l *ledger) { l.rows = append(l.rows, renumbered(t, *l.row(15), 100)) },
			wants: []want{{audit.Misplaced, 100, 100, "Event 100 is not in the tree, which has 99 events"}}, whole: true},
		{name: "swapped", tamper: func(_ *testing.T, l *ledger) {
			a, b := l.row(20), l.row(41)
			a.Body, b.Body, a.Index, b.Index = b.Body, a.Body, b.Index, a.Index
		}, wants: []want{{audit.Misplaced, 20, 20, "its bytes are those of event 41"}, {audit.Misplaced, 41, 41, "those of event 20"}}},
		{name: "swapped, hashes as well", tamper: func(_ *testing.T, l *ledger) {
			a, b := l.row(20), l.row(41)
			a.Body, b.Body = b.Body, a.Body
			rewriteLeaf(l, 20)
			rewriteLeaf(l, 41)
		}, wants: []want{{audit.Misplaced, 20, 20, ""}, {audit.Misplaced, 41, 41, ""}, {audit.TreeDamaged, 19, 20, ""}, {audit.Inconsistent, 15, 78, ""}}},
		{name: "tail cut off, head left", tamper: func(_ *testing.T, l *ledger) { drop(l, 90, 99) },
			wants: []want{{audit.Missing, 90, 99, "Events 90 to 99 are missing, at the end"}}, whole: true},
		{name: "tail cut off, hashes as well", tamper: func(_ *testing.T, l *ledger) {
			drop(l, 90, 99)
			l.hashes = l.hashes[:audit.StoredFrom(89)]
		}, wants: []want{{audit.Missing, 90, 99, ""}}},
		{name: "head of a tree that is not there", tamper: func(_ *testing.T, l *ledger) { l.head.Size = 1 << 60 },
			wants: []want{{audit.Shorter, 0, 0, "it ends with 99 events of 1,152,921,504,606,846,976"}, {audit.Missing, 100, 1 << 60, ""}}},
		{name: "rolled back, checkpoints left", tamper: func(_ *testing.T, l *ledger) {
			drop(l, 80, 99)
			l.rebuild()
		}, wants: []want{{audit.Shorter, 0, 0, "The tree is shorter than 1 checkpoint in the database: it has 79 events, the largest of them has 96."}}, whole: true},
		{name: "rolled back to a backup", x: audit.Expect{Checkpoints: []audit.Checkpoint{own}}, tamper: func(_ *testing.T, l *ledger) {
			drop(l, 80, 99)
			l.signed = l.signed[:3]
			l.rebuild()
		}, wants: []want{{audit.Shorter, 0, 0, "shorter than your checkpoint: it has 79 events, your checkpoint has 96."}}, whole: true},
		{name: "rolled back to a backup that the console's own checkpoint is not of", x: audit.Expect{Console: audit.Own{Checkpoints: []audit.Checkpoint{own}}},
			tamper: func(_ *testing.T, l *ledger) {
				drop(l, 80, 99)
				l.signed = l.signed[:3]
				l.rebuild()
			}, wants: []want{{audit.Shorter, 0, 0, "shorter than the console's own checkpoint: it has 79 events, the console's own checkpoint has 96."}}, whole: true},
		{name: "rolled back and grown again", x: audit.Expect{Checkpoints: []audit.Checkpoint{own}}, tamper: func(t *testing.T, l *ledger) {
			drop(l, 80, 99)
			l.signed = l.signed[:3]
			l.rebuild()
			l.add(t, audit.Event{Kind: audit.LedgerRollback, Detail: map[string]string{"old_size": "96", "size": "79"}})
			l.run(t, "d", 9)
			l.sign(t, key)
		}, wants: []want{{audit.Inconsistent, 79, 96, "The tree contradicts your checkpoint of 96 events: something among the events 79 to 96 is not what was signed. " +
			"The checkpoint of 78 events holds. Event 80 records that a rollback was accepted, from 96 events to 79 events."}}, whole: true},
		{name: "another ledger of the tenant", x: audit.Expect{Keys: []string{key.Public()}}, tamper: func(t *testing.T, l *ledger) {
			*l = *opened(t, other)
			l.run(t, "z", 4)
			l.sign(t, other)
		}, wants: []want{
			{audit.UnknownKey, 0, 0, "signed by " + audit.KeyID(other.Public()) + ", which none of your keys vouches for"},
			{audit.UnknownKey, 0, 0, "Nothing here is signed by one of your keys"},
		}, whole: true},
		{name: "another ledger of the tenant, with the console's key", x: audit.Expect{Console: audit.Own{Keys: []string{key.Public()}}}, tamper: func(t *testing.T, l *ledger) {
			*l = *opened(t, other)
			l.sign(t, other)
		}, wants: []want{
			{audit.UnknownKey, 0, 0, "which none of the console's own keys vouches for"},
			{audit.UnknownKey, 0, 0, "Nothing here is signed by one of the console's own keys"},
		}, whole: true},
		{name: "another ledger of the tenant, with the same key", x: audit.Expect{Keys: []string{key.Public()}, Checkpoints: []audit.Checkpoint{own}},
			tamper: func(t *testing.T, l *ledger) {
				*l = *opened(t, key)
				l.run(t, "z", 40)
				l.sign(t, key)
			}, wants: []want{{audit.Inconsistent, 1, 96, "your checkpoint of 96 events"}}, whole: true},
		{name: "ledger of another tenant", x: audit.Expect{Origin: testOrigin, Keys: []string{key.Public()}}, tamper: func(t *testing.T, l *ledger) {
			*l = *newLedger(testCloud, "11111111-0000-4000-8000-000000000001")
			l.add(t, audit.Event{Kind: audit.LedgerOpened}, audit.Event{Kind: audit.SignedIn})
			l.sign(t, key)
		}, wants: []want{{audit.WrongOrigin, 1, 2, "Events 1 and 2 are of another ledger"}, {audit.WrongOrigin, 0, 0, "The checkpoint of 2 events is of another ledger"}}},
		{name: "events of another tenant among them", tamper: func(t *testing.T, l *ledger) {
			l.add(t, audit.Event{Kind: audit.SignedIn, Cloud: "usgov", Tenant: testTenant})
		}, wants: []want{{audit.WrongOrigin, 100, 100, `"evict/usgov/`}}, whole: true},
		{name: "signed again with another key", tamper: func(t *testing.T, l *ledger) {
			replaced(l, 20, "phished", "holiday")
			l.rebuild()
			l.signed = nil
			l.sign(t, other)
		}, wants: []want{{audit.UnknownKey, 0, 0, "The checkpoint of 99 events is signed by an unknown key, " + `"` + audit.KeyID(other.Public())}}, whole: true},
		{name: "signature altered", tamper: func(_ *testing.T, l *ledger) {
			c := &l.signed[2]
			c.Note = c.Note[:len(c.Note)-12] + "AAAA" + c.Note[len(c.Note)-8:]
		}, wants: []want{{audit.UnknownKey, 0, 0, "the signature is not valid"}}, whole: true},
		{name: "checkpoint moved to another size", tamper: func(_ *testing.T, l *ledger) { l.signed[2].Size = 77 },
			wants: []want{{audit.UnknownKey, 0, 0, "The checkpoint of 77 events"}}, whole: true},
		{name: "forged change of key", tamper: func(t *testing.T, l *ledger) {
			l.add(t, audit.Event{Kind: audit.LedgerKey, Detail: map[string]string{"key": other.Public(), "old_key": key.Public(), "signature": "x"}})
			l.sign(t, other)
		}, wants: []want{
			{audit.UnknownKey, 100, 100, "Event 100 changes to the key " + audit.KeyID(other.Public()) + " without a valid signature"},
			{audit.UnknownKey, 0, 0, "The checkpoint of 100 events is signed by an unknown key"},
		}, whole: true},
		{name: "another key named without the first one's word", tamper: func(t *testing.T, l *ledger) {
			l.add(t, audit.Event{Kind: audit.LedgerKey, Detail: map[string]string{"key": other.Public()}})
		}, wants: []want{{audit.UnknownKey, 100, 100, "has not vouched for"}}, whole: true},
		{name: "run with a wrong count", tamper: func(t *testing.T, l *ledger) {
			l.add(t, audit.Event{Kind: audit.PlanCreated, Run: "d"}, audit.Event{Kind: audit.RunCancelled, Run: "d", Detail: map[string]string{"events": "3", "last_seq": "102"}})
		}, wants: []want{{audit.RunGap, 101, 101, `says that the last one is "102"`}, {audit.RunGap, 101, 101, `counts "3" events, and 2 are there`}}, whole: true},
		{name: "index of days", tamper: func(_ *testing.T, l *ledger) { l.days[5].Events++ },
			wants: []want{{audit.IndexDiffers, 0, 0, "The index of days differs"}}, whole: true},
		{name: "names that searches lack", tamper: func(_ *testing.T, l *ledger) { l.wordless = []int64{20, 21} },
			wants: []want{{audit.IndexDiffers, 20, 21, "by them events 20 and 21 are not found"}}, whole: true},
		{name: "a day too many", tamper: func(_ *testing.T, l *ledger) {
			l.days = append(l.days, audit.DayCount{Day: "2026-11-30", Kind: audit.SignedIn, Events: 10, First: 60, Last: 90})
		}, wants: []want{{audit.IndexDiffers, 0, 0, `on "2026-11-30" it says 10 events, 60 to 90, and there are none.`}}, whole: true},
		{name: "a day lost", tamper: func(_ *testing.T, l *ledger) { l.days = l.days[1:] },
			wants: []want{{audit.IndexDiffers, 0, 0, `"ledger.opened" on "2026-11-05" it says no events, and there is 1 event, 1 to 1.`}}, whole: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := base.clone()
			c.tamper(t, l)
			r := verify(t, l, c.x)
			check(t, r, c.wants...)
			if c.whole && len(r.Problems) != len(c.wants) {
				t.Errorf("%d problems, want %d: %+v", len(r.Problems), len(c.wants), r.Problems)
			}
		})
	}
}

func TestEachIndexColumnIsHeldAgainstTheEvent(t *testing.T) {
	t.Parallel()
	base, _ := typical(t)
	for column, edit := range map[string]func(*audit.Index){
		"id":           func(i *audit.Index) { i.ID = "x" },
		"at_ms":        func(i *audit.Index) { i.AtMS++ },
		"kind":         func(i *audit.Index) { i.Kind = "x" },
		"operator_oid": func(i *audit.Index) { i.Operator = "x" },
		"target_oid":   func(i *audit.Index) { i.Target = "x\u202ey" },
		"run_id":       func(i *audit.Index) { i.Run = "x" },
		"plan_id":      func(i *audit.Index) { i.Plan = "x" },
		"outcome":      func(i *audit.Index) { i.Outcome = "x" },
		"ticket":       func(i *audit.Index) { i.Ticket = "x" },
	} {
		l := base.clone()
		edit(&l.row(18).Index)
		edit(&l.row(19).Index)
		edit(&l.row(40).Index)
		only(t, verify(t, l, audit.Expect{}),
			want{audit.IndexDiffers, 18, 19, "The index column " + column + " differs from events 18 to 19, the first of which: it says "},
			want{audit.IndexDiffers, 40, 40, "The index column " + column + " differs from event 40: it says "})
	}
}

func TestAKeyCountsByTheWordOfTheOneBefore(t *testing.T) {
	t.Parallel()
	l, first := typical(t)
	second, third := newSigner(t, "evict"), newSigner(t, "evict")
	l.rotate(t, first, second)
	l.sign(t, second)
	l.rotate(t, second, third)
	l.sign(t, third)
	// Forward by signatures from an older key, backward through the tree beneath what a newer one signed.
	for i, key := range []*audit.Signer{first, second, third} {
		r := verify(t, l, audit.Expect{Keys: []string{key.Public()}})
		only(t, r)
		if len(r.Keys) != 3 {
			t.Errorf("with key %d, %d count: %q", i, len(r.Keys), r.Keys)
		}
	}
	// A key that was replaced does not vouch for another one.
	thief := newSigner(t, "evict")
	l.rotate(t, first, thief)
	l.sign(t, thief)
	only(t, verify(t, l, audit.Expect{}), want{audit.UnknownKey, 102, 102, "from one that was not in use"},
		want{audit.UnknownKey, 0, 0, "The checkpoint of 102 events is signed by an unknown key"})
}

func TestAKeyThatWasReplacedSignsNothingNewer(t *testing.T) {
	t.Parallel()
	l, first := typical(t)
	second := newSigner(t, "evict")
	l.rotate(t, first, second)
	l.sign(t, second)
	l.add(t, audit.Event{Kind: audit.SignInDenied}, audit.Event{Kind: audit.SignedOut})
	l.sign(t, second)
	only(t, verify(t, l, audit.Expect{}))

	// Whoever found the first key rewrites what came after the change, and signs it.
	forged := l.clone()
	forged.row(101).Body = bytes.Replace(forged.row(101).Body, []byte("session.denied"), []byte("session.signed"), 1)
	forged.row(101).Index.Kind = "session.signed"
	forged.signed = forged.signed[:len(forged.signed)-1]
	forged.rebuild()
	forged.sign(t, first)
	for name, x := range map[string]audit.Expect{
		"no papers": {}, "the second key": {Keys: []string{second.Public()}}, "both keys": {Keys: []string{first.Public(), second.Public()}},
	} {
		r := verify(t, forged, x)
		only(t, r, want{audit.UnknownKey, 0, 0, "which event 100 had replaced: whoever signed it used a key that was out of use"})
		if covers := strings.Join(r.Covers, " "); !strings.Contains(covers, "Signed up to event 100") {
			t.Errorf("%s: %s", name, covers)
		}
	}
	l.rotate(t, second, first)
	check(t, verify(t, l, audit.Expect{}), want{audit.UnknownKey, 103, 103, "goes back to the key"})
}

func TestNothingIsCoveredFlatlyWhenSomethingIsWrong(t *testing.T) {
	t.Parallel()
	l, key := typical(t)
	l.sign(t, key)
	l.row(20).Body[30] ^= 1
	r := verify(t, l, audit.Expect{Keys: []string{key.Public()}, Checkpoints: []audit.Checkpoint{l.signed[1].Checkpoint}})
	limited := 0
	for _, sentence := range r.Covers {
		if strings.Contains(sentence, "but for what is listed as wrong") {
			limited++
		} else if strings.Contains(sentence, "All of it is signed") || strings.Contains(sentence, "is in the tree") {
			t.Errorf("%q, beside %+v", sentence, r.Problems)
		}
	}
	if limited != 4 {
		t.Errorf("%d sentences are limited, want 4: %q", limited, r.Covers)
	}
}

func TestADeletionIsNoRemovalWithoutTheWordOfAKey(t *testing.T) {
	t.Parallel()
	base, key := typical(t)
	root, err := audit.RootAt(78, base.stored)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(by *audit.Signer, r audit.Removal) map[string]string {
		r, err := by.SignRemoval(testOrigin, r)
		if err != nil {
			t.Fatal(err)
		}
		return r.Detail()
	}
	honest := audit.Removal{Through: 78, Root: root, Events: 76}
	for name, detail := range map[string]map[string]string{
		"unsigned":               honest.Detail(),
		"signed with any key":    signed(newSigner(t, "evict"), honest),
		"signed for less":        edit(signed(key, audit.Removal{Through: 14, Root: root, Events: 12}), "through", "78"),
		"signed for fewer":       edit(signed(key, audit.Removal{Through: 78, Root: root, Events: 75}), "events", "76"),
		"signed for another one": edit(signed(key, audit.Removal{Through: 78, Root: base.head.Root, Events: 76}), "root", root.String()),
	} {
		l := base.clone()
		l.strip(78)
		l.add(t, audit.Event{Kind: audit.LedgerRemoved, Detail: detail})
		l.sign(t, key)
		r := verify(t, l, audit.Expect{Keys: []string{key.Public()}})
		check(t, r, want{audit.UnknownKey, 100, 100, "no key of the ledger signed that"}, want{audit.Missing, 3, 78, "no signed event says so"})
		if r.Whole || r.Removed != 0 {
			t.Errorf("%s: %+v", name, r)
		}
		check(t, verifyFile(t, exported(t, l, audit.Query{}), audit.Expect{}), want{audit.UnknownKey, 100, 100, "no key of the ledger signed that"},
			want{audit.Missing, 3, 78, "no signed event says"})
	}

	more := base.clone()
	more.remove(t, key, 78)
	more.rows = slices.DeleteFunc(more.rows, func(r audit.Row) bool { return r.Seq == 2 }) // an event about the ledger, which stays
	more.recount()
	check(t, verify(t, more, audit.Expect{Keys: []string{key.Public()}}), want{audit.Missing, 1, 78, "retention removed 76, as is recorded and signed; 77 are gone"})

	again := base.clone()
	again.remove(t, key, 78)
	again.add(t, audit.Event{Kind: audit.LedgerRemoved, Detail: signed(key, honest)})
	again.sign(t, key)
	only(t, verify(t, again, audit.Expect{}), want{audit.Misplaced, 101, 101, "says what an earlier one said before"})
}

func edit(detail map[string]string, key, value string) map[string]string {
	detail[key] = value
	return detail
}

func TestACheckpointThatNoKeySignedIsNotTakenForALongerTree(t *testing.T) {
	t.Parallel()
	l, _ := typical(t)
	foreign, err := newSigner(t, "evict").Sign(testOrigin, 5000, l.head.Root)
	if err != nil {
		t.Fatal(err)
	}
	l.signed = append(l.signed, audit.Signed{Checkpoint: foreign}, audit.Signed{Checkpoint: audit.Checkpoint{Size: 1_000_000, Note: "x"}})
	only(t, verify(t, l, audit.Expect{}), want{audit.UnknownKey, 0, 0, "The checkpoint of 5,000 events is signed by an unknown key"},
		want{audit.Unreadable, 0, 0, "A checkpoint in the database, said to be of 1,000,000 events, cannot be read"})
}

func TestRemovedEventsAreToldFromMissingOnes(t *testing.T) {
	t.Parallel()
	base, key := typical(t)
	base.remove(t, key, 78)
	base.sign(t, key)
	r := verify(t, base, audit.Expect{})
	only(t, r)
	if r.Removed != 76 || r.Events != 24 || !r.Whole || r.Size != 100 {
		t.Errorf("report: %+v", r)
	}

	more := base.clone()
	drop(more, 80, 81)
	check(t, verify(t, more, audit.Expect{}), want{audit.Missing, 80, 81, "Events 80 and 81 are missing."})

	unrecorded, _ := typical(t)
	drop(unrecorded, 5, 9)
	unrecorded.head.Removed = 78
	r = verify(t, unrecorded, audit.Expect{})
	check(t, r, want{audit.Missing, 5, 9, "the head says that retention removed them, and no signed event says so"})
	if r.Whole {
		t.Error("events are missing, and the ledger is called whole")
	}

	other := base.clone()
	other.signed, other.row(100).Body = other.signed[:4], bytes.Replace(other.row(100).Body, []byte(`"root":"`), []byte(`"root":"A`), 1)
	other.rows = slices.Clone(other.rows)
	rewriteLeaf(other, 100)
	check(t, verify(t, other, audit.Expect{}), want{audit.Inconsistent, 1, 78, "which records what was removed"})
}

func TestAManyFoldProblemIsCountedBeyondTheFirstThousand(t *testing.T) {
	t.Parallel()
	l := newLedger(testCloud, testTenant)
	for range 3000 {
		l.add(t, audit.Event{Kind: audit.SignedIn, Time: "2026-11-05T12:00:00.000Z"})
	}
	for seq := int64(1); seq <= 3000; seq += 2 {
		l.row(seq).Body[30] ^= 1
	}
	r := verify(t, l, audit.Expect{})
	if len(r.Problems) != 1000 || r.More != 500 || r.Intact() {
		t.Errorf("%d problems listed and %d more, want 1000 and 500", len(r.Problems), r.More)
	}
}

func TestALedgerThatGrowsMeanwhileIsVerifiedAsItStoodAtTheStart(t *testing.T) {
	t.Parallel()
	l, key := typical(t)
	grown := false
	l.onRows = func(int64) {
		if !grown {
			grown = true
			l.run(t, "late", 3)
			l.sign(t, key)
		}
	}
	if r := verify(t, l, audit.Expect{}); !r.Intact() || r.Size != 99 {
		t.Errorf("size %d, %+v", r.Size, r.Problems)
	}
	l, _ = typical(t)
	l.onRows = func(int64) { l.head.Removed = 14 }
	if _, err := audit.VerifyLive(t.Context(), l, audit.Expect{}, nil); err == nil {
		t.Error("events were removed meanwhile, and that was no error")
	}
}

// failing is a ledger that cannot be read at some point.
type failing struct {
	*ledger
	at string
}

var errRead = errors.New("the disk is gone")

func (f failing) Head(ctx context.Context) (audit.Head, error) {
	return fails(f, "head", func() (audit.Head, error) { return f.ledger.Head(ctx) })
}

func (f failing) Rows(ctx context.Context, after, upTo int64, limit int) ([]audit.Row, error) {
	return fails(f, "rows", func() ([]audit.Row, error) { return f.ledger.Rows(ctx, after, upTo, limit) })
}

func (f failing) Hashes(ctx context.Context, indexes []int64) ([]audit.Hash, error) {
	return fails(f, "hashes", func() ([]audit.Hash, error) { return f.ledger.Hashes(ctx, indexes) })
}

func (f failing) Checkpoints(ctx context.Context, after, upTo int64, limit int) ([]audit.Signed, error) {
	return fails(f, "checkpoints", func() ([]audit.Signed, error) { return f.ledger.Checkpoints(ctx, after, upTo, limit) })
}

func (f failing) DayCounts(ctx context.Context) ([]audit.DayCount, error) {
	return fails(f, "days", func() ([]audit.DayCount, error) { return f.ledger.DayCounts(ctx) })
}

func fails[T any](f failing, at string, read func() (T, error)) (T, error) {
	if f.at == at {
		var zero T
		return zero, errRead
	}
	return read()
}

func TestWhatCannotBeReadIsAnErrorAndNoVerdict(t *testing.T) {
	t.Parallel()
	l, key := typical(t)
	for _, at := range []string{"head", "rows", "hashes", "checkpoints", "days"} {
		if _, err := audit.VerifyLive(t.Context(), failing{l, at}, audit.Expect{}, nil); !errors.Is(err, errRead) {
			t.Errorf("%s: %v", at, err)
		}
	}
	broken := l.signed[0].Checkpoint
	broken.Size++
	for _, x := range []audit.Expect{{Keys: []string{key.Public() + "x"}}, {Checkpoints: []audit.Checkpoint{broken}}} {
		if _, err := audit.VerifyLive(t.Context(), l, x, nil); err == nil {
			t.Errorf("%+v was taken", x)
		}
	}
}

// endless makes the bodies of a long ledger when they are asked for, so that what verification holds can be measured.
type endless struct {
	*ledger
	size int64
}

func endlessBody(seq int64) ([]byte, audit.Index) {
	e := full()
	e.ID, e.Kind, e.Run, e.Time = fmt.Sprint("event-", seq), audit.SignedIn, "", "2026-11-05T12:00:00.000Z"
	body, _ := audit.Encode(seq, e)
	return body, audit.IndexOf(e)
}

func newEndless(tb testing.TB, size int64, s *audit.Signer) endless {
	tb.Helper()
	l := newLedger(testCloud, full().Tenant)
	for seq := int64(1); seq <= size; seq++ {
		body, _ := endlessBody(seq)
		l.hashes = append(l.hashes, l.tree.Append(body)...)
		if seq%1000 == 0 {
			l.head = audit.Head{Size: seq, Root: l.tree.Root()}
			l.sign(tb, s)
		}
	}
	l.head = audit.Head{Size: size, Root: l.tree.Root()}
	l.days = []audit.DayCount{{Day: "2026-11-05", Kind: audit.SignedIn, Events: size, First: 1, Last: size}}
	return endless{l, size}
}

func (e endless) Rows(_ context.Context, after, upTo int64, limit int) ([]audit.Row, error) {
	var rows []audit.Row
	for seq := after + 1; seq <= min(upTo, e.size) && len(rows) < limit; seq++ {
		body, index := endlessBody(seq)
		rows = append(rows, audit.Row{Seq: seq, Body: body, Index: index})
	}
	return rows, nil
}

func TestVerificationHoldsOneChunkOfALedger(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the race detector needs memory of its own, and nothing happens at once here")
	}
	key := newSigner(t, "evict")
	l := newEndless(t, 30_000, key)
	var least, largest uint64
	r, err := audit.VerifyLive(t.Context(), l, audit.Expect{Keys: []string{key.Public()}}, func(_, _ int64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		if least == 0 {
			least = m.HeapAlloc
		}
		largest = max(largest, m.HeapAlloc)
	})
	if err != nil || !r.Intact() || r.Events != 30_000 || r.Checkpoints != 30 {
		t.Fatalf("%v, %+v", err, r)
	}
	if grown := int64(largest) - int64(least); grown > 4<<20 { // a chunk is about 1 MB
		t.Errorf("the heap grew by %d bytes over 30,000 events", grown)
	}
}

func BenchmarkVerifyLive(b *testing.B) {
	key := newSigner(b, "evict")
	l := newEndless(b, 100_000, key)
	b.ResetTimer()
	for b.Loop() {
		if r := verify(b, l, audit.Expect{Keys: []string{key.Public()}}); !r.Intact() {
			b.Fatal(r.Problems)
		}
	}
	b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "events/s")
}
