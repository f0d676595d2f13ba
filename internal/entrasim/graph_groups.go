package entrasim

import (
	"net/http"
	"slices"
)

func listGroups(c *call) *reply {
	t := c.sim.tenant
	return c.list(listing{
		entity: groupEntity(), n: len(t.groups), at: func(i int) object { return t.groups[i] }, fragment: "groups",
		order: func() func(int) object {
			sorted := slices.SortedStableFunc(slices.Values(t.groups), func(a, b *group) int { return compareFold(a.name, b.name) })
			return func(i int) object { return sorted[i] }
		},
	})
}

func (c *call) withGroup(f func(int32, *group) *reply) *reply {
	g := c.sim.tenant.findGroup(c.vars["group"])
	if g == nil {
		return c.notFound(c.vars["group"])
	}
	return f(c.sim.tenant.groupIndex[g.id], g)
}

func getGroup(c *call) *reply {
	return c.withGroup(func(_ int32, g *group) *reply { return c.one(groupEntity(), g, "groups") })
}

// mayEnter reports whether the caller may see who is in the group: a hidden membership needs Member.Read.Hidden.
func (c *call) mayEnter(g *group) bool { return !g.hidden || c.has("Member.Read.Hidden") }

// withMembers refuses to show a hidden membership to whom it is hidden from.
func (c *call) withMembers(f func(int32, *group) *reply) *reply {
	return c.withGroup(func(i int32, g *group) *reply {
		if !c.mayEnter(g) {
			return c.graphError(http.StatusForbidden, codeDenied, deniedText)
		}
		return f(i, g)
	})
}

func groupMembers(c *call) *reply {
	return c.withMembers(func(_ int32, g *group) *reply {
		return c.listMembers(g.users, g.groups, g.principals)
	})
}

// groupTransitiveMembers leaves out, without a word, who is only in a nested group whose membership is hidden. What Graph
// does there is not documented; this is the answer that a careless client takes for everybody.
func groupTransitiveMembers(c *call) *reply {
	return c.withMembers(func(i int32, _ *group) *reply {
		in := c.sim.tenant.content(i, c.mayEnter)
		return c.listMembers(in.users, in.groups, in.principals)
	})
}

// listMembers takes a short way for people, who may be the whole tenant.
func (c *call) listMembers(users, groups, principals []int32) *reply {
	t := c.sim.tenant
	if c.cast == "user" && c.castAllowed() {
		return c.list(listing{entity: userEntity(), n: len(users), at: func(i int) object { return t.users[users[i]] }, fragment: "users"})
	}
	if c.cast != "" && c.cast != "user" {
		users = nil
	}
	out := make([]object, 0, len(users)+len(groups)+len(principals))
	for _, i := range users {
		out = append(out, t.users[i])
	}
	for _, i := range groups {
		out = append(out, t.groups[i])
	}
	for _, i := range principals {
		out = append(out, t.principals[i])
	}
	return c.listObjects(out)
}

func groupOwners(c *call) *reply {
	return c.withGroup(func(_ int32, g *group) *reply { return c.listMembers(g.owners, nil, nil) })
}

func groupMemberOf(c *call) *reply {
	return c.withGroup(func(_ int32, g *group) *reply { return c.listParents(g.parents) })
}

func groupTransitiveMemberOf(c *call) *reply {
	return c.withGroup(func(_ int32, g *group) *reply { return c.listParents(c.sim.tenant.climb(slices.Clone(g.parents))) })
}

func (c *call) listParents(groups []int32) *reply {
	out := make([]object, 0, len(groups))
	for _, i := range groups {
		out = append(out, c.sim.tenant.groups[i])
	}
	return c.listObjects(out)
}
