package entrasim_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"evict/internal/entrasim"
)

// internal lists n people whom a User Administrator may revoke.
func internal(t *testing.T, s *entrasim.Sim, n int) []entrasim.Person {
	t.Helper()
	var out []entrasim.Person
	for _, p := range s.People(20 * n) {
		if !p.External && p.Note == "" && len(p.DirectoryRoles) == 0 && len(out) < n {
			out = append(out, p)
		}
	}
	if len(out) < n {
		t.Fatalf("only %d of %d people", len(out), n)
	}
	return out
}

func TestTheSeedDecidesWhichRequestsAreHit(t *testing.T) {
	t.Parallel()
	// fates revokes everybody until an answer says that it worked, and returns how often each had to be asked.
	fates := func(seed uint64, backwards bool) map[int]int {
		s := start(t, entrasim.Options{Seed: seed, People: 400, Faults: []entrasim.Fault{
			{Kind: entrasim.AnswerLost, Method: "POST", Rate: 0.2}, {Kind: entrasim.Status503, Match: "revokeSignInSessions", Rate: 0.2},
		}})
		people := internal(t, s, 100)
		bearer := mint(t, s, s.Cast().UserAdmin)
		order := make([]int, len(people))
		for i := range order {
			order[i] = i
		}
		if backwards {
			slices.Reverse(order)
		}
		var mu sync.Mutex
		out := map[int]int{}
		var all sync.WaitGroup
		for part := range slices.Chunk(order, 25) {
			all.Go(func() {
				for _, i := range part {
					asked := 0
					for done := false; !done && asked < 50; asked++ {
						resp, err := graphDo(t, s, bearer, "POST", "/users/"+people[i].ID+revokePath, "")
						if err == nil {
							done = resp.StatusCode == http.StatusOK
							resp.Body.Close()
						}
					}
					mu.Lock()
					out[i] = asked
					mu.Unlock()
					if got := s.Tally(people[i].ID); got.Posts != asked || got.Revocations < 1 || got.Revocations > asked {
						t.Errorf("%s was asked %d times: %+v", people[i].ID, asked, got)
					}
				}
			})
		}
		all.Wait()
		return out
	}
	first := fates(3, false)
	if again := fates(3, true); !reflect.DeepEqual(first, again) {
		t.Error("the same seed, in another order, hits other requests")
	}
	if other := fates(4, false); reflect.DeepEqual(first, other) {
		t.Error("another seed hits the same requests")
	}
	extra := -len(first)
	for _, n := range first {
		extra += n
	}
	if extra < 20 || extra > 160 { // two faults of a fifth each: about 56 repeats for 100 people
		t.Errorf("%d repeats", extra)
	}
}

func TestAFaultMayBeginInTheMiddle(t *testing.T) {
	t.Parallel()
	at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	s := start(t, entrasim.Options{Now: at.Now})
	c := s.Cast()
	statuses := func(bearer string) string {
		var out []string
		for range 5 {
			out = append(out, fmt.Sprint(graph(t, s, bearer, "POST", "/users/"+c.Victim.ID+revokePath, "").Status))
		}
		return strings.Join(out, " ")
	}
	must(t, s.ActivateRole(c.Nobody.ID, entrasim.RoleUserAdministrator, at.Now().Add(time.Hour)))
	bearer := mint(t, s, c.Nobody, "User.RevokeSessions.All")
	s.Inject(entrasim.Fault{Kind: entrasim.RoleEnds, Match: "revokeSignInSessions", Caller: c.Nobody.ID, After: 2, Times: 1})
	if got := statuses(bearer); got != "200 200 403 403 403" {
		t.Errorf("a role that ends after two: %s", got)
	}
	if got := statuses(mint(t, s, c.Helpdesk)); got != "200 200 200 200 200" {
		t.Errorf("an assigned role: %s", got)
	}
	s.ClearFaults()
	s.Inject(entrasim.Fault{Kind: entrasim.TenantQuotaEaten, After: 3, Times: 1})
	if got := statuses(mint(t, s, c.Helpdesk)); got != "200 200 200 429 429" {
		t.Errorf("a quota that is eaten after three: %s", got)
	}
	at.Advance(10 * time.Second)
	if got := statuses(mint(t, s, c.Helpdesk)); got != "200 200 200 200 200" {
		t.Errorf("after Retry-After: %s", got)
	}
}

