package dump

import (
	"slices"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// A recursion is folded if its frames come again at least minRepeats times. maxCycle is
// the largest number of frames that may call each other in turn.
const (
	minRepeats = 3
	maxCycle   = 8
)

// frames writes the frames of a stack. A recursion is written once, with the number of
// times that it comes again.
func (t *Writer) frames(frames []stack.Frame) {
	for len(frames) > 0 {
		cycle, repeats := recursion(frames)
		for _, f := range frames[:cycle] {
			t.frame("", f)
		}
		switch {
		case repeats == 0:
		case cycle == 1:
			t.Printf("    ... the same frame %s\n", times(repeats))
		default:
			t.Printf("    ... the same %d frames %s\n", cycle, times(repeats))
		}
		frames = frames[cycle*(repeats+1):]
	}
}

func times(n int) string { return plaintext.Plural(n, "more time") }

// recursion returns how many frames at the beginning are a cycle that comes again at
// once, and how often it does. Without a recursion there, it returns 1 and 0.
func recursion(frames []stack.Frame) (cycle, repeats int) {
	for cycle = 1; cycle <= maxCycle && cycle*(minRepeats+1) <= len(frames); cycle++ {
		first := frames[:cycle]
		for repeats = 0; len(frames) >= cycle*(repeats+2) && slices.Equal(first, frames[cycle*(repeats+1):cycle*(repeats+2)]); repeats++ {
		}
		if repeats >= minRepeats {
			return cycle, repeats
		}
	}
	return 1, 0
}
