package dump

import (
	"context"
	"fmt"
	"io"
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

	view *view // nil: of this program
}

func (t *Writer) look() *view {
	if t.view == nil {
		t.view = newView(nil, new(Options))
	}
	return t.view
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

// NothingFound is written in place of the findings if there are none.
const NothingFound = "Nothing stands out. That proves nothing: the rules know only common faults."

// Findings writes the findings of a whole program.
func (t *Writer) Findings(found []findings.Finding) {
	if len(found) == 0 {
		t.Printf("\n%s\n", NothingFound)
		return
	}
	t.Printf("\n%s\n", protocol.FindingsHeading)
	for i, f := range found {
		t.Printf("%d. %s\n", i+1, f.Title)
		for _, line := range f.Lines {
			t.Printf("     %s\n", t.look().line(line))
		}
		if f.Next != "" {
			t.Printf("     to see more: %s\n", f.Next)
		}
	}
}

// Main writes where the goroutine is that runs the function main, if it is there.
func (t *Writer) Main(s *stack.Snapshot) {
	for i := range s.Groups {
		g := &s.Groups[i]
		if n := len(g.Frames); n > 0 && g.Frames[n-1].Function == "main.main" {
			t.Printf("\nmain is here:\n")
			t.group(g, "1", true)
			return
		}
	}
}

// Groups writes the first n groups of the snapshot, which are the largest. With
// allIDs it writes all ids of a group, not just maxIDs.
func (t *Writer) Groups(s *stack.Snapshot, n int, allIDs bool) {
	t.Printf("\n%s:\n", heading(s))
	t.notes(s)
	shown := s.Groups[:min(n, len(s.Groups))]
	for i := range shown {
		if t.Ended() {
			return
		}
		t.Printf("\n")
		t.group(&shown[i], number(&shown[i], s), allIDs)
	}
	if hidden := s.Groups[len(shown):]; len(hidden) > 0 {
		t.Printf("\n%s more with %s: stacks -n 0\n", plaintext.Plural(len(hidden), "group"), plaintext.Plural(countOf(hidden), "goroutine"))
	}
	if s.Cut {
		t.Printf("\n(cut off: the text is longer than estimated)\n")
	}
	t.Printf("\n")
}

// heading returns the line above the groups, without the colon.
func heading(s *stack.Snapshot) string {
	selected, n := "", countOf(s.Groups)
	if n != s.Total {
		selected = fmt.Sprintf(" (of %d)", s.Total)
	}
	text := fmt.Sprintf("%s%s in %s by identical stacks", plaintext.Plural(n, "goroutine"), selected, plaintext.Plural(len(s.Groups), "group"))
	if s.Excluded > 0 {
		text += fmt.Sprintf(", %d of the manhole left out", s.Excluded)
	}
	return text
}

func countOf(groups []stack.Group) (n int) {
	for _, g := range groups {
		n += g.Count
	}
	return n
}

// fewGoroutines is a number of goroutines. Percentages of fewer say nothing.
const fewGoroutines = 20

// number returns the number in front of a group. It has the share of all goroutines.
func number(g *stack.Group, s *stack.Snapshot) string {
	if share := percent(g, s.Total); share > 0 {
		return fmt.Sprintf("%d (%d%%)", g.Count, share)
	}
	return fmt.Sprint(g.Count)
}

// percent returns the share of a group in all goroutines, or 0 if these are few.
func percent(g *stack.Group, total int) int {
	if total < fewGoroutines {
		return 0
	}
	return 100 * g.Count / total
}

// notes returns lines that say so if goroutines are missing from the groups, or if the
// goroutines could not be read one by one.
func notes(s *stack.Snapshot) (lines []string) {
	unread := plaintext.Plural(s.Unread, "goroutine")
	switch {
	case s.Unread == 0:
	case s.HasMembers:
		lines = append(lines, fmt.Sprintf("%s could not be read: %q; stacks -go shows the runtime's own text", unread, s.Unknown))
	case s.Unknown != "":
		lines = append(lines, fmt.Sprintf("%s could not be read one by one: %q; so all are shown without ids", unread, s.Unknown))
	default:
		lines = append(lines, unread+" could not be read: the profile counts more than it shows")
	}
	if s.NoMembers != "" {
		lines = append(lines, "the goroutines cannot be read one by one: "+s.NoMembers)
	}
	return lines
}

func (t *Writer) notes(s *stack.Snapshot) {
	for _, line := range notes(s) {
		t.Printf("%s\n", line)
	}
}

// group writes one group, with its number in front.
func (t *Writer) group(g *stack.Group, number string, allIDs bool) {
	t.groupWith(g, number, func() { t.members(g, allIDs) })
}

// groupWith writes one group. The function members writes its ids.
func (t *Writer) groupWith(g *stack.Group, number string, members func()) {
	t.Printf("%s %s%s%s%s\n", number, g.State, leakedText(g), waitsText(g), labelsText(g))
	members()
	t.frames(g.Frames)
	switch {
	case g.LastCalls:
		t.Printf("    (it runs: these are its last calls, and the inner ones may be over)\n")
	case len(g.Frames) > 0:
	case g.State == "running":
		t.Printf("    (where it is cannot be read while it runs)\n")
	default:
		t.Printf("    (not begun yet)\n")
	}
	if g.Deeper {
		t.Printf("    ... and more frames, for which the profile has no room\n")
	}
	if g.Creator.Function != "" {
		t.Printf("    created by %s\n", t.look().place(g.Creator))
	}
	if g.Stacks > 1 {
		t.Printf("    (%d stacks, which differ only in depth or in library frames: stacks -frames)\n", g.Stacks)
	}
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
			return text + " and " + plaintext.Plural(len(g.Labels)-most+g.OtherLabels, "other set") + " of labels"
		}
		text += " " + l.Labels
		if l.Count != g.Count {
			text += " " + plaintext.Plural(int(l.Count), "time")
		}
	}
	return text
}
