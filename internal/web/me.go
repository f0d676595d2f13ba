package web

import (
	"errors"
	"net/http"

	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

func (s *Server) showMe(w http.ResponseWriter, r *http.Request) error {
	page := s.mePage(r)
	s.restoreDraft(r, page.Form)
	return render(w, r, http.StatusOK, templates.Me(page))
}

// revokeMe signs the operator out everywhere, this console included. Only their next sign-in can confirm it (rule 7).
func (s *Server) revokeMe(w http.ResponseWriter, r *http.Request) error {
	req := revoke.Request{
		Self: true, Reason: r.PostFormValue(templates.FieldReason), Ticket: r.PostFormValue(templates.FieldTicket),
		IncludeExternal: true, // one's own account: nothing is gained by insisting
	}
	id, done, err := s.Revoke.RevokeOne(r.Context(), s.self(r), req)
	if showsInForm(err) {
		page := s.mePage(r)
		page.Form, page.Fault = filled(*page.Form, req, err), s.unrecorded(r, err)
		return render(w, r, formStatus(err), templates.Me(page))
	}
	if err != nil {
		return err
	}
	waitFor(r.Context(), done)
	to := "/runs/" + string(id) // refused, or under way still; without a session it leads to the sign-in and back
	targets, err := s.Runs.RunTargets(r.Context(), id, revoke.RunTargetQuery{After: -1, Limit: 1})
	if err == nil && len(targets) == 1 && targets[0].State == revoke.Accepted {
		s.Auth.ClearCookie(w)
		to = "/signin?ended=everywhere&return=/runs/" + string(id)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// self is the operator acting on their own account. Those who do not act otherwise hold no Graph tokens; for this one
// thing they are asked for consent and come back.
func (s *Server) self(r *http.Request) revoke.Actor {
	a := s.actor(r)
	a.Tokens = at(r).session.Tokens("User.Read.All", "User.RevokeSessions.All")
	return a
}

func (s *Server) mePage(r *http.Request) templates.MePage {
	v := at(r)
	now := s.Now()
	page := templates.MePage{
		Page: s.frame(r, "My sessions"), ConsoleRoles: consoleRoles(v.who), ShowRoles: v.who.Acts(), SignOutAction: "/auth/signout",
		AskLeaveRuns: v.who.Roles.Has(operator.Lead),
		Identity: []templates.Fact{
			{Label: "Name", Value: templates.Value{Text: v.who.Name}},
			{Label: "Sign-in name", Value: templates.Value{Text: v.who.UPN}},
			{Label: "Object id", Value: templates.Value{Text: v.who.OID, Mono: true, Copy: true}},
			{Label: "Tenant", Value: templates.Value{Text: v.who.TID, Mono: true}},
			{Label: "Address", Value: templates.Value{Text: v.who.Address, Mono: true}},
		},
		Session: []templates.Fact{
			{Label: "Signed in", Value: templates.Value{Time: showTime(v.session.SignedInAt(), now)}},
			{Label: "Ends", Value: templates.Value{Time: showTime(v.session.ExpiresAt(), now), Detail: "or after 30 minutes without use"}},
		},
		Form: &templates.RevokeForm{Action: "/me/revoke"},
	}
	if page.ShowRoles {
		me, err := s.Directory.Me(r.Context(), v.session.Tokens(), v.who)
		page.Roles, page.RolesUnread = myRoles(me, err, now)
		if reauth, ok := errors.AsType[*operator.ReauthError](err); ok {
			page.Notes = append(page.Notes, templates.Note{
				Title: "Microsoft asks you to sign in again", Text: "Until then only this console can be signed out of.",
				Link: templates.Link{Label: "Sign in again", Href: s.signInAgain(r, "/me", reauth)},
			})
		}
	}
	return page
}
