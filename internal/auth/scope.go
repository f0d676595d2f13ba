package auth

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const userRead = "User.Read"

// ActingScopes are the Graph permissions of those who act (operator.Operator.Acts), by their short names.
func ActingScopes() []string {
	return []string{
		userRead, "User.Read.All", "GroupMember.Read.All", "RoleManagement.Read.Directory", "User.RevokeSessions.All",
	}
}

// oidcScopes are sent to the authorize address as they are; MSAL adds them to token requests, but not there.
var oidcScopes = []string{"openid", "profile", "offline_access"}

var scopeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,79}$`)

// checkScopes refuses names that are not short Graph permissions, such as ".default" or another resource's.
func checkScopes(names []string) error {
	if len(names) > 16 {
		return fmt.Errorf("%d scopes are too many", len(names))
	}
	for _, n := range names {
		if !scopeName.MatchString(n) {
			return fmt.Errorf("%q is not the short name of a Graph permission", n)
		}
	}
	return nil
}

// qualify names the resource in a Graph permission. A short name means the public cloud's Graph, so in a national cloud
// the resource must be named; it is named everywhere, to have one rule.
//
// MSAL fails a sign-in when a scope that it asked for does not stand, letter for letter, in the answer, and Microsoft
// documents answers of both forms: short ("Get access on behalf of a user") and with the resource ("OAuth 2.0
// authorization code flow"). The transport therefore spells the answer in this form as well (see guard.respell).
func (c Cloud) qualify(name string) string {
	if name == "email" || slices.Contains(oidcScopes, name) || strings.Contains(name, "/") {
		return name
	}
	return c.Resource + "/" + name
}

func (c Cloud) qualifyAll(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = c.qualify(n)
	}
	return out
}

// union returns a's elements, and those of b that a lacks, whatever their case.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, n := range b {
		if !slices.ContainsFunc(out, func(have string) bool { return strings.EqualFold(have, n) }) {
			out = append(out, n)
		}
	}
	return out
}
