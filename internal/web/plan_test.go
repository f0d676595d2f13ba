package web

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// desk keeps lists and runs in memory, as revoke.PreviewStore and revoke.RunStore say.
type desk struct {
	previews map[revoke.PreviewID]revoke.Preview
	targets  map[revoke.PreviewID][]revoke.Target
	left     map[revoke.PreviewID][]revoke.Leftover
	runs     map[revoke.RunID]revoke.Run
	begun    map[revoke.RunID][]revoke.RunTarget
	samples  []revoke.Sample
	plan     revoke.Plan
	events   []audit.Event
	appended []audit.Event
	mute     bool // the ledger cannot be written
	breaks   int  // targets may be read so often, then the database is gone; 0 = always
	reads    int
}

var errGone = errors.New("the database is gone")

func (d *desk) Preview(_ context.Context, id revoke.PreviewID) (revoke.Preview, error) {
	p, ok := d.previews[id]
	if !ok {
		return p, revoke.ErrNotFound
	}
	return p, nil
}

func (d *desk) Targets(_ context.Context, id revoke.PreviewID, q revoke.TargetQuery) (out []revoke.Target, err error) {
	if d.reads++; d.breaks > 0 && d.reads > d.breaks {
		return nil, errGone
	}
	for _, t := range d.targets[id] {
		if t.Pos > q.After && (q.Flag == "" || t.Has(q.Flag)) && (q.Verdict == "" || t.Verdict == q.Verdict) && holds(t, q.Text) && len(out) < q.Limit {
			out = append(out, t)
		}
	}
	return out, nil
}

func holds(t revoke.Target, text string) bool {
	return strings.Contains(strings.ToLower(t.UPN+" "+t.Name), strings.ToLower(text))
}

func (d *desk) Leftovers(_ context.Context, id revoke.PreviewID, q revoke.TargetQuery) (out []revoke.Leftover, err error) {
	for _, t := range d.left[id] {
		if t.Pos > q.After && (q.Cause == "" || t.Cause == q.Cause) && holds(t.Target, q.Text) && len(out) < q.Limit {
			out = append(out, t)
		}
	}
	return out, nil
}

func (d *desk) Compare(_ context.Context, before, after revoke.PreviewID, limit int) (revoke.Difference, error) {
	in := func(list []revoke.Target, oid string) bool {
		return slices.ContainsFunc(list, func(t revoke.Target) bool { return t.OID == oid })
	}
	var x revoke.Difference
	for _, t := range d.targets[after] {
		if in(d.targets[before], t.OID) {
			x.Both++
		} else if x.Joined++; len(x.JoinedList) < limit {
			x.JoinedList = append(x.JoinedList, t)
		}
	}
	for _, t := range d.targets[before] {
		if !in(d.targets[after], t.OID) {
			x.Gone++
			x.GoneList = append(x.GoneList, t)
		}
	}
	return x, nil
}

func (d *desk) Run(_ context.Context, id revoke.RunID) (revoke.Run, error) {
	run, ok := d.runs[id]
	if !ok {
		return run, revoke.ErrNotFound
	}
	return run, nil
}

func (d *desk) RunTargets(_ context.Context, id revoke.RunID, q revoke.RunTargetQuery) (out []revoke.RunTarget, err error) {
	if d.reads++; d.breaks > 0 && d.reads > d.breaks {
		return nil, errGone
	}
	for _, t := range d.begun[id] {
		if t.Pos > q.After && (len(q.States) == 0 || slices.Contains(q.States, t.State)) && holds(t.Target, q.Text) && len(out) < q.Limit {
			out = append(out, t)
		}
	}
	return out, nil
}

func (d *desk) Plan(context.Context, revoke.PlanID) (revoke.Plan, error) { return d.plan, nil }

func (d *desk) Runs(context.Context, revoke.RunQuery) (out []revoke.RunSummary, err error) {
	for _, run := range d.runs {
		out = append(out, revoke.RunSummary{Run: run})
	}
	return out, nil
}

func (d *desk) Samples(context.Context, revoke.RunID, int) ([]revoke.Sample, error) {
	return d.samples, nil
}

