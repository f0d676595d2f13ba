package entrasim

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// object is anything that Graph shows: a user, a group, a role assignment.
type object any

// prop is one property of a kind of object.
type prop struct {
	name  string
	shown bool   // in the default set
	ops   string // what $filter allows without advanced queries, e.g. "eq in startswith"
	more  string // what it allows with ConsistencyLevel: eventual and $count=true
	get   func(*call, object) any
}

// entity describes a kind of object.
type entity struct {
	name, typ  string // "users" and "#microsoft.graph.user"
	props      []prop
	searchable []string
	expands    map[string]func(*call, object) ([]byte, bool)
	index      map[string]int
}

func (e *entity) build() *entity {
	e.index = make(map[string]int, len(e.props))
	for i := range e.props {
		e.index[strings.ToLower(e.props[i].name)] = i
	}
	return e
}

func (e *entity) find(name string) (int, bool) {
	i, found := e.index[strings.ToLower(name)]
	return i, found
}

// view is how an answer shows objects: the chosen properties and expansions.
type view struct {
	selected []int
	expand   []string
	typed    bool // annotate each object with its type
	explicit bool
}

// selection reads $select and $expand for one kind of object.
func (c *call) selection(e *entity) (view, *reply) {
	v := view{}
	names := splitList(c.query.Get("$select"))
	v.explicit = len(names) > 0
	for i := range e.props {
		if !v.explicit && e.props[i].shown {
			v.selected = append(v.selected, i)
		}
	}
	for _, n := range names {
		i, found := e.find(n)
		if !found {
			return v, c.graphError(http.StatusBadRequest, codeBad, fmt.Sprintf("Parsing OData Select and Expand failed: Could not find a property named '%s' on type '%s'.", clip(n), strings.TrimPrefix(e.typ, "#")))
		}
		if !slices.Contains(v.selected, i) {
			v.selected = append(v.selected, i)
		}
	}
	for _, x := range splitList(c.query.Get("$expand")) {
		name, _, _ := strings.Cut(x, "(")
		if _, found := e.expands[name]; !found {
			return v, c.graphError(http.StatusBadRequest, codeBad, fmt.Sprintf("Parsing OData Select and Expand failed: Could not find a property named '%s' on type '%s'.", clip(name), strings.TrimPrefix(e.typ, "#")))
		}
		v.expand = append(v.expand, name)
	}
	return v, nil
}

func splitList(v string) []string {
	var out []string
	for f := range strings.SplitSeq(v, ",") {
		if f = strings.TrimSpace(f); f != "" && f != "*" {
			out = append(out, f)
		}
	}
	return out
}

// append writes one object. What the caller may not see is null.
func (e *entity) append(b []byte, c *call, o object, v view) []byte {
	b = append(b, '{')
	return append(e.appendFields(b, c, o, v), '}')
}

func (e *entity) appendFields(b []byte, c *call, o object, v view) []byte {
	if v.typed && e.typ != "" {
		b = appendString(appendKey(b, "@odata.type"), e.typ)
	}
	hide := c.hides(o)
	for _, i := range v.selected {
		p := &e.props[i]
		b = appendKey(b, p.name)
		if hide != nil && hide(p.name) {
			b = append(b, "null"...)
			continue
		}
		b = appendValue(b, p.get(c, o))
	}
	for _, x := range v.expand {
		raw, found := e.expands[x](c, o)
		b = appendKey(b, x)
		if !found {
			raw = []byte("null")
		}
		b = append(b, raw...)
	}
	return b
}

// one answers a single object.
func (c *call) one(e *entity, o object, fragment string) *reply {
	v, rep := c.selection(e)
	if rep != nil {
		return rep
	}
	b := appendString([]byte(`{"@odata.context":`), c.base+"/$metadata#"+fragment+"/$entity")
	b = e.appendFields(b, c, o, v)
	return ok(append(b, '}'))
}

// listing is a collection to answer from.
type listing struct {
	entity   *entity // nil: objects of several kinds
	n        int
	at       func(int) object
	fragment string
	typed    bool
	top      int // page size when none is asked for; 0 means 100
	maxTop   int // 0 means 999
	order    func() func(int) object
	// narrow makes a smaller listing of all objects that can match the filter, where an index tells; nil: none does.
	narrow func(*filterNode) *listing
}

// listQuery is what a client asked of a collection.
type listQuery struct {
	filter   *filterNode
	search   *searchNode
	top      int
	skip     int
	count    bool
	advanced bool
	ordered  bool
	descend  bool
}

