package audit_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
)

// book is a ledger in memory to export from. A body that is nil was removed.
type book struct {
	bodies [][]byte
	hashes []audit.Hash
	tree   audit.Tree
	breaks int // Scan fails at this call, from 1; 0: never
	scans  int

	removed int64 // events up to here went by the end
}

func (b *book) Head(context.Context) (audit.Head, error) {
	return audit.Head{Size: b.tree.Size, Root: b.tree.Root(), Removed: b.removed}, nil
}

func (b *book) add(tb testing.TB, events ...audit.Event) {
	tb.Helper()
	for _, e := range events {
		body, err := audit.Encode(b.tree.Size+1, e)
		if err != nil {
			tb.Fatal(err)
		}
		b.bodies = append(b.bodies, body)
		b.hashes = append(b.hashes, b.tree.Append(body)...)
	}
}

// bookOf has n events; every third one is of run r.
func bookOf(tb testing.TB, n int) *book {
	tb.Helper()
	b := &book{}
	for i := range n {
		e := full()
		e.ID, e.Run = fmt.Sprintf("event-%d", i+1), ""
		if i%3 == 2 {
			e.Run = "r"
		}
		b.add(tb, e)
	}
	return b
}

var errBroken = errors.New("broken")

// Scan knows no query but that for a kind and a run.
func (b *book) Scan(_ context.Context, q audit.Query, after, upTo int64, limit int) ([]audit.Record, error) {
	if b.breaks > 0 { // books that are whole are read side by side
		if b.scans++; b.scans == b.breaks {
			return nil, errBroken
		}
	}
	if q.Folded || q.Limit != 0 || q.Before != 0 || q.After != 0 {
		return nil, fmt.Errorf("a page was asked for, not events: %+v", q)
	}
	var out []audit.Record
	for seq := after + 1; seq <= upTo && len(out) < limit; seq++ {
		body := b.bodies[seq-1]
		if body == nil {
			continue
		}
		e, err := audit.Decode(body)
		if err != nil {
			return nil, err
		}
		if (q.Run == "" || q.Run == e.Run) && (q.Kind == "" || q.Kind == e.Kind) {
			out = append(out, audit.Record{Seq: seq, Body: body, Event: e})
		}
	}
	return out, nil
}

func (b *book) Hashes(_ context.Context, indexes []int64) ([]audit.Hash, error) {
	out := make([]audit.Hash, len(indexes))
	for i, at := range indexes {
		if at >= int64(len(b.hashes)) {
			return nil, fmt.Errorf("no hash %d", at)
		}
		out[i] = b.hashes[at]
	}
	return out, nil
}

// manifest is that of the whole book.
func (b *book) manifest(q audit.Query) audit.Manifest {
	return audit.Manifest{
		Cloud: full().Cloud, Tenant: full().Tenant, At: "2026-11-24T10:00:00.000Z", By: audit.Person{OID: "o", UPN: "auditor@contoso.example"},
		Query: q, Version: "v1", Size: b.tree.Size, Root: b.tree.Root(), Keys: audit.Keyring{{Seq: 2, Key: "evict+01234567+key"}},
	}
}

