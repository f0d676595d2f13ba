package entrasim

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// authenticateCall checks the bearer token: signed here, for Graph, not expired, for a person who exists, and not cut
// off if its client handles challenges.
func (s *Sim) authenticateCall(c *call) *reply {
	scheme, raw, found := strings.Cut(c.header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(raw) == "" {
		return c.unauthorized("Access token is empty.")
	}
	t, good := s.verify(strings.TrimSpace(raw))
	now := s.now().Unix()
	switch {
	case !good:
		return c.unauthorized("Invalid x5t claim or signature.")
	case t.TenantID != s.tenant.id:
		return c.unauthorized("Access token is for another tenant.")
	case t.Audience != "https://graph.microsoft.com" && t.Audience != graphAppID:
		return c.unauthorized("Access token validation failure. Invalid audience.")
	case now >= t.Expiry:
		return c.unauthorized("Lifetime validation failed, the token is expired.")
	case now+300 < t.NotBefore:
		return c.unauthorized("Lifetime validation failed, the token is not yet valid.")
	}
	c.token = t
	if t.IDType == "app" {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c.caller = s.tenant.findUser(t.ObjectID); c.caller == nil {
		return c.unauthorized("The identity of the calling user could not be found.")
	}
	if s.cutOff(c.caller, t) {
		return c.challenge(c.caller.stampNow())
	}
	return nil
}

// cutOff reports whether Graph ends this token early: only for clients that declared cp1 (Microsoft Learn, Continuous
// access evaluation), after the delay that was set. A token of any other client works until it expires.
func (s *Sim) cutOff(u *user, t *accessClaims) bool {
	if !t.cp1() {
		return false
	}
	now := s.graphNow()
	if now.UnixNano() < u.cutAt+int64(s.opts.CAEDelay) {
		return false
	}
	offset := s.offset.Load() / int64(time.Second)
	return !u.enabled || t.seq() <= u.cut || t.IssuedAt+offset < u.stampNow()
}

func (c *call) unauthorized(message string) *reply {
	rep := c.graphError(http.StatusUnauthorized, codeInvalidToken, message)
	return rep.set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="", authorization_uri="%s/common/oauth2/authorize", client_id="%s"`, c.login, graphAppID))
}

// challenge is a claims challenge: the client must sign the person in again and bring a token issued after notBefore.
func (c *call) challenge(notBefore int64) *reply {
	claims := fmt.Sprintf(`{"access_token":{"nbf":{"essential":true,"value":"%d"}}}`, notBefore)
	rep := c.graphError(http.StatusUnauthorized, codeInvalidToken,
		"Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp")
	return rep.set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="", authorization_uri="%s/common/oauth2/authorize", client_id="%s", error="insufficient_claims", claims="%s"`,
		c.login, graphAppID, base64.StdEncoding.EncodeToString([]byte(claims))))
}

// has reports whether the token carries one of the permissions, delegated or application.
func (c *call) has(perms ...string) bool {
	have := c.token.Roles
	if c.token.IDType != "app" {
		have = c.token.scopeList
	}
	return slices.ContainsFunc(perms, func(p string) bool { return slices.Contains(have, p) })
}

// allowed checks the permission of the route. Some routes need less when the caller asks about himself.
func (c *call) allowed() bool {
	if len(c.route.need) == 0 || c.has(c.route.need...) {
		return true
	}
	return len(c.route.self) > 0 && c.isSelf() && c.has(c.route.self...)
}

func (c *call) isSelf() bool {
	if c.me {
		return true
	}
	id := c.vars["user"]
	return c.caller != nil && id != "" && (sameID(id, c.caller.id) || strings.EqualFold(id, c.caller.upn))
}

// holds reports whether the caller has one of the directory roles for the whole tenant now.
func (c *call) holds(roles ...string) bool {
	var mine []*assignment
	if c.caller != nil {
		mine = c.sim.tenant.activeRoles(c.caller)
	} else {
		mine = c.sim.tenant.assignedTo[c.token.ObjectID]
	}
	return slices.ContainsFunc(c.sim.living(mine), func(a *assignment) bool {
		return a.scope == "/" && slices.Contains(roles, a.role)
	})
}
