package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

func preview(t testing.TB, db *store.DB, id revoke.PreviewID) revoke.Preview {
	t.Helper()
	p, err := db.Revoke().Preview(t.Context(), id)
	if err != nil {
		t.Fatalf("reading preview %s: %v", id, err)
	}
	return p
}

// everyTarget reads a whole list, in pages.
func everyTarget(t testing.TB, db *store.DB, id revoke.PreviewID, size int) (all []revoke.Target) {
	t.Helper()
	for after := -1; ; after = all[len(all)-1].Pos {
		page, err := db.Revoke().Targets(t.Context(), id, revoke.TargetQuery{After: after, Limit: size})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < size {
			return all
		}
	}
}

func leftovers(t testing.TB, db *store.DB, id revoke.PreviewID, q revoke.TargetQuery) []revoke.Leftover {
	t.Helper()
	list, err := db.Revoke().Leftovers(t.Context(), id, q)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// rows counts what the tables of lists hold of a preview.
func rows(t testing.TB, o store.Options, id revoke.PreviewID) (candidates, targets, left int) {
	t.Helper()
	raw := past(t, o)
	for table, n := range map[string]*int{"preview_candidate where preview": &candidates, "plan_target where list": &targets, "preview_left where list": &left} {
		if err := raw.QueryRowContext(t.Context(), `select count(*) from `+table+` = $1`, string(id)).Scan(n); err != nil {
			t.Fatal(err)
		}
	}
	return candidates, targets, left
}

func TestAPreviewComesBackAsItWasBegun(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		want := previewOf(10, anna)
		begin(t, db, want)
		if diff := gocmp.Diff(want, preview(t, db, want.ID)); diff != "" {
			t.Errorf("preview (-want +got):\n%s", diff)
		}
		if err := db.Revoke().BeginPreview(t.Context(), want); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("the same preview again: %v, want ErrConflict", err)
		}
		if _, err := db.Revoke().Preview(t.Context(), "nope"); !errors.Is(err, revoke.ErrNotFound) {
			t.Errorf("a missing preview: %v, want ErrNotFound", err)
		}
	})
}

func TestHitsOfOnePersonAreMerged(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		p := previewOf(10, anna)
		begin(t, db, p)
		hit := func(reason string, change func(*revoke.Candidate)) revoke.Candidate {
			c := person(1)
			c.Reasons = []string{reason}
			change(&c)
			return c
		}
		none := func(*revoke.Candidate) {}
		if n := add(t, db, p.ID, hit("group A", func(c *revoke.Candidate) {
			c.UPN, c.Flags, c.Verdict, c.Because, c.Before, c.Inside = "old@contoso.example", []revoke.Flag{"synced?", "privileged?"}, "unknown", "not read", time.Time{}, false
		}), person(2), hit("group A", none)); n != 2 {
			t.Errorf("found %d, want 2", n)
		}
		if n := add(t, db, p.ID, hit("role B", func(c *revoke.Candidate) {
			c.Flags, c.Before = []revoke.Flag{revoke.FlagSynced}, noon
		}), hit("group A", none)); n != 2 {
			t.Errorf("found %d, want still 2", n)
		}
		for i := range 30 {
			add(t, db, p.ID, hit(fmt.Sprint("path ", i), func(c *revoke.Candidate) {
				c.Verdict, c.Because, c.Before = "", "", time.Time{} // this hit knows less
			}))
		}
		got := preview(t, db, p.ID)
		if got.Found != 2 || got.Doing != "adding" || !got.BeatAt.Equal(noon) {
			t.Errorf("found %d, doing %q, beat at %v", got.Found, got.Doing, got.BeatAt)
		}
		freeze(t, db, p.ID)
		want := person(1).Target
		want.Reasons = []string{"group A", "role B"}
		for i := range 18 {
			want.Reasons = append(want.Reasons, fmt.Sprint("path ", i))
		}
		want.Flags = []revoke.Flag{"privileged?", revoke.FlagSynced}
		if diff := gocmp.Diff(want, everyTarget(t, db, p.ID, 10)[0]); diff != "" {
			t.Errorf("merged target (-want +got):\n%s", diff)
		}
	})
}

