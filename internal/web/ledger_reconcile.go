package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/fault"
	"evict/internal/operator"
	"evict/web/templates"
)

const (
	reconcileAddress = "/ledger/reconcile"
	maxLogUpload     = 20 << 20 // bytes of the form that brings an export of Entra's log
	reconcileDays    = 7 * 24 * time.Hour
	inputTime        = "2006-01-02T15:04"
)

// Where the rows of a comparison came from, as its event says.
const (
	rowsFetched  = "fetched"
	rowsUploaded = "uploaded"
)

func (s *Server) showReconcile(w http.ResponseWriter, r *http.Request) error {
	page := s.reconcilePage(r)
	q := r.URL.Query() // after a sign-in: what stood in the form before it
	page.Fetch.From, page.Fetch.To = orElse(q.Get(templates.FieldFrom), page.Fetch.From), orElse(q.Get(templates.FieldTo), page.Fetch.To)
	return render(w, r, http.StatusOK, templates.Reconcile(page))
}

// backToReconcile answers whoever loads the address of a result again without its form.
func (*Server) backToReconcile(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, reconcileAddress, http.StatusSeeOther)
	return nil
}

// reconcilePage is the page before anything is compared.
func (s *Server) reconcilePage(r *http.Request) templates.ReconcilePage {
	now := s.Now().UTC()
	page := templates.ReconcilePage{
		Page: s.frame(r, "Compare with Entra"), KQL: reconcileKQL,
		Fetch: templates.WindowForm{
			Action: reconcileAddress + "/fetch", From: now.Add(-reconcileDays).Format(inputTime), To: now.Add(time.Minute).Format(inputTime),
		},
		Upload: templates.WindowForm{Action: reconcileAddress + "/upload"},
	}
	if s.Cloud == "china" { // Microsoft Graph, list directoryAudits: not in the cloud that 21Vianet operates
		page.Fetch.Closed = "Microsoft Graph does not offer this log in the cloud that 21Vianet operates. Download it in the portal, and bring the export."
	}
	return page
}

// reconcileFetched compares with what Microsoft Graph gives. The result is the answer itself: it is too large to keep for
// another request, and asking again changes nothing but that it is recorded again.
func (s *Server) reconcileFetched(w http.ResponseWriter, r *http.Request) error {
	page := s.reconcilePage(r)
	window, ok := readWindow(r, &page.Fetch)
	if ok && window.From.IsZero() {
		ok, page.Fetch.FromError = false, "Say from when, in UTC, like 2026-11-23T14:05."
	}
	if ok && window.To.IsZero() {
		ok, page.Fetch.ToError = false, "Say until when, in UTC, like 2026-11-23T14:05."
	}
	if !ok || page.Fetch.Closed != "" {
		return render(w, r, http.StatusUnprocessableEntity, templates.Reconcile(page))
	}
	if !s.compare.TryLock() {
		return s.unfetched(w, r, page, errComparing())
	}
	defer s.compare.Unlock()
	ctx, cancel := slowly(w, r, compareFor)
	defer cancel()
	window.AsOf = s.Now()
	window.KeptFrom = window.AsOf.Add(-audit.Kept - time.Hour) // the longest span that may be chosen is all kept
	theirs, err := s.fetchRevocations(ctx, at(r).tokens("AuditLog.Read.All"), window)
	if err != nil {
		return s.unfetched(w, r, page, err)
	}
	read := []string{"From Microsoft Graph: " + counted(len(theirs), "row") + " about revocations, those shortly before and after the time included."}
	return s.reconcile(ctx, w, r, page, comparison{
		window: window, theirs: theirs, unread: undated(theirs), source: rowsFetched, read: read,
	})
}

// undated counts the rows that stand in no window, because they have no time.
func undated(rows []audit.Witnessed) (u audit.Unread) {
	for _, row := range rows {
		if row.At.IsZero() {
			u.Revocations++
		}
	}
	return u
}

