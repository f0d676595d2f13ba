package audit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"evict/internal/audit"
	"evict/internal/audit/audittest"
)

// exported takes events away as JSON Lines, a line each, with the newest checkpoint.
func exported(tb testing.TB, l *ledger, q audit.Query) []string {
	tb.Helper()
	m := audit.Manifest{
		Cloud: l.cloud, Tenant: l.tenant, At: "2026-11-24T10:00:00.000Z", By: audit.Person{UPN: "auditor@contoso.example"}, Query: q,
		Version: "v1", Size: l.head.Size, Root: l.head.Root, Removed: l.head.Removed,
	}
	if n := len(l.signed); n > 0 {
		m.Checkpoint = l.signed[n-1].Note
	}
	m.Keys = l.keyring(tb)
	var out bytes.Buffer
	if _, err := audit.Export(tb.Context(), l, audit.JSONLines, m, &out); err != nil {
		tb.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func verifyFile(tb testing.TB, lines []string, x audit.Expect) audit.Report {
	tb.Helper()
	r, err := audit.VerifyExport(tb.Context(), strings.NewReader(strings.Join(lines, "\n")+"\n"), x)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestAnExportVerifiesOnItsOwn(t *testing.T) {
	t.Parallel()
	l, key := typical(t)
	own := []audit.Checkpoint{l.signed[1].Checkpoint, l.signed[3].Checkpoint}
	x := audit.Expect{Origin: testOrigin, Keys: []string{key.Public()}, Checkpoints: own}

	r := verifyFile(t, exported(t, l, audit.Query{}), x)
	only(t, r)
	if !r.Whole || r.Size != 99 || r.Events != 99 || r.Root != l.head.Root || r.Checkpoints != 3 || r.Own != 2 {
		t.Errorf("whole: %+v", r)
	}
	part := exported(t, l, audit.Query{Run: "b"})
	r = verifyFile(t, part, x)
	only(t, r)
	covers := strings.Join(r.Covers, "\n")
	if r.Whole || r.Size != 99 || r.Events != 63 || r.Own != 1 || !strings.Contains(covers, "You brought 2 checkpoints, and that of 14 events could not be compared") ||
		!strings.Contains(covers, "63 events of a tree of 99") || !strings.Contains(covers, "only at the size of its own tree, 96 or 99 events.") {
		t.Errorf("part: %+v", r)
	}
	only(t, verifyFile(t, part, audit.Expect{}))
	only(t, verifyFile(t, exported(t, l, audit.Query{Kind: audit.SignInDenied}), audit.Expect{}))
	only(t, verifyFile(t, exported(t, newLedger(testCloud, testTenant), audit.Query{}), audit.Expect{}))
	only(t, verifyFile(t, append([]string{"\ufeff" + part[0] + "\r"}, part[1:]...), audit.Expect{}))

	l.remove(t, key, 78)
	l.sign(t, key)
	r = verifyFile(t, exported(t, l, audit.Query{}), x)
	only(t, r)
	if !r.Whole || r.Removed != 76 || r.Events != 24 {
		t.Errorf("removed: %+v", r)
	}
}

// edited changes fields of a line.
func edited(tb testing.TB, line string, fields map[string]any) string {
	tb.Helper()
	var v map[string]any
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		tb.Fatal(err)
	}
	for name, value := range fields {
		v[name] = value
		if value == nil {
			delete(v, name)
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(out)
}

// bodyOf is the body that a line holds.
func bodyOf(tb testing.TB, line string) string {
	tb.Helper()
	var v struct{ Body string }
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		tb.Fatal(err)
	}
	return v.Body
}

func leafText(body string) string {
	h := audit.LeafHash([]byte(body))
	return base64.StdEncoding.EncodeToString(h[:])
}

func TestAnExportThatWasTamperedWithIsNamed(t *testing.T) {
	t.Parallel()
	l, key := typical(t)
	other := newSigner(t, "evict")
	wholeLines, partLines := exported(t, l, audit.Query{}), exported(t, l, audit.Query{Run: "b"})
	own := l.signed[1].Checkpoint
	altered := func(t *testing.T, line string) (body string) {
		return strings.Replace(bodyOf(t, line), "phished", "holiday", 1)
	}
	foreign, err := other.Sign(testOrigin, 96, l.signed[3].Root)
	if err != nil {
		t.Fatal(err)
	}
	type lines = []string
	for _, c := range []struct {
		name   string
		part   bool
		x      audit.Expect
		tamper func(t *testing.T, f lines) lines
		wants  []want
		only   bool
	}{
		{name: "cut off", tamper: func(_ *testing.T, f lines) lines { return f[:51] }, wants: []want{
			{audit.Unreadable, 0, 0, "The export is cut off after event 50"}, {audit.Missing, 51, 99, "at the end of the export"},
		}, only: true},
		{name: "cut off within a line", tamper: func(_ *testing.T, f lines) lines { return append(f[:51:51], f[51][:20]) }, wants: []want{
			{audit.Unreadable, 0, 0, "cut off after event 50"}, {audit.Unreadable, 52, 52, "Line 52 is not JSON"},
		}},
		{name: "part cut off", part: true, tamper: func(_ *testing.T, f lines) lines { return f[:len(f)-1] },
			wants: []want{{audit.Unreadable, 0, 0, "cut off after event 78"}}, only: true},
		{name: "event left out", tamper: func(_ *testing.T, f lines) lines { return slices.Delete(f, 20, 22) }, wants: []want{
			{audit.Missing, 20, 21, "Events 20 and 21 are missing."}, {audit.Missing, 0, 0, "it holds 99 events"}, {audit.RunGap, 78, 78, ""},
		}, only: true},
		{name: "event left out of a run", part: true, tamper: func(_ *testing.T, f lines) lines { return slices.Delete(f, 20, 21) }, wants: []want{
			{audit.Missing, 0, 0, "The export says at its end that it holds 63 events and 0 removed, 16 to 78: there are 62"}, {audit.RunGap, 78, 78, ""},
		}, only: true},
		{name: "line twice", tamper: func(_ *testing.T, f lines) lines { return slices.Insert(f, 20, f[19]) },
			wants: []want{{audit.Misplaced, 19, 19, "Event 19 stands twice, the second time in line 21"}}, only: true},
		{name: "lines in another order", part: true, tamper: func(_ *testing.T, f lines) lines { f[20], f[21] = f[21], f[20]; return f },
			wants: []want{{audit.Misplaced, 35, 35, "it stands after event 36"}}},
		{name: "body altered", tamper: func(t *testing.T, f lines) lines {
			f[20] = edited(t, f[20], map[string]any{"body": altered(t, f[20])})
			return f
		}, wants: []want{{audit.Altered, 20, 20, "Event 20 was altered"}}, only: true},
		{name: "body altered in a part", part: true, tamper: func(t *testing.T, f lines) lines {
			f[20] = edited(t, f[20], map[string]any{"body": altered(t, f[20])})
			return f
		}, wants: []want{{audit.Altered, 35, 35, ""}}, only: true},
		{name: "body and leaf altered", tamper: func(t *testing.T, f lines) lines {
			body := altered(t, f[20])
			f[20] = edited(t, f[20], map[string]any{"body": body, "leaf": leafText(body)})
			return f
		}, wants: []want{
			{audit.Unproven, 1, 99, "The events do not make the tree that the export names"},
			{audit.Inconsistent, 1, 96, "The tree contradicts the checkpoint of 96 events"},
		}, only: true},
		{name: "body and leaf altered, and an own checkpoint of before", x: audit.Expect{Checkpoints: []audit.Checkpoint{own}}, tamper: func(t *testing.T, f lines) lines {
			body := altered(t, f[20])
			f[20] = edited(t, f[20], map[string]any{"body": body, "leaf": leafText(body)})
			return f
		}, wants: []want{{audit.Unproven, 15, 99, ""}, {audit.Inconsistent, 15, 96, "The checkpoint of 14 events holds."}}, only: true},
		{name: "body and leaf altered in a part", part: true, tamper: func(t *testing.T, f lines) lines {
			body := altered(t, f[20])
			f[20] = edited(t, f[20], map[string]any{"body": body, "leaf": leafText(body)})
			return f
		}, wants: []want{{audit.Unproven, 35, 35, "Event 35 is not proven"}}, only: true},
		{name: "leaf forged", tamper: func(t *testing.T, f lines) lines {
			f[20] = edited(t, f[20], map[string]any{"leaf": leafText("x")})
			return f
		}, wants: []want{{audit.Altered, 20, 20, ""}}, only: true},
		{name: "another number on the line", part: true, tamper: func(t *testing.T, f lines) lines {
			f[63] = edited(t, f[63], map[string]any{"seq": 79})
			return f
		}, wants: []want{{audit.Misplaced, 79, 79, "its bytes are those of event 78"}, {audit.Unproven, 79, 79, ""}}},
		{name: "number beyond the tree", part: true, tamper: func(t *testing.T, f lines) lines {
			return slices.Insert(f, 64, edited(t, f[63], map[string]any{"seq": 100}))
		}, wants: []want{{audit.Unreadable, 65, 65, "Line 65 has an event that is not one of the tree's 99"}}, only: true},
		{name: "proof shortened", part: true, tamper: func(t *testing.T, f lines) lines {
			f[20] = edited(t, f[20], map[string]any{"proof": []string{}})
			return f
		}, wants: []want{{audit.Unproven, 35, 35, ""}}, only: true},
		{name: "called removed", tamper: func(t *testing.T, f lines) lines {
			f[20] = edited(t, f[20], map[string]any{"body": nil, "removed": true})
			return f
		}, wants: []want{{audit.Missing, 20, 20, "no signed event says that retention removed them"}}},
		{name: "called removed in a part", part: true, tamper: func(t *testing.T, f lines) lines {
			f[20] = edited(t, f[20], map[string]any{"body": nil, "removed": true})
			return f
		}, wants: []want{{audit.Unreadable, 21, 21, "Line 21 is not an event of this export"}}},
		{name: "root of another tree", tamper: func(t *testing.T, f lines) lines {
			f[0] = edited(t, f[0], map[string]any{"root": leafText("x")})
			return f
		}, wants: []want{{audit.Unproven, 97, 99, ""}}, only: true},
		{name: "root of another tree in a part", part: true, tamper: func(t *testing.T, f lines) lines {
			f[0] = edited(t, f[0], map[string]any{"root": leafText("x")})
			return f
		}, wants: []want{{audit.Unproven, 16, 78, "Events 16 to 78 are not proven"}, {audit.Unproven, 0, 0, "the proof of consistency does not lead there"}}, only: true},
		{name: "checkpoint of another ledger", tamper: func(t *testing.T, f lines) lines {
			c, err := key.Sign("evict/public/x", 96, l.signed[3].Root)
			if err != nil {
				t.Fatal(err)
			}
			f[0] = edited(t, f[0], map[string]any{"checkpoint": c.Note})
			return f
		}, wants: []want{{audit.WrongOrigin, 0, 0, "of another ledger"}}, only: true},
		{name: "signed by another key that the file names", tamper: func(t *testing.T, f lines) lines {
			f[0] = edited(t, f[0], map[string]any{"checkpoint": foreign.Note, "keys": audit.Keyring{{Seq: 2, Key: other.Public()}}})
			return f
		}, wants: []want{{audit.UnknownKey, 0, 0, audit.KeyID(other.Public())}}, only: true},
		{name: "part signed by another key that the file names", part: true, x: audit.Expect{Keys: []string{key.Public()}},
			tamper: func(t *testing.T, f lines) lines {
				f[0] = edited(t, f[0], map[string]any{"checkpoint": foreign.Note, "keys": audit.Keyring{{Seq: 2, Key: other.Public()}}})
				return f
			}, wants: []want{{audit.UnknownKey, 0, 0, "which none of your keys vouches for"}, {audit.UnknownKey, 0, 0, "Nothing here is signed"}}, only: true},
		{name: "another ledger than expected", x: audit.Expect{Origin: "evict/public/x"}, tamper: func(_ *testing.T, f lines) lines { return f }, wants: []want{
			{audit.WrongOrigin, 0, 0, "The export is of another ledger"}, {audit.WrongOrigin, 1, 99, "Events 1 to 99 are of another ledger"},
		}},
		{name: "contradicts the auditor's checkpoint", part: true, x: audit.Expect{Checkpoints: []audit.Checkpoint{l.signed[3].Checkpoint}},
			tamper: func(t *testing.T, _ lines) lines {
				forged := l.clone()
				replaced(forged, 20, "phished", "holiday")
				forged.rebuild()
				forged.signed = forged.signed[:3]
				drop(forged, 97, 99)
				forged.rebuild()
				forged.sign(t, key)
				return exported(t, forged, audit.Query{Run: "b"})
			}, wants: []want{{audit.Inconsistent, 96, 96, "contradicts your checkpoint"}}},
		{name: "something after the end", tamper: func(_ *testing.T, f lines) lines { return append(f, "", "{}") },
			wants: []want{{audit.Unreadable, 0, 0, "Something follows the last line"}}, only: true},
		{name: "a line that is too long", tamper: func(_ *testing.T, f lines) lines { f[20] += strings.Repeat(" ", 5<<20); return f },
			wants: []want{{audit.Unreadable, 0, 0, "Line 21 is longer than 4 MB"}}},
		{name: "impossible size", tamper: func(t *testing.T, f lines) lines {
			return lines{edited(t, f[0], map[string]any{"size": json.Number("9223372036854775807")})}
		}, wants: []want{{audit.Unreadable, 0, 0, "first line"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			from := wholeLines
			if c.part {
				from = partLines
			}
			r := verifyFile(t, c.tamper(t, slices.Clone(from)), c.x)
			check(t, r, c.wants...)
			if c.only && len(r.Problems) != len(c.wants) {
				t.Errorf("%d problems, want %d: %+v", len(r.Problems), len(c.wants), r.Problems)
			}
		})
	}
}

// consistencyFile is a proof as docs/ledger.md has it.
func consistencyFile(tb testing.TB, l *ledger, from, to audit.Checkpoint) string {
	tb.Helper()
	proof, err := audit.ProveConsistency(from.Size, to.Size, l.stored)
	if err != nil {
		tb.Fatal(err)
	}
	line, err := json.Marshal(map[string]any{
		"evict_consistency": 1, "origin": l.origin, "from": from.Note, "to": to.Note, "proof": proof, "keys": l.keyring(tb),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return string(line)
}

func TestAPartIsHeldAgainstCheckpointsThatProofsLeadTo(t *testing.T) {
	t.Parallel()
	l, key := typical(t)
	part := exported(t, l, audit.Query{Kind: audit.SignInDenied})
	at := func(i int) audit.Checkpoint { return l.signed[i].Checkpoint }
	proof := func(l *ledger, from, to audit.Checkpoint) audit.Consistency {
		p, err := audit.ParseConsistency([]byte(consistencyFile(t, l, from, to)))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	x := audit.Expect{Keys: []string{key.Public()}, Checkpoints: []audit.Checkpoint{at(1), at(2)}}
	covers := func(r audit.Report) string { return strings.Join(r.Covers, "\n") }

	r := verifyFile(t, part, x)
	only(t, r)
	if got := covers(r); r.Own != 0 || r.Brought != 2 || !strings.Contains(got, "You brought 2 checkpoints, and 2 of them, of 14 to 78 events, could not be compared") ||
		!strings.Contains(got, "between the one of 78 events and that") || strings.Contains(got, "Bring") {
		t.Errorf("without a proof, %d of %d:\n%s", r.Own, r.Brought, got)
	}
	x.Proofs = []audit.Consistency{proof(l, at(1), at(2)), proof(l, at(2), at(3))} // one by way of the other
	r = verifyFile(t, part, x)
	only(t, r)
	if got := covers(r); r.Own != 2 || !strings.Contains(got, "Your checkpoint of 78 events is in the tree") || strings.Contains(got, "could not be compared") {
		t.Errorf("with proofs, %d of %d:\n%s", r.Own, r.Brought, got)
	}
	x.Proofs = x.Proofs[:1]
	if r = verifyFile(t, part, x); !r.Intact() || r.Own != 0 || !strings.Contains(covers(r), "Of the proofs of consistency, 1 led neither") {
		t.Errorf("with a proof that leads elsewhere: %+v", r)
	}

	forged := l.clone()
	replaced(forged, 5, "phished", "holiday")
	forged.rebuild()
	other := x
	other.Checkpoints = []audit.Checkpoint{forged.sign(t, key)}
	other.Proofs = []audit.Consistency{proof(forged, other.Checkpoints[0], other.Checkpoints[0])} // another tree of the same size
	check(t, verifyFile(t, part, other), want{audit.Inconsistent, 0, 0, "It is not proven that the tree of 99 events"})
	x.Proofs[0] = proof(l, at(2), at(3))
	x.Proofs[0].Proof[0][0] ^= 1
	only(t, verifyFile(t, part, x), want{audit.Inconsistent, 0, 0, "It is not proven that the tree of 78 events is the beginning of the tree of 96"})
	x.Proofs[0].From = "x"
	if _, err := audit.VerifyExport(t.Context(), strings.NewReader(""), x); err == nil {
		t.Error("a proof without a checkpoint is taken")
	}
}

func TestTheExportOfOneRunSaysThatItIsComplete(t *testing.T) {
	t.Parallel()
	l, _ := typical(t)
	l.add(t, audit.Event{Kind: audit.PlanCreated, Run: "d"}, audit.Event{Kind: audit.RunStarted, Run: "d"})
	const part = "that it holds all that was asked for"
	run := exported(t, l, audit.Query{Run: "b"})
	for name, c := range map[string]struct {
		lines []string
		says  string
		whole bool
	}{
		"closed":           {run, `The run "b" is complete: 63 events, as many as its closing event 78 counts.`, true},
		"open":             {exported(t, l, audit.Query{Run: "d"}), part, false},
		"cut off":          {run[:len(run)-1], part, false},
		"one event less":   {slices.Delete(slices.Clone(run), 20, 21), part, false},
		"of a kind":        {exported(t, l, audit.Query{Run: "b", Kind: audit.RunFinished}), part, false},
		"the whole ledger": {exported(t, l, audit.Query{}), "Each closed run in it", false},
	} {
		covers := strings.Join(verifyFile(t, c.lines, audit.Expect{}).Covers, "\n")
		if !strings.Contains(covers, c.says) || strings.Contains(covers, "is complete") != c.whole || c.whole && strings.Contains(covers, part) {
			t.Errorf("%s:\n%s", name, covers)
		}
	}
}

func TestAProofOfConsistencyVerifiesOnItsOwn(t *testing.T) {
	t.Parallel()
	l, key := typical(t)
	for i := range l.signed {
		for j := i; j < len(l.signed); j++ {
			from, to := l.signed[i].Checkpoint, l.signed[j].Checkpoint
			r := verifyFile(t, []string{consistencyFile(t, l, from, to)}, audit.Expect{
				Origin: testOrigin, Keys: []string{key.Public()}, Checkpoints: []audit.Checkpoint{from},
			})
			only(t, r)
			if r.Size != to.Size || r.Root != to.Root || r.Own != 1 {
				t.Errorf("%d to %d: %+v", from.Size, to.Size, r)
			}
		}
	}
	forged := l.clone()
	replaced(forged, 5, "phished", "holiday")
	forged.rebuild()
	forged.signed = nil
	text := consistencyFile(t, forged, l.signed[1].Checkpoint, forged.sign(t, key))
	only(t, verifyFile(t, []string{text}, audit.Expect{}), want{audit.Inconsistent, 0, 0, "It is not proven that the tree of 14 events is the beginning of the tree of 99"})

	good := consistencyFile(t, l, l.signed[1].Checkpoint, l.signed[2].Checkpoint)
	only(t, verifyFile(t, []string{good}, audit.Expect{Checkpoints: []audit.Checkpoint{forged.signed[0].Checkpoint}}))
	only(t, verifyFile(t, []string{good, "{}"}, audit.Expect{}), want{audit.Unreadable, 0, 0, "Something follows"})
	only(t, verifyFile(t, []string{edited(t, good, map[string]any{"to": "x"})}, audit.Expect{}), want{audit.Unreadable, 0, 0, "two checkpoints"})
	only(t, verifyFile(t, []string{edited(t, good, map[string]any{"keys": []string{}})}, audit.Expect{}), want{audit.UnknownKey, 0, 0, "2 checkpoints, of 14 to 78 events"})
}

func TestAFileThatCannotBeReadIsAnErrorAndNoVerdict(t *testing.T) {
	t.Parallel()
	l, _ := typical(t)
	text := strings.Join(exported(t, l, audit.Query{}), "\n")
	for _, read := range []int{0, 10, 5000} {
		r := io.MultiReader(strings.NewReader(text[:read]), iotest.ErrReader(errRead))
		if _, err := audit.VerifyExport(t.Context(), r, audit.Expect{}); !errors.Is(err, errRead) {
			t.Errorf("after %d bytes: %v", read, err)
		}
	}
}

func FuzzVerifyExport(f *testing.F) {
	l, key := typical(f)
	for _, q := range []audit.Query{{}, {Run: "a"}} {
		f.Add(strings.Join(exported(f, l, q)[:6], "\n"))
	}
	f.Add(consistencyFile(f, l, l.signed[1].Checkpoint, l.signed[2].Checkpoint))
	l.remove(f, key, 14)
	f.Add(strings.Join(exported(f, l, audit.Query{}), "\n"))
	f.Fuzz(func(t *testing.T, text string) {
		r, err := audit.VerifyExport(t.Context(), strings.NewReader(text), audit.Expect{})
		if err != nil && !errors.Is(err, audit.ErrNotExport) {
			t.Fatal(err)
		}
		for _, p := range r.Problems {
			if p.Text == "" || strings.ContainsAny(p.Text, "\n\u202e") {
				t.Errorf("%q", p.Text)
			}
		}
		if fmt.Sprint(r) == "" {
			t.Error("no report")
		}
	})
}

func TestAVerifierMadeFromTheDocumentAgrees(t *testing.T) {
	t.Parallel()
	l, key := typical(t)
	removed := l.clone()
	next := newSigner(t, "evict")
	removed.remove(t, key, 14)
	removed.rotate(t, key, next)
	removed.sign(t, next)
	l.sign(t, key)
	for _, c := range []struct {
		l *ledger
		q audit.Query
	}{{l, audit.Query{}}, {l, audit.Query{Run: "b"}}, {l, audit.Query{Kind: audit.SignedIn}}, {removed, audit.Query{}}, {removed, audit.Query{Run: "b"}}} {
		q, lines := c.q, exported(t, c.l, c.q)
		if err := audittest.Verify(strings.Join(lines, "\n"), key.Public()); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
		if audittest.Verify(strings.Join(lines, "\n"), newSigner(t, "evict").Public()) == nil {
			t.Errorf("%+v: it agrees with any key", q)
		}
		for at, line := range lines[1 : len(lines)-1] {
			if strings.Contains(line, `"removed":true`) {
				continue
			}
			forged := slices.Clone(lines)
			forged[at+1] = edited(t, line, map[string]any{"body": strings.Replace(bodyOf(t, line), "contoso", "fabrikam", 1) + " "})
			if audittest.Verify(strings.Join(forged, "\n"), key.Public()) == nil || verifyFile(t, forged, audit.Expect{}).Intact() {
				t.Errorf("%+v: line %d may be anything", q, at+2)
			}
		}
		for _, cut := range [][]string{lines[:len(lines)-1], slices.Delete(slices.Clone(lines), 1, 2)} {
			if audittest.Verify(strings.Join(cut, "\n"), key.Public()) == nil {
				t.Errorf("%+v: lines may be missing", q)
			}
		}
	}
}

func TestTheIndependentVerifierIsShortAndStandsAlone(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("audittest/alone.go")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(source), "\n"); lines >= 100 {
		t.Errorf("it has %d lines", lines)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "alone.go", source, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Imports {
		if strings.Contains(i.Path.Value, ".") || strings.Contains(i.Path.Value, "evict") {
			t.Errorf("it imports %s, which is not of the standard library", i.Path.Value)
		}
	}
}

func TestAFileThatIsNoExportIsAnErrorAndNoVerdict(t *testing.T) {
	t.Parallel()
	l, _ := typical(t)
	good := exported(t, l, audit.Query{})
	for name, text := range map[string]string{
		"empty": "", "a table": "sequence,time\n1,2\n", "an event": `{"time":1,"class_uid":3002}` + "\n", "a checkpoint": l.signed[0].Note,
		"compressed": "\x1f\x8b\x08\x00", "newer form": edited(t, good[0], map[string]any{"evict_export": 2}) + "\n",
	} {
		if _, err := audit.VerifyExport(t.Context(), strings.NewReader(text), audit.Expect{}); !errors.Is(err, audit.ErrNotExport) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAuditorWithTheFirstKeyFollowsAPartToTheNewestOne(t *testing.T) {
	t.Parallel()
	l, first := typical(t)
	second := newSigner(t, "evict")
	l.rotate(t, first, second)
	l.add(t, audit.Event{Kind: audit.SignInDenied})
	l.sign(t, second)
	for name, q := range map[string]audit.Query{
		"without an event of a key": {Run: "b"}, "with the first one": {After: 1, Before: 9}, "with the change": {Kind: audit.LedgerKey},
	} {
		part := exported(t, l, q)
		only(t, verifyFile(t, part, audit.Expect{}))
		only(t, verifyFile(t, part, audit.Expect{Keys: []string{first.Public()}}))
		only(t, verifyFile(t, part, audit.Expect{Keys: []string{second.Public()}}))
		keys := l.keyring(t)
		keys[1].Signature = keys[0].Signature
		if r := verifyFile(t, append([]string{edited(t, part[0], map[string]any{"keys": keys})}, part[1:]...), audit.Expect{Keys: []string{first.Public()}}); r.Intact() && q.Kind == "" {
			t.Errorf("%s: a key that the first line names without the word of the first one counts", name)
		}
	}
	proof := consistencyFile(t, l, l.signed[1].Checkpoint, l.signed[len(l.signed)-1].Checkpoint)
	only(t, verifyFile(t, []string{proof}, audit.Expect{Keys: []string{first.Public()}}))
}

func TestAKeyThatWasReplacedSignsNoExport(t *testing.T) {
	t.Parallel()
	l, first := typical(t)
	second := newSigner(t, "evict")
	l.rotate(t, first, second)
	l.sign(t, second)
	l.add(t, audit.Event{Kind: audit.SignInDenied})
	l.sign(t, first)
	for _, q := range []audit.Query{{}, {Run: "b"}} {
		check(t, verifyFile(t, exported(t, l, q), audit.Expect{Keys: []string{second.Public()}}),
			want{audit.UnknownKey, 0, 0, "which event 100 had replaced"})
	}
}

func TestACheckpointThatIsNewerThanAnExportIsNoProblemOfIt(t *testing.T) {
	t.Parallel()
	l, _ := typical(t)
	short := l.clone()
	drop(short, 80, 99)
	short.signed = short.signed[:3]
	short.rebuild()
	own := []audit.Checkpoint{l.signed[1].Checkpoint, l.signed[3].Checkpoint}
	for _, q := range []audit.Query{{}, {Run: "b"}} {
		r := verifyFile(t, exported(t, short, q), audit.Expect{Checkpoints: own})
		only(t, r)
		if !slices.Equal(r.Newer, []int64{96}) || !strings.Contains(strings.Join(r.Covers, " "), "Newer than this export of 79 events: your checkpoint of 96 events.") {
			t.Errorf("%+v: %+v", q, r)
		}
	}
}
