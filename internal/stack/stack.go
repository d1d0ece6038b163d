// Package stack takes the stacks of all goroutines of the process and groups
// them. A profile does so without stopping the program for longer than an
// instant, and without knowing which goroutine is which; a trace stops it, and
// knows.
package stack

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// Frame is one function call of a stack. Calls that the compiler inlined are
// frames like any other.
type Frame struct {
	Function string // with the import path of its package in front
	File     string
	Line     int
}

// Goroutine is what a trace knows of one goroutine.
type Goroutine struct {
	ID      uint64
	Parent  uint64 // the goroutine that started it; 0 if not known
	Minutes int    // for which it has waited, as far as the collector has seen
	Locked  bool   // to its thread
	Leaked  bool   // the garbage collector has proved that nothing can wake it
}

// Group is some goroutines that wait for the same, with the same stack.
type Group struct {
	Count       int
	State       string       // what they wait for in the runtime's words, without marks; or runnable, running, syscall
	Labels      []LabelCount // pprof labels, the most frequent first; 100 at most
	OtherLabels int          // sets of labels that are not among those
	Frames      []Frame      // innermost first, without the runtime's own on top and at the entry
	Deeper      bool         // there are frames beyond the last that the profile has no room for
	Creator     Frame        // the go statement; zero if not known
	Members     []Goroutine  // by id; nil in a profile

	key uint64 // of the state and the frames
}

// LabelCount is a set of pprof labels, and how many goroutines have it.
type LabelCount struct {
	Labels string
	Count  int
}

// Snapshot is the groups of one moment, the largest first. Every goroutine of
// the program is in Total, Own or Unread, unless the trace was cut.
type Snapshot struct {
	Groups []Group
	Total  int  // goroutines in the groups
	Own    int  // goroutines of the manhole, which were left out
	Unread int  // goroutines that could not be read, since they are in an unknown form
	Traced bool // the groups have members
	Cut    bool // the trace was longer than the room for it

	// Unknown is the beginning of the first goroutine that could not be read.
	// It is to be quoted before it is shown.
	Unknown string

	index map[uint64]int // made by Find, of the groups as they are then
}

// newSnapshot joins groups that read the same (their program counters may
// differ within a line) and sorts them.
func newSnapshot(groups []Group) *Snapshot {
	s := &Snapshot{}
	index := make(map[uint64]int, len(groups))
	for _, g := range groups {
		s.Total += g.Count
		g.key = g.hash()
		i, known := index[g.key]
		if !known {
			index[g.key] = len(s.Groups)
			s.Groups = append(s.Groups, g)
			continue
		}
		to := &s.Groups[i]
		to.Count += g.Count
		to.Members = append(to.Members, g.Members...)
		for _, l := range g.Labels {
			to.addLabels(func() string { return l.Labels }, l.Count)
		}
		to.OtherLabels += g.OtherLabels
	}
	for _, g := range s.Groups {
		sort.SliceStable(g.Labels, func(i, j int) bool {
			a, b := g.Labels[i], g.Labels[j]
			return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Labels, b.Labels)) < 0
		})
		sort.Sort(byID(g.Members))
	}
	sort.Sort(bySize(s.Groups))
	return s
}

// There may be very many groups and goroutines. sort.Sort is at least as fast as
// sort.Slice and slices.SortFunc, and adds less to the program than a copy of
// slices.SortFunc for each type.
type (
	bySize []Group
	byID   []Goroutine
)

func (s byID) Len() int           { return len(s) }
func (s byID) Less(i, j int) bool { return s[i].ID < s[j].ID }
func (s byID) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

func (s bySize) Len() int      { return len(s) }
func (s bySize) Swap(i, j int) { s[i], s[j] = s[j], s[i] }

func (s bySize) Less(i, j int) bool {
	a, b := &s[i], &s[j]
	if a.Count != b.Count {
		return a.Count > b.Count
	}
	if c := compareFrames(a.Frames, b.Frames); c != 0 {
		return c < 0
	}
	return a.State < b.State
}

