package oneshot

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/stack"
)

// text writes a dump for people, until the writer fails or ctx ends.
type text struct {
	ctx context.Context
	w   io.Writer
	err error
}

func (t *text) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format, args...)
	}
}

// ended reports whether there is no use in going on.
func (t *text) ended() bool {
	if t.err == nil && t.ctx.Err() != nil {
		t.err = context.Cause(t.ctx)
	}
	return t.err != nil
}

// stop says for how long the program was stopped, if it was.
func (t *text) stop(d time.Duration) {
	if d > 0 {
		t.printf("\nthe program was stopped for %v\n", d.Round(10*time.Microsecond))
	}
}

// findings writes what stands out, nothing if nothing does.
func (t *text) findings(found []findings.Finding) {
	if len(found) == 0 {
		return
	}
	t.printf("\n%s\n", protocol.FindingsHeading)
	for i, f := range found {
		t.printf("%d. %s\n", i+1, f.Title)
		for _, line := range f.Lines {
			t.printf("     %s\n", line)
		}
	}
}

// maxIDs is how many ids a group shows, unless all are asked for.
const maxIDs = 8

// groups writes the n largest groups.
func (t *text) groups(s *stack.Snapshot, n int, allIDs bool) {
	count := func(groups []stack.Group) (sum int) {
		for _, g := range groups {
			sum += g.Count
		}
		return sum
	}
	selected := ""
	if c := count(s.Groups); c != s.Total {
		selected = fmt.Sprintf(" (of %d)", s.Total)
	}
	t.printf("\n%s%s in %s by identical stacks, %d of the manhole left out:\n",
		plaintext.Plural(count(s.Groups), "goroutine"), selected, plaintext.Plural(len(s.Groups), "group"), s.Excluded)
	t.unread(s)
	shown := s.Groups[:min(n, len(s.Groups))]
	for i := range shown {
		if t.ended() {
			return
		}
		t.printf("\n")
		t.group(&shown[i], fmt.Sprintf("%d (%d%%)", shown[i].Count, 100*shown[i].Count/max(s.Total, 1)), allIDs)
	}
	if hidden := s.Groups[len(shown):]; len(hidden) > 0 {
		t.printf("\n%s more with %s: stacks -n 0\n", plaintext.Plural(len(hidden), "group"), plaintext.Plural(count(hidden), "goroutine"))
	}
	if s.Cut {
		t.printf("\n(cut off: there was more than had been estimated)\n")
	}
	t.printf("\n")
}

// unread reports goroutines that are missing from the groups, or that could not
// be told apart.
func (t *text) unread(s *stack.Snapshot) {
	switch {
	case s.Unread == 0:
	case s.HasMembers:
		t.printf("%s could not be read: %q; stacks -go shows the runtime's own text\n", plaintext.Plural(s.Unread, "goroutine"), s.Unknown)
	case s.Unknown != "":
		t.printf("%s could not be read one by one: %q; so all are shown without ids\n", plaintext.Plural(s.Unread, "goroutine"), s.Unknown)
	default:
		t.printf("%s could not be read: the profile counts more than it shows\n", plaintext.Plural(s.Unread, "goroutine"))
	}
}

// group writes one group, with its number in front.
func (t *text) group(g *stack.Group, number string, allIDs bool) {
	t.printf("%s %s%s%s%s\n", number, g.State, leakedText(g), waitsText(g), labelsText(g))
	t.members(g, allIDs)
	for _, f := range g.Frames {
		t.frame("", f)
	}
	if len(g.Frames) == 0 {
		t.printf("    (not begun yet)\n")
	}
	if g.Deeper {
		t.printf("    ... and more frames, for which the profile has no room\n")
	}
	if g.Creator.Function != "" {
		t.frame("created by ", g.Creator)
	}
}

func (t *text) frame(before string, f stack.Frame) {
	if f.File == "" { // "...23 frames elided..."
		t.printf("    %s%s\n", before, f.Function)
		return
	}
	t.printf("    %s%s  %s:%d\n", before, f.Function, f.File, f.Line)
}

