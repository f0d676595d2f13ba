package audit_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"evict/internal/audit"
)

// root is RFC 6962, section 2.1, word for word: what the tree must agree with.
func root(leaves [][]byte) audit.Hash {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		left, right := root(leaves[:k]), root(leaves[k:])
		return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
	}
}

// grove is a tree with its leaves and the hashes that it stored.
type grove struct {
	leaves [][]byte
	hashes []audit.Hash
	tree   audit.Tree
}

func (g *grove) read(indexes []int64) ([]audit.Hash, error) {
	out := make([]audit.Hash, len(indexes))
	for i, at := range indexes {
		out[i] = g.hashes[at]
	}
	return out, nil
}

func groveOf(n int) *grove {
	g := &grove{}
	for i := range n {
		leaf := fmt.Appendf(nil, "event %d", i+1)
		g.leaves = append(g.leaves, leaf)
		g.hashes = append(g.hashes, g.tree.Append(leaf)...)
	}
	return g
}

func TestTheTreeIsThatOfRFC6962(t *testing.T) {
	t.Parallel()
	g := groveOf(70)
	grown := audit.Tree{}
	for n := range 71 {
		if n > 0 {
			grown.Append(g.leaves[n-1])
		}
		want := root(g.leaves[:n])
		if got := grown.Root(); got != want {
			t.Errorf("root of %d: %v, want %v", n, got, want)
		}
		if got, err := audit.RootAt(int64(n), g.read); err != nil || got != want {
			t.Errorf("stored root of %d: %v, %v, want %v", n, got, err, want)
		}
		again, err := audit.NewTree(int64(n), grown.Edge())
		if err != nil || again.Root() != want || !bytes.Equal(again.Edge(), grown.Edge()) {
			t.Errorf("edge of %d: %v, %v", n, again.Root(), err)
		}
	}
	if int64(len(g.hashes)) != audit.StoredFrom(70) {
		t.Errorf("%d hashes, want %d", len(g.hashes), audit.StoredFrom(70))
	}
	for i, leaf := range g.leaves {
		if g.hashes[audit.LeafIndex(int64(i+1))] != audit.LeafHash(leaf) {
			t.Errorf("the leaf hash of event %d is not where it should be", i+1)
		}
	}
}

func TestAnEdgeThatDoesNotFitItsSizeIsRefused(t *testing.T) {
	t.Parallel()
	for size, length := range map[int64]int{-1: 0, 0: 32, 1: 0, 3: 32, 4: 64, 5: 63} {
		if _, err := audit.NewTree(size, make([]byte, length)); err == nil {
			t.Errorf("%d bytes were taken for the edge of %d events", length, size)
		}
	}
}

func TestAProofShowsItsEventAndNoOther(t *testing.T) {
	t.Parallel()
	const size = 37
	g := groveOf(40)
	head := root(g.leaves[:size])
	var seqs []int64
	for seq := int64(1); seq <= size; seq++ {
		seqs = append(seqs, seq)
	}
	proofs, err := audit.ProveEvents(size, seqs, g.read)
	if err != nil {
		t.Fatal(err)
	}
	for i, proof := range proofs {
		seq, leaf := seqs[i], audit.LeafHash(g.leaves[i])
		if err := audit.CheckEvent(proof, size, head, seq, leaf); err != nil {
			t.Errorf("event %d: %v", seq, err)
		}
		for what, err := range map[string]error{
			"another number": audit.CheckEvent(proof, size, head, seq%size+1, leaf),
			"another leaf":   audit.CheckEvent(proof, size, head, seq, audit.LeafHash([]byte("x"))),
			"another root":   audit.CheckEvent(proof, size, root(g.leaves[:size+1]), seq, leaf),
			"a shorter path": audit.CheckEvent(proof[1:], size, head, seq, leaf),
			"no number":      audit.CheckEvent(proof, size, head, 0, leaf),
		} {
			if err == nil {
				t.Errorf("event %d: %s was taken", seq, what)
			}
		}
	}
	if _, err := audit.ProveEvents(size, []int64{size + 1}, g.read); err == nil {
		t.Error("an event beyond the tree was proven")
	}
	short := func(indexes []int64) ([]audit.Hash, error) { return make([]audit.Hash, len(indexes)-1), nil }
	if _, err := audit.ProveEvents(size, seqs, short); err == nil {
		t.Error("hashes were missing, and that was no error")
	}
}

func TestAProofShowsThatOneTreeIsTheBeginningOfAnother(t *testing.T) {
	t.Parallel()
	const most = 24
	g := groveOf(most)
	for to := int64(1); to <= most; to++ {
		for from := int64(1); from <= to; from++ {
			proof, err := audit.ProveConsistency(from, to, g.read)
			if err != nil {
				t.Fatal(err)
			}
			now, then := root(g.leaves[:to]), root(g.leaves[:from])
			if err := audit.CheckConsistency(proof, to, now, from, then); err != nil {
				t.Errorf("%d to %d: %v", from, to, err)
			}
			other := root(append([][]byte{[]byte("x")}, g.leaves[1:from]...))
			if audit.CheckConsistency(proof, to, now, from, other) == nil {
				t.Errorf("%d to %d: another beginning was taken", from, to)
			}
		}
	}
}
