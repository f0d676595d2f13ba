package entrasim

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FaultKind names what goes wrong.
type FaultKind string

// The kinds of faults. Unless it says otherwise a kind applies to any Graph request that the fault matches.
const (
	// Status429 answers TooManyRequests with Retry-After (default 10 s); nothing happens.
	Status429 FaultKind = "status 429"
	// Status500 answers an internal error; nothing happens.
	Status500 FaultKind = "status 500"
	// Status503 answers ServiceUnavailable, with Retry-After if one is set; nothing happens.
	Status503 FaultKind = "status 503"
	// Status503HTML answers 503 with an HTML page, as a proxy in front of Graph would.
	Status503HTML FaultKind = "status 503, HTML"
	// Status504 answers a gateway time-out after the effect has happened.
	Status504 FaultKind = "status 504"
	// Hang never answers: it ends when the client gives up. Nothing happens.
	Hang FaultKind = "hang"
	// DropConnection cuts the connection before anything happens. Over HTTP/2 only the request's own stream ends.
	DropConnection FaultKind = "drop connection"
	// ResetConnection breaks the TCP connection before anything happens. Over HTTP/2 every other request in flight on it
	// loses its answer as well, whether it took effect or not.
	ResetConnection FaultKind = "reset connection"
	// AnswerLost lets the effect happen and then cuts the connection, over HTTP/2 the stream.
	AnswerLost FaultKind = "answer lost"
	// ClaimsChallenge answers 401 with a claims challenge.
	ClaimsChallenge FaultKind = "claims challenge"
	// TokenRevoked refuses refresh tokens with AADSTS50173. It applies to the token endpoint.
	TokenRevoked FaultKind = "token revoked"
	// Forbidden403 answers Authorization_RequestDenied.
	Forbidden403 FaultKind = "forbidden"
	// ForwardDated lets a revocation set a stamp 30 days in the future.
	ForwardDated FaultKind = "forward-dated stamp"
	// StampNeverMoves lets a revocation answer 200 and change nothing.
	StampNeverMoves FaultKind = "stamp never moves"
	// ForeignNextLink makes @odata.nextLink lead to another host.
	ForeignNextLink FaultKind = "foreign next link"
	// SlowBody sends the answer in pieces over two seconds.
	SlowBody FaultKind = "slow body"
	// StaleReplica answers the stamp from before the last revocation.
	StaleReplica FaultKind = "stale replica"
	// StaleRole refuses revocations with every token that was issued before the fault was put in, as when a role was
	// given after the token was issued.
	StaleRole FaultKind = "token older than role"
	// RoleEnds ends every role that the caller has activated, as when an activation in privileged identity management
	// runs out, and then lets the request go on.
	RoleEnds FaultKind = "role ends"
	// TenantQuotaEaten lets another application use up the write quota that all in the tenant share, and then lets the
	// request go on.
	TenantQuotaEaten FaultKind = "tenant quota eaten"
	// AccountCreated creates an account before the request is answered, late.arrival@ the tenant's domain. It joins the
	// group or administrative unit that the path names.
	AccountCreated FaultKind = "account created"
)

// faultKinds lists all kinds, for the knobs page.
var faultKinds = []FaultKind{
	Status429, Status500, Status503, Status503HTML, Status504, Hang, DropConnection, ResetConnection, AnswerLost, ClaimsChallenge,
	TokenRevoked, Forbidden403, ForwardDated, StampNeverMoves, ForeignNextLink, SlowBody, StaleReplica, StaleRole, RoleEnds,
	TenantQuotaEaten, AccountCreated,
}

// FaultKinds lists all kinds of faults.
func FaultKinds() []FaultKind { return slices.Clone(faultKinds) }

// Fault is something that goes wrong on purpose.
type Fault struct {
	// Method is the HTTP method, empty for any.
	Method string
	// Match is a path with the version, such as "/v1.0/users/{id}/revokeSignInSessions": a segment in braces or * stands
	// for any one segment, a last ** for any rest. Without a leading slash it is compared with the end of the path. /me
	// is also seen as /users/{id}. Empty means every Graph path, or the token endpoint for TokenRevoked. A Match that
	// ends in "token" applies the status, hang and connection kinds to the token endpoint.
	Match string
	// UserID limits the fault to requests about this user, or to grants of this user on the token endpoint.
	UserID string
	// Caller limits the fault to requests made by this user.
	Caller string
	Kind   FaultKind
	// Times is how often the fault happens. Zero means until it is removed.
	Times int
	// After is how many matching requests pass before the fault begins, so that it can come in the middle of a run.
	After int
	// Rate is the share of matching requests that the fault hits: 0.02 is one in fifty. The seed decides which. What the
	// n-th request of one method and path meets does not depend on the order in which others arrive. Zero means all.
	Rate float64
	// RetryAfter goes into the header of that name of 429 and 503.
	RetryAfter time.Duration
}

