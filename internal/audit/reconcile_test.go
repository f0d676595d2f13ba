package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"evict/internal/audit"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func clockAt(s float64) time.Time { return noon.Add(time.Duration(s * float64(time.Second))) }

// day is the whole window of these tests, read long after its end.
var day = audit.Window{From: noon.Add(-6 * time.Hour), To: noon.Add(6 * time.Hour), AsOf: noon.Add(24 * time.Hour)}

// our is a revocation by op of target, so many seconds after noon.
func our(seq int64, op, target string, s float64, claim audit.Claim) audit.Ours {
	return audit.Ours{Seq: seq, Operator: audit.Person{OID: op}, Target: audit.Person{OID: target}, T0: clockAt(s), Claim: claim}
}

func row(id, op, target string, s float64) audit.Witnessed {
	return audit.Witnessed{ID: id, ByOID: op, ByUPN: op + "@x.example", TargetOID: target, At: clockAt(s)}
}

func rowIDs(list []audit.Witnessed) (ids []string) {
	for _, w := range list {
		ids = append(ids, w.ID)
	}
	return ids
}

func seqsOf(list []audit.Ours) (seqs []int64) {
	for _, o := range list {
		seqs = append(seqs, o.Seq)
	}
	return seqs
}

func TestBothLogsAreMatchedOneToOne(t *testing.T) {
	t.Parallel()
	const sure, perhaps, hand = audit.Surely, audit.Perhaps, audit.ByHand
	sync := audit.Witnessed{ID: "s", ByOID: "dc", ByUPN: "dc@x.example", TargetOID: "v", At: clockAt(0), Client: "DirectorySync"}
	named := audit.Witnessed{ID: "n", ByOID: "evil", ByUPN: "sync_evil@x.example", TargetOID: "v", At: clockAt(0)}
	ops := audit.Witnessed{ID: "o", ByOID: "ops", ByUPN: "sync_ops@x.example", TargetOID: "v", At: clockAt(0)}
	app := audit.Witnessed{ID: "app", ByApp: "Playbook", TargetOID: "v", At: clockAt(0)}
	tests := map[string]struct {
		ours             []audit.Ours
		theirs           []audit.Witnessed
		window           audit.Window
		matched, unsure  int
		missing, early   []int64
		foreign, own, by []string
		named            []string
		old              []int64
	}{
		"both":                {ours: []audit.Ours{our(1, "op", "v", 0, sure)}, theirs: []audit.Witnessed{row("a", "op", "v", 2)}, matched: 1},
		"ids in another case": {ours: []audit.Ours{our(1, "OP", "v", 0, sure)}, theirs: []audit.Witnessed{row("a", "op", "V", 2)}, matched: 1},
		"one's own sessions":  {ours: []audit.Ours{our(1, "op", "op", 0, sure)}, theirs: []audit.Witnessed{row("a", "op", "op", 1)}, matched: 1},
		"no row":              {ours: []audit.Ours{our(1, "op", "v", 0, sure)}, missing: []int64{1}},
		"another target":      {ours: []audit.Ours{our(1, "op", "v", 0, sure)}, theirs: []audit.Witnessed{row("a", "op", "u", 0)}, missing: []int64{1}, foreign: []string{"a"}},
		"another operator":    {ours: []audit.Ours{our(1, "op", "v", 0, sure)}, theirs: []audit.Witnessed{row("a", "other", "v", 0)}, missing: []int64{1}, foreign: []string{"a"}},
		"two operators at once": {ours: []audit.Ours{our(1, "op", "v", 0, sure), our(2, "po", "v", 0, sure)},
			theirs: []audit.Witnessed{row("a", "po", "v", 0), row("b", "op", "v", 0)}, matched: 2},
		"the row twice":          {ours: []audit.Ours{our(1, "op", "v", 0, sure)}, theirs: []audit.Witnessed{row("a", "op", "v", 0), row("a", "op", "v", 0)}, matched: 1},
		"two rows for one":       {ours: []audit.Ours{our(1, "op", "v", 0, sure)}, theirs: []audit.Witnessed{row("a", "op", "v", -100), row("b", "op", "v", 1)}, matched: 1, foreign: []string{"a"}},
		"one row for two":        {ours: []audit.Ours{our(1, "op", "v", -100, sure), our(2, "op", "v", 0, sure)}, theirs: []audit.Witnessed{row("a", "op", "v", 1)}, matched: 1, missing: []int64{1}},
		"clocks three min apart": {ours: []audit.Ours{our(1, "op", "v", 0, sure), our(2, "op", "v", 240, sure)}, theirs: []audit.Witnessed{row("a", "op", "v", 210), row("b", "op", "v", 450)}, matched: 2},
		"just near enough":       {ours: []audit.Ours{our(1, "op", "v", 0, sure)}, theirs: []audit.Witnessed{row("a", "op", "v", 300)}, matched: 1},
		"just too far":           {ours: []audit.Ours{our(1, "op", "v", 0, sure)}, theirs: []audit.Witnessed{row("a", "op", "v", 300.001)}, missing: []int64{1}, foreign: []string{"a"}},
		"the answer was lost":    {ours: []audit.Ours{our(1, "op", "v", 0, perhaps)}, unsure: 1},
		"lost, but it happened":  {ours: []audit.Ours{our(1, "op", "v", 0, perhaps)}, theirs: []audit.Witnessed{row("a", "op", "v", 1)}, matched: 1},
		"sure goes before perhaps": {ours: []audit.Ours{our(1, "op", "v", 0, perhaps), our(2, "op", "v", 60, sure)}, theirs: []audit.Witnessed{row("a", "op", "v", 1)},
			matched: 1, unsure: 1},
		"written down by hand":                    {ours: []audit.Ours{our(1, "op", "v", 0, hand)}, theirs: []audit.Witnessed{row("a", "colleague", "v", -800)}, matched: 1},
		"only written down":                       {ours: []audit.Ours{our(1, "op", "v", 0, hand)}, missing: []int64{1}},
		"by an application":                       {theirs: []audit.Witnessed{app}, foreign: []string{"app"}},
		"for themselves":                          {theirs: []audit.Witnessed{row("a", "v", "v", 0)}, own: []string{"a"}},
		"the sync service":                        {ours: []audit.Ours{our(1, "op", "v", 0, sure)}, theirs: []audit.Witnessed{sync}, missing: []int64{1}, by: []string{"s"}},
		"an operator named like the sync service": {ours: []audit.Ours{our(1, "ops", "v", 0, sure)}, theirs: []audit.Witnessed{ops}, matched: 1},
		"by hand is not by the sync service":      {ours: []audit.Ours{our(1, "op", "v", 0, hand)}, theirs: []audit.Witnessed{sync, named}, missing: []int64{1}, by: []string{"s"}, named: []string{"n"}},
		"only named like the sync service":        {theirs: []audit.Witnessed{named}, named: []string{"n"}},
		"older than Entra keeps its log": {
			ours:    []audit.Ours{our(1, "op", "v", -1, sure), our(2, "op", "u", -1, sure), our(3, "op", "w", 1, sure)},
			theirs:  []audit.Witnessed{row("a", "op", "v", -1)},
			window:  audit.Window{From: day.From, To: day.To, AsOf: day.AsOf, KeptFrom: noon},
			matched: 1, old: []int64{2}, missing: []int64{3},
		},
		"too young": {ours: []audit.Ours{our(1, "op", "v", 0, sure), our(2, "op", "v", -901, sure)}, window: audit.Window{From: day.From, To: day.To, AsOf: noon}, early: []int64{1}, missing: []int64{2}},
		"at the window's edges": {
			ours:    []audit.Ours{our(1, "op", "v", -1, sure), our(2, "op", "u", 0, sure), our(3, "op", "w", 60, sure)},
			theirs:  []audit.Witnessed{row("a", "op", "v", 1), row("b", "op", "u", -2), row("c", "op", "w", 60), row("d", "op", "z", -1), row("e", "op", "z", 59)},
			window:  audit.Window{From: noon, To: noon.Add(time.Minute), AsOf: day.AsOf},
			matched: 1, foreign: []string{"e"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tt.window
			if w.To.IsZero() {
				w = day
			}
			got := audit.Reconcile(tt.ours, tt.theirs, w)
			if len(got.Matched) != tt.matched || len(got.Unsure) != tt.unsure {
				t.Errorf("got %d matched and %d unsure, want %d and %d", len(got.Matched), len(got.Unsure), tt.matched, tt.unsure)
			}
			if m, e := seqsOf(got.Unwitness), seqsOf(got.Early); !slices.Equal(m, tt.missing) || !slices.Equal(e, tt.early) {
				t.Errorf("got missing %v and early %v, want %v and %v", m, e, tt.missing, tt.early)
			}
			if o, n := seqsOf(got.Old), rowIDs(got.Named); !slices.Equal(o, tt.old) || !slices.Equal(n, tt.named) {
				t.Errorf("got old %v and named %v, want %v and %v", o, n, tt.old, tt.named)
			}
			if f, o, s := rowIDs(got.Foreign), rowIDs(got.Own), rowIDs(got.Sync); !slices.Equal(f, tt.foreign) || !slices.Equal(o, tt.own) || !slices.Equal(s, tt.by) {
				t.Errorf("got foreign %v, own %v, sync %v, want %v, %v, %v", f, o, s, tt.foreign, tt.own, tt.by)
			}
		})
	}
}

