//go:build !nosimulator

package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheDemoDoesNotStartBesideARealConfiguration(t *testing.T) {
	t.Parallel()
	for _, set := range []string{"EVICT_TENANT_ID=11111111-2222-4333-8444-555555555555", "EVICT_CLIENT_SECRET_FILE=/run/secrets/x"} {
		name, _, _ := strings.Cut(set, "=")
		stdout, _, err := start(t, []string{"PATH=/bin", set}, "demo", "-listen", "127.0.0.1:0")
		if err == nil || !strings.Contains(err.Error(), name+" is set") {
			t.Errorf("%s: got %v", name, err)
		}
		if stdout != "" {
			t.Errorf("%s: it announced itself: %q", name, stdout)
		}
	}
}

func TestTheDemoListensOnThisMachineOnly(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"demo", "-listen", "0.0.0.0:0"}, {"demo", "-simulator", ":0"}, {"demo", "-simulator-tls", "192.0.2.1:0"}, {"demo", "-listen", "localhost"},
	} {
		if _, _, err := start(t, nil, args...); err == nil || !strings.Contains(err.Error(), args[2]) {
			t.Errorf("%v: got %v", args, err)
		}
	}
}

func TestTheDemoExplainsItsFlags(t *testing.T) {
	t.Parallel()
	_, stderr, err := start(t, nil, "demo", "-h")
	if !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"-listen", "-simulator", "-simulator-tls", "-people", "-seed", "-latency", "-lag", "-data"} {
		if !strings.Contains(stderr, "\n  "+name+" ") {
			t.Errorf("%s is not explained:\n%s", name, stderr)
		}
	}
}

// It is not parallel: it changes the name of the program; and a shell that is being started holds for a moment the locks
// of all databases that are open.
func TestADemoThatIsRefusedPrintsTheCommandThatAcceptsIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's kept")
	if err := serveDemo(t, dir); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} { // another database in its place
		if err := os.Remove(filepath.Join(dir, "evict.db"+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	program := namedOtherwise(t)
	err := serveDemo(t, dir)
	if err == nil {
		t.Fatal("it started with a database that its checkpoints contradict")
	}
	_, command, ok := strings.Cut(err.Error(), "of the dots:\n\n")
	if !ok {
		t.Fatalf("no command in:\n%v", err)
	}
	environ, args := asTheShellReads(t, program, strings.TrimSpace(command))
	if _, _, err := start(t, environ, args...); err == nil || !strings.Contains(err.Error(), "gives no reason") {
		t.Fatalf("as it was pasted: %s\n%v", command, err)
	}
	args[len(args)-1] = "a test"
	stdout, stderr, err := start(t, environ, args...)
	if err != nil || !strings.Contains(stdout, "Accepted, and recorded") {
		t.Fatalf("%s\n%v\n%s%s", command, err, stdout, stderr)
	}
	if err := serveDemo(t, dir); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// namedOtherwise has this program be known, during a test, as one that is not called evict. It returns the path.
func namedOtherwise(t *testing.T) string {
	t.Helper()
	was := os.Args[0]
	t.Cleanup(func() { os.Args[0] = was })
	os.Args[0] = filepath.Join(t.TempDir(), "Evict's console")
	return os.Args[0]
}

// serveDemo starts a demo on a folder, and stops it once it serves.
func serveDemo(t *testing.T, dir string) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := &serving{cancel: cancel}
	return run(ctx, []string{
		"demo", "-data", dir, "-people", "100", "-listen", "localhost:0", "-simulator", "localhost:0", "-simulator-tls", "localhost:0",
	}, nil, log, log)
}

// asTheShellReads is what a program gets from a command line: its EVICT_ variables and its arguments.
func asTheShellReads(t *testing.T, program, command string) (environ, args []string) {
	t.Helper()
	const script = "#!/bin/sh\nenv | grep ^EVICT_\necho --\nprintf '%s\\n' \"$@\"\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", command).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	before, after, _ := strings.Cut(string(out), "--\n")
	return strings.Split(strings.TrimSpace(before), "\n"), strings.Split(strings.TrimSpace(after), "\n")
}
