package entrasim_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"evict/internal/entrasim"
)

// revocations reads the rows of the audit log about the account, the newest first.
func revocations(t *testing.T, s *entrasim.Sim, p entrasim.Person) []map[string]any {
	t.Helper()
	bearer := mint(t, s, s.Cast().Auditor, "AuditLog.Read.All")
	filter := url.QueryEscape("activityDisplayName eq 'Update StsRefreshTokenValidFrom Timestamp' and targetResources/any(t:t/id eq '" + p.ID + "')")
	got := graph(t, s, bearer, "GET", "/auditLogs/directoryAudits?$filter="+filter, "")
	if got.Status != 200 {
		t.Fatalf("reading the log: %d %s", got.Status, got.Raw)
	}
	return got.values()
}

// initiator is the sign-in name of who did it.
func initiator(t *testing.T, row map[string]any) string {
	t.Helper()
	by, _ := row["initiatedBy"].(map[string]any)
	user, _ := by["user"].(map[string]any)
	upn, _ := user["userPrincipalName"].(string)
	return upn
}

func TestARowComesToTheAuditLogWithItsDelay(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := start(t, entrasim.Options{AuditLag: 3 * time.Minute, Now: func() time.Time { return now }})
	c := s.Cast()
	revokeAs(t, s, c.Helpdesk, c.Victim)
	if rows := revocations(t, s, c.Victim); len(rows) != 0 {
		t.Errorf("the row is there at once: %v", rows)
	}
	s.SetClockOffset(3 * time.Minute)
	if rows := revocations(t, s, c.Victim); len(rows) != 1 || initiator(t, rows[0]) != c.Helpdesk.UPN {
		t.Errorf("after three minutes: %v", rows)
	}
	s.SetAuditLag(0)
	must(t, s.Revoke(c.Victim.ID))
	if rows := revocations(t, s, c.Victim); len(rows) != 2 || initiator(t, rows[0]) != c.GlobalAdmin.UPN {
		t.Errorf("without a delay: %v", rows)
	}
}

func TestTheAuditLogSaysWhoCausedARevocation(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{Quota: entrasim.Quota{Disabled: true}})
	c := s.Cast()
	tests := []struct {
		name     string
		do       func(string) error
		by, says string
	}{
		{"in the admin center", s.Revoke, c.GlobalAdmin.UPN, "StsRefreshTokensValidFrom"},
		{"their own password", s.ChangePassword, c.Victim.UPN, `"modifiedProperties":[]`},
		{"a password on premises", s.SyncPassword, c.SyncAccount.UPN, "DirectorySync"},
	}
	for i, tt := range tests {
		before, _ := s.User(c.Victim.ID)
		must(t, tt.do(c.Victim.ID))
		rows := revocations(t, s, c.Victim)
		if len(rows) != i+1 || initiator(t, rows[0]) != tt.by {
			t.Errorf("%s: %d rows, the newest by %s, want %d by %s", tt.name, len(rows), initiator(t, rows[0]), i+1, tt.by)
		}
		all := graph(t, s, mint(t, s, c.Auditor, "AuditLog.Read.All"), "GET", "/auditLogs/directoryAudits?$top=1", "").Raw
		if !strings.Contains(all, tt.says) {
			t.Errorf("%s: the row lacks %s: %s", tt.name, tt.says, all)
		}
		if after, _ := s.User(c.Victim.ID); after.ValidFrom.Before(before.ValidFrom) {
			t.Errorf("%s: the stamp went back", tt.name)
		}
	}
	if !strings.HasPrefix(c.SyncAccount.UPN, "Sync_") {
		t.Errorf("the account of the synchronisation service is called %s", c.SyncAccount.UPN)
	}
	for name, err := range map[string]error{"a stranger revokes": s.RevokeAs("nobody", c.Victim.ID), "nobody is revoked": s.RevokeAs(c.UserAdmin.ID, "nobody")} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestATenantHasAHistory(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	for _, who := range []struct {
		target entrasim.Person
		by     string
	}{{c.Synced, c.SyncAccount.UPN}, {c.Federated, c.SyncAccount.UPN}, {c.BranchMember, c.GlobalAdmin.UPN}, {c.ExchangeAdmin, c.ExchangeAdmin.UPN}} {
		rows := revocations(t, s, who.target)
		if len(rows) != 1 || initiator(t, rows[0]) != who.by {
			t.Errorf("%s: %v, want one row by %s", who.target.UPN, rows, who.by)
			continue
		}
		at, err := time.Parse(time.RFC3339, rows[0]["activityDateTime"].(string))
		if err != nil || at.Sub(who.target.ValidFrom).Abs() > time.Second || time.Since(at) > 7*24*time.Hour {
			t.Errorf("%s: the row is of %v, the stamp of %v (%v)", who.target.UPN, at, who.target.ValidFrom, err)
		}
	}
}

func TestEachLogHasReadersOfItsOwn(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{Quota: entrasim.Quota{Disabled: true}})
	c := s.Cast()
	for _, tt := range []struct {
		who             entrasim.Person
		audits, signIns int
	}{
		{c.Auditor, 200, 200}, // Reports Reader
		{c.Lead, 200, 200},    // Security Reader
		{c.GlobalAdmin, 200, 200},
		{c.SecurityOperator, 403, 200},
		{c.Helpdesk, 403, 403},
	} {
		bearer := mint(t, s, tt.who, "AuditLog.Read.All")
		for path, want := range map[string]int{"/auditLogs/directoryAudits": tt.audits, "/auditLogs/signIns": tt.signIns} {
			if got := graph(t, s, bearer, "GET", path+"?$top=1", ""); got.Status != want {
				t.Errorf("%s (%v) reads %s: got %d, want %d", tt.who.Name, tt.who.DirectoryRoles, path, got.Status, want)
			}
		}
	}
}
