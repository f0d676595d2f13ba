// Package app is the only place where the parts are wired. The program and the browser tests both start it.
//
// Invariants: nothing is written before all that is configured was understood; nothing is served before the database is
// bound to this cloud and tenant; shutting down stops accepting, drains, gives the runs back, waits for calls in flight,
// stops the queue, and closes the database last.
package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/config"
	"evict/internal/directory"
	"evict/internal/graph"
	"evict/internal/notary"
	"evict/internal/operator"
	"evict/internal/queue"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/web"
)

// Options are what a program or a test may set beside the configuration.
type Options struct {
	Logger   *slog.Logger
	Now      func() time.Time // nil: time.Now
	Cloud    *auth.Cloud      // the simulator of this process; nil: as configured
	Accounts []web.Account    // whom to sign in as, shown in a rehearsal
	// StoreHook makes the store fail in tests; see store.Options.
	StoreHook func(point string) error
}

// App is the whole console as one value.
type App struct {
	cfg       config.Config
	log       *slog.Logger
	now       func() time.Time
	db        *store.DB
	auth      *auth.Service
	graph     *graph.Client
	directory *directory.Service
	revoke    *revoke.Service
	queue     *queue.Queue
	notary    *notary.Notary
	server    *http.Server
	tenant    atomic.Pointer[string] // display name, once somebody's token could read it
	cancel    context.CancelFunc     // gives up on the workers
}

