//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"encoding/binary"
	"runtime"
	"strings"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// maxFrames bounds a stack.
const maxFrames = 1000

// place is where an unwinding is.
type place struct {
	pc, sp, lr uintptr
	exact      bool // pc is the next instruction, not a return address
	injected   bool // the callee was called by a signal handler
}

// unwind reads the stack of a goroutine that does not run. It returns false if that is
// not possible, because the goroutine has moved. The tables of frame sizes lead from
// frame to frame, as in runtime/traceback.go: they also hold in functions without a
// frame pointer.
func (p *pass) unwind(r *reading) bool {
	l := &p.layout.G
	lo, hi := uintptr(r.word(l.StackLo)), uintptr(r.word(l.StackHi))
	at := place{pc: uintptr(r.word(l.SchedPC)), sp: uintptr(r.word(l.SchedSP)), lr: uintptr(r.word(l.SchedLR))}
	if sp := uintptr(r.word(l.SyscallSP)); sp != 0 {
		at = place{pc: uintptr(r.word(l.SyscallPC)), sp: sp}
	}
	const link = runtime.GOARCH == "arm64" // calls leave the return address in a register
	for first := true; len(r.stack) < maxFrames; first = false {
		here := p.sites.at(at.pc)
		if here.flags&unknown != 0 {
			return !first // C code, or torn
		}
		pc := at.pc
		if at.exact || here.flags&begin != 0 {
			pc++
		}
		r.stack = append(r.stack, pc)
		if here.flags&top != 0 {
			r.whole = true
			return true
		}
		if here.flags&last != 0 {
			return true
		}
		next := place{sp: at.sp + uintptr(here.size)}
		if at.sp < lo || next.sp < at.sp || next.sp > hi-8 {
			return false
		}
		switch {
		case !link:
			next.pc = load(next.sp)
			next.sp += 8
		case here.size == 0 && (first || at.injected):
			next.pc = at.lr // a leaf: the return address is still in the register
		default:
			next.pc = load(at.sp)
		}
		if here.flags&injects != 0 {
			next.exact, next.injected = true, true
			if link { // the handler has pushed the link register (pushCall in signal_arm64.go)
				if next.sp > hi-16 {
					return false
				}
				next.lr = load(next.sp)
				next.sp += 16
			}
		}
		if next.sp == at.sp && !first && !at.injected { // only a leaf has no frame
			return false
		}
		at = next
	}
	return true
}

// site is what the tables say about a place in the code.
type site struct {
	pc    uintptr
	size  uint32 // of the frame, up to the return address on amd64
	flags uint32
}

var nowhere = site{flags: unknown}

const (
	unknown   = 1 << iota // it is not Go code
	begin                 // the first instruction of a function
	top                   // in the last function of a stack
	last                  // the stack cannot be read further
	injects               // in a function that a signal handler calls
	ofRuntime             // in a function of the runtime
)

// sites is a table of sites by their pc. Goroutines have few different ones, and a map
// would take most of the time of a reading.
type sites struct {
	layout *layout.Layout
	table  []site // its length is a power of two; an entry without a pc is free
	used   int
}

func newSites(l *layout.Layout) sites { return sites{layout: l, table: make([]site, 1<<10)} }

func (s *sites) at(pc uintptr) *site {
	if pc == 0 {
		return &nowhere
	}
	for i := s.hash(pc); ; i++ {
		switch e := &s.table[i&(len(s.table)-1)]; e.pc {
		case pc:
			return e
		case 0:
			return s.add(pc)
		}
	}
}

func (s *sites) hash(pc uintptr) int { return spread(pc) }

// maxSites bounds the table. A goroutine that moves may have anything on its stack.
const maxSites = 1 << 20

func (s *sites) add(pc uintptr) *site {
	if s.used > maxSites {
		*s = newSites(s.layout)
	}
	if 2*s.used >= len(s.table) {
		old := s.table
		s.table = make([]site, 2*len(old))
		for _, e := range old {
			if e.pc != 0 {
				*s.free(e.pc) = e
			}
		}
	}
	s.used++
	e := s.free(pc)
	*e = lookUp(s.layout, pc)
	return e
}

// free returns the free entry for a pc.
func (s *sites) free(pc uintptr) *site {
	for i := s.hash(pc); ; i++ {
		if e := &s.table[i&(len(s.table)-1)]; e.pc == 0 {
			return e
		}
	}
}

// lookUp returns what the tables say about pc.
func lookUp(l *layout.Layout, pc uintptr) site {
	s := site{pc: pc}
	f := findfunc(pc)
	if f.fn == nil {
		s.flags = unknown
		return s
	}
	entry := runtime.FuncForPC(pc).Entry()
	if pc == entry {
		s.flags |= begin
	}
	if strings.HasPrefix(runtime.FuncForPC(entry).Name(), "runtime.") {
		s.flags |= ofRuntime
	}
	switch ids := l.FuncID; f.id(l) {
	case ids.SigPanic, ids.AsyncPreempt, ids.DebugCall:
		s.flags |= injects
	}
	flag := f.flags(l)
	size, ok := f.value(l, *(*uint32)(unsafe.Add(f.fn, l.Func.PCSP)), entry, pc)
	switch {
	case flag&layout.FuncFlagTopFrame != 0:
		s.flags |= top
	case flag&layout.FuncFlagSPWrite != 0 || !ok || size < 0:
		s.flags |= last
	}
	s.size = uint32(max(size, 0))
	return s
}

// maxTables bounds the tables of functions. The largest programs have 100 MB.
const maxTables = 1 << 30

// function is runtime.funcInfo.
type function struct {
	fn     unsafe.Pointer // *runtime._func; nil: there is no function
	module unsafe.Pointer // *runtime.moduledata
}

func (f function) id(l *layout.Layout) layout.Offset {
	return layout.Offset(*(*uint8)(unsafe.Add(f.fn, l.Func.FuncID)))
}

func (f function) flags(l *layout.Layout) uint8 { return *(*uint8)(unsafe.Add(f.fn, l.Func.Flag)) }

// value returns the number that a table of the module gives for pc (pcvalue in
// runtime/symtab.go).
func (f function) value(l *layout.Layout, table uint32, entry, pc uintptr) (int32, bool) {
	// The table is before the functions, in the same section.
	start, size := moduleWord(f.module, l.ModuleData.PCTab), moduleWord(f.module, l.ModuleData.PCTab+8)
	before := uintptr(f.fn) - start
	if before > maxTables || size > before || table == 0 || uintptr(table) >= size {
		return 0, false
	}
	numbers := unsafe.Slice((*byte)(unsafe.Add(f.fn, -int(before))), size)
	quantum := uintptr(1)
	if runtime.GOARCH == "arm64" {
		quantum = 4
	}
	b, value := numbers[table:], int32(-1)
	for at, first := entry, true; ; first = false {
		change, n := binary.Uvarint(b)
		if n <= 0 || change == 0 && !first {
			return 0, false
		}
		step, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return 0, false
		}
		b = b[n+m:]
		value += int32(uint32(change)>>1) ^ -int32(change&1) // zigzag
		if at += uintptr(step) * quantum; pc < at {
			return value, true
		}
	}
}

// spread returns a number that is also different in its lowest bits if two addresses are near
// to each other (Fibonacci hashing).
func spread(addr uintptr) int { return int(uint64(addr) * 0x9e3779b97f4a7c15 >> 32) }
