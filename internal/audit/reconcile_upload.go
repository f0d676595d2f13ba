package audit

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Upload is what a file of Entra's audit log holds. Every row is accounted for:
// Rows = Witnessed + Other + NotDone + Unreadable.
type Upload struct {
	Witnessed   []Witnessed
	Rows        int
	Other       int       // of other activities
	NotDone     int       // revocations that Entra says failed
	Unreadable  int       // without what a comparison needs
	Problems    []string  // of the first of those: "Line 17: it names no target"
	First, Last time.Time // of all rows, whatever their activity; zero without any
}

// maxProblems is how many unreadable rows are told one by one.
const maxProblems = 20

// UnreadableError says why a file cannot be used at all. Half of a log proves nothing, so a damaged one is not read.
type UnreadableError struct{ Why string }

// Error is the sentence for the person.
func (e *UnreadableError) Error() string { return e.Why }

func unreadableFile(format string, args ...any) error {
	return &UnreadableError{fmt.Sprintf(format, args...)}
}

// ReadUpload reads the audit log as the Entra admin center or Microsoft Graph gives it: CSV, a JSON array, or an object
// with the array "value". It is a stranger's file. The error is an *UnreadableError, ErrTooMany, or r's.
func ReadUpload(r io.Reader) (Upload, error) {
	in := bufio.NewReader(r)
	if mark, _ := in.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = in.Discard(3)
	}
	head, err := in.Peek(1024)
	if err != nil && !errors.Is(err, io.EOF) {
		return Upload{}, err
	}
	start := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case len(start) == 0:
		return Upload{}, unreadableFile("The file is empty.")
	case bytes.IndexByte(head, 0) >= 0:
		return Upload{}, unreadableFile("This file is no text in UTF-8. Give it as it was downloaded, as CSV or JSON.")
	case start[0] == '[' || start[0] == '{':
		return readJSONUpload(in)
	default:
		return readCSVUpload(in)
	}
}

// uploadRow is one row of either form, before it is judged.
type uploadRow struct {
	time, activity, result string
	w                      Witnessed
}

// take judges a row. Where names it for a person.
func (u *Upload) take(where string, row uploadRow, why string) error {
	if u.Rows++; u.Rows > MaxClaims {
		return ErrTooMany
	}
	row.w = row.w.tidy()
	at, ok := uploadTime(row.time)
	if ok {
		if u.First.IsZero() || at.Before(u.First) {
			u.First = at
		}
		if at.After(u.Last) {
			u.Last = at
		}
	}
	// Microsoft's unified audit log writes the name with a full stop at its end.
	revocation := strings.EqualFold(strings.TrimSuffix(strings.TrimSpace(row.activity), "."), RevocationActivity)
	switch {
	case why != "":
	case row.activity == "":
		why = "it names no activity"
	case !revocation:
		u.Other++
		return nil
	case row.result != "" && !strings.EqualFold(row.result, "success"):
		u.NotDone++
		return nil
	case !ok:
		why = "its time is not written as 2026-11-23T14:05:00Z"
	case row.w.TargetOID == "":
		why = "it names no target by object id"
	}
	if why == "" {
		row.w.At = at
		u.Witnessed = append(u.Witnessed, row.w)
		return nil
	}
	if u.Unreadable++; len(u.Problems) < maxProblems {
		u.Problems = append(u.Problems, where+": "+why)
	}
	return nil
}

// uploadTime reads a time of either form. One without a zone is UTC, as the portal's column says.
func uploadTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05"} { // fractions are read too
		if t, err := time.Parse(layout, strings.TrimSpace(s)); err == nil && t.Year() > 2000 && t.Year() < 2200 {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// longestName bounds what is kept of a text: a sign-in name has at most 113 characters, a display name 256.
const longestName = 320

// tidy makes the texts of a row short and printable, and its ids comparable.
func (w Witnessed) tidy() Witnessed {
	for _, id := range []*string{&w.ByOID, &w.TargetOID} {
		*id = strings.ToLower(*id)
	}
	for _, s := range []*string{
		&w.ID, &w.Correlation, &w.ByOID, &w.ByUPN, &w.ByApp, &w.TargetOID, &w.TargetUPN, &w.NewValue, &w.Client,
	} {
		*s = tidyText(*s)
	}
	return w
}

func tidyText(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "")))
	if r := []rune(s); len(r) > longestName {
		return string(r[:longestName])
	}
	return strings.Clone(s) // a cell shares the memory of its whole line
}

