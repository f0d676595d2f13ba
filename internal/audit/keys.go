package audit

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// KeyChange is one key of a ledger, as its event of kind ledger.key names it: the first one, or one that the key before
// it vouches for. Exports carry them, so that a verifier with an older key of their own can follow.
type KeyChange struct {
	Seq       int64  `json:"seq"`
	Key       string `json:"key"`
	Old       string `json:"old_key,omitempty"`
	Signature string `json:"signature,omitempty"` // the old key's word for the new one: see Signer.SignNext
}

func keyChangeOf(e Event) KeyChange {
	return KeyChange{
		Seq: e.Seq, Key: strings.TrimSpace(e.Detail["key"]), Old: strings.TrimSpace(e.Detail["old_key"]), Signature: e.Detail["signature"],
	}
}

// vouched reports whether the old key's word for the new one holds.
func (k KeyChange) vouched(origin string) bool {
	return k.Old != "" && VerifyNext(k.Signature, origin, k.Old, k.Key) == nil
}

// Keyring are the keys of a ledger in their order. A key signs from its own event on until the event of the next one:
// whoever finds an old key can sign nothing with it that is newer than its successor.
type Keyring []KeyChange

// ReadKeyring follows the events of kind ledger.key, in ascending order. The error names the first one that breaks the
// chain, which somebody altered, or wrote who does not hold the key; the keys before it come back beside it.
func ReadKeyring(records []Record, origin string) (Keyring, error) {
	var keys Keyring
	for _, r := range records {
		e, err := Decode(r.Body)
		if err != nil {
			return keys, fmt.Errorf("event %d, which names a key, cannot be read", r.Seq)
		}
		e.Seq = r.Seq
		next, wrong := keys.follow(keyChangeOf(e), origin, false)
		if wrong != "" {
			return keys, fmt.Errorf("event %d %s", r.Seq, wrong)
		}
		keys = next
	}
	return keys, nil
}

// Names are the verifier keys, the oldest first.
func (k Keyring) Names() []string {
	names := make([]string, len(k))
	for i, change := range k {
		names[i] = change.Key
	}
	return names
}

// Newest is the key that signs now; "" when there is none.
func (k Keyring) Newest() string {
	if len(k) == 0 {
		return ""
	}
	return k[len(k)-1].Key
}

// Signed reports whether a checkpoint is signed by one of the keys, and was at a size at which that key was still in use.
func (k Keyring) Signed(c Checkpoint) bool {
	return slices.ContainsFunc(k, func(change KeyChange) bool {
		return Verify(c, change.Key) == nil && (k.replaced(change.Key) == 0 || c.Size < k.replaced(change.Key))
	})
}

// replaced is the number of the event that replaced a key by the next one; 0 while it is in use.
func (k Keyring) replaced(key string) int64 {
	for _, change := range k {
		if change.Old == key {
			return change.Seq
		}
	}
	return 0
}

// follow adds the next key. What is wrong with it is returned as the end of a sentence. In a part of a ledger the key
// before may be missing; then its signature is enough. A key that is named again adds nothing: two replicas that began
// at the same moment both name it.
func (k Keyring) follow(next KeyChange, origin string, partial bool) (keys Keyring, wrong string) {
	newest := k.Newest()
	switch _, err := note.NewVerifier(next.Key); {
	case err != nil:
		return k, "does not name a verifier key"
	case next.Key == newest:
		return k, ""
	case next.Old == "" && newest == "":
	case next.Old == "":
		return k, "names the key " + keyName(next.Key) + ", which the key before it has not vouched for"
	case newest == "" && !partial:
		return k, "changes to the key " + keyName(next.Key) + " from one that the ledger never named"
	case newest != next.Old && !partial:
		return k, "changes to the key " + keyName(next.Key) + " from one that was not in use, " + keyName(next.Old)
	case slices.Contains(k.Names(), next.Key):
		return k, "goes back to the key " + keyName(next.Key) + ", which was replaced before"
	case !next.vouched(origin):
		return k, "changes to the key " + keyName(next.Key) + " without a valid signature of the key before it, " + keyName(next.Old)
	}
	return append(slices.Clip(k), next), ""
}
