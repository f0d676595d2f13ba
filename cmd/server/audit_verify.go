package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/auth"
)

// outcome is an error with an exit code of its own.
type outcome struct {
	code int
	error
}

// Unwrap is the error itself.
func (o outcome) Unwrap() error { return o.error }

// exitCode is what the process ends with.
func exitCode(err error) int {
	if o, ok := errors.AsType[outcome](err); ok {
		return o.code
	}
	return 1
}

// The exit codes of verify.
const (
	foundProblems = 1
	notVerified   = 2
	olderExport   = 3 // intact, and the verifier has a checkpoint that is newer
)

func (d desk) verify(ctx context.Context, args []string) error {
	report, of, err := d.verified(ctx, args)
	if err != nil {
		return outcome{notVerified, err}
	}
	if _, err := fmt.Fprint(d.stdout, reportText(report)+of); err != nil {
		return outcome{notVerified, fmt.Errorf("the result could not be written: %w", err)}
	}
	switch {
	case !report.Intact():
		return outcome{foundProblems, errors.New("not intact: it has problems")}
	case len(report.Newer) > 0:
		return outcome{olderExport, errors.New("intact as far as it goes: a checkpoint of yours is newer")}
	default:
		return nil
	}
}

// verified verifies what the arguments name. of is what else there is to say of it.
func (d desk) verified(ctx context.Context, args []string) (r audit.Report, of string, err error) {
	var keys, checkpoints []string
	f := flags("verify")
	f.Func("key", "a verifier key that you kept, or a file of them; may be repeated", collect(&keys))
	f.Func("checkpoint", "a file of checkpoints that you kept; may be repeated", collect(&checkpoints))
	if err := parseFlags(f, args, d.stderr); err != nil {
		return r, "", err
	}
	x, err := expect(keys, checkpoints)
	if err != nil {
		return r, "", err
	}
	for _, path := range f.Args()[min(f.NArg(), 1):] {
		proof, err := readProof(path)
		if err != nil {
			return r, "", err
		}
		x.Proofs = append(x.Proofs, proof)
	}
	if f.NArg() == 0 {
		return d.verifyLive(ctx, x)
	}
	r, err = verifyFile(ctx, f.Arg(0), x)
	return r, "", err
}

func collect(into *[]string) func(string) error {
	return func(s string) error { *into = append(*into, s); return nil }
}

func verifyFile(ctx context.Context, path string, x audit.Expect) (audit.Report, error) {
	file, err := os.Open(path)
	if err != nil {
		return audit.Report{}, err
	}
	defer file.Close()
	r, err := audit.VerifyExport(ctx, file, x)
	if errors.Is(err, audit.ErrNotExport) {
		err = fmt.Errorf("%s: %w; only JSON Lines can be verified, as evict audit export makes them", path, err)
	}
	return r, err
}

func (d desk) verifyLive(ctx context.Context, x audit.Expect) (r audit.Report, of string, err error) {
	l, err := d.open(ctx, app.ReadLedger)
	if err != nil {
		return r, "", err
	}
	defer l.Close()
	tenths := int64(0)
	r, with, err := l.Verify(ctx, x, func(done, of int64) {
		if now := 10 * done / max(of, 1); now > tenths {
			tenths = now
			fmt.Fprintf(d.stderr, "%d of %d events\n", done, of)
		}
	})
	return r, "\nBeside what you brought, it was held against:\n" + bullets(with) +
		"\nThis verification is not recorded: the database was opened for reading only. One on the console's page is.\n", err
}

// expect is what a verifier brought along.
func expect(keys, checkpoints []string) (x audit.Expect, err error) {
	for _, given := range keys {
		found, err := readKeys(given)
		if err != nil {
			return x, fmt.Errorf("-key: %w", err)
		}
		x.Keys = append(x.Keys, found...)
	}
	for _, path := range checkpoints {
		found, err := readCheckpoints(path)
		if err != nil {
			return x, fmt.Errorf("-checkpoint: %w", err)
		}
		x.Checkpoints = append(x.Checkpoints, found...)
	}
	return x, nil
}

// readKeys reads a verifier key, or a file of them. An error does not show what was given: it may be a secret.
func readKeys(given string) ([]string, error) {
	text := given
	body, unread := os.ReadFile(given)
	if unread == nil {
		text = string(body)
	}
	keys := strings.Fields(text)
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it: evict audit key prints the one that verifies")
	}
	if holdsSecret(text) {
		return nil, errors.New("this is the secret key: evict audit key prints the other one, which verifies")
	}
	for _, key := range keys {
		if _, err := note.NewVerifier(key); err != nil {
			return nil, noKey(given, unread)
		}
	}
	return keys, nil
}

