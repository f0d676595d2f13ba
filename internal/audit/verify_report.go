package audit

import (
	"fmt"
	"slices"
	"strings"
)

// conclude judges what could not be judged while events passed, and writes the report.
func (c *checker) conclude() Report {
	r := &c.report
	r.Origin = c.origin
	r.Keys = slices.Clone(c.keys.counting())
	for _, sentence := range c.keys.strangers() {
		c.found.once(UnknownKey, 0, 0, sentence)
	}
	for _, a := range c.against {
		c.tell(a, r.Keys)
	}
	for _, p := range c.own {
		c.unreached(p)
	}
	if len(c.keys.own) > 0 && r.Size > 0 && c.keys.reach(r.Keys) == 0 {
		c.found.once(UnknownKey, 0, 0, "Nothing here is signed by one of "+string(c.keys.whose)+" keys, or by one that they vouch for.")
	}
	r.Problems, r.More = c.found.problems(), c.found.more
	r.Covers = append(r.Covers, c.coversNewer()...)
	r.Covers = append(r.Covers, c.coversSigned()...)
	r.Covers = append(r.Covers, c.coversOwn()...)
	for _, b := range c.rollbacks {
		text := b.String()
		if b.from > b.to {
			text += " What was recorded in between is not in this ledger."
		}
		r.Covers = append(r.Covers, text)
	}
	r.Covers = append(r.Covers, "That what was recorded is true, and that nothing was done without being recorded, "+
		"does not show here: compare it with Entra's own log.")
	return *r
}

// tell makes the problem of a contradiction, if the key that signed it counts or the checkpoint is the auditor's.
func (c *checker) tell(a *contradiction, keys []string) {
	if a.own == "" && !slices.Contains(keys, a.signer) {
		return
	}
	if c.partial && a.own == "" && a.first != c.report.Size {
		c.found.once(Unproven, 0, 0, fmt.Sprintf("The export does not show that the checkpoint of %s, signed by %s, is of its tree: "+
			"the proof of consistency does not lead there.", number(a.first, "event"), keyName(a.signer)))
		return
	}
	held := a.ownHeld
	for _, key := range keys {
		held = max(held, a.held[key])
	}
	var b strings.Builder
	if a.own != "" {
		fmt.Fprintf(&b, "The tree contradicts %s checkpoint of %s: ", a.own, number(a.first, "event"))
	} else {
		fmt.Fprintf(&b, "The tree contradicts the checkpoint of %s, signed by %s: ", number(a.first, "event"), keyName(a.signer))
	}
	from := held + 1
	switch {
	case from > a.first: // one of the same size holds
		from = a.first
		fmt.Fprintf(&b, "another one of that size holds.")
	case from == a.first:
		fmt.Fprintf(&b, "event %s is not what was signed.", Grouped(from))
	default:
		fmt.Fprintf(&b, "something among the events %s to %s is not what was signed.", Grouped(from), Grouped(a.first))
	}
	if held > 0 && held < a.first {
		fmt.Fprintf(&b, " The checkpoint of %s holds.", number(held, "event"))
	}
	if a.count > 1 {
		fmt.Fprintf(&b, " It contradicts %s more after it, up to that of %s events.", number(a.count-1, "checkpoint"), Grouped(a.last))
	}
	b.WriteString(c.rollbackOf(a.first))
	c.found.once(Inconsistent, from, a.first, b.String())
}

// unreached is a checkpoint that was brought along and is of more events than there are, or that a part does not lead to.
func (c *checker) unreached(p kept) {
	switch {
	case c.origin != "" && p.Origin != c.origin:
		c.weigh(p.Checkpoint, p.by, false)
	case c.partial && (c.between || p.Size <= c.report.Size):
		c.apart = append(c.apart, p.Size)
	case p.Size > c.report.Size && c.file:
		c.report.Newer = append(c.report.Newer, p.Size)
	case p.Size > c.report.Size:
		c.found.once(Shorter, 0, 0, fmt.Sprintf("The tree is shorter than %[1]s checkpoint: it has %[2]s, %[1]s checkpoint has %[3]s.%[4]s",
			p.by, number(c.report.Size, "event"), Grouped(p.Size), c.rollbackOf(p.Size)))
	default:
		c.found.once(Shorter, 0, 0, fmt.Sprintf("%s of %s could not be compared: "+
			"the tree cannot be computed up to it.", p.by.theCheckpoint(), number(p.Size, "event")))
	}
}

// coversAll says that every event was looked at.
func (c *checker) coversAll() {
	c.report.Covers = append(c.report.Covers, fmt.Sprintf("Events 1 to %s: their bytes, their order, and that none is missing%s.",
		Grouped(c.report.Size), c.but()))
}

// coversRemoved tells of the events of which there was only the hash.
func (c *checker) coversRemoved() {
	if n := c.report.Removed; n > 0 {
		c.report.Covers = append(c.report.Covers, fmt.Sprintf("Of %s, removed by retention and recorded as such, only hashes are left: "+
			"that they were there is shown, what they said is not.", number(n, "event")))
	}
}

