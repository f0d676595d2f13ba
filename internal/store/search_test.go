package store_test

import (
	"cmp"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"evict/internal/audit"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

// hostile is text that means something to SQL, to patterns, to JSON or to a screen.
var hostile = []string{
	"100%", "a_b", `back\slash`, `it's`, `"quoted"`, "nul\x00byte", "\u202egnp.exe", "ÖZIL", "; drop", "$1", "\xff\xfe", "?",
}

// naive is a ledger in memory that is searched by looking at every event.
type naive struct {
	events []audit.Event             // Seq set, ascending
	names  map[string][]string       // what a person was ever called, folded
	notes  map[string][]string       // tickets and reasons of a run, or of an event by its id, folded
	ids    map[string]map[int64]bool // the events that have an id, once somebody asked
}

func folded(s string) string { return strings.ToLower(audit.IndexKey(s)) }

func oidIn(p *audit.Person) string {
	if p == nil {
		return ""
	}
	return strings.ToLower(p.OID)
}

func (n *naive) add(events ...audit.Event) {
	for _, e := range events {
		e.Seq = int64(len(n.events) + 1)
		n.events = append(n.events, e)
		for _, p := range []*audit.Person{e.Operator, e.Target} {
			if p != nil {
				n.names[oidIn(p)] = append(n.names[oidIn(p)], folded(p.UPN)+"\n"+folded(p.Name))
			}
		}
		n.notes[noteKey(e)] = append(n.notes[noteKey(e)], folded(e.Ticket)+"\n"+folded(e.Reason))
	}
}

func noteKey(e audit.Event) string { return cmp.Or(e.Run, e.ID) }

// holds reports whether one of the texts has all the parts.
func holds(texts []string, parts ...string) bool {
	return slices.ContainsFunc(texts, func(s string) bool {
		return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(s, part) })
	})
}

// who reports whether a person is meant by an id or a part of a name.
func (n *naive) who(p *audit.Person, asked string) bool {
	if asked == "" {
		return true
	}
	return p != nil && (oidIn(p) == strings.ToLower(asked) || holds(n.names[oidIn(p)], folded(asked)))
}

func (n *naive) words(e audit.Event, words ...string) bool {
	return holds(n.notes[noteKey(e)], words...) || e.Operator != nil && holds(n.names[oidIn(e.Operator)], words...) ||
		e.Target != nil && holds(n.names[oidIn(e.Target)], words...)
}

// id lists the events that have an id, in the place where anything has it that comes first.
func (n *naive) id(id string) map[int64]bool {
	if seqs, ok := n.ids[id]; ok {
		return seqs
	}
	n.ids[id] = map[int64]bool{}
	whom := n.requested(id)
	for _, has := range []func(e audit.Event) bool{
		func(e audit.Event) bool {
			return oidIn(e.Operator) == id || oidIn(e.Target) == id || e.Run == id || e.Plan == id
		},
		func(e audit.Event) bool { return n.words(e, id) },
		func(e audit.Event) bool { return e.ID == id },
		func(e audit.Event) bool { return mentions(e, id) && (len(whom) == 0 || whom[oidIn(e.Target)]) },
	} {
		for _, e := range n.events {
			if has(e) {
				n.ids[id][e.Seq] = true
			}
		}
		if len(n.ids[id]) > 0 {
			break
		}
	}
	return n.ids[id]
}

// mentions reports whether an event has an id in its bytes, where no index looks.
func mentions(e audit.Event, id string) bool {
	return e.Evidence != nil && e.Evidence.ClientRequestID == id || strings.Contains(e.Detail["how"], id)
}

// requested lists whom a request of ours is about, by the events of the moment that its id tells.
func (n *naive) requested(id string) map[string]bool {
	whom := map[string]bool{}
	ms, err := strconv.ParseInt(id[:8]+id[9:13], 16, 64)
	if err != nil || id[14] != '7' {
		return whom
	}
	for _, e := range n.events {
		at, _ := audit.ParseTime(e.Time)
		if e.Target != nil && mentions(e, id) && at.Sub(time.UnixMilli(ms)).Abs() <= time.Second {
			whom[oidIn(e.Target)] = true
		}
	}
	return whom
}

