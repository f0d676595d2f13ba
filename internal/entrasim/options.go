package entrasim

import (
	"crypto"
	"log/slog"
	"strings"
	"time"
)

// Options says what simulator New makes. The zero value is a tenant of 500 people with no latency and no lag.
type Options struct {
	// Seed makes the tenant: the same seed and People give the same tenant, ids included. Zero means 1.
	Seed uint64
	// People is the number of user accounts. Zero means 500; the cast and the administrators exist in any case.
	People int
	// Latency is added to every Graph answer.
	Latency time.Duration
	// ReadBackLag is how long a GET keeps showing the stamp from before a revocation.
	ReadBackLag time.Duration
	// AuditLag is how long a row takes to appear in the directory audit log; Entra takes minutes.
	AuditLag time.Duration
	// Replicas are what each copy of the directory lags behind ReadBackLag. Every read is answered by one of them, in an
	// order that the seed fixes for each person, so that a newer stamp may be followed by an older one. None means one
	// copy without a lag of its own.
	Replicas []time.Duration
	// Faults are on from the start; Inject adds others.
	Faults []Fault
	// KeepRequests is how many requests Requests remembers. Zero means 20,000, less than zero none.
	KeepRequests int
	// CAEDelay is how long Graph goes on accepting a revoked token of a client that declared cp1. Entra promises up
	// to 15 minutes (Microsoft Learn, Continuous access evaluation); the default is none.
	CAEDelay time.Duration
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// ClockOffset is what Graph's clock (Date headers, stamps) is ahead of Now.
	ClockOffset time.Duration
	// Quota is Graph's throttling. The zero value is what Microsoft documents.
	Quota Quota
	// NoPremium simulates a tenant without Entra ID P2: privileged identity management answers 400
	// AadPremiumLicenseRequired.
	NoPremium bool
	// PasswordAdministratorRevokes lets that role revoke. Its column stands in Microsoft's table, but its definition
	// lacks the action users/invalidateAllRefreshTokens, so the default is that Graph refuses.
	PasswordAdministratorRevokes bool
	// App is the registration of the console. Empty fields get defaults.
	App AppRegistration
	// Logger gets one line for each request, without secrets. Nil means no log.
	Logger *slog.Logger
}

// AppRegistration is an application that may sign people in.
type AppRegistration struct {
	// ClientID is the application id. Empty means one made from the seed.
	ClientID string
	// Name is shown on the sign-in page. Empty means "Evict".
	Name string
	// Secret is the client secret. Empty means DefaultSecret.
	Secret string
	// RedirectURIs are compared exactly, as Entra does for web applications. Empty means DefaultRedirectURI.
	RedirectURIs []string
	// PostLogoutURIs are the further addresses that a sign-out may return to; RedirectURIs are allowed as well.
	PostLogoutURIs []string
	// Certificates are DER certificates with RSA keys, for client assertions.
	Certificates [][]byte
	// Federated are trusted issuers of assertions (workload identity federation).
	Federated []FederatedCredential
	// Scopes are the delegated permissions that an administrator consented to. Nil means all that the simulator knows.
	Scopes []string
	// AppPermissions are the application permissions consented to, for client credentials. Nil means none.
	AppPermissions []string
}

// FederatedCredential trusts assertions of one issuer, subject and audience that verify with Key.
type FederatedCredential struct {
	Issuer, Subject, Audience string
	Key                       crypto.PublicKey
}

// Defaults of a registration and of a tenant. The secret guards nothing: everything here is simulated.
const (
	DefaultSecret      = "simulator-secret-guards-nothing"
	DefaultRedirectURI = "http://localhost:8080/auth/callback"
	defaultPeople      = 500
	maxPeople          = 1_000_000
)

// Quota is Graph's token-bucket throttling for one application in one tenant, by Microsoft's throttling limits page.
type Quota struct {
	// Disabled turns throttling off.
	Disabled bool
	// Writes is the number of writes per WriteWindow for one app. Zero means 3,000 per 150 s.
	Writes      int
	WriteWindow time.Duration
	// TenantWrites is the number of writes per TenantWindow of all apps. Zero means 18,000 per 300 s.
	TenantWrites int
	TenantWindow time.Duration
	// OtherWrites is how many of the tenant's writes other applications use up per second.
	OtherWrites float64
	// ResourceUnits is the budget per 10 s. Zero means 3,500, 5,000 or 8,000 by the size of the tenant.
	ResourceUnits int
	// SignInActivity is how many requests per minute may ask for signInActivity. Microsoft documents 10 for an app in a
	// tenant; zero means no limit, because ten user cards would use it up.
	SignInActivity int
	// RetryAfter is what a 429 asks for. Zero means 10 s, the value in Microsoft's example.
	RetryAfter time.Duration
}

func (o Options) withDefaults() Options {
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.People == 0 {
		o.People = defaultPeople
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.KeepRequests == 0 {
		o.KeepRequests = requestsKept
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ids := newIDs(o.Seed, "app")
	if o.App.ClientID == "" {
		o.App.ClientID = ids.next()
	}
	o.App.ClientID = strings.ToLower(o.App.ClientID)
	if o.App.Name == "" {
		o.App.Name = "Evict"
	}
	if o.App.Secret == "" {
		o.App.Secret = DefaultSecret
	}
	if len(o.App.RedirectURIs) == 0 {
		o.App.RedirectURIs = []string{DefaultRedirectURI}
	}
	if o.App.Scopes == nil {
		o.App.Scopes = knownScopes()
	}
	return o
}
