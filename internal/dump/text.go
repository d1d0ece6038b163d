package dump

import (
	"context"
	"fmt"
	"io"
	"sort"
	"time"

	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/stack"
)

// Writer writes a dump for people to W. It stops when W returns an error or Ctx
// ends.
type Writer struct {
	Ctx context.Context
	W   io.Writer
	Err error // the first error of W, or the cause of the end of Ctx
}

// Printf writes to W, unless there was an error before. It is not inlined, because
// that would make each of its many callers larger.
//
//go:noinline
func (t *Writer) Printf(format string, args ...any) {
	if t.Err == nil {
		_, t.Err = fmt.Fprintf(t.W, format, args...)
	}
}

// Ended reports whether writing more is useless: W has failed or Ctx has ended.
func (t *Writer) Ended() bool {
	if t.Err == nil && t.Ctx.Err() != nil {
		t.Err = context.Cause(t.Ctx)
	}
	return t.Err != nil
}

// Stop writes for how long the program was stopped. It writes nothing if d is 0.
func (t *Writer) Stop(d time.Duration) {
	if d > 0 {
		t.Printf("\nthe program was stopped for %v\n", d.Round(10*time.Microsecond))
	}
}

// Findings writes the findings. It writes nothing if there are none.
func (t *Writer) Findings(found []findings.Finding) {
	if len(found) == 0 {
		return
	}
	t.Printf("\n%s\n", protocol.FindingsHeading)
	for i, f := range found {
		t.Printf("%d. %s\n", i+1, f.Title)
		for _, line := range f.Lines {
			t.Printf("     %s\n", line)
		}
	}
}

// Groups writes the first n groups of the snapshot, which are the largest. With
// allIDs it writes all ids of a group, not just maxIDs.
func (t *Writer) Groups(s *stack.Snapshot, n int, allIDs bool) {
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
	t.Printf("\n%s%s in %s by identical stacks, %d of the manhole left out:\n",
		plaintext.Plural(count(s.Groups), "goroutine"), selected, plaintext.Plural(len(s.Groups), "group"), s.Excluded)
	t.unread(s)
	shown := s.Groups[:min(n, len(s.Groups))]
	for i := range shown {
		if t.Ended() {
			return
		}
		t.Printf("\n")
		t.group(&shown[i], fmt.Sprintf("%d (%d%%)", shown[i].Count, 100*shown[i].Count/max(s.Total, 1)), allIDs)
	}
	if hidden := s.Groups[len(shown):]; len(hidden) > 0 {
		t.Printf("\n%s more with %s: stacks -n 0\n", plaintext.Plural(len(hidden), "group"), plaintext.Plural(count(hidden), "goroutine"))
	}
	if s.Cut {
		t.Printf("\n(cut off: there was more than had been estimated)\n")
	}
	t.Printf("\n")
}

// unread writes a note if goroutines are missing from the groups, or if the
// goroutines could not be read one by one.
func (t *Writer) unread(s *stack.Snapshot) {
	switch {
	case s.Unread == 0:
	case s.HasMembers:
		t.Printf("%s could not be read: %q; stacks -go shows the runtime's own text\n", plaintext.Plural(s.Unread, "goroutine"), s.Unknown)
	case s.Unknown != "":
		t.Printf("%s could not be read one by one: %q; so all are shown without ids\n", plaintext.Plural(s.Unread, "goroutine"), s.Unknown)
	default:
		t.Printf("%s could not be read: the profile counts more than it shows\n", plaintext.Plural(s.Unread, "goroutine"))
	}
}

// group writes one group, with its number in front.
func (t *Writer) group(g *stack.Group, number string, allIDs bool) {
	t.Printf("%s %s%s%s%s\n", number, g.State, leakedText(g), waitsText(g), labelsText(g))
	t.members(g, allIDs)
	t.frames(g.Frames)
	switch {
	case len(g.Frames) > 0:
	case g.State == "running":
		t.Printf("    (where it is cannot be read from outside)\n")
	default:
		t.Printf("    (not begun yet)\n")
	}
	if g.Deeper {
		t.Printf("    ... and more frames, for which the profile has no room\n")
	}
	if g.Creator.Function != "" {
		t.frame("created by ", g.Creator)
	}
}

func (t *Writer) frame(before string, f stack.Frame) {
	if f.File == "" { // "...23 frames elided..."
		t.Printf("    %s%s\n", before, f.Function)
		return
	}
	t.Printf("    %s%s  %s:%d\n", before, f.Function, f.File, f.Line)
}

// leakedText returns the runtime's mark "(leaked)" if the garbage collector has
// proved that goroutines of the group are leaked.
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

// waitsText returns how long the goroutines of a group have waited.
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

// labelsText returns the most frequent labels of a group.
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

// changes compares two snapshots. It returns the groups that differ, largest growth
// first.
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
	sort.SliceStable(all, func(i, j int) bool { return all[i].now-all[i].was > all[j].now-all[j].was })
	return all
}

// Changes writes the groups that have grown or shrunk from before to after, at most
// n of them.
func (t *Writer) Changes(before, after *stack.Snapshot, n int) {
	all := changes(before, after)
	if len(all) == 0 {
		t.Printf("\nno group has grown or shrunk since the dump before\n\n")
		return
	}
	t.Printf("\n%s in %s; since the dump before, %s changed:\n",
		plaintext.Plural(after.Total, "goroutine"), plaintext.Plural(len(after.Groups), "group"), plaintext.Plural(len(all), "group"))
	t.unread(after)
	for _, c := range all[:min(n, len(all))] {
		if t.Ended() {
			return
		}
		t.Printf("\n")
		t.group(c.group, fmt.Sprintf("%+d (%d, was %d)", c.now-c.was, c.now, c.was), false)
	}
	if n < len(all) {
		t.Printf("\n%s more: stacks -diff -n 0\n", plaintext.Plural(len(all)-n, "group"))
	}
	t.Printf("\n")
}
