package directory

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict says what Graph will probably answer to a revocation.
type Verdict int

// The verdicts. UnknownVerdict is the zero value: nothing was promised.
const (
	UnknownVerdict Verdict = iota // too little could be read
	Allowed
	MayBeRefused
	Refused
)

// String names the verdict for people.
func (v Verdict) String() string {
	switch v {
	case Allowed:
		return "expected to be allowed"
	case MayBeRefused:
		return "may be refused"
	case Refused:
		return "expected to be refused"
	default:
		return "unknown"
	}
}

// Prediction is what Graph will probably say, why, and the way out. It never decides: Graph does.
type Prediction struct {
	Verdict Verdict
	Because string // one sentence for a person
	Fix     string // who could act, or what to activate; "" when nothing is to be done
}

// key is one property of a target that narrows down who may act on them.
type key struct {
	what string   // "holds Groups Administrator"
	list []string // template ids of the operator roles that suffice
}

// Predict says whether an operator with the standing op will probably be allowed to revoke the sessions of target,
// whose standing is held. Self means the operator's own account, through /me.
//
// The rules: every role that the target actively holds, and membership or ownership of a role-assignable group,
// needs an operator role that is listed for it; roles scoped to a unit reach only its members who hold no role;
// members of a restricted-management unit are reached only by roles scoped to that unit (Microsoft Learn, Privileged
// roles and permissions, 2026-06-05; Restricted management administrative units, 2026-03-04). What could not be read
// never helps towards Allowed.
func Predict(op Standing, target User, held Standing, self bool) Prediction {
	if self {
		return Prediction{Verdict: Allowed, Because: "Anybody may end their own sessions; it needs no directory role."}
	}
	c := predicting{op: op, target: target, held: held, keys: keysOf(held)}
	if c.restricted() == Yes {
		return c.restrictedUnit()
	}
	return c.judge()
}

// predicting is one prediction in the making.
type predicting struct {
	op     Standing
	target User
	held   Standing
	keys   []key
}

// keysOf lists what the target holds that narrows down who may act; empty for a person without any role.
func keysOf(held Standing) []key {
	var keys []key
	for _, h := range held.Holdings {
		if h.How != Active || table.byID[h.Role.TemplateID].System {
			continue
		}
		keys = append(keys, key{"holds " + roleName(h.Role), table.covering(h.Role.TemplateID)})
		if h.ScopeRestricted == Yes {
			keys = append(keys, key{"holds " + roleName(h.Role) + " for a restricted-management unit", table.Default})
		}
	}
	for _, g := range held.RoleGroups {
		keys = append(keys, key{"is in the role-assignable group " + g.Name, table.Default})
	}
	for _, g := range held.OwnedRoleGroups {
		keys = append(keys, key{"owns the role-assignable group " + g.Name, table.Default})
	}
	return keys
}

func roleName(r Role) string {
	if r.Name != "" {
		return r.Name
	}
	return "the custom role " + r.TemplateID
}

// restricted says whether the target is in a restricted-management unit, by any of the ways to know it.
func (c predicting) restricted() Tri {
	if c.target.Restricted == Yes || slices.ContainsFunc(c.held.Units, func(u Unit) bool { return u.Restricted == Yes }) {
		return Yes
	}
	return c.target.Restricted
}

func (c predicting) restrictedUnit() Prediction {
	who := c.name() + " is in a restricted-management unit"
	for _, h := range c.op.Holdings {
		u := c.unitOf(h)
		if h.How == Active && u != nil && u.Restricted != No && slices.Contains(unitRoles, h.Role.TemplateID) {
			return Prediction{
				MayBeRefused, fmt.Sprintf("%s; your %s is scoped to their unit %s, but whether that lets you revoke sessions "+
					"is not documented.", who, roleName(h.Role), u.Name),
				"If it is refused, ask an administrator whose role is scoped to that unit.",
			}
		}
	}
	return Prediction{
		Refused, who + ": roles for the whole tenant, even Global Administrator, are expected to be refused.",
		"Someone with a role in that unit, such as User Administrator scoped to it, must act.",
	}
}

// judge takes the best that any of the operator's active roles can do.
func (c predicting) judge() Prediction {
	best := Prediction{}
	for _, h := range c.op.Holdings {
		if h.How != Active {
			continue
		}
		if p := c.byHolding(h); better(p.Verdict, best.Verdict) {
			best = p
		}
	}
	if best.Verdict == UnknownVerdict {
		best = c.uncovered()
	}
	if best.Verdict != Allowed && best.Fix == "" {
		best.Fix = c.wayOut()
	}
	return best
}

// better reports whether verdict a is more favourable than b; UnknownVerdict is "nothing found yet".
func better(a, b Verdict) bool {
	rank := map[Verdict]int{UnknownVerdict: 0, MayBeRefused: 1, Allowed: 2}
	return rank[a] > rank[b]
}

