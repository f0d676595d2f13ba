package config_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"evict/internal/config"
)

var update = flag.Bool("update", false, "write the README's configuration table anew")

const (
	readme     = "../../README.md"
	tableStart = "<!-- configuration: written by make config-table -->\n"
	tableEnd   = "<!-- end of configuration -->\n"
)

func TestTheReadmeShowsTheConfiguration(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(body), tableStart)
	shown, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between %q and %q", readme, tableStart, tableEnd)
	}
	want := "\n" + config.Table() + "\n"
	switch {
	case shown == want:
	case *update:
		if err := os.WriteFile(readme, []byte(before+tableStart+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table in %s is not the one of the code: run 'make config-table'\ngot:\n%s\nwant:\n%s", readme, shown, want)
	}
}

func TestTheTableNamesEverySetting(t *testing.T) {
	t.Parallel()
	table := config.Table()
	for _, want := range []string{
		"| `EVICT_LISTEN` | `:8080` |", "| `EVICT_TENANT_ID` |  |", "| `EVICT_CLIENT_SECRET`, `EVICT_CLIENT_SECRET_FILE` |  |",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no %q:\n%s", want, table)
		}
	}
	for line := range strings.Lines(table) {
		if got := strings.Count(line, "|"); got != 4 {
			t.Errorf("a line has %d bars, want 4: %s", got, line)
		}
		if strings.HasSuffix(line, "|  |\n") {
			t.Errorf("a setting is not explained: %s", line)
		}
	}
}
