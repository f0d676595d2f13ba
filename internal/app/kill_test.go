package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"evict/internal/app"
	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/entrasim"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

// binary is the program as it is shipped, built once for all tests that need a process of its own.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "evict-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "evict")
	out, err := exec.Command("go", "build", "-tags", "nosimulator", "-o", path, "evict/cmd/server").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return path, nil
})

// site is where processes of the real program serve one console, on one simulated tenant and one database.
type site struct {
	*demo
	program string
	env     []string
	store   store.Options
}

func newSite(t *testing.T, db store.Options, o entrasim.Options) *site {
	t.Helper()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + freePort(t)
	o.App.RedirectURIs = []string{base + "/auth/callback"}
	sim, err := entrasim.New(o)
	if err != nil {
		t.Fatalf("making the tenant: %v", err)
	}
	if err := sim.Listen("localhost:0", "localhost:0"); err != nil {
		t.Fatalf("starting the simulator: %v", err)
	}
	t.Cleanup(func() { _ = sim.Close() }) // after the processes: connections of killed ones may linger
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, sim.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := auth.GenerateSealKey("test")
	if err != nil {
		t.Fatal(err)
	}
	ledgerKey, _, err := audit.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{demo: &demo{RunningDemo: &app.RunningDemo{Sim: sim, BaseURL: base}, t: t, cast: sim.Cast()}, program: program, store: db}
	s.env = []string{
		"EVICT_CLOUD=simulator", "EVICT_BASE_URL=" + base, "EVICT_TENANT_ID=" + sim.TenantID(), "EVICT_CLIENT_ID=" + sim.App().ClientID,
		"EVICT_CLIENT_SECRET=" + sim.App().Secret, "EVICT_SEAL_KEYS=" + keys, "EVICT_LEDGER_KEY=" + ledgerKey,
		"EVICT_CHECKPOINT_FILE=" + filepath.Join(t.TempDir(), "checkpoints"), "EVICT_SIMULATOR_URL=" + sim.TLSURL(),
		"EVICT_SIMULATOR_CA_FILE=" + ca, "EVICT_DATA_DIR=" + db.DataDir, "EVICT_LOG_LEVEL=warn",
	}
	if o.Quota.Writes > 0 { // a test that is not to wait for Microsoft's 20 a second
		perWindow := o.Quota.Writes * int(150*time.Second/o.Quota.WriteWindow)
		s.env = append(s.env, fmt.Sprintf("EVICT_GRAPH_WRITES=%d", perWindow))
	}
	if db.DatabaseURL != "" {
		s.env = append(s.env, "EVICT_DATABASE_URL="+db.DatabaseURL)
		s.do("migrate")
	}
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "localhost:" + port
}

// do runs a command of the program to its end.
func (s *site) do(args ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.program, args...)
	cmd.Env = s.env
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// process is one running server.
type process struct {
	s    *site
	cmd  *exec.Cmd
	base string
	out  *bytes.Buffer
	gone chan struct{}
}

// start starts a server at the site's address, or, as a further replica, at another one, and waits until it is ready.
func (s *site) start(address string) *process {
	s.t.Helper()
	if address == "" {
		address = strings.TrimPrefix(s.BaseURL, "http://")
	}
	p := &process{s: s, cmd: exec.Command(s.program, "serve"), base: "http://" + address, out: &bytes.Buffer{}, gone: make(chan struct{})}
	p.cmd.Env = append([]string{"EVICT_LISTEN=" + address}, s.env...)
	p.cmd.Stdout, p.cmd.Stderr = io.Discard, p.out
	if err := p.cmd.Start(); err != nil {
		s.t.Fatalf("starting the server: %v", err)
	}
	go func() { _ = p.cmd.Wait(); close(p.gone) }()
	s.t.Cleanup(p.kill)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		select {
		case <-p.gone:
			s.t.Fatalf("the server ended by itself:\n%s", p.out)
		default:
		}
		req, _ := http.NewRequestWithContext(s.t.Context(), http.MethodGet, p.base+"/readyz", nil)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p
			}
		}
	}
	s.t.Fatalf("the server is not ready:\n%s", p.out)
	return nil
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// stop ends it in order.
func (p *process) stop() {
	p.s.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.gone:
	case <-time.After(time.Minute):
		p.s.t.Error("the server did not shut down")
		p.kill()
	}
}

var digits = regexp.MustCompile(`[0-9]+`)

