//go:build bench

package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"evict/internal/entrasim"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

// These are the figures of docs/benchmarks.md: `make bench`. Each is a ratio to an ideal that is measured or computed in
// the same run. The console is a process of its own, so that its memory is its own; the simulator runs in the test's.

// measured is what one run of many took.
type measured struct {
	targets, throttled int
	whole              time.Duration
	peakMB             int
}

// cut has an administrator who may revoke everybody revoke the tenant, and waits for the end.
func (s *site) cut(p *process, b *browser, during func()) measured {
	s.t.Helper()
	run := b.cutTenant()
	if during != nil {
		during()
	}
	var report struct {
		Run struct {
			State, Started, Ended string
			Total                 int `json:"targets_total"`
		}
	}
	for deadline := time.Now().Add(20 * time.Minute); report.Run.Ended == ""; time.Sleep(250 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("the run does not end:\n%s", b.get(run).text())
		}
		if live := b.get(run).text(); !strings.Contains(live, "finished") && !strings.Contains(live, "paused") {
			continue
		}
		if err := json.Unmarshal([]byte(b.post(run+"/report.json", nil).body), &report); err != nil {
			s.t.Fatal(err)
		}
		if report.Run.State == "paused" {
			s.t.Fatalf("the run paused:\n%s", b.get(run).text())
		}
	}
	return measured{
		targets: report.Run.Total, throttled: s.Sim.Totals().Status[http.StatusTooManyRequests],
		whole: at(s.t, report.Run.Ended).Sub(at(s.t, report.Run.Started)), peakMB: p.peakMB(),
	}
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatalf("a time of the report: %v", err)
	}
	return when
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakMB is the most memory that the process ever held.
func (p *process) peakMB() int {
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return -1
	}
	kB, _ := strconv.Atoi(string(highWater.FindSubmatch(body)[1]))
	return kB / 1024
}

func (s *site) admin() *browser {
	b := s.browser()
	b.signIn(s.cast.Admin)
	return b
}

// Scripts call one after the other: what that takes for n people, from the first hundred.
func (s *site) oneByOne(n int) time.Duration {
	s.t.Helper()
	call := s.script()
	people := s.Sim.People(100)
	began := time.Now()
	for _, p := range people {
		call(http.MethodPost, s.Sim.GraphURL()+"/users/"+p.ID+"/revokeSignInSessions")
	}
	return time.Since(began) * time.Duration(n) / time.Duration(len(people))
}

// script is what a script does: one call, and its body.
func (s *site) script() func(method, address string) []byte {
	s.t.Helper()
	token, err := s.Sim.MintToken(s.cast.Admin.UPN, entrasim.TokenOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.Sim.CAPEM())
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	return func(method, address string) []byte {
		req, err := http.NewRequestWithContext(context.Background(), method, address, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("ConsistencyLevel", "eventual")
		resp, err := c.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK && method == http.MethodGet { // a refused call takes its time as well
			s.t.Fatalf("%s %s: %d, %v: %s", method, address, resp.StatusCode, err, body[:min(len(body), 300)])
		}
		return body
	}
}

// listed is how long a script takes to list everybody in a group, nested ones included, and how many they are.
func (s *site) listed(group string) (took time.Duration, people int) {
	s.t.Helper()
	call := s.script()
	began := time.Now()
	next := s.Sim.GraphURL() + "/groups/" + group + "/transitiveMembers/microsoft.graph.user?$count=true&$top=999&$select=id,userPrincipalName,displayName,accountEnabled,identities"
	for next != "" {
		var page struct {
			Next  string `json:"@odata.nextLink"`
			Value []json.RawMessage
		}
		if err := json.Unmarshal(call(http.MethodGet, next), &page); err != nil {
			s.t.Fatal(err)
		}
		next, people = page.Next, people+len(page.Value)
	}
	return time.Since(began), people
}

func TestSpeedOfExpansion(t *testing.T) {
	for name, open := range map[string]func(testing.TB) store.Options{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, open(t), entrasim.Options{Seed: 14, People: 110_000})
			p := s.start("")
			group, ok := s.Sim.Group("Whole company")
			if !ok {
				t.Fatal("no such group")
			}
			b := s.admin()
			scope := b.post("/scopes", nil).has(http.StatusOK)
			scope = b.post(scope.path()+"/add", url.Values{"kind": {"group"}, "id": {group}, "side": {"include"}}).has(http.StatusOK)
			version := scope.doc.Find(`input[name="version"]`).AttrOr("value", "")
			began := time.Now()
			plan := b.post(scope.path()+"/preview", url.Values{"version": {version}}).has(http.StatusOK)
			for plan.doc.Find(`form[action="`+plan.path()+`/run"]`).Length() == 0 && time.Since(began) < 5*time.Minute {
				time.Sleep(100 * time.Millisecond)
				plan = b.get(plan.path())
			}
			took := time.Since(began)
			ideal, people := s.listed(group)
			row(t, fmt.Sprintf("expansion of a nested group of %d on %s: flags, predictions, list frozen", people, name), seconds(took),
				seconds(ideal)+" (listing them and nothing else)", ratio(ideal, took), p.peakMB())
		})
	}
}

