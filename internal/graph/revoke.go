package graph

import (
	"context"

	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"evict/internal/directory"
	"evict/internal/operator"
)

// Revoke asks Graph to end a user's sessions: POST /users/{oid}/revokeSignInSessions. Any 2xx is an Answer, whatever
// its body: the value in it is always true and proves nothing (Microsoft Graph, user: revokeSignInSessions).
func (c *Client) Revoke(ctx context.Context, t operator.TokenSource, oid, clientRequestID string) (directory.Answer, error) {
	if err := checkID(oid); err != nil {
		return directory.Answer{}, err
	}
	return c.revoke(ctx, t, clientRequestID, c.users().ByUserId(oid).RevokeSignInSessions())
}

// RevokeSelf ends the operator's own sessions: POST /me/revokeSignInSessions, which needs no directory role.
func (c *Client) RevokeSelf(ctx context.Context, t operator.TokenSource, clientRequestID string) (directory.Answer, error) {
	return c.revoke(ctx, t, clientRequestID,
		users.NewItemRevokeSignInSessionsRequestBuilder(c.base+"/me/revokeSignInSessions", c.adapter))
}

func (c *Client) revoke(ctx context.Context, t operator.TokenSource, id string, b *users.ItemRevokeSignInSessionsRequestBuilder) (directory.Answer, error) {
	r := request{name: "revoke sessions", clientRequestID: id, high: true, anyAnswer: true}
	return c.do(ctx, t, r, func(ctx context.Context) error {
		_, err := b.PostAsRevokeSignInSessionsPostResponse(ctx, nil)
		return err
	})
}

// sessionFields is $select of what a read-back judges: the stamp, and where the account signs in.
var sessionFields = []string{
	"id", "signInSessionsValidFromDateTime", "userPrincipalName", "creationType", "externalUserState", "identities",
}

// SessionsFrom reads by object id since when a user's sessions are valid, on Graph's clock, and whether the account
// signs in elsewhere by now.
func (c *Client) SessionsFrom(ctx context.Context, t operator.TokenSource, oid string) (directory.Sessions, directory.Answer, error) {
	if err := checkID(oid); err != nil {
		return directory.Sessions{}, directory.Answer{}, err
	}
	u, a, err := c.user(ctx, t, "read back", oid, sessionFields)
	if err != nil {
		return directory.Sessions{}, a, err
	}
	got := userOf(u)
	return directory.Sessions{From: got.SessionsFrom, Elsewhere: got.SignsInElsewhere()}, a, nil
}
