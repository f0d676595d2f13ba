package revoke

import (
	"container/heap"
	"context"
	"time"
)

// wait puts a target that has no outcome where its next step is taken from.
func (w *worker) wait(t RunTarget) {
	if t.State == Pending {
		heap.Push(&w.retries, t)
	} else {
		heap.Push(&w.reads, t)
	}
}

// await waits until something came back, or the lease wants to be renewed.
func (w *worker) await(ctx context.Context) error {
	beat := time.NewTimer(w.untilNext())
	defer beat.Stop()
	select {
	case r := <-w.results:
		w.take(ctx, r)
	case <-beat.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	gathered := time.NewTimer(gatherTime)
	defer gathered.Stop()
	for range gatherMost - 1 {
		if w.flight.total() == 0 {
			return nil
		}
		select {
		case r := <-w.results:
			w.take(ctx, r)
		case <-gathered.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// untilNext is how long to wait for answers before something else is due.
func (w *worker) untilNext() time.Duration {
	wait := beatTime
	if w.giving() {
		return wait
	}
	if len(w.reads) > 0 && w.flight.roomToRead() && !(w.ending != nil && w.ending.now) {
		wait = min(wait, w.reads[0].DueAt.Sub(w.now()))
	}
	if at, any := w.nextCall(); any && w.flight.roomToCall() > 0 {
		wait = min(wait, at.Sub(w.now()))
	}
	return max(wait, gatherTime)
}

// rest waits, when nothing is under way, until something is due. A longer wait gives the run back, and so do the end
// of the slice and a shutdown; again reports that there is work at once.
func (w *worker) rest(ctx context.Context) (given, again bool, err error) {
	due := w.now().Add(longestWait) // to see what people wish, at least
	at, any := w.nextCall()
	switch {
	case len(w.reads) > 0 && (!any || w.reads[0].DueAt.Before(at)):
		due = w.reads[0].DueAt
	case any:
		due = at
	}
	switch wait := due.Sub(w.now()); {
	case len(w.steps) > 0 || w.drained():
		return false, false, nil // there is something to commit
	case w.giving():
		return true, !w.stopping() && wait <= 0, w.store.Release(ctx, w.fence, due)
	case wait <= 0:
		return false, false, nil
	case wait > longestWait && !w.holds:
		return true, false, w.store.Release(ctx, w.fence, due)
	default:
		if err := w.sleep(ctx, min(wait, longestWait)); err != nil {
			return false, false, err
		}
		w.committed = w.now().Add(-leaseTime) // renew the lease with the next step
		return false, false, nil
	}
}

// nextCall is when the next call may be begun, if there is one to begin.
func (w *worker) nextCall() (at time.Time, any bool) {
	switch {
	case w.ending != nil:
		return time.Time{}, false
	case w.fresh() > 0:
		at = w.now()
	case len(w.retries) > 0:
		at = w.retries[0].DueAt
	default:
		return time.Time{}, false
	}
	if at.Before(w.grantAt) {
		at = w.grantAt
	}
	return at, true
}

// queue is the targets that wait, the one that is due first in front: a heap.
type queue []RunTarget

func (q queue) due(now time.Time) bool { return len(q) > 0 && !q[0].DueAt.After(now) }

func (q *queue) take() RunTarget { return heap.Pop(q).(RunTarget) }

// Len, Less, Swap, Push and Pop make it a heap.Interface.
func (q queue) Len() int { return len(q) }

// Less orders by due time, then position.
func (q queue) Less(i, j int) bool {
	if c := q[i].DueAt.Compare(q[j].DueAt); c != 0 {
		return c < 0
	}
	return q[i].Pos < q[j].Pos
}

// Swap swaps two targets.
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push adds a target at the end.
func (q *queue) Push(x any) { *q = append(*q, x.(RunTarget)) }

// Pop removes the last target.
func (q *queue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = RunTarget{}
	*q = (*q)[:last]
	return t
}
