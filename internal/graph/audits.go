package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/microsoftgraph/msgraph-sdk-go/auditlogs"
	"github.com/microsoftgraph/msgraph-sdk-go/models"

	"evict/internal/audit"
	"evict/internal/directory"
	"evict/internal/operator"
)

const (
	auditPage  = 1000                  // the most that Graph gives of a log (Microsoft Graph, throttling limits)
	auditPages = audit.MaxClaims / 100 // pages may be short; a list that has more of them goes in a circle
	// auditWait is how long to wait when Microsoft does not say: its limit on logs is 5 requests in 10 s for an app in a
	// tenant.
	auditWait  = 10 * time.Second
	auditWaits = 5 // times in a row
)

// Revocations reads Entra's own log of revocations, page by page: at least those of from <= time < to. It needs
// AuditLog.Read.All, and of the operator one of the roles Reports Reader, Security Reader or Security Administrator
// (Microsoft Graph, list directoryAudits). When Microsoft asks to wait, it waits.
func (c *Client) Revocations(ctx context.Context, t operator.TokenSource, from, to time.Time, each func([]audit.Witnessed) error) error {
	filter := fmt.Sprintf("activityDisplayName eq '%s' and activityDateTime ge %s and activityDateTime le %s",
		audit.RevocationActivity, from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339))
	link := ""
	for range auditPages {
		p, err := c.auditPage(ctx, t, filter, link)
		if err != nil {
			return err
		}
		if err := each(witnessed(p.GetValue())); err != nil {
			return err
		}
		if link = str(p.GetOdataNextLink()); link == "" {
			return nil
		}
	}
	return errTooLong
}

// auditPage reads the first page, or the one that a link leads to.
func (c *Client) auditPage(ctx context.Context, t operator.TokenSource, filter, link string) (page models.DirectoryAuditCollectionResponseable, err error) {
	for range auditWaits {
		_, err = c.do(ctx, t, request{name: "directory audits"}, into(&page, func(ctx context.Context) (models.DirectoryAuditCollectionResponseable, error) {
			p, err := c.directoryAudits(ctx, filter, link)
			if err == nil && missing(p) {
				err = errEmpty
			}
			return p, err
		}))
		call, refused := errors.AsType[*directory.CallError](err)
		if !refused || call.Status != http.StatusTooManyRequests {
			return page, err
		}
		wait := call.RetryAfter
		if wait == 0 {
			wait = auditWait
		}
		if !pause(ctx, wait) {
			return nil, errors.Join(ctx.Err(), err)
		}
	}
	return nil, err
}

func (c *Client) directoryAudits(ctx context.Context, filter, link string) (models.DirectoryAuditCollectionResponseable, error) {
	of := auditlogs.NewDirectoryAuditsRequestBuilderInternal(c.path(), c.adapter)
	if link != "" {
		return of.WithUrl(link).Get(ctx, nil)
	}
	return of.Get(ctx, &auditlogs.DirectoryAuditsRequestBuilderGetRequestConfiguration{
		QueryParameters: &auditlogs.DirectoryAuditsRequestBuilderGetQueryParameters{Filter: &filter, Top: ptr(int32(auditPage))},
	})
}

// witnessed keeps the rows that were done; one that failed revoked nothing.
func witnessed(list []models.DirectoryAuditable) []audit.Witnessed {
	var out []audit.Witnessed
	for _, a := range list {
		if r := a.GetResult(); r != nil && *r != models.SUCCESS_OPERATIONRESULT {
			continue
		}
		out = append(out, witness(a))
	}
	return out
}

func witness(a models.DirectoryAuditable) audit.Witnessed {
	w := audit.Witnessed{ID: str(a.GetId()), At: stamp(a.GetActivityDateTime()), Correlation: str(a.GetCorrelationId())}
	if by := a.GetInitiatedBy(); by != nil {
		if u := by.GetUser(); u != nil {
			w.ByOID, w.ByUPN = str(u.GetId()), str(u.GetUserPrincipalName())
		}
		if app := by.GetApp(); app != nil && w.ByOID == "" {
			w.ByApp = str(app.GetDisplayName())
		}
	}
	var changed [][2]string
	if targets := a.GetTargetResources(); len(targets) > 0 {
		w.TargetOID, w.TargetUPN = strings.ToLower(str(targets[0].GetId())), str(targets[0].GetUserPrincipalName())
		for _, p := range targets[0].GetModifiedProperties() {
			changed = append(changed, [2]string{str(p.GetDisplayName()), str(p.GetNewValue())})
		}
	}
	return audit.NewWitnessed(w, changed)
}
