package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// checker is what the verification of a live ledger and of a file have in common. Events pass through it in the order
// of their numbers; what it keeps of them does not grow with them, but for runs that are open.
type checker struct {
	origin   string
	file     bool // not the ledger itself, but what was taken away
	partial  bool // a file that does not hold all events: no tree can be computed from it
	between  bool // a file of two checkpoints: what is beyond them is none of its business
	countRun bool // all events of a run are there, or should be
	report   Report
	found    findings
	keys     signatures

	// Two trees over the same events: one of what the bytes hash to, one of the leaf hashes that stand beside them.
	// Where only one of them has the root that was signed, the event that differs has been named, and nothing else is.
	bodies, leaves Tree
	broken         bool // neither bytes nor hash of some event are there: no root can be computed from it on

	apart     []int64      // sizes of the auditor's checkpoints to which a part does not lead
	own       []Checkpoint // the auditor's, ascending, those that are still to come
	ownHeld   int64        // the largest of them that holds
	against   []*contradiction
	runs      map[string]int64 // events so far of each run that is open
	removals  []recordedRemoval
	rollbacks []rollback

	gaps   []span // events that are not there themselves: removed, or missing
	absent int64  // events that are neither there nor removed
}

type span struct{ from, to int64 }

// contradiction is a checkpoint, and those of the same key that follow it, whose root the tree does not have.
type contradiction struct {
	signer      string
	own         bool
	first, last int64 // sizes
	count       int64
	held        map[string]int64 // what each key's checkpoints before it cover
	ownHeld     int64
}

type rollback struct{ seq, from, to int64 }