func TestTheSynchronisationServiceIsToldByClientOrName(t *testing.T) {
	t.Parallel()
	for want, rows := range map[bool][]audit.Witnessed{
		true: {{ByUPN: "Sync_DC01_3f0c@x.onmicrosoft.com"}, {ByUPN: "ADToAADSyncServiceAccount@x.onmicrosoft.com"},
			{ByApp: "ConnectSyncProvisioning_DC01_3f0c"}},
		false: {{}, {Client: "DirectorySync"}, {ByUPN: "sync@x.example"}, {ByApp: "Sync_DC01"}, {ByUPN: "a.sync_b@x.example"}, {ByApp: "Microsoft Graph"}},
	} {
		for _, w := range rows {
			if audit.NamedLikeSync(w) != want || audit.FromSync(w) != (w.Client != "") {
				t.Errorf("%+v: want %v", w, want)
			}
		}
	}
}

// TestLogsAgreeOnlyWhenNothingIsOpen: green is for whoever reads no further.
func TestLogsAgreeOnlyWhenNothingIsOpen(t *testing.T) {
	t.Parallel()
	some, rows, both := []audit.Ours{{}}, []audit.Witnessed{{}}, []audit.Pair{{}}
	for want, found := range map[string][]audit.Reconciliation{
		audit.Agrees:  {{}, {Matched: both, Unsure: some, Own: rows, Sync: rows}},
		audit.Differs: {{Unwitness: some}, {Foreign: rows}, {Foreign: rows, Unread: audit.Unread{Revocations: 1}}},
		audit.Unclear: {{Faded: true, Old: some}, {Faded: true}, {Named: rows}, {Matched: both, Unread: audit.Unread{Revocations: 5}}, {Unread: audit.Unread{Unknown: 1}}, {Early: some}, {Matched: both, Early: some}},
	} {
		for _, r := range found {
			if got := r.Outcome(); got != want {
				t.Errorf("%+v: %s, want %s", r, got, want)
			}
		}
	}
}

