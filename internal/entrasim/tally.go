package entrasim

import (
	"net/http"
	"sync/atomic"
)

// Tally counts what happened to one account since the simulator was made, for tests that must know what took effect and
// what was only asked for.
type Tally struct {
	// Posts are the revocations that were asked of Graph with a valid token, whatever became of them: throttled, refused
	// and lost ones too.
	Posts int `json:"posts"`
	// Reads are the times that Graph was asked for the account itself, by id or user principal name.
	Reads int `json:"reads"`
	// Revocations are those that took effect, by whomever.
	Revocations int `json:"revocations"`
}

// Totals are the sums over all accounts, and what Graph answered.
type Totals struct {
	// Requests is the number of Graph requests, those of a batch among them.
	Requests int `json:"requests"`
	// Status counts the answers by HTTP status. Status 0 means that no answer was sent.
	Status map[int]int `json:"status"`
	// Posts and Revocations are the sums of the fields of that name in Tally.
	Posts       int `json:"posts"`
	Revocations int `json:"revocations"`
	// Revoked is the number of accounts of which at least one revocation took effect.
	Revoked int `json:"revoked"`
}

// counters are what Totals sums up. They are kept apart from the request log, which forgets.
type counters struct {
	status                      [600]atomic.Int64
	posts, revocations, revoked atomic.Int64
}

func (n *counters) answered(status int) {
	if status >= 0 && status < len(n.status) {
		n.status[status].Add(1)
	}
}

// What a route counts of the account that it is about.
func (u *user) countPost() { u.posts.Add(1) }
func (u *user) countRead() { u.reads.Add(1) }

// tally must be called with s.mu held.
func (u *user) tally() Tally {
	return Tally{Posts: int(u.posts.Load()), Reads: int(u.reads.Load()), Revocations: int(u.revocations)}
}

// Tally returns what happened to the account with this object id or user principal name; all zero if there is none.
func (s *Sim) Tally(user string) Tally {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if u := s.tenant.findUser(user); u != nil {
		return u.tally()
	}
	return Tally{}
}

// Revocations is how many revocations of the account took effect, by whomever.
func (s *Sim) Revocations(user string) int { return s.Tally(user).Revocations }

// Totals returns the sums. Taken while requests are in flight, its fields may be of slightly different moments.
func (s *Sim) Totals() Totals {
	t := Totals{
		Status: map[int]int{}, Posts: int(s.counters.posts.Load()), Revocations: int(s.counters.revocations.Load()),
		Revoked: int(s.counters.revoked.Load()),
	}
	for status := range s.counters.status {
		if n := int(s.counters.status[status].Load()); n > 0 {
			t.Status[status] = n
			t.Requests += n
		}
	}
	return t
}

// countedAccount is one account in the answer of /_sim/counters.
type countedAccount struct {
	ID string `json:"id"`
	Tally
}

// countersPage answers GET /_sim/counters as JSON for tests to which the simulator is another process: the totals, and
// every account that was asked to be revoked or was. With ?user= it is that one account alone.
func (s *Sim) countersPage(w http.ResponseWriter, r *http.Request) {
	out := struct {
		Totals
		Accounts []countedAccount `json:"accounts"`
	}{Totals: s.Totals(), Accounts: []countedAccount{}}
	if who := r.URL.Query().Get("user"); who != "" {
		p, found := s.User(who)
		if !found {
			writeJSON(w, http.StatusNotFound, map[string]string{"error": "there is no such person in the tenant"})
			return
		}
		out.Accounts = append(out.Accounts, countedAccount{p.ID, s.Tally(p.ID)})
	} else {
		out.Accounts = append(out.Accounts, s.counted()...)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	writeJSON(w, http.StatusOK, out)
}

// counted lists the accounts that somebody asked to revoke, or revoked, in the order in which Graph lists them.
func (s *Sim) counted() []countedAccount {
	var out []countedAccount
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, u := range s.tenant.users {
		if t := u.tally(); t.Posts > 0 || t.Revocations > 0 {
			out = append(out, countedAccount{u.id, t})
		}
	}
	return out
}
