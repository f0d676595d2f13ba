package revoke_test

import (
	"testing"
	"time"

	"evict/internal/revoke"
)

func TestOnlyAStampFromTheAttemptOnProvesIt(t *testing.T) {
	t.Parallel()
	t0 := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	now := t0.Add(3 * time.Second)
	tests := []struct {
		name      string
		validFrom time.Time
		want      revoke.Verdict
	}{
		{"no value", time.Time{}, revoke.NotMoved},
		{"an older cut", t0.Add(-time.Hour), revoke.NotMoved},
		{"just outside the tolerance", t0.Add(-5*time.Second - time.Millisecond), revoke.NotMoved},
		{"whole seconds round down", t0.Add(-time.Second), revoke.Proven},
		{"at the edge of the tolerance", t0.Add(-5 * time.Second), revoke.Proven},
		{"after the attempt", t0.Add(2 * time.Second), revoke.Proven},
		{"clocks differ a little", now.Add(5 * time.Minute), revoke.Proven},
		{"dated in the future", now.Add(5*time.Minute + time.Second), revoke.FutureDate},
		{"dated far in the future", now.AddDate(10, 0, 0), revoke.FutureDate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := revoke.Judge(t0, tt.validFrom, now); got != tt.want {
				t.Errorf("Judge(%v) = %v, want %v", tt.validFrom, got, tt.want)
			}
		})
	}
}
