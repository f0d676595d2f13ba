package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/web/templates"
)

const (
	checkpointsPerPage = 10
	checkpointsAtOnce  = 1000 // read together for a download
	verifyAddress      = "/ledger/verify"
)

func (s *Server) showVerify(w http.ResponseWriter, r *http.Request) error {
	live, err := s.verifyLive(r)
	if err != nil {
		return err
	}
	if isFragment(r) {
		return render(w, r, http.StatusOK, templates.VerifyLiveView(live))
	}
	return s.renderVerify(w, r, http.StatusOK, live, templates.ConsistencyForm{})
}

// verifyLive reads what changes while a verification runs.
func (s *Server) verifyLive(r *http.Request) (templates.VerifyLive, error) {
	f := verifyFacts{standing: s.Notary.Standing(), run: s.Notary.Verification(), now: s.Now()}
	var err error
	if f.head, err = s.Trail.Head(r.Context()); err != nil {
		return templates.VerifyLive{}, unreadLedger(err)
	}
	last, ok, err := s.newestVerified(r.Context())
	if err != nil {
		return templates.VerifyLive{}, unreadLedger(err)
	}
	if ok {
		f.last = &last
	}
	live := newVerifyLive(f)
	live.Href, live.Action, live.Nonce = verifyAddress, verifyAddress, at(r).nonce
	return live, nil
}

func unreadLedger(err error) error {
	if errors.Is(err, audit.ErrRemoving) {
		return unavailable("Retention is removing old events just now. Try again in a minute.", err)
	}
	return unavailable("The ledger could not be read: the database does not answer.", err)
}

// renderVerify answers with the whole page. A form that comes back with errors keeps what was typed.
func (s *Server) renderVerify(w http.ResponseWriter, r *http.Request, status int, live templates.VerifyLive, proof templates.ConsistencyForm) error {
	page := templates.VerifyPage{
		Page: s.frame(r, "Verify the ledger"), Live: live, Key: s.verifierKey(r), Proof: proof, Export: "/ledger/export",
	}
	var err error
	if page.Checkpoints, err = s.checkpointPage(r); err != nil {
		return unreadLedger(err)
	}
	rows := page.Checkpoints.Rows
	if len(rows) > 0 {
		page.Proof.Action = "/ledger/consistency"
	}
	if page.Proof.From+page.Proof.To == "" && len(rows) > 1 {
		page.Proof.From, page.Proof.To = sizeOf(rows[len(rows)-1]), sizeOf(rows[0])
	}
	page.Laptop = s.laptopCommands()
	return render(w, r, status, templates.Verify(page))
}

func sizeOf(row templates.CheckpointRow) string { return strings.TrimPrefix(row.ID, "checkpoint-") }

// verifierKey is the key in use, and those before it.
func (s *Server) verifierKey(r *http.Request) templates.VerifierKey {
	k := templates.VerifierKey{Text: s.Notary.Standing().Public}
	if k.Text != "" {
		k.ID = audit.KeyID(k.Text)
	}
	keys, err := s.Notary.Keys(r.Context())
	if err != nil {
		s.Logger.Error("reading the ledger's keys", "request_id", at(r).requestID, "error", err)
		k.Unknown = "The database does not answer."
	}
	for _, key := range keys.Names() {
		if key != k.Text {
			k.Former = append(k.Former, templates.Command{Label: audit.KeyID(key), Text: key})
		}
	}
	return k
}

// checkpointPage reads a page of checkpoints, the newest first.
func (s *Server) checkpointPage(r *http.Request) (templates.CheckpointList, error) {
	var l templates.CheckpointList
	upTo := int64(math.MaxInt64)
	if before, err := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64); err == nil && before > 0 {
		upTo, l.First = before-1, verifyAddress
	}
	for {
		signed, ok, err := s.Trail.LastCheckpoint(r.Context(), upTo)
		if err != nil {
			return l, err
		}
		if !ok {
			break
		}
		if len(l.Rows) == checkpointsPerPage {
			l.Older = verifyAddress + "?before=" + sizeOf(l.Rows[len(l.Rows)-1])
			break
		}
		upTo = signed.Size - 1
		l.Rows = append(l.Rows, templates.CheckpointRow{
			ID: "checkpoint-" + strconv.FormatInt(signed.Size, 10), Events: eventCount(signed.Size), Time: showTime(signed.At, s.Now()),
			Note: signed.Note, Open: len(l.Rows) == 0,
		})
	}
	if len(l.Rows) > 0 {
		l.Download = "/ledger/checkpoints"
	}
	return l, nil
}

// startVerify begins a verification, or joins the one under way.
func (s *Server) startVerify(w http.ResponseWriter, r *http.Request) error {
	if err := s.limits.verify.take(at(r).who.OID); err != nil {
		return err
	}
	s.Notary.Verify(*auditPerson(at(r).who))
	http.Redirect(w, r, verifyAddress, http.StatusSeeOther)
	return nil
}

