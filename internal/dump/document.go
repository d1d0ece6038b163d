package dump

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/stack"
)

// This file: a dump as a JSON document. It has what the text has.

// ScreenGroups is how many groups the document of the first screen has. The text never
// has more.
const ScreenGroups = fewLines / 2

// Document returns the findings and the first n groups of the snapshot. The groups are
// made when the document is written: there may be very many. With allIDs, it has the ids
// of all goroutines.
func (d *Dump) Document(found []findings.Finding, s *stack.Snapshot, n int, allIDs bool) document.Goroutines {
	v := d.look()
	shown, hidden := s.Groups[:min(n, len(s.Groups))], s.Groups[min(n, len(s.Groups)):]
	return document.Goroutines{
		Searched: !d.part(), Findings: v.findings(found),
		Total: s.Total, Selected: countOf(s.Groups), Excluded: s.Excluded, Unread: s.Unread, Notes: notes(s), Cut: s.Cut,
		GroupCount: len(s.Groups), MoreGroups: len(hidden), MoreGoroutines: countOf(hidden),
		Stream: func(yield func(any) bool) {
			for i := range shown {
				if !yield(v.document(&shown[i], s.Total, allIDs)) {
					return
				}
			}
		},
	}
}

// Changes returns the groups that have grown or shrunk from before to after, at most n.
func (d *Dump) Changes(before, after *stack.Snapshot, n int) *document.Changes {
	all, replaced := changes(before, after)
	shown := all[:min(n, len(all))]
	c := &document.Changes{GroupCount: len(all), MoreGroups: len(all) - len(shown), Replaced: replaced}
	for _, one := range shown {
		group := d.look().document(one.group, after.Total, false)
		group.Count, group.Percent, group.Goroutines, group.MoreIDs = one.now, 0, nil, 0
		change := document.Change{Growth: one.now - one.was, Was: one.was, Group: group}
		change.Came, change.MoreCame = members(one.came, false)
		change.Left, change.MoreLeft = members(one.left, false)
		c.Groups = append(c.Groups, change)
	}
	return c
}

func (v *view) findings(found []findings.Finding) (all []document.Finding) {
	for _, f := range found {
		one := document.Finding{Rule: f.Rule, Title: f.Title, Next: f.Next}
		for _, line := range f.Lines {
			one.Lines = append(one.Lines, v.line(line))
			if p, ok := cutPlace(v.line(line)); ok {
				number, _ := strconv.Atoi(strings.TrimPrefix(lineNumber(p.after), ":")) // digits
				one.Places = append(one.Places, document.Frame{Function: p.function, File: p.file, Line: number})
			}
		}
		all = append(all, one)
	}
	return all
}

// document returns a group. total is the number of all goroutines.
func (v *view) document(g *stack.Group, total int, allIDs bool) document.Group {
	telling := g.Frames
	if !v.frames {
		telling = v.telling(g)
	}
	d := document.Group{
		Key: key(g.State, telling), Stack: key("", telling),
		Count: g.Count, Percent: percent(g, total), State: g.State, Leaked: g.Leaked(), OtherLabels: g.OtherLabels, Deeper: g.Deeper, LastCalls: g.LastCalls,
	}
	d.Least, d.Most = g.Waits()
	for _, l := range g.Labels {
		d.Labels = append(d.Labels, document.LabelCount{Labels: l.Labels, Count: l.Count})
	}
	d.Goroutines, d.MoreIDs = members(g.Members, allIDs)
	for _, f := range g.Frames {
		d.Frames = append(d.Frames, v.frame(f))
	}
	at := v.sites.Of(g.Frames)
	if at >= 0 {
		d.Site = &d.Frames[at]
	}
	if text, _ := v.fold(g.Frames); text != "" {
		d.LibraryFrames = at
	}
	for i := d.LibraryFrames; i < len(g.Frames); {
		cycle, repeats := recursion(g.Frames[i:])
		if repeats > 0 {
			d.Recursions = append(d.Recursions, document.Recursion{At: i, Frames: cycle, Times: repeats + 1, More: repeats})
		}
		i += cycle * (repeats + 1)
	}
	if g.Creator.Function != "" {
		creator := v.frame(g.Creator)
		d.CreatedBy = &creator
	}
	if g.Stacks > 1 {
		d.Stacks = g.Stacks
	}
	return d
}

// frame returns a frame as it is shown.
func (v *view) frame(f stack.Frame) document.Frame {
	if f.File == "" { // "...23 frames elided..."
		return document.Frame{Function: f.Function}
	}
	return document.Frame{Function: f.Function, File: v.paths.short(f.Function, f.File), Line: f.Line}
}

func key(state string, frames []stack.Frame) string {
	return fmt.Sprintf("%016x", stack.Identity(state, frames))
}

// members returns the goroutines of a group, or the first maxIDs of them, and how many
// it leaves out. With all, those that follow each other and differ in nothing are one
// element.
func members(members []stack.Goroutine, all bool) (list []document.Goroutine, more int) {
	shown := members
	if !all {
		shown = shown[:min(len(shown), maxIDs)]
	}
	for _, m := range shown {
		if n := len(list) - 1; all && n >= 0 {
			last := &list[n]
			if m.ID == max(last.ID, last.To)+1 && m.Minutes == last.Minutes && m.Locked == last.Locked && m.Leaked == last.Leaked {
				last.To = m.ID
				continue
			}
		}
		list = append(list, document.Goroutine{ID: m.ID, Minutes: m.Minutes, Locked: m.Locked, Leaked: m.Leaked})
	}
	return list, len(members) - len(shown)
}

// One returns the group of a goroutine whose text has the form of a traceback.
func (d *Dump) One(text string) document.Group {
	c := stack.NewCollector(func(string) bool { return false })
	c.Add([]byte(text), 0)
	s := c.Snapshot()
	if len(s.Groups) == 0 { // a form that is not known
		return document.Group{}
	}
	return d.look().document(&s.Groups[0], 1, true)
}
