package graph

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"evict/internal/directory"
	"evict/internal/operator"
)

const (
	maxAnswer = 16 << 20        // bytes of a 2xx body; a page of 999 users has about 1 MB
	maxWait   = 2 * time.Second // longest Retry-After after which a GET is repeated here
)

var (
	errForeign = errors.New("the address is not below the configured Graph endpoint: no token is sent there")
	errTooLong = errors.New("the answer is longer than is accepted")
	errNoCall  = errors.New("a request outside of any call")
)

type callKey struct{}

// call is one call on its way. It travels in the context, since the SDK sits between its two ends.
type call struct {
	token           operator.Token
	clientRequestID string
	high            bool
	sent            atomic.Bool // there was a connection, so the request may have reached Graph

	mu   sync.Mutex
	last directory.Answer // the last 2xx
	seen int              // status of the last answer of any kind
}

func (c *call) saw(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = status
}

func (c *call) status() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

func (c *call) answered(a directory.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = a
}

// answer returns the last 2xx answer; its Status is 0 when there was none.
func (c *call) answer() directory.Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// transport attaches the token, and turns whatever is not a 2xx answer into *directory.CallError.
type transport struct {
	base      *url.URL
	next      http.RoundTripper
	clock     *clock
	now       func() time.Time
	userAgent string
}

// RoundTrip makes the request, and repeats a GET once when the connection failed or Graph asks for a short wait.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	at, ok := req.Context().Value(callKey{}).(*call)
	if !ok {
		return nil, errNoCall
	}
	if !t.ours(req.URL) {
		return nil, &directory.CallError{Code: directory.CodeForeign, ClientRequestID: at.clientRequestID, Sent: at.sent.Load(), Err: errForeign}
	}
	resp, err := t.once(req, at)
	if err == nil || req.Method != http.MethodGet {
		return resp, err
	}
	wait, ok := again(err)
	if !ok || !pause(req.Context(), wait) {
		return nil, err
	}
	return t.once(req, at)
}

// ours reports whether an address is below the configured endpoint.
func (t *transport) ours(u *url.URL) bool {
	path := u.EscapedPath()
	return u.Scheme == "https" && u.User == nil && strings.EqualFold(u.Host, t.base.Host) &&
		strings.HasPrefix(path, t.base.EscapedPath()+"/") &&
		!strings.Contains(path, "/..") && !strings.Contains(strings.ToLower(path), "%2e%2e") && !strings.Contains(path, "\\")
}

func (t *transport) once(req *http.Request, at *call) (*http.Response, error) {
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { at.sent.Store(true) },
	})
	out := req.Clone(ctx)
	out.Host = ""
	out.Header.Set("Authorization", "Bearer "+at.token.Bearer())
	out.Header.Set("client-request-id", at.clientRequestID)
	out.Header.Set("User-Agent", t.userAgent)
	if at.high {
		out.Header.Set("x-ms-throttle-priority", "high")
	}
	asked := t.now()
	resp, err := t.next.RoundTrip(out)
	if err != nil {
		return nil, &directory.CallError{ClientRequestID: at.clientRequestID, Sent: at.sent.Load(), Err: bare(err)}
	}
	at.saw(resp.StatusCode)
	answer := directory.Answer{
		Status: resp.StatusCode, RequestID: plain(resp.Header.Get("request-id"), maxID), ClientRequestID: at.clientRequestID,
		Load: load(resp.Header.Get("x-ms-throttle-limit-percentage")),
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		answer.Date = date.UTC()
		t.clock.observe(asked, t.now(), date)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, refusal(resp, answer, t.now())
	}
	at.answered(answer)
	resp.Body = &limited{ReadCloser: resp.Body, left: maxAnswer}
	return resp, nil
}

// load reads x-ms-throttle-limit-percentage; 0 for what is no share of a limit (Microsoft names 0.8 to 1.8).
func load(header string) float64 {
	n, err := strconv.ParseFloat(header, 64)
	if err != nil || !(n >= 0 && n < 100) { // NaN is none either
		return 0
	}
	return n
}

// again says whether a failed GET is worth one repetition, and after how long.
func again(err error) (time.Duration, bool) {
	e, ok := errors.AsType[*directory.CallError](err)
	switch {
	case !ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return 0, false
	case e.Status == 0:
		return 100 * time.Millisecond, true
	case e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable:
		return e.RetryAfter, e.RetryAfter > 0 && e.RetryAfter <= maxWait
	default:
		return 0, false
	}
}

// pause waits, and reports whether the context still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// limited is a body that ends in an error when it is too long.
type limited struct {
	io.ReadCloser

	left int
}

// Read reads on, up to the limit.
func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLong
	}
	n, err := l.ReadCloser.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
