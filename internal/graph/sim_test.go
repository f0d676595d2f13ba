package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"evict/internal/directory"
	"evict/internal/entrasim"
	"evict/internal/graph"
	"evict/internal/operator"
)

// coreScopes are what the console asks for at sign-in of those who act; the rest comes by incremental consent.
var coreScopes = []string{"User.Read", "User.Read.All", "GroupMember.Read.All", "RoleManagement.Read.Directory", "User.RevokeSessions.All"}

// allScopes are what the whole user card needs.
var allScopes = append(slices.Clone(coreScopes), "AdministrativeUnit.Read.All", "Domain.Read.All", "AuditLog.Read.All")

func simulate(t *testing.T, o entrasim.Options) (*entrasim.Sim, *graph.Client) {
	t.Helper()
	if o.People == 0 {
		o.People = 120
	}
	sim, err := entrasim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Listen("127.0.0.1:0", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Errorf("closing the simulator: %v", err)
		}
	})
	c, err := graph.New(graph.Options{BaseURL: sim.GraphURL(), HTTP: sim.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	return sim, c
}

// minted is the TokenSource of one simulated person.
type minted struct {
	sim *entrasim.Sim
	who string
	o   entrasim.TokenOptions
}

func (m minted) Token(context.Context) (operator.Token, error) {
	s, err := m.sim.MintToken(m.who, m.o)
	return operator.NewToken(s, time.Now().Add(time.Hour)), err
}

func (m minted) Fresh(ctx context.Context) (operator.Token, error) { return m.Token(ctx) }

// fixed is a TokenSource that keeps one token.
type fixed struct{ token operator.Token }

func (f fixed) Token(context.Context) (operator.Token, error) { return f.token, nil }
func (f fixed) Fresh(context.Context) (operator.Token, error) { return f.token, nil }

func TestRevocationIsReadBack(t *testing.T) {
	t.Parallel()
	sim, c := simulate(t, entrasim.Options{ClockOffset: 90 * time.Second})
	cast := sim.Cast()
	as := minted{sim: sim, who: cast.Helpdesk.ID, o: entrasim.TokenOptions{Scopes: coreScopes}}
	before, _, err := c.SessionsFrom(t.Context(), as, cast.Victim.ID)
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Revoke(t.Context(), as, cast.Victim.ID, "0c0ffee0-0000-4000-8000-000000000009")
	if err != nil || a.Status != 200 || a.RequestID == "" || a.Date.IsZero() {
		t.Fatalf("got %+v, %v", a, err)
	}
	after, _, err := c.SessionsFrom(t.Context(), as, cast.Victim.ID)
	if err != nil || after.Elsewhere != directory.No || !after.From.After(before.From) || after.From.Sub(a.Date).Abs() > 5*time.Second {
		t.Errorf("got %v after %v, answered at %v, %v", after, before, a.Date, err)
	}
	if got, _ := c.Offset(); (got - 90*time.Second).Abs() > 600*time.Millisecond {
		t.Errorf("got offset %v, want 90s", got)
	}
	if _, err := c.RevokeSelf(t.Context(), as, ""); err != nil || sim.Revocations(cast.Helpdesk.ID) != 1 {
		t.Errorf("one's own sessions: %v, %d revocations", err, sim.Revocations(cast.Helpdesk.ID))
	}
	id, name, err := c.Organization(t.Context(), as)
	if err != nil || id != sim.TenantID() || name != sim.TenantName() {
		t.Errorf("organization: got %q %q, %v", id, name, err)
	}
}

func TestARevokedOperatorIsAskedToSignIn(t *testing.T) {
	t.Parallel()
	sim, c := simulate(t, entrasim.Options{})
	cast := sim.Cast()
	source := minted{sim: sim, who: cast.Helpdesk.ID, o: entrasim.TokenOptions{Scopes: coreScopes, CP1: true}}
	token, err := source.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.SetValidFrom(cast.Helpdesk.ID, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, _, err = c.User(t.Context(), fixed{token}, cast.Victim.ID)
	re, ok := errors.AsType[*operator.ReauthError](err)
	if !ok || !json.Valid([]byte(re.Claims)) {
		t.Errorf("got %v with claims %q, want a claims challenge", err, re.Claims)
	}
	_, _, err = c.User(t.Context(), fixed{operator.NewToken("not-a-token", time.Now().Add(time.Hour))}, cast.Victim.ID)
	if re, ok := errors.AsType[*operator.ReauthError](err); !ok || re.Claims != "" {
		t.Errorf("got %v, want a ReauthError without claims", err)
	}
}

func TestSimulatedFaultsBecomeCallErrors(t *testing.T) {
	t.Parallel()
	sim, _ := simulate(t, entrasim.Options{})
	c, err := graph.New(graph.Options{BaseURL: sim.GraphURL(), HTTP: sim.HTTPClient(), Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	victim := sim.Cast().Victim.ID
	as := minted{sim: sim, who: sim.Cast().Helpdesk.ID, o: entrasim.TokenOptions{Scopes: coreScopes}}
	tests := []struct {
		fault  entrasim.FaultKind
		status int
		took   bool // the revocation took effect
	}{
		{entrasim.Status429, 429, false}, {entrasim.Status500, 500, false}, {entrasim.Status503HTML, 503, false},
		{entrasim.Status504, 504, true}, {entrasim.Hang, 0, false}, {entrasim.DropConnection, 0, false},
		{entrasim.AnswerLost, 0, true}, {entrasim.Forbidden403, 403, false},
	}
	for _, tt := range tests {
		// A connection must be there, so that a time-out falls into the waiting for an answer.
		if _, _, err := c.SessionsFrom(t.Context(), as, victim); err != nil {
			t.Fatal(err)
		}
		was := sim.Revocations(victim)
		remove := sim.Inject(entrasim.Fault{Method: "POST", Kind: tt.fault, RetryAfter: 3 * time.Second})
		_, err := c.Revoke(t.Context(), as, victim, "")
		remove()
		call, ok := errors.AsType[*directory.CallError](err)
		if !ok || call.Status != tt.status || !call.Sent {
			t.Errorf("%s: got %v, want status %d and sent", tt.fault, err, tt.status)
		}
		if tt.fault == entrasim.Status429 && call.RetryAfter != 3*time.Second {
			t.Errorf("got Retry-After %v", call.RetryAfter)
		}
		if got := sim.Revocations(victim) > was; got != tt.took {
			t.Errorf("%s: took effect %v, want %v", tt.fault, got, tt.took)
		}
	}
}

func TestSearchAndPagesOnTheSimulator(t *testing.T) {
	t.Parallel()
	sim, c := simulate(t, entrasim.Options{})
	cast := sim.Cast()
	as := minted{sim: sim, who: cast.Lead.ID, o: entrasim.TokenOptions{Scopes: coreScopes}}
	s := directory.NewService(directory.Options{Graph: c})
	has := func(f directory.Found, id string) bool {
		return slices.ContainsFunc(f.Users, func(u directory.User) bool { return u.ID == id })
	}
	for _, text := range []string{cast.Victim.Name, strings.Fields(cast.Victim.Name)[1], cast.Victim.UPN, cast.Victim.ID, strings.ToUpper(cast.Victim.ID)} {
		found, err := s.Search(t.Context(), as, text)
		if err != nil || !has(found, cast.Victim.ID) || len(found.Unread) != 0 {
			t.Errorf("%q: got %d users, unread %v, %v", text, len(found.Users), found.Unread, err)
		}
	}
	added := sim.AddUser("Zoë", `O"Neill\`, "Sales")
	if found, err := s.Search(t.Context(), as, added.Name); err != nil || !has(found, added.ID) {
		t.Errorf("%q: got %+v, %v", added.Name, found, err)
	}
	found, err := s.Search(t.Context(), as, "helpdesk administrator")
	if err != nil || len(found.Roles) != 1 {
		t.Fatalf("got %+v, %v", found.Roles, err)
	}
	role, err := s.Role(t.Context(), as, found.Roles[0].TemplateID)
	if err != nil || !slices.ContainsFunc(role.Holders, func(h directory.Holder) bool { return h.ID == cast.Helpdesk.ID && h.Kind == "user" }) {
		t.Errorf("got %+v, %v", role, err)
	}
}

// TestPredictionsHold lets everybody of the cast act on everybody else, and compares what was foretold with what the
// simulated Graph does. It decides by its own reading of Microsoft's table, so that both check each other.
func TestPredictionsHold(t *testing.T) {
	t.Parallel()
	sim, c := simulate(t, entrasim.Options{Quota: entrasim.Quota{Disabled: true}})
	s := directory.NewService(directory.Options{Graph: c})
	cast := sim.Cast()
	operators := []entrasim.Person{
		cast.Helpdesk, cast.Lead, cast.Admin, cast.Nobody, cast.GlobalAdmin, cast.UserAdmin, cast.PasswordAdmin, cast.AuthAdmin,
		cast.SecurityOperator, cast.ExchangeAdmin, cast.EligibleAdmin, cast.GroupAdmin, cast.UnitHelpdesk, cast.RestrictedAdmin,
	}
	targets := append(slices.Clone(operators), cast.Victim, cast.Disabled, cast.Synced, cast.AgentUser, cast.BranchMember,
		cast.RestrictedMember, cast.BreakGlass[0], cast.EligibleThroughGroup, cast.RoleGroupMember, cast.RoleGroupOwner, cast.Auditor, cast.ExternalGuest)
	reader := minted{sim: sim, who: cast.GlobalAdmin.ID, o: entrasim.TokenOptions{Scopes: allScopes}}
	standings := map[string]directory.Standing{}
	people := map[string]directory.User{}
	for _, p := range targets {
		var err error
		if standings[p.ID], err = s.Standing(t.Context(), reader, p.ID); err != nil {
			t.Fatalf("standing of %s: %v", p.Name, err)
		}
		if len(standings[p.ID].Unread) != 0 {
			t.Errorf("unread of %s: %+v", p.Name, standings[p.ID].Unread)
		}
		if people[p.ID], _, err = c.User(t.Context(), reader, p.ID); err != nil {
			t.Fatal(err)
		}
	}
	told := map[directory.Verdict]int{}
	for _, op := range operators {
		as := minted{sim: sim, who: op.ID}
		for _, target := range targets {
			if op.ID == target.ID {
				continue
			}
			got := directory.Predict(standings[op.ID], people[target.ID], standings[target.ID], false)
			told[got.Verdict]++
			_, err := c.Revoke(t.Context(), as, target.ID, "")
			call, refused := errors.AsType[*directory.CallError](err)
			switch {
			case err != nil && (!refused || call.Status != 403):
				t.Fatalf("%s on %s: %v", op.Name, target.Name, err)
			case got.Verdict == directory.Allowed && refused, got.Verdict == directory.Refused && !refused, got.Verdict == directory.UnknownVerdict:
				t.Errorf("%s (%s) on %s (%s): foretold %v (%s), got %v", op.Name, op.Note, target.Name, target.Note, got.Verdict, got.Because, err)
			}
		}
	}
	if told[directory.Allowed] < 50 || told[directory.Refused] < 50 || told[directory.MayBeRefused] == 0 {
		t.Errorf("the cast tries too little: %v", maps.Collect(maps.All(told)))
	}
}

func TestCardOnTheSimulator(t *testing.T) {
	t.Parallel()
	sim, c := simulate(t, entrasim.Options{})
	s := directory.NewService(directory.Options{Graph: c})
	cast := sim.Cast()
	tests := []struct {
		name    string
		op, on  entrasim.Person
		scopes  []string
		verdict directory.Verdict
		unread  string // what cannot be read, in order
	}{
		{"helpdesk sees little of PIM, domains and sign-ins", cast.Helpdesk, cast.Victim, coreScopes, directory.Allowed, "PIM-eligible roles, domain federation, last sign-in"},
		{"lead with every scope", cast.Lead, cast.Victim, allScopes, directory.Allowed, ""},
		{"helpdesk on an administrator", cast.Helpdesk, cast.GlobalAdmin, allScopes, directory.Refused, "PIM-eligible roles"},
		{"lead on a member of a role-assignable group", cast.Lead, cast.RoleGroupMember, allScopes, directory.Refused, ""},
		{"lead on an owner of a role-assignable group", cast.Lead, cast.RoleGroupOwner, allScopes, directory.Refused, ""},
		{"lead on the restricted unit", cast.Lead, cast.RestrictedMember, allScopes, directory.Refused, ""},
		{"unit helpdesk in the unit", cast.UnitHelpdesk, cast.BranchMember, coreScopes, directory.Allowed, "PIM-eligible roles, domain federation, last sign-in"},
		{"unit helpdesk outside of it", cast.UnitHelpdesk, cast.Disabled, coreScopes, directory.Refused, "PIM-eligible roles, domain federation, last sign-in"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			as := minted{sim: sim, who: tt.op.ID, o: entrasim.TokenOptions{Scopes: tt.scopes}}
			card, err := s.Card(t.Context(), as, operator.Operator{OID: tt.op.ID, TID: sim.TenantID()}, tt.on.ID)
			if err != nil {
				t.Fatal(err)
			}
			if card.Prediction.Verdict != tt.verdict {
				t.Errorf("got %+v, want %v", card.Prediction, tt.verdict)
			}
			var unread []string
			for _, u := range card.Unread {
				unread = append(unread, u.What)
			}
			if got := strings.Join(unread, ", "); got != tt.unread {
				t.Errorf("unread: got %q, want %q (%+v)", got, tt.unread, card.Unread)
			}
		})
	}
	as := minted{sim: sim, who: cast.Lead.ID, o: entrasim.TokenOptions{Scopes: allScopes}}
	op := operator.Operator{OID: cast.Lead.ID}
	if card, err := s.Card(t.Context(), as, op, cast.ExternalMember.ID); err != nil || card.External() == "" {
		t.Errorf("external member: got %q, %v", card.External(), err)
	}
	if card, err := s.Card(t.Context(), as, op, cast.InternalGuest.ID); err != nil || card.External() != "" {
		t.Errorf("internal guest: got %q, %v", card.External(), err)
	}
	if card, err := s.Card(t.Context(), as, op, cast.Federated.ID); err != nil || card.Federated != directory.Yes {
		t.Errorf("federated domain: got %v, %v", card.Federated, err)
	}
	if card, err := s.Card(t.Context(), as, op, cast.EligibleThroughGroup.ID); err != nil || card.Privileged != directory.Yes || card.Powers[0].Through == "" {
		t.Errorf("eligible through a group: got %v %+v, %v", card.Privileged, card.Powers, err)
	}
	if card, err := s.Card(t.Context(), as, op, cast.AgentUser.ID); err != nil || card.User.Agent != directory.Yes {
		t.Errorf("agent user: got %v, %v", card.User.Agent, err)
	}
	me, err := s.Me(t.Context(), as, op)
	if err != nil || len(me.Allows) == 0 || len(me.Unread) != 0 {
		t.Errorf("me: got %+v, %v", me, err)
	}
}

func TestATenantWithoutPIM(t *testing.T) {
	t.Parallel()
	sim, c := simulate(t, entrasim.Options{NoPremium: true})
	cast := sim.Cast()
	as := minted{sim: sim, who: cast.Lead.ID, o: entrasim.TokenOptions{Scopes: allScopes}}
	got, err := directory.NewService(directory.Options{Graph: c}).Standing(t.Context(), as, cast.Victim.ID)
	if err != nil || len(got.Unread) != 1 || !strings.Contains(got.Unread[0].Why, "licence") {
		t.Errorf("got %+v, %v", got.Unread, err)
	}
}
