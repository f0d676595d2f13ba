package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"evict/internal/audit"
	"evict/internal/revoke"
)

// Commit implements revoke.EngineStore. The order within the transaction: locks, fence with lease and progress,
// changes, bucket, grants, counts, the end of the run, evictions, events. The end comes before the evictions, so that a
// run that ends with the very step that evicts its operator has ended, and is not paused. Rows are locked in one order
// everywhere: sessions, previews, runs, targets, bucket, head of the ledger.
func (r *Revoke) Commit(ctx context.Context, f revoke.Fence, s revoke.Step) (g revoke.Granted, err error) {
	err = r.db.write(ctx, "commit", func(ctx context.Context, tx *sqlTx) ([]audit.Event, error) {
		if err := r.lockConsole(ctx, tx, f.Run, s.Evict); err != nil {
			return nil, err
		}
		c := &committing{tx: tx, step: s, run: f.Run}
		if err := c.fence(ctx, f); err != nil {
			return nil, err
		}
		if err := c.move(ctx, s.Changes); err != nil {
			return nil, err
		}
		if err := c.grant(ctx, r); err != nil {
			return nil, err
		}
		if err := c.finish(ctx); err != nil {
			return nil, err
		}
		evicted, err := evict(ctx, tx, s)
		if err != nil {
			return nil, err
		}
		g = revoke.Granted{Targets: c.granted, Counts: c.counts, Next: c.next, Wish: c.wish, Quota: c.quota}
		return endLast(slices.Concat(s.Events, c.intents, evicted)), nil
	})
	if err != nil {
		return revoke.Granted{}, err
	}
	return g, nil
}

// committing is a step on its way into the database.
type committing struct {
	tx   *sqlTx
	step revoke.Step
	run  revoke.RunID

	// as the run's row has it, then as it will have it
	list     string
	operator string
	total    int
	next     int
	counts   revoke.Counts
	wish     revoke.Wish

	quota   revoke.Quota
	granted []revoke.RunTarget
	intents []audit.Event
}

// fence renews the lease, if it is still the worker's, and writes the progress that the worker knows.
func (c *committing) fence(ctx context.Context, f revoke.Fence) error {
	s := c.step
	err := c.tx.QueryRowContext(ctx, `update run set lease_until = $4, refused = $5, canary = $6, limited_by = $7
		where `+fenced+` returning list, operator_oid, total, next, counts, wish`,
		clean(string(f.Run)), f.Epoch, f.Owner, ms(s.Now.Add(s.Lease)), s.Refused, s.Canary, string(s.Limit)).Scan(
		&c.list, &c.operator, &c.total, &c.next, jsonColumn{&c.counts}, &c.wish)
	if errors.Is(err, sql.ErrNoRows) {
		return revoke.ErrFenced
	}
	if err != nil {
		return fmt.Errorf("renewing the lease: %w", err)
	}
	return nil
}

// move applies changes, and counts them.
func (c *committing) move(ctx context.Context, changes []revoke.Change) error {
	if err := move(ctx, c.tx, c.run, changes); err != nil {
		return err
	}
	for _, x := range changes {
		c.counts = c.counts.Moved(x.WasState, x.Target.State)
	}
	return nil
}

// grant takes calls from the bucket, as far as the step wants them and the bucket has them, and records their intents.
func (c *committing) grant(ctx context.Context, r *Revoke) (err error) {
	s := c.step
	want := min(s.Want, len(s.Retry)+c.total-c.next)
	if c.wish != revoke.NoWish || s.End != "" || c.evictsItself() {
		want = 0
	}
	if want <= 0 && s.Heard == (revoke.Heard{}) {
		c.quota, err = readQuota(ctx, c.tx, "", s.Now)
		return err
	}
	if c.quota, err = r.lockQuota(ctx, c.tx, s.Now); err != nil {
		return err
	}
	granted := 0
	granted, c.quota = c.quota.Hear(s.Now, s.Heard).Take(s.Now, want, s.Urgent)
	if err := c.begin(ctx, granted); err != nil {
		return err
	}
	for _, t := range c.granted {
		if t.State != revoke.Attempting {
			c.quota = c.quota.Back(1)
		}
	}
	return saveQuota(ctx, c.tx, c.quota)
}

// evictsItself reports whether the step pauses this very run, by ending what its operator has in the console.
func (c *committing) evictsItself() bool {
	return slices.ContainsFunc(c.step.Evict, func(cut revoke.Cut) bool { return clean(cut.OID) == c.operator })
}

