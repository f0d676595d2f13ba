package templates_test

import (
	"fmt"

	"evict/web/templates"
)

const listDigest = "9b1f44c077aee3d2c0a8f3a1d6b27e5590f1a4c8e6b3d7025f9c8a1e4b6d3f70"

func warn(label string) templates.Tag { return templates.Tag{Label: label, Tone: templates.ToneWarn} }

func scopeInWords() templates.ScopeWords {
	return templates.ScopeWords{
		Include: []string{"role Global Administrator, active and eligible holders", "group Finance, with nested groups", "a list of 38 lines"},
		Exclude: []string{"group Night shift, with nested groups"},
		Options: []string{"External accounts are left out.", "Your own account is left out."},
	}
}

func people() []templates.PersonRow {
	allowed := templates.Tag{Label: "allowed", Tone: templates.ToneOK}
	rows := []templates.PersonRow{
		{ID: "p1", Person: victim(), Reasons: []string{"role Global Administrator (active)"}, Flags: []templates.Tag{warn("privileged")}, Prediction: templates.Tag{Label: "expected to be refused", Tone: templates.ToneNo}, Because: "Holds Global Administrator: your User Administrator does not reach it."},
		{ID: "p2", Person: templates.Person{Name: "Jo Lind", UPN: "jo.lind@tenant.example", Href: "/users/2"}, Reasons: []string{"role User Administrator (eligible) > group Tier 1 Admins > group Night shift", "group Finance", "list, line 12", "list, line 31"}, Flags: []templates.Tag{warn("privileged"), {Label: "synced from AD"}}, Prediction: allowed},
		{ID: "p3", Person: templates.Person{Name: "Maria-Theresia von und zu Hohenfels", UPN: longUPN, Href: "/users/3"}, Reasons: []string{"group Finance > group Payables"}, Flags: []templates.Tag{warn("external"), {Label: "disabled"}, {Label: "privileged: unknown"}, warn("federated domain"), warn("restricted unit")}, Prediction: templates.Tag{Label: "unknown", Tone: templates.ToneWarn}, Because: "Too little could be read."},
		{ID: "p4", Person: templates.Person{UPN: "sam.osei@tenant.example"}, Reasons: []string{"list, line 14"}, Prediction: templates.Tag{Label: "may be refused", Tone: templates.ToneWarn}, Because: "Your Password Administrator may not cover it."},
	}
	for i := 5; i <= 100; i++ {
		rows = append(rows, templates.PersonRow{
			ID: fmt.Sprintf("0192f3aa-1b2c-7d3e-8f40-%012d", i*7919), Person: templates.Person{Name: fmt.Sprintf("Person Number %d", i), UPN: fmt.Sprintf("person%d@tenant.example", i), Href: fmt.Sprintf("/users/%d", i)},
			Reasons: []string{"group Finance"}, Prediction: allowed,
		})
	}
	return rows
}

func leftRows() []templates.PersonRow {
	return []templates.PersonRow{
		{Person: templates.Person{Name: "Break Glass 1", UPN: "bg1@tenant.example", Href: "/users/8"}, Reasons: []string{"role Global Administrator (active)"}, Flags: []templates.Tag{warn("privileged")}, Cause: templates.Tag{Label: "protected", Tone: templates.ToneWarn}},
		{Person: templates.Person{Name: "Robin Keller", UPN: "robin.keller@tenant.example", Href: "/me"}, Reasons: []string{"group Finance"}, Flags: []templates.Tag{{Label: "you"}}, Cause: templates.Tag{Label: "you"}},
		{Person: templates.Person{Name: "Guest Person", UPN: longUPN}, Reasons: []string{"group Finance"}, Flags: []templates.Tag{warn("external")}, Cause: templates.Tag{Label: "external"}},
	}
}

func checks() []templates.CheckQuestion {
	return []templates.CheckQuestion{
		{Key: "adfs", Text: "Have the certificates of your federation server been rotated, if it may be compromised?", Fix: "An attacker with its key signs straight back in. Rotate them first (CM0073).", Answer: "no"},
		{Key: "breakglass", Text: "Can somebody still sign in if this goes wrong?", Fix: "Keep two break-glass accounts, protected here, whose sign-in you have tried.", Answer: "yes"},
		{Key: "helpdesk", Text: "Does the helpdesk know that 412 people will be asked to sign in again?"},
	}
}

