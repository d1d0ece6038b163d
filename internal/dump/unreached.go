package dump

import (
	"time"

	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/image/inside"
)

// unreachedTime is how long the search for what nothing reaches may take at each look. It
// takes so long only if others compete for the CPUs: it is bounded otherwise too.
const unreachedTime = 100 * time.Millisecond

// addUnreached adds the goroutines that wait for something that nothing seems to reach, or
// only variables, if they can be found in time. They have to be found at more than one look.
func addUnreached(e *findings.Evidence, looks int) {
	n := len(e.Looks) - 1
	if looks == 1 || !e.Looks[n].HasMembers || len(e.Unreached) != n || n > 0 && len(e.Unreached[n-1])+len(e.Held[n-1]) == 0 {
		return
	}
	stranded, err := inside.Unreached(unreachedTime)
	if err != nil {
		return
	}
	lost, held, idle := make(map[uint64]uint64), make(map[uint64]uint64), make(map[uint64]bool)
	for _, s := range stranded {
		switch s.Kind {
		case inside.Lost:
			lost[s.ID] = s.Wait
		case inside.Held:
			held[s.ID] = s.Wait
		default:
			idle[s.ID] = true
		}
	}
	e.Unreached, e.Held, e.Idle = append(e.Unreached, lost), append(e.Held, held), idle
}
