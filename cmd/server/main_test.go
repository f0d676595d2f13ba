package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evict/internal/auth"
)

// start runs a command as main does and returns what it wrote.
func start(t *testing.T, environ []string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, log strings.Builder
	err = run(t.Context(), args, environ, &out, &log)
	return out.String(), log.String(), err
}

func TestAnUnknownCommandIsRefusedWithTheUsage(t *testing.T) {
	t.Parallel()
	stdout, _, err := start(t, nil, "revoke-everybody")
	if err == nil || !strings.Contains(err.Error(), `no command "revoke-everybody"`) || !strings.Contains(err.Error(), usage) {
		t.Errorf("got %v", err)
	}
	if stdout != "" {
		t.Errorf("it wrote %q", stdout)
	}
}

func TestArgumentsThatMeanNothingAreRefused(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"serve", "migrate", "version"} {
		if _, _, err := start(t, nil, command, "--now"); err == nil || !strings.Contains(err.Error(), command+" takes no arguments") {
			t.Errorf("%s: got %v", command, err)
		}
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	t.Parallel()
	for _, asked := range []string{"help", "-h", "--help"} {
		got, _, err := start(t, nil, asked)
		if err != nil {
			t.Fatalf("%s: %v", asked, err)
		}
		for _, command := range []string{"serve", "demo", "migrate", "keygen", "audit", "version"} {
			if !strings.Contains(got, "\n  "+command+" ") {
				t.Errorf("%s does not name %s:\n%s", asked, command, got)
			}
		}
	}
}

func TestVersionIsNamed(t *testing.T) {
	t.Parallel()
	got, _, err := start(t, nil, "version")
	if err != nil {
		t.Fatal(err)
	}
	if name, version, _ := strings.Cut(strings.TrimSpace(got), " "); name != "evict" || version == "" {
		t.Errorf("got %q", got)
	}
}

func TestAGeneratedKeyIsASealKeyAndNewEachTime(t *testing.T) {
	t.Parallel()
	var lines [2]string
	for i := range lines {
		var err error
		if lines[i], _, err = start(t, nil, "keygen"); err != nil {
			t.Fatal(err)
		}
	}
	if lines[0] == lines[1] {
		t.Error("two keys are the same")
	}
	var sealed []byte
	for i, line := range lines {
		keys, err := auth.ParseSealKeys([]byte(line))
		if err != nil {
			t.Fatalf("the key is not taken: %v", err)
		}
		if i == 0 {
			if sealed, err = keys.Seal("test", []byte("plain")); err != nil {
				t.Fatal(err)
			}
		} else if _, err := keys.Open("test", sealed); err == nil {
			t.Error("one key opens what the other sealed")
		}
	}
}

func TestServeNamesAllThatIsMissing(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"serve"}} {
		_, log, err := start(t, nil, args...)
		if err == nil {
			t.Fatal("it served without a configuration")
		}
		for _, name := range []string{
			"EVICT_BASE_URL", "EVICT_TENANT_ID", "EVICT_CLIENT_ID", "EVICT_SEAL_KEYS", "EVICT_LEDGER_KEY", "0 client credentials",
		} {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("nothing is said of %s in:\n%v", name, err)
			}
		}
		if log != "" {
			t.Errorf("it logged %q before it was configured", log)
		}
	}
}

func TestMigrateSaysFromWhereToWhere(t *testing.T) {
	t.Parallel()
	environ := []string{"EVICT_DATA_DIR=" + t.TempDir(), "EVICT_LOG_LEVEL=error"}
	first, _, err := start(t, environ, "migrate")
	if err != nil {
		t.Fatal(err)
	}
	from, to, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(first), "schema "), " -> ")
	if !ok || from != "0" || to == "0" {
		t.Errorf("an empty folder: got %q", first)
	}
	again, _, err := start(t, environ, "migrate")
	if want := "schema " + to + " -> " + to + "\n"; err != nil || again != want {
		t.Errorf("the second time: got %q, %v, want %q", again, err, want)
	}
}

func TestWhatServeCannotUseLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"EVICT_LEDGER_KEY": "PRIVATE+KEY+marked-secret", "EVICT_SEAL_KEYS": "marked-secret", "EVICT_CLIENT_CERTIFICATE": "marked-secret",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			seal, _, _ := start(t, nil, "keygen")
			key, _, _ := start(t, nil, "audit", "keygen")
			environ := serveEnviron(dir, seal, key)
			if name == "EVICT_CLIENT_CERTIFICATE" {
				environ = append(environ, "EVICT_CLIENT_SECRET=")
			}
			_, stderr, err := start(t, append(environ, name+"="+value), "serve")
			if err == nil || !strings.Contains(err.Error(), name+": ") || strings.Contains(stderr+err.Error(), "marked") {
				t.Errorf("got %v", err)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
}

func TestServeDoesNotSayThatItServesBeforeItsMetricsDo(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	seal, _, _ := start(t, nil, "keygen")
	key, _, _ := start(t, nil, "audit", "keygen")
	_, stderr, err := start(t, append(serveEnviron(t.TempDir(), seal, key), "EVICT_METRICS_LISTEN="+taken.Addr().String()), "serve")
	if err == nil || !strings.Contains(err.Error(), "EVICT_METRICS_LISTEN") || strings.Contains(stderr, `"msg":"serving"`) {
		t.Errorf("got %v, and the log\n%s", err, stderr)
	}
}

func TestServeWarnsOfAKeyThatOthersCanRead(t *testing.T) {
	t.Parallel()
	seal, _, _ := start(t, nil, "keygen")
	key, _, _ := start(t, nil, "audit", "keygen")
	for mode, want := range map[os.FileMode]bool{0o644: true, 0o640: false, 0o600: false} {
		path := filepath.Join(t.TempDir(), "ledger.key")
		if err := errors.Join(os.WriteFile(path, []byte(key), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		log := &serving{cancel: cancel}
		environ := append(serveEnviron(t.TempDir(), seal, ""), "EVICT_LEDGER_KEY_FILE="+path)
		if err := run(ctx, nil, environ, log, log); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), `"setting":"EVICT_LEDGER_KEY_FILE"`); got != want {
			t.Errorf("mode %o: warned %v, want %v:\n%s", mode, got, want, log)
		}
	}
}

func TestTheProgramHasOneName(t *testing.T) {
	t.Parallel()
	for _, text := range []string{usage, auditUsage()} {
		if strings.Contains(text, "server") || !strings.HasPrefix(text, "usage: evict ") {
			t.Errorf("it is not called evict:\n%s", text)
		}
	}
}

func TestServeStopsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	key, _, err := start(t, nil, "keygen")
	if err != nil {
		t.Fatal(err)
	}
	ledgerKey, _, err := start(t, nil, "audit", "keygen")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	log := &serving{cancel: cancel}
	err = run(ctx, nil, serveEnviron(t.TempDir(), key, ledgerKey), log, log)
	if err != nil {
		t.Fatalf("it did not stop in order: %v", err)
	}
	text := log.String()
	if !strings.Contains(text, `"msg":"shutting down"`) {
		t.Errorf("the log does not tell of the end:\n%s", text)
	}
	for _, secret := range []string{"marked-secret-7f3a", strings.Fields(key)[1], strings.SplitN(strings.TrimSpace(ledgerKey), "+", 5)[4]} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds a secret:\n%s", text)
		}
	}
}

// serveEnviron is an environment in which serve starts.
func serveEnviron(dir, sealKey, ledgerKey string) []string {
	return []string{
		"EVICT_LISTEN=127.0.0.1:0", "EVICT_BASE_URL=http://localhost:8080", "EVICT_DATA_DIR=" + dir,
		"EVICT_TENANT_ID=11111111-2222-4333-8444-555555555555", "EVICT_CLIENT_ID=66666666-7777-4888-9999-aaaaaaaaaaaa",
		"EVICT_CLIENT_SECRET=marked-secret-7f3a", "EVICT_SEAL_KEYS=" + strings.TrimSpace(sealKey), "EVICT_LEDGER_KEY=" + strings.TrimSpace(ledgerKey),
	}
}
