package notary

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"evict/internal/audit"
)

// recall finds the last checkpoint that left the database, and refuses a ledger that contradicts it. keys are those
// whose signatures count.
func (n *Notary) recall(ctx context.Context, keys []string) error {
	last, where, err := n.last(ctx)
	if err != nil || last.Size == 0 {
		return err
	}
	why, err := n.refusal(ctx, last.Checkpoint, keys)
	if err != nil {
		return err
	}
	if why != "" {
		return n.refuse(ctx, last, where, why)
	}
	if n.tree, err = treeAt(last.Size, n.hashes(ctx)); err != nil {
		return err
	}
	n.standing.Signed, n.standing.SignedAt = last.Checkpoint, last.At
	if where != n.File {
		n.Logger.Warn("the file of checkpoints holds none: the newest one in the database takes its place", "file", n.File, "events", last.Size)
		n.standing.Unkept = n.write(last)
	}
	return nil
}

// last is the last checkpoint in the file or, when that holds none, in the database; and in which of them.
func (n *Notary) last(ctx context.Context) (c audit.Signed, where string, err error) {
	k, err := n.file.read(n.origin())
	if err != nil {
		return c, "", err
	}
	if k.torn > 0 {
		n.Logger.Warn("the last checkpoint in the file is cut off, as by a crash: the one before it counts", "file", n.File, "bytes", k.torn)
		if err := n.file.mend(k); err != nil {
			n.Logger.Warn("the piece of a checkpoint stays in the file", "file", n.File, "error", err)
		}
	}
	if k.last.Note != "" {
		return audit.Signed{Checkpoint: k.last, At: k.at}, n.File, nil
	}
	c, _, err = n.Ledger.LastCheckpoint(ctx, math.MaxInt64)
	if err != nil {
		return c, "", fmt.Errorf("reading the newest checkpoint: %w", err)
	}
	return c, "the database", nil
}

// refusal says why a ledger does not go on from a checkpoint; "" when it does.
func (n *Notary) refusal(ctx context.Context, c audit.Checkpoint, keys []string) (string, error) {
	head, err := n.Ledger.Head(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the head of the ledger: %w", err)
	}
	problem, err := n.contradiction(ctx, c, head)
	if err != nil {
		return "", err
	}
	if problem != nil {
		return problem.Text, nil
	}
	for _, key := range keys {
		if c.Origin == n.origin() && signedBy(c, key) {
			return "", nil
		}
	}
	return "The checkpoint is not signed with a key of this ledger.", nil
}

// refuse says what is known, and the two ways out.
func (n *Notary) refuse(ctx context.Context, last audit.Signed, where, why string) error {
	known := fmt.Sprintf("The last checkpoint, in %s, covers %s events (%s).", where, count(last.Size), last.At.UTC().Format(time.DateTime))
	if c, ok, err := n.Ledger.LastCheckpoint(ctx, math.MaxInt64); err == nil && ok {
		known += fmt.Sprintf(" The newest one in the database covers %s (%s).", count(c.Size), c.At.UTC().Format(time.DateTime))
	}
	return fmt.Errorf("%w. %s %s Times are UTC. Restore the database that this file belongs to; or, if this one is to be used all the same, "+
		"say why with 'evict audit accept-rollback -reason TEXT', which is recorded", ErrRollback, why, known)
}

// AcceptRollback records that a ledger goes on as it stands, though it contradicts the last checkpoint, or though its
// new events are not what the tree says; and signs that. What is wrong with single events a verification goes on to
// name. It refuses a ledger with which nothing is wrong. The event keeps the checkpoint that is given up.
func AcceptRollback(ctx context.Context, o Options, reason string) (audit.Signed, error) {
	n := &Notary{Options: o, file: file{o.File}}
	records, err := o.Ledger.KeyEvents(ctx)
	if err != nil {
		return audit.Signed{}, fmt.Errorf("reading the ledger's keys: %w", err)
	}
	keys, chained := chain(records, o.origin())
	if err := n.admitKey(ctx, keys, chained); err != nil {
		return audit.Signed{}, err
	}
	last, err := n.contradicted(ctx, append(keys, o.Signer.Public()))
	if err != nil {
		return audit.Signed{}, err
	}
	head, err := o.Ledger.Head(ctx)
	if err != nil {
		return audit.Signed{}, fmt.Errorf("reading the head of the ledger: %w", err)
	}
	err = o.Ledger.Append(ctx, o.event(audit.LedgerRollback, reason, map[string]string{
		"old_size": strconv.FormatInt(last.Size, 10), "old_root": base64.StdEncoding.EncodeToString(last.Root[:]), "old_checkpoint": last.Note,
		"size": strconv.FormatInt(head.Size, 10), "root": base64.StdEncoding.EncodeToString(head.Root[:]),
	}))
	if err != nil {
		return audit.Signed{}, fmt.Errorf("recording the rollback: %w", err)
	}
	return n.signAsItStands(ctx)
}

// contradicted is the checkpoint that is given up; an error when nothing is wrong.
func (n *Notary) contradicted(ctx context.Context, keys []string) (audit.Checkpoint, error) {
	err := n.recall(ctx, keys)
	if errors.Is(err, ErrRollback) {
		last, _, err := n.last(ctx)
		return last.Checkpoint, err
	}
	if err != nil {
		return audit.Checkpoint{}, err
	}
	head, err := n.Ledger.Head(ctx)
	if err != nil {
		return audit.Checkpoint{}, fmt.Errorf("reading the head of the ledger: %w", err)
	}
	_, problems, err := n.inspect(ctx, head)
	if err == nil && len(problems) == 0 {
		err = errors.New("the ledger contradicts nothing: there is no rollback to accept")
	}
	return n.standing.Signed, err
}

// signAsItStands signs the tree that the database has, unseen.
func (n *Notary) signAsItStands(ctx context.Context) (audit.Signed, error) {
	head, err := n.Ledger.Head(ctx)
	if err != nil {
		return audit.Signed{}, fmt.Errorf("reading the head of the ledger: %w", err)
	}
	tree, err := treeAt(head.Size, n.hashes(ctx))
	if err != nil {
		return audit.Signed{}, err
	}
	if err := n.seal(ctx, tree); err != nil {
		return audit.Signed{}, err
	}
	s := n.Standing()
	if s.Unkept != "" {
		return audit.Signed{}, fmt.Errorf("the rollback is recorded, but the new checkpoint could not be written to %s, "+
			"and the next start would refuse the ledger again: %s", n.File, s.Unkept)
	}
	return audit.Signed{Checkpoint: s.Signed, At: s.SignedAt}, nil
}
