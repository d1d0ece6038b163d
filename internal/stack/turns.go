package stack

import (
	"github.com/gomanhole/oneshot/internal/image/inside"
	"github.com/gomanhole/oneshot/internal/image/layout"
)

// AddTurns sets Turns of the members that do not have it. If it differs between two
// snapshots, the goroutine has run in the meantime. It is 0 if that is not known.
// It also sets Minutes of the leaked members, which the runtime's traceback leaves out.
func (s *Snapshot) AddTurns() {
	if !s.HasMembers || len(s.Groups) == 0 || s.Groups[0].Members[0].Turns > 0 {
		return // they are unknown, or there already
	}
	all := make(map[uint64]later, s.Total)
	if inside.Turns(func(id uint64, n uint8, stop layout.Stop, minutes int) {
		all[id] = later{Turns(n, stop), int32(minutes)}
	}) == nil {
		s.add(all)
	}
}

// later is what is known of a goroutine after a listing was taken.
type later struct {
	turns   uint16
	minutes int32
}

func (s *Snapshot) add(all map[uint64]later) {
	for i := range s.Groups {
		for k := range s.Groups[i].Members {
			m := &s.Groups[i].Members[k]
			l := all[m.ID]
			if m.Turns == 0 {
				m.Turns = l.turns
			}
			if m.Leaked && m.Minutes == 0 {
				m.Minutes = l.minutes
			}
		}
	}
}

// stopShift is the place of the layout.Stop in Turns. Below it is a number from 1 to 256.
const stopShift = 9

// Turns returns Goroutine.Turns for what the runtime knows: how often the goroutine has
// stopped running, modulo 256, and how it has stopped last.
func Turns(n uint8, stop layout.Stop) uint16 { return uint16(stop)<<stopShift | (uint16(n) + 1) }

// Ran reports whether a goroutine has run between two snapshots in which it is, as far
// as that is known.
func (g Goroutine) Ran(later Goroutine) bool {
	return g.Turns != later.Turns && g.Turns > 0 && later.Turns > 0
}

// Stop returns how the goroutine has last stopped running. If that is not known, it is
// layout.Preempted.
func (g Goroutine) Stop() layout.Stop { return layout.Stop(g.Turns >> stopShift) }
