package entrasim

import (
	"slices"
	"strings"
)

// graphScopes are the delegated permissions of Graph that the simulator knows (names from Microsoft's permission map,
// August 2026).
var graphScopes = []string{
	"User.Read", "User.ReadBasic.All", "User.Read.All", "User.ReadWrite.All", "User.RevokeSessions.All",
	"User.EnableDisableAccount.All", "User-PasswordProfile.ReadWrite.All", "GroupMember.Read.All", "Group.Read.All",
	"Group.ReadBasic.All", "GroupMember.ReadBasic.All", "Member.Read.Hidden", "RoleManagement.Read.Directory",
	"RoleManagement.Read.All", "RoleAssignmentSchedule.Read.Directory", "RoleEligibilitySchedule.Read.Directory",
	"PrivilegedEligibilitySchedule.Read.AzureADGroup", "PrivilegedAssignmentSchedule.Read.AzureADGroup",
	"AdministrativeUnit.Read.All", "AuditLog.Read.All", "Directory.Read.All", "Directory.ReadWrite.All",
	"Directory.AccessAsUser.All", "Domain.Read.All", "Organization.Read.All", "UserAuthenticationMethod.Read.All",
	"IdentityRiskyUser.Read.All", "IdentityRiskyUser.ReadWrite.All", "AgentIdUser.ReadWrite.All",
}

var oidcScopes = []string{"openid", "profile", "offline_access", "email"}

func knownScopes() []string { return slices.Concat(oidcScopes, graphScopes) }

const graphAppID = "00000003-0000-0000-c000-000000000000"

// graphResources are the prefixes by which a scope names Graph; the simulator's own hosts are added to them.
var graphResources = []string{
	"https://graph.microsoft.com", "https://graph.microsoft.us", "https://dod-graph.microsoft.us",
	"https://microsoftgraph.chinacloudapi.cn", graphAppID,
}

// scopeRequest is what a client asked for.
type scopeRequest struct {
	asked    []string // as written, each once
	names    []string // permissions of Graph, in the spelling of graphScopes
	openID   bool
	profile  bool
	email    bool
	offline  bool
	standard bool // .default: all that was consented to
	resource string
	unknown  string
}

// parseScopes reads a scope parameter. hosts are the simulator's own addresses, which count as Graph.
func parseScopes(value string, hosts []string) scopeRequest {
	var r scopeRequest
	for _, f := range strings.Fields(value) {
		if slices.ContainsFunc(r.asked, func(a string) bool { return strings.EqualFold(a, f) }) {
			continue
		}
		r.asked = append(r.asked, f)
		r.add(f, hosts)
	}
	return r
}

func (r *scopeRequest) add(f string, hosts []string) {
	switch strings.ToLower(f) {
	case "openid":
		r.openID = true
		return
	case "profile":
		r.profile = true
		return
	case "email":
		r.email = true
		return
	case "offline_access":
		r.offline = true
		return
	}
	name := f
	if i := strings.LastIndexByte(f, '/'); i >= 0 {
		resource := strings.TrimRight(f[:i], "/")
		if !slices.Contains(graphResources, resource) && !slices.Contains(hosts, resource) {
			r.unknown = f
			return
		}
		name, r.resource = f[i+1:], resource
	}
	if strings.EqualFold(name, ".default") {
		r.standard = true
		return
	}
	for _, known := range graphScopes {
		if strings.EqualFold(known, name) {
			r.names = append(r.names, known)
			return
		}
	}
	r.unknown = f
}

// echo is the scope field of the answer. Entra repeats the scopes as they were asked for, but never offline_access;
// MSAL Go counts what is missing as declined (microsoft-authentication-library-for-go issue 416).
func (r scopeRequest) echo() string {
	out := slices.DeleteFunc(slices.Clone(r.asked), func(f string) bool { return strings.EqualFold(f, "offline_access") })
	return strings.Join(out, " ")
}

// missing is the first scope that was not consented to, or "".
func (r scopeRequest) missing(consented []string) string {
	for _, n := range r.names {
		if !slices.ContainsFunc(consented, func(c string) bool { return strings.EqualFold(c, n) }) {
			return n
		}
	}
	return ""
}

// granted are the Graph permissions that the token carries: what was asked for, or with .default all consented ones.
func (r scopeRequest) granted(consented []string) []string {
	if !r.standard {
		return r.names
	}
	var out []string
	for _, known := range graphScopes {
		if slices.Contains(consented, known) {
			out = append(out, known)
		}
	}
	return out
}
