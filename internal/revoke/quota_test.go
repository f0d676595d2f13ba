package revoke_test

import (
	"testing"
	"time"

	"evict/internal/revoke"
)

const rate = 20 // 3,000 in 150 s

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// drain takes whatever the bucket gives each 50 ms for a while, and returns how much that was.
func drain(q revoke.Quota, from time.Time, d time.Duration, urgent bool) (n int, after revoke.Quota) {
	for at := from; !at.After(from.Add(d)); at = at.Add(50 * time.Millisecond) {
		got := 0
		got, q = q.Take(at, 10_000, urgent)
		n += got
	}
	return n, q
}

func TestTheBucketGivesItsBurstAndThenItsRate(t *testing.T) {
	t.Parallel()
	n, q := drain(revoke.NewQuota(noon), noon, 0, false)
	if want := revoke.QuotaBurst - revoke.QuotaReserve; n != want {
		t.Fatalf("at once: %d, want %d", n, want)
	}
	if n, _ := drain(q, noon, 100*time.Second, false); n < 100*rate-1 || n > 100*rate {
		t.Errorf("in the next 100 s: %d, want %d", n, 100*rate)
	}
}

func TestSingleUsersHaveARoomOfTheirOwn(t *testing.T) {
	t.Parallel()
	_, q := drain(revoke.NewQuota(noon), noon, 0, false)
	if n, _ := q.Take(noon, 1000, true); n != revoke.QuotaReserve {
		t.Errorf("after a run of many: %d, want %d", n, revoke.QuotaReserve)
	}
}

func TestAHoldIsKeptAndProbedOnceASecond(t *testing.T) {
	t.Parallel()
	q := revoke.NewQuota(noon).Hear(noon, revoke.Heard{Throttled: 3, RetryAfter: 10 * time.Second, Scope: "Tenant/Write/app/tenant"})
	if n, _ := drain(q, noon, 9*time.Second, false); n != 0 {
		t.Errorf("a run of many got %d during the hold", n)
	}
	if n, _ := drain(q, noon, 9*time.Second, true); n != 10 {
		t.Errorf("single users got %d probes in 9 s, want 10", n)
	}
	if !q.TenantWide() {
		t.Error("the limit was the whole tenant's")
	}
	n, q := drain(q, noon.Add(10*time.Second), 10*time.Second, false)
	if n == 0 || n > 20*rate { // what came back during the hold, too: Microsoft's bucket fills as well
		t.Errorf("in the 10 s after the hold: %d", n)
	}
	before := q.Rate
	if _, q = drain(q, noon.Add(20*time.Second), 10*time.Minute, false); before >= rate || q.Rate != rate {
		t.Errorf("the rate was %v after the 429 and is %v long after, want less than %d and %[3]d", before, q.Rate, rate)
	}
}

func TestTheRateNeverFallsToNothing(t *testing.T) {
	t.Parallel()
	q := revoke.NewQuota(noon)
	at := noon
	for range 1000 {
		at = at.Add(time.Minute)
		q = q.Hear(at, revoke.Heard{Throttled: 1})
	}
	if n, _ := drain(q, at, 5*time.Minute, false); n == 0 {
		t.Error("nothing in five minutes")
	}
}

func TestNearTheLimitTheBurstIsSpreadOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		load      float64
		want, off int // calls in 5 s
	}{
		{0, revoke.QuotaBurst - revoke.QuotaReserve + 5*rate, 2},
		{0.85, 5 * 10 * rate, 10 * rate},
		{1.2, 5 * rate, rate},
	}
	for _, tt := range tests {
		q := revoke.NewQuota(noon).Hear(noon, revoke.Heard{Answers: 1, Load: tt.load})
		if n, _ := drain(q, noon, 5*time.Second, false); n < tt.want-tt.off || n > tt.want+tt.off {
			t.Errorf("at %v of the limit: %d in 5 s, want %d or so", tt.load, n, tt.want)
		}
	}
}

func TestAClockThatIsBehindTakesNothingBack(t *testing.T) {
	t.Parallel()
	_, q := revoke.NewQuota(noon).Take(noon, 100, false)
	_, behind := q.Take(noon.Add(-time.Hour), 0, false)
	if behind.Tokens != q.Tokens || !behind.At.Equal(q.At) {
		t.Errorf("got %v at %v, want %v at %v", behind.Tokens, behind.At, q.Tokens, q.At)
	}
}

func TestTheWaitIsWhatTheBucketNeeds(t *testing.T) {
	t.Parallel()
	_, q := drain(revoke.NewQuota(noon), noon, 0, false)
	if got := q.Wait(noon, 20); got < 900*time.Millisecond || got > 1100*time.Millisecond {
		t.Errorf("20 calls in %v, want 1 s", got)
	}
	if got := q.Left(noon, 7000).Round(time.Second); got != 350*time.Second {
		t.Errorf("7,000 calls in %v, want 350 s", got)
	}
}

func TestABucketOfAnotherSizeComesBackAtItsOwnRate(t *testing.T) {
	t.Parallel()
	q := revoke.NewQuota(noon).Sized(15_000)
	n, q := drain(q, noon, 0, false)
	if want := 15_000 - revoke.QuotaReserve; n != 10_000 && n != want {
		t.Errorf("at once: %d", n)
	}
	_, q = drain(q, noon, 0, false)
	if n, _ := drain(q, noon, 10*time.Second, false); n < 990 || n > 1000 {
		t.Errorf("in the next 10 s: %d, want 1,000", n)
	}
	if small := q.Sized(300); small.Tokens > 300 || small.Rate != 2 {
		t.Errorf("made small: %+v", small)
	}
}
