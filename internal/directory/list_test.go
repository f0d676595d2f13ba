package directory_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"

	"context"

	"github.com/google/go-cmp/cmp"

	"evict/internal/directory"
	"evict/internal/operator"
)

func utf16le(s string) string {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return string(out)
}

func utf16be(s string) string {
	out := []byte{0xfe, 0xff}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u>>8), byte(u))
	}
	return string(out)
}

const guid = "0c0ffee0-0000-4000-8000-0000000000aa"

// lists are texts that people paste and upload, and what is in them.
var lists = map[string]struct {
	text, column string
	want         []string
}{
	"nothing":                       {"", "", nil},
	"empty lines":                   {"\n \r\n\t\n\u200b\n", "", nil},
	"one name a line":               {"ann@x.org\nbob@x.org\r\n" + guid + "\rdan@x.org", "", []string{"ann@x.org", "bob@x.org", guid, "dan@x.org"}},
	"space around":                  {"  ann@x.org \n\u00a0bob@x.org\u00a0", "", []string{"ann@x.org", "bob@x.org"}},
	"byte order mark":               {"\ufeffann@x.org\nbob@x.org", "", []string{"ann@x.org", "bob@x.org"}},
	"UTF-16 of PowerShell":          {utf16le("ann@x.org\r\nbob@x.org\r\n"), "", []string{"ann@x.org", "bob@x.org"}},
	"UTF-16, the other way":         {utf16be("ann@x.org\r\nbob@x.org\r\n"), "", []string{"ann@x.org", "bob@x.org"}},
	"invisible characters":          {"a\u200bnn@x.org\u200e\n\u202ebob@x.org", "", []string{"ann@x.org", "bob@x.org"}},
	"quotes":                        {"\"ann@x.org\"\n\"bob@x.org\"", "", []string{"ann@x.org", "bob@x.org"}},
	"apostrophes belong to names":   {"o'neil@x.org\n'ann@x.org", "", []string{"o'neil@x.org", "'ann@x.org"}},
	"a stray quote eats one line":   {"\"ann@x.org\nbob@x.org\ndan@x.org", "", []string{"ann@x.org", "bob@x.org", "dan@x.org"}},
	"a heading alone":               {"userPrincipalName\nann@x.org", "userPrincipalName", []string{"ann@x.org"}},
	"a heading and nothing":         {"UPN\n", "UPN", []string{}},
	"table with a sign-in name":     {"displayName,userPrincipalName,mail\n\"Roe, Ann\",ann@x.org,a@x.org\nBob,bob@x.org,b@x.org", "userPrincipalName", []string{"ann@x.org", "bob@x.org"}},
	"an object id is more exact":    {"userPrincipalName,Object ID\nann@x.org," + guid, "Object ID", []string{guid}},
	"an id that is none":            {"id,name,E-mail Address\n1,Ann,ann@x.org\n2,Bob,bob@x.org", "E-mail Address", []string{"ann@x.org", "bob@x.org"}},
	"semicolons":                    {"Name;Email\nAnn;ann@x.org", "Email", []string{"ann@x.org"}},
	"tabs":                          {"Name\tUPN\nAnn\tann@x.org", "UPN", []string{"ann@x.org"}},
	"quoted headings":               {"\"Name\",\"UPN\"\n\"Roe, \"\"A\"\"\",\"ann@x.org\"", "UPN", []string{"ann@x.org"}},
	"PowerShell says the type":      {"#TYPE Microsoft.Graph.User\n\"Id\",\"UPN\"\n\"7\",\"ann@x.org\"", "UPN", []string{"ann@x.org"}},
	"Excel says the separator":      {"sep=;\nName;UPN\nAnn;ann@x.org", "UPN", []string{"ann@x.org"}},
	"a row without the column":      {"Name,UPN\nAnn,ann@x.org\nBob\nDan,", "UPN", []string{"ann@x.org", "Bob", "Dan"}},
	"no heading: the first column":  {"ann@x.org,Ann,Sales\nbob@x.org,Bob,IT", "", []string{"ann@x.org", "bob@x.org"}},
	"no heading that identifies":    {"Name,Team\nAnn,Sales", "", []string{"Name", "Ann"}},
	"several on a line":             {"ann@x.org; bob@x.org\ncy@x.org, dan@x.org\n" + guid + " eve@x.org\tfay@x.org;gil@x.org\nhal@x.org", "", []string{"ann@x.org", "bob@x.org", "cy@x.org", "dan@x.org", guid, "eve@x.org", "fay@x.org", "gil@x.org", "hal@x.org"}},
	"as many on each line":          {"ann@x.org;bob@x.org\ncy@x.org;dan@x.org", "", []string{"ann@x.org", "bob@x.org", "cy@x.org", "dan@x.org"}},
	"each line ends in a separator": {"ann@x.org; bob@x.org;\ncy@x.org; dan@x.org;", "", []string{"ann@x.org", "bob@x.org", "cy@x.org", "dan@x.org"}},
	"one of them is no account":     {"ann@x.org; bob\ncy@x.org; dan@x.org", "", []string{"ann@x.org", "bob", "cy@x.org", "dan@x.org"}},
	"recipients on several lines":   {"Ann <ann@x.org>; \"Roe, Bob\" <bob@x.org>\nCy <cy@x.org> Dan <dan@x.org>", "", []string{"ann@x.org", "bob@x.org", "cy@x.org", "dan@x.org"}},
	"several in quotes":             {"\"ann@x.org; bob@x.org\"\n\"cy@x.org,dan@x.org", "", []string{"ann@x.org", "bob@x.org", "cy@x.org", "dan@x.org"}},
	"a heading and several":         {"mail\nann@x.org;bob@x.org\ncy@x.org", "mail", []string{"ann@x.org", "bob@x.org", "cy@x.org"}},
	"words between them":            {"ann@x.org and bob@x.org\ncy@x.org", "", []string{"ann@x.org and bob@x.org", "cy@x.org"}},
	"a long line of them":           {strings.Repeat("ann@x.org ", 40) + "end\nbob@x.org", "", append(slices.Repeat([]string{"ann@x.org"}, 40), "end", "bob@x.org")},
	"no heading: the addresses":     {"Ann,ann@x.org,Sales\nBob,bob@x.org,IT", "", []string{"ann@x.org", "bob@x.org"}},
	"no heading: a manager beside":  {"Ann,ann@x.org,boss@x.org\nBob,bob@x.org,", "", []string{"ann@x.org", "bob@x.org"}},
	"a manager is not the person":   {"Name,UPN,Manager\nAnn,,boss@x.org\n,,boss@x.org\nBob,bob@x.org,", "UPN", []string{"no UPN: Ann boss@x.org", "no UPN: boss@x.org", "bob@x.org"}},
	"below a table, a bare line":    {"Name,UPN\nAnn,ann@x.org\nbob@x.org; cy@x.org", "UPN", []string{"ann@x.org", "bob@x.org", "cy@x.org"}},
	"a cell of several":             {"Name,mail\nAnn,ann@x.org; a@x.org", "mail", []string{"ann@x.org", "a@x.org"}},
	"a pasted line of recipients":   {"Ann Roe <ann@x.org>; \"Roe, Bob\" <bob@x.org>; dan@x.org", "", []string{"ann@x.org", "bob@x.org", "dan@x.org"}},
	"recipients, one a line":        {"Ann <ann@x.org>\nmailto:bob@x.org\nSMTP:dan@x.org", "", []string{"ann@x.org", "bob@x.org", "dan@x.org"}},
	"what is no account stays":      {"ann@x.org\nsome words\n12", "", []string{"ann@x.org", "some words", "12"}},
	"control characters":            {"ann@x.org\x00\x1b[31m\nbob@x.org", "", []string{"ann@x.org [31m", "bob@x.org"}},
	"not UTF-8":                     {"andr\xe9@x.org\nbob@x.org", "", []string{"andr\ufffd@x.org", "bob@x.org"}},
	"headings in the middle remain": {"ann@x.org\nmail\nbob@x.org", "", []string{"ann@x.org", "mail", "bob@x.org"}},
	"a very long line":              {strings.Repeat("é", 1000) + "\nx", "", []string{strings.Repeat("é", 160), "x"}},
}

