package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"github.com/google/uuid"

	"evict/internal/audit"
	"evict/internal/operator"
)

// Limits of a session unless Options says otherwise.
const (
	DefaultIdle     = 30 * time.Minute
	DefaultAbsolute = 8 * time.Hour
)

// Options is what a Service needs. Cloud, TenantID, ClientID, Credential, RedirectURL, Keys, Store and Match are
// required; the rest has defaults.
type Options struct {
	Cloud      Cloud
	TenantID   string // a GUID
	ClientID   string // a GUID
	Credential Credential
	// RedirectURL is where Microsoft sends the browser back to. It comes from configuration, never from a Host header:
	// https, or http with a loopback address.
	RedirectURL string
	// PostLogoutURL is where Microsoft sends the browser after a sign-out. Default: /signin beside RedirectURL.
	PostLogoutURL string
	HTTP          *http.Client // for the sign-in service; default Cloud.HTTPClient()
	Keys          *SealKeys
	Store         SessionStore
	Now           func() time.Time               // default time.Now
	Rand          io.Reader                      // for ids, state, nonce, verifier and cookie keys; default crypto/rand
	NewID         func() string                  // ids of events; default UUIDv7
	Idle          time.Duration                  // default DefaultIdle
	Absolute      time.Duration                  // default DefaultAbsolute
	Logger        *slog.Logger                   // default: none
	Address       func(*http.Request) string     // client address for events; default the connection's
	Match         func(method, path string) bool // whether the router serves this; decides where a sign-in may return to
}

// Service signs people in and keeps their sessions. It is safe for concurrent use.
type Service struct {
	cloud        Cloud
	tenant       string
	clientID     string
	authority    string
	credential   confidential.Credential
	redirect     string
	callbackPath string
	callbackDir  string
	postLogout   string
	http         *http.Client
	keys         *SealKeys
	rows         SessionStore
	store        *sqlStore
	now          func() time.Time
	random       io.Reader
	newID        func() string
	idle         time.Duration
	absolute     time.Duration
	log          *slog.Logger
	address      func(*http.Request) string
	match        func(method, path string) bool
	names        cookieNames
	locks        keyed
	spent        spent
	provider     provider
}

// New checks the options and makes a Service. It does not use the network: Entra may be out of reach when the console
// starts, and the console must start.
func New(o Options) (*Service, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	redirect, err := redirectURL(o.RedirectURL)
	if err != nil {
		return nil, err
	}
	cred, err := o.Credential.build(o.Cloud)
	if err != nil {
		return nil, fmt.Errorf("preparing the console's credential: %w", err)
	}
	s := &Service{
		cloud: o.Cloud, tenant: strings.ToLower(o.TenantID), clientID: strings.ToLower(o.ClientID),
		credential: cred, redirect: o.RedirectURL, callbackPath: redirect.Path, callbackDir: path.Dir(redirect.Path),
		postLogout: o.PostLogoutURL, keys: o.Keys, rows: o.Store, now: o.Now, random: o.Rand, newID: o.NewID,
		idle: o.Idle, absolute: o.Absolute, log: o.Logger, address: o.Address, match: o.Match,
		names: cookieNamesFor(redirect),
	}
	s.defaults(redirect)
	s.authority = s.cloud.Authority(s.tenant)
	s.http = guarded(o.HTTP, s.cloud, s.now)
	s.store = &sqlStore{svc: s}
	return s, nil
}

func (o Options) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	if err := o.Cloud.valid(); err != nil {
		errs = append(errs, err)
	}
	need(isGUID(o.TenantID), "the tenant id must be a GUID")
	need(isGUID(o.ClientID), "the client id must be a GUID")
	need(o.Credential.build != nil, "a credential is needed")
	need(o.Keys != nil && o.Keys.first != "", "seal keys are needed")
	need(o.Store != nil, "a session store is needed")
	need(o.Match != nil, "Match is needed: without it no sign-in could return to a page")
	need(o.Idle >= 0 && o.Absolute >= 0, "session limits must not be negative")
	return errors.Join(errs...)
}

func (s *Service) defaults(redirect *url.URL) {
	if s.postLogout == "" {
		s.postLogout = redirect.Scheme + "://" + redirect.Host + "/signin"
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	if s.newID == nil {
		s.newID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	if s.idle == 0 {
		s.idle = DefaultIdle
	}
	if s.absolute == 0 {
		s.absolute = DefaultAbsolute
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.address == nil {
		s.address = connectionAddress
	}
}

func redirectURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("the redirect address is not a URL")
	}
	if u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || path.Clean(u.Path) != u.Path {
		return nil, errors.New("the redirect address must be like https://evict.example.com/auth/callback")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, errors.New("the redirect address must be https (http only for a loopback address)")
	}
	return u, nil
}

func connectionAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// Sweep deletes sessions that are over, and sealed tokens of runs past their time. The caller repeats it.
func (s *Service) Sweep(ctx context.Context) error { return s.rows.Expire(ctx, s.now(), s.idle) }

// token returns n random bytes in base64url.
func (s *Service) token(n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.random, b); err != nil {
		return "", fmt.Errorf("reading random bytes: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

func (s *Service) event(kind audit.Kind, who operator.Operator) audit.Event {
	return audit.Event{
		ID: s.newID(), Time: audit.FormatTime(s.now()), Kind: kind, Cloud: s.cloud.Name, Tenant: s.tenant,
		Operator: &audit.Person{
			OID: who.OID, TID: who.TID, UPN: who.UPN, Name: who.Name, Address: who.Address, Roles: who.Roles.Strings(),
		},
	}
}

func isGUID(v string) bool { return len(v) == 36 && uuid.Validate(v) == nil }
