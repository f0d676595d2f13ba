package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/notary"
	"evict/internal/store"
)

func (d desk) export(ctx context.Context, args []string) error {
	var q audit.Query
	f := d.flags("export")
	format := f.String("format", string(audit.JSONLines), "jsonl, which is the evidence; csv to read; ocsf for a SIEM")
	f.StringVar(&q.Run, "run", "", "only what names this run")
	f.Func("from", "only from this UTC date on, as 2026-11-24, or time, as 2026-11-24T14:05:00Z", func(s string) (err error) {
		q.From, err = moment(s, 0)
		return err
	})
	f.Func("to", "only up to this UTC date, the whole day, or before this time", func(s string) (err error) {
		q.To, err = moment(s, 1)
		return err
	})
	path := f.String("o", "", "file to make; standard output when it is not given")
	if err := parse(f, args); err != nil {
		return err
	}
	b, err := d.open(ctx, store.OpenReader)
	if err != nil {
		return err
	}
	defer b.close()
	m, err := b.manifest(ctx, q)
	if err != nil {
		return err
	}
	events, err := d.write(*path, func(w io.Writer) (int64, error) { return audit.Export(ctx, b, audit.Format(*format), m, w) })
	if err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	_, err = fmt.Fprintf(d.stderr, "%d events of a ledger of %d. This export is not recorded: the database was opened for reading only. One on the console's page is.\n",
		events, m.Size)
	return err
}

// moment reads a UTC date, to which days are added, or a time.
func moment(s string, days int) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return day.AddDate(0, 0, days), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return at, errors.New("it is neither a date, as 2026-11-24, nor a time, as 2026-11-24T14:05:00Z")
	}
	return at, nil
}

// manifest says what an export of this moment is.
func (b *book) manifest(ctx context.Context, q audit.Query) (audit.Manifest, error) {
	m := audit.Manifest{
		Cloud: b.cloud, Tenant: b.tenant, Rehearsal: b.cloud == auth.SimulatorName, At: audit.FormatTime(time.Now()),
		By: audit.Person{Name: "command line"}, Query: q, Version: app.Version(),
	}
	head, err := b.Head(ctx)
	if err != nil {
		return m, err
	}
	m.Size, m.Root, m.Removed = head.Size, head.Root, head.Removed
	c, _, err := b.LastCheckpoint(ctx, head.Size)
	if err != nil {
		return m, err
	}
	m.Checkpoint = c.Note
	m.Keys, err = notary.KeysOf(ctx, b, b.cloud, b.tenant)
	return m, err
}

// write writes to a new file that only its owner can read, or to standard output when path is "". A file that was not
// finished is removed.
func (d desk) write(path string, to func(io.Writer) (int64, error)) (n int64, err error) {
	if path == "" {
		return to(d.stdout)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	n, err = to(file)
	if err = errors.Join(err, file.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return n, err
}
