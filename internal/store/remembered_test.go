package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

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
		if h, err := db.Ledger().Histogram(t.Context(), audit.Query{Text: "hartwig"}); err != nil || len(h.Days) != 1 {
			t.Errorf("the histogram does not remember what the list was told: %+v, %v", h, err)
		}
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
	synctest.Test(t, func(t *testing.T) {
		r, leave, gone := store.NewRemembered(), make(chan struct{}), errors.New("gone")
		first := make(chan error, 1)
		go func() {
			_, err := r.Recall(t.Context(), "", "hartwig", func() (string, error) { <-leave; return "", gone })
			first <- err
		}()
		synctest.Wait() // it is asking
		ended, end := context.WithCancel(t.Context())
		end()
		if _, err := r.Recall(ended, "", "hartwig", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting ended with %v", err)
		}
		asked, waiting := 0, make(chan error, 2)
		for range 2 {
			go func() {
				oid, err := r.Recall(t.Context(), "", "hartwig", func() (string, error) { asked++; return "lena", nil })
				if err == nil && oid != "lena" {
					err = errors.New("it is " + oid)
				}
				waiting <- err
			}()
		}
		synctest.Wait()
		if asked != 0 {
			t.Error("they did not wait")
		}
		close(leave)
		if err := <-first; !errors.Is(err, gone) {
			t.Errorf("who asked has %v", err)
		}
		if err := errors.Join(<-waiting, <-waiting); err != nil || asked != 1 {
			t.Errorf("of those who waited, %d asked: %v", asked, err)
		}
	})
}

func TestOnlyTheLastAnswersAreRememberedAndOfOneLedger(t *testing.T) {
	t.Parallel()
	r := store.NewRemembered()
	asked := 0
	ask := func(edge, words string) {
		if oid, err := r.Recall(t.Context(), edge, words, func() (string, error) { asked++; return words, nil }); err != nil || oid != words {
			t.Errorf("%q: %q, %v", words, oid, err)
		}
	}
	for i := range store.MostRemembered + 1 {
		ask("", oidOf(i))
		ask("", oidOf(i))
	}
	if asked != store.MostRemembered+1 {
		t.Errorf("asked %d times", asked)
	}
	if ask("", oidOf(0)); asked != store.MostRemembered+2 {
		t.Error("the oldest answer was not forgotten")
	}
	if ask("of another tree", oidOf(0)); asked != store.MostRemembered+3 {
		t.Error("an answer of another ledger with as many events was taken")
	}
}
