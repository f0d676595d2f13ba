package store_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // to look at a database past the store

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/directory"
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

// launchOf is a run of one operator on some targets that its plan brings along, with every field set that a store could
// lose. All but the first target wait. n makes its ids.
func launchOf(n int, operator string, targets ...string) revoke.Launch {
	plan := revoke.Plan{
		ID: revoke.PlanID(id(n)), Cloud: cloud, Tenant: tenant, Creator: operatorOf(operator),
		Scope: directory.Scope{
			Include: []directory.Source{{Kind: directory.ListSource, Lines: targets}},
			Exclude: []directory.Source{{Kind: directory.UserSource, ID: carla, Name: "Carla \"C\" <c@contoso.example>"}},
		},
		Options:   revoke.PlanOptions{IncludeExternal: true, Without: []revoke.Flag{revoke.FlagAgent}},
		Checklist: []revoke.Check{{Key: "reset", Text: "Reset the password first?", Answer: "no"}}, Incomplete: []string{"PIM-eligible"},
		Reason: "phished", Ticket: "INC-7", CreatedAt: noon, ExpiresAt: noon.Add(revoke.PlanLife),
	}
	for i, oid := range targets {
		plan.Targets = append(plan.Targets, revoke.Target{
			Pos: i, OID: oid, UPN: oid[:4] + "@contoso.example", Name: "Target " + oid[:4],
			Reasons: []string{"chosen by the operator", "group X"}, Flags: []revoke.Flag{revoke.FlagSynced, "disabled?"},
			Verdict: "may be refused", Because: "their role is not covered", Before: noon.Add(-time.Hour),
		})
	}
	plan = plan.Freeze()
	run := runOf(n, plan)
	run.Self = operator == targets[0]
	return revoke.Launch{
		Plan: plan, Run: run, Token: []byte("sealed\x00token"), TokenExpires: noon.Add(8 * time.Hour),
		Targets: []revoke.RunTarget{{
			Target: plan.Targets[0], Run: run.ID, State: revoke.Attempting, Attempt: 1, T0: noon, StartedAt: noon, DueAt: noon,
			ClientRequestID: id(n + 2), UpdatedAt: noon,
		}},
		Owner: "one", Now: noon, Lease: lease, Events: []audit.Event{started(n, run)},
	}
}

func runOf(n int, plan revoke.Plan) revoke.Run {
	return revoke.Run{
		ID: revoke.RunID(id(n + 1)), Plan: plan.ID, Digest: plan.Digest, Cloud: cloud, Tenant: tenant, State: revoke.RunRunning,
		Operator: plan.Creator, Address: "192.0.2.7", Roles: []string{"Evict.Responder"}, Reason: plan.Reason,
		Ticket: plan.Ticket, Total: plan.Total, CreatedAt: noon, DueAt: noon, Preview: plan.Preview, Parent: "an earlier run",
	}
}

func started(n int, run revoke.Run) audit.Event {
	e := runEvent(audit.RunStarted, n, run.ID)
	e.Operator.OID, e.Operator.UPN = run.Operator.OID, run.Operator.UPN
	return e
}

func launch(t testing.TB, db *store.DB, l revoke.Launch) revoke.Fence {
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
		Now: noon.Add(time.Second), Lease: lease,
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

// long leaves a long test in which one thing happens after the other out with -short: the race detector has nothing to
// find in it.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: it is long, and nothing happens at once")
	}
}