func oid(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func targets(n int) []revoke.Target {
	out := make([]revoke.Target, n)
	for i := range out {
		out[i] = revoke.Target{
			Pos: i, OID: oid(i), UPN: fmt.Sprintf("person%d@corp.example", i), Name: fmt.Sprintf("Person %d", i),
			Reasons: []string{"group Finance"}, Verdict: directory.Allowed.String(), Because: "no role",
		}
	}
	return out
}

// preview is a ready list of n people of the Lead who is signed in.
func preview(n int) revoke.Preview {
	return revoke.Preview{
		ID: "p", Creator: revoke.Person{OID: me, UPN: "me@corp.example"}, State: revoke.PreviewReady, Total: n, Left: 2,
		Scope:      directory.Scope{Include: []directory.Source{{Kind: directory.GroupSource, ID: "g", Name: "Finance"}}},
		ListDigest: strings.Repeat("9b1f44c077aee3d2", 4), CreatedAt: noon.Add(-time.Minute), ReadyAt: noon, ExpiresAt: noon.Add(30 * time.Minute),
		Counts: revoke.PreviewCounts{
			Flags: map[revoke.Flag]int{revoke.FlagPrivileged: 1, "privileged?": 3}, Verdicts: map[string]int{directory.Allowed.String(): n - 1, directory.Refused.String(): 1},
		},
		LeftCounts: map[string]int{string(revoke.LeftProtected): 1, string(revoke.LeftSelf): 1},
		Facts:      revoke.Facts{EnabledInternal: -1, FederatedRead: true, Protected: 2},
	}
}

// Search finds the desk's events by kind.
func (d *desk) Search(_ context.Context, q audit.Query) (found audit.Found, err error) {
	for _, e := range d.events {
		if q.Kind == "" || e.Kind == q.Kind {
			found.Records = append(found.Records, audit.Record{Event: e})
		}
	}
	return found, nil
}

func (*desk) Event(context.Context, int64) (audit.Record, error) { return audit.Record{}, errGone }

func (d *desk) Append(_ context.Context, events ...audit.Event) error {
	if d.mute {
		return errGone
	}
	d.appended = append(d.appended, events...)
	return nil
}

func (*desk) Histogram(context.Context, audit.Query) (audit.Histogram, error) {
	return audit.Histogram{}, errGone
}

func (*desk) RunLines(context.Context, []string) (map[string]audit.RunLine, error) {
	return nil, errGone
}

func newDesk(lists ...revoke.Preview) (*builder, *desk) {
	d := &desk{
		previews: map[revoke.PreviewID]revoke.Preview{}, targets: map[revoke.PreviewID][]revoke.Target{}, left: map[revoke.PreviewID][]revoke.Leftover{},
		runs: map[revoke.RunID]revoke.Run{}, begun: map[revoke.RunID][]revoke.RunTarget{},
	}
	for _, p := range lists {
		d.previews[p.ID] = p
		d.targets[p.ID] = targets(p.Total)
		d.left[p.ID] = []revoke.Leftover{
			{Target: revoke.Target{Pos: 0, OID: oid(9001), UPN: "glass@corp.example", Name: "Break Glass"}, Cause: revoke.LeftProtected},
			{Target: revoke.Target{Pos: 1, OID: me, UPN: "me@corp.example", Name: "Me"}, Cause: revoke.LeftSelf},
		}
	}
	b := newBuilder()
	b.Server.Runs, b.Previews, b.Ledger = d, d, d
	b.Quota = func(context.Context) (revoke.Quota, error) { return revoke.NewQuota(noon), nil }
	return b, d
}

func TestAPlanShowsWhoAndWhyInPagesAndWhoIsLeftStanding(t *testing.T) {
	t.Parallel()
	b, _ := newDesk(preview(250))
	w, doc := b.get(t, "/plans/p", false)
	wantStatus(t, w, http.StatusOK)
	if got := strings.TrimSpace(doc.Find("h1").Text()); got != "Revoke 250 people?" {
		t.Errorf("h1 = %q", got)
	}
	seen := map[string]bool{}
	pages := 0
	for href := "/plans/p"; href != ""; pages++ {
		_, doc = b.get(t, strings.TrimSuffix(href, "#people"), false)
		for _, n := range doc.Find("#people input[name=out]").EachIter() {
			seen[n.AttrOr("value", "")] = true
		}
		href = doc.Find("#people a[rel=next]").AttrOr("href", "")
	}
	if len(seen) != 250 || pages != 3 {
		t.Errorf("%d people on %d pages, want 250 on 3", len(seen), pages)
	}
	_, doc = b.get(t, "/plans/p", false)
	if got := doc.Find("#standing-h").Closest("section").Text(); !strings.Contains(got, "Break Glass") || !strings.Contains(got, "protected") {
		t.Errorf("left standing: %q", got)
	}
	_, doc = b.get(t, "/plans/p?left=protected", false)
	if got := doc.Find("#people tbody tr").Length(); got != 1 {
		t.Errorf("%d protected people, want 1", got)
	}
	_, doc = b.get(t, "/plans/p?text=PERSON+24&flag=", false)
	if got := doc.Find("#people tbody tr").Length(); got != 11 {
		t.Errorf("%d people whose name holds it, want 11", got)
	}
}

func TestAPlanIsSeenByItsCreatorUntilItRan(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		roles operator.Roles
		oid   string
		run   revoke.RunID
		want  int
		form  int
	}{
		"the creator":               {operator.Roles{operator.Lead}, me, "", http.StatusOK, 1},
		"another Lead":              {operator.Roles{operator.Lead}, other, "", http.StatusNotFound, 0},
		"another Lead, once it ran": {operator.Roles{operator.Lead}, other, "r", http.StatusOK, 0},
		"an Admin, once it ran":     {operator.Roles{operator.Admin}, other, "r", http.StatusOK, 0},
		"an Auditor":                {operator.Roles{operator.Auditor}, other, "", http.StatusNotFound, 0},
		"an Auditor, once it ran":   {operator.Roles{operator.Auditor}, other, "r", http.StatusOK, 0},
		"the creator, once it ran":  {operator.Roles{operator.Lead}, me, "r", http.StatusOK, 0},
		"a creator without a role":  {nil, me, "", http.StatusNotFound, 0},
	} {
		p := preview(3)
		p.Run = test.run
		b, _ := newDesk(p)
		b.who.OID, b.who.Roles = test.oid, test.roles
		if w, _ := b.post(t, "/plans/p/targets.csv", nil); w.Code != test.want {
			t.Errorf("%s: its CSV = %d, want %d", name, w.Code, test.want)
		}
		for _, path := range []string{"/plans/p", "/plans/p/compare/p"} {
			if w, doc := b.get(t, path, false); w.Code != test.want {
				t.Errorf("%s: %s = %d, want %d", name, path, w.Code, test.want)
			} else if path == "/plans/p" && doc.Find("form#confirm").Length() != test.form {
				t.Errorf("%s: %d forms that start it, want %d", name, doc.Find("form#confirm").Length(), test.form)
			} else if path == "/plans/p" && !test.roles.Has(operator.Lead) && doc.Find("form[method=post]:not([action$='.csv']), a[href='/scopes']").Length() > 0 {
				t.Errorf("%s: the page offers what this person may not do", name)
			}
		}
	}
}