// byHolding says what one active role of the operator can do; UnknownVerdict when nothing.
func (c predicting) byHolding(h Holding) Prediction {
	switch {
	case h.Scope == "/":
		return c.byTenantRole(h.Role)
	case strings.HasPrefix(h.Scope, unitScope):
		return c.byUnitRole(h)
	case h.Scope == "/"+c.target.ID && c.target.ID != "":
		return Prediction{Verdict: MayBeRefused, Because: "Your " + roleName(h.Role) +
			" is scoped to this account alone, and what that allows is not documented."}
	default:
		return Prediction{}
	}
}

func (c predicting) byTenantRole(r Role) Prediction {
	switch _, known := BuiltIn(r.TemplateID); {
	case c.target.Agent == Yes:
		return c.byAgentRole(r)
	case !known && len(c.keys) == 0:
		return Prediction{Verdict: MayBeRefused, Because: "Your " + customName(r) + " may hold the right to revoke sessions; this console cannot tell."}
	case !c.covers(r.TemplateID):
		return Prediction{}
	}
	if why := caveat(r.TemplateID); why != "" {
		return Prediction{Verdict: MayBeRefused, Because: upper(why) + "."}
	}
	return c.unlessUnread(r.TemplateID, "Your "+roleName(r)+" covers "+c.name()+", who "+c.holds()+".")
}

// byAgentRole judges an agent user: revoking one is an action of its own (agentUsers/invalidateAllRefreshTokens), and
// takes a permission of its own, whatever the role (Microsoft Graph, user: revokeSignInSessions).
func (c predicting) byAgentRole(r Role) Prediction {
	if r.TemplateID != roleAgentIDAdmin && r.TemplateID != roleAIAdmin && !c.covers(r.TemplateID) {
		return Prediction{}
	}
	return Prediction{
		Verdict: MayBeRefused,
		Because: c.name() + " is an agent user: the app also needs the permission AgentIdUser.ReadWrite.All, and which roles " +
			"suffice is not fully documented.",
		Fix: "If it is refused, see that the app has AgentIdUser.ReadWrite.All, or disable the agent in the Entra admin center.",
	}
}

// covers reports whether one tenant-wide role suffices for everything that the target holds.
func (c predicting) covers(templateID string) bool {
	switch {
	case templateID == rolePartnerTier2:
		return true
	case len(c.keys) == 0:
		return slices.Contains(table.None, templateID) || templateID == roleDirectoryWriters || templateID == rolePartnerTier1
	}
	return !slices.ContainsFunc(c.keys, func(k key) bool { return !slices.Contains(k.list, templateID) })
}

// unitRoles may be assigned for an administrative unit and hold the right
// (Microsoft Learn, Assign Microsoft Entra roles: roles with administrative unit scope).
var unitRoles = []string{roleAuthAdmin, roleHelpdeskAdmin, rolePasswordAdmin, rolePrivAuthAdmin, roleUserAdmin}

const unitScope = "/administrativeUnits/"

// unitOf returns the target's unit to which the holding is scoped, or nil.
func (c predicting) unitOf(h Holding) *Unit {
	id, ok := strings.CutPrefix(h.Scope, unitScope)
	if !ok {
		return nil
	}
	for i := range c.held.Units {
		if strings.EqualFold(c.held.Units[i].ID, id) {
			return &c.held.Units[i]
		}
	}
	return nil
}

func (c predicting) byUnitRole(h Holding) Prediction {
	if len(c.keys) > 0 || c.target.Agent == Yes || !slices.Contains(unitRoles, h.Role.TemplateID) {
		return Prediction{}
	}
	if c.unitOf(h) == nil {
		if w := weighing(c.held.Unread); w != nil {
			return Prediction{Verdict: MayBeRefused, Because: "Your " + roleName(h.Role) + " is for one unit, and " + w.What + " of " + c.name() + " could not be read: " + w.Why + ".", Fix: w.Fix}
		}
		return Prediction{}
	}
	if why := caveat(h.Role.TemplateID); why != "" {
		return Prediction{Verdict: MayBeRefused, Because: upper(why) + "."}
	}
	return c.unlessUnread("", "Your "+roleName(h.Role)+" is scoped to a unit that "+c.name()+" is in, and they hold no directory role.")
}

// unlessUnread is Allowed, unless something that could not be read about the target may change it. A role on the
// default list suffices for whatever the target may hold, but not for a restricted-management unit.
func (c predicting) unlessUnread(templateID, because string) Prediction {
	if c.restricted() == Unknown {
		return Prediction{
			Verdict: MayBeRefused,
			Because: "Whether " + c.name() + " is in a restricted-management unit could not be read; if so, roles for the whole tenant are refused.",
			Fix:     "If it is refused, ask someone with a role in that unit, such as User Administrator scoped to it.",
		}
	}
	if slices.Contains(table.Default, templateID) {
		return Prediction{Verdict: Allowed, Because: because}
	}
	if w := weighing(c.held.Unread); w != nil {
		return Prediction{
			Verdict: MayBeRefused, Because: upper(w.What) + " of " + c.name() + " could not be read (" + w.Why + "), and may be beyond your roles.",
			Fix: w.Fix,
		}
	}
	if slices.ContainsFunc(c.held.Holdings, func(h Holding) bool {
		return h.How == Active && strings.HasPrefix(h.Scope, unitScope) && h.ScopeRestricted == Unknown
	}) {
		return Prediction{Verdict: MayBeRefused, Because: c.name() + " holds a role for an administrative unit; whether that unit is restricted could not be read."}
	}
	return Prediction{Verdict: Allowed, Because: because}
}

