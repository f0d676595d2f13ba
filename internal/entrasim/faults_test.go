package entrasim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"evict/internal/entrasim"
)

func TestEachFaultHappensAsOftenAsAsked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind    entrasim.FaultKind
		status  int
		effect  int // revocations that took effect while the fault was on
		header  string
		value   string
		content string
	}{
		{kind: entrasim.Status429, status: 429, header: "Retry-After", value: "7"},
		{kind: entrasim.Status500, status: 500},
		{kind: entrasim.Status503, status: 503, header: "Retry-After", value: "7"},
		{kind: entrasim.Status503HTML, status: 503, header: "Retry-After", value: "7", content: "text/html"},
		{kind: entrasim.Status504, status: 504, effect: 1},
		{kind: entrasim.Forbidden403, status: 403},
		{kind: entrasim.ClaimsChallenge, status: 401},
		{kind: entrasim.StampNeverMoves, status: 200},
		{kind: entrasim.ForwardDated, status: 200, effect: 1},
		{kind: entrasim.SlowBody, status: 200, effect: 1},
		{kind: entrasim.StaleRole, status: 403},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind), func(t *testing.T) {
			t.Parallel()
			s := start(t, entrasim.Options{})
			c := s.Cast()
			bearer := mint(t, s, c.Helpdesk, "User.RevokeSessions.All")
			s.Inject(entrasim.Fault{
				Method: "POST", Match: "/v1.0/users/{id}/revokeSignInSessions", UserID: c.Victim.ID, Kind: tt.kind, Times: 1, RetryAfter: 7 * time.Second,
			})
			path := "/users/" + c.Victim.ID + revokePath
			if other := graph(t, s, bearer, "POST", "/users/"+c.Disabled.ID+revokePath, ""); other.Status != 200 {
				t.Errorf("another person is hit: %d", other.Status)
			}
			got := graph(t, s, bearer, "POST", path, "")
			if got.Status != tt.status || tt.header != "" && got.Header.Get(tt.header) != tt.value {
				t.Errorf("%d %s=%q, want %d %q", got.Status, tt.header, got.Header.Get(tt.header), tt.status, tt.value)
			}
			if tt.content != "" && !strings.HasPrefix(got.Header.Get("Content-Type"), tt.content) {
				t.Errorf("content type %q", got.Header.Get("Content-Type"))
			}
			if n := s.Revocations(c.Victim.ID); n != tt.effect {
				t.Errorf("%d revocations took effect, want %d", n, tt.effect)
			}
			if again := graph(t, s, bearer, "POST", path, ""); again.Status != 200 {
				t.Errorf("the fault came twice: %d", again.Status)
			}
		})
	}
}

func TestBrokenConnectionsBeforeAndAfterTheEffect(t *testing.T) {
	t.Parallel()
	for kind, effect := range map[entrasim.FaultKind]int{entrasim.DropConnection: 0, entrasim.AnswerLost: 1, entrasim.Hang: 0} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := start(t, entrasim.Options{})
			c := s.Cast()
			remove := s.Inject(entrasim.Fault{Match: "revokeSignInSessions", Kind: kind})
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, "POST", s.GraphURL()+"/users/"+c.Victim.ID+revokePath, nil)
			must(t, err)
			req.Header.Set("Authorization", "Bearer "+mint(t, s, c.Helpdesk, "User.RevokeSessions.All"))
			resp, err := s.HTTPClient().Do(req)
			if err == nil {
				resp.Body.Close()
				t.Fatalf("an answer came: %d", resp.StatusCode)
			}
			if got := errors.Is(err, context.DeadlineExceeded); got != (kind == entrasim.Hang) {
				t.Errorf("error %v", err)
			}
			if n := s.Revocations(c.Victim.ID); n != effect {
				t.Errorf("%d revocations took effect, want %d", n, effect)
			}
			remove()
			remove()
			if got := revokeAs(t, s, c.Helpdesk, c.Victim); got.Status != 200 {
				t.Errorf("after removal: %d", got.Status)
			}
		})
	}
}

