package findings

import (
	"fmt"
	"slices"
	"sort"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// leakSite is a place where goroutines wait that can never continue.
type leakSite struct {
	waitSite
	count, all int // of all goroutines at the place, count are leaked
	minutes    int // the longest wait
}

// proved finds goroutines of which the garbage collector has proved that they can never
// continue. A single one is enough, and it does not matter how long it has waited. A
// select without cases and a receive from a nil channel do not count while the goroutine's
// creator is there: programs wait so on purpose, such as for the end of
// context.Background.
func proved(e *Evidence) []Finding {
	sites, n := e.leakSites(func(g *stack.Group) int {
		if g.Leaked() == 0 {
			return 0
		}
		return e.stillLeaked(g, func(m stack.Goroutine) bool { return e.onPurpose(g, m) })
	})
	if n == 0 {
		return nil
	}
	return []Finding{{
		Title:  fmt.Sprintf("proved: %s can never continue, because nothing can reach what %s for", plaintext.Plural(n, "goroutine"), waitingFor(n)),
		Lines:  leakLines(sites, "the command leaks"),
		Weight: weightProved + min(n, weightOfCount),
	}}
}

// leakSites returns the places of the goroutines that count returns for the groups, the
// oldest first, and the number of these goroutines.
func (e *Evidence) leakSites(count func(*stack.Group) int) (sites []leakSite, n int) {
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			break
		}
		if len(g.Frames) == 0 || e.isNamed(g) {
			continue
		}
		count := count(g)
		if count == 0 || e.deadlocked(g) {
			continue
		}
		n += count
		_, minutes := g.Waits()
		s := leakSite{waitSite: e.waitSite(g), count: count, all: g.Count, minutes: minutes}
		k := slices.IndexFunc(sites, func(other leakSite) bool { return other.waitSite == s.waitSite })
		if k < 0 {
			sites = append(sites, s)
			continue
		}
		sites[k].count += s.count
		sites[k].all += s.all
		sites[k].minutes = max(sites[k].minutes, s.minutes)
	}
	if e.Final {
		for _, s := range sites {
			e.named[s.waitSite] = true
		}
	}
	// The oldest come first: what began later may be a consequence.
	sort.SliceStable(sites, func(i, j int) bool {
		if sites[i].minutes != sites[j].minutes {
			return sites[i].minutes > sites[j].minutes
		}
		return sites[i].count > sites[j].count
	})
	return sites, n
}

// leakLines returns the details of a finding. If not all places fit, it names the command
// that shows all.
func leakLines(sites []leakSite, command string) (lines []string) {
	for i, s := range sites {
		if i == maxLeakSites {
			lines = append(lines, "and "+plaintext.Plural(len(sites)-i, "more place")+"; "+command+" shows all")
			break
		}
		count := fmt.Sprint(s.count)
		if s.count < s.all {
			count += fmt.Sprintf(" of %d", s.all)
		}
		line := fmt.Sprintf("%s in %s at %s", count, s.state, s.place)
		if s.minutes > 0 {
			line += fmt.Sprintf(", for up to %s", plaintext.Plural(s.minutes, "minute"))
		}
		lines = append(lines, line)
		if s.creator != "" {
			lines = append(lines, "    started at "+s.creator)
		}
	}
	return lines
}

// leaksNext returns the command that shows the goroutines of a finding, n at these places;
// one is one of them.
func leaksNext(sites []leakSite, n int, one uint64) string {
	switch {
	case n == 1:
		return fmt.Sprintf("goroutine %d", one)
	case slices.ContainsFunc(sites, func(s leakSite) bool { return s.state != sites[0].state }):
		return "stacks"
	}
	return "stacks -state " + oneWord(sites[0].state)
}

func waitingFor(n int) string {
	if n == 1 {
		return "it waits"
	}
	return "they wait"
}

// onPurpose reports whether a member of a group may wait for ever on purpose.
func (e *Evidence) onPurpose(g *stack.Group, m stack.Goroutine) bool {
	endless := g.State == "select (no cases)" || g.State == "chan receive (nil chan)"
	return endless && (m.ID == 1 || m.Parent == 1 || e.groupOf(m.Parent) != nil)
}

// stillLeaked counts the leaked members that are where they were at every look, without
// those for which not returns true. A mark that is wrong would be gone as soon as its
// goroutine has run.
func (e *Evidence) stillLeaked(g *stack.Group, not func(stack.Goroutine) bool) (n int) {
	for _, m := range e.staying(g) {
		if m.Leaked && !not(m) {
			n++
		}
	}
	return n
}

// deadlocked reports whether the group is in a queue that is reported as a deadlock.
func (e *Evidence) deadlocked(g *stack.Group) bool {
	return slices.ContainsFunc(e.queues, func(q *queue) bool {
		return slices.Contains(q.waiters, g) && stuck(q, e.queues) && !e.moves(q)
	})
}