func TestWhoWasOnlyExcludedIsDroppedAndWhoWasIncludedTooIsLeftOut(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		p := previewOf(10, anna)
		begin(t, db, p)
		out := func(i int) revoke.Candidate {
			c := person(i)
			c.Excluded, c.Reasons = true, []string{"not the board"}
			return c
		}
		for _, step := range []struct {
			hits  []revoke.Candidate
			found int
		}{
			{[]revoke.Candidate{out(1), out(2), out(3)}, 0},
			{[]revoke.Candidate{person(2), person(4)}, 2},
			{[]revoke.Candidate{out(4), person(5), out(5)}, 3},
		} {
			if n := add(t, db, p.ID, step.hits...); n != step.found {
				t.Errorf("found %d, want %d", n, step.found)
			}
		}
		got := freeze(t, db, p.ID)
		if got.Total != 0 || got.Left != 3 || got.Found != 3 {
			t.Errorf("total %d, left out %d, found %d; want 0, 3, 3", got.Total, got.Left, got.Found)
		}
		for _, l := range leftovers(t, db, p.ID, revoke.TargetQuery{After: -1}) {
			if l.Cause != revoke.LeftExcluded || len(l.Reasons) != 2 {
				t.Errorf("%s was left out as %q, reasons %q", l.UPN, l.Cause, l.Reasons)
			}
		}
	})
}

// A list with everything in it that decides who stays in, and where.
func TestAListIsSiftedRankedAndCounted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open(func(o *store.Options) { o.Now = func() time.Time { return noon } })
		launch(t, db, launchOf(100, oidOf(3), carla)) // person 3 operates Evict
		ended := launchOf(110, oidOf(4), carla)       // person 4 did
		commit(t, db, launch(t, db, ended), revoke.Step{Now: noon, Lease: lease, End: revoke.RunFinished})
		for i, at := range map[int]time.Duration{5: -time.Hour, 6: -25 * time.Hour} { // persons 5 and 6 were revoked before
			l := launchOf(200+10*i, anna, oidOf(i))
			f := launch(t, db, l)
			s := revoke.Step{Now: noon, Lease: lease}
			was := l.Targets[0]
			was.UpdatedAt = noon.Add(at)
			moved(&s, audit.TargetConfirmed, revoke.Confirmed, was)
			s.End = revoke.RunFinished
			commit(t, db, f, s)
		}
		protect(t, db, oidOf(7))
		protect(t, db, oidOf(99))
		p := previewOf(10, oidOf(0)) // person 0 is who asks
		p.Options = revoke.PlanOptions{Without: []revoke.Flag{revoke.FlagDisabled}}
		list := []revoke.Candidate{
			person(9), person(8, revoke.FlagPrivileged), person(7, revoke.FlagPrivileged), person(6), person(5), person(4), person(3),
			person(2, revoke.FlagExternal), person(1, revoke.FlagDisabled), person(0), person(10, "privileged?"), person(11, "external?"),
		}
		list[0].UPN, list[0].Inside, list[0].Verdict = "A@contoso.example", false, "unknown"
		excluded := person(12)
		excluded.Excluded = true
		begin(t, db, p)
		add(t, db, p.ID, append(list, person(12), excluded)...)
		before := newest(t, db)
		facts := revoke.Facts{
			Unread:  []directory.Unread{{What: "PIM", Why: "no licence"}},
			Lines:   []directory.Line{{Text: "x", Fate: directory.LineNotFound}},
			Matched: 3, EnabledInternal: -1, Federated: []string{"f.example"}, FederatedRead: true, Protected: 2,
		}
		var told revoke.Preview
		got, err := db.Revoke().Freeze(t.Context(), p.ID, facts, noon, func(p revoke.Preview) []audit.Event {
			told = p
			return []audit.Event{event(audit.PlanPreviewed, 77)}
		})
		if err != nil {
			t.Fatal(err)
		}

		order := []int{8, 9, 4, 5, 6, 10, 3} // privileged, then by UPN (capitals first), operators last
		digest := revoke.NewListDigest()
		targets := everyTarget(t, db, p.ID, 3)
		for pos, i := range order {
			digest.Add(pos, oidOf(i))
			if pos >= len(targets) || targets[pos].Pos != pos || targets[pos].OID != oidOf(i) {
				t.Fatalf("position %d is not person %d: %+v", pos, i, targets)
			}
		}
		if len(targets) != len(order) {
			t.Errorf("%d targets, want %d", len(targets), len(order))
		}
		if f := targets[6].Flags; !slices.Equal(f, []revoke.Flag{revoke.FlagOperator}) {
			t.Errorf("who operates Evict has the flags %q", f)
		}
		if f := targets[3].Flags; !slices.Equal(f, []revoke.Flag{revoke.FlagRecent}) {
			t.Errorf("who was revoked an hour ago has the flags %q", f)
		}
		want := p
		want.State, want.Doing, want.Found, want.ReadyAt, want.ExpiresAt = revoke.PreviewReady, "", 13, noon, noon.Add(revoke.PlanLife)
		want.Total, want.Left, want.ListDigest, want.Facts = 7, 6, digest.String(), facts
		want.Counts = revoke.PreviewCounts{
			Flags:    map[revoke.Flag]int{revoke.FlagPrivileged: 1, "privileged?": 1, revoke.FlagRecent: 1, revoke.FlagOperator: 1},
			Verdicts: map[string]int{"expected to be allowed": 6, "unknown": 1}, Enabled: 6,
		}
		want.LeftCounts = map[string]int{"protected": 1, "the operator": 1, "external": 2, "taken out": 1, "excluded": 1}
		for name, p := range map[string]revoke.Preview{"returned": got, "told": told, "stored": preview(t, db, p.ID)} {
			if diff := gocmp.Diff(want, p); diff != "" {
				t.Errorf("%s preview (-want +got):\n%s", name, diff)
			}
		}
		if e := recordAt(t, db, newest(t, db)).Event; newest(t, db) != before+1 || e.Kind != audit.PlanPreviewed {
			t.Errorf("%d events, the last %q", newest(t, db)-before, e.Kind)
		}

		left := map[string]revoke.Cause{}
		for i, l := range leftovers(t, db, p.ID, revoke.TargetQuery{After: -1}) {
			if left[l.OID] = l.Cause; l.Pos != i || l.UPN == "" || l.Verdict == "" {
				t.Errorf("left out at %d: %+v", i, l)
			}
		}
		wantLeft := map[string]revoke.Cause{
			oidOf(0): revoke.LeftSelf, oidOf(1): revoke.LeftFlag, oidOf(2): revoke.LeftExternal, oidOf(7): revoke.LeftProtected,
			oidOf(11): revoke.LeftExternal, oidOf(12): revoke.LeftExcluded,
		}
		if diff := gocmp.Diff(wantLeft, left); diff != "" {
			t.Errorf("left out (-want +got):\n%s", diff)
		}
	})
}

