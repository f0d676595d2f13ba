package entrasim

import (
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Error names of OAuth 2.0 that the sign-in service gives.
const (
	errInvalidRequest     = "invalid_request"
	errInvalidClient      = "invalid_client"
	errInvalidGrant       = "invalid_grant"
	errInvalidScope       = "invalid_scope"
	errUnauthorizedClient = "unauthorized_client"
	errUnsupportedGrant   = "unsupported_grant_type"
	errUnsupportedType    = "unsupported_response_type"
	errInteraction        = "interaction_required"
	errLogin              = "login_required"
	errConsent            = "consent_required"
	errUnavailable        = "temporarily_unavailable"
)

// aadError is an error of the sign-in service: an OAuth error name and an AADSTS number.
type aadError struct {
	name, text, suberror, claims string
	code                         int
	retry                        time.Duration
}

func aadErr(name string, code int, text string) *aadError {
	return &aadError{name: name, code: code, text: text}
}

func (e *aadError) sub(s string) *aadError { e.suberror = s; return e }

// status is what Entra answers on the token endpoint: 401 for a bad client credential, else 400.
func (e *aadError) status() int {
	switch e.name {
	case errInvalidClient:
		return http.StatusUnauthorized
	case errUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// description is error_description in the form in which Entra writes it.
func (e *aadError) description(trace, correlation string, at time.Time) string {
	return fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s",
		e.code, e.text, trace, correlation, at.Format("2006-01-02 15:04:05Z"))
}

// body is the JSON answer of the token endpoint.
func (e *aadError) body(correlation string, at time.Time) map[string]any {
	trace := uuid.NewString()
	if correlation == "" {
		correlation = uuid.NewString()
	}
	m := map[string]any{
		"error": e.name, "error_description": e.description(trace, correlation, at), "error_codes": []int{e.code},
		"timestamp": at.Format("2006-01-02 15:04:05Z"), "trace_id": trace, "correlation_id": correlation,
		"error_uri": fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", e.code),
	}
	if e.suberror != "" {
		m["suberror"] = e.suberror
	}
	if e.claims != "" {
		m["claims"] = e.claims
	}
	return m
}
