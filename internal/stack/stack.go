// Package stack takes the stacks of all goroutines of the process and groups
// them. It has three ways to do that. Read reads the memory of the program, which
// goes on meanwhile; that needs a release of Go that is known. A profile stops the
// program for an instant only, but does not contain the ids of the goroutines. A
// listing contains them, but the program is stopped until it is complete.
package stack

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// Frame is one function call on a stack. A call that the compiler inlined is a
// frame like any other.
type Frame struct {
	Function string // begins with the import path of its package
	File     string
	Line     int
}

// Goroutine is one goroutine of a listing.
type Goroutine struct {
	ID      uint64
	Parent  uint64 // the goroutine that started it; 0 if not known
	Minutes int32  // how long it has waited, counted from the first garbage collection during the wait
	Locked  bool   // it is locked to its thread
	Leaked  bool   // the garbage collector has proved that nothing can wake it
	Turns   uint16 // see AddTurns; Ran and Stop say what it means
}

// Group is a group of goroutines in the same state with the same stack.
type Group struct {
	Count       int
	State       string       // what they wait for in the runtime's words, without marks; or runnable, running, syscall
	Labels      []LabelCount // pprof labels, the most frequent first; 100 at most
	OtherLabels int          // the number of sets of labels that Labels does not contain
	Frames      []Frame      // innermost first, without the runtime's own on top and at the entry
	Deeper      bool         // the stack has more frames than a profile can hold
	LastCalls   bool         // the goroutines run, and Frames are their last calls: the inner ones may be over
	Creator     Frame        // the go statement; zero if not known
	Members     []Goroutine  // ordered by id; nil in a profile
	Stacks      int          // how many different stacks Merge has put together; 0 before

	key uint64 // the hash of the state and the frames
}

// LabelCount is a set of pprof labels and the number of goroutines with this set.
type LabelCount struct {
	Labels string
	Count  int
}

// Snapshot contains the groups at one moment, the largest first. Every goroutine
// of the program is counted in Total, Excluded or Unread, unless Cut is true.
type Snapshot struct {
	Groups     []Group
	Total      int  // goroutines in the groups
	Excluded   int  // goroutines that were left out because of Exclude
	Unread     int  // goroutines that could not be parsed, because their form is unknown
	HasMembers bool // the goroutines were read one by one, and the groups have members
	Cut        bool // the listing was longer than its room

	// NoMembers is the reason why there are no members, if there could be some.
	NoMembers string

	// Unknown is the beginning of the first goroutine that could not be parsed.
	// Quote it before you show it.
	Unknown string

	index map[uint64]int // maps keys to the groups; made by the first Find
}

// newSnapshot sorts groups and joins those that look the same: their program
// counters may differ within a line.
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
		sort.Sort((*byCount)(&g.Labels))
		sort.Sort((*byID)(&g.Members))
	}
	sort.Sort((*bySize)(&s.Groups))
	return s
}

// There may be very many groups and goroutines. sort.Sort is at least as fast as
// sort.Slice and slices.SortFunc, and adds less to the program than a copy of
// slices.SortFunc for each type.
type (
	bySize []Group
	byID   []Goroutine
)

// The receivers are pointers, since a method of a value would be in the program twice:
// once for values and once for pointers.

func (s *byID) Len() int           { return len(*s) }
func (s *byID) Less(i, j int) bool { return (*s)[i].ID < (*s)[j].ID }
func (s *byID) Swap(i, j int)      { (*s)[i], (*s)[j] = (*s)[j], (*s)[i] }

func (s *bySize) Len() int      { return len(*s) }
func (s *bySize) Swap(i, j int) { (*s)[i], (*s)[j] = (*s)[j], (*s)[i] }

