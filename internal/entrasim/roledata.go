package entrasim

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
)

//go:embed roles.json
var rolesJSON []byte

// Template ids of the built-in roles that the simulator speaks of by name.
const (
	RoleGlobalAdministrator         = "62e90394-69f5-4237-9190-012177145e10"
	RolePrivilegedAuthAdministrator = "7be44c8a-adaf-4e2a-84d6-ab2649e08a13"
	RolePrivilegedRoleAdministrator = "e8611ab8-c189-46e8-94e1-60213ab1f814"
	RoleUserAdministrator           = "fe930be7-5e62-47db-91af-98c3a49a38b1"
	RoleHelpdeskAdministrator       = "729827e3-9c14-49f7-bb1b-9608f156bbb8"
	RolePasswordAdministrator       = "966707d0-3269-4727-9be2-8c3a10f19b9d"
	RoleAuthenticationAdministrator = "c4e39bd9-1100-46d3-8c65-fb160da0071f"
	RoleExchangeAdministrator       = "29232cdf-9323-42fd-ade2-1d097af3e4de"
	RoleSecurityAdministrator       = "194ae4cb-b126-40b2-bd5b-6091b380977d"
	RoleSecurityOperator            = "5f2222b1-57c3-48ba-8ad5-d4759f1fde6f"
	RoleSecurityReader              = "5d6b6bb7-de71-4623-b4af-96380a352509"
	RoleGlobalReader                = "f2ef992c-3afb-46b9-b7cf-a126ee74c451"
	RoleReportsReader               = "4a5d8f65-41da-4de4-8968-e035b65339cf"
	RoleDirectoryReaders            = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b"
	RoleDirectoryWriters            = "9360feb5-f418-4baa-8175-e2a00bac4301"
	RoleGroupsAdministrator         = "fdd7a751-b60b-444a-984c-02652fe8fa1c"
	RoleAIAdministrator             = "d2562ede-74db-457e-a7b6-544e236ebb61"
	RoleAgentIDAdministrator        = "db506228-d27e-4b7d-95e5-295956d6615f"
	RoleSOCIdentityResponder        = "58f930cc-fcf4-4152-852c-1d7dbf502139"
	RoleDirectorySynchronization    = "d29b2b05-8046-44ba-8758-1e26182fcf32"
)

// unitAssignable are the operator roles that may be assigned at the scope of an administrative unit (Microsoft Learn,
// Assign roles with administrative unit scope).
var unitAssignable = []string{
	RoleAuthenticationAdministrator, RoleHelpdeskAdministrator, RolePasswordAdministrator,
	RolePrivilegedAuthAdministrator, RoleUserAdministrator,
}

// roleDef is one built-in role. RevocableBy lists the operator roles that may revoke somebody who holds it; nil means
// the default of the table.
type roleDef struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Privileged  bool     `json:"privileged"`
	System      bool     `json:"system"`
	RevocableBy []string `json:"revocableBy"`
	Actions     []string `json:"actions"`
}

// roleTable is Microsoft's table of who may revoke whom. Source names where it was read and when.
type roleTable struct {
	Source      string    `json:"source"`
	Default     []string  `json:"default"`
	NoAdminRole []string  `json:"noAdminRole"`
	Roles       []roleDef `json:"roles"`
	byID        map[string]*roleDef
}

var loadRoles = sync.OnceValues(func() (*roleTable, error) {
	var t roleTable
	if err := json.Unmarshal(rolesJSON, &t); err != nil {
		return nil, fmt.Errorf("reading the embedded role table: %w", err)
	}
	t.byID = make(map[string]*roleDef, len(t.Roles))
	for i := range t.Roles {
		t.byID[t.Roles[i].ID] = &t.Roles[i]
	}
	return &t, nil
})

// covers reports whether an operator who holds role may revoke a person who holds target. Pseudo roles such as "User"
// are held by everybody and count as no role.
func (t *roleTable) covers(role, target string) bool {
	if d := t.byID[target]; d != nil && d.RevocableBy != nil {
		return slices.Contains(d.RevocableBy, role)
	}
	return slices.Contains(t.Default, role)
}

// name returns the display name of a role, or its id when it is not a built-in one.
func (t *roleTable) name(id string) string {
	if d := t.byID[id]; d != nil {
		return d.Name
	}
	return id
}
