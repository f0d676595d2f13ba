package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// SimulatorName is the name of the cloud that Simulator makes.
const SimulatorName = "simulator"

// Cloud is one deployment of Entra and Graph. The zero value is not usable; see CloudByName and Simulator.
type Cloud struct {
	Name      string         // public, usgov, usgov-dod, china or simulator
	LoginHost string         // host of the sign-in service, with a port for the simulator only
	GraphBase string         // address of Graph v1.0, without a slash at the end
	Resource  string         // what names Graph in a scope: "https://graph.microsoft.com"
	Exchange  string         // audience of a federated assertion
	Roots     *x509.CertPool // the simulator's CA; nil for the system's
}

// Hosts: Microsoft Learn, "National cloud deployments" (Graph) and "National clouds" (identity platform). Audiences of
// federated assertions: Microsoft Learn, "Configure an application to trust a managed identity".
func clouds() []Cloud {
	return []Cloud{
		microsoft("public", "login.microsoftonline.com", "graph.microsoft.com", "api://AzureADTokenExchange"),
		microsoft("usgov", "login.microsoftonline.us", "graph.microsoft.us", "api://AzureADTokenExchangeUSGov"),
		microsoft("usgov-dod", "login.microsoftonline.us", "dod-graph.microsoft.us", "api://AzureADTokenExchangeUSGov"),
		microsoft("china", "login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn",
			"api://AzureADTokenExchangeChina"),
	}
}

func microsoft(name, login, graph, exchange string) Cloud {
	return Cloud{
		Name: name, LoginHost: login, GraphBase: "https://" + graph + "/v1.0", Resource: "https://" + graph,
		Exchange: exchange,
	}
}

// CloudByName returns one of Microsoft's clouds: public, usgov, usgov-dod, china.
func CloudByName(name string) (Cloud, bool) {
	for _, c := range clouds() {
		if c.Name == name {
			return c, true
		}
	}
	return Cloud{}, false
}

// Simulator returns the cloud of a simulator at base ("https://127.0.0.1:18443"), whose certificate is signed by a CA
// in roots. Base must be https and a loopback address, so that no configuration can pass another host off as Entra.
func Simulator(base string, roots *x509.CertPool) (Cloud, error) {
	u, err := url.Parse(base)
	if err != nil {
		return Cloud{}, errors.New("the simulator's address is not a URL")
	}
	if u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return Cloud{}, errors.New("the simulator's address must look like https://127.0.0.1:18443")
	}
	if !isLoopback(u.Hostname()) {
		return Cloud{}, fmt.Errorf("the simulator must have a loopback address, not %q", u.Hostname())
	}
	return Cloud{
		Name: SimulatorName, LoginHost: strings.ToLower(u.Host), GraphBase: "https://" + u.Host + "/v1.0",
		Resource: "https://graph.microsoft.com", Exchange: "api://AzureADTokenExchange", Roots: roots,
	}, nil
}

// Simulated reports whether nothing that happens in this cloud is real.
func (c Cloud) Simulated() bool { return c.Name == SimulatorName }

// Authority returns the address of a tenant's sign-in service.
func (c Cloud) Authority(tenant string) string { return "https://" + c.LoginHost + "/" + tenant }

// valid refuses a Cloud that neither CloudByName nor Simulator made.
func (c Cloud) valid() error {
	if c.Simulated() {
		host, _, err := net.SplitHostPort(c.LoginHost)
		if err != nil {
			host = c.LoginHost
		}
		if !isLoopback(host) {
			return errors.New("the simulator must have a loopback address")
		}
		return nil
	}
	known, ok := CloudByName(c.Name)
	if !ok || known.LoginHost != c.LoginHost || known.GraphBase != c.GraphBase || known.Resource != c.Resource {
		return fmt.Errorf("unknown cloud %q", c.Name)
	}
	return nil
}

// HTTPClient returns a client for the sign-in service with time-outs and the cloud's CA. It follows no redirects.
func (c Cloud) HTTPClient() *http.Client {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots},
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 15 * time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   16,
		ForceAttemptHTTP2:     true,
	}
	return &http.Client{Transport: t, Timeout: httpTimeout, CheckRedirect: noRedirect}
}

const httpTimeout = 20 * time.Second

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