// TestNothingIsLostInAComparison checks with invented logs that each entry ends in one place, that no row answers twice,
// and that the pairing is as large as one that tries everything.
func TestNothingIsLostInAComparison(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 2))
	for n := range 2000 {
		ours, theirs := randomLogs(r)
		got := audit.Reconcile(ours, theirs, day)
		if all := len(got.Matched) + len(got.Unwitness) + len(got.Early) + len(got.Unsure); all != len(ours) {
			t.Fatalf("round %d: %d of ours, and %d accounted for", n, len(ours), all)
		}
		if all := len(got.Matched) + len(got.Foreign) + len(got.Own) + len(got.Sync); all != len(theirs) || got.Rows != all {
			t.Fatalf("round %d: %d rows, %d counted, and %d accounted for", n, len(theirs), got.Rows, all)
		}
		if most := mostPairs(ours, theirs); len(got.Matched) != most {
			t.Fatalf("round %d: %d pairs, and %d are possible\n%v\n%v", n, len(got.Matched), most, ours, theirs)
		}
		checkPairs(t, got.Matched)
		if again := audit.Reconcile(ours, theirs, day); fmt.Sprint(again) != fmt.Sprint(got) {
			t.Fatalf("round %d: another result for the same logs", n)
		}
	}
}

// checkPairs checks that each pair is one that may be, and that no event and no row is in two.
func checkPairs(t *testing.T, pairs []audit.Pair) {
	t.Helper()
	events, rows := map[int64]bool{}, map[string]bool{}
	for _, p := range pairs {
		if p.Ours.Operator.OID != p.Row.ByOID || p.Ours.Target.OID != p.Row.TargetOID || p.Ours.T0.Sub(p.Row.At).Abs() > audit.Slack {
			t.Fatalf("these do not belong together: %+v", p)
		}
		if events[p.Ours.Seq] || rows[p.Row.ID] {
			t.Fatalf("paired twice: %+v", p)
		}
		events[p.Ours.Seq], rows[p.Row.ID] = true, true
	}
}

