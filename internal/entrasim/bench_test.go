package entrasim_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"evict/internal/entrasim"
)

// bigTenant is the largest tenant that the simulator promises to serve well.
const bigTenant = 250_000

// BenchmarkTenant makes a tenant of 250,000 people and reports what it keeps on the heap.
func BenchmarkTenant(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s, err := entrasim.New(entrasim.Options{People: bigTenant})
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB")
		runtime.KeepAlive(s)
	}
}

// BenchmarkGraph calls Graph of a tenant of 250,000 people over HTTP/2 and TLS, 64 requests in flight, without quota:
// the ceiling that the simulator sets to whoever is measured against it. Client and simulator share the machine.
func BenchmarkGraph(b *testing.B) {
	s, err := entrasim.New(entrasim.Options{People: bigTenant, Quota: entrasim.Quota{Disabled: true}})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Listen("127.0.0.1:0", "127.0.0.1:0"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	bearer, err := s.MintToken(s.Cast().GlobalAdmin.ID, entrasim.TokenOptions{CP1: true})
	if err != nil {
		b.Fatal(err)
	}
	var ids []string
	for _, p := range s.People(bigTenant) {
		if !p.External && p.Note == "" { // the cast has people whom nobody may revoke
			ids = append(ids, p.ID)
		}
	}
	c := &flood{hc: s.HTTPClient(), base: s.GraphURL(), bearer: bearer}
	revoke := func(i int) string { return "/users/" + ids[i%len(ids)] + "/revokeSignInSessions" }
	scan := "/users?$select=id&$count=true&$filter=" + url.QueryEscape("city eq 'Nowhere' and accountEnabled ne false")
	b.Run("revoke", func(b *testing.B) { c.run(b, 64, http.MethodPost, revoke) })
	b.Run("revoke beside a scan", func(b *testing.B) {
		ctx, stop := context.WithCancel(b.Context())
		var scanning sync.WaitGroup
		scanning.Go(func() {
			for ctx.Err() == nil {
				c.one(ctx, http.MethodGet, scan)
			}
		})
		c.run(b, 64, http.MethodPost, revoke)
		stop()
		scanning.Wait()
	})
	b.Run("read", func(b *testing.B) {
		c.run(b, 64, http.MethodGet, func(i int) string {
			return "/users/" + ids[i%len(ids)] + "?$select=id,signInSessionsValidFromDateTime"
		})
	})
	b.Run("page of 999", func(b *testing.B) {
		c.run(b, 4, http.MethodGet, func(i int) string { return "/users?$top=999&$select=" + cardFields })
	})
	b.Run("15 names", func(b *testing.B) {
		people := s.People(15 * 100)
		c.run(b, 8, http.MethodGet, func(i int) string {
			var in []string
			for _, p := range people[i%100*15 : i%100*15+15] {
				in = append(in, "'"+p.UPN+"'")
			}
			return "/users?$select=id&$filter=" + url.QueryEscape("userPrincipalName in ("+strings.Join(in, ",")+")")
		})
	})
	b.Run("filter, scanned", func(b *testing.B) {
		c.run(b, 4, http.MethodGet, func(int) string { return scan })
	})
	b.Run("search", func(b *testing.B) {
		c.run(b, 1, http.MethodGet, func(int) string {
			return "/users?$select=id&$count=true&$top=20&$search=" + url.QueryEscape(`"displayName:nosuchname" OR "userPrincipalName:nosuch" OR "mail:nosuch"`)
		})
	})
}

// cardFields is what a console asks of each person whom it lists.
const cardFields = "id,userPrincipalName,displayName,mail,department,jobTitle,city,companyName,userType,creationType,externalUserState," +
	"identities,accountEnabled,onPremisesSyncEnabled,isManagementRestricted,createdDateTime,lastPasswordChangeDateTime,signInSessionsValidFromDateTime"

// flood sends requests with a fixed number in flight.
type flood struct {
	hc           *http.Client
	base, bearer string
}

func (f *flood) run(b *testing.B, flight int, method string, path func(int) string) {
	var next, failed atomic.Int64
	done := make(chan struct{}, flight)
	took := make([]time.Duration, b.N)
	began := time.Now()
	b.ResetTimer()
	for range flight {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				sent := time.Now()
				if !f.one(b.Context(), method, path(i)) {
					failed.Add(1)
				}
				took[i] = time.Since(sent)
			}
		}()
	}
	for range flight {
		<-done
	}
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "req/s")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	if n := failed.Load(); n > 0 {
		b.Errorf("%d of %d requests failed", n, b.N)
	}
}

func (f *flood) one(ctx context.Context, method, path string) bool {
	req, err := http.NewRequestWithContext(ctx, method, f.base+path, nil)
	if err != nil {
		return false
	}
	req.Header.Set("Authorization", "Bearer "+f.bearer)
	req.Header.Set("ConsistencyLevel", "eventual")
	resp, err := f.hc.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && resp.ProtoMajor == 2
}
