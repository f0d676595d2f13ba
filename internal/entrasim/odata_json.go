package entrasim

import (
	"encoding/json"
	"strconv"
	"time"
)

// appendValue writes a value of the directory as JSON: nil, string, bool, numbers, times, lists, or anything that
// encoding/json takes.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return appendString(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case time.Time:
		return appendString(b, stampText(v))
	case []string:
		b = append(b, '[')
		for i, s := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, s)
		}
		return append(b, ']')
	case json.RawMessage:
		return append(b, v...)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, raw...)
}

// appendString has a short path for plain ASCII, which nearly all values of a directory are.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			raw, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...)
			}
			return append(b, raw...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendKey(b []byte, name string) []byte {
	if n := len(b); n > 0 && b[n-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// stampText writes a time as Graph does: whole seconds without a fraction, in UTC.
func stampText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// unixTime is nil for a time that never was.
func unixTime(sec int64) any {
	if sec == 0 {
		return nil
	}
	return time.Unix(sec, 0).UTC()
}

// text is nil for an empty string, as Graph shows a property that was never set.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// truth is nil instead of false, as Graph shows onPremisesSyncEnabled of a cloud object.
func truth(v bool) any {
	if !v {
		return nil
	}
	return true
}
