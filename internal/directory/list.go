package directory

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"evict/internal/fault"
)

// maxLine is how many bytes of a line are kept: a sign-in name has at most 113 characters, an address 320.
const maxLine = 320

// List is what a pasted or uploaded list says.
type List struct {
	// Lines has one element for each account that is named, and for each line that names none: an object id, a sign-in
	// name, an address, or what else stood there.
	Lines  []string
	Column string // the heading of the table's column that was taken; "" when there was none
}

// headings are names of columns that identify a person, as the exports of Entra, Exchange and others call them. The
// lower the number, the more exact; ids are only believed in a column that holds some.
var headings = map[string]int{
	"objectid": 1, "entraobjectid": 1, "azureadobjectid": 1, "aadobjectid": 1, "userid": 1, "id": 1,
	"userprincipalname": 2, "upn": 2, "signinname": 2, "username": 3,
	"mail": 4, "email": 4, "emailaddress": 4, "primarysmtpaddress": 4,
}

// ParseList reads a list that a person pasted or uploaded, in UTF-8 or UTF-16 as PowerShell writes it: object ids,
// sign-in names or addresses, one on a line or several, as a mail's recipients are ("Ann <ann@contoso.com>;
// bob@contoso.com"). Of a table (CSV with commas, semicolons or tabs) it takes one column: by its heading, the one that
// identifies a person best; without a heading, the one in which most cells are addresses or ids.
//
// Empty lines and headings are dropped; every other line is at least one element of the answer, whatever it says, and
// outside of tables every address is one, so that it can be accounted for. To parse the answer again changes nothing.
func ParseList(text string) List {
	rows := strings.FieldsFunc(utf8Of(text), func(r rune) bool { return r == '\n' || r == '\r' })
	rows = slices.DeleteFunc(rows, func(row string) bool { return cleaned(row) == "" })
	for len(rows) > 0 && preamble(cleaned(rows[0])) {
		rows = rows[1:]
	}
	if len(rows) == 0 {
		return List{}
	}
	var out List
	sep, column, name := heading(rows)
	if column >= 0 {
		out.Column, rows = name, rows[1:]
	} else {
		sep, column = bareTable(rows)
	}
	for _, row := range rows {
		if column >= 0 {
			out.Lines = append(out.Lines, cells(row, sep, column, nameOf(name, "account"))...)
		} else {
			out.Lines = append(out.Lines, entries(row)...)
		}
	}
	for len(out.Lines) > 0 && (headings[headingKey(out.Lines[0])] > 0 || preamble(out.Lines[0])) {
		out.Column, out.Lines = nameOf(out.Column, out.Lines[0]), out.Lines[1:]
	}
	return out
}

// preamble reports whether a line stands before the heading of a table: PowerShell 5 writes the type of what it exports,
// Excel the separator.
func preamble(line string) bool {
	separator := len(line) <= len("sep=;") && strings.HasPrefix(strings.ToLower(line), "sep=")
	return separator || strings.HasPrefix(line, "#TYPE ") && !strings.Contains(line, "@")
}

// heading finds the column to take in a table's first row; -1 when that row is no heading: it names no column that
// identifies a person, or itself identifies one.
func heading(rows []string) (sep rune, column int, name string) {
	column = -1
	for _, s := range []rune{',', ';', '\t'} {
		fields := split(rows[0], s)
		if slices.ContainsFunc(fields, func(f string) bool { return names(cleaned(f)) }) {
			return 0, -1, ""
		}
		best := 0
		for i, f := range fields {
			rank := headings[headingKey(f)]
			if rank == 1 && !idsBelow(rows, s, i) {
				rank = 5
			}
			if rank > 0 && len(fields) > 1 && (best == 0 || rank < best) {
				sep, column, name, best = s, i, cleaned(f), rank
			}
		}
		if column >= 0 {
			return sep, column, name
		}
	}
	return sep, column, name
}

// idsBelow reports whether the first rows below the heading have an object id in a column.
func idsBelow(rows []string, sep rune, column int) bool {
	return slices.ContainsFunc(rows[1:min(len(rows), 10)], func(row string) bool {
		fields := split(row, sep)
		return column < len(fields) && IsID(cleaned(fields[column]))
	})
}

func headingKey(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" _-.", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, cleaned(s))
}

// bareTable finds the column to take of a table without a heading; -1 when the rows are no table: they are several, of
// as many fields each, and most cells of some column name no account. Otherwise the fields are accounts, side by side.
func bareTable(rows []string) (sep rune, column int) {
	for _, sep := range []rune{',', ';', '\t'} {
		n := len(split(rows[0], sep))
		accounts, others := make([]int, n), make([]int, n)
		same := n > 1 && len(rows) > 1
		for _, row := range rows {
			fields := split(row, sep)
			if same = same && len(fields) == n; !same {
				break
			}
			for i, f := range fields {
				if slices.ContainsFunc(entries(f), names) {
					accounts[i]++
				} else if cleaned(f) != "" {
					others[i]++
				}
			}
		}
		for i := range accounts {
			if same && accounts[i] == 0 && 2*others[i] > len(rows) {
				return sep, slices.Index(accounts, slices.Max(accounts))
			}
		}
	}
	return 0, -1
}