func TestWhoAsksComesLastWhenIncluded(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		launch(t, db, launchOf(100, oidOf(0), carla)) // their own unfinished runs change nothing
		launch(t, db, launchOf(110, oidOf(1), carla))
		p := previewOf(10, oidOf(0))
		p.Options.IncludeSelf, p.Options.IncludeExternal = true, true
		listed(t, db, p, person(0, revoke.FlagPrivileged), person(1), person(2, revoke.FlagExternal), person(3))
		var got []string
		for _, target := range everyTarget(t, db, p.ID, 10) {
			got = append(got, target.OID)
			if target.OID == oidOf(0) && target.Has(revoke.FlagOperator) {
				t.Error("who asks is flagged as another operator")
			}
		}
		if want := []string{oidOf(3), oidOf(2), oidOf(1), oidOf(0)}; !slices.Equal(got, want) {
			t.Errorf("order %v, want %v", got, want)
		}
	})
}

// More people than one transaction takes, in no order, with some to leave out in each.
func TestALongListIsNumberedWithoutAGap(t *testing.T) {
	t.Parallel()
	const n = 4500
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		list := people(n)
		for i := range list {
			list[i].UPN = fmt.Sprintf("%06d@contoso.example", uint32(i)*2654435761%n/2) // many share one
			if i%7 == 0 {
				list[i].Flags = []revoke.Flag{revoke.FlagExternal}
			}
			if i%11 == 0 {
				list[i].Flags = append(list[i].Flags, revoke.FlagPrivileged)
			}
		}
		p := previewOf(10, anna)
		got := listed(t, db, p, list...)
		slices.SortFunc(list, func(a, b revoke.Candidate) int {
			return cmp.Or(cmp.Compare(revoke.Rank(a.Target, anna, false), revoke.Rank(b.Target, anna, false)),
				strings.Compare(a.UPN, b.UPN), strings.Compare(a.OID, b.OID))
		})
		digest := revoke.NewListDigest()
		var want []revoke.Target
		for _, c := range list {
			if c.External() {
				continue
			}
			c.Pos = len(want)
			digest.Add(c.Pos, c.OID)
			want = append(want, c.Target)
		}
		if diff := gocmp.Diff(want, everyTarget(t, db, p.ID, 1000)); diff != "" {
			t.Errorf("list (-want +got):\n%.2000s", diff)
		}
		if got.ListDigest != digest.String() || got.Total != len(want) || got.Left != n-len(want) {
			t.Errorf("total %d, left out %d, digest %s", got.Total, got.Left, got.ListDigest)
		}
		if c, targets, left := rows(t, o, p.ID); c != 0 || targets != got.Total || left != got.Left {
			t.Errorf("the tables hold %d candidates, %d targets, %d left out", c, targets, left)
		}
	})
}

