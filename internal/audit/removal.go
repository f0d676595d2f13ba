package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Removal is what retention takes away: the bytes of events, up to the size of a checkpoint. The ledger's key signs it,
// so that whoever can write the database alone cannot pass a deletion off as one.
type Removal struct {
	Through   int64 // size of the checkpoint
	Root      Hash  // of the tree of that size
	Events    int64 // how many lose their bytes
	Signature string
}

// Detail is a removal as its event holds it.
func (r Removal) Detail() map[string]string {
	return map[string]string{
		"through": strconv.FormatInt(r.Through, 10), "root": r.Root.String(), "events": strconv.FormatInt(r.Events, 10),
		"signature": r.Signature,
	}
}

// ErrRemoving ends what reads a ledger and cannot tell what retention removed meanwhile from what is missing.
var ErrRemoving = errors.New("retention removed events while the ledger was read: try again when it is through")

// stays reports whether retention leaves the events of a kind where they are.
func stays(k Kind) bool { return strings.HasPrefix(string(k), "ledger.") }

func removalOf(e Event) Removal {
	r := Removal{Through: decimal(e.Detail["through"]), Events: decimal(e.Detail["events"]), Signature: e.Detail["signature"]}
	if root, err := base64.StdEncoding.DecodeString(e.Detail["root"]); err == nil && len(root) == len(r.Root) {
		r.Root = Hash(root)
	}
	return r
}

func (r Removal) text(origin string) string {
	return fmt.Sprintf("evict ledger removal\n%s\n%d\n%d\n%s\n", origin, r.Through, r.Events, r.Root)
}

// SignRemoval signs a removal: a note over "evict ledger removal", the origin, how far it goes, how many events lose
// their bytes, and the root there, a line each.
func (s *Signer) SignRemoval(origin string, r Removal) (Removal, error) {
	signed, err := note.Sign(&note.Note{Text: r.text(origin)}, s.signer)
	if err != nil {
		return Removal{}, fmt.Errorf("signing the removal of %d events: %w", r.Events, err)
	}
	r.Signature = string(signed)
	return r, nil
}

// signedBy reports whether a removal is signed with a verifier key.
func (r Removal) signedBy(origin, key string) bool {
	n, err := opened(r.Signature, key)
	return err == nil && n.Text == r.text(origin)
}

// Removed reports whether an event of kind ledger.removed is signed by the key that was in use at it.
func (k Keyring) Removed(e Event, origin string) bool {
	return slices.ContainsFunc(k, func(change KeyChange) bool {
		at := k.replaced(change.Key)
		return change.Seq < e.Seq && (at == 0 || e.Seq < at) && removalOf(e).signedBy(origin, change.Key)
	})
}

// recordedRemoval is what an event of kind ledger.removed says.
type recordedRemoval struct {
	Removal
	seq int64
	by  string // who signed it; "" for nobody whose key was in use
}

func (c *checker) takeRemoval(e Event) {
	r := recordedRemoval{Removal: removalOf(e), seq: e.Seq}
	for _, key := range c.keys.known() {
		if at := c.keys.replaced(key); at == 0 && r.signedBy(c.origin, key) {
			r.by = key
		}
	}
	c.removals = append(c.removals, r)
}

// removedThrough judges the removals once all events were read: up to where a key that counts says that they went away,
// and how many.
func (c *checker) removedThrough() (through, count int64) {
	counts := c.keys.counting()
	for _, r := range c.removals {
		switch {
		case r.Through < 1 || r.Through >= r.seq || !slices.Contains(counts, r.by):
			c.found.once(UnknownKey, r.seq, r.seq, "Event "+Grouped(r.seq)+" says that retention removed events, and no key of the ledger signed that.")
		case r.Through <= through:
			c.found.once(Misplaced, r.seq, r.seq, "Event "+Grouped(r.seq)+" says what an earlier one said before: that retention removed the events up to "+
				Grouped(r.Through)+".")
		default:
			through, count = r.Through, count+r.Events
		}
	}
	return through, count
}

// fewerRemoved names what went away under the cover of a removal: an event about the ledger itself, say, which stays.
func (c *checker) fewerRemoved(through, count int64) {
	if c.report.Removed > count {
		c.found.once(Missing, 1, through, fmt.Sprintf("Of the events 1 to %s, retention removed %s, as is recorded and signed; %s are gone.",
			Grouped(through), Grouped(count), Grouped(c.report.Removed)))
	}
}
