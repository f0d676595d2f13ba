package web

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"evict/internal/audit"
	"evict/web/templates"
)

// sendReconciliation answers with a whole comparison as CSV, for reading. It is recorded as taken away, beside the event of
// the comparison itself. What was compared stays in memory until the file has gone, so that must happen within the
// comparison's own time: nobody else can compare meanwhile.
func (s *Server) sendReconciliation(ctx context.Context, w http.ResponseWriter, r *http.Request, c comparison, found audit.Reconciliation, shown *templates.ReconcileResult) error {
	err := s.recordTaken(ctx, r, "", map[string]string{
		"what": "comparison with Entra's log", "format": string(audit.CSV), "query": shown.Window, "address": reconcileAddress,
		"size": strconv.FormatInt(c.size, 10),
	})
	if err != nil {
		return err
	}
	s.answered(w, r)
	s.attach(w, exportForms()[audit.CSV].kind, s.reconcileFile(c.window))
	s.sent(r, s.writeReconciliation(w, found, shown))
	return nil
}

// answered tells the page's script that the file has come. See templates.FieldAnswer.
func (s *Server) answered(w http.ResponseWriter, r *http.Request) {
	word := r.PostFormValue(templates.FieldAnswer)
	if len(word) > 20 || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // a script is to read it, and it keeps no secret
		Name: templates.AnswerCookie, Value: word, Path: reconcileAddress, MaxAge: 60, Secure: s.Secure, SameSite: http.SameSiteStrictMode,
	})
}

// reconcileFile names the file: whose logs, from when to when.
func (s *Server) reconcileFile(w audit.Window) string {
	const minute = "20060102T1504Z"
	return "evict-comparison-" + s.tenantSlug() + "-" + w.From.UTC().Format(minute) + "-" + w.To.UTC().Format(minute) + exportForms()[audit.CSV].ending
}

// writeReconciliation writes first what the page says of the whole, then every list to its end: those of the page, and what
// both logs have.
func (s *Server) writeReconciliation(w io.Writer, found audit.Reconciliation, shown *templates.ReconcileResult) error {
	out := bufio.NewWriter(w)
	write := func(cells []string, rehearsal string) {
		if s.Rehearsal {
			cells = append(cells, rehearsal)
		}
		audit.WriteCSV(out, cells)
	}
	row := func(list string, o audit.Ours, t audit.Witnessed, reason string) {
		write(reconcileCells(list, o, t, reason), audit.Rehearsed)
	}
	words := func(list, reason string) { row(list, audit.Ours{}, audit.Witnessed{}, reason) }

	write(reconcileHead(), "rehearsal")
	words("result", shown.Window+": "+shown.Verdict.Title+". "+shown.Verdict.Text)
	for _, n := range shown.Notes {
		words("note", n.Title+". "+n.Text)
	}
	for _, line := range shown.Read {
		words("read", line)
	}
	for _, l := range reconcileLists(found) {
		for _, o := range l.ours {
			row(l.id, o, audit.Witnessed{}, l.why)
		}
		for _, t := range l.rows {
			row(l.id, audit.Ours{}, t, l.why)
		}
	}
	for _, p := range found.Matched {
		row("matched", p.Ours, p.Row, "In both logs.")
	}
	return out.Flush()
}

func reconcileHead() []string {
	return []string{
		"list", "sequence", "run", "t0", "operator_upn", "operator_object_id", "target_upn", "target_object_id", "outcome",
		"entra_id", "entra_time", "entra_correlation_id", "entra_by_upn", "entra_by_object_id", "entra_by_application",
		"entra_target_upn", "entra_target_object_id", "reason",
	}
}

// reconcileCells are an event of ours, a row of Entra's, or both, in the order of the head. Without one its cells are empty.
func reconcileCells(list string, o audit.Ours, t audit.Witnessed, reason string) []string {
	sequence := ""
	if o.Seq > 0 {
		sequence = strconv.FormatInt(o.Seq, 10)
	}
	return audit.SafeCells([]string{
		list, sequence, o.Run, audit.FormatTime(o.T0), o.Operator.UPN, o.Operator.OID, o.Target.UPN, o.Target.OID, o.Outcome,
		t.ID, audit.FormatTime(t.At), t.Correlation, t.ByUPN, t.ByOID, t.ByApp, t.TargetUPN, t.TargetOID, reason,
	})
}
