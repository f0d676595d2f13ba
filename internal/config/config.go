// Package config turns the environment into one validated Config.
//
// Invariants: every problem is reported at once, not one a start; a secret never prints; each secret may also come from
// a file whose path stands in the variable's name with _FILE; what is not understood is refused, never guessed.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Secret is a string that does not print.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret from JSON, and from the JSON that slog writes of a whole Config.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Reveal returns the secret itself, for its one use.
func (s Secret) Reveal() string { return string(s) }

// Config is everything that the server is told. The doc tags make the table in the README.
type Config struct {
	Listen         string         `env:"EVICT_LISTEN" envDefault:":8080" doc:"Address to listen on, plain HTTP; put a TLS proxy in front."`
	BaseURL        string         `env:"EVICT_BASE_URL" doc:"Address that people open, such as https://evict.example.com. The redirect address is this with /auth/callback."`
	TrustedProxies []netip.Prefix `env:"EVICT_TRUSTED_PROXIES" doc:"Networks of your proxies, comma-separated CIDRs. Only they may say X-Forwarded-For."`

	Cloud    string `env:"EVICT_CLOUD" envDefault:"public" doc:"public, usgov, usgov-dod or china; simulator for a rehearsal."`
	TenantID string `env:"EVICT_TENANT_ID" doc:"Directory (tenant) id, a GUID."`
	ClientID string `env:"EVICT_CLIENT_ID" doc:"Application (client) id of the app registration, a GUID."`

	ClientSecret            Secret `env:"EVICT_CLIENT_SECRET" doc:"Client secret. Set exactly one of the four credentials; this one is the weakest."`
	ClientCertificate       Secret `env:"EVICT_CLIENT_CERTIFICATE" doc:"PEM with the certificate and its unencrypted RSA key."`
	FederatedTokenFile      string `env:"EVICT_FEDERATED_TOKEN_FILE" doc:"File that a workload identity (Kubernetes) keeps fresh; read at each use."`
	ManagedIdentityClientID string `env:"EVICT_MANAGED_IDENTITY_CLIENT_ID" doc:"Client id of the managed identity that is a federated credential of the app registration; system for the system-assigned one."`

	SealKeys Secret `env:"EVICT_SEAL_KEYS" doc:"Keys that seal sessions and tokens at rest, one 'name base64' a line; the first seals, all open. evict keygen -o FILE makes one."`

	DataDir     string `env:"EVICT_DATA_DIR" envDefault:"data" doc:"Folder of the SQLite database, when EVICT_DATABASE_URL is not set."`
	DatabaseURL Secret `env:"EVICT_DATABASE_URL" doc:"PostgreSQL address; then several replicas may run."`

	LedgerKey      Secret `env:"EVICT_LEDGER_KEY" doc:"Key that signs the ledger's checkpoints; evict audit keygen -o FILE makes one. Keep it out of the database, and its backup apart."`
	CheckpointFile string `env:"EVICT_CHECKPOINT_FILE" doc:"File outside the database to which each checkpoint is appended; serve refuses a ledger that contradicts the last one. checkpoints in EVICT_DATA_DIR when not set; another disk is better."`
	MetricsListen  string `env:"EVICT_METRICS_LISTEN" doc:"Address of a second listener for Prometheus, /metrics; none when not set. It names nobody, but keep it inside."`

	GraphWrites int `env:"EVICT_GRAPH_WRITES" envDefault:"3000" doc:"How many writes in 150 s Microsoft Graph allows this app in this tenant. Change it when Microsoft does."`

	LogLevel slog.Level `env:"EVICT_LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error."`

	SimulatorURL string `env:"EVICT_SIMULATOR_URL" doc:"For EVICT_CLOUD=simulator: the simulator's https address on this machine."`
	SimulatorCA  string `env:"EVICT_SIMULATOR_CA_FILE" doc:"For EVICT_CLOUD=simulator: PEM of its certificate authority."`
}

// fromFile lists the secrets that may also come from a file.
func fromFile() []string {
	var names []string
	for f := range fields() {
		if f.Type == reflect.TypeFor[Secret]() {
			names = append(names, f.Tag.Get("env"))
		}
	}
	return names
}

// FromEnvironment reads and validates the given environment ("NAME=value" strings, as os.Environ returns them).
// The error joins every problem found.
func FromEnvironment(environ []string) (Config, error) {
	vars := env.ToMap(environ)
	problems := readFiles(vars)
	problems = append(problems, unknown(vars)...)
	c, err := env.ParseAsWithOptions[Config](env.Options{Environment: vars})
	if agg, ok := errors.AsType[env.AggregateError](err); ok {
		problems = append(problems, agg.Errors...)
	} else if err != nil {
		problems = append(problems, err)
	}
	problems = append(problems, c.problems()...)
	return c, errors.Join(problems...)
}

// readFiles replaces NAME_FILE by the file's content under NAME.
func readFiles(vars map[string]string) (problems []error) {
	for _, name := range fromFile() {
		path, ok := vars[name+"_FILE"]
		if !ok || path == "" {
			continue
		}
		if vars[name] != "" {
			problems = append(problems, fmt.Errorf("%s and %s_FILE are both set: set one", name, name))
			continue
		}
		body, err := os.ReadFile(path)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s_FILE: %w", name, err))
			continue
		}
		vars[name] = strings.TrimSpace(string(body))
	}
	return problems
}

