package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/config"
	"evict/internal/fault"
	"evict/internal/notary"
	"evict/internal/store"
)

// Ledger is an open ledger, for the commands that work on it without a console.
type Ledger struct {
	*store.Ledger
	db  *store.DB
	cfg config.Config
	log *slog.Logger
}

// ReadLedger opens the ledger for reading only, beside a console that serves.
func ReadLedger(ctx context.Context, cfg config.Config, log *slog.Logger) (*Ledger, error) {
	return openLedger(ctx, cfg, log, store.OpenReader)
}

// WriteLedger opens the ledger for writing. With SQLite it is refused beside a console that serves.
func WriteLedger(ctx context.Context, cfg config.Config, log *slog.Logger) (*Ledger, error) {
	return openLedger(ctx, cfg, log, store.Open)
}

func openLedger(
	ctx context.Context, cfg config.Config, log *slog.Logger, open func(context.Context, store.Options) (*store.DB, error),
) (*Ledger, error) {
	if cfg.DatabaseURL == "" { // a new database in a folder that was mistyped would hide the mistake
		if _, err := os.Stat(filepath.Join(cfg.DataDir, "evict.db")); err != nil {
			return nil, fmt.Errorf("there is no database to open: %w; check EVICT_DATA_DIR, the folder of evict.db, or set EVICT_DATABASE_URL", err)
		}
	}
	db, err := open(ctx, StoreOptions(cfg, log))
	if err != nil {
		return nil, err
	}
	return &Ledger{Ledger: db.Ledger(), db: db, cfg: cfg, log: log}, nil
}

// Close closes the ledger. Every write has had its own answer.
func (l *Ledger) Close() { _ = l.db.Close() }

// LedgerSigner is the key that signs the ledger's checkpoints.
func LedgerSigner(cfg config.Config) (*audit.Signer, error) {
	if cfg.LedgerKey == "" {
		return nil, errors.New("EVICT_LEDGER_KEY or EVICT_LEDGER_KEY_FILE is not set: give it the key that serve has")
	}
	signer, err := audit.NewSigner(cfg.LedgerKey.Reveal())
	if err != nil {
		return nil, fmt.Errorf("EVICT_LEDGER_KEY: %w", err)
	}
	return signer, nil
}

// whose says whose ledger it is, by its first event.
func (l *Ledger) whose(ctx context.Context) (cloud, tenant string, err error) {
	first, err := l.Event(ctx, 1)
	if err == nil && first.Event.Cloud == "" || fault.KindOf(err) == fault.NotFound {
		err = errors.New("the first event, which says whose ledger this is, is not there or was altered: evict audit verify says what is wrong")
	}
	return first.Event.Cloud, first.Event.Tenant, err
}

// Verify verifies the ledger as the console does: with the configured key, unless x brings keys, and with the last
// checkpoint in the configured file, beside those of x. with says in words what of this was used.
func (l *Ledger) Verify(ctx context.Context, x audit.Expect, progress func(done, of int64)) (r audit.Report, with []string, err error) {
	if len(x.Keys) == 0 && l.cfg.LedgerKey != "" {
		signer, err := LedgerSigner(l.cfg)
		if err != nil {
			return r, nil, err
		}
		x.Console.Keys = []string{signer.Public()}
		with = append(with, "the key "+audit.KeyID(signer.Public())+", from EVICT_LEDGER_KEY")
	}
	last, words, err := l.lastKept()
	if err != nil {
		return r, nil, err
	}
	if last.Size > 0 && !slices.Contains(x.Checkpoints, last) {
		x.Console.Checkpoints = []audit.Checkpoint{last}
	}
	r, err = audit.VerifyLive(ctx, l, x, progress)
	return r, append(with, words), err
}

// lastKept is the last checkpoint in the file outside the database, and words about it; of size 0 when there is none.
func (l *Ledger) lastKept() (last audit.Checkpoint, words string, err error) {
	path := l.cfg.Checkpoints()
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return last, "no checkpoint outside the database: there is no file " + path, nil
	}
	var kept []audit.Checkpoint
	if err == nil {
		kept, err = audit.ParseCheckpoints(string(body))
	}
	switch {
	case len(kept) == 0 && err != nil:
		return last, "", fmt.Errorf("the file of checkpoints %s cannot be used: %w; mend it, or set EVICT_CHECKPOINT_FILE to the right one", path, err)
	case len(kept) == 0:
		return last, "no checkpoint outside the database: the file " + path + " is empty", nil
	}
	last = kept[len(kept)-1]
	words = fmt.Sprintf("the checkpoint of %d events, the last one in %s", last.Size, path)
	if err != nil { // as a crash leaves it
		words += ", whose end cannot be read: " + err.Error()
	}
	return last, words, nil
}

// Manifest says what an export of this moment is.
func (l *Ledger) Manifest(ctx context.Context, q audit.Query) (audit.Manifest, error) {
	cloud, tenant, err := l.whose(ctx)
	if err != nil {
		return audit.Manifest{}, err
	}
	m, err := notary.ManifestOf(ctx, l, cloud, tenant)
	m.Rehearsal, m.At, m.By = cloud == auth.SimulatorName, audit.FormatTime(time.Now()), audit.Person{Name: "command line"}
	m.Query, m.Version = q, Version()
	return m, err
}

// Rotate changes the configured key to the next one. See notary.Rotate.
func (l *Ledger) Rotate(ctx context.Context, next *audit.Signer, reason string) (audit.Signed, error) {
	o, err := l.notary(ctx)
	if err != nil {
		return audit.Signed{}, err
	}
	return notary.Rotate(ctx, o, next, reason)
}

// AcceptRollback goes on with a ledger that contradicts its last checkpoint. See notary.AcceptRollback.
func (l *Ledger) AcceptRollback(ctx context.Context, reason string) (audit.Signed, error) {
	o, err := l.notary(ctx)
	if err != nil {
		return audit.Signed{}, err
	}
	return notary.AcceptRollback(ctx, o, reason)
}

// notary is how the ledger is signed.
func (l *Ledger) notary(ctx context.Context) (notary.Options, error) {
	signer, err := LedgerSigner(l.cfg)
	if err != nil {
		return notary.Options{}, err
	}
	cloud, tenant, err := l.whose(ctx)
	o := notaryOptions(l.cfg, l.Ledger, signer, cloud, tenant, l.log)
	o.By = commandLine()
	return o, err
}

// commandLine is who runs a command, as the operating system knows them: "root@host, command line". Nobody signed in, so
// it is no operator; and whoever has the server can be any of its accounts.
func commandLine() string {
	name := "uid " + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name + ", command line"
}

func notaryOptions(cfg config.Config, l *store.Ledger, signer *audit.Signer, cloud, tenant string, log *slog.Logger) notary.Options {
	return notary.Options{
		Ledger: l, Signer: signer, Cloud: cloud, Tenant: tenant, File: cfg.Checkpoints(), Now: time.Now, NewID: newID, Logger: log,
	}
}
