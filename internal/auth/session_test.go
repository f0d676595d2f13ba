package auth_test

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/fault"
)

func wantReason(t *testing.T, err error, want auth.Reason) {
	t.Helper()
	wantKind(t, err, fault.Unauthenticated)
	if !errors.Is(err, auth.ErrNoSession) || auth.ReasonOf(err) != want {
		t.Fatalf("got %v with reason %q, want %q", err, auth.ReasonOf(err), want)
	}
}

func TestIdleSessionEndsAndPollingDoesNotKeepItAlive(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	r.clock.Add(29 * time.Minute)
	r.session(t, b)
	r.clock.Add(29 * time.Minute)
	if _, err := b.load(false); err != nil {
		t.Fatalf("activity did not count: %v", err)
	}
	r.clock.Add(time.Minute)
	_, err := b.load(true)
	wantReason(t, err, auth.ReasonIdle)
}

func TestSessionEndsAfterEightHoursWhateverOneDoes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	for range 8*60/20 - 1 {
		r.clock.Add(20 * time.Minute)
		r.session(t, b)
	}
	// Whoever has the database cannot lengthen it: the limit is sealed.
	r.store.edit(func(row *auth.SessionRow) { row.ExpiresAt = row.ExpiresAt.Add(time.Hour) })
	r.clock.Add(20 * time.Minute)
	_, err := b.load(true)
	wantReason(t, err, auth.ReasonAbsolute)
}

func TestLastActivityIsWrittenOnceAMinuteAtMost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	_, before := r.store.count()
	for range 10 {
		r.clock.Add(5 * time.Second)
		r.session(t, b)
	}
	if _, got := r.store.count(); got != before {
		t.Errorf("got %d writes within a minute", got-before)
	}
	r.clock.Add(10 * time.Second)
	r.session(t, b)
	r.session(t, b)
	if _, got := r.store.count(); got != before+1 {
		t.Errorf("got %d writes after a minute, want 1", got-before)
	}
}

func TestWithoutCookieThereIsNoSession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.browser().load(true)
	wantReason(t, err, auth.ReasonNone)
}

func TestTamperedCookieOpensNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	good := b.cookies["__Host-evict"]
	for i := range len(good) {
		c := byte('A')
		if good[i] == 'A' {
			c = 'B'
		}
		b.cookies["__Host-evict"] = good[:i] + string(c) + good[i+1:]
		_, err := b.load(true)
		wantReason(t, err, auth.ReasonUnknown)
	}
	for _, v := range []string{"x", good + "A", good[1:], strings.Repeat("=", 64)} {
		b.cookies["__Host-evict"] = v
		_, err := b.load(true)
		wantReason(t, err, auth.ReasonUnknown)
	}
}

func TestMovedOrAlteredRowDoesNotOpen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(mine *auth.SessionRow, other auth.SessionRow){
		"another's content": func(m *auth.SessionRow, o auth.SessionRow) { m.Sealed = o.Sealed },
		"another's name":    func(m *auth.SessionRow, o auth.SessionRow) { m.OID = o.OID },
		"flipped bit":       func(m *auth.SessionRow, _ auth.SessionRow) { m.Sealed[len(m.Sealed)-1] ^= 1 },
		"cache as content":  func(m *auth.SessionRow, _ auth.SessionRow) { m.Sealed = m.Cache },
		"no content":        func(m *auth.SessionRow, _ auth.SessionRow) { m.Sealed = nil },
		"cut short":         func(m *auth.SessionRow, _ auth.SessionRow) { m.Sealed = m.Sealed[:3] },
		"other key's name": func(m *auth.SessionRow, _ auth.SessionRow) {
			m.Sealed = bytes.Replace(m.Sealed, []byte("k1"), []byte("k2"), 1)
		},
		"name length is off": func(m *auth.SessionRow, _ auth.SessionRow) { m.Sealed[1] = 255 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			a, b := r.browser(), r.browser()
			r.signIn(t, b, bob, auth.BeginOptions{})
			var other auth.SessionRow
			r.store.edit(func(row *auth.SessionRow) { other = *row })
			r.signIn(t, a, alice, auth.BeginOptions{})
			r.store.edit(func(row *auth.SessionRow) {
				if row.OID == aliceID {
					row.Sealed = bytes.Clone(row.Sealed)
					change(row, other)
				}
			})
			_, err := a.load(true)
			wantReason(t, err, auth.ReasonUnknown)
		})
	}
}

func TestMovedCacheDoesNotOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.browser(), r.browser()
	r.signIn(t, b, bob, auth.BeginOptions{})
	var other []byte
	r.store.edit(func(row *auth.SessionRow) { other = row.Cache })
	r.signIn(t, a, alice, auth.BeginOptions{})
	s := r.session(t, a)
	r.store.edit(func(row *auth.SessionRow) { row.Cache = other })
	_, err := s.Tokens().Token(t.Context())
	wantReauth(t, err, "")
}

