package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/revoke"
	"evict/internal/store"
	"evict/internal/store/storetest"
)

func scopeOf(n int, title, owner string) revoke.SavedScope {
	return revoke.SavedScope{
		ID: id(n), Title: title, Owner: operatorOf(owner),
		Scope: directory.Scope{
			Include: []directory.Source{{Kind: directory.FilterSource, Filter: `startswith(displayName,'"O''Neil" \ ` + "\u2028')"}},
			Exclude: []directory.Source{{Kind: directory.ListSource, Lines: []string{"a@b.example", "\x00"}}},
		},
		Options:   revoke.PlanOptions{IncludeExternal: true, Without: []revoke.Flag{revoke.FlagSynced}},
		CreatedAt: noon, UpdatedAt: noon.Add(time.Duration(n) * time.Second),
	}
}

func save(t testing.TB, db *store.DB, s revoke.SavedScope) revoke.SavedScope {
	t.Helper()
	got, err := db.Revoke().SaveScope(t.Context(), s)
	if err != nil {
		t.Fatalf("saving %s: %v", s.ID, err)
	}
	return got
}

func TestAScopeIsSavedByItsOwnerWhoSawItsLastVersion(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		want := scopeOf(1, "", anna)
		first := save(t, db, want)
		want.Version = 1
		if diff := cmp.Diff(want, first); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
		changed := first
		changed.Title, changed.Scope.Include, changed.UpdatedAt = "Board \"A\"", nil, noon.Add(time.Hour)
		changed.CreatedAt = noon.Add(time.Hour) // nobody changes that
		second := save(t, db, changed)
		want.Title, want.Scope.Include, want.UpdatedAt, want.Version = changed.Title, nil, changed.UpdatedAt, 2
		got, err := db.Revoke().SavedScope(t.Context(), want.ID)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("changed (%v) (-want +got):\n%s", err, diff)
		}
		hers := second
		hers.Owner = operatorOf(carla)
		for name, s := range map[string]revoke.SavedScope{
			"an older version": first, "somebody else's": hers, "the same id as new": scopeOf(1, "", anna), "one that is not there": {ID: "nope", Version: 1},
		} {
			if _, err := db.Revoke().SaveScope(t.Context(), s); !errors.Is(err, revoke.ErrConflict) {
				t.Errorf("saving %s: %v, want ErrConflict", name, err)
			}
		}
		if err := db.Revoke().DeleteScope(t.Context(), want.ID, carla); !errors.Is(err, revoke.ErrNotFound) {
			t.Errorf("deleting somebody else's: %v, want ErrNotFound", err)
		}
		if err := db.Revoke().DeleteScope(t.Context(), want.ID, anna); err != nil {
			t.Error(err)
		}
		if _, err := db.Revoke().SavedScope(t.Context(), want.ID); !errors.Is(err, revoke.ErrNotFound) {
			t.Errorf("reading a deleted one: %v, want ErrNotFound", err)
		}
	})
}

func TestScopesAreListedByTitleAndOnesOwnDraftsAfterThem(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		for _, s := range []revoke.SavedScope{
			scopeOf(1, "", anna), scopeOf(2, "beta", carla), scopeOf(3, "", carla), scopeOf(4, "Alpha", anna), scopeOf(5, "", anna), scopeOf(6, "alpha 2", bernd),
		} {
			save(t, db, s)
		}
		list, err := db.Revoke().SavedScopes(t.Context(), anna)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range list {
			got = append(got, s.ID)
		}
		if want := []string{id(4), id(6), id(2), id(5), id(1)}; !slices.Equal(got, want) {
			t.Errorf("listed %v, want %v", got, want)
		}
	})
}

func TestProtectedAccountsAreKeptWithWhoProtectedThem(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, open storetest.Opener) {
		db := open()
		first := revoke.ProtectedAccount{Person: operatorOf(bernd), Kind: "break-glass", Note: "in the \"safe\"\n", By: operatorOf(anna), Since: noon}
		second := revoke.ProtectedAccount{Person: operatorOf(anna), Kind: "sync", By: operatorOf(carla), Since: noon}
		for _, a := range []revoke.ProtectedAccount{first, second} {
			if err := db.Revoke().Protect(t.Context(), a, []audit.Event{event(audit.SettingsChanged, 1)}); err != nil {
				t.Fatal(err)
			}
		}
		again := first
		again.Kind, again.Note, again.UPN, again.By, again.Since = "service", "", "new@contoso.example", operatorOf(carla), noon.Add(time.Hour)
		if err := db.Revoke().Protect(t.Context(), again, nil); err != nil {
			t.Fatal(err)
		}
		first.Kind, first.Note, first.UPN = again.Kind, again.Note, again.UPN
		got, err := db.Revoke().Protected(t.Context())
		if diff := cmp.Diff([]revoke.ProtectedAccount{second, first}, got); diff != "" || err != nil {
			t.Errorf("protected (%v) (-want +got):\n%s", err, diff)
		}
		if err := db.Revoke().Unprotect(t.Context(), bernd, []audit.Event{event(audit.SettingsChanged, 2)}); err != nil {
			t.Error(err)
		}
		before := newest(t, db)
		if err := db.Revoke().Unprotect(t.Context(), bernd, []audit.Event{event(audit.SettingsChanged, 3)}); !errors.Is(err, revoke.ErrNotFound) {
			t.Errorf("unprotecting it again: %v, want ErrNotFound", err)
		}
		if got, _ := db.Revoke().Protected(t.Context()); len(got) != 1 || before != 3 || newest(t, db) != before {
			t.Errorf("%d protected, %d events", len(got), newest(t, db))
		}
	})
}
