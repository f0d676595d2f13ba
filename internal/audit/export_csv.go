package audit

import (
	"bufio"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Rehearsed is the cell that each row of a CSV file ends with when the tenant is the simulator's.
const Rehearsed = "REHEARSAL: nothing is revoked"

// csvWriter writes events for reading: one row each, every text as SafeCell makes it.
type csvWriter struct {
	rehearsal bool
	out       *bufio.Writer
}

func (c csvWriter) begin() error {
	head := []string{
		"sequence", "time", "kind", "outcome",
		"operator_upn", "operator_name", "operator_object_id", "operator_address", "operator_roles", "target_upn", "target_name", "target_object_id",
		"run", "plan", "attempt", "reason", "ticket",
		"t0", "before", "after", "status", "request_id", "client_request_id", "code", "message", "settled",
		"detail", "leaf_hash",
	}
	if c.rehearsal {
		head = append(head, "rehearsal")
	}
	WriteCSV(c.out, head)
	return nil
}

func (c csvWriter) write(events []exported) error {
	for _, e := range events {
		row := csvRow(e)
		if c.rehearsal {
			row = append(row, Rehearsed)
		}
		WriteCSV(c.out, row)
	}
	return nil
}

func (csvWriter) end() error { return nil }

// csvRow is an event as cells, in the order of the head. A number that is not set is an empty cell.
func csvRow(t exported) []string {
	e := t.Event
	operator, target, ev := orZero(e.Operator), orZero(e.Target), orZero(e.Evidence)
	row := []string{
		strconv.FormatInt(t.Seq, 10), e.Time, string(e.Kind), e.Outcome,
		operator.UPN, operator.Name, operator.OID, operator.Address, strings.Join(operator.Roles, "; "), target.UPN, target.Name, target.OID,
		e.Run, e.Plan, numberCell(e.Attempt), e.Reason, e.Ticket,
		ev.T0, ev.Before, ev.After, numberCell(ev.Status), ev.RequestID, ev.ClientRequestID, ev.Code, ev.Message, ev.Settled,
		detailCell(e.Detail), t.leaf.String(),
	}
	return SafeCells(row)
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func numberCell(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// detailCell is an event's detail in one cell: "k=v; k=v", sorted by key.
func detailCell(d map[string]string) string {
	pairs := make([]string, 0, len(d))
	for _, k := range slices.Sorted(maps.Keys(d)) {
		pairs = append(pairs, k+"="+d[k])
	}
	return strings.Join(pairs, "; ")
}

// WriteCSV writes a row of RFC 4180 with every cell in quotes: a spreadsheet that splits at semicolons, as some
// languages' do, would otherwise begin a new cell in the middle of a name. Errors come with the flush.
func WriteCSV(out *bufio.Writer, cells []string) {
	for i, cell := range cells {
		if i > 0 {
			_ = out.WriteByte(',')
		}
		_, _ = out.WriteString(`"` + strings.ReplaceAll(cell, `"`, `""`) + `"`)
	}
	_, _ = out.WriteString("\r\n")
}

// SafeCells makes every cell of a row harmless, as SafeCell does, and gives the row back.
func SafeCells(row []string) []string {
	for i, cell := range row {
		row[i] = SafeCell(cell)
	}
	return row
}

// SafeCell makes a text from outside harmless in a spreadsheet: what would be taken for a formula gets a leading
// apostrophe, and characters that hide or reorder others are written out, as \u and four digits or \U and eight.
func SafeCell(s string) string {
	var b strings.Builder
	begin, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(s, passedOver))
	if strings.ContainsRune("=+-@＝＋－＠", begin) || strings.HasPrefix(s, "\t") || strings.HasPrefix(s, "\r") {
		b.WriteByte('\'')
	}
	for _, r := range s {
		switch {
		case !hides(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// passedOver reports whether a spreadsheet may pass over r before it looks for a formula.
func passedOver(r rune) bool { return unicode.IsSpace(r) || hides(r) }

// hides reports whether r is not seen, or hides or reorders what is.
func hides(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}
