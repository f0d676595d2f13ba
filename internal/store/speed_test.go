//go:build bench

package store_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"evict/internal/audit"
	"evict/internal/store"
)

// These are figures of docs/benchmarks.md: `make bench`.

const (
	pageAim = 50 * time.Millisecond
	asks    = 200
)

// onGreatLedgers runs a test with the great ledger of each engine, one after the other.
func onGreatLedgers(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Run("SQLite", func(t *testing.T) { test(t, greatLedger(t, greatSQLite)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, greatLedger(t, greatPostgres)) })
}

// asker asks random questions of the great ledger.
type asker struct {
	*rand.Rand
	t  *testing.T
	db *store.DB
}

// some is a random event.
func (a *asker) some() audit.Event {
	return recordAt(a.t, a.db, 1+a.Int64N(million)).Event
}

// targeted is a random event that has a target.
func (a *asker) targeted() audit.Event {
	for {
		if e := a.some(); e.Target != nil {
			return e
		}
	}
}

// accepted is a random event of an answer by Graph.
func (a *asker) accepted() audit.Event {
	for {
		if e := a.targeted(); e.Evidence != nil && e.Evidence.RequestID != "" {
			return e
		}
	}
}

func (a *asker) time() time.Time {
	at, err := audit.ParseTime(a.some().Time)
	if err != nil {
		a.t.Fatal(err)
	}
	return at
}

// question is a kind of search, of which each sample asks another one.
type question struct {
	name string
	ask  func(a *asker) audit.Query
}

func questions() []question {
	of := func(q audit.Query) func(*asker) audit.Query { return func(*asker) audit.Query { return q } }
	return []question{
		{"newest page", of(audit.Query{})},
		{"deep page", func(a *asker) audit.Query { return audit.Query{Before: 1 + a.Int64N(million)} }},
		{"deep page, upwards", func(a *asker) audit.Query { return audit.Query{After: 1 + a.Int64N(million)} }},
		{"folded", func(a *asker) audit.Query { return audit.Query{Folded: true, Before: 1 + a.Int64N(million)} }},
		{"kind, common", of(audit.Query{Kind: audit.TargetConfirmed})},
		{"kind, rare", of(audit.Query{Kind: audit.PlanPreviewed})},
		{"kind that nothing has", of(audit.Query{Kind: audit.LedgerRollback})},
		{"kind, deep page", func(a *asker) audit.Query {
			return audit.Query{Kind: audit.TargetAccepted, Before: 1 + a.Int64N(million)}
		}},
		{"outcome, rare", of(audit.Query{Outcome: "refused"})},
		{"operator by id", func(a *asker) audit.Query { return audit.Query{Operator: oidOf(a.IntN(greatOperators))} }},
		{"operator by name", func(a *asker) audit.Query { return audit.Query{Operator: a.some().Operator.Name} }},
		{"operator and kind", func(a *asker) audit.Query {
			return audit.Query{Operator: oidOf(3), Kind: audit.SettingsChanged}
		}},
		{"target by id", func(a *asker) audit.Query { return audit.Query{Target: a.targeted().Target.OID} }},
		{"target by UPN", func(a *asker) audit.Query { return audit.Query{Target: a.targeted().Target.UPN} }},
		{"target by first name", func(a *asker) audit.Query { return audit.Query{Target: firstNames[a.IntN(len(firstNames))]} }},
		{"person", func(a *asker) audit.Query { return audit.Query{Person: oidOf(a.IntN(greatPeople))} }},
		{"person who is an operator", func(a *asker) audit.Query { return audit.Query{Person: oidOf(a.IntN(greatOperators))} }},
		{"run of 300,000 events", of(audit.Query{Run: id(101)})},
		{"run of 300,000 events, one person", func(a *asker) audit.Query { return audit.Query{Run: id(101), Target: a.targeted().Target.UPN} }},
		{"run of 300,000 events, refused", of(audit.Query{Run: id(101), Outcome: "refused"})},
		{"run of 300,000 events, its people", func(a *asker) audit.Query {
			return audit.Query{Run: id(101), Firsts: true, Before: 200_000 + a.Int64N(250_000)}
		}},
		{"ticket", func(a *asker) audit.Query { return audit.Query{Ticket: a.targeted().Ticket} }},
		{"word, rare", func(a *asker) audit.Query {
			return audit.Query{Text: fmt.Sprintf("featherstonehaugh%d", 4999+5000*a.IntN(20))}
		}},
		{"word that nothing has", of(audit.Query{Text: "nowhere"})},
		{"word, common", of(audit.Query{Text: "phished"})},
		{"word of a rare ticket", func(a *asker) audit.Query { return audit.Query{Text: a.targeted().Ticket} }},
		{"first name and surname", func(a *asker) audit.Query { return audit.Query{Text: a.targeted().Target.Name} }},
		{"two common words that do not meet", of(audit.Query{Text: "crisis phished"})},
		{"word, common, and rare operator", of(audit.Query{Text: "anna", Operator: oidOf(0)})},
		{"word, common, and outcome", of(audit.Query{Text: "stolen", Outcome: "unconfirmed"})},
		{"two names and two words", func(a *asker) audit.Query {
			e := a.targeted()
			return audit.Query{Operator: e.Operator.Name, Target: e.Target.Name, Text: "phished mail"}
		}},
		{"an hour, far back", func(a *asker) audit.Query {
			at := a.time()
			return audit.Query{From: at, To: at.Add(time.Hour)}
		}},
		{"a minute of a great run", func(a *asker) audit.Query {
			at, _ := audit.ParseTime(recordAt(a.t, a.db, 200_000+a.Int64N(200_000)).Event.Time)
			return audit.Query{From: at, To: at.Add(time.Minute)}
		}},
		{"a week, operator and kind", func(a *asker) audit.Query {
			at := a.time()
			return audit.Query{From: at, To: at.Add(7 * 24 * time.Hour), Operator: oidOf(a.IntN(greatOperators)), Kind: audit.SignedIn}
		}},
		{"id of an event", func(a *asker) audit.Query { return audit.Query{Text: a.some().ID} }},
		{"id of a request, ours", func(a *asker) audit.Query { return audit.Query{Text: a.targeted().Evidence.ClientRequestID} }},
		{"id of a request, Graph's", func(a *asker) audit.Query { return audit.Query{Text: a.accepted().Evidence.RequestID} }},
		{"all filters", func(a *asker) audit.Query {
			e := a.targeted()
			return audit.Query{Operator: e.Operator.OID, Target: e.Target.OID, Kind: e.Kind, Outcome: e.Outcome, Run: e.Run,
				Ticket: e.Ticket, Text: e.Target.UPN}
		}},
	}
}

