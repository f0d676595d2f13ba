package audit

import (
	"net/netip"
	"strconv"
	"strings"
)

// ocsfVersion is the version of the Open Cybersecurity Schema Framework whose classes, attributes and numbers stand in
// export_ocsf*.go. The schema: github.com/ocsf/ocsf-schema, tag 1.8.0; what is used of it is in testdata.
const ocsfVersion = "1.8.0"

// ocsfWriter writes events for a SIEM: one line each, of a class of OCSF. What has no place there is under unmapped.
type ocsfWriter struct {
	*lineWriter
	m Manifest
}

type ocsfEvent struct {
	ActivityID     int          `json:"activity_id"`
	ActivityName   string       `json:"activity_name"`
	CategoryUID    int          `json:"category_uid"`
	CategoryName   string       `json:"category_name"`
	ClassUID       int          `json:"class_uid"`
	ClassName      string       `json:"class_name"`
	TypeUID        int          `json:"type_uid"` // class and activity: class * 100 + activity
	TypeName       string       `json:"type_name"`
	SeverityID     int          `json:"severity_id"`
	Severity       string       `json:"severity"`
	StatusID       int          `json:"status_id"`
	Status         string       `json:"status"`
	StatusCode     string       `json:"status_code,omitempty"`
	StatusDetail   string       `json:"status_detail,omitempty"`
	Time           int64        `json:"time"` // UTC epoch milliseconds
	Message        string       `json:"message"`
	Metadata       ocsfMetadata `json:"metadata"`
	Actor          ocsfActor    `json:"actor"`
	SrcEndpoint    *ocsfAddress `json:"src_endpoint,omitempty"`
	User           *ocsfUser    `json:"user,omitempty"`
	Service        *ocsfProduct `json:"service,omitempty"`
	AuthProtocolID int          `json:"auth_protocol_id,omitempty"`
	AuthProtocol   string       `json:"auth_protocol,omitempty"`
	Entity         *ocsfEntity  `json:"entity,omitempty"`
	Comment        string       `json:"comment,omitempty"`
	Unmapped       ocsfUnmapped `json:"unmapped"`
}

type ocsfMetadata struct {
	Version        string      `json:"version"`
	Product        ocsfProduct `json:"product"`
	UID            string      `json:"uid"`
	Sequence       int64       `json:"sequence"`
	EventCode      string      `json:"event_code"`
	LogName        string      `json:"log_name"`
	OriginalTime   string      `json:"original_time"`
	TenantUID      string      `json:"tenant_uid"`
	CorrelationUID string      `json:"correlation_uid,omitempty"` // the run
	Labels         []string    `json:"labels,omitempty"`
}

// ocsfProduct is the console, as the product that logs and as the service that is signed in to.
type ocsfProduct struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

type ocsfActor struct {
	AppName string    `json:"app_name"`
	User    *ocsfUser `json:"user,omitempty"`
}

type ocsfUser struct {
	UID         string        `json:"uid,omitempty"`
	Name        string        `json:"name,omitempty"` // the UPN
	DisplayName string        `json:"display_name,omitempty"`
	Org         *ocsfIdentity `json:"org,omitempty"` // the tenant
}

type ocsfIdentity struct {
	UID string `json:"uid"`
}

type ocsfAddress struct {
	IP string `json:"ip"`
}

type ocsfEntity struct {
	UID    string    `json:"uid,omitempty"`
	Name   string    `json:"name"`
	TypeID int       `json:"type_id"`
	Type   string    `json:"type"`
	User   *ocsfUser `json:"user,omitempty"`
}

type ocsfUnmapped struct {
	LeafHash      Hash              `json:"leaf_hash"`
	Cloud         string            `json:"cloud"`
	Plan          string            `json:"plan,omitempty"`
	Run           string            `json:"run,omitempty"`
	Attempt       int               `json:"attempt,omitempty"`
	Reason        string            `json:"reason,omitempty"`
	Ticket        string            `json:"ticket,omitempty"`
	Outcome       string            `json:"outcome,omitempty"`
	OperatorRoles []string          `json:"operator_roles,omitempty"`
	ClientAddress string            `json:"client_address,omitempty"`
	Evidence      *Evidence         `json:"evidence,omitempty"`
	Detail        map[string]string `json:"detail,omitempty"`
}

func (ocsfWriter) begin() error { return nil }
func (ocsfWriter) end() error   { return nil }

func (o ocsfWriter) write(events []exported) error {
	for _, e := range events {
		if err := o.line(o.event(e)); err != nil {
			return err
		}
	}
	return nil
}

