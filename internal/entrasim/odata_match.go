package entrasim

import (
	"slices"
	"strings"
	"time"
)

// getter reads a property of the object that a filter is asked about.
type getter func(name string) any

// match evaluates the filter. A property that is null is neither before nor after anything.
func (n *filterNode) match(get getter) bool {
	switch n.op {
	case "and":
		return n.kids[0].match(get) && n.kids[1].match(get)
	case "or":
		return n.kids[0].match(get) || n.kids[1].match(get)
	case "not":
		return !n.kids[0].match(get)
	case "any":
		return n.matchAny(get)
	}
	have := get(n.path)
	switch n.op {
	case "in":
		return slices.ContainsFunc(n.literals, func(v any) bool { return equalValues(have, v) })
	case "eq":
		return equalValues(have, n.literals[0])
	case "ne":
		return !equalValues(have, n.literals[0])
	case "startswith", "endswith", "contains":
		return matchText(n.op, have, n.literals[0])
	}
	return order(n.op, have, n.literals[0])
}

func (n *filterNode) matchAny(get getter) bool {
	items := listOf(get(n.path))
	if len(n.kids) == 0 {
		return len(items) > 0
	}
	return slices.ContainsFunc(items, func(item any) bool {
		return n.kids[0].match(func(path string) any {
			field, found := strings.CutPrefix(path, n.variable+"/")
			if !found {
				if path == n.variable {
					return item
				}
				return nil
			}
			if m, isObject := item.(map[string]any); isObject {
				return m[field]
			}
			return nil
		})
	})
}

func listOf(v any) []any {
	switch v := v.(type) {
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = s
		}
		return out
	case []map[string]any:
		out := make([]any, len(v))
		for i, m := range v {
			out[i] = m
		}
		return out
	}
	return nil
}

func equalValues(have, want any) bool {
	switch h := have.(type) {
	case string:
		w, good := want.(string)
		return good && strings.EqualFold(h, w)
	case time.Time:
		w, good := want.(time.Time)
		return good && h.Equal(w)
	case nil, bool, int:
		return have == want
	}
	return false
}

func matchText(op string, have, want any) bool {
	h, good := have.(string)
	if !good {
		return false
	}
	w, _ := want.(string)
	h, w = strings.ToLower(h), strings.ToLower(w)
	switch op {
	case "startswith":
		return strings.HasPrefix(h, w)
	case "endswith":
		return strings.HasSuffix(h, w)
	}
	return strings.Contains(h, w)
}

func order(op string, have, want any) bool {
	var cmp int
	switch h := have.(type) {
	case string:
		w, good := want.(string)
		if !good {
			return false
		}
		cmp = strings.Compare(strings.ToLower(h), strings.ToLower(w))
	case time.Time:
		w, good := want.(time.Time)
		if !good {
			return false
		}
		cmp = h.Compare(w)
	case int:
		w, good := want.(int)
		if !good {
			return false
		}
		cmp = h - w
	default:
		return false
	}
	switch op {
	case "gt":
		return cmp > 0
	case "ge":
		return cmp >= 0
	case "lt":
		return cmp < 0
	}
	return cmp <= 0
}
