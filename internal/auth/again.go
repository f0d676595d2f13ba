package auth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"evict/internal/fault"
	"evict/internal/operator"
)

const purposeAgain = "sign in again"

// Again packs what the next sign-in must satisfy into a value for an address of ours, so that a page may offer that
// sign-in and nothing is begun before somebody follows the link. It is sealed: nobody can make up a challenge.
func (s *Service) Again(reauth *operator.ReauthError) (string, error) {
	plain, err := json.Marshal(BeginOptions{Claims: reauth.Claims, Scopes: reauth.Scopes})
	if err != nil {
		return "", fmt.Errorf("packing a challenge: %w", err)
	}
	sealed, err := s.keys.Seal(purposeAgain, plain, s.tenant, s.clientID)
	if err != nil {
		return "", fmt.Errorf("sealing a challenge: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// unpack adds to the options what Again packed.
func (s *Service) unpack(o BeginOptions) (BeginOptions, error) {
	if o.Again == "" {
		return o, nil
	}
	damaged := fault.New(fault.Invalid, "This link to sign in again is damaged.")
	damaged.Fix = "Go back and follow it again."
	sealed, err := base64.RawURLEncoding.DecodeString(o.Again)
	if err != nil {
		return o, damaged
	}
	plain, err := s.keys.Open(purposeAgain, sealed, s.tenant, s.clientID)
	if err != nil {
		return o, damaged
	}
	var packed BeginOptions
	if err := json.Unmarshal(plain, &packed); err != nil {
		return o, damaged
	}
	o.Claims, o.Scopes = packed.Claims, packed.Scopes
	return o, nil
}
