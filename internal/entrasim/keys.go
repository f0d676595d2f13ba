package entrasim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// microsoftNames are the hosts under which Microsoft serves sign-in and Graph, in the public cloud, for the United
// States government and in China. The certificate covers them and CONNECT reaches them.
var microsoftNames = []string{
	"login.microsoftonline.com", "login.windows.net", "sts.windows.net", "graph.microsoft.com",
	"login.microsoftonline.us", "graph.microsoft.us", "dod-graph.microsoft.us",
	"login.partner.microsoftonline.cn", "login.chinacloudapi.cn", "microsoftgraph.chinacloudapi.cn",
}

// signingKey is the key that signs tokens, with its certificate as Entra publishes it in x5c.
type signingKey struct {
	key  *rsa.PrivateKey
	cert []byte
	kid  string
}

// sharedSigningKey is one key for all simulators of a process: making an RSA key takes longer than making a tenant.
var sharedSigningKey = sync.OnceValues(func() (*signingKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making the token signing key: %w", err)
	}
	t := certTemplate("Simulated token signing")
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("making the token signing certificate: %w", err)
	}
	sum := sha1.Sum(der) // x5t is defined as SHA-1 (RFC 7517, section 4.8); nothing is secured by it
	return &signingKey{key: key, cert: der, kid: base64.RawURLEncoding.EncodeToString(sum[:])}, nil
})

// authority is the in-memory CA and the certificate of the TLS listener.
type certAuthority struct {
	pem  []byte
	cert *x509.Certificate
	leaf tls.Certificate
}

func newCertAuthority() (*certAuthority, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the CA key: %w", err)
	}
	caT := certTemplate("Simulated Entra CA (in memory, trust for tests only)")
	caT.IsCA, caT.BasicConstraintsValid, caT.MaxPathLenZero = true, true, true
	caT.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	caDER, err := x509.CreateCertificate(rand.Reader, caT, caT, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, fmt.Errorf("making the CA certificate: %w", err)
	}
	caCert, err := x509.ParseCertificate(caDER)
	if err != nil {
		return nil, fmt.Errorf("reading the CA certificate: %w", err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the server key: %w", err)
	}
	leafT := certTemplate("Simulated Entra")
	leafT.KeyUsage = x509.KeyUsageDigitalSignature
	leafT.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leafT.DNSNames = append([]string{"localhost"}, microsoftNames...)
	leafT.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	leafDER, err := x509.CreateCertificate(rand.Reader, leafT, caCert, &leafKey.PublicKey, caKey)
	if err != nil {
		return nil, fmt.Errorf("making the server certificate: %w", err)
	}
	return &certAuthority{
		pem:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		cert: caCert,
		leaf: tls.Certificate{Certificate: [][]byte{leafDER, caDER}, PrivateKey: leafKey},
	}, nil
}

// certTemplate uses the real clock: a simulated one must not make TLS fail.
func certTemplate(name string) *x509.Certificate {
	serial := new(big.Int).SetBytes(func() []byte { s := sha256.Sum256([]byte(opaque(name))); return s[:15] }())
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: []string{"entrasim"}},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(365 * 24 * time.Hour),
	}
}
