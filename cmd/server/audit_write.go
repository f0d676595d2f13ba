package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"evict/internal/app"
	"evict/internal/audit"
)

// sayWhy refuses a reason that gives none, such as the dots of a command that was pasted.
func sayWhy(reason string) error {
	says := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }
	switch {
	case strings.TrimSpace(reason) == "":
		return errors.New("say why with -reason TEXT: it stands in the ledger")
	case !strings.ContainsFunc(reason, says):
		return fmt.Errorf("-reason %q gives no reason: say why in words, which stand in the ledger for good", reason)
	default:
		return nil
	}
}

func (d desk) rotate(ctx context.Context, args []string) error {
	f := flags("rotate")
	file := f.String("new", "", "file of the new secret key, from evict audit keygen")
	reason := f.String("reason", "", "why; it stands in the ledger")
	if err := d.parse(f, args); err != nil {
		return err
	}
	if *file == "" {
		return errors.New("name the new key with -new FILE: evict audit keygen -o FILE makes it")
	}
	if err := sayWhy(*reason); err != nil {
		return err
	}
	secret, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	next, err := audit.NewSigner(string(secret))
	if err != nil {
		return fmt.Errorf("%s: %w", *file, err)
	}
	l, err := d.open(ctx, app.WriteLedger)
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := l.Rotate(ctx, next, *reason)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.stdout, `The ledger is signed with the new key from event %d on. Its verifier key, for your auditors:

%s

Now give it to every process (EVICT_LEDGER_KEY_FILE=%s) and start them again: those with the old key sign nothing more.
Old checkpoints go on to verify. Keep the old key as long as you keep backups from before.
`, c.Size, next.Public(), *file)
	return err
}

func (d desk) acceptRollback(ctx context.Context, args []string) error {
	f := flags("accept-rollback")
	reason := f.String("reason", "", "why; it stands in the ledger")
	if err := d.parse(f, args); err != nil {
		return err
	}
	if err := sayWhy(*reason); err != nil {
		return err
	}
	l, err := d.open(ctx, app.WriteLedger)
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := l.AcceptRollback(ctx, *reason)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.stdout, "Accepted, and recorded as event %d: the ledger goes on from the %d events before it. "+
		"Auditors who hold later checkpoints will see that it does not contain them.\n"+
		"Other replicas keep files of their own: give each this command with its own.\n", c.Size, c.Size-1)
	return err
}

func (d desk) remove(ctx context.Context, args []string) error {
	f := flags("remove")
	before := f.String("before", "", "remove what is older than this UTC date, as far as a checkpoint seals it")
	through := f.Int64("through", 0, "remove the first N events, as a checkpoint of that size seals them")
	reason := f.String("reason", "", "why; it stands in the ledger")
	yes := f.Bool("yes", false, "do it; without, say only what would be done")
	if err := d.parse(f, args); err != nil {
		return err
	}
	if (*before == "") == (*through == 0) || *through < 0 {
		return errors.New("say what to remove: either -before DATE or -through N, of 1 and more")
	}
	if err := sayWhy(*reason); err != nil {
		return err
	}
	with := opener(app.ReadLedger) // beside a console that serves
	if *yes {
		with = app.WriteLedger
	}
	l, err := d.open(ctx, with)
	if err != nil {
		return err
	}
	defer l.Close()
	plan, err := planned(ctx, l, *before, *through)
	if err != nil {
		return err
	}
	if err := d.announce(plan); err != nil {
		return err
	}
	if !*yes {
		_, err = fmt.Fprintln(d.stdout, "Make an export first, and keep it: evict audit export -o FILE. To remove them, repeat this with -yes.")
		return err
	}
	if err := l.Remove(ctx, plan, *reason); err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.stdout, "%d events were removed. This is recorded and signed.\n", plan.Events)
	return err
}

// planned is what would be removed: the events before a day, or the first ones through a number.
func planned(ctx context.Context, l *app.Ledger, before string, through int64) (plan app.Removal, err error) {
	if before != "" {
		if _, err := time.Parse(time.DateOnly, before); err != nil {
			return plan, fmt.Errorf("-before %q is not a date, as 2026-11-24", before)
		}
		if through, err = l.SealedBefore(ctx, before); err != nil {
			return plan, err
		}
	}
	return l.PlanRemoval(ctx, through)
}

func (d desk) announce(plan app.Removal) error {
	_, err := fmt.Fprintf(d.stdout, `Of the events 1 to %d, sealed by the checkpoint of %s UTC, %d lose their bytes for good.
Their hashes stay, so that the rest is provable, and so do events about the ledger itself (ledger.*).
`, plan.Through, plan.Sealed.UTC().Format(time.DateTime), plan.Events)
	return err
}
