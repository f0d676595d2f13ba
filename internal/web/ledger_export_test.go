package web

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/operator"
)

const tenantID = "7f0c1a52-7d1b-4a52-9c3e-0b5d2f6f8a11"

// vault is a ledger in memory, with its tree, as store.Ledger says.
type vault struct {
	records     []audit.Record
	hashes      []audit.Hash
	tree        audit.Tree
	checkpoints []audit.Signed
	removed     int64
	mute        bool // cannot be written
	gone        bool // cannot be read
	scans       int  // may be made so often, then it is gone; 0 = always
	removes     bool // with each scan retention takes an event
}

func (v *vault) Append(_ context.Context, events ...audit.Event) error {
	if v.mute {
		return errGone
	}
	for _, e := range events {
		seq := int64(len(v.records)) + 1
		body, err := audit.Encode(seq, e)
		if err != nil {
			return err
		}
		e.Seq = seq
		v.records = append(v.records, audit.Record{Seq: seq, Body: body, Event: e})
		v.hashes = append(v.hashes, v.tree.Append(body)...)
	}
	return nil
}

func (v *vault) Search(_ context.Context, q audit.Query) (found audit.Found, err error) {
	if v.gone {
		return found, errGone
	}
	for _, rec := range slices.Backward(v.records) {
		if (q.Kind == "" || rec.Event.Kind == q.Kind) && len(found.Records) < q.Limit {
			found.Records = append(found.Records, rec)
		}
	}
	return found, nil
}

func (v *vault) Event(_ context.Context, seq int64) (audit.Record, error) {
	if seq < 1 || seq > int64(len(v.records)) {
		return audit.Record{}, fault.New(fault.NotFound, "There is no such event.")
	}
	return v.records[seq-1], nil
}

func (v *vault) Scan(_ context.Context, q audit.Query, after, upTo int64, limit int) (out []audit.Record, err error) {
	if v.scans--; v.scans == 0 || v.gone {
		v.gone = true
		return nil, errGone
	}
	if v.removes {
		v.removed++
	}
	for _, rec := range v.records {
		if rec.Seq > after && rec.Seq <= upTo && (q.Kind == "" || rec.Event.Kind == q.Kind) && len(out) < limit {
			out = append(out, rec)
		}
	}
	return out, nil
}

func (v *vault) Head(context.Context) (audit.Head, error) {
	if v.gone {
		return audit.Head{}, errGone
	}
	return audit.Head{Size: v.tree.Size, Root: v.tree.Root(), Removed: v.removed}, nil
}

func (v *vault) Hashes(_ context.Context, indexes []int64) ([]audit.Hash, error) {
	out := make([]audit.Hash, len(indexes))
	for i, at := range indexes {
		if at >= int64(len(v.hashes)) {
			return nil, errGone
		}
		out[i] = v.hashes[at]
	}
	return out, nil
}

func (v *vault) Checkpoints(_ context.Context, after, upTo int64, limit int) (out []audit.Signed, err error) {
	for _, c := range v.checkpoints {
		if c.Size > after && c.Size <= upTo && len(out) < limit {
			out = append(out, c)
		}
	}
	return out, nil
}

func (v *vault) LastCheckpoint(_ context.Context, upTo int64) (c audit.Signed, ok bool, err error) {
	for _, x := range v.checkpoints {
		if x.Size <= upTo {
			c, ok = x, true
		}
	}
	return c, ok, nil
}

func (*vault) Histogram(context.Context, audit.Query) (audit.Histogram, error) {
	return audit.Histogram{}, errGone
}

func (*vault) RunLines(context.Context, []string) (map[string]audit.RunLine, error) {
	return nil, errGone
}

func (*vault) Rows(context.Context, int64, int64, int) ([]audit.Row, error) { return nil, errGone }

func (*vault) Unfound(context.Context, []audit.Event) ([]int64, error) { return nil, errGone }

