package revoke

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
)

const (
	// expandBeat is how often an expansion says that it goes on; one that is silent for expandSilence is over.
	expandBeat    = 10 * time.Second
	expandSilence = time.Minute
	expandFor     = 2 * time.Hour      // 100,000 lines at the pace of a throttled Graph
	maxExpanding  = 3                  // of one person at the same time
	keepPreviews  = 7 * 24 * time.Hour // of those that never became a run
	tokenMargin   = 5 * time.Second
)

// Expander expands scopes: *directory.Service.
type Expander interface {
	Expand(ctx context.Context, r directory.ExpandRequest) (directory.Expansion, error)
}

// Preview begins to expand a scope and returns at once; the preview's page shows how far it is. parent is the preview
// that this one goes back to, or "". The error is fault.Invalid for a scope that leads nowhere.
func (s *Service) Preview(ctx context.Context, a Actor, scope directory.Scope, o PlanOptions, parent PreviewID) (PreviewID, error) {
	switch {
	case len(scope.Include) == 0:
		return "", fault.Field("include", "Add at least one source: a user, a group, a role, a list.")
	case len(scope.Include)+len(scope.Exclude) > directory.MaxSources:
		return "", fault.Field("include", fmt.Sprintf("A scope has at most %d sources.", directory.MaxSources))
	case linesOf(scope) > directory.MaxLines:
		return "", fault.Field("include", fmt.Sprintf("The lists of a scope have at most %d lines together.", directory.MaxLines))
	}
	latest, err := s.store.Previews(ctx, a.Who.OID, 4*maxExpanding)
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, "The list could not be begun: the database does not answer.", err)
	}
	busy := 0
	for _, p := range latest {
		if p.State == PreviewExpanding {
			busy++
		}
	}
	if busy >= maxExpanding {
		return "", fault.New(fault.Throttled, fmt.Sprintf("%d lists of yours are being made already. Wait until one of them is ready.", busy))
	}
	now := s.now()
	p := Preview{
		ID: PreviewID(s.newID()), Parent: parent, Cloud: s.cloud, Tenant: s.tenant, Creator: personOf(a.Who), Scope: scope,
		Options: o, State: PreviewExpanding, CreatedAt: now, BeatAt: now,
	}
	if err := s.store.BeginPreview(ctx, p); err != nil {
		return "", fault.Wrap(fault.Unavailable, "The list could not be begun: the database does not answer.", err)
	}
	s.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, expandFor)
		defer cancel()
		go func() { // a shutdown does not wait for a list
			select {
			case <-s.stop:
				cancel()
			case <-ctx.Done():
			}
		}()
		s.fill(ctx, a, p)
	})
	return p.ID, nil
}

// linesOf counts the lines of a scope's lists.
func linesOf(scope directory.Scope) (n int) {
	for _, source := range slices.Concat(scope.Include, scope.Exclude) {
		n += len(source.Lines)
	}
	return n
}

func personOf(o operator.Operator) Person {
	return Person{OID: o.OID, TID: o.TID, UPN: o.UPN, Name: o.Name}
}

// fill expands a preview's scope and freezes the list, or says why it could not.
func (s *Service) fill(ctx context.Context, a Actor, p Preview) {
	err := s.tryFill(ctx, a, p)
	if err == nil || errors.Is(err, ErrConflict) { // in conflict: it was taken for dead meanwhile, and says so
		return
	}
	s.log.Warn("an expansion failed", "preview", string(p.ID), "error", err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenMargin)
	defer cancel()
	if err := s.store.FailPreview(ctx, p.ID, expandWords(err), s.now()); err != nil {
		s.log.Warn("a failed expansion could not be marked", "preview", string(p.ID), "error", err)
	}
}

// expandWords say why an expansion failed.
func expandWords(err error) string {
	if reauth, ok := errors.AsType[*operator.ReauthError](err); ok {
		return firstOf("Microsoft asks you to sign in again (" + reauth.Code + "). Sign out, sign in, and expand again.")
	}
	if errors.Is(err, context.Canceled) {
		return "The console was stopped meanwhile. Expand again."
	}
	return firstOf(wordsOf(err), "The directory could not be read. Expand again in a moment.")
}

