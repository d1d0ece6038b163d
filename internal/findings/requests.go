package findings

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// waitKey says which goroutines are one finding: those with the same entry that wait in
// the same call.
type waitKey struct {
	entry
	kind          kind
	library, call string
}

// waiting are goroutines that wait for the same.
type waiting struct {
	waitKey
	groups        []*stack.Group
	wait          wait // of the first group
	count, stay   int
	askers        map[uint64]bool // the requests that have started the goroutines, if the entry is theirs
	unused        bool            // no goroutine uses a connection of the pool
	holders       int
	holding       []*stack.Group // of a semaphore or a shared call
	holdersWaitIn string
}

// requests finds requests, messages and other goroutines that wait for an answer, for a
// connection of a pool, or for another request that does.
func requests(e *Evidence) []Finding {
	var all []*waiting
	index := make(map[waitKey]int)
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			break
		}
		w := e.waitOf(g)
		if w.kind == noWait {
			continue
		}
		key := waitKey{e.entryOf(g), w.kind, w.library, w.call}
		k, known := index[key]
		if !known {
			k = len(all)
			index[key] = k
			all = append(all, &waiting{waitKey: key, wait: w})
		}
		all[k].groups = append(all[k].groups, g)
		all[k].count += g.Count
	}
	all = slices.DeleteFunc(all, func(w *waiting) bool { return !e.staysStuck(w) })
	if len(all) == 0 {
		return nil
	}
	all = e.onBehalf(all)
	totals := e.totals()
	sort.SliceStable(all, func(i, j int) bool { return all[i].count > all[j].count })
	var found []Finding
	silent := e.silent()
	for _, w := range all {
		f := e.requestFinding(w, totals[w.entry])
		if len(silent) > 0 && !w.unused { // otherwise no server owes an answer to them
			f.Lines, silent = append(f.Lines, silent...), nil // of which finding they are is not known; the first has most of them
		}
		found = append(found, f)
	}
	return found
}

// staysStuck reports whether so many goroutines wait, and stay where they are, that this is a
// finding. It completes w.
func (e *Evidence) staysStuck(w *waiting) bool {
	if w.kind == raw && w.count >= minNetworkWaits {
		w.groups = slices.DeleteFunc(w.groups, e.acceptedConn)
		w.count = 0
		for _, g := range w.groups {
			w.count += g.Count
		}
	}
	if w.count < minNetworkWaits {
		return false
	}
	for _, g := range w.groups {
		w.stay += e.lasting(g)
	}
	if w.stay < max(almostAll(w.count), minNetworkWaits) || w.kind == raw && !e.unanswered(w.stay) {
		return false
	}
	if e.first().HasMembers {
		return w.kind != another || e.held(w)
	}
	switch w.kind {
	case another:
		return false
	case free:
		return e.quiet(w.count)
	}
	// Each answer through net/http makes three goroutines run once. If each goroutine of
	// the group may have got two answers, answers are arriving.
	return e.quiet(2 * 3 * w.count)
}

// held finds the goroutines for which those in w wait: they are in the same function of
// the program, and have the semaphore or make the call. It reports whether all of them
// stay in a call that gets no answer, and whether that matters: a job may queue for its
// turn for as long as it likes, but a request is made by somebody who waits.
func (e *Evidence) held(w *waiting) bool {
	function := w.groups[0].Frames[w.wait.at].Function
	n := 0
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			return false
		}
		if !contains(g.Frames, function) {
			continue
		}
		in := e.waitOf(g)
		switch in.kind {
		case another:
		case answer, raw:
			n += g.Count
			if e.lasting(g) == g.Count && (in.kind == answer || !e.acceptedConn(g)) {
				w.holders += g.Count
				w.holding = append(w.holding, g)
				w.holdersWaitIn = in.library + " " + in.call
			}
		default:
			n += g.Count
		}
	}
	if w.holders == 0 || w.holders < almostAll(n) {
		return false
	}
	least := longWait
	for _, g := range w.holding {
		l, _ := g.Waits()
		least = min(least, e.atLeast(l))
	}
	return w.what != "goroutine" || least >= longWait
}

