package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	msal "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"
	"github.com/google/uuid"

	"evict/internal/fault"
	"evict/internal/operator"
)

// Reason says why a request has no session.
type Reason string

// The reasons.
const (
	ReasonNone     Reason = "none"     // the browser sent no session cookie
	ReasonUnknown  Reason = "unknown"  // the cookie opens no session: signed out, revoked, or never there
	ReasonIdle     Reason = "idle"     // nothing was done for too long
	ReasonAbsolute Reason = "absolute" // the longest time for one sign-in is over
)

// EndedError is the cause inside the fault.Unauthenticated that Load returns. It is an ErrNoSession.
type EndedError struct{ Reason Reason }

// Error names the reason.
func (e *EndedError) Error() string { return ErrNoSession.Error() + " (" + string(e.Reason) + ")" }

// Unwrap returns ErrNoSession.
func (*EndedError) Unwrap() error { return ErrNoSession }

// ReasonOf returns why there is no session, or "" when err says nothing about that.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*EndedError](err); ok {
		return e.Reason
	}
	return ""
}

func ended(r Reason) error {
	f := fault.Wrap(fault.Unauthenticated, "You are not signed in.", &EndedError{r})
	f.Fix = "Sign in to go on."
	switch r {
	case ReasonIdle:
		f.Message = "You were signed out because nothing happened for a while."
	case ReasonAbsolute:
		f.Message = "Your sign-in has reached its longest time."
	case ReasonNone:
	case ReasonUnknown:
		f.Message = "Your session has ended."
	}
	return f
}

// entraError is what Entra answered to a token request, without anything that is secret: no description, no body.
type entraError struct {
	Status      int
	OAuth       string // error, such as invalid_grant
	Code        string // AADSTS number
	Correlation string // correlation id, for Microsoft's support
	Claims      string // decoded claims challenge
	RetryAfter  time.Duration
}

// Error is for the log.
func (e *entraError) Error() string {
	s := "the token request was answered with " + strconv.Itoa(e.Status)
	for _, part := range []string{e.OAuth, e.Code} {
		if part != "" {
			s += " " + part
		}
	}
	if e.Correlation != "" {
		s += ", correlation id " + e.Correlation
	}
	return s
}

// networkError says that the sign-in service could not be asked. It names the address without its query.
type networkError struct{ err error }

// Error is for the log.
func (e *networkError) Error() string { return "calling the sign-in service: " + e.err.Error() }

// Unwrap returns the cause.
func (e *networkError) Unwrap() error { return e.err }

var (
	errNoToken  = errors.New("the token cache holds nothing that can be used")
	errDeclined = errors.New("not all permissions were granted")
	errGarbled  = errors.New("the sign-in service's answer is not understood")
	errOther    = errors.New("the sign-in library failed for a reason that is not shown, because it may hold secrets")
)

// sanitise turns an error of MSAL into one of ours. MSAL's own texts hold whole answers, tokens included, so nothing
// but what is picked out here goes on, and no MSAL error is wrapped.
func sanitise(err error) error {
	if err == nil || ours(err) {
		return err
	}
	if call, ok := errors.AsType[msal.CallErr](err); ok && call.Resp != nil {
		return readEntraError(call.Resp)
	}
	if _, ok := errors.AsType[msal.InvalidJsonErr](err); ok {
		return errGarbled
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return &networkError{u.Err}
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, errForeignHost, errLongAnswer} {
		if errors.Is(err, known) {
			return &networkError{known}
		}
	}
	switch text := err.Error(); {
	case strings.Contains(text, "no token found"):
		return errNoToken
	case strings.Contains(text, "declined scopes are present"):
		return errDeclined
	case strings.Contains(text, "ResolveEndpoints"):
		return errGarbled
	}
	return errOther
}

// ours reports whether an error was made here and holds no text of MSAL's or Entra's. MSAL hands an error of a
// credential on as it is.
func ours(err error) bool {
	for _, known := range []error{errNoToken, errDeclined, errGarbled, errOther, errCredential} {
		if errors.Is(err, known) {
			return true
		}
	}
	_, entra := errors.AsType[*entraError](err)
	_, network := errors.AsType[*networkError](err)
	return entra || network
}

