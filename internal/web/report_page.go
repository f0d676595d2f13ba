package web

import (
	"fmt"
	"strconv"
	"time"

	"evict/internal/directory"
	"evict/internal/revoke"
	"evict/web/templates"
)

// reportFacts is what a report is built from.
type reportFacts struct {
	run       revoke.Run
	plan      revoke.Plan
	list      revoke.Preview // zero for a run of one target
	cloud     string
	rehearsal bool
	now       time.Time
	may       func(route string) bool

	// Filled while the targets are read: the first people of each state but confirmed, and what the evidence adds up to.
	people   map[revoke.State][]revoke.RunTarget
	first    time.Time // T0, on Graph's clock
	last     time.Time
	stamped  time.Time // the latest stamp that was read back and proves something
	answers  int       // Graph request ids
	attempts int
	settled  int // not by the answer
	uncalled []revoke.Target
	left     map[revoke.Cause][]revoke.Leftover
}

// take adds one target.
func (f *reportFacts) take(t revoke.RunTarget) error {
	f.attempts += t.Attempt
	if t.RequestID != "" {
		f.answers++
	}
	if t.Settled != "" {
		f.settled++
	}
	if !t.T0.IsZero() && (f.first.IsZero() || t.T0.Before(f.first)) {
		f.first = t.T0
	}
	if t.T0.After(f.last) {
		f.last = t.T0
	}
	if t.State == revoke.Confirmed {
		if t.After.After(f.stamped) {
			f.stamped = t.After
		}
		return nil
	}
	if len(f.people[t.State]) < peopleOnPaper {
		f.people[t.State] = append(f.people[t.State], t)
	}
	return nil
}

func (f *reportFacts) over() bool {
	return f.run.State == revoke.RunFinished || f.run.State == revoke.RunCancelled
}

// newReportPage builds the report.
func newReportPage(f reportFacts) templates.ReportPage {
	confirmed := f.run.Counts[revoke.Confirmed]
	page := templates.ReportPage{
		Title: reportTitle(f.run), StandsCount: people(standsCount(f.run, f.list)), Stands: standGroups(f), Unseen: reportUnseen(f), Aside: asideRows(f.list.Facts.Aside),
		AllCut: "Everybody whom this run had is proven cut off, nobody was left out, and every source was read.",
		Scope:  reportScope(f), Facts: reportWho(f), Outcomes: reportOutcomes(f.run), Evidence: reportEvidence(f),
		Next: countermeasures(), Techniques: techniques(), Source: relatedSource, Made: showTime(f.now, f.now),
		Clock: templates.Clock{ExchangeOnly: exchangeOnly(f.cloud)}, NothingCut: confirmed+f.run.Counts[revoke.Accepted] == 0,
		RunHref: "/runs/" + string(f.run.ID), JSONAction: "/runs/" + string(f.run.ID) + "/report.json",
	}
	if !f.stamped.IsZero() {
		page.Clock.People, page.Clock.Recorded = people(confirmed), showTime(f.stamped, f.now)
		page.Clock.Until, page.Clock.UntilNoCA = clockTime(f.stamped.Add(90*time.Minute)), clockTime(f.stamped.Add(2*time.Hour))
	}
	if !f.over() {
		page.Unfinished = "The run has not ended: " + string(f.run.State) + ". Make the report again when it has."
	}
	for _, c := range f.plan.Checklist {
		page.Checks = append(page.Checks, templates.CheckAnswer{Text: c.Text, Answer: c.Answer})
	}
	return page
}

func reportTitle(run revoke.Run) string {
	switch confirmed := run.Counts[revoke.Confirmed]; confirmed {
	case run.Total:
		return people(run.Total) + ": all proven cut off"
	case 0:
		return people(run.Total) + ": nobody proven cut off"
	default:
		return fmt.Sprintf("%s: %s proven cut off, %s not", people(run.Total), thousands(confirmed), thousands(run.Total-confirmed))
	}
}

