package revoke

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
)

// Confirmation is what a person says when they start a run of many.
type Confirmation struct {
	ListDigest  string // as the page showed it: what is confirmed is what was seen
	Reason      string
	Ticket      string
	Typed       string            // the number of targets, needed above TypedAbove
	Answers     map[string]string // to Warnings, by key: "yes", "no"; missing means "unknown"
	NoProtected bool              // acknowledges a tenant-wide plan while no break-glass account is protected
}

// TypedAbove is the number of targets above which it has to be typed in.
const TypedAbove = 25

// Confirm makes a plan of a preview and starts its run. What is confirmed twice runs once: the second time returns the
// same run.
//
// Errors: fault.Invalid with the field at fault ("reason", "ticket", "typed", "no_protected"), fault.Conflict when the
// preview is expired, not ready, or another list than the one shown, *operator.ReauthError, *NotRecordedError.
func (s *Service) Confirm(ctx context.Context, a Actor, id PreviewID, c Confirmation) (RunID, error) {
	p, err := s.store.Preview(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && (p.Creator.OID != a.Who.OID || p.Creator.TID != a.Who.TID) {
		return "", fault.New(fault.NotFound, "There is no such plan of yours.")
	}
	if err != nil {
		return "", err
	}
	if p.Run != "" {
		return p.Run, nil
	}
	protected, err := s.store.Protected(ctx)
	if err != nil {
		return "", err
	}
	p.Facts = p.Facts.guarded(protected) // as it is now: somebody may have set some since
	if c, err = s.check(p, c); err != nil {
		return "", err
	}
	launch, err := s.launchMany(ctx, a, p, c)
	if err != nil {
		return "", err
	}
	fence, err := s.record(ctx, launch)
	switch {
	case errors.Is(err, ErrConflict):
		if p, again := s.store.Preview(ctx, id); again == nil && p.Run != "" {
			return p.Run, nil
		}
		return "", fault.Wrap(fault.Conflict, "This plan has been started or replaced meanwhile. Load the page again.", err)
	case errors.Is(err, ErrEnded):
		return "", fault.Wrap(fault.Unauthenticated, "Your session in this console has ended.", err)
	case err != nil:
		return "", &NotRecordedError{Err: err}
	}
	s.rung(ctx, Slice{Run: fence.Run, Epoch: fence.Epoch + 1})
	return launch.Run.ID, nil
}

// check refuses a confirmation of something else than what would run, and cleans its words.
func (s *Service) check(p Preview, c Confirmation) (Confirmation, error) {
	var err error
	c.Reason, c.Ticket, err = CleanWords(c.Reason, c.Ticket)
	typed := strings.NewReplacer(",", "", ".", "", " ", "", "'", "", "\u00a0", "", "\u202f", "").Replace(c.Typed)
	switch {
	case p.State != PreviewReady:
		err = fault.New(fault.Conflict, "This plan is not ready.")
	case p.Total == 0:
		err = fault.New(fault.Conflict, "This plan has no targets.")
	case !s.now().Before(p.ExpiresAt):
		err = fault.New(fault.Conflict, "This plan is older than 30 minutes. Expand it again to see who it would touch now.")
	case c.ListDigest != p.ListDigest:
		err = fault.New(fault.Conflict, "This is not the list that the page showed. Load the page again.")
	case err != nil:
	case p.Total > TypedAbove && typed != strconv.Itoa(p.Total):
		err = fault.Field("typed", fmt.Sprintf("Type the number of targets, %d, to say that you mean it.", p.Total))
	case p.Unguarded() && !c.NoProtected:
		err = fault.Field("no_protected", "No break-glass account is protected, so yours may be among the targets. Protect them first, or tick the box.")
	}
	return c, err
}

// launchMany builds the plan and the run of a preview, and the events that tell of them.
func (s *Service) launchMany(ctx context.Context, a Actor, p Preview, c Confirmation) (Launch, error) {
	now := s.now()
	plan := Plan{
		ID: PlanID(s.newID()), Cloud: p.Cloud, Tenant: p.Tenant, Creator: p.Creator, Preview: p.ID, Scope: p.Scope,
		Options: p.Options, Checklist: answers(p, c), Incomplete: incomplete(p.Facts.Unread), Reason: c.Reason,
		Ticket: c.Ticket, CreatedAt: now, ExpiresAt: p.ExpiresAt, Total: p.Total, ListDigest: p.ListDigest,
	}.Freeze()
	last, err := s.store.Targets(ctx, p.ID, TargetQuery{After: p.Total - 2, Limit: 1})
	if err != nil {
		return Launch{}, err
	}
	run := Run{
		ID: RunID(s.newID()), Plan: plan.ID, Digest: plan.Digest, Cloud: p.Cloud, Tenant: p.Tenant, State: RunRunning,
		Operator: p.Creator, Address: a.Who.Address, Roles: a.Who.Roles.Strings(), Reason: c.Reason, Ticket: c.Ticket,
		Self: len(last) == 1 && last[0].OID == a.Who.OID, Total: p.Total, CreatedAt: now, DueAt: now, Preview: p.ID,
		Parent: parentRun(p.Scope),
	}
	if _, err := a.Tokens.Token(ctx); err != nil {
		return Launch{}, err
	}
	sealed, expires, err := a.Seal(ctx, run.Ref())
	if err != nil {
		return Launch{}, err
	}
	created := run.event(audit.PlanCreated, s.newID(), now)
	created.Detail = map[string]string{
		"digest": plan.Digest, "list_digest": plan.ListDigest, "preview": string(p.ID), "targets": strconv.Itoa(p.Total),
		"left_out": strconv.Itoa(p.Left), "expires": audit.FormatTime(plan.ExpiresAt),
	}
	for _, check := range plan.Checklist {
		created.Detail["check_"+check.Key] = check.Answer
	}
	if len(plan.Incomplete) > 0 {
		created.Detail["incomplete"] = cut(strings.Join(plan.Incomplete, "; "), maxMessage)
	}
	if p.TenantWide() {
		created.Detail["tenant_wide"] = "yes"
	}
	started := run.event(audit.RunStarted, s.newID(), now)
	started.Outcome = string(RunRunning)
	return Launch{
		Plan: plan, Run: run, Token: sealed, TokenExpires: expires, Session: a.Session, Now: now,
		Events: []audit.Event{created, started},
	}, nil
}

// incomplete says which sources could not be read whole, as the plan's digest covers it.
func incomplete(list []directory.Unread) []string {
	out := make([]string, len(list))
	for i, u := range list {
		out[i] = u.What + ": " + u.Why
	}
	return out
}

// parentRun is the run whose targets a scope takes up again.
func parentRun(scope directory.Scope) RunID {
	for _, source := range scope.Include {
		if source.Kind == directory.RunSource {
			return RunID(source.ID)
		}
	}
	return ""
}

// Warning is something about the tenant that is asked before a run of many: what would let the adversary straight back
// in (CISA COUN7ER, CM0077).
type Warning struct {
	Key, Text, Fix string
}

// Warnings are the checklist for a preview.
func (p Preview) Warnings() []Warning {
	var out []Warning
	if len(p.Facts.Federated) > 0 || !p.Facts.FederatedRead {
		out = append(out,
			Warning{
				"signing_certificates", "Have the token-signing certificates of AD FS been replaced?",
				"Whoever holds a stolen one signs in as anybody, also after this. Replace them first, twice in a row.",
			},
			Warning{
				"federation", "Have the federation settings of every domain been checked for changes?",
				"A domain that was federated by the adversary signs anybody in.",
			})
	}
	out = append(out, Warning{
		"app_credentials", "Have the credentials of applications that the adversary could reach been rotated?",
		"Revoking people leaves applications as they are: a secret that was added to one goes on working (CM0076).",
	})
	if p.Facts.BreakGlass == 0 {
		out = append(out, Warning{
			"break_glass", "Can a break-glass account sign in that is not among the targets?",
			"None is protected here. An administrator can set some under Settings, Protected accounts.",
		})
	}
	return out
}

// answers joins the checklist with what was answered; whatever is not a plain yes or no is unknown. An acknowledgement
// that was needed is part of it.
func answers(p Preview, c Confirmation) []Check {
	var out []Check
	for _, w := range p.Warnings() {
		check := Check{Key: w.Key, Text: w.Text, Answer: "unknown"}
		if a := c.Answers[w.Key]; a == "yes" || a == "no" {
			check.Answer = a
		}
		out = append(out, check)
	}
	if p.Unguarded() {
		out = append(out, Check{
			Key: "no_protected_accounts", Text: "Half of the tenant or more, and no break-glass account is protected: acknowledged?", Answer: "yes",
		})
	}
	return out
}

// TenantWide reports whether a preview cuts half of the enabled accounts that sign in here, or more. Where their
// number is not known, every list of more than TypedAbove people counts as such.
func (p Preview) TenantWide() bool {
	if p.Facts.EnabledInternal > 0 {
		return 2*p.Counts.Enabled >= p.Facts.EnabledInternal
	}
	return p.Total > TypedAbove
}

// Unguarded reports whether a preview is tenant-wide while no break-glass account is protected (rule 6).
func (p Preview) Unguarded() bool { return p.TenantWide() && p.Facts.BreakGlass == 0 }

// guarded is the facts with the protected accounts as they are now.
func (f Facts) guarded(list []ProtectedAccount) Facts {
	f.Protected, f.BreakGlass = len(list), 0
	for _, a := range list {
		if a.Kind == breakGlass {
			f.BreakGlass++
		}
	}
	return f
}
