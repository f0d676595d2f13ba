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
			Text: orElse(ofTheConsole(cut(v.first, verdictText)), "What they are stands on the page Verify."), Link: look,
		}
	}
}

// verdictText is how much of what is wrong a note repeats, in bytes.
const verdictText = 300

// ofTheConsole puts what a verifier tells whoever brought a key and a checkpoint into the words for this page, whose
// reader brought neither: the console did.
func ofTheConsole(text string) string {
	return strings.NewReplacer(
		"Your own checkpoint", "The console's own checkpoint", "Your checkpoint", "The console's own checkpoint",
		"your checkpoint", "the console's own checkpoint", "one of your keys", "one of the console's own keys",
		"With your key, and without a checkpoint of your own", "With the console's own key, and without a checkpoint of its own",
		"Bring a checkpoint that you kept.", "Verify it yourself, with a checkpoint that you kept.",
		"Bring a verifier key and a checkpoint of your own.", "Verify it yourself, with a verifier key and a checkpoint that you kept.",
	).Replace(text)
}
