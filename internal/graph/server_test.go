package graph_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"evict/internal/directory"
	"evict/internal/graph"
	"evict/internal/operator"
)

const (
	annID  = "11111111-1111-4111-8111-111111111111"
	bobID  = "22222222-2222-4222-8222-222222222222"
	secret = "secret-access-token"
)

// tokens is a TokenSource that always has the same token.
type tokens struct{ err error }

func (s tokens) Token(context.Context) (operator.Token, error) {
	return operator.NewToken(secret, time.Now().Add(time.Hour)), s.err
}

func (s tokens) Fresh(ctx context.Context) (operator.Token, error) { return s.Token(ctx) }

// server is a Graph endpoint that keeps the requests it got.
type server struct {
	*httptest.Server

	mu   sync.Mutex
	seen []*http.Request
}

func serve(t *testing.T, h http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r)
		s.mu.Unlock()
		h(w, r)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *server) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func client(t *testing.T, s *server, change ...func(*graph.Options)) *graph.Client {
	t.Helper()
	o := graph.Options{BaseURL: s.URL + "/v1.0", HTTP: s.Client(), Timeout: 5 * time.Second}
	for _, f := range change {
		f(&o)
	}
	c, err := graph.New(o)
	if err != nil {
		t.Fatalf("new client: %v", err)
	}
	return c
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; odata.metadata=minimal")
		w.Header().Set("request-id", "req-1")
		_, _ = w.Write([]byte(body))
	}
}

func refuse(status int, headers map[string]string, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range headers {
			w.Header().Add(k, v)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

var (
	_ directory.Graph      = (*graph.Client)(nil)
	_ operator.TokenSource = tokens{}
)
