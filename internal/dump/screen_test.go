package dump

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/stack"
)

// screen returns what Screen writes. It requires that each line has at most 80 characters.
func screen(t *testing.T, found []findings.Finding, s *stack.Snapshot) (text string, lines int) {
	t.Helper()
	text = written(t, func(w *Writer) { w.Screen(found, s) })
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, length(line), 80+len("\n"), line)
	}
	return text, strings.Count(text, "\n")
}

// many returns groups that are different.
func many(n int) (all []stack.Group) {
	for i := range n {
		all = append(all, stack.Group{State: "select", Count: 100 - i, Frames: []stack.Frame{
			{Function: "internal/poll.Read", File: "/go/src/internal/poll/fd.go", Line: 1},
			{Function: "os.(*File).Read", File: "/go/src/os/file.go", Line: 1},
			{Function: fmt.Sprintf("main.f%d", i), File: "/src/main.go", Line: i + 1},
		}})
	}
	return all
}

func TestTheFirstScreenOfAProgramWithoutFindings(t *testing.T) {
	text, lines := screen(t, nil, groups(many(12)...)) // with 4 lines each
	require.Contains(t, text, NothingFound)
	require.Contains(t, text, "\n89 (7%) select\n    os.(*File).Read (2 library frames)\n    main.f11  /src/main.go:12\n", "all are shown as stacks shows them")
	require.LessOrEqual(t, lines, fewLines+5)

	text, lines = screen(t, nil, groups(many(20)...))
	require.Equal(t, ScreenLines, lines, text)
	require.Contains(t, text, NothingFound+"\n\n1810 goroutines in 20 groups by identical stacks (stacks shows all):\n100 (5%) select  main.f0  /src/main.go:1\n")
	require.NotContains(t, text, "library frames")
}

func TestTheFirstScreenOfAProgramWithFindings(t *testing.T) {
	queue := findings.Finding{Title: "60 goroutines queue for a lock in main.sessions, and still 170ms later", Next: "goroutine 5", Lines: []string{
		"60 at main.f0  /src/main.go:1", "it may be held by goroutine 5, now in sleep:", "    main.g  /src/main.go:85", "    main.f1  /src/main.go:2", "    time.Sleep  /go/src/time/sleep.go:3",
	}}
	leak := findings.Finding{Title: "241 goroutines, 68% of all, wait in chan send at one place, and still 170ms later, when there were 2 more", Next: "stacks -diff",
		Lines: []string{"at main.f2  /src/main.go:3", "started at main.g  /src/main.go:9"}}
	text, lines := screen(t, []findings.Finding{queue, leak}, groups(many(8)...))
	require.Equal(t, `
What stands out:
1. 60 goroutines queue for a lock in main.sessions, and still 170ms later
   60 at main.f0  /src/main.go:1
   it may be held by goroutine 5, now in sleep:
       main.g  /src/main.go:85
       main.f1  /src/main.go:2
       time.Sleep  time/sleep.go:3
2. 241 goroutines, 68% of all, wait in chan send at one place, and still 170ms
   later, when there were 2 more
   at main.f2  /src/main.go:3
   started at main.g  /src/main.go:9
To see more: goroutine 5 (1), stacks -diff (2), stacks (all)

772 goroutines in 8 groups by identical stacks; the largest others:
97 (12%) select  main.f3  /src/main.go:4
96 (12%) select  main.f4  /src/main.go:5
95 (12%) select  main.f5  /src/main.go:6
`, text, "the groups of the findings are not there again")
	require.Equal(t, ScreenLines, lines)

	apart := leak
	apart.Next = "stacks -state send"
	text, lines = screen(t, []findings.Finding{queue, leak, apart}, groups(many(8)...))
	require.Contains(t, text, "\nTo see more: goroutine 5 (1), stacks -diff (2), stacks -state send (3)\n\n"+
		"772 goroutines in 8 groups by identical stacks; others (stacks shows all):\n", "there is no room for the last command")
	require.Equal(t, ScreenLines, lines)
	apart.Next = "stacks -state sync.RWMutex.RLock"
	text, _ = screen(t, []findings.Finding{queue, leak, apart}, groups(many(8)...))
	require.Contains(t, text, "\nTo see more: goroutine 5 (1), stacks -diff (2),\n  stacks -state sync.RWMutex.RLock (3), stacks (all)\n", "no command is on two lines")
	text, _ = screen(t, []findings.Finding{queue, leak, {Title: "a", Next: "stacks -state send"}}, groups(many(3)...))
	require.Contains(t, text, "3 groups by identical stacks (stacks shows all)\n", "all groups are in the findings")

	other := leak
	other.Next = "stacks -diff"
	text, lines = screen(t, []findings.Finding{queue, leak, other, other, other}, groups(many(8)...))
	require.LessOrEqual(t, lines, ScreenLines, text)
	require.Contains(t, text, "and 2 more findings: stacks\nTo see more: goroutine 5 (1), stacks -diff (2, 3, 4, 5), stacks (all)\n")
	require.Contains(t, text, "\n97 (12%) select  main.f3", "there is room for groups")

	torn := groups(many(8)...)
	torn.HasMembers, torn.Unread, torn.Unknown = true, 7, strings.Repeat("a long line of the runtime ", 8)
	text, lines = screen(t, []findings.Finding{queue, leak, other, other, other}, torn)
	require.LessOrEqual(t, lines, ScreenLines, "there is room for what could not be read: %s", text)
	require.Contains(t, text, "\n7 goroutines could not be read: ")

	text, lines = screen(t, []findings.Finding{{Title: "small", Lines: []string{"at main.f0  /src/main.go:1"}}}, groups(many(2)...))
	require.Contains(t, text, "\n99 (49%) select\n    os.(*File).Read (2 library frames)\n", "if all of it fits, it is as stacks shows it")
	require.LessOrEqual(t, lines, ScreenLines)
}

