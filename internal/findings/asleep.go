package findings

import (
	"fmt"
	"slices"

	"github.com/gomanhole/oneshot/internal/stack"
)

// asleep finds a program in which nothing can run again: every goroutine waits for
// another one, and nothing else can wake one. The runtime ends such a program ("all
// goroutines are asleep - deadlock!"), but not one that is notified of a signal, as every
// program with a manhole is. A state that a timer, a signal or C code can end looks the
// same, so the rule asks whether there is any.
func asleep(e *Evidence) []Finding {
	if e.Wakers == nil || len(e.first().Groups) == 0 || e.first().Unread > 0 {
		return nil
	}
	var groups []*stack.Group
	n := 0
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		switch {
		case e.outOfTime():
			return nil
		case waitsForSignals(g):
			continue // Wakers says whether somebody would get them
		case !blocked(g) || e.lasting(g) < g.Count:
			return nil
		}
		groups = append(groups, g)
		n += g.Count
	}
	if n == 0 || e.appeared() || e.Wakers(e.Final) {
		return nil
	}
	f := Finding{
		Title:  fmt.Sprintf("nothing in this program can run again: all %d goroutines wait for each other%s", n, e.still()),
		Lines:  []string{"no timer, signal, connection or system call is left that could wake one"},
		Weight: weightAsleep,
	}
	if n == 1 {
		f.Title = "nothing in this program can run again: its only goroutine waits for another one" + e.still()
	}
	f.Lines = append(f.Lines, e.sitesWithStates(groups, 4)...)
	return []Finding{f}
}

// AllBlocked reports whether every goroutine waits for another one, or for signals.
func AllBlocked(s *stack.Snapshot) bool {
	return !slices.ContainsFunc(s.Groups, func(g stack.Group) bool { return !blocked(&g) && !waitsForSignals(&g) })
}

// waitsForSignals reports whether it is the goroutine of package os/signal.
func waitsForSignals(g *stack.Group) bool { return contains(g.Frames, "os/signal.signal_recv") }

// appeared reports whether there is a group that was not there at the first look.
func (e *Evidence) appeared() bool {
	for _, look := range e.Looks[1:] {
		for i := range look.Groups {
			g := &look.Groups[i]
			if before := e.first().Find(g.Key()); before == nil || before.Count < g.Count {
				return true
			}
		}
	}
	return false
}
