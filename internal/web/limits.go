package web

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"golang.org/x/time/rate"

	"evict/internal/fault"
)

// limits hold back those who ask too often: sign-in attempts by client address, the others by operator.
type limits struct {
	signIn *limiter
	search *limiter
	export *limiter
	verify *limiter
}

func newLimits(now func() time.Time) limits {
	return limits{
		signIn: newLimiter(now, rate.Every(3*time.Second), 20), // a shared office address signs in in bursts
		search: newLimiter(now, 10, 30),
		export: newLimiter(now, rate.Every(10*time.Second), 20), // events with their proofs are taken one after the other
		verify: newLimiter(now, rate.Every(time.Minute), 5),     // each reads the whole ledger
	}
}

// limiter is one token bucket a key. Buckets that are full again are forgotten, so memory follows the traffic.
type limiter struct {
	now   func() time.Time
	every rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
	swept   time.Time
}

func newLimiter(now func() time.Time, every rate.Limit, burst int) *limiter {
	return &limiter{now: now, every: every, burst: burst, buckets: map[string]*rate.Limiter{}}
}

// take takes one token of key, or says with a fault when to come back.
func (l *limiter) take(key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.sweep(now)
	b, ok := l.buckets[key]
	if !ok {
		b = rate.NewLimiter(l.every, l.burst)
		l.buckets[key] = b
	}
	r := b.ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		e := fault.New(fault.Throttled, "Too many requests from here.")
		e.RetryAfter = max(wait.Round(time.Second), time.Second)
		return e
	}
	return nil
}

func (l *limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute {
		return
	}
	l.swept = now
	for key, b := range l.buckets {
		if b.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, key)
		}
	}
}

// gate counts who is inside.
type gate struct{ inside atomic.Int32 }

// enter reports whether one more was let in, when no more than most may be inside.
func (g *gate) enter(most int32) bool {
	if g.inside.Add(1) <= most {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() { g.inside.Add(-1) }

// clientKey is the client's address for a limit: of IPv6 the /64, because one client has all of it.
func clientKey(r *http.Request) string {
	ip := middleware.GetClientIPAddr(r.Context())
	if !ip.Is6() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}
