// Command server is Evict: a console that revokes Microsoft Entra sign-in sessions. Its program is called evict.
//
//	evict [serve]   serve the console, configured by EVICT_* variables
//	evict demo      serve it on a simulated tenant; nothing is revoked
//	evict migrate   bring the database to this program's schema
//	evict keygen    make a new seal key
//	evict audit     the ledger: its key, checkpoints, verification, exports, retention
//	evict version   print the version
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
	"slices"
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
		fmt.Fprintln(os.Stderr, printable(err.Error()))
		os.Exit(exitCode(err))
	}
}

const usage = `usage: evict [command]

  serve     serve the console, configured by EVICT_* variables (the default)
  demo      serve it on a simulated tenant: nothing is revoked
  migrate   bring the database to this program's schema
  keygen    make a new seal key for EVICT_SEAL_KEYS; -o FILE keeps it
  audit     the ledger: its key, checkpoints, verification, exports, retention
  version   print the version
`

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	command := "serve"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	if len(args) > 0 && !slices.Contains([]string{"demo", "keygen", "audit"}, command) {
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
		return keygen(args, stdout, stderr)
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
	for _, name := range config.Exposed(environ) {
		log.Warn("everybody on this machine can read the file of a secret: chmod 600 it", "setting", name)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	a, err := app.New(ctx, cfg, app.Options{Logger: log})
	if err != nil {
		return errors.Join(app.WayOut(err), l.Close())
	}
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

func keygen(args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("evict keygen", flag.ContinueOnError)
	path := f.String("o", "", "file to make, which only its owner can read; standard output when it is not given")
	if err := parse(f, args, stderr); err != nil {
		return err
	}
	line, err := auth.GenerateSealKey("key-1")
	if err != nil {
		return err
	}
	return writeKey(*path, stdout, line)
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
