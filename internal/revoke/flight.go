package revoke

import (
	"errors"
	"net/http"

	"evict/internal/directory"
)

// How many calls may be under way at the same time. Their number adapts: it grows with each answer and halves with a
// sign of distress, so that a slow Graph is not pushed and a quick one is used.
const (
	firstFlight = 64
	leastFlight = 8
	maxFlight   = 1024 // 3,000 calls in a second at 150 ms each need about 450
)

// flightKind tells calls from readings.
type flightKind int

const (
	calling flightKind = iota
	reading
)

// flight counts what is under way. Calls and readings have a window each, of the same size.
type flight struct {
	under  [2]int
	window int
	grace  int // answers until the window may halve again: those were sent before it did
}

func newFlight() flight { return flight{window: firstFlight} }

func (f *flight) total() int { return f.under[calling] + f.under[reading] }

func (f *flight) roomToCall() int { return max(0, min(f.window, maxFlight/2)-f.under[calling]) }

func (f *flight) roomToRead() bool { return f.under[reading] < min(f.window, maxFlight/2) }

func (f *flight) begin(k flightKind) { f.under[k]++ }

func (f *flight) end(k flightKind, err error) {
	if f.grace > 0 {
		f.grace--
	}
	switch {
	case err == nil:
		f.window = min(f.window+1, maxFlight/2)
	case distress(err) && f.grace == 0:
		f.window, f.grace = max(leastFlight, f.window/2), f.total()
	}
	f.under[k]--
}

// distress reports whether an answer, or none, says that Graph has too much to do.
func distress(err error) bool {
	call, ok := errors.AsType[*directory.CallError](err)
	if !ok {
		return unreached(err)
	}
	return call.Status == 0 || call.Status == http.StatusTooManyRequests || call.Status >= 500
}
