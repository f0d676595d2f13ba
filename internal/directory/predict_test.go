package directory_test

import (
	"slices"
	"strings"
	"testing"

	"evict/internal/directory"
)

// Template ids that the tests name.
const (
	global       = "62e90394-69f5-4237-9190-012177145e10"
	privAuth     = "7be44c8a-adaf-4e2a-84d6-ab2649e08a13"
	userAdmin    = "fe930be7-5e62-47db-91af-98c3a49a38b1"
	authAdmin    = "c4e39bd9-1100-46d3-8c65-fb160da0071f"
	helpdesk     = "729827e3-9c14-49f7-bb1b-9608f156bbb8"
	password     = "966707d0-3269-4727-9be2-8c3a10f19b9d"
	secAdmin     = "194ae4cb-b126-40b2-bd5b-6091b380977d"
	secOperator  = "5f2222b1-57c3-48ba-8ad5-d4759f1fde6f"
	soc          = "58f930cc-fcf4-4152-852c-1d7dbf502139"
	writers      = "9360feb5-f418-4baa-8175-e2a00bac4301"
	readers      = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b"
	groupsAdmin  = "fdd7a751-b60b-444a-984c-02652fe8fa1c"
	exchange     = "29232cdf-9323-42fd-ade2-1d097af3e4de"
	custom       = "0c0ffee0-0000-4000-8000-000000000001"
	agentID      = "db506228-d27e-4b7d-95e5-295956d6615f"
	unitNorth    = "aaaaaaaa-0000-4000-8000-000000000001"
	unitSouth    = "aaaaaaaa-0000-4000-8000-000000000002"
	everywhere   = "/"
	inNorth      = "/administrativeUnits/" + unitNorth
	targetOID    = "11111111-1111-4111-8111-111111111111"
	noRoleAtAll  = ""
	assignableID = "bbbbbbbb-0000-4000-8000-000000000001"
)

func holds(ids ...string) directory.Standing {
	var s directory.Standing
	for _, id := range ids {
		if id != noRoleAtAll {
			r, _ := directory.BuiltIn(id)
			s.Holdings = append(s.Holdings, directory.Holding{Role: r, How: directory.Active, Scope: everywhere, ScopeRestricted: directory.No})
		}
	}
	return s
}

func plainTarget() directory.User {
	return directory.User{ID: targetOID, Name: "Ann", UPN: "ann@contoso.example", Restricted: directory.No, Agent: directory.No}
}

// The documented table (Microsoft Learn, Privileged roles and permissions, 2026-06-05), typed in by hand so that it
// checks the embedded one: rows are what the target holds, columns who acts.
func TestPredictFollowsTheDocumentedTable(t *testing.T) {
	t.Parallel()
	columns := []string{password, helpdesk, authAdmin, userAdmin, secAdmin, secOperator, soc, privAuth, global}
	rows := []struct{ name, holds, yes string }{
		{"no admin role", noRoleAtAll, "yyyyyyyyy"},
		{"Directory Readers", readers, "yyyy---yy"},
		{"Guest Inviter", "95e79109-95c0-4d8e-aee3-d01accf2d47b", "yyyy---yy"},
		{"Password Administrator", password, "yyyy---yy"},
		{"Message Center Reader", "790c1fb9-7f7d-4f88-86a1-ef1f95c05c1b", "-yyy---yy"},
		{"Reports Reader", "4a5d8f65-41da-4de4-8968-e035b65339cf", "-yyy---yy"},
		{"Usage Summary Reports Reader", "75934031-6c7e-415a-99d7-48dbd49e875e", "-yyy---yy"},
		{"User Experience Success Manager", "27460883-1df1-4691-b032-3b79643e5e63", "-yyy---yy"},
		{"Helpdesk Administrator", helpdesk, "-y-y---yy"},
		{"Authentication Administrator", authAdmin, "--y----yy"},
		{"Groups Administrator", groupsAdmin, "---y---yy"},
		{"User Administrator", userAdmin, "---y---yy"},
		{"Privileged Role Administrator", "e8611ab8-c189-46e8-94e1-60213ab1f814", "-------yy"},
		{"Privileged Authentication Administrator", privAuth, "-------yy"},
		{"Global Administrator", global, "-------yy"},
		{"Exchange Administrator (any other)", exchange, "-------yy"},
		{"a custom role", custom, "-------yy"},
		{"a role newer than the table", "ffffffff-0000-4000-8000-000000000001", "-------yy"},
	}
	for _, row := range rows {
		for i, op := range columns {
			want := directory.Refused
			if row.yes[i] == 'y' {
				want = directory.Allowed
				if op == password || op == secAdmin {
					want = directory.MayBeRefused
				}
			}
			got := directory.Predict(holds(op), plainTarget(), holds(row.holds), false)
			who, _ := directory.BuiltIn(op)
			if got.Verdict != want {
				t.Errorf("%s acts on %s: got %v (%s), want %v", who.Name, row.name, got.Verdict, got.Because, want)
			}
			if got.Because == "" || !strings.HasSuffix(got.Because, ".") || (got.Verdict == directory.Refused) && got.Fix == "" {
				t.Errorf("%s acts on %s: says %+v", who.Name, row.name, got)
			}
		}
	}
}

