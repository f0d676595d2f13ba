package app_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/audit/audittest"
)

// verifierKey is what the auditor was given when the ledger began.
func (d *demo) verifierKey() string {
	d.t.Helper()
	for _, e := range d.reader().after(0) {
		if e.Kind == audit.LedgerKey {
			return e.Detail["key"]
		}
	}
	d.t.Fatal("the ledger names no key")
	return ""
}

func TestAnAuditorTakesTheEvidenceAwayAndVerifiesItWithoutEvict(t *testing.T) {
	t.Parallel()
	d := small(t)
	desk := d.browser()
	desk.signIn(d.cast.Helpdesk)
	desk.settles(desk.revoke(d.cast.Victim, because("phished")).path(), "confirmed")
	key := d.verifierKey()

	b := d.browser()
	b.signIn(d.cast.Auditor)
	kept := b.get("/ledger/checkpoints").has(http.StatusOK).body
	own, err := audit.ParseCheckpoints(kept)
	if err != nil || len(own) == 0 {
		t.Fatalf("%d checkpoints to keep, %v", len(own), err)
	}
	x := audit.Expect{Keys: []string{key}, Checkpoints: own}
	verify := func(body string) audit.Report {
		t.Helper()
		r, err := audit.VerifyExport(t.Context(), strings.NewReader(body), x)
		if err != nil {
			t.Fatalf("verifying: %v\n%.600s", err, body)
		}
		if !strings.HasPrefix(body, `{"evict_export"`) {
			return r
		}
		if alone := audittest.Verify(body, key); (alone == nil) != r.Intact() {
			t.Errorf("the verifier that was made from the document says %v, and Evict's finds %v", alone, r.Problems)
		}
		return r
	}

	whole := b.post("/ledger/export", url.Values{"format": {"jsonl"}}).has(http.StatusOK).body
	r := verify(whole)
	if !r.Intact() || !r.Whole || r.Own != len(own) {
		t.Errorf("the whole ledger: %+v", r)
	}
	if !strings.Contains(whole, `"kind\":\"ledger.exported`) {
		t.Error("the export does not hold its own record")
	}
	if r := verify(strings.Replace(whole, "phished", "fished!", 1)); r.Intact() {
		t.Error("an altered export verifies")
	}
	found := b.post("/ledger/export", url.Values{"format": {"jsonl"}, "target": {d.cast.Victim.ID}}).has(http.StatusOK).body
	if r := verify(found); !r.Intact() || r.Whole || r.Events == 0 {
		t.Errorf("a search: %+v", r)
	}
	one := b.post("/ledger/export", url.Values{"format": {"jsonl"}, "seq": {"3"}}).has(http.StatusOK).body
	if r := verify(one); !r.Intact() || r.Events != 1 {
		t.Errorf("one event: %+v", r)
	}
	newest := b.get("/ledger/checkpoints").body
	all, err := audit.ParseCheckpoints(newest)
	if err != nil || len(all) < 2 {
		t.Fatalf("%d checkpoints, %v", len(all), err)
	}
	from, to := all[0].Size, all[len(all)-1].Size
	proof := b.get("/ledger/consistency?from=" + strconv.FormatInt(from, 10) + "&to=" + strconv.FormatInt(to, 10)).has(http.StatusOK).body
	if r := verify(proof); !r.Intact() {
		t.Errorf("a proof of consistency: %+v", r)
	}
	if !strings.Contains(proof, "REHEARSAL: nothing is revoked") {
		t.Error("a proof of a rehearsal does not say so")
	}
	for _, format := range []string{"csv", "ocsf", "jsonl"} {
		if body := b.post("/ledger/export", url.Values{"format": {format}}).has(http.StatusOK).body; !strings.Contains(body, "REHEARSAL") || format != "ocsf" && !strings.Contains(body, "REHEARSAL: nothing is revoked") {
			t.Errorf("%s of a rehearsal does not say so", format)
		}
	}
	taken := 0
	for _, e := range d.reader().after(0) {
		if e.Kind == audit.LedgerExported && e.Operator.OID == d.cast.Auditor.ID {
			taken++
		}
	}
	if taken != 6 {
		t.Errorf("%d exports are recorded, want 6", taken)
	}
}

// An auditor's whole visit, weeks later: who did it, to whom, when, why, with what result, and is this all of it?
func TestAnAuditorsVisit(t *testing.T) {
	t.Parallel()
	d := startDemo(t, func(o *app.DemoOptions, _ *app.Options) { o.People = 300 })
	shoot := shooter(t)
	desk := d.browser()
	desk.signIn(d.cast.Helpdesk)
	run := desk.settles(desk.revoke(d.cast.Victim, url.Values{"reason": {"Phished, reported by the user"}, "ticket": {"INC-7"}}).path(), "confirmed").path()

	b := d.tab()
	b.signIn(d.cast.Auditor)
	b.open("/ledger")
	b.says("signed")
	b.says(d.cast.Helpdesk.UPN)
	b.clean("ledger-folded", shoot)
	b.open("/ledger?ticket=INC-7")
	b.says("Phished")
	b.clean("ledger-found", shoot)
	b.open("/ledger/runs/" + strings.TrimPrefix(run, "/runs/"))
	b.says("INC-7")
	b.clean("story-run", shoot)
	b.open("/ledger/people/" + d.cast.Victim.ID)
	b.says(d.cast.Victim.Name)
	b.clean("story-person", shoot)
	b.open("/ledger/3")
	b.says("Leaf hash")
	b.clean("event-proof", shoot)
	b.open("/ledger/about")
	b.says("What it cannot show")
	b.clean("about", shoot)

	b.open("/ledger/verify")
	b.clean("verify-before", shoot)
	b.press("Verify now")
	b.says("What this covers")
	b.says("evict-demo+")
	b.clean("verify", shoot)
	b.open("/ledger/reconcile")
	b.says("Entra")
	b.clean("reconcile", shoot)

	for _, acting := range []string{"/search?q=lena", "/users/" + d.cast.Victim.ID, "/scopes", "/outside"} {
		b.open(acting)
		b.says("console role")
	}
	if n := d.Sim.Revocations(d.cast.Victim.ID); n != 1 {
		t.Errorf("%d revocations after the visit, want the one before it", n)
	}
}
