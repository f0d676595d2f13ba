package audit

import "strings"

// Index is what the database keeps of an event beside its bytes, to find it by. It is never read back into an event;
// verification compares it with what IndexOf makes of the bytes.
type Index struct {
	ID       string
	AtMS     int64 // UTC epoch milliseconds
	Kind     string
	Operator string // object ids, lower case
	Target   string
	Run      string
	Plan     string
	Outcome  string
	Ticket   string
}

// IndexOf is the index of an event. An event whose time cannot be read has AtMS 0.
func IndexOf(e Event) Index {
	i := Index{
		ID: IndexKey(e.ID), Kind: IndexKey(string(e.Kind)), Operator: indexOID(e.Operator), Target: indexOID(e.Target),
		Run: IndexKey(e.Run), Plan: IndexKey(e.Plan), Outcome: IndexKey(e.Outcome), Ticket: IndexKey(e.Ticket),
	}
	if at, err := ParseTime(e.Time); err == nil && !at.IsZero() {
		i.AtMS = at.UnixMilli()
	}
	return i
}

// longestKey is the longest text in an index, in characters; a longer one is cut. PostgreSQL limits an index entry to
// 2,704 bytes.
const longestKey = 200

// IndexKey is a text as an index holds it: Storable, and cut to 200 characters.
func IndexKey(s string) string {
	s = Storable(s)
	if len(s) <= longestKey {
		return s
	}
	if r := []rune(s); len(r) > longestKey {
		return string(r[:longestKey])
	}
	return s
}

// Storable is a text as both engines hold it: PostgreSQL holds neither U+0000 nor invalid UTF-8, so U+0000 and each
// byte that is not UTF-8 become U+FFFD. JSON does the same with such bytes, so that an event and what is read back of
// it have one index.
func Storable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == 0 {
			return '\ufffd'
		}
		return r
	}, s)
}

func indexOID(p *Person) string {
	if p == nil {
		return ""
	}
	return strings.ToLower(IndexKey(p.OID))
}
