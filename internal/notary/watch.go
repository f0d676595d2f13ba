package notary

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"evict/internal/audit"
)

// atOnce is how many events are read at a time.
const atOnce = 1000

// listed is how many problems are told one by one.
const listed = 100

// sign checks what is new and signs it. The caller holds n.signing.
func (n *Notary) sign(ctx context.Context) error {
	head, err := headOf(ctx, n.Ledger)
	if err != nil {
		return err
	}
	if err := n.adopt(ctx, head); err != nil {
		return err
	}
	s := n.Standing()
	if head.Size == s.Signed.Size && head.Root == s.Signed.Root && len(s.Problems) == 0 {
		return nil
	}
	tree, problems, err := n.inspect(ctx, head)
	if err != nil {
		return err
	}
	n.tell(problems)
	if len(problems) > 0 {
		return ErrProblems
	}
	if head.Size == s.Signed.Size {
		return nil
	}
	return n.seal(ctx, tree)
}

// seal signs a tree, stores the checkpoint, and takes it outside the database.
func (n *Notary) seal(ctx context.Context, tree audit.Tree) error {
	c, err := n.Signer.Sign(n.origin(), tree.Size, tree.Root())
	if err != nil {
		return err
	}
	at := n.Now()
	if err := n.Ledger.SaveCheckpoint(ctx, c, at); err != nil {
		return fmt.Errorf("storing the checkpoint of %d events: %w", c.Size, err)
	}
	n.tree, n.seen = tree, tree.Size
	n.keep(audit.Signed{Checkpoint: c, At: at})
	return nil
}

// keep takes a checkpoint outside the database: into the log, and into the file. When the file cannot be written,
// signing goes on; Standing says so, and each look tries again.
func (n *Notary) keep(c audit.Signed) {
	n.Logger.Info("checkpoint", "events", c.Size, "note", c.Note)
	unkept := n.write(c)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.standing.Signed, n.standing.SignedAt, n.standing.Unkept, n.standing.Public = c.Checkpoint, c.At, unkept, n.Signer.Public()
}

// write appends a checkpoint to the file and says why it could not.
func (n *Notary) write(c audit.Signed) (unkept string) {
	if err := n.file.append(c.Checkpoint); err != nil {
		n.Logger.Error("keeping a checkpoint outside the database", "events", c.Size, "error", err)
		return err.Error()
	}
	return ""
}

