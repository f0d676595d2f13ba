package audit

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// keyring knows the keys that may sign, by what has been read so far, and what each of them signed. It does not grow
// with the number of checkpoints.
type keyring struct {
	origin string
	own    []string  // the auditor's; empty: the ledger's own word counts
	named  []string  // by the first line of a file, whose tree may not show its key events
	links  []keyLink // from the tree, in order
	seals  map[string]*seal
}

// keyLink is one event of kind ledger.key that holds: the first key, or one that the key before it vouches for.
type keyLink struct {
	seq      int64
	old, key string
}

// seal is what one key signed. The name of a key that is not known is "name+hash", as its signature has it.
type seal struct {
	known       bool
	count       int64
	first, last int64 // sizes
	held        int64 // the largest size at which the tree has the root that was signed
}

// manyKeys is how many unknown keys are told apart; the rest goes under one name.
const manyKeys = 100

// link takes an event of kind ledger.key; what is wrong with it is returned as the end of a sentence. In a part of a
// ledger the key before may be missing; then its signature is enough.
func (k *keyring) link(e Event, partial bool) (wrong string) {
	key, old := strings.TrimSpace(e.Detail["key"]), strings.TrimSpace(e.Detail["old_key"])
	if _, err := note.NewVerifier(key); err != nil {
		return "does not name a verifier key"
	}
	switch {
	case old == "" && len(k.links) == 0:
	case old == "" && key == k.links[len(k.links)-1].key: // two replicas that began at the same moment
		return ""
	case old == "":
		return "names the key " + keyName(key) + ", which the key before it has not vouched for"
	case len(k.links) == 0 && !partial:
		return "changes to the key " + keyName(key) + " from one that the ledger never named"
	case len(k.links) > 0 && !partial && k.links[len(k.links)-1].key != old:
		return "changes to the key " + keyName(key) + " from one that was not in use, " + keyName(old)
	case VerifyNext(e.Detail["signature"], k.origin, old, key) != nil:
		return "changes to the key " + keyName(key) + " without a valid signature of the key before it, " + keyName(old)
	}
	k.links = append(k.links, keyLink{seq: e.Seq, old: old, key: key})
	return ""
}

// known lists every key whose signature can be checked, whether it counts or not.
func (k *keyring) known() []string {
	keys := slices.Clone(k.own)
	for _, l := range k.links {
		keys = append(keys, l.key)
	}
	return append(keys, k.named...)
}

// signer says who signed a checkpoint: a known verifier key, or what the signature says of itself.
func (k *keyring) signer(c Checkpoint) (name string, known bool) {
	id := signatureID(c.Note)
	for _, key := range k.known() {
		if KeyID(key) != id {
			continue
		}
		if Verify(c, key) == nil {
			return key, true
		}
		return id + " (the signature is not valid)", false
	}
	return id, false
}

// signatureID is the "name+hash" of a note's first signature line, without any claim that it is true.
func signatureID(signed string) string {
	_, line, _ := strings.Cut(signed, "\n\n"+sigPrefix)
	line, _, _ = strings.Cut(line, "\n")
	name, b64, _ := strings.Cut(line, " ")
	raw, err := base64.StdEncoding.DecodeString(b64)
	if err != nil || len(raw) < 4 {
		return "unknown key"
	}
	return name + "+" + hex.EncodeToString(raw[:4])
}

// sealed notes that a checkpoint was signed by a key.
func (k *keyring) sealed(name string, known bool, size int64, holds bool) {
	if k.seals == nil {
		k.seals = map[string]*seal{}
	}
	if k.seals[name] == nil && !known && len(k.seals) >= manyKeys {
		name = "other keys"
	}
	s := k.seals[name]
	if s == nil {
		s = &seal{known: known, first: size}
		k.seals[name] = s
	}
	s.count++
	s.first, s.last = min(s.first, size), max(s.last, size)
	if holds {
		s.held = max(s.held, size)
	}
}

// held says up to which size each key's checkpoints hold so far.
func (k *keyring) held() map[string]int64 {
	out := map[string]int64{}
	for name, s := range k.seals {
		if s.known {
			out[name] = s.held
		}
	}
	return out
}

// counting lists the keys whose checkpoints count. With keys of the auditor's own: those, every later one that a
// counting key vouches for, and every one that stands in the tree beneath a checkpoint that a counting key signed.
// Without: those that the tree names, or else those that the file names.
func (k *keyring) counting() []string {
	if len(k.own) == 0 {
		if len(k.links) == 0 {
			return k.named
		}
		return k.known()[:len(k.links)]
	}
	counts := slices.Clone(k.own)
	for grown := true; grown; {
		grown = false
		for _, l := range k.links {
			if !slices.Contains(counts, l.key) && (slices.Contains(counts, l.old) || k.reach(counts) >= l.seq) {
				counts, grown = append(counts, l.key), true
			}
		}
	}
	return counts
}

// reach is the largest size that one of the keys signed and the tree agrees with.
func (k *keyring) reach(keys []string) int64 {
	var size int64
	for _, key := range keys {
		if s := k.seals[key]; s != nil {
			size = max(size, s.held)
		}
	}
	return size
}

// strangers says of each key that signed without counting what it signed, as sentences.
func (k *keyring) strangers() []string {
	counts := k.counting()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(k.seals)) {
		s := k.seals[name]
		if slices.Contains(counts, name) {
			continue
		}
		what := fmt.Sprintf("The checkpoint of %s is", number(s.first, "event"))
		if s.count > 1 {
			what = fmt.Sprintf("%s checkpoints, of %s to %s events, are", grouped(s.count), grouped(s.first), grouped(s.last))
		}
		who := "an unknown key, " + quoted(name) + ": the ledger does not name it"
		switch {
		case s.known:
			who = keyName(name) + ", which none of your keys vouches for"
		case len(k.own) > 0:
			who = "an unknown key, " + quoted(name) + ": it is not yours, and the ledger does not name it"
		}
		out = append(out, what+" signed by "+who+".")
	}
	return out
}

// keyName is a key in short, fit to be shown wherever it comes from.
func keyName(key string) string { return strings.Trim(quoted(KeyID(key)), `"`) }
