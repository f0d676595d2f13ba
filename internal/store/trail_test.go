package store_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

// sealed signs the ledger where it stands, and stores the checkpoint.
func sealed(t testing.TB, db *store.DB) audit.Checkpoint {
	t.Helper()
	h := head(t, db)
	c, err := newSigner(t, "test").Sign(audit.Origin(cloud, tenant), h.Size, h.Root)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Ledger().SaveCheckpoint(t.Context(), c, noon.Add(time.Duration(h.Size)*time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func newSigner(t testing.TB, name string) *audit.Signer {
	t.Helper()
	secret, _, err := audit.GenerateKey(name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := audit.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestCheckpointsAreKept(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		ledger := db.Ledger()
		if _, ok, err := ledger.LastCheckpoint(t.Context(), 1000); ok || err != nil {
			t.Errorf("an empty ledger has a checkpoint (%v, %v)", ok, err)
		}
		var want []audit.Signed
		for _, n := range []int{3, 4, 5} {
			appended(t, db, n)
			c := sealed(t, db)
			want = append(want, audit.Signed{Checkpoint: c, At: noon.Add(time.Duration(c.Size) * time.Second)})
		}
		sealed(t, db) // of the same size, by another key: the first one stays
		for _, c := range []struct {
			after, upTo int64
			limit       int
			want        []audit.Signed
		}{{0, 100, 10, want}, {3, 7, 10, want[1:2]}, {2, 12, 2, want[:2]}, {12, 100, 10, nil}} {
			got, err := ledger.Checkpoints(t.Context(), c.after, c.upTo, c.limit)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("after %d up to %d (-want +got): %v\n%s", c.after, c.upTo, err, diff)
			}
		}
		for upTo, last := range map[int64]int{3: 0, 6: 0, 7: 1, 11: 1, 12: 2, 99: 2} {
			got, ok, err := ledger.LastCheckpoint(t.Context(), upTo)
			if diff := cmp.Diff(want[last], got); diff != "" || !ok || err != nil {
				t.Errorf("the last one up to %d (-want +got): %v %v\n%s", upTo, ok, err, diff)
			}
		}
		if _, ok, err := ledger.LastCheckpoint(t.Context(), 2); ok || err != nil {
			t.Errorf("there is a checkpoint of at most 2 events (%v)", err)
		}
	})
}

func TestAForgedCheckpointComesBackAsWhatItIs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		appended(t, db, 3)
		c := sealed(t, db)
		execute(t, past(t, o), `insert into ledger_checkpoint (size, at_ms, note) values (1, 1, 'nonsense')`,
			`insert into ledger_checkpoint (size, at_ms, note) select 2, 1, note from ledger_checkpoint where size = 3`)
		got, err := db.Ledger().Checkpoints(t.Context(), 0, 100, 10)
		if err != nil || len(got) != 3 {
			t.Fatalf("got %v (%v)", got, err)
		}
		if got[0].Size != 1 || got[0].Note != "nonsense" || got[1].Size != 2 || got[1].Note != c.Note || got[2].Size != 3 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestScanReadsWhatASearchSelectsInOrder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		appended(t, db, 300)
		for name, q := range map[string]audit.Query{
			"everything": {}, "kind": {Kind: audit.SignedIn}, "run": {Run: "run-3"}, "target": {Target: oidOf(7)},
			"kind and target": {Kind: audit.TargetAttempted, Target: "u13@"}, "time": {From: noon.Add(40 * time.Hour), To: noon.Add(90 * time.Hour)},
			"one event": {After: 41, Before: 43}, "nobody": {Operator: "nobody"},
		} {
			var want []int64
			for before := int64(0); ; {
				q := q
				if q.Limit = 200; before > 0 {
					q.Before = before
				}
				page, more := seqs(t, db, q)
				if want = append(want, page...); !more {
					break
				}
				before = page[len(page)-1]
			}
			slices.Reverse(want)
			var got []int64
			for after := int64(0); ; after = got[len(got)-1] {
				records, err := db.Ledger().Scan(t.Context(), q, after, 290, 17)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if len(records) == 0 {
					break
				}
				for _, r := range records {
					got = append(got, r.Seq)
				}
			}
			want = slices.DeleteFunc(want, func(seq int64) bool { return seq > 290 })
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
	})
}