// totals counts the goroutines by entry.
func (e *Evidence) totals() map[entry]int {
	totals := make(map[entry]int)
	for i := range e.first().Groups {
		if e.outOfTime() {
			break
		}
		g := &e.first().Groups[i]
		totals[e.entryOf(g)] += g.Count
	}
	return totals
}

func (e *Evidence) requestFinding(w *waiting, total int) Finding {
	count := w.count
	if w.askers != nil {
		count = len(w.askers)
	}
	if w.library == "singleflight" {
		count += w.holders
	}
	who := fmt.Sprintf("%d of %d %ss of %s", count, max(total, count), w.what, w.function)
	f := Finding{Weight: min(count, weightOfCount)}
	f.Title = fmt.Sprintf("%s wait in %s %s%s", who, w.library, w.call, e.still(w.groups...))
	places := e.waitPlaces(w)
	_, first, _ := strings.Cut(places[0], "at ")
	f.Lines = []string{"at " + first}
	if len(places) > 1 {
		f.Lines = append(f.Lines, places[1:]...)
	}
	switch w.kind {
	case free:
		f.Title = fmt.Sprintf("%s wait for a free connection of the pool of %s, in %s%s", who, w.library, w.call, e.still(w.groups...))
		f.Lines = append(f.Lines, "the pool has as many connections as "+w.wait.pool.limit+" allows")
		users, used := e.poolUsers(w.wait.pool, w.groups[0].Frames[w.wait.at].Function)
		f.Lines, w.unused = append(f.Lines, users...), !used
		f.Weight += weightPool
		f.Next = "stacks -state select"
	case raw:
		f.Title = fmt.Sprintf("%s wait for answers from %s %s%s", who, w.library, w.call, e.still(w.groups...))
		f.Weight += weightNetwork
	case another:
		f.Lines = append(f.Lines, fmt.Sprintf("they wait for %s, which %s in %s:", plaintext.Plural(w.holders, w.what), verb(w.holders, "wait"), w.holdersWaitIn))
		for _, line := range e.sites(w.holding, 2) {
			f.Lines = append(f.Lines, "    "+line)
		}
		f.Weight += weightShared
	default:
		f.Weight += weightNetwork
	}
	if e.queueInside(w) {
		f.Weight += weightLockQueue + 1 - weightNetwork // the lock is the library's, and a detail
	}
	if w.askers != nil {
		f.Lines = append(f.Lines, fmt.Sprintf("in %s that they have started", plaintext.Plural(w.count, "goroutine")))
	}
	return f
}

// queueInside reports whether there is a queue for a lock inside the library in which they
// wait: the goroutines in the queue are among them, or are the library's own.
func (e *Evidence) queueInside(w *waiting) bool {
	if w.kind != answer {
		return false
	}
	inside := func(g *stack.Group) bool {
		if slices.Contains(w.groups, g) {
			return true
		}
		at := e.site(g.Frames)
		if at < 0 || e.rank(g.Frames[at]) == rankProgram {
			return false
		}
		library := e.function(g.Frames[at]).library
		return library >= 0 && libraries[library].name == w.library
	}
	return slices.ContainsFunc(e.queues, func(q *queue) bool {
		return !stuck(q, e.queues) && !slices.ContainsFunc(q.waiters, func(g *stack.Group) bool { return !inside(g) })
	})
}

// waitPlaces returns the places of the program at which they wait, as Evidence.sites does.
func (e *Evidence) waitPlaces(w *waiting) []string {
	var groups []*stack.Group
	for _, g := range w.groups {
		at := e.waitOf(g).at
		groups = append(groups, &stack.Group{Count: g.Count, Frames: g.Frames[at:]})
	}
	return e.sites(groups, 3)
}

// are returns the form of "to be" for n things.
func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// were returns the past of are.
func were(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// verb returns the form of a regular verb for n things.
func verb(n int, plural string) string {
	if n == 1 {
		return plural + "s"
	}
	return plural
}