func planPage() templates.PlanPage {
	href := "/plans/1"
	return templates.PlanPage{
		Page: frame("Revoke 412 people?", ""), Title: "Revoke 412 people?", BulkHref: "/scopes", Crumb: "0192f3aa · made by robin.keller@tenant.example",
		Frozen: at("14:02:11", "3 min ago"), Expires: at("14:32:11", "in 27 min"),
		Digest: templates.Digest{Short: "9b1f 44c0 77ae e3d2", Full: listDigest}, Scope: scopeInWords(),
		Unsure: []templates.Unread{{What: "PIM-eligible roles", Why: "the tenant lacks the licence for it (Entra ID P1, or P2 for PIM)"}},
		Unseen: []templates.Unread{{What: "PIM-eligible holders", Why: "Microsoft refuses you this reading", WayOut: "Activate Security Reader, or ask somebody who holds it for the list and paste it."}},
		Counts: []templates.Count{
			{Value: "412", Label: "will be tried", Href: href + "#people", Current: true}, {Value: "23", Label: "privileged", Tone: templates.ToneWarn, Href: href + "?flag=privileged#people"},
			{Value: "6", Label: "expected to be refused", Tone: templates.ToneNo, Href: href + "?verdict=x#people"}, {Value: "12", Label: "left standing", Href: href + "?left=all#people"},
			{Value: "3", Label: "not revocable here", Href: "#aside"}, {Value: "4", Label: "lines led to nobody", Tone: templates.ToneWarn, Href: "#lines"},
		},
		Predictions: []templates.PredictionCount{
			{Verdict: templates.Tag{Label: "allowed", Tone: templates.ToneOK}, Count: "300", Href: href + "?verdict=a", Means: "are expected to be allowed."},
			{Verdict: templates.Tag{Label: "expected to be refused", Tone: templates.ToneNo}, Count: "6", Href: href + "?verdict=r", Means: "are expected to be refused: their sessions would live on.", WayOut: "Activate Privileged Authentication Administrator, or have somebody run it who holds it."},
			{Verdict: templates.Tag{Label: "unknown", Tone: templates.ToneWarn}, Count: "106", Href: href + "?verdict=u", Means: "cannot be predicted: too little could be read."},
		},
		Form: &templates.ConfirmForm{Action: href + "/run", ListDigest: listDigest, Type: "412", Checks: checks(), Warning: "412 people will be tried; 6 are expected to be refused. Whoever is not must sign in again, everywhere. This cannot be undone.", Takes: "About 20 s at Microsoft's quota.", Button: "Revoke 412 people; 1 source not read"},
		List: templates.PeopleList{
			Facets: []templates.Facet{
				{Label: "Flags", Links: []templates.Count{{Label: "everybody", Value: "412", Href: href, Current: true}, {Label: "privileged", Value: "23", Href: href + "?flag=privileged"}, {Label: "privileged: unknown", Value: "106", Href: href + "?flag=privileged?"}, {Label: "disabled", Value: "4", Href: href + "?flag=disabled"}, {Label: "synced from AD", Value: "380", Href: href + "?flag=synced"}}},
				{Label: "For you", Links: []templates.Count{{Label: "allowed", Value: "300", Href: href}, {Label: "expected to be refused", Value: "6", Href: href}}},
				{Label: "Left out", Links: []templates.Count{{Label: "protected", Value: "2", Href: href}, {Label: "you", Value: "1", Href: href}, {Label: "external", Value: "9", Href: href}}},
			},
			Note:   "Of 306 of 412 people it could not be read: privileged or not. Their rows do not repeat it.",
			Filter: templates.TextFilter{Action: href, Hidden: []templates.Hidden{{Name: "flag", Value: "privileged"}}, Text: "ada", Clear: href},
			Rows:   people(), Shown: "1–100 of 412", Next: href + "?after=99",
			TakeOut: &templates.TakeOut{Action: href + "/without", Kinds: []templates.Option{{Value: "disabled", Label: "disabled (4)"}, {Value: "synced", Label: "synced from AD (380)"}}},
		},
		Standing: &templates.LeftStanding{Title: "Left standing: 12", Text: "Their sessions live on after this run.", Causes: []templates.Count{{Label: "protected", Value: "2", Href: href}, {Label: "you", Value: "1", Href: href}, {Label: "external", Value: "9", Href: href}}, Rows: leftRows(), More: templates.Link{Label: "All 12", Href: href + "?left=all"}},
		Aside:    []templates.AsideRow{{Name: "Ticket bridge", ID: victimID, Kind: "service principal", Reason: "role Global Administrator (active)"}},
		Lines:    &templates.ListLines{Title: "Lines of your lists that led to nobody", Matched: "34 of 38 lines were matched", Rows: []templates.LineRow{{Text: "ada.morena@tenant.example", Fate: warn("not found"), Reason: "Nobody has this sign-in name or address."}, {Text: "lind", Fate: warn("ambiguous"), Reason: "Three people are called so; none was taken."}}, More: "And 2 more."},

		CSVAction: href + "/targets.csv", AgainAction: href + "/again", CompareHref: href + "/compare/0",
	}
}

