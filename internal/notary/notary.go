// Package notary signs the ledger's checkpoints, keeps each outside the database, and watches over what is new before
// it signs.
//
// Invariants: nothing is signed that contradicts the checkpoint before, or whose new events are not what the tree says;
// the key is given, never made here; a ledger that contradicts the last checkpoint outside the database is refused
// until somebody accepts the rollback, and that is recorded.
package notary

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"evict/internal/audit"
)

// Ledger is what the notary reads and writes. See store.Ledger.
type Ledger interface {
	audit.Source
	KeyEvents(ctx context.Context) ([]audit.Record, error)
	Closings(ctx context.Context, after, upTo int64, limit int) ([]audit.RunLine, error)
	Milestone(ctx context.Context, after, upTo int64) (bool, error)
	SaveCheckpoint(ctx context.Context, c audit.Checkpoint, at time.Time) error
	LastCheckpoint(ctx context.Context, upTo int64) (c audit.Signed, ok bool, err error)
	Search(ctx context.Context, q audit.Query) (audit.Found, error)
	Append(ctx context.Context, events ...audit.Event) error
}

// Options are what a Notary is made of.
type Options struct {
	Ledger        Ledger
	Signer        *audit.Signer
	Cloud, Tenant string
	File          string // append-only, of checkpoints
	By            string // account of the operating system behind a command; stands in the detail of each event; "" for the console
	Now           func() time.Time
	NewID         func() string
	Logger        *slog.Logger
}

func (o Options) origin() string { return audit.Origin(o.Cloud, o.Tenant) }

// event is an event of the notary's own, about the ledger itself.
func (o Options) event(kind audit.Kind, reason string, detail map[string]string) audit.Event {
	if o.By != "" {
		by := map[string]string{"by": o.By}
		maps.Copy(by, detail)
		detail = by
	}
	return audit.Event{
		ID: o.NewID(), Time: audit.FormatTime(o.Now()), Kind: kind, Cloud: o.Cloud, Tenant: o.Tenant, Reason: reason, Detail: detail,
	}
}

// The reasons for which a ledger is refused.
var (
	ErrRollback = errors.New("the ledger contradicts the last checkpoint")
	ErrKey      = errors.New("the ledger is signed with another key")
)

// ErrProblems says that something is wrong with what is new in the ledger, and so nothing was signed.
var ErrProblems = errors.New("nothing is signed while something is wrong with the ledger's new events")

// Notary signs for one process. Several may sign one ledger with one key, each with a file of its own.
type Notary struct {
	Options
	file file

	witnessed bool // at the start, the file had a checkpoint to hold the ledger against

	signing sync.Mutex // held while new events are checked and signed
	tree    audit.Tree // the one that was signed last
	seen    int64      // up to here no run began or ended since the last checkpoint
	looked  time.Time  // when a problem was last looked at again

	verifyAt time.Time // before then no verification is due; for look alone

	mu       sync.Mutex // held for moments
	standing audit.Standing
	check    audit.Verification

	work    context.Context // of verifications, which outlive the request that started them
	stop    context.CancelFunc
	working sync.WaitGroup
}

// Open checks the ledger against the last checkpoint in the file, records the key when the ledger has none yet, and
// signs where it stands. It refuses with ErrRollback or ErrKey; the error says what is known, and what to do.
//
// Without the file, or with one that holds no checkpoint yet, the newest checkpoint in the database takes its place and
// goes into a new file. That is safe against somebody who has the database alone: they cannot take the file away, and
// cannot sign. It is recorded, because nothing shows then whether an older database was put in place. A file that is there
// and cannot be read is refused.
//
// Something wrong with the events since that checkpoint is no reason not to start: the console is needed in an
// incident. Standing tells of it, and nothing is signed.
func Open(ctx context.Context, o Options) (*Notary, error) {
	n := &Notary{Options: o, file: file{o.File}}
	n.work, n.stop = context.WithCancel(context.Background())
	n.standing.Public = o.Signer.Public()
	keys, broken, err := keyring(ctx, o.Ledger, o.origin())
	if err != nil {
		return nil, err
	}
	if err := n.recall(ctx, keys); err != nil {
		return nil, err
	}
	if err := n.admitKey(ctx, keys, broken); err != nil {
		return nil, err
	}
	if err := n.unwitnessed(ctx, keys); err != nil {
		return nil, err
	}
	if _, err := n.Sign(ctx); err != nil && !errors.Is(err, ErrProblems) {
		return nil, fmt.Errorf("signing the ledger: %w", err)
	}
	return n, nil
}