func newChecker(x Expect) (*checker, error) {
	c := &checker{origin: x.Origin, runs: map[string]int64{}, countRun: true}
	for _, key := range x.Keys {
		key = strings.TrimSpace(key)
		if _, err := note.NewVerifier(key); err != nil {
			return nil, fmt.Errorf("this is not a verifier key: %s", quoted(key))
		}
		c.keys.own = append(c.keys.own, key)
	}
	c.keys.origin = x.Origin
	for _, own := range x.Checkpoints {
		if again, err := ParseCheckpoint(own.Note); err != nil || again != own {
			return nil, fmt.Errorf("your checkpoint of %s cannot be read", number(own.Size, "event"))
		}
		c.own = append(c.own, own)
	}
	slices.SortStableFunc(c.own, func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	return c, nil
}

// body checks an event's bytes against its leaf hash and its number. good tells whether the event can be believed.
// elsewhere, which may be nil, tells whether the tree has this hash for another event.
func (c *checker) body(seq int64, body []byte, leaf Hash, elsewhere func(seq int64, leaf Hash) bool) (e Event, hash Hash, good bool) {
	hash = LeafHash(body)
	e, err := Decode(body)
	switch {
	case hash != leaf && (err != nil || e.Seq == seq || elsewhere == nil || !elsewhere(e.Seq, hash)):
		c.found.add(Altered, "", seq, seq, func(from, to int64) string {
			return Events(from, to, "was altered: its bytes do not fit the hash that the tree holds of it.",
				"were altered: their bytes do not fit the hashes that the tree holds of them.")
		})
	case err != nil:
		c.found.add(Unreadable, "", seq, seq, func(from, to int64) string {
			return Events(from, to, "cannot be read: its bytes are not an event.", "cannot be read: their bytes are not events.")
		})
	case e.Seq != seq:
		c.found.add(Misplaced, "", seq, seq, func(from, to int64) string {
			return Events(from, to, "is out of place: its bytes are those of event ", "are out of place: the first has the bytes of event ") +
				Grouped(e.Seq) + "."
		})
	case e.V != version:
		c.found.add(Unreadable, "version", seq, seq, func(from, to int64) string {
			return Events(from, to, "is", "are") + " of a form that this program does not know: v is " + strconv.Itoa(e.V) + "."
		})
	default:
		good = true
	}
	c.report.Events++
	return e, hash, good
}

// take notes what an event says of the ledger itself.
func (c *checker) take(e Event) {
	is := Origin(e.Cloud, e.Tenant)
	if c.origin == "" {
		c.origin = is
	}
	c.keys.origin = c.origin
	if is != c.origin {
		c.found.add(WrongOrigin, is, e.Seq, e.Seq, func(from, to int64) string {
			return Events(from, to, "is", "are") + " of another ledger: " + quoted(is) + ", not " + quoted(c.origin) + "."
		})
	}
	switch e.Kind {
	case LedgerKey:
		var wrong string
		if c.keys.tree, wrong = c.keys.tree.follow(keyChangeOf(e), c.origin, c.partial); wrong != "" {
			c.found.once(UnknownKey, e.Seq, e.Seq, "Event "+Grouped(e.Seq)+" "+wrong+".")
		}
	case LedgerRemoved:
		c.takeRemoval(e)
	case LedgerRollback:
		if len(c.rollbacks) < manyKeys {
			c.report.Rollbacks = append(c.report.Rollbacks, e.Seq)
			c.rollbacks = append(c.rollbacks, rollback{e.Seq, decimal(e.Detail["old_size"]), decimal(e.Detail["size"])})
		}
	default:
	}
}

// decimal reads a number of an event's detail; 0 for what is none.
func decimal(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// inRun counts an event on its run, and holds the count against what the closing event says. detail is nil when the
// event's own words cannot be believed; begun says whether a run without a beginning is to be expected.
func (c *checker) inRun(seq int64, kind Kind, run string, detail map[string]string, begun bool) {
	if run = IndexKey(run); run == "" || !c.countRun {
		return
	}
	n, open := c.runs[run]
	closing := kind == RunFinished || kind == RunCancelled
	if open || kind == PlanCreated || kind == RunStarted {
		n++
		c.runs[run] = n
	}
	if !closing {
		return
	}
	delete(c.runs, run)
	says, told := detail["events"]
	if last := detail["last_seq"]; told && last != strconv.FormatInt(seq, 10) {
		c.found.once(RunGap, seq, seq, fmt.Sprintf("Run %s is incomplete: its closing event %s says that the last one is %s.",
			quoted(run), Grouped(seq), quoted(last)))
	}
	switch {
	case !told:
	case n == 0 && !begun:
		c.found.once(RunGap, seq, seq, fmt.Sprintf("Run %s is incomplete: it is closed by event %s, which counts %s events, and its beginning is not there.",
			quoted(run), Grouped(seq), quoted(says)))
	case n > 0 && says != strconv.FormatInt(n, 10):
		c.found.once(RunGap, seq, seq, fmt.Sprintf("Run %s is incomplete: its closing event %s counts %s events, and %s.",
			quoted(run), Grouped(seq), quoted(says), thereAre(n)))
	}
}

func thereAre(n int64) string {
	if n == 1 {
		return "1 is there"
	}
	return Grouped(n) + " are there"
}

// grow adds an event to both trees.
func (c *checker) grow(hash, leaf Hash) {
	c.bodies.appendHash(hash)
	c.leaves.appendHash(leaf)
	c.ownDue()
}

// gap notes an event that is not there itself. Whether retention removed it is known at the end, from an event after it.
func (c *checker) gap(seq int64) {
	if n := len(c.gaps); n > 0 && c.gaps[n-1].to+1 == seq {
		c.gaps[n-1].to = seq
	} else {
		c.gaps = append(c.gaps, span{seq, seq}) // as many as events of kind ledger.* were kept among those removed
	}
}

// ownDue checks those of the auditor's checkpoints that are of the size that the tree has now.
func (c *checker) ownDue() {
	for len(c.own) > 0 && c.own[0].Size == c.bodies.Size && !c.broken {
		c.checkpoint(c.own[0], true)
		c.own = c.own[1:]
	}
}

// checkpoint checks a checkpoint of the size that the tree has now, if its root can be known.
func (c *checker) checkpoint(p Checkpoint, own bool) {
	if c.broken {
		return
	}
	c.weigh(p, own, p.Root == c.bodies.Root() || p.Root == c.leaves.Root())
}

// weigh notes a checkpoint, and whether the tree at its size has its root.
func (c *checker) weigh(p Checkpoint, own, holds bool) {
	c.report.Checkpoints++
	whose := "The checkpoint"
	if own {
		whose = "Your checkpoint"
	}
	if _, err := ParseCheckpoint(p.Note); err != nil {
		c.found.once(Unreadable, 0, 0, fmt.Sprintf("%s of %s cannot be read.", whose, number(p.Size, "event")))
		return
	}
	if c.origin != "" && p.Origin != c.origin {
		c.found.once(WrongOrigin, 0, 0, fmt.Sprintf("%s of %s is of another ledger: %s, not %s.",
			whose, number(p.Size, "event"), quoted(p.Origin), quoted(c.origin)))
		return
	}
	by := c.keys.of(p)
	if !holds && (own || by == inUse(by.name)) {
		c.contradicts(by.name, own, p.Size)
	}
	c.keys.sealed(by, p.Size, holds)
	if own && holds {
		c.report.Own++
		c.ownHeld = max(c.ownHeld, p.Size)
	}
}

// contradicts notes a checkpoint whose root the tree does not have. Those that follow it without one that holds are
// told of together.
func (c *checker) contradicts(signer string, own bool, size int64) {
	held := c.keys.held()
	for i := len(c.against) - 1; i >= 0; i-- {
		if last := c.against[i]; last.signer == signer && last.own == own {
			if held[signer] <= last.first && c.ownHeld <= last.first {
				last.count++
				last.last = size
				return
			}
			break
		}
	}
	if len(c.against) == most {
		c.found.more++
		return
	}
	c.against = append(c.against, &contradiction{signer: signer, own: own, first: size, last: size, count: 1, held: held, ownHeld: c.ownHeld})
}