var (
	oauthError = regexp.MustCompile(`^[a-z_]{1,40}$`)
	aadsts     = regexp.MustCompile(`AADSTS[0-9]{4,9}`)
)

func readEntraError(resp *http.Response) *entraError {
	e := &entraError{Status: resp.StatusCode}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 && s < 3600 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	var body struct {
		Error       string        `json:"error"`
		Description string        `json:"error_description"`
		Codes       []json.Number `json:"error_codes"`
		Correlation string        `json:"correlation_id"`
		Claims      string        `json:"claims"`
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil || json.Unmarshal(b, &body) != nil {
		return e
	}
	if oauthError.MatchString(body.Error) {
		e.OAuth = body.Error
	}
	if uuid.Validate(body.Correlation) == nil && len(body.Correlation) == 36 {
		e.Correlation = body.Correlation
	}
	e.Code = aadstsCode(body.Description)
	if e.Code == "" && len(body.Codes) > 0 {
		e.Code = aadstsCode("AADSTS" + body.Codes[0].String())
	}
	if checkClaims(body.Claims) == nil {
		e.Claims = body.Claims
	}
	return e
}

// aadstsCode returns the first AADSTS number in a text of Entra's, or "". Nothing else of such a text is ever shown: in
// a callback it is whatever somebody wrote into a link.
func aadstsCode(text string) string { return aadsts.FindString(text) }

// interactive are the OAuth errors that only the person can mend, by signing in (OpenID Connect Core, 3.1.2.6; Microsoft
// Learn, "Microsoft Entra authentication and authorization error codes").
var interactive = []string{"invalid_grant", "interaction_required", "login_required", "consent_required"}

// consentCodes say that a permission was not consented to.
var consentCodes = []string{"AADSTS65001", "AADSTS65004", "AADSTS90094", "AADSTS90095"}

// tokenFault says what an error in getting a token means for whoever needs it: *operator.ReauthError when a new sign-in
// can help, fault.Unavailable otherwise. asked are the scopes of the request, extra those beyond the usual ones.
func tokenFault(err error, asked, extra []string) error {
	err = sanitise(err)
	if e, ok := errors.AsType[*entraError](err); ok {
		if !slices.Contains(interactive, e.OAuth) {
			return entraFault(e)
		}
		re := &operator.ReauthError{Claims: e.Claims, Scopes: extra, Code: e.Code, Err: err}
		re.Consent = e.OAuth == "consent_required" || slices.Contains(consentCodes, e.Code)
		if re.Consent && len(extra) == 0 {
			re.Scopes = asked
		}
		return re
	}
	switch {
	case errors.Is(err, errNoToken):
		return &operator.ReauthError{Scopes: extra, Err: err}
	case errors.Is(err, errDeclined):
		return &operator.ReauthError{Scopes: asked, Consent: true, Err: err}
	}
	return entraUnavailable(err)
}

// entraFault is for refusals that no sign-in mends: a wrong credential or registration, or trouble at Microsoft.
func entraFault(e *entraError) *fault.Error {
	f := fault.Wrap(fault.Unavailable, "Microsoft's sign-in service does not give the console a token right now.", e)
	f.RetryAfter = e.RetryAfter
	f.Fix = "Try again in a moment."
	switch e.OAuth {
	case "invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "unsupported_grant_type":
		f.Message = "Microsoft refuses the console's own registration or credential."
		f.Fix = "An administrator has to look at the app registration and the console's credential."
	}
	if e.Code != "" {
		f.Message += " (" + e.Code + ")"
	}
	return f
}

func entraUnavailable(err error) *fault.Error {
	f := fault.Wrap(fault.Unavailable, "Microsoft's sign-in service does not answer as expected.", err)
	f.Fix = "Try again in a moment."
	if errors.Is(err, errCredential) {
		f.Message = "The console cannot read its own credential."
		f.Fix = "An administrator has to look at the console's configuration."
	}
	return f
}

// storeFault is for errors of the session store.
func storeFault(doing string, err error) error {
	f := fault.Wrap(fault.Unavailable, "The console cannot reach its database.", fmt.Errorf("%s: %w", doing, err))
	f.Fix = "Try again in a moment."
	return f
}
