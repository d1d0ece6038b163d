package dump

import (
	"fmt"
	"sort"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// change is a group that has grown or shrunk since another dump.
type change struct {
	group      *stack.Group
	was, now   int
	came, left []stack.Goroutine // nil if the members are not known
}

// changes compares two snapshots. It returns the groups that differ, largest growth
// first, and how many goroutines have replaced others in groups that are as large as
// before.
func changes(before, after *stack.Snapshot) (all []change, replaced int) {
	for i := range after.Groups {
		g := &after.Groups[i]
		c := change{group: g, now: g.Count, came: g.Members}
		if old := before.Find(g.Key()); old != nil {
			c.was = old.Count
			c.came, c.left = difference(old.Members, g.Members)
		}
		switch {
		case c.was != c.now:
			all = append(all, c)
		default:
			replaced += len(c.came)
		}
	}
	for i := range before.Groups {
		if g := &before.Groups[i]; after.Find(g.Key()) == nil {
			all = append(all, change{group: g, was: g.Count, left: g.Members})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].now-all[i].was > all[j].now-all[j].was })
	return all, replaced
}

// difference returns the goroutines that are only in the one or only in the other
// list. Both are ordered by id. If a list is nil, its goroutines are not known.
func difference(before, after []stack.Goroutine) (came, left []stack.Goroutine) {
	if before == nil || after == nil {
		return nil, nil
	}
	for len(before) > 0 && len(after) > 0 {
		switch a, b := before[0], after[0]; {
		case a.ID == b.ID:
			before, after = before[1:], after[1:]
		case a.ID < b.ID:
			left, before = append(left, a), before[1:]
		default:
			came, after = append(came, b), after[1:]
		}
	}
	return append(came, after...), append(left, before...)
}

// Changes writes the groups that have grown or shrunk from before to after, at most
// n of them, and which goroutines have come and left.
func (t *Writer) Changes(before, after *stack.Snapshot, n int) {
	all, replaced := changes(before, after)
	if len(all) == 0 {
		t.Printf("\nno group has grown or shrunk since the dump before\n")
	} else {
		t.Printf("\n%s in %s; since the dump before, %s changed:\n",
			plaintext.Plural(after.Total, "goroutine"), plaintext.Plural(len(after.Groups), "group"), plaintext.Plural(len(all), "group"))
		t.notes(after)
	}
	for _, c := range all[:min(n, len(all))] {
		if t.Ended() {
			return
		}
		t.Printf("\n")
		t.groupWith(c.group, fmt.Sprintf("%+d (%d, was %d)", c.now-c.was, c.now, c.was), func() {
			none := func(stack.Goroutine) string { return "" }
			t.ids("new here: goroutine", c.came, false, none)
			t.ids("gone: goroutine", c.left, false, none)
		})
	}
	if n < len(all) {
		t.Printf("\n%s more: stacks -diff -n 0\n", plaintext.Plural(len(all)-n, "group"))
	}
	if replaced > 0 {
		t.Printf("\nin groups that are as large as before, %s replaced others\n", plaintext.Plural(replaced, "goroutine"))
	}
	t.Printf("\n")
}
