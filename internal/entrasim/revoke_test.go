package entrasim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"evict/internal/entrasim"
)

const revokePath = "/revokeSignInSessions"

// revokeAs posts a revocation as operator.
func revokeAs(t *testing.T, s *entrasim.Sim, operator, target entrasim.Person) answer {
	t.Helper()
	return graph(t, s, mint(t, s, operator, "User.RevokeSessions.All", "User.Read.All"), "POST", "/users/"+target.ID+revokePath, "")
}

func TestRevocationStampsWholeSecondsOnGraphsClock(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 700_000_000, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now, ClockOffset: -90 * time.Second})
	cast := s.Cast()
	got := revokeAs(t, s, cast.Helpdesk, cast.Victim)
	if got.Status != http.StatusOK || got.Raw != `{"@odata.context":"`+s.GraphURL()+`/$metadata#Edm.Boolean","value":true}` {
		t.Fatalf("answer %d %s", got.Status, got.Raw)
	}
	want := time.Date(2026, 11, 20, 8, 58, 30, 0, time.UTC)
	if p, _ := s.User(cast.Victim.ID); !p.ValidFrom.Equal(want) {
		t.Errorf("valid from = %v, want %v", p.ValidFrom, want)
	}
	if got.Header.Get("Date") != want.Format(http.TimeFormat) {
		t.Errorf("Date = %q, want Graph's clock", got.Header.Get("Date"))
	}
	read := graph(t, s, mint(t, s, cast.Helpdesk, "User.Read.All"), "GET", "/users/"+cast.Victim.ID+"?$select=id,signInSessionsValidFromDateTime", "")
	if got := read.JSON["signInSessionsValidFromDateTime"]; got != "2026-11-20T08:58:30Z" {
		t.Errorf("read back %v", got)
	}
	if got := s.Revocations(cast.Victim.ID); got != 1 {
		t.Errorf("revocations = %d, want 1", got)
	}
}

func TestExternalAccountsAnswerTrueAndStayUnchanged(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	cast := s.Cast()
	tests := []struct {
		name    string
		target  entrasim.Person
		changed bool
	}{
		{"external guest", cast.ExternalGuest, false},
		{"external member", cast.ExternalMember, false},
		{"internal guest", cast.InternalGuest, true},
		{"converted member", cast.ConvertedMember, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := signIn(t, s, browser(t, s), tt.target.ID)
			if got := revokeAs(t, s, cast.Lead, tt.target); got.Status != http.StatusOK || got.JSON["value"] != true {
				t.Fatalf("answer %d %s", got.Status, got.Raw)
			}
			after, _ := s.User(tt.target.ID)
			if got := !after.ValidFrom.Equal(tt.target.ValidFrom); got != tt.changed {
				t.Errorf("stamp changed = %v, want %v", got, tt.changed)
			}
			if got := token(t, s, refreshForm(k.RefreshToken)).code() == 50173; got != tt.changed {
				t.Errorf("refresh refused = %v, want %v", got, tt.changed)
			}
		})
	}
}

func TestRoleRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	tests := []struct {
		name             string
		operator, target entrasim.Person
		want             int
	}{
		{"helpdesk, plain member", c.Helpdesk, c.Victim, 200},
		{"helpdesk, disabled member", c.Helpdesk, c.Disabled, 200},
		{"helpdesk, Reports Reader and Global Reader", c.Helpdesk, c.Auditor, 403},
		{"helpdesk, User Administrator", c.Helpdesk, c.UserAdmin, 403},
		{"helpdesk, Global Administrator", c.Helpdesk, c.GlobalAdmin, 403},
		{"helpdesk, Authentication Administrator", c.Helpdesk, c.AuthAdmin, 403},
		{"helpdesk, Password Administrator", c.Helpdesk, c.PasswordAdmin, 200},
		{"User Administrator, helpdesk", c.UserAdmin, c.Helpdesk, 200},
		{"User Administrator, itself a kind", c.UserAdmin, c.UserAdmin, 200},
		{"User Administrator, Exchange Administrator", c.UserAdmin, c.ExchangeAdmin, 403},
		{"lead, User Administrator and Security Reader", c.UserAdmin, c.Lead, 403},
		{"privileged authentication, Global Administrator", c.Admin, c.GlobalAdmin, 200},
		{"privileged authentication, break-glass", c.Admin, c.BreakGlass[0], 200},
		{"Global Administrator, other", c.GlobalAdmin, c.Admin, 200},
		{"Security Operator, plain member", c.SecurityOperator, c.Victim, 200},
		{"Security Operator, helpdesk", c.SecurityOperator, c.Helpdesk, 403},
		{"Authentication Administrator, plain member", c.AuthAdmin, c.Victim, 200},
		{"Password Administrator lacks the action", c.PasswordAdmin, c.Victim, 403},
		{"Exchange Administrator", c.ExchangeAdmin, c.Victim, 403},
		{"no role", c.Nobody, c.Victim, 403},
		{"eligible, not active", c.EligibleAdmin, c.Victim, 403},
		{"helpdesk, eligible Global Administrator", c.Helpdesk, c.EligibleAdmin, 200},
		{"helpdesk, role through a group", c.Helpdesk, c.GroupAdmin, 403},
		{"User Administrator, member of a role-assignable group", c.UserAdmin, c.RoleGroupMember, 403},
		{"User Administrator, owner of a role-assignable group", c.UserAdmin, c.RoleGroupOwner, 403},
		{"privileged authentication, owner of a role-assignable group", c.Admin, c.RoleGroupOwner, 200},
		{"Global Administrator, restricted unit", c.GlobalAdmin, c.RestrictedMember, 403},
		{"privileged authentication, restricted unit", c.Admin, c.RestrictedMember, 403},
		{"administrator of the restricted unit", c.RestrictedAdmin, c.RestrictedMember, 200},
		{"administrator of the restricted unit, outside", c.RestrictedAdmin, c.Victim, 403},
		{"User Administrator, who holds a role in a restricted unit", c.UserAdmin, c.RestrictedAdmin, 403},
		{"branch helpdesk, own branch", c.UnitHelpdesk, c.BranchMember, 200},
		{"branch helpdesk, elsewhere", c.UnitHelpdesk, c.Victim, 403},
		{"User Administrator, agent user", c.UserAdmin, c.AgentUser, 403},
		{"Global Administrator, agent user", c.GlobalAdmin, c.AgentUser, 200},
		{"oneself without a role", c.Nobody, c.Nobody, 200},
	}
	for _, tt := range tests {
		got := revokeAs(t, s, tt.operator, tt.target)
		if got.Status != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got.Status, tt.want)
		}
		if tt.want == http.StatusForbidden && got.errorCode() != "Authorization_RequestDenied" {
			t.Errorf("%s: code %q", tt.name, got.errorCode())
		}
	}
}

func TestRolesAreReadLive(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now, PasswordAdministratorRevokes: true})
	c := s.Cast()
	bearer := mint(t, s, c.Nobody, "User.RevokeSessions.All")
	status := func() int { return graph(t, s, bearer, "POST", "/users/"+c.Victim.ID+revokePath, "").Status }
	check := func(what string, want int) {
		t.Helper()
		if got := status(); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	check("before", 403)
	must(t, s.AssignRole(c.Nobody.ID, entrasim.RolePasswordAdministrator))
	check("with a role given after the token", 200)
	must(t, s.RemoveRole(c.Nobody.ID, entrasim.RolePasswordAdministrator))
	check("role taken away", 403)
	must(t, s.ActivateRole(c.Nobody.ID, entrasim.RoleUserAdministrator, at.Now().Add(10*time.Minute)))
	check("activated", 200)
	at.Advance(11 * time.Minute)
	check("activation over", 403)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadBackLagShowsTheOldStampFirst(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now, ReadBackLag: 20 * time.Second})
	c := s.Cast()
	bearer := mint(t, s, c.Helpdesk, "User.Read.All")
	read := func() any {
		return graph(t, s, bearer, "GET", "/users/"+c.Victim.ID+"?$select=signInSessionsValidFromDateTime", "").JSON["signInSessionsValidFromDateTime"]
	}
	before := read()
	revokeAs(t, s, c.Helpdesk, c.Victim)
	at.Advance(19 * time.Second)
	if got := read(); got != before {
		t.Errorf("after 19 s: %v, want still %v", got, before)
	}
	at.Advance(time.Second)
	if got := read(); got != "2026-11-20T09:00:00Z" {
		t.Errorf("after 20 s: %v", got)
	}
}

