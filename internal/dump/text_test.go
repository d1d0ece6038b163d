package dump

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/stack"
)

// written returns what the function write writes.
func written(t *testing.T, write func(*Writer)) string {
	t.Helper()
	var b strings.Builder
	w := &Writer{Ctx: context.Background(), W: &b}
	write(w)
	require.NoError(t, w.Err)
	return b.String()
}

// groups returns a snapshot of these groups.
func groups(all ...stack.Group) *stack.Snapshot {
	s := &stack.Snapshot{Groups: all}
	for _, g := range all {
		s.Total += g.Count
	}
	return s
}

func TestTheTextOfAGroup(t *testing.T) {
	members := func(minutes ...int) (all []stack.Goroutine) {
		for i, m := range minutes {
			all = append(all, stack.Goroutine{ID: uint64(i + 1), Minutes: int32(m)})
		}
		return all
	}
	frame := stack.Frame{Function: "main.f", File: "/src/main.go", Line: 7}
	leaked := members(0, 0)
	leaked[1].Leaked = true
	locked := members(0)
	locked[0].Locked = true
	for _, test := range []struct {
		name  string
		group stack.Group
		all   bool
		want  string
	}{
		{"one", stack.Group{State: "select", Count: 1, Members: members(0), Frames: []stack.Frame{frame}},
			false, "N select\n    goroutine 1\n    main.f  /src/main.go:7\n"},
		{"a creator", stack.Group{State: "select", Count: 1, Frames: []stack.Frame{frame}, Creator: stack.Frame{Function: "main.main", File: "/src/main.go", Line: 3}},
			false, "N select\n    main.f  /src/main.go:7\n    created by main.main  /src/main.go:3\n"},
		{"not begun", stack.Group{State: "runnable", Count: 1}, false, "N runnable\n    (not begun yet)\n"},
		{"deep", stack.Group{State: "select", Count: 1, Frames: []stack.Frame{{Function: "...23 frames elided..."}}, Deeper: true},
			false, "N select\n    ...23 frames elided...\n    ... and more frames, for which the profile has no room\n"},
		{"more than are shown", stack.Group{State: "select", Count: 10, Members: members(make([]int, 10)...), Frames: []stack.Frame{frame}},
			false, "N select\n    goroutines 1 2 3 4 5 6 7 8 and 2 more\n    main.f  /src/main.go:7\n"},
		{"all ids", stack.Group{State: "select", Count: 10, Members: members(make([]int, 10)...), Frames: []stack.Frame{frame}},
			true, "N select\n    goroutines 1-10\n    main.f  /src/main.go:7\n"},
		{"the same wait", stack.Group{State: "select", Count: 2, Members: members(1, 1), Frames: []stack.Frame{frame}},
			false, "N select, 1 minute\n    goroutines 1 2\n    main.f  /src/main.go:7\n"},
		{"different waits", stack.Group{State: "select", Count: 2, Members: members(0, 5), Frames: []stack.Frame{frame}},
			true, "N select, 0 to 5 minutes\n    goroutines 1 2 (5 min)\n    main.f  /src/main.go:7\n"},
		{"some are leaked", stack.Group{State: "select", Count: 2, Members: leaked, Frames: []stack.Frame{frame}},
			false, "N select (1 leaked)\n    goroutines 1 2 (leaked)\n    main.f  /src/main.go:7\n"},
		{"all are leaked", stack.Group{State: "select", Count: 1, Members: leaked[1:], Frames: []stack.Frame{frame}},
			false, "N select (leaked)\n    goroutine 2\n    main.f  /src/main.go:7\n"},
		{"locked", stack.Group{State: "syscall", Count: 1, Members: locked, Frames: []stack.Frame{frame}},
			false, "N syscall\n    goroutine 1 (locked to its thread)\n    main.f  /src/main.go:7\n"},
		{"labels", stack.Group{State: "select", Count: 7, Frames: []stack.Frame{frame}, OtherLabels: 2, Labels: []stack.LabelCount{
			{Labels: "{a: 1}", Count: 3}, {Labels: "{a: 2}", Count: 2}, {Labels: "{a: 3}", Count: 1}, {Labels: "{a: 4}", Count: 1}}},
			false, "N select {a: 1} 3 times {a: 2} 2 times {a: 3} 1 time and 3 other sets of labels\n    main.f  /src/main.go:7\n"},
	} {
		got := written(t, func(w *Writer) { w.group(&test.group, "N", test.all) })
		require.Equal(t, test.want, got, test.name)
	}
}

