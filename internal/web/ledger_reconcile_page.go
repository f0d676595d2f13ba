package web

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"evict/internal/audit"
	"evict/web/templates"
)

// reconcileShown is how many of each list the page shows; a shorter time shows the rest, and the file has all.
const reconcileShown = 200

// newReconcileResult puts a comparison into words: the verdict first.
func newReconcileResult(found audit.Reconciliation, c comparison, now time.Time) *templates.ReconcileResult {
	return &templates.ReconcileResult{
		Verdict: reconcileVerdict(found, len(c.rollbacks) > 0), Window: minuteWords(c.window.From) + " to " + minuteWords(c.window.To),
		Counts: reconcileCounts(found), Read: c.read, Lists: showLists(reconcileLists(found), now),
	}
}

// reconcileList is one list of a comparison, in the words of page and file. Its id is the key of its count in the event.
type reconcileList struct {
	id, title, why string
	folded         bool
	ours           []audit.Ours
	rows           []audit.Witnessed
}

// reconcileLists are the lists that the page shows, in its order.
func reconcileLists(r audit.Reconciliation) []reconcileList {
	return []reconcileList{
		{
			id: "missing", title: "Evict’s, without a row in Entra’s log", ours: r.Unwitness,
			why: "The ledger says that Microsoft accepted these, and Entra’s log does not know them. Either the log was not read whole (another time, a filter, a row that has not appeared yet), or somebody wrote them into the ledger by another way.",
		},
		{
			id: "foreign", title: "Entra’s, without an event of Evict’s", rows: r.Foreign,
			why: "Revoked outside Evict: in the admin center, by PowerShell or by an application. An administrator who resets a password causes such a row too.",
		},
		{
			id: "named", title: "By accounts named like the synchronisation service", rows: r.Named,
			why: "The name says so, the row itself does not: whoever may create users can create such a one. Look at who it was.",
		},
		{id: "early", title: "Too early to tell", why: "Entra’s rows appear minutes later. Compare again in a quarter of an hour.", ours: r.Early},
		{id: "old", title: "Too old to tell", why: "From before what Entra still keeps. A missing row means nothing here.", ours: r.Old},
		{
			id: "own", title: "By people for themselves", folded: true, rows: r.Own,
			why: "Whoever changes their own password, or signs out everywhere, causes such a row.",
		},
		{
			id: "sync", title: "By the synchronisation service", folded: true, rows: r.Sync,
			why: "A password that was changed on premises. Told by the client that the row names.",
		},
		{
			id: "unsure", title: "Attempts without a row that need none", folded: true, ours: r.Unsure,
			why: "Microsoft refused them, or their answer was lost, or the account is external. Each may have a row, and has none.",
		},
	}
}

func showLists(lists []reconcileList, now time.Time) (out []templates.ReconcileList) {
	for _, l := range lists {
		if n := len(l.ours) + len(l.rows); n > 0 {
			out = append(out, templates.ReconcileList{
				ID: l.id, Title: l.title, Why: l.why, Folded: l.folded, Ours: reconcileOurs(l.ours, now), Rows: reconcileRows(l.rows, now), More: moreWords(n),
			})
		}
	}
	return out
}

