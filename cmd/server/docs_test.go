package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"evict/internal/auth"
	"evict/internal/config"
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

// commands is what a document would have one type in its last block that starts the console.
func commands(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range slices.Backward(strings.Split(string(body), "```sh\n")) {
		if block, _, _ = strings.Cut(block, "```"); strings.Contains(block, "evict serve") {
			return block
		}
	}
	t.Fatalf("%s does not say how to start the console", name)
	return ""
}

func TestTheConsoleStartsAsTheDocumentsSay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"EVICT_BASE_URL": "https://evict.example.com", "EVICT_TENANT_ID": tenantID, "EVICT_CLIENT_ID": tenantID}
	for _, name := range []string{"README.md", "docs/app-registration.md"} {
		var environ []string
		typed := commands(t, name)
		for _, set := range regexp.MustCompile(`\b(EVICT_\w+)=(\S+)`).FindAllStringSubmatch(typed, -1) {
			if strings.HasSuffix(set[1], "_FILE") {
				values[set[1]] = file
			}
			environ = append(environ, set[1]+"="+values[set[1]])
			if strings.HasSuffix(set[1], "KEYS_FILE") || strings.HasSuffix(set[1], "KEY_FILE") {
				if !strings.Contains(typed, "keygen -o "+set[2]) {
					t.Errorf("%s: nothing makes %s", name, set[2])
				}
			}
		}
		if _, err := config.FromEnvironment(environ); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryTestThatTheArchitectureNamesExists(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(string(body), -1)
	if len(named) < 50 {
		t.Fatalf("only %d tests are named", len(named))
	}
	written := map[string]bool{}
	for _, root := range []string{"../../cmd", "../../internal", "../../web"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(source, -1) {
				written[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range named {
		if !written[name] {
			t.Errorf("there is no test %s", name)
		}
	}
}