// noKey says why what was given, or the file that it names, holds no verifier key; unread is why no file was read.
func noKey(given string, unread error) error {
	path, isPath := errors.AsType[*fs.PathError](unread)
	_, unseen := os.Lstat(given)
	switch {
	case isPath && unseen == nil:
		return fmt.Errorf("the file cannot be read: %w", path.Err)
	case errors.Is(unread, fs.ErrNotExist) && looksLikePath(given):
		return errors.New("the file does not exist")
	default:
		return errors.New("it is neither a verifier key nor a file of them: evict audit key prints one")
	}
}

// looksLikePath tells the name of a file from a key with a mistake in it: name+id+base64, and that has slashes, too.
func looksLikePath(s string) bool {
	return strings.Count(s, "+") < 2 && strings.ContainsAny(s, "/."+string(filepath.Separator))
}

func readCheckpoints(path string) ([]audit.Checkpoint, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found, err := audit.ParseCheckpoints(string(body))
	if err == nil && len(found) == 0 {
		err = errors.New("it holds none")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return found, nil
}

// readProof reads what may follow an export.
func readProof(path string) (p audit.Consistency, err error) {
	if strings.HasPrefix(path, "-") {
		return p, fmt.Errorf("flags come before the export, and %q comes after", path)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	if p, err = audit.ParseConsistency(body); err != nil {
		err = fmt.Errorf("verify takes one export, and after it proofs of consistency: %s: %w", path, err)
	}
	return p, err
}

// reportText is a report: what is wrong first.
func reportText(r audit.Report) string {
	var b strings.Builder
	if strings.HasPrefix(r.Origin, audit.Origin(auth.SimulatorName, "")) {
		b.WriteString(audit.Rehearsed + "\n\n")
	}
	b.WriteString(headline(r) + rolledBack(r.Rollbacks) + "\n")
	for _, p := range r.Problems {
		b.WriteString(bullets([]string{p.Text}))
	}
	if r.More > 0 {
		fmt.Fprintf(&b, "  - and %d more\n", r.More)
	}
	fmt.Fprintf(&b, "\nLedger      %s\nSize        %d events\nRoot        %s\nRead        %d events, %d removed by retention\nCheckpoints %s\n",
		printable(r.Origin), r.Size, r.Root, r.Events, r.Removed, checkpointsText(r))
	for _, k := range r.Keys {
		fmt.Fprintf(&b, "Key         %s\n", printable(k))
	}
	b.WriteString("\nWhat this covers:\n" + bullets(r.Covers))
	return b.String()
}

func headline(r audit.Report) string {
	switch {
	case !r.Intact():
		return fmt.Sprintf("PROBLEMS: %d.", len(r.Problems)+r.More)
	case len(r.Newer) > 0:
		return fmt.Sprintf("INTACT AS FAR AS IT GOES: your checkpoint of %d events is newer than this export of %d. "+
			"If the export was taken after you kept that checkpoint, newer events were cut off.", slices.Max(r.Newer), r.Size)
	case len(r.Rollbacks) > 0:
		return "INTACT AS IT STANDS: nothing is wrong with what was verified."
	default:
		return "INTACT: nothing is wrong with what was verified."
	}
}

// rolledBack goes on with a headline when rollbacks were accepted.
func rolledBack(seqs []int64) string {
	switch len(seqs) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(" A rollback was accepted (event %d): what was recorded before it and cut off is not here.", seqs[0])
	default:
		return fmt.Sprintf(" %d rollbacks were accepted (the last is event %d): what was recorded before them and cut off is not here.",
			len(seqs), slices.Max(seqs))
	}
}

// checkpointsText says how many were verified, and whose.
func checkpointsText(r audit.Report) string {
	text := fmt.Sprintf("%d verified", r.Checkpoints)
	switch {
	case r.Brought == 0:
		text += ", none of your own"
	case r.Own == r.Brought:
		text += fmt.Sprintf(", %d of your own", r.Own)
	default:
		text += fmt.Sprintf(", %d of the %d of your own", r.Own, r.Brought)
	}
	if r.Console > 0 {
		text += fmt.Sprintf(", %d of the console's own", r.Console)
	}
	return text
}

func bullets(lines []string) string {
	var b strings.Builder
	for _, s := range lines {
		b.WriteString("  - " + printable(s) + "\n")
	}
	return b.String()
}