// row prints a line of the table in docs/benchmarks.md.
func row(t *testing.T, what, figure, ideal, ratio string, peakMB int) {
	t.Helper()
	fmt.Fprintf(os.Stderr, "| %s | %s | %s | %s | %d MB |\n", what, figure, ideal, ratio, peakMB)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func ratio(ideal, got time.Duration) string {
	return fmt.Sprintf("%.2f", ideal.Seconds()/got.Seconds())
}

func TestSpeedOfThreeThousandPeople(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), entrasim.Options{Seed: 11, People: 3150, Latency: 150 * time.Millisecond})
	p := s.start("")
	m := s.cut(p, s.admin(), nil)
	ideal := 2 * 150 * time.Millisecond // everybody called at once, and read back once
	script := s.oneByOne(m.targets)
	row(t, fmt.Sprintf("%d people, 150 ms latency, documented quota", m.targets), seconds(m.whole), seconds(ideal)+" (two round trips)", ratio(ideal, m.whole), m.peakMB)
	row(t, "the same, one by one as scripts do (no read-back)", seconds(script), seconds(ideal), ratio(ideal, script), 0)
}

func TestSpeedOfTenThousandPeople(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), entrasim.Options{Seed: 12, People: 10_700, Latency: 150 * time.Millisecond})
	p := s.start("")
	b := s.admin()
	helpdesk := s.browser()
	var single time.Duration
	m := s.cut(p, b, func() {
		time.Sleep(30 * time.Second) // well into it
		helpdesk.signIn(s.cast.Helpdesk)
		began := time.Now()
		page := helpdesk.revoke(s.cast.Victim, because("a caller in the middle of it"))
		for !strings.Contains(page.text(), "confirmed") && time.Since(began) < time.Minute {
			time.Sleep(50 * time.Millisecond)
			page = helpdesk.get(page.path())
		}
		single = time.Since(began)
	})
	ideal := time.Duration(m.targets-3000) * time.Second / 20
	row(t, fmt.Sprintf("%d people, 150 ms latency, documented quota", m.targets), seconds(m.whole), seconds(ideal)+" (Microsoft's bucket)", ratio(ideal, m.whole), m.peakMB)
	row(t, "answers with 429 in it", fmt.Sprintf("%.2f %%", 100*float64(m.throttled)/float64(m.targets)), "0", "", m.peakMB)
	row(t, "one person revoked in the middle of it, to confirmed", seconds(single), "", "", m.peakMB)
}

func TestSpeedWithoutLimits(t *testing.T) {
	for name, open := range map[string]func(testing.TB) store.Options{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, open(t), entrasim.Options{Seed: 13, People: 20_000, Quota: entrasim.Quota{Disabled: true}})
			s.env = append(s.env, "EVICT_GRAPH_WRITES=100000000")
			p := s.start("")
			m := s.cut(p, s.admin(), nil)
			row(t, fmt.Sprintf("engine's ceiling on %s: %d people, no latency, no quota", name, m.targets),
				fmt.Sprintf("%.0f people/s", float64(m.targets)/m.whole.Seconds()), "", "", m.peakMB)
		})
	}
}
