package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/sessions"
)

const (
	pendingTTL = 10 * time.Minute
	maxPending = 5
	// maxCookie leaves room for name and attributes: browsers drop a cookie above 4,096 bytes.
	maxCookie      = 3800
	purposePending = "pending sign-ins"
)

// pending is a sign-in that Microsoft has not yet answered. It lives in the browser's cookie only, sealed: a stranger
// who begins a thousand sign-ins costs the server nothing.
type pending struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	ReturnTo string    `json:"r"`
	Claims   string    `json:"c,omitempty"`
	Scopes   []string  `json:"p,omitempty"`
	Began    time.Time `json:"t"`
}

// readPending returns the browser's sign-ins that are not too old, oldest first. A cookie that does not open counts as
// none.
func (s *Service) readPending(r *http.Request) []pending {
	c, err := r.Cookie(s.names.pending)
	if err != nil {
		return nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return nil
	}
	plain, err := s.keys.Open(purposePending, sealed, s.cloud.Name, s.tenant, s.clientID)
	if err != nil {
		return nil
	}
	var list []pending
	if json.Unmarshal(plain, &list) != nil {
		return nil
	}
	now := s.now()
	return slices.DeleteFunc(list, func(p pending) bool { return now.Sub(p.Began) >= pendingTTL })
}

// writePending sets the cookie to the list. The oldest go first, when there are more than five or the cookie would be
// too long.
func (s *Service) writePending(w http.ResponseWriter, list []pending) error {
	if len(list) > maxPending {
		list = list[len(list)-maxPending:]
	}
	for ; len(list) > 0; list = list[1:] {
		plain, err := json.Marshal(list)
		if err != nil {
			return fmt.Errorf("writing pending sign-ins: %w", err)
		}
		sealed, err := s.keys.Seal(purposePending, plain, s.cloud.Name, s.tenant, s.clientID)
		if err != nil {
			return fmt.Errorf("sealing pending sign-ins: %w", err)
		}
		v := base64.RawURLEncoding.EncodeToString(sealed)
		if len(v) <= maxCookie {
			http.SetCookie(w, sessions.NewCookie(s.names.pending, v, s.names.options(int(pendingTTL.Seconds()))))
			return nil
		}
		if len(list) == 1 {
			return errors.New("a pending sign-in is too long for a cookie")
		}
	}
	http.SetCookie(w, sessions.NewCookie(s.names.pending, "", s.names.options(-1)))
	return nil
}

// takePending finds the sign-in of a state and removes it, from the cookie and for good.
func (s *Service) takePending(w http.ResponseWriter, r *http.Request, state string) (pending, bool) {
	list := s.readPending(r)
	found := -1
	for i, p := range list {
		if subtle.ConstantTimeCompare([]byte(p.State), []byte(state)) == 1 {
			found = i
		}
	}
	if state == "" || found < 0 {
		return pending{}, false
	}
	p := list[found]
	if err := s.writePending(w, slices.Delete(list, found, found+1)); err != nil {
		return pending{}, false
	}
	return p, s.spent.first(p.State, s.now())
}

// spent remembers the states that were used, for as long as a cookie that holds them opens: whoever kept a copy of the
// cookie cannot use it again. It knows its own process only; behind it Entra redeems each code once.
type spent struct {
	mu     sync.Mutex
	states map[[sha256.Size]byte]time.Time
}

func (s *spent) first(state string, now time.Time) bool {
	h := sha256.Sum256([]byte(state))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.states == nil {
		s.states = map[[sha256.Size]byte]time.Time{}
	}
	for k, at := range s.states {
		if now.Sub(at) >= pendingTTL {
			delete(s.states, k)
		}
	}
	if _, used := s.states[h]; used {
		return false
	}
	s.states[h] = now
	return true
}
