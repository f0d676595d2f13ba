package web

import (
	"strconv"
	"strings"
	"time"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/web/templates"
)

// reconcileShown is how many of each list the page shows; a shorter time shows the rest.
const reconcileShown = 200

// newReconcileResult puts a comparison into words: the verdict first.
func newReconcileResult(found audit.Reconciliation, c comparison, now time.Time) *templates.ReconcileResult {
	return &templates.ReconcileResult{
		Verdict: reconcileVerdict(found), Window: minuteWords(c.window.From) + " to " + minuteWords(c.window.To),
		Counts: reconcileCounts(found), Read: c.read,
		Missing: reconcileOurs(found.Unwitness, now), Early: reconcileOurs(found.Early, now),
		Foreign: reconcileRows(found.Foreign, now), Own: reconcileRows(found.Own, now), Sync: reconcileRows(found.Sync, now),
	}
}

func minuteWords(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 UTC") }

// reconcileVerdict is the one sentence that somebody reads who reads no further.
func reconcileVerdict(r audit.Reconciliation) templates.Note {
	n := templates.Note{Tone: templates.ToneOK, Title: "The logs agree"}
	missing, foreign := len(r.Unwitness), len(r.Foreign)
	var words []string
	switch all := r.Matched + missing; {
	case all == 0:
		words = append(words, "The ledger has no revocation of this time that Entra should know.")
	case missing == 0:
		words = append(words, "All "+counted(all, "revocation")+" of Evict’s have a row in Entra’s log.")
	default:
		n.Tone, n.Title = templates.ToneNo, "The logs differ"
		words = append(words, "Of "+counted(all, "revocation")+" of Evict’s, "+thousands(missing)+haveWord(missing)+"no row in Entra’s log.")
	}
	if foreign > 0 {
		if n.Tone == templates.ToneOK {
			n.Tone, n.Title = templates.ToneWarn, "Somebody revoked without Evict"
		}
		words = append(words, counted(foreign, "row")+" of Entra’s"+haveWord(foreign)+"no event of Evict’s.")
	} else {
		words = append(words, "Nobody was revoked by others beside it.")
	}
	if early := len(r.Early); early > 0 {
		words = append(words, counted(early, "revocation")+" of Evict’s cannot be told yet: rows appear minutes later.")
	}
	if r.Matched+missing+len(r.Early)+r.Rows == 0 {
		n = templates.Note{Tone: templates.ToneOn, Title: "Nothing to compare"}
		words = []string{"Neither log has a revocation in this time."}
	}
	n.Text = strings.Join(words, " ")
	return n
}

func haveWord(n int) string {
	if n == 1 {
		return " has "
	}
	return " have "
}

// reconcileCounts leads from each number to its list.
func reconcileCounts(r audit.Reconciliation) []templates.Count {
	counts := []templates.Count{{Value: thousands(r.Matched), Label: "in both logs", Tone: templates.ToneOK}}
	for _, c := range []struct {
		n         int
		label, to string
		tone      templates.Tone
		always    bool
	}{
		{len(r.Unwitness), "of Evict’s without a row", "#missing", templates.ToneNo, true},
		{len(r.Foreign), "of Entra’s without an event", "#foreign", templates.ToneWarn, true},
		{len(r.Early), "too early to tell", "#early", templates.ToneOn, false},
		{len(r.Own), "by people for themselves", "#own", "", false},
		{len(r.Sync), "by the sync service", "#sync", "", false},
		{r.Unsure, "refused, lost or external, without a row", "", "", false},
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

func reconcileOurs(list []audit.Ours, now time.Time) templates.ReconcileOurs {
	var out templates.ReconcileOurs
	for _, o := range list[:min(len(list), reconcileShown)] {
		row := templates.ReconcileOurRow{
			Time: showTime(o.T0, now), Operator: storyPerson(o.Operator.OID, o.Operator.UPN), Target: storyPerson(o.Target.OID, o.Target.UPN),
			What: "accepted by Microsoft", Event: strconv.FormatInt(o.Seq, 10),
		}
		row.EventHref = "/ledger/" + row.Event
		if o.Claim == audit.ByHand {
			row.What = "recorded by hand"
		}
		if o.Run != "" {
			row.RunHref = "/ledger/runs/" + o.Run
		}
		out.Rows = append(out.Rows, row)
	}
	out.More = moreWords(len(list))
	return out
}

func reconcileRows(list []audit.Witnessed, now time.Time) templates.ReconcileRows {
	var out templates.ReconcileRows
	for _, t := range list[:min(len(list), reconcileShown)] {
		row := templates.ReconcileRow{Time: showTime(t.At, now), App: t.ByApp, Target: storyPerson(t.TargetOID, t.TargetUPN), ID: t.Correlation}
		if t.ByApp == "" {
			row.By = storyPerson(t.ByOID, t.ByUPN)
		}
		out.Rows = append(out.Rows, row)
	}
	out.More = moreWords(len(list))
	return out
}

func moreWords(n int) string {
	if n <= reconcileShown {
		return ""
	}
	return "And " + thousands(n-reconcileShown) + " more. Compare a shorter time to see them."
}

// storyPerson leads to what the ledger says of a person.
func storyPerson(oid, upn string) templates.Person {
	p := templates.Person{UPN: upn, ID: oid}
	if directory.IsID(oid) {
		p.Href = "/ledger/people/" + oid
	}
	return p
}

// ledgerNotes say what the ledger itself cannot know of the window.
func ledgerNotes(w audit.Window, first []audit.Record, removed int64) []templates.Note {
	var notes []templates.Note
	if len(first) > 0 {
		if begun, err := audit.ParseTime(first[0].Event.Time); err == nil && begun.After(w.From) {
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
    Sync = tostring(TargetResources[0].modifiedProperties) has 'DirectorySync' or ByUpn startswith 'Sync_'
        or ByUpn startswith 'ADToAADSyncServiceAccount@' or ByApp startswith 'ConnectSyncProvisioning_'
| where Logged > ago(span);
let both = evict
| join kind=inner entra on ById, TargetId
| where Logged between ((Called - slack) .. (Called + slack));
union
    (evict | join kind=leftanti both on Sequence
        | project Finding = iff(Called > ago(15m), 'too early to tell', 'in the ledger, not in Entra'), When = Called, By, Target, Reference = Sequence),
    (entra | join kind=leftanti both on RowId
        | project Finding = case(Sync, 'synchronisation service', ById == TargetId, 'for themselves', 'in Entra, not in the ledger'), When = Logged, By, Target, Reference = RowId)
| order by Finding asc, When asc`
