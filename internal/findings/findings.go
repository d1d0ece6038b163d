// Package findings finds what stands out in a program: the few things that a tired
// person should look at first. A healthy program must have no findings, so a rule
// that is not sure reports nothing. A look is a snapshot of the goroutines. A state
// that may be short counts only if the next look shows it too.
package findings

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/gomanhole/oneshot/internal/conns"
	"github.com/gomanhole/oneshot/internal/plaintext"
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
	// Wakers reports whether something other than the program's goroutines may wake one
	// of them: a timer, a signal, or C code. To ask about signals makes goroutines run, so
	// that is done only if final is true: other rules compare how often they ran. Nil: it
	// is not known.
	Wakers func(final bool) bool
	// Conns returns the TCP connections of the process. Nil: they are not known.
	Conns func() []conns.Conn
	// Allocs returns the places that have allocated memory, whether it is still in use or
	// not, the largest first. Nil: they are not known.
	Allocs func() []HeapSite

	// AtLeast returns how many minutes a goroutine has waited at least if the runtime says
	// that it has waited for some. Nil: the runtime's word counts.
	AtLeast func(minutes int) int

	// Unreached has for each look the goroutines that wait for something that nothing
	// seems to reach, and a number that identifies the wait (inside.Unreached). It has
	// fewer elements than Looks if that is not known.
	Unreached []map[uint64]uint64
	// Held is the same for the goroutines of which only variables hold what they wait for,
	// if their wait is none of an idle program (inside.Held).
	Held []map[uint64]uint64
	// Idle has the other goroutines of which only variables hold what they wait for.
	Idle map[uint64]bool

	queues  []*queue                           // the queues for locks
	stays   map[*stack.Group][]stack.Goroutine // caches staying
	known   map[string]function                // what is known of functions, by name
	dialing map[*pool]int                      // caches the goroutines that open connections for a pool
	members map[uint64]*stack.Group            // the groups of the goroutines at the first look; see groupOf
	// acceptors are the functions that accept connections, or call one that does.
	acceptors map[string]bool
	named     map[waitSite]bool // where the goroutines wait of which a finding says that they can never continue
	cut       bool              // the deadline has passed
	checked   int               // the number of calls of outOfTime
}

// Finding is one thing that stands out.
type Finding struct {
	Rule   string // the name of the rule
	Title  string
	Lines  []string // details; a place in the code is FUNCTION, two spaces, FILE:LINE
	Next   string   // the command that shows more
	Weight int      // the importance; the largest is shown first

	again bool // it counts only if there was another look
	waits bool // it is about goroutines that wait
	brief bool // the only evidence is that goroutines did not move between the looks
	// chance is true if it is about goroutines that may have been ready to run at each look
	// by chance, or that may have waited for others which had no CPU.
	chance bool
}

// MaxFindings is the largest number of findings that Find returns.
const MaxFindings = 5

// Find applies the rules. It returns the most important finding first.
func Find(e *Evidence) []Finding {
	if e.known == nil {
		e.known = make(map[string]function)
	}
	e.cut, e.checked, e.named = false, 0, make(map[waitSite]bool)
	e.stays, e.dialing = make(map[*stack.Group][]stack.Goroutine), make(map[*pool]int)
	e.queues = e.findQueues()
	var all []Finding
	for _, r := range rules {
		for _, f := range try(r.name, r.find, e) {
			if f.Next == "" {
				f.Next = r.next
			}
			f.waits = r.waits
			f.Rule = r.name
			all = append(all, f)
		}
	}
	if e.cut && len(e.Looks) == 1 { // there will be no other look
		all = slices.DeleteFunc(all, func(f Finding) bool { return f.again })
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Weight > all[j].Weight })
	all = once(oneForAll(all))
	return all[:min(len(all), MaxFindings)]
}

