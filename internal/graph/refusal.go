package graph

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"evict/internal/directory"
)

// Limits of what is kept of an answer that refuses. All of it is a stranger's text.
const (
	maxError   = 64 << 10 // bytes of its body that are read
	maxID      = 128
	maxCode    = 128
	maxMessage = 1024
	maxBackoff = 24 * time.Hour
)

// refusal makes an error of an answer that is not 2xx. A body that is not Graph's error JSON, such as a proxy's HTML,
// leaves Code and Message empty.
func refusal(resp *http.Response, a directory.Answer, now time.Time) *directory.CallError {
	e := &directory.CallError{
		Status: a.Status, RequestID: a.RequestID, ClientRequestID: a.ClientRequestID, Date: a.Date, Sent: true,
		Load: a.Load, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), now),
		ThrottleScope: plain(resp.Header.Get("x-ms-throttle-scope"), maxMessage),
		Claims:        claimsOf(resp.Header.Values("WWW-Authenticate")),
	}
	// What could be read of the body is enough: the status has already said no.
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxError))
	var body struct {
		Error struct {
			Code       string `json:"code"`
			Message    string `json:"message"`
			InnerError struct {
				RequestID string `json:"request-id"`
			} `json:"innerError"`
		} `json:"error"`
	}
	if json.Unmarshal(b, &body) == nil {
		e.Code, e.Message = plain(body.Error.Code, maxCode), plain(body.Error.Message, maxMessage)
		if e.RequestID == "" {
			e.RequestID = plain(body.Error.InnerError.RequestID, maxID)
		}
	}
	return e
}

// retryAfter reads seconds, whole or not, or an HTTP date; 0 for anything else.
func retryAfter(s string, now time.Time) time.Duration {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		if !(n > 0) { // also NaN
			return 0
		}
		return time.Duration(min(n, maxBackoff.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(at.Sub(now), 0), maxBackoff)
	}
	return 0
}

// plain makes a stranger's text one short line of printable characters.
func plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || unicode.In(r, unicode.Cf):
			return -1
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		default:
			return r
		}
	}, s)
	if len(s) <= most {
		return s
	}
	for !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
