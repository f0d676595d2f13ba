package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"evict/internal/audit"
	"evict/internal/notary"
)

// Removal is what retention would take away.
type Removal struct {
	Through int64     // of the first events, as a checkpoint seals them
	Events  int64     // how many of them lose their bytes
	Sealed  time.Time // when the checkpoint was made
}

// SealedBefore is how many of the first events are from before a UTC day, as 2006-01-02, and sealed by a checkpoint.
func (l *Ledger) SealedBefore(ctx context.Context, day string) (int64, error) {
	days, err := l.DayCounts(ctx)
	if err != nil {
		return 0, err
	}
	events := int64(math.MaxInt64)
	for _, d := range days {
		if d.Day >= day {
			events = min(events, d.First-1)
		}
	}
	c, ok, err := l.LastCheckpoint(ctx, events)
	if err == nil && !ok {
		err = fmt.Errorf("no checkpoint seals only events from before %s: there is nothing to remove", day)
	}
	return c.Size, err
}

// PlanRemoval says what a removal would take away, or why it would be refused. It verifies the whole ledger, because
// after a removal nobody could tell what was wrong with what is gone.
func (l *Ledger) PlanRemoval(ctx context.Context, through int64) (Removal, error) {
	if _, err := l.notary(ctx); err != nil { // it could not be signed
		return Removal{}, err
	}
	head, err := l.Head(ctx)
	if err != nil {
		return Removal{}, err
	}
	c, ok, err := l.LastCheckpoint(ctx, through)
	switch {
	case err != nil:
		return Removal{}, err
	case !ok || c.Size != through:
		return Removal{}, fmt.Errorf("no checkpoint seals exactly %d events; the nearest before seals %d: evict audit checkpoints lists them", through, c.Size)
	}
	events, err := l.Removable(ctx, through)
	switch {
	case err != nil:
		return Removal{}, err
	case events == 0 && through <= head.Removed:
		return Removal{}, fmt.Errorf("the events up to %d were removed before", head.Removed)
	case events == 0:
		return Removal{}, fmt.Errorf("the events up to %d are all about the ledger itself (ledger.*), and those stay: there is nothing to remove", through)
	}
	report, _, err := l.Verify(ctx, audit.Expect{}, nil)
	if err != nil {
		return Removal{}, fmt.Errorf("verifying before anything is removed: %w", err)
	}
	if !report.Intact() {
		return Removal{}, fmt.Errorf("nothing was removed, because the ledger has problems: %s evict audit verify lists them", report.Problems[0].Text)
	}
	return Removal{Through: through, Events: events, Sealed: c.At}, nil
}

// Remove removes what was planned, and signs the event that says so.
func (l *Ledger) Remove(ctx context.Context, plan Removal, reason string) error {
	o, err := l.notary(ctx)
	if err != nil {
		return err
	}
	n, err := notary.Open(ctx, o)
	if err != nil {
		return err
	}
	defer n.Close()
	r, err := l.signRemoval(ctx, o, plan)
	if err != nil {
		return err
	}
	err = l.Ledger.Remove(ctx, r, audit.Event{
		ID: newID(), Time: audit.FormatTime(time.Now()), Cloud: o.Cloud, Tenant: o.Tenant, Reason: reason,
		Detail: map[string]string{"by": o.By},
	})
	if err != nil {
		return err
	}
	_, err = n.Sign(ctx)
	if unkept := n.Standing().Unkept; err == nil && unkept != "" {
		err = errors.New("it could not be written to " + o.File + ": " + unkept)
	}
	if err != nil {
		return fmt.Errorf("%d events were removed, and that is recorded, but no checkpoint that has left the database covers it: %w; "+
			"mend that, and start the console, which signs and writes one", plan.Events, err)
	}
	return nil
}

func (l *Ledger) signRemoval(ctx context.Context, o notary.Options, plan Removal) (audit.Removal, error) {
	root, err := audit.RootAt(plan.Through, func(indexes []int64) ([]audit.Hash, error) { return l.Hashes(ctx, indexes) })
	if err != nil {
		return audit.Removal{}, err
	}
	return o.Signer.SignRemoval(audit.Origin(o.Cloud, o.Tenant), audit.Removal{Through: plan.Through, Root: root, Events: plan.Events})
}