// members writes the ids.
func (t *text) members(g *stack.Group, all bool) {
	if len(g.Members) == 0 {
		return
	}
	shown := g.Members
	if !all {
		shown = shown[:min(len(shown), maxIDs)]
	}
	word := "goroutines"
	if len(g.Members) == 1 {
		word = "goroutine"
	}
	t.printf("    %s", word)
	leaked := g.Leaked()
	least, most := g.Waits()
	for i, m := range shown {
		if i%256 == 0 && t.ended() {
			return
		}
		t.printf(" %d", m.ID)
		if all && least != most && m.Minutes > 0 {
			t.printf(" (%d min)", m.Minutes)
		}
		if m.Locked {
			t.printf(" (locked to its thread)")
		}
		if m.Leaked && leaked < g.Count {
			t.printf(" (leaked)")
		}
	}
	if n := len(g.Members) - len(shown); n > 0 {
		t.printf(" and %d more", n)
	}
	t.printf("\n")
}

// leakedText is the runtime's mark on goroutines that the garbage collector has
// proved leaked.
func leakedText(g *stack.Group) string {
	switch n := g.Leaked(); n {
	case 0:
		return ""
	case g.Count:
		return " (leaked)"
	default:
		return fmt.Sprintf(" (%d leaked)", n)
	}
}

// waitsText is for how long they have waited.
func waitsText(g *stack.Group) string {
	switch least, most := g.Waits(); {
	case most == 0:
		return ""
	case least == most:
		return ", " + plaintext.Plural(most, "minute")
	default:
		return fmt.Sprintf(", %d to %s", least, plaintext.Plural(most, "minute"))
	}
}

// labelsText is the most frequent labels.
func labelsText(g *stack.Group) string {
	const most = 3
	text := ""
	for i, l := range g.Labels {
		if i == most {
			return text + fmt.Sprintf(" and %d other sets of labels", len(g.Labels)-most+g.OtherLabels)
		}
		text += " " + l.Labels
		if l.Count != g.Count {
			text += fmt.Sprintf(" %d times", l.Count)
		}
	}
	return text
}

// change is a group that has grown or shrunk since another dump.
type change struct {
	group    *stack.Group
	was, now int
}

// changes compares two snapshots, largest growth first.
func changes(before, after *stack.Snapshot) []change {
	var all []change
	for i := range after.Groups {
		g := &after.Groups[i]
		c := change{group: g, now: g.Count}
		if old := before.Find(g.Key()); old != nil {
			c.was = old.Count
		}
		if c.was != c.now {
			all = append(all, c)
		}
	}
	for i := range before.Groups {
		if g := &before.Groups[i]; after.Find(g.Key()) == nil {
			all = append(all, change{group: g, was: g.Count})
		}
	}
	slices.SortStableFunc(all, func(a, b change) int { return cmp.Compare(b.now-b.was, a.now-a.was) })
	return all
}

// changes writes what has grown and shrunk since another dump, at most n groups.
func (t *text) changes(before, after *stack.Snapshot, n int) {
	all := changes(before, after)
	if len(all) == 0 {
		t.printf("\nno group has grown or shrunk since the dump before\n\n")
		return
	}
	t.printf("\n%s in %s; since the dump before, %s changed:\n",
		plaintext.Plural(after.Total, "goroutine"), plaintext.Plural(len(after.Groups), "group"), plaintext.Plural(len(all), "group"))
	t.unread(after)
	for _, c := range all[:min(n, len(all))] {
		if t.ended() {
			return
		}
		t.printf("\n")
		t.group(c.group, fmt.Sprintf("%+d (%d, was %d)", c.now-c.was, c.now, c.was), false)
	}
	if n < len(all) {
		t.printf("\n%s more: stacks -diff -n 0\n", plaintext.Plural(len(all)-n, "group"))
	}
	t.printf("\n")
}
