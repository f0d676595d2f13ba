package store_test

import (
	"context"
	"errors"
	"testing"

	"evict/internal/audit"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

func TestWhatTheDictionariesSaidHoldsUntilTheNextEvent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		ledger := db.Ledger()
		of := func(n int, name string) audit.Event {
			e := event(audit.TargetAttempted, n)
			e.Target = &audit.Person{OID: oidOf(n), Name: name}
			return e
		}
		finds := func(when, name string, want int) {
			t.Helper()
			for _, q := range []audit.Query{{Target: name}, {Text: name}} {
				found, err := ledger.Search(t.Context(), q)
				if err != nil || len(found.Records) != want {
					t.Errorf("%s: %+v found %d events, want %d (%v)", when, q, len(found.Records), want, err)
				}
			}
		}
		if err := ledger.Append(t.Context(), of(1, "Lena Hartwig")); err != nil {
			t.Fatal(err)
		}
		finds("at first", "hartwig", 1)
		finds("at first", "okafor", 0)
		writer, _ := db.Pools()
		if _, err := writer.ExecContext(t.Context(), `update person set folded = 'somebody else'`); err != nil {
			t.Fatal(err)
		}
		finds("remembered", "hartwig", 1)
		finds("never asked", "lena", 0)
		if err := ledger.Append(t.Context(), of(2, "Chidi Okafor")); err != nil {
			t.Fatal(err)
		}
		finds("after the next event", "okafor", 1)
		finds("after the next event", "hartwig", 0)
	})
}

func TestWhoWaitsForAnAnswerAsksWhenTheOtherOneWentAway(t *testing.T) {
	t.Parallel()
	asking, leave := make(chan struct{}), make(chan struct{})
	r := store.NewRemembered()
	gone := errors.New("gone")
	first := make(chan error)
	go func() {
		_, err := r.Answer(t.Context(), "hartwig", func() (string, error) { close(asking); <-leave; return "", gone })
		first <- err
	}()
	<-asking
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := r.Answer(ended, "hartwig", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting ended with %v", err)
	}
	second := make(chan string)
	go func() {
		oid, _ := r.Answer(t.Context(), "hartwig", func() (string, error) { return "lena", nil })
		second <- oid
	}()
	close(leave)
	if err, oid := <-first, <-second; !errors.Is(err, gone) || oid != "lena" {
		t.Errorf("one had %v, the other one %q", err, oid)
	}
}

func TestOnlyTheLastAnswersAreRemembered(t *testing.T) {
	t.Parallel()
	r := store.NewRemembered()
	asked := 0
	ask := func(words string) {
		if oid, err := r.Answer(t.Context(), words, func() (string, error) { asked++; return words, nil }); err != nil || oid != words {
			t.Errorf("%q: %q, %v", words, oid, err)
		}
	}
	for i := range store.MostRemembered + 1 {
		ask(oidOf(i))
		ask(oidOf(i))
	}
	if asked != store.MostRemembered+1 {
		t.Errorf("asked %d times", asked)
	}
	if ask(oidOf(0)); asked != store.MostRemembered+2 {
		t.Error("the oldest answer was not forgotten")
	}
}
