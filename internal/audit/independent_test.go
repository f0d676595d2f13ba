package audit_test

// A verifier of an export, written from docs/ledger.md alone, with the standard library only.

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

func node(left, right []byte) []byte {
	h := sha256.Sum256(append(append([]byte{1}, left...), right...))
	return h[:]
}

// path runs an audit path (old nil: what comes out is the root), or the rest of a consistency proof, whose other root
// comes out second.
func path(fn, sn int64, r, old []byte, proof [][]byte) (root, oldRoot []byte, ok bool) {
	for _, p := range proof {
		if sn == 0 {
			return nil, nil, false
		}
		if fn%2 == 1 || fn == sn {
			r, old = node(p, r), node(p, old)
			for ; fn%2 == 0 && fn != 0; fn, sn = fn>>1, sn>>1 {
			}
		} else {
			r = node(r, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	return r, old, sn == 0
}

func consistent(from, to int64, fromRoot, toRoot []byte, proof [][]byte) bool {
	if from == to {
		return len(proof) == 0 && bytes.Equal(fromRoot, toRoot)
	}
	if from&(from-1) == 0 {
		proof = append([][]byte{fromRoot}, proof...)
	}
	if from < 1 || from > to || len(proof) == 0 {
		return false
	}
	fn, sn := from-1, to-1
	for ; fn%2 == 1; fn, sn = fn>>1, sn>>1 {
	}
	root, old, ok := path(fn, sn, proof[0], proof[0], proof[1:])
	return ok && bytes.Equal(root, toRoot) && bytes.Equal(old, fromRoot)
}

// signed checks a checkpoint with a verifier key.
func signed(note, key, origin string) (size int64, root []byte, err error) {
	text, line, _ := strings.Cut(note, "\n\n")
	parts := strings.SplitN(key, "+", 3)
	public, _ := base64.StdEncoding.DecodeString(parts[2])
	sig, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.TrimPrefix(line, "— "+parts[0]+" ")))
	id := sha256.Sum256(append([]byte(parts[0]+"\n"), public...))
	if len(public) != 33 || len(sig) != 68 || !bytes.Equal(sig[:4], id[:4]) || !ed25519.Verify(public[1:], []byte(text+"\n"), sig[4:]) {
		return 0, nil, fmt.Errorf("checkpoint: not signed by %s", key)
	}
	var rootText string
	_, err = fmt.Sscanf(strings.TrimPrefix(text, origin+"\n"), "%d\n%s", &size, &rootText)
	root, _ = base64.StdEncoding.DecodeString(rootText)
	return size, root, err
}

// verifyAlone verifies an export, whole or a part, without removed events.
func verifyAlone(file, key string) error {
	lines := strings.Split(strings.TrimSpace(file), "\n")
	var m struct {
		Origin, Checkpoint string
		Whole              bool
		Size               int64
		Root               []byte
		Consistency        [][]byte
	}
	var end struct{ Events, Last int64 }
	if json.Unmarshal([]byte(lines[0]), &m) != nil || json.Unmarshal([]byte(lines[len(lines)-1]), &end) != nil || end.Events != int64(len(lines)-2) {
		return fmt.Errorf("cut off, or not an export")
	}
	size, signedRoot, err := signed(m.Checkpoint, key, m.Origin)
	if err != nil {
		return err
	}
	var leaves [][]byte
	for i, text := range lines[1 : len(lines)-1] {
		var line struct {
			Seq   int64
			Body  string
			Proof [][]byte
		}
		var e struct{ Seq int64 }
		if json.Unmarshal([]byte(text), &line) != nil || json.Unmarshal([]byte(line.Body), &e) != nil || e.Seq != line.Seq {
			return fmt.Errorf("line %d", i+2)
		}
		leaf := sha256.Sum256(append([]byte{0}, line.Body...))
		leaves = append(leaves, leaf[:])
		if got, _, ok := path(line.Seq-1, m.Size-1, leaf[:], nil, line.Proof); !m.Whole && (!ok || !bytes.Equal(got, m.Root)) {
			return fmt.Errorf("event %d is not in the tree", line.Seq)
		}
	}
	if !m.Whole {
		if !consistent(size, m.Size, signedRoot, m.Root, m.Consistency) {
			return fmt.Errorf("the checkpoint is of another tree")
		}
	} else if int64(len(leaves)) != m.Size || !bytes.Equal(rootOf(leaves), m.Root) || !bytes.Equal(rootOf(leaves[:size]), signedRoot) {
		return fmt.Errorf("the events are not those that were signed")
	}
	return nil
}

func rootOf(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return node(rootOf(leaves[:k]), rootOf(leaves[k:]))
}
