package revoke_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

const tenant = "11111111-1111-4111-8111-111111111111"

var (
	helpdesk = operator.Operator{
		OID: "aaaaaaaa-0000-4000-8000-000000000001", TID: tenant, UPN: "helpdesk@corp.example", Name: "Help Desk",
		Address: "192.0.2.7", Roles: operator.Roles{operator.Responder},
	}
	victim = directory.User{
		ID: "bbbbbbbb-0000-4000-8000-000000000001", UPN: "victim@corp.example", Name: "A Victim", UserType: "Member",
		Enabled: directory.Yes, Synced: directory.No, Restricted: directory.No, Agent: directory.No,
		Identities: []directory.Identity{{SignInType: "userPrincipalName", Issuer: "corp.example"}},
	}
)

// world is a console without pages: the real service and engine on a real database, and a Graph whose answers a test
// scripts. Its clock moves only when somebody sleeps.
type world struct {
	t     *testing.T
	db    *store.DB
	open  storetest.Opener
	graph *graph
	svc   *revoke.Service
	clock *clock
	ids   *ids
	stop  context.CancelFunc
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.Advance(d)
	return ctx.Err()
}

func (c *clock) Advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

type ids struct {
	mu sync.Mutex
	n  int
}

func (i *ids) New() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.n++
	return fmt.Sprintf("01990000-0000-7000-8000-%012d", i.n)
}

// each runs a test on both engines, each time in a new world.
func each(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		test(newWorld(t, open))
	})
}

func newWorld(t *testing.T, open storetest.Opener, change ...func(*store.Options)) *world {
	w := &world{t: t, open: open, clock: &clock{now: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)}, ids: &ids{}}
	w.db = open(append(change, func(o *store.Options) { o.Now = w.clock.Now })...)
	w.graph = &graph{w: w, users: map[string]*directory.User{}}
	w.graph.add(victim)
	w.start()
	return w
}

// start makes a service on the world's database, as a new process does.
func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	w.t.Cleanup(cancel)
	w.svc = revoke.NewService(ctx, revoke.Options{
		Store: w.db.Revoke(), Users: w.graph, Expand: w.graph, Ring: func(context.Context, revoke.Slice) error { return nil },
		Graph: w.graph, Tokens: tokens{}, Cloud: "public", Tenant: tenant,
		Owner: w.ids.New(), Now: w.clock.Now, NewID: w.ids.New, Sleep: w.clock.Sleep, Logger: slog.New(slog.DiscardHandler),
	})
}

func actor(who operator.Operator) revoke.Actor {
	return revoke.Actor{Who: who, Tokens: source{}, Seal: func(context.Context, operator.RunRef) ([]byte, time.Time, error) {
		return []byte("sealed"), time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC), nil
	}}
}

var ask = revoke.Request{Target: victim.ID, Reason: "phished", Ticket: "INC-1"}

// revoke asks for a revocation and lets the clock run until nothing more is to be done.
func (w *world) revoke(req revoke.Request) (revoke.Run, revoke.RunTarget) {
	w.t.Helper()
	id, done, err := w.svc.RevokeOne(w.t.Context(), actor(helpdesk), req)
	if err != nil {
		w.t.Fatalf("RevokeOne: %v", err)
	}
	<-done
	return w.settle(id)
}

// settle lets the clock run, sweeping each second, until the run is finished, paused, or an hour has passed.
func (w *world) settle(id revoke.RunID) (revoke.Run, revoke.RunTarget) {
	w.t.Helper()
	for range 3600 {
		run, target := w.read(id)
		if run.State != revoke.RunRunning {
			return run, target
		}
		w.sweep()
		run, _ = w.read(id)
		w.clock.Advance(max(time.Second, run.DueAt.Sub(w.clock.Now())))
	}
	w.t.Fatalf("run %s is still running after an hour", id)
	return revoke.Run{}, revoke.RunTarget{}
}

// sweep takes up what is due and waits for it.
func (w *world) sweep() {
	w.t.Helper()
	var wg sync.WaitGroup
	engine := revoke.NewEngine(revoke.EngineOptions{
		Store: w.db.Revoke(), Graph: w.graph, Tokens: tokens{}, Owner: "sweeper", Now: w.clock.Now, NewID: w.ids.New,
		Sleep: w.clock.Sleep, Logger: slog.New(slog.DiscardHandler),
	})
	due, err := engine.Due(w.t.Context())
	if err != nil {
		w.t.Logf("sweep: %v", err)
	}
	for _, slice := range due {
		wg.Go(func() {
			for again := true; again; {
				slice, again = engine.Work(w.t.Context(), slice)
			}
		})
	}
	wg.Wait()
}

