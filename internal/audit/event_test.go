package audit_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
)

// full is an event in which every field is set.
func full() audit.Event {
	return audit.Event{
		ID: "019a5a3e-7b1c-7000-8000-000000000001", Time: "2026-11-05T12:00:00.123Z", Kind: audit.TargetConfirmed,
		Cloud: "public", Tenant: "72f988bf-0000-4000-8000-000000000001",
		Operator: &audit.Person{
			OID: "aaaaaaaa-0000-4000-8000-000000000001", TID: "72f988bf-0000-4000-8000-000000000001",
			UPN: "anna@contoso.example", Name: "Anna Ö. <Admin> & Co", Address: "2001:db8::7",
			Roles: []string{"Evict.Responder", "Evict.Auditor"},
		},
		Target: &audit.Person{OID: "bbbbbbbb-0000-4000-8000-000000000002", UPN: "bernd@contoso.example", Name: "Bernd 🙂"},
		Plan:   "019a5a3e-7b1c-7000-8000-000000000002", Run: "019a5a3e-7b1c-7000-8000-000000000003", Attempt: 2,
		Reason: "said \"yes\"\nto a prompt", Ticket: "INC-7", Outcome: "confirmed",
		Evidence: &audit.Evidence{
			T0: "2026-11-05T11:59:58.001Z", Before: "2026-10-01T08:00:00.000Z", After: "2026-11-05T11:59:59.000Z", Status: 200,
			RequestID: "r-1", ClientRequestID: "c-1", Code: "none", Message: "ok", Settled: "answer lost, settled by read-back",
		},
		Detail: map[string]string{"b": "2", "a": "1"},
	}
}

// The bytes are a file format: auditors hold copies of them. A change here is a new version, not an edit of this text.
const golden = `{"v":1,"seq":42,"id":"019a5a3e-7b1c-7000-8000-000000000001","time":"2026-11-05T12:00:00.123Z",` +
	`"kind":"target.confirmed","cloud":"public","tenant":"72f988bf-0000-4000-8000-000000000001",` +
	`"operator":{"oid":"aaaaaaaa-0000-4000-8000-000000000001","tid":"72f988bf-0000-4000-8000-000000000001",` +
	`"upn":"anna@contoso.example","name":"Anna Ö. <Admin> & Co","address":"2001:db8::7",` +
	`"roles":["Evict.Responder","Evict.Auditor"]},` +
	`"target":{"oid":"bbbbbbbb-0000-4000-8000-000000000002","upn":"bernd@contoso.example","name":"Bernd 🙂"},` +
	`"plan":"019a5a3e-7b1c-7000-8000-000000000002","run":"019a5a3e-7b1c-7000-8000-000000000003","attempt":2,` +
	`"reason":"said \"yes\"\nto a prompt","ticket":"INC-7","outcome":"confirmed",` +
	`"evidence":{"t0":"2026-11-05T11:59:58.001Z","before":"2026-10-01T08:00:00.000Z","after":"2026-11-05T11:59:59.000Z",` +
	`"status":200,"request_id":"r-1","client_request_id":"c-1","code":"none","message":"ok",` +
	`"settled":"answer lost, settled by read-back"},"detail":{"a":"1","b":"2"}}`

func encode(t *testing.T, seq int64, e audit.Event) string {
	t.Helper()
	body, err := audit.Encode(seq, e)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTheBytesOfAnEventAreFixed(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(golden, encode(t, 42, full())); diff != "" {
		t.Errorf("full event (-want +got):\n%s", diff)
	}
	const least = `{"v":1,"seq":1,"id":"x","time":"","kind":"ledger.opened","cloud":"","tenant":""}`
	if diff := cmp.Diff(least, encode(t, 1, audit.Event{ID: "x", Kind: audit.LedgerOpened})); diff != "" {
		t.Errorf("least event (-want +got):\n%s", diff)
	}
}

func TestTheGoldenEventHasEveryField(t *testing.T) {
	t.Parallel()
	e, err := audit.Decode([]byte(golden))
	if err != nil {
		t.Fatal(err)
	}
	e.Target.TID, e.Target.Address, e.Target.Roles = "x", "x", []string{"x"} // of operators only
	for _, v := range []any{e, *e.Operator, *e.Target, *e.Evidence} {
		for f, value := range reflect.ValueOf(v).Fields() {
			if value.IsZero() {
				t.Errorf("%T.%s is not in the golden event", v, f.Name)
			}
		}
	}
}

func TestTheStoreGivesTheNumberAndEncodeTheVersion(t *testing.T) {
	t.Parallel()
	e := full()
	e.V, e.Seq = 9, 9
	if got := encode(t, 42, e); got != golden {
		t.Errorf("the caller's number or version went into the event: %s", got)
	}
	if e.V != 9 || e.Seq != 9 {
		t.Error("the caller's event was changed")
	}
}

func TestHostileTextStaysOneLineOfJSON(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a\x00b":           `a\u0000b`, // kept, as JSON's escape: the bytes hold no U+0000, which PostgreSQL could not store
		"\xff\xfe":         `\ufffd\ufffd`,
		"line\nbreak\r":    `line\nbreak\r`,
		"\u2028\u2029":     `\u2028\u2029`, // line ends to JavaScript
		"<script>&":        `<script>&`,
		"\u202egnp\u2066":  `\u202egnp\u2066`, // would turn the text that follows
		`"},"seq":7,"x":"`: `\"},\"seq\":7,\"x\":\"`,
		"𝔘🙂":               "𝔘🙂",
	} {
		body := encode(t, 1, audit.Event{Reason: in})
		if !strings.Contains(body, `"reason":"`+want+`"`) {
			t.Errorf("%q: got %s, want the reason as %s", in, body, want)
		}
		if strings.ContainsAny(body, "\x00\n\r") || !utf8.ValidString(body) || !json.Valid([]byte(body)) {
			t.Errorf("%q: the bytes are not one line of valid JSON: %q", in, body)
		}
	}
}

