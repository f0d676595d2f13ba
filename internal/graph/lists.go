package graph

import (
	"context"
	"strings"

	abstractions "github.com/microsoft/kiota-abstractions-go"
	dirsdk "github.com/microsoftgraph/msgraph-sdk-go/directory"
	"github.com/microsoftgraph/msgraph-sdk-go/groups"
	"github.com/microsoftgraph/msgraph-sdk-go/identitygovernance"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/rolemanagement"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"evict/internal/directory"
	"evict/internal/operator"
)

// UsersPage reads a page of a list of users.
func (c *Client) UsersPage(
	ctx context.Context, t operator.TokenSource, list directory.UserList, page string,
) (directory.Page[directory.User], error) {
	q := usersQuery{fields: userFields, top: pageSize}
	if list.IDs {
		q.fields = []string{"id"}
	}
	res, err := c.usersPage(ctx, t, list, page, q)
	if err != nil {
		return directory.Page[directory.User]{}, err
	}
	return directory.Page[directory.User]{Items: usersOf(res.GetValue()), Next: str(res.GetOdataNextLink())}, nil
}

// CountUsers asks for one user of a list and for the count of all, which is what /$count answers as text.
func (c *Client) CountUsers(ctx context.Context, t operator.TokenSource, list directory.UserList) (int, error) {
	list.Advanced = true // a count needs the index
	res, err := c.usersPage(ctx, t, list, "", usersQuery{fields: []string{"id"}, top: 1})
	if err != nil {
		return 0, err
	}
	if res.GetOdataCount() == nil {
		return 0, &directory.CallError{Status: 200, Code: directory.CodeUnexpected, Message: "the answer has no count", Sent: true}
	}
	return int(*res.GetOdataCount()), nil
}

// usersQuery is what is asked of each user, and how many of them.
type usersQuery struct {
	fields []string
	top    int32
}

func (c *Client) usersPage(
	ctx context.Context, t operator.TokenSource, list directory.UserList, page string, q usersQuery,
) (models.UserCollectionResponseable, error) {
	for _, id := range []string{list.Group, list.Unit} {
		if id != "" {
			if err := checkID(id); err != nil {
				return nil, err
			}
		}
	}
	var out models.UserCollectionResponseable
	_, err := c.do(ctx, t, request{name: "list of users"}, into(&out, func(ctx context.Context) (models.UserCollectionResponseable, error) {
		p, err := c.userList(ctx, list, page, q)
		if err == nil && missing(p) {
			err = errEmpty
		}
		return p, err
	}))
	return out, err
}

