package entrasim

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type homeData struct {
	Cast                        []castGroup
	People                      int
	Authority, Graph, Proxy, CA string
	ClientID, TenantID, Domain  string
	RedirectURIs                []string
}

func (s *Sim) homePage(w http.ResponseWriter, _ *http.Request) {
	d := homeData{
		Authority: s.Authority(), Graph: s.GraphURL(), Proxy: s.BrowserURL(), CA: s.BrowserURL() + "/_sim/ca.pem", TenantID: s.tenant.id,
	}
	s.mu.RLock()
	a := s.apps[s.opts.App.ClientID]
	d.ClientID, d.RedirectURIs = a.ClientID, a.RedirectURIs
	d.People, d.Domain = len(s.tenant.users), s.tenant.domain
	d.Cast = s.castGroups()
	s.mu.RUnlock()
	s.page(w, http.StatusOK, "home", "", layout{Title: "Simulated Entra", Data: d})
}

// kindText says a kind of fault in plain words.
var kindText = map[FaultKind]string{
	Status429:       "Graph says: too many requests (429)",
	Status500:       "Graph has an internal error (500)",
	Status503:       "Graph is unavailable (503)",
	Status503HTML:   "A proxy answers 503 with an HTML page",
	Status504:       "It took effect, but the gateway timed out (504)",
	Hang:            "No answer until the client gives up",
	DropConnection:  "The connection breaks before anything happens",
	AnswerLost:      "It took effect, but the answer is lost",
	ClaimsChallenge: "Graph asks for a new sign-in (claims challenge)",
	TokenRevoked:    "Refresh tokens are refused (AADSTS50173)",
	Forbidden403:    "Graph refuses for lack of rights (403)",
	ForwardDated:    "A revocation writes a stamp 30 days in the future",
	StampNeverMoves: "A revocation answers 200 and changes nothing",
	ForeignNextLink: "The link to the next page leads to another host",
	SlowBody:        "Answers trickle in over two seconds",
	StaleReplica:    "Reading shows the stamp from before",
	StaleRole:       "Roles do not count for tokens issued until now",

	ResetConnection:  "The connection breaks under everything in flight on it",
	RoleEnds:         "The caller's activated roles end",
	TenantQuotaEaten: "Another app uses up the tenant's write quota",
	AccountCreated:   "An account is created just before",
}

type knobsData struct {
	Latency, Lag int64
	Clock        int64
	Throttled    bool
	Kinds        []kindOption
	Faults       []faultRow
	Notice       string
}

type kindOption struct{ Value, Text string }

type faultRow struct {
	ID                 int
	Text, Match, About string
	Left               string
}

func (s *Sim) knobsPage(w http.ResponseWriter, r *http.Request) {
	d := knobsData{
		Latency: s.latency.Load() / int64(time.Millisecond), Lag: s.lag.Load() / int64(time.Second),
		Clock: s.offset.Load() / int64(time.Second), Throttled: s.throttle.enabled(), Notice: knobNotices[r.URL.Query().Get("done")],
	}
	for _, k := range faultKinds {
		d.Kinds = append(d.Kinds, kindOption{string(k), kindText[k]})
	}
	for _, f := range s.faults.list() {
		row := faultRow{ID: f.id, Text: kindText[f.Kind], Match: strings.TrimSpace(f.Method + " " + f.Match), Left: f.howOften()}
		if p, found := s.User(f.UserID); found {
			row.About = p.Name
		}
		d.Faults = append(d.Faults, row)
	}
	s.page(w, http.StatusOK, "knobs", "", layout{Title: "Knobs", Data: d})
}

func (a *activeFault) howOften() string {
	out := "until removed"
	if a.Times > 0 {
		out = fmt.Sprintf("%d more", a.left)
	}
	if a.Rate > 0 {
		out += fmt.Sprintf(", %g %% of requests", a.Rate*100)
	}
	if wait := a.After - a.came; wait > 0 {
		out += fmt.Sprintf(", after %d requests", wait)
	}
	return out
}

