package templates_test

import (
	"strconv"

	"evict/web/templates"
)

const (
	storyRun  = "0192f3aa-1b2c-7d3e-8f40-5a6b7c8d9e0f"
	storyHref = "/ledger/runs/" + storyRun
)

func ledgerOperator() templates.Person {
	return templates.Person{Name: "Robin Keller", UPN: "robin.keller@tenant.example", ID: victimID, Href: "/ledger/people/" + victimID}
}

func ledgerVictim() templates.Person {
	p := victim()
	p.Href = "/ledger/people/" + victimID
	return p
}

func exportFields() *templates.ExportForm {
	return &templates.ExportForm{Action: "/ledger/export", Hidden: []templates.Hidden{{Name: templates.FieldOperator, Value: "robin"}}}
}

func eventRows() []templates.LedgerRow {
	long := templates.Person{UPN: longUPN, ID: "2", Href: "/ledger/people/2"}
	return []templates.LedgerRow{
		{Seq: "18773", Href: "/ledger/18773", Time: at("14:02:13", "3 min ago"), What: "target", Outcome: templates.OutcomeConfirmed, Operator: ledgerOperator(), Target: ledgerVictim(), Reason: "Phished; reported by the user at 13:40", Ticket: "INC-20418", Story: templates.Link{Label: "the run", Href: storyHref}},
		{Seq: "18772", Href: "/ledger/18772", Time: at("14:02:11", "3 min ago"), What: "target accepted", Operator: ledgerOperator(), Target: ledgerVictim(), Reason: "Phished; reported by the user at 13:40", Ticket: "INC-20418"},
		{Seq: "18771", Href: "/ledger/18771", Time: at("14:02:11", "3 min ago"), What: "target attempted", Operator: ledgerOperator(), Target: long, Reason: "Guest of the same campaign; the home tenant was told by phone and by mail and has confirmed that it will act today, in writing"},
		{Seq: "18770", Href: "/ledger/18770", Time: at("13:58:00", "7 min ago"), What: "signed in again", Operator: ledgerOperator()},
		{Seq: "18769", Href: "/ledger/18769", Time: at("13:55:00", "10 min ago"), What: "protected account added", Operator: ledgerOperator(), Target: long},
		{Seq: "18768", Href: "/ledger/18768", Time: at("13:50:00", "15 min ago"), What: "taken away: events of the ledger, jsonl", Operator: ledgerOperator()},
		{Seq: "18767", Href: "/ledger/18767", Time: at("13:50:00", "15 min ago"), What: "cancelling of a run asked for: signed out", Operator: long, Reason: "INC"},
	}
}

func foldRows(open bool) []templates.LedgerRow {
	many := templates.LedgerRow{
		Seq: "12662", Href: "/ledger/12662", Time: at("11:40:00", "2 h ago"), Operator: ledgerOperator(), Reason: "Adversary-in-the-middle campaign, wave 2", Ticket: "INC-20418",
		Fold: &templates.LedgerFold{ID: "run-a", Title: "Run of 2,006 people", State: templates.Tag{Label: "finished"}, Tally: []templates.Tag{{Label: "1,998 confirmed", Tone: templates.ToneOK}, {Label: "8 refused", Tone: templates.ToneNo}}, Events: "6,012 events", Toggle: templates.Link{Label: "Open", Href: "/ledger?open=a"}, Story: storyHref},
	}
	if open {
		many.Fold.Open, many.Fold.Toggle.Label, many.Fold.Rows, many.Fold.More = true, "Close", eventRows()[:3], "These are its first events; 6,009 follow."
	}
	one := templates.LedgerRow{
		Seq: "12650", Href: "/ledger/12650", Time: at("11:30:00", "2 h ago"), Operator: ledgerOperator(), Target: ledgerVictim(), Reason: "Phished",
		Fold: &templates.LedgerFold{ID: "run-b", Title: "Run of 1 person", State: templates.Tag{Label: "paused: needs sign-in", Tone: templates.ToneWarn}, Events: "4 events", Toggle: templates.Link{Label: "Open", Href: "/ledger?open=b"}, Story: storyHref},
	}
	going := one
	going.Seq, going.Href, going.Target = "12640", "/ledger/12640", templates.Person{}
	going.Fold = &templates.LedgerFold{ID: "run-c", Title: "Run", State: templates.Tag{Label: "going on", Tone: templates.ToneOn}, Story: storyHref}
	return append([]templates.LedgerRow{many, one, going}, eventRows()[3:]...)
}

