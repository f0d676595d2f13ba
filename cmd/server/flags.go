package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// secretKey begins every secret key of a ledger.
const secretKey = "PRIVATE+KEY+"

func holdsSecret(s string) bool { return strings.Contains(s, secretKey) }

// parse reads flags and takes no other arguments.
func parse(f *flag.FlagSet, args []string, stderr io.Writer) error {
	if err := parseFlags(f, args, stderr); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%s does not understand %q", f.Name(), f.Arg(0))
	}
	return nil
}

// parseFlags reads flags. The error alone says what is wrong with them, and shows no secret key that stands among them.
func parseFlags(f *flag.FlagSet, args []string, stderr io.Writer) error {
	if slices.ContainsFunc(args, holdsSecret) {
		return errors.New("a secret key stands among the arguments, where others on this machine can see it: name its file instead. " +
			"-key takes the other one, which verifies: evict audit key prints it")
	}
	var usage strings.Builder
	f.SetOutput(io.Discard)
	err := f.Parse(args)
	f.SetOutput(&usage)
	f.PrintDefaults()
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stderr, "usage of %s:\n%s", f.Name(), usage.String())
		return err
	case err != nil:
		return fmt.Errorf("%s: %w\n\n%s", f.Name(), err, usage.String())
	default:
		return nil
	}
}

// write writes to a new file that only its owner can read, or to standard output when path is "". A file that was not
// finished is removed.
func write(path string, stdout io.Writer, to func(io.Writer) error) error {
	if path == "" {
		return to(stdout)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already, and is not written over: name another file with -o", path)
	}
	if err != nil {
		return err
	}
	if err = errors.Join(to(file), file.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func writeKey(path string, stdout io.Writer, key string) error {
	return write(path, stdout, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, key)
		return err
	})
}
