package app_test

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"evict/internal/audit"
	"evict/internal/entrasim"
)

// compare sends the form that reads Entra's log, as the page offers it.
func (b *browser) compare() *page {
	b.t.Helper()
	return b.submit(b.get("/ledger/reconcile").has(http.StatusOK), "/ledger/reconcile/fetch", nil)
}

// consents follows the way to Microsoft that the page offers, and comes back.
func (b *browser) consents(asked *page, p entrasim.Person) *page {
	b.t.Helper()
	return b.choose(b.get(asked.link("Continue to Microsoft")), p)
}

// listed are the sign-in names in one column of one of the result's lists.
func (p *page) listed(id, column string) []string {
	var out []string
	p.doc.Find(id + ` tbody td[data-label="` + column + `"]`).Each(func(_ int, s *goquery.Selection) {
		out = append(out, strings.Join(strings.Fields(s.Text()), ""))
	})
	return out
}

func anyHas(list []string, part string) bool {
	for _, s := range list {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

// TestTheLedgerIsComparedWithEntrasOwnLog: an auditor consents at that moment, comes back to the form, and sees what both
// logs have, what was done in the portal, and what the synchronisation service did.
func TestTheLedgerIsComparedWithEntrasOwnLog(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	b.settles(b.revoke(d.cast.Victim, because("reconciled")).path(), "confirmed")
	other := d.member("Portal")
	if err := d.Sim.Revoke(other.ID); err != nil {
		t.Fatal(err)
	}
	if err := d.Sim.SyncPassword(d.cast.Synced.ID); err != nil {
		t.Fatal(err)
	}
	if err := d.Sim.ChangePassword(d.cast.Victim.ID); err != nil {
		t.Fatal(err)
	}

	r := d.reader()
	from := time.Now().UTC().Add(-time.Hour).Format("2006-01-02T15:04")
	form := r.get("/ledger/reconcile").has(http.StatusOK)
	asked := r.submit(form, "/ledger/reconcile/fetch", url.Values{"from": {from}}).has(http.StatusUnauthorized)
	asked.says("AuditLog.Read.All")
	before := r.length()
	back := r.consents(asked, d.cast.Auditor).has(http.StatusOK)
	if back.path() != "/ledger/reconcile" || back.doc.Find("#fetch-from").AttrOr("value", "") != from {
		t.Fatalf("the sign-in came back to %s with the form from %q", back.url, back.doc.Find("#fetch-from").AttrOr("value", ""))
	}
	if back.doc.Find("#reconcile-result").Length() != 0 || !kindAbsent(r.after(before), audit.Reconciled) {
		t.Error("something was compared before anybody asked for it")
	}

	found := r.submit(back, "/ledger/reconcile/fetch", nil).has(http.StatusOK)
	found.says("The only revocation of Evict’s has a row", "1 row of Entra’s has no event of Evict’s")
	if got := found.listed("#foreign", "Whom"); len(got) != 1 || !anyHas(got, other.UPN) || !anyHas(found.listed("#foreign", "By"), d.cast.GlobalAdmin.UPN) {
		t.Errorf("in Entra alone: %v by %v", got, found.listed("#foreign", "By"))
	}
	if got := found.listed("#sync", "Whom"); len(got) != 1 || !anyHas(got, d.cast.Synced.UPN) || !anyHas(found.listed("#sync", "By"), d.cast.SyncAccount.UPN) {
		t.Errorf("by the synchronisation service: %v", got)
	}
	if got := found.listed("#own", "Whom"); len(got) != 1 || !anyHas(got, d.cast.Victim.UPN) {
		t.Errorf("for themselves: %v", got)
	}
	if found.doc.Find("#missing, #early").Length() != 0 {
		t.Error("something is said to be missing")
	}

	events := r.after(before)
	last := events[len(events)-1]
	if last.Kind != audit.Reconciled || last.Operator.OID != d.cast.Auditor.ID || last.Outcome != "differs" || last.Detail["matched"] != "1" || last.Detail["foreign"] != "1" {
		t.Errorf("recorded is %+v", last)
	}
	// The same as a file: no list is cut, and that it was taken away is recorded too.
	before = r.length()
	file := r.press(back, "Download as CSV", nil).has(http.StatusOK)
	rows, err := csv.NewReader(strings.NewReader(file.body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string]int{}
	for _, row := range rows[1:] {
		lists[row[0]]++
	}
	if lists["matched"] != 1 || lists["foreign"] != 1 || lists["sync"] != 1 || lists["own"] != 1 || lists["missing"] != 0 {
		t.Errorf("the file has %v", lists)
	}
	if kindAbsent(r.after(before), audit.Reconciled) || kindAbsent(r.after(before), audit.LedgerExported) {
		t.Errorf("recorded is %+v", r.after(before))
	}
	// The default week reaches beyond the ledger's beginning, to what the tenant has of itself.
	week := r.compare().has(http.StatusOK)
	week.says("The ledger is younger")
	if got := week.listed("#foreign", "Whom"); !anyHas(got, d.cast.BranchMember.UPN) {
		t.Errorf("of the week before: %v", got)
	}
}

func kindAbsent(events []audit.Event, kind audit.Kind) bool {
	for _, e := range events {
		if e.Kind == kind {
			return false
		}
	}
	return true
}

// TestARowThatIsLateIsNotMissing: Entra's rows take their time, and after it what has none is named.
func TestARowThatIsLateIsNotMissing(t *testing.T) {
	t.Parallel()
	c := &clock{}
	d := small(t, c.use)
	d.Sim.SetAuditLag(3 * time.Hour)
	b := d.signedIn(d.cast.Helpdesk)
	run := b.settles(b.revoke(d.cast.Victim, because("late")).path(), "confirmed").path()
	r := d.reader()
	r.consents(r.compare().has(http.StatusUnauthorized), d.cast.Auditor).has(http.StatusOK)
	early := r.compare().has(http.StatusOK)
	if early.doc.Find("#missing").Length() != 0 || !anyHas(early.listed("#early", "Target"), d.cast.Victim.UPN) {
		t.Errorf("missing %v, too early %v", early.listed("#missing", "Target"), early.listed("#early", "Target"))
	}
	hour := url.Values{"from": {time.Now().UTC().Add(-time.Hour).Format("2006-01-02T15:04")}} // the tenant has rows of its own before
	r.submit(early, "/ledger/reconcile/fetch", hour).has(http.StatusOK).says("Nothing can be compared yet: 1 revocation is too new to tell")
	c.forward(20 * time.Minute)
	late := r.compare().has(http.StatusOK)
	late.says("The logs differ", "Of 1 revocation of Evict’s, 0 have a row in Entra’s log, 1 has none")
	if !anyHas(late.listed("#missing", "Target"), d.cast.Victim.UPN) {
		t.Errorf("missing %v", late.listed("#missing", "Target"))
	}
	if !anyHas(late.links(), "/ledger"+run) {
		t.Errorf("no way to the run's story among %v", late.links())
	}
}

// TestWhoMayNotReadEntrasLogIsToldTheWayOut: the permission alone is not enough, and an export is.
func TestWhoMayNotReadEntrasLogIsToldTheWayOut(t *testing.T) {
	t.Parallel()
	d := small(t)
	lead := d.operator("Unread", "Evict.Lead")
	b := d.signedIn(lead)
	b.settles(b.revoke(d.cast.Victim, because("by an export")).path(), "confirmed")
	got := b.compare()
	if got.status == http.StatusUnauthorized {
		b.consents(got, lead)
		got = b.compare()
	}
	got.has(http.StatusForbidden).says("Reports Reader", "bring the export")

	victim, now := d.cast.Victim, time.Now().UTC()
	file := "\ufeff\"Date (UTC)\",Activity,Result,ActorType,ActorObjectId,ActorUserPrincipalName,Target1ObjectId,Target1UserPrincipalName\r\n" +
		now.Format(time.RFC3339) + ",Update StsRefreshTokenValidFrom Timestamp,success,User," + lead.ID + "," + lead.UPN + "," + victim.ID + "," + victim.UPN + "\r\n" +
		now.Format(time.RFC3339) + ",Update user,success,User," + lead.ID + "," + lead.UPN + "," + victim.ID + "," + victim.UPN + "\r\n"
	times := url.Values{"file": {file}, "from": {now.Add(-time.Hour).Format("2006-01-02T15:04")}, "to": {now.Add(time.Minute).Format("2006-01-02T15:04")}}
	b.press(b.get("/ledger/reconcile"), "Compare the file", times).has(http.StatusOK).says("The logs agree", "2 rows read: 1 about revocations, 1 of other activities")
	b.press(b.get("/ledger/reconcile"), "Compare the file", url.Values{"file": {"PK\x03\x04\x00"}}).has(http.StatusUnprocessableEntity).says("no text")
}
