package notary_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/notary"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

// guarded is a ledger whose reading a test can hold up, and whose writing it can fail.
type guarded struct {
	*store.Ledger
	reads   func(context.Context) error
	appends error
}

func (g *guarded) Rows(ctx context.Context, after, upTo int64, limit int) ([]audit.Row, error) {
	if g.reads != nil {
		if err := g.reads(ctx); err != nil {
			return nil, err
		}
	}
	return g.Ledger.Rows(ctx, after, upTo, limit)
}

func (g *guarded) Append(ctx context.Context, events ...audit.Event) error {
	if g.appends != nil {
		return g.appends
	}
	return g.Ledger.Append(ctx, events...)
}

var auditor = audit.Person{OID: "oid-9", UPN: "ada@contoso.com", Name: "Ada"}

// verifying is a notary with a real ledger of 42 events, all signed.
func verifying(t *testing.T) (*desk, *guarded, *notary.Notary) {
	t.Helper()
	d := newDesk(t)
	db := storetest.Open(t)
	g := &guarded{Ledger: db.Ledger()}
	d.o.Ledger = g
	return d, g, d.work(db, d.o)
}

func newest(t *testing.T, g *guarded) audit.Event {
	t.Helper()
	found, err := g.Search(t.Context(), audit.Query{Limit: 1})
	if err != nil || len(found.Records) != 1 {
		t.Fatalf("reading the newest event: %v", err)
	}
	return found.Records[0].Event
}

func TestAVerificationIsRecorded(t *testing.T) {
	t.Parallel()
	_, g, n := verifying(t)
	n.Verify(auditor)
	n.Wait()
	v := n.Verification()
	if v.Running || v.Err != "" || v.Unrecorded || !v.Report.Intact() || v.By.OID != auditor.OID || v.Done != 42 || v.Of != 42 || v.Ended.IsZero() {
		t.Errorf("got %+v", v)
	}
	if v.Report.Console != 1 || v.Report.Events != 42 {
		t.Errorf("the console brought %d checkpoints along, and read %d events", v.Report.Console, v.Report.Events)
	}
	for _, sentence := range v.Report.Covers { // who reads the page brought neither key nor checkpoint
		if strings.Contains(sentence, "Your own checkpoint") || strings.Contains(sentence, "your key") {
			t.Errorf("it says %q", sentence)
		}
	}
	e := newest(t, g)
	if e.Kind != audit.LedgerVerified || e.Outcome != "intact" || e.Operator.UPN != auditor.UPN || e.Detail["size"] != "42" || e.Detail["problems"] != "0" {
		t.Errorf("recorded is %+v", e)
	}
}

