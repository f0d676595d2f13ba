package entrasim

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

const maxGraphBody = 4 << 20

// call is one Graph request on its way: a request of its own, or one item of a batch.
type call struct {
	sim             *Sim
	ctx             context.Context
	method, path    string // path without the version, canonical: /users/{id}/...
	rawPath         string // as it goes into a next link
	segs            []string
	vars            map[string]string
	query           url.Values
	header          http.Header
	body            []byte
	token           *accessClaims
	caller          *user // nil for an application
	subject         *user // whom the path is about; nil for nobody, or somebody who does not exist
	me              bool
	cast            string
	countOnly       bool
	inBatch         bool
	address         string
	requestID       string
	clientRequestID string
	base            string // https://host/v1.0
	login           string
	route           *route
	faults          []*activeFault
	usedFaults      []*activeFault
	drawn           uint64 // see luck
	sight           *sight // see sees
}

// reply is what goes back. A cut reply is never sent: the connection goes instead.
type reply struct {
	status int
	header http.Header
	body   []byte
	kind   string // content type; empty means JSON
	cut    bool
	reset  bool // with cut: the whole TCP connection
	hang   bool
	slow   bool
}

func ok(body []byte) *reply { return &reply{status: http.StatusOK, body: body} }

func (r *reply) set(k, v string) *reply {
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(k, v)
	return r
}

// Graph's error codes that the simulator gives.
const (
	codeNotFound         = "Request_ResourceNotFound"
	codeDenied           = "Authorization_RequestDenied"
	codeInvalidToken     = "InvalidAuthenticationToken"
	codeUnsupportedQuery = "Request_UnsupportedQuery"
	codeBadRequest       = "Request_BadRequest"
	codeBad              = "BadRequest"
	codeTooMany          = "TooManyRequests"
	codeMethod           = "Request_BadRequest"
)

const deniedText = "Insufficient privileges to complete the operation."

// graphError answers in Graph's error shape.
func (c *call) graphError(status int, code, message string) *reply {
	b, err := json.Marshal(map[string]any{"error": map[string]any{
		"code": code, "message": message,
		"innerError": map[string]any{
			"date": c.sim.graphNow().Format("2006-01-02T15:04:05"), "request-id": c.requestID, "client-request-id": c.clientRequestID,
		},
	}})
	if err != nil {
		b = []byte(`{"error":{"code":"UnknownError","message":""}}`)
	}
	return &reply{status: status, body: b}
}

// graphHandler serves everything under /v1.0.
func (s *Sim) graphHandler(w http.ResponseWriter, r *http.Request) {
	c := s.newCall(r)
	if !s.wait(r.Context(), time.Duration(s.latency.Load())) {
		panic(http.ErrAbortHandler)
	}
	var rep *reply
	if body, e := readGraphBody(w, r); e != nil {
		rep = c.graphError(http.StatusBadRequest, codeBad, e.Error())
	} else {
		c.body = body
		rep = s.dispatch(c)
	}
	s.send(w, c, rep)
}

func (s *Sim) newCall(r *http.Request) *call {
	at := s.endpointsFor(r)
	c := &call{
		sim: s, ctx: r.Context(), method: r.Method, query: r.URL.Query(), header: r.Header,
		rawPath: strings.TrimPrefix(r.URL.EscapedPath(), "/v1.0"), address: clientAddress(r), requestID: uuid.NewString(),
		clientRequestID: r.Header.Get("client-request-id"), base: at.graph + "/v1.0", login: at.login,
	}
	if !isGUID(c.clientRequestID) {
		c.clientRequestID = c.requestID
	}
	return c
}

// wait sleeps for d unless the client goes away or the simulator stops.
func (s *Sim) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-s.stop:
	}
	return false
}

// readGraphBody reads the body, which SDKs compress by default.
func readGraphBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var src io.Reader = http.MaxBytesReader(w, r.Body, maxGraphBody)
	if strings.EqualFold(r.Header.Get("Content-Encoding"), "gzip") {
		z, err := gzip.NewReader(src)
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, errors.New("the request body is not valid gzip")
		}
		src = io.LimitReader(z, maxGraphBody)
	}
	b, err := io.ReadAll(src)
	if err != nil {
		return nil, errors.New("the request body could not be read")
	}
	return b, nil
}

