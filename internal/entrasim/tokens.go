package entrasim

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
)

// accessClaims are the claims of an access token for Graph, in the version 1.0 form in which Entra issues those.
type accessClaims struct {
	Audience  string   `json:"aud"`
	Issuer    string   `json:"iss"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expiry    int64    `json:"exp"`
	AppName   string   `json:"app_displayname,omitempty"`
	AppID     string   `json:"appid"`
	AppIDACR  string   `json:"appidacr"`
	IDP       string   `json:"idp,omitempty"`
	IDType    string   `json:"idtyp"`
	Name      string   `json:"name,omitempty"`
	ObjectID  string   `json:"oid"`
	RH        string   `json:"rh"`
	Roles     []string `json:"roles,omitempty"`
	Scope     string   `json:"scp,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	Subject   string   `json:"sub"`
	TenantID  string   `json:"tid"`
	UPN       string   `json:"upn,omitempty"`
	UTI       string   `json:"uti"`
	Version   string   `json:"ver"`
	WIDs      []string `json:"wids,omitempty"`
	Caps      []string `json:"xms_cc,omitempty"`
	scopeList []string // of Scope, in a token that was verified
}

// seq is the number of the token. Entra keeps what it needs to validate a token again in the claim rh and tells
// resources not to read it; the simulator keeps the number there.
func (c *accessClaims) seq() uint64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(c.RH, "1.sim."), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (c *accessClaims) cp1() bool {
	return slices.ContainsFunc(c.Caps, func(v string) bool { return strings.EqualFold(v, "cp1") })
}

// lifetimes draws the random life of access tokens from the seed.
type lifetimes struct {
	mu sync.Mutex
	r  source
}

func (l *lifetimes) init(seed uint64) { l.r = newIDs(seed, "lifetimes") }

