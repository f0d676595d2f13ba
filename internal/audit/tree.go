package audit

import (
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256 hash of the tree.
type Hash = tlog.Hash

// Tree is the Merkle tree of RFC 6962 over the first Size events, as far as appending needs it: the roots of the
// complete subtrees on its right edge, the largest first. The leaf of event s is its stored bytes, at index s-1.
// Appending to it reads nothing. The zero value is the empty tree.
type Tree struct {
	Size int64
	edge []Hash
}

// NewTree reads back what Edge wrote.
func NewTree(size int64, edge []byte) (Tree, error) {
	if size < 0 || len(edge) != bits.OnesCount64(uint64(size))*tlog.HashSize {
		return Tree{}, fmt.Errorf("the edge of a tree of %d events has %d bytes", size, len(edge))
	}
	t := Tree{Size: size}
	for i := 0; i < len(edge); i += tlog.HashSize {
		t.edge = append(t.edge, Hash(edge[i:i+tlog.HashSize]))
	}
	return t, nil
}

// Edge is the right edge as bytes: 32 for each set bit of Size.
func (t *Tree) Edge() []byte {
	var b []byte
	for _, h := range t.edge {
		b = append(b, h[:]...)
	}
	return b
}

// Append adds an event's bytes as the next leaf and returns the hashes that became final by it: the leaf's own, then
// those of the subtrees that it completed. They are to be stored under consecutive indexes from StoredFrom(Size) on,
// Size being that of before.
func (t *Tree) Append(body []byte) []Hash { return t.appendHash(tlog.RecordHash(body)) }

// appendHash adds a leaf by its hash.
func (t *Tree) appendHash(h Hash) []Hash {
	final := []Hash{h}
	for range bits.TrailingZeros64(uint64(t.Size + 1)) { //nolint:gosec // not negative. Each trailing one of Size is a subtree that is complete now
		last := len(t.edge) - 1
		h = tlog.NodeHash(t.edge[last], h)
		t.edge = t.edge[:last]
		final = append(final, h)
	}
	t.edge = append(t.edge, h)
	t.Size++
	return final
}

// Root is the root hash; of the empty tree the hash of nothing.
func (t *Tree) Root() Hash {
	if t.Size == 0 {
		h, _ := tlog.TreeHash(0, nil) // reads nothing
		return h
	}
	h := t.edge[len(t.edge)-1]
	for i := len(t.edge) - 2; i >= 0; i-- {
		h = tlog.NodeHash(t.edge[i], h)
	}
	return h
}

// StoredFrom is the index of the first hash that becomes final with the leaf after size leaves: how many hashes a tree
// of that size has stored. The numbering is that of golang.org/x/mod/sumdb/tlog.
func StoredFrom(size int64) int64 { return tlog.StoredHashCount(size) }

// LeafHash is the hash of an event's bytes as a leaf: SHA-256 over a zero byte and the bytes (RFC 6962, 2.1).
func LeafHash(body []byte) Hash { return tlog.RecordHash(body) }

// LeafIndex is the index under which the leaf hash of event seq is stored.
func LeafIndex(seq int64) int64 { return tlog.StoredHashIndex(0, seq-1) }

// Hashes reads stored hashes by their indexes, in the order asked for.
type Hashes func(indexes []int64) ([]Hash, error)

// RootAt is the root of the tree of the first size events, from stored hashes.
func RootAt(size int64, read Hashes) (Hash, error) {
	return tlog.TreeHash(size, tlog.HashReaderFunc(read))
}

// ProveEvents makes the proofs that events are leaves of the tree of the given size: RFC 6962 audit paths, the lowest
// hash first. Hashes that many of the events share are read once, and all together.
func ProveEvents(size int64, seqs []int64, read Hashes) ([][]Hash, error) {
	wanted := map[int64]Hash{}
	var order []int64
	note := tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		for _, i := range indexes {
			if _, ok := wanted[i]; !ok {
				wanted[i] = Hash{}
				order = append(order, i)
			}
		}
		return make([]Hash, len(indexes)), nil
	})
	for _, seq := range seqs {
		if _, err := tlog.ProveRecord(size, seq-1, note); err != nil {
			return nil, fmt.Errorf("proving event %d in a tree of %d: %w", seq, size, err)
		}
	}
	got, err := read(order)
	if err != nil {
		return nil, err
	}
	if len(got) != len(order) {
		return nil, errors.New("reading hashes: some are missing")
	}
	for i, at := range order {
		wanted[at] = got[i]
	}
	known := tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		hashes := make([]Hash, len(indexes))
		for i, at := range indexes {
			hashes[i] = wanted[at]
		}
		return hashes, nil
	})
	proofs := make([][]Hash, len(seqs))
	for i, seq := range seqs {
		if proofs[i], err = tlog.ProveRecord(size, seq-1, known); err != nil {
			return nil, fmt.Errorf("proving event %d in a tree of %d: %w", seq, size, err)
		}
	}
	return proofs, nil
}

// CheckEvent reports whether a proof shows that a leaf hash is event seq of the tree with that size and root.
func CheckEvent(proof []Hash, size int64, root Hash, seq int64, leaf Hash) error {
	return tlog.CheckRecord(proof, size, root, seq-1, leaf)
}

// ProveConsistency makes the proof that the tree of size from is the beginning of that of size to: 1 <= from <= to.
func ProveConsistency(from, to int64, read Hashes) ([]Hash, error) {
	return tlog.ProveTree(to, from, tlog.HashReaderFunc(read))
}

// CheckConsistency reports whether a proof shows that one tree is the beginning of another.
func CheckConsistency(proof []Hash, to int64, toRoot Hash, from int64, fromRoot Hash) error {
	return tlog.CheckTree(proof, to, toRoot, from, fromRoot)
}
