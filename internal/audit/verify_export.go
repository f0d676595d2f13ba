package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

const (
	longestLine = 4 << 20 // bytes of one line of an export
	largestTree = 1 << 48 // events; what a file may claim
)

// fileCheck verifies an export, or a proof of consistency.
type fileCheck struct {
	*checker
	in     *bufio.Reader
	lines  int64
	m      manifestLine
	signed *Checkpoint // the manifest's, until the tree has its size
	last   int64       // sequence number of the line before
	first  int64
	ended  bool
}

// fileLine is any line after the first: an event, or the end.
type fileLine struct {
	End     bool            `json:"end"`
	Events  int64           `json:"events"`
	First   int64           `json:"first"`
	Last    int64           `json:"last"`
	Seq     int64           `json:"seq"`
	Leaf    Hash            `json:"leaf"`
	Body    *string         `json:"body"`
	Removed json.RawMessage `json:"removed"` // true on the line of an event, a number on the last line
	Proof   []Hash          `json:"proof"`
}

// ErrNotExport is for a file that cannot be verified at all. Its text says why.
var ErrNotExport = errors.New("this is no export that can be verified")

// errLongLine ends the reading of a file.
var errLongLine = errors.New("a line is longer than 4 MB")

// line reads the next line that is not blank; io.EOF at the end.
func (f *fileCheck) line() ([]byte, error) {
	var line []byte
	for {
		part, err := f.in.ReadSlice('\n')
		if len(line)+len(part) > longestLine {
			return nil, errLongLine
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		f.lines++
		if text := bytes.TrimSpace(line); len(text) > 0 {
			return text, nil
		}
		if err != nil {
			return nil, io.EOF
		}
		line = line[:0]
	}
}

// unreadable ends a verification with what makes the file unreadable.
func (f *fileCheck) unreadable(text string) (Report, error) {
	f.found.once(Unreadable, 0, 0, text)
	return f.conclude(), nil
}

func (f *fileCheck) run(ctx context.Context) (Report, error) {
	first, err := f.line()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errLongLine) {
		return Report{}, err
	}
	first = bytes.TrimPrefix(first, []byte("\ufeff"))
	var is struct {
		Export      int `json:"evict_export"`
		Consistency int `json:"evict_consistency"`
	}
	f.partial = true
	if json.Unmarshal(first, &is) != nil || is.Export == 0 && is.Consistency == 0 {
		return Report{}, fmt.Errorf("%w: its first line is neither that of an export of events as JSON Lines nor a proof of consistency", ErrNotExport)
	}
	if is.Export > 1 || is.Consistency > 1 || is.Export != 0 && is.Consistency != 0 {
		return Report{}, fmt.Errorf("%w: it is of a form that this program does not know", ErrNotExport)
	}
	if is.Consistency == 1 {
		return f.consistency(first)
	}
	if json.Unmarshal(first, &f.m) != nil || f.m.Size < 0 || f.m.Size > largestTree {
		return f.unreadable("The first line of the export cannot be read.")
	}
	return f.export(ctx)
}

func (f *fileCheck) export(ctx context.Context) (Report, error) {
	f.begin()
	for !f.ended {
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		text, err := f.line()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, errLongLine) {
			f.found.once(Unreadable, 0, 0, fmt.Sprintf("Line %s is longer than 4 MB.", Grouped(f.lines+1)))
			break
		}
		if err != nil {
			return Report{}, err
		}
		var line fileLine
		if err := json.Unmarshal(text, &line); err != nil {
			f.badLine("", "is not JSON of an export")
			continue
		}
		f.entry(line)
	}
	if err := f.finish(); err != nil {
		return Report{}, err
	}
	return f.conclude(), nil
}

