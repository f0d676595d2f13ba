package web

import (
	"net/http"
	"strings"
	"time"

	"evict/internal/directory"
	"evict/internal/revoke"
	"evict/web/templates"
)

// newUserPage builds the user card. last is this person's newest revocation by Evict, if any; lastUnread says that the
// database did not tell.
func newUserPage(c directory.Card, last []revoke.RunSummary, lastUnread bool, cloud string, now time.Time) templates.UserPage {
	u := c.User
	page := templates.UserPage{
		Person: templates.Person{Name: u.Name, UPN: u.UPN, ID: u.ID},
		Tags:   userTags(c), Notes: userNotes(c, now),
		Facts:      userFacts(c, last, lastUnread, now),
		Roles:      userRoles(c.Standing.Holdings, now),
		Groups:     userGroups(c.Standing),
		Prediction: showPrediction(c.Prediction),
		Clock: templates.Clock{
			ExchangeOnly: exchangeOnly(cloud), External: u.External(), Federated: c.Federated == directory.Yes,
			Disabled: u.Enabled == directory.No,
		},
		Form: &templates.RevokeForm{Action: "/users/" + u.ID + "/revoke", External: u.External()},
	}
	if len(last) > 0 && last[0].First.OID != "" && !last[0].First.State.Final() {
		page.Notes = append([]templates.Note{{Title: "Being revoked", Text: "A run for this person is under way, started by " + orElse(last[0].Operator.UPN, last[0].Operator.OID) + ". A second one is harmless."}}, page.Notes...)
	}
	page.RolesUnread = unreadParts(c.Standing.Unread)
	if len(c.Standing.Unread) > 0 {
		page.NoRoles = "No role that could be read."
	}
	if len(c.Standing.Unread) > 0 && whyUnread(c.Standing.Unread, "active") == "" {
		page.NoRoles = "No directory role that is active."
	}
	if c.Self {
		page.Form, page.Prediction = nil, nil
		page.NoFormWhy = "This is you. To end your own sessions everywhere, use My sessions: it needs no directory role."
	}
	return page
}

func userTags(c directory.Card) []templates.Tag {
	var tags []templates.Tag
	add := func(is directory.Tri, label string, tone templates.Tone) {
		switch is {
		case directory.Yes:
			tags = append(tags, templates.Tag{Label: label, Tone: tone})
		case directory.Unknown:
			tags = append(tags, templates.Tag{Label: label + ": unknown"})
		case directory.No:
		}
	}
	add(c.User.SignsInElsewhere(), "external", templates.ToneWarn)
	add(c.Privileged, "privileged", templates.ToneWarn)
	if c.User.Enabled == directory.No {
		tags = append(tags, templates.Tag{Label: "disabled", Tone: templates.ToneWarn})
	}
	if c.User.Synced == directory.Yes {
		tags = append(tags, templates.Tag{Label: "synced from AD"})
	}
	if c.Federated == directory.Yes {
		tags = append(tags, templates.Tag{Label: "federated domain", Tone: templates.ToneWarn})
	}
	if c.User.Restricted == directory.Yes {
		tags = append(tags, templates.Tag{Label: "restricted unit", Tone: templates.ToneWarn})
	}
	if c.User.Agent == directory.Yes {
		tags = append(tags, templates.Tag{Label: "agent user"})
	}
	return tags
}

