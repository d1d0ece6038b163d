package stack

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
)

// Own tells by the name of a function on its stack that a goroutine is not the
// program's, and to be left out.
type Own func(function string) bool

// Profile takes the goroutine profile, which stops the program twice and very
// shortly, not for the length of the dump (goroutineProfileWithLabelsConcurrent
// in the runtime's mprof.go).
//
// The stacks are of up to 128 frames, the runtime's own on top included, which
// tell what a goroutine waits for. (runtime.GoroutineProfile has 32 frames, and
// neither those nor labels.)
func Profile(own Own) (*Snapshot, error) { return profile(own, false) }

// Labeled is the part of the profile with the goroutines that have labels.
func Labeled(own Own) (*Snapshot, error) { return profile(own, true) }

func profile(own Own, labeled bool) (*Snapshot, error) {
	p := profiler{own: own, labeled: labeled}
	if !p.records() {
		if err := p.text(); err != nil {
			return nil, err
		}
	}
	return p.snapshot(), nil
}

// SlowProfile returns why Profile takes more time and memory than it could, or
// an empty string if it does not.
func SlowProfile() string {
	if recordsKnown {
		return ""
	}
	return "goroutine profiles are read as text, which takes a large program up to twice the time and four times the memory: " +
		"this version of oneshot does not know the profile records of " + runtime.Version() +
		", or was built with the tag oneshot_portable"
}

// profiler makes groups of the stacks of a profile.
type profiler struct {
	own     Own
	labeled bool // only those that are

	groups []Group
	left   int             // goroutines of the manhole, left out
	unread int             // goroutines that the profile counts and does not show
	frames []runtime.Frame // reused from stack to stack
}

func (p *profiler) snapshot() *Snapshot {
	s := newSnapshot(p.groups)
	s.Own, s.Unread = p.left, p.unread
	return s
}

// add adds a group of goroutines and returns its place in p.groups, or -1 if
// they are left out.
func (p *profiler) add(count int, stack []uintptr) int {
	p.frames = appendFrames(p.frames[:0], stack)
	if slices.ContainsFunc(p.frames, func(f runtime.Frame) bool { return p.own(f.Function) }) {
		p.left += count
		return -1
	}
	g := Group{Count: count, State: state(p.frames)}
	if n := len(p.frames); n > 0 {
		g.Deeper = p.frames[n-1].Function != goexit
		g.Frames = trim(plain(p.frames))
	}
	p.groups = append(p.groups, g)
	return len(p.groups) - 1
}

// text reads the profile in its text form, which has the program counters.
func (p *profiler) text() error {
	r := profileReader{profiler: p}
	if err := pprof.Lookup("goroutine").WriteTo(&r, 1); err != nil {
		return err
	}
	p.unread = max(0, r.total-r.read)
	if p.labeled {
		p.groups = slices.DeleteFunc(p.groups, func(g Group) bool { return len(g.Labels) == 0 })
	}
	return r.err
}

// profileReader reads the text form of a goroutine profile while it is being
// written, so that it need not stand in memory. Of each group it takes
//
//	3 @ 0x47d24e 0x4156f4 ...
//	# labels: {"key":"value"}
type profileReader struct {
	*profiler
	last  int // the group of the last stack
	total int // goroutines that there are
	read  int // goroutines with a stack
	rest  []byte
	stack []uintptr // reused from line to line
	err   error
}

func (r *profileReader) Write(p []byte) (int, error) {
	written := len(p)
	for {
		text, rest, ended := bytes.Cut(p, []byte{'\n'})
		r.rest = append(r.rest, text...)
		if !ended {
			return written, nil
		}
		p = rest
		r.line(r.rest)
		r.rest = r.rest[:0]
	}
}

func (r *profileReader) line(text []byte) {
	if labels, ok := bytes.CutPrefix(text, []byte("# labels: ")); ok && len(r.groups) > 0 && r.last >= 0 {
		g := &r.groups[r.last]
		g.addLabels(func() string { return string(labels) }, g.Count)
		return
	}
	if total, ok := bytes.CutPrefix(text, []byte("goroutine profile: total ")); ok {
		var err error
		if r.total, err = strconv.Atoi(string(total)); err != nil {
			r.fail(text)
		}
		return
	}
	count, pcs, ok := bytes.Cut(text, []byte(" @"))
	if !ok || text[0] == '#' {
		return
	}
	n, err := strconv.Atoi(string(count))
	if err != nil {
		r.fail(text)
		return
	}
	r.stack = r.stack[:0]
	for field := range bytes.FieldsSeq(pcs) {
		pc, err := strconv.ParseUint(string(field), 0, 64)
		if err != nil {
			r.fail(text)
			return
		}
		r.stack = append(r.stack, uintptr(pc))
	}
	r.read += n
	r.last = r.add(n, r.stack)
}

func (r *profileReader) fail(line []byte) {
	r.err = fmt.Errorf("goroutine profile: unknown line %.80q", line)
}

// Symbolize turns program counters, as runtime.Callers and the profiles have
// them, into frames.
func Symbolize(stack []uintptr) []Frame { return trim(plain(appendFrames(nil, stack))) }

func appendFrames(frames []runtime.Frame, stack []uintptr) []runtime.Frame {
	if len(stack) == 0 {
		return frames
	}
	for it, more := runtime.CallersFrames(stack), true; more; {
		var f runtime.Frame
		if f, more = it.Next(); f.Function != "" {
			frames = append(frames, f)
		}
	}
	return frames
}

func plain(frames []runtime.Frame) []Frame {
	kept := make([]Frame, len(frames))
	for i, f := range frames {
		kept[i] = Frame{f.Function, f.File, f.Line}
	}
	return kept
}
