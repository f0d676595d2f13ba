package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"evict/internal/audit"
	"evict/internal/auth"
	"evict/internal/config"
)

// cloudOf is the cloud that the configuration names, or the simulator that runs in this process.
func cloudOf(cfg config.Config, simulator *auth.Cloud) (auth.Cloud, error) {
	if simulator != nil {
		return *simulator, nil
	}
	if cfg.Cloud != auth.SimulatorName {
		cloud, ok := auth.CloudByName(cfg.Cloud)
		if !ok {
			return auth.Cloud{}, fmt.Errorf("EVICT_CLOUD=%q is unknown", cfg.Cloud)
		}
		return cloud, nil
	}
	pem, err := os.ReadFile(cfg.SimulatorCA)
	if err != nil {
		return auth.Cloud{}, fmt.Errorf("EVICT_SIMULATOR_CA_FILE: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return auth.Cloud{}, errors.New("EVICT_SIMULATOR_CA_FILE holds no PEM certificate")
	}
	cloud, err := auth.Simulator(cfg.SimulatorURL, roots)
	if err != nil {
		return auth.Cloud{}, fmt.Errorf("EVICT_SIMULATOR_URL: %w", err)
	}
	return cloud, nil
}

// settings are those of a configuration that have a text of their own, once it is understood.
type settings struct {
	cloud      auth.Cloud
	signer     *audit.Signer
	seals      *auth.SealKeys
	credential auth.Credential
}

// understand reads them, before anything is written. The error joins every problem found.
func understand(cfg config.Config, simulator *auth.Cloud) (s settings, err error) {
	var errs [4]error
	s.cloud, errs[0] = cloudOf(cfg, simulator)
	s.signer, errs[1] = LedgerSigner(cfg)
	if s.seals, err = auth.ParseSealKeys([]byte(cfg.SealKeys.Reveal())); err != nil {
		errs[2] = fmt.Errorf("EVICT_SEAL_KEYS: %w", err)
	}
	name, credential, err := credentialOf(cfg)
	if err != nil {
		errs[3] = fmt.Errorf("%s: %w", name, err)
	}
	s.credential = credential
	return s, errors.Join(errs[:]...)
}

// credentialOf is the one client credential that is configured, and the name of its setting.
func credentialOf(cfg config.Config) (name string, c auth.Credential, err error) {
	switch {
	case cfg.ClientSecret != "":
		c, err = auth.SecretCredential(cfg.ClientSecret.Reveal())
		return "EVICT_CLIENT_SECRET", c, err
	case cfg.ClientCertificate != "":
		c, err = auth.CertificateCredential([]byte(cfg.ClientCertificate.Reveal()))
		return "EVICT_CLIENT_CERTIFICATE", c, err
	case cfg.FederatedTokenFile != "":
		c, err = auth.AssertionFileCredential(cfg.FederatedTokenFile)
		return "EVICT_FEDERATED_TOKEN_FILE", c, err
	case cfg.ManagedIdentityClientID == "system":
		return "EVICT_MANAGED_IDENTITY_CLIENT_ID", auth.ManagedIdentityCredential(""), nil
	default:
		return "EVICT_MANAGED_IDENTITY_CLIENT_ID", auth.ManagedIdentityCredential(cfg.ManagedIdentityClientID), nil
	}
}

// graphHTTP is the client for Graph: no time-out of its own, since each call has a deadline.
func graphHTTP(cloud auth.Cloud) *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cloud.Roots},
		TLSHandshakeTimeout:   5 * time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   64,
		ForceAttemptHTTP2:     true,
		ExpectContinueTimeout: time.Second,
	}}
}
