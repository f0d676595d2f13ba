package web

import (
	"maps"

	"evict/internal/directory"
	"evict/internal/revoke"
)

// reportDocument is the head of report.json; lists of people follow in the same object: "targets" (begun), "never_called"
// and "left_standing".
type reportDocument struct {
	Report          string            `json:"report"` // names the format
	Rehearsal       string            `json:"rehearsal,omitempty"`
	Made            string            `json:"made"`
	Run             runDocument       `json:"run"`
	Plan            planDocument      `json:"plan"`
	List            *listDocument     `json:"list,omitempty"`
	Countermeasures []relatedDocument `json:"countermeasures"`
	Techniques      []relatedDocument `json:"techniques"`
	Source          string            `json:"countermeasures_source"`
}

// relatedDocument is an entry of somebody else's catalogue.
type relatedDocument struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	When string `json:"when,omitempty"`
}

type runDocument struct {
	ID          revoke.RunID         `json:"id"`
	State       revoke.RunState      `json:"state"`
	Pause       revoke.Pause         `json:"pause,omitempty"`
	Cloud       string               `json:"cloud"`
	Tenant      string               `json:"tenant"`
	Operator    revoke.Person        `json:"operator"`
	Address     string               `json:"address,omitempty"`
	Roles       []string             `json:"console_roles"`
	ApprovedBy  *revoke.Person       `json:"approved_by"` // always null: nothing asks for approval
	Reason      string               `json:"reason"`
	Ticket      string               `json:"ticket,omitempty"`
	Started     string               `json:"started"`
	Ended       string               `json:"ended,omitempty"`
	Parent      revoke.RunID         `json:"tries_again,omitempty"`
	Total       int                  `json:"targets_total"`
	NeverCalled int                  `json:"never_called_total"`
	Outcomes    map[revoke.State]int `json:"outcomes"`
	Events      int                  `json:"ledger_events"`
}

type planDocument struct {
	ID         revoke.PlanID      `json:"id"`
	Digest     string             `json:"digest"`
	ListDigest string             `json:"list_digest"`
	Created    string             `json:"created"`
	Scope      directory.Scope    `json:"scope"`
	Options    revoke.PlanOptions `json:"options"`
	Checklist  []revoke.Check     `json:"checklist"`
	Incomplete []string           `json:"incomplete_sources"`
}

type listDocument struct {
	ID              revoke.PreviewID     `json:"id"`
	Frozen          string               `json:"frozen"`
	Total           int                  `json:"total"`
	Counts          revoke.PreviewCounts `json:"counts"`
	Left            int                  `json:"left_standing_total"`
	LeftCounts      map[string]int       `json:"left_standing_by_cause"`
	Unread          []directory.Unread   `json:"unread,omitempty"`
	NotRevocable    []directory.Aside    `json:"not_revocable_here,omitempty"`
	Lines           []directory.Line     `json:"lines_not_matched,omitempty"`
	EnabledInternal int                  `json:"enabled_internal"` // of the whole tenant; -1 when unknown
	Protected       int                  `json:"protected_accounts"`
}

// personDocument is one person of a list.
type personDocument struct {
	Pos        int           `json:"position"` // as in the list's digest
	OID        string        `json:"object_id"`
	UPN        string        `json:"upn"`
	Name       string        `json:"name"`
	Reasons    []string      `json:"reasons"`
	Flags      []revoke.Flag `json:"flags,omitempty"`
	Prediction string        `json:"prediction,omitempty"`
	Because    string        `json:"because,omitempty"`
}

type leftDocument struct {
	personDocument
	Cause string `json:"cause"`
}

// targetDocument is one person of a run with the evidence of the last attempt. Times but "updated" are on Graph's clock.
type targetDocument struct {
	personDocument
	Outcome         revoke.State `json:"outcome"`
	Attempt         int          `json:"attempt"`
	T0              string       `json:"t0,omitempty"`
	Before          string       `json:"valid_from_before,omitempty"`
	After           string       `json:"valid_from_read_back,omitempty"`
	Answered        string       `json:"answered,omitempty"`
	Status          int          `json:"status,omitempty"`
	RequestID       string       `json:"graph_request_id,omitempty"`
	ClientRequestID string       `json:"client_request_id,omitempty"`
	Code            string       `json:"code,omitempty"`
	Message         string       `json:"message,omitempty"`
	Settled         string       `json:"settled,omitempty"`
	Updated         string       `json:"updated,omitempty"`
}

func newReportDocument(f reportFacts) reportDocument {
	run, plan := f.run, f.plan
	d := reportDocument{
		Report: "evict-report/1", Made: jsonTime(f.now), Source: relatedSource,
		Run: runDocument{
			ID: run.ID, State: run.State, Pause: run.Pause, Cloud: run.Cloud, Tenant: run.Tenant, Operator: run.Operator, Address: run.Address,
			Roles: run.Roles, Reason: run.Reason, Ticket: run.Ticket, Started: jsonTime(run.CreatedAt), Ended: jsonTime(run.FinishedAt),
			Parent: run.Parent, Total: run.Total, NeverCalled: run.Untouched(), Outcomes: maps.Clone(run.Counts), Events: run.Events,
		},
		Plan: planDocument{
			ID: plan.ID, Digest: plan.Digest, ListDigest: plan.ListDigest, Created: jsonTime(plan.CreatedAt), Scope: plan.Scope,
			Options: plan.Options, Checklist: plan.Checklist, Incomplete: plan.Incomplete,
		},
	}
	for _, c := range countermeasures() {
		d.Countermeasures = append(d.Countermeasures, relatedDocument{c.ID, c.Title, c.Do})
	}
	for _, t := range techniques() {
		d.Techniques = append(d.Techniques, relatedDocument{ID: t.ID, Name: t.Name})
	}
	if f.rehearsal {
		d.Rehearsal = "REHEARSAL on a simulated tenant: nothing was revoked"
	}
	if f.list.ID != "" {
		facts := f.list.Facts
		d.List = &listDocument{
			ID: f.list.ID, Frozen: jsonTime(f.list.ReadyAt), Total: f.list.Total, Counts: f.list.Counts, Left: f.list.Left,
			LeftCounts: f.list.LeftCounts, Unread: facts.Unread, NotRevocable: facts.Aside, Lines: facts.Lines,
			EnabledInternal: facts.EnabledInternal, Protected: facts.Protected,
		}
	}
	return d
}

func newPersonDocument(t revoke.Target) personDocument {
	return personDocument{
		Pos: t.Pos, OID: t.OID, UPN: t.UPN, Name: t.Name, Reasons: t.Reasons, Flags: t.Flags, Prediction: t.Verdict, Because: t.Because,
	}
}

func newTargetDocument(t revoke.RunTarget) targetDocument {
	return targetDocument{
		personDocument: newPersonDocument(t.Target), Outcome: t.State, Attempt: t.Attempt, T0: jsonTime(t.T0), Before: jsonTime(t.Before),
		After: jsonTime(t.After), Answered: jsonTime(t.Answered), Status: t.Status, RequestID: t.RequestID,
		ClientRequestID: t.ClientRequestID, Code: t.Code, Message: t.Message, Settled: t.Settled, Updated: jsonTime(t.UpdatedAt),
	}
}
