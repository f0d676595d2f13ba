package audit_test

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"evict/internal/audit"
)

const (
	// csvHead has the columns of the portal's download that count, and two that do not.
	csvHead = `"Date (UTC)","CorrelationId","Service","Activity","Result","User Agent","ActorType","ActorDisplayName","ActorObjectId","ActorUserPrincipalName","Target1ObjectId","Target1UserPrincipalName","Target1ModifiedProperty1Name","Target1ModifiedProperty1OldValue","Target1ModifiedProperty1NewValue","Target1ModifiedProperty2Name","Target1ModifiedProperty2NewValue"` + "\n"
	csvRow  = `"2026-11-23T14:05:01+00:00","c0","Core Directory","Update StsRefreshTokenValidFrom Timestamp","success","","User","","OP-1","op@x.example","TARGET-1","lena@x.example","StsRefreshTokensValidFrom","[""2026-11-01T00:00:00Z""]","[""2026-11-23T14:05:01Z""]","Action Client Name","""DirectorySync"""` + "\n"
	jsonRow = `{"id":"Directory_1","activityDateTime":"2026-11-23T14:05:01.4637225+00:00","activityDisplayName":"Update StsRefreshTokenValidFrom Timestamp","result":"success","correlationId":"c0","initiatedBy":{"app":null,"user":{"id":"OP-1","userPrincipalName":"op@x.example","ipAddress":"<null>"}},"targetResources":[{"id":"TARGET-1","userPrincipalName":"lena@x.example","modifiedProperties":[{"displayName":"StsRefreshTokensValidFrom","oldValue":null,"newValue":"[\"2026-11-23T14:05:01Z\"]"},{"displayName":"Action Client Name","newValue":"\"DirectorySync\""}]}]}`
)

