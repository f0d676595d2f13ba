package web

import (
	"strconv"

	"evict/internal/revoke"
	"evict/web/templates"
)

// listOf is the list that shows a state.
func listOf(s revoke.State) string {
	switch s {
	case revoke.Accepted, revoke.Attempting, revoke.Pending:
		return showOpen
	default:
		return string(s)
	}
}

// outcomeList is the page of people that the filter chooses.
func outcomeList(v manyView) templates.OutcomeList {
	f, id := v.filter, v.run.ID
	list := templates.OutcomeList{
		Title: listTitle(v), Facets: []templates.Facet{{Label: "Show", Links: outcomeFacets(v)}},
		Filter: templates.TextFilter{Action: "/runs/" + string(id) + "#people", Text: f.text}, Empty: emptyWords(v),
	}
	if f.show != "" {
		list.Filter.Hidden = []templates.Hidden{{Name: templates.FieldShow, Value: f.show}}
	}
	if f.text != "" {
		list.Filter.Clear = runFilter{show: f.show, after: -1}.href(id) + "#people"
		list.Empty = "Nobody here whose name holds “" + f.text + "”."
	}
	if also := standsToo(v); f.show == showStanding && len(also) > 0 {
		list.Facets = append(list.Facets, templates.Facet{Label: "Besides those below", Links: also})
	}
	last, more := -1, false
	if f.show == showWaiting {
		more = len(v.waiting) > outcomesPerPage
		for _, t := range v.waiting[:min(len(v.waiting), outcomesPerPage)] {
			row := outcomeRow(v, revoke.RunTarget{Target: t})
			list.Rows, last = append(list.Rows, row), t.Pos
		}
	} else {
		more = len(v.targets) > outcomesPerPage
		for _, t := range v.targets[:min(len(v.targets), outcomesPerPage)] {
			list.Rows, last = append(list.Rows, outcomeRow(v, t)), t.Pos
		}
		list.WaysOut = waysOut(v.targets)
	}
	if f.after >= 0 {
		list.First = runFilter{show: f.show, text: f.text, after: -1}.href(id) + "#people"
	}
	if more {
		list.Next = runFilter{show: f.show, text: f.text, after: last}.href(id) + "#people"
	}
	if n := len(list.Rows); n > 0 && (more || f.after >= 0) {
		list.Shown = people(n) + " on this page"
	}
	return list
}

func listTitle(v manyView) string {
	switch v.filter.show {
	case showStanding:
		return "What still stands"
	case showOpen:
		return "Under way"
	case showWaiting:
		if v.over() {
			return "Never called"
		}
		return "Not called yet"
	case showAll:
		return "Everybody who was called"
	default:
		words, _ := stateWords(revoke.State(v.filter.show))
		return upperFirst(words)
	}
}

func emptyWords(v manyView) string {
	if v.filter.show != showStanding {
		return "Nobody."
	}
	if v.over() && v.run.Counts[revoke.Confirmed] == v.run.Total {
		return "Nobody: everybody whom this run had is proven cut off."
	}
	return "Nobody of those whose outcome is known."
}

func outcomeFacets(v manyView) []templates.Count {
	c := v.run.Counts
	link := func(label string, n int, show string) templates.Count {
		return templates.Count{Label: label, Value: thousands(n), Href: runFilter{show: show, after: -1}.href(v.run.ID) + "#people", Current: v.filter.show == show}
	}
	out := []templates.Count{link("what still stands", v.stands(), showStanding)}
	for _, s := range append([]revoke.State{revoke.Confirmed}, standingStates()...) {
		if c[s] > 0 {
			out = append(out, link(string(s), c[s], string(s)))
		}
	}
	if n := c.Open(); n > 0 {
		out = append(out, link("under way", n, showOpen))
	}
	if n := v.run.Untouched(); n > 0 {
		label := "not called yet"
		if v.over() {
			label = "never called"
		}
		out = append(out, link(label, n, showWaiting))
	}
	return append(out, link("everybody called", v.run.Next, showAll))
}

// standsToo are those who still stand and have no outcome that a row could show.
func standsToo(v manyView) (out []templates.Count) {
	add := func(n int, label, show string) {
		if n > 0 {
			out = append(out, templates.Count{Value: thousands(n), Label: label, Href: runFilter{show: show, after: -1}.href(v.run.ID) + "#people"})
		}
	}
	add(v.run.Counts.Open(), "under way", showOpen)
	if v.over() {
		add(v.run.Untouched(), "never called", showWaiting)
	} else {
		add(v.run.Untouched(), "not called yet", showWaiting)
	}
	if n := leftStandingCount(v.list); n > 0 {
		out = append(out, leftOutCount(v, n))
	}
	return out
}