func TestAListThatIsFrozenOrFailedTakesNobodyIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		ready, failed := previewOf(10, anna), previewOf(20, anna)
		listed(t, db, ready, people(3)...)
		begin(t, db, failed)
		add(t, db, failed.ID, people(3)...)
		if err := db.Revoke().FailPreview(t.Context(), failed.ID, "no answer", noon); err != nil {
			t.Fatal(err)
		}
		if p := preview(t, db, failed.ID); p.State != revoke.PreviewFailed || p.Failure != "no answer" {
			t.Errorf("failed as %q, %q", p.State, p.Failure)
		}
		if c, targets, left := rows(t, o, failed.ID); c+targets+left != 0 {
			t.Errorf("of a failed expansion there are %d candidates, %d targets, %d left out", c, targets, left)
		}
		for _, id := range []revoke.PreviewID{ready.ID, failed.ID, "nope"} {
			if _, err := db.Revoke().AddCandidates(t.Context(), id, people(1), "", noon); !errors.Is(err, revoke.ErrConflict) {
				t.Errorf("adding to %s: %v, want ErrConflict", id, err)
			}
			if _, err := db.Revoke().AddCandidates(t.Context(), id, nil, "", noon); !errors.Is(err, revoke.ErrConflict) {
				t.Errorf("a beat of %s: %v, want ErrConflict", id, err)
			}
			if _, err := db.Revoke().Freeze(t.Context(), id, revoke.Facts{}, noon, nil); !errors.Is(err, revoke.ErrConflict) {
				t.Errorf("freezing %s: %v, want ErrConflict", id, err)
			}
			if err := db.Revoke().FailPreview(t.Context(), id, "", noon); !errors.Is(err, revoke.ErrConflict) {
				t.Errorf("failing %s: %v, want ErrConflict", id, err)
			}
		}
		for _, id := range []revoke.PreviewID{failed.ID, "nope"} {
			want := revoke.ErrConflict
			if id == "nope" {
				want = revoke.ErrNotFound
			}
			_, targets := db.Revoke().Targets(t.Context(), id, revoke.TargetQuery{})
			_, left := db.Revoke().Leftovers(t.Context(), id, revoke.TargetQuery{})
			_, before := db.Revoke().Compare(t.Context(), id, ready.ID, 1)
			_, after := db.Revoke().Compare(t.Context(), ready.ID, id, 1)
			for _, err := range []error{targets, left, before, after} {
				if !errors.Is(err, want) {
					t.Errorf("reading %s: %v, want %v", id, err, want)
				}
			}
		}
	})
}

