package templates_test

import (
	"evict/web/static"
	"evict/web/templates"

	"github.com/a-h/templ"
)

const nonce = "bm9uY2UtZm9yLXRlc3Rz"

type fixture struct {
	name string
	page templ.Component
}

func at(clock, relative string) templates.Time {
	return templates.Time{UTC: "23 Nov 2026 " + clock + " UTC", ISO: "2026-11-23T" + clock + "Z", Relative: relative}
}

func day(d, relative string) templates.Time {
	return templates.Time{UTC: d, Relative: relative}
}

func frame(title, current string) templates.Page {
	p := templates.Page{
		Title: title, Rehearsal: true, CanSearch: true, CSPNonce: nonce, NowISO: "2026-11-23T14:05:00Z",
		Operator: &templates.OperatorBadge{Name: "Robin Keller", UPN: "robin.keller@tenant.example", Roles: "User Administrator · Lead"},
		Assets:   templates.Assets{CSS: static.URL("evict.css"), HTMX: static.URL("htmx.js"), JS: static.URL("evict.js"), Icon: static.URL("icon.svg")},
	}
	for _, n := range []templates.NavItem{{Label: "Home", Href: "/"}, {Label: "Runs", Href: "/runs"}, {Label: "Ledger", Href: "/ledger"}} {
		n.Current = n.Label == current
		p.Nav = append(p.Nav, n)
	}
	return p
}

func outside(title string) templates.Page {
	p := frame(title, "")
	p.Nav, p.Operator, p.CanSearch = nil, nil, false
	return p
}

const (
	victimID = "3f0c1a52-7d1b-4a52-9c3e-0b5d2f6f8a11"
	requestA = "a6c1e1f0-6a5e-4f55-8a5c-1d6a2a0b9e77"
	longUPN  = "maria-theresia.von-und-zu-hohenfels_partner-company.example#EXT#@tenant.example"
)

func victim() templates.Person {
	return templates.Person{Name: "Ada Moreno", UPN: "ada.moreno@tenant.example", ID: victimID, Href: "/users/" + victimID}
}

func victimFacts() []templates.Fact {
	return []templates.Fact{
		{Label: "Account", Value: templates.Value{Text: "Enabled", Detail: "member · signs in here"}},
		{Label: "Sessions valid from", Value: templates.Value{Time: templates.Time{UTC: "12 Nov 2026 08:14:03 UTC", ISO: "2026-11-12T08:14:03Z", Relative: "11 days ago"}}},
		{Label: "Last sign-in", Value: templates.Value{Unknown: "Reading sign-in activity needs the permission AuditLog.Read.All."}},
		{Label: "Password changed", Value: templates.Value{Time: day("4 Aug 2026", "")}},
		{Label: "Last revoked by Evict", Value: templates.Value{Text: "Never"}},
		{Label: "Department", Value: templates.Value{Text: "Finance", Detail: "Payables, Lisbon"}},
	}
}

func userPage() templates.UserPage {
	return templates.UserPage{
		Page: frame("Ada Moreno", ""), Person: victim(),
		Tags:  []templates.Tag{{Label: "privileged", Tone: templates.ToneWarn}, {Label: "synced from AD"}},
		Notes: []templates.Note{templates.NoteFederated("tenant.example"), templates.NoteSynced()},
		Facts: victimFacts(),
		Roles: []templates.UserRole{
			{Name: "Exchange Administrator", Href: "/roles/29232cdf-9323-42fd-ade2-1d097af3e4de", Privileged: true, State: "eligible, not active now", Since: day("3 Feb 2026", "")},
			{Name: "Groups Administrator", State: "active", Path: []string{"IT Operations", "Tier 1"}, Since: day("19 May 2026", "")},
			{Name: "User Administrator", State: "active", Scope: "unit Lisbon", Since: day("19 May 2026", "")},
		},
		Groups:     []templates.UserGroup{{Name: "Tier 1", Href: "/groups/1", Why: "role-assignable group: its members can be managed by few"}},
		Prediction: &templates.Prediction{Verdict: templates.VerdictMaybe, Reason: "You act as User Administrator. This person is eligible for a privileged role.", WayOut: "A Privileged Authentication Administrator is always allowed."},
		Form:       &templates.RevokeForm{Action: "/users/" + victimID + "/revoke", Hidden: []templates.Hidden{{Name: "once", Value: "0192f3aa"}}},
		Clock:      templates.Clock{Federated: true},
		LedgerHref: "/ledger?target=" + victimID,
	}
}