// cutTenant has the Lead revoke everybody, and returns the run's address.
func (b *browser) cutTenant() string {
	b.t.Helper()
	scope := b.post("/scopes", nil).has(http.StatusOK)
	scope = b.post(scope.path()+"/add", url.Values{"kind": {"tenant"}, "side": {"include"}}).has(http.StatusOK)
	version := scope.doc.Find(`input[name="version"]`).AttrOr("value", "")
	plan := b.post(scope.path()+"/preview", url.Values{"version": {version}}).has(http.StatusOK)
	for deadline := time.Now().Add(time.Minute); plan.doc.Find(`form[action="`+plan.path()+`/run"]`).Length() == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("the plan does not get ready:\n%s", plan.text())
		}
		plan = b.get(plan.path())
	}
	run := b.send(http.MethodPost, plan.path()+"/run", url.Values{
		"list_digest": {plan.doc.Find(`input[name="list_digest"]`).AttrOr("value", "")}, "reason": {"tenant-wide"}, "ticket": {"INC-9"},
		"typed":        {strings.Join(digits.FindAllString(plan.doc.Find("h1").Text(), -1), "")},
		"no_protected": {"yes"},
	}, false)
	if run.status != http.StatusSeeOther {
		b.t.Fatalf("the run did not start (%d):\n%s", run.status, run.text())
	}
	return run.header.Get("Location")
}

// faults of every kind that loses nothing for good.
func weather() []entrasim.Fault {
	post := "revokeSignInSessions"
	return []entrasim.Fault{
		{Kind: entrasim.AnswerLost, Match: post, Rate: 0.03},
		{Kind: entrasim.DropConnection, Match: post, Rate: 0.01},
		{Kind: entrasim.Status503, Match: post, Rate: 0.02},
		{Kind: entrasim.Status504, Match: post, Rate: 0.01},
		{Kind: entrasim.StaleReplica, Rate: 0.02},
	}
}

func TestAServerThatIsKilledTwentyTimesLosesNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it kills a server for a minute")
	}
	t.Parallel()
	engines := map[string]func(testing.TB) store.Options{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres}
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, open(t), entrasim.Options{
				Seed: 5, People: 2150, Latency: 60 * time.Millisecond, ReadBackLag: 300 * time.Millisecond, Faults: weather(),
				Quota: entrasim.Quota{Writes: 400, WriteWindow: 4 * time.Second, RetryAfter: time.Second},
			})
			p := s.start("")
			b := s.browser()
			b.signIn(s.cast.Lead)
			run := b.cutTenant()
			random := rand.New(rand.NewPCG(1, 2))
			for i := range 20 {
				before, deadline := s.Sim.Totals().Posts, time.Now().Add(8*time.Second)
				for s.Sim.Totals().Posts < before+50 && time.Now().Before(deadline) {
					time.Sleep(5 * time.Millisecond)
				}
				time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond) // the moment of a power cut is nobody's choice
				p.kill()
				t.Logf("kill %d: %s", i+1, s.progress())
				p = s.start("")
			}
			for deadline := time.Now().Add(4 * time.Minute); !s.over(b, run); time.Sleep(500 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("the run does not end: %s\n%s\n%s", s.progress(), b.get(run).text(), p.out)
				}
			}
			p.stop()
			s.checkRun(strings.TrimPrefix(run, "/runs/"))
		})
	}
}

func TestARunGoesOnWhenOneOfTwoReplicasIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it needs processes")
	}
	t.Parallel()
	s := newSite(t, storetest.Postgres(t), entrasim.Options{
		Seed: 6, People: 1500, Latency: 60 * time.Millisecond,
		Quota: entrasim.Quota{Writes: 300, WriteWindow: 3 * time.Second, RetryAfter: time.Second},
	})
	one, other := s.start(""), s.start(freePort(t))
	b := s.browser()
	b.signIn(s.cast.Lead)
	run := b.cutTenant()
	s.await("the run to begin", func() bool { return s.Sim.Totals().Posts > 100 })
	holder := ""
	s.await("somebody to hold the run", func() bool {
		holder = storetest.Owner(t, s.store, strings.TrimPrefix(run, "/runs/"))
		return holder != ""
	})
	if strings.Contains(holder, fmt.Sprintf("/%d/", other.cmd.Process.Pid)) {
		one, other = other, one
	}
	one.kill() // the one that works the run
	killed, posts := time.Now(), s.Sim.Totals().Posts
	s.await("the other replica to go on", func() bool { return s.Sim.Totals().Posts > posts+20 })
	t.Logf("the run went on %v after the kill", time.Since(killed).Round(100*time.Millisecond))
	at := s.browserAt(b, other.base)
	s.await("the run to end", func() bool { return s.over(at, run) })
	other.stop()
	s.checkRun(strings.TrimPrefix(run, "/runs/"))
}

