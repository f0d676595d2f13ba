package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

// memory is the token cache of one MSAL client, which serves one person. MSAL names partitions in its calls; with one
// person there is one, and the names, which MSAL does not use consistently, are left aside.
type memory struct {
	mu      sync.Mutex
	blob    []byte
	changed bool
}

// Replace implements cache.ExportReplace. An empty cache must be written over what MSAL holds as well: skipping it
// would leave what was there before, and the next Export would store that as this person's.
func (m *memory) Replace(_ context.Context, c cache.Unmarshaler, _ cache.ReplaceHints) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.blob) == 0 {
		return c.Unmarshal([]byte("{}"))
	}
	return c.Unmarshal(m.blob)
}

// Export implements cache.ExportReplace.
func (m *memory) Export(_ context.Context, c cache.Marshaler, _ cache.ExportHints) error {
	b, err := c.Marshal()
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blob, m.changed = b, true
	return nil
}

func (m *memory) content() (blob []byte, changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.blob, m.changed
}

// client makes an MSAL client for one person's cache.
func (s *Service) client(blob []byte) (confidential.Client, *memory, error) {
	m := &memory{blob: blob}
	c, err := confidential.New(s.authority, s.clientID, s.credential,
		confidential.WithHTTPClient(s.http),
		confidential.WithCache(m),
		confidential.WithClientCapabilities([]string{"cp1"}),
		// MSAL would ask login.microsoftonline.com about a host that it does not know.
		confidential.WithInstanceDiscovery(!s.cloud.Simulated()),
		// The variable MSAL_FORCE_REGION would send credentials to another host.
		confidential.WithAzureRegion("DisableMsalForceRegion"))
	if err != nil {
		return confidential.Client{}, nil, fmt.Errorf("making the sign-in client: %w", errOther)
	}
	return c, m, nil
}

// account returns the one account of a cache, if it is the given person's.
func (s *Service) account(ctx context.Context, c *cachedClient, oid string) (confidential.Account, error) {
	account, err := c.Account(ctx, c.home)
	if err != nil {
		return confidential.Account{}, sanitise(err)
	}
	if account.IsZero() {
		return confidential.Account{}, errNoToken
	}
	if !strings.EqualFold(account.LocalAccountID, oid) || !strings.EqualFold(account.Realm, s.tenant) {
		return confidential.Account{}, errors.New("the token cache is another account's")
	}
	return account, nil
}

type cachedClient struct {
	confidential.Client
	*memory
	home string // MSAL's id of the account
}

// open makes a client for a cache and reads the id of the only account in it.
func (s *Service) open(blob []byte) (*cachedClient, error) {
	var content struct {
		Account map[string]struct {
			Home string `json:"home_account_id"`
		}
	}
	if err := json.Unmarshal(blob, &content); err != nil {
		return nil, errNoToken
	}
	if len(content.Account) != 1 {
		return nil, fmt.Errorf("%w: it holds %d accounts", errNoToken, len(content.Account))
	}
	c, m, err := s.client(blob)
	if err != nil {
		return nil, err
	}
	out := &cachedClient{Client: c, memory: m}
	for _, a := range content.Account {
		out.home = a.Home
	}
	return out, nil
}

// withoutAccessTokens returns a cache from which the access tokens are gone, so that the next request is answered by
// Entra and not from the cache.
func withoutAccessTokens(blob []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(blob, &fields); err != nil {
		return nil, errNoToken
	}
	delete(fields, "AccessToken")
	out, err := json.Marshal(fields)
	if err != nil {
		return nil, errNoToken
	}
	return out, nil
}