// standGroups are those whose sessions may live on, each kind with what it means.
func standGroups(f reportFacts) []templates.StandGroup {
	var out []templates.StandGroup
	state := func(s revoke.State, means, wayOut string) {
		n := f.run.Counts[s]
		if n == 0 {
			return
		}
		words, tone := stateWords(s)
		g := templates.StandGroup{Title: words, Count: people(n), Tone: tone, Means: means, WayOut: wayOut, More: moreOnPaper(n)}
		for _, t := range f.people[s] {
			g.People = append(g.People, reportPerson(t.Target, t.Message))
		}
		out = append(out, folded(g))
	}
	cause := func(c revoke.Cause, title, means, wayOut string) {
		n := f.list.LeftCounts[string(c)]
		if n == 0 {
			return
		}
		g := templates.StandGroup{Title: title, Count: people(n), Tone: causeTag(c).Tone, Means: means, WayOut: wayOut, More: moreOnPaper(n)}
		for _, t := range f.left[c] {
			g.People = append(g.People, reportPerson(t.Target, firstReason(t.Target)))
		}
		out = append(out, g)
	}
	state(revoke.NotCovered, "They sign in elsewhere: Microsoft answered 200, and their home tenant keeps the session.", "Ask that tenant to revoke; block or remove the guest here.")
	cause(revoke.LeftExternal, "external, left out", "They sign in elsewhere, or may, and were not called.", "Ask their home tenant to revoke; block or remove the guest here.")
	state(revoke.Refused, "Microsoft refused: their sessions live on.", "Have somebody do it who holds Privileged Authentication Administrator, or a role in their restricted-management unit.")
	state(revoke.Unconfirmed, "Microsoft took the call, and its record does not show it: treat their sessions as alive.", "Block the accounts and try again.")
	state(revoke.Failed, "Nothing is proven: treat their sessions as alive.", "Try again; a repeat is harmless. If it cannot wait, block the accounts.")
	state(revoke.Accepted, "Microsoft took the call; whether Entra has recorded it is being read back.", "")
	state(revoke.Attempting, "Whether the call took effect is not known yet.", "")
	state(revoke.Pending, "They wait for another attempt.", "")
	if n := f.run.Untouched(); n > 0 {
		out = append(out, uncalledGroup(f, n))
	}
	state(revoke.Cancelled, "The run was cancelled before their turn: their sessions live on.", "Plan them again from the run's page.")
	state(revoke.Skipped, "Not called, for the cause beside each.", "")
	cause(revoke.LeftProtected, "protected, left out", "Plans of many never include them.", "If one of them is compromised, revoke that one on its user card.")
	cause(revoke.LeftSelf, "the operator, left out", "Whoever ran this was left out.", "They can sign themselves out everywhere under My sessions.")
	if words := excludedWords(f.list.Scope); words == alreadyHad {
		cause(revoke.LeftExcluded, words, "Not counted above: that run's report says what became of them.", "")
	} else {
		cause(revoke.LeftExcluded, words, "The operator left them out of the scope.", "")
	}
	cause(revoke.LeftFlag, "taken out", "The operator took everybody of their kind out.", "")
	if g := linesGroup(f.list.Facts); g.Title != "" {
		out = append(out, g)
	}
	return out
}

// folded says once each cause that stands beside more than one person.
func folded(g templates.StandGroup) templates.StandGroup {
	count, name := map[string]int{}, map[string]string{}
	for _, p := range g.People {
		count[p.Note]++
	}
	for i, p := range g.People {
		n := count[p.Note]
		if p.Note == "" || n < 2 {
			continue
		}
		if name[p.Note] == "" {
			name[p.Note] = "cause " + strconv.Itoa(len(name)+1)
			g.Causes = append(g.Causes, templates.StandCause{Name: upperFirst(name[p.Note]), Count: people(n), Text: p.Note})
		}
		g.People[i].Note = upperFirst(name[p.Note])
	}
	return g
}

// linesGroup names the lines of lists that matched nobody: whoever was meant was not touched.
func linesGroup(facts revoke.Facts) templates.StandGroup {
	n := linesToNobody(facts)
	if n == 0 {
		return templates.StandGroup{}
	}
	g := templates.StandGroup{
		Title: "lines that led to nobody", Count: counted(n, "line"), Tone: templates.ToneWarn, More: moreOnPaper(n),
		Means: "Lines of pasted lists: whom they were to name was not touched.", WayOut: "Find out who was meant, and plan those.",
	}
	for _, line := range facts.Lines {
		if line.Fate != directory.LineDuplicate && len(g.People) < peopleOnPaper {
			g.People = append(g.People, templates.ReportPerson{Name: line.Text, Note: joinNonEmpty(": ", upperFirst(string(line.Fate)), line.Reason)})
		}
	}
	return g
}