func TestStaleReplicaAnswersTheStampFromBefore(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	bearer := mint(t, s, c.Helpdesk, "User.Read.All", "User.RevokeSessions.All")
	read := func() any {
		return graph(t, s, bearer, "GET", "/users/"+c.Victim.ID+"?$select=signInSessionsValidFromDateTime", "").JSON["signInSessionsValidFromDateTime"]
	}
	before := read()
	graph(t, s, bearer, "POST", "/users/"+c.Victim.ID+revokePath, "")
	s.Inject(entrasim.Fault{Kind: entrasim.StaleReplica, UserID: c.Victim.ID, Times: 1})
	if got := read(); got != before {
		t.Errorf("stale replica answers %v, want %v", got, before)
	}
	if got := read(); got == before {
		t.Error("the replica stays stale")
	}
}

func TestForeignNextLinkLeadsElsewhere(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	s.Inject(entrasim.Fault{Match: "/v1.0/users", Kind: entrasim.ForeignNextLink})
	got := graph(t, s, mint(t, s, s.Cast().Lead), "GET", "/users?$top=5", "")
	if next, _ := got.JSON["@odata.nextLink"].(string); next == "" || strings.HasPrefix(next, s.TLSURL()) {
		t.Errorf("next link = %q", next)
	}
}

func TestForwardDatedFaultDatesTheStampAhead(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	s.Inject(entrasim.Fault{Kind: entrasim.ForwardDated})
	revokeAs(t, s, c.Helpdesk, c.Victim)
	if p, _ := s.User(c.Victim.ID); time.Until(p.ValidFrom) < 24*time.Hour {
		t.Errorf("stamp = %v", p.ValidFrom)
	}
}

func TestTokenEndpointFaults(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	k := signIn(t, s, browser(t, s), c.Victim.ID)
	s.Inject(entrasim.Fault{Kind: entrasim.TokenRevoked, UserID: c.Victim.ID, Times: 1})
	if got := token(t, s, refreshForm(k.RefreshToken)).code(); got != 50173 {
		t.Errorf("TokenRevoked = %d", got)
	}
	if got := token(t, s, refreshForm(k.RefreshToken)); got.Status != 200 {
		t.Errorf("after it: %s", got.Description)
	}
	for kind, want := range map[entrasim.FaultKind]int{entrasim.Status429: 429, entrasim.Status500: 503, entrasim.Status503: 503} {
		s.Inject(entrasim.Fault{Kind: kind, Match: "/{tenant}/oauth2/v2.0/token", Times: 1})
		form := refreshForm(k.RefreshToken)
		form.Set("client_id", s.App().ClientID)
		form.Set("client_secret", s.App().Secret)
		resp := send(t, s.HTTPClient(), "POST", s.Authority()+"/oauth2/v2.0/token", form)
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != want {
			t.Errorf("%s = %d (%v), want %d", kind, resp.StatusCode, err, want)
		}
	}
	if got := graph(t, s, k.AccessToken, "GET", "/me", ""); got.Status != 200 {
		t.Errorf("Graph is hit by faults of the token endpoint: %d", got.Status)
	}
}

func TestFaultMatchesMe(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	bearer := mint(t, s, s.Cast().Lead)
	remove := s.Inject(entrasim.Fault{Match: "/v1.0/me/**", Kind: entrasim.Status500})
	if got := graph(t, s, bearer, "GET", "/me/memberOf", ""); got.Status != 500 {
		t.Errorf("/me/memberOf = %d", got.Status)
	}
	if got := graph(t, s, bearer, "GET", "/users/"+s.Cast().Lead.ID+"/memberOf", ""); got.Status != 200 {
		t.Errorf("/users/{id}/memberOf = %d", got.Status)
	}
	remove()
	s.Inject(entrasim.Fault{Caller: s.Cast().Lead.ID, Kind: entrasim.Status500})
	if got := graph(t, s, mint(t, s, s.Cast().Admin), "GET", "/me", ""); got.Status != 200 {
		t.Errorf("another caller = %d", got.Status)
	}
	if got := graph(t, s, bearer, "GET", "/me", ""); got.Status != 500 {
		t.Errorf("the caller = %d", got.Status)
	}
}

