package auth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"evict/internal/auth"
	"evict/internal/operator"
)

// trouble are ways in which a token request can go wrong while secrets are on the wire.
func trouble() map[string]func(*fakeOP) {
	raw := func(status int, body string) func(*fakeOP) {
		return func(op *fakeOP) {
			op.answer = func(w http.ResponseWriter) bool {
				w.WriteHeader(status)
				fmt.Fprint(w, body)
				return true
			}
		}
	}
	return map[string]func(*fakeOP){
		"garbled":          raw(200, `{"access_token":"canary-token","refresh_token":"canary-token"`),
		"wrong types":      raw(200, `{"access_token":{"canary-token":1},"id_token":"canary-token.x.y"}`),
		"bad id token":     raw(200, `{"access_token":"canary-token","expires_in":1,"id_token":"canary-token"}`),
		"bad client info":  func(op *fakeOP) { op.extra = map[string]any{"client_info": "canary-token!"} },
		"error page":       raw(502, `canary-token`),
		"error with body":  raw(400, `{"error":"invalid_grant","error_description":"AADSTS70008: canary-token","claims":"canary-token","correlation_id":"canary-token"}`),
		"hostile error":    raw(400, `{"error":"canary-token","error_codes":[7],"claims":"{canary"}`),
		"declined scopes":  func(op *fakeOP) { op.scope = func(string) string { return "canary-token" } },
		"not delegated":    func(op *fakeOP) { op.access = func(c map[string]any) { c["idtyp"] = "app" } },
		"wrong nonce":      func(op *fakeOP) { op.idToken = func(c map[string]any) { c["nonce"] = "canary-token" } },
		"wrong signature":  func(op *fakeOP) { op.badKeys = true },
		"opaque token":     func(op *fakeOP) { op.extra = map[string]any{"access_token": "canary-token"} },
		"revoked":          func(op *fakeOP) { op.revoked[aliceID] = true },
		"connection drops": func(op *fakeOP) { op.answer = func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) } },
	}
}

func TestNoSecretReachesAnErrorALogOrTheLedger(t *testing.T) {
	t.Parallel()
	for name, break_ := range trouble() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			b := r.browser()
			r.signIn(t, b, alice, auth.BeginOptions{})
			s := r.session(t, b)
			run, err := r.svc.RunTokens(ref, sealed(t, r, b))
			if err != nil {
				t.Fatal(err)
			}
			var errs []error
			note := func(err error) { errs = append(errs, err) }
			r.op.set(break_)
			_, err = s.Tokens().Token(t.Context())
			note(err)
			_, err = s.Tokens().Fresh(t.Context())
			note(err)
			_, err = run.Token(t.Context())
			note(err)
			other := r.browser()
			q, _, err := other.begin(auth.BeginOptions{})
			note(err)
			_, err = other.finish(r.op.authorize(q, alice))
			note(err)
			r.store.fail = errors.New("disk full")
			_, err = r.svc.SignOut(httptest.NewRecorder(), b.request("/"), s)
			note(err)
			r.store.fail = nil
			r.store.edit(func(row *auth.SessionRow) { row.Sealed = []byte("x") })
			_, err = b.load(true)
			note(err)
			said := r.logs.String()
			failed := 0
			for _, err := range errs {
				said += everything(err)
				if err != nil {
					failed++
				}
			}
			if failed < 3 {
				t.Fatalf("only %d things went wrong; the test proves nothing", failed)
			}
			events, _ := json.Marshal(r.store.events)
			said += string(events)
			secrets := slices.Concat(r.op.issued, []string{"canary", q.Get("state"), q.Get("nonce")})
			for _, f := range r.op.forms {
				secrets = append(secrets, f.Get("code_verifier"))
			}
			for _, c := range b.cookies {
				secrets = append(secrets, c)
			}
			for _, v := range secrets {
				if v != "" && strings.Contains(said, v) {
					t.Errorf("%.20q... is in what was said: %s", v, said)
				}
			}
		})
	}
}

func TestWhatIsStoredIsUnreadable(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{Claims: `{"access_token":{}}`})
	stored := string(sealed(t, r, b))
	r.store.edit(func(row *auth.SessionRow) { stored += string(row.Sealed) + string(row.Cache) })
	q, _, _ := b.begin(auth.BeginOptions{ReturnTo: "/users/7"})
	stored += b.cookies["__Host-evict-signin"]
	for _, v := range slices.Concat(r.op.issued, []string{alice.UPN, "canary", "refresh_token", q.Get("nonce"), "/users/7"}) {
		if strings.Contains(stored, v) {
			t.Errorf("%.20q is readable", v)
		}
	}
}

func TestSecretsOfTheConsoleDoNotPrint(t *testing.T) {
	t.Parallel()
	cred, err := auth.SecretCredential("canary-secret")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%v %+v %#v %s", cred, cred, cred, cred); strings.Contains(got, "canary") {
		t.Errorf("got %s", got)
	}
	if _, err := auth.CertificateCredential([]byte("canary-pem")); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}

func TestReauthErrorSaysNothingOfItsClaims(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	r.signIn(t, b, alice, auth.BeginOptions{})
	r.op.set(func(op *fakeOP) {
		op.answer = func(w http.ResponseWriter) bool {
			writeJSON(w, 400, map[string]any{"error": "interaction_required", "claims": `{"canary":{}}`})
			return true
		}
	})
	_, err := r.session(t, b).Tokens().Token(t.Context())
	re, ok := errors.AsType[*operator.ReauthError](err)
	if !ok || re.Claims == "" || strings.Contains(re.Error(), "canary") {
		t.Errorf("got %v", err)
	}
	if _, _, err := b.begin(auth.BeginOptions{Claims: re.Claims, Scopes: re.Scopes}); err != nil {
		t.Errorf("the claims cannot be used for a sign-in: %v", err)
	}
}
