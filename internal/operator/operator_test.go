package operator_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/operator"
)

// The whole table, written a second time on purpose: a change of who may do what must be made in both places.
var want = map[string]string{
	"signin": "public", "auth.start": "public", "auth.callback": "public", "components": "public",
	"auth.signout": "signed in", "norole": "signed in",
	"home": "RLPAD", "me": "RLPAD", "me.revoke": "RLPAD",
	"search": "RL", "user": "RL", "user.revoke": "RL", "group": "RL", "role": "RL",
	"scopes": "L", "scope": "L", "scope.new": "L", "scope.add": "L", "scope.remove": "L", "scope.save": "L", "scope.copy": "L",
	"scope.delete": "L", "scope.preview": "L",
	"plan": "LPAD", "plan.csv": "LPAD", "plan.compare": "LPAD", "plan.without": "L", "plan.again": "L", "plan.run": "L",
	"runs": "RLPAD", "run": "RLPAD", "run.resume": "RLPAD", "run.report": "RLPAD", "run.report.json": "RLPAD",
	"run.pause": "L", "run.cancel": "L", "run.again": "L", "run.latecomers": "L",
	"protected": "LPAD", "protected.add": "D", "protected.remove": "D",
	"ledger": "LPAD", "ledger.event": "LPAD", "ledger.run": "LPAD", "ledger.person": "LPAD", "ledger.about": "LPAD", "ledger.export": "LPAD",
	"ledger.verify": "LPAD", "ledger.verify.start": "LPAD", "ledger.checkpoints": "LPAD", "ledger.consistency": "LPAD",
	"ledger.reconcile": "LPAD", "ledger.reconcile.fetch": "LPAD", "ledger.reconcile.upload": "LPAD",
	"ledger.reconcile.fetched": "LPAD", "ledger.reconcile.uploaded": "LPAD",
	"outside": "RL", "outside.record": "RL",
}

var letters = map[rune]operator.Role{
	'R': operator.Responder, 'L': operator.Lead, 'P': operator.Approver, 'A': operator.Auditor, 'D': operator.Admin,
}

func TestTheTableOfRoutesAndRolesIsAsAgreed(t *testing.T) {
	t.Parallel()
	for _, r := range operator.Routes() {
		w, ok := want[r.Name]
		if !ok {
			t.Errorf("route %s is not agreed", r.Name)
			continue
		}
		switch {
		case w == "public" && r.Access != operator.Public, w == "signed in" && r.Access != operator.SignedIn:
			t.Errorf("route %s has access %v, want %s", r.Name, r.Access, w)
		case w == "public" || w == "signed in":
			continue
		}
		for letter, role := range letters {
			if got := r.Admits(operator.Roles{role}); got != strings.ContainsRune(w, letter) {
				t.Errorf("%s opens %s: %v, want %v", role, r.Name, got, !got)
			}
		}
		if r.Admits(nil) {
			t.Errorf("route %s admits a person without a role", r.Name)
		}
	}
	if len(operator.Routes()) != len(want) {
		t.Errorf("%d routes, want %d", len(operator.Routes()), len(want))
	}
}

func TestNothingThatActsIsOpenToAnAuditorOrAnApprover(t *testing.T) {
	t.Parallel()
	own := map[string]bool{"auth.signout": true, "me.revoke": true, "run.resume": true} // of oneself only
	// What these change is the ledger, which says who took what away, or verified it.
	recorded := map[string]bool{
		"plan.csv": true, "run.report.json": true, "ledger.export": true, "ledger.verify.start": true,
		"ledger.reconcile.fetch": true, "ledger.reconcile.upload": true,
	}
	for _, r := range operator.Routes() {
		if r.Method != "GET" && !own[r.Name] && !recorded[r.Name] && r.Admits(operator.Roles{operator.Auditor, operator.Approver}) {
			t.Errorf("%s %s is open to an auditor", r.Method, r.Pattern)
		}
	}
}

func TestAnUnknownRouteIsRefused(t *testing.T) {
	t.Parallel()
	if operator.Roles(operator.AllRoles()).MayOpen("no such route") {
		t.Error("an unknown route is open")
	}
	if (operator.Route{}).Admits(operator.Roles(operator.AllRoles())) {
		t.Error("a row left half-written is open")
	}
}

func TestVisible(t *testing.T) {
	t.Parallel()
	other := func(k operator.ObjectKind, submitted bool) operator.Object {
		return operator.Object{Kind: k, Creator: "other", Submitted: submitted}
	}
	tests := []struct {
		roles   string
		own     bool
		run     bool
		plan    bool
		pending bool // a plan that is not submitted
	}{
		{"", false, false, false, false},
		{"R", true, false, false, false},
		{"L", true, true, true, false},
		{"P", true, true, true, false},
		{"A", true, true, true, false},
		{"D", true, true, true, false},
	}
	for _, tt := range tests {
		t.Run("roles "+tt.roles, func(t *testing.T) {
			t.Parallel()
			o := operator.Operator{OID: "me"}
			for _, l := range tt.roles {
				o.Roles = append(o.Roles, letters[l])
			}
			got := []bool{
				operator.Visible(o, operator.Object{Kind: operator.RunObject, Creator: "me"}),
				operator.Visible(o, other(operator.RunObject, false)),
				operator.Visible(o, other(operator.PlanObject, true)),
				operator.Visible(o, other(operator.PlanObject, false)),
			}
			if diff := cmp.Diff([]bool{tt.own, tt.run, tt.plan, tt.pending}, got); diff != "" {
				t.Errorf("own, run, plan, pending (-want +got):\n%s", diff)
			}
			if operator.Visible(o, operator.Object{Creator: "me"}) {
				t.Error("an object of no kind is visible")
			}
		})
	}
}

func TestUnknownRolesGrantNothing(t *testing.T) {
	t.Parallel()
	got := operator.ParseRoles([]string{"Evict.Root", "evict.admin", "Evict.Auditor", "Evict.Responder", "Evict.Auditor"})
	if diff := cmp.Diff(operator.Roles{operator.Responder, operator.Auditor}, got); diff != "" {
		t.Errorf("ParseRoles (-want +got):\n%s", diff)
	}
}

func TestATokenNeverShowsItself(t *testing.T) {
	t.Parallel()
	const secret = "eyJ-canary"
	token := operator.NewToken(secret, time.Now())
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "token", token, "in", struct{ T operator.Token }{token})
	body, err := json.Marshal(map[string]any{"t": token})
	if err == nil {
		t.Errorf("a token marshals: %s", body)
	}
	for _, s := range []string{log.String(), fmt.Sprint(token), fmt.Sprintf("%v %+v %#v %s %q", token, token, token, token, token)} {
		if strings.Contains(s, secret) {
			t.Errorf("a token shows itself: %s", s)
		}
	}
	if token.Bearer() != secret {
		t.Error("Bearer does not return the token")
	}
}