func TestParseList(t *testing.T) {
	t.Parallel()
	for name, tt := range lists {
		got := directory.ParseList(tt.text)
		if diff := cmp.Diff(tt.want, got.Lines); diff != "" || got.Column != tt.column {
			t.Errorf("%s: column %q, want %q\n-want +got:\n%s", name, got.Column, tt.column, diff)
		}
	}
}

func FuzzParseList(f *testing.F) {
	for _, tt := range lists {
		f.Add(tt.text)
	}
	f.Add("mail;mail\nmail\n<a@b<c@d>>\nsmtp:mailto:x")
	f.Fuzz(func(t *testing.T, text string) {
		got := directory.ParseList(text)
		for _, line := range got.Lines {
			if line == "" || len(line) > 320 || line != strings.TrimSpace(line) || strings.ContainsAny(line, "\",;<>") ||
				strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
				t.Errorf("%q has the line %q", text, line)
			}
		}
		if again := directory.ParseList(strings.Join(got.Lines, "\n")); !slices.Equal(again.Lines, got.Lines) {
			t.Errorf("%q: %q, and parsed again %q", text, got.Lines, again.Lines)
		}
		// Nor is an address among others, where no heading or table says that it is another's.
		if got.Column == "" && !strings.ContainsAny(text, "\"\r\n") && !strings.HasPrefix(text, "\xff\xfe") && !strings.HasPrefix(text, "\xfe\xff") {
			with := directory.ParseList(text + ";ann@x.org bob@x.org,dan@x.org\nene@x.org")
			for _, want := range []string{"ann@x.org", "bob@x.org", "dan@x.org", "ene@x.org"} {
				if with.Column == "" && !slices.Contains(with.Lines, want) {
					t.Errorf("%q has lost %s: %q", text, want, with.Lines)
				}
			}
		}
		// An address that stands alone on a line is never lost.
		if with := directory.ParseList(strings.ToValidUTF8(text, "") + "\nann@x.org\nbob@x.org"); strings.Count(text, ",")+strings.Count(text, ";")+strings.Count(text, "\t") == 0 &&
			!strings.HasPrefix(text, "\xff\xfe") && !strings.HasPrefix(text, "\xfe\xff") && (!slices.Contains(with.Lines, "ann@x.org") || !slices.Contains(with.Lines, "bob@x.org")) {
			t.Errorf("%q: %q", text, with.Lines)
		}
	})
}

