package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// Previews is what the pages read of lists of people, before and after they run. See revoke.PreviewStore.
type Previews interface {
	Preview(ctx context.Context, id revoke.PreviewID) (revoke.Preview, error)
	Targets(ctx context.Context, id revoke.PreviewID, q revoke.TargetQuery) ([]revoke.Target, error)
	Leftovers(ctx context.Context, id revoke.PreviewID, q revoke.TargetQuery) ([]revoke.Leftover, error)
	Compare(ctx context.Context, before, after revoke.PreviewID, limit int) (revoke.Difference, error)
}

const (
	peoplePerPage = 100
	standingShown = 10  // people left standing that a plan names without being asked
	compareShown  = 200 // people of each side of a comparison
	pageOfAll     = 1000
)

func (s *Server) showPlan(w http.ResponseWriter, r *http.Request) error {
	p, err := s.visiblePreview(r, chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	if p.State != revoke.PreviewReady {
		return s.showExpanding(w, r, p)
	}
	if isFragment(r) { // it was expanding a moment ago: the list is a page of its own
		w.Header().Set("HX-Refresh", "true")
		return nil
	}
	page, err := s.planPage(r, p)
	if err != nil {
		return err
	}
	s.restoreConfirm(r, page.Form)
	return render(w, r, http.StatusOK, templates.Plan(page))
}

func (s *Server) showExpanding(w http.ResponseWriter, r *http.Request, p revoke.Preview) error {
	live := newExpanding(p, at(r).who, s.Now())
	live.Nonce = at(r).nonce
	if isFragment(r) {
		return render(w, r, http.StatusOK, templates.ExpandingLiveView(live))
	}
	return render(w, r, http.StatusOK, templates.Expanding(templates.ExpandingPage{Page: s.frame(r, expandingTitle(p)), Live: live}))
}

// visiblePreview reads a list, if this operator may see it. A miss is "not found", and logged.
func (s *Server) visiblePreview(r *http.Request, id string) (revoke.Preview, error) {
	p, err := s.Previews.Preview(r.Context(), revoke.PreviewID(id))
	switch {
	case errors.Is(err, revoke.ErrNotFound):
		return p, fault.New(fault.NotFound, "There is no such plan. One that was not started is kept for a week.")
	case err != nil:
		return p, unavailable("The plan could not be read: the database does not answer.", err)
	}
	if !seesPreview(at(r).who, p) {
		s.Logger.Warn("a plan that may not be seen was asked for", "plan", id, "oid", at(r).who.OID, "request_id", at(r).requestID)
		return revoke.Preview{}, fault.New(fault.NotFound, "There is no such plan. One that was not started is kept for a week.")
	}
	return p, nil
}

// planPage reads what the page of a ready list shows.
func (s *Server) planPage(r *http.Request, p revoke.Preview) (templates.PlanPage, error) {
	ctx := r.Context()
	v := planView{preview: p, filter: readPlanFilter(r.URL.Query()), who: at(r).who, now: s.Now()}
	var err error
	if v.filter.left {
		v.left, err = s.Previews.Leftovers(ctx, p.ID, v.filter.query(peoplePerPage+1))
	} else {
		v.targets, err = s.Previews.Targets(ctx, p.ID, v.filter.query(peoplePerPage+1))
	}
	if err == nil && p.Left > 0 && !v.filter.left {
		v.standing, err = s.Previews.Leftovers(ctx, p.ID, revoke.TargetQuery{After: -1, Limit: standingShown})
	}
	if err != nil {
		return templates.PlanPage{}, unavailable("The list could not be read: the database does not answer.", err)
	}
	v.quota = s.quota(r)
	if p.Run == "" {
		v.since = s.startedSince(r, p)
	}
	page := newPlanPage(v)
	if p.Parent != "" && !s.seesParent(r, p.Parent) {
		page.CompareHref = ""
	}
	page.Page = s.frame(r, page.Title)
	return page, nil
}

// startedSince counts the runs that anybody started since a list was frozen, up to runsPerPage.
func (s *Server) startedSince(r *http.Request, p revoke.Preview) int {
	runs, err := s.Runs.Runs(r.Context(), revoke.RunQuery{Limit: runsPerPage})
	if err != nil {
		s.Logger.Warn("reading the runs since a list was frozen", "request_id", at(r).requestID, "error", err)
	}
	n := 0
	for _, run := range runs {
		if run.CreatedAt.After(p.ReadyAt) {
			n++
		}
	}
	return n
}

// seesParent reports whether this operator may open the list that another one was made from.
func (s *Server) seesParent(r *http.Request, id revoke.PreviewID) bool {
	p, err := s.Previews.Preview(r.Context(), id)
	return err == nil && seesPreview(at(r).who, p)
}

func seesPreview(who operator.Operator, p revoke.Preview) bool {
	return operator.Visible(who, operator.Object{Kind: operator.PlanObject, Creator: p.Creator.OID, Submitted: p.Run != ""})
}

// quota is the bucket that all runs share; nil when it could not be read: then no page says how long it takes.
func (s *Server) quota(r *http.Request) *revoke.Quota {
	q, err := s.Quota(r.Context())
	if err != nil {
		s.Logger.Warn("reading the quota", "request_id", at(r).requestID, "error", err)
		return nil
	}
	return &q
}

// planFilter is what the address says about the list to show.
type planFilter struct {
	left    bool // the people left out
	cause   revoke.Cause
	flag    revoke.Flag
	verdict string
	text    string
	after   int // -1 from the start
}

const maxFilterText = 100 // characters

func readPlanFilter(v url.Values) planFilter {
	f := planFilter{
		flag: revoke.Flag(v.Get(templates.FieldFlag)), verdict: v.Get(templates.FieldVerdict), text: filterText(v), after: afterOf(v),
	}
	if left := v.Get(templates.FieldLeft); left != "" {
		f.left = true
		if left != allLeft {
			f.cause = revoke.Cause(left)
		}
		f.verdict = ""
	}
	return f
}

// allLeft is the address's word for everybody who was left out.
const allLeft = "all"

func filterText(v url.Values) string {
	text := []rune(strings.TrimSpace(v.Get(templates.FieldText)))
	return string(text[:min(len(text), maxFilterText)])
}

// afterOf reads the keyset's position; what is no position starts at the first.
func afterOf(v url.Values) int {
	n, err := strconv.Atoi(v.Get("after"))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func (f planFilter) query(limit int) revoke.TargetQuery {
	return revoke.TargetQuery{Flag: f.flag, Verdict: f.verdict, Cause: f.cause, Text: f.text, After: f.after, Limit: limit}
}

// confirmPlan starts the run of a list. What cannot be started comes back with the form as it was typed.
func (s *Server) confirmPlan(w http.ResponseWriter, r *http.Request) error {
	p, err := s.visiblePreview(r, chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	given := confirmation(r, p)
	run, err := s.Revoke.Confirm(r.Context(), s.actor(r), p.ID, given)
	if err == nil {
		http.Redirect(w, r, "/runs/"+string(run), http.StatusSeeOther)
		return nil
	}
	_, unrecorded := errors.AsType[*revoke.NotRecordedError](err)
	kind := fault.KindOf(err)
	if !unrecorded && kind != fault.Invalid && kind != fault.Conflict {
		return err
	}
	if now, again := s.visiblePreview(r, string(p.ID)); again == nil {
		p = now
	}
	page, pageErr := s.planPage(r, p)
	if pageErr != nil && unrecorded {
		s.Logger.Error("a run was not recorded", "request_id", at(r).requestID, "plan", string(p.ID), "error", err)
		return fault.New(fault.Unavailable, notStartedWhat+" Nothing was called. What you typed is below.")
	}
	if pageErr != nil {
		return pageErr
	}
	if page.Form == nil && !unrecorded { // expired, or started meanwhile: the error's page gives back what was typed
		return err
	}
	if page.Form != nil {
		fillConfirm(page.Form, given, err)
	}
	status := statusOf[kind]
	switch {
	case unrecorded:
		s.Logger.Error("a run was not recorded", "request_id", at(r).requestID, "plan", string(p.ID), "error", err)
		page.Fault, status = s.notStarted(r, page.CSVAction), http.StatusServiceUnavailable
	case kind == fault.Conflict || page.Form == nil || len(formErrors(page.Form)) == 0:
		_, e := classify(err)
		page.Fault = &templates.Fault{Title: "The run was not started", NothingCalled: true, What: e.Message, WhatToDo: e.Fix}
	}
	return render(w, r, status, templates.Plan(page))
}

// formErrors are the errors that stand beside fields.
func formErrors(f *templates.ConfirmForm) []string {
	return slices.DeleteFunc([]string{f.ReasonError, f.TicketError, f.TypedError, f.UnprotectedError}, func(s string) bool { return s == "" })
}

// confirmation reads the form. Answers are kept for the questions that were asked.
func confirmation(r *http.Request, p revoke.Preview) revoke.Confirmation {
	c := revoke.Confirmation{
		ListDigest: r.PostFormValue(templates.FieldListDigest), Reason: r.PostFormValue(templates.FieldReason),
		Ticket: r.PostFormValue(templates.FieldTicket), Typed: strings.TrimSpace(r.PostFormValue(templates.FieldTyped)),
		NoProtected: r.PostFormValue(templates.FieldNoProtected) == "yes", Answers: map[string]string{},
	}
	for _, q := range p.Warnings() {
		if a := r.PostFormValue(templates.FieldCheck + q.Key); a == "yes" || a == "no" {
			c.Answers[q.Key] = a
		}
	}
	return c
}

const notStartedWhat = "The ledger could not be written, and without a record Evict does not act: the run was not started."

// notStarted explains that the run could not be recorded, and how to do it by hand.
func (s *Server) notStarted(r *http.Request, csv string) *templates.Fault {
	shell := "Connect-MgGraph -Scopes User.RevokeSessions.All" + powerShellCloud[s.Cloud] +
		"\nImport-Csv targets.csv | ForEach-Object { Revoke-MgUserSignInSession -UserId $_.object_id }"
	if s.Rehearsal {
		shell = "# REHEARSAL: do not run this; on a real tenant it would act on the real cloud.\n" + shell
	}
	f := &templates.Fault{
		Title: "The run was not started", NothingCalled: true, RequestID: at(r).requestID, What: notStartedWhat,
		Why: "The database does not answer or refuses to write.",
		WhatToDo: "Try again. If it cannot wait, download the list as CSV, run this as yourself, and record it afterwards as outside actions. " +
			"Should the record turn out to have been saved after all, Evict takes the run up by itself: it then stands under Runs, and a repeat is harmless.",
	}
	if csv != "" {
		f.Commands = []templates.Command{{Label: "Microsoft Graph PowerShell, with targets.csv", Text: shell}}
	}
	return f
}

// restoreConfirm puts reason and ticket from before a sign-in back into the form.
func (s *Server) restoreConfirm(r *http.Request, f *templates.ConfirmForm) {
	if f == nil || at(r).session == nil {
		return
	}
	d, ok, err := at(r).session.TakeDraft(r.Context(), f.Action)
	if err != nil {
		s.Logger.Warn("a draft was not taken", "request_id", at(r).requestID, "error", err)
	}
	if ok {
		f.Reason, f.Ticket, f.DraftRestored = d.Reason, d.Ticket, true
	}
}

// expandAgain makes a new list of the same scope.
func (s *Server) expandAgain(w http.ResponseWriter, r *http.Request) error {
	p, err := s.visiblePreview(r, chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	if p.State == revoke.PreviewExpanding {
		return toPlan(w, r, p.ID)
	}
	parent := p.ID
	if p.State == revoke.PreviewFailed { // it names nobody: there is nothing to compare with
		parent = p.Parent
	}
	id, err := s.Revoke.Preview(r.Context(), s.actor(r), p.Scope, p.Options.For(p.Creator.OID, at(r).who.OID), parent)
	if err != nil {
		return err
	}
	return toPlan(w, r, id)
}

func toPlan(w http.ResponseWriter, r *http.Request, id revoke.PreviewID) error {
	http.Redirect(w, r, "/plans/"+string(id), http.StatusSeeOther)
	return nil
}

// planWithout makes a new list without those who were ticked, and without everybody of a kind.
func (s *Server) planWithout(w http.ResponseWriter, r *http.Request) error {
	p, err := s.visiblePreview(r, chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	scope, options, err := takenOut(p, r.PostForm[templates.FieldOut], revoke.Flag(r.PostFormValue(templates.FieldKindOut)))
	var id revoke.PreviewID
	if err == nil {
		options = options.For(p.Creator.OID, at(r).who.OID)
		id, err = s.Revoke.Preview(r.Context(), s.actor(r), scope, options, p.ID)
	}
	if fault.KindOf(err) != fault.Invalid {
		if err != nil {
			return err
		}
		return toPlan(w, r, id)
	}
	if p.State != revoke.PreviewReady {
		return err
	}
	page, pageErr := s.planPage(r, p)
	if pageErr != nil {
		return pageErr
	}
	_, e := classify(err)
	if page.List.TakeOut == nil {
		return err
	}
	page.List.TakeOut.Error = e.Message
	return render(w, r, http.StatusUnprocessableEntity, templates.Plan(page))
}

// byHandName names the list of those who were taken out one by one.
const byHandName = "people taken out by hand"

// takenOut is a list's scope and options, without some of its people.
func takenOut(p revoke.Preview, oids []string, kind revoke.Flag) (directory.Scope, revoke.PlanOptions, error) {
	scope, options := p.Scope, p.Options
	if len(oids) == 0 && kind == "" {
		return scope, options, fault.Field(templates.FieldOut, "Tick somebody, or choose a kind.")
	}
	for _, oid := range oids {
		if !directory.IsID(oid) {
			return scope, options, fault.Field(templates.FieldOut, "This is not one of the people of the list.")
		}
	}
	if len(oids) > 0 {
		scope.Exclude = excluding(scope.Exclude, oids)
	}
	switch {
	case kind == "":
	case kind == revoke.FlagExternal || kind == revoke.FlagExternal+"?":
		options.IncludeExternal = false
	case kind == revoke.FlagSelf:
		options.IncludeSelf = false
	case p.Counts.Flags[kind] == 0:
		return scope, options, fault.Field(templates.FieldKindOut, "Nobody in this list is of that kind.")
	case !slices.Contains(options.Without, kind):
		options.Without = append(slices.Clone(options.Without), kind)
	}
	return scope, options, nil
}

// excluding adds people to the list of those who were taken out by hand.
func excluding(exclude []directory.Source, oids []string) []directory.Source {
	exclude = slices.Clone(exclude)
	i := slices.IndexFunc(exclude, func(x directory.Source) bool { return x.Kind == directory.ListSource && x.Name == byHandName })
	if i < 0 {
		i = len(exclude)
		exclude = append(exclude, directory.Source{Kind: directory.ListSource, Name: byHandName})
	}
	lines := slices.Clone(exclude[i].Lines)
	for _, oid := range oids {
		if !slices.Contains(lines, oid) {
			lines = append(lines, oid)
		}
	}
	exclude[i].Lines = lines
	return exclude
}

// comparePlans says what changed from one list to the next.
func (s *Server) comparePlans(w http.ResponseWriter, r *http.Request) error {
	after, err := s.visiblePreview(r, chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	before, err := s.visiblePreview(r, chi.URLParam(r, "other"))
	if err != nil {
		return err
	}
	if after.State != revoke.PreviewReady || before.State != revoke.PreviewReady {
		return fault.New(fault.Conflict, "One of the two lists is not ready yet.")
	}
	d, err := s.Previews.Compare(r.Context(), before.ID, after.ID, compareShown)
	if err != nil {
		return unavailable("The lists could not be compared: the database does not answer.", err)
	}
	page := newComparePage(before, after, d, at(r).who, s.Now())
	page.Page = s.frame(r, page.Title)
	return render(w, r, http.StatusOK, templates.Compare(page))
}
