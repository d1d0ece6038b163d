package dump

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
)

// written returns what write writes.
func written(t *testing.T, write func(*Writer)) string {
	t.Helper()
	var text strings.Builder
	w := &Writer{Ctx: t.Context(), W: &text}
	write(w)
	require.NoError(t, w.Err)
	return text.String()
}

func TestIDsOfALargeGroup(t *testing.T) {
	g := stack.Group{Count: 30_000}
	for i := range g.Count {
		g.Members = append(g.Members, stack.Goroutine{ID: uint64(100 + i + i/100*5)}) // others began in between
	}
	all := written(t, func(w *Writer) { w.members(&g, true) })
	for line := range strings.Lines(all) {
		require.LessOrEqual(t, len(line), idsWidth+1)
	}
	require.True(t, strings.HasPrefix(all, "    goroutines 100-199 205-304 310-409 "), all[:60])
	require.Less(t, strings.Count(all, "\n"), 60)
	require.Equal(t, "    goroutines 100 101 102 103 104 105 106 107 and 29992 more\n", written(t, func(w *Writer) { w.members(&g, false) }))
}

func TestIDsWithRemarks(t *testing.T) {
	g := stack.Group{Count: 7, Members: []stack.Goroutine{
		{ID: 3}, {ID: 4}, {ID: 6, Minutes: 2}, {ID: 7, Minutes: 2}, {ID: 8, Minutes: 2}, {ID: 9, Minutes: 3, Locked: true}, {ID: 10, Leaked: true},
	}}
	require.Equal(t, "    goroutines 3 4 6-8 (2 min) 9 (3 min) (locked to its thread) 10 (leaked)\n", written(t, func(w *Writer) { w.members(&g, true) }))
}

func TestRecursionIsWrittenOnce(t *testing.T) {
	frame := func(name string) stack.Frame {
		return stack.Frame{Function: "main." + name, File: "/src/main.go", Line: 7}
	}
	stackOf := func(names string) (frames []stack.Frame) {
		for _, name := range names {
			frames = append(frames, frame(string(name)))
		}
		return frames
	}
	for names, want := range map[string]string{
		"abc":                           "a b c",
		"aab":                           "a a b",
		"aaab":                          "a a a b",
		"aaaab":                         "a ...the same frame 3 more times b",
		"xababababy":                    "x a b ...the same 2 frames 3 more times y",
		"xabababay":                     "x a b a b a b a y",
		strings.Repeat("a", 200) + "b":  "a ...the same frame 199 more times b",
		strings.Repeat("abc", 50) + "a": "a b c ...the same 3 frames 49 more times a",
		strings.Repeat("aab", 5) + "m":  "a a b ...the same 3 frames 4 more times m",
		"":                              "",
	} {
		text := written(t, func(w *Writer) { w.frames(stackOf(names)) })
		var short []string
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if rest, ok := strings.CutPrefix(line, "... "); ok {
				short = append(short, "..."+rest)
				continue
			}
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "main."), " ")
			short = append(short, name)
		}
		require.Equal(t, want, strings.Join(short, " "), fmt.Sprintf("%.20s", names))
	}
}
