package web

import (
	"time"

	"evict/internal/audit"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// manyView is what the page of a run of many is built from.
type manyView struct {
	run      revoke.Run
	list     revoke.Preview // that the run was started from
	filter   runFilter
	targets  []revoke.RunTarget // one more than a page when there are further ones
	waiting  []revoke.Target    // instead of targets, when the filter asks for people who were never called
	samples  []revoke.Sample
	quota    *revoke.Quota // nil: not known, or of no interest
	resumed  time.Time     // when it was last continued; zero when it never was
	stopped  *audit.Event  // who asked last that it stop; nil when that is not why it stands still
	who      operator.Operator
	signedIn time.Time
	signIn   string // where the run's own operator signs in again; "" for others
	cloud    string
	now      time.Time
}

func (v manyView) mine() bool { return v.run.Operator.OID == v.who.OID }

func (v manyView) may(route string) bool { return v.who.Roles.MayOpen(route) }

func (v manyView) over() bool {
	return v.run.State == revoke.RunFinished || v.run.State == revoke.RunCancelled
}

// stands is how many people of the list are not proven cut off, and how many it left out.
func (v manyView) stands() int { return standsCount(v.run, v.list) }

func standsCount(run revoke.Run, list revoke.Preview) int {
	return run.Total - run.Counts[revoke.Confirmed] + leftStandingCount(list)
}

// newManyLive builds everything on the page of a run of many.
func newManyLive(v manyView) templates.RunLive {
	run := v.run
	live := templates.RunLive{
		Href: v.filter.href(run.ID), Active: run.State == revoke.RunRunning || run.State == revoke.RunQueued,
		ID: string(run.ID), Title: "Sessions of " + people(run.Total), State: templates.RunState(run.State),
		Crumb:  joinNonEmpty(" · ", run.Ticket, "started "+showTime(run.CreatedAt, v.now).UTC+" by "+orElse(run.Operator.UPN, run.Operator.OID)),
		Reason: run.Reason, Ticket: run.Ticket, Total: run.Total, Status: manyStatus(v), StateDetail: stateDetail(run),
		Counts: append(outcomeCounts(v), speed(v)...), Bound: bound(v), Notes: manyNotes(v), Actions: manyActions(v),
		Clock: manyClock(v), NothingCut: run.Counts[revoke.Confirmed]+run.Counts[revoke.Accepted] == 0, Evidence: manyEvidence(v),
		Many: &templates.Many{Chart: newChart(run, v.samples), Outcomes: outcomeList(v), Retry: retryForm(v), Latecomers: latecomersAction(v)},
	}
	live.Tone = endTone(run)
	if v.may("run.report") {
		live.Many.ReportHref = "/runs/" + live.ID + "/report"
	}
	return live
}

// statesInOrder are the outcomes in the order in which pages show them.
func statesInOrder() []revoke.State {
	return []revoke.State{
		revoke.Confirmed, revoke.Accepted, revoke.Attempting, revoke.Pending, revoke.Refused, revoke.Failed, revoke.Unconfirmed,
		revoke.NotCovered, revoke.Skipped, revoke.Cancelled,
	}
}

func stateWords(s revoke.State) (string, templates.Tone) {
	switch s {
	case revoke.Confirmed:
		return "confirmed", templates.ToneOK
	case revoke.Accepted:
		return "accepted, reading back", templates.ToneOn
	case revoke.Attempting:
		return "being called", templates.ToneOn
	case revoke.Pending:
		return "to be tried again", templates.ToneNone
	case revoke.Refused, revoke.Failed:
		return string(s), templates.ToneNo
	case revoke.Unconfirmed, revoke.NotCovered:
		return string(s), templates.ToneWarn
	case revoke.Skipped, revoke.Cancelled:
	}
	return string(s), templates.ToneNone
}

// outcomeCounts are how many stand where, each with the list of them.
func outcomeCounts(v manyView) []templates.Count {
	var out []templates.Count
	add := func(n int, words string, tone templates.Tone, show string) {
		f := runFilter{show: show, after: -1}
		out = append(out, templates.Count{
			Value: thousands(n), N: n, Label: words, Tone: tone, Href: f.href(v.run.ID) + "#people", Current: v.filter.show == show,
		})
	}
	for _, state := range statesInOrder() {
		if n := v.run.Counts[state]; n > 0 || state == revoke.Confirmed {
			words, tone := stateWords(state)
			add(n, words, tone, listOf(state))
		}
	}
	if n := v.run.Untouched(); n > 0 {
		words := "not called yet"
		if v.over() {
			words = "never called"
		}
		add(n, words, templates.ToneNone, showWaiting)
	}
	if n := leftStandingCount(v.list); n > 0 {
		out = append(out, leftOutCount(v, n))
	}
	return out
}

// leftOutCount is how many people the list left out, with their page for those who may open it.
func leftOutCount(v manyView, n int) templates.Count {
	c := templates.Count{Value: thousands(n), Label: "left out of the plan"}
	if v.may("plan") {
		c.Href = planFilter{left: true, after: -1}.href(v.run.Preview)
	}
	return c
}

// rateSpan is how far back the rate looks.
const rateSpan = 6 * time.Second

// manyClock is the honest clock for many people: its times are the latest ones.
func manyClock(v manyView) templates.Clock {
	c := templates.Clock{ExchangeOnly: exchangeOnly(v.cloud)}
	confirmed := v.run.Counts[revoke.Confirmed]
	last := lastConfirmed(v.samples)
	if confirmed == 0 || last.IsZero() {
		return c
	}
	c.People = people(confirmed)
	c.Recorded = showTime(last, v.now)
	c.Until, c.UntilNoCA = clockTime(last.Add(90*time.Minute)), clockTime(last.Add(2*time.Hour))
	return c
}

// lastConfirmed is when the last person was seen to be confirmed, on our clock: no stamp is later.
func lastConfirmed(samples []revoke.Sample) (at time.Time) {
	n := 0
	for _, x := range samples {
		if x.Confirmed > n {
			n, at = x.Confirmed, x.At
		}
	}
	return at
}

// What the two digests of a plan are.
const (
	listDigestMeans = "SHA-256 of whom, in which order: the plan's page shows the same"
	planDigestMeans = "SHA-256 of what was confirmed: list, scope, options, answers, reason"
)

func manyEvidence(v manyView) []templates.Fact {
	run := v.run
	mono := func(text string) templates.Value { return templates.Value{Text: text, Mono: true, Copy: true} }
	plan, list, digest := mono(string(run.Preview)), mono(v.list.ListDigest), mono(run.Digest)
	if v.may("plan") {
		plan.Href = "/plans/" + string(run.Preview)
	}
	list.Detail, digest.Detail = listDigestMeans, planDigestMeans
	facts := []templates.Fact{{Label: "Run", Value: mono(string(run.ID))}, {Label: "Plan", Value: plan}}
	if v.list.ListDigest != "" {
		facts = append(facts, templates.Fact{Label: "List digest", Value: list})
	}
	facts = append(facts, templates.Fact{Label: "Plan digest", Value: digest})
	if run.Parent != "" {
		facts = append(facts, templates.Fact{Label: "Tries again", Value: templates.Value{Text: "people of an earlier run", Href: "/runs/" + string(run.Parent)}})
	}
	return append(facts, templates.Fact{Label: "Ledger events", Value: templates.Value{Text: thousands(run.Events)}})
}

const chartRows = 8 // of the chart as a table
