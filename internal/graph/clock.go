package graph

import (
	"sync"
	"time"
)

// clock measures how far Graph's clock is ahead of ours. A Date header has whole seconds, and the answer was written
// some time between our question and its arrival: so each answer bounds the offset from below and above, and the
// bounds of many answers together narrow it down to the network's delay. One answer that contradicts them is ignored;
// a second that agrees with the first means that a clock was set, and starts afresh.
type clock struct {
	mu       sync.Mutex
	known    bool
	now, odd bounds // what all answers agree on; an answer that did not
}

// bounds are the least and the greatest offset that an answer allows.
type bounds struct{ low, high time.Duration }

// narrowest keeps the bounds from closing upon the jitter between Graph's many servers.
const narrowest = 50 * time.Millisecond

func (b bounds) meet(o bounds) (bounds, bool) {
	m := bounds{max(b.low, o.low), min(b.high, o.high)}
	return m, m.low <= m.high
}

func (b bounds) none() bool { return b == bounds{} }

// observe takes in one answer: when its question left, when its header arrived, both on our clock, and its Date.
func (c *clock) observe(asked, answered, date time.Time) {
	if date.IsZero() || answered.Before(asked) {
		return
	}
	seen := bounds{low: date.Sub(answered), high: date.Add(time.Second).Sub(asked)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		c.known, c.now = true, seen
		return
	}
	if m, ok := c.now.meet(seen); ok {
		c.odd = bounds{}
		if m.high-m.low >= narrowest {
			c.now = m
		}
		return
	}
	if m, ok := c.odd.meet(seen); ok && !c.odd.none() {
		c.now, c.odd = m, bounds{}
		return
	}
	c.odd = seen
}

// offset returns the middle of what is known.
func (c *clock) offset() (d time.Duration, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return 0, false
	}
	return c.now.low + (c.now.high-c.now.low)/2, true
}