// coversNewer tells of the auditor's checkpoints that say nothing of a file.
func (c *checker) coversNewer() (out []string) {
	if n := len(c.apart); n > 0 {
		which := "that of " + number(c.apart[0], "event")
		if n > 1 {
			which = fmt.Sprintf("%d of them, of %s to %s events,", n, Grouped(c.apart[0]), Grouped(c.apart[n-1]))
		}
		out = append(out, fmt.Sprintf("You brought %s, and %s could not be compared: what does not hold the whole ledger can be held against one only "+
			"at the size of its own tree, %s. The way on is a proof of consistency between the one of %s and that: the console makes it, on the page "+
			"Ledger, Verify. Verify this file together with it.",
			number(int64(c.report.Brought), "checkpoint"), which, sizes(c.known), number(c.apart[n-1], "event")))
	}
	if len(c.report.Newer) > 0 {
		out = append(out, fmt.Sprintf("Newer than this export of %s: %s. If the export was taken before that was kept, all is well; if after, "+
			"newer events were cut off.", number(c.report.Size, "event"), checkpointsOf(c.report.Newer)))
	}
	return out
}

// sizes lists numbers of events: "78 or 96 events".
func sizes(of []int64) string {
	var words []string
	for _, n := range of[:max(len(of)-1, 0)] {
		words = append(words, Grouped(n))
	}
	for _, n := range of[max(len(of)-1, 0):] {
		words = append(words, number(n, "event"))
	}
	return strings.Join(words, " or ")
}

// checkpointsOf names the auditor's checkpoints of ascending sizes.
func checkpointsOf(sizes []int64) string {
	if len(sizes) == 1 {
		return "your checkpoint of " + number(sizes[0], "event")
	}
	return fmt.Sprintf("%d of your checkpoints, of %s to %s events", len(sizes), Grouped(sizes[0]), Grouped(sizes[len(sizes)-1]))
}

// but is what limits a sentence about all that was read, when something of it is wrong.
func (c *checker) but() string {
	if len(c.found.list) > 0 {
		return ", but for what is listed as wrong"
	}
	return ""
}

// rollbackOf tells of the recorded rollback that explains why events up to size are gone.
func (c *checker) rollbackOf(size int64) string {
	for _, b := range c.rollbacks {
		if b.to < size && size <= b.from {
			return " " + b.String()
		}
	}
	return ""
}

func (b rollback) String() string {
	if b.from <= b.to {
		return fmt.Sprintf("Event %s records that the ledger was accepted as it stood at %s, though it contradicted its checkpoint of %s "+
			"or its newest events were wrong.", Grouped(b.seq), number(b.to, "event"), Grouped(b.from))
	}
	return fmt.Sprintf("Event %s records that a rollback was accepted, from %s to %s.",
		Grouped(b.seq), number(b.from, "event"), number(b.to, "event"))
}

func (c *checker) coversSigned() []string {
	size, signed := c.report.Size, c.keys.reach(c.report.Keys)
	var by []string
	for _, key := range c.report.Keys {
		if s := c.keys.seals[inUse(key)]; s != nil && s.held == signed {
			by = append(by, keyName(key))
		}
	}
	names := strings.Join(by, " and ")
	switch {
	case size == 0:
		return nil
	case signed == 0:
		return []string{"No signature covers any of it: whoever can write the database can have made all of it."}
	case signed == size:
		return []string{"All of it is signed, by " + names + c.but() + "."}
	case size-signed == 1:
		return []string{fmt.Sprintf("Signed up to event %s, by %s%s; the event after it is covered by no signature.", Grouped(signed), names, c.but())}
	}
	return []string{fmt.Sprintf("Signed up to event %s, by %s%s; the %s events after it are covered by no signature.",
		Grouped(signed), names, c.but(), Grouped(size-signed))}
}

// coversOwn says what the verifier need not believe, by what they brought along.
func (c *checker) coversOwn() []string {
	var out []string
	for _, by := range []keeper{yours, consoles} {
		if held := c.ownHeld[by]; held > 0 {
			out = append(out, fmt.Sprintf("%s of %s is in the tree: up to there it is what it was when that was signed%s.",
				by.theCheckpoint(), number(held, "event"), c.but()))
		}
	}
	named, bring := len(c.keys.own) == 0, c.bringAlong()
	switch {
	case c.ownHeld[yours] > 0 && named:
		out = append(out, "After your checkpoint, with the keys that the ledger itself names: what somebody who holds the key "+
			"rewrote there does not show.")
	case c.ownHeld[yours] > 0:
		out = append(out, "What somebody who holds the key rewrote after your checkpoint does not show.")
	case c.ownHeld[consoles] > 0:
		out = append(out, "Against the console's own checkpoint, and none of yours: what somebody rewrote or cut off who holds the key "+
			"and can write the console's file of checkpoints does not show."+bring)
	case named:
		out = append(out, "With the keys that the ledger itself names: this does not show a ledger that was replaced as a whole "+
			"by somebody who holds the key or made one."+bring)
	default:
		without := "without a checkpoint of your own"
		if c.report.Brought > 0 {
			without = "with none of your checkpoints compared"
		}
		out = append(out, fmt.Sprintf("With %s key, and %s: this does not show that newer events were cut off, "+
			"nor what somebody who holds the key rewrote.%s", c.keys.whose, without, bring))
	}
	return out
}

// bringAlong says what the verifier could bring and did not; "" when nothing.
func (c *checker) bringAlong() string {
	key, checkpoint := len(c.keys.own) > 0 && c.keys.whose == yours, c.report.Brought > 0
	switch {
	case key && checkpoint:
		return ""
	case key:
		return " Bring a checkpoint that you kept."
	case checkpoint:
		return " Bring a verifier key that you kept."
	}
	return " Bring a verifier key and a checkpoint of your own."
}
