package store_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

// benchmark runs a benchmark once for each engine.
func benchmark(b *testing.B, run func(b *testing.B, db *store.DB)) {
	for _, options := range []func(testing.TB) store.Options{storetest.SQLite, storetest.Postgres} {
		db, err := store.Open(b.Context(), options(b))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(db.Engine(), func(b *testing.B) { run(b, db) })
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	}
}

// unused is a number that no benchmark has made an id of.
func unused() int { return int(time.Now().UnixNano() % 1e12) }

// besides runs work and returns the longest that another writer waited meanwhile.
func besides(b *testing.B, db *store.DB, work func()) (longest time.Duration) {
	ctx, stop := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			start := time.Now()
			if err := db.Ledger().Append(b.Context(), event(audit.SignedIn, 1)); err != nil {
				b.Errorf("writing besides: %v", err)
				return
			}
			longest = max(longest, time.Since(start))
			time.Sleep(2 * time.Millisecond) // a session now and then, not a load of its own
		}
	})
	work()
	stop()
	wg.Wait()
	return longest
}

// Each iteration is one commit of a run at full speed: 256 targets are confirmed, 256 accepted, 256 begun. Each target
// brings three events.
func BenchmarkCommit(b *testing.B) {
	const batch = 256
	benchmark(b, func(b *testing.B, db *store.DB) {
		p := listed(b, db, previewOf(unused(), anna), people(b.N*batch)...)
		f := launch(b, db, manyOf(unused(), p))
		var attempting, accepted []revoke.RunTarget
		b.ResetTimer()
		for i := range b.N {
			s := wanting(batch)
			s.Now = noon.Add(time.Duration(i) * time.Minute) // the bucket has filled up again
			moved(&s, audit.TargetConfirmed, revoke.Confirmed, accepted...)
			moved(&s, audit.TargetAccepted, revoke.Accepted, attempting...)
			accepted = accepted[:0]
			for _, c := range s.Changes[len(s.Changes)-len(attempting):] {
				accepted = append(accepted, c.Target)
				s.Evict = append(s.Evict, revoke.Cut{OID: c.Target.OID, At: noon})
			}
			if attempting = commit(b, db, f, s).Targets; len(attempting) != batch {
				b.Fatalf("begun %d targets, want %d", len(attempting), batch)
			}
		}
		b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "targets/s")
	})
}

// Each iteration finds 100,000 people, in pages of 1,000, and numbers them. "wait-ms" is the longest that another
// writer waited meanwhile.
func BenchmarkFreeze(b *testing.B) {
	const many = 100_000
	everyone := people(many)
	benchmark(b, func(b *testing.B, db *store.DB) {
		var adding, freezing, longest time.Duration
		for range b.N {
			p := previewOf(unused(), anna)
			begin(b, db, p)
			longest = max(longest, besides(b, db, func() {
				start := time.Now()
				add(b, db, p.ID, everyone...)
				adding += time.Since(start)
				start = time.Now()
				if got := freeze(b, db, p.ID); got.Total != many {
					b.Errorf("%d targets, want %d", got.Total, many)
				}
				freezing += time.Since(start)
			}))
		}
		b.ReportMetric(float64(adding.Milliseconds())/float64(b.N), "adding-ms")
		b.ReportMetric(float64(freezing.Milliseconds())/float64(b.N), "freezing-ms")
		b.ReportMetric(float64(longest.Milliseconds()), "wait-ms")
	})
}

