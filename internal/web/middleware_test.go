package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
)

// line is a connection that notes until when it may be read and written.
type line struct {
	*httptest.ResponseRecorder
	read, written time.Time
}

func (l *line) SetReadDeadline(t time.Time) error  { l.read = t; return nil }
func (l *line) SetWriteDeadline(t time.Time) error { l.written = t; return nil }

func near(t *testing.T, what string, got time.Time, want time.Duration) {
	t.Helper()
	if off := time.Until(got) - want; off.Abs() > 10*time.Second {
		t.Errorf("%s may take %v, want %v", what, time.Until(got).Round(time.Second), want)
	}
}

// limited answers a request inside its bounds.
func limited(w http.ResponseWriter, r *http.Request, h http.HandlerFunc) {
	limitRequest(h).ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, &visit{})))
}

func TestAFileMayComeOverASlowLine(t *testing.T) {
	t.Parallel()
	for route, slow := range map[string]bool{"scope.add": true, "ledger.reconcile.upload": true, "ledger.reconcile.fetch": false} {
		l := &line{ResponseRecorder: httptest.NewRecorder()}
		limited(l, httptest.NewRequest(http.MethodPost, "/", nil), func(w http.ResponseWriter, r *http.Request) {
			r, cancel := allowUpload(w, r, route)
			defer cancel()
			by, _ := r.Context().Deadline()
			if !slow {
				if near(t, "handling of "+route, by, maxHandling); !l.read.IsZero() || !l.written.IsZero() {
					t.Errorf("%s has as much time as a file", route)
				}
				return
			}
			near(t, "reading of "+route, l.read, 2*time.Minute)
			near(t, "the answer of "+route, l.written, 2*time.Minute+maxHandling)
			near(t, "handling of "+route, by, 2*time.Minute+maxHandling)
		})
	}
}

// stuck is a form that does not come.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, fmt.Errorf("read tcp: %w", os.ErrDeadlineExceeded) }

func TestAFormThatDidNotArriveIsNotCalledDamaged(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		r := httptest.NewRequest(http.MethodPost, "/", stuck{})
		r.Header.Set("Content-Type", kind)
		if err := parseForm(r); err == nil || !strings.Contains(err.Error(), "did not arrive in time") || strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestADownloadLastsWhileItIsTakenAndEndsWithItsReader(t *testing.T) {
	t.Parallel()
	conn, leave := context.WithCancel(t.Context())
	l := &line{ResponseRecorder: httptest.NewRecorder()}
	limited(l, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(conn), func(w http.ResponseWriter, r *http.Request) {
		out, ctx, cancel := download(w, r)
		defer cancel()
		by, _ := ctx.Deadline()
		near(t, "a download", by, downloadFor)
		for range 2 {
			l.written = time.Time{}
			if _, err := io.WriteString(out, "x"); err != nil {
				t.Fatal(err)
			}
			near(t, "a part", l.written, stalledFor)
		}
		if leave(); ctx.Err() == nil {
			t.Error("it goes on for nobody")
		}
	})
}

func TestADownloadThatIsGivenUpIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := &Server{Options: Options{Now: time.Now, Logger: slog.New(slog.NewJSONHandler(&log, nil))}}
	r := chi.NewRouter()
	r.Use(s.accessLog)
	r.Get("/file", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	})
	func() {
		defer func() { _ = recover() }()
		r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/file", nil))
	}()
	if got := log.String(); !strings.Contains(got, `"route":"/file"`) || !strings.Contains(got, `"bytes":4`) {
		t.Errorf("logged is %q", got)
	}
}