// An open read transaction lets SQLite's log grow, so a scan does not stay in one over the whole ledger.
func TestAScanGoesOnInOneTransactionAfterTheOther(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		appended(t, db, 300)
		hurried, q := db.Ledger().Paced(0, 10, 0, 0), audit.Query{Outcome: "none", Text: "nobody"}
		if found, searchedTo, err := hurried.ScanSome(t.Context(), audit.Query{}, 0, 300, 100); err != nil || len(found) != 10 || searchedTo != 10 {
			t.Errorf("the first transaction found %d events up to %d (%v)", len(found), searchedTo, err)
		}
		if found, err := hurried.Scan(t.Context(), audit.Query{}, 0, 290, 100); err != nil || len(found) != 100 || found[99].Seq != 100 {
			t.Errorf("found %d events (%v)", len(found), err)
		}
		if found, err := hurried.Scan(t.Context(), q, 0, 300, 100); err != nil || len(found) != 0 {
			t.Errorf("found %d events of nobody (%v)", len(found), err)
		}
	})
}

func TestHashesComeInTheOrderAskedFor(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		appended(t, db, 700)
		var indexes []int64
		for i := range int64(700) {
			indexes = append(indexes, audit.LeafIndex(700-i))
		}
		indexes = append(indexes, indexes[5], indexes[5])
		got, err := db.Ledger().Hashes(t.Context(), indexes)
		if err != nil || len(got) != len(indexes) {
			t.Fatalf("%d hashes for %d indexes: %v", len(got), len(indexes), err)
		}
		for i, seq := range []int64{700, 699, 698} {
			if want := audit.LeafHash(recordAt(t, db, seq).Body); got[i] != want {
				t.Errorf("the leaf of event %d is %s, want %s", seq, got[i], want)
			}
		}
		if got[700] != got[5] || got[701] != got[5] {
			t.Error("an index that was asked for again has another hash")
		}
		if _, err := db.Ledger().Hashes(t.Context(), []int64{0, 1 << 40}); !errors.Is(err, audit.ErrNoHash) {
			t.Errorf("a hash that is not there: %v", err)
		}
	})
}

func TestKeyEventsAndTheEndsOfRuns(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		of := func(kind audit.Kind, run string) audit.Event {
			e := event(kind, 1)
			e.Run = run
			return e
		}
		if err := db.Ledger().Append(t.Context(), event(audit.LedgerKey, 1), of(audit.RunStarted, "a"), of(audit.RunStarted, "b"),
			of(audit.TargetAttempted, "a"), of(audit.RunFinished, "a"), event(audit.LedgerKey, 2), of(audit.TargetAttempted, "b"),
			of(audit.OutsideAction, "a"), of(audit.RunCancelled, "b")); err != nil {
			t.Fatal(err)
		}
		keys, err := db.Ledger().KeyEvents(t.Context())
		if err != nil || len(keys) != 2 || keys[0].Seq != 1 || keys[1].Seq != 6 {
			t.Errorf("the key events are %v (%v)", keys, err)
		}
		lines, err := db.Ledger().Closings(t.Context(), 0, 9, 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range lines {
			got = append(got, fmt.Sprint(l.Run, " ", l.Events, " from ", l.First, " to ", l.Newest.Seq, " ", l.Newest.Event.Kind))
		}
		if want := []string{"a 3 from 2 to 5 run.finished", "b 3 from 3 to 9 run.cancelled"}; !slices.Equal(got, want) {
			t.Errorf("the ends of runs are %q, want %q", got, want)
		}
		for _, c := range []struct {
			after, upTo int64
			limit, want int
		}{{0, 9, 1, 1}, {4, 8, 9, 1}, {5, 8, 9, 0}, {5, 9, 9, 1}} {
			if lines, err := db.Ledger().Closings(t.Context(), c.after, c.upTo, c.limit); err != nil || len(lines) != c.want {
				t.Errorf("%+v: %d ends of runs (%v)", c, len(lines), err)
			}
		}
		for _, c := range []struct {
			after, upTo int64
			want        bool
		}{{0, 1, false}, {0, 2, true}, {3, 4, false}, {3, 5, true}, {5, 8, false}, {8, 9, true}, {9, 100, false}} {
			if got, err := db.Ledger().Milestone(t.Context(), c.after, c.upTo); err != nil || got != c.want {
				t.Errorf("a run began or ended after %d up to %d: %v (%v)", c.after, c.upTo, got, err)
			}
		}
	})
}

