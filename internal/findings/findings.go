// Package findings finds what stands out in a program: the few things that a tired
// person should look at first. A healthy program must have no findings, so a rule
// that is not sure reports nothing. A state that may end in an instant counts only
// if it is still there at the next look. A look is a snapshot of the goroutines.
package findings

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/values"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// Evidence is the input of the rules.
type Evidence struct {
	// Looks contains the snapshots of the goroutines, in the order of time. Either
	// all of them have members or none.
	Looks []*stack.Snapshot
	// Final is true if there will be no other look. Otherwise Find returns
	// suspicions, and the caller should look again.
	Final bool
	// Deadline is when the rules stop searching. A program may have very many
	// different stacks, and the rules must not keep it busy.
	Deadline time.Time
	// Before and After are the vital signs before the first look and after the last.
	Before, After vitals.Sample
	// Code classifies packages.
	Code Code

	Heap        func() []HeapSite // the places that allocated the live heap, the largest first
	Descriptors vitals.Descriptors
	Kinds       func() ([]vitals.Kind, error)
	FullPipe    func(fd int) bool // reports whether a descriptor is a full pipe

	queues  []*queue       // the queues for locks
	ranks   map[string]int // caches Code.rank by package
	cut     bool           // the deadline has passed
	checked int            // the number of calls of outOfTime
}

// Finding is one thing that stands out.
type Finding struct {
	Title  string
	Lines  []string // details, with places in the program's code
	Weight int      // the importance; the largest is shown first
}

// MaxFindings is the largest number of findings that Find returns.
const MaxFindings = 5

// Find applies the rules. It returns the most important finding first.
func Find(e *Evidence) []Finding {
	if e.ranks == nil {
		e.ranks = make(map[string]int)
	}
	e.cut = false
	e.queues = e.findQueues()
	var all []Finding
	for _, rule := range []func(*Evidence) []Finding{
		locks, stuckWrites, descriptors, memoryLimit, spinning, leaks, exhaustedPools, networkWaits, heap, stuckWorkers,
	} {
		all = append(all, try(rule, e)...)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Weight > all[j].Weight })
	return all[:min(len(all), MaxFindings)]
}

// Cut reports whether the last Find stopped at the deadline and may have missed
// something.
func (e *Evidence) Cut() bool { return e.cut }

// outOfTime reports whether the deadline has passed. It reads the clock only at
// every 64th call.
func (e *Evidence) outOfTime() bool {
	if e.checked++; !e.cut && e.checked%64 == 0 && !e.Deadline.IsZero() && time.Now().After(e.Deadline) {
		e.cut = true
	}
	return e.cut
}

// try applies a rule. If the rule panics, the user must still see the stacks, so
// the panic becomes a finding.
func try(rule func(*Evidence) []Finding, e *Evidence) (found []Finding) {
	defer func() {
		if v := recover(); v != nil {
			found = []Finding{{Title: "a rule of the manhole itself failed: " + values.Failure(v)}}
		}
	}()
	return rule(e)
}

func (e *Evidence) first() *stack.Snapshot { return e.Looks[0] }
func (e *Evidence) last() *stack.Snapshot  { return e.Looks[len(e.Looks)-1] }

// lasting returns how many goroutines of a group of the first look are in the
// group at all later looks too. If the members are known, these are the same
// goroutines. Otherwise lasting returns the smallest number of goroutines.
func (e *Evidence) lasting(g *stack.Group) int {
	n, members := g.Count, g.Members
	for _, look := range e.Looks[1:] {
		same := look.Find(g.Key())
		if same == nil {
			return 0
		}
		if look.HasMembers {
			members = slices.DeleteFunc(slices.Clone(members), func(m stack.Goroutine) bool { return !same.Has(m.ID) })
			n = len(members)
		} else {
			n = min(n, same.Count)
		}
	}
	return n
}

// span returns the time between the first and the last look.
func (e *Evidence) span() time.Duration { return e.After.At.Sub(e.Before.At) }

// still returns the part of a title that says that there was more than one look.
func (e *Evidence) still() string {
	if len(e.Looks) == 1 {
		return ""
	}
	return fmt.Sprintf(", and still %s later", e.span().Round(10*time.Millisecond))
}

// Code tells the program's own code from libraries.
type Code struct {
	Main string                // the path of the main module; empty if not known
	Deps map[string]bool       // the paths of its dependencies
	Not  func(pkg string) bool // reports whether a package belongs to the manhole
}

// The ranks of packages.
const (
	rankStandard = iota // the standard library and the manhole
	rankModule          // other modules
	rankProgram         // the program's own packages
)

func (c Code) rank(pkg string) int {
	switch {
	case c.Not != nil && c.Not(pkg):
		return rankStandard
	case pkg == "main":
		return rankProgram
	case c.Main != "" && (pkg == c.Main || strings.HasPrefix(pkg, c.Main+"/")):
		return rankProgram
	}
	for path := pkg; path != ""; { // check this before the dot: a module may have no dot in its name
		if c.Deps[path] {
			return rankModule
		}
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
	}
	first, _, _ := strings.Cut(pkg, "/")
	switch {
	case !strings.Contains(first, "."):
		return rankStandard // only in the standard library the first element has no dot
	case c.Main == "":
		return rankProgram
	}
	return rankModule
}

// rank returns the rank of the frame's package.
func (e *Evidence) rank(f stack.Frame) int {
	pkg := f.Package()
	r, known := e.ranks[pkg]
	if !known {
		r = e.Code.rank(pkg)
		e.ranks[pkg] = r
	}
	return r
}

// site returns the index of the innermost frame of the program's own code. If there
// is none, it returns the innermost frame of another module, or -1 if all frames
// are of the standard library.
func (e *Evidence) site(frames []stack.Frame) int {
	found := -1
	for i, f := range frames {
		switch e.rank(f) {
		case rankProgram:
			return i
		case rankModule:
			if found < 0 {
				found = i
			}
		}
	}
	return found
}

// place formats a frame. It is not inlined: each of its many callers would grow.
//
//go:noinline
func place(f stack.Frame) string {
	return fmt.Sprintf("%s  %s:%d", f.Function, f.File, f.Line)
}

// sites lists the places of groups in the program's code, the most frequent first,
// at most n of them.
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
