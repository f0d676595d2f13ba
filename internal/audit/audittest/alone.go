// Package audittest is a second opinion for tests: a verifier of exports, written from docs/ledger.md with nothing else.
package audittest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"
)

func hash(first byte, parts ...[]byte) []byte {
	h := sha256.Sum256(append([]byte{first}, bytes.Join(parts, nil)...))
	return h[:]
}

// root is the root of n leaves: of all of them or, by its audit path, of leaf i alone.
func root(n, i int, leaves, path [][]byte) []byte {
	switch k := 1 << max(bits.Len(uint(n-1))-1, 0); { // the largest power of 2 below n
	case n == 1 && len(path) == 0:
		return leaves[0]
	case n > 1 && path == nil && len(leaves) == n:
		return hash(1, root(k, 0, leaves[:k], nil), root(n-k, 0, leaves[k:], nil))
	case n > 1 && len(path) > 0 && i < k:
		return hash(1, root(k, i, leaves, path[:len(path)-1]), path[len(path)-1])
	case n > 1 && len(path) > 0:
		return hash(1, path[len(path)-1], root(n-k, i-k, leaves, path[:len(path)-1]))
	}
	return nil
}

// signed is the text of a note, "" when the verifier key did not sign it.
func signed(note, key string) string {
	text, line, _ := strings.Cut(note, "\n\n")
	part := append(strings.SplitN(key, "+", 3), "", "")
	public, _ := base64.StdEncoding.DecodeString(part[2])
	sig, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.TrimPrefix(line, "— "+part[0]+" ")))
	id := sha256.Sum256(append([]byte(part[0]+"\n"), public...))
	if len(public) != 33 || len(sig) != 68 || !bytes.Equal(sig[:4], id[:4]) || !ed25519.Verify(public[1:], []byte(text+"\n"), sig[4:]) {
		return ""
	}
	return text + "\n"
}

// Verify verifies an export that the console has signed, with the verifier key that its ledger had first.
func Verify(file, key string) error {
	lines := strings.Split(strings.TrimSuffix(file, "\n"), "\n")
	var m struct { // the first line, and the last one
		Origin, Checkpoint          string
		Whole                       bool
		Size, Events, Removed, Last int
		Root                        []byte
		Keys                        []struct{ Key, Old_key, Signature string } //nolint:staticcheck // as the field is called
	}
	if json.Unmarshal([]byte(lines[0]), &m) != nil || json.Unmarshal([]byte(lines[len(lines)-1]), &m) != nil || m.Events+m.Removed != len(lines)-2 {
		return fmt.Errorf("it is no export, or cut off")
	}
	keys := []string{key}
	for _, next := range m.Keys { // only a signature speaks for a later key
		if next.Old_key == key && signed(next.Signature, key) == "evict ledger key change\n"+m.Origin+"\n"+next.Key+"\n" {
			key, keys = next.Key, append(keys, next.Key)
		}
	}
	if signed(m.Checkpoint, key) != fmt.Sprintf("%s\n%d\n%s\n", m.Origin, m.Size, base64.StdEncoding.EncodeToString(m.Root)) {
		return fmt.Errorf("its tree is not signed by %s", key)
	}
	leaves, last, gone, removed, through, events := [][]byte{}, 0, 0, 0, 0, 0
	for i, text := range lines[1 : len(lines)-1] {
		var line, e struct { // e is what its body says
			Seq                 int
			Leaf                []byte
			Proof               [][]byte
			Body, Cloud, Tenant string
			Detail              map[string]string
		}
		if json.Unmarshal([]byte(text), &line) != nil || line.Seq <= last || m.Whole && line.Seq != last+1 {
			return fmt.Errorf("line %d is not the next event", i+2)
		}
		last, leaves = line.Seq, append(leaves, line.Leaf)
		altered := json.Unmarshal([]byte(line.Body), &e) != nil || e.Seq != last || "evict/"+e.Cloud+"/"+e.Tenant != m.Origin || !bytes.Equal(hash(0, []byte(line.Body)), line.Leaf)
		if line.Body == "" {
			gone++
		} else if altered || !m.Whole && !bytes.Equal(root(m.Size, last-1, [][]byte{line.Leaf}, line.Proof), m.Root) {
			return fmt.Errorf("event %d was altered, or is not in the tree", last)
		}
		for _, key := range keys {
			if n, _ := fmt.Sscanf(signed(e.Detail["signature"], key), "evict ledger removal\n"+m.Origin+"\n%d\n%d\n", &through, &events); n == 2 {
				removed += events
			}
		}
	}
	if m.Whole && (last != m.Size || !bytes.Equal(root(last, 0, leaves, nil), m.Root)) || last != m.Last || gone != m.Removed || gone > removed {
		return fmt.Errorf("events are missing, or the tree is another one")
	}
	return nil
}