func TestWhileExpandingThePageAsksAgainAndThenLoadsTheList(t *testing.T) {
	t.Parallel()
	p := preview(0)
	p.State, p.Doing, p.Found = revoke.PreviewExpanding, "group Finance", 12403
	b, d := newDesk(p)
	_, doc := b.get(t, "/plans/p", true)
	if doc.Find("#expanding[hx-get='/plans/p']").Length() != 1 || !strings.Contains(doc.Text(), "12,403") {
		t.Errorf("the fragment does not ask again: %s", doc.Text())
	}
	p.State = revoke.PreviewFailed
	p.Failure = "Microsoft asks you to sign in again."
	d.previews["p"] = p
	_, doc = b.get(t, "/plans/p", true)
	if doc.Find("[hx-get]").Length() != 0 || doc.Find(`form[action="/plans/p/again"]`).Length() != 1 || !strings.Contains(doc.Text(), p.Failure) {
		t.Errorf("a failed expansion shows %s", doc.Text())
	}
	d.previews["p"] = preview(3)
	w, _ := b.get(t, "/plans/p", true)
	if got := w.Header().Get("HX-Refresh"); got != "true" || w.Body.Len() != 0 {
		t.Errorf("HX-Refresh = %q with %d bytes, want the page to load anew", got, w.Body.Len())
	}
}

