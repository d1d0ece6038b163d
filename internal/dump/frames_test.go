package dump

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
)

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
		"aaaab":                         "a x4 b",
		"xababababy":                    "x a b ...the same 2 frames 3 more times y",
		"xabababay":                     "x a b a b a b a y",
		strings.Repeat("a", 200) + "b":  "a x200 b",
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
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "main."), "  ")
			short = append(short, name)
		}
		require.Equal(t, want, strings.Join(short, " "), fmt.Sprintf("%.20s", names))
	}
}
