package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"evict/internal/audit"
	"evict/internal/revoke"
	"evict/web/templates"
)

const eventsPerPage = 50

func (s *Server) showLedger(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	q, filter := ledgerQuery(v)
	page := templates.LedgerPage{
		Page: s.frame(r, "Ledger"), Filter: filter, Actions: ledgerActions(r), Standing: s.ledgerStanding(r),
		Title: "Events", Views: ledgerViews(v, q), ViewNote: viewNote(q), Export: exportOf(r, ledgerFields(v)),
	}
	if at(r).who.Roles.MayOpen("outside") {
		page.OutsideHref = "/outside"
	}
	if filter.FromError+filter.ToError+filter.KindError != "" {
		page.Export, page.Views = nil, nil
		return render(w, r, http.StatusUnprocessableEntity, templates.Ledger(page))
	}
	found, days, err := s.searchLedger(r, q)
	if err != nil {
		return err
	}
	day := s.dayOf(r.Context(), days.SearchedTo)
	page.Days, page.Found = dayChart(days, v, q, day), foundWords(days, filter.Active, q.Folded, day)
	if q.Folded {
		page.Rows = s.foldedRows(r, found.Records, v, v.Get(templates.FieldOpen))
	} else {
		page.Rows = s.ledgerRows(found.Records, q.Run == "")
	}
	list := listPages{address: "/ledger", values: v, query: q, found: found}
	page.Older, page.Newer = list.older("before"), list.newer("after")
	page.Searched, page.Further = s.searched(r.Context(), list)
	return render(w, r, http.StatusOK, templates.Ledger(page))
}

// searchLedger reads a page of events and, for the first one, how many there are on each day: side by side, since
// neither needs the other.
func (s *Server) searchLedger(r *http.Request, q audit.Query) (found audit.Found, days audit.Histogram, err error) {
	g, ctx := errgroup.WithContext(r.Context())
	g.Go(func() error {
		var err error
		if found, err = s.Ledger.Search(ctx, q); err != nil {
			return unreadLedger(err)
		}
		return nil
	})
	if q.Before == 0 && q.After == 0 {
		g.Go(func() error {
			all := q
			all.Folded = false // what happened on a day, whatever the list folds
			var err error
			if days, err = s.Ledger.Histogram(ctx, all); err != nil { // the list is worth having without
				s.Logger.Warn("counting events by day", "request_id", at(r).requestID, "error", err)
			}
			return nil
		})
	}
	return found, days, g.Wait()
}

// ledgerActions leads to the other pages of the ledger, as far as this person may open them.
func ledgerActions(r *http.Request) (out []templates.Link) {
	for _, l := range []struct{ route, label, href string }{
		{"ledger.verify", "Verify", "/ledger/verify"}, {"ledger.reconcile", "Compare with Entra", "/ledger/reconcile"},
		{"ledger.about", "How to read this", "/ledger/about"},
	} {
		if at(r).who.Roles.MayOpen(l.route) {
			out = append(out, templates.Link{Label: l.label, Href: l.href})
		}
	}
	return out
}

// exportOf is the form that takes away what the given fields select; nil for who may not.
func exportOf(r *http.Request, fields url.Values) *templates.ExportForm {
	if !at(r).who.Roles.MayOpen("ledger.export") {
		return nil
	}
	f := &templates.ExportForm{Action: "/ledger/export"}
	for _, name := range filterFields() {
		if fields.Get(name) != "" {
			f.Hidden = append(f.Hidden, templates.Hidden{Name: name, Value: fields.Get(name)})
		}
	}
	return f
}

// filterFields are the parameters that say which events are meant.
func filterFields() []string {
	return []string{
		templates.FieldText, templates.FieldOperator, templates.FieldTarget, templates.FieldPerson, templates.FieldKind, templates.FieldOutcome,
		templates.FieldTicket, templates.FieldRun, templates.FieldFrom, templates.FieldTo,
	}
}

// ledgerFields is what an address says about which events are meant, and how to show them, without the place in the
// list.
func ledgerFields(v url.Values) url.Values {
	out := url.Values{}
	for _, name := range append(filterFields(), templates.FieldView) {
		if v.Get(name) != "" {
			out.Set(name, v.Get(name))
		}
	}
	return out
}

