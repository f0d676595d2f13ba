package revoke

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
)

// Limits of what an operator types, in characters.
const (
	MaxReason = 500
	MaxTicket = 100
)

// Users reads one user by object id, with the operator's own token.
type Users interface {
	User(ctx context.Context, t operator.TokenSource, idOrUPN string) (directory.User, directory.Answer, error)
}

// Actor is the operator at work: who they are, their tokens, and how their token cache is sealed for a run.
type Actor struct {
	Who    operator.Operator
	Tokens operator.TokenSource
	Seal   func(ctx context.Context, ref operator.RunRef) (sealed []byte, expires time.Time, err error)
	// Session is the console session that asks; what it asks for is not begun once it has ended. Nil when there is none.
	Session []byte
}

// Service starts and resumes runs. Its workers outlive the requests that start them; Drain waits for them.
type Service struct {
	store  Store
	users  Users
	expand Expander
	ring   func(ctx context.Context, s Slice) error
	graph  Graph
	engine *Engine
	cloud  string
	tenant string
	owner  string
	now    func() time.Time
	newID  func() string
	log    *slog.Logger

	work    context.Context // ends when the process gives up on its workers
	stop    chan struct{}
	workers sync.WaitGroup
}

// Options are what a Service is made of. All fields are needed.
type Options struct {
	Store  Store
	Users  Users
	Expand Expander
	// Ring asks for a slice to be worked soon, by this process or another one. Nothing is lost when it fails: the sweep
	// finds what is due.
	Ring   func(ctx context.Context, s Slice) error
	Graph  Graph
	Tokens Tokens
	Cloud  string
	Tenant string // GUID
	Owner  string // names this process in leases; unique among replicas
	Now    func() time.Time
	NewID  func() string // UUIDv7
	Sleep  func(ctx context.Context, d time.Duration) error
	Logger *slog.Logger
}

// NewService returns a service whose workers stop when ctx ends.
func NewService(ctx context.Context, o Options) *Service {
	stop := make(chan struct{})
	return &Service{
		stop:  stop,
		store: o.Store, users: o.Users, expand: o.Expand, ring: o.Ring, graph: o.Graph, cloud: o.Cloud, tenant: o.Tenant, owner: o.Owner,
		now: o.Now, newID: o.NewID, log: o.Logger, work: ctx,
		engine: NewEngine(EngineOptions{
			Store: o.Store, Graph: o.Graph, Tokens: o.Tokens, Owner: o.Owner,
			Now: o.Now, NewID: o.NewID, Sleep: o.Sleep, Stop: stop, Logger: o.Logger,
		}),
	}
}

// Request asks to revoke the sessions of one user.
type Request struct {
	Target          string // object id; ignored when Self
	Self            bool   // the operator's own account, through /me
	Reason          string
	Ticket          string
	IncludeExternal bool // insisted on an external account: the outcome will be "not covered"
}

// NotRecordedError says that the intent could not be written to the ledger, so nothing was called (rule 1).
type NotRecordedError struct {
	Target Target
	Err    error
}

// Error says so, with the store's cause.
func (e *NotRecordedError) Error() string {
	return fmt.Sprintf("the intent to revoke %s was not recorded: %v", e.Target.OID, e.Err)
}

// Unwrap returns the store's error.
func (e *NotRecordedError) Unwrap() error { return e.Err }

// RevokeOne freezes a plan of one target, records it with its run and the intent of the first attempt in one
// transaction, and starts the work. It returns when that is recorded; done is closed when the run has ended, paused,
// or will wait for a while.
//
// Errors: fault.Invalid with the field at fault, fault.NotFound, *operator.ReauthError, *directory.CallError, and
// *NotRecordedError; in none of these cases was a revocation called.
func (s *Service) RevokeOne(ctx context.Context, a Actor, req Request) (id RunID, done <-chan struct{}, err error) {
	if req.Reason, req.Ticket, err = CleanWords(req.Reason, req.Ticket); err != nil {
		return "", nil, err
	}
	if req.Self || req.Target == a.Who.OID { // one's own account always goes through /me (rule 7)
		req.Self, req.Target = true, a.Who.OID
	}
	user, _, err := s.users.User(ctx, a.Tokens, req.Target)
	if err != nil {
		return "", nil, notFound(err)
	}
	target := targetOf(user, a.Who)
	if target.External() && !req.IncludeExternal {
		return "", nil, fault.Field("external_ok", "This account counts as external: revoking here leaves a session at its home tenant alive. Tick the box to call Microsoft all the same.")
	}
	launch, err := s.launch(ctx, a, req, target)
	if err != nil {
		return "", nil, err
	}
	fence, err := s.record(ctx, launch)
	if errors.Is(err, ErrEnded) {
		return "", nil, fault.Wrap(fault.Unauthenticated, "Your session in this console has ended.", err)
	}
	if err != nil {
		return "", nil, &NotRecordedError{Target: target, Err: err}
	}
	done = s.start(func(ctx context.Context) { s.engine.Launched(ctx, fence, launch.Targets, a.Tokens) })
	return launch.Run.ID, done, nil
}