func randomLogs(r *rand.Rand) (ours []audit.Ours, theirs []audit.Witnessed) {
	name := func() string { return string(rune('a' + r.IntN(2))) }
	for i := range r.IntN(6) {
		ours = append(ours, our(int64(i+1), name(), name(), float64(r.IntN(1500)), audit.Surely))
	}
	for i := range r.IntN(6) {
		theirs = append(theirs, row(fmt.Sprint(i), name(), name(), float64(r.IntN(1500))))
	}
	return ours, theirs
}

// mostPairs tries every pairing.
func mostPairs(ours []audit.Ours, theirs []audit.Witnessed) int {
	if len(ours) == 0 {
		return 0
	}
	most := mostPairs(ours[1:], theirs)
	for i, w := range theirs {
		if w.ByOID == ours[0].Operator.OID && w.TargetOID == ours[0].Target.OID && w.At.Sub(ours[0].T0).Abs() <= audit.Slack {
			rest := slices.Delete(slices.Clone(theirs), i, i+1)
			most = max(most, 1+mostPairs(ours[1:], rest))
		}
	}
	return most
}

// TestAFileThatClaimsTheImpossibleCostsNoTime: a quarter of a million rows about one pair of people.
func TestAFileThatClaimsTheImpossibleCostsNoTime(t *testing.T) {
	t.Parallel()
	var ours []audit.Ours
	var theirs []audit.Witnessed
	for i := range 20_000 {
		ours = append(ours, our(int64(i), "op", "v", float64(i), audit.Surely))
		theirs = append(theirs, row("", "op", "v", float64(i)+0.25))
	}
	w := audit.Window{From: noon, To: noon.Add(12 * time.Hour), AsOf: day.AsOf}
	if got := audit.Reconcile(ours, theirs, w); len(got.Matched) != len(ours) || len(got.Foreign) != 0 {
		t.Errorf("%d of %d matched, %d foreign", len(got.Matched), len(ours), len(got.Foreign))
	}
}

// trail is a ledger in memory.
type trail struct {
	audit.ExportSource

	events  []audit.Event
	reads   int
	removes bool // retention goes on meanwhile
}

func (f *trail) Head(context.Context) (h audit.Head, err error) {
	if f.removes {
		h.Removed = int64(f.reads)
	}
	return h, nil
}

func (f *trail) Scan(_ context.Context, q audit.Query, after, upTo int64, limit int) ([]audit.Record, error) {
	f.reads++
	var out []audit.Record
	for i, e := range f.events {
		seq := int64(i + 1)
		at, err := audit.ParseTime(e.Time)
		if err != nil {
			return nil, err
		}
		if seq <= after || seq > upTo || len(out) == limit || q.Kind != "" && e.Kind != q.Kind || at.Before(q.From) || !q.To.IsZero() && !at.Before(q.To) {
			continue
		}
		out = append(out, audit.Record{Seq: seq, Event: e})
	}
	return out, nil
}

func told(kind audit.Kind, target string, attempt int, t0 float64, change ...func(*audit.Event)) audit.Event {
	e := audit.Event{
		Time: audit.FormatTime(clockAt(t0 + 1)), Kind: kind, Operator: &audit.Person{OID: "op"}, Target: &audit.Person{OID: target}, Run: "r",
		Attempt: attempt, Evidence: &audit.Evidence{T0: audit.FormatTime(clockAt(t0))},
	}
	for _, f := range change {
		f(&e)
	}
	return e
}

