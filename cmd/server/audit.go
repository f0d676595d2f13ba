package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"unicode"

	"golang.org/x/mod/sumdb/note"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/config"
	"evict/internal/fault"
	"evict/internal/store"
)

// desk is what a command of the ledger works with.
type desk struct {
	environ        []string
	stdout, stderr io.Writer
}

// auditCommand is one of "server audit".
type auditCommand struct {
	name, args, does string
	run              func(d desk, ctx context.Context, args []string) error
}

func auditCommands() []auditCommand {
	return []auditCommand{
		{"keygen", "[-name NAME]", "make a key that signs checkpoints, for EVICT_LEDGER_KEY", desk.keygen},
		{"key", "", "print the verifier key of EVICT_LEDGER_KEY: what auditors keep", desk.key},
		{"checkpoints", "", "print the stored checkpoints", desk.checkpoints},
		{"verify", "[-key KEY|FILE ...] [-checkpoint FILE ...] [EXPORT]", "verify the database, or an export: 0 intact, 1 problems, 2 not verified", desk.verify},
		{"export", "[-format FORMAT] [-run ID] [-from DATE] [-to DATE] [-o FILE]", "take evidence away", desk.export},
		{"rotate", "-new FILE -reason TEXT", "change EVICT_LEDGER_KEY to the key in a file", desk.rotate},
		{"accept-rollback", "-reason TEXT", "go on with a database that contradicts its last checkpoint", desk.acceptRollback},
		{"remove", "-before DATE | -through N  -reason TEXT [-yes]", "retention: remove what a checkpoint seals", desk.remove},
	}
}

func auditUsage() string {
	var b strings.Builder
	b.WriteString("usage: server audit command\n\n")
	for _, c := range auditCommands() {
		fmt.Fprintf(&b, "  %s\n      %s\n", strings.TrimSpace(c.name+" "+c.args), c.does)
	}
	b.WriteString("\nThey read EVICT_DATA_DIR or EVICT_DATABASE_URL, EVICT_LEDGER_KEY and EVICT_CHECKPOINT_FILE as serve does.\n" +
		"rotate, accept-rollback and remove write: with SQLite, stop the console first.\n")
	return b.String()
}

// auditLedger runs a command of the ledger.
func auditLedger(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("audit needs a command\n\n" + auditUsage())
	}
	for _, c := range auditCommands() {
		if c.name == args[0] {
			return c.run(desk{environ, stdout, stderr}, ctx, args[1:])
		}
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		_, err := fmt.Fprint(stdout, auditUsage())
		return err
	}
	return fmt.Errorf("there is no command audit %q\n\n%s", args[0], auditUsage())
}

// flags are those of one command.
func (d desk) flags(command string) *flag.FlagSet {
	f := flag.NewFlagSet("audit "+command, flag.ContinueOnError)
	f.SetOutput(d.stderr)
	return f
}

// parse reads flags and takes no other arguments.
func parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%s does not understand %q", f.Name(), f.Arg(0))
	}
	return nil
}

func (d desk) keygen(_ context.Context, args []string) error {
	f := d.flags("keygen")
	name := f.String("name", "evict", "stands on every signature, beside the key's hash")
	if err := parse(f, args); err != nil {
		return err
	}
	secret, public, err := audit.GenerateKey(*name)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.stderr, `This is the verifier key. It is no secret: give it to your auditors, who keep it where nobody else can change it.

%s

The secret key is on standard output, made for a file that only the console reads:
  umask 077; evict audit keygen > ledger.key; export EVICT_LEDGER_KEY_FILE=ledger.key
Back it up apart from the database. Whoever has both can rewrite the ledger, but for checkpoints that have left.
`, public)
	_, err = fmt.Fprintln(d.stdout, secret)
	return err
}

