//go:build bench

package store_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"evict/internal/audit"
	"evict/internal/store"
)

// million is how many events the great ledger has, and version changes with what they are.
const (
	million = 1_000_000
	version = "3"
)

// greatLedger opens a ledger of a million events, such as two years of a tenant of 100,000 people leave behind. It is
// built once, which takes minutes, and kept: on SQLite in the user's cache, on PostgreSQL in a schema of its own. It must
// not be written to.
func greatLedger(t *testing.T, options func(t *testing.T) store.Options) *store.DB {
	t.Helper()
	o := options(t)
	if _, _, err := store.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	switch n := newest(t, db); n {
	case million:
	case 0:
		began := time.Now()
		if err := buildGreatLedger(t, db); err != nil {
			t.Fatalf("building the great ledger; delete what is there of it: %v", err)
		}
		t.Logf("built %d events on %s in %s", million, db.Engine(), time.Since(began).Round(time.Second))
		if db.Engine() == "PostgreSQL" { // it does so by itself, but not within a minute
			if _, err := past(t, o).ExecContext(t.Context(), `vacuum analyze`); err != nil {
				t.Fatal(err)
			}
		}
	default:
		t.Fatalf("the great ledger on %s has %d events, because its building was cut off: delete it", db.Engine(), n)
	}
	return db
}

// greatSQLite and greatPostgres are where it is kept.
func greatSQLite(t *testing.T) store.Options {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return store.Options{DataDir: filepath.Join(cache, "evict-great-ledger-"+version)}
}

func greatPostgres(t *testing.T) store.Options {
	address := os.Getenv("EVICT_TEST_POSTGRES")
	if address == "" {
		address = "postgres://root@127.0.0.1:5432/test?sslmode=disable"
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Skip("no PostgreSQL: set EVICT_TEST_POSTGRES")
	}
	defer func() { _ = conn.Close(t.Context()) }()
	const schema = "evict_great_ledger_" + version
	if _, err := conn.Exec(t.Context(), `create schema if not exists `+schema); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("EVICT_TEST_POSTGRES is not a URL")
	}
	query := u.Query()
	query.Set("search_path", schema)
	query.Set("pool_max_conns", "8")
	u.RawQuery = query.Encode()
	return store.Options{DatabaseURL: u.String()}
}

// The people of the great ledger: the first of them are operators, too.
const (
	greatPeople    = 100_000
	greatOperators = 40
	greatRun       = 100_000 // targets of each of its great runs
)

var (
	firstNames = []string{"Anna", "Bernd", "Carla", "Dmitri", "Eléa", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kwame",
		"Lucía", "Miriam", "Nils", "Oksana", "Pavel", "Quynh", "Rosa", "Selim", "Tomás", "Ugo", "Vera", "Wanda", "Xin", "Yara"}
	lastNames = []string{"Abbott", "Brandt", "Castellanos", "Dubois", "Eriksen", "Fontaine", "Gruber", "Haddad", "Ivanova",
		"Jensen", "Kowalski", "Lindqvist", "Moreau", "Novak", "Okafor", "Petrov", "Quiroga", "Rossi", "Schneider", "Tanaka",
		"Ueda", "Vasquez", "Weber", "Ximenes", "Yilmaz", "Zimmermann", "Ó Briain", "de Vries", "van Dijk", "Nguyễn"}
	reasons = []string{"phished by mail", "laptop stolen", "password spray", "token theft reported by Defender",
		"left the company", "called the helpdesk", "MFA fatigue"}
)

// greatPerson is the i-th of them. Every 5,000th has a surname of their own: a rare word.
func greatPerson(i int) *audit.Person {
	first, last := firstNames[i%len(firstNames)], lastNames[i/len(firstNames)%len(lastNames)]
	if i%5000 == 4999 {
		last = fmt.Sprintf("Featherstonehaugh%d", i)
	}
	return &audit.Person{OID: oidOf(i), UPN: fmt.Sprintf("user%06d@contoso.example", i), Name: first + " " + last}
}

// chronicle writes the great ledger from its beginning to its end.
type chronicle struct {
	*rand.Rand
	t      *testing.T
	db     *store.DB
	signer *audit.Signer
	at     time.Time
	events []audit.Event
	n      int
}