// ledgerAddress is the ledger's page with some of these fields changed; "" takes one out.
func ledgerAddress(v url.Values, changed ...string) string {
	fields := ledgerFields(v)
	for i := 0; i+1 < len(changed); i += 2 {
		fields.Del(changed[i])
		if changed[i+1] != "" {
			fields.Set(changed[i], changed[i+1])
		}
	}
	return address("/ledger", fields)
}

func address(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

// ledgerQuery reads the filter from the parameters of the ledger's page, or from a form that has the same fields. Times
// that make no sense, and a kind that there is not, come back with their error. Runs are folded where no filter looks inside them.
func ledgerQuery(v url.Values) (audit.Query, templates.LedgerFilter) {
	f := templates.LedgerFilter{
		Action: "/ledger", Text: v.Get(templates.FieldText), Operator: v.Get(templates.FieldOperator), Target: v.Get(templates.FieldTarget),
		Kind: v.Get(templates.FieldKind), Outcome: v.Get(templates.FieldOutcome), Ticket: v.Get(templates.FieldTicket),
		Run: v.Get(templates.FieldRun), From: v.Get(templates.FieldFrom), To: v.Get(templates.FieldTo),
	}
	f.Kinds, f.Outcomes = kindOptions(), outcomeOptions(f.Outcome)
	if f.Kind != "" && !slices.Contains(audit.Kinds(), audit.Kind(f.Kind)) {
		f.KindError = "There is no such kind: " + cut(f.Kind, 60) + "."
	}
	q := audit.Query{
		Text: strings.TrimSpace(f.Text), Operator: strings.TrimSpace(f.Operator), Target: strings.TrimSpace(f.Target),
		Person: strings.TrimSpace(v.Get(templates.FieldPerson)), Kind: audit.Kind(f.Kind), Outcome: f.Outcome,
		Ticket: strings.TrimSpace(f.Ticket), Run: strings.TrimSpace(f.Run), Limit: eventsPerPage,
	}
	var err error
	if q.From, err = formTime(f.From); err != nil {
		f.FromError = "This is " + err.Error() + "."
	} else {
		f.From = barTime(q.From) // the input holds no other form, and would send nothing
	}
	if q.To, err = formTime(f.To); err != nil {
		f.ToError = "This is " + err.Error() + "."
	} else {
		f.To = barTime(q.To)
	}
	if f.FromError+f.ToError == "" && !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		f.ToError = "The end lies before the beginning."
	}
	q.Before, _ = strconv.ParseInt(v.Get("before"), 10, 64) // what is no number starts at the newest
	q.After, _ = strconv.ParseInt(v.Get("after"), 10, 64)
	f.Active = f.Text+f.Operator+f.Target+f.Kind+f.Outcome+f.Ticket+f.Run+f.From+f.To+q.Person != ""
	q.Folded = v.Get(templates.FieldView) != templates.ViewAll && foldable(q)
	if q.Person != "" {
		f.Person, f.Everybody = inStory(&audit.Person{OID: q.Person}), ledgerAddress(v, templates.FieldPerson, "")
	}
	for _, name := range []string{templates.FieldPerson, templates.FieldView} {
		if v.Get(name) != "" {
			f.Hidden = append(f.Hidden, templates.Hidden{Name: name, Value: v.Get(name)})
		}
	}
	return q, f
}

// foldable reports whether no filter looks for something inside a run.
func foldable(q audit.Query) bool {
	return q.Text+q.Target+q.Person+string(q.Kind)+q.Outcome+q.Run == ""
}

// ledgerViews offers the list folded and whole, where it can be folded.
func ledgerViews(v url.Values, q audit.Query) []templates.Count {
	if !foldable(q) {
		return nil
	}
	return []templates.Count{
		{Label: "Folded", Href: ledgerAddress(v, templates.FieldView, ""), Current: q.Folded},
		{Label: "Every event", Href: ledgerAddress(v, templates.FieldView, templates.ViewAll), Current: !q.Folded},
	}
}

