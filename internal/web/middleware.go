package web

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"evict/internal/auth"
	"evict/internal/fault"
	"evict/internal/operator"
)

// visit is what one request carries through the handlers.
type visit struct {
	requestID string
	nonce     string          // of this answer's Content-Security-Policy
	body      io.ReadCloser   // the request's, without the usual bound: see allowUpload
	conn      context.Context // until the browser goes, without the usual bound on time: see slowly
	session   *auth.Session
	who       operator.Operator
}

type visitKey struct{}

// at returns the request's visit. Every request has one: identify is the first middleware.
func at(r *http.Request) *visit {
	v, _ := r.Context().Value(visitKey{}).(*visit)
	if v == nil {
		return &visit{}
	}
	return v
}

// identify gives the request its id and its nonce.
func (s *Server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{requestID: s.NewID(), nonce: newNonce()}
		w.Header().Set("X-Request-Id", v.requestID)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
	})
}

func newNonce() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// accessLog writes one line a request: the route's pattern, never the address with its ids and query.
func (s *Server) accessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() { // a download that is given up passes as a panic
			s.Logger.LogAttrs(r.Context(), slog.LevelInfo, "request",
				slog.String("method", r.Method), slog.String("route", chi.RouteContext(r.Context()).RoutePattern()),
				slog.Int("status", ww.Status()), slog.Int("bytes", ww.BytesWritten()),
				slog.Int64("ms", s.Now().Sub(start).Milliseconds()),
				slog.String("client", middleware.GetClientIP(r.Context())), slog.String("request_id", at(r).requestID))
		}()
		next.ServeHTTP(ww, r)
	})
}

// recoverPanic turns a panic into the page for internal errors. The stack goes to the log.
func (s *Server) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p) // the server's own way to give an answer up
			}
			if p != nil {
				s.Logger.Error("panic", "request_id", at(r).requestID, "panic", p, "stack", string(debug.Stack()))
				s.fail(w, r, fault.New(fault.Internal, "panic"))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// policy is the Content-Security-Policy of every answer; the nonce admits our two scripts, and htmx is the only one
// that may touch the page's sinks.
func policy(nonce string) string {
	return strings.Join([]string{
		"default-src 'none'", "script-src 'nonce-" + nonce + "'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
		"form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types htmx",
	}, "; ")
}

// secureHeaders sets what protects every answer. Static files set their own caching afterwards.
func (s *Server) secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy(at(r).nonce))
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		if s.Secure {
			h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
		}
		next.ServeHTTP(w, r)
	})
}

const (
	compareFor  = 10 * time.Minute // a comparison: Microsoft makes whoever reads its log wait
	downloadFor = 6 * time.Hour    // a download: a ledger of millions of events is gigabytes
	stalledFor  = time.Minute      // a part of a download: a reader who takes nothing for so long is given up
	uploadFor   = 2 * time.Minute  // a form with a file on its way here: 20 MB over a slow line
)

// slowly gives an answer more time than a page has. It still ends when the browser goes: nobody waits for it then.
func slowly(w http.ResponseWriter, r *http.Request, most time.Duration) (context.Context, context.CancelFunc) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(most)) // where it cannot be set, the server's holds
	return context.WithTimeout(at(r).conn, most)
}

// download is slowly for a file, which goes out by w: it may be as large as it is, while the reader takes it.
func download(w http.ResponseWriter, r *http.Request) (paced, context.Context, context.CancelFunc) {
	ctx, cancel := slowly(w, r, downloadFor)
	return paced{w}, ctx, cancel
}

// paced is an answer of which each part must leave within stalledFor.
type paced struct{ http.ResponseWriter }

// Write is http.ResponseWriter's.
func (p paced) Write(b []byte) (int, error) {
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(stalledFor))
	return p.ResponseWriter.Write(b)
}

const (
	maxBody     = 64 << 10         // bytes of a form
	maxHandling = 25 * time.Second // one request, all calls to Microsoft included
)

// limitRequest bounds the body and the time of a request.
func limitRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), maxHandling)
		defer cancel()
		at(r).body, at(r).conn = r.Body, r.Context()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// refuseCrossOrigin lets a form be sent only by our own pages. A request with neither Sec-Fetch-Site nor Origin comes