func (w *world) read(id revoke.RunID) (revoke.Run, revoke.RunTarget) {
	w.t.Helper()
	run, err := w.db.Revoke().Run(w.t.Context(), id)
	if err != nil {
		w.t.Fatalf("reading run %s: %v", id, err)
	}
	targets := w.targets(id)
	if len(targets) == 0 {
		return run, revoke.RunTarget{}
	}
	return run, targets[0]
}

// targets returns the targets of a run that were begun.
func (w *world) targets(id revoke.RunID) (all []revoke.RunTarget) {
	w.t.Helper()
	for after := -1; ; {
		page, err := w.db.Revoke().RunTargets(w.t.Context(), id, revoke.RunTargetQuery{After: after, Limit: 500})
		if err != nil {
			w.t.Fatalf("reading the targets of run %s: %v", id, err)
		}
		if all = append(all, page...); len(page) < 500 {
			return all
		}
		after = page[len(page)-1].Pos
	}
}

// events returns the whole ledger, oldest first.
func (w *world) events() []audit.Event {
	w.t.Helper()
	found, err := w.db.Ledger().Search(context.WithoutCancel(w.t.Context()), audit.Query{Limit: 200})
	if err != nil {
		w.t.Fatalf("reading the ledger: %v", err)
	}
	var out []audit.Event
	for _, r := range slices.Backward(found.Records) {
		out = append(out, r.Event)
	}
	return out
}

func (w *world) kinds() string {
	w.t.Helper()
	var out []string
	for _, e := range w.events() {
		out = append(out, string(e.Kind))
	}
	return strings.Join(out, " ")
}

// tokens and source stand in for auth: they never need the network.
type tokens struct{}

func (tokens) RunTokens(_ operator.RunRef, sealed []byte) (operator.TokenSource, error) {
	if string(sealed) != "sealed" {
		return nil, errors.New("does not open")
	}
	return source{}, nil
}

type source struct{}

func (source) Token(context.Context) (operator.Token, error) {
	return operator.NewToken("cached", time.Time{}), nil
}

func (source) Fresh(context.Context) (operator.Token, error) {
	return operator.NewToken("fresh", time.Time{}), nil
}

// graph is a Graph of one table of users. Each script entry answers one revoke call; without one it works as Graph
// does. Reads answers read-backs in the same way.
type graph struct {
	w       *world
	mu      sync.Mutex
	users   map[string]*directory.User
	script  []func(oid, token string) (directory.Answer, error)
	reads   []func(oid string) (time.Time, error)
	calls   []string // client request ids of the revoke calls that were made
	self    int
	me      string        // whose tokens are used; "" = the help desk's
	ahead   time.Duration // of Graph's clock
	unknown bool          // no answer has told yet
	userFn  func(id string) (directory.User, error)
	answer  func(oid, token string) (directory.Answer, error) // to every call that the script does not answer; nil works
	called  map[string]int                                    // calls by object id
	order   []string                                          // object ids in order of their calls
	hits    []directory.Hit
	learned directory.Expansion
	hold    chan struct{} // until it is closed, no expansion goes on
}

// people is how many people were called.
func (g *graph) people() int { g.mu.Lock(); defer g.mu.Unlock(); return len(g.called) }

// Expand stands in for the directory: it leads to hits, whatever the scope.
func (g *graph) Expand(ctx context.Context, r directory.ExpandRequest) (directory.Expansion, error) {
	if g.hold != nil {
		<-g.hold
	}
	hits := g.hits
	for _, source := range append(r.Scope.Include, r.Scope.Exclude...) {
		if source.Kind != directory.RunSource {
			continue
		}
		former := map[string]bool{}
		err := r.Former(ctx, source.ID, source.Outcomes, func(oids []string) error {
			for _, oid := range oids {
				former[oid] = true
			}
			return nil
		})
		if err != nil {
			return directory.Expansion{}, err
		}
		excludes := len(r.Scope.Exclude) > 0
		hits = nil
		for _, h := range g.hits {
			h.Excluded = excludes && former[h.User.ID]
			if excludes || former[h.User.ID] {
				hits = append(hits, h)
			}
		}
	}
	return g.learned, r.Take(ctx, hits)
}

func (g *graph) add(u directory.User) { g.users[u.ID] = &u }

