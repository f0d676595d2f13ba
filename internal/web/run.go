package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

const runsPerPage = 50

func (s *Server) listRuns(w http.ResponseWriter, r *http.Request) error {
	q := revoke.RunQuery{Before: revoke.RunID(r.URL.Query().Get("before")), Limit: runsPerPage + 1}
	scope := "All runs, newest first."
	if !seesAll(at(r).who) {
		q.Operator, scope = at(r).who.OID, "Your own runs, newest first."
	}
	runs, err := s.Runs.Runs(r.Context(), q)
	if err != nil {
		return unavailable("The runs could not be read: the database does not answer.", err)
	}
	page := templates.RunsPage{Page: s.frame(r, "Runs"), Scope: scope}
	if len(runs) > runsPerPage {
		runs = runs[:runsPerPage]
		page.Older = "/runs?before=" + string(runs[runsPerPage-1].ID)
	}
	if q.Before != "" {
		page.Newer = "/runs"
	}
	page.Rows = runRows(runs, s.Now())
	return render(w, r, http.StatusOK, templates.Runs(page))
}

// seesAll asks Visible about somebody else's run.
func seesAll(who operator.Operator) bool {
	return operator.Visible(who, operator.Object{Kind: operator.RunObject, Creator: "someone else"})
}

func (s *Server) showRun(w http.ResponseWriter, r *http.Request) error {
	run, err := s.visibleRun(r)
	if err != nil {
		return err
	}
	if run.Preview != "" {
		live, err := s.runOfMany(r, run)
		if err != nil {
			return err
		}
		return s.renderRun(w, r, http.StatusOK, live)
	}
	targets, err := s.Runs.RunTargets(r.Context(), run.ID, revoke.RunTargetQuery{After: -1, Limit: 1})
	if err != nil {
		return unreadRun(err)
	}
	v := at(r)
	live := newRunLive(run, targets, s.signInFor(r, run), s.Cloud, s.Now())
	history, err := s.Ledger.Search(r.Context(), audit.Query{Run: string(run.ID), Limit: 100})
	if err != nil {
		return unavailable("What happened could not be read: the database does not answer.", err)
	}
	live.Timeline = timeline(history.Records, v.who.Roles.MayOpen("ledger"), s.Now())
	if v.session.SignedInAt().After(lastChange(targets)) && len(live.Actions) > 0 {
		live.Notes = []templates.Note{{Tone: templates.ToneOK, Title: "You have signed in again", Text: "Press Resume, and the run goes on."}}
	}
	if !v.who.Roles.MayOpen("user") {
		live.AgainHref = ""
		for i := range live.Targets {
			live.Targets[i].Person.Href, live.Targets[i].Link = "", templates.Link{}
		}
	}
	return s.renderRun(w, r, http.StatusOK, live)
}

// renderRun answers with the run's page, or with the part of it that changes.
func (s *Server) renderRun(w http.ResponseWriter, r *http.Request, status int, live templates.RunLive) error {
	live.Nonce = at(r).nonce
	if at(r).who.Roles.MayOpen("ledger") {
		live.LedgerHref = "/ledger?run=" + live.ID
	}
	if isFragment(r) {
		return render(w, r, status, templates.RunLiveView(live))
	}
	return render(w, r, status, templates.Run(templates.RunPage{Page: s.frame(r, live.Title), Live: live}))
}

func unreadRun(err error) error {
	return unavailable("The run could not be read: the database does not answer. Work on it goes on or is taken up again by itself.", err)
}

// lastChange is when the run last moved.
func lastChange(targets []revoke.RunTarget) (at time.Time) {
	for _, t := range targets {
		if t.UpdatedAt.After(at) {
			at = t.UpdatedAt
		}
	}
	return at
}

// signInFor is where the operator of a paused run signs in again so that it can go on; "" for everybody else.
func (s *Server) signInFor(r *http.Request, run revoke.Run) string {
	who := at(r).who
	if run.Pause != revoke.PauseNeedSignIn || who.OID != run.Operator.OID || !run.Self && !who.Acts() {
		return ""
	}
	return s.signInAgain(r, "/runs/"+string(run.ID), &operator.ReauthError{Claims: run.Claims})
}

// visibleRun reads the run of the address, if this operator may see it. A miss is "not found", and logged.
func (s *Server) visibleRun(r *http.Request) (revoke.Run, error) {
	id := chi.URLParam(r, "id")
	run, err := s.Runs.Run(r.Context(), revoke.RunID(id))
	switch {
	case errors.Is(err, revoke.ErrNotFound):
		return run, fault.New(fault.NotFound, "There is no such run.")
	case err != nil:
		return run, unreadRun(err)
	}
	if !operator.Visible(at(r).who, operator.Object{Kind: operator.RunObject, Creator: run.Operator.OID}) {
		s.Logger.Warn("a run that may not be seen was asked for", "run", id, "oid", at(r).who.OID, "request_id", at(r).requestID)
		return revoke.Run{}, fault.New(fault.NotFound, "There is no such run.")
	}
	return run, nil
}

// lastOf makes a run that touched somebody, among others perhaps, show what became of that person.
func (s *Server) lastOf(ctx context.Context, run revoke.RunSummary, oid, upn string) revoke.RunSummary {
	if run.First.OID == oid {
		return run
	}
	run.First = revoke.RunTarget{}
	same, err := s.Runs.RunTargets(ctx, run.ID, revoke.RunTargetQuery{Text: upn, After: -1, Limit: pageOfAll})
	if err != nil {
		s.Logger.Warn("reading what became of a person", "run", string(run.ID), "oid", oid, "error", err)
	}
	for _, t := range same {
		if t.OID == oid {
			run.First = t
		}
	}
	return run
}

// resumeRun goes on with the operator's own paused run, by their click.
func (s *Server) resumeRun(w http.ResponseWriter, r *http.Request) error {
	run, err := s.visibleRun(r)
	if err != nil {
		return err
	}
	id, actor := chi.URLParam(r, "id"), s.actor(r)
	if run.Self {
		actor = s.self(r)
	}
	done, err := s.Revoke.Resume(r.Context(), actor, revoke.RunID(id))
	if err != nil {
		return err
	}
	waitFor(r.Context(), done)
	http.Redirect(w, r, "/runs/"+id, http.StatusSeeOther)
	return nil
}

func unavailable(message string, err error) error { return fault.Wrap(fault.Unavailable, message, err) }
