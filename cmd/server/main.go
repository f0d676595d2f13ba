// Command server is Evict: a console that revokes Microsoft Entra sign-in sessions.
//
//	server [serve]   serve the console, configured by EVICT_* variables
//	server demo      serve it on a simulated tenant; nothing is revoked
//	server migrate   bring the database to this program's schema
//	server keygen    print a new seal key
//	server audit     the ledger: its key, checkpoints, verification, exports, retention
//	server version   print the version
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
	"syscall"

	"evict/internal/app"
	"evict/internal/auth"
	"evict/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitCode(err))
	}
}

const usage = `usage: server [command]

  serve     serve the console, configured by EVICT_* variables (the default)
  demo      serve it on a simulated tenant: nothing is revoked
  migrate   bring the database to this program's schema
  keygen    print a new seal key for EVICT_SEAL_KEYS
  audit     the ledger: its key, checkpoints, verification, exports, retention
  version   print the version
`

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	command := "serve"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	if len(args) > 0 && command != "demo" && command != "audit" {
		return fmt.Errorf("%s takes no arguments\n\n%s", command, usage)
	}
	switch command {
	case "serve":
		return serve(ctx, environ, stderr)
	case "demo":
		return demo(ctx, args, environ, stdout, stderr)
	case "migrate":
		return migrate(ctx, environ, stdout, stderr)
	case "keygen":
		return keygen(stdout)
	case "audit":
		return auditLedger(ctx, args, environ, stdout, stderr)
	case "version":
		_, err := fmt.Fprintln(stdout, "evict "+app.Version())
		return err
	case "help", "-h", "--help":
		_, err := fmt.Fprint(stdout, usage)
		return err
	default:
		return fmt.Errorf("there is no command %q\n\n%s", command, usage)
	}
}

func serve(ctx context.Context, environ []string, stderr io.Writer) error {
	cfg, err := config.FromEnvironment(environ)
	if err != nil {
		return fmt.Errorf("the configuration has problems:\n%w", err)
	}
	log := newLogger(stderr, cfg.LogLevel)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	a, err := app.New(ctx, cfg, app.Options{Logger: log})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	log.Info("serving", "address", l.Addr().String(), "cloud", cfg.Cloud, "tenant", cfg.TenantID, "version", app.Version())
	return a.Serve(ctx, l)
}

func migrate(ctx context.Context, environ []string, stdout, stderr io.Writer) error {
	cfg, err := config.ForDatabase(environ)
	if err != nil {
		return fmt.Errorf("the configuration has problems:\n%w", err)
	}
	from, to, err := app.Migrate(ctx, app.StoreOptions(cfg, newLogger(stderr, cfg.LogLevel)))
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "schema %d -> %d\n", from, to)
	return err
}

func keygen(stdout io.Writer) error {
	line, err := auth.GenerateSealKey("key-1")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, line)
	return err
}

func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

// logLevel is EVICT_LOG_LEVEL of an environment that is not validated otherwise; info when it is not set or not understood.
func logLevel(environ []string) slog.Level {
	cfg, err := config.ForDatabase(environ)
	if err != nil {
		return slog.LevelInfo
	}
	return cfg.LogLevel
}