const (
	lookEvery   = time.Second     // for a run that began or ended
	signEvery   = 5 * time.Minute // while there is something new
	relookEvery = time.Minute     // while something is wrong: each look reads all that is not signed
)

// Run signs at each start and end of a run, and every five minutes while there is something new, until ctx ends. A day
// after the last verification, whoever made it, it starts one.
//
// When something is wrong with what is new, nothing is signed and it keeps looking, each minute. It goes on by itself
// once nothing is wrong any more, because what it would sign then is what was first written; the log keeps both.
func (n *Notary) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n.look(ctx)
		n.verifyDaily(ctx)
	}
}

// look is one round of Run. A ledger that cannot be read is a problem, too: some of it may be gone.
func (n *Notary) look(ctx context.Context) {
	n.signing.Lock()
	defer n.signing.Unlock()
	n.keepAgain()
	due, err := n.due(ctx)
	if due {
		err = n.sign(ctx)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrProblems) {
		n.Logger.Error("looking after the ledger", "error", err)
		n.tell([]audit.Problem{{Fault: audit.Unreadable, Text: "The ledger's new events could not be read or signed: the log says why."}})
	}
}

// due reports whether it is time to look at what is new, and to sign it.
func (n *Notary) due(ctx context.Context) (bool, error) {
	now, s := n.Now(), n.Standing()
	if len(s.Problems) > 0 {
		return now.Sub(n.looked) >= relookEvery, nil
	}
	head, err := headOf(ctx, n.Ledger)
	if err != nil {
		return false, err
	}
	if head.Size <= s.Signed.Size {
		return head.Root != s.Signed.Root, nil // events went away, or were changed
	}
	if now.Sub(s.SignedAt) >= signEvery {
		return true, nil
	}
	after := max(n.seen, s.Signed.Size)
	if head.Size <= after {
		return false, nil
	}
	milestone, err := n.Ledger.Milestone(ctx, after, head.Size)
	if err != nil {
		return false, fmt.Errorf("looking for starts and ends of runs: %w", err)
	}
	if !milestone {
		n.seen = head.Size
	}
	return milestone, nil
}

// Sign signs what is new, if anything is, and returns the newest checkpoint. The newest one comes back beside an error,
// too: with ErrProblems, or when the ledger could not be read or written, it covers less than the ledger holds.
func (n *Notary) Sign(ctx context.Context) (audit.Signed, error) {
	n.signing.Lock()
	err := n.sign(ctx)
	n.signing.Unlock()
	s := n.Standing()
	return audit.Signed{Checkpoint: s.Signed, At: s.SignedAt}, err
}

// Standing is how the ledger stands, by what this process knows.
func (n *Notary) Standing() audit.Standing {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.standing
}

// Close signs what came last, and waits for a verification under way to stop. Nothing may be begun after it.
func (n *Notary) Close() {
	n.mu.Lock() // not while a verification begins
	n.stop()
	n.mu.Unlock()
	n.working.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closeFor)
	defer cancel()
	if _, err := n.Sign(ctx); err != nil && !errors.Is(err, ErrProblems) {
		n.Logger.Warn("signing the ledger at the end", "error", err)
	}
}

// closeFor is how long the last signature may hold up a shutdown.
const closeFor = 5 * time.Second