// toldAndSealed is a ledger of eleven events with a checkpoint over the first nine. Run a has ended in them; of bernd
// there is nothing after them, and run b began after them.
func toldAndSealed(t testing.TB, db *store.DB) (c audit.Checkpoint) {
	t.Helper()
	of := func(kind audit.Kind, n int, run, oid, reason string) audit.Event {
		e := event(kind, n*20_000) // so that they are of several days
		e.Run, e.Reason = run, reason
		e.Operator = &audit.Person{OID: oid, UPN: oid[:4] + "@contoso.example"}
		return e
	}
	if err := db.Ledger().Append(t.Context(), of(audit.LedgerOpened, 1, "", anna, ""), of(audit.LedgerKey, 2, "", anna, ""),
		of(audit.SignedIn, 3, "", bernd, "gone"), of(audit.RunStarted, 4, "a", bernd, "run gone"),
		of(audit.TargetAttempted, 5, "a", bernd, "run gone"), of(audit.RunFinished, 6, "a", bernd, "run gone"),
		of(audit.SignedIn, 7, "", anna, "also gone"), of(audit.LedgerExported, 8, "", anna, "kept"),
		of(audit.SignedOut, 9, "", anna, "")); err != nil {
		t.Fatal(err)
	}
	c = sealed(t, db)
	if err := db.Ledger().Append(t.Context(), of(audit.SignedIn, 9, "", anna, "stays"), of(audit.RunStarted, 10, "b", anna, "stays")); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRemovalKeepsTheTreeProvable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		c := toldAndSealed(t, db)
		before := head(t, db)
		record := event(audit.SettingsChanged, 700_000)
		record.Reason = "after two years"
		if n, err := db.Ledger().Removable(t.Context(), c.Size); err != nil || n != 6 {
			t.Fatalf("%d events can be removed, want 6 (%v)", n, err)
		}
		r := audit.Removal{Through: c.Size, Root: c.Root, Events: 6, Signature: "signed"}
		if err := db.Ledger().Remove(t.Context(), r, record); err != nil {
			t.Fatal(err)
		}
		h := head(t, db)
		if h.Removed != 9 || h.Size != before.Size+1 {
			t.Errorf("the head was %+v and is %+v", before, h)
		}
		wholeTree(t, db)
		got, _ := seqs(t, db, audit.Query{})
		if want := []int64{12, 11, 10, 8, 2, 1}; !slices.Equal(got, want) {
			t.Errorf("left are %v, want %v", got, want)
		}
		told := recordAt(t, db, 12).Event
		want := map[string]string{"through": "9", "root": base64.StdEncoding.EncodeToString(c.Root[:]), "events": "6", "signature": "signed"}
		if diff := cmp.Diff(want, told.Detail); diff != "" || told.Kind != audit.LedgerRemoved || told.Reason != record.Reason {
			t.Errorf("the record is %+v (-want +got):\n%s", told, diff)
		}
		root, err := audit.RootAt(9, func(i []int64) ([]audit.Hash, error) { return db.Ledger().Hashes(t.Context(), i) })
		if err != nil || root != c.Root {
			t.Errorf("the root of what was removed is %s, want %s (%v)", root, c.Root, err)
		}
		words := strings.Join(rest(t, past(t, o)), "\n")
		if strings.Contains(words, "gone") || !strings.Contains(words, "stays") || !strings.Contains(words, "kept") {
			t.Errorf("the dictionary holds\n%s", words)
		}
		var people int
		if err := past(t, o).QueryRowContext(t.Context(), `select count(*) from person where oid = '`+bernd+`'`).Scan(&people); err != nil || people > 0 {
			t.Errorf("somebody of whom nothing is left has %d names (%v)", people, err)
		}
		appended(t, db, 30)
		wholeTree(t, db)
	})
}