// past opens the test's database past the store.
func past(t testing.TB, o store.Options) *sql.DB {
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

func newest(t testing.TB, db *store.DB) int64 {
	t.Helper()
	seq, err := db.Ledger().Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func recordAt(t testing.TB, db *store.DB, seq int64) audit.Record {
	t.Helper()
	r, err := db.Ledger().Event(t.Context(), seq)
	if err != nil {
		t.Fatalf("reading event %d: %v", seq, err)
	}
	return r
}

// read reads a run together with its first targets that were begun.
func read(t testing.TB, db *store.DB, id revoke.RunID) (revoke.Run, []revoke.RunTarget) {
	t.Helper()
	r, err := db.Revoke().Run(t.Context(), id)
	if err != nil {
		t.Fatalf("reading run %s: %v", id, err)
	}
	targets, err := db.Revoke().RunTargets(t.Context(), id, revoke.RunTargetQuery{After: -1})
	if err != nil {
		t.Fatalf("reading the targets of run %s: %v", id, err)
	}
	return r, targets
}

// previewOf is the preview of a creator with every field set that a store could lose. n makes its id.
func previewOf(n int, creator string) revoke.Preview {
	return revoke.Preview{
		ID: revoke.PreviewID(id(n)), Parent: "an earlier preview", Cloud: cloud, Tenant: tenant, Creator: operatorOf(creator),
		Scope:   directory.Scope{Include: []directory.Source{{Kind: directory.TenantSource}}},
		Options: revoke.PlanOptions{Without: []revoke.Flag{revoke.FlagAgent}}, State: revoke.PreviewExpanding, Doing: "reading",
		CreatedAt: noon, BeatAt: noon,
	}
}

// oidOf is the object id of the i-th of many people; they are as many as one likes, and not in order.
func oidOf(i int) string {
	return fmt.Sprintf("%08x-0000-4000-9000-%012d", uint32(i)*2654435761, i)
}

// person is the i-th of many people.
func person(i int, flags ...revoke.Flag) revoke.Candidate {
	return revoke.Candidate{Inside: true, Target: revoke.Target{
		OID: oidOf(i), UPN: fmt.Sprintf("user%06d@contoso.example", i), Name: fmt.Sprintf("Person Number%d", i),
		Reasons: []string{"everyone in the tenant"}, Flags: flags, Verdict: "expected to be allowed",
		Because: "User Administrator covers people without a directory role.", Before: noon.Add(-time.Hour),
	}}
}

func people(n int) []revoke.Candidate {
	out := make([]revoke.Candidate, n)
	for i := range out {
		out[i] = person(i)
	}
	return out
}

func begin(t testing.TB, db *store.DB, p revoke.Preview) {
	t.Helper()
	if err := db.Revoke().BeginPreview(t.Context(), p); err != nil {
		t.Fatalf("beginning a preview: %v", err)
	}
}

func add(t testing.TB, db *store.DB, id revoke.PreviewID, list ...revoke.Candidate) (found int) {
	t.Helper()
	for part := range slices.Chunk(list, 1000) {
		var err error
		if found, err = db.Revoke().AddCandidates(t.Context(), id, part, "adding", noon); err != nil {
			t.Fatalf("adding %d people: %v", len(part), err)
		}
	}
	return found
}

func freeze(t testing.TB, db *store.DB, id revoke.PreviewID) revoke.Preview {
	t.Helper()
	p, err := db.Revoke().Freeze(t.Context(), id, revoke.Facts{}, noon, nil)
	if err != nil {
		t.Fatalf("freezing: %v", err)
	}
	return p
}

// listed is a ready preview of these people.
func listed(t testing.TB, db *store.DB, p revoke.Preview, list ...revoke.Candidate) revoke.Preview {
	t.Helper()
	begin(t, db, p)
	add(t, db, p.ID, list...)
	return freeze(t, db, p.ID)
}

// manyOf is the launch of a ready preview, with a worker but without a target begun.
func manyOf(n int, p revoke.Preview) revoke.Launch {
	plan := revoke.Plan{
		ID: revoke.PlanID(id(n)), Cloud: p.Cloud, Tenant: p.Tenant, Creator: p.Creator, Preview: p.ID, Scope: p.Scope,
		Options: p.Options, Reason: "phished", Ticket: "INC-7", CreatedAt: noon, ExpiresAt: p.ExpiresAt, Total: p.Total,
		ListDigest: p.ListDigest,
	}.Freeze()
	run := runOf(n, plan)
	return revoke.Launch{
		Plan: plan, Run: run, Token: []byte("sealed"), TokenExpires: noon.Add(8 * time.Hour), Owner: "one", Now: noon,
		Lease: lease, Events: []audit.Event{started(n, run)},
	}
}

// intend makes the intent of a target, and leaves the protected ones out.
func intend(t revoke.RunTarget, protected bool) (revoke.RunTarget, []audit.Event) {
	kind := audit.TargetAttempted
	t.State, t.Attempt, t.StartedAt, t.T0, t.ClientRequestID = revoke.Attempting, t.Attempt+1, noon, noon, "c"
	if protected {
		kind = audit.TargetSkipped
		t.State, t.Attempt, t.Message = revoke.Skipped, t.Attempt-1, "protected"
	}
	e := runEvent(kind, t.Pos, t.Run)
	e.Target = &audit.Person{OID: t.OID, UPN: t.UPN, Name: t.Name}
	return t, []audit.Event{e}
}

// wanting is a step that asks for calls.
func wanting(n int) revoke.Step {
	return revoke.Step{Now: noon.Add(time.Second), Lease: lease, Want: n, Intend: intend}
}

// moved is the change of a target to another state, with its event.
func moved(s *revoke.Step, kind audit.Kind, to revoke.State, list ...revoke.RunTarget) {
	for _, t := range list {
		was := t
		t.State = to
		s.Changes = append(s.Changes, revoke.Change{WasState: was.State, WasAttempt: was.Attempt, Target: t})
		e := runEvent(kind, t.Pos, t.Run)
		e.Target = &audit.Person{OID: t.OID, UPN: t.UPN, Name: t.Name}
		s.Events = append(s.Events, e)
	}
}
