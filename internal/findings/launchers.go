package findings

import (
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/stack"
)

// launched reports whether the workers seem to have different tasks: their entry is a
// function literal, as of a method that starts all goroutines of a program, too few others
// are in the function that it has called for g, and no worker has gone from one such
// function to another.
func (e *Evidence) launched(w *workers, g *stack.Group) bool {
	if !strings.Contains(w.entry, ".func") {
		return false
	}
	task := e.calledBy(w.entry, g)
	same := -len(e.staying(g))
	tasks := make(map[uint64]string)
	for _, other := range w.groups {
		t := e.calledBy(w.entry, other)
		if t == task {
			same += other.Count
		}
		for _, m := range other.Members {
			tasks[m.ID] = t
		}
	}
	if same >= minMovingWorkers {
		return false
	}
	for _, look := range e.Looks[1:] {
		for i := range look.Groups {
			later := &look.Groups[i]
			if e.entry(later) != w.entry {
				continue
			}
			t := e.calledBy(w.entry, later)
			if slices.ContainsFunc(later.Members, func(m stack.Goroutine) bool { before, ok := tasks[m.ID]; return ok && before != t }) {
				return false
			}
		}
	}
	return true
}

// calledBy returns the function that the entry has called, or "".
func (e *Evidence) calledBy(entry string, g *stack.Group) string {
	for i, f := range slices.Backward(g.Frames) {
		if f.Function == entry && i > 0 {
			return g.Frames[i-1].Function
		}
	}
	return ""
}
