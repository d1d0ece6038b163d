package image

import (
	"encoding/binary"
	"fmt"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// maxGoroutines bounds the list of goroutines. Each has at least 2.5 KB of memory.
const maxGoroutines = 1 << 24

// goroutines returns the addresses of all runtime.g, the dead ones included. While the
// program runs, the list may be changed at the moment of the reading, so there is
// another try.
func (p *Program) goroutines() ([]uint64, error) {
	const tries = 3
	for range tries {
		if p.allgs == 0 {
			p.allgs = p.findGoroutines()
		}
		if p.allgs == 0 {
			return nil, errNoGoroutines
		}
		header, err := p.block(p.allgs, 24)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoGoroutines, err) // the process may have ended
		}
		if list, ok := p.goroutineList(header); ok {
			return list, nil
		}
	}
	return nil, errNoGoroutines
}

// findGoroutines returns the address of runtime.allgs, or 0. It looks for a slice with
// the shape of that list, which a stripped program has too.
func (p *Program) findGoroutines() uint64 {
	l := p.Layout.ModuleData
	for _, bounds := range [][2]layout.Offset{{l.BSS, l.EBSS}, {l.NoPtrBSS, l.ENoPtrBSS}, {l.Data, l.EData}} {
		start, end := p.module.record.word(bounds[0]), p.module.record.word(bounds[1])
		if start >= end || end-start > maxSegment {
			continue
		}
		found := uint64(0)
		search := func(addr uint64, data []byte) bool {
			for at := 0; at+24 <= len(data); at += 8 {
				if _, ok := p.goroutineList(data[at : at+24]); ok {
					found = addr + uint64(at)
					return true
				}
			}
			return false
		}
		if p.scan(start, end, 24, search) {
			return found
		}
	}
	return 0
}

// goroutineList reads a slice of pointers if it looks like runtime.allgs: the first
// goroutine has the id 1, and its stack pointer is in its stack.
func (p *Program) goroutineList(header []byte) ([]uint64, bool) {
	data, n, room := binary.LittleEndian.Uint64(header), binary.LittleEndian.Uint64(header[8:]), binary.LittleEndian.Uint64(header[16:])
	if data < 4096 || data%8 != 0 || n == 0 || n > room || room > maxGoroutines {
		return nil, false
	}
	first, err := p.word(data)
	if err != nil {
		return nil, false
	}
	g, err := p.record(first, p.Layout.G.Size)
	if err != nil || g.word(p.Layout.G.GoID) != 1 || g.word(p.Layout.G.StackLo) >= g.word(p.Layout.G.StackHi) {
		return nil, false
	}
	// The pointer is 0 while the goroutine runs (gogo in the runtime's assembly).
	if sp := g.word(p.Layout.G.SchedSP); sp != 0 && (sp < g.word(p.Layout.G.StackLo) || sp > g.word(p.Layout.G.StackHi)) {
		return nil, false
	}
	list := make([]uint64, 0, n)
	piece := make([]byte, min(8*n, 64<<10))
	for left := 8 * n; left > 0; left -= uint64(len(piece)) {
		piece = piece[:min(left, uint64(len(piece)))]
		if p.memory.Read(data+8*n-left, piece) != nil {
			return nil, false
		}
		for at := 0; at < len(piece); at += 8 {
			list = append(list, binary.LittleEndian.Uint64(piece[at:]))
		}
	}
	return list, true
}

// stack returns the calls of a goroutine, and whether the unwinding came to the end of
// the stack.
func (p *Program) stack(to []*site, g record) (sites []*site, complete bool) {
	at, ok := p.parked(g)
	if !ok {
		if len(p.threads) == 0 {
			return p.lastCalls(to, g), true
		}
		if at, ok = p.running(g); !ok {
			return to, true
		}
	}
	memory, ok := p.readStack(g.word(p.Layout.G.StackLo), g.word(p.Layout.G.StackHi), at.sp)
	if !ok {
		return to, true
	}
	sites, _, complete = p.unwind(to, &memory, at)
	return sites, complete
}