// rules are the rules, each with the command that shows more about its findings. A
// finding may name another command. The names are in the JSON form, and programs may
// compare them: do not change them. Of the rules about goroutines that wait, the one that
// is more certain comes first.
var rules = []struct {
	name  string
	find  func(*Evidence) []Finding
	next  string
	waits bool // the findings are about goroutines that wait
}{
	{"asleep", asleep, "stacks", false},
	{"locks", locks, "stacks -state Lock", true},
	{"stuck-writes", stuckWrites, "fds", false},
	{"descriptors", descriptors, "fds -n 0", false},
	{"memory-limit", memoryLimit, "mem", false},
	{"spinning", spinning, "profile cpu -seconds 5 -o FILE", false},
	{"proved-leaks", proved, "leaks", true},
	{"unreached", unreached, "stacks", true},
	{"held", held, "stacks", true},
	{"leaks", leaks, "stacks -diff", true},
	{"requests", requests, "fds", true},
	{"open-bodies", openBodies, "stacks persistConn", false},
	{"heap", heap, "profile heap -o FILE", false},
	{"stuck-workers", stuckWorkers, "stacks", true},
}

// Cut reports whether the last Find stopped at the deadline and may have missed
// something.
func (e *Evidence) Cut() bool { return e.cut }

// fewChecks is a number of calls of outOfTime. The groups of most programs need fewer. They
// take little time, so if the deadline has passed, the program only had no CPU.
const fewChecks = 1 << 14

// outOfTime reports whether the deadline has passed. It reads the clock only at
// every 64th call.
func (e *Evidence) outOfTime() bool {
	if e.checked++; !e.cut && e.checked > fewChecks && e.checked%64 == 0 && !e.Deadline.IsZero() && time.Now().After(e.Deadline) {
		e.cut = true
	}
	return e.cut
}

// try applies a rule. If the rule panics, the user must still see the stacks, so
// the panic becomes a finding.
func try(name string, rule func(*Evidence) []Finding, e *Evidence) (found []Finding) {
	defer func() {
		if v := recover(); v != nil {
			found = []Finding{{Title: fmt.Sprintf("a rule of the manhole itself failed: %s: %s", name, values.Failure(v)), Next: "stacks"}}
		}
	}()
	return rule(e)
}

func (e *Evidence) first() *stack.Snapshot { return e.Looks[0] }
func (e *Evidence) last() *stack.Snapshot  { return e.Looks[len(e.Looks)-1] }

// lasting returns how many goroutines of a group of the first look are in the
// group at all later looks too. If the members are known, these are the same
// goroutines, and have not run in between. Otherwise lasting returns the smallest number of goroutines.
func (e *Evidence) lasting(g *stack.Group) int {
	if e.first().HasMembers {
		return len(e.staying(g))
	}
	n := g.Count
	for _, look := range e.Looks[1:] {
		same := look.Find(g.Key())
		if same == nil {
			return 0
		}
		n = min(n, same.Count)
	}
	return n
}

// span returns the time between the first and the last look.
func (e *Evidence) span() time.Duration { return e.After.At.Sub(e.Before.At) }

// still returns the part of a title that says for how long goroutines have waited. If
// that is not known, it says that there was more than one look.
func (e *Evidence) still(groups ...*stack.Group) string {
	minutes := 0
	for _, g := range groups {
		_, most := g.Waits()
		minutes = max(minutes, most)
	}
	switch {
	case minutes > 0:
		return ", for up to " + plaintext.Plural(minutes, "minute")
	case len(e.Looks) == 1:
		return ""
	}
	return fmt.Sprintf(", and still %s later", e.span().Round(10*time.Millisecond))
}

// rank returns the rank of the frame's package.
func (e *Evidence) rank(f stack.Frame) int { return e.function(f).rank }

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
	return e.sitesOf(groups, n, func(*stack.Group) string { return "" })
}

// sitesWithStates is sites, with the state in which the goroutines are.
func (e *Evidence) sitesWithStates(groups []*stack.Group, n int) []string {
	return e.sitesOf(groups, n, func(g *stack.Group) string { return "in " + g.State + " " })
}

// sitesOf is sites, with a text before each place.
func (e *Evidence) sitesOf(groups []*stack.Group, n int, before func(*stack.Group) string) []string {
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
		p := before(g) + "at " + place(g.Frames[i])
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
			lines = append(lines, "and "+plaintext.Plural(len(counts)-n, "more place"))
			break
		}
		lines = append(lines, fmt.Sprintf("%d %s", c.n, c.place))
	}
	return lines
}

func contains(frames []stack.Frame, functions ...string) bool {
	return slices.ContainsFunc(frames, func(f stack.Frame) bool {
		return slices.Contains(functions, f.Function)
	})
}

func percent(part, whole int) int { return 100 * part / max(whole, 1) }
