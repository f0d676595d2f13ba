package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/web/templates"
)

func (s *Server) showEvent(w http.ResponseWriter, r *http.Request) error {
	seq, err := strconv.ParseInt(chi.URLParam(r, "seq"), 10, 64)
	if err != nil || seq < 1 {
		return fault.New(fault.NotFound, "There is no such event.")
	}
	rec, err := s.Ledger.Event(r.Context(), seq)
	if err != nil {
		return s.missingEvent(r, seq, err)
	}
	page := newEventPage(rec)
	page.Page, page.Time = s.frame(r, "Event "+page.Seq), s.eventTime(rec.Event)
	if seq > 1 {
		page.Prev = eventHref(seq - 1)
	}
	if _, err := s.Ledger.Event(r.Context(), seq+1); err == nil {
		page.Next = eventHref(seq + 1)
	}
	page.Stories = eventStories(rec.Event, at(r).who.Roles.MayOpen)
	s.proveEvent(r, rec, &page)
	return render(w, r, http.StatusOK, templates.Event(page))
}

// missingEvent tells an event that retention removed from one that never was.
func (s *Server) missingEvent(r *http.Request, seq int64, err error) error {
	if fault.KindOf(err) != fault.NotFound {
		return unreadLedger(err)
	}
	if s.Trail != nil {
		if head, e := s.Trail.Head(r.Context()); e == nil && seq <= head.Removed {
			return fault.Wrap(fault.NotFound, "Event "+thousands(int(seq))+" was removed by retention, and that removal is itself an event. "+
				"Its hash is still in the tree, so that what came after it can be proven.", err)
		}
	}
	return err
}

// eventStories leads from an event to what it is part of.
func eventStories(e audit.Event, may func(route string) bool) (out []templates.Link) {
	if e.Run != "" {
		out = append(out, templates.Link{Label: "The run's story", Href: runStory(e.Run)})
	}
	if target := inStory(e.Target); target.Href != "" {
		out = append(out, templates.Link{Label: "The target's story", Href: target.Href})
		if may("user") {
			out = append(out, templates.Link{Label: "User card", Href: "/users/" + target.ID})
		}
	}
	if by := inStory(e.Operator); by.Href != "" {
		out = append(out, templates.Link{Label: "The operator's story", Href: by.Href})
	}
	return out
}

// proveEvent says whether the tree holds these very bytes, and whether a signed checkpoint covers them.
func (s *Server) proveEvent(r *http.Request, rec audit.Record, page *templates.EventPage) {
	leaf := audit.LeafHash(rec.Body)
	page.LeafHash = leaf.String()
	if at(r).who.Roles.MayOpen("ledger.export") {
		page.Export = &templates.ExportForm{
			Action: "/ledger/export", Hidden: []templates.Hidden{{Name: templates.FieldSeq, Value: page.Seq}},
			Label: "Take away with its proof", Format: string(audit.JSONLines),
		}
	}
	if s.Trail == nil || s.Notary == nil {
		return
	}
	stored, err := s.Trail.Hashes(r.Context(), []int64{audit.LeafIndex(rec.Seq)})
	switch {
	case err != nil || len(stored) != 1:
		s.Logger.Warn("reading the hash of an event", "seq", rec.Seq, "request_id", at(r).requestID, "error", err)
		page.Tree = templates.Note{Title: "The tree could not be read", Text: "Whether it holds these bytes is not known."}
	case stored[0] != leaf:
		alterPage(page, "The tree holds the hash of other bytes: "+stored[0].String()+".")
		return // what a checkpoint covers is not these bytes
	case rec.Event.Kind == noEvent:
		alterPage(page, "These bytes are no event, and the tree was altered with them.")
		return
	default:
		page.Tree = templates.Note{Tone: templates.ToneOK, Title: "In the tree", Text: "The tree holds the hash of these bytes."}
	}
	page.Covered = coveredNote(s.Notary.Standing(), rec.Seq, s.Now())
}