// The process dies, or the disk is full, at each transaction of a freeze in turn: the list is never half there for
// anybody, and may be frozen again or is cleared away.
func TestAFreezeThatBreaksOffIsHarmless(t *testing.T) {
	t.Parallel()
	long(t)
	const n = 4500 // three chunks
	points := []struct {
		point string
		nth   int
	}{
		{"freeze-begin:before-commit", 1}, {"freeze-begin:after-commit", 1}, {"freeze-chunk:before-commit", 1}, {"freeze-chunk:after-commit", 1},
		{"freeze-chunk:before-commit", 3}, {"freeze-chunk:after-commit", 3}, {"freeze:before-commit", 1},
	}
	full := errors.New("disk full")
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		var fails atomic.Pointer[func(string) error]
		db, o := optionsOf(t, func(change ...func(*store.Options)) *store.DB {
			return open(append(change, func(o *store.Options) {
				o.Now = func() time.Time { return noon }
				o.Hook = func(at string) error {
					if f := fails.Load(); f != nil {
						return (*f)(at)
					}
					return nil
				}
			})...)
		})
		list := people(n)
		for i := range list[:n/2] {
			list[2*i].Flags = []revoke.Flag{revoke.FlagExternal}
		}
		want := listed(t, db, previewOf(10, anna), list...)
		for i, c := range points {
			p := previewOf(20+i, anna)
			begin(t, db, p)
			add(t, db, p.ID, list...)
			seen := 0
			breaks := func(at string) error {
				if at == c.point {
					if seen++; seen == c.nth {
						return full
					}
				}
				return nil
			}
			fails.Store(&breaks)
			if _, err := db.Revoke().Freeze(t.Context(), p.ID, revoke.Facts{}, noon, nil); !errors.Is(err, full) {
				t.Errorf("%v: %v, want the error of the hook", c, err)
			}
			fails.Store(nil)
			if got := preview(t, db, p.ID); got.State != revoke.PreviewExpanding || got.Total != 0 || got.ListDigest != "" {
				t.Errorf("%v: it is %q with %d targets", c, got.State, got.Total)
			}
			if _, err := db.Revoke().Targets(t.Context(), p.ID, revoke.TargetQuery{After: -1}); !errors.Is(err, revoke.ErrConflict) {
				t.Errorf("%v: the half-made list can be read: %v", c, err)
			}
			if i%2 == 0 { // the caller tries again
				got := freeze(t, db, p.ID)
				if got.ListDigest != want.ListDigest || got.Total != want.Total || got.Left != want.Left {
					t.Errorf("%v: again: %d targets, %d left out, another digest %v", c, got.Total, got.Left, got.ListDigest != want.ListDigest)
				}
				continue
			}
			err := db.Revoke().StalePreviews(t.Context(), noon.Add(time.Second), "gone", noon)
			if got := preview(t, db, p.ID); err != nil || got.State != revoke.PreviewFailed || got.Failure != "gone" {
				t.Errorf("%v: it is %q, %q (%v), want failed", c, got.State, got.Failure, err)
			}
			if c, targets, left := rows(t, o, p.ID); c+targets+left != 0 {
				t.Errorf("%d candidates, %d targets, %d left out remain", c, targets, left)
			}
		}
	})
}

// The answer to the last commit of a freeze is lost: the list is there.
func TestAFreezeWhoseAnswerIsLostHasHappened(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		lost := errors.New("lost")
		db, o := optionsOf(t, func(change ...func(*store.Options)) *store.DB {
			return open(append(change, func(o *store.Options) {
				o.Hook = func(at string) error {
					if at == "freeze:after-commit" {
						return lost
					}
					return nil
				}
			})...)
		})
		p := previewOf(10, anna)
		begin(t, db, p)
		add(t, db, p.ID, people(5)...)
		if _, err := db.Revoke().Freeze(t.Context(), p.ID, revoke.Facts{}, noon, nil); !errors.Is(err, lost) {
			t.Fatalf("got %v", err)
		}
		if got := preview(t, db, p.ID); got.State != revoke.PreviewReady || len(everyTarget(t, db, p.ID, 10)) != 5 {
			t.Errorf("it is %q", got.State)
		}
		if c, _, _ := rows(t, o, p.ID); c != 5 {
			t.Errorf("%d candidates remain, want those that nobody dropped", c)
		}
		if err := db.Revoke().PurgePreviews(t.Context(), noon.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		if c, targets, _ := rows(t, o, p.ID); c != 0 || targets != 5 {
			t.Errorf("after a purge of older ones: %d candidates, %d targets", c, targets)
		}
	})
}

// A freeze that was taken for dead goes on while another one is at work.
func TestOneOfTwoFreezesMakesTheList(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		inside := make(chan chan struct{}) // who has written a chunk says so, and how to let it go on
		var chunks atomic.Int64
		db := open(func(o *store.Options) {
			o.Hook = func(at string) error {
				if at == "freeze-chunk:after-commit" && chunks.Add(1) <= 2 {
					leave := make(chan struct{})
					inside <- leave
					<-leave
				}
				return nil
			}
		})
		p := previewOf(10, anna)
		begin(t, db, p)
		add(t, db, p.ID, people(4500)...)
		freeze := func() chan error {
			done := make(chan error, 1)
			go func() {
				_, err := db.Revoke().Freeze(context.WithoutCancel(t.Context()), p.ID, revoke.Facts{}, noon, nil)
				done <- err
			}()
			return done
		}
		first := freeze()
		letFirst := <-inside
		if _, err := db.Revoke().AddCandidates(t.Context(), p.ID, people(1), "", noon); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("adding to a list that is being numbered: %v, want ErrConflict", err)
		}
		if _, err := db.Revoke().AddCandidates(t.Context(), p.ID, nil, "numbering", noon); err != nil {
			t.Errorf("a beat while the list is being numbered: %v", err)
		}
		second := freeze()
		letSecond := <-inside
		close(letFirst)
		if err := <-first; !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("the freeze that was overtaken: %v, want ErrConflict", err)
		}
		close(letSecond)
		if err := <-second; err != nil {
			t.Errorf("the freeze that overtook it: %v", err)
		}
		if targets := everyTarget(t, db, p.ID, 1000); len(targets) != 4500 || preview(t, db, p.ID).Total != 4500 {
			t.Errorf("%d targets, total %d", len(targets), preview(t, db, p.ID).Total)
		}
	})
}