func uncalledGroup(f reportFacts, n int) templates.StandGroup {
	g := templates.StandGroup{
		Title: "not called yet", Count: people(n), Means: "Their turn has not come: their sessions live on.", More: moreOnPaper(n),
	}
	if f.over() {
		g.Title, g.Means, g.WayOut = "never called", "The run ended before their turn: their sessions live on.", "Plan them again from the run's page."
	}
	for _, t := range f.uncalled {
		g.People = append(g.People, reportPerson(t, firstReason(t)))
	}
	return g
}

func moreOnPaper(n int) string {
	if n <= peopleOnPaper {
		return ""
	}
	return "And " + thousands(n-peopleOnPaper) + " more: the JSON names everybody."
}

func reportPerson(t revoke.Target, note string) templates.ReportPerson {
	return templates.ReportPerson{Name: t.Name, UPN: t.UPN, ID: t.OID, Note: note}
}

func firstReason(t revoke.Target) string {
	if len(t.Reasons) == 0 {
		return ""
	}
	return t.Reasons[0]
}

// reportUnseen are the sources that could not be read when the list was made.
func reportUnseen(f reportFacts) []templates.Unread {
	if f.list.ID != "" {
		return foldUnread(f.list.Facts.Unread)
	}
	var out []templates.Unread
	for _, what := range f.plan.Incomplete {
		out = append(out, templates.Unread{What: what, Why: "it could not be read"})
	}
	return out
}

func reportScope(f reportFacts) templates.ScopeWords {
	if f.run.Preview != "" {
		return planScope(f.plan.Scope, f.plan.Options)
	}
	var w templates.ScopeWords
	for _, t := range f.plan.Targets {
		w.Include = append(w.Include, sourceWords(directory.Source{Kind: directory.UserSource, ID: t.OID, Name: orElse(t.UPN, t.Name)}))
	}
	return w
}

// reportWho is who asked for the run, when and why, and what it is known by.
func reportWho(f reportFacts) []templates.Fact {
	run := f.run
	var out []templates.Fact
	add := func(label, text, detail string, mono bool) {
		if text != "" {
			out = append(out, templates.Fact{Label: label, Value: templates.Value{Text: text, Detail: detail, Mono: mono, Copy: mono}})
		}
	}
	add("Asked by", orElse(run.Operator.UPN, run.Operator.OID), joinNonEmpty(" · ", run.Operator.Name, run.Operator.OID), false)
	add("Reason", run.Reason, "", false)
	add("Ticket", run.Ticket, "", false)
	add("Approved by", "nobody", "this console asks for no approval", false)
	if f.list.ID != "" {
		add("List made", stamp(f.list.ReadyAt), people(f.list.Total)+", "+thousands(f.list.Left)+" left out", false)
	}
	add("Started", stamp(run.CreatedAt), "", false)
	if !run.FinishedAt.IsZero() {
		add("Ended", stamp(run.FinishedAt), string(run.State), false)
	}
	add("Cloud and tenant", run.Cloud+" · "+run.Tenant, "", false)
	add("Run", string(run.ID), "", true)
	if f.list.ID != "" {
		add("Plan", string(f.list.ID), "", true)
		if f.may("plan") {
			out[len(out)-1].Value.Href = "/plans/" + string(f.list.ID)
		}
		add("Digest of the list", f.plan.ListDigest, listDigestMeans, true)
	}
	add("Record of the plan", string(run.Plan), "as the ledger names it", true)
	add("Digest of the plan", run.Digest, planDigestMeans, true)
	add("Tries again people of", string(run.Parent), "", true)
	return out
}

// reportOutcomes is the table of all outcomes.
func reportOutcomes(run revoke.Run) []templates.ReportCount {
	var out []templates.ReportCount
	add := func(words string, n int, means string) {
		if n > 0 {
			out = append(out, templates.ReportCount{Outcome: words, Count: thousands(n), Share: percent(n, run.Total), Means: means})
		}
	}
	for _, s := range statesInOrder() {
		words, _ := stateWords(s)
		add(words, run.Counts[s], outcomeMeans(s))
	}
	add("never called", run.Untouched(), "Their turn has not come, or the run ended before.")
	add("all", run.Total, "")
	return out
}