func (n *naive) selects(q audit.Query, e audit.Event) bool {
	at, _ := audit.ParseTime(e.Time)
	var free []string
	for _, word := range strings.Fields(folded(q.Text)) {
		if looksLikeID := len(word) == 36; !looksLikeID {
			free = append(free, word)
		} else if !n.id(word)[e.Seq] {
			return false
		}
	}
	if len(free) > 0 && !n.words(e, free...) {
		return false
	}
	is := func(asked, has string) bool { return asked == "" || audit.IndexKey(asked) == audit.IndexKey(has) }
	return n.who(e.Operator, q.Operator) && n.who(e.Target, q.Target) && is(string(q.Kind), string(e.Kind)) &&
		is(q.Outcome, e.Outcome) && is(q.Run, e.Run) && is(q.Ticket, e.Ticket) &&
		(q.Person == "" || oidIn(e.Operator) == q.Person || oidIn(e.Target) == q.Person) &&
		(!q.Folded || e.Run == "" || e.Kind == audit.RunStarted) &&
		(q.From.IsZero() || !at.Before(q.From)) && (q.To.IsZero() || at.Before(q.To)) &&
		(q.Before == 0 || e.Seq < q.Before) && (q.After == 0 || e.Seq > q.After) &&
		(!q.Firsts || e.Target != nil && len(n.part(e.Seq, e.Seq)) == 1)
}

// part lists what the run of an event says about its target up to another one, ascending.
func (n *naive) part(of, upTo int64) (seqs []int64) {
	about := n.events[of-1]
	for _, e := range n.events[:upTo] {
		if e.Run == about.Run && e.Target != nil && oidIn(e.Target) == oidIn(about.Target) {
			seqs = append(seqs, e.Seq)
		}
	}
	return seqs
}

// search lists what a query selects, newest first.
func (n *naive) search(q audit.Query) (out []int64) {
	for _, e := range slices.Backward(n.events) {
		if n.selects(q, e) {
			out = append(out, e.Seq)
		}
	}
	return out
}

// dice makes random events and questions about them.
type dice struct {
	*rand.Rand
	people []audit.Person
	runs   []string
	plans  []string

	requests []string // one of ours, and whom it is about
	whom     *audit.Person
}

func newDice(seed uint64) *dice {
	d := &dice{Rand: rand.New(rand.NewPCG(seed, 7))}
	for i := range 30 {
		d.people = append(d.people, audit.Person{OID: oidOf(i), UPN: fmt.Sprintf("u%d@contoso.example", i),
			Name: fmt.Sprintf("Person %d %s", i, hostile[i%len(hostile)])})
	}
	for i := range 12 {
		d.runs = append(d.runs, fmt.Sprintf("0190ffff-0000-7000-8000-%012d", i))
		d.plans = append(d.plans, fmt.Sprintf("0190eeee-0000-7000-8000-%012d", i))
	}
	return d
}

func pick[T any](d *dice, list []T) T { return list[d.IntN(len(list))] }

// maybe is one of a list, or with these odds the zero value.
func maybe[T any](d *dice, nothing float64, list []T) (v T) {
	if d.Float64() < nothing {
		return v
	}
	return pick(d, list)
}

func (d *dice) event(i int) audit.Event {
	at := noon.Add(time.Duration(i)*5*time.Minute + time.Duration(d.NormFloat64()*float64(time.Hour)))
	run := d.IntN(len(d.runs) * 2)
	// Some ids tell the event's own time, others do not.
	e := audit.Event{
		ID: fmt.Sprintf("%08x-%04x-7000-8000-%012d", at.UnixMilli()>>16, at.UnixMilli()&0xffff, i), Time: audit.FormatTime(at),
		Kind: pick(d, audit.Kinds()), Cloud: cloud, Tenant: tenant,
		Outcome: maybe(d, .4, []string{"confirmed", "refused", "failed", "100%", "nul\x00byte"}),
		Ticket:  maybe(d, .7, append([]string{"INC-7", "INC-70", "inc-7"}, hostile...)),
		Reason:  maybe(d, .7, append([]string{"phished by mail", "phished by phone", "laptop stolen", d.plans[3]}, hostile...)),
	}
	if i%5 == 0 {
		e.ID = id(i)
	}
	if run < len(d.runs) {
		e.Run, e.Plan = d.runs[run], d.plans[run/2]
	}
	if d.IntN(10) > 0 {
		p := d.people[d.IntN(4)]
		e.Operator = &p
	}
	if d.IntN(3) > 0 {
		p := pick(d, d.people)
		if d.IntN(20) == 0 {
			p.Name, p.UPN = "Married "+pick(d, hostile), strings.ToUpper(p.UPN)
		}
		e.Target = &p
		d.ask(&e, at, i)
	} else if len(d.requests) > 0 && d.IntN(3) == 0 {
		e.Detail = map[string]string{"how": "see " + pick(d, d.requests)}
	}
	return e
}

