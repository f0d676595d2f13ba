package web

import (
	"strings"
	"testing"
	"time"

	"evict/internal/revoke"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestRelativeTimesUseOneUnit(t *testing.T) {
	t.Parallel()
	tests := map[time.Duration]string{
		0: "just now", 45 * time.Second: "45 s ago", 5 * time.Minute: "5 min ago", 3 * time.Hour: "3 h ago",
		11 * 24 * time.Hour: "11 days ago", -2 * time.Hour: "in 2 h",
	}
	for d, want := range tests {
		if got := relative(d); got != want {
			t.Errorf("relative(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestTimesOfAFormAreUTC(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"2026-11-23T12:00", "2026-11-23T12:00:00", "2026-11-23T12:00:00Z", "2026-11-23T12:00:00.000Z", "2026-11-23T14:00:00+02:00"} {
		if got, err := formTime(s); err != nil || !got.Equal(noon) {
			t.Errorf("formTime(%q) = %v, %v, want %v", s, got, err, noon)
		}
	}
	if _, err := formTime("yesterday"); err == nil {
		t.Error("formTime takes what is no time")
	}
}

func target(state revoke.State) revoke.RunTarget {
	return revoke.RunTarget{
		Target: revoke.Target{OID: "o", UPN: "victim@corp.example", Name: "A Victim", Before: noon.Add(-time.Hour)},
		State:  state, Attempt: 1, T0: noon, After: noon, Message: "the cause",
	}
}

func allStates() []revoke.State {
	return []revoke.State{
		revoke.Pending, revoke.Attempting, revoke.Accepted, revoke.Confirmed, revoke.Unconfirmed, revoke.NotCovered,
		revoke.Refused, revoke.Failed, revoke.Skipped, revoke.Cancelled,
	}
}

func TestOnlyConfirmedIsCalledASuccess(t *testing.T) {
	t.Parallel()
	for _, state := range allStates() {
		words := statusSentence(revoke.Run{}, target(state), noon) + callerText(target(state), "public") + ticketText(revoke.Run{}, target(state), "public")
		claims := strings.Contains(words, "have been cut off") || strings.Contains(words, "Entra has recorded that") || strings.Contains(words, "revocation confirmed")
		if claims != (state == revoke.Confirmed) {
			t.Errorf("%s: success is claimed: %v in %q", state, claims, words)
		}
	}
}

func TestEveryOutcomeThatIsNoSuccessHasAWayOut(t *testing.T) {
	t.Parallel()
	for _, state := range allStates() {
		way, _ := wayOut(target(state))
		needs := state.Final() && state != revoke.Confirmed && state != revoke.Cancelled
		if (way != "") != needs {
			t.Errorf("%s: way out %q, want one: %v", state, way, needs)
		}
	}
}

func TestARehearsalSaysSoInTheTicket(t *testing.T) {
	t.Parallel()
	if got := ticketText(revoke.Run{}, target(revoke.Confirmed), "simulator"); !strings.HasPrefix(got, "REHEARSAL") {
		t.Errorf("ticket text = %q, want it to begin with REHEARSAL", got)
	}
	if got := ticketText(revoke.Run{}, target(revoke.Confirmed), "public"); strings.Contains(got, "REHEARSAL") {
		t.Errorf("ticket text of a real tenant = %q", got)
	}
}
