package audit

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Consistency is a proof that the tree of one checkpoint is the beginning of another's, as a file of one line holds it.
type Consistency struct {
	Version   int     `json:"evict_consistency"` // of this form, 1
	Origin    string  `json:"origin"`
	Rehearsal string  `json:"rehearsal,omitempty"` // Rehearsed, on a simulated tenant
	From      string  `json:"from"`                // notes
	To        string  `json:"to"`
	Proof     []Hash  `json:"proof"` // as ProveConsistency makes it
	Keys      Keyring `json:"keys"`
}

// ParseConsistency reads a proof of consistency without checking it.
func ParseConsistency(line []byte) (Consistency, error) {
	var p Consistency
	if json.Unmarshal(line, &p) != nil || p.Version != 1 {
		return p, errors.New("this is no proof of consistency")
	}
	if _, ok := p.parsed(); !ok {
		return p, errors.New("the proof of consistency does not have two checkpoints, the smaller one first")
	}
	return p, nil
}

// consistencyProof is one whose checkpoints can be read.
type consistencyProof struct {
	Consistency
	from, to Checkpoint
}

func (p Consistency) parsed() (consistencyProof, bool) {
	from, errFrom := ParseCheckpoint(p.From)
	to, errTo := ParseCheckpoint(p.To)
	ok := errFrom == nil && errTo == nil && 1 <= from.Size && from.Size <= to.Size && to.Size <= largestTree
	return consistencyProof{p, from, to}, ok
}

func (p consistencyProof) holds() bool {
	return CheckConsistency(p.Proof, p.to.Size, p.to.Root, p.from.Size, p.from.Root) == nil
}

// lead adds to the roots that are known, by their sizes, those to which the proofs lead from them, one by way of another.
// Nothing needs to be believed of a proof but its hashes. What does not lead to a known root is told of.
func (c *checker) lead(root map[int64]Hash) {
	for rest := c.proofs; len(rest) > 0; {
		var apart []consistencyProof
		for _, p := range rest {
			at, known := root[p.to.Size]
			switch {
			case c.origin != "" && (p.from.Origin != c.origin || p.to.Origin != c.origin):
				c.found.once(WrongOrigin, 0, 0, fmt.Sprintf("The proof of consistency from %s to %s is of another ledger: %s, not %s.",
					Grouped(p.from.Size), number(p.to.Size, "event"), quoted(p.to.Origin), quoted(c.origin)))
			case !known:
				apart = append(apart, p)
			case at != p.to.Root || !p.holds():
				c.unproven(p)
			default:
				root[p.from.Size] = p.from.Root
			}
		}
		if len(apart) == len(rest) {
			c.report.Covers = append(c.report.Covers, fmt.Sprintf("Of the proofs of consistency, %d led neither to this tree nor to a checkpoint of it, "+
				"and show nothing.", len(apart)))
			return
		}
		rest = apart
	}
}

// unproven notes a proof that fails.
func (c *checker) unproven(p consistencyProof) {
	c.found.once(Inconsistent, 0, 0, fmt.Sprintf("It is not proven that the tree of %s is the beginning of the tree of %s: "+
		"the proof does not lead from one to the other.", number(p.from.Size, "event"), Grouped(p.to.Size)))
}
