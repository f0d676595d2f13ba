package directory

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"evict/internal/fault"
)

// maxValue is how many bytes the value of a ready-made filter may have: Entra's own limit for most of the properties is
// 128 characters or less.
const maxValue = 256

// ReadyFilter is a $filter for a common question, with at most one value to fill in. The properties and operators are
// documented for $filter on users (Microsoft Graph, user resource).
type ReadyFilter struct {
	Key   string // names it in a form
	Label string // for people: "Department is"
	Value string // what the value is, for people: "department"; "" when there is none to fill in
	Date  bool   // the value is a date, such as 2026-03-01

	make func(value string) string
}

func equalTo(property string) func(string) string {
	return func(v string) string { return property + " eq " + quote(v) }
}

func always(filter string) func(string) string { return func(string) string { return filter } }

var readyFilters = []ReadyFilter{
	{Key: "department", Label: "Department is", Value: "department", make: equalTo("department")},
	{Key: "company", Label: "Company is", Value: "company", make: equalTo("companyName")},
	{Key: "city", Label: "City is", Value: "city", make: equalTo("city")},
	{Key: "domain", Label: "Sign-in name ends with", Value: "domain, such as contoso.com", make: func(v string) string {
		return "endsWith(userPrincipalName," + quote("@"+strings.TrimPrefix(v, "@")) + ")"
	}},
	{Key: "created", Label: "Created since", Value: "date", Date: true, make: func(v string) string {
		return "createdDateTime ge " + v + "T00:00:00Z"
	}},
	// userType says what an account is used as, not where it signs in: there are guests who sign in here, and members who
	// sign in elsewhere.
	{
		Key: "external", Label: "Invited from elsewhere",
		make: always("creationType eq 'Invitation' or externalUserState eq 'Accepted' " +
			"or externalUserState eq 'PendingAcceptance'"),
	},
	{Key: "synced", Label: "Synchronised from on-premises", make: always("onPremisesSyncEnabled eq true")},
	{Key: "disabled", Label: "Disabled accounts", make: always("accountEnabled eq false")},
}

// ReadyFilters lists the ready-made filters, in the order in which they are offered.
func ReadyFilters() []ReadyFilter {
	out := make([]ReadyFilter, len(readyFilters))
	copy(out, readyFilters)
	return out
}

// ReadyFilterOf finds a ready-made filter by its key.
func ReadyFilterOf(key string) (ReadyFilter, bool) {
	for _, f := range readyFilters {
		if f.Key == key {
			return f, true
		}
	}
	return ReadyFilter{}, false
}

// Filter returns the OData $filter for a value. The error is fault.Field("value") when the value will not do.
func (f ReadyFilter) Filter(value string) (string, error) {
	value = strings.TrimSpace(value)
	switch {
	case f.Value == "":
		return f.make(""), nil
	case value == "":
		return "", fault.Field("value", "Fill in the "+f.Value+".")
	case f.Date:
		if _, err := time.Parse(time.DateOnly, value); err != nil || len(value) != len(time.DateOnly) {
			return "", fault.Field("value", "Write the date as 2026-03-01.")
		}
	case len(value) > maxValue:
		return "", fault.Field("value", "That is too long.")
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return "", fault.Field("value", "That holds characters that no "+f.Value+" has.")
	}
	return f.make(value), nil
}

// quote makes an OData string literal: a quote within is doubled (OData 4.01, URL conventions, 5.1.1.6.1). The SDK
// escapes the whole filter for the address.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// in makes a filter for any of the values.
func in(property string, values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return property + " in (" + strings.Join(quoted, ",") + ")"
}

// checkFilter refuses a filter that is none, or that no address should carry.
func checkFilter(filter string) error {
	switch {
	case strings.TrimSpace(filter) == "":
		return fault.Field("filter", "Write a filter, such as department eq 'Finance'.")
	case len(filter) > MaxFilter:
		return fault.Field("filter", "The filter is too long.")
	case !utf8.ValidString(filter) || strings.ContainsFunc(filter, unicode.IsControl):
		return fault.Field("filter", "The filter holds characters that do not belong there.")
	}
	return nil
}
