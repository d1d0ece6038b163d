package findings

import (
	"fmt"
	"slices"

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
// and the others have not. To find it we must know which goroutine is which, so
// this rule needs looks with members.
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
		at := e.site(g.Frames)
		if at < 0 || !blocked(g) || slices.ContainsFunc(g.Frames[:at], isClientCall) {
			continue
		}
		stuck := e.staying(g)
		others := w.count - len(stuck)
		if len(stuck) == 0 || len(stuck) > max(w.count/workersPerStuck, 1) {
			continue
		}
		if moving := e.moving(w, stuck); e.Final && (2*moving < others || moving < minMovingWorkers) {
			continue
		}
		if e.Final && e.byChance(w, g, stuck) {
			continue
		}
		who := fmt.Sprintf("%d goroutines wait", len(stuck))
		if len(stuck) == 1 {
			who = fmt.Sprintf("goroutine %d waits", stuck[0].ID)
		}
		f := Finding{
			Title:  fmt.Sprintf("%s in %s%s, while the %d others that run %s go on", who, g.State, e.still(), others, w.entry),
			Lines:  []string{"at " + place(g.Frames[at])},
			Weight: weightStuckWorker + at,
		}
		if g.Creator.Function != "" {
			f.Lines = append(f.Lines, "started at "+place(g.Creator))
		}
		found = append(found, f)
	}
	return found
}

// byChance reports whether the stuck workers may have been at their place at every
// look only by chance, because all workers are there often. The more often the
// others were seen there, the more likely this is. A goroutine that has waited for
// minutes is not there by chance.
func (e *Evidence) byChance(w *workers, g *stack.Group, stuck []stack.Goroutine) bool {
	if least, _ := g.Waits(); least >= longWait {
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

// staying returns the members that are in the group at every look.
func (e *Evidence) staying(g *stack.Group) []stack.Goroutine {
	members := slices.Clone(g.Members)
	for _, look := range e.Looks[1:] {
		same := look.Find(g.Key())
		members = slices.DeleteFunc(members, func(m stack.Goroutine) bool { return same == nil || !same.Has(m.ID) })
	}
	return members
}

// moving counts the workers that go on. These run or sleep, are elsewhere at
// another look, or began to wait much later than the stuck ones.
func (e *Evidence) moving(w *workers, stuck []stack.Goroutine) int {
	least := stuck[0].Minutes
	for _, m := range stuck {
		least = min(least, m.Minutes)
	}
	n, among := 0, stack.Group{Members: stuck}
	for _, g := range w.groups {
		stay := stack.Group{Members: e.staying(g)} // ordered by id, so that Has is quick
		for _, m := range g.Members {
			stays := stay.Has(m.ID)
			switch {
			case among.Has(m.ID):
			case !blocked(g) && g.State != "IO wait" || !stays || least >= longWait && m.Minutes < least/2:
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
		if most < 1 || g.Count > maxOldRequests || at < 0 || !blocked(g) || g.State == "select" || !contains(g.Frames, "net/http.serverHandler.ServeHTTP") {
			continue
		}
		have := "have"
		if g.Count == 1 {
			have = "has"
		}
		found = append(found, Finding{
			Title:  fmt.Sprintf("%s %s waited in %s for up to %s", plural(g.Count, "HTTP request"), have, g.State, plural(most, "minute")),
			Lines:  []string{"at " + place(g.Frames[at])},
			Weight: weightOldRequest,
		})
	}
	return found
}
