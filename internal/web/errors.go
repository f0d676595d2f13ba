package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"evict/internal/auth"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// errCrossOrigin: a form that none of our pages sent.
var errCrossOrigin = &fault.Error{
	Kind: fault.Forbidden, Message: "This form was not sent by a page of this console.", Fix: "Open the page here and send the form again.",
}

// errNoRole: signed in, but without a console role.
var errNoRole = fault.New(fault.Forbidden, "No console role.")

var statusOf = map[fault.Kind]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.Invalid:         http.StatusUnprocessableEntity,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Throttled:       http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
}

// fail turns an error into its answer: the one place where kinds become statuses and words.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind, e := classify(err)
	v := at(r)
	s.logFailure(r, kind, err)
	retryAfter(w, e)
	switch {
	case errors.Is(err, errNoRole):
		http.Redirect(w, r, "/no-role", http.StatusSeeOther)
		return
	case auth.ReasonOf(err) != "" && reads(r) && !isFragment(r):
		http.Redirect(w, r, signInAddress(r.URL.RequestURI(), err), http.StatusSeeOther)
		return
	}
	page := s.errorPage(r, kind, e, err)
	if renderErr := render(w, r, statusOf[kind], templates.Error(page)); renderErr != nil {
		s.Logger.Error("rendering an error page", "request_id", v.requestID, "error", renderErr)
		http.Error(w, "internal error "+v.requestID, http.StatusInternalServerError)
	}
}

func (s *Server) logFailure(r *http.Request, kind fault.Kind, err error) {
	level := slog.LevelInfo
	if (kind == fault.Internal || kind == fault.Unavailable) && !errors.Is(err, context.Canceled) {
		level = slog.LevelError
	}
	s.Logger.LogAttrs(context.WithoutCancel(r.Context()), level, "answered with an error",
		slog.String("request_id", at(r).requestID), slog.Int("status", statusOf[kind]), slog.Any("error", err))
}

func retryAfter(w http.ResponseWriter, e *fault.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())+1))
	}
}

// classify finds the kind of an error and the words in it.
func classify(err error) (fault.Kind, *fault.Error) {
	if e, ok := errors.AsType[*revoke.NotRecordedError](err); ok {
		return fault.Unavailable, &fault.Error{Kind: fault.Unavailable, Err: e}
	}
	if reauth, ok := errors.AsType[*operator.ReauthError](err); ok {
		return fault.Unauthenticated, &fault.Error{Kind: fault.Unauthenticated, Err: reauth}
	}
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e.Kind, e
	}
	if call, ok := errors.AsType[*directory.CallError](err); ok {
		return classifyCall(call)
	}
	if errors.Is(err, context.Canceled) { // the browser has gone; nobody reads the answer
		return fault.Unavailable, fault.New(fault.Unavailable, "The request was given up.")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Unavailable, fault.New(fault.Unavailable, "This took too long and was given up.")
	}
	return fault.Internal, &fault.Error{}
}

// classifyCall: what Graph refused or failed to do while a page was being made.
func classifyCall(c *directory.CallError) (fault.Kind, *fault.Error) {
	e := &fault.Error{Err: c, RetryAfter: c.RetryAfter}
	switch {
	case c.Status == http.StatusNotFound:
		e.Kind = fault.NotFound
	case c.Status == http.StatusForbidden:
		e.Kind, e.Message = fault.Forbidden, "Microsoft Graph does not let you read this: "+c.Message
		e.Fix = "Your directory role or the app's consent does not cover it. Graph's request id: " + c.RequestID
	case c.Status == http.StatusTooManyRequests:
		e.Kind, e.Message = fault.Throttled, "Microsoft Graph asked us to wait."
	case c.Status == 0:
		e.Kind, e.Message = fault.Unavailable, "Microsoft Graph could not be reached."
	default:
		e.Kind = fault.Unavailable
		e.Message = "Microsoft Graph answered " + strconv.Itoa(c.Status) + " (request id " + c.RequestID + ")."
	}
	return e.Kind, e
}

// errorPage chooses the page. A form that was being sent is answered with what was typed, so that nothing is lost.
func (s *Server) errorPage(r *http.Request, kind fault.Kind, e *fault.Error, err error) templates.ErrorPage {
	p, id := s.frame(r, ""), at(r).requestID
	if reauth, ok := errors.AsType[*operator.ReauthError](err); ok {
		return s.reauthPage(r, p, reauth)
	}
	if e, ok := errors.AsType[*revoke.NotRecordedError](err); ok {
		f := s.unrecorded(r, e)
		return templates.ErrorPage{
			Page: s.frame(r, f.Title), Title: f.Title, What: f.What + " Nothing was called.", Why: f.Why, WhatToDo: f.WhatToDo,
			RequestID: id, Commands: f.Commands, Typed: typed(r),
		}
	}
	switch kind {
	case fault.Invalid:
		return templates.ErrorPage{
			Page: s.frame(r, "Not understood"), Title: "This could not be read", What: e.Message + " Nothing was done.",
			WhatToDo: "Go back and send it again.", RequestID: id, Typed: typed(r), Primary: templates.Link{Label: "Back", Href: backTo(r)},
		}
	case fault.Unauthenticated:
		return templates.SessionExpiredError(p, id, "/auth/signin?return="+url.QueryEscape(backTo(r)), typed(r))
	case fault.NotFound:
		page := templates.NotFoundError(p, id)
		page.Why = e.Message
		return page
	case fault.Forbidden:
		page := templates.ForbiddenError(p, id, "")
		page.Why, page.WhatToDo = orElse(e.Message, page.Why), orElse(e.Fix, page.WhatToDo)
		if _, ok := errors.AsType[*directory.CallError](err); ok {
			page.Title, page.What = "Microsoft does not let you read this", ""
		}
		if errors.Is(err, errCrossOrigin) {
			page.Title = "This form came from elsewhere"
		}
		return page
	case fault.Throttled:
		page := templates.ThrottledError(p, id, wait(e.RetryAfter), backTo(r))
		page.Why, page.Typed = orElse(e.Message, page.Why), typed(r)
		return page
	case fault.Conflict:
		return templates.ErrorPage{
			Page: s.frame(r, "Too late"), Title: "Somebody or something was faster", What: e.Message, WhatToDo: "Look at where it stands now.",
			RequestID: id, Primary: templates.Link{Label: "Back", Href: backTo(r)}, Typed: typed(r),
		}
	case fault.Internal:
		page := templates.InternalError(p, id)
		page.Typed = typed(r)
		return page
	default:
		page := templates.UnavailableError(p, id, e.Message, backTo(r))
		page.WhatToDo, page.Typed = orElse(e.Fix, page.WhatToDo), typed(r)
		if oid := chi.URLParam(r, "id"); r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/users/") && directory.IsID(oid) {
			page.What += " Nothing was called."
			page.WhatToDo += " If it cannot wait, run one of these as yourself, and record it here afterwards as an outside action."
			page.Commands = s.byHand(at(r).who, oid)
		}
		return page
	}
}