func (g *graph) User(_ context.Context, _ operator.TokenSource, id string) (directory.User, directory.Answer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.userFn != nil {
		u, err := g.userFn(id)
		return u, directory.Answer{}, err
	}
	u, ok := g.users[id]
	if !ok {
		return directory.User{}, directory.Answer{}, &directory.CallError{Status: 404, Code: "Request_ResourceNotFound"}
	}
	return *u, directory.Answer{Status: 200}, nil
}

func (g *graph) Revoke(ctx context.Context, t operator.TokenSource, oid, clientRequestID string) (directory.Answer, error) {
	g.checkIntent(oid, clientRequestID)
	token, err := t.Token(ctx)
	if err != nil {
		return directory.Answer{}, err
	}
	g.mu.Lock()
	g.calls, g.order = append(g.calls, clientRequestID), append(g.order, oid)
	if g.called == nil {
		g.called = map[string]int{}
	}
	g.called[oid]++
	var next func(oid, token string) (directory.Answer, error)
	if len(g.script) > 0 {
		next, g.script = g.script[0], g.script[1:]
	}
	g.mu.Unlock()
	if next == nil {
		next = g.answer
	}
	if next == nil {
		next = g.works
	}
	return next(oid, token.Bearer())
}

func (g *graph) RevokeSelf(ctx context.Context, t operator.TokenSource, clientRequestID string) (directory.Answer, error) {
	g.mu.Lock()
	g.self++
	g.mu.Unlock()
	return g.Revoke(ctx, t, cmp.Or(g.me, helpdesk.OID), clientRequestID)
}

// checkIntent is rule 1: whatever is called stands in the ledger already, with this very request id.
func (g *graph) checkIntent(oid, clientRequestID string) {
	found, err := g.w.db.Ledger().Search(context.Background(), audit.Query{Target: oid, Kind: audit.TargetAttempted, Limit: 200})
	if err != nil {
		g.w.t.Errorf("reading the ledger: %v", err)
	}
	for _, r := range found.Records {
		if r.Event.Evidence != nil && r.Event.Evidence.ClientRequestID == clientRequestID {
			return
		}
	}
	g.w.t.Errorf("a revocation was called with request id %q, which no intent in the ledger names", clientRequestID)
}

func (g *graph) SessionsFrom(_ context.Context, _ operator.TokenSource, oid string) (directory.Sessions, directory.Answer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.reads) > 0 {
		next := g.reads[0]
		if len(g.reads) > 1 {
			g.reads = g.reads[1:]
		}
		at, err := next(oid)
		return directory.Sessions{From: at, Elsewhere: g.elsewhere(oid)}, directory.Answer{Status: 200}, err
	}
	return directory.Sessions{From: g.users[oid].SessionsFrom, Elsewhere: g.elsewhere(oid)}, directory.Answer{Status: 200}, nil
}

func (g *graph) elsewhere(oid string) directory.Tri {
	if u, ok := g.users[oid]; ok {
		return u.SignsInElsewhere()
	}
	return directory.No
}

func (g *graph) Offset() (time.Duration, bool) {
	if g.unknown {
		return 0, false
	}
	return g.ahead, true
}

// works is Graph as it should be: the stamp moves, in whole seconds.
func (g *graph) works(oid, _ string) (directory.Answer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.w.clock.Now().Truncate(time.Second)
	g.users[oid].SessionsFrom = now
	return directory.Answer{Status: 200, RequestID: "graph-1", Date: now}, nil
}

// accepts answers 200 and changes nothing, as Graph does for external accounts.
func (g *graph) accepts(string, string) (directory.Answer, error) {
	return directory.Answer{Status: 200, RequestID: "graph-1", Date: g.w.clock.Now()}, nil
}

// answers is a call that Graph refused or failed.
func answers(status int, code string, retryAfter time.Duration) func(string, string) (directory.Answer, error) {
	return func(string, string) (directory.Answer, error) {
		return directory.Answer{}, &directory.CallError{
			Status: status, Code: code, Message: code + " message", RequestID: "graph-err", RetryAfter: retryAfter, Sent: true,
		}
	}
}

// lost makes the effect happen, or not, and loses the answer.
func (g *graph) lost(effect bool) func(string, string) (directory.Answer, error) {
	return func(oid, token string) (directory.Answer, error) {
		if effect {
			_, _ = g.works(oid, token)
		}
		return directory.Answer{}, &directory.CallError{Sent: true, Err: errors.New("connection reset")}
	}
}

func reauth(string, string) (directory.Answer, error) {
	return directory.Answer{}, &operator.ReauthError{Claims: `{"access_token":{}}`, Code: "InvalidAuthenticationToken"}
}
