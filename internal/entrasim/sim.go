package entrasim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Sim is one simulated tenant with its sign-in service and its Graph. Its methods may be called from any goroutine.
type Sim struct {
	opts    Options
	log     *slog.Logger
	keys    *signingKey
	ca      *certAuthority
	roles   *roleTable
	routes  []*route
	seq     atomic.Uint64 // numbers grants, tokens and cuts, so that order within a second is known
	latency atomic.Int64
	lag     atomic.Int64
	offset  atomic.Int64
	// auditLag is how long a row takes to appear in the directory audit log.
	auditLag atomic.Int64
	spread   atomic.Pointer[[]time.Duration] // the lags of the replicas

	mu     sync.RWMutex // guards tenant and apps
	tenant *tenant
	apps   map[string]*app

	orderMu sync.Mutex // guards tenant.byName among readers

	grants   grantStore
	faults   faultSet
	chance   chances
	throttle throttle
	requests requestLog
	counters counters
	tokens   tokenCache
	lifetime lifetimes
	victims  victimStore

	browser, tls   *http.Server
	browserL, tlsL net.Listener
	browserP, tlsP string
	client         *http.Client
	serving        sync.WaitGroup
	stop           chan struct{}
	stopOnce       sync.Once
	splicesMu      sync.Mutex
	splices        map[net.Conn]struct{}
}

// New makes a tenant and its keys. Nothing listens before Listen.
func New(o Options) (*Sim, error) {
	o = o.withDefaults()
	if o.People < 0 || o.People > maxPeople {
		return nil, fmt.Errorf("people must be between 1 and %d, not %d", maxPeople, o.People)
	}
	roles, err := loadRoles()
	if err != nil {
		return nil, err
	}
	keys, err := sharedSigningKey()
	if err != nil {
		return nil, err
	}
	ca, err := newCertAuthority()
	if err != nil {
		return nil, err
	}
	s := &Sim{
		opts: o, log: o.Logger, keys: keys, ca: ca, roles: roles, routes: newRoutes(), tenant: buildTenant(o, roles),
		stop: make(chan struct{}), splices: map[net.Conn]struct{}{},
	}
	s.latency.Store(int64(o.Latency))
	s.lag.Store(int64(o.ReadBackLag))
	s.offset.Store(int64(o.ClockOffset))
	s.auditLag.Store(int64(o.AuditLag))
	s.grants.init()
	s.lifetime.init(o.Seed)
	s.throttle.init(o.Quota, len(s.tenant.users))
	s.requests.keep = max(o.KeepRequests, 0)
	s.SetReplicas(o.Replicas...)
	s.chance.seed = o.Seed
	for _, f := range o.Faults {
		s.Inject(f)
	}
	s.client = &http.Client{Transport: s.newTransport()}
	if err := s.registerApps(); err != nil {
		return nil, err
	}
	s.fillCast()
	return s, nil
}

func (s *Sim) newTransport() *http.Transport {
	pool := x509.NewCertPool()
	pool.AddCert(s.ca.cert)
	return &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
	}
}

// Listen opens both listeners and serves. An address is host:port; port 0 takes any free one.
func (s *Sim) Listen(browserAddr, tlsAddr string) error {
	if s.browserL != nil {
		return errors.New("the simulator listens already")
	}
	var lc net.ListenConfig
	bl, err := lc.Listen(context.Background(), "tcp", browserAddr)
	if err != nil {
		return fmt.Errorf("listening for browsers on %s: %w", browserAddr, err)
	}
	tl, err := lc.Listen(context.Background(), "tcp", tlsAddr)
	if err != nil {
		return errors.Join(fmt.Errorf("listening for API clients on %s: %w", tlsAddr, err), bl.Close())
	}
	s.browserL, s.tlsL = bl, tl
	s.browserP, s.tlsP = port(bl), port(tl)
	s.addVictimRedirect()
	s.browser = s.newServer(s.browserHandler())
	s.tls = s.newServer(s.tlsHandler())
	s.tls.ConnContext = withConn
	s.tls.TLSConfig = &tls.Config{Certificates: []tls.Certificate{s.ca.leaf}, MinVersion: tls.VersionTLS12}
	s.serve(func() error { return s.browser.Serve(bl) })
	s.serve(func() error { return s.tls.ServeTLS(tl, "", "") })
	return nil
}

func (s *Sim) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
}

func (s *Sim) serve(f func() error) {
	s.serving.Go(func() {
		if err := f(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("simulator listener stopped", slog.Any("error", err))
		}
	})
}

// Close stops both listeners and drops what is in flight.
func (s *Sim) Close() error {
	var err error
	s.stopOnce.Do(func() {
		close(s.stop)
		s.client.CloseIdleConnections()
		if s.browserL == nil {
			return
		}
		s.closeSplices()
		err = errors.Join(closeServer(s.browser), closeServer(s.tls))
		s.serving.Wait()
	})
	return err
}

// closeServer gives answers in flight a moment and then cuts them.
func closeServer(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return srv.Close()
	}
	return nil
}

func port(l net.Listener) string {
	_, p, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return ""
	}
	return p
}

// BrowserURL is the address of the plain HTTP listener.
func (s *Sim) BrowserURL() string { return "http://localhost:" + s.browserP }

// TLSURL is the address of the TLS listener.
func (s *Sim) TLSURL() string { return "https://localhost:" + s.tlsP }

// Authority is the address to give MSAL, with instance discovery off.
func (s *Sim) Authority() string { return s.TLSURL() + "/" + s.tenant.id }

// GraphURL is the base address of Graph.
func (s *Sim) GraphURL() string { return s.TLSURL() + "/v1.0" }

// CAPEM is the certificate of the simulator's CA.
func (s *Sim) CAPEM() []byte { return slices.Clone(s.ca.pem) }

// HTTPClient returns a client that trusts the simulator's CA and nothing else.
func (s *Sim) HTTPClient() *http.Client { return s.client }

// TenantID is the tenant's GUID.
func (s *Sim) TenantID() string { return s.tenant.id }

// TenantName is the tenant's display name.
func (s *Sim) TenantName() string { return s.tenant.name }

// App is the console's registration, with the defaults filled in.
func (s *Sim) App() AppRegistration {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.apps[s.opts.App.ClientID].AppRegistration
}

// Cast are the people with a part to play.
func (s *Sim) Cast() Cast { return s.tenant.cast }

// now is the sign-in service's clock.
func (s *Sim) now() time.Time { return s.opts.Now().UTC() }

// graphNow is Graph's clock, on which stamps and Date headers are.
func (s *Sim) graphNow() time.Time { return s.now().Add(time.Duration(s.offset.Load())) }

// registerApps makes the console's registration and that of the victim's app.
func (s *Sim) registerApps() error {
	ids := newIDs(s.opts.Seed, "victim")
	s.apps = map[string]*app{}
	for _, r := range []AppRegistration{s.opts.App, {
		ClientID: ids.next(), Name: "Payroll portal", Secret: opaque(""), Scopes: []string{"openid", "profile", "offline_access", "User.Read"},
	}} {
		a, err := newApp(r)
		if err != nil {
			return err
		}
		s.apps[r.ClientID] = a
	}
	for id := range s.apps {
		if id != s.opts.App.ClientID {
			s.victims.clientID = id
		}
	}
	return nil
}

func (s *Sim) addVictimRedirect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.apps[s.victims.clientID]
	a.RedirectURIs = append(a.RedirectURIs, s.BrowserURL()+"/victim/callback")
	a.PostLogoutURIs = append(a.PostLogoutURIs, s.BrowserURL()+"/victim")
}
