package auth

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"evict/internal/fault"
)

// Draft is what a person had typed into a form when a sign-in came between. It is given back to the form; it is never
// acted on by itself.
type Draft struct {
	Reason          string `json:"reason,omitempty"`
	Ticket          string `json:"ticket,omitempty"`
	IncludeExternal bool   `json:"include_external,omitempty"`
	Account         string `json:"account,omitempty"` // to protect; Reason is then the note
	Kind            string `json:"kind,omitempty"`    // of protected account
}

type draft struct {
	Draft
	At time.Time `json:"at"`
}

const (
	maxDrafts    = 10
	maxDraftKey  = 256
	maxDraftText = 4000
)

// SetDraft keeps a draft under a key of the form's choice. A session keeps the ten newest. Drafts outlive a sign-in of
// the same person in this browser, and are never given to another.
func (s *Session) SetDraft(ctx context.Context, key string, d Draft) error {
	if key == "" || len(key) > maxDraftKey {
		return fault.New(fault.Invalid, "The draft cannot be kept.")
	}
	d.Reason, d.Ticket, d.Account, d.Kind = cut(d.Reason), cut(d.Ticket), cut(d.Account), cut(d.Kind)
	return s.drafts(ctx, func(all map[string]draft) bool {
		all[key] = draft{Draft: d, At: s.svc.now()}
		for len(all) > maxDrafts {
			delete(all, oldest(all))
		}
		return true
	})
}

// TakeDraft returns a draft and forgets it; false when there is none.
func (s *Session) TakeDraft(ctx context.Context, key string) (Draft, bool, error) {
	if _, ok := s.rec.state.Drafts[key]; !ok {
		// The usual case costs no write. A draft that another request set just now is found by the next one.
		return Draft{}, false, nil
	}
	var d draft
	var found bool
	err := s.drafts(ctx, func(all map[string]draft) bool {
		d, found = all[key]
		delete(all, key)
		return found
	})
	if err != nil {
		return Draft{}, false, err
	}
	return d.Draft, found, nil
}

var errUnchanged = errors.New("nothing to write")

func (s *Session) drafts(ctx context.Context, change func(map[string]draft) bool) error {
	err := s.svc.modify(ctx, s.rec.ticket, func(rec *record) error {
		if rec.state.Drafts == nil {
			rec.state.Drafts = map[string]draft{}
		}
		if !change(rec.state.Drafts) {
			return errUnchanged
		}
		s.rec.state.Drafts = rec.state.Drafts
		return s.svc.sealState(rec)
	})
	switch {
	case err == nil, errors.Is(err, errUnchanged):
		return nil
	case errors.Is(err, ErrNoSession):
		return ended(ReasonUnknown)
	}
	return storeFault("keeping a draft", err)
}

func oldest(all map[string]draft) string {
	var key string
	var at time.Time
	for k, d := range all {
		if key == "" || d.At.Before(at) || d.At.Equal(at) && k < key {
			key, at = k, d.At
		}
	}
	return key
}

// cut shortens a text to what is kept, at the border of a character.
func cut(v string) string {
	if len(v) <= maxDraftText {
		return v
	}
	v = v[:maxDraftText]
	for len(v) > 0 && !utf8.ValidString(v) {
		v = v[:len(v)-1]
	}
	return v
}