// badLine notes a line that says nothing.
func (f *fileCheck) badLine(sense, what string) {
	at := f.lines
	f.found.add(Unreadable, "line "+sense, at, at, func(from, to int64) string {
		if from == to {
			return fmt.Sprintf("Line %s %s.", Grouped(from), what)
		}
		return fmt.Sprintf("Each of the lines %s to %s %s.", Grouped(from), Grouped(to), what)
	})
}

// begin takes what the first line says.
func (f *fileCheck) begin() {
	f.report.Size, f.report.Root = f.m.Size, f.m.Root
	f.partial = !f.m.Whole
	onlyRun := f.m.Query
	onlyRun.Run = ""
	f.countRun = f.m.Whole || f.m.Query.Run != "" && onlyRun == queryText{}
	if f.origin == "" {
		f.origin = f.m.Origin
	}
	f.keys.origin = f.origin
	if f.partial {
		f.keys.name(f.m.Keys)
	}
	if f.m.Origin != f.origin || Origin(f.m.Cloud, f.m.Tenant) != f.m.Origin {
		f.found.once(WrongOrigin, 0, 0, fmt.Sprintf("The export is of another ledger: %s, cloud %s, tenant %s, not %s.",
			quoted(f.m.Origin), quoted(f.m.Cloud), quoted(f.m.Tenant), quoted(f.origin)))
	}
	if f.m.Checkpoint != "" {
		p, err := ParseCheckpoint(f.m.Checkpoint)
		if err != nil || p.Size > f.m.Size {
			f.found.once(Unreadable, 0, 0, "The checkpoint in the first line is not one, or is of more events than the export.")
		} else {
			f.signed = &p
		}
	}
	f.due()
}

// due checks the checkpoints of the size that a whole export has reached.
func (f *fileCheck) due() {
	if f.partial {
		return
	}
	f.ownDue()
	if f.signed != nil && f.signed.Size == f.bodies.Size && !f.broken {
		f.checkpoint(*f.signed, "")
		f.signed = nil
	}
}

// entry takes a line after the first.
func (f *fileCheck) entry(line fileLine) {
	switch removed := string(line.Removed) == "true"; {
	case line.End:
		f.end(line)
	case line.Seq < 1 || line.Seq > f.m.Size:
		f.badLine("number", "has an event that is not one of the tree's "+Grouped(f.m.Size))
	case line.Seq == f.last:
		f.found.once(Misplaced, line.Seq, line.Seq, fmt.Sprintf("Event %s stands twice, the second time in line %s.", Grouped(line.Seq), Grouped(f.lines)))
	case line.Seq < f.last:
		f.found.once(Misplaced, line.Seq, line.Seq, fmt.Sprintf("Event %s is out of place: it stands after event %s, in line %s.",
			Grouped(line.Seq), Grouped(f.last), Grouped(f.lines)))
	case removed && f.partial || removed == (line.Body != nil):
		f.badLine("body", "is not an event of this export")
	default:
		f.reach(line.Seq)
		if removed {
			f.grow(line.Leaf, line.Leaf)
			f.gap(line.Seq)
			f.report.Removed++
		} else {
			f.event(line)
		}
		f.due()
	}
}

// reach goes on to the next line's event. In a whole export what is skipped is missing, and no root can be computed
// without it.
func (f *fileCheck) reach(seq int64) {
	if !f.partial && seq > f.last+1 {
		f.missing(f.last+1, seq-1, ".")
	}
	if f.first == 0 {
		f.first = seq
	}
	f.last = seq
}

func (f *fileCheck) missing(from, to int64, why string) {
	f.absent += to - from + 1
	f.broken = true
	f.found.once(Missing, from, to, Events(from, to, "is missing", "are missing")+why)
}

func (f *fileCheck) event(line fileLine) {
	e, hash, good := f.body(line.Seq, []byte(*line.Body), line.Leaf, nil)
	if f.partial {
		good = f.proven(line, hash) && good
	} else {
		f.grow(hash, line.Leaf)
	}
	var detail map[string]string
	if good {
		detail = e.Detail
		f.take(e)
	}
	f.inRun(line.Seq, e.Kind, e.Run, detail, f.report.Removed > 0)
}

