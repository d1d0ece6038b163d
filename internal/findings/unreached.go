package findings

import (
	"fmt"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// unreached finds goroutines that wait for something that nothing leads to which can
// still run. The program went on while its memory was searched. So a goroutine counts
// only if it was found at every look, in the same wait, and if there were at least two.
// A wait for a nil channel, and a select without cases, never end.
func unreached(e *Evidence) []Finding {
	if e.Final && len(e.Looks) < 2 {
		return nil
	}
	var one uint64
	sites, n := e.leakSites(func(g *stack.Group) (n int) {
		if !blocked(g) {
			return 0
		}
		for _, m := range e.staying(g) {
			if !m.Leaked && (e.neverEnds(g, m) || e.atEveryLook(e.Unreached, m.ID)) {
				n++
				one = m.ID
			}
		}
		return n
	})
	if n == 0 {
		return nil
	}
	f := Finding{
		Title:  fmt.Sprintf("suspected: %s can never continue, because nothing seems to reach what %s for", plaintext.Plural(n, "goroutine"), waitingFor(n)),
		Lines:  leakLines(sites, "the command stacks"),
		Weight: weightUnreached + min(n, weightOfCount),
		Next:   leaksNext(sites, n, one),
		again:  true,
	}
	return []Finding{f}
}

// neverEnds reports whether a wait never ends, and is hardly on purpose.
func (e *Evidence) neverEnds(g *stack.Group, m stack.Goroutine) bool {
	switch g.State {
	case "chan send (nil chan)":
		return true
	case "select (no cases)", "chan receive (nil chan)":
		return !e.onPurpose(g, m)
	}
	return false
}

// atEveryLook reports whether a goroutine was found, in the same wait, at every look.
func (e *Evidence) atEveryLook(looks []map[uint64]uint64, id uint64) bool {
	if len(looks) < len(e.Looks) {
		return false
	}
	wait, found := looks[0][id]
	for _, look := range looks[1:] {
		if again, ok := look[id]; !ok || again != wait {
			return false
		}
	}
	return found
}