func export(tb testing.TB, src audit.ExportSource, f audit.Format, m audit.Manifest) string {
	tb.Helper()
	var out strings.Builder
	if _, err := audit.Export(tb.Context(), src, f, m, &out); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

// The lines of an export as somebody reads them who has docs/ledger.md only.
type (
	firstLine struct {
		Version     int               `json:"evict_export"`
		Origin      string            `json:"origin"`
		Cloud       string            `json:"cloud"`
		Tenant      string            `json:"tenant"`
		Rehearsal   string            `json:"rehearsal"`
		At          string            `json:"at"`
		By          audit.Person      `json:"by"`
		Query       map[string]string `json:"query"`
		Program     string            `json:"version"`
		Whole       bool              `json:"whole"`
		Size        int64             `json:"size"`
		Root        audit.Hash        `json:"root"`
		Removed     int64             `json:"removed_through"`
		Checkpoint  string            `json:"checkpoint"`
		Consistency []audit.Hash      `json:"consistency"`
		Keys        audit.Keyring     `json:"keys"`
	}
	middleLine struct {
		Seq     int64         `json:"seq"`
		Leaf    audit.Hash    `json:"leaf"`
		Body    *string       `json:"body"`
		Removed bool          `json:"removed"`
		Proof   *[]audit.Hash `json:"proof"`
	}
	lastLine struct {
		End     bool  `json:"end"`
		Events  int64 `json:"events"`
		Removed int64 `json:"removed"`
		First   int64 `json:"first"`
		Last    int64 `json:"last"`
	}
	read struct {
		first  firstLine
		events []middleLine
		last   lastLine
	}
)

// parse reads an export of JSON Lines strictly: each line has the fields of its kind and no others.
func parse(tb testing.TB, text string) (out read) {
	tb.Helper()
	lines := strings.SplitAfter(text, "\n")
	if n := len(lines); n < 3 || lines[n-1] != "" {
		tb.Fatalf("%d lines, and after them %q", n-1, lines[n-1])
	}
	strict := func(line string, v any) {
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(v); err != nil {
			tb.Fatalf("%q: %v", line, err)
		}
	}
	strict(lines[0], &out.first)
	strict(lines[len(lines)-2], &out.last)
	for _, line := range lines[1 : len(lines)-2] {
		var m middleLine
		strict(line, &m)
		out.events = append(out.events, m)
	}
	return out
}

func TestAWholeExportHoldsTheExactBytes(t *testing.T) {
	t.Parallel()
	b := bookOf(t, 2500)
	for _, s := range []string{"a\nb\r\u2028", "\u202egnp\u2066", `"},"seq":7,"x":"`, "\xff\x00", "<b>&amp;", "𝔘🙂"} {
		b.add(t, audit.Event{ID: s, Kind: audit.SignedIn, Reason: s, Operator: &audit.Person{Name: s}, Detail: map[string]string{s: s}})
	}
	got := parse(t, export(t, b, audit.JSONLines, b.manifest(audit.Query{Folded: true, Limit: 50})))
	want := firstLine{
		Version: 1, Origin: "evict/public/" + full().Tenant, Cloud: "public", Tenant: full().Tenant, At: "2026-11-24T10:00:00.000Z",
		By: audit.Person{OID: "o", UPN: "auditor@contoso.example"}, Query: map[string]string{}, Program: "v1", Whole: true, Size: 2506,
		Root: b.tree.Root(), Keys: audit.Keyring{{Seq: 2, Key: "evict+01234567+key"}},
	}
	if diff := cmp.Diff(want, got.first); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	if want := (lastLine{End: true, Events: 2506, First: 1, Last: 2506}); got.last != want {
		t.Errorf("end = %+v, want %+v", got.last, want)
	}
	var again audit.Tree
	for i, e := range got.events {
		if e.Seq != int64(i+1) || e.Proof != nil || e.Removed || *e.Body != string(b.bodies[i]) || e.Leaf != audit.LeafHash(b.bodies[i]) {
			t.Fatalf("line %d: %+v", i+2, e)
		}
		again.Append([]byte(*e.Body))
	}
	if again.Size != got.first.Size || again.Root() != got.first.Root {
		t.Errorf("the bytes make a tree of %d, %v; the manifest says %d, %v", again.Size, again.Root(), got.first.Size, got.first.Root)
	}
}

func TestEachEventOfAPartHasItsProof(t *testing.T) {
	t.Parallel()
	b := bookOf(t, 3500)
	for name, c := range map[string]struct {
		q           audit.Query
		size        int64 // of the tree; 0: all of it
		events      int64
		first, last int64
	}{
		"a run":            {audit.Query{Run: "r"}, 0, 1166, 3, 3498},
		"one event":        {audit.Query{After: 1233, Before: 1235}, 0, 1, 1234, 1234},
		"up to one":        {audit.Query{Before: 2}, 0, 1, 1, 1},
		"the last":         {audit.Query{After: 3499}, 0, 1, 3500, 3500},
		"beyond the tree":  {audit.Query{After: 3499, Before: 9999}, 3000, 0, 0, 0},
		"nothing":          {audit.Query{Kind: audit.LedgerKey}, 0, 0, 0, 0},
		"of an older tree": {audit.Query{Run: "r"}, 100, 33, 3, 99},
		"all, by accident": {audit.Query{Kind: full().Kind}, 0, 3500, 1, 3500},
		"of one":           {audit.Query{Before: 2}, 1, 1, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := *b
			m := b.manifest(c.q)
			if c.size != 0 {
				m.Size = c.size
				var err error
				if m.Root, err = audit.RootAt(c.size, func(ix []int64) ([]audit.Hash, error) { return b.Hashes(t.Context(), ix) }); err != nil {
					t.Fatal(err)
				}
			}
			got := parse(t, export(t, &b, audit.JSONLines, m))
			if want := (lastLine{End: true, Events: c.events, First: c.first, Last: c.last}); got.last != want || int64(len(got.events)) != c.events {
				t.Errorf("%d events, end = %+v, want %+v", len(got.events), got.last, want)
			}
			if got.first.Whole {
				t.Error("a part says that it is whole")
			}
			for _, e := range got.events {
				if err := audit.CheckEvent(*e.Proof, m.Size, m.Root, e.Seq, audit.LeafHash([]byte(*e.Body))); err != nil {
					t.Fatalf("event %d: %v", e.Seq, err)
				}
			}
		})
	}
}

func TestTheManifestSaysWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	b := bookOf(t, 3)
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	q := audit.Query{
		Operator: "1", Target: "2", Person: "3", Kind: "4", Outcome: "5", Run: "6", Ticket: "7", Text: "\u202e8", Folded: true, Firsts: true, From: at,
		To: at, Before: 12, After: 11, Limit: 13,
	}
	for f, v := range reflect.ValueOf(q).Fields() {
		if v.IsZero() {
			t.Errorf("this test sets no %s", f.Name)
		}
	}
	text := export(t, b, audit.JSONLines, b.manifest(q))
	want := map[string]string{
		"operator": "1", "target": "2", "person": "3", "kind": "4", "outcome": "5", "run": "6", "ticket": "7", "text": "\u202e8",
		"from": "2026-11-24T10:00:00.000Z", "to": "2026-11-24T10:00:00.000Z", "before": "12", "after": "11",
	}
	if diff := cmp.Diff(want, parse(t, text).first.Query); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if strings.Contains(text, "\u202e") {
		t.Error("a character that turns the direction of text stands in the file as it is")
	}
}

func newKey(tb testing.TB) *audit.Signer {
	tb.Helper()
	secret, _, err := audit.GenerateKey("evict")
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := audit.NewSigner(secret)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

// sign makes the checkpoint of the first size events.
func (b *book) sign(tb testing.TB, key *audit.Signer, size int64) audit.Checkpoint {
	tb.Helper()
	root, err := audit.RootAt(size, func(ix []int64) ([]audit.Hash, error) { return b.Hashes(tb.Context(), ix) })
	if err != nil {
		tb.Fatal(err)
	}
	c, err := key.Sign(audit.Origin(full().Cloud, full().Tenant), size, root)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestAnExportIsTiedToTheCheckpointBeforeIt(t *testing.T) {
	t.Parallel()
	b, key := bookOf(t, 1000), newKey(t)
	m := b.manifest(audit.Query{})
	for _, size := range []int64{1, 700, 1000} {
		m.Checkpoint = b.sign(t, key, size).Note
		got := parse(t, export(t, b, audit.JSONLines, m)).first
		signed, err := audit.ParseCheckpoint(got.Checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.Verify(signed, key.Public()); err != nil {
			t.Error(err)
		}
		if size == m.Size {
			if got.Consistency != nil || signed.Root != got.Root {
				t.Errorf("a checkpoint of the same size: proof %v", got.Consistency)
			}
		} else if err := audit.CheckConsistency(got.Consistency, got.Size, got.Root, signed.Size, signed.Root); err != nil {
			t.Errorf("of %d: %v", size, err)
		}
	}
	m.Size = 999
	if _, err := audit.Export(t.Context(), b, audit.JSONLines, m, io.Discard); err == nil {
		t.Error("an export went under a checkpoint that is newer than it")
	}
	m.Checkpoint = "no checkpoint"
	if _, err := audit.Export(t.Context(), b, audit.JSONLines, m, io.Discard); err == nil {
		t.Error("an export went under what is no checkpoint")
	}
}

func TestRemovedEventsLeaveTheirHashes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		through     int64
		keeps       []int64 // events of the ledger itself, which stay
		loses       []int64 // events that are missing without having been removed
		first, last int64
		removed     int64
	}{
		"the beginning":       {2500, nil, nil, 1, 3000, 2500},
		"but for the ledgers": {2500, []int64{1, 1200, 2500}, nil, 1, 3000, 2497},
		"everything":          {3000, nil, nil, 1, 3000, 3000},
		"everything but one":  {3000, []int64{2000}, nil, 1, 3000, 2999},
		"and a gap":           {10, nil, []int64{700, 3000}, 1, 2999, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bookOf(t, 3000)
			bodies := b.bodies
			b.bodies = append([][]byte{}, bodies...)
			clear(b.bodies[:c.through])
			for _, seq := range c.keeps {
				b.bodies[seq-1] = bodies[seq-1]
			}
			for _, seq := range c.loses {
				b.bodies[seq-1] = nil
			}
			m := b.manifest(audit.Query{})
			m.Removed = c.through
			got := parse(t, export(t, b, audit.JSONLines, m))
			events := 3000 - c.removed - int64(len(c.loses))
			if want := (lastLine{End: true, Events: events, Removed: c.removed, First: c.first, Last: c.last}); got.last != want {
				t.Errorf("end = %+v, want %+v", got.last, want)
			}
			if got.first.Removed != c.through || !got.first.Whole {
				t.Errorf("manifest: removed through %d, whole %v", got.first.Removed, got.first.Whole)
			}
			before := int64(0)
			for _, e := range got.events {
				if e.Seq <= before || e.Leaf != audit.LeafHash(bodies[e.Seq-1]) || e.Removed != (b.bodies[e.Seq-1] == nil) || e.Removed == (e.Body != nil) {
					t.Fatalf("after %d: %+v", before, e)
				}
				before = e.Seq
			}
			if n := int64(len(got.events)); n != events+c.removed {
				t.Errorf("%d lines of events, want %d", n, events+c.removed)
			}
		})
	}
}