// waysOut says once for each outcome on a page what to do about it.
func waysOut(targets []revoke.RunTarget) (out []templates.WayOut) {
	seen := map[revoke.State]bool{}
	for _, t := range targets {
		if text := manyWayOut(t.State); text != "" && !seen[t.State] {
			seen[t.State] = true
			out = append(out, templates.WayOut{Outcome: templates.Outcome(t.State), Text: text})
		}
	}
	return out
}

// manyWayOut is what to do about an outcome of many people that is not a success.
func manyWayOut(s revoke.State) string {
	switch s {
	case revoke.Refused:
		return "Microsoft refused: the sessions live on. A Privileged Authentication Administrator reaches everybody outside of a restricted-management unit: activate that role and try again, or let somebody do it who holds it."
	case revoke.Failed:
		return "Nothing is proven: treat the sessions as alive and try again. A repeat is harmless. If it cannot wait, block the accounts."
	case revoke.Unconfirmed:
		return "Microsoft took the call, and its record does not show it: treat the sessions as alive. Block the accounts, and try again."
	case revoke.NotCovered:
		return "Their home tenant keeps the session. Ask it to revoke, and block or remove these guests here."
	case revoke.Skipped:
		return "Not called, for the cause in each row."
	case revoke.Cancelled:
		return "The run was cancelled before their turn: the sessions live on."
	case revoke.Pending, revoke.Attempting, revoke.Accepted, revoke.Confirmed:
	}
	return ""
}

func outcomeRow(v manyView, t revoke.RunTarget) templates.RunTarget {
	row := templates.RunTarget{
		ID: "t" + strconv.Itoa(t.Pos), Person: templates.Person{Name: t.Name, UPN: t.UPN, ID: t.OID}, Outcome: templates.Outcome(t.State),
		Flags: flagTags(t.Flags), Cause: t.Message,
	}
	if v.may("user") {
		row.Person.Href = "/users/" + t.OID
	}
	if t.Attempt > 1 {
		row.Attempt = "attempt " + strconv.Itoa(t.Attempt)
	}
	if t.Settled != "" {
		row.Cause = joinNonEmpty(" ", row.Cause, upperFirst(t.Settled)+".")
	}
	if t.Attempt == 0 {
		return row
	}
	if v.may("ledger") {
		row.Ledger = templates.Link{Label: "Ledger", Href: "/ledger?run=" + string(v.run.ID) + "&target=" + t.OID}
	}
	row.Evidence = evidenceFacts(t)
	return row
}

// evidenceFacts are the stamps and ids of a target's last attempt.
func evidenceFacts(t revoke.RunTarget) []templates.Fact {
	facts := []templates.Fact{
		{Label: "Attempt, on Graph's clock", Value: templates.Value{Text: stamp(t.T0)}},
		{Label: "Valid from, before", Value: templates.Value{Text: stamp(t.Before)}},
		{Label: "Valid from, read back", Value: templates.Value{Text: stamp(t.After)}},
	}
	for _, f := range []struct{ label, text string }{{"Graph request id", t.RequestID}, {"Our request id", t.ClientRequestID}, {"Graph's code", t.Code}} {
		if f.text != "" {
			facts = append(facts, templates.Fact{Label: f.label, Value: templates.Value{Text: f.text, Mono: true, Copy: true}})
		}
	}
	return facts
}

// retryForm offers to plan again those whom an ended run did not cut off.
func retryForm(v manyView) *templates.RetryForm {
	if !v.over() || !v.may("run.again") {
		return nil
	}
	f := &templates.RetryForm{Action: "/runs/" + string(v.run.ID) + "/again"}
	for _, s := range againStates() {
		n, words := v.run.Counts[s], string(s)
		if s == revoke.Cancelled {
			n, words = n+v.run.Untouched(), "never called"
		}
		if n > 0 {
			f.Outcomes = append(f.Outcomes, templates.Option{Value: string(s), Label: words + " (" + thousands(n) + ")"})
		}
	}
	if len(f.Outcomes) == 0 {
		return nil
	}
	return f
}

func latecomersAction(v manyView) *templates.RunAction {
	if !v.over() || !v.may("run.latecomers") {
		return nil
	}
	return &templates.RunAction{Label: "Look for late-comers", Action: "/runs/" + string(v.run.ID) + "/latecomers", Busy: "Expanding…"}
}