// keepAgain writes the newest checkpoint to the file again, when that did not go before, or when the file has gone: without
// one, the next start would have to believe the database.
func (n *Notary) keepAgain() {
	s := n.Standing()
	if s.Signed.Size == 0 || s.Unkept == "" && n.file.there() {
		return
	}
	unkept := ""
	if err := n.file.append(s.Signed); err != nil {
		unkept = err.Error()
	}
	switch {
	case unkept == "":
		n.Logger.Warn("the checkpoint is kept outside the database again", "file", n.File, "events", s.Signed.Size)
	case s.Unkept == "":
		n.Logger.Error("the file of checkpoints has gone", "file", n.File, "error", unkept)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.standing.Unkept = unkept
}

// adopt takes over a checkpoint that another replica signed with the same key meanwhile, when the tree that it signed
// goes on from the one that was signed last here. What that replica checked is not read again: retention may have
// removed it. Any other checkpoint is left to a verification.
func (n *Notary) adopt(ctx context.Context, head audit.Head) error {
	from := n.Standing().Signed
	c, ok, err := n.Ledger.LastCheckpoint(ctx, head.Size)
	if err != nil {
		return fmt.Errorf("reading the newest checkpoint: %w", err)
	}
	if !ok || c.Size <= from.Size || c.Origin != n.origin() || !signedBy(c.Checkpoint, n.Signer.Public()) {
		return nil
	}
	tree, err := treeAt(c.Size, n.hashes(ctx))
	if err != nil {
		return err
	}
	if goesOn, err := n.goesOn(ctx, from, c.Checkpoint, tree); err != nil || !goesOn {
		return err
	}
	n.tree = tree
	n.keep(c)
	return nil
}

func signedBy(c audit.Checkpoint, key string) bool { return audit.Verify(c, key) == nil }

// goesOn reports whether a tree is the one that a checkpoint was signed over, and the one before is its beginning.
func (n *Notary) goesOn(ctx context.Context, from, to audit.Checkpoint, tree audit.Tree) (bool, error) {
	if tree.Root() != to.Root || from.Size == 0 {
		return tree.Root() == to.Root, nil
	}
	proof, err := audit.ProveConsistency(from.Size, to.Size, n.hashes(ctx))
	if err != nil {
		return false, fmt.Errorf("comparing checkpoints: %w", err)
	}
	return audit.CheckConsistency(proof, to.Size, to.Root, from.Size, from.Root) == nil, nil
}

// tell remembers what is wrong, and logs when that changes.
func (n *Notary) tell(problems []audit.Problem) {
	n.looked = n.Now()
	n.mu.Lock()
	before := n.standing.Problems
	n.standing.Problems = problems
	n.mu.Unlock()
	switch {
	case slices.Equal(before, problems):
	case len(problems) == 0:
		n.Logger.Warn("nothing is wrong with the ledger's new events any more: signing goes on")
	default:
		n.Logger.Error("something is wrong with the ledger: nothing is signed", "problems", len(problems), "first", problems[0].Text)
	}
}

// inspect reads what came after the last checkpoint and says what is wrong with it. The tree is the one to sign.
func (n *Notary) inspect(ctx context.Context, head audit.Head) (tree audit.Tree, problems []audit.Problem, err error) {
	keys, problems, err := n.keyProblem(ctx)
	if err != nil || len(problems) > 0 {
		return tree, problems, err
	}
	signed := n.Standing().Signed
	if problem, err := n.contradiction(ctx, signed, head); err != nil || problem != nil {
		return tree, append(problems, deref(problem)...), err
	}
	if tree, problems, err = n.extend(ctx, head, keys); err != nil {
		return tree, nil, err
	}
	stored, err := audit.RootAt(head.Size, n.hashes(ctx))
	if err != nil && !errors.Is(err, audit.ErrNoHash) {
		return tree, nil, fmt.Errorf("reading the tree of %d events: %w", head.Size, err)
	}
	if len(problems) == 0 && (tree.Root() != head.Root || tree.Root() != stored) {
		problems = append(problems, audit.Problem{Fault: audit.TreeDamaged, From: min(signed.Size+1, head.Size), To: head.Size, Text: fmt.Sprintf(
			"The tree of %s events does not follow from their bytes: its hashes were changed.", audit.Grouped(head.Size))})
	}
	gaps, err := n.runGaps(ctx, signed.Size, head.Size)
	return tree, append(problems, gaps...), err
}

func deref(p *audit.Problem) []audit.Problem {
	if p == nil {
		return nil
	}
	return []audit.Problem{*p}
}

// contradiction says how a ledger contradicts a checkpoint; nil when it does not.
func (n *Notary) contradiction(ctx context.Context, c audit.Checkpoint, head audit.Head) (*audit.Problem, error) {
	if c.Size == 0 {
		return nil, nil
	}
	if c.Size > head.Size {
		return &audit.Problem{Fault: audit.Shorter, From: head.Size + 1, To: c.Size, Text: fmt.Sprintf(
			"The ledger has %s events, and a checkpoint was signed over %s. %s",
			audit.Grouped(head.Size), audit.Grouped(c.Size), missing(head.Size+1, c.Size)[0].Text)}, nil
	}
	root, err := audit.RootAt(c.Size, n.hashes(ctx))
	if errors.Is(err, audit.ErrNoHash) {
		return &audit.Problem{Fault: audit.TreeDamaged, From: 1, To: c.Size, Text: fmt.Sprintf(
			"The tree of %s events is damaged, so that it cannot be compared with its checkpoint: %v.", audit.Grouped(c.Size), err)}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the tree of %d events: %w", c.Size, err)
	}
	if root != c.Root {
		return &audit.Problem{Fault: audit.Inconsistent, From: 1, To: c.Size, Text: fmt.Sprintf(
			"The first %s events are not those that the checkpoint was signed over.", audit.Grouped(c.Size))}, nil
	}
	return nil, nil
}

// extend appends each event after the last checkpoint to its tree, and names what is missing or altered, and a removal
// that no key signed.
func (n *Notary) extend(ctx context.Context, head audit.Head, keys audit.Keyring) (tree audit.Tree, problems []audit.Problem, err error) {
	if tree, err = audit.NewTree(n.tree.Size, n.tree.Edge()); err != nil { // its own edge, to append to
		return tree, nil, err
	}
	next := tree.Size + 1
	for next <= head.Size && len(problems) < listed {
		rows, err := n.Ledger.Rows(ctx, next-1, head.Size, atOnce)
		if err != nil {
			return tree, nil, fmt.Errorf("reading the new events: %w", err)
		}
		for _, r := range rows {
			problems = append(problems, missing(next, r.Seq-1)...)
			if audit.LeafHash(r.Body) != r.Leaf {
				problems = append(problems, audit.Problem{Fault: audit.Altered, From: r.Seq, To: r.Seq, Text: fmt.Sprintf(
					"Event %s was altered: its bytes are not those whose hash the tree has.", audit.Grouped(r.Seq))})
			}
			if e, err := audit.Decode(r.Body); err == nil && e.Kind == audit.LedgerRemoved && !keys.Removed(e, n.origin()) {
				problems = append(problems, audit.Problem{Fault: audit.UnknownKey, From: r.Seq, To: r.Seq, Text: fmt.Sprintf(
					"Event %s says that retention removed events, and no key of the ledger signed that.", audit.Grouped(r.Seq))})
			}
			tree.Append(r.Body)
			next = r.Seq + 1
		}
		if len(rows) == 0 {
			problems, next = append(problems, missing(next, head.Size)...), head.Size+1
		}
	}
	return tree, problems, nil
}

func missing(from, to int64) []audit.Problem {
	if from > to {
		return nil
	}
	return []audit.Problem{{Fault: audit.Missing, From: from, To: to, Text: audit.Events(from, to, "is missing.", "are missing.")}}
}

// runGaps checks each run that ended: its closing event says how many events it wrote, and the last of them.
func (n *Notary) runGaps(ctx context.Context, after, upTo int64) (problems []audit.Problem, err error) {
	for {
		lines, err := n.Ledger.Closings(ctx, after, upTo, atOnce)
		if err != nil {
			return nil, fmt.Errorf("reading what closed runs: %w", err)
		}
		for _, l := range lines {
			after = max(after, l.Newest.Seq)
			d := l.Newest.Event.Detail
			if l.Newest.Event.Kind == "" {
				continue // its bytes are no event: that was told
			}
			if d["events"] != strconv.FormatInt(l.Events, 10) || d["last_seq"] != strconv.FormatInt(l.Newest.Seq, 10) {
				problems = append(problems, audit.Problem{Fault: audit.RunGap, From: l.First, To: l.Newest.Seq, Text: fmt.Sprintf(
					"Run %s says that it wrote %s events, the last with number %s; there are %s, up to number %s.",
					l.Run, d["events"], d["last_seq"], audit.Grouped(l.Events), audit.Grouped(l.Newest.Seq))})
			}
		}
		if len(lines) < atOnce {
			return problems, nil
		}
	}
}

// headOf is where a ledger stands.
func headOf(ctx context.Context, l Ledger) (audit.Head, error) {
	head, err := l.Head(ctx)
	if err != nil {
		return head, fmt.Errorf("reading the head of the ledger: %w", err)
	}
	return head, nil
}

// hashes reads stored hashes as the tree asks for them.
func (n *Notary) hashes(ctx context.Context) audit.Hashes {
	return func(indexes []int64) ([]audit.Hash, error) { return n.Ledger.Hashes(ctx, indexes) }
}

// treeAt is the tree of the first size events, from stored hashes.
func treeAt(size int64, read audit.Hashes) (audit.Tree, error) {
	var edge []byte
	_, err := audit.RootAt(size, func(indexes []int64) ([]audit.Hash, error) { // asks for the right edge, the largest first
		hashes, err := read(indexes)
		for _, h := range hashes {
			edge = append(edge, h[:]...)
		}
		return hashes, err
	})
	if err != nil {
		return audit.Tree{}, fmt.Errorf("reading the tree of %d events: %w", size, err)
	}
	return audit.NewTree(size, edge)
}
