package directory

import (
	"context"
	"strings"

	"evict/internal/operator"
)

// Allowance is one role of the operator with what it lets them do here.
type Allowance struct {
	Holding  Holding
	Sentence string // for a person
}

// Me is an operator's own account and what their roles allow.
type Me struct {
	User     User
	Standing Standing
	Allows   []Allowance
	Unread   []Unread
}

// Me reads the operator's own account, standing, and what it allows. The error is *operator.ReauthError, or what kept
// the account from being read.
func (s *Service) Me(ctx context.Context, t operator.TokenSource, op operator.Operator) (Me, error) {
	var me Me
	g := newGather(ctx)
	g.must("user", func(ctx context.Context) (err error) { me.User, _, err = s.graph.User(ctx, t, op.OID); return err })
	g.must("standing", func(ctx context.Context) (err error) { me.Standing, err = s.Standing(ctx, t, op.OID); return err })
	if _, err := g.wait(); err != nil {
		return Me{}, err
	}
	me.Unread = me.Standing.Unread
	for _, h := range me.Standing.Holdings {
		me.Allows = append(me.Allows, Allowance{Holding: h, Sentence: Allows(h)})
	}
	return me, nil
}

// Allows says in a sentence whose sessions a holding lets its holder revoke.
func Allows(h Holding) string {
	reach := reachOf(h)
	if h.How == Eligible {
		return "Not active now. Once activated: " + reach
	}
	return upper(reach)
}

func reachOf(h Holding) string {
	id := h.Role.TemplateID
	if strings.HasPrefix(h.Scope, unitScope) {
		return unitReach(h)
	}
	switch _, known := BuiltIn(id); {
	case h.Scope != "/":
		return "its scope is a single object; what that allows is not documented."
	case !known:
		return "a custom role; this console cannot tell whether it may revoke sessions."
	}
	c := predicting{}
	if !c.covers(id) {
		return "gives no right to revoke the sessions of others."
	}
	sentence := "may revoke the sessions of people without a directory role"
	switch names := table.mightOf(id); {
	case id == roleGlobalAdmin || id == rolePrivAuthAdmin:
		return "may revoke the sessions of everybody outside restricted-management units, administrators included."
	case len(names) > 0:
		sentence += ", and of holders of " + joined(names)
	}
	if why := caveat(id); why != "" {
		sentence += "; may be refused: " + why
	}
	return sentence + "."
}

func unitReach(h Holding) string {
	unit := h.ScopeName
	if unit == "" {
		unit = "one administrative unit"
	} else {
		unit = "the unit " + unit
	}
	for _, id := range unitRoles {
		if id != h.Role.TemplateID {
			continue
		}
		sentence := "may revoke the sessions of people in " + unit + " who hold no directory role"
		if why := caveat(id); why != "" {
			sentence += "; may be refused: " + why
		}
		return sentence + "."
	}
	return "for " + unit + " only; gives no right to revoke sessions there."
}