func userNotes(c directory.Card, now time.Time) []templates.Note {
	var notes []templates.Note
	u := c.User
	if c.Self {
		notes = append(notes, templates.NoteSelf("/me"))
	}
	switch u.SignsInElsewhere() {
	case directory.Yes:
		notes = append(notes, templates.NoteExternal(""))
	case directory.Unknown:
		notes = append(notes, templates.Note{Title: "Perhaps external", Text: c.External() + " If it signs in here, revoking works; Evict does not call it confirmed."})
	case directory.No:
	}
	if u.SessionsFrom.After(now.Add(5 * time.Minute)) {
		notes = append(notes, templates.Note{Tone: templates.ToneNo, Title: "Dated in the future", Text: "Sessions are valid only from a time that has not come yet. An attacker with directory rights can set it: look at the directory audit log for 'Update StsRefreshTokenValidFrom Timestamp'."})
	}
	if u.Restricted == directory.Yes {
		notes = append(notes, templates.NoteRestricted(restrictedUnit(c.Standing)))
	}
	if c.Federated == directory.Yes {
		notes = append(notes, templates.NoteFederated(u.Domain()))
	}
	if u.Synced == directory.Yes {
		notes = append(notes, templates.NoteSynced())
	}
	if u.Enabled == directory.No {
		notes = append(notes, templates.NoteDisabled())
	}
	if u.Agent == directory.Yes {
		notes = append(notes, templates.NoteAgent())
	}
	return notes
}

// protectedNotes says on the user card that no plan of many includes this person, or that it is not known.
func (s *Server) protectedNotes(r *http.Request, oid string) []templates.Note {
	list, err := s.Scopes.Protected(r.Context())
	if err != nil {
		s.Logger.Error("reading the protected accounts", "request_id", at(r).requestID, "error", err)
		return []templates.Note{{Title: "Protected or not: unknown", Text: "The database does not answer."}}
	}
	for _, a := range list {
		if a.OID == oid {
			return []templates.Note{templates.NoteProtected(joinNonEmpty(": ", a.Kind, a.Note))}
		}
	}
	return nil
}

func restrictedUnit(s directory.Standing) string {
	for _, u := range s.Units {
		if u.Restricted == directory.Yes {
			return u.Name
		}
	}
	return ""
}

const lastRevokedLabel = "Last revoked by Evict"

func userFacts(c directory.Card, last []revoke.RunSummary, lastUnread bool, now time.Time) []templates.Fact {
	u := c.User
	facts := []templates.Fact{
		{Label: "Account", Value: templates.Value{Text: accountWords(u)}},
		{Label: "Sessions valid from", Value: timeOr(u.SessionsFrom, now, "Entra shows no value")},
		{Label: "Last sign-in", Value: lastSignIn(c, now)},
		{Label: "Password changed", Value: timeOr(u.PasswordChanged, now, "Entra shows no value")},
		{Label: lastRevokedLabel, Value: lastRevoked(last, lastUnread, now)},
		{Label: "Created", Value: timeOr(u.Created, now, "Entra shows no value")},
	}
	if c.Federated == directory.Unknown && u.SignsInElsewhere() != directory.Yes {
		facts = append(facts, templates.Fact{Label: "Federated domain", Value: templates.Value{Unknown: whyUnread(c.Unread, "domain")}})
	}
	if work := joinNonEmpty(" · ", u.JobTitle, u.Department, u.City, u.Company); work != "" {
		facts = append(facts, templates.Fact{Label: "Work", Value: templates.Value{Text: work}})
	}
	if u.Mail != "" && !strings.EqualFold(u.Mail, u.UPN) {
		facts = append(facts, templates.Fact{Label: "Mail", Value: templates.Value{Text: u.Mail}})
	}
	return facts
}

// accountWords says in a line what kind of account it is: "Enabled · member · signs in here".
func accountWords(u directory.User) string {
	enabled := map[directory.Tri]string{directory.Yes: "Enabled", directory.No: "Disabled", directory.Unknown: "Enabled or not: unknown"}[u.Enabled]
	here := map[directory.Tri]string{
		directory.Yes: "signs in elsewhere", directory.No: "signs in here", directory.Unknown: "where it signs in: unknown",
	}[u.SignsInElsewhere()]
	return joinNonEmpty(" · ", enabled, strings.ToLower(u.UserType), here)
}

func lastSignIn(c directory.Card, now time.Time) templates.Value {
	if t := c.LastSignIn.Latest(); !t.IsZero() {
		return templates.Value{Time: showTime(t, now)}
	}
	if why := whyUnread(c.Unread, "sign-in"); why != "" {
		return templates.Value{Unknown: why}
	}
	return templates.Value{Text: "none that Entra knows of"}
}