func TestWriteQuotaIsATokenBucketWithHeaders(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now, Quota: entrasim.Quota{Writes: 10, WriteWindow: 100 * time.Second, RetryAfter: 3 * time.Second}})
	c := s.Cast()
	bearer := mint(t, s, c.Helpdesk, "User.RevokeSessions.All", "User.Read.All")
	post := func() answer { return graph(t, s, bearer, "POST", "/users/"+c.Victim.ID+revokePath, "") }
	for i := range 10 {
		got := post()
		if got.Status != 200 {
			t.Fatalf("write %d = %d", i, got.Status)
		}
		if percent := got.Header.Get("x-ms-throttle-limit-percentage"); (percent != "") != (i >= 7) {
			t.Errorf("write %d: percentage %q", i, percent)
		}
	}
	got := post()
	if got.Status != 429 || got.errorCode() != "TooManyRequests" || got.Header.Get("Retry-After") != "3" {
		t.Fatalf("write 11 = %d %q Retry-After %q", got.Status, got.errorCode(), got.Header.Get("Retry-After"))
	}
	if scope := got.Header.Get("x-ms-throttle-scope"); scope != "Tenant_Application/Write/"+s.App().ClientID+"/"+s.TenantID() {
		t.Errorf("scope %q", scope)
	}
	if got.Header.Get("x-ms-throttle-information") != "WriteLimitExceeded" || !strings.HasPrefix(got.Header.Get("x-ms-throttle-limit-percentage"), "1") {
		t.Errorf("headers %v", got.Header)
	}
	if read := graph(t, s, bearer, "GET", "/users/"+c.Victim.ID, ""); read.Status != 200 {
		t.Errorf("reads are throttled with writes: %d", read.Status)
	}
	at.Advance(10 * time.Second)
	if got := post(); got.Status != 200 {
		t.Errorf("after 10 s one write is due: %d", got.Status)
	}
	if got := post(); got.Status != 429 {
		t.Errorf("but not two: %d", got.Status)
	}
	at.Advance(100 * time.Second)
	s.SpendTenantWrites(1_000_000)
	if scope := post().Header.Get("x-ms-throttle-scope"); !strings.HasPrefix(scope, "Tenant/Write/") {
		t.Errorf("another app's use shows as %q", scope)
	}
	s.SetQuota(entrasim.Quota{Disabled: true})
	for range 30 {
		if got := post(); got.Status != 200 {
			t.Fatalf("throttled though it is off: %d", got.Status)
		}
	}
}

func TestReportsHaveAQuotaOfTheirOwn(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now})
	bearer := mint(t, s, s.Cast().Auditor)
	for i := range 6 {
		got := graph(t, s, bearer, "GET", "/auditLogs/signIns?$top=1", "")
		if want := map[bool]int{true: 200, false: 429}[i < 5]; got.Status != want {
			t.Errorf("request %d = %d, want %d", i+1, got.Status, want)
		}
	}
}

func TestRequestLogTellsWhoAskedWhat(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	const mine = "0d1f9f53-3f6e-43d0-8a7c-2c0b1d6a0001"
	graph(t, s, mint(t, s, c.Helpdesk, "User.RevokeSessions.All"), "POST", "/users/"+c.Victim.ID+revokePath, "", "client-request-id", mine)
	all := s.Requests()
	if len(all) != 1 {
		t.Fatalf("%d requests", len(all))
	}
	r := all[0]
	if r.Method != "POST" || r.Path != "/v1.0/users/"+c.Victim.ID+revokePath || r.Status != 200 || r.UserID != c.Helpdesk.ID || r.ClientRequestID != mine {
		t.Errorf("request %+v", r)
	}
}

func TestLatencyDelaysGraph(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{Latency: 80 * time.Millisecond})
	began := time.Now()
	graph(t, s, mint(t, s, s.Cast().Lead), "GET", "/me", "")
	if took := time.Since(began); took < 80*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

