package entrasim

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
)

const maxBatch = 20

type batchItem struct {
	ID        string            `json:"id"`
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
	DependsOn []string          `json:"dependsOn"`
}

type batchAnswer struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    json.RawMessage   `json:"body,omitempty"`
}

// batch is POST /$batch (Microsoft Learn, Combine multiple HTTP requests using JSON batching, 2025-02-21): at most 20
// items with different ids, each throttled alone, the answer 200 whatever they say.
func batch(c *call) *reply {
	var in struct {
		Requests []batchItem `json:"requests"`
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		return c.graphError(http.StatusBadRequest, codeBad, "Invalid batch payload format.")
	}
	if c.inBatch {
		return c.graphError(http.StatusBadRequest, codeBad, "A batch may not hold a batch.")
	}
	if text := checkBatch(in.Requests); text != "" {
		return c.graphError(http.StatusBadRequest, codeBad, text)
	}
	out := make([]batchAnswer, 0, len(in.Requests))
	status := map[string]int{}
	for _, item := range in.Requests {
		a, rep := c.runItem(item, status)
		if rep != nil {
			return rep
		}
		status[strings.ToLower(item.ID)] = a.Status
		out = append(out, a)
	}
	b, err := json.Marshal(map[string]any{"responses": out})
	if err != nil {
		return c.graphError(http.StatusInternalServerError, "InternalServerError", "The batch could not be written.")
	}
	return &reply{status: http.StatusOK, body: b, kind: "application/json"}
}

// checkBatch returns what is wrong with the envelope, or "".
func checkBatch(items []batchItem) string {
	switch {
	case len(items) == 0:
		return "Number of batch request steps must be at least 1."
	case len(items) > maxBatch:
		return "Number of batch request steps exceeds the maximum value of 20."
	}
	seen := map[string]bool{}
	for _, i := range items {
		id := strings.ToLower(i.ID)
		if id == "" || i.Method == "" || i.URL == "" {
			return "Each request must have an id, a method and a url."
		}
		if seen[id] {
			return "Request Id: " + clip(i.ID) + " has to be unique in a batch."
		}
		for _, d := range i.DependsOn {
			if !seen[strings.ToLower(d)] {
				return "Request Id: " + clip(i.ID) + " depends on " + clip(d) + ", which does not come before it."
			}
		}
		seen[id] = true
		hasType := slices.ContainsFunc(headerNames(i.Headers), func(h string) bool { return strings.EqualFold(h, "Content-Type") })
		if !strings.EqualFold(i.Method, "GET") && !strings.EqualFold(i.Method, "DELETE") && (!hasType || len(i.Body) == 0) {
			return "Write request id : " + clip(i.ID) + " does not contain Content-Type header or body."
		}
	}
	return ""
}

func headerNames(h map[string]string) []string {
	var out []string
	for k := range h {
		out = append(out, k)
	}
	return out
}

// runItem runs one item. A reply is only returned when the connection of the whole batch must break.
func (c *call) runItem(item batchItem, status map[string]int) (batchAnswer, *reply) {
	in := &call{
		sim: c.sim, ctx: c.ctx, method: strings.ToUpper(item.Method), header: http.Header{}, body: bytes.TrimSpace(item.Body),
		address: c.address, requestID: uuid.NewString(), base: c.base, login: c.login, inBatch: true,
	}
	in.clientRequestID = c.clientRequestID
	in.header.Set("Authorization", c.header.Get("Authorization"))
	for k, v := range item.Headers {
		in.header.Set(k, v)
	}
	for _, d := range item.DependsOn {
		if s := status[strings.ToLower(d)]; s >= 400 {
			return in.answer(item.ID, in.graphError(http.StatusFailedDependency, "FailedDependency", "A request that this one depends on failed.")), nil
		}
	}
	u, err := url.Parse("/" + strings.TrimPrefix(item.URL, "/"))
	if err != nil {
		return in.answer(item.ID, in.graphError(http.StatusBadRequest, codeBad, "Invalid request url.")), nil
	}
	in.rawPath, in.query = u.EscapedPath(), u.Query()
	rep := c.sim.dispatch(in)
	if rep.hang || rep.cut {
		return batchAnswer{}, rep
	}
	return in.answer(item.ID, rep), nil
}

func (c *call) answer(id string, rep *reply) batchAnswer {
	a := batchAnswer{ID: id, Status: rep.status, Headers: map[string]string{}}
	for k, v := range c.headers(rep) {
		a.Headers[k] = strings.Join(v, ", ")
	}
	switch {
	case len(rep.body) == 0:
	case json.Valid(rep.body):
		a.Body = rep.body
	default:
		quoted, err := json.Marshal(string(rep.body))
		if err == nil {
			a.Body = quoted
		}
	}
	return a
}
