package dump

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/stack"
)

const (
	// screenWidth is the width of a terminal that everybody has.
	screenWidth = 80

	// ScreenLines is the number of lines that Screen writes at most if something
	// stands out, or if the stacks are many. A terminal has 24 lines. The others are for
	// the identity and the vital signs (5) and for the prompt.
	ScreenLines = 24 - 5 - 1

	// fewLines is the number of lines of all groups up to which they are shown on the
	// first screen if nothing stands out.
	fewLines = 60

	// minGroups is how many groups are shown if there are many findings. What a finding says
	// of the goroutine that holds a lock is worth more than a third group.
	minGroups = 2
)

// Screen writes what a person sees on connect: the findings and the largest groups, in
// few lines. If all groups fit, it shows them as Groups does.
func (t *Writer) Screen(found []findings.Finding, s *stack.Snapshot) {
	if len(s.Groups) <= fewLines/2 { // a group has two lines at least
		var all bytes.Buffer
		whole := &Writer{Ctx: t.Ctx, W: &all, view: t.look()}
		whole.Findings(found)
		head := lines(all.Bytes())
		whole.Groups(s, len(s.Groups), false)
		if n := lines(all.Bytes()); n <= ScreenLines || len(found) == 0 && n-head <= fewLines {
			t.Printf("%s", all.Bytes())
			return
		}
	}
	var missing []string
	for _, note := range notes(s) {
		missing = append(missing, wrap(note, 0)...)
	}
	left := ScreenLines - 4 - len(missing) // without the empty line and the heading of both parts
	var others []*stack.Group
	complete := false
	if len(found) == 0 {
		t.Printf("\n%s\n", NothingFound)
		for i := range s.Groups {
			others = append(others, &s.Groups[i])
		}
	} else {
		others = t.others(found, s)
		var text []string
		text, complete = t.briefly(found, left-min(len(others), minGroups))
		t.Printf("\n%s\n%s\n", protocol.FindingsHeading, strings.Join(text, "\n"))
		left -= len(text)
	}
	title := fmt.Sprintf("%s in %s by identical stacks", plaintext.Plural(s.Total, "goroutine"), plaintext.Plural(len(s.Groups), "group"))
	switch {
	case len(found) == 0:
		title += " (stacks shows all):"
	case !complete && len(others) == 0:
		title += " (stacks shows all)"
	case !complete:
		title += "; others (stacks shows all):"
	case len(others) > 0:
		title += "; the largest others:"
	}
	t.Printf("\n%s\n", title)
	for _, line := range missing {
		t.Printf("%s\n", line)
	}
	for _, g := range others {
		line := t.oneLine(g, s)
		if left--; left < 0 || t.Ended() {
			return
		}
		t.Printf("%s\n", line)
	}
}

func lines(text []byte) int { return bytes.Count(text, []byte{'\n'}) }

// others returns the groups whose place is in none of the findings.
func (t *Writer) others(found []findings.Finding, s *stack.Snapshot) (others []*stack.Group) {
	named := make(map[string]bool)
	for _, f := range found {
		for _, line := range f.Lines {
			if p, ok := cutPlace(t.look().line(line)); ok {
				p.before, p.after = "", lineNumber(p.after)
				named[p.String()] = true
			}
		}
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		if at := t.look().sites.Of(g.Frames); at < 0 || !named[t.look().place(g.Frames[at])] {
			others = append(others, g)
		}
	}
	return others
}

// briefly returns the findings in at most n lines, if that is possible. The last line
// says what to type next. complete is that of nextCommands.
func (t *Writer) briefly(found []findings.Finding, n int) (text []string, complete bool) {
	type brief struct {
		must, more []string
	}
	var all []brief
	next, complete := nextCommands(found)
	n -= len(next)
	for i, f := range found {
		b := brief{must: wrap(fmt.Sprintf("%d. %s", i+1, f.Title), 3)}
		for k, line := range f.Lines {
			if k == 0 {
				b.must = append(b.must, t.detail(line)...)
			} else {
				b.more = append(b.more, t.detail(line)...)
			}
		}
		reserve := min(len(found)-i-1, 1) // for the line about the findings that are left out
		if len(all) > 0 && len(b.must)+reserve > n {
			next = append([]string{fmt.Sprintf("and %s: stacks", plaintext.Plural(len(found)-i, "more finding"))}, next...)
			n--
			break
		}
		n -= len(b.must)
		all = append(all, b)
	}
	for _, b := range all {
		more := max(min(len(b.more), n), 0)
		n -= more
		text = append(append(text, b.must...), b.more[:more]...)
	}
	return append(text, next...), complete
}

// detail returns a line of a finding in lines that fit.
func (t *Writer) detail(line string) []string {
	line = "   " + line
	if p, ok := cutPlace(t.look().line(line)); ok {
		return p.lines()
	}
	return wrap(line, 5)
}

// nextCommands returns lines with the commands that show more about the findings. No
// command is on two lines. complete is false if the last line has no room for the command
// that shows all stacks. Then the heading of the groups must name it.
func nextCommands(found []findings.Finding) (lines []string, complete bool) {
	var commands []string
	numbers := make(map[string][]string)
	for i, f := range found {
		if f.Next == "" {
			continue
		}
		if !slices.Contains(commands, f.Next) {
			commands = append(commands, f.Next)
		}
		numbers[f.Next] = append(numbers[f.Next], fmt.Sprint(i+1))
	}
	text := "To see more:"
	for _, c := range commands {
		item := fmt.Sprintf(" %s (%s),", c, strings.Join(numbers[c], ", "))
		if length(text+item) > screenWidth {
			lines, text = append(lines, text), " "
		}
		text += item
	}
	const last = " stacks (all)"
	if length(text+last) > screenWidth {
		return append(lines, strings.TrimSuffix(text, ",")), false
	}
	return append(lines, text+last), true
}

// oneLine returns a group in one line.
func (t *Writer) oneLine(g *stack.Group, s *stack.Snapshot) string {
	text := fmt.Sprintf("%s %s%s%s", number(g, s), g.State, leakedText(g), waitsText(g))
	at := t.look().sites.Of(g.Frames)
	if at < 0 {
		return clip(text, screenWidth)
	}
	p, ok := cutPlace(t.look().place(g.Frames[at]))
	if !ok {
		return clip(text+"  "+g.Frames[at].Function, screenWidth)
	}
	if len(g.Members) == 1 {
		p.before = fmt.Sprintf("%s, goroutine %d  ", text, g.Members[0].ID)
		if length(p.String()) <= screenWidth {
			return p.String()
		}
	}
	p.before = text + "  "
	return p.fit()
}