// proven checks an event's audit path. When its leaf hash is in the tree and its bytes do not fit, that was said.
func (f *fileCheck) proven(line fileLine, hash Hash) bool {
	in := func(leaf Hash) bool { return CheckEvent(line.Proof, f.m.Size, f.m.Root, line.Seq, leaf) == nil }
	if in(hash) {
		return true
	}
	if hash == line.Leaf || !in(line.Leaf) {
		f.found.add(Unproven, "", line.Seq, line.Seq, func(from, to int64) string {
			return Events(from, to, "is not proven: its proof does not lead to the tree that the export names.",
				"are not proven: their proofs do not lead to the tree that the export names.")
		})
	}
	return false
}

// end holds the last line against what was read.
func (f *fileCheck) end(line fileLine) {
	f.ended = true
	var removed int64
	if err := json.Unmarshal(line.Removed, &removed); err != nil {
		f.badLine("end", "does not say how many events were removed")
		return
	}
	if line.Events != f.report.Events || removed != f.report.Removed || line.First != f.first || line.Last != f.last {
		f.found.once(Missing, 0, 0, fmt.Sprintf("The export says at its end that it holds %s and %s removed, %s to %s: there are %s and %s, %s to %s.",
			number(line.Events, "event"), Grouped(removed), Grouped(line.First), Grouped(line.Last),
			Grouped(f.report.Events), Grouped(f.report.Removed), Grouped(f.first), Grouped(f.last)))
	}
}

// finish judges the file as a whole.
func (f *fileCheck) finish() error {
	if f.ended {
		if _, err := f.line(); err == nil || errors.Is(err, errLongLine) {
			f.found.once(Unreadable, 0, 0, "Something follows the last line of the export.")
		} else if !errors.Is(err, io.EOF) {
			return err
		}
	} else {
		f.found.once(Unreadable, 0, 0, fmt.Sprintf("The export is cut off after event %s: its last line is not there.", Grouped(f.last)))
	}
	if f.partial {
		f.comparePart()
	} else {
		f.compareWhole()
	}
	f.covers()
	return nil
}

// compareWhole holds the root of all events against the one that the export names.
func (f *fileCheck) compareWhole() {
	if f.last < f.m.Size {
		f.missing(f.last+1, f.m.Size, ", at the end of the export.")
	}
	signed, count := f.removedThrough()
	recorded := min(f.m.Removed, signed)
	for _, g := range f.gaps {
		if from := max(g.from, recorded+1); from <= g.to {
			f.absent += g.to - from + 1
			f.report.Removed -= g.to - from + 1
			f.found.once(Missing, from, g.to, Events(from, g.to, "is missing", "are missing")+": no signed event says that retention removed them.")
		}
	}
	f.fewerRemoved(recorded, count)
	f.report.Whole = f.ended && f.absent == 0
	if f.broken || f.m.Root == f.bodies.Root() || f.m.Root == f.leaves.Root() {
		return
	}
	from := min(max(f.held(), f.keys.reach(f.keys.counting()))+1, max(f.m.Size, 1))
	f.found.once(Unproven, from, f.m.Size, fmt.Sprintf("The events do not make the tree that the export names: "+
		"something among the events %s to %s was altered together with its hash, or the root was.", Grouped(from), Grouped(f.m.Size)))
}

// comparePart holds the checkpoints against the root that the events' proofs lead to.
func (f *fileCheck) comparePart() {
	root := map[int64]Hash{0: (&Tree{}).Root(), f.m.Size: f.m.Root}
	if p := f.signed; p != nil {
		at, known := root[p.Size]
		switch {
		case known:
			f.weigh(*p, "", at == p.Root)
		case CheckConsistency(f.m.Consistency, f.m.Size, f.m.Root, p.Size, p.Root) == nil:
			f.weigh(*p, "", true)
			root[p.Size] = p.Root
		default:
			f.weigh(*p, "", false)
		}
	}
	f.compareOwn(root)
}