// begin records the intents of n targets: first of those that wait for another attempt, then of the next ones of the
// list.
func (c *committing) begin(ctx context.Context, n int) error {
	if n <= 0 {
		return nil
	}
	protected, err := protectedIDs(ctx, c.tx)
	if err != nil {
		return err
	}
	retry := c.step.Retry[:min(n, len(c.step.Retry))]
	changes := make([]revoke.Change, len(retry))
	for i, was := range retry {
		now, err := c.intend(was, protected)
		if err != nil {
			return err
		}
		changes[i] = revoke.Change{WasState: revoke.Pending, WasAttempt: was.Attempt, Target: now}
	}
	if err := c.move(ctx, changes); err != nil {
		return err
	}
	fresh := n - len(retry)
	if fresh == 0 {
		return nil
	}
	planned, err := nextTargets(ctx, c.tx, c.list, c.next, fresh)
	if err != nil {
		return err
	}
	begun := make([]revoke.RunTarget, len(planned))
	for i, t := range planned {
		if t.Pos != c.next+i {
			return fmt.Errorf("the list has no position %d", c.next+i)
		}
		begun[i], err = c.intend(revoke.RunTarget{Target: t, Run: c.run, State: revoke.Pending}, protected)
		if err != nil {
			return err
		}
		c.counts = c.counts.Moved("", begun[i].State)
	}
	if len(begun) != fresh {
		return fmt.Errorf("the list has no position %d", c.next+len(begun))
	}
	c.next += fresh
	return insertRunTargets(ctx, c.tx, c.run, begun)
}

// intend asks for the intent of one target.
func (c *committing) intend(was revoke.RunTarget, protected map[string]bool) (revoke.RunTarget, error) {
	t, events := c.step.Intend(was, protected[was.OID])
	if t.Pos != was.Pos || t.OID != was.OID || t.State != revoke.Attempting && !t.State.Final() {
		return t, fmt.Errorf("the intent of target %d leaves it as %q, target %d", was.Pos, t.State, t.Pos)
	}
	c.granted = append(c.granted, t)
	c.intents = append(c.intents, events...)
	return t, nil
}

// finish writes what the step made of the run: counts, a point of its chart, its end.
func (c *committing) finish(ctx context.Context) error {
	s := c.step
	if s.Sample {
		if err := c.sample(ctx); err != nil {
			return err
		}
	}
	if s.End != "" {
		return c.end(ctx)
	}
	if len(s.Changes) == 0 && len(c.granted) == 0 {
		return nil
	}
	_, err := c.tx.exec(ctx, `update run set next = $1, counts = $2 where id = $3`,
		c.next, jsonText(c.counts), clean(string(c.run)))
	if err != nil {
		return fmt.Errorf("counting: %w", err)
	}
	return nil
}

func (c *committing) sample(ctx context.Context) error {
	_, err := c.tx.exec(ctx, `insert into run_sample (run, at, begun, final, confirmed) values ($1, $2, $3, $4, $5)
		on conflict (run, at) do update set begun = excluded.begun, final = excluded.final, confirmed = excluded.confirmed`,
		clean(string(c.run)), ms(c.step.Now), c.next, c.next-c.counts.Open(), c.counts[revoke.Confirmed])
	if err != nil {
		return fmt.Errorf("noting the progress: %w", err)
	}
	return nil
}

// end closes or pauses the run. Its lease ends with it, and so does a wish that has come about. A pause that was taken
// back meanwhile, or that a cancel has overtaken, is in conflict.
func (c *committing) end(ctx context.Context) error {
	s, wish, finished := c.step, c.wish, time.Time{}
	switch s.End {
	case revoke.RunPaused:
		if wish == revoke.WishCancel || wish == revoke.NoWish && s.Pause == revoke.PauseOperator {
			return revoke.ErrConflict
		}
		wish = revoke.NoWish
	case revoke.RunFinished, revoke.RunCancelled:
		wish, finished = revoke.NoWish, s.Now
		if _, err := c.tx.exec(ctx, `delete from run_token where run = $1`, clean(string(c.run))); err != nil {
			return fmt.Errorf("deleting the run's token: %w", err)
		}
	default:
		return fmt.Errorf("a step cannot end a run as %q", s.End)
	}
	_, err := c.tx.exec(ctx, `update run set state = $1, pause = $2, claims = $3, finished_at = $4, wish = $5, next = $6,
		counts = $7, owner = '', lease_until = 0, due_at = $8 where id = $9`, string(s.End), string(s.Pause), clean(s.Claims),
		ms(finished), string(wish), c.next, jsonText(c.counts), ms(s.Now), clean(string(c.run)))
	if err != nil {
		return fmt.Errorf("ending the run: %w", err)
	}
	return nil
}

// endLast puts the event that closes a run behind all others: it says how many events the run has written.
func endLast(events []audit.Event) []audit.Event {
	slices.SortStableFunc(events, func(a, b audit.Event) int { return closing(a) - closing(b) })
	return events
}

func closing(e audit.Event) int {
	if e.Kind == audit.RunFinished || e.Kind == audit.RunCancelled {
		return 1
	}
	return 0
}