// laptopCommands verify what was taken away.
func (s *Server) laptopCommands() []templates.Command {
	checkpoints := s.checkpointFile()
	if s.Rehearsal {
		checkpoints = "REHEARSAL-" + checkpoints // as attach names it
	}
	own := "evict audit verify -key verifier.key -checkpoint " + checkpoints
	return []templates.Command{
		{Label: "An export, with the verifier key saved as verifier.key", Text: own + " EXPORT.jsonl"},
		{Label: "A proof between two checkpoints", Text: own + " PROOF.json"},
	}
}

func (s *Server) checkpointFile() string { return "evict-checkpoints-" + s.tenantSlug() + ".txt" }

// listCheckpoints hands out every stored checkpoint, one note after the other.
func (s *Server) listCheckpoints(w http.ResponseWriter, r *http.Request) error {
	out, ctx, cancel := download(w, r)
	defer cancel()
	page, err := s.Trail.Checkpoints(ctx, 0, math.MaxInt64, checkpointsAtOnce)
	if err != nil {
		return unreadLedger(err)
	}
	if len(page) == 0 {
		return fault.New(fault.NotFound, "There is no checkpoint yet.")
	}
	s.attach(w, "text/plain; charset=utf-8", s.checkpointFile())
	for err == nil && len(page) > 0 {
		var notes strings.Builder
		for _, c := range page {
			notes.WriteString(c.Note)
			notes.WriteByte('\n')
		}
		if _, err = io.WriteString(out, notes.String()); err == nil {
			page, err = s.Trail.Checkpoints(ctx, page[len(page)-1].Size, math.MaxInt64, checkpointsAtOnce)
		}
	}
	s.sent(r, err)
	return nil
}

// proveConsistency hands out the proof between two stored checkpoints.
func (s *Server) proveConsistency(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	form := templates.ConsistencyForm{From: r.URL.Query().Get(templates.FieldFrom), To: r.URL.Query().Get(templates.FieldTo)}
	from, wrong, err := s.storedCheckpoint(ctx, form.From)
	if err != nil {
		return unreadLedger(err)
	}
	form.FromError = wrong
	to, wrong, err := s.storedCheckpoint(ctx, form.To)
	if err != nil {
		return unreadLedger(err)
	}
	form.ToError = wrong
	if form.FromError+form.ToError == "" && from.Size >= to.Size {
		form.ToError = "This is not later than the other one."
	}
	if form.FromError+form.ToError == "" {
		var body []byte
		if body, form.ToError, err = s.consistency(ctx, from, to); err != nil {
			return unreadLedger(err)
		}
		if form.ToError == "" {
			name := "evict-consistency-" + strconv.FormatInt(from.Size, 10) + "-" + strconv.FormatInt(to.Size, 10) + ".json"
			s.attach(w, "application/json; charset=utf-8", name)
			_, _ = w.Write(body) // the reader has gone: nobody is left to tell
			return nil
		}
	}
	live, err := s.verifyLive(r)
	if err != nil {
		return err
	}
	return s.renderVerify(w, r, http.StatusUnprocessableEntity, live, form)
}

// storedCheckpoint finds the checkpoint whose size a person typed, or says what is wrong with that.
func (s *Server) storedCheckpoint(ctx context.Context, typed string) (c audit.Signed, wrong string, err error) {
	size, _ := strconv.ParseInt(strings.NewReplacer(",", "", " ", "").Replace(typed), 10, 64)
	if size < 1 { // so is what is no number
		return c, "Give the number of events of a checkpoint.", nil
	}
	c, ok, err := s.Trail.LastCheckpoint(ctx, size)
	switch {
	case err != nil:
		return c, "", err
	case !ok:
		return c, "There is no checkpoint of so few events.", nil
	case c.Size != size:
		return c, "There is no checkpoint of " + eventCount(size) + ". The one before has " + eventCount(c.Size) + ".", nil
	}
	return c, "", nil
}

// consistency makes the file, and checks it: a proof that fails is not handed out as if it were one.
func (s *Server) consistency(ctx context.Context, from, to audit.Signed) (body []byte, wrong string, err error) {
	proof, err := audit.ProveConsistency(from.Size, to.Size, func(indexes []int64) ([]audit.Hash, error) { return s.Trail.Hashes(ctx, indexes) })
	if err != nil {
		return nil, "", err
	}
	if bad := audit.CheckConsistency(proof, to.Size, to.Root, from.Size, from.Root); bad != nil {
		s.Logger.Error("the ledger contradicts a checkpoint", "from", from.Size, "to", to.Size, "error", bad)
		return nil, "The ledger does not lead from one of these checkpoints to the other: it was changed, or a checkpoint was. Verify it now.", nil
	}
	file := audit.Consistency{Version: 1, Origin: audit.Origin(s.Cloud, s.Tenant), From: from.Note, To: to.Note, Proof: proof}
	if s.Rehearsal {
		file.Rehearsal = audit.Rehearsed
	}
	if file.Keys, err = s.Notary.Keys(ctx); err != nil {
		return nil, "", err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b) // ends with a line break
	enc.SetEscapeHTML(false)
	err = enc.Encode(file)
	return b.Bytes(), "", err
}