// Exposed are the settings that name the file of a secret which everybody on this machine can read.
func Exposed(environ []string) (names []string) {
	vars := env.ToMap(environ)
	for _, name := range fromFile() {
		info, err := os.Stat(vars[name+"_FILE"])
		if err == nil && info.Mode().Perm()&0o004 != 0 {
			names = append(names, name+"_FILE")
		}
	}
	return names
}

// unknown reports EVICT_ variables that mean nothing: a misspelt name is a setting that silently does not hold.
func unknown(vars map[string]string) (problems []error) {
	known := map[string]bool{}
	for f := range fields() {
		known[f.Tag.Get("env")] = true
	}
	for _, n := range fromFile() {
		known[n+"_FILE"] = true
	}
	for name := range vars {
		if strings.HasPrefix(name, "EVICT_") && !strings.HasPrefix(name, "EVICT_TEST_") && !known[name] {
			problems = append(problems, fmt.Errorf("%s is not a setting", name))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return problems
}

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

func (c Config) problems() (problems []error) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if !slices.Contains([]string{"public", "usgov", "usgov-dod", "china", "simulator"}, c.Cloud) {
		add("EVICT_CLOUD=%q is none of public, usgov, usgov-dod, china, simulator", c.Cloud)
	}
	for name, v := range map[string]string{"EVICT_TENANT_ID": c.TenantID, "EVICT_CLIENT_ID": c.ClientID} {
		if !guid.MatchString(v) {
			add("%s=%q is not a GUID", name, v)
		}
	}
	if n := c.credentials(); n != 1 {
		add("%d client credentials are set: set exactly one of EVICT_CLIENT_SECRET, EVICT_CLIENT_CERTIFICATE, EVICT_FEDERATED_TOKEN_FILE, EVICT_MANAGED_IDENTITY_CLIENT_ID", n)
	}
	if c.SealKeys == "" {
		add("EVICT_SEAL_KEYS or EVICT_SEAL_KEYS_FILE is not set: make a key with 'evict keygen -o FILE' and keep it outside the database")
	}
	if c.LedgerKey == "" {
		add("EVICT_LEDGER_KEY or EVICT_LEDGER_KEY_FILE is not set: make a key with 'evict audit keygen -o FILE' and keep it outside the database")
	}
	if c.GraphWrites < 500 {
		add("EVICT_GRAPH_WRITES=%d is too few to work with: it is the number of writes in 150 s, 3000 by default", c.GraphWrites)
	}
	if err := checkBaseURL(c.BaseURL); err != nil {
		problems = append(problems, err)
	}
	simulated := c.Cloud == "simulator"
	if simulated != (c.SimulatorURL != "") || simulated != (c.SimulatorCA != "") {
		add("EVICT_SIMULATOR_URL and EVICT_SIMULATOR_CA_FILE belong to EVICT_CLOUD=simulator: set all three or none")
	}
	if c.MetricsListen != "" {
		if _, err := hostOf(c.MetricsListen); err != nil {
			add("EVICT_METRICS_LISTEN=%q is not host:port", c.MetricsListen)
		}
	}
	if host, err := hostOf(c.Listen); err != nil {
		add("EVICT_LISTEN=%q is not host:port", c.Listen)
	} else if simulated && !isLoopback(host) {
		add("EVICT_LISTEN=%q must be localhost with EVICT_CLOUD=simulator: a rehearsal is for this machine", c.Listen)
	}
	slices.SortFunc(problems, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return problems
}

// hostOf is the host of an address to listen on, whose port is a number.
func hostOf(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	return host, err
}

func (c Config) credentials() (n int) {
	for _, v := range []string{string(c.ClientSecret), string(c.ClientCertificate), c.FederatedTokenFile, c.ManagedIdentityClientID} {
		if v != "" {
			n++
		}
	}
	return n
}

// checkBaseURL wants https, or http on this machine: cookies and codes travel over it.
func checkBaseURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return errors.New("EVICT_BASE_URL is not set")
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return fmt.Errorf("EVICT_BASE_URL=%q is not an address like https://evict.example.com", s)
	case u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	default:
		return fmt.Errorf("EVICT_BASE_URL=%q must be https (http only on localhost)", s)
	}
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// RedirectURL is the address to which Entra sends people back; register exactly this.
func (c Config) RedirectURL() string { return strings.TrimRight(c.BaseURL, "/") + "/auth/callback" }

// ForDatabase reads only what names the database, for commands that do nothing else.
func ForDatabase(environ []string) (Config, error) {
	vars := env.ToMap(environ)
	problems := readFiles(vars)
	c, err := env.ParseAsWithOptions[Config](env.Options{Environment: vars})
	return c, errors.Join(errors.Join(problems...), err)
}

// Checkpoints is the file to which each checkpoint of the ledger is appended.
func (c Config) Checkpoints() string {
	return cmp.Or(c.CheckpointFile, filepath.Join(c.DataDir, "checkpoints"))
}
