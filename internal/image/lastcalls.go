package image

import (
	"encoding/binary"
	"slices"
)

// Bounds for the last calls of a goroutine that runs.
const (
	lastStack = 64 << 10 // how much of the end of its stack is searched
	lastFrame = 16 << 10 // the size of a frame that is searched for
	lastDepth = 1000     // calls
)

// lastCalls appends the last calls of a goroutine that runs, the innermost first. Nobody
// has its registers, so it is not known where it is now. But the stack begins with the
// function that the goroutine began with, and where the frame of a function ends, there is
// the return address of its last call, or the place at which a signal handler has
// interrupted it: the runtime does that every 10 ms, if the goroutine does not stop by
// itself. So one call leads to the next. The goroutine may have returned from the inner
// ones.
func (p *Program) lastCalls(to []*site, g record) []*site {
	began, ok := p.find(g.word(p.Layout.G.StartPC))
	lo, hi := g.word(p.Layout.G.StackLo), g.word(p.Layout.G.StackHi)
	if !ok || lo >= hi || hi-lo > maxStack || !p.spend(lastStack) {
		return to
	}
	s := stackEnd{program: p, lo: lo, start: hi - min(hi-lo, lastStack)}
	s.words = make([]byte, hi-s.start)
	if p.memory.Read(s.start, s.words) != nil {
		return to
	}
	first := len(to)
	for c, ok := s.outermost(began); ok && len(to) < first+lastDepth && p.spend(frameWork); {
		if c, ok = s.next(c); ok {
			to = append(to, p.site(c.pc, false))
		}
	}
	if len(to) == first {
		to = append(to, p.site(began.entry, true))
	}
	slices.Reverse(to[first:])
	return to
}

// lastCall is the last call of a function.
type lastCall struct {
	pc     uint64    // its return address
	at     uint64    // where on the stack that is
	callee *function // nil: it is not known which function was called
}

// stackEnd is a stack of which the end has been read.
type stackEnd struct {
	program *Program
	lo      uint64 // the lowest address of the stack
	start   uint64 // the address of words
	words   []byte
}

func (s *stackEnd) word(at uint64) (uint64, bool) {
	if n := at - s.start; at >= s.start && n+8 <= uint64(len(s.words)) {
		return binary.LittleEndian.Uint64(s.words[n:]), true
	}
	if at < s.lo || at >= s.start {
		return 0, false
	}
	word, err := s.program.word(at)
	return word, err == nil
}

// outermost returns the call of the function that the goroutine began with. It returns to
// goexit.
func (s *stackEnd) outermost(began *function) (c lastCall, ok bool) {
	for at := s.start + uint64(len(s.words)) - 8; s.near(at, s.start+uint64(len(s.words))); at -= 8 {
		if pc, _, ok := s.call(at); ok && s.program.site(pc, false).top {
			return lastCall{pc, at, began}, true
		}
	}
	return c, false
}

// near reports whether a search that began at the address from goes on to at.
func (s *stackEnd) near(at, from uint64) bool { return at >= s.start && from-at <= lastFrame }

// call returns the return address at an address, if there is one, and the function that it
// returns to.
func (s *stackEnd) call(at uint64) (pc uint64, f *function, ok bool) {
	p := s.program
	if pc, ok = s.word(at); !ok || pc < p.module.text || pc >= p.module.etext || !p.spend(frameWork) {
		return 0, nil, false
	}
	f, ok = p.find(pc)
	return pc, f, ok
}

// next returns the last call of the function that was called.
func (s *stackEnd) next(c lastCall) (lastCall, bool) {
	p := s.program
	switch {
	case p.arch == "arm64":
		// A return address is at the other end of the frame, that of the function which has
		// called. In front of it is the frame pointer of that one.
		for at := c.at - 8; s.near(at-8, c.at); at -= 8 {
			if pointer, ok := s.word(at - 8); !ok || pointer != c.at-8 {
				continue
			}
			if pc, f, ok := s.call(at); ok && (c.callee == nil || c.callee.entry == f.entry) {
				return lastCall{pc: pc, at: at}, true
			}
		}
	case c.callee != nil:
		at := c.at - p.frameSize(c.callee) - 8
		if pc, f, ok := s.call(at); ok && f.entry == c.callee.entry {
			return lastCall{pc, at, p.calledBefore(pc)}, true
		}
	default: // it was called through a pointer, and is the one whose own last call fits
		for at := c.at - 8; s.near(at, c.at); at -= 8 {
			if pc, f, ok := s.call(at); ok && at == c.at-p.frameSize(f)-8 {
				return lastCall{pc, at, p.calledBefore(pc)}, true
			}
		}
	}
	return lastCall{}, false
}

// calledBefore returns the function that the instruction before a return address calls, if
// it names it, on amd64; otherwise nil.
func (p *Program) calledBefore(pc uint64) *function {
	var code [5]byte
	if p.memory.Read(pc-5, code[:]) != nil || code[0] != 0xe8 {
		return nil
	}
	f, ok := p.find(pc + uint64(int64(int32(binary.LittleEndian.Uint32(code[1:])))))
	if !ok {
		return nil
	}
	return f
}

// frameSize returns the size of the frame of a function while it calls others.
func (p *Program) frameSize(f *function) uint64 {
	values, size := p.values(f, f.record.half(p.Layout.Func.PCSP)), int32(0)
	for p.spend(1) && values.next() {
		size = max(size, values.value)
	}
	return uint64(size)
}