func TestAGroupInOneLine(t *testing.T) {
	one := func(g stack.Group) string {
		return written(t, func(w *Writer) { w.Printf("%s", w.oneLine(&g, groups(g))) })
	}
	frame := stack.Frame{Function: "main.f", File: "/src/main.go", Line: 3}
	far := stack.Frame{Function: "b.org/department/team/service/storage.(*Store).Get", File: "/src/service/storage/store.go", Line: 3}
	require.Equal(t, "1 sleep, 5 minutes, goroutine 7  main.f  /src/main.go:3",
		one(stack.Group{Count: 1, State: "sleep", Frames: []stack.Frame{frame}, Members: []stack.Goroutine{{ID: 7, Minutes: 5}}}))
	require.Equal(t, "1 sleep (leaked)  storage.(*Store).Get  /src/service/storage/store.go:3",
		one(stack.Group{Count: 1, State: "sleep", Frames: []stack.Frame{far}, Members: []stack.Goroutine{{ID: 7, Leaked: true}}}))
	require.Equal(t, "1 runnable", one(stack.Group{Count: 1, State: "runnable"}))
	require.Equal(t, "1 sleep  ...3 frames elided...", one(stack.Group{Count: 1, State: "sleep", Frames: []stack.Frame{{Function: "...3 frames elided..."}}}))
}

func TestLongLinesAreWrapped(t *testing.T) {
	word := strings.Repeat("w", 30)
	require.Equal(t, []string{"short"}, wrap("short", 3))
	require.Equal(t, []string{word + " " + word, "   " + word}, wrap(word+" "+word+" "+word, 3))
	require.Equal(t, []string{strings.Repeat("w", 77) + "..."}, wrap(strings.Repeat("w", 200), 3))
	require.Equal(t, []string{"a " + strings.Repeat("w", 78)}, wrap("a "+strings.Repeat("w", 78), 3))
	require.Equal(t, []string{"a", "   " + strings.Repeat("w", 74) + "..."}, wrap("a "+strings.Repeat("w", 79), 3))
}
