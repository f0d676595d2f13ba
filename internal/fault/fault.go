// Package fault gives errors a kind, and the words that a person may see.
//
// Its one invariant: Message and Fix are written for people and hold nothing secret; the wrapped cause is for the log.
// Only internal/web turns a kind into an HTTP status. An error without a kind is Internal.
package fault

import (
	"errors"
	"time"
)

// Kind says what sort of thing went wrong, and so who can mend it.
type Kind int

// The kinds. Internal is the zero value, so that an unclassified error is never mistaken for the caller's fault.
const (
	Internal        Kind = iota // a defect of ours, or a fault nobody foresaw
	Invalid                     // the request is malformed; Field names the input
	Unauthenticated             // there is no valid session
	Forbidden                   // the session may not do this
	NotFound                    // it is not there, or may not be seen
	Conflict                    // somebody or something was faster
	Throttled                   // too many requests; RetryAfter says when to come back
	Unavailable                 // a service that we need does not answer
)

// Error is an error with a kind and words for a person.
type Error struct {
	Kind       Kind
	Message    string        // what happened, for a person
	Fix        string        // what to do about it; may be empty
	Field      string        // the form field at fault, for Invalid
	RetryAfter time.Duration // for Throttled and Unavailable; 0 when unknown
	Err        error         // the cause, for the log; may be nil
}

// Error returns the message and the cause, for logs.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of a kind with words for a person.
func New(kind Kind, message string) *Error { return &Error{Kind: kind, Message: message} }

// Wrap is New with a cause for the log.
func Wrap(kind Kind, message string, err error) *Error {
	return &Error{Kind: kind, Message: message, Err: err}
}

// Field returns an Invalid error that belongs beside one form field.
func Field(field, message string) *Error {
	return &Error{Kind: Invalid, Field: field, Message: message}
}

// KindOf returns the kind of the outermost *Error in err's chain, or Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