func TestTimesAreUTCWithMilliseconds(t *testing.T) {
	t.Parallel()
	vienna := time.FixedZone("", 3600)
	for want, in := range map[string]time.Time{
		"":                         {},
		"2026-11-05T11:00:00.000Z": time.Date(2026, 11, 5, 12, 0, 0, 0, vienna),
		"2026-11-05T11:00:00.987Z": time.Date(2026, 11, 5, 11, 0, 0, 987_654_321, time.UTC),
	} {
		got := audit.FormatTime(in)
		if got != want {
			t.Errorf("formatting %v: got %q, want %q", in, got, want)
		}
		back, err := audit.ParseTime(got)
		if err != nil || !back.Equal(in.Truncate(time.Millisecond)) {
			t.Errorf("reading %q: got %v, %v", got, back, err)
		}
	}
	for _, bad := range []string{"yesterday", "2026-11-05", "2026-11-05T11:00:00.000+01:00", "2026-13-05T11:00:00.000Z"} {
		if got, err := audit.ParseTime(bad); err == nil {
			t.Errorf("read %q as %v", bad, got)
		}
	}
}

func TestDecodeRefusesWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "{", `[]`, `{"seq":"1"}`, `{} {}`} {
		if _, err := audit.Decode([]byte(bad)); err == nil {
			t.Errorf("decoded %q", bad)
		}
	}
}

// FuzzEncode: whatever the text, the bytes are one line of JSON, decode to the same event, and encode to the same bytes.
func FuzzEncode(f *testing.F) {
	f.Add("reason", "key", "value", int64(1))
	f.Add("\x00\xff", "</script>", "\u2028", int64(-1))
	f.Fuzz(func(t *testing.T, text, key, value string, seq int64) {
		e := full()
		e.Reason, e.Operator.Name, e.Evidence.Message, e.Detail = text, value, text, map[string]string{key: value}
		body := encode(t, seq, e)
		if strings.ContainsAny(body, "\x00\n\r") || !utf8.ValidString(body) {
			t.Fatalf("not one line of valid text: %q", body)
		}
		back, err := audit.Decode([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if back.Seq != seq || utf8.ValidString(text) && back.Reason != text {
			t.Errorf("came back as seq %d, reason %q", back.Seq, back.Reason)
		}
		if utf8.ValidString(text) && utf8.ValidString(key) && utf8.ValidString(value) {
			if again := encode(t, seq, back); again != body {
				t.Errorf("encoded again:\n%s\nfirst:\n%s", again, body)
			}
		}
	})
}

// source parses the package's own files.
func source(t *testing.T) []*ast.File {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("found no source: %v", err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// A kind that the list leaves out cannot be filtered for.
func TestKindsListsEveryKindOnce(t *testing.T) {
	t.Parallel()
	var declared []audit.Kind
	for _, file := range source(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Kind" {
				text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				declared = append(declared, audit.Kind(text))
			}
			return true
		})
	}
	listed := audit.Kinds()
	slices.Sort(declared)
	slices.Sort(listed)
	if diff := cmp.Diff(declared, listed); diff != "" || len(listed) == 0 {
		t.Errorf("declared against listed:\n%s", diff)
	}
	if again := slices.Compact(slices.Clone(listed)); len(again) != len(listed) {
		t.Error("a kind is listed twice, or two kinds have one value")
	}
}

// A leaf that does no I/O: whoever verifies a ledger needs to trust nothing but this package.
func TestThePackageImportsNothingOfOursAndDoesNoIO(t *testing.T) {
	t.Parallel()
	for _, file := range source(t) {
		for _, spec := range file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if strings.HasPrefix(path, "evict/") || slices.Contains([]string{"os", "net", "net/http", "io/fs", "database/sql", "log", "log/slog"}, path) {
				t.Errorf("%s imports %s", file.Name.Name, path)
			}
		}
	}
}

func TestEncodingDoesNotDependOnTheOrderOfAMap(t *testing.T) {
	t.Parallel()
	e := audit.Event{Detail: map[string]string{}}
	for i := range 50 {
		e.Detail[strconv.Itoa(i)] = "x"
	}
	first := []byte(encode(t, 1, e))
	for range 20 {
		if !bytes.Equal(first, []byte(encode(t, 1, e))) {
			t.Fatal("the same event has different bytes")
		}
	}
}
