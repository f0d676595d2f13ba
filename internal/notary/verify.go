package notary

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"evict/internal/audit"
)

// Verify starts a verification of the whole ledger in the background, unless one is under way, and records its result
// as an event. It brings along this process's own key and the last checkpoint that it knows.
func (n *Notary) Verify(by audit.Person) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.check.Running || n.work.Err() != nil {
		return
	}
	n.check = audit.Verification{Running: true, By: by, Begun: n.Now()}
	n.working.Go(func() { n.verify(by) })
}

// Verification is the one under way, or the last one of this process.
func (n *Notary) Verification() audit.Verification {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.check
}

func (n *Notary) verify(by audit.Person) {
	s := n.Standing()
	x := audit.Expect{Origin: n.origin(), Keys: []string{s.Public}}
	if s.Signed.Size > 0 {
		x.Checkpoints = []audit.Checkpoint{s.Signed}
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

// longestText is how much of the problems' sentences an event holds, in characters.
const longestText = 500

// record writes what a verification found into the ledger.
func (n *Notary) record(by audit.Person, r audit.Report) error {
	outcome, log := "intact", n.Logger.Info
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
	log("the ledger was verified", "outcome", outcome, "events", r.Size, "problems", len(r.Problems)+r.More)
	e := n.event(audit.LedgerVerified, "", detail)
	e.Operator, e.Outcome = &by, outcome
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
