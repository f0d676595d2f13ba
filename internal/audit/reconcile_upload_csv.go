package audit

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

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

func readCSVUpload(in *bufio.Reader) (Upload, error) {
	begin, _ := in.Peek(1024) // the end of a short file is no error
	if head, _, _ := bytes.Cut(begin, []byte("\n")); bytes.Count(head, []byte(";")) > bytes.Count(head, []byte(",")) {
		return Upload{}, unreadableFile("The columns of this CSV stand between semicolons, as spreadsheets in some languages save it. Bring the file as it was downloaded, with commas.")
	}
	rows := &boundedRows{in: in, line: 1, row: 1}
	r := csv.NewReader(rows)
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	head, err := r.Read()
	if err != nil {
		return Upload{}, damagedCSV(rows, err)
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
			return Upload{}, damagedCSV(rows, err)
		}
		line, _ := r.FieldPos(0)
		if err := u.take(fmt.Sprintf("Line %d", line), c.uploadRow(), ""); err != nil {
			return Upload{}, err
		}
	}
}

// damagedCSV says why reading ended. What cut a row off counts before what the cut looks like.
func damagedCSV(rows *boundedRows, err error) error {
	if rows.err != nil {
		return rows.err
	}
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return unreadableFile("This CSV is damaged in line %d, so nothing of it was used: a part of a log proves nothing.", e.Line)
	}
	return err
}

// mostColumns bounds what is taken apart at a time, as longestRow does. The portal's download has fewer than 100.
const mostColumns = 500

// boundedRows passes CSV on up to the first row that is longer, or has more columns, than a row may. It tells rows apart as
// the parser does, which gives up at the first quote that would make a difference.
type boundedRows struct {
	in            io.Reader
	line, row     int // here, and where the row began
	bytes, commas int // of the row so far
	quoted        bool
	err           error
}

// Read is io.Reader's.
func (b *boundedRows) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.in.Read(p)
	for _, c := range p[:n] {
		b.bytes++
		switch c {
		case '"':
			b.quoted = !b.quoted
		case ',':
			if !b.quoted {
				b.commas++
			}
		case '\n':
			if b.line++; !b.quoted {
				b.row, b.bytes, b.commas = b.line, 0, 0
			}
		}
		if b.bytes > longestRow || b.commas >= mostColumns {
			b.err = unreadableFile("The row in line %d is longer than any row of an audit log, so nothing of the file was used.", b.row)
			return 0, b.err
		}
	}
	return n, err
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