// reauthPage sends the operator through sign-in and back. Nothing is replayed: they press the button again.
func (s *Server) reauthPage(r *http.Request, p templates.Page, reauth *operator.ReauthError) templates.ErrorPage {
	v := at(r)
	kept := s.keepDraft(r)
	href := s.signInAgain(r, backTo(r), reauth)
	if reauth.Claims != "" || len(reauth.Scopes) > 0 {
		page := templates.ClaimsChallengeError(p, v.requestID, href, false)
		if reads(r) {
			page.WhatToDo = "Continue to Microsoft. You come back to this page."
		} else if !kept {
			page.Typed = typed(r)
			page.WhatToDo = "Copy what you typed, then continue to Microsoft. You come back to an empty form; nothing is sent until you press the button."
		}
		return page
	}
	page := templates.ReauthRequiredError(p, v.requestID, href, typed(r))
	if reauth.Code != "" {
		page.Why += " Microsoft says " + reauth.Code + "."
	}
	return page
}

// signInAgain is the address of ours that begins the sign-in that Microsoft asks for, and comes back to the page.
func (s *Server) signInAgain(r *http.Request, back string, reauth *operator.ReauthError) string {
	q := url.Values{"return": {back}}
	again, err := s.Auth.Again(reauth)
	if err != nil {
		s.Logger.Error("packing a challenge", "request_id", at(r).requestID, "error", err)
	} else {
		q.Set("again", again)
	}
	return "/auth/signin?" + q.Encode()
}

// wrongMethod answers a known address that is asked in a way that it does not have.
func (s *Server) wrongMethod(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, m := range []string{http.MethodGet, http.MethodPost} {
			if routes.Match(chi.NewRouteContext(), m, r.URL.Path) {
				w.Header().Add("Allow", m)
			}
		}
		page := templates.NotFoundError(s.frame(r, "Not found"), at(r).requestID)
		page.Title, page.What = "This address cannot be used that way", "It takes "+strings.Join(w.Header()["Allow"], " or ")+" requests. Nothing was done."
		if err := render(w, r, http.StatusMethodNotAllowed, templates.Error(page)); err != nil {
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		}
	}
}

// unrouted answers an address that is no page of ours.
func (s *Server) unrouted(w http.ResponseWriter, r *http.Request) {
	if err := render(w, r, http.StatusNotFound, templates.Error(templates.NotFoundError(s.frame(r, ""), at(r).requestID))); err != nil {
		http.Error(w, "not found", http.StatusNotFound)
	}
}

// reads reports whether a request asks for a page; HEAD is answered as GET is.
func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// backTo is the page to which a person returns after a detour: this one, or the form from which they posted.
func backTo(r *http.Request) string {
	if reads(r) && ReturnPath(r.URL.Path) {
		return r.URL.RequestURI()
	}
	if ReturnPath(r.URL.Path) {
		return r.URL.Path
	}
	if p := path.Dir(r.URL.Path); ReturnPath(p) { // "/users/{id}/revoke", "/scopes/{id}/add"
		return p
	}
	return "/"
}

// typed is what the person wrote into a form that could not be taken, as text to copy.
func typed(r *http.Request) []templates.Command {
	if r.Method != http.MethodPost {
		return nil
	}
	var out []templates.Command
	for _, f := range []struct{ field, label string }{
		{templates.FieldWho, "Who"}, {templates.FieldHow, "How"}, {templates.FieldReason, "Reason"}, {templates.FieldTicket, "Ticket"},
		{templates.FieldAccount, "Account"}, {templates.FieldNote, "Note"}, {templates.FieldTitle, "Title"}, {templates.FieldFilter, "Filter"},
		{templates.FieldUnit, "Unit"}, {templates.FieldLines, "List"},
	} {
		if text := r.PostFormValue(f.field); text != "" && len(text) <= maxBody {
			out = append(out, templates.Command{Label: f.label, Text: text})
		}
	}
	return out
}

// signInAddress is the sign-in page for somebody who asked for a page without a session. It says why there is none.
func signInAddress(returnTo string, err error) string {
	q := url.Values{"return": {returnTo}}
	if why := auth.ReasonOf(err); why == auth.ReasonIdle || why == auth.ReasonAbsolute {
		q.Set("ended", string(why))
	}
	return "/signin?" + q.Encode()
}

func orElse(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}
