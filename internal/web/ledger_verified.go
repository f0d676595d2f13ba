package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"evict/internal/audit"
	"evict/web/templates"
)

// intact is the outcome of a verification that found nothing wrong.
const intact = "intact"

// verified is one finished verification, whichever process made it.
type verified struct {
	at        time.Time
	by        audit.Person
	size      int64
	problems  int
	first     string  // the beginning of what is wrong
	rollbacks []int64 // events that record an accepted one
	altered   bool    // its event was: what it said is not known
	seq       int64   // of its event; 0 when it is not known
}

// newestVerified is the last verification that was finished; ok is false when there was none.
func (s *Server) newestVerified(ctx context.Context) (v verified, ok bool, err error) {
	found, err := s.Ledger.Search(ctx, audit.Query{Kind: audit.LedgerVerified, Limit: 1})
	if err != nil {
		return v, false, err
	}
	if ok = len(found.Records) > 0; ok {
		v = verifiedOf(found.Records[0])
	}
	// What this process found is the newer one when its event could not be written.
	if run := s.Notary.Verification(); !run.Running && run.Err == "" && run.Ended.After(v.at) && (run.Unrecorded || !ok) {
		rep := run.Report
		v, ok = verified{at: run.Ended, by: run.By, size: rep.Size, problems: len(rep.Problems) + rep.More, rollbacks: rep.Rollbacks}, true
		if len(rep.Problems) > 0 {
			v.first = rep.Problems[0].Text
		}
	}
	return v, ok, nil
}

// verifiedOf reads the event of a verification.
func verifiedOf(rec audit.Record) verified {
	e := rec.Event
	v := verified{seq: rec.Seq, first: e.Detail["first"], altered: e.Kind == noEvent}
	v.at, _ = audit.ParseTime(e.Time) // written by us
	v.size, _ = strconv.ParseInt(e.Detail["size"], 10, 64)
	if v.problems, _ = strconv.Atoi(e.Detail["problems"]); e.Outcome != intact {
		v.problems = max(v.problems, 1)
	}
	if e.Operator != nil {
		v.by = *e.Operator
	}
	for text := range strings.SplitSeq(e.Detail["rollbacks"], ",") {
		if seq, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && seq > 0 {
			v.rollbacks = append(v.rollbacks, seq)
		}
	}
	return v
}

// rolledBack says that rollbacks were accepted; "" when none was.
func rolledBack(seqs []int64) string {
	switch len(seqs) {
	case 0:
		return ""
	case 1:
		return "A rollback was accepted (event " + thousands(int(seqs[0])) + "): what was recorded before it and cut off is not here."
	default:
		return fmt.Sprintf("%d rollbacks were accepted (the last is event %s): what was recorded before them and cut off is not here.",
			len(seqs), thousands(int(slices.Max(seqs))))
	}
}

// rollback is an accepted one: what was recorded between from and at, and cut off, is not here.
type rollback struct {
	seq       int64     // of its event
	from, at  time.Time // from is zero when it is not known
	old, size int64     // events of the last checkpoint, and those that were there
}

// newestRollbacks reads the newest accepted rollbacks.
func (s *Server) newestRollbacks(ctx context.Context, limit int) (out []rollback, err error) {
	found, err := s.Ledger.Search(ctx, audit.Query{Kind: audit.LedgerRollback, Limit: limit})
	if err != nil {
		return nil, err
	}
	for _, rec := range found.Records {
		b := rollbackOf(rec.Event)
		if last, err := s.Ledger.Event(ctx, b.size); err == nil {
			b.from, _ = audit.ParseTime(last.Event.Time)
		}
		out = append(out, b)
	}
	return out, nil
}

func rollbackOf(e audit.Event) rollback {
	b := rollback{seq: e.Seq}
	b.at, _ = audit.ParseTime(e.Time) // written by us
	b.old, _ = strconv.ParseInt(e.Detail["old_size"], 10, 64)
	b.size, _ = strconv.ParseInt(e.Detail["size"], 10, 64)
	return b
}

// went is how far it went back.
func (b rollback) went() string {
	if b.old > b.size {
		return "from " + counted(int(b.old), "event") + " back to " + thousands(int(b.size))
	}
	return "with " + counted(int(b.size), "event") + " there"
}

// note says what a rollback took.
func (b rollback) note() templates.Note {
	lost := "shortly before"
	if !b.from.IsZero() {
		lost = "between " + minuteWords(b.from) + " and " + minuteWords(b.at)
	}
	return templates.Note{
		Tone: templates.ToneWarn, Title: "A rollback was accepted, " + b.went() + ": event " + thousands(int(b.seq)),
		Text: "What was recorded " + lost + " and cut off is not here.", Link: templates.Link{Label: "Look at it", Href: eventHref(b.seq)},
	}
}

// rollbacksIn are the newest accepted rollbacks that cut off something of a time.
func (s *Server) rollbacksIn(ctx context.Context, w audit.Window) (out []rollback, err error) {
	list, err := s.newestRollbacks(ctx, 20)
	for _, b := range list {
		if b.at.After(w.From) && b.from.Before(w.To) {
			out = append(out, b)
		}
	}
	return out, err
}

// rollbackShown is how long an accepted rollback stands on the pages that one sees first.
const rollbackShown = 30 * 24 * time.Hour

// newestRollback is the note of the newest rollback while it is new; the zero note otherwise.
func (s *Server) newestRollback(r *http.Request) templates.Note {
	if s.Ledger == nil || !at(r).who.Roles.MayOpen("ledger.verify") {
		return templates.Note{}
	}
	list, err := s.newestRollbacks(r.Context(), 1)
	if err != nil {
		s.Logger.Warn("reading the last rollback", "request_id", at(r).requestID, "error", err)
	}
	if len(list) == 0 || s.Now().Sub(list[0].at) > rollbackShown {
		return templates.Note{}
	}
	return list[0].note()
}

// verdict is the note that stands on every page of what the ledger says while the last verification is not intact; the
// zero note when it is, and for whoever may not read the ledger.
func (s *Server) verdict(r *http.Request) templates.Note {
	if s.Ledger == nil || s.Notary == nil || !at(r).who.Roles.MayOpen("ledger.verify") {
		return templates.Note{}
	}
	look := templates.Link{Label: "Look at it", Href: verifyAddress}
	v, ok, err := s.newestVerified(r.Context())
	switch {
	case err != nil:
		s.Logger.Warn("reading the last verification", "request_id", at(r).requestID, "error", err)
		return templates.Note{Tone: templates.ToneWarn, Title: "Whether the last verification found problems could not be read", Text: "The database does not answer.", Link: look}
	case !ok || v.problems == 0 && !v.altered:
		return templates.Note{}
	case v.altered:
		return templates.Note{Tone: templates.ToneNo, Title: "The record of the last verification was altered", Text: "What it found is not known: verify again.", Link: look}
	default:
		return templates.Note{
			Tone: templates.ToneNo, Title: "The last verification of the ledger found " + counted(v.problems, "problem"),
			Text: orElse(cut(v.first, verdictText), "What they are stands on the page Verify."), Link: look,
		}
	}
}

// verdictText is how much of what is wrong a note repeats, in bytes.
const verdictText = 300
