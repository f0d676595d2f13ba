package web

import (
	"fmt"
	"strings"
	"time"

	"evict/internal/directory"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// planView is what the page of a ready list is built from.
type planView struct {
	preview  revoke.Preview
	filter   planFilter
	targets  []revoke.Target   // one more than a page when there are further ones
	left     []revoke.Leftover // instead of targets, when the filter asks for the people left out
	standing []revoke.Leftover // the first of them
	quota    *revoke.Quota     // nil: not known
	since    int               // runs that were started since the list was frozen
	who      operator.Operator
	now      time.Time
}

func (v planView) mine() bool { return v.preview.Creator.OID == v.who.OID }

func (v planView) expired() bool { return !v.now.Before(v.preview.ExpiresAt) }

// newPlanPage builds the page of a ready list.
func newPlanPage(v planView) templates.PlanPage {
	p := v.preview
	href := "/plans/" + string(p.ID)
	page := templates.PlanPage{
		Title: "Revoke " + people(p.Total) + "?", Crumb: string(p.ID) + " · made by " + orElse(p.Creator.UPN, p.Creator.OID),
		Frozen: showTime(p.ReadyAt, v.now), Expires: showTime(p.ExpiresAt, v.now), Expired: v.expired(),
		Digest: shortDigest(p.ListDigest), Scope: planScope(p.Scope, p.Options), Notes: planNotes(v), Counts: planCounts(v),
		Predictions: predictionCounts(p, href), Unseen: foldUnread(p.Facts.Unread),
		Unsure: foldUnread(onlyUnsure(p.Facts)), List: planList(v), Standing: leftStanding(v),
		Aside: asideRows(p.Facts.Aside), Lines: listLines(p.Facts), CSVAction: href + "/targets.csv" + v.filter.csvQuery(),
	}
	if !v.mine() {
		page.PredictedFor = orElse(p.Creator.UPN, p.Creator.OID)
	}
	if p.Total == 0 {
		page.Title = nobodyTitle(p)
	}
	if v.who.Roles.MayOpen("scopes") {
		page.BulkHref = "/scopes"
	}
	if p.Run != "" {
		page.Title = "Plan of " + people(p.Total)
		page.RunHref = "/runs/" + string(p.Run)
	}
	if v.who.Roles.MayOpen("plan.again") {
		page.AgainAction = href + "/again"
	}
	if p.Parent != "" && v.who.Roles.MayOpen("plan.compare") {
		page.CompareHref = href + "/compare/" + string(p.Parent)
	}
	page.Form, page.NoFormWhy = confirmForm(v, href)
	return page
}

// former is how many people a list leaves out only because a former run had them: nobody whom this list leaves standing.
// Where a scope excludes others too, it is not known of each who they are, and none is taken for one.
func former(p revoke.Preview) int {
	if excludedWords(p.Scope) != alreadyHad {
		return 0
	}
	return p.LeftCounts[string(revoke.LeftExcluded)]
}

// leftStandingCount is how many people a list leaves out whose sessions live on for it.
func leftStandingCount(p revoke.Preview) int { return p.Left - former(p) }

const alreadyHad = "already in the former run"

// excludedWords says why a scope's Exclude leaves somebody out.
func excludedWords(scope directory.Scope) string {
	runs, hand := 0, 0
	for _, x := range scope.Exclude {
		switch {
		case x.Kind == directory.RunSource:
			runs++
		case x.Kind == directory.ListSource && x.Name == byHandName:
			hand++
		}
	}
	switch len(scope.Exclude) {
	case runs:
		return orElse(map[bool]string{true: alreadyHad}[runs > 0], string(revoke.LeftExcluded))
	case hand:
		return "taken out by hand"
	default:
		return string(revoke.LeftExcluded)
	}
}

// shortDigest is a digest with its first 16 digits set apart, for people who compare it by eye.
func shortDigest(hex string) templates.Digest {
	d := templates.Digest{Full: hex}
	for i := 0; i+4 <= min(len(hex), 16); i += 4 {
		d.Short += " " + hex[i:i+4]
	}
	d.Short = strings.TrimSpace(d.Short)
	return d
}

// planScope says what a list was made from.
func planScope(scope directory.Scope, o revoke.PlanOptions) templates.ScopeWords {
	w := templates.ScopeWords{Include: sourcesInWords(scope.Include), Exclude: sourcesInWords(scope.Exclude)}
	if o.IncludeExternal {
		w.Options = append(w.Options, "External accounts are included: each ends as “not covered”.")
	} else {
		w.Options = append(w.Options, "External accounts are left out.")
	}
	if o.IncludeSelf {
		w.Options = append(w.Options, "The operator's own account is included, as the last.")
	} else {
		w.Options = append(w.Options, "The operator's own account is left out.")
	}
	for _, f := range o.Without {
		w.Options = append(w.Options, "Left out: everybody who is "+flagTag(f).Label+".")
	}
	return w
}

func sourcesInWords(list []directory.Source) []string {
	var out []string
	for _, source := range list {
		words := sourceWords(source)
		switch source.Kind {
		case directory.GroupSource, directory.RoleSource, directory.UnitSource:
			words += ", " + sourceDetail(source)
		case directory.FilterSource:
			words = "the filter " + source.Filter
		case directory.ListSource:
			if source.Name == byHandName {
				words = people(len(source.Lines)) + " taken out by hand"
			}
		case directory.UserSource, directory.TenantSource, directory.RunSource:
		}
		out = append(out, words)
	}
	return out
}

// planNotes are what the operator must know of the list before acting.
func planNotes(v planView) []templates.Note {
	p := v.preview
	var notes []templates.Note
	add := func(title, text string) { notes = append(notes, templates.Note{Title: title, Text: text}) }
	if n := v.since; n > 0 {
		many := thousands(n)
		if n >= runsPerPage {
			many += " or more"
		}
		add("Not the latest", many+oneOf(n, " run was", " runs were")+" started since this list was frozen; expand again to see whom "+oneOf(n, "it", "they")+" reached.")
	}
	if p.TenantWide() {
		notes = append(notes, tenantWideNote(p))
	}
	if n := p.Counts.Flags[revoke.FlagRestricted]; n > 0 {
		add("Restricted management", people(n)+" in this list: a restricted-management unit refuses even a Global Administrator. Someone who holds a role in that unit must act.")
	}
	if n := externalCount(p.Counts); n > 0 {
		add("External accounts", people(n)+" in this list: they sign in elsewhere, or may. Graph answers 200 and their home tenant keeps the session. Ask that tenant to revoke; block or remove the guest here.")
	}
	if n := p.Counts.Flags[revoke.FlagOperator]; n > 0 {
		add("Operators of Evict", people(n)+" in this list, with an unfinished run: "+oneOf(n, "comes", "they come")+" near the end. "+oneOf(n, "This person operates", "They operate")+" this console: their console sessions end, and their runs pause.")
	}
	if p.Options.IncludeSelf && v.mine() && p.Counts.Flags[revoke.FlagSelf] > 0 {
		add("You are in this list", "As the last. You operate this console: it ends your sessions in this console too; your own revocation is confirmed at your next sign-in.")
	}
	return notes
}

// tenantWideNote says how much of the tenant a list cuts, louder when nobody is protected who could sign in after it.
func tenantWideNote(p revoke.Preview) templates.Note {
	n := templates.Note{Title: "Tenant-wide", Text: "This cuts " + people(p.Total) + "; how many enabled accounts the tenant has is not known."}
	if all := p.Facts.EnabledInternal; all > 0 {
		n.Text = fmt.Sprintf("This cuts %s of %s enabled accounts of the tenant.", thousands(p.Counts.Enabled), thousands(all))
	}
	n.Text += " Everybody in this list must sign in again."
	if p.Facts.BreakGlass == 0 {
		n.Tone, n.Text = templates.ToneNo, n.Text+" No break-glass account is protected."
		n.Link = templates.Link{Label: "Protected accounts", Href: "/settings/protected"}
	}
	return n
}

// planCounts is the strip of numbers.
func planCounts(v planView) []templates.Count {
	p := v.preview
	at := func(f planFilter) string { return f.href(p.ID) }
	counts := []templates.Count{{
		Value: thousands(p.Total), Label: "will be tried", Href: at(planFilter{after: -1}), Current: v.filter == planFilter{after: -1},
	}}
	if p.Run != "" {
		counts[0].Label = "in this list"
	}
	add := func(n int, label string, tone templates.Tone, href string) {
		if n > 0 {
			counts = append(counts, templates.Count{Value: thousands(n), Label: label, Tone: tone, Href: href})
		}
	}
	add(p.Counts.Flags[revoke.FlagPrivileged], "privileged", templates.ToneWarn, at(planFilter{flag: revoke.FlagPrivileged, after: -1}))
	refused := directory.Refused.String()
	add(p.Counts.Verdicts[refused], refused, templates.ToneNo, at(planFilter{verdict: refused, after: -1}))
	if n := former(p); n > 0 {
		add(n, alreadyHad, templates.ToneNone, at(planFilter{left: true, cause: revoke.LeftExcluded, after: -1}))
	}
	add(leftStandingCount(p), "left standing", templates.ToneNone, at(planFilter{left: true, after: -1}))
	add(len(p.Facts.Aside), "not revocable here", templates.ToneNone, "#aside")
	n := linesToNobody(p.Facts)
	add(n, oneOf(n, "line of a list", "lines of lists")+" led to nobody", templates.ToneWarn, "#lines")
	return counts
}

// wayPastRefusal is who may act where this operator probably may not (Microsoft Learn, Privileged roles and permissions).
const wayPastRefusal = "Activate Privileged Authentication Administrator, if you are eligible, or let somebody run it who holds it. It does not reach into a restricted-management unit. The rows say more."

// predictionCounts says for how many people which answer of Microsoft is expected.
func predictionCounts(p revoke.Preview, href string) []templates.PredictionCount {
	var out []templates.PredictionCount
	for _, v := range verdicts() {
		n := p.Counts.Verdicts[v.String()]
		if n == 0 {
			continue
		}
		c := templates.PredictionCount{
			Verdict: verdictTag(v.String()), Count: thousands(n), Href: href + planFilter{verdict: v.String(), after: -1}.encoded() + "#people",
		}
		switch v {
		case directory.Allowed:
			c.Means = oneOf(n, "is", "are") + " expected to be allowed."
		case directory.Refused:
			c.Means = oneOf(n, "is", "are") + " expected to be refused: " + oneOf(n, "the sessions", "their sessions") + " would live on."
			c.WayOut = wayPastRefusal
		case directory.MayBeRefused:
			c.Means, c.WayOut = "may be refused.", "The rows say why, and who could act for sure."
		case directory.UnknownVerdict:
			c.Means = "cannot be predicted: too little could be read."
		}
		out = append(out, c)
	}
	return out
}

const linesOfLists = 200 // lines of lists that a plan shows
