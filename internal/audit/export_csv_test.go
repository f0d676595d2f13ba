package audit_test

import (
	"bufio"
	"encoding/csv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
)

// readCSV reads a file with a head and n rows and checks that nothing in it can harm a reader.
func readCSV(tb testing.TB, text string, n int) [][]string {
	tb.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != n+1 || strings.Count(text, "\n") != n+1 || strings.Count(text, "\r\n") != n+1 {
		tb.Fatalf("%d rows and a head, want %d: %v\n%s", len(rows)-1, n, err, text)
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r＝＋－＠", []rune(cell)[0]) {
				tb.Errorf("a spreadsheet takes this for a formula: %q", cell)
			}
		}
	}
	harmless(tb, strings.ReplaceAll(text, "\r\n", "\n"))
	return rows
}

// harmless checks that a text has no character that hides or reorders others; it is lines, or JSON.
func harmless(tb testing.TB, text string) {
	tb.Helper()
	for _, r := range text {
		if r != '\n' && unicode.IsControl(r) && r < 0x7f || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			tb.Fatalf("%U stands as it is in %q", r, text)
		}
	}
}

func TestARowHasWhatAPersonAsksFor(t *testing.T) {
	t.Parallel()
	b := &book{}
	e := full()
	e.Target.Name, e.Reason = `=HYPERLINK("http://evil")`, "a\nb\u202e"
	b.add(t, e, audit.Event{Kind: audit.LedgerOpened})
	rows := readCSV(t, export(t, b, audit.CSV, b.manifest(audit.Query{})), 2)
	want := [][2]string{
		{"sequence", "1"}, {"time", "2026-11-05T12:00:00.123Z"}, {"kind", "target.confirmed"}, {"outcome", "confirmed"},
		{"operator_upn", "anna@contoso.example"}, {"operator_name", e.Operator.Name}, {"operator_object_id", e.Operator.OID}, {"operator_address", "2001:db8::7"},
		{"operator_roles", "Evict.Responder; Evict.Auditor"}, {"target_upn", "bernd@contoso.example"},
		{"target_name", `'=HYPERLINK("http://evil")`}, {"target_object_id", e.Target.OID}, {"run", e.Run}, {"plan", e.Plan}, {"attempt", "2"},
		{"reason", `a\u000ab\u202e`}, {"ticket", "INC-7"}, {"t0", "2026-11-05T11:59:58.001Z"}, {"before", "2026-10-01T08:00:00.000Z"},
		{"after", "2026-11-05T11:59:59.000Z"}, {"status", "200"}, {"request_id", "r-1"}, {"client_request_id", "c-1"}, {"code", "none"},
		{"message", "ok"}, {"settled", "answer lost, settled by read-back"}, {"detail", "a=1; b=2"},
		{"leaf_hash", audit.SafeCell(audit.LeafHash(b.bodies[0]).String())},
	}
	var got [][2]string
	for i, name := range rows[0] {
		got = append(got, [2]string{name, rows[1][i]})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if least := strings.Join(rows[2][:len(rows[2])-1], "|"); least != "2||ledger.opened||||||||||||||||||||||||" {
		t.Errorf("the least event: %s", least)
	}
}

func TestCellsAreHarmless(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Ada": "Ada", "": "", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM": "'@SUM", "\tx": `'\u0009x`, "\rx": `'\u000dx`,
		"a\nb": `a\u000ab`, "a\u202eb": `a\u202eb`, "a\u2066b\u200f": `a\u2066b\u200f`, "Zoë 😀": "Zoë 😀", "\x00": `\u0000`, "\xff": "\ufffd",
		"＝1": "'＝1", "  =1": "'  =1", "\u00a0@x": "'\u00a0@x",
		"\u2003=1": "'\u2003=1", "\ufeff=1": `'\ufeff=1`, "\u200b=1": `'\u200b=1`, "\n=1": `'\u000a=1`, "a\u206ab": `a\u206ab`, "a\u200db": `a\u200db`,
		"\U000e0001x": `\U000e0001x`, "\U000e0001=x": `'\U000e0001=x`,
	} {
		if got := audit.SafeCell(in); got != want {
			t.Errorf("SafeCell(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestEveryCellIsQuoted(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	out := bufio.NewWriter(&b)
	audit.WriteCSV(out, []string{"Ann;=cmd|' /C calc'!A0", `a "b"`, ""})
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := `"Ann;=cmd|' /C calc'!A0","a ""b""",""` + "\r\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func FuzzCells(f *testing.F) {
	f.Add("=cmd|' /C calc'!A0")
	f.Fuzz(func(t *testing.T, s string) {
		got := audit.SafeCell(s)
		if got != "" && strings.ContainsRune("=+-@\t\r", rune(got[0])) || strings.ContainsAny(got, "\r\n\t\x00\u202e") {
			t.Errorf("SafeCell(%q) = %q", s, got)
		}
	})
}
