package auth_test

import (
	"errors"
	"testing"
	"time"

	"evict/internal/auth"
	"evict/internal/operator"
)

var ref = operator.RunRef{Run: "run-1", Digest: "d1", OID: aliceID, TID: tenantID}

func sealed(t *testing.T, r *rig, b *browser) []byte {
	t.Helper()
	got, expires, err := r.session(t, b).SealForRun(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if want := r.clock.Now().Add(8 * time.Hour); !expires.Equal(want) {
		t.Errorf("got expiry %v, want %v", expires, want)
	}
	return got
}

func TestRunUsesItsOperatorsTokensAfterTheBrowserIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	s := sealed(t, r, b)
	r.store.edit(func(row *auth.SessionRow) { row.Sealed = nil })
	src, err := r.svc.RunTokens(ref, s)
	if err != nil {
		t.Fatal(err)
	}
	first, err := src.Token(t.Context())
	if err != nil || claimsOf(t, first)["oid"] != aliceID {
		t.Fatalf("got %v", err)
	}
	n := r.op.requests("refresh_token")
	if again, err := src.Token(t.Context()); err != nil || again.Bearer() != first.Bearer() || r.op.requests("refresh_token") != n {
		t.Errorf("the token is not kept in memory (%v)", err)
	}
	if fresh, err := src.Fresh(t.Context()); err != nil || fresh.Bearer() == first.Bearer() {
		t.Errorf("Fresh gave the old token (%v)", err)
	}
}

func TestRunTokenOpensForItsRunOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	s := sealed(t, r, b)
	for name, change := range map[string]func(*operator.RunRef){
		"another run":    func(f *operator.RunRef) { f.Run = "run-2" },
		"another plan":   func(f *operator.RunRef) { f.Digest = "d2" },
		"another person": func(f *operator.RunRef) { f.OID = bobID },
		"another tenant": func(f *operator.RunRef) { f.TID = bobID },
		"shifted border": func(f *operator.RunRef) { f.Run, f.Digest = "run-1d", "1" },
	} {
		other := ref
		change(&other)
		if _, err := r.svc.RunTokens(other, s); !errors.Is(err, auth.ErrSealed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for i := range s {
		bad := append([]byte{}, s...)
		bad[i] ^= 0x40
		if _, err := r.svc.RunTokens(ref, bad); err == nil {
			t.Fatalf("opened with byte %d changed", i)
		}
	}
	// Another registration of the same tenant, with the same keys.
	elsewhere := newRig(t, func(o *auth.Options) { o.Keys, o.ClientID = r.keys, bobID })
	if _, err := elsewhere.svc.RunTokens(ref, s); !errors.Is(err, auth.ErrSealed) {
		t.Errorf("another client: got %v", err)
	}
}

func TestRunTokenIsSealedForOnesOwnRunOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, bob, auth.BeginOptions{})
	if _, _, err := r.session(t, b).SealForRun(t.Context(), ref); err == nil {
		t.Error("bob's tokens were sealed for alice's run")
	}
	c := r.browser()
	r.signIn(t, c, audi, auth.BeginOptions{})
	mine := ref
	mine.OID = bobID
	_, _, err := r.session(t, c).SealForRun(t.Context(), mine)
	wantReauth(t, err, "")
}

func TestRunTokenEndsAfterEightHours(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	s := sealed(t, r, b)
	src, err := r.svc.RunTokens(ref, s)
	if err != nil {
		t.Fatal(err)
	}
	r.clock.Add(8 * time.Hour)
	_, err = src.Token(t.Context())
	wantReauth(t, err, "")
	_, err = r.svc.RunTokens(ref, s)
	wantReauth(t, err, "")
}

func TestRunOfARevokedOperatorNeedsASignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	src, err := r.svc.RunTokens(ref, sealed(t, r, b))
	if err != nil {
		t.Fatal(err)
	}
	r.op.set(func(op *fakeOP) { op.revoked[aliceID] = true })
	_, err = src.Token(t.Context())
	wantReauth(t, err, "AADSTS50173")
}

func TestRunNeverActsWithAnAppOnlyToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	src, err := r.svc.RunTokens(ref, sealed(t, r, b))
	if err != nil {
		t.Fatal(err)
	}
	r.op.set(func(op *fakeOP) { op.access = func(c map[string]any) { c["idtyp"] = "app" } })
	_, err = src.Token(t.Context())
	wantReauth(t, err, "")
}
