package findings

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// queue describes the goroutines that wait for the locks of one type, or of one
// function if the lock is not taken in a method.
type queue struct {
	name    string // of the type or function
	waiters []*stack.Group
	lockers map[string]bool // the functions that call Lock
	count   int             // the number of goroutines that wait at every look
	holder  *stack.Group    // the goroutines that may hold the lock; nil if none is found
	frame   int             // the index of the holder's frame inside the type or function
	score   int             // how likely holder holds the lock
}

// waitsForLock reports whether the group queues for a mutex.
func waitsForLock(g *stack.Group) bool {
	switch g.State {
	case "sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock":
		return true
	case "semacquire": // it may be the lock of a file or connection
		return contains(g.Frames, "internal/poll.(*fdMutex).rwlock")
	}
	return false
}

// locker returns the index of the frame that calls Lock, or -1.
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

// lockOwner returns the type of a method, or the name of a function. Goroutines
// that call Lock there are in one queue.
func lockOwner(f stack.Frame) string {
	if r := f.Receiver(); r != "" {
		return r
	}
	name := f.Function
	if i := strings.Index(name[strings.LastIndexByte(name, '/')+1:], ".func"); i >= 0 { // a function literal
		name = name[:strings.LastIndexByte(name, '/')+1+i]
	}
	return name
}

// locks finds queues for locks, and for each queue a goroutine that may hold the
// lock. If all possible holders wait for locks themselves, it reports a deadlock.
func locks(e *Evidence) []Finding {
	var dead []*queue
	var found []Finding
	starved := len(e.queues) > 0 && e.starved()
	for _, q := range e.queues {
		switch {
		case starved && !slices.ContainsFunc(q.waiters, e.waitedForMinutes): // a holder may only need a CPU
		case stuck(q, e.queues):
			if !e.moves(q) {
				dead = append(dead, q)
			}
		case !slices.ContainsFunc(q.waiters, func(g *stack.Group) bool { return g.Leaked() < g.Count }):
			// Whoever seems to hold the lock does not: see proved.
		case q.count >= minQueueUnknown || e.first().HasMembers && !e.moves(q): // otherwise the waiters come and go
			found = append(found, e.lockQueue(q))
		}
	}
	if len(dead) > 0 {
		found = append(found, e.deadlock(dead))
	}
	return found
}

// moves reports whether a waiter may have got the lock between the looks. If the
// members are known, a waiter must have left the queue. Otherwise, the runtime must
// have counted a long wait: it counts a wait when the waiter gets the lock.
func (e *Evidence) moves(q *queue) bool {
	if len(e.Looks) == 1 {
		return false
	}
	if !e.first().HasMembers {
		return e.After.MutexWait-e.Before.MutexWait > e.span().Seconds()/2
	}
	n := 0
	for _, g := range q.waiters {
		n += g.Count
	}
	return q.count < n
}

// stuck reports whether the queue cannot move. It goes from the queue to its holder,
// then to the queue in which this holder waits, and so on. The queue is stuck if this
// leads to a queue without a holder, or in a circle.
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
			return false // the holder has moved on by the second look
		}
		q = queues[at]
	}
	return true
}

// findQueues collects the goroutines that wait for locks, and finds the possible
// holders. The longest queue comes first.
func (e *Evidence) findQueues() []*queue {
	byName := make(map[string]*queue)
	waits := make(map[*stack.Group]*queue)
	var queues []*queue
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			break
		}
		if !waitsForLock(g) {
			continue
		}
		n, at := e.lasting(g), locker(g)
		if n == 0 || at < 0 {
			continue
		}
		name := lockOwner(g.Frames[at])
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