// ask gives an event a request: one of ours that begins with it, the last one going on, or one that tells no time.
func (d *dice) ask(e *audit.Event, at time.Time, i int) {
	e.Evidence = &audit.Evidence{ClientRequestID: fmt.Sprintf("0190dddd-0000-4000-8000-%012d", i)}
	switch d.IntN(3) {
	case 0:
		e.Evidence.ClientRequestID = fmt.Sprintf("%08x-%04x-7abc-8000-%012d", at.UnixMilli()>>16, at.UnixMilli()&0xffff, i)
		d.requests, d.whom = append(d.requests, e.Evidence.ClientRequestID), e.Target
	case 1:
		if d.whom != nil {
			e.Evidence.ClientRequestID, e.Target = d.requests[len(d.requests)-1], d.whom
		}
	}
}

func (d *dice) query(n *naive) audit.Query {
	names := append([]string{"u1", "person", "married", "contoso", "nobody", oidOf(2), strings.ToUpper(oidOf(9)), oidOf(77)}, hostile...)
	some := pick(d, n.events)
	q := audit.Query{
		Operator: maybe(d, .8, names), Target: maybe(d, .8, names), Kind: maybe(d, .7, audit.Kinds()),
		Person: maybe(d, .85, []string{oidOf(0), oidOf(1), oidOf(12), oidOf(77)}), Folded: d.IntN(6) == 0, Firsts: d.IntN(6) == 0,
		Outcome: maybe(d, .8, []string{"confirmed", "refused", "100%", "nul\x00byte", "none"}),
		Run:     maybe(d, .8, append([]string{"none"}, d.runs...)), Ticket: maybe(d, .85, append([]string{"INC-7"}, hostile...)),
	}
	words := append([]string{"phished", "mail", "inc-7", "person", "u1", "contoso", "nobody", oidOf(3), d.runs[1], d.plans[1],
		d.plans[3], some.ID, pick(d, d.requests), "0190dddd-0000-4000-8000-000000000042"}, hostile...)
	for range d.IntN(3) * d.IntN(2) {
		q.Text += " " + pick(d, words)
	}
	at, _ := audit.ParseTime(some.Time)
	if d.IntN(4) == 0 {
		q.From = at
	}
	if d.IntN(4) == 0 {
		q.To = at.Add(time.Duration(d.IntN(100)) * time.Hour)
	}
	if d.IntN(3) == 0 {
		q.From, q.To = q.From.Truncate(24*time.Hour), q.To.Truncate(24*time.Hour)
	}
	return q
}

// randomLedger is a ledger of random events, in the database and in memory.
func randomLedger(t *testing.T, db *store.DB, d *dice, events int) *naive {
	t.Helper()
	n := &naive{names: map[string][]string{}, notes: map[string][]string{}, ids: map[string]map[int64]bool{}}
	for i := range events {
		n.add(d.event(i))
	}
	for chunk := range slices.Chunk(n.events, 1000) {
		if err := db.Ledger().Append(t.Context(), chunk...); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// paces are a walk in one go, and walks that give up after each stride, as those in a great ledger do.
func paces(l *store.Ledger) map[string]*store.Ledger {
	return map[string]*store.Ledger{
		"unhurried": l.Paced(time.Hour, 1024, 0, 0), "short strides": l.Paced(time.Hour, 3, 2, 5),
		"in a hurry": l.Paced(0, 60, 0, 0), "in a great hurry": l.Paced(0, 9, 2, 5),
	}
}

// down walks all pages of a query from the newest on.
func down(t *testing.T, l *store.Ledger, q audit.Query) (all []int64) {
	t.Helper()
	for {
		found, err := l.Search(t.Context(), q)
		if err != nil {
			t.Fatalf("searching for %+v: %v", q, err)
		}
		for _, r := range found.Records {
			all = append(all, r.Seq)
		}
		next := found.SearchedTo
		if found.More {
			next = found.Records[len(found.Records)-1].Seq
		}
		if next == 0 {
			return all
		}
		if q.Before != 0 && next >= q.Before {
			t.Fatalf("the search for %+v does not get on from %d", q, next)
		}
		q.Before = next
	}
}

// upwards walks all pages of a query from q.After on.
func upwards(t *testing.T, l *store.Ledger, q audit.Query) (all []int64) {
	t.Helper()
	for {
		found, err := l.Search(t.Context(), q)
		if err != nil {
			t.Fatalf("searching for %+v: %v", q, err)
		}
		var page []int64
		for _, r := range found.Records {
			page = append(page, r.Seq)
		}
		all = append(page, all...)
		next := found.SearchedTo
		if found.More {
			next = page[0]
		}
		if next == 0 {
			return all
		}
		if next <= q.After {
			t.Fatalf("the search for %+v does not get on from %d", q, next)
		}
		q.After = next
	}
}

// seedOf is another one each time; EVICT_TEST_SEED repeats what a failed test logged.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if again := os.Getenv("EVICT_TEST_SEED"); again != "" {
		var err error
		if seed, err = strconv.ParseUint(again, 10, 64); err != nil {
			t.Fatalf("EVICT_TEST_SEED: %v", err)
		}
	}
	t.Logf("seed: EVICT_TEST_SEED=%d", seed)
	return seed
}

