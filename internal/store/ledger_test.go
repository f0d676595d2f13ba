package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

func TestFirstEventBindsTheDatabaseToOneTenant(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		ledger := db.Ledger()
		if err := ledger.Bind(t.Context(), cloud, tenant, event(audit.LedgerOpened, 1)); err != nil {
			t.Fatal(err)
		}
		if err := ledger.Bind(t.Context(), cloud, tenant, event(audit.LedgerOpened, 2)); err != nil {
			t.Errorf("binding again to the same pair: %v", err)
		}
		if got := newest(t, db); got != 1 {
			t.Errorf("after binding twice the ledger has %d events, want 1", got)
		}
		if got := recordAt(t, db, 1).Event; got.Kind != audit.LedgerOpened || got.Cloud != cloud || got.Tenant != tenant {
			t.Errorf("the first event is %q of %q and %q", got.Kind, got.Cloud, got.Tenant)
		}
		for _, other := range [][2]string{{"public", tenant}, {cloud, carla}} {
			err := ledger.Bind(t.Context(), other[0], other[1], event(audit.LedgerOpened, 3))
			if err == nil {
				t.Fatalf("bound to %v as well", other)
			}
			for _, want := range []string{cloud, tenant, other[0], other[1]} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not name %q: %v", want, err)
				}
			}
		}
	})
}

func TestAnAlteredFirstEventIsNamedWhenTheDatabaseIsBound(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, fresh func(testing.TB) store.Options) {
		w := newTrial(t, fresh(t))
		w.exec(`update ledger_event set body = 'x' || body where seq = 1`)
		err := w.db.Ledger().Bind(t.Context(), cloud, tenant, event(audit.LedgerOpened, 0))
		if err == nil || !strings.Contains(err.Error(), "was altered") || !strings.Contains(err.Error(), "evict audit verify") {
			t.Errorf("binding it: %v", err)
		}
	})
}

func TestOnlyOneOfManyReplicasBinds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if err := db.Ledger().Bind(t.Context(), cloud, tenant, event(audit.LedgerOpened, i)); err != nil {
					t.Errorf("binding: %v", err)
				}
			})
		}
		wg.Wait()
		if got := newest(t, db); got != 1 {
			t.Errorf("the ledger has %d events, want 1", got)
		}
	})
}

func TestStoredBytesAreTheEncodedEvent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		e := event(audit.TargetConfirmed, 1)
		e.Target = &audit.Person{OID: bernd, UPN: "bernd@contoso.example", Name: "<Bernd> & \"Co\" \u2028 🙂"}
		e.Evidence = &audit.Evidence{T0: "2026-11-05T12:00:00.000Z", Status: 200}
		e.Detail = map[string]string{"b": "2", "a": "1"}
		if err := db.Ledger().Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		want, err := audit.Encode(1, e)
		if err != nil {
			t.Fatal(err)
		}
		r := recordAt(t, db, 1)
		if diff := cmp.Diff(string(want), string(r.Body)); diff != "" {
			t.Errorf("stored bytes differ (-want +got):\n%s", diff)
		}
		e.V, e.Seq = 1, 1
		if diff := cmp.Diff(e, r.Event); diff != "" {
			t.Errorf("event differs (-want +got):\n%s", diff)
		}
	})
}

