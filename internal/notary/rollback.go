package notary

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"evict/internal/audit"
)

// recall finds the last checkpoint that left the database, and refuses a ledger that contradicts it.
func (n *Notary) recall(ctx context.Context, keys audit.Keyring) error {
	last, where, err := n.last(ctx, keys)
	n.witnessed = where == n.File
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
	if !n.witnessed {
		n.Logger.Warn("the file of checkpoints holds none: the newest one in the database takes its place", "file", n.File, "events", last.Size)
		n.standing.Unkept = n.write(last)
	}
	return nil
}

// unwitnessed records that a ledger with a history was taken as it stood, because no checkpoint outside the database was
// there to hold it against.
func (n *Notary) unwitnessed(ctx context.Context, keys audit.Keyring) error {
	if len(keys) == 0 || n.witnessed {
		return nil
	}
	signed := n.Standing().Signed
	err := n.Ledger.Append(ctx, n.event(audit.LedgerUnwitnessed, "", map[string]string{"size": strconv.FormatInt(signed.Size, 10), "checkpoint": signed.Note}))
	if err != nil {
		return fmt.Errorf("recording a start without a checkpoint: %w", err)
	}
	return nil
}

// last is the last checkpoint in the file or, when that holds none, in the database; and in which of them.
func (n *Notary) last(ctx context.Context, keys audit.Keyring) (c audit.Signed, where string, err error) {
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
		at, err := n.signedAt(ctx, k)
		return audit.Signed{Checkpoint: k.last, At: at}, n.File, err
	}
	c, _, err = newestSigned(ctx, n.Ledger, keys, math.MaxInt64)
	return c, "the database", err
}

// signedAt is when the last checkpoint of the file was signed, as the database says if it holds the same one. Else the
// file tells until when it was.
func (n *Notary) signedAt(ctx context.Context, k kept) (time.Time, error) {
	c, ok, err := n.Ledger.LastCheckpoint(ctx, k.last.Size)
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("reading the checkpoint of %d events: %w", k.last.Size, err)
	case ok && c.Checkpoint == k.last:
		return c.At, nil
	case k.at.After(n.Now()): // a copy of the file, or a clock that was wrong
		return n.Now(), nil
	}
	return k.at, nil
}

// refusal says why a ledger does not go on from a checkpoint; "" when it does.
func (n *Notary) refusal(ctx context.Context, c audit.Checkpoint, keys audit.Keyring) (string, error) {
	head, err := headOf(ctx, n.Ledger)
	if err != nil {
		return "", err
	}
	problem, err := n.contradiction(ctx, c, head)
	if err != nil {
		return "", err
	}
	if problem != nil {
		return problem.Text, nil
	}
	// A checkpoint of our own key is not refused here: with another key in the ledger, admitKey says what to do.
	if c.Origin == n.origin() && (keys.Signed(c) || !slices.Contains(keys.Names(), n.Signer.Public()) && signedBy(c, n.Signer.Public())) {
		return "", nil
	}
	return "The checkpoint is not signed with a key of this ledger that was in use then.", nil
}

// refuse says what is known, and the two ways out.
func (n *Notary) refuse(ctx context.Context, last audit.Signed, where, why string) error {
	known := fmt.Sprintf("The last checkpoint, in %s, covers %s events (signed no later than %s).", where, audit.Grouped(last.Size), last.At.UTC().Format(time.DateTime))
	if c, ok, err := n.Ledger.LastCheckpoint(ctx, math.MaxInt64); err == nil && ok {
		known += fmt.Sprintf(" The newest one in the database covers %s (%s).", audit.Grouped(c.Size), c.At.UTC().Format(time.DateTime))
	}
	return fmt.Errorf("%w. %s %s Times are UTC. Restore the database that this file belongs to; or, if this one is to be used all the same, "+
		"say why with the command 'audit accept-rollback', which is recorded", ErrRollback, why, known)
}

// AcceptRollback records that a ledger goes on as it stands, though it contradicts the last checkpoint, or though its
// new events are not what the tree says; and signs that. What is wrong with single events a verification goes on to
// name. It refuses a ledger with which nothing is wrong. The event keeps the checkpoint that is given up.
func AcceptRollback(ctx context.Context, o Options, reason string) (audit.Signed, error) {
	n := &Notary{Options: o, file: file{o.File}}
	keys, broken, err := keyring(ctx, o.Ledger, o.origin())
	if err != nil {
		return audit.Signed{}, err
	}
	if err := n.admitKey(ctx, keys, broken); err != nil {
		return audit.Signed{}, err
	}
	last, err := n.contradicted(ctx, keys)
	if err != nil {
		return audit.Signed{}, err
	}
	head, err := headOf(ctx, o.Ledger)
	if err != nil {
		return audit.Signed{}, err
	}
	if err := n.growable(ctx, head); err != nil {
		return audit.Signed{}, err
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
func (n *Notary) contradicted(ctx context.Context, keys audit.Keyring) (audit.Checkpoint, error) {
	err := n.recall(ctx, keys)
	if errors.Is(err, ErrRollback) {
		last, _, err := n.last(ctx, keys)
		return last.Checkpoint, err
	}
	if err != nil {
		return audit.Checkpoint{}, err
	}
	head, err := headOf(ctx, n.Ledger)
	if err != nil {
		return audit.Checkpoint{}, err
	}
	if err := n.adopt(ctx, head); err != nil {
		return audit.Checkpoint{}, err
	}
	_, problems, err := n.inspect(ctx, head)
	if err == nil && len(problems) == 0 {
		err = errors.New("the ledger contradicts nothing: there is no rollback to accept")
	}
	return n.standing.Signed, err
}

// growable refuses a tree whose own hashes do not fit together: what was built on it would be damaged, too.
func (n *Notary) growable(ctx context.Context, head audit.Head) error {
	root, err := audit.RootAt(head.Size, n.hashes(ctx))
	if err == nil && root == head.Root {
		return nil
	}
	if err != nil && !errors.Is(err, audit.ErrNoHash) {
		return fmt.Errorf("reading the tree of %d events: %w", head.Size, err)
	}
	return errors.New("the tree itself is damaged: its stored hashes do not fit its head, so nothing can be added to it that verifies; " +
		"restore a backup; or, without one, keep this database as evidence, begin an empty one, and accept that as a rollback")
}

// signAsItStands signs the tree that the database has, unseen.
func (n *Notary) signAsItStands(ctx context.Context) (audit.Signed, error) {
	head, err := headOf(ctx, n.Ledger)
	if err != nil {
		return audit.Signed{}, err
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
