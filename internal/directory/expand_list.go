package directory

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// How accounts are looked up by their names: in filters such as "userPrincipalName in ('a','b')", many at once. The
// user resource documents "in" for id, userPrincipalName and mail, and Graph takes at most 15 values in one filter, so
// that a list of 100,000 lines costs some 6,700 calls of one resource unit each instead of 100,000, well below the
// quota of 8,000 units in ten seconds. $batch would save no units, and getByIds needs Directory.Read.All.
const (
	maxIn       = 15
	maxInBytes  = 4000 // of a filter's values, escaped: an address longer than 8 KB is refused by some proxies
	lookupsAtOn = 16
	lookupChunk = maxIn * lookupsAtOn * 4 // lines that are resolved together: a page of hits at most
	maxDirect   = 1000                    // accounts that one expansion reads one by one, when no filter finds them
)

// found is what a lookup led to.
type found struct {
	users  []User
	failed map[string]error // by value in lower case, those of which Graph did not say whether they are there
}

// find looks accounts up by a property. Its error is one that stops everything.
func (x *expansion) find(ctx context.Context, property string, values []string) (found, error) {
	out := found{failed: map[string]error{}}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookupsAtOn)
	for _, batch := range batches(values) {
		g.Go(func() error {
			users, err := x.findIn(ctx, property, batch)
			if err != nil && stops(ctx, err) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			out.users = append(out.users, users...)
			if err != nil {
				for _, v := range batch {
					out.failed[strings.ToLower(v)] = err
				}
			}
			return nil
		})
	}
	return out, g.Wait()
}

// findIn looks up one batch. Where Graph does not understand it, each half is tried alone, so that one odd value does
// not take the others with it; a value that Graph does not understand is nobody's.
func (x *expansion) findIn(ctx context.Context, property string, values []string) ([]User, error) {
	users, err := collect(ctx, x.usersOf(x.t, UserList{Filter: in(property, values)}))
	call, ok := errors.AsType[*CallError](err)
	if !ok || call.Status != http.StatusBadRequest {
		return users, err
	}
	if len(values) == 1 {
		return nil, nil
	}
	half := len(values) / 2
	first, err := x.findIn(ctx, property, values[:half])
	if err != nil {
		return nil, err
	}
	second, err := x.findIn(ctx, property, values[half:])
	return append(first, second...), err
}

// batches cuts values into as many as fit into one filter.
func batches(values []string) [][]string {
	var out [][]string
	size := 0
	for i, v := range values {
		n := len(url.QueryEscape(quote(v))) + 1
		if i == 0 || len(out[len(out)-1]) == maxIn || size+n > maxInBytes {
			out, size = append(out, nil), 0
		}
		size += n
		out[len(out)-1] = append(out[len(out)-1], v)
	}
	return out
}

// direct reads accounts one by one, as far as the expansion may: a filter may not know an account yet that was made a
// moment ago. What is not there is not in the answer.
func (x *expansion) direct(ctx context.Context, values []string) (found, map[string]User, error) {
	out, by := found{failed: map[string]error{}}, map[string]User{}
	values = values[:min(len(values), x.left)]
	x.left -= len(values)
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookupsAtOn)
	for _, v := range values {
		g.Go(func() error {
			u, err := x.userIfThere(ctx, x.t, v)
			if err != nil && stops(ctx, err) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				out.failed[strings.ToLower(v)] = err
			case len(u) == 1:
				by[strings.ToLower(v)] = u[0]
			}
			return nil
		})
	}
	return out, by, g.Wait()
}

// byID reads accounts by object id, in no order. Those who are not there are gone. With an error there may be users
// as well: it says why some were not read.
func (x *expansion) byID(ctx context.Context, ids []string) (users []User, gone []string, err error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	got, err := x.find(ctx, "id", ids)
	if err != nil {
		return nil, nil, err
	}
	have := map[string]bool{}
	for _, u := range got.users {
		have[u.ID] = true
	}
	missing := slices.DeleteFunc(ids, func(id string) bool { return have[id] || got.failed[id] != nil })
	late, by, err := x.direct(ctx, missing)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range missing {
		if u, ok := by[id]; ok {
			got.users = append(got.users, u)
		} else if late.failed[id] == nil {
			gone = append(gone, id)
		}
	}
	for _, failed := range []map[string]error{got.failed, late.failed} {
		for _, err := range failed {
			return got.users, gone, err
		}
	}
	return got.users, gone, nil
}