func TestAnAlteredEventStandsBesideTheHashOfWhatItWas(t *testing.T) {
	t.Parallel()
	for _, altered := range []string{`{"v":1}`, "no event", "", "\x00\n\u202e"} {
		b := newMonotone(t, 3)
		was := audit.LeafHash(b.bodies[0])
		b.bodies[0] = []byte(altered)
		e := parse(t, export(t, b, audit.JSONLines, b.manifest(audit.Query{}))).events[1]
		if e.Leaf != was || e.Body == nil || *e.Body != altered {
			t.Errorf("%q: got %+v, want leaf %v", altered, e, was)
		}
	}
}

func TestAnExportThatWasCutOffShows(t *testing.T) {
	t.Parallel()
	b := bookOf(t, 5)
	whole := export(t, b, audit.JSONLines, b.manifest(audit.Query{}))
	for n := range len(whole) - 1 { // without its last line break it still ends with a whole line
		lines := strings.Split(whole[:n], "\n")
		var end lastLine
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &end); err == nil && end.End {
			t.Fatalf("%d of %d bytes look whole", n, len(whole))
		}
	}
}

func TestWhatIsExportedVerifies(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	says := func(kind audit.Kind, detail map[string]string) audit.Event {
		return audit.Event{Kind: kind, Time: full().Time, Cloud: full().Cloud, Tenant: full().Tenant, Detail: detail}
	}
	b := bookOf(t, 2200)
	b.add(t, says(audit.LedgerKey, map[string]string{"key": key.Public()}))
	sealed := b.sign(t, key, 1500)
	retention, err := key.SignRemoval(sealed.Origin, audit.Removal{Through: 1500, Root: sealed.Root, Events: 1500})
	if err != nil {
		t.Fatal(err)
	}
	b.add(t, says(audit.LedgerRemoved, retention.Detail()))
	m := b.manifest(audit.Query{})
	m.Checkpoint, m.Keys = b.sign(t, key, 2100).Note, audit.Keyring{{Seq: 2201, Key: key.Public()}}
	removed := *b
	removed.bodies = append([][]byte{}, b.bodies...)
	clear(removed.bodies[:1500])

	for name, c := range map[string]struct {
		src     *book
		q       audit.Query
		through int64
		want    audit.Report
	}{
		"the whole":                {b, audit.Query{}, 0, audit.Report{Whole: true, Events: 2202}},
		"a run":                    {b, audit.Query{Run: "r"}, 0, audit.Report{Events: 733}},
		"one event":                {b, audit.Query{After: 76, Before: 78}, 0, audit.Report{Events: 1}},
		"the whole, after removal": {&removed, audit.Query{}, 1500, audit.Report{Whole: true, Events: 702, Removed: 1500}},
		"a run, after removal":     {&removed, audit.Query{Run: "r"}, 1500, audit.Report{Events: 233}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := m
			m.Query, m.Removed = c.q, c.through
			text := export(t, c.src, audit.JSONLines, m)
			x := audit.Expect{Origin: sealed.Origin, Keys: []string{key.Public()}, Checkpoints: []audit.Checkpoint{b.sign(t, key, 1000)}}
			got, err := audit.VerifyExport(t.Context(), strings.NewReader(text), x)
			if err != nil || !got.Intact() {
				t.Fatalf("%v %+v", err, got.Problems)
			}
			if got.Whole != c.want.Whole || got.Events != c.want.Events || got.Removed != c.want.Removed || got.Size != 2202 || got.Root != m.Root {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			lines := strings.SplitAfter(text, "\n")
			for name, spoilt := range map[string]string{
				"cut off":     strings.Join(lines[:len(lines)-2], ""),
				"an event":    strings.Replace(text, "bernd@", "frida@", 1),
				"its outcome": strings.Replace(text, `\"outcome\":\"confirmed`, `\"outcome\":\"failed`, 1),
				"a line less": strings.Join(append(lines[:1:1], lines[2:]...), ""),
			} {
				if got, err := audit.VerifyExport(t.Context(), strings.NewReader(spoilt), x); err != nil || got.Intact() || spoilt == text {
					t.Errorf("%s: %v, intact: %v", name, err, got.Intact())
				}
			}
		})
	}
}

