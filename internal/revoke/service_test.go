package revoke_test

import (
	"errors"
	"strings"
	"testing"

	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

func TestTheReasonIsRequired(t *testing.T) {
	tests := map[string]struct {
		change func(*revoke.Request)
		field  string
	}{
		"no reason":        {func(r *revoke.Request) { r.Reason = " \n\x00" }, "reason"},
		"too long":         {func(r *revoke.Request) { r.Reason = strings.Repeat("é", revoke.MaxReason+1) }, "reason"},
		"ticket too long":  {func(r *revoke.Request) { r.Ticket = strings.Repeat("x", revoke.MaxTicket+1) }, "ticket"},
		"longest possible": {func(r *revoke.Request) { r.Reason = strings.Repeat("é", revoke.MaxReason) }, ""},
	}
	t.Parallel()
	w := newWorld(t, func(change ...func(*store.Options)) *store.DB { return storetest.Open(t, change...) })
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req := ask
			tt.change(&req)
			_, _, err := w.svc.RevokeOne(t.Context(), actor(helpdesk), req)
			e, _ := errors.AsType[*fault.Error](err)
			switch {
			case tt.field == "" && err != nil:
				t.Errorf("RevokeOne: %v", err)
			case tt.field != "" && (e == nil || e.Kind != fault.Invalid || e.Field != tt.field):
				t.Errorf("RevokeOne = %v, want an error beside %s", err, tt.field)
			}
		})
	}
}

func TestAChallengeBeforeThePlanLeavesNoTrace(t *testing.T) {
	each(t, func(w *world) {
		w.graph.userFn = func(string) (directory.User, error) {
			return directory.User{}, &operator.ReauthError{Claims: "{}"}
		}
		_, _, err := w.svc.RevokeOne(t.Context(), actor(helpdesk), ask)
		if _, ok := errors.AsType[*operator.ReauthError](err); !ok {
			t.Fatalf("RevokeOne = %v, want ReauthError", err)
		}
		if w.kinds() != "" || len(w.graph.calls) != 0 {
			t.Errorf("ledger %q, %d calls, want nothing", w.kinds(), len(w.graph.calls))
		}
	})
}
