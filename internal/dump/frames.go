package dump

import (
	"fmt"
	"slices"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// A recursion is folded if its frames are repeated at least minRepeats times. maxCycle
// is the largest number of frames that may call each other in turn.
const (
	minRepeats = 3
	maxCycle   = 8
)

// frames writes the frames of a stack. A recursion is written once, with the number of
// its repetitions.
func (t *Writer) frames(frames []stack.Frame) {
	v := t.look()
	text, frames := v.fold(frames)
	if text != "" {
		t.Printf("    %s\n", text)
	}
	for len(frames) > 0 {
		cycle, repeats := recursion(frames)
		if cycle == 1 && repeats > 0 {
			p, _ := cutPlace(v.place(frames[0]))
			p.function += fmt.Sprintf(" x%d", repeats+1)
			t.Printf("    %s\n", p)
		} else {
			for _, f := range frames[:cycle] {
				t.Printf("    %s\n", v.place(f))
			}
		}
		if cycle > 1 && repeats > 0 {
			t.Printf("    ... the same %d frames %s\n", cycle, plaintext.Plural(repeats, "more time"))
		}
		frames = frames[cycle*(repeats+1):]
	}
}

// recursion returns how many frames at the beginning form a cycle, and how often this
// cycle is repeated directly after them. Without a recursion there, it returns 1 and 0.
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