func someDays(n int) *templates.DayChart {
	c := &templates.DayChart{Title: "Events by day", Top: "6,204", From: "14 Oct 2026", To: "24 Nov 2026"}
	for i := range n {
		b := templates.DayBar{Label: strconv.Itoa(i+1) + " Nov 2026: 1,204 events", Short: strconv.Itoa(30 - i%30), Height: 2 + i*37%99, Href: "/ledger?from=x"}
		if i%5 == 3 {
			b.Label, b.Height, b.Href = strconv.Itoa(i+1)+" Nov 2026: none", 0, ""
		}
		c.Bars = append(c.Bars, b)
	}
	return c
}

func ledgerFilter() templates.LedgerFilter {
	return templates.LedgerFilter{
		Kinds:    []templates.Option{{Value: "target.confirmed", Label: "target confirmed"}, {Value: "session.signed_in", Label: "signed in"}},
		Outcomes: []templates.Option{{Value: "refused", Label: "refused"}},
	}
}

func ledgerVariants() []fixture {
	actions := []templates.Link{{Label: "Verify", Href: "/ledger/verify"}, {Label: "Compare with Entra", Href: "/ledger/reconcile"}, {Label: "How to read this", Href: "/ledger/about"}}
	views := []templates.Count{{Label: "Folded", Href: "/ledger", Current: true}, {Label: "Every event", Href: "/ledger?view=all"}}
	full := templates.LedgerPage{
		Page: frame("Ledger", "Ledger"), Standing: templates.LedgerStanding{Text: "18,774 events · signed up to 18,700 at 14:05 UTC", VerifyHref: "/ledger/verify"},
		Actions: actions, OutsideHref: "/outside", Filter: ledgerFilter(), Days: someDays(42), Title: "Events", Found: "18,774 events, those inside runs too.", Views: views, ViewNote: "Each run is one line, where it started.",
		Rows: foldRows(true), Older: "/ledger?before=18769", Export: exportFields(),
	}
	every := full
	every.Rows, every.Days, every.ViewNote = eventRows(), someDays(5), ""
	every.Found = "At least 1,212 events match, counted back to 12 Mar 2026."
	every.Days.Note = "Counted back to event 612,000 (12 Mar 2026). What is older was not counted."
	every.Standing.Problems = []string{"Event 1,234 was altered: its bytes are not those whose hash the tree has.", "Run " + storyRun + " counts 6,012 events; 6,010 are there."}
	every.Standing.More, every.Standing.Unkept = "And 12 more.", "No space is left on the device."
	none := templates.LedgerPage{Page: frame("Ledger", "Ledger"), Filter: ledgerFilter(), Newer: "/ledger"}
	none.Filter.Person, none.Filter.Everybody = ledgerVictim(), "/ledger?operator=robin"
	none.Filter.Operator, none.Filter.Kind, none.Filter.From, none.Filter.FromError, none.Filter.Active = "robin", "session.signed_inn", "2026-11-23T14:00", "Not a time.", true
	none.Filter.KindError = "There is no such kind: session.signed_inn."
	gaveUp := templates.LedgerPage{
		Page: frame("Ledger", "Ledger"), Actions: actions, Filter: ledgerFilter(), Export: exportFields(),
		Searched: "Searched back to event 612,000 (12 Mar 2026). Nothing found so far.", Further: templates.Link{Label: "Search further back", Href: "/ledger?before=612000"},
	}
	gaveUp.Filter.Text, gaveUp.Filter.Active, gaveUp.Page.CanSearch = "needle", true, false
	return append([]fixture{
		{"ledger", templates.Ledger(full)}, {"ledger-alarm", templates.Ledger(every)}, {"ledger-none", templates.Ledger(none)}, {"ledger-further", templates.Ledger(gaveUp)},
		{"outside", templates.Outside(templates.OutsidePage{Page: frame("Outside action", "Ledger"), Action: "/outside", WhoError: "Nobody has this UPN or id.", Who: "ada.morena@tenant.example"})},
		{"about-ledger", templates.AboutLedger(templates.AboutLedgerPage{Page: frame("How to read the ledger", "Ledger"), Key: "evict-ledger+1f2e3d4c+AbCdEf0123456789AbCdEf0123456789AbCdEf012345", Removed: "Events up to number 1,200 have been removed."})},
	}, append(eventVariants(), storyVariants()...)...)
}