func TestAnAccountIsCreatedBetweenTwoPages(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	bearer := mint(t, s, s.Cast().Lead)
	team := groupID(t, s, "Project Skylark")
	for _, path := range []string{"/users?$top=50&$select=userPrincipalName", "/groups/" + team + "/members?$top=2&$select=userPrincipalName"} {
		remove := s.Inject(entrasim.Fault{Kind: entrasim.AccountCreated, Match: strings.Split("/v1.0"+path, "?")[0], After: 1, Times: 1})
		pages, found := 0, 0
		for next := path; next != ""; pages++ {
			got := graph(t, s, bearer, "GET", next, "")
			found += strings.Count(got.Raw, "late.arrival")
			next, _ = got.JSON["@odata.nextLink"].(string)
		}
		if pages < 3 || found != 1 {
			t.Errorf("%s: seen %d times on %d pages", path, found, pages)
		}
		remove()
	}
}

func TestABrokenConnectionTakesAllRequestsInFlightWithIt(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	bearer := mint(t, s, c.Helpdesk)
	s.Inject(entrasim.Fault{Kind: entrasim.Hang, UserID: c.Victim.ID})
	s.Inject(entrasim.Fault{Kind: entrasim.ResetConnection, UserID: c.Disabled.ID, Times: 1})
	hung := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		req, err := http.NewRequestWithContext(ctx, "POST", s.GraphURL()+"/users/"+c.Victim.ID+revokePath, nil)
		if err == nil {
			req.Header.Set("Authorization", "Bearer "+bearer)
			var resp *http.Response
			if resp, err = s.HTTPClient().Do(req); err == nil {
				resp.Body.Close()
			}
		}
		hung <- err
	}()
	for s.Tally(c.Victim.ID).Posts == 0 {
		select {
		case err := <-hung:
			t.Fatalf("it ended by itself: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if resp, err := graphDo(t, s, bearer, "POST", "/users/"+c.Disabled.ID+revokePath, ""); err == nil {
		resp.Body.Close()
		t.Errorf("an answer came: %d", resp.StatusCode)
	}
	if err := <-hung; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the request beside it: %v", err)
	}
	if got := graph(t, s, bearer, "POST", "/users/"+c.Disabled.ID+revokePath, ""); got.Status != 200 {
		t.Errorf("the next connection: %d", got.Status)
	}
	if got := s.Tally(c.Disabled.ID); got != (entrasim.Tally{Posts: 2, Revocations: 1}) {
		t.Errorf("tally %+v", got)
	}
}

func TestReplicasAnswerOlderValuesAfterNewer(t *testing.T) {
	t.Parallel()
	reads := func(seed uint64) []string {
		at := newClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
		s := start(t, entrasim.Options{Seed: seed, Now: at.Now, Replicas: []time.Duration{0, 30 * time.Second}})
		c := s.Cast()
		bearer := mint(t, s, c.Helpdesk)
		path := "/users/" + c.Victim.ID + "?$select=signInSessionsValidFromDateTime"
		read := func() string {
			return fmt.Sprint(graph(t, s, bearer, "GET", path, "").JSON["signInSessionsValidFromDateTime"])
		}
		graph(t, s, bearer, "POST", "/users/"+c.Victim.ID+revokePath, "")
		at.Advance(29 * time.Second)
		var out []string
		for range 24 {
			out = append(out, read())
		}
		at.Advance(time.Second)
		for range 24 {
			if got := read(); got != "2026-11-20T09:00:00Z" {
				t.Errorf("after the slowest replica's lag: %s", got)
			}
		}
		return out
	}
	first := reads(1)
	if !reflect.DeepEqual(first, reads(1)) {
		t.Error("the same seed, other replicas")
	}
	backwards := 0
	for i := 1; i < len(first); i++ {
		if first[i-1] == "2026-11-20T09:00:00Z" && first[i] != first[i-1] {
			backwards++
		}
	}
	if backwards == 0 {
		t.Errorf("no older value after a newer: %v", first)
	}
}