func TestEveryRoleThatIsNotListedGivesNoRight(t *testing.T) {
	t.Parallel()
	able := []string{password, helpdesk, authAdmin, userAdmin, secAdmin, secOperator, soc, privAuth, global, writers,
		"4ba39ca4-527c-499a-b93d-d9b492c50246", "e00e864a-17c5-4a4b-9c06-f5b95a8d5bd8"}
	n := 0
	for _, r := range directory.BuiltIns() {
		if slices.Contains(able, r.TemplateID) {
			continue
		}
		n++
		if got := directory.Predict(holds(r.TemplateID), plainTarget(), holds(), false); got.Verdict != directory.Refused {
			t.Errorf("%s: got %v, want refused", r.Name, got.Verdict)
		}
	}
	if n < 120 {
		t.Errorf("only %d roles were tried", n)
	}
}

func scoped(s directory.Standing, scope string) directory.Standing {
	for i := range s.Holdings {
		s.Holdings[i].Scope = scope
	}
	return s
}

func eligible(s directory.Standing) directory.Standing {
	for i := range s.Holdings {
		s.Holdings[i].How = directory.Eligible
	}
	return s
}

func plus(a, b directory.Standing) directory.Standing {
	a.Holdings = append(a.Holdings, b.Holdings...)
	return a
}