func lastRevoked(last []revoke.RunSummary, unread bool, now time.Time) templates.Value {
	if unread {
		return templates.Value{Unknown: "the database did not answer"}
	}
	if len(last) == 0 {
		return templates.Value{Text: "never"}
	}
	r := last[0]
	return templates.Value{
		Text: orElse(string(r.First.State), "in a run of many"), Href: "/runs/" + string(r.ID),
		Detail: showTime(r.CreatedAt, now).UTC + " by " + orElse(r.Operator.UPN, r.Operator.OID),
	}
}

func timeOr(t, now time.Time, unknown string) templates.Value {
	if t.IsZero() {
		return templates.Value{Unknown: unknown}
	}
	return templates.Value{Time: showTime(t, now)}
}

// whyUnread is the cause of the first unread part whose name holds the word.
func whyUnread(all []directory.Unread, word string) string {
	for _, u := range all {
		if strings.Contains(strings.ToLower(u.What), word) {
			return joinNonEmpty(". ", u.Why, u.Fix)
		}
	}
	return ""
}

// unreadParts names each part that could not be read.
func unreadParts(all []directory.Unread) []templates.Unread {
	var out []templates.Unread
	for _, u := range all {
		out = append(out, templates.Unread{What: upperFirst(u.What), Why: u.Why, WayOut: u.Fix})
	}
	return out
}

// showUnread is one sentence for each part that could not be read.
func showUnread(all []directory.Unread) string {
	var out []string
	for _, u := range all {
		out = append(out, joinNonEmpty(" ", u.What+": "+u.Why+".", u.Fix))
	}
	return strings.Join(out, " ")
}

func userRoles(hs []directory.Holding, now time.Time) []templates.UserRole {
	var out []templates.UserRole
	for _, h := range hs {
		r := templates.UserRole{
			Name: h.Role.Name, Href: "/roles/" + h.Role.TemplateID, Privileged: h.Role.Privileged == directory.Yes,
			State: holdingState(h), Scope: scopeWords(h.Scope, h.ScopeName), Since: showTime(h.Since, now),
		}
		if h.Through != "" {
			r.Path = []string{h.Through}
		}
		out = append(out, r)
	}
	return out
}

func holdingState(h directory.Holding) string {
	switch {
	case h.How == directory.Eligible:
		return "eligible, not active now"
	case !h.Until.IsZero():
		return "active until " + h.Until.UTC().Format("2 Jan 15:04 UTC")
	default:
		return "active"
	}
}

// scopeWords names a directory scope; "" is the whole tenant.
func scopeWords(scope, name string) string {
	switch {
	case scope == "/" || scope == "":
		return ""
	case strings.HasPrefix(scope, "/administrativeUnits/"):
		return "unit " + orElse(name, strings.TrimPrefix(scope, "/administrativeUnits/"))
	default:
		return "only " + strings.TrimPrefix(scope, "/")
	}
}

func userGroups(s directory.Standing) []templates.UserGroup {
	var out []templates.UserGroup
	for _, g := range s.RoleGroups {
		out = append(out, templates.UserGroup{Name: g.Name, Href: "/groups/" + g.ID, Why: "member; a role can be assigned to this group"})
	}
	for _, g := range s.OwnedRoleGroups {
		out = append(out, templates.UserGroup{Name: g.Name, Href: "/groups/" + g.ID, Why: "owner; a role can be assigned to this group"})
	}
	return out
}

func showPrediction(p directory.Prediction) *templates.Prediction {
	verdict := map[directory.Verdict]templates.Verdict{
		directory.Allowed: templates.VerdictAllowed, directory.MayBeRefused: templates.VerdictMaybe,
		directory.Refused: templates.VerdictRefused,
	}[p.Verdict]
	if verdict == "" {
		verdict = templates.VerdictUnknown
	}
	return &templates.Prediction{Verdict: verdict, Reason: p.Because, WayOut: p.Fix}
}

func joinNonEmpty(sep string, parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, sep)
}
