package web

import (
	"net/url"
	"time"

	"evict/internal/audit"
	"evict/web/templates"
)

// mostBars is how many bars a histogram has at most: each stays wide enough to be hit.
const mostBars = 42

// span is the time that one bar stands for.
type span struct {
	name  string
	begin func(time.Time) time.Time
	next  func(time.Time) time.Time
	label string // layout of the whole name
	short func(time.Time) string
}

func spans() []span {
	return []span{
		{"day", func(t time.Time) time.Time { return t }, func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }, "2 Jan 2006", func(t time.Time) string {
			if t.Day() == 1 {
				return t.Format("Jan")
			}
			return t.Format("2")
		}},
		{
			"month", func(t time.Time) time.Time { return t.AddDate(0, 0, 1-t.Day()) }, func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }, "January 2006",
			func(t time.Time) string {
				if t.Month() == time.January {
					return t.Format("2006")
				}
				return t.Format("Jan")
			},
		},
		{
			"year", func(t time.Time) time.Time { return time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC) }, func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }, "2006",
			func(t time.Time) string { return t.Format("2006") },
		},
	}
}

// dayChart draws the counts by day; over a longer time by month or year, each of which narrows to its days. day is that
// of the event at which counting stopped. A single bar says nothing that the list does not: there is no chart then.
func dayChart(h audit.Histogram, v url.Values, q audit.Query, day string) *templates.DayChart {
	counts, oldest, newest := byDay(h.Days)
	if len(counts) == 0 {
		return nil
	}
	unit := spans()[0]
	for _, unit = range spans() {
		if barsBetween(unit, oldest, newest) <= mostBars {
			break
		}
	}
	sums, top := map[time.Time]int64{}, int64(0)
	for day, n := range counts {
		sums[unit.begin(day)] += n
		top = max(top, sums[unit.begin(day)])
	}
	out := &templates.DayChart{Title: "Events by " + unit.name, Top: thousands(int(top)), To: unit.begin(newest).Format(unit.label)}
	for at, bars := unit.begin(newest), 0; !at.Before(unit.begin(oldest)) && bars < mostBars; at, bars = unit.begin(at.AddDate(0, 0, -1)), bars+1 {
		out.Bars = append(out.Bars, newBar(v, q, unit, at, sums[at], top))
		out.From = at.Format(unit.label)
	}
	if to := h.SearchedTo; to > 0 {
		out.Note = "Counted back to " + eventNumber(to, day) + ". What is older was not counted."
	} else if len(out.Bars) < 2 {
		return nil
	}
	return out
}

// foundWords says how many events a search selects, as far as they were counted: those inside folded runs, too. day is
// that of the event at which counting stopped. Of nothing the list itself speaks.
func foundWords(h audit.Histogram, filtered, folded bool, day string) string {
	n := 0
	for _, d := range h.Days {
		n += int(d.Events)
	}
	if n == 0 {
		return ""
	}
	words := counted(n, "event")
	if filtered {
		words += oneOf(n, " matches", " match")
	}
	if folded {
		words += ", those inside runs too"
	}
	switch {
	case h.SearchedTo == 0:
		return words + "."
	case day == "":
		return "At least " + words + ", counted back to " + eventNumber(h.SearchedTo, "") + "."
	default:
		return "At least " + words + ", counted back to " + day + "."
	}
}

// byDay is the counts under their day, with the oldest and the newest day.
func byDay(days []audit.DayBar) (counts map[time.Time]int64, oldest, newest time.Time) {
	counts = map[time.Time]int64{}
	for _, d := range days {
		day, err := time.Parse(time.DateOnly, d.Day)
		if err != nil || d.Events == 0 {
			continue
		}
		counts[day] += d.Events
		if oldest.IsZero() || day.Before(oldest) {
			oldest = day
		}
		if day.After(newest) {
			newest = day
		}
	}
	return counts, oldest, newest
}

func barsBetween(unit span, oldest, newest time.Time) int {
	n := 1
	for at := unit.begin(oldest); at.Before(unit.begin(newest)) && n <= mostBars; n++ {
		at = unit.next(at)
	}
	return n
}

// newBar is one bar. It narrows the list to its time, as far as the filter does not narrow more already.
func newBar(v url.Values, q audit.Query, unit span, begin time.Time, n, top int64) templates.DayBar {
	b := templates.DayBar{Label: begin.Format(unit.label) + ": " + counted(int(n), "event"), Short: unit.short(begin)}
	if n == 0 {
		b.Label = begin.Format(unit.label) + ": none"
		return b
	}
	b.Height = max(2, int(100*n/top)) // one event among many is still seen
	from, to := begin, unit.next(begin)
	if q.From.After(from) {
		from = q.From
	}
	if !q.To.IsZero() && q.To.Before(to) {
		to = q.To
	}
	b.Href = ledgerAddress(v, templates.FieldFrom, barTime(from), templates.FieldTo, barTime(to))
	return b
}

// barTime is a time as a datetime-local input holds it, to the millisecond; "" for none.
func barTime(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case t.Second() != 0 || t.Nanosecond() != 0:
		return t.UTC().Format("2006-01-02T15:04:05.999")
	default:
		return t.UTC().Format("2006-01-02T15:04")
	}
}
