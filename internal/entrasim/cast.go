package entrasim

import "time"

// Person is a snapshot of one account.
type Person struct {
	ID, UPN, Name, Mail, Department string
	// Enabled and UserType ("Member" or "Guest") are as Graph shows them.
	Enabled  bool
	UserType string
	// External says that the account signs in elsewhere: revoking it here changes nothing.
	External bool
	// ValidFrom is signInSessionsValidFromDateTime, without read-back lag.
	ValidFrom time.Time
	// ConsoleRoles are the app roles of the console; DirectoryRoles the names of the active directory roles.
	ConsoleRoles, DirectoryRoles []string
	// Note says in one sentence what the person is for; only the cast has one.
	Note string
}

// Cast are the people with a part to play in demonstrations and tests. They exist in every tenant.
type Cast struct {
	Helpdesk, Lead, Approver, Auditor, Admin, Nobody Person
	Victim                                           Person
	ExternalGuest, InternalGuest, ExternalMember     Person
	ConvertedMember                                  Person
	Disabled, Synced, Federated                      Person
	BreakGlass                                       [2]Person
	GlobalAdmin, UserAdmin, PasswordAdmin, AuthAdmin Person
	ExchangeAdmin, SecurityOperator                  Person
	EligibleAdmin, EligibleThroughGroup, GroupAdmin  Person
	RoleGroupMember, RoleGroupOwner                  Person
	RestrictedMember, RestrictedAdmin                Person
	UnitHelpdesk, BranchMember                       Person
	AgentUser, SyncAccount                           Person
}

// Console roles: the app roles of the console's registration.
const (
	ConsoleResponder = "Evict.Responder"
	ConsoleLead      = "Evict.Lead"
	ConsoleApprover  = "Evict.Approver"
	ConsoleAuditor   = "Evict.Auditor"
	ConsoleAdmin     = "Evict.Admin"
)

type castEntry struct {
	user        *user
	note, group string
}

// castGroup is a part of the cast under one heading, as the pages show it.
type castGroup struct {
	Title  string
	People []Person
}

// part is how one member of the cast is made.
type part struct {
	into           func(*Cast) *Person
	given, surname string
	job, dept      string
	note           string
	console, roles []string
	shape          func(*tenant, *user)
}

// partGroups are the headings under which the cast is shown, in order.
var partGroups = []struct {
	title string
	parts func() []part
}{
	{"They use the console", consoleParts},
	{"Accounts of every kind", accountParts},
	{"Administrators", adminParts},
}

func parts() []part {
	var out []part
	for _, g := range partGroups {
		out = append(out, g.parts()...)
	}
	return out
}

func consoleParts() []part {
	return []part{
		{into: func(c *Cast) *Person { return &c.Helpdesk }, given: "Priya", surname: "Raman", job: "Service Desk Analyst", dept: "IT",
			note:    "Helpdesk: revokes one person at a time",
			console: []string{ConsoleResponder}, roles: []string{RoleHelpdeskAdministrator}},
		{into: func(c *Cast) *Person { return &c.Lead }, given: "Marit", surname: "Solberg", job: "Incident Lead", dept: "IT",
			note:    "Security lead: plans and runs bulk revocations",
			console: []string{ConsoleLead, ConsoleResponder}, roles: []string{RoleUserAdministrator, RoleSecurityReader}},
		{into: func(c *Cast) *Person { return &c.Approver }, given: "Kwabena", surname: "Ofori", job: "Head of Security", dept: "IT",
			note:    "Approver: approves plans, revokes nobody",
			console: []string{ConsoleApprover}},
		{into: func(c *Cast) *Person { return &c.Auditor }, given: "Ines", surname: "Quintela", job: "Internal Auditor", dept: "Finance",
			note:    "Auditor: reads the ledger and the reports",
			console: []string{ConsoleAuditor}, roles: []string{RoleGlobalReader, RoleReportsReader}},
		{into: func(c *Cast) *Person { return &c.Admin }, given: "Tomasz", surname: "Wilk", job: "Identity Architect", dept: "IT",
			note:    "Console administrator: may revoke everybody, administrators too",
			console: []string{ConsoleAdmin, ConsoleLead}, roles: []string{RolePrivilegedAuthAdministrator}},
		{into: func(c *Cast) *Person { return &c.Nobody }, given: "Hana", surname: "Marek", job: "Accountant", dept: "Finance",
			note: "No console role: must be turned away"},
		{into: func(c *Cast) *Person { return &c.UnitHelpdesk }, given: "Joseph", surname: "Barasa", job: "Site Support", dept: "IT",
			note:    "Helpdesk Administrator for the Leeds branch only",
			console: []string{ConsoleResponder}},
		{into: func(c *Cast) *Person { return &c.RestrictedAdmin }, given: "Saoirse", surname: "Kell", job: "Executive Support", dept: "IT",
			note:    "User Administrator inside the restricted unit only",
			console: []string{ConsoleResponder}},
	}
}