func userVariants() []fixture {
	external := userPage()
	external.Person = templates.Person{Name: "Maria-Theresia von und zu Hohenfels", UPN: longUPN, ID: victimID}
	external.Tags = []templates.Tag{{Label: "external", Tone: templates.ToneOn}, {Label: "disabled"}, {Label: "privileged: unknown", Tone: templates.ToneWarn}}
	external.Notes = []templates.Note{templates.NoteExternal("partner-company.example"), templates.NoteDisabled(), templates.NoteOperator()}
	external.Roles, external.RolesUnread, external.Groups = nil, []templates.Unread{{What: "PIM-eligible roles", Why: "Microsoft refuses you this reading", WayOut: "Security Reader may read them."}}, nil
	external.Prediction = &templates.Prediction{Verdict: templates.VerdictUnknown, Reason: "Your own roles could not be read.", WayOut: "You may try: Graph decides."}
	external.Form = &templates.RevokeForm{Action: "/x", External: true, Reason: "Phished; reported by phone at 13:40", Ticket: "INC-20418", DraftRestored: true, ExternalError: "Tick this to go on: the account is external."}
	external.Clock = templates.Clock{External: true}

	invalid := userPage()
	invalid.Form = &templates.RevokeForm{Action: "/x", Ticket: "INC-20418", ReasonError: "Say why: the ledger needs a reason."}

	fault := userPage()
	fault.Fault = &templates.Fault{Title: "The revocation was not sent", What: "The record of it could not be written, so Graph was not asked.", Why: "The database does not answer.", WhatToDo: "Try again, or do it by hand with your own rights:",
		NothingCalled: true, RequestID: requestA, OutsideHref: "/ledger/outside",
		Commands: []templates.Command{{Label: "Microsoft Graph", Text: "POST https://graph.microsoft.com/v1.0/users/" + victimID + "/revokeSignInSessions"}, {Label: "PowerShell", Text: "Revoke-MgUserSignInSession -UserId " + victimID}}}

	auditor := userPage()
	auditor.Form, auditor.Prediction, auditor.NoFormWhy = nil, nil, "Your console role, Auditor, reads only."
	auditor.Roles, auditor.Groups = nil, nil
	return []fixture{
		{"user", templates.User(userPage())}, {"user-external", templates.User(external)}, {"user-invalid", templates.User(invalid)},
		{"user-fault", templates.User(fault)}, {"user-auditor", templates.User(auditor)},
	}
}

func someRuns() []templates.RunRow {
	by := templates.Person{UPN: "robin.keller@tenant.example"}
	return []templates.RunRow{
		{Href: "/runs/1", When: at("14:02:11", "3 min ago"), By: by, Target: victim(), State: templates.RunFinished, Outcome: templates.OutcomeConfirmed, Ticket: "INC-20418", Reason: "Phished; reported by the user at 13:40"},
		{Href: "/runs/2", When: at("13:40:02", "25 min ago"), By: by, Target: templates.Person{Name: "Maria-Theresia von und zu Hohenfels", UPN: longUPN}, State: templates.RunFinished, Outcome: templates.OutcomeNotCovered, Reason: "Guest of the same campaign; the home tenant was told by phone and by mail, and has confirmed that it will act today"},
		{Href: "/runs/3", When: at("13:12:40", "53 min ago"), By: templates.Person{UPN: "lead@tenant.example"}, Count: "412 people", Tally: "376 confirmed · 12 refused · 3 unconfirmed · 21 to go", State: templates.RunPaused, Detail: "needs sign-in", Ticket: "INC-20418", Reason: "Adversary-in-the-middle campaign, wave 2"},
		{Href: "/runs/4", When: at("12:00:00", "2 h ago"), By: by, Target: templates.Person{Name: "Jo Lind", UPN: "jo.lind@tenant.example"}, State: templates.RunFinished, Outcome: templates.OutcomeRefused, Ticket: "INC-20411", Reason: "Stolen laptop"},
		{Href: "/runs/5", When: at("11:58:10", "2 h ago"), By: by, Target: templates.Person{Name: "Sam Osei", UPN: "sam.osei@tenant.example"}, State: templates.RunRunning, Outcome: templates.OutcomeAccepted, Ticket: "INC-20411", Reason: "Stolen laptop"},
	}
}