// record commits the launch. A commit whose answer was lost may have happened: then the run is there, and is ours.
func (s *Service) record(ctx context.Context, l Launch) (Fence, error) {
	fence, err := s.store.Launch(ctx, l)
	if err == nil {
		return fence, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if _, lookErr := s.store.Run(ctx, l.Run.ID); lookErr != nil {
		return Fence{}, err
	}
	s.log.Warn("the launch was recorded although its commit failed", "run", string(l.Run.ID), "error", err)
	return l.fence(), nil
}

// CleanWords makes of a reason and a ticket, as typed, what every store and page can hold. The error is fault.Invalid
// beside the first field that is wrong.
func CleanWords(reason, ticket string) (cleanReason, cleanTicket string, err error) {
	reason, ticket = plain(reason), plain(ticket)
	switch n, m := utf8.RuneCountInString(reason), utf8.RuneCountInString(ticket); {
	case n == 0:
		err = fault.Field("reason", "Say why: the reason stands in the audit trail.")
	case n > MaxReason:
		err = fault.Field("reason", fmt.Sprintf("At most %d characters; this has %d.", MaxReason, n))
	case m > MaxTicket:
		err = fault.Field("ticket", fmt.Sprintf("At most %d characters; this has %d.", MaxTicket, m))
	}
	return reason, ticket, err
}

// plain makes text that every store and every page can hold and that reads as it was written: valid UTF-8, no control
// characters but line breaks and tabs, none that turn the direction of what follows.
func plain(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s))
}

// notFound turns Graph's 404 about the target into a fault.
func notFound(err error) error {
	if call, ok := errors.AsType[*directory.CallError](err); ok && call.Status == 404 {
		return fault.Wrap(fault.NotFound, "There is no such user in the directory any more.", err)
	}
	return err
}

// targetOf is the one target of a single-user plan, with the flags that Graph's answer supports.
func targetOf(u directory.User, who operator.Operator) Target {
	t := Target{Pos: 0, OID: u.ID, UPN: u.UPN, Name: u.Name, Reasons: []string{"chosen by the operator"}, Before: u.SessionsFrom}
	t.flag(u.SignsInElsewhere(), FlagExternal)
	t.flag(not(u.Enabled), FlagDisabled)
	t.flag(u.Synced, FlagSynced)
	t.flag(u.Restricted, FlagRestricted)
	t.flag(u.Agent, FlagAgent)
	if u.ID == who.OID {
		t.Flags = append(t.Flags, FlagSelf)
	}
	return t
}

// flag adds a flag that is so, or "<flag>?" when it is not known.
func (t *Target) flag(is directory.Tri, f Flag) {
	switch is {
	case directory.Yes:
		t.Flags = append(t.Flags, f)
	case directory.Unknown:
		t.Flags = append(t.Flags, f+"?")
	case directory.No:
	}
}

func not(t directory.Tri) directory.Tri {
	switch t {
	case directory.Yes:
		return directory.No
	case directory.No:
		return directory.Yes
	default:
		return directory.Unknown
	}
}