func TestEveryLineIsAccountedFor(t *testing.T) {
	t.Parallel()
	f := town()
	f.users[5].Mail, f.users[6].Mail, f.users[7].Mail = "shared@contoso.example", "Shared@contoso.example", "o'neil@contoso.example"
	f.users[8].UPN = "new.hire@contoso.example"
	f.late[id("user", 8)], f.late[id("user", 9)] = true, true
	f.fail["UsersPage all userPrincipalName in ('p13@contoso.example')"] = refused()
	got := expand(t, f, include(directory.Source{Kind: directory.ListSource, Lines: []string{
		"\ufeffDisplay name,UPN", "A,P1@CONTOSO.example", "B," + strings.ToUpper(id("user", 2)), "C,mail3@contoso.example", "D,p1@contoso.example", "E,mail1@contoso.example",
		"F,shared@contoso.example", "G,nobody@contoso.example", "H,just words", "I,O'Neil@contoso.example", "J,new.hire@contoso.example", "K," + id("user", 9), "L," + id("user", 99),
		"M,p12@contoso.example", "N,unfilterable@contoso.example", "",
	}}))
	if diff := cmp.Diff([]string{"new.hire", "p1", "p12", "p2", "p3", "p7", "p9"}, slices.Sorted(mapsKeys(got.in))); diff != "" {
		t.Errorf("people: -want +got:\n%s", diff)
	}
	const nobody = "no account has it as its object id, sign-in name or address"
	want := []directory.Line{
		{Text: "p1@contoso.example", Fate: directory.LineDuplicate, Reason: "the account p1@contoso.example, as an earlier line"},
		{Text: "mail1@contoso.example", Fate: directory.LineDuplicate, Reason: "the account p1@contoso.example, as an earlier line"},
		{Text: "shared@contoso.example", Fate: directory.LineAmbiguous, Reason: "2 accounts have this address: p5@contoso.example and p6@contoso.example"},
		{Text: "nobody@contoso.example", Fate: directory.LineNotFound, Reason: nobody},
		{Text: "just words", Fate: directory.LineNotFound, Reason: "it is no object id, sign-in name or address"},
		{Text: id("user", 99), Fate: directory.LineNotFound, Reason: nobody},
		{Text: "unfilterable@contoso.example", Fate: directory.LineNotFound, Reason: nobody},
	}
	if diff := cmp.Diff(want, got.Lines); diff != "" || got.Matched != 7 || len(got.Unread) != 0 {
		t.Errorf("%d matched, unread %v\n-want +got:\n%s", got.Matched, got.Unread, diff)
	}
	got = expand(t, f, include(directory.Source{Kind: directory.ListSource, Name: "list of 2 lines", Lines: []string{"p13@contoso.example", id("user", 1)}}))
	if len(got.Lines) != 1 || got.Lines[0].Fate != directory.LineUnread || got.Matched != 1 || len(got.Unread) != 1 || got.Unread[0].What != "1 of 2 lines of list of 2 lines" {
		t.Errorf("got %+v, unread %+v", got.Lines, got.Unread)
	}
}

func mapsKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// A sign-in name goes before an address: who has it as their sign-in name is meant, whoever else has it as an address.
func TestASignInNameGoesBeforeAnAddress(t *testing.T) {
	t.Parallel()
	f := town()
	f.users[5].Mail = "p6@contoso.example"
	got := expand(t, f, include(directory.Source{Kind: directory.ListSource, Lines: []string{"p6@contoso.example"}}))
	if len(got.in) != 1 || got.in["p6"] == nil {
		t.Errorf("got %v", got.in)
	}
}

func TestALongListCostsFewCalls(t *testing.T) {
	t.Parallel()
	f := town()
	f.size = 999
	f.users = f.users[:0]
	var lines []string
	for n := range 3000 {
		u := account(n)
		u.UPN = fmt.Sprintf("%s%d@contoso.example", strings.Repeat("ö", n%60), n)
		f.users = append(f.users, u)
		lines = append(lines, []string{u.ID, u.UPN, u.Mail}[n%3])
	}
	for range 500 {
		lines = append(lines, fmt.Sprintf("nobody%d@contoso.example", len(lines)))
	}
	f.users = append(f.users, directory.User{ID: opOID})
	got := expand(t, f, include(directory.Source{Kind: directory.ListSource, Lines: lines}))
	if got.Matched != 3000 || len(got.in) != 3000 || len(got.Lines) != 500 {
		t.Errorf("%d matched, %d people, %d lines", got.Matched, len(got.in), len(got.Lines))
	}
	filters, reads := 0, 0
	for i, call := range f.calls {
		if call == "UsersPage" && strings.Contains(f.args[i], " in (") {
			filters++
		}
		if call == "User" {
			reads++
		}
	}
	// 1,000 ids, 2,500 names and 1,500 of them as addresses, 15 at once at best.
	if filters > 5000/15*13/10 || reads != 500 {
		t.Errorf("%d filters and %d single readings", filters, reads)
	}
}

func TestSingleReadingsAreBounded(t *testing.T) {
	t.Parallel()
	f := town()
	var lines []string
	for n := range 3000 {
		lines = append(lines, fmt.Sprintf("nobody%d@contoso.example", n))
	}
	got := expand(t, f, include(directory.Source{Kind: directory.ListSource, Lines: lines}))
	reads := 0
	for _, call := range f.calls {
		if call == "User" {
			reads++
		}
	}
	if len(got.Lines) != 3000 || reads != 1000 {
		t.Errorf("%d lines, %d single readings", len(got.Lines), reads)
	}
}

// crowd is a tenant of many people who exist only while a page of them is read.
type crowd struct {
	*fake

	n int
}

func (c crowd) UsersPage(ctx context.Context, t operator.TokenSource, list directory.UserList, page string) (directory.Page[directory.User], error) {
	if list != (directory.UserList{}) {
		return c.fake.UsersPage(ctx, t, list, page)
	}
	from := 0
	_, _ = fmt.Sscan(page, &from)
	out := directory.Page[directory.User]{}
	for n := from; n < min(from+999, c.n); n++ {
		out.Items = append(out.Items, account(n))
	}
	if from+999 < c.n {
		out.Next = fmt.Sprint(from + 999)
	}
	return out, nil
}

func TestExpandHoldsNoCrowd(t *testing.T) {
	f := town()
	s := directory.NewService(directory.Options{Graph: crowd{f, 150_000}, Now: func() time.Time { return at }})
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var first, most uint64
	pages, people := 0, 0
	_, err := s.Expand(t.Context(), directory.ExpandRequest{
		Tokens: tokens{}, Operator: op(), Scope: include(directory.Source{Kind: directory.TenantSource}),
		Take: func(_ context.Context, hits []directory.Hit) error {
			people += len(hits)
			if pages++; pages == 2 {
				first = live()
			} else if pages%50 == 0 {
				most = max(most, live())
			}
			return nil
		},
	})
	if err != nil || people != 150_000 {
		t.Fatalf("%d people, %v", people, err)
	}
	if most > first+8<<20 {
		t.Errorf("it held %d MB more at its most than at its beginning", (most-first)>>20)
	}
}
