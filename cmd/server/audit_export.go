package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"evict/internal/app"
	"evict/internal/audit"
)

func (d desk) export(ctx context.Context, args []string) error {
	var q audit.Query
	f := flags("export")
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
	if err := d.parse(f, args); err != nil {
		return err
	}
	if !slices.Contains([]audit.Format{audit.JSONLines, audit.CSV, audit.OCSF}, audit.Format(*format)) {
		return fmt.Errorf("there is no format %q: choose jsonl, csv or ocsf", *format)
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return errors.New("-from is not before -to: no event is between them")
	}
	l, err := d.open(ctx, app.ReadLedger)
	if err != nil {
		return err
	}
	defer l.Close()
	m, err := l.Manifest(ctx, q)
	if err != nil {
		return err
	}
	var events int64
	err = write(*path, d.stdout, func(w io.Writer) (err error) {
		events, err = audit.Export(ctx, l, audit.Format(*format), m, w)
		return err
	})
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
