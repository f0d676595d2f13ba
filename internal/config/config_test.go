package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evict/internal/config"
)

const (
	tenant = "11111111-2222-4333-8444-555555555555"
	client = "66666666-7777-4888-9999-aaaaaaaaaaaa"
)

// environ is a valid environment, changed: "NAME=value" sets, "NAME" alone takes away.
func environ(change ...string) []string {
	vars := map[string]string{
		"EVICT_BASE_URL": "https://evict.example.com", "EVICT_TENANT_ID": tenant, "EVICT_CLIENT_ID": client,
		"EVICT_CLIENT_SECRET": "s3cret-client", "EVICT_SEAL_KEYS": "key-1 c2VhbC1rZXk=", "EVICT_LEDGER_KEY": "PRIVATE+KEY+ledger", "PATH": "/bin",
	}
	for _, c := range change {
		name, value, set := strings.Cut(c, "=")
		delete(vars, name)
		if set {
			vars[name] = value
		}
	}
	var out []string
	for name, value := range vars {
		out = append(out, name+"="+value)
	}
	return out
}

func TestAValidEnvironmentIsTaken(t *testing.T) {
	t.Parallel()
	got, err := config.FromEnvironment(environ("EVICT_TRUSTED_PROXIES=10.0.0.0/8,fd00::/8", "EVICT_LOG_LEVEL=debug"))
	if err != nil {
		t.Fatalf("FromEnvironment: %v", err)
	}
	if got.Listen != ":8080" || got.Cloud != "public" || got.DataDir != "data" {
		t.Errorf("defaults: got %q, %q, %q", got.Listen, got.Cloud, got.DataDir)
	}
	if got.LogLevel != slog.LevelDebug || len(got.TrustedProxies) != 2 {
		t.Errorf("got level %v and proxies %v", got.LogLevel, got.TrustedProxies)
	}
	if got.ClientSecret.Reveal() != "s3cret-client" {
		t.Errorf("the secret is %q", got.ClientSecret.Reveal())
	}
	if want := "https://evict.example.com/auth/callback"; got.RedirectURL() != want {
		t.Errorf("RedirectURL: got %q, want %q", got.RedirectURL(), want)
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.FromEnvironment([]string{
		"EVICT_CLOUD=mars", "EVICT_TENANT_ID=contoso.com", "EVICT_BASE_URL=http://evict.example.com", "EVICT_LOG_LEVEL=loud",
		"EVICT_TRUSTED_PROXIES=everywhere", "EVICT_SIMULATOR_URL=https://127.0.0.1:1", "EVICT_LISTN=:80",
		"EVICT_CLIENT_SECRET=a", "EVICT_FEDERATED_TOKEN_FILE=b", "EVICT_DATABASE_URL_FILE=/nowhere/at/all",
	})
	if err == nil {
		t.Fatal("a wrong environment was taken")
	}
	for _, want := range []string{
		`EVICT_CLOUD="mars"`, `EVICT_TENANT_ID="contoso.com"`, `EVICT_CLIENT_ID=""`, "EVICT_BASE_URL", "EVICT_SEAL_KEYS", "EVICT_LEDGER_KEY",
		"LogLevel", "TrustedProxies", "EVICT_SIMULATOR_CA_FILE", "EVICT_LISTN is not a setting",
		"2 client credentials are set", "EVICT_DATABASE_URL_FILE",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing is said of %s in:\n%v", want, err)
		}
	}
}

func TestOneWrongSettingIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, change, want string }{
		{"no address", "EVICT_BASE_URL", "EVICT_BASE_URL is not set"},
		{"an address without TLS", "EVICT_BASE_URL=http://evict.example.com", "must be https"},
		{"an address with a path", "EVICT_BASE_URL=https://example.com/evict", "is not an address like"},
		{"an address with a password", "EVICT_BASE_URL=https://a:b@example.com", "is not an address like"},
		{"no credential", "EVICT_CLIENT_SECRET", "0 client credentials are set"},
		{"two credentials", "EVICT_MANAGED_IDENTITY_CLIENT_ID=system", "2 client credentials are set"},
		{"no seal keys", "EVICT_SEAL_KEYS", "EVICT_SEAL_KEYS or EVICT_SEAL_KEYS_FILE is not set"},
		{"no ledger key", "EVICT_LEDGER_KEY", "EVICT_LEDGER_KEY or EVICT_LEDGER_KEY_FILE is not set"},
		{"a simulator's address beside a real cloud", "EVICT_SIMULATOR_CA_FILE=ca.pem", "belong to EVICT_CLOUD=simulator"},
		{"a simulator without its address", "EVICT_CLOUD=simulator", "belong to EVICT_CLOUD=simulator"},
		{"an address without a port", "EVICT_LISTEN=localhost", "EVICT_LISTEN=\"localhost\" is not host:port"},
		{"metrics at no address", "EVICT_METRICS_LISTEN=foo", "EVICT_METRICS_LISTEN=\"foo\" is not host:port"},
		{"metrics at no port", "EVICT_METRICS_LISTEN=localhost:99999", "is not host:port"},
		{"a misspelt name", "EVICT_CLIENT_SECRETS=x", "EVICT_CLIENT_SECRETS is not a setting"},
		{"a file for what is no secret", "EVICT_TENANT_ID_FILE=x", "EVICT_TENANT_ID_FILE is not a setting"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.FromEnvironment(environ(tt.change))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestPlainHTTPIsForThisMachineOnly(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"http://localhost:8080", "http://127.0.0.1:8080/", "http://[::1]:8080"} {
		if _, err := config.FromEnvironment(environ("EVICT_BASE_URL=" + address)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := config.FromEnvironment(environ("EVICT_BASE_URL=http://localhost.example.com")); err == nil {
		t.Error("a host that only begins with localhost was taken")
	}
}

func TestSettingsOfTestsAreNotMistakenForSettings(t *testing.T) {
	t.Parallel()
	if _, err := config.FromEnvironment(environ("EVICT_TEST_POSTGRES=postgres://x")); err != nil {
		t.Error(err)
	}
}

func TestASecretMayComeFromAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"EVICT_CLIENT_SECRET", "EVICT_SEAL_KEYS", "EVICT_DATABASE_URL", "EVICT_LEDGER_KEY"} {
		cfg, err := config.FromEnvironment(environ(name, name+"_FILE="+path))
		if err != nil {
			t.Fatalf("%s_FILE: %v", name, err)
		}
		got := map[string]config.Secret{
			"EVICT_CLIENT_SECRET": cfg.ClientSecret, "EVICT_SEAL_KEYS": cfg.SealKeys, "EVICT_DATABASE_URL": cfg.DatabaseURL,
			"EVICT_LEDGER_KEY": cfg.LedgerKey,
		}[name]
		if got.Reveal() != "from-a-file" {
			t.Errorf("%s_FILE: got %q", name, got.Reveal())
		}
	}
}

func TestAFileBesideItsVariableIsRefused(t *testing.T) {
	t.Parallel()
	_, err := config.FromEnvironment(environ("EVICT_CLIENT_SECRET_FILE=" + filepath.Join(t.TempDir(), "absent")))
	if err == nil || !strings.Contains(err.Error(), "EVICT_CLIENT_SECRET and EVICT_CLIENT_SECRET_FILE are both set") {
		t.Errorf("got %v", err)
	}
}

func TestASecretDoesNotPrint(t *testing.T) {
	t.Parallel()
	const secret = "marked-secret-7f3a"
	cfg, err := config.FromEnvironment(environ("EVICT_CLIENT_SECRET="+secret, "EVICT_SEAL_KEYS="+secret, "EVICT_DATABASE_URL="+secret, "EVICT_LEDGER_KEY="+secret))
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("config", "config", cfg, "secret", cfg.ClientSecret, "pointer", &cfg)
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "config", cfg, "secret", cfg.ClientSecret)
	marshalled, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"%v": fmt.Sprintf("%v", cfg), "%+v": fmt.Sprintf("%+v", cfg), "%#v": fmt.Sprintf("%#v", cfg),
		"%q": fmt.Sprintf("%q", cfg.ClientSecret), "%x": fmt.Sprintf("%x", cfg.ClientSecret),
		"slog": log.String(), "json": string(marshalled),
	} {
		if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("%s prints the secret: %s", name, text)
		}
	}
}

func TestProblemsDoNotPrintASecret(t *testing.T) {
	t.Parallel()
	const secret = "marked-secret-7f3a"
	_, err := config.FromEnvironment([]string{
		"EVICT_CLIENT_SECRET=" + secret, "EVICT_CLIENT_CERTIFICATE=" + secret, "EVICT_SEAL_KEYS=" + secret, "EVICT_DATABASE_URL=" + secret,
		"EVICT_LEDGER_KEY=" + secret,
	})
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
}

func TestTheDatabaseIsReadWithoutTheRest(t *testing.T) {
	t.Parallel()
	cfg, err := config.ForDatabase([]string{"EVICT_DATABASE_URL=postgres://db", "EVICT_LOG_LEVEL=warn"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.DatabaseURL.Reveal() != "postgres://db" || cfg.DataDir != "data" || cfg.LogLevel != slog.LevelWarn {
		t.Errorf("got %q, %q, %v", cfg.DatabaseURL.Reveal(), cfg.DataDir, cfg.LogLevel)
	}
	if _, err := config.ForDatabase([]string{"EVICT_DATABASE_URL_FILE=/nowhere/at/all"}); err == nil {
		t.Error("a file that is not there was taken")
	}
}

func TestTheFileOfCheckpointsIsBesideTheDataUnlessItIsNamed(t *testing.T) {
	t.Parallel()
	for want, set := range map[string][]string{
		"data/checkpoints":        nil,
		"/srv/evict/checkpoints":  {"EVICT_DATA_DIR=/srv/evict"},
		"/mnt/elsewhere/of-evict": {"EVICT_DATA_DIR=/srv/evict", "EVICT_CHECKPOINT_FILE=/mnt/elsewhere/of-evict"},
	} {
		cfg, err := config.ForDatabase(set)
		if err != nil || cfg.Checkpoints() != want {
			t.Errorf("%v: got %q, %v, want %q", set, cfg.Checkpoints(), err, want)
		}
	}
}

func TestAFileThatOthersCanReadIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var set []string
	for name, mode := range map[string]os.FileMode{"EVICT_SEAL_KEYS_FILE": 0o600, "EVICT_LEDGER_KEY_FILE": 0o644, "EVICT_CLIENT_SECRET_FILE": 0o440} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		set = append(set, name+"="+path)
	}
	if got := config.Exposed(append(set, "EVICT_DATABASE_URL_FILE=/nowhere/at/all")); !slices.Equal(got, []string{"EVICT_LEDGER_KEY_FILE"}) {
		t.Errorf("got %v", got)
	}
}
