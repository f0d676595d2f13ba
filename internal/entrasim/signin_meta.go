package entrasim

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
)

// endpoints are the addresses to name in an answer: they follow the host by which the simulator was asked.
type endpoints struct {
	login, browser, graph string
}

// endpointsFor never repeats a Host that the simulator does not know.
func (s *Sim) endpointsFor(r *http.Request) endpoints {
	if host := microsoftHost(r.Host); host != "" {
		base := "https://" + host
		return endpoints{login: base, browser: base, graph: base}
	}
	e := endpoints{login: s.TLSURL(), browser: s.BrowserURL()}
	if r.TLS != nil && s.isOwnHost(r.Host) {
		e.login = "https://" + r.Host
	}
	e.graph = e.login
	return e
}

// microsoftHost returns the name of Microsoft's that host is, without its port, or "".
func microsoftHost(host string) string {
	if h, p, err := net.SplitHostPort(host); err == nil {
		if p != "443" {
			return ""
		}
		host = h
	}
	host = strings.ToLower(host)
	if slices.Contains(microsoftNames, host) {
		return host
	}
	return ""
}

func isGraphHost(host string) bool { return strings.Contains(host, "graph") }

func (s *Sim) isOwnHost(host string) bool { return slices.Contains(s.ownHosts(), "https://"+host) }

// ownHosts are the addresses by which the TLS listener may be called.
func (s *Sim) ownHosts() []string {
	return []string{"https://localhost:" + s.tlsP, "https://127.0.0.1:" + s.tlsP, "https://[::1]:" + s.tlsP}
}

// tenantFor checks the tenant segment. The canonical form goes into addresses: the GUID, or "common" and its kin.
func (s *Sim) tenantFor(segment string) (string, *aadError) {
	switch seg := strings.ToLower(segment); seg {
	case s.tenant.id, s.tenant.domain, s.tenant.initial:
		return s.tenant.id, nil
	case "common", "organizations":
		return seg, nil
	}
	return "", aadErr(errInvalidRequest, 90002, "Tenant not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.")
}

func (s *Sim) openIDConfiguration(w http.ResponseWriter, r *http.Request) {
	seg, e := s.tenantFor(r.PathValue("tenant"))
	if e != nil {
		s.tokenError(w, r, e)
		return
	}
	at := s.endpointsFor(r)
	base := at.login + "/" + seg
	writeJSON(w, http.StatusOK, map[string]any{
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt"},
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"response_types_supported":              []string{"code"},
		"scopes_supported":                      oidcScopes,
		"code_challenge_methods_supported":      []string{"plain", "S256"},
		"issuer":                                s.issuer(at, seg),
		"request_uri_parameter_supported":       false,
		"authorization_endpoint":                at.browser + "/" + seg + "/oauth2/v2.0/authorize",
		"end_session_endpoint":                  at.browser + "/" + seg + "/oauth2/v2.0/logout",
		"http_logout_supported":                 true,
		"frontchannel_logout_supported":         true,
		"claims_supported": []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "preferred_username",
			"name", "tid", "ver", "email", "oid", "roles", "sid", "uti"},
		"tenant_region_scope":   "EU",
		"cloud_instance_name":   "microsoftonline.com",
		"cloud_graph_host_name": "graph.windows.net",
		"msgraph_host":          strings.TrimPrefix(at.graph, "https://"),
		"rbac_url":              "https://pas.windows.net",
	})
}

// issuer of ID tokens. Under "common" and "organizations" Entra names a template.
func (s *Sim) issuer(at endpoints, seg string) string {
	if seg != s.tenant.id {
		return at.login + "/{tenantid}/v2.0"
	}
	return at.login + "/" + s.tenant.id + "/v2.0"
}

func (s *Sim) signingKeys(w http.ResponseWriter, r *http.Request) {
	seg, e := s.tenantFor(r.PathValue("tenant"))
	if e != nil {
		s.tokenError(w, r, e)
		return
	}
	pub := s.keys.key.PublicKey
	writeJSON(w, http.StatusOK, map[string]any{"keys": []map[string]any{{
		"kty": "RSA", "use": "sig", "kid": s.keys.kid, "x5t": s.keys.kid,
		"n":      base64.RawURLEncoding.EncodeToString(pub.N.Bytes()),
		"e":      base64.RawURLEncoding.EncodeToString(big.NewInt(int64(pub.E)).Bytes()),
		"x5c":    []string{base64.StdEncoding.EncodeToString(s.keys.cert)},
		"issuer": s.issuer(s.endpointsFor(r), seg), "cloud_instance_name": "microsoftonline.com",
	}}})
}

// discoverInstance answers MSAL's question which hosts are one cloud. Only names of one cloud are aliases.
func (s *Sim) discoverInstance(w http.ResponseWriter, r *http.Request) {
	at := s.endpointsFor(r)
	seg := s.tenant.id
	writeJSON(w, http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": at.login + "/" + seg + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata": []map[string]any{
			metadata("login.microsoftonline.com", "login.windows.net", "login.microsoftonline.com", "login.windows.net", "sts.windows.net"),
			metadata("login.partner.microsoftonline.cn", "login.partner.microsoftonline.cn", "login.partner.microsoftonline.cn", "login.chinacloudapi.cn"),
			metadata("login.microsoftonline.us", "login.microsoftonline.us", "login.microsoftonline.us"),
		},
	})
}

func metadata(network, cache string, aliases ...string) map[string]any {
	return map[string]any{"preferred_network": network, "preferred_cache": cache, "aliases": aliases}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the simulator could not write its answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may be gone
}
