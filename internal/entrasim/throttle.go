package entrasim

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const defaultRetryAfter = 10 * time.Second

// bucket is a token bucket that starts full.
type bucket struct {
	size, tokens, perSecond float64
	last                    time.Time
}

func newBucket(size int, window time.Duration) *bucket {
	return &bucket{size: float64(size), tokens: float64(size), perSecond: float64(size) / window.Seconds()}
}

func (b *bucket) fill(now time.Time) {
	if !b.last.IsZero() && now.After(b.last) {
		b.tokens = min(b.size, b.tokens+now.Sub(b.last).Seconds()*b.perSecond)
	}
	b.last = now
}

func (b *bucket) used() float64 { return 1 - b.tokens/b.size }

// throttle is Graph's quota of identity and access, by Microsoft's page of service-specific throttling limits. Each
// application has its own buckets, and all share the tenant's.
type throttle struct {
	mu     sync.Mutex
	q      Quota
	apps   map[string]*appBuckets
	tenant *bucket
}

type appBuckets struct {
	units, writes, reports *bucket
	refused                float64 // share of recent requests that were refused
}

func (t *throttle) init(q Quota, people int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.Writes == 0 {
		q.Writes = 3000
	}
	if q.WriteWindow == 0 {
		q.WriteWindow = 150 * time.Second
	}
	if q.TenantWrites == 0 {
		q.TenantWrites = 18_000
	}
	if q.TenantWindow == 0 {
		q.TenantWindow = 300 * time.Second
	}
	if q.ResourceUnits == 0 {
		q.ResourceUnits = unitsFor(people)
	}
	if q.RetryAfter == 0 {
		q.RetryAfter = defaultRetryAfter
	}
	t.q, t.apps, t.tenant = q, map[string]*appBuckets{}, newBucket(q.TenantWrites, q.TenantWindow)
}

// unitsFor is the budget per 10 s for a tenant of this size.
func unitsFor(people int) int {
	switch {
	case people < 50:
		return 3500
	case people <= 500:
		return 5000
	}
	return 8000
}

func (t *throttle) bucketsOf(app string) *appBuckets {
	b := t.apps[app]
	if b == nil {
		b = &appBuckets{
			units: newBucket(t.q.ResourceUnits, 10*time.Second), writes: newBucket(t.q.Writes, t.q.WriteWindow),
			reports: newBucket(5, 10*time.Second),
		}
		t.apps[app] = b
	}
	return b
}

// spending is what a request cost, for the headers of its answer.
type spending struct {
	units   int
	percent float64
}

// mark writes the headers that tell a client how much it used.
func (s spending) mark(rep *reply) {
	if s.units == 0 {
		return
	}
	rep.set("x-ms-resource-unit", strconv.Itoa(s.units))
	if s.percent >= 0.8 {
		rep.set("x-ms-throttle-limit-percentage", strconv.FormatFloat(math.Floor(s.percent*100)/100, 'f', -1, 64))
	}
}

// admit takes the cost of the call from the quota, or answers 429. A refused call costs nothing.
func (t *throttle) admit(c *call) (spending, *reply) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.route.lockFree {
		return spending{}, nil // a batch costs what its items cost
	}
	s := spending{units: c.cost()}
	if t.q.Disabled {
		return s, nil
	}
	now := c.sim.now()
	b := t.bucketsOf(c.token.AppID)
	write := c.method != http.MethodGet
	for _, k := range []*bucket{b.units, b.writes, b.reports, t.tenant} {
		k.fill(now)
	}
	if scope, info := t.exceeded(c, b, s.units, write); scope != "" {
		b.refused = b.refused*0.98 + 0.02
		s.percent = min(1.8, 1+b.refused)
		return s, t.refuse(c, scope, info)
	}
	b.refused *= 0.98
	b.units.tokens -= float64(s.units)
	s.percent = b.units.used()
	if write {
		b.writes.tokens--
		t.tenant.tokens--
		s.percent = max(s.percent, b.writes.used(), t.tenant.used())
	}
	if c.route.report {
		b.reports.tokens--
	}
	return s, nil
}

// exceeded names the first limit that the call would break.
func (t *throttle) exceeded(c *call, b *appBuckets, units int, write bool) (scope, info string) {
	own := c.token.AppID + "/" + c.token.TenantID
	switch {
	case write && t.tenant.tokens < 1:
		return "Tenant/Write/" + own, "WriteLimitExceeded"
	case write && b.writes.tokens < 1:
		return "Tenant_Application/Write/" + own, "WriteLimitExceeded"
	case c.route.report && b.reports.tokens < 1:
		return "Tenant_Application/ReadWrite/" + own, "CPULimitExceeded"
	case b.units.tokens < float64(units):
		return "Tenant_Application/ReadWrite/" + own, "ResourceUnitLimitExceeded"
	}
	return "", ""
}

func (t *throttle) refuse(c *call, scope, info string) *reply {
	rep := c.graphError(http.StatusTooManyRequests, codeTooMany, "Too many requests.")
	rep.set("Retry-After", retrySeconds(t.q.RetryAfter))
	rep.set("x-ms-throttle-scope", scope)
	return rep.set("x-ms-throttle-information", info)
}

// spendTenant takes writes from the quota that all applications share.
func (t *throttle) spendTenant(n int, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tenant.fill(now)
	t.tenant.tokens = max(0, t.tenant.tokens-float64(n))
}

// cost is what Microsoft's table says: the base, less one for $select and for a small $top, one more for $expand.
func (c *call) cost() int {
	if c.method != http.MethodGet {
		return 1
	}
	n := max(c.route.cost, 1)
	if c.query.Get("$select") != "" {
		n--
	}
	if top, err := strconv.Atoi(c.query.Get("$top")); err == nil && top < 20 {
		n--
	}
	if c.query.Get("$expand") != "" {
		n++
	}
	return max(n, 1)
}

// retrySeconds writes whole seconds without a fraction, and others as Graph sometimes does, such as 2.128.
func retrySeconds(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.Itoa(int(d / time.Second))
	}
	return strings.TrimRight(fmt.Sprintf("%.3f", d.Seconds()), "0")
}

func (t *throttle) enabled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.q.Disabled
}

func (t *throttle) enable(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.q.Disabled = !on
}