// list answers a page of a collection, or its count.
func (c *call) list(l listing) *reply {
	q, rep := c.listQuery(l)
	if rep != nil {
		return rep
	}
	v := view{}
	if l.entity != nil {
		if v, rep = c.selection(l.entity); rep != nil {
			return rep
		}
	}
	v.typed = l.typed
	if q.filter != nil && l.narrow != nil {
		if few := l.narrow(q.filter); few != nil {
			l = *few
		}
	}
	at := l.at
	if q.ordered && l.order != nil {
		at = l.order()
		if q.descend {
			up := at
			at = func(i int) object { return up(l.n - 1 - i) }
		}
	}
	if c.countOnly {
		if !q.advanced {
			return c.graphError(http.StatusBadRequest, codeBadRequest, "$count is not currently supported.")
		}
		return &reply{status: http.StatusOK, kind: "text/plain", body: []byte(strconv.Itoa(c.countMatches(l, q)))}
	}
	return c.page(l, q, v, at)
}

func (c *call) page(l listing, q listQuery, v view, at func(int) object) *reply {
	context := c.base + "/$metadata#" + l.fragment
	if v.explicit {
		context += "(" + strings.Join(splitList(c.query.Get("$select")), ",") + ")"
	}
	b := appendString([]byte(`{"@odata.context":`), context)
	items := make([]byte, 0, 64*min(q.top, l.n)+2)
	counting := q.count && q.skip == 0
	all := q.filter == nil && q.search == nil
	n, total, next := 0, 0, -1
	for i := q.skip; i < l.n; i++ {
		c.breathe(i)
		o := at(i)
		if !c.matches(l, q, o) {
			continue
		}
		if total++; n < q.top {
			if n > 0 {
				items = append(items, ',')
			}
			items = c.appendObject(items, l, o, v)
			n++
			continue
		}
		if next < 0 {
			next = i
		}
		if !counting || all {
			break
		}
	}
	if counting && all {
		total = l.n
	}
	if counting {
		b = strconv.AppendInt(appendKey(b, "@odata.count"), int64(total), 10)
	}
	if next >= 0 {
		b = appendString(appendKey(b, "@odata.nextLink"), c.nextLink(next))
	}
	b = append(appendKey(b, "value"), '[')
	b = append(b, items...)
	return ok(append(b, ']', '}'))
}

// breathe lets those who wait for the tenant's lock go first, every now and then on the way through a long list, so that
// a search through 250,000 people does not hold up everything else. Handlers of lists hold the lock for reading; people
// and groups are only ever added, so that positions stay what they were.
func (c *call) breathe(i int) {
	if i%256 == 255 {
		c.sim.mu.RUnlock()
		c.sim.mu.RLock()
	}
}

func (c *call) appendObject(b []byte, l listing, o object, v view) []byte {
	e := l.entity
	if e == nil {
		e = entityOf(o)
		v = c.mixedView(e)
	}
	if u, isUser := o.(*user); isUser && u.agent {
		v.typed = true // it is more than its list says
		return agentEntity().append(b, c, o, v)
	}
	return e.append(b, c, o, v)
}

// mixedView selects from a collection of several kinds what each kind has.
func (c *call) mixedView(e *entity) view {
	v := view{typed: true}
	names := splitList(c.query.Get("$select"))
	for i := range e.props {
		if len(names) == 0 && e.props[i].shown || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, e.props[i].name) }) {
			v.selected = append(v.selected, i)
		}
	}
	return v
}

func (c *call) countMatches(l listing, q listQuery) int {
	if q.filter == nil && q.search == nil {
		return l.n
	}
	n := 0
	for i := range l.n {
		if c.breathe(i); c.matches(l, q, l.at(i)) {
			n++
		}
	}
	return n
}

func (c *call) matches(l listing, q listQuery, o object) bool {
	if q.filter == nil && q.search == nil {
		return true
	}
	e := l.entity
	if e == nil {
		e = entityOf(o)
	}
	get := func(path string) any { return e.read(c, o, path) }
	return (q.filter == nil || q.filter.match(get)) && (q.search == nil || q.search.match(get))
}

// read follows a path such as initiatedBy/user/id from an object.
func (e *entity) read(c *call, o object, path string) any {
	name, rest, nested := strings.Cut(path, "/")
	i, found := e.find(name)
	if !found {
		return nil
	}
	v := e.props[i].get(c, o)
	for nested {
		m, isObject := v.(map[string]any)
		if !isObject {
			return nil
		}
		name, rest, nested = strings.Cut(rest, "/")
		v = m[name]
	}
	return v
}

// nextLink repeats the query with an opaque position. A fault can make it lead to another host.
func (c *call) nextLink(pos int) string {
	q := url.Values{}
	for k, v := range c.query {
		q[k] = v
	}
	q.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte("sim:"+strconv.Itoa(pos))))
	base := c.base
	if c.fault(ForeignNextLink) {
		base = "https://graph.attacker.example/v1.0"
	}
	return base + c.rawPath + "?" + strings.NewReplacer("%24", "$", "+", "%20").Replace(q.Encode())
}

func parseSkipToken(v string) (int, bool) {
	if v == "" {
		return 0, true
	}
	raw, err := base64.RawURLEncoding.DecodeString(v)
	if err != nil {
		return 0, false
	}
	digits, found := strings.CutPrefix(string(raw), "sim:")
	n, err := strconv.Atoi(digits)
	return n, found && err == nil && n >= 0
}