// percent never rounds up to all, nor down to none.
func percent(n, of int) string {
	if of <= 0 {
		return ""
	}
	p := 100 * float64(n) / float64(of)
	switch {
	case n == of:
		return "100 %"
	case p < 0.1:
		return "< 0.1 %"
	case p > 99.9:
		return "> 99.9 %"
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}

func outcomeMeans(s revoke.State) string {
	switch s {
	case revoke.Confirmed:
		return "Read back by object id: sign-ins from before the attempt get no new token."
	case revoke.Accepted:
		return "Microsoft answered 2xx; not proven yet."
	case revoke.Attempting:
		return "The call is under way, or its answer was lost."
	case revoke.Pending:
		return "Waits for another attempt."
	case revoke.Refused:
		return "Microsoft answered 403, also with a newly issued token."
	case revoke.Failed:
		return "Given up after several attempts."
	case revoke.Unconfirmed:
		return "Accepted, and the record did not move."
	case revoke.NotCovered:
		return "External account: its home tenant keeps the session."
	case revoke.Skipped:
		return "Not called: deleted, or protected since."
	case revoke.Cancelled:
		return "The run was cancelled first."
	}
	return ""
}

func reportEvidence(f reportFacts) []templates.Fact {
	text := func(label, text, detail string) templates.Fact {
		return templates.Fact{Label: label, Value: templates.Value{Text: text, Detail: detail}}
	}
	out := []templates.Fact{
		text("First attempt", stamp(f.first), "on Graph's clock; a last attempt for each person counts"),
		text("Last attempt", stamp(f.last), "on Graph's clock"),
		text("Attempts recorded", thousands(f.attempts), "each before its call"),
		text("Graph request ids", thousands(f.answers), "one for each person whose last call was answered; the JSON has them all"),
	}
	if f.settled > 0 {
		out = append(out, text("Settled by read-back", thousands(f.settled), "the answer was lost"))
	}
	events := text("Events in the ledger", thousands(f.run.Events), "the last of them says how many, and where it stands")
	if f.may("ledger") {
		events.Value.Href = "/ledger?run=" + string(f.run.ID)
	}
	return append(out, events, text("Evidence", "the ledger's export of these events", "this report is made from the console's working tables, which no proof covers"))
}

// relatedSource is where countermeasures() comes from.
const relatedSource = "Related to CM0077, Revoke Microsoft 365 Refresh Tokens, in CISA's COUN7ER catalogue (version 1.0 of 14 March 2025). When each applies is our reading."

// countermeasures are what COUN7ER relates to CM0077, under its titles.
func countermeasures() []templates.Countermeasure {
	return []templates.Countermeasure{
		{ID: "CM0050", Title: "Reset Kerberos Ticket Granting Ticket (KRBTGT) Password Twice", Do: "If on-premises Active Directory may be compromised: its tickets outlive this run."},
		{ID: "CM0069", Title: "Reset Directory Services Restore Mode (DSRM) Account Passwords on Domain Controllers", Do: "If a domain controller may be compromised."},
		{ID: "CM0073", Title: "Rotate Active Directory Federation Services (AD FS) Certificates", Do: "If a domain is federated: whoever holds its signing key signs in as anybody. Then revoke again."},
		{ID: "CM0076", Title: "Remove Adversary Certificates and Rotate Secrets for Applications and Service Principals", Do: "Always: revoking people leaves applications as they are."},
		{ID: "CM0083", Title: "Rotate Application Programming Interface (API) Keys", Do: "If keys lay in mailboxes, files or pipelines that these people could reach."},
		{ID: "CM0099", Title: "Remove/Rotate Kubernetes Service Account Token", Do: "If clusters could be reached with these accounts."},
	}
}

// techniques are the adversary's techniques that a revocation answers (MITRE ATT&CK).
func techniques() []templates.Technique {
	return []templates.Technique{
		{ID: "T1550", Name: "Use Alternate Authentication Material"}, {ID: "T1550.001", Name: "Application Access Token"},
		{ID: "T1550.004", Name: "Web Session Cookie"}, {ID: "T1528", Name: "Steal Application Access Token"},
		{ID: "T1539", Name: "Steal Web Session Cookie"},
	}
}