func planVariants() []fixture {
	invalid := planPage()
	invalid.Form.Ticket, invalid.Form.Typed, invalid.Form.Unprotected = "INC-20418", "421", true
	invalid.Form.ReasonError, invalid.Form.TypedError, invalid.Form.UnprotectedError = "Say why: the ledger needs a reason.", "This is not 412.", "Tick this to go on: no account is protected."
	invalid.Unseen = append(invalid.Unseen, templates.Unread{What: "hidden members of group Board"})
	invalid.Form.DraftRestored = true

	standing := planPage()
	standing.Form, standing.NoFormWhy, standing.Expired, standing.Standing = nil, "The list is older than 30 minutes. Expand the scope again: it takes as long as before, and shows what changed.", true, nil
	standing.List.Standing, standing.List.TakeOut, standing.List.Rows, standing.List.Title, standing.List.Next = true, nil, leftRows(), "Left standing", ""
	standing.Fault = &templates.Fault{Title: "Not started", What: "This list has expired.", NothingCalled: true, RequestID: requestA}

	ran := planPage()
	ran.Form, ran.RunHref, ran.AgainAction, ran.List.TakeOut = nil, "/runs/1", "", nil
	ran.List.Rows, ran.List.Empty, ran.Lines, ran.Aside, ran.Unseen = nil, "Nobody whose name holds “ada”.", &templates.ListLines{}, nil, nil

	expanding := templates.ExpandingLive{Nonce: nonce, Href: "/runs/1", Active: true, Scope: scopeInWords(), Found: "12,403", Doing: "Reading group Finance", Began: at("14:02:11", "12 s ago"), Took: "12 s"}
	failed := expanding
	failed.Active, failed.Failure, failed.AgainAction, failed.ParentHref = false, "Microsoft Graph asked us to wait for longer than the expansion may take.", "/plans/1/again", "/plans/0"
	changed := templates.ComparePage{Page: frame("What changed", ""), Before: templates.Link{Label: "The list before", Href: "/plans/0"}, After: templates.Link{Label: "This list", Href: "/plans/1"}, BeforeTime: at("13:20:00", "45 min ago"), AfterTime: at("14:02:11", "3 min ago"), Joined: "2", Gone: "1", Both: "410", JoinedRows: people()[:2], GoneRows: people()[3:4], GoneMore: "And 3 more."}
	same := templates.ComparePage{Page: frame("What changed", ""), Same: true, Both: "412"}
	return []fixture{
		{"plan", templates.Plan(planPage())}, {"plan-invalid", templates.Plan(invalid)}, {"plan-expired", templates.Plan(standing)}, {"plan-ran", templates.Plan(ran)},
		{"plan-expanding", templates.Expanding(templates.ExpandingPage{Page: frame("Finding the people", ""), Live: expanding})},
		{"plan-failed", templates.Expanding(templates.ExpandingPage{Page: frame("The people could not be found", ""), Live: failed})},
		{"compare", templates.Compare(changed)}, {"compare-same", templates.Compare(same)},
	}
}

