package graph

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"

	abstractions "github.com/microsoft/kiota-abstractions-go"

	"evict/internal/directory"
	"evict/internal/fault"
)

// Limits of what one operation reads.
const (
	pageSize = 999 // the most that Graph gives for users and groups
	maxPages = 10
)

var errEmpty = errors.New("the answer is empty")

// page is one page of a list, as the SDK gives it.
type page[T any] interface {
	GetOdataNextLink() *string
	GetValue() []T
}

// all reads the first page and those that it links to, up to most entries, and says whether there are more. Links are
// used as they are; the transport refuses one that leads elsewhere.
func all[T any, P page[T]](most int, first func() (P, error), next func(link string) (P, error)) (list []T, more bool, err error) {
	p, err := first()
	for n := 1; ; n++ {
		if err != nil {
			return nil, false, err
		}
		if missing(p) {
			return nil, false, errEmpty
		}
		list = append(list, p.GetValue()...)
		link := str(p.GetOdataNextLink())
		if len(list) >= most {
			return list[:most], link != "" || len(list) > most, nil
		}
		if link == "" {
			return list, false, nil
		}
		if n == maxPages {
			return list, true, nil
		}
		p, err = next(link)
	}
}

// missing reports whether the SDK gave nothing at all, which is what it makes of an empty body.
func missing(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}

// eventual are the headers of advanced queries. They go with the next pages too.
func eventual() *abstractions.RequestHeaders {
	h := abstractions.NewRequestHeaders()
	h.Add("ConsistencyLevel", "eventual")
	return h
}

// checkID refuses an object id that is not a GUID, before it enters an address.
func checkID(id string) error {
	if !directory.IsID(id) {
		return fault.New(fault.Invalid, "That is no object id.")
	}
	return nil
}

// checkIDOrUPN refuses what is neither a GUID nor looks like a UPN. The SDK escapes the rest.
func checkIDOrUPN(s string) error {
	if directory.IsID(s) {
		return nil
	}
	name, domain, ok := strings.Cut(s, "@")
	if !ok || name == "" || domain == "" || len(s) > 320 || strings.ContainsAny(s, "/\\?%") ||
		strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fault.New(fault.Invalid, "That is neither an object id nor a sign-in name.")
	}
	return nil
}

// quoted makes text one phrase of a $search expression on each of the fields.
func quoted(text string, fields ...string) *string {
	text = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
	for i, f := range fields {
		fields[i] = `"` + f + ":" + text + `"`
	}
	s := strings.Join(fields, " OR ")
	return &s
}

// equals makes an OData filter for a checked id.
func equals(field, id string) *string {
	s := field + " eq '" + id + "'"
	return &s
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func stamp(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// yes makes a fact of a property that was asked for, and that Graph leaves null while it never was true.
func yes(b *bool) directory.Tri {
	if b != nil && *b {
		return directory.Yes
	}
	return directory.No
}

func ptr[T any](v T) *T { return &v }

// into runs an operation that returns a value, for Client.do.
func into[T any](to *T, f func(ctx context.Context) (T, error)) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		v, err := f(ctx)
		if err == nil {
			*to = v
		}
		return err
	}
}