func (*vault) DayCounts(context.Context) ([]audit.DayCount, error) { return nil, errGone }

// clerk signs the vault's tree.
type clerk struct {
	v        *vault
	signer   *audit.Signer
	now      time.Time
	keyless  bool // the keys cannot be read
	standing audit.Standing
	run      audit.Verification
	asked    []audit.Person
}

func (c *clerk) Sign() (audit.Signed, error) {
	signed, err := c.signer.Sign(audit.Origin("simulator", tenantID), c.v.tree.Size, c.v.tree.Root())
	if err != nil {
		return audit.Signed{}, err
	}
	x := audit.Signed{Checkpoint: signed, At: c.now}
	if n := len(c.v.checkpoints); n == 0 || c.v.checkpoints[n-1].Size < x.Size {
		c.v.checkpoints = append(c.v.checkpoints, x)
	}
	return x, nil
}

func (c *clerk) Manifest(ctx context.Context) (audit.Manifest, error) {
	signed, err := c.Sign()
	if err != nil || c.v.gone {
		return audit.Manifest{}, cmp.Or(err, errGone)
	}
	keys, err := c.Keys(ctx)
	return audit.Manifest{
		Cloud: "simulator", Tenant: tenantID, Size: signed.Size, Root: signed.Root, Removed: c.v.removed, Checkpoint: signed.Note, Keys: keys,
	}, err
}

func (c *clerk) Keys(context.Context) (audit.Keyring, error) {
	if c.keyless {
		return nil, errGone
	}
	return audit.Keyring{{Seq: 2, Key: c.signer.Public()}}, nil
}

func (c *clerk) Standing() audit.Standing         { return c.standing }
func (c *clerk) Verify(by audit.Person)           { c.asked = append(c.asked, by) }
func (c *clerk) Verification() audit.Verification { return c.run }

// newVault is the console of an Auditor over a ledger of n sign-ins.
func newVault(t *testing.T, n int) (*builder, *vault, *clerk) {
	t.Helper()
	secret, _, err := audit.GenerateKey("evict-test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := audit.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	v := &vault{}
	for range n {
		signIn(t, v)
	}
	c := &clerk{v: v, signer: signer, now: noon.Add(-time.Minute)}
	c.standing = audit.Standing{Public: signer.Public()}
	b := newBuilder()
	b.who = operator.Operator{OID: me, UPN: "auditor@corp.example", Name: "Ann Auditor", Address: "192.0.2.7", Roles: operator.Roles{operator.Auditor}}
	b.Ledger, b.Trail, b.Notary, b.Cloud, b.Tenant, b.Version = v, v, c, "simulator", tenantID, "1.2.3"
	return b, v, c
}

func signIn(t *testing.T, v *vault) {
	t.Helper()
	who := &audit.Person{OID: other, UPN: "zoë\u202e@corp.example"}
	if err := v.Append(t.Context(), audit.Event{ID: "e", Time: audit.FormatTime(noon), Kind: audit.SignedIn, Operator: who}); err != nil {
		t.Fatal(err)
	}
}

// lines reads JSON Lines.
func lines(t *testing.T, body []byte) (out []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(body) {
		var x map[string]any
		if err := json.Unmarshal(line, &x); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, x)
	}
	return out
}

