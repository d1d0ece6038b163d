package findings

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/gomanhole/oneshot/internal/stack"
)

// queue is the goroutines that wait for the locks of one type, or of one
// function where the lock is not taken in a method.
type queue struct {
	name    string // of the type or function
	waiters []*stack.Group
	lockers map[string]bool // the functions that call Lock
	count   int
	holder  *stack.Group // who may hold it; nil: nobody to be seen
	frame   int          // of holder, that is inside the type or function
	score   int          // of holder
}

// waitsForLock reports whether the group queues for a mutex.
func waitsForLock(g *stack.Group) bool {
	switch g.State {
	case "sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock":
		return true
	case "semacquire": // the lock for writing of a file or connection
		return contains(g.Frames, "internal/poll.(*fdMutex).rwlock")
	}
	return false
}

// locker is the frame that calls Lock.
func locker(g *stack.Group) int {
	for i, f := range g.Frames {
		switch f.Package() {
		case "sync", "internal/sync", "internal/poll":
		default:
			return i
		}
	}
	return -1
}

// within is the type or function whose lock a frame is inside of.
func within(f stack.Frame) (name string, method bool) {
	if r := f.Receiver(); r != "" {
		return r, true
	}
	name = f.Function
	if i := strings.Index(name[strings.LastIndexByte(name, '/')+1:], ".func"); i >= 0 { // a literal in it
		name = name[:strings.LastIndexByte(name, '/')+1+i]
	}
	return name, false
}

// locks finds queues for locks: with somebody who may hold it, or, where all
// wait for locks, a deadlock.
func locks(e *Evidence) []Finding {
	var dead []*queue
	var found []Finding
	for _, q := range e.queues {
		switch {
		case stuck(q, e.queues):
			if !e.moves(q) {
				dead = append(dead, q)
			}
		case q.count >= manyWaiters || e.first().Traced && !e.moves(q): // else they come and go
			found = append(found, e.convoy(q))
		}
	}
	if len(dead) > 0 {
		found = append(found, e.deadlock(dead))
	}
	return found
}

// moves reports whether somebody may have got the lock between the looks: a
// waiter has left, or, where it is not known who waits, the runtime has counted
// the long wait of one that has got a lock.
func (e *Evidence) moves(q *queue) bool {
	if len(e.Looks) == 1 {
		return false
	}
	if !e.first().Traced {
		return e.After.MutexWait-e.Before.MutexWait > e.span().Seconds()/2
	}
	n := 0
	for _, g := range q.waiters {
		n += g.Count
	}
	return q.count < n
}

// manyWaiters is how long a queue is that stands out where it is not known
// whether the same goroutines are in it at each look.
const manyWaiters = 10

// stuck reports whether the way from the queue to its holder, and from there
// to the holder for which that waits, ends nowhere or where it began.
func stuck(q *queue, queues []*queue) bool {
	for range queues {
		if q.holder == nil {
			return true
		}
		if !waitsForLock(q.holder) {
			return false
		}
		at := slices.IndexFunc(queues, func(next *queue) bool { return slices.Contains(next.waiters, q.holder) })
		if at < 0 {
			return false // it has moved on by the second look
		}
		q = queues[at]
	}
	return true
}

// findQueues collects the goroutines that wait for locks, longest queue first,
// and who may hold them.
func (e *Evidence) findQueues() []*queue {
	byName := make(map[string]*queue)
	waits := make(map[*stack.Group]*queue)
	var queues []*queue
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.late() {
			break
		}
		if !waitsForLock(g) {
			continue
		}
		n, at := e.lasting(g), locker(g)
		if n == 0 || at < 0 {
			continue
		}
		name, _ := within(g.Frames[at])
		q := byName[name]
		if q == nil {
			q = &queue{name: name, lockers: make(map[string]bool)}
			byName[name] = q
			queues = append(queues, q)
		}
		q.waiters = append(q.waiters, g)
		q.count += n
		q.lockers[g.Frames[at].Function] = true
		waits[g] = q
	}
	if len(queues) > 0 {
		e.findHolders(byName, waits)
	}
	sort.SliceStable(queues, func(i, j int) bool { return queues[i].count > queues[j].count })
	return queues
}