// ParseFault reads a fault as it stands on a command line: "answer lost=0.02", a kind and the share of requests that it
// hits (more than 0, up to 1), or with a Match after it "answer lost=0.02@revokeSignInSessions".
func ParseFault(text string) (Fault, error) {
	kind, rest, found := strings.Cut(text, "=")
	share, match, _ := strings.Cut(rest, "@")
	rate, err := strconv.ParseFloat(share, 64)
	f := Fault{Kind: FaultKind(kind), Match: match, Rate: rate}
	if !slices.Contains(faultKinds, f.Kind) {
		return Fault{}, fmt.Errorf("no fault is called %q", kind)
	}
	if found && err == nil && rate > 0 && rate <= 1 {
		return f, nil
	}
	return Fault{}, fmt.Errorf("%q does not say which share of requests it hits, as in %q", text, kind+"=0.02")
}

type activeFault struct {
	Fault
	id   int
	left int
	came int // matching requests so far
	seq  uint64
}

// faultSet holds the faults that are on. The oldest that matches wins.
type faultSet struct {
	mu   sync.Mutex
	next int
	on   []*activeFault
}

// Inject turns a fault on. The returned function turns it off; it may be called more than once.
func (s *Sim) Inject(f Fault) (remove func()) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.next++
	a := &activeFault{Fault: f, id: s.faults.next, left: f.Times, seq: s.seq.Add(1)}
	s.faults.on = append(s.faults.on, a)
	return func() { s.faults.remove(a.id) }
}

// ClearFaults turns all faults off.
func (s *Sim) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.on = nil
}

func (f *faultSet) remove(id int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = slices.DeleteFunc(f.on, func(a *activeFault) bool { return a.id == id })
}

func (f *faultSet) list() []activeFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]activeFault, len(f.on))
	for i, a := range f.on {
		out[i] = *a
	}
	return out
}

// use counts one happening of the fault and reports whether it was still on.
func (f *faultSet) use(a *activeFault) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.on, a) {
		return false
	}
	if a.Times == 0 {
		return true
	}
	if a.left--; a.left == 0 {
		f.on = slices.DeleteFunc(f.on, func(b *activeFault) bool { return a == b })
	}
	return true
}

// take finds the faults that concern a Graph request, without counting yet that they happened.
func (f *faultSet) take(c *call) []*activeFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*activeFault
	for _, a := range f.on {
		if a.concerns(c) && a.due(c.luck) {
			out = append(out, a)
		}
	}
	return out
}

// due counts one matching request and reports whether the fault hits it. Callers hold the set's lock.
func (a *activeFault) due(luck func() uint64) bool {
	a.came++
	return a.came > a.After && (a.Rate == 0 || hits(luck(), uint64(a.id), a.Rate))
}

func (a *activeFault) concerns(c *call) bool {
	if a.Kind == TokenRevoked || a.Method != "" && !strings.EqualFold(a.Method, c.method) ||
		a.UserID != "" && (c.subject == nil || !sameID(a.UserID, c.subject.id)) ||
		a.Caller != "" && !sameID(a.Caller, c.token.ObjectID) {
		return false
	}
	if a.Match == "" || matchPath(a.Match, "/v1.0"+c.path) {
		return true
	}
	return c.me && matchPath(a.Match, "/v1.0/me/"+strings.Join(c.segs[2:], "/"))
}

// matchPath compares a path with a pattern as Fault.Match describes.
func matchPath(pattern, path string) bool {
	want, have := strings.Split(strings.Trim(pattern, "/"), "/"), strings.Split(strings.Trim(path, "/"), "/")
	if !strings.HasPrefix(pattern, "/") && len(have) > len(want) {
		have = have[len(have)-len(want):]
	}
	for i, w := range want {
		if w == "**" && i == len(want)-1 {
			return len(have) >= i
		}
		if i >= len(have) {
			return false
		}
		if w != "*" && !strings.HasPrefix(w, "{") && !strings.EqualFold(w, have[i]) {
			return false
		}
	}
	return len(have) == len(want)
}

// fault reports whether a fault of this kind concerns the call, and counts it once for each call.
func (c *call) fault(kind FaultKind) bool { return c.useFault(kind) != nil }

func (c *call) useFault(kind FaultKind) *activeFault {
	for _, a := range c.faults {
		if a.Kind != kind {
			continue
		}
		if slices.Contains(c.usedFaults, a) {
			return a
		}
		if c.sim.faults.use(a) {
			c.usedFaults = append(c.usedFaults, a)
			return a
		}
	}
	return nil
}

// faultEffects lets happen what other parties do at the moment of the call.
func (c *call) faultEffects() {
	if c.fault(RoleEnds) {
		c.sim.endActivations(c.token.ObjectID)
	}
	if c.fault(TenantQuotaEaten) {
		c.sim.SpendTenantWrites(maxPeople)
	}
	if c.fault(AccountCreated) {
		c.sim.lateArrival(c.vars["group"], c.vars["unit"])
	}
}

