package graph

import (
	"context"
	"strings"

	dirsdk "github.com/microsoftgraph/msgraph-sdk-go/directory"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/rolemanagement"

	"evict/internal/directory"
	"evict/internal/operator"
)

const maxAssignments = 5000

func (c *Client) roles() *rolemanagement.DirectoryRequestBuilder {
	return rolemanagement.NewRoleManagementRequestBuilderInternal(c.path(), c.adapter).Directory()
}

// RoleDefinitions lists the tenant's directory roles, custom ones included.
func (c *Client) RoleDefinitions(ctx context.Context, t operator.TokenSource) ([]directory.Role, error) {
	var out []directory.Role
	_, err := c.do(ctx, t, request{name: "role definitions"}, func(ctx context.Context) error {
		of := c.roles().RoleDefinitions()
		list, more, err := all(maxAssignments,
			func() (models.UnifiedRoleDefinitionCollectionResponseable, error) {
				return of.Get(ctx, &rolemanagement.DirectoryRoleDefinitionsRequestBuilderGetRequestConfiguration{
					QueryParameters: &rolemanagement.DirectoryRoleDefinitionsRequestBuilderGetQueryParameters{
						Select: []string{"id", "displayName", "description", "templateId", "isBuiltIn", "isEnabled"},
					},
				})
			},
			func(link string) (models.UnifiedRoleDefinitionCollectionResponseable, error) {
				return of.WithUrl(link).Get(ctx, nil)
			})
		if err == nil && more {
			err = errTooLong
		}
		for _, d := range list {
			out = append(out, roleOf(d))
		}
		return err
	})
	return out, err
}

// roleOf keeps the id by which assignments name the role; a built-in role's id is its template id.
func roleOf(d models.UnifiedRoleDefinitionable) directory.Role {
	role, known := directory.BuiltIn(str(d.GetId()))
	if !known {
		role.TemplateID, role.Name = strings.ToLower(role.TemplateID), str(d.GetDisplayName())
	}
	role.Description = str(d.GetDescription())
	return role
}

// ActiveRoles lists the roles that are assigned to exactly this principal and active now. Those that were activated
// in PIM are among them for as long as they last.
func (c *Client) ActiveRoles(ctx context.Context, t operator.TokenSource, principalID string) ([]directory.Holding, error) {
	if err := checkID(principalID); err != nil {
		return nil, err
	}
	var out []directory.Holding
	_, err := c.do(ctx, t, request{name: "active roles"}, func(ctx context.Context) error {
		list, err := c.assignments(ctx, equals("principalId", principalID), nil)
		for _, a := range list {
			out = append(out, holdingOf(a, directory.Active))
		}
		return err
	})
	return out, err
}

// EligibleRoles lists the roles that exactly this principal may activate in PIM.
func (c *Client) EligibleRoles(ctx context.Context, t operator.TokenSource, principalID string) ([]directory.Holding, error) {
	if err := checkID(principalID); err != nil {
		return nil, err
	}
	var out []directory.Holding
	_, err := c.do(ctx, t, request{name: "eligible roles"}, func(ctx context.Context) error {
		list, err := c.eligibilities(ctx, equals("principalId", principalID), nil)
		for _, e := range list {
			h := holdingOf(e, directory.Eligible)
			h.Since, h.Until = stamp(e.GetStartDateTime()), stamp(e.GetEndDateTime())
			out = append(out, h)
		}
		return err
	})
	return out, err
}

// Holders lists the principals of a role: users, role-assignable groups (not their members), service principals.
func (c *Client) Holders(ctx context.Context, t operator.TokenSource, roleID string, how directory.How) ([]directory.Holder, error) {
	if err := checkID(roleID); err != nil {
		return nil, err
	}
	filter, expand := equals("roleDefinitionId", roleID), []string{"principal"}
	var out []directory.Holder
	_, err := c.do(ctx, t, request{name: "role holders"}, func(ctx context.Context) error {
		if how == directory.Eligible {
			list, err := c.eligibilities(ctx, filter, expand)
			for _, e := range list {
				out = append(out, candidateOf(e))
			}
			return err
		}
		list, err := c.assignments(ctx, filter, expand)
		for _, a := range list {
			out = append(out, holderOf(a, how))
		}
		return err
	})
	return out, err
}

func (c *Client) assignments(ctx context.Context, filter *string, expand []string) ([]models.UnifiedRoleAssignmentable, error) {
	of := c.roles().RoleAssignments()
	list, more, err := all(maxAssignments,
		func() (models.UnifiedRoleAssignmentCollectionResponseable, error) {
			return of.Get(ctx, &rolemanagement.DirectoryRoleAssignmentsRequestBuilderGetRequestConfiguration{
				QueryParameters: &rolemanagement.DirectoryRoleAssignmentsRequestBuilderGetQueryParameters{Filter: filter, Expand: expand},
			})
		},
		func(link string) (models.UnifiedRoleAssignmentCollectionResponseable, error) {
			return of.WithUrl(link).Get(ctx, nil)
		})
	if err == nil && more {
		err = errTooLong
	}
	return list, err
}

func (c *Client) eligibilities(ctx context.Context, filter *string, expand []string) ([]models.UnifiedRoleEligibilityScheduleInstanceable, error) {
	of := c.roles().RoleEligibilityScheduleInstances()
	list, more, err := all(maxAssignments,
		func() (models.UnifiedRoleEligibilityScheduleInstanceCollectionResponseable, error) {
			return of.Get(ctx, &rolemanagement.DirectoryRoleEligibilityScheduleInstancesRequestBuilderGetRequestConfiguration{
				QueryParameters: &rolemanagement.DirectoryRoleEligibilityScheduleInstancesRequestBuilderGetQueryParameters{Filter: filter, Expand: expand},
			})
		},
		func(link string) (models.UnifiedRoleEligibilityScheduleInstanceCollectionResponseable, error) {
			return of.WithUrl(link).Get(ctx, nil)
		})
	if err == nil && more {
		err = errTooLong
	}
	return list, err
}

