package web

import (
	"evict/internal/directory"
	"evict/internal/revoke"
	"evict/web/templates"
)

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
