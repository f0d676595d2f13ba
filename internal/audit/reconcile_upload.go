package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// Upload is what a file of Entra's audit log holds. Every row is accounted for:
// Rows = Witnessed + Other + NotDone + Unread.
type Upload struct {
	Witnessed   []Witnessed
	Rows        int
	Other       int       // of other activities
	NotDone     int       // revocations that Entra says failed
	Unread      Unread    // without what a comparison needs
	Problems    []string  // of the first of those: "Line 17: it names no target"
	First, Last time.Time // of all rows, whatever their activity; zero without any
}

// maxProblems is how many unreadable rows are told one by one.
const maxProblems = 20

// longestRow bounds what is taken apart at a time: the parts of a row take many times its bytes. Rows of the audit log have a
// few thousand.
const longestRow = 256 << 10

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
	switch { // a row that is not understood in full may still say what it is about
	case why != "" && row.activity != "" && !revocation:
		u.Other++
		return nil
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
	if revocation {
		u.Unread.Revocations++
	} else {
		u.Unread.Unknown++
	}
	if len(u.Problems) < maxProblems {
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
	_, said := errors.AsType[*UnreadableError](err)
	switch {
	case said, errors.Is(err, ErrTooMany):
		return Upload{}, err
	case err != nil:
		return Upload{}, unreadableFile("This JSON is damaged near byte %d, so nothing of it was used: a part of a log proves nothing.", d.InputOffset())
	case !found:
		return Upload{}, unreadableFile(`This JSON holds no rows: it should be a list, or have a list called "value".`)
	}
	return u, nil
}

// errOnePage: Microsoft Graph gives a long list in pages, and every one but the last leads to the next.
var errOnePage = unreadableFile("This is not the whole answer of Microsoft Graph, but only the first page of it, or a later one: its @odata.nextLink leads to more rows. Put the rows of all pages into one list, or let the console read the log.")

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
			var other json.RawMessage
			if err := d.Decode(&other); err != nil {
				return false, err
			}
			if text := string(other); name == "@odata.nextLink" && text != "null" && text != `""` {
				return false, errOnePage
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
		var text json.RawMessage
		if err := d.Decode(&text); err != nil {
			return err
		}
		if len(text) > longestRow {
			return unreadableFile("Row %d is longer than any row of an audit log, so nothing of the file was used.", n)
		}
		var a jsonAudit
		why := ""
		if err := json.Unmarshal(text, &a); err != nil {
			why = "its fields are not those of an audit log"
		}
		if err := u.take(fmt.Sprintf("Row %d", n), a.row(), why); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}
