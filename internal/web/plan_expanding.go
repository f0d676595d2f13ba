package web

import (
	"slices"
	"time"

	"evict/internal/directory"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// foldUnread names the parts that could not be read, those of the same cause and way out together.
func foldUnread(list []directory.Unread) []templates.Unread {
	var out []templates.Unread
	for _, u := range unreadParts(list) {
		i := slices.IndexFunc(out, func(x templates.Unread) bool { return x.Why == u.Why && x.WayOut == u.WayOut })
		if i < 0 {
			out = append(out, u)
			continue
		}
		out[i].What += "; " + u.What
	}
	return out
}

func expandingTitle(p revoke.Preview) string {
	if p.State == revoke.PreviewFailed {
		return "The people could not be found"
	}
	return "Finding the people"
}

// newExpanding is how far a list is that is being made.
func newExpanding(p revoke.Preview, who operator.Operator, now time.Time) templates.ExpandingLive {
	live := templates.ExpandingLive{
		Href: "/plans/" + string(p.ID), Active: p.State == revoke.PreviewExpanding, Scope: planScope(p.Scope, p.Options),
		Found: thousands(p.Found), Doing: p.Doing, Began: showTime(p.CreatedAt, now), Took: duration(max(0, now.Sub(p.CreatedAt))),
		By: orElse(p.Creator.UPN, p.Creator.OID),
	}
	if who.Roles.MayOpen("scopes") {
		live.BulkHref = "/scopes"
	}
	if p.Parent != "" {
		live.ParentHref = "/plans/" + string(p.Parent)
	}
	if p.State == revoke.PreviewFailed {
		live.Failure, live.Took = orElse(p.Failure, "It is not known why."), duration(max(0, p.BeatAt.Sub(p.CreatedAt)))
		if who.Roles.MayOpen("plan.again") {
			live.AgainAction = live.Href + "/again"
		}
	}
	return live
}
