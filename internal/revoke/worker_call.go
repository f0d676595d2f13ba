package revoke

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"evict/internal/directory"
	"evict/internal/operator"
)

const (
	maxRefused = 20               // refusals in a row, against the prediction, that pause a run
	freshFor   = 30 * time.Second // how long a token counts as newly issued
	longOutage = 30 * time.Second // the longest wait between tries to reach Graph
)

// offset is Graph's clock less ours. A new process does not know it yet, and asks with a reading of the operator's own
// account: T0 must be on Graph's clock, or an old stamp could prove a new attempt.
func (w *worker) offset(ctx context.Context) (time.Duration, error) {
	if d, known := w.graph.Offset(); known {
		return d, nil
	}
	ctx, cancel := context.WithTimeout(ctx, beatTime) // the lease goes on meanwhile
	defer cancel()
	_, _, err := w.graph.SessionsFrom(ctx, w.src, w.run.Operator.OID)
	d, known := w.graph.Offset()
	if !known {
		return 0, fmt.Errorf("asking Graph for its time: %w", cmp.Or(err, errNoDate))
	}
	return d, nil
}

var errNoDate = errors.New("no answer named a date")

// self reports whether the target is the run's own operator, who is called through /me.
func (w *worker) self(t RunTarget) bool { return t.OID == w.run.Operator.OID }

// call makes the call whose intent is recorded.
func (w *worker) call(ctx context.Context, t RunTarget) {
	src := w.src
	if t.Status == http.StatusForbidden { // refused before: once more, with roles as they are now
		if w.fresher == nil || w.now().Sub(w.fresher.since) > freshFor {
			w.fresher = &newToken{TokenSource: w.src, since: w.now()}
		}
		src = w.fresher
	}
	w.flight.begin(calling)
	go func() {
		r := result{was: t, kind: calling}
		if w.self(t) {
			r.answer, r.err = w.graph.RevokeSelf(ctx, src, t.ClientRequestID)
		} else {
			r.answer, r.err = w.graph.Revoke(ctx, src, t.OID, t.ClientRequestID)
		}
		w.results <- r
	}()
}

// read reads the stamp by object id.
func (w *worker) read(ctx context.Context, t RunTarget) {
	src := w.src
	w.flight.begin(reading)
	go func() {
		r := result{was: t, kind: reading}
		r.sessions, r.answer, r.err = w.graph.SessionsFrom(ctx, src, t.OID)
		w.results <- r
	}()
}

// result is what came of a call or a reading.
type result struct {
	was      RunTarget
	kind     flightKind
	answer   directory.Answer
	sessions directory.Sessions
	err      error
}

// take settles a result. What it decides is committed with the next step.
func (w *worker) take(ctx context.Context, r result) {
	w.flight.end(r.kind, r.err)
	reauth, needsSignIn := errors.AsType[*operator.ReauthError](r.err)
	if needsSignIn {
		w.needSignIn(reauth)
		if r.kind == reading { // nothing was learned
			w.wait(r.was)
			return
		}
	}
	if ctx.Err() != nil {
		return // the worker is on its way out, and whoever takes the run up reads back
	}
	var s step
	if r.kind == reading {
		s = w.settleRead(r.was, r.sessions, r.err)
	} else {
		w.hear(r)
		w.notice(r.err)
		s = w.settle(r.was, r.answer, r.err)
		w.countRefusals(s)
	}
	w.steps = append(w.steps, s)
}

// hear notes what an answer says about Microsoft's limits.
func (w *worker) hear(r result) {
	w.heard.Answers++
	w.heard.Load = max(w.heard.Load, r.answer.Load)
	call, ok := errors.AsType[*directory.CallError](r.err)
	if !ok {
		return
	}
	w.heard.Load = max(w.heard.Load, call.Load)
	if call.Status == http.StatusTooManyRequests {
		w.heard.Throttled++
		w.heard.RetryAfter, w.heard.Scope = max(w.heard.RetryAfter, call.RetryAfter), call.ThrottleScope
	}
}

// notice slows the whole run down while Graph, or the sign-in service before it, cannot be reached.
func (w *worker) notice(err error) {
	if !unreached(err) {
		w.unreached = 0
		return
	}
	w.unreached++
	if wait := min(time.Second<<min(w.unreached/leastFlight, 5), longOutage); w.now().Add(wait).After(w.grantAt) {
		w.grantAt = w.now().Add(wait)
	}
}

// unreached reports whether nothing was sent.
func unreached(err error) bool {
	if _, reauth := errors.AsType[*operator.ReauthError](err); err == nil || reauth {
		return false
	}
	call, ok := errors.AsType[*directory.CallError](err)
	return !ok || call.Status == 0 && !call.Sent
}

// countRefusals pauses the run when so many in a row were refused against the prediction: an activated role has
// ended, perhaps.
func (w *worker) countRefusals(s step) {
	switch {
	case s.now.State == Accepted || s.now.State == NotCovered:
		w.run.Refused = 0
	case s.now.State == Refused && s.now.Verdict == directory.Allowed.String():
		if w.run.Refused++; w.run.Refused >= maxRefused {
			w.end(ending{state: RunPaused, pause: PauseNeedRole})
		}
	}
}

// newToken is a token source whose token is newly issued: once, for all who ask in the time that it counts as new.
type newToken struct {
	operator.TokenSource

	since time.Time
	once  sync.Once
	token operator.Token
	err   error
}

// Token waits for the new token.
func (f *newToken) Token(ctx context.Context) (operator.Token, error) {
	f.once.Do(func() { f.token, f.err = f.Fresh(ctx) })
	return f.token, f.err
}
