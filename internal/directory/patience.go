package directory

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"evict/internal/fault"
	"evict/internal/operator"
)

// Limits of patience with one call.
const (
	maxPatience = 20 * time.Minute // of waiting for Microsoft's throttling, together
	maxBackoff  = 30 * time.Second // between calls when Graph names no time
	maxFailures = 5                // calls that ended in 5xx or in no answer
)

// patient is a Graph that waits when Microsoft asks to slow down, and calls again when it does not answer. It is for
// long readings that nobody sits in front of. All its readings are of no effect, so that repeating them is safe.
type patient struct {
	Graph

	wait func(ctx context.Context, d time.Duration) error
	tell *teller // is told of a longer wait
}

// try calls until it succeeds, fails for good, or patience ends.
func try[T any](ctx context.Context, p *patient, call func() (T, error)) (T, error) {
	var waited time.Duration
	for failures, throttled := 0, 0; ; {
		v, err := call()
		if err == nil || ctx.Err() != nil {
			return v, err
		}
		var d time.Duration
		e, ok := errors.AsType[*CallError](err)
		if !ok && fault.KindOf(err) == fault.Unavailable { // there was no token to be had
			e, ok = &CallError{}, true
		}
		switch {
		case !ok || e.Code == CodeForeign || e.Code == CodeUnexpected:
			return v, err
		case e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable && e.RetryAfter > 0:
			throttled++
			d = e.RetryAfter
			if d <= 0 {
				d = backoff(throttled)
			}
		case e.Status == 0 || e.Status >= 500:
			failures++
			if failures == maxFailures {
				return v, err
			}
			d = max(e.RetryAfter, backoff(failures))
		default:
			return v, err
		}
		if waited += d; waited > maxPatience {
			return v, err
		}
		resume := p.tell.pause(d)
		if err := p.wait(ctx, d); err != nil {
			return v, err
		}
		resume()
	}
}

// backoff is 1, 2, 4 ... seconds.
func backoff(n int) time.Duration { return min(time.Second<<min(n-1, 10), maxBackoff) }

// sleep waits, or returns the context's error when that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// teller says what is being done, from one goroutine at a time.
type teller struct {
	mu   sync.Mutex
	to   func(what string) // nil: nobody listens
	last string
}

func (t *teller) doing(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last = what; t.to != nil {
		t.to(what)
	}
}

// pause says that a longer wait begins. The function that it returns says what goes on after it.
func (t *teller) pause(d time.Duration) (resume func()) {
	if d < 5*time.Second || t.to == nil {
		return func() {}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.to(fmt.Sprintf("Microsoft Graph asks to slow down: going on in %.0f s", d.Seconds()))
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.to(t.last)
	}
}

// What an expansion reads, patiently.

// User is Graph's User.
func (p *patient) User(ctx context.Context, t operator.TokenSource, id string) (User, Answer, error) {
	var a Answer
	u, err := try(ctx, p, func() (u User, err error) { u, a, err = p.Graph.User(ctx, t, id); return u, err })
	return u, a, err
}

// Memberships is Graph's Memberships.
func (p *patient) Memberships(ctx context.Context, t operator.TokenSource, id string) (Memberships, error) {
	return try(ctx, p, func() (Memberships, error) { return p.Graph.Memberships(ctx, t, id) })
}

// Domains is Graph's Domains.
func (p *patient) Domains(ctx context.Context, t operator.TokenSource) ([]Domain, error) {
	return try(ctx, p, func() ([]Domain, error) { return p.Graph.Domains(ctx, t) })
}

// Group is Graph's Group.
func (p *patient) Group(ctx context.Context, t operator.TokenSource, id string) (Group, error) {
	return try(ctx, p, func() (Group, error) { return p.Graph.Group(ctx, t, id) })
}

// OwnedGroups is Graph's OwnedGroups.
func (p *patient) OwnedGroups(ctx context.Context, t operator.TokenSource, id string) ([]Group, error) {
	return try(ctx, p, func() ([]Group, error) { return p.Graph.OwnedGroups(ctx, t, id) })
}

// RoleDefinitions is Graph's RoleDefinitions.
func (p *patient) RoleDefinitions(ctx context.Context, t operator.TokenSource) ([]Role, error) {
	return try(ctx, p, func() ([]Role, error) { return p.Graph.RoleDefinitions(ctx, t) })
}

// ActiveRoles is Graph's ActiveRoles.
func (p *patient) ActiveRoles(ctx context.Context, t operator.TokenSource, id string) ([]Holding, error) {
	return try(ctx, p, func() ([]Holding, error) { return p.Graph.ActiveRoles(ctx, t, id) })
}

// EligibleRoles is Graph's EligibleRoles.
func (p *patient) EligibleRoles(ctx context.Context, t operator.TokenSource, id string) ([]Holding, error) {
	return try(ctx, p, func() ([]Holding, error) { return p.Graph.EligibleRoles(ctx, t, id) })
}

// Unit is Graph's Unit.
func (p *patient) Unit(ctx context.Context, t operator.TokenSource, id string) (Unit, error) {
	return try(ctx, p, func() (Unit, error) { return p.Graph.Unit(ctx, t, id) })
}

// UsersPage is Graph's UsersPage.
func (p *patient) UsersPage(ctx context.Context, t operator.TokenSource, list UserList, page string) (Page[User], error) {
	return try(ctx, p, func() (Page[User], error) { return p.Graph.UsersPage(ctx, t, list, page) })
}

// CountUsers is Graph's CountUsers.
func (p *patient) CountUsers(ctx context.Context, t operator.TokenSource, list UserList) (int, error) {
	return try(ctx, p, func() (int, error) { return p.Graph.CountUsers(ctx, t, list) })
}

// GroupsPage is Graph's GroupsPage.
func (p *patient) GroupsPage(ctx context.Context, t operator.TokenSource, id, page string) (Page[Group], error) {
	return try(ctx, p, func() (Page[Group], error) { return p.Graph.GroupsPage(ctx, t, id, page) })
}

// HoldersPage is Graph's HoldersPage.
func (p *patient) HoldersPage(
	ctx context.Context, t operator.TokenSource, role string, how How, page string,
) (Page[Holder], error) {
	return try(ctx, p, func() (Page[Holder], error) { return p.Graph.HoldersPage(ctx, t, role, how, page) })
}

// Joinable is Graph's Joinable.
func (p *patient) Joinable(ctx context.Context, t operator.TokenSource, id string) ([]Holder, error) {
	return try(ctx, p, func() ([]Holder, error) { return p.Graph.Joinable(ctx, t, id) })
}
