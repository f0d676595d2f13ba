package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// verifyChunk is how many events are read at a time.
const verifyChunk = 1000

// live verifies a ledger in its database.
type live struct {
	*checker
	src      Source
	head     Head
	edge     []Hash // of the hashes as they are stored: each is held against those beneath it
	stored   []Signed
	read     int64   // checkpoints up to this size were read
	believed []Event // of the chunk that is being read
	days     map[dayKind]*DayCount
	cut      int64 // where events and hashes end before the head does; -1: they do not
	progress func(done, of int64)
}

type dayKind struct {
	day  string
	kind Kind
}

func (l *live) run(ctx context.Context) (Report, error) {
	var err error
	if l.head, err = l.src.Head(ctx); err != nil {
		return Report{}, err
	}
	l.ownDue() // one of no events
	for after := int64(0); after < l.head.Size && l.cut < 0; {
		if after, err = l.advance(ctx, after); err != nil {
			return Report{}, err
		}
		if l.progress != nil {
			l.progress(after, l.head.Size)
		}
	}
	l.report.Size, l.report.Root = l.head.Size, l.head.Root
	for _, step := range []func(context.Context) error{l.checkEnd, l.checkGaps, l.checkRemovals, l.checkNewer, l.checkDays} {
		if err := step(ctx); err != nil {
			return Report{}, err
		}
	}
	l.covers()
	return l.conclude(), nil
}

// advance reads the next events and returns up to where.
func (l *live) advance(ctx context.Context, after int64) (int64, error) {
	rows, err := l.src.Rows(ctx, after, l.head.Size, verifyChunk)
	if err != nil {
		return 0, err
	}
	upTo := l.head.Size
	for i, row := range rows {
		if row.Seq <= after || row.Seq > l.head.Size || i > 0 && row.Seq <= rows[i-1].Seq {
			return 0, fmt.Errorf("reading events: event %d came after event %d", row.Seq, after)
		}
		upTo = row.Seq
	}
	for after < upTo && l.cut < 0 {
		to, n := min(after+verifyChunk, upTo), 0
		for n < len(rows) && rows[n].Seq <= to {
			n++
		}
		if err := l.chunk(ctx, after, to, rows[:n]); err != nil {
			return 0, err
		}
		if err := l.searches(ctx); err != nil {
			return 0, err
		}
		rows, after = rows[n:], to
	}
	return after, nil
}

// searches holds the names and words that searches go by against the events of the last chunk.
func (l *live) searches(ctx context.Context) error {
	unfound, err := l.src.Unfound(ctx, l.believed)
	l.believed = l.believed[:0]
	for _, seq := range unfound {
		l.found.add(IndexDiffers, "words", seq, seq, func(from, to int64) string {
			return "The names and words that searches go by lack some: by them " + strings.ToLower(Events(from, to, "is", "are")[:1]) +
				Events(from, to, "is", "are")[1:] + " not found."
		})
	}
	return err
}

