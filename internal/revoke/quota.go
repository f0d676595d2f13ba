package revoke

import (
	"strings"
	"time"
)

// Microsoft Graph's write quota for one app in one tenant: 3,000 requests per 150 s, a token bucket (Microsoft Graph
// service-specific throttling limits, identity and access; whether the whole burst is available at once is not
// documented, so the bucket adapts).
const (
	QuotaBurst  = 3000
	quotaWindow = 150 * time.Second
	// QuotaReserve is what runs of many leave in the bucket for single users: room for fifty calls at once, and the refill
	// besides. A tenth of the bucket would make every run of more than 2,700 people wait twelve seconds longer.
	QuotaReserve = 50

	slowestRate   = 1.0              // per second; a run never crawls slower than that
	rateRecovery  = 30 * time.Second // without a 429 for so long, the rate grows by a tenth
	assumedHold   = 10 * time.Second // for a 429 without Retry-After
	loadNear      = 0.8              // from here on Microsoft names how near the limit is
	loadHolds     = 10 * time.Second // how long what was heard of the load is believed
	longestHold   = 10 * time.Minute // one bad header is not believed for longer; the next answer says so again
	probeInterval = time.Second      // during a hold, one urgent call may try in each of these
)

// Quota is the bucket of writes that all runs and replicas share: one row in the database. Its methods are pure.
type Quota struct {
	Burst     float64   // what a full bucket holds, and what comes back in 150 s
	Tokens    float64   // calls that may be made now
	Rate      float64   // tokens per second that come back
	At        time.Time // when Tokens was right
	Hold      time.Time // nothing is granted before; from Retry-After
	Load      float64   // Microsoft's x-ms-throttle-limit-percentage, last heard; 1.0 is the limit; 0 = below 0.8
	LoadAt    time.Time
	Scope     string    // x-ms-throttle-scope of the last 429: whose limit it was
	Throttled time.Time // the last 429, or the last step back up
	Granted   time.Time // when a run of many was last granted calls
	Probed    time.Time // the last urgent call during a hold
}

// NewQuota is a full bucket of the documented size.
func NewQuota(now time.Time) Quota { return Quota{At: now}.Sized(QuotaBurst) }

// Sized is the bucket of another size: writes in 150 s. A bucket that grows is filled by as much.
func (q Quota) Sized(writes int) Quota {
	was := q.Burst
	q.Burst = float64(writes)
	q.Tokens = min(q.Burst, max(0, q.Tokens+q.Burst-was))
	q.Rate = q.full()
	return q
}

// full is the rate at which a bucket that nothing slows comes back, per second.
func (q Quota) full() float64 { return q.Burst / quotaWindow.Seconds() }

// Heard is what the answers of a while said about Microsoft's limits.
type Heard struct {
	Throttled  int           // answers with 429
	RetryAfter time.Duration // the longest that was named
	Scope      string        // of the last 429
	Load       float64       // the highest limit percentage; 0 when none was named
	Answers    int           // all answers to writes
}

// Take grants up to want calls at time now. Urgent ones may empty the bucket, others leave QuotaReserve in it; while
// Microsoft asked to wait, only one urgent call a second is granted, as a probe.
func (q Quota) Take(now time.Time, want int, urgent bool) (int, Quota) {
	q = q.refill(now)
	if want <= 0 {
		return 0, q
	}
	if now.Before(q.Hold) {
		if !urgent || now.Sub(q.Probed) < probeInterval {
			return 0, q
		}
		q.Probed = now
		return 1, q.spend(1)
	}
	floor := float64(QuotaReserve)
	if urgent {
		floor = 0
	}
	n := min(want, int(max(0, q.Tokens-floor)))
	if pace := q.pace(now); pace > 0 && !urgent {
		n = min(n, int(pace*min(now.Sub(q.Granted), time.Second).Seconds()))
	}
	if n > 0 && !urgent {
		q.Granted = now
	}
	return n, q.spend(n)
}

// pace is how many calls a second runs of many may make while Microsoft says that its limit is near; 0 = as many as
// there are tokens. Others may be using up the same limit.
func (q Quota) pace(now time.Time) float64 {
	switch {
	case now.Sub(q.LoadAt) > loadHolds || q.Load < loadNear:
		return 0
	case q.Load < 1:
		return 10 * q.Rate
	default:
		return q.Rate
	}
}

func (q Quota) spend(n int) Quota {
	q.Tokens = max(0, q.Tokens-float64(n))
	return q
}

// Back gives back the tokens of n calls that were granted and will not be made.
func (q Quota) Back(n int) Quota {
	q.Tokens = min(q.Burst, q.Tokens+float64(n))
	return q
}

func (q Quota) refill(now time.Time) Quota {
	if now.Before(q.At) { // another replica's clock is ahead
		return q
	}
	if q.Rate < q.full() && now.Sub(q.Throttled) >= rateRecovery {
		q.Rate = min(q.full(), q.Rate*1.1)
		q.Throttled = now // the next step up waits as long again
	}
	q.Tokens = min(q.Burst, q.Tokens+now.Sub(q.At).Seconds()*q.Rate)
	q.At = now
	return q
}

// Hear takes in what answers said: a 429 empties the bucket, holds until Retry-After, and slows the refill.
func (q Quota) Hear(now time.Time, h Heard) Quota {
	q = q.refill(now)
	if h.Load > 0 || h.Answers > 0 {
		q.Load, q.LoadAt = h.Load, now
	}
	if h.Throttled == 0 {
		return q
	}
	hold := now.Add(min(max(h.RetryAfter, 0), longestHold))
	if h.RetryAfter <= 0 {
		hold = now.Add(assumedHold)
	}
	if !now.Before(q.Hold) { // the first of a burst of refusals slows the rate, the others say the same
		q.Rate = max(slowestRate, q.Rate*0.8)
	}
	if hold.After(q.Hold) {
		q.Hold = hold
	}
	q.Tokens, q.Scope, q.Throttled = 0, h.Scope, now
	return q
}

// TenantWide reports whether the last 429 named a limit that all apps of the tenant share.
func (q Quota) TenantWide() bool { return strings.HasPrefix(q.Scope, "Tenant/") }

// Wait is how long until n calls would be granted to a run of many.
func (q Quota) Wait(now time.Time, n int) time.Duration {
	q = q.refill(now)
	wait := max(0, q.Hold.Sub(now))
	missing := (min(float64(n), q.Burst-QuotaReserve)) + QuotaReserve - q.Tokens
	if missing > 0 {
		wait = max(wait, time.Duration(missing/q.Rate*float64(time.Second)))
	}
	return wait
}

// Left estimates how long n calls take by the bucket alone, for an ETA.
func (q Quota) Left(now time.Time, n int) time.Duration {
	q = q.refill(now)
	missing := float64(n) + QuotaReserve - q.Tokens
	return max(0, q.Hold.Sub(now), time.Duration(missing/q.Rate*float64(time.Second)))
}
