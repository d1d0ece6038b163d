package findings

import (
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/stack"
)

func onCPU(g *stack.Group) bool { return g.State == "runnable" || g.State == "running" }

// collects reports whether the goroutines do not wait on purpose, but for the collector or on
// its behalf. A loop that allocates a lot starts collections, helps with them, and is stopped
// by them for a moment.
func collects(g *stack.Group) bool {
	switch g.State {
	case "preempted", "GC assist marking", "GC assist wait", "GC sweep wait", "GC mark termination", "stopping the world", "flushing proc caches":
		return true
	case "semacquire": // if no package with semaphores has called the runtime, it is the runtime's own, to start a collection
		return len(g.Frames) > 0 && !slices.ContainsFunc([]string{"sync.", "internal/sync.", "internal/poll."}, func(p string) bool {
			return strings.HasPrefix(g.Frames[0].Function, p)
		})
	}
	return false
}

// woken reports whether the goroutines are ready because what they waited for is there: a
// message from the network, or a wakeup by another goroutine. They are no loop. Of other
// waits, only Goroutine.Stop shows it.
func woken(g *stack.Group) bool {
	return contains(g.Frames, "internal/poll.(*pollDesc).wait") || contains(g.Frames[:min(1, len(g.Frames))], "sync.(*Cond).Wait", "sync.(*WaitGroup).Wait")
}

// laterOnCPU is what the later looks show of a goroutine that was ready to run at each.
type laterOnCPU struct {
	groups []*stack.Group // at each of the later looks
	ran    bool           // it has run since the first look; otherwise nothing is known of it
	chance bool           // it may have been ready by chance: it stops by itself at times, or others want its CPU
}

// onCPULater looks for a goroutine at the later looks. ok is false if it cannot have used
// a CPU all the time: at a look it was not ready to run, or it had stopped to wait. On a busy
// machine, a goroutine may be ready at every look because it waits for a CPU, does a
// little work, and waits for other goroutines again.
func (e *Evidence) onCPULater(m stack.Goroutine, crowded func() bool) (later laterOnCPU, ok bool) {
	if !taken(m, crowded) {
		return later, false
	}
	later.ran, later.chance = len(e.Looks) == 1, m.Stop() != layout.Preempted
	for _, look := range e.Looks[1:] {
		at := slices.IndexFunc(look.Groups, func(g stack.Group) bool { return (onCPU(&g) || collects(&g)) && !woken(&g) && g.Has(m.ID) })
		if at < 0 {
			return later, false
		}
		again, _ := look.Groups[at].Member(m.ID)
		if !taken(again, crowded) {
			return later, false
		}
		later.chance = later.chance || again.Stop() != layout.Preempted
		later.ran = later.ran || m.Turns == 0 || again.Turns == 0 || m.Ran(again)
		later.groups = append(later.groups, &look.Groups[at])
	}
	later.chance = later.chance || crowded()
	return later, true
}

// taken reports whether the runtime may have taken the CPU from the goroutine when it last
// stopped. A loop may also let others run by itself, or make system calls. But where many
// want a CPU, everybody who does so is ready for long, and uses little of it.
func taken(m stack.Goroutine, crowded func() bool) bool {
	switch m.Stop() {
	case layout.Waited:
		return false
	case layout.Yielded, layout.Called:
		return !crowded()
	}
	return true
}

// crowded reports whether the program has too little CPU time for its goroutines: one was
// ready and has not run, or at each look more of them are ready than there are CPUs, without
// those that let others run.
func (e *Evidence) crowded() bool {
	return e.starved() || !slices.ContainsFunc(e.Looks, func(look *stack.Snapshot) bool {
		n := 0
		for i := range look.Groups {
			if g := &look.Groups[i]; onCPU(g) {
				for _, m := range g.Members {
					if m.Stop() != layout.Yielded {
						n++
					}
				}
			}
		}
		return n <= e.After.Procs
	})
}

// inEach reports whether the function is on the stacks of all groups.
func inEach(groups []*stack.Group, function string) bool {
	return !slices.ContainsFunc(groups, func(g *stack.Group) bool { return !contains(g.Frames, function) })
}