// compareOwn compares those of the auditor's checkpoints at whose sizes the root is known, or proofs make it so.
func (f *fileCheck) compareOwn(root map[int64]Hash) {
	f.lead(root)
	for _, size := range slices.Sorted(maps.Keys(root)) {
		if size > 0 {
			f.known = append(f.known, size)
		}
	}
	var rest []kept
	for _, p := range f.own {
		if at, known := root[p.Size]; known {
			f.weigh(p.Checkpoint, p.by, at == p.Root)
		} else {
			rest = append(rest, p)
		}
	}
	f.own = rest
}

func (f *fileCheck) covers() {
	r := &f.report
	add := func(text string) { r.Covers = append(r.Covers, text) }
	but := f.but() + "."
	if f.partial {
		add(fmt.Sprintf("%s of a tree of %s: their bytes, and that they are in the tree at their numbers%s",
			number(r.Events, "event"), Grouped(r.Size), but))
	} else {
		f.coversAll()
	}
	f.coversRemoved()
	switch run, all := f.wholeRun(); {
	case all:
		add(fmt.Sprintf("The run %s is complete: %s, as many as its closing event %s counts. Of the rest of the ledger, nothing shows.",
			quoted(run.run), number(run.events, "event"), Grouped(run.seq)))
	case f.partial:
		add("This is a part of the ledger: that it holds all that was asked for, or that there is nothing else, does not show.")
	case r.Events > 0:
		add("Each closed run in it has as many events as its closing event counts" + but)
	}
	if !f.partial && len(f.proofs) > 0 {
		add("The proofs of consistency were not looked at: what holds the whole ledger needs none.")
	}
	who := "Who took the export, when, and what was asked for is covered by no signature"
	if f.m.By.OID != "" {
		who += ": the ledger has an event of it"
	}
	add(who + ".")
}

// wholeRun is the run that a part holds the whole of, and nothing else.
func (f *fileCheck) wholeRun() (run closedRun, ok bool) {
	if !f.partial || !f.countRun || !f.ended || len(f.found.list) > 0 || len(f.complete) != 1 {
		return run, false
	}
	return f.complete[0], f.complete[0].events == f.report.Events
}

// consistency verifies a proof that one tree is the beginning of another.
func (f *fileCheck) consistency(first []byte) (Report, error) {
	var line Consistency
	if json.Unmarshal(first, &line) != nil {
		return f.unreadable("The proof of consistency cannot be read.")
	}
	if _, err := f.line(); !errors.Is(err, io.EOF) {
		if err != nil && !errors.Is(err, errLongLine) {
			return Report{}, err
		}
		return f.unreadable("Something follows the proof of consistency.")
	}
	proof, ok := line.parsed()
	if !ok {
		return f.unreadable("The proof of consistency does not have two checkpoints, the smaller one first.")
	}
	if f.origin == "" {
		f.origin = line.Origin
	}
	f.between = true
	f.keys.origin = f.origin
	f.keys.name(line.Keys)
	from, to := proof.from, proof.to
	f.report.Size, f.report.Root = to.Size, to.Root
	f.weigh(from, "", true)
	f.weigh(to, "", true)
	root := map[int64]Hash{to.Size: to.Root}
	if proof.holds() {
		root[from.Size] = from.Root
		f.report.Covers = append(f.report.Covers, fmt.Sprintf("The tree of %s is the beginning of the tree of %s: among the first %s nothing was changed, "+
			"removed or put in between the two checkpoints.", number(from.Size, "event"), Grouped(to.Size), Grouped(from.Size)))
	} else {
		f.unproven(proof)
	}
	f.report.Covers = append(f.report.Covers, "There are no events in this file.")
	f.compareOwn(root)
	return f.conclude(), nil
}
