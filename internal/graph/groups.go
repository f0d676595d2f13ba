package graph

import (
	"context"
	"slices"
	"strings"

	"github.com/microsoftgraph/msgraph-sdk-go/domains"
	"github.com/microsoftgraph/msgraph-sdk-go/groups"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"evict/internal/directory"
	"evict/internal/operator"
)

var groupFields = []string{"id", "displayName", "description", "mail", "isAssignableToRole", "groupTypes", "visibility"}

func (c *Client) groups() *groups.GroupsRequestBuilder {
	return groups.NewGroupsRequestBuilderInternal(c.path(), c.adapter)
}

// FindGroups searches names and addresses of groups.
func (c *Client) FindGroups(ctx context.Context, t operator.TokenSource, text string, limit int) ([]directory.Group, error) {
	var found []models.Groupable
	_, err := c.do(ctx, t, request{name: "find groups"}, into(&found, func(ctx context.Context) ([]models.Groupable, error) {
		config := &groups.GroupsRequestBuilderGetRequestConfiguration{
			Headers: eventual(),
			QueryParameters: &groups.GroupsRequestBuilderGetQueryParameters{
				Search: quoted(text, "displayName", "mail"),
				Select: groupFields, Count: ptr(true), Top: ptr(int32(min(limit, pageSize))), //nolint:gosec // bounded by pageSize
			},
		}
		list, _, err := all(limit,
			func() (models.GroupCollectionResponseable, error) { return c.groups().Get(ctx, config) },
			func(link string) (models.GroupCollectionResponseable, error) {
				return c.groups().WithUrl(link).Get(ctx, &groups.GroupsRequestBuilderGetRequestConfiguration{Headers: eventual()})
			})
		return list, err
	}))
	return groupsOf(found), err
}

// Group reads one group by object id.
func (c *Client) Group(ctx context.Context, t operator.TokenSource, id string) (directory.Group, error) {
	if err := checkID(id); err != nil {
		return directory.Group{}, err
	}
	var out directory.Group
	_, err := c.do(ctx, t, request{name: "group"}, into(&out, func(ctx context.Context) (directory.Group, error) {
		g, err := c.groups().ByGroupId(id).Get(ctx, &groups.GroupItemRequestBuilderGetRequestConfiguration{
			QueryParameters: &groups.GroupItemRequestBuilderGetQueryParameters{Select: groupFields},
		})
		if err != nil {
			return directory.Group{}, err
		}
		if missing(g) || !strings.EqualFold(str(g.GetId()), id) {
			return directory.Group{}, errEmpty
		}
		return groupOf(g), nil
	}))
	return out, err
}

// Members returns up to limit users who are in the group, nested ones included, and how many there are. The cast to
// users leaves devices and service principals out, and reads an index.
func (c *Client) Members(ctx context.Context, t operator.TokenSource, id string, limit int) ([]directory.User, int, error) {
	if err := checkID(id); err != nil {
		return nil, -1, err
	}
	count := -1
	var found []models.Userable
	_, err := c.do(ctx, t, request{name: "members"}, into(&found, func(ctx context.Context) ([]models.Userable, error) {
		of := c.groups().ByGroupId(id).TransitiveMembers().GraphUser()
		config := &groups.ItemTransitiveMembersGraphUserRequestBuilderGetRequestConfiguration{
			Headers: eventual(),
			QueryParameters: &groups.ItemTransitiveMembersGraphUserRequestBuilderGetQueryParameters{
				Select: userFields, Count: ptr(true), Top: ptr(int32(min(limit, pageSize))), //nolint:gosec // bounded by pageSize
			},
		}
		list, more, err := all(limit,
			func() (models.UserCollectionResponseable, error) {
				p, err := of.Get(ctx, config)
				if err == nil && !missing(p) && p.GetOdataCount() != nil {
					count = int(*p.GetOdataCount())
				}
				return p, err
			},
			func(link string) (models.UserCollectionResponseable, error) {
				return of.WithUrl(link).Get(ctx, &groups.ItemTransitiveMembersGraphUserRequestBuilderGetRequestConfiguration{Headers: eventual()})
			})
		if count < 0 && !more {
			count = len(list)
		}
		return list, err
	}))
	if err != nil {
		return nil, -1, err
	}
	return usersOf(found), count, nil
}

