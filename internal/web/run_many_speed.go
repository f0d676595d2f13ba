package web

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"evict/internal/revoke"
	"evict/web/templates"
)

// callRate is how many calls a second a run made lately, and not before since: a pause in between is no slowness; 0
// when nothing is known.
func callRate(samples []revoke.Sample, since, now time.Time) float64 {
	samples = slices.DeleteFunc(slices.Clone(samples), func(x revoke.Sample) bool { return x.At.Before(since) })
	if len(samples) < 2 {
		return 0
	}
	last := samples[len(samples)-1]
	if now.Sub(last.At) > time.Minute {
		return 0
	}
	first := samples[0]
	for _, x := range samples {
		if last.At.Sub(x.At) < rateSpan {
			break
		}
		first = x
	}
	span := last.At.Sub(first.At).Seconds()
	if span <= 0 {
		return 0
	}
	return float64(last.Begun-first.Begun) / span
}

// speed is how long a run still takes, and how fast it goes.
func speed(v manyView) []templates.Count {
	left := v.run.Untouched() + v.run.Counts[revoke.Pending]
	if v.run.State != revoke.RunRunning || v.run.Wish != revoke.NoWish || v.quota == nil || left == 0 {
		return nil
	}
	d := v.quota.Left(v.now, left)
	label := "left, by Microsoft's quota"
	if perSecond := callRate(v.samples, v.resumed, v.now); perSecond > 0 {
		d = max(d, time.Duration(float64(left)/perSecond*float64(time.Second)))
		label = "left; lately " + perSecondWords(perSecond)
	}
	return []templates.Count{{Value: "about " + duration(max(d, time.Second)), Label: label}}
}

func perSecondWords(rate float64) string {
	if rate >= 100 {
		return thousands(int(rate+0.5)) + "/s"
	}
	return fmt.Sprintf("%.1f/s", rate)
}

// bound says which limit keeps a run from going faster, in plain words.
func bound(v manyView) string {
	if v.run.State != revoke.RunRunning {
		return ""
	}
	var s string
	switch v.run.Limit {
	case revoke.LimitBucket:
		s = "What limits it: Microsoft's write quota for this app" + quotaWords(v.quota) + ". All runs of this console share it."
	case revoke.LimitApp:
		s = "What limits it: Microsoft asked this app to slow down. It goes on slower and gets faster again by itself."
	case revoke.LimitTenant:
		s = "What limits it: Microsoft's limit for the whole tenant, which other apps use up too. It is not this console alone; the run goes on as there is room."
	case revoke.LimitCanary:
		s = "What limits it: the first 20 must answer and one of them be confirmed, before the rest is called."
	case revoke.LimitFlight:
		s = "What limits it: how many calls may be under way at the same time."
	case revoke.LimitNone:
	}
	if v.quota != nil && v.quota.Hold.After(v.now) {
		s = joinNonEmpty(" ", s, "Microsoft asked to wait until "+v.quota.Hold.UTC().Format("15:04:05 UTC")+".")
	}
	return s
}

func quotaWords(q *revoke.Quota) string {
	if q == nil {
		return ""
	}
	return ", " + thousands(int(q.Burst)) + " calls in 150 s"
}

// newChart draws how far a run has come; nil while there is nothing to draw.
func newChart(run revoke.Run, samples []revoke.Sample) *templates.Chart {
	if len(samples) == 0 || run.Total == 0 {
		return nil
	}
	if samples[0].At.After(run.CreatedAt) {
		samples = append([]revoke.Sample{{At: run.CreatedAt}}, samples...)
	}
	first, last := samples[0], samples[len(samples)-1]
	span := last.At.Sub(first.At)
	if span <= 0 {
		return nil
	}
	c := &templates.Chart{
		Top: people(run.Total), From: momentOf(first.At), To: momentOf(last.At),
		InWords: fmt.Sprintf("From %s to %s: %s of %s done, %s of them confirmed.", momentOf(first.At), momentOf(last.At),
			thousands(last.Final), thousands(run.Total), thousands(last.Confirmed)),
	}
	share := func(n int) float64 { return min(1, float64(n)/float64(run.Total)) }
	for _, x := range samples {
		c.Points = append(c.Points, templates.ChartPoint{X: float64(x.At.Sub(first.At)) / float64(span), Done: share(x.Final), Confirmed: share(x.Confirmed)})
	}
	for i := range chartRows {
		x := samples[i*(len(samples)-1)/(chartRows-1)]
		row := templates.ChartRow{Time: momentOf(x.At), Done: thousands(x.Final), Confirmed: thousands(x.Confirmed)}
		if len(c.Rows) == 0 || c.Rows[len(c.Rows)-1] != row {
			c.Rows = append(c.Rows, row)
		}
	}
	return c
}

func momentOf(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// tally is a run of many in a line: "388 confirmed · 12 refused · 12 to go".
func tally(run revoke.Run) string {
	var parts []string
	for _, s := range statesInOrder() {
		n := run.Counts[s]
		if n == 0 || !s.Final() {
			continue
		}
		parts = append(parts, thousands(n)+" "+string(s))
	}
	open := run.Counts.Open() + run.Untouched()
	switch {
	case open == 0:
	case run.State == revoke.RunCancelled:
		parts = append(parts, thousands(open)+" never called")
	default:
		parts = append(parts, thousands(open)+" to go")
	}
	return strings.Join(parts, " · ")
}
