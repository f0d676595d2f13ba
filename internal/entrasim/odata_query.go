package entrasim

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// listQuery reads the query options of a collection and refuses what Graph refuses.
func (c *call) listQuery(l listing) (listQuery, *reply) {
	q := listQuery{top: l.top}
	if q.top == 0 {
		q.top = 100
	}
	// Advanced queries of directory objects need the header and $count=true, except with $search, which needs the header.
	q.advanced = strings.EqualFold(c.header.Get("ConsistencyLevel"), "eventual")
	q.count = q.advanced && strings.EqualFold(c.query.Get("$count"), "true")
	if c.query.Has("$skip") {
		return q, c.graphError(http.StatusBadRequest, codeBadRequest, "'$skip' is not supported by the service.")
	}
	if rep := c.readTop(&q, l); rep != nil {
		return q, rep
	}
	skip, good := parseSkipToken(c.query.Get("$skiptoken"))
	if !good {
		return q, c.graphError(http.StatusBadRequest, "Directory_ExpiredPageToken", "The specified page token value has expired and can no longer be included in your request.")
	}
	q.skip = skip
	if rep := c.readFilter(&q, l); rep != nil {
		return q, rep
	}
	if rep := c.readSearch(&q, l); rep != nil {
		return q, rep
	}
	return q, c.readOrder(&q, l)
}

func (c *call) readTop(q *listQuery, l listing) *reply {
	most := l.maxTop
	if most == 0 {
		most = 999
	}
	v := c.query.Get("$top")
	if v == "" {
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return c.graphError(http.StatusBadRequest, codeBad, fmt.Sprintf("Invalid value '%s' for $top query option found. The $top query option requires a non-negative integer value.", clip(v)))
	}
	if n < 1 || n > most {
		return c.graphError(http.StatusBadRequest, codeUnsupportedQuery, fmt.Sprintf("Invalid page size specified: '%d'. Must be between 1 and %d inclusive.", n, most))
	}
	q.top = n
	return nil
}

func (c *call) readFilter(q *listQuery, l listing) *reply {
	src := c.query.Get("$filter")
	if src == "" {
		return nil
	}
	n, err := parseFilter(src)
	if err != nil {
		return c.graphError(http.StatusBadRequest, codeBad, "Invalid filter clause: "+err.Error())
	}
	if rep := c.checkFilter(n, l.entity, q.count || c.countOnly && q.advanced); rep != nil {
		return rep
	}
	q.filter = n
	return nil
}

// checkFilter refuses a property that cannot be filtered, an operator that it does not support, and an operator that
// only advanced queries support.
func (c *call) checkFilter(n *filterNode, e *entity, advanced bool) *reply {
	if many := n.clauses(); many > maxClauses {
		return c.graphError(http.StatusBadRequest, codeUnsupportedQuery, fmt.Sprintf(
			"Too many child clauses specified in search filter expression containing 'OR' operators: %d. Max allowed: %d.", many, maxClauses))
	}
	switch n.op {
	case "and", "or":
		for _, k := range n.kids {
			if rep := c.checkFilter(k, e, advanced); rep != nil {
				return rep
			}
		}
		return nil
	case "not":
		if !advanced {
			return c.unsupported()
		}
		return c.checkFilter(n.kids[0], e, advanced)
	}
	if e == nil {
		return c.unsupported()
	}
	name, _, _ := strings.Cut(n.path, "/")
	i, found := e.find(name)
	if !found {
		return c.graphError(http.StatusBadRequest, codeBad, fmt.Sprintf("Invalid filter clause: Could not find a property named '%s' on type '%s'.", clip(name), strings.TrimPrefix(e.typ, "#")))
	}
	p := &e.props[i]
	if slices.Contains(strings.Fields(p.ops), n.op) {
		return nil
	}
	if slices.Contains(strings.Fields(p.more), n.op) {
		if advanced {
			return nil
		}
		return c.unsupported()
	}
	return c.graphError(http.StatusBadRequest, codeUnsupportedQuery, fmt.Sprintf("Unsupported or invalid query filter clause specified for property '%s' of resource '%s'.", p.name, strings.TrimPrefix(e.typ, "#microsoft.graph.")))
}

func (c *call) unsupported() *reply {
	return c.graphError(http.StatusBadRequest, codeUnsupportedQuery, "Unsupported Query.")
}

func (c *call) readSearch(q *listQuery, l listing) *reply {
	src := c.query.Get("$search")
	if src == "" {
		return nil
	}
	if l.entity == nil || len(l.entity.searchable) == 0 {
		return c.graphError(http.StatusBadRequest, codeUnsupportedQuery, "$search is not supported on this resource.")
	}
	if !q.advanced {
		return c.graphError(http.StatusBadRequest, codeUnsupportedQuery, "Request with $search query parameter only works through MSGraph with a special request header: 'ConsistencyLevel: eventual'")
	}
	n, err := parseSearch(src)
	if err != nil {
		return c.graphError(http.StatusBadRequest, codeBad, "Syntax error: "+err.Error())
	}
	for _, p := range n.properties() {
		if !slices.ContainsFunc(l.entity.searchable, func(s string) bool { return strings.EqualFold(s, p) }) {
			return c.graphError(http.StatusBadRequest, codeUnsupportedQuery, fmt.Sprintf("Property '%s' does not support search.", clip(p)))
		}
	}
	q.search = n
	return nil
}

// readOrder takes displayName only. Together with a filter or a search it is an advanced query.
func (c *call) readOrder(q *listQuery, l listing) *reply {
	src := strings.TrimSpace(c.query.Get("$orderby"))
	if src == "" {
		return nil
	}
	name, dir, _ := strings.Cut(src, " ")
	if l.order == nil || !strings.EqualFold(name, "displayName") {
		return c.graphError(http.StatusBadRequest, codeUnsupportedQuery, "Sorting not supported for the current query.")
	}
	if (q.filter != nil || q.search != nil) && !q.count {
		return c.graphError(http.StatusBadRequest, codeUnsupportedQuery, "Sorting not supported for the current query.")
	}
	switch strings.ToLower(strings.TrimSpace(dir)) {
	case "", "asc":
	case "desc":
		q.descend = true
	default:
		return c.graphError(http.StatusBadRequest, codeBad, "Invalid $orderby clause.")
	}
	q.ordered = true
	return nil
}
