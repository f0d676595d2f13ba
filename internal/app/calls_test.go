package app_test

import (
	"net/http"
	"testing"
	"time"

	"evict/internal/entrasim"
)

// named waits until the console has read the tenant's name, which it does beside the first sign-in.
func (d *demo) named() {
	d.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, r := range d.Sim.Requests() {
			if r.Path == "/v1.0/organization" {
				return
			}
		}
	}
	d.t.Fatal("nobody read the tenant's name")
}

// calls splits the Graph calls from the nth on into readings of p after the first revocation, and all others.
func (d *demo) calls(from int, p entrasim.Person) (others []string, readBacks int) {
	posted := false
	for _, r := range d.Sim.Requests()[from:] {
		call := r.Method + " " + r.Path
		switch {
		case posted && call == "GET /v1.0/users/"+p.ID:
			readBacks++
			continue
		case call == "POST /v1.0/users/"+p.ID+"/revokeSignInSessions":
			posted = true
		}
		others = append(others, call)
	}
	return others, readBacks
}

// In an incident each call is time, and quota that other revocations need.
func TestARevocationOfOnePersonIsTwoCallsAndItsReadBack(t *testing.T) {
	t.Parallel()
	d, b := desk(t)
	d.named()
	tests := []struct {
		name, address string
		who           entrasim.Person
		confirmed     bool // at once; whoever cut themselves off is read back at their next sign-in
	}{
		{"somebody", "/users/" + d.cast.Victim.ID + "/revoke", d.cast.Victim, true},
		{"oneself", "/me/revoke", d.cast.Helpdesk, false},
	}
	for _, tt := range tests { // in order: the last one ends the session
		t.Run(tt.name, func(t *testing.T) {
			b := b.as(t)
			from := len(d.Sim.Requests())
			p := b.send(http.MethodPost, tt.address, because("counted"), false).has(http.StatusSeeOther)
			if tt.confirmed {
				b.settles(p.header.Get("Location"), "confirmed")
			}
			others, readBacks := d.calls(from, tt.who)
			if len(others) > 2 {
				t.Errorf("calls besides read-backs: %q, want the reading of the account and the revocation", others)
			}
			if tt.confirmed && readBacks == 0 {
				t.Error("confirmed without a read-back")
			}
			if n := d.Sim.Revocations(tt.who.ID); n != 1 {
				t.Errorf("%d revocations, want 1", n)
			}
		})
	}
}
