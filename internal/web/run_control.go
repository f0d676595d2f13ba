package web

import (
	"net/http"

	"evict/internal/revoke"
	"evict/web/templates"
)

// pauseRun asks a run to pause, or takes that back while it has not come about yet.
func (s *Server) pauseRun(w http.ResponseWriter, r *http.Request) error {
	wish := revoke.WishPause
	if r.PostFormValue(templates.FieldTakeBack) == "yes" {
		wish = revoke.NoWish
	}
	return s.ask(w, r, wish)
}

// cancelRun asks a run to call nobody any more.
func (s *Server) cancelRun(w http.ResponseWriter, r *http.Request) error {
	return s.ask(w, r, revoke.WishCancel)
}

func (s *Server) ask(w http.ResponseWriter, r *http.Request, wish revoke.Wish) error {
	run, err := s.visibleRun(r)
	if err != nil {
		return err
	}
	if err := s.Revoke.Ask(r.Context(), s.actor(r), run.ID, wish); err != nil {
		return err
	}
	return toRun(w, r)
}

// retryRun makes a plan of those whom a run did not cut off.
func (s *Server) retryRun(w http.ResponseWriter, r *http.Request) error {
	run, err := s.visibleRun(r)
	if err != nil {
		return err
	}
	var outcomes []revoke.State
	for _, o := range r.PostForm[templates.FieldOutcome] {
		for _, known := range againStates() {
			if revoke.State(o) == known {
				outcomes = append(outcomes, known)
			}
		}
	}
	id, err := s.Revoke.Again(r.Context(), s.actor(r), run.ID, outcomes)
	if err != nil {
		return s.runError(w, r, run, err)
	}
	return toPlan(w, r, id)
}

// againStates are the outcomes that trying again may change.
func againStates() []revoke.State {
	return []revoke.State{revoke.Refused, revoke.Failed, revoke.Unconfirmed, revoke.Cancelled}
}

// latecomers makes a plan of those who joined a run's scope since.
func (s *Server) latecomers(w http.ResponseWriter, r *http.Request) error {
	run, err := s.visibleRun(r)
	if err != nil {
		return err
	}
	id, err := s.Revoke.Latecomers(r.Context(), s.actor(r), run.ID)
	if err != nil {
		return err
	}
	return toPlan(w, r, id)
}
