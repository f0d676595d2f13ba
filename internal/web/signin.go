package web

import (
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5/middleware"

	"evict/internal/auth"
	"evict/internal/fault"
	"evict/web/templates"
)

func (s *Server) showSignIn(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page := s.signInPage(r, q.Get("return"))
	switch q.Get("ended") {
	case "idle":
		page.TimedOut = "idle"
	case "absolute":
		page.TimedOut = "absolute"
	case "signedout":
		page.SignedOut, page.MicrosoftSignOut = true, s.Auth.LogoutURL(r.Context())
		page.Href += "?choose=1"
	case "microsoft":
		page.SignedOut = true
	case "everywhere":
		page.Page.Flash = &templates.Flash{Tone: templates.ToneOK, Text: "Your sessions in this console have ended. If you asked to be signed out everywhere, sign in again: the run then shows whether Entra has recorded it."}
	}
	return render(w, r, http.StatusOK, templates.SignIn(page))
}

func (s *Server) signInPage(r *http.Request, returnTo string) templates.SignInPage {
	page := templates.SignInPage{Page: s.frame(r, "Sign in"), Href: startAddress(returnTo)}
	for _, a := range s.Accounts {
		page.RehearsalAs = append(page.RehearsalAs, templates.RehearsalAccount{UPN: a.UPN, Shows: a.Shows})
	}
	return page
}

// startSignIn sends the browser to Microsoft.
func (s *Server) startSignIn(w http.ResponseWriter, r *http.Request) error {
	if err := s.limits.signIn.take(clientKey(r)); err != nil {
		return err
	}
	q := r.URL.Query()
	o := auth.BeginOptions{ReturnTo: q.Get("return"), Again: q.Get("again")}
	if q.Get("choose") != "" { // after a sign-out, whoever comes next says who they are
		o.Prompt = "select_account"
	}
	if session, err := s.Auth.Load(r, false); err == nil {
		o.LoginHint = session.Operator().UPN
	}
	to, err := s.Auth.Begin(w, r, o)
	if err != nil {
		return err
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// finishSignIn takes the browser back from Microsoft, to a clean address.
func (s *Server) finishSignIn(w http.ResponseWriter, r *http.Request) error {
	if err := s.limits.signIn.take(clientKey(r)); err != nil {
		return err
	}
	done, err := s.Auth.Finish(w, r)
	if err != nil {
		return s.signInFailed(w, r, done.ReturnTo, err)
	}
	if len(done.Operator.Roles) == 0 {
		http.Redirect(w, r, "/no-role", http.StatusSeeOther)
		return nil
	}
	s.SignedIn(r.Context(), done.Tokens)
	s.confirmOwn(r, done)
	http.Redirect(w, r, done.ReturnTo, http.StatusSeeOther)
	return nil
}

// confirmOwn settles the run by which this person signed themselves out everywhere, now that there is a token to read
// back with. The sign-in does not depend on it.
func (s *Server) confirmOwn(r *http.Request, done auth.Finished) {
	who := done.Operator
	who.Address = middleware.GetClientIP(r.Context())
	if err := s.Revoke.ConfirmOwn(r.Context(), who, done.Tokens); err != nil {
		s.Logger.Warn("confirming one's own revocation", "request_id", at(r).requestID, "error", err)
	}
}

func (s *Server) signInFailed(w http.ResponseWriter, r *http.Request, returnTo string, err error) error {
	kind, e := classify(err)
	if kind == fault.Throttled || kind == fault.Internal {
		return err
	}
	s.Logger.Info("a sign-in failed", "request_id", at(r).requestID, "error", err)
	page := s.signInPage(r, returnTo)
	page.Fault = &templates.SignInFault{What: orElse(e.Message, "The sign-in did not work."), WhatToDo: e.Fix, RequestID: at(r).requestID}
	return render(w, r, statusOf[kind], templates.SignIn(page))
}

func (s *Server) showNoRole(w http.ResponseWriter, r *http.Request) error {
	who := at(r).who
	if len(who.Roles) > 0 {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	return render(w, r, http.StatusForbidden, templates.NoRole(templates.NoRolePage{
		Page: s.frame(r, "No console role"), Name: who.Name, UPN: who.UPN, ID: who.OID, AppName: s.AppName, SignOutAction: "/auth/signout",
	}))
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	if r.PostFormValue(templates.FieldLeaveRuns) != "yes" {
		if err := s.Revoke.PauseOwn(r.Context(), at(r).who); err != nil {
			return unavailable("Your runs could not be paused, so you are still signed in: the database does not answer.", err)
		}
	}
	// Microsoft's sign-out is a link on the next page: the form-action of our policy lets no form lead to another host.
	if _, err := s.Auth.SignOut(w, r, at(r).session); err != nil {
		return unavailable("The sign-out could not be recorded. This browser is signed out; the session itself ends by its time limits.", err)
	}
	http.Redirect(w, r, "/signin?ended=signedout", http.StatusSeeOther)
	return nil
}

func startAddress(returnTo string) string {
	if returnTo == "" {
		return "/auth/signin"
	}
	return "/auth/signin?" + url.Values{"return": {returnTo}}.Encode()
}
