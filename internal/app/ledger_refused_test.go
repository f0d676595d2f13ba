package app_test

import (
	"strings"
	"testing"

	"evict/internal/app"
)

func TestAProgramIsNamedAsAShellStartsItAgain(t *testing.T) {
	t.Parallel()
	const goRun = "go run ./cmd/server"
	for arg0, want := range map[string]string{
		"evict": "evict", "./server": "./server", "/opt/go-builder/evict": "/opt/go-builder/evict",
		"/opt/our tools/evict": "'/opt/our tools/evict'", "it's": `'it'\''s'`, "$(evict)": "'$(evict)'", "": "''",
		"/tmp/go-build161256992/b001/exe/server":                       goRun,
		"/var/cache/89/" + strings.Repeat("8912b0c1", 8) + "-d/server": goRun,
	} {
		if got := app.Program(arg0); got != want {
			t.Errorf("%s: got %s, want %s", arg0, got, want)
		}
	}
}