// viewNote says what a folded list leaves out under this filter.
func viewNote(q audit.Query) string {
	switch {
	case !q.Folded:
		return ""
	case q.Operator != "":
		return "Each run is one line, with whoever started it. What somebody did to another's run stands under Every event."
	case !q.From.IsZero() || !q.To.IsZero():
		return "Each run is one line, at the time when it started. What a run did later stands under Every event."
	default:
		return "Each run is one line, where it started."
	}
}

// outcomeOptions are the states that events tell of. One that is not among them is offered as it was asked for.
func outcomeOptions(asked string) []templates.Option {
	var out []templates.Option
	for _, o := range []string{
		string(revoke.Confirmed), string(revoke.Accepted), string(revoke.Unconfirmed), string(revoke.NotCovered), string(revoke.Refused),
		string(revoke.Failed), string(revoke.Skipped), string(revoke.Cancelled), string(revoke.Attempting), string(revoke.Pending),
		string(revoke.RunRunning), string(revoke.RunPaused), string(revoke.RunFinished), intact, "problems", audit.Agrees, audit.Differs, audit.Unclear,
	} {
		out = append(out, templates.Option{Value: o, Label: o})
	}
	return withAsked(out, asked)
}

func withAsked(options []templates.Option, asked string) []templates.Option {
	for _, o := range options {
		if o.Value == asked {
			return options
		}
	}
	if asked == "" {
		return options
	}
	return append(options, templates.Option{Value: asked, Label: cut(asked, 60)})
}

// ledgerStanding says where the ledger stands: how many events there are, how far they are signed, and what is wrong.
func (s *Server) ledgerStanding(r *http.Request) templates.LedgerStanding {
	var out templates.LedgerStanding
	if s.Notary == nil || s.Trail == nil {
		return out
	}
	if at(r).who.Roles.MayOpen("ledger.verify") {
		out.VerifyHref = "/ledger/verify"
	}
	standing := s.Notary.Standing()
	head, err := s.Trail.Head(r.Context())
	if err != nil {
		s.Logger.Warn("reading the head of the ledger", "request_id", at(r).requestID, "error", err)
		out.Text = "How many events there are could not be read · " + signedWords(standing, s.Now())
	} else {
		out.Text = counted(int(head.Size), "event") + " · " + signedWords(standing, s.Now())
	}
	for i, p := range standing.Problems {
		if i == alarmsShown {
			out.More = "And " + thousands(len(standing.Problems)-alarmsShown) + " more."
			break
		}
		out.Problems = append(out.Problems, p.Text)
	}
	out.Unkept, out.Verified = standing.Unkept, s.verdict(r)
	if out.Verified.Title == "" {
		out.Verified = s.newestRollback(r)
	}
	return out
}

const alarmsShown = 5

func signedWords(st audit.Standing, now time.Time) string {
	if st.Signed.Size == 0 {
		return "no signed checkpoint yet"
	}
	words := "signed up to " + thousands(int(st.Signed.Size))
	if st.SignedAt.IsZero() {
		return words
	}
	when := clockTime(st.SignedAt)
	if y, m, d := st.SignedAt.UTC().Date(); now.UTC().Day() != d || now.UTC().Month() != m || now.UTC().Year() != y {
		when = st.SignedAt.UTC().Format("2 Jan 2006 15:04 UTC")
	}
	return words + " at " + when
}

// dayOf is the day of an event in words; "" when there is no such event, or it cannot be read.
func (s *Server) dayOf(ctx context.Context, seq int64) string {
	if seq == 0 {
		return ""
	}
	rec, err := s.Ledger.Event(ctx, seq)
	if err != nil {
		return ""
	}
	when, err := audit.ParseTime(rec.Event.Time)
	if err != nil || when.IsZero() {
		return ""
	}
	return when.UTC().Format("2 Jan 2006")
}

// eventNumber names an event in a sentence, with its day: "event 612,000 (12 Mar 2026)".
func eventNumber(seq int64, day string) string {
	words := "event " + thousands(int(seq))
	if day != "" {
		words += " (" + day + ")"
	}
	return words
}