func TestTheLedgerClaimsWhatItsEventsSayTogether(t *testing.T) {
	t.Parallel()
	settled := func(how string) func(*audit.Event) { return func(e *audit.Event) { e.Evidence.Settled = how } }
	lost := settled("answer lost, settled by read-back")
	outside := audit.Event{
		Time: audit.FormatTime(noon.Add(72 * time.Hour)), Kind: audit.OutsideAction, Operator: &audit.Person{OID: "op"},
		Target: &audit.Person{OID: "hand"}, Detail: map[string]string{"done_at": audit.FormatTime(noon)},
	}
	src := &trail{events: []audit.Event{
		told(audit.TargetAttempted, "plain", 1, 0), told(audit.TargetAccepted, "plain", 1, 0), told(audit.TargetConfirmed, "plain", 1, 0),
		told(audit.TargetAttempted, "again", 1, 0), told(audit.TargetUnconfirmed, "again", 1, 0),
		told(audit.TargetAttempted, "again", 2, 30), told(audit.TargetAccepted, "again", 2, 30),
		told(audit.TargetAttempted, "lost", 1, 0), told(audit.TargetConfirmed, "lost", 1, 0, lost),
		told(audit.TargetAttempted, "guest", 1, 0), told(audit.TargetAccepted, "guest", 1, 0), told(audit.TargetNotCovered, "guest", 1, 0),
		told(audit.TargetAttempted, "refused", 1, 0), told(audit.TargetRefused, "refused", 1, 0),
		told(audit.TargetAttempted, "flying", 1, 0),
		told(audit.TargetAttempted, "tomorrow", 1, 24*3600), told(audit.TargetAccepted, "tomorrow", 1, 24*3600),
		{Time: audit.FormatTime(noon), Kind: audit.RunStarted, Operator: &audit.Person{OID: "op"}, Run: "r"},
		told(audit.TargetSkipped, "never called", 0, 0, func(e *audit.Event) { e.Evidence.T0 = "" }),
		outside,
	}}
	got, err := audit.Claims(t.Context(), src, int64(len(src.events)), day)
	if err != nil {
		t.Fatal(err)
	}
	type said struct {
		target string
		claim  audit.Claim
		seq    int64
	}
	want := []said{
		{"plain", audit.Surely, 2}, {"again", audit.Perhaps, 4}, {"again", audit.Surely, 7}, {"lost", audit.Surely, 9}, {"guest", audit.Perhaps, 12},
		{"refused", audit.Perhaps, 13}, {"flying", audit.Perhaps, 15}, {"hand", audit.ByHand, 20},
	}
	var have []said
	for _, o := range got {
		have = append(have, said{o.Target.OID, o.Claim, o.Seq})
	}
	if !slices.Equal(have, want) {
		t.Errorf("got  %v\nwant %v", have, want)
	}
}

func TestClaimsAreReadInChunksAndStopAtTheLimit(t *testing.T) {
	t.Parallel()
	src := &trail{}
	for i := range 2500 {
		src.events = append(src.events, told(audit.TargetAccepted, fmt.Sprint(i), 1, 0))
	}
	got, err := audit.Claims(t.Context(), src, 2400, day)
	if err != nil || len(got) != 2400 || src.reads != 4 {
		t.Errorf("%d claims in %d readings, %v", len(got), src.reads, err)
	}
	src.removes = true
	if _, err := audit.Claims(t.Context(), src, 2400, day); !errors.Is(err, audit.ErrRemoving) {
		t.Errorf("retention went on: %v", err)
	}
	endless := endlessTrail{}
	if _, err := audit.Claims(t.Context(), endless, 1<<40, day); !errors.Is(err, audit.ErrTooMany) {
		t.Errorf("an endless ledger: %v", err)
	}
}

// endlessTrail always has another page.
type endlessTrail struct{ audit.ExportSource }

func (endlessTrail) Head(context.Context) (audit.Head, error) { return audit.Head{}, nil }

func (endlessTrail) Scan(_ context.Context, _ audit.Query, after, _ int64, limit int) ([]audit.Record, error) {
	out := make([]audit.Record, limit)
	for i := range out {
		seq := after + int64(i) + 1
		out[i] = audit.Record{Seq: seq, Event: told(audit.TargetAccepted, fmt.Sprint(seq), 1, 0)}
	}
	return out, nil
}
