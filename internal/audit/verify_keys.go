package audit

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// signatures knows the keys that may sign, by what has been read so far, and what each of them signed. It does not grow
// with the number of checkpoints.
type signatures struct {
	origin string
	own    []string // brought along; empty: the ledger's own word counts
	whose  keeper   // they are
	named  Keyring  // by the first line of a file, whose tree may not show its key events
	tree   Keyring  // by the events of the tree
	seals  map[signature]*seal
}

// signature is whose a signature is. The name of a key that is not known is "name+hash", as its signature has it.
type signature struct {
	name     string
	known    bool
	replaced int64 // the event that had replaced the key by then; 0: it was in use
}

// seal is what one key signed.
type seal struct {
	count       int64
	first, last int64 // sizes
	held        int64 // the largest size at which the tree has the root that was signed
}

// manyKeys is how many unknown keys are told apart; the rest goes under one name.
const manyKeys = 100

// name takes the keys that the first line of a file names: those that hold by themselves.
func (s *signatures) name(keys Keyring) {
	for _, change := range keys[:min(len(keys), manyKeys)] {
		s.named, _ = s.named.follow(change, s.origin, true)
	}
}

// known lists every key whose signature can be checked, whether it counts or not.
func (s *signatures) known() []string {
	return slices.Concat(s.own, s.tree.Names(), s.named.Names())
}

// replaced is the number of the event that replaced a key; 0 while none has.
func (s *signatures) replaced(key string) int64 {
	if at := s.tree.replaced(key); at != 0 {
		return at
	}
	return s.named.replaced(key)
}

// of says who signed a checkpoint: a known verifier key, or what the signature says of itself. In a tree of that size no
// key counts that had been replaced by then: the keys' events are in it.
func (s *signatures) of(c Checkpoint) signature {
	id := signatureID(c.Note)
	for _, key := range s.known() {
		if KeyID(key) != id {
			continue
		}
		if Verify(c, key) != nil {
			return signature{name: id + " (the signature is not valid)"}
		}
		by := signature{name: key, known: true}
		if at := s.replaced(key); at != 0 && at <= c.Size {
			by.replaced = at
		}
		return by
	}
	return signature{name: id}
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
func (s *signatures) sealed(by signature, size int64, holds bool) {
	if s.seals == nil {
		s.seals = map[signature]*seal{}
	}
	if s.seals[by] == nil && !by.known && len(s.seals) >= manyKeys {
		by.name = "other keys"
	}
	one := s.seals[by]
	if one == nil {
		one = &seal{first: size}
		s.seals[by] = one
	}
	one.count++
	one.first, one.last = min(one.first, size), max(one.last, size)
	if holds {
		one.held = max(one.held, size)
	}
}

// of a key that is in use: what may count.
func inUse(key string) signature { return signature{name: key, known: true} }

// held says up to which size each key's checkpoints hold so far.
func (s *signatures) held() map[string]int64 {
	out := map[string]int64{}
	for by, one := range s.seals {
		if by == inUse(by.name) {
			out[by.name] = one.held
		}
	}
	return out
}

// counting lists the keys whose checkpoints count. With keys of the auditor's own: those, every later one that a
// counting key vouches for, and every one that stands in the tree beneath a checkpoint that a counting key signed.
// Without: those that the tree names, and those that the file names.
func (s *signatures) counting() []string {
	counts := slices.Clone(s.own)
	if len(s.own) == 0 {
		counts = s.tree.Names()
		for _, key := range s.named.Names() {
			if !slices.Contains(counts, key) {
				counts = append(counts, key)
			}
		}
		return counts
	}
	for grown := true; grown; {
		grown = false
		reach := s.reach(counts)
		for _, change := range s.tree {
			if !slices.Contains(counts, change.Key) && (slices.Contains(counts, change.Old) || reach >= change.Seq) {
				counts, grown = append(counts, change.Key), true
			}
		}
		for _, change := range s.named { // only a signature speaks for them: the line is not in the tree
			if !slices.Contains(counts, change.Key) && slices.Contains(counts, change.Old) {
				counts, grown = append(counts, change.Key), true
			}
		}
	}
	return counts
}

// reach is the largest size that one of the keys signed and the tree agrees with.
func (s *signatures) reach(keys []string) int64 {
	var size int64
	for _, key := range keys {
		if one := s.seals[inUse(key)]; one != nil {
			size = max(size, one.held)
		}
	}
	return size
}

// strangers says of each key that signed without counting what it signed, as sentences.
func (s *signatures) strangers() []string {
	counts := s.counting()
	var out []string
	for by, one := range s.seals {
		if by == inUse(by.name) && slices.Contains(counts, by.name) {
			continue
		}
		what := fmt.Sprintf("The checkpoint of %s is", number(one.first, "event"))
		if one.count > 1 {
			what = fmt.Sprintf("%s checkpoints, of %s to %s events, are", Grouped(one.count), Grouped(one.first), Grouped(one.last))
		}
		who := "an unknown key, " + quoted(by.name) + ": the ledger does not name it"
		switch {
		case by.replaced != 0:
			who = keyName(by.name) + ", which event " + Grouped(by.replaced) + " had replaced: whoever signed it used a key that was out of use"
		case by.known:
			who = keyName(by.name) + ", which none of " + string(s.whose) + " keys vouches for"
		case len(s.own) > 0:
			who = "an unknown key, " + quoted(by.name) + ": it is none of " + string(s.whose) + " keys, and the ledger does not name it"
		}
		out = append(out, what+" signed by "+who+".")
	}
	slices.Sort(out)
	return out
}

// keyName is a key in short, fit to be shown wherever it comes from.
func keyName(key string) string { return strings.Trim(quoted(KeyID(key)), `"`) }
