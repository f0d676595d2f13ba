// Package web is the console over HTTP: the router, what guards every request, and one file for each page.
//
// Invariants: every route stands in operator.Routes, and its row alone decides who may use it; no state changes on
// GET; a page is rendered whole before its first byte is sent; only this package turns an error into a status and
// words; no token, code or cookie is logged, and no query string.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/directory"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/static"
)

// Ledger is what the pages read of the ledger, and the one thing that they write to it by hand.
type Ledger interface {
	Search(ctx context.Context, q audit.Query) (audit.Found, error)
	Histogram(ctx context.Context, q audit.Query) (audit.Histogram, error)
	RunLines(ctx context.Context, runs []string) (map[string]audit.RunLine, error)
	Event(ctx context.Context, seq int64) (audit.Record, error)
	Append(ctx context.Context, events ...audit.Event) error
}

// Trail is the ledger as evidence: what is exported and proven.
type Trail interface {
	audit.Source
	audit.ExportSource
	// LastCheckpoint is the newest stored checkpoint of at most upTo events; ok is false when there is none.
	LastCheckpoint(ctx context.Context, upTo int64) (c audit.Signed, ok bool, err error)
	// Closings reads the events that closed a run, after < seq <= upTo, ascending: each is the Newest of its line, which
	// counts the events that name the run up to there, one by one.
	Closings(ctx context.Context, after, upTo int64, limit int) ([]audit.RunLine, error)
	// Parts reads, for each of these events, what its run says about its target from there up to an event, at most so many
	// events, the newest ones.
	Parts(ctx context.Context, from []int64, upTo int64, most int) (map[int64]audit.Part, error)
}

// Notary signs checkpoints and verifies the ledger. See notary.Notary.
type Notary interface {
	Standing() audit.Standing
	Keys(ctx context.Context) (audit.Keyring, error)
	// Manifest fixes what an export is of: the tree as it stands, signed now if it can be.
	Manifest(ctx context.Context) (audit.Manifest, error)
	// Verify starts a verification of the whole ledger, unless one is under way in this process, and records its result.
	Verify(by audit.Person)
	Verification() audit.Verification
}

// Witness reads Entra's own log of revocations: at least those of from <= time < to, page by page.
type Witness interface {
	Revocations(ctx context.Context, t operator.TokenSource, from, to time.Time, each func([]audit.Witnessed) error) error
}

// Runs is what the pages read of plans and runs. See revoke.RunStore.
type Runs interface {
	Run(ctx context.Context, id revoke.RunID) (revoke.Run, error)
	RunTargets(ctx context.Context, id revoke.RunID, q revoke.RunTargetQuery) ([]revoke.RunTarget, error)
	Plan(ctx context.Context, id revoke.PlanID) (revoke.Plan, error)
	Runs(ctx context.Context, q revoke.RunQuery) ([]revoke.RunSummary, error)
	Samples(ctx context.Context, id revoke.RunID, limit int) ([]revoke.Sample, error)
}

// Options are what a Server is made of.
type Options struct {
	Auth      *auth.Service
	Directory *directory.Service
	Users     revoke.Users
	Revoke    *revoke.Service
	Runs      Runs
	Previews  Previews
	Quota     func(context.Context) (revoke.Quota, error) // the bucket that all runs share
	Scopes    Scopes
	Sources   Sources
	Ledger    Ledger
	Trail     Trail
	Notary    Notary
	Witness   Witness
	Version   string                      // of the program, for exports
	Ready     func(context.Context) error // nil error: the database answers and can be written

	Cloud          string
	GraphBase      string        // address of Graph v1.0, for the commands that a person may run by hand
	Tenant         string        // GUID
	TenantName     func() string // display name, once known
	AppName        string        // the enterprise application, for people who must ask for a role
	Rehearsal      bool
	Accounts       []Account // whom to sign in as, in a rehearsal
	Secure         bool      // served over https: HSTS
	TrustedProxies []string  // CIDRs that may say X-Forwarded-For

	// SignedIn is told of a completed sign-in of somebody with a console role, with a token source for this request.
	SignedIn func(ctx context.Context, t operator.TokenSource)

	Now    func() time.Time
	NewID  func() string // UUIDv7
	Logger *slog.Logger
}

// Account is a person of the simulated tenant whom one may sign in as.
type Account struct{ UPN, Shows string }

// Server answers the console's requests.
type Server struct {
	Options
	limits  limits
	ready   readiness
	compare sync.Mutex // held by the one comparison with Entra's log that is under way: it takes memory
	exports gate       // of searches that are being taken away
	handler http.Handler
}

// readiness remembers its answer for a second: asking begins a write transaction, and anybody may ask.
type readiness struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

func (c *readiness) check(ctx context.Context, now time.Time, ready func(context.Context) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since := now.Sub(c.at); since < 0 || since >= time.Second {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		c.at, c.err = now, ready(ctx)
	}
	return c.err
}

