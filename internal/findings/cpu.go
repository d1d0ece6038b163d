package findings

import (
	"fmt"
	"slices"
	"sort"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// spinning finds goroutines that are on a processor at every look, in the same
// function of the program, while the process does little else. It takes three
// looks to tell a loop from a busy server.
func spinning(e *Evidence) []Finding {
	busy, user := vitals.CPUs(e.Before.Usage, e.After.Usage)
	needed := 0.6
	if !e.first().Traced {
		needed = 0.7 // which goroutine it is, is not known; a server talks to the system more
	}
	// A loop has a CPU for itself, if others do not want it too.
	if e.Final && (busy < 0.25 || user < needed || len(e.Looks) < 3) {
		return nil
	}
	var found []Finding
	for _, r := range e.onCPU() {
		f := Finding{
			Title: fmt.Sprintf("%s on CPU at every look; the process uses %.1f of %d CPUs, %.0f%% of it outside the kernel",
				plural(r.count, "goroutine"), busy, e.After.Procs, 100*user),
			Lines:  []string{"at " + place(r.frames[0])},
			Weight: 750 + min(r.count, 40),
		}
		for _, caller := range r.frames[1:min(len(r.frames), 3)] {
			f.Lines = append(f.Lines, "    called at "+place(caller))
		}
		found = append(found, f)
	}
	return found
}

// running is goroutines that are not waiting, and the program's own part of
// their stack, from the innermost frame that they are in at every look.
type running struct {
	count  int
	frames []stack.Frame
}

func (e *Evidence) onCPU() []running {
	var all []running
	var counts []map[string]int
	if !e.first().Traced {
		for _, look := range e.Looks[1:] {
			counts = append(counts, e.inside(look, onCPU))
		}
	}
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.late() {
			break
		}
		if !onCPU(g) {
			continue
		}
		frames := slices.DeleteFunc(slices.Clone(g.Frames), func(f stack.Frame) bool { return e.rank(f) == 0 })
		if len(frames) == 0 {
			continue
		}
		if !e.first().Traced {
			for k, f := range frames {
				n := g.Count
				for _, count := range counts {
					n = min(n, count[f.Function])
				}
				if n > 0 {
					all = join(all, running{n, frames[k:]})
					break
				}
			}
			continue
		}
		for _, m := range g.Members {
			for k := range frames {
				if e.memberInAll(m.ID, frames[k].Function) {
					all = join(all, running{1, frames[k:]})
					break
				}
			}
		}
	}
	// One of many that come and go is on a CPU at every look now and then; it
	// spins if it is most of those in that function.
	if len(all) > 0 {
		inside := e.inside(e.first(), func(*stack.Group) bool { return true })
		all = slices.DeleteFunc(all, func(r running) bool { return 2*r.count < inside[r.frames[0].Function] })
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].count > all[j].count })
	return all[:min(len(all), 3)]
}

func onCPU(g *stack.Group) bool { return g.State == "runnable" || g.State == "running" }

// join adds goroutines to those that run in the same function.
func join(all []running, r running) []running {
	if r.count == 0 {
		return all
	}
	for i := range all {
		if all[i].frames[0].Function == r.frames[0].Function {
			all[i].count += r.count
			return all
		}
	}
	return append(all, r)
}

// memberInAll reports whether a goroutine runs inside the function at each look.
func (e *Evidence) memberInAll(id uint64, function string) bool {
	for _, look := range e.Looks[1:] {
		if !slices.ContainsFunc(look.Groups, func(g stack.Group) bool {
			return onCPU(&g) && g.Has(id) && contains(g.Frames, function)
		}) {
			return false
		}
	}
	return true
}

// inside counts the goroutines that are inside each function, of the groups
// that count.
func (e *Evidence) inside(look *stack.Snapshot, counts func(*stack.Group) bool) map[string]int {
	inside := make(map[string]int)
	for i := range look.Groups {
		if e.late() {
			break
		}
		g := &look.Groups[i]
		if !counts(g) {
			continue
		}
		seen := make(map[string]bool) // a function may call itself
		for _, f := range g.Frames {
			if !seen[f.Function] {
				seen[f.Function] = true
				inside[f.Function] += g.Count
			}
		}
	}
	return inside
}
