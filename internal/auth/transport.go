package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxAnswer    = 1 << 20
	discoveryTTL = time.Hour
)

var (
	errForeignHost = errors.New("refused to call a host that is not the cloud's sign-in service")
	errLongAnswer  = errors.New("the answer is too long")
)

// guard is the way to the sign-in service. It lets requests out to that host only (they carry the console's credential
// and refresh tokens), bounds answers, keeps discovery documents for an hour (each MSAL client would fetch them anew),
// and spells the granted scopes in one way.
type guard struct {
	next  http.RoundTripper
	cloud Cloud
	now   func() time.Time

	mu   sync.Mutex
	docs map[string]document
}

type document struct {
	head  http.Header
	body  []byte
	until time.Time
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" || !strings.EqualFold(req.URL.Host, g.cloud.LoginHost) {
		return nil, errForeignHost
	}
	kept := req.Method == http.MethodGet && isDiscovery(req.URL.Path)
	name := req.URL.Path + "?" + req.URL.RawQuery // MSAL leaves an empty query behind
	if d, ok := g.document(name); kept && ok {
		return answer(req, http.StatusOK, d.head, d.body), nil
	}
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, errLongAnswer
	}
	if resp.StatusCode == http.StatusOK {
		switch {
		case kept:
			g.keep(name, document{resp.Header.Clone(), body, g.now().Add(discoveryTTL)})
		case req.Method == http.MethodPost:
			body = g.respell(body)
		}
	}
	return answer(req, resp.StatusCode, resp.Header, body), nil
}

func isDiscovery(p string) bool {
	return strings.HasSuffix(p, "/.well-known/openid-configuration") || p == "/common/discovery/instance"
}

func (g *guard) document(name string) (document, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d, ok := g.docs[name]
	return d, ok && g.now().Before(d.until)
}

func (g *guard) keep(name string, d document) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.docs == nil || len(g.docs) > 16 {
		g.docs = map[string]document{}
	}
	g.docs[name] = d
}

// graphIDs are further names of Graph in scopes: its application id (Microsoft Learn, "Verify first-party Microsoft
// applications in sign-in reports").
var graphIDs = []string{"00000003-0000-0000-c000-000000000000"}

// respell writes each granted scope of a token answer as Cloud.qualify writes it. An answer that is no such JSON is
// left as it is.
func (g *guard) respell(body []byte) []byte {
	var fields map[string]json.RawMessage
	var scope string
	if json.Unmarshal(body, &fields) != nil || json.Unmarshal(fields["scope"], &scope) != nil {
		return body
	}
	words := strings.Fields(scope)
	for i, w := range words {
		if before, name, ok := strings.Cut(w, "/"); ok && slices.Contains(graphIDs, strings.ToLower(before)) {
			w = name
		}
		words[i] = g.cloud.qualify(w)
	}
	value, err := json.Marshal(strings.Join(words, " "))
	if err != nil {
		return body
	}
	fields["scope"] = value
	out, err := json.Marshal(fields)
	if err != nil {
		return body
	}
	return out
}

func answer(req *http.Request, status int, head http.Header, body []byte) *http.Response {
	h := head.Clone()
	h.Del("Content-Length")
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
}

// guarded wraps the given client, or the cloud's own when it is nil, with a guard.
func guarded(hc *http.Client, c Cloud, now func() time.Time) *http.Client {
	if hc == nil {
		hc = c.HTTPClient()
	}
	next := hc.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	timeout := hc.Timeout
	if timeout == 0 {
		timeout = httpTimeout
	}
	return &http.Client{
		Transport: &guard{next: next, cloud: c, now: now}, Timeout: timeout, CheckRedirect: noRedirect,
	}
}
