package entrasim

import (
	"net/http"
	"runtime"
	"testing"
)

// Whoever wants to change the tenant gets a turn while a long list is gone through.
func TestALongListLetsChangesThrough(t *testing.T) {
	t.Parallel()
	s, err := New(Options{People: 60})
	if err != nil {
		t.Fatal(err)
	}
	changed, seen := false, false
	at := func(i int) object {
		switch i {
		case 300:
			go func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				changed = true
			}()
			for s.mu.TryRLock() { // until the change waits for its turn
				s.mu.RUnlock()
				runtime.Gosched()
			}
		case 999:
			seen = changed
		}
		return s.tenant.users[0]
	}
	c := &call{sim: s, method: http.MethodGet, token: &accessClaims{IDType: "app"}, route: &route{method: http.MethodGet}}
	c.route.handle = func(c *call) *reply {
		return c.page(listing{entity: userEntity(), n: 1000}, listQuery{top: 999}, view{}, at)
	}
	if rep := s.run(c); rep.status != http.StatusOK || !seen {
		t.Errorf("status %d; changed in between: %v", rep.status, seen)
	}
}
