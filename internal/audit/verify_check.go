package audit

import (
	"cmp"
	"errors"
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

	apart     []int64            // sizes of the auditor's checkpoints to which a part does not lead
	known     []int64            // sizes at which the root of a part's tree is known, ascending
	own       []kept             // brought along, ascending, those that are still to come
	ownHeld   map[keeper]int64   // the largest of each keeper's that holds
	proofs    []consistencyProof // that lead to a part's tree
	against   []*contradiction
	runs      map[string]int64 // events so far of each run that is open
	complete  []closedRun
	removals  []recordedRemoval
	rollbacks []rollback

	gaps   []span // events that are not there themselves: removed, or missing
	absent int64  // events that are neither there nor removed
}

type span struct{ from, to int64 }

// keeper is whose a checkpoint or a key is, as words; "" is the ledger's.
type keeper string

const (
	yours    keeper = "your"
	consoles keeper = "the console's own"
)

// theCheckpoint begins a sentence.
func (k keeper) theCheckpoint() string {
	switch k {
	case yours:
		return "Your checkpoint"
	case consoles:
		return "The console's own checkpoint"
	}
	return "The checkpoint"
}

// kept is a checkpoint that was brought along.
type kept struct {
	Checkpoint
	by keeper
}

// closedRun is a run whose closing event counts the events that are there.
type closedRun struct {
	run         string
	events, seq int64 // how many, and the number of the closing one
}

// contradiction is a checkpoint, and those of the same key that follow it, whose root the tree does not have.
type contradiction struct {
	signer      string
	own         keeper
	first, last int64 // sizes
	count       int64
	held        map[string]int64 // what each key's checkpoints before it cover
	ownHeld     int64
}

type rollback struct{ seq, from, to int64 }

func newChecker(x Expect) (*checker, error) {
	c := &checker{origin: x.Origin, runs: map[string]int64{}, countRun: true, ownHeld: map[keeper]int64{}}
	keys := x.Keys
	if c.keys.whose = yours; len(keys) == 0 {
		keys, c.keys.whose = x.Console.Keys, consoles
	}
	for _, key := range keys {
		key = strings.TrimSpace(key)
		if _, err := note.NewVerifier(key); err != nil {
			return nil, fmt.Errorf("this is not a verifier key: %s", quoted(key))
		}
		c.keys.own = append(c.keys.own, key)
	}
	c.keys.origin = x.Origin
	c.report.Brought = len(x.Checkpoints)
	if err := errors.Join(c.bring(yours, x.Checkpoints), c.bring(consoles, x.Console.Checkpoints)); err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.own, func(a, b kept) int { return cmp.Compare(a.Size, b.Size) })
	for _, p := range x.Proofs {
		proof, ok := p.parsed()
		if !ok {
			return nil, errors.New("a proof of consistency does not have two checkpoints, the smaller one first")
		}
		c.proofs = append(c.proofs, proof)
	}
	return c, nil
}

// bring takes checkpoints along.
func (c *checker) bring(by keeper, checkpoints []Checkpoint) error {
	for _, p := range checkpoints {
		if again, err := ParseCheckpoint(p.Note); err != nil || again != p {
			return fmt.Errorf("%s checkpoint of %s cannot be read", by, number(p.Size, "event"))
		}
		c.own = append(c.own, kept{p, by})
	}
	return nil
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
	case len(c.complete) < 2: // one is told of by name
		c.complete = append(c.complete, closedRun{run, n, seq})
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

// ownDue checks those of the checkpoints that were brought along that are of the size that the tree has now.
func (c *checker) ownDue() {
	for len(c.own) > 0 && c.own[0].Size == c.bodies.Size && !c.broken {
		c.checkpoint(c.own[0].Checkpoint, c.own[0].by)
		c.own = c.own[1:]
	}
}

// checkpoint checks a checkpoint of the size that the tree has now, if its root can be known.
func (c *checker) checkpoint(p Checkpoint, own keeper) {
	if c.broken {
		return
	}
	c.weigh(p, own, p.Root == c.bodies.Root() || p.Root == c.leaves.Root())
}

// weigh notes a checkpoint, and whether the tree at its size has its root.
func (c *checker) weigh(p Checkpoint, own keeper, holds bool) {
	c.report.Checkpoints++
	if _, err := ParseCheckpoint(p.Note); err != nil {
		c.found.once(Unreadable, 0, 0, fmt.Sprintf("%s of %s cannot be read.", own.theCheckpoint(), number(p.Size, "event")))
		return
	}
	if c.origin != "" && p.Origin != c.origin {
		c.found.once(WrongOrigin, 0, 0, fmt.Sprintf("%s of %s is of another ledger: %s, not %s.",
			own.theCheckpoint(), number(p.Size, "event"), quoted(p.Origin), quoted(c.origin)))
		return
	}
	by := c.keys.of(p)
	if !holds && (own != "" || by == inUse(by.name)) {
		c.contradicts(by.name, own, p.Size)
	}
	c.keys.sealed(by, p.Size, holds)
	if !holds {
		return
	}
	c.ownHeld[own] = max(c.ownHeld[own], p.Size)
	switch own {
	case yours:
		c.report.Own++
	case consoles:
		c.report.Console++
	}
}

// held is the largest checkpoint that was brought along and holds.
func (c *checker) held() int64 { return max(c.ownHeld[yours], c.ownHeld[consoles]) }

// contradicts notes a checkpoint whose root the tree does not have. Those that follow it without one that holds are
// told of together.
func (c *checker) contradicts(signer string, own keeper, size int64) {
	held := c.keys.held()
	for i := len(c.against) - 1; i >= 0; i-- {
		if last := c.against[i]; last.signer == signer && last.own == own {
			if held[signer] <= last.first && c.held() <= last.first {
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
	c.against = append(c.against, &contradiction{signer: signer, own: own, first: size, last: size, count: 1, held: held, ownHeld: c.held()})
}