// list adds the accounts that the lines of a list name, and says of every other line what became of it.
func (x *expansion) list(ctx context.Context, src Source) error {
	reason := src.words()
	lines := ParseList(strings.Join(src.Lines, "\n")).Lines
	seen := map[uuid.UUID]struct{}{}
	unread, cause := 0, error(nil)
	done := 0
	for chunk := range slices.Chunk(lines, lookupChunk) {
		x.tell.doing(fmt.Sprintf("Looking up lines: %d of %d", done, len(lines)))
		done += len(chunk)
		got, err := x.resolve(ctx, chunk)
		if err != nil {
			return err
		}
		var users []User
		for _, text := range chunk {
			r := got[strings.ToLower(text)]
			line := Line{Text: text, Fate: r.fate, Reason: r.reason}
			if r.fate == LineMatched {
				key, _ := uuid.Parse(r.user.ID)
				if _, twice := seen[key]; !twice {
					seen[key] = struct{}{}
					users = append(users, r.user)
					x.out.Matched++
					continue
				}
				line.Fate, line.Reason = LineDuplicate, "the account "+nameOf(r.user.UPN, r.user.ID)+", as an earlier line"
			}
			if r.err != nil {
				unread, cause = unread+1, r.err
			}
			x.out.Lines = append(x.out.Lines, line)
		}
		if err := x.add(ctx, users, reason); err != nil {
			return err
		}
	}
	if unread > 0 {
		return x.missed(ctx, partUsers, fmt.Sprintf("%d of %d lines of %s", unread, len(lines), reason), cause)
	}
	return nil
}

// resolved is what one line led to.
type resolved struct {
	user   User
	fate   LineFate
	reason string
	err    error // when it was not read
}

// resolve looks lines up: an object id as such, anything else as a sign-in name, then as an address, then by direct
// reading. The answer is by line in lower case.
func (x *expansion) resolve(ctx context.Context, lines []string) (map[string]resolved, error) {
	out := map[string]resolved{}
	var ids, names []string
	for _, text := range lines {
		key := strings.ToLower(text)
		if _, known := out[key]; known {
			continue
		}
		switch {
		case IsID(text):
			ids = append(ids, key)
		case addressLike(text):
			names = append(names, text)
		default:
			out[key] = resolved{fate: LineNotFound, reason: "it is no object id, sign-in name or address"}
			continue
		}
		out[key] = resolved{fate: LineNotFound, reason: "no account has it as its object id, sign-in name or address"}
	}
	for _, stage := range []struct {
		property string
		of       func(User) string
		values   []string
	}{
		{"id", func(u User) string { return u.ID }, ids},
		{"userPrincipalName", func(u User) string { return u.UPN }, names},
		{"mail", func(u User) string { return u.Mail }, names},
	} {
		got, err := x.find(ctx, stage.property, open(stage.values, out))
		if err != nil {
			return nil, err
		}
		settle(out, got, stage.of)
	}
	late := open(slices.Concat(ids, names), out)
	got, by, err := x.direct(ctx, late)
	if err != nil {
		return nil, err
	}
	settle(out, got, nil)
	for key, u := range by {
		out[key] = resolved{user: u, fate: LineMatched}
	}
	return out, nil
}

// open keeps the values that have led to nothing yet.
func open(values []string, out map[string]resolved) []string {
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool {
		r := out[strings.ToLower(v)]
		return r.fate != LineNotFound || r.err != nil
	})
}

// settle writes down what a lookup led to. An address of several accounts is nobody's.
func settle(out map[string]resolved, got found, of func(User) string) {
	accounts := map[string][]User{}
	for _, u := range got.users {
		key := strings.ToLower(of(u))
		if _, asked := out[key]; asked && !slices.ContainsFunc(accounts[key], func(o User) bool { return o.ID == u.ID }) {
			accounts[key] = append(accounts[key], u)
		}
	}
	for key, users := range accounts {
		if len(users) == 1 {
			out[key] = resolved{user: users[0], fate: LineMatched}
			continue
		}
		names := make([]string, 0, len(users))
		for _, u := range users {
			names = append(names, nameOf(u.UPN, u.ID))
		}
		slices.Sort(names)
		shown := joined(names[:min(len(names), 5)])
		out[key] = resolved{fate: LineAmbiguous, reason: fmt.Sprintf("%d accounts have this address: %s", len(users), shown)}
	}
	for key, err := range got.failed {
		u := partUsers.unread(err)
		out[key] = resolved{fate: LineUnread, reason: u.Why, err: err}
	}
}

// addressLike reports whether text could be a sign-in name or an address.
func addressLike(text string) bool {
	name, domain, ok := strings.Cut(text, "@")
	return ok && name != "" && domain != "" && len(text) <= maxLine && !strings.ContainsAny(text, " \t\"<>,;()")
}