// faultBefore answers instead of the handler.
func (c *call) faultBefore() *reply {
	if len(c.faults) == 0 {
		return nil
	}
	for _, kind := range []FaultKind{
		Hang, ResetConnection, DropConnection, ClaimsChallenge, Forbidden403, Status429, Status500, Status503, Status503HTML,
	} {
		a := c.useFault(kind)
		if a == nil {
			continue
		}
		switch kind {
		case Hang:
			return &reply{hang: true}
		case ResetConnection:
			return &reply{cut: true, reset: true}
		case DropConnection:
			return &reply{cut: true}
		case ClaimsChallenge:
			return c.challenge(c.sim.graphNow().Unix())
		case Forbidden403:
			return c.graphError(http.StatusForbidden, codeDenied, deniedText)
		default:
			return c.statusFault(a)
		}
	}
	return nil
}

func (c *call) statusFault(a *activeFault) *reply {
	var rep *reply
	wait := a.RetryAfter
	switch a.Kind {
	case Status429:
		rep = c.graphError(http.StatusTooManyRequests, codeTooMany, "Too many requests. Please retry later.")
		if wait == 0 {
			wait = defaultRetryAfter
		}
	case Status500:
		rep = c.graphError(http.StatusInternalServerError, "InternalServerError", "An internal server error has occurred.")
	case Status503:
		rep = c.graphError(http.StatusServiceUnavailable, "serviceNotAvailable", "The service is temporarily unavailable.")
	default:
		rep = &reply{status: http.StatusServiceUnavailable, kind: "text/html", body: []byte(
			"<html><head><title>503 Service Unavailable</title></head><body><h1>Service Unavailable</h1></body></html>")}
	}
	if wait > 0 {
		rep.set("Retry-After", retrySeconds(wait))
	}
	return rep
}

// faultAfter replaces the answer once the effect has happened.
func (c *call) faultAfter(rep *reply) *reply {
	switch {
	case c.fault(AnswerLost):
		return &reply{cut: true}
	case c.fault(Status504):
		return c.graphError(http.StatusGatewayTimeout, "GatewayTimeout", "The server, while acting as a proxy, did not receive a timely response.")
	case c.fault(SlowBody):
		rep.slow = true
	}
	return rep
}

// staleForRole reports whether the token is older than a fault that stands for a role given later.
func (c *call) staleForRole() bool {
	for _, a := range c.faults {
		if a.Kind == StaleRole && c.token.seq() < a.seq && c.fault(StaleRole) {
			return true
		}
	}
	return false
}

// tokenFault applies faults to the token endpoint and reports whether to go on.
func (s *Sim) tokenFault(w http.ResponseWriter, r *http.Request) bool {
	luck := sync.OnceValue(func() uint64 { return s.chance.next(r.URL.Path) })
	for _, a := range s.faults.list() {
		if !strings.HasSuffix(a.Match, "token") || a.UserID != "" || !matchPath(a.Match, r.URL.Path) || !s.faults.happens(a.id, luck) {
			continue
		}
		switch a.Kind {
		case Hang:
			s.sendHang(r)
		case DropConnection:
			panic(http.ErrAbortHandler)
		case ResetConnection:
			resetConn(r.Context())
			panic(http.ErrAbortHandler)
		case Status429:
			w.Header().Set("Retry-After", retrySeconds(max(a.RetryAfter, time.Second)))
			w.WriteHeader(http.StatusTooManyRequests)
			return false
		case Status500, Status504:
			s.tokenError(w, r, &aadError{name: errUnavailable, code: 90033, text: "A transient error has occurred. Please try again.", retry: a.RetryAfter})
			return false
		case Status503, Status503HTML:
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("<h1>Service Unavailable</h1>"))
			return false
		default: // the other kinds are about Graph
		}
	}
	return true
}

func (s *Sim) sendHang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.stop:
	}
	panic(http.ErrAbortHandler)
}

// happens counts a request of the token endpoint for the fault and reports whether it hits it.
func (f *faultSet) happens(id int, luck func() uint64) bool {
	f.mu.Lock()
	i := slices.IndexFunc(f.on, func(a *activeFault) bool { return a.id == id })
	if i < 0 || !f.on[i].due(luck) {
		f.mu.Unlock()
		return false
	}
	a := f.on[i]
	f.mu.Unlock()
	return f.use(a)
}

// faultForGrant refuses a refresh token where a fault says so.
func (s *Sim) faultForGrant(g *grant) *aadError {
	luck := sync.OnceValue(func() uint64 { return s.chance.next("grant of " + g.user.id) })
	for _, a := range s.faults.list() {
		if a.Kind == TokenRevoked && (a.UserID == "" || sameID(a.UserID, g.user.id)) && s.faults.happens(a.id, luck) {
			return s.revokedGrant(g)
		}
	}
	return nil
}
