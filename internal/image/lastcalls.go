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
	lastAhead = 100      // calls that are looked at for an interruption, for each of these
	maxCode   = 64 << 10 // of a function, in bytes
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
		to = append(to, p.site(g.word(p.Layout.G.StartPC), true))
	}
	slices.Reverse(to[first:])
	return to
}

// lastCall is the last call of a function.
type lastCall struct {
	pc     uint64    // its return address
	at     uint64    // where on the stack that is
	callee *function // nil: it is not known which function was called
	frame  uint64    // where the frame of the callee begins, on arm64
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
			return lastCall{pc, at, began, at}, true
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
		return s.nextRecord(c)
	case c.callee != nil:
		at := c.at - p.frameSize(c.callee) - 8
		if pc, f, ok := s.call(at); ok && f.entry == c.callee.entry {
			return lastCall{pc: pc, at: at, callee: p.calledBefore(pc)}, true
		}
	default:
		// It was called through a pointer, and is the one whose own last call fits. What is
		// left of an earlier call fits too, but that one was called by its name.
		for at := c.at - 8; s.near(at, c.at); at -= 8 {
			if pc, f, ok := s.call(at); ok && at == c.at-p.frameSize(f)-8 && !p.callsByName(c.pc, f) {
				return lastCall{pc: pc, at: at, callee: p.calledBefore(pc)}, true
			}
		}
	}
	return lastCall{}, false
}

// nextRecord is next for arm64. There a return address is at the other end of the frame,
// that of the function which has called. In front of it is the frame pointer of that one.
// What is left of an earlier call has both too, and so has what a signal handler pushes
// (pushCall in runtime/signal_arm64.go). So the first call in which the goroutine was
// interrupted is the one.
func (s *stackEnd) nextRecord(c lastCall) (lastCall, bool) {
	first, ok := s.record(c)
	for next, more := first, ok; more; {
		if s.interrupted(next) {
			in, _ := s.program.find(next.pc)
			if calls, ok := s.program.find(first.pc); ok && in.entry == calls.entry {
				return next, true
			}
			first.frame = c.frame // what was interrupted has no frame, and first is its call
			break
		}
		next, more = s.record(lastCall{at: next.at, callee: c.callee, frame: c.frame})
	}
	return first, ok
}

// interrupted reports whether a call soon leads to an interruption of the goroutine.
func (s *stackEnd) interrupted(c lastCall) bool {
	for range lastAhead {
		var ok bool
		if c, ok = s.record(c); !ok {
			return false
		}
		if s.program.site(c.pc, false).id == s.program.Layout.FuncID.AsyncPreempt {
			return true
		}
	}
	return false
}

// record returns the next call of the function that was called.
func (s *stackEnd) record(c lastCall) (lastCall, bool) {
	for at := c.at - 8; s.near(at-8, c.at); at -= 8 {
		if pointer, ok := s.word(at - 8); !ok || pointer != c.frame-8 {
			continue
		}
		if pc, f, ok := s.call(at); ok && (c.callee == nil || c.callee.entry == f.entry) {
			return lastCall{pc: pc, at: at, frame: at}, true
		}
	}
	return lastCall{}, false
}

// callsByName reports whether the function at pc has an instruction that calls f and names
// it, on amd64.
func (p *Program) callsByName(pc uint64, f *function) bool {
	caller, ok := p.find(pc)
	if !ok {
		return false
	}
	values := p.values(caller, caller.record.half(p.Layout.Func.PCSP))
	for p.spend(1) && values.next() {
	}
	code := make([]byte, min(values.end-caller.entry, maxCode))
	if !p.spend(int64(len(code))) || p.memory.Read(caller.entry, code) != nil {
		return false
	}
	for at := 0; at+5 <= len(code); at++ {
		if code[at] == callAMD64 && caller.entry+uint64(at)+5+distance(code[at+1:]) == f.entry {
			return true
		}
	}
	return false
}

// callAMD64 is the first byte of an instruction that calls a function at a distance.
const callAMD64 = 0xe8

func distance(code []byte) uint64 { return uint64(int64(int32(binary.LittleEndian.Uint32(code)))) }

// calledBefore returns the function that the instruction before a return address calls, if
// it names it, on amd64; otherwise nil. What only looks like such an instruction does not
// name the beginning of a function.
func (p *Program) calledBefore(pc uint64) *function {
	var code [5]byte
	if p.memory.Read(pc-5, code[:]) != nil || code[0] != callAMD64 {
		return nil
	}
	entry := pc + distance(code[1:])
	if f, ok := p.find(entry); ok && f.entry == entry {
		return f
	}
	return nil
}

// frameSize returns the size of the frame of a function while it calls others.
func (p *Program) frameSize(f *function) uint64 {
	values, size := p.values(f, f.record.half(p.Layout.Func.PCSP)), int32(0)
	for p.spend(1) && values.next() {
		size = max(size, values.value)
	}
	return uint64(size)
}