func TestAnExportIsRecordedAndSignedBeforeItLeaves(t *testing.T) {
	t.Parallel()
	b, v, _ := newVault(t, 2500)
	w, _ := b.post(t, "/ledger/export", url.Values{"format": {"jsonl"}})
	wantStatus(t, w, http.StatusOK)
	if got, want := w.Header().Get("Content-Disposition"), `attachment; filename="REHEARSAL-evict-ledger-7f0c1a52-2501.jsonl"`; got != want {
		t.Errorf("disposition = %q, want %q", got, want)
	}
	record := v.records[2500].Event
	if record.Kind != audit.LedgerExported || record.Operator.OID != me || record.Operator.Address != "192.0.2.7" || record.Run != "" {
		t.Errorf("the record is %+v of %+v", record, record.Operator)
	}
	for key, want := range map[string]string{"format": "jsonl", "query": "the whole ledger", "address": "/ledger", "size": "2500"} {
		if record.Detail[key] != want {
			t.Errorf("the record's %s = %q, want %q", key, record.Detail[key], want)
		}
	}
	all := lines(t, w.Body.Bytes())
	first, last := all[0], all[len(all)-1]
	if first["size"] != 2501.0 || first["whole"] != true || first["checkpoint"] != v.checkpoints[0].Note || first["version"] != "1.2.3" || first["rehearsal"] != audit.Rehearsed {
		t.Errorf("manifest = %v", first)
	}
	if v.checkpoints[0].Size != 2501 {
		t.Errorf("the checkpoint is of %d events, want the record's 2501 beneath it", v.checkpoints[0].Size)
	}
	if last["end"] != true || last["events"] != 2501.0 || len(all) != 2503 {
		t.Errorf("%d lines, the last %v", len(all), last)
	}
	if got := all[2501]["body"]; got != string(v.records[2500].Body) {
		t.Errorf("the record is not in what it records: %v", got)
	}
}

func TestASearchIsExportedAsItWasAskedFor(t *testing.T) {
	t.Parallel()
	for format, ending := range map[string]string{"jsonl": ".jsonl", "csv": ".csv", "ocsf": ".ocsf.jsonl"} {
		b, v, _ := newVault(t, 3)
		v.tree, v.records, v.hashes = audit.Tree{}, nil, nil
		signIn(t, v)
		if err := v.Append(t.Context(), audit.Event{ID: "x", Time: audit.FormatTime(noon), Kind: audit.SignedOut}); err != nil {
			t.Fatal(err)
		}
		w, _ := b.post(t, "/ledger/export", url.Values{"format": {format}, "kind": {string(audit.SignedOut)}, "before": {"2"}, "nonsense": {"x"}})
		wantStatus(t, w, http.StatusOK)
		if got := w.Header().Get("Content-Disposition"); !strings.HasSuffix(got, `-3`+ending+`"`) {
			t.Errorf("%s: disposition = %q", format, got)
		}
		if got := w.Body.String(); !strings.Contains(got, string(audit.SignedOut)) || strings.Contains(got, string(audit.SignedIn)) {
			t.Errorf("%s: the export holds %s", format, got)
		}
		detail := v.records[2].Event.Detail
		if detail["address"] != "/ledger?kind=session.signed_out" || detail["query"] != "kind session.signed_out" {
			t.Errorf("%s: the record says %v", format, detail)
		}
	}
}

func TestOneEventIsTakenAwayWithItsProof(t *testing.T) {
	t.Parallel()
	b, v, _ := newVault(t, 9)
	w, _ := b.post(t, "/ledger/export", url.Values{"format": {"jsonl"}, "seq": {"4"}})
	wantStatus(t, w, http.StatusOK)
	all := lines(t, w.Body.Bytes())
	if len(all) != 3 || all[1]["seq"] != 4.0 || all[1]["proof"] == nil || all[0]["whole"] == true {
		t.Fatalf("the file holds %v", all)
	}
	if got := w.Header().Get("Content-Disposition"); !strings.Contains(got, "-10-event-4.jsonl") {
		t.Errorf("disposition = %q", got)
	}
	if d := v.records[9].Event.Detail; d["query"] != "event 4" || d["address"] != "/ledger/4" {
		t.Errorf("the record says %v", d)
	}
	for seq, want := range map[string]int{"99": http.StatusNotFound, "0": http.StatusUnprocessableEntity, "-1": http.StatusUnprocessableEntity, "x": http.StatusUnprocessableEntity} {
		w, _ = b.post(t, "/ledger/export", url.Values{"format": {"jsonl"}, "seq": {seq}})
		wantStatus(t, w, want)
	}
	if len(v.records) != 10 {
		t.Errorf("%d events: something was recorded that was not handed out", len(v.records))
	}
}

