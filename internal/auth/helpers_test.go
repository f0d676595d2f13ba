package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/fault"
	"evict/internal/operator"
)

const (
	tenantID = "7f2d0a4e-1111-4c3b-9d55-0a6b6c7d8e9f"
	clientID = "0c9b8a7d-2222-4f5e-8a1b-2c3d4e5f6a7b"
	aliceID  = "aaaaaaaa-3333-4444-8555-666677778888"
	bobID    = "bbbbbbbb-3333-4444-8555-666677778888"
	redirect = "https://evict.example.com/auth/callback"
	secret   = "canary-client-secret"
)

// memStore is a SessionStore in memory.
type memStore struct {
	mu     sync.Mutex
	rows   map[string]auth.SessionRow
	events []audit.Event
	writes int
	fail   error
}

func newMemStore() *memStore { return &memStore{rows: map[string]auth.SessionRow{}} }

func (m *memStore) SignIn(_ context.Context, row auth.SessionRow, replaces []byte, events []audit.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.writes++
	delete(m.rows, string(replaces))
	m.rows[string(row.IDHash)] = row
	m.events = append(m.events, events...)
	return nil
}

func (m *memStore) Session(_ context.Context, idHash []byte) (auth.SessionRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return auth.SessionRow{}, m.fail
	}
	row, ok := m.rows[string(idHash)]
	if !ok {
		return auth.SessionRow{}, auth.ErrNoSession
	}
	return row, nil
}

func (m *memStore) Update(_ context.Context, row auth.SessionRow) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	have, ok := m.rows[string(row.IDHash)]
	if !ok {
		return auth.ErrNoSession
	}
	m.writes++
	have.Sealed, have.Cache, have.LastSeen = row.Sealed, row.Cache, row.LastSeen
	m.rows[string(row.IDHash)] = have
	return nil
}

func (m *memStore) SignOut(_ context.Context, idHash []byte, events []audit.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.writes++
	delete(m.rows, string(idHash))
	m.events = append(m.events, events...)
	return nil
}

func (m *memStore) Expire(_ context.Context, now time.Time, idle time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, r := range m.rows {
		if !now.Before(r.ExpiresAt) || now.Sub(r.LastSeen) >= idle {
			delete(m.rows, k)
		}
	}
	return nil
}

func (m *memStore) kinds() []audit.Kind {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []audit.Kind
	for _, e := range m.events {
		out = append(out, e.Kind)
	}
	return out
}

func (m *memStore) count() (rows, writes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows), m.writes
}

// edit changes every row in place, as somebody with the database would.
func (m *memStore) edit(f func(*auth.SessionRow)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, r := range m.rows {
		f(&r)
		m.rows[k] = r
	}
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rig is a Service with everything around it.
type rig struct {
	svc   *auth.Service
	op    *fakeOP
	store *memStore
	clock *clock
	keys  *auth.SealKeys
	logs  *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newRig(t *testing.T, change ...func(*auth.Options)) *rig {
	t.Helper()
	r := &rig{
		op: newFakeOP(t), store: newMemStore(), clock: &clock{now: time.Now()}, keys: sealKeys(t, "k1"),
		logs: &syncBuffer{},
	}
	cloud, err := auth.Simulator(r.op.server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := auth.SecretCredential(secret)
	if err != nil {
		t.Fatal(err)
	}
	o := auth.Options{
		Cloud: cloud, TenantID: strings.ToUpper(tenantID), ClientID: clientID, Credential: cred, RedirectURL: redirect,
		HTTP: r.op.server.Client(), Keys: r.keys, Store: r.store, Now: r.clock.Now, Match: knownPath,
		Logger: slog.New(slog.NewJSONHandler(r.logs, nil)),
	}
	for _, f := range change {
		f(&o)
	}
	r.svc, err = auth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func knownPath(method, path string) bool {
	return method == "GET" && (path == "/" || path == "/search" || path == "/signin" || path == "/auth/signin" ||
		strings.HasPrefix(path, "/users/"))
}

func sealKeys(t *testing.T, names ...string) *auth.SealKeys {
	t.Helper()
	var lines []string
	for _, n := range names {
		line, err := auth.GenerateSealKey(n)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	k, err := auth.ParseSealKeys([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// browser keeps cookies and talks to a Service as a browser would.
type browser struct {
	svc     *auth.Service
	cookies map[string]string
	last    []*http.Cookie
}

func (r *rig) browser() *browser { return &browser{svc: r.svc, cookies: map[string]string{}} }

func (b *browser) clone() *browser {
	c := &browser{svc: b.svc, cookies: map[string]string{}}
	for k, v := range b.cookies {
		c.cookies[k] = v
	}
	return c
}

func (b *browser) request(target string) *http.Request {
	req := httptest.NewRequest(http.MethodGet, target, nil)
	for n, v := range b.cookies {
		req.AddCookie(&http.Cookie{Name: n, Value: v})
	}
	return req
}

func (b *browser) take(w *httptest.ResponseRecorder) {
	b.last = w.Result().Cookies()
	for _, c := range b.last {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
}

func (b *browser) begin(o auth.BeginOptions) (url.Values, string, error) {
	w := httptest.NewRecorder()
	address, err := b.svc.Begin(w, b.request("/auth/signin"), o)
	b.take(w)
	if err != nil {
		return nil, "", err
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, "", err
	}
	return u.Query(), address, nil
}

func (b *browser) finish(q url.Values) (auth.Finished, error) {
	w := httptest.NewRecorder()
	f, err := b.svc.Finish(w, b.request("/auth/callback?"+q.Encode()))
	b.take(w)
	return f, err
}

func (b *browser) load(activity bool) (*auth.Session, error) {
	return b.svc.Load(b.request("/"), activity)
}

// signIn goes through a whole sign-in of a person at the fake provider.
func (r *rig) signIn(t *testing.T, b *browser, who person, o auth.BeginOptions) auth.Finished {
	t.Helper()
	f, err := r.trySignIn(t, b, who, o)
	if err != nil {
		t.Fatalf("sign-in: %v", err)
	}
	return f
}

func (r *rig) trySignIn(t *testing.T, b *browser, who person, o auth.BeginOptions) (auth.Finished, error) {
	t.Helper()
	q, _, err := b.begin(o)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	return b.finish(r.op.authorize(q, who))
}

func (r *rig) session(t *testing.T, b *browser) *auth.Session {
	t.Helper()
	s, err := b.load(true)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return s
}

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("got %v (kind %d), want kind %d", err, fault.KindOf(err), kind)
	}
}

func wantReauth(t *testing.T, err error, code string) *operator.ReauthError {
	t.Helper()
	re, ok := errors.AsType[*operator.ReauthError](err)
	if !ok {
		t.Fatalf("got %v (%T), want a *operator.ReauthError", err, err)
	}
	if re.Code != code {
		t.Fatalf("got code %q, want %q", re.Code, code)
	}
	return re
}

// everything renders an error in all ways in which it could reach a page or a log.
func everything(err error) string {
	var b strings.Builder
	for ; err != nil; err = errors.Unwrap(err) {
		fmt.Fprintf(&b, "%v\n%+v\n%#v\n", err, err, err)
		j, _ := json.Marshal(err)
		b.Write(j)
	}
	return b.String()
}

func last(kinds []audit.Kind) audit.Kind {
	if len(kinds) == 0 {
		return ""
	}
	return kinds[len(kinds)-1]
}