func TestEverySearchFindsWhatLookingAtEveryEventFinds(t *testing.T) {
	t.Parallel()
	long(t)
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		d, db := newDice(seedOf(t)), open()
		n, ledgers := randomLedger(t, db, d, 700), paces(db.Ledger())
		for range 25 {
			q := d.query(n)
			want := n.search(q)
			for name, l := range ledgers {
				q := q
				q.Limit = 1 + d.IntN(120)
				if diff := gocmp.Diff(want, down(t, l, q)); diff != "" {
					t.Errorf("%s: %+v (-want +got):\n%s", name, q, diff)
				}
				q.After = 1 + int64(d.IntN(len(n.events)))
				if diff := gocmp.Diff(n.search(q), upwards(t, l, q)); diff != "" {
					t.Errorf("%s, upwards: %+v (-want +got):\n%s", name, q, diff)
				}
				q.Before = q.After + int64(d.IntN(500))
				if diff := gocmp.Diff(n.search(q), down(t, l, q)); diff != "" {
					t.Errorf("%s, between: %+v (-want +got):\n%s", name, q, diff)
				}
			}
		}
	})
}

func TestTheHistogramCountsWhatTheSearchFinds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		d, db := newDice(seedOf(t)), open()
		n := randomLedger(t, db, d, 600)
		queries := []audit.Query{{}, {Kind: audit.SignedIn}, {From: noon.Truncate(24 * time.Hour), To: noon.Add(30 * time.Hour)}}
		for range 20 {
			queries = append(queries, d.query(n))
		}
		for _, q := range queries {
			for name, l := range paces(db.Ledger()) {
				h, err := l.Histogram(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				days := map[string]int64{}
				for _, seq := range n.search(q) {
					if seq >= h.SearchedTo {
						days[n.events[seq-1].Time[:10]]++
					}
				}
				var want []audit.DayBar
				for _, day := range slices.Backward(slices.Sorted(maps.Keys(days))) {
					want = append(want, audit.DayBar{Day: day, Events: days[day]})
				}
				if diff := gocmp.Diff(want, h.Days); diff != "" {
					t.Errorf("%s: %+v, down to %d (-want +got):\n%s", name, q, h.SearchedTo, diff)
				}
				if name == "unhurried" && h.SearchedTo != 0 {
					t.Errorf("it gave up at %d, with all the time in the world", h.SearchedTo)
				}
			}
		}
	})
}

