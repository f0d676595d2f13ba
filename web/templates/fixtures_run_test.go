package templates_test

import (
	"evict/web/templates"
)

func liveRun() templates.RunLive {
	return templates.RunLive{
		Nonce: nonce, Href: "/runs/1", ID: "0192f3aa-1b2c-7d3e-8f40-5a6b7c8d9e0f", Title: "Revoking sessions of Ada Moreno", State: templates.RunFinished, Outcome: templates.OutcomeConfirmed,
		Crumb: "started 14:02:11 UTC by robin.keller@tenant.example", Status: "Entra recorded the cut at 14:02:11 UTC, 2 s after Graph was asked.", Reason: "Phished; reported by the user at 13:40", Ticket: "INC-20418",
		Targets: []templates.RunTarget{{Person: victim(), Outcome: templates.OutcomeConfirmed, Cause: "The stamp is at or after the attempt.", Flags: []templates.Tag{{Label: "privileged", Tone: templates.ToneWarn}}}},
		Timeline: []templates.TimelineEntry{
			{Time: at("14:02:11", "3 min ago"), Title: "Recorded before acting", Text: "The ledger holds the intent.", Event: templates.Link{Label: "event 18,771", Href: "/ledger/18771"}},
			{Time: at("14:02:11", "3 min ago"), Title: "Graph accepted", Tone: templates.ToneOn, Text: "200 after 184 ms. This alone proves nothing.", Event: templates.Link{Label: "event 18,772", Href: "/ledger/18772"},
				Facts: []templates.Fact{{Label: "Graph request id", Value: templates.Value{Text: requestA, Mono: true, Copy: true}}}},
			{Time: at("14:02:13", "3 min ago"), Title: "Confirmed by read-back", Tone: templates.ToneOK, Event: templates.Link{Label: "event 18,773", Href: "/ledger/18773"},
				Facts: []templates.Fact{{Label: "Stamp before", Value: templates.Value{Text: "12 Nov 2026 08:14:03 UTC"}}, {Label: "Stamp after", Value: templates.Value{Text: "23 Nov 2026 14:02:11 UTC"}}, {Label: "Attempt (T0)", Value: templates.Value{Text: "23 Nov 2026 14:02:11.402 UTC", Detail: "on Graph's clock"}}}},
		},
		Clock:      templates.Clock{Recorded: at("14:02:11", "3 min ago"), Until: "15:32 UTC", UntilNoCA: "16:02 UTC"},
		Evidence:   []templates.Fact{{Label: "Plan digest", Value: templates.Value{Text: "9b1f 44c0 77ae e3d2", Mono: true, Copy: true}}, {Label: "Run", Value: templates.Value{Text: "0192f3aa-1b2c-7d3e-8f40-5a6b7c8d9e0f", Mono: true, Copy: true}}},
		CallerText: "Your sign-in sessions were ended at 14:02 UTC. You will be asked to sign in again everywhere. Apps that are open now can go on for up to an hour and a half. Please change your password now; we will end the sessions once more afterwards.",
		TicketText: "Sessions of ada.moreno@tenant.example (" + victimID + ") revoked by robin.keller@tenant.example.\nAsked 2026-11-23T14:02:11Z, confirmed 14:02:13Z (stamp 2026-11-23T14:02:11Z).\nGraph request id " + requestA + ".\nNot stopped: a new sign-in with the password. Access tokens until about 15:32 UTC.",
		LedgerHref: "/ledger?run=1", AgainHref: "/users/" + victimID,
	}
}

