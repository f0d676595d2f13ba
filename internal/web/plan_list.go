package web

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"evict/internal/directory"
	"evict/internal/revoke"
	"evict/web/templates"
)

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