// planOf is how SQLite goes about a statement.
func planOf(t *testing.T, db *sql.DB, s store.Statement) (steps []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `explain query plan `+s.Text, s.Args...)
	if err != nil {
		t.Fatalf("%s: %v", s.Text, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// With a sort, each page would read every event that has the value.
func TestSQLiteFollowsALeadAlongItsIndexWithoutASort(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	appended(t, db, 300)
	_, reader := db.Pools()
	for _, s := range db.Ledger().Along() {
		plan := planOf(t, reader, s)
		steps := strings.Join(plan, "\n")
		if strings.Contains(steps, "TEMP B-TREE") || !strings.Contains(steps, s.Index+" (") && !strings.HasSuffix(steps, s.Index) {
			t.Errorf("%s goes this way, not along %s alone:\n%s", s.Text, s.Index, steps)
		}
	}
}

func TestASearchInAHurrySaysHowFarItGot(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		events := make([]audit.Event, 400)
		for i := range events {
			events[i] = event(audit.SignedIn, i)
		}
		events[10].Ticket, events[20].Reason = "INC-9", "INC-10"
		if err := db.Ledger().Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		hurried := db.Ledger().Paced(0, 10, 1, 1)
		for name, c := range map[string]struct {
			q          audit.Query
			searchedTo int64
			want       []int64
		}{
			"a rare ticket is found at once":             {audit.Query{Ticket: "INC-9"}, 0, []int64{11}},
			"a rare word is found at once":               {audit.Query{Text: "inc-9"}, 0, []int64{11}},
			"a common word takes the way event by event": {audit.Query{Text: "inc"}, 391, nil},
			"and upwards":           {audit.Query{Text: "inc", After: 1}, 11, []int64{11}},
			"it goes on from there": {audit.Query{Text: "inc", Before: 25}, 15, []int64{21}},
			"to the end":            {audit.Query{Text: "inc", Before: 9}, 0, nil},
		} {
			found, err := hurried.Search(t.Context(), c.q)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, r := range found.Records {
				got = append(got, r.Seq)
			}
			if found.SearchedTo != c.searchedTo || found.More || !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, searched to %d (more %v), want %v and %d", name, got, found.SearchedTo, found.More, c.want, c.searchedTo)
			}
		}
	})
}

// All that a run says about each of its people, whoever it is and however their events stand between those of others.
func TestEachPersonOfARunIsReadOnceWithAllThatTheRunSaysOfThem(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		d, db := newDice(seedOf(t)), open()
		n := randomLedger(t, db, d, 600)
		for _, run := range d.runs {
			q := audit.Query{Run: run, Firsts: true, Limit: 3}
			for name, l := range paces(db.Ledger()) {
				firsts := down(t, l, q)
				if diff := gocmp.Diff(n.search(q), firsts); diff != "" {
					t.Errorf("%s: first events of run %s (-want +got):\n%s", name, run, diff)
				}
			}
			firsts := n.search(q)
			upTo := firsts[0] + int64(d.IntN(300))
			parts, err := db.Ledger().Parts(t.Context(), append(firsts, 100_000), upTo, 2)
			if err != nil || len(parts) != len(firsts) {
				t.Fatalf("%d parts of %d people (%v)", len(parts), len(firsts), err)
			}
			for _, first := range firsts {
				all, part := n.part(first, min(upTo, 600)), parts[first]
				var got []int64
				for _, r := range part.Records {
					got = append(got, r.Seq)
				}
				want := all[max(0, len(all)-2):]
				if part.OID != oidIn(n.events[first-1].Target) || part.Cut != (len(all) > 2) || !slices.Equal(got, want) {
					t.Errorf("from %d up to %d: %s, events %v (cut %v), want %v of %v", first, upTo, part.OID, got, part.Cut, want, all)
				}
			}
		}
		if parts, err := db.Ledger().Parts(t.Context(), nil, 600, 2); err != nil || len(parts) != 0 {
			t.Errorf("of nobody: %v (%v)", parts, err)
		}
	})
}

func TestPagesOfASearchAreEachOthersInverse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		d, db := newDice(1), open()
		randomLedger(t, db, d, 600)
		q := audit.Query{Operator: "person", Limit: 20}
		first, more := seqs(t, db, q)
		for more {
			var older, newer []int64
			q.Before, q.After = first[len(first)-1], 0
			if older, more = seqs(t, db, q); len(older) == 0 {
				t.Fatalf("there is more after %v, but nothing", first)
			}
			q.Before, q.After = 0, older[0]
			if newer, _ = seqs(t, db, q); !slices.Equal(newer, first) {
				t.Errorf("newer than %v is %v, want %v", older, newer, first)
			}
			first = older
		}
	})
}

