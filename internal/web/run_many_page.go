package web

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"evict/internal/audit"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

// manyView is what the page of a run of many is built from.
type manyView struct {
	run      revoke.Run
	list     revoke.Preview // that the run was started from
	filter   runFilter
	targets  []revoke.RunTarget // one more than a page when there are further ones
	waiting  []revoke.Target    // instead of targets, when the filter asks for people who were never called
	samples  []revoke.Sample
	quota    *revoke.Quota // nil: not known, or of no interest
	resumed  time.Time     // when it was last continued; zero when it never was
	stopped  *audit.Event  // who asked last that it stop; nil when that is not why it stands still
	who      operator.Operator
	signedIn time.Time
	signIn   string // where the run's own operator signs in again; "" for others
	cloud    string
	now      time.Time
}

func (v manyView) mine() bool { return v.run.Operator.OID == v.who.OID }

func (v manyView) may(route string) bool { return v.who.Roles.MayOpen(route) }

func (v manyView) over() bool {
	return v.run.State == revoke.RunFinished || v.run.State == revoke.RunCancelled
}

// stands is how many people of the list are not proven cut off, and how many it left out.
func (v manyView) stands() int { return standsCount(v.run, v.list) }

func standsCount(run revoke.Run, list revoke.Preview) int {
	return run.Total - run.Counts[revoke.Confirmed] + leftStandingCount(list)
}

// newManyLive builds everything on the page of a run of many.
func newManyLive(v manyView) templates.RunLive {
	run := v.run
	live := templates.RunLive{
		Href: v.filter.href(run.ID), Active: run.State == revoke.RunRunning || run.State == revoke.RunQueued,
		ID: string(run.ID), Title: "Sessions of " + people(run.Total), State: templates.RunState(run.State),
		Crumb:  joinNonEmpty(" · ", run.Ticket, "started "+showTime(run.CreatedAt, v.now).UTC+" by "+orElse(run.Operator.UPN, run.Operator.OID)),
		Reason: run.Reason, Ticket: run.Ticket, Total: run.Total, Status: manyStatus(v), StateDetail: stateDetail(run),
		Counts: append(outcomeCounts(v), speed(v)...), Bound: bound(v), Notes: manyNotes(v), Actions: manyActions(v),
		Clock: manyClock(v), NothingCut: run.Counts[revoke.Confirmed]+run.Counts[revoke.Accepted] == 0, Evidence: manyEvidence(v),
		Many: &templates.Many{Chart: newChart(run, v.samples), Outcomes: outcomeList(v), Retry: retryForm(v), Latecomers: latecomersAction(v)},
	}
	live.Tone = endTone(run)
	if v.may("run.report") {
		live.Many.ReportHref = "/runs/" + live.ID + "/report"
	}
	return live
}

// endTone colours how a run ended: well, only when everybody is proven cut off.
func endTone(run revoke.Run) templates.Tone {
	switch {
	case run.State == revoke.RunFinished && run.Counts[revoke.Confirmed] == run.Total:
		return templates.ToneOK
	case run.State == revoke.RunFinished || run.State == revoke.RunCancelled:
		return templates.ToneWarn
	default:
		return templates.ToneNone
	}
}

// stateDetail says beside the state what somebody wishes of the run, or why it stands still.
func stateDetail(run revoke.Run) string {
	switch {
	case run.State == revoke.RunRunning && run.Wish == revoke.WishPause:
		return "pausing"
	case run.State == revoke.RunRunning && run.Wish == revoke.WishCancel:
		return "cancelling"
	case run.State == revoke.RunPaused && run.Pause == revoke.PauseOperator:
		return "by request"
	case run.State == revoke.RunPaused:
		return string(run.Pause)
	default:
		return ""
	}
}

// finals is how many targets have their outcome.
func finals(c revoke.Counts) int {
	n := 0
	for state, of := range c {
		if state.Final() {
			n += of
		}
	}
	return n
}

// manyStatus is where a run of many stands, in a sentence. It changes a few times in a run, not with each number: a
// screen reader reads it out whenever it does.
func manyStatus(v manyView) string {
	run := v.run
	switch run.State {
	case revoke.RunQueued:
		return "Waits for its turn."
	case revoke.RunRunning:
		return runningStatus(run)
	case revoke.RunPaused:
		return "Stands still. " + orElse(stoppedBy(v), pauseStatus(run.Pause))
	case revoke.RunCancelled:
		return "Cancelled. " + proven(run) + neverCalled(run)
	default:
		return "Finished. " + proven(run)
	}
}

