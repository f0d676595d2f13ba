package entrasim

import (
	"sync"
	"time"
)

// Request is one Graph request as the simulator saw it. Status 0 means that no answer was sent.
type Request struct {
	Method, Path, Query        string // canonical: /v1.0/users/{id}/..., also for /me; as it was asked when its token was refused
	Status                     int
	UserID                     string // the caller; the service principal of an application
	RequestID, ClientRequestID string
	Time                       time.Time // on Graph's clock
	InBatch                    bool
}

const requestsKept = 20_000

// requestLog keeps the last requests in a ring.
type requestLog struct {
	mu    sync.Mutex
	keep  int
	ring  []Request
	start int
}

func (l *requestLog) add(r Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < l.keep {
		l.ring = append(l.ring, r)
		return
	}
	l.ring[l.start] = r
	l.start = (l.start + 1) % l.keep
}

// Requests returns the Graph requests seen, oldest first; only the last ones are kept (Options.KeepRequests). Items of
// a batch are listed beside the batch. What must be counted over a long run is in Totals and Tally.
func (s *Sim) Requests() []Request {
	l := &s.requests
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Request, 0, len(l.ring))
	out = append(out, l.ring[l.start:]...)
	return append(out, l.ring[:l.start]...)
}
