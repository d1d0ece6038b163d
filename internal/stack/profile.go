package stack

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
)

// Exclude reports whether to leave out the goroutines that have the function on
// their stack. The manhole leaves out its own goroutines.
type Exclude func(function string) bool

// Profile takes the goroutine profile. It stops the program twice, each time for
// an instant, and not while it collects the stacks
// (goroutineProfileWithLabelsConcurrent in the runtime's mprof.go).
//
// A stack has up to 128 frames. They include the runtime's own frames on top,
// which show what the goroutine waits for. (runtime.GoroutineProfile returns 32
// frames, without the runtime's own, and no labels.)
func Profile(exclude Exclude) (*Snapshot, error) { return profile(exclude, false) }

// Labeled returns the part of the profile with the goroutines that have labels.
func Labeled(exclude Exclude) (*Snapshot, error) { return profile(exclude, true) }

func profile(exclude Exclude, labeled bool) (*Snapshot, error) {
	p := profiler{exclude: exclude, labeled: labeled}
	if !p.records() {
		if err := p.text(); err != nil {
			return nil, err
		}
	}
	return p.snapshot(), nil
}

// SlowProfile returns the reason why Profile takes more time and memory than
// necessary. It returns an empty string if Profile takes the fast way.
func SlowProfile() string {
	if recordsKnown {
		return ""
	}
	return "goroutine profiles are read as text; in a large program this takes up to twice the time and four times the memory: " +
		"this version of oneshot does not know the profile records of " + runtime.Version() +
		", or was built with the tag oneshot_portable"
}

// profiler groups the stacks of a profile.
type profiler struct {
	exclude Exclude
	labeled bool // only goroutines with labels

	groups   []Group
	excluded int             // goroutines for which exclude returned true
	unread   int             // goroutines that the profile counts but does not show
	frames   []runtime.Frame // reused from stack to stack
}

// snapshot returns the groups as a Snapshot.
func (p *profiler) snapshot() *Snapshot {
	s := newSnapshot(p.groups)
	s.Excluded, s.Unread = p.excluded, p.unread
	return s
}

// add adds a group of goroutines and returns its index in p.groups, or -1 if it
// leaves them out.
func (p *profiler) add(count int, stack []uintptr) int {
	p.frames = appendFrames(p.frames[:0], stack)
	if slices.ContainsFunc(p.frames, func(f runtime.Frame) bool { return p.exclude(f.Function) }) {
		p.excluded += count
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

// text reads the profile in its text form, which contains the program counters.
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

// profileReader parses the text form of a goroutine profile while it is being
// written, so that the whole text is never in memory. It uses these lines of each
// group:
//
//	3 @ 0x47d24e 0x4156f4 ...
//	# labels: {"key":"value"}
type profileReader struct {
	*profiler
	last  int       // the index of the group of the last stack; -1 if the stack was left out
	total int       // goroutines according to the first line of the profile
	read  int       // goroutines with a stack
	begun []byte    // the beginning of a line whose end is not written yet
	stack []uintptr // reused from line to line
	err   error
}

// Write parses the complete lines in p and keeps the rest for the next call.
func (r *profileReader) Write(p []byte) (int, error) {
	written := len(p)
	for {
		text, rest, ended := bytes.Cut(p, []byte{'\n'})
		r.begun = append(r.begun, text...)
		if !ended {
			return written, nil
		}
		p = rest
		r.line(r.begun)
		r.begun = r.begun[:0]
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

// Symbolize converts program counters, as runtime.Callers and the profiles return
// them, to frames.
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