// disordered gives events as somebody would who rewrote the database, or a store that is wrong.
type disordered struct {
	*book
	seqs []int64
}

func (d disordered) Scan(context.Context, audit.Query, int64, int64, int) (out []audit.Record, _ error) {
	for _, seq := range d.seqs {
		out = append(out, audit.Record{Seq: seq})
	}
	return out, nil
}

// forgetful gives a hash less than it is asked for.
type forgetful struct{ *book }

func (f forgetful) Hashes(ctx context.Context, indexes []int64) ([]audit.Hash, error) {
	return f.book.Hashes(ctx, indexes[1:])
}

// fullDisk takes some bytes and no more.
type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

func TestAnExportSaysThatRetentionRemovedEventsMeanwhile(t *testing.T) {
	t.Parallel()
	b := bookOf(t, 20)
	b.removed = 12
	for _, c := range []struct {
		q       audit.Query
		removed int64 // when it began
		lost    bool
	}{
		{audit.Query{}, 0, true},
		{audit.Query{Run: "r"}, 11, true},
		{audit.Query{}, 12, false},
		{audit.Query{After: 11, Before: 13}, 0, true},
		{audit.Query{After: 12}, 0, false},
		{audit.Query{Kind: audit.SignedIn}, 0, true},
		{audit.Query{Kind: audit.LedgerKey}, 0, false}, // retention takes none
	} {
		for _, f := range []audit.Format{audit.JSONLines, audit.CSV, audit.OCSF} {
			m := b.manifest(c.q)
			m.Removed = c.removed
			var out strings.Builder
			_, err := audit.Export(t.Context(), b, f, m, &out)
			if c.lost != (err != nil && errors.Is(err, audit.ErrRemoving)) || c.lost && strings.Contains(out.String(), `"end"`) {
				t.Errorf("%s of %+v, begun at %d: %v", f, c.q, c.removed, err)
			}
		}
	}
}