func TestSpeedOfSearch(t *testing.T) {
	onGreatLedgers(t, func(t *testing.T, db *store.DB) {
		tell("| search on %s | p50 | p99 | ratio | given up |\n| --- | --- | --- | --- | --- |\n", db.Engine())
		a := &asker{rand.New(rand.NewPCG(3, 4)), t, db}
		for _, q := range questions() {
			a.times(q.name, q, func(q audit.Query) (gaveUp bool, err error) {
				found, err := db.Ledger().Search(t.Context(), q)
				return found.SearchedTo != 0, err
			})
		}
		tell("\n| histogram on %s | p50 | p99 | ratio | given up |\n| --- | --- | --- | --- | --- |\n", db.Engine())
		for _, q := range questions() {
			a.times(q.name, q, func(q audit.Query) (gaveUp bool, err error) {
				h, err := db.Ledger().Histogram(t.Context(), q)
				return h.SearchedTo != 0, err
			})
		}
		tell("\n| page on %s: search, histogram, runs | p50 | p99 | ratio | given up |\n| --- | --- | --- | --- | --- |\n", db.Engine())
		for _, q := range questions() {
			a.times(q.name, q, func(q audit.Query) (gaveUp bool, err error) { return page(t, db.Ledger(), q) })
		}
	})
}

// page reads what a page of the ledger shows, in the way that the page does: the list and the days side by side.
func page(t *testing.T, l *store.Ledger, q audit.Query) (gaveUp bool, err error) {
	var found audit.Found
	g, ctx := errgroup.WithContext(t.Context())
	g.Go(func() (err error) {
		found, err = l.Search(ctx, q)
		return err
	})
	g.Go(func() error {
		_, err := l.Histogram(ctx, q)
		return err
	})
	if err := g.Wait(); err != nil {
		return false, err
	}
	var runs []string
	for _, r := range found.Records {
		if run := r.Event.Run; run != "" && !slices.Contains(runs, run) {
			runs = append(runs, run)
		}
	}
	_, err = l.RunLines(t.Context(), runs)
	return found.SearchedTo != 0, err
}

// times prints a row: how long a question takes, of which each sample asks another one, and how many of a hundred
// answers were not of the whole ledger.
func (a *asker) times(name string, q question, ask func(q audit.Query) (gaveUp bool, err error)) {
	a.t.Helper()
	var took []time.Duration
	gaveUp := 0
	for i := range asks + 5 { // the first ones fill the caches
		asked := q.ask(a)
		a.db.Ledger().Forget()
		start := time.Now()
		gave, err := ask(asked)
		if err != nil {
			a.t.Fatalf("%s: %v", name, err)
		}
		if i >= 5 {
			took = append(took, time.Since(start))
			if gave {
				gaveUp++
			}
		}
	}
	slices.Sort(took)
	p50, p99 := took[asks/2], took[asks*99/100]
	tell("| %s | %.1f ms | %.1f ms | %.1f | %d %% |\n", name, millis(p50), millis(p99), float64(pageAim)/float64(p99),
		gaveUp*100/asks)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func tell(format string, args ...any) { fmt.Fprintf(os.Stderr, format, args...) }
