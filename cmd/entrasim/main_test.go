package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"evict/internal/entrasim"
)

// output is written by one goroutine and read by another, which is told of each write.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	written chan struct{}
}

func newOutput() *output { return &output{written: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.written <- struct{}{}:
	default:
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func TestOnlyLoopbackAddressesUnlessExposed(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"localhost:8081": true, "127.0.0.1:0": true, "[::1]:8443": true, ":8081": false, "0.0.0.0:8081": false,
		"192.0.2.7:8081": false, "example.com:80": false, "localhost": false, "localhost.evil.example:80": false,
	} {
		if got := checkAddress(address, false) == nil; got != want {
			t.Errorf("%q allowed = %v, want %v", address, got, want)
		}
	}
	if err := checkAddress(":8081", true); err != nil {
		t.Errorf("-expose: %v", err)
	}
}

func TestRunServesUntilStoppedAndSaysWhere(t *testing.T) {
	t.Parallel()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, errOut := newOutput(), newOutput()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"-browser", "127.0.0.1:0", "-tls", "127.0.0.1:0", "-people", "40", "-ca-out", ca,
			"-redirect", "http://localhost:1/a", "-redirect", "http://localhost:2/b"}, out, errOut)
	}()
	for !strings.Contains(out.String(), "Ctrl-C") {
		select {
		case <-out.written:
		case <-time.After(20 * time.Second):
			t.Fatalf("nothing announced: %s %s", out.String(), errOut.String())
		}
	}
	said := out.String()
	for _, want := range []string{"REHEARSAL", "HTTPS_PROXY=http://localhost:", "SSL_CERT_FILE=" + ca, "http://localhost:1/a http://localhost:2/b"} {
		if !strings.Contains(said, want) {
			t.Errorf("not said: %q", want)
		}
	}
	base := regexp.MustCompile(`http://localhost:\d+`).FindString(said)
	resp, err := http.Get(base + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("home page = %d", resp.StatusCode)
	}
	raw, err := os.ReadFile(ca)
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(raw) {
		t.Errorf("CA file: %v", err)
	}
	cancel()
	select {
	case code := <-done:
		if code != 0 {
			t.Errorf("exit code %d: %s", code, errOut.String())
		}
	case <-time.After(10 * time.Second):
		t.Error("did not stop")
	}
}

func TestFlagsMakeTheService(t *testing.T) {
	t.Parallel()
	got, err := parse([]string{
		"-people", "250000", "-unthrottled", "-other-writes", "30", "-replica", "0s", "-replica", "3s",
		"-fault", "answer lost=0.02", "-fault", "status 503=0.1@revokeSignInSessions",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := entrasim.Options{
		People: 250_000, Quota: entrasim.Quota{Disabled: true, OtherWrites: 30}, Replicas: []time.Duration{0, 3 * time.Second},
		Faults: []entrasim.Fault{
			{Kind: entrasim.AnswerLost, Rate: 0.02}, {Kind: entrasim.Status503, Rate: 0.1, Match: "revokeSignInSessions"},
		},
	}
	if o := got.sim; o.People != want.People || o.Quota != want.Quota || !slices.Equal(o.Replicas, want.Replicas) || !slices.Equal(o.Faults, want.Faults) {
		t.Errorf("options %+v", o)
	}
}

func TestBadFlagsAreErrors(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-browser", ":1"}, {"-people", "-5"}, {"-nonsense"}, {"word"}, {"-fault", "nonsense=1"}, {"-fault", "hang"}, {"-replica", "-1s"},
	} {
		out, errOut := newOutput(), newOutput()
		if got := run(t.Context(), args, out, errOut); got != 1 || errOut.String() == "" {
			t.Errorf("%v: exit code %d, said %q", args, got, errOut.String())
		}
	}
}