func TestPredictRules(t *testing.T) {
	t.Parallel()
	weighs := []directory.Unread{{What: "active directory roles", Why: "Microsoft refuses you this reading", Fix: "ask", Weighs: true}}
	group := []directory.Group{{ID: assignableID, Name: "Tier 0"}}
	north := []directory.Unit{{ID: unitNorth, Name: "North", Restricted: directory.No}}
	restricted, unsure, agent := plainTarget(), plainTarget(), plainTarget()
	restricted.Restricted, unsure.Restricted, agent.Agent = directory.Yes, directory.Unknown, directory.Yes
	ann := plainTarget()
	tests := []struct {
		name   string
		op     directory.Standing
		target directory.User
		held   directory.Standing
		self   bool
		want   directory.Verdict
		says   string // part of Because or Fix
	}{
		{name: "one's own sessions need no role", op: holds(), target: restricted, self: true, want: directory.Allowed, says: "own sessions"},
		{name: "no role", op: holds(), target: ann, want: directory.Refused, says: "no active directory role"},
		{name: "every role of the target counts", op: holds(helpdesk), target: ann, held: holds(readers, groupsAdmin), want: directory.Refused, says: "Groups Administrator"},
		{name: "one role must cover all", op: holds(helpdesk, authAdmin), target: ann, held: holds(helpdesk, authAdmin), want: directory.MayBeRefused, says: "only several together"},
		{name: "one of several roles suffices", op: holds(readers, userAdmin), target: ann, held: holds(groupsAdmin), want: directory.Allowed},
		{name: "eligible roles of the target do not count", op: holds(helpdesk), target: ann, held: eligible(holds(global)), want: directory.Allowed},
		{name: "eligible roles of the operator do not count, but are the way out", op: plus(eligible(holds(userAdmin)), holds(readers)), target: ann, want: directory.Refused, says: "Activate your eligible role User Administrator"},
		{name: "an eligible role that would not do is no way out", op: eligible(holds(userAdmin)), target: ann, held: holds(global), want: directory.Refused, says: "Ask a Privileged Authentication Administrator or a Global Administrator"},
		{name: "the least roles are named", op: holds(readers), target: ann, want: directory.Refused, says: "Ask a Helpdesk Administrator or an Authentication Administrator"},
		{name: "system roles do not count", op: holds(helpdesk), target: ann, held: holds("a0b1b346-4d3e-4e8b-98f8-753987be4970"), want: directory.Allowed},
		{name: "ids in capitals are the same", op: holds(helpdesk), target: ann, held: holds(strings.ToUpper(global)), want: directory.Refused},
		{name: "member of a role-assignable group", op: holds(userAdmin), target: ann, held: directory.Standing{RoleGroups: group}, want: directory.Refused, says: "is in the role-assignable group Tier 0"},
		{name: "owner of a role-assignable group", op: holds(userAdmin), target: ann, held: directory.Standing{OwnedRoleGroups: group}, want: directory.Refused, says: "owns the role-assignable group Tier 0"},
		{name: "group member, by a Global Administrator", op: holds(global), target: ann, held: directory.Standing{RoleGroups: group}, want: directory.Allowed},
		{name: "restricted unit refuses a Global Administrator", op: holds(global), target: restricted, want: directory.Refused, says: "role in that unit"},
		{name: "restricted unit known from the units", op: holds(global), target: ann, held: directory.Standing{Units: []directory.Unit{{ID: unitSouth, Restricted: directory.Yes}}}, want: directory.Refused},
		{name: "restricted unit, by a role scoped to it", op: scoped(holds(userAdmin), inNorth), target: restricted, held: directory.Standing{Units: []directory.Unit{{ID: unitNorth, Name: "North", Restricted: directory.Yes}}}, want: directory.MayBeRefused, says: "North"},
		{name: "restricted unit, by a role scoped to another unit", op: scoped(holds(userAdmin), inNorth), target: restricted, held: directory.Standing{Units: []directory.Unit{{ID: unitSouth, Restricted: directory.Yes}, north[0]}}, want: directory.Refused},
		{name: "unknown restriction", op: holds(global), target: unsure, want: directory.MayBeRefused, says: "could not be read"},
		{name: "unit-scoped role, member without a role", op: scoped(holds(helpdesk), inNorth), target: ann, held: directory.Standing{Units: north}, want: directory.Allowed},
		{name: "unit-scoped role, unit id in capitals", op: scoped(holds(helpdesk), strings.ReplaceAll(inNorth, "aaaa", "AAAA")), target: ann, held: directory.Standing{Units: north}, want: directory.Allowed},
		{name: "unit-scoped role, not a member", op: scoped(holds(helpdesk), inNorth), target: ann, want: directory.Refused},
		{name: "unit-scoped role, units not read", op: scoped(holds(helpdesk), inNorth), target: ann, held: directory.Standing{Unread: weighs}, want: directory.MayBeRefused},
		{name: "unit-scoped role, member with a role", op: scoped(holds(userAdmin), inNorth), target: ann, held: directory.Standing{Units: north, Holdings: holds(readers).Holdings}, want: directory.Refused},
		{name: "unit-scoped Privileged Authentication Administrator, administrator", op: scoped(holds(privAuth), inNorth), target: ann, held: directory.Standing{Units: north, Holdings: holds(global).Holdings}, want: directory.Refused},
		{name: "unit-scoped role without the right", op: scoped(holds(groupsAdmin), inNorth), target: ann, held: directory.Standing{Units: north}, want: directory.Refused},
		{name: "unit-scoped Password Administrator", op: scoped(holds(password), inNorth), target: ann, held: directory.Standing{Units: north}, want: directory.MayBeRefused},
		{name: "a role for this one object", op: scoped(holds(helpdesk), "/"+targetOID), target: ann, want: directory.MayBeRefused},
		{name: "a role for another object", op: scoped(holds(helpdesk), "/"+unitNorth), target: ann, want: directory.Refused},
		{name: "Directory Writers", op: holds(writers), target: ann, want: directory.MayBeRefused, says: "Directory Writers"},
		{name: "Directory Writers on an administrator", op: holds(writers), target: ann, held: holds(readers), want: directory.Refused},
		{name: "Security Administrator is newly allowed", op: holds(secAdmin), target: ann, want: directory.MayBeRefused, says: "September 2026"},
		{name: "a custom role of the operator", op: holds(custom), target: ann, want: directory.MayBeRefused, says: "custom role"},
		{name: "a custom role of the operator on an administrator", op: holds(custom), target: ann, held: holds(global), want: directory.Refused},
		{name: "a better role outweighs a doubtful one", op: holds(password, helpdesk), target: ann, want: directory.Allowed},
		{name: "unread roles of the target", op: holds(helpdesk), target: ann, held: directory.Standing{Unread: weighs}, want: directory.MayBeRefused, says: "could not be read"},
		{name: "unread roles of the target, by a role for everybody", op: holds(privAuth), target: ann, held: directory.Standing{Unread: weighs}, want: directory.Allowed},
		{name: "unread that does not weigh", op: holds(helpdesk), target: ann, held: directory.Standing{Unread: []directory.Unread{{What: "PIM-eligible roles"}}}, want: directory.Allowed},
		{name: "unread roles of the operator", op: directory.Standing{Unread: weighs}, target: ann, want: directory.UnknownVerdict, says: "Your own directory roles"},
		{name: "unread roles of the operator beside one that suffices", op: directory.Standing{Holdings: holds(global).Holdings, Unread: weighs}, target: ann, want: directory.Allowed},
		{name: "target's role for a unit of unknown restriction", op: holds(userAdmin), target: ann, held: unsureUnit(), want: directory.MayBeRefused},
		{name: "target's role for a restricted unit", op: holds(userAdmin), target: ann, held: restrictedUnitRole(), want: directory.Refused, says: "restricted-management unit"},
		{name: "agent user", op: holds(userAdmin), target: agent, want: directory.MayBeRefused, says: "agent user"},
		{name: "agent user, by an Agent ID Administrator", op: holds(agentID), target: agent, want: directory.MayBeRefused},
		{name: "agent user, by a reader", op: holds(readers), target: agent, want: directory.Refused},
		{name: "agent user, by a Global Administrator", op: holds(global), target: agent, want: directory.MayBeRefused, says: "AgentIdUser.ReadWrite.All"},
		{name: "a role that is active is not to be activated", op: plus(holds(privAuth), eligible(holds(privAuth))), target: unsure, want: directory.MayBeRefused, says: "role in that unit"},
		{name: "a role that did not suffice is nobody's way out", op: plus(holds(userAdmin), eligible(holds(userAdmin))), target: ann, held: directory.Standing{Unread: []directory.Unread{{What: "active directory roles", Why: "no licence", Weighs: true}}}, want: directory.MayBeRefused, says: "Ask a Privileged Authentication Administrator"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := directory.Predict(tt.op, tt.target, tt.held, tt.self)
			if got.Verdict != tt.want {
				t.Errorf("got %v (%s), want %v", got.Verdict, got.Because, tt.want)
			}
			if !strings.Contains(got.Because+" "+got.Fix, tt.says) {
				t.Errorf("got %q and %q, want %q in it", got.Because, got.Fix, tt.says)
			}
			if got.Because == "" || got.Verdict != directory.Allowed && got.Fix == "" {
				t.Errorf("says too little: %+v", got)
			}
		})
	}
}

