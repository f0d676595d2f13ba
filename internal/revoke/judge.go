package revoke

import "time"

// Tolerances of rule 3. Graph's stamps have whole seconds, and its clock is known from whole-second Date headers.
const (
	clockSlack  = 5 * time.Second
	futureSlack = 5 * time.Minute
)

// Verdict is what a read-back says about an attempt.
type Verdict int

// The verdicts. The zero value proves nothing.
const (
	NotMoved   Verdict = iota // the stamp is older than the attempt, or missing
	Proven                    // sessions from before the attempt are no longer valid
	FutureDate                // the stamp lies in the future: possible tampering, proves nothing
)

// Judge compares a stamp, read back by object id, with the time of the attempt. All three times are on Graph's clock.
func Judge(t0, validFrom, now time.Time) Verdict {
	switch {
	case validFrom.IsZero() || validFrom.Before(t0.Add(-clockSlack)):
		return NotMoved
	case validFrom.After(now.Add(futureSlack)):
		return FutureDate
	default:
		return Proven
	}
}

// When to read back. An accepted call is read back until readFor has passed, then called once more and read back as
// long again. A call whose answer was lost or unclear is read back a few times, then attempted again.
const (
	readFor       = 5 * time.Minute
	maxReadGap    = 30 * time.Second
	firstReadGap  = 300 * time.Millisecond // Graph usually shows the stamp at once; the schedule proper starts at 1 s
	lostReads     = 4                      // at about 0.3, 1, 2 and 4 s
	maxAttempts   = 4                      // calls per target before giving up
	maxUnreached  = 20                     // attempts at one target of a run of many that reached nobody
	wholeSchedule = 15                     // read-backs until readFor has passed; fewer end no attempt
	stoodStill    = time.Minute            // a read-back this late starts the schedule anew
	throttledFor  = time.Hour              // how long a run of one target goes on when Microsoft asks to wait
	maxThrottled  = 20                     // attempts at one target of a run of many that may end so
	maxSettled    = 2                      // accepted calls per target: the first, and the one more of rule 3
)

// readGap is the wait before read-back number n (from 0): 0.3, 1, 2, 4, 8, 16, 30, 30 ... seconds.
func readGap(n int) time.Duration {
	if n == 0 {
		return firstReadGap
	}
	gap := time.Second << min(n-1, 5)
	return min(gap, maxReadGap)
}

// retryGap is the wait before attempt n (from 2) when Graph named none: 1, 2, 4 ... seconds, at most 5 minutes.
func retryGap(n int) time.Duration { return min(time.Second<<max(0, min(n-2, 9)), 5*time.Minute) }
