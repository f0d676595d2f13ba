package directory

import (
	"context"
	"strings"

	"evict/internal/fault"
	"evict/internal/operator"
)

// Card is what an operator needs to know of one user before revoking their sessions.
type Card struct {
	User       User
	Self       bool // the operator's own account
	Standing   Standing
	Privileged Tri
	Powers     []Holding // the holdings that make the account privileged
	Federated  Tri       // sign-ins of its domain go to another identity provider
	LastSignIn SignIn    // zero when it was not read, or never happened; Unread tells
	Operator   Standing
	Prediction Prediction
	Unread     []Unread // of the whole page but the operator's own standing
}

// External returns what must be said of an account that signs in elsewhere, or "" for one that surely does not
// (Microsoft Graph, user: revokeSignInSessions: external users sign in through their home tenant).
func (c Card) External() string {
	switch c.User.SignsInElsewhere() {
	case No:
		return ""
	case Yes:
		return "This account signs in at its home tenant or another provider: Graph answers success, but its sessions there stay."
	default:
		return "Whether this account signs in elsewhere cannot be told for sure, so it counts as external: its sessions may stay."
	}
}

// Card reads a user, their standing and the operator's, and predicts whether a revocation will be allowed. The error
// is fault.NotFound for an unknown or malformed id, *operator.ReauthError, or what kept the user from being read.
func (s *Service) Card(ctx context.Context, t operator.TokenSource, op operator.Operator, id string) (Card, error) {
	if !IsID(id) {
		return Card{}, fault.New(fault.NotFound, "Not found: that is no object id.")
	}
	id = strings.ToLower(id)
	card := Card{Self: strings.EqualFold(op.OID, id)}
	g := newGather(ctx)
	var federated []Unread
	g.must("user", func(ctx context.Context) (err error) {
		if card.User, _, err = s.graph.User(ctx, t, id); err == nil {
			federated, err = s.federation(ctx, t, &card)
		}
		return err
	})
	g.must("standing", func(ctx context.Context) (err error) { card.Standing, err = s.Standing(ctx, t, id); return err })
	if !card.Self {
		g.must("standing", func(ctx context.Context) (err error) { card.Operator, err = s.Standing(ctx, t, op.OID); return err })
	}
	g.read(partSignIn, func(ctx context.Context) (err error) {
		card.LastSignIn, err = s.graph.LastSignIn(ctx, partSignIn.tokens(t), id)
		return err
	})
	unread, err := g.wait()
	if err != nil {
		return Card{}, err
	}
	if card.Self {
		card.Operator = card.Standing
	}
	card.Unread = tidied(append(append(unread, federated...), card.Standing.Unread...))
	card.Privileged, card.Powers = card.Standing.Privileged()
	card.Prediction = Predict(card.Operator, card.User, card.Standing, card.Self)
	return card, nil
}

// federation asks about the user's domain. An external account's UPN names a domain that decides nothing here.
func (s *Service) federation(ctx context.Context, t operator.TokenSource, card *Card) ([]Unread, error) {
	domain := card.User.Domain()
	if domain == "" || card.User.SignsInElsewhere() == Yes {
		return nil, nil
	}
	g := newGather(ctx)
	g.read(partDomain, func(ctx context.Context) (err error) {
		card.Federated, err = s.graph.Federated(ctx, partDomain.tokens(t), domain)
		return err
	})
	unread, err := g.wait()
	if err == nil && len(unread) == 0 && card.Federated == Unknown {
		unread = []Unread{{What: partDomain.what, Why: "the tenant does not list the domain " + domain}}
	}
	return unread, err
}