func TestWordsAreFoundTogetherInOnePlace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		e := event(audit.OutsideAction, 1)
		e.Ticket, e.Reason = "INC-7", "phished by mail"
		e.Operator, e.Target = &audit.Person{OID: oidOf(1), UPN: "priya@contoso.example", Name: "Priya Raman"},
			&audit.Person{OID: oidOf(2), UPN: "lena.hartwig@contoso.example", Name: "Lena Hartwig"}
		if err := db.Ledger().Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]int{
			"hartwig lena": 1, "lena contoso": 1, "Priya Raman": 1, "mail INC-7": 1, "lena raman": 0, "lena phished": 0, "phished " + oidOf(2): 1,
		} {
			if got, _ := seqs(t, db, audit.Query{Text: text}); len(got) != want {
				t.Errorf("%q: %d events, want %d", text, len(got), want)
			}
		}
	})
}

func TestManyWordsAreLookedForAsTheyStand(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		e := event(audit.OutsideAction, 1)
		e.Reason = "The helpdesk was called by somebody who knew the last four digits and the manager's name"
		if err := db.Ledger().Append(t.Context(), e, event(audit.SignedIn, 2)); err != nil {
			t.Fatal(err)
		}
		broken := event(audit.OutsideAction, 3)
		broken.Ticket, broken.Reason = "INC-8", "One two three\r\nfour five six  seven\teight\nnine ten"
		if err := db.Ledger().Append(t.Context(), broken); err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string][]int64{
			broken.Reason: {3}, strings.Join(strings.Fields(broken.Reason), "\n"): {3}, "one two three four five six seven eight ten nine": nil,
			e.Reason: {1}, "manager's HELPDESK": {1}, e.Reason + " again": nil, strings.Repeat("the ", 7) + "four digits": {1},
			strings.Repeat("the ", 5000): nil, strings.Repeat("%", 60_000): nil, " \t ": {3, 2, 1},
		} {
			if got, _ := seqs(t, db, audit.Query{Text: text}); !slices.Equal(got, want) {
				t.Errorf("%.40q: got %v, want %v", text, got, want)
			}
		}
	})
}

// However many events a part has, a dictionary is asked about each of their people and runs once.
func TestTheDictionariesAreAskedOnceAboutEachPersonAndRun(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		events := make([]audit.Event, 900)
		for i := range events {
			e := event(audit.TargetAttempted, i)
			e.Run, e.Reason, e.Target = fmt.Sprint("run-", i/450), fmt.Sprint("phished ", i/450), &audit.Person{OID: oidOf(i % 3), Name: "P"}
			events[i] = e
		}
		if err := db.Ledger().Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		common := db.Ledger().Paced(time.Hour, 1024, 1, 0) // a word of more than one is too common to be a lead
		for _, c := range []struct {
			q             audit.Query
			people, notes int
		}{
			{audit.Query{Text: "phished"}, 0, 2},   // the notes alone decide
			{audit.Query{Text: "1 phished"}, 0, 1}, // few have both, and the lead has said who
			{audit.Query{Target: "p"}, 3, 0},
			{audit.Query{Operator: "p", Run: "run-0"}, 1, 0},
		} {
			_, people, notes, err := common.Asked(t.Context(), c.q)
			if err != nil || people != c.people || notes != c.notes {
				t.Errorf("%+v: asked about %d people and %d notes, want %d and %d (%v)", c.q, people, notes, c.people, c.notes, err)
			}
		}
	})
}

func TestManyIDsDoNotSearchTheDictionariesEachByItself(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		ids := make([]string, 5)
		for i := range ids {
			ids[i] = fmt.Sprintf("0190dddd-0000-4000-8000-0000000000a%d", i)
		}
		e := event(audit.TargetAttempted, 1)
		e.Reason = strings.ToUpper(strings.Join(ids, " "))
		other := event(audit.TargetAttempted, 2)
		other.Reason = strings.Join(ids[:4], " ")
		if err := db.Ledger().Append(t.Context(), e, other); err != nil {
			t.Fatal(err)
		}
		q := audit.Query{Text: strings.Join(ids, " ") + " phished mail"}
		if lookUps, _, _, err := db.Ledger().Asked(t.Context(), q); err != nil || lookUps != 3 {
			t.Errorf("the dictionaries were searched %d times, want 3 (%v)", lookUps, err)
		}
		q.Text = strings.Join(ids, " ")
		if got, _ := seqs(t, db, q); !slices.Equal(got, []int64{1}) {
			t.Errorf("found %v, want event 1", got)
		}
	})
}