// jsonAudit is a row as Graph's directoryAudit has it; the portal's JSON has the same names.
type jsonAudit struct {
	ID          string `json:"id"`
	Time        string `json:"activityDateTime"`
	Activity    string `json:"activityDisplayName"`
	Result      string `json:"result"`
	Correlation string `json:"correlationId"`
	InitiatedBy struct {
		User *struct {
			ID  string `json:"id"`
			UPN string `json:"userPrincipalName"`
		} `json:"user"`
		App *struct {
			Name string `json:"displayName"`
		} `json:"app"`
	} `json:"initiatedBy"`
	Targets []struct {
		ID         string `json:"id"`
		UPN        string `json:"userPrincipalName"`
		Properties []struct {
			Name string `json:"displayName"`
			New  string `json:"newValue"`
		} `json:"modifiedProperties"`
	} `json:"targetResources"`
}

func (a jsonAudit) row() uploadRow {
	row := uploadRow{time: a.Time, activity: a.Activity, result: a.Result, w: Witnessed{ID: a.ID, Correlation: a.Correlation}}
	if u := a.InitiatedBy.User; u != nil {
		row.w.ByOID, row.w.ByUPN = u.ID, u.UPN
	}
	if app := a.InitiatedBy.App; app != nil && row.w.ByOID == "" {
		row.w.ByApp = app.Name
	}
	if len(a.Targets) > 0 {
		t := a.Targets[0]
		row.w.TargetOID, row.w.TargetUPN = t.ID, t.UPN
		for _, p := range t.Properties {
			row.w.property(p.Name, p.New)
		}
	}
	return row
}

// property takes in a modified property. Values come as JSON inside a string: ["2026-11-23T14:05:00Z"], "DirectorySync".
func (w *Witnessed) property(name, value string) {
	value = strings.Trim(value, `[]" `)
	switch strings.TrimSpace(name) {
	case "StsRefreshTokensValidFrom":
		w.NewValue = value
	case "Action Client Name":
		w.Client = value
	}
}

// NewWitnessed is a row of Graph's, made printable: properties are pairs of name and new value.
func NewWitnessed(w Witnessed, properties [][2]string) Witnessed {
	for _, p := range properties {
		w.property(p[0], p[1])
	}
	return w.tidy()
}

func readJSONUpload(in io.Reader) (Upload, error) {
	var u Upload
	d := json.NewDecoder(in)
	found, err := u.jsonRows(d)
	if err == nil && found {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the end")
		}
	}
	switch {
	case errors.Is(err, ErrTooMany):
		return Upload{}, err
	case err != nil:
		return Upload{}, unreadableFile("This JSON is damaged near byte %d, so nothing of it was used: a part of a log proves nothing.", d.InputOffset())
	case !found:
		return Upload{}, unreadableFile(`This JSON holds no rows: it should be a list, or have a list called "value".`)
	}
	return u, nil
}

// jsonRows reads the list: the document itself, or its member "value".
func (u *Upload) jsonRows(d *json.Decoder) (found bool, err error) {
	open, err := d.Token()
	if err != nil {
		return false, err
	}
	if open == json.Delim('[') {
		return true, u.jsonList(d)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false, err
		}
		if name != "value" || found {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return false, err
			}
			continue
		}
		if open, err := d.Token(); err != nil || open != json.Delim('[') {
			return false, errors.Join(err, errors.New("value is no list"))
		}
		if err := u.jsonList(d); err != nil {
			return false, err
		}
		found = true
	}
	_, err = d.Token()
	return found, err
}

