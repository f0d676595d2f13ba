package store_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// functions parses the package and returns each function with its name.
func functions(t *testing.T) map[string]*ast.FuncDecl {
	t.Helper()
	out := map[string]*ast.FuncDecl{}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no source: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				out[d.Name.Name] = d
			case *ast.GenDecl: // package-level text must not hold such statements either
				out["declarations of "+name+strconv.Itoa(int(d.Pos()))] = &ast.FuncDecl{
					Name: ast.NewIdent(name), Type: &ast.FuncType{}, Body: &ast.BlockStmt{List: []ast.Stmt{&ast.DeclStmt{Decl: d}}},
				}
			}
		}
	}
	return out
}

// texts lists the string literals in a function.
func texts(f *ast.FuncDecl) (out []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				out = append(out, s)
			}
		}
		return true
	})
	return out
}

// Events are appended by appendEvents, the tree grows in grow, and only a removal takes anything away.
func TestOneFunctionWritesEachTableOfTheLedger(t *testing.T) {
	t.Parallel()
	writing := regexp.MustCompile(`(?is)\b(insert\s+(?:or\s+\w+\s+)?into|replace\s+into|update|delete\s+from|truncate(?:\s+table)?|merge\s+into|alter\s+table|drop\s+table|copy)\s+(?:only\s+)?"?(ledger_\w+|person)\b`)
	got := map[string][]string{} // table and what is done -> by whom
	for name, f := range functions(t) {
		for _, text := range texts(f) {
			for _, m := range writing.FindAllStringSubmatch(text, -1) {
				what := strings.Fields(strings.ToLower(m[1]))[0] + " " + m[2]
				if !slices.Contains(got[what], name) {
					got[what] = append(got[what], name)
					slices.Sort(got[what])
				}
			}
		}
	}
	want := map[string][]string{
		"insert ledger_event": {"appendEvents"}, "delete ledger_event": {"removeSome"},
		"update ledger_head": {"finishRemoval", "grow", "recordRemoval", "removeSome", "take"},
		"insert ledger_hash": {"grow"}, "insert ledger_checkpoint": {"SaveCheckpoint"},
		"insert ledger_day": {"grow"}, "update ledger_day": {"uncount"}, "delete ledger_day": {"uncount"},
		"insert ledger_note": {"noteWords"}, "delete ledger_note": {"dictionaries", "removeSome"},
		"insert person": {"appendEvents"}, "delete person": {"dictionaries"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who writes the ledger's tables (-want +got):\n%s", diff)
	}
}

// Nothing may follow the events but the commit, and only one function begins a write, so that no write can do
// without them.
func TestEventsAreTheLastThingBeforeTheCommit(t *testing.T) {
	t.Parallel()
	calls := map[string][]string{} // called method or function -> its callers
	for name, f := range functions(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch fun := call.Fun.(type) {
			case *ast.Ident:
				calls[fun.Name] = append(calls[fun.Name], name)
			case *ast.SelectorExpr:
				calls[fun.Sel.Name] = append(calls[fun.Sel.Name], name)
			}
			return true
		})
	}
	for callee, want := range map[string][]string{
		"appendEvents": {"writeOnce"}, "Commit": {"writeOnce"}, "grow": {"appendEvents", "plantSome"}, "noteWords": {"grow"},
		"take": {"appendEvents", "forgetSome", "plantSome", "seal"}, "removeSome": {"removeAll"}, "removeAll": {"finishRemoval"},
		"finishRemoval": {"Remove", "Remove"},
	} {
		got := slices.Sorted(slices.Values(calls[callee]))
		if !slices.Equal(got, want) {
			t.Errorf("%s is called by %v, want %v", callee, got, want)
		}
	}
	source, err := os.ReadFile("tx.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(source), "func (db *DB) writeOnce(")
	body, _, _ = strings.Cut(body, "\n}\n")
	_, after, found := strings.Cut(body, "appendEvents(ctx, tx, events)")
	between, _, committed := strings.Cut(after, "tx.Commit()")
	if !found || !committed || strings.Contains(between, "tx") {
		t.Errorf("between the events and the commit:\n%s", between)
	}
}
