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

// credentialOf is the one client credential that is configured.
func credentialOf(cfg config.Config) (auth.Credential, error) {
	switch {
	case cfg.ClientSecret != "":
		return auth.SecretCredential(cfg.ClientSecret.Reveal())
	case cfg.ClientCertificate != "":
		return auth.CertificateCredential([]byte(cfg.ClientCertificate.Reveal()))
	case cfg.FederatedTokenFile != "":
		return auth.AssertionFileCredential(cfg.FederatedTokenFile)
	case cfg.ManagedIdentityClientID == "system":
		return auth.ManagedIdentityCredential(""), nil
	default:
		return auth.ManagedIdentityCredential(cfg.ManagedIdentityClientID), nil
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
