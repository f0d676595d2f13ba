package graph_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/entrasim"
)

var logReader = entrasim.TokenOptions{Scopes: []string{"User.Read", "AuditLog.Read.All"}}

func TestEntrasOwnLogOfRevocationsIsRead(t *testing.T) {
	t.Parallel()
	sim, c := simulate(t, entrasim.Options{})
	cast := sim.Cast()
	helpdesk := minted{sim: sim, who: cast.Helpdesk.ID, o: entrasim.TokenOptions{Scopes: coreScopes}}
	if _, err := c.Revoke(t.Context(), helpdesk, cast.Victim.ID, ""); err != nil {
		t.Fatal(err)
	}
	if err := sim.SyncPassword(cast.Victim.ID); err != nil {
		t.Fatal(err)
	}
	var rows []audit.Witnessed
	read := func(from, to time.Time) {
		t.Helper()
		rows = nil
		err := c.Revocations(t.Context(), minted{sim: sim, who: cast.Auditor.ID, o: logReader}, from, to, func(page []audit.Witnessed) error {
			rows = append(rows, page...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	read(now.Add(-time.Hour), now.Add(time.Hour))
	if len(rows) != 2 {
		t.Fatalf("got %+v, want the revocation and the password change", rows)
	}
	sync, ours := rows[0], rows[1]
	if ours.ByOID != cast.Helpdesk.ID || ours.TargetOID != cast.Victim.ID || ours.TargetUPN != cast.Victim.UPN || ours.ByApp != "" ||
		ours.NewValue == "" || ours.ID == "" || ours.Correlation == "" || now.Sub(ours.At).Abs() > time.Minute {
		t.Errorf("got %+v", ours)
	}
	if !audit.FromSync(sync) || audit.FromSync(ours) || sync.Client != "DirectorySync" {
		t.Errorf("got %+v", sync)
	}
	read(now.Add(time.Hour), now.Add(2*time.Hour))
	if len(rows) != 0 {
		t.Errorf("later there is %+v", rows)
	}
}

func TestWhoMayNotReadTheLogIsToldByItsCode(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]entrasim.Options{
		"Authentication_RequestFromUnsupportedUserRole":         {},
		"Authentication_RequestFromNonPremiumTenantOrB2CTenant": {NoPremium: true},
	} {
		sim, c := simulate(t, o)
		err := c.Revocations(t.Context(), minted{sim: sim, who: sim.Cast().Helpdesk.ID, o: logReader}, time.Now(), time.Now(), nil)
		if call, ok := errors.AsType[*directory.CallError](err); !ok || call.Status != http.StatusForbidden || call.Code != want {
			t.Errorf("got %v, want 403 %s", err, want)
		}
	}
}

// TestTheLogIsPagedAndWaitedFor: links are followed as they are, a failed activity is no revocation, a long 429 is waited
// for, and a link that leads elsewhere gets no token.
func TestTheLogIsPagedAndWaitedFor(t *testing.T) {
	t.Parallel()
	const row = `{"id":"%d","result":"%s","activityDateTime":"2026-11-23T14:05:01.4637225Z","initiatedBy":{"app":{"displayName":"Playbook"},"user":null},"targetResources":[{"id":"T","modifiedProperties":null}]}`
	var s *server
	calls := 0
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		switch {
		case calls <= 2: // the transport asks again once by itself
			w.Header().Set("Retry-After", "0.01")
			w.WriteHeader(http.StatusTooManyRequests)
		case r.URL.Query().Get("$skiptoken") == "":
			answer(fmt.Sprintf(`{"@odata.nextLink":"%s/v1.0/auditLogs/directoryAudits?$skiptoken=2","value":[`+row+`,`+row+`]}`, s.URL, 1, "success", 2, "failure"))(w, r)
		default:
			answer(fmt.Sprintf(`{"@odata.nextLink":"https://graph.attacker.example/v1.0/x","value":[`+row+`]}`, 3, "success"))(w, r)
		}
	})
	var ids []string
	err := client(t, s).Revocations(t.Context(), tokens{}, time.Unix(0, 0), time.Unix(3600, 0), func(page []audit.Witnessed) error {
		for _, w := range page {
			ids = append(ids, w.ID+" "+w.ByApp+" "+w.TargetOID)
		}
		return nil
	})
	if call, ok := errors.AsType[*directory.CallError](err); !ok || call.Code != directory.CodeForeign {
		t.Errorf("got %v, want the foreign link refused", err)
	}
	if got := strings.Join(ids, ", "); got != "1 Playbook t, 3 Playbook t" {
		t.Errorf("got %s", got)
	}
	first, err := url.QueryUnescape(s.requests()[0].URL.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"$top=1000", "activityDisplayName eq 'Update StsRefreshTokenValidFrom Timestamp'", "activityDateTime ge 1970-01-01T00:00:00Z", "activityDateTime le 1970-01-01T01:00:00Z",
	} {
		if !strings.Contains(first, part) {
			t.Errorf("the query %s lacks %s", first, part)
		}
	}
}
