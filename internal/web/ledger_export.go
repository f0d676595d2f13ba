package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/web/templates"
)

// longestAddress bounds the address of a search that is taken away: it goes into the ledger.
const longestAddress = 2000

// exportForm is how a format travels: its media type and the ending of its file's name.
type exportForm struct{ kind, ending string }

func exportForms() map[audit.Format]exportForm {
	return map[audit.Format]exportForm{
		audit.JSONLines: {"application/x-ndjson; charset=utf-8", ".jsonl"},
		audit.CSV:       {"text/csv; charset=utf-8", ".csv"},
		audit.OCSF:      {"application/x-ndjson; charset=utf-8", ".ocsf.jsonl"},
	}
}

// exportWish is what somebody wants to take away.
type exportWish struct {
	format  audit.Format
	query   audit.Query
	seq     int64 // of one event with its proof; 0 for a search
	words   string
	address string // the page that shows the same
}

// exportLedger hands out a search, or one event with its proof. The record of it is written first, so that the record
// itself stands beneath the checkpoint that goes along.
func (s *Server) exportLedger(w http.ResponseWriter, r *http.Request) error {
	x, err := readExport(r.PostForm)
	if err != nil {
		return err
	}
	if err := s.limits.export.take(at(r).who.OID); err != nil {
		return err
	}
	if x.seq > 0 {
		if _, err := s.Ledger.Event(r.Context(), x.seq); err != nil {
			return s.missingEvent(r, x.seq, err)
		}
	} else {
		if !s.exports.enter(exportsAtOnce) {
			return errExporting()
		}
		defer s.exports.leave()
	}
	body, ctx, cancel := download(w, r)
	defer cancel()
	before, err := s.Trail.Head(ctx)
	if err != nil {
		return unexported(err)
	}
	err = s.recordTaken(ctx, r, "", map[string]string{
		"what": "events of the ledger", "format": string(x.format), "query": x.words, "address": x.address,
		"size": strconv.FormatInt(before.Size, 10),
	})
	if err != nil {
		return err
	}
	m, err := s.Notary.Manifest(ctx)
	if err != nil {
		return unexported(err)
	}
	m.Rehearsal, m.At, m.By, m.Query, m.Version = s.Rehearsal, audit.FormatTime(s.Now()), *auditPerson(at(r).who), x.query, s.Version
	form := exportForms()[x.format]
	name := s.ledgerFile(m.Size, x.seq) + form.ending
	out := &lateWriter{w: body, begin: func() { s.attach(w, form.kind, name) }}
	if _, err = audit.Export(ctx, s.Trail, x.format, m, out); err != nil && !out.begun {
		return unexported(err)
	}
	s.sent(r, err)
	return nil
}

// exportsAtOnce is how many searches are taken away at a time: each may read the whole ledger.
const exportsAtOnce = 2

func errExporting() error {
	e := fault.New(fault.Throttled, "Other exports are under way, as many as are made at a time.")
	e.RetryAfter = 30 * time.Second
	return e
}

func unexported(err error) error {
	if errors.Is(err, audit.ErrRemoving) {
		return unavailable("Retention is removing old events just now. Nothing was handed out: export again in a minute.", err)
	}
	return unavailable("The export could not be made: the ledger could not be read. Nothing was handed out.", err)
}

// readExport reads the form: the parameters of the ledger's page, a format, and perhaps the number of one event.
func readExport(form url.Values) (exportWish, error) {
	x := exportWish{format: audit.Format(form.Get(templates.FieldFormat))}
	if _, ok := exportForms()[x.format]; !ok {
		return x, fault.Field(templates.FieldFormat, "There is no such format. Choose JSON Lines, CSV or OCSF.")
	}
	if one := form.Get(templates.FieldSeq); one != "" {
		seq, err := strconv.ParseInt(one, 10, 64)
		if err != nil || seq < 1 {
			return x, fault.Field(templates.FieldSeq, "There is no event of this number.")
		}
		x.seq, x.query = seq, audit.Query{After: seq - 1, Before: seq + 1}
		x.words, x.address = "event "+strconv.FormatInt(seq, 10), eventHref(seq)
		return x, nil
	}
	q, filter := ledgerQuery(form)
	for field, wrong := range map[string]string{templates.FieldFrom: filter.FromError, templates.FieldTo: filter.ToError, templates.FieldKind: filter.KindError} {
		if wrong != "" {
			return x, fault.Field(field, wrong)
		}
	}
	q.Folded, q.Limit, q.Before, q.After = false, 0, 0, 0 // how a page shows it, not what was asked for
	x.query = q
	x.words, x.address = searchWords(q)
	if len(x.address) > longestAddress {
		return x, fault.Field(templates.FieldText, "This search is too long to be recorded. Make it shorter.")
	}
	return x, nil
}

