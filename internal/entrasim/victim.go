package entrasim

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// The victim's app: a web application like any other, with a registration of its own. It keeps a person signed in by
// redeeming its refresh token every two seconds over real HTTPS, and shows what becomes of that.

const (
	victimCookie   = "entrasim_victim"
	victimSessions = 200
	refreshEvery   = 2 * time.Second
)

type victimSession struct {
	id, state, verifier  string
	name, upn            string
	refreshToken         string
	started, last, ended time.Time
	refreshes            int
	code, reason         string
	mu                   sync.Mutex
}

type victimStore struct {
	clientID string
	mu       sync.Mutex
	m        map[string]*victimSession
	order    []string
}

func (v *victimStore) create() *victimSession {
	vs := &victimSession{id: opaque("v-"), state: opaque(""), verifier: opaque("")}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.m == nil {
		v.m = map[string]*victimSession{}
	}
	v.m[vs.id] = vs
	v.order = append(v.order, vs.id)
	if len(v.order) > victimSessions {
		delete(v.m, v.order[0])
		v.order = v.order[1:]
	}
	return vs
}

func (v *victimStore) find(r *http.Request) *victimSession {
	c, err := r.Cookie(victimCookie)
	if err != nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.m[c.Value]
}

func (s *Sim) victimSignIn(w http.ResponseWriter, r *http.Request) {
	vs := s.victims.create()
	http.SetCookie(w, &http.Cookie{Name: victimCookie, Value: vs.id, Path: "/victim", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	sum := sha256.Sum256([]byte(vs.verifier))
	q := url.Values{
		"client_id": {s.victims.clientID}, "response_type": {"code"}, "redirect_uri": {s.BrowserURL() + "/victim/callback"},
		"scope": {"openid profile offline_access User.Read"}, "state": {vs.state}, "prompt": {"select_account"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		"login_hint": {s.tenant.cast.Victim.UPN},
	}
	http.Redirect(w, r, s.BrowserURL()+"/"+s.tenant.id+"/oauth2/v2.0/authorize?"+q.Encode(), http.StatusSeeOther)
}

func (s *Sim) victimCallback(w http.ResponseWriter, r *http.Request) {
	vs := s.victims.find(r)
	if vs == nil || r.URL.Query().Get("state") != vs.state {
		s.page(w, http.StatusBadRequest, "message", "", layout{Title: "Sign-in failed", Data: messageData{
			Heading: "This sign-in was not started here", Text: "Open the victim's app and start again.", Bad: true}})
		return
	}
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if text := r.URL.Query().Get("error_description"); text != "" {
		vs.end(s.now(), text)
	} else {
		s.victimTokens(r.Context(), vs, url.Values{
			"grant_type": {"authorization_code"}, "code": {r.URL.Query().Get("code")}, "code_verifier": {vs.verifier},
			"redirect_uri": {s.BrowserURL() + "/victim/callback"},
		})
		vs.started = vs.last
	}
	vs.state = opaque("") // a callback works once
	http.Redirect(w, r, "/victim", http.StatusSeeOther)
}

// victimTokens calls the token endpoint and keeps what it answers. Callers hold vs.mu.
func (s *Sim) victimTokens(ctx context.Context, vs *victimSession, form url.Values) {
	form.Set("client_id", s.victims.clientID)
	s.mu.RLock()
	form.Set("client_secret", s.apps[s.victims.clientID].Secret)
	s.mu.RUnlock()
	form.Set("scope", "openid profile offline_access User.Read")
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Authority()+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.client.Do(req)
	if err != nil {
		return // a network error is not a refusal: the next turn tries again
	}
	defer resp.Body.Close()
	var got struct {
		tokenReply
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&got); err != nil {
		return
	}
	if got.RefreshToken == "" {
		vs.end(s.now(), got.Description)
		return
	}
	vs.refreshToken, vs.last = got.RefreshToken, s.now()
	vs.refreshes++
	vs.readName(got.IDToken)
}

// readName takes the person from the ID token that came straight from the token endpoint over TLS.
func (vs *victimSession) readName(idToken string) {
	parts := strings.Split(idToken, ".")
	if len(parts) != 3 {
		return
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return
	}
	var c idClaims
	if json.Unmarshal(raw, &c) == nil {
		vs.name, vs.upn = c.Name, c.Username
	}
}

var aadstsNumber = regexp.MustCompile(`AADSTS\d+`)

func (vs *victimSession) end(at time.Time, description string) {
	vs.ended, vs.refreshToken = at, ""
	vs.code = aadstsNumber.FindString(description)
	vs.reason, _, _ = strings.Cut(description, " Trace ID:")
	vs.reason = strings.TrimPrefix(vs.reason, vs.code+": ")
}

type victimData struct {
	State                string // out, alive, ended
	Name, UPN            string
	Started, Last, Ended string
	Refreshes            int
	Code, Reason, Age    string
}

// victimTurn refreshes when two seconds have passed and tells what the page shows.
func (s *Sim) victimTurn(r *http.Request) victimData {
	vs := s.victims.find(r)
	if vs == nil {
		return victimData{State: "out"}
	}
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if vs.refreshToken != "" && s.now().Sub(vs.last) >= refreshEvery-200*time.Millisecond {
		s.victimTokens(r.Context(), vs, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {vs.refreshToken}})
	}
	const clock = "15:04:05 UTC"
	d := victimData{
		Name: vs.name, UPN: vs.upn, Started: vs.started.Format(clock), Last: vs.last.Format(clock), Refreshes: max(vs.refreshes-1, 0),
	}
	switch {
	case vs.refreshToken != "":
		d.State, d.Age = "alive", fmt.Sprintf("%d s", int(vs.last.Sub(vs.started)/time.Second))
	case !vs.ended.IsZero():
		d.State, d.Ended, d.Code, d.Reason = "ended", vs.ended.Format(clock), vs.code, vs.reason
	default:
		d.State = "out"
	}
	return d
}

func (s *Sim) victimPage(w http.ResponseWriter, r *http.Request) {
	d := s.victimTurn(r)
	s.page(w, http.StatusOK, "victim", "", layout{Title: "Payroll portal", Script: "victim.js", Refresh: d.State == "alive", Data: d})
}

// victimStatus is the part of the page that the script replaces.
func (s *Sim) victimStatus(w http.ResponseWriter, r *http.Request) {
	all, err := templates()
	if err != nil {
		http.Error(w, "the simulator could not render this page", http.StatusInternalServerError)
		return
	}
	pageHeaders(w, "")
	if err := all["victim"].ExecuteTemplate(w, "session", s.victimTurn(r)); err != nil {
		s.log.Error("simulator fragment not rendered", "error", err)
	}
}

func (s *Sim) victimSignOut(w http.ResponseWriter, r *http.Request) {
	if vs := s.victims.find(r); vs != nil {
		s.victims.mu.Lock()
		delete(s.victims.m, vs.id)
		s.victims.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: victimCookie, Path: "/victim", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/victim", http.StatusSeeOther)
}
