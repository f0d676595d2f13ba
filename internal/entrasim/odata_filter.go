package entrasim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A filter expression: enough of OData 4 for what Graph documents on directory objects.
//
//	expr  = or ; or = and {"or" and} ; and = not {"and" not} ; not = ["not"] atom
//	atom  = "(" expr ")" | func "(" path "," literal ")" | path op literal | path "in" "(" literals ")"
//	      | path "/any(" var ":" expr ")"
type filterNode struct {
	op       string // and or not eq ne gt ge lt le in startswith endswith contains any
	kids     []*filterNode
	path     string
	literals []any
	variable string
}

const (
	maxFilterDepth  = 20
	maxFilterLength = 8192
	maxClauses      = 15 // Graph's own limit of what stands in one "or" or "in"
)

var errFilter = errors.New("invalid filter clause")

// clauses counts what stands in one "or" or "in", as Graph does for its limit.
func (n *filterNode) clauses() int {
	switch n.op {
	case "or":
		return n.kids[0].clauses() + n.kids[1].clauses()
	case "in":
		return len(n.literals)
	}
	return 1
}

// fixes reports whether all that matches has one of a few values of one of the properties.
func (n *filterNode) fixes(paths ...string) bool {
	switch n.op {
	case "and":
		return n.kids[0].fixes(paths...) || n.kids[1].fixes(paths...)
	case "or":
		return n.kids[0].fixes(paths...) && n.kids[1].fixes(paths...)
	case "eq", "in":
		return slices.Contains(paths, n.path)
	}
	return false
}

type filterToken struct {
	kind  byte // w word, s string, ( ) , : and 0 for the end
	text  string
	start int
}

// parseFilter reads a $filter.
func parseFilter(src string) (*filterNode, error) {
	if len(src) > maxFilterLength {
		return nil, fmt.Errorf("%w: the filter is too long", errFilter)
	}
	toks, err := lexFilter(src)
	if err != nil {
		return nil, err
	}
	p := &filterParser{toks: toks}
	n, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.peek().kind != 0 {
		return nil, fmt.Errorf("%w: syntax error at position %d", errFilter, p.peek().start)
	}
	return n, nil
}

func lexFilter(src string) ([]filterToken, error) {
	var out []filterToken
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '(' || c == ')' || c == ',' || (c == ':' && !inNumber(src, i)):
			out = append(out, filterToken{c, string(c), i})
			i++
		case c == '\'':
			value, n, good := lexString(src[i:])
			if !good {
				return nil, fmt.Errorf("%w: there is an unterminated string literal at position %d", errFilter, i)
			}
			out = append(out, filterToken{'s', value, i})
			i += n
		case isWordByte(c):
			start := i
			for i < len(src) && (isWordByte(src[i]) || (src[i] == ':' && inNumber(src, i))) {
				i++
			}
			out = append(out, filterToken{'w', src[start:i], start})
		default:
			return nil, fmt.Errorf("%w: syntax error: character '%s' is not valid at position %d", errFilter, clip(string(rune(c))), i)
		}
	}
	return append(out, filterToken{start: len(src)}), nil
}

