package directory_test

import (
	"strings"
	"testing"
	"unicode"

	"evict/internal/directory"
	"evict/internal/fault"
)

func TestReadyFilters(t *testing.T) {
	t.Parallel()
	tests := []struct{ key, value, want string }{
		{"department", " Finance ", "department eq 'Finance'"},
		{"department", "O'Brien's", "department eq 'O''Brien''s'"},
		{"department", "' or accountEnabled eq true or department eq '", "department eq ''' or accountEnabled eq true or department eq '''"},
		{"company", "A & B #1 + C%", "companyName eq 'A & B #1 + C%'"},
		{"city", "Zürich", "city eq 'Zürich'"},
		{"domain", "@contoso.com", "endsWith(userPrincipalName,'@contoso.com')"},
		{"created", "2026-03-01", "createdDateTime ge 2026-03-01T00:00:00Z"},
		{"created", "2026-02-30", ""},
		{"created", "2026-03-01T00:00:00Z or 1 eq 1", ""},
		{"department", "", ""},
		{"department", "a\nb", ""},
		{"department", strings.Repeat("a", 300), ""},
		{"synced", "whatever", "onPremisesSyncEnabled eq true"},
		{"external", "", "creationType eq 'Invitation' or externalUserState eq 'Accepted' or externalUserState eq 'PendingAcceptance'"},
	}
	for _, tt := range tests {
		f, ok := directory.ReadyFilterOf(tt.key)
		got, err := f.Filter(tt.value)
		if !ok || got != tt.want || (err != nil) != (tt.want == "") || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s %q: got %q, %v, want %q", tt.key, tt.value, got, err, tt.want)
		}
	}
	if _, ok := directory.ReadyFilterOf("x"); ok || len(directory.ReadyFilters()) < 7 {
		t.Error("the ready-made filters are not what they should be")
	}
}

// FuzzReadyFilters holds that a value stays one literal, whatever is typed.
func FuzzReadyFilters(f *testing.F) {
	for _, v := range []string{"Finance", "O'Brien", "''", "'", "' or '1' eq '1", "2026-03-01", "2026-03-01 or x", "\\'", "%27", "é", "\xff"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, ready := range directory.ReadyFilters() {
			got, err := ready.Filter(value)
			if err != nil {
				if fault.KindOf(err) != fault.Invalid || got != "" {
					t.Fatalf("%s %q: %q, %v", ready.Key, value, got, err)
				}
				continue
			}
			if len(got) > directory.MaxFilter || strings.ContainsFunc(got, unicode.IsControl) {
				t.Errorf("%s %q: %q", ready.Key, value, got)
			}
			if ready.Value == "" || ready.Date {
				if ready.Date && strings.ContainsAny(got, "'()") {
					t.Errorf("%s %q: %q", ready.Key, value, got)
				}
				continue
			}
			// What stands before the literal and after it is ours, and the literal says what was typed.
			from, to := strings.IndexByte(got, '\''), strings.LastIndexByte(got, '\'')
			inner := got[from+1 : to]
			said := strings.ReplaceAll(inner, "''", "'")
			if strings.Contains(strings.ReplaceAll(inner, "''", ""), "'") || from == to || strings.TrimPrefix(said, "@") != strings.TrimPrefix(strings.TrimSpace(value), "@") {
				t.Errorf("%s %q: %q", ready.Key, value, got)
			}
		}
	})
}
