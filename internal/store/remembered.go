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

// question is what a dictionary was asked, and when: an answer holds for as long as the ledger stays as it is, which
// the edge of its tree tells.
type question struct {
	events int64
	edge   string
	words  string
	noted  bool
	most   int
}

type answer struct {
	to    question
	known chan struct{} // closed when the rest is there
	found *found        // nil when asking failed
}

// found is what has some words, in the dictionaries.
type found struct {
	oids, runs []string
	alone      []int64 // events without a run
	many       bool    // more than a lead may have, so that this is not all of it
}

// answer returns what was answered to a question, and asks when nothing was.
func (r *remembered) answer(ctx context.Context, to question, ask func() (*found, error)) (*found, error) {
	a, mine := r.get(to)
	if mine {
		defer close(a.known)
		var err error
		if a.found, err = ask(); err != nil {
			r.forget(a)
		}
		return a.found, err
	}
	select {
	case <-a.known:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.found == nil { // whoever asked went away
		return ask()
	}
	return a.found, nil
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