// A removal goes on in many transactions. Between any two of them others write, the process may die, and all that is
// left is whole and can be found.
func TestARemovalThatWasCutOffIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		var db *store.DB
		killed, until := errors.New("killed"), 0
		db = open(func(o *store.Options) {
			o.Hook = func(point string) error {
				switch {
				case point == "removing:before-commit" && until == 0:
					return killed
				case point == "removing:before-commit":
					until--
				case point == "removing:after-commit":
					return db.Ledger().Append(t.Context(), event(audit.SignedIn, 90_000))
				}
				return nil
			}
		})
		appended(t, db, 50)
		c := sealed(t, db)
		r := audit.Removal{Through: c.Size, Root: c.Root, Events: c.Size, Signature: "signed"}
		var seen []int64
		for cut, done := 0, false; !done; cut++ {
			until = cut
			err := db.Ledger().Remove(t.Context(), r, event(audit.LedgerRemoved, 1))
			if done = err == nil; !done && !errors.Is(err, killed) {
				t.Fatal(err)
			}
			wholeTree(t, db)
			foundAll(t, db)
			seen = append(seen, head(t, db).Removed)
		}
		if seen[0] != 0 || !slices.Contains(seen, 20) || seen[len(seen)-1] != c.Size {
			t.Errorf("the removal went up to %v", seen)
		}
		records, err := db.Ledger().Search(t.Context(), audit.Query{Kind: audit.LedgerRemoved})
		if err != nil || len(records.Records) != 1 {
			t.Errorf("it is recorded %d times (%v)", len(records.Records), err)
		}
		if n, err := db.Ledger().Removable(t.Context(), c.Size); err != nil || n != 0 {
			t.Errorf("%d events are left (%v)", n, err)
		}
		until = 100
		if err := db.Ledger().Remove(t.Context(), r, event(audit.LedgerRemoved, 1)); fault.KindOf(err) != fault.Conflict {
			t.Errorf("removing it again: %v", err)
		}
	})
}

// foundAll fails the test when the dictionaries lack what an event says.
func foundAll(t testing.TB, db *store.DB) {
	t.Helper()
	var events []audit.Event
	for _, l := range leaves(t, db, head(t, db)) {
		if l.Body != nil {
			events = append(events, l.event)
		}
	}
	for chunk := range slices.Chunk(events, 1000) {
		if seqs, err := db.Ledger().Unfound(t.Context(), chunk); err != nil || len(seqs) > 0 {
			t.Errorf("a search would miss %v (%v)", seqs, err)
		}
	}
}

func TestWhatTheDictionariesLackIsNamed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		say := func(kind audit.Kind, run, reason string, target *audit.Person) audit.Event {
			e := event(kind, 1)
			e.Run, e.Reason, e.Target = run, reason, target
			return e
		}
		of := func(oid, upn, name string) *audit.Person { return &audit.Person{OID: oid, UPN: upn, Name: name} }
		nobody := say(audit.SignInDenied, "", "", nil)
		nobody.Operator = nil
		events := []audit.Event{
			say(audit.SignedIn, "", "", nil), say(audit.TargetAttempted, "a", "PHISHED\nby mail", of(bernd, "b@x", "Bernd\x00")),
			say(audit.TargetAccepted, "a", "other words", of(bernd, "b@x", "Bernd\x00")),
			say(audit.TargetAccepted, "a", "", of(strings.ToUpper(bernd), "B@X", "Married")),
			say(audit.OutsideAction, "", "alone", of(carla, "", "")), nobody, say(audit.OutsideAction, "", "alone", of("", "c@x", "C")),
			say(audit.TargetAttempted, "b", "phished by mail", nil),
		}
		if err := db.Ledger().Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		for i := range events {
			events[i] = recordAt(t, db, int64(i+1)).Event
		}
		raw := past(t, o)
		for _, c := range []struct {
			does string
			want []int64
		}{
			{`delete from person where 1 = 0`, nil},
			{`delete from person where name = 'Married'`, []int64{4}},
			{`update person set folded = 'x' where oid = '` + bernd + `'`, []int64{2, 3, 4}},
			{`delete from ledger_note where run_id = '' and seq = 7`, []int64{2, 3, 4, 7}},
			{`delete from ledger_note where run_id = 'b'`, []int64{2, 3, 4, 7, 8}},
			{`update ledger_note set folded = 'x' where run_id = ''`, []int64{2, 3, 4, 5, 7, 8}},
			{`delete from person`, []int64{1, 2, 3, 4, 5, 7, 8}},
		} {
			execute(t, raw, c.does)
			if got, err := db.Ledger().Unfound(t.Context(), events); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("after %q: got %v, want %v (%v)", c.does, got, c.want, err)
			}
		}
		if got, err := db.Ledger().Unfound(t.Context(), nil); err != nil || got != nil {
			t.Errorf("of no events: %v, %v", got, err)
		}
	})
}

