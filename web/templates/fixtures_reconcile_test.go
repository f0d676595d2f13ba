package templates_test

import (
	"strings"
	"testing"

	"evict/web/templates"
)

func reconcilePage() templates.ReconcilePage {
	return templates.ReconcilePage{
		Page:   frame("Compare with Entra", "Ledger"),
		Fetch:  templates.WindowForm{Action: "/ledger/reconcile/fetch", From: "2026-11-16T14:05", To: "2026-11-23T14:06"},
		Upload: templates.WindowForm{Action: "/ledger/reconcile/upload"},
		KQL:    "let span = 7d;\nAuditLogs\n| where TimeGenerated > ago(span) and OperationName == 'Update StsRefreshTokenValidFrom Timestamp' // a long line that must not widen the page",
	}
}

func reconcileOurs(id, what string) templates.ReconcileList {
	return templates.ReconcileList{ID: id, Title: "Of Evict’s: " + id, Why: "Why they stand here.", Ours: []templates.ReconcileOurRow{
		{Time: at("13:40:11", "25 min ago"), Operator: templates.Person{UPN: "lead@tenant.example", Href: "/ledger/people/1"}, Target: templates.Person{UPN: longUPN, Href: "/ledger/people/2"},
			What: what, Event: "18,702", EventHref: "/ledger/18702", RunHref: "/ledger/runs/1"},
		{Time: at("13:41:12", "24 min ago"), Operator: templates.Person{UPN: "lead@tenant.example"}, Target: victim(), What: "recorded by hand", Event: "18,703", EventHref: "/ledger/18703"},
	}, More: "And 1,204 more. Compare a shorter time to see them, or download all as CSV."}
}

func reconcileRow(by, app string) templates.ReconcileRow {
	r := templates.ReconcileRow{Time: at("13:10:00", "55 min ago"), App: app, Target: templates.Person{UPN: "lena.hartwig@tenant.example", ID: victimID, Href: "/ledger/people/" + victimID}, ID: requestA}
	if by != "" {
		r.By = templates.Person{UPN: by, Href: "/ledger/people/1"}
	}
	return r
}

func reconcileRows(id string, folded bool, rows ...templates.ReconcileRow) templates.ReconcileList {
	return templates.ReconcileList{ID: id, Title: "Of Entra’s: " + id, Why: "Why they stand here.", Folded: folded, Rows: rows}
}

func reconcileDiffers() templates.ReconcilePage {
	p := reconcilePage()
	p.Result = &templates.ReconcileResult{
		Window:  "16 Nov 2026 14:05 UTC to 23 Nov 2026 14:06 UTC",
		Verdict: templates.Note{Tone: templates.ToneNo, Title: "The logs differ", Text: "Of 412 revocations of Evict’s, 410 have a row in Entra’s log, 2 have none. 3 rows of Entra’s have no event of Evict’s."},
		Counts: []templates.Count{
			{Value: "410", Label: "in both logs", Tone: templates.ToneOK}, {Value: "2", Label: "of Evict’s without a row", Tone: templates.ToneNo, Href: "#missing"},
			{Value: "3", Label: "of Entra’s without an event", Tone: templates.ToneWarn, Href: "#foreign"}, {Value: "2", Label: "too early to tell", Tone: templates.ToneOn, Href: "#early"},
			{Value: "1", Label: "by people for themselves", Href: "#own"}, {Value: "1", Label: "by the sync service", Href: "#sync"},
			{Value: "1", Label: "by accounts named like the sync service", Tone: templates.ToneWarn, Href: "#named"}, {Value: "2", Label: "too old to tell", Tone: templates.ToneOn, Href: "#old"},
			{Value: "3", Label: "not read", Tone: templates.ToneWarn, Href: "#read"},
		},
		Notes: []templates.Note{{Tone: templates.ToneOn, Title: "The ledger is younger", Text: "It begins on 20 Nov 2026 09:00 UTC. What Entra tells from before has no event, whoever did it."}},
		Lists: []templates.ReconcileList{
			reconcileOurs("missing", "accepted by Microsoft"),
			reconcileRows("foreign", false, reconcileRow("global.admin@tenant.example", ""), reconcileRow("", "Playbook <b>revoke</b>"), reconcileRow("", "")),
			reconcileRows("named", false, reconcileRow("sync_evil@tenant.example", "")),
			reconcileOurs("early", "accepted by Microsoft"), reconcileOurs("old", "accepted by Microsoft"),
			reconcileRows("own", true, reconcileRow("lena.hartwig@tenant.example", "")), reconcileRows("sync", true, reconcileRow("Sync_DC01_3f0c1a527d1b@tenant.example", "")),
		},
		Read: []string{"1,204 rows read: 415 about revocations, 786 of other activities, 3 could not be read.", "Line 17: it names no target by object id"}, Recorded: "/ledger?kind=ledger.reconciled",
	}
	return p
}

