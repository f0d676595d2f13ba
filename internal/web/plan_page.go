package web

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
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
		Aside: asideRows(p.Facts.Aside), Lines: listLines(p.Facts), CSVHref: href + "/targets.csv" + v.filter.csvQuery(),
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

// confirmForm is the form that starts the run, or why there is none.
func confirmForm(v planView, href string) (*templates.ConfirmForm, string) {
	p := v.preview
	switch {
	case p.Run != "":
		return nil, ""
	case !v.who.Roles.MayOpen("plan.run"):
		return nil, ""
	case !v.mine():
		return nil, "Only " + orElse(p.Creator.UPN, "whoever made this list") + " can start it. Expand the scope again to have a list of your own."
	case p.Total == 0:
		return nil, nobodyWords(p)
	case v.expired():
		return nil, "This list is older than 30 minutes. Expand the scope again: the new list shows who changed since."
	}
	f := &templates.ConfirmForm{
		Action: href + "/run", ListDigest: p.ListDigest, Warning: confirmWarning(p), Button: confirmButton(p),
		Unprotected: p.Unguarded(),
	}
	if p.Total > revoke.TypedAbove {
		f.Type = strconv.Itoa(p.Total)
	}
	if v.quota != nil {
		f.Takes = takesWords(v.quota.Left(v.now, p.Total))
	}
	for _, w := range p.Warnings() {
		f.Checks = append(f.Checks, templates.CheckQuestion{Key: w.Key, Text: w.Text, Fix: w.Fix})
	}
	return f, ""
}

// takesWords says how long a run lasts by the quota alone.
func takesWords(d time.Duration) string {
	if d < 10*time.Second {
		return "Microsoft's quota lets all of them go within seconds."
	}
	return "About " + duration(d) + " at Microsoft's quota, as it stands now."
}