func errComparing() error {
	e := fault.New(fault.Throttled, "Another comparison is under way; they go one after the other.")
	e.RetryAfter = 10 * time.Second
	return e
}

// readWindow reads from and to. Empty ones stay zero; what makes no sense comes back beside its field.
func readWindow(r *http.Request, f *templates.WindowForm) (audit.Window, bool) {
	f.From, f.To = r.PostFormValue(templates.FieldFrom), r.PostFormValue(templates.FieldTo)
	var win audit.Window
	var err error
	if win.From, err = formTime(f.From); err != nil {
		f.FromError = "This is " + err.Error() + "."
	}
	if win.To, err = formTime(f.To); err != nil {
		f.ToError = "This is " + err.Error() + "."
	}
	if f.FromError == "" && f.ToError == "" && !win.From.IsZero() && !win.To.IsZero() {
		f.ToError = windowError(win)
	}
	return win, f.FromError == "" && f.ToError == ""
}

// windowError says what is wrong with a whole window; "" when nothing is.
func windowError(w audit.Window) string {
	switch span := w.To.Sub(w.From); {
	case span <= 0:
		return "The end lies before the beginning."
	case span > audit.MaxSpan+time.Hour: // the default end is rounded up
		return "Compare 30 days at most at once."
	default:
		return ""
	}
}

// fetchRevocations reads Entra's rows of the window, and those beside it that may belong to what is inside.
func (s *Server) fetchRevocations(ctx context.Context, t operator.TokenSource, w audit.Window) ([]audit.Witnessed, error) {
	var theirs []audit.Witnessed
	err := s.Witness.Revocations(ctx, t, w.From.Add(-audit.HandSlack), w.To.Add(audit.HandSlack), func(page []audit.Witnessed) error {
		if theirs = append(theirs, page...); len(theirs) > audit.MaxClaims {
			return audit.ErrTooMany
		}
		return nil
	})
	return theirs, err
}

// unfetched answers with why Entra's log could not be read, and the way out.
func (s *Server) unfetched(w http.ResponseWriter, r *http.Request, page templates.ReconcilePage, err error) error {
	if reauth, ok := errors.AsType[*operator.ReauthError](err); ok {
		back := url.Values{templates.FieldFrom: {page.Fetch.From}, templates.FieldTo: {page.Fetch.To}}
		page.SignIn = s.signInAgain(r, reconcileAddress+"?"+back.Encode(), reauth)
		return render(w, r, http.StatusUnauthorized, templates.Reconcile(page))
	}
	if errors.Is(err, audit.ErrTooMany) {
		page.Fetch.ToError = tooManyWords
		return render(w, r, http.StatusUnprocessableEntity, templates.Reconcile(page))
	}
	if call, ok := errors.AsType[*directory.CallError](err); ok && call.Status == http.StatusForbidden {
		page.Fault = refusedLog(call)
		return render(w, r, http.StatusForbidden, templates.Reconcile(page))
	}
	kind, e := classify(err)
	if kind != fault.Throttled && kind != fault.Unavailable {
		return err
	}
	s.logFailure(r, kind, err)
	retryAfter(w, e)
	page.Fault = &templates.Fault{
		Title: "Entra’s log was not read", What: orElse(e.Message, "It could not be reached.") + " Nothing was compared.",
		WhatToDo: "Your times stand in the form: try again" + afterWait(e.RetryAfter) + ".", RequestID: at(r).requestID,
	}
	return render(w, r, statusOf[kind], templates.Reconcile(page))
}

func afterWait(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return " in " + wait(d)
}

const tooManyWords = "This time has more than 250,000 revocations. Compare a shorter one."

