package image

import (
	"encoding/binary"
	"strings"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// Bounds of stacks. The runtime ends a program whose stack grows beyond 1 GB.
const (
	maxStack  = 1 << 30
	maxFrames = 1 << 20
	maxHeld   = 64 << 20 // bytes that are kept about places in the code
)

// place is where an unwinding is.
type place struct {
	pc, sp, lr uint64
	exact      bool // pc is the next instruction, not a return address
	injected   bool // the callee was called by a signal handler
}

// stackMemory is the memory of a stack between the stack pointer and its end. It is
// read piece by piece: most stacks are short, and a hostile one is long.
type stackMemory struct {
	program    *Program
	start, end uint64
	at         uint64 // the address of the piece
	piece      []byte
}

// stackPiece is how much of a stack is read at once.
const stackPiece = 16 << 10

// readStack prepares the reading of the stack between lo and hi from sp up.
func (p *Program) readStack(lo, hi, sp uint64) (stackMemory, bool) {
	if sp < lo || sp >= hi || hi-lo > maxStack {
		return stackMemory{}, false
	}
	return stackMemory{program: p, start: sp, end: hi}, true
}

func (s *stackMemory) word(addr uint64) (uint64, bool) {
	if addr-s.at < uint64(len(s.piece)) && addr-s.at+8 <= uint64(len(s.piece)) {
		return binary.LittleEndian.Uint64(s.piece[addr-s.at:]), true
	}
	if addr < s.start || addr+8 < addr || addr+8 > s.end {
		return 0, false
	}
	s.at, s.piece = addr, s.program.piece[:min(stackPiece, s.end-addr)]
	if s.program.memory.Read(addr, s.piece) != nil {
		s.piece = nil
		v, err := s.program.word(addr)
		return v, err == nil
	}
	return binary.LittleEndian.Uint64(s.piece), true
}

// site is what the tables say about a place in the code.
type site struct {
	calls       []frame // the innermost first
	size        int32   // of the frame, up to the return address on amd64
	sized       bool
	top         bool // the last function of a stack
	runtimeOnly bool // all calls are the runtime's
	id          layout.Offset
	key         uint64 // stands for the place in the key of a group
}

// outermost returns the function that contains the others.
func (s *site) outermost() string { return s.calls[len(s.calls)-1].function }

// mix adds a number to a hash. The hash is as good as its users need: a program whose
// groups have the same one harms only what is said about itself.
func mix(hash, n uint64) uint64 {
	hash = (hash ^ n) * 0x9e3779b97f4a7c15
	return hash ^ hash>>29
}

type siteKey struct {
	pc    uint64
	exact bool
}

// recentSite is a site in front of the map, which takes more time to search.
type recentSite struct {
	key siteKey
	*site
}

// site returns what the tables say about pc. Goroutines have few different ones.
func (p *Program) site(pc uint64, exact bool) *site {
	key := siteKey{pc, exact}
	recent := &p.recent[(pc^pc>>10)%uint64(len(p.recent))]
	if recent.key == key && recent.site != nil {
		return recent.site
	}
	s, ok := p.sites[key]
	if !ok {
		s = p.newSite(pc, exact)
	}
	*recent = recentSite{key, s}
	return s
}

func (p *Program) newSite(pc uint64, exact bool) *site {
	var s *site
	size := 0
	if f, ok := p.find(pc); ok {
		call := pc
		if !exact && pc > f.entry {
			call--
		}
		s = &site{calls: p.calls(nil, f, call), id: f.id, top: f.record.byte(p.Layout.Func.Flag)&layout.FuncFlagTopFrame != 0, runtimeOnly: true}
		s.size, s.sized = p.value(f, f.record.half(p.Layout.Func.PCSP), pc)
		s.sized = s.sized && s.size >= 0
		s.key = mix(pc, uint64(f.id)+1)
		if exact {
			s.key = ^s.key
		}
		for _, c := range s.calls {
			size += len(c.function) + len(c.text) + 100
			s.runtimeOnly = s.runtimeOnly && strings.HasPrefix(c.function, "runtime.")
		}
	}
	if p.hold(size) {
		p.sites[siteKey{pc, exact}] = s
	}
	return s
}

// unwind appends the places of the calls of a stack, the innermost first. It returns the
// place at which it ended, and whether a stack may end there. The tables of frame sizes lead from frame to frame,
// as in runtime/traceback.go: they also hold in functions without a frame pointer.
func (p *Program) unwind(to []*site, s *stackMemory, at place) (sites []*site, last place, complete bool) {
	link := p.arch == "arm64"
	for first := true; len(to) < maxFrames && p.spend(frameWork); first = false {
		here := p.site(at.pc, at.exact)
		if here == nil {
			return to, at, false
		}
		to = append(to, here)
		if !here.sized {
			return to, at, here.top
		}
		next := place{sp: at.sp + uint64(here.size)}
		ok := true
		switch {
		case !link:
			next.pc, ok = s.word(next.sp)
			next.sp += 8
		case here.size == 0 && (first || at.injected):
			next.pc = at.lr // a leaf: the return address is still in the register
		default:
			next.pc, ok = s.word(at.sp)
		}
		if here.top {
			return to, next, true
		}
		ids := p.Layout.FuncID
		if here.id == ids.SigPanic || here.id == ids.AsyncPreempt || here.id == ids.DebugCall {
			next.exact, next.injected = true, true
			if link && ok { // the handler has pushed the link register (pushCall in signal_arm64.go)
				next.lr, ok = s.word(next.sp)
				next.sp += 16
			}
		}
		if !ok || next.sp < at.sp || next.sp == at.sp && !first && !at.injected || next.sp > s.end {
			return to, at, false
		}
		at = next
	}
	return to, at, false
}
