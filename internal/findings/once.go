package findings

import (
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/stack"
)

// The findings must not repeat each other. This file decides which of those about the same
// goroutines is shown.

// waitSite is where goroutines wait.
type waitSite struct{ state, place, creator string }

func (e *Evidence) waitSite(g *stack.Group) waitSite {
	s := waitSite{state: g.State}
	if len(g.Frames) > 0 {
		s.place = place(g.Frames[max(e.site(g.Frames), 0)])
	}
	if g.Creator.Function != "" {
		s.creator = place(g.Creator)
	}
	return s
}

// isNamed reports whether a finding says already that goroutines which wait where the
// group does can never continue. It is cheap if there is no such finding.
func (e *Evidence) isNamed(g *stack.Group) bool {
	return len(e.named) > 0 && e.named[e.waitSite(g)]
}

// oneForAll leaves out the findings about goroutines that wait if none in the program can
// run again. If one of them is a deadlock, it says best where that began. A queue for a
// lock stays, since it says who holds the lock, and why that one does not go on.
func oneForAll(all []Finding) []Finding {
	at := slices.IndexFunc(all, func(f Finding) bool { return f.Weight == weightAsleep })
	if at < 0 {
		return all
	}
	for _, f := range all {
		if f.Weight == weightDeadlock {
			all[at].Lines = append(all[at].Lines[:1:1], f.Lines...)
		}
	}
	return slices.DeleteFunc(all, func(f Finding) bool {
		return f.waits && (f.Rule != "locks" || f.Weight == weightDeadlock)
	})
}

// once removes a finding if a more important one is about the same place. The place is
// in the first line.
func once(all []Finding) []Finding {
	seen := make(map[string]bool)
	return slices.DeleteFunc(all, func(f Finding) bool {
		if len(f.Lines) == 0 {
			return false
		}
		_, at, found := strings.Cut(f.Lines[0], "at ")
		if !found {
			return false
		}
		was := seen[at]
		seen[at] = true
		return was
	})
}
