package store

import (
	"context"
	"slices"
	"sync"
)

// mostRemembered is how many answers of the dictionaries are kept. Each names a thousand people or runs at most.
const mostRemembered = 32

// remembered keeps what the dictionaries answered last, since going through them takes longer than all the rest of a
// search. A page asks for its list and for its histogram side by side: then one of them asks, and the other one waits.
// The zero value is ready to be used.
type remembered struct {
	mu   sync.Mutex
	last []*answer // the oldest first
}

// question is what the dictionaries are asked, and of which ledger: an answer holds until the next event. The edge of the
// tree tells a ledger from an older one that was brought back and grew to as many events.
type question struct {
	events int64
	edge   string
	words  string
	noted  bool
	most   int
}

type answer struct {
	to      question
	known   chan struct{} // closed when the rest is there
	matches *matches      // nil when asking failed
}

// matches is what has some words, in the dictionaries.
type matches struct {
	oids, runs []string
	alone      []int64 // events without a run
	many       bool    // more than a lead may have, so that this is not all of it
}

// recall returns what was answered to a question, and asks when nothing was.
func (r *remembered) recall(ctx context.Context, to question, ask func() (*matches, error)) (*matches, error) {
	for {
		a, mine := r.get(to)
		if mine {
			return r.fill(a, ask)
		}
		select {
		case <-a.known:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if a.matches != nil { // else whoever asked went away
			return a.matches, nil
		}
	}
}

func (r *remembered) fill(a *answer, ask func() (*matches, error)) (_ *matches, err error) {
	defer close(a.known)
	defer func() {
		if a.matches == nil { // after a panic, too
			r.forget(a)
		}
	}()
	a.matches, err = ask()
	return a.matches, err
}

// get returns the answer to a question, or a place for it, which is the caller's to fill.
func (r *remembered) get(to question) (a *answer, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.IndexFunc(r.last, func(a *answer) bool { return a.to == to }); i >= 0 {
		return r.last[i], false
	}
	if len(r.last) == mostRemembered {
		r.last = slices.Delete(r.last, 0, 1)
	}
	a = &answer{to: to, known: make(chan struct{})}
	r.last = append(r.last, a)
	return a, true
}

func (r *remembered) forget(a *answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = slices.DeleteFunc(r.last, func(b *answer) bool { return a == b })
}