func TestAnExportThatFailsHasNoEnd(t *testing.T) {
	t.Parallel()
	for _, f := range []audit.Format{audit.JSONLines, audit.CSV, audit.OCSF} {
		b := bookOf(t, 3500)
		m := b.manifest(audit.Query{})
		for name, src := range map[string]audit.ExportSource{
			"a read that fails":    &book{bodies: b.bodies, hashes: b.hashes, breaks: 3},
			"twice the same":       disordered{b, []int64{1, 2, 2}},
			"backwards":            disordered{b, []int64{2, 1}},
			"beyond the tree":      disordered{b, []int64{3501}},
			"hashes that miss":     forgetful{b},
			"a tree without leafs": &book{bodies: b.bodies},
		} {
			var out strings.Builder
			if _, err := audit.Export(t.Context(), src, f, m, &out); err == nil || strings.Contains(out.String(), `"end"`) {
				t.Errorf("%s, %s: %v", f, name, err)
			}
		}
		n, err := audit.Export(t.Context(), b, f, m, &fullDisk{room: 3 << 19})
		if !errors.Is(err, errBroken) || n == 0 || n == 3500 {
			t.Errorf("%s, a full disk: %d events, %v", f, n, err)
		}
	}
	if _, err := audit.Export(t.Context(), bookOf(t, 1), "xlsx", audit.Manifest{Size: 1}, io.Discard); err == nil {
		t.Error("an unknown format was exported")
	}
}

func TestEachFormatSaysThatItWasARehearsal(t *testing.T) {
	t.Parallel()
	b := bookOf(t, 2)
	for f, mark := range map[audit.Format]string{
		audit.JSONLines: `"rehearsal":"REHEARSAL: nothing is revoked"`, audit.CSV: `,"REHEARSAL: nothing is revoked"`, audit.OCSF: `"labels":["REHEARSAL"]`,
	} {
		m := b.manifest(audit.Query{})
		if real := export(t, b, f, m); strings.Contains(strings.ToLower(real), "rehearsal") {
			t.Errorf("%s says REHEARSAL of a real tenant: %s", f, real)
		}
		m.Rehearsal = true
		if got := strings.Count(export(t, b, f, m), mark); got != map[audit.Format]int{audit.JSONLines: 1, audit.CSV: 2, audit.OCSF: 2}[f] {
			t.Errorf("%s says REHEARSAL %d times", f, got)
		}
	}
}

func TestAnEmptyLedgerHasAnExport(t *testing.T) {
	t.Parallel()
	b := &book{}
	got := parse(t, export(t, b, audit.JSONLines, b.manifest(audit.Query{})))
	if !got.first.Whole || got.last != (lastLine{End: true}) || got.first.Root != b.tree.Root() || len(got.events) != 0 {
		t.Errorf("got %+v", got)
	}
}

// watch measures the heap while an export goes by.
type watch struct {
	written, next, most int64
	heap                func() int64
}

func (w *watch) Write(p []byte) (int, error) {
	if w.written += int64(len(p)); w.written >= w.next {
		w.next += 16 << 20
		w.most = max(w.most, w.heap())
	}
	return len(p), nil
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// monotone is a long ledger of one event, again and again.
type monotone struct {
	*book
	event audit.Event
}

func newMonotone(tb testing.TB, n int) monotone {
	tb.Helper()
	m := monotone{book: bookOf(tb, 1), event: full()}
	for range n - 1 {
		m.hashes = append(m.hashes, m.tree.Append(m.bodies[0])...)
	}
	return m
}

func (m monotone) Scan(_ context.Context, _ audit.Query, after, upTo int64, limit int) (out []audit.Record, _ error) {
	for seq := after + 1; seq <= upTo && len(out) < limit; seq++ {
		out = append(out, audit.Record{Seq: seq, Body: m.bodies[0], Event: m.event})
	}
	return out, nil
}

// Not parallel: it measures the heap.
func TestMemoryStaysFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the race detector needs memory of its own, and nothing happens at once here")
	}
	b := newMonotone(t, 200_000)
	for _, q := range []audit.Query{{}, {Kind: full().Kind}} {
		for _, f := range []audit.Format{audit.JSONLines, audit.CSV, audit.OCSF} {
			if f != audit.JSONLines && q.Kind != "" {
				continue // proofs are of JSON Lines
			}
			w, before := &watch{heap: heap}, heap()
			if n, err := audit.Export(t.Context(), b, f, b.manifest(q), w); err != nil || n != 200_000 {
				t.Fatalf("%s: %d events, %v", f, n, err)
			}
			t.Logf("%s, kind %q: %d MB written, heap grew by %d kB", f, q.Kind, w.written>>20, (w.most-before)>>10)
			if w.written < 100<<20 {
				t.Errorf("%s: only %d bytes were written", f, w.written)
			}
			if grew := w.most - before; grew > 12<<20 {
				t.Errorf("%s: the heap grew by %d kB for %d kB written", f, grew>>10, w.written>>10)
			}
		}
	}
}