func eventVariants() []fixture {
	event := templates.EventPage{
		Page: frame("Event 18773", "Ledger"), Seq: "18773", Kind: "Target", Time: at("14:02:13", "3 min ago"), Outcome: templates.OutcomeConfirmed,
		Fields: []templates.Fact{{Label: "Kind", Value: templates.Value{Text: "target.confirmed"}}, {Label: "Event id", Value: templates.Value{Text: storyRun, Mono: true, Copy: true}}, {Label: "Operator", Value: templates.Value{Text: "robin.keller@tenant.example"}}, {Label: "Graph request id", Value: templates.Value{Text: requestA, Mono: true, Copy: true}}, {Label: "Approval", Value: templates.Value{}}},
		JSON:   `{"attempt":1,"evidence":{"after":"2026-11-23T14:02:11Z","before":"2026-11-12T08:14:03Z","request_id":"` + requestA + `","status":200,"t0":"2026-11-23T14:02:11.402Z"},"id":"` + storyRun + `","kind":"target.confirmed","seq":18773}`, LeafHash: "q2VbqvE3m0o0m1VnWwZ1h2o1Kq0mB7w3c9n5mJm0b8A=",
		Tree:    templates.Note{Tone: templates.ToneOK, Title: "In the tree", Text: "The tree holds the hash of these bytes."},
		Covered: templates.Note{Title: "Not signed yet", Text: "No signed checkpoint covers this event so far. The next one does, within about five minutes."},
		Export:  &templates.ExportForm{Action: "/ledger/export", Label: "Take away with its proof", Format: "jsonl", Hidden: []templates.Hidden{{Name: "seq", Value: "18773"}}},
		Prev:    "/ledger/18772", Next: "/ledger/18774",
		Stories: []templates.Link{{Label: "The run's story", Href: storyHref}, {Label: "The target's story", Href: "/ledger/people/1"}, {Label: "The operator's story", Href: "/ledger/people/2"}},
	}
	altered := event
	altered.Kind, altered.Outcome, altered.Time, altered.Tree, altered.Covered = "Altered event", "", templates.Time{}, templates.Note{}, templates.Note{}
	altered.Altered = templates.Note{Tone: templates.ToneNo, Title: "This event was altered", Text: "The tree holds the hash of other bytes: " + event.LeafHash + ". What stands below is what the altered bytes say, not what was recorded.", Link: templates.Link{Label: "Verify the whole ledger", Href: "/ledger/verify"}}
	return []fixture{{"event", templates.Event(event)}, {"event-altered", templates.Event(altered)}}
}

func storySteps() []templates.StoryStep {
	return []templates.StoryStep{
		{Words: "Attempt 1 recorded, then Microsoft was called", Time: "14:02:11", Href: "/ledger/18771"},
		{Words: "Microsoft accepted attempt 1", Time: "14:02:12", Href: "/ledger/18772"},
		{Words: "refused", Time: "14:02:13", Href: "/ledger/18773", Note: "Insufficient privileges to complete the operation."},
	}
}