// New returns a server. It fails when a route of the table has no handler, or a handler no route.
func New(o Options) (*Server, error) {
	s := &Server{Options: o, limits: newLimits(o.Now)}
	r := chi.NewRouter()
	r.Use(middleware.GetHead, s.clientAddress(), s.identify, s.accessLog, s.recoverPanic, s.secureHeaders, limitRequest, s.refuseCrossOrigin())
	r.Get("/healthz", s.healthz)
	r.Get("/readyz", s.readyz)
	r.Handle("/static/*", static.Handler())
	r.NotFound(s.unrouted)
	r.MethodNotAllowed(s.wrongMethod(r))
	if err := s.mount(r); err != nil {
		return nil, err
	}
	s.handler = r
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// page is a handler that returns its error to the one place that turns errors into answers.
type page func(w http.ResponseWriter, r *http.Request) error

// pages names the handler of every route in the table.
func (s *Server) pages() map[string]page {
	return map[string]page{
		"signin": s.showSignIn, "auth.start": s.startSignIn, "auth.callback": s.finishSignIn, "auth.signout": s.signOut,
		"norole": s.showNoRole,
		"home":   s.showHome, "me": s.showMe, "me.revoke": s.revokeMe,
		"search": s.search, "user": s.showUser, "user.revoke": s.revokeUser, "group": s.showGroup, "role": s.showRole,
		"runs": s.listRuns, "run": s.showRun, "run.resume": s.resumeRun,
		"scopes": s.listScopes, "scope.new": s.newScope, "scope": s.showScope, "scope.add": s.addSource, "scope.remove": s.removeSource,
		"scope.save": s.saveScope, "scope.copy": s.copyScope, "scope.delete": s.deleteScope, "scope.preview": s.previewScope,
		"plan": s.showPlan, "plan.csv": s.exportPlan, "plan.compare": s.comparePlans, "plan.without": s.planWithout,
		"plan.again": s.expandAgain, "plan.run": s.confirmPlan,
		"run.pause": s.pauseRun, "run.cancel": s.cancelRun, "run.again": s.retryRun, "run.latecomers": s.latecomers,
		"run.report": s.showReport, "run.report.json": s.exportReport,
		"protected": s.showProtected, "protected.add": s.addProtected, "protected.remove": s.removeProtected,
		"ledger": s.showLedger, "ledger.event": s.showEvent, "outside": s.showOutside, "outside.record": s.recordOutside,
		"ledger.run": s.showRunStory, "ledger.person": s.showPersonStory, "ledger.about": s.showAboutLedger,
		"ledger.export": s.exportLedger, "ledger.verify": s.showVerify, "ledger.verify.start": s.startVerify,
		"ledger.checkpoints": s.listCheckpoints, "ledger.consistency": s.proveConsistency,
		"ledger.reconcile": s.showReconcile, "ledger.reconcile.fetch": s.reconcileFetched, "ledger.reconcile.upload": s.reconcileUploaded,
		"ledger.reconcile.fetched": s.backToReconcile, "ledger.reconcile.uploaded": s.backToReconcile,
		"components": s.showComponents,
	}
}

// mount gives every row of the table its handler, guarded by the row.
func (s *Server) mount(r chi.Router) error {
	pages := s.pages()
	for _, route := range operator.Routes() {
		h, ok := pages[route.Name]
		if !ok {
			return fmt.Errorf("route %s has no handler", route.Name)
		}
		delete(pages, route.Name)
		if !route.Demo || s.Rehearsal {
			r.Method(route.Method, route.Pattern, s.guard(route, h))
		}
	}
	for name := range pages {
		return fmt.Errorf("handler %s has no route", name)
	}
	return nil
}

// ReturnPath reports whether path is one of our pages to which a sign-in may come back: a GET route for people.
func ReturnPath(path string) bool {
	r := chi.NewRouter()
	nothing := func(http.ResponseWriter, *http.Request) {}
	for _, route := range operator.Routes() {
		if route.Method == http.MethodGet && route.Access == operator.ByRole {
			r.Get(route.Pattern, nothing)
		}
	}
	return r.Match(chi.NewRouteContext(), http.MethodGet, path)
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// readyz says whether this process can do its work: without a ledger to write to, it cannot.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if err := s.ready.check(r.Context(), s.Now(), s.Ready); err != nil {
		s.Logger.Warn("not ready", "error", err)
		http.Error(w, "not ready: the database does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// clientAddress takes the client's address from the connection, or from the header that trusted proxies write.
func (s *Server) clientAddress() func(http.Handler) http.Handler {
	if len(s.TrustedProxies) == 0 {
		return middleware.ClientIPFromRemoteAddr
	}
	return middleware.ClientIPFromXFF(s.TrustedProxies...)
}