func TestTheFormThatStartsARunSaysAndAsksWhatItMust(t *testing.T) {
	t.Parallel()
	p := preview(412)
	p.Facts = revoke.Facts{Unread: []directory.Unread{{What: "PIM-eligible holders", Why: "refused"}}, EnabledInternal: 500}
	p.Counts.Enabled = 412
	b, _ := newDesk(p)
	_, doc := b.get(t, "/plans/p", false)
	form := doc.Find("form#confirm")
	if got, want := strings.TrimSpace(form.Find("button.danger").Text()), "Revoke 412 people; 1 source not read"; got != want {
		t.Errorf("button = %q, want %q", got, want)
	}
	if form.Find("input[name=typed][required]").Length() != 1 || form.Find("input[name=no_protected]").Length() != 1 {
		t.Error("the number is not asked for, or that nobody is protected is not acknowledged")
	}
	if got := form.Find("input[name=list_digest]").AttrOr("value", ""); got != p.ListDigest {
		t.Errorf("list digest = %q", got)
	}
	if doc.Find("input[type=radio][form=confirm]").Length() != 2*len(p.Warnings()) || doc.Find("input[type=radio][checked]").Length() != 0 {
		t.Error("the questions are not asked without an answer")
	}
	if got := form.Find(".warning").Text(); !strings.Contains(got, "412 people will be tried; 1 is expected to be refused") || !strings.Contains(got, "cannot be undone") {
		t.Errorf("warning = %q", got)
	}

	p = preview(revoke.TypedAbove)
	b, _ = newDesk(p)
	_, doc = b.get(t, "/plans/p", false)
	if doc.Find("input[name=typed], input[name=no_protected]").Length() != 0 {
		t.Error("a small list asks for what it does not need")
	}
}

func TestNoFormForWhatCannotRun(t *testing.T) {
	t.Parallel()
	old := preview(3)
	old.ExpiresAt = noon
	for name, p := range map[string]revoke.Preview{"an expired list": old, "an empty list": preview(0)} {
		b, _ := newDesk(p)
		_, doc := b.get(t, "/plans/p", false)
		if doc.Find("form#confirm").Length() != 0 {
			t.Errorf("%s has a form", name)
		}
		if doc.Find(`form[action="/plans/p/again"]`).Length() != 1 {
			t.Errorf("%s cannot be expanded again", name)
		}
	}
}

func TestWhatWasTypedComesBackWithTheErrorBesideItsField(t *testing.T) {
	t.Parallel()
	p := preview(412)
	p.Facts.Protected = 0
	given := revoke.Confirmation{Reason: "phished", Ticket: "INC-7", Typed: "421", NoProtected: true, Answers: map[string]string{}}
	for _, q := range p.Warnings() {
		given.Answers[q.Key] = "no"
	}
	for field, of := range map[string]func(templates.ConfirmForm) string{
		"reason": func(f templates.ConfirmForm) string { return f.ReasonError }, "ticket": func(f templates.ConfirmForm) string { return f.TicketError },
		"typed": func(f templates.ConfirmForm) string { return f.TypedError }, "no_protected": func(f templates.ConfirmForm) string { return f.UnprotectedError },
	} {
		form, _ := confirmForm(planView{preview: p, who: operator.Operator{OID: me, Roles: operator.Roles{operator.Lead}}, now: noon}, "/plans/p")
		fillConfirm(form, given, fault.Field(field, "Mend this."))
		if of(*form) != "Mend this." || len(formErrors(form)) != 1 {
			t.Errorf("%s: errors %v", field, formErrors(form))
		}
		if form.Reason != "phished" || form.Ticket != "INC-7" || form.Typed != "421" || !form.Acknowledged {
			t.Errorf("%s: what was typed is lost: %+v", field, form)
		}
		for _, q := range form.Checks {
			if q.Answer != "no" {
				t.Errorf("%s: the answer to %s is lost", field, q.Key)
			}
		}
	}
}