func minuteWords(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 UTC") }

// reconcileVerdict is the one sentence that somebody reads who reads no further. After a rollback in this time, rows without
// an event may be Evict's own.
func reconcileVerdict(r audit.Reconciliation, rolledBack bool) templates.Note {
	n := verdictTitle(r)
	if !r.Faded && len(r.Matched)+len(r.Unwitness)+len(r.Early)+len(r.Unsure)+r.Rows+r.Unread.All() == 0 {
		n.Text = "Neither log has a revocation in this time."
		return n
	}
	n.Text = strings.Join(append(unreadWords(r.Unread), verdictWords(r, rolledBack)...), " ")
	return n
}

// verdictTitle is the worst of what was found.
func verdictTitle(r audit.Reconciliation) templates.Note {
	switch {
	case len(r.Unwitness) > 0:
		return templates.Note{Tone: templates.ToneNo, Title: "The logs differ"}
	case len(r.Foreign) > 0:
		return templates.Note{Tone: templates.ToneWarn, Title: counted(len(r.Foreign), "row") + " of Entra’s" + haveWord(len(r.Foreign)) + "no event of Evict’s"}
	case r.Unread.All() > 0:
		return templates.Note{Tone: templates.ToneWarn, Title: "Not every row could be read"}
	case len(r.Named) > 0:
		return templates.Note{Tone: templates.ToneWarn, Title: "Look at who names themselves like the sync service"}
	case r.Faded:
		return templates.Note{Tone: templates.ToneWarn, Title: "Not all can be compared any more"}
	default:
		return agreement(len(r.Matched), len(r.Early))
	}
}

// agreement is the title when nothing differs. It claims no more than was compared: a revocation without a row that is too
// new to have one agrees with nothing yet.
func agreement(matched, early int) templates.Note {
	switch {
	case early > 0 && matched > 0:
		return templates.Note{
			Tone: templates.ToneOn, Title: "The logs agree on " + counted(matched, "revocation") + "; " + thousands(early) + oneOf(early, " is", " are") + " too new to tell",
		}
	case early > 0:
		return templates.Note{Tone: templates.ToneOn, Title: "Nothing can be compared yet: " + counted(early, "revocation") + oneOf(early, " is", " are") + " too new to tell"}
	case matched == 0:
		return templates.Note{Tone: templates.ToneOn, Title: "Nothing to compare"}
	default:
		return templates.Note{Tone: templates.ToneOK, Title: "The logs agree"}
	}
}

func unreadWords(u audit.Unread) (words []string) {
	if u.Revocations > 0 {
		words = append(words, counted(u.Revocations, "row")+" about revocations could not be read, so this is not the whole log.")
	}
	if u.Unknown > 0 {
		words = append(words, counted(u.Unknown, "row")+" could not be read at all, and may be about revocations.")
	}
	return words
}

func verdictWords(r audit.Reconciliation, rolledBack bool) (words []string) {
	foreign, named := len(r.Foreign), len(r.Named)
	words = append(words, oursWords(r))
	if foreign > 0 && len(r.Unwitness) > 0 { // otherwise the title says so
		words = append(words, counted(foreign, "row")+" of Entra’s"+haveWord(foreign)+"no event of Evict’s.")
	}
	switch {
	case foreign > 0 && rolledBack:
		words = append(words, "They may be Evict’s own, of what a rollback cut off; or somebody revoked without Evict, or reset a password: look at who it was.")
	case foreign > 0:
		words = append(words, "Somebody revoked without Evict, or reset a password, which causes such a row too: look at who it was.")
	}
	if named > 0 {
		words = append(words, counted(named, "row")+oneOf(named, " is", " are")+" by accounts named like the sync service: look at them.")
	}
	if !r.Faded && foreign+named+r.Unread.All() == 0 {
		words = append(words, nobodyElse(r))
	}
	if r.Faded {
		words = append(words, "Entra keeps its log for 30 days, so rows from before may be gone.")
	}
	return words
}

// nobodyElse says that Entra's log tells of no others, as far as it goes.
func nobodyElse(r audit.Reconciliation) string {
	if r.Fresh {
		return "So far no row is of a revocation by others; those of the last quarter of an hour may still come."
	}
	return "Nobody was revoked by others beside it."
}

// oursWords account for every revocation of ours that Entra should know.
func oursWords(r audit.Reconciliation) string {
	matched := len(r.Matched)
	all := matched + len(r.Unwitness) + len(r.Early) + len(r.Old)
	switch all {
	case 0:
		return "The ledger has no revocation of this time that Entra should know."
	case matched:
		return oneOf(all, "The only revocation of Evict’s has", "All "+thousands(all)+" revocations of Evict’s have") + " a row in Entra’s log."
	}
	words := "Of " + counted(all, "revocation") + " of Evict’s, " + thousands(matched) + haveWord(matched) + "a row in Entra’s log"
	if n := len(r.Unwitness); n > 0 {
		words += ", " + thousands(n) + haveWord(n) + "none"
	}
	if n := len(r.Early); n > 0 {
		words += ", " + thousands(n) + oneOf(n, " is", " are") + " too new to have one (rows appear minutes later)"
	}
	if n := len(r.Old); n > 0 {
		words += ", " + thousands(n) + oneOf(n, " is", " are") + " too old to tell"
	}
	return words + "."
}

func haveWord(n int) string {
	if n == 1 {
		return " has "
	}
	return " have "
}

// reconcileCounts leads from each number to its list.
func reconcileCounts(r audit.Reconciliation) []templates.Count {
	var counts []templates.Count
	for _, c := range []struct {
		n         int
		label, to string
		tone      templates.Tone
		always    bool
	}{
		{len(r.Matched), "in both logs", "", templates.ToneOK, true},
		{len(r.Unwitness), "of Evict’s without a row", "#missing", templates.ToneNo, true},
		{len(r.Foreign), "of Entra’s without an event", "#foreign", templates.ToneWarn, true},
		{len(r.Named), "by accounts named like the sync service", "#named", templates.ToneWarn, false},
		{len(r.Early), "too early to tell", "#early", templates.ToneOn, false},
		{len(r.Old), "too old to tell", "#old", templates.ToneOn, false},
		{r.Unread.All(), "not read", "#read", templates.ToneWarn, false},
		{len(r.Own), "by people for themselves", "#own", "", false},
		{len(r.Sync), "by the sync service", "#sync", "", false},
		{len(r.Unsure), "attempts refused, lost or external, without a row", "#unsure", "", false},
	} {
		count := templates.Count{Value: thousands(c.n), Label: c.label}
		if c.n > 0 {
			count.Tone, count.Href = c.tone, c.to
		}
		if c.n > 0 || c.always {
			counts = append(counts, count)
		}
	}
	return counts
}

func reconcileOurs(list []audit.Ours, now time.Time) (out []templates.ReconcileOurRow) {
	for _, o := range list[:min(len(list), reconcileShown)] {
		row := templates.ReconcileOurRow{
			Time: showTime(o.T0, now), Operator: rowPerson(o.Operator.OID, o.Operator.UPN), Target: rowPerson(o.Target.OID, o.Target.UPN),
			What: "accepted by Microsoft", Event: strconv.FormatInt(o.Seq, 10), EventHref: eventHref(o.Seq),
		}
		if o.Claim == audit.ByHand {
			row.What = "recorded by hand"
		}
		if o.Run != "" {
			row.RunHref = runStory(o.Run)
		}
		out = append(out, row)
	}
	return out
}

func reconcileRows(list []audit.Witnessed, now time.Time) (out []templates.ReconcileRow) {
	for _, t := range list[:min(len(list), reconcileShown)] {
		row := templates.ReconcileRow{Time: showTime(t.At, now), App: t.ByApp, Target: rowPerson(t.TargetOID, t.TargetUPN), ID: t.Correlation}
		if t.ByApp == "" {
			row.By = rowPerson(t.ByOID, t.ByUPN)
		}
		out = append(out, row)
	}
	return out
}

func moreWords(n int) string {
	if n <= reconcileShown {
		return ""
	}
	return "And " + thousands(n-reconcileShown) + " more. Compare a shorter time to see them, or download all as CSV."
}

// rowPerson names a person of a row, without the name that ledger and log may have from different days.
func rowPerson(oid, upn string) templates.Person { return inStory(&audit.Person{OID: oid, UPN: upn}) }

// keptFree is for how long Entra keeps its log without Entra ID P1 or P2 (reported; Graph does not give it then).
const keptFree = 7 * 24 * time.Hour

// keptNotes say what Entra's log cannot know any more.
func keptNotes(found audit.Reconciliation, c comparison) []templates.Note {
	free := c.window.AsOf.Add(-keptFree)
	switch {
	case found.Faded:
		return []templates.Note{{
			Title: "Entra’s log does not reach so far back", Text: "Microsoft keeps it for 30 days: of what lies before " + minuteWords(c.window.KeptFrom) + " rows may be gone. An export that was made in time can tell.",
		}}
	case c.source == rowsUploaded && slices.ContainsFunc(found.Unwitness, func(o audit.Ours) bool { return o.T0.Before(free) }):
		return []templates.Note{{
			Title: "Is the export of a tenant without Entra ID P1?", Text: "Microsoft keeps the log for 7 days there, and 30 days with it. What is older cannot be in an export that was made later.",
		}}
	default:
		return nil
	}
}

// ledgerNotes say what the ledger itself cannot know of the window.
func ledgerNotes(c comparison, first []audit.Record, removed int64) []templates.Note {
	var notes []templates.Note
	for _, b := range c.rollbacks {
		notes = append(notes, b.note())
	}
	if len(first) > 0 {
		if begun, err := audit.ParseTime(first[0].Event.Time); err == nil && begun.After(c.window.From) {
			notes = append(notes, templates.Note{Tone: templates.ToneOn, Title: "The ledger is younger", Text: "It begins on " + minuteWords(begun) + ". What Entra tells from before has no event, whoever did it."})
		}
	}
	if removed > 0 {
		notes = append(notes, templates.Note{Title: "Retention", Text: "The texts of events up to " + thousands(int(removed)) + " were removed. Rows of Entra’s that belong to them stand among those without an event."})
	}
	return notes
}

// reconcileKQL makes the same comparison in Microsoft Sentinel. See docs/soc.md for what it cannot see.
const reconcileKQL = `let span = 7d;
let slack = 5m;
let ledger = _GetWatchlist('evict_ledger');
let elsewhere = ledger | where kind == 'target.not_covered' | project run, target_object_id, attempt;
let evict = ledger
| where kind == 'target.accepted' or (kind == 'target.confirmed' and settled startswith 'answer lost')
| join kind=leftanti elsewhere on run, target_object_id, attempt
| project Sequence = tostring(sequence), Called = todatetime(t0),
    ById = tolower(tostring(operator_object_id)), By = tostring(operator_upn),
    TargetId = tolower(tostring(target_object_id)), Target = tostring(target_upn)
| where Called > ago(span);
let entra = AuditLogs
| where TimeGenerated > ago(span + 1d)
| where OperationName == 'Update StsRefreshTokenValidFrom Timestamp' and Result =~ 'success'
| extend ByUpn = tostring(InitiatedBy.user.userPrincipalName), ByApp = tostring(InitiatedBy.app.displayName)
| project RowId = Id, Logged = ActivityDateTime, ById = tolower(tostring(InitiatedBy.user.id)), By = iff(isempty(ByUpn), ByApp, ByUpn),
    TargetId = tolower(tostring(TargetResources[0].id)), Target = tostring(TargetResources[0].userPrincipalName),
    Sync = tostring(TargetResources[0].modifiedProperties) has 'DirectorySync',
    Named = ByUpn startswith 'Sync_' or ByUpn startswith 'ADToAADSyncServiceAccount@' or ByApp startswith 'ConnectSyncProvisioning_'
| where Logged > ago(span);
let both = evict
| join kind=inner entra on ById, TargetId
| where Logged between ((Called - slack) .. (Called + slack));
union
    (evict | join kind=leftanti both on Sequence
        | project Finding = iff(Called > ago(15m), 'too early to tell', 'in the ledger, not in Entra'), When = Called, By, Target, Reference = Sequence),
    (entra | join kind=leftanti both on RowId
        | project Finding = case(Sync, 'synchronisation service', Named, 'named like the synchronisation service', ById == TargetId, 'for themselves', 'in Entra, not in the ledger'), When = Logged, By, Target, Reference = RowId)
| order by Finding asc, When asc`
