package entrasim

import (
	"fmt"
	"sync"
	"time"
)

const (
	codeLife    = 10 * time.Minute
	refreshLife = 90 * 24 * time.Hour // Microsoft Learn, Refresh tokens in the Microsoft identity platform
	ssoLife     = 24 * time.Hour
	maxGrants   = 200_000
)

// grant is a code, a refresh token or a browser session.
type grant struct {
	kind        grantKind
	user        *user
	clientID    string
	redirectURI string
	scopes      scopeRequest
	challenge   string
	method      string
	nonce       string
	sid         string
	cp1         bool
	used        bool
	seq         uint64
	issued      time.Time // on the sign-in service's clock
	issuedGraph time.Time // on the clock of stamps
	authTime    time.Time
	expires     time.Time
}

type grantKind int

const (
	codeGrant grantKind = iota
	refreshGrant
	ssoGrant
)

// grantStore keeps what was issued, by its opaque value.
type grantStore struct {
	mu sync.Mutex
	m  map[string]*grant
}

func (g *grantStore) init() { g.m = map[string]*grant{} }

func (g *grantStore) put(prefix string, gr *grant, now time.Time) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.m) >= maxGrants {
		for k, old := range g.m {
			if now.After(old.expires) || len(g.m) >= maxGrants {
				delete(g.m, k)
			}
		}
	}
	v := opaque(prefix)
	g.m[v] = gr
	return v
}

func (g *grantStore) get(value string, kind grantKind) *grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	if gr := g.m[value]; gr != nil && gr.kind == kind {
		return gr
	}
	return nil
}

// redeem marks a code as used and reports whether it had not been.
func (g *grantStore) redeem(gr *grant) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if gr.used {
		return false
	}
	gr.used = true
	return true
}

func (g *grantStore) drop(value string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.m, value)
}

// newGrant starts a grant for u at this moment.
func (s *Sim) newGrant(kind grantKind, u *user, life time.Duration) *grant {
	now := s.now()
	return &grant{
		kind: kind, user: u, seq: s.seq.Add(1), issued: now, issuedGraph: s.graphNow(), authTime: now, expires: now.Add(life),
	}
}

// refusal says why a grant no longer works, or nil. Callers hold s.mu.
func (s *Sim) refusal(g *grant) *aadError {
	u := g.user
	switch {
	case !u.enabled:
		return aadErr(errInvalidGrant, 50057, "The user account is disabled.")
	case g.seq <= u.cut || g.issuedGraph.Unix() < u.stampNow():
		return s.revokedGrant(g)
	case s.now().After(g.expires) && g.kind == refreshGrant:
		return aadErr(errInvalidGrant, 700082, fmt.Sprintf("The refresh token has expired due to inactivity. The token was issued on %s and was inactive for 90.00:00:00.",
			g.issued.Format("2006-01-02T15:04:05.0000000Z"))).sub("bad_token")
	case s.now().After(g.expires):
		return aadErr(errInvalidGrant, 70008, "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.")
	}
	return nil
}

// revokedGrant is the answer to a grant from before the cut.
func (s *Sim) revokedGrant(g *grant) *aadError {
	const layout = "2006-01-02T15:04:05.0000000Z"
	return aadErr(errInvalidGrant, 50173, fmt.Sprintf("The provided grant has expired due to it being revoked, a fresh auth token is needed. "+
		"The user might have changed or reset their password. The grant was issued on '%s' and the TokensValidFrom date "+
		"(before which tokens are not valid) for this user is '%s'.",
		g.issuedGraph.Format(layout), time.Unix(g.user.stampNow(), 0).UTC().Format(layout))).sub("bad_token")
}
