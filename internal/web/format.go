package web

import (
	"fmt"
	"time"

	"evict/web/templates"
)

// showTime renders an instant for people: UTC, and how long ago. The zero time shows nothing.
func showTime(t, now time.Time) templates.Time {
	if t.IsZero() {
		return templates.Time{}
	}
	t = t.UTC()
	return templates.Time{
		UTC:      t.Format("2 Jan 2006 15:04:05 UTC"),
		ISO:      t.Format(time.RFC3339),
		Relative: relative(now.Sub(t)),
	}
}

// relative says how far an instant lies back, or ahead, in one unit.
func relative(d time.Duration) string {
	future := d < 0
	if future {
		d = -d
	}
	var s string
	switch {
	case d < 2*time.Second:
		return "just now"
	case d < 2*time.Minute:
		s = fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		s = fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour:
		s = fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
	default:
		s = fmt.Sprintf("%d days", int(d.Round(24*time.Hour).Hours()/24))
	}
	if future {
		return "in " + s
	}
	return s + " ago"
}

// clockTime is a time of day for a sentence: "15:32 UTC".
func clockTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("15:04 UTC")
}

// formTime reads a datetime-local input as UTC, or a time as events and exports write it. Browsers leave the seconds out
// when they are zero.
func formTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02", time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("not a time like 2026-11-23T14:05")
}

// days of a wait for a sentence: "40 s", "3 min".
func wait(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	default:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
}