// parked returns where a goroutine is, unless it is running.
func (p *Program) parked(g record) (at place, ok bool) {
	l, status := p.Layout.G, p.Layout.Status
	switch layout.Offset(g.half(l.AtomicStatus) &^ uint32(status.Scan)) {
	case status.Running:
		return place{}, false
	case status.Syscall:
		if sp := g.word(l.SyscallSP); sp != 0 {
			return place{pc: g.word(l.SyscallPC), sp: sp}, true
		}
	}
	return place{pc: g.word(l.SchedPC), sp: g.word(l.SchedSP), lr: g.word(l.SchedLR)}, true
}

// running returns where a running goroutine is: where the thread is that uses its
// stack, or where it left its stack for that of the runtime or of a signal handler.
func (p *Program) running(g record) (place, bool) {
	lo, hi := g.word(p.Layout.G.StackLo), g.word(p.Layout.G.StackHi)
	for _, r := range p.threads {
		if r.SP >= lo && r.SP < hi {
			return place{pc: r.PC, sp: r.SP, lr: r.LR, exact: true}, true
		}
	}
	m, err := p.record(g.word(p.Layout.G.M), p.Layout.M.Size)
	if err != nil {
		return place{}, false
	}
	l := p.Layout.G
	if s, err := p.record(m.word(p.Layout.M.GSignal), l.Size); err == nil {
		if at, ok := p.interrupted(s.word(l.StackLo), s.word(l.StackHi)); ok && at.sp >= lo && at.sp < hi {
			return at, true
		}
	}
	// On the stack of the runtime: systemstack and mcall have saved the place.
	at := place{pc: g.word(l.SchedPC), sp: g.word(l.SchedSP), lr: g.word(l.SchedLR)}
	return at, at.sp >= lo && at.sp < hi
}

// interrupted returns where a signal interrupted the thread whose signal stack lies
// between lo and hi. A handler may have been interrupted by another signal: a program
// that gets SIGQUIT with GOTRACEBACK=crash sends itself SIGABRT from there.
func (p *Program) interrupted(lo, hi uint64) (place, bool) {
	const maxNested = 8
	for _, r := range p.threads {
		if r.SP < lo || r.SP >= hi {
			continue
		}
		at := place{pc: r.PC, sp: r.SP, lr: r.LR, exact: true}
		for range maxNested {
			var ok bool
			if at, ok = p.beforeSignal(lo, hi, at); !ok {
				return place{}, false
			}
			if at.sp < lo || at.sp >= hi {
				return at, true
			}
		}
	}
	return place{}, false
}

// beforeSignal returns where the signal interrupted a thread whose handler is at a
// place. The kernel has saved the registers there, behind the frame of the handler.
func (p *Program) beforeSignal(lo, hi uint64, at place) (place, bool) {
	memory, ok := p.readStack(lo, hi, at.sp)
	if !ok {
		return place{}, false
	}
	sites, last, complete := p.unwind(nil, &memory, at)
	if !complete || len(sites) == 0 || sites[len(sites)-1].outermost() != "runtime.sigtramp" {
		return place{}, false
	}
	word := func(at uint64) uint64 {
		v, _ := memory.word(last.sp + at)
		return v
	}
	if p.arch == "arm64" {
		// struct rt_sigframe: siginfo of 128 bytes, then ucontext, whose registers begin
		// after 176 bytes with fault_address.
		const registers = 128 + 176 + 8
		return place{pc: word(registers + 32*8), sp: word(registers + 31*8), lr: word(registers + 30*8), exact: true}, true
	}
	// struct ucontext: 40 bytes, then struct sigcontext with rsp as 16th and rip as
	// 17th register.
	const registers = 40
	return place{pc: word(registers + 16*8), sp: word(registers + 15*8), exact: true}, true
}