// alterPage makes the page of an event that was altered: what its bytes claim is not shown as what happened.
func alterPage(page *templates.EventPage, why string) {
	page.Altered = templates.Note{
		Tone: templates.ToneNo, Title: "This event was altered", Text: why + " What stands below is what the altered bytes say, not what was recorded.",
		Link: templates.Link{Label: "Verify the whole ledger", Href: "/ledger/verify"},
	}
	page.Outcome, page.Time = "", templates.Time{}
	if len(page.Fields) > 0 {
		page.Kind = "Altered event"
	}
	if page.Export != nil {
		page.Export.Label = "Take away as it stands"
	}
}

// coveredNote says whether the newest signed checkpoint covers an event.
func coveredNote(st audit.Standing, seq int64, now time.Time) templates.Note {
	switch {
	case len(st.Problems) > 0 && st.Signed.Size < seq:
		return templates.Note{
			Tone: templates.ToneNo, Title: "Not signed", Text: "Something is wrong with the ledger, and nothing is signed while it is so.",
			Link: templates.Link{Label: "What is wrong", Href: "/ledger/verify"},
		}
	case st.Signed.Size < seq:
		return templates.Note{Title: "Not signed yet", Text: "No signed checkpoint covers this event so far. The next one does, within about five minutes."}
	default:
		return templates.Note{
			Tone: templates.ToneOK, Title: "Signed", Text: "The newest signed checkpoint covers it: the ledger is " + signedWords(st, now) + ".",
			Link: templates.Link{Label: "Verify", Href: "/ledger/verify"},
		}
	}
}

// newEventPage shows every field of an event, made from its stored bytes.
func newEventPage(rec audit.Record) templates.EventPage {
	e := rec.Event
	page := templates.EventPage{
		Seq: strconv.FormatInt(rec.Seq, 10), Kind: upperFirst(eventWords(e)), Outcome: rowOutcome(e), JSON: bodyText(rec.Body),
	}
	if e.Kind == noEvent {
		return page
	}
	add := func(label, text string, id bool) {
		if text != "" {
			page.Fields = append(page.Fields, templates.Fact{Label: label, Value: templates.Value{Text: text, Mono: id, Copy: id}})
		}
	}
	person := func(label string, p *audit.Person) {
		if p == nil {
			return
		}
		add(label, joinNonEmpty(" · ", p.Name, p.UPN), false)
		add(label+" object id", p.OID, true)
		add(label+" console roles", strings.Join(p.Roles, ", "), false)
		add(label+" address", p.Address, false)
	}
	add("Kind", string(e.Kind), false)
	add("Event id", e.ID, true)
	add("Cloud and tenant", e.Cloud+" · "+e.Tenant, false)
	person("Operator", e.Operator)
	person("Target", e.Target)
	add("Reason", e.Reason, false)
	add("Ticket", e.Ticket, false)
	if e.Attempt > 0 {
		add("Attempt", strconv.Itoa(e.Attempt), false)
	}
	add("Outcome", e.Outcome, false)
	evidenceFields(add, e.Evidence)
	for _, f := range details(e) {
		add(f.label, e.Detail[f.name], f.name == "sha256")
	}
	add("Plan", e.Plan, true)
	add("Run", e.Run, true)
	return page
}

// bodyText is the bytes of an event. In ones that are no text, which are none of ours, those that are none are written out.
func bodyText(body []byte) string {
	if utf8.Valid(body) {
		return string(body)
	}
	var b strings.Builder
	for len(body) > 0 {
		r, n := utf8.DecodeRune(body)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, body[0])
		} else {
			b.WriteRune(r)
		}
		body = body[n:]
	}
	return b.String()
}

func evidenceFields(add func(label, text string, id bool), ev *audit.Evidence) {
	if ev == nil {
		return
	}
	add("Attempt, on Graph's clock", ev.T0, false)
	add("Valid from, before", ev.Before, false)
	add("Valid from, read back", ev.After, false)
	if ev.T0 != "" && ev.After != "" {
		add("How these compare", stampedWords, false)
	}
	if ev.Status != 0 {
		add("Answer", strconv.Itoa(ev.Status), false)
	}
	add("Error code", ev.Code, false)
	add("Message", ev.Message, false)
	add("Settled", ev.Settled, false)
	add("Graph request id", ev.RequestID, true)
	add("Our request id", ev.ClientRequestID, true)
}