func reconcileVariants() []fixture {
	agrees := reconcilePage()
	agrees.Result = &templates.ReconcileResult{
		Window:  "16 Nov 2026 14:05 UTC to 23 Nov 2026 14:06 UTC",
		Verdict: templates.Note{Tone: templates.ToneOK, Title: "The logs agree", Text: "All 412 revocations of Evict’s have a row in Entra’s log. Nobody was revoked by others beside it."},
		Counts:  []templates.Count{{Value: "412", Label: "in both logs", Tone: templates.ToneOK}, {Value: "0", Label: "of Evict’s without a row"}, {Value: "0", Label: "of Entra’s without an event"}},
		Read:    []string{"From Microsoft Graph: 412 rows about revocations."},
	}
	early := reconcilePage()
	early.Result = &templates.ReconcileResult{
		Window:  "23 Nov 2026 13:05 UTC to 23 Nov 2026 14:06 UTC",
		Verdict: templates.Note{Tone: templates.ToneOn, Title: "The logs agree on 410 revocations; 2 are too new to tell", Text: "Of 412 revocations of Evict’s, 410 have a row in Entra’s log, 2 are too new to have one (rows appear minutes later)."},
		Counts:  []templates.Count{{Value: "410", Label: "in both logs", Tone: templates.ToneOK}, {Value: "2", Label: "too early to tell", Tone: templates.ToneOn, Href: "#early"}},
		Lists:   []templates.ReconcileList{reconcileOurs("early", "accepted by Microsoft")}, Read: []string{"From Microsoft Graph: 410 rows about revocations."},
	}
	consent := reconcilePage()
	consent.SignIn = "/auth/signin?return=%2Fledger%2Freconcile"
	refused := reconcilePage()
	refused.Fault = &templates.Fault{Title: "Microsoft does not let you read its log", What: "Microsoft Graph refused: User is not in the allowed roles.", Why: "Entra also wants the directory role Reports Reader.", WhatToDo: "Or bring an export here.", RequestID: requestA}
	invalid := reconcilePage()
	invalid.Fetch.FromError, invalid.Fetch.ToError = "Say from when, in UTC, like 2026-11-23T14:05.", "The end lies before the beginning."
	invalid.Upload.FileError, invalid.Upload.FromError = "This file is no text in UTF-8. Give it as it was downloaded, as CSV or JSON.", "This is not a time."
	closed := reconcilePage()
	closed.Fetch.Closed = "Microsoft Graph does not offer this log in the cloud that 21Vianet operates."
	return []fixture{
		{"reconcile", templates.Reconcile(reconcilePage())}, {"reconcile-differs", templates.Reconcile(reconcileDiffers())}, {"reconcile-agrees", templates.Reconcile(agrees)},
		{"reconcile-early", templates.Reconcile(early)},
		{"reconcile-consent", templates.Reconcile(consent)}, {"reconcile-refused", templates.Reconcile(refused)}, {"reconcile-invalid", templates.Reconcile(invalid)},
		{"reconcile-closed", templates.Reconcile(closed)},
	}
}

func TestAComparisonOpensWithItsVerdict(t *testing.T) {
	t.Parallel()
	doc, _ := render(t, templates.Reconcile(reconcileDiffers()))
	result := doc.Find(`section[aria-labelledby="reconcile-result"]`)
	if got := result.Find(`[role="status"]`).First().Text(); !strings.Contains(got, "The logs differ") {
		t.Errorf("first comes %q", got)
	}
	for id, rows := range map[string]int{"#missing": 2, "#foreign": 3, "#early": 2, "#old": 2, "#own": 1, "#sync": 1, "#named": 1} {
		if got := result.Find(id + " tbody tr").Length(); got != rows {
			t.Errorf("%s has %d rows, want %d", id, got, rows)
		}
		if result.Find(`.counts a[href="`+id+`"]`).Length() != 1 {
			t.Errorf("no number leads to %s", id)
		}
	}
	if got := result.Find("#foreign").Text(); !strings.Contains(got, "<b>revoke</b>") || !strings.Contains(got, "an application without a name") {
		t.Errorf("the applications read %q", got)
	}
	if result.Find("details#sync, details#own").Length() != 2 || result.Find("details#foreign, details#named").Length() != 0 {
		t.Error("what is usual is not folded, or what is not is")
	}
	if got, _ := result.Find(`#missing a[href="/ledger/18702"]`).Attr("href"); got == "" {
		t.Error("no way to the event")
	}
	if doc.Find("main form").Length() != 2 || doc.Find("#reconcile-kql").Length() != 1 {
		t.Error("the forms or the query are not there beside the result")
	}
	for _, action := range []string{"/ledger/reconcile/fetch", "/ledger/reconcile/upload"} {
		buttons := doc.Find(`form[action="` + action + `"] button[type="submit"]`)
		if file := buttons.Last(); buttons.Length() != 2 || buttons.First().AttrOr("name", "") != "" || file.AttrOr("name", "") != "format" || file.AttrOr("value", "") != "csv" {
			t.Errorf("%s: the form gives no page first and no file second", action)
		}
	}
}

func TestAClosedFormIsNotThere(t *testing.T) {
	t.Parallel()
	p := reconcilePage()
	p.Fetch.Closed = "Not here."
	doc, _ := render(t, templates.Reconcile(p))
	if doc.Find(`form[action$="/fetch"]`).Length() != 0 || !strings.Contains(doc.Find("main").Text(), "Not here.") {
		t.Error("the form is there, or the reason is not")
	}
}