func storyVariants() []fixture {
	run := templates.RunStoryPage{
		Page: frame("Run of 2,006 people", "Ledger"), Title: "Run of 2,006 people", State: templates.Tag{Label: "finished"},
		Whole:  templates.StoryWhole{Tone: templates.ToneOK, Title: "This is all of it.", Text: "The event that ends the run counts 6,012 events, itself the last one, and the ledger holds as many."},
		Facts:  []templates.Fact{{Label: "Operator", Value: templates.Value{Text: "robin.keller@tenant.example", Href: "/ledger/people/1", Detail: "Robin Keller"}}, {Label: "Reason", Value: templates.Value{Text: "Adversary-in-the-middle campaign, wave 2"}}, {Label: "Began", Value: templates.Value{Time: at("11:40:00", "2 h ago")}}, {Label: "Plan digest", Value: templates.Value{Text: "9b1f44c077aee3d29b1f44c077aee3d29b1f44c077aee3d29b1f44c077aee3d2", Mono: true, Copy: true}}},
		Counts: []templates.Count{{Value: "1,998", Label: "confirmed", Tone: templates.ToneOK, Href: "/ledger?outcome=confirmed"}, {Value: "8", Label: "refused", Tone: templates.ToneNo, Href: "/ledger?outcome=refused"}, {Value: "3", Label: "never called"}},
		Links:  []templates.Link{{Label: "Run page", Href: "/runs/1"}, {Label: "Report", Href: "/runs/1/report"}}, Export: exportFields(),
		Milestones: []templates.TimelineEntry{
			{Title: "Plan of 2,006 people created", Time: at("11:40:00", "2 h ago"), Event: templates.Link{Label: "event 12661", Href: "/ledger/12661"}},
			{Title: "Run paused: operator", Text: "By lead@tenant.example.", Tone: templates.ToneWarn, Time: at("11:44:00", "2 h ago"), Event: templates.Link{Label: "event 15000", Href: "/ledger/15000"}},
			{Title: "Run finished: 1,998 confirmed, 8 refused", Time: at("11:50:00", "2 h ago"), Event: templates.Link{Label: "event 18672", Href: "/ledger/18672"}},
		},
		Partly: "Pauses and resumptions before event 13,000 were not looked for.", Shown: "50 of 2,006 people, in the order in which the run came to them", Never: "3 people were never called: no event names them.", Later: storyHref + "?after=12860#people",
		People: []templates.StoryPerson{
			{Person: ledgerVictim(), Outcome: templates.OutcomeRefused, Steps: storySteps(), All: "/ledger?run=1"},
			{Person: templates.Person{Name: "Maria-Theresia von und zu Hohenfels", UPN: longUPN, Href: "/ledger/people/2"}, Steps: storySteps()[:2], Cut: true, All: "/ledger?run=1"},
		},
	}
	gap := run
	gap.Searched, gap.Further = "Searched up to event 14,000 (12 Mar 2026). Nothing more found so far.", templates.Link{Label: "Search further on", Href: storyHref + "?after=14000#people"}
	gap.Verified = templates.Note{Tone: templates.ToneNo, Title: "The last verification of the ledger found 2 problems", Text: "Event 8 was altered.", Link: templates.Link{Label: "Look at it", Href: "/ledger/verify"}}
	gap.Whole = templates.StoryWhole{Tone: templates.ToneNo, Title: "NOT complete.", Text: "The event that ends the run counts 6,012 events; the ledger holds 6,010.", Link: templates.Link{Label: "Verify the ledger", Href: "/ledger/verify"}}
	person := templates.PersonStoryPage{
		Page: frame("Ada Moreno", "Ledger"), Person: ledgerVictim(), Links: []templates.Link{{Label: "User card", Href: "/users/1"}}, Export: exportFields(),
		Names: []templates.NameSeen{{Name: "Ada Moreno", UPN: "ada.moreno@tenant.example", Event: templates.Link{Label: "event 18773", Href: "/ledger/18773"}}, {Name: "Ada Lopes", UPN: "ada.lopes@tenant.example", Event: templates.Link{Label: "event 12", Href: "/ledger/12"}}},
		Done: &templates.StoryDone{Older: "/ledger/people/1?show=done&before=4", Folds: []templates.StoryFold{
			{Title: "Revocation", Operator: ledgerOperator(), Time: at("14:02:13", "3 min ago"), Outcome: templates.OutcomeRefused, Reason: "Phished; reported by the user at 13:40", Ticket: "INC-20418", Story: storyHref, Steps: storySteps()},
			{Title: "Protected account added", Operator: ledgerOperator(), Time: at("13:55:00", "10 min ago"), Steps: storySteps()[:1]},
		}},
		Did: &templates.StoryDid{Rows: foldRows(false), Stops: eventRows()[6:], AllStops: "/ledger?kind=run.stopping"},
	}
	nothing := person
	nothing.Done, nothing.Did, nothing.Names = &templates.StoryDone{}, &templates.StoryDid{}, nil
	return []fixture{{"story-run", templates.RunStory(run)}, {"story-run-gap", templates.RunStory(gap)}, {"story-person", templates.PersonStory(person)}, {"story-person-nothing", templates.PersonStory(nothing)}}
}