func (o ocsfWriter) event(x exported) ocsfEvent {
	e := x.Event
	kind := ocsfKindOf(e)
	out := ocsfEvent{
		ActivityID: kind.activity, ActivityName: kind.activityName(),
		CategoryUID: 3, CategoryName: "Identity & Access Management", ClassUID: int(kind.class), ClassName: kind.class.String(),
		TypeUID: int(kind.class)*100 + kind.activity, TypeName: kind.class.String() + ": " + ocsfActivities[kind.class][kind.activity],
		SeverityID: kind.severity, Severity: ocsfSeverities[kind.severity], StatusID: ocsfStatusID(kind.status), Status: kind.status,
		Time: IndexOf(e).AtMS, Message: kind.message,
		Metadata: o.metadata(x.Seq, e),
		Actor:    ocsfActor{AppName: product, User: ocsfUserOf(e.Operator)},
		Unmapped: ocsfUnmapped{
			LeafHash: x.leaf, Cloud: e.Cloud, Plan: e.Plan, Run: e.Run, Attempt: e.Attempt, Reason: e.Reason, Ticket: e.Ticket,
			Outcome: e.Outcome, OperatorRoles: orZero(e.Operator).Roles, Evidence: e.Evidence, Detail: e.Detail,
		},
	}
	out.StatusCode, out.StatusDetail = ocsfStatus(orZero(e.Evidence))
	out.from(orZero(e.Operator).Address)
	switch kind.class {
	case ocsfAccountChange:
		out.User = ocsfSubject(e.Target)
	case ocsfAuthentication:
		out.authentication(e, o.m.Version)
	case ocsfEntityManagement:
		out.Entity, out.Comment = ocsfEntityOf(e), e.Reason
	}
	return out
}

// product is what the console is called there.
const product = "Evict"

func (o ocsfWriter) metadata(seq int64, e Event) ocsfMetadata {
	m := ocsfMetadata{
		Version: ocsfVersion, Product: ocsfProduct{Name: product, Version: o.m.Version}, UID: e.ID, Sequence: seq,
		EventCode: string(e.Kind), LogName: "ledger", OriginalTime: e.Time, TenantUID: e.Tenant, CorrelationUID: e.Run,
	}
	if o.m.Rehearsal {
		m.Labels = []string{"REHEARSAL"}
	}
	return m
}

// from notes where the operator's request came from. What is not an address does not fit the schema's type.
func (out *ocsfEvent) from(address string) {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Zone() == "" {
		out.SrcEndpoint = &ocsfAddress{IP: ip.String()}
		return
	}
	out.Unmapped.ClientAddress = address
}

// authentication adds who signs in or out, and to what. When a run ends somebody's sessions, that is its target.
func (out *ocsfEvent) authentication(e Event, version string) {
	who := e.Operator
	if e.Target != nil {
		who = e.Target
	}
	out.User, out.Service = ocsfSubject(who), &ocsfProduct{Name: product, Version: version}
	if out.ActivityID == ocsfLogon {
		out.AuthProtocolID, out.AuthProtocol = 4, "OpenID"
	}
}

// ocsfStatus is what Microsoft answered: Graph's error code, or else the HTTP status, and the words on it.
func ocsfStatus(ev Evidence) (code, detail string) {
	code = ev.Code
	if code == "" && ev.Status != 0 {
		code = strconv.Itoa(ev.Status)
	}
	return code, ev.Message
}

// ocsfUserOf is nil for nobody: a user of the schema has a name, an id or an account.
func ocsfUserOf(p *Person) *ocsfUser {
	if p == nil || p.OID == "" && p.UPN == "" {
		return nil
	}
	u := &ocsfUser{UID: p.OID, Name: p.UPN, DisplayName: p.Name}
	if p.TID != "" {
		u.Org = &ocsfIdentity{UID: p.TID}
	}
	return u
}

// ocsfSubject is the user whom a class requires.
func ocsfSubject(p *Person) *ocsfUser {
	if u := ocsfUserOf(p); u != nil {
		return u
	}
	return &ocsfUser{Name: "unknown", DisplayName: orZero(p).Name}
}

// ocsfEntityOf is what an event that is neither about a sign-in nor about an account is about.
func ocsfEntityOf(e Event) *ocsfEntity {
	out := &ocsfEntity{Name: "ledger", UID: Origin(e.Cloud, e.Tenant), TypeID: ocsfOther, Type: "Ledger", User: ocsfUserOf(e.Target)}
	switch family, _, _ := strings.Cut(string(e.Kind), "."); family {
	case "plan":
		out.Name, out.UID, out.Type = "plan", e.Plan, "Plan"
	case "run":
		out.Name, out.UID, out.Type = "run", e.Run, "Run"
	case "settings":
		out.Name, out.UID, out.Type = "settings", "", "Settings"
	}
	return out
}
