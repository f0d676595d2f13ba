package web

import (
	"time"

	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// newComparePage says what changed from one list to the next.
func newComparePage(before, after revoke.Preview, d revoke.Difference, who operator.Operator, now time.Time) templates.ComparePage {
	page := templates.ComparePage{
		Title:  "What changed",
		Before: templates.Link{Label: "The list before", Href: "/plans/" + string(before.ID)}, BeforeTime: showTime(before.ReadyAt, now),
		After: templates.Link{Label: "This list", Href: "/plans/" + string(after.ID)}, AfterTime: showTime(after.ReadyAt, now),
		Joined: thousands(d.Joined), Gone: thousands(d.Gone), Both: thousands(d.Both), Same: d.Joined+d.Gone == 0,
	}
	if who.Roles.MayOpen("scopes") {
		page.BulkHref = "/scopes"
	}
	rows := func(list []revoke.Target, n int) (out []templates.PersonRow, more string) {
		for _, t := range list {
			out = append(out, personRow(t, who.Roles.MayOpen("user")))
		}
		if n > len(list) {
			more = "And " + thousands(n-len(list)) + " more."
		}
		return out, more
	}
	page.JoinedRows, page.JoinedMore = rows(d.JoinedList, d.Joined)
	page.GoneRows, page.GoneMore = rows(d.GoneList, d.Gone)
	return page
}