func TestEverythingCanBeRemoved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		events := varied(40)
		for i := range events {
			events[i].Run = ""
		}
		if err := db.Ledger().Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		c := sealed(t, db)
		if err := db.Ledger().Remove(t.Context(), audit.Removal{Through: c.Size, Root: c.Root, Events: 40}, event(audit.LedgerRemoved, 1)); err != nil {
			t.Fatal(err)
		}
		wholeTree(t, db)
		appended(t, db, 3)
		wholeTree(t, db)
	})
}

func TestWhatIsNotSealedIsNotRemoved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		broken := false
		db, o := optionsOf(t, func(c ...func(*store.Options)) *store.DB {
			return open(append(c, func(o *store.Options) {
				o.Hook = func(point string) error {
					if broken && point == "remove:before-commit" {
						return errors.New("disk full")
					}
					return nil
				}
			})...)
		})
		c := toldAndSealed(t, db)
		inside := sealed(t, db) // run b goes on beyond it
		before := head(t, db)
		broken = true
		record := event(audit.LedgerRemoved, 1)
		removal := audit.Removal{Through: c.Size, Root: c.Root, Events: 6}
		if err := db.Ledger().Remove(t.Context(), removal, record); err == nil {
			t.Error("a failing commit was reported as a success")
		}
		broken = false
		for _, other := range []audit.Removal{
			{Through: c.Size, Root: c.Root, Events: 5}, {Through: c.Size, Root: inside.Root, Events: 6}, {Through: c.Size, Root: c.Root},
		} {
			if err := db.Ledger().Remove(t.Context(), other, record); fault.KindOf(err) != fault.Conflict {
				t.Errorf("removing what %+v was not signed for: %v", other, err)
			}
		}
		for through, want := range map[int64]fault.Kind{
			0: fault.Invalid, 5: fault.Invalid, 10: fault.Invalid, 99: fault.Invalid, inside.Size: fault.Conflict,
		} {
			if err := db.Ledger().Remove(t.Context(), audit.Removal{Through: through, Root: c.Root, Events: 6}, record); fault.KindOf(err) != want {
				t.Errorf("removing %d events: %v", through, err)
			}
		}
		execute(t, past(t, o), `insert into ledger_checkpoint (size, at_ms, note) select 8, 1, note from ledger_checkpoint where size = 9`)
		if err := db.Ledger().Remove(t.Context(), audit.Removal{Through: 8, Root: c.Root, Events: 5}, record); fault.KindOf(err) != fault.Conflict {
			t.Errorf("removing what a forged checkpoint names: %v", err)
		}
		if after := head(t, db); after != before {
			t.Errorf("the head was %+v and is %+v", before, after)
		}
		if err := db.Ledger().Remove(t.Context(), removal, record); err != nil {
			t.Fatal(err)
		}
		if err := db.Ledger().Remove(t.Context(), removal, record); fault.KindOf(err) != fault.Conflict {
			t.Errorf("removing it again: %v", err)
		}
	})
}
