package revoke

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
)

// Expander expands scopes: *directory.Service.
type Expander interface {
	Expand(ctx context.Context, r directory.ExpandRequest) (directory.Expansion, error)
}

const (
	// expandBeat is how often an expansion says that it goes on; one that is silent for expandSilence is over.
	expandBeat    = 10 * time.Second
	expandSilence = time.Minute
	expandFor     = 2 * time.Hour      // 100,000 lines at the pace of a throttled Graph
	maxExpanding  = 3                  // of one person at the same time
	keepPreviews  = 7 * 24 * time.Hour // of those that never became a run
	tokenMargin   = 5 * time.Second
)

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

// actorEvent is an event of a person at the console, outside of any run.
func (s *Service) actorEvent(kind audit.Kind, who operator.Operator) audit.Event {
	r := Run{Cloud: s.cloud, Tenant: s.tenant, Operator: personOf(who), Address: who.Address, Roles: who.Roles.Strings()}
	return r.event(kind, s.newID(), s.now())
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

// visible reads a run that the person may open.
func (s *Service) visible(ctx context.Context, who operator.Operator, id RunID) (Run, error) {
	run, err := s.store.Run(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil &&
		!operator.Visible(who, operator.Object{Kind: operator.RunObject, Creator: run.Operator.OID}) {
		return Run{}, fault.New(fault.NotFound, "There is no such run.")
	}
	return run, err
}

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

const breakGlass = "break-glass"

// ProtectedKinds are the kinds of protected account, for a form.
func ProtectedKinds() []string { return []string{breakGlass, "sync", "service", "other"} }

// Protect adds an account to those that no plan of many includes, or changes its note. idOrUPN is resolved by Entra,
// and the account is kept by object id (rules 6 and 11).
func (s *Service) Protect(ctx context.Context, a Actor, idOrUPN, kind, note string) (ProtectedAccount, error) {
	idOrUPN, note = strings.TrimSpace(idOrUPN), plain(note)
	known := false
	for _, k := range ProtectedKinds() {
		known = known || k == kind
	}
	switch {
	case idOrUPN == "":
		return ProtectedAccount{}, fault.Field("account", "Give the account's sign-in name or object id.")
	case !known:
		return ProtectedAccount{}, fault.Field("kind", "Choose what kind of account it is.")
	case len([]rune(note)) > MaxReason:
		return ProtectedAccount{}, fault.Field("note", fmt.Sprintf("At most %d characters.", MaxReason))
	}
	user, _, err := s.users.User(ctx, operator.With(a.Tokens, "User.Read.All"), idOrUPN)
	if call, ok := errors.AsType[*directory.CallError](err); ok && (call.Status == 404 || call.Status == 400) || fault.KindOf(err) == fault.Invalid {
		return ProtectedAccount{}, fault.Field("account", "There is no such account in the directory.")
	}
	if err != nil {
		return ProtectedAccount{}, err
	}
	p := ProtectedAccount{
		Person: Person{OID: user.ID, UPN: user.UPN, Name: user.Name}, Kind: kind, Note: note, By: personOf(a.Who), Since: s.now(),
	}
	e := s.actorEvent(audit.SettingsChanged, a.Who)
	e.Target = &audit.Person{OID: p.OID, UPN: p.UPN, Name: p.Name}
	e.Detail = map[string]string{"protected_account": "added", "kind": kind, "note": note}
	return p, s.store.Protect(ctx, p, []audit.Event{e})
}

// Unprotect takes an account off that list; fault.NotFound when it is not on it.
func (s *Service) Unprotect(ctx context.Context, a Actor, oid string) error {
	list, err := s.store.Protected(ctx)
	if err != nil {
		return err
	}
	for _, p := range list {
		if !strings.EqualFold(p.OID, oid) {
			continue
		}
		e := s.actorEvent(audit.SettingsChanged, a.Who)
		e.Target = &audit.Person{OID: p.OID, UPN: p.UPN, Name: p.Name}
		e.Detail = map[string]string{"protected_account": "removed", "kind": p.Kind}
		err := s.store.Unprotect(ctx, p.OID, []audit.Event{e})
		if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return fault.New(fault.NotFound, "That account is not on the list.")
}

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
