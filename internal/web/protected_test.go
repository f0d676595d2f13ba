package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"evict/internal/fault"
	"evict/internal/operator"
	"evict/internal/revoke"
	"evict/web/templates"
)

func TestOnlyAnAdminChangesWhoIsProtected(t *testing.T) {
	t.Parallel()
	for role, changes := range map[operator.Role]bool{operator.Admin: true, operator.Lead: false, operator.Approver: false, operator.Auditor: false} {
		b := newBuilder()
		b.who.Roles = operator.Roles{role}
		b.shelf.protected = []revoke.ProtectedAccount{{Person: revoke.Person{OID: other, UPN: "bg1@corp.example", Name: "<b>Break</b> Glass"}, Kind: "break-glass", Note: "<i>safe</i> B", By: revoke.Person{UPN: "admin@corp.example"}, Since: noon}}
		w, doc := b.get(t, "/settings/protected", false)
		wantStatus(t, w, http.StatusOK)
		if got := doc.Find("main form").Length(); got != map[bool]int{true: 2, false: 0}[changes] {
			t.Errorf("%s: %d forms", role, got)
		}
		if got := doc.Find("main tbody").Text(); !strings.Contains(got, "<b>Break</b> Glass") || !strings.Contains(got, "<i>safe</i> B") {
			t.Errorf("%s: the list reads %q", role, got)
		}
		if got := doc.Find("main tbody a").Length(); got != map[bool]int{true: 1, false: 0}[role == operator.Lead] {
			t.Errorf("%s: %d links to the account, which only those who act may open", role, got)
		}
		if doc.Find(".note").Length() != 0 {
			t.Errorf("%s: the page warns although somebody is protected", role)
		}
	}
}

func TestAnEmptyListOfProtectedAccountsWarns(t *testing.T) {
	t.Parallel()
	_, doc := newBuilder().get(t, "/settings/protected", false)
	if got := doc.Find(".note.warn").Text(); !strings.Contains(got, "No account is protected") {
		t.Errorf("the page says %q", got)
	}
}

func TestARefusedProtectionStandsBesideItsField(t *testing.T) {
	t.Parallel()
	for field, at := range map[string]func(templates.ProtectForm) string{
		"account": func(f templates.ProtectForm) string { return f.AccountError },
		"kind":    func(f templates.ProtectForm) string { return f.KindError },
		"note":    func(f templates.ProtectForm) string { return f.NoteError },
		"other":   func(f templates.ProtectForm) string { return f.AccountError },
	} {
		var f templates.ProtectForm
		refuseProtect(&f, fault.Field(field, "Not so."))
		if at(f) != "Not so." {
			t.Errorf("%s: the form says %+v", field, f)
		}
	}
}

func TestAChangeOfTheProtectedAccountsIsAnswered(t *testing.T) {
	t.Parallel()
	b := newBuilder()
	b.shelf.protected = []revoke.ProtectedAccount{{Person: revoke.Person{OID: other, UPN: "bg1@corp.example"}, Kind: "break-glass"}}
	for done, want := range map[string]string{
		other: "bg1@corp.example is protected", me: me + " is not protected", "<b>": "",
	} {
		_, doc := b.get(t, "/settings/protected?done="+url.QueryEscape(done), false)
		if got := doc.Find("main > p.note").Text(); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: the page says %q, want %q", done, got, want)
		}
	}
}

func TestAPageMarksItsEntryOfTheNavigation(t *testing.T) {
	t.Parallel()
	lead, auditor := operator.Operator{Roles: operator.Roles{operator.Lead}}, operator.Operator{Roles: operator.Roles{operator.Auditor}}
	for _, test := range []struct {
		path string
		who  operator.Operator
		want string
	}{
		{"/", lead, "/"}, {"/scopes/1", lead, "/scopes"}, {"/plans/1", lead, "/scopes"}, {"/plans/1", auditor, "/runs"}, {"/runs/1/report", lead, "/runs"},
		{"/ledger/7", auditor, "/ledger"}, {"/settings/protected", lead, "/settings/protected"}, {"/users/1", lead, "/users"},
	} {
		if got := section(test.path, test.who); got != test.want {
			t.Errorf("%s belongs to %s, want %s", test.path, got, test.want)
		}
	}
}