func runningStatus(run revoke.Run) string {
	switch {
	case run.Wish == revoke.WishPause:
		return "Pausing: nobody new is called; calls that were made get their outcome first."
	case run.Wish == revoke.WishCancel:
		return "Cancelling: nobody new is called; calls that were made get their outcome first."
	case !run.Canary && run.Limit == revoke.LimitCanary:
		return "Begins with care: the first 20 must answer, and one of them be confirmed, before the rest goes."
	case run.Untouched()+run.Counts[revoke.Pending] == 0:
		return "Everybody was called. Reading back whether Entra has recorded it."
	}
	switch done := 4 * finals(run.Counts) / max(run.Total, 1); {
	case done >= 3:
		return "Going on: more than three quarters are done."
	case done == 2:
		return "Going on: more than half is done."
	case done == 1:
		return "Going on: more than a quarter is done."
	default:
		return "Going on."
	}
}

// stoppedBy says who paused a run, and when; "" when the ledger does not tell.
func stoppedBy(v manyView) string {
	e := v.stopped
	if e == nil || e.Operator == nil {
		return ""
	}
	at, _ := audit.ParseTime(e.Time) // written by us
	s := "Paused by " + orElse(e.Operator.UPN, e.Operator.OID) + ", " + showTime(at, v.now).UTC
	if e.Detail["cause"] != "" {
		s += ": " + e.Detail["cause"]
	}
	return s + "."
}

func pauseStatus(p revoke.Pause) string {
	switch p {
	case revoke.PauseNeedSignIn:
		return "Microsoft asks its operator to sign in again."
	case revoke.PauseNeedRole:
		return "Microsoft refused many in a row who were expected to be allowed."
	case revoke.PauseCanary:
		return "The first people were called, and none of them was confirmed."
	case revoke.PauseStale:
		return "Nothing happened for more than two hours."
	case revoke.PauseOperator, revoke.NotPaused:
	}
	return "Somebody paused it."
}

// proven says what is certain once a run has ended.
func proven(run revoke.Run) string {
	confirmed := run.Counts[revoke.Confirmed]
	switch {
	case confirmed == run.Total:
		return "Everybody is proven cut off."
	case confirmed == 0:
		return "Nobody is proven cut off."
	default:
		return thousands(confirmed) + " of " + thousands(run.Total) + " are proven cut off; " + thousands(run.Total-confirmed) + " are not."
	}
}

func neverCalled(run revoke.Run) string {
	if n := run.Untouched(); n > 0 {
		return " " + people(n) + " never called: their sessions live on."
	}
	return ""
}

// statesInOrder are the outcomes in the order in which pages show them.
func statesInOrder() []revoke.State {
	return []revoke.State{
		revoke.Confirmed, revoke.Accepted, revoke.Attempting, revoke.Pending, revoke.Refused, revoke.Failed, revoke.Unconfirmed,
		revoke.NotCovered, revoke.Skipped, revoke.Cancelled,
	}
}

func stateWords(s revoke.State) (string, templates.Tone) {
	switch s {
	case revoke.Confirmed:
		return "confirmed", templates.ToneOK
	case revoke.Accepted:
		return "accepted, reading back", templates.ToneOn
	case revoke.Attempting:
		return "being called", templates.ToneOn
	case revoke.Pending:
		return "to be tried again", templates.ToneNone
	case revoke.Refused, revoke.Failed:
		return string(s), templates.ToneNo
	case revoke.Unconfirmed, revoke.NotCovered:
		return string(s), templates.ToneWarn
	case revoke.Skipped, revoke.Cancelled:
	}
	return string(s), templates.ToneNone
}

// listOf is the list that shows a state.
func listOf(s revoke.State) string {
	switch s {
	case revoke.Accepted, revoke.Attempting, revoke.Pending:
		return showOpen
	default:
		return string(s)
	}
}