// launch builds the plan, the run, the intent of its first attempt, and the events that tell of them.
func (s *Service) launch(ctx context.Context, a Actor, req Request, target Target) (Launch, error) {
	now := s.now()
	who := Person{OID: a.Who.OID, TID: a.Who.TID, UPN: a.Who.UPN, Name: a.Who.Name}
	plan := Plan{
		ID: PlanID(s.newID()), Cloud: s.cloud, Tenant: s.tenant, Creator: who,
		Scope:   directory.Scope{Include: []directory.Source{{Kind: directory.UserSource, ID: target.OID}}},
		Options: PlanOptions{IncludeExternal: req.IncludeExternal, IncludeSelf: req.Self},
		Reason:  req.Reason, Ticket: req.Ticket, CreatedAt: now, ExpiresAt: now.Add(PlanLife), Targets: []Target{target},
	}.Freeze()
	run := Run{
		ID: RunID(s.newID()), Plan: plan.ID, Digest: plan.Digest, Cloud: s.cloud, Tenant: s.tenant, State: RunRunning,
		Operator: who, Address: a.Who.Address, Roles: a.Who.Roles.Strings(), Reason: req.Reason, Ticket: req.Ticket,
		Self: req.Self, Total: 1, CreatedAt: now, DueAt: now,
	}
	sealed, expires, err := a.Seal(ctx, run.Ref())
	if err != nil {
		return Launch{}, err
	}
	offset, _ := s.graph.Offset() // known: the user has just been read
	first := RunTarget{Target: target, Run: run.ID, State: Pending, UpdatedAt: now}.intend(now, offset, s.newID())
	created := run.event(audit.PlanCreated, s.newID(), now)
	created.Detail = map[string]string{"digest": plan.Digest, "targets": "1", "expires": audit.FormatTime(plan.ExpiresAt)}
	started := run.event(audit.RunStarted, s.newID(), now)
	started.Outcome = string(RunRunning)
	return Launch{
		Plan: plan, Run: run, Targets: []RunTarget{first}, Token: sealed, TokenExpires: expires, Session: a.Session,
		Owner: s.owner, Now: now, Lease: leaseTime,
		Events: []audit.Event{created, started, run.targetEvent(audit.TargetAttempted, first, s.newID(), now)},
	}, nil
}

// resumableFor is how long a run may wait for its operator; after that it is cancelled.
const resumableFor = 24 * time.Hour