// granted is what assignments and eligibilities have in common.
type granted interface {
	GetRoleDefinitionId() *string
	GetDirectoryScopeId() *string
	GetPrincipalId() *string
	GetPrincipal() models.DirectoryObjectable
}

func holdingOf(g granted, how directory.How) directory.Holding {
	role, known := directory.BuiltIn(str(g.GetRoleDefinitionId()))
	if !known {
		role.TemplateID = strings.ToLower(role.TemplateID)
	}
	return directory.Holding{Role: role, How: how, Scope: str(g.GetDirectoryScopeId())}
}

func holderOf(g granted, how directory.How) directory.Holder {
	out := principalOf(g.GetPrincipalId(), g.GetPrincipal())
	out.How, out.Scope, out.RoleID = how, str(g.GetDirectoryScopeId()), strings.ToLower(str(g.GetRoleDefinitionId()))
	return out
}

// principalOf tells what a principal is, as far as Graph expanded it.
func principalOf(id *string, principal models.DirectoryObjectable) directory.Holder {
	out := directory.Holder{ID: strings.ToLower(str(id))}
	switch p := principal.(type) {
	case models.Userable:
		out.Kind, out.Name, out.UPN = "user", str(p.GetDisplayName()), str(p.GetUserPrincipalName())
	case models.Groupable:
		out.Kind, out.Name = "group", str(p.GetDisplayName())
	case models.ServicePrincipalable:
		out.Kind, out.Name = "servicePrincipal", str(p.GetDisplayName())
	}
	return out
}

// candidateOf is holderOf for an eligible principal, with the bounds of the eligibility.
func candidateOf(e models.UnifiedRoleEligibilityScheduleInstanceable) directory.Holder {
	out := holderOf(e, directory.Eligible)
	out.Since, out.Until = stamp(e.GetStartDateTime()), stamp(e.GetEndDateTime())
	return out
}

var unitFields = []string{"id", "displayName", "isMemberManagementRestricted", "visibility"}

func (c *Client) units() *dirsdk.AdministrativeUnitsRequestBuilder {
	return dirsdk.NewDirectoryRequestBuilderInternal(c.path(), c.adapter).AdministrativeUnits()
}

// Unit reads an administrative unit by object id.
func (c *Client) Unit(ctx context.Context, t operator.TokenSource, id string) (directory.Unit, error) {
	if err := checkID(id); err != nil {
		return directory.Unit{}, err
	}
	var out directory.Unit
	_, err := c.do(ctx, t, request{name: "administrative unit"}, into(&out, func(ctx context.Context) (directory.Unit, error) {
		u, err := c.units().ByAdministrativeUnitId(id).Get(ctx,
			&dirsdk.AdministrativeUnitsAdministrativeUnitItemRequestBuilderGetRequestConfiguration{
				QueryParameters: &dirsdk.AdministrativeUnitsAdministrativeUnitItemRequestBuilderGetQueryParameters{
					Select: unitFields,
				},
			})
		if err != nil {
			return directory.Unit{}, err
		}
		if missing(u) || !strings.EqualFold(str(u.GetId()), id) {
			return directory.Unit{}, errEmpty
		}
		return unitOf(u), nil
	}))
	return out, err
}

func unitOf(u models.AdministrativeUnitable) directory.Unit {
	out := directory.Unit{ID: strings.ToLower(str(u.GetId())), Name: str(u.GetDisplayName())}
	if u.GetDisplayName() != nil {
		// Null for a unit that was not made restricted; who may not read units sees only their ids.
		out.Restricted = yes(u.GetIsMemberManagementRestricted())
		out.Hidden = yes(ptr(strings.EqualFold(str(u.GetVisibility()), "HiddenMembership")))
	}
	return out
}

// FindUnits searches administrative units by name, or lists the first when there is nothing to search for.
func (c *Client) FindUnits(ctx context.Context, t operator.TokenSource, text string, limit int) ([]directory.Unit, error) {
	query := &dirsdk.AdministrativeUnitsRequestBuilderGetQueryParameters{
		Select: unitFields, Count: ptr(true), Top: ptr(int32(min(limit, pageSize))), //nolint:gosec // bounded by pageSize
	}
	if text != "" {
		query.Search = quoted(text, "displayName")
	}
	var found []models.AdministrativeUnitable
	_, err := c.do(ctx, t, request{name: "find administrative units"}, into(&found, func(ctx context.Context) ([]models.AdministrativeUnitable, error) {
		list, _, err := all(limit,
			func() (models.AdministrativeUnitCollectionResponseable, error) {
				return c.units().Get(ctx, &dirsdk.AdministrativeUnitsRequestBuilderGetRequestConfiguration{Headers: eventual(), QueryParameters: query})
			},
			func(link string) (models.AdministrativeUnitCollectionResponseable, error) {
				return c.units().WithUrl(link).Get(ctx, &dirsdk.AdministrativeUnitsRequestBuilderGetRequestConfiguration{Headers: eventual()})
			})
		return list, err
	}))
	out := make([]directory.Unit, 0, len(found))
	for _, u := range found {
		if directory.IsID(str(u.GetId())) {
			out = append(out, unitOf(u))
		}
	}
	return out, err
}