func (s *bySize) Less(i, j int) bool {
	a, b := &(*s)[i], &(*s)[j]
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

// maxLabels is the number of different sets of labels that a group keeps. Where
// every request has its own set, this is enough to see the common ones.
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

// Waits returns the shortest and the longest time in minutes that a member has
// waited. Zero means less than a minute, or not known.
func (g *Group) Waits() (least, most int) {
	for i, m := range g.Members {
		minutes := int(m.Minutes)
		if i == 0 {
			least = minutes
		}
		least, most = min(least, minutes), max(most, minutes)
	}
	return least, most
}

// Leaked returns the number of members of which the garbage collector has proved
// that nothing can wake them.
func (g *Group) Leaked() (n int) {
	for _, m := range g.Members {
		if m.Leaked {
			n++
		}
	}
	return n
}

// The constants of the 64-bit FNV-1a hash. Among a million groups, two have the
// same hash in one of 37 million programs.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func hashString[T string | []byte](h uint64, s T) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return (h ^ 0xff) * fnvPrime // marks the end of the text: no text contains this byte
}

// hash returns the hash of the state and the frames.
func (g *Group) hash() uint64 {
	h := hashString(fnvOffset, g.State)
	for _, f := range g.Frames {
		h = hashString(h, f.Function)
		h = hashString(h, f.File)
		h = (h ^ uint64(f.Line)) * fnvPrime
	}
	return h
}

// Key identifies the group in all snapshots of this process.
func (g *Group) Key() uint64 { return g.key }

// Identity returns the hash of a state, the functions and the lines. It does not depend
// on the paths of the files, and is the same in all processes of one build.
func Identity(state string, frames []Frame) uint64 {
	h := hashString(fnvOffset, state)
	for _, f := range frames {
		h = hashString(h, f.Function)
		h = (h ^ uint64(f.Line)) * fnvPrime
	}
	return h
}

// AddLabels copies the labels of goroutines with the same state and frames from a
// profile. A listing may have no labels.
func (s *Snapshot) AddLabels(profile *Snapshot) {
	for i := range s.Groups {
		if p := profile.Find(s.Groups[i].key); p != nil {
			s.Groups[i].Labels, s.Groups[i].OtherLabels = p.Labels, p.OtherLabels
		}
	}
}

// trim removes the frames of the runtime's park functions, which all goroutines in
// a state have in common, and those frames of the runtime that a traceback does
// not show either (showframe in traceback.go). If nothing would be left, it
// returns the whole stack.
func trim(frames []Frame) []Frame {
	top := 0
	for top < len(frames) && hidden(frames[top].Function) {
		top++
	}
	kept := make([]Frame, 0, len(frames)-top)
	for _, f := range frames[top:] {
		if f.Function == "runtime.gopanic" {
			f.Function = "panic" // its name in a traceback
		}
		if name, ok := strings.CutPrefix(f.Function, "runtime."); ok && (name == "" || name[0] < 'A' || name[0] > 'Z') {
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

// hidden reports whether a function is the runtime's. The name may have another
// package in front, such as internal/poll.runtime_pollWait.
func hidden(function string) bool {
	if strings.HasPrefix(function, "runtime.") {
		return true
	}
	_, name := splitFunction(function)
	return strings.HasPrefix(name, "runtime_")
}

// splitFunction splits example.com/m/pkg.(*T).Method into the package and the rest.
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

// Package returns the import path of the function's package. A dot in the last
// element is %2e, as the linker writes it.
func (f Frame) Package() string {
	pkg, _ := splitFunction(f.Function)
	return pkg
}

// Receiver returns the receiver type of a method, with its package in front. For a
// function literal, it returns the receiver type of the enclosing method. It
// returns an empty string if there is no receiver.
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

// literal reports whether rest, the text after the name of a function, names a
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

// Find returns the group with the key, or nil. It must not be called concurrently.
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
	_, ok := g.find(id)
	return ok
}

// Member returns a member of the group.
func (g *Group) Member(id uint64) (m Goroutine, ok bool) {
	i, ok := g.find(id)
	if ok {
		m = g.Members[i]
	}
	return m, ok
}

func (g *Group) find(id uint64) (at int, ok bool) {
	return slices.BinarySearchFunc(g.Members, id, func(m Goroutine, id uint64) int { return cmp.Compare(m.ID, id) })
}
