package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/revoke"
	"evict/web/templates"
)

const eventsPerPage = 50

func (s *Server) showLedger(w http.ResponseWriter, r *http.Request) error {
	q, filter := ledgerQuery(r.URL.Query())
	page := templates.LedgerPage{Page: s.frame(r, "Ledger"), Filter: filter}
	if at(r).who.Roles.MayOpen("outside") {
		page.OutsideHref = "/outside"
	}
	if filter.FromError != "" || filter.ToError != "" {
		return render(w, r, http.StatusUnprocessableEntity, templates.Ledger(page))
	}
	records, more, err := s.Ledger.Search(r.Context(), q)
	if err != nil {
		return unavailable("The ledger could not be read: the database does not answer.", err)
	}
	for _, rec := range records {
		page.Rows = append(page.Rows, s.ledgerRow(rec))
	}
	page.Older, page.Newer = ledgerPaging(r.URL.Query(), q, records, more)
	return render(w, r, http.StatusOK, templates.Ledger(page))
}

// ledgerQuery reads the filter from the address. Times that make no sense come back with their error.
func ledgerQuery(v url.Values) (audit.Query, templates.LedgerFilter) {
	f := templates.LedgerFilter{
		Action: "/ledger", Operator: v.Get(templates.FieldOperator), Target: v.Get(templates.FieldTarget),
		Kind: v.Get(templates.FieldKind), From: v.Get(templates.FieldFrom), To: v.Get(templates.FieldTo),
	}
	for _, k := range audit.Kinds() {
		f.Kinds = append(f.Kinds, templates.Option{Value: string(k), Label: kindWords(k)})
	}
	q := audit.Query{
		Operator: strings.TrimSpace(f.Operator), Target: strings.TrimSpace(f.Target), Kind: audit.Kind(f.Kind),
		Run: v.Get("run"), Limit: eventsPerPage,
	}
	var err error
	if q.From, err = formTime(f.From); err != nil {
		f.FromError = "This is " + err.Error() + "."
	}
	if q.To, err = formTime(f.To); err != nil {
		f.ToError = "This is " + err.Error() + "."
	}
	q.Before, _ = strconv.ParseInt(v.Get("before"), 10, 64) // what is no number starts at the newest
	q.After, _ = strconv.ParseInt(v.Get("after"), 10, 64)
	f.Active = f.Operator+f.Target+f.Kind+f.From+f.To+q.Run != ""
	return q, f
}

// ledgerPaging makes the stable addresses of the neighbouring pages.
func ledgerPaging(v url.Values, q audit.Query, records []audit.Record, more bool) (older, newer string) {
	if len(records) == 0 {
		return "", ""
	}
	link := func(key string, seq int64) string {
		next := url.Values{}
		for k := range v {
			if k != "before" && k != "after" && v.Get(k) != "" {
				next.Set(k, v.Get(k))
			}
		}
		next.Set(key, strconv.FormatInt(seq, 10))
		return "/ledger?" + next.Encode()
	}
	first, last := records[0].Seq, records[len(records)-1].Seq
	if more || q.After > 0 {
		older = link("before", last)
	}
	if q.Before > 0 || q.After > 0 && more {
		newer = link("after", first)
	}
	return older, newer
}

func (s *Server) ledgerRow(rec audit.Record) templates.LedgerRow {
	e := rec.Event
	row := templates.LedgerRow{
		Seq: strconv.FormatInt(rec.Seq, 10), Href: "/ledger/" + strconv.FormatInt(rec.Seq, 10), Kind: eventWords(e),
		Operator: showPerson(e.Operator), Target: showPerson(e.Target), Outcome: rowOutcome(e),
		Reason: e.Reason, Ticket: e.Ticket,
	}
	if t, err := audit.ParseTime(e.Time); err == nil {
		row.Time = showTime(t, s.Now())
	}
	return row
}

// eventWords says what an event tells, without its outcome: "target", "run finished".
func eventWords(e audit.Event) string {
	if rowOutcome(e) == "" {
		return kindWords(e.Kind)
	}
	if e.Outcome == string(revoke.Pending) {
		return "target, to be tried again"
	}
	return "target"
}

