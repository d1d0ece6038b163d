package findings

import (
	"fmt"
	"math"
	"slices"

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
// group with most of the goroutines that is not a pool. One loop starts the
// goroutines of a pool. Those of a leak are started one by one, and more and more
// of them. If the garbage collector has marked a goroutine as leaked, a single one
// is enough.
func leaks(e *Evidence) []Finding {
	var found []Finding
	first := e.first()
	for i := range first.Groups {
		g := &first.Groups[i]
		if e.outOfTime() {
			break
		}
		leaked := g.Leaked()
		if !blocked(g) || leaked == 0 && (waitsForLock(g) || poolOf(g) != nil || g.Count < minSenders) {
			continue
		}
		at := e.site(g.Frames)
		if at < 0 {
			continue
		}
		grew := e.growth(g)
		switch {
		case leaked > 0:
		case g.State == "chan send" && 10*g.Count >= first.Total && (e.quiet(g.Count) || e.startedApart(g)) && !e.shrinks(g):
		case grew > 0 && g.Count >= minReceivers:
		case g.Count >= minReceivers && 2*g.Count >= first.Total && e.startedApart(g):
		default:
			continue
		}
		if e.lasting(g) < almostAll(g.Count) {
			continue
		}
		wait := "wait"
		if g.Count == 1 {
			wait = "waits"
		}
		f := Finding{
			Title: fmt.Sprintf("%s, %d%% of all, %s in %s at one place%s",
				plural(g.Count, "goroutine"), percent(g.Count, first.Total), wait, g.State, e.still()),
			Lines:  []string{"at " + place(g.Frames[at])},
			Weight: weightLeak + percent(g.Count, first.Total),
		}
		if g.Creator.Function != "" {
			f.Lines = append(f.Lines, "started at "+place(g.Creator))
		}
		if leaked > 0 {
			f.Lines = append(f.Lines, fmt.Sprintf("the garbage collector has proved that nothing can wake %s", ofThem(leaked, g.Count)))
		}
		if grew > 0 {
			f.Title += fmt.Sprintf(", when there were %d more", grew)
			f.Weight += weightGrowth
		}
		found = append(found, f)
	}
	return found
}

func ofThem(n, all int) string {
	switch {
	case all == 1:
		return "it"
	case n == all:
		return "them"
	}
	return fmt.Sprintf("%d of them", n)
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

// quiet reports whether goroutines began to run less often between the looks than
// turns, which is how often they must run for a whole group to leave and come back.
// In a quiet program, the group at the last look must contain the same goroutines.
// In a busy program we cannot know. Where it is not known how often they run, the same
// goroutines at all looks must be enough.
func (e *Evidence) quiet(turns int) bool {
	runs := vitals.Runs(e.Before, e.After)
	if runs == math.MaxUint64 { // a program that is read from outside does not say it
		return e.first().HasMembers
	}
	return len(e.Looks) == 1 || runs < uint64(turns)
}

// startedApart reports whether many different goroutines started those of the
// group. This is so if each request starts one.
func (e *Evidence) startedApart(g *stack.Group) bool {
	parents := make(map[uint64]bool)
	for _, m := range g.Members {
		parents[m.Parent] = true
	}
	return len(parents) > max(4, g.Count/10)
}

// networkWaits finds goroutines that each wait for an answer from the network.
func networkWaits(e *Evidence) []Finding {
	var found []Finding
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			break
		}
		if g.Count < minNetworkWaits || e.exhausted(g) != nil || e.lasting(g) < max(almostAll(g.Count), minNetworkWaits) {
			continue
		}
		at := e.site(g.Frames)
		// For an answer through net/http, three goroutines run once each. If there was
		// time for two answers to each of the group, answers are coming.
		if at < 0 || e.rank(g.Frames[at]) < rankProgram || !e.first().HasMembers && !e.quiet(2*3*g.Count) {
			continue
		}
		calls := slices.IndexFunc(g.Frames[:at], isClientCall)
		if calls < 0 && (g.State != "IO wait" || !readsOrDials(g.Frames[:at]) || !e.first().HasMembers || e.acceptedConn(g)) {
			continue
		}
		through := g.Frames[at-1].Function
		found = append(found, Finding{
			Title: fmt.Sprintf("%d goroutines wait for answers from the network, in %s%s",
				g.Count, through, e.still()),
			Lines:  []string{"at " + place(g.Frames[at])},
			Weight: weightNetwork + min(g.Count, weightOfCount),
		})
	}
	return found
}

func readsOrDials(frames []stack.Frame) bool {
	return contains(frames, "net.(*conn).Read", "net.(*conn).Write", "crypto/tls.(*Conn).Read", "net.(*netFD).Read", "net.(*netFD).connect")
}

// acceptedConn reports whether the goroutines, or the goroutines that started them,
// were started by a function that accepts connections. Such goroutines serve
// clients, and a client may be silent for any time. The result is true also if this
// cannot be known.
func (e *Evidence) acceptedConn(g *stack.Group) bool {
	const generations = 4
	for range generations {
		for _, other := range e.first().Groups {
			if contains(other.Frames, "net.(*TCPListener).Accept", "net.(*UnixListener).Accept", "net.(*netFD).accept") &&
				slices.ContainsFunc(other.Frames, func(f stack.Frame) bool { return f.Function == g.Creator.Function }) {
				return true
			}
		}
		parent := g.Members[0].Parent
		at := slices.IndexFunc(e.first().Groups, func(p stack.Group) bool { return p.Has(parent) })
		if at < 0 {
			return parent != 1 // the parent has ended, or it is main, which cannot have ended
		}
		if g = &e.first().Groups[at]; g.Creator.Function == "" { // main
			return false
		}
	}
	return false
}