func TestHostileTextIsStoredAlikeOnBothEngines(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		for i, s := range []string{
			"'; drop table ledger_event; --", `"quoted" \backslash\`, "nul\x00byte", "\xff\xfe broken", "𝔘𝔫𝔦🙂",
			"line\nbreak\r\u2028", strings.Repeat("𝔘", 5000), "$1 ? :a @b", "\u202egnp.exe",
		} {
			e := event(audit.TargetFailed, i)
			e.Ticket, e.Reason, e.Outcome, e.Run, e.Plan = s, s, s, s, s
			e.Operator = &audit.Person{OID: s, UPN: s, Name: s}
			e.Target = &audit.Person{OID: s, UPN: s, Name: s}
			e.Detail = map[string]string{s: s}
			if err := db.Ledger().Append(t.Context(), e); err != nil {
				t.Fatalf("appending %.20q: %v", s, err)
			}
			want, err := audit.Encode(int64(i+1), e)
			if err != nil {
				t.Fatal(err)
			}
			if got := recordAt(t, db, int64(i+1)).Body; string(got) != string(want) {
				t.Errorf("%.20q: stored\n%.300s\nwant\n%.300s", s, got, want)
			}
			for name, q := range map[string]audit.Query{"name": {Target: s}, "run": {Run: s}} {
				found, err := db.Ledger().Search(t.Context(), q)
				if err != nil {
					t.Fatalf("searching by %s for %.20q: %v", name, s, err)
				}
				if !slices.ContainsFunc(found.Records, func(r audit.Record) bool { return r.Seq == int64(i+1) }) {
					t.Errorf("searching by %s for %.20q does not find it", name, s)
				}
			}
		}
	})
}

func TestAnEventWithoutATimeIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		for _, when := range []string{"", "yesterday", "2026-11-05"} {
			e := event(audit.SignedIn, 1)
			e.Time = when
			if err := db.Ledger().Append(t.Context(), event(audit.SignedIn, 0), e); err == nil {
				t.Errorf("an event of time %q was appended", when)
			}
		}
		if got := newest(t, db); got != 0 {
			t.Errorf("the ledger has %d events, want none", got)
		}
	})
}

func TestConcurrentAppendsLeaveNoGapAndNoDuplicate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		const writers, each = 8, 12
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					a, b := event(audit.SignedIn, w*1000+i), event(audit.SignedOut, w*1000+i)
					if err := db.Ledger().Append(t.Context(), a, b); err != nil {
						t.Errorf("appending: %v", err)
					}
				}
			})
		}
		wg.Wait()
		const want = writers * each * 2
		if got := newest(t, db); got != want {
			t.Fatalf("the newest number is %d, want %d", got, want)
		}
		seen := map[string]bool{}
		for seq := int64(1); seq <= want; seq++ {
			r := recordAt(t, db, seq)
			if r.Event.Seq != seq {
				t.Errorf("the body of event %d says %d", seq, r.Event.Seq)
			}
			seen[string(r.Event.Kind)+r.Event.ID] = true
		}
		if len(seen) != want {
			t.Errorf("the ledger holds %d different events, want %d", len(seen), want)
		}
	})
}

func TestARolledBackWriteLeavesNoGap(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		broken := true
		db := open(func(o *store.Options) {
			o.Hook = func(point string) error {
				if broken && point == "append:before-commit" {
					return errors.New("disk full")
				}
				return nil
			}
		})
		if err := db.Ledger().Append(t.Context(), event(audit.SignedIn, 1)); err == nil {
			t.Fatal("a failing commit was reported as a success")
		}
		broken = false
		if err := db.Ledger().Append(t.Context(), event(audit.SignedIn, 2)); err != nil {
			t.Fatal(err)
		}
		if r := recordAt(t, db, 1); r.Event.ID != id(2) {
			t.Errorf("event 1 is %s, want %s", r.Event.ID, id(2))
		}
	})
}

func TestManyEventsInOneWrite(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		events := make([]audit.Event, 1203) // more than two inserts hold
		for i := range events {
			events[i] = event(audit.TargetAttempted, i)
			events[i].Target = &audit.Person{OID: fmt.Sprintf("%08d-0000-4000-8000-000000000000", i), UPN: fmt.Sprintf("u%d@x", i)}
		}
		if err := db.Ledger().Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		for _, seq := range []int64{1, 500, 501, 1203} {
			if got := recordAt(t, db, seq).Event.ID; got != id(int(seq-1)) {
				t.Errorf("event %d is %s, want %s", seq, got, id(int(seq-1)))
			}
		}
	})
}

func TestTheDatabaseItselfRefusesToChangeTheLedger(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		if err := db.Ledger().Append(t.Context(), event(audit.SignedIn, 1), event(audit.SignedIn, 2)); err != nil {
			t.Fatal(err)
		}
		raw := past(t, o)
		const again = `(seq, id, at_ms, kind, operator_oid, target_oid, run_id, plan_id, outcome, ticket, body)
			select seq, id, at_ms, kind, operator_oid, target_oid, run_id, plan_id, outcome, ticket, 'forged' from ledger_event`
		statements := []string{
			`update ledger_event set body = 'forged'`, `update ledger_event set ticket = '' where seq = 1`,
			`delete from ledger_event`, `delete from ledger_event where seq = 2`,
			`insert into ledger_event ` + again,
		}
		if db.Engine() == "SQLite" {
			statements = append(statements, `insert or replace into ledger_event `+again, `replace into ledger_event `+again)
		} else {
			statements = append(statements, `truncate ledger_event`, `truncate ledger_event cascade`,
				`insert into ledger_event `+again+` on conflict (seq) do update set body = excluded.body`)
		}
		for _, s := range statements {
			if _, err := raw.ExecContext(t.Context(), s); err == nil {
				t.Errorf("the database did it: %s", s)
			}
		}
		for seq := int64(1); seq <= 2; seq++ {
			if got := recordAt(t, db, seq).Event.ID; got != id(int(seq)) {
				t.Errorf("event %d is now %s", seq, got)
			}
		}
	})
}

func TestAMissingEventIsNotFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		_, err := open().Ledger().Event(t.Context(), 7)
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("got %v, want the kind not found", err)
		}
	})
}

// seqs lists the numbers of a page.
func seqs(t *testing.T, db *store.DB, q audit.Query) (out []int64, more bool) {
	t.Helper()
	found, err := db.Ledger().Paced(time.Hour, 1024, 0, 0).Search(t.Context(), q)
	if err != nil {
		t.Fatalf("searching for %+v: %v", q, err)
	}
	for _, r := range found.Records {
		out = append(out, r.Seq)
	}
	return out, found.More
}

func TestSearchFilters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		person := func(oid, upn, name string) *audit.Person { return &audit.Person{OID: oid, UPN: upn, Name: name} }
		events := []audit.Event{event(audit.LedgerOpened, 0), event(audit.SignedIn, 1), event(audit.TargetAttempted, 2),
			event(audit.TargetConfirmed, 3), event(audit.TargetAttempted, 4), event(audit.SignedOut, 5)}
		events[0].Operator = nil
		events[2].Target, events[2].Run = person(bernd, "bernd@contoso.example", "Bernd 100%"), "run-1"
		events[3].Target, events[3].Run = person(bernd, "bernd.married@contoso.example", "Bernd ÖZIL"), "run-1"
		events[4].Target, events[4].Run = person(carla, "carla_x@contoso.example", "Carla"), "run-2"
		events[4].Operator = person(carla, "carla_x@contoso.example", "Carla")
		if err := db.Ledger().Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			q    audit.Query
			want []int64
		}{
			"everything":                     {audit.Query{}, []int64{6, 5, 4, 3, 2, 1}},
			"kind":                           {audit.Query{Kind: audit.TargetAttempted}, []int64{5, 3}},
			"run":                            {audit.Query{Run: "run-1"}, []int64{4, 3}},
			"operator by id":                 {audit.Query{Operator: carla}, []int64{5}},
			"operator by id in capitals":     {audit.Query{Operator: strings.ToUpper(carla)}, []int64{5}},
			"target by id":                   {audit.Query{Target: bernd}, []int64{4, 3}},
			"target by a former name":        {audit.Query{Target: "100%"}, []int64{4, 3}},
			"target by UPN part":             {audit.Query{Target: "MARRIED"}, []int64{4, 3}},
			"case beyond ASCII":              {audit.Query{Target: "özil"}, []int64{4, 3}},
			"percent is no wildcard":         {audit.Query{Target: "b%d"}, nil},
			"underscore is no wildcard":      {audit.Query{Target: "carla_x"}, []int64{5}},
			"underscore matches itself only": {audit.Query{Target: "bernd_contoso"}, nil},
			"operator and target":            {audit.Query{Operator: "anna", Target: "bernd"}, []int64{4, 3}},
			"nobody":                         {audit.Query{Operator: "nobody"}, nil},
			"from":                           {audit.Query{From: noon.Add(4 * time.Second)}, []int64{6, 5}},
			"to is exclusive":                {audit.Query{To: noon.Add(2 * time.Second)}, []int64{2, 1}},
			"from and to":                    {audit.Query{From: noon.Add(time.Second), To: noon.Add(3 * time.Second)}, []int64{3, 2}},
			"before":                         {audit.Query{Before: 3}, []int64{2, 1}},
			"after":                          {audit.Query{After: 4}, []int64{6, 5}},
			"between":                        {audit.Query{After: 2, Before: 5}, []int64{4, 3}},
		} {
			if got, more := seqs(t, db, c.q); !slices.Equal(got, c.want) || more {
				t.Errorf("%s: got %v (more %v), want %v", name, got, more, c.want)
			}
		}
	})
}

func TestSearchPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		var events []audit.Event
		for i := range 260 {
			events = append(events, event(audit.SignedIn, i))
		}
		if err := db.Ledger().Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			q           audit.Query
			first, last int64
			more        bool
		}{
			"default size":             {audit.Query{}, 260, 211, true},
			"largest size":             {audit.Query{Limit: 1000}, 260, 61, true},
			"older":                    {audit.Query{Before: 211, Limit: 10}, 210, 201, true},
			"the oldest":               {audit.Query{Before: 11, Limit: 10}, 10, 1, false},
			"newer keeps newest first": {audit.Query{After: 100, Limit: 10}, 110, 101, true},
			"the newest":               {audit.Query{After: 250, Limit: 10}, 260, 251, false},
		} {
			got, more := seqs(t, db, c.q)
			if len(got) == 0 || got[0] != c.first || got[len(got)-1] != c.last || more != c.more {
				t.Errorf("%s: got %v (more %v), want %d to %d (more %v)", name, got, more, c.first, c.last, c.more)
			}
		}
	})
}

func TestSearchForAWordThatFitsVeryManyPeopleLeavesNobodyOut(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		var events []audit.Event
		for i := range 250 {
			e := event(audit.TargetAttempted, i)
			e.Target = &audit.Person{OID: fmt.Sprintf("%08d-0000-4000-8000-000000000000", i), UPN: fmt.Sprintf("u%d@contoso.example", i)}
			events = append(events, e)
		}
		if err := db.Ledger().Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		var all []int64
		for before := int64(0); ; {
			page, more := seqs(t, db, audit.Query{Target: "contoso", Before: before, Limit: 100})
			all = append(all, page...)
			if !more {
				break
			}
			before = page[len(page)-1]
		}
		if len(all) != 250 {
			t.Errorf("found %d of 250 events", len(all))
		}
	})
}

func TestTheEndOfARunSaysHowManyEventsItWrote(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd)
		l.Events = append(l.Events, runEvent(audit.TargetAttempted, 11, l.Run.ID), event(audit.PlanCreated, 12))
		f := launch(t, db, l)
		detail := map[string]string{"confirmed": "1"}
		finished := runEvent(audit.RunFinished, 14, l.Run.ID)
		finished.Detail = detail
		step := revoke.Step{Now: noon, Lease: time.Second, End: revoke.RunFinished,
			Events: []audit.Event{runEvent(audit.TargetConfirmed, 13, l.Run.ID), finished}}
		commit(t, db, f, step)
		last := recordAt(t, db, newest(t, db))
		want := map[string]string{"confirmed": "1", "events": "4", "last_seq": "5"}
		if diff := cmp.Diff(want, last.Event.Detail); diff != "" {
			t.Errorf("detail of the last event (-want +got):\n%s", diff)
		}
		if len(detail) != 1 {
			t.Errorf("the caller's map was changed: %v", detail)
		}
		if run, _ := read(t, db, l.Run.ID); run.Events != 4 {
			t.Errorf("the run counts %d events, want 4", run.Events)
		}
	})
}

// A callback that uses the store inside a transaction waits for the writer that it itself holds. It has to fail when
// its time is over, and must not take the outer transaction with it.
func TestAWriteInsideAWriteEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		l := launchOf(10, anna, bernd)
		f := launch(t, db, l)
		if err := db.Sessions().SignIn(t.Context(), session(1, bernd), nil, nil); err != nil {
			t.Fatal(err)
		}
		step := accept(l)
		step.Evict = cuts(bernd)
		var inner error
		step.Evicted = func(revoke.Footprint) []audit.Event {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			inner = db.Ledger().Append(ctx, runEvent(audit.SignedOut, 60, l.Run.ID))
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := db.Revoke().Commit(ctx, f, step); err != nil {
			t.Errorf("the outer write: %v", err)
		}
		if inner == nil {
			t.Error("the inner write went through")
		}
	})
}
