package entrasim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// searchNode is a $search: quoted "property:value" clauses with AND, OR and brackets.
type searchNode struct {
	op              string // and, or, clause
	kids            []*searchNode
	property, value string
	words           []string
}

var errSearch = errors.New("invalid search clause")

const maxSearchLength = 1024

// parseSearch reads a $search. Graph takes only AND and OR in capitals, and every clause in double quotes.
func parseSearch(src string) (*searchNode, error) {
	if len(src) > maxSearchLength {
		return nil, fmt.Errorf("%w: the search is too long", errSearch)
	}
	toks, err := lexSearch(src)
	if err != nil {
		return nil, err
	}
	p := &searchParser{toks: toks}
	n, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.pos != len(p.toks) {
		return nil, fmt.Errorf("%w: syntax error", errSearch)
	}
	return n, nil
}

// lexSearch gives clauses with a leading quote, and the words and brackets between them.
func lexSearch(src string) ([]string, error) {
	var out []string
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == ' ':
			i++
		case c == '(' || c == ')':
			out = append(out, string(c))
			i++
		case c == '"':
			clause, n, good := lexClause(src[i:])
			if !good {
				return nil, fmt.Errorf("%w: a quote is missing", errSearch)
			}
			out = append(out, `"`+clause)
			i += n
		default:
			end := i
			for end < len(src) && !strings.ContainsRune(` ()"`, rune(src[end])) {
				end++
			}
			out = append(out, src[i:end])
			i = end
		}
	}
	return out, nil
}

func lexClause(src string) (clause string, length int, good bool) {
	var b strings.Builder
	for i := 1; i < len(src); i++ {
		switch {
		case src[i] == '\\' && i+1 < len(src):
			i++
			b.WriteByte(src[i])
		case src[i] == '"':
			return b.String(), i + 1, true
		default:
			b.WriteByte(src[i])
		}
	}
	return "", 0, false
}

type searchParser struct {
	toks []string
	pos  int
}

func (p *searchParser) accept(tok string) bool {
	if p.pos < len(p.toks) && p.toks[p.pos] == tok {
		p.pos++
		return true
	}
	return false
}

func (p *searchParser) or(depth int) (*searchNode, error) {
	return p.chain("OR", depth, func(d int) (*searchNode, error) { return p.chain("AND", d, p.atom) })
}

func (p *searchParser) chain(op string, depth int, sub func(int) (*searchNode, error)) (*searchNode, error) {
	if depth > maxFilterDepth {
		return nil, fmt.Errorf("%w: nested too deeply", errSearch)
	}
	n, err := sub(depth)
	if err != nil {
		return nil, err
	}
	for p.accept(op) {
		right, err := sub(depth)
		if err != nil {
			return nil, err
		}
		n = &searchNode{op: strings.ToLower(op), kids: []*searchNode{n, right}}
	}
	return n, nil
}

func (p *searchParser) atom(depth int) (*searchNode, error) {
	if p.accept("(") {
		n, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.accept(")") {
			return nil, fmt.Errorf("%w: a bracket is missing", errSearch)
		}
		return n, nil
	}
	if p.pos >= len(p.toks) || !strings.HasPrefix(p.toks[p.pos], `"`) {
		return nil, fmt.Errorf("%w: a clause must be written in double quotes", errSearch)
	}
	property, value, found := strings.Cut(p.toks[p.pos][1:], ":")
	p.pos++
	if !found || property == "" || value == "" {
		return nil, fmt.Errorf("%w: a clause must be written as \"property:value\"", errSearch)
	}
	return &searchNode{op: "clause", property: property, value: strings.ToLower(value), words: searchWords(value)}, nil
}

// properties lists the properties that the search names.
func (n *searchNode) properties() []string {
	if n.op == "clause" {
		return []string{n.property}
	}
	return slices.Concat(n.kids[0].properties(), n.kids[1].properties())
}

// match follows Graph: displayName and description are cut into words and each word that was asked for must begin one
// of them; every other property must begin with the value.
func (n *searchNode) match(get getter) bool {
	switch n.op {
	case "and":
		return n.kids[0].match(get) && n.kids[1].match(get)
	case "or":
		return n.kids[0].match(get) || n.kids[1].match(get)
	}
	have, good := get(n.property).(string)
	if !good {
		return false
	}
	if !strings.EqualFold(n.property, "displayName") && !strings.EqualFold(n.property, "description") {
		return strings.HasPrefix(strings.ToLower(have), n.value)
	}
	if len(n.words) == 0 {
		return false
	}
	words := searchWords(have)
	for _, w := range n.words {
		if !slices.ContainsFunc(words, func(h string) bool { return strings.HasPrefix(h, w) }) {
			return false
		}
	}
	return true
}

// searchWords cuts a text at everything but letters and digits, between letters and digits, and where a capital
// follows a small letter.
func searchWords(s string) []string {
	var out []string
	var cur []rune
	flush := func() {
		if len(cur) > 0 {
			out = append(out, strings.ToLower(string(cur)))
			cur = cur[:0]
		}
	}
	var last rune
	for _, r := range s {
		letter, digit := unicode.IsLetter(r), unicode.IsDigit(r)
		switch {
		case !letter && !digit:
			flush()
			last = 0
			continue
		case last != 0 && (unicode.IsDigit(last) != digit || unicode.IsLower(last) && unicode.IsUpper(r)):
			flush()
		}
		cur = append(cur, r)
		last = r
	}
	flush()
	return out
}