func compareFrames(a, b []Frame) int {
	return slices.CompareFunc(a, b, func(a, b Frame) int {
		return cmp.Or(strings.Compare(a.Function, b.Function), strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}

// maxLabels is how many different sets of labels a group remembers: enough to
// see what most have, where every request has its own.
const maxLabels = 100

func (g *Group) addLabels(labels func() string, count int) {
	if len(g.Labels) == maxLabels {
		g.OtherLabels++
		return
	}
	text := labels()
	for i := range g.Labels {
		if g.Labels[i].Labels == text {
			g.Labels[i].Count += count
			return
		}
	}
	g.Labels = append(g.Labels, LabelCount{text, count})
}

// Waits is for how many minutes the members have waited, from the shortest to
// the longest. Zero is less than one, or not known.
func (g *Group) Waits() (least, most int) {
	for i, m := range g.Members {
		if i == 0 {
			least = m.Minutes
		}
		least, most = min(least, m.Minutes), max(most, m.Minutes)
	}
	return least, most
}

// Leaked returns how many members the garbage collector has proved leaked.
func (g *Group) Leaked() (n int) {
	for _, m := range g.Members {
		if m.Leaked {
			n++
		}
	}
	return n
}

// The FNV-1a hash, 64 bits: two of a million groups meet once in 37 million
// programs.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func hashString[T string | []byte](h uint64, s T) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return (h ^ 0xff) * fnvPrime // a byte that no text has
}

// hash is that of the state and the frames.
func (g *Group) hash() uint64 {
	h := hashString(fnvOffset, g.State)
	for _, f := range g.Frames {
		h = hashString(h, f.Function)
		h = hashString(h, f.File)
		h = (h ^ uint64(f.Line)) * fnvPrime
	}
	return h
}

// Key names the group in any snapshot of this process.
func (g *Group) Key() uint64 { return g.key }

// AddLabels takes the labels of goroutines with the same frames from a profile;
// a trace does not have them.
func (s *Snapshot) AddLabels(profile *Snapshot) {
	for i := range s.Groups {
		if p := profile.Find(s.Groups[i].key); p != nil {
			s.Groups[i].Labels, s.Groups[i].OtherLabels = p.Labels, p.OtherLabels
		}
	}
}

// trim leaves out the frames in which every goroutine of its kind is parked, and
// those of the runtime that a traceback does not show either (showframe in
// traceback.go). A stack of nothing else stays as it is.
func trim(frames []Frame) []Frame {
	top := 0
	for top < len(frames) && hidden(frames[top].Function) {
		top++
	}
	kept := make([]Frame, 0, len(frames)-top)
	for _, f := range frames[top:] {
		if f.Function == "runtime.gopanic" {
			f.Function = "panic" // as a traceback has it
		}
		if name, ok := strings.CutPrefix(f.Function, "runtime."); ok && (name[0] < 'A' || name[0] > 'Z') {
			continue
		}
		kept = append(kept, f)
	}
	if len(kept) == 0 {
		return frames
	}
	return kept
}

const goexit = "runtime.goexit"

// hidden reports whether a function is the runtime's, be it under another
// package's name, such as internal/poll.runtime_pollWait.
func hidden(function string) bool {
	if strings.HasPrefix(function, "runtime.") {
		return true
	}
	_, name := splitFunction(function)
	return strings.HasPrefix(name, "runtime_")
}

// splitFunction parts example.com/m/pkg.(*T).Method into package and the rest.
func splitFunction(function string) (pkg, name string) {
	slash := strings.LastIndexByte(function, '/') + 1
	if bracket := strings.IndexByte(function, '['); bracket >= 0 && bracket < slash {
		slash = strings.LastIndexByte(function[:bracket], '/') + 1
	}
	dot := strings.IndexByte(function[slash:], '.')
	if dot < 0 {
		return function, ""
	}
	return function[:slash+dot], function[slash+dot+1:]
}

// Package is the import path of the function's package. (A dot in its last
// element reads %2e there, as the linker writes it.)
func (f Frame) Package() string {
	pkg, _ := splitFunction(f.Function)
	return pkg
}

// Receiver is the type that the function, or the one that its literal stands
// in, is a method of, with its package in front; empty for a plain function.
func (f Frame) Receiver() string {
	pkg, name := splitFunction(f.Function)
	if strings.HasPrefix(name, "(*") {
		typ, _, _ := strings.Cut(name[2:], ")")
		return pkg + "." + typ
	}
	typ, method, ok := strings.Cut(name, ".")
	if !ok || literal(method) {
		return ""
	}
	return pkg + "." + typ
}

// literal reports whether the rest of a name after a function's is that of a
// function literal in it: func1, func1.2, 1, gowrap1, deferwrap2.
func literal(rest string) bool {
	first, _, _ := strings.Cut(rest, ".")
	first = strings.TrimRight(first, "0123456789")
	switch first {
	case "", "func", "gowrap", "deferwrap", "-range":
		return true
	}
	return false
}

// Find is the group of that key, nil if there is none. It is not to be called
// from two goroutines at once.
func (s *Snapshot) Find(key uint64) *Group {
	if s.index == nil {
		s.index = make(map[uint64]int, len(s.Groups))
		for i, g := range s.Groups {
			s.index[g.key] = i
		}
	}
	if i, ok := s.index[key]; ok {
		return &s.Groups[i]
	}
	return nil
}

// Has reports whether a goroutine is a member of the group.
func (g *Group) Has(id uint64) bool {
	_, ok := slices.BinarySearchFunc(g.Members, id, func(m Goroutine, id uint64) int { return cmp.Compare(m.ID, id) })
	return ok
}
