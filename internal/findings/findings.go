// Package findings says what stands out in a program: the few things that a
// tired person should look at first. A healthy program has none, so a rule
// keeps silent where it is not sure; and what may be over in an instant counts
// only if it is still there at the next look.
package findings

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// Evidence is what the rules see.
type Evidence struct {
	// Looks are snapshots of the goroutines, the first one first, all of the
	// same kind.
	Looks []*stack.Snapshot
	// Final says that there will be no other look. Until then the findings are
	// suspicions.
	Final bool
	// Deadline is when the rules stop searching: a program with very many
	// different stacks is not to be kept busy by them.
	Deadline time.Time
	// Before and After are the vital signs around the looks.
	Before, After vitals.Sample
	// Code classifies packages.
	Code Code

	Heap        func() []HeapSite // what holds the heap, the largest first
	Descriptors vitals.Descriptors
	Kinds       func() ([]vitals.Kind, error)
	FullPipe    func(fd int) bool // whether a descriptor is a pipe without room

	queues  []*queue       // for locks
	ranks   map[string]int // by package
	cut     bool           // the deadline has passed
	checked int            // how often it was looked at
}

// Finding is one thing that stands out.
type Finding struct {
	Title  string
	Lines  []string // what else is known, with places in the program's code
	Weight int      // the most telling has the largest
}

// Most is how many findings are worth reading.
const Most = 5

// Find applies the rules. The most telling finding comes first.
func Find(e *Evidence) []Finding {
	if e.ranks == nil {
		e.ranks = make(map[string]int)
	}
	e.cut = false
	e.queues = e.findQueues()
	var all []Finding
	for _, rule := range []func(*Evidence) []Finding{
		locks, stuckWrites, descriptors, collector, spinning, leaks, downstream, heap, strays,
	} {
		all = append(all, try(rule, e)...)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Weight > all[j].Weight })
	return all[:min(len(all), Most)]
}

// Cut reports whether the last Find has not seen everything.
func (e *Evidence) Cut() bool { return e.cut }

// late reports whether the rules are to stop searching.
func (e *Evidence) late() bool {
	if e.checked++; !e.cut && e.checked%64 == 0 && !e.Deadline.IsZero() && time.Now().After(e.Deadline) {
		e.cut = true
	}
	return e.cut
}

// try applies a rule. A fault in it must not keep anybody from the stacks.
func try(rule func(*Evidence) []Finding, e *Evidence) (found []Finding) {
	defer func() {
		if v := recover(); v != nil {
			found = []Finding{{Title: fmt.Sprintf("a rule of the manhole itself failed: %v", v)}}
		}
	}()
	return rule(e)
}

func (e *Evidence) first() *stack.Snapshot { return e.Looks[0] }
func (e *Evidence) last() *stack.Snapshot  { return e.Looks[len(e.Looks)-1] }

// lasting is how many goroutines of a group of the first look are still there
// in all later ones: the same ones where they are known, else as many.
func (e *Evidence) lasting(g *stack.Group) int {
	n, members := g.Count, g.Members
	for _, look := range e.Looks[1:] {
		same := look.Find(g.Key())
		if same == nil {
			return 0
		}
		if look.Traced {
			members = slices.DeleteFunc(slices.Clone(members), func(m stack.Goroutine) bool { return !same.Has(m.ID) })
			n = len(members)
		} else {
			n = min(n, same.Count)
		}
	}
	return n
}

// span is the time between the first and the last look.
func (e *Evidence) span() time.Duration { return e.After.At.Sub(e.Before.At) }

// still is how a finding says that it was seen more than once.
func (e *Evidence) still() string {
	if len(e.Looks) == 1 {
		return ""
	}
	return fmt.Sprintf(", and still %s later", e.span().Round(10*time.Millisecond))
}

// Code tells the program's own code from libraries.
type Code struct {
	Main string          // the path of the main module; empty if not known
	Deps map[string]bool // the paths of its dependencies
	Not  func(pkg string) bool
}

// rank is 2 for the program's own packages, 1 for those of other modules, 0 for
// the standard library's and the manhole's.
func (c Code) rank(pkg string) int {
	switch {
	case c.Not != nil && c.Not(pkg):
		return 0
	case pkg == "main":
		return 2
	case c.Main != "" && (pkg == c.Main || strings.HasPrefix(pkg, c.Main+"/")):
		return 2
	}
	for path := pkg; path != ""; { // a module may have no dot in its name
		if c.Deps[path] {
			return 1
		}
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
	}
	first, _, _ := strings.Cut(pkg, "/")
	switch {
	case !strings.Contains(first, "."):
		return 0 // the standard library's packages have no dot there
	case c.Main == "":
		return 2
	}
	return 1
}

// rank is that of the frame's package.
func (e *Evidence) rank(f stack.Frame) int {
	pkg := f.Package()
	r, known := e.ranks[pkg]
	if !known {
		r = e.Code.rank(pkg)
		e.ranks[pkg] = r
	}
	return r
}

// site is the index of the innermost frame of the program's own code, else of
// another module's; -1 if the stack is the standard library's alone.
func (e *Evidence) site(frames []stack.Frame) int {
	found := -1
	for i, f := range frames {
		switch e.rank(f) {
		case 2:
			return i
		case 1:
			if found < 0 {
				found = i
			}
		}
	}
	return found
}

// place is how a frame is shown. It is not inlined: each of its many callers would
// grow.
//
//go:noinline
func place(f stack.Frame) string {
	return fmt.Sprintf("%s  %s:%d", f.Function, f.File, f.Line)
}

// sites lists where groups stand in the program's code, the most frequent
// first, at most n of them.
func (e *Evidence) sites(groups []*stack.Group, n int) []string {
	type count struct {
		place string
		n     int
	}
	var counts []count
	for _, g := range groups {
		i := e.site(g.Frames)
		if i < 0 {
			i = 0
		}
		if len(g.Frames) == 0 {
			continue
		}
		p := place(g.Frames[i])
		at := slices.IndexFunc(counts, func(c count) bool { return c.place == p })
		if at < 0 {
			counts, at = append(counts, count{place: p}), len(counts)
		}
		counts[at].n += g.Count
	}
	sort.SliceStable(counts, func(i, j int) bool { return counts[i].n > counts[j].n })
	var lines []string
	for i, c := range counts {
		if i == n {
			lines = append(lines, fmt.Sprintf("and %d more places", len(counts)-n))
			break
		}
		lines = append(lines, fmt.Sprintf("%d at %s", c.n, c.place))
	}
	return lines
}

func contains(frames []stack.Frame, functions ...string) bool {
	return slices.ContainsFunc(frames, func(f stack.Frame) bool {
		return slices.Contains(functions, f.Function)
	})
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func percent(part, whole int) int { return 100 * part / max(whole, 1) }
