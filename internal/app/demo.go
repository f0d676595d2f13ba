//go:build !nosimulator

package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/config"
	"evict/internal/entrasim"
	"evict/internal/web"
)

// DemoOptions are the flags of the demo.
type DemoOptions struct {
	Listen, Simulator, SimulatorTLS string // host:port on loopback
	People                          int
	Seed                            uint64
	Latency, Lag                    time.Duration
	Data                            string // folder that is kept; "" keeps nothing
	Environ                         []string
	Out                             io.Writer // where the addresses are printed
	Logger                          *slog.Logger
}

// Demo serves the console on a simulated tenant until ctx ends.
func Demo(ctx context.Context, o DemoOptions) (err error) {
	if err := refuseReal(o); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listening for the console: %w", err)
	}
	d, err := StartDemo(ctx, o, "http://"+hostOf(o.Listen, l.Addr()), Options{Logger: o.Logger})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	d.announce(o.Out)
	return d.App.Serve(ctx, l)
}

// RunningDemo is a console with its simulator.
type RunningDemo struct {
	App     *App
	Sim     *entrasim.Sim
	BaseURL string
	remove  string // a folder to remove at the end; "" for none
}

// StartDemo starts the simulator and makes a console for it at baseURL. The caller serves App and then calls Close.
func StartDemo(ctx context.Context, o DemoOptions, baseURL string, ao Options) (_ *RunningDemo, err error) {
	d := &RunningDemo{BaseURL: baseURL}
	d.Sim, err = entrasim.New(entrasim.Options{
		Seed: o.Seed, People: o.People, Latency: o.Latency, ReadBackLag: o.Lag, Logger: o.Logger, Now: ao.Now,
		App: entrasim.AppRegistration{
			RedirectURIs: []string{baseURL + "/auth/callback"}, PostLogoutURIs: []string{baseURL + "/signin?ended=microsoft"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the simulated tenant: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if err := d.Sim.Listen(o.Simulator, o.SimulatorTLS); err != nil {
		return nil, fmt.Errorf("starting the simulator: %w", err)
	}
	cfg, err := d.config(o)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(d.Sim.CAPEM())
	cloud, err := auth.Simulator(d.Sim.TLSURL(), roots)
	if err != nil {
		return nil, fmt.Errorf("pointing at the simulator: %w", err)
	}
	ao.Cloud, ao.Accounts = &cloud, accounts(d.Sim.Cast())
	d.App, err = New(ctx, cfg, ao)
	if err != nil {
		return nil, WayOut(err, settingsOf(cfg)...)
	}
	return d, nil
}

// settingsOf is what a command needs to find the demo's ledger: in a shell that, as refuseReal sees to, has no EVICT_
// variables.
func settingsOf(cfg config.Config) []string {
	return []string{
		"EVICT_DATA_DIR=" + quoted(cfg.DataDir), "EVICT_LEDGER_KEY_FILE=" + quoted(ledgerKeyFile(cfg.DataDir)),
		"EVICT_CHECKPOINT_FILE=" + quoted(cfg.Checkpoints()),
	}
}

func ledgerKeyFile(dir string) string { return filepath.Join(dir, "demo-ledger.key") }

// Close stops the simulator and removes what the demo does not keep. Serve the App to its end first.
func (d *RunningDemo) Close() error {
	err := d.Sim.Close()
	if d.remove != "" {
		err = errors.Join(err, os.RemoveAll(d.remove))
	}
	return err
}

// config is the configuration of a demo: its own data, its own keys, the simulator's registration.
func (d *RunningDemo) config(o DemoOptions) (config.Config, error) {
	data, keys, err := d.data(o.Data)
	if err != nil {
		return config.Config{}, err
	}
	ledgerKey, err := keptKey(ledgerKeyFile(data), func() (string, error) {
		secret, _, err := audit.GenerateKey("evict-demo")
		return secret, err
	})
	if err != nil {
		return config.Config{}, err
	}
	return config.Config{
		BaseURL: d.BaseURL, Cloud: auth.SimulatorName, TenantID: d.Sim.TenantID(), ClientID: d.Sim.App().ClientID,
		ClientSecret: config.Secret(d.Sim.App().Secret), SealKeys: config.Secret(keys), LedgerKey: config.Secret(ledgerKey), DataDir: data,
	}, nil
}

// data prepares the folder and the seal key: a new one each time, or those of a folder that is kept.
func (d *RunningDemo) data(kept string) (dir, keys string, err error) {
	dir = kept
	if kept == "" {
		if dir, err = os.MkdirTemp("", "evict-demo-"); err != nil {
			return "", "", fmt.Errorf("making the demo's folder: %w", err)
		}
		d.remove = dir
	} else if err := os.MkdirAll(kept, 0o700); err != nil {
		return "", "", fmt.Errorf("making the demo's folder: %w", err)
	}
	keys, err = keptKey(filepath.Join(dir, "demo-seal.key"), func() (string, error) { return auth.GenerateSealKey("demo") })
	return dir, keys, err
}

// keptKey is the key in a file of the demo's folder, which is made when it is not there.
func keptKey(path string, generate func() (string, error)) (string, error) {
	if body, err := os.ReadFile(path); err == nil {
		return string(body), nil
	}
	key, err := generate()
	if err != nil {
		return "", err
	}
	return key, os.WriteFile(path, []byte(key+"\n"), 0o600)
}

// refuseReal keeps a demo away from anything real: no real credentials beside it, and nobody else on the network.
func refuseReal(o DemoOptions) error {
	for _, v := range o.Environ {
		name, value, _ := strings.Cut(v, "=")
		if value != "" && strings.HasPrefix(name, "EVICT_") && name != "EVICT_LOG_LEVEL" && !strings.HasPrefix(name, "EVICT_TEST_") {
			return fmt.Errorf("%s is set: the demo does not start beside a real configuration; unset the EVICT_ variables first", name)
		}
	}
	for _, address := range []string{o.Listen, o.Simulator, o.SimulatorTLS} {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("the address %q is not host:port: %w", address, err)
		}
		ip, err := netip.ParseAddr(host)
		if host != "localhost" && (err != nil || !ip.IsLoopback()) {
			return fmt.Errorf("the demo listens on this machine only: %q is not localhost", address)
		}
	}
	return nil
}

// hostOf is the address that people open: the host as given, the port as bound.
func hostOf(asked string, bound net.Addr) string {
	host, _, _ := net.SplitHostPort(asked)
	_, port, _ := net.SplitHostPort(bound.String())
	return net.JoinHostPort(host, port)
}

// accounts are the people whom a newcomer may sign in as.
func accounts(c entrasim.Cast) []web.Account {
	var out []web.Account
	for _, p := range []entrasim.Person{c.Helpdesk, c.Lead, c.Admin, c.Auditor, c.Nobody} {
		out = append(out, web.Account{UPN: p.UPN, Shows: p.Note})
	}
	return out
}

func (d *RunningDemo) announce(w io.Writer) {
	c := d.Sim.Cast()
	fmt.Fprintf(w, `
  Evict, REHEARSAL on a simulated tenant: nothing is revoked

  Console     %s
  Simulator   %s      the tenant, its people, faults to switch on
  Victim app  %s/victim

  Try this
    1. Open the victim's app and sign in as %s: a session that lives by refreshing its tokens.
    2. Open the console and sign in as %s (helpdesk).
    3. Find %s, give a reason, press "Revoke sessions", and watch the victim's app die.
    4. Sign in as %s (security lead), open "Bulk", and cut a group, all admins or the whole tenant.
    5. Sign in as %s (auditor) and read the ledger.

  Ctrl-C stops it. %s

`, d.BaseURL, d.Sim.BrowserURL(), d.Sim.BrowserURL(), c.Victim.UPN, c.Helpdesk.UPN, c.Victim.Name, c.Lead.UPN, c.Auditor.UPN, d.keeps())
}

func (d *RunningDemo) keeps() string {
	if d.remove != "" {
		return "Nothing is kept."
	}
	return "The ledger is kept in the folder that you named."
}
