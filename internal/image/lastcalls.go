package image

import (
	"encoding/binary"
	"slices"
)

// Bounds for the last calls of a goroutine that runs.
const (
	lastStack = 64 << 10 // how much of the end of its stack is read at once
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
	s := stackMemory{program: p, start: lo, end: hi, at: hi - min(hi-lo, lastStack)}
	s.piece = make([]byte, hi-s.at)
	if p.memory.Read(s.at, s.piece) != nil {
		return to
	}
	first := len(to)
	for c, ok := (lastCall{callee: began, at: p.outermostReturn(&s)}), true; len(to) < first+lastDepth && p.spend(frameWork); {
		if c, ok = p.nextCall(&s, c); !ok {
			break
		}
		to = append(to, p.site(c.pc, false))
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

// outermostReturn returns where the outermost return address of a stack is, which leads to
// goexit; 0 if it is not there.
func (p *Program) outermostReturn(s *stackMemory) uint64 {
	for at := s.end - 8; at >= s.at && s.end-at < lastFrame; at -= 8 {
		if word, ok := s.word(at); ok && p.inText(word) {
			if site := p.site(word, false); site != nil && site.top {
				return at
			}
		}
	}
	return 0
}

// nextCall returns the last call of a function that was called itself.
func (p *Program) nextCall(s *stackMemory, caller lastCall) (lastCall, bool) {
	switch {
	case caller.at == 0:
		return lastCall{}, false
	case p.arch == "arm64":
		return p.nextCallARM64(s, caller)
	case caller.callee != nil:
		next := lastCall{at: caller.at - p.frameSize(caller.callee) - 8}
		return next, p.isCall(s, &next, caller.callee)
	}
	// The function was called through a pointer. It is the one whose own last call fits.
	for at := caller.at - 8; caller.at-at <= lastFrame; at -= 8 {
		next := lastCall{at: at}
		if p.isCall(s, &next, nil) {
			if f, ok := p.find(next.pc); ok && at == caller.at-p.frameSize(f)-8 {
				return next, true
			}
		}
	}
	return lastCall{}, false
}

// nextCallARM64 is nextCall for arm64. There a return address is at the other end of the
// frame: that of the function which has called, so its size says nothing. But in front of it
// is the frame pointer of the caller.
func (p *Program) nextCallARM64(s *stackMemory, caller lastCall) (lastCall, bool) {
	for at := caller.at - 8; caller.at-at <= lastFrame; at -= 8 {
		pointer, ok := s.word(at - 8)
		if !ok {
			break
		}
		if next := (lastCall{at: at}); pointer == caller.at-8 && p.isCall(s, &next, caller.callee) {
			next.callee = nil
			return next, true
		}
	}
	return lastCall{}, false
}

// isCall completes a call whose place on the stack is known. It reports whether there is a
// return address, in function f if that is not nil.
func (p *Program) isCall(s *stackMemory, c *lastCall, f *function) (ok bool) {
	if c.pc, ok = s.word(c.at); !ok || !p.inText(c.pc) {
		return false
	}
	in, ok := p.find(c.pc)
	if !ok || !p.spend(frameWork) || f != nil && in.entry != f.entry {
		return false
	}
	var code [5]byte
	if p.memory.Read(c.pc-5, code[:]) == nil && code[0] == 0xe8 { // a call with a distance, on amd64
		c.callee, _ = p.find(c.pc + uint64(int64(int32(binary.LittleEndian.Uint32(code[1:])))))
	}
	return true
}

func (p *Program) inText(pc uint64) bool { return pc >= p.module.text && pc < p.module.etext }

// frameSize returns the size of the frame of a function while it calls others.
func (p *Program) frameSize(f *function) uint64 {
	values, size := p.values(f, f.record.half(p.Layout.Func.PCSP)), int32(0)
	for p.spend(1) && values.next() {
		size = max(size, values.value)
	}
	return uint64(size)
}