func unsureUnit() directory.Standing {
	s := scoped(holds(groupsAdmin), inNorth)
	s.Holdings[0].ScopeRestricted = directory.Unknown
	return s
}

func restrictedUnitRole() directory.Standing {
	s := scoped(holds(groupsAdmin), inNorth)
	s.Holdings[0].ScopeRestricted = directory.Yes
	return s
}

func TestPrivileged(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		of   directory.Standing
		want directory.Tri
		n    int
	}{
		"no role":            {holds(), directory.No, 0},
		"harmless role":      {holds(readers), directory.No, 0},
		"privileged role":    {holds(readers, helpdesk), directory.Yes, 1},
		"eligible counts":    {eligible(holds(global)), directory.Yes, 1},
		"custom role":        {holds(custom), directory.Unknown, 0},
		"roles unread":       {directory.Standing{Unread: []directory.Unread{{What: "x", Weighs: true}}}, directory.Unknown, 0},
		"PIM unread":         {directory.Standing{Unread: []directory.Unread{{What: "PIM-eligible roles"}}}, directory.Unknown, 0},
		"a unit unread":      {directory.Standing{Unread: []directory.Unread{{What: "x"}}}, directory.No, 0},
		"unread but also so": {directory.Standing{Holdings: holds(global).Holdings, Unread: []directory.Unread{{What: "x", Weighs: true}}}, directory.Yes, 1},
	}
	for name, tt := range tests {
		got, list := tt.of.Privileged()
		if got != tt.want || len(list) != tt.n {
			t.Errorf("%s: got %v and %d holdings, want %v and %d", name, got, len(list), tt.want, tt.n)
		}
	}
}