func TestAnExportIsReadInEveryForm(t *testing.T) {
	t.Parallel()
	want := audit.Witnessed{
		At: time.Date(2026, 11, 23, 14, 5, 1, 0, time.UTC), Correlation: "c0", ByOID: "op-1", ByUPN: "op@x.example",
		TargetOID: "target-1", TargetUPN: "lena@x.example", NewValue: "2026-11-23T14:05:01Z", Client: "DirectorySync",
	}
	for name, text := range map[string]string{
		"CSV": csvHead + csvRow, "CSV with a mark": "\ufeff" + csvHead + csvRow, "CSV of Windows": strings.ReplaceAll(csvHead+csvRow, "\n", "\r\n"),
		"a list": "[" + jsonRow + "]", "a list with a mark": "\ufeff \n[" + jsonRow + "]",
		"Graph's answer": `{"@odata.context":"x","deep":{"a":[1,{}]},"value":[` + jsonRow + `],"@odata.nextLink":null}`,
	} {
		got, err := audit.ReadUpload(strings.NewReader(text))
		if err != nil || got.Rows != 1 || len(got.Witnessed) != 1 {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		w := got.Witnessed[0]
		w.ID, w.At = "", w.At.Truncate(time.Second)
		if w != want {
			t.Errorf("%s: got\n%+v, want\n%+v", name, w, want)
		}
	}
}

func TestEveryRowOfAnExportIsAccountedFor(t *testing.T) {
	t.Parallel()
	other := strings.ReplaceAll(csvRow, "Update StsRefreshTokenValidFrom Timestamp", "Update user")
	for name, tt := range map[string]struct {
		text     string
		want     audit.Upload // without rows
		seen     int
		problems []string
	}{
		"csv": {
			text: csvHead + csvRow + other + strings.Replace(csvRow, "success", "failure", 1) + strings.Replace(csvRow, "TARGET-1", "", 1) +
				strings.Replace(csvRow, "2026-11-23T14:05:01+00:00", "11/23/2026 11:40:00 AM", 1) + "only,three,cells\n" + csvRow,
			want: audit.Upload{Rows: 7, Other: 1, NotDone: 1, Unread: audit.Unread{Revocations: 2, Unknown: 1}}, seen: 2,
			problems: []string{"Line 5: it names no target by object id", "Line 6: its time is not written as 2026-11-23T14:05:00Z", "Line 7: it names no activity"},
		},
		"json": {
			text: `[` + jsonRow + `,{"activityDisplayName":"Update user"},{"activityDateTime":5},"text",null,{"id":5,"activityDisplayName":"Update user"},` +
				strings.Replace(jsonRow, `"c0"`, `5`, 1) + `,` +
				strings.Replace(jsonRow, "success", "timeout", 1) + `,` + strings.Replace(jsonRow, `"TARGET-1"`, `null`, 1) + `]`,
			want: audit.Upload{Rows: 9, Other: 2, NotDone: 1, Unread: audit.Unread{Revocations: 2, Unknown: 3}}, seen: 1,
			problems: []string{
				"Row 3: its fields are not those of an audit log", "Row 4: its fields are not those of an audit log", "Row 5: it names no activity",
				"Row 7: its fields are not those of an audit log", "Row 9: it names no target by object id",
			},
		},
	} {
		got, err := audit.ReadUpload(strings.NewReader(tt.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Rows != tt.want.Rows || got.Other != tt.want.Other || got.NotDone != tt.want.NotDone || got.Unread != tt.want.Unread || len(got.Witnessed) != tt.seen {
			t.Errorf("%s: got %+v", name, got)
		}
		if !slices.Equal(got.Problems, tt.problems) {
			t.Errorf("%s: got problems %q, want %q", name, got.Problems, tt.problems)
		}
	}
}

func TestColumnsMayStandInAnyOrderAndAnApplicationIsNobody(t *testing.T) {
	t.Parallel()
	text := "Target1ObjectId,More,Activity,ActorObjectId,ActorDisplayName,ActorType,Date\n" +
		"t1,x,update stsrefreshtokenvalidfrom timestamp.,sp-1,Playbook,Application,2026-11-23T14:05:01.1234567Z\n"
	got, err := audit.ReadUpload(strings.NewReader(text))
	if err != nil || len(got.Witnessed) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if w := got.Witnessed[0]; w.ByApp != "Playbook" || w.ByOID != "" || w.TargetOID != "t1" {
		t.Errorf("got %+v", w)
	}
	if !got.First.Equal(got.Last) || got.First.IsZero() {
		t.Errorf("the file is from %v to %v", got.First, got.Last)
	}
}

func TestAFileThatIsNoLogIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, says string }{
		"nothing":         {"", "empty"},
		"blanks":          {" \n\n ", "empty"},
		"a workbook":      {"PK\x03\x04\x00\x00", "no text"},
		"UTF-16":          {"\xff\xfeD\x00a\x00", "no text"},
		"another table":   {"a,b\n1,2\n", "Date (UTC), Activity, ActorObjectId, Target1ObjectId are missing"},
		"another tongue":  {"Fecha,Actividad,ActorObjectId,Objetivo1\n", "set it to English"},
		"damaged CSV":     {csvHead + csvRow + `"2026` + "\n", "damaged in line 3"},
		"cut JSON":        {"[" + jsonRow + ",", "damaged"},
		"two documents":   {"[" + jsonRow + "] []", "damaged"},
		"no rows":         {`{"error":{"code":"x"}}`, "no rows"},
		"value no list":   {`{"value":5}`, "damaged"},
		"JSON lines":      {jsonRow + "\n" + jsonRow, "no rows"},
		"very deep":       {strings.Repeat("[", 100_000), "damaged"},
		"an object alone": {jsonRow, "no rows"},
		"a page of many":  {`{"value":[` + jsonRow + `],"@odata.nextLink":"https://graph.example/next"}`, "only the first page"},
		"the link first":  {`{"@odata.nextLink":"https://graph.example/next","value":[` + jsonRow + `]}`, "only the first page"},
		"semicolons":      {"Date (UTC);Activity;ActorObjectId;Target1ObjectId\n", "semicolons"},
		"quoted ones":     {"\"Date (UTC)\";\"Activity\"\n", "semicolons"},
		"a wide row":      {csvHead + csvRow + strings.Repeat(",", 600) + "\n", "in line 3 is longer"},
		"a wide quoted":   {csvHead + csvRow + strings.Repeat(strings.Repeat(",", 300)+"\"\n\"", 3), "in line 3 is longer"},
		"a long row":      {csvHead + csvRow + `"` + strings.Repeat("x\n", 1<<17) + `"`, "in line 3 is longer"},
		"a long object":   {"[" + jsonRow + `,{"targetResources":[{}` + strings.Repeat(",{}", 1<<17) + "]}]", "Row 2 is longer"},
	} {
		got, err := audit.ReadUpload(strings.NewReader(tt.text))
		if _, ok := errors.AsType[*audit.UnreadableError](err); !ok || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want words with %q", name, err, tt.says)
		}
		if len(got.Witnessed) != 0 {
			t.Errorf("%s: %d rows of a refused file", name, len(got.Witnessed))
		}
	}
}