// rowOutcome is how an attempt on a target ended; "" for every other event.
func rowOutcome(e audit.Event) templates.Outcome {
	switch e.Kind {
	case audit.TargetConfirmed:
		return templates.OutcomeConfirmed
	case audit.TargetUnconfirmed:
		return templates.OutcomeUnconfirmed
	case audit.TargetNotCovered:
		return templates.OutcomeNotCovered
	case audit.TargetRefused:
		return templates.OutcomeRefused
	case audit.TargetFailed:
		return templates.OutcomeFailed
	case audit.TargetSkipped:
		return templates.OutcomeSkipped
	default:
		return ""
	}
}

func showPerson(p *audit.Person) templates.Person {
	if p == nil {
		return templates.Person{}
	}
	return templates.Person{Name: p.Name, UPN: p.UPN, ID: p.OID}
}

// kindWords says a kind for people: "target attempted".
func kindWords(k audit.Kind) string {
	return strings.NewReplacer(".", " ", "_", " ").Replace(string(k))
}

func (s *Server) showEvent(w http.ResponseWriter, r *http.Request) error {
	seq, err := strconv.ParseInt(chi.URLParam(r, "seq"), 10, 64)
	if err != nil || seq < 1 {
		return fault.New(fault.NotFound, "There is no such event.")
	}
	rec, err := s.Ledger.Event(r.Context(), seq)
	if err != nil {
		return err
	}
	page := newEventPage(rec)
	page.Page = s.frame(r, "Event "+page.Seq)
	if t, err := audit.ParseTime(rec.Event.Time); err == nil {
		page.Time = showTime(t, s.Now())
	}
	if seq > 1 {
		page.Prev = "/ledger/" + strconv.FormatInt(seq-1, 10)
	}
	if _, err := s.Ledger.Event(r.Context(), seq+1); err == nil {
		page.Next = "/ledger/" + strconv.FormatInt(seq+1, 10)
	}
	if !at(r).who.Roles.MayOpen("user") {
		page.TargetHref = ""
	}
	return render(w, r, http.StatusOK, templates.Event(page))
}

// newEventPage shows every field of an event, made from its stored bytes.
func newEventPage(rec audit.Record) templates.EventPage {
	e := rec.Event
	page := templates.EventPage{
		Seq: strconv.FormatInt(rec.Seq, 10), Kind: eventWords(e), Outcome: rowOutcome(e), JSON: string(rec.Body),
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
	add("Event id", e.ID, true)
	add("Cloud and tenant", e.Cloud+" · "+e.Tenant, false)
	person("Operator", e.Operator)
	person("Target", e.Target)
	add("Reason", e.Reason, false)
	add("Ticket", e.Ticket, false)
	if e.Attempt > 0 {
		add("Attempt", strconv.Itoa(e.Attempt), false)
	}
	evidenceFields(add, e.Evidence)
	for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
		add(upperFirst(kindWords(audit.Kind(k))), e.Detail[k], false)
	}
	add("Plan", e.Plan, true)
	add("Run", e.Run, true)
	if e.Run != "" {
		page.RunHref = "/runs/" + e.Run
	}
	if e.Target != nil && e.Target.OID != "" {
		page.TargetHref = "/users/" + e.Target.OID
	}
	return page
}

func evidenceFields(add func(label, text string, id bool), ev *audit.Evidence) {
	if ev == nil {
		return
	}
	add("Attempt, on Graph's clock", ev.T0, false)
	add("Valid from, before", ev.Before, false)
	add("Valid from, read back", ev.After, false)
	if ev.Status != 0 {
		add("Answer", strconv.Itoa(ev.Status), false)
	}
	add("Error code", ev.Code, false)
	add("Message", ev.Message, false)
	add("Settled", ev.Settled, false)
	add("Graph request id", ev.RequestID, true)
	add("Our request id", ev.ClientRequestID, true)
}
