package graph

import (
	"context"
	"strings"

	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"evict/internal/directory"
	"evict/internal/operator"
)

// userFields is $select of everything that directory.User holds.
var userFields = []string{
	"id", "userPrincipalName", "displayName", "mail", "department", "jobTitle", "city", "companyName", "userType",
	"creationType", "externalUserState", "identities", "accountEnabled", "onPremisesSyncEnabled", "isManagementRestricted",
	"createdDateTime", "lastPasswordChangeDateTime", "signInSessionsValidFromDateTime",
}

func (c *Client) users() *users.UsersRequestBuilder {
	return users.NewUsersRequestBuilderInternal(c.path(), c.adapter)
}

// User reads one user by object id or UPN, never from an index.
func (c *Client) User(ctx context.Context, t operator.TokenSource, idOrUPN string) (directory.User, directory.Answer, error) {
	if err := checkIDOrUPN(idOrUPN); err != nil {
		return directory.User{}, directory.Answer{}, err
	}
	u, a, err := c.user(ctx, t, "user", idOrUPN, userFields)
	if err != nil {
		return directory.User{}, a, err
	}
	return userOf(u), a, nil
}

func (c *Client) user(ctx context.Context, t operator.TokenSource, name, id string, fields []string) (models.Userable, directory.Answer, error) {
	var u models.Userable
	a, err := c.do(ctx, t, request{name: name}, into(&u, func(ctx context.Context) (models.Userable, error) {
		u, err := c.users().ByUserId(id).Get(ctx, &users.UserItemRequestBuilderGetRequestConfiguration{
			QueryParameters: &users.UserItemRequestBuilderGetQueryParameters{Select: fields},
		})
		if err == nil && missing(u) {
			return nil, errEmpty
		}
		return u, err
	}))
	if err != nil {
		return nil, a, err
	}
	if got := str(u.GetId()); !directory.IsID(got) || directory.IsID(id) && !strings.EqualFold(got, id) {
		return nil, a, &directory.CallError{
			Status: a.Status, Code: directory.CodeUnexpected, Message: "the answer is about another object", Sent: true,
			RequestID: a.RequestID, ClientRequestID: a.ClientRequestID, Date: a.Date,
		}
	}
	return u, a, nil
}

// FindUsers searches names, UPNs and addresses. Its index may lag behind new accounts.
func (c *Client) FindUsers(ctx context.Context, t operator.TokenSource, text string, limit int) ([]directory.User, error) {
	var found []models.Userable
	_, err := c.do(ctx, t, request{name: "find users"}, into(&found, func(ctx context.Context) ([]models.Userable, error) {
		config := &users.UsersRequestBuilderGetRequestConfiguration{
			Headers: eventual(),
			QueryParameters: &users.UsersRequestBuilderGetQueryParameters{
				Search: quoted(text, "displayName", "userPrincipalName", "mail"),
				Select: userFields, Count: ptr(true), Top: ptr(int32(min(limit, pageSize))), //nolint:gosec // bounded by pageSize
			},
		}
		list, _, err := all(limit,
			func() (models.UserCollectionResponseable, error) { return c.users().Get(ctx, config) },
			func(link string) (models.UserCollectionResponseable, error) {
				return c.users().WithUrl(link).Get(ctx, &users.UsersRequestBuilderGetRequestConfiguration{Headers: eventual()})
			})
		return list, err
	}))
	return usersOf(found), err
}

// Memberships lists what a user is in, nested groups included. Without a cast it needs no index.
func (c *Client) Memberships(ctx context.Context, t operator.TokenSource, userID string) (directory.Memberships, error) {
	if err := checkID(userID); err != nil {
		return directory.Memberships{}, err
	}
	var out directory.Memberships
	_, err := c.do(ctx, t, request{name: "memberships"}, func(ctx context.Context) error {
		of := c.users().ByUserId(userID).TransitiveMemberOf()
		list, more, err := all(maxPages*pageSize,
			func() (models.DirectoryObjectCollectionResponseable, error) {
				return of.Get(ctx, &users.ItemTransitiveMemberOfRequestBuilderGetRequestConfiguration{
					QueryParameters: &users.ItemTransitiveMemberOfRequestBuilderGetQueryParameters{Top: ptr(int32(pageSize))},
				})
			},
			func(link string) (models.DirectoryObjectCollectionResponseable, error) {
				return of.WithUrl(link).Get(ctx, nil)
			})
		if err != nil {
			return err
		}
		out = membershipsOf(list)
		out.More = more
		return nil
	})
	return out, err
}

