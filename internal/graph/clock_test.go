package graph_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"evict/internal/graph"
)

func TestOffsetIsMeasuredFromDateHeaders(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"same": 0, "ahead": 90*time.Second + 300*time.Millisecond, "behind": -7 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Our clock steps by 130 ms at each look, so that answers fall on all parts of Graph's second.
			var steps atomic.Int64
			start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			now := func() time.Time { return start.Add(time.Duration(steps.Load()) * 13 * time.Millisecond) }
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				steps.Add(7)
				w.Header().Set("Date", now().Add(ahead).Truncate(time.Second).Format(http.TimeFormat))
				answer(`{"value":true}`)(w, r)
			})
			c := client(t, s, func(o *graph.Options) { o.Now = now })
			if _, known := c.Offset(); known {
				t.Error("an offset is known before the first answer")
			}
			for range 40 {
				if _, err := c.Revoke(t.Context(), tokens{}, annID, ""); err != nil {
					t.Fatal(err)
				}
			}
			if got, known := c.Offset(); !known || (got-ahead).Abs() > 120*time.Millisecond {
				t.Errorf("got %v, want %v", got, ahead)
			}
		})
	}
}

func TestOffsetIgnoresOneOddDateAndFollowsASetClock(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var date atomic.Pointer[string]
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", *date.Load())
		answer(`{"value":true}`)(w, r)
	})
	c := client(t, s, func(o *graph.Options) { o.Now = func() time.Time { return start } })
	say := func(v string) {
		date.Store(&v)
		if _, err := c.Revoke(t.Context(), tokens{}, annID, ""); err != nil {
			t.Fatal(err)
		}
	}
	at := func(d time.Duration) string { return start.Add(d).Format(http.TimeFormat) }
	steps := []struct {
		date string
		want time.Duration
	}{
		{"not a date", 0},
		{at(0), 500 * time.Millisecond},
		{at(time.Hour), 500 * time.Millisecond},
		{at(0), 500 * time.Millisecond},
		{at(time.Hour), 500 * time.Millisecond},
		{at(time.Hour), time.Hour + 500*time.Millisecond},
	}
	for i, step := range steps {
		say(step.date)
		if got, _ := c.Offset(); got != step.want {
			t.Errorf("step %d: got %v, want %v", i, got, step.want)
		}
	}
}
