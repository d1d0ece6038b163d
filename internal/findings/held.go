package findings

import (
	"fmt"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// held finds goroutines of which only variables hold what they wait for, and whose wait is
// none of an idle program (inside.Held). Code that uses the variable could still end the
// wait. So no other code of the same files may be on the stack of a goroutine that can run.
func held(e *Evidence) []Finding {
	if e.Final && len(e.Looks) < 2 || len(e.Held) == 0 || len(e.Held[0]) == 0 {
		return nil
	}
	var one uint64
	var busy map[string]bool
	sites, n := e.leakSites(func(g *stack.Group) (n int) {
		if !blocked(g) || waitsForLock(g) {
			return 0
		}
		for _, m := range e.staying(g) {
			if !m.Leaked && e.atEveryLook(e.Held, m.ID) {
				n++
				one = m.ID
			}
		}
		if n == 0 {
			return 0
		}
		if busy == nil {
			busy = e.busyFiles()
		}
		for file := range e.files(g) {
			if busy[file] {
				return 0
			}
		}
		return n
	})
	if n == 0 {
		return nil
	}
	f := Finding{
		Title: fmt.Sprintf("suspected: %s can never continue, because only variables still lead to what %s for",
			plaintext.Plural(n, "goroutine"), waitingFor(n)),
		Lines:  leakLines(sites, "the command stacks"),
		Weight: weightHeld + min(n, weightOfCount),
		Next:   leaksNext(sites, n, one),
		again:  true,
	}
	return []Finding{f}
}

// busyFiles returns the files of the program whose functions are on the stacks of
// goroutines that can run, or that such goroutines can wake. Those with the same entry as
// one that is held do not count: they do the same with something else.
func (e *Evidence) busyFiles() map[string]bool {
	entries, busy := make(map[string]bool), make(map[string]bool)
	var others []*stack.Group
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		other := false
		for _, m := range g.Members {
			_, unreached := e.Unreached[0][m.ID]
			_, held := e.Held[0][m.ID]
			if held {
				entries[e.entry(g)] = true
			}
			other = other || !unreached && !held && !e.Idle[m.ID]
		}
		if other {
			others = append(others, g)
		}
	}
	for _, g := range others {
		if !entries[e.entry(g)] {
			for file := range e.files(g) {
				busy[file] = true
			}
		}
	}
	return busy
}

// files returns the files of the program's code on the stacks of a group, or those of
// other modules if there is no code of the program.
func (e *Evidence) files(g *stack.Group) map[string]bool {
	files := make(map[string]bool)
	for rank := rankProgram; rank > rankStandard && len(files) == 0; rank-- {
		for _, f := range g.Frames {
			if e.rank(f) == rank {
				files[f.File] = true
			}
		}
	}
	return files
}
