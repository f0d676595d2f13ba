package web

import (
	"context"
	"net/url"
	"strconv"

	"evict/internal/audit"
	"evict/web/templates"
)

// listPages makes the stable addresses of what is around a page of events.
type listPages struct {
	address string
	values  url.Values // of this page's address
	query   audit.Query
	found   audit.Found
}

// upwards reports whether the page was asked for towards newer events.
func (l listPages) upwards() bool { return l.query.After > 0 && l.query.Before == 0 }

// link is this list from another place on. Which runs stand open belongs to the place.
func (l listPages) link(key string, seq int64) string {
	next := url.Values{}
	for k := range l.values {
		if k != "before" && k != "after" && k != templates.FieldOpen && l.values.Get(k) != "" {
			next.Set(k, l.values.Get(k))
		}
	}
	next.Set(key, strconv.FormatInt(seq, 10))
	return address(l.address, next)
}

// older leads to the events before this page; "" when there is nothing more that is known of.
func (l listPages) older(key string) string {
	n := len(l.found.Records)
	switch {
	case n > 0 && (l.found.More || l.upwards()):
		return l.link(key, l.found.Records[n-1].Seq)
	case n == 0 && l.upwards():
		return l.link(key, l.query.After+1)
	default:
		return ""
	}
}

// newer leads to the events after this page; "" at the newest.
func (l listPages) newer(key string) string {
	n := len(l.found.Records)
	switch {
	case l.upwards() && (n == 0 || !l.found.More):
		return ""
	case l.upwards() || l.query.Before > 0 && n > 0:
		return l.link(key, l.found.Records[0].Seq)
	case l.query.Before > 0:
		return l.link(key, l.query.Before-1)
	default:
		return ""
	}
}

// further is the same search from where it gave up; "" when it did not, or when the page is full and the pager goes on.
func (l listPages) further() (href string) {
	switch {
	case l.found.SearchedTo == 0 || l.found.More:
		return ""
	case l.upwards():
		return l.link("after", l.found.SearchedTo)
	default:
		return l.link("before", l.found.SearchedTo)
	}
}

// searched says how far a search came that gave up before it had looked at everything.
func (s *Server) searched(ctx context.Context, l listPages) (string, templates.Link) {
	href := l.further()
	if href == "" {
		return "", templates.Link{}
	}
	found := " Nothing found so far."
	if len(l.found.Records) > 0 {
		found = " Nothing more found so far."
	}
	where := eventNumber(l.found.SearchedTo, s.dayOf(ctx, l.found.SearchedTo))
	if l.upwards() {
		return "Searched up to " + where + "." + found, templates.Link{Label: "Search further on", Href: href}
	}
	return "Searched back to " + where + "." + found, templates.Link{Label: "Search further back", Href: href}
}