func TestStalePreviewsAreThoseWithoutABeat(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		silent, alive, ready := previewOf(10, anna), previewOf(20, anna), previewOf(30, anna)
		begin(t, db, silent)
		begin(t, db, alive)
		listed(t, db, ready, people(2)...)
		if _, err := db.Revoke().AddCandidates(t.Context(), alive.ID, nil, "reading", noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := db.Revoke().StalePreviews(t.Context(), noon.Add(time.Minute), "gone", noon); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[revoke.PreviewID]revoke.PreviewState{
			silent.ID: revoke.PreviewFailed, alive.ID: revoke.PreviewExpanding, ready.ID: revoke.PreviewReady,
		} {
			if got := preview(t, db, id).State; got != want {
				t.Errorf("%s is %q, want %q", id, got, want)
			}
		}
	})
}

func TestAPreviewBecomesOneRunAtMost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		p := listed(t, db, previewOf(10, anna), people(3)...)
		if list, err := db.Revoke().Previews(t.Context(), anna, 10); err != nil || len(list) != 1 || list[0].ID != p.ID {
			t.Errorf("previews before: %d (%v)", len(list), err)
		}
		var won atomic.Int64
		var winner atomic.Pointer[revoke.Launch]
		var wg sync.WaitGroup
		for i := range 6 {
			l := manyOf(100+10*i, p)
			wg.Go(func() {
				_, err := db.Revoke().Launch(t.Context(), l)
				if err == nil {
					won.Add(1)
					winner.Store(&l)
				} else if !errors.Is(err, revoke.ErrConflict) {
					t.Errorf("launching: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d runs of one preview", won.Load())
		}
		l := *winner.Load()
		if got := preview(t, db, p.ID); got.Run != l.Run.ID {
			t.Errorf("the preview names run %q, want %q", got.Run, l.Run.ID)
		}
		run, targets := read(t, db, l.Run.ID)
		want := l.Run
		want.Events, want.Counts = 1, revoke.Counts{}
		if diff := gocmp.Diff(want, run); diff != "" || len(targets) != 0 {
			t.Errorf("run with %d targets (-want +got):\n%s", len(targets), diff)
		}
		plan, err := db.Revoke().Plan(t.Context(), l.Plan.ID)
		if diff := gocmp.Diff(l.Plan, plan); diff != "" || err != nil || plan.Freeze().Digest != l.Plan.Digest {
			t.Errorf("plan (%v) (-want +got):\n%s", err, diff)
		}
		if list, err := db.Revoke().Previews(t.Context(), anna, 10); err != nil || len(list) != 0 {
			t.Errorf("previews afterwards: %d (%v)", len(list), err)
		}
		summary := runs(t, db, revoke.RunQuery{})[0]
		if summary.First.OID != oidOf(0) || summary.First.State != revoke.Pending || summary.Preview != p.ID {
			t.Errorf("the first target of a run that has not begun: %+v", summary.First)
		}
		if newest(t, db) != 1 {
			t.Errorf("%d events, want 1", newest(t, db))
		}
	})
}

func TestALaunchOfAnotherListIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		expanding, failed := previewOf(20, anna), previewOf(30, anna)
		begin(t, db, expanding)
		begin(t, db, failed)
		if err := db.Revoke().FailPreview(t.Context(), failed.ID, "", noon); err != nil {
			t.Fatal(err)
		}
		p := listed(t, db, previewOf(10, anna), people(3)...)
		for name, c := range map[string]struct {
			change func(p *revoke.Preview, l *revoke.Launch)
			want   func(error) bool
		}{
			"another digest":   {func(p *revoke.Preview, _ *revoke.Launch) { p.ListDigest = "x" }, invalid},
			"another number":   {func(p *revoke.Preview, _ *revoke.Launch) { p.Total = 2 }, invalid},
			"no such preview":  {func(p *revoke.Preview, _ *revoke.Launch) { p.ID = "nope" }, conflict},
			"still expanding":  {func(p *revoke.Preview, _ *revoke.Launch) { p.ID = expanding.ID }, conflict},
			"failed":           {func(p *revoke.Preview, _ *revoke.Launch) { p.ID = failed.ID }, conflict},
			"expired":          {func(_ *revoke.Preview, l *revoke.Launch) { l.Now = noon.Add(revoke.PlanLife) }, conflict},
			"a run of another": {func(_ *revoke.Preview, l *revoke.Launch) { l.Run.Preview = "" }, func(err error) bool { return err != nil }},
		} {
			q := p
			l := revoke.Launch{}
			c.change(&q, &l)
			l = manyOf(100, q)
			c.change(&q, &l)
			if _, err := db.Revoke().Launch(t.Context(), l); !c.want(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		own := manyOf(200, p)
		own.Plan.Targets = []revoke.Target{person(7).Target}
		if _, err := db.Revoke().Launch(t.Context(), own); !invalid(err) {
			t.Errorf("targets beside those of the preview: %v", err)
		}
		if newest(t, db) != 0 || preview(t, db, p.ID).Run != "" {
			t.Errorf("%d events, run %q", newest(t, db), preview(t, db, p.ID).Run)
		}
		launch(t, db, manyOf(300, p))
	})
}

func invalid(err error) bool  { return fault.KindOf(err) == fault.Invalid }
func conflict(err error) bool { return errors.Is(err, revoke.ErrConflict) }

func TestPreviewsThatNeverRanArePurgedWithTheirLists(t *testing.T) {
	t.Parallel()
	long(t)
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		old := func(n int) revoke.Preview {
			p := previewOf(n, anna)
			p.CreatedAt = noon.Add(-48 * time.Hour)
			return p
		}
		list := append(people(2100), person(3000, revoke.FlagExternal))
		stays := listed(t, db, old(10), list...)
		l := manyOf(11, stays)
		launch(t, db, l)
		goes, young, expanding := listed(t, db, old(20), list...), listed(t, db, previewOf(30, anna), list...), old(40)
		begin(t, db, expanding)
		add(t, db, expanding.ID, list...)
		if err := db.Revoke().PurgePreviews(t.Context(), noon.Add(-24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		for _, p := range []revoke.Preview{goes, expanding} {
			if _, err := db.Revoke().Preview(t.Context(), p.ID); !errors.Is(err, revoke.ErrNotFound) {
				t.Errorf("preview %s: %v, want it gone", p.ID, err)
			}
			if c, targets, left := rows(t, o, p.ID); c+targets+left != 0 {
				t.Errorf("of preview %s remain %d candidates, %d targets, %d left out", p.ID, c, targets, left)
			}
		}
		for _, p := range []revoke.Preview{stays, young} {
			if got := preview(t, db, p.ID); got.State != revoke.PreviewReady {
				t.Errorf("preview %s is %q", p.ID, got.State)
			}
			if _, targets, left := rows(t, o, p.ID); targets != 2100 || left != 1 {
				t.Errorf("of preview %s remain %d targets, %d left out", p.ID, targets, left)
			}
		}
		if _, err := db.Revoke().Launch(t.Context(), manyOf(21, goes)); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("launching a purged preview: %v, want ErrConflict", err)
		}
	})
}

func TestAPurgeThatBreaksOffGoesOnNextTime(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		full := errors.New("disk full")
		var broken atomic.Int64
		db, o := optionsOf(t, func(change ...func(*store.Options)) *store.DB {
			return open(append(change, func(o *store.Options) {
				o.Hook = func(at string) error {
					if at == "drop:after-commit" && broken.Add(-1) == 0 {
						return full
					}
					return nil
				}
			})...)
		})
		p := listed(t, db, previewOf(10, anna), people(4100)...)
		broken.Store(2)
		if err := db.Revoke().PurgePreviews(t.Context(), noon.Add(time.Hour)); !errors.Is(err, full) {
			t.Fatalf("got %v", err)
		}
		if _, targets, _ := rows(t, o, p.ID); targets == 0 || targets == 4100 {
			t.Fatalf("%d targets: it did not break off in the middle", targets)
		}
		if _, err := db.Revoke().Launch(t.Context(), manyOf(20, p)); !errors.Is(err, revoke.ErrConflict) {
			t.Errorf("launching half a list: %v, want ErrConflict", err)
		}
		if err := db.Revoke().PurgePreviews(t.Context(), noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, targets, _ := rows(t, o, p.ID); targets != 0 {
			t.Errorf("%d targets remain", targets)
		}
	})
}

