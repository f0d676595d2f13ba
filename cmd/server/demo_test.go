//go:build !nosimulator

package main

import (
	"errors"
	"flag"
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
