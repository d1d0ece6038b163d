package dump

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
)

func goroutines(ids ...uint64) (all []stack.Goroutine) {
	for _, id := range ids {
		all = append(all, stack.Goroutine{ID: id})
	}
	return all
}

// TestChangesNameTheGoroutines that have come and left, where they are known.
func TestChangesNameTheGoroutines(t *testing.T) {
	take := func(members map[string][]stack.Goroutine) *stack.Snapshot {
		c := stack.NewCollector(func(string) bool { return false })
		for _, function := range []string{"main.a", "main.b", "main.c", "main.d"} {
			for _, m := range members[function] {
				c.Add(fmt.Appendf(nil, "goroutine %d [select]:\n%s()\n\t/src/main.go:7\n", m.ID, function), 0)
			}
		}
		return c.Snapshot()
	}
	before := take(map[string][]stack.Goroutine{"main.a": goroutines(1, 2, 3), "main.b": goroutines(4, 5), "main.c": goroutines(6)})
	after := take(map[string][]stack.Goroutine{"main.a": goroutines(2, 6, 7, 8), "main.b": goroutines(5, 9), "main.d": goroutines(10)})
	require.Equal(t, "\n7 goroutines in 3 groups; since the dump before, 3 groups changed:\n\n"+
		"+1 (4, was 3) select\n    new here: goroutines 6 7 8\n    gone: goroutines 1 3\n    main.a  /src/main.go:7\n\n"+
		"+1 (1, was 0) select\n    new here: goroutine 10\n    main.d  /src/main.go:7\n\n"+
		"-1 (0, was 1) select\n    gone: goroutine 6\n    main.c  /src/main.go:7\n\n"+
		"in groups that are as large as before, 1 goroutine replaced others\n\n",
		written(t, func(w *Writer) { w.Changes(before, after, 10) }))

	// A profile does not have the members.
	counted := *before
	counted.Groups = slices.Clone(before.Groups)
	for i := range counted.Groups {
		counted.Groups[i].Members = nil
	}
	out := written(t, func(w *Writer) { w.Changes(&counted, after, 10) })
	require.Contains(t, out, "+1 (4, was 3) select\n    main.a  ")
	require.NotContains(t, out, "replaced")
}
