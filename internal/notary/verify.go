package notary

import (
	"context"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"evict/internal/audit"
)

// Verify starts a verification of the whole ledger in the background, unless one is under way, and records its result
// as an event. It brings along this process's own key and the last checkpoint that it knows. The zero person is the
// console itself.
func (n *Notary) Verify(by audit.Person) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.check.Running || n.work.Err() != nil {
		return
	}
	n.check = audit.Verification{Running: true, By: by, Begun: n.Now()}
	n.working.Go(func() { n.verify(by) })
}

const (
	verifyEvery  = 24 * time.Hour
	verifySpread = 10 * time.Minute // by which replicas differ, so that one of them does it
)

// verifyDaily starts a verification a day after the last one, or after the ledger began. What was altered below the newest
// checkpoint shows in nothing else. One from the future, which somebody who can write the database may have made so, puts
// nothing off.
func (n *Notary) verifyDaily(ctx context.Context) {
	now := n.Now()
	if now.Before(n.verifyAt) {
		return
	}
	n.verifyAt = now.Add(verifySpread)
	last, err := n.lastVerified(ctx)
	if err != nil {
		n.Logger.Warn("reading when the ledger was last verified", "error", err)
		return
	}
	at, err := audit.ParseTime(last.Event.Time)
	if due := at.Add(verifyEvery); err == nil && now.Before(due) && at.Before(now.Add(verifySpread)) {
		n.verifyAt = due.Add(rand.N(verifySpread)) //nolint:gosec // it keeps no secret
		return
	}
	n.Verify(audit.Person{})
}

// lastVerified is the event of the last verification; without one, the first event of the ledger.
func (n *Notary) lastVerified(ctx context.Context) (audit.Record, error) {
	for _, q := range []audit.Query{{Kind: audit.LedgerVerified, Limit: 1}, {Kind: audit.LedgerOpened, Limit: 1}} {
		found, err := n.Ledger.Search(ctx, q)
		if err != nil {
			return audit.Record{}, err
		}
		if len(found.Records) > 0 {
			return found.Records[0], nil
		}
	}
	return audit.Record{}, nil
}

// Faults is how many problems the last finished verification found, whichever process made it; 0 when there was none. One
// whose event was altered counts as a problem.
func (n *Notary) Faults(ctx context.Context) (int, error) {
	last, err := n.lastVerified(ctx)
	if err != nil {
		return 0, err
	}
	if own := n.Verification(); own.Unrecorded {
		return len(own.Report.Problems) + own.Report.More, nil
	}
	switch e := last.Event; {
	case last.Seq == 0 || e.Kind == audit.LedgerOpened:
		return 0, nil
	case e.Kind == audit.LedgerVerified && e.Outcome == intact:
		return 0, nil
	default:
		problems, _ := strconv.Atoi(e.Detail["problems"])
		return max(1, problems), nil
	}
}

// Verification is the one under way, or the last one of this process.
func (n *Notary) Verification() audit.Verification {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.check
}

func (n *Notary) verify(by audit.Person) {
	s := n.Standing()
	x := audit.Expect{Origin: n.origin(), Console: audit.Own{Keys: []string{s.Public}}}
	if s.Signed.Size > 0 {
		x.Console.Checkpoints = []audit.Checkpoint{s.Signed}
	}
	report, err := audit.VerifyLive(n.work, n.Ledger, x, func(done, of int64) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.check.Done, n.check.Of = done, of
	})
	why, unrecorded := "", false
	switch {
	case errors.Is(err, context.Canceled):
		why = "It stopped because the console shut down."
	case err != nil:
		n.Logger.Error("verifying the ledger", "error", err)
		why = "The ledger could not be read to its end: the log says why."
	default:
		unrecorded = n.record(by, report) != nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.check.Running, n.check.Ended = false, n.Now()
	n.check.Report, n.check.Err, n.check.Unrecorded = report, why, unrecorded
}

// intact is the outcome of a verification that found nothing wrong.
const intact = "intact"

// longestText is how much of the problems' sentences an event holds, in characters.
const longestText = 500

// record writes what a verification found into the ledger.
func (n *Notary) record(by audit.Person, r audit.Report) error {
	outcome, log := intact, n.Logger.Info
	detail := map[string]string{
		"size": strconv.FormatInt(r.Size, 10), "root": base64.StdEncoding.EncodeToString(r.Root[:]),
		"problems": strconv.Itoa(len(r.Problems) + r.More), "where": "console",
	}
	if !r.Intact() {
		outcome, log = "problems", n.Logger.Error
		detail["first"] = sentences(r.Problems)
	}
	if len(r.Rollbacks) > 0 {
		detail["rollbacks"] = numbers(r.Rollbacks)
	}
	log("the ledger was verified", "outcome", outcome, "events", r.Size, "problems", len(r.Problems)+r.More, "first", detail["first"])
	e := n.event(audit.LedgerVerified, "", detail)
	if e.Outcome = outcome; by.OID != "" {
		e.Operator = &by
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(n.work), closeFor)
	defer cancel()
	err := n.Ledger.Append(ctx, e)
	if err != nil {
		n.Logger.Error("recording a verification", "error", err)
	}
	return err
}

// numbers lists events, as many as fit.
func numbers(seqs []int64) string {
	text := ""
	for _, seq := range seqs {
		if next := strings.TrimPrefix(text+", "+strconv.FormatInt(seq, 10), ", "); len(next) <= longestText {
			text = next
		}
	}
	return text
}

// sentences is the beginning of what is wrong.
func sentences(problems []audit.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		if b.Len() > longestText {
			break
		}
		b.WriteString(p.Text + " ")
	}
	text := []rune(strings.TrimSpace(b.String()))
	return string(text[:min(len(text), longestText)])
}