func TestParseFault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]entrasim.Fault{
		"answer lost=0.02":                     {Kind: entrasim.AnswerLost, Rate: 0.02},
		"status 503=1@revokeSignInSessions":    {Kind: entrasim.Status503, Rate: 1, Match: "revokeSignInSessions"},
		"status 503, HTML=0.5@/v1.0/users/{u}": {Kind: entrasim.Status503HTML, Rate: 0.5, Match: "/v1.0/users/{u}"},
	} {
		if got, err := entrasim.ParseFault(text); err != nil || got != want {
			t.Errorf("%q = %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "answer lost", "answer lost=", "answer lost=0", "answer lost=1.1", "answer lost=NaN", "nonsense=0.5", "answer lost=-1"} {
		if got, err := entrasim.ParseFault(text); err == nil {
			t.Errorf("%q = %+v", text, got)
		}
	}
}

func TestCountersTellWhatTookEffect(t *testing.T) {
	t.Parallel()
	s := start(t, entrasim.Options{})
	c := s.Cast()
	lead := mint(t, s, c.Lead)
	s.Inject(entrasim.Fault{Kind: entrasim.AnswerLost, UserID: c.Victim.ID, Times: 1})
	for _, p := range []entrasim.Person{c.Victim, c.Victim, c.ExternalGuest, c.GlobalAdmin} {
		if resp, err := graphDo(t, s, lead, "POST", "/users/"+p.ID+revokePath, ""); err == nil {
			resp.Body.Close()
		}
	}
	graph(t, s, "no token", "POST", "/users/"+c.Victim.ID+revokePath, "")
	graph(t, s, lead, "GET", "/users/"+c.Victim.UPN, "")
	must(t, s.Revoke(c.Synced.ID))
	for _, tt := range []struct {
		p    entrasim.Person
		want entrasim.Tally
	}{
		{c.Victim, entrasim.Tally{Posts: 2, Reads: 1, Revocations: 2}}, {c.ExternalGuest, entrasim.Tally{Posts: 1}},
		{c.GlobalAdmin, entrasim.Tally{Posts: 1}}, {c.Synced, entrasim.Tally{Revocations: 1}}, {c.Lead, entrasim.Tally{}},
	} {
		if got := s.Tally(tt.p.UPN); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.p.Name, got, tt.want)
		}
	}
	totals := s.Totals()
	if want := map[int]int{0: 1, 200: 3, 401: 1, 403: 1}; !reflect.DeepEqual(totals.Status, want) || totals.Requests != 6 ||
		totals.Posts != 4 || totals.Revocations != 3 || totals.Revoked != 2 {
		t.Errorf("totals %+v, want statuses %v", totals, want)
	}
	b := browser(t, s)
	counters := func(query string) map[string]any {
		return decode(t, send(t, b, "GET", s.BrowserURL()+"/_sim/counters"+query, nil))
	}
	all := counters("")
	accounts, _ := all["accounts"].([]any)
	if all["posts"] != 4.0 || all["revoked"] != 2.0 || len(accounts) != 4 {
		t.Errorf("as JSON: %v", all)
	}
	one, _ := counters("?user=" + url.QueryEscape(c.Victim.UPN))["accounts"].([]any)
	if want := map[string]any{"id": c.Victim.ID, "posts": 2.0, "reads": 1.0, "revocations": 2.0}; len(one) != 1 || !reflect.DeepEqual(one[0], want) {
		t.Errorf("one account as JSON: %v", one)
	}
	if resp := send(t, b, "GET", s.BrowserURL()+"/_sim/counters?user=nobody", nil); resp.StatusCode != 404 {
		t.Errorf("an unknown account = %d", resp.StatusCode)
	}
}

func TestRequestsAreRememberedWithinBounds(t *testing.T) {
	t.Parallel()
	for keep, want := range map[int]string{3: "/v1.0/users/3 /v1.0/users/4 /v1.0/users/5", -1: ""} {
		s := start(t, entrasim.Options{KeepRequests: keep})
		bearer := mint(t, s, s.Cast().Lead)
		for i := range 6 {
			graph(t, s, bearer, "GET", fmt.Sprintf("/users/%d", i), "")
		}
		var got []string
		for _, r := range s.Requests() {
			got = append(got, r.Path)
		}
		if strings.Join(got, " ") != want || s.Totals().Requests != 6 {
			t.Errorf("keeping %d: %v, %d in all", keep, got, s.Totals().Requests)
		}
	}
}