// browserAt is the same person at another replica.
func (s *site) browserAt(b *browser, base string) *browser {
	other := *b
	other.base = base
	return &other
}

func (s *site) await(what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waiting for %s: over %v", what, patience)
		}
	}
}

func (s *site) progress() string {
	n := s.Sim.Totals()
	return fmt.Sprintf("%d calls, %d took effect, %d people", n.Posts, n.Revocations, n.Revoked)
}

// over reports whether the run's page says that it has ended.
func (s *site) over(b *browser, run string) bool {
	var report struct {
		Run struct{ State, Pause string }
	}
	page := b.post(run+"/report.json", nil)
	if err := json.Unmarshal([]byte(page.body), &report); err != nil {
		s.t.Fatalf("reading the report (%d): %v", page.status, err)
	}
	if report.Run.State == "paused" {
		s.t.Fatalf("the run paused: %s\n%s", report.Run.Pause, b.get(run).text())
	}
	return report.Run.State == "finished" || report.Run.State == "cancelled"
}

// checkRun reads what the database holds after the last process has gone: each target has one final outcome, each call
// an earlier intent, and no target was called more often than the ledger intends.
func (s *site) checkRun(id string) {
	s.t.Helper()
	ctx := context.WithoutCancel(s.t.Context())
	db, err := store.Open(ctx, s.store)
	if err != nil {
		s.t.Fatalf("opening the database: %v", err)
	}
	defer db.Close()
	run, err := db.Revoke().Run(ctx, revoke.RunID(id))
	if err != nil {
		s.t.Fatalf("reading the run: %v", err)
	}
	intents, outcomes := map[string]int{}, map[string]int{}
	written := 0
	for q := (audit.Query{Run: id, Limit: 200}); ; {
		page, err := db.Ledger().Search(ctx, q)
		if err != nil {
			s.t.Fatalf("reading the ledger: %v", err)
		}
		for _, r := range page.Records {
			written++
			q.Before = r.Event.Seq
			switch e := r.Event; {
			case e.Kind == audit.RunFinished:
				if e.Detail["events"] != strconv.Itoa(run.Events) {
					s.t.Errorf("the closing event counts %s events, the run %d", e.Detail["events"], run.Events)
				}
			case e.Target == nil || !strings.HasPrefix(string(e.Kind), "target."):
			case e.Kind == audit.TargetAttempted:
				intents[e.Target.OID]++
			case revoke.State(e.Outcome).Final():
				outcomes[e.Target.OID]++
			}
		}
		if !page.More {
			break
		}
	}
	if written != run.Events {
		s.t.Errorf("%d events in the ledger, the run wrote %d", written, run.Events)
	}
	calls, n := 0, 0
	for after := -1; ; {
		page, err := db.Revoke().RunTargets(ctx, run.ID, revoke.RunTargetQuery{After: after, Limit: 500})
		if err != nil {
			s.t.Fatalf("reading targets: %v", err)
		}
		for _, t := range page {
			after, n = t.Pos, n+1
			posts := s.Sim.Tally(t.OID).Posts
			calls += posts
			switch {
			case !t.State.Final():
				s.t.Errorf("%s has no outcome: %s", t.UPN, t.State)
			case outcomes[t.OID] != 1:
				s.t.Errorf("%s (%s) has %d final outcomes in the ledger", t.UPN, t.State, outcomes[t.OID])
			case posts > intents[t.OID]:
				s.t.Errorf("%s was called %d times for %d intents", t.UPN, posts, intents[t.OID])
			case t.State == revoke.Confirmed && s.Sim.Tally(t.OID).Revocations == 0:
				s.t.Errorf("%s is confirmed, and nothing took effect", t.UPN)
			case t.State == revoke.Refused || t.State == revoke.Confirmed || t.State == revoke.NotCovered:
			case t.State == revoke.Failed && s.Sim.Tally(t.OID).Revocations == 0: // four times 503, and true
			default:
				s.t.Errorf("%s ended as %s: %s", t.UPN, t.State, t.Message)
			}
		}
		if len(page) < 500 {
			break
		}
	}
	if n != run.Total || run.Total < 1000 {
		s.t.Errorf("%d of %d targets were begun", n, run.Total)
	}
	if total := s.Sim.Totals().Posts; calls != total {
		s.t.Errorf("%d calls of targets, and %d in all: somebody outside of the plan was called", calls, total)
	}
	s.t.Logf("%d targets, %v, %d events, %d calls", n, run.Counts, run.Events, calls)
}