// outcomeCounts are how many stand where, each with the list of them.
func outcomeCounts(v manyView) []templates.Count {
	var out []templates.Count
	add := func(n int, words string, tone templates.Tone, show string) {
		f := runFilter{show: show, after: -1}
		out = append(out, templates.Count{
			Value: thousands(n), N: n, Label: words, Tone: tone, Href: f.href(v.run.ID) + "#people", Current: v.filter.show == show,
		})
	}
	for _, state := range statesInOrder() {
		if n := v.run.Counts[state]; n > 0 || state == revoke.Confirmed {
			words, tone := stateWords(state)
			add(n, words, tone, listOf(state))
		}
	}
	if n := v.run.Untouched(); n > 0 {
		words := "not called yet"
		if v.over() {
			words = "never called"
		}
		add(n, words, templates.ToneNone, showWaiting)
	}
	if n := leftStandingCount(v.list); n > 0 {
		out = append(out, leftOutCount(v, n))
	}
	return out
}

// leftOutCount is how many people the list left out, with their page for those who may open it.
func leftOutCount(v manyView, n int) templates.Count {
	c := templates.Count{Value: thousands(n), Label: "left out of the plan"}
	if v.may("plan") {
		c.Href = planFilter{left: true, after: -1}.href(v.run.Preview)
	}
	return c
}

// rateSpan is how far back the rate looks.
const rateSpan = 6 * time.Second

// callRate is how many calls a second a run made lately, and not before since: a pause in between is no slowness; 0
// when nothing is known.
func callRate(samples []revoke.Sample, since, now time.Time) float64 {
	samples = slices.DeleteFunc(slices.Clone(samples), func(x revoke.Sample) bool { return x.At.Before(since) })
	if len(samples) < 2 {
		return 0
	}
	last := samples[len(samples)-1]
	if now.Sub(last.At) > time.Minute {
		return 0
	}
	first := samples[0]
	for _, x := range samples {
		if last.At.Sub(x.At) < rateSpan {
			break
		}
		first = x
	}
	span := last.At.Sub(first.At).Seconds()
	if span <= 0 {
		return 0
	}
	return float64(last.Begun-first.Begun) / span
}

// speed is how long a run still takes, and how fast it goes.
func speed(v manyView) []templates.Count {
	left := v.run.Untouched() + v.run.Counts[revoke.Pending]
	if v.run.State != revoke.RunRunning || v.run.Wish != revoke.NoWish || v.quota == nil || left == 0 {
		return nil
	}
	d := v.quota.Left(v.now, left)
	label := "left, by Microsoft's quota"
	if perSecond := callRate(v.samples, v.resumed, v.now); perSecond > 0 {
		d = max(d, time.Duration(float64(left)/perSecond*float64(time.Second)))
		label = "left; lately " + perSecondWords(perSecond)
	}
	return []templates.Count{{Value: "about " + duration(max(d, time.Second)), Label: label}}
}

func perSecondWords(rate float64) string {
	if rate >= 100 {
		return thousands(int(rate+0.5)) + "/s"
	}
	return fmt.Sprintf("%.1f/s", rate)
}

// bound says which limit keeps a run from going faster, in plain words.
func bound(v manyView) string {
	if v.run.State != revoke.RunRunning {
		return ""
	}
	var s string
	switch v.run.Limit {
	case revoke.LimitBucket:
		s = "What limits it: Microsoft's write quota for this app" + quotaWords(v.quota) + ". All runs of this console share it."
	case revoke.LimitApp:
		s = "What limits it: Microsoft asked this app to slow down. It goes on slower and gets faster again by itself."
	case revoke.LimitTenant:
		s = "What limits it: Microsoft's limit for the whole tenant, which other apps use up too. It is not this console alone; the run goes on as there is room."
	case revoke.LimitCanary:
		s = "What limits it: the first 20 must answer and one of them be confirmed, before the rest is called."
	case revoke.LimitFlight:
		s = "What limits it: how many calls may be under way at the same time."
	case revoke.LimitNone:
	}
	if v.quota != nil && v.quota.Hold.After(v.now) {
		s = joinNonEmpty(" ", s, "Microsoft asked to wait until "+v.quota.Hold.UTC().Format("15:04:05 UTC")+".")
	}
	return s
}

func quotaWords(q *revoke.Quota) string {
	if q == nil {
		return ""
	}
	return ", " + thousands(int(q.Burst)) + " calls in 150 s"
}