// userList makes the call: of the first page by its query, of any other by its link, which holds the query.
func (c *Client) userList(ctx context.Context, list directory.UserList, page string, q usersQuery) (models.UserCollectionResponseable, error) {
	var headers *abstractions.RequestHeaders
	if list.Group != "" || list.Unit != "" || list.Advanced {
		headers = eventual()
	}
	switch {
	case list.Group != "" && list.Owners:
		of := c.groups().ByGroupId(list.Group).Owners().GraphUser()
		config := &groups.ItemOwnersGraphUserRequestBuilderGetRequestConfiguration{Headers: headers}
		if page != "" {
			return of.WithUrl(page).Get(ctx, config)
		}
		config.QueryParameters = &groups.ItemOwnersGraphUserRequestBuilderGetQueryParameters{Select: q.fields, Count: ptr(true), Top: ptr(q.top)}
		return of.Get(ctx, config)
	case list.Group != "" && list.Nested:
		of := c.groups().ByGroupId(list.Group).TransitiveMembers().GraphUser()
		config := &groups.ItemTransitiveMembersGraphUserRequestBuilderGetRequestConfiguration{Headers: headers}
		if page != "" {
			return of.WithUrl(page).Get(ctx, config)
		}
		config.QueryParameters = &groups.ItemTransitiveMembersGraphUserRequestBuilderGetQueryParameters{Select: q.fields, Count: ptr(true), Top: ptr(q.top)}
		return of.Get(ctx, config)
	case list.Group != "":
		of := c.groups().ByGroupId(list.Group).Members().GraphUser()
		config := &groups.ItemMembersGraphUserRequestBuilderGetRequestConfiguration{Headers: headers}
		if page != "" {
			return of.WithUrl(page).Get(ctx, config)
		}
		config.QueryParameters = &groups.ItemMembersGraphUserRequestBuilderGetQueryParameters{Select: q.fields, Count: ptr(true), Top: ptr(q.top)}
		return of.Get(ctx, config)
	case list.Unit != "":
		of := c.units().ByAdministrativeUnitId(list.Unit).Members().GraphUser()
		config := &dirsdk.AdministrativeUnitsItemMembersGraphUserRequestBuilderGetRequestConfiguration{Headers: headers}
		if page != "" {
			return of.WithUrl(page).Get(ctx, config)
		}
		config.QueryParameters = &dirsdk.AdministrativeUnitsItemMembersGraphUserRequestBuilderGetQueryParameters{Select: q.fields, Count: ptr(true), Top: ptr(q.top)}
		return of.Get(ctx, config)
	}
	config := &users.UsersRequestBuilderGetRequestConfiguration{Headers: headers}
	if page != "" {
		return c.users().WithUrl(page).Get(ctx, config)
	}
	config.QueryParameters = &users.UsersRequestBuilderGetQueryParameters{Select: q.fields, Top: ptr(q.top)}
	if list.Filter != "" {
		config.QueryParameters.Filter = ptr(list.Filter)
	}
	if list.Advanced {
		config.QueryParameters.Count = ptr(true)
	}
	return c.users().Get(ctx, config)
}

// GroupsPage reads a page of the groups that are directly in a group, or of the tenant's role-assignable groups.
func (c *Client) GroupsPage(ctx context.Context, t operator.TokenSource, id, page string) (directory.Page[directory.Group], error) {
	var res models.GroupCollectionResponseable
	if id != "" {
		if err := checkID(id); err != nil {
			return directory.Page[directory.Group]{}, err
		}
	}
	_, err := c.do(ctx, t, request{name: "list of groups"}, into(&res, func(ctx context.Context) (models.GroupCollectionResponseable, error) {
		p, err := c.groupList(ctx, id, page)
		if err == nil && missing(p) {
			err = errEmpty
		}
		return p, err
	}))
	if err != nil {
		return directory.Page[directory.Group]{}, err
	}
	return directory.Page[directory.Group]{Items: groupsOf(res.GetValue()), Next: str(res.GetOdataNextLink())}, nil
}

func (c *Client) groupList(ctx context.Context, id, page string) (models.GroupCollectionResponseable, error) {
	if id == "" {
		config := &groups.GroupsRequestBuilderGetRequestConfiguration{}
		if page != "" {
			return c.groups().WithUrl(page).Get(ctx, config)
		}
		config.QueryParameters = &groups.GroupsRequestBuilderGetQueryParameters{
			Filter: ptr("isAssignableToRole eq true"), Select: groupFields, Top: ptr(int32(pageSize)),
		}
		return c.groups().Get(ctx, config)
	}
	of := c.groups().ByGroupId(id).Members().GraphGroup()
	config := &groups.ItemMembersGraphGroupRequestBuilderGetRequestConfiguration{Headers: eventual()}
	if page != "" {
		return of.WithUrl(page).Get(ctx, config)
	}
	config.QueryParameters = &groups.ItemMembersGraphGroupRequestBuilderGetQueryParameters{
		Select: groupFields, Count: ptr(true), Top: ptr(int32(pageSize)),
	}
	return of.Get(ctx, config)
}

