package entrasim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

const maxIDs = 1000

// getByIDs is POST /directoryObjects/getByIds (Microsoft Learn, directoryObject: getByIds): up to 1,000 ids, optionally
// of some types only; what does not exist is left out. The order of the answer is not documented; it is that of the ids
// here, so that nobody may rely on the order in which they asked.
func getByIDs(c *call) *reply {
	var in struct {
		IDs   []string `json:"ids"`
		Types []string `json:"types"`
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		return c.graphError(http.StatusBadRequest, codeBad, "Unable to read JSON request payload.")
	}
	switch {
	case len(in.IDs) == 0:
		return c.graphError(http.StatusBadRequest, codeBadRequest, "The ids collection is empty.")
	case len(in.IDs) > maxIDs:
		return c.graphError(http.StatusBadRequest, codeBadRequest, "The number of ids exceeds the maximum of 1000.")
	}
	ids := make([]string, len(in.IDs))
	for i, id := range in.IDs {
		if ids[i] = strings.ToLower(id); !isGUID(id) {
			return c.graphError(http.StatusBadRequest, codeBadRequest, "Invalid object identifier '"+clip(id)+"'.")
		}
	}
	slices.Sort(ids)
	var all []object
	for _, id := range slices.Compact(ids) {
		if o := c.findObject(id); o != nil && ofTypes(o, in.Types) {
			all = append(all, o)
		}
	}
	return c.list(listing{
		n: len(all), at: func(i int) object { return all[i] }, fragment: "directoryObjects", typed: true, top: maxIDs,
	})
}

// findObject finds a user, group, service principal, administrative unit or directory role by its object id.
func (c *call) findObject(id string) object {
	t := c.sim.tenant
	if u := t.findUser(id); u != nil {
		return u
	}
	if g := t.findGroup(id); g != nil {
		return g
	}
	if p := t.findPrincipal(id); p != nil {
		return p
	}
	if u := t.findUnit(id); u != nil {
		return u
	}
	for role, object := range t.roleObjects {
		if object == id {
			return c.sim.roleObject(role)
		}
	}
	return nil
}

// ofTypes compares an object with the types that were asked for. An agent's user is a user too.
func ofTypes(o object, types []string) bool {
	_, isUser := o.(*user)
	return len(types) == 0 || slices.ContainsFunc(types, func(t string) bool {
		return strings.EqualFold(t, "directoryObject") || isUser && strings.EqualFold(t, "user") ||
			strings.EqualFold("#microsoft.graph."+t, entityOf(o).typ)
	})
}
