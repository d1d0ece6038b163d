package findings

import (
	"fmt"
	"slices"
	"sort"
	"sync"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// spinning finds goroutines that run in the same function of the program at every
// look, while the process does little else. It needs three looks: after fewer, a busy
// server may look the same.
func spinning(e *Evidence) []Finding {
	busy, user := vitals.CPUs(e.Before.Usage, e.After.Usage)
	needed := minUserTime
	if !e.first().HasMembers {
		needed = minUserTimeNoIDs
	}
	if e.Final && (busy < minBusyCPUs || user < needed || len(e.Looks) < looksForSpinning) {
		return nil
	}
	var found []Finding
	for _, r := range e.runningAtEveryLook() {
		f := Finding{
			Title: fmt.Sprintf("%s %s on CPU at every look; the process uses %.1f of %s, %.0f%% of it outside the kernel",
				plaintext.Plural(r.count, "goroutine"), are(r.count), busy, plaintext.Plural(e.After.Procs, "CPU"), 100*user),
			Lines:  []string{"at " + place(r.frames[0])},
			Weight: weightSpinning + min(r.count, weightOfSpinners),
			chance: r.chance,
		}
		for _, caller := range r.frames[1:min(len(r.frames), 3)] {
			f.Lines = append(f.Lines, "    called at "+place(caller))
		}
		found = append(found, f)
	}
	return found
}

// running describes goroutines that are not waiting.
type running struct {
	count  int
	frames []stack.Frame // frames of the program's own code; the first is the innermost one that all looks have
	chance bool          // one of the goroutines may be ready by chance; see onCPULater
}

func (e *Evidence) runningAtEveryLook() []running {
	var all []running
	crowded := sync.OnceValue(e.crowded)
	starving := make(map[string]int) // by function, those that have had no CPU since the first look
	var counts []map[string]int
	if !e.first().HasMembers {
		for _, look := range e.Looks[1:] {
			counts = append(counts, e.countInside(look, onCPU))
		}
	}
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			break
		}
		if !onCPU(g) && !collects(g) || woken(g) {
			continue
		}
		frames := slices.DeleteFunc(slices.Clone(g.Frames), func(f stack.Frame) bool { return e.rank(f) == rankStandard })
		if len(frames) == 0 {
			continue
		}
		if !e.first().HasMembers {
			for k, f := range frames {
				n := g.Count
				for _, count := range counts {
					n = min(n, count[f.Function])
				}
				if n > 0 {
					all = join(all, running{n, frames[k:], false})
					break
				}
			}
			continue
		}
		for _, m := range g.Members {
			later, ok := e.onCPULater(m, crowded)
			if !ok {
				continue
			}
			for k := range frames {
				if !inEach(later.groups, frames[k].Function) {
					continue
				}
				if later.ran {
					all = join(all, running{1, frames[k:], later.chance})
				} else {
					starving[frames[k].Function]++
				}
				break
			}
		}
	}
	// If many goroutines come and go in a function, one of them may happen to be on a
	// CPU at every look. Count only those that are at least half of the goroutines in
	// the function, without those of which nothing is known.
	if len(all) > 0 {
		inside := e.countInside(e.first(), func(*stack.Group) bool { return true })
		all = slices.DeleteFunc(all, func(r running) bool {
			f := r.frames[0].Function
			return 2*r.count < inside[f]-starving[f]
		})
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].count > all[j].count })
	return all[:min(len(all), maxSpinningPlaces)]
}

// join adds r to the entry of all that runs in the same function, or appends it.
func join(all []running, r running) []running {
	if r.count == 0 {
		return all
	}
	for i := range all {
		if all[i].frames[0].Function == r.frames[0].Function {
			all[i].count += r.count
			all[i].chance = all[i].chance || r.chance
			return all
		}
	}
	return append(all, r)
}

// countInside counts the goroutines inside each function. It counts only groups
// for which counts returns true.
func (e *Evidence) countInside(look *stack.Snapshot, counts func(*stack.Group) bool) map[string]int {
	inside := make(map[string]int)
	for i := range look.Groups {
		if e.outOfTime() {
			break
		}
		g := &look.Groups[i]
		if !counts(g) {
			continue
		}
		seen := make(map[string]bool) // a recursive function is on the stack several times
		for _, f := range g.Frames {
			if !seen[f.Function] {
				seen[f.Function] = true
				inside[f.Function] += g.Count
			}
		}
	}
	return inside
}
