package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"evict/internal/revoke"
	"evict/web/templates"
)

const peopleOnPaper = 200 // of each kind; the JSON names everybody

// showReport is a run on paper: it opens with what still stands.
func (s *Server) showReport(w http.ResponseWriter, r *http.Request) error {
	facts, err := s.reportFacts(r)
	if err != nil {
		return err
	}
	if err := s.eachTarget(r.Context(), facts.run.ID, facts.take); err != nil {
		return unreadReport(err)
	}
	if err := s.standing(r.Context(), &facts); err != nil {
		return unreadReport(err)
	}
	page := newReportPage(facts)
	page.Page = s.frame(r, "Report of "+facts.run.CreatedAt.UTC().Format("2 Jan 2006 15:04 UTC"))
	return render(w, r, http.StatusOK, templates.Report(page))
}

func unreadReport(err error) error {
	return unavailable("The report could not be made: the database does not answer.", err)
}

// reportFacts reads the run of the address with its plan and its list. A run of one target has no list.
func (s *Server) reportFacts(r *http.Request) (reportFacts, error) {
	run, err := s.visibleRun(r)
	if err != nil {
		return reportFacts{}, err
	}
	f := reportFacts{run: run, cloud: s.Cloud, rehearsal: s.Rehearsal, now: s.Now(), may: at(r).who.Roles.MayOpen, people: map[revoke.State][]revoke.RunTarget{}}
	if f.plan, err = s.Runs.Plan(r.Context(), run.Plan); err != nil {
		return f, unreadReport(err)
	}
	if run.Preview == "" {
		return f, nil
	}
	list, err := s.Previews.Preview(r.Context(), run.Preview)
	if err != nil && !errors.Is(err, revoke.ErrNotFound) {
		return f, unreadReport(err)
	}
	f.list = list
	return f, nil
}

// eachTarget reads the targets of a run that were begun, in pages, so that memory stays flat.
func (s *Server) eachTarget(ctx context.Context, id revoke.RunID, take func(revoke.RunTarget) error) error {
	q := revoke.RunTargetQuery{After: -1, Limit: pageOfAll}
	for {
		page, err := s.Runs.RunTargets(ctx, id, q)
		if err != nil {
			return err
		}
		for _, t := range page {
			q.After = t.Pos
			if err := take(t); err != nil {
				return err
			}
		}
		if len(page) < pageOfAll {
			return nil
		}
	}
}

// eachUncalled reads the targets of a run that were never attempted.
func (s *Server) eachUncalled(ctx context.Context, run revoke.Run, take func(revoke.Target) error) error {
	if run.Preview == "" || run.Untouched() == 0 {
		return nil
	}
	q := revoke.TargetQuery{After: run.Next - 1, Limit: pageOfAll}
	for {
		page, err := s.Previews.Targets(ctx, run.Preview, q)
		if err != nil {
			return err
		}
		for _, t := range page {
			q.After = t.Pos
			if err := take(t); err != nil {
				return err
			}
		}
		if len(page) < pageOfAll {
			return nil
		}
	}
}

// eachLeft reads the people who were left out.
func (s *Server) eachLeft(ctx context.Context, id revoke.PreviewID, take func(revoke.Leftover) error) error {
	q := revoke.TargetQuery{After: -1, Limit: pageOfAll}
	for {
		page, err := s.Previews.Leftovers(ctx, id, q)
		if err != nil {
			return err
		}
		for _, t := range page {
			q.After = t.Pos
			if err := take(t); err != nil {
				return err
			}
		}
		if len(page) < pageOfAll {
			return nil
		}
	}
}

// standing reads the first of those whom the run did not call.
func (s *Server) standing(ctx context.Context, f *reportFacts) (err error) {
	if f.list.ID == "" {
		return nil
	}
	if f.run.Untouched() > 0 {
		f.uncalled, err = s.Previews.Targets(ctx, f.list.ID, revoke.TargetQuery{After: f.run.Next - 1, Limit: peopleOnPaper})
		if err != nil {
			return err
		}
	}
	f.left = map[revoke.Cause][]revoke.Leftover{}
	for _, c := range causes() {
		if f.list.LeftCounts[string(c)] == 0 {
			continue
		}
		f.left[c], err = s.Previews.Leftovers(ctx, f.list.ID, revoke.TargetQuery{Cause: c, After: -1, Limit: peopleOnPaper})
		if err != nil {
			return err
		}
	}
	return nil
}

// exportReport sends everything that is known of a run as JSON, person by person, so that memory stays flat. It takes
// names away, so it is recorded first.
func (s *Server) exportReport(w http.ResponseWriter, r *http.Request) error {
	f, err := s.reportFacts(r)
	if err != nil {
		return err
	}
	head, err := json.Marshal(newReportDocument(f))
	if err != nil {
		return err
	}
	out, ctx, cancel := download(w, r)
	defer cancel()
	err = s.recordTaken(ctx, r, string(f.run.Plan), map[string]string{"what": "report of a run", "format": "json", "run": string(f.run.ID), "address": "/runs/" + string(f.run.ID) + "/report"})
	if err != nil {
		return err
	}
	s.attach(w, "application/json; charset=utf-8", "report-"+string(f.run.ID)+".json")
	doc := jsonLists{w: out}
	doc.write(string(head[:len(head)-1])) // without its closing brace: the lists follow
	doc.begin("targets")
	err = s.eachTarget(ctx, f.run.ID, func(t revoke.RunTarget) error { return doc.add(newTargetDocument(t)) })
	doc.end()
	if err == nil {
		doc.begin("never_called")
		err = s.eachUncalled(ctx, f.run, func(t revoke.Target) error { return doc.add(newPersonDocument(t)) })
		doc.end()
	}
	if err == nil && f.list.ID != "" {
		doc.begin("left_standing")
		err = s.eachLeft(ctx, f.list.ID, func(t revoke.Leftover) error {
			return doc.add(leftDocument{personDocument: newPersonDocument(t.Target), Cause: string(t.Cause)})
		})
		doc.end()
	}
	doc.write("}\n")
	s.sent(r, errors.Join(err, doc.err))
	return nil
}

// jsonLists writes lists into an open JSON object, element by element. It remembers the first error.
type jsonLists struct {
	w   io.Writer
	n   int
	err error
}

func (d *jsonLists) write(s string) {
	if d.err == nil {
		_, d.err = io.WriteString(d.w, s)
	}
}

func (d *jsonLists) begin(name string) {
	d.n = 0
	d.write(",\n\"" + name + "\":[")
}

func (d *jsonLists) add(x any) error {
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	if d.n++; d.n > 1 {
		d.write(",")
	}
	d.write("\n" + string(b))
	return d.err
}

func (d *jsonLists) end() { d.write("]") }

// jsonTime is an instant in a document; empty when it is not known.
func jsonTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