// findHolders looks for a goroutine that is inside the type or function of each
// queue and does not wait for its lock. One that has called something from there
// is more likely the holder than one whose own loop it is, such as a janitor's.
func (e *Evidence) findHolders(byName map[string]*queue, waits map[*stack.Group]*queue) {
	inside := make(map[string]string) // by function: the name of its queue, if any
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.late() {
			return
		}
		outermost := make(map[*queue]int) // where a lock was taken, if any
		for k, f := range g.Frames {
			name, known := inside[f.Function]
			if !known {
				name, _ = within(f)
				if byName[name] == nil {
					name = ""
				}
				inside[f.Function] = name
			}
			if name != "" && waits[g] != byName[name] {
				outermost[byName[name]] = k
			}
		}
		for q, at := range outermost {
			if score := e.holderScore(q, g, at); q.holder == nil || score > q.score {
				q.score, q.holder, q.frame = score, g, at
			}
		}
	}
}

func (e *Evidence) holderScore(q *queue, g *stack.Group, at int) int {
	score := min(at, 3)
	if at == len(g.Frames)-1 {
		score -= 4 // the function of a go statement
	}
	if q.lockers[g.Frames[at].Function] {
		score += 4
	}
	if g.Count > 10 {
		score -= 6 // a lock has one holder
	}
	if waitsForLock(g) {
		score -= 2
	}
	if e.lasting(g) == 0 {
		score -= 3 // it did not hold the lock all the time
	}
	return score
}

func (e *Evidence) convoy(q *queue) Finding {
	of := "a lock in " + q.name
	f := Finding{
		Title:  fmt.Sprintf("%s for %s%s", waitText(q.count), of, e.still()),
		Weight: 900 + min(q.count, 50),
	}
	f.Lines = append(f.Lines, e.sites(q.waiters, 2)...)
	h := q.holder
	what := "which is not waiting for anything (" + h.State + ")"
	if h.State != "runnable" && h.State != "running" {
		what = "now in " + h.State
	}
	if writesToFile(h) {
		what = "now in a write to " + e.fullPipes()
	}
	who := "it may be held by " + plural(h.Count, "goroutine")
	if len(h.Members) == 1 {
		who = fmt.Sprintf("it may be held by goroutine %d", h.Members[0].ID)
	}
	f.Lines = append(f.Lines, who+", "+what+":")
	f.Lines = append(f.Lines, e.inward(h.Frames, q.frame, 3)...)
	return f
}

func waitText(n int) string {
	if n == 1 {
		return "1 goroutine waits"
	}
	return fmt.Sprintf("%d goroutines queue", n)
}

// inward shows the call at from and the ones that it led to, at most n, those
// of the program's own code before others; and where the program called in, if
// it is a library.
func (e *Evidence) inward(frames []stack.Frame, from, n int) []string {
	lines := []string{"    " + place(frames[from])}
	if e.rank(frames[from]) < 2 {
		for _, f := range frames[from:] {
			if e.rank(f) == 2 {
				lines = []string{"    " + place(f)}
				break
			}
		}
	}
	for i := from - 1; i >= 0 && n > 1; i-- {
		if e.rank(frames[i]) > 0 || i == 0 {
			lines = append(lines, "    "+place(frames[i]))
			n--
		}
	}
	return lines
}

// deadlock is about queues in which everybody waits, none of them for somebody
// who could go on.
func (e *Evidence) deadlock(queues []*queue) Finding {
	n := 0
	var groups []*stack.Group
	for _, q := range queues {
		n += q.count
		groups = append(groups, q.waiters...)
	}
	f := Finding{
		Title:  fmt.Sprintf("deadlock? %s for locks, and nobody else is seen to hold them%s", waitText(n), e.still()),
		Weight: 950,
	}
	// Those at the root of it are few; those behind them are many.
	sort.SliceStable(groups, func(i, j int) bool { return groups[i].Count < groups[j].Count })
	shown := 0
	for _, g := range groups {
		at := e.site(g.Frames)
		if at < 0 {
			at = max(locker(g), 0)
		}
		f.Lines = append(f.Lines, fmt.Sprintf("%d at %s", g.Count, place(g.Frames[at])))
		if at+1 < len(g.Frames) && e.rank(g.Frames[at+1]) > 0 {
			f.Lines = append(f.Lines, "    called at "+place(g.Frames[at+1]))
		}
		if shown++; shown == 4 {
			break
		}
	}
	return f
}