func membershipsOf(list []models.DirectoryObjectable) directory.Memberships {
	var out directory.Memberships
	for _, o := range list {
		switch o := o.(type) {
		case models.Groupable:
			out.Groups = append(out.Groups, groupOf(o))
		case models.DirectoryRoleable:
			role, _ := directory.BuiltIn(str(o.GetRoleTemplateId()))
			if role.Name == "" {
				role.Name = str(o.GetDisplayName())
			}
			out.Roles = append(out.Roles, role)
		case models.AdministrativeUnitable:
			out.Units = append(out.Units, unitOf(o))
		}
	}
	return out
}

// LastSignIn reads a user's sign-in activity.
func (c *Client) LastSignIn(ctx context.Context, t operator.TokenSource, userID string) (directory.SignIn, error) {
	if err := checkID(userID); err != nil {
		return directory.SignIn{}, err
	}
	u, _, err := c.user(ctx, t, "last sign-in", userID, []string{"id", "signInActivity"})
	if err != nil {
		return directory.SignIn{}, err
	}
	activity := u.GetSignInActivity()
	if missing(activity) {
		return directory.SignIn{}, nil
	}
	return directory.SignIn{
		Interactive:    stamp(activity.GetLastSignInDateTime()),
		NonInteractive: stamp(activity.GetLastNonInteractiveSignInDateTime()),
		Successful:     stamp(activity.GetLastSuccessfulSignInDateTime()),
	}, nil
}

// userOf makes a domain user of the SDK's. What was not selected stays empty, and so do its facts.
func userOf(u models.Userable) directory.User {
	out := directory.User{
		ID: strings.ToLower(str(u.GetId())), UPN: str(u.GetUserPrincipalName()), Name: str(u.GetDisplayName()),
		Mail: str(u.GetMail()), Department: str(u.GetDepartment()), JobTitle: str(u.GetJobTitle()), City: str(u.GetCity()),
		Company: str(u.GetCompanyName()), UserType: str(u.GetUserType()), CreationType: str(u.GetCreationType()),
		ExternalUserState: str(u.GetExternalUserState()),
		Enabled:           directory.TriOf(u.GetAccountEnabled()),
		// Both are null for an account that never was synced or restricted (Microsoft Graph, user resource).
		Synced: yes(u.GetOnPremisesSyncEnabled()), Restricted: yes(u.GetIsManagementRestricted()),
		Agent:   agentOf(u),
		Created: stamp(u.GetCreatedDateTime()), PasswordChanged: stamp(u.GetLastPasswordChangeDateTime()),
		SessionsFrom: stamp(u.GetSignInSessionsValidFromDateTime()),
	}
	for _, i := range u.GetIdentities() {
		out.Identities = append(out.Identities, directory.Identity{SignInType: str(i.GetSignInType()), Issuer: str(i.GetIssuer())})
	}
	return out
}

// agentOf tells an agent user by its type: OData names the type of an object that is more than its list says
// (agentUser is derived from user), so that an answer which names none is about an ordinary user.
func agentOf(u models.Userable) directory.Tri {
	if strings.EqualFold(str(u.GetOdataType()), "#microsoft.graph.agentUser") {
		return directory.Yes
	}
	return directory.No
}

func usersOf(list []models.Userable) []directory.User {
	out := make([]directory.User, 0, len(list))
	for _, u := range list {
		if directory.IsID(str(u.GetId())) {
			out = append(out, userOf(u))
		}
	}
	return out
}
