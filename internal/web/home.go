package web

import (
	"errors"
	"net/http"
	"time"

	"evict/internal/directory"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

const recentRuns = 8

func (s *Server) showHome(w http.ResponseWriter, r *http.Request) error {
	v := at(r)
	page := templates.HomePage{Page: s.frame(r, "Home"), RunsHref: "/runs", ShowRoles: v.who.Acts()}
	q := revoke.RunQuery{Limit: recentRuns}
	if !seesAll(v.who) {
		q.Operator = v.who.OID
	}
	runs, err := s.Runs.Runs(r.Context(), q)
	if err != nil {
		s.Logger.Error("reading the recent runs", "request_id", v.requestID, "error", err)
		page.RunsUnread = "The database does not answer."
	}
	page.Runs = runRows(runs, s.Now())
	page.Needs = s.needs(r)
	page.Needs = append(s.needsOfLedger(r), page.Needs...)
	if page.ShowRoles {
		me, err := s.Directory.Me(r.Context(), v.session.Tokens(), v.who)
		page.Roles, page.RolesUnread = myRoles(me, err, s.Now())
		if reauth, ok := errors.AsType[*operator.ReauthError](err); ok {
			page.Needs = append([]templates.Need{needSignIn(s.signInAgain(r, "/", reauth))}, page.Needs...)
		}
		if err != nil {
			s.Logger.Warn("reading one's own roles", "request_id", v.requestID, "error", err)
		}
	}
	return render(w, r, http.StatusOK, templates.Home(page))
}

func needSignIn(href string) templates.Need {
	return templates.Need{
		Tag: templates.Tag{Label: "sign-in", Tone: templates.ToneWarn}, Title: "Microsoft asks you to sign in again",
		Text:   "Until then you can read here, but not look anybody up or revoke.",
		Action: templates.Link{Label: "Sign in again", Href: href},
	}
}

// needsOfLedger is what is wrong with the ledger, for whoever may read it: what the last verification found, a rollback that
// was accepted lately, and what the watch holds against the newest events.
func (s *Server) needsOfLedger(r *http.Request) (out []templates.Need) {
	add := func(tone templates.Tone, title, text string, action templates.Link) {
		out = append(out, templates.Need{Tag: templates.Tag{Label: "ledger", Tone: tone}, Title: title, Text: text, Action: action})
	}
	for _, n := range []templates.Note{s.verdict(r), s.newestRollback(r)} {
		if n.Text != "" {
			add(n.Tone, n.Title, n.Text, n.Link)
		}
	}
	if s.Notary == nil || !at(r).who.Roles.MayOpen("ledger.verify") {
		return out
	}
	if wrong := s.Notary.Standing().Problems; len(wrong) > 0 {
		text := cut(wrong[0].Text, verdictText)
		if more := len(wrong) - 1; more > 0 {
			text += " And " + thousands(more) + " more."
		}
		add(templates.ToneNo, "Something is wrong with the ledger. Nothing is signed while it is so.", text, templates.Link{Label: "Open the ledger", Href: "/ledger"})
	}
	return out
}

// needs lists what waits for this operator: their runs that stand still, and those that ended without proof.
func (s *Server) needs(r *http.Request) []templates.Need {
	who := at(r).who
	runs, err := s.Runs.Runs(r.Context(), revoke.RunQuery{Operator: who.OID, Limit: 50})
	if err != nil {
		return nil // the list of runs beside it says that the database does not answer
	}
	return newNeeds(runs, s.Now(), func(t revoke.RunTarget) bool {
		newest, err := s.Runs.Runs(r.Context(), revoke.RunQuery{Target: t.OID, Limit: 1})
		return err == nil && len(newest) == 1 && s.lastOf(r.Context(), newest[0], t.OID, t.UPN).First.State == revoke.Confirmed
	})
}

// needFor is how long an outcome that calls for a second look stays on the home page.
const needFor = 24 * time.Hour

// newNeeds leaves out people whom a newer run, of anybody, has cut off since.
func newNeeds(runs []revoke.RunSummary, now time.Time, settled func(t revoke.RunTarget) bool) []templates.Need {
	var out []templates.Need
	looked := map[string]bool{} // a newer run of the same person stands for the older ones
	for _, run := range runs {
		if run.Preview != "" {
			out = append(out, needOfMany(run, now)...)
			continue
		}
		t := run.First
		n := templates.Need{
			Title: orElse(t.Name, t.UPN), Time: showTime(run.CreatedAt, now),
			Action: templates.Link{Label: "Open the run", Href: "/runs/" + string(run.ID)},
		}
		recent := now.Sub(run.CreatedAt) < needFor && !looked[t.OID]
		looked[t.OID] = true
		switch {
		case run.State == revoke.RunPaused:
			n.Tag = templates.Tag{Label: string(run.Pause), Tone: templates.ToneWarn}
			n.Text = "This run waits for you: sign in again and resume it."
		case recent && (t.State == revoke.Unconfirmed || t.State == revoke.Failed || t.State == revoke.Refused) && !settled(t):
			n.Tag = templates.Tag{Label: string(t.State), Tone: templates.ToneWarn}
			n.Text = joinNonEmpty(" ", "The sessions may live on.", t.Message)
			if t.State == revoke.Refused {
				n.Text = joinNonEmpty(" ", "The sessions live on.", t.Message)
			}
		default:
			continue
		}
		out = append(out, n)
	}
	return out
}

// needOfMany is what a run of many waits for, or what it left standing; nothing when all is well.
func needOfMany(run revoke.RunSummary, now time.Time) []templates.Need {
	n := templates.Need{
		Title: people(run.Total), Text: tally(run.Run) + ".", Time: showTime(run.CreatedAt, now),
		Action: templates.Link{Label: "Open the run", Href: "/runs/" + string(run.ID)},
	}
	bad := run.Counts[revoke.Refused] + run.Counts[revoke.Failed] + run.Counts[revoke.Unconfirmed]
	switch {
	case run.State == revoke.RunPaused:
		n.Tag = templates.Tag{Label: "paused: " + stateDetail(run.Run), Tone: templates.ToneWarn}
		n.Text = pauseStatus(run.Pause) + " " + n.Text
	case run.State == revoke.RunFinished && bad > 0 && now.Sub(run.CreatedAt) < needFor:
		n.Tag = templates.Tag{Label: "still standing", Tone: templates.ToneWarn}
		n.Text = "The sessions of " + people(bad) + " may live on: " + n.Text
	default:
		return nil
	}
	return []templates.Need{n}
}

// myRoles is the panel of one's own directory roles and what they allow; unread says why something is missing.
func myRoles(me directory.Me, err error, now time.Time) (roles []templates.MyRole, unread []templates.Unread) {
	if _, ok := errors.AsType[*operator.ReauthError](err); ok {
		return nil, []templates.Unread{{What: "Your directory roles", Why: "Microsoft asks you to sign in again first"}}
	}
	if err != nil {
		return nil, []templates.Unread{{What: "Your directory roles", Why: "Microsoft Graph did not answer as it should", WayOut: "Load the page again in a moment."}}
	}
	for _, a := range me.Allows {
		roles = append(roles, templates.MyRole{
			Name: a.Holding.Role.Name, State: holdingState(a.Holding), Active: a.Holding.How == directory.Active,
			Scope: orElse(scopeWords(a.Holding.Scope, a.Holding.ScopeName), "tenant"), Since: showTime(a.Holding.Since, now),
			Allows: a.Sentence,
		})
	}
	return roles, unreadParts(me.Unread)
}

func (s *Server) showComponents(w http.ResponseWriter, r *http.Request) error {
	return render(w, r, http.StatusOK, templates.Components(templates.ComponentsPage{Page: s.frame(r, "Components")}))
}

// consoleRoles lists the operator's console roles with what each allows.
func consoleRoles(who operator.Operator) []templates.ConsoleRole {
	var out []templates.ConsoleRole
	for _, c := range templates.ConsoleRoles() {
		if who.Roles.Has(operator.Role(c.Name)) {
			out = append(out, c)
		}
	}
	return out
}