// jsonList reads rows up to the end of the list that has been opened.
func (u *Upload) jsonList(d *json.Decoder) error {
	for n := 1; d.More(); n++ {
		var a jsonAudit
		why, err := "", d.Decode(&a)
		if _, odd := errors.AsType[*json.UnmarshalTypeError](err); odd { // the rest of the list can be read
			why, err = "its fields are not those of an audit log", nil
		}
		if err != nil {
			return err
		}
		if err := u.take(fmt.Sprintf("Row %d", n), a.row(), why); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// Columns of the portal's CSV, as csvName makes them. The download has them in English only when the portal is.
const (
	csvTarget   = "target%d"
	csvProperty = "target1modifiedproperty%d"
	csvTargets  = 3
	csvChanges  = 5
)

// csvColumns finds cells by the names of their columns.
type csvColumns struct {
	at  map[string]int
	row []string
}

// csvName is a column's name without regard to case, spaces and punctuation: "Date (UTC)" is "dateutc".
func csvName(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// cell is the first of these columns that the row fills.
func (c csvColumns) cell(names ...string) string {
	for _, n := range names {
		if i, ok := c.at[n]; ok && i < len(c.row) && strings.TrimSpace(c.row[i]) != "" {
			return strings.TrimSpace(c.row[i])
		}
	}
	return ""
}

func readCSVUpload(in io.Reader) (Upload, error) {
	r := csv.NewReader(in)
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	head, err := r.Read()
	if err != nil {
		return Upload{}, damagedCSV(err)
	}
	c := csvColumns{at: map[string]int{}}
	for i, name := range head {
		if _, twice := c.at[csvName(name)]; !twice {
			c.at[csvName(name)] = i
		}
	}
	if err := c.complete(); err != nil {
		return Upload{}, err
	}
	var u Upload
	for {
		c.row, err = r.Read()
		if errors.Is(err, io.EOF) {
			return u, nil
		}
		if err != nil {
			return Upload{}, damagedCSV(err)
		}
		line, _ := r.FieldPos(0)
		if err := u.take(fmt.Sprintf("Line %d", line), c.uploadRow(), ""); err != nil {
			return Upload{}, err
		}
	}
}

func damagedCSV(err error) error {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return unreadableFile("This CSV is damaged in line %d, so nothing of it was used: a part of a log proves nothing.", e.Line)
	}
	return err
}

// complete reports which columns are missing that a comparison cannot do without.
func (c csvColumns) complete() error {
	var missing []string
	for _, need := range [][]string{
		{"Date (UTC)", "Date", "activityDateTime"}, {"Activity", "activityDisplayName"}, {"ActorObjectId"}, {"Target1ObjectId"},
	} {
		if !slices.ContainsFunc(need, func(name string) bool { _, ok := c.at[csvName(name)]; return ok }) {
			missing = append(missing, need[0])
		}
	}
	if len(missing) > 0 {
		return unreadableFile("This is not the audit log's CSV: the columns %s are missing. The portal names them in its own language; set it to English and download again, or take JSON.",
			strings.Join(missing, ", "))
	}
	return nil
}

func (c csvColumns) uploadRow() uploadRow {
	row := uploadRow{
		time: c.cell("dateutc", "date", "activitydatetime"), activity: c.cell("activity", "activitydisplayname"), result: c.cell("result"),
		w: Witnessed{ID: c.cell("id"), Correlation: c.cell("correlationid"), ByOID: c.cell("actorobjectid"), ByUPN: c.cell("actoruserprincipalname")},
	}
	if strings.EqualFold(c.cell("actortype"), "Application") || row.w.ByOID == "" && row.w.ByUPN == "" {
		row.w.ByApp = c.cell("actordisplayname", "actorserviceprincipalname")
		row.w.ByOID, row.w.ByUPN = "", ""
	}
	for n := 1; n <= csvTargets && row.w.TargetOID == ""; n++ {
		target := fmt.Sprintf(csvTarget, n)
		row.w.TargetOID, row.w.TargetUPN = c.cell(target+"objectid"), c.cell(target+"userprincipalname")
	}
	for n := 1; n <= csvChanges; n++ {
		property := fmt.Sprintf(csvProperty, n)
		row.w.property(c.cell(property+"name"), c.cell(property+"newvalue"))
	}
	return row
}