func TestWhatAVerificationFindsIsRecorded(t *testing.T) {
	t.Parallel()
	d, g, n := verifying(t)
	for range 10 {
		err := g.Append(t.Context(), audit.Event{
			ID: d.o.NewID(), Time: audit.FormatTime(d.time.Now()), Kind: audit.SignedIn, Cloud: cloud, Tenant: "another",
		}, audit.Event{ID: d.o.NewID(), Time: audit.FormatTime(d.time.Now()), Kind: audit.SignedIn, Cloud: cloud, Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
	}
	n.Verify(auditor)
	n.Wait()
	v := n.Verification()
	if v.Report.Intact() || v.Unrecorded {
		t.Fatalf("got %+v", v)
	}
	e := newest(t, g)
	if first := e.Detail["first"]; e.Outcome != "problems" || e.Detail["problems"] != "10" || len(first) > 500 || !strings.HasPrefix(first, v.Report.Problems[0].Text) {
		t.Errorf("recorded is %+v", e)
	}
	if !strings.Contains(d.log.String(), `"level":"ERROR","msg":"the ledger was verified","outcome":"problems"`) {
		t.Errorf("the log says nothing:\n%s", d.log)
	}
}

func TestOneVerificationRunsAtATimeAndAShutdownStopsIt(t *testing.T) {
	t.Parallel()
	d, g, n := verifying(t)
	before := newest(t, g).Seq
	reading := make(chan struct{}, 2)
	g.reads = func(ctx context.Context) error {
		reading <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	n.Verify(auditor)
	<-reading
	n.Verify(audit.Person{OID: "oid-10"})
	if v := n.Verification(); !v.Running || v.By.OID != auditor.OID {
		t.Errorf("got %+v", v)
	}
	n.Close()
	n.Verify(auditor) // too late
	if v := n.Verification(); v.Running || !strings.Contains(v.Err, "shut down") || len(reading) != 0 {
		t.Errorf("got %+v, and %d other reads", v, len(reading))
	}
	g.reads = nil
	if got := newest(t, g).Seq; got != before {
		t.Errorf("a verification without a result was recorded:\n%s", d.log)
	}
}

func TestAVerificationThatFailsSaysSoInPlainWords(t *testing.T) {
	t.Parallel()
	d, g, n := verifying(t)
	g.reads = func(context.Context) error { return errors.New("disk sector 7 is gone") }
	n.Verify(auditor)
	n.Wait()
	if v := n.Verification(); v.Running || v.Err == "" || strings.Contains(v.Err, "sector") || !strings.Contains(d.log.String(), "sector 7") {
		t.Errorf("got %+v", v)
	}
	g.reads, g.appends = nil, errors.New("read-only")
	n.Verify(auditor)
	n.Wait()
	if v := n.Verification(); !v.Unrecorded || v.Err != "" || !v.Report.Intact() {
		t.Errorf("got %+v", v)
	}
}

func TestADayAfterTheLastVerificationTheConsoleVerifiesByItself(t *testing.T) {
	t.Parallel()
	d, g, n := verifying(t)
	verified := func(when string, want int) audit.Event {
		t.Helper()
		n.VerifyDaily(t.Context())
		n.Wait()
		found, err := g.Search(t.Context(), audit.Query{Kind: audit.LedgerVerified})
		if err != nil || len(found.Records) != want {
			t.Fatalf("%s: %d verifications, want %d (%v)", when, len(found.Records), want, err)
		}
		if want == 0 {
			return audit.Event{}
		}
		return found.Records[0].Event
	}
	const soon = 11 * time.Minute // replicas differ by less
	verified("at first", 0)
	d.time.pass(23 * time.Hour)
	verified("almost a day on", 0)
	d.time.pass(time.Hour + soon)
	if e := verified("a day on", 1); e.Operator != nil || e.Outcome != "intact" {
		t.Errorf("recorded is %+v", e)
	}
	d.time.pass(12 * time.Hour)
	n.Verify(auditor)
	n.Wait()
	d.time.pass(23 * time.Hour)
	verified("a day after its own, not after the auditor's", 2)
	d.time.pass(time.Hour + soon)
	verified("a day after the auditor's", 3)
	forged := audit.Event{ID: d.o.NewID(), Kind: audit.LedgerVerified, Cloud: cloud, Tenant: tenant}
	forged.Time, forged.Outcome = audit.FormatTime(d.time.Now().AddDate(1, 0, 0)), "intact"
	if err := g.Append(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	d.time.pass(24*time.Hour + soon)
	verified("a day later, whatever a forged event says", 5)
}

func TestWhatTheLastVerificationFoundOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	d, g, n := verifying(t)
	faults := func(n *notary.Notary, want int) {
		t.Helper()
		if got, err := n.Faults(t.Context()); err != nil || got != want {
			t.Errorf("%d faults, want %d: %v", got, want, err)
		}
	}
	faults(n, 0)
	err := g.Append(t.Context(), audit.Event{ID: d.o.NewID(), Time: audit.FormatTime(d.time.Now()), Kind: audit.SignedIn, Cloud: cloud, Tenant: "another"})
	if err != nil {
		t.Fatal(err)
	}
	g.appends = errors.New("read-only")
	n.Verify(auditor)
	n.Wait()
	faults(n, 1) // it could not be recorded, and is known all the same
	g.appends = nil
	n.Verify(auditor)
	n.Wait()
	n.Close()
	again, err := notary.Open(t.Context(), d.o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	faults(again, 1)
	if !strings.Contains(d.log.String(), `"first":"Event 43 is of another ledger`) {
		t.Errorf("the log does not say what it is:\n%s", d.log)
	}
}
