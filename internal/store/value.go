package store

import (
	"encoding/json"
	"fmt"
	"time"

	"evict/internal/audit"
)

// ms is a time as columns hold it: UTC epoch milliseconds, 0 for the zero time.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMS reads what ms wrote.
func fromMS(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMilli(v).UTC()
}

// msColumn scans a column of milliseconds into a time.
type msColumn struct{ t *time.Time }

// Scan implements sql.Scanner.
func (c msColumn) Scan(src any) error {
	v, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a time is a %T, not an integer", src)
	}
	*c.t = fromMS(v)
	return nil
}

// clean is the one place where text from outside is made storable. See audit.Storable.
func clean(s string) string { return audit.Storable(s) }

// cleanAll cleans every text of a list, and keeps nil nil: the two differ in a plan's digest.
func cleanAll[T ~string](in []T) []T {
	if in == nil {
		return nil
	}
	out := make([]T, len(in))
	for i, s := range in {
		out[i] = T(clean(string(s)))
	}
	return out
}

// key is a text that an index is made of.
func key(s string) string { return audit.IndexKey(s) }

// jsonText is a list, a map or a struct as a column holds it: JSON, null for nil.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: plain values always marshal: " + err.Error())
	}
	return string(b)
}

// jsonColumn scans a column that jsonText wrote.
type jsonColumn struct{ v any }

// Scan implements sql.Scanner.
func (c jsonColumn) Scan(src any) error {
	s, ok := src.(string)
	if !ok {
		return fmt.Errorf("JSON is a %T, not text", src)
	}
	if err := json.Unmarshal([]byte(s), c.v); err != nil {
		return fmt.Errorf("decoding JSON: %w", err)
	}
	return nil
}