func TestTokensWithoutCP1WorkUntilTheyExpire(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now, CAEDelay: 2 * time.Minute})
	c := s.Cast()
	plain := mint(t, s, c.Lead, "User.Read")
	cae, err := s.MintToken(c.Lead.UPN, entrasim.TokenOptions{Scopes: []string{"User.Read"}, CP1: true})
	must(t, err)
	must(t, s.Revoke(c.Lead.ID))
	status := func(bearer string) int { return graph(t, s, bearer, "GET", "/me", "").Status }
	if got := status(cae); got != 200 {
		t.Errorf("cp1 token before the delay is over = %d, want 200", got)
	}
	at.Advance(2 * time.Minute)
	if got := status(cae); got != 401 {
		t.Errorf("cp1 token after the delay = %d, want 401", got)
	}
	if got := status(plain); got != 200 {
		t.Errorf("plain token after a revocation = %d, want 200", got)
	}
	at.Advance(2 * time.Hour)
	if got := graph(t, s, plain, "GET", "/me", ""); got.Status != 401 || strings.Contains(got.Header.Get("WWW-Authenticate"), "claims") {
		t.Errorf("expired token = %d %q, want a plain 401", got.Status, got.Header.Get("WWW-Authenticate"))
	}
}

func TestSelfRevocationNeedsNoRoleAndChallengesTheReadBack(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	bearer, err := s.MintToken(s.Cast().Nobody.ID, entrasim.TokenOptions{Scopes: []string{"User.RevokeSessions.All"}, CP1: true})
	must(t, err)
	if got := graph(t, s, bearer, "POST", "/me"+revokePath, ""); got.Status != 200 {
		t.Fatalf("POST /me%s = %d %s", revokePath, got.Status, got.Raw)
	}
	if got := graph(t, s, bearer, "GET", "/me", ""); got.Status != 401 {
		t.Errorf("the next call = %d, want a challenge", got.Status)
	}
}

func TestApplicationsRevokePlainPeopleOnly(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	bearer, err := s.MintToken("", entrasim.TokenOptions{App: true, Scopes: []string{"User.RevokeSessions.All"}})
	must(t, err)
	for target, want := range map[string]int{c.Victim.ID: 200, c.GlobalAdmin.ID: 403} {
		if got := graph(t, s, bearer, "POST", "/users/"+target+revokePath, ""); got.Status != want {
			t.Errorf("revoking %s as an application = %d, want %d", target, got.Status, want)
		}
	}
}

func TestForwardDatedStampRefusesNewSignInsToo(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	victim := s.Cast().Victim
	must(t, s.SetValidFrom(victim.ID, time.Now().Add(240*time.Hour)))
	back := pick(t, browser(t, s), authorizeURL(s, nil), victim.ID)
	if got := token(t, s, codeForm(back.Query().Get("code"))).code(); got != 50173 {
		t.Errorf("a fresh sign-in = %d, want 50173", got)
	}
}

func TestRevocationIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	revokeAs(t, s, c.Helpdesk, c.Victim)
	bearer := mint(t, s, c.Auditor, "AuditLog.Read.All")
	got := graph(t, s, bearer, "GET", "/auditLogs/directoryAudits?$filter=activityDisplayName eq 'Update StsRefreshTokenValidFrom Timestamp' and targetResources/any(t:t/id eq '"+c.Victim.ID+"') and initiatedBy/user/id eq '"+c.Helpdesk.ID+"'", "")
	rows := got.values()
	if len(rows) != 1 || rows[0]["category"] != "UserManagement" || rows[0]["loggedByService"] != "Core Directory" {
		t.Fatalf("audit rows: %d %s", got.Status, got.Raw)
	}
	if !strings.Contains(got.Raw, "StsRefreshTokensValidFrom") {
		t.Error("the row does not name the modified property")
	}
	if denied := graph(t, s, mint(t, s, c.Helpdesk, "AuditLog.Read.All"), "GET", "/auditLogs/directoryAudits", ""); denied.Status != 403 {
		t.Errorf("a helpdesk administrator reads the log: %d, want 403", denied.Status)
	}
}