func accountParts() []part {
	return []part{
		{into: func(c *Cast) *Person { return &c.Victim }, given: "Lena", surname: "Hartwig", job: "Payroll Specialist", dept: "Finance",
			note: "The compromised person: an ordinary enabled member"},
		{into: func(c *Cast) *Person { return &c.ExternalGuest }, given: "Rui", surname: "Antunes", note: "External guest: signs in at a partner",
			shape: externalGuest},
		{into: func(c *Cast) *Person { return &c.InternalGuest }, given: "Devon", surname: "Marsh", job: "Contractor", dept: "Facilities",
			note: "Internal guest: userType Guest, but signs in here", shape: func(_ *tenant, u *user) { u.guest = true }},
		{into: func(c *Cast) *Person { return &c.ExternalMember }, given: "Noor", surname: "Aziz", dept: "Engineering", note: "External member: userType Member, but signs in elsewhere",
			shape: func(t *tenant, u *user) { externalGuest(t, u); u.guest = false }},
		{into: func(c *Cast) *Person { return &c.ConvertedMember }, given: "Bruna", surname: "Teles", job: "Designer", dept: "Marketing",
			note:  "Internal member who came by invitation: signs in here now",
			shape: func(_ *tenant, u *user) { u.invited = true }},
		{into: func(c *Cast) *Person { return &c.Disabled }, given: "Viktor", surname: "Hale", job: "Buyer", dept: "Operations",
			note: "Disabled account: its tokens may still live", shape: func(_ *tenant, u *user) { u.enabled = false }},
		{into: func(c *Cast) *Person { return &c.Synced }, given: "Agnes", surname: "Thorne", job: "Controller", dept: "Finance",
			note: "Synchronised from on-premises", shape: func(_ *tenant, u *user) { u.synced = true }},
		{into: func(c *Cast) *Person { return &c.Federated }, given: "Petra", surname: "Lindgren", job: "Machinist", dept: "Manufacturing",
			note: "In a federated domain: another identity provider can sign them straight back in",
			shape: func(t *tenant, u *user) {
				u.synced = true
				u.upn = "petra.lindgren@" + t.fedDom
				u.mail = u.upn
			}},
		{into: func(c *Cast) *Person { return &c.AgentUser }, given: "Expense", surname: "Agent", dept: "Finance",
			note: "Agent user: a user account that an AI agent works with", shape: func(_ *tenant, u *user) { u.agent = true }},
		{into: func(c *Cast) *Person { return &c.BranchMember }, given: "Callum", surname: "Reid", job: "Line Lead", dept: "Manufacturing",
			note: "Ordinary member of the Leeds branch unit"},
		{into: func(c *Cast) *Person { return &c.RestrictedMember }, given: "Eleanor", surname: "Voss", job: "Chief Executive", dept: "Operations",
			note: "In a restricted management unit: refuses even a Global Administrator"},
		{into: func(c *Cast) *Person { return &c.SyncAccount }, given: "On-Premises Directory", surname: "Synchronization", dept: "IT",
			note: "Account of the synchronisation service", roles: []string{RoleDirectorySynchronization}, shape: syncAccount},
	}
}