// duration is a length of time in one or two units: "40 s", "4 min", "1 h 21 min".
func duration(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	default:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

func confirmWarning(p revoke.Preview) string {
	s := people(p.Total) + " must sign in again, everywhere. This cannot be undone."
	if n := p.Counts.Verdicts[directory.Refused.String()]; n > 0 {
		s = people(p.Total) + " will be tried; " + thousands(n) + oneOf(n, " is", " are") +
			" expected to be refused. Whoever is not must sign in again, everywhere. This cannot be undone."
	}
	if n := externalCount(p.Counts); n > 0 {
		s += " The sessions of " + people(n) + " who sign in elsewhere live on at their home tenant."
	}
	return s
}

func externalCount(c revoke.PreviewCounts) int {
	return c.Flags[revoke.FlagExternal] + c.Flags[revoke.FlagExternal+"?"]
}

// confirmButton says how many, and that not everybody was seen when that is so.
func confirmButton(p revoke.Preview) string {
	s := "Revoke " + people(p.Total)
	if n := len(p.Facts.Unread); n > 0 {
		s += "; " + counted(n, "source") + " not read"
	}
	return s
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

// nobodyTitle is the title of a list without people: of late-comers, that there are none.
func nobodyTitle(p revoke.Preview) string {
	switch {
	case former(p) == 0:
		return "Nobody to revoke"
	case len(p.Facts.Unread) > 0:
		return "Nobody was seen who joined since"
	default:
		return "Nobody joined since"
	}
}

func nobodyWords(p revoke.Preview) string {
	if n := former(p); n > 0 && n == p.Left {
		return nobodyTitle(p) + ". Whom the scope leads to was " + alreadyHad + "."
	}
	return nobodyTitle(p) + ". Look below at who was left out, and why."
}

// onlyUnsure is what flags and predictions lack and no source does: that is said once, as a source.
func onlyUnsure(f revoke.Facts) []directory.Unread {
	return slices.DeleteFunc(slices.Clone(f.FlagsUnread), func(u directory.Unread) bool {
		return slices.ContainsFunc(f.Unread, func(x directory.Unread) bool { return strings.EqualFold(x.What, u.What) })
	})
}

// foldUnread names the parts that could not be read, those of the same cause and way out together.
func foldUnread(list []directory.Unread) []templates.Unread {
	var out []templates.Unread
	for _, u := range unreadParts(list) {
		i := slices.IndexFunc(out, func(x templates.Unread) bool { return x.Why == u.Why && x.WayOut == u.WayOut })
		if i < 0 {
			out = append(out, u)
			continue
		}
		out[i].What += "; " + u.What
	}
	return out
}

// fillConfirm puts what was typed back, with the error beside its field.
func fillConfirm(f *templates.ConfirmForm, c revoke.Confirmation, err error) {
	f.Reason, f.Ticket, f.Typed, f.Acknowledged = c.Reason, c.Ticket, c.Typed, c.NoProtected
	for i, q := range f.Checks {
		f.Checks[i].Answer = c.Answers[q.Key]
	}
	_, e := classify(err)
	switch e.Field {
	case templates.FieldReason:
		f.ReasonError = e.Message
	case templates.FieldTicket:
		f.TicketError = e.Message
	case templates.FieldTyped:
		f.TypedError = e.Message
	case templates.FieldNoProtected:
		f.UnprotectedError, f.Unprotected = e.Message, true
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

// href is the address of the list that a filter chooses.
func (f planFilter) href(id revoke.PreviewID) string {
	return "/plans/" + string(id) + f.encoded() + "#people"
}

// csvQuery chooses the same people for a download, from the first on.
func (f planFilter) csvQuery() string {
	f.after = -1
	return f.encoded()
}

func (f planFilter) encoded() string {
	v := url.Values{}
	for _, h := range f.fields() {
		v.Set(h.Name, h.Value)
	}
	if f.text != "" {
		v.Set(templates.FieldText, f.text)
	}
	if f.after >= 0 {
		v.Set("after", strconv.Itoa(f.after))
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// fields are the filter's parts but for its text and its position.
func (f planFilter) fields() (out []templates.Hidden) {
	set := func(name, value string) {
		if value != "" {
			out = append(out, templates.Hidden{Name: name, Value: value})
		}
	}
	if f.left {
		set(templates.FieldLeft, orElse(string(f.cause), allLeft))
	}
	set(templates.FieldFlag, string(f.flag))
	set(templates.FieldVerdict, f.verdict)
	return out
}

// verdicts are the predictions in the order in which pages show them: what needs a decision first.
func verdicts() []directory.Verdict {
	return []directory.Verdict{directory.Refused, directory.MayBeRefused, directory.UnknownVerdict, directory.Allowed}
}

func verdictTag(words string) templates.Tag {
	switch words {
	case directory.Allowed.String():
		return templates.Tag{Label: string(templates.VerdictAllowed), Tone: templates.ToneOK}
	case directory.Refused.String():
		return templates.Tag{Label: words, Tone: templates.ToneNo}
	case "":
		return templates.Tag{Label: "not predicted"}
	default:
		return templates.Tag{Label: words, Tone: templates.ToneWarn}
	}
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

func oneOf(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// allFlags are the flags in the order in which pages show them, each followed by "not known whether".
func allFlags() (out []revoke.Flag) {
	for _, f := range []revoke.Flag{
		revoke.FlagPrivileged, revoke.FlagExternal, revoke.FlagDisabled, revoke.FlagSynced, revoke.FlagFederated, revoke.FlagRestricted,
		revoke.FlagAgent, revoke.FlagOperator, revoke.FlagSelf, revoke.FlagRecent,
	} {
		out = append(out, f, f+"?")
	}
	return out
}

// flagTag says a flag for people. One that is not known says so.
func flagTag(f revoke.Flag) templates.Tag {
	known, unknown := strings.CutSuffix(string(f), "?")
	tag := templates.Tag{Label: known, Tone: templates.ToneWarn}
	switch revoke.Flag(known) {
	case revoke.FlagSynced:
		tag = templates.Tag{Label: "synced from AD"}
	case revoke.FlagFederated:
		tag.Label = "federated domain"
	case revoke.FlagRestricted:
		tag.Label = "restricted unit"
	case revoke.FlagAgent:
		tag = templates.Tag{Label: "agent user"}
	case revoke.FlagOperator:
		tag.Label, tag.Title = "operator of Evict", "operates this console: their console sessions end"
	case revoke.FlagSelf:
		tag.Label, tag.Title = "the operator", "operates this console: their console sessions end"
	case revoke.FlagRecent:
		tag = templates.Tag{Label: "revoked lately"}
	case revoke.FlagDisabled:
		tag.Tone = templates.ToneNone
	case revoke.FlagExternal, revoke.FlagPrivileged:
	}
	if unknown {
		tag.Label, tag.Tone = tag.Label+": unknown", templates.ToneNone
	}
	return tag
}

func flagTags(list []revoke.Flag) []templates.Tag {
	var out []templates.Tag
	for _, f := range list {
		out = append(out, flagTag(f))
	}
	return out
}

// causes are the reasons for leaving somebody out, in the order in which pages show them.
func causes() []revoke.Cause {
	return []revoke.Cause{revoke.LeftProtected, revoke.LeftSelf, revoke.LeftExcluded, revoke.LeftExternal, revoke.LeftFlag}
}

func causeTag(c revoke.Cause) templates.Tag {
	if c == revoke.LeftProtected {
		return templates.Tag{Label: string(c), Tone: templates.ToneWarn}
	}
	return templates.Tag{Label: string(c)}
}

// planList is the page of people that the filter chooses.
func planList(v planView) templates.PeopleList {
	p, f := v.preview, v.filter
	list := templates.PeopleList{
		Standing: f.left, Facets: planFacets(v), Empty: "Nobody.",
		Filter: templates.TextFilter{Action: "/plans/" + string(p.ID) + "#people", Hidden: f.fields(), Text: f.text},
	}
	if f.text != "" {
		cleared := f
		cleared.text, cleared.after = "", -1
		list.Filter.Clear, list.Empty = cleared.href(p.ID), "Nobody here whose name holds “"+f.text+"”."
	}
	more := false
	last := -1
	linked := v.who.Roles.MayOpen("user")
	if f.left {
		list.Title = "Left out, and why"
		more = len(v.left) > peoplePerPage
		for _, t := range v.left[:min(len(v.left), peoplePerPage)] {
			list.Rows, last = append(list.Rows, leftRow(v, t)), t.Pos
		}
	} else {
		list.Title = "Who, and why"
		more = len(v.targets) > peoplePerPage
		for _, t := range v.targets[:min(len(v.targets), peoplePerPage)] {
			list.Rows, last = append(list.Rows, quieted(p, personRow(t, linked), t.Flags)), t.Pos
		}
		list.TakeOut = takeOut(v)
	}
	if f.after >= 0 {
		first := f
		first.after = -1
		list.First = first.href(p.ID)
	}
	if more {
		next := f
		next.after = last
		list.Next = next.href(p.ID)
	}
	list.Shown, list.Note = shownOf(v, len(list.Rows)), mostlyWords(p)
	if !v.mine() {
		list.Verdict = "Predicted"
	}
	return list
}

// mostlyUnknown are the flags that are not known of more than half of a list: said once, not in each row.
func mostlyUnknown(p revoke.Preview) (out []revoke.Flag) {
	for _, f := range allFlags() {
		if strings.HasSuffix(string(f), "?") && 2*p.Counts.Flags[f] > p.Total {
			out = append(out, f)
		}
	}
	return out
}

func mostlyWords(p revoke.Preview) string {
	var out []string
	for _, f := range mostlyUnknown(p) {
		out = append(out, "Of "+thousands(p.Counts.Flags[f])+" of "+people(p.Total)+" it could not be read: "+strings.TrimSuffix(flagTag(f).Label, ": unknown")+" or not. Their rows do not repeat it.")
	}
	return strings.Join(out, " ")
}

// quieted leaves off a row what is said once above its list.
func quieted(p revoke.Preview, row templates.PersonRow, flags []revoke.Flag) templates.PersonRow {
	often := mostlyUnknown(p)
	row.Flags = flagTags(slices.DeleteFunc(slices.Clone(flags), func(f revoke.Flag) bool { return slices.Contains(often, f) }))
	return row
}

// leftRow is somebody who was left out. Who was taken out by hand was not found by that list.
func leftRow(v planView, t revoke.Leftover) templates.PersonRow {
	row := quieted(v.preview, personRow(t.Target, v.who.Roles.MayOpen("user")), t.Flags)
	hand := func(reason string) bool { return strings.Contains(reason, byHandName) }
	row.Cause = causeTag(t.Cause)
	if t.Cause == revoke.LeftExcluded {
		row.Cause.Label = excludedWords(v.preview.Scope)
		switch {
		case slices.ContainsFunc(row.Reasons, hand):
			row.Cause.Label = "taken out by hand"
		case slices.ContainsFunc(row.Reasons, formerReason(v.preview.Scope)):
			row.Cause.Label = alreadyHad
		}
	}
	row.Reasons = slices.DeleteFunc(slices.Clone(row.Reasons), hand)
	return row
}

// formerReason tells the reasons that a former run is to leave somebody out.
func formerReason(scope directory.Scope) func(string) bool {
	return func(reason string) bool {
		return slices.ContainsFunc(scope.Exclude, func(x directory.Source) bool {
			return x.Kind == directory.RunSource && strings.HasPrefix(reason, "run "+orElse(x.Name, x.ID))
		})
	}
}

// shownOf says which part of the list is shown. Positions of a whole list are numbered without gaps.
func shownOf(v planView, rows int) string {
	f := v.filter
	whole := f.text == "" && f.flag == "" && f.verdict == "" && f.cause == ""
	switch {
	case rows == 0:
		return ""
	case whole && f.left:
		return fmt.Sprintf("%s–%s of %s", thousands(f.after+2), thousands(f.after+1+rows), thousands(v.preview.Left))
	case whole:
		return fmt.Sprintf("%s–%s of %s", thousands(f.after+2), thousands(f.after+1+rows), thousands(v.preview.Total))
	case f.after < 0:
		return "the first " + people(rows) + " of those chosen below"
	default:
		return people(rows) + " more of those chosen below"
	}
}

// facetLink chooses a list in place of the one that is shown.
func (v planView) facetLink(label string, n int, f planFilter) templates.Count {
	f.after = -1
	shown := v.filter
	shown.after, shown.text = -1, ""
	return templates.Count{Label: label, Value: thousands(n), Href: f.href(v.preview.ID), Current: shown == f}
}

// planFacets are the filters of the list, each with how many people it chooses.
func planFacets(v planView) []templates.Facet {
	c := v.preview.Counts
	targets := templates.Facet{Label: "Targets", Links: []templates.Count{v.facetLink("everybody", v.preview.Total, planFilter{})}}
	for _, f := range allFlags() {
		if n := c.Flags[f]; n > 0 {
			targets.Links = append(targets.Links, v.facetLink(flagTag(f).Label, n, planFilter{flag: f}))
		}
	}
	out := []templates.Facet{targets}
	predicted := templates.Facet{Label: "For you"}
	if !v.mine() {
		predicted.Label = "Predicted"
	}
	for _, verdict := range verdicts() {
		if n := c.Verdicts[verdict.String()]; n > 0 {
			predicted.Links = append(predicted.Links, v.facetLink(verdictTag(verdict.String()).Label, n, planFilter{verdict: verdict.String()}))
		}
	}
	if len(predicted.Links) > 0 {
		out = append(out, predicted)
	}
	if v.preview.Left > 0 {
		links := append([]templates.Count{v.facetLink("all of them", v.preview.Left, planFilter{left: true})}, causeLinks(v)...)
		out = append(out, templates.Facet{Label: "Left out", Links: links})
	}
	return out
}

func causeLinks(v planView) (out []templates.Count) {
	for _, c := range causes() {
		if n := v.preview.LeftCounts[string(c)]; n > 0 {
			label := string(c)
			if c == revoke.LeftExcluded {
				label = excludedWords(v.preview.Scope)
			}
			out = append(out, v.facetLink(label, n, planFilter{left: true, cause: c}))
		}
	}
	return out
}

// takeOut offers to leave people out, to those who may make a list.
func takeOut(v planView) *templates.TakeOut {
	p := v.preview
	if p.Run != "" || p.Total == 0 || !v.mine() || !v.who.Roles.MayOpen("plan.without") {
		return nil
	}
	t := &templates.TakeOut{Action: "/plans/" + string(p.ID) + "/without"}
	for _, f := range allFlags() {
		if n := p.Counts.Flags[f]; n > 0 {
			t.Kinds = append(t.Kinds, templates.Option{Value: string(f), Label: flagTag(f).Label + " (" + thousands(n) + ")"})
		}
	}
	return t
}

func personRow(t revoke.Target, linked bool) templates.PersonRow {
	row := templates.PersonRow{
		ID: t.OID, Person: templates.Person{Name: t.Name, UPN: t.UPN, ID: t.OID},
		Reasons: t.Reasons, Flags: flagTags(t.Flags), Prediction: verdictTag(t.Verdict),
	}
	if linked {
		row.Person.Href = "/users/" + t.OID
	}
	if t.Verdict != directory.Allowed.String() { // why it works needs no words in each row
		row.Because = t.Because
	}
	return row
}

// leftStanding names the first of those who are not touched. A list of them all takes its place.
func leftStanding(v planView) *templates.LeftStanding {
	if v.preview.Left == 0 || v.filter.left {
		return nil
	}
	n, had := leftStandingCount(v.preview), former(v.preview)
	s := &templates.LeftStanding{
		Title: "Left standing: " + thousands(n), Text: "Their sessions live on after this run.", Causes: causeLinks(v),
	}
	switch {
	case n == 0:
		s.Title, s.Text = "Left out: "+thousands(had), "All of them were "+alreadyHad+": its page and report say what became of them."
	case had > 0:
		s.Text += " Besides, " + thousands(had) + oneOf(had, " was ", " were ") + alreadyHad + ": its report says what became of them."
	}
	for _, t := range v.standing {
		s.Rows = append(s.Rows, leftRow(v, t))
	}
	if v.preview.Left > len(v.standing) {
		s.More = templates.Link{Label: "All " + thousands(v.preview.Left), Href: planFilter{left: true, after: -1}.href(v.preview.ID)}
	}
	return s
}

func asideRows(list []directory.Aside) []templates.AsideRow {
	var out []templates.AsideRow
	for _, a := range list {
		kind := a.Kind
		if kind == "servicePrincipal" {
			kind = "service principal"
		}
		out = append(out, templates.AsideRow{Name: a.Name, ID: a.ID, Kind: orElse(kind, "unknown"), Reason: a.Reason})
	}
	return out
}

const linesOfLists = 200 // lines of lists that a plan shows

// listLines says what became of pasted lists; nil when there were none.
func listLines(f revoke.Facts) *templates.ListLines {
	if f.Matched == 0 && len(f.Lines) == 0 {
		return nil
	}
	all := f.Matched + len(f.Lines)
	l := &templates.ListLines{
		Title: "Lines of your lists that led to nobody", Matched: thousands(f.Matched) + " of " + counted(all, "line") + oneOf(all, " was", " were") + " matched",
	}
	switch n := linesToNobody(f); {
	case n == 0:
		l.Title = "Lines of your lists"
	case n < len(f.Lines):
		l.Title = "Lines of your lists that led to nobody, or to the same account again"
	}
	for _, line := range f.Lines[:min(len(f.Lines), linesOfLists)] {
		tag := templates.Tag{Label: string(line.Fate), Tone: templates.ToneWarn}
		if line.Fate == directory.LineDuplicate { // the account is in the list
			tag.Tone = templates.ToneNone
		}
		l.Rows = append(l.Rows, templates.LineRow{Text: line.Text, Reason: line.Reason, Fate: tag})
	}
	if more := len(f.Lines) - linesOfLists; more > 0 {
		l.More = "And " + thousands(more) + " more."
	}
	return l
}

// linesToNobody counts the lines whose people may be missing. The account of a duplicate is in the list.
func linesToNobody(f revoke.Facts) int {
	n := 0
	for _, line := range f.Lines {
		if line.Fate != directory.LineDuplicate {
			n++
		}
	}
	return n
}

func expandingTitle(p revoke.Preview) string {
	if p.State == revoke.PreviewFailed {
		return "The people could not be found"
	}
	return "Finding the people"
}

// newExpanding is how far a list is that is being made.
func newExpanding(p revoke.Preview, who operator.Operator, now time.Time) templates.ExpandingLive {
	live := templates.ExpandingLive{
		Href: "/plans/" + string(p.ID), Active: p.State == revoke.PreviewExpanding, Scope: planScope(p.Scope, p.Options),
		Found: thousands(p.Found), Doing: p.Doing, Began: showTime(p.CreatedAt, now), Took: duration(max(0, now.Sub(p.CreatedAt))),
		By: orElse(p.Creator.UPN, p.Creator.OID),
	}
	if who.Roles.MayOpen("scopes") {
		live.BulkHref = "/scopes"
	}
	if p.Parent != "" {
		live.ParentHref = "/plans/" + string(p.Parent)
	}
	if p.State == revoke.PreviewFailed {
		live.Failure, live.Took = orElse(p.Failure, "It is not known why."), duration(max(0, p.BeatAt.Sub(p.CreatedAt)))
		if who.Roles.MayOpen("plan.again") {
			live.AgainAction = live.Href + "/again"
		}
	}
	return live
}

// newComparePage says what changed from one list to the next.
func newComparePage(before, after revoke.Preview, d revoke.Difference, who operator.Operator, now time.Time) templates.ComparePage {
	page := templates.ComparePage{
		Title:  "What changed",
		Before: templates.Link{Label: "The list before", Href: "/plans/" + string(before.ID)}, BeforeTime: showTime(before.ReadyAt, now),
		After: templates.Link{Label: "This list", Href: "/plans/" + string(after.ID)}, AfterTime: showTime(after.ReadyAt, now),
		Joined: thousands(d.Joined), Gone: thousands(d.Gone), Both: thousands(d.Both), Same: d.Joined+d.Gone == 0,
	}
	if who.Roles.MayOpen("scopes") {
		page.BulkHref = "/scopes"
	}
	rows := func(list []revoke.Target, n int) (out []templates.PersonRow, more string) {
		for _, t := range list {
			out = append(out, personRow(t, who.Roles.MayOpen("user")))
		}
		if n > len(list) {
			more = "And " + thousands(n-len(list)) + " more."
		}
		return out, more
	}
	page.JoinedRows, page.JoinedMore = rows(d.JoinedList, d.Joined)
	page.GoneRows, page.GoneMore = rows(d.GoneList, d.Gone)
	return page
}
