package store_test

import (
	"fmt"
	"slices"
	"testing"

	"evict/internal/audit"
	"evict/internal/revoke"
	"evict/internal/store/storetest"
)

func TestAListIsFilteredPageByPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		list := people(10)
		list[1].Flags = []revoke.Flag{revoke.FlagSynced, "external_looking", revoke.FlagAgent + "?"}
		list[2].Flags = []revoke.Flag{"disabled?"}
		list[3].Flags = []revoke.Flag{revoke.FlagDisabled}
		list[4].Name, list[5].Name, list[6].Name, list[7].Name = `100% "sure"`, `under_score\`, "Müller ÖZGÜR", "a'; drop table plan; --"
		list[8].Verdict, list[9].Verdict = "unknown", ""
		p := previewOf(10, anna)
		p.Options.Without = nil
		listed(t, db, p, list...)
		for name, c := range map[string]struct {
			q    revoke.TargetQuery
			want []int
		}{
			"all":              {revoke.TargetQuery{After: -1}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
			"page":             {revoke.TargetQuery{After: 3, Limit: 2}, []int{4, 5}},
			"last page":        {revoke.TargetQuery{After: 8, Limit: 2}, []int{9}},
			"flag":             {revoke.TargetQuery{After: -1, Flag: revoke.FlagDisabled}, []int{3}},
			"unsure flag":      {revoke.TargetQuery{After: -1, Flag: "disabled?"}, []int{2}},
			"underscore":       {revoke.TargetQuery{After: -1, Flag: "external_looking"}, []int{1}},
			"no wildcard":      {revoke.TargetQuery{After: -1, Flag: "external-looking"}, nil},
			"not a part":       {revoke.TargetQuery{After: -1, Flag: "external"}, nil},
			"hostile flag":     {revoke.TargetQuery{After: -1, Flag: `%`}, nil},
			"verdict":          {revoke.TargetQuery{After: -1, Verdict: "unknown"}, []int{8}},
			"text":             {revoke.TargetQuery{After: -1, Text: "NUMBER3"}, []int{3}},
			"text in the UPN":  {revoke.TargetQuery{After: -1, Text: "user000002@Contoso"}, []int{2}},
			"text with a page": {revoke.TargetQuery{After: 3, Text: " user ", Limit: 2}, []int{4, 5}},
			"percent":          {revoke.TargetQuery{After: -1, Text: `100% "`}, []int{4}},
			"percent alone":    {revoke.TargetQuery{After: -1, Text: "%"}, []int{4}},
			"backslash":        {revoke.TargetQuery{After: -1, Text: `under_score\`}, []int{5}},
			"capital umlauts":  {revoke.TargetQuery{After: -1, Text: "MÜLLER özgür"}, []int{6}},
			"quote":            {revoke.TargetQuery{After: -1, Text: "'; DROP"}, []int{7}},
			"nobody":           {revoke.TargetQuery{After: -1, Text: "nobody"}, nil},
			"U+0000":           {revoke.TargetQuery{After: -1, Text: "\x00\xff"}, nil},
			"all at once":      {revoke.TargetQuery{After: 0, Text: "user", Flag: revoke.FlagDisabled, Verdict: "expected to be allowed"}, []int{3}},
			"cause of a list":  {revoke.TargetQuery{After: -1, Limit: 1}, []int{0}},
		} {
			got, err := db.Revoke().Targets(t.Context(), p.ID, c.q)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			var pos []int
			for _, target := range got {
				pos = append(pos, target.Pos)
			}
			if !slices.Equal(pos, c.want) {
				t.Errorf("%s: got %v, want %v", name, pos, c.want)
			}
		}
	})
}

func TestWhoWasLeftOutIsFilteredByCause(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		protect(t, db, oidOf(0))
		p := previewOf(10, anna)
		p.Options.Without = []revoke.Flag{revoke.FlagSynced}
		listed(t, db, p, person(0), person(1, revoke.FlagExternal), person(2, revoke.FlagSynced), person(3, "external?"), person(4))
		for name, c := range map[string]struct {
			q    revoke.TargetQuery
			want []int // of people
		}{
			"all":       {revoke.TargetQuery{After: -1}, []int{0, 2, 1, 3}},
			"protected": {revoke.TargetQuery{After: -1, Cause: revoke.LeftProtected}, []int{0}},
			"external":  {revoke.TargetQuery{After: -1, Cause: revoke.LeftExternal}, []int{1, 3}},
			"flag":      {revoke.TargetQuery{After: -1, Cause: revoke.LeftExternal, Flag: "external?"}, []int{3}},
			"text":      {revoke.TargetQuery{After: 1, Text: "number", Limit: 1}, []int{1}},
			"self":      {revoke.TargetQuery{After: -1, Cause: revoke.LeftSelf}, nil},
		} {
			got := leftovers(t, db, p.ID, c.q)
			if len(got) != len(c.want) {
				t.Errorf("%s: %d people, want %v", name, len(got), c.want)
				continue
			}
			for i, l := range got {
				if l.OID != oidOf(c.want[i]) {
					t.Errorf("%s: %s is at %d, want person %d", name, l.UPN, i, c.want[i])
				}
			}
		}
	})
}

// The same questions about a short run and a long one, which are answered along different indexes.
func TestTheTargetsOfARunAreFilteredPageByPage(t *testing.T) {
	t.Parallel()
	for _, n := range []int{30, 2200} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, open storetest.Opener) {
				db := open()
				list := people(n + 1)
				list[17].Name, list[n-1].Name, list[n].Name = "Somebody Else", "somebody new", "Somebody Waiting"
				l := manyOf(11, listed(t, db, previewOf(10, anna), list...))
				f := launch(t, db, l)
				begun := commit(t, db, f, wanting(n)).Targets
				s := revoke.Step{Now: noon, Lease: lease}
				moved(&s, audit.TargetRefused, revoke.Refused, begun[3], begun[17])
				moved(&s, audit.TargetConfirmed, revoke.Confirmed, begun[18:]...)
				commit(t, db, f, s)
				for name, c := range map[string]struct {
					q    revoke.RunTargetQuery
					want []int
				}{
					"first":        {revoke.RunTargetQuery{After: -1, Limit: 3}, []int{0, 1, 2}},
					"after":        {revoke.RunTargetQuery{After: n - 3, Limit: 5}, []int{n - 2, n - 1}},
					"state":        {revoke.RunTargetQuery{After: -1, States: []revoke.State{revoke.Refused}}, []int{3, 17}},
					"no state":     {revoke.RunTargetQuery{After: -1, States: []revoke.State{revoke.Failed}}, nil},
					"states":       {revoke.RunTargetQuery{After: 15, Limit: 4, States: []revoke.State{revoke.Confirmed, revoke.Refused, revoke.Attempting}}, []int{16, 17, 18, 19}},
					"state, twice": {revoke.RunTargetQuery{After: -1, States: []revoke.State{revoke.Refused, revoke.Refused}}, []int{3, 17}},
					"text":         {revoke.RunTargetQuery{After: -1, Text: "SOMEBODY"}, []int{17, n - 1}},
					"text, after":  {revoke.RunTargetQuery{After: 17, Text: "somebody"}, []int{n - 1}},
					"text, page":   {revoke.RunTargetQuery{After: -1, Text: "somebody", Limit: 1}, []int{17}},
					"text, state":  {revoke.RunTargetQuery{After: -1, Text: "somebody", States: []revoke.State{revoke.Refused}}, []int{17}},
					"text, states": {revoke.RunTargetQuery{After: -1, Text: "somebody", States: []revoke.State{revoke.Confirmed, revoke.Failed}}, []int{n - 1}},
					"hostile":      {revoke.RunTargetQuery{After: -1, Text: "%", States: []revoke.State{"x' or '1'='1"}}, nil},
				} {
					got, err := db.Revoke().RunTargets(t.Context(), l.Run.ID, c.q)
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if !slices.Equal(positions(got), append([]int{}, c.want...)) {
						t.Errorf("%s: got %v, want %v", name, positions(got), c.want)
					}
				}
				if got, err := db.Revoke().RunTargets(t.Context(), l.Run.ID, revoke.RunTargetQuery{After: -1, Limit: 9999}); err != nil || len(got) != min(n, 1000) {
					t.Errorf("an unbounded page holds %d (%v)", len(got), err)
				}
			})
		})
	}
}
