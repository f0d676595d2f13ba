package entrasim_test

import (
	"runtime"
	"testing"

	"evict/internal/entrasim"
)

// BenchmarkTenant makes a tenant of 250,000 people and reports what it keeps on the heap.
func BenchmarkTenant(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s, err := entrasim.New(entrasim.Options{People: 250_000})
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB")
		runtime.KeepAlive(s)
	}
}
