package audit

import (
	"cmp"
	"slices"
	"strconv"
)

// most is how many problems a report lists; it counts the others.
const most = 1000

// findings gathers problems while events pass in order. Neighbours with the same fault become one range, so that a
// whole stretch that is missing is one problem.
type findings struct {
	list []*finding
	more int
	open map[string]*finding // the newest of each sense: what the next event may extend
}

type finding struct {
	fault    Fault
	from, to int64
	say      func(from, to int64) string
}

// add notes a problem of the events from..to. Problems with the same fault and sense that follow each other are merged;
// say makes the sentence for the whole range, with the particulars of its first event.
func (f *findings) add(fault Fault, sense string, from, to int64, say func(from, to int64) string) {
	key := string(fault) + "/" + sense
	if last := f.open[key]; last != nil && last.to+1 == from {
		last.to = to
		return
	}
	one := &finding{fault: fault, from: from, to: to, say: say}
	if f.open == nil {
		f.open = map[string]*finding{}
	}
	f.open[key] = one
	f.keep(one)
}

// once notes a problem that is not of a stretch of events, or never merges.
func (f *findings) once(fault Fault, from, to int64, text string) {
	f.keep(&finding{fault: fault, from: from, to: to, say: func(_, _ int64) string { return text }})
}

func (f *findings) keep(one *finding) {
	if len(f.list) == most {
		f.more++
		return
	}
	f.list = append(f.list, one)
}

// problems lists what was found: of the ledger as a whole first, then by event.
func (f *findings) problems() []Problem {
	slices.SortStableFunc(f.list, func(a, b *finding) int { return cmp.Compare(a.from, b.from) })
	var out []Problem
	for _, one := range f.list {
		out = append(out, Problem{Fault: one.fault, From: one.from, To: one.to, Text: one.say(one.from, one.to)})
	}
	return out
}

// Grouped writes a number for people, with thousands separators: "1,204".
func Grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// quoted shows a text from outside on one line, what cannot be seen written out, cut to 100 characters.
func quoted(s string) string {
	if r := []rune(s); len(r) > 100 {
		s = string(r[:100]) + "..."
	}
	return strconv.Quote(s)
}

// Events names a range as the beginning of a sentence, "Event 5 was" or "Events 5 to 9 were", with the verb that fits.
func Events(from, to int64, one, many string) string {
	switch to {
	case from:
		return "Event " + Grouped(from) + " " + one
	case from + 1:
		return "Events " + Grouped(from) + " and " + Grouped(to) + " " + many
	}
	return "Events " + Grouped(from) + " to " + Grouped(to) + " " + many
}

// number counts things: "1 event", "1,204 events".
func number(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Grouped(n) + " " + one + "s"
}
