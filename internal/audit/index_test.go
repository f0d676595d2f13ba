package audit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
)

// Verification compares what the store made of the event with what it makes of the event's bytes.
func TestAnEventAndItsBytesHaveTheSameIndex(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"plain", "\xff\xfe broken", "cut in two \xe2\x82", "nul\x00byte", "\u202egnp.exe", "line\u2028end", "<&>", "\ufffd",
		strings.Repeat("𝔘", 500), strings.Repeat("\xff", 500), "İI",
	} {
		e := full()
		e.ID, e.Kind, e.Run, e.Plan, e.Outcome, e.Ticket = s, audit.Kind(s), s, s, s, s
		e.Operator, e.Target = &audit.Person{OID: s}, &audit.Person{OID: s}
		read, err := audit.Decode([]byte(encode(t, 7, e)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(audit.IndexOf(e), audit.IndexOf(read)); diff != "" {
			t.Errorf("%.20q (-event +its bytes):\n%s", s, diff)
		}
	}
}

func TestTheIndexOfAnEventThatSaysLittle(t *testing.T) {
	t.Parallel()
	got := audit.IndexOf(audit.Event{Time: "yesterday", Kind: audit.SignedIn, Operator: &audit.Person{OID: "ABC"}})
	if want := (audit.Index{Kind: "session.signed_in", Operator: "abc"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