// searchWords says a search in words, and as the address that shows the same.
func searchWords(q audit.Query) (words, address string) {
	v := url.Values{}
	var parts []string
	for _, f := range []struct{ name, label, value string }{
		{templates.FieldText, "text", q.Text}, {templates.FieldOperator, "operator", q.Operator}, {templates.FieldTarget, "target", q.Target},
		{templates.FieldPerson, "operator or target", q.Person}, {templates.FieldKind, "kind", string(q.Kind)},
		{templates.FieldOutcome, "outcome", q.Outcome}, {templates.FieldRun, "run", q.Run}, {templates.FieldTicket, "ticket", q.Ticket},
		{templates.FieldFrom, "from", queryTime(q.From)}, {templates.FieldTo, "to", queryTime(q.To)},
	} {
		if f.value != "" {
			v.Set(f.name, f.value)
			parts = append(parts, f.label+" "+f.value)
		}
	}
	if len(parts) == 0 {
		return "the whole ledger", "/ledger"
	}
	return strings.Join(parts, "; "), "/ledger?" + v.Encode()
}

// queryTime is a time as the filter's fields hold it.
func queryTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05")
}

// recordTaken writes down that something is about to be taken away. No record, no export. The event does not name a run
// as its own, since the closing event of a run has counted those already.
func (s *Server) recordTaken(ctx context.Context, r *http.Request, plan string, detail map[string]string) error {
	err := s.Ledger.Append(ctx, audit.Event{
		ID: s.NewID(), Time: audit.FormatTime(s.Now()), Kind: audit.LedgerExported, Cloud: s.Cloud, Tenant: s.Tenant,
		Operator: auditPerson(at(r).who), Plan: plan, Detail: detail,
	})
	if err != nil {
		e := fault.Wrap(fault.Unavailable, "The ledger could not be written, and nothing is handed out without a record of it.", err)
		e.Fix = "Try again. The pages can still be read."
		return e
	}
	return nil
}

// auditPerson is the operator as events name them.
func auditPerson(who operator.Operator) *audit.Person {
	return &audit.Person{OID: who.OID, TID: who.TID, UPN: who.UPN, Name: who.Name, Address: who.Address, Roles: who.Roles.Strings()}
}

// ledgerFile names a file that is taken away, but for its ending: whose ledger, and up to where.
func (s *Server) ledgerFile(size, seq int64) string {
	name := fmt.Sprintf("evict-ledger-%s-%d", s.tenantSlug(), size)
	if seq > 0 {
		name += fmt.Sprintf("-event-%d", seq)
	}
	return name
}

// tenantSlug is the tenant for a file's name: its display name as far as that has plain letters and digits, or the
// beginning of its id.
func (s *Server) tenantSlug() string {
	id, _, _ := strings.Cut(s.Tenant, "-")
	if s.Rehearsal || s.TenantName == nil {
		return id
	}
	words := strings.FieldsFunc(strings.ToLower(s.TenantName()), func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	slug := strings.Join(words, "-")
	return cmp.Or(strings.Trim(slug[:min(len(slug), 40)], "-"), id)
}

// lateWriter calls begin before the first byte. Until then an error can still be answered with a page.
type lateWriter struct {
	w     io.Writer
	begin func()
	begun bool
}

func (l *lateWriter) Write(b []byte) (int, error) {
	if !l.begun {
		l.begun = true
		l.begin()
	}
	return l.w.Write(b)
}
