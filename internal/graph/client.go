// Package graph speaks to Microsoft Graph through msgraph-sdk-go, as the operator whose token it is given. It is the
// only package that imports the SDK.
//
// Invariants: a token goes to the configured host and path over https and nowhere else, whatever a page link or a
// redirect says; every answer that is not 2xx is a *directory.CallError before the SDK sees it; every call has a
// deadline; nothing is retried but a GET, once; ids are checked before they enter an address.
package graph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/microsoft/kiota-abstractions-go/authentication"
	khttp "github.com/microsoft/kiota-http-go"
	kjson "github.com/microsoft/kiota-serialization-json-go"
	"github.com/microsoftgraph/msgraph-sdk-go/organization"

	"evict/internal/directory"
	"evict/internal/operator"
)

// DefaultTimeout is how long one call may take, its one repetition included.
const DefaultTimeout = 15 * time.Second

// Options are the parts of a Client.
type Options struct {
	BaseURL   string       // such as "https://graph.microsoft.com/v1.0"
	HTTP      *http.Client // only its Transport is used; nil means a transport of our own
	Now       func() time.Time
	NewID     func() string // client-request-id of calls that bring none; nil means random UUIDs
	UserAgent string
	Timeout   time.Duration // of one call; 0 means DefaultTimeout
	Logger    *slog.Logger  // nil means none
}

// Client makes calls to one Graph endpoint. It is safe for use by many goroutines.
type Client struct {
	base    string
	adapter *khttp.NetHttpRequestAdapter
	clock   *clock
	newID   func() string
	timeout time.Duration
	log     *slog.Logger
	now     func() time.Time
}

// New returns a client for the endpoint. The error says what is wrong with BaseURL.
func New(o Options) (*Client, error) {
	base, err := parseBase(o.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("graph address %q: %w", o.BaseURL, err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = uuid.NewString
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		base: base.String(), clock: &clock{}, newID: o.NewID, now: o.Now, log: o.Logger,
		timeout: cmp.Or(o.Timeout, DefaultTimeout),
	}
	transport := &transport{
		base: base, next: baseTransport(o.HTTP), clock: c.clock, now: o.Now, userAgent: cmp.Or(o.UserAgent, "evict"),
	}
	// With a Timeout of its own, the adapter would make contexts whose cancel function it drops.
	c.adapter, err = khttp.NewNetHttpRequestAdapterWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(
		&authentication.AnonymousAuthenticationProvider{}, kjson.NewJsonParseNodeFactory(), kjson.NewJsonSerializationWriterFactory(),
		&http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }})
	if err != nil {
		return nil, fmt.Errorf("graph request adapter: %w", err)
	}
	c.adapter.SetBaseUrl(c.base)
	return c, nil
}

func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(s, "/"))
	switch {
	case err != nil:
		return nil, errors.New("is not a URL")
	case u.Scheme != "https":
		return nil, errors.New("must begin with https://")
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path == "":
		return nil, errors.New("must be a host and a version, such as https://graph.microsoft.com/v1.0")
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

func baseTransport(c *http.Client) http.RoundTripper {
	if c != nil && c.Transport != nil {
		return c.Transport
	}
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		t.MaxIdleConnsPerHost = 64
		return t
	}
	return http.DefaultTransport
}

// path returns the path parameters of a new request builder. Each call gets its own: the adapter writes into them.
func (c *Client) path() map[string]string { return map[string]string{"baseurl": c.base} }

// Offset returns how far Graph's clock is ahead of ours, measured from the Date headers of its answers; 0 until known.
func (c *Client) Offset() (offset time.Duration, known bool) { return c.clock.offset() }

// request says how one call is made.
type request struct {
	name            string // of the operation, for the log
	clientRequestID string // "" means a new one
	high            bool   // x-ms-throttle-priority: a person waits for this
	anyAnswer       bool   // any 2xx will do, whatever its body
}

// do makes one call: it gets a token, sets the deadline, runs f, and makes the error one of ours.
func (c *Client) do(ctx context.Context, t operator.TokenSource, r request, f func(ctx context.Context) error) (directory.Answer, error) {
	token, err := t.Token(ctx)
	if err != nil {
		return directory.Answer{}, fmt.Errorf("token for %s: %w", r.name, err)
	}
	if token.Bearer() == "" {
		return directory.Answer{}, &operator.ReauthError{Err: errors.New("there is no access token")}
	}
	if r.clientRequestID == "" {
		r.clientRequestID = c.newID()
	}
	under, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	at := &call{token: token, clientRequestID: r.clientRequestID, high: r.high}
	began := c.now()
	err = run(context.WithValue(under, callKey{}, at), f)
	answer := at.answer()
	if answer.Status != 0 && r.anyAnswer {
		err = nil
	}
	err = c.ours(at, answer, err)
	c.log.LogAttrs(ctx, slog.LevelDebug, "graph call", slog.String("operation", r.name), slog.Int("status", at.status()),
		slog.String("client_request_id", r.clientRequestID), slog.Duration("took", c.now().Sub(began)), slog.Bool("failed", err != nil))
	return answer, err
}

// run calls f, and makes an error of a panic: the SDK parses what a stranger may have written.
func run(ctx context.Context, f func(ctx context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the SDK panicked over an answer: %v", p)
		}
	}()
	return f(ctx)
}

// ours makes an error of the adapter one of ours; its own would hold the whole address.
func (c *Client) ours(at *call, answer directory.Answer, err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*directory.CallError](err)
	if !ok {
		e = &directory.CallError{
			Status: answer.Status, RequestID: answer.RequestID, ClientRequestID: at.clientRequestID, Date: answer.Date,
			Sent: at.sent.Load(), Err: bare(err),
		}
		if e.Status != 0 {
			e.Code, e.Message = "UnreadableAnswer", "the answer could not be read"
		}
	}
	if e.Status == http.StatusUnauthorized {
		return &operator.ReauthError{Claims: e.Claims, Code: e.Code, Err: e}
	}
	return e
}

// bare strips the address from an error of net/http: it may hold a search text or a name.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// Organization returns the id and the name of the operator's tenant.
func (c *Client) Organization(ctx context.Context, t operator.TokenSource) (id, displayName string, err error) {
	_, err = c.do(ctx, t, request{name: "organization"}, func(ctx context.Context) error {
		res, err := organization.NewOrganizationRequestBuilderInternal(c.path(), c.adapter).Get(ctx,
			&organization.OrganizationRequestBuilderGetRequestConfiguration{
				QueryParameters: &organization.OrganizationRequestBuilderGetQueryParameters{Select: []string{"id", "displayName"}},
			})
		if err != nil {
			return err
		}
		if res == nil || len(res.GetValue()) == 0 {
			return errEmpty
		}
		id, displayName = str(res.GetValue()[0].GetId()), str(res.GetValue()[0].GetDisplayName())
		return nil
	})
	return id, displayName, err
}