// dispatch finds the route and runs it behind authentication, faults, quota and permissions.
func (s *Sim) dispatch(c *call) *reply {
	if rep := s.authenticateCall(c); rep != nil {
		return s.record(c, rep)
	}
	if rep := c.resolve(); rep != nil {
		return s.record(c, rep)
	}
	c.findSubject()
	c.faults = s.faults.take(c)
	c.faultEffects()
	if rep := c.faultBefore(); rep != nil {
		return s.record(c, rep)
	}
	spent, rep := s.throttle.admit(c)
	if rep == nil {
		rep = s.run(c)
	}
	spent.mark(rep)
	return s.record(c, c.faultAfter(rep))
}

// run checks the permission and calls the handler under the tenant's lock.
func (s *Sim) run(c *call) *reply {
	if !c.allowed() {
		return c.graphError(http.StatusForbidden, codeDenied, deniedText)
	}
	if c.route.lockFree {
		return c.route.handle(c)
	}
	if c.route.writes() {
		s.mu.Lock()
		defer s.mu.Unlock()
	} else {
		s.mu.RLock()
		defer s.mu.RUnlock()
	}
	return c.route.handle(c)
}

// findSubject looks up whom the path is about and counts the request for that account.
func (c *call) findSubject() {
	id := c.vars["user"]
	if id == "" {
		return
	}
	c.sim.mu.RLock()
	c.subject = c.sim.tenant.findUser(id)
	c.sim.mu.RUnlock()
	if c.subject == nil || c.route.counts == nil {
		return
	}
	c.route.counts(c.subject)
	if c.route.writes() {
		c.sim.counters.posts.Add(1)
	}
}

func (s *Sim) record(c *call, rep *reply) *reply {
	oid := ""
	if c.token != nil {
		oid = c.token.ObjectID
	}
	status := rep.status
	if rep.cut || rep.hang {
		status = 0
	}
	s.counters.answered(status)
	if s.requests.keep > 0 {
		s.requests.add(Request{
			Method: c.method, Path: "/v1.0" + cmp.Or(c.path, c.rawPath), Query: c.query.Encode(), Status: status, UserID: oid,
			RequestID: c.requestID, ClientRequestID: c.clientRequestID, Time: s.graphNow(), InBatch: c.inBatch,
		})
	}
	s.log.Debug("graph request", slog.String("method", c.method), slog.String("path", c.path), slog.Int("status", status),
		slog.String("request_id", c.requestID))
	return rep
}

// send writes the answer, or breaks the connection where a fault says so.
func (s *Sim) send(w http.ResponseWriter, c *call, rep *reply) {
	if rep.hang {
		select {
		case <-c.ctx.Done():
		case <-s.stop:
		}
		panic(http.ErrAbortHandler)
	}
	if rep.reset {
		resetConn(c.ctx)
	}
	if rep.cut {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	for k, v := range c.headers(rep) {
		h[k] = v
	}
	if !rep.slow {
		w.WriteHeader(rep.status)
		_, _ = w.Write(rep.body) // the client may be gone
		return
	}
	s.sendSlowly(c.ctx, w, rep)
}

// headers are those that every Graph answer carries, also inside a batch.
func (c *call) headers(rep *reply) http.Header {
	h := http.Header{}
	for k, v := range rep.header {
		h[k] = v
	}
	h.Set("request-id", c.requestID)
	h.Set("client-request-id", c.clientRequestID)
	if !c.inBatch {
		h.Set("Date", c.sim.graphNow().UTC().Format(http.TimeFormat))
		h.Set("x-ms-ags-diagnostic", `{"ServerInfo":{"DataCenter":"Simulated","Slice":"E","Ring":"0","ScaleUnit":"000","RoleInstance":"entrasim"}}`)
	}
	if len(rep.body) > 0 {
		h.Set("Content-Type", "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8")
		if rep.kind != "" {
			h.Set("Content-Type", rep.kind)
		}
		h.Set("OData-Version", "4.0")
	}
	h.Set("Cache-Control", "no-cache")
	return h
}

// sendSlowly writes the body in pieces over about two seconds.
func (s *Sim) sendSlowly(ctx context.Context, w http.ResponseWriter, rep *reply) {
	w.WriteHeader(rep.status)
	rc := http.NewResponseController(w)
	step := max(len(rep.body)/10, 1)
	for part := range slices.Chunk(rep.body, step) {
		if _, err := w.Write(part); err != nil {
			return
		}
		if rc.Flush() != nil || !s.wait(ctx, 200*time.Millisecond) {
			return
		}
	}
}
