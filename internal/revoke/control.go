package revoke

import (
	"context"
	"errors"
	"fmt"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
)

// actorEvent is an event of a person at the console, outside of any run.
func (s *Service) actorEvent(kind audit.Kind, who operator.Operator) audit.Event {
	r := Run{Cloud: s.cloud, Tenant: s.tenant, Operator: personOf(who), Address: who.Address, Roles: who.Roles.Strings()}
	return r.event(kind, s.newID(), s.now())
}

// visible reads a run that the person may open.
func (s *Service) visible(ctx context.Context, who operator.Operator, id RunID) (Run, error) {
	run, err := s.store.Run(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil &&
		!operator.Visible(who, operator.Object{Kind: operator.RunObject, Creator: run.Operator.OID}) {
		return Run{}, fault.New(fault.NotFound, "There is no such run.")
	}
	return run, err
}

// Ask pauses or cancels a run, or (NoWish) takes back a pause that has not come about yet. Calls that were made are
// still read back. The run's operator and every Lead may ask it.
func (s *Service) Ask(ctx context.Context, a Actor, id RunID, wish Wish) error {
	run, err := s.visible(ctx, a.Who, id)
	if err != nil {
		return err
	}
	if !a.Who.Roles.Has(operator.Lead) {
		return fault.New(fault.Forbidden, "Your console role does not let you stop runs.")
	}
	asked := run
	asked.Operator, asked.Address, asked.Roles = personOf(a.Who), a.Who.Address, a.Who.Roles.Strings()
	kind := audit.RunStopping
	if wish == NoWish {
		kind = audit.RunResumed
	}
	e := asked.event(kind, s.newID(), s.now())
	if wish != NoWish {
		e.Detail = map[string]string{"asked": string(wish)}
	}
	switch {
	case run.State == RunRunning && (wish != NoWish || run.Wish == WishPause):
		err = s.store.Ask(ctx, id, wish, []audit.Event{e})
	case run.State == RunPaused && wish == WishCancel:
		return s.abandon(ctx, run, "Cancelled by "+a.Who.UPN+" while it was paused.", e)
	default:
		err = ErrConflict
	}
	if errors.Is(err, ErrConflict) {
		return fault.Wrap(fault.Conflict, "The run has moved on meanwhile. Load the page again.", err)
	}
	return err
}

// PauseOwn asks every running run of many of a person to pause: they are signing out.
func (s *Service) PauseOwn(ctx context.Context, who operator.Operator) error {
	open, err := s.store.Runs(ctx, RunQuery{Operator: who.OID, Open: true, Limit: 200})
	if err != nil {
		return fmt.Errorf("listing one's own runs: %w", err)
	}
	for _, r := range open {
		if r.Preview == "" || r.State != RunRunning || r.Wish != NoWish {
			continue
		}
		r.Address, r.Roles = who.Address, who.Roles.Strings()
		e := r.event(audit.RunStopping, s.newID(), s.now())
		e.Detail = map[string]string{"asked": string(WishPause), "cause": "signed out"}
		if err := s.store.Ask(ctx, r.ID, WishPause, []audit.Event{e}); err != nil && !errors.Is(err, ErrConflict) {
			return fmt.Errorf("pausing run %s: %w", r.ID, err)
		}
	}
	return nil
}

// Again begins a preview of a run's targets that ended with one of the outcomes (Refused, Failed, Unconfirmed ...;
// Cancelled stands for those whose turn never came too), to try them again.
func (s *Service) Again(ctx context.Context, a Actor, id RunID, outcomes []State) (PreviewID, error) {
	run, plan, err := s.planOf(ctx, a, id)
	if err != nil {
		return "", err
	}
	if len(outcomes) == 0 {
		return "", fault.Field("outcome", "Choose at least one outcome to try again.")
	}
	names := make([]string, len(outcomes))
	for i, o := range outcomes {
		names[i] = string(o)
	}
	scope := directory.Scope{Include: []directory.Source{{
		Kind: directory.RunSource, ID: string(run.ID), Name: run.name(), Outcomes: names,
	}}}
	return s.Preview(ctx, a, scope, plan.Options.For(plan.Creator.OID, a.Who.OID), run.Preview)
}

// Latecomers expands a run's scope again and leaves out whom the run had: who joined since.
func (s *Service) Latecomers(ctx context.Context, a Actor, id RunID) (PreviewID, error) {
	run, plan, err := s.planOf(ctx, a, id)
	if err != nil {
		return "", err
	}
	scope := plan.Scope
	scope.Exclude = append(append([]directory.Source{}, scope.Exclude...),
		directory.Source{Kind: directory.RunSource, ID: string(run.ID), Name: run.name()})
	return s.Preview(ctx, a, scope, plan.Options.For(plan.Creator.OID, a.Who.OID), run.Preview)
}

func (s *Service) planOf(ctx context.Context, a Actor, id RunID) (Run, Plan, error) {
	run, err := s.visible(ctx, a.Who, id)
	if err != nil {
		return Run{}, Plan{}, err
	}
	plan, err := s.store.Plan(ctx, run.Plan)
	return run, plan, err
}

// name names a run for people, behind the word "run".
func (r Run) name() string { return "of " + r.CreatedAt.UTC().Format("2006-01-02 15:04") + " UTC" }

// Tidy does what has to be done now and then: it cancels runs that nobody went on with, and clears away expansions that
// died and previews that nobody used.
func (s *Service) Tidy(ctx context.Context) error {
	now := s.now()
	return errors.Join(
		s.CancelStale(ctx),
		s.store.StalePreviews(ctx, now.Add(-expandSilence), "The console stopped while it was reading. Expand again.", now),
		s.store.PurgePreviews(ctx, now.Add(-keepPreviews)),
	)
}