func TestSignOutDeletesTheSessionAndItsCookie(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	s := r.session(t, b)
	stolen := b.clone()
	w := httptest.NewRecorder()
	address, err := r.svc.SignOut(w, b.request("/auth/signout"), s)
	if err != nil {
		t.Fatal(err)
	}
	b.take(w)
	if _, ok := b.cookies["__Host-evict"]; ok {
		t.Error("the cookie is still there")
	}
	u, _ := url.Parse(address)
	if u.Path != "/"+tenantID+"/oauth2/v2.0/logout" ||
		u.Query().Get("post_logout_redirect_uri") != "https://evict.example.com/signin" {
		t.Errorf("got address %q", address)
	}
	_, err = stolen.load(true)
	wantReason(t, err, auth.ReasonUnknown)
	if got := last(r.store.kinds()); got != audit.SignedOut {
		t.Errorf("got event %q", got)
	}
	if rows, _ := r.store.count(); rows != 0 {
		t.Errorf("got %d sessions", rows)
	}
	_, err = s.Tokens().Token(t.Context())
	wantReauth(t, err, "")
	if err := s.SetDraft(t.Context(), "k", auth.Draft{}); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("a draft of an ended session: got %v", err)
	}
}

func TestSignOutWorksWhileMicrosoftDoesNotAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	s := r.session(t, b)
	r.clock.Add(2 * time.Hour) // what was remembered of the discovery document is too old
	r.op.server.Close()
	address, err := r.svc.SignOut(httptest.NewRecorder(), b.request("/auth/signout"), s)
	if err != nil || !strings.Contains(address, "/oauth2/v2.0/logout?post_logout_redirect_uri=") {
		t.Errorf("got %q, %v", address, err)
	}
}

func TestDatabaseThatIsAwayIsNoSignOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	r.store.fail = errors.New("disk full")
	_, err := b.load(true)
	wantKind(t, err, fault.Unavailable)
	_, err = r.trySignIn(t, b, alice, auth.BeginOptions{})
	wantKind(t, err, fault.Unavailable)
	for _, c := range b.last {
		if c.Name == "__Host-evict" && c.MaxAge >= 0 {
			t.Error("a cookie was set for a session that was not written")
		}
	}
	r.store.fail = nil
	if _, err := b.load(true); err != nil {
		t.Errorf("the old session: %v", err)
	}
}

func TestDraftsSurviveASignInOfTheSamePersonOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	want := auth.Draft{Reason: "phished", Ticket: "INC-7", IncludeExternal: true}
	if err := r.session(t, b).SetDraft(t.Context(), "/users/7", want); err != nil {
		t.Fatal(err)
	}
	r.signIn(t, b, alice, auth.BeginOptions{Claims: `{"access_token":{}}`})
	got, ok, err := r.session(t, b).TakeDraft(t.Context(), "/users/7")
	if err != nil || !ok || got != want {
		t.Errorf("got %+v, %v, %v", got, ok, err)
	}
	if _, ok, _ := r.session(t, b).TakeDraft(t.Context(), "/users/7"); ok {
		t.Error("the draft was given twice")
	}
}

func TestAnotherPersonComingBackFromAChallengeIsANewSession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	if err := r.session(t, b).SetDraft(t.Context(), "/users/7", auth.Draft{Reason: "phished"}); err != nil {
		t.Fatal(err)
	}
	f := r.signIn(t, b, bob, auth.BeginOptions{ReturnTo: "/users/7", Claims: `{"access_token":{}}`})
	if !f.New || f.Operator.OID != bobID {
		t.Errorf("got %+v", f)
	}
	s := r.session(t, b)
	if _, ok, _ := s.TakeDraft(t.Context(), "/users/7"); ok {
		t.Error("bob got alice's draft")
	}
	if rows, _ := r.store.count(); rows != 1 {
		t.Errorf("got %d sessions", rows)
	}
	e := r.store.events[len(r.store.events)-2:]
	if e[0].Kind != audit.SignedOut || e[0].Operator.OID != aliceID || e[1].Kind != audit.SignedIn || e[1].Operator.OID != bobID {
		t.Errorf("got events %+v", e)
	}
}

func TestDraftsAreFewAndShort(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	s := r.session(t, b)
	for _, k := range strings.Split("abcdefghijkl", "") {
		r.clock.Add(time.Second)
		if err := s.SetDraft(t.Context(), k, auth.Draft{Reason: strings.Repeat("ä", 3000)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok, _ := s.TakeDraft(t.Context(), "b"); ok {
		t.Error("the eleventh newest draft is still there")
	}
	if d, ok, _ := s.TakeDraft(t.Context(), "c"); !ok || len(d.Reason) != 4000 {
		t.Errorf("got %v and %d bytes", ok, len(d.Reason))
	}
	if err := s.SetDraft(t.Context(), strings.Repeat("k", 300), auth.Draft{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a long key: got %v", err)
	}
}

func TestSweepDeletesWhatIsOver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signIn(t, r.browser(), alice, auth.BeginOptions{})
	r.clock.Add(29 * time.Minute)
	r.signIn(t, r.browser(), bob, auth.BeginOptions{})
	r.clock.Add(time.Minute)
	if err := r.svc.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows, _ := r.store.count(); rows != 1 {
		t.Errorf("got %d sessions, want bob's", rows)
	}
}
