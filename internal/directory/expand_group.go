package directory

import (
	"context"
)

// maxWalked is how many groups of one tree are read one by one, to tell by which path somebody is in. Beyond it, Graph
// lists all members of the tree at once, and the path is not told.
const maxWalked = 200

const whyHidden = "the group hides its members"

// group adds the members of a group, and of the groups in it.
func (x *expansion) group(ctx context.Context, src Source) error {
	x.tell.doing("Reading " + src.words())
	g, err := x.graph.Group(ctx, x.t, src.ID)
	if err != nil {
		return x.missed(ctx, partGroups, src.words(), err)
	}
	return x.walk(ctx, g, "")
}

// step is a group to be read, and how it was come by.
type step struct {
	group Group
	path  string
}

// walk adds the users of a group and of the groups in it, each group once and by its shortest path, so that groups
// that hold each other come to an end. Graph's transitive list would not tell the path, and is silent of nested groups
// whose members are hidden.
func (x *expansion) walk(ctx context.Context, root Group, prefix string) error {
	path := prefix + "group " + nameOf(root.Name, root.ID)
	queue := []step{{root, path}}
	seen := map[string]bool{root.ID: true}
	for n := 0; len(queue) > 0; n++ {
		if n == maxWalked {
			return x.users(ctx, partMembers, UserList{Group: root.ID, Nested: true}, path+" > nested groups")
		}
		at := queue[0]
		queue = queue[1:]
		if err := x.members(ctx, at); err != nil {
			return err
		}
		nested, err := collect(ctx, func(ctx context.Context, page string) (Page[Group], error) {
			return x.graph.GroupsPage(ctx, x.t, at.group.ID, page)
		})
		// What keeps a group's members from being read keeps its groups from it too, and is noted once.
		if err := x.missed(ctx, partMembers, at.path, err); err != nil {
			return err
		}
		for _, g := range nested {
			if !seen[g.ID] {
				seen[g.ID] = true
				queue = append(queue, step{g, at.path + " > " + nameOf(g.Name, g.ID)})
			}
		}
	}
	return nil
}

// members adds the users who are directly in a group.
func (x *expansion) members(ctx context.Context, at step) error {
	x.tell.doing("Reading " + at.path)
	n := 0
	err := pages(ctx, x.usersOf(x.t, UserList{Group: at.group.ID}), func(users []User) error {
		n += len(users)
		return x.add(ctx, users, at.path)
	})
	if err == nil && n == 0 && at.group.HiddenMembership == Yes {
		x.note(Unread{What: at.path, Why: whyHidden, Fix: partMembers.needs})
	}
	return x.missed(ctx, partMembers, at.path, err)
}