func TestTheTextsOfAnExportAreShortAndPrintable(t *testing.T) {
	t.Parallel()
	hostile := strings.Replace(csvRow, "lena@x.example", "le\u202Ena\x1b[31m"+strings.Repeat("é", 1000), 1)
	got, err := audit.ReadUpload(strings.NewReader(csvHead + hostile))
	if err != nil || len(got.Witnessed) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if upn := got.Witnessed[0].TargetUPN; strings.ContainsAny(upn, "\u202E\x1b") || len([]rune(upn)) > 320 || !strings.HasPrefix(upn, "lena") {
		t.Errorf("got %q", upn)
	}
}

func FuzzReadUpload(f *testing.F) {
	f.Add(csvHead + csvRow)
	f.Add("[" + jsonRow + "]")
	f.Add(`{"value":[` + jsonRow + `,5,null,{}]}`)
	f.Add("Date,Activity,ActorObjectId,Target1ObjectId\n2026-11-23T14:05:01Z,Update StsRefreshTokenValidFrom Timestamp,a,\x01\n")
	f.Add("Date,Activity,ActorObjectId,Target1ObjectId\n\"a\"\"\n,,,\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := audit.ReadUpload(strings.NewReader(text))
		if err != nil {
			if got.Rows != 0 {
				t.Error("rows of a refused file")
			}
			return
		}
		if got.Rows != len(got.Witnessed)+got.Other+got.NotDone+got.Unread.All() {
			t.Errorf("not every row is accounted for: %+v", got)
		}
		for _, w := range got.Witnessed {
			if w.At.IsZero() || w.TargetOID == "" || len([]rune(w.ByUPN)) > 320 || w.At.Before(got.First) || w.At.After(got.Last) {
				t.Errorf("a row that cannot be compared: %+v", w)
			}
		}
	})
}

// TestAHostileFileTakesNoMoreMemoryThanItsBytes: a list of nothing takes many times its bytes when it is taken apart. Not
// parallel: it counts what is allocated.
func TestAHostileFileTakesNoMoreMemoryThanItsBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the race detector needs memory of its own, and nothing happens at once here")
	}
	const size = 20 << 20
	many := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for name, text := range map[string]string{
		"a head of commas":       many(","),
		"a row of commas":        csvHead + csvRow + many(","),
		"commas between quotes":  csvHead + csvRow + many(strings.Repeat(",", 400)+"\"\n\""),
		"a row of many targets":  `[{"targetResources":[{}` + many(",{}") + `]}]`,
		"a row of many changes":  `[{"targetResources":[{"modifiedProperties":[{}` + many(",{}") + `]}]}]`,
		"a list of many nothing": `[{}` + many(",{}") + `]`,
		"another list":           `{"other":[{}` + many(",{}") + `],"value":[` + jsonRow + `]}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = audit.ReadUpload(strings.NewReader(text)) // whether it is refused is told above
		runtime.ReadMemStats(&after)
		took := (after.TotalAlloc - before.TotalAlloc) >> 20
		t.Logf("%s: %d MB", name, took)
		if took > 200 {
			t.Errorf("%s of 20 MB took %d MB", name, took)
		}
	}
}