// Lines that cannot turn the direction of text are written without a second look.
func TestNoCharacterOfAnyScriptTurnsALine(t *testing.T) {
	t.Parallel()
	for r := range rune(unicode.MaxRune) {
		if !unicode.Is(unicode.Bidi_Control, r) {
			continue
		}
		b := bookOf(t, 1)
		m := b.manifest(audit.Query{})
		m.By.Name = string(r)
		text := export(t, b, audit.JSONLines, m)
		if strings.ContainsRune(text, r) || parse(t, text).first.By.Name != string(r) {
			t.Errorf("%U stands in %s", r, text)
		}
	}
}

func FuzzExport(f *testing.F) {
	f.Add("a\nb", "=1+1", "\u202e", "k\r\n", `"v"`)
	f.Add("\xff\xfe", "\x00", `","seq":7`, ",", ";")
	f.Fuzz(func(t *testing.T, id, name, reason, key, value string) {
		b := &book{}
		who := &audit.Person{OID: id, UPN: name, Name: value, Address: key, Roles: []string{reason, key}}
		b.add(t, audit.Event{
			ID: id, Time: value, Kind: audit.Kind(key), Operator: who, Target: who, Run: id, Plan: value, Reason: reason, Ticket: value, Outcome: key,
			Evidence: &audit.Evidence{T0: id, Code: key, Message: reason}, Detail: map[string]string{key: value},
		})
		m := b.manifest(audit.Query{})
		text := export(t, b, audit.JSONLines, m)
		if got := parse(t, text); len(got.events) != 1 || *got.events[0].Body != string(b.bodies[0]) {
			t.Errorf("got %+v", got)
		}
		harmless(t, text)
		sheet := export(t, b, audit.CSV, m)
		readCSV(t, sheet, 1)
		line := export(t, b, audit.OCSF, m)
		if strings.Count(line, "\n") != 1 || !json.Valid([]byte(line)) {
			t.Errorf("not one line of JSON: %q", line)
		}
		harmless(t, line)
	})
}

// BenchmarkExport exports 100,000 events to a file. The ideal writes their bodies to a file and does nothing else.
func BenchmarkExport(b *testing.B) {
	const n = 100_000
	src := newMonotone(b, n)
	file, err := os.Create(filepath.Join(b.TempDir(), "export"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	rewind := func() {
		if err := errors.Join(file.Truncate(0), seek(file)); err != nil {
			b.Fatal(err)
		}
	}
	const ideals = 5
	began := time.Now()
	for range ideals {
		rewind()
		out := bufio.NewWriterSize(file, 1<<16)
		for range n {
			_, _ = out.Write(src.bodies[0])
		}
		if err := out.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	ideal := time.Since(began) / ideals
	for _, c := range []struct {
		name string
		f    audit.Format
		q    audit.Query
	}{
		{"jsonl", audit.JSONLines, audit.Query{}}, {"jsonl-with-proofs", audit.JSONLines, audit.Query{Kind: full().Kind}},
		{"csv", audit.CSV, audit.Query{}}, {"ocsf", audit.OCSF, audit.Query{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				rewind()
				if got, err := audit.Export(b.Context(), src, c.f, src.manifest(c.q), file); err != nil || got != n {
					b.Fatal(got, err)
				}
			}
			each := b.Elapsed() / time.Duration(b.N)
			b.ReportMetric(float64(n)/each.Seconds(), "events/s")
			b.ReportMetric(ideal.Seconds()/each.Seconds(), "ratio")
		})
	}
}

func seek(f io.Seeker) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}
