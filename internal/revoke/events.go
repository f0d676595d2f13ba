package revoke

import (
	"strconv"
	"time"

	"evict/internal/audit"
)

const maxMessage = 500

// event is an event of the worker's run.
func (w *worker) event(kind audit.Kind) audit.Event { return w.run.event(kind, w.newID(), w.now()) }

// event is an event of the run, acted by its operator.
func (r Run) event(kind audit.Kind, id string, at time.Time) audit.Event {
	return audit.Event{
		ID: id, Time: audit.FormatTime(at), Kind: kind, Cloud: r.Cloud, Tenant: r.Tenant,
		Operator: &audit.Person{
			OID: r.Operator.OID, TID: r.Operator.TID, UPN: r.Operator.UPN, Name: r.Operator.Name,
			Address: r.Address, Roles: r.Roles,
		},
		Plan: string(r.Plan), Run: string(r.ID), Reason: r.Reason, Ticket: r.Ticket,
	}
}

func (w *worker) targetEvent(kind audit.Kind, t RunTarget) audit.Event {
	return w.run.targetEvent(kind, t, w.newID(), w.now())
}

// targetEvent tells what happened to one target. The outcome of an attempt that will be followed by another is told by the kind; Outcome is
// where the target then stands.
func (r Run) targetEvent(kind audit.Kind, t RunTarget, id string, at time.Time) audit.Event {
	e := r.event(kind, id, at)
	e.Target = &audit.Person{OID: t.OID, UPN: t.UPN, Name: t.Name}
	e.Attempt, e.Outcome = t.Attempt, string(t.State)
	if kind == audit.TargetAccepted { // an external account has its outcome at once, in an event of its own
		e.Outcome = string(Accepted)
	}
	ev := audit.Evidence{
		T0: audit.FormatTime(t.T0), Before: audit.FormatTime(t.Before), ClientRequestID: t.ClientRequestID,
	}
	if kind != audit.TargetAttempted {
		ev.After, ev.Status, ev.RequestID = audit.FormatTime(t.After), t.Status, t.RequestID
		ev.Code, ev.Message, ev.Settled = t.Code, cut(t.Message, maxMessage), t.Settled
	}
	e.Evidence = &ev
	if t.State == Pending && kind != audit.TargetAttempted {
		e.Detail = map[string]string{"next_attempt_at": audit.FormatTime(t.DueAt)}
	}
	return e
}

// evicted tells that a revoked person's console sessions ended and their runs paused (rule 12).
func (w *worker) evicted(f Footprint) []audit.Event {
	e := w.event(audit.SignedOut)
	e.Target = &audit.Person{OID: f.OID, UPN: f.UPN}
	e.Detail = map[string]string{"cause": "revoked by this run", "console_sessions": strconv.Itoa(f.Sessions)}
	out := []audit.Event{e}
	for _, id := range f.Runs {
		p := w.event(audit.RunPaused)
		p.Run, p.Plan, p.Reason, p.Ticket, p.Outcome = string(id), "", "", "", string(RunPaused)
		p.Detail = map[string]string{"cause": string(PauseNeedSignIn), "by_run": string(w.run.ID)}
		out = append(out, p)
	}
	return out
}

// cut shortens s to at most n characters.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
