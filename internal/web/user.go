package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"evict/internal/auth"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// confirmWait is how long a click waits for its result before the run's page shows it going on.
const confirmWait = 1500 * time.Millisecond

func (s *Server) showUser(w http.ResponseWriter, r *http.Request) error {
	page, err := s.userPage(r, chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	s.restoreDraft(r, page.Form)
	page.Page.Flash = s.receipt(r, page.Person.ID)
	return render(w, r, http.StatusOK, templates.User(page))
}

func (s *Server) revokeUser(w http.ResponseWriter, r *http.Request) error {
	id := chi.URLParam(r, "id")
	if !directory.IsID(id) {
		return fault.New(fault.NotFound, "")
	}
	req := revoke.Request{
		Target: id, Reason: r.PostFormValue(templates.FieldReason), Ticket: r.PostFormValue(templates.FieldTicket),
		IncludeExternal: r.PostFormValue(templates.FieldExternalOK) == "yes",
	}
	err := s.revokeOne(w, r, req)
	if !showsInForm(err) {
		return err
	}
	page, pageErr := s.userPage(r, id)
	if pageErr != nil {
		if _, unrecorded := errors.AsType[*revoke.NotRecordedError](err); unrecorded {
			return err
		}
		return pageErr
	}
	if page.Form != nil {
		page.Form = filled(*page.Form, req, err)
	}
	page.Fault = s.unrecorded(r, err)
	return render(w, r, formStatus(err), templates.User(page))
}

// revokeOne starts the revocation, waits a moment for its result, and sends the operator to the run.
func (s *Server) revokeOne(w http.ResponseWriter, r *http.Request, req revoke.Request) error {
	run, done, err := s.Revoke.RevokeOne(r.Context(), s.actor(r), req)
	if err != nil {
		return err
	}
	waitFor(r.Context(), done)
	http.Redirect(w, r, "/runs/"+string(run), http.StatusSeeOther)
	return nil
}

func waitFor(ctx context.Context, done <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, confirmWait)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// actor is the signed-in operator as the domain wants them.
func (s *Server) actor(r *http.Request) revoke.Actor {
	v := at(r)
	return revoke.Actor{Who: v.who, Tokens: v.session.Tokens(), Seal: v.session.SealForRun, Session: v.session.ID()}
}

// showsInForm reports whether an error belongs on the form's own page.
func showsInForm(err error) bool {
	_, unrecorded := errors.AsType[*revoke.NotRecordedError](err)
	return unrecorded || fault.KindOf(err) == fault.Invalid
}

func formStatus(err error) int {
	if fault.KindOf(err) == fault.Invalid {
		return http.StatusUnprocessableEntity
	}
	return http.StatusServiceUnavailable
}

// filled is the form as it was sent, with the error beside its field.
func filled(f templates.RevokeForm, req revoke.Request, err error) *templates.RevokeForm {
	f.Reason, f.Ticket, f.ExternalOK = req.Reason, req.Ticket, req.IncludeExternal
	if e, ok := errors.AsType[*fault.Error](err); ok {
		switch e.Field {
		case templates.FieldReason:
			f.ReasonError = e.Message
		case templates.FieldTicket:
			f.TicketError = e.Message
		case templates.FieldExternalOK:
			f.ExternalError, f.External = e.Message, true
		}
	}
	return &f
}

// unrecorded explains that the ledger could not be written, so that nothing was called, and how to act by hand.
func (s *Server) unrecorded(r *http.Request, err error) *templates.Fault {
	e, ok := errors.AsType[*revoke.NotRecordedError](err)
	if !ok {
		return nil
	}
	s.Logger.Error("an intent was not recorded", "request_id", at(r).requestID, "target", e.Target.OID, "error", e.Err)
	return &templates.Fault{
		Title: "The revocation was not sent", NothingCalled: true, RequestID: at(r).requestID,
		What:     "The ledger could not be written, and without a record Evict does not act.",
		Why:      "The database does not answer or refuses to write.",
		WhatToDo: "Try again. If it cannot wait, run one of these as yourself, and record it here afterwards. Should the record turn out to have been saved after all, Evict takes this revocation up by itself: it then stands under Runs, and a repeat is harmless.",
		Commands: s.byHand(at(r).who, e.Target.OID), OutsideHref: s.outsideHref(r, e.Target.OID),
	}
}

func (s *Server) outsideHref(r *http.Request, oid string) string {
	if !at(r).who.Roles.MayOpen("outside") {
		return ""
	}
	return "/outside?who=" + oid
}

// byHand is how to revoke one person without Evict (Microsoft Graph, user: revokeSignInSessions). For oneself it goes
// through /me, which needs no directory role.
func (s *Server) byHand(who operator.Operator, oid string) []templates.Command {
	shell := "Revoke-MgUserSignInSession -UserId " + oid
	path := "/users/" + oid
	if oid == who.OID {
		path = "/me"
		shell = "Invoke-MgGraphRequest -Method POST -Uri " + s.GraphBase + "/me/revokeSignInSessions"
	}
	shell = "Connect-MgGraph -Scopes User.RevokeSessions.All" + powerShellCloud[s.Cloud] + "\n" + shell
	if s.Rehearsal {
		shell = "# REHEARSAL: do not run this; on a real tenant it would act on the real cloud.\n" + shell
	}
	return []templates.Command{
		{Label: "Microsoft Graph PowerShell", Text: shell},
		{Label: "Microsoft Graph", Text: "POST " + s.GraphBase + path + "/revokeSignInSessions"},
	}
}

// powerShellCloud names the national clouds for Connect-MgGraph (Microsoft Learn, Connect-MgGraph, -Environment).
var powerShellCloud = map[string]string{"usgov": " -Environment USGov", "usgov-dod": " -Environment USGovDoD", "china": " -Environment China"}

// keepDraft puts what was typed into the session, so that the form has it again after a sign-in by the same person.
// It reports whether it did: only the forms that revoke or start a run, and the one that protects, have drafts.
func (s *Server) keepDraft(r *http.Request) bool {
	v := at(r)
	protects := r.URL.Path == "/settings/protected"
	starts := strings.HasSuffix(r.URL.Path, "/revoke") || strings.HasPrefix(r.URL.Path, "/plans/") && strings.HasSuffix(r.URL.Path, "/run")
	if r.Method != http.MethodPost || v.session == nil || !protects && !starts {
		return false
	}
	draft := auth.Draft{
		Reason: r.PostFormValue(templates.FieldReason), Ticket: r.PostFormValue(templates.FieldTicket),
		IncludeExternal: r.PostFormValue(templates.FieldExternalOK) == "yes",
	}
	if protects {
		draft = protectDraft(r)
	}
	err := v.session.SetDraft(r.Context(), r.URL.Path, draft)
	if err != nil {
		s.Logger.Warn("a draft was not kept", "request_id", v.requestID, "error", err)
	}
	return err == nil
}

// restoreDraft puts what was typed before a sign-in back into the form.
func (s *Server) restoreDraft(r *http.Request, f *templates.RevokeForm) {
	if f == nil {
		return
	}
	d, ok, err := at(r).session.TakeDraft(r.Context(), f.Action)
	if err != nil {
		s.Logger.Warn("a draft was not taken", "request_id", at(r).requestID, "error", err)
	}
	if ok {
		f.Reason, f.Ticket, f.ExternalOK, f.DraftRestored = d.Reason, d.Ticket, d.IncludeExternal, true
	}
}

func (s *Server) userPage(r *http.Request, id string) (templates.UserPage, error) {
	v := at(r)
	card, err := s.Directory.Card(r.Context(), v.session.Tokens(), v.who, id)
	if err != nil {
		return templates.UserPage{}, err
	}
	last, err := s.Runs.Runs(r.Context(), revoke.RunQuery{Target: card.User.ID, Limit: 1})
	if err != nil {
		s.Logger.Error("reading the last revocation", "request_id", v.requestID, "error", err)
		last = nil
	}
	if len(last) > 0 {
		last[0] = s.lastOf(r.Context(), last[0], card.User.ID, card.User.UPN)
	}
	page := newUserPage(card, last, err != nil, s.Cloud, s.Now())
	if len(last) > 0 && !operator.Visible(v.who, operator.Object{Kind: operator.RunObject, Creator: last[0].Operator.OID}) {
		for i := range page.Facts {
			if page.Facts[i].Label == lastRevokedLabel {
				page.Facts[i].Value.Href = ""
			}
		}
	}
	page.Notes = append(s.protectedNotes(r, card.User.ID), page.Notes...)
	page.Page = s.frame(r, orElse(card.User.Name, card.User.UPN))
	if v.who.Roles.MayOpen("ledger") {
		page.LedgerHref = "/ledger?target=" + card.User.ID
	}
	return page, nil
}
