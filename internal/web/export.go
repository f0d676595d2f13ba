package web

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"evict/internal/audit"
	"evict/internal/fault"
	"evict/internal/revoke"
)

// exportPlan sends the list that the address chooses as CSV: for reading, in keyset pages, so that memory stays flat. It
// takes names away, so it is recorded first. When the ledger cannot be written it is handed out nevertheless, and the log
// says so: whoever may open the page reads the same names there, and the list is all that is left to act by in an incident.
func (s *Server) exportPlan(w http.ResponseWriter, r *http.Request) error {
	p, err := s.visiblePreview(r, chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	if p.State != revoke.PreviewReady {
		return fault.New(fault.Conflict, "The list is not ready yet.")
	}
	filter := readPlanFilter(r.URL.Query())
	filter.after = -1
	next := s.csvPages(p.ID, filter)
	out, ctx, cancel := download(w, r)
	defer cancel()
	rows, err := next(ctx)
	if err != nil {
		return unavailable("The list could not be read: the database does not answer.", err)
	}
	name, what := "targets.csv", "targets of a plan"
	if filter.left {
		name, what = "left-standing.csv", "people left out of a plan"
	}
	if err := s.recordTaken(ctx, r, string(p.ID), map[string]string{"what": what, "format": "csv", "address": "/plans/" + string(p.ID) + filter.encoded()}); err != nil {
		s.Logger.Error("a list was handed out without a record", "request_id", at(r).requestID, "plan", string(p.ID), "operator", at(r).who.OID, "error", err)
	}
	s.attach(w, "text/csv; charset=utf-8", name)
	s.sent(r, s.writeRows(ctx, out, filter.left, rows, next))
	return nil
}

// writeRows writes the rows that were read already, and those that follow. Why somebody was left out stands in the file of
// those alone: a file of targets names nobody else, so that it can be worked through by hand.
func (s *Server) writeRows(ctx context.Context, w io.Writer, left bool, rows [][]string, next func(context.Context) ([][]string, error)) error {
	out := bufio.NewWriter(w)
	head := []string{"position", "object_id", "upn", "name", "reasons", "flags", "prediction", "because"}
	if left {
		head = append(head, "left_out")
	}
	if s.Rehearsal {
		head = append(head, "rehearsal")
	}
	audit.WriteCSV(out, head)
	for len(rows) > 0 {
		for _, row := range rows {
			if s.Rehearsal {
				row = append(row, audit.Rehearsed)
			}
			audit.WriteCSV(out, row)
		}
		if err := out.Flush(); err != nil {
			return err
		}
		var err error
		if rows, err = next(ctx); err != nil {
			return err
		}
	}
	return out.Flush()
}

// csvPages reads a list page by page, as cells; no rows mean the end.
func (s *Server) csvPages(id revoke.PreviewID, filter planFilter) func(context.Context) ([][]string, error) {
	q := filter.query(pageOfAll)
	ended := false
	return func(ctx context.Context) (rows [][]string, err error) {
		if ended {
			return nil, nil
		}
		n := 0
		if filter.left {
			var page []revoke.Leftover
			page, err = s.Previews.Leftovers(ctx, id, q)
			n = len(page)
			for _, t := range page {
				rows, q.After = append(rows, append(csvRow(t.Target), audit.SafeCell(string(t.Cause)))), t.Pos
			}
		} else {
			var page []revoke.Target
			page, err = s.Previews.Targets(ctx, id, q)
			n = len(page)
			for _, t := range page {
				rows, q.After = append(rows, csvRow(t)), t.Pos
			}
		}
		ended = n < pageOfAll
		return rows, err
	}
}

// csvRow is a person as cells. Positions are those of the list's digest.
func csvRow(t revoke.Target) []string {
	flags := make([]string, len(t.Flags))
	for i, f := range t.Flags {
		flags[i] = string(f)
	}
	return audit.SafeCells([]string{
		strconv.Itoa(t.Pos), t.OID, t.UPN, t.Name, strings.Join(t.Reasons, "; "), strings.Join(flags, "; "), t.Verdict, t.Because,
	})
}

// attach sets the headers of a download. In a rehearsal its name says so.
func (s *Server) attach(w http.ResponseWriter, kind, name string) {
	if s.Rehearsal {
		name = "REHEARSAL-" + name
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}

// sent ends a download. One that broke off must not look whole: its connection is cut instead of closed.
func (s *Server) sent(r *http.Request, err error) {
	if err != nil {
		s.Logger.Warn("a download broke off", "request_id", at(r).requestID, "error", err)
		panic(http.ErrAbortHandler)
	}
}