func (s *Service) tryFill(ctx context.Context, a Actor, p Preview) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var doing atomic.Pointer[string]
	add := func(ctx context.Context, list []Candidate) error {
		_, err := s.store.AddCandidates(ctx, p.ID, list, *doing.Load(), s.now())
		return err
	}
	tell := func(what string) {
		doing.Store(&what)
		if err := add(ctx, nil); err != nil {
			cancel(err)
		}
	}
	tell("Beginning")
	go func() { // a source may take its time: the page should not think that the process is gone
		beat := time.NewTicker(expandBeat)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
				_ = add(ctx, nil) // what ails the database, the next page of hits says
			}
		}
	}()
	found, err := s.expand.Expand(ctx, directory.ExpandRequest{
		Tokens: a.Tokens, Operator: a.Who, Scope: p.Scope, Former: s.former(a.Who), Doing: tell,
		Take: func(ctx context.Context, hits []directory.Hit) error {
			list := make([]Candidate, len(hits))
			for i, h := range hits {
				list[i] = candidateOf(h, a.Who)
			}
			return add(ctx, list)
		},
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	protected, err := s.store.Protected(ctx)
	if err != nil {
		return err
	}
	facts := Facts{
		Unread: found.Unread, FlagsUnread: found.FlagsUnread, Aside: found.Aside, Lines: found.Lines, Matched: found.Matched,
		EnabledInternal: found.EnabledInternal, Federated: found.Federated, FederatedRead: found.FederatedRead,
	}.guarded(protected)
	tell("Numbering the targets")
	_, err = s.store.Freeze(ctx, p.ID, facts, s.now(), func(p Preview) []audit.Event { return s.previewed(a.Who, p) })
	return err
}

// previewed tells that a list was made.
func (s *Service) previewed(who operator.Operator, p Preview) []audit.Event {
	e := s.actorEvent(audit.PlanPreviewed, who)
	e.Plan = string(p.ID)
	e.Detail = map[string]string{
		"targets": strconv.Itoa(p.Total), "left_out": strconv.Itoa(p.Left), "list_digest": p.ListDigest,
		"expires": audit.FormatTime(p.ExpiresAt),
	}
	if n := len(p.Facts.Unread); n > 0 {
		e.Detail["incomplete_sources"] = strconv.Itoa(n)
	}
	return []audit.Event{e}
}

// candidateOf makes a candidate of a hit.
func candidateOf(h directory.Hit, who operator.Operator) Candidate {
	t := targetOf(h.User, who)
	t.Reasons = []string{h.Reason}
	t.flag(h.Privileged, FlagPrivileged)
	t.flag(h.Federated, FlagFederated)
	t.Verdict, t.Because = h.Prediction.Verdict.String(), h.Prediction.Because
	if h.Prediction.Fix != "" {
		t.Because += " " + h.Prediction.Fix
	}
	return Candidate{
		Target: t, Excluded: h.Excluded,
		Inside: h.User.Enabled == directory.Yes && h.User.SignsInElsewhere() == directory.No,
	}
}

// former lists the people of a former run, for a scope that goes back to it.
func (s *Service) former(who operator.Operator) directory.FormerTargets {
	return func(ctx context.Context, id string, outcomes []string, take func([]string) error) error {
		run, err := s.visible(ctx, who, RunID(id))
		if err != nil {
			return err
		}
		if len(outcomes) == 0 {
			return s.planned(ctx, run, 0, take)
		}
		states := make([]State, len(outcomes))
		all := false
		for i, o := range outcomes {
			states[i] = State(o)
			all = all || states[i] == Cancelled
		}
		after := -1
		for {
			page, err := s.store.RunTargets(ctx, run.ID, RunTargetQuery{States: states, After: after, Limit: formerPage})
			if err != nil {
				return err
			}
			oids := make([]string, len(page))
			for i, t := range page {
				oids[i], after = t.OID, t.Pos
			}
			if err := take(oids); err != nil {
				return err
			}
			if len(page) < formerPage {
				break
			}
		}
		if all { // those whose turn never came
			return s.planned(ctx, run, run.Next, take)
		}
		return nil
	}
}

const formerPage = 1000

// planned lists the people of a run's plan from a position on.
func (s *Service) planned(ctx context.Context, run Run, from int, take func([]string) error) error {
	if run.Preview == "" {
		targets, err := s.store.RunTargets(ctx, run.ID, RunTargetQuery{After: from - 1, Limit: formerPage})
		if err != nil || len(targets) == 0 {
			return err
		}
		return take([]string{targets[0].OID})
	}
	for after := from - 1; ; {
		page, err := s.store.Targets(ctx, run.Preview, TargetQuery{After: after, Limit: formerPage})
		if err != nil {
			return err
		}
		oids := make([]string, len(page))
		for i, t := range page {
			oids[i], after = t.OID, t.Pos
		}
		if err := take(oids); err != nil {
			return err
		}
		if len(page) < formerPage {
			return nil
		}
	}
}
