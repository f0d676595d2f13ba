package queue_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"evict/internal/queue"
	"evict/internal/revoke"
)

// BenchmarkRing measures the time from ringing for a slice to working it, one at a time in an idle process. The ideal
// is a commit or two.
func BenchmarkRing(b *testing.B) {
	engines := map[string]func(b *testing.B, o *queue.Options){
		"SQLite":     func(b *testing.B, o *queue.Options) { o.File = filepath.Join(b.TempDir(), "queue.db") },
		"PostgreSQL": func(b *testing.B, o *queue.Options) { o.Pool = migrated(b, postgres(b)) },
	}
	for name, on := range engines {
		b.Run(name, func(b *testing.B) {
			began := make(chan time.Time, 1)
			e := newEngine(&runs{})
			e.before = func(context.Context, revoke.Slice) { began <- time.Now() }
			o := queue.Options{Engine: e, SweepEvery: never}
			on(b, &o)
			q := open(b, o)
			start(b, q)
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				time.Sleep(5 * time.Millisecond) // rings within a millisecond share one notification: not what is measured
				rung := time.Now()
				ring(b, q, revoke.Slice{Run: revoke.RunID(fmt.Sprint(i)), Epoch: 1})
				took = append(took, await(b, began, 1)[0].Sub(rung))
			}
			b.ReportMetric(0, "ns/op") // mostly the pause
			slices.Sort(took)
			for _, p := range []int{50, 99} {
				b.ReportMetric(float64(took[(len(took)-1)*p/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", p))
			}
		})
	}
}
