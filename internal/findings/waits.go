package findings

import (
	"fmt"
	"slices"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// Limits from which on a number of goroutines at one place is worth a line.
const (
	manySenders   = 20  // nobody idles in a send
	manyReceivers = 100 // pools do idle in a receive
	manyRequests  = 10  // that wait for one answer of the network each
)

// blocked reports whether the group waits for another goroutine, and not for
// the network, the clock or the system.
// It is not inlined: each of its many callers would grow.
//
//go:noinline
func blocked(g *stack.Group) bool {
	switch g.State {
	case "chan receive", "chan send", "chan receive (nil chan)", "chan send (nil chan)", "select", "select (no cases)",
		"sync.Cond.Wait", "sync.WaitGroup.Wait", "semacquire", "sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock":
		return true
	}
	return false
}

// leaks finds groups that collect goroutines: many that send to nobody, or a
// group that is most of all goroutines and is no pool. The goroutines of a pool
// were started by one loop; those of a leak one by one, and go on coming. A
// goroutine that the garbage collector has marked as leaked needs no company.
func leaks(e *Evidence) []Finding {
	var found []Finding
	first := e.first()
	for i := range first.Groups {
		g := &first.Groups[i]
		if e.late() {
			break
		}
		leaked := g.Leaked()
		if !blocked(g) || leaked == 0 && (waitsForLock(g) || g.Count < manySenders) {
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
		case grew > 0 && g.Count >= manyReceivers:
		case g.Count >= manyReceivers && 2*g.Count >= first.Total && e.startedApart(g):
		default:
			continue
		}
		if e.lasting(g) < g.Count*9/10 {
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
			Weight: 600 + percent(g.Count, first.Total),
		}
		if g.Creator.Function != "" {
			f.Lines = append(f.Lines, "started at "+place(g.Creator))
		}
		if leaked > 0 {
			f.Lines = append(f.Lines, fmt.Sprintf("the garbage collector has proved that nothing can wake %s", ofThem(leaked, g.Count)))
		}
		if grew > 0 {
			f.Title += fmt.Sprintf(", when there were %d more", grew)
			f.Weight += 100
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

// growth is by how many goroutines the group grew from the first look to the
// last, if the program has started goroutines and not only moved them.
func (e *Evidence) growth(g *stack.Group) int {
	if !e.Final {
		return 1 // it may
	}
	same := e.last().Find(g.Key())
	if same == nil || e.last().Total <= e.first().Total || e.After.Created <= e.Before.Created {
		return 0
	}
	return max(same.Count-g.Count, 0)
}

// shrinks reports whether there are fewer of the group at the last look.
func (e *Evidence) shrinks(g *stack.Group) bool {
	same := e.last().Find(g.Key())
	return same == nil || same.Count < g.Count
}

// quiet reports whether the program has run goroutines less often between the
// looks than it takes for all of a group to go on and come back. In a busy program
// it is not to be known.
func (e *Evidence) quiet(turns int) bool {
	return len(e.Looks) == 1 || vitals.Runs(e.Before, e.After) < uint64(turns)
}

// startedApart reports whether the goroutines have many parents, as requests are.
func (e *Evidence) startedApart(g *stack.Group) bool {
	parents := make(map[uint64]bool)
	for _, m := range g.Members {
		parents[m.Parent] = true
	}
	return len(parents) > max(4, g.Count/10)
}

// downstream finds goroutines of which each waits for an answer from the network.
func downstream(e *Evidence) []Finding {
	var found []Finding
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.late() {
			break
		}
		if g.Count < manyRequests || e.lasting(g) < max(g.Count*9/10, manyRequests) {
			continue
		}
		at := e.site(g.Frames)
		// An answer through net/http takes three goroutines a turn each: if there
		// were two for each of the group, answers come.
		if at < 0 || e.rank(g.Frames[at]) < 2 || !e.first().Traced && !e.quiet(2*3*g.Count) {
			continue
		}
		calls := slices.IndexFunc(g.Frames[:at], isClientCall)
		if calls < 0 && (g.State != "IO wait" || !readsOrDials(g.Frames[:at]) || !e.first().Traced || e.acceptedConn(g)) {
			continue
		}
		through := g.Frames[at-1].Function
		found = append(found, Finding{
			Title: fmt.Sprintf("%d goroutines wait for answers from the network, in %s%s",
				g.Count, through, e.still()),
			Lines:  []string{"at " + place(g.Frames[at])},
			Weight: 700 + min(g.Count, 50),
		})
	}
	return found
}

// isClientCall reports whether a frame is a call to somebody else's server.
func isClientCall(f stack.Frame) bool {
	switch f.Function {
	case "net/http.(*Client).do", "net/http.(*Client).Do", "net/http.(*Transport).roundTrip", "net/http.(*Transport).RoundTrip",
		"net.(*Dialer).DialContext", "net/rpc.(*Client).Call", "database/sql.(*DB).conn":
		return true
	}
	return false
}

func readsOrDials(frames []stack.Frame) bool {
	return contains(frames, "net.(*conn).Read", "net.(*conn).Write", "crypto/tls.(*Conn).Read", "net.(*netFD).Read", "net.(*netFD).connect")
}

// acceptedConn reports whether the goroutines, or those that started them, were
// started where connections are accepted: they serve clients, which may keep
// silent as long as they like. Where that cannot be known it says so too.
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
			return parent != 1 // who ended; main cannot have
		}
		if g = &e.first().Groups[at]; g.Creator.Function == "" { // main
			return false
		}
	}
	return false
}