func buildGreatLedger(t *testing.T, db *store.DB) error {
	c := &chronicle{Rand: rand.New(rand.NewPCG(1, 2)), t: t, db: db, signer: newSigner(t, "great"),
		at: time.Date(2024, 11, 1, 6, 0, 0, 0, time.UTC)}
	named := c.event(audit.LedgerKey, 0)
	named.Detail = map[string]string{"key": c.signer.Public()}
	c.add(c.event(audit.LedgerOpened, 0), named)
	for c.n < million {
		switch { // two great runs
		case c.n > million*18/100 && c.n < million*19/100:
			c.great(1, oidOf(3))
		case c.n > million*54/100 && c.n < million*55/100:
			c.great(2, oidOf(3))
		}
		switch die := c.IntN(100); {
		case die < 25:
			c.session()
		case die < 97:
			c.single()
		case die < 98:
			c.middling(20 + c.IntN(400))
		default:
			e := c.event(audit.SettingsChanged, c.IntN(greatOperators))
			e.Detail = map[string]string{"protected": oidOf(c.IntN(greatPeople))}
			c.add(e)
		}
		c.at = c.at.Add(time.Duration(c.ExpFloat64() * float64(14*time.Minute)))
		if len(c.events) >= 2000 { // between runs: the store counts the events of a run that is not its own in one batch
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return c.flush()
}

func (c *chronicle) event(kind audit.Kind, operator int) audit.Event {
	p := greatPerson(operator)
	p.TID, p.Address, p.Roles = tenant, "192.0.2.44", []string{"Evict.Responder"}
	return audit.Event{
		ID: c.id(), Time: audit.FormatTime(c.at), Kind: kind, Cloud: cloud, Tenant: tenant, Operator: p,
	}
}

// add takes events up, as many as still fit.
func (c *chronicle) add(events ...audit.Event) {
	events = events[:min(len(events), million-c.n)]
	c.n += len(events)
	c.events = append(c.events, events...)
}

// flush writes what was taken up, and seals it.
func (c *chronicle) flush() error {
	if err := c.db.Ledger().Append(c.t.Context(), c.events...); err != nil {
		return err
	}
	c.events = c.events[:0]
	h := head(c.t, c.db)
	p, err := c.signer.Sign(audit.Origin(cloud, tenant), h.Size, h.Root)
	if err != nil {
		return err
	}
	return c.db.Ledger().SaveCheckpoint(c.t.Context(), p, c.at)
}

// id is an id of ours, which tells its time; guid is one of Graph's, which tells nothing.
func (c *chronicle) id() string {
	ms := c.at.UnixMilli()
	return fmt.Sprintf("%08x-%04x-7%03x-8%03x-%012x", ms>>16, ms&0xffff, c.IntN(4096), c.IntN(4096), c.IntN(1<<48))
}

func (c *chronicle) guid() string {
	return fmt.Sprintf("%08x-%04x-4%03x-9%03x-%012x", c.Uint32(), c.IntN(1<<16), c.IntN(4096), c.IntN(4096), c.IntN(1<<48))
}

func (c *chronicle) session() {
	who := c.IntN(greatOperators)
	c.add(c.event(audit.SignedIn, who))
	c.at = c.at.Add(time.Duration(c.IntN(3600)) * time.Second)
	if c.IntN(3) > 0 {
		c.add(c.event(audit.SignedOut, who))
	}
}

// course is a run: who acts, and the words that all its events repeat.
type course struct {
	operator                  int
	run, plan, ticket, reason string
}

func (c *chronicle) of(r course, kind audit.Kind) audit.Event {
	e := c.event(kind, r.operator)
	e.Run, e.Plan, e.Ticket, e.Reason = r.run, r.plan, r.ticket, r.reason
	return e
}

// target is one person's way through a run: three events, of which one now and then tells of a refusal.
func (c *chronicle) target(r course, who int) []audit.Event {
	var list []audit.Event
	proof := audit.Evidence{T0: audit.FormatTime(c.at), Before: audit.FormatTime(c.at.Add(-90 * time.Hour)),
		ClientRequestID: c.id()}
	last, outcome := audit.TargetConfirmed, "confirmed"
	switch c.IntN(400) {
	case 0:
		last, outcome = audit.TargetRefused, "refused"
	case 1:
		last, outcome = audit.TargetUnconfirmed, "unconfirmed"
	}
	for _, step := range []struct {
		kind    audit.Kind
		outcome string
	}{{audit.TargetAttempted, "attempting"}, {audit.TargetAccepted, "accepted"}, {last, outcome}} {
		e, proof := c.of(r, step.kind), proof
		if step.kind != audit.TargetAttempted {
			proof.Status, proof.RequestID = 200, c.guid()
		}
		if step.kind == audit.TargetConfirmed {
			proof.After = audit.FormatTime(c.at)
		}
		e.Target, e.Attempt, e.Outcome, e.Evidence = greatPerson(who), 1, step.outcome, &proof
		list = append(list, e)
		c.at = c.at.Add(3 * time.Millisecond)
	}
	return list
}

func (c *chronicle) course(operator int) course {
	return course{operator: operator, run: c.id(), plan: c.id(), ticket: fmt.Sprintf("INC-%06d", c.n),
		reason: reasons[c.IntN(len(reasons))]}
}

// single is a helpdesk's revocation of one person. The first operator never does that.
func (c *chronicle) single() {
	r := c.course(1 + c.IntN(greatOperators-1))
	c.add(c.of(r, audit.PlanCreated), c.of(r, audit.RunStarted))
	c.add(c.target(r, c.IntN(greatPeople))...)
	c.add(c.of(r, audit.RunFinished))
}

// middling is an incident.
func (c *chronicle) middling(targets int) {
	r := c.course(2 + c.IntN(6))
	previewed := c.of(r, audit.PlanPreviewed)
	previewed.Run, previewed.Plan = "", "" // there is none yet
	c.add(previewed, c.of(r, audit.PlanCreated), c.of(r, audit.RunStarted))
	for range targets {
		c.add(c.target(r, c.IntN(greatPeople))...)
	}
	c.add(c.of(r, audit.RunFinished))
}

// great is a run over everybody, which this database holds.
func (c *chronicle) great(n int, operator string) {
	if err := c.flush(); err != nil {
		c.t.Fatal(err)
	}
	l := launchOf(n*100, operator, oidOf(greatPeople-1))
	launch(c.t, c.db, l)
	c.n++
	r := course{operator: 3, run: string(l.Run.ID), plan: string(l.Plan.ID), ticket: fmt.Sprintf("CRISIS-%d", n),
		reason: "tenant-wide after token theft"}
	for i, who := range c.Perm(greatRun) {
		c.add(c.target(r, who)...)
		if i%256 == 255 { // as its commits do
			if err := c.flush(); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	c.add(c.of(r, audit.RunFinished))
}
