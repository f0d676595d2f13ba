package web

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"evict/internal/directory"
	"evict/internal/revoke"
	"evict/web/templates"
)

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
