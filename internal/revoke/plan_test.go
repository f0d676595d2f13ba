package revoke_test

import (
	"testing"
	"time"

	"evict/internal/directory"
	"evict/internal/revoke"
)

func plan() revoke.Plan {
	return revoke.Plan{
		ID: "0199", Cloud: "public", Tenant: "t", Creator: revoke.Person{OID: "op"}, Scope: directory.Scope{Include: []directory.Source{{Kind: directory.UserSource, ID: "a"}}},
		Reason: "phished", Ticket: "INC-1", ExpiresAt: time.UnixMilli(1_000),
		Targets: []revoke.Target{{Pos: 0, OID: "a", UPN: "a@x"}, {Pos: 1, OID: "b"}},
	}
}

func TestTheDigestCoversAllThatDecidesTheEffect(t *testing.T) {
	t.Parallel()
	changes := map[string]func(*revoke.Plan){
		"id":              func(p *revoke.Plan) { p.ID = "0200" },
		"cloud":           func(p *revoke.Plan) { p.Cloud = "china" },
		"tenant":          func(p *revoke.Plan) { p.Tenant = "u" },
		"creator":         func(p *revoke.Plan) { p.Creator.OID = "other" },
		"scope":           func(p *revoke.Plan) { p.Scope.Include[0].ID = "b" },
		"preview":         func(p *revoke.Plan) { p.Preview = "0300" },
		"self":            func(p *revoke.Plan) { p.Options.IncludeSelf = true },
		"options":         func(p *revoke.Plan) { p.Options.IncludeExternal = true },
		"exclusions":      func(p *revoke.Plan) { p.Scope.Exclude = []directory.Source{{Kind: directory.GroupSource, ID: "c"}} },
		"acknowledgement": func(p *revoke.Plan) { p.Checklist = []revoke.Check{{Key: "w", Answer: "no"}} },
		"incomplete":      func(p *revoke.Plan) { p.Incomplete = []string{"pim"} },
		"reason":          func(p *revoke.Plan) { p.Reason = "other" },
		"ticket":          func(p *revoke.Plan) { p.Ticket = "INC-2" },
		"expiry":          func(p *revoke.Plan) { p.ExpiresAt = time.UnixMilli(1_001) },
		"a target more":   func(p *revoke.Plan) { p.Targets = append(p.Targets, revoke.Target{Pos: 2, OID: "c"}) },
		"order":           func(p *revoke.Plan) { p.Targets[0].OID, p.Targets[1].OID = "b", "a" },
	}
	want := plan().Freeze().Digest
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := plan()
			change(&p)
			if got := p.Freeze().Digest; got == want {
				t.Errorf("changing the %s left the digest as it was", name)
			}
		})
	}
}

func TestNamesAreSnapshotsAndNotPartOfTheDigest(t *testing.T) {
	t.Parallel()
	p := plan()
	p.Targets[0].UPN, p.Targets[0].Name = "renamed@x", "Renamed"
	if got, want := p.Freeze().Digest, plan().Freeze().Digest; got != want {
		t.Errorf("digest after a rename = %s, want %s", got, want)
	}
}

func TestTheListOfAPreviewIsPartOfThePlansDigest(t *testing.T) {
	t.Parallel()
	bulk := func() revoke.Plan {
		p := plan()
		p.Targets, p.Preview, p.Total, p.ListDigest = nil, "0300", 2, "ab"
		return p
	}
	want := bulk().Freeze()
	for name, change := range map[string]func(*revoke.Plan){
		"list":   func(p *revoke.Plan) { p.ListDigest = "cd" },
		"number": func(p *revoke.Plan) { p.Total = 3 },
	} {
		p := bulk()
		change(&p)
		if got := p.Freeze(); got.Digest == want.Digest || got.ListDigest != p.ListDigest {
			t.Errorf("changing the %s left the digest as it was", name)
		}
	}
}