// manyNotes say why a run stands still, and the way on.
func manyNotes(v manyView) []templates.Note {
	if v.run.State != revoke.RunPaused {
		return nil
	}
	who := orElse(v.run.Operator.UPN, v.run.Operator.OID)
	n := templates.Note{Title: "To go on"}
	switch v.run.Pause {
	case revoke.PauseNeedSignIn:
		n.Text = "Sign in again, then press Continue. Nobody was skipped."
		n.Link = templates.Link{Label: "Sign in again", Href: v.signIn}
		if v.mine() && v.signedIn.After(lastMoved(v)) {
			n = templates.Note{Tone: templates.ToneOK, Title: "You have signed in again", Text: "Press Continue, and the run goes on."}
		}
	case revoke.PauseNeedRole:
		n.Text = "A role of yours may have ended, such as an activation in Privileged Identity Management. Activate it again, then press Continue. Those who were refused can be tried again at the end."
	case revoke.PauseCanary:
		n.Text = "Look at the rows below before you press Continue: it calls everybody else without this safeguard."
	case revoke.PauseStale:
		n.Text = "Much may have changed since. Look at the list of those not called yet, or expand the scope again; then press Continue, or cancel the rest."
	case revoke.PauseOperator, revoke.NotPaused:
		n.Text = "Press Continue."
	}
	if !v.mine() {
		n.Link = templates.Link{}
		n.Text = "Only " + who + " can continue this run, because it acts with their rights. You may cancel the rest and plan those people again yourself."
		if !v.may("run.cancel") {
			n.Text = "Only " + who + " can continue this run, because it acts with their rights."
		}
	}
	n.Text += " A run that stands still is cancelled after 24 hours."
	return []templates.Note{n}
}

// lastMoved is when the run's worker last kept a sample of its progress.
func lastMoved(v manyView) time.Time {
	if len(v.samples) == 0 {
		return v.run.CreatedAt
	}
	return v.samples[len(v.samples)-1].At
}

// manyActions are the buttons, for those who may press them.
func manyActions(v manyView) []templates.RunAction {
	href := "/runs/" + string(v.run.ID)
	var out []templates.RunAction
	running := v.run.State == revoke.RunRunning
	if v.run.State == revoke.RunPaused && v.mine() && v.may("run.resume") {
		out = append(out, templates.RunAction{Label: "Continue", Action: href + "/resume", Primary: true, Busy: "Continuing…"})
	}
	if running && v.run.Wish == revoke.NoWish && v.may("run.pause") {
		out = append(out, templates.RunAction{
			Label: "Pause", Action: href + "/pause", Busy: "Pausing…", Yes: "Pause the run",
			Confirm: "Nobody new is called until its operator continues it. Calls that were made get their outcome first.",
		})
	}
	if running && v.run.Wish == revoke.WishPause && v.may("run.pause") {
		out = append(out, templates.RunAction{
			Label: "Do not pause", Action: href + "/pause", Busy: "Going on…", Hidden: []templates.Hidden{{Name: templates.FieldTakeBack, Value: "yes"}},
		})
	}
	if (running && v.run.Wish != revoke.WishCancel || v.run.State == revoke.RunPaused) && v.may("run.cancel") {
		out = append(out, templates.RunAction{
			Label: "Cancel the rest", Action: href + "/cancel", Busy: "Cancelling…", Yes: "Cancel the rest", Confirm: cancelWords(v.run),
		})
	}
	return out
}

func cancelWords(run revoke.Run) string {
	s := "What was done stays done, and cannot be undone. A cancelled run does not go on; the others can be planned again."
	if n := run.Untouched(); n > 0 {
		s = people(n) + oneOf(n, " is", " are") + " not called any more: " + oneOf(n, "the sessions live", "their sessions live") + " on. " + s
	}
	return s
}

// manyClock is the honest clock for many people: its times are the latest ones.
func manyClock(v manyView) templates.Clock {
	c := templates.Clock{ExchangeOnly: exchangeOnly(v.cloud)}
	confirmed := v.run.Counts[revoke.Confirmed]
	last := lastConfirmed(v.samples)
	if confirmed == 0 || last.IsZero() {
		return c
	}
	c.People = people(confirmed)
	c.Recorded = showTime(last, v.now)
	c.Until, c.UntilNoCA = clockTime(last.Add(90*time.Minute)), clockTime(last.Add(2*time.Hour))
	return c
}