// from no browser of today, and is refused too.
func (s *Server) refuseCrossOrigin() func(http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			safe := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
			blind := r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == ""
			if protection.Check(r) != nil || !safe && blind {
				s.fail(w, r, errCrossOrigin)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// guard admits a request to a page: it loads the session, asks the route's row, and answers the page's error.
func (s *Server) guard(route operator.Route, h page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.admit(r, route); err != nil {
			s.fail(w, r, errors.Join(err, parseForm(r)))
			return
		}
		s.serve(w, r, route.Name, h)
	})
}

// serve reads the form of somebody who was admitted, and answers.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, route string, h page) {
	r, cancel := allowUpload(w, r, route)
	defer cancel()
	err := s.alone(r, route, func() error {
		if err := parseForm(r); err != nil {
			return err
		}
		return h(w, r)
	})
	if err != nil {
		s.fail(w, r, err)
	}
}

// alone lets one comparison at a time read its file, which stands in memory whole. The others have no file.
func (s *Server) alone(r *http.Request, route string, do func() error) error {
	if route != "ledger.reconcile.upload" {
		return do()
	}
	if !s.compare.TryLock() {
		_, _ = io.Copy(io.Discard, r.Body) // a browser that is still sending would not read the answer
		return errComparing()
	}
	defer s.compare.Unlock()
	return do()
}

// uploads are the forms that take a file, and the bytes that they may have.
var uploads = map[string]int64{"scope.add": maxUpload, "ledger.reconcile.upload": maxLogUpload}

// allowUpload lets a form that takes a file be as large as it may, and be on its way for as long. It is called only for
// people who were admitted: nobody else makes the console read more than a usual form, or wait for it.
func allowUpload(w http.ResponseWriter, r *http.Request, route string) (*http.Request, context.CancelFunc) {
	most, ok := uploads[route]
	if !ok {
		return r, func() {}
	}
	control, now := http.NewResponseController(w), time.Now()
	_ = control.SetReadDeadline(now.Add(uploadFor)) // where they cannot be set, the server's hold
	_ = control.SetWriteDeadline(now.Add(uploadFor + maxHandling))
	ctx, cancel := context.WithTimeout(at(r).conn, uploadFor+maxHandling)
	r = r.WithContext(ctx)
	r.Body = http.MaxBytesReader(w, at(r).body, most)
	return r, cancel
}

// parseForm reads a sent form whole, so that no handler acts on half of one.
func parseForm(r *http.Request) error {
	if r.Method != http.MethodPost {
		return nil
	}
	err := r.ParseForm()
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == "multipart/form-data" {
		err = r.ParseMultipartForm(maxLogUpload) //nolint:gosec // in memory: guard has bounded the body
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.Wrap(fault.Invalid, fmt.Sprintf("The form is too large: it may have %d KB.", tooLarge.Limit>>10), err)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fault.Wrap(fault.Invalid, "The form did not arrive in time: a file may be on its way for two minutes. Over a slow line, send a smaller one.", err)
	}
	if err != nil {
		return fault.Wrap(fault.Invalid, "The form could not be read: it is damaged.", err)
	}
	return nil
}

// admit fails closed: a route that is not public needs a session, and a route by role needs one of its roles.
func (s *Server) admit(r *http.Request, route operator.Route) error {
	v := at(r)
	if route.Access == operator.Public {
		return nil
	}
	polling := (route.Name == "run" || route.Name == "plan" || route.Name == "ledger.verify") && isFragment(r)
	session, err := s.Auth.Load(r, !polling)
	if err != nil {
		return err
	}
	v.session, v.who = session, session.Operator()
	v.who.Address = middleware.GetClientIP(r.Context())
	if !route.Admits(v.who.Roles) {
		if len(v.who.Roles) == 0 {
			return errNoRole
		}
		s.Logger.Warn("refused by role", "route", route.Name, "oid", v.who.OID, "request_id", v.requestID)
		e := fault.New(fault.Forbidden, "It needs one of the console roles "+route.Roles.Short()+"; you hold "+v.who.Roles.Short()+".")
		e.Fix = "Ask whoever assigns the console's roles. A new role counts from the next sign-in."
		return e
	}
	return nil
}

// isFragment reports whether htmx asks for a part of the page.
func isFragment(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }
