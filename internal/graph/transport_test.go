package graph_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/directory"
	"evict/internal/graph"
	"evict/internal/operator"
)

func TestRevokePostsWithoutBodyAndReturnsAnyAnswer(t *testing.T) {
	t.Parallel()
	bodies := map[string]http.HandlerFunc{
		"value true": answer(`{"@odata.context":"x","value":true}`),
		"no content": refuse(204, nil, ""),
		"html":       refuse(200, map[string]string{"Content-Type": "text/html"}, "<html>signed in"),
		"not json":   refuse(200, map[string]string{"Content-Type": "application/json"}, "{"),
	}
	for name, h := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, h)
			a, err := client(t, s).Revoke(t.Context(), tokens{}, annID, "call-1")
			if err != nil || a.Status/100 != 2 || a.ClientRequestID != "call-1" || a.Date.IsZero() {
				t.Fatalf("got %+v, %v", a, err)
			}
			r := s.requests()[0]
			if got, want := r.Method+" "+r.URL.Path, "POST /v1.0/users/"+annID+"/revokeSignInSessions"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			want := map[string]string{
				"Authorization": "Bearer " + secret, "Client-Request-Id": "call-1", "X-Ms-Throttle-Priority": "high", "Content-Encoding": "",
			}
			for k, v := range want {
				if got := r.Header.Get(k); got != v {
					t.Errorf("%s: got %q, want %q", k, got, v)
				}
			}
			if r.ContentLength > 0 {
				t.Errorf("the request has a body of %d bytes", r.ContentLength)
			}
		})
	}
}

func TestRevokeSelfUsesMe(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(`{"value":true}`))
	if _, err := client(t, s).RevokeSelf(t.Context(), tokens{}, "call-1"); err != nil {
		t.Fatal(err)
	}
	if got, want := s.requests()[0].URL.Path, "/v1.0/me/revokeSignInSessions"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEveryRefusalBecomesACallError(t *testing.T) {
	t.Parallel()
	const body = `{"error":{"code":"Authorization_RequestDenied","message":"Insufficient\nprivileges","innerError":{"request-id":"inner"}}}`
	json := map[string]string{"Content-Type": "application/json", "request-id": "req-9"}
	tests := []struct {
		name    string
		status  int
		headers map[string]string
		body    string
		want    directory.CallError
	}{
		{"graph's error", 403, json, body, directory.CallError{Code: "Authorization_RequestDenied", Message: "Insufficient privileges", RequestID: "req-9"}},
		{"request id in the body only", 404, nil, body, directory.CallError{Code: "Authorization_RequestDenied", Message: "Insufficient privileges", RequestID: "inner"}},
		{"html of a proxy", 502, map[string]string{"Content-Type": "text/html"}, "<html>bad gateway", directory.CallError{}},
		{"empty", 500, nil, "", directory.CallError{}},
		{"json of another shape", 500, json, `[1,2]`, directory.CallError{RequestID: "req-9"}},
		{"a redirect", 302, map[string]string{"Location": "https://elsewhere.example/v1.0/users"}, "", directory.CallError{}},
		{"seconds to wait", 429, map[string]string{"Retry-After": "17", "x-ms-throttle-scope": "Tenant/Write", "x-ms-throttle-limit-percentage": "1.2"}, "", directory.CallError{RetryAfter: 17 * time.Second, ThrottleScope: "Tenant/Write", Load: 1.2}},
		{"parts of a second", 429, map[string]string{"Retry-After": "2.5"}, "", directory.CallError{RetryAfter: 2500 * time.Millisecond}},
		{"nonsense to wait", 429, map[string]string{"Retry-After": "soon"}, "", directory.CallError{}},
		{"a negative wait", 503, map[string]string{"Retry-After": "-3"}, "", directory.CallError{}},
		{"not a number", 503, map[string]string{"Retry-After": "NaN"}, "", directory.CallError{}},
		{"an endless wait", 503, map[string]string{"Retry-After": "1e300"}, "", directory.CallError{RetryAfter: 24 * time.Hour}},
		{"claims on another status", 403, map[string]string{"WWW-Authenticate": `Bearer claims="e30="`}, "", directory.CallError{Claims: "{}"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, refuse(tt.status, tt.headers, tt.body))
			_, err := client(t, s).Revoke(t.Context(), tokens{}, annID, "call-1")
			got, ok := errors.AsType[*directory.CallError](err)
			if !ok {
				t.Fatalf("got %v, want a CallError", err)
			}
			if got.Date.IsZero() {
				t.Error("the answer's date is lost")
			}
			tt.want.Status, tt.want.Sent, tt.want.ClientRequestID, tt.want.Date = tt.status, true, "call-1", got.Date
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if n := len(s.requests()); n != 1 {
				t.Errorf("a POST was made %d times", n)
			}
		})
	}
}

func TestUnauthorizedAsksForSignIn(t *testing.T) {
	t.Parallel()
	claims := `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`
	challenge := `Bearer realm="", authorization_uri="https://login.example/authorize", error="insufficient_claims", claims="` +
		base64.StdEncoding.EncodeToString([]byte(claims)) + `"`
	tests := map[string]struct {
		header, body, claims, code string
	}{
		"claims challenge":    {challenge, `{"error":{"code":"InvalidAuthenticationToken","message":"m"}}`, claims, "InvalidAuthenticationToken"},
		"no claims":           {"", `{"error":{"code":"InvalidAuthenticationToken","message":"m"}}`, "", "InvalidAuthenticationToken"},
		"malformed challenge": {`Bearer claims`, "<html>", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, refuse(401, map[string]string{"WWW-Authenticate": tt.header}, tt.body))
			_, err := client(t, s).Revoke(t.Context(), tokens{}, annID, "")
			re, ok := errors.AsType[*operator.ReauthError](err)
			if !ok {
				t.Fatalf("got %v, want a ReauthError", err)
			}
			if re.Claims != tt.claims || re.Code != tt.code {
				t.Errorf("got %q %q, want %q %q", re.Claims, re.Code, tt.claims, tt.code)
			}
			if call, ok := errors.AsType[*directory.CallError](err); !ok || call.Status != 401 {
				t.Errorf("the call itself is lost: %v", err)
			}
		})
	}
}

func TestTokenFailureIsPassedOn(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(`{}`))
	want := &operator.ReauthError{Code: "AADSTS50173"}
	_, err := client(t, s).Revoke(t.Context(), tokens{err: want}, annID, "")
	if got, ok := errors.AsType[*operator.ReauthError](err); !ok || got != want {
		t.Errorf("got %v, want %v", err, want)
	}
	if len(s.requests()) != 0 {
		t.Error("a call was made without a token")
	}
}

func TestNoTokenLeavesForAForeignNextLink(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	stolen := 0
	thief := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		stolen++
	}))
	t.Cleanup(thief.Close)
	links := map[string]func(s *server) string{
		"another host":    func(*server) string { return thief.URL + "/v1.0/users?$skiptoken=x" },
		"plain http":      func(s *server) string { return "http" + strings.TrimPrefix(s.URL, "https") + "/v1.0/users" },
		"another version": func(s *server) string { return s.URL + "/beta/users" },
		"dots":            func(s *server) string { return s.URL + "/v1.0/../beta/users" },
		"encoded dots":    func(s *server) string { return s.URL + "/v1.0/%2E%2e/beta/users" },
		"a user name":     func(s *server) string { return strings.Replace(s.URL, "https://", "https://a:b@", 1) + "/v1.0/users" },
		"a longer prefix": func(s *server) string { return s.URL + "/v1.0evil/users" },
	}
	for name, link := range links {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *server
			s = serve(t, func(w http.ResponseWriter, r *http.Request) {
				answer(fmt.Sprintf(`{"value":[{"id":%q}],"@odata.nextLink":%q}`, annID, link(s)))(w, r)
			})
			found, err := client(t, s).FindUsers(t.Context(), tokens{}, "ann", 25)
			if _, ok := errors.AsType[*directory.CallError](err); !ok || len(found) != 0 {
				t.Errorf("got %v, %v, want a CallError", found, err)
			}
			if n := len(s.requests()); n != 1 {
				t.Errorf("%d requests were made", n)
			}
		})
	}
	t.Cleanup(func() {
		if stolen != 0 {
			t.Errorf("%d requests left for another host", stolen)
		}
	})
}

