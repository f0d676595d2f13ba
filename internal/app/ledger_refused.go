package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"evict/internal/notary"
)

// WayOut adds to the error of a start that was refused, because the ledger contradicts its last checkpoint, the command
// that accepts that, to be pasted into a shell. settings are the variables that this shell lacks: NAME=value, quoted.
func WayOut(err error, settings ...string) error {
	if !errors.Is(err, notary.ErrRollback) {
		return err
	}
	words := slices.Concat(settings, []string{Program(os.Args[0]), `audit accept-rollback -reason "..."`})
	return fmt.Errorf("%w\n\nThe whole of that command; put your reason in the place of the dots:\n\n  %s", err, strings.Join(words, " "))
}

// ofGoRun is where "go run" puts what it built: a folder for the build or, since Go 1.24, one of the build cache.
var ofGoRun = regexp.MustCompile(`(^|/)(go-build\d+/b\d+/exe|[0-9a-f]{64}-d)/[^/]+$`)

// Program is how a shell starts the program that was started as arg0.
func Program(arg0 string) string {
	if ofGoRun.MatchString(filepath.ToSlash(arg0)) {
		return "go run ./cmd/server"
	}
	return quoted(arg0)
}

// quoted is a text, such as a path, as a shell takes it for one word.
func quoted(text string) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("/._-+", r)
	}
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
