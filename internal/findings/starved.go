package findings

import (
	"slices"
	"time"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// starved reports whether the program got so little CPU time that a goroutine which was
// ready to run at one look had not run at the next one. Then it is too early to say that
// others do not go on: whoever would wake them may have had no CPU. The runtime takes the
// CPU from a goroutine after 10 ms, so one that only seemed to run has had none either.
func (e *Evidence) starved() bool {
	for i, look := range e.Looks[1:] {
		ready := make(map[uint64]stack.Goroutine)
		for k := range e.Looks[i].Groups {
			if g := &e.Looks[i].Groups[k]; onCPU(g) {
				for _, m := range g.Members {
					ready[m.ID] = m
				}
			}
		}
		for k := range look.Groups {
			g := &look.Groups[k]
			if !onCPU(g) {
				continue
			}
			for _, m := range g.Members {
				if before, ok := ready[m.ID]; ok && m.Turns > 0 && m.Turns == before.Turns {
					return true
				}
			}
		}
	}
	return false
}

// crowded is how long goroutines wait for a CPU if others compete for it.
const crowded = 5 * time.Millisecond

// TooEarly reports whether a finding needs more looks: it only says that goroutines did not
// move between the looks, in a time in which others had to wait for a CPU, or it may be so by
// chance, where many want a CPU. One that lets others run before it waits, as a writer that
// collects more to write, is ready at three looks now and then: the server of etcd under load
// at one of 70, on a busy machine. And where many want a CPU, the one that has it works until
// it is taken from it, and is ready then: a reader of pebble on one CPU at one of 150.
func (e *Evidence) TooEarly(found []Finding) bool {
	if slices.ContainsFunc(found, func(f Finding) bool { return f.chance }) {
		return true
	}
	// From outside, the time that goroutines wait for a CPU is not known.
	return slices.ContainsFunc(found, func(f Finding) bool { return f.brief }) && (vitals.Latency(e.Before, e.After) >= crowded || e.crowded())
}
