package directory

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// joined lists names for a sentence: "A", "A and B", "A, B and C".
func joined(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// upper makes the first letter of a sentence a capital.
func upper(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// article puts "a" or "an" before a role's name.
func article(name string) string {
	// "User" is spoken with a consonant.
	if strings.ContainsRune("AEIO", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// customName names a role that the table does not know.
func customName(r Role) string {
	if r.Name == "" {
		return "custom role"
	}
	return "custom role " + r.Name
}
