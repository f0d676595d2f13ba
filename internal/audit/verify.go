package audit

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"
)

// Head is where a live ledger stands.
type Head struct {
	Size    int64 // events, removed ones included: the next one has sequence Size+1
	Root    Hash  // of the tree over all of them
	Removed int64 // events up to here may have been removed by retention; 0: none
}

// Row is one event as a live database holds it: its bytes, what the tree and the index say of it.
type Row struct {
	Seq   int64
	Body  []byte
	Leaf  Hash // as the tree has it
	Index Index
}

// Signed is a checkpoint and when it was stored.
type Signed struct {
	Checkpoint
	At time.Time
}

// DayCount is how many events of one kind a UTC day has, as the database's index of days says.
type DayCount struct {
	Day         string // 2006-01-02
	Kind        Kind
	Events      int64
	First, Last int64 // sequence numbers
}

// Source is a live ledger to verify. Rows come in the order of their numbers.
type Source interface {
	Head(ctx context.Context) (Head, error)
	Rows(ctx context.Context, after, upTo int64, limit int) ([]Row, error)
	Hashes(ctx context.Context, indexes []int64) ([]Hash, error)
	Checkpoints(ctx context.Context, after, upTo int64, limit int) ([]Signed, error) // ascending sizes, after < size <= upTo
	DayCounts(ctx context.Context) ([]DayCount, error)

	// Unfound says which of some events, up to 1,000 consecutive ones, a search by a name of their people, or by their
	// ticket or reason, would not find.
	Unfound(ctx context.Context, events []Event) (seqs []int64, err error)
}

// Expect is what a verifier brings along, so that they need not believe the ledger.
type Expect struct {
	Origin      string       // the ledger that it should be; "" takes what the ledger says
	Keys        []string     // the auditor's own verifier keys; empty: those that the ledger names
	Checkpoints []Checkpoint // of the auditor's own keeping
	Console     Own          // what the console has itself; told apart, because whoever has the console has this, too

	// Proofs lead from checkpoints to the tree of a part of the ledger, which alone can be held against none of another
	// size.
	Proofs []Consistency
}

// Own is what a console holds its ledger against.
type Own struct {
	Keys        []string // count when the auditor brought none
	Checkpoints []Checkpoint
}

// Fault names a kind of problem.
type Fault string

// The kinds of problem.
const (
	Altered      Fault = "altered event"            // its bytes are not those whose hash the tree has
	Missing      Fault = "missing"                  // no such event, though later ones are there
	Shorter      Fault = "tree shorter"             // than a checkpoint, or than its own head
	Inconsistent Fault = "contradicts a checkpoint" // the tree at that size has another root
	UnknownKey   Fault = "unknown key"              // a checkpoint is not signed by a key that counts
	WrongOrigin  Fault = "another ledger"           // cloud or tenant differ
	IndexDiffers Fault = "index differs"            // a column or the index of days differs from the event
	Misplaced    Fault = "misplaced event"          // its bytes name another sequence number
	RunGap       Fault = "run incomplete"           // a closing event counts other events than are there
	TreeDamaged  Fault = "tree damaged"             // inner hashes do not follow from the leaves
	Unreadable   Fault = "unreadable"               // not an event, or not the format
	Unproven     Fault = "proof fails"              // an event of an export is not in the tree that it names
)

// Problem is one thing that is wrong. From and To are sequence numbers, the same for one event, 0 where none is meant.
type Problem struct {
	Fault    Fault
	From, To int64
	Text     string // the whole sentence, for people: "Event 1,234 was altered: ..."
}

// Report is what a verification found.
type Report struct {
	Origin      string
	Size        int64 // of the tree that was verified
	Root        Hash
	Events      int64    // whose bytes were hashed
	Removed     int64    // of which only the hash is left
	Whole       bool     // every event up to Size was there or recorded as removed; else a part of them
	Checkpoints int      // that were verified, the auditor's own among them
	Brought     int      // the auditor's own
	Own         int      // of those, the ones that hold
	Console     int      // the console's own that hold
	Newer       []int64  // sizes of the auditor's own that are of more events than an export: it may have been taken before them
	Rollbacks   []int64  // events that record an accepted rollback
	Keys        []string // that count
	Problems    []Problem
	More        int      // problems beyond those that are listed
	Covers      []string // sentences: what this result covers, and what it does not
}

// Intact reports whether nothing is wrong.
func (r Report) Intact() bool { return len(r.Problems) == 0 }

// ErrNoHash is what a Source's Hashes wraps when one of the hashes is not stored. Verification goes on without it and
// names it; any other error ends it.
var ErrNoHash = errors.New("a hash of the tree is not stored")

// VerifyLive verifies a whole live ledger as it stands at the start. progress is told now and then how many of how many
// events were read; it may be nil. The error is of reading; what is wrong with the ledger is in the report.
func VerifyLive(ctx context.Context, src Source, x Expect, progress func(done, of int64)) (Report, error) {
	c, err := newChecker(x)
	if err != nil {
		return Report{}, err
	}
	l := &live{checker: c, src: src, days: map[dayKind]*DayCount{}, cut: -1, progress: progress}
	return l.run(ctx)
}

// VerifyExport verifies what was taken away as JSON Lines, or a proof of consistency, with nothing but the file and
// what the verifier brings along. The error is of reading.
func VerifyExport(ctx context.Context, r io.Reader, x Expect) (Report, error) {
	c, err := newChecker(x)
	if err != nil {
		return Report{}, err
	}
	c.file = true
	return (&fileCheck{checker: c, in: bufio.NewReaderSize(r, 1<<16)}).run(ctx)
}