// lastConfirmed is when the last person was seen to be confirmed, on our clock: no stamp is later.
func lastConfirmed(samples []revoke.Sample) (at time.Time) {
	n := 0
	for _, x := range samples {
		if x.Confirmed > n {
			n, at = x.Confirmed, x.At
		}
	}
	return at
}

// What the two digests of a plan are.
const (
	listDigestMeans = "SHA-256 of whom, in which order: the plan's page shows the same"
	planDigestMeans = "SHA-256 of what was confirmed: list, scope, options, answers, reason"
)

func manyEvidence(v manyView) []templates.Fact {
	run := v.run
	mono := func(text string) templates.Value { return templates.Value{Text: text, Mono: true, Copy: true} }
	plan, list, digest := mono(string(run.Preview)), mono(v.list.ListDigest), mono(run.Digest)
	if v.may("plan") {
		plan.Href = "/plans/" + string(run.Preview)
	}
	list.Detail, digest.Detail = listDigestMeans, planDigestMeans
	facts := []templates.Fact{{Label: "Run", Value: mono(string(run.ID))}, {Label: "Plan", Value: plan}}
	if v.list.ListDigest != "" {
		facts = append(facts, templates.Fact{Label: "List digest", Value: list})
	}
	facts = append(facts, templates.Fact{Label: "Plan digest", Value: digest})
	if run.Parent != "" {
		facts = append(facts, templates.Fact{Label: "Tries again", Value: templates.Value{Text: "people of an earlier run", Href: "/runs/" + string(run.Parent)}})
	}
	return append(facts, templates.Fact{Label: "Ledger events", Value: templates.Value{Text: thousands(run.Events)}})
}

// newChart draws how far a run has come; nil while there is nothing to draw.
func newChart(run revoke.Run, samples []revoke.Sample) *templates.Chart {
	if len(samples) == 0 || run.Total == 0 {
		return nil
	}
	if samples[0].At.After(run.CreatedAt) {
		samples = append([]revoke.Sample{{At: run.CreatedAt}}, samples...)
	}
	first, last := samples[0], samples[len(samples)-1]
	span := last.At.Sub(first.At)
	if span <= 0 {
		return nil
	}
	c := &templates.Chart{
		Top: people(run.Total), From: momentOf(first.At), To: momentOf(last.At),
		InWords: fmt.Sprintf("From %s to %s: %s of %s done, %s of them confirmed.", momentOf(first.At), momentOf(last.At),
			thousands(last.Final), thousands(run.Total), thousands(last.Confirmed)),
	}
	share := func(n int) float64 { return min(1, float64(n)/float64(run.Total)) }
	for _, x := range samples {
		c.Points = append(c.Points, templates.ChartPoint{X: float64(x.At.Sub(first.At)) / float64(span), Done: share(x.Final), Confirmed: share(x.Confirmed)})
	}
	for i := range chartRows {
		x := samples[i*(len(samples)-1)/(chartRows-1)]
		row := templates.ChartRow{Time: momentOf(x.At), Done: thousands(x.Final), Confirmed: thousands(x.Confirmed)}
		if len(c.Rows) == 0 || c.Rows[len(c.Rows)-1] != row {
			c.Rows = append(c.Rows, row)
		}
	}
	return c
}

const chartRows = 8 // of the chart as a table

