package findings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// writesToFile reports whether the goroutines are writing to a file or pipe: they
// are in the system call, or wait for room in the pipe.
func writesToFile(g *stack.Group) bool {
	if g.State != "syscall" && g.State != "IO wait" {
		return false
	}
	if contains(g.Frames, "net.(*netFD).Write") { // it ends with the same system call
		return false
	}
	return contains(g.Frames, "os.(*File).Write", "os.(*File).WriteString", "syscall.Write") ||
		len(g.Frames) > 1 && g.Frames[1].Function == "syscall.write"
}

// stuckWrites finds goroutines whose write to a file or pipe does not return. If
// other goroutines queue behind it, locks reports it already.
func stuckWrites(e *Evidence) []Finding {
	var found []Finding
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			break
		}
		n := e.lasting(g)
		if !writesToFile(g) || n == 0 || !e.first().HasMembers && !e.quiet(g.Count) {
			continue
		}
		at := e.site(g.Frames)
		if at < 0 || e.rank(g.Frames[at]) < rankProgram || e.holds(g) {
			continue
		}
		found = append(found, Finding{
			Title:  fmt.Sprintf("%s %s stuck in a write to %s%s", plaintext.Plural(n, "goroutine"), are(n), e.fullPipes(), e.still(g)),
			Lines:  []string{"at " + place(g.Frames[at])},
			Weight: weightStuckWrite + min(g.Count, weightOfCount),
		})
	}
	return found
}

// holds reports whether the group may hold a lock for which others wait.
func (e *Evidence) holds(g *stack.Group) bool {
	return slices.ContainsFunc(e.queues, func(q *queue) bool { return q.holder == g })
}

// fullPipes describes the possible target of a write. It names stdout and stderr
// if they are full pipes.
func (e *Evidence) fullPipes() string {
	var full []string
	for fd, name := range []string{"", "stdout", "stderr"} {
		if fd > 0 && e.FullPipe != nil && e.FullPipe(fd) {
			full = append(full, fmt.Sprintf("%s (fd %d)", name, fd))
		}
	}
	if len(full) == 0 {
		return "a file or pipe"
	}
	return "a file or pipe (nobody reads " + strings.Join(full, " and ") + ", which is full)"
}
