package dump

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
)

func TestIDsOfALargeGroup(t *testing.T) {
	g := stack.Group{Count: 30_000}
	for i := range g.Count {
		g.Members = append(g.Members, stack.Goroutine{ID: uint64(100 + i + i/100*5)}) // others began in between
	}
	all := written(t, func(w *Writer) { w.members(&g, true) })
	for line := range strings.Lines(all) {
		require.LessOrEqual(t, len(line), idsWidth+1)
		require.LessOrEqual(t, len(regexp.MustCompile(`\d+`).FindAllString(line, -1)), maxIDs, line)
	}
	require.True(t, strings.HasPrefix(all, "    goroutines 100-199 205-304 310-409 "), all[:60])
	require.Less(t, strings.Count(all, "\n"), 80)
	require.Equal(t, "    goroutines 100 101 102 103 104 105 106 107 and 29992 more\n", written(t, func(w *Writer) { w.members(&g, false) }))
}

func TestIDsWithRemarks(t *testing.T) {
	g := stack.Group{Count: 7, Members: []stack.Goroutine{
		{ID: 3}, {ID: 4}, {ID: 6, Minutes: 2}, {ID: 7, Minutes: 2}, {ID: 8, Minutes: 2}, {ID: 9, Minutes: 3, Locked: true}, {ID: 10, Leaked: true},
	}}
	require.Equal(t, "    goroutines 3 4 6-8 (2 min) 9 (3 min) (locked to its thread) 10 (leaked)\n", written(t, func(w *Writer) { w.members(&g, true) }))
}