func TestVictimsAppLosesItsSessionTruly(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	b := browser(t, s)
	victim := s.Cast().Victim
	authorize := location(t, send(t, b, "POST", s.BrowserURL()+"/victim/sign-in", url.Values{}))
	back := pick(t, b, authorize.String(), victim.ID)
	if got := location(t, send(t, b, "GET", back.String(), nil)).Path; got != "/victim" {
		t.Fatalf("callback went to %q", got)
	}
	_, body := page(t, b, s.BrowserURL()+"/victim")
	if !strings.Contains(body, "Session alive") || !strings.Contains(body, victim.Name) {
		t.Fatalf("page: %s", body)
	}
	must(t, s.Revoke(victim.ID))
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(body, "AADSTS50173") {
		if time.Now().After(deadline) {
			t.Fatalf("the session did not end: %s", body)
		}
		_, body = page(t, b, s.BrowserURL()+"/victim/status")
	}
	if !strings.Contains(body, "Session ended at") {
		t.Errorf("page: %s", body)
	}
}

func TestKnobsTurnFaultsOnAndOff(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	b := browser(t, s)
	bearer := mint(t, s, s.Cast().Lead)
	post := func(path string, form url.Values) string {
		return location(t, send(t, b, "POST", s.BrowserURL()+path, form)).Query().Get("done")
	}
	if got := post("/_sim/faults", url.Values{"kind": {"status 500"}, "times": {"0"}}); got != "fault" {
		t.Fatalf("done = %q", got)
	}
	if got := graph(t, s, bearer, "GET", "/me", ""); got.Status != 500 {
		t.Errorf("fault is not on: %d", got.Status)
	}
	rare := url.Values{"kind": {"answer lost"}, "times": {"0"}, "method": {"post"}, "match": {"revokeSignInSessions"}, "share": {"2.5"}, "after": {"3"}}
	if got := post("/_sim/faults", rare); got != "fault" {
		t.Fatalf("done = %q", got)
	}
	for name, value := range map[string]string{"share": "101", "after": "-1", "times": "many"} {
		if got := post("/_sim/faults", url.Values{"kind": {"status 500"}, name: {value}}); got != "invalid" {
			t.Errorf("%s=%s: %q", name, value, got)
		}
	}
	_, body := page(t, b, s.BrowserURL()+"/_sim/")
	for _, want := range []string{"Graph has an internal error (500)", "POST revokeSignInSessions", "until removed, 2.5 % of requests, after 3 requests"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if got := post("/_sim/faults", url.Values{"remove": {"1"}}); got != "removed" {
		t.Fatalf("done = %q", got)
	}
	if got := graph(t, s, bearer, "GET", "/me", ""); got.Status != 200 {
		t.Errorf("fault is still on: %d", got.Status)
	}
	if got := post("/_sim/people", url.Values{"user": {s.Cast().Victim.UPN}, "do": {"revoke"}}); got != "person" || s.Revocations(s.Cast().Victim.ID) != 1 {
		t.Errorf("revocation by the knobs: %q", got)
	}
	if got := post("/_sim/settings", url.Values{"latency": {"-1"}, "lag": {"0"}, "clock": {"0"}}); got != "invalid" {
		t.Errorf("a latency below zero: %q", got)
	}
	if got := post("/_sim/settings", url.Values{"latency": {"0"}, "lag": {"0"}, "clock": {"3600"}}); got != "settings" {
		t.Errorf("settings: %q", got)
	}
	date, err := http.ParseTime(graph(t, s, bearer, "GET", "/me", "").Header.Get("Date"))
	if ahead := time.Until(date); err != nil || ahead < 59*time.Minute {
		t.Errorf("Graph's clock is %v ahead (%v), want an hour", ahead, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.BrowserURL()+"/_sim/people", strings.NewReader("do=disable&user="+s.Cast().Victim.UPN))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := b.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a form from another site = %d, want 403", resp.StatusCode)
	}
}