// uncovered explains that no role of the operator suffices alone.
func (c predicting) uncovered() Prediction {
	if w := weighing(c.op.Unread); w != nil {
		return Prediction{Verdict: UnknownVerdict, Because: "Your own directory roles could not all be read: " + w.Why + ".", Fix: w.Fix}
	}
	mine := c.activeNames()
	switch {
	case len(mine) == 0:
		return Prediction{Verdict: Refused, Because: "You hold no active directory role, and revoking somebody else's sessions needs one."}
	case len(c.keys) > 0 && c.together():
		return Prediction{Verdict: MayBeRefused, Because: "No single role of yours covers " + c.name() + ", who " + c.holds() + "; only several together do."}
	case len(c.keys) == 0 && slices.ContainsFunc(c.op.Holdings, func(h Holding) bool { return h.How == Active && strings.HasPrefix(h.Scope, unitScope) }):
		return Prediction{Verdict: Refused, Because: "Your " + joined(mine) + " reaches the members of your unit only, and " + c.name() + " is not one of them."}
	case len(c.keys) == 0:
		return Prediction{Verdict: Refused, Because: "Your " + joined(mine) + " does not give the right to revoke sessions of " + c.name() + "."}
	}
	return Prediction{Verdict: Refused, Because: c.name() + " " + c.firstUncovered().what + ", which is beyond your " + joined(mine) + "."}
}

// together reports whether each key is covered by some tenant-wide role of the operator.
func (c predicting) together() bool {
	return !slices.ContainsFunc(c.keys, func(k key) bool { return !c.anyTenantRole(k.list) })
}

func (c predicting) firstUncovered() key {
	for _, k := range c.keys {
		if !c.anyTenantRole(k.list) {
			return k
		}
	}
	return c.keys[0]
}

func (c predicting) anyTenantRole(list []string) bool {
	return slices.ContainsFunc(c.op.Holdings, func(h Holding) bool {
		return h.How == Active && h.Scope == "/" && slices.Contains(list, h.Role.TemplateID)
	})
}

// ladder orders the roles that are worth asking for, the least powerful first.
var ladder = []string{
	roleHelpdeskAdmin, roleAuthAdmin, roleUserAdmin, roleSecurityOperator, roleSOCResponder, rolePrivAuthAdmin, roleGlobalAdmin,
}

// wayOut names a role that the operator could activate, or the least roles of somebody else that would do. A role that
// they hold for the tenant already did not suffice, and is no way out, though an activated role stays eligible too.
func (c predicting) wayOut() string {
	var able []string
	unsure := weighing(c.held.Unread) != nil // the target may hold more: only roles for everybody surely suffice
	for _, id := range ladder {
		if unsure && !slices.Contains(table.Default, id) {
			continue
		}
		if !c.anyTenantRole([]string{id}) && c.covers(id) && (len(c.keys) > 0 || !slices.Contains([]string{roleSecurityOperator, roleSOCResponder}, id)) {
			able = append(able, id)
		}
	}
	for _, h := range c.op.Holdings {
		if h.How == Eligible && h.Scope == "/" && slices.Contains(able, h.Role.TemplateID) {
			return "Activate your eligible role " + roleName(h.Role) + " in Privileged Identity Management, then try again."
		}
	}
	if len(able) == 0 {
		return "Look for the reason in the Entra admin center: no other role is known to do more."
	}
	var names []string
	for _, id := range able[:min(2, len(able))] {
		names = append(names, article(table.byID[id].Name))
	}
	return "Ask " + strings.Join(names, " or ") + " to do it."
}

func weighing(list []Unread) *Unread {
	for i := range list {
		if list[i].Weighs {
			return &list[i]
		}
	}
	return nil
}

func (c predicting) name() string {
	switch {
	case c.target.Name != "":
		return c.target.Name
	case c.target.UPN != "":
		return c.target.UPN
	default:
		return "this account"
	}
}

// holds says what the target holds, for the end of a sentence.
func (c predicting) holds() string {
	switch len(c.keys) {
	case 0:
		return "holds no directory role"
	case 1:
		return c.keys[0].what
	default:
		return fmt.Sprintf("%s and %d more that protects them", c.keys[0].what, len(c.keys)-1)
	}
}

func (c predicting) activeNames() []string {
	var out []string
	for _, h := range c.op.Holdings {
		if n := roleName(h.Role); h.How == Active && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