func myRoles() []templates.MyRole {
	return []templates.MyRole{
		{Name: "User Administrator", State: "active until 18:00 UTC", Active: true, Scope: "tenant", Since: at("10:00:00", "4 h ago"), Allows: "Revokes people without a privileged role, and some with a limited one."},
		{Name: "Privileged Authentication Administrator", State: "eligible", Scope: "tenant", Allows: "Once activated: revokes anyone, Global Administrators too."},
	}
}

func homeVariants() []fixture {
	full := templates.HomePage{Page: frame("Home", "Home"), Runs: someRuns(), RunsHref: "/runs", ShowRoles: true, Roles: myRoles(),
		Needs: []templates.Need{
			{Tag: templates.Tag{Label: "paused: needs sign-in", Tone: templates.ToneWarn}, Title: "Revoking 412 people", Text: "Your sign-in could no longer be used after 188. The other 224 wait.", Time: at("13:58:40", "6 min ago"), Action: templates.Link{Label: "Sign in and resume", Href: "/runs/3"}},
			{Tag: templates.Tag{Label: "unconfirmed", Tone: templates.ToneWarn}, Title: "Jo Lind", Text: "Graph answered 200 and the stamp has not moved for 10 min.", Time: at("13:50:00", "15 min ago"), Action: templates.Link{Label: "Look", Href: "/runs/4"}},
		}}
	empty := templates.HomePage{Page: frame("Home", "Home"), ShowRoles: true, RolesUnread: []templates.Unread{{What: "directory roles", Why: "Graph did not answer in time", WayOut: "Load the page again."}}}
	empty.Page.Rehearsal, empty.Page.Tenant = false, "Contoso Bank (contoso.example)"
	empty.Page.Flash = &templates.Flash{Tone: templates.ToneOK, Text: "You are signed in."}
	auditor := templates.HomePage{Page: frame("Home", "Home"), Runs: someRuns(), RunsHref: "/runs"}
	auditor.Page.CanSearch = false
	runs := templates.RunsPage{Page: frame("Runs", "Runs"), Scope: "All runs, newest first.", Rows: someRuns(), Older: "/runs?before=5"}
	noRuns := templates.RunsPage{Page: frame("Runs", "Runs"), Scope: "Your own runs."}
	return []fixture{{"runs", templates.Runs(runs)}, {"runs-none", templates.Runs(noRuns)}, {"home", templates.Home(full)}, {"home-empty", templates.Home(empty)}, {"home-auditor", templates.Home(auditor)}}
}

func hits() templates.SearchResults {
	return templates.SearchResults{Query: "mo",
		Users: []templates.Hit{
			{Name: "Ada Moreno", Detail: "ada.moreno@tenant.example", Href: "/users/1", Flags: []templates.Tag{{Label: "privileged: unknown", Tone: templates.ToneWarn}}},
			{Name: "Maria-Theresia von und zu Hohenfels", Detail: longUPN, Href: "/users/2", Flags: []templates.Tag{{Label: "external", Tone: templates.ToneOn}, {Label: "disabled"}}},
			{Name: "Moses Adeyemi", Detail: "moses.adeyemi@tenant.example", Href: "/users/3"},
		},
		Groups: []templates.Hit{{Name: "Mobile Fleet", Detail: "security group, 412 members", Href: "/groups/1"}, {Name: "Monitoring", Detail: "security group", Href: "/groups/2", Flags: []templates.Tag{{Label: "role-assignable", Tone: templates.ToneWarn}}}},
		Roles:  []templates.Hit{{Name: "Teams Communications Administrator", Detail: "directory role", Href: "/roles/1"}},
	}
}

func searchVariants() []fixture {
	page := frame("Search", "")
	page.SearchQuery = "mo"
	partly := hits()
	partly.Groups, partly.Roles = nil, nil
	partly.Unread = []templates.Unread{{What: "Groups", Why: "Graph answered 503.", WayOut: "Search again in a moment."}}
	partly.More = "The first 10 users are shown. Type more of the name."
	return []fixture{
		{"search", templates.Search(templates.SearchPage{Page: page, Results: hits()})},
		{"search-none", templates.Search(templates.SearchPage{Page: page, Results: templates.SearchResults{Query: "mox"}})},
		{"search-partly", templates.Search(templates.SearchPage{Page: page, Results: partly})},
		{"search-short", templates.Search(templates.SearchPage{Page: page, Results: templates.SearchResults{Query: "m", TooShort: true}})},
	}
}

