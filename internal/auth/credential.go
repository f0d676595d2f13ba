package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"
)

// Credential is how Evict itself proves to Entra that it is the registered application. It never prints its secret.
type Credential struct {
	kind  string
	build func(Cloud) (confidential.Credential, error)
}

// errCredential marks an error in getting an assertion: it is ours or the platform's, not the operator's.
var errCredential = errors.New("the console's own credential is not available")

// SecretCredential uses a client secret.
func SecretCredential(secret string) (Credential, error) {
	if secret == "" {
		return Credential{}, errors.New("the client secret is empty")
	}
	return Credential{kind: "secret", build: func(Cloud) (confidential.Credential, error) {
		return confidential.NewCredFromSecret(secret)
	}}, nil
}

// CertificateCredential uses a certificate and its unencrypted RSA key, both in one PEM text.
func CertificateCredential(pem []byte) (Credential, error) {
	certs, key, err := confidential.CertFromPEM(pem, "")
	if err != nil {
		return Credential{}, errors.New("the PEM text must hold a certificate and its unencrypted RSA key")
	}
	c, err := certificate(certs, key)
	if err != nil {
		return Credential{}, err
	}
	return Credential{kind: "certificate", build: func(Cloud) (confidential.Credential, error) { return c, nil }}, nil
}

func certificate(certs []*x509.Certificate, key crypto.PrivateKey) (confidential.Credential, error) {
	c, err := confidential.NewCredFromCert(certs, key)
	if err != nil {
		return c, fmt.Errorf("using the certificate: %w", err)
	}
	return c, nil
}

const maxAssertion = 64 << 10

// AssertionFileCredential uses a federated assertion (workload identity) that the platform keeps fresh in a file. The
// file is read at each use.
func AssertionFileCredential(path string) (Credential, error) {
	if path == "" {
		return Credential{}, errors.New("the path of the token file is empty")
	}
	read := func(context.Context, confidential.AssertionRequestOptions) (string, error) {
		return readAssertion(path)
	}
	return Credential{kind: "federated token file", build: func(Cloud) (confidential.Credential, error) {
		return confidential.NewCredFromAssertionCallback(read), nil
	}}, nil
}

func readAssertion(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w: opening the token file: %w", errCredential, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAssertion))
	if err != nil {
		return "", fmt.Errorf("%w: reading the token file: %w", errCredential, err)
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return "", fmt.Errorf("%w: the token file is empty", errCredential)
	}
	return string(b), nil
}

// ManagedIdentityCredential uses the token of an Azure managed identity as a federated assertion. An empty clientID
// means the system-assigned identity.
func ManagedIdentityCredential(clientID string) Credential {
	return Credential{kind: "managed identity", build: func(c Cloud) (confidential.Credential, error) {
		id := managedidentity.SystemAssigned()
		if clientID != "" {
			id = managedidentity.UserAssignedClientID(clientID)
		}
		mi, err := managedidentity.New(id)
		if err != nil {
			return confidential.Credential{}, fmt.Errorf("using the managed identity: %w", err)
		}
		get := func(ctx context.Context, _ confidential.AssertionRequestOptions) (string, error) {
			res, err := mi.AcquireToken(ctx, c.Exchange)
			if err != nil {
				// MSAL's text may hold the platform's answer.
				return "", fmt.Errorf("%w: the managed identity gave no token", errCredential)
			}
			return res.AccessToken, nil
		}
		return confidential.NewCredFromAssertionCallback(get), nil
	}}
}

// String names the kind of credential and hides the rest.
func (c Credential) String() string { return c.kind }

// GoString hides the secret from %#v.
func (c Credential) GoString() string { return c.kind }

// LogValue hides the secret from slog.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.kind) }