func TestNoRecordNoExport(t *testing.T) {
	t.Parallel()
	b, v, _ := newVault(t, 3)
	v.mute = true
	ran, r := deskWithRun(manyRun("finished"))
	r.mute = true
	for path, at := range map[string]*builder{"/ledger/export": b, "/runs/r/report.json": ran} {
		w, doc := at.post(t, path, url.Values{"format": {"csv"}})
		wantStatus(t, w, http.StatusServiceUnavailable)
		if got := doc.Find("main").Text(); !strings.Contains(got, "nothing is handed out without a record") {
			t.Errorf("%s: the page says %q", path, got)
		}
		if w.Header().Get("Content-Disposition") != "" || strings.Contains(w.Body.String(), "corp.example,") {
			t.Errorf("%s: something was handed out", path)
		}
	}
}

// When nothing can be recorded nothing can be run either, and the list is all that is left to act by.
func TestAListIsHandedOutInAnEmergency(t *testing.T) {
	t.Parallel()
	b, d := newDesk(preview(3))
	d.mute = true
	w, _ := b.post(t, "/plans/p/targets.csv", nil)
	wantStatus(t, w, http.StatusOK)
	if n := strings.Count(w.Body.String(), "\r\n"); n != 4 {
		t.Errorf("%d lines, want a heading and three people", n)
	}
}

func TestTheOtherDownloadsAreRecordedAndTouchNoRun(t *testing.T) {
	t.Parallel()
	b, d := newDesk(preview(3))
	b.post(t, "/plans/p/targets.csv", nil)
	b.post(t, "/plans/p/targets.csv?left=all", nil)
	ran, r := deskWithRun(manyRun("finished"))
	ran.post(t, "/runs/r/report.json", nil)
	all := slices.Concat(d.appended, r.appended)
	if len(all) != 3 {
		t.Fatalf("%d records, want 3", len(all))
	}
	for i, want := range []string{"targets of a plan", "people left out of a plan", "report of a run"} {
		e := all[i]
		if e.Kind != audit.LedgerExported || e.Detail["what"] != want || e.Operator.OID != me {
			t.Errorf("record %d: %+v", i, e)
		}
		if e.Run != "" {
			t.Errorf("%s: the record counts among the events of run %s, which has ended", want, e.Run)
		}
	}
	if all[0].Plan != "p" || all[1].Detail["address"] != "/plans/p?left=all" || all[2].Detail["run"] != "r" {
		t.Errorf("the records do not say what was taken: %+v", all)
	}
}

func TestAnExportThatBreaksOffDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	b, v, _ := newVault(t, 2500)
	v.scans = 1
	w, _ := b.post(t, "/ledger/export", url.Values{"format": {"jsonl"}})
	wantStatus(t, w, http.StatusServiceUnavailable) // nothing had left: it is a page
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/html") || w.Header().Get("Content-Disposition") != "" {
		t.Errorf("it comes as %q, %q", got, w.Header().Get("Content-Disposition"))
	}
	v.gone, v.scans, v.removes = false, 0, true
	w, doc := b.post(t, "/ledger/export", url.Values{"format": {"csv"}})
	wantStatus(t, w, http.StatusServiceUnavailable)
	has(t, "while retention goes on", doc, "Retention is removing old events just now", "Nothing was handed out")
	v.removes, v.scans = false, 2
	defer func() {
		if got := recover(); got != http.ErrAbortHandler { //nolint:errorlint // a sentinel that is only ever panicked with
			t.Errorf("recovered %v, want the connection to be cut", got)
		}
	}()
	b.post(t, "/ledger/export", url.Values{"format": {"jsonl"}})
	t.Error("a broken export ended as if it were whole")
}

