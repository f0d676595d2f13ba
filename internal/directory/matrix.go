package directory

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
)

// The roles that the rules name.
const (
	roleGlobalAdmin      = "62e90394-69f5-4237-9190-012177145e10"
	rolePrivAuthAdmin    = "7be44c8a-adaf-4e2a-84d6-ab2649e08a13"
	roleUserAdmin        = "fe930be7-5e62-47db-91af-98c3a49a38b1"
	roleAuthAdmin        = "c4e39bd9-1100-46d3-8c65-fb160da0071f"
	roleHelpdeskAdmin    = "729827e3-9c14-49f7-bb1b-9608f156bbb8"
	rolePasswordAdmin    = "966707d0-3269-4727-9be2-8c3a10f19b9d"
	roleSecurityAdmin    = "194ae4cb-b126-40b2-bd5b-6091b380977d"
	roleSecurityOperator = "5f2222b1-57c3-48ba-8ad5-d4759f1fde6f"
	roleSOCResponder     = "58f930cc-fcf4-4152-852c-1d7dbf502139"
	roleDirectoryWriters = "9360feb5-f418-4baa-8175-e2a00bac4301"
	rolePartnerTier1     = "4ba39ca4-527c-499a-b93d-d9b492c50246"
	rolePartnerTier2     = "e00e864a-17c5-4a4b-9c06-f5b95a8d5bd8"
	roleAgentIDAdmin     = "db506228-d27e-4b7d-95e5-295956d6615f"
	roleAIAdmin          = "d2562ede-74db-457e-a7b6-544e236ebb61"
)

//go:embed matrix.json
var matrixJSON []byte

// matrix says which roles of an operator may invalidate the refresh tokens of whom. Lists hold template ids.
type matrix struct {
	Source  string              `json:"source"`
	AsOf    string              `json:"asOf"`
	Default []string            `json:"default"` // for any role that has no row, and for protected accounts
	None    []string            `json:"none"`    // for people who hold no role
	Targets map[string][]string `json:"targets"` // for holders of a role
	Roles   []matrixRole        `json:"roles"`

	byID map[string]matrixRole
}

type matrixRole struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Privileged bool   `json:"privileged"`
	System     bool   `json:"system"` // what Entra gives every user or device; nobody is assigned it
}

var table = loadMatrix(matrixJSON)

func loadMatrix(b []byte) matrix {
	var m matrix
	if err := json.Unmarshal(b, &m); err != nil {
		panic("directory: the embedded role table is not JSON: " + err.Error())
	}
	m.byID = make(map[string]matrixRole, len(m.Roles))
	for _, r := range m.Roles {
		m.byID[r.ID] = r
	}
	return m
}

// MatrixSource says where the table of who may revoke whom comes from, and as of when.
func MatrixSource() (source, asOf string) { return table.Source, table.AsOf }

// BuiltIn returns what the table knows of a built-in role by its template id.
func BuiltIn(templateID string) (Role, bool) {
	r, ok := table.byID[strings.ToLower(templateID)]
	if !ok {
		return Role{TemplateID: templateID}, false
	}
	privileged := No
	if r.Privileged {
		privileged = Yes
	}
	return Role{TemplateID: r.ID, Name: r.Name, Privileged: privileged}, true
}

// BuiltIns returns every built-in role that the table knows and that can be assigned.
func BuiltIns() []Role {
	var out []Role
	for _, r := range table.Roles {
		if !r.System {
			role, _ := BuiltIn(r.ID)
			out = append(out, role)
		}
	}
	return out
}

// covering returns the roles that may revoke holders of the role; unknown and custom roles get the default list.
func (m matrix) covering(templateID string) []string {
	if list, ok := m.Targets[strings.ToLower(templateID)]; ok {
		return list
	}
	return m.Default
}

// mightOf returns the roles whose holders the role may revoke, as names in alphabetical order.
func (m matrix) mightOf(templateID string) []string {
	var out []string
	for target, list := range m.Targets {
		r := m.byID[target]
		if slices.Contains(list, templateID) && !slices.Equal(list, m.Default) && !r.System {
			out = append(out, r.Name)
		}
	}
	slices.Sort(out)
	return out
}

// caveat says why a role that is listed, or that holds the action, may still be refused; "" for a plain case.
// (Definitions: role definition export of 2026-08-18; Security Administrator: announced for September 2026.)
func caveat(templateID string) string {
	switch templateID {
	case rolePasswordAdmin:
		return "Microsoft's table lists Password Administrator, but the role's definition lacks the action"
	case roleDirectoryWriters:
		return "the definition of Directory Writers holds the action, but Microsoft's table does not list the role"
	case roleSecurityAdmin:
		return "Security Administrator gained this right only in September 2026, and not every tenant may have it yet"
	case rolePartnerTier1, rolePartnerTier2:
		return "Partner Support roles are deprecated, and Microsoft says not to use them"
	default:
		return ""
	}
}
