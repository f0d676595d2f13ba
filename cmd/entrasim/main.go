// Command entrasim runs a simulated Microsoft Entra tenant with its sign-in service and its Microsoft Graph as a
// process of its own, for demonstrations, rehearsals and other clients' tests. Nothing in it is real.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"evict/internal/entrasim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// config is what the flags say.
type config struct {
	browser, tls, caOut string
	expose, verbose     bool
	sim                 entrasim.Options
}

// list collects a flag that may be given more than once.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(v string) error {
	*l = append(*l, v)
	return nil
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	c, err := parse(args, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = serve(ctx, c, out, errOut)
	}
	if err != nil {
		fmt.Fprintln(errOut, "entrasim:", err)
		return 1
	}
	return 0
}

func parse(args []string, errOut io.Writer) (config, error) {
	var c config
	var redirects list
	f := flag.NewFlagSet("entrasim", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&c.browser, "browser", "localhost:8081", "plain HTTP `address` for browsers and as a proxy")
	f.StringVar(&c.tls, "tls", "localhost:8443", "TLS `address` for API clients")
	f.StringVar(&c.caOut, "ca-out", "", "write the CA certificate to this `file`")
	f.BoolVar(&c.expose, "expose", false, "allow addresses that are not loopback: anybody who reaches them is every person of the tenant")
	f.BoolVar(&c.verbose, "v", false, "log each request")
	f.Uint64Var(&c.sim.Seed, "seed", 1, "the same `seed` and people make the same tenant")
	f.IntVar(&c.sim.People, "people", 500, "`number` of accounts, up to 250,000")
	f.DurationVar(&c.sim.Latency, "latency", 0, "added to every answer of Graph")
	f.DurationVar(&c.sim.ReadBackLag, "lag", 0, "how long a reader sees the stamp from before a revocation")
	f.DurationVar(&c.sim.AuditLag, "audit-lag", 0, "how long a row takes to appear in the directory audit log; Entra takes minutes")
	f.BoolVar(&c.sim.Quota.Disabled, "unthrottled", false, "no quota: for measuring what a client can do at best")
	f.Float64Var(&c.sim.Quota.OtherWrites, "other-writes", 0, "`writes` per second of other apps, from the quota that the tenant's apps share (60 is all of it)")
	f.Func("replica", "a copy of the directory that lags so `long` behind; may be repeated", func(v string) error {
		lag, err := time.ParseDuration(v)
		if err != nil || lag < 0 {
			return errors.New("not a duration")
		}
		c.sim.Replicas = append(c.sim.Replicas, lag)
		return nil
	})
	f.Func("fault", "`kind=share`, such as \"answer lost=0.02\" or \"status 503=0.1@revokeSignInSessions\"; may be repeated. Kinds: "+kinds(),
		func(v string) error {
			fault, err := entrasim.ParseFault(v)
			c.sim.Faults = append(c.sim.Faults, fault)
			return err
		})
	f.StringVar(&c.sim.App.ClientID, "client-id", "", "application `id` of the client; made from the seed when empty")
	f.StringVar(&c.sim.App.Secret, "client-secret", entrasim.DefaultSecret, "`secret` of the client")
	f.Var(&redirects, "redirect", "redirect `address` of the client; may be repeated (default "+entrasim.DefaultRedirectURI+")")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if f.NArg() > 0 {
		return c, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	c.sim.App.RedirectURIs = redirects
	level := slog.LevelWarn
	if c.verbose {
		level = slog.LevelDebug
	}
	c.sim.Logger = slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: level}))
	for name, address := range map[string]string{"browser": c.browser, "tls": c.tls} {
		if err := checkAddress(address, c.expose); err != nil {
			return c, fmt.Errorf("-%s: %w", name, err)
		}
	}
	return c, nil
}

// kinds lists the faults that there are.
func kinds() string {
	var out []string
	for _, k := range entrasim.FaultKinds() {
		out = append(out, string(k))
	}
	return strings.Join(out, "; ")
}

// checkAddress refuses what others could reach, because the simulator lets anybody be anybody.
func checkAddress(address string, expose bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not host:port", address)
	}
	if expose || host == "localhost" || net.ParseIP(host).IsLoopback() {
		return nil
	}
	return fmt.Errorf("%q is not a loopback address; give -expose if you mean it", address)
}

func serve(ctx context.Context, c config, out, errOut io.Writer) error {
	began := time.Now()
	s, err := entrasim.New(c.sim)
	if err != nil {
		return fmt.Errorf("making the tenant: %w", err)
	}
	if err := s.Listen(c.browser, c.tls); err != nil {
		return err
	}
	if c.caOut != "" {
		//nolint:gosec // a certificate is public, and other accounts' clients are to read it
		if err := os.WriteFile(c.caOut, s.CAPEM(), 0o644); err != nil {
			return errors.Join(fmt.Errorf("writing the CA certificate: %w", err), s.Close())
		}
	}
	announce(out, s, c, time.Since(began))
	<-ctx.Done()
	fmt.Fprintln(errOut, "entrasim: stopping")
	return s.Close()
}

// announce says where everything is and how to point a client at it.
func announce(out io.Writer, s *entrasim.Sim, c config, took time.Duration) {
	ca := c.caOut
	if ca == "" {
		ca = "ca.pem"
	}
	fmt.Fprintf(out, `REHEARSAL: a simulated tenant, nothing is real. %s, made in %v.

  people and knobs   %s/
  counters           %s/_sim/counters
  victim's app       %s/victim
  authority          %s
  Graph              %s
  tenant             %s
  client             %s
  redirects          %s
  CA certificate     %s/_sim/ca.pem

`, s.TenantName(), took.Round(time.Millisecond), s.BrowserURL(), s.BrowserURL(), s.BrowserURL(), s.Authority(), s.GraphURL(), s.TenantID(),
		s.App().ClientID, strings.Join(s.App().RedirectURIs, " "), s.BrowserURL())
	if c.caOut == "" {
		fmt.Fprintf(out, "Get the CA certificate once:\n  curl -so ca.pem %s/_sim/ca.pem\n\n", s.BrowserURL())
	}
	fmt.Fprintf(out, `A client that cannot be given other addresses works unchanged with
  export HTTPS_PROXY=%s
  export SSL_CERT_FILE=%s

Stop with Ctrl-C.
`, s.BrowserURL(), ca)
}