func runVariants() []fixture {
	page := func(l templates.RunLive) fixture {
		return fixture{"run", templates.Run(templates.RunPage{Page: frame(l.Title, "Runs"), Live: l})}
	}
	done := page(liveRun())

	active := liveRun()
	active.Active, active.State, active.Status = true, templates.RunRunning, "Graph answered 200. Waiting until Entra shows the cut; usually seconds, at most 10 min."
	active.Outcome = templates.OutcomeAccepted
	active.Targets[0].Outcome, active.Targets[0].Cause = templates.OutcomeAccepted, "Graph answered 200. Not yet proven."
	active.Timeline, active.TicketText, active.CallerText = active.Timeline[:2], "", ""
	active.Clock = templates.Clock{}
	running := page(active)
	running.name = "run-active"

	no := liveRun()
	no.Outcome = templates.OutcomeRefused
	no.Status, no.Clock = "Nobody was cut off: this person needs a stronger role than yours.", templates.Clock{}
	no.Targets[0] = templates.RunTarget{Person: templates.Person{Name: "Maria-Theresia von und zu Hohenfels", UPN: longUPN, Href: "/users/2"}, Outcome: templates.OutcomeRefused, Attempt: "attempt 2",
		Cause: "Holds Global Administrator: needs Privileged Authentication Administrator.", WayOut: "Ask someone who holds it, or activate it.", Link: templates.Link{Label: "Who holds it", Href: "/roles/1"},
		RequestID: requestA, ErrorCode: "Authorization_RequestDenied"}
	no.Timeline[2] = templates.TimelineEntry{Time: at("14:02:12", "3 min ago"), Title: "Graph refused (403)", Tone: templates.ToneNo, Text: "Tried once more with a newly issued token: refused again."}
	no.TicketText, no.CallerText = "", ""
	refused := page(no)
	refused.name = "run-refused"

	bulk := bulkRun()
	paused := page(bulk)
	paused.name = "run-bulk"
	active = bulkRun()
	active.State, active.StateDetail, active.Active, active.Notes = templates.RunRunning, "", true, nil
	active.Status, active.Actions = "Going on: more than half is done.", bulkControls()
	active.Many.Retry, active.Many.Latecomers = nil, nil
	going := page(active)
	going.name = "run-bulk-active"
	return []fixture{done, running, refused, paused, going}
}

func meVariants() []fixture {
	me := templates.MePage{Page: frame("You", ""), Identity: []templates.Fact{{Label: "Name", Value: templates.Value{Text: "Robin Keller"}}, {Label: "UPN", Value: templates.Value{Text: "robin.keller@tenant.example"}}, {Label: "Object id", Value: templates.Value{Text: victimID, Mono: true, Copy: true}}},
		ConsoleRoles: templates.ConsoleRoles()[:2], ShowRoles: true, Roles: myRoles(),
		Session: []templates.Fact{{Label: "Signed in", Value: templates.Value{Time: at("10:02:00", "4 h ago")}}, {Label: "Ends", Value: templates.Value{Time: at("18:02:00", "in 4 h"), Detail: "or after 30 min without use"}}},
		Form:    &templates.RevokeForm{Action: "/me/revoke"}, Notes: []templates.Note{templates.NoteOperator()}, SignOutAction: "/auth/signout"}
	return []fixture{{"me", templates.Me(me)}}
}

func errorVariants() []fixture {
	typed := []templates.Command{{Label: "Reason", Text: "Phished; reported by the user at 13:40"}, {Label: "Ticket", Text: "INC-20418"}}
	p := frame("", "")
	return []fixture{
		{"error-notfound", templates.Error(templates.NotFoundError(p, requestA))},
		{"error-forbidden", templates.Error(templates.ForbiddenError(p, requestA, "Evict.Lead"))},
		{"error-expired", templates.Error(templates.SessionExpiredError(outside(""), requestA, "/auth/signin", typed))},
		{"error-claims", templates.Error(templates.ClaimsChallengeError(p, requestA, "/auth/signin", false))},
		{"error-claims-run", templates.Error(templates.ClaimsChallengeError(p, requestA, "/auth/signin", true))},
		{"error-reauth", templates.Error(templates.ReauthRequiredError(p, requestA, "/auth/signin", typed))},
		{"error-throttled", templates.Error(templates.ThrottledError(p, requestA, "40 s", "/runs"))},
		{"error-unavailable", templates.Error(templates.UnavailableError(p, requestA, "Microsoft Graph does not answer.", "/"))},
		{"error-internal", templates.Error(templates.InternalError(p, requestA))},
	}
}

func fixtures() []fixture {
	var all []fixture
	for _, some := range [][]fixture{signInVariants(), homeVariants(), searchVariants(), userVariants(), groupVariants(), runVariants(), meVariants(), ledgerVariants(), errorVariants(),
		scopeVariants(), protectedVariants(), planVariants(), reportVariants(), verifyVariants(), reconcileVariants()} {
		all = append(all, some...)
	}
	return append(all, fixture{"components", templates.Components(templates.ComponentsPage{Page: frame("Components", "")})})
}