// HoldersPage reads a page of the principals of a role, or of every role when roleID is "".
func (c *Client) HoldersPage(
	ctx context.Context, t operator.TokenSource, roleID string, how directory.How, page string,
) (directory.Page[directory.Holder], error) {
	var filter *string
	if roleID != "" {
		if err := checkID(roleID); err != nil {
			return directory.Page[directory.Holder]{}, err
		}
		filter = equals("roleDefinitionId", roleID)
	}
	out := directory.Page[directory.Holder]{}
	_, err := c.do(ctx, t, request{name: "list of role holders"}, func(ctx context.Context) error {
		if how == directory.Eligible {
			return c.eligiblePage(ctx, filter, page, &out)
		}
		return c.activePage(ctx, filter, page, &out)
	})
	if err != nil {
		return directory.Page[directory.Holder]{}, err
	}
	return out, nil
}

func (c *Client) activePage(ctx context.Context, filter *string, page string, out *directory.Page[directory.Holder]) error {
	of := c.roles().RoleAssignments()
	config := &rolemanagement.DirectoryRoleAssignmentsRequestBuilderGetRequestConfiguration{}
	if page == "" {
		config.QueryParameters = &rolemanagement.DirectoryRoleAssignmentsRequestBuilderGetQueryParameters{Filter: filter, Expand: []string{"principal"}}
	} else {
		of = of.WithUrl(page)
	}
	res, err := of.Get(ctx, config)
	switch {
	case err != nil:
		return err
	case missing(res):
		return errEmpty
	}
	for _, a := range res.GetValue() {
		out.Items = append(out.Items, holderOf(a, directory.Active))
	}
	out.Next = str(res.GetOdataNextLink())
	return nil
}

func (c *Client) eligiblePage(ctx context.Context, filter *string, page string, out *directory.Page[directory.Holder]) error {
	of := c.roles().RoleEligibilityScheduleInstances()
	config := &rolemanagement.DirectoryRoleEligibilityScheduleInstancesRequestBuilderGetRequestConfiguration{}
	if page == "" {
		config.QueryParameters = &rolemanagement.DirectoryRoleEligibilityScheduleInstancesRequestBuilderGetQueryParameters{Filter: filter, Expand: []string{"principal"}}
	} else {
		of = of.WithUrl(page)
	}
	res, err := of.Get(ctx, config)
	switch {
	case err != nil:
		return err
	case missing(res):
		return errEmpty
	}
	for _, e := range res.GetValue() {
		out.Items = append(out.Items, candidateOf(e))
	}
	out.Next = str(res.GetOdataNextLink())
	return nil
}

// Joinable lists who may become a member or an owner of a group through PIM for Groups. Graph wants a filter on the
// group or the principal.
func (c *Client) Joinable(ctx context.Context, t operator.TokenSource, groupID string) ([]directory.Holder, error) {
	if err := checkID(groupID); err != nil {
		return nil, err
	}
	var out []directory.Holder
	_, err := c.do(ctx, t, request{name: "eligible members"}, func(ctx context.Context) error {
		of := identitygovernance.NewPrivilegedAccessGroupEligibilityScheduleInstancesRequestBuilderInternal(c.path(), c.adapter)
		list, more, err := all(maxAssignments,
			func() (models.PrivilegedAccessGroupEligibilityScheduleInstanceCollectionResponseable, error) {
				return of.Get(ctx, &identitygovernance.PrivilegedAccessGroupEligibilityScheduleInstancesRequestBuilderGetRequestConfiguration{
					QueryParameters: &identitygovernance.PrivilegedAccessGroupEligibilityScheduleInstancesRequestBuilderGetQueryParameters{
						Filter: equals("groupId", groupID), Expand: []string{"principal"},
					},
				})
			},
			func(link string) (models.PrivilegedAccessGroupEligibilityScheduleInstanceCollectionResponseable, error) {
				return of.WithUrl(link).Get(ctx, nil)
			})
		if err == nil && more {
			err = errTooLong
		}
		for _, e := range list {
			h := principalOf(e.GetPrincipalId(), e.GetPrincipal())
			h.How, h.Since, h.Until = directory.Eligible, stamp(e.GetStartDateTime()), stamp(e.GetEndDateTime())
			access := e.GetAccessId()
			h.Owner = access != nil && strings.EqualFold(access.String(), "owner")
			out = append(out, h)
		}
		return err
	})
	return out, err
}
