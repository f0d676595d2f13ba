package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-chi/chi/v5"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/revoke"
	"evict/web/templates"
)

const (
	outcomesPerPage = 50 // a page that is read anew every two seconds
	chartPoints     = 120
)

// runOfMany reads what the page of a run of many shows.
func (s *Server) runOfMany(r *http.Request, run revoke.Run) (templates.RunLive, error) {
	ctx := r.Context()
	v := manyView{run: run, filter: readRunFilter(r.URL.Query()), who: at(r).who, cloud: s.Cloud, now: s.Now(), signIn: s.signInFor(r, run)}
	if session := at(r).session; session != nil {
		v.signedIn = session.SignedInAt()
	}
	var err error
	if v.list, err = s.Previews.Preview(ctx, run.Preview); err != nil && !errors.Is(err, revoke.ErrNotFound) {
		return templates.RunLive{}, unreadRun(err)
	}
	if v.samples, err = s.Runs.Samples(ctx, run.ID, chartPoints); err != nil {
		return templates.RunLive{}, unreadRun(err)
	}
	if run.State == revoke.RunRunning { // samples come every two seconds at first
		v.samples = append(v.samples, revoke.Sample{
			At: s.Now(), Begun: run.Next, Final: run.Next - run.Counts.Open(), Confirmed: run.Counts[revoke.Confirmed],
		})
	}
	if v.filter.show == showWaiting {
		v.waiting, err = s.Previews.Targets(ctx, run.Preview, revoke.TargetQuery{
			Text: v.filter.text, After: max(v.filter.after, run.Next-1), Limit: outcomesPerPage + 1,
		})
	} else {
		v.targets, err = s.Runs.RunTargets(ctx, run.ID, revoke.RunTargetQuery{
			States: v.filter.states(), Text: v.filter.text, After: v.filter.after, Limit: outcomesPerPage + 1,
		})
	}
	if err != nil {
		return templates.RunLive{}, unreadRun(err)
	}
	switch {
	case run.State == revoke.RunRunning:
		v.quota = s.quota(r)
		if e := s.lastEvent(r, run.ID, audit.RunResumed); e != nil {
			v.resumed, _ = audit.ParseTime(e.Time) // written by us
		}
	case run.State == revoke.RunPaused && run.Pause == revoke.PauseOperator:
		v.stopped = s.lastEvent(r, run.ID, audit.RunStopping)
	}
	return newManyLive(v), nil
}

// lastEvent is a run's newest event of a kind; nil when there is none, or the ledger does not tell.
func (s *Server) lastEvent(r *http.Request, id revoke.RunID, kind audit.Kind) *audit.Event {
	list, err := s.Ledger.Search(r.Context(), audit.Query{Run: string(id), Kind: kind, Limit: 1})
	if err != nil {
		s.Logger.Warn("reading the events of a run", "run", string(id), "request_id", at(r).requestID, "error", err)
	}
	if len(list.Records) == 0 || list.Records[0].Event.Kind == "" {
		return nil
	}
	return &list.Records[0].Event
}

// runFilter is what the address says about the list to show.
type runFilter struct {
	show  string
	text  string
	after int
}

// The lists of a run of many that are not one outcome's.
const (
	showStanding = "" // whoever was begun and not cut off for sure
	showOpen     = "open"
	showWaiting  = "waiting" // never called
	showAll      = "all"
)

func readRunFilter(v url.Values) runFilter {
	return runFilter{show: v.Get(templates.FieldShow), text: filterText(v), after: afterOf(v)}
}

// states are the outcomes that a list shows; none means all.
func (f runFilter) states() []revoke.State {
	switch f.show {
	case showStanding:
		return standingStates()
	case showOpen:
		return []revoke.State{revoke.Pending, revoke.Attempting, revoke.Accepted}
	case showAll:
		return nil
	default:
		return []revoke.State{revoke.State(f.show)}
	}
}

// standingStates are the outcomes after which a session may live on.
func standingStates() []revoke.State {
	return []revoke.State{revoke.Refused, revoke.Failed, revoke.Unconfirmed, revoke.NotCovered, revoke.Skipped, revoke.Cancelled}
}

func (f runFilter) href(id revoke.RunID) string {
	v := url.Values{}
	if f.show != "" {
		v.Set(templates.FieldShow, f.show)
	}
	if f.text != "" {
		v.Set(templates.FieldText, f.text)
	}
	if f.after >= 0 {
		v.Set("after", strconv.Itoa(f.after))
	}
	if len(v) == 0 {
		return "/runs/" + string(id)
	}
	return "/runs/" + string(id) + "?" + v.Encode()
}

// toRun goes back to the page of the address's run.
func toRun(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "/runs/"+chi.URLParam(r, "id"), http.StatusSeeOther)
	return nil
}

// runError puts an error of the form that tries people again beside it.
func (s *Server) runError(w http.ResponseWriter, r *http.Request, run revoke.Run, err error) error {
	if fault.KindOf(err) != fault.Invalid || run.Preview == "" {
		return err
	}
	live, again := s.runOfMany(r, run)
	if again != nil {
		return again
	}
	if live.Many.Retry == nil {
		return err
	}
	_, e := classify(err)
	live.Many.Retry.Error = e.Message
	return s.renderRun(w, r, http.StatusUnprocessableEntity, live)
}