func (d desk) key(_ context.Context, args []string) error {
	if err := parse(d.flags("key"), args); err != nil {
		return err
	}
	cfg, err := d.config()
	if err != nil {
		return err
	}
	signer, err := signerOf(cfg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(d.stdout, signer.Public())
	return err
}

func (d desk) config() (config.Config, error) {
	cfg, err := config.ForDatabase(d.environ)
	if err != nil {
		return cfg, fmt.Errorf("the configuration has problems:\n%w", err)
	}
	return cfg, nil
}

func signerOf(cfg config.Config) (*audit.Signer, error) {
	if cfg.LedgerKey == "" {
		return nil, errors.New("EVICT_LEDGER_KEY or EVICT_LEDGER_KEY_FILE is not set: give this command the key that serve has")
	}
	signer, err := audit.NewSigner(cfg.LedgerKey.Reveal())
	if err != nil {
		return nil, fmt.Errorf("EVICT_LEDGER_KEY: %w", err)
	}
	return signer, nil
}

// book is an open ledger, and whose it is.
type book struct {
	*store.Ledger
	db            *store.DB
	cfg           config.Config
	cloud, tenant string
}

func (b *book) close() { _ = b.db.Close() } // every write has its own answer

type opener func(ctx context.Context, o store.Options) (*store.DB, error)

// open opens the ledger with store.Open or, beside a console that serves, with store.OpenReader.
func (d desk) open(ctx context.Context, with opener) (*book, error) {
	cfg, err := d.config()
	if err != nil {
		return nil, err
	}
	db, err := with(ctx, app.StoreOptions(cfg, newLogger(d.stderr, cfg.LogLevel)))
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	first, err := db.Ledger().Event(ctx, 1)
	if fault.KindOf(err) == fault.NotFound {
		err = errors.New("the ledger has no first event: it is empty, or damaged")
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &book{Ledger: db.Ledger(), db: db, cfg: cfg, cloud: first.Event.Cloud, tenant: first.Event.Tenant}, nil
}

func (d desk) checkpoints(ctx context.Context, args []string) error {
	if err := parse(d.flags("checkpoints"), args); err != nil {
		return err
	}
	b, err := d.open(ctx, store.OpenReader)
	if err != nil {
		return err
	}
	defer b.close()
	for after := int64(0); ; {
		page, err := b.Checkpoints(ctx, after, math.MaxInt64, 1000)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, c := range page {
			after = c.Size
			if _, err := fmt.Fprintln(d.stdout, printable(c.Note)); err != nil {
				return err
			}
		}
	}
}

// outcome is an error with an exit code of its own.
type outcome struct {
	code int
	error
}

// Unwrap is the error itself.
func (o outcome) Unwrap() error { return o.error }

// exitCode is what the process ends with.
func exitCode(err error) int {
	if o, ok := errors.AsType[outcome](err); ok {
		return o.code
	}
	return 1
}

// The exit codes of verify.
const (
	foundProblems = 1
	notVerified   = 2
)

func (d desk) verify(ctx context.Context, args []string) error {
	report, recorded, err := d.verified(ctx, args)
	if err != nil {
		return outcome{notVerified, err}
	}
	d.print(report)
	fmt.Fprint(d.stdout, recorded)
	if !report.Intact() {
		return outcome{foundProblems, errors.New("not intact: it has problems")}
	}
	return nil
}

// verified verifies what the arguments name, and says whether that is recorded.
func (d desk) verified(ctx context.Context, args []string) (r audit.Report, recorded string, err error) {
	var x audit.Expect
	f := d.flags("verify")
	f.Func("key", "a verifier key that you kept, or a file of them; may be repeated", func(s string) error { return addKeys(&x, s) })
	f.Func("checkpoint", "a file of checkpoints that you kept; may be repeated", func(s string) error { return addCheckpoints(&x, s) })
	if err := f.Parse(args); err != nil {
		return r, "", err
	}
	switch f.NArg() {
	case 0:
		return d.verifyLive(ctx, x)
	case 1:
		file, err := os.Open(f.Arg(0))
		if err != nil {
			return r, "", err
		}
		defer file.Close()
		r, err = audit.VerifyExport(ctx, file, x)
		return r, "", err
	default:
		return r, "", fmt.Errorf("verify takes one export: flags come before it, and %q comes after", f.Arg(1))
	}
}

func (d desk) verifyLive(ctx context.Context, x audit.Expect) (r audit.Report, recorded string, err error) {
	b, err := d.open(ctx, store.OpenReader)
	if err != nil {
		return r, "", err
	}
	defer b.close()
	tenths := int64(0)
	r, err = audit.VerifyLive(ctx, b, x, func(done, of int64) {
		if now := 10 * done / max(of, 1); now > tenths {
			tenths = now
			fmt.Fprintf(d.stderr, "%d of %d events\n", done, of)
		}
	})
	return r, "\nThis verification is not recorded: the database was opened for reading only. One on the console's page is.\n", err
}

func addKeys(x *audit.Expect, s string) error {
	if body, err := os.ReadFile(s); err == nil {
		s = string(body)
	}
	for _, key := range strings.Fields(s) {
		if _, err := note.NewVerifier(key); err != nil {
			return errors.New("it is neither a verifier key nor a file of them: evict audit key prints one")
		}
		x.Keys = append(x.Keys, key)
	}
	return nil
}

func addCheckpoints(x *audit.Expect, path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	found, err := audit.ParseCheckpoints(string(body))
	if err == nil && len(found) == 0 {
		err = errors.New("it holds none")
	}
	x.Checkpoints = append(x.Checkpoints, found...)
	return err
}

// print prints a report: what is wrong first.
func (d desk) print(r audit.Report) {
	if r.Intact() {
		fmt.Fprintln(d.stdout, "INTACT: nothing is wrong with what was verified.")
	} else {
		fmt.Fprintf(d.stdout, "PROBLEMS: %d\n", len(r.Problems)+r.More)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(d.stdout, "  - %s\n", printable(p.Text))
	}
	if r.More > 0 {
		fmt.Fprintf(d.stdout, "  - and %d more\n", r.More)
	}
	fmt.Fprintf(d.stdout, "\nLedger      %s\nSize        %d events\nRoot        %s\nRead        %d events, %d removed by retention\nCheckpoints %d verified, %d of your own\n",
		printable(r.Origin), r.Size, r.Root, r.Events, r.Removed, r.Checkpoints, r.Own)
	for _, k := range r.Keys {
		fmt.Fprintf(d.stdout, "Key         %s\n", printable(k))
	}
	fmt.Fprintln(d.stdout, "\nWhat this covers:")
	for _, s := range r.Covers {
		fmt.Fprintf(d.stdout, "  - %s\n", printable(s))
	}
}

// printable is a text as a terminal may have it: nothing in it moves the cursor or turns the direction.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
