package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"unicode"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/config"
)

// desk is what a command of the ledger works with.
type desk struct {
	environ        []string
	stdout, stderr io.Writer
}

// auditCommand is one of "evict audit".
type auditCommand struct {
	name, args, does string
	run              func(d desk, ctx context.Context, args []string) error
}

func auditCommands() []auditCommand {
	return []auditCommand{
		{"keygen", "[-name NAME] [-o FILE]", "make a key that signs checkpoints, for EVICT_LEDGER_KEY", desk.keygen},
		{"key", "", "print the verifier key of EVICT_LEDGER_KEY: what auditors keep", desk.key},
		{"checkpoints", "", "print the stored checkpoints", desk.checkpoints},
		{"verify", "[-key KEY|FILE ...] [-checkpoint FILE ...] [EXPORT [PROOF ...]]", "verify the database, or an export, and\n      proofs of consistency that lead from your checkpoints to it; it ends with 0 (intact), 1 (problems),\n      2 (not verified), 3 (an export, intact, and older than a checkpoint of yours)", desk.verify},
		{"export", "[-format FORMAT] [-run ID] [-from DATE] [-to DATE] [-o FILE]", "take evidence away", desk.export},
		{"rotate", "-new FILE -reason TEXT", "change EVICT_LEDGER_KEY to the key in a file", desk.rotate},
		{"accept-rollback", "-reason TEXT", "go on with a database that contradicts its last checkpoint", desk.acceptRollback},
		{"remove", "-before DATE | -through N  -reason TEXT [-yes]", "retention: remove what a checkpoint seals", desk.remove},
	}
}

func auditUsage() string {
	var b strings.Builder
	b.WriteString("usage: evict audit command\n\n")
	for _, c := range auditCommands() {
		fmt.Fprintf(&b, "  %s\n      %s\n", strings.TrimSpace(c.name+" "+c.args), c.does)
	}
	b.WriteString("\nThey read EVICT_DATA_DIR or EVICT_DATABASE_URL, EVICT_LEDGER_KEY and EVICT_CHECKPOINT_FILE as serve does.\n" +
		"rotate, accept-rollback and remove -yes write: with SQLite, stop the console first.\n")
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
func flags(command string) *flag.FlagSet {
	return flag.NewFlagSet("evict audit "+command, flag.ContinueOnError)
}

// parse reads flags and takes no other arguments.
func (d desk) parse(f *flag.FlagSet, args []string) error { return parse(f, args, d.stderr) }

func (d desk) keygen(_ context.Context, args []string) error {
	f := flags("keygen")
	name := f.String("name", "evict", "stands on every signature, beside the key's hash")
	path := f.String("o", "", "file to make, which only its owner can read; standard output when it is not given")
	if err := d.parse(f, args); err != nil {
		return err
	}
	secret, public, err := audit.GenerateKey(*name)
	if err != nil {
		return err
	}
	if err := writeKey(*path, d.stdout, secret); err != nil {
		return err
	}
	where := "The secret key is on standard output. Keep it in a file that only the console reads: -o FILE makes one.\n"
	if *path != "" {
		where = fmt.Sprintf("The secret key is in a file that only its owner can read: EVICT_LEDGER_KEY_FILE=%s\n", *path)
	}
	_, err = fmt.Fprintf(d.stderr, `This is the verifier key. It is no secret: give it to your auditors, who keep it where nobody else can change it.

%s

%sBack it up apart from the database. Whoever has both can rewrite the ledger, but for checkpoints that have left.
`, public, where)
	return err
}

func (d desk) key(_ context.Context, args []string) error {
	if err := d.parse(flags("key"), args); err != nil {
		return err
	}
	cfg, err := d.config()
	if err != nil {
		return err
	}
	signer, err := app.LedgerSigner(cfg)
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

type opener func(ctx context.Context, cfg config.Config, log *slog.Logger) (*app.Ledger, error)

// open opens the ledger with app.ReadLedger or app.WriteLedger.
func (d desk) open(ctx context.Context, with opener) (*app.Ledger, error) {
	cfg, err := d.config()
	if err != nil {
		return nil, err
	}
	return with(ctx, cfg, newLogger(d.stderr, cfg.LogLevel))
}

func (d desk) checkpoints(ctx context.Context, args []string) error {
	if err := d.parse(flags("checkpoints"), args); err != nil {
		return err
	}
	l, err := d.open(ctx, app.ReadLedger)
	if err != nil {
		return err
	}
	defer l.Close()
	for after := int64(0); ; {
		page, err := l.Checkpoints(ctx, after, math.MaxInt64, 1000)
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

// printable is a text as a terminal may have it: nothing in it moves the cursor or turns the direction.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
