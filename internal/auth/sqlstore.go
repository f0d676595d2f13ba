package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/sessions"

	"evict/internal/audit"
	"evict/internal/operator"
)

const (
	purposeSession = "session"
	purposeCache   = "session token cache"
)

// state is what a session row seals.
type state struct {
	OID      string           `json:"oid"`
	TID      string           `json:"tid"`
	UPN      string           `json:"upn"`
	Name     string           `json:"name"`
	Roles    []string         `json:"roles"`
	SignedIn time.Time        `json:"signed_in"`
	Expires  time.Time        `json:"expires"`
	Drafts   map[string]draft `json:"drafts,omitempty"`
}

func (s state) operator() operator.Operator {
	return operator.Operator{OID: s.OID, TID: s.TID, UPN: s.UPN, Name: s.Name, Roles: operator.ParseRoles(s.Roles)}
}

// record is a session in memory: its row, what the row seals, and the ticket that opens it.
type record struct {
	ticket   ticket
	row      SessionRow
	state    state
	replaces []byte        // when it is inserted
	events   []audit.Event // when it is inserted or deleted
}

// recordKey is where a gorilla session keeps its record.
type recordKey struct{}

func recordOf(gs *sessions.Session) *record {
	rec, _ := gs.Values[recordKey{}].(*record)
	return rec
}

func (t ticket) hash() []byte {
	h := sha256.Sum256(t.id)
	return h[:]
}

// bind names what a row's sealed parts belong to, so that they open nowhere else.
func (s *Service) bind(row SessionRow) []string {
	return []string{hex.EncodeToString(row.IDHash), s.cloud.Name, s.tenant, s.clientID, row.OID}
}

// sqlStore is the gorilla store of the console's sessions, over a SessionStore. The cookie holds a ticket.
type sqlStore struct{ svc *Service }

var _ sessions.Store = (*sqlStore)(nil)

// Get implements sessions.Store.
func (st *sqlStore) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(st, name)
}

// New implements sessions.Store: it reads the session that the request's cookie opens. Without a cookie the session is
// new; with one that opens nothing the error is ErrNoSession. It does not look at the time limits.
func (st *sqlStore) New(r *http.Request, name string) (*sessions.Session, error) {
	gs := sessions.NewSession(st, name)
	gs.IsNew, gs.Options = true, st.svc.names.options(0)
	c, err := r.Cookie(name)
	if errors.Is(err, http.ErrNoCookie) {
		return gs, nil
	}
	if err != nil {
		return gs, ErrNoSession
	}
	t, ok := parseTicket(c.Value)
	if !ok {
		return gs, ErrNoSession
	}
	rec, err := st.svc.read(r.Context(), t)
	if err != nil {
		return gs, err
	}
	gs.IsNew, gs.Values[recordKey{}] = false, rec
	return gs, nil
}

// Save implements sessions.Store. A negative MaxAge deletes the row and the cookie.
func (st *sqlStore) Save(r *http.Request, w http.ResponseWriter, gs *sessions.Session) error {
	rec := recordOf(gs)
	if rec == nil {
		return errors.New("the session has no record")
	}
	if gs.Options.MaxAge < 0 {
		http.SetCookie(w, sessions.NewCookie(gs.Name(), "", gs.Options))
		return st.svc.rows.SignOut(r.Context(), rec.row.IDHash, rec.events)
	}
	if err := st.svc.sealState(rec); err != nil {
		return err
	}
	if !gs.IsNew {
		return st.svc.rows.Update(r.Context(), rec.row)
	}
	if err := st.svc.rows.SignIn(r.Context(), rec.row, rec.replaces, rec.events); err != nil {
		return err
	}
	http.SetCookie(w, sessions.NewCookie(gs.Name(), rec.ticket.value(), gs.Options))
	return nil
}

func (s *Service) sealState(rec *record) error {
	plain, err := json.Marshal(rec.state)
	if err != nil {
		return fmt.Errorf("writing the session: %w", err)
	}
	rec.row.Sealed, err = s.keys.seal(rec.ticket.key, purposeSession, plain, s.bind(rec.row))
	return err
}

// read returns the session that a ticket opens; ErrNoSession when there is none, or when its row does not open.
func (s *Service) read(ctx context.Context, t ticket) (*record, error) {
	hash := t.hash()
	row, err := s.rows.Session(ctx, hash)
	if err != nil {
		return nil, err
	}
	rec := &record{ticket: t, row: row}
	rec.row.IDHash = hash // what was asked for, whatever the row says
	plain, err := s.keys.open(t.key, purposeSession, row.Sealed, s.bind(rec.row))
	if err != nil {
		s.log.WarnContext(ctx, "a session row does not open", "oid", row.OID, "error", err)
		return nil, ErrNoSession
	}
	if err := json.Unmarshal(plain, &rec.state); err != nil || rec.state.OID != row.OID {
		s.log.WarnContext(ctx, "a session row does not fit its content", "oid", row.OID)
		return nil, ErrNoSession
	}
	return rec, nil
}

// modify changes a session's row as it is now: it reads it anew, has it changed, and writes it. Within a process
// changes of one session wait for each other. Between processes the last one wins, which can cost a draft or a cached
// token and nothing else; a session that has ended stays ended (SessionStore.Update).
func (s *Service) modify(ctx context.Context, t ticket, change func(*record) error) error {
	unlock, err := s.locks.lock(ctx, "row "+string(t.id))
	if err != nil {
		return err
	}
	defer unlock()
	rec, err := s.read(ctx, t)
	if err != nil {
		return err
	}
	if err := change(rec); err != nil {
		return err
	}
	return s.rows.Update(ctx, rec.row)
}