func adminParts() []part {
	return []part{
		{into: func(c *Cast) *Person { return &c.GlobalAdmin }, given: "Osman", surname: "Yilmazer", job: "Head of IT", dept: "IT",
			note: "Global Administrator", roles: []string{RoleGlobalAdministrator}},
		{into: func(c *Cast) *Person { return &c.BreakGlass[0] }, given: "Emergency", surname: "Access One", dept: "IT",
			note: "Break-glass account: Global Administrator for emergencies", roles: []string{RoleGlobalAdministrator}},
		{into: func(c *Cast) *Person { return &c.BreakGlass[1] }, given: "Emergency", surname: "Access Two", dept: "IT",
			note: "Break-glass account: Global Administrator for emergencies", roles: []string{RoleGlobalAdministrator}},
		{into: func(c *Cast) *Person { return &c.UserAdmin }, given: "Chiara", surname: "Benedetti", job: "Identity Engineer", dept: "IT",
			note: "User Administrator", roles: []string{RoleUserAdministrator}},
		{into: func(c *Cast) *Person { return &c.PasswordAdmin }, given: "Andile", surname: "Khumalo", job: "Service Desk Analyst", dept: "IT",
			note: "Password Administrator: may be refused", console: []string{ConsoleResponder}, roles: []string{RolePasswordAdministrator}},
		{into: func(c *Cast) *Person { return &c.AuthAdmin }, given: "Mirela", surname: "Stan", job: "Identity Engineer", dept: "IT",
			note: "Authentication Administrator", roles: []string{RoleAuthenticationAdministrator}},
		{into: func(c *Cast) *Person { return &c.ExchangeAdmin }, given: "Ruben", surname: "Haas", job: "Messaging Engineer", dept: "IT",
			note: "Exchange Administrator", roles: []string{RoleExchangeAdministrator}},
		{into: func(c *Cast) *Person { return &c.SecurityOperator }, given: "Yuki", surname: "Morita", job: "Security Analyst", dept: "IT",
			note: "Security Operator: non-administrators only", console: []string{ConsoleResponder}, roles: []string{RoleSecurityOperator}},
		{into: func(c *Cast) *Person { return &c.EligibleAdmin }, given: "Ndidi", surname: "Okeke", job: "Systems Administrator", dept: "IT",
			note: "Eligible for Global Administrator, not active"},
		{into: func(c *Cast) *Person { return &c.EligibleThroughGroup }, given: "Matteo", surname: "Greco", job: "Systems Administrator", dept: "IT",
			note: "Eligible for User Administrator through a group"},
		{into: func(c *Cast) *Person { return &c.GroupAdmin }, given: "Freya", surname: "Holm", job: "Messaging Engineer", dept: "IT",
			note: "Exchange Administrator through a role-assignable group"},
		{into: func(c *Cast) *Person { return &c.RoleGroupMember }, given: "Amina", surname: "Sesay", job: "Systems Administrator", dept: "IT",
			note: "Member of a role-assignable group that holds no role"},
		{into: func(c *Cast) *Person { return &c.RoleGroupOwner }, given: "George", surname: "Pell", job: "Network Engineer", dept: "IT",
			note: "Owner, not member, of a role-assignable group"},
	}
}

// syncAccount gives the account the names that Microsoft Entra Connect gives it: Sync_<server>_<installation>.
func syncAccount(t *tenant, u *user) {
	u.name = "On-Premises Directory Synchronization Service Account"
	u.upn = "Sync_DC01_3f0c1a527d1b@" + t.initial
	u.mail = ""
}

// externalGuest makes u an account that was invited from a partner, with the names that Entra gives it.
func externalGuest(t *tenant, u *user) {
	local := mailWord(u.given) + "." + mailWord(u.surname)
	u.guest, u.elsewhere = true, true
	u.mail = local + "@brightwater.example"
	u.upn = local + "_brightwater.example#EXT#@" + t.initial
	u.invited, u.invitation = true, invitationAccepted
}
