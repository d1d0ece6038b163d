package findings

import (
	"fmt"
	"slices"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// workers are goroutines with the same task: the outermost function of the program
// on their stacks is the same.
type workers struct {
	entry  string // the name of that function
	groups []*stack.Group
	count  int
}

// stuckWorkers finds a worker that has missed its wakeup. Such a goroutine stays
// where it is while others with the same task go on, or it has waited for minutes
// and the others have not. This rule must recognize each goroutine at the next look,
// so it needs looks with members.
func stuckWorkers(e *Evidence) []Finding {
	first := e.first()
	if !first.HasMembers {
		return nil
	}
	var all []*workers
	for i := range first.Groups {
		if e.outOfTime() {
			break
		}
		g := &first.Groups[i]
		entry := e.entry(g)
		if entry == "" {
			continue
		}
		k := slices.IndexFunc(all, func(w *workers) bool { return w.entry == entry })
		if k < 0 {
			k = len(all)
			all = append(all, &workers{entry: entry})
		}
		all[k].groups = append(all[k].groups, g)
		all[k].count += g.Count
	}
	var found []Finding
	for _, w := range all {
		if w.count >= minWorkers {
			found = append(found, e.stuckAmong(w)...)
		}
	}
	return append(found, e.oldRequests()...)
}

// entry returns the outermost function of the program on a stack, or "".
func (e *Evidence) entry(g *stack.Group) string {
	for _, f := range slices.Backward(g.Frames) {
		if e.rank(f) == rankProgram {
			return f.Function
		}
	}
	return ""
}

func (e *Evidence) stuckAmong(w *workers) []Finding {
	var found []Finding
	for _, g := range w.groups {
		if e.outOfTime() {
			break
		}
		at := e.site(g.Frames)
		if at < 0 || !blocked(g) || g.Leaked() > 0 || e.isNamed(g) || slices.ContainsFunc(g.Frames[:at], e.isClientCall) {
			continue
		}
		stuck := e.staying(g)
		others := w.count - len(stuck)
		if len(stuck) == 0 || len(stuck) > max(w.count/workersPerStuck, 1) {
			continue
		}
		if moving := e.moving(w, g, stuck); e.Final && (2*moving < others || moving < minMovingWorkers) {
			continue
		}
		if e.Final && (e.launched(w, g) || e.byChance(w, g, stuck) || e.starved() && !e.waitedForMinutes(g)) {
			continue
		}
		who := fmt.Sprintf("%d goroutines wait", len(stuck))
		if len(stuck) == 1 {
			who = fmt.Sprintf("goroutine %d waits", stuck[0].ID)
		}
		f := Finding{
			Title:  fmt.Sprintf("%s in %s%s, while the %d others that run %s go on", who, g.State, e.still(&stack.Group{Members: stuck}), others, w.entry),
			Lines:  []string{"at " + place(g.Frames[at])},
			Weight: weightStuckWorker + at,
			Next:   fmt.Sprintf("goroutine %d", stuck[0].ID),
			brief:  !e.waitedForMinutes(g),
		}
		if g.Creator.Function != "" {
			f.Lines = append(f.Lines, "started at "+place(g.Creator))
		}
		found = append(found, f)
	}
	return found
}

// byChance reports whether the stuck workers may be at the same place at every look
// only by chance. The more often the looks show other workers there, the more likely
// this is. A goroutine that has waited for minutes is not there by chance.
func (e *Evidence) byChance(w *workers, g *stack.Group, stuck []stack.Goroutine) bool {
	if e.waitedForMinutes(g) {
		return false
	}
	there := 0
	for _, look := range e.Looks {
		if same := look.Find(g.Key()); same != nil {
			there += same.Count - len(stuck)
		}
	}
	p := float64(there) / float64(len(e.Looks)*(w.count-len(stuck)))
	expected := float64(w.count)
	for range e.Looks {
		expected *= p
	}
	return expected > maxChance
}

func (e *Evidence) waitedForMinutes(g *stack.Group) bool {
	least, _ := g.Waits()
	return e.atLeast(least) >= longWait
}

// staying returns the members that are in the group at every look and have not run in
// between, as far as that is known. They are ordered by id, as all members are, and must
// not be changed.
func (e *Evidence) staying(g *stack.Group) []stack.Goroutine {
	if len(e.Looks) == 1 {
		return g.Members
	}
	members, known := e.stays[g]
	if !known {
		members = e.inAll(g, stack.Goroutine.Ran)
		e.stays[g] = members
	}
	return members
}

// inAll returns the members that are in the group at every look, without those for which
// not returns true between two looks.
func (e *Evidence) inAll(g *stack.Group, not func(m, later stack.Goroutine) bool) []stack.Goroutine {
	members := g.Members
	for _, look := range e.Looks[1:] {
		same := look.Find(g.Key())
		if same == nil {
			return nil
		}
		var both []stack.Goroutine
		for i, other := 0, same.Members; i < len(members) && len(other) > 0; {
			switch m := members[i]; {
			case m.ID == other[0].ID:
				if !not(m, other[0]) {
					both = append(both, m)
				}
				i++
			case m.ID < other[0].ID:
				i++
			default:
				other = other[1:]
			}
		}
		members = both
	}
	return members
}

// moving counts the workers that go on. These run or sleep, are elsewhere at
// another look, or began to wait much later than the stuck ones, which are all that
// stay in the group stuckIn.
func (e *Evidence) moving(w *workers, stuckIn *stack.Group, stuck []stack.Goroutine) int {
	least := stuck[0].Minutes
	for _, m := range stuck {
		least = min(least, m.Minutes)
	}
	n := 0
	for _, g := range w.groups {
		stay := e.staying(g)
		for _, m := range g.Members {
			stays := len(stay) > 0 && stay[0].ID == m.ID // both are ordered by id
			if stays {
				stay = stay[1:]
			}
			switch {
			case stays && g == stuckIn: // it is one of them
			case !blocked(g) && g.State != "IO wait" || !stays || e.atLeast(int(least)) >= longWait && m.Minutes < least/2:
				n++
			}
		}
	}
	return n
}

// oldRequests finds HTTP requests to the program that have waited for minutes.
func (e *Evidence) oldRequests() []Finding {
	var found []Finding
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		at := e.site(g.Frames)
		_, most := g.Waits()
		if e.atLeast(most) < 1 || g.Count > maxOldRequests || at < 0 || !blocked(g) || g.Leaked() > 0 || e.isNamed(g) || g.State == "select" || !contains(g.Frames, "net/http.serverHandler.ServeHTTP") {
			continue
		}
		have := "have"
		if g.Count == 1 {
			have = "has"
		}
		found = append(found, Finding{
			Title:  fmt.Sprintf("%s %s waited in %s for up to %s", plaintext.Plural(g.Count, "HTTP request"), have, g.State, plaintext.Plural(most, "minute")),
			Lines:  []string{"at " + place(g.Frames[at])},
			Weight: weightOldRequest,
		})
	}
	return found
}
