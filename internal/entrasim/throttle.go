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
	drain                   float64 // tokens per second that others take
	last                    time.Time
}

func newBucket(size int, window time.Duration) *bucket {
	return &bucket{size: float64(size), tokens: float64(size), perSecond: float64(size) / window.Seconds()}
}

func (b *bucket) fill(now time.Time) {
	if !b.last.IsZero() && now.After(b.last) {
		grown := b.tokens + now.Sub(b.last).Seconds()*(b.perSecond-b.drain)
		b.tokens = max(min(b.size, grown), min(b.tokens, 0))
	}
	b.last = now
}

func (b *bucket) used() float64 { return 1 - b.tokens/b.size }

// refuse counts a request that the bucket refused, because Graph goes on counting while it throttles (Microsoft Learn,
// throttling guidance): whoever does not wait waits longer. How far this goes is not documented; here as far as waiting
// for Retry-After makes good again.
func (b *bucket) refuse(n float64, retry time.Duration) {
	b.tokens = max(b.tokens-n, min(b.tokens, n-b.perSecond*retry.Seconds()))
}

// throttle is Graph's quota of identity and access, by Microsoft's page of service-specific throttling limits. Each
// application has its own buckets, and all share the tenant's.
type throttle struct {
	mu     sync.Mutex
	q      Quota
	apps   map[string]*appBuckets
	tenant *bucket
}

type appBuckets struct {
	units, writes, reports, activity *bucket
	refused                          float64 // share of recent requests that were refused
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
	t.tenant.drain = q.OtherWrites
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
			reports: newBucket(5, 10*time.Second), activity: newBucket(t.q.SignInActivity, time.Minute),
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

// limit is one of the limits that a call is held against.
type limit struct {
	*bucket
	need        float64
	scope, info string // of the headers of a 429
}

// limits lists what holds for the call, the widest first.
func (t *throttle) limits(c *call, b *appBuckets, units int) []limit {
	out := make([]limit, 0, 4)
	if c.route.writes() {
		out = append(out,
			limit{t.tenant, 1, "Tenant/Write", "WriteLimitExceeded"},
			limit{b.writes, 1, "Tenant_Application/Write", "WriteLimitExceeded"})
	}
	if c.route.report {
		out = append(out, limit{b.reports, 1, "Tenant_Application/ReadWrite", "CPULimitExceeded"})
	}
	if t.q.SignInActivity > 0 && c.needsSignInActivity() {
		out = append(out, limit{b.activity, 1, "Tenant_Application/ReadWrite", "CPULimitExceeded"})
	}
	return append(out, limit{b.units, float64(units), "Tenant_Application/ReadWrite", "ResourceUnitLimitExceeded"})
}

// admit takes the cost of the call from the quota, or answers 429.
func (t *throttle) admit(c *call) (spending, *reply) {
	if c.route.lockFree {
		return spending{}, nil // a batch costs what its items cost
	}
	s := spending{units: c.cost()}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.q.Disabled {
		return s, nil
	}
	now := c.sim.now()
	b := t.bucketsOf(c.token.AppID)
	limits := t.limits(c, b, s.units)
	b.refused *= 0.98
	for _, l := range limits {
		if l.fill(now); l.tokens > l.need-1e-6 { // the rest is rounding
			continue
		}
		l.refuse(l.need, t.q.RetryAfter)
		b.refused += 0.02
		s.percent = min(1.8, 1+b.refused)
		return s, t.refuse(c, l)
	}
	for _, l := range limits {
		l.tokens -= l.need
		s.percent = max(s.percent, l.used())
	}
	return s, nil
}

func (t *throttle) refuse(c *call, l limit) *reply {
	rep := c.graphError(http.StatusTooManyRequests, codeTooMany, "Too many requests.")
	rep.set("Retry-After", retrySeconds(t.q.RetryAfter))
	rep.set("x-ms-throttle-scope", l.scope+"/"+c.token.AppID+"/"+c.token.TenantID)
	return rep.set("x-ms-throttle-information", l.info)
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
	n := max(c.route.cost, 1)
	switch selected := c.query.Get("$select") != ""; {
	case c.route.writes():
		return 1
	case selected && c.route.selectCost > 0:
		n = c.route.selectCost
	case selected:
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