// next is between 60 and 90 minutes, or 24 hours for a client that handles claims challenges (Microsoft Learn, Access
// tokens in the Microsoft identity platform; Continuous access evaluation names 20 to 28 hours).
func (l *lifetimes) next(cp1 bool) time.Duration {
	if cp1 {
		return 24 * time.Hour
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Hour + time.Duration(l.r.IntN(1800))*time.Second
}

func (s *Sim) sign(claims any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: s.keys.key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", s.keys.kid).WithHeader("x5t", s.keys.kid))
	if err != nil {
		return "", fmt.Errorf("making a token signer: %w", err)
	}
	raw, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return raw, nil
}

// userToken makes the claims of a delegated token for Graph. Callers hold s.mu.
func (s *Sim) userToken(u *user, a *app, scopes []string, cp1 bool, sid string) (*accessClaims, time.Duration) {
	life := s.lifetime.next(cp1)
	c := s.baseToken(a, life)
	c.IDType, c.Name, c.ObjectID, c.UPN, c.SessionID = "user", u.name, u.id, u.upn, sid
	c.Subject = pairwise(u.id, graphAppID)
	if !slices.Contains(scopes, "User.Read") {
		scopes = append(slices.Clone(scopes), "User.Read") // Entra adds what the person has consented to before
	}
	c.Scope = strings.Join(slices.Sorted(slices.Values(append(slices.Clone(scopes), "openid", "profile"))), " ")
	c.WIDs = s.wids(u)
	if cp1 {
		c.Caps = []string{"cp1"}
	}
	return c, life
}

// wids are the tenant-wide roles of a person; the last value stands for every ordinary member.
func (s *Sim) wids(u *user) []string {
	var out []string
	for _, a := range s.living(s.tenant.activeRoles(u)) {
		if a.scope == "/" && !slices.Contains(out, a.role) {
			out = append(out, a.role)
		}
	}
	return append(out, "b79fbf4d-3ef9-4689-8143-76b194e85509")
}

func (s *Sim) baseToken(a *app, life time.Duration) *accessClaims {
	now := s.now()
	return &accessClaims{
		Audience: "https://graph.microsoft.com", Issuer: "https://sts.windows.net/" + s.tenant.id + "/",
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expiry: now.Add(life).Unix(),
		AppName: a.Name, AppID: a.ClientID, AppIDACR: "1", IDP: "https://sts.windows.net/" + s.tenant.id + "/",
		RH: "1.sim." + strconv.FormatUint(s.seq.Add(1), 10), TenantID: s.tenant.id, UTI: uti(), Version: "1.0",
	}
}

// appToken makes the claims of an application's own token.
func (s *Sim) appToken(a *app) (*accessClaims, time.Duration) {
	life := s.lifetime.next(false)
	c := s.baseToken(a, life)
	c.IDType, c.ObjectID = "app", pairwiseGUID(a.ClientID)
	c.Subject, c.Roles = c.ObjectID, slices.Clone(a.AppPermissions)
	return c, life
}

// idClaims are the claims of an ID token, version 2.0.
type idClaims struct {
	Audience  string   `json:"aud"`
	Issuer    string   `json:"iss"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expiry    int64    `json:"exp"`
	AuthTime  int64    `json:"auth_time"`
	Name      string   `json:"name,omitempty"`
	Nonce     string   `json:"nonce,omitempty"`
	ObjectID  string   `json:"oid,omitempty"`
	Username  string   `json:"preferred_username,omitempty"`
	Email     string   `json:"email,omitempty"`
	RH        string   `json:"rh"`
	Roles     []string `json:"roles,omitempty"`
	SessionID string   `json:"sid"`
	Subject   string   `json:"sub"`
	TenantID  string   `json:"tid"`
	UTI       string   `json:"uti"`
	Version   string   `json:"ver"`
}

func (s *Sim) idToken(g *grant, a *app, issuer string, scopes scopeRequest) *idClaims {
	now := s.now()
	u := g.user
	c := &idClaims{
		Audience: a.ClientID, Issuer: issuer, IssuedAt: now.Unix(), NotBefore: now.Unix(), Expiry: now.Add(time.Hour).Unix(),
		AuthTime: g.authTime.Unix(), Nonce: g.nonce, ObjectID: u.id, RH: "1.sim.0", SessionID: g.sid,
		Subject: pairwise(u.id, a.ClientID), TenantID: s.tenant.id, UTI: uti(), Version: "2.0",
		Name: u.name, Username: u.username(),
	}
	if scopes.email {
		c.Email = u.mail
	}
	if a.ClientID == s.opts.App.ClientID {
		c.Roles = s.tenant.consoleRoles[u.id]
	}
	return c
}

// username is what a person types to sign in: for an account from elsewhere the address at home.
func (u *user) username() string {
	if u.elsewhere {
		return u.mail
	}
	return u.upn
}

// pairwise is a subject that differs for each application.
func pairwise(userID, clientID string) string {
	sum := sha256.Sum256([]byte(userID + "|" + clientID))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// pairwiseGUID is the object id of an application's service principal.
func pairwiseGUID(clientID string) string {
	return uuid.NewSHA1(uuid.Nil, []byte("service principal of "+clientID)).String()
}

func uti() string {
	u := uuid.New()
	return base64.RawURLEncoding.EncodeToString(u[:])
}

// clientInfo is what MSAL makes its account id of.
func clientInfo(oid, tid string) string {
	b, _ := json.Marshal(map[string]string{"uid": oid, "utid": tid}) // two strings always encode
	return base64.RawURLEncoding.EncodeToString(b)
}

// tokenCache remembers verified tokens: verifying RS256 for each of 100,000 requests would be most of the work.
type tokenCache struct {
	mu sync.Mutex
	m  map[[32]byte]*accessClaims
}

// verify returns the claims of an access token that the simulator signed, whatever its age.
func (s *Sim) verify(raw string) (*accessClaims, bool) {
	key := sha256.Sum256([]byte(raw))
	s.tokens.mu.Lock()
	c := s.tokens.m[key]
	s.tokens.mu.Unlock()
	if c != nil {
		return c, true
	}
	tok, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, false
	}
	c = &accessClaims{}
	if err := tok.Claims(&s.keys.key.PublicKey, c); err != nil {
		return nil, false
	}
	c.scopeList = strings.Fields(c.Scope)
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	if s.tokens.m == nil || len(s.tokens.m) > 10_000 {
		s.tokens.m = map[[32]byte]*accessClaims{}
	}
	s.tokens.m[key] = c
	return c, true
}