func TestTakingPeopleOut(t *testing.T) {
	t.Parallel()
	p := preview(3)
	p.Options = revoke.PlanOptions{IncludeExternal: true, IncludeSelf: true}
	scope, options, err := takenOut(p, []string{oid(1), oid(2), oid(1)}, revoke.FlagExternal)
	if err != nil || options.IncludeExternal || !options.IncludeSelf || len(scope.Exclude) != 1 || !slices.Equal(scope.Exclude[0].Lines, []string{oid(1), oid(2)}) {
		t.Errorf("scope %+v, options %+v, %v", scope, options, err)
	}
	p.Scope = scope
	again, options, err := takenOut(p, []string{oid(3)}, "privileged?")
	if err != nil || !slices.Equal(options.Without, []revoke.Flag{"privileged?"}) || len(again.Exclude) != 1 || len(again.Exclude[0].Lines) != 3 {
		t.Errorf("scope %+v, options %+v, %v", again, options, err)
	}
	if len(scope.Exclude[0].Lines) != 2 {
		t.Error("the list that is frozen has changed")
	}
	for name, bad := range map[string]struct {
		oids []string
		kind revoke.Flag
	}{"nobody": {}, "no id": {[]string{"'; drop"}, ""}, "a kind that nobody is of": {nil, "hacked"}} {
		if _, _, err := takenOut(p, bad.oids, bad.kind); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
}

func TestTakingNobodyOutIsAnErrorBesideTheButton(t *testing.T) {
	t.Parallel()
	b, _ := newDesk(preview(3))
	w, doc := b.post(t, "/plans/p/without", nil)
	wantStatus(t, w, http.StatusUnprocessableEntity)
	if got := doc.Find("#out-error").Text(); got != "Tick somebody, or choose a kind." {
		t.Errorf("error = %q", got)
	}
}

func TestComparingTwoLists(t *testing.T) {
	t.Parallel()
	before, after := preview(3), preview(5)
	before.ID, after.ID, after.Parent = "a", "b", "a"
	b, _ := newDesk(before, after)
	_, doc := b.get(t, "/plans/b", false)
	href := doc.Find("a:contains('What changed')").AttrOr("href", "")
	w, doc := b.get(t, href, false)
	wantStatus(t, w, http.StatusOK)
	if got := doc.Find("#joined-h").Closest("section").Find("tbody tr").Length(); got != 2 {
		t.Errorf("%d joined, want 2 at %s", got, href)
	}
}

func TestTheCSVHoldsEverybodyAndNoFormula(t *testing.T) {
	t.Parallel()
	b, d := newDesk(preview(2500))
	d.targets["p"][7].Name = "=HYPERLINK(\"http://evil\")"
	d.targets["p"][8].Name = "\u202Eexe.txt"
	w, _ := b.post(t, "/plans/p/targets.csv", nil)
	wantStatus(t, w, http.StatusOK)
	if got := w.Header().Get("Content-Disposition"); got != `attachment; filename="REHEARSAL-targets.csv"` {
		t.Errorf("disposition = %q", got)
	}
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(rows) != 2501 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if rows[8][3] != `'=HYPERLINK("http://evil")` || rows[9][3] != `\u202eexe.txt` {
		t.Errorf("names = %q, %q", rows[8][3], rows[9][3])
	}
	if rows[2500][1] != oid(2499) || rows[1][0] != "0" || !strings.HasPrefix(rows[1][8], "REHEARSAL") {
		t.Errorf("first %v, last %v", rows[1], rows[2500])
	}
	w, _ = b.post(t, "/plans/p/targets.csv?left=all", nil)
	if rows, err = csv.NewReader(w.Body).ReadAll(); err != nil || len(rows) != 3 || rows[1][8] != "protected" {
		t.Errorf("left standing: %v, %v", rows, err)
	}
}

func TestADownloadThatBreaksOffDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	b, d := newDesk(preview(2500))
	d.breaks = 1
	defer func() {
		if got := recover(); got != http.ErrAbortHandler { //nolint:errorlint // a sentinel that is only ever panicked with
			t.Errorf("recovered %v, want the connection to be cut", got)
		}
	}()
	b.post(t, "/plans/p/targets.csv", nil)
	t.Error("a broken download ended as if it were whole")
}

