package findings

import (
	"fmt"
	"math"
	"strings"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// blocked reports whether the group waits for other goroutines of the program, and
// not for the network, a timer or the system.
func blocked(g *stack.Group) bool {
	switch g.State {
	case "chan receive", "chan send", "chan receive (nil chan)", "chan send (nil chan)", "select", "select (no cases)",
		"sync.Cond.Wait", "sync.WaitGroup.Wait", "semacquire", "sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock":
		return true
	}
	return false
}

// leaks finds groups in which goroutines pile up: many that wait in a send, or a
// group with most of the goroutines that is not a pool of workers. One goroutine starts
// all workers of a pool. Leaking goroutines are started by different ones, or their
// number grows. Goroutines that the garbage collector has marked as leaked are not
// here: see proved.
func leaks(e *Evidence) []Finding {
	var found []Finding
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			break
		}
		if !e.isLeak(g) {
			continue
		}
		if at := e.site(g.Frames); at >= 0 {
			found = append(found, e.leakAt(g, at))
		}
	}
	return found
}

// isLeak reports whether goroutines pile up in the group.
func (e *Evidence) isLeak(g *stack.Group) bool {
	first := e.first()
	if !blocked(g) || g.Leaked() > 0 || e.isNamed(g) || waitsForLock(g) || poolOf(g) != nil || g.Count < minSenders {
		return false
	}
	is, stay := false, e.lasting
	switch {
	case g.State == "chan send" && e.waitedLong(g) >= minSenders: // stable, and perhaps few of a large program
		is = true
	case g.State == "chan send" && 10*g.Count >= first.Total && (e.allStay(g) || e.startedApart(g)) && !e.shrinks(g):
		is = true
	case g.Count >= minReceivers:
		stay = e.remaining
		is = e.growth(g) > 0 || 2*g.Count >= first.Total && e.startedApart(g)
	}
	return is && stay(g) >= almostAll(g.Count)
}

// allStay reports whether none of the goroutines has left the group, although the
// program could run. If only some stay, it is a pool of workers whose results are taken
// too slowly.
func (e *Evidence) allStay(g *stack.Group) bool {
	return e.quiet(g.Count) && !e.starved() && (!e.first().HasMembers || e.lasting(g) == g.Count)
}

// remaining is lasting, but counts the goroutines that have run too: those of a leak may
// have a timer.
func (e *Evidence) remaining(g *stack.Group) int {
	if !e.first().HasMembers {
		return e.lasting(g)
	}
	return len(e.inAll(g, func(_, _ stack.Goroutine) bool { return false }))
}

// leakAt returns the finding for a group in which goroutines pile up, at a frame of the
// program's own code.
func (e *Evidence) leakAt(g *stack.Group, at int) Finding {
	share := percent(g.Count, e.first().Total)
	f := Finding{
		Title:  fmt.Sprintf("%d goroutines, %d%% of all, wait in %s at one place%s", g.Count, share, g.State, e.still(g)),
		Lines:  []string{"at " + place(g.Frames[at])},
		Weight: weightLeak + share,
	}
	if g.Creator.Function != "" {
		f.Lines = append(f.Lines, "started at "+place(g.Creator))
	}
	if long := e.waitedLong(g); long >= minSenders {
		f.Lines = append(f.Lines, fmt.Sprintf("%d of them have waited for %d minutes or longer", long, longWait))
	}
	if grew := e.growth(g); grew > 0 {
		f.Title += fmt.Sprintf(", when there %s %d more", were(grew), grew)
		f.Weight += weightGrowth
	} else {
		f.Next = "stacks -state " + oneWord(g.State) // a comparison would not show it
	}
	return f
}

// oneWord returns the word of a state that tells it from the others: send for "chan send".
func oneWord(state string) string {
	words := strings.Fields(state)
	if len(words) > 1 && words[0] == "chan" {
		return words[1]
	}
	return words[0]
}

// waitedLong returns how many goroutines of a group have waited for longWait. It is 0 if
// that is not known.
func (e *Evidence) waitedLong(g *stack.Group) (n int) {
	for _, m := range g.Members {
		if e.atLeast(int(m.Minutes)) >= longWait {
			n++
		}
	}
	return n
}

// atLeast is AtLeast.
func (e *Evidence) atLeast(minutes int) int {
	if e.AtLeast == nil || minutes == 0 {
		return minutes
	}
	return e.AtLeast(minutes)
}

// growth returns by how many goroutines the group grew from the first look to the
// last. It returns 0 if the program has no more goroutines than before or has
// started none: then goroutines have only moved into the group.
func (e *Evidence) growth(g *stack.Group) int {
	if !e.Final {
		return 1 // it may grow until the last look
	}
	same := e.last().Find(g.Key())
	if same == nil || e.last().Total <= e.first().Total || e.After.Created <= e.Before.Created {
		return 0
	}
	return max(same.Count-g.Count, 0)
}

// shrinks reports whether the group is smaller at the last look.
func (e *Evidence) shrinks(g *stack.Group) bool {
	same := e.last().Find(g.Key())
	return same == nil || same.Count < g.Count
}

// quiet reports whether the goroutines of the program ran less than turns times between
// the looks. turns is how often they must run for a whole group to leave and come back.
// So in a quiet program, the group at the last look has the same goroutines. In a busy
// program we cannot know that. If the number of runs is not known, it is enough that
// the looks have ids.
func (e *Evidence) quiet(turns int) bool {
	runs := vitals.Runs(e.Before, e.After)
	if runs == math.MaxUint64 { // a program that is read from outside does not say it
		return e.first().HasMembers
	}
	return len(e.Looks) == 1 || runs < uint64(turns)
}

// startedApart reports whether many different goroutines started the goroutines of the
// group, for example one for each request.
func (e *Evidence) startedApart(g *stack.Group) bool {
	parents := make(map[uint64]bool)
	for _, m := range g.Members {
		parents[m.Parent] = true
	}
	return len(parents) > max(4, g.Count/10)
}
