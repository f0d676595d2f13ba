package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"evict/internal/auth"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

func (s *Server) showProtected(w http.ResponseWriter, r *http.Request) error {
	page, err := s.protectedPage(r)
	if err != nil {
		return err
	}
	if page.Form != nil && at(r).session != nil {
		s.restoreProtectDraft(r, page.Form)
	}
	page.Page.Flash = protectedDone(page, r.URL.Query().Get("done"))
	return render(w, r, http.StatusOK, templates.Protected(page))
}

func (s *Server) protectedPage(r *http.Request) (templates.ProtectedPage, error) {
	list, err := s.Scopes.Protected(r.Context())
	if err != nil {
		return templates.ProtectedPage{}, unavailable("The list could not be read: the database does not answer.", err)
	}
	page := newProtectedPage(list, at(r).who, s.Now())
	page.Page = s.frame(r, "Protected accounts")
	return page, nil
}

// protectedDone says of the account that was just changed how it stands now, by the list itself; nil for what is no
// account's id.
func protectedDone(page templates.ProtectedPage, oid string) *templates.Flash {
	if !directory.IsID(oid) {
		return nil
	}
	for _, row := range page.Rows {
		if strings.EqualFold(row.Person.ID, oid) {
			return &templates.Flash{Tone: templates.ToneOK, Text: "Done: " + orElse(row.Person.UPN, oid) + " is protected. No plan of many includes it."}
		}
	}
	return &templates.Flash{Tone: templates.ToneOK, Text: "Done: the account " + oid + " is not protected. Plans of many may include it."}
}

// newProtectedPage builds the list; who may not change it gets no forms.
func newProtectedPage(list []revoke.ProtectedAccount, who operator.Operator, now time.Time) templates.ProtectedPage {
	var page templates.ProtectedPage
	for _, a := range list {
		row := templates.ProtectedRow{
			Person: showOwner(a.Person), Kind: a.Kind, Note: a.Note, By: showOwner(a.By), Since: showTime(a.Since, now),
		}
		if who.Roles.MayOpen("user") {
			row.Person.Href = "/users/" + a.OID
		}
		page.Rows = append(page.Rows, row)
	}
	if who.Roles.MayOpen("protected.remove") {
		page.RemoveAction = "/settings/protected/remove"
	}
	if who.Roles.MayOpen("protected.add") {
		page.Form = &templates.ProtectForm{Action: "/settings/protected"}
		for _, kind := range revoke.ProtectedKinds() {
			page.Form.Kinds = append(page.Form.Kinds, templates.Option{Value: kind, Label: upperFirst(kind)})
		}
	}
	return page
}

// addProtected protects an account, or changes what is noted of it. Entra says who it is.
func (s *Server) addProtected(w http.ResponseWriter, r *http.Request) error {
	account, kind := r.PostFormValue(templates.FieldAccount), r.PostFormValue(templates.FieldKind)
	note := r.PostFormValue(templates.FieldNote)
	actor := s.actor(r)
	actor.Tokens = at(r).session.Tokens("User.Read.All") // for somebody without tokens the sign-in asks for it at once
	done, err := s.Revoke.Protect(r.Context(), actor, account, kind, note)
	if fault.KindOf(err) == fault.Invalid {
		page, pageErr := s.protectedPage(r)
		if pageErr != nil {
			return pageErr
		}
		refuseProtect(page.Form, err)
		page.Form.Account, page.Form.Kind, page.Form.Note = account, kind, note
		return render(w, r, http.StatusUnprocessableEntity, templates.Protected(page))
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/settings/protected?done="+url.QueryEscape(done.OID), http.StatusSeeOther)
	return nil
}

// refuseProtect puts the error beside its field.
func refuseProtect(f *templates.ProtectForm, err error) {
	_, e := classify(err)
	switch e.Field {
	case templates.FieldKind:
		f.KindError = e.Message
	case templates.FieldNote:
		f.NoteError = e.Message
	default:
		f.AccountError = e.Message
	}
}

// removeProtected takes an account off the list. One that is off it already is what was wanted.
func (s *Server) removeProtected(w http.ResponseWriter, r *http.Request) error {
	oid := r.PostFormValue(templates.FieldID)
	err := s.Revoke.Unprotect(r.Context(), s.actor(r), oid)
	if err != nil && fault.KindOf(err) != fault.NotFound && !errors.Is(err, revoke.ErrNotFound) {
		return err
	}
	http.Redirect(w, r, "/settings/protected?done="+url.QueryEscape(oid), http.StatusSeeOther)
	return nil
}

// protectDraft is what was typed into the form, for after a sign-in: who only keeps policy holds no Graph token until
// Microsoft is asked for one.
func protectDraft(r *http.Request) auth.Draft {
	return auth.Draft{
		Account: r.PostFormValue(templates.FieldAccount), Kind: r.PostFormValue(templates.FieldKind),
		Reason: r.PostFormValue(templates.FieldNote),
	}
}

func (s *Server) restoreProtectDraft(r *http.Request, f *templates.ProtectForm) {
	d, ok, err := at(r).session.TakeDraft(r.Context(), f.Action)
	if err != nil {
		s.Logger.Warn("a draft was not taken", "request_id", at(r).requestID, "error", err)
	}
	if ok {
		f.Account, f.Kind, f.Note, f.DraftRestored = d.Account, d.Kind, d.Reason, true
	}
}