// refusedLog puts a refusal of the log into words. The codes are those of Microsoft Graph's reporting API.
func refusedLog(call *directory.CallError) *templates.Fault {
	f := &templates.Fault{
		Title: "Microsoft does not let you read its log", What: "Microsoft Graph refused: " + orElse(call.Message, call.Code) + ".",
		WhatToDo: "Or have somebody who may read the log download it, and bring the export here.", RequestID: call.RequestID,
	}
	switch call.Code {
	case "Authentication_RequestFromUnsupportedUserRole":
		f.Why = "The permission is not enough: Entra also wants the directory role Reports Reader, Security Reader or Security Administrator of whoever asks. Ask for one, or activate it, and sign in again: a token that is older than the role does not have it."
	case "Authentication_RequestFromNonPremiumTenantOrB2CTenant":
		f.Why = "Reading the log by Microsoft Graph needs Microsoft Entra ID P1 or P2, which this tenant does not have. The admin center shows the log of the last seven days without it, and lets you download it."
		f.WhatToDo = "Download it there, and bring the export here."
	default:
		f.Why = "An administrator must consent to AuditLog.Read.All for this application. Some of Microsoft’s pages ask for Directory.Read.All beside it; this console does not ask for that."
	}
	return f
}

// reconcileUploaded compares with an export that somebody brings. See alone: no other comparison is under way.
func (s *Server) reconcileUploaded(w http.ResponseWriter, r *http.Request) error {
	page := s.reconcilePage(r)
	window, ok := readWindow(r, &page.Upload)
	upload, file, why := readLog(r)
	if page.Upload.FileError = why; ok && why == "" {
		window = uploadWindow(window, upload, s.Now())
		page.Upload.ToError = windowError(window)
	}
	if !ok || page.Upload.FileError != "" || page.Upload.ToError != "" {
		return render(w, r, http.StatusUnprocessableEntity, templates.Reconcile(page))
	}
	ctx, cancel := slowly(w, r, compareFor)
	defer cancel()
	return s.reconcile(ctx, w, r, page, comparison{
		window: window, theirs: upload.Witnessed, unread: upload.Unread, source: rowsUploaded, read: uploadWords(upload), file: file,
	})
}

// logFile is what tells an export that somebody brought from another one.
type logFile struct {
	name   string // as it was sent: short and printable
	sha256 string // in hexadecimal digits
}

// longestName is how much of a file's name is kept, in bytes.
const longestName = 120

func fileName(sent string) string {
	return cut(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(sent, "")), longestName)
}

// readLog reads the file of the form, or says why it cannot be used.
func readLog(r *http.Request) (upload audit.Upload, read logFile, why string) {
	file, head, err := r.FormFile(templates.FieldFile)
	if err != nil {
		return upload, read, "Choose the file that you downloaded."
	}
	defer file.Close()
	sum := sha256.New()
	if _, err = io.Copy(sum, file); err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return upload, read, "The file could not be read."
	}
	read = logFile{name: fileName(head.Filename), sha256: hex.EncodeToString(sum.Sum(nil))}
	upload, err = audit.ReadUpload(file)
	bad, unusable := errors.AsType[*audit.UnreadableError](err)
	switch {
	case unusable:
		return upload, read, bad.Why
	case errors.Is(err, audit.ErrTooMany):
		return upload, read, "The file has more than 250,000 rows. Export a shorter time, or this activity alone."
	case err != nil:
		return upload, read, "The file could not be read."
	case upload.First.IsZero():
		return upload, read, "The file has no row with a time."
	default:
		return upload, read, ""
	}
}

// uploadWindow fills in what was left open, from the oldest to the newest row. When the export was made is not known: at the
// window's end, or before it when that lies ahead.
func uploadWindow(w audit.Window, u audit.Upload, now time.Time) audit.Window {
	if w.From.IsZero() {
		w.From = u.First
	}
	if w.To.IsZero() {
		w.To = u.Last.Truncate(time.Second).Add(time.Second)
	}
	if w.AsOf = w.To; now.Before(w.To) {
		w.AsOf = now
	}
	return w
}

