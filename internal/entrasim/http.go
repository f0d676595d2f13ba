package entrasim

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// tlsHandler serves API clients: sign-in and Graph on our own hosts, each on its own under Microsoft's names.
func (s *Sim) tlsHandler() http.Handler {
	signIn := s.signInMux()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := microsoftHost(r.Host)
		graph := strings.HasPrefix(r.URL.Path, "/v1.0/")
		switch {
		case graph && (host == "" || isGraphHost(host)):
			s.graphHandler(w, r)
		case isGraphHost(host) || strings.HasPrefix(r.URL.Path, "/beta/"):
			writeJSON(w, http.StatusNotFound, map[string]any{"error": map[string]any{"code": codeBad, "message": "Only version v1.0 is simulated."}})
		default:
			signIn.ServeHTTP(w, r)
		}
	})
}

// browserHandler serves people over plain HTTP. Graph is not served there. CONNECT makes it a proxy to itself.
func (s *Sim) browserHandler() http.Handler {
	mux := s.signInMux()
	mux.HandleFunc("GET /{$}", s.homePage)
	mux.HandleFunc("GET /_sim/{$}", s.knobsPage)
	mux.HandleFunc("GET /_sim/counters", s.countersPage)
	mux.HandleFunc("GET /victim", s.victimPage)
	mux.HandleFunc("GET /victim/status", s.victimStatus)
	mux.HandleFunc("GET /victim/callback", s.victimCallback)
	mux.HandleFunc("POST /victim/sign-in", s.victimSignIn)
	mux.HandleFunc("POST /victim/sign-out", s.victimSignOut)
	mux.HandleFunc("POST /_sim/settings", s.setSettings)
	mux.HandleFunc("POST /_sim/faults", s.setFault)
	mux.HandleFunc("POST /_sim/people", s.setPerson)
	guarded := http.NewCrossOriginProtection()
	guarded.AddInsecureBypassPattern("POST /{tenant}/oauth2/v2.0/token")     // no cookie is read there
	guarded.AddInsecureBypassPattern("POST /{tenant}/oauth2/v2.0/authorize") // checks the choice of an account itself
	safe := guarded.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			s.connect(w, r)
			return
		}
		safe.ServeHTTP(w, r)
	})
}

// signInMux are the addresses that both listeners have.
func (s *Sim) signInMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", s.openIDConfiguration)
	mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", s.signingKeys)
	mux.HandleFunc("GET /common/discovery/instance", s.discoverInstance)
	mux.HandleFunc("GET /{tenant}/oauth2/v2.0/authorize", s.authorize)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/authorize", s.authorize)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", s.token)
	mux.HandleFunc("GET /{tenant}/oauth2/v2.0/logout", s.logout)
	mux.HandleFunc("GET /_sim/ca.pem", s.serveCA)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /_sim/sim.css", s.asset("sim.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /_sim/post.js", s.asset("post.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /_sim/victim.js", s.asset("victim.js", "text/javascript; charset=utf-8"))
	return mux
}

func (s *Sim) serveCA(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Header().Set("Content-Disposition", `attachment; filename="entrasim-ca.pem"`)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(s.ca.pem) // the client may be gone
}

// connKey is where a request's context holds its connection.
type connKey struct{}

func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// resetConn breaks the TCP connection of a request with everything that is in flight on it.
func resetConn(ctx context.Context) {
	conn, _ := ctx.Value(connKey{}).(net.Conn)
	if t, isTLS := conn.(*tls.Conn); isTLS {
		conn = t.NetConn() // without TLS's farewell, which could wait for a full socket
	}
	if t, isTCP := conn.(*net.TCPConn); isTCP {
		_ = t.SetLinger(0)
	}
	if conn != nil {
		_ = conn.Close()
	}
}

func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// connect splices a proxy client into the TLS listener, for Microsoft's names and port 443 only: nothing else can be
// reached through the simulator.
func (s *Sim) connect(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil || port != "443" || microsoftHost(host) == "" {
		http.Error(w, "the simulator only connects to the names it simulates", http.StatusForbidden)
		return
	}
	up, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(r.Context(), "tcp", s.tlsL.Addr().String())
	if err != nil {
		http.Error(w, "the simulator's TLS listener is not there", http.StatusBadGateway)
		return
	}
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = up.Close()
		http.Error(w, "this connection cannot be a tunnel", http.StatusInternalServerError)
		return
	}
	_ = down.SetDeadline(time.Time{})
	if _, err := io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_, _ = up.Close(), down.Close()
		return
	}
	if !s.addSplice(up, down) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { pipe(up, io.MultiReader(io.LimitReader(buffered, int64(buffered.Reader.Buffered())), down)) })
	both.Go(func() { pipe(down, up) })
	both.Wait()
	s.removeSplice(up, down)
}

// pipe copies one way and then closes that way, so that the other end sees it.
func pipe(dst net.Conn, src io.Reader) {
	_, _ = io.Copy(dst, src) // either end may go at any time
	if t, isTCP := dst.(*net.TCPConn); isTCP {
		_ = t.CloseWrite()
	}
}

func (s *Sim) addSplice(conns ...net.Conn) bool {
	s.splicesMu.Lock()
	defer s.splicesMu.Unlock()
	select {
	case <-s.stop:
		for _, c := range conns {
			_ = c.Close()
		}
		return false
	default:
	}
	for _, c := range conns {
		s.splices[c] = struct{}{}
	}
	return true
}

func (s *Sim) removeSplice(conns ...net.Conn) {
	s.splicesMu.Lock()
	defer s.splicesMu.Unlock()
	for _, c := range conns {
		delete(s.splices, c)
		_ = c.Close()
	}
}

func (s *Sim) closeSplices() {
	s.splicesMu.Lock()
	defer s.splicesMu.Unlock()
	for c := range s.splices {
		_ = c.Close()
	}
}
