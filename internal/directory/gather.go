package directory

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// atOnce bounds the Graph calls that one page makes at the same time.
const atOnce = 6

// gather reads the parts of a page side by side. A part that fails becomes an Unread; a failure that stops the page
// cancels the rest.
type gather struct {
	group *errgroup.Group
	ctx   context.Context //nolint:containedctx // of the group, for as long as the page is being read

	mu     sync.Mutex
	unread []Unread
	errs   []error
	parts  int
}

func newGather(ctx context.Context) *gather {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	return &gather{group: g, ctx: ctx}
}

// read starts reading one part. It must not be called from within a part.
func (g *gather) read(p part, f func(ctx context.Context) error) {
	g.parts++
	g.group.Go(func() error {
		err := f(g.ctx)
		if err == nil {
			return nil
		}
		// A missing consent for one part is no reason to send anybody to sign in; a dead sign-in stops the other parts.
		if stops(g.ctx, err) && (p.scope == "" || g.ctx.Err() != nil) {
			return err
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.errs = append(g.errs, err)
		g.unread = append(g.unread, p.unread(err))
		return nil
	})
}

// must starts reading something without which there is no page.
func (g *gather) must(what string, f func(ctx context.Context) error) {
	g.group.Go(func() error {
		if err := f(g.ctx); err != nil {
			return failed(g.ctx, what, err)
		}
		return nil
	})
}

// wait returns what could not be read, or the error that stopped the page.
func (g *gather) wait() ([]Unread, error) {
	if err := g.group.Wait(); err != nil {
		return nil, err
	}
	return tidied(g.unread), nil
}

// tidied sorts and removes doubles, so that a page always looks the same.
func tidied(list []Unread) []Unread {
	slices.SortFunc(list, func(a, b Unread) int { return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Why, b.Why)) })
	return slices.Compact(list)
}