func TestPagesAreReadToTheLimit(t *testing.T) {
	t.Parallel()
	var s *server
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		answer(fmt.Sprintf(`{"value":[{"id":%q},{"id":%q}],"@odata.nextLink":%q}`, annID, bobID, s.URL+"/v1.0/users?$skiptoken=more"))(w, r)
	})
	found, err := client(t, s).FindUsers(t.Context(), tokens{}, `a"b\`, 5)
	if err != nil || len(found) != 5 {
		t.Fatalf("got %d users, %v, want 5", len(found), err)
	}
	all := s.requests()
	if len(all) != 3 {
		t.Fatalf("got %d requests, want 3", len(all))
	}
	if got, want := all[0].URL.Query().Get("$search"), `"displayName:a\"b\\" OR "userPrincipalName:a\"b\\" OR "mail:a\"b\\"`; got != want {
		t.Errorf("got $search %s, want %s", got, want)
	}
	for _, r := range all {
		if r.Header.Get("ConsistencyLevel") != "eventual" {
			t.Errorf("%s lacks the ConsistencyLevel header", r.URL)
		}
	}
	if all[1].URL.Query().Get("$skiptoken") != "more" {
		t.Errorf("the link was not used as it is: %s", all[1].URL)
	}
}

func TestLostAnswersSayWhetherTheQuestionWasSent(t *testing.T) {
	t.Parallel()
	drop := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	s := serve(t, drop)
	_, err := client(t, s).Revoke(t.Context(), tokens{}, annID, "")
	call, ok := errors.AsType[*directory.CallError](err)
	if !ok || !call.Sent || call.Status != 0 || call.Err == nil {
		t.Errorf("dropped connection: got %+v, want a call that was sent", call)
	}
	if n := len(s.requests()); n != 1 {
		t.Errorf("a POST was made %d times", n)
	}

	gone := serve(t, drop)
	gone.Close()
	_, err = client(t, gone).Revoke(t.Context(), tokens{}, annID, "")
	if call, ok := errors.AsType[*directory.CallError](err); !ok || call.Sent {
		t.Errorf("refused connection: got %+v, want a call that was not sent", call)
	}

	_, err = client(t, s, func(o *graph.Options) { o.HTTP = &http.Client{Transport: &http.Transport{}} }).
		Revoke(t.Context(), tokens{}, annID, "")
	if call, ok := errors.AsType[*directory.CallError](err); !ok || call.Sent {
		t.Errorf("untrusted certificate: got %+v, want a call that was not sent", call)
	}
}

func TestCallsEndAtTheirDeadline(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			answer(fmt.Sprintf(`{"id":%q}`, annID))(w, r)
			return
		}
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(hold) })
	// The first call opens the connection, so that the deadline of the next one falls into its waiting.
	if _, _, err := client(t, s).User(t.Context(), tokens{}, annID); err != nil {
		t.Fatal(err)
	}
	c := client(t, s, func(o *graph.Options) { o.Timeout = 100 * time.Millisecond })
	_, err := c.Revoke(t.Context(), tokens{}, annID, "")
	call, ok := errors.AsType[*directory.CallError](err)
	if !ok || !call.Sent || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want a sent call past its deadline", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err = c.User(ctx, tokens{}, annID); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestAGetIsRepeatedOnceAndOnlyAfterAShortWait(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		first http.HandlerFunc
		want  int
	}{
		"short wait": {refuse(429, map[string]string{"Retry-After": "0.01"}, ""), 2},
		"long wait":  {refuse(429, map[string]string{"Retry-After": "30"}, ""), 1},
		"no wait":    {refuse(503, nil, ""), 1},
		"not found":  {refuse(404, nil, ""), 1},
		"dropped":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var once sync.Once
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				h := answer(fmt.Sprintf(`{"id":%q}`, annID))
				once.Do(func() { h = tt.first })
				h(w, r)
			})
			_, _, err := client(t, s).User(t.Context(), tokens{}, annID)
			// net/http itself may repeat a GET over a broken connection, before our transport hears of it.
			if got := len(s.requests()); got < tt.want || tt.want == 1 && got != 1 {
				t.Errorf("got %d requests, want %d", got, tt.want)
			}
			if (err == nil) != (tt.want == 2) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestAnswersTooLongOrUnreadableAreErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"displayName":"`))
			chunk := bytes.Repeat([]byte("a"), 1<<20)
			for range 20 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"html":       refuse(200, map[string]string{"Content-Type": "text/html"}, "<html>"),
		"cut off":    refuse(200, map[string]string{"Content-Type": "application/json"}, `{"id":`),
		"empty":      refuse(204, nil, ""),
		"wrong type": answer(`{"id":7}`),
		"an array":   answer(`[{"id":"x"}]`),
		"no id":      answer(`{}`),
		"another id": answer(fmt.Sprintf(`{"id":%q}`, bobID)),
	}
	for name, h := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := client(t, serve(t, h)).User(t.Context(), tokens{}, annID)
			if call, ok := errors.AsType[*directory.CallError](err); !ok || call.Status/100 != 2 || call.Code == "" {
				t.Errorf("got %v, want a CallError about an unreadable answer", err)
			}
		})
	}
}

func TestNothingSecretIsInErrorsOrTheLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	gone := serve(t, answer(`{}`))
	gone.Close()
	c := client(t, gone, func(o *graph.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	_, err := c.FindUsers(t.Context(), tokens{}, "private-search", 5)
	if err == nil {
		t.Fatal("a dead server answered")
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), log.String()} {
		if strings.Contains(text, secret) || strings.Contains(text, "private-search") {
			t.Errorf("a secret is in %q", text)
		}
	}
	if log.Len() == 0 {
		t.Error("the call was not logged")
	}
}

func TestClaimsAreReadFromAnyWellFormedChallenge(t *testing.T) {
	t.Parallel()
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	const want = `{"a":"??>>"}`
	tests := map[string]struct {
		headers []string
		want    string
	}{
		"plain":                   {[]string{`Bearer claims="` + b64(want) + `"`}, want},
		"lower case scheme":       {[]string{`bearer CLAIMS="` + b64(want) + `"`}, want},
		"url alphabet":            {[]string{`Bearer claims="` + base64.URLEncoding.EncodeToString([]byte(want)) + `"`}, want},
		"unpadded":                {[]string{`Bearer claims="` + strings.TrimRight(b64(want), "=") + `"`}, want},
		"commas in other values":  {[]string{`Bearer realm="a, claims=\"x\", b", claims="` + b64(want) + `"`}, want},
		"first field":             {[]string{`Bearer claims="` + b64(want) + `", realm=""`}, want},
		"spaces around equals":    {[]string{`Bearer realm = "" , claims = "` + b64(want) + `"`}, want},
		"second challenge":        {[]string{`Basic QWxhZGRpbg==, Bearer realm="", claims="` + b64(want) + `"`}, want},
		"second header":           {[]string{`Negotiate`, `Bearer claims="` + b64(want) + `"`}, want},
		"another scheme's claims": {[]string{`Other claims="` + b64(want) + `"`}, ""},
		"not base64":              {[]string{`Bearer claims="***"`}, ""},
		"not json":                {[]string{`Bearer claims="` + b64("hello") + `"`}, ""},
		"not an object":           {[]string{`Bearer claims="` + b64("null") + `"`}, ""},
		"unterminated":            {[]string{`Bearer claims="` + b64(want)}, ""},
		"no value":                {[]string{`Bearer claims=`}, ""},
		"no quotes at all":        {[]string{`Bearer claims`}, ""},
		"empty":                   {[]string{``}, ""},
		"too long":                {[]string{`Bearer claims="` + b64(`{"a":"`+strings.Repeat("a", 9000)+`"}`) + `"`}, ""},
	}
	for name, tt := range tests {
		if got := graph.ClaimsOf(tt.headers); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func FuzzClaims(f *testing.F) {
	f.Add(`Bearer realm="", claims="e30="`)
	f.Add(`Basic a==, Bearer claims=e30`)
	f.Fuzz(func(t *testing.T, header string) {
		if got := graph.ClaimsOf([]string{header}); got != "" && !strings.HasPrefix(strings.TrimSpace(got), "{") {
			t.Errorf("got %q from %q", got, header)
		}
	})
}

func TestIDsAreCheckedBeforeTheyEnterAnAddress(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(`{}`))
	c := client(t, s)
	for _, id := range []string{"", "me", "../me", annID + "/x", "urn:uuid:" + annID, "{" + annID + "}", "x' or 1 eq 1"} {
		calls := map[string]func() error{
			"revoke":    func() error { _, err := c.Revoke(t.Context(), tokens{}, id, ""); return err },
			"read back": func() error { _, _, err := c.SessionsFrom(t.Context(), tokens{}, id); return err },
			"user":      func() error { _, _, err := c.User(t.Context(), tokens{}, id); return err },
			"group":     func() error { _, err := c.Group(t.Context(), tokens{}, id); return err },
			"roles":     func() error { _, err := c.ActiveRoles(t.Context(), tokens{}, id); return err },
			"holders":   func() error { _, err := c.Holders(t.Context(), tokens{}, id, directory.Active); return err },
		}
		for name, f := range calls {
			if f() == nil {
				t.Errorf("%s accepts %q", name, id)
			}
		}
	}
	for _, upn := range []string{"a/b@c", "a@b?x", "a b@c", "a%2f@c", "@c", "a@"} {
		if _, _, err := c.User(t.Context(), tokens{}, upn); err == nil {
			t.Errorf("accepts the sign-in name %q", upn)
		}
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func TestNewRefusesAnAddressThatIsNotSafe(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "http://graph.example/v1.0", "https://graph.example", "https://a:b@graph.example/v1.0", "https://graph.example/v1.0?x=1", "graph.example/v1.0", ":"} {
		if _, err := graph.New(graph.Options{BaseURL: u}); err == nil {
			t.Errorf("accepts %q", u)
		}
	}
}