// uploadWords account for every row of a file.
func uploadWords(u audit.Upload) []string {
	words := counted(u.Rows, "row") + " read: " + thousands(len(u.Witnessed)) + " about revocations"
	for _, part := range []struct {
		n    int
		what string
	}{{u.Other, "of other activities"}, {u.NotDone, "about revocations that Entra says failed"}, {u.Unread.All(), "could not be read"}} {
		if part.n > 0 {
			words += ", " + thousands(part.n) + " " + part.what
		}
	}
	lines := append([]string{words + "."}, u.Problems...)
	if more := u.Unread.All() - len(u.Problems); more > 0 {
		lines = append(lines, "And "+thousands(more)+" more.")
	}
	return lines
}

// comparison is what is to be compared.
type comparison struct {
	window audit.Window
	theirs []audit.Witnessed
	unread audit.Unread
	source string
	read   []string
	file   logFile // that was brought
	size   int64   // of the ledger

	rollbacks []rollback // that cut off some of the time
}

// form is where the page says what is wrong with the time that was asked for.
func (c comparison) form(page *templates.ReconcilePage) *string {
	if c.source == rowsUploaded {
		return &page.Upload.ToError
	}
	return &page.Fetch.ToError
}

// reconcile compares, records that it was done, and answers with the result: as a page, or as a file.
func (s *Server) reconcile(ctx context.Context, w http.ResponseWriter, r *http.Request, page templates.ReconcilePage, c comparison) error {
	head, err := s.Trail.Head(ctx)
	if err != nil {
		return unreadLedger(err)
	}
	c.size = head.Size
	ours, err := audit.Claims(ctx, s.Trail, c.size, c.window)
	if errors.Is(err, audit.ErrTooMany) {
		*c.form(&page) = tooManyWords
		return render(w, r, http.StatusUnprocessableEntity, templates.Reconcile(page))
	}
	if err != nil {
		return unreadLedger(err)
	}
	if c.rollbacks, err = s.rollbacksIn(ctx, c.window); err != nil {
		return unreadLedger(err)
	}
	first, err := s.Trail.Scan(ctx, audit.Query{}, 0, c.size, 1)
	if err != nil {
		return unreadLedger(err)
	}
	found := audit.Reconcile(ours, c.theirs, c.window)
	found.Unread = c.unread
	if err := s.Ledger.Append(ctx, s.reconciled(r, c, found)); err != nil {
		return unavailable("The ledger could not be written, so the comparison is not recorded, and is not shown.", err)
	}
	page.Result = newReconcileResult(found, c, s.Now())
	page.Result.Notes = append(ledgerNotes(c, first, head.Removed), keptNotes(found, c)...)
	if r.PostFormValue(templates.FieldFormat) == string(audit.CSV) {
		return s.sendReconciliation(ctx, w, r, c, found, page.Result)
	}
	page.Result.Recorded = "/ledger?kind=" + string(audit.Reconciled)
	return render(w, r, http.StatusOK, templates.Reconcile(page))
}

// reconciled is the event of a comparison.
func (s *Server) reconciled(r *http.Request, c comparison, found audit.Reconciliation) audit.Event {
	e := audit.Event{
		ID: s.NewID(), Time: audit.FormatTime(s.Now()), Kind: audit.Reconciled, Cloud: s.Cloud, Tenant: s.Tenant, Outcome: found.Outcome(),
		Operator: auditPerson(at(r).who),
		Detail: map[string]string{
			"from": audit.FormatTime(c.window.From), "to": audit.FormatTime(c.window.To), "source": c.source,
			"rows": strconv.Itoa(found.Rows), "matched": strconv.Itoa(len(found.Matched)), "missing": strconv.Itoa(len(found.Unwitness)),
			"early": strconv.Itoa(len(found.Early)), "foreign": strconv.Itoa(len(found.Foreign)), "own": strconv.Itoa(len(found.Own)),
			"sync": strconv.Itoa(len(found.Sync)), "named": strconv.Itoa(len(found.Named)), "old": strconv.Itoa(len(found.Old)), "unsure": strconv.Itoa(len(found.Unsure)),
			"unreadable": strconv.Itoa(found.Unread.All()),
		},
	}
	if c.file.sha256 != "" {
		e.Detail["file"], e.Detail["sha256"] = c.file.name, c.file.sha256
	}
	return e
}
