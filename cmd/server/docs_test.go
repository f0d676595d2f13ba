package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"evict/internal/auth"
	"evict/internal/operator"
)

// read decodes a JSON file of docs.
func read(t *testing.T, name string, into any) {
	t.Helper()
	body, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func TestTheManifestHasEveryConsoleRole(t *testing.T) {
	t.Parallel()
	var manifest []struct {
		ID, Value string
		Enabled   bool     `json:"isEnabled"`
		Members   []string `json:"allowedMemberTypes"`
	}
	read(t, "app-roles.json", &manifest)
	var got operator.Roles
	ids := map[string]bool{}
	for _, r := range manifest {
		got = append(got, operator.Role(r.Value))
		ids[r.ID] = true
		if !r.Enabled || !slices.Equal(r.Members, []string{"User"}) {
			t.Errorf("%s: enabled %v, members %v", r.Value, r.Enabled, r.Members)
		}
	}
	if !slices.Equal(got, operator.AllRoles()) {
		t.Errorf("got %v, want %v", got, operator.AllRoles())
	}
	if len(ids) != len(manifest) {
		t.Errorf("%d ids for %d roles", len(ids), len(manifest))
	}
}

func TestThePermissionsAreThoseThatAreAskedFor(t *testing.T) {
	t.Parallel()
	var access []struct {
		Resource string                      `json:"resourceAppId"`
		Access   []struct{ Type, ID string } `json:"resourceAccess"`
	}
	read(t, "permissions.json", &access)
	if len(access) != 1 || access[0].Resource != "00000003-0000-0000-c000-000000000000" {
		t.Fatalf("got %v, want Microsoft Graph alone", access)
	}
	listed := map[string]bool{}
	for _, a := range access[0].Access {
		listed[a.ID] = true
		if a.Type != "Scope" {
			t.Errorf("%s is of type %s: an application permission has no operator", a.ID, a.Type)
		}
	}
	want := append([]string{"openid", "profile", "offline_access"}, auth.ActingScopes()...)
	if len(listed) != len(want) {
		t.Errorf("%d permissions are listed, %d are asked for", len(listed), len(want))
	}
	ids := explained(t)
	for _, name := range want {
		if id := ids[name]; !listed[id] {
			t.Errorf("%s (%q) is asked for and not listed", name, id)
		}
	}
}

// explained is the permissions that app-registration.md explains, with their ids.
func explained(t *testing.T) map[string]string {
	t.Helper()
	body, err := os.ReadFile("../../docs/app-registration.md")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for line := range strings.Lines(string(body)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			ids[strings.Trim(cells[1], " `")] = strings.Trim(cells[2], " `")
		}
	}
	return ids
}