// New opens the database, migrates it when it is SQLite, binds it to cloud and tenant, and wires the parts.
// It does not use the network but for the database.
func New(ctx context.Context, cfg config.Config, o Options) (a *App, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	parts, err := understand(cfg, o.Cloud)
	if err != nil {
		return nil, err
	}
	a = &App{cfg: cfg, log: o.Logger, now: o.Now}
	db, err := openStore(ctx, cfg, o)
	if err != nil {
		return nil, err
	}
	a.db = db
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	if err := a.bind(ctx, parts.cloud.Name); err != nil {
		return nil, err
	}
	if err := a.openNotary(ctx, parts); err != nil {
		return nil, err
	}
	if err := a.db.Revoke().SizeQuota(ctx, cmp.Or(cfg.GraphWrites, revoke.QuotaBurst)); err != nil {
		return nil, fmt.Errorf("sizing the bucket: %w", err)
	}
	if err := a.wire(parts, o); err != nil {
		return nil, err
	}
	if err := a.openQueue(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// openQueue makes the queue beside the database: in it on PostgreSQL, in a file of its own beside SQLite's.
func (a *App) openQueue(ctx context.Context) (err error) {
	a.queue, err = queue.Open(ctx, queue.Options{
		Engine: a.revoke, Pool: a.db.Pool(), File: filepath.Join(a.cfg.DataDir, "queue.db"), Logger: a.log,
	})
	return err
}

func openStore(ctx context.Context, cfg config.Config, o Options) (*store.DB, error) {
	so := StoreOptions(cfg, o.Logger)
	so.Now, so.Hook = o.Now, o.StoreHook
	if so.DatabaseURL == "" {
		if _, _, err := store.Migrate(ctx, so); err != nil {
			return nil, fmt.Errorf("migrating the database: %w", err)
		}
	}
	db, err := store.Open(ctx, so)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	return db, nil
}

// StoreOptions says which database the configuration means.
func StoreOptions(cfg config.Config, log *slog.Logger) store.Options {
	return store.Options{DatabaseURL: cfg.DatabaseURL.Reveal(), DataDir: cfg.DataDir, Logger: log}
}

// Migrate brings the database, and on PostgreSQL the queue in it, to this program's schema. from and to are versions
// of the database's.
func Migrate(ctx context.Context, o store.Options) (from, to int64, err error) {
	if from, to, err = store.Migrate(ctx, o); err != nil || o.DatabaseURL == "" {
		return from, to, err
	}
	db, err := store.Open(ctx, o)
	if err != nil {
		return from, to, err
	}
	return from, to, errors.Join(queue.Migrate(ctx, db.Pool(), o.Logger), db.Close())
}

// bind makes the first event of a new database, and refuses a database of another cloud or tenant.
func (a *App) bind(ctx context.Context, cloud string) error {
	tenant := strings.ToLower(a.cfg.TenantID)
	return a.db.Ledger().Bind(ctx, cloud, tenant, audit.Event{
		ID: newID(), Time: audit.FormatTime(a.now()), Kind: audit.LedgerOpened, Cloud: cloud, Tenant: tenant,
	})
}

// openNotary checks the ledger against the last checkpoint that left the database, and refuses one that contradicts it.
func (a *App) openNotary(ctx context.Context, parts settings) (err error) {
	o := notaryOptions(a.cfg, a.db.Ledger(), parts.signer, parts.cloud.Name, strings.ToLower(a.cfg.TenantID), a.log)
	o.Now = a.now
	a.notary, err = notary.Open(ctx, o)
	return err
}

func (a *App) wire(parts settings, o Options) (err error) {
	cloud := parts.cloud
	a.auth, err = auth.New(auth.Options{
		Cloud: cloud, TenantID: a.cfg.TenantID, ClientID: a.cfg.ClientID, Credential: parts.credential,
		RedirectURL: a.cfg.RedirectURL(), Keys: parts.seals, Store: a.db.Sessions(), Now: a.now, NewID: newID, Logger: a.log,
		PostLogoutURL: strings.TrimRight(a.cfg.BaseURL, "/") + "/signin?ended=microsoft",
		Address:       func(r *http.Request) string { return middleware.GetClientIP(r.Context()) },
		Match:         func(method, path string) bool { return method == http.MethodGet && web.ReturnPath(path) },
	})
	if err != nil {
		return fmt.Errorf("preparing sign-in: %w", err)
	}
	a.graph, err = graph.New(graph.Options{
		BaseURL: cloud.GraphBase, HTTP: graphHTTP(cloud), Now: a.now, UserAgent: "Evict/" + Version(), Logger: a.log,
	})
	if err != nil {
		return fmt.Errorf("preparing Microsoft Graph: %w", err)
	}
	a.directory = directory.NewService(directory.Options{Graph: a.graph, Now: a.now})
	work, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	a.revoke = revoke.NewService(work, revoke.Options{
		Store: a.db.Revoke(), Users: a.graph, Expand: a.directory, Graph: a.graph, Tokens: a.auth, Cloud: cloud.Name,
		Ring:   func(ctx context.Context, s revoke.Slice) error { return a.queue.Ring(ctx, s) },
		Tenant: strings.ToLower(a.cfg.TenantID), Owner: owner(), Now: a.now, NewID: newID, Sleep: sleep, Logger: a.log,
	})
	return a.serveWeb(cloud, o)
}

func (a *App) serveWeb(cloud auth.Cloud, o Options) error {
	var proxies []string
	for _, p := range a.cfg.TrustedProxies {
		proxies = append(proxies, p.String())
	}
	handler, err := web.New(web.Options{
		Auth: a.auth, Directory: a.directory, Users: a.graph, Revoke: a.revoke,
		Runs: a.db.Revoke(), Previews: a.db.Revoke(), Quota: a.db.Revoke().Quota, Scopes: a.db.Revoke(), Sources: a.directory,
		Ledger: a.db.Ledger(), Trail: a.db.Ledger(), Notary: a.notary, Witness: a.graph, Version: Version(), Ready: a.db.Ping,
		Cloud: cloud.Name, Tenant: strings.ToLower(a.cfg.TenantID), TenantName: a.tenantName, AppName: "Evict", GraphBase: cloud.GraphBase,
		Rehearsal: cloud.Simulated(), Accounts: o.Accounts, Secure: strings.HasPrefix(a.cfg.BaseURL, "https:"),
		TrustedProxies: proxies, SignedIn: a.learnTenant, Now: a.now, NewID: newID, Logger: a.log,
	})
	if err != nil {
		return fmt.Errorf("preparing the pages: %w", err)
	}
	a.server = &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: 40 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	return nil
}

// Handler is the console over HTTP, for tests that bring their own listener.
func (a *App) Handler() http.Handler { return a.server.Handler }

// Serve accepts connections on l and works runs until ctx ends, then shuts down in order.
func (a *App) Serve(ctx context.Context, l net.Listener) error {
	stopMetrics, err := a.serveMetrics(ctx)
	if err != nil {
		return errors.Join(err, l.Close(), a.Close())
	}
	defer stopMetrics() // last, so that a shutdown can be watched
	a.log.Info("serving", "address", l.Addr().String(), "cloud", a.cfg.Cloud, "tenant", a.cfg.TenantID, "version", Version())
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(l) }()
	var beside sync.WaitGroup
	besides, cancel := context.WithCancel(ctx)
	stopBeside := func() { cancel(); beside.Wait() }
	defer stopBeside()
	beside.Go(func() { a.sweep(besides) })
	beside.Go(func() { a.notary.Run(besides) })
	if err := a.queue.Start(ctx); err != nil {
		stopBeside()
		return errors.Join(err, l.Close(), a.Close())
	}
	select {
	case err := <-served:
		stopBeside()
		return errors.Join(fmt.Errorf("serving: %w", err), a.Close())
	case <-ctx.Done():
	}
	a.log.Info("shutting down")
	down, giveUp := context.WithTimeout(context.Background(), requestsFor)
	defer giveUp()
	err = a.server.Shutdown(down)
	stopBeside()
	return errors.Join(err, a.Close())
}

// requestsFor is how long a shutdown waits for requests under way; none may start work after that.
const requestsFor = 30 * time.Second

// drainFor is how long a shutdown waits for calls to Microsoft that are under way.
const drainFor = 20 * time.Second

// Close gives the runs back, waits for calls in flight, and closes the database. Serve calls it.
func (a *App) Close() error {
	giveUp := time.AfterFunc(drainFor, a.cancel)
	a.revoke.Drain()
	giveUp.Stop()
	a.cancel()
	a.notary.Close()
	ctx, cancel := context.WithTimeout(context.Background(), drainFor)
	defer cancel()
	return errors.Join(a.queue.Stop(ctx), a.db.Close())
}

// sweep clears what has expired, each minute.
func (a *App) sweep(ctx context.Context) {
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-minute.C:
		}
		if err := errors.Join(a.auth.Sweep(ctx), a.revoke.Tidy(ctx)); err != nil && ctx.Err() == nil {
			a.log.Error("sweeping", "error", err)
		}
	}
}

func (a *App) tenantName() string {
	if name := a.tenant.Load(); name != nil {
		return *name
	}
	return a.cfg.TenantID
}

// learnTenant reads the tenant's display name with the token of somebody who just signed in. Pages show the id until then.
// It does not hold up the sign-in.
func (a *App) learnTenant(ctx context.Context, t operator.TokenSource) {
	if a.tenant.Load() != nil {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, name, err := a.graph.Organization(ctx, t)
		if err != nil || name == "" {
			a.log.Warn("reading the tenant's name", "error", err)
			return
		}
		a.tenant.Store(&name)
	}()
}

// owner names this process in leases.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var b [4]byte
	rand.Read(b[:]) // never fails
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), hex.EncodeToString(b[:]))
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
