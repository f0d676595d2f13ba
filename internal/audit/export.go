package audit

import (
	"bufio"
	"context"
	"fmt"
	"io"
)

// Format names a form in which events are exported away.
type Format string

// The formats. JSON Lines is the evidence; CSV is for reading; OCSF for a SIEM.
const (
	JSONLines Format = "jsonl"
	CSV       Format = "csv"
	OCSF      Format = "ocsf"
)

// Manifest says what an export is. It is the first line of JSON Lines.
type Manifest struct {
	Cloud, Tenant string
	Rehearsal     bool   // the tenant is the simulator's: each format says so
	At            string // when it was made, as FormatTime
	By            Person // who took it
	Query         Query  // what was asked for; the zero query is the whole ledger. Folded, Firsts and Limit do not count
	Version       string // of the program
	Size          int64  // of the tree that the export is of, fixed at its start
	Root          Hash
	Removed       int64   // events up to here may have been removed by retention; 0: none
	Checkpoint    string  // the newest one of at most Size events; "" when there is none
	Keys          Keyring // that the ledger has named
}

// whole reports whether nothing is left out: the root can be computed from the export alone.
func (m Manifest) whole() bool {
	q := m.Query
	q.Folded, q.Firsts, q.Limit = false, false, 0
	return q == Query{}
}

// ExportSource is a ledger to export from.
type ExportSource interface {
	// Scan reads matching events in ascending order: after < seq <= upTo, at most limit; fewer than that are the last ones.
	// One whose bytes are no event, because somebody altered them, still comes with its bytes: they are evidence.
	Scan(ctx context.Context, q Query, after, upTo int64, limit int) ([]Record, error)
	Hashes(ctx context.Context, indexes []int64) ([]Hash, error)
	Head(ctx context.Context) (Head, error)
}

// exportChunk is how many events are held at once.
const exportChunk = 1000

// exported is an event to be written: its leaf hash is the tree's, so that evidence of an altered event names the event.
type exported struct {
	Record
	leaf Hash
}

// exportForm writes one format. Writes to its buffer report no error of their own; the flush does.
type exportForm interface {
	begin() error
	write(events []exported) error // ascending, at most exportChunk of them
	end() error
}

// Export writes the events that m.Query selects, among the first m.Size, to w, and returns how many they were. Before
// and After narrow it as they do a page: one event and its proof is After seq-1, Before seq+1. Memory stays flat. A
// JSON Lines export says at its end how many events it holds, so that one that was cut off shows. After an error, which
// is ErrRemoving, or of reading, of writing or of a ledger that cannot be, what was written is not to be kept.
func Export(ctx context.Context, src ExportSource, f Format, m Manifest, w io.Writer) (events int64, err error) {
	out := bufio.NewWriterSize(w, 1<<16)
	read := func(indexes []int64) ([]Hash, error) { return src.Hashes(ctx, indexes) }
	to, err := newExportForm(f, m, read, out)
	if err != nil {
		return 0, err
	}
	if err := to.begin(); err != nil {
		return 0, err
	}
	err = scanAll(ctx, src, m.Query, m.Size, func(records []Record) error {
		if err := notRemoved(ctx, src, m); err != nil {
			return err
		}
		found, err := withLeaves(records, read)
		if err != nil {
			return err
		}
		if err := to.write(found); err != nil {
			return err
		}
		events += int64(len(found))
		return out.Flush() // here a reader who has gone away is noticed
	})
	if err == nil {
		err = notRemoved(ctx, src, m)
	}
	if err != nil {
		return events, err
	}
	if err := to.end(); err != nil {
		return events, err
	}
	return events, out.Flush()
}

// notRemoved is ErrRemoving when retention went on while an export was made, unless it is of nothing that goes.
func notRemoved(ctx context.Context, src ExportSource, m Manifest) error {
	if stays(m.Query.Kind) {
		return nil
	}
	head, err := src.Head(ctx)
	if err == nil && head.Removed > max(m.Removed, m.Query.After) {
		err = ErrRemoving
	}
	return err
}

func newExportForm(f Format, m Manifest, read Hashes, out *bufio.Writer) (exportForm, error) {
	switch f {
	case JSONLines:
		return &jsonLines{lineWriter: newLineWriter(out), m: m, read: read}, nil
	case CSV:
		return csvWriter{rehearsal: m.Rehearsal, out: out}, nil
	case OCSF:
		return ocsfWriter{lineWriter: newLineWriter(out), m: m}, nil
	}
	return nil, fmt.Errorf("there is no export format %q", f)
}

// scanAll hands over what a query selects among the first upTo events, in chunks.
func scanAll(ctx context.Context, src ExportSource, q Query, upTo int64, each func([]Record) error) error {
	after := q.After
	if q.Before != 0 {
		upTo = min(upTo, q.Before-1)
	}
	q.Folded, q.Firsts, q.Limit, q.Before, q.After = false, false, 0, 0, 0
	for after < upTo {
		records, err := src.Scan(ctx, q, after, upTo, exportChunk)
		if err != nil {
			return err
		}
		for _, r := range records {
			if r.Seq <= after || r.Seq > upTo {
				return fmt.Errorf("event %d came after event %d, of %d", r.Seq, after, upTo)
			}
			after = r.Seq
		}
		if len(records) > 0 {
			err = each(records)
		}
		if err != nil || len(records) < exportChunk {
			return err
		}
	}
	return nil
}

func withLeaves(records []Record, read Hashes) ([]exported, error) {
	seqs := make([]int64, len(records))
	for i, r := range records {
		seqs[i] = r.Seq
	}
	leaves, err := leavesOf(seqs, read)
	if err != nil {
		return nil, err
	}
	out := make([]exported, len(records))
	for i, r := range records {
		out[i] = exported{Record: r, leaf: leaves[i]}
	}
	return out, nil
}

// leavesOf reads the leaf hashes of events from the tree.
func leavesOf(seqs []int64, read Hashes) ([]Hash, error) {
	indexes := make([]int64, len(seqs))
	for i, seq := range seqs {
		indexes[i] = LeafIndex(seq)
	}
	leaves, err := read(indexes)
	if err != nil {
		return nil, err
	}
	if len(leaves) != len(seqs) {
		return nil, fmt.Errorf("reading leaf hashes: %d of %d", len(leaves), len(seqs))
	}
	return leaves, nil
}
