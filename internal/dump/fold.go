package dump

import (
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/stack"
)

// view is how stacks are shown.
type view struct {
	sites  *findings.Sites
	paths  *paths
	frames bool // all frames are shown, and every stack is a group of its own
}

// newView returns the view of a program with this build information, or of this
// program if build is nil.
func newView(build *debug.BuildInfo, o *Options) *view {
	if build == nil {
		build, _ = debug.ReadBuildInfo() // nil without build information
	}
	v := &view{sites: Code(build).Sites(), paths: newPaths(build), frames: o.Frames}
	if o.Paths {
		v.paths = nil
	}
	return v
}

// telling returns the frames that tell the groups of a dump apart. Groups that differ
// only in the other frames are shown as one. These others are the frames of libraries,
// and the frames of a recursion after the innermost one.
func (v *view) telling(g *stack.Group) []stack.Frame {
	at := v.sites.Of(g.Frames)
	switch {
	case at < 0:
		return nil
	case !v.sites.Own(g.Frames[at]): // then there are no frames of the program
		return g.Frames[at : at+1]
	}
	kept := make([]stack.Frame, 1, len(g.Frames)-at)
	kept[0] = g.Frames[at]
	for _, f := range g.Frames[at+1:] {
		if v.sites.Own(f) && !slices.ContainsFunc(kept, func(k stack.Frame) bool { return k.Function == f.Function }) {
			kept = append(kept, f)
		}
	}
	return kept
}

// fold returns the frames of a group that are shown. text is in place of the frames of
// libraries inside the program's own code; it is empty if there are none.
func (v *view) fold(frames []stack.Frame) (text string, rest []stack.Frame) {
	at := v.sites.Of(frames)
	if v.frames || at < 2 { // the place of one frame is as short as the text
		return "", frames
	}
	return fmt.Sprintf("%s (%d library frames)", frames[at-1].Function, at), frames[at:]
}

// place returns the place of a frame as it is shown.
func (v *view) place(f stack.Frame) string {
	if f.File == "" { // "...23 frames elided..."
		return f.Function
	}
	return fmt.Sprintf("%s  %s:%d", f.Function, v.paths.short(f.Function, f.File), f.Line)
}

// line returns a line of a finding with a short path.
func (v *view) line(text string) string {
	p, ok := cutPlace(text)
	if !ok {
		return text
	}
	p.file = v.paths.short(p.function, p.file)
	return p.String()
}