func TestTheDatabaseItselfRefusesToChangeAList(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db, o := optionsOf(t, open)
		p := previewOf(10, anna)
		listed(t, db, p, append(people(3), person(4, revoke.FlagExternal))...)
		launchOne := launchOf(50, anna, bernd)
		launch(t, db, launchOne)
		raw := past(t, o)
		columns := `pos, oid, upn, name, reasons, flags, verdict, because, before_at, folded`
		insert := func(verb, table, list string, pos int, more string) string {
			extra := ""
			if more != "" {
				extra = ", cause"
			}
			return fmt.Sprintf(`%s into %s (list, %s%s) values ('%s', %d, 'x', 'x', 'x', 'null', 'null', '', '', 0, 'x'%s)`,
				verb, table, columns, extra, list, pos, more)
		}
		always := []string{
			`update plan_target set oid = 'x'`, `update preview_left set cause = 'x'`,
			insert("insert", "plan_target", string(p.ID), 3, ""), insert("insert", "preview_left", string(p.ID), 1, ", 'x'"),
			insert("insert", "plan_target", string(launchOne.Plan.ID), 1, ""),
			insert("insert", "plan_target", string(launchOne.Plan.ID), 0, ""),
			`delete from plan_target where list = '` + string(launchOne.Plan.ID) + `'`,
		}
		if db.Engine() == "SQLite" {
			always = append(always, insert("insert or replace", "plan_target", string(p.ID), 0, ""),
				insert("insert or replace", "plan_target", string(launchOne.Plan.ID), 0, ""))
		} else {
			always = append(always, `truncate plan_target`, `truncate preview_left`, `truncate plan cascade`)
		}
		refuse := func(statements ...string) {
			t.Helper()
			for _, s := range statements {
				if _, err := raw.ExecContext(t.Context(), s); err == nil {
					t.Errorf("the database did it: %s", s)
				}
			}
		}
		refuse(always...)
		ready := preview(t, db, p.ID)
		launch(t, db, manyOf(20, ready))
		refuse(always...)
		refuse(`delete from plan_target where list = '`+string(p.ID)+`'`, `delete from plan_target where pos = 2`,
			`delete from preview_left`, `update plan set list = 'x'`, `delete from plan`)
		if got := everyTarget(t, db, p.ID, 10); len(got) != 3 {
			t.Errorf("%d targets, want 3", len(got))
		}
	})
}

func TestPreviewsAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		for i, who := range []string{anna, carla, anna, anna} {
			begin(t, db, previewOf(10+i, who))
		}
		list, err := db.Revoke().Previews(t.Context(), anna, 2)
		if err != nil || len(list) != 2 || list[0].ID != previewOf(13, anna).ID || list[1].ID != previewOf(12, anna).ID {
			t.Errorf("listed %d, %v", len(list), err)
		}
	})
}

func TestTwoListsAreCompared(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		before, after := previewOf(10, anna), previewOf(20, anna)
		listed(t, db, before, people(20)...)
		listed(t, db, after, append(people(25)[5:], person(30, revoke.FlagPrivileged))...)
		d, err := db.Revoke().Compare(t.Context(), before.ID, after.ID, 3)
		if err != nil {
			t.Fatal(err)
		}
		oids := func(list []revoke.Target) (out []string) {
			for _, t := range list {
				out = append(out, t.OID)
			}
			return out
		}
		if d.Gone != 5 || d.Joined != 6 || d.Both != 15 {
			t.Errorf("%d gone, %d joined, %d in both; want 5, 6, 15", d.Gone, d.Joined, d.Both)
		}
		if got, want := oids(d.GoneList), []string{oidOf(0), oidOf(1), oidOf(2)}; !slices.Equal(got, want) {
			t.Errorf("gone: %v, want %v", got, want)
		}
		if got, want := oids(d.JoinedList), []string{oidOf(30), oidOf(20), oidOf(21)}; !slices.Equal(got, want) {
			t.Errorf("joined: %v, want %v", got, want)
		}
		same, err := db.Revoke().Compare(t.Context(), after.ID, after.ID, 3)
		if diff := gocmp.Diff(revoke.Difference{Both: 21}, same); diff != "" || err != nil {
			t.Errorf("with itself (%v) (-want +got):\n%s", err, diff)
		}
	})
}
