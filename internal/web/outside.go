package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/revoke"
	"evict/web/templates"
)

func (s *Server) showOutside(w http.ResponseWriter, r *http.Request) error {
	page := s.outsidePage(r)
	page.Who = r.URL.Query().Get(templates.FieldWho)
	return render(w, r, http.StatusOK, templates.Outside(page))
}

func (s *Server) outsidePage(r *http.Request) templates.OutsidePage {
	return templates.OutsidePage{
		Page: s.frame(r, "Record an outside action"), Action: "/outside",
		Hows: []templates.Option{
			{Value: "PowerShell", Label: "Microsoft Graph PowerShell"}, {Value: "Graph", Label: "Microsoft Graph directly"},
			{Value: "Entra admin center", Label: "Entra admin center"}, {Value: "other", Label: "Another way (say in the reason)"},
		},
	}
}

// recordOutside writes down a revocation that was done without Evict. Who it was comes from Entra, not from the form.
func (s *Server) recordOutside(w http.ResponseWriter, r *http.Request) error {
	v := at(r)
	page := s.outsidePage(r)
	page.Who, page.When = strings.TrimSpace(r.PostFormValue(templates.FieldWho)), r.PostFormValue(templates.FieldWhen)
	page.How, page.Reason = r.PostFormValue(templates.FieldHow), r.PostFormValue(templates.FieldReason)
	page.Ticket = r.PostFormValue(templates.FieldTicket)
	when := checkOutside(&page, s.Now())
	if page.WhoError == "" {
		user, _, err := s.Users.User(r.Context(), v.session.Tokens(), page.Who)
		switch {
		case noSuchUser(err):
			page.WhoError = "There is no user with this sign-in name or object id."
		case err != nil:
			return err
		case outsideOK(page):
			return s.writeOutside(w, r, page, audit.Person{OID: user.ID, UPN: user.UPN, Name: user.Name}, when)
		}
	}
	return render(w, r, http.StatusUnprocessableEntity, templates.Outside(page))
}

func noSuchUser(err error) bool {
	call, ok := errors.AsType[*directory.CallError](err)
	kind := fault.KindOf(err)
	return kind == fault.NotFound || kind == fault.Invalid || ok && (call.Status == http.StatusNotFound || call.Status == http.StatusBadRequest)
}

func outsideOK(p templates.OutsidePage) bool {
	return p.WhoError+p.WhenError+p.HowError+p.ReasonError+p.TicketError == ""
}

// checkOutside puts an error beside each field that is wrong, and returns when the action was done.
func checkOutside(p *templates.OutsidePage, now time.Time) time.Time {
	when, err := formTime(p.When)
	switch {
	case err != nil || when.IsZero():
		p.WhenError = "Say when, in UTC, like 2026-11-23T14:05."
	case when.After(now.Add(time.Minute)):
		p.WhenError = "This lies in the future. Times here are UTC."
	}
	if p.Who == "" {
		p.WhoError = "Say who: the sign-in name or the object id."
	}
	known := false
	for _, o := range p.Hows {
		known = known || o.Value == p.How
	}
	if !known {
		p.HowError = "Choose how it was done."
	}
	p.Reason, p.Ticket, err = revoke.CleanWords(p.Reason, p.Ticket)
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Field == templates.FieldTicket {
		p.TicketError = e.Message
	} else if ok {
		p.ReasonError = e.Message
	}
	return when
}

func (s *Server) writeOutside(w http.ResponseWriter, r *http.Request, p templates.OutsidePage, target audit.Person, when time.Time) error {
	err := s.Ledger.Append(r.Context(), audit.Event{
		ID: s.NewID(), Time: audit.FormatTime(s.Now()), Kind: audit.OutsideAction, Cloud: s.Cloud, Tenant: s.Tenant,
		Operator: auditPerson(at(r).who), Target: &target, Reason: p.Reason, Ticket: p.Ticket, Outcome: "recorded by hand",
		Detail: map[string]string{"done_at": audit.FormatTime(when), "how": p.How},
	})
	if err != nil {
		return unavailable("The ledger could not be written, so this is not recorded yet. What you typed is below.", err)
	}
	http.Redirect(w, r, "/users/"+target.OID+"?recorded=1", http.StatusSeeOther)
	return nil
}

// receiptFor is how long a record just made is shown on the user card.
const receiptFor = 10 * time.Minute

// receipt confirms from the ledger itself that the operator's record about this person stands in it.
func (s *Server) receipt(r *http.Request, oid string) *templates.Flash {
	if r.URL.Query().Get("recorded") == "" {
		return nil
	}
	newest, err := s.Ledger.Search(r.Context(), audit.Query{
		Operator: at(r).who.OID, Target: oid, Kind: audit.OutsideAction, From: s.Now().Add(-receiptFor), Limit: 1,
	})
	if err != nil || len(newest.Records) == 0 || newest.Records[0].Event.Kind == "" {
		return nil
	}
	e := newest.Records[0]
	return &templates.Flash{Tone: templates.ToneOK, Text: "Recorded in the ledger as event " + strconv.FormatInt(e.Seq, 10) +
		": a revocation done outside Evict, by " + e.Event.Detail["how"] + ", at " + e.Event.Detail["done_at"] + "."}
}