// chunk verifies the events after < seq <= to.
func (l *live) chunk(ctx context.Context, after, to int64, rows []Row) error {
	hashes, err := l.hashes(ctx, StoredFrom(after), StoredFrom(to))
	if err != nil {
		return err
	}
	if len(rows) == 0 && hashes[0] == (Hash{}) {
		l.cut = after // not even hashes: the head may name any size
		return nil
	}
	for seq := after + 1; seq <= to; seq++ {
		n := StoredFrom(seq) - StoredFrom(seq-1) // the leaf, and the subtrees that it completes
		final := hashes[:n]
		hashes = hashes[n:]
		if len(rows) > 0 && rows[0].Seq == seq {
			err = l.event(ctx, rows[0], &final[0])
			rows = rows[1:]
		} else {
			l.gap(seq)
			l.broken = l.broken || final[0] == Hash{}
			l.grow(final[0], final[0])
		}
		if err == nil {
			l.follow(seq, final)
			err = l.checkpoints(ctx, seq)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hashes reads the stored hashes from <= index < to; one that is missing is zero.
func (l *live) hashes(ctx context.Context, from, to int64) ([]Hash, error) {
	indexes := make([]int64, to-from)
	for i := range indexes {
		indexes[i] = from + int64(i)
	}
	got, err := l.src.Hashes(ctx, indexes)
	switch {
	case errors.Is(err, ErrNoHash) && to-from == 1:
		return make([]Hash, 1), nil
	case errors.Is(err, ErrNoHash):
		half := (from + to) / 2
		left, err := l.hashes(ctx, from, half)
		if err != nil {
			return nil, err
		}
		right, err := l.hashes(ctx, half, to)
		return append(left, right...), err
	case err != nil:
		return nil, err
	case len(got) != len(indexes):
		return nil, fmt.Errorf("reading hashes: %d of %d", len(got), len(indexes))
	}
	return got, nil
}

// event verifies one event. A leaf hash that is missing is set to that of the bytes.
func (l *live) event(ctx context.Context, row Row, leaf *Hash) error {
	if *leaf == (Hash{}) {
		*leaf = LeafHash(row.Body)
		l.damaged("leaf", row.Seq, row.Seq, "its hash is missing or was overwritten.", "their hashes are missing or were overwritten.")
	}
	var failed error
	e, hash, good := l.body(row.Seq, row.Body, *leaf, func(seq int64, hash Hash) bool {
		if seq < 1 || seq > l.head.Size {
			return false
		}
		other, err := l.hashes(ctx, LeafIndex(seq), LeafIndex(seq)+1)
		failed = err
		return err == nil && other[0] == hash
	})
	if failed != nil {
		return failed
	}
	index, detail := row.Index, map[string]string(nil)
	if good {
		index, detail = IndexOf(e), e.Detail
		l.compare(row.Seq, row.Index, index)
		l.take(e)
		l.believed = append(l.believed, e)
	}
	l.inRun(row.Seq, Kind(index.Kind), index.Run, detail, len(l.gaps) > 0 && l.head.Removed > 0)
	l.inDay(row.Seq, index)
	l.grow(hash, *leaf)
	return nil
}

// compare holds the columns against the event.
func (l *live) compare(seq int64, has, want Index) {
	if has == want {
		return
	}
	for _, column := range []struct {
		name      string
		has, want any
	}{
		{"id", has.ID, want.ID}, {"at_ms", has.AtMS, want.AtMS}, {"kind", has.Kind, want.Kind},
		{"operator_oid", has.Operator, want.Operator}, {"target_oid", has.Target, want.Target}, {"run_id", has.Run, want.Run},
		{"plan_id", has.Plan, want.Plan}, {"outcome", has.Outcome, want.Outcome}, {"ticket", has.Ticket, want.Ticket},
	} {
		if column.has != column.want {
			l.found.add(IndexDiffers, column.name, seq, seq, func(from, to int64) string {
				where := "event " + Grouped(from)
				if from != to {
					where = fmt.Sprintf("events %s to %s, the first of which", Grouped(from), Grouped(to))
				}
				return fmt.Sprintf("The index column %s differs from %s: it says %s, the event says %s.",
					column.name, where, quoted(fmt.Sprint(column.has)), quoted(fmt.Sprint(column.want)))
			})
		}
	}
}

func (l *live) inDay(seq int64, index Index) {
	at := dayKind{time.UnixMilli(index.AtMS).UTC().Format(time.DateOnly), Kind(index.Kind)}
	day := l.days[at]
	if day == nil {
		day = &DayCount{Day: at.day, Kind: at.kind, First: seq}
		l.days[at] = day
	}
	day.Events++
	day.Last = seq
}

// follow holds the stored hashes that event seq made final against those beneath them.
func (l *live) follow(seq int64, final []Hash) {
	for level := 1; level < len(final); level++ {
		last := len(l.edge) - 1
		want := tlog.NodeHash(l.edge[last], final[level-1])
		l.edge = l.edge[:last]
		from, sense := seq-1<<level+1, fmt.Sprint(level)
		switch final[level] {
		case want:
		case Hash{}:
			final[level] = want
			l.damaged(sense+" missing", from, seq, "", "a stored hash over them is missing or was overwritten.")
		default:
			l.damaged(sense, from, seq, "", "a stored hash over them does not follow from those beneath it, "+
				"so one of these events was rewritten together with its hash, or a hash alone was.")
		}
	}
	l.edge = append(l.edge, final[len(final)-1])
}

func (l *live) damaged(sense string, from, to int64, one, many string) {
	l.found.add(TreeDamaged, sense, from, to, func(from, to int64) string {
		if from == to {
			return fmt.Sprintf("The tree is damaged at event %s: %s", Grouped(from), one)
		}
		return fmt.Sprintf("The tree is damaged between events %s and %s: %s", Grouped(from), Grouped(to), many)
	})
}

// checkpoints checks the stored checkpoint of this size, if there is one.
func (l *live) checkpoints(ctx context.Context, size int64) error {
	if len(l.stored) == 0 && l.read < l.head.Size {
		var err error
		if l.stored, err = l.src.Checkpoints(ctx, l.read, l.head.Size, verifyChunk); err != nil {
			return err
		}
		l.read = l.head.Size
		if n := len(l.stored); n > 0 {
			l.read = l.stored[n-1].Size
		}
	}
	for len(l.stored) > 0 && l.stored[0].Size <= size {
		l.checkpoint(l.stored[0].Checkpoint, "")
		l.stored = l.stored[1:]
	}
	return nil
}

// checkEnd holds the head against what was read, and looks for events beyond it.
func (l *live) checkEnd(ctx context.Context) error {
	if l.cut >= 0 {
		l.found.once(Shorter, 0, 0, fmt.Sprintf("The tree is shorter than its head says: it ends with %s of %s.",
			number(l.cut, "event"), Grouped(l.head.Size)))
		l.gaps = append(l.gaps, span{l.cut + 1, l.head.Size})
		l.broken = true
	} else if root := (&Tree{Size: l.head.Size, edge: l.edge}).Root(); root != l.head.Root {
		l.found.once(TreeDamaged, 0, 0, "The tree is damaged: the root in its head does not follow from the stored hashes.")
	}
	beyond, err := l.src.Rows(ctx, l.head.Size, math.MaxInt64, verifyChunk)
	if err != nil {
		return err
	}
	now, err := l.src.Head(ctx) // after the rows: the ledger may have grown
	if err != nil {
		return err
	}
	if now.Removed != l.head.Removed {
		return ErrRemoving
	}
	for _, row := range beyond {
		if row.Seq > now.Size {
			l.found.add(Misplaced, "beyond", row.Seq, row.Seq, func(from, to int64) string {
				return Events(from, to, "is", "are") + " not in the tree, which has " + number(now.Size, "event") + "."
			})
		}
	}
	return nil
}

// checkGaps tells what was removed from what is missing.
func (l *live) checkGaps(context.Context) error {
	signed, count := l.removedThrough()
	recorded := min(l.head.Removed, signed)
	for _, g := range l.gaps {
		if g.from <= recorded {
			l.report.Removed += min(g.to, recorded) - g.from + 1
			g.from = recorded + 1
		}
		if g.from > g.to {
			continue
		}
		l.absent += g.to - g.from + 1
		why := "."
		switch {
		case g.to == l.head.Size:
			why = ", at the end: the tree has " + number(l.head.Size, "event") + "."
		case g.from <= l.head.Removed:
			why = ": the head says that retention removed them, and no signed event says so."
		}
		l.found.once(Missing, g.from, g.to, Events(g.from, g.to, "is missing", "are missing")+why)
	}
	l.fewerRemoved(recorded, count)
	l.report.Whole = l.absent == 0
	return nil
}

// checkRemovals holds the roots that removals name against the tree.
func (l *live) checkRemovals(ctx context.Context) error {
	for _, r := range l.removals {
		if r.Through < 1 || r.Through > l.head.Size {
			continue // told of already
		}
		root, err := RootAt(r.Through, func(indexes []int64) ([]Hash, error) { return l.src.Hashes(ctx, indexes) })
		if errors.Is(err, ErrNoHash) {
			continue // told of already
		}
		if err != nil {
			return err
		}
		if r.Root != root {
			l.found.once(Inconsistent, 1, r.Through, fmt.Sprintf("The tree contradicts event %s, which records what was removed: at %s it has another root.",
				Grouped(r.seq), number(r.Through, "event")))
		}
	}
	return nil
}

// checkNewer looks for stored checkpoints of more events than there are.
func (l *live) checkNewer(ctx context.Context) error {
	var count, largest int64
	for after := l.head.Size; ; {
		newer, err := l.src.Checkpoints(ctx, after, math.MaxInt64, verifyChunk)
		if err != nil {
			return err
		}
		now, err := l.src.Head(ctx) // after the checkpoints: the ledger may have grown
		if err != nil {
			return err
		}
		for _, p := range newer {
			after = p.Size
			if p.Size > now.Size && l.newer(p.Checkpoint) {
				count++
				largest = p.Size
			}
		}
		if len(newer) < verifyChunk {
			break
		}
	}
	if count > 0 {
		l.found.once(Shorter, 0, 0, fmt.Sprintf("The tree is shorter than %s in the database: it has %s, the largest of them has %s.%s",
			number(count, "checkpoint"), number(l.head.Size, "event"), Grouped(largest), l.rollbackOf(largest)))
	}
	return nil
}

// newer reports whether a checkpoint of more events than there are was signed with a key that is known. Any other one
// somebody put there, and it says nothing of the tree.
func (l *live) newer(p Checkpoint) bool {
	again, err := ParseCheckpoint(p.Note)
	if err != nil || again.Size != p.Size {
		l.found.once(Unreadable, 0, 0, fmt.Sprintf("A checkpoint in the database, said to be of %s, cannot be read.", number(p.Size, "event")))
		return false
	}
	by := l.keys.of(p)
	if !by.known {
		l.keys.sealed(by, p.Size, false)
	}
	return by.known
}

// checkDays holds the index of days against the events.
func (l *live) checkDays(ctx context.Context) error {
	counts, err := l.src.DayCounts(ctx)
	if err != nil {
		return err
	}
	now, err := l.src.Head(ctx) // after the counts: the ledger may have grown
	if err != nil {
		return err
	}
	if now.Removed != l.head.Removed {
		return ErrRemoving
	}
	var wrong []string
	short := int64(0) // by how many events the index has more
	differs := func(at dayKind, says, is DayCount) {
		short += says.Events - is.Events
		wrong = append(wrong, fmt.Sprintf("The index of days differs from the events: for %s on %s it says %s, and there %s.",
			quoted(string(at.kind)), quoted(at.day), cmp.Or(dayText(says), "no events"), thereIs(is)))
	}
	for _, says := range counts {
		at := dayKind{says.Day, says.Kind}
		is := DayCount{Day: says.Day, Kind: says.Kind}
		if found := l.days[at]; found != nil {
			is = *found
			delete(l.days, at)
		}
		if !sameDay(says, is, l.head.Size, now.Size) {
			differs(at, says, is)
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(l.days), func(a, b dayKind) int {
		return strings.Compare(a.day+string(a.kind), b.day+string(b.kind))
	}) {
		differs(at, DayCount{}, *l.days[at])
	}
	if l.absent > 0 && short == l.absent {
		return nil // it counts the events that are missing, and those have been named
	}
	for _, text := range wrong {
		l.found.once(IndexDiffers, 0, 0, text)
	}
	return nil
}

// sameDay allows for what was appended since the verification began.
func sameDay(says, is DayCount, size, now int64) bool {
	if says.Last <= size {
		return says == is
	}
	return says.Last <= now && says.Events >= is.Events+1 && says.Events <= is.Events+now-size &&
		(says.First == is.First || is.Events == 0 && says.First > size)
}

func dayText(d DayCount) string {
	if d.Events == 0 {
		return ""
	}
	return fmt.Sprintf("%s, %s to %s", number(d.Events, "event"), Grouped(d.First), Grouped(d.Last))
}

func thereIs(d DayCount) string {
	switch d.Events {
	case 0:
		return "are none"
	case 1:
		return "is " + dayText(d)
	}
	return "are " + dayText(d)
}

// covers says what was looked at.
func (l *live) covers() {
	r := &l.report
	if r.Size == 0 {
		r.Covers = append(r.Covers, "The ledger is empty.")
		return
	}
	l.coversAll()
	l.coversRemoved()
	r.Covers = append(r.Covers, "The columns, names, words and counts that searches use, and that each closed run has as many events as its closing event counts"+l.but()+".",
		"Not the working tables, from which the pages of runs and their reports are made: only the events are evidence.")
}