func TestTheHeadingCountsEverything(t *testing.T) {
	s := groups(stack.Group{State: "select", Count: 36}, stack.Group{State: "sleep", Count: 10}, stack.Group{State: "syscall", Count: 1})
	s.Excluded = 3
	out := written(t, func(w *Writer) { w.Groups(s, 2, false) })
	require.True(t, strings.HasPrefix(out, "\n47 goroutines in 3 groups by identical stacks, 3 of the manhole left out:\n\n36 (76%) select\n"), out)
	require.Contains(t, out, "\n10 (21%) sleep\n")
	require.True(t, strings.HasSuffix(out, "\n1 group more with 1 goroutine: stacks -n 0\n\n"), out)

	s.Total, s.Cut = 200, true // a selection
	out = written(t, func(w *Writer) { w.Groups(s, 3, false) })
	require.Contains(t, out, "47 goroutines (of 200) in 3 groups")
	require.Contains(t, out, "cut off")
	require.Contains(t, out, "\n1 syscall\n", "less than a percent")
	require.NotContains(t, out, "stacks -n 0")

	require.Contains(t, written(t, func(w *Writer) { w.Groups(&stack.Snapshot{}, 3, false) }), "0 goroutines in 0 groups")

	s = groups(stack.Group{State: "select", Count: 2}, stack.Group{State: "sleep", Count: 1})
	require.Contains(t, written(t, func(w *Writer) { w.Groups(s, 3, false) }), "\n3 goroutines in 2 groups by identical stacks:\n\n2 select\n", "too few for a percentage")
}

func TestUnreadGoroutinesAreCounted(t *testing.T) {
	s := groups(stack.Group{State: "select", Count: 1})
	require.NotContains(t, written(t, func(w *Writer) { w.Groups(s, 1, false) }), "could not be read")
	s.Unread = 2
	require.Contains(t, written(t, func(w *Writer) { w.Groups(s, 1, false) }), "2 goroutines could not be read: the profile")
	s.Unknown = "goroutine \x1b[2J"
	require.Contains(t, written(t, func(w *Writer) { w.Groups(s, 1, false) }), `2 goroutines could not be read one by one: "goroutine \x1b[2J"`)
	s.HasMembers = true
	require.Contains(t, written(t, func(w *Writer) { w.Groups(s, 1, false) }), `2 goroutines could not be read: "goroutine \x1b[2J"; stacks -go`)
}

func TestFindingsAreNumbered(t *testing.T) {
	require.Equal(t, "\n"+NothingFound+"\n", written(t, func(w *Writer) { w.Findings(nil) }))
	got := written(t, func(w *Writer) {
		w.Findings([]findings.Finding{{Title: "one", Lines: []string{"at a", "at b"}, Next: "fds"}, {Title: "two"}})
	})
	require.Equal(t, "\n"+protocol.FindingsHeading+"\n1. one\n     at a\n     at b\n     to see more: fds\n2. two\n", got)
}

func TestTheStopIsReported(t *testing.T) {
	require.Empty(t, written(t, func(w *Writer) { w.Stop(0) }))
	require.Contains(t, written(t, func(w *Writer) { w.Stop(1234567 * time.Nanosecond) }), "1.23ms")
}

func TestOnlyGroupsThatChangedAreShown(t *testing.T) {
	take := func(park ...func(<-chan struct{})) (s *stack.Snapshot) {
		t.Run("parked", func(t *testing.T) {
			for i, wait := range park {
				parkMany(t, 3*(i+1), wait)
			}
			var err error
			s, err = stack.Profile(func(string) bool { return false })
			require.NoError(t, err)
			s.Groups = slices.DeleteFunc(s.Groups, func(g stack.Group) bool { // other goroutines of this test program
				return !slices.ContainsFunc(g.Frames, func(f stack.Frame) bool { return strings.Contains(f.Function, ".parkMany.") })
			})
		})
		return s
	}
	there := func(stop <-chan struct{}) {
		for range stop {
		}
	}
	before, after := take(waitHere, there), take(there, waitHere)
	out := written(t, func(w *Writer) { w.Changes(before, after, 10) })
	require.Regexp(t, `(?s)2 groups changed:\n\n\+3 \(6, was 3\) chan receive\n.*waitHere.*\n\n-3 \(3, was 6\) `, out)
	out = written(t, func(w *Writer) { w.Changes(before, after, 1) })
	require.Contains(t, out, "\n1 group more: stacks -diff -n 0\n")
	require.NotContains(t, out, "was 6")
	require.Regexp(t, `\+6 \(6, was 0\)`, written(t, func(w *Writer) { w.Changes(take(), after, 10) }))
	require.Regexp(t, `-6 \(0, was 6\)`, written(t, func(w *Writer) { w.Changes(after, take(), 10) }))
	require.Contains(t, written(t, func(w *Writer) { w.Changes(before, before, 10) }), "no group")
}

func TestTheWriterStopsAtTheFirstError(t *testing.T) {
	full := errors.New("full")
	writes := 0
	w := &Writer{Ctx: context.Background(), W: writerFunc(func([]byte) (int, error) { writes++; return 0, full })}
	w.Groups(groups(stack.Group{Count: 1}, stack.Group{Count: 1}), 2, false)
	w.Printf("more")
	require.ErrorIs(t, w.Err, full)
	require.True(t, w.Ended())
	require.Equal(t, 1, writes)

	ctx, cancel := context.WithCancelCause(context.Background())
	w = &Writer{Ctx: ctx, W: &strings.Builder{}}
	require.False(t, w.Ended())
	cancel(full)
	require.True(t, w.Ended())
	require.ErrorIs(t, w.Err, full)
}