// knobNotices are the only texts that the address may choose from.
var knobNotices = map[string]string{
	"settings": "Settings changed.", "fault": "Fault turned on.", "removed": "Fault turned off.", "person": "Account changed.",
	"unknown": "There is no such person in the tenant.", "invalid": "That value cannot be used; nothing was changed.",
}

func knobDone(w http.ResponseWriter, r *http.Request, what string) {
	http.Redirect(w, r, "/_sim/?done="+what, http.StatusSeeOther)
}

func (s *Sim) setSettings(w http.ResponseWriter, r *http.Request) {
	latency, err1 := strconv.Atoi(r.PostFormValue("latency"))
	lag, err2 := strconv.Atoi(r.PostFormValue("lag"))
	clock, err3 := strconv.Atoi(r.PostFormValue("clock"))
	if errors.Join(err1, err2, err3) != nil || latency < 0 || latency > 60_000 || lag < 0 || lag > 3600 || clock < -86_400 || clock > 86_400 {
		knobDone(w, r, "invalid")
		return
	}
	s.SetLatency(time.Duration(latency) * time.Millisecond)
	s.SetReadBackLag(time.Duration(lag) * time.Second)
	s.SetClockOffset(time.Duration(clock) * time.Second)
	s.throttle.enable(r.PostFormValue("throttled") == "on")
	if r.PostFormValue("spend") == "on" {
		s.SpendTenantWrites(maxPeople)
	}
	knobDone(w, r, "settings")
}

func (s *Sim) setFault(w http.ResponseWriter, r *http.Request) {
	if id, err := strconv.Atoi(r.PostFormValue("remove")); err == nil {
		s.faults.remove(id)
		knobDone(w, r, "removed")
		return
	}
	f := Fault{
		Kind: FaultKind(r.PostFormValue("kind")), Method: strings.ToUpper(strings.TrimSpace(r.PostFormValue("method"))),
		Match: strings.TrimSpace(r.PostFormValue("match")),
	}
	times, err1 := formNumber(r, "times", 1_000_000)
	after, err2 := formNumber(r, "after", 1_000_000)
	share, err3 := formNumber(r, "share", 100)
	if errors.Join(err1, err2, err3) != nil || kindText[f.Kind] == "" {
		knobDone(w, r, "invalid")
		return
	}
	f.Times, f.After, f.Rate = int(times), int(after), share/100
	if who := strings.TrimSpace(r.PostFormValue("user")); who != "" {
		p, found := s.User(who)
		if !found {
			knobDone(w, r, "unknown")
			return
		}
		f.UserID = p.ID
	}
	s.Inject(f)
	knobDone(w, r, "fault")
}

// formNumber reads a field of a form that is a number from 0 to most; an empty one is 0.
func formNumber(r *http.Request, name string, most float64) (float64, error) {
	v := strings.TrimSpace(r.PostFormValue(name))
	if v == "" {
		return 0, nil
	}
	if n, err := strconv.ParseFloat(v, 64); err == nil && n >= 0 && n <= most {
		return n, nil
	}
	return 0, errors.New("not a number from 0 to the most allowed")
}

func (s *Sim) setPerson(w http.ResponseWriter, r *http.Request) {
	p, found := s.User(strings.TrimSpace(r.PostFormValue("user")))
	if !found {
		knobDone(w, r, "unknown")
		return
	}
	var err error
	switch r.PostFormValue("do") {
	case "revoke":
		err = s.Revoke(p.ID)
	case "disable":
		err = s.SetEnabled(p.ID, false)
	case "enable":
		err = s.SetEnabled(p.ID, true)
	default:
		knobDone(w, r, "invalid")
		return
	}
	if err != nil {
		knobDone(w, r, "unknown")
		return
	}
	knobDone(w, r, "person")
}