func signInVariants() []fixture {
	accounts := []templates.RehearsalAccount{{UPN: "helpdesk@sim.example", Shows: "User Administrator, Evict.Responder: one user at a time"}, {UPN: "lead@sim.example", Shows: "Evict.Lead: bulk plans"}, {UPN: "auditor@sim.example", Shows: "Evict.Auditor: the ledger, read only"}}
	real := outside("Sign in")
	real.Rehearsal, real.Tenant = false, "Contoso Bank (contoso.example)"
	fault := &templates.SignInFault{What: "This account is not assigned to the application.", WhatToDo: "Ask whoever manages enterprise applications to assign you, then sign in again.", Code: "AADSTS50105", CorrelationID: requestA, Time: at("14:02:11", ""), RequestID: "0192f3aa-1b2c"}
	return []fixture{
		{"signin", templates.SignIn(templates.SignInPage{Page: outside("Sign in"), Href: "/auth/signin?return=%2F", RehearsalAs: accounts})},
		{"signin-timeout", templates.SignIn(templates.SignInPage{Page: real, Href: "/auth/signin", TimedOut: "idle"})},
		{"signin-out", templates.SignIn(templates.SignInPage{Page: real, Href: "/auth/signin", SignedOut: true})},
		{"signin-fault", templates.SignIn(templates.SignInPage{Page: real, Href: "/auth/signin", Fault: fault})},
		{"norole", templates.NoRole(templates.NoRolePage{Page: outside("No role"), Name: "Ada Moreno", UPN: "ada.moreno@tenant.example", ID: victimID, AppName: "Evict", SignOutAction: "/auth/signout"})},
	}
}

func groupVariants() []fixture {
	group := templates.GroupPage{Page: frame("Finance", ""), Name: "Finance", ID: victimID, Tags: []templates.Tag{{Label: "role-assignable", Tone: templates.ToneWarn}},
		Facts:   []templates.Fact{{Label: "Kind", Value: templates.Value{Text: "Security group"}}, {Label: "Can hold roles", Value: templates.Value{Text: "Yes", Detail: "isAssignableToRole: its members count as privileged"}}, {Label: "Nested groups", Value: templates.Value{Text: "2", Detail: "Payables, Treasury"}}},
		Members: []templates.MemberRow{{Person: victim(), Via: "Finance › Payables"}, {Person: templates.Person{Name: "Maria-Theresia von und zu Hohenfels", UPN: longUPN, Href: "/users/2"}, Via: "direct", Flags: []templates.Tag{{Label: "external", Tone: templates.ToneOn}}}},
		Shown:   "First 50, through nested groups too", NextHref: "/groups/1?after=x", Bulk: templates.BulkStart{Label: "Revoke this group…", Action: "/scopes", Kind: "group", ID: victimID}}
	empty := templates.GroupPage{Page: frame("Ghosts", ""), Name: "Ghosts", ID: victimID, MembersUnread: "Membership is hidden. Reading it needs the permission Member.Read.Hidden."}
	role := templates.RolePage{Page: frame("Helpdesk Administrator", ""), Name: "Helpdesk Administrator", ID: "729827e3-9c14-49f7-bb1b-9608f156bbb8", Tags: []templates.Tag{{Label: "privileged", Tone: templates.ToneWarn}},
		Description: "Can reset passwords for people without an administrator role and for Helpdesk Administrators.", AsTarget: "A User Administrator may revoke its holders.",
		Active:         []templates.HolderRow{{Kind: "user", Name: "Ada Moreno", Detail: "ada.moreno@tenant.example", Href: "/users/1", Since: day("3 Feb 2026", "")}, {Kind: "group", Name: "Tier 1", Detail: "14 members", Href: "/groups/2", Scope: "unit Lisbon", Since: day("3 Feb 2026", "")}},
		EligibleUnread: "Reading eligible assignments needs Microsoft Entra ID P2 and a reader role, such as Security Reader.",
		Apps:           []templates.HolderRow{{Kind: "service principal", Name: "Ticket bridge", Detail: victimID, Since: day("9 Jan 2026", "")}}, Bulk: templates.BulkStart{Label: "Revoke holders…", Action: "/scopes", Kind: "role", ID: "729827e3-9c14-49f7-bb1b-9608f156bbb8"}}
	return []fixture{{"group", templates.Group(group)}, {"group-unread", templates.Group(empty)}, {"role", templates.Role(role)}}
}