// findHolders finds for each queue a goroutine that is inside its type or function
// and does not wait for its lock. It is more likely the holder if it has called further
// functions from there. It is less likely if it was started there, as a janitor's loop.
func (e *Evidence) findHolders(byName map[string]*queue, waits map[*stack.Group]*queue) {
	inside := make(map[string]string) // maps a function to the name of its queue, or to ""
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			return
		}
		outermost := make(map[*queue]int) // the frame that may have taken the lock
		for k, f := range g.Frames {
			name, known := inside[f.Function]
			if !known {
				name = lockOwner(f)
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
		score -= 4 // the function that a go statement started
	}
	if q.lockers[g.Frames[at].Function] {
		score += 4
	}
	if g.Count > maxLockHolders {
		score -= 6
	}
	if waitsForLock(g) {
		score -= 2
	}
	if e.lasting(g) == 0 {
		score -= 3 // it did not hold the lock all the time
	}
	return score
}

func (e *Evidence) lockQueue(q *queue) Finding {
	f := Finding{
		Title:  fmt.Sprintf("%s for a lock in %s%s", waitText(q.count), q.name, e.still(q.waiters...)),
		Weight: weightLockQueue + min(q.count, weightOfCount),
		chance: e.crowded() && !slices.ContainsFunc(q.waiters, e.waitedForMinutes), // the holder may only need a CPU
	}
	f.Lines = append(f.Lines, e.sites(q.waiters, 2)...)
	h := q.holder
	what := fmt.Sprintf("which %s not waiting for anything (%s)", are(h.Count), h.State)
	if h.State != "runnable" && h.State != "running" {
		what = "now in " + h.State
	}
	if writesToFile(h) {
		what = "now in a write to " + e.fullPipes()
	}
	who := "it may be held by " + plaintext.Plural(h.Count, "goroutine")
	if len(h.Members) == 1 {
		who = fmt.Sprintf("it may be held by goroutine %d", h.Members[0].ID)
		f.Next = fmt.Sprintf("goroutine %d", h.Members[0].ID)
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

// inward lists the frame at index from and the frames of the calls inside it, at
// most n. It leaves out the standard library, except for the innermost frame. If
// the frame at from is in a library, it lists the frame of the program that called
// the library instead.
func (e *Evidence) inward(frames []stack.Frame, from, n int) []string {
	lines := []string{"    " + place(frames[from])}
	if e.rank(frames[from]) < rankProgram {
		for _, f := range frames[from:] {
			if e.rank(f) == rankProgram {
				lines = []string{"    " + place(f)}
				break
			}
		}
	}
	for i := from - 1; i >= 0 && n > 1; i-- {
		if e.rank(frames[i]) > rankStandard || i == 0 {
			lines = append(lines, "    "+place(frames[i]))
			n--
		}
	}
	return lines
}

// deadlock reports queues that are stuck: no goroutine in them waits for a
// goroutine that can go on.
func (e *Evidence) deadlock(queues []*queue) Finding {
	n := 0
	var groups []*stack.Group
	for _, q := range queues {
		n += q.count
		groups = append(groups, q.waiters...)
	}
	f := Finding{
		Title:  fmt.Sprintf("possible deadlock: %s for locks that no other goroutine seems to hold%s", waitText(n), e.still(groups...)),
		Weight: weightDeadlock,
		chance: e.crowded() && !slices.ContainsFunc(groups, e.waitedForMinutes),
	}
	// A few goroutines cause a deadlock, and many others queue behind them. So show the
	// smallest groups first.
	sort.SliceStable(groups, func(i, j int) bool { return groups[i].Count < groups[j].Count })
	shown := 0
	for _, g := range groups {
		at := e.site(g.Frames)
		if at < 0 {
			at = max(locker(g), 0)
		}
		f.Lines = append(f.Lines, fmt.Sprintf("%d at %s", g.Count, place(g.Frames[at])))
		if at+1 < len(g.Frames) && e.rank(g.Frames[at+1]) > rankStandard {
			f.Lines = append(f.Lines, "    called at "+place(g.Frames[at+1]))
		}
		if shown++; shown == 4 {
			break
		}
	}
	return f
}