func momentOf(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// outcomeList is the page of people that the filter chooses.
func outcomeList(v manyView) templates.OutcomeList {
	f, id := v.filter, v.run.ID
	list := templates.OutcomeList{
		Title: listTitle(v), Facets: []templates.Facet{{Label: "Show", Links: outcomeFacets(v)}},
		Filter: templates.TextFilter{Action: "/runs/" + string(id) + "#people", Text: f.text}, Empty: emptyWords(v),
	}
	if f.show != "" {
		list.Filter.Hidden = []templates.Hidden{{Name: templates.FieldShow, Value: f.show}}
	}
	if f.text != "" {
		list.Filter.Clear = runFilter{show: f.show, after: -1}.href(id) + "#people"
		list.Empty = "Nobody here whose name holds “" + f.text + "”."
	}
	if also := standsToo(v); f.show == showStanding && len(also) > 0 {
		list.Facets = append(list.Facets, templates.Facet{Label: "Besides those below", Links: also})
	}
	last, more := -1, false
	if f.show == showWaiting {
		more = len(v.waiting) > outcomesPerPage
		for _, t := range v.waiting[:min(len(v.waiting), outcomesPerPage)] {
			row := outcomeRow(v, revoke.RunTarget{Target: t})
			list.Rows, last = append(list.Rows, row), t.Pos
		}
	} else {
		more = len(v.targets) > outcomesPerPage
		for _, t := range v.targets[:min(len(v.targets), outcomesPerPage)] {
			list.Rows, last = append(list.Rows, outcomeRow(v, t)), t.Pos
		}
		list.WaysOut = waysOut(v.targets)
	}
	if f.after >= 0 {
		list.First = runFilter{show: f.show, text: f.text, after: -1}.href(id) + "#people"
	}
	if more {
		list.Next = runFilter{show: f.show, text: f.text, after: last}.href(id) + "#people"
	}
	if n := len(list.Rows); n > 0 && (more || f.after >= 0) {
		list.Shown = people(n) + " on this page"
	}
	return list
}

func listTitle(v manyView) string {
	switch v.filter.show {
	case showStanding:
		return "What still stands"
	case showOpen:
		return "Under way"
	case showWaiting:
		if v.over() {
			return "Never called"
		}
		return "Not called yet"
	case showAll:
		return "Everybody who was called"
	default:
		words, _ := stateWords(revoke.State(v.filter.show))
		return upperFirst(words)
	}
}

func emptyWords(v manyView) string {
	if v.filter.show != showStanding {
		return "Nobody."
	}
	if v.over() && v.run.Counts[revoke.Confirmed] == v.run.Total {
		return "Nobody: everybody whom this run had is proven cut off."
	}
	return "Nobody of those whose outcome is known."
}

func outcomeFacets(v manyView) []templates.Count {
	c := v.run.Counts
	link := func(label string, n int, show string) templates.Count {
		return templates.Count{Label: label, Value: thousands(n), Href: runFilter{show: show, after: -1}.href(v.run.ID) + "#people", Current: v.filter.show == show}
	}
	out := []templates.Count{link("what still stands", v.stands(), showStanding)}
	for _, s := range append([]revoke.State{revoke.Confirmed}, standingStates()...) {
		if c[s] > 0 {
			out = append(out, link(string(s), c[s], string(s)))
		}
	}
	if n := c.Open(); n > 0 {
		out = append(out, link("under way", n, showOpen))
	}
	if n := v.run.Untouched(); n > 0 {
		label := "not called yet"
		if v.over() {
			label = "never called"
		}
		out = append(out, link(label, n, showWaiting))
	}
	return append(out, link("everybody called", v.run.Next, showAll))
}

// standsToo are those who still stand and have no outcome that a row could show.
func standsToo(v manyView) (out []templates.Count) {
	add := func(n int, label, show string) {
		if n > 0 {
			out = append(out, templates.Count{Value: thousands(n), Label: label, Href: runFilter{show: show, after: -1}.href(v.run.ID) + "#people"})
		}
	}
	add(v.run.Counts.Open(), "under way", showOpen)
	if v.over() {
		add(v.run.Untouched(), "never called", showWaiting)
	} else {
		add(v.run.Untouched(), "not called yet", showWaiting)
	}
	if n := leftStandingCount(v.list); n > 0 {
		out = append(out, leftOutCount(v, n))
	}
	return out
}

// waysOut says once for each outcome on a page what to do about it.
func waysOut(targets []revoke.RunTarget) (out []templates.WayOut) {
	seen := map[revoke.State]bool{}
	for _, t := range targets {
		if text := manyWayOut(t.State); text != "" && !seen[t.State] {
			seen[t.State] = true
			out = append(out, templates.WayOut{Outcome: templates.Outcome(t.State), Text: text})
		}
	}
	return out
}

// manyWayOut is what to do about an outcome of many people that is not a success.
func manyWayOut(s revoke.State) string {
	switch s {
	case revoke.Refused:
		return "Microsoft refused: the sessions live on. A Privileged Authentication Administrator reaches everybody outside of a restricted-management unit: activate that role and try again, or let somebody do it who holds it."
	case revoke.Failed:
		return "Nothing is proven: treat the sessions as alive and try again. A repeat is harmless. If it cannot wait, block the accounts."
	case revoke.Unconfirmed:
		return "Microsoft took the call, and its record does not show it: treat the sessions as alive. Block the accounts, and try again."
	case revoke.NotCovered:
		return "Their home tenant keeps the session. Ask it to revoke, and block or remove these guests here."
	case revoke.Skipped:
		return "Not called, for the cause in each row."
	case revoke.Cancelled:
		return "The run was cancelled before their turn: the sessions live on."
	case revoke.Pending, revoke.Attempting, revoke.Accepted, revoke.Confirmed:
	}
	return ""
}

func outcomeRow(v manyView, t revoke.RunTarget) templates.RunTarget {
	row := templates.RunTarget{
		ID: "t" + strconv.Itoa(t.Pos), Person: templates.Person{Name: t.Name, UPN: t.UPN, ID: t.OID}, Outcome: templates.Outcome(t.State),
		Flags: flagTags(t.Flags), Cause: t.Message,
	}
	if v.may("user") {
		row.Person.Href = "/users/" + t.OID
	}
	if t.Attempt > 1 {
		row.Attempt = "attempt " + strconv.Itoa(t.Attempt)
	}
	if t.Settled != "" {
		row.Cause = joinNonEmpty(" ", row.Cause, upperFirst(t.Settled)+".")
	}
	if t.Attempt == 0 {
		return row
	}
	if v.may("ledger") {
		row.Ledger = templates.Link{Label: "Ledger", Href: "/ledger?run=" + string(v.run.ID) + "&target=" + t.OID}
	}
	row.Evidence = evidenceFacts(t)
	return row
}

// evidenceFacts are the stamps and ids of a target's last attempt.
func evidenceFacts(t revoke.RunTarget) []templates.Fact {
	facts := []templates.Fact{
		{Label: "Attempt, on Graph's clock", Value: templates.Value{Text: stamp(t.T0)}},
		{Label: "Valid from, before", Value: templates.Value{Text: stamp(t.Before)}},
		{Label: "Valid from, read back", Value: templates.Value{Text: stamp(t.After)}},
	}
	for _, f := range []struct{ label, text string }{{"Graph request id", t.RequestID}, {"Our request id", t.ClientRequestID}, {"Graph's code", t.Code}} {
		if f.text != "" {
			facts = append(facts, templates.Fact{Label: f.label, Value: templates.Value{Text: f.text, Mono: true, Copy: true}})
		}
	}
	return facts
}

// retryForm offers to plan again those whom an ended run did not cut off.
func retryForm(v manyView) *templates.RetryForm {
	if !v.over() || !v.may("run.again") {
		return nil
	}
	f := &templates.RetryForm{Action: "/runs/" + string(v.run.ID) + "/again"}
	for _, s := range againStates() {
		n, words := v.run.Counts[s], string(s)
		if s == revoke.Cancelled {
			n, words = n+v.run.Untouched(), "never called"
		}
		if n > 0 {
			f.Outcomes = append(f.Outcomes, templates.Option{Value: string(s), Label: words + " (" + thousands(n) + ")"})
		}
	}
	if len(f.Outcomes) == 0 {
		return nil
	}
	return f
}

func latecomersAction(v manyView) *templates.RunAction {
	if !v.over() || !v.may("run.latecomers") {
		return nil
	}
	return &templates.RunAction{Label: "Look for late-comers", Action: "/runs/" + string(v.run.ID) + "/latecomers", Busy: "Expanding…"}
}

// tally is a run of many in a line: "388 confirmed · 12 refused · 12 to go".
func tally(run revoke.Run) string {
	var parts []string
	for _, s := range statesInOrder() {
		n := run.Counts[s]
		if n == 0 || !s.Final() {
			continue
		}
		parts = append(parts, thousands(n)+" "+string(s))
	}
	open := run.Counts.Open() + run.Untouched()
	switch {
	case open == 0:
	case run.State == revoke.RunCancelled:
		parts = append(parts, thousands(open)+" never called")
	default:
		parts = append(parts, thousands(open)+" to go")
	}
	return strings.Join(parts, " · ")
}