// OwnedGroups lists the groups that a user owns.
func (c *Client) OwnedGroups(ctx context.Context, t operator.TokenSource, userID string) ([]directory.Group, error) {
	if err := checkID(userID); err != nil {
		return nil, err
	}
	var out []directory.Group
	_, err := c.do(ctx, t, request{name: "owned groups"}, func(ctx context.Context) error {
		of := c.users().ByUserId(userID).OwnedObjects()
		list, more, err := all(maxPages*pageSize,
			func() (models.DirectoryObjectCollectionResponseable, error) {
				return of.Get(ctx, &users.ItemOwnedObjectsRequestBuilderGetRequestConfiguration{
					QueryParameters: &users.ItemOwnedObjectsRequestBuilderGetQueryParameters{Top: ptr(int32(pageSize))},
				})
			},
			func(link string) (models.DirectoryObjectCollectionResponseable, error) {
				return of.WithUrl(link).Get(ctx, nil)
			})
		if err == nil && more {
			err = errTooLong
		}
		out = membershipsOf(list).Groups
		return err
	})
	return out, err
}

func groupOf(g models.Groupable) directory.Group {
	out := directory.Group{
		ID: strings.ToLower(str(g.GetId())), Name: str(g.GetDisplayName()), Description: str(g.GetDescription()), Mail: str(g.GetMail()),
	}
	if g.GetDisplayName() == nil {
		// Who may not read groups sees only their ids.
		return out
	}
	// Null for a group that was not made to be assignable (Microsoft Graph, group resource).
	out.RoleAssignable = yes(g.GetIsAssignableToRole())
	out.Dynamic = yes(ptr(slices.Contains(g.GetGroupTypes(), "DynamicMembership")))
	out.HiddenMembership = yes(ptr(strings.EqualFold(str(g.GetVisibility()), "HiddenMembership")))
	return out
}

func groupsOf(list []models.Groupable) []directory.Group {
	out := make([]directory.Group, 0, len(list))
	for _, g := range list {
		if directory.IsID(str(g.GetId())) {
			out = append(out, groupOf(g))
		}
	}
	return out
}

// Federated says whether sign-ins to a domain go to another identity provider; Unknown when the tenant does not list it.
func (c *Client) Federated(ctx context.Context, t operator.TokenSource, domain string) (directory.Tri, error) {
	list, err := c.Domains(ctx, t)
	for _, d := range list {
		if strings.EqualFold(d.Name, domain) {
			return d.Federated, nil
		}
	}
	return directory.Unknown, err
}

// Domains lists the tenant's domains. Graph ignores $filter and $top on them (Microsoft Graph, known issues, 2026-02).
func (c *Client) Domains(ctx context.Context, t operator.TokenSource) ([]directory.Domain, error) {
	var out []directory.Domain
	_, err := c.do(ctx, t, request{name: "domains"}, func(ctx context.Context) error {
		of := domains.NewDomainsRequestBuilderInternal(c.path(), c.adapter)
		list, more, err := all(maxPages*pageSize,
			func() (models.DomainCollectionResponseable, error) { return of.Get(ctx, nil) },
			func(link string) (models.DomainCollectionResponseable, error) { return of.WithUrl(link).Get(ctx, nil) })
		if err == nil && more {
			err = errTooLong
		}
		for _, d := range list {
			domain := directory.Domain{Name: strings.ToLower(str(d.GetId()))}
			switch str(d.GetAuthenticationType()) {
			case "Federated":
				domain.Federated = directory.Yes
			case "Managed":
				domain.Federated = directory.No
			}
			out = append(out, domain)
		}
		return err
	})
	return out, err
}