// cells takes a column of a table's row. A row that ends before it is no row of the table, but a line of its own. Of one
// that has nothing there, all the rest is one element, which is nobody's name: an address in another column is somebody
// else's, such as a manager's.
func cells(row string, sep rune, column int, name string) []string {
	fields := split(row, sep)
	if column >= len(fields) {
		return entries(row)
	}
	if cleaned(fields[column]) != "" {
		return entries(fields[column])
	}
	rest := cleaned(strings.ReplaceAll(row, string(sep), " "))
	if slices.ContainsFunc(strings.Fields(rest), names) {
		rest = cleaned("no " + name + ": " + rest)
	}
	return []string{rest}
}

// entries takes a line apart into accounts, at separators outside of quotes and between addresses. What else stands
// there remains in one piece.
func entries(row string) []string {
	var out []string
	for field := range strings.SplitSeq(separated(row), "\n") {
		words := strings.FieldsFunc(field, func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`",;<>`, r)
		})
		for i := range words {
			words[i] = cleaned(words[i])
		}
		words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
		rest := slices.DeleteFunc(slices.Clone(words), names)
		found := slices.DeleteFunc(words, func(w string) bool { return !names(w) })
		whole := cleaned(field)
		switch bracketed := strings.Contains(field, "<") && strings.Contains(field, ">"); {
		case whole == "":
		case len(found) > 0 && (bracketed || len(rest) == 0): // of "Ann <ann@contoso.com>" the name is no account
			out = append(out, found...)
		case len(found) > 0 && len(field) > maxLine: // too long to be kept: its addresses must not be cut off
			out = append(append(out, found...), cleaned(strings.Join(rest, " ")))
		default:
			out = append(out, whole)
		}
	}
	return out
}

// names reports whether a cleaned word can name an account.
func names(word string) bool { return IsID(word) || addressLike(word) }

// separated puts an end of line in the place of every separator outside of quotes.
func separated(row string) string {
	quoted := false
	return strings.Map(func(r rune) rune {
		if r == '"' {
			quoted = !quoted
		}
		if !quoted && (r == ',' || r == ';' || r == '\t') {
			return '\n'
		}
		return r
	}, row)
}

// split cuts a row at separators outside of quotes. A quoted field ends with its line, whatever CSV allows: one stray
// quote must not swallow the lines below it.
func split(row string, sep rune) []string {
	var out []string
	var b strings.Builder
	quoted := false
	for _, r := range row {
		switch {
		case r == '"':
			quoted = !quoted
			b.WriteRune(r)
		case r == sep && !quoted:
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteRune(r)
		}
	}
	return append(out, b.String())
}

// cleaned makes one plain word or phrase of a field: without quotes, invisible characters, control characters and
// what mail programs put around an address.
func cleaned(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r) || r == '\ufeff':
			return -1
		case unicode.IsControl(r) || unicode.IsSpace(r) || strings.ContainsRune(`",;`, r):
			return ' '
		default:
			return r
		}
	}, s)
	if from := strings.LastIndexByte(s, '<'); from >= 0 {
		if inner, _, ok := strings.Cut(s[from+1:], ">"); ok && strings.Contains(inner, "@") {
			s = inner
		}
	}
	s = strings.Join(strings.Fields(strings.NewReplacer("<", " ", ">", " ").Replace(s)), " ")
	for {
		scheme, rest, ok := strings.Cut(s, ":")
		if !ok || !strings.EqualFold(scheme, "mailto") && !strings.EqualFold(scheme, "smtp") {
			break
		}
		s = strings.TrimSpace(rest)
	}
	if len(s) > maxLine {
		end := maxLine
		for !utf8.RuneStart(s[end]) {
			end--
		}
		s = strings.TrimSpace(s[:end])
	}
	return s
}

// utf8Of makes valid UTF-8 of a text, which may be UTF-16 with a byte order mark.
func utf8Of(text string) string {
	var order binary.ByteOrder
	switch {
	case strings.HasPrefix(text, "\xff\xfe"):
		order = binary.LittleEndian
	case strings.HasPrefix(text, "\xfe\xff"):
		order = binary.BigEndian
	default:
		return strings.ToValidUTF8(text, "\ufffd")
	}
	raw := []byte(text[2:])
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = order.Uint16(raw[2*i:])
	}
	return string(utf16.Decode(units))
}

func emptyList() error {
	return fault.Field("list", "Paste at least one sign-in name, address or object id.")
}

func tooManyLines() error {
	return fault.Field("list", fmt.Sprintf("A scope takes at most %d lines, of all its lists together.", MaxLines))
}
