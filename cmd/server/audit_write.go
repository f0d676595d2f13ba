package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"evict/internal/audit"
	"evict/internal/notary"
	"evict/internal/store"
)

// notary is how this command signs.
func (d desk) notary(b *book) (notary.Options, error) {
	signer, err := signerOf(b.cfg)
	return notary.Options{
		Ledger: b.Ledger, Signer: signer, Cloud: b.cloud, Tenant: b.tenant, File: b.cfg.Checkpoints(),
		Now: time.Now, NewID: newID, Logger: newLogger(d.stderr, b.cfg.LogLevel),
	}, err
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// openToSign opens the ledger for writing and the key to sign it.
func (d desk) openToSign(ctx context.Context) (*book, notary.Options, error) {
	b, err := d.open(ctx, store.Open)
	if err != nil {
		return nil, notary.Options{}, err
	}
	o, err := d.notary(b)
	if err != nil {
		b.close()
	}
	return b, o, err
}

var errReason = errors.New("say why with -reason TEXT: it stands in the ledger")

func (d desk) rotate(ctx context.Context, args []string) error {
	f := d.flags("rotate")
	file := f.String("new", "", "file of the new secret key, from evict audit keygen")
	reason := f.String("reason", "", "why; it stands in the ledger")
	if err := parse(f, args); err != nil {
		return err
	}
	if *file == "" {
		return errors.New("name the new key with -new FILE: evict audit keygen > FILE makes it")
	}
	if strings.TrimSpace(*reason) == "" {
		return errReason
	}
	secret, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	next, err := audit.NewSigner(string(secret))
	if err != nil {
		return fmt.Errorf("%s: %w", *file, err)
	}
	b, o, err := d.openToSign(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	c, err := notary.Rotate(ctx, o, next, *reason)
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
	f := d.flags("accept-rollback")
	reason := f.String("reason", "", "why; it stands in the ledger")
	if err := parse(f, args); err != nil {
		return err
	}
	if strings.TrimSpace(*reason) == "" {
		return errReason
	}
	b, o, err := d.openToSign(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	c, err := notary.AcceptRollback(ctx, o, *reason)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.stdout, "Accepted and recorded: the ledger goes on from %d events. Auditors who hold later checkpoints will see that it does not contain them.\n"+
		"Other replicas keep files of their own: give each this command with its file, or its file away.\n", c.Size)
	return err
}

func (d desk) remove(ctx context.Context, args []string) error {
	f := d.flags("remove")
	before := f.String("before", "", "remove what is older than this UTC date, as far as a checkpoint seals it")
	through := f.Int64("through", 0, "remove the first N events, as a checkpoint of that size seals them")
	reason := f.String("reason", "", "why; it stands in the ledger")
	yes := f.Bool("yes", false, "do it; without, say only what would be done")
	if err := parse(f, args); err != nil {
		return err
	}
	if (*before == "") == (*through == 0) {
		return errors.New("say what to remove: either -before DATE or -through N")
	}
	if strings.TrimSpace(*reason) == "" {
		return errReason
	}
	with := opener(store.OpenReader) // beside a console that serves
	if *yes {
		with = store.Open
	}
	b, err := d.open(ctx, with)
	if err != nil {
		return err
	}
	defer b.close()
	if *before != "" {
		if *through, err = b.olderThan(ctx, *before); err != nil {
			return err
		}
	}
	if err := d.announce(ctx, b, *through); err != nil || !*yes {
		return err
	}
	return d.removeThrough(ctx, b, *through, *reason)
}

// olderThan is how many of the first events are all older than a day.
func (b *book) olderThan(ctx context.Context, day string) (int64, error) {
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return 0, fmt.Errorf("-before %q is not a date, as 2026-11-24", day)
	}
	days, err := b.DayCounts(ctx)
	if err != nil {
		return 0, err
	}
	events := int64(math.MaxInt64)
	for _, d := range days {
		if d.Day >= day {
			events = min(events, d.First-1)
		}
	}
	c, ok, err := b.LastCheckpoint(ctx, events)
	if err == nil && !ok {
		err = fmt.Errorf("no checkpoint seals only events from before %s: there is nothing to remove", day)
	}
	return c.Size, err
}

// announce says what a removal would do; an error when there is nothing to do.
func (d desk) announce(ctx context.Context, b *book, through int64) error {
	head, err := b.Head(ctx)
	if err != nil {
		return err
	}
	c, ok, err := b.LastCheckpoint(ctx, through)
	switch {
	case err != nil:
		return err
	case !ok || c.Size != through:
		return fmt.Errorf("no checkpoint seals exactly %d events; the nearest before seals %d: evict audit checkpoints lists them", through, c.Size)
	case through <= head.Removed:
		return fmt.Errorf("the events up to %d were removed before", head.Removed)
	}
	_, err = fmt.Fprintf(d.stdout, `Events %d to %d, sealed by the checkpoint of %s UTC, lose their bytes for good.
Their hashes stay, so that the rest is provable, and so do events about the ledger itself (ledger.*).
Make an export first, and keep it: evict audit export -o FILE. To remove them, repeat this with -yes.
`, head.Removed+1, through, c.At.UTC().Format(time.DateTime))
	return err
}

// removeThrough verifies the ledger, because afterwards nobody could tell what was wrong with what is gone, removes, and
// signs the event that says so.
func (d desk) removeThrough(ctx context.Context, b *book, through int64, reason string) error {
	o, err := d.notary(b)
	if err != nil {
		return err
	}
	n, err := notary.Open(ctx, o)
	if err != nil {
		return err
	}
	defer n.Close()
	report, err := audit.VerifyLive(ctx, b, audit.Expect{Keys: []string{o.Signer.Public()}}, nil)
	if err != nil {
		return fmt.Errorf("verifying before anything is removed: %w", err)
	}
	if !report.Intact() {
		return fmt.Errorf("nothing was removed, because the ledger has problems: %s evict audit verify lists them", printable(report.Problems[0].Text))
	}
	removed, err := b.Remove(ctx, through, audit.Event{
		ID: newID(), Time: audit.FormatTime(time.Now()), Kind: audit.LedgerRemoved, Cloud: b.cloud, Tenant: b.tenant, Reason: reason,
	})
	if err != nil {
		return err
	}
	if _, err := n.Sign(ctx); err != nil {
		return fmt.Errorf("%d events were removed, and that is recorded, but not signed yet: %w", removed, err)
	}
	_, err = fmt.Fprintf(d.stdout, "%d events were removed. This is recorded and signed.\n", removed)
	return err
}
