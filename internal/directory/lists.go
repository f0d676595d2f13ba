package directory

import (
	"context"

	"evict/internal/operator"
)

// Lists reads what may be long, page by page. A page is named by what the page before said of it, and "" is the first.
type Lists interface {
	// UsersPage reads a page of up to 999 users.
	UsersPage(ctx context.Context, t operator.TokenSource, list UserList, page string) (Page[User], error)
	// CountUsers says how many users a list has, without reading them.
	CountUsers(ctx context.Context, t operator.TokenSource, list UserList) (int, error)
	// GroupsPage reads a page of the groups that are directly in the group with this id; of the tenant's role-assignable
	// groups when id is "".
	GroupsPage(ctx context.Context, t operator.TokenSource, id, page string) (Page[Group], error)
	// HoldersPage reads a page of the principals of a role, or of every role when roleID is "". Eligible ones need Entra ID
	// P2 and a reader role.
	HoldersPage(ctx context.Context, t operator.TokenSource, roleID string, how How, page string) (Page[Holder], error)
	// Joinable lists who may become a member or an owner of a group through PIM for Groups; it needs
	// PrivilegedEligibilitySchedule.Read.AzureADGroup, Entra ID P2 and a reader role.
	Joinable(ctx context.Context, t operator.TokenSource, groupID string) ([]Holder, error)
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T
	Next  string // names the next page; "" when this is the last
}

// UserList names a list of users. The zero value is every user of the tenant.
type UserList struct {
	Group  string // the members of the group with this id
	Nested bool   // of Group: those of the groups in it too
	Owners bool   // of Group: its owners instead
	Unit   string // the members of the administrative unit with this id
	Filter string // OData $filter over all users
	// Advanced answers Filter from Graph's index, which knows more operators and may lag behind. Groups and units always
	// do: a cast to users needs it (Microsoft Learn, Advanced query capabilities on directory objects).
	Advanced bool
	IDs      bool // only the object ids are read
}

// pages hands over a list page by page, as it arrives. A list whose page links have expired is read again from its
// beginning, so that what it holds may be handed over twice.
func pages[T any](
	ctx context.Context, read func(ctx context.Context, page string) (Page[T], error), take func([]T) error,
) error {
	page := ""
	for restarts := 0; ; {
		p, err := read(ctx, page)
		if err != nil {
			if page != "" && restarts < maxRestarts && codeOf(err) == "Directory_ExpiredPageToken" {
				page, restarts = "", restarts+1
				continue
			}
			return err
		}
		if err := take(p.Items); err != nil {
			return err
		}
		if p.Next == "" {
			return nil
		}
		if p.Next == page {
			return &CallError{Status: 200, Code: CodeUnexpected, Message: "a page of the list links to itself", Sent: true}
		}
		page = p.Next
	}
}

const maxRestarts = 2

// collect reads a whole list that is known to be short.
func collect[T any](ctx context.Context, read func(ctx context.Context, page string) (Page[T], error)) ([]T, error) {
	var out []T
	err := pages(ctx, read, func(list []T) error { out = append(out, list...); return nil })
	return out, err
}
