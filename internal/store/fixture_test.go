package store_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // to look at a database past the store

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/revoke"
	"evict/internal/store"
)

const (
	cloud  = "simulator"
	tenant = "72f988bf-0000-4000-8000-000000000001"
	anna   = "aaaaaaaa-0000-4000-8000-000000000001" // an operator
	bernd  = "bbbbbbbb-0000-4000-8000-000000000002" // a target
	carla  = "cccccccc-0000-4000-8000-000000000003"
)

var noon = time.Date(2026, 11, 5, 12, 0, 0, 123e6, time.UTC)

// id is a UUIDv7-shaped text that sorts by n.
func id(n int) string { return fmt.Sprintf("019a0000-0000-7000-8000-%012d", n) }

func event(kind audit.Kind, n int) audit.Event {
	return audit.Event{
		ID: id(n), Time: audit.FormatTime(noon.Add(time.Duration(n) * time.Second)), Kind: kind, Cloud: cloud, Tenant: tenant,
		Operator: &audit.Person{OID: anna, TID: tenant, UPN: "anna@contoso.example", Name: "Anna Ö. Admin"},
	}
}

func runEvent(kind audit.Kind, n int, run revoke.RunID) audit.Event {
	e := event(kind, n)
	e.Run = string(run)
	return e
}

func operatorOf(oid string) revoke.Person {
	return revoke.Person{OID: oid, TID: tenant, UPN: oid[:4] + "@contoso.example", Name: "Operator " + oid[:4]}
}

// launchOf is a run of one operator on some targets, with every field set that a store could lose. All but the first
// target wait. n makes its ids.
func launchOf(n int, operator string, targets ...string) revoke.Launch {
	plan := revoke.Plan{
		ID: revoke.PlanID(id(n)), Cloud: cloud, Tenant: tenant, Creator: operatorOf(operator),
		Scope: revoke.Scope{Users: targets}, Options: revoke.PlanOptions{IncludeExternal: true},
		Excluded: []string{carla}, Acknowledged: []string{}, Incomplete: []string{"PIM-eligible"},
		Reason: "phished", Ticket: "INC-7", CreatedAt: noon, ExpiresAt: noon.Add(revoke.PlanLife),
	}
	for i, oid := range targets {
		plan.Targets = append(plan.Targets, revoke.Target{
			Pos: i, OID: oid, UPN: oid[:4] + "@contoso.example", Name: "Target " + oid[:4],
			Reasons: []string{"chosen by the operator", "group X"}, Flags: []revoke.Flag{revoke.FlagSynced, "disabled?"},
			Before: noon.Add(-time.Hour),
		})
	}
	plan = plan.Freeze()
	run := revoke.Run{
		ID: revoke.RunID(id(n + 1)), Plan: plan.ID, Digest: plan.Digest, Cloud: cloud, Tenant: tenant, State: revoke.RunRunning,
		Operator: plan.Creator, Address: "192.0.2.7", Roles: []string{"Evict.Responder"}, Reason: plan.Reason,
		Ticket: plan.Ticket, Self: operator == targets[0], Total: len(targets), CreatedAt: noon, DueAt: noon,
	}
	started := runEvent(audit.RunStarted, n, run.ID)
	started.Operator.OID, started.Operator.UPN = operator, run.Operator.UPN
	return revoke.Launch{
		Plan: plan, Run: run, Token: []byte("sealed\x00token"), TokenExpires: noon.Add(8 * time.Hour),
		Targets: []revoke.RunTarget{{
			Target: plan.Targets[0], Run: run.ID, State: revoke.Attempting, Attempt: 1, T0: noon, StartedAt: noon, DueAt: noon,
			ClientRequestID: id(n + 2), UpdatedAt: noon,
		}},
		Owner: "one", Now: noon, Lease: 5 * time.Second, Events: []audit.Event{started},
	}
}

func launch(t *testing.T, db *store.DB, l revoke.Launch) revoke.Fence {
	t.Helper()
	f, err := db.Revoke().Launch(t.Context(), l)
	if err != nil {
		t.Fatalf("launching: %v", err)
	}
	return f
}

// accept is the step that records a target's 2xx answer.
func accept(l revoke.Launch) revoke.Step {
	was := l.Targets[0]
	now := was
	now.State, now.Status, now.Answered = revoke.Accepted, 200, noon.Add(time.Second)
	return revoke.Step{
		Now: noon.Add(time.Second), Lease: 5 * time.Second,
		Changes: []revoke.Change{{WasState: was.State, WasAttempt: was.Attempt, Target: now}},
		Events:  []audit.Event{runEvent(audit.TargetAccepted, 50, l.Run.ID)},
	}
}

func session(n byte, oid string) auth.SessionRow {
	return auth.SessionRow{
		IDHash: []byte{n, 0, 255}, OID: oid, TID: tenant, Sealed: []byte{1, 0, 2}, Cache: []byte{3, 0, 4},
		IssuedAt: noon.Add(-time.Hour), CreatedAt: noon, LastSeen: noon, ExpiresAt: noon.Add(8 * time.Hour),
	}
}

// cuts are revocations of these people at noon.
func cuts(oids ...string) []revoke.Cut {
	var out []revoke.Cut
	for _, oid := range oids {
		out = append(out, revoke.Cut{OID: oid, At: noon})
	}
	return out
}

// past opens the test's database past the store.
func past(t *testing.T, o store.Options) *sql.DB {
	t.Helper()
	driver, source := "pgx", o.DatabaseURL
	if source == "" {
		driver, source = "sqlite", filepath.Join(o.DataDir, "evict.db")
	} else {
		source = strings.Replace(source, "pool_max_conns=8&", "", 1) // the pool's, not the server's
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// optionsOf opens the database once and returns it together with where it is.
func optionsOf(t *testing.T, open func(...func(*store.Options)) *store.DB) (*store.DB, store.Options) {
	t.Helper()
	var o store.Options
	db := open(func(got *store.Options) { o = *got })
	return db, o
}

func newest(t *testing.T, db *store.DB) int64 {
	t.Helper()
	seq, err := db.Ledger().Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func recordAt(t *testing.T, db *store.DB, seq int64) audit.Record {
	t.Helper()
	r, err := db.Ledger().Event(t.Context(), seq)
	if err != nil {
		t.Fatalf("reading event %d: %v", seq, err)
	}
	return r
}
