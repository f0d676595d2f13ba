package audit

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
)

// ErrTooMany says that a comparison would need more rows than MaxClaims.
var ErrTooMany = errors.New("too many rows for one comparison")

// claimsMargin is by how much an event's own time may differ from the time of its attempt on Graph's clock: the two clocks,
// and the time that an answer took.
const claimsMargin = time.Hour

// Claims reads from a ledger what it says of revocations in the window, and Slack beside it. More than MaxClaims is
// ErrTooMany; ErrRemoving when retention went on meanwhile.
func Claims(ctx context.Context, src ExportSource, upTo int64, w Window) ([]Ours, error) {
	before, err := src.Head(ctx)
	if err != nil {
		return nil, err
	}
	c := &claims{from: w.From.Add(-HandSlack), to: w.To.Add(HandSlack), at: map[claimKey]int{}}
	near := Query{From: c.from.Add(-claimsMargin), To: c.to.Add(claimsMargin)}
	if err := eachRecord(ctx, src, near, upTo, c.tell); err != nil {
		return nil, err
	}
	// What is recorded by hand may be recorded much later.
	byHand := Query{Kind: OutsideAction, From: c.from.Add(-claimsMargin)}
	if err := eachRecord(ctx, src, byHand, upTo, c.byHand); err != nil {
		return nil, err
	}
	if after, err := src.Head(ctx); err != nil || after.Removed != before.Removed {
		return nil, cmp.Or(err, ErrRemoving)
	}
	return c.ours, nil
}

func eachRecord(ctx context.Context, src ExportSource, q Query, upTo int64, each func(Record) error) error {
	return scanAll(ctx, src, q, upTo, func(records []Record) error {
		for _, r := range records {
			if err := each(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// claimKey names one call: each has its own row in Entra's log.
type claimKey struct {
	run, target string
	n           int
}

// claims gathers what the events of each attempt say together.
type claims struct {
	from, to time.Time
	ours     []Ours
	at       map[claimKey]int // its place in ours
}

// lostAnswer is how the evidence of an outcome begins that read-back settled.
const lostAnswer = "answer lost"

// tell takes in one event. An attempt begins as Perhaps, and its later events make it sure.
func (c *claims) tell(r Record) error {
	e := r.Event
	if e.Target == nil || e.Operator == nil || e.Evidence == nil || e.Attempt == 0 {
		return nil
	}
	claim, known := Perhaps, false
	switch e.Kind {
	case TargetAttempted, TargetUnconfirmed, TargetRefused, TargetFailed, TargetSkipped:
	case TargetAccepted:
		claim, known = Surely, true
	case TargetConfirmed:
		claim, known = Surely, strings.HasPrefix(e.Evidence.Settled, lostAnswer)
	case TargetNotCovered: // of an account that signs in elsewhere nothing is revoked, so a row is not to be expected
		known = true
	default:
		return nil
	}
	k := claimKey{e.Run, e.Target.OID, e.Attempt}
	i, ok := c.at[k]
	if !ok {
		t0, err := ParseTime(e.Evidence.T0)
		if err != nil || t0.Before(c.from) || t0.After(c.to) {
			return nil //nolint:nilerr // outside, or never called: then there is no time of an attempt
		}
		i = len(c.ours)
		c.at[k] = i
		if err := c.add(r, t0, Perhaps); err != nil {
			return err
		}
	}
	if known {
		c.ours[i].Claim, c.ours[i].Seq = claim, r.Seq
	}
	c.ours[i].Outcome = e.Outcome
	return nil
}

// byHand takes in what somebody recorded: what counts is when they say that it was done.
func (c *claims) byHand(r Record) error {
	done, err := ParseTime(r.Event.Detail["done_at"])
	if err != nil || r.Event.Target == nil || r.Event.Operator == nil || done.Before(c.from) || done.After(c.to) {
		return nil //nolint:nilerr // what names no time cannot be compared
	}
	return c.add(r, done, ByHand)
}

func (c *claims) add(r Record, at time.Time, claim Claim) error {
	if len(c.ours) >= MaxClaims {
		return ErrTooMany
	}
	short := func(p *Person) Person { return Person{OID: p.OID, UPN: p.UPN, Name: p.Name} }
	c.ours = append(c.ours, Ours{
		Seq: r.Seq, Run: r.Event.Run, Operator: short(r.Event.Operator), Target: short(r.Event.Target), T0: at,
		Claim: claim, Outcome: r.Event.Outcome,
	})
	return nil
}
