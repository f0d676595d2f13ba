package entrasim

import (
	"strings"
	"testing"
	"time"
)

// FuzzFilter feeds the parser and the evaluator: neither may fail on any text.
func FuzzFilter(f *testing.F) {
	for _, src := range []string{
		"displayName eq 'a''b'", "not (a ne null) and startsWith(b,'x') or c in ('1','2')", "x/any(t:t/id eq '1' and t/n ge 2)",
		"createdDateTime ge 2026-01-01T00:00:00Z", "a/b/c eq true", "((((", "x/any()", "id eq 7b0a3d0e-5f54-4b1c-9b0a-2f6f0f5f9d11", "endswith(m,'z') eq true",
	} {
		f.Add(src)
	}
	values := map[string]any{
		"a": nil, "b": "text", "c": 3, "d": true, "e": time.Unix(0, 0), "x": []map[string]any{{"id": "1", "n": 3}}, "y": []string{"p", "q"},
	}
	f.Fuzz(func(t *testing.T, src string) {
		n, err := parseFilter(src)
		if (n == nil) == (err == nil) {
			t.Fatalf("node %v, error %v", n, err)
		}
		if n != nil {
			n.match(func(name string) any { return values[name] })
		}
	})
}

// FuzzSearch does the same for $search.
func FuzzSearch(f *testing.F) {
	for _, src := range []string{`"displayName:ann" OR "mail:ann"`, `("a:b" AND "c:d")`, `"a:\"b\""`, `"`, `((`, `"displayName:ÅsaGruß42"`} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		n, err := parseSearch(src)
		if (n == nil) == (err == nil) {
			t.Fatalf("node %v, error %v", n, err)
		}
		if n != nil {
			n.match(func(string) any { return "Some Name" })
			n.properties()
		}
	})
}

// FuzzPath holds that a path is cut without failing and that no segment keeps a slash that was not encoded.
func FuzzPath(f *testing.F) {
	for _, src := range []string{"/users('a''b')/memberOf", "/directoryRoles(roleTemplateId='x')", "/users/%2F", "//", "/users(')"} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		segs, err := splitPath(src)
		if err != nil {
			return
		}
		for _, s := range segs {
			if strings.Contains(s, "/") && !strings.Contains(strings.ToUpper(src), "%2F") {
				t.Fatalf("segment %q of %q", s, src)
			}
		}
	})
}

func TestSearchWordsAreCutAsGraphCutsThem(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"Basic Video": "basic video", "HelloWorld2 x-y": "hello world 2 x y", "Åsa Gruß": "åsa gruß", "": "",
	} {
		if got := strings.Join(searchWords(src), " "); got != want {
			t.Errorf("%q = %q, want %q", src, got, want)
		}
	}
}