func TestWhatCannotBeExportedIsSaid(t *testing.T) {
	t.Parallel()
	b, v, _ := newVault(t, 3)
	for name, form := range map[string]url.Values{
		"no format": {}, "an unknown format": {"format": {"exe"}}, "no time": {"format": {"csv"}, "from": {"yesterday"}}, "no kind": {"format": {"csv"}, "kind": {"nonsense"}},
		"a search that is too long": {"format": {"csv"}, "operator": {strings.Repeat("x", longestAddress)}},
	} {
		w, doc := b.post(t, "/ledger/export", form)
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(doc.Find("main").Text(), "Nothing was done") {
			t.Errorf("%s: %d, %q", name, w.Code, doc.Find("main").Text())
		}
	}
	if len(v.records) != 3 {
		t.Errorf("%d events: a refused export was recorded", len(v.records))
	}
}

func TestExportsAreLimitedByOperator(t *testing.T) {
	t.Parallel()
	b, _, _ := newVault(t, 1)
	form := url.Values{"format": {"csv"}}
	for range 20 {
		w, _ := b.post(t, "/ledger/export", form)
		wantStatus(t, w, http.StatusOK)
	}
	w, _ := b.post(t, "/ledger/export", form)
	wantStatus(t, w, http.StatusTooManyRequests)
	if w.Header().Get("Retry-After") == "" {
		t.Error("it does not say when to come back")
	}
	b.who.OID = other
	w, _ = b.post(t, "/ledger/export", form)
	wantStatus(t, w, http.StatusOK)
}

func TestFewExportsAreMadeAtATime(t *testing.T) {
	t.Parallel()
	b, v, _ := newVault(t, 1)
	for range exportsAtOnce {
		b.exports.enter(exportsAtOnce)
	}
	w, doc := b.post(t, "/ledger/export", url.Values{"format": {"csv"}})
	wantStatus(t, w, http.StatusTooManyRequests)
	if has(t, "the page", doc, "Other exports are under way"); len(v.records) != 1 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d events: something was recorded", len(v.records))
	}
	w, _ = b.post(t, "/ledger/export", url.Values{"format": {"jsonl"}, "seq": {"1"}}) // one event costs nothing
	wantStatus(t, w, http.StatusOK)
	b.exports.leave()
	for range 3 { // each leaves when it is done
		w, _ = b.post(t, "/ledger/export", url.Values{"format": {"csv"}})
		wantStatus(t, w, http.StatusOK)
	}
}

// A part of a query that the address lost would make the record say that more was taken than was.
func TestTheRecordedAddressShowsTheSameSearch(t *testing.T) {
	t.Parallel()
	var q audit.Query
	paging := []string{"Folded", "Firsts", "Before", "After", "Limit"}
	of := reflect.ValueOf(&q).Elem()
	for i := range of.NumField() {
		switch name := of.Type().Field(i).Name; {
		case slices.Contains(paging, name):
		case name == "From" || name == "To":
			of.Field(i).Set(reflect.ValueOf(noon.Add(time.Duration(i) * time.Second)))
		case name == "Kind":
			q.Kind = audit.TargetRefused
		default:
			of.Field(i).SetString("a b&c=" + name)
		}
	}
	_, address := searchWords(q)
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	got, filter := ledgerQuery(at.Query())
	got.Folded, got.Limit, got.Before, got.After = false, 0, 0, 0
	if got != q || filter.FromError+filter.ToError != "" {
		t.Errorf("%s leads to %+v, want %+v", address, got, q)
	}
}

func TestAFileNameHoldsNothingHostile(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Contoso Bank AG": "contoso-bank-ag", `a"; filename="x`: "a-filename-x", "../../etc": "etc", "日本": "7f0c1a52", "\u202Eexe": "exe",
		strings.Repeat("long ", 20): strings.TrimSuffix(strings.Repeat("long-", 8), "-"), "": "7f0c1a52",
	} {
		s := &Server{Options: Options{Tenant: tenantID, TenantName: func() string { return name }}}
		if got := s.tenantSlug(); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}
