package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
)

// jsonLines writes the evidence. docs/ledger.md has the form of each line.
type jsonLines struct {
	*lineWriter
	m               Manifest
	read            Hashes
	events, removed int64
	first, last     int64 // sequence numbers on the first line and on the one written last; 0: none yet
}

type manifestLine struct {
	Export      int       `json:"evict_export"`
	Origin      string    `json:"origin"`
	Cloud       string    `json:"cloud"`
	Tenant      string    `json:"tenant"`
	Rehearsal   string    `json:"rehearsal,omitempty"` // the word, on a simulated tenant
	At          string    `json:"at"`
	By          Person    `json:"by"`
	Query       queryText `json:"query"`
	Version     string    `json:"version"`
	Whole       bool      `json:"whole"`
	Size        int64     `json:"size"`
	Root        Hash      `json:"root"`
	Removed     int64     `json:"removed_through,omitempty"`
	Checkpoint  string    `json:"checkpoint,omitempty"`
	Consistency []Hash    `json:"consistency,omitempty"`
	Keys        Keyring   `json:"keys"`
}

// queryText is what of a query chooses events, as plain strings.
type queryText struct {
	Operator string `json:"operator,omitempty"`
	Target   string `json:"target,omitempty"`
	Person   string `json:"person,omitempty"`
	Kind     string `json:"kind,omitempty"`
	Outcome  string `json:"outcome,omitempty"`
	Run      string `json:"run,omitempty"`
	Ticket   string `json:"ticket,omitempty"`
	Text     string `json:"text,omitempty"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	Before   string `json:"before,omitempty"`
	After    string `json:"after,omitempty"`
}

// eventLine has its hashes as text: marshalling each by itself takes three times as long.
type eventLine struct {
	Seq     int64    `json:"seq"`
	Leaf    string   `json:"leaf"`
	Body    *string  `json:"body,omitempty"`
	Removed bool     `json:"removed,omitempty"`
	Proof   []string `json:"proof,omitzero"` // in a tree of one event a proof is there, and empty
}

type endLine struct {
	End     bool  `json:"end"`
	Events  int64 `json:"events"`
	Removed int64 `json:"removed"`
	First   int64 `json:"first"`
	Last    int64 `json:"last"`
}

func rehearsal(yes bool) string {
	if yes {
		return Rehearsed
	}
	return ""
}

func (j *jsonLines) begin() error {
	m := j.m
	line := manifestLine{
		Export: 1, Origin: Origin(m.Cloud, m.Tenant), Cloud: m.Cloud, Tenant: m.Tenant, Rehearsal: rehearsal(m.Rehearsal), At: m.At, By: m.By,
		Query: queryTextOf(m.Query), Version: m.Version, Whole: m.whole(), Size: m.Size, Root: m.Root, Removed: m.Removed,
		Checkpoint: m.Checkpoint, Keys: append(Keyring{}, m.Keys...),
	}
	var err error
	if line.Consistency, err = j.consistency(); err != nil {
		return err
	}
	return j.line(line)
}

// consistency proves that the tree of the checkpoint is the beginning of the tree that is exported.
func (j *jsonLines) consistency() ([]Hash, error) {
	if j.m.Checkpoint == "" {
		return nil, nil
	}
	signed, err := ParseCheckpoint(j.m.Checkpoint)
	if err != nil {
		return nil, err
	}
	switch {
	case signed.Size > j.m.Size:
		return nil, fmt.Errorf("the checkpoint is of %d events, the export of %d", signed.Size, j.m.Size)
	case signed.Size == j.m.Size || signed.Size == 0:
		return nil, nil
	}
	return ProveConsistency(signed.Size, j.m.Size, j.read)
}

func (j *jsonLines) write(events []exported) error {
	proofs := make([][]Hash, len(events))
	if !j.m.whole() {
		seqs := make([]int64, len(events))
		for i, e := range events {
			seqs[i] = e.Seq
		}
		var err error
		if proofs, err = ProveEvents(j.m.Size, seqs, j.read); err != nil {
			return err
		}
	}
	for i, e := range events {
		if err := j.gap(e.Seq); err != nil {
			return err
		}
		body := string(e.Body)
		if err := j.event(eventLine{Seq: e.Seq, Leaf: e.leaf.String(), Body: &body, Proof: hashTexts(proofs[i])}); err != nil {
			return err
		}
	}
	return nil
}

// hashTexts is nil for nil, and not nil for no hashes.
func hashTexts(hashes []Hash) []string {
	if hashes == nil {
		return nil
	}
	out := make([]string, len(hashes))
	for i, h := range hashes {
		out[i] = h.String()
	}
	return out
}

func (j *jsonLines) event(line eventLine) error {
	if j.first == 0 {
		j.first = line.Seq
	}
	j.last = line.Seq
	if line.Removed {
		j.removed++
	} else {
		j.events++
	}
	return j.line(line)
}

// gap writes, in a whole export, the hashes of what retention removed between the last line and event next. What is
// missing for another reason is not made up for: the verifier names it.
func (j *jsonLines) gap(next int64) error {
	if !j.m.whole() {
		return nil
	}
	for end := min(next, j.m.Removed+1); j.last+1 < end; {
		var seqs []int64
		for seq := j.last + 1; seq < min(end, j.last+1+exportChunk); seq++ {
			seqs = append(seqs, seq)
		}
		leaves, err := leavesOf(seqs, j.read)
		if err != nil {
			return err
		}
		for i, seq := range seqs {
			if err := j.event(eventLine{Seq: seq, Leaf: leaves[i].String(), Removed: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *jsonLines) end() error {
	if err := j.gap(j.m.Size + 1); err != nil {
		return err
	}
	return j.line(endLine{End: true, Events: j.events, Removed: j.removed, First: j.first, Last: j.last})
}

// queryTextOf leaves out how a query pages.
func queryTextOf(q Query) queryText {
	t := queryText{
		Operator: q.Operator, Target: q.Target, Person: q.Person, Kind: string(q.Kind), Outcome: q.Outcome, Run: q.Run,
		Ticket: q.Ticket, Text: q.Text, From: FormatTime(q.From), To: FormatTime(q.To),
	}
	if q.Before != 0 {
		t.Before = fmt.Sprint(q.Before)
	}
	if q.After != 0 {
		t.After = fmt.Sprint(q.After)
	}
	return t
}

// lineWriter writes JSON, one line for each value. No character in it turns the direction of text.
type lineWriter struct {
	out  *bufio.Writer
	buf  bytes.Buffer
	json *json.Encoder
}

func newLineWriter(out *bufio.Writer) *lineWriter {
	l := &lineWriter{out: out}
	l.json = json.NewEncoder(&l.buf)
	l.json.SetEscapeHTML(false)
	return l
}

func (l *lineWriter) line(v any) error {
	l.buf.Reset()
	if err := l.json.Encode(v); err != nil {
		return fmt.Errorf("writing a line of JSON: %w", err)
	}
	line := l.buf.Bytes()
	if mayTurn(line) {
		line = escapeBidi(line)
	}
	_, err := l.out.Write(line)
	return err
}

// mayTurn is false for most lines, and quick: in UTF-8 each character that turns the direction of text begins with one
// of two bytes.
func mayTurn(line []byte) bool {
	return bytes.IndexByte(line, 0xd8) >= 0 || bytes.IndexByte(line, 0xe2) >= 0
}