// Resume sets a run that waits for its operator's sign-in going again. Only the same person in the same tenant may, and
// only while they still may act.
func (s *Service) Resume(ctx context.Context, a Actor, id RunID) (done <-chan struct{}, err error) {
	run, err := s.store.Run(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && (run.Operator.OID != a.Who.OID || run.Operator.TID != a.Who.TID) {
		return nil, fault.New(fault.NotFound, "There is no such run of yours.")
	}
	switch {
	case err != nil:
		return nil, err
	case run.Preview != "" && !a.Who.Roles.Has(operator.Lead):
		return nil, fault.New(fault.Forbidden, "Your console role no longer lets you revoke many.")
	case run.Preview == "" && !run.Self && !a.Who.Acts():
		return nil, fault.New(fault.Forbidden, "Your console role no longer lets you revoke anybody.")
	case run.State != RunPaused:
		return nil, fault.New(fault.Conflict, "This run is not paused.")
	case run.Wish == WishCancel:
		return nil, fault.New(fault.Conflict, "This run is being cancelled.")
	case s.now().Sub(run.DueAt) > resumableFor:
		return nil, fault.New(fault.Conflict, "This run has stood still for more than a day. Start a new one.")
	}
	if _, err := a.Tokens.Token(ctx); err != nil {
		return nil, err
	}
	sealed, expires, err := a.Seal(ctx, run.Ref())
	if err != nil {
		return nil, err
	}
	fence, err := s.resume(ctx, run, a.Who, Resumption{Token: sealed, TokenExpires: expires, Session: a.Session})
	if err != nil {
		return nil, err
	}
	return s.start(func(ctx context.Context) {
		if next, again := s.engine.Resumed(ctx, fence, a.Tokens); again {
			s.rung(ctx, next)
		}
	}), nil
}

// resume records that the run goes on, in the hands of this process.
func (s *Service) resume(ctx context.Context, run Run, who operator.Operator, r Resumption) (Fence, error) {
	now := s.now()
	run.Address, run.Roles = who.Address, who.Roles.Strings()
	e := run.event(audit.RunResumed, s.newID(), now)
	e.Outcome = string(RunRunning)
	r.Run, r.Operator, r.Owner, r.Now, r.Lease, r.Events = run.ID, who.OID, s.owner, now, leaseTime, []audit.Event{e}
	fence, err := s.store.Resume(ctx, r)
	switch {
	case errors.Is(err, ErrConflict):
		return Fence{}, fault.Wrap(fault.Conflict, "This run has been resumed already, or has ended.", err)
	case errors.Is(err, ErrEnded):
		return Fence{}, fault.Wrap(fault.Unauthenticated, "Your session in this console has ended.", err)
	default:
		return fence, err
	}
}

// ConfirmOwn settles, at a person's next sign-in, the runs by which they signed themselves out everywhere (rule 7):
// the calls were accepted, and only a new token of theirs can read back. Nothing is called again.
func (s *Service) ConfirmOwn(ctx context.Context, who operator.Operator, src operator.TokenSource) error {
	runs, err := s.store.Runs(ctx, RunQuery{Operator: who.OID, Self: true, Paused: PauseNeedSignIn, Limit: 10})
	if err != nil {
		return fmt.Errorf("listing one's own runs: %w", err)
	}
	for _, r := range runs {
		called, err := s.ownCalled(ctx, r.Run)
		if err != nil {
			return err
		}
		if !called || r.Operator.TID != who.TID {
			continue
		}
		// No token is kept for it: should this process die first, the next sign-in settles it.
		fence, err := s.resume(ctx, r.Run, who, Resumption{})
		if fault.KindOf(err) == fault.Conflict {
			continue
		}
		if err != nil {
			return fmt.Errorf("resuming run %s: %w", r.ID, err)
		}
		s.start(func(ctx context.Context) { s.engine.Confirm(ctx, fence, src) })
	}
	return nil
}

// ownCalled reports whether the operator's own account is all that a run waits for, and has been called.
func (s *Service) ownCalled(ctx context.Context, r Run) (bool, error) {
	open, err := s.store.RunTargets(ctx, r.ID, RunTargetQuery{States: []State{Pending, Attempting, Accepted}, After: -1, Limit: 2})
	if err != nil {
		return false, fmt.Errorf("reading run %s: %w", r.ID, err)
	}
	if r.Untouched() > 0 || len(open) != 1 || open[0].OID != r.Operator.OID {
		return false, nil
	}
	return open[0].State == Accepted || open[0].State == Attempting && open[0].Lost, nil
}

// CancelStale cancels the runs that have stood still for more than a day, and those that paused although somebody
// wished them cancelled.
func (s *Service) CancelStale(ctx context.Context) error {
	var errs []error
	for _, cause := range pauses() {
		stale, err := s.store.Runs(ctx, RunQuery{Paused: cause, Until: s.now().Add(-resumableFor), Limit: 50})
		if err != nil {
			return fmt.Errorf("listing stale runs: %w", err)
		}
		recent, err := s.store.Runs(ctx, RunQuery{Paused: cause, Limit: 50})
		if err != nil {
			return fmt.Errorf("listing paused runs: %w", err)
		}
		for _, r := range recent {
			if r.Wish == WishCancel {
				errs = append(errs, s.abandon(ctx, r.Run, sayCancelled))
			}
		}
		for _, r := range stale {
			errs = append(errs, s.abandon(ctx, r.Run, sayStale))
		}
	}
	return errors.Join(errs...)
}

func pauses() []Pause {
	return []Pause{PauseNeedSignIn, PauseOperator, PauseNeedRole, PauseCanary, PauseStale}
}

// abandon cancels a paused run. That it went on or ended meanwhile is no error. Should this process die in the middle,
// whoever takes the run up cancels it.
func (s *Service) abandon(ctx context.Context, r Run, why string, events ...audit.Event) error {
	fence, err := s.store.Resume(ctx, Resumption{
		Run: r.ID, Operator: r.Operator.OID, Wish: WishCancel, Owner: s.owner, Now: s.now(), Lease: leaseTime, Events: events,
	})
	if err == nil {
		err = s.engine.Abandon(ctx, fence, why)
	}
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrFenced) {
		return nil
	}
	return err
}

// Due lists what is due and held by nobody, for a sweep.
func (s *Service) Due(ctx context.Context) ([]Slice, error) { return s.engine.Due(ctx) }

// Work works one slice of a run; again reports that the next one is due at once.
func (s *Service) Work(ctx context.Context, slice Slice) (next Slice, again bool) {
	return s.engine.Work(ctx, slice)
}

// rung asks for a slice. That it fails is no loss: the sweep finds it.
func (s *Service) rung(ctx context.Context, slice Slice) {
	if err := s.ring(ctx, slice); err != nil {
		s.log.Warn("ringing for a run", "run", string(slice.Run), "error", err)
	}
}

// start runs work in a goroutine that Drain waits for, on the context of the service: requests come and go.
func (s *Service) start(work func(context.Context)) <-chan struct{} {
	done := make(chan struct{})
	s.workers.Go(func() {
		defer close(done)
		work(s.work)
	})
	return done
}

// Drain tells the workers to finish the call at hand and give their runs back, and waits until they have. Call it once,
// after the last request and the last slice. It ends early when the context of NewService does.
func (s *Service) Drain() {
	close(s.stop)
	s.workers.Wait()
}
