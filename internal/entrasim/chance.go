package entrasim

import (
	"hash/fnv"
	"sync"
	"time"
)

// chances decides what is left to chance, from the seed: what the n-th request of one method and path draws depends on
// nothing else, so that a run with many requests in flight meets the same faults each time.
type chances struct {
	mu   sync.Mutex
	seed uint64
	came map[uint64]uint32 // how often each method and path came, by their hash
}

// next numbers one more coming of key and returns a value that is fixed for this key, number and seed.
func (h *chances) next(key string) uint64 {
	f := fnv.New64a()
	f.Write([]byte(key))
	sum := f.Sum64()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.came == nil {
		h.came = map[uint64]uint32{}
	}
	h.came[sum]++
	return mix(mix(h.seed^sum) + uint64(h.came[sum]))
}

// mix is the finalizer of SplitMix64: close inputs get unrelated outputs.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hits reports whether an event with this probability happens to who drew luck; salt tells events apart.
func hits(luck, salt uint64, rate float64) bool {
	return float64(mix(luck^mix(salt))>>11)/(1<<53) < rate
}

// luck is what the call drew, the same however often it is asked for.
func (c *call) luck() uint64 {
	if c.drawn == 0 {
		c.drawn = c.sim.chance.next(c.method+" "+c.path) | 1
	}
	return c.drawn
}

// replicaLag is what the copy of the directory that answers this call lags behind.
func (c *call) replicaLag() time.Duration {
	lags := *c.sim.spread.Load()
	switch len(lags) {
	case 0:
		return 0
	case 1:
		return lags[0]
	}
	return lags[mix(c.luck()+1)%uint64(len(lags))]
}