func TestAnIDInTheBytesIsFoundInEitherCase(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		e := event(audit.TargetAccepted, 1)
		e.Evidence = &audit.Evidence{RequestID: "0190DDDD-0000-4000-8000-00000000ABCD"}
		if err := db.Ledger().Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{e.Evidence.RequestID, strings.ToLower(e.Evidence.RequestID)} {
			if got, _ := seqs(t, db, audit.Query{Text: text}); !slices.Equal(got, []int64{1}) {
				t.Errorf("%s: got %v", text, got)
			}
		}
	})
}

func TestATargetsNameLeadsRatherThanAnOperators(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		events := make([]audit.Event, 300)
		for i := range events {
			events[i] = event(audit.TargetAttempted, i)
			events[i].Target = &audit.Person{OID: oidOf(i % 100), Name: fmt.Sprint("Person ", i%100)}
		}
		if err := db.Ledger().Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		found, err := db.Ledger().Paced(0, 9, 0, 0).Search(t.Context(), audit.Query{Operator: "anna ö. admin", Target: "person 7"})
		if err != nil || len(found.Records) != 33 || found.SearchedTo != 0 {
			t.Errorf("%d events, searched to %d (%v), want all 33 at once", len(found.Records), found.SearchedTo, err)
		}
	})
}

// Microsoft's logs of Graph's calls name our id of a request, too.
func TestARequestOfOursIsFoundHoweverFarBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		at := noon.UnixMilli()
		request := fmt.Sprintf("%08x-%04x-7abc-8000-000000000001", at>>16, at&0xffff)
		var events []audit.Event
		for i, kind := range []audit.Kind{audit.TargetAttempted, audit.TargetAccepted, audit.TargetConfirmed} {
			e := event(kind, i*600) // confirmed long after
			e.Target, e.Evidence = &audit.Person{OID: bernd, Name: "Bernd"}, &audit.Evidence{ClientRequestID: request}
			events = append(events, e)
		}
		taken := event(audit.LedgerExported, 5000) // names it, and is not about its target
		taken.Detail = map[string]string{"query": request}
		if err := db.Ledger().Append(t.Context(), append(events, taken)...); err != nil {
			t.Fatal(err)
		}
		for range 2 { // in a small ledger as in a larger one
			found, err := db.Ledger().Paced(0, 9, 0, 0).Search(t.Context(), audit.Query{Text: request})
			if err != nil || len(found.Records) != 3 || found.SearchedTo != 0 {
				t.Errorf("%d events, searched to %d (%v), want all 3 at once", len(found.Records), found.SearchedTo, err)
			}
			appended(t, db, 300)
		}
	})
}

func TestAPageAfterTheLastEventIsEmpty(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		appended(t, db, 20)
		for _, after := range []int64{20, 21, math.MaxInt64} {
			if got, more := seqs(t, db, audit.Query{After: after}); len(got) > 0 || more {
				t.Errorf("after %d: %v (more %v)", after, got, more)
			}
		}
	})
}

func TestRunLines(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd) // event 1: this database's own run
		launch(t, db, l)
		foreign := func(kind audit.Kind, n int, run string) audit.Event {
			e := event(kind, n)
			e.Run = run
			return e
		}
		long := strings.Repeat("long", 60)
		if err := db.Ledger().Append(t.Context(), foreign(audit.RunStarted, 20, "foreign"), event(audit.SignedIn, 21),
			foreign(audit.TargetFailed, 22, long), runEvent(audit.TargetConfirmed, 23, l.Run.ID),
			foreign(audit.TargetFailed, 24, "foreign"), foreign(audit.RunFinished, 25, "foreign")); err != nil {
			t.Fatal(err)
		}
		own := string(l.Run.ID)
		got, err := db.Ledger().RunLines(t.Context(), []string{own, "foreign", long, "unknown", own})
		if err != nil {
			t.Fatal(err)
		}
		last := newest(t, db)
		want := map[string]audit.RunLine{
			own:       {Run: own, Events: last - 5, First: 1, Newest: recordAt(t, db, last-2)},
			"foreign": {Run: "foreign", Events: 3, First: last - 5, Newest: recordAt(t, db, last)},
			long:      {Run: long, Events: 1, First: last - 3, Newest: recordAt(t, db, last-3)},
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("run lines (-want +got):\n%s", diff)
		}
		if none, err := db.Ledger().RunLines(t.Context(), nil); err != nil || len(none) != 0 {
			t.Errorf("of no runs: %v, %v", none, err)
		}
	})
}