func TestLatecomersWhoAreNobodyAreNotCalledLeftStanding(t *testing.T) {
	t.Parallel()
	run := directory.Source{Kind: directory.RunSource, ID: "r", Name: "of 2026-11-23 11:00 UTC"}
	p := preview(0)
	p.Left, p.LeftCounts = 191, map[string]int{string(revoke.LeftExcluded): 191}
	p.Scope.Exclude, p.Counts = []directory.Source{run}, revoke.PreviewCounts{}
	b, d := newDesk(p)
	d.left["p"] = []revoke.Leftover{{Target: revoke.Target{OID: oid(1), UPN: "had@corp.example", Reasons: []string{"group Finance", "run of 2026-11-23 11:00 UTC"}}, Cause: revoke.LeftExcluded}}
	_, doc := b.get(t, "/plans/p", false)
	text := doc.Find("main").Text()
	if got := strings.TrimSpace(doc.Find("h1").Text()); got != "Nobody joined since" {
		t.Errorf("h1 = %q", got)
	}
	if strings.Contains(strings.ToLower(text), "left standing") || strings.Contains(text, "live on") || !strings.Contains(text, "already in the former run") {
		t.Errorf("the page speaks of people left standing: %s", text)
	}

	p.Facts.Unread = []directory.Unread{{What: "group Finance"}}
	if got := nobodyTitle(p); !strings.Contains(got, "was seen") {
		t.Errorf("a list that is incomplete says %q", got)
	}
	p.Scope.Exclude = append(p.Scope.Exclude, group("g"))
	if got := leftStandingCount(p); got != 191 {
		t.Errorf("with another source excluded, %d count as left standing, want all 191: nobody knows which", got)
	}
}

func TestWhatIsTrueOfMostIsSaidOnceAndStaysInTheCSV(t *testing.T) {
	t.Parallel()
	p := preview(4)
	b, d := newDesk(p)
	for i := range 3 {
		d.targets["p"][i].Flags = []revoke.Flag{"privileged?", revoke.FlagDisabled}
	}
	_, doc := b.get(t, "/plans/p", false)
	if got := doc.Find("#people tbody").Text(); strings.Contains(got, "privileged: unknown") || !strings.Contains(got, "disabled") {
		t.Errorf("the rows read %q", got)
	}
	if got := doc.Find("#people").Text(); !strings.Contains(got, "Of 3 of 4 people it could not be read: privileged or not.") {
		t.Errorf("the list does not say it once: %q", got)
	}
	w, _ := b.post(t, "/plans/p/targets.csv", nil)
	if got := w.Body.String(); strings.Count(got, "privileged?") != 3 || strings.Contains(got, "left_out") {
		t.Errorf("the CSV reads %q", got)
	}
}

func TestAPartThatNobodyIsMissingForIsNotSaidTwice(t *testing.T) {
	t.Parallel()
	role := directory.Unread{What: "PIM-eligible holders of Reader", Why: "refused", Fix: "Activate a role."}
	f := revoke.Facts{Unread: []directory.Unread{role, {What: "group Board", Why: "refused", Fix: "Activate a role."}}, FlagsUnread: []directory.Unread{role, {What: "domains", Why: "refused"}}}
	if got := onlyUnsure(f); len(got) != 1 || got[0].What != "domains" {
		t.Errorf("unsure of %v", got)
	}
	if got := foldUnread(f.Unread); len(got) != 1 || got[0].What != "PIM-eligible holders of Reader; Group Board" {
		t.Errorf("folded to %v", got)
	}
}

func TestATenantWidePlanWithoutABreakGlassAccountSaysWhatItCuts(t *testing.T) {
	t.Parallel()
	p := preview(412)
	p.Facts.EnabledInternal, p.Counts.Enabled = 500, 400
	b, d := newDesk(p)
	d.runs["later"] = revoke.Run{ID: "later", CreatedAt: noon.Add(time.Second)}
	_, doc := b.get(t, "/plans/p", false)
	if got := doc.Find(".note.no").Text(); !strings.Contains(got, "400 of 500 enabled accounts") || !strings.Contains(got, "No break-glass account is protected") {
		t.Errorf("the banner says %q", got)
	}
	if got := doc.Find(".note").Text(); !strings.Contains(got, "1 run was started since this list was frozen") {
		t.Errorf("a later run is not spoken of: %q", got)
	}
	if doc.Find("input[name=no_protected]").Length() != 1 {
		t.Error("it is not asked for an acknowledgement, although sync accounts alone are protected")
	}
	p.Facts.BreakGlass = 1
	if n := tenantWideNote(p); n.Tone == templates.ToneNo {
		t.Errorf("with a break-glass account: %+v", n)
	}
}