// inNumber tells the colon of a time (between digits) from that of a lambda.
func inNumber(src string, i int) bool {
	return i > 0 && i+1 < len(src) && isDigit(src[i-1]) && isDigit(src[i+1])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordByte(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("_/.-+$@", c) >= 0
}

func lexString(src string) (value string, length int, good bool) {
	var b strings.Builder
	for i := 1; i < len(src); i++ {
		if src[i] != '\'' {
			b.WriteByte(src[i])
			continue
		}
		if i+1 < len(src) && src[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return b.String(), i + 1, true
	}
	return "", 0, false
}

type filterParser struct {
	toks []filterToken
	pos  int
}

func (p *filterParser) peek() filterToken { return p.toks[p.pos] }

func (p *filterParser) next() filterToken {
	t := p.toks[p.pos]
	if p.pos < len(p.toks)-1 {
		p.pos++
	}
	return t
}

func (p *filterParser) word(w string) bool {
	if t := p.peek(); t.kind == 'w' && t.text == w {
		p.next()
		return true
	}
	return false
}

func (p *filterParser) want(kind byte) error {
	if t := p.next(); t.kind != kind {
		return fmt.Errorf("%w: '%c' expected at position %d", errFilter, kind, t.start)
	}
	return nil
}

func (p *filterParser) or(depth int) (*filterNode, error) { return p.chain("or", depth, p.and) }

func (p *filterParser) and(depth int) (*filterNode, error) { return p.chain("and", depth, p.not) }

func (p *filterParser) chain(op string, depth int, sub func(int) (*filterNode, error)) (*filterNode, error) {
	if depth > maxFilterDepth {
		return nil, fmt.Errorf("%w: nested too deeply", errFilter)
	}
	n, err := sub(depth)
	if err != nil {
		return nil, err
	}
	for p.word(op) {
		right, err := sub(depth)
		if err != nil {
			return nil, err
		}
		n = &filterNode{op: op, kids: []*filterNode{n, right}}
	}
	return n, nil
}

func (p *filterParser) not(depth int) (*filterNode, error) {
	if p.word("not") {
		if depth > maxFilterDepth {
			return nil, fmt.Errorf("%w: nested too deeply", errFilter)
		}
		n, err := p.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return &filterNode{op: "not", kids: []*filterNode{n}}, nil
	}
	return p.atom(depth)
}

func (p *filterParser) atom(depth int) (*filterNode, error) {
	t := p.next()
	if t.kind == '(' {
		n, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		return n, p.want(')')
	}
	if t.kind != 'w' {
		return nil, fmt.Errorf("%w: syntax error at position %d", errFilter, t.start)
	}
	if p.peek().kind == '(' {
		return p.call(t, depth)
	}
	op := p.next()
	switch op.text {
	case "eq", "ne", "gt", "ge", "lt", "le":
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		return &filterNode{op: op.text, path: t.text, literals: []any{v}}, nil
	case "in":
		return p.in(t)
	}
	return nil, fmt.Errorf("%w: syntax error at position %d", errFilter, op.start)
}

func (p *filterParser) in(path filterToken) (*filterNode, error) {
	n := &filterNode{op: "in", path: path.text}
	if err := p.want('('); err != nil {
		return nil, err
	}
	for {
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		n.literals = append(n.literals, v)
		if t := p.next(); t.kind == ')' {
			return n, nil
		} else if t.kind != ',' {
			return nil, fmt.Errorf("%w: ',' or ')' expected at position %d", errFilter, t.start)
		}
	}
}

// call reads startsWith(path,'x') and its kin, and path/any(v:expr).
func (p *filterParser) call(name filterToken, depth int) (*filterNode, error) {
	p.next()
	if path, found := strings.CutSuffix(name.text, "/any"); found && path != "" {
		return p.any(path, depth)
	}
	op := strings.ToLower(name.text)
	if !slices.Contains([]string{"startswith", "endswith", "contains"}, op) {
		return nil, fmt.Errorf("%w: unknown function '%s'", errFilter, clip(name.text))
	}
	path := p.next()
	if path.kind != 'w' {
		return nil, fmt.Errorf("%w: property name expected at position %d", errFilter, path.start)
	}
	if err := p.want(','); err != nil {
		return nil, err
	}
	v, err := p.literal()
	if err != nil {
		return nil, err
	}
	if _, isText := v.(string); !isText {
		return nil, fmt.Errorf("%w: '%s' needs a string", errFilter, op)
	}
	n := &filterNode{op: op, path: path.text, literals: []any{v}}
	if err := p.want(')'); err != nil {
		return nil, err
	}
	// "startswith(x,'y') eq true" is the same as without.
	if p.word("eq") {
		if !p.word("true") {
			return nil, fmt.Errorf("%w: 'true' expected at position %d", errFilter, p.peek().start)
		}
	}
	return n, nil
}

func (p *filterParser) any(path string, depth int) (*filterNode, error) {
	n := &filterNode{op: "any", path: path}
	if p.peek().kind == ')' {
		p.next()
		return n, nil
	}
	v := p.next()
	if v.kind != 'w' {
		return nil, fmt.Errorf("%w: a range variable is expected at position %d", errFilter, v.start)
	}
	n.variable = v.text
	if err := p.want(':'); err != nil {
		return nil, err
	}
	kid, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	n.kids = []*filterNode{kid}
	return n, p.want(')')
}

// literal is a string, boolean, null, number, time or GUID. Times and GUIDs stand without quotes.
func (p *filterParser) literal() (any, error) {
	t := p.next()
	switch t.kind {
	case 's':
		return t.text, nil
	case 'w':
		switch t.text {
		case "true":
			return true, nil
		case "false":
			return false, nil
		case "null":
			return nil, nil
		}
		if n, err := strconv.Atoi(t.text); err == nil {
			return n, nil
		}
		if at, err := time.Parse(time.RFC3339, t.text); err == nil {
			return at, nil
		}
		if isGUID(t.text) {
			return t.text, nil
		}
	}
	return nil, fmt.Errorf("%w: a literal is expected at position %d", errFilter, t.start)
}
