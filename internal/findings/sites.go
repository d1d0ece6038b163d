package findings

import "github.com/gomanhole/oneshot/internal/stack"

// Sites finds the program's own code on stacks. It is not for concurrent use.
type Sites struct {
	code  Code
	ranks map[string]int // caches the ranks of functions
}

// Sites returns a Sites for a program. Packages of the manhole count as the program's
// own if they belong to its main module: then the program is one of our tests.
func (c Code) Sites() *Sites {
	c.Not = nil
	return &Sites{code: c, ranks: make(map[string]int)}
}

func (s *Sites) rank(f stack.Frame) int {
	r, known := s.ranks[f.Function]
	if !known {
		if f.File != "" { // otherwise it is a note such as "...23 frames elided..."
			r = s.code.rank(f.Package())
		}
		s.ranks[f.Function] = r
	}
	return r
}

// Own reports whether a frame is of the program's own code.
func (s *Sites) Own(f stack.Frame) bool { return s.rank(f) == rankProgram }

// Of returns the index of the frame that says most about a goroutine: the innermost
// frame of the program's own code. Without such a frame it is the innermost frame of
// another module, or else the outermost frame. It returns -1 if there are no frames.
func (s *Sites) Of(frames []stack.Frame) int {
	found := -1
	for i, f := range frames {
		switch s.rank(f) {
		case rankProgram:
			return i
		case rankModule:
			if found < 0 {
				found = i
			}
		}
	}
	if found < 0 {
		return len(frames) - 1
	}
	return found
}