func outcomes() []templates.RunTarget {
	evidence := []templates.Fact{{Label: "Attempt (T0)", Value: templates.Value{Text: "2026-11-23 14:02:11 UTC", Detail: "on Graph's clock"}}, {Label: "Valid from, before", Value: templates.Value{Text: "2026-11-12 08:14:03 UTC"}}, {Label: "Valid from, read back", Value: templates.Value{Text: "not read"}}, {Label: "Graph request id", Value: templates.Value{Text: requestA, Mono: true, Copy: true}}}
	ledger := templates.Link{Label: "Ledger", Href: "/ledger?run=1"}
	return []templates.RunTarget{
		{ID: "t0", Person: victim(), Outcome: templates.OutcomeRefused, Flags: []templates.Tag{warn("privileged")}, Attempt: "attempt 2", Cause: "Holds Global Administrator: needs Privileged Authentication Administrator.", Ledger: ledger, Evidence: evidence},
		{ID: "t1", Person: templates.Person{Name: "Jo Lind", UPN: "jo.lind@tenant.example", Href: "/users/3"}, Outcome: templates.OutcomeUnconfirmed, Cause: "Answered 200 at 14:08:12; the stamp has not moved for 5 min. Tried once more.", Ledger: ledger, Evidence: evidence},
		{ID: "t2", Person: templates.Person{Name: "Maria-Theresia von und zu Hohenfels", UPN: longUPN}, Outcome: templates.OutcomeNotCovered, Cause: "Their home tenant keeps the session.", Ledger: ledger},
		{ID: "t3", Person: templates.Person{UPN: "sam.osei@tenant.example"}},
	}
}

func bulkControls() []templates.RunAction {
	return []templates.RunAction{
		{Label: "Pause", Action: "/runs/1/pause", Busy: "Pausing…", Confirm: "Calls under way get their outcome; nobody new is called until you continue.", Yes: "Pause the run"},
		{Label: "Cancel the rest", Action: "/runs/1/cancel", Busy: "Cancelling…", Confirm: "3,593 people are not called any more: their sessions live on. What was done stays done. A cancelled run does not go on.", Yes: "Cancel the rest"},
	}
}

func bulkRun() templates.RunLive {
	r := liveRun()
	r.Title, r.State, r.StateDetail, r.Total, r.Outcome = "Sessions of 10,000 people", templates.RunPaused, "needs sign-in", 10000, ""
	r.Status, r.Bound = "Stands still: Microsoft asks the operator to sign in again.", "What binds: Microsoft's write quota for this app (3,000 calls in 150 s), shared by all runs of this console."
	r.Counts = []templates.Count{{Value: "6,204", Label: "confirmed", Tone: templates.ToneOK, N: 6204, Href: "/runs/1?show=confirmed#people"}, {Value: "188", Label: "accepted (reading back)", Tone: templates.ToneOn, N: 188}, {Value: "12", Label: "refused", Tone: templates.ToneNo, N: 12, Href: "/runs/1?show=refused#people"}, {Value: "3", Label: "unconfirmed", Tone: templates.ToneWarn, N: 3}, {Value: "3,593", Label: "not called yet", N: 3593}, {Value: "About 3 min", Label: "left, at 20/s"}}
	r.Notes = []templates.Note{{Title: "Microsoft wants to check that it is still you", Text: "The run waits. Nobody was skipped.", Link: templates.Link{Label: "Sign in again", Href: "/auth/signin"}}}
	r.Actions = append([]templates.RunAction{{Label: "Continue", Action: "/runs/1/resume", Primary: true, Busy: "Continuing…"}}, bulkControls()[1])
	r.Targets, r.Timeline, r.AgainHref, r.TicketText, r.CallerText = nil, nil, "", "", ""
	r.Evidence = append(r.Evidence, templates.Fact{Label: "Ledger events", Value: templates.Value{Text: "18,774"}})
	r.Many = &templates.Many{
		ReportHref: "/runs/1/report", PlanHref: "/plans/1",
		Chart: &templates.Chart{Top: "10,000 people", From: "14:06:40 UTC", To: "14:11:31 UTC", InWords: "From 14:06:40 to 14:11:31 UTC: 6,219 of 10,000 done, 6,204 of them confirmed.",
			Points: []templates.ChartPoint{{}, {X: .1, Done: .28, Confirmed: .2}, {X: .4, Done: .42, Confirmed: .4}, {X: 1, Done: .6219, Confirmed: .6204}},
			Rows:   []templates.ChartRow{{Time: "14:06:40 UTC", Done: "0", Confirmed: "0"}, {Time: "14:11:31 UTC", Done: "6,219", Confirmed: "6,204"}}},
		Outcomes: templates.OutcomeList{Title: "What still stands", Rows: outcomes(), Shown: "1–4 of 15", Next: "/runs/1?after=3",
			Facets:  []templates.Facet{{Label: "Show", Links: []templates.Count{{Label: "what still stands", Value: "15", Href: "/runs/1", Current: true}, {Label: "confirmed", Value: "6,204", Href: "/runs/1?show=confirmed"}, {Label: "not called yet", Value: "3,593", Href: "/runs/1?show=waiting"}}}},
			Filter:  templates.TextFilter{Action: "/runs/1", Hidden: []templates.Hidden{{Name: "show", Value: "refused"}}},
			WaysOut: []templates.WayOut{{Outcome: templates.OutcomeRefused, Text: "Their sessions live on. Have somebody run it who holds Privileged Authentication Administrator."}, {Outcome: templates.OutcomeUnconfirmed, Text: "Treat the sessions as alive: block the account, and try again."}}},
		Retry:      &templates.RetryForm{Action: "/runs/1/again", Outcomes: []templates.Option{{Value: "refused", Label: "refused (12)"}, {Value: "not covered", Label: "not covered (1)"}}},
		Latecomers: &templates.RunAction{Label: "Look for late-comers", Action: "/runs/1/latecomers", Busy: "Expanding…"},
	}
	return r
}