// Pages of a list of 100,000 people, and of a run that has begun them all and confirmed nearly all.
func BenchmarkPage(b *testing.B) {
	const many = 100_000
	everyone := people(many)
	for i := range everyone {
		if i%25_000 == 7 {
			everyone[i].Flags = append(everyone[i].Flags, revoke.FlagFederated)
		}
	}
	benchmark(b, func(b *testing.B, db *store.DB) {
		p := listed(b, db, previewOf(unused(), anna), everyone...)
		f := launch(b, db, manyOf(unused(), p))
		for i, next := 0, 0; next < many; i++ {
			s := wanting(many)
			s.Now = noon.Add(time.Duration(i) * 150 * time.Second)
			g := commit(b, db, f, s)
			next = g.Next
			s = revoke.Step{Now: s.Now, Lease: lease}
			moved(&s, audit.TargetRefused, revoke.Refused, g.Targets[0])
			moved(&s, audit.TargetConfirmed, revoke.Confirmed, g.Targets[10:]...)
			commit(b, db, f, s)
		}
		for _, q := range []struct {
			name string
			revoke.TargetQuery
		}{
			{"first", revoke.TargetQuery{After: -1}},
			{"last", revoke.TargetQuery{After: many - 51}},
			{"rare flag", revoke.TargetQuery{After: -1, Flag: revoke.FlagFederated}},
			{"rare word", revoke.TargetQuery{After: -1, Text: "number99999"}},
			{"no word", revoke.TargetQuery{After: -1, Text: "nobody"}},
			{"common word", revoke.TargetQuery{After: -1, Text: "person", Verdict: "expected to be allowed"}},
		} {
			asked(b, "list: "+q.name, func() error {
				_, err := db.Revoke().Targets(b.Context(), p.ID, q.TargetQuery)
				return err
			})
		}
		for _, q := range []struct {
			name string
			revoke.RunTargetQuery
		}{
			{"last", revoke.RunTargetQuery{After: many - 51}},
			{"rare state", revoke.RunTargetQuery{After: -1, States: []revoke.State{revoke.Refused}}},
			{"states", revoke.RunTargetQuery{After: 50_000, States: []revoke.State{revoke.Refused, revoke.Confirmed}}},
			{"rare word", revoke.RunTargetQuery{After: -1, Text: "number99999"}},
			{"rare word, common state", revoke.RunTargetQuery{After: -1, Text: "number99999", States: []revoke.State{revoke.Confirmed}}},
			{"common word, rare state", revoke.RunTargetQuery{After: -1, Text: "person", States: []revoke.State{revoke.Refused}}},
		} {
			asked(b, "run: "+q.name, func() error {
				_, err := db.Revoke().RunTargets(b.Context(), f.Run, q.RunTargetQuery)
				return err
			})
		}
		asked(b, "work", func() error {
			_, _, err := db.Revoke().Work(b.Context(), f)
			return err
		})
		asked(b, "compare", func() error {
			_, err := db.Revoke().Compare(b.Context(), p.ID, p.ID, 50)
			return err
		})
		asked(b, "runs", func() error {
			_, err := db.Revoke().Runs(b.Context(), revoke.RunQuery{})
			return err
		})
	})
}

// asked times a question.
func asked(b *testing.B, name string, ask func() error) {
	b.Run(name, func(b *testing.B) {
		for b.Loop() {
			if err := ask(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Each iteration appends one batch of a run's events, as large as its commits are: nothing to do, some, full speed.
// "ratio" is to the least that could be done with them, in the same database and the same run: one transaction that
// inserts number and body into a table without an index.
func BenchmarkAppend(b *testing.B) {
	benchmark(b, func(b *testing.B, db *store.DB) {
		writer, _ := db.Pools()
		if _, err := writer.ExecContext(b.Context(), `create table plain (seq bigint primary key, body text not null)`); err != nil {
			b.Fatal(err)
		}
		var seq int64
		for _, batch := range []int{1, 64, 256} {
			b.Run(strconv.Itoa(batch), func(b *testing.B) {
				events := batchOf(batch)
				var plain time.Duration
				for b.Loop() {
					if err := db.Ledger().Append(b.Context(), events...); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					plain += inserted(b, db, seq, events)
					seq += int64(batch)
					b.StartTimer()
				}
				b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "events/s")
				b.ReportMetric(plain.Seconds()/b.Elapsed().Seconds(), "ratio")
			})
		}
	})
}

// batchOf is what a commit of a run appends for so many steps of its targets.
func batchOf(n int) []audit.Event {
	kinds := []audit.Kind{audit.TargetAttempted, audit.TargetAccepted, audit.TargetConfirmed}
	run := id(unused())
	events := make([]audit.Event, n)
	for i := range events {
		e := event(kinds[i%len(kinds)], unused())
		e.Run, e.Plan, e.Attempt, e.Reason, e.Ticket, e.Outcome = run, run, 1, "Phished with a consent grant", "INC-7", "confirmed"
		e.Target = &audit.Person{OID: oidOf(i), UPN: fmt.Sprintf("user%06d@contoso.example", i), Name: fmt.Sprintf("Person Number%d", i)}
		e.Evidence = &audit.Evidence{
			T0: e.Time, Before: e.Time, After: e.Time, Status: 200, RequestID: run, ClientRequestID: run,
		}
		events[i] = e
	}
	return events
}

// inserted encodes events and inserts them into the plain table, and returns how long that took.
func inserted(b *testing.B, db *store.DB, from int64, events []audit.Event) time.Duration {
	start := time.Now()
	rows := make([][]any, len(events))
	for i, e := range events {
		body, err := audit.Encode(from+int64(i), e)
		if err != nil {
			b.Fatal(err)
		}
		rows[i] = []any{from + int64(i), string(body)}
	}
	if err := db.Insert(b.Context(), `insert into plain (seq, body) values`, rows); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}