func TestAllowsSaysWhoMayBeRevoked(t *testing.T) {
	t.Parallel()
	north := scoped(holds(helpdesk), inNorth).Holdings[0]
	north.ScopeName = "North"
	tests := map[string]struct {
		of   directory.Holding
		want string
	}{
		"everybody":     {holds(global).Holdings[0], "May revoke the sessions of everybody outside restricted-management units, administrators included."},
		"listed":        {holds(authAdmin).Holdings[0], "Authentication Administrator"},
		"non-admins":    {holds(soc).Holdings[0], "May revoke the sessions of people without a directory role."},
		"doubtful":      {holds(password).Holdings[0], "may be refused"},
		"none":          {holds(readers).Holdings[0], "Gives no right"},
		"custom":        {holds(custom).Holdings[0], "cannot tell"},
		"unit":          {north, "in the unit North who hold no directory role"},
		"unit, no use":  {scoped(holds(readers), inNorth).Holdings[0], "gives no right"},
		"single object": {scoped(holds(helpdesk), "/"+targetOID).Holdings[0], "not documented"},
		"eligible":      {eligible(holds(helpdesk)).Holdings[0], "Not active now. Once activated: may revoke"},
	}
	for name, tt := range tests {
		if got := directory.Allows(tt.of); !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q in it", name, got, tt.want)
		}
	}
}

func TestAsTargetNamesWhoMayAct(t *testing.T) {
	t.Parallel()
	role, _ := directory.BuiltIn(groupsAdmin)
	for _, name := range []string{"User Administrator", "Privileged Authentication Administrator", "Global Administrator"} {
		if got := directory.AsTarget(role); !strings.Contains(got, name) || strings.Contains(got, "Helpdesk") {
			t.Errorf("got %q, want %s in it", got, name)
		}
	}
	if got := directory.AsTarget(directory.Role{TemplateID: custom}); !strings.Contains(got, "Global Administrator") || strings.Contains(got, ", User") {
		t.Errorf("custom role: got %q", got)
	}
}