func reportVariants() []fixture {
	rows := []templates.ReportPerson{{Name: "Ada Moreno", UPN: "ada.moreno@tenant.example", ID: victimID, Note: "Holds Global Administrator: needs Privileged Authentication Administrator."}, {Name: "Maria-Theresia von und zu Hohenfels", UPN: longUPN, ID: victimID, Note: "Attempt 2."}}
	full := templates.ReportPage{
		Page: frame("Report", "Runs"), Title: "412 people: 388 proven cut off, 24 not", Unfinished: "The run still goes on. Print it again when it has ended.", StandsCount: "38 people",
		Stands: []templates.StandGroup{
			{Title: "refused", Count: "12 people", Tone: templates.ToneNo, Means: "Microsoft refused: their sessions live on.", Causes: []templates.StandCause{{Name: "Cause 1", Count: "11 people", Text: "Insufficient privileges to complete the operation."}}, WayOut: "Have somebody run it who holds Privileged Authentication Administrator.", People: rows, More: "And 10 more: the JSON names everybody."},
			{Title: "protected", Count: "2 people", Tone: templates.ToneWarn, Means: "Bulk plans never include them.", People: rows[:1]},
		},
		Unseen: []templates.Unread{{What: "PIM-eligible holders", Why: "Microsoft refuses you this reading", WayOut: "Security Reader may read them."}},
		Aside:  []templates.AsideRow{{Name: "Ticket bridge", ID: victimID, Kind: "service principal", Reason: "role Global Administrator (active)"}},
		Scope:  scopeInWords(),
		Facts: []templates.Fact{{Label: "Asked by", Value: templates.Value{Text: "robin.keller@tenant.example"}}, {Label: "Reason", Value: templates.Value{Text: "Adversary-in-the-middle campaign, wave 2"}}, {Label: "Approved by", Value: templates.Value{Text: "nobody", Detail: "no approval is asked for in this console"}},
			{Label: "Digest of the plan", Value: templates.Value{Text: listDigest, Mono: true, Copy: true}}},
		Outcomes: []templates.ReportCount{{Outcome: "confirmed", Count: "388", Share: "94 %", Means: "Entra has recorded the cut; read back by object id."}, {Outcome: "refused", Count: "12", Share: "3 %", Means: "Microsoft answered 403."}},
		Evidence: []templates.Fact{{Label: "First attempt", Value: templates.Value{Text: "2026-11-23 14:06:41 UTC", Detail: "on Graph's clock"}}, {Label: "Graph request ids", Value: templates.Value{Text: "400"}}},
		Checks:   []templates.CheckAnswer{{Text: checks()[0].Text, Answer: "no"}, {Text: checks()[2].Text}},
		Next:     []templates.Countermeasure{{ID: "CM0050", Title: "Reset Kerberos Ticket Granting Ticket (KRBTGT) Password Twice", Do: "If on-premises Active Directory may be compromised."}},
		Source:   "From CISA's COUN7ER catalogue, beside CM0077.", Techniques: []templates.Technique{{ID: "T1550", Name: "Use Alternate Authentication Material"}, {ID: "T1528", Name: "Steal Application Access Token"}},
		Made: at("14:30:00", ""), RunHref: "/runs/1", JSONAction: "/runs/1/report.json",
	}
	clean := full
	clean.Page = frame("Report", "Runs")
	clean.Page.Rehearsal, clean.Page.Tenant = false, "Contoso Bank (contoso.example)"
	clean.Title, clean.Unfinished, clean.Stands, clean.Unseen, clean.Aside = "412 people: all proven cut off", "", nil, nil, nil
	return []fixture{{"report", templates.Report(full)}, {"report-clean", templates.Report(clean)}}
}
